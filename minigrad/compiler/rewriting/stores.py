"""Reads and writes: forward stored values to later reads, eliminate dead stores, read from the latest array."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..ir import SCATTER, Node, Nodes, alike, alive, key_of, part, renewed, scattered, written

FARTHEST = 200
"""The maximum number of stores that are searched for a read."""
FEW = 8
"""The maximum number of stores that are dropped from a chain which another one branches off."""


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


def without_ellipsis(index: Any, shape: tuple[int, ...]) -> Any:
    """Return an index with slices in the place of an ellipsis."""
    parts = index if type(index) is tuple else (index,)
    if sum(each is Ellipsis for each in parts) != 1 or len(parts) > len(shape) + 1:
        return index
    at = next(i for i, each in enumerate(parts) if each is Ellipsis)
    return (*parts[:at], *[slice(None)] * (len(shape) + 1 - len(parts)), *parts[at + 1 :])


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


class Stores:
    """Consecutive stores to one array, indexed by their positions.

    Attributes
    ----------
    base : Node
        The array before the first.
    nodes : list of Node
        The stores, the first one first.
    regions : list of Region
        The region of each store.
    tables
        Of the stores that have integers at the same axes: which are at given positions on some of these axes.
    """

    __slots__ = ("base", "nodes", "regions", "tables")

    def __init__(self, base: Node) -> None:
        self.base = base
        self.nodes: list[Node] = []
        self.regions: list[Region] = []
        self.tables: dict[tuple[bool, ...], dict[tuple[int, ...], dict[tuple[int, ...], list[int]]]] = {}

    def append(self, node: Node, at: Region) -> None:
        """Append a store to the array that the last one made."""
        for axes, table in self.tables.setdefault(at.single, {(): {}}).items():
            table.setdefault(position(at, axes), []).append(len(self.nodes))
        self.nodes.append(node)
        self.regions.append(at)

    def keep(self, count: int) -> None:
        """Drop all but the first ``count`` stores."""
        while len(self.nodes) > count:
            self.nodes.pop()
            at = self.regions.pop()
            for axes, table in self.tables[at.single].items():
                table[position(at, axes)].pop()

    def last(self, wanted: Region, count: int) -> int:
        """Return the last of the first ``count`` stores that may overlap a region; -1 if none may."""
        found = -1
        for single, tables in self.tables.items():
            axes = tuple([i for i, both in enumerate(zip(single, wanted.single, strict=True)) if all(both)])
            if axes not in tables:
                table = tables[axes] = {}
                for i in tables[()][()]:
                    table.setdefault(position(self.regions[i], axes), []).append(i)
            places = tables[axes].get(position(wanted, axes), [])
            end = bisect_left(places, count)
            for i in reversed(places[max(end - FARTHEST, 0) : end]):
                if i <= found or not are_apart(self.regions[i], wanted):
                    found = max(i, found)
                    break
            else:
                if end > FARTHEST:
                    found = max(places[end - FARTHEST], found)
        return found


def position(at: Region, axes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the position of a region on axes at which it has integers."""
    return tuple([at.ends[axis][0] for axis in axes])


def stores_to(array: Node) -> tuple[Stores, int] | None:
    """Return the chain of stores that an array is the result of, and its length; None if there is none.

    A few stores by which another array branches off are dropped: rewriting has usually discarded that one.
    """
    new: list[tuple[Node, Region]] = []
    while not is_looked_up(array) and array.function is written and type(array.args[0]) is Node:
        at = region(array.args[1], array.shape)
        if at is None:
            break
        new.append((array, at))
        array = array.args[0]
    stores, count = array.stores if is_looked_up(array) else (Stores(array), 0)
    if new and len(stores.nodes) - count <= FEW:
        stores.keep(count)
    elif new and count < len(stores.nodes):
        stores, count = Stores(array), 0
    for node, at in reversed(new):
        stores.append(node, at)
        count += 1
        node.stores = stores, count
    return (stores, count) if count else None


def is_looked_up(array: Node) -> bool:
    """Tell whether the chain of stores to an array is known, and still holds it."""
    if array.stores is None:
        return False
    stores, count = array.stores
    return count <= len(stores.nodes) and stores.nodes[count - 1] is array


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
        known = stores_to(array)
        if known is None:
            break
        stores, count = known
        last = stores.last(wanted, count)
        if last >= 0:
            node = stores.nodes[last]
            return (node.args[2] if stores.regions[last] == wanted else None), node
        array = stores.base
    found = scattered(array)
    at = region(found[1], array.shape) if found else None
    return (found[0], array) if found and at == wanted else (None, array)


def is_zero_at(array: Node, index: Any) -> bool:
    """Tell whether an array is zero at an index: 0 is stored there, or nothing is scattered."""
    wanted, looked = region(index, array.shape), stored(array, index)
    if wanted is None or looked is None:
        return False
    if looked[0] is not None:
        return type(looked[0]) is int and looked[0] == 0
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
    """Eliminate a store that the next one overwrites, where no one else reads the array between them. Exact."""
    if node.function is not written or type(node.args[0]) is not Node:
        return None
    first = node.args[0]
    if len(first.readers) > 1:
        return None
    if first.function is not written or type(first.args[0]) is not Node or not alike(node, first):
        return None
    at = region(node.args[1], node.shape)
    if at is None or at != region(first.args[1], node.shape):
        return None
    return Node(written, (first.args[0], *node.args[1:]), {}, node.value)


def stored_back(node: Node) -> Node | None:
    """Eliminate a store of the value that is there already. Exact."""
    if node.function is not written or type(node.args[0]) is not Node or type(node.args[2]) is not Node:
        return None
    array: Node = node.args[0]
    _, index, value = node.args
    found = stored(array, index)
    if found is None or not alike(node, array):
        return None
    if found[0] is value:
        return array
    if value.function is not part or value.args[0] is not found[1] or found[0] is not None:
        return None
    return array if region(value.args[1], node.shape) == region(index, node.shape) else None


def at_once(node: Node) -> Node | None:
    """Merge nested reads, writes or scatters into one, with a composed index. Exact."""
    f, args = node.function, node.args
    if f is part and type(args[0]) is Node and args[0].function is part and type(args[0].args[0]) is Node:
        array, first = args[0].args
        index = composed(first, args[1], array.shape)
        return None if index is None else Node(part, (array, index), {}, node.value)
    found = scattered(node)
    inner = scattered(found[0]) if found else None
    if found and inner:
        index = composed(found[1], inner[1], found[2])
        if index is not None and np.shape(found[0].value) == shape_at(found[1], found[2]):
            return Node(SCATTER, (inner[0], index, found[2]), {}, node.value)
    if f is written and type(args[0]) is Node and type(args[2]) is Node and args[2].function is written:
        array, first, (before, second, value) = args[0], args[1], args[2].args
        if type(before) is not Node or before.function is not part or type(before.args[0]) is not Node:
            return None
        if before.args[0] is not array and stored(array, first) != (None, before.args[0]):
            return None
        at = region(first, array.shape)
        if at is None or at != region(before.args[1], array.shape):
            return None
        index = composed(first, second, array.shape)
        return None if index is None else Node(written, (array, index, value), {}, node.value)
    return None


def shape_at(index: Any, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape of what a basic index reads."""
    at = region(index, shape)
    if at is None:
        return None
    return tuple([len(each) for each, alone in zip(at.positions, at.single, strict=True) if not alone])


def composed(first: Any, second: Any, shape: tuple[int, ...]) -> tuple[Any, ...] | None:
    """Return the basic index that reads what the second one reads of what the first one reads."""
    outer, between = region(first, shape), shape_at(first, shape)
    inner = region(second, between) if between is not None else None
    if outer is None or inner is None:
        return None
    rest = zip(inner.positions, inner.single, strict=True)
    index: list[Any] = []
    for each, alone, n in zip(outer.positions, outer.single, shape, strict=True):
        chosen, single = (range(1), True) if alone else next(rest)
        if single:
            index.append(each[chosen[0]])
        else:
            start, step = each[chosen[0]] if chosen else 0, each.step * chosen.step
            index.append(as_slice(range(start, start + step * len(chosen), step), n))
    return tuple(index)


def as_slice(positions: range, n: int) -> slice:
    """Return the slice of an axis of length n that has these positions."""
    start, stop, step = positions.start, positions.stop, positions.step
    if step > 0:
        return slice(start or None, None if stop >= n else stop, None if step == 1 else step)
    return slice(start, None if stop < 0 else stop, step)


def is_whole(index: Any, shape: tuple[int, ...]) -> bool:
    """Tell whether a basic index reads a whole array, of at least one axis, as it is."""
    if index is Ellipsis:
        return bool(shape)
    at = region(index, shape)
    return at is not None and bool(shape) and at.positions == tuple(map(range, shape)) and not any(at.single)


def read_late(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Move reads behind the stores that do not overlap them, so that no array is copied for them. Exact.

    The rewrites do the reverse, by which equal reads are merged. Dead stores are eliminated here, where the reads are
    final.
    """
    latest: dict[Stores, int] = {}
    begun: dict[Node, Stores] = {}
    new: dict[Node, Node] = {}
    out: dict[Node, None] = {}
    known: dict[Any, Node] = {}
    uses = Counter(x for node in nodes for x in node.operands)
    uses.update(results)

    def now(x: Node) -> Node:
        """Return the read of a part from the latest array that has it."""
        array, index = x.args
        wanted = region(index, array.shape) if type(array) is Node else None
        if wanted is None:
            return x
        stores, count = stores_to(array) or (begun.get(array), 0)
        last = latest.get(stores, 0) if stores is not None else 0
        if stores is None or not count < last <= len(stores.nodes) or stores.last(wanted, last) >= count:
            return x
        later = stores.nodes[last - 1]
        if later not in out:
            return x
        uses[later] += 1
        read = Node(part, (later, index), {}, x.value, x.name)
        return known.setdefault(key_of(read), read)

    for node in nodes:
        made = renewed(node, new)
        if made.function is part and not made.shape:
            made = now(made)
        views = {x: now(x) for x in made.operands if x.function is part and x.shape}
        out.update(dict.fromkeys(views.values()))
        made = renewed(made, views)
        if made.function is written:
            first = made.args[0]
            made.readers = [None]
            if type(first) is Node and uses[first] == 1:
                first.readers = [made]
                made = overwritten(made) or made
            made = stored_back(made) or made
        new[node] = made
        uses[made] = uses[node]
        out[made] = None
        if made.function is written and (found := stores_to(made)):
            stores, latest[stores] = found
            if latest[stores] == 1:
                begun[stores.base] = stores
    return alive([*out], [new.get(node, node) for node in results])
