"""Entries on a kink or a threshold, as integers are: what is wrong there is found, what is right is not refused."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import GradientMismatch, check_grads, check_layer

INTEGERS = np.arange(-2.0, 9.0)


def relu(x):
    return np.maximum(x, 0), x


def huber(x, t, limit=2.0):
    r = x - t
    return np.where(np.abs(r) <= limit, 0.5 * r * r, limit * (np.abs(r) - 0.5 * limit)).sum(), (r, limit)


def huber_back(dout, cache, threshold):
    r, limit = cache
    g = dout * np.where(np.abs(r) < threshold, r, limit * np.sign(r))
    return g, -g


def with_huber(threshold):
    return lambda dout, cache: huber_back(dout, cache, threshold)


RESIDUALS = np.array([1.0, 3.0, 2.0, 5.0]), np.array([2.0, 3.0, 3.0, 1.0])


@pytest.mark.parametrize(
    ("forward", "backward", "inputs"),
    [
        (relu, lambda d, x: d * (x > 1), [np.ones((3, 4))]),
        (relu, lambda d, x: d * (x > 1), [np.eye(3)]),
        (lambda x: (np.tanh(x), x), lambda d, x: d * (1 - np.tanh(x) ** 2) * (x != 1), [INTEGERS / 2]),
        (lambda x: (x**2, x), lambda d, x: np.where(x < 3, 2 * x * d, 0 * d), [INTEGERS]),
        (lambda x: (np.clip(x, -2, 2), x), lambda d, x: d * (np.abs(x) < 1), [INTEGERS]),
        (lambda x: (np.clip(x, 0, 6), x), lambda d, x: d * ((x > 0) & (x < 5)), [INTEGERS]),
        (
            lambda x: (np.clip(x, 0, 1), x),
            lambda d, x: 1.02 * d * ((x > 0) & (x < 1)),
            [np.array([0.2, 1, 0.5, 1])],
        ),
        (huber, with_huber(1.0), RESIDUALS),
    ],
)
def test_a_mask_with_a_wrong_threshold_is_found(forward, backward, inputs):
    with pytest.raises(GradientMismatch):
        check_layer((forward, backward), *inputs)


def test_and_so_it_is_by_the_tape_alone():
    wrong = mg.rule(lambda x: np.maximum(x, 0), lambda g, out, x: g * (x > 1))
    for x in (np.ones(3), np.arange(4.0), np.eye(3)):
        for order in (1, 2):
            with pytest.raises(GradientMismatch):
                check_grads(wrong, x, order=order)


@pytest.mark.parametrize(
    ("forward", "backward", "inputs"),
    [
        (relu, lambda d, x: d * (x > 0), [INTEGERS]),
        (relu, lambda d, x: d * (x >= 0), [INTEGERS]),
        (lambda x: (np.clip(x, 0, 1), x), lambda d, x: d * ((x > 0) & (x < 1)), [np.array([0.2, 1, 0.5, 1])]),
        (huber, with_huber(2.0), RESIDUALS),
    ],
)
def test_a_right_gradient_on_a_kink_is_not_refused(forward, backward, inputs):
    check_layer((forward, backward), *inputs)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_sums_of_what_has_kinks_one_by_one(seed, factor):
    """A product with integers has zeros, in front of a relu: each may have any slope of its own."""
    rng = np.random.default_rng(seed)
    x, w = [rng.integers(-2, 3, shape).astype(float) for shape in ((4, 3), (3, 4))]

    def backward(dout, cache):
        x, w = cache
        dout = dout * (x @ w > 0)
        return dout @ w.T, factor * x.T @ dout

    layer = (lambda x, w: (np.maximum(x @ w, 0), (x, w)), backward)
    assert bool(check_layer(layer, x, w, raise_on_error=False).problems) == (factor != 1)
    check_layer(mg.affine_relu, x, w, np.zeros(4))


@pytest.mark.parametrize(
    ("forward", "backward", "inputs"),
    [
        (relu, lambda d, x: np.maximum(d, 0) * (x > 0), [np.random.default_rng(5).standard_normal(5)]),
        (
            lambda x, t: (np.mean((x - t) ** 2), x - t),
            lambda d, r: (np.abs(d) * 2 * r / r.size, -np.abs(d) * 2 * r / r.size),
            [np.arange(4.0) ** 1.5, np.ones(4)],
        ),
    ],
    ids=["guided", "absolute"],
)
def test_what_is_linear_in_positive_dout_alone_is_found(forward, backward, inputs):
    with pytest.raises(GradientMismatch, match="not linear in dout"):
        check_layer((forward, backward), *inputs)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (3, 4)])
def test_a_mask_that_is_kept_in_the_layer_is_found(shape):
    class Relu:
        def forward(self, x):
            self.mask = x > 0
            return np.maximum(x, 0), None

        def backward(self, dout, cache):
            return dout * self.mask

    for seed in range(10):
        layer = Relu()
        with pytest.raises(GradientMismatch, match="after a forward with other inputs"):
            check_layer((layer.forward, layer.backward), np.random.default_rng(seed).standard_normal(shape))


def lasso(x, w, reg=1e-6):
    z = x @ w
    return np.mean(z**2) + reg * np.sum(np.abs(w)), (x, w, z, reg)


def lasso_back(dout, cache):
    x, w, z, reg = cache
    return dout * 2 * np.outer(z, w) / len(z), dout * (2 * x.T @ z / len(z) + reg * np.sign(w))


def test_a_small_part_that_is_not_analytic_is_no_mistake():
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((6, 3)), rng.standard_normal(3)
    check_layer((lasso, lasso_back), x, w)
    check_grads(lambda w: np.sum(w**2) + 1e-6 * np.sum(np.abs(w)), w)


def conv_relu(x, w):
    x, w = np.asarray(x), np.asarray(w)  # which leaves the tape out
    z = sum(x[i : len(x) - 2 + i] * w[i] for i in range(3))
    return np.maximum(z, 0), (x, w, z)


def conv_relu_back(dout, cache):
    x, w, z = cache
    dout, dx = dout * (z > 0), np.zeros_like(x)
    for i in range(3):
        dx[i : i + len(dout)] += dout * w[i]
    return dx, np.array([x[i : i + len(dout)] @ dout for i in range(3)])


def test_where_every_direction_has_kinks_the_report_says_so():
    x = np.random.default_rng(1).integers(-2, 3, 1200).astype(float)
    report = check_layer((conv_relu, conv_relu_back), x, np.array([1.0, 0.0, -1.0]))
    assert "differences at 2 entries of each input alone, since random directions have kinks" in str(report)
    x = np.random.default_rng(1).standard_normal(1200)
    assert "random directions: an error of more than" in str(
        check_layer((conv_relu, conv_relu_back), x, x[:3])
    )


@pytest.mark.parametrize(
    ("forward", "backward", "never"),
    [
        (lambda x: (mg.sigmoid(x), mg.sigmoid(x)), lambda d, s: d * s, "two factors"),
        (lambda x: (np.sin(x), x), lambda d, x: d * x, "two factors"),
        (lambda x: (np.exp(x), x), lambda d, x: d * x, "logarithm of p"),
    ],
)
def test_a_quotient_by_zero_explains_nothing(forward, backward, never):
    x = np.array([[0.0, 1.0, -2.0], [1.5, 2.0, 0.5]])
    report = check_layer((forward, backward), x, raise_on_error=False)
    assert report.problems and never not in report.diagnosis


def test_a_tiny_error_is_no_permutation():
    report = check_layer(
        (lambda b: (2 * b, None), lambda d, _: 2 * d * (1 + 1e-7 * np.arange(5))),
        np.arange(5.0),
        raise_on_error=False,
    )
    assert "reshaped" not in report.diagnosis and "correct to ~" in report.diagnosis


@pytest.mark.parametrize("size", [1e-5, 1e-6, 1e-7])
def test_where_the_function_cancels_the_differences_are_overruled(size):
    """They lose more digits than they notice."""
    x = size * np.random.RandomState(0).randn(5, 6)
    check_layer((lambda x: (np.exp(x) - 1, x), lambda d, x: d * np.exp(x)), x)
    with pytest.raises(GradientMismatch):
        check_layer((lambda x: (np.exp(x) - 1, x), lambda d, x: d * np.exp(x) * (1 + 1e-9)), x)


@pytest.mark.parametrize("mask", [np.greater, np.greater_equal])
def test_many_entries_on_kinks_are_no_mistake(mask):
    rng = np.random.default_rng(0)
    x, w = [rng.integers(-2, 3, shape).astype(float) for shape in ((60, 40), (40, 30))]

    def backward(dout, cache):
        x, w, z = cache
        dout = dout * mask(z, 0)
        return dout @ w.T, x.T @ dout

    report = check_layer((lambda x, w: (np.maximum(x @ w, 0), (x, w, x @ w)), backward), x, w)
    assert str(report).startswith("right")
    with pytest.raises(GradientMismatch):
        check_layer(
            (
                lambda x, w: (np.maximum(x @ w, 0), (x, w, x @ w)),
                lambda d, c: [1.5 * g for g in backward(d, c)],
            ),
            x,
            w,
        )
