"""Cache keys of static arguments and of outside values: equal where one compiled program serves both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import MethodType, NoneType
from typing import Any

import numpy as np

from ...engine.arrays import STAND_INS
from ..where import JitError
from .free_variables import free_variables
from .members import has_attributes
from .methods import BoundMethod
from .places import read


def cannot_change(x: Any) -> bool:
    """Tell whether an option is immutable: the same object always has the same value."""
    kind = type(x)
    if kind in PLAIN:
        return True
    return kind is not MethodType and kind.__hash__ is BY_IDENTITY and constant_key(x) is not None


def option_key(x: Any) -> Any:
    """Return a hashable key of an option's value; -0.0 differs from 0.0, and 1 from 1.0."""
    kind = type(x)
    if kind not in PLAIN:
        if kind.__hash__ is BY_IDENTITY or kind is MethodType:
            return constant_key(x) or function_key(x)
        if kind is slice:  # which has no hash before Python 3.12
            return kind, *map(option_key, (x.start, x.stop, x.step))
        try:
            hash(x)
        except TypeError:
            raise JitError(
                f"jit: an argument is a {kind.__name__}, neither an array nor an option that can be hashed; "
                "give arrays in dicts, lists and tuples"
            ) from None
        if isinstance(x, frozenset):
            return kind, frozenset(map(option_key, x))
        if isinstance(x, tuple):  # in a frozenset
            return kind, *map(option_key, x)
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
            yield option_key(value)
        elif is_dataclass(type(value)):
            yield from numbers_of(value)
        elif isinstance(value, tuple):
            yield from (option_key(part) for part in value if type(part) in PLAIN)


PLAIN = frozenset({int, float, bool, str, NoneType})
BY_IDENTITY: Any = object.__hash__


def function_key(f: Any) -> tuple[Any, ...]:
    """Return the key of a callable option: its identity, and a snapshot of what it reads."""
    return type(f), f, *[outside_key(read(*place)) for place in free_variables(f)]


@lru_cache
def constant_key(f: Any) -> tuple[Any, ...] | None:
    """Return the key of a callable that reads no globals or closure variables; None for one that does.

    Raises
    ------
    JitError
        If it is no function.
    """
    if f is Ellipsis:
        return type(f), f
    if type(f) is MethodType:
        option_key(f.__self__)
    if type(f) is BoundMethod:
        option_key(f.instance)
    if type(f) in STAND_INS:
        raise JitError(
            "jit: the function has left an array outside, in an attribute, a list or a dict, which has values only "
            "while it runs; return it instead"
        )
    if not callable(f) or has_attributes(type(f)):
        raise JitError(
            f"jit: an argument is a {type(f).__name__}, an object that may change in place; give the arrays and "
            "numbers in it that are needed, or, if the function is its method, compile mg.jit(x.method)"
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


def outside_key(x: Any) -> Any:
    """Return the key of a value read from outside: by value if immutable, else by identity."""
    if isinstance(x, tuple):
        return type(x), *map(outside_key, x)
    if type(x) in STAND_INS:  # whatever isinstance says
        return Same(x)
    by_value = isinstance(x, (int, float, complex, str, bytes, np.generic, NoneType))
    return option_key(x) if by_value else Same(x)
