"""Rewrites of reads and writes: forward stored values to later reads, eliminate dead stores."""

from __future__ import annotations

from typing import Any

import numpy as np

from .ir import Node, alike, part, scattered, written

FARTHEST = 200
"""The most stores that are searched for the one a read finds."""


def region(index: Any, shape: tuple[int, ...]) -> tuple[list[range], list[bool]] | None:
    """Return each axis's range at a basic index, and which axes have an integer; None for other indices."""
    parts = list(index) if type(index) is tuple else [index]
    if len(parts) > len(shape) or not all(type(each) in (int, slice) for each in parts):
        return None
    parts += [slice(None)] * (len(shape) - len(parts))
    positions, single = [], []
    for each, n in zip(parts, shape, strict=True):
        if type(each) is slice and not all(
            type(end) in (int, type(None)) for end in (each.start, each.stop, each.step)
        ):
            return None
        positions.append(range(n)[each] if type(each) is slice else range(n)[each:][:1])
        single.append(type(each) is int)
    return positions, single


def are_apart(x: list[range], y: list[range]) -> bool:
    """Tell whether two regions are disjoint, by their bounds."""

    def ends(r: range) -> tuple[int, int]:
        return (min(r[0], r[-1]), max(r[0], r[-1])) if r else (0, -1)

    return any(ends(a)[0] > ends(b)[1] or ends(b)[0] > ends(a)[1] for a, b in zip(x, y, strict=True))


def stored(array: Node, index: Any) -> tuple[Any, Node] | None:
    """Find the last store to an index of an array.

    Returns
    -------
    (value, node) or None
        The stored value and its node; or None and the array before all stores known to be elsewhere. None for advanced
        indices.
    """
    wanted = region(index, array.shape)
    if wanted is None:
        return None
    for _ in range(FARTHEST):
        if array.function is not written or type(array.args[0]) is not Node:
            break
        at = region(array.args[1], array.shape)
        if at is None:
            break
        if at == wanted:
            return array.args[2], array
        if not are_apart(at[0], wanted[0]):
            break
        array = array.args[0]
    found = scattered(array)
    at = region(found[1], array.shape) if found else None
    return (found[0], array) if found and at == wanted else (None, array)


def is_zero_at(array: Node, index: Any) -> bool:
    """Tell whether an array of scattered values is zero at an index."""
    wanted, looked = region(index, array.shape), stored(array, index)
    if wanted is None or looked is None or looked[0] is not None:
        return False
    found = scattered(looked[1])
    at = region(found[1], array.shape) if found else None
    return at is not None and are_apart(at[0], wanted[0])


def read_as_written(node: Node) -> Node | None:
    """Forward a stored value to a read at the same index. Exact."""
    if node.function is not part or type(node.args[0]) is not Node:
        return None
    array, index = node.args
    found = stored(array, index)
    if found is None:
        return None
    value, where = found
    if type(value) is Node and alike(node, value) and isinstance(value.value, np.ndarray) == bool(node.shape):
        return value
    if value is None and where is not array:
        return Node(part, (where, index), {}, node.value)
    return None


def overwritten(node: Node) -> Node | None:
    """Eliminate a store that the next one overwrites. Exact."""
    if node.function is not written or type(node.args[0]) is not Node:
        return None
    first = node.args[0]
    if first.function is not written or type(first.args[0]) is not Node or not alike(node, first):
        return None
    at = region(node.args[1], node.shape)
    if at is None or at != region(first.args[1], node.shape):
        return None
    return Node(written, (first.args[0], *node.args[1:]), {}, node.value)
