"""Rules of the functions that choose, entry by entry, between operands or parts of a number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .elementwise import ANY, as_floats, within
from .facts import state
from .metadata import as_joined, promoted
from .overriding import any_true, whole
from .table import Arguments, Draw, compose, declare


def as_row(number: float, x: Any) -> Any:
    """Return a number to compare x with; for a large x of float32 repeated along x's last axes.

    NumPy does not vectorize ``np.maximum(x, number)``: an array in place of the number takes a half to a third of the
    time.
    """
    if x.size < 4096 or x.ndim < 2 or x.dtype != np.float32:
        return number
    start = x.ndim - 1
    while start > 1 and math.prod(x.shape[start:]) < 64:
        start -= 1
    row = np.empty(x.shape[start:], x.dtype)
    row.fill(number)  # np.full takes twice as long
    return row


def _share(g: Any, wins: Any, ties: Any) -> Any:
    """Give g to the operand where it wins, half of it where the two are equal.

    By a product, which is several times faster than to select: an infinite g is NaN where the operand loses.
    `numpy.where` selects.
    """
    if not g.ndim:  # of numbers: np.where takes several times as long
        return g * (wins + g.dtype.type(0.5) * ties)
    if any_true(ties):
        return g * np.where(ties, g.dtype.type(0.5), wins)
    return g * wins.astype(g.dtype)  # cast first, a product takes less time


declare(
    np.maximum,
    lambda g, out, x, y: _share(g, np.greater(x, y), np.equal(x, y)),
    lambda g, out, x, y: _share(g, np.greater(y, x), np.equal(x, y)),
    inputs=within(ANY, ANY),
)
declare(
    np.minimum,
    lambda g, out, x, y: _share(g, np.less(x, y), np.equal(x, y)),
    lambda g, out, x, y: _share(g, np.less(y, x), np.equal(x, y)),
    inputs=within(ANY, ANY),
)


NOT_GIVEN = np._NoValue


def _clip_inputs(draw: Draw) -> Arguments:
    x, low, high = (draw.array(shape) for shape in draw.broadcastable(3))
    low, high = draw.choice([(low, high + 3), (low, None), (None, 0.4), (-0.3, 0.4)])
    if hasattr(np, "cumulative_sum") and draw.choice([False, True]):  # NumPy 2.1
        return (x,), draw.choice([{"min": -0.3}, {"max": 0.4}, {"min": -0.3, "max": 0.4}])
    return (x, low, high), {}


@compose(np.clip, inputs=_clip_inputs, memory="out")
def _clip(
    a: Any, a_min: Any = NOT_GIVEN, a_max: Any = NOT_GIVEN, *, min: Any = NOT_GIVEN, max: Any = NOT_GIVEN
) -> Any:
    bounds = {"a_min": a_min, "a_max": a_max, "min": min, "max": max}
    given = {name: bound for name, bound in bounds.items() if bound is not NOT_GIVEN}
    if given.keys() != {"a_min", "a_max"} or a_min is a_max is None:
        np.clip(0.0, **{name: None if bound is None else 0.0 for name, bound in given.items()})  # type: ignore[call-overload]  # raises what this NumPy raises
    low, high = given.get("a_min", given.get("min")), given.get("a_max", given.get("max"))
    if low is high is None:
        return np.positive(a)
    a = as_joined(a)
    dtype = promoted(*[x for x in (a, low, high) if x is not None])  # of all at once, as NumPy does
    if a.dtype != dtype:
        a = a.astype(dtype)
    above = a if low is None else np.maximum(a, low)
    return above if high is None else np.minimum(above, high)


def selected(mask: Any, x: Any, y: Any, out: Any = None) -> Any:
    """Return ``np.where(mask, x, y)`` of floats of one dtype, by their bits.

    NumPy selects entry by entry, and guesses which comes next: of a large array of float32 this takes a tenth to a
    third of the time.
    """
    if out is None:
        out = np.empty(np.broadcast_shapes(mask.shape, x.shape, y.shape), x.dtype)
    kind = np.dtype(f"i{x.itemsize}")
    bits = mask.astype(kind)
    np.negative(bits, out=bits)
    ours, theirs = out.view(kind), y.view(kind)
    np.bitwise_xor(x.view(kind), theirs, out=ours)
    np.bitwise_and(ours, bits, out=ours)
    np.bitwise_xor(ours, theirs, out=ours)
    return out


state(selected, memory="out")


def _where_inputs(draw: Draw) -> Arguments:
    condition, x, y = (draw.array(shape) for shape in draw.broadcastable(3))
    return (condition > 0, x, y), {}


declare(
    np.where,
    lambda g, out, condition, x, y: np.zeros_like(g),
    lambda g, out, condition, x, y: np.where(condition, g, 0),
    lambda g, out, condition, x, y: np.where(condition, 0, g),
    inputs=_where_inputs,
    memory="new",
)


declare(
    np.fmax,
    lambda g, out, x, y: _share(g, np.greater(x, y) | np.isnan(as_floats(y)), np.equal(x, y)),
    lambda g, out, x, y: _share(g, np.greater(y, x) | np.isnan(as_floats(x)), np.equal(x, y)),
    inputs=within(ANY, ANY),
)
declare(
    np.fmin,
    lambda g, out, x, y: _share(g, np.less(x, y) | np.isnan(as_floats(y)), np.equal(x, y)),
    lambda g, out, x, y: _share(g, np.less(y, x) | np.isnan(as_floats(x)), np.equal(x, y)),
    inputs=within(ANY, ANY),
)
declare(
    np.nan_to_num,
    lambda g, out, x, nan=0.0, posinf=None, neginf=None: np.where(np.isfinite(x), g, 0),
    inputs=within(ANY),
)


def _with_signs(draw: Draw) -> Arguments:
    """Draw an array, and one of the integers -1, 0 and 1."""
    shape, other = draw.broadcastable(2)
    return (draw.array(shape), np.resize([1, -1, 0], other)), {}


def _with_floats(draw: Draw) -> Arguments:
    """Draw two arrays; or an array and such integers."""
    return draw.choice([_with_signs, within(ANY, ANY)])(draw)  # type: ignore[no-any-return]


def _signs_first(draw: Draw) -> Arguments:
    (x, signs), options = _with_floats(draw)
    return (signs, x), options


declare(
    np.heaviside,
    lambda g, out, x1, x2: np.zeros_like(g),
    lambda g, out, x1, x2: np.where(np.equal(x1, 0), g, 0),
    inputs=_signs_first,
)
declare(
    np.copysign,
    lambda g, out, x1, x2: g * (np.sign(x1) * np.copysign(1.0, x2)),
    lambda g, out, x1, x2: np.zeros_like(g),
    inputs=_with_floats,
)
declare(np.nextafter, lambda g, out, x1, x2: g, lambda g, out, x1, x2: np.zeros_like(g), inputs=_with_floats)
declare(
    np.ldexp,
    lambda g, out, x1, x2: np.ldexp(g, x2),
    lambda g, out, x1, x2: np.zeros_like(g),
    inputs=_with_signs,
)
declare(
    np.fmod,
    lambda g, out, x, y: g,
    lambda g, out, x, y: -g * np.trunc(x / y),
    inputs=within((6.1, 7.4), (-3.0, -2.5)),
)


@compose(np.divmod, inputs=within(ANY, (2.5, 3.0)))
def _divmod(x: Any, y: Any) -> tuple[Any, Any]:
    return np.floor_divide(x, y), np.remainder(x, y)


@whole(memory="new")
def fraction(x: Any) -> Any:
    """Return the fractional part of x, with the sign of x."""
    return np.modf(x)[0]


@whole(memory="new")
def mantissa(x: Any) -> Any:
    """Return m of x = m 2^e, 1/2 <= abs(m) < 1."""
    return np.frexp(x)[0]


@whole(memory="new")
def exponent(x: Any) -> Any:
    """Return the integer e of x = m 2^e, 1/2 <= abs(m) < 1."""
    return np.frexp(x)[1]


declare(fraction, lambda g, out, x: g, inputs=within((1.1, 1.9)))
declare(mantissa, lambda g, out, x: np.ldexp(g, -exponent(x)), inputs=within((1.1, 1.9)))


@compose(np.modf, inputs=within((1.1, 1.9)))
def _modf(x: Any) -> tuple[Any, Any]:
    return fraction(x), np.trunc(x)


@compose(np.frexp, inputs=within((1.1, 1.9)))
def _frexp(x: Any) -> tuple[Any, Any]:
    return mantissa(x), exponent(x)


state(np.spacing, constant="piecewise constant")
