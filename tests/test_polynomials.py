"""Polynomials: every order and constant of integration, numbers in the place of arrays, and what is refused."""

import warnings

import numpy as np
import pytest
from derivatives import check_call, check_rule

import minigrad as mg

P = np.array([1.5, -0.5, 0.25])


@pytest.mark.parametrize("m", [0, 1, 2])
def test_derivatives_and_integrals(m):
    check_rule(lambda p: np.polyder(p, m), P)
    for k in [None, 0.5, [0.5], [0.25, 0.5], np.array([0.25, 0.5])]:
        if m or k is None:
            check_rule(lambda p, k=k: np.polyint(p, m, k), P)
    if m:
        check_rule(lambda p, k: np.polyint(p, m, k), P, np.float64(0.5))


@pytest.mark.parametrize("q", [np.float64(2.0), np.array([2.0]), np.array([2.0, 1.0, 0.5, 0.25])])
def test_sums_and_differences(q):
    for f in (np.polyadd, np.polysub):
        check_rule(f, P, q)
        check_rule(f, q, P)


@pytest.mark.parametrize("increasing", [False, True])
@pytest.mark.parametrize("n", [None, 0, 1, 2, 4])
def test_vander(n, increasing):
    check_rule(lambda x: np.vander(x, n, increasing), P)


def test_matrices_are_added_as_numpy_adds_them():
    check_rule(np.polyadd, np.outer(P, P), np.outer(P, P + 1))


def test_constants_do_not_widen_the_dtype():
    p = P.astype(np.float32)
    assert np.polyint(mg.tensor(p, requires_grad=True), 1, 0.5).dtype == np.polyint(p, 1, 0.5).dtype


def test_values_at_numbers():
    check_rule(lambda p: np.polyval(p, 0.5), P)
    check_rule(lambda x: np.polyval([1.0, 2.0, 3.0], x), P)


def test_orders_and_constants_that_do_not_fit_are_refused():
    p = mg.tensor(P, requires_grad=True)
    for coefficients, shape in ((2.0, r"\(\)"), (np.ones((2, 3)), r"\(2, 3\)")):
        with pytest.raises(ValueError, match=f"polyval: p has shape {shape}; expected one axis"):
            np.polyval(coefficients, p)
    for f in (np.polyder, np.polyint):
        with pytest.raises(ValueError, match="m is -1; expected 0 or more"):
            f(p, -1)
    with pytest.raises(ValueError, match="k has 2 entries; expected one, or 3"):
        np.polyint(p, 3, [1.0, 2.0])


@pytest.mark.parametrize("function", [np.polyder, np.polyint])
@pytest.mark.parametrize("m", [0, 1, 2, 1.5])
def test_shapes_are_those_that_numpy_takes(function, m):
    for p in (P, P[0], P[:1], np.eye(3)):
        check_call(lambda p: function(p, m), np.array(p))


def test_large_integers_as_coefficients_do_not_wrap():
    p, x = np.array([2**62, -(2**63), 5]), np.array([0.5, 1.5])
    np.testing.assert_allclose(mg.elementwise_grad(lambda x: np.polyval(p, x))(x), 2.0**63 * x - 2.0**63)


Q = np.array([2.0, 1.0, -0.5])


@pytest.mark.parametrize("q", [Q, Q[:1], np.array([3.0, 1.0, 2.0, -1.0]), 2.0])
def test_products(q):
    check_rule(np.polymul, P, np.asarray(q))
    check_rule(lambda p: np.polymul(p, [0.0, 0.0, 2.0, 1.0]), P)
    np.testing.assert_array_equal(
        np.polymul(mg.tensor(P, requires_grad=True), np.zeros(2)).numpy(), np.zeros(3)
    )


def test_roots_and_their_product():
    for roots in ([2.0], [1.0, -3.0, 0.5]):
        check_rule(np.poly, np.array(roots))
    for roots in ([2.0], [1.0, -3.0, 0.5], [1 + 2j, 1 - 2j, 3.0]):
        check_rule(lambda p: np.sum(np.abs(np.roots(p) - 0.3)), np.poly(roots))
    check_rule(lambda r: np.abs(np.poly(r[:2] + 1j * r[2:])), np.array([1.0, -0.5, 2.0, 0.25]))
    check_rule(lambda r: np.poly(np.stack([r[0] + 1j * r[1], r[0] - 1j * r[1]])), np.array([1.0, 2.0]))
    check_rule(np.poly, np.array([[2.0, 1.0], [0.5, -1.0]]))
    assert np.poly([]) == mg.value_and_grad(lambda r: np.poly(r) + np.sum(r))(np.zeros(0))[0] == 1
    for p in ([3.0], []):
        assert np.roots(mg.tensor(p, requires_grad=True)).shape == np.roots(p).shape == (0,)
    with pytest.raises(ValueError, match="square 2d"):
        np.poly(mg.tensor(np.ones((2, 3)), requires_grad=True))


def test_coefficients_that_are_left_out_are_refused_where_their_gradient_would_be_lost():
    zero_first, zero_last = (mg.tensor(p, requires_grad=True) for p in ([0.0, 1.0, 2.0], [1.0, 2.0, 0.0]))
    for call in (
        lambda: np.polymul(zero_first, P),
        lambda: np.roots(zero_first),
        lambda: np.roots(zero_last),
    ):
        with pytest.raises(ValueError, match="whose gradient would be lost"):
            call()
    for function in (np.polymul, np.polydiv):
        with pytest.raises(TypeError, match="shape depends on them"):
            mg.jit(function)(P, Q)


X = np.array([-1.0, 0.5, 1.0, 2.0, 3.5])


@pytest.mark.parametrize("y", [np.sin(X), np.stack([np.sin(X), np.cos(X)], axis=1)])
@pytest.mark.parametrize("deg", [0, 1, 3])
def test_fits(y, deg):
    weights = np.linspace(0.5, 1.5, len(X))
    check_rule(lambda x, y: np.polyfit(x, y, deg), X, y)
    check_rule(lambda x, y, w: np.polyfit(x, y, deg, w=w), X, y, weights)
    check_rule(lambda x, y: np.polyfit(x, y, deg, cov=True), X, y)
    check_rule(lambda x, y: np.polyfit(x, y, deg, cov="unscaled"), X, y)
    check_call(lambda x, y: np.polyfit(x, y, deg, 1e-12, w=weights), X, y)
    ours, numpys = (np.polyfit(x, y, deg, full=True) for x in (mg.tensor(X, requires_grad=True), X))
    for a, b in zip(ours, numpys, strict=True):
        np.testing.assert_allclose(mg.stop_gradient(a), b, atol=1e-13)
    assert ours[4] == numpys[4]
    assert np.polyfit(mg.tensor(X, requires_grad=True), y, deg, 1e-3, full=True)[4] == 1e-3


def test_fits_that_numpy_refuses_or_warns_of():
    t = mg.tensor(X, requires_grad=True)
    for x, y in ((t, X[:3]), (t[:0], X[:0]), (t.reshape(-1, 1), X), (t, np.float64(1))):
        with pytest.raises(TypeError, match="polyfit: x and y have shapes"):
            np.polyfit(x, y, 1)
    with pytest.raises(TypeError, match="polyfit: w has shape"):
        np.polyfit(t, X, 1, w=np.ones(2))
    with pytest.raises(ValueError, match="deg >= 0"):
        np.polyfit(t, X, -1)
    with pytest.raises(ValueError, match="must exceed order"):
        np.polyfit(t[:2], X[:2], 1, cov=True)
    for x in (t[:2], X[:2]):
        with pytest.warns(np.exceptions.RankWarning):
            np.polyfit(x, X[:2], 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.polyfit(t[:2], X[:2], 3, full=True)
