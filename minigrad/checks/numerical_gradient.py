"""Gradients found numerically: the course's central differences; extrapolated ones with their errors; complex step.

The differences estimate their own error: the step is halved until two orders agree; the error at each entry is
their remaining difference plus the rounding of the function's values.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..engine.arguments import names_itself
from ..engine.recording import Array

STEP = 2.0**-12
"""The first step of the differences, at entries of size 1; it is halved until their error is small."""
HALVINGS = 12
ROUNDINGS = 64
"""The error of the function's values that is assumed, in ulps."""
JITTERS = 8
"""Evaluations of a function an ulp beside its inputs, from which its rounding is estimated."""
JUMP = 1e9, 0.1
"""The largest rounding error of a gradient that is allowed for: in ulps of its largest entry, and in parts of it."""
NUDGE = 2.0**-26
"""The smallest relative change of an entry by which its effect is measured."""


OWN = 0x6D67
"""Seeds the checks' random numbers, together with other seeds."""


def own_random(number: int, seed: int = 0) -> np.random.Generator:
    """Return a generator of random numbers that no inputs are drawn from, as by ``default_rng(0)``.

    Where dout equals an input, errors that vanish for it are not seen.
    """
    return np.random.default_rng([OWN, number, seed])


@names_itself
def rel_error(x: Any, y: Any) -> float:
    """Return the largest ``|x - y| / max(1e-8, |x| + |y|)``, as the course's notebook defines it; 0, if empty.

    Parameters
    ----------
    x, y : array_like of one shape
        Numbers; they are compared in float64 at least, so that integers cannot wrap.

    Raises
    ------
    ValueError
        If the shapes are not the same.
    TypeError
        If they hold no numbers.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.dtype.kind not in "fciub" or y.dtype.kind not in "fciub":
        raise TypeError(f"rel_error: x has dtype {x.dtype}, y has {y.dtype}; expected numbers")
    if x.shape != y.shape:
        raise ValueError(f"rel_error: x has shape {x.shape}, y has {y.shape}; expected the same")
    dtype = np.result_type(x, y, np.float64)
    x, y = x.astype(dtype), y.astype(dtype)
    return float(np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)), initial=0.0))


@names_itself
def eval_numerical_gradient(
    f: Callable[[Array], Any], x: Array, verbose: bool = True, h: float = 1e-5
) -> Array:
    """Return the gradient of a scalar function by central differences, as the course does.

    Parameters
    ----------
    f
        A function of x whose result is one number.
    x : ndarray of floats
        The point; of any shape. It is changed while f runs, and restored exactly, also if f raises.
    verbose : bool
        Whether to print each entry's index and derivative.
    h : float
        The step.

    Returns
    -------
    ndarray of x's shape

    Raises
    ------
    TypeError
        If x is no writable array of floats.
    ValueError
        If h is not positive, or entries of x share memory.
    """
    _check_nudgeable(x, h)
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        above, below = [_moved(lambda: _result(f, x), x, index, step) for step in (h, -h)]
        gradient[index] = (above.item() - below.item()) / (2 * h)
        if verbose:
            print(index, gradient[index])
    return gradient


@names_itself
def eval_numerical_gradient_array(f: Callable[[Array], Any], x: Array, df: Any, h: float = 1e-5) -> Array:
    """Return the gradient of sum(f(x) df) by central differences, as the course does.

    Parameters
    ----------
    f
        A function of x whose result is an array.
    x : ndarray of floats
        The point; of any shape. It is changed while f runs, and restored exactly, also if f raises.
    df : ndarray of the shape of f(x), or a number
        The gradient of whatever is differentiated with respect to f(x).
    h : float
        The step.

    Returns
    -------
    ndarray of x's shape

    Raises
    ------
    TypeError
        If x is no writable array of floats.
    ValueError
        If h is not positive, entries of x share memory, or df has not the shape of f(x).
    """
    _check_nudgeable(x, h)
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        above, below = [_moved(lambda: _result(f, x), x, index, step) for step in (h, -h)]
        if np.ndim(df) and np.shape(df) != above.shape:
            raise ValueError(f"df has shape {np.shape(df)}, but f(x) has {above.shape}")
        gradient[index] = np.sum((above - below) * df) / (2 * h)
    return gradient


def _check_nudgeable(x: Any, h: float) -> None:
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        what = f"has dtype {x.dtype}" if isinstance(x, np.ndarray) else f"is a {type(x).__name__}"
        raise TypeError(f"x {what}; expected a writable array of floats")
    if not x.flags.writeable:
        raise TypeError("x is read-only, and is changed while f runs; give x.copy()")
    if not (isinstance(h, (int, float, np.number)) and h > 0):
        raise ValueError(f"h is {h!r}; expected a step > 0")
    if _entries_overlap(x):
        raise ValueError("entries of x share memory, so none moves alone; give x.copy()")
    if h < np.finfo(x.dtype).eps ** 0.5:
        warnings.warn(
            f"numerical gradient: a step of {h:g} is lost in the rounding of {x.dtype}; give float64, or a step of "
            f"about {float(np.finfo(x.dtype).eps) ** (1 / 3):.0e}",
            stacklevel=4,
        )


def _result(f: Callable[[Array], Any], x: Array) -> Array:
    """Return what f returns, as an array of its own."""
    out = f(x)
    if isinstance(out, tuple):
        raise TypeError(
            f"numerical gradient: f returned a tuple of {len(out)}; expected its output alone, such as "
            "lambda x: affine_forward(x, w, b)[0]"
        )
    return np.array(out)


def _entries_overlap(x: Array) -> bool:
    """Tell whether two entries of an array lie in the same memory, as those of sliding windows do."""
    if x.flags.c_contiguous or x.flags.f_contiguous:
        return False
    offsets = np.zeros((), np.int64)
    for length, stride in zip(x.shape, x.strides, strict=True):
        offsets = np.add.outer(offsets, np.arange(length) * stride)
    return bool(np.any(np.diff(np.sort(offsets, axis=None)) < x.itemsize))


def _moved(f: Callable[[], Any], x: Array, index: tuple[int, ...], step: complex) -> Any:
    """Return f() with one entry of x moved by a step; the entry is restored, whatever happens."""
    before = x[index]
    try:
        x[index] = before + step
        return f()
    finally:
        x[index] = before


def flat(out: Any) -> Array:
    """Return all outputs as one vector."""
    return np.concatenate([np.ravel(np.asarray(part)) for part in parts(out)])


def parts(out: Any) -> Sequence[Any]:
    """Return the outputs of a function that has one, or a list or a tuple of them."""
    return out if isinstance(out, (list, tuple)) else [out]


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
    """Draw, again and again, whether each entry goes up, 1, or down, -1; equal ones alike, so that ties stay ties."""
    group, counts = equal_entries(arrays)
    while True:
        yield split(rng.choice([-1.0, 1.0], len(counts))[group], [x.shape for x in arrays])


def nudged(arrays: Sequence[Array], by: float, direction: Sequence[Array]) -> list[Array]:
    """Change each entry by a relative ``by`` in its direction."""
    with np.errstate(all="ignore"):
        return [np.asarray(x * (1 + by * v), x.dtype) for x, v in zip(arrays, direction, strict=True)]


def roundoff(
    f: Callable[[Sequence[Array]], Sequence[Array]],
    arrays: Sequence[Array],
    eps: float,
    least: float = np.inf,
) -> list[Array]:
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


def steps(f: Callable[..., Any], arrays: Sequence[Array], values: Array) -> Array:
    """Measure the steps in a function's values, such as those of ``(x + 1e6) - 1e6``, longer than an ulp of x.

    Second differences of a smooth function vanish as the square of the distance does; those of steps do not.
    """
    direction = next(directions(arrays, own_random(5)))
    found, before = np.zeros(values.shape), np.full(values.shape, np.inf)
    with np.errstate(all="ignore"):
        for by in (2.0**-20, 2.0**-24, 2.0**-28, 2.0**-32, 2.0**-36):
            moves = [
                by * v * np.where(x == 0, 1e-2, np.abs(x)) for x, v in zip(arrays, direction, strict=True)
            ]
            row = [
                flat(f(*[np.asarray(x + i * move) for x, move in zip(arrays, moves, strict=True)]))
                for i in range(1, 5)
            ]
            bent = np.max(np.abs(np.diff([values, *row], 2, axis=0)), axis=0)
            found = np.fmax(found, np.where(bent > before / 8, bent, 0.0))
            before = bent
    return np.nan_to_num(found, nan=0.0, posinf=0.0)


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
        The values' rounding errors, as `roundoff` measures them.
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
            moved = (up != down) | (up != here)
            ulps = np.finfo(float).eps * (np.abs(up) + np.abs(down))
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
    largest = float(np.max(np.abs(x), initial=0.0))
    least = (
        max(1e-2 * largest, 1e-303) if 0 < largest < 1e-4 else 1e-2
    )  # if all entries are small, f may bend on their scale
    found = slopes.value, slopes.error, slopes.left, slopes.right, slopes.low, slopes.high, slopes.size

    def at(h: float) -> Any:
        return _moved(lambda: flat(f(*arrays)), x, index, h)

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
            value, other = (_moved(partial(imaginary, f, moved, h), x, index, 1j * h) for h in STEPS)
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


STEPS = (1e-30, 1.7e-30)
"""Of the complex step: so small that only terms of first order are left."""


def imaginary(f: Callable[..., Any], arrays: Sequence[Array], h: float = STEPS[0]) -> Array | None:
    """Return the imaginary parts of f at the arrays, in units of h; None, if f takes no complex ones."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            return np.asarray(np.imag(flat(f(*arrays))) / h)
    except (TypeError, ValueError, np.exceptions.ComplexWarning):
        return None
