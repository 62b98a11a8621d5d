"""Whether anything else holds an array, by its reference count: if not, it may be written to in place."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from sys import getrefcount
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ..rules.metadata import is_outline
from .arrays import STAND_INS
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
    """Count the references to the array in an object's slot ``data``."""
    return getrefcount(holder.data)


def count_of_base(view: Any) -> int:
    """Count the references to the array that a view shows."""
    return getrefcount(view.base)


def _count_of_first(operands: Sequence[Any]) -> int:
    """Count the references to the first of a call's operands."""
    return getrefcount(operands[0])


def _count_of_result(call: Sequence[Any]) -> int:
    """Count the references to a call's result."""
    return getrefcount(call[5])


def _views(x: Any, base: Any) -> bool:
    return getattr(x, "base", None) is base


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
BASE_HELD_ONCE = _once(count_of_base, lambda array: array.reshape(1, 1))
FIRST_HELD_ONCE = _once(_count_of_first, lambda array: [array])
RESULT_HELD_ONCE = _once(_count_of_result, lambda array: [None] * 5 + [array])


def owns_value(holder: dict[int, Any], key: int) -> bool:
    """Tell whether a dict alone holds one of its arrays: no view, no tensor and no stand-in."""
    if getrefcount(holder[key]) > VALUE_HELD_ONCE:
        return False
    array = holder[key]
    return type(array) is np.ndarray and array.base is None and array.flags.writeable


def owns_data(holder: Any) -> bool:
    """Tell whether an object alone holds the array in its slot ``data``."""
    if type(holder.data) is not np.ndarray or getrefcount(holder.data) > DATA_HELD_ONCE:
        return False
    return holder.data.base is None and bool(holder.data.flags.writeable)


class Neighbours:
    """Many arrays, or what stands for them, by the memory they lie in: those near another are found at once."""

    def __init__(self, arrays: Iterable[Any]) -> None:
        self.owners: dict[int, list[Any]] = {}  # of stand-ins
        self.starts: list[int] = []
        self.runs: list[list[Any]] = []  # of arrays whose bounds overlap, from each of the starts
        bounds = []
        for x in arrays:
            if type(x) in STAND_INS:
                self.owners.setdefault(id(x.owner), []).append(x)
            else:
                bounds.append((*byte_bounds(x), x))
        end = 0
        for low, high, x in sorted(bounds, key=itemgetter(0)):
            if low >= end:
                self.starts.append(low)
                self.runs.append([])
            self.runs[-1].append(x)
            end = max(end, high)

    def near(self, others: Iterable[Any]) -> list[Any]:
        """Return those that may share memory with one of the others."""
        found: dict[int, list[Any]] = {}
        for x in others:
            if type(x) in STAND_INS:
                runs = [self.owners.get(id(x.owner), [])]
            else:
                low, high = byte_bounds(x)
                first, last = bisect_right(self.starts, low) - 1, bisect_left(self.starts, high)
                runs = self.runs[max(first, 0) : last]
            found.update({id(run): run for run in runs})
        return [each for run in found.values() for each in run]


def share_memory(x: Any, y: Any) -> bool:
    """Tell whether two arrays have an entry in common; what stand for arrays, whether one is a view of the other."""
    if type(x) in STAND_INS or type(y) in STAND_INS:
        return type(x) is type(y) and x.owner is y.owner and np.shares_memory(x.captured, y.captured)
    return isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and np.shares_memory(x, y)


def is_shared(holder: Any, call: Any, more: int = 0) -> bool:
    """Tell whether the array in an object's slot ``data`` has other holders, such as views.

    The call that made it does not count, nor ``more`` holders that are known.
    """
    made = call is not None and call[5] is holder.data
    return not DATA_HELD_ONCE or getrefcount(holder.data) > DATA_HELD_ONCE + made + more


def views_another(array: Array, call: Any = None) -> bool:
    """Tell whether an array is a view of one that something else holds too.

    The calls that led to it do not count, nor arrays that they alone hold: those of ``(x @ w).reshape(-1)``.
    """
    if array.base is None:
        return False
    if not (BASE_HELD_ONCE and FIRST_HELD_ONCE and RESULT_HELD_ONCE):
        return True
    holders = BASE_HELD_ONCE
    while type(call) is tuple and len(call[2]) > 0:
        parent = call[3][0]
        if is_outline(call[2][0]):  # the call keeps the shapes alone, the one before its result
            if type(parent) is tuple and (parent[5] is array.base or _views(parent[5], array.base)):
                holders += 1
                if parent[5] is not array.base and _count_of_result(parent) > RESULT_HELD_ONCE:
                    return True
            call = parent
            continue
        holds_base = call[2][0] is array.base
        if not holds_base and not _views(call[2][0], array.base):
            break
        # The call before holds it as its result.
        made = type(parent) is tuple and parent[5] is call[2][0]
        holders += 1 + made if holds_base else 1
        if not holds_base and _count_of_first(call[2]) > FIRST_HELD_ONCE + made:
            return True
        call = parent
    return count_of_base(array) > holders
