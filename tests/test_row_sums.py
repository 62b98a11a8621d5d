"""Sums along rows of memory are NumPy's, however arrays lie there, and as accurate."""

from itertools import combinations, permutations

import numpy as np
import pytest

from minigrad.rules.metadata import is_outline, ones, outline
from minigrad.rules.row_sums import LARGE, row_sums, row_sums_of_products, sums, sums_of_products

SHAPES = [(), (7,), (0,), (0, 3), (3, 0), (300, 2), (2, 300), (3, 2, 150), (2, 15, 3, 9)]


def memory(x):
    """The array in every order of its axes in memory, backwards, and with a stride of 0."""
    for order in permutations(range(x.ndim)):
        yield x.transpose(order).copy().transpose(np.argsort(order).astype(int))
    if x.size:
        yield x[..., ::-1] if x.ndim else x
        yield np.broadcast_to(x.flat[0], x.shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums_are_numpys(shape, dtype):
    rng = np.random.default_rng(0)
    integers = rng.integers(-9, 9, shape) + (1j if np.dtype(dtype).kind == "c" else 0)
    y = np.asarray(rng.integers(-9, 9, shape), dtype)  # sums of integers are exact, in any order
    for x in memory(np.asarray(integers, dtype)):
        for k in range(x.ndim + 1):
            for axes in combinations(range(x.ndim), k):
                np.testing.assert_array_equal(row_sums(x, axes), x.sum(axes, keepdims=True), strict=True)
                expected = (x * y).sum(axes, keepdims=True)
                np.testing.assert_array_equal(row_sums_of_products(x, y, axes), expected, strict=True)
    if shape:
        np.testing.assert_array_equal(row_sums_of_products(y, y, (-1,)), (y * y).sum(-1, keepdims=True))


def test_rows_are_short_and_their_sums_added_pairwise():
    x = np.random.default_rng(0).uniform(0.5, 1, (4, 2**9, 2**9)).astype(np.float32)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(sums(x, (1, 2)), wide.sum((1, 2), keepdims=True), rtol=2e-7)
    squares = np.square(wide).sum((1, 2), keepdims=True)
    np.testing.assert_allclose(sums_of_products(x, x, (1, 2)), squares, rtol=2e-7)


@pytest.mark.parametrize("n", [1, LARGE - 1, LARGE])
def test_of_few_numbers_and_of_many_it_is_the_same(n):
    x = np.arange(n) % 5.0
    assert sums(x, (0,)) == np.sum(x)
    assert sums_of_products(x, x + 1, (0,)) == np.sum(x * (x + 1))


def test_the_axes_of_small_arrays_are_kept_too():
    x = np.ones((2, 3))
    assert sums(x, (0,)).shape == sums_of_products(x, x, (0,)).shape == (1, 3)


def test_ones_that_are_kept_cannot_be_written_to():
    kept = ones((2, 3), np.dtype(np.float32))
    assert kept.dtype == np.float32
    np.testing.assert_array_equal(kept, np.ones((2, 3)))
    for array in (kept, kept.T, kept[1:]):
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True
    assert is_outline(outline((2, 3))) and not is_outline(kept)


@pytest.mark.parametrize("axes", [(), (0,), (1,), (-1,), (0, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_of_small_arrays_are_numpys_too(axes, dtype):
    x = np.arange(12, dtype=dtype).reshape(3, 4)
    for each in (x, x.T, x[::-1, ::2]):
        np.testing.assert_array_equal(sums(each, axes), each.sum(axes, keepdims=True), strict=True)
        products = sums_of_products(each, each + 1, axes)
        np.testing.assert_array_equal(products, (each * (each + 1)).sum(axes, keepdims=True), strict=True)
