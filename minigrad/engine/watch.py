"""What may go wrong between the forward and the backward pass: arrays that change, and the first NaN."""

from __future__ import annotations

import weakref
import zlib
from collections.abc import Sequence
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
        """Refuse a call that made a NaN of numbers; remember what its arrays held."""
        number, op, operands, _, _, out = call
        if _has_nan(out) and not any(_has_nan(x) for x in operands):
            shapes = ", ".join(str(np.shape(x)) for x in operands)
            raise FloatingPointError(
                f"{op.name}: made a NaN of operands of shape {shapes}, none of which has one"
            )
        self.prints[number] = [_fingerprint(x) for x in (*operands, out)]

    def gradients(self, call: Call, g: Any, out: Any, operands: Sequence[Any], needs: Sequence[Any]) -> Any:
        """Return the gradients of a call's operands; refuse arrays that changed since, and a NaN made of numbers."""
        number, op, arrays, _, options, result = call
        for i, (array, before) in enumerate(
            zip((*arrays, result), self.prints.get(number, ()), strict=False)
        ):
            if before != _fingerprint(array):
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


def _fingerprint(x: Any) -> int | None:
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
    """Return the array whose memory this one views."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


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


_replaced: dict[int, tuple[Any, list[tuple[int, Any, Any]]]] = {}
"""By the ``id`` of an array that recorded writes replaced: a weak reference; and when, which part of it (None: all of
it, else where that lies in memory), and the index written."""


def replaces(array: Array, index: Any) -> None:
    """Remember that a recorded write gave a tensor another array than this, which its views still show."""
    owner = _owner(array)
    key = id(owner)
    found = _replaced.get(key)
    if found is None:
        found = _replaced[key] = weakref.ref(owner, lambda _: _replaced.pop(key, None)), []
    found[1].append((next_number(), None if array is owner else _place(array), index))


def _place(array: Array) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Return where an array lies in memory: its address, shape and strides."""
    array = _captured(array)
    return array.ctypes.data, array.shape, array.strides


def any_replaced() -> bool:
    """Tell whether there is an array, still in use, that a recorded write replaced."""
    return bool(_replaced)


def check_current(call: Call) -> None:
    """Refuse to walk back through a call that read a view of a tensor which was written to since the view was taken."""
    number, op, operands, _, _, _ = call
    for i, x in enumerate(operands):
        if getattr(x, "base", None) is None:
            continue
        owner = _owner(x)
        for written, place, index in _replaced.get(id(owner), (None, ()))[1]:
            if written < number and _overlap(_place(x), place or _place(owner), index):
                raise RuntimeError(
                    f"{op.name}: its operand {i}, of shape {x.shape}, is a view of a tensor that was written to after "
                    "the view was taken: NumPy's view would show what was written, the tensor's does not; take the "
                    "view again after the write, t[0], or a copy before it, t[0].copy()"
                )


def _overlap(place: Any, written: Any, index: Any) -> bool:
    """Tell whether the array at a place has an entry in common with the part, at an index, of another's."""
    part = _addresses(*written)[_captured_index(index)]
    return bool(np.isin(_addresses(*place), part).any())


def _addresses(data: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    """Return where in memory each entry of an array lies."""
    places: Any = np.array(data)
    for length, stride in zip(shape, strides, strict=True):
        places = np.add.outer(places, np.arange(length) * stride)
    return places


def _captured_index(index: Any) -> Any:
    return tuple(map(_captured, index)) if isinstance(index, tuple) else _captured(index)


def _captured(x: Any) -> Any:
    """Return the array that a stand-in has while a function is captured; an array as it is."""
    return x.captured if type(x) in STAND_INS else x
