"""Derivatives of a function of arrays: extrapolated differences with their errors, and the complex step.

The differences estimate their own error: the step is halved until two orders agree; the error at each entry is
their remaining difference plus the rounding of the function's values.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..engine.recording import Array
from .numerical_gradient import with_entry_moved
from .vectors import EPS, NUDGE, flat, largest

STEP = 2.0**-12
"""The first step of the differences, at entries of size 1; it is halved until their error is small."""
HALVINGS = 12
ROUNDINGS = 64
"""The error of the function's values that is assumed, in ulps."""
COMPLEX_STEPS = (1e-30, 1.7e-30)
"""Of the complex step: so small that only terms of first order are left."""


@dataclass(frozen=True)
class Slopes:
    """Derivatives by differences along each axis of an array, NaN where none was asked for.

    ``error`` is that of ``value``; ``left`` and ``right`` differ at a kink, where a gradient is between ``low`` and
    ``high``; ``size`` is the sum of the absolute values of the terms of ``value``; ``terms`` are these terms, by index.
    """

    value: Array
    error: Array
    left: Array
    right: Array
    low: Array
    high: Array
    size: Array
    terms: dict[tuple[int, ...], Array]

    @classmethod
    def unknown(cls, shape: tuple[int, ...]) -> Slopes:
        """Return the slopes of an array before any differences are taken."""
        value, error, left, right, low, high, size = [np.full(shape, np.nan) for _ in range(7)]
        return cls(value, error, left, right, low, high, size, {})

    @property
    def margin(self) -> Any:
        """The error of a one-sided slope."""
        return one_sided_error(self.error, self.size)

    @property
    def parted(self) -> Any:
        """Where a slope to the left and one to the right differ by more than their errors."""
        return (self.high - self.low > self.margin) & np.isfinite(self.error)

    def admits(self, x: Array) -> Any:
        """Tell where x lies between the slopes to the left and to the right."""
        return (self.low - self.margin <= x) & (x <= self.high + self.margin)


def one_sided_error(error: Any, size: Any) -> Any:
    """Return the error of a slope to one side, from that of the derivative and the size of its terms."""
    return 8 * error + 1e-5 * size


class Slope(NamedTuple):
    """A derivative by differences, and the slopes to the left and to the right, which differ at a kink.

    ``low`` and ``high`` are the sums of the smaller and of the larger slopes of the function's values, each of which
    may have a kink of its own. ``error`` is infinite if there is no derivative; ``terms`` are those of ``value``, one
    for each of the function's values.
    """

    value: float
    error: float
    left: float
    right: float
    low: float
    high: float
    terms: Array

    @property
    def size(self) -> float:
        """The sum of the absolute values of the terms."""
        return float(np.abs(self.terms).sum())

    @property
    def margin(self) -> float:
        """The error of a one-sided slope."""
        return float(one_sided_error(self.error, self.size))

    @property
    def is_kink(self) -> bool:
        """Whether a slope to the left and one to the right differ by more than their errors."""
        return not self.high - self.low <= self.margin


def slope(at: Callable[[float], Array], x: float, dout: Array, off: Array, least: float = 1e-2) -> Slope:
    """Differentiate dout · at(h) at h = 0, by central differences extrapolated (Richardson 1911).

    The step is halved until two orders agree to 1e-7, or rounding is larger; failing both, the best estimate is
    taken, with its error.

    Parameters
    ----------
    at
        The function's values, as a vector, after x has been moved by h.
    x : float
        The entry that is moved: its size sets the step.
    dout : ndarray
        The weights of the values.
    off : ndarray
        The values' rounding errors, as `minigrad.checks.rounding.roundoff` measures them.
    least : float
        A lower bound of x's size, for the step.

    Returns
    -------
    Slope
        The derivative, its error, and the slopes to the left and to the right.
    """
    here, weights = at(0.0), np.abs(dout)
    # A long step, as at 1e30, must change f by more than an ulp of x does: it may span many periods of a sine.
    long = abs(x) * NUDGE > STEP
    beside = np.abs(at(float(np.spacing(abs(x)))) - here) if long else np.zeros(dout.shape)
    h = max(STEP * min(max(abs(x), least), 1.0), abs(x) * NUDGE)
    reached = _reached(at, max(abs(x), 1.0), here, off)
    best = Slope(np.nan, np.inf, np.nan, np.nan, np.nan, np.nan, np.zeros(dout.shape))
    before: tuple[float, Array, Array] | None = None
    extrapolated = np.nan
    for _ in range(HALVINGS):
        up, down, above, below = at(h), at(-h), (x + h) - x, x - (x - h)
        terms = (up - down) / (above + below) * dout
        first = float(terms.sum()), (here - down) / below * dout, (up - here) / above * dout
        finite = all(bool(np.isfinite(each).all()) for each in first)
        if finite and before is not None:
            value = (4 * first[0] - before[0]) / 3
            lefts, rights = 2 * first[1] - before[1], 2 * first[2] - before[2]
            apart = abs(value - (first[0] if np.isnan(extrapolated) else extrapolated))
            moved = (up != down) | (up != here) | reached
            ulps = EPS * (np.abs(up) + np.abs(down))
            noise = float(weights @ np.where(moved, ROUNDINGS * np.maximum(ulps, off), ulps)) / h
            size = float(np.abs(terms).sum())
            # Orders further apart than that say nothing: the step is too long for what the function does.
            least_change = float(weights @ np.where(moved & long, np.fmax(beside, off), 0.0))
            seen = apart <= max(noise, 1e-3 * size) and least_change <= 1e-3 * float(
                weights @ np.abs(up - here)
            )
            if seen and apart + noise < best.error:
                low, high = np.minimum(lefts, rights).sum(), np.maximum(lefts, rights).sum()
                best = Slope(value, apart + noise, lefts.sum(), rights.sum(), low, high, terms)
            if apart <= max(noise, 1e-7 * size):
                break
            extrapolated = value
        before = first if finite else None
        h /= 2
    return best


def _reached(at: Callable[[float], Array], far: float, here: Array, off: Array) -> Any:
    """Tell which values depend on x although a small step may show no change: it is lost in their rounding."""
    hidden = off > ROUNDINGS * EPS * np.abs(here)
    if not hidden.any():
        return hidden
    with suppress(ArithmeticError, ValueError):  # outside of what f takes
        return hidden & (at(far) != here)
    return hidden


def differences(
    f: Callable[..., Any],
    arrays: Sequence[Array],
    which: int,
    dout: Array,
    indices: Sequence[tuple[int, ...]],
    slopes: Slopes,
    off: Array,
) -> None:
    """Fill in the slopes of dout · f along the given entries of one array; ``off`` are f's rounding errors."""
    arrays = [np.array(x) for x in arrays]
    x = arrays[which]
    size = largest(x)
    # If all entries are small, f may bend on their scale.
    least = max(1e-2 * size, 1e-303) if 0 < size < 1e-4 else 1e-2
    found = slopes.value, slopes.error, slopes.left, slopes.right, slopes.low, slopes.high, slopes.size

    def at(h: float) -> Any:
        return with_entry_moved(lambda: flat(f(*arrays)), x, index, h)

    with np.errstate(all="ignore"):
        for index in indices:
            along = slope(at, float(x[index]), dout, off, least)
            slopes.terms[index] = along.terms
            for array, number in zip(found, [*along[:6], along.size], strict=True):
                array[index] = number


def complex_step(
    f: Callable[..., Any], arrays: Sequence[Array], dout: Array, slopes: Sequence[Slopes]
) -> tuple[list[Array], list[Array]] | None:
    """Differentiate f by Im f(x + i h) / h (Squire and Trapp 1998), exact where f is analytic, but for rounding.

    Another h rounds otherwise, which shows by how much. If the gradients disagree with the differences throughout, f is
    not analytic, and None is returned.

    Returns
    -------
    gradients, errors
        Of each array.
    """
    moved = [x.astype(complex) for x in arrays]
    gradients, errors = [], []
    for x, known in zip(moved, slopes, strict=True):
        gradient, error = np.full(x.shape, np.nan), np.zeros(x.shape)
        for index in known.terms:
            value, other = (
                with_entry_moved(partial(imaginary, f, moved, h), x, index, 1j * h) for h in COMPLEX_STEPS
            )
            if value is None or other is None:
                return None
            gradient[index] = value @ dout
            error[index] = 2 * np.nan_to_num(np.abs(gradient[index] - other @ dout), nan=0.0, posinf=0.0)
        unlike = np.abs(gradient - known.value) > known.error + 1e-5 * np.maximum(
            known.size, np.abs(known.value)
        )
        if np.any(unlike & ~known.parted) or np.any(np.isnan(gradient) & np.isfinite(known.error)):
            return None
        size = np.maximum(np.maximum(np.abs(gradient), np.abs(known.value)), known.size)
        gradient[~(known.error <= 1e-3 * size)] = np.nan  # nothing tells whether f is analytic there
        gradients.append(gradient)
        errors.append(error)
    return gradients, errors


def imaginary(f: Callable[..., Any], arrays: Sequence[Array], h: float) -> Array | None:
    """Return the imaginary parts of f at the arrays, in units of h; None, if f takes no complex ones."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            return np.asarray(np.imag(flat(f(*arrays))) / h)
    except (TypeError, ValueError, np.exceptions.ComplexWarning):
        return None
