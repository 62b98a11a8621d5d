"""Rewrites of scatters, the gradients of indexing: arrays that are zero but for a part."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir import Node, added_at, part, pick, values_of, written
from .fixed_point import on
from .patterns import SCATTER, alike, one_a_row, scalar_of, scattered
from .stores import is_zero_at


@on(np.negative, np.multiply, np.divide)
def scattered_products(node: Node) -> Node | None:
    """Move elementwise products inside a scatter: zeros elsewhere stay zero.

    Changes the sign of zeros, and leaves zeros where they would be multiplied by infinity or NaN.
    """
    if node.dtype.kind != "f" or node.kwargs:
        return None
    for i, x in enumerate(node.args[: 1 if node.function is np.divide else 2]):
        found = scattered(x)
        if found is None or not alike(node, x):
            continue
        if any(type(y) is not Node and scalar_of(y) is None for y in node.args):  # a list
            return None
        value, index, shape = found
        args = tuple([value if j == i else read(y, index, shape) for j, y in enumerate(node.args)])
        with np.errstate(all="ignore"):
            made = node.function(*values_of(args))
        return Node(SCATTER, (Node(node.function, args, {}, made), index, shape), {}, node.value)
    return None


def read(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Return the node of ``np.broadcast_to(x, shape)[index]``."""
    if type(x) is not Node or x.shape == ():
        return x
    if x.shape != shape:
        x = Node(np.broadcast_to, (x, shape), {}, np.broadcast_to(x.value, shape))
    value = x.value[values_of(index)]
    return Node(part if is_basic(index) else pick, (x, index), {}, value)


def is_basic(index: Any) -> bool:
    """Tell whether indexing is basic, and so gives a view: integers, slices and new axes only."""
    return all(
        each is None or each is Ellipsis or type(each) in (int, slice) or isinstance(each, np.integer)
        for each in values_of(index if type(index) is tuple else (index,))
    )


@on(np.add.reduce)
def sums_of_scattered(node: Node) -> Node | None:
    """Add up what is scattered, in place of an array that is zero elsewhere. May change the sign of a zero."""
    if len(node.args) > 1 or not node.kwargs.keys() <= {"axis", "keepdims"}:
        return None
    found = scattered(node.args[0])
    if found is None or node.dtype != found[0].dtype:
        return None
    total, index, shape = found
    along_rows = node.kwargs.get("axis") in (1, -1, (1,), (-1,))
    if node.value.size == 1:
        axes = {"axis": None, "keepdims": False}
        if total.shape:
            total = Node(np.add.reduce, (total,), axes, np.add.reduce(total.value, axis=None))
    elif not along_rows or one_a_row(index, shape) is None:
        return None
    return Node(np.reshape, (total, node.shape), {}, node.value) if node.shape else total


@on(np.add)
def scattered_onto(node: Node) -> Node | None:
    """Add at an index, in place of adding an array that is zero elsewhere.

    Changes the last bits where the index repeats, and may change the sign of a zero.
    """
    if node.kwargs:
        return None
    for sparse, x in (node.args, node.args[::-1]):
        found = scattered(sparse)
        if not found or type(x) is not Node or x.function is None:
            continue
        if not alike(node, x) or not alike(node, sparse):
            continue
        value, index, shape = found
        if len(sparse.readers) > 1 and not is_basic(index):
            continue
        if not is_basic(index) and one_a_row(index, shape) is None:
            return Node(added_at, (x, index, value), {}, x.value)
        before = read(x, index, shape)
        if not is_zero_at(x, index):
            value = Node(np.add, (before, value), {}, before.value)
        return Node(written, (x, index, value), {}, x.value)
    return None
