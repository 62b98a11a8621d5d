"""Numbers at even distances between ends that may have a gradient: `numpy.linspace`, and powers of them."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from .metadata import as_operand, outline
from .table import Arguments, Draw, compose


def _like(x: Any) -> Any:
    """Return what NumPy computes the same shape and dtype of."""
    return outline(x.shape, x.dtype) if hasattr(x, "dtype") else x


def _linspace_inputs(draw: Draw) -> Arguments:
    ends = [draw.array(shape) for shape in draw.broadcastable(2)]
    options = {"num": draw.choice([3, 0, 1, 2]), "endpoint": draw.choice([True, False])}
    return tuple(ends), {**options, "axis": draw.choice([0, -1])}


@compose(np.linspace, inputs=_linspace_inputs, memory="new")
def _linspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: Any = True,
    retstep: Any = False,
    dtype: Any = None,
    axis: Any = 0,
    *,
    device: Any = None,
) -> Any:
    num = index(num)
    like = np.linspace(_like(start), _like(stop), num, axis=axis)  # raises what NumPy raises
    count = num - 1 if endpoint else num
    start, stop = as_operand(start).astype(like.dtype), as_operand(stop).astype(like.dtype)
    difference = stop - start
    steps = np.arange(num, dtype=like.dtype).reshape(-1, *[1] * difference.ndim)
    step = difference / count if count > 0 else np.nan
    y = steps * (step if count > 0 else difference) + start
    if endpoint and num > 1:
        y = np.concatenate([y[:-1], np.broadcast_to(stop, (1, *difference.shape))])
    y = np.moveaxis(y, 0, axis)
    if dtype is not None:
        y = (np.floor(y) if np.issubdtype(dtype, np.integer) else y).astype(dtype)
    return (y, step) if retstep else y


@compose(np.logspace, inputs=_linspace_inputs, memory="new")
def _logspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: Any = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: Any = 0,
) -> Any:
    if np.ndim(base):
        ndim = max(map(np.ndim, (start, stop, base)))
        start, stop, base = (
            np.reshape(x, (*[1] * (ndim - np.ndim(x)), *np.shape(x))) for x in (start, stop, base)
        )
        base = np.expand_dims(base, axis)
    powers = np.power(base, np.linspace(start, stop, num, endpoint, axis=axis))
    return powers if dtype is None else powers.astype(dtype)
