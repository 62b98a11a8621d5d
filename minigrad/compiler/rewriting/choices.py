"""Rewrites of choices between arrays: np.where, and the maximum of an array and a number."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...rules.choosing import as_row, selected
from ..ir import Node, cast, constant
from .fixed_point import on
from .patterns import alike, scalar_of
from .signs import PRODUCTS

FEW = 256
"""Up to this size one call of np.where or np.heaviside is faster than several vectorized ones."""


@on(np.where)
def half_at_ties(node: Node) -> Node | None:
    """Compute the gradient of ``np.maximum(x, 0)``, which is 1/2 at 0, from the sign of x.

    Exact but for NaN, which stays NaN where the comparisons would make it 0.
    """
    found = _ties_and_wins(node)
    if found is None:
        return None
    _, wins = found
    x, bound = wins.args if wins.function is np.greater else wins.args[::-1]
    if type(x) is not Node or not alike(node, x) or scalar_of(bound) != 0:
        return None
    if node.value.size <= FEW:
        return Node(np.heaviside, (x, 0.5), {}, node.value)
    sign = Node(np.sign, (x,), {}, node.value)
    scaled = Node(np.multiply, (sign, 0.5), {}, node.value)
    return Node(np.add, (scaled, 0.5), {}, node.value)


@on(np.where)
def half_of_ties(node: Node) -> Node | None:
    """Compute 1 where one array is larger and 1/2 where both are equal by arithmetic, faster than to select. Exact."""
    found = _ties_and_wins(node)
    if found is None or node.value.size <= FEW:
        return None
    ties, wins = [Node(cast, (x, node.dtype), {}, node.value) for x in found]
    return Node(np.add, (wins, Node(np.multiply, (ties, 0.5), {}, node.value)), {}, node.value)


def _ties_and_wins(node: Node) -> tuple[Node, Node] | None:
    """Return the masks of ``np.where(x == y, 0.5, x > y)``, the gradient of a maximum; None for other calls."""
    if len(node.args) != 3 or node.dtype.kind != "f" or scalar_of(node.args[1]) != 0.5:
        return None
    ties, _, wins = node.args
    if type(ties) is not Node or type(wins) is not Node:
        return None
    if ties.function is not np.equal or wins.function not in (np.greater, np.less):
        return None
    return (ties, wins) if {*map(id, ties.args)} == {*map(id, wins.args)} else None


@on(np.add)
def chosen_once(node: Node) -> Node | None:
    """Choose between two gradients, in place of adding up one that is zero where the other is not.

    Changes the sign of zeros, and leaves zeros where they would be multiplied by infinity or NaN.
    """
    if node.kwargs or node.dtype.kind != "f":
        return None
    for x, y in (node.args, node.args[::-1]):
        kept, other = _chosen(x), _factor_chosen(y)
        if kept is None or other is None or not alike(node, x) or not alike(node, y):
            continue
        (mask, side, value), (other_mask, other_side, product) = kept, other
        if mask is other_mask and side != other_side:
            args = (mask, value, product) if side == 0 else (mask, product, value)
            return Node(np.where, args, {}, np.asarray(node.value))  # which is no number
    return None


def _chosen(x: Any) -> tuple[Node, int, Node] | None:
    """Return the mask, the side and the array of a call of `numpy.where` that has zeros on the other side."""
    if type(x) is not Node or x.function is not np.where or len(x.args) != 3 or type(x.args[0]) is not Node:
        return None
    for side, other in ((1, 2), (2, 1)):
        array = x.args[side]
        if scalar_of(x.args[other]) == 0 and type(array) is Node and alike(x, array):
            return x.args[0], side - 1, array
    return None


DEEPEST = 8
"""The factors of factors that are searched."""


def _factor_chosen(x: Any, depth: int = 0) -> tuple[Node, int, Node] | None:
    """Return the mask and the side of a factor that has zeros on the other side, and the product on that side.

    Of numbers up to 1 the factor may be multiplied everywhere, as this does not overflow.
    """
    found = _chosen(x)
    if found is not None:
        return found
    if depth == DEEPEST or type(x) is not Node or x.function not in (*PRODUCTS, np.negative) or x.kwargs:
        return None
    for i, factor in enumerate(x.args[: 1 if x.function is np.divide else 2]):
        found = _factor_chosen(factor, depth + 1) if type(factor) is Node and alike(x, factor) else None
        if found is None:
            continue
        mask, side, product = found
        number = scalar_of(x.args[1 - i]) if x.function is np.multiply else None
        if product is not factor and number is not None and abs(number) <= 1:
            args = (*x.args[:i], product, *x.args[i + 1 :])
            return mask, side, Node(x.function, args, {}, x.value)
        return mask, side, x
    return None


LARGE = 8192
"""The size from which floats are selected by their bits."""


@on(np.where)
def selected_by_bits(node: Node) -> Node | None:
    """Select between arrays of float32, or an array and a number, by their bits, where the result is large. Exact."""
    if len(node.args) != 3 or node.dtype != np.float32:
        return None
    mask, *sides = node.args
    if node.value.size < LARGE or type(mask) is not Node or mask.dtype != bool:
        return None
    numbers = [None if type(x) is Node and x.shape else scalar_of(x) for x in sides]
    args = [x if number is None else np.float32(number) for x, number in zip(sides, numbers, strict=True)]
    if any(getattr(x, "dtype", None) != np.float32 for x in args):
        return None
    return Node(selected, (mask, *args), {}, node.value)


@on(np.maximum, np.minimum)
def compared_by_rows(node: Node) -> Node | None:
    """Compare a large float32 array with a row in place of a number, which NumPy vectorizes.

    May change the sign of a zero.
    """
    if node.kwargs or node.dtype != np.float32:
        return None
    x, bound = node.args if type(node.args[0]) is Node and node.args[0].shape else node.args[::-1]
    number = scalar_of(bound)
    if number is None or type(x) is not Node or not alike(node, x):
        return None
    row = as_row(number, x.value)
    return None if row is number else Node(node.function, (x, constant(row)), {}, node.value)
