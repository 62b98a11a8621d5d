"""The derivative at a kink, and where a formula would give 0 times infinity: what each rule's docstring states."""

import numpy as np
import pytest
from derivatives import check_call

import minigrad as mg
from minigrad import logsumexp, multiclass_hinge, relu, softmax, softmax_cross_entropy
from minigrad.gradient_check import check_grads
from minigrad.rules.reductions import to_ties

ZERO = np.array(0.0)


def gradients(f, *args):
    return mg.grad(lambda *xs: np.sum(f(*xs)), tuple(range(len(args))))(*map(np.asarray, args))


@pytest.mark.parametrize(
    ("f", "args", "expected"),
    [
        (relu, [[-1.0, 0.0, 2.0]], [[0, 0, 1]]),
        (np.abs, [[-1.0, 0.0, 2.0]], [[-1, 0, 1]]),
        (np.fabs, [[-1.0, 0.0, 2.0]], [[-1, 0, 1]]),
        (np.maximum, [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]], [[0, 0.5, 1], [1, 0.5, 0]]),
        (np.minimum, [[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]], [[1, 0.5, 0], [0, 0.5, 1]]),
        *[(f, [2.0, 2.0], [0.5, 0.5]) for f in (np.maximum, np.minimum, np.fmax, np.fmin)],
        *[(f, [2.0, 3.0], [0, 1]) for f in (np.maximum, np.fmax)],
        *[(f, [2.0, 3.0], [1, 0]) for f in (np.minimum, np.fmin)],
        (np.max, [[1.0, 3.0, 3.0]], [[0, 0.5, 0.5]]),
        (np.min, [[2.0, 1.0, 1.0, 1.0]], [[0, 1 / 3, 1 / 3, 1 / 3]]),
        (lambda x: np.max(x, axis=1), [[[1.0, 1.0], [2.0, 1.0]]], [[[0.5, 0.5], [1, 0]]]),
        (lambda x: np.clip(x, -1, 1), [[-2.0, -1.0, 0.0, 1.0, 2.0]], [[0, 0.5, 1, 0.5, 0]]),
        (np.copysign, [[0.0, 2.0], [1.0, -1.0]], [[0, -1], [0, 0]]),
        (np.std, [[2.0, 2.0, 2.0]], [[0, 0, 0]]),
        (np.prod, [[0.0, 2.0, 3.0]], [[6, 0, 0]]),
        (np.prod, [[0.0, 2.0, 0.0]], [[0, 0, 0]]),
        (lambda x: x**0.0, [[0.0, 2.0]], [[0, 0]]),
        (np.power, [[0.0, 0.0, 2.0], [0.0, 3.0, 0.0]], [[0, 0, 0], [0, 0, np.log(2)]]),
        (np.power, [[0.0, 2.0], [1.0, 3.0]], [[1, 12], [0, 8 * np.log(2)]]),
    ],
)
def test_at_kinks_and_zeros(f, args, expected):
    with np.errstate(all="raise"):
        found = gradients(f, *args)
    for g, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(g, want, rtol=1e-15, atol=0)


def test_a_margin_of_zero_has_no_part_in_the_hinge():
    scores, y = np.array([[2.0, 1.0, 0.0]]), np.array([0])
    np.testing.assert_array_equal(mg.grad(multiclass_hinge)(scores, y), [[0, 0, 0]])
    np.testing.assert_array_equal(mg.grad(multiclass_hinge)(np.array([[2.0, 1.5, 0.0]]), y), [[-1, 1, 0]])


@pytest.mark.parametrize("size", [1e3, -1e3, 1e308])
def test_large_scores_neither_overflow_nor_vanish(size):
    x = np.array([[size, size, 0.0]])
    top = 0.5 if size > 0 else 0.0
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        np.testing.assert_allclose(mg.grad(lambda x: logsumexp(x).sum())(x), [[top, top, 1 - 2 * top]])
        np.testing.assert_allclose(softmax(x), [[top, top, 1 - 2 * top]])
        loss, dx = mg.value_and_grad(softmax_cross_entropy)(x, np.array([2]))
    np.testing.assert_allclose(dx, [[top, top, -2 * top]])
    assert loss == pytest.approx(size + np.log(2) if size > 0 else 0.0)


def test_logsumexp_keeps_the_axis():
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(logsumexp(x, axis=0, keepdims=True), logsumexp(x, axis=0)[None])


def test_log_softmax_of_large_scores():
    x = np.array([[1e3, 0.0, -1e3]])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        np.testing.assert_array_equal(mg.log_softmax(x), [[0, -1e3, -2e3]])


def test_a_bias_of_another_dtype_is_added_as_numpy_would():
    x, w, b = np.ones((2, 3), np.float32), np.ones((3, 2), np.float32), np.array([0.1, -0.1])
    out = mg.affine(x, w, b)
    assert out.dtype == np.float64
    np.testing.assert_array_equal(out, x @ w + b)


def test_an_axis_that_is_none_is_refused_as_by_numpy():
    x = mg.tensor(np.ones((2, 3)), requires_grad=True)
    for axis in (2, -3):
        with pytest.raises(np.exceptions.AxisError):
            np.concatenate([x, x], axis=axis)


def test_logsumexp_of_nothing_likely():
    x = np.array([[-np.inf, -np.inf], [-np.inf, 1.0]])
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(logsumexp(x), [-np.inf, 1.0])


def test_forms_that_are_seldom_drawn():
    a, b, c = np.arange(6.0).reshape(2, 3), np.array([1.0, -2.0, 0.5]), np.arange(12.0).reshape(2, 2, 3)
    weights = np.arange(1.0, 10.0)
    cases = [
        (lambda x: np.clip(x, 1.5, None), [a]),
        (lambda x: np.clip(x, None, 3.5), [a]),
        (lambda x, y: np.concatenate([x, y], axis=None) * weights, [a, b]),
        (lambda x, y: x @ y, [c, b]),  # a stack and a vector
        (lambda x, y: y @ np.swapaxes(x, -1, -2), [c, b]),
        (lambda x, y: np.einsum("...i,...i->...", x, y), [b, 2 * b]),
        (lambda x: np.einsum("...ij->...ji", x) * c.swapaxes(-1, -2), [c]),
        (lambda x: logsumexp(x, axis=0, keepdims=True), [a]),
        (lambda x, y: mg.affine(x, y, b.astype(np.float32)), [a, c[0].T @ a]),
        (lambda x: mg.affine(x, c[0].T @ a, b), [a]),
        (lambda w: np.where(w, a, 2 * a), [b]),
    ]
    for f, args in cases:
        check_grads(lambda *xs, f=f: np.sum(f(*xs) ** 2), *args, order=2)


@pytest.mark.parametrize("function", [np.logaddexp, np.logaddexp2])
def test_logaddexp_at_infinities(function):
    """What weighs nothing gets nothing, and infinities that tie get a half each."""
    inf = np.inf
    x = mg.tensor([-inf, inf, 1.0, -inf, inf], requires_grad=True)
    y = mg.tensor([-inf, inf, -inf, 2.0, 3.0], requires_grad=True)
    function(x, y).backward(np.ones(5))
    np.testing.assert_array_equal(x.grad, [0, 0.5, 1, 0, 1])
    np.testing.assert_array_equal(y.grad, [0, 0.5, 0, 1, 0])


def test_hypot_at_the_origin_and_fmax_beside_nan():
    x, y = (mg.tensor([0.0, 0.0], requires_grad=True) for _ in range(2))
    np.hypot(x, y).backward(np.ones(2))
    np.testing.assert_array_equal([x.grad, y.grad], np.zeros((2, 2)))
    for function in (np.fmax, np.fmin):
        x = mg.tensor([1.0, np.nan, 3.0], requires_grad=True)
        y = mg.tensor([np.nan, 2.0, 3.0], requires_grad=True)
        function(x, y).backward(np.ones(3))
        np.testing.assert_array_equal(x.grad, [1, 0, 0.5])
        np.testing.assert_array_equal(y.grad, [0, 1, 0.5])


def test_nan_to_num_is_constant_where_it_replaces():
    t = mg.tensor([np.nan, np.inf, -np.inf, 2.0], requires_grad=True)
    np.nan_to_num(t).backward(np.ones(4))
    np.testing.assert_array_equal(t.grad, [0, 0, 0, 1])


def test_narrow_and_unsigned_integers_do_not_wrap():
    x = mg.tensor([1e10, 2.0, 3.0], requires_grad=True)
    (x ** np.array([0, 1, 2], np.uint8)).backward(np.ones(3))
    np.testing.assert_array_equal(x.grad, [0, 1, 6])
    x = mg.tensor(1.5, requires_grad=True)
    (x ** np.int8(-128)).backward()
    np.testing.assert_allclose(x.grad, -128 * 1.5**-129.0)
    x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    np.roll(x, np.uint8(1)).backward(np.arange(3.0))
    np.testing.assert_array_equal(x.grad, [1, 2, 0])
    np.testing.assert_allclose(mg.sigmoid(np.array([0, 200], np.uint8)), [0.5, 1])


def test_sigmoid_of_complex_numbers():
    z = np.array([1j, 0.5 - 2j, -3 + 0.1j])
    np.testing.assert_allclose(mg.sigmoid(z), 1 / (1 + np.exp(-z)), rtol=1e-15)
    assert mg.sigmoid(1j) == pytest.approx(0.5 + 0.27315124492189524j)
    with np.errstate(over="raise", invalid="raise"):
        np.testing.assert_array_equal(mg.sigmoid(np.array([800 + 1j, -800 + 1j])), [1, 0])


def test_an_infinite_gradient_of_what_is_not_chosen():
    """`np.where` selects; a derivative of 0 times it is NaN, and not a number that would be wrong."""
    x, infinite = np.array([-1.0, 4.0]), np.full(2, np.inf)
    np.testing.assert_array_equal(mg.vjp(lambda x: np.where(x > 0, x, 0), x)[1](infinite)[0], [0, np.inf])
    with np.errstate(invalid="ignore"):
        for f in (mg.relu, lambda x: np.maximum(x, 0), lambda x: np.clip(x, 0, 5)):
            np.testing.assert_array_equal(mg.vjp(f, x)[1](infinite)[0], [np.nan, np.inf])


def test_a_nan_beside_an_infinite_gradient_stays_one():
    shares, hits = np.array([[np.inf], [np.nan]]), np.array([[True, False], [False, True]])
    np.testing.assert_array_equal(to_ties(shares, hits), [[np.inf, 0], [np.nan, np.nan]])


@pytest.mark.parametrize("dtype", ["f8", "f4", ">f8"])
@pytest.mark.parametrize(
    ("bounds", "options"),
    [
        *[((), {}), ((None, None), {}), ((0.5,), {}), ((0.5, 1.0), {}), ((None, 1.0), {}), ((0.5, None), {})],
        *[
            ((), {"a_max": 1.0}),
            ((), {"min": 0.5}),
            ((), {"min": None, "max": 1.0}),
            ((), {"a_min": 0, "a_max": 1}),
        ],
        *[((0.5, 1.0), {"min": 0.75}), ((0.5, 1.0), {"max": None}), ((0.5,), {"max": 1.0})],
    ],
)
def test_bounds_of_clip_are_those_that_numpy_takes(bounds, options, dtype):
    check_call(lambda x: np.clip(x, *bounds, **options), np.array([0.25, 0.75, 1.5], dtype))
    if not options and len(bounds) != 1:
        check_call(lambda x: x.clip(*bounds), np.array([0.25, 0.75, 1.5], dtype))
