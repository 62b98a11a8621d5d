"""An operand as an array; shape, ndim and size of one, without the dispatch that NumPy's functions go through."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

BYTES = np.dtype(np.int8)


def as_operand(x: Any, dtype: Any = None) -> Any:
    """Return an array or tensor as it is; a number or nested lists as an array, of this dtype if one is given."""
    return x if hasattr(x, "dtype") else np.asarray(x, dtype)


def as_joined(x: Any) -> Any:
    """Return an operand as `as_operand` does; lists that hold arrays or tensors are joined by `numpy.stack`."""
    if isinstance(x, (list, tuple)):
        for each in x:
            if hasattr(each, "dtype") or isinstance(each, (list, tuple)):
                return np.stack([as_joined(each) for each in x])
    return as_operand(x)


def promoted(*operands: Any) -> np.dtype[Any]:
    """Return the dtype that NumPy promotes operands to; Python's numbers take on the dtypes of arrays."""
    found: np.dtype[Any] = np.result_type(
        *[x if type(x) in (bool, int, float, complex) else as_joined(x).dtype for x in operands]
    )
    return found


def shape(x: Any) -> tuple[int, ...]:
    """Return the shape of an array or tensor, of a number, or of nested lists."""
    found: tuple[int, ...] = x.shape if hasattr(x, "shape") else np.shape(x)
    return found


def ndim(x: Any) -> int:
    """Return the number of axes."""
    return len(shape(x))


def size(x: Any) -> int:
    """Return the number of entries."""
    found: int = x.size if hasattr(x, "size") else np.size(x)
    return found


@lru_cache(maxsize=256)
def outline(shape: tuple[int, ...], dtype: np.dtype[Any] = BYTES) -> Any:
    """Return a read-only array of zeros that takes no memory: for a call whose result's shape is wanted alone."""
    return np.ndarray(shape, dtype, bytes(dtype.itemsize), 0, (0,) * len(shape))


@lru_cache(maxsize=64)
def ones(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Return ones in memory that nobody can write to, for a small operand: made anew they take as long as the call."""
    return np.ndarray(shape, dtype, np.ones(shape, dtype).tobytes())


def is_outline(x: Any) -> bool:
    """Tell whether an array is an `outline`."""
    return type(getattr(x, "base", None)) is bytes and not any(x.strides)


def one_axis(ufunc: np.ufunc, x: Any, axis: Any) -> int:
    """Return the axis of an accumulation, which NumPy takes as a tuple of one, too, or as None of one axis."""
    ufunc.accumulate(outline((1,) * x.ndim, x.dtype), axis=axis)  # raises what NumPy raises
    return 0 if axis is None else axis[0] if isinstance(axis, tuple) else axis


def read_only(x: Any) -> Any:
    """Return a view of an array that cannot be written to, or a stand-in for such; anything else as it is."""
    if type(x) is np.ndarray:
        x = x[...]
        x.flags.writeable = False
    elif hasattr(type(x), "as_read_only"):
        x = x.as_read_only()
    return x
