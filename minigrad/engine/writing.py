"""NumPy's functions that write into an argument, on a tensor or what stands in for an array: recorded."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np

from ..rules.indexing import getitem, scatter
from .calls import bare
from .in_place import become, refuse_view


def write_into(out: Any, value: Any) -> Any:
    """Let a tensor become a value, cast to its shape and dtype, as ``out=`` does; return the tensor."""
    if out.data.base is not None:
        refuse_view(out)
    become(out, value)
    return out


def called_where(ufunc: Any, inputs: tuple[Any, ...], out: Any, where: Any, **others: Any) -> Any:
    """Return what a ufunc leaves in ``out`` when called with ``where``.

    Elsewhere its operands count as 1, but for Python's numbers, so that no value there raises a warning or has a
    gradient.
    """
    if where is True:
        return ufunc(*inputs, **others)
    chosen = [np.where(where, x, x.dtype.type(1)) if hasattr(x, "dtype") else x for x in inputs]
    return np.where(where, ufunc(*chosen, **others), out)


def add_at(a: Any, index: Any, value: Any) -> None:
    """`numpy.add.at`: where the index repeats, all is added."""
    index = deepcopy(bare(index))  # which may change before the backward pass
    part = np.broadcast_to(value, getitem(a.data, index).shape)
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
    places = np.arange(min(a.shape))
    a[(places,) * a.ndim] = val if np.ndim(val) == 0 else np.resize(val, len(places))


WRITERS: dict[Any, Callable[..., None]] = {np.copyto: _copyto, np.fill_diagonal: _fill_diagonal}
