"""Faults between the forward and the backward pass: arrays that change in place, and the first NaN."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from .arrays import STAND_INS
from .recording import Array, Call, Mode, Recording, next_number, recording
from .sharing import shared


class detect_anomaly(Mode):
    """Name the call that made the first NaN, forward or backward, and notice raw arrays that change.

    A context manager and a decorator, as `no_grad` is. Both the forward and the backward pass belong inside. Every
    array is read once more at each call: for debugging, not for training.

    Raises
    ------
    FloatingPointError
        At the call whose result has a NaN though its operands have none.
    RuntimeError
        At the backward pass, for a call whose operands or result changed since.
    """

    def mode(self) -> Recording | None:
        """Return how calls are recorded inside: watched, unless not at all."""
        return None if recording.get() is None else Anomaly()


class Anomaly(Recording):
    """Watches every call: for the first NaN, and for raw arrays that change before the backward pass."""

    __slots__ = ("prints",)
    watches = True

    def __init__(self) -> None:
        self.prints: dict[int, list[int | None]] = {}

    def called(self, call: Call) -> None:
        """Raise if a call made a NaN of operands without one; else keep checksums of its arrays."""
        number, op, operands, _, _, out = call
        if _has_nan(out) and not any(_has_nan(x) for x in operands):
            shapes = ", ".join(str(np.shape(x)) for x in operands)
            raise FloatingPointError(
                f"{op.name}: made a NaN of operands of shape {shapes}, none of which has one"
            )
        self.prints[number] = [fingerprint(x) for x in (*operands, out)]

    def gradients(self, call: Call, g: Any, out: Any, operands: Sequence[Any], needs: Sequence[Any]) -> Any:
        """Return the gradients of a call's operands; refuse arrays that changed since, and a NaN made of numbers."""
        number, op, arrays, _, options, result = call
        for i, (array, before) in enumerate(
            zip((*arrays, result), self.prints.get(number, ()), strict=False)
        ):
            if before != fingerprint(array):
                raise _changed(op, i, array, arrays)
        had_nan = _has_nan(g)
        found = op.gradients(g, out, operands, options, needs)
        for i, dx in enumerate(found):
            if not had_nan and needs[i] is not None and _has_nan(dx):
                raise FloatingPointError(
                    f"{op.name}: its backward rule made a NaN, in the gradient of operand {i}"
                )
        return found

    def added(self, call: Call, total: Any, dx: Any) -> None:
        """Refuse a sum of gradients that has a NaN, though what was added last has none."""
        if _has_nan(total) and not _has_nan(dx):
            raise FloatingPointError(
                f"{call[1].name}: the gradient of an operand, of shape {np.shape(dx)}, and the operand's gradient from "
                "other calls add up to NaN (inf - inf)"
            )


def _has_nan(x: Any) -> bool:
    x = x if isinstance(x, (np.ndarray, np.generic, float)) else getattr(x, "data", None)  # of a tensor
    array = np.asarray(x) if isinstance(x, (np.ndarray, np.generic, float)) else None
    return array is not None and array.dtype.kind in "fc" and bool(np.isnan(array).any())


def fingerprint(x: Any) -> int | None:
    """Return a checksum of an array's contents; None for anything else."""
    import zlib  # here, so that importing stays fast

    return zlib.crc32(np.ascontiguousarray(x).tobytes()) if isinstance(x, np.ndarray) else None


_written: dict[int, int] = {}
_last_write = 0


def wrote(array: Array) -> None:
    """Remember that an array was written to in place, for calls that had read it before."""
    global _last_write
    owner = _owner(array)
    key = id(owner)
    with shared():
        if key not in _written:
            weakref.finalize(owner, _written.pop, key, None).atexit = False
        _written[key] = _last_write = next_number()


def last_write() -> int:
    """Return the number of the last write in place: calls after it have nothing to check."""
    return _last_write


def _owner(array: Array) -> Array:
    """Return the array whose memory this one views; that of a sliding window is behind a base that is no array."""
    owner, base = array, array.base
    while base is not None:
        if isinstance(base, np.ndarray):
            owner = base
        base = getattr(base, "base", None)
    return owner


def check_unwritten(call: Call) -> None:
    """Refuse to walk back through a call whose operands or result were written to since."""
    number, op, operands, _, _, out = call
    for i, x in enumerate((*operands, out)):
        if isinstance(x, np.ndarray) and _written.get(id(_owner(x)), 0) > number:
            raise _changed(op, i, x, operands)


def _changed(op: Any, i: int, array: Array, operands: Sequence[Any]) -> RuntimeError:
    which = f"its operand {i}" if i < len(operands) else "its result"
    return RuntimeError(
        f"{op.name}: {which}, of shape {array.shape}, was changed in place after the call and before the backward "
        "pass, which needs what it held; call backward first, or change a copy"
    )


Writes = list[tuple[int, Any]]  # recorded writes to one tensor: when, and the index
replaced: dict[int, tuple[Any, list[tuple[int, Any, Writes]]]] = {}
"""Arrays in use that recorded writes replaced, by ``id``: a weak reference, and for each replaced part the number of
the write, its place in memory (None: the whole array), and the writes to the tensor from then on."""
_followed: dict[int, tuple[Any, Writes]] = {}
"""The arrays that tensors have after such writes, by ``id``: a weak reference, and the writes."""


def rewritten(old: Array, new: Array, index: Any, viewed: bool) -> None:
    """Remember a recorded write, which gives a tensor a new array, if the old array or an earlier one is viewed."""
    _, writes = _followed.pop(id(old), (None, []))
    if not (writes or viewed):
        return
    writes.append((next_number(), index))
    key = id(new)
    _followed[key] = weakref.ref(new, lambda _: _followed.pop(key, None)), writes
    if viewed:
        owner = _owner(old)
        place = id(owner)
        if place not in replaced:
            replaced[place] = weakref.ref(owner, lambda _: replaced.pop(place, None)), []
        replaced[place][1].append((writes[-1][0], None if old is owner else _place(old), writes))


def _place(array: Array) -> tuple[int, tuple[int, ...], tuple[int, ...], int]:
    """Return where an array lies in memory: its address, shape and strides, and the length of an entry."""
    array = _captured(array)
    return array.ctypes.data, array.shape, array.strides, array.itemsize


def forget(array: Array) -> None:
    """Forget which parts of an array recorded writes replaced: it belongs to no tensor any more."""
    replaced.pop(id(_owner(array)), None)


def check_current(op: Any, operands: Sequence[Any]) -> None:
    """Refuse to read a view of a tensor that was written to since the view was taken."""
    for i, x in enumerate(operands):
        if is_stale(x):
            raise RuntimeError(
                f"{op.name}: its operand {i}, of shape {x.shape}, is a view of a tensor that was written to after the "
                "view was taken: NumPy's view would show what was written, the tensor's does not; take the view again "
                "after the write, t[0], or a copy before it, t[0].copy()"
            )


def is_stale(x: Any) -> bool:
    """Tell whether an array is a view of a tensor that was written to, recorded, since the view was taken."""
    if getattr(x, "base", None) is None or (type(x) in STAND_INS and x.is_replayed):
        return False
    owner = _owner(x)
    for since, place, writes in replaced.get(id(owner), (None, ()))[1]:
        for number, index in reversed(writes):
            if number < since:
                break
            if _overlap(_place(x), place or _place(owner), index):
                return True
    return False


def views_replaced(x: Array) -> bool:
    """Tell whether a recorded write has replaced the memory of an array: what is written into it is lost."""
    return bool(replaced) and id(_owner(x)) in replaced


def as_read(x: Any) -> Any:
    """Return an array as a call read it: a copy, if it was replaced since, so that its views are not stale."""
    return x.copy() if hasattr(x, "base") and views_replaced(x) else x


def _overlap(place: Any, written: Any, index: Any) -> bool:
    """Tell whether an array shares an entry with the part of another at an index; both are given by their places."""
    shown_array, whole = _array_at(place), _array_at(written)
    index = tuple(map(_captured, index)) if isinstance(index, tuple) else _captured(index)
    if all(each is None or isinstance(each, BASIC) for each in (index if type(index) is tuple else (index,))):
        return np.shares_memory(shown_array, _part(whole, index))
    if not np.may_share_memory(shown_array, whole):
        return False
    unit = math.gcd(place[-1], written[-1])  # the parts of a complex number are half as long
    shown = np.add.outer(_addresses(*place[:3]), np.arange(0, place[-1], unit))
    part = np.add.outer(_addresses(*written[:3])[index], np.arange(0, written[-1], unit))
    return bool(np.isin(shown, part).any())


BASIC = (int, np.integer, slice, type(...))
"""Parts of an index that read a view."""


def _array_at(place: tuple[int, tuple[int, ...], tuple[int, ...], int]) -> Array:
    """Return an array at a place in memory; its entries must not be read, as the memory may have been freed."""
    data, shape, strides, itemsize = place
    interface = {
        "version": 3,
        "data": (data, True),
        "shape": shape,
        "strides": strides,
        "typestr": f"|V{itemsize}",
    }
    return np.asarray(SimpleNamespace(__array_interface__=interface))


def _part(whole: Array, index: Any) -> Array:
    """Return the view at a basic index, also of one entry."""
    index = index if type(index) is tuple else (index,)
    view: Array = whole[index if ... in index else (*index, ...)]
    return view


def _addresses(data: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """Return where in memory each entry of an array lies."""
    places: Any = np.array(data)
    for length, stride in zip(shape, strides, strict=True):
        places = np.add.outer(places, np.arange(length) * stride)
    return places


def _captured(x: Any) -> Any:
    """Return the array that a stand-in has while a function is captured; an array as it is."""
    return x.captured if type(x) in STAND_INS else x
