"""Polynomials: every order and constant of integration, numbers in the place of arrays, and what is refused."""

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
