"""What a layer must obey besides correct numbers."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import GradientMismatch, check_layer
from minigrad.layers import relu_forward

PAIR = tuple(np.random.default_rng(0).standard_normal((2, 3, 4)))


def scaled(x, w):
    return x * w, (x, w)


def scaled_back(dout, cache):
    x, w = cache
    return dout * w, dout * x


def hint(forward, backward, *inputs, **options):
    report = check_layer((forward, backward), *inputs, raise_on_error=False, **options)
    assert report.problems
    assert str(report).endswith(f"diagnosis: {report.diagnosis}")
    return str(report)


def test_a_layer_that_changes_its_input_is_refused():
    def forward(x):
        x *= 2
        return x.copy(), None

    with pytest.raises(GradientMismatch, match="changed its input 0"):
        check_layer((forward, lambda dout, cache: 2 * dout), np.ones(3))


def test_a_backward_that_changes_its_dout_is_refused():
    def backward(dout, out):
        dout[out == 0] = 0
        return dout

    with pytest.raises(GradientMismatch, match="changed its dout"):
        check_layer((relu_forward, backward), np.array([-1.0, 2.0]))


def test_a_cache_that_the_backward_changes():
    def forward(x, w):
        return x * w, (x, w, {"state": x + 1})

    def backward(dout, cache):
        cache[2]["state"] += 1
        return scaled_back(dout, cache[:2])

    assert "mutates its cache" in hint(forward, backward, *PAIR)


def test_a_forward_that_draws_random_numbers():
    rng = np.random.default_rng(0)
    with pytest.raises(GradientMismatch, match="two results for one input"):
        check_layer((lambda x: (x * rng.random(3), x), lambda d, c: d), np.ones(3))


def test_a_backward_that_keeps_something_from_call_to_call():
    calls = []

    def backward(dout, cache):
        calls.append(1)
        return [g * (1 + (len(calls) == 2)) for g in scaled_back(dout, cache)]

    assert "a second backward with the same cache" in hint(scaled, backward, *PAIR)


def test_a_stale_cache():
    last = []

    def forward(x, w):
        last[:] = [x, w]
        return x * w, None

    assert "reads a stale cache" in hint(forward, lambda dout, cache: scaled_back(dout, last), *PAIR)


def test_dtypes_and_shapes():
    x, w = (each.astype(np.float32) for each in PAIR)
    check_layer((scaled, scaled_back), x, w)
    said = hint(scaled, lambda d, c: [g.astype(np.float64) for g in scaled_back(d, c)], x, w)
    assert "gradient of dtype float64 for input 0 of dtype float32" in said
    assert "of the forward too" not in said
    root = np.sqrt(2)
    said = hint(lambda x: (root * x, None), lambda d, _: root * d, x)
    assert (
        "float64 somewhere inside, of the forward too: a number such as np.sqrt(2) makes float64 of it"
        in said
    )
    assert "of shape (3, 4) for input 0 of shape (4, 3)" in hint(
        lambda x, w: (x.T * w, (x.T, w)), scaled_back, np.ascontiguousarray(x.T), w
    )


def test_what_is_not_linear_in_dout():
    assert "not linear in dout" in hint(scaled, lambda d, c: scaled_back(d**2, c), *PAIR)


def test_arrays_that_are_read_only_or_strided():
    def flattening(x, w):
        if not (isinstance(x, mg.Tensor) or x.flags.c_contiguous):
            raise ValueError("not contiguous")
        return x * w, (x, w)

    assert "it fails for strided arrays" in hint(flattening, scaled_back, *PAIR)


def test_single_rows_on_request():
    check_layer(mg.affine, PAIR[0], PAIR[1].T, np.ones(3), per_example=(0,))

    def centred(x):
        return x - x.mean(axis=0), None

    def backward(dout, _):
        return dout - dout.mean(axis=0)

    check_layer((centred, backward), PAIR[0])
    assert "row 0 of input 0 has another gradient in the batch than alone" in hint(
        centred, backward, PAIR[0], per_example=(0,)
    )


def test_arrays_that_are_filled_again_in_each_call():
    kept = {}

    def filled(name, value):
        kept.setdefault(name, np.empty_like(value))[...] = value
        return kept[name]

    def forward(x):
        return filled("out", np.tanh(x)), np.tanh(x)

    found = hint(forward, lambda dout, out: dout * (1 - out**2), PAIR[0])
    assert "changed the output of the call before" in found
    found = hint(
        lambda x: (np.tanh(x), np.tanh(x)), lambda dout, out: filled("dx", dout * (1 - out**2)), PAIR[0]
    )
    assert "changed the gradients that the first returned" in found


def test_a_backward_that_must_be_told_what_is_wanted():
    def backward(dout, cache, needs):
        dx, dw = scaled_back(dout, cache)
        return dx if needs[0] else None, dw if needs[1] else None

    check_layer((scaled, backward), *PAIR)
    check_layer((scaled, backward), *PAIR, argnums=1)
    assert "wrong at index" in hint(
        scaled, lambda dout, cache, needs: backward(2 * dout, cache, needs), *PAIR
    )
