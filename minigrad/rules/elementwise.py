"""Rules of the elementwise functions, with NumPy's broadcasting.

Each rule leaves its gradient in the output's shape; the tape sums it down to the operand's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .facts import state
from .overriding import any_true, dispatched, is_plain, whole
from .table import Arguments, Draw, declare, fitted


def within(*intervals: tuple[float, float]) -> Callable[[Draw], Arguments]:
    """Draw one operand per interval, of shapes that broadcast together."""

    def inputs(draw: Draw) -> Arguments:
        shapes = draw.broadcastable(len(intervals))
        return tuple(draw.array(shape, *ends) for shape, ends in zip(shapes, intervals, strict=True)), {}

    return inputs


ANY = (-2.0, 2.0)
ABOVE_ZERO = (0.2, 3.0)


def as_floats(x: Any) -> Any:
    """Return integers as float64, since narrow and unsigned ones wrap, and Python's may be too large for NumPy's."""
    if type(x) is int:
        return float(x)
    return x.astype(np.float64) if getattr(x, "dtype", FLOAT).kind in "iub" else x


def summed_to(g: Any, x: Any) -> Any:
    """Sum g over the axes along which an operand x was broadcast, before more is computed of it."""
    return g if g.shape == x.shape else fitted(g, x.shape)


FLOAT = np.dtype(float)

ADD = declare(np.add, lambda g, out, x, y: g, lambda g, out, x, y: g, inputs=within(ANY, ANY))
SUBTRACT = declare(
    np.subtract, lambda g, out, x, y: g, lambda g, out, x, y: -summed_to(g, y), inputs=within(ANY, ANY)
)
MULTIPLY = declare(
    np.multiply, lambda g, out, x, y: g * y, lambda g, out, x, y: g * x, inputs=within(ANY, ANY)
)
DIVIDE = declare(
    np.divide,
    lambda g, out, x, y: g / y,
    lambda g, out, x, y: -(g / y * out) if g.shape == y.shape else -summed_to(g * out, y) / y,
    inputs=within(ANY, ABOVE_ZERO),
)
POSITIVE = declare(np.positive, lambda g, out, x: g, inputs=within(ANY))
NEGATIVE = declare(np.negative, lambda g, out, x: -g, inputs=within(ANY))
REMAINDER = declare(
    np.remainder, lambda g, out, x, y: g, lambda g, out, x, y: -g * (x // y), inputs=within(ANY, (2.5, 3.0))
)
declare(np.square, lambda g, out, x: (g + g) * x, inputs=within(ANY))
declare(np.copy, lambda g, out, a, order="K": g, inputs=within(ANY), memory="new")


@dispatched
def astype(x: Any, dtype: Any, casting: Any = "unsafe") -> Any:
    """Return a copy of x in another dtype of floats."""
    if np.dtype(dtype).kind not in "fc":
        raise TypeError(f"astype: no backward rule to {np.dtype(dtype)}; detach first")
    return x.astype(dtype, casting=casting)


ASTYPE = declare(
    astype,
    lambda g, out, x, dtype, casting="unsafe": g,
    forward=astype.__wrapped__,  # type: ignore[attr-defined]
    inputs=lambda draw: ((draw.array(), np.float64), {}),
)


def scalar_power(x: Any, exponent: Any) -> Callable[[Any], Any] | None:
    """Return the function by which NumPy computes ``x ** exponent`` of an array; None stands for np.power."""
    if type(exponent) is int and exponent == 2:
        return np.square
    if not x.ndim:
        return None
    if type(exponent) in (int, float):
        return POWERS.get(exponent) if x.dtype.kind in "fc" else None
    if KEEPS_DTYPE and _is_number(exponent, x):
        if x.dtype.kind in "fc":
            return POWERS_OF_ARRAYS.get(float(exponent))
        return np.square if exponent.dtype.kind in "iu" and exponent == 2 else None
    return None


POWERS: dict[float, Callable[[Any], Any]] = {2.0: np.square, 0.5: np.sqrt, -1.0: np.reciprocal}
"""What NumPy calls for some exponents."""
KEEPS_DTYPE = (np.ones(1, np.float32) ** np.float64(2)).dtype == np.float32
"""Whether with these exponents the dtype is that of x also where they are NumPy's numbers, as in NumPy 2.0."""


def _is_number(exponent: Any, x: Any) -> bool:
    """Tell whether an exponent is a number of NumPy's, or an array of no axes, unless a compiled call reads it anew."""
    if not is_plain(exponent):
        is_stand_in = hasattr(exponent, "as_read_only")
        if is_stand_in and not exponent.ndim and np.result_type(x.dtype, exponent.dtype) != x.dtype:
            exponent.item()  # raises that the value, which decides the dtype, is needed
        return False
    if isinstance(exponent, np.ndarray):
        return not exponent.ndim and exponent.dtype.kind in "iuf" and is_plain(x)
    return isinstance(exponent, (np.integer, np.floating))


def _ones(x: Any) -> Any:
    return np.power(x, 0)


POWERS_OF_ARRAYS: dict[float, Callable[[Any], Any]] = {**POWERS, 1.0: np.positive, 0.0: _ones}
"""The same, with those that make no difference to numbers of Python's."""


def _power_base(g: Any, out: Any, x: Any, y: Any) -> Any:
    """Gradient of x ** y for x: y x^(y-1); at x = y = 0, and of x ** 0, it is 0."""
    if type(y) in (int, float) and y == 0:
        return np.zeros_like(g)
    if type(y) is int and y >= 1:  # by NumPy's faster ways, where there is one
        return g * float(y) * x ** float(y - 1)
    y = as_floats(y)
    zero = np.equal(y, 0)
    if any_true(zero):  # of a number, as in x ** 3, it is known
        x = np.where(zero & np.equal(x, 0), np.ones_like(x), x)
    return g * y * x ** (y - 1)


def _power_exponent(g: Any, out: Any, x: Any, y: Any) -> Any:
    """Gradient of x ** y for y: x^y log x; at x = 0 it is 0."""
    x = as_floats(x)
    if out.dtype.kind == "c" and not np.iscomplexobj(x):  # the logarithm of a negative number is complex
        x = x + 0j
    zero = np.equal(x, 0)
    if any_true(zero):
        x = np.where(zero, np.ones_like(x), x)
    return g * out * np.log(x)


POWER = declare(np.power, _power_base, _power_exponent, inputs=within(ABOVE_ZERO, ANY))
declare(np.float_power, _power_base, _power_exponent, inputs=within(ABOVE_ZERO, ANY))


def _absolute(g: Any, out: Any, x: Any) -> Any:
    """Of a complex number, the direction from 0."""
    if x.dtype.kind == "c":
        return g * (np.conj(x) / np.where(np.equal(out, 0), 1, out))
    return g * np.sign(x)


ABSOLUTE = declare(np.absolute, _absolute, inputs=within(ANY))
"""At 0 the subgradient 0: sign(0), or NaN where g is infinite."""
declare(np.fabs, lambda g, out, x: g * np.sign(x), inputs=within(ANY))


@whole(memory="new")
def direction(z: Any) -> Any:
    """Return z / abs(z) of complex numbers, and 0 of 0."""
    return np.sign(z)


def _direction(g: Any, out: Any, z: Any) -> Any:
    """The part of g across the direction, by the distance from 0; at 0 it is 0."""
    distance = np.abs(z)
    across = g - np.real(g * out) * np.conj(out)
    return np.where(np.equal(distance, 0), 0, across / np.where(np.equal(distance, 0), 1, distance))


declare(direction, _direction, inputs=within(ABOVE_ZERO))
state(np.sign, constant="piecewise constant", of_complex_numbers=direction)

declare(np.sqrt, lambda g, out, x: g / (2 * out), inputs=within(ABOVE_ZERO))
declare(np.cbrt, lambda g, out, x: g / (3 * out * out), inputs=within(ABOVE_ZERO))
declare(np.reciprocal, lambda g, out, x: -g * out * out, inputs=within(ABOVE_ZERO))
declare(np.exp, lambda g, out, x: g * out, inputs=within(ANY))
declare(np.exp2, lambda g, out, x: g * out * float(np.log(2)), inputs=within(ANY))
declare(np.expm1, lambda g, out, x: g * (out + 1), inputs=within(ANY))
declare(np.log, lambda g, out, x: g / x, inputs=within(ABOVE_ZERO))
declare(np.log2, lambda g, out, x: g / (x * float(np.log(2))), inputs=within(ABOVE_ZERO))
declare(np.log10, lambda g, out, x: g / (x * float(np.log(10))), inputs=within(ABOVE_ZERO))
declare(np.log1p, lambda g, out, x: g / (1 + x), inputs=within((-0.8, 2.0)))


def _weight(x: Any, y: Any, scale: float = 1.0) -> Any:
    """Return exp(x) / (exp(x) + exp(y)) of x and y times a scale; where both are inf 1/2, where both are -inf 0."""
    x, y = as_floats(x), as_floats(y)
    ties = False if _is_finite(x) or _is_finite(y) else np.isinf(x) & np.equal(x, y)
    if ties is False or not any_true(ties):
        return sigmoid(scale * (x - y))
    weight = sigmoid(scale * (np.where(ties, 0, x) - np.where(ties, 0, y)))
    return np.where(ties & np.less(x, 0), 0, weight)


def _is_finite(x: Any) -> bool:
    """Tell whether an operand is a number, known and finite."""
    return is_plain(x) and isinstance(x, (float, np.floating)) and bool(np.isfinite(x))


declare(
    np.logaddexp,
    lambda g, out, x, y: g * _weight(x, y),
    lambda g, out, x, y: g * _weight(y, x),
    inputs=within(ANY, ANY),
)
declare(
    np.logaddexp2,
    lambda g, out, x, y: g * _weight(x, y, float(np.log(2))),
    lambda g, out, x, y: g * _weight(y, x, float(np.log(2))),
    inputs=within(ANY, ANY),
)


@dispatched
def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)), without overflow; shape and dtype of x, float64 for integers, complex for complex."""
    x = as_floats(x)
    if isinstance(x, complex) or getattr(x, "dtype", FLOAT).kind == "c":
        right = np.greater_equal(np.real(x), 0)
        small = np.exp(np.where(right, -x, x))
        return np.where(right, 1, small) / (1 + small)
    small = np.exp(-np.abs(x))
    right = np.greater_equal(x, 0).astype(small.dtype)  # to select takes several times as long
    return np.maximum(right, small) / (1 + small)


declare(sigmoid, lambda g, out, x: g * out * (1 - out), inputs=within(ANY))


def _i1(x: Any) -> Any:
    """The Bessel function I1, the mean of cos t sinh(x cos t): 64 nodes are enough up to where exp overflows."""
    count = 64 if any_true(np.greater(np.abs(x), 30)) else 12
    nodes = np.cos((np.arange(count) + 0.5) * (np.pi / (2 * count)))
    return np.sinh(np.expand_dims(x, -1) * nodes) @ (nodes / count)


declare(np.i0, lambda g, out, x: g * _i1(x), inputs=within(ANY), memory="new")
