"""The forms in which a layer may be written."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import GradientMismatch, check_grads, check_layer

PAIR = tuple(np.random.default_rng(0).standard_normal((2, 3, 4)))


@pytest.mark.parametrize("as_tuple", [False, True])
def test_several_outputs(as_tuple):
    def forward(x, w):
        outs = np.sin(x) * w, x.sum(axis=0)
        return (outs, (x, w)) if as_tuple else (*outs, (x, w))

    def gradients(da, db, x, w):
        return da * np.cos(x) * w + db, da * np.sin(x)

    def backward(*args):
        (da, db), cache = (args[0], args[1]) if as_tuple else (args[:2], args[2])
        return gradients(da, db, *cache)

    def without_the_second(*args):
        (da, db), cache = (args[0], args[1]) if as_tuple else (args[:2], args[2])
        return gradients(da, 0 * db, *cache)

    report = check_layer((forward, backward), *PAIR)
    assert "tape" in report.ways
    with pytest.raises(GradientMismatch, match="gradient of input 0"):
        check_layer((forward, without_the_second), *PAIR)


def test_a_loss_finds_its_own_gradient():
    def distance(x, y):
        return np.sum((x - y) ** 2), 2 * (x - y)

    with pytest.raises(GradientMismatch, match="backward returned no gradient for input 1"):
        check_layer(distance, *PAIR)
    check_layer(lambda x: distance(x, 1), PAIR[0])
    with pytest.raises(GradientMismatch, match="a square's factor 2"):
        check_layer(lambda x: (np.sum(x**2), x), PAIR[0])


def test_the_courses_dicts_of_parameters():
    """They may be given by position or by name, and are not changed."""

    def forward(x, param):
        param["calls"] = param.get("calls", 0) + 1
        return x * param["scale"], param["scale"]

    param = {"scale": 3.0}
    for args, options in (((param,), {}), ((), {"param": param})):
        check_layer((forward, lambda dout, scale: dout * scale), np.ones(3), *args, **options)
    assert param == {"scale": 3.0}
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    mg.layer(forward, lambda dout, scale: dout * scale)(x, {"scale": 2.0}).sum().backward()
    np.testing.assert_array_equal(x.grad, 2)


def test_what_cannot_be_checked_is_told():
    with pytest.raises(TypeError, match="no input holds floats"):
        check_layer((lambda x: (x, x), lambda d, c: 7 * d), np.array([1, 2]))
    with pytest.raises(TypeError, match="no input holds floats"):
        check_grads(np.sum, np.arange(3))
    for forward in (lambda x: x * 2, lambda x: np.sum(x), lambda x: (x,)):
        with pytest.raises(TypeError, match=r"the forward returned \w+; expected \(out, cache\)"):
            check_layer((forward, lambda dout, cache: 2 * dout), np.ones((4, 3)))
    with pytest.raises(TypeError, match="got sigmoid; expected a layer made by"):
        check_layer(mg.sigmoid, np.ones(2))
