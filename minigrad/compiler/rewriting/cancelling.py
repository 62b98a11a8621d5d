"""Rewrites of what cancels: the gradient of a softmax's shift, found to be zero by symbolic expansion."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...rules.facts import facts
from ...rules.reductions import to_ties
from ..ir import Node, cast, is_constant
from .fixed_point import on
from .patterns import alike, one_a_row, scalar_of, scattered, uniform_value


@on(np.add)
def without_shift(node: Node) -> Node | None:
    """Drop the gradient of a softmax's shift by its largest score, which cancels. Changes the last bits.

    In ``x - x.max(axis, keepdims=True)`` the maximum receives the negative sum of the shifted scores' gradient. For a
    softmax that sum is zero up to rounding; it is dropped where symbolic expansion shows so.
    """
    if node.kwargs:
        return None
    for kept, shift in (node.args, node.args[::-1]):
        if type(kept) is not Node or type(shift) is not Node or not alike(node, kept):
            continue
        total = _shared_by_ties(shift)
        if total is not None and _is_zero(total):
            return kept
    return None


def _shared_by_ties(shift: Node) -> Node | None:
    """Return the gradient of a maximum that a call distributes among ties; None for other calls."""
    if shift.function is not facts(to_ties).whole:
        return None
    share, ties = shift.args
    if type(ties) is not Node or ties.function is not np.equal or type(share) is not Node:
        return None
    if not any(_is_extreme(x) for x in ties.args):
        return None
    if share.function is cast:
        share = share.args[0]
    if type(share) is not Node or share.function is not np.divide or type(share.args[0]) is not Node:
        return None
    total: Node = share.args[0]
    return total


def _is_extreme(x: Any) -> bool:
    """Tell whether a value is the largest or smallest entry of each row."""
    if type(x) is Node and x.function is np.reshape:
        x = x.args[0]
    return type(x) is Node and x.function in (np.maximum.reduce, np.minimum.reduce)


Sum = dict[frozenset[tuple[Any, int]], float]
"""A polynomial: the coefficient of each product of powers, a set of (factor, exponent)."""
MOST_TERMS = 16
CANCELLED = 8
"""The ulps of the program's dtype, to which coefficients are rounded, below which they count as cancelled."""


def _is_zero(node: Node) -> bool:
    """Tell whether a sum along an axis is identically zero, up to rounding."""
    try:
        return not expanded(node, CANCELLED * float(np.finfo(node.dtype).eps))
    except Unknown:
        return False


class Unknown(Exception):
    """Raised at a call that cannot be expanded."""


def expanded(node: Any, cancelled: float) -> Sum:
    """Expand a call into products of powers of others; what is relatively smaller counts as cancelled."""
    number = scalar_of(node)
    if number is None and type(node) is Node:
        uniform = uniform_value(node)
        number = None if uniform is None else float(uniform)
    if number is not None:
        return {frozenset(): number}
    if type(node) is not Node:
        raise Unknown
    f, args = node.function, node.args
    if node.kwargs and f != np.add.reduce:
        return _atom(node)
    if f is np.negative:
        return _times({frozenset(): -1.0}, expanded(args[0], cancelled))
    if f is np.add or f is np.subtract:
        sign = 1.0 if f is np.add else -1.0
        return _plus(
            expanded(args[0], cancelled), _times({frozenset(): sign}, expanded(args[1], cancelled)), cancelled
        )
    if f is np.multiply:
        return _times(expanded(args[0], cancelled), expanded(args[1], cancelled))
    if f is np.divide:
        divisor = expanded(args[1], cancelled)
        if len(divisor) != 1:
            return _atom(node)
        ((powers, c),) = divisor.items()
        return _times(expanded(args[0], cancelled), {frozenset((x, -n) for x, n in powers): 1 / c})
    if f == np.add.reduce:
        return _expanded_total(node, cancelled)
    if f is np.reshape and type(args[0]) is Node and node.shape == (*args[0].shape, 1):
        return _by_row(expanded(args[0], cancelled))
    if f is np.reshape and type(args[0]) is Node and args[0].shape == (*node.shape, 1):
        return _without_columns(expanded(args[0], cancelled))
    return _atom(node)


def _expanded_total(node: Node, cancelled: float) -> Sum:
    """Expand the sum of products along the last axis; factors with one column move out of the sum."""
    x, axis = node.args[0], node.kwargs.get("axis")
    if len(node.args) > 1 or x.value.ndim < 2 or x.shape[-1] < 2:
        return _atom(node)
    if axis not in (-1, x.value.ndim - 1, (-1,), (x.value.ndim - 1,)):
        return _atom(node)
    total: Sum = {}
    for powers, c in expanded(x, cancelled).items():
        inside = frozenset((y, n) for y, n in powers if _columns(y) > 1)
        scale = {powers - inside: c}
        total = _plus(total, _times(scale, _total_of(inside, x.shape[-1], cancelled)), cancelled)
    return total if node.kwargs.get("keepdims") else _without_columns(total)


def _total_of(product: frozenset[tuple[Any, int]], columns: int, cancelled: float) -> Sum:
    """Expand the sum of a product along the rows."""
    if not product:
        return {frozenset(): float(columns)}
    ((y, n), *more) = product
    found = scattered(y) if not more and n == 1 else None
    if found and one_a_row(*found[1:]) is not None:
        return _by_row(expanded(found[0], cancelled))
    if not more and n == 1 and type(y) is Node and is_constant(y) and y.dtype.kind == "f":
        totals = np.sum(y.value, axis=-1)
        if np.all(totals == totals.flat[0]):
            return {frozenset(): float(totals.flat[0])}
    return {frozenset({(("sum", product), 1)}): 1.0}


def _by_row(x: Sum) -> Sum:
    """Mark the factors of an expression to which a last axis of length 1 is added: they are one entry a row."""
    return _marked(x, "row", "column")


def _without_columns(x: Sum) -> Sum:
    """Mark the factors of an expression of which the last axis, of length 1, is dropped; the reverse of `_by_row`."""
    return _marked(x, "column", "row")


def _marked(x: Sum, mark: str, reverse: str) -> Sum:
    """Mark the factors that are arrays, or take the reverse mark away."""

    def marked(y: Any) -> Any:
        if type(y) is tuple and y[0] == reverse:
            return y[1]
        return y if type(y) is Node and not y.shape else (mark, y)

    return {frozenset((marked(y), n) for y, n in powers): c for powers, c in x.items()}


def _columns(x: Any) -> int:
    """Return a factor's number of columns, as it broadcasts to rows; 1 for one of one entry a row."""
    if type(x) is Node:
        return int(x.shape[-1]) if x.shape else 1
    return 2 if x[0] == "column" else 1  # some


def _atom(node: Node) -> Sum:
    return {frozenset({(node, 1)}): 1.0}


def _plus(x: Sum, y: Sum, cancelled: float) -> Sum:
    total = dict(x)
    for powers, c in y.items():
        before = total.pop(powers, 0.0)
        if abs(before + c) > cancelled * (abs(before) + abs(c)):
            total[powers] = before + c
    return _few(total)


def _times(x: Sum, y: Sum) -> Sum:
    product: Sum = {}
    for p, a in x.items():
        for q, b in y.items():
            powers = dict(p)
            for factor, n in q:
                powers[factor] = powers.get(factor, 0) + n
            key = frozenset((factor, n) for factor, n in powers.items() if n)
            product[key] = product.get(key, 0.0) + a * b
    return _few(product)


def _few(x: Sum) -> Sum:
    if len(x) > MOST_TERMS:
        raise Unknown
    return x
