"""What an array is, and what stands in for one while a function is compiled."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
STAND_INS: set[type] = set()
"""Types that stand in for arrays; they record the NumPy calls made on them, and have no values of their own."""
ARRAYS: set[type] = {np.ndarray}
"""The exact types that a layer takes as they are."""
ARRAYS_AND_NUMBERS: set[type] = {np.ndarray, float, int, bool, np.float64, np.float32}
"""Those that an op does."""


def stands_in(kind: type) -> type:
    """Register a type that stands in for arrays."""
    STAND_INS.add(kind)
    ARRAYS.add(kind)
    ARRAYS_AND_NUMBERS.add(kind)
    return kind


def as_array(x: Any) -> Any:
    """Return `numpy.asarray` of x; a stand-in as it is."""
    return x if type(x) in STAND_INS else np.asarray(x)
