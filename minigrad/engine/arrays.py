"""What an array is, and what stands in for one while a function is compiled."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
STAND_INS: set[type] = set()
"""Types that stand in for arrays; they record the NumPy calls made on them, and have no values of their own."""
ARRAYS: set[type] = {np.ndarray, np.memmap}
"""Types that a layer takes as they are: no subclasses, which compute otherwise."""
ARRAYS_AND_NUMBERS: set[type] = {np.ndarray, float, int, bool, complex, np.float64, np.float32}
"""Types that an op takes as they are."""
ARRAY_LIKE = (np.ndarray, np.generic, list, tuple, range, float, int, bool, complex)


def stands_in(kind: type) -> type:
    """Register a type that stands in for arrays."""
    STAND_INS.add(kind)
    ARRAYS.add(kind)
    ARRAYS_AND_NUMBERS.add(kind)
    return kind


def as_array(x: Any) -> Any:
    """Return `numpy.asarray` of x; a stand-in as it is."""
    return x if type(x) in STAND_INS else np.asarray(x)


def plain_array(x: Any, name: str) -> Any:
    """Return numbers, however nested, as an array, for the call of that name; refuse what it would strip.

    Raises
    ------
    TypeError
        If x is a masked array, a matrix, a data frame, a sparse array, … or holds anything but numbers.
    """
    if type(x) is np.memmap:
        return x.view(np.ndarray)
    if isinstance(x, np.ndarray) or not isinstance(x, ARRAY_LIKE):
        raise foreign(type(x), name)
    try:
        array = np.asarray(x)
    except ValueError as error:  # lists of unequal lengths
        raise ValueError(f"{name}: an operand is no array: {error}") from error
    if array.dtype.kind not in "fiubc":
        raise TypeError(
            f"{name}: an operand is a {type(x).__name__} of dtype {array.dtype}; expected numbers"
        )
    return array


def foreign(kind: type, name: str) -> TypeError:
    """Say that objects of this type do not compute as arrays do."""
    return TypeError(
        f"{name}: an operand is a {kind.__module__}.{kind.__qualname__}, which does not compute as arrays do; pass a "
        "plain array, such as np.asarray(x) (of a masked array x.filled(value), of a sparse one x.toarray())"
    )
