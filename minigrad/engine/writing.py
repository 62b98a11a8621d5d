"""NumPy's functions that write into an argument, on a tensor or what stands in for an array: recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import numpy as np

from ..rules.conjugates import of_parts
from ..rules.indexing import getitem, line_by_line, scatter
from ..rules.metadata import as_joined
from ..rules.overriding import any_true
from .calls import bare, joined
from .in_place import become, refuse_view


def write_into(out: Any, value: Any) -> Any:
    """Let a tensor become a value, cast to its shape and dtype, as ``out=`` does; return the tensor."""
    if out.data.base is not None:
        refuse_view(out)
    become(out, value)
    return out


def called_where(ufunc: Any, inputs: tuple[Any, ...], out: Any, where: Any, **others: Any) -> Any:
    """Return what a ufunc leaves in ``out`` when called with ``where``.

    Elsewhere the operands, except Python numbers, are replaced by 1, so that no value there raises a warning or has a
    gradient.
    """
    if where is True:
        return ufunc(*inputs, **others)
    chosen = [np.where(where, x, x.dtype.type(1)) if hasattr(x, "dtype") else x for x in inputs]
    return np.where(where, ufunc(*chosen, **others), out)


AT = (np.add, np.subtract)
"""The ufuncs whose ``at`` is recorded: as a sum."""


def addend(ufunc: Any, a: Any, value: Any) -> Any:
    """Return what one of ``AT`` adds to an array."""
    if ufunc is np.add:
        return value
    if hasattr(value, "dtype"):  # an unsigned integer has no negative
        value = value.astype(np.result_type(a.dtype, value.dtype))
    return np.negative(value)


def change_at(ufunc: Any, a: Any, index: Any, value: Any) -> None:
    """The ``at`` of one of ``AT``: where the index repeats, all is added."""
    index = deepcopy(bare(index))  # which may change before the backward pass
    part = np.broadcast_to(addend(ufunc, a, joined(value)), getitem(a.data, index).shape)
    part = part.astype(np.result_type(a.dtype, part.dtype), copy=False)  # in which they are added up
    write_into(a, a + scatter(part, index, a.shape))


def _copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    if hasattr(src, "dtype") and not np.can_cast(src.dtype, dst.dtype, casting):
        raise TypeError(f"copyto: cannot cast from {src.dtype} to {dst.dtype} by the rule {casting!r}")
    dst[...] = src if where is True else np.where(where, src, dst)


def _fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    if a.ndim < 2 or wrap or (a.ndim > 2 and len(set(a.shape)) > 1):
        raise ValueError(
            f"fill_diagonal: got shape {a.shape}, wrap={wrap}; expected a matrix, or axes of one length"
        )
    val, places = joined(val), np.arange(min(a.shape))
    if np.size(val):
        a[(places,) * a.ndim] = val if np.ndim(val) == 0 else np.resize(val, len(places))


def _cycled(values: Any, a: Any, shape: tuple[int, ...]) -> Any:
    """Return values in a's dtype, repeated or cut to a shape."""
    return np.resize(values.astype(a.dtype), shape)


def _put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"put: mode is {mode!r}; expected 'raise', 'wrap' or 'clip'")
    v, ind = as_joined(v), np.ravel(as_joined(ind))
    if v.size == 0 or ind.size == 0:
        return
    if ind.dtype == bool:
        ind = ind.astype(np.intp)  # 0 and 1, no mask
    if mode != "raise":
        ind = ind % a.size if mode == "wrap" else np.clip(ind, 0, a.size - 1)
    line = np.copy(np.ravel(a))
    line[ind] = _cycled(v, a, ind.shape)
    a[...] = np.reshape(line, a.shape)


def _putmask(a: Any, mask: Any, values: Any) -> None:
    if np.size(mask) != a.size:
        raise ValueError(f"putmask: mask has {np.size(mask)} entries; expected one for each of the {a.size}")
    values = as_joined(values)
    if values.size:
        a[...] = np.where(np.reshape(mask, a.shape), _cycled(values, a, a.shape), a)


def _place(arr: Any, mask: Any, vals: Any) -> None:
    if np.size(mask) != arr.size:
        raise ValueError(f"place: mask has {np.size(mask)} entries; expected one for each of the {arr.size}")
    mask, vals = np.not_equal(np.reshape(mask, arr.shape), 0), as_joined(vals)
    if not vals.size:
        if any_true(mask):
            raise ValueError("place: vals is empty; expected one value or more")
        return
    which = np.reshape(np.cumsum(mask) - 1, arr.shape) % vals.size  # of the values, for each true entry
    arr[...] = np.where(mask, np.take(_cycled(vals, arr, (vals.size,)), which), arr)


def _put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    if axis is None:
        _put(arr, indices, np.broadcast_to(as_joined(values), np.shape(indices)))
        return
    indices = as_joined(indices)
    if arr.ndim != indices.ndim:
        raise ValueError(
            f"put_along_axis: arr has {arr.ndim} axes and indices {indices.ndim}; expected as many"
        )
    if not -arr.ndim <= axis < arr.ndim:
        raise np.exceptions.AxisError(axis, arr.ndim)
    arr[line_by_line(indices, arr.shape, axis % arr.ndim)] = values


WRITERS: dict[Any, Callable[..., None]] = {
    np.copyto: _copyto,
    np.fill_diagonal: _fill_diagonal,
    np.place: _place,
    np.put: _put,
    np.put_along_axis: _put_along_axis,
    np.putmask: _putmask,
}


class Flat:
    """The entries of a tensor in one line, as `numpy.ndarray.flat`; what is written into it is written into the tensor.

    Parameters
    ----------
    base
        The tensor, or what stands in for an array.
    """

    __slots__ = ("base",)

    def __init__(self, base: Any) -> None:
        self.base = base

    def __len__(self) -> int:
        return int(self.base.size)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))  # as they are when it is their turn

    def __getitem__(self, index: Any) -> Any:
        part = np.ravel(self.base)[index]
        return np.copy(part) if part.ndim else part

    def __setitem__(self, index: Any, value: Any) -> None:
        line, value = np.copy(np.ravel(self.base)), as_joined(value)
        if not value.size:  # nothing is written, as NumPy has it
            return
        if value.ndim:
            places = line[index].shape
            if not places:
                raise ValueError(f"flat: got a value of shape {value.shape} for one entry; expected a number")
            value = _cycled(value, self.base, places)
        line[index] = value.astype(self.base.dtype)
        self.base[...] = np.reshape(line, self.base.shape)

    def copy(self) -> Any:
        """Return the entries as an array of their own."""
        return np.copy(np.ravel(self.base))


def put_real(z: Any, part: Any) -> None:
    """Write into the real part: ``z.real = part``."""
    z[...] = of_parts(_part_of(z, part), np.imag(z)) if np.iscomplexobj(z) else part


def put_imag(z: Any, part: Any) -> None:
    """Write into the imaginary part: ``z.imag = part``."""
    if not np.iscomplexobj(z):
        raise TypeError("z.imag = part: real numbers have no imaginary part")
    z[...] = of_parts(np.real(z), _part_of(z, part))


def _part_of(z: Any, part: Any) -> Any:
    """Return the real or imaginary part that is to be written into complex numbers."""
    part = np.broadcast_to(as_joined(part), z.shape)
    return part if np.iscomplexobj(part) else part.astype(np.real(z).dtype, copy=False)


class Writable:
    """The methods of an array that write into it; each is recorded as an assignment to all of it."""

    __slots__ = ()

    def __setitem__(self, index: Any, value: Any) -> None:
        raise NotImplementedError

    @property
    def flat(self) -> Flat:
        """`numpy.ndarray.flat`: the entries in one line."""
        return Flat(self)

    @flat.setter
    def flat(self, value: Any) -> None:
        Flat(self)[...] = value

    def fill(self, value: Any) -> None:
        """Write a number into every entry."""
        value = as_joined(value)
        if value.ndim:
            raise ValueError(f"fill: the value has shape {value.shape}; expected a number")
        self[...] = value

    def sort(self, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> None:
        """Sort in place; see `numpy.sort`."""
        self[...] = np.sort(self, axis, kind, order, stable=stable)  # type: ignore[call-overload]  # it dispatches

    def partition(self, kth: Any, axis: Any = -1, kind: Any = "introselect") -> None:
        """Partition in place; see `numpy.partition`."""
        self[...] = np.partition(self, kth, axis=axis, kind=kind)  # type: ignore[call-overload]  # it dispatches

    def put(self, indices: Any, values: Any, mode: str = "raise") -> None:
        """Write values at indices of the flattened array; see `numpy.put`."""
        _put(self, indices, values, mode)
