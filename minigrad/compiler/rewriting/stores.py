"""Reads and writes: forward stored values to later reads, eliminate dead stores, read from the latest array."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Any

import numpy as np

from ..ir import Node, Nodes, part, written
from .fixed_point import alive, key_of, on, renewed
from .patterns import SCATTER, alike, scattered
from .regions import Region, are_apart, composed, region

FARTHEST = 200
"""The maximum number of stores that are searched for a read."""
FEW = 8
"""The maximum number of stores that are dropped from a chain which another one branches off."""


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
    while not is_looked_up(array) and array.function is written:
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
    value, at = scattered_at(array)
    return (value if at == wanted else None), array


def scattered_at(array: Node) -> tuple[Node | None, Region | None]:
    """Return what is scattered into zeros, and where; None of other arrays, and None for advanced indices."""
    found = scattered(array)
    return (found[0], region(found[1], array.shape)) if found else (None, None)


def is_zero_at(array: Node, index: Any) -> bool:
    """Tell whether an array is zero at an index: 0 is stored there, or nothing is scattered."""
    wanted, looked = region(index, array.shape), stored(array, index)
    if wanted is None or looked is None:
        return False
    if looked[0] is not None:
        return type(looked[0]) is int and looked[0] == 0
    _, at = scattered_at(looked[1])
    return at is not None and are_apart(at, wanted)


@on(part)
def read_as_written(node: Node) -> Node | None:
    """Forward a stored value to a read at the same index. Exact."""
    array, index = node.args
    found = stored(array, index)
    if found is None:
        return None
    value, where = found
    if type(value) is Node and alike(node, value) and isinstance(value.value, np.ndarray) == bool(node.shape):
        return value
    return Node(part, (where, index), {}, node.value) if value is None and where is not array else None


@on(written)
def overwritten(node: Node) -> Node | None:
    """Eliminate a store that the next one overwrites, where no one else reads the array between them. Exact."""
    first, index, value = node.args
    if first.function is not written or len(first.readers) > 1:
        return None
    at = region(index, node.shape)
    if at is None or at != region(first.args[1], node.shape):
        return None
    return Node(written, (first.args[0], index, value), {}, node.value)


@on(written)
def stored_back(node: Node) -> Node | None:
    """Eliminate a store of the value that is there already. Exact."""
    array, index, value = node.args
    found = stored(array, index) if type(value) is Node else None
    if found is None:
        return None
    known, where = found
    is_read = known is None and value.function is part and value.args[0] is where
    if is_read and region(value.args[1], node.shape) == region(index, node.shape):
        known = value
    return array if known is value else None


@on(part)
def read_of_read(node: Node) -> Node | None:
    """Merge a read of a part of an array into one read. Exact."""
    x, second = node.args
    if x.function is not part:
        return None
    array, first = x.args
    index = composed(first, second, array.shape)
    return None if index is None else Node(part, (array, index), {}, node.value)


@on(written)
def store_into_read(node: Node) -> Node | None:
    """Merge a store into a part of an array, which is stored back, into one store. Exact."""
    array, first, changed = node.args
    if type(changed) is not Node or changed.function is not written:
        return None
    before, second, value = changed.args
    if before.function is not part:
        return None
    if before.args[0] is not array and stored(array, first) != (None, before.args[0]):
        return None
    if region(first, array.shape) != region(before.args[1], array.shape):
        return None
    index = composed(first, second, array.shape)
    return None if index is None else Node(written, (array, index, value), {}, node.value)


@on(SCATTER)
def scatter_of_scatter(node: Node) -> Node | None:
    """Merge two scatters into one, the gradient of a read of a part. Exact."""
    value, first, shape = node.args
    inner, at = scattered(value), region(first, shape)
    if inner is None or at is None or at.shape != inner[2]:
        return None
    index = composed(first, inner[1], shape)
    return None if index is None else Node(SCATTER, (inner[0], index, shape), {}, node.value)


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
        wanted = region(index, array.shape)
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
            if uses[first] == 1:
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
