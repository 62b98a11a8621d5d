"""Rewrites of linear combinations: sums and multiples of arrays, collected term by term."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir import Node, is_constant
from .fixed_point import on
from .patterns import alike, scalar_of


def scaling(node: Node) -> tuple[float, Node] | None:
    """Return (c, x) of a call that is c x, with x's shape and dtype; None for other calls."""
    args = node.args
    if node.dtype.kind != "f" or node.dtype.itemsize > 8 or node.kwargs:  # factors are Python's floats
        return None
    if node.function is np.negative:
        return -1.0, args[0]
    if node.function is np.add and args[0] is args[1] and alike(node, args[0]):
        return 2.0, args[0]
    if node.function is np.multiply:
        for c, x in (args, args[::-1]):
            number = scalar_of(c)
            if number is not None and type(x) is Node and not is_constant(x) and alike(node, x):
                return number, x
    return None


def moderate(c: float, dtype: np.dtype[Any], share: int = 4) -> bool:
    """Tell whether a factor is far enough from the ends of the dtype's range, a share of its exponents."""
    largest = 2.0 ** (min(256, np.finfo(dtype).maxexp) // share)
    return 1 / largest <= abs(c) <= largest


def is_sum(node: Node) -> bool:
    """Tell whether a call adds or subtracts two arrays of its own shape and dtype."""
    return (
        node.function in (np.add, np.subtract)
        and node.dtype.kind == "f"
        and not node.kwargs
        and all(type(x) is Node and alike(node, x) for x in node.args)
    )


def is_linear(node: Node) -> bool:
    """Tell whether a call scales an array, or adds two."""
    return bool(scaling(node)) or is_sum(node)


def is_inner(node: Node) -> bool:
    """Tell whether a call's only reader is a larger sum."""
    reader = node.readers[0] if node.readers else None
    if reader is None or any(each is not reader for each in node.readers) or not is_linear(node):
        return False
    return is_linear(reader)


@on(np.negative, np.add, np.subtract, np.multiply)
def combine(node: Node) -> Node | None:
    """Collect the terms of a linear combination: one pass for each distinct array.

    The update of a weight, W - lr (reg W + dW), becomes (1 - lr reg) W - lr dW. Changes the last bits (and has
    infinity where inf - inf would be NaN); done only where it saves a call, and never where terms would cancel.
    """
    if not is_linear(node) or is_inner(node):
        return None
    calls, found = _terms(node)
    if not found:
        return None
    factors = [c for c, _ in found.values()]
    fewer = sum(abs(c) != 1 for c in factors) + len(found) - 1 + all(c == -1 for c in factors)
    cancels = any(abs(c) < magnitude / 2 for c, magnitude in found.values())
    if fewer >= calls or cancels or not all(moderate(c, node.dtype) for c in factors):
        return None
    return _added_up([(x, c) for x, (c, _) in found.items()])


def _terms(root: Node) -> tuple[int, dict[Node, tuple[float, float]]]:
    """Return the number of calls in a sum, and for each term its coefficient and the sum of the coefficients' sizes.

    No terms, if a product of factors may overflow or underflow: then each step rounds otherwise than all at once.
    """
    calls = 0
    found: dict[Node, tuple[float, float]] = {}
    waiting = [(root, 1.0)]
    while waiting:
        node, factor = waiting.pop()
        if node is not root and not is_inner(node):
            c, magnitude = found.get(node, (0.0, 0.0))
            found[node] = c + factor, magnitude + abs(factor)
            continue
        calls += 1
        scaled = scaling(node)
        if scaled:
            if not all(moderate(c, root.dtype, 2) for c in (scaled[0], factor * scaled[0])):
                return calls, {}
            waiting.append((scaled[1], factor * scaled[0]))
        else:
            x, y = node.args
            waiting += [(y, factor if node.function is np.add else -factor), (x, factor)]
    return calls, found


def _added_up(terms: list[tuple[Node, float]]) -> Node:
    """Return the calls of a linear combination, the first positive term first."""
    (x, c), *others = sorted(terms, key=lambda term: (term[1] < 0, term[1] == -1))
    total = x if c == 1 else scaled_by(c, x)
    for x, c in others:
        scaled = x if abs(c) == 1 else scaled_by(abs(c), x)
        total = Node(np.add if c > 0 else np.subtract, (total, scaled), {}, x.value[()])
    return total


def scaled_by(c: float, x: Node) -> Node:
    """Make the node of c x."""
    return Node(np.multiply, (x, c if x.shape else x.dtype.type(c)), {}, x.value[()])
