"""Rules of the functions that rearrange entries: a rule rearranges the gradient back."""

from __future__ import annotations

from typing import Any

import numpy as np

from .indexing import along, scatter
from .table import OPS, Arguments, Draw, declare


def _reshape_inputs(draw: Draw) -> Arguments:
    x = draw.array()
    shape = draw.choice([x.shape[::-1], (x.size,), (1, *x.shape), *([-1] if x.size else [])])
    return (x, shape), draw.choice([{}, {"order": "F"}])


def _reshape(a: Any, shape: Any, order: Any = "C") -> Any:
    order = _order("reshape", order, a)
    return a.reshape(shape, order=order)  # NumPy 2.0 has another name for shape


def _ravel(a: Any, order: Any = "C") -> Any:
    return np.ravel(a, _order("ravel", order, a))


def _order(name: str, order: Any, a: Any) -> Any:
    """Return an order of entries, C's where the array lies so in memory; refuse others that depend on how it lies."""
    if (
        order in ("C", "F") or type(a) is not np.ndarray
    ):  # of what stands in for an array, its method refuses the others
        return order
    if order in ("A", "K") and a.flags.c_contiguous:
        return "C"
    raise TypeError(f"numpy.{name}: no backward rule with order={order!r}; give 'C' or 'F'")


def _shaped_back(g: Any, a: Any, order: Any) -> Any:
    return np.reshape(g, a.shape, order="F" if order == "F" else "C")


declare(
    np.reshape,
    lambda g, out, a, shape, order="C": _shaped_back(g, a, order),
    forward=_reshape,
    inputs=_reshape_inputs,
    memory="view",
)
declare(
    np.ravel,
    lambda g, out, a, order="C": _shaped_back(g, a, order),
    forward=_ravel,
    inputs=lambda draw: ((draw.array(),), draw.choice([{}, {"order": "F"}])),
)


def _permutation(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1))
    turn = draw.integer(0, x.ndim - 1)
    axes = tuple(range(turn, x.ndim)) + tuple(range(turn))
    return (x,), {"axes": draw.choice([None, axes, tuple(a - x.ndim for a in axes)])}


def _transpose(g: Any, out: Any, a: Any, axes: Any = None) -> Any:
    """Undo the permutation."""
    return np.transpose(g, None if axes is None else tuple(np.argsort([axis % g.ndim for axis in axes])))


def _two_axes(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1))
    return (x, draw.integer(-x.ndim, x.ndim - 1), draw.integer(-x.ndim, x.ndim - 1)), {}


TRANSPOSE = declare(
    np.transpose,
    _transpose,
    forward=lambda a, axes=None: a.transpose(axes),
    inputs=_permutation,
    memory="view",
)
declare(np.swapaxes, lambda g, out, a, axis1, axis2: np.swapaxes(g, axis1, axis2), inputs=_two_axes)
declare(
    np.moveaxis,
    lambda g, out, a, source, destination: np.moveaxis(g, destination, source),
    inputs=_two_axes,
)
declare(
    np.expand_dims,
    lambda g, out, a, axis: np.reshape(g, a.shape),
    inputs=lambda draw: ((draw.array(), draw.choice([0, -1, (0, -1)])), {}),
)
declare(
    np.squeeze,
    lambda g, out, a, axis=None: np.reshape(g, a.shape),
    forward=lambda a, axis=None: np.squeeze(a, axis)[...],  # a view, where NumPy returns a itself
    inputs=lambda draw: (
        (draw.array((1, *draw.shape(max_ndim=2))),),
        {"axis": draw.choice([None, 0, (0,), ()])},
    ),
)


def _broadcast_inputs(draw: Draw) -> Arguments:
    small, other = draw.broadcastable(2)
    return (draw.array(small), np.broadcast_shapes(small, other)), {}


declare(np.broadcast_to, lambda g, out, array, shape: g, inputs=_broadcast_inputs, memory="view")


def any_axis(draw: Draw) -> Arguments:
    """Draw an array and one of its axes, or None."""
    x = draw.array(draw.shape(min_ndim=1))
    return (x,), {"axis": draw.choice([None, *range(-x.ndim, x.ndim)])}


declare(np.flip, lambda g, out, m, axis=None: np.flip(g, axis), inputs=any_axis, memory="view")


def _times(sign: int, shift: Any) -> Any:
    """Return a shift times 1 or -1, in Python's integers: unsigned ones would wrap."""
    return tuple([sign * int(n) for n in shift]) if np.ndim(shift) else sign * int(shift)


declare(
    np.roll,
    lambda g, out, a, shift, axis=None: np.roll(g, _times(-1, shift), axis),
    forward=lambda a, shift, axis=None: np.roll(
        a, _times(1, shift), axis
    ),  # some NumPys negate unsigned ones
    inputs=lambda draw: (
        (draw.array((3, draw.integer(0, 3))), *draw.choice([(draw.integer(-4, 4),), ((1, -2), (0, 1))])),
        {},
    ),
    memory="new",
)


def _rollaxis(g: Any, out: Any, a: Any, axis: int, start: int = 0) -> Any:
    """Roll the axis back to where it was."""
    axis, start = axis % g.ndim, start + g.ndim if start < 0 else start
    return np.moveaxis(g, start - (axis < start), axis)


declare(np.rollaxis, _rollaxis, inputs=_two_axes)


def _matrices(draw: Draw) -> Arguments:
    return (draw.array(draw.shape(min_ndim=2)),), {}


MATRIX_TRANSPOSE = declare(
    np.matrix_transpose, lambda g, out, x: g.mT, forward=lambda x: x.mT, inputs=_matrices
)
OPS[np.linalg.matrix_transpose] = MATRIX_TRANSPOSE
declare(np.flipud, lambda g, out, m: np.flipud(g), inputs=_matrices, memory="view")
declare(np.fliplr, lambda g, out, m: np.fliplr(g), inputs=_matrices, memory="view")
declare(
    np.rot90,
    lambda g, out, m, k=1, axes=(0, 1): np.rot90(g, -int(k), axes),
    inputs=lambda draw: ((draw.array(draw.shape(min_ndim=2)), draw.integer(-5, 5)), {}),
    memory="view",
)


def _widths(draw: Draw, x: Any, least: int) -> Any:
    widths = tuple((draw.integer(0, least), draw.integer(0, 2)) for _ in x.shape)
    return draw.choice([widths, 1]) if x.ndim else 0


def _pad_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_side=draw.choice([0, 1])))
    if not x.size or draw.choice([False, True]):
        return (x, _widths(draw, x, 2)), {"constant_values": 0.5}
    return (x, _widths(draw, x, 4)), {
        "mode": draw.choice(["constant", "edge", "reflect", "symmetric", "wrap"])
    }


def _pad_call(array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Arguments:
    known = mode in ("edge", "reflect", "symmetric", "wrap")
    if isinstance(pad_width, dict) or not (known or mode == "constant") or (known and options):
        raise TypeError(
            "numpy.pad: no backward rule but for mode='constant' with constant_values, and 'edge', 'reflect', "
            "'symmetric' and 'wrap' without options, and for pad_width as numbers or pairs"
        )
    return (array,), {"pad_width": pad_width, "mode": mode, **options}


def _pad(g: Any, out: Any, array: Any, pad_width: Any, mode: Any, constant_values: Any = 0) -> Any:
    """Cut constants off; add copies to what they were copied from."""
    widths = np.broadcast_to(pad_width, (array.ndim, 2)).tolist()
    if mode == "constant":
        return g[
            tuple([slice(before, before + n) for (before, _), n in zip(widths, array.shape, strict=True)])
        ]
    for axis, width in enumerate(widths):
        origin = np.pad(np.arange(array.shape[axis]), width, mode)
        shape = (*array.shape[: axis + 1], *g.shape[axis + 1 :])
        g = scatter(g, along(axis, origin), shape)
    return g


declare(np.pad, _pad, bind=_pad_call, inputs=_pad_inputs, memory="new")
