"""Rewrites of reads and writes: forward stored values to later reads, eliminate dead stores."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .ir import Node, alike, part, scattered, written

FARTHEST = 200
"""The most stores that are searched for the one a read finds."""


class Region(NamedTuple):
    """What a basic index reads: each axis's range, which axes have an integer, and the least and greatest positions."""

    positions: tuple[range, ...]
    single: tuple[bool, ...]
    ends: tuple[tuple[int, int], ...]


def region(index: Any, shape: tuple[int, ...]) -> Region | None:
    """Return the region of a basic index; None for other indices."""
    parts: list[Any] = []
    for each in index if type(index) is tuple else (index,):
        if type(each) is slice:
            each = each.start, each.stop, each.step
            if not all(end is None or type(end) is int for end in each):
                return None
        elif type(each) is not int:
            return None
        parts.append(each)
    return _region(tuple(parts), shape) if len(parts) <= len(shape) else None


@lru_cache(maxsize=2**14)
def _region(parts: tuple[Any, ...], shape: tuple[int, ...]) -> Region:
    """Return the region of integers, and of the ends and steps of slices; a loop asks for each often."""
    single = tuple([type(each) is int for each in parts]) + (False,) * (len(shape) - len(parts))
    slices = [slice(each, None) if type(each) is int else slice(*each) for each in parts]
    slices += [slice(None)] * (len(shape) - len(parts))
    ranges = [range(n)[each] for each, n in zip(slices, shape, strict=True)]
    positions = tuple([each[:1] if alone else each for each, alone in zip(ranges, single, strict=True)])
    ends = tuple(
        [(min(each[0], each[-1]), max(each[0], each[-1])) if each else (0, -1) for each in positions]
    )
    return Region(positions, single, ends)


def are_apart(x: Region, y: Region) -> bool:
    """Tell whether two regions are disjoint, by their ends."""
    for (low, high), (least, greatest) in zip(x.ends, y.ends, strict=True):
        if low > greatest or least > high:
            return True
    return False


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
        if not are_apart(at, wanted):
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
    return at is not None and are_apart(at, wanted)


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
