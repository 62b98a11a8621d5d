"""NumPy's functions and ufuncs called on stand-ins for arrays: how each is recorded, or why it is not."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np

from ...engine.arrays import STAND_INS
from ...engine.in_place import fit_in_place
from ...engine.statements import rebinds
from ...engine.writing import AT, addend, called_where
from ...rules.facts import facts
from ..ir import added_at, mapped
from ..where import JitError, NeedsValues, PlainArray, refusals_raised, user_line
from .numpy_calls import (
    CALLS,
    OPTION,
    arguments_of,
    has_traced,
    perhaps_a_view,
    refuse_shapes,
    value_of,
)
from .refused import shape_error


def call_ufunc(
    trace: Any, ufunc: Any, method: str, inputs: tuple[Any, ...], out: Any, kwargs: dict[str, Any]
) -> Any:
    """Record a ufunc, or a method of it, called on stand-ins."""
    if kwargs.get("where", True) is not True:
        if out is None or type(out[0]) not in STAND_INS or method != "__call__":
            raise JitError(
                f"{user_line()}: {ufunc.__name__} with where= is captured only with out=np.zeros_like(x); use np.where"
            )
        return out[0].become(called_where(ufunc, inputs, out[0], **kwargs))
    kwargs.pop("where", None)
    if has_traced(kwargs.get("axis")):
        raise shape_error(f"{ufunc.__name__}.{method} with axis", OPTION)
    lists = ufunc is np.multiply and {list, tuple} & set(map(type, inputs))
    if lists and any(isinstance(value_of(x), np.integer) for x in inputs):
        raise shape_error("a list repeated", OPTION)
    if method == "at":
        _call_at(trace, ufunc, *inputs)
        return None
    if out is not None and len(inputs) == 2 and out[0] is inputs[0] and type(out[0]) is np.ndarray:
        if method == "__call__" and rebinds(out):
            value = trace.record(ufunc, *inputs, **kwargs)
            return fit_in_place(value if out[0].ndim else np.copy(value), out[0])
        raise PlainArray(
            f"{user_line()}: {ufunc.__name__} writes into a plain array, which others may hold; make it an "
            f"argument, or write a = np.{ufunc.__name__}(a, x), or start from np.zeros_like(x)"
        )
    if out is not None and (len(out) != 1 or type(out[0]) not in STAND_INS):
        raise PlainArray(
            f"{user_line()}: {ufunc.__name__} with out= writes into an array made outside of NumPy's calls; "
            "use the result, or start from np.zeros_like(x)"
        )
    squared = ufunc is np.power and method == "__call__" and type(inputs[1]) is int and inputs[1] == 2
    if squared and inputs[0].dtype.kind not in "bc":  # where it rounds otherwise
        ufunc, inputs = np.square, inputs[:1]  # as array ** 2
    result = trace.record(ufunc if method == "__call__" else getattr(ufunc, method), *inputs, **kwargs)
    if out is None:
        return result
    return out[0].become(result) if method == "__call__" else _put(ufunc.__name__, result, out[0])


def _call_at(trace: Any, ufunc: Any, into: Any, index: Any, value: Any = None) -> None:
    """Record the ``at`` of one of ``AT``."""
    if ufunc not in AT:
        raise JitError(
            f"{user_line()}: np.{ufunc.__name__}.at is not captured, only np.add.at and np.subtract.at are; call "
            "it outside"
        )
    if type(into) not in STAND_INS:
        raise PlainArray(
            f"{user_line()}: np.{ufunc.__name__}.at is captured into an array made of the arguments: start from "
            "np.zeros_like(x), or np.zeros(shape) + 0 * x[0]"
        )
    into.become(trace.record(added_at, into, index, addend(ufunc, into, value)))


def call_function(trace: Any, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record a NumPy function called on stand-ins, or one that is given a rule."""
    known = facts(function)
    if known.made and known.whole is not None:
        try:
            with refusals_raised():
                return known.whole(*args, **kwargs)  # traced into, as far as it is NumPy
        except Exception as error:
            if known.made > trace.begun:  # the next run makes another, of which no call could be compared
                if isinstance(error, NeedsValues):
                    message = (
                        f"{error}; or give {function.__name__} its rule outside of the compiled function"
                    )
                    raise type(error)(message, error.node) from None
                raise
        return perhaps_a_view(trace, known.whole, *args, **kwargs)
    args, kwargs, out = arguments_of(function, args, kwargs)
    refuse_shapes(function, args, kwargs)
    if function in CALLS:
        try:
            result = CALLS[function](trace, *args, **kwargs)
        except TypeError as error:
            if type(error) is TypeError and error.__traceback__ and error.__traceback__.tb_next is None:
                raise JitError(
                    f"{user_line()}: {function.__name__} is not captured with these arguments: {error}"
                ) from None
            raise
    elif known.metadata:
        return function(*mapped(value_of, args), **kwargs)
    elif known.whole is not None:
        given = signature(known.whole).bind(*args, **kwargs)  # by position, as the rewrites look for them
        result = trace.record(known.whole, *given.args, **given.kwargs)
    elif getattr(function, "__module__", "").startswith("minigrad."):
        result = function.__wrapped__(*args, **kwargs)
    else:
        result = perhaps_a_view(trace, function, *args, **kwargs)
    if out is None:
        return result
    return _put(function.__name__, result, out)


def _put(name: str, result: Any, out: Any) -> Any:
    """Put a result into an array, as NumPy does but for its ufuncs, which broadcast and cast it."""
    if type(out) not in STAND_INS or out.dtype != result.dtype:
        raise PlainArray(
            f"{user_line()}: {name} with out= writes into an array made outside, or of another dtype than "
            f"{result.dtype}; use the result"
        )
    if out.shape != result.shape:
        raise ValueError(
            f"{user_line()}: {name} of shape {result.shape} does not fit into out of shape {out.shape}"
        )
    return out.become(result)
