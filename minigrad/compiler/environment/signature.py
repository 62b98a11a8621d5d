"""Signatures: which calls of a compiled function may run the same program.

A signature is the structure of the arguments, the shapes and dtypes of their arrays, the values of static options, and
a snapshot of the globals and closure variables that the function reads. `flatten` computes it for any call; `reader`
generates a fast check that a call has the same signature as an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ...engine.arrays import overlaps_itself
from ...engine.containers import CONTAINERS, children_of, entries_of
from ...engine.tensor import Tensor
from ..tracing.trace import TracedGenerator
from ..tracing.traced import Traced
from .options import cannot_change, option_key
from .origin import is_library_class


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
            key.append(option_key(x))


def own_classes(x: Any) -> Iterator[type]:
    """Yield the classes in nested arguments, and those of containers that are not Python's own."""
    if isinstance(x, type) and not is_library_class(x):
        yield x
    entries = entries_of(x)
    if entries is not None and type(x) not in (dict, list, tuple):
        yield type(x)
    for each in (entries or {}).values():
        yield from own_classes(each)


def numbers(name: str, x: Any) -> Iterator[tuple[str, int | float]]:
    """Yield the Python numbers in a nested argument, in the order of `flatten`, each with the nearest name to it."""
    for key, each in (entries_of(x) or {}).items():
        yield from numbers(key if isinstance(key, str) else name, each)
    if type(x) in (int, float):
        yield name, x


def differing_number(signature: tuple[Any, ...], other: tuple[Any, ...]) -> int | None:
    """Return the index of the one number in which two signatures differ; None if they differ otherwise."""
    if len(signature) != len(other):
        return None
    places = [i for i, (a, b) in enumerate(zip(signature, other, strict=True)) if a != b]
    if len(places) != 1 or not (
        stands_for_number(signature[places[0]]) and stands_for_number(other[places[0]])
    ):
        return None
    return sum(map(stands_for_number, signature[: places[0]]))


def stands_for_number(entry: Any) -> bool:
    """Tell whether an entry of a signature stands for a Python number."""
    return isinstance(entry, tuple) and bool(entry) and entry[0] in (int, float)


class Reading(NamedTuple):
    """An outside value that a call reads: ``get(key)`` of each place, which all return one object."""

    places: list[tuple[Callable[[Any], Any], Any]]
    converted: Callable[[Any], Any] | None
    value: Any


def reader(
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    overwritten: list[int],
    outside: Iterable[Reading] = (),
    contiguous: Iterable[int] = (),
) -> Callable[..., Any]:
    """Generate the function that extracts the arrays from the arguments of a call with this signature.

    Parameters
    ----------
    args, kwargs
        The arguments of the call.
    overwritten
        The positions, among the arrays, of those that the program overwrites.
    outside
        What is read from outside, the last of the arrays.
    contiguous
        The positions, among the arrays, of those whose entries are to lie in order.

    Returns
    -------
    function
        ``f(args, kwargs)`` returns the arrays of another call; None if its signature differs, or may differ, or if an
        array that is overwritten may share memory.
    """
    source = ReaderSource()
    source.read("args", args)
    source.read("kwargs", kwargs)
    for place in outside:
        source.read_outside(place)
    source.keep_apart(overwritten)
    for i in contiguous:
        source.require(f"{source.leaves[i][0]}.flags.c_contiguous")
    exec(compile(source.text(), "<jit signature>", "exec"), source.namespace)
    leaves_of: Callable[..., Any] = source.namespace.pop("leaves_of")  # or they would be in a circle
    return leaves_of


class ReaderSource:
    """The source of a `reader`."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {"ndarray": np.ndarray, "memmap": np.memmap}
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
        if type(x) is np.memmap:
            self.lines.append(f"if type({name}) is memmap: {name} = {name}.view(ndarray)")
            x = x.view(np.ndarray)
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

    def read_outside(self, place: Reading) -> None:
        """Emit the reading and the comparison of what is outside."""
        name = self.bound(None)
        (first, key), *others = place.places
        self.lines.append(f"{name} = {self.bound(first)}({self.bound(key)})")
        for get, key in others:
            self.require(f"{self.bound(get)}({self.bound(key)}) is {name}")
        if place.converted is not None:
            self.lines.append(f"{name} = {self.bound(place.converted)}({name})")
        self.read(name, place.value)

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


def refuse_overlap(
    leaves: list[Any], overwritten: list[int], apart: list[int], contiguous: Iterable[int] = ()
) -> None:
    """Refuse to overwrite an array that shares memory with another; those in ``apart`` may share none either.

    Raises
    ------
    ValueError
        If memory that will be overwritten is read-only, or is shared by two arguments, or by two entries of one; or
        if an array that is to lie ``apart`` shares its memory; or if the entries of a ``contiguous`` one lie otherwise.
    """
    for i in contiguous:
        if not leaves[i].flags.c_contiguous:
            raise ValueError(
                f"jit: an array of shape {leaves[i].shape} would be written to while it is in use in another shape, "
                "which is a view or a copy, as its entries lie in memory; give np.ascontiguousarray(x)"
            )
    alone = len(set(map(id, leaves))) == len(leaves)
    for x in leaves:
        if type(x) is np.ndarray and x.base is not None:
            alone = False
    for i in overwritten:
        if not leaves[i].flags.writeable:
            raise ValueError(
                f"jit: an array of shape {leaves[i].shape} would be overwritten, but is read-only; give a copy"
            )
    if alone:
        return
    for i in overwritten:
        if overlaps_itself(leaves[i]):
            raise ValueError(
                f"jit: an array of shape {leaves[i].shape} and strides {leaves[i].strides} would be overwritten, but "
                "has entries that share their memory; give a copy"
            )
    for i in {*overwritten, *apart}:
        for j, other in enumerate(leaves):
            if j != i and isinstance(other, np.ndarray) and np.may_share_memory(leaves[i], other):
                raise ValueError(
                    f"jit: an array of shape {leaves[i].shape} would be written to, but shares its memory with "
                    f"another argument or array from outside, of shape {other.shape}; make one of them a copy"
                )
