"""Each of the classic mistakes is caught, and the diagnosis names it; its right twin passes."""

import mistakes
import numpy as np
import pytest
from mistakes import LAYERS, LOSSES, MISTAKES, SCORES

from minigrad.gradient_check import GradientMismatch, check_layer
from minigrad.layers import softmax_loss, svm_loss


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_right_twin_passes(name, dtype):
    forward, backward, inputs = LAYERS[name]
    given = [x.astype(dtype) if getattr(x, "dtype", None) == np.float64 else x for x in inputs]
    check_layer((forward, backward), *given)


OWN = [mistakes.as_loss(*LAYERS[name][:2]) for name in LOSSES]


@pytest.mark.parametrize("loss", [softmax_loss, svm_loss, *OWN])
def test_a_right_loss_that_finds_its_own_gradient_passes(loss):
    x, y = SCORES
    check_layer(loss, x, y)
    check_layer(loss, np.zeros(x.shape), y)
    check_layer(loss, np.eye(x.shape[1])[y], y)  # margins of exactly 0


def wrong_backward(backward, mistake):
    def wrong(dout, cache):
        return mistake(backward(dout, cache), dout, cache)

    return wrong


def check_diagnosis(layer, inputs, words):
    """A check that does not raise says the same as one that does."""
    report = check_layer(layer, *inputs, raise_on_error=False)
    assert report.problems
    assert words in report.diagnosis
    with pytest.raises(GradientMismatch) as raised:
        check_layer(layer, *inputs)
    assert str(raised.value) == str(report)


@pytest.mark.parametrize(
    ("name", "what", "mistake", "words"), MISTAKES, ids=[f"{name}: {what}" for name, what, *_ in MISTAKES]
)
def test_a_mistake_is_caught_and_named(name, what, mistake, words):
    forward, backward, inputs = LAYERS[name]
    wrong = wrong_backward(backward, mistake)
    check_diagnosis((forward, wrong), inputs, words)
    if name in LOSSES and "cache" not in words:
        check_diagnosis(mistakes.as_loss(forward, wrong), inputs, words)
