"""Members of an outside object: the places in it that may change, and the functions that using it would run."""

from __future__ import annotations

import threading
import weakref
from array import array
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cached_property, partial, partialmethod
from inspect import getattr_static
from types import BuiltinMethodType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any
from weakref import ProxyTypes

import numpy as np

from ...engine.layer import Layer
from ..where import JitError
from .methods import BoundMethod, BoundWeakly
from .origin import has_state, is_library_class, is_ours, slots_of
from .places import KEYS, LIST, OTHER, THREAD, Attributes, Contents

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
    elif isinstance(x, ContextVar):
        yield Contents(x), OTHER
    elif has_state(x):
        if isinstance(x, threading.local):
            yield Contents(x), THREAD
        if hasattr(x, "__dict__"):
            yield x.__dict__, KEYS
        yield from class_names(kind)
    elif isinstance(x, type) and not is_library_class(x):
        yield from class_names(x)


def memory_of(x: Any) -> Any:
    """Return an array of what is in an object's memory, which NumPy reads: a memoryview, a ctypes array; or None.

    Neither of what cannot change, nor of what `contents_of` finds entries in.
    """
    if isinstance(x, (type, bytes, bytearray, array, np.generic)):
        return None
    try:
        if getattr_static(x, "__array_interface__", None) is not None:
            return np.asarray(x)
        view = memoryview(x).toreadonly()  # there may be references to objects, which NumPy does not count
        return np.frombuffer(view, np.uint8) if view.c_contiguous else np.asarray(view)
    except (TypeError, ValueError, BufferError):  # it has none, or of a format that NumPy does not know
        return None


def attributes_of(x: Any) -> Iterator[tuple[Any, str]]:
    """Yield the attributes of an outside object or class, each with its namespace."""
    kind: Any = type(x)
    if isinstance(x, ModuleType):
        yield from ((vars(x), name) for name in vars(x))
    elif has_state(x):
        yield from ((x.__dict__, name) for name in getattr(x, "__dict__", ()))
        yield from ((Contents(x), name) for name in slots_of(kind))
        yield from class_attributes(kind)
    elif isinstance(x, type) and not is_library_class(x):
        yield from class_attributes(x)


def class_names(kind: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the namespaces of a class and its bases, each with ``KEYS``."""
    for base in kind.__mro__:
        if not is_library_class(base):
            yield Attributes(base), KEYS


def class_attributes(kind: Any) -> list[tuple[Any, str]]:
    """Return the data attributes of a class and its bases: neither methods nor properties."""
    return [
        (Attributes(base), name)
        for base in kind.__mro__
        if not is_library_class(base)
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
        return [f.func, *f.args, *f.keywords.values()]
    kind: Any = type(f)
    return [kind.__call__] if has_attributes(kind) else []


def methods_of(kinds: dict[Any, bool], names: set[str]) -> Iterator[tuple[Any, str, Any]]:
    """Find the methods, properties and descriptors of these names, and the operators, in users' classes and bases.

    Each comes with its namespace and its name. Of classes that may be called, constructors are found, too.
    """
    for kind, may_be_called in kinds.items():
        for base in kind.__mro__:
            if is_library_class(base):
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
    is_descriptor = hasattr(type(attribute), "__get__") and has_state(attribute)  # of a user's class
    if isinstance(attribute, FunctionType) or is_descriptor:
        yield attribute


METHODS_HOLD: dict[Any, tuple[str, ...]] = {
    property: ("fget", "fset", "fdel"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    cached_property: ("func",),
    partialmethod: ("func",),
}
"""Where the functions of a method are."""


CONSTRUCTORS = {"__init__", "__new__", "__post_init__", "__class_getitem__"}
"""Methods that calling a class, or indexing it, calls."""
_NO_OPERATORS = "repr str reduce getstate setstate copy deepcopy del init_subclass"
NO_OPERATORS = {f"__{name}__" for name in _NO_OPERATORS.split()}
"""Methods that an operator or a statement does not call by itself."""


def has_attributes(kind: Any) -> bool:
    """Tell whether instances of a class are called by a Python method, decorated or not, which may read attributes."""
    method = kind.__call__
    is_python = isinstance(method, FunctionType) or getattr_static(method, "__wrapped__", None) is not None
    return is_python and not is_ours(kind.__module__)
