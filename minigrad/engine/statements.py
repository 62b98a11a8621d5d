"""The program's statement that is running: where it stores a result, and what else holds the array that it changes.

Python does not tell an operator what is done with its result, nor who holds its operands; the bytecode and the
reference count do.
"""

from __future__ import annotations

import dis
import sys
from functools import lru_cache
from sys import getrefcount
from types import CodeType
from typing import Any

import numpy as np

from .recording import Array, TapeError

STORES = {"STORE_SUBSCR", "STORE_SLICE"}
"""The instructions of ``x[i] = …`` and, from Python 3.12 on, of ``x[i:j] = …``."""


def is_stored(depth: int = 3) -> bool:
    """Tell whether the program is at ``array[i] = t`` or the like: NumPy then asks t for a float, as ``float(t)`` does.

    ``depth`` is how many calls from here the program is.
    """
    frame = sys._getframe(depth)
    return _stores(frame.f_code, frame.f_lasti)


@lru_cache(maxsize=1024)
def _stores(code: CodeType, offset: int) -> bool:
    """Tell whether the instruction at an offset stores into an array, or calls ``fill`` or ``fromiter``."""
    return _line_up_to(code, offset)[-1].opname in STORES or _names(code, offset, ("fill", "fromiter"))


@lru_cache(maxsize=1024)
def _names(code: CodeType, offset: int, names: tuple[str, ...]) -> bool:
    """Tell whether the line names one of these, up to the instruction at an offset."""
    return any(each.argval in names for each in _line_up_to(code, offset))


def _line_up_to(code: CodeType, offset: int) -> list[dis.Instruction]:
    """Return a line's instructions up to that at an offset."""
    before = [each for each in dis.get_instructions(code) if each.offset <= offset]
    starts = [i for i, each in enumerate(before) if each.starts_line not in (None, False)]
    return before[starts[-1] :]


def is_stored_back(count: int) -> bool:
    """Tell whether the program is at ``container[i] += …``, and nothing else holds a reference to the item.

    ``count`` is ``sys.getrefcount`` of the item, in its method ``__iadd__``.
    """
    frame = sys._getframe(2)
    return count <= ITEM_HELD_ONCE and _stores_back(frame.f_code, frame.f_lasti)


@lru_cache(maxsize=1024)
def _stores_back(code: CodeType, offset: int) -> bool:
    """Tell whether the result of the instruction at an offset is stored into a container."""
    after = [each.opname for each in dis.get_instructions(code) if each.offset > offset]
    return next((name for name in after if name not in ("SWAP", "ROT_THREE")), "") in STORES


def refuse_shuffle() -> None:
    """Refuse an assignment made by `numpy.random.Generator.shuffle`, which mistakes views for copies."""
    frame = sys._getframe(2)
    code, offset = frame.f_code, frame.f_lasti
    if _names(code, offset, ("shuffle",)) and _line_up_to(code, offset)[-1].opname not in STORES:
        raise TapeError(
            "shuffle: exchanges rows of arrays alone, not of tensors, nor of arrays of a function that is compiled; "
            "write x[rng.permutation(len(x))]"
        )


class _Items:
    """Counts the references to an item that it makes, or keeps, where the item is added to in place."""

    def __init__(self, item: Any = None) -> None:
        self.item = item
        self.count = 0

    def __getitem__(self, i: int) -> Any:
        return _Items() if self.item is None else self.item

    def __setitem__(self, i: int, item: int) -> None:
        self.count = item

    def __iadd__(self, other: Any) -> Any:
        return getrefcount(self)


def _item_held_once() -> int:
    """Return the count for an item that was made by ``[]``; 0, if one that is kept counts the same."""
    new, kept = _Items(), _Items(_Items())
    new[0] += 1
    kept[0] += 1
    return new.count if new.count < kept.count else 0


ITEM_HELD_ONCE = _item_held_once()


def _object_held_by_a_name() -> int:
    """Return the count, in ``__iadd__``, for an object that a variable alone holds; 0, if two count as one."""
    a: Any = _Items()
    a += 1
    b: Any = _Items()
    other = b
    b += 1
    return int(a) if a < b and other else 0


OBJECT_HELD_BY_A_NAME = _object_held_by_a_name()


def rebinds(out: tuple[Any, ...]) -> bool:
    """Tell whether a ufunc was called by ``a += t``, and nothing but that name or place holds the array a.

    The program is three calls from here: ``__array_ufunc__`` calls what calls this.
    """
    frame = sys._getframe(3)
    if not is_augmented(4) or out[0].base is not None:
        return False
    if _assigned_to(frame.f_code, frame.f_lasti) is None:
        return _holders(out) <= HELD_BY_A_PLACE
    return _holders(out) <= HELD_BY_A_NAME and not is_borrowed(4)


def is_augmented(depth: int = 2) -> bool:
    """Tell whether the program is at ``a += t`` or alike, and not at a call of ``operator.iadd`` or ``__iadd__``.

    ``depth`` is how many calls from here the program is.
    """
    frame = sys._getframe(depth)
    code = frame.f_code.co_code
    name = dis.opname[code[frame.f_lasti]]
    return name.startswith("INPLACE_") or (name == "BINARY_OP" and code[frame.f_lasti + 1] >= IN_PLACE)


def is_borrowed(depth: int = 2) -> bool:
    """Tell whether the program is at ``a += t`` for a parameter a that the caller's variable may count for, too.

    ``depth`` is how many calls from here the program is.
    """
    if not PARAMETERS_BORROW:
        return False
    frame = sys._getframe(depth)
    code = frame.f_code
    return _assigned_to(code, frame.f_lasti) in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


@lru_cache(maxsize=1024)
def _assigned_to(code: CodeType, offset: int) -> str | None:
    """Return the variable of the function that the result of the instruction at an offset is assigned to, if one."""
    after = next(each for each in dis.get_instructions(code) if each.offset > offset)
    if not after.opname.startswith("STORE_FAST"):
        return None
    return str(after.argval[0] if isinstance(after.argval, tuple) else after.argval)


def _holders(out: tuple[Any, ...]) -> int:
    return getrefcount(out[0])


class _Probe:
    """Counts the references to an array that it is added to in place."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> int:
        return _holders(out)


def _held_by_a_name() -> int:
    """Return the count for an array that a variable alone holds; 0, if two variables count as one."""
    a: Any = np.zeros(1)
    a += _Probe()
    b: Any = np.zeros(1)
    other: Array = b
    b += _Probe()
    return int(a) if a < b and other.size else 0


def _held_by_a_place() -> int:
    """Return the count for an array that an attribute alone holds; 0, if an attribute and a variable count as one."""
    a, b = _Items(np.zeros(1)), _Items(np.zeros(1))
    other: Array = b.item
    a.item += _Probe()
    b.item += _Probe()
    return int(a.item) if a.item < b.item and other.size else 0


def _parameters_borrow() -> bool:
    """Tell whether a parameter and the caller's variable count as one: Python 3.14 borrows its reference."""

    def count(parameter: Any) -> int:
        parameter += _Probe()
        return int(parameter)

    a = np.zeros(1)
    return count(a) <= HELD_BY_A_NAME and a.size > 0


HELD_BY_A_NAME = _held_by_a_name()
HELD_BY_A_PLACE = _held_by_a_place()
PARAMETERS_BORROW = _parameters_borrow()
IN_PLACE = 13
"""The first of BINARY_OP's arguments that stand for augmented assignments, Python 3.11 and later."""
