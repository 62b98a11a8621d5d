"""Rules of the functions that move entries and do not change them: a rule moves the gradient back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from .table import Call, Draw, compose, declare


def _reshape_inputs(draw: Draw) -> Call:
    x = draw.array()
    return (x, draw.choice([x.shape[::-1], (x.size,), (1, *x.shape), *([-1] if x.size else [])])), {}


declare(
    np.reshape,
    lambda g, out, a, shape: np.reshape(g, a.shape),
    forward=lambda a, shape: np.reshape(a, shape),  # NumPy 1.26 has another name for shape
    inputs=_reshape_inputs,
    memory="view",
)
declare(np.ravel, lambda g, out, a: np.reshape(g, a.shape), inputs=lambda draw: ((draw.array(),), {}))


def _permutation(draw: Draw) -> Call:
    x = draw.array(draw.shape(min_ndim=1))
    turn = draw.integer(0, x.ndim - 1)
    axes = tuple(range(turn, x.ndim)) + tuple(range(turn))
    return (x,), {"axes": draw.choice([None, axes, tuple(a - x.ndim for a in axes)])}


def _transpose(g: Any, out: Any, a: Any, axes: Any = None) -> Any:
    """Undo the permutation."""
    return np.transpose(g, None if axes is None else tuple(np.argsort([axis % g.ndim for axis in axes])))


def _two_axes(draw: Draw) -> Call:
    x = draw.array(draw.shape(min_ndim=1))
    return (x, draw.integer(-x.ndim, x.ndim - 1), draw.integer(-x.ndim, x.ndim - 1)), {}


declare(np.transpose, _transpose, inputs=_permutation, memory="view")
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
    inputs=lambda draw: ((draw.array((1, *draw.shape(max_ndim=2))),), {"axis": draw.choice([None, 0, (0,)])}),
)


def _broadcast_inputs(draw: Draw) -> Call:
    small, other = draw.broadcastable(2)
    return (draw.array(small), np.broadcast_shapes(small, other)), {}


declare(np.broadcast_to, lambda g, out, array, shape: g, inputs=_broadcast_inputs, memory="view")


def _flip_inputs(draw: Draw) -> Call:
    x = draw.array(draw.shape(min_ndim=1))
    return (x,), {"axis": draw.choice([None, *range(-x.ndim, x.ndim)])}


declare(np.flip, lambda g, out, m, axis=None: np.flip(g, axis), inputs=_flip_inputs, memory="view")


def _back(shift: Any) -> Any:
    return tuple(-s for s in shift) if isinstance(shift, Sequence) else -shift


declare(
    np.roll,
    lambda g, out, a, shift, axis=None: np.roll(g, _back(shift), axis),
    inputs=lambda draw: (
        (draw.array((3, draw.integer(0, 3))), *draw.choice([(draw.integer(-4, 4),), ((1, -2), (0, 1))])),
        {},
    ),
    memory="new",
)


def _pad_inputs(draw: Draw) -> Call:
    x = draw.array()
    widths = tuple((draw.integer(0, 2), draw.integer(0, 2)) for _ in x.shape)
    return (x, draw.choice([widths, 1]) if x.ndim else 0), {"constant_values": 0.5}


def _pad(
    g: Any, out: Any, array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0
) -> Any:
    """Cut the padding off."""
    widths = np.broadcast_to(pad_width, (array.ndim, 2)).tolist()
    return g[tuple(slice(before, before + n) for (before, _), n in zip(widths, array.shape, strict=True))]


def _constant_pad(array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    if mode != "constant" or isinstance(pad_width, dict):
        raise TypeError("pad: no backward rule but for mode='constant' and pad_width as numbers or pairs")
    return np.pad(array, pad_width, "constant", constant_values=constant_values)


declare(np.pad, _pad, forward=_constant_pad, inputs=_pad_inputs, memory="new")


def _list_inputs(draw: Draw) -> Call:
    shape = draw.shape(min_ndim=1)
    axis = draw.integer(-len(shape), len(shape) - 1)
    sides = [draw.integer(0, 3) for _ in range(draw.integer(1, 3))]
    at = axis % len(shape)
    return ([draw.array((*shape[:at], side, *shape[at + 1 :])) for side in sides],), {"axis": axis}


def _concatenate_call(arrays: Any, axis: Any = 0) -> Call:
    """Note where each array starts in the result, once for all of them."""
    if axis is None:
        lengths = [np.size(a) for a in arrays]
    else:
        lengths = [np.shape(a)[axis] if -np.ndim(a) <= axis < np.ndim(a) else 0 for a in arrays]
    return tuple(arrays), {"axis": axis, "starts": [0, *accumulate(lengths)]}


def _concatenate(index: int, g: Any, out: Any, *arrays: Any, axis: Any, starts: list[int]) -> Any:
    """Cut the operand's piece out."""
    piece = slice(starts[index], starts[index + 1])
    if axis is None:
        return np.reshape(g[piece], arrays[index].shape)
    return g[(slice(None),) * (axis % g.ndim) + (piece,)]


declare(
    np.concatenate,
    each=_concatenate,
    bind=_concatenate_call,
    forward=lambda *arrays, axis, starts: np.concatenate(arrays, axis),
    inputs=_list_inputs,
    memory="out",
)


def _stack_inputs(draw: Draw) -> Call:
    shape = draw.shape(max_ndim=2)
    return ([draw.array(shape) for _ in range(draw.integer(1, 3))],), {"axis": draw.integer(-1, len(shape))}


@compose(np.stack, inputs=_stack_inputs, memory="out")
def _stack(arrays: Any, axis: int = 0) -> Any:
    return np.concatenate([np.expand_dims(a, axis) for a in arrays], axis=axis)


def _split_inputs(draw: Draw) -> Call:
    x = draw.array((4, *draw.shape(max_ndim=2)))
    return (x, draw.choice([2, 4, [1, 3], [2], [3, 1], [-1]])), {"axis": 0}


@compose(np.split, inputs=_split_inputs)
def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    if np.ndim(indices_or_sections) == 0:
        lengths = [len(piece) for piece in np.split(np.arange(ary.shape[axis]), indices_or_sections)]
        indices = list(accumulate(lengths))[:-1]
    else:
        indices = list(indices_or_sections)
    before = (slice(None),) * (axis % ary.ndim)
    ends = zip([0, *indices], [*indices, None], strict=True)
    return [ary[(*before, slice(start, end))] for start, end in ends]
