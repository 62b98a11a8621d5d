"""Rules of sliding windows, convolution and correlation."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from . import metadata
from .table import Arguments, Draw, compose, declare, whole

sliding_window_view = np.lib.stride_tricks.sliding_window_view


def _windows(x: Any, window_shape: Any, axis: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the windows' lengths and their normalized axes."""
    lengths = tuple(window_shape) if np.iterable(window_shape) else (window_shape,)
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return lengths, tuple(each % x.ndim for each in axes)


@whole(memory="new")
def windows_added(dx: Any, shape: tuple[int, ...], window_shape: Any, axis: Any = None) -> Any:
    """Add windows up where they overlap: each entry of the array of a shape is the sum over those that show it."""
    total = np.zeros(shape, dx.dtype)
    lengths, axes = _windows(total, window_shape, axis)
    for place in product(*map(range, lengths)):
        shown = dx[(..., *place)]
        starts = [0] * total.ndim
        for start, each in zip(place, axes, strict=True):
            starts[each] += start
        total[tuple([slice(start, start + n) for start, n in zip(starts, shown.shape, strict=True)])] += shown
    return total


def _added_inputs(draw: Draw) -> Arguments:
    (x, *windows), _ = _windows_inputs(draw)
    return (draw.array(sliding_window_view(x, *windows).shape), x.shape, *windows), {}


def _windows_inputs(draw: Draw) -> Arguments:
    x = draw.array((draw.integer(2, 4), draw.integer(2, 4)))
    return (x, *draw.choice([((2, 1),), (2, 0), (2, -1), ((2, 2), (0, 0) if len(x) > 2 else (0, 1))])), {}


declare(
    sliding_window_view,
    lambda g, out, x, window_shape, axis=None: windows_added(g, x.shape, window_shape, axis),
    inputs=_windows_inputs,
)
declare(
    windows_added,
    lambda g, out, dx, shape, window_shape, axis=None: sliding_window_view(g, window_shape, axis),
    inputs=_added_inputs,
)


@whole(memory="new")
def convolution(a: Any, v: Any) -> Any:
    """Return the whole convolution of two lines: entry n is the sum over k of a[k] v[n - k]."""
    return np.convolve(a, v)


def _lines(draw: Draw) -> Arguments:
    return (draw.array((draw.integer(1, 5),)), draw.array((draw.integer(1, 5),))), {}


declare(
    convolution,
    lambda g, out, a, v: np.correlate(g, v, "valid"),
    lambda g, out, a, v: np.correlate(g, a, "valid"),
    inputs=_lines,
)


def _mode_inputs(draw: Draw) -> Arguments:
    (a, v), _ = _lines(draw)
    return (a, v, draw.choice(["full", "same", "valid"])), {}


def _line(x: Any, name: str) -> Any:
    """Return a 1-d array; a scalar becomes one entry."""
    if metadata.ndim(x) > 1 or not metadata.size(x):
        raise ValueError(
            f"numpy.{name}: an operand has shape {metadata.shape(x)}; expected one axis, not empty"
        )
    return np.reshape(x, (-1,))


def _middle(whole_line: Any, n: int, m: int, mode: str, same: int) -> Any:
    """Return the part of a full convolution of n and m entries that ``mode`` selects."""
    short, long = min(n, m), max(n, m)
    if mode == "full":
        return whole_line
    if mode not in ("same", "valid"):
        raise ValueError(f"numpy.convolve, numpy.correlate: mode is {mode!r}; expected full, same or valid")
    return whole_line[short - 1 : long] if mode == "valid" else whole_line[same : same + long]


@compose(np.convolve, inputs=_mode_inputs)
def _convolve(a: Any, v: Any, mode: str = "full") -> Any:
    a, v = _line(a, "convolve"), _line(v, "convolve")
    n, m = len(a), len(v)
    return _middle(convolution(a, v), n, m, mode, (min(n, m) - 1) // 2)


@compose(np.correlate, inputs=_mode_inputs)
def _correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    a, v = _line(a, "correlate"), _line(v, "correlate")
    n, m = len(a), len(v)
    return _middle(convolution(a, v[::-1]), n, m, mode, (m - 1) // 2 if m <= n else n // 2)
