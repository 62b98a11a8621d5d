"""Functions that pick entries by integers and masks (take, choose, select, bincount, …), expressed by indexing.

Integers and masks are constants. What writes into its argument (`numpy.put_along_axis`) has no rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import metadata
from .indexing import along, line_by_line, scatter
from .metadata import as_joined, promoted
from .table import Arguments, Draw, compose, declare


def _positions(indices: Any, n: int, mode: str) -> Any:
    """Return indices along an axis of length n, wrapped or clipped according to ``mode``."""
    positions = indices if hasattr(indices, "dtype") else np.asarray(indices, dtype=None if indices else int)
    if positions.dtype.kind == "b":
        positions = positions.astype(int)
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"numpy.take: mode is {mode!r}; expected 'raise', 'wrap' or 'clip'")
    if mode == "wrap":
        return np.remainder(positions, n)
    return np.clip(positions, 0, n - 1) if mode == "clip" else positions


def _take_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1, min_side=2))
    axis = draw.choice([None, *range(-x.ndim, x.ndim)])
    mode = draw.choice(["raise", "wrap", "clip"])
    indices = draw.choice([0, -1, np.array([1, 0, 1]), np.array([[1, 0], [0, 0]]), np.array(1), [1, 0], []])
    return (x, indices), {"axis": axis, "mode": mode}


def _entries(a: Any, indices: Any, axis: Any, mode: str) -> tuple[tuple[int, ...], Any]:
    """Return the shape in which np.take sees an array, of one axis if none is given, and the index that it reads."""
    if axis is None or (not a.ndim and axis in (0, -1)):
        return (a.size,), (_positions(indices, a.size, mode),)
    return a.shape, along(axis % a.ndim, _positions(indices, a.shape[axis], mode))


def _taken(a: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Any:
    shape, index = _entries(a, indices, axis, mode)
    return (a if a.shape == shape else np.reshape(a, shape))[index]


def _take(g: Any, out: Any, a: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Any:
    """Add up the gradients of all copies of an entry."""
    shape, index = _entries(a, indices, axis, mode)
    return np.reshape(scatter(g, index, shape), a.shape)


declare(np.take, _take, forward=_taken, inputs=_take_inputs)


def _take_along_axis_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1, min_side=2))
    axis = draw.integer(-x.ndim, x.ndim - 1)
    shape = list(x.shape)
    shape[axis] = draw.integer(0, 4)
    return (x, np.arange(int(np.prod(shape))).reshape(shape) % 3 % x.shape[axis], axis), {}


@compose(np.take_along_axis, inputs=_take_along_axis_inputs, memory="new")
def _take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    if axis is None:
        return np.ravel(arr)[indices]
    if arr.ndim != indices.ndim:
        raise ValueError(
            f"numpy.take_along_axis: arr has {arr.ndim} axes and indices {indices.ndim}; expected as many"
        )
    return arr[line_by_line(indices, arr.shape, axis % arr.ndim)]


def _choose_inputs(draw: Draw) -> Arguments:
    shapes = draw.broadcastable(3)
    count = draw.integer(1, 2)
    which = np.arange(int(np.prod(shapes[2]))).reshape(shapes[2]) % count
    return (which, [draw.array(shape) for shape in shapes[:count]]), {
        "mode": draw.choice(["raise", "wrap", "clip"])
    }


def _choose(needs: Sequence[Any], g: Any, out: Any, *choices: Any, a: Any, mode: str) -> list[Any]:
    """Give each choice the gradient where it was chosen."""
    which = _positions(a, len(choices), mode)
    return [np.where(np.equal(which, i), g, 0) if need else None for i, need in enumerate(needs)]


declare(
    np.choose,
    together=_choose,
    bind=lambda a, choices, *, mode="raise": (tuple(choices), {"a": a, "mode": mode}),
    forward=lambda *choices, a, mode: np.choose(a, choices, mode=mode),
    inputs=_choose_inputs,
    memory="new",
)


def _select_inputs(draw: Draw) -> Arguments:
    shapes = draw.broadcastable(4)
    masks = [np.arange(int(np.prod(shape))).reshape(shape) % 2 == i for i, shape in enumerate(shapes[:2])]
    choices = [draw.array(shape) for shape in shapes[2:]]
    return (masks, choices), {"default": draw.choice([0, 0.25])}


@compose(np.select, inputs=_select_inputs)
def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ValueError(
            f"numpy.select: {len(condlist)} conditions and {len(choicelist)} choices; expected one choice for "
            "each condition, and one at least"
        )
    out = as_joined(default).astype(promoted(*choicelist, default))  # of all at once, as NumPy does
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        if condition.dtype.kind != "b":
            raise TypeError(f"numpy.select: a condition has dtype {condition.dtype}; expected booleans")
        out = np.where(condition, choice, out)
    return out


def _compress_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1, min_side=2))
    axis = draw.choice([None, *range(-x.ndim, x.ndim)])
    return (draw.choice([[True, False], [False, True], [False], [1, 1]]), x), {"axis": axis}


@compose(np.compress, inputs=_compress_inputs)
def compress(condition: Any, a: Any, axis: Any = None) -> Any:
    """Take where the condition is true; compiled, the condition must be a list or an option."""
    return np.take(a, np.flatnonzero(condition), axis=axis)


def _extract_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1))
    return ((np.arange(x.size).reshape(x.shape) % draw.integer(1, 3) == 0).tolist(), x), {}


@compose(np.extract, inputs=_extract_inputs)
def extract(condition: Any, arr: Any) -> Any:
    """Take where the condition is true, of all entries in C's order."""
    return np.take(arr, np.flatnonzero(condition))


def _bincount_inputs(draw: Draw) -> Arguments:
    n = draw.integer(1, 5)  # of none NumPy returns integers
    return ((np.arange(n) * 2 % 3).tolist(), draw.array((n,))), {"minlength": draw.choice([0, 4])}


@compose(np.bincount, inputs=_bincount_inputs)
def bincount(x: Any, weights: Any = None, minlength: int = 0) -> Any:
    """Add weights up by what their x is; compiled, x must be an option."""
    x = _positions(x, 0, "raise")
    if x.dtype.kind not in "iu":
        raise TypeError(f"numpy.bincount: x has dtype {x.dtype}; expected integers")
    count = len(np.bincount(x, minlength=minlength))
    if metadata.shape(weights) != metadata.shape(x):
        raise ValueError(
            f"numpy.bincount: x has shape {metadata.shape(x)} and weights {metadata.shape(weights)}; expected the same"
        )
    if weights.dtype.kind == "c":
        raise TypeError(
            "numpy.bincount: no backward rule for complex numbers; give it np.real, np.imag or np.abs of them"
        )
    return scatter(weights.astype(float, casting="safe"), x, (count,))
