"""Functions of ours that arguments override, as they do NumPy's (NEP 18): tensors, and stand-ins for arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from .facts import state


def overrides(kind: type) -> bool:
    """Tell whether a class overrides NumPy's functions, and not only inherits or lacks the protocol (NEP 18)."""
    default = np.ndarray.__array_function__
    return getattr(kind, "__array_function__", default) is not default


PLAIN = {np.ndarray, np.float64, np.float32, int, float, bool, str, slice, type(None)}
"""Types, among others, that override none of NumPy's functions."""


def is_plain(x: Any) -> bool:
    """Tell whether NumPy computes with x by itself: it is no tensor, and no stand-in for an array."""
    return type(x) in PLAIN or not overrides(type(x))


def dispatched(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let arguments override a function of minigrad's, as they override NumPy's (NEP 18)."""

    @wraps(function)
    def dispatcher(*args: Any, **kwargs: Any) -> Any:
        asked: dict[type, Any] = {}
        for arg in args:
            if type(arg) in PLAIN:
                continue
            for x in arg if type(arg) is tuple else (arg,):  # an index may be several
                if type(x) not in PLAIN and overrides(type(x)):
                    asked.setdefault(type(x), x)
        if not asked:
            return function(*args, **kwargs) if kwargs else function(*args)
        for x in asked.values():
            result = x.__array_function__(dispatcher, tuple(asked), args, kwargs)
            if result is not NotImplemented:
                return result
        kinds = ", ".join(kind.__name__ for kind in asked)
        raise TypeError(f"{function.__name__}: not implemented by {kinds}")

    return dispatcher


def whole(**known: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Do as `dispatched` does, for a function that jit records as one call; it traces into other functions.

    The parameters are attributes of `minigrad.rules.facts.Facts`.
    """

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        dispatcher = dispatched(function)
        state(dispatcher, whole=function)
        state(function, **known)
        return dispatcher

    return enter


def any_true(mask: Any) -> Any:
    """Tell whether a mask has true entries; always true during tracing, where it may have."""
    if is_plain(mask):
        return np.count_nonzero(mask) > 0
    return mask.__array_function__(any_true, (type(mask),), (mask,), {})
