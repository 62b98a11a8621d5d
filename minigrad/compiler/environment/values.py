"""Values that a function stores outside: the arrays in them that it computes, and keys to compare the rest by."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Container
from copy import copy
from enum import Enum
from types import BuiltinMethodType, FunctionType, MappingProxyType, MethodType, ModuleType, NoneType
from typing import Any

import numpy as np

from ...engine.arrays import STAND_INS
from ...engine.containers import like, rebuilt
from ...engine.tensor import Tensor
from .options import PLAIN, option_key
from .origin import has_state, is_standard, slots_of
from .places import CELL, read


class Unread:
    """A sentinel in a place that a function must not read before it sets it: any use of it is an error."""


def _refuse(*_: Any, **__: Any) -> Any:
    raise LookupError("a place was read")


_METHODS = """getattribute setattr delattr bool eq ne lt le gt ge hash repr str format len iter next contains
getitem setitem delitem call enter exit int float complex index neg pos abs invert round array array_ufunc"""
_OPERATORS = "add sub mul truediv floordiv mod pow matmul and or xor"
for _name in [*_METHODS.split(), *[side + name for side in ("", "r", "i") for name in _OPERATORS.split()]]:
    setattr(Unread, f"__{_name}__", _refuse)


def has_results(x: Any, known: Container[int]) -> bool:
    """Tell whether there are stand-ins, or tensors of them, in nested containers and objects.

    Objects whose ``id`` is known are not looked into.
    """
    return finds(x, known, lambda each: type(each.data if type(each) is Tensor else each) in STAND_INS)


def has_arrays(x: Any) -> bool:
    """Tell whether there are arrays, NumPy's numbers or tensors in nested containers and objects."""
    return finds(x, (), lambda each: isinstance(each, (np.ndarray, np.generic, Tensor)))


def nested_alike(x: Any, other: Any) -> bool:
    """Tell whether two values have one structure: arrays in dicts, lists and tuples, and equal plain values."""
    if isinstance(x, (np.ndarray, np.generic, Tensor)):
        return isinstance(other, (np.ndarray, np.generic, Tensor)) or type(other) in STAND_INS
    if type(x) is not type(other):
        return False
    if type(x) is dict:
        return [*x] == [*other] and all(map(nested_alike, x.values(), other.values()))
    if isinstance(x, (list, tuple)):
        return len(x) == len(other) and all(map(nested_alike, x, other))
    return type(x) in PLAIN and option_key(x) == option_key(other)


def finds(x: Any, known: Container[int], is_one: Callable[[Any], bool]) -> bool:
    """Tell whether ``is_one`` is true of a part of nested containers and objects."""
    waiting, seen = [x], set()
    while waiting:
        each = waiting.pop()
        if is_one(each):
            return True
        elif type(each) is Unread or id(each) in seen or id(each) in known:
            continue
        elif isinstance(each, (dict, tuple, list)):
            seen.add(id(each))
            waiting += each.values() if isinstance(each, dict) else each
        elif has_state(each):
            seen.add(id(each))
            waiting += attribute_values(each).values()
    return False


def attribute_values(x: Any) -> dict[str, Any]:
    """Return the attributes of an object by name, those in slots too."""
    kind: Any = type(x)
    slots = {name: getattr(x, name) for name in slots_of(kind) if hasattr(x, name)}
    return getattr(x, "__dict__", {}) | slots


def structural_key(x: Any, within: tuple[int, ...] = ()) -> Any:
    """Return a structural key: equal for two values built alike, even if they are different objects.

    Arrays, lists, tuples, dicts, sets and the attributes of objects are compared by what is in them, functions by their
    code, defaults and cells; methods, classes, enumerations and objects that are in themselves by identity.
    """
    kind: Any = type(x)
    if id(x) in within or kind in STAND_INS or kind is Unread:
        return kind, id(x)
    if kind is Tensor:
        return kind, structural_key(x.data)
    if kind is slice:
        return kind, structural_key((x.start, x.stop, x.step))
    if kind is FunctionType:
        cells = [read(cell, CELL) for cell in x.__closure__ or ()]
        return kind, x.__code__, structural_key((x.__defaults__, x.__kwdefaults__, cells), (*within, id(x)))
    within = (*within, id(x))
    if isinstance(x, np.ndarray):
        return kind, x.shape, x.dtype, x.tobytes()
    if isinstance(x, (dict, MappingProxyType)):
        return kind, *[(structural_key(key), structural_key(each, within)) for key, each in x.items()]
    if isinstance(x, (list, tuple, deque)):
        return kind, *[structural_key(each, within) for each in x]
    if isinstance(x, (set, frozenset)):
        return kind, frozenset(x)
    if isinstance(x, (str, bytes, bytearray, array, int, float, complex, np.generic, NoneType)):
        return kind, repr(x)
    if isinstance(x, (Enum, type, *WITH_IDENTITY)) or not has_state(x):
        return equality_key(x)
    return kind, *[(name, structural_key(each, within)) for name, each in attribute_values(x).items()]


def equality_key(x: Any) -> Any:
    """Return a key of a value by its own ``==``, if it is a fraction or a date, say; or else by its ``id``."""
    kind: Any = type(x)
    has_own = kind.__eq__ is not object.__eq__ and kind.__hash__ not in (None, object.__hash__)
    return (kind, x) if has_own and is_standard(kind.__module__) else (kind, id(x))


WITH_IDENTITY = (MethodType, BuiltinMethodType, ModuleType)
"""Types compared by identity, although they have attributes."""


def fresh_copy(x: Any, known: Container[int]) -> Any:
    """Return a copy of arrays, lists, dicts and sets, however nested, but not of those whose ``id`` is known."""
    if id(x) in known:
        return x
    if isinstance(x, (np.ndarray, set, deque, bytearray, array)):
        return copy(x)
    if isinstance(x, (list, tuple)):
        return rebuilt(x, [fresh_copy(each, known) for each in x])
    return like(x, {key: fresh_copy(each, known) for key, each in x.items()}) if isinstance(x, dict) else x
