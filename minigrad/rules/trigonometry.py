"""Rules of the circular and hyperbolic functions, their inverses, and angles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .elementwise import ABOVE_ZERO, ANY, as_floats, within
from .table import Arguments, Draw, declare

INSIDE = (-0.9, 0.9)


def _root(square: Any, like: Any, out: Any) -> Any:
    """Return the square root; of a complex number the one of the two that ``like(out)`` is, but for rounding."""
    root = np.sqrt(square)
    if root.dtype.kind != "c":
        return root
    return np.where(np.real(root * np.conjugate(like(out))) < 0, -root, root)


declare(np.sin, lambda g, out, x: g * np.cos(x), inputs=within(ANY))
declare(np.cos, lambda g, out, x: -g * np.sin(x), inputs=within(ANY))
declare(np.tan, lambda g, out, x: g * (1 + out * out), inputs=within((-1.2, 1.2)))
declare(np.arcsin, lambda g, out, x: g / _root((1 - x) * (1 + x), np.cos, out), inputs=within(INSIDE))
declare(np.arccos, lambda g, out, x: -g / _root((1 - x) * (1 + x), np.sin, out), inputs=within(INSIDE))
declare(np.arctan, lambda g, out, x: g / (1 + x * x), inputs=within(ANY))
declare(np.sinh, lambda g, out, x: g * np.cosh(x), inputs=within(ANY))
declare(np.cosh, lambda g, out, x: g * np.sinh(x), inputs=within(ANY))
declare(np.tanh, lambda g, out, x: g * (1 - out * out), inputs=within(ANY))
declare(np.arcsinh, lambda g, out, x: g / _root(x * x + 1, np.cosh, out), inputs=within(ANY))
declare(np.arccosh, lambda g, out, x: g / _root((x - 1) * (x + 1), np.sinh, out), inputs=within((1.2, 4.0)))
declare(np.arctanh, lambda g, out, x: g / ((1 - x) * (1 + x)), inputs=within(INSIDE))


def _hypot(g: Any, out: Any, x: Any) -> Any:
    """The share of x in the length; at the origin the subgradient 0."""
    return g * (x / np.where(np.equal(out, 0), 1, out))


declare(
    np.hypot,
    lambda g, out, x1, x2: _hypot(g, out, x1),
    lambda g, out, x1, x2: _hypot(g, out, x2),
    inputs=within(ANY, ANY),
)


def _over_square(x: Any, x1: Any, x2: Any) -> Any:
    """Return x / (x1^2 + x2^2), without overflow."""
    x1, x2 = as_floats(x1), as_floats(x2)
    length = np.hypot(x1, x2)
    return x / length / length


declare(
    np.arctan2,
    lambda g, out, x1, x2: g * _over_square(x2, x1, x2),
    lambda g, out, x1, x2: -g * _over_square(x1, x1, x2),
    inputs=within(ANY, ABOVE_ZERO),
)

for _to_degrees in (np.degrees, np.rad2deg):
    declare(_to_degrees, lambda g, out, x: g * (180 / math.pi), inputs=within(ANY))
for _to_radians in (np.radians, np.deg2rad):
    declare(_to_radians, lambda g, out, x: g * (math.pi / 180), inputs=within(ANY))


def _sinc(g: Any, out: Any, x: Any) -> Any:
    """(cos pi x - sinc x) / x; near 0, where the two cancel, by its power series."""
    u = math.pi * x
    near = np.less(np.abs(u), 0.3)
    far = np.where(near, 1, u)
    square = np.where(near, u, 0) ** 2
    series: Any = 0
    for k in range(7, 0, -1):  # sum of (-1)^k 2k u^(2k - 1) / (2k + 1)!
        series = series * square + (-1) ** k * 2 * k / math.factorial(2 * k + 1)
    return g * math.pi * np.where(near, series * u, (np.cos(far) - np.sin(far) / far) / far)


declare(np.sinc, _sinc, inputs=within(ANY), memory="new")


def _unwrap_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1), -6.0, 6.0)
    return (x,), {"axis": draw.integer(-x.ndim, x.ndim - 1)}


declare(
    np.unwrap,
    lambda g, out, p, discont=None, axis=-1, period=2 * math.pi: g,
    inputs=_unwrap_inputs,
    memory="new",
)
