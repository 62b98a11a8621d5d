"""Differences and the trapezoidal rule along an axis, written as slices and products."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import metadata
from .elementwise import as_floats
from .indexing import along
from .table import Arguments, Draw, compose, declare, fitted


def _cut(axis: int, start: int | None, stop: int | None) -> tuple[Any, ...]:
    return along(axis, slice(start, stop))


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


def _diff_call(
    a: Any, n: int = 1, axis: int = -1, prepend: Any = np._NoValue, append: Any = np._NoValue
) -> Arguments:
    """Join the ends to the array."""
    if n < 0:
        raise ValueError(f"numpy.diff: n is {n}; expected 0 or more")
    a = metadata.as_operand(a)
    if n and not prepend is append is np._NoValue:
        place = _place(a, axis, "diff")
        line = (*a.shape[:place], 1, *a.shape[place + 1 :])
        parts = [x for x in (prepend, a, append) if x is not np._NoValue]
        a = np.concatenate([x if metadata.ndim(x) else np.broadcast_to(x, line) for x in parts], axis=place)
    return (a,), {"n": n, "axis": axis}


def _differences(a: Any, n: int, axis: int) -> Any:
    """Subtract neighbours, n times."""
    axis = _place(a, axis, "diff")
    for _ in range(n):
        a = a[_cut(axis, 1, None)] - a[_cut(axis, None, -1)]
    return a if n else a[...]


def _between_zeros(g: Any, axis: int, n: int = 1) -> Any:
    """Put n zeros before and behind each line along an axis."""
    zeros = np.zeros((*g.shape[:axis], n, *g.shape[axis + 1 :]), g.dtype)
    return np.concatenate([zeros, g, zeros], axis=axis)


def _diff(g: Any, out: Any, a: Any, n: int, axis: int) -> Any:
    """Each difference is its later entry less the earlier."""
    axis %= a.ndim
    n = min(n, a.shape[axis])
    g = _between_zeros(g, axis, n)
    for _ in range(n):
        g = g[_cut(axis, None, -1)] - g[_cut(axis, 1, None)]
    return g


declare(np.diff, _diff, bind=_diff_call, forward=_differences, inputs=_diff_inputs)


def _ediff1d_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_side=1))
    ends = [(draw.array((2,)),), (draw.array((1, 2)), draw.array(())), (0.5, (0.25, 0.5)), (None, 0.5)]
    return (x, *draw.choice([(), *ends])), {}


@compose(np.ediff1d, inputs=_ediff1d_inputs)
def _ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    between = np.diff(np.ravel(ary))
    if to_begin is to_end is None:
        return between
    joined = np.concatenate([np.ravel(x) for x in (to_begin, between, to_end) if x is not None])
    dtype = metadata.as_operand(ary).dtype
    return joined if joined.dtype == dtype else joined.astype(dtype, casting="same_kind")


def _spacings(f: Any, axes: tuple[int, ...], varargs: tuple[Any, ...]) -> list[Any]:
    """Return the spacing along each axis: a number, or the array of distances between neighbours."""
    if not varargs:
        return [1.0] * len(axes)
    if len(varargs) == 1 and metadata.ndim(varargs[0]) == 0:
        return [as_floats(varargs[0])] * len(axes)
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
        x = as_floats(metadata.as_operand(x))
        spacings.append(np.diff(x) if x.ndim else x)
    return spacings


def _slopes(f: Any, h: Any, axis: int, edge_order: int) -> Any:
    """Return the slope at each entry of the parabola through it and its neighbours; at the ends of a secant, or,
    with ``edge_order`` 2, of the nearest parabola.
    """
    secants = np.diff(f, axis=axis) / _column(h, f, axis)
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
    f = as_floats(metadata.as_operand(f))
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


def _trapezoid_call(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Arguments:
    """Return the entries, and the distances between neighbours."""
    y = metadata.as_operand(y)
    place = _place(y, axis, "trapezoid")
    if x is None:
        return (y, dx), {"axis": axis}
    return (y, _column(np.diff(x), y, place) if metadata.ndim(x) == 1 else np.diff(x, axis=axis)), {
        "axis": axis
    }


def _pairs(y: Any, axis: int) -> Any:
    """Return the sums of neighbours."""
    return y[_cut(axis, 1, None)] + y[_cut(axis, None, -1)]


def _trapezoid_y(g: Any, out: Any, y: Any, h: Any, axis: int) -> Any:
    """Half a distance for both ends of it."""
    place = axis % y.ndim
    if not y.shape[place]:
        return np.zeros_like(y)
    shape = (*y.shape[:place], y.shape[place] - 1, *y.shape[place + 1 :])
    of_pairs = fitted(np.expand_dims(g, axis) * h / 2, shape)
    return _pairs(_between_zeros(of_pairs, place), place)


declare(
    np.trapezoid,
    _trapezoid_y,
    lambda g, out, y, h, axis: np.expand_dims(g, axis) * _pairs(y, axis % y.ndim) / 2,
    bind=_trapezoid_call,
    forward=lambda y, h, axis: np.sum(h * _pairs(y, axis % y.ndim) / 2.0, axis=axis),
    inputs=_trapezoid_inputs,
    memory="new",
)
