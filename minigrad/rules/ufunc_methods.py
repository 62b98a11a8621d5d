"""The methods of the ufuncs that have rules, reduce, accumulate, outer and reduceat, as calls that have some."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from . import metadata
from .cumulative import recurrence_b
from .indexing import along
from .lookup import rules_of
from .overriding import whole
from .reductions import axes_of
from .softmax import logaddexp2_reduce, logaddexp_reduce
from .table import Arguments, Draw, declare

REDUCTIONS: dict[Any, Callable[..., Any]] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.fmax: np.nanmax,
    np.fmin: np.nanmin,
    np.logaddexp: logaddexp_reduce,
    np.logaddexp2: logaddexp2_reduce,
}
"""The function that a ufunc's reduction is."""
RUNNING: dict[Any, Callable[..., Any]] = {np.add: np.cumsum, np.multiply: np.cumprod}
"""The function that a ufunc's accumulation is."""


@whole(memory="new")
def accumulation(array: Any, ufunc: Any, axis: int) -> Any:
    """Return ``ufunc.accumulate(array, axis)``: entry i is the ufunc of entry i - 1 of the result and x[i]."""
    return ufunc.accumulate(array, axis=axis)


def _accumulation(g: Any, out: Any, array: Any, ufunc: Any, axis: int) -> Any:
    """The ufunc's own slopes at all entries, and a recurrence from the last entry to the first."""
    if array.shape[axis] < 2:
        return g
    g, out, x = (np.moveaxis(each, axis, -1) for each in (g, out, array))
    before, entry = out[..., :-1], x[..., 1:]
    op: Any = rules_of(ufunc)
    slopes = op.gradients(np.ones_like(entry), out[..., 1:], (before, entry), {}, (True, True))
    of_before, of_entry = (
        op.fitted(slope, i, each) for i, (slope, each) in enumerate(zip(slopes, (before, entry), strict=True))
    )
    first = x[..., :1]
    total = recurrence_b(g, None, np.concatenate([np.zeros_like(first), of_before], axis=-1), g)
    return np.moveaxis(total * np.concatenate([np.ones_like(first), of_entry], axis=-1), -1, axis)


def _accumulation_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1), 0.5, 2.0)
    ufunc = draw.choice([np.subtract, np.divide, np.hypot, np.logaddexp, np.maximum, np.fmin])
    return (x, ufunc, draw.integer(-x.ndim, x.ndim - 1)), {}


declare(accumulation, _accumulation, inputs=_accumulation_inputs)


@whole(memory="new")
def sums_of_parts(array: Any, starts: Any, axis: int) -> Any:
    """Return ``np.add.reduceat(array, starts, axis)``, for starts that increase: however many, one call."""
    return np.add.reduceat(array, starts, axis=axis)


def _sums_of_parts(g: Any, out: Any, array: Any, starts: Any, axis: int) -> Any:
    """Repeat the gradient of each part over its entries; those before the first part have none."""
    lengths = np.diff(starts, prepend=0, append=array.shape[axis])
    first = np.zeros_like(np.take(g, [0], axis=axis))
    return np.repeat(np.concatenate([first, g], axis=axis), lengths, axis=axis)


def _sums_of_parts_inputs(draw: Draw) -> Arguments:
    x = draw.array((draw.integer(3, 4), 4))
    return (x, draw.choice([[0], [0, 2], [1, 2], [2]]), draw.choice([0, 1, -1])), {}


declare(sums_of_parts, _sums_of_parts, inputs=_sums_of_parts_inputs, complex_numbers=True)


def reduce(
    ufunc: Any, array: Any, axis: Any = 0, dtype: Any = None, keepdims: bool = False, **options: Any
) -> Any:
    """Do as `numpy.ufunc.reduce`: by the function that it is, or as the last entry of the accumulation."""
    array = metadata.as_operand(array)
    if dtype is not None and np.dtype(dtype) != array.dtype:
        options["dtype"] = dtype
    options = {name: x for name, x in options.items() if x is not (True if name == "where" else np._NoValue)}
    function: Any = REDUCTIONS.get(ufunc)
    op: Any = rules_of(function)
    if unknown := options.keys() - (op.options if op else ()):
        raise TypeError(
            f"numpy.{ufunc.__name__}.reduce: no backward rule with {', '.join(sorted(unknown))}; write it with the "
            "ufunc itself, entry by entry"
        )
    if function:
        return function(array, axis=axis, keepdims=keepdims, **options)
    ufunc.reduce(metadata.outline((1,) * array.ndim, array.dtype), axis=axis)  # raises what NumPy raises
    if not array.size:
        empty = metadata.outline(array.shape, array.dtype)
        return ufunc.reduce(empty, axis=axis, keepdims=keepdims) + np.sum(array)
    axes = axes_of(array, axis)
    if len(axes) > 1:
        raise TypeError(
            f"numpy.{ufunc.__name__}.reduce: no backward rule but for one axis; got {axis}: reduce one after the other"
        )
    if ufunc.identity is not None and (not axes or array.shape[axes[0]] == 1):  # abs(x), of the hypotenuse
        array = ufunc(ufunc.identity, array)
    if not axes:
        return np.copy(array)[()]
    last = slice(-1, None) if keepdims else -1
    return accumulation(array, ufunc, axes[0])[along(axes[0], last)]


def accumulate(ufunc: Any, array: Any, axis: Any = 0, dtype: Any = None) -> Any:
    """Do as `numpy.ufunc.accumulate`: by the function that it is, or by the ufunc's slopes."""
    array = metadata.as_operand(array)
    axis = metadata.one_axis(ufunc, array, axis)
    if ufunc in RUNNING:
        return RUNNING[ufunc](array, axis=axis, dtype=dtype)
    if dtype is not None:
        raise TypeError(
            f"numpy.{ufunc.__name__}.accumulate: no backward rule with dtype; cast the array, astype"
        )
    return accumulation(array, ufunc, axis)


def outer(ufunc: Any, a: Any, b: Any, **options: Any) -> Any:
    """Do as `numpy.ufunc.outer`: every entry of a with every entry of b."""
    a, b = metadata.as_operand(a), metadata.as_operand(b)
    return ufunc(np.reshape(a, (*a.shape, *(1,) * b.ndim)), b, **options)


def reduceat(ufunc: Any, array: Any, indices: Any, axis: int = 0, dtype: Any = None) -> Any:
    """Do as `numpy.ufunc.reduceat`: the reductions from each index up to the next; at one that is higher, an entry."""
    if dtype is not None:
        raise TypeError(
            f"numpy.{ufunc.__name__}.reduceat: no backward rule with dtype; cast the array, astype"
        )
    array = metadata.as_operand(array)
    starts = [int(i) for i in indices]
    n = array.shape[axis]
    if any(not 0 <= i < n for i in starts):
        raise IndexError(f"numpy.{ufunc.__name__}.reduceat: indices are {starts}; expected them in [0, {n})")
    place = axis % array.ndim
    if not starts:
        return array[along(place, slice(0, 0))]
    if ufunc is np.add and all(start < stop for start, stop in pairwise([*starts, n])):
        return sums_of_parts(array, np.array(starts), axis)
    parts = [
        array[along(place, slice(start, stop if start < stop else start + 1))]
        for start, stop in pairwise([*starts, n])
    ]
    reduced = [part if part.shape[place] == 1 else reduce(ufunc, part, axis, keepdims=True) for part in parts]
    return np.concatenate(reduced, axis=axis)


METHODS: dict[str, Callable[..., Any]] = {
    "reduce": reduce,
    "accumulate": accumulate,
    "outer": outer,
    "reduceat": reduceat,
}
"""How each method is recorded, ``(ufunc, *inputs, **options)``."""
