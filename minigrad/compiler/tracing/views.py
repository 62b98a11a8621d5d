"""Views of arrays that are written to while a function is traced: read again, and written through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import mul
from typing import Any, NamedTuple

import numpy as np

from ..ir import part, written

Record = Callable[..., Any]
"""The method of a trace that calls a function and records it."""


class Step(NamedTuple):
    """How a view is made of what it views: ``function(array, argument)``; no function, if it is not read again.

    Where it is ``in_order``, it is a view for certain only of an array whose entries lie in order.
    """

    function: Any
    argument: Any
    in_order: bool = False


def unknown_step() -> Step:
    """Return the step to a view that is not read again; equal to no other."""
    return Step(None, object())


Path = tuple[Step, ...]
"""The steps from an array that owns its memory to a view."""


def read(record: Record, array: Any, path: Path) -> Any:
    """Read a view of an array."""
    for step in path:
        array = record(step.function, array, step.argument)
    return array


def stored(record: Record, array: Any, path: Path, value: Any) -> Any:
    """Return an array with a value stored into a view of it."""
    if not path:
        return value
    (function, argument, _), rest = path[0], path[1:]
    if rest:
        value = stored(record, record(function, array, argument), rest, value)
    if function is part:
        return record(written, array, argument, value)
    return record(function, value, MOVES_ENTRIES[function](array, argument))


def _order_back(array: Any, axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(axis) for axis in np.argsort([axis % array.ndim for axis in axes]))


MOVES_ENTRIES: dict[Any, Callable[[Any, Any], Any]] = {
    np.flip: lambda array, axis: axis,
    np.reshape: lambda array, shape: array.shape,
    np.transpose: _order_back,
}
"""By the functions whose views have all entries, in another order: the argument with which each undoes itself."""


def is_known(path: Path) -> bool:
    """Tell whether a view can be read again."""
    return all(step.function is not None for step in path)


def can_be_stored(path: Path) -> bool:
    """Tell whether a value can be stored into a view."""
    return all(step.function is part or step.function in MOVES_ENTRIES for step in path)


def in_order_until(path: Path) -> bool:
    """Tell whether entries that lie in order still do at each step that needs it: all before are changes of shape."""
    last = max(i for i, step in enumerate(path) if step.in_order)
    return all(step.function is np.reshape for step in path[:last])


def splits_axes(shape: tuple[int, ...], new: tuple[int, ...]) -> bool:
    """Tell whether a change of shape joins no axes: NumPy views such an array, however it lies in memory."""
    ends = set(accumulate((n for n in new if n != 1), mul))
    return 0 not in shape and ends.issuperset(accumulate((n for n in shape if n != 1), mul))
