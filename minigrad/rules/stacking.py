"""Rules of the functions that join arrays, cut them, and repeat, insert or leave out entries."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import index
from typing import Any

import numpy as np

from . import metadata
from .indexing import scatter
from .table import Arguments, Draw, compose, declare


def _list_inputs(draw: Draw) -> Arguments:
    shape = draw.shape(min_ndim=1)
    axis = draw.integer(-len(shape), len(shape) - 1)
    sides = [draw.integer(0, 3) for _ in range(draw.integer(1, 3))]
    at = axis % len(shape)
    return ([draw.array((*shape[:at], side, *shape[at + 1 :])) for side in sides],), {"axis": axis}


def _joined_inputs(draw: Draw) -> Arguments:
    """Draw arrays that fit along an axis, or of any shapes, with ``axis`` None."""
    if draw.choice([False, False, True]):
        return ([draw.array() for _ in range(draw.integer(1, 3))],), {"axis": None}
    return _list_inputs(draw)


def _concatenate_call(arrays: Any, axis: Any = 0) -> Arguments:
    return tuple(arrays), {"axis": axis}


def _concatenate(needs: Sequence[Any], g: Any, out: Any, *arrays: Any, axis: Any) -> list[Any]:
    """Slice each operand's piece out of g."""
    before = () if axis is None else (slice(None),) * (axis % g.ndim)
    lengths = [metadata.size(a) if axis is None else a.shape[axis] for a in arrays]
    ends = list(accumulate(lengths))
    pieces = [
        g[(*before, slice(end - length, end))] if need else None
        for need, length, end in zip(needs, lengths, ends, strict=True)
    ]
    if axis is not None:
        return pieces
    return [
        piece if piece is None else np.reshape(piece, a.shape)
        for piece, a in zip(pieces, arrays, strict=True)
    ]


declare(
    np.concatenate,
    together=_concatenate,
    bind=_concatenate_call,
    forward=lambda *arrays, axis: np.concatenate(arrays, axis),
    inputs=_joined_inputs,
    memory="out",
)


def _stack_inputs(draw: Draw) -> Arguments:
    shape = draw.shape(max_ndim=2)
    return ([draw.array(shape) for _ in range(draw.integer(1, 3))],), {"axis": draw.integer(-1, len(shape))}


def _stack(needs: Sequence[Any], g: Any, out: Any, *arrays: Any, axis: int) -> list[Any]:
    """Take each operand's slice of g."""
    before = (slice(None),) * (axis % g.ndim)
    return [g[(*before, i)] if need else None for i, need in enumerate(needs)]


declare(
    np.stack,
    together=_stack,
    bind=lambda arrays, axis=0: (tuple(arrays), {"axis": axis}),
    forward=lambda *arrays, axis: np.stack(arrays, axis),
    inputs=_stack_inputs,
    memory="out",
)


AT_LEAST = {np.atleast_1d: 1, np.atleast_2d: 2, np.atleast_3d: 3}
"""The least number of axes of their results."""


def _with_axes(function: Any, a: Any) -> Any:
    """Return what np.atleast_1d, 2d or 3d make of one array, as a change of shape."""
    if getattr(a, "ndim", 0) >= AT_LEAST[function]:
        return a
    return np.reshape(a, function(metadata.outline(metadata.shape(a))).shape)


def _at_least(function: Any) -> Any:
    """Return np.atleast_1d, 2d or 3d for any number of arrays."""

    def reshaped(*arys: Any) -> Any:
        several = [_with_axes(function, a) for a in arys]
        return several[0] if len(several) == 1 else type(function(0, 0))(several)

    return reshaped


def _some_arrays(draw: Draw) -> Arguments:
    return tuple([draw.array(draw.shape(max_ndim=2)) for _ in range(draw.integer(1, 2))]), {}


for _function in AT_LEAST:
    compose(_function, inputs=_some_arrays)(_at_least(_function))


def _alike(draw: Draw) -> Arguments:
    shape = draw.shape()
    return ([draw.array(shape) for _ in range(draw.integer(1, 3))],), {}


@compose(np.hstack, inputs=_alike)
def _hstack(tup: Any) -> Any:
    arrays = [_with_axes(np.atleast_1d, a) for a in tup]
    return np.concatenate(arrays, axis=0 if arrays and arrays[0].ndim == 1 else 1)


@compose(np.vstack, inputs=_alike)
def _vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Any:
    if dtype is not None:
        raise TypeError("numpy.vstack: no backward rule with dtype; write np.vstack(arrays).astype(dtype)")
    return np.concatenate([_with_axes(np.atleast_2d, a) for a in tup], axis=0)


@compose(np.dstack, inputs=_alike)
def _dstack(tup: Any) -> Any:
    return np.concatenate([_with_axes(np.atleast_3d, a) for a in tup], axis=2)


def _columns(draw: Draw) -> Arguments:
    return ([draw.array((3,)), draw.array((3, draw.integer(0, 2)))],), {}


@compose(np.column_stack, inputs=_columns)
def _column_stack(tup: Any) -> Any:
    return np.concatenate([a if metadata.ndim(a) > 1 else np.reshape(a, (-1, 1)) for a in tup], axis=1)


def _append_inputs(draw: Draw) -> Arguments:
    shape = draw.shape(min_ndim=1)
    return (draw.array(shape), draw.array(shape)), {"axis": draw.choice([None, 0, -1])}


@compose(np.append, inputs=_append_inputs)
def _append(arr: Any, values: Any, axis: Any = None) -> Any:
    if axis is None:
        return np.concatenate([np.ravel(arr), np.ravel(values)])
    return np.concatenate([arr, values], axis=axis)


@compose(np.block, inputs=_alike)
def _block(arrays: Any) -> Any:
    def depth(x: Any) -> int:
        return 1 + max(map(depth, x)) if isinstance(x, list) and x else 0

    def leaves(x: Any) -> Any:
        return [leaf for each in x for leaf in leaves(each)] if isinstance(x, list) else [x]

    def joined(x: Any, level: int) -> Any:
        if level == 0:
            return np.reshape(x, (1,) * (ndim - metadata.ndim(x)) + metadata.shape(x))
        return np.concatenate([joined(each, level - 1) for each in x], axis=-level)

    levels = depth(arrays)
    ndim = max(levels, *[metadata.ndim(leaf) for leaf in leaves(arrays)], 0)
    return joined(arrays, levels)


@compose(np.broadcast_arrays, inputs=lambda draw: (tuple(map(draw.array, draw.broadcastable(2))), {}))
def _broadcast_arrays(*args: Any) -> Any:
    shape = np.broadcast_shapes(*map(metadata.shape, args))
    return type(np.broadcast_arrays(0, 0))([np.broadcast_to(a, shape) for a in args])


def _pieces(function: Any, a: Any, indices_or_sections: Any, axis: int) -> list[Any]:
    """Cut an array along an axis: at indices, or into a number of pieces, the first of them one entry longer."""
    if metadata.ndim(indices_or_sections) == 0:
        length, sections = a.shape[axis], index(indices_or_sections)
        if sections < 1 or (length % sections and function is not np.array_split):
            raise ValueError(
                f"numpy.{function.__name__}: got {length} entries along axis {axis}, to be cut into {sections} equal "
                "pieces; give a number that divides them, or the indices where to cut, or use numpy.array_split"
            )
        side, longer = divmod(length, sections)
        indices_or_sections = [i * side + min(i, longer) for i in range(1, sections)]
    before = (slice(None),) * (axis % a.ndim)
    starts, ends = [0, *indices_or_sections], [*indices_or_sections, None]
    return [a[(*before, slice(start, end))] for start, end in zip(starts, ends, strict=True)]


def _cuts(draw: Draw) -> Any:
    return draw.choice([2, 4, [1, 3], [2], [3, 1], [-1]])


def _split_inputs(draw: Draw) -> Arguments:
    return (draw.array((4, *draw.shape(max_ndim=2))), _cuts(draw)), {"axis": 0}


def _split(function: Any) -> Any:
    """Return np.split or np.array_split as readings of slices."""

    def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
        return _pieces(function, ary, indices_or_sections, axis)

    return split


for _even in (np.split, np.array_split):
    compose(_even, inputs=_split_inputs)(_split(_even))


def _split_along(function: Any, axis: int, least: int) -> Any:
    """Return np.hsplit, vsplit or dsplit, of arrays of so many axes at the least, as readings of slices."""

    def split(ary: Any, indices_or_sections: Any) -> list[Any]:
        if ary.ndim < least:
            raise ValueError(
                f"numpy.{function.__name__}: got an array of shape {ary.shape}; expected {least} axes or more"
            )
        return _pieces(function, ary, indices_or_sections, min(axis, ary.ndim - 1))

    return split


for _along, *_axes in ((np.vsplit, 0, 2), (np.hsplit, 1, 1), (np.dsplit, 2, 3)):
    compose(_along, inputs=lambda draw: ((draw.array((4, 4, 4)), _cuts(draw)), {}))(
        _split_along(_along, *_axes)
    )


def _unstack_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1, min_side=1))
    return (x,), {"axis": draw.integer(-x.ndim, x.ndim - 1)}


if hasattr(np, "unstack"):  # since NumPy 2.1

    @compose(np.unstack, inputs=_unstack_inputs)
    def _unstack(x: Any, *, axis: int = 0) -> tuple[Any, ...]:
        return tuple(np.moveaxis(x, axis, 0))


def _repeat_inputs(draw: Draw) -> Arguments:
    rows = draw.integer(2, 3)
    x = draw.array((rows, draw.integer(0, 3)))
    return (x, *draw.choice([(2,), (0,), ((0, 2, 1)[:rows], 0), (3, -1), ((2,), 1)])), {}


def _repeat(g: Any, out: Any, a: Any, repeats: Any, axis: Any = None) -> Any:
    """Add the copies of each entry up."""
    shape, at = ((a.size,), 0) if axis is None or not a.ndim else (a.shape, axis % a.ndim)
    if metadata.size(repeats) == 1:
        copies = int(np.ravel(repeats)[0])
        total = np.sum(np.reshape(g, (*shape[: at + 1], copies, *shape[at + 1 :])), axis=at + 1)
    else:
        origin = np.repeat(np.arange(shape[at]), repeats)
        total = scatter(g, (slice(None),) * at + (origin,), shape)
    return np.reshape(total, a.shape)


declare(np.repeat, _repeat, inputs=_repeat_inputs, memory="new")


def _tile(g: Any, out: Any, A: Any, reps: Any) -> Any:
    """Add the copies up."""
    reps = np.ravel(reps).tolist()
    ndim = max(len(reps), A.ndim)
    reps, shape = [1] * (ndim - len(reps)) + reps, (1,) * (ndim - A.ndim) + A.shape
    parted = [n for pair in zip(reps, shape, strict=True) for n in pair]
    return np.reshape(np.sum(np.reshape(g, parted), axis=tuple(range(0, 2 * ndim, 2))), A.shape)


declare(
    np.tile,
    _tile,
    inputs=lambda draw: ((draw.array(), draw.choice([2, (3, 1), (1, 2, 1, 2), (0,)])), {}),
)


def _insert_inputs(draw: Draw) -> Arguments:
    x = draw.array((3, 2))
    obj, values, axis = draw.choice(
        [(1, (2,), 0), ([0, 2], (2, 2), 0), (-1, (3,), 1), ([1], (3, 2), 0), (2, (), None), ([0, 0], (2,), 1)]
    )
    return (x, obj, draw.array(values)), {"axis": axis}


@compose(np.insert, inputs=_insert_inputs, memory="new")
def _insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    if axis is None:
        arr, axis = np.ravel(arr), 0
    axis, n = axis % arr.ndim, arr.shape[axis]
    whole = np.insert(metadata.outline(arr.shape), obj, metadata.outline(metadata.shape(values)), axis).shape
    count = whole[axis] - n
    values = np.reshape(values, (1,) * (arr.ndim - metadata.ndim(values)) + metadata.shape(values))
    if metadata.ndim(obj) == 0 and not isinstance(obj, slice):
        values = np.moveaxis(values, 0, axis)
    values = np.broadcast_to(values, (*whole[:axis], count, *whole[axis + 1 :])).astype(arr.dtype)  # as NumPy
    order = np.insert(np.arange(n), obj, np.arange(n, n + count))
    return np.concatenate([arr, values], axis=axis)[(slice(None),) * axis + (order,)]


def _delete_inputs(draw: Draw) -> Arguments:
    x = draw.array((3, 2))
    return (x, *draw.choice([(1, 0), ([0, -1], 0), (slice(0, 2), 0), (4, None), ([], 1)])), {}


@compose(np.delete, inputs=_delete_inputs, memory="new")
def _delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    if axis is None:
        arr, axis = np.ravel(arr), 0
    kept = np.delete(np.arange(arr.shape[axis]), obj)
    return arr[(slice(None),) * (axis % arr.ndim) + (kept,)]


@compose(np.resize, inputs=lambda draw: ((draw.array(), draw.choice([5, (2, 3), (4, 2), (0,)])), {}))
def _resize(a: Any, new_shape: Any) -> Any:
    count = int(np.prod(new_shape))
    if not metadata.size(a):
        return np.reshape(np.concatenate([np.ravel(a), np.zeros(count, a.dtype)]), new_shape)
    return np.reshape(np.ravel(a)[np.arange(count) % metadata.size(a)], new_shape)


@compose(
    np.meshgrid,
    inputs=lambda draw: ((draw.array((2,)), draw.array((3,))), draw.choice([{}, {"indexing": "ij"}])),
)
def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: Any = "xy") -> Any:
    given = [metadata.outline(metadata.shape(x)) for x in xi]
    shapes = [each.shape for each in np.meshgrid(*given, sparse=True, indexing=indexing)]
    whole = np.broadcast_shapes(*shapes)
    thin = [np.reshape(x, shape) for x, shape in zip(xi, shapes, strict=True)]
    kind: Any = type(np.meshgrid(0))
    return kind(thin if sparse else [np.broadcast_to(x, whole) for x in thin])
