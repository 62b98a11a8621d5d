"""NumPy's functions that call a Python function for each of many parts of an array: it gets tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .metadata import as_joined, as_operand
from .table import Arguments, Draw, compose


def _along_axis_inputs(draw: Draw) -> Arguments:
    arr = draw.array(draw.shape(min_ndim=1, min_side=1))
    function = draw.choice([np.cumsum, np.sum, np.diagflat])
    return (function, draw.integer(-arr.ndim, arr.ndim - 1), arr), {}


@compose(np.apply_along_axis, inputs=_along_axis_inputs)
def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a function on each line along an axis; see `numpy.apply_along_axis`."""
    arr = as_operand(arr)
    if not -arr.ndim <= axis < arr.ndim:
        raise np.exceptions.AxisError(axis, arr.ndim)
    lines = np.moveaxis(arr, axis, -1)
    lead = lines.shape[:-1]
    if 0 in lead:
        raise ValueError("numpy.apply_along_axis: an axis that is iterated over has length 0")
    results = [as_joined(func1d(lines[place], *args, **kwargs)) for place in np.ndindex(*lead)]
    shape, dtype = results[0].shape, results[0].dtype  # into an array like the first, NumPy writes the others
    for i, x in enumerate(results):
        if (x.shape, x.dtype) != (shape, dtype):
            results[i] = np.broadcast_to(x, shape).astype(dtype)
    out = np.reshape(np.stack(results), (*lead, *shape))
    at = axis % arr.ndim
    return np.moveaxis(out, range(len(lead), out.ndim), range(at, at + len(shape)))


def _over_axes_inputs(draw: Draw) -> Arguments:
    a = draw.array(draw.shape(min_ndim=1))
    return (draw.choice([np.sum, np.cumsum]), a, draw.choice([0, [-1], list(range(a.ndim))])), {}


@compose(np.apply_over_axes, inputs=_over_axes_inputs)
def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Any:
    """Call a function of an array and an axis with one axis after the other; see `numpy.apply_over_axes`."""
    ndim = a.ndim
    for axis in [axes] if np.ndim(axes) == 0 else axes:
        axis = axis + ndim if axis < 0 else axis
        result = func(a, axis)
        if result.ndim != ndim:
            result = np.expand_dims(result, axis)
            if result.ndim != ndim:
                raise ValueError(
                    f"numpy.apply_over_axes: the function returned {result.ndim - 1} axes; expected {ndim} or one less"
                )
        a = result
    return a


def _piecewise_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_side=1))  # of no entries, no function is called
    functions = [np.cumsum, np.sin, np.cos]
    return (x, [(x < -0.5).tolist(), (x > 0.5).tolist()], functions[: draw.choice([3, 2])]), {}


@compose(np.piecewise, inputs=_piecewise_inputs)
def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """Call each function on the entries where its condition holds; see `numpy.piecewise`."""
    if np.isscalar(condlist) or (x.ndim and not isinstance(condlist[0], (list, np.ndarray))):
        condlist = [condlist]
    masks = np.stack([as_operand(each).astype(bool) for each in condlist])
    if len(masks) == len(funclist) - 1:
        masks = np.concatenate([masks, ~np.any(masks, axis=0, keepdims=True)])
    elif len(masks) != len(funclist):
        raise ValueError(
            f"numpy.piecewise: got {len(masks)} conditions and {len(funclist)} functions; expected as many, or one more"
        )
    y = np.zeros_like(x)
    for mask, function in zip(masks, funclist, strict=True):
        if not callable(function):
            y[mask] = function
            continue
        part = x[mask]
        if type(part.size) is not int or part.size:  # of no entries no function is called, unless jit traces
            y[mask] = function(part, *args, **kw)
    return y
