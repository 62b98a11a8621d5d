"""Arrays that a function makes of a shape or a list: recorded, where it puts what it computes into them.

NumPy gives no say in ``np.zeros(3)``, nor in what is written into the result. So while such a function is traced, a
module like NumPy is in its place among the program's globals, whose functions record the arrays. NumPy itself stays
as it is: compiled code of libraries calls these functions, too, and takes what they return for arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import get_ident
from types import ModuleType
from typing import Any

import numpy as np

from ...engine.arrays import STAND_INS
from ...engine.calls import any_requires_grad, bare, variable
from ...engine.recording import differentiated
from ...rules.metadata import as_joined
from ..tracing.numpy_calls import value_of
from .joined import JOINED, NAMESPACES, is_computed
from .outside import Outside
from .places import put, read

FILLS: dict[Callable[..., Any], int] = {np.zeros: 0, np.empty: 0, np.ones: 1}
"""The functions that fill an array, and with what; what is in an empty one nobody knows."""
JOIN = (np.array, np.asarray)
FUNCTIONS: tuple[Callable[..., Any], ...] = (*FILLS, *JOIN, np.full, np.eye, np.identity)


class Recorder:
    """Who records what the functions make: a trace or nobody, and the thread that it runs in."""

    trace: Any = None
    thread = 0


def recorded_by(trace: Any, outside: Outside, f: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls f, and lets a trace record what the functions make in it; None lets nobody."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with recording_made(trace, outside):
            return f(*args, **kwargs)

    return call


@contextmanager
def recording_made(trace: Any, outside: Outside) -> Iterator[None]:
    """Let a trace record what the functions make in this block."""
    before = Recorder.trace, Recorder.thread
    found = [] if trace is None else [(place, read(*place)) for place in places_of_functions(outside)]
    Recorder.trace, Recorder.thread = trace, get_ident()
    for namespace in NAMESPACES if found else ():
        own = {name: stand_in(x, name, outside) for name, x in vars(namespace).items()}
        PLACES[id(namespace)].__dict__.update(own)
    try:
        for place, value in found:
            put(*place, stand_in(value, place[1], outside))
        yield
    finally:
        Recorder.trace, Recorder.thread = before
        for place, value in found:
            put(*place, value)


def stand_in(x: Any, name: Any, outside: Outside) -> Any:
    """Return what stands in the place of x, of this name: x itself, if the function may compare it by ``is``."""
    return x if id(x) in JOINED and name in outside.compared else PLACES.get(id(x), x)


def places_of_functions(outside: Outside) -> list[tuple[Any, Any]]:
    """Return the places outside that have NumPy, or one of its modules or functions."""
    known = [(namespace, name) for namespace, name, value in outside.values if id(value) in PLACES]
    return [place for place in (*outside.numpy, *known) if id(read(*place)) in PLACES]


def recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what stands in the place of a function."""

    @wraps(function)
    def make(*args: Any, **kwargs: Any) -> Any:
        trace = Recorder.trace
        if trace is None or Recorder.thread != get_ident():
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
    made = as_joined(x)
    if made is x and (copy or not isinstance(value_of(x), np.ndarray)):
        made = np.copy(made)
    return made if dtype is None else made.astype(dtype, copy=False)


PLACES = JOINED | {id(function): recorded(function) for function in FUNCTIONS}
PLACES |= {id(namespace): ModuleType(namespace.__name__) for namespace in NAMESPACES}
"""What stands in the places of NumPy, its modules and their functions, by the ``id`` of each.

The modules have what NumPy's have when a function is traced, a program's own additions too.
"""
