"""Rewrites of negations, of which a gradient by the chain rule has many: each is a pass over an array."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir import Node
from .fixed_point import on
from .patterns import alike, scalar_of

PRODUCTS = (np.multiply, np.divide)


def of_negative(x: Any) -> Node | None:
    """Return what a call negates; None for other calls."""
    if type(x) is not Node or x.function is not np.negative or x.kwargs or x.dtype.kind != "f":
        return None
    return x.args[0] if type(x.args[0]) is Node and alike(x, x.args[0]) else None


def is_plain(node: Node, functions: tuple[Any, ...]) -> bool:
    """Tell whether a call is one of these functions, of floats of one dtype."""
    if node.function not in functions or node.kwargs or node.dtype.kind != "f" or len(node.args) != 2:
        return False
    return all(x.dtype == node.dtype for x in node.operands) and all(
        type(x) is Node or scalar_of(x) is not None for x in node.args
    )


@on(np.negative, np.add, np.subtract, *PRODUCTS)
def signs(node: Node) -> Node | None:
    """Cancel two negations, subtract what is negated, negate a product in place of its factor. Exact."""
    twice = of_negative(of_negative(node))
    if twice is not None:
        return twice
    if is_plain(node, (np.add, np.subtract)):
        x, y = node.args
        minus_x, minus_y = of_negative(x), of_negative(y)
        if minus_y is not None:
            other = np.subtract if node.function is np.add else np.add
            return Node(other, (x, minus_y), {}, node.value)
        if minus_x is not None and node.function is np.add:
            return Node(np.subtract, (y, minus_x), {}, node.value)
    if not is_plain(node, PRODUCTS):
        return None
    args = list(node.args)
    negated = [i for i, x in enumerate(args) if of_negative(x) is not None]
    for i in negated:
        args[i] = of_negative(args[i])
    if len(negated) == 2:
        return Node(node.function, tuple(args), {}, node.value)
    if len(negated) == 1 and alike(node, args[negated[0]]) and is_read_once(node.args[negated[0]]):
        return Node(np.negative, (Node(node.function, tuple(args), {}, node.value),), {}, node.value)
    return None


def is_read_once(x: Node) -> bool:
    """Tell whether no other call reads a value."""
    return len(x.readers) < 2
