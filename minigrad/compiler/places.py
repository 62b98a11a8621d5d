"""Places outside of a function: entries of dicts and lists, attributes, closure cells; read, set and put back."""

from __future__ import annotations

import sys
import weakref
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from enum import Enum
from types import (
    BuiltinMethodType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
    NoneType,
)
from typing import Any

import numpy as np

from ..engine.arrays import STAND_INS
from ..engine.containers import like, rebuilt
from ..engine.tensor import Tensor
from .methods import has_weak_references

KEYS: Any = tuple
"""In the place of a name: all the names in a namespace, in order."""
DELETED: Any = object()
"""In the place of a value: there is none."""
PARTS = (len, repr)
"""In the place of a name: all that is in a list, or in a set, a deque or alike."""


class Contents:
    """A dict-like view of a list's entries, an object's attributes, or its length or repr.

    An object that has weak references is not kept alive.
    """

    __slots__ = ("of",)

    def __init__(self, of: Any) -> None:
        self.of: Any = weakref.ref(of) if has_weak_references(of) else lambda: of

    def get(self, name: Any) -> Any:
        """Return an entry or attribute, None if there is none; for the keys ``len`` and ``repr`` theirs."""
        of = self.of()
        if name in PARTS:
            return sys.intern(str(name(of)))
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


def place_of(namespace: Any, name: Any) -> tuple[int, Any]:
    """Return what identifies a place: the ``id`` of the namespace, or of the object that it is of, and the name."""
    return id(namespace.of() if type(namespace) in (Contents, Attributes) else namespace), name


def read(namespace: Any, name: Any) -> Any:
    """Read a place: an entry, an attribute, a cell, or the names in a namespace."""
    if name is KEYS:
        return tuple(namespace)
    if name is not None:
        return namespace.get(name)
    try:
        return namespace.cell_contents
    except ValueError:  # not set yet
        return None


def put(namespace: Any, name: Any, value: Any) -> None:
    """Set a place, or delete what is there."""
    if value is DELETED:
        del namespace[name]
    elif name is None:
        namespace.cell_contents = value
    elif name in PARTS:
        fill(namespace.of(), value)
    elif type(namespace) not in (Contents, Attributes):
        namespace[name] = value
    elif isinstance(name, str):
        setattr(namespace.of(), name, value)
    else:
        namespace.of()[name] = value


def fill(x: Any, contents: Any) -> None:
    """Replace all that is in a list, a dict, a set or alike."""
    if isinstance(x, (list, bytearray, array)):
        x[:] = array(x.typecode, contents) if isinstance(x, array) else contents
        return
    x.clear()
    (x.extend if isinstance(x, deque) else x.update)(contents)


def is_set(namespace: Any, name: Any) -> bool:
    """Tell whether there is something in a place."""
    if isinstance(namespace, dict):
        return name in namespace
    return not isinstance(name, int) or name < len(namespace.of())


class Saved:
    """What is in places, in mutable objects and in arrays before a function runs, to put it back."""

    def __init__(
        self, places: Iterable[tuple[Any, Any]], objects: Iterable[Any], arrays: Iterable[Any]
    ) -> None:
        found = [place for place in places if not (place[1] in PARTS or isinstance(place[1], int))]
        self.names = [(namespace, tuple(namespace)) for namespace, name in found if name is KEYS]
        self.values = [
            (namespace, name, read(namespace, name) if is_set(namespace, name) else DELETED)
            for namespace, name in found
            if name is not KEYS
        ]
        self.contents = [(x, _contents(x)) for x in objects if isinstance(x, MUTABLE)]
        self.arrays = [(x, x.copy()) for x in arrays if x.flags.writeable and x.size <= LARGE]

    def put_back(self, sets: Callable[[Any], bool]) -> None:
        """Put back what a function has changed that sets what is called so."""
        for x, before in self.contents:
            now = _contents(x)
            if len(now) != len(before) or any(
                a is not b for a, b in zip(_flat(now), _flat(before), strict=True)
            ):
                fill(x, before)
        for namespace, names in self.names:
            for name in set(namespace).difference(names) if isinstance(namespace, dict) else ():
                if sets(name):
                    del namespace[name]
        for namespace, name, value in self.values:
            now = read(namespace, name) if is_set(namespace, name) else DELETED
            if now is not value and sets(name):
                put(namespace, name, value)
        for x, entries in self.arrays:
            if x.tobytes() != entries.tobytes():
                x[...] = entries


MUTABLE = (list, dict, set, deque, bytearray, array)
"""Types of objects whose contents change."""
LARGE = 1 << 16
"""The number of entries of an outside array that are compared in every call; of a larger one, evenly spaced ones."""


def _contents(x: Any) -> Any:
    return dict(x) if isinstance(x, dict) else [*x]


def _flat(contents: Any) -> Iterable[Any]:
    return [*contents, *contents.values()] if isinstance(contents, dict) else contents


def results_in(x: Any) -> Iterator[Any]:
    """Yield the stand-ins, and tensors of them, in nested tuples, lists and dicts, which may be in themselves."""
    waiting, seen = [x], set()
    while waiting:
        each = waiting.pop()
        if type(each) in STAND_INS or (type(each) is Tensor and type(each.data) in STAND_INS):
            yield each
        elif isinstance(each, (dict, tuple, list)) and id(each) not in seen:
            seen.add(id(each))
            waiting += each.values() if isinstance(each, dict) else each


def holds_results(x: Any) -> bool:
    """Tell whether there are stand-ins in a value."""
    return next(results_in(x), None) is not None


def made_of(x: Any, within: tuple[int, ...] = ()) -> Any:
    """Return a key of what a value is made of, the same for one that is made anew, alike.

    Arrays, lists, tuples, dicts, sets and the attributes of objects are compared by what is in them; functions,
    classes, enumerations and objects that are in themselves by identity.
    """
    kind = type(x)
    if id(x) in within:
        return kind, id(x)
    within = (*within, id(x))
    if isinstance(x, np.ndarray):
        return kind, x.shape, x.dtype, x.tobytes()
    if isinstance(x, (dict, MappingProxyType)):
        return kind, *[(made_of(key), made_of(each, within)) for key, each in x.items()]
    if isinstance(x, (list, tuple, deque)):
        return kind, *[made_of(each, within) for each in x]
    if isinstance(x, (set, frozenset)):
        return kind, frozenset(x)
    if isinstance(x, (str, bytes, bytearray, array, int, float, complex, np.generic, NoneType)):
        return kind, repr(x)
    if isinstance(x, (Enum, type, *CALLED)) or not hasattr(x, "__dict__"):
        return by_value(x)
    return kind, *[(name, made_of(each, within)) for name, each in vars(x).items()]


def by_value(x: Any) -> Any:
    """Return a value that compares by its own ``==``, a fraction or a date, say; or else its ``id``."""
    kind: Any = type(x)
    has_own = kind.__eq__ is not object.__eq__ and kind.__hash__ not in (None, object.__hash__)
    return (kind, x) if has_own and kind.__module__ in sys.stdlib_module_names else (kind, id(x))


CALLED = (FunctionType, MethodType, BuiltinMethodType, ModuleType)
"""Types of objects with attributes that do not make them what they are."""


def renewed(x: Any) -> Any:
    """Return a copy of arrays, lists, dicts and sets, however nested; anything else as it is."""
    if isinstance(x, (np.ndarray, set, deque, bytearray, array)):
        return copy(x)
    if isinstance(x, (list, tuple)):
        return rebuilt(x, [renewed(each) for each in x])
    return like(x, {key: renewed(each) for key, each in x.items()}) if isinstance(x, dict) else x
