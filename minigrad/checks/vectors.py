"""Arrays as one vector, its equal entries, and the random directions in which the checks move it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..engine.recording import Array

NUDGE = 2.0**-26
"""The smallest relative change of an entry by which its effect is measured."""
EPS = float(np.finfo(np.float64).eps)
"""An ulp of 1."""
OWN = 0x6D67
"""Seeds the checks' random numbers, together with other seeds."""


def own_random(number: int, seed: int = 0) -> np.random.Generator:
    """Return a generator of random numbers that no inputs are drawn from, as by ``default_rng(0)``.

    Where dout equals an input, errors that vanish for it are not seen.
    """
    return np.random.default_rng([OWN, number, seed])


def flat(out: Any) -> Array:
    """Return all outputs as one vector."""
    return np.concatenate([np.ravel(np.asarray(part)) for part in parts(out)])


def parts(out: Any) -> Sequence[Any]:
    """Return the outputs of a function that has one, or a list or a tuple of them."""
    return out if isinstance(out, (list, tuple)) else [out]


def largest(x: Array) -> float:
    """Return the largest absolute value in an array; 0, if it is empty."""
    return float(np.max(np.abs(x), initial=0.0))


def split(vector: Array, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Cut a vector into arrays of these shapes."""
    cut, start = [], 0
    for shape in shapes:
        stop = start + math.prod(shape)
        cut.append(vector[start:stop].reshape(shape))
        start = stop
    return cut


def equal_entries(arrays: Sequence[Array]) -> tuple[Array, Array]:
    """Return the group of each entry of all arrays, which equal ones have in common, and each group's size."""
    _, group, counts = np.unique(flat(arrays), return_inverse=True, return_counts=True)
    return group, counts


def directions(arrays: Sequence[Array], rng: np.random.Generator) -> Iterator[list[Array]]:
    """Yield random directions of 1 and -1; tied entries share a sign, so that ties stay ties."""
    group, counts = equal_entries(arrays)
    while True:
        yield split(rng.choice([-1.0, 1.0], len(counts))[group], [x.shape for x in arrays])


def nudged(arrays: Sequence[Array], by: float, direction: Sequence[Array]) -> list[Array]:
    """Change each entry by a relative ``by`` in its direction."""
    with np.errstate(all="ignore"):
        return [np.asarray(x * (1 + by * v), x.dtype) for x, v in zip(arrays, direction, strict=True)]
