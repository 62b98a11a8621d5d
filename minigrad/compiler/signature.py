"""Signatures: which calls of a compiled function may run the same program.

A signature is the structure of the arguments, the shapes and dtypes of their arrays, the values of static options, and
a snapshot of the globals and closure variables that the function reads. `flatten` computes it for any call; `reader`
generates a fast check that a call has the same signature as an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import MethodType, NoneType
from typing import Any
from zlib import crc32

import numpy as np

from ..engine.arrays import STAND_INS
from ..engine.containers import CONTAINERS, children_of
from ..engine.tensor import Tensor
from .free_variables import Search, free_variables, has_attributes, is_foreign
from .methods import BoundMethod
from .places import KEYS, LARGE, read
from .trace import TracedGenerator
from .traced import Traced
from .where import JitError


class Inlined(Exception):
    """Raised where an argument is a tensor or is being traced: the function is inlined into a larger computation."""


def flatten(items: Iterable[Any], leaves: list[Any], key: list[Any]) -> None:
    """Append the arrays of nested arguments to the leaves, and everything static to the key."""
    for x in items:
        kind = type(x)
        if kind is np.ndarray:
            leaves.append(x)
            key.append(x.shape)
            key.append(x.dtype)
        elif kind is dict or isinstance(x, dict):
            key.append((kind, *x, *map(type, x)))  # 1, 1.0 and True are equal
            flatten(x.values(), leaves, key)
        elif isinstance(x, (tuple, list)):
            key.append((kind, len(x)))
            flatten(x, leaves, key)
        elif kind in CONTAINERS:
            key.append(kind)
            flatten((children_of(x),), leaves, key)
        elif kind is Tensor or kind is Traced or kind is TracedGenerator:
            raise Inlined
        elif isinstance(x, (np.generic, np.random.Generator)):
            leaves.append(x)
            key.append(kind)
        elif isinstance(x, np.ndarray):
            if kind is not np.memmap:
                raise TypeError(
                    f"jit: an argument is a {kind.__name__}; expected a plain array: np.asarray(…)"
                )
            flatten((x.view(np.ndarray),), leaves, key)
        else:
            key.append(option(x))


def own_classes(x: Any) -> Iterator[type]:
    """Yield the classes in nested arguments, and those of containers that are not Python's own."""
    if isinstance(x, type) and not is_foreign(x):
        yield x
    inside = children_of(x) if type(x) in CONTAINERS else x
    if not isinstance(inside, (dict, list, tuple)):
        return
    if type(x) not in (dict, list, tuple):
        yield type(x)
    for each in inside.values() if isinstance(inside, dict) else inside:
        yield from own_classes(each)


def numbers(names: Iterable[str], items: Iterable[Any]) -> Iterator[tuple[str, int | float]]:
    """Find the Python numbers in nested arguments, in the order of `flatten`, each with the nearest name to it."""
    for name, x in zip(names, items, strict=True):
        if isinstance(x, dict):
            yield from numbers([key if isinstance(key, str) else name for key in x], x.values())
        elif isinstance(x, (tuple, list)):
            yield from numbers([name] * len(x), x)
        elif type(x) in CONTAINERS:
            yield from numbers([name], [children_of(x)])
        elif type(x) in (int, float):
            yield name, x


def differing_number(signature: tuple[Any, ...], other: tuple[Any, ...]) -> int | None:
    """Return which of the numbers in a signature is another in the other, if nothing else is."""
    if len(signature) != len(other):
        return None
    places = [i for i, (a, b) in enumerate(zip(signature, other, strict=True)) if a != b]
    if len(places) != 1 or not (is_number(signature[places[0]]) and is_number(other[places[0]])):
        return None
    return sum(map(is_number, signature[: places[0]]))


def is_number(entry: Any) -> bool:
    """Tell whether an entry of a signature stands for a Python number."""
    return isinstance(entry, tuple) and bool(entry) and entry[0] in (int, float)


def reader(args: tuple[Any, ...], kwargs: dict[str, Any], overwritten: list[int]) -> Callable[..., Any]:
    """Generate the function that extracts the arrays from the arguments of a call with this signature.

    Parameters
    ----------
    args, kwargs
        The arguments of the call.
    overwritten
        The positions, among the arrays, of those that the program overwrites.

    Returns
    -------
    function
        ``f(args, kwargs)`` returns the arrays of another call; None if its signature differs, or may differ, or if an
        array that is overwritten may share memory.
    """
    source = ReaderSource()
    source.read("args", args)
    source.read("kwargs", kwargs)
    source.keep_apart(overwritten)
    exec(compile(source.text(), "<jit signature>", "exec"), source.namespace)
    leaves_of: Callable[..., Any] = source.namespace["leaves_of"]
    return leaves_of


class ReaderSource:
    """The source of a `reader`."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {"ndarray": np.ndarray}
        self.lines: list[str] = []
        self.leaves: list[tuple[str, Any]] = []  # names, and arrays

    def text(self) -> str:
        """Return the source of the whole function."""
        leaves = "".join(f"{name}, " for name, _ in self.leaves)
        return "\n    ".join(["def leaves_of(args, kwargs):", *self.lines, f"return ({leaves})\n"])

    def require(self, *conditions: str) -> None:
        """Emit: return None unless the conditions hold."""
        self.lines.append(f"if not ({' and '.join(conditions)}): return None")

    def bound(self, value: Any) -> str:
        """Bind a value to a new name in the namespace."""
        name = f"v{len(self.namespace)}"
        self.namespace[name] = value
        return name

    def read(self, name: str, x: Any) -> None:
        """Emit the comparison of an argument."""
        x = x.view(np.ndarray) if type(x) is np.memmap else x
        kind = type(x)
        if kind is np.ndarray:
            self.require(
                f"type({name}) is ndarray",
                f"{name}.shape == {x.shape}",
                f"{name}.dtype is {self.bound(x.dtype)}",
            )
            self.leaves.append((name, x))
        elif isinstance(x, (np.generic, np.random.Generator)):
            self.require(f"type({name}) is {self.bound(kind)}")
            self.leaves.append((name, x))
        elif isinstance(x, dict):
            self.require(f"type({name}) is {self.bound(kind)}", f"[*{name}] == {self.bound([*x])}")
            if not all(type(key) is str for key in x):
                self.require(f"[*map(type, {name})] == {self.bound([*map(type, x)])}")
            self.unpack(f"{name}.values()", x.values())
        elif isinstance(x, (tuple, list)):
            self.require(f"type({name}) is {self.bound(kind)}", f"len({name}) == {len(x)}")
            self.unpack(name, x)
        elif kind in CONTAINERS:
            self.require(f"type({name}) is {self.bound(kind)}")
            self.unpack(f"({self.bound(children_of)}({name}),)", [children_of(x)])
        else:
            self.require(f"{name} is {self.bound(x)}" if cannot_change(x) else "False")

    def unpack(self, iterable: str, items: Iterable[Any]) -> None:
        """Emit the comparison of a container's items."""
        named = [(self.bound(None), x) for x in items]
        if named:
            self.lines.append(f"{''.join(f'{name}, ' for name, _ in named)} = {iterable}")
        for name, x in named:
            self.read(name, x)

    def keep_apart(self, overwritten: list[int]) -> None:
        """Emit a quick test that no overwritten array shares memory; if it is not conclusive the slow path decides."""
        if not overwritten:
            return
        over = {self.leaves[i][0] for i in overwritten}
        memories = []
        for name, x in self.leaves:
            if name in over:
                self.require(f"{name}.base is None", f"{name}.flags.writeable")
                memories.append(f"id({name})")
            elif type(x) is np.ndarray:
                self.lines.append(f"{name}m = {name} if {name}.base is None else {name}.base")
                self.require(f"type({name}m) is ndarray", f"{name}m.base is None")
                memories.append(f"id({name}m)")
        self.require(f"len({{{', '.join(memories)}}}) == {len(memories)}")


def cannot_change(x: Any) -> bool:
    """Tell whether an option is immutable: the same object always has the same value."""
    kind = type(x)
    if kind in PLAIN:
        return True
    return kind is not MethodType and kind.__hash__ is BY_IDENTITY and fixed(x) is not None


def option(x: Any) -> Any:
    """Return a hashable key of an option's value; -0.0 differs from 0.0, and 1 from 1.0."""
    kind = type(x)
    if kind not in PLAIN:
        if kind.__hash__ is BY_IDENTITY or kind is MethodType:
            return fixed(x) or function_option(x)
        if kind is slice:  # which has no hash before Python 3.12
            return kind, *map(option, (x.start, x.stop, x.step))
        try:
            hash(x)
        except TypeError:
            raise JitError(
                f"jit: an argument is a {kind.__name__}, neither an array nor an option that can be hashed; "
                "give arrays in dicts, lists and tuples"
            ) from None
        if isinstance(x, frozenset):
            return kind, frozenset(map(option, x))
        if isinstance(x, tuple):  # in a frozenset
            return kind, *map(option, x)
        if isinstance(x, (complex, np.complexfloating)):
            return kind, x, str(x)
        if is_dataclass(kind):
            return kind, x, *numbers_of(x)  # its == takes 1 for 1.0, and may leave fields out
    if kind is float and x != x:  # NaN, which equals no other
        return kind, "nan"
    return (kind, x) if x else (kind, x, str(x))


def numbers_of(x: Any) -> Iterator[Any]:
    """Yield the keys of the numbers and strings in the fields of a dataclass, nested or not."""
    for each in fields(x):
        value = getattr(x, each.name, None)
        if type(value) in PLAIN:
            yield option(value)
        elif is_dataclass(type(value)):
            yield from numbers_of(value)
        elif isinstance(value, tuple):
            yield from (option(part) for part in value if type(part) in PLAIN)


PLAIN = frozenset({int, float, bool, str, NoneType})
BY_IDENTITY: Any = object.__hash__


def function_option(f: Any) -> tuple[Any, ...]:
    """Return the key of a callable option: its identity, and a snapshot of what it reads."""
    return type(f), f, *[taken(read(*place)) for place in free_variables(f)]


@lru_cache
def fixed(f: Any) -> tuple[Any, ...] | None:
    """Return the key of a callable that reads no globals or closure variables; None for one that does.

    Raises
    ------
    JitError
        If it is no function.
    """
    if f is Ellipsis:
        return type(f), f
    if type(f) is MethodType:
        option(f.__self__)
    if type(f) is BoundMethod:
        option(f.instance)
    if type(f) in STAND_INS:
        raise JitError(
            "jit: the function has left an array outside, in an attribute, a list or a dict, which has values only "
            "while it runs; return it instead"
        )
    if not callable(f) or has_attributes(type(f)):
        raise JitError(
            f"jit: an argument is a {type(f).__name__}, an object that may change without being another; give the "
            "arrays and numbers that are needed of it, or, if the function is its method, compile mg.jit(x.method)"
        )
    return (type(f), f) if next(free_variables(f), None) is None else None


class Same:
    """Compares an object by identity, and keeps it alive."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return type(other) is Same and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


class Outside:
    """A snapshot of the globals, closure cells and mutable objects that a function reads.

    Arrays in them are compared by their entries, but for those that are arguments of the call, too. The places in
    ``written`` are left out: the function writes them before it reads them. Of the arguments' own classes the methods
    are followed.
    """

    __slots__ = ("arguments", "arrays", "classes", "function", "key", "names", "values", "written")

    def __init__(
        self,
        f: Callable[..., Any],
        leaves: Iterable[Any] = (),
        written: Container[tuple[int, Any]] = (),
        classes: Iterable[type] = (),
    ) -> None:
        self.function, self.written, self.classes = f, written, classes
        search = Search(f, written, classes)
        found = [(*place, read(*place)) for place in search]
        self.values = [place for place in found if place[1] is not KEYS]
        self.names = [(namespace, names) for namespace, name, names in found if name is KEYS]
        given = set(map(id, leaves))
        self.arguments = [x for x in search.arrays if id(x) in given]
        self.arrays = [(x, entries(x)) for x in search.arrays if id(x) not in given]
        self.key = (*[taken(value) for _, _, value in found], *[each for _, each in self.arrays])

    def changed(self, leaves: Iterable[Any]) -> bool:
        """Tell whether the snapshot is out of date, in a call with these arrays."""
        if self.arguments and not set(map(id, leaves)).issuperset(map(id, self.arguments)):
            return True
        for x, before in self.arrays:
            if entries(x) != before:
                return True
        try:
            for namespace, name, before in self.values:
                if (namespace.cell_contents if name is None else namespace.get(name)) is not before:
                    return True
            for namespace, names in self.names:
                if tuple(namespace) != names:
                    return True
        except ValueError:  # a cell that is empty
            return True
        return False

    def changed_value(self) -> str:
        """Describe the outside value that changed, a number, say; empty if it cannot be named."""
        if array := self.changed_array():
            return f"{array}, which it reads"
        if (place := self.changed_number()) is not None:
            _, name = place
            if isinstance(name, str):
                return f"{name}, which it reads"
            return f"{'a variable of an enclosing function' if name is None else 'a list'} that it reads"
        if any(tuple(each) != names for each, names in self.names):
            return "the keys or attributes of an object that it reads"
        return ""

    def changed_array(self) -> str:
        """Return an array of which an entry has another value now; empty, if there is none."""
        return next((f"an array of shape {x.shape}" for x, kept in self.arrays if entries(x) != kept), "")

    def changed_number(self) -> tuple[Any, Any] | None:
        """Return the namespace and the name of a number, a string or alike that is another now; None, if none is."""
        for namespace, name, before in self.values:
            value = read(namespace, name)
            plain = [type(x) in PLAIN for x in (before, value)]
            if value is not before and any(plain) and not (all(plain) and taken(value) == taken(before)):
                return namespace, name
        return None

    def now(self, leaves: Iterable[Any]) -> Outside:
        """Return the current values."""
        return Outside(self.function, leaves, self.written, self.classes) if self.changed(leaves) else self


def entries(x: np.ndarray[Any, Any]) -> Any:
    """Return the entries of an array from outside, for comparison: bytes, or a checksum of many."""
    kept = (x if x.size <= LARGE else x.flat[:: -(-x.size // LARGE)]).tobytes()
    return x.shape, x.dtype, kept if len(kept) <= LARGE else crc32(kept)


def taken(x: Any) -> Any:
    """Return the key of a value read from outside: by value if immutable, else by identity."""
    if isinstance(x, tuple):
        return type(x), *map(taken, x)
    if type(x) in STAND_INS:  # whatever isinstance says
        return Same(x)
    return option(x) if isinstance(x, (int, float, complex, str, bytes, np.generic, NoneType)) else Same(x)


def refuse_overlap(leaves: list[Any], overwritten: list[int]) -> None:
    """Refuse to overwrite an array that shares memory with another argument.

    Raises
    ------
    ValueError
        If memory that will be overwritten is read-only, or is shared by two arguments, or by two entries of one.
    """
    alone = len(set(map(id, leaves))) == len(leaves)
    for x in leaves:
        if type(x) is np.ndarray and x.base is not None:
            alone = False
    for i in overwritten:
        if not leaves[i].flags.writeable:
            raise ValueError(
                f"jit: an array of shape {leaves[i].shape} is to be written over, but is read-only; give a copy"
            )
    if alone:
        return
    for i in overwritten:
        if overlaps_itself(leaves[i]):
            raise ValueError(
                f"jit: an array of shape {leaves[i].shape} and strides {leaves[i].strides} is to be written over, but "
                "has entries that share their memory; give a copy"
            )
        for j, other in enumerate(leaves):
            if j != i and isinstance(other, np.ndarray) and np.may_share_memory(leaves[i], other):
                raise ValueError(
                    f"jit: an array of shape {leaves[i].shape} is to be written over, but shares its memory with "
                    f"another argument, of shape {other.shape}; give a copy of one"
                )


def overlaps_itself(x: np.ndarray[Any, Any]) -> bool:
    """Tell whether entries of an array may share memory, as those of a broadcast array or a sliding window do."""
    if not x.size:
        return False
    extent = x.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(x.strides, x.shape, strict=True) if n > 1):
        if stride < extent:
            return True
        extent += stride * (length - 1)
    return False
