"""Methods that are decorated with `jit`: each instance has a compiled function of its own, which goes with it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from copy import deepcopy
from functools import update_wrapper
from inspect import signature
from types import MethodType
from typing import Any


def has_weak_references(x: Any) -> bool:
    """Tell whether an object supports weak references; in Python 3.13 some classes have a negative offset for them."""
    return getattr(type(x), "__weakrefoffset__", 0) != 0


class BoundWeakly:
    """A method of an instance, which it does not keep alive."""

    def __init__(self, method: Callable[..., Any], instance: weakref.ref[Any]) -> None:
        update_wrapper(self, method)
        self.method, self.instance = method, instance
        self.__signature__ = signature(MethodType(method, instance()))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method."""
        return self.method(self.instance(), *args, **kwargs)


class BoundMethod:
    """A decorated method of an instance: the function compiled for it, which has all other attributes.

    ``method`` is what the class has.
    """

    __slots__ = ("compiled", "instance", "method")

    def __init__(self, method: Any, compiled: Any, instance: Any) -> None:
        self.method, self.compiled, self.instance = method, compiled, instance

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.compiled(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the compiled function."""
        return getattr(self.compiled, name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return bound(self.method, deepcopy(self.instance, memo))

    def __reduce__(self) -> Any:
        return bound, (self.method, self.instance)


def bound(method: Any, instance: Any) -> Any:
    """Return the method of an instance."""
    return method.__get__(instance)
