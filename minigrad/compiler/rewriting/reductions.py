"""Rewrites of reductions along an axis into calls that are vectorized: NumPy reduces a short row entry by entry."""

from __future__ import annotations

import math

import numpy as np

from ..ir import Node, constant
from .fixed_point import on
from .shapes import reshaped


def over_axes(node: Node) -> tuple[Node, tuple[int, ...]] | None:
    """Return the operand of a reduction and the axes it is over.

    None unless they are some axes, not all, of floats that lie in memory row by row.
    """
    if len(node.args) != 1 or not node.kwargs.keys() <= {"axis", "keepdims"}:
        return None
    x, axis = node.args[0], node.kwargs.get("axis", 0)
    if type(x) is not Node or axis is None or x.dtype.char not in "fd" or node.dtype != x.dtype:
        return None
    ndim = x.value.ndim
    if ndim < 2 or not x.value.size or not x.value.flags.c_contiguous:
        return None
    axes = tuple(sorted({i % ndim for i in (axis if type(axis) is tuple else (axis,))}))
    return (x, axes) if 0 < len(axes) < ndim else None


def in_rows(x: Node, first: int) -> Node:
    """Return the node of x as a matrix, with the axes before the first one as its rows."""
    rows = math.prod(x.shape[:first])
    return reshaped(x, (rows, x.value.size // rows))


LONGEST = 1024
"""The most entries of a row that the BLAS may add up one after the other, in its lanes."""


@on(np.add.reduce)
def sums_by_dot(node: Node) -> Node | None:
    """Sum over axes by products with ones, 3 to 30 times as fast. Changes the last bits.

    The axes are the first or the last ones, or lie between others. May change the sign of a zero; np.dot does not warn
    of an overflow, as `minigrad.compiler.rewriting.products.matrix_products`.
    """
    found = over_axes(node)
    if found is None:
        return None
    x, axes = found
    ndim = x.value.ndim
    kept = [i for i in range(ndim) if i not in axes]
    leading, trailing = kept[0], kept[-1] + 1
    between = [i for i in axes if leading < i < trailing]
    if math.prod(x.shape[trailing:]) > LONGEST:
        return None
    if between and between != [*range(between[0], between[-1] + 1)]:
        return None
    if trailing < ndim:
        rows = in_rows(x, trailing)
        x = _dot(rows, _ones(rows, 1), x.shape[:trailing])
    if leading:
        rows = in_rows(x, leading)
        x = _dot(_ones(rows, 0), rows, x.shape[leading:])
    if between:
        first, last = between[0] - leading, between[-1] + 1 - leading
        shape = tuple(math.prod(part) for part in (x.shape[:first], x.shape[first:last], x.shape[last:]))
        blocks = reshaped(x, shape)
        x = Node(np.matmul, (_ones(blocks, 1), blocks), {}, np.empty(shape[::2], x.dtype))
    return reshaped(x, node.shape)


def _ones(x: Node, axis: int) -> Node:
    """Return the node of a vector of ones, as long as an axis."""
    return constant(np.ones(x.shape[axis], x.dtype))


def _dot(x: Node, y: Node, shape: tuple[int, ...]) -> Node:
    """Return the node of a product of a matrix and a vector, in another shape."""
    value = np.empty(x.shape[:-1] + y.shape[1:], x.dtype)
    return reshaped(Node(np.dot, (x, y), {}, value), shape)


FEW, MANY = 32, 100
"""Up to so many columns, and from so many rows on, it takes a tenth to a half of the time to compare whole columns."""


@on(np.maximum.reduce, np.minimum.reduce)
def extremes_of_columns(node: Node) -> Node | None:
    """Find the largest or smallest entry of short rows by comparing columns, of a copy that has them in rows.

    May change the sign of a zero.
    """
    found = over_axes(node)
    if found is None:
        return None
    x, axes = found
    first = x.value.ndim - len(axes)
    if axes != tuple(range(first, x.value.ndim)):
        return None
    rows = in_rows(x, first)
    if not 1 < rows.shape[1] <= FEW or rows.shape[0] < MANY:
        return None
    columns = Node(np.transpose, (rows, (1, 0)), {}, rows.value.T)
    copied = Node(np.copy, (columns,), {"order": "C"}, np.copy(columns.value, order="C"))
    over_rows = {"axis": 0, "keepdims": False}
    return reshaped(Node(node.function, (copied,), over_rows, np.empty(len(rows.value), x.dtype)), node.shape)
