"""Rewrites of changes of shape: reshapes, transposes, new axes and broadcasts."""

from __future__ import annotations

import numpy as np

from ...rules.metadata import outline
from ..ir import Node, constant, part, values_of
from .fixed_point import on
from .patterns import SCATTER, uniform_value
from .regions import region, without_ellipsis


def reshaped(x: Node, shape: tuple[int, ...]) -> Node:
    """Return the node of x in another shape, whose value is a view."""
    return x if x.shape == shape else Node(np.reshape, (x, shape), {}, np.reshape(x.value, shape))


@on(np.reshape, np.transpose)
def straight(node: Node) -> Node | None:
    """Merge two reshapes, or two transposes, into one. Exact."""
    x, change = node.args
    if type(x) is not Node or x.function is not node.function:
        return None
    if node.function is np.transpose:
        change = tuple([x.args[1][axis] for axis in change])
    return Node(node.function, (x.args[0], change), {}, node.value, node.name)


def is_by_entries(node: Node) -> bool:
    """Tell whether a call is elementwise."""
    f = node.function
    return isinstance(f, np.ufunc) and f.signature is None and f.nout == 1 and not node.kwargs


def small_operands(node: Node) -> Node | None:
    """Replace a uniform or broadcast operand of an elementwise call by the scalar or the smaller array. Exact.

    One with leading axes of length 1 is replaced by the array without them, so that equal calls are found to be equal.
    """
    if not node.shape or not is_by_entries(node) or node.function is np.power:
        return None  # np.power of a number as the exponent may be np.sqrt
    for i, x in enumerate(node.args):
        if type(x) is not Node or not x.shape:
            continue
        if any(y is not x and y.shape == node.shape and y.dtype == x.dtype for y in node.operands):
            small = smaller(x)
            if small is not x:
                return Node(node.function, (*node.args[:i], small, *node.args[i + 1 :]), {}, node.value)
    return None


def smaller(x: Node) -> Node:
    """Return what broadcasts to the same array: a number, or an array of fewer entries or axes; or x itself."""
    number = uniform_value(x)
    if number is not None:
        return constant(number)
    broadcast: Node = x.args[0] if x.function is np.broadcast_to or adds_leading_axes(x) else x
    return broadcast


def adds_leading_axes(x: Node) -> bool:
    """Tell whether a value is a reshape to new axes of length 1 before the others, as broadcasting adds them."""
    if x.function is not np.reshape or type(x.args[0]) is not Node:
        return False
    return x.shape == (1,) * (len(x.shape) - len(x.args[0].shape)) + x.args[0].shape


def broadcast_last(node: Node) -> Node | None:
    """Compute what is broadcast before it is broadcast, as twice a gradient that a sum has spread. Exact."""
    whole = [x for x in node.operands if x.shape]
    if not whole or not is_by_entries(node):
        return None
    if any(x.function is not np.broadcast_to or x.shape != node.shape for x in whole):
        return None
    if len({x.args[0].shape for x in whole}) > 1:
        return None
    args = tuple([x.args[0] if type(x) is Node and x.shape else x for x in node.args])
    with np.errstate(all="ignore"):
        value = node.function(*values_of(args))
    return Node(np.broadcast_to, (Node(node.function, args, {}, value), node.shape), {}, node.value)


@on(np.reshape)
def axes_kept(node: Node) -> Node | None:
    """Fold a reshape of a reduction's result into its ``keepdims``. Exact."""
    x = node.args[0]
    if type(x) is not Node or getattr(x.function, "__name__", "") != "reduce" or not node.shape:
        return None
    if x.kwargs.keys() != {"axis", "keepdims"}:
        return None
    if not all(
        reader and reader.function in (part, np.reshape) and reader.shape == node.shape
        for reader in x.readers
    ):
        return None
    options = {**x.kwargs, "keepdims": not x.kwargs["keepdims"]}
    if x.function(outline(x.args[0].shape), **options).shape != node.shape:
        return None
    return Node(x.function, x.args, options, node.value)


@on(part, SCATTER)
def all_of_it(node: Node) -> Node | None:
    """Turn a read of all entries in order, and the scatter that is its gradient, into a reshape. Exact.

    Such as ``x[:, None]``, and ``x[:, 0]`` where there is one column.
    """
    x, index = node.args[:2]
    if type(x) is not Node or not x.shape or not node.shape or node.value.size != x.value.size:
        return None
    shape = x.shape if node.function is part else node.shape
    parts = index if type(index) is tuple else (index,)
    at = region(without_ellipsis(tuple([each for each in parts if each is not None]), shape), shape)
    if at is None or any(each.step < 0 for each in at.positions):
        return None
    return reshaped(x, node.shape)
