"""Rules of the reductions: sums, means, products and extrema.

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
from .overriding import any_true, whole
from .table import OPS, Arguments, Draw, compose, declare


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


def count_of(a: Any, axis: Any, where: Any = True) -> Any:
    """Return the number of entries reduced to one; with ``where`` an array with the reduced axes kept."""
    if where is True:
        return a.size if axis is None else math.prod([a.shape[i] for i in axes_of(a, axis)])
    return np.sum(np.broadcast_to(where, a.shape), axis=axis, keepdims=True)


def per_entry(g: Any, count: Any) -> Any:
    """Return g / count; in float64 for float16, whose range a count may exceed, which the tape then rounds."""
    return g / (np.float64(count) if g.dtype.itemsize == 2 and not metadata.ndim(count) else count)


def where_chosen(g: Any, where: Any) -> Any:
    """Leave no gradient to the entries that ``where`` leaves out."""
    return g if where is True else np.where(where, g, 0)


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
    return where_chosen(keep(g, axis, keepdims), where)


def mean(
    g: Any, out: Any, a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, where: Any = True
) -> Any:
    """1 / n for every entry, n of which are chosen."""
    return where_chosen(per_entry(keep(g, axis, keepdims), count_of(a, axis, where)), where)


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
    is_counted = type(a.size) is int  # and is no length that jit does not know
    if others or a.dtype.char not in "fd" or not (is_counted and a.ndim and 0 < a.size < 2**24):
        return a.mean(axis=axis, keepdims=keepdims, **others)
    sums = _sum(a, axis=axis, keepdims=keepdims)
    return sums / (a.size // sums.size)


declare(np.sum, total, forward=_sum, inputs=cast_reduction)
declare(np.mean, mean, forward=_mean_forward, inputs=cast_reduction, memory="new")


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
    return where_chosen((g if initial is None else g * float(initial)) * others, where)


declare(np.prod, prod, forward=reduces(np.multiply, np.prod), inputs=begun_at(-1.5, 0.5))
