"""Rules of sort, partition, median and the quantiles.

Of equal entries the first in the array counts as the smaller one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import metadata
from .indexing import line_by_line, setitem
from .reductions import axes_of, from_last, to_last
from .shaping import any_axis
from .table import Arguments, Draw, Rule, declare


def _order(x: Any, axis: int) -> Any:
    return np.argsort(x, axis=axis, kind="stable")


def _back_in_place(g: Any, out: Any, a: Any, axis: Any = -1, kind: Any = None, stable: Any = None) -> Any:
    """Each entry has the gradient of the place that it was moved to."""
    if axis is None:
        return np.reshape(_back_in_place(g, out, np.ravel(a)), a.shape)
    return _moved_back(g, _order(a, axis), axis)


def _moved_back(x: Any, order: Any, axis: int) -> Any:
    """Return each entry of x where an order has taken it from: the inverse of `numpy.take_along_axis`."""
    return setitem(np.zeros_like(x), x, line_by_line(order, x.shape, axis % x.ndim))


def _partition(g: Any, out: Any, a: Any, kth: Any, axis: Any = -1, kind: str = "introselect") -> Any:
    """Sort the entries of out, too: they were moved to where those of a rank are."""
    if axis is None:
        return np.reshape(_partition(g, out, np.ravel(a), kth), a.shape)
    by_rank = np.take_along_axis(g, _order(out, axis), axis=axis)
    return _moved_back(by_rank, _order(a, axis), axis)


def _ranks(x: Any) -> Any:
    """Return how many entries of its line come before each entry in order."""
    order = _order(x, -1)
    return _moved_back(np.zeros_like(order) + np.arange(x.shape[-1]), order, -1)


def _partition_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1, min_side=2))
    return (x, draw.choice([0, 1, -1, (0, 1)])), {"axis": draw.choice([None, *range(-x.ndim, x.ndim)])}


declare(np.sort, _back_in_place, inputs=any_axis)
declare(np.partition, _partition, inputs=_partition_inputs, memory="new")


def _between_ranks(
    function: Callable[..., Any], g: Any, a: Any, q: Sequence[Any], axis: Any, options: Any
) -> Any:
    """Weigh the entries that a quantile lies between: the same quantile of their ranks tells which, and where.

    An entry whose rank is less than 1 from the quantile of the ranks has the rest as its weight.
    """
    axes = axes_of(a, axis)
    lines = to_last(a, axes)
    ranks = np.where(np.isnan(lines), np.nan, _ranks(lines))
    options = {name: _by_line(x, a, axes) if name == "weights" else x for name, x in options.items()}
    place = function(ranks, *q, axis=-1, **options)
    weights = np.maximum(1 - np.abs(np.expand_dims(place, -1) - ranks), 0)
    weights = np.where(np.isnan(weights) & np.isnan(lines), 0, weights)
    products = np.reshape(g, (*place.shape, 1)) * weights
    return from_last(np.sum(products, axis=tuple(range(products.ndim - lines.ndim))), a.shape, axes)


def _by_line(weights: Any, a: Any, axes: tuple[int, ...]) -> Any:
    """Return the weights of each line: one set for all lines, or one weight for each entry."""
    return to_last(np.asarray(weights), axes) if metadata.shape(weights) == a.shape else weights


def _median(function: Callable[..., Any]) -> Rule:
    """Make the rule of a median: the gradient goes to the middle entry, or half of it to each of the two."""

    def rule(g: Any, out: Any, a: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return _between_ranks(function, g, a, (), axis, {})

    return rule


def _quantile(function: Callable[..., Any]) -> Rule:
    """Make the rule of a quantile: the gradient goes to the entries that it lies between, as they weigh in it."""

    def rule(
        g: Any,
        out: Any,
        a: Any,
        q: Any,
        axis: Any = None,
        method: str = "linear",
        keepdims: bool = False,
        weights: Any = None,
    ) -> Any:
        options = {"method": method} if weights is None else {"method": method, "weights": weights}
        return _between_ranks(function, g, a, (q,), axis, options)

    return rule


def _line_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1, min_side=1))
    axes = [None, *range(-x.ndim, x.ndim), *([(0, 1), (-1, 0)] if x.ndim > 1 else [])]
    return (x,), {"axis": draw.choice(axes), "keepdims": draw.choice([False, True])}


METHODS = ("linear", "lower", "higher", "nearest", "midpoint", "hazen", "weibull", "inverted_cdf")


def _quantile_inputs(percent: int) -> Callable[[Draw], Arguments]:
    def inputs(draw: Draw) -> Arguments:
        (x,), options = _line_inputs(draw)
        q = draw.choice([0, 0.3 * percent, percent, [0.15 * percent, 0.55 * percent], [[0.9 * percent]]])
        return (x, q), {**options, "method": draw.choice(METHODS)}

    return inputs


declare(np.median, _median(np.median), inputs=_line_inputs, memory="new")
declare(np.nanmedian, _median(np.nanmedian), inputs=_line_inputs, memory="new")
declare(np.quantile, _quantile(np.quantile), inputs=_quantile_inputs(1), memory="new")
declare(np.nanquantile, _quantile(np.nanquantile), inputs=_quantile_inputs(1), memory="new")
declare(np.percentile, _quantile(np.percentile), inputs=_quantile_inputs(100), memory="new")
declare(np.nanpercentile, _quantile(np.nanpercentile), inputs=_quantile_inputs(100), memory="new")
