"""Writing at an index: second derivatives of what is not linear, one operand alone, and masks that are captured."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import check_grads
from minigrad.rules.indexing import setitem

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
