"""Sums over axes, of entries or of the products of two arrays, along runs of memory, by the BLAS.

NumPy does not vectorize the sum of a row, adds columns up row by row, and stores the products first. Rows are kept
short, and their sums are added up pairwise, as NumPy adds: so they are as accurate.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .metadata import ones
from .overriding import whole
from .reductions import axes_of
from .table import Arguments, Draw, declare

Axes = tuple[int, ...]
LARGE = 20_000
"""The size from which looking for rows costs less than it saves."""
LONG = 100
"""Entries of a row: as many of the last axes in memory as it takes."""


def _run(x: Any, axes: Axes) -> tuple[list[int], int, int]:
    """Return x's axes as they lie in memory, and from which to which they are summed at once: the last to be summed."""
    axes = axes_of(x, axes)
    order = sorted(range(x.ndim), key=lambda i: -abs(x.strides[i]))
    stop = x.ndim
    while stop and order[stop - 1] not in axes:
        stop -= 1
    start, length = stop, 1
    while start and order[start - 1] in axes and (stop < x.ndim or length < LONG):
        start -= 1
        length *= x.shape[order[start]]
    return order, start, stop


def _added(partial: Any, order: list[int], axes: Axes) -> Any:
    """Add up partial sums, whose axes are in this order."""
    return np.add.reduce(partial.transpose(np.argsort(order).astype(int)), axis=axes, keepdims=True)


@whole(memory="new")
def row_sums(x: Any, axes: Axes) -> Any:
    """Return the sums of floats over axes, which are kept with length 1."""
    order, start, stop = _run(x, axes)
    x = x.transpose(order)
    before, after = x.shape[:start], x.shape[stop:]
    row = np.ones(math.prod(x.shape[start:stop]), x.dtype)
    runs = x.reshape(*before, len(row), math.prod(after))
    partial = row @ runs if after else runs[..., 0] @ row
    return _added(partial.reshape((*before, *[1] * (stop - start), *after)), order, axes)


@whole(memory="new")
def row_sums_of_products(x: Any, y: Any, axes: Axes) -> Any:
    """Return the sums of the products of two arrays of one shape."""
    order, start, stop = _run(x, axes)
    if stop < x.ndim:
        kept = [i for i in range(x.ndim) if i not in axes_of(x, axes)]
        return np.expand_dims(np.einsum(x, range(x.ndim), y, range(x.ndim), kept), axes)
    x, y = x.transpose(order), y.transpose(order)
    before, length = x.shape[:start], math.prod(x.shape[start:])
    partial = x.reshape(*before, 1, length) @ y.reshape(*before, length, 1)
    return _added(partial.reshape((*before, *[1] * (stop - start))), order, axes)


def sums(x: Any, axes: Axes) -> Any:
    """Return `row_sums`; of a small array NumPy's."""
    if x.size >= LARGE:
        return row_sums(x, axes)
    if x.ndim == 2 and axes == (0,):  # in half the time
        return np.dot(ones((1, len(x)), x.dtype), x)
    return np.add.reduce(x, axis=axes, keepdims=True)


def sums_of_products(x: Any, y: Any, axes: Axes) -> Any:
    """Return `row_sums_of_products`; of small arrays `sums` of the products."""
    return row_sums_of_products(x, y, axes) if x.size >= LARGE else sums(x * y, axes)


def _axes(draw: Draw, ndim: int) -> Axes:
    return tuple(i for i in range(ndim) if draw.choice([False, True]))


def _sums_inputs(draw: Draw) -> Arguments:
    x = draw.array()
    return (x, _axes(draw, x.ndim)), {}


def _products_inputs(draw: Draw) -> Arguments:
    x = draw.array()
    return (x, draw.array(x.shape), _axes(draw, x.ndim)), {}


declare(row_sums, lambda g, out, x, axes: g, inputs=_sums_inputs)
declare(
    row_sums_of_products,
    lambda g, out, x, y, axes: g * y,
    lambda g, out, x, y, axes: g * x,
    inputs=_products_inputs,
)
