"""Polynomials as 1-d arrays of coefficients, the highest power first.

`numpy.polymul`, ``polydiv`` and ``poly`` leave leading zeros out, so that a shape would depend on values: they have no
rule; a product is `numpy.convolve`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import metadata
from .elementwise import as_floats
from .table import Arguments, Draw, compose, declare


def _as_line(p: Any) -> Any:
    """Return an array; a number becomes one coefficient."""
    p = metadata.as_operand(p)
    return p if p.ndim else np.reshape(p, (1,))


def _line_of(p: Any, name: str) -> Any:
    """Return coefficients as an array; refuse a number, as NumPy does, and several axes."""
    p = metadata.as_operand(p)
    if p.ndim != 1:
        raise (ValueError if p.ndim else TypeError)(
            f"numpy.{name}: p has shape {p.shape}; expected one axis, of coefficients"
        )
    return p


def _times(name: str, m: Any) -> int:
    """Return how many times to differentiate or integrate."""
    if m < 0:
        raise ValueError(f"numpy.{name}: m is {m}; expected 0 or more")
    return int(m)


def _polyval_inputs(draw: Draw) -> Arguments:
    return (draw.array((draw.integer(1, 4),)), draw.array()), {}


def _horner(p: Any, x: Any) -> Any:
    """Evaluate a polynomial by Horner's scheme."""
    if metadata.ndim(p) != 1:
        raise ValueError(f"numpy.polyval: p has shape {metadata.shape(p)}; expected one axis")
    y = np.zeros_like(x)
    for coefficient in p:
        y = y * x + coefficient
    return y


def _polyval_p(g: Any, out: Any, p: Any, x: Any) -> Any:
    """The sum of g times each power."""
    sums = []
    for _ in range(len(p)):
        sums.append(np.sum(g))
        g = g * x
    return np.stack(sums[::-1]) if sums else np.zeros_like(p)


declare(
    np.polyval,
    _polyval_p,
    lambda g, out, p, x: g * np.polyval(as_floats(p[:-1]) * np.arange(len(p) - 1, 0, -1), x),
    forward=_horner,
    inputs=_polyval_inputs,
    memory="new",
)


def _two_lines(draw: Draw) -> Arguments:
    return (draw.array((draw.integer(1, 4),)), draw.array(draw.choice([(), (2,), (3,)]))), {}


def _padded(p: Any, q: Any) -> list[Any]:
    """Return the coefficients of two polynomials, the shorter ones padded with leading zeros."""
    p, q = _as_line(p), _as_line(q)
    n = max(len(p), len(q))
    return [
        each if len(each) == n else np.concatenate([np.zeros(n - len(each), each.dtype), each])
        for each in (p, q)
    ]


@compose(np.polyadd, inputs=_two_lines)
def _polyadd(a1: Any, a2: Any) -> Any:
    return np.add(*_padded(a1, a2))


@compose(np.polysub, inputs=_two_lines)
def _polysub(a1: Any, a2: Any) -> Any:
    return np.subtract(*_padded(a1, a2))


def _times_inputs(draw: Draw) -> Arguments:
    return (draw.array((draw.integer(1, 4),)),), {"m": draw.integer(0, 2)}


@compose(np.polyder, inputs=_times_inputs)
def _polyder(p: Any, m: Any = 1) -> Any:
    m = _times("polyder", m)
    p = _line_of(p, "polyder")
    for _ in range(m):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1)
    return p


def _polyint_inputs(draw: Draw) -> Arguments:
    call, options = _times_inputs(draw)
    return call, {**options, "k": draw.choice([None, 0.5, [0.25, 0.5][: max(options["m"], 1)]])}


@compose(np.polyint, inputs=_polyint_inputs)
def _polyint(p: Any, m: Any = 1, k: Any = None) -> Any:
    m = _times("polyint", m)
    if m == 0:
        return metadata.as_operand(p)
    p = _line_of(p, "polyint")
    constants = [0] * m if k is None else [k] * m if metadata.ndim(k) == 0 else list(k)
    if len(constants) == 1:
        constants = constants * m
    if len(constants) < m:
        raise ValueError(f"numpy.polyint: k has {len(constants)} entries; expected one, or {m}")
    for constant in constants[:m]:
        end = metadata.as_operand(constant, p.dtype)
        p = np.concatenate([p / np.arange(len(p), 0, -1), np.reshape(end, (1,))])
    return p


def _vander_inputs(draw: Draw) -> Arguments:
    x = draw.array((draw.integer(2, 3),))
    return (x,), {"N": draw.choice([None, 2, 4]), "increasing": draw.choice([False, True])}


def _vander(g: Any, out: Any, x: Any, N: Any = None, increasing: bool = False) -> Any:
    """The slope of the polynomial whose coefficients g has, by Horner's scheme."""
    slope = np.zeros_like(x)
    for i in range(out.shape[1] - 1, 0, -1):
        slope = slope * x + i * g[:, i if increasing else -1 - i]
    return slope


declare(np.vander, _vander, inputs=_vander_inputs, memory="new")
