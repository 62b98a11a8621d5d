"""Where a tensor is about to leave the tape unnoticed: the statement, and what to write instead."""

from __future__ import annotations

import dis
import sys
from functools import lru_cache
from sys import getrefcount
from types import CodeType, FrameType
from typing import Any

import numpy as np

from ..rules.facts import facts
from ..rules.lookup import rules_of
from ..rules.table import full_name
from .recording import Array, TapeError

EXPLICITLY = "leave the tape explicitly: t.numpy(), t.detach(), t.item()"
JOINED = (
    "fill a tensor instead of an array (a = mg.tensor(a); a[i] = t), join tensors by np.stack or np.concatenate, "
    "write t for np.asarray(t), X @ t for X.dot(t)"
)
INSTEAD_OF_AN_ARRAY = f"{JOINED}, or {EXPLICITLY}"
OTHERWISE = {
    "flat": "; write t.ravel()[i], and t[np.unravel_index(i, t.shape)] = value",
    "zero_grad": "; write t.grad = None",
    "strides": "; how its entries lie in memory may change",
    "unsqueeze": "; write np.expand_dims(t, axis), or t[:, None]",
    "permute": "; write t.transpose(axes)",
    "requires_grad_": "; write mg.tensor(data, requires_grad=True)",
}
OTHERWISE |= {name: f"; write t[...] = np.{name}(t, …)" for name in ("sort", "partition")}
OTHERWISE |= {name: f"; write mg.{name}(t)" for name in ("relu", "sigmoid", "gelu", "elu", "leaky_relu")}
"""What to write instead of attributes that arrays, or the tensors of others, have and tensors not."""
OF_SCIPY = "it with NumPy's functions (np.linalg, np.fft, np.convolve)"
"""What to write instead of a function of SciPy's of which nothing else is known."""
LIBRARIES = ("numpy", "scipy", "minigrad")


def who_asks() -> tuple[str, str]:
    """Return where a tensor is being turned into an array, by which library function; and what to write instead."""
    frame, name, known = asked_by(sys._getframe(2))
    instead = f"write {known}, or {EXPLICITLY}" if known else INSTEAD_OF_AN_ARRAY
    return f"{name}at {frame.f_code.co_filename}:{frame.f_lineno}", instead


def asked_by(frame: FrameType) -> tuple[FrameType, str, str]:
    """Return the innermost frame of the program, the library function that it called, and its replacement."""
    name = known = ""
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in LIBRARIES:
        called, module = frame.f_code.co_name, frame.f_globals["__name__"]
        if module != "minigrad.engine.arguments":  # a decorator's
            if called.startswith("__") and "self" in frame.f_locals:  # of a class, as np.vectorize(f)(t)
                called = type(frame.f_locals["self"]).__name__
            name = "" if module.startswith("minigrad.compiler") else f"{module}.{called}, called "
            function = getattr(np, called, frame.f_globals.get(called))
            known = facts(function).instead if rules_of(function) is None else ""
        frame = frame.f_back
    return frame, name, known or (OF_SCIPY if name.startswith("scipy.") else "")


def stacklevel_of_program() -> int:
    """Return the ``stacklevel`` of a warning that the caller gives about the program's own statement."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in LIBRARIES:
        frame, level = frame.f_back, level + 1
    return level


STORES = {"STORE_SUBSCR", "STORE_SLICE"}
"""The instructions of ``x[i] = …`` and, from Python 3.12 on, of ``x[i:j] = …``."""


def is_stored(depth: int = 3) -> bool:
    """Tell whether the program is at ``array[i] = t`` or alike: NumPy then asks t for a float, as ``float(t)`` does.

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
    """Tell whether the program is at ``container[i] += …``, and nothing but this statement has the item.

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
    """Refuse an assignment that is made by `numpy.random.Generator.shuffle`, which takes views for copies."""
    frame = sys._getframe(2)
    code, offset = frame.f_code, frame.f_lasti
    if _names(code, offset, ("shuffle",)) and _line_up_to(code, offset)[-1].opname not in STORES:
        raise TapeError(
            "shuffle: exchanges rows of arrays alone, not of tensors, nor of arrays of a function that is compiled; "
            "write x[rng.permutation(len(x))]"
        )


def parts_are_read() -> TapeError:
    """Say that the real or the imaginary part of a number cannot be written to alone."""
    return TapeError(
        "z.real = x and z.imag = y are not recorded; write z = x + 1j * z.imag, z = z.real + 1j * y, or both at once, "
        "z[...] = x + 1j * y"
    )


def held_by_others(ufunc: Any) -> TapeError:
    """Say that a plain array cannot become a tensor in place."""
    return TapeError(
        f"{full_name(ufunc)}: a tensor that requires a gradient cannot be written into a plain array, which others may "
        f"hold; write a = np.{ufunc.__name__}(a, t), or make a tensor of the array, a = mg.tensor(a)"
    )


def written_to(function: Any) -> TapeError:
    """Say that a function cannot write a tensor into a plain array, which it, or another that calls it, was given."""
    write = "np.add.at(a, index, t)" if function is np.add else "a[index] = t"
    known = asked_by(sys._getframe(1))[2] or f"{write}, with a tensor of the array, a = mg.tensor(a)"
    return TapeError(
        f"{full_name(function)}: a tensor that requires a gradient cannot be written into a plain array, which others "
        f"may hold; write {known}"
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


def rebinds(out: tuple[Any, ...], depth: int = 3) -> bool:
    """Tell whether a ufunc was called by ``a += t``, and nothing but that name or place holds the array a.

    ``depth`` is how many calls from here the program is.
    """
    frame = sys._getframe(depth)
    code = frame.f_code.co_code
    name = dis.opname[code[frame.f_lasti]]
    in_place = name.startswith("INPLACE_") or (name == "BINARY_OP" and code[frame.f_lasti + 1] >= IN_PLACE)
    if not in_place or out[0].base is not None:
        return False
    if _assigned_to(frame.f_code, frame.f_lasti) is None:
        return _holders(out) <= HELD_BY_A_PLACE
    return _holders(out) <= HELD_BY_A_NAME and not is_borrowed(depth + 1)


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
