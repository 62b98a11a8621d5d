"""What rewrites look for in a call: constant scalars, uniform arrays, one entry a row, scatters."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...rules.facts import facts
from ...rules.indexing import scatter
from ...rules.sliding import windows_added
from ..ir import Node, is_constant

SCATTER, WINDOWS_ADDED = facts(scatter).whole, facts(windows_added).whole


def scalar_of(x: Any) -> float | None:
    """Return a constant scalar argument as a Python float; None for anything else."""
    if type(x) is float or (type(x) is int and abs(x) <= 2**53):
        return float(x)
    if type(x) is Node and is_constant(x) and x.value.ndim == 0 and x.dtype.kind == "f":
        x = x.value[()]
    return float(x) if isinstance(x, np.floating) and float(x) == x else None


def alike(node: Node, other: Node) -> bool:
    """Tell whether two values have the same shape and dtype."""
    return node.shape == other.shape and node.dtype == other.dtype


def uniform_value(node: Node) -> Any:
    """Return the fill value of a uniform constant array, as a 0-d array; None if it is not uniform."""
    if not is_constant(node) or not isinstance(node.value, np.ndarray) or not node.value.size:
        return None
    first = node.value[(slice(0, 1),) * node.value.ndim].copy()
    if node.dtype.hasobject or not np.array_equal(node.value, np.broadcast_to(first, node.shape)):
        return None
    for part_of in {"f": (np.positive,), "c": (np.real, np.imag)}.get(node.dtype.kind, ()):
        if np.any(np.signbit(part_of(node.value)) != np.signbit(part_of(first))):
            return None
    return first.reshape(())


def one_a_row(index: Any, shape: tuple[int, ...]) -> Any:
    """Return the columns of an index ``np.arange(n), columns``, which takes one entry of each row; else None."""
    if type(index) is not tuple or [*map(type, index)] != [Node, Node] or len(shape) != 2:
        return None
    rows, columns = index
    if not is_constant(rows) or columns.shape != rows.shape or columns.dtype.kind not in "iu":
        return None
    return columns if np.array_equal(rows.value, np.arange(shape[0])) else None


def scattered(node: Any) -> tuple[Node, Any, tuple[int, ...]] | None:
    """Return the value, index and shape of a call of `minigrad.rules.indexing.scatter`; None for other calls."""
    is_one = type(node) is Node and node.function is SCATTER and type(node.args[0]) is Node
    return node.args if is_one else None
