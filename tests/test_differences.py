"""Differences by every option: NumPy's values, and their gradients; and what is refused."""

import numpy as np
import pytest
from derivatives import check_call, check_rule

import minigrad as mg


@pytest.mark.parametrize(
    ("spacings", "message"),
    [
        (([0.0, 1.0],), r"a spacing has shape \(2,\); expected a number, or 3 coordinates for axis 0"),
        ((np.ones((3, 3)),), r"a spacing has shape \(3, 3\)"),
        ((1.0, 2.0), "2 spacings for 1 axes"),
    ],
)
def test_spacings_that_do_not_fit_are_refused(spacings, message):
    with pytest.raises((TypeError, ValueError), match=rf"numpy\.gradient: {message}"):
        np.gradient(mg.tensor([1.0, 2.0, 4.0], requires_grad=True), *spacings)


X = np.random.default_rng(0).permutation(12).reshape(3, 4) / 3
PLACES = {3: np.array([0.0, 0.5, 1.75]), 4: np.array([-1.0, 0.5, 1.0, 2.5])}


@pytest.mark.parametrize("edge_order", [1, 2])
@pytest.mark.parametrize("axis", [None, 0, -1, (1, 0)], ids=str)
def test_gradients_along_any_axes(axis, edge_order):
    along = (0, 1) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    places = [PLACES[X.shape[each]] for each in along]
    for spacings in ([], [0.5], [0.5 + each for each in along], places):
        check_rule(lambda f, s=spacings: np.gradient(f, *s, axis=axis, edge_order=edge_order), X)
    check_rule(lambda *s: np.gradient(X, *s, axis=axis, edge_order=edge_order), *places)


@pytest.mark.parametrize(
    "ends", [(), (0.5,), (None, 0.5), ([0.5, 1.0], 2.0), (np.array([0.5]), np.ones((1, 2)))], ids=str
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_of_differences(dtype, ends):
    x = X.astype(dtype)
    got, want = np.ediff1d(mg.tensor(x, requires_grad=True), *ends), np.ediff1d(x, *ends)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.data, want)


def test_ends_alone_may_have_gradients():
    check_rule(lambda end: np.diff([1.0, 2.0, 4.0], append=end, prepend=0.5), np.float64(3.0))


def test_orders_below_0_are_refused():
    with pytest.raises(ValueError, match="n is -1; expected 0 or more"):
        np.diff(mg.tensor(X, requires_grad=True), -1)


@pytest.mark.parametrize("edge_order", [1, 2])
def test_too_few_entries_for_a_slope_are_refused(edge_order):
    f = mg.tensor(np.ones((edge_order, 3)), requires_grad=True)
    with pytest.raises(
        ValueError, match=f"axis 0 has length {edge_order}; expected {edge_order + 1} or more"
    ):
        np.gradient(f, axis=0, edge_order=edge_order)


def test_lists_beside_tensors():
    values = [1.0, 2.0, 4.0]
    check_rule(lambda h: np.gradient(values, h), np.array(0.5))
    check_rule(lambda x: np.trapezoid(values, x), np.array([0.0, 1.0, 3.0]))


@pytest.mark.parametrize("ends", [{}, {"to_end": 1.0}, {"to_begin": [0.5, 2.0]}])
def test_ediff1d_keeps_the_byte_order(ends):
    check_call(lambda x: np.ediff1d(x, **ends), np.arange(3.0).astype(">f8"))


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 2), (1,)])
def test_the_trapezoidal_rule_of_no_entries(shape):
    for axis in range(len(shape)):
        check_call(lambda y, axis=axis: np.trapezoid(y, axis=axis), np.ones(shape))
    check_call(lambda y: np.trapezoid(y, x=y), np.ones(shape))


@pytest.mark.parametrize(
    "spacing",
    [
        np.uint8(250),
        np.int8(100),
        np.array(200, "u1"),
        np.array([255, 3, 1, 0], "u1"),
        np.array([90, 1, -90, -128], "i1"),
    ],
)
@pytest.mark.parametrize("edge_order", [1, 2])
def test_narrow_integers_as_a_spacing_do_not_wrap(spacing, edge_order):
    f = np.array([1.0, 4.0, 2.0, 8.0])
    check_rule(lambda f: np.gradient(f, spacing, edge_order=edge_order), f)
