"""Equal entries: where a function such as a maximum or a sort has no derivative, what a gradient there may be.

Right is what lies among the gradients around (Clarke 1975): the slope of equal entries that move together is the sum of
their gradients, and one entry's gradient is between the slopes at points beside, where the entries differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from ..engine.recording import Array
from .numerical_gradient import flat, slope, split

APART = 2.0**-12
"""How far apart equal entries are moved, in units of the largest of them."""
ORDERS = 4
"""Random orders in which they are moved, beside the two in which they stand."""

Along = Callable[[Sequence[Array], Sequence[Array]], tuple[float, float, float, float, Array]]
"""Differentiates a function at arrays in a direction, as `slope` does."""


def ties(arrays: Sequence[Array]) -> list[Array]:
    """Return the groups of equal entries, each as their places among the entries of all arrays, one after the other."""
    values = flat(arrays)
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    return [places for places in np.split(order, np.cumsum(counts)[:-1]) if len(places) > 1]


def moved_apart(
    arrays: Sequence[Array], groups: Sequence[Array], order: Any, by: float, below: float
) -> list[Array]:
    """Return arrays whose equal entries differ a little; ``order(n)`` is the rank of each of n.

    ``below`` is the part of them that become smaller than they were.
    """
    moved = flat(arrays)
    for places in groups:
        scale = max(abs(float(moved[places[0]])), 1e-2)
        moved[places] += by * scale * ((order(len(places)) + 0.5) / len(places) - below)
    return split(moved, [x.shape for x in arrays])


def slopes_around(
    along: Along, arrays: Sequence[Array], groups: Sequence[Array], direction: Sequence[Array]
) -> tuple[float, float, float] | None:
    """Return the least and the largest slope in a direction at points beside arrays, and their error.

    None where the function is differentiable: the slopes beside are the closer to each other, the nearer the points.
    """
    rng = np.random.default_rng(4)
    orders: list[Any] = [np.arange, lambda n: np.arange(n)[::-1], *[rng.permutation] * ORDERS]
    spreads = []
    for by in (APART, APART / 8):
        found = []
        for order, below in product(orders, (0.0, 0.5, 1.0)):
            value, error, *_, terms = along(moved_apart(arrays, groups, order, by, below), direction)
            if np.isfinite(error):
                found.append((value, 8 * error + 1e-5 * float(np.abs(terms).sum())))
        if not found:
            return None
        values, errors = np.array(found).T
        spreads.append((float(values.min()), float(values.max()), float(errors.max())))
    (low, high, _), (least, largest, error) = spreads
    is_kink = largest - least > max(error, 0.5 * (high - low))
    return (least - error, largest + error, error) if is_kink else None


def unit(places: Any, arrays: Sequence[Array]) -> list[Array]:
    """Return the direction in which the entries at some places move alike, and no other."""
    direction = np.zeros(sum(x.size for x in arrays))
    direction[places] = 1.0
    return split(direction, [x.shape for x in arrays])


def along(f: Callable[..., Any], dout: Array, off: Array) -> Along:
    """Return the function that differentiates dout · f at arrays in a direction; ``off`` are f's rounding errors."""

    def derivative(
        arrays: Sequence[Array], direction: Sequence[Array]
    ) -> tuple[float, float, float, float, Array]:
        size = max(
            float(np.max(np.abs(x[v != 0]), initial=0.0)) for x, v in zip(arrays, direction, strict=True)
        )

        def at(h: float) -> Array:
            return flat(f(*[x + h * v for x, v in zip(arrays, direction, strict=True)]))

        with np.errstate(all="ignore"):
            return slope(at, size, dout, off)

    return derivative
