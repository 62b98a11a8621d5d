"""Rules of the functions that join arrays, cut them, and repeat, insert or leave out entries."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from . import metadata
from .indexing import along, scatter
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


def _pieces_of(needs: Sequence[Any], g: Any, arrays: Sequence[Any], axis: Any) -> list[Any]:
    """Slice each operand's piece out of g, whose entries are those of arrays joined along an axis, or of all flat.

    An operand of fewer axes than g has length 1 along the axis.
    """
    if axis is None:
        axis, lengths = 0, [metadata.size(a) for a in arrays]
    else:
        lengths = [a.shape[axis] if metadata.ndim(a) == g.ndim else 1 for a in arrays]
    pieces, start = [], 0
    for need, length, a in zip(needs, lengths, arrays, strict=True):
        piece = g[along(axis % g.ndim, slice(start, start + length))] if need else None
        pieces.append(piece if piece is None or piece.shape == a.shape else np.reshape(piece, a.shape))
        start += length
    return pieces


def _cast(dtype: Any, casting: str) -> dict[str, Any]:
    """Return the options of a function that joins arrays, where they are not the defaults."""
    return {"dtype": dtype, "casting": casting} if dtype is not None or casting != "same_kind" else {}


def _bind_along(arrays: Any, axis: int = 0, *, dtype: Any = None, casting: str = "same_kind") -> Arguments:
    return tuple(arrays), {"axis": axis, **_cast(dtype, casting)}


def _append_inputs(draw: Draw) -> Arguments:
    shape = draw.shape(min_ndim=1)
    return (draw.array(shape), draw.array(shape)), {"axis": draw.choice([None, 0, -1])}


declare(
    np.concatenate,
    together=lambda needs, g, out, *arrays, axis, **cast: _pieces_of(needs, g, arrays, axis),
    bind=_bind_along,
    forward=lambda *arrays, axis, **cast: np.concatenate(arrays, axis, **cast),
    inputs=_joined_inputs,
    memory="out",
)
declare(
    np.append,
    together=lambda needs, g, out, arr, values, axis=None: _pieces_of(needs, g, (arr, values), axis),
    arity=2,
    inputs=_append_inputs,
    memory="new",
)


def _stack_inputs(draw: Draw) -> Arguments:
    shape = draw.shape(max_ndim=2)
    return ([draw.array(shape) for _ in range(draw.integer(1, 3))],), {"axis": draw.integer(-1, len(shape))}


def _stack(needs: Sequence[Any], g: Any, out: Any, *arrays: Any, axis: int, **cast: Any) -> list[Any]:
    """Take each operand's slice of g."""
    return [g[along(axis % g.ndim, i)] if need else None for i, need in enumerate(needs)]


declare(
    np.stack,
    together=_stack,
    bind=_bind_along,
    forward=lambda *arrays, axis, **cast: np.stack(arrays, axis, **cast),
    inputs=_stack_inputs,
    memory="out",
)


def _with_axes(a: Any, ndim: int) -> Any:
    """Return an array with so many axes at the least, as np.atleast_1d, 2d and 3d add them."""
    if getattr(a, "ndim", 0) >= ndim:
        return a
    shape = metadata.shape(a)
    shape = (1,) * (len(shape) < 2 <= ndim) + shape
    return np.reshape(a, shape + (1,) * (ndim - len(shape)))


def _at_least(ndim: int) -> Any:
    """Return np.atleast_1d, 2d or 3d for any number of arrays."""
    return lambda *arys: (
        _with_axes(arys[0], ndim) if len(arys) == 1 else tuple([_with_axes(a, ndim) for a in arys])
    )


def _some_arrays(draw: Draw) -> Arguments:
    return tuple([draw.array(draw.shape(max_ndim=2)) for _ in range(draw.integer(1, 2))]), {}


for _ndim, _at_least_nd in enumerate((np.atleast_1d, np.atleast_2d, np.atleast_3d), start=1):
    compose(_at_least_nd, inputs=_some_arrays)(_at_least(_ndim))


def _alike(draw: Draw) -> Arguments:
    shape = draw.shape()
    return ([draw.array(shape) for _ in range(draw.integer(1, 3))],), {}


def _columns(draw: Draw) -> Arguments:
    return ([draw.array((3,)), draw.array((3, draw.integer(0, 2)))],), {}


def _join(axis: int, fit: Any) -> dict[str, Any]:
    """Return a forward that joins fitted arrays along this axis, or the last if there are fewer; and its rule."""

    def forward(*arrays: Any, **cast: Any) -> Any:
        arrays = tuple([fit(a) for a in arrays])
        return np.concatenate(arrays, min(axis, arrays[0].ndim - 1), **cast)

    def rule(needs: Sequence[Any], g: Any, out: Any, *arrays: Any, **cast: Any) -> list[Any]:
        return _pieces_of(needs, g, arrays, min(axis, g.ndim - 1))

    return {"forward": forward, "together": rule}


def _alone(tup: Any) -> Arguments:
    return tuple(tup), {}


def _with_dtype(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Arguments:
    return tuple(tup), _cast(dtype, casting)


for _joins, _drawn, _bind, _axis, _fit in (
    (np.vstack, _alike, _with_dtype, 0, lambda a: _with_axes(a, 2)),
    (np.hstack, _alike, _with_dtype, 1, lambda a: _with_axes(a, 1)),
    (np.dstack, _alike, _alone, 2, lambda a: _with_axes(a, 3)),
    (np.column_stack, _columns, _alone, 1, lambda a: a if metadata.ndim(a) > 1 else np.reshape(a, (-1, 1))),
):
    declare(_joins, bind=_bind, inputs=_drawn, memory="new", **_join(_axis, _fit))


@compose(np.block, inputs=_alike)
def _block(arrays: Any) -> Any:
    def depth(x: Any) -> int:
        if not isinstance(x, list):
            return 0
        depths = {depth(each) for each in x}
        if len(depths) != 1:
            raise ValueError(
                "numpy.block: a list is empty, or its entries are nested to different depths; expected one"
            )
        return 1 + depths.pop()

    def leaves(x: Any) -> Any:
        return [leaf for each in x for leaf in leaves(each)] if isinstance(x, list) else [x]

    def joined(x: Any, level: int) -> Any:
        if level == 0:
            missing = ndim - metadata.ndim(x)
            return np.reshape(x, (1,) * missing + metadata.shape(x)) if missing or not levels else x
        return np.concatenate([joined(each, level - 1) for each in x], axis=-level)

    levels = depth(arrays)
    ndim = max(levels, *[metadata.ndim(leaf) for leaf in leaves(arrays)], 0)
    return joined(arrays, levels)


@compose(np.broadcast_arrays, inputs=lambda draw: (tuple(map(draw.array, draw.broadcastable(2))), {}))
def _broadcast_arrays(*args: Any) -> Any:
    shape = np.broadcast_shapes(*map(metadata.shape, args))
    return tuple([a if getattr(a, "shape", None) == shape else np.broadcast_to(a, shape) for a in args])


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
    place = axis % a.ndim
    starts, ends = [0, *indices_or_sections], [*indices_or_sections, None]
    return [a[along(place, slice(start, end))] for start, end in zip(starts, ends, strict=True)]


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
        if not x.ndim:
            raise ValueError("numpy.unstack: x has shape (); expected one axis or more")
        return tuple([x[along(axis % x.ndim, i)] for i in range(x.shape[axis])])


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
        total = scatter(g, along(at, origin), shape)
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
    inputs=lambda draw: ((draw.array(), draw.choice([1, 2, (3, 1), (1, 2, 1, 2), (0,)])), {}),
    memory="new",
)


def _insert_inputs(draw: Draw) -> Arguments:
    x = draw.array((3, 2))
    obj, values, axis = draw.choice(
        [(1, (2,), 0), ([0, 2], (2, 2), 0), (-1, (3,), 1), ([1], (3, 2), 0), (2, (), None), ([0, 0], (2,), 1)]
    )
    return (x, obj, draw.array(values)), {"axis": axis}


def _insert(
    needs: Sequence[Any], g: Any, out: Any, arr: Any, values: Any, obj: Any, axis: Any = None
) -> list[Any]:
    """Read the entries that there were, and those that were inserted, where they are now."""
    shape, axis = ((arr.size,), 0) if axis is None else (arr.shape, axis % arr.ndim)
    n, m = shape[axis], g.shape[axis]
    places = np.argsort(np.insert(np.arange(n), obj, np.arange(n, m)))
    kept = np.reshape(g[along(axis, places[:n])], arr.shape)
    inserted = g[along(axis, places[n:])]
    if metadata.ndim(obj) == 0 and not isinstance(obj, slice):
        inserted = np.moveaxis(inserted, axis, 0)
    return [kept if needs[0] else None, inserted if needs[1] else None]


declare(
    np.insert,
    together=_insert,
    bind=lambda arr, obj, values, axis=None: ((arr, values), {"obj": obj, "axis": axis}),
    forward=lambda arr, values, obj, axis: np.insert(arr, obj, values, axis),
    inputs=_insert_inputs,
    memory="new",
)


def _delete_inputs(draw: Draw) -> Arguments:
    x = draw.array((3, 2))
    return (x, *draw.choice([(1, 0), ([0, -1], 0), (slice(0, 2), 0), (4, None), ([], 1)])), {}


@compose(np.delete, inputs=_delete_inputs, memory="new")
def _delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    if axis is None:
        arr, axis = np.ravel(arr), 0
    kept = np.delete(np.arange(arr.shape[axis]), obj)
    return arr[along(axis % arr.ndim, kept)]


def _resize(g: Any, out: Any, a: Any, new_shape: Any) -> Any:
    """Add the copies of each entry up."""
    if not a.size:
        return np.zeros_like(a)
    origin = np.arange(g.size) % a.size
    return np.reshape(scatter(np.ravel(g), (origin,), (a.size,)), a.shape)


declare(
    np.resize,
    _resize,
    inputs=lambda draw: ((draw.array(), draw.choice([5, (2, 3), (4, 2), (0,)])), {}),
    memory="new",
)


@compose(
    np.meshgrid,
    inputs=lambda draw: ((draw.array((2,)), draw.array((3,))), draw.choice([{}, {"indexing": "ij"}])),
)
def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: Any = "xy") -> Any:
    if indexing not in ("xy", "ij"):
        raise ValueError(f"numpy.meshgrid: indexing is {indexing!r}; expected 'xy' or 'ij'")
    axes = list(range(len(xi)))
    if indexing == "xy":
        axes[:2] = axes[1::-1]
    lines = [[-1 if i == axis else 1 for i in range(len(xi))] for axis in axes]
    thin = [np.reshape(x, line) for x, line in zip(xi, lines, strict=True)]
    whole = tuple([metadata.size(xi[axis]) for axis in axes])
    return tuple(thin if sparse else [np.broadcast_to(x, whole) for x in thin])
