"""One gradient in several independent ways, and how far apart they may be.

Two ways may differ by rounding: some ulps of the largest sum that an entry comes from. Differences have an error
of their own as well. Of large inputs only a sample of entries is found by differences; random directions test the
rest, and miss an error with a stated probability.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..engine.recording import Array
from .random_directions import RandomDirections
from .rounding import Function, gradient_steps, roundoff, steps, term_sizes
from .slopes import Slopes, complex_step, differences
from .ties import Surroundings
from .vectors import EPS, flat, largest, own_random, split
from .ways import ULPS, Way, on_tape, tape_gradients, walked_back

EVERY = 1000
"""Up to so many entries are all found by differences; of more, ``SAMPLED`` of each input, and random directions.

So many are looked at, too, where the tape's slope is another.
"""
SAMPLED = 2
TIES = 64
"""The most tied entries of a large input that are looked at."""
SMALL_INPUT = 0.01
"""Inputs below this may have a gradient below an ulp of dout."""
SMALLEST = 1e-100
"""Gradients up to an ulp of this are not compared: squares and complex steps underflow."""


@dataclass
class Comparison:
    """A gradient in several ways, of a function f at arrays.

    ``checked`` is the way to be checked, and ``gradients([*arrays, dout])`` returns the same at any arrays; they are
    compared in float64, the dtype of the arrays, and may differ by rounding of relative size ``eps``; ``off`` are
    their measured rounding errors. ``name`` is f's name, ``names`` are the arrays' names, and ``places`` their
    positions among its inputs.
    """

    name: str
    names: Sequence[str]
    places: Sequence[int | str]
    f: Callable[..., Any]
    arrays: Sequence[Array]
    dout: Array
    checked: Way
    gradients: Function
    eps: float
    off: Sequence[Array]
    analytic: bool = True

    def __post_init__(self) -> None:
        count = sum(x.size for x in self.arrays)
        self.all = count <= EVERY and count * (count + self.dout.size) <= 4e6
        self.shapes = [x.shape for x in self.arrays]
        self.here = flat(self.f(*self.arrays))
        self.values_off = self.rounding_of_values()
        self.slopes = [Slopes.unknown(shape) for shape in self.shapes]
        rng = own_random(0)
        for k, x in enumerate(self.arrays):
            chosen = range(x.size) if self.all else rng.choice(x.size, min(SAMPLED, x.size), replace=False)
            self.differentiate(k, [np.unravel_index(i, x.shape) for i in chosen])
        self.ways = [*self.by_tape(), self.by_differences(), *self.by_complex_step()]
        self.allowed = self.rounding_units()
        self.directions = self.in_directions()
        self.admitted = [np.zeros(shape, bool) for shape in self.shapes]
        self.together = [""] * len(self.arrays)

    @property
    def given(self) -> list[Array]:
        """The arrays that ``gradients`` takes."""
        return [*self.arrays, self.dout]

    # -- the ways --------------------------------------------------------------------------------------------

    def by_tape(self) -> list[Way]:
        """Return the tape's gradients, unless they are to be checked, or it cannot run f."""
        if self.checked.name == "tape":
            return []
        try:
            taped = on_tape(self.f, self.arrays)
        except Exception:  # whatever of an array a tensor has not
            return []
        return [Way("tape", walked_back(*taped, self.arrays, self.dout), [0.0] * len(self.arrays))]

    def by_differences(self) -> Way:
        """Return the differences as a way."""
        return Way(
            "finite differences",
            [slopes.value for slopes in self.slopes],
            [2 * slopes.error + 1e-9 * slopes.size for slopes in self.slopes],
        )

    def by_complex_step(self) -> list[Way]:
        """Return the complex step's gradients, where f is analytic."""
        found = complex_step(self.f, self.arrays, self.dout, self.slopes) if self.analytic else None
        return [] if found is None else [Way("complex step", *found)]

    def differentiate(self, k: int, indices: Iterable[Sequence[Any]]) -> None:
        """Take differences at entries of input k."""
        entries = [tuple(map(int, index)) for index in indices]
        differences(self.f, self.arrays, k, self.dout, entries, self.slopes[k], self.values_off)

    def look_at(self, k: int, indices: Iterable[Sequence[Any]]) -> None:
        """Take differences at more entries of input k."""
        self.differentiate(k, indices)
        self.ways = [way if way.exact else self.by_differences() for way in self.ways]

    # -- how far they may be apart -----------------------------------------------------------------------------

    def rounding_of_values(self) -> Array:
        """Measure the rounding errors of f's values."""

        def values(arrays: Sequence[Array]) -> list[Array]:
            return [flat(self.f(*arrays))]

        return np.maximum(roundoff(values, self.arrays, EPS)[0], steps(values, self.arrays, self.here))

    def rounding_units(self) -> list[Array]:
        """Estimate the rounding unit of each entry, from the size of the terms it sums.

        That size is the larger of the one found by differences, where they were taken, and the one found by small
        changes of the inputs and dout. Rounding errors inside the function are measured, too.
        """
        sizes = term_sizes(self.gradients, self.given)
        whole = np.abs(np.ravel(self.dout)) @ np.where(np.isfinite(self.here), np.abs(self.here), np.inf)
        units = []
        for x, size, slopes, off in zip(self.arrays, sizes, self.slopes, self.off, strict=True):
            # A gradient of small inputs may be small throughout: x times it is some multiple of dout times f.
            least = largest(self.dout)
            if whole > 0 and 0 < largest(x) < SMALL_INPUT:
                least = min(least, whole / largest(x))
            unit = self.eps * np.maximum(size, np.nan_to_num(slopes.size))
            unit = np.maximum(unit + 1e-3 * np.max(unit, initial=0.0), off)
            units.append(unit + self.eps * max(least, SMALLEST))
        return units

    def measure_steps(self) -> None:
        """Allow for steps in the gradients to be checked, and in the tape's, and for those of float32."""
        own = gradient_steps(self.gradients, self.given, self.checked.arrays)
        if self.eps > EPS:
            # What the same backward loses in float32 is rounding; four times as much is allowed.
            in_float64 = self.gradients(self.given)
            lost = [np.abs(x - y) for x, y in zip(self.checked.arrays, in_float64, strict=True)]
            own = [
                np.fmax(x, np.where(np.isfinite(y), y, 0.0) * 4 / ULPS)
                for x, y in zip(own, lost, strict=True)
            ]
        self.allowed = [np.maximum(x, y) for x, y in zip(self.allowed, own, strict=True)]
        self.ways = [self.with_rounding(way) if way.name == "tape" else way for way in self.ways]
        self.together = [""] * len(self.arrays)
        self.directions = self.in_directions()

    def with_rounding(self, tape: Way) -> Way:
        """Return the tape's gradients with their own rounding errors: they may be less exact than those checked."""
        gradients = partial(tape_gradients, self.f)
        off = roundoff(gradients, self.given, EPS, largest(self.dout))
        longer = gradient_steps(gradients, self.given, tape.arrays)
        errors = [ULPS * np.maximum(x, y) for x, y in zip(off, longer, strict=True)]
        return Way(tape.name, tape.arrays, errors)

    # -- where they are further apart --------------------------------------------------------------------------

    def wrongs(self) -> list[Array]:
        """Tell which entries of each gradient are wrong; in a large one at least one, if a direction reveals it.

        Before any is called wrong, what rounding an ulp does not show is measured, and all are compared again.
        """
        wrongs = self.unlike_others()
        if any(wrong.any() for wrong in wrongs):
            self.measure_steps()
            wrongs = self.unlike_others()
        return wrongs

    def in_directions(self) -> RandomDirections:
        """Return the comparison in random directions, none tried so far."""
        return RandomDirections(
            self.f, self.arrays, self.dout, self.values_off, self.analytic, self.checked.arrays, self.allowed
        )

    def unlike_others(self) -> list[Array]:
        """Tell which entries differ from the other ways by more than is allowed."""
        wrongs = [self.unlike(k) for k in range(len(self.arrays))]
        if any(wrong.any() for wrong in wrongs):
            self.admit_ties(wrongs)
        if any(wrong.any() for wrong in wrongs):
            return wrongs
        if self.all:
            return self.wrong_together()
        found = self.directions.wrong_entry([slopes.parted for slopes in self.slopes])
        if found is not None:
            wrongs[found.input][found.where] = True
            self.together[found.input] = found.note
        return wrongs

    def admit_ties(self, wrongs: list[Array]) -> None:
        """Clear tied entries that lie among the slopes around, where they differ; of large inputs try some."""
        around = Surroundings(self.f, self.arrays, self.dout, self.values_off)
        most = None if self.all else TIES
        admitted = around.admitted(flat(self.checked.arrays), flat(wrongs), self.all_on_kink(), most)
        for k, kept in enumerate(split(admitted, self.shapes)):
            self.admitted[k] |= kept
            wrongs[k] &= ~kept

    def wrong_together(self) -> list[Array]:
        """Find ties on a kink whose gradients do not add up to the slope of moving them together."""
        wrong, on_kink = np.zeros(flat(self.arrays).shape, bool), self.all_on_kink()
        if on_kink.any():
            around = Surroundings(self.f, self.arrays, self.dout, self.values_off)
            places, told = around.unlike_together(flat(self.checked.arrays), on_kink)
            wrong[places] = True
            self.together = [told] * len(self.arrays)
        return split(wrong, self.shapes)

    def on_kink(self, k: int) -> Array:
        """Tell at which entries of input k more than one gradient is right."""
        return np.asarray(self.slopes[k].parted | self.admitted[k])

    def tested(self, k: int) -> bool:
        """Tell whether another way is exact enough to tell some entry of input k's gradient from 0."""
        if not self.arrays[k].size:
            return True
        ours, right = np.abs(self.checked.arrays[k]), np.abs(self.right(k))
        for way in self.ways:
            allowed = ULPS * self.allowed[k] + way.errors[k]
            if np.any(way.known(k) & (np.fmax(ours, right) > 2 * allowed)):
                return True
        return bool(np.any(self.on_kink(k)))

    def all_on_kink(self) -> Array:
        """Return `on_kink` of all inputs, as one vector."""
        return flat([self.on_kink(k) for k in range(len(self.arrays))]).astype(bool)

    def unlike(self, k: int) -> Array:
        """Tell which entries of the gradient of input k differ from another way's, and are not between two slopes."""
        ours, slopes = np.asarray(self.checked.arrays[k]), self.slopes[k]
        agree, wrong = {self.checked.name: np.ones(ours.shape, bool)}, np.zeros(ours.shape, bool)
        for way in self.ways:
            with np.errstate(invalid="ignore"):
                near = np.abs(ours - way.arrays[k]) <= ULPS * self.allowed[k] + way.errors[k]
            agree[way.name] = way.known(k) & (near | (ours == way.arrays[k]))
        for way in self.ways:
            wrong |= way.known(k) & ~agree[way.name] & ~self.overruled(way, agree)
        numerical = agree["finite differences"] | agree.get("complex step", False)
        # Where the tape and a numerical way agree, the slopes differ since f bends much within a step.
        bent = agree.get("tape", False) & numerical
        wrong = np.where(slopes.parted, ~(slopes.admits(ours) | bent), wrong)
        unseen = own_random(9).permutation(np.argwhere(wrong & np.isnan(slopes.value)))
        # On a kink the tape may take another slope.
        for some in (unseen[i : i + 4 * SAMPLED] for i in range(0, min(len(unseen), EVERY), 4 * SAMPLED)):
            self.look_at(k, some)
            wrong = np.where(slopes.parted, ~slopes.admits(ours), wrong)
            if any(wrong[tuple(index)] for index in some):
                return wrong
        self.admitted[k] |= wrong & np.isnan(slopes.value)  # as all are that were looked at
        return wrong & ~self.admitted[k]

    def overruled(self, way: Way, agree: dict[str, Array]) -> Any:
        """Tell where two ways outvote a third: the tape and one numerical way against the other.

        Differences lose more than they notice where a function cancels; a small part of it may not be analytic.
        """
        other = {"finite differences": "complex step", "complex step": "finite differences"}.get(way.name, "")
        return agree["tape"] & agree[other] if other in agree and "tape" in agree else np.zeros((), bool)

    def right(self, k: int) -> Array:
        """Return the gradient of input k, each entry by the most exact way; ours, where a kink admits it."""
        ours = np.asarray(self.checked.arrays[k])
        right = np.full(ours.shape, np.nan)
        for way in sorted(self.ways, key=lambda way: not way.exact):
            right = np.where(np.isnan(right), way.arrays[k], right)
        kept = self.slopes[k].parted & self.slopes[k].admits(ours)
        return np.where(kept | self.admitted[k], ours, right)

    def errors(self, k: int) -> tuple[float, float]:
        """Return the largest relative error of input k's gradient against all, and in ulps against exact ways."""
        ours, smooth = np.asarray(self.checked.arrays[k]), ~self.on_kink(k)
        worst, ulps = 0.0, 0.0
        for way in self.ways:
            other = np.asarray(way.arrays[k])
            known = smooth & way.known(k)
            size = np.maximum(np.abs(ours), np.abs(other))
            floor = max(1e-3 * float(np.max(size, initial=0.0, where=known)), 1e-6)
            apart = np.where(known, np.abs(ours - other), 0.0)
            worst = max(worst, float(np.max(apart / np.maximum(size, floor), initial=0.0, where=known)))
            if way.exact:
                ulps = max(ulps, float(np.max(apart / self.allowed[k], initial=0.0, where=known)))
        return worst, ulps
