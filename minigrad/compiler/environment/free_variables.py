"""Free variables: the globals, closure cells and attributes that a function, and those it calls, read from outside."""

from __future__ import annotations

import builtins
import sys
from collections import ChainMap, UserDict, UserList, deque
from collections.abc import Container, Iterable, Iterator
from io import IOBase
from operator import attrgetter, methodcaller
from types import FunctionType, ModuleType
from typing import Any
from weakref import ProxyTypes

import numpy as np

from ...engine.arrays import STAND_INS
from ...engine.containers import CONTAINERS
from ...engine.tensor import Tensor
from ..where import JitError
from .instructions import (
    CHANGES,
    DYNAMIC,
    READS_GLOBAL,
    STORES,
    STORES_ITEMS,
    attributes_in,
    chains_in,
    compared_in,
    names_in,
)
from .joined import NAMESPACES
from .members import attributes_of, contents_of, functions_of, memory_of, methods_of
from .origin import has_constant_globals, is_library_class, is_users
from .places import CELL, KEYS, THREAD, Contents, PlaceKey, place_of, read


def free_variables(f: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the free variables of a function and of those it calls by name: globals (namespace, name), and cells.

    A mutable object is a namespace of its own: a dict, a list, an object, of which the attributes are read that a
    function names, or all where it may read them without naming them, by ``getattr``. The name ``KEYS`` stands for the
    names in a namespace, which may be added and deleted.
    """
    return iter(Search(f))


class Search:
    """The search for free variables: of functions first, then of what their code names in the objects found.

    ``classes`` are those of arguments, whose methods may be called; ``unread`` are the keys of places that the
    function is known not to read before it sets them; with ``stores`` places that are only set are found, too.
    ``arrays`` are the arrays found whose entries may be read, not only their shape and dtype; ``tensors`` all tensors,
    and ``numpy`` the places of NumPy itself and of its modules.
    """

    def __init__(
        self,
        f: Any,
        unread: Container[PlaceKey] = (),
        classes: Iterable[type] = (),
        stores: bool = False,
    ) -> None:
        self.unread, self.stores = unread, stores
        self.arrays: list[np.ndarray[Any, Any]] = []
        self.tensors: list[Tensor] = []
        self.numpy: list[tuple[Any, Any]] = []
        self.waiting: list[Any] = [f, *classes]
        self.seen: set[Any] = set()
        # The classes of the objects found, and whether they may be called themselves.
        self.kinds: dict[Any, bool] = {}
        self.objects: list[Any] = []
        self.named: set[str] = set()
        self.whole: set[str] = set()  # the names whose value is read, beyond its `METADATA`
        self.any_name = False  # whether attributes are read that the code does not name
        self.stored: set[str] = set()  # the names that the code sets
        self.compared: set[str] = set()  # the names that the code may compare by ``is``
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
        """Tell whether the code may set a place of this name."""
        return not isinstance(name, str) or self.any_name or self.sets_items or name in self.stored

    def of_object(self, x: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the mutable parts of an object; its methods and attributes are looked up later."""
        self.tensors += [x] if type(x) is Tensor else []
        array = x.data if type(x) is Tensor else x
        if isinstance(array, np.ndarray):
            self.arrays += [] if type(array) in STAND_INS else [array]
            return
        if isinstance(x, ModuleType):
            self.objects += [x] if is_users(x) else []
            return
        if isinstance(x, Iterator) and is_library_class(type(x)) and not isinstance(x, (IOBase, *ProxyTypes)):
            raise JitError(
                f"jit: a {type(x).__name__} is read from outside, which each call would advance; give what it yields "
                "as an argument"
            )
        if (memory := memory_of(x)) is not None:
            self.arrays.append(memory)
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
            if name is not KEYS and name is not THREAD:
                self.waiting.append(read(namespace, name))
            yield namespace, name

    def of_methods(self) -> Iterator[tuple[Any, Any]]:
        """Yield the places of the methods that the code names, in the classes of the objects found."""
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
        self.waiting += [*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()]
        ours = has_constant_globals(f)
        attributes = attributes_in(f.__code__)
        self.named |= attributes
        self.whole |= attributes_in(f.__code__, whole=True)
        self.any_name |= not ours and not (
            attributes.isdisjoint(("__dict__", "__setattr__")) and DYNAMIC.isdisjoint(names_in(f.__code__))
        )
        self.stored.update(names_in(f.__code__, STORES))
        self.compared |= compared_in(f.__code__)
        self.sets_items |= bool(names_in(f.__code__, STORES_ITEMS)) or not attributes.isdisjoint(CHANGES)
        found: list[tuple[Any, Any]] = [(cell, CELL) for cell in f.__closure__ or ()]
        if not ours:
            yield from self.of_modules(f)
            if f.__defaults__ or f.__kwdefaults__:
                yield Contents(f), "__defaults__"
                yield Contents(f), "__kwdefaults__"
                yield from ((f.__kwdefaults__, name) for name in f.__kwdefaults__ or ())
            found += [
                (f.__globals__, name)
                for name in names_in(
                    f.__code__, (*READS_GLOBAL, "STORE_GLOBAL") if self.stores else READS_GLOBAL
                )
                if name in f.__globals__ or not hasattr(builtins, name)  # or is not bound yet
            ]
        for namespace, name in found:
            if place_of(namespace, name) in self.unread:
                continue
            value = read(namespace, name)
            is_numpy = any(value is module for module in NAMESPACES)
            self.numpy += [(namespace, name)] if is_numpy and not ours else []
            if isinstance(value, ModuleType) and namespace is f.__globals__:
                continue  # see `of_modules`
            self.waiting.append(value)
            if ours or isinstance(value, ModuleType) or (id(namespace), name) in self.seen:
                continue
            self.seen.add((id(namespace), name))
            yield namespace, name


def imported_in(f: FunctionType) -> list[ModuleType]:
    """Return the modules that statements in a function's code import, if they are imported already."""
    package = f.__globals__.get("__package__") or ""
    names = names_in(f.__code__, ("IMPORT_NAME",))
    found = [sys.modules.get(name) or sys.modules.get(f"{package}.{name}") for name in names]
    return [module for module in found if module is not None]
