"""Rules of the reductions, and of softmax and its kin.

Where ``axis``, ``keepdims``, ``where`` and ``initial`` appear they are NumPy's. A gradient may keep the reduced
axes at length 1; the tape spreads it over the operand. How many entries there are is counted in integers, never in
the data's dtype: float16 ends at 65504, and float32 counts no further than 2**24.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import metadata
from .conjugates import conj, real
from .table import OPS, Arguments, Draw, any_true, compose, declare, dispatched, whole


def keep(g: Any, axis: Any, keepdims: bool) -> Any:
    """Restore the reduced axes of g, with length 1."""
    if keepdims or axis is None:
        return g
    if type(axis) is not int:
        return np.expand_dims(g, axis)
    axis %= g.ndim + 1
    return g.reshape((*g.shape[:axis], 1, *g.shape[axis:]))


def axes_of(a: Any, axis: Any) -> tuple[int, ...]:
    """Return the normalized axes of a reduction; none for a 0-d array."""
    if axis is None:
        return tuple(range(a.ndim))
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    return tuple(int(i) % a.ndim for i in axes) if a.ndim else ()


def to_last(x: Any, axes: tuple[int, ...]) -> Any:
    """Move axes to the end, and make one of them."""
    moved = np.moveaxis(x, axes, tuple(range(-len(axes), 0)))
    kept = moved.shape[: x.ndim - len(axes)]
    return np.reshape(moved, (*kept, math.prod(moved.shape[len(kept) :])))


def from_last(y: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """Undo `to_last` of an array of this shape."""
    kept = [n for i, n in enumerate(shape) if i not in axes]
    return np.moveaxis(np.reshape(y, (*kept, *[shape[i] for i in axes])), tuple(range(-len(axes), 0)), axes)


def _count(a: Any, axis: Any, where: Any = True) -> Any:
    """Return the number of entries reduced to one; with ``where`` an array with the reduced axes kept."""
    if where is True:
        return a.size if axis is None else math.prod([a.shape[i] for i in axes_of(a, axis)])
    return np.sum(np.broadcast_to(where, a.shape), axis=axis, keepdims=True)


def _per(g: Any, count: Any) -> Any:
    """Return g / count; in float64 for float16, whose range a count may exceed, which the tape then rounds."""
    return g / (np.float64(count) if g.dtype.itemsize == 2 and not metadata.ndim(count) else count)


def _chosen(g: Any, where: Any) -> Any:
    """Leave no gradient to the entries that ``where`` leaves out."""
    return g if where is True else np.where(where, g, 0)


def _reduction(draw: Draw, **options: Any) -> Arguments:
    """Draw a reduction over all axes, none, one or two."""
    x = draw.array(draw.shape(min_side=1))
    axes: list[Any] = [None, (), *range(-x.ndim, x.ndim), *([(0, 1), (-1, 0)] if x.ndim > 1 else [])]
    return (x,), {"axis": draw.choice(axes), "keepdims": draw.choice([False, True]), **options}


def _masked(draw: Draw, **options: Any) -> Arguments:
    """Draw a reduction with ``where``, which leaves some of each line."""
    x = draw.array((draw.integer(2, 3), draw.integer(2, 3)))
    mask = np.add.outer(*map(np.arange, x.shape)) % 3 != 1
    return (x,), {"axis": draw.choice([None, 0, 1, (0, 1)]), "where": mask.tolist(), **options}


def cast_reduction(draw: Draw) -> Arguments:
    """Draw a reduction with a dtype, and with ``where`` or without."""
    dtype = draw.choice([None, np.float64])
    return _masked(draw, dtype=dtype) if draw.choice([False, True]) else _reduction(draw, dtype=dtype)


def begun_at(*values: float) -> Callable[[Draw], Arguments]:
    """Draw a reduction, some with ``initial``, and some of those with ``where``."""

    def inputs(draw: Draw) -> Arguments:
        initial = draw.choice([None, *values])
        if initial is None:
            return _reduction(draw)
        return (_masked if draw.choice([False, True]) else _reduction)(draw, initial=initial)

    return inputs


def spread_inputs(draw: Draw) -> Arguments:
    """Draw at least three entries an average, so that ddof = 1 leaves some."""
    x = draw.array((draw.integer(3, 4), draw.integer(3, 4)))
    options: dict[str, Any] = {
        "axis": draw.choice([None, 0, -1, (0, 1)]),
        "ddof": draw.choice([0, 1, np.uint8(1)]),
        "keepdims": draw.choice([False, True]),
    }
    if draw.choice([False, False, True]):
        options["where"] = (np.add.outer(*map(np.arange, x.shape)) % 3 != 1).tolist()
    return (x,), options


def total(
    g: Any,
    out: Any,
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: bool = False,
    initial: Any = 0,
    where: Any = True,
) -> Any:
    """Every entry is in the sum once."""
    return _chosen(keep(g, axis, keepdims), where)


def mean(
    g: Any, out: Any, a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, where: Any = True
) -> Any:
    """1 / n for every entry, n of which are chosen."""
    return _chosen(_per(keep(g, axis, keepdims), _count(a, axis, where)), where)


def reduces(ufunc: np.ufunc, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a forward that calls the ufunc's ``reduce`` directly, which has less overhead than the function."""

    def forward(a: Any, axis: Any = None, keepdims: bool = False, **others: Any) -> Any:
        if others:
            return function(a, axis=axis, keepdims=keepdims, **others)
        return ufunc.reduce(a, axis=axis, keepdims=keepdims)

    return forward


_sum = reduces(np.add, np.sum)


def _mean_forward(a: Any, axis: Any = None, keepdims: bool = False, **others: Any) -> Any:
    """Divide the sum by the count, exact in float32, as `numpy.mean` does: in half its time for a small array."""
    if others or a.dtype.char not in "fd" or not (a.ndim and 0 < a.size < 2**24):
        return a.mean(axis=axis, keepdims=keepdims, **others)
    sums = _sum(a, axis=axis, keepdims=keepdims)
    return sums / (a.size // sums.size)


declare(np.sum, total, forward=_sum, inputs=cast_reduction)
declare(np.mean, mean, forward=_mean_forward, inputs=cast_reduction, memory="new")


def _freedom(a: Any, axis: Any, where: Any, ddof: Any, correction: Any) -> Any:
    """Return n - ddof, or 0: what the sum of squares is divided by."""
    freedom = _count(a, axis, where) - float(ddof if correction is None else correction)
    return max(freedom, 0.0) if where is True else np.maximum(freedom, 0.0)


def _deviation(a: Any, axis: Any, where: Any, mean: Any) -> Any:
    """Return a - mean, 0 for the entries that ``where`` leaves out."""
    if where is True:
        return a - (np.mean(a, axis=axis, keepdims=True) if mean is None else mean)
    a = np.where(where, a, 0)
    return a - (np.mean(a, axis=axis, keepdims=True, where=where) if mean is None else mean)


def var(
    g: Any,
    out: Any,
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """2 (a - mean)^* / (n - ddof): what a moves the mean by cancels. A ``mean`` that is given is a constant."""
    scale = 2 * _per(keep(g, axis, keepdims), _freedom(a, axis, where, ddof, correction))
    return _chosen(scale * conj(_deviation(a, axis, where, mean)), where)


def std(
    g: Any,
    out: Any,
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """(a - mean)^* / ((n - ddof) std); at std = 0 the subgradient 0. Of float16 in float32: its squares overflow."""
    wide, freedom = widened(a), _freedom(a, axis, where, ddof, correction)
    deviation = _deviation(wide, axis, where, mean)
    if wide is a:
        spread = keep(out, axis, keepdims)
    else:
        squares = _chosen(np.square(deviation), where)
        spread = np.sqrt(np.sum(squares, axis=axis, keepdims=True) / freedom)
    spread = np.where(np.equal(spread, 0), spread.dtype.type(1), spread)
    return _chosen(_per(keep(g, axis, keepdims), freedom) / spread * conj(deviation), where)


def _about(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    where: Any = True,
    *,
    mean: Any,
    correction: Any = None,
) -> Any:
    """Return the variance about a mean that is a tensor, as NumPy computes it."""
    a = metadata.as_operand(a)
    deviation = _deviation(a, axis, where, mean)
    squares = widened(real(deviation * conj(deviation)))
    total = np.sum(squares, axis=axis, dtype=dtype, keepdims=keepdims, where=where)
    freedom = _freedom(a, axis, where, ddof, correction)
    out = total / (freedom if where is True else np.reshape(freedom, total.shape))
    return narrowed(out, a) if dtype is None else out


def _root_about(a: Any, axis: Any = None, **options: Any) -> Any:
    """Return the root of `_about`; where it is 0, so is the gradient."""
    variance = _about(a, axis, **options)
    zero = np.equal(variance, 0)
    if not any_true(zero):
        return np.sqrt(variance)
    return np.where(zero, 0, np.sqrt(np.where(zero, 1, variance)))[()]


declare(np.var, var, of_tensors={"mean": _about}, inputs=spread_inputs, memory="new")
declare(np.std, std, of_tensors={"mean": _root_about}, inputs=spread_inputs, memory="new")


@whole(memory="new")
def to_ties(share: Any, hit: Any) -> Any:
    """Return the share of each tie where it is hit, and 0 elsewhere, were it infinite."""
    infinite = np.isinf(share)
    return np.where(hit, share, 0 * np.where(infinite, 0, share)) if any_true(infinite) else share * hit


declare(
    to_ties,
    lambda g, out, share, hit: to_ties(g, hit),
    inputs=lambda draw: ((draw.array((1, 3)), np.array([[True, False, True], [False, True, True]])), {}),
)


def extremum(
    g: Any,
    out: Any,
    a: Any,
    axis: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Any:
    """Of entries that tie for the extremum each gets an equal share, ``initial`` too; of NaN, all get NaN."""
    out = keep(out, axis, keepdims)
    hit = np.equal(a, out)
    if where is not True:
        hit = np.logical_and(hit, where)
    ties = np.add.reduce(hit, axis=axis, keepdims=True)
    if initial is not None:
        ties = ties + np.equal(out, initial)
    share = keep(g, axis, keepdims)
    if any_true(np.not_equal(ties, 1)):
        share = (share / np.where(ties, ties, np.nan)).astype(g.dtype)
    return to_ties(share, hit)


declare(np.max, extremum, forward=reduces(np.maximum, np.max), inputs=begun_at(-0.303, 5.0))
declare(np.min, extremum, forward=reduces(np.minimum, np.min), inputs=begun_at(0.303, -5.0))
OPS[np.amax], OPS[np.amin] = OPS[np.max], OPS[np.min]


def _ptp_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_side=1))
    return (x,), {
        "axis": draw.choice([None, *range(-x.ndim, x.ndim)]),
        "keepdims": draw.choice([False, True]),
    }


@compose(np.ptp, inputs=_ptp_inputs)
def _ptp(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


@whole(memory="new")
def products_of_others(x: Any) -> Any:
    """Along the last axis, the product of all entries but the one in question, zeros or not; shape kept."""
    with np.errstate(over="ignore", under="ignore"):
        product = np.prod(x, axis=-1, keepdims=True)
    if np.all(np.isfinite(product)) and np.all(np.abs(product) >= np.finfo(x.dtype).tiny):
        return product / x
    ones = np.ones_like(x[..., :1])
    before = np.cumprod(np.concatenate([ones, x[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([ones, x[..., :0:-1]], axis=-1), axis=-1)
    return before * after[..., ::-1]


def _products_of_others(g: Any, out: Any, x: Any) -> Any:
    """Sum over i != j of g_i times the product of all x but x_i and x_j."""
    same = np.eye(x.shape[-1], dtype=bool)
    without_i = np.where(same, 1, np.expand_dims(x, -2))
    return np.sum(np.expand_dims(g, -1) * np.where(same, 0, products_of_others(without_i)), axis=-2)


def _factors_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1, max_ndim=2, min_side=1))
    zeros = draw.choice([False, True]) & (np.arange(x.size).reshape(x.shape) % 2 == 0)
    return (np.where(zeros, 0, x),), {}


declare(products_of_others, _products_of_others, inputs=_factors_inputs)


def prod(
    g: Any,
    out: Any,
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Any:
    """The product of the other entries, right also where some are 0."""
    axes, g = axes_of(a, axis), keep(g, axis, keepdims)
    chosen = a if where is True else np.where(where, a, a.dtype.type(1))
    others = from_last(products_of_others(to_last(chosen, axes)), a.shape, axes)
    return _chosen((g if initial is None else g * float(initial)) * others, where)


declare(np.prod, prod, forward=reduces(np.multiply, np.prod), inputs=begun_at(-1.5, 0.5))


def _softmax_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1, min_side=1))
    return (x,), {"axis": draw.choice([None, (), tuple(range(x.ndim)), *range(-x.ndim, x.ndim)])}


FLOAT16 = np.dtype(np.float16)
WIDE = {np.dtype(code) for code in "fdFD"}
"""Dtypes, of those that occur often, that hold sums and counts of their entries."""


def widened(x: Any) -> Any:
    """Return x in a dtype that holds sums and counts of its entries: integers and float16 in a wider one."""
    if getattr(x, "dtype", None) in WIDE:
        return x
    x = metadata.as_operand(x)
    if x.dtype.kind in "biu":
        return x.astype(np.float64)
    return x.astype(np.float32) if x.dtype.itemsize == 2 else x


def narrowed(out: Any, *operands: Any) -> Any:
    """Return what was computed of `widened` operands in float16, if they all are."""
    for x in operands:
        if getattr(x, "dtype", None) != FLOAT16:
            return out
    return out.astype(np.float16)


def _exponentials(x: Any, axis: Any) -> tuple[Any, Any, Any]:
    """Return exp(x - top), its sum, and top: the largest entry, or 0 where that is infinite."""
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, top.dtype.type(0))
    exps = np.exp(x - top)
    return exps, np.sum(exps, axis=axis, keepdims=True), top


@dispatched
def logsumexp(x: Any, axis: Any = -1, keepdims: bool = False) -> Any:
    """Return log(sum(exp(x))) over ``axis`` (None: all), without overflow.

    The largest entry is taken out of the exponent first. All entries -inf give -inf, an entry inf gives inf.
    """
    _, total, top = _exponentials(widened(x), axis)
    out = np.log(total) + top
    return narrowed(out if keepdims else np.sum(out, axis=axis), x)


@dispatched
def softmax(x: Any, axis: Any = -1) -> Any:
    """Return exp(x) / sum(exp(x)) over ``axis``, without overflow; shape and dtype of x, float64 for integers."""
    scores = widened(x)
    exps = np.exp(scores - np.max(scores, axis=axis, keepdims=True))
    return narrowed(exps / np.sum(exps, axis=axis, keepdims=True), x)


@dispatched
def log_softmax(x: Any, axis: Any = -1) -> Any:
    """Return x - logsumexp(x) over ``axis``, exact where softmax underflows; shape and dtype as of `softmax`."""
    scores = widened(x)
    shifted = scores - np.max(scores, axis=axis, keepdims=True)
    return narrowed(shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True)), x)


@whole()
def at_infinities(weights: Any, most: Any, infinite: Any, axis: Any) -> Any:
    """Return the weights of softmax; where there are entries of inf, the ``most``, these share equally: its limit."""
    if not infinite.any():
        return weights
    share = most / np.maximum(np.sum(most, axis=axis, keepdims=True), 1)
    return np.where(infinite, share.astype(weights.dtype), weights)


declare(
    at_infinities,
    lambda g, out, weights, most, infinite, axis: np.where(infinite, 0, g),
    inputs=lambda draw: ((draw.array((2, 3)), np.ones((2, 3), bool), np.array([[False], [True]]), -1), {}),
)


def _weights(g: Any, out: Any, x: Any, axis: Any = -1, keepdims: bool = False) -> Any:
    """softmax(x), in the limit: entries of inf share equally, and where all are -inf the gradient is 0."""
    if not x.size:
        return np.zeros_like(x)
    exps, total, _ = _exponentials(widened(x), axis)
    infinite = np.isinf(keep(out, axis, keepdims))
    if not any_true(infinite):
        return keep(g, axis, keepdims) * (exps / total)
    weights = exps / np.where(infinite, total.dtype.type(1), total)
    above = np.logical_and(infinite, np.greater(keep(out, axis, keepdims), 0))
    return keep(g, axis, keepdims) * at_infinities(weights, np.equal(x, np.inf), above, axis)


declare(logsumexp, _weights, inputs=_softmax_inputs)


@whole(memory="new")
def logaddexp_reduce(x: Any, axis: Any = 0, keepdims: bool = False) -> Any:
    """Return ``np.logaddexp.reduce``: `logsumexp`, to NumPy's last bit."""
    out: Any = np.logaddexp.reduce(x, axis, keepdims=keepdims)  # type: ignore[call-overload]
    return out


@whole(memory="new")
def logaddexp2_reduce(x: Any, axis: Any = 0, keepdims: bool = False) -> Any:
    """Return ``np.logaddexp2.reduce``: the logarithm to base 2 of the sum of ``2**x``."""
    out: Any = np.logaddexp2.reduce(x, axis, keepdims=keepdims)  # type: ignore[call-overload]
    return out


declare(logaddexp_reduce, _weights, inputs=_softmax_inputs)
declare(
    logaddexp2_reduce,
    lambda g, out, x, axis=0, keepdims=False: _weights(g, out, x * math.log(2), axis, keepdims),
    inputs=_softmax_inputs,
)
declare(
    softmax,
    lambda g, out, x, axis=-1: out * (g - np.sum(g * out, axis=axis, keepdims=True)),
    inputs=_softmax_inputs,
)
declare(
    log_softmax,
    lambda g, out, x, axis=-1: g - np.exp(out) * np.sum(g, axis=axis, keepdims=True),
    inputs=_softmax_inputs,
)
