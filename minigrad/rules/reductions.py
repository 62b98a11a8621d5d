"""Rules of the functions that take axes away, and of cumsum.

Where ``axis`` and ``keepdims`` appear they are NumPy's. A gradient may keep the reduced axes at length 1;
the tape spreads it over the operand.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .table import OPS, Call, Draw, declare, dispatched, whole


def _keep(g: Any, axis: Any, keepdims: bool) -> Any:
    """Put the reduced axes back into g, at length 1."""
    return g if keepdims or axis is None else np.expand_dims(g, axis)


def _count(x: Any, axis: Any) -> int:
    """Return how many entries of x go into one of the result."""
    if axis is None:
        return int(x.size)
    axes = axis if isinstance(axis, tuple) else (axis,)
    return int(np.prod([x.shape[a] for a in axes]))


def _reduction(draw: Draw, **options: Any) -> Call:
    x = draw.array(draw.shape(min_side=1))
    axes: list[Any] = [None, *range(-x.ndim, x.ndim)]
    if x.ndim > 1:
        axes += [(0, 1), (-1, 0)]
    return (x,), {"axis": draw.choice(axes), "keepdims": draw.choice([False, True]), **options}


def _spread_inputs(draw: Draw) -> Call:
    """Draw at least three entries an average, so that ddof = 1 leaves some."""
    x = draw.array((draw.integer(3, 4), draw.integer(3, 4)))
    return (x,), {
        "axis": draw.choice([None, 0, -1, (0, 1)]),
        "ddof": draw.choice([0, 1]),
        "keepdims": draw.choice([False, True]),
    }


def _along(draw: Draw) -> Call:
    x = draw.array(draw.shape(min_ndim=1))
    return (x,), {"axis": draw.integer(-x.ndim, x.ndim - 1)}


declare(np.sum, lambda g, out, a, axis=None, keepdims=False: _keep(g, axis, keepdims), inputs=_reduction)
declare(
    np.mean,
    lambda g, out, a, axis=None, keepdims=False: _keep(g, axis, keepdims) / _count(a, axis),
    inputs=_reduction,
    memory="new",
)


def _var(g: Any, out: Any, a: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """2 (a - mean) / (n - ddof): what a moves the mean by cancels."""
    deviation = a - np.mean(a, axis=axis, keepdims=True)
    return _keep(g, axis, keepdims) * deviation * np.divide(2.0, max(_count(a, axis) - ddof, 0))


def _std(g: Any, out: Any, a: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """(a - mean) / ((n - ddof) std); at std = 0 the subgradient 0."""
    deviation = a - np.mean(a, axis=axis, keepdims=True)
    scale = _keep(np.where(np.equal(out, 0), 1, out), axis, keepdims)
    return _keep(g, axis, keepdims) * deviation / scale / max(_count(a, axis) - ddof, 0)


declare(np.var, _var, inputs=_spread_inputs, memory="new")
declare(np.std, _std, inputs=_spread_inputs, memory="new")


def _extremum(g: Any, out: Any, a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Of entries that tie for the extremum each gets an equal share."""
    hit = np.equal(a, _keep(out, axis, keepdims))
    share = hit / np.sum(hit, axis=axis, keepdims=True, dtype=g.dtype)
    return _keep(g, axis, keepdims) * share


declare(np.max, _extremum, inputs=_reduction)
declare(np.min, _extremum, inputs=_reduction)
OPS[np.amax], OPS[np.amin] = OPS[np.max], OPS[np.min]


@whole(memory="new")
def products_of_others(x: Any) -> Any:
    """Along the last axis, the product of all entries but the one in question, zeros or not; shape kept."""
    ones = np.ones_like(x[..., :1])
    before = np.cumprod(np.concatenate([ones, x[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([ones, x[..., :0:-1]], axis=-1), axis=-1)
    return before * after[..., ::-1]


def _products_of_others(g: Any, out: Any, x: Any) -> Any:
    """Sum over i != j of g_i times the product of all x but x_i and x_j."""
    same = np.eye(x.shape[-1], dtype=bool)
    without_i = np.where(same, 1, np.expand_dims(x, -2))
    return np.sum(np.expand_dims(g, -1) * np.where(same, 0, products_of_others(without_i)), axis=-2)


declare(
    products_of_others,
    _products_of_others,
    inputs=lambda draw: ((draw.array(draw.shape(min_ndim=1, max_ndim=2, min_side=1)),), {}),
)


def _prod(g: Any, out: Any, a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The product of the other entries, right also where some are 0."""
    axes = tuple(range(a.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    ends = tuple(range(-len(axes), 0))
    last = np.moveaxis(a, axes, ends)
    kept = last.shape[: a.ndim - len(axes)]
    others = products_of_others(np.reshape(last, (*kept, _count(a, axis))))
    return _keep(g, axis, keepdims) * np.moveaxis(np.reshape(others, last.shape), ends, axes)


declare(np.prod, _prod, inputs=_reduction)


def _cumsum(g: Any, out: Any, a: Any, axis: Any = None) -> Any:
    """Entry i is in every sum from the i-th on."""
    if axis is None:
        return np.reshape(np.cumsum(g[::-1])[::-1], a.shape)
    return np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis)


declare(
    np.cumsum,
    _cumsum,
    inputs=lambda draw: draw.choice([_along(draw), ((draw.array(),), {})]),
    memory="out",
)


def _softmax_inputs(draw: Draw) -> Call:
    x = draw.array(draw.shape(min_ndim=1, min_side=1))
    return (x,), {"axis": draw.integer(-x.ndim, x.ndim - 1)}


@dispatched
def logsumexp(x: Any, axis: Any = -1, keepdims: bool = False) -> Any:
    """Return log(sum(exp(x))) over ``axis`` (None: all), without overflow.

    The largest entry is taken out of the exponent first; all entries -inf give -inf.
    """
    top = np.max(x, axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, np.zeros_like(top))
    out = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return out if keepdims else np.sum(out, axis=axis)


@dispatched
def softmax(x: Any, axis: Any = -1) -> Any:
    """Return exp(x) / sum(exp(x)) over ``axis``, without overflow; shape and dtype of x."""
    exps = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return exps / np.sum(exps, axis=axis, keepdims=True)


@dispatched
def log_softmax(x: Any, axis: Any = -1) -> Any:
    """Return x - logsumexp(x) over ``axis``, exact where softmax underflows; shape and dtype of x."""
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


declare(
    logsumexp,
    lambda g, out, x, axis=-1, keepdims=False: _keep(g, axis, keepdims) * softmax(x, axis=axis),
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
