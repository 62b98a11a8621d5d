"""The rounding errors of a function's values, and of gradients, measured: no analysis of its source is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..engine.recording import Array
from .vectors import NUDGE, directions, flat, largest, nudged, own_random, split

JITTERS = 8
"""Evaluations of a function an ulp beside its inputs, from which its rounding is estimated."""
JUMP = 1e9, 0.1
"""Above this many ulps, or this fraction, of the largest entry a change is a branch flip, not rounding."""
LONGEST_STEP = 1e-8
"""Steps of a gradient longer than this, of its largest entry or dout's, are those of float32, or of a mask."""

Function = Callable[[Sequence[Array]], Sequence[Array]]


def roundoff(f: Function, arrays: Sequence[Array], eps: float, least: float = np.inf) -> list[Array]:
    """Measure the rounding errors of a function's results: their changes when the arguments change by an ulp.

    Each step inside then rounds differently, which reveals cancellation: the variance of numbers around 1e4 as the
    mean of the squares less the square of the mean is off by 1e8 ulps. A change of more than ``JUMP`` of the results'
    size, or of ``least`` if that is larger, is none of rounding: it is that of a mask, which an entry lies on.
    """
    drawn = directions(arrays, own_random(3))
    here = [np.asarray(x, np.float64) for x in f(arrays)]
    moved = [np.zeros(x.shape) for x in here]
    jump = min(JUMP[0] * eps, JUMP[1])
    sizes = [max(least, float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x)))) for x in here]
    with np.errstate(all="ignore"):
        for _ in range(JITTERS):
            there = f(nudged(arrays, eps, next(drawn)))
            changes = [np.abs(a - b) for a, b in zip(here, there, strict=True)]
            moved = [
                np.fmax(m, np.where(change > jump * size, 0.0, change))
                for m, change, size in zip(moved, changes, sizes, strict=True)
            ]
    return [np.nan_to_num(m, nan=0.0, posinf=0.0) for m in moved]


def steps(f: Function, arrays: Sequence[Array], values: Array, count: int = 1) -> Array:
    """Measure the steps in a function's values, such as those of ``(x + 1e6) - 1e6``, longer than an ulp of x.

    Second differences of a smooth function vanish as the square of the distance does; those of steps do not. They are
    taken along so many directions.
    """
    drawn = directions(arrays, own_random(5))
    found: Array = np.max([_steps_along(next(drawn), f, arrays, values) for _ in range(count)], axis=0)
    return found


def _steps_along(direction: Sequence[Array], f: Function, arrays: Sequence[Array], values: Array) -> Array:
    found, before = np.zeros(values.shape), np.full(values.shape, np.inf)
    with np.errstate(all="ignore"):
        for by in (2.0**-20, 2.0**-24, 2.0**-28, 2.0**-32, 2.0**-36):
            moves = [
                by * v * np.where(x == 0, 1e-2, np.abs(x)) for x, v in zip(arrays, direction, strict=True)
            ]
            row = [
                flat(f([np.asarray(x + i * move) for x, move in zip(arrays, moves, strict=True)]))
                for i in range(1, 5)
            ]
            bent = np.max(np.abs(np.diff([values, *row], 2, axis=0)), axis=0)
            found = np.fmax(found, np.where(bent > before / 8, bent, 0.0))
            before = bent
    return np.nan_to_num(found, nan=0.0, posinf=0.0)


# -- of gradients: functions of arrays and, last, dout -------------------------------------------------------------


def gradient_steps(gradients: Function, given: Sequence[Array], here: Sequence[Array]) -> list[Array]:
    """Measure rounding errors of gradients that are alike an ulp beside, as of s (1 - s) for s near 1."""
    values = flat(here)
    off = steps(gradients, given, values, 4)
    size = max(largest(given[-1]), float(np.max(np.abs(values), initial=0.0, where=np.isfinite(values))))
    off[off > LONGEST_STEP * size] = 0.0
    return split(off, [x.shape for x in here])


def term_sizes(gradients: Function, given: Sequence[Array]) -> list[Array]:
    """Estimate how large the terms are that each entry sums, by its changes under small relative ones of the arrays."""
    drawn = directions(given, own_random(1))
    with np.errstate(all="ignore"):
        here = gradients(given)
        sizes = [np.abs(g) for g in here]
        for _ in range(2):
            there = gradients(nudged(given, NUDGE, next(drawn)))
            changes = [np.abs(a - b) / NUDGE for a, b in zip(here, there, strict=True)]
            sizes = [np.fmax(size, change) for size, change in zip(sizes, changes, strict=True)]
    return [np.nan_to_num(size, nan=0.0, posinf=0.0) for size in sizes]
