"""Arrays that a function makes of a shape or a list: recorded, where it puts what it computes into them.

NumPy gives no say in ``np.zeros(3)``, nor in what is written into the result. So while such a function is traced, a
module like NumPy is in its place among the program's globals, whose functions record the arrays. NumPy itself stays
as it is: compiled code of libraries calls these functions, too, and takes what they return for arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from types import ModuleType
from typing import Any

import numpy as np

from ...engine.arrays import STAND_INS
from ...engine.calls import any_requires_grad, bare, variable
from ...engine.recording import differentiated
from ...rules.metadata import as_joined
from ..tracing.numpy_calls import value_of
from ..where import JitError, user_line
from .joined import JOINED, NAMESPACES, is_computed
from .outside import Outside
from .places import put, read
from .values import finds

FILLS: dict[Callable[..., Any], int] = {
    **{np.zeros: 0, np.empty: 0, np.ones: 1},
    **{np.zeros_like: 0, np.empty_like: 0, np.ones_like: 1},
}
"""The functions that fill an array, and with what; what is in an empty one nobody knows."""
JOIN = (np.array, np.asarray)
FUNCTIONS: tuple[Callable[..., Any], ...] = (*FILLS, *JOIN, np.full, np.full_like, np.eye, np.identity)
CACHED = type(lru_cache(repr))
"""The class of functions with a cache, which would keep what is recorded: they make arrays."""


recorder: ContextVar[Any] = ContextVar("recorder", default=None)
"""The trace that records, in this thread, what the functions make; None: nobody does."""


def recorded_by(trace: Any, outside: Outside, f: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls f, and lets a trace record what the functions make in it; None lets nobody."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with recording_made(trace, outside):
            return f(*args, **kwargs)

    return call


@contextmanager
def recording_made(trace: Any, outside: Outside) -> Iterator[None]:
    """Let a trace record what the functions make in this block."""
    places = [] if trace is None else places_of_functions(outside)
    token = recorder.set(trace)
    for namespace in NAMESPACES if places else ():
        own = {name: stand_in(x, name, outside) for name, x in vars(namespace).items()}
        INSTEAD[id(namespace)].__dict__.update(own)
    before = [read(*place) for place in places]
    instead = [
        recorded_by(None, outside, x) if type(x) is CACHED else stand_in(x, name, outside)
        for x, (_, name) in zip(before, places, strict=True)
    ]
    try:
        for place, x in zip(places, instead, strict=True):
            put(*place, x)
        yield
    finally:
        recorder.reset(token)
        for place, x, value in zip(places, instead, before, strict=True):
            if read(*place) is x:
                put(*place, value)


def stand_in(x: Any, name: Any, outside: Outside) -> Any:
    """Return what stands in the place of x, of this name: x itself, if the function may compare it by ``is``."""
    return x if id(x) in JOINED and name in outside.compared else INSTEAD.get(id(x), x)


def places_of_functions(outside: Outside) -> list[tuple[Any, Any]]:
    """Return the places outside that have NumPy, one of its modules or functions, or a function with a cache."""
    known = [(namespace, name) for namespace, name, value in outside.values if is_one(value)]
    return [place for place in (*outside.numpy, *known) if is_one(read(*place))]


def is_one(x: Any) -> bool:
    """Tell whether x is NumPy, one of its modules or functions, or a function with a cache."""
    return type(x) is CACHED or id(x) in INSTEAD


def recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what stands in the place of a function."""

    @wraps(function)
    def make(*args: Any, **kwargs: Any) -> Any:
        trace = recorder.get()
        if trace is None:
            return function(*args, **kwargs)
        made = made_by(trace, function, args, kwargs)
        is_filled = type(made) in STAND_INS and made.dtype.kind in "fc"
        return variable(made) if differentiated and is_filled else made  # so that a gradient is recorded

    return make


def made_by(trace: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what a function makes, recorded."""
    computed = is_computed((*args, *kwargs.values()))
    if computed and function is np.full:
        return full(trace, *args, **kwargs)
    if computed and function in JOIN and len(args) <= 2 and kwargs.keys() <= {"dtype", "copy"}:
        return joined(*args, **{"copy": function is np.array, **kwargs})
    value = function(*args, **kwargs)
    if function in JOIN or type(value) is not np.ndarray or value.dtype.kind not in "fiubc":
        return value
    if function in FILLS:
        return trace.record(np.full, value.shape, FILLS[function], dtype=value.dtype)
    return trace.record(np.copy, value)


def full(trace: Any, shape: Any, fill_value: Any, dtype: Any = None, **kwargs: Any) -> Any:
    """Return an array filled with a computed value, as `numpy.full` does."""
    if not any_requires_grad(fill_value):
        return trace.record(np.full, shape, bare(fill_value), dtype=dtype, **kwargs)
    made = np.copy(np.broadcast_to(fill_value, shape))
    return made if dtype is None else made.astype(dtype, copy=False)


def joined(x: Any, dtype: Any = None, *, copy: Any = True) -> Any:
    """Return an array of nested ones, as `numpy.array` and `numpy.asarray` do."""
    if dtype is not None and np.dtype(dtype).kind not in "fiubc":
        raise JitError(
            f"{user_line()}: an array of dtype {np.dtype(dtype)} that is to hold an array, whose values are not known "
            "while the function is compiled; keep them in a list"
        )
    made = as_joined(x if dtype is None else cast_each(x, dtype))
    is_number = not isinstance(value_of(bare(made)), np.ndarray)
    return np.copy(made) if is_number or (copy and made is x) else made


def cast_each(x: Any, dtype: Any) -> Any:
    """Return nested arrays and numbers, each cast to a dtype, as NumPy does: Python's numbers have to fit."""
    if isinstance(x, (list, tuple)):
        return [cast_each(each, dtype) for each in x]
    return x.astype(dtype, copy=False) if hasattr(x, "dtype") else np.asarray(x, dtype)


INSTEAD = JOINED | {id(function): recorded(function) for function in FUNCTIONS}
INSTEAD |= {id(namespace): ModuleType(namespace.__name__) for namespace in NAMESPACES}
"""What stands in the places of NumPy, its modules and their functions, by the ``id`` of each.

The modules have what NumPy's have when a function is traced, a program's own additions too.
"""
STAND_IN = set(map(id, INSTEAD.values()))


def refuse_left(name: str, values: Sequence[Any]) -> None:
    """Refuse a function among whose results, and what it leaves outside, is what stands in the place of NumPy's."""
    if finds(values, (), lambda x: id(x) in STAND_IN):
        raise JitError(
            f"jit: {name} returns NumPy, or a function of it, or leaves it outside, and fills arrays or joins lists; "
            "do one of them"
        )
