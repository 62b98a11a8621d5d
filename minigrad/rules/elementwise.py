"""Rules of the functions that act entry by entry, with NumPy's broadcasting.

Each rule leaves its gradient in the output's shape; the tape sums it down to the operand's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .table import Call, Draw, any_true, compose, declare, dispatched


def within(*intervals: tuple[float, float]) -> Callable[[Draw], Call]:
    """Draw one operand per interval, of shapes that broadcast together."""

    def inputs(draw: Draw) -> Call:
        shapes = draw.broadcastable(len(intervals))
        return tuple(draw.array(shape, *ends) for shape, ends in zip(shapes, intervals, strict=True)), {}

    return inputs


ANY = (-2.0, 2.0)
ABOVE_ZERO = (0.2, 3.0)

ADD = declare(np.add, lambda g, out, x, y: g, lambda g, out, x, y: g, inputs=within(ANY, ANY))
SUBTRACT = declare(np.subtract, lambda g, out, x, y: g, lambda g, out, x, y: -g, inputs=within(ANY, ANY))
MULTIPLY = declare(
    np.multiply, lambda g, out, x, y: g * y, lambda g, out, x, y: g * x, inputs=within(ANY, ANY)
)
DIVIDE = declare(
    np.divide, lambda g, out, x, y: g / y, lambda g, out, x, y: -g * out / y, inputs=within(ANY, ABOVE_ZERO)
)
POSITIVE = declare(np.positive, lambda g, out, x: g, inputs=within(ANY))
NEGATIVE = declare(np.negative, lambda g, out, x: -g, inputs=within(ANY))
REMAINDER = declare(
    np.remainder, lambda g, out, x, y: g, lambda g, out, x, y: -g * (x // y), inputs=within(ANY, (2.5, 3.0))
)
SQUARE = declare(np.square, lambda g, out, x: g * (x + x), inputs=within(ANY))
declare(np.copy, lambda g, out, a: g, inputs=within(ANY), memory="new")


@dispatched
def astype(x: Any, dtype: Any, casting: Any = "unsafe") -> Any:
    """Return a copy of x in another dtype of floats."""
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"astype: no backward rule to {np.dtype(dtype)}; detach first")
    return x.astype(dtype, casting=casting)


declare(
    astype, lambda g, out, x, dtype, casting="unsafe": g, inputs=lambda draw: ((draw.array(), np.float64), {})
)


def _power_base(g: Any, out: Any, x: Any, y: Any) -> Any:
    """Gradient of x ** y for x: y x^(y-1); at x = y = 0 it is 0."""
    both_zero = np.equal(x, 0) & np.equal(y, 0)
    if any_true(both_zero):
        x = np.where(both_zero, np.ones_like(x), x)
    return g * y * x ** (y - 1)


def _power_exponent(g: Any, out: Any, x: Any, y: Any) -> Any:
    """Gradient of x ** y for y: x^y log x; at x = 0 it is 0."""
    zero = np.equal(x, 0)
    if any_true(zero):
        x = np.where(zero, np.ones_like(x), x)
    return g * out * np.log(x)


POWER = declare(np.power, _power_base, _power_exponent, inputs=within(ABOVE_ZERO, ANY))
ABSOLUTE = declare(np.absolute, lambda g, out, x: g * np.sign(x), inputs=within(ANY))
"""At 0 the subgradient 0: sign(0)."""

declare(np.sqrt, lambda g, out, x: g / (2 * out), inputs=within(ABOVE_ZERO))
declare(np.reciprocal, lambda g, out, x: -g * out * out, inputs=within(ABOVE_ZERO))
declare(np.exp, lambda g, out, x: g * out, inputs=within(ANY))
declare(np.expm1, lambda g, out, x: g * (out + 1), inputs=within(ANY))
declare(np.log, lambda g, out, x: g / x, inputs=within(ABOVE_ZERO))
declare(np.log2, lambda g, out, x: g / (x * float(np.log(2))), inputs=within(ABOVE_ZERO))
declare(np.log10, lambda g, out, x: g / (x * float(np.log(10))), inputs=within(ABOVE_ZERO))
declare(np.log1p, lambda g, out, x: g / (1 + x), inputs=within((-0.8, 2.0)))
declare(np.sin, lambda g, out, x: g * np.cos(x), inputs=within(ANY))
declare(np.cos, lambda g, out, x: -g * np.sin(x), inputs=within(ANY))
declare(np.tan, lambda g, out, x: g * (1 + out * out), inputs=within((-1.2, 1.2)))
declare(np.arctan, lambda g, out, x: g / (1 + x * x), inputs=within(ANY))
declare(np.sinh, lambda g, out, x: g * np.cosh(x), inputs=within(ANY))
declare(np.cosh, lambda g, out, x: g * np.sinh(x), inputs=within(ANY))
declare(np.tanh, lambda g, out, x: g * (1 - out * out), inputs=within(ANY))
declare(
    np.logaddexp,
    lambda g, out, x, y: g * sigmoid(x - y),
    lambda g, out, x, y: g * sigmoid(y - x),
    inputs=within(ANY, ANY),
)


@dispatched
def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + exp(-x)), without overflow; shape and dtype of x."""
    small = np.exp(-np.abs(x))
    return np.where(np.greater_equal(x, 0), 1, small) / (1 + small)


declare(sigmoid, lambda g, out, x: g * out * (1 - out), inputs=within(ANY))


def _share(g: Any, wins: Any, ties: Any) -> Any:
    """Give g to the operand where it wins, half of it where the two are equal."""
    if any_true(ties):
        return g * np.where(ties, g.dtype.type(0.5), wins)
    return g * wins


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


def _clip_inputs(draw: Draw) -> Call:
    x, low, high = (draw.array(shape) for shape in draw.broadcastable(3))
    return (x, draw.choice([low, None, -0.3]), draw.choice([high + 3, 0.4])), {}


@compose(np.clip, inputs=_clip_inputs, memory="out")
def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    above = a if low is None else np.maximum(a, low)
    return above if high is None else np.minimum(above, high)


def _where_inputs(draw: Draw) -> Call:
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
