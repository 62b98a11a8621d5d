import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import GradientMismatch, check_grads, check_layer
from minigrad.layers import affine_backward, affine_forward, affine_relu_backward, affine_relu_forward


def affine_inputs():
    rng = np.random.default_rng(0)
    return rng.standard_normal((4, 2, 3)), rng.standard_normal((6, 5)), rng.standard_normal(5)


def test_a_right_layer_passes_in_all_ways():
    report = check_layer((affine_forward, affine_backward), *affine_inputs())
    assert report.ways == ("hand-derived", "tape", "finite differences", "complex step")
    assert report.error < 1e-8


@pytest.mark.parametrize(
    ("wrong", "number"),
    [
        (lambda dx, dw, db: (-dx, dw, db), 0),
        (lambda dx, dw, db: (dx, dw / 4, db), 1),
        (lambda dx, dw, db: (dx, dw, db * (1 + 1e-5)), 2),
        (lambda dx, dw, db: (dx[::-1], dw, db), 0),
    ],
)
def test_a_wrong_gradient_is_named(wrong, number):
    def backward(dout, cache):
        return wrong(*affine_backward(dout, cache))

    with pytest.raises(GradientMismatch) as error:
        check_layer((affine_forward, backward), *affine_inputs())
    message = str(error.value)
    assert f"input {number} is wrong at index (" in message
    assert all(way in message for way in ("hand-derived", "tape", "finite differences", "relative error"))


def test_one_wrong_element_is_found_at_its_index():
    def backward(dout, cache):
        dx, dw, db = affine_backward(dout, cache)
        dw[3, 2] += 1e-3
        return dx, dw, db

    with pytest.raises(GradientMismatch, match=r"input 1 is wrong at index \(3, 2\)"):
        check_layer((affine_forward, backward), *affine_inputs())


def test_wrong_shapes_missing_gradients_and_nan_are_mismatches():
    for db in (lambda dout: dout, lambda dout: None, lambda dout: np.full(5, np.nan)):

        def backward(dout, cache, db=db):
            return (*affine_backward(dout, cache)[:2], db(dout))

        with pytest.raises(GradientMismatch, match="input 2"):
            check_layer((affine_forward, backward), *affine_inputs())


def test_without_a_rule_the_tape_is_left_out():
    def forward(x):
        if isinstance(x, mg.Tensor):
            raise mg.TapeError("a function without a rule")
        return np.cbrt(x), x

    report = check_layer((forward, lambda dout, x: dout / (3 * np.cbrt(x) ** 2)), np.array([0.3, 1.0]))
    assert "tape" not in report.ways


def test_a_forward_that_fills_an_array_goes_on_without_the_tape():
    """The naive convolution of the course, out[i] = sum(window * w)."""

    def forward(x, w):
        out = np.zeros(len(x) - len(w) + 1)
        for i in range(len(out)):
            out[i] = np.sum(x[i : i + len(w)] * w)
        return out, (x, w)

    def backward(dout, cache):
        x, w = cache
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for i, d in enumerate(dout):
            dx[i : i + len(w)] += d * w
            dw += d * x[i : i + len(w)]
        return dx, dw

    x, w = np.random.default_rng(0).standard_normal((2, 3))
    assert "tape" not in check_layer((forward, backward), x, w[:2]).ways
    with pytest.raises(mg.TapeError, match=r"mg.tensor\(a\)"):
        check_grads(lambda x, w: forward(x, w)[0], x, w[:2])


def test_check_grads_needs_the_tape():
    def without_a_rule(x):
        if isinstance(x, mg.Tensor):
            raise mg.TapeError("no backward rule")
        return x

    with pytest.raises(mg.TapeError, match="no backward rule"):
        check_grads(without_a_rule, np.array([2.0, 1.0]))


def test_check_grads_sees_second_derivatives():
    assert (
        check_grads(lambda x, y: np.sin(x) * y**3, np.array([0.3, 0.5]), np.array(1.2), order=2).error < 1e-8
    )
    wrong = mg.layer(
        lambda x: (x**3, x),
        lambda dout, x: dout * 3 * x.data**2 if isinstance(x, mg.Tensor) else dout * 3 * x**2,
    )
    x = np.array([0.3, 0.5])
    check_grads(wrong, x)
    with pytest.raises(GradientMismatch, match="gradient of"):
        check_grads(wrong, x, order=2)


def test_an_order_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="order is 3"):
        check_grads(np.sin, np.ones(2), order=3)


def test_functions_of_nested_arrays_that_return_such():
    params = {"w": np.array([[0.3, -0.7]]), "b": [np.array([0.2]), np.array(1.5)]}

    def f(p, scale):
        return {"out": np.tanh(p["w"] * scale) + p["b"][0], "rest": (p["b"][1] ** 3, p["w"].sum())}

    report = check_grads(f, params, 2.0, order=2)
    assert report.ways == ("tape", "finite differences", "complex step")
    cube = mg.rule(lambda x: x**3, lambda g, out, x: g * x**2)
    with pytest.raises(GradientMismatch, match=r"input 0\['b'\]\[1\] is wrong at index \(\)"):
        check_grads(lambda p: {"out": cube(p["b"][1])}, params)
    assert check_grads(lambda x: x * 2, [1.0, 2.0]).error < 1e-8  # a list of numbers is an array


def test_outputs_in_a_list_are_refused_as_by_the_layer():
    for forward in (lambda x: ([x * 2], x), lambda x: [x * 2, x]):
        pair = forward, lambda dout, cache: dout * 2
        for layer in (pair, mg.layer(*pair)):
            with pytest.raises(TypeError, match="the forward returned"):
                check_layer(layer, np.ones(3))


def test_a_forward_that_leaves_the_tape_is_compared_in_the_other_ways():
    report = check_layer(
        (lambda w: (float((w * w).sum()), 2 * w), lambda dout, cache: dout * cache), np.ones(3)
    )
    assert "tape" not in str(report)


def test_where_rounding_is_as_large_as_the_gradient_it_is_told():
    """As of the sum of probabilities, which is 1."""

    def forward(x):
        exps = np.exp(x - x.max(axis=1, keepdims=True))
        return (exps / exps.sum(axis=1, keepdims=True)).sum(axis=1), exps / exps.sum(axis=1, keepdims=True)

    def backward(dout, probabilities):
        dprobabilities = dout[:, None] - (probabilities * dout[:, None]).sum(axis=1, keepdims=True)
        return probabilities * dprobabilities

    x = np.random.default_rng(1).standard_normal((4, 5)).astype(np.float32)
    report = check_layer((forward, backward), x)
    assert "rounding errors are as large as the gradient: give other inputs" in str(report)
    assert "rounding" not in str(check_layer((affine_forward, affine_backward), *affine_inputs()))


def test_a_gradient_of_nothing_but_zeros_says_little():
    x, w, b = -np.ones((2, 3)), np.ones((3, 2)), np.zeros(2)
    layer = affine_relu_forward, affine_relu_backward
    assert "the gradient of x, w, b is 0 everywhere, and says little" in str(check_layer(layer, x, w, b))
    assert "0 everywhere" not in str(check_layer(layer, -x, w, b))
    assert "0 everywhere" not in str(check_layer(layer, -x[:0], w, b, argnums=0))
    assert "input 0 is 0 everywhere" in str(check_grads(lambda x: np.maximum(x, 0), x))


@pytest.mark.parametrize("scale", [1e-8, 1e-3])
def test_a_gradient_that_is_small_throughout_is_checked_all_the_same(scale):
    """That of w, as 1e-3 * randn makes it, is smaller than an ulp of dout."""

    def forward(x, w, v):
        return x @ w * (x @ v) ** 2, (x, w, v)

    def backward(dout, cache):
        x, w, v = cache
        a, b = x @ w, x @ v
        da, db = dout * b**2, 2 * dout * a * b
        return da @ w.T + db @ v.T, x.T @ da, x.T @ db

    inputs = [scale * x for x in np.random.default_rng(0).standard_normal((3, 3, 3))]
    check_layer(forward, backward, *inputs)
    for k in range(3):

        def wrong(dout, cache, k=k):
            return [(1.5 if i == k else 1) * g for i, g in enumerate(backward(dout, cache))]

        with pytest.raises(GradientMismatch, match=f"input {k} is wrong"):
            check_layer(forward, wrong, *inputs)


@pytest.mark.parametrize(
    ("forward", "x"),
    [(lambda x: (np.log(np.maximum(x, 0)), x), -1.0), (lambda x: (1 + x**2, x), 1e-20)],
    ids=["infinite", "lost in the ones"],
)
def test_a_gradient_that_nothing_tests_says_little(forward, x):
    with np.errstate(all="ignore"):
        report = check_layer(forward, lambda dout, x: 3 * dout * x, np.array([x, x]))
    assert "the gradient of x is lost in rounding, or infinite, and says little: give other inputs" in str(
        report
    )
