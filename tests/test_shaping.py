"""Turns and shifts of every kind: NumPy's values, and their gradients."""

import numpy as np
import pytest
from derivatives import check_rule

import minigrad as mg

X = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize("k", range(-5, 6))
@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (2, 0), (-1, 1)])
def test_quarter_turns(k, axes):
    check_rule(lambda x: np.rot90(x, k, axes), X)


@pytest.mark.parametrize(
    ("shift", "axis"),
    [
        (3, None),
        (-2, 1),
        (np.uint8(1), 2),
        ((1, -2), (0, 2)),
        ((1, 2), 1),
        (2, (0, 1)),
        (np.array([1, 2]), (2, 2)),
        (np.array(2), np.array(1)),
    ],
    ids=str,
)
def test_shifts(shift, axis):
    if np.__version__.startswith("2.0."):  # which negates unsigned shifts
        shift = np.asarray(shift, int).tolist()
    check_rule(lambda x: np.roll(x, shift, axis), X)


@pytest.mark.parametrize("order", ["A", "K"])
def test_orders_of_entries_that_lie_in_rows_are_those_of_rows(order):
    for f in (
        lambda x: np.ravel(x, order),
        lambda x: x.flatten(order),
        lambda x: np.ravel(x + 1, order=order),
    ):
        t = mg.tensor(X, requires_grad=True)
        np.testing.assert_array_equal(f(t).data, f(X))
        np.testing.assert_array_equal(
            mg.grad(lambda x, f=f: np.sum(f(x) * np.arange(X.size)))(X).ravel(), range(X.size)
        )
    with pytest.raises(TypeError, match=f"ravel: no backward rule with order='{order}'"):
        np.ravel(mg.tensor(np.asfortranarray(X), requires_grad=True), order)


def test_copies_and_casts_take_numpys_options():
    for f in (
        lambda x: x.copy("C"),
        lambda x: x.copy(order="F"),
        lambda x: np.copy(x, order="K"),
        lambda x: x.astype(float, order="K"),
        lambda x: x.astype("f8", "C", "same_kind", True, True),
        lambda x: np.nan_to_num(x, copy=True),
        lambda x: np.median(x, overwrite_input=False),
    ):
        check_rule(lambda x, f=f: f(x) * 1.0, X)
    with pytest.raises(ValueError, match="order must be one of"):
        mg.tensor(X, requires_grad=True).copy("X")
    with pytest.raises(ValueError, match="order is 'X'"):
        mg.tensor(X, requires_grad=True).astype(float, "X")


def test_an_entry_at_an_index_is_a_number():
    t = mg.tensor(X, requires_grad=True)
    for index in ((0,), (X.ndim - 1,), ((0,) * X.ndim,), (-1,)):
        assert t.item(*index) == X.item(*index)
    with pytest.raises(IndexError):
        t.item(X.size)
