"""Derivatives in random directions: a large gradient is tested as a whole, where no difference is taken of each entry.

A gradient whose error has the norm E is off by ``|E z|`` in a direction of normal numbers, z normal too, so that an
error is missed with probability less than 0.8 allowed / E, in each direction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..engine.recording import Array
from .slopes import COMPLEX_STEPS, Slope, imaginary, slope
from .vectors import EPS, equal_entries, flat, own_random, split
from .ways import ULPS

DIRECTIONS = 8
"""Random directions that are tried; an error is missed if it shows in none."""


class Wrong(NamedTuple):
    """An entry that a direction shows to be wrong: of which input, where, and, of equal ones, a note."""

    input: int
    where: tuple[int, ...]
    note: str


class RandomDirections:
    """The gradients of dout · f at arrays, compared with its derivatives in random directions.

    ``off`` are the rounding errors of f's values, ``given`` the gradients and ``allowed`` their rounding units;
    ``tried`` directions have been compared, in which an error of at most ``missed`` may not show.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        arrays: Sequence[Array],
        dout: Array,
        off: Array,
        analytic: bool,
        given: Sequence[Array],
        allowed: Sequence[Array],
    ) -> None:
        self.f, self.arrays, self.dout, self.off, self.analytic = f, arrays, dout, off, analytic
        self.given, self.allowed = given, allowed
        self.shapes = [x.shape for x in arrays]
        self.trusted = False  # the complex step: differences confirm it
        self.missed, self.tried = 0.0, 0

    def wrong_entry(self, on_kink: Sequence[Array]) -> Wrong | None:
        """Return an entry of a gradient that is wrong; entries on a kink are not moved."""
        rng = own_random(2)
        for _ in range(DIRECTIONS):
            direction = [np.where(parted, 0.0, rng.standard_normal(parted.shape)) for parted in on_kink]
            apart, allowed = self.along(direction)
            group = np.arange(sum(x.size for x in self.arrays))
            if apart > allowed and self.is_kink_along(direction):
                # One of equal entries, perhaps: they move alike.
                group, _ = equal_entries(self.arrays)
                direction = self.alike(direction)
                apart, allowed = self.along(direction)
                if self.is_kink_along(direction):
                    continue
            if apart > allowed:
                return self.halved(direction, group)
            self.tried += 1
            self.missed = max(self.missed, 0.8 * allowed)
        return None

    def missed_share(self) -> float:
        """Return which part of the gradients' norm an error has that is missed with probability 1e-6."""
        missed = self.missed / max(_norm(self.given), 1e-300)
        return missed * 1e6 ** (1 / self.tried) if self.tried else np.inf

    def along(self, direction: Sequence[Array]) -> tuple[float, float]:
        """Return the error of the given derivative in a direction, and its tolerance."""
        pairs = list(zip(self.given, direction, strict=True))
        ours = sum(float(np.vdot(g, v)) for g, v in pairs)
        theirs, error = self.derivative(direction)
        spread = _norm([u * v for u, v in zip(self.allowed, direction, strict=True)])
        spread += EPS * _norm([g * v for g, v in pairs])
        apart, allowed = abs(ours - theirs), ULPS * spread + 2 * error
        return (np.inf if np.isnan(ours) else apart), (allowed if np.isfinite(allowed) else np.inf)

    def derivative(self, direction: Sequence[Array]) -> tuple[float, float]:
        """Return f's derivative in a direction and its error: by the complex step, once differences confirm it."""
        h = COMPLEX_STEPS[0]
        exact = imaginary(self.f, self.moved(direction, 1j * h), h) if self.analytic else None
        if exact is None or not self.trusted:
            theirs = self.slope(direction)
            if exact is None:
                return theirs.value, theirs.error
            unlike = abs(float(exact @ self.dout) - theirs.value)
            self.trusted = unlike <= theirs.error + 1e-5 * theirs.size
            if not self.trusted:
                return theirs.value, theirs.error
        terms = exact * self.dout
        return float(terms.sum()), ULPS * float(EPS * np.linalg.norm(terms))

    def is_kink_along(self, direction: Sequence[Array]) -> bool:
        """Tell whether f's slopes in a direction and against it differ by more than their errors."""
        return self.slope(direction).is_kink

    def slope(self, direction: Sequence[Array]) -> Slope:
        """Differentiate f in a direction by differences."""
        with np.errstate(all="ignore"):
            return slope(lambda h: flat(self.f(*self.moved(direction, h))), 1.0, self.dout, self.off)

    def moved(self, direction: Sequence[Array], h: complex) -> list[Any]:
        """Return the arrays, moved by h in a direction."""
        return [x + h * v for x, v in zip(self.arrays, direction, strict=True)]

    def alike(self, direction: Sequence[Array]) -> list[Array]:
        """Average a direction over tied entries, so that ties stay ties."""
        group, counts = equal_entries(self.arrays)
        means = np.bincount(group, flat(direction)) / counts
        return split(means[group], self.shapes)

    def halved(self, direction: list[Array], group: Array) -> Wrong:
        """Find an entry that is wrong by halving a direction that shows it; those of a group stay together."""
        whole = flat(direction)
        low, high = 0, int(np.max(group)) + 1
        while high - low > 1:
            halves = []
            for start, stop in ((low, (low + high) // 2), ((low + high) // 2, high)):
                part = np.where((start <= group) & (group < stop), whole, 0.0)
                apart, allowed = self.along(split(part, self.shapes))
                halves.append((apart / max(allowed, 1e-300), start, stop))
            _, low, high = max(halves)
        places = np.flatnonzero(group == low)
        ends = np.cumsum([x.size for x in self.arrays])
        k = int(np.searchsorted(ends, places[0], side="right"))
        index = np.unravel_index(places[0] - ends[k] + self.arrays[k].size, self.shapes[k])
        note = ""
        if len(places) > 1:
            note = (
                f"its {len(places)} entries equal to {flat(self.arrays)[places[0]]:.6g} are wrong together: one of "
                "them, or the share of each"
            )
        return Wrong(k, tuple(map(int, index)), note)


def _norm(arrays: Sequence[Array]) -> float:
    """Return the square root of the sum of all squares."""
    return float(sum(float(np.vdot(x, x)) for x in arrays) ** 0.5)
