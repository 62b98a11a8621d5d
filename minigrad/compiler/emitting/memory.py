"""Memory planning: each value of a traced program lives in a buffer, in a donated argument, or in a new array.

Intermediate values go into preallocated buffers, which are reused once their value is dead; elementwise calls work in
place on an operand that dies there. Results are allocated in every call, or overwrite a donated argument.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, insort
from typing import Any

import numpy as np

from ...rules.facts import facts
from ..ir import Node, Nodes, added_at, cast, part, written
from ..rewriting.patterns import alike
from ..rewriting.regions import are_apart, region


class Storage:
    """A storage location; values whose lifetimes do not overlap share one.

    Attributes
    ----------
    owner : Node
        The first value put there; of an argument, the argument.
    donated : bool
        Whether it is an argument that may be overwritten.
    array : ndarray or None
        The buffer; None for an argument, and for a value allocated in every call.
    fresh : bool
        Whether it is allocated in every call.
    """

    __slots__ = ("array", "donated", "fresh", "name", "owner")

    def __init__(self, owner: Node, donated: bool = False) -> None:
        self.owner = owner
        self.donated = donated
        self.fresh = False
        self.array: np.ndarray[Any, Any] | None = None
        self.name = ""


COPIES = frozenset({cast, np.copy, written, added_at})
"""Functions without ``out`` for which the source writer has another in-place form."""


def is_reduction(f: Any) -> bool:
    """Tell whether a function is a method of a ufunc, such as ``np.add.reduce``."""
    return isinstance(getattr(f, "__self__", None), np.ufunc) and f.__name__ in ("reduce", "accumulate")


MISREDUCES = bool(np.maximum.reduce(np.array([2.0, 1.0])[::-1], keepdims=True, out=np.empty(1))[0] != 2)
"""Whether this NumPy reduces a reversed array into ``out`` wrongly, as 2.0 does."""


def may_be_reversed(x: Any) -> bool:
    """Tell whether an operand may have negative strides; an argument may, in any call."""
    if type(x) is not Node or min(getattr(x.value, "strides", ()), default=0) < 0:
        return True
    while type(x) is Node and x.function is not None and facts(x.function).memory == "view":
        x = x.args[0]
    return type(x) is not Node or x.function is None


OUT_OR_DTYPE = frozenset({np.concatenate, np.stack})
"""Functions that do not accept ``out`` together with ``dtype``."""


def fills(node: Node) -> bool:
    """Tell whether a call accepts ``out``, or has another way to write into a given array."""
    f = node.function
    # NumPy counts references to objects: raw memory cannot hold them.
    if not node.shape or node.dtype.hasobject:
        return False
    return (
        (isinstance(f, np.ufunc) and f.nout == 1)
        or (is_reduction(f) and not (MISREDUCES and may_be_reversed(node.args[0])))
        or (facts(f).memory == "out" and not (f in OUT_OR_DTYPE and "dtype" in node.kwargs))
        or f in COPIES
    )


def is_new(node: Node) -> bool:
    """Tell whether a call's result aliases no operand; that of np.einsum may be a view where there is one operand."""
    f = node.function
    return facts(f).memory == "new" or (f is np.einsum and len(node.operands) > 1)


SLOW_IN_PLACE = frozenset({np.sign})
"""Functions that NumPy vectorizes out of place only: in place np.sign takes eight to twelve times as long."""


def overwrites(node: Node) -> list[Node]:
    """Return the operands that a call may overwrite with its result."""
    f = node.function
    if f in SLOW_IN_PLACE:
        return []
    if isinstance(f, np.ufunc) and f.signature is None:
        return [x for x in node.args if type(x) is Node]
    return [node.args[0]] if f in (written, added_at) and type(node.args[0]) is Node else []


def reads_elsewhere(node: Node) -> bool:
    """Tell whether a call copies one part of an array to another, known to be disjoint."""
    value = node.args[2] if node.function is written else None
    if type(value) is not Node or value.function is not part or value.args[0] is not node.args[0]:
        return False
    into, of = region(node.args[1], node.shape), region(value.args[1], node.shape)
    return into is not None and of is not None and are_apart(into, of)


def same_layout(x: Node, y: Node) -> bool:
    """Tell whether two values, of any shapes, are contiguous and of one size."""
    return bool(x.value.size == y.value.size and x.value.flags.c_contiguous and y.value.flags.c_contiguous)


def is_broadcast(node: Node) -> bool:
    """Tell whether a value may be read-only, or a view in which entries share memory."""
    while facts(node.function).memory == "view" and type(node.args[0]) is Node:
        if node.function in (np.broadcast_to, np.diagonal):
            return True
        node = node.args[0]
    return False


def way_to(final: Node, x: Node) -> set[Node]:
    """Return the chain of in-place calls from an input to its final value."""
    next_on_way: dict[Node, Node | None] = {final: None}
    waiting = [final]
    while waiting:
        node = waiting.pop()
        for operand in overwrites(node) if node.function is not None else ():
            if operand is x:
                way = {node}
                while (following := next_on_way[node]) is not None:
                    way.add(node := following)
                return way
            if operand not in next_on_way:
                next_on_way[operand] = node
                waiting.append(operand)
    return set()


class Plan:
    """The storage of every value of a program.

    Parameters
    ----------
    inputs, nodes, results : lists of nodes
    donated
        The inputs that may be overwritten.
    finals
        The inputs that the function modifies, with their final values.
    """

    def __init__(
        self, inputs: Nodes, nodes: Nodes, results: Nodes, donated: set[Node], finals: dict[Node, Node]
    ) -> None:
        self.ways = {x: way_to(final, x) for x, final in finals.items()}
        self.donated = donated
        self.nodes = nodes
        self.results = results
        self.roots: dict[Node, frozenset[Node]] = {}  # the values whose memory a value may be in
        for x in inputs:
            self.roots[x] = frozenset({x})
        for node in nodes:
            self.roots[node] = self._roots_of(node)
        self.last = self._last_uses()
        self.storage_of = {x: Storage(x, donated=x in donated or x in finals) for x in inputs}
        escaping = {root for node in results for root in self.roots_of(node)}
        for i, node in enumerate(nodes):
            if node in self.roots[node] and node.shape:
                self.storage_of[node] = self._over_an_operand(i, node) or Storage(node)
        for root in escaping:
            if root in self.storage_of and self.storage_of[root].owner.function is not None:
                self.storage_of[root].fresh = True
        for node in nodes:
            if node in self.storage_of and self.storage_of[node].owner is node and not fills(node):
                self.storage_of[node].fresh = True
        self.blocks: list[np.ndarray[Any, Any]] = []
        self._share_buffers()

    def roots_of(self, node: Node) -> frozenset[Node]:
        """Return the owners of the memory that a value may alias, constants among them."""
        return self.roots.get(node) or frozenset({node})

    def _roots_of(self, node: Node) -> frozenset[Node]:
        f = node.function
        if f is part and isinstance(node.value, np.generic):  # an entry is a copy
            return frozenset({node})
        if facts(f).memory == "view" or f is operator.getitem:
            first = self.roots_of(node.args[0]) if type(node.args[0]) is Node else frozenset()
            if f is not np.reshape:
                return first
            x = node.args[0].value
            sure = x.flags.c_contiguous or np.may_share_memory(node.value, x)
            return first if sure and all(root.function is not None for root in first) else first | {node}
        if fills(node) or is_new(node) or isinstance(f, np.ufunc) or is_reduction(f):
            return frozenset({node})
        return frozenset({node}).union(*(self.roots_of(x) for x in node.operands))

    def _last_uses(self) -> dict[Node, int]:
        """Return each storage location's last use; past the last call if a result is in it."""
        last: dict[Node, int] = {}
        for i, node in enumerate(self.nodes):
            for x in (node, *node.operands):
                for root in self.roots_of(x):
                    last[root] = i
        for x in self.results:
            for root in self.roots_of(x):
                last[root] = len(self.nodes)
        return last

    def _over_an_operand(self, i: int, node: Node) -> Storage | None:
        """Return the storage of an operand that the result of call i may overwrite; a donated one, if any."""
        found = [x for x in overwrites(node) if self._is_free(x, i, node)] if fills(node) else []
        storages = [self.storage_of[self.viewed(x)] for x in found]
        return max(storages, key=lambda storage: storage.donated, default=None)

    def _is_free(self, x: Node, i: int, node: Node) -> bool:
        """Tell whether an operand of the result's shape and dtype is in memory that nothing reads after call i."""
        whole = self.viewed(x)
        storage = self.storage_of.get(whole)
        if storage is None or self.roots_of(x) != {whole} or self.last[whole] != i:
            return False
        if whole.function is None and not storage.donated:
            return False
        if node not in self.ways.get(storage.owner, {node}):
            return False
        others = [y for y in node.operands if y is not x]
        if any(whole in self.roots_of(y) for y in others) and not reads_elsewhere(node):
            return False
        if node.function in (written, added_at):
            return True
        return alike(x, node) and (
            (x is whole and storage.owner.shape == node.shape) or same_layout(storage.owner, node)
        )

    def viewed(self, x: Node) -> Node:
        """Return the value that a reshape views; any other value as it is."""
        roots = self.roots_of(x)
        if x.function is np.reshape and len(roots) == 1 and x not in roots:
            (whole,) = roots
            return whole if whole.value.size == x.value.size else x
        return x

    def _share_buffers(self) -> None:
        """Assign buffers to intermediate values; a dead value's buffer is reused where it fits."""
        ends: dict[Storage, int] = {}
        for node, storage in self.storage_of.items():
            ends[storage] = max(ends.get(storage, -1), self.last.get(node, -1))
        free: list[np.ndarray[Any, Any]] = []  # by size
        ending: dict[int, list[np.ndarray[Any, Any]]] = {}  # the blocks in use, by the call after their last
        for i, node in enumerate(self.nodes):
            for block in ending.pop(i, ()):
                insort(free, block, key=size_of)
            new = self.storage_of.get(node)
            if new is None or new.owner is not node or new.fresh or node.function is None:
                continue
            need = node.value.nbytes
            best = bisect_left(free, need, key=size_of)
            if best < len(free) and free[best].nbytes <= 2 * need + 1024:
                block = free.pop(best)
            else:
                block = aligned(need)
                self.blocks.append(block)
            ending.setdefault(max(ends[new], i) + 1, []).append(block)
            new.array = np.ndarray(
                node.shape, node.dtype, buffer=block.data, strides=np.empty_like(node.value).strides
            )


def size_of(block: np.ndarray[Any, Any]) -> int:
    """Return a block's size in bytes."""
    return block.nbytes


ALIGNMENT = 64
"""The bytes of a cache line."""


def aligned(nbytes: int) -> np.ndarray[Any, Any]:
    """Return a block of bytes that starts at a multiple of the alignment."""
    block = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + nbytes]
