"""Rules of sliding windows, convolution and correlation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from . import metadata
from .conjugates import conj
from .indexing import getitem
from .overriding import dispatched, whole
from .table import Arguments, Draw, declare

sliding_window_view = np.lib.stride_tricks.sliding_window_view
SHORT = 8
"""Runs of fewer entries are added one entry of each window at a time: NumPy's innermost loop is then longer."""


@dispatched
def windows_at(x: Any, index: Any, window_shape: Any, axis: Any = None) -> Any:
    """Return the sliding windows at an index; a slice with a step takes them with a hop."""
    return getitem(sliding_window_view(x, window_shape, axis), index)


@whole(memory="new")
def windows_added(dx: Any, index: Any, shape: tuple[int, ...], window_shape: Any, axis: Any = None) -> Any:
    """Overlap-add, the adjoint of `windows_at`: each entry is the sum over the windows that contain it.

    The windows are those that `windows_at` returns, and no others are made.
    """
    total = np.zeros(shape, dx.dtype)
    _add_windows(total, dx, index, window_shape, axis)
    return total


def _add_windows(total: Any, dx: Any, index: Any, window_shape: Any, axis: Any = None) -> None:
    """Add windows to the array that they are windows of."""
    windows = sliding_window_view(total, window_shape, axis, writeable=True)
    shown = windows[index]
    if np.may_share_memory(shown, total):
        for part in _apart(shown):
            shown[part] += dx[part]
    else:  # no view: the index has arrays, or reads one entry
        np.add.at(windows, index, dx)


def _apart(view: Any) -> Iterator[tuple[slice, ...]]:
    """Yield parts that make up a view, in each of which no two entries lie at the same place in memory.

    Of windows of n entries with a hop of h, a part has h entries each, ceil(n / h) parts in all; one entry each, if h
    is short; or, where there are fewer windows than such parts, all entries of one window.
    """
    lengths = list(view.shape)  # of a part
    steps = [abs(step) for step in view.strides]
    extent = view.itemsize  # in memory, of a part along the axes so far
    inner: list[tuple[int, int]] = []  # those of these axes that count, and the extent before each
    for axis in sorted(range(view.ndim), key=lambda axis: (steps[axis], view.shape[axis])):
        step, n = steps[axis], view.shape[axis]
        if step < extent and inner:  # shorten the part along the axis before, so that this one steps over it
            last, before = inner[-1]
            fits = (step - before) // steps[last] + 1
            if 0 < fits < SHORT:
                fits = 1
            if fits > 0 and math.ceil(view.shape[last] / fits) <= n:
                lengths[last], extent = fits, before + steps[last] * (fits - 1)
        if step < extent:
            lengths[axis] = 1
        elif n > 1:
            inner.append((axis, extent))
            extent += step * (n - 1)
    pieces = [
        [slice(i, i + length) for i in range(0, n, max(length, 1))]
        for n, length in zip(view.shape, lengths, strict=True)
    ]
    return product(*pieces)


def _windows_inputs(draw: Draw) -> Arguments:
    x = draw.array((draw.integer(2, 4), draw.integer(2, 4)))
    return (x, *draw.choice([((2, 1),), (2, 0), (2, -1), ((2, 2), (0, 0) if len(x) > 2 else (0, 1))])), {}


def _at_inputs(draw: Draw) -> Arguments:
    (x, *windows), _ = _windows_inputs(draw)
    every = slice(draw.integer(0, 1), None, draw.integer(1, 3))
    index = draw.choice(
        [
            (),
            0,
            every,
            (every, every),
            (slice(None), slice(None, None, -2)),
            (Ellipsis, None, every),
            (0,) * metadata.ndim(sliding_window_view(x, *windows)),
            np.array([0, -1, 0]),
            (every, np.array([0, -1, 0])),
        ]
    )
    return (x, index, *windows), {}


def _added_inputs(draw: Draw) -> Arguments:
    (x, index, *windows), _ = _at_inputs(draw)
    return (draw.array(metadata.shape(windows_at(x, index, *windows))), index, x.shape, *windows), {}


SLIDING = declare(
    sliding_window_view,
    lambda g, out, x, window_shape, axis=None: windows_added(g, (), x.shape, window_shape, axis),
    inputs=_windows_inputs,
)
WINDOWS_AT = declare(
    windows_at,
    lambda g, out, x, index, window_shape, axis=None: windows_added(g, index, x.shape, window_shape, axis),
    add=_add_windows,
    inputs=_at_inputs,
)
declare(
    windows_added,
    lambda g, out, dx, index, shape, window_shape, axis=None: windows_at(g, index, window_shape, axis),
    inputs=_added_inputs,
)


def _line(x: Any, name: str) -> Any:
    """Return a 1-d array; a scalar becomes one entry, in np.convolve."""
    if metadata.ndim(x) > 1 or not metadata.size(x) or (name == "correlate" and not metadata.ndim(x)):
        raise ValueError(
            f"numpy.{name}: an operand has shape {metadata.shape(x)}; expected one axis, not empty"
        )
    return x if metadata.ndim(x) else np.reshape(x, (1,))


def _two_lines(name: str, default: str) -> Any:
    """Return the ``bind`` of np.convolve or np.correlate."""

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
