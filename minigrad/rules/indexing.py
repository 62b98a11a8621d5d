"""Rules of reading and writing parts of an array."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import metadata
from .overriding import dispatched, is_plain, whole
from .table import Arguments, Draw, declare


def _index(draw: Draw, shape: tuple[int, ...]) -> Any:
    """Draw an index into an array of this shape, of two axes of three or more entries."""
    rows = np.array([0, 2, 2, -1])
    return draw.choice(
        [
            1,
            (slice(None), -1),
            (Ellipsis, None, slice(None, None, -2)),
            (slice(1, 1),),
            rows,
            (rows, np.array([1, 0, 0, 2])),
            (slice(None), rows),
            (rows[:, None], np.array([0, 0])),
            ((0, 2, 0), [1, 0, 1]),
            range(2),
            [],
            np.arange(shape[0]) % 2 == 0,
            np.add.outer(np.arange(shape[0]), np.arange(shape[1])) % 2 == 0,
        ]
    )


def _getitem_inputs(draw: Draw) -> Arguments:
    x = draw.array((draw.integer(3, 4), draw.integer(3, 4)))
    return (x, _index(draw, x.shape)), {}


def along(axis: int, part: Any) -> tuple[Any, ...]:
    """Return the index that reads a part of an axis, counted from the first, and all of the others."""
    return (*(slice(None),) * axis, part)


def line_by_line(positions: Any, shape: tuple[int, ...], axis: int) -> tuple[Any, ...]:
    """Return the index of `numpy.take_along_axis`: each line along the axis has its own positions."""
    one = (1,) * len(shape)
    return tuple(
        positions if i == axis else np.arange(n).reshape(*one[:i], n, *one[i + 1 :])
        for i, n in enumerate(shape)
    )


def with_arrays(index: Any) -> Any:
    """Return an index with arrays in the place of ranges and lists of numbers, which NumPy makes of them, too."""
    if type(index) is tuple:
        return tuple([with_arrays(part) for part in index])
    if type(index) is range or (type(index) is list and all(type(each) in (int, bool) for each in index)):
        return np.array(index) if index else np.zeros(0, int)
    return index


def _repeats(index: Any) -> bool:
    """Tell whether an index may repeat an entry: it contains integer arrays or lists."""
    for part in index if type(index) is tuple else (index,):
        if hasattr(part, "dtype"):
            if part.ndim and part.dtype.kind != "b":
                return True
        elif isinstance(part, (list, tuple)):
            return True
    return False


@dispatched
def getitem(a: Any, index: Any) -> Any:
    """Return a[index]."""
    return a[index]


FEW, CHUNK = 256, 1 << 16
"""Up to so many entries `numpy.ufunc.at` is as fast; the most that are added at once, whose positions fit the cache."""


def add_at(total: Any, index: Any, part: Any) -> None:
    """Add a part at an index, as ``np.add.at``; where it repeats, one after the other.

    NumPy is four to twenty times as fast for entries of one axis as for rows: rows are added entry by entry.
    """
    rows = _rows(total, index, part) if getattr(part, "ndim", 0) > 1 and part.size > FEW else None
    if rows is None:
        np.add.at(total, index, part)
        return
    entries, part = total.reshape(-1), part.reshape(rows.size, -1)
    columns = np.arange(part.shape[1])
    step = max(CHUNK // part.shape[1], 1)
    for start in range(0, rows.size, step):
        chosen = slice(start, start + step)
        places = (rows[chosen, None] * len(columns) + columns).reshape(-1)
        np.add.at(entries, places, part[chosen].reshape(-1))


def _rows(total: Any, index: Any, part: Any) -> Any:
    """Return which rows, of the axes after those indexed, an index of integer arrays reads; None for another."""
    arrays = index if type(index) is tuple else (index,)
    if not all(type(each) is np.ndarray and each.dtype.kind in "iu" and each.size for each in arrays):
        return None
    n = len(arrays)
    if not total.flags.c_contiguous or total.dtype != part.dtype or n > total.ndim:
        return None
    if part.shape != np.broadcast_shapes(*[each.shape for each in arrays]) + total.shape[n:]:
        return None
    rows: Any = 0
    for each, length in zip(arrays, total.shape, strict=False):
        if each.min() < -length or each.max() >= length:
            return None  # for NumPy to refuse
        rows = rows * length + np.where(each < 0, each + length, each)
    return rows.reshape(-1).astype(np.intp, copy=False)


@whole(memory="new")
def scatter(part: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros of this shape with part added at index; where index repeats, all is added."""
    out = np.zeros(shape, part.dtype)
    if _repeats(index):
        add_at(out, index, part)
    else:
        out[index] = part
    return out


def _add_at(total: Any, g: Any, index: Any) -> None:
    """Add the gradient of a part: a loop that reads an array row by row makes no array of zeros for each."""
    if _repeats(index):
        add_at(total, index, g)
    else:
        total[index] += g


@dispatched
def setitem(a: Any, value: Any, index: Any) -> Any:
    """Return a copy of a with value written at index; where index repeats, NumPy keeps the last."""
    out = np.array(a)
    out[index] = value
    return out


def _setitem(needs: Sequence[Any], g: Any, out: Any, a: Any, value: Any, index: Any) -> list[Any]:
    """Give the value the gradient where it was written; what was written over has none."""
    own = type(g) is np.ndarray and all(map(is_plain, index if isinstance(index, tuple) else (index,)))
    part = _written(g, index, metadata.ndim(value)) if needs[1] else None
    if own:
        # g's own memory: a loop that fills an array row by row copies rows alone
        part = np.array(part) if needs[1] else None
        g[index] = 0
        return [g, part]
    return [setitem(g, 0, index) if needs[0] else None, part]


def _written(g: Any, index: Any, ndim: int) -> Any:
    """Read the gradient where a value of so many axes was written; of a repeated entry's only the last has one."""
    if (
        ndim == 0 and not is_plain(index) and index.dtype.kind == "b"
    ):  # captured: shapes must not depend on it
        return np.where(setitem(np.zeros_like(g, dtype=bool), True, index), g, 0)
    if not _repeats(index):
        return getitem(g, index)
    writer = np.zeros_like(g, dtype=int)
    shape = getitem(writer, index).shape
    order = np.arange(math.prod(shape)).reshape(shape)
    return getitem(g, index) * (getitem(setitem(writer, order, index), index) == order)


def _setitem_inputs(draw: Draw) -> Arguments:
    (a, index), _ = _getitem_inputs(draw)
    return (a, draw.array(draw.choice([(), metadata.shape(a[index])])), index), {}


def _scatter_inputs(draw: Draw) -> Arguments:
    (a, index), _ = _getitem_inputs(draw)
    return (draw.array(metadata.shape(a[index])), index, a.shape), {}


GETITEM = declare(
    getitem,
    lambda g, out, a, index: scatter(g, index, a.shape),
    forward=lambda a, index: a[index] if type(index) in (int, slice) else getitem(a, index),
    add=_add_at,
    inputs=_getitem_inputs,
)
SETITEM = declare(setitem, together=_setitem, writes=True, arity=2, inputs=_setitem_inputs)
declare(scatter, lambda g, out, part, index, shape: getitem(g, index), inputs=_scatter_inputs)
