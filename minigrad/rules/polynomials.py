"""Polynomials as 1-d arrays of coefficients, the highest power first.

`numpy.polymul` and ``roots`` leave zeros out, and a coefficient that is left out would have a gradient: of a tensor
they are refused. `numpy.polydiv` leaves out what rounding makes small, and has no rule.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from . import metadata
from .conjugates import conj, real
from .elementwise import as_floats
from .overriding import any_true, is_plain
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


def _left_out(name: str, instead: str) -> ValueError:
    """Return the error of zeros of a tensor, which NumPy leaves out."""
    return ValueError(f"numpy.{name}: leaves out coefficients of 0, whose gradient would be lost; {instead}")


def _without_leading_zeros(p: Any, name: str) -> Any:
    p = _as_line(p)
    if p.ndim > 1:
        raise ValueError(f"numpy.{name}: p has shape {p.shape}; expected one axis, of coefficients")
    places = np.nonzero(np.not_equal(p, 0))[0]
    zeros = int(places[0]) if len(places) else max(len(p) - 1, 0)
    if zeros and not is_plain(p):
        raise _left_out(name, "a product with all coefficients is np.convolve(a, b)")
    return p[zeros:] if len(p) else np.zeros(1, p.dtype)


def _no_leading_zero(draw: Draw) -> Arguments:
    lengths = draw.integer(3, 4), draw.integer(2, 3)
    return tuple([draw.array((n,), 0.5, 2.0) for n in lengths]), {}


@compose(np.polymul, inputs=_no_leading_zero, shape_from_values=True)
def _polymul(a1: Any, a2: Any) -> Any:
    return np.convolve(_without_leading_zeros(a1, "polymul"), _without_leading_zeros(a2, "polymul"))


def _roots_inputs(draw: Draw) -> Arguments:
    n = draw.integer(1, 3)
    x = draw.array((n,), -0.2, 0.2)
    return (np.poly(x + np.array([1.0, -2.0, 4.0])[:n]).astype(x.dtype),), {}


@compose(np.roots, inputs=_roots_inputs, shape_from_values=True)
def _roots(p: Any) -> Any:
    """The eigenvalues of the companion matrix, which are to be distinct; in NumPy's order."""
    p = as_floats(_as_line(p))
    if p.ndim > 1:
        raise ValueError("Input must be a rank-1 array.")
    if len(p) and not (np.not_equal(p[0], 0) and np.not_equal(p[-1], 0)):
        raise _left_out("roots", "find the roots of what is between, p[i:j]")
    if len(p) < 2:
        return np.zeros(0)
    below = np.eye(len(p) - 2, len(p) - 1, dtype=p.dtype)
    found = np.linalg.eigvals(np.concatenate([np.reshape(-p[1:] / p[0], (1, -1)), below]))
    is_real = p.dtype.kind != "c" and not any_true(np.not_equal(np.imag(found), 0))
    return real(found) if is_real else found  # since NumPy 2.5 eigvals returns complex numbers


@compose(np.poly, inputs=lambda draw: ((draw.array((draw.integer(1, 4),)),), {}))
def _poly(seq_of_zeros: Any) -> Any:
    """The product of the factors [1, -root]; of a square matrix, the roots are its eigenvalues."""
    roots = _as_line(metadata.as_joined(seq_of_zeros))
    if roots.ndim == 2 and roots.shape[0] == roots.shape[1] != 0:
        roots = np.linalg.eigvals(roots)
    elif roots.ndim != 1:
        raise ValueError("input must be 1d or non-empty square 2d array.")
    if not len(roots):
        return 1.0
    dtype = np.dtype(np.mintypecode(roots.dtype.char))
    roots = roots if roots.dtype == dtype else roots.astype(dtype)
    one = np.ones((), roots.dtype)
    product = np.ones(1, roots.dtype)
    for root in roots:
        product = np.convolve(product, np.stack([one, -root]))
    return real(product) if _in_conjugate_pairs(roots) else product


def _in_conjugate_pairs(roots: Any) -> bool:
    """Tell whether roots are complex, and each as often as its conjugate, so that NumPy takes the product as real."""
    if roots.dtype.kind != "c":
        return False
    same, conjugate = (np.equal(x[:, None], roots).sum(axis=1) for x in (roots, conj(roots)))
    return not any_true(np.not_equal(same, conjugate))


def _polyfit_inputs(draw: Draw) -> Arguments:
    deg = draw.integer(0, 2)
    places = draw.array((deg + draw.integer(2, 3),), 0.0, 0.4)
    x = places + np.arange(len(places)) - 1.0
    y = draw.array((len(x), *draw.choice([(), (2,)])))
    weights = draw.array(x.shape, 0.5, 1.5) if draw.choice([False, True]) else None
    return (x.astype(y.dtype), y), {"deg": deg, "w": weights, "cov": draw.choice([False, "unscaled", True])}


@compose(np.polyfit, inputs=_polyfit_inputs, memory="new")
def _polyfit(
    x: Any, y: Any, deg: Any, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False
) -> Any:
    """The least squares solution of the powers of x, of columns of length 1, for y."""
    x, y, order = as_floats(metadata.as_joined(x)), as_floats(metadata.as_joined(y)), int(deg) + 1
    if order < 1:
        raise ValueError("expected deg >= 0")
    if x.ndim != 1 or not x.size or not 1 <= y.ndim <= 2 or len(x) != len(y):
        raise TypeError(
            f"numpy.polyfit: x and y have shapes {x.shape} and {y.shape}; expected (M,) and (M,) or (M, K)"
        )
    rcond = len(x) * np.finfo(x.dtype).eps if rcond is None else rcond
    powers = np.vander(x, order)
    if w is not None:
        w = as_floats(metadata.as_joined(w))
        if w.shape != x.shape:
            raise TypeError(f"numpy.polyfit: w has shape {w.shape}; expected {x.shape}, as x has")
        powers, y = powers * w[:, None], y * (w[:, None] if y.ndim == 2 else w)
    scale = np.sqrt(np.sum(powers * powers, axis=0))
    powers = powers / scale
    c, left, rank, values = np.linalg.lstsq(powers, y, rcond)
    c = (c.T / scale).T
    if full:
        return c, left, rank, values, rcond
    if rank != order:
        warnings.warn("Polyfit may be poorly conditioned", np.exceptions.RankWarning, stacklevel=2)
    if not cov:
        return c
    v = np.linalg.inv(powers.T @ powers) / np.outer(scale, scale)
    if cov != "unscaled":
        if len(x) <= order:
            raise ValueError("the number of data points must exceed order to scale the covariance matrix")
        v = (v if y.ndim == 1 else v[:, :, None]) * (left / (len(x) - order))
        return c, v
    return c, v if y.ndim == 1 else v[:, :, None]
