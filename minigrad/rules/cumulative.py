"""Rules of running sums and products along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import metadata
from .overriding import whole
from .table import Arguments, Draw, compose, declare


def along(draw: Draw) -> Arguments:
    """Draw an array and an axis; or none, for all entries in C's order."""
    if draw.choice([False, False, True]):
        return (draw.array(),), {}
    x = draw.array(draw.shape(min_ndim=1))
    return (x,), {"axis": draw.integer(-x.ndim, x.ndim - 1), "dtype": draw.choice([None, np.float64])}


def _by_lines(rule: Any) -> Any:
    """Adapt a rule written for the last axis to any axis, or to none (all entries, in C order)."""

    def with_axis(g: Any, out: Any, a: Any, axis: Any = None, dtype: Any = None) -> Any:
        if axis is None or not a.ndim:
            return np.reshape(rule(g, out, np.ravel(a)), a.shape)
        moved = [np.moveaxis(x, axis, -1) for x in (g, out, a)]
        return np.moveaxis(rule(*moved), -1, axis)

    return with_axis


def cumsum(g: Any, out: Any, a: Any, axis: Any = None, dtype: Any = None) -> Any:
    """Entry i is in every sum from the i-th on."""
    if axis is None:
        return np.reshape(np.cumsum(g[::-1])[::-1], a.shape)
    return np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis)


@whole(memory="new")
def recurrence(a: Any, b: Any) -> Any:
    """Return y along the last axis with y[0] = b[0] and y[i] = b[i] + a[i] y[i - 1]; of b's shape and dtype."""
    y = np.array(b)
    for i in range(1, y.shape[-1]):
        y[..., i] += a[..., i] * y[..., i - 1]
    return y


def _shifted(x: Any, first: int) -> Any:
    """Return x shifted by one along the last axis, with a new first entry."""
    return np.concatenate(
        [np.full((*x.shape[:-1], min(1, x.shape[-1])), first, x.dtype), x[..., :-1]], axis=-1
    )


def recurrence_b(g: Any, out: Any, a: Any, b: Any) -> Any:
    """The recurrence run backwards, with a[i + 1] in place of a[i]."""
    return np.flip(recurrence(_shifted(np.flip(a, -1), 0), np.flip(g, -1)), -1)


declare(
    recurrence,
    lambda g, out, a, b: recurrence_b(g, out, a, b) * _shifted(out, 0),
    recurrence_b,
    inputs=lambda draw: (lambda shape: ((draw.array(shape), draw.array(shape)), {}))(draw.shape(min_ndim=1)),
)


def _cumprod(g: Any, out: Any, a: Any) -> Any:
    """The product of the entries before i, times sum over j >= i of g_j and the product from i + 1 to j.

    No division by an entry: right for zeros, too.
    """
    return _shifted(out, 1) * recurrence_b(g, out, a, g)


cumprod = _by_lines(_cumprod)

declare(np.cumsum, cumsum, inputs=along, memory="out")
declare(np.cumprod, cumprod, inputs=along, memory="out")


def _cumulative(ufunc: np.ufunc, running: Any, first: int) -> Any:
    """Express an array API function by NumPy's cumsum or cumprod; ``include_initial`` prepends the neutral element."""

    def call(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> Any:
        if axis is None:
            if metadata.ndim(x) > 1:
                raise ValueError(
                    f"numpy.{running.__name__}: x has {metadata.ndim(x)} axes; give the axis along which to go"
                )
            axis = 0
        if isinstance(axis, tuple) and not include_initial:
            axis = metadata.one_axis(ufunc, metadata.as_operand(x), axis)
        y = running(x, axis=axis, dtype=dtype)
        if not include_initial:
            return y
        shape = list(y.shape)
        shape[axis] = 1
        return np.concatenate([np.full(tuple(shape), first, y.dtype), y], axis=axis)

    return call


def _cumulative_inputs(draw: Draw) -> Arguments:
    call, options = along(draw)
    if "axis" not in options:
        return (draw.array((3,)),), {"include_initial": True}
    return call, {**options, **draw.choice([{}, {"include_initial": True}])}


if hasattr(np, "cumulative_sum"):  # NumPy 2.1
    compose(np.cumulative_sum, inputs=_cumulative_inputs)(_cumulative(np.add, np.cumsum, 0))
    compose(np.cumulative_prod, inputs=_cumulative_inputs)(_cumulative(np.multiply, np.cumprod, 1))
