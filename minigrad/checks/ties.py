"""Ties: the admissible gradients where equal entries make a maximum or a sort non-smooth.

Right is what lies among the gradients around (Clarke 1975): the slope of equal entries that move together is the sum of
their gradients, and one entry's gradient is between the slopes at points beside, where the entries differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from ..engine.recording import Array
from .slopes import Slope, slope
from .vectors import EPS, equal_entries, flat, own_random, split

APART = 2.0**-14
"""How far equal entries are moved from each other, in units of their size."""
TURNS = 4
"""The number of cyclic orders in which tied entries are spread apart: so each has several ranks."""


def ties(arrays: Sequence[Array]) -> list[Array]:
    """Return the groups of equal entries, each as their places in the vector of all arrays."""
    group, counts = equal_entries(arrays)
    order = np.argsort(group, kind="stable")
    return [places for places in np.split(order, np.cumsum(counts)[:-1]) if len(places) > 1]


class Surroundings:
    """The points beside arrays at which equal entries differ, and a function's slopes at them.

    ``dout`` are the weights of the function's values, and ``off`` their rounding errors.
    """

    def __init__(self, f: Callable[..., Any], arrays: Sequence[Array], dout: Array, off: Array) -> None:
        self.f, self.arrays, self.dout, self.off = f, arrays, dout, off
        self.shapes = [x.shape for x in arrays]
        self.groups = ties(arrays)
        rng = own_random(4)
        orders: list[Any] = [lambda n, i=i: np.roll(np.arange(n), i * n // TURNS) for i in range(TURNS)]
        orders += [lambda n: np.arange(n)[::-1], rng.permutation, rng.permutation]
        self.points = {
            by: [self._moved(order, by, below) for order, below in product(orders, (0.0, 0.5, 1.0))]
            for by in (APART, APART / 8)
        }

    def _moved(self, order: Any, by: float, below: float) -> Array:
        """Return the entries, tied ones moved apart; ``order(n)`` ranks n, the part ``below`` moves down."""
        moved = flat(self.arrays)
        for places in self.groups:
            count = len(places)
            moved[places] += by * self._size(moved[places[0]]) * (order(count) + 0.5 - below * count)
        return moved

    @staticmethod
    def _size(entry: float) -> float:
        return max(abs(float(entry)), 1e-2)

    def admitted(self, ours: Array, wrong: Array, on_kink: Array, most: int | None) -> Array:
        """Tell which wrong entries of a gradient are tied, and between the slopes around.

        At most so many of them are tried, and if they are, the others are taken to be, too.
        """
        tied = np.concatenate([*self.groups, np.zeros(0, int)])
        places = np.sort(tied[wrong[tied] != 0])
        admitted = np.zeros(wrong.shape, bool)
        for place in places if most is None else own_random(6).permutation(places)[:most]:
            if not self._admit(ours[place], [place], on_kink[place]):
                return admitted
            admitted[place] = True
        admitted[places] = True
        return admitted

    def unlike_together(self, ours: Array, on_kink: Array) -> tuple[Array, str]:
        """Return a group on a kink whose gradients do not add up to its slope, with a note; else an empty one."""
        for places in self.groups:
            if not on_kink[places].any():
                continue
            theirs, total = self._together(places), float(ours[places].sum())
            if not np.isfinite(theirs.error) or theirs.is_kink or abs(total - theirs.value) <= theirs.margin:
                continue
            if not self._admit(total, places, is_kink=False):
                return places, (
                    f"its {len(places)} entries equal to {flat(self.arrays)[places[0]]:.6g} are on a kink: moved "
                    f"together, their slope is {theirs.value:.6g}, and their gradients add up to {total:.6g}"
                )
        return np.zeros(0, int), ""

    def _admit(self, ours: float, places: Any, is_kink: bool) -> bool:
        """Tell whether a slope of the entries at some places is between those around."""
        with np.errstate(all="ignore"):
            found = self._slopes(places, is_kink)
        return found is not None and bool(found[0] <= ours <= found[1])

    def _slopes(self, places: Any, is_kink: bool) -> tuple[float, float] | None:
        """Return the least and the largest slope at these points, along a move of the entries at some places alike.

        None where the function is differentiable, which is asked unless they are known to be on a kink: then the slopes
        are the closer to each other, the nearer the points.
        """
        direction = np.zeros(sum(x.size for x in self.arrays))
        direction[places] = 1.0
        size = self._size(np.min(np.abs(flat(self.arrays)[places])))
        spreads = []
        for by, points in self.points.items():
            h, found, errors = by * size / 8, [], []
            for point in points:
                up, down = [flat(self.f(*split(point + s * direction, self.shapes))) for s in (h, -h)]
                terms = (up - down) * self.dout
                rounding = np.where(up != down, 16 * EPS * np.abs(up) + self.off, 0.0)
                noise = np.abs(self.dout) @ rounding
                found.append(float(terms.sum()) / (2 * h))
                errors.append(float(noise + 1e-5 * np.abs(terms).sum()) / h)
            finite = np.isfinite(found) & np.isfinite(errors)
            if not finite.any():
                return None
            values = np.array(found)[finite]
            spreads.append((values.min(), values.max(), np.array(errors)[finite].max()))
        (low, high, _), (least, largest, error) = spreads
        if not is_kink and largest - least <= max(error, 0.5 * (high - low)):
            return None
        return float(least - error), float(largest + error)

    def _together(self, places: Any) -> Slope:
        """Differentiate along a move of the entries at some places alike, at the arrays themselves."""
        here, direction = flat(self.arrays), np.zeros(sum(x.size for x in self.arrays))
        direction[places] = 1.0

        def at(h: float) -> Array:
            return flat(self.f(*split(here + h * direction, self.shapes)))

        with np.errstate(all="ignore"):
            return slope(at, float(here[places[0]]), self.dout, self.off)
