"""Free variables: what a function, and those that it calls, read from outside: globals, closure cells, attributes."""

from __future__ import annotations

import builtins
import sys
import weakref
from array import array
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import Container, Iterable, Iterator
from functools import cached_property, partial, partialmethod
from inspect import getattr_static
from io import IOBase
from operator import attrgetter, methodcaller
from types import BuiltinMethodType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any
from weakref import ProxyTypes

import numpy as np

from ..engine.arrays import STAND_INS
from ..engine.containers import CONTAINERS
from ..engine.layer import Layer
from ..engine.tensor import Tensor
from .instructions import (
    CHANGES,
    DYNAMIC,
    READS_GLOBAL,
    STORES,
    STORES_ITEMS,
    attributes_in,
    chains_in,
    names_in,
)
from .methods import BoundMethod, BoundWeakly
from .origin import has_constant_globals, has_state, is_foreign, is_ours, is_users, slots_of
from .places import CELL, KEYS, LIST, OTHER, Attributes, Contents, Place, place_of, read
from .where import JitError


def free_variables(f: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the free variables of a function and of those it calls by name: globals (namespace, name), and cells.

    A mutable object is a namespace of its own: a dict, a list, an object, of which the attributes are read that a
    function names, or all where it may read them without naming them, by ``getattr``. The name ``KEYS`` stands for the
    names in a namespace, of which one may be added or go.
    """
    return iter(Search(f))


class Search:
    """The search for free variables: of functions first, then of what their code names in the objects found.

    ``classes`` are those of arguments, whose methods may be called; ``unread`` are places, as `place_of` has them,
    that the function is known not to read before it sets them; with ``stores`` places are found that are set alone.
    ``arrays`` are the arrays found whose entries may be read, not only their shape and dtype.
    """

    def __init__(
        self,
        f: Any,
        unread: Container[Place] = (),
        classes: Iterable[type] = (),
        stores: bool = False,
    ) -> None:
        self.unread, self.stores = unread, stores
        self.arrays: list[np.ndarray[Any, Any]] = []
        self.waiting: list[Any] = [f, *classes]
        self.seen: set[Any] = set()
        # The classes of the objects found, and whether they may be called themselves.
        self.kinds: dict[Any, bool] = {}
        self.objects: list[Any] = []
        self.named: set[str] = set()
        self.whole: set[str] = set()  # the names whose value is read, beyond its `METADATA`
        self.any_name = False  # whether attributes are read that the code does not name
        self.stored: set[str] = set()  # the names that the code sets
        self.sets_items = False  # whether it may set items of dicts and lists, which have no names

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        while True:
            while self.waiting:
                f = self.waiting.pop()
                if id(f) not in self.seen:
                    self.seen.add(id(f))
                    yield from self.of_function(f) if isinstance(f, FunctionType) else self.of_object(f)
            yield from self.of_methods()
            yield from self.of_attributes()
            if not self.waiting:
                return

    def sets(self, name: Any) -> bool:
        """Tell whether the code may set what has this name."""
        return not isinstance(name, str) or self.any_name or self.sets_items or name in self.stored

    def of_object(self, x: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the mutable parts of an object; what its methods and attributes are is asked later."""
        array = x.data if type(x) is Tensor else x
        if isinstance(array, np.ndarray):
            self.arrays += [] if type(array) in STAND_INS else [array]
            return
        if isinstance(x, ModuleType):
            self.objects += [x] if is_users(x) else []
            return
        if isinstance(x, Iterator) and is_foreign(type(x)) and not isinstance(x, (IOBase, *ProxyTypes)):
            raise JitError(
                f"jit: a {type(x).__name__} is read from outside, which each call would advance; give what it yields "
                "as an argument"
            )
        kind = x if isinstance(x, type) else type(x)
        self.kinds[kind] = self.kinds.get(kind, False) or kind is x
        self.waiting += functions_of(x)
        self.any_name |= isinstance(x, (attrgetter, methodcaller))
        if isinstance(x, (tuple, set, frozenset, deque)):
            self.waiting += x
            if isinstance(x, (tuple, frozenset)):
                return
        self.objects.append(x)
        for namespace, name in contents_of(x):
            if place_of(namespace, name) in self.unread:
                continue
            if name is not KEYS:
                self.waiting.append(read(namespace, name))
            yield namespace, name

    def of_methods(self) -> Iterator[tuple[Any, Any]]:
        """Yield where the methods are that the code names, in the classes of the objects found."""
        for namespace, name, method in methods_of(self.kinds, self.named | self.stored):
            if id(method) not in self.seen:
                self.waiting.append(method)
                yield namespace, name

    def of_attributes(self) -> Iterator[tuple[Any, Any]]:
        """Yield the attributes that the code names, of the objects found."""
        for x in self.objects:
            every = self.any_name or type(x) in CONTAINERS or isinstance(x, (ChainMap, UserDict, UserList))
            written = set()
            for namespace, name in attributes_of(x):  # an instance's before its class's
                if place_of(namespace, name) in self.unread:
                    written.add(name)
                is_read = every or name in self.named
                if name in written or not (is_read or (self.stores and name in self.stored)):
                    continue
                value = read(namespace, name)
                if (
                    is_read
                    and id(value) not in self.seen
                    and (every or name in self.whole or not isinstance(value, np.ndarray))
                ):
                    self.waiting.append(value)
                place = place_of(namespace, name)
                if place not in self.seen:
                    self.seen.add(place)
                    yield namespace, name

    def of_modules(self, f: FunctionType) -> Iterator[tuple[Any, Any]]:
        """Yield what a function reads of users' modules: ``config.rates.first`` is a global, ``first``."""
        self.waiting += imported_in(f)
        for first, *names in chains_in(f.__code__):
            value = f.__globals__.get(first)
            if not names and isinstance(value, ModuleType):  # it is given to another, say
                self.waiting.append(value)
            for name in names:
                if not isinstance(value, ModuleType) or not is_users(value):
                    break
                namespace = vars(value)
                value = namespace.get(name)
                self.waiting.append(value)
                if not isinstance(value, ModuleType) and (id(namespace), name) not in self.seen:
                    self.seen.add((id(namespace), name))
                    yield namespace, name

    def of_function(self, f: FunctionType) -> Iterator[tuple[Any, Any]]:
        """Yield the globals and cells that a function's code names, its attributes and its defaults."""
        for name in f.__dict__.keys() - {"__wrapped__"}:
            self.waiting.append(f.__dict__[name])
            yield f.__dict__, name
        self.waiting += without_arrays(f, *(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values())
        ours = has_constant_globals(f)
        attributes = attributes_in(f.__code__)
        self.named |= attributes
        self.whole |= attributes_in(f.__code__, whole=True)
        self.any_name |= not ours and not (
            attributes.isdisjoint(("__dict__", "__setattr__")) and DYNAMIC.isdisjoint(names_in(f.__code__))
        )
        self.stored.update(names_in(f.__code__, STORES))
        self.sets_items |= bool(names_in(f.__code__, STORES_ITEMS)) or not attributes.isdisjoint(CHANGES)
        found: list[tuple[str, Any, Any]] = [
            (name, cell, CELL) for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True)
        ]
        if not ours:
            yield from self.of_modules(f)
            if f.__defaults__ or f.__kwdefaults__:
                yield Contents(f), "__defaults__"
                yield Contents(f), "__kwdefaults__"
            found += [
                (name, f.__globals__, name)
                for name in names_in(
                    f.__code__, (*READS_GLOBAL, "STORE_GLOBAL") if self.stores else READS_GLOBAL
                )
                if name in f.__globals__ or not hasattr(builtins, name)  # or is not bound yet
            ]
        own = names_in(f.__code__, STORES)
        for called, namespace, name in found:
            if place_of(namespace, name) in self.unread:
                continue
            value = read(namespace, name)
            if isinstance(value, ModuleType) and namespace is f.__globals__:
                continue  # see `of_modules`
            self.waiting.append(value)
            if ours or isinstance(value, ModuleType) or (id(namespace), name) in self.seen:
                continue
            self.seen.add((id(namespace), name))
            if (isinstance(value, np.ndarray) or type(value) in STAND_INS) and called not in own:
                raise JitError(
                    f"jit: {f.__name__} reads the array {called}, of shape {value.shape}, from outside; make it an "
                    "argument, or a change to it would not be seen"
                )
            yield namespace, name


MOST_ENTRIES = 1000
"""The most entries of an outside list or dict that are compared in every call."""


def contents_of(x: Any) -> Iterator[tuple[Any, Any]]:
    """Find the mutable parts of an outside object: entries of lists and dicts, and the names of attributes."""
    kind: Any = type(x)
    if isinstance(x, (list, dict, MappingProxyType, set, deque, bytearray, array)):
        if len(x) > MOST_ENTRIES:
            raise JitError(
                f"jit: a {kind.__name__} of {len(x):,} entries is read from outside, too many to look for changes in "
                "every call; make it an argument"
            )
        if isinstance(x, (dict, MappingProxyType)):
            yield x, KEYS
            yield from ((x, name) for name in x)
            return
        yield Contents(x), LIST if isinstance(x, list) else OTHER
        if isinstance(x, list):
            yield from ((Contents(x), i) for i in range(len(x)))
    elif has_state(x):
        if hasattr(x, "__dict__"):
            yield x.__dict__, KEYS
        yield from class_names(kind)
    elif isinstance(x, type) and not is_foreign(x):
        yield from class_names(x)


def attributes_of(x: Any) -> Iterator[tuple[Any, str]]:
    """Yield the attributes of an outside object or class, each with its namespace."""
    kind: Any = type(x)
    if isinstance(x, ModuleType):
        yield from ((vars(x), name) for name in vars(x))
    elif has_state(x):
        yield from ((x.__dict__, name) for name in getattr(x, "__dict__", ()))
        yield from ((Contents(x), name) for name in slots_of(kind))
        yield from class_attributes(kind)
    elif isinstance(x, type) and not is_foreign(x):
        yield from class_attributes(x)


def class_names(kind: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the namespaces of a class and its bases, each with ``KEYS``."""
    for base in kind.__mro__:
        if not is_foreign(base):
            yield Attributes(base), KEYS


def class_attributes(kind: Any) -> list[tuple[Any, str]]:
    """Return the data attributes of a class and its bases: neither methods nor properties."""
    return [
        (Attributes(base), name)
        for base in kind.__mro__
        if not is_foreign(base)
        for name, value in vars(base).items()
        if not name.startswith("__") and not hasattr(type(value), "__get__")
    ]


def functions_of(f: Any) -> list[Any]:
    """Return the Python functions that calling an object would run: its own, a partial's, ``__call__``'s."""
    if isinstance(f, BoundMethod):
        return [f.compiled]
    if isinstance(f, BoundWeakly):
        return [f.method, f.instance()]
    if isinstance(f, weakref.ref):
        return [f()]
    if type(f) in ProxyTypes:
        return [f.__repr__.__self__]
    if isinstance(f, BuiltinMethodType) and not isinstance(f.__self__, ModuleType):  # hist.append
        return [f.__self__]
    wrapped = getattr_static(f, "__wrapped__", None)  # of any object, whose __getattr__ may answer anything
    if wrapped is not None and type(f).__module__ != "numpy":  # compiled, or one with a cache
        return [wrapped]
    if isinstance(f, Layer):
        return [f.forward, f.backward]
    if isinstance(f, MethodType):
        return [f.__func__, f.__self__]
    if isinstance(f, partial):
        return [f.func, *without_arrays(f.func, *f.args, *f.keywords.values())]
    kind: Any = type(f)
    return [kind.__call__] if has_attributes(kind) else []


def methods_of(kinds: dict[Any, bool], names: set[str]) -> Iterator[tuple[Any, str, Any]]:
    """Find the methods, properties and descriptors of these names, and the operators, in users' classes and bases.

    Each comes with its namespace and its name. Of classes that may be called, constructors are found, too.
    """
    for kind, may_be_called in kinds.items():
        for base in kind.__mro__:
            if is_foreign(base):
                continue
            operators = {name for name in vars(base) if name.startswith("__")} - NO_OPERATORS
            operators -= set() if may_be_called else CONSTRUCTORS
            for name in sorted((names | operators) & vars(base).keys()):
                yield from ((Attributes(base), name, each) for each in functions_in(vars(base)[name]))


def functions_in(attribute: Any) -> Iterator[Any]:
    """Yield the functions of a method or a property, or a descriptor."""
    for kind, names in METHODS_HOLD.items():
        if isinstance(attribute, kind):
            for name in names:
                yield from functions_in(getattr(attribute, name))
            return
    if not isinstance(attribute, FunctionType):  # a compiled one, or one with a cache
        attribute = getattr_static(attribute, "__wrapped__", attribute)
    if isinstance(attribute, FunctionType) or is_descriptor(attribute):
        yield attribute


METHODS_HOLD: dict[Any, tuple[str, ...]] = {
    property: ("fget", "fset", "fdel"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    cached_property: ("func",),
    partialmethod: ("func",),
}
"""Where the functions of a method are."""


def is_descriptor(x: Any) -> bool:
    """Tell whether an attribute of a class is an object of a user's class that finds the value by ``__get__``."""
    return hasattr(type(x), "__get__") and has_state(x)


CONSTRUCTORS = {"__init__", "__new__", "__post_init__", "__class_getitem__"}
"""Methods that calling a class, or indexing it, calls."""
NO_OPERATORS = {
    "__repr__",
    "__str__",
    "__reduce__",
    "__getstate__",
    "__setstate__",
    "__copy__",
    "__deepcopy__",
}
NO_OPERATORS |= {"__del__", "__init_subclass__"}
"""Methods that an operator or a statement does not call by itself."""


def without_arrays(f: Any, *values: Any) -> tuple[Any, ...]:
    """Return values that a function has as defaults or by ``functools.partial``; refuse arrays among them."""
    for x in values:
        if isinstance(x, np.ndarray):
            raise JitError(
                f"jit: {getattr(f, '__name__', f)} has an array of shape {x.shape} from outside, as a default or by "
                "partial; make it an argument, or a change to it would not be seen"
            )
    return values


def imported_in(f: FunctionType) -> list[ModuleType]:
    """Return the modules that statements in a function's code import, if they are imported already."""
    package = f.__globals__.get("__package__") or ""
    names = names_in(f.__code__, ("IMPORT_NAME",))
    found = [sys.modules.get(name) or sys.modules.get(f"{package}.{name}") for name in names]
    return [module for module in found if module is not None]


def has_attributes(kind: Any) -> bool:
    """Tell whether instances of a class are called by a Python method, decorated or not, which may read attributes."""
    method = kind.__call__
    is_python = isinstance(method, FunctionType) or getattr_static(method, "__wrapped__", None) is not None
    return is_python and not is_ours(kind.__module__)
