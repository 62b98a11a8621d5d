"""Rewrites of calls that change nothing, or whose value is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...rules.sliding import sliding_window_view
from ..ir import Node, cast, constant, is_constant, part, values_of
from .fixed_point import on
from .patterns import alike, scalar_of
from .regions import is_whole


def folded(node: Node) -> Node | None:
    """Fold constants: evaluate a call whose operands are all constant. Exact.

    Sliding windows stay a call: a constant is compared by all of its entries, of which they have many times as many.
    """
    if node.function is sliding_window_view or not all(map(is_constant, node.operands)):
        return None
    if isinstance(node.value, (tuple, list)):  # several arrays, which no constant is
        return None
    kwargs = {name: values_of(x) for name, x in node.kwargs.items()}
    return constant(node.function(*values_of(node.args), **kwargs))


NEUTRAL = {np.multiply: 1.0, np.divide: 1.0, np.add: -0.0, np.subtract: 0.0}
"""Neutral elements. Since -0.0 + 0.0 is 0.0, the neutral element of addition is -0.0."""
SIDES = {np.multiply: (0, 1), np.divide: (1,), np.add: (0, 1), np.subtract: (1,)}
"""The operands that may be neutral: the second only, for subtraction and division."""


@on(*NEUTRAL)
def neutral_operand(node: Node) -> Node | None:
    """Remove a call with a neutral operand, such as a product with 1. Exact."""
    for side in SIDES[node.function]:
        other = node.args[1 - side]
        if type(other) is Node and is_neutral(node.args[side], node.function, other) and alike(node, other):
            return other
    return None


def is_neutral(x: Any, f: Any, other: Node) -> bool:
    """Tell whether an argument is the neutral element of a call with another operand.

    Objects have none, and complex numbers neither: their zeros have signs in either part, and a product adds up those
    of the parts.
    """
    number = scalar_of(x)
    if number is None or number != NEUTRAL[f] or other.dtype.kind in "cO":
        return False
    return (
        np.signbit(number) == np.signbit(NEUTRAL[f]) or other.dtype.kind != "f" or is_no_negative_zero(other)
    )


def is_no_negative_zero(node: Node) -> bool:
    """Tell whether a value is -0.0 nowhere, whatever its operands."""
    f, args = node.function, node.args
    return f in (np.square, np.absolute, np.exp) or (f in (np.multiply, np.vdot) and args[0] is args[1])


@on(np.copy, np.positive, np.reshape, np.broadcast_to, np.transpose, np.real, np.conjugate, cast, part)
def unchanged(node: Node) -> Node | None:
    """Remove a call that returns its operand unchanged. Exact."""
    f, x, options = node.function, node.args[0], node.args[1:]
    if type(x) is not Node or not alike(node, x):
        return None
    if f in (np.real, np.conjugate) and x.dtype.kind != "f":
        return None
    if f is np.transpose and options[0] != tuple(range(node.value.ndim)):
        return None
    if f is part and options[0] != () and not is_whole(options[0], x.shape):
        return None
    return x


NUMBERED = (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum)
"""Functions to which one and 1.0 are the same among floats."""


@on(*NUMBERED)
def number_as_float(node: Node) -> Node | None:
    """Write a number among floats as Python's float, so that equal calls are found to be equal. Exact."""
    if node.kwargs or node.dtype.kind != "f" or len(node.operands) > 1:
        return None
    if any(x.dtype != node.dtype for x in node.operands):
        return None
    for i, x in enumerate(node.args):
        number = None if type(x) in (float, Node) else scalar_of(x)
        if number is not None:
            return Node(node.function, (*node.args[:i], number, *node.args[i + 1 :]), {}, node.value)
    return None
