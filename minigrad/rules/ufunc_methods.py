"""The methods of the ufuncs that have rules: reduce, accumulate, outer and reduceat, written as calls that have some.

`numpy.ufunc.at` writes into its argument and has none: add at an index by ``t[index] += value``, where the index
names no entry twice.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from . import metadata

REDUCTIONS: dict[Any, Callable[..., Any]] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.fmax: np.nanmax,
    np.fmin: np.nanmin,
}
"""The function that a ufunc's reduction is."""
RUNNING: dict[Any, Callable[..., Any]] = {np.add: np.cumsum, np.multiply: np.cumprod}
"""The function that a ufunc's accumulation is."""


def _entries(x: Any, axis: int) -> list[Any]:
    """Return the parts of x at each place along an axis, the axis kept at length 1."""
    before = (slice(None),) * (axis % x.ndim)
    return [x[(*before, slice(i, i + 1))] for i in range(x.shape[axis])]


def reduce(ufunc: Any, array: Any, axis: Any = 0, dtype: Any = None, **options: Any) -> Any:
    """Do as `numpy.ufunc.reduce`: by the function that it is, or entry by entry."""
    array = array if hasattr(array, "dtype") else np.asarray(array)
    if ufunc in REDUCTIONS:
        if dtype is not None:
            options["dtype"] = dtype
        return REDUCTIONS[ufunc](array, axis=axis, **options)
    keepdims = options.pop("keepdims", False)
    if options or dtype is not None or not isinstance(axis, int):
        raise TypeError(
            f"numpy.{ufunc.__name__}.reduce: no backward rule but for one axis, without initial, where and dtype; "
            "write it with the ufunc itself, entry by entry"
        )
    entries = _entries(array, axis)
    if not entries:
        raise ValueError(f"numpy.{ufunc.__name__}.reduce: no entries along axis {axis}; expected one or more")
    out = entries[0]
    for each in entries[1:]:
        out = ufunc(out, each)
    return out if keepdims else np.squeeze(out, axis=axis)


def accumulate(ufunc: Any, array: Any, axis: int = 0, dtype: Any = None) -> Any:
    """Do as `numpy.ufunc.accumulate`: by the function that it is, or entry by entry."""
    array = array if hasattr(array, "dtype") else np.asarray(array)
    if ufunc in RUNNING:
        return RUNNING[ufunc](array, axis=axis, dtype=dtype)
    if dtype is not None:
        raise TypeError(
            f"numpy.{ufunc.__name__}.accumulate: no backward rule with dtype; cast the array, astype"
        )
    entries = _entries(array, axis)
    for i in range(1, len(entries)):
        entries[i] = ufunc(entries[i - 1], entries[i])
    return np.concatenate(entries, axis=axis) if entries else np.copy(array)


def outer(ufunc: Any, a: Any, b: Any, **options: Any) -> Any:
    """Do as `numpy.ufunc.outer`: every entry of a with every entry of b."""
    return ufunc(np.reshape(a, (*metadata.shape(a), *(1,) * metadata.ndim(b))), b, **options)


def reduceat(ufunc: Any, array: Any, indices: Any, axis: int = 0, dtype: Any = None) -> Any:
    """Do as `numpy.ufunc.reduceat`: the reductions from each index up to the next; at one that is higher, an entry."""
    if dtype is not None:
        raise TypeError(
            f"numpy.{ufunc.__name__}.reduceat: no backward rule with dtype; cast the array, astype"
        )
    array = array if hasattr(array, "dtype") else np.asarray(array)
    starts = [int(i) for i in indices]
    n = array.shape[axis]
    if any(not 0 <= i < n for i in starts):
        raise IndexError(f"numpy.{ufunc.__name__}.reduceat: indices are {starts}; expected them in [0, {n})")
    before = (slice(None),) * (axis % array.ndim)
    parts = [
        array[(*before, slice(start, stop if start < stop else start + 1))]
        for start, stop in pairwise([*starts, n])
    ]
    return np.concatenate([reduce(ufunc, part, axis=axis, keepdims=True) for part in parts], axis=axis)


METHODS: dict[str, Callable[..., Any]] = {
    "reduce": reduce,
    "accumulate": accumulate,
    "outer": outer,
    "reduceat": reduceat,
}
"""How each method is recorded, ``(ufunc, *inputs, **options)``."""
