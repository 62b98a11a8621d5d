"""The types that count as arrays, and stand-ins for arrays while a function is compiled."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
STAND_INS: set[type] = set()
"""Types that stand in for arrays; they record the NumPy calls made on them, and have no values of their own."""
ARRAYS: set[type] = {np.ndarray, np.memmap}
"""Types that a layer takes without conversion; subclasses, which may compute otherwise, are not among them."""
ARRAYS_AND_NUMBERS: set[type] = {np.ndarray, float, int, bool, complex, np.float64, np.float32}
"""Types that an op takes without conversion."""
ARRAY_LIKE = (np.ndarray, np.generic, list, tuple, range, float, int, bool, complex)
NUMBERS = (np.generic, float, int, complex)
KNOWN: set[type] = {np.ndarray, np.memmap}
"""Types that are not foreign: arrays, their stand-ins, and tensors."""


def stands_in(kind: type) -> type:
    """Register a type that stands in for arrays."""
    for types in (STAND_INS, ARRAYS, ARRAYS_AND_NUMBERS, KNOWN):
        types.add(kind)
    return kind


def as_array(x: Any) -> Any:
    """Return `numpy.asarray` of x; a stand-in as it is."""
    return x if type(x) in STAND_INS else np.asarray(x)


def has_stand_ins(x: Any) -> bool:
    """Tell whether there is a stand-in for an array in nested tuples and lists."""
    return any(map(has_stand_ins, x)) if isinstance(x, (tuple, list)) else type(x) in STAND_INS


def held(x: Any) -> Any:
    """Return a result as a tensor stores it: an array; a NumPy scalar, which is immutable, as a read-only 0-d array."""
    if not issubclass(type(x), NUMBERS):
        return as_array(x)
    array = np.asarray(x)
    array.setflags(write=False)  # in half the time of flags.writeable = False
    return array


def is_number(x: Any) -> bool:
    """Tell whether a tensor's data stands for a NumPy scalar, not for a 0-d array, which could be written to."""
    if x.ndim != 0:
        return False
    return not x.flags.writeable if type(x) is np.ndarray else isinstance(x, np.generic)


def has_no_items(number: Any) -> TypeError:
    """Return NumPy's error of an assignment to an item of a scalar."""
    return TypeError(f"'numpy.{number.dtype.name}' object does not support item assignment")


class ForeignError(TypeError):
    """An operand that computes otherwise than arrays do."""


def is_foreign(x: Any) -> bool:
    """Tell whether an object computes otherwise than arrays do: a subclass, or a class with operators of its own.

    What has no more than ``__array__`` is an array-like.
    """
    kind = type(x)
    if kind in KNOWN or isinstance(x, np.generic):
        return False
    if isinstance(x, np.ndarray) or hasattr(kind, "__array_ufunc__") or hasattr(kind, "__array_priority__"):
        return True
    return hasattr(kind, "__array__") and hasattr(kind, "__add__")


def takes_over(x: Any) -> bool:
    """Tell whether an array leaves an operator to x: by NumPy's protocols (NEP 13), or since x is no array-like.

    To what is no array-like NumPy applies the operator, entry by entry, and so calls x's own.
    """
    kind = type(x)
    if kind in STAND_INS or isinstance(x, ARRAY_LIKE):
        return False
    if hasattr(kind, "__array_ufunc__"):
        return True
    if getattr(kind, "__array_priority__", 0) > 0:
        return True
    array_like = hasattr(kind, "__array__") or hasattr(kind, "__len__")
    return not array_like and (hasattr(kind, "__radd__") or hasattr(kind, "__rmul__"))


TOO_DEEP = "an argument is nested too deeply, or in itself"


def refuse_foreign(x: Any, name: str) -> None:
    """Refuse operands, however nested, that compute otherwise than arrays do; ``name`` is the call's.

    Raises
    ------
    ForeignError
        If x holds a masked array, a matrix, a data frame, a sparse array, …
    """
    if type(x) in (list, tuple):
        try:
            for each in x:
                if type(each) not in ARRAYS_AND_NUMBERS:
                    refuse_foreign(each, name)
        except RecursionError:
            raise ValueError(f"{name}: {TOO_DEEP}") from None
    elif is_foreign(x):
        raise foreign(type(x), name)


def foreign(kind: type, name: str) -> ForeignError:
    """Return the error of an operand whose type does not compute as arrays do."""
    return ForeignError(
        f"{name}: an operand is a {kind.__module__}.{kind.__qualname__}, which does not compute as arrays do; pass a "
        "plain array, such as np.asarray(x) (of a masked array x.filled(value), of a sparse one x.toarray())"
    )


def plain_array(x: Any, name: str) -> Any:
    """Convert nested numbers to an array; ``name`` is the call's.

    Raises
    ------
    TypeError
        If x holds an operand that computes otherwise than arrays do, or anything but numbers.
    """
    if type(x) is np.memmap:
        return x.view(np.ndarray)
    refuse_foreign(x, name)
    try:
        array = np.asarray(x)
    except ValueError as error:  # lists of unequal lengths
        raise ValueError(f"{name}: an operand is no array: {error}") from error
    if array.dtype.kind not in "fiubc":
        raise TypeError(
            f"{name}: an operand is a {type(x).__name__} of dtype {array.dtype}; expected numbers"
        )
    return array


def overlaps_itself(x: Array) -> bool:
    """Tell whether entries of an array may share memory, as those of a broadcast array or a sliding window do."""
    if not x.size:
        return False
    extent = x.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(x.strides, x.shape, strict=True) if n > 1):
        if stride < extent:
            return True
        extent += stride * (length - 1)
    return False
