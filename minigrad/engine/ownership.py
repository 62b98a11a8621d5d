"""Whether anything else holds an array, by its reference count: if not, it may be written to in place."""

from __future__ import annotations

from collections.abc import Callable
from sys import getrefcount
from typing import Any

import numpy as np

from .recording import Array


class Holder:
    """Any object with an array in its slot ``data``."""

    __slots__ = ("data",)

    def __init__(self, data: Any) -> None:
        self.data = data


def _count_of_value(holder: dict[int, Any]) -> int:
    """Count the references to a value of a dict."""
    return getrefcount(holder[0])


def _count_of_data(holder: Any) -> int:
    """Count the references to what an object has in its slot ``data``."""
    return getrefcount(holder.data)


def _count_of_base(view: Array) -> int:
    """Count the references to the array that a view shows."""
    return getrefcount(view.base)


def _once(count: Callable[[Any], int], holding: Callable[[Array], Any]) -> int:
    """Return the count of an array that is held once; 0, if this interpreter counts two holders as one.

    Which references are counted while a function runs is the interpreter's own affair (Python 3.14 counts fewer than
    3.10), and so it is measured. Where it tells nothing, no array is ever found to be held once, and all are copied.
    """
    once = count(holding(np.empty(1)))
    twice = np.empty(1)
    return once if count(holding(twice)) > once else 0


VALUE_HELD_ONCE = _once(_count_of_value, lambda array: {0: array})
DATA_HELD_ONCE = _once(_count_of_data, Holder)
BASE_HELD_ONCE = _once(_count_of_base, lambda array: array.reshape(1, 1))


def owns_value(holder: dict[int, Any], key: int) -> bool:
    """Tell whether a dict alone holds one of its arrays: no view, no tensor and no stand-in."""
    if type(holder[key]) is not np.ndarray or getrefcount(holder[key]) > VALUE_HELD_ONCE:
        return False
    return holder[key].base is None and holder[key].flags.writeable


def owns_data(holder: Any) -> bool:
    """Tell whether an object alone holds the array in its slot ``data``."""
    if type(holder.data) is not np.ndarray or getrefcount(holder.data) > DATA_HELD_ONCE:
        return False
    return holder.data.base is None and bool(holder.data.flags.writeable)


def views_another(array: Array) -> bool:
    """Tell whether an array is a view of one that something else holds too."""
    return array.base is not None and getrefcount(array.base) > BASE_HELD_ONCE
