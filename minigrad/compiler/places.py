"""Places outside of a function: entries of dicts and lists, attributes, closure cells; read, set and put back."""

from __future__ import annotations

import sys
import weakref
from array import array
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
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
from .origin import has_state

Place = tuple[int, Any]
"""What identifies a place: the ``id`` of its namespace, or of the object that this is of, and its name."""
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


def place_of(namespace: Any, name: Any) -> Place:
    """Return what identifies a place."""
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
    """Set a place, or delete what is there; an object's own ``__setattr__`` is not called."""
    if name is None:
        namespace.cell_contents = value
    elif name in PARTS:
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
    """Replace all that is in a list, a dict, a set or alike."""
    if isinstance(x, (list, bytearray, array)):
        x[:] = array(x.typecode, contents) if isinstance(x, array) else contents
        return
    x.clear()
    (x.extend if isinstance(x, deque) else x.update)(contents)


def is_set(namespace: Any, name: Any) -> bool:
    """Tell whether there is something in a place."""
    if name is None:
        try:
            return namespace.cell_contents is not DELETED
        except ValueError:
            return False
    if isinstance(namespace, (dict, MappingProxyType)):
        return name in namespace
    if isinstance(name, int):
        return name < len(namespace.of())
    return name in namespace if type(namespace) is Attributes else hasattr(namespace.of(), name)


class Unread:
    """Stands in a place that a function is not to read before it sets it: whatever is done with it is an error."""


def _refuse(*_: Any, **__: Any) -> Any:
    raise LookupError("a place was read")


_METHODS = """getattribute setattr delattr bool eq ne lt le gt ge hash repr str format len iter next contains
getitem setitem delitem call enter exit int float complex index neg pos abs invert round array array_ufunc"""
_OPERATORS = "add sub mul truediv floordiv mod pow matmul and or xor"
for _name in [*_METHODS.split(), *[side + name for side in ("", "r", "i") for name in _OPERATORS.split()]]:
    setattr(Unread, f"__{_name}__", _refuse)


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


def results_in(x: Any, known: Container[int] = ()) -> Iterator[Any]:
    """Yield the stand-ins, and tensors of them, in nested tuples, lists, dicts and objects, which may be in themselves.

    Objects whose ``id`` is known are not looked into.
    """
    waiting, seen = [x], set()
    while waiting:
        each = waiting.pop()
        if type(each) in STAND_INS or (type(each) is Tensor and type(each.data) in STAND_INS):
            yield each
        elif type(each) is Unread or id(each) in seen or id(each) in known:
            continue
        elif isinstance(each, (dict, tuple, list)):
            seen.add(id(each))
            waiting += each.values() if isinstance(each, dict) else each
        elif is_record(each):
            seen.add(id(each))
            waiting += vars(each).values()


def is_record(x: Any) -> bool:
    """Tell whether an object of a user's class has attributes, in a ``__dict__``."""
    return has_state(x) and hasattr(x, "__dict__")


def with_attributes(x: Any, attributes: dict[str, Any]) -> Any:
    """Return a copy of an object with other attributes."""
    made = copy(x)
    for name, value in attributes.items():
        object.__setattr__(made, name, value)
    return made


def made_of(x: Any, within: tuple[int, ...] = ()) -> Any:
    """Return a key of what a value is made of, the same for one that is made anew, alike.

    Arrays, lists, tuples, dicts, sets and the attributes of objects are compared by what is in them; functions,
    classes, enumerations and objects that are in themselves by identity.
    """
    kind: Any = type(x)
    if id(x) in within or kind in STAND_INS or kind is Unread:
        return kind, id(x)
    if kind is Tensor:
        return kind, made_of(x.data)
    if kind is slice:
        return kind, made_of((x.start, x.stop, x.step))
    if kind is FunctionType:
        cells = [read(cell, None) for cell in x.__closure__ or ()]
        return kind, x.__code__, made_of((x.__defaults__, x.__kwdefaults__, cells), (*within, id(x)))
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
