"""Differences, the trapezoidal rule and interpolation along an axis, written as slices and products."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import metadata
from .elementwise import as_floats
from .table import Arguments, Draw, compose


def _cut(axis: int, start: int | None, stop: int | None) -> tuple[Any, ...]:
    return (*(slice(None),) * axis, slice(start, stop))


def _place(x: Any, axis: int, name: str) -> int:
    """Normalize an axis; raise NumPy's AxisError if it does not exist."""
    if not -x.ndim <= axis < x.ndim:
        raise np.exceptions.AxisError(axis, x.ndim, f"numpy.{name}")
    return axis % int(x.ndim)


def _diff_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1, min_side=1))
    axis = draw.integer(-x.ndim, x.ndim - 1)
    if draw.choice([False, False, True]):
        return (x,), {}
    n = draw.integer(0, 2)
    arrays = [np.take(x, [0, 0], axis)] if n else []
    ends = [draw.choice([np._NoValue, 0.25, *arrays]) for _ in range(2)]
    return (x, n, axis, *ends), {}


@compose(np.diff, inputs=_diff_inputs)
def _diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue) -> Any:
    """Subtract neighbours, n times."""
    if n < 0:
        raise ValueError(f"numpy.diff: n is {n}; expected 0 or more")
    if n == 0:
        return a
    axis = _place(a, axis, "diff")
    line = (*a.shape[:axis], 1, *a.shape[axis + 1 :])
    ends = [
        x if x is np._NoValue or metadata.ndim(x) else np.broadcast_to(x, line) for x in (prepend, append)
    ]
    parts = [x for x in (ends[0], a, ends[1]) if x is not np._NoValue]
    a = np.concatenate(parts, axis=axis) if len(parts) > 1 else a
    for _ in range(n):
        a = a[_cut(axis, 1, None)] - a[_cut(axis, None, -1)]
    return a


def _ediff1d_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_side=1))
    ends = [(draw.array((2,)),), (draw.array((1, 2)), draw.array(())), (0.5, (0.25, 0.5)), (None, 0.5)]
    return (x, *draw.choice([(), *ends])), {}


@compose(np.ediff1d, inputs=_ediff1d_inputs)
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    flat = np.ravel(ary)
    between = flat[1:] - flat[:-1]
    joined = np.concatenate([np.ravel(x) for x in (to_begin, between, to_end) if x is not None])
    return joined if joined.dtype == between.dtype else joined.astype(between.dtype, casting="same_kind")


def _spacings(f: Any, axes: tuple[int, ...], varargs: tuple[Any, ...]) -> list[Any]:
    """Return the spacing along each axis: a number, or the array of distances between neighbours."""
    if not varargs:
        return [1.0] * len(axes)
    if len(varargs) == 1 and metadata.ndim(varargs[0]) == 0:
        return [varargs[0]] * len(axes)
    if len(varargs) != len(axes):
        raise TypeError(
            f"numpy.gradient: {len(varargs)} spacings for {len(axes)} axes; give one for all, or one for each"
        )
    spacings = []
    for x, axis in zip(varargs, axes, strict=True):
        if metadata.ndim(x) > 1 or (metadata.ndim(x) == 1 and len(x) != f.shape[axis]):
            raise ValueError(
                f"numpy.gradient: a spacing has shape {metadata.shape(x)}; expected a number, or {f.shape[axis]} "
                f"coordinates for axis {axis}"
            )
        spacings.append(np.diff(x) if metadata.ndim(x) else x)
    return spacings


def _slopes(f: Any, h: Any, axis: int, edge_order: int) -> Any:
    """Return the slope at each entry of the parabola through it and its neighbours; at the ends of a secant, or,
    with ``edge_order`` 2, of the nearest parabola.
    """
    secants = (f[_cut(axis, 1, None)] - f[_cut(axis, None, -1)]) / _column(h, f, axis)
    start, end = secants[_cut(axis, None, 1)], secants[_cut(axis, -1, None)]
    if metadata.ndim(h) == 0:
        inside = (f[_cut(axis, 2, None)] - f[_cut(axis, None, -2)]) / (2 * h)
    else:
        left, right = _column(h[:-1], f, axis), _column(h[1:], f, axis)
        inside = secants[_cut(axis, 1, None)] * left + secants[_cut(axis, None, -1)] * right
        inside = inside / (left + right)
    if edge_order == 2:
        near_start = 0.5 if metadata.ndim(h) == 0 else h[0] / (h[0] + h[1])
        near_end = 0.5 if metadata.ndim(h) == 0 else h[-1] / (h[-1] + h[-2])
        start = start + (start - secants[_cut(axis, 1, 2)]) * near_start
        end = end + (end - secants[_cut(axis, -2, -1)]) * near_end
    slopes = np.concatenate([start, inside, end], axis=axis)
    return slopes if slopes.dtype == f.dtype else slopes.astype(f.dtype)


def _column(h: Any, f: Any, axis: int) -> Any:
    """Reshape distances along an axis so that they broadcast against f."""
    return np.reshape(h, (-1,) + (1,) * (f.ndim - axis - 1)) if metadata.ndim(h) else h


def _gradient_inputs(draw: Draw) -> Arguments:
    f = draw.array(tuple(draw.integer(3, 4) for _ in range(draw.integer(1, 3))))
    axes = draw.choice([None, *range(-f.ndim, f.ndim), tuple(range(f.ndim)), tuple(range(-f.ndim, 0))])
    along = range(f.ndim) if axes is None else axes if isinstance(axes, tuple) else (axes,)
    places = [np.cumsum(np.linspace(0.5, 1.5, f.shape[axis])).astype(f.dtype) - 0.75 for axis in along]
    spacings = draw.choice([(), (0.5,), tuple(0.5 + axis for axis in range(len(places))), tuple(places)])
    return (f, *spacings), {"axis": axes, "edge_order": draw.choice([1, 2])}


@compose(np.gradient, inputs=_gradient_inputs)
def _gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    if edge_order not in (1, 2):
        raise ValueError(f"numpy.gradient: edge_order is {edge_order}; expected 1 or 2")
    f = as_floats(f if hasattr(f, "dtype") else np.asarray(f))
    given = range(f.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(_place(f, each, "gradient") for each in given)
    for each in axes:
        if f.shape[each] <= edge_order:
            raise ValueError(
                f"numpy.gradient: axis {each} has length {f.shape[each]}; expected {edge_order + 1} or more"
            )
    slopes = [
        _slopes(f, h, each, edge_order) for h, each in zip(_spacings(f, axes, varargs), axes, strict=True)
    ]
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


def _trapezoid_inputs(draw: Draw) -> Arguments:
    y = draw.array(draw.shape(min_ndim=1, min_side=1))
    axis = draw.integer(-y.ndim, y.ndim - 1)
    if draw.choice([False, True]):
        return (y, draw.array(draw.choice([y.shape, (y.shape[axis],)]))), {"axis": axis}
    return (y,), {"axis": axis, **draw.choice([{}, {"dx": 0.5}])}


def _trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = y if hasattr(y, "dtype") else np.asarray(y)
    axis = _place(y, axis, "trapezoid")
    if x is None:
        h = dx
    elif metadata.ndim(x) == 1:
        h = _column(np.diff(x), y, axis)
    else:
        h = np.diff(x, axis=axis)
    return np.sum(h * (y[_cut(axis, 1, None)] + y[_cut(axis, None, -1)]) / 2.0, axis=axis)


compose(np.trapezoid, inputs=_trapezoid_inputs)(_trapezoid)


def _interp_inputs(draw: Draw) -> Arguments:
    n = draw.integer(2, 4)
    xp = np.asarray(np.sort(draw.array((n,)), axis=0))
    options = draw.choice([{}, {"left": 0.5}, {"right": -0.5}, {"period": 5.0}, {"period": -2.5}])
    return (draw.array(low=-3.0, high=3.0), xp, draw.array((n,))), options


@compose(np.interp, inputs=_interp_inputs)
def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Of float64, as NumPy's. At a node the slope for x is that to its right."""
    x, xp, fp = (
        each.astype(np.float64) if hasattr(each, "dtype") else np.asarray(each, float) for each in (x, xp, fp)
    )
    if xp.ndim != 1 or fp.ndim != 1 or len(xp) != len(fp) or not len(xp):
        raise ValueError(
            f"numpy.interp: xp has shape {xp.shape} and fp {fp.shape}; expected one length, 1 or more"
        )
    if period is not None:
        period = abs(float(period))
        x, xp = x % period, xp % period
        order = np.argsort(xp)
        xp, fp = xp[order], fp[order]
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
        left = right = None
    before, after, end = xp[0], xp[-1], fp[-1]
    out = np.zeros_like(x) + end
    if len(xp) > 1:
        segment = np.clip(np.searchsorted(xp, x, side="right") - 1, 0, len(xp) - 2)
        slopes = (fp[1:] - fp[:-1]) / (xp[1:] - xp[:-1])
        inside = slopes[segment] * (x - xp[segment]) + fp[segment]
        out = np.where(np.greater_equal(x, after), end, inside)
    out = np.where(np.less(x, before), fp[0] if left is None else left, out)
    return out if right is None else np.where(np.greater(x, after), right, out)
