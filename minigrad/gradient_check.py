"""Independent ways to one gradient, held against each other: hand-derived, tape, differences, complex step.

Two ways may be apart by what rounding explains: some units in the last place of what the gradient's entry is
a sum of. Differences have an error of their own as well, estimated at each entry from those of several steps.
``python -m minigrad.gradient_check`` checks every rule and layer of the package, and prints how exact each is.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .diagnosis import UNKNOWN, Evidence, diagnose, picture
from .functional import grad
from .layers import Layer
from .layers import layer as make_layer
from .tape import Array, TapeError
from .tensor import ARRAY_LIKE, Tensor, tensor

STEP = 2.0**-12
"""The first step of the differences, at entries of size 1; it is halved until their error is small."""

HALVINGS = 12

ROUNDINGS = 64
"""How many units in the last place a value of the function may be wrong, before a difference is an error."""

ULPS = 64
"""How many units in the last place of what it is a sum of an entry of a gradient may be wrong."""

NUDGE = 2.0**-26
"""What inputs are changed by, relative to themselves, to see how much rounding may change a gradient."""

EVERY = 1000
"""Up to so many entries each one is found by differences; of more, `SAMPLED` of each input, and directions."""

SAMPLED = 2

DIRECTIONS = 8
"""Random directions for each large input; an error is missed if it shows in none."""


class GradientMismatch(AssertionError):
    """Ways to one gradient disagree, or a layer breaks what it has to keep.

    The message has the input, the index, each way's value, where the gradient is wrong, and a diagnosis.
    """


def rel_error(x: Any, y: Any) -> float:
    """Return the largest ``|x - y| / max(1e-8, |x| + |y|)``, as the course's notebook defines it; 0, if empty."""
    x, y = np.asarray(x), np.asarray(y)
    return float(np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)), initial=0.0))


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
        If h is not positive.
    """
    _check_nudgeable(x, h)
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        above, below = _values_around(lambda: f(x), x, index, (h, -h))
        gradient[index] = (above.item() - below.item()) / (2 * h)
        if verbose:
            print(index, gradient[index])
    return gradient


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
        If h is not positive, or df has not the shape of f(x).
    """
    _check_nudgeable(x, h)
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        above, below = _values_around(lambda: f(x), x, index, (h, -h))
        if np.ndim(df) and np.shape(df) != above.shape:
            raise ValueError(f"numerical gradient: df has shape {np.shape(df)}, but f(x) has {above.shape}")
        gradient[index] = np.sum((above - below) * df) / (2 * h)
    return gradient


def _check_nudgeable(x: Any, h: float) -> None:
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or not x.flags.writeable:
        what = f"dtype {x.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
        raise TypeError(f"numerical gradient: x has {what}; expected a writable array of floats")
    if not h > 0:
        raise ValueError(f"numerical gradient: h is {h}; expected a step > 0")
    if h < np.finfo(x.dtype).eps ** 0.5:
        warnings.warn(
            f"numerical gradient: a step of {h:g} is lost in the rounding of {x.dtype}; give float64, or a step of "
            f"about {float(np.finfo(x.dtype).eps) ** (1 / 3):.0e}",
            stacklevel=3,
        )


def _values_around(
    f: Callable[[], Any], x: Array, index: tuple[int, ...], steps: Sequence[complex]
) -> list[Array]:
    """Return f() with one entry of x moved by each step in turn; the entry is restored, whatever happens."""
    before = x[index]
    values = []
    try:
        for step in steps:
            x[index] = before + step
            values.append(np.array(f()))
    finally:
        x[index] = before
    return values


@dataclass(frozen=True)
class Report:
    """What a check found.

    Parameters
    ----------
    ways : tuple of str
        The ways compared, the one that is checked first.
    error : float
        The largest relative error between the first and the others; at a kink there is none.
    ulps : float
        The largest error against the exact ways (the tape, the complex step), in units in the last place of what
        the entry is a sum of.
    kinks : int
        How many entries lie on a kink: there any value between the slopes to the left and to the right is right.
    surely : str
        How sure it is that an error is found.
    problems : tuple of str
        What is wrong; nothing, if all is right.
    diagnosis : str
        What the mistake may be: a hint. Empty, if nothing is wrong.
    """

    ways: tuple[str, ...]
    error: float
    ulps: float = field(default=0.0, repr=False)
    kinks: int = field(default=0, repr=False)
    surely: str = field(default="", repr=False)
    problems: tuple[str, ...] = field(default=(), repr=False)
    diagnosis: str = field(default="", repr=False)

    def __str__(self) -> str:
        if self.problems:
            return "\n".join([*self.problems, f"diagnosis: {self.diagnosis}"])
        kinks = f"; {self.kinks} on a kink" if self.kinks else ""
        return f"right: {', '.join(self.ways)} agree to {self.error:.1e}; {self.surely}{kinks}"


@dataclass(frozen=True)
class Way:
    """One way to the gradients: an array for each input, NaN where it was not found, and its own error there."""

    name: str
    arrays: Sequence[Array]
    errors: Sequence[Any]


@dataclass(frozen=True)
class Slopes:
    """Derivatives by differences along each axis of an array, NaN where none was asked for.

    ``error`` is that of ``value``; ``left`` and ``right`` part at a kink; ``size`` is the sum of the sizes of what
    adds up to ``value``. ``terms`` are what adds up, by index.
    """

    value: Array
    error: Array
    left: Array
    right: Array
    size: Array
    terms: dict[tuple[int, ...], Array]

    @property
    def parted(self) -> Any:
        """Where the slopes to the left and to the right are apart by more than their errors."""
        gap = np.abs(self.right - self.left)
        return (gap > 8 * self.error + 1e-5 * self.size) & np.isfinite(self.error)

    def admits(self, x: Array) -> Any:
        """Tell where x lies between the slopes to the left and to the right."""
        low, high = np.minimum(self.left, self.right), np.maximum(self.left, self.right)
        margin = 8 * self.error + 1e-5 * self.size
        return (low - margin <= x) & (x <= high + margin)


def _flat(out: Any) -> Array:
    """Return all outputs as one vector."""
    return np.concatenate([np.ravel(np.asarray(part)) for part in _parts(out)])


def _parts(out: Any) -> Sequence[Any]:
    return out if isinstance(out, (list, tuple)) else [out]


def _slope(
    at: Callable[[float], Array], x: float, dout: Array, least: float = 1e-2
) -> tuple[float, float, float, float, Array]:
    """Differentiate dout · at(h) at h = 0, by central differences extrapolated (Richardson 1911).

    The step is halved until two orders agree to 1e-7, or rounding is larger; if neither comes to pass, the best is
    taken, with the error that it has.

    Parameters
    ----------
    at
        The function's values, as a vector, after x has been moved by h.
    x : float
        What is moved: its size sets the step.
    dout : ndarray
        The weights of the values.
    least : float
        The size that x has at least, for the step.

    Returns
    -------
    value, error, left, right : float
        The derivative and its error, infinite if there is none; and the slopes to the left and to the right.
    terms : ndarray
        What adds up to the derivative.
    """
    here, weights = at(0.0), np.abs(dout)
    # A step that is long, as at 1e30, must do more than the next number does: it may span many periods of a sine.
    beside = float(weights @ np.abs(at(float(np.spacing(abs(x)))) - here)) if abs(x) * NUDGE > STEP else 0.0
    h = max(STEP * min(max(abs(x), least), 1.0), abs(x) * NUDGE)
    best = (np.nan, np.inf, np.nan, np.nan, np.zeros(dout.shape))
    before: tuple[float, float, float] | None = None
    extrapolated = np.nan
    for _ in range(HALVINGS):
        up, down, above, below = at(h), at(-h), (x + h) - x, x - (x - h)
        terms = (up - down) / (above + below) * dout
        first = float(terms.sum()), float((here - down) @ dout) / below, float((up - here) @ dout) / above
        finite = bool(np.isfinite(first).all())
        if finite and before is not None:
            value, left, right = (
                (4 * first[0] - before[0]) / 3,
                2 * first[1] - before[1],
                2 * first[2] - before[2],
            )
            apart = abs(value - (first[0] if np.isnan(extrapolated) else extrapolated))
            moved = (up != down) | (up != here)
            roundings = np.where(moved, ROUNDINGS, 1.0) * (np.abs(up) + np.abs(down))
            noise = np.finfo(float).eps * float(weights @ roundings) / h
            size = float(np.abs(terms).sum())
            # Orders further apart than that say nothing: the step is too long for what the function does.
            seen = apart <= max(noise, 1e-3 * size) and beside <= 1e-3 * float(weights @ np.abs(up - here))
            if seen and apart + noise < best[1]:
                best = value, apart + noise, left, right, terms
            if apart <= max(noise, 1e-7 * size):
                break
            extrapolated = value
        before = first if finite else None
        h /= 2
    return best


def _differences(
    f: Callable[..., Any],
    arrays: Sequence[Array],
    which: int,
    dout: Array,
    indices: Sequence[tuple[int, ...]],
) -> Slopes:
    """Differentiate dout · f(*arrays) numerically along some entries of one of the arrays."""
    arrays = [np.array(x) for x in arrays]
    x = arrays[which]
    found = [np.full(x.shape, np.nan) for _ in range(5)]
    terms = {}
    largest = float(np.max(np.abs(x), initial=0.0))
    least = 1e-2 * largest if 0 < largest < 1e-4 else 1e-2  # what is small in all may bend as soon

    def at(h: float) -> Array:
        (value,) = _values_around(lambda: _flat(f(*arrays)), x, index, (h,))
        return value

    with np.errstate(all="ignore"):
        for index in indices:
            *numbers, terms[index] = _slope(at, float(x[index]), dout, least)
            for array, number in zip(found, [*numbers, float(np.abs(terms[index]).sum())], strict=True):
                array[index] = number
    value, error, left, right, size = found
    return Slopes(value, error, left, right, size, terms)


def _tape(f: Callable[..., Any], arrays: Sequence[Array], dout: Array) -> list[Array]:
    """Walk the tape of f backwards from its results, with no call of ours in between that could be wrong too."""
    leaves = [tensor(x, requires_grad=True) for x in arrays]
    try:
        parts = _parts(f(*leaves))
    except ValueError as error:  # which NumPy makes of the TapeError, where it met a tensor itself
        if isinstance(error.__cause__, TapeError):
            raise error.__cause__ from None
        raise
    for part, weights in zip(parts, _split(dout, [np.shape(part) for part in parts]), strict=True):
        if isinstance(part, Tensor) and part.requires_grad:
            part.backward(weights)
    return [np.zeros(leaf.shape) if leaf.grad is None else leaf.grad for leaf in leaves]


def _split(vector: Array, shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Cut a vector into arrays of these shapes."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    return [part.reshape(shape) for part, shape in zip(np.split(vector, ends[:-1]), shapes, strict=True)]


def _complex_step(
    f: Callable[..., Any], arrays: Sequence[Array], dout: Array, slopes: Sequence[Slopes]
) -> list[Way]:
    """Differentiate f by Im f(x + i h) / h (Squire and Trapp 1998), exact where f is analytic.

    Where it disagrees with the differences at large, f is not analytic, and there is no such way.
    """
    moved = [x.astype(complex) for x in arrays]
    gradients = []
    for x, known in zip(moved, slopes, strict=True):
        gradient = np.full(x.shape, np.nan)
        for index in known.terms:
            (value,) = _values_around(lambda: _imaginary(lambda: f(*moved)), x, index, (1e-30j,))
            if value.dtype == object:
                return []
            gradient[index] = value @ dout
        unlike = np.abs(gradient - known.value) > known.error + 1e-5 * np.maximum(
            known.size, np.abs(known.value)
        )
        if np.any(unlike & ~known.parted) or np.any(np.isnan(gradient) & np.isfinite(known.error)):
            return []
        size = np.maximum(np.maximum(np.abs(gradient), np.abs(known.value)), known.size)
        gradient[~(known.error <= 1e-3 * size)] = np.nan  # where nothing tells whether it is analytic
        gradients.append(gradient)
    return [Way("complex step", gradients, [0.0] * len(arrays))]


def _imaginary(f: Callable[[], Any]) -> Array:
    """Return the imaginary parts of f's result, in units of 1e-30; an object, if f takes no complex arrays."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            return np.asarray(np.imag(_flat(f())) / 1e-30)
    except (TypeError, ValueError, np.exceptions.ComplexWarning):
        return np.asarray(None)


@dataclass
class _Comparison:
    """A gradient in several ways, of a function f whose gradients are found by ``first``.

    ``first(arrays, dout)`` returns the gradients to be checked, ``given`` are those at the arrays themselves; they are
    compared in float64, in which the arrays are, and may be wrong by what rounding in ``eps`` explains.
    """

    name: str
    places: Sequence[int]
    f: Callable[..., Any]
    arrays: Sequence[Array]
    dout: Array
    given: Way
    first: Callable[[Sequence[Array], Array], Sequence[Array]]
    eps: float
    analytic: bool = True
    tape: bool = True

    def __post_init__(self) -> None:
        count = sum(x.size for x in self.arrays)
        self.all = count <= EVERY and count * (count + self.dout.size) <= 4e6
        rng = np.random.default_rng(0)
        self.slopes = []
        for k, x in enumerate(self.arrays):
            if self.all:
                indices = list(np.ndindex(x.shape))
            else:
                flat = rng.choice(x.size, min(SAMPLED, x.size), replace=False)
                indices = [tuple(map(int, np.unravel_index(i, x.shape))) for i in flat]
            self.slopes.append(_differences(self.f, self.arrays, k, self.dout, indices))
        self.ways = []
        if self.tape:
            with suppress(TapeError):
                self.ways.append(Way("tape", _tape(self.f, self.arrays, self.dout), [0.0] * len(self.arrays)))
        self.ways.append(self.by_differences())
        if self.analytic:
            self.ways += _complex_step(self.f, self.arrays, self.dout, self.slopes)
        self.allowed = self.rounding()
        self.missed = 0.0
        self.trusted = False

    def by_differences(self) -> Way:
        """Return the differences as a way."""
        return Way(
            "finite differences",
            [slopes.value for slopes in self.slopes],
            [2 * slopes.error + 1e-9 * slopes.size for slopes in self.slopes],
        )

    def rounding(self) -> list[Array]:
        """Tell how large a unit in the last place is, for each entry: that of what the entry is a sum of.

        The size of the sum's terms is known where differences were taken; and how much the entry changes by is, if
        the inputs and dout change relative to themselves.
        """
        rng = np.random.default_rng(1)

        def near(x: Array) -> Array:
            return np.asarray(x * (1 + NUDGE * rng.choice([-1.0, 1.0], x.shape)))

        with np.errstate(all="ignore"):
            here = self.first(self.arrays, self.dout)
            sizes = [np.abs(g) for g in here]
            for _ in range(2):
                there = self.first([near(x) for x in self.arrays], near(self.dout))
                sizes = [
                    np.fmax(size, np.abs(a - b) / NUDGE)
                    for size, a, b in zip(sizes, here, there, strict=True)
                ]
        least = float(np.max(np.abs(self.dout), initial=1e-300))
        result = []
        for size, slopes in zip(sizes, self.slopes, strict=True):
            size = np.nan_to_num(size, nan=0.0, posinf=0.0)
            size = np.maximum(size, np.nan_to_num(slopes.size))
            result.append(self.eps * (size + 1e-3 * np.max(size, initial=0.0) + least))
        return result

    def wrong(self, k: int) -> Array:
        """Tell which entries of the gradient of input k are wrong."""
        ours, slopes = np.asarray(self.given.arrays[k]), self.slopes[k]
        wrong = np.zeros(ours.shape, bool)
        for way in self.ways:
            known = np.isfinite(way.errors[k] + np.zeros(ours.shape)) & ~np.isnan(way.arrays[k])
            with np.errstate(invalid="ignore"):
                near = np.abs(ours - way.arrays[k]) <= ULPS * self.allowed[k] + way.errors[k]
            wrong |= known & ~near & (ours != way.arrays[k])
        unseen = wrong & np.isnan(slopes.value)
        if unseen.any():  # it may be at a kink, where the tape takes another slope
            self.look_at(k, np.argwhere(unseen)[: 4 * SAMPLED])
            slopes = self.slopes[k]
        return np.where(slopes.parted, ~slopes.admits(ours), wrong)

    def look_at(self, k: int, indices: Any) -> None:
        """Take differences at more entries of input k."""
        more = _differences(self.f, self.arrays, k, self.dout, [tuple(map(int, index)) for index in indices])
        for name in ("value", "error", "left", "right", "size"):
            old, new = getattr(self.slopes[k], name), getattr(more, name)
            old[~np.isnan(new)] = new[~np.isnan(new)]
        self.slopes[k].terms.update(more.terms)
        self.ways = [self.by_differences() if way.name == "finite differences" else way for way in self.ways]

    def right(self, k: int) -> Array:
        """Return the gradient of input k, each entry by the most exact way; ours, where a kink admits it."""
        ours = np.asarray(self.given.arrays[k])
        right = np.full(ours.shape, np.nan)
        for name in ("tape", "complex step", "finite differences"):
            for way in self.ways:
                if way.name == name:
                    right = np.where(np.isnan(right), way.arrays[k], right)
        kept = self.slopes[k].parted & self.slopes[k].admits(ours)
        return np.where(kept, ours, right)

    def errors(self, k: int) -> tuple[float, float]:
        """Return the largest relative error of input k's gradient against all, and in ulps against exact ways."""
        ours, smooth = np.asarray(self.given.arrays[k]), ~self.slopes[k].parted
        worst, ulps = 0.0, 0.0
        for way in self.ways:
            other = np.asarray(way.arrays[k])
            known = smooth & ~np.isnan(other) & np.isfinite(way.errors[k] + np.zeros(other.shape))
            size = np.maximum(np.abs(ours), np.abs(other))
            floor = max(1e-3 * float(np.max(size, initial=0.0, where=known)), 1e-6)
            apart = np.where(known, np.abs(ours - other), 0.0)
            worst = max(worst, float(np.max(apart / np.maximum(size, floor), initial=0.0, where=known)))
            if way.name in ("tape", "complex step"):
                ulps = max(ulps, float(np.max(apart / self.allowed[k], initial=0.0, where=known)))
        return worst, ulps

    def told(self, k: int, wrong: Array) -> str:
        """Name the worst entry of a wrong gradient, with all ways' values, and draw where it is wrong."""
        ours, right = np.asarray(self.given.arrays[k]), self.right(k)
        apart = np.where(wrong, np.nan_to_num(np.abs(ours - right), nan=np.inf), -1.0)
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(apart)), apart.shape))
        if np.isnan(self.slopes[k].value[index]):
            self.look_at(k, [index])
            right = self.right(k)
            apart[index] = abs(ours[index] - right[index])
        numbers = [(way.name, float(np.asarray(way.arrays[k])[index])) for way in (self.given, *self.ways)]
        exact = [(name, f"{x:.8g}" if name == "finite differences" else repr(x)) for name, x in numbers]
        values = [f"{name} {x}" for i, (name, x) in enumerate(exact) if i == 0 or x != "nan"]
        error = float(apart[index] / max(abs(ours[index]), abs(right[index]), 1e-300))
        allowed = ULPS * self.allowed[k][index] / max(abs(ours[index]), abs(right[index]), 1e-300)
        lines = [
            f"{self.name}: the gradient of input {self.places[k]} is wrong at index {index}: {', '.join(values)}; "
            f"relative error {error:.3g}, where {allowed:.1g} is allowed"
        ]
        if self.slopes[k].parted[index]:
            left, right_slope = self.slopes[k].left[index], self.slopes[k].right[index]
            lines.append(f"a kink: the slope to the left is {left:.6g}, that to the right {right_slope:.6g}")
        return "\n".join([*lines, picture(wrong)])

    def along(self, direction: Sequence[Array]) -> tuple[float, float]:
        """Tell how far our derivative in a direction is from that of f, and how far it may be."""

        def at(h: complex) -> Any:
            return self.f(*[x + h * v for x, v in zip(self.arrays, direction, strict=True)])

        pairs = list(zip(self.given.arrays, direction, strict=True))
        ours = sum(float(np.vdot(g, v)) for g, v in pairs)
        spread = (
            sum(float(np.vdot(u * v, u * v)) for u, v in zip(self.allowed, direction, strict=True)) ** 0.5
        )
        size = sum(float(np.vdot(g * v, g * v)) for g, v in pairs) ** 0.5
        allowed = ULPS * (spread + float(np.finfo(float).eps) * size)
        exact = _imaginary(lambda: at(1e-30j)) if self.analytic else np.asarray(None)
        if not self.trusted:
            with np.errstate(all="ignore"):
                theirs, error, _, _, terms = _slope(lambda h: _flat(at(h)), 1.0, self.dout)
            if exact.dtype != object:
                unlike = abs(float(exact @ self.dout) - theirs)
                self.trusted = unlike <= error + 1e-5 * float(np.abs(terms).sum())
        if self.trusted:
            terms = exact * self.dout
            theirs, error = float(terms.sum()), ULPS * float(np.finfo(float).eps * np.linalg.norm(terms))
        allowed += 2 * error
        return (np.inf if np.isnan(ours) else abs(ours - theirs)), (
            allowed if np.isfinite(allowed) else np.inf
        )

    def by_directions(self) -> tuple[int, tuple[int, ...]] | None:
        """Hold ours against f's derivatives in random directions; return the input and the index of an error.

        A gradient whose error has the norm E is off by |E z| in a direction of normal numbers, z normal too, so that
        an error is missed with probability less than 0.8 allowed / E, in each direction.
        """
        rng = np.random.default_rng(2)
        self.missed = 0.0
        for _ in range(DIRECTIONS):
            direction = [np.asarray(rng.standard_normal(x.shape)) for x in self.arrays]
            apart, allowed = self.along(direction)
            if apart > allowed:
                return self.halved(direction)
            self.missed = max(self.missed, 0.8 * allowed * 1e6 ** (1 / DIRECTIONS))
        return None

    def halved(self, direction: list[Array]) -> tuple[int, tuple[int, ...]]:
        """Find an entry that is wrong by halving a direction in which ours is."""
        flat = _flat(direction)
        shapes = [x.shape for x in self.arrays]
        low, high = 0, len(flat)
        while high - low > 1:
            halves = []
            for start, stop in ((low, (low + high) // 2), ((low + high) // 2, high)):
                part = np.zeros_like(flat)
                part[start:stop] = flat[start:stop]
                apart, allowed = self.along(_split(part, shapes))
                halves.append((apart / max(allowed, 1e-300), start, stop))
            _, low, high = max(halves)
        ends = np.cumsum([x.size for x in self.arrays])
        k = int(np.searchsorted(ends, low, side="right"))
        return k, tuple(int(i) for i in np.unravel_index(low - ends[k] + self.arrays[k].size, shapes[k]))

    def surely(self) -> str:
        """Say how sure it is that an error is found."""
        if self.all:
            return "every entry looked at, each way"
        size = sum(float(np.vdot(g, g)) for g in self.given.arrays) ** 0.5
        sampled = (
            f"differences at {SAMPLED} entries of each input, and in {DIRECTIONS} random directions: an error of more "
            f"than {self.missed / max(size, 1e-300):.0e} of the gradients' norm is missed with probability 1e-6"
        )
        return f"every entry looked at by the tape; {sampled}" if self.has_tape else sampled

    @property
    def has_tape(self) -> bool:
        """Whether every entry has been compared to, or with, the tape's."""
        return any(way.name == "tape" for way in (self.given, *self.ways)) and self.tape


def check_layer(
    layer: Any,
    *inputs: Any,
    seed: int = 0,
    raise_on_error: bool = True,
    per_example: Sequence[int] = (),
    **options: Any,
) -> Report:
    """Hold a layer's hand-derived gradients against the tape's and against finite differences.

    Integer inputs (labels) are not differentiated. If a float input is float32, the layer's own gradients are found
    in float32, and the others, which they are held against, in float64. The layer must also keep what a layer has to:
    it changes neither its inputs nor dout nor the cache; its gradients have their inputs' shapes and dtypes; a second
    backward gives the same, also after another forward; so do read-only and strided arrays; and the gradients are
    linear in dout.

    Parameters
    ----------
    layer
        A layer made by ``mg.layer``; a pair ``(forward, backward)`` in the course's form, with one output, a tuple of
        them, or several before the cache; or a loss, ``f(x, y) -> (loss, dx)``.
    *inputs
        Arrays, as the forward takes them.
    seed : int
        Seeds ``dout``.
    raise_on_error : bool
        False: what is wrong is returned in the report.
    per_example : sequence of int
        Which inputs hold one example in each row, if each row of the output depends on its own row alone: then single
        rows must give the same gradients as the batch.
    **options
        Passed on to the forward.

    Returns
    -------
    Report
        The ways compared. The tape is left out where it has no rule for a function of the forward's; the
        complex step, where the forward is not analytic.

    Raises
    ------
    GradientMismatch
        If two ways disagree, or a gradient has not its input's shape; or the layer breaks what it has to keep.
    """
    call = _Call(_as_layer(layer, inputs, options), inputs, options, seed)
    problems, hints = [], []
    for problem, hint in _contracts(call, per_example):
        problems.append(f"{call.name}: {problem}")
        hints.append(hint)
    if call.gradients is None:
        return _done(
            Report(("hand-derived",), np.nan, problems=tuple(problems), diagnosis=hints[0]), raise_on_error
        )
    comparison = _Comparison(
        call.name,
        call.floats,
        lambda *xs: call.forward(xs)[0],
        [np.array(call.inputs[i], np.float64) for i in call.floats],
        call.dout,
        Way("hand-derived", call.gradients, []),
        lambda xs, dout: call.backward(dout, call.forward(xs)[1]),
        call.eps,
    )
    return _done(_verdict(comparison, problems, hints, call), raise_on_error)


def _done(report: Report, raise_on_error: bool) -> Report:
    if report.problems and raise_on_error:
        raise GradientMismatch(str(report))
    return report


def check_grads(
    f: Callable[..., Any], *args: Any, order: int = 1, seed: int = 0, raise_on_error: bool = True
) -> Report:
    """Hold the tape's gradients of a function against differences and, where it is analytic, the complex step.

    Parameters
    ----------
    f
        A function of arrays; its result is an array, a number or a list of them.
    *args
        Arrays; the check runs in float64, and integers are not differentiated.
    order : {1, 2}
        2: the gradient of the gradient too, in a random direction.
    seed : int
        Seeds the weights of the result's entries, and the direction.
    raise_on_error : bool
        False: what is wrong is returned in the report.

    Raises
    ------
    GradientMismatch
        If two ways disagree.
    TapeError
        If the tape has no rule for a function that f calls.
    """
    if order not in (1, 2):
        raise ValueError(f"check_grads: order is {order!r}; expected 1 or 2")
    name = getattr(f, "__name__", type(f).__name__)
    given = [np.array(x, np.float64) if _is_float(x) else x for x in map(_as_array, args)]
    floats = _float_places(name, given)
    arrays = [given[i] for i in floats]

    def moving(*xs: Any) -> Any:
        full = list(given)
        for i, x in zip(floats, xs, strict=True):
            full[i] = x
        return f(*full)

    rng = np.random.default_rng(seed)
    dout = np.asarray(rng.standard_normal(_flat(moving(*arrays)).shape))
    report = _verdict(_of_tape(name, floats, moving, arrays, dout), [], [])
    if order == 2 and not report.problems:
        shapes = [np.shape(part) for part in _parts(moving(*arrays))]
        first = grad(lambda *xs: _weighted(moving(*xs), _split(dout, shapes)), tuple(range(len(arrays))))
        direction: Array = rng.standard_normal(sum(x.size for x in arrays))
        # The tape's second derivative against differences of its first, which was found right above.
        second = _verdict(_of_tape(f"gradient of {name}", floats, first, arrays, direction, False), [], [])
        report = replace(second, ways=report.ways, error=max(report.error, second.error), ulps=report.ulps)
    return _done(report, raise_on_error)


def _of_tape(
    name: str,
    places: Sequence[int],
    f: Callable[..., Any],
    arrays: list[Array],
    dout: Array,
    analytic: bool = True,
) -> _Comparison:
    """Compare the tape's own gradients."""
    tape = Way("tape", _tape(f, arrays, dout), [])
    eps = float(np.finfo(float).eps)
    return _Comparison(
        name, places, f, arrays, dout, tape, lambda xs, d: _tape(f, xs, d), eps, analytic, tape=False
    )


def _weighted(out: Any, dout: Sequence[Array]) -> Any:
    total: Any = 0.0
    for part, weights in zip(_parts(out), dout, strict=True):
        total = total + np.sum(part * weights)
    return total


class _Call:
    """A layer at some inputs: its forward and backward on lists of arrays, whatever form they are written in."""

    def __init__(self, layer: Layer, inputs: Sequence[Any], options: dict[str, Any], seed: int) -> None:
        self.layer, self.name, self.options = layer, layer.name, options
        self.inputs = [_as_array(x) for x in inputs]
        self.floats = _float_places(self.name, self.inputs)
        self.eps = max(float(np.finfo(self.inputs[i].dtype).eps) for i in self.floats)
        self.eps = max(self.eps, float(np.finfo(float).eps))
        self.outs, _ = self.run(self.full([self.inputs[i] for i in self.floats]))
        dout = np.asarray(np.random.default_rng(seed).standard_normal(_flat(self.outs).shape))
        self.shapes = [out.shape for out in self.outs]
        parts = [d.astype(out.dtype) for d, out in zip(_split(dout, self.shapes), self.outs, strict=True)]
        self.dout = _flat(parts).astype(np.float64)
        self.returned: list[Any] = []
        self.gradients: list[Array] | None = None

    def names(self) -> list[str]:
        """Return what the forward calls its inputs."""
        try:
            known = list(inspect.signature(self.layer.forward).parameters.values())
        except ValueError:
            known = []
        named = [
            each.name for each in known if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        ]
        return [named[i] if i < len(named) else f"input {i}" for i in range(len(self.inputs))]

    def run(self, inputs: Sequence[Any]) -> tuple[list[Any], Any]:
        """Call the forward, with its own copy of any dict it may write into; return its outputs, and the cache."""
        own = [copy.deepcopy(x) if isinstance(x, dict) else x for x in inputs]
        *outs, cache = self.layer.forward(*own, **copy.deepcopy(self.options))
        self.as_one = len(outs) == 1
        self.as_tuple = self.as_one and isinstance(outs[0], (tuple, list))
        parts = list(outs[0]) if self.as_tuple else outs
        return [part if hasattr(part, "dtype") else np.asarray(part) for part in parts], cache

    def full(self, moving: Sequence[Any]) -> list[Any]:
        """Return all inputs, with other arrays of floats."""
        inputs = list(self.inputs)
        for i, x in zip(self.floats, moving, strict=True):
            inputs[i] = x.copy() if type(x) is np.ndarray else x
        return inputs

    def forward(self, moving: Sequence[Any]) -> tuple[list[Any], Any]:
        """Call the forward on arrays, or tensors, in place of the inputs that are floats."""
        return self.run(self.full(moving))

    def raw(self, douts: Sequence[Any], cache: Any) -> list[Any]:
        """Call the backward; return what it returns for the inputs that are floats, None where nothing."""
        given = [d if d.ndim else d[()] for d in douts]
        gradients = self.layer.backward(*([tuple(given)] if self.as_tuple else given), cache)
        gradients = list(gradients) if isinstance(gradients, (tuple, list)) else [gradients]
        return [gradients[i] if i < len(gradients) else None for i in self.floats]

    def backward(self, dout: Array, cache: Any, dtypes: Sequence[Any] | None = None) -> list[Array]:
        """Call the backward with a vector of all outputs' gradients; NaN stands for what has not its input's shape."""
        douts = _split(dout, self.shapes)
        if dtypes is not None:
            douts = [d.astype(dtype) for d, dtype in zip(douts, dtypes, strict=True)]
        return self.fitted(self.raw(douts, cache))

    def fitted(self, gradients: Sequence[Any]) -> list[Array]:
        """Return gradients as arrays in float64, NaN for one that has not its input's shape."""
        fitted = []
        for i, g in zip(self.floats, gradients, strict=True):
            right = g is not None and np.shape(g) == self.inputs[i].shape
            fitted.append(np.asarray(g, np.float64) if right else np.full(self.inputs[i].shape, np.nan))
        return fitted


def _contracts(call: _Call, per_example: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Yield what a layer does not keep of what it has to, with what the mistake is; find its gradients."""
    inputs = call.full([call.inputs[i] for i in call.floats])
    outs, cache = call.run(inputs)
    if changed := list(_changed(call, inputs)):
        yield from changed
        return
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(outs, call.outs, strict=True)):
        yield (
            "the forward gave two results for one input, so there is nothing to compare; seed what is random in it, "
            "or give the random numbers as an input",
            "it draws random numbers, or keeps something from one call to the next",
        )
        return
    dtypes = [out.dtype for out in outs]
    douts = [d.astype(dtype) for d, dtype in zip(_split(call.dout, call.shapes), dtypes, strict=True)]
    upstream, held = [d.copy() for d in douts], _arrays_in(cache)
    before = [x.copy() for x in held]
    call.returned = [None if g is None else np.array(g) for g in call.raw(upstream, cache)]
    call.gradients = call.fitted(call.returned)
    if not all(np.array_equal(a, b) for a, b in zip(upstream, douts, strict=True)):
        yield "the backward changed its dout; it must leave it as it is", "mutates its dout"
    unchanged = [
        np.array_equal(a, b, equal_nan=a.dtype.kind in "fc") for a, b in zip(held, before, strict=True)
    ]
    inner = list(_changed(call, inputs))
    yield from inner
    if not all(unchanged) and not inner:
        yield "the backward changed its cache, which another backward may need", "mutates its cache"
    for i, g in zip(call.floats, call.returned, strict=True):
        dtype = call.inputs[i].dtype
        if g is not None and g.dtype != dtype:
            yield (
                f"backward returned a gradient of dtype {g.dtype} for input {i} of dtype {dtype}",
                f"{g.dtype} somewhere inside",
            )
    if all(unchanged) and not inner:
        yield from _repeated(call, cache, dtypes)
        yield from _linear(call, cache, dtypes)
        yield from _in_any_memory(call, douts)
        yield from _single_rows(call, per_example, dtypes)


def _changed(call: _Call, inputs: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for i in call.floats:
        if not np.array_equal(inputs[i], call.inputs[i], equal_nan=True):
            yield f"the layer changed its input {i}; it must leave it as it is", f"mutates its input {i}"


def _arrays_in(cache: Any) -> list[Array]:
    """Return the arrays in a cache: itself, or within tuples, lists and dicts."""
    if isinstance(cache, np.ndarray):
        return [cache]
    if isinstance(cache, dict):
        cache = list(cache.values())
    return [x for each in cache for x in _arrays_in(each)] if isinstance(cache, (tuple, list)) else []


def _alike(call: _Call, xs: Sequence[Array], ys: Sequence[Array], scale: float = 1.0) -> bool:
    """Tell whether two gradients are the same up to rounding; and where sums overflow, up to their order."""
    least = 4 * float(np.max(np.abs(call.dout), initial=0.0))
    for x, y in zip(xs, ys, strict=True):
        size = float(np.max(np.abs(y), initial=least, where=np.isfinite(y)))
        overflows = size > np.finfo(np.float64).max * call.eps or not np.isfinite(y).all()
        with np.errstate(invalid="ignore", over="ignore"):
            lost = overflows & ~(np.isfinite(x) & np.isfinite(y))
            if not np.all((np.abs(x - y) <= scale * ULPS * call.eps * size) | (x == y) | lost):
                return False
    return True


def _repeated(call: _Call, cache: Any, dtypes: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Call the backward again, and once more after a forward of other inputs."""
    if not _alike(call, call.backward(call.dout, cache, dtypes), call.gradients or []):
        yield (
            "a second backward with the same cache gives another gradient",
            "keeps something from call to call",
        )
        return
    with np.errstate(all="ignore"):
        call.forward(
            [
                x + x.dtype.type(0.5) * np.cos(np.arange(x.size)).reshape(x.shape).astype(x.dtype)
                for x in (call.inputs[i] for i in call.floats)
            ]
        )
    if not _alike(call, call.backward(call.dout, cache, dtypes), call.gradients or []):
        yield (
            "after a forward with other inputs the same cache gives another gradient",
            "reads a stale cache: what the last forward left, not the cache it is given",
        )


def _linear(call: _Call, cache: Any, dtypes: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Twice the dout gives twice the gradient, and a sum the sum."""
    other = np.roll(call.dout, 1)[::-1]
    one, two = call.gradients or [], call.backward(other, cache, dtypes)
    twice, both = call.backward(2 * call.dout, cache, dtypes), call.backward(call.dout + other, cache, dtypes)
    if not (
        _alike(call, twice, [2 * g for g in one])
        and _alike(call, both, [a + b for a, b in zip(one, two, strict=True)], 4)
    ):
        yield (
            "the gradients are not linear in dout: backward(2 dout) is not 2 backward(dout), or that of a sum no sum",
            "dout is not used in each term, or used twice in one",
        )


def _in_any_memory(call: _Call, douts: Sequence[Array]) -> Iterator[tuple[str, str]]:
    """Give the inputs and dout read-only, and with strides."""
    for what, lay in (("read-only", _read_only), ("strided", _strided)):
        try:
            outs, cache = call.run([lay(x) if isinstance(x, np.ndarray) else x for x in call.inputs])
            gradients = call.fitted(call.raw([lay(d) for d in douts], cache))
        except Exception as error:
            yield (
                f"it fails for {what} arrays: {type(error).__name__}: {error}",
                f"does not take {what} arrays",
            )
            continue
        outputs = [np.asarray(out, np.float64) for out in outs]
        expected = [np.asarray(out, np.float64) for out in call.outs]
        if not all(np.isfinite(out).all() for out in (*outputs, *expected)):
            continue  # what an overflow leaves depends on the order of the sums
        if not (_alike(call, outputs, expected) and _alike(call, gradients, call.gradients or [])):
            yield f"{what} arrays give another gradient", f"does not take {what} arrays"


def _read_only(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


def _strided(x: Array) -> Array:
    """Return x as every other entry of a larger array, with its axes in reversed order in memory."""
    if not x.ndim:
        return x
    larger = np.zeros([2 * n for n in x.shape[::-1]], x.dtype).T
    view = larger[(slice(None, None, 2),) * x.ndim]
    view[...] = x
    return view


def _single_rows(call: _Call, per_example: Sequence[int], dtypes: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Give the rows of a batch one by one."""
    if not per_example:
        return
    n = len(call.inputs[per_example[0]])
    for row in range(n):
        at = slice(row, row + 1)
        inputs = [x[at] if i in per_example else x for i, x in enumerate(call.inputs)]
        _, cache = call.run(inputs)
        douts = [d.astype(t)[at] for d, t in zip(_split(call.dout, call.shapes), dtypes, strict=True)]
        single = call.raw(douts, cache)
        for k, i in enumerate(call.floats):
            if i in per_example and not _alike(
                call, [np.asarray(single[k])], [(call.gradients or [])[k][at]]
            ):
                yield (
                    f"row {row} of input {i} has another gradient in the batch than alone",
                    "examples are mixed: an axis of the batch where one of the features is meant, or a mean over it",
                )
                return


def _verdict(
    compared: _Comparison, problems: list[str], hints: list[str], call: _Call | None = None
) -> Report:
    """Compare the ways, tell what is wrong, and what the mistake may be."""
    worst, ulps, kinks, told, found = 0.0, 0.0, 0, [], []
    wrongs = [compared.wrong(k) for k in range(len(compared.arrays))]
    if (
        not compared.all
        and not any(wrong.any() for wrong in wrongs)
        and (found_at := compared.by_directions())
    ):
        wrongs[found_at[0]][found_at[1]] = True
    names = call.names() if call else [f"input {i}" for i in range(max(compared.places) + 1)]
    for k, place in enumerate(compared.places):
        got = call.returned[k] if call else compared.given.arrays[k]
        if np.shape(got) != compared.arrays[k].shape or got is None:
            shape = None if got is None else np.shape(got)
            told.append(
                f"{compared.name}: backward returned a gradient of shape {shape} for input {place} of shape "
                f"{compared.arrays[k].shape}"
            )
            hint = (
                "it returns None" if got is None else diagnose(_evidence(compared, k, got, None, names, call))
            )
        else:
            wrong = wrongs[k]
            error, units = compared.errors(k)
            worst, ulps = max(worst, error), max(ulps, units)
            kinks += int(np.count_nonzero(compared.slopes[k].parted))
            if not wrong.any():
                continue
            told.append(compared.told(k, wrong))
            hint = diagnose(_evidence(compared, k, np.asarray(got), wrong, names, call))
        found.append(f"{names[place]}: {hint}")
    named = [hint for hint in found if not hint.endswith(UNKNOWN)] + list(dict.fromkeys(hints))
    return Report(
        (compared.given.name, *[way.name for way in compared.ways]),
        worst,
        ulps,
        kinks,
        compared.surely(),
        (*told, *problems),
        "; ".join(named or found),
    )


def _evidence(
    compared: _Comparison, k: int, got: Array, wrong: Array | None, names: Sequence[str], call: _Call | None
) -> Evidence:
    """Collect what a diagnosis is made from."""
    x, slopes = compared.arrays[k], compared.slopes[k]
    outs = _parts(compared.f(*compared.arrays))
    out = np.asarray(outs[0]) if len(outs) == 1 else _flat(outs)
    terms = None
    if compared.all and len(slopes.terms) == x.size and x.size:
        columns = [slopes.terms[index] for index in np.ndindex(x.shape)]
        terms = np.stack(columns, axis=-1).reshape(out.shape + x.shape)
    if call is not None:
        options = dict(call.options, **dict(zip(names, call.inputs, strict=True)))
        arrays = dict(_among(options, lambda x: isinstance(x, np.ndarray)))
    else:
        arrays, options = (
            {names[i]: each for i, each in zip(compared.places, compared.arrays, strict=True)},
            {},
        )
    return Evidence(
        got=np.asarray(got, np.float64),
        right=compared.right(k),
        wrong=np.ones(x.shape, bool) if wrong is None else wrong,
        input=x,
        dout=compared.dout.reshape(out.shape),
        others={names[i]: compared.right(j) for j, i in enumerate(compared.places) if j != k},
        arrays={**arrays, "the output": out},
        numbers={name: float(x) for name, x in _among(options, _is_number)},
        terms=terms,
    )


def _among(options: dict[str, Any], is_one: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """Yield what is one of some kind among options, also in dicts of them, by name."""
    for name, option in options.items():
        if isinstance(option, dict):
            yield from _among(option, is_one)
        elif is_one(option):
            yield str(name), option


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float, np.number)) and not isinstance(x, bool)


def _as_layer(layer: Any, inputs: Sequence[Any], options: dict[str, Any]) -> Layer:
    """Return a layer, or the layer of a pair, or that of a loss which finds its own gradient."""
    if isinstance(layer, Layer):
        return layer
    if isinstance(layer, (tuple, list)) and len(layer) == 2 and all(callable(each) for each in layer):
        return make_layer(*layer)
    if callable(layer):
        result = layer(*copy.deepcopy(inputs), **copy.deepcopy(options))
        if isinstance(result, tuple) and len(result) == 2 and np.ndim(result[0]) == 0:
            return make_layer(layer, _loss_backward)
    raise TypeError(
        f"check_layer: got {getattr(layer, '__name__', repr(layer))}; expected a layer made by mg.layer, or a pair "
        "(forward, backward), or a loss f(x, y) -> (loss, dx); a function alone is checked by check_grads"
    )


def _loss_backward(dout: Any, gradients: Any) -> Any:
    """Return the gradients of a loss that found its own: one, or one for each input."""
    if isinstance(gradients, (tuple, list)):
        return tuple(None if g is None else dout * g for g in gradients)
    return dout * gradients


def _as_array(x: Any) -> Any:
    return np.asarray(x) if isinstance(x, ARRAY_LIKE) else x


def _is_float(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def _float_places(name: str, arrays: Sequence[Any]) -> list[int]:
    """Return which of the inputs hold floats, and so are differentiated."""
    places = [i for i, x in enumerate(arrays) if _is_float(x)]
    if not places:
        raise TypeError(
            f"{name}: no input holds floats, so there is no gradient to check; give x.astype(float)"
        )
    return places


if __name__ == "__main__":
    from .proof import main

    main()
