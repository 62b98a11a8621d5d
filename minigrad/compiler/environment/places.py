"""Places outside of a function: entries of dicts and lists, attributes, closure cells; read, set and put back."""

from __future__ import annotations

import sys
import weakref
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from enum import Enum
from types import MappingProxyType, ModuleType
from typing import Any

from .methods import has_weak_references

PlaceKey = tuple[int, Any]
"""A place's key: the ``id`` of its namespace, or of the object that this is of, and the name in it."""
DELETED: Any = object()
"""Sentinel: the place holds no value."""


class Name(Enum):
    """Special names of places, distinct from every key of a dict.

    ``KEYS``: the names in a namespace, in order; ``CELL``: the value of a closure cell; ``LIST``: a list as a whole;
    ``OTHER``: a set, a deque or the like as a whole, or the value of a context variable; ``THREAD``: the attributes
    that the running thread has in a ``threading.local``.
    """

    KEYS = "keys"
    CELL = "cell"
    LIST = "list"
    OTHER = "other"
    THREAD = "thread"


KEYS, CELL, LIST, OTHER, THREAD = Name
WHOLE = (LIST, OTHER, THREAD)


class Contents:
    """A dict-like view of a list's entries, an object's attributes, or all parts of a list, a set or the like.

    An object that has weak references is not kept alive.
    """

    __slots__ = ("of",)

    def __init__(self, of: Any) -> None:
        self.of: Any = weakref.ref(of) if has_weak_references(of) else lambda: of

    def get(self, name: Any) -> Any:
        """Return an entry or attribute, or None; of the whole, the length of a list or the repr.

        Of a context variable it is the value.
        """
        of = self.of()
        if name is THREAD:
            return vars(of)
        if isinstance(of, ContextVar):
            try:
                return of.get()
            except LookupError:
                return None
        if name in WHOLE:
            return sys.intern(str(len(of)) if name is LIST else repr(of))
        if isinstance(name, str):
            return getattr(of, name, None)
        return of[name] if name < len(of) else None


class Attributes:
    """A dict-like view of a class's own attributes."""

    __slots__ = ("get", "kind")

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.get = vars(kind).get

    def of(self) -> type:
        """Return the class."""
        return self.kind

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self.kind))


def place_of(namespace: Any, name: Any) -> PlaceKey:
    """Return the key of a place."""
    return id(namespace.of() if type(namespace) in (Contents, Attributes) else namespace), name


def read(namespace: Any, name: Any) -> Any:
    """Read a place: an entry, an attribute, a cell, or the names in a namespace."""
    if name is KEYS:
        return tuple(namespace)
    if name is not CELL:
        return namespace.get(name)
    try:
        return namespace.cell_contents
    except ValueError:  # not set yet
        return None


def put(namespace: Any, name: Any, value: Any) -> None:
    """Set a place, or delete its value; an object's own ``__setattr__`` is not called."""
    if name is CELL:
        namespace.cell_contents = value
    elif name in WHOLE:
        fill(namespace.of(), value)
    elif isinstance(namespace, dict):
        if value is DELETED:
            namespace.pop(name, None)
        else:
            namespace[name] = value
    elif isinstance(name, int):
        namespace.of()[name] = value
    elif not isinstance(namespace, MappingProxyType):  # which cannot be written to
        of = namespace.of()
        kind = type if isinstance(of, type) else object
        if value is not DELETED:
            kind.__setattr__(of, name, value)
        elif is_set(namespace, name):
            kind.__delattr__(of, name)


def fill(x: Any, contents: Any) -> None:
    """Replace the contents of a list, a dict, a set or a similar container."""
    if isinstance(x, (list, bytearray, array)):
        x[:] = array(x.typecode, contents) if isinstance(x, array) else contents
        return
    x.clear()
    (x.extend if isinstance(x, deque) else x.update)(contents)


def is_set(namespace: Any, name: Any) -> bool:
    """Tell whether a place has a value."""
    if name is CELL:
        try:
            return namespace.cell_contents is not DELETED
        except ValueError:
            return False
    if isinstance(namespace, (dict, MappingProxyType)):
        return name in namespace
    if isinstance(name, int):
        return name < len(namespace.of())
    return name in namespace if type(namespace) is Attributes else hasattr(namespace.of(), name)


def value_in(namespace: Any, name: Any) -> Any:
    """Return the value in a place; ``DELETED`` if there is none."""
    return read(namespace, name) if is_set(namespace, name) else DELETED


class Saved:
    """A backup of places, mutable objects and arrays, taken before a function runs."""

    def __init__(
        self, places: Iterable[tuple[Any, Any]], objects: Iterable[Any], arrays: Iterable[Any]
    ) -> None:
        found = [place for place in places if not (place[1] in WHOLE or isinstance(place[1], int))]
        self.names = [(namespace, set(namespace)) for namespace, name in found if name is KEYS]
        self.names += [(vars(x), {*vars(x)}) for x in objects if isinstance(x, ModuleType)]
        self.values = [
            (namespace, name, value_in(namespace, name)) for namespace, name in found if name is not KEYS
        ]
        self.contents = [(x, _contents(x)) for x in objects if isinstance(x, MUTABLE)]
        self.arrays = [(x, x.copy()) for x in arrays if x.flags.writeable and x.nbytes <= MOST_BYTES]

    def now(self) -> Iterator[tuple[PlaceKey, Any]]:
        """Yield the keys and the current values of the saved places and contents."""
        for namespace, name, _ in self.values:
            yield place_of(namespace, name), value_in(namespace, name)
        for x, _ in self.contents:
            for name, value in x.items() if isinstance(x, dict) else enumerate(x):
                yield (id(x), name), value

    def as_it_was(self, x: Any) -> Any:
        """Return a list or alike with its contents before; anything else itself."""
        return next((type(x)(before) for each, before in self.contents if each is x), x)

    def put_back(self, sets: Callable[[Any], bool]) -> None:
        """Restore saved contents and arrays, and those names for which ``sets(name)`` is true."""
        for x, before in self.contents:
            now = _contents(x)
            if len(now) != len(before) or any(
                a is not b for a, b in zip(_flat(now), _flat(before), strict=True)
            ):
                fill(x, before)
        for namespace, names in self.names:
            for name in set(namespace) - names:
                if sets(name):
                    put(namespace, name, DELETED)
        for namespace, name, value in self.values:
            now = value_in(namespace, name)
            if now is not value and sets(name):
                put(namespace, name, value)
        for x, entries in self.arrays:
            if differs(x, entries):
                x[...] = entries

    def changed_array(self) -> str:
        """Describe the first array whose entries have changed; an empty string if none has."""
        return next((f"an array of shape {x.shape}" for x, kept in self.arrays if differs(x, kept)), "")


def differs(x: Any, other: Any) -> bool:
    """Tell whether two arrays of one shape and dtype differ in a bit."""
    return bool(x.tobytes() != other.tobytes())


MOST_BYTES = 1 << 28
"""The size, in bytes, of the largest outside array that is saved while a function is traced."""
MUTABLE = (list, dict, set, deque, bytearray, array)
"""Types of objects whose contents change."""


def _contents(x: Any) -> Any:
    return dict(x) if isinstance(x, dict) else [*x]


def _flat(contents: Any) -> Iterable[Any]:
    return [*contents, *contents.values()] if isinstance(contents, dict) else contents
