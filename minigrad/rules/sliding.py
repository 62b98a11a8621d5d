"""Rules of sliding windows, convolution and correlation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from . import metadata
from .conjugates import conj
from .table import Arguments, Draw, declare, whole

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


def _line(x: Any, name: str) -> Any:
    """Return a 1-d array; a scalar becomes one entry."""
    if metadata.ndim(x) > 1 or not metadata.size(x):
        raise ValueError(
            f"numpy.{name}: an operand has shape {metadata.shape(x)}; expected one axis, not empty"
        )
    return x if metadata.ndim(x) else np.reshape(x, (1,))


def _two_lines(name: str, default: str) -> Any:
    """Return what binds a call of np.convolve or np.correlate."""

    def bind(a: Any, v: Any, mode: str = default) -> Arguments:
        if mode not in ("full", "same", "valid"):
            raise ValueError(f"numpy.{name}: mode is {mode!r}; expected full, same or valid")
        return (_line(a, name), _line(v, name)), {"mode": mode}

    return bind


def _mode_inputs(draw: Draw) -> Arguments:
    a, v = (draw.array((draw.integer(1, 5),)) for _ in range(2))
    return (a, v, draw.choice(["full", "same", "valid"])), {}


def _rule(turned: Any, same: Any) -> Any:
    """Return the rule of np.convolve, or of np.correlate, which turns the second line, and conjugates it.

    Entry n of the full convolution is the sum over k of a[k] v[n - k]; ``mode`` shows a part of it.
    """

    def rule(needs: Sequence[Any], g: Any, out: Any, a: Any, v: Any, mode: str) -> list[Any]:
        n, m = len(a), len(v)
        if mode != "full":
            start = min(n, m) - 1 if mode == "valid" else same(n, m)
            ends = [np.zeros(k, g.dtype) for k in (start, n + m - 1 - start - len(g))]
            g = np.concatenate([ends[0], g, ends[1]])
        return [  # np.correlate conjugates its second line
            np.correlate(g, conj(turned(v)), "valid") if needs[0] else None,
            turned(np.correlate(g, conj(a), "valid")) if needs[1] else None,
        ]

    return rule


declare(
    np.convolve,
    together=_rule(lambda v: v, lambda n, m: (min(n, m) - 1) // 2),
    bind=_two_lines("convolve", "full"),
    inputs=_mode_inputs,
    memory="new",
)
declare(
    np.correlate,
    together=_rule(lambda v: conj(v)[::-1], lambda n, m: (m - 1) // 2 if m <= n else n // 2),
    bind=_two_lines("correlate", "valid"),
    inputs=_mode_inputs,
    memory="new",
)
