"""Sums over axes, and of the products of two arrays' entries, along rows of memory, by the BLAS.

NumPy adds up a row one number after the other and makes an array of the products; the BLAS takes many numbers at once.
Rows are kept short: their sums are added up by `numpy.sum`, and are as accurate.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .reductions import axes_of
from .table import Arguments, Draw, declare, whole

Axes = tuple[int, ...]
LARGE = 20_000
"""The size from which looking for rows costs less than it saves."""
LONG = 100
"""Entries of a row: as many of the last axes in memory as it takes."""


def _rows(x: Any, axes: Axes) -> tuple[list[int], int]:
    """Return x's axes as they lie in memory, and how many of the last make a row that is summed."""
    axes = axes_of(x, axes)
    order = sorted(range(x.ndim), key=lambda i: -abs(x.strides[i]))
    taken, length = 0, 1
    while taken < x.ndim and length < LONG and order[-taken - 1] in axes:
        taken += 1
        length *= x.shape[order[-taken]]
    return order, taken


def _in_rows(x: Any, order: list[int], taken: int) -> Any:
    """Return x with its axes in this order, the last ones made one."""
    x = x.transpose(order)
    kept = x.ndim - taken
    return x.reshape(*x.shape[:kept], math.prod(x.shape[kept:]))


def _added(rows: Any, order: list[int], axes: Axes) -> Any:
    """Add up the sums of rows, which have the first axes of the order."""
    rows = rows.reshape(*rows.shape, *[1] * (len(order) - rows.ndim))
    return np.add.reduce(rows.transpose(np.argsort(order)), axis=axes, keepdims=True)


@whole(memory="new")
def row_sums(x: Any, axes: Axes) -> Any:
    """Return the sums of floats over axes, which are kept with length 1."""
    order, taken = _rows(x, axes)
    if not taken:
        return np.add.reduce(x, axis=axes, keepdims=True)
    rows = _in_rows(x, order, taken)
    return _added(rows @ np.ones(rows.shape[-1], x.dtype), order, axes)


@whole(memory="new")
def row_sums_of_products(x: Any, y: Any, axes: Axes) -> Any:
    """Return the sums of the products of two arrays of one shape."""
    order, taken = _rows(x, axes)
    if not taken:
        kept = [i for i in range(x.ndim) if i not in axes_of(x, axes)]
        return np.expand_dims(np.einsum(x, range(x.ndim), y, range(x.ndim), kept), axes)
    rows, others = _in_rows(x, order, taken), _in_rows(y, order, taken)
    return _added((rows[..., None, :] @ others[..., None])[..., 0, 0], order, axes)


def sums(x: Any, axes: Axes) -> Any:
    """Return `row_sums`; of a small array NumPy's."""
    return row_sums(x, axes) if x.size >= LARGE else np.add.reduce(x, axis=axes, keepdims=True)


def sums_of_products(x: Any, y: Any, axes: Axes) -> Any:
    """Return `row_sums_of_products`; of small arrays NumPy's."""
    return (
        row_sums_of_products(x, y, axes)
        if x.size >= LARGE
        else np.add.reduce(x * y, axis=axes, keepdims=True)
    )


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
