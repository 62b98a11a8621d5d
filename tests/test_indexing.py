"""Writing at an index: second derivatives of what is not linear, one operand alone, and masks that are captured."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import check_grads
from minigrad.rules import indexing
from minigrad.rules.indexing import add_at, setitem

X = np.arange(12.0).reshape(3, 4) / 5 - 1.1
ROWS = np.array([0, 2, 2])


@pytest.mark.parametrize(
    "index",
    [
        1,
        (slice(None), -1),
        ROWS,
        (ROWS, np.array([1, 0, 0])),
        [0, 0],
        ([0, 2], slice(1, 3)),
        X > 0,
        (slice(1, 1),),
    ],
    ids=str,
)
def test_what_is_not_linear_after_a_write(index):
    for value in (np.array(0.5), np.cos(X[index])):
        check_grads(lambda a, v: np.sin(setitem(a, v, index)) * X, X, value, order=2)
        check_grads(lambda a, v=value: np.sin(setitem(a, v, index)) * X, X, order=2)
        check_grads(lambda v: np.sin(setitem(X, v, index)) * X, value, order=2)


@pytest.mark.parametrize("which", [0, (0, 1)])
def test_a_mask_that_is_captured(which):
    def f(a, v):
        return np.sum(np.sin(setitem(a, v, a > 0)) * (2 + a))

    compiled = mg.jit(mg.grad(f, which))
    for _ in range(2):
        got, want = compiled(X, 0.5), mg.grad(f, which)(X, 0.5)
        for x, y in zip(*([each] if which != (0, 1) else each for each in (got, want)), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-14)


def test_a_part_of_an_index_that_is_captured():
    """Where the gradient that comes in is a constant."""

    def f(a, v, rows):
        return np.sum(setitem(a, v, (rows, 0)))

    compiled = mg.jit(mg.grad(f, (0, 1)))
    for rows in (np.array([0, 2]), np.array([1, 0])):
        for got, want in zip(compiled(X, 0.5, rows), mg.grad(f, (0, 1))(X, 0.5, rows), strict=True):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128, np.int16])
@pytest.mark.parametrize("order", ["C", "F"])
def test_rows_are_added_as_numpy_adds_them(dtype, order):
    """Bit for bit: one after the other where an index repeats."""
    rng = np.random.default_rng(0)
    total = np.array(rng.standard_normal((5, 6, 70)) * 100, dtype, order=order)
    first, second = rng.integers(-5, 5, (40, 3)), rng.integers(-6, 6, 3)
    indices = [
        first[:, 0],
        first,
        first.astype(np.int8),
        (first, second),
        (first[:, :1], second.astype(np.uint8) % 6),
        (first, second, first % 70),
        (slice(None), second),
        (first, 2),
        ([0, 1, 0] * 9,),
        first[:1, 0],
    ]
    for index in indices:
        shape = total[index].shape
        for part in (rng.standard_normal(shape), rng.standard_normal(shape[::-1]).T, rng.standard_normal(70)):
            if shape[-1:] != part.shape[-1:]:
                continue
            part = (part * 100).astype(dtype)
            got, want = total.copy(order), total.copy(order)
            add_at(got, index, part)
            np.add.at(want, index, part)
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    "index",
    [np.array([5] * 20), (np.array([0] * 20), np.array([-7] * 20)), (np.array([0] * 20), np.array([6] * 20))],
)
def test_rows_that_are_not_there_are_refused_as_numpy_does(index):
    total, part = np.zeros((5, 6, 70)), np.ones(np.zeros((9, 9, 70))[index].shape)
    with pytest.raises(IndexError) as expected:
        np.add.at(total, index, part)
    with pytest.raises(IndexError, match=str(expected.value)):
        add_at(total, index, part)


def test_many_rows_are_added_some_at_a_time(monkeypatch):
    monkeypatch.setattr(indexing, "CHUNK", 200)
    rng = np.random.default_rng(0)
    index, part = rng.integers(0, 7, 100), rng.standard_normal((100, 30))
    got, want = np.zeros((7, 30)), np.zeros((7, 30))
    add_at(got, index, part)
    np.add.at(want, index, part)
    np.testing.assert_array_equal(got, want)
