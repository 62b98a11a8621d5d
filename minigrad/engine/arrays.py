"""What an array is, what stands in for one while a function is compiled, and nested arguments."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
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


def rebuilt(tree: Any, items: list[Any]) -> Any:
    """Return a tuple, named or not, or a list of the tree's own type, with other items."""
    return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)


def map_tree(function: Callable[[Any, Any], Any], shared: Any, tree: Any) -> Any:
    """Apply ``function(shared, leaf)`` to each leaf of nested dicts, lists and tuples."""
    if isinstance(tree, dict):
        mapped = {
            key: function(shared, each) if type(each) is np.ndarray else map_tree(function, shared, each)
            for key, each in tree.items()
        }
        return mapped if type(tree) is dict else like(tree, mapped)
    if isinstance(tree, (list, tuple)):
        return rebuilt(tree, [map_tree(function, shared, each) for each in tree])
    return function(shared, tree)


def like(tree: dict[Any, Any], mapped: dict[Any, Any]) -> dict[Any, Any]:
    """Return a dict of the tree's own kind, with other values."""
    made = copy(tree)
    for key, value in mapped.items():
        made[key] = value
    return made
