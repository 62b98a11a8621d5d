"""Softmax, its logarithm, and the logarithm of a sum of exponentials, none of which overflows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .overriding import any_true, dispatched, whole
from .reductions import keep, narrowed, widened
from .table import Arguments, Draw, declare


def _softmax_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1, min_side=1))
    return (x,), {"axis": draw.choice([None, (), tuple(range(x.ndim)), *range(-x.ndim, x.ndim)])}


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
