"""The stand-in for an array while a function is traced: NumPy calls on it are recorded."""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable, Iterator
from copy import copy
from sys import getrefcount
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ...engine.arrays import has_no_items, stands_in, takes_over
from ...engine.in_place import fit_in_place
from ...engine.leaving import OTHERWISE, asked_by, held_by_others, would_be_cut_off
from ...engine.ownership import BASE_HELD_ONCE, count_of_base
from ...engine.recording import recording
from ...engine.statements import (
    OBJECT_HELD_BY_A_NAME,
    is_augmented,
    is_borrowed,
    is_stored,
    refuse_shuffle,
)
from ...engine.tensor import Tensor
from ...engine.writing import Writable, put_imag, put_real
from ...rules.elementwise import scalar_power
from ...rules.facts import METHODS
from ...rules.indexing import with_arrays
from ..ir import Node, cast, mapped, part, written
from ..where import JitError, PlainArray, user_line
from .dispatch import call_function, call_ufunc
from .numpy_calls import read_part, value_of
from .refused import ARRAY, BRANCH, FILLED, FORMATTED, KEY, NUMBER, leaked, needs_values
from .selected import Length, Selected, write_selected
from .views import Path, Step, can_be_stored, in_order_until, is_known, read, stored, unknown_step


def _augmented(ufunc: Any) -> Callable[[Traced, Any], Any]:
    """Make the method of an augmented assignment."""

    def method(self: Traced, other: Any) -> Any:
        if isinstance(self.node.value, np.generic):
            return NotImplemented if takes_over(other) else ufunc(self, other)
        if type(other) is Tensor and other.requires_grad and recording.get() is not None:
            alone = self.base is None and getrefcount(self) <= OBJECT_HELD_BY_A_NAME
            if not (alone and is_augmented()) or is_borrowed():
                raise held_by_others(ufunc)
            return fit_in_place(ufunc(self, other), self)
        return ufunc(self, other, out=(self,))

    return method


def _operator(name: str) -> Callable[[Traced, Any], Any]:
    """Make the method of a binary operator; it leaves the operator to an operand that is no array-like."""
    operator = getattr(NDArrayOperatorsMixin, name)

    def method(self: Traced, other: Any) -> Any:
        if takes_over(other):
            return NotImplemented
        is_true = isinstance(self.node.value, np.bool_)  # True ** 2 is one of integers
        ufunc = scalar_power(self, other) if name == "__pow__" and not is_true else None
        return operator(self, other) if ufunc is None else ufunc(self)

    return method


ASKED_FIRST = {Tensor, Selected, Length}
"""Types that answer for a call of which one of them is an operand, too."""


def _stored_or(refused: Callable[[Traced], Any]) -> Callable[[Traced], Any]:
    """Make the method by which NumPy asks for the value of an array, too, that is stored into a plain one."""

    def method(self: Traced) -> Any:
        if is_stored(2):
            raise PlainArray(
                f"{user_line()}: array[i] = x (or array.fill, np.fromiter) would need the value of an array, "
                f"which is not known while the function is compiled; {FILLED}",
                self.node,
            )
        return refused(self)

    return method


@stands_in
class Traced(NDArrayOperatorsMixin, Writable):
    """The stand-in for an array while a function is traced: NumPy calls on it are recorded."""

    __slots__ = ("__weakref__", "base", "given", "is_read_only", "node", "path", "recorder", "views")

    def __init__(self, trace: Any, node: Node, base: Traced | None = None) -> None:
        self.recorder = trace
        self.base = base
        self.given = node if node.function is None else None  # the argument that this stands for
        self._stand_for(node)
        self.path: Path = ()  # from the base
        self.is_read_only = False
        self.views: list[weakref.ref[Traced]] = []
        if base is not None:
            base.views.append(weakref.ref(self))

    def __del__(self) -> None:
        self._let_go(self.node)

    def _stand_for(self, node: Node) -> None:
        self.node = node
        node.stand_ins += 1
        node.views += self.base is not None

    def _let_go(self, node: Node) -> None:
        """Let the trace drop a value that no stand-in stands for, or what it views."""
        node.stand_ins -= 1
        node.views -= self.base is not None
        if not node.views:
            self.recorder.release(node)

    @property
    def is_replayed(self) -> bool:
        """Whether the function runs again, and makes the calls that it has made."""
        return self.recorder.again is not None

    @property
    def owner(self) -> Traced:
        """The array whose memory this one views, or this one."""
        return self if self.base is None else self.base

    def viewing(self, other: Traced, step: Step | None = None) -> Traced:
        """Return this array as a view of another; where the step to it is given, it is read again after a write."""
        view = Traced(self.recorder, self.node, other.owner)
        view.is_read_only = other.is_read_only
        step = unknown_step() if step is None else step
        argument = mapped(lambda x: copy(x) if type(x) is Traced else x, step.argument)
        view.path = (*other.path, step._replace(argument=argument))
        return view

    @property  # type: ignore[misc]  # to isinstance it is an array
    def __class__(self) -> Any:
        """The class that isinstance sees: ndarray, or one of NumPy's scalar types."""
        return type(self.node.value)

    def has_its_own_memory(self) -> None:
        """Note that the trace holds only where this argument shares no memory with another."""
        self.recorder.apart.add(self.owner.node)

    def as_read_only(self) -> Traced:
        """Return a stand-in for this array that cannot be written to."""
        frozen = self.viewing(self, Step(part, ...))
        frozen.is_read_only = True
        return frozen

    def __copy__(self) -> Traced:
        return Traced(self.recorder, self.node)

    def __deepcopy__(self, memo: dict[int, Any]) -> Traced:
        return Traced(self.recorder, self.node)

    # -- what an array has -----------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.node.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the entries."""
        return self.node.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.node.shape)

    @property
    def size(self) -> int:
        """The number of entries."""
        return math.prod(self.node.shape)

    @property
    def itemsize(self) -> int:
        """The size of an entry, in bytes."""
        return self.node.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The size of all entries, in bytes."""
        return self.size * self.itemsize

    @property
    def captured(self) -> Any:
        """The array that was captured."""
        return self.node.value

    @property
    def T(self) -> Any:
        """The array with its axes in reverse."""
        return self.transpose()

    @property
    def mT(self) -> Any:
        """The matrices transposed."""
        return np.swapaxes(self, -1, -2)

    @property
    def real(self) -> Any:
        """The real part."""
        return np.real(self) if self.dtype.kind == "c" else self

    @real.setter
    def real(self, part: Any) -> None:
        put_real(self, part)

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return np.imag(self)

    @imag.setter
    def imag(self, part: Any) -> None:
        put_imag(self, part)

    def __len__(self) -> int:
        return len(self.node.value)

    def __iter__(self) -> Iterator[Traced]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Traced(shape={self.shape}, dtype={self.dtype})"

    __hash__: Any = needs_values("a set, or a key of a dict,", KEY)
    __bool__ = _stored_or(needs_values("a condition (if, while, and, or, not)", BRANCH))
    __float__ = _stored_or(needs_values("float()", NUMBER))
    __int__ = needs_values("int()", NUMBER, PlainArray)  # or an array of integers, which is to hold it
    __complex__ = needs_values("complex()", NUMBER, PlainArray)
    __index__ = needs_values(
        "an index, or range()", "index by the array, or give the number as an option of the call", PlainArray
    )
    __format__ = needs_values("a formatted string", FORMATTED)
    __contains__ = needs_values("in", BRANCH)
    item = needs_values("item()", NUMBER)
    tolist = needs_values("tolist()", NUMBER)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        if self.recorder.over:
            raise leaked()
        known = asked_by(sys._getframe(1))[2]
        raise PlainArray(
            f"{user_line()}: np.asarray(), or a plain array that is to hold it, needs the values of an array of shape "
            f"{self.shape}, which are not known while the function is compiled; "
            f"{f'write {known}' if known else ARRAY}",
            self.node,
        )

    # -- operators: the mixin's, but for those of arrays and what is no array-like --------------------------------

    __add__, __sub__, __mul__ = _operator("__add__"), _operator("__sub__"), _operator("__mul__")
    __truediv__, __mod__, __pow__ = _operator("__truediv__"), _operator("__mod__"), _operator("__pow__")
    __matmul__ = _operator("__matmul__")

    # -- augmented assignment: of an array, in place; of a number, which NumPy cannot change, a new one -----------

    __iadd__ = _augmented(np.add)
    __isub__ = _augmented(np.subtract)
    __imul__ = _augmented(np.multiply)
    __itruediv__ = _augmented(np.divide)
    __ifloordiv__ = _augmented(np.floor_divide)
    __imod__ = _augmented(np.remainder)
    __ipow__ = _augmented(np.power)
    __imatmul__ = _augmented(np.matmul)
    __iand__ = _augmented(np.bitwise_and)
    __ior__ = _augmented(np.bitwise_or)
    __ixor__ = _augmented(np.bitwise_xor)
    __ilshift__ = _augmented(np.left_shift)
    __irshift__ = _augmented(np.right_shift)

    # -- NumPy's protocols -----------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if not ASKED_FIRST.isdisjoint(map(type, inputs)):
            return NotImplemented
        return call_ufunc(self.recorder, ufunc, method, inputs, out, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if not ASKED_FIRST.isdisjoint(types):
            return NotImplemented
        return call_function(self.recorder, function, args, kwargs)

    # -- reading and writing parts -----------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> Any:
        return read_part(self.recorder, self, mapped(untaped, with_arrays(index)))

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(self.node.value, np.generic):
            raise has_no_items(self.node.value)
        if type(value) is Traced and value.base is not None:
            refuse_shuffle()
        if type(value) is not Tensor or not would_be_cut_off(value):
            value = untaped(value)
        index = mapped(untaped, with_arrays(index))
        if type(value) is Selected:
            self.become(write_selected(self, value, index))
        else:
            self.become(self.recorder.record(written, self, index, value))

    def become(self, value: Traced) -> Traced:
        """Take the value of another in place, broadcast to this one's shape and cast to its dtype.

        A write to a view reaches its base; other views in use are read again.
        """
        if isinstance(self.node.value, np.generic):
            raise has_no_items(self.node.value)
        if self.is_read_only:
            raise ValueError("assignment destination is read-only")
        self._part_from_base()
        owner = self.owner
        views = [view for view in (each() for each in owner.views) if view is not None]
        if not can_be_stored(self.path):
            raise in_use()
        paths = [view._path() for view in (self, *views)][1:]
        if value.dtype != self.dtype:
            if not np.can_cast(value.dtype, self.dtype, "same_kind"):
                raise TypeError(f"{user_line()}: cannot write {value.dtype} into an array of {self.dtype}")
            value = self.recorder.record(cast, value, self.dtype)
        if value.shape != self.shape:
            value = self.recorder.record(np.copy, np.broadcast_to(value, self.shape))
        if isinstance(self.node.value, np.ndarray) and not isinstance(value.node.value, np.ndarray):
            value = self.recorder.record(np.copy, value)  # an array of no axes stays one
        record = self.recorder.record
        owner._become(stored(record, owner, self.path, value).node)
        for view, path in zip(views, paths, strict=True):
            view._become(read(record, owner, path).node)
        owner.views[:] = map(weakref.ref, views)
        return self

    def _path(self) -> Path:
        """Return the steps from the base; refuse those of which NumPy may have made a copy.

        A change of shape that joins axes, as `numpy.ravel`, is certain to view entries that lie in order, as those
        of an argument may, and those of a new array of one axis do.
        """
        if not is_known(self.path):
            raise in_use()
        owner = self.owner
        if any(step.in_order for step in self.path):
            if not in_order_until(self.path) or (owner.given is None and owner.ndim > 1):
                raise in_use()
            self.recorder.contiguous.update([] if owner.given is None else [owner.given])
        return self.path

    def _part_from_base(self) -> None:
        """Let a view of which all others are parts own its memory, if nothing else holds the base: np.real(a * b)."""
        if self.base is None or (is_known(self.path) and not any(step.in_order for step in self.path)):
            return
        views = [view for view in (each() for each in self.base.views) if view is not None]
        first = min(views, key=lambda view: len(view.path))
        steps = len(first.path)
        held = 0 < count_of_base(self) == BASE_HELD_ONCE + len(views) - 1
        if not held or any(list(map(id, view.path[:steps])) != list(map(id, first.path)) for view in views):
            return
        for view in views:
            view.base, view.path = first, view.path[steps:]
        first.views = [weakref.ref(view) for view in views if view is not first]
        first.node.views -= 1
        first.base = None

    def _become(self, node: Node) -> None:
        """Stand for another value."""
        before = self.node
        self._stand_for(node)
        self._let_go(before)

    # -- methods that are not a NumPy function's ---------------------------------------------------------------

    def reshape(self, *shape: Any, order: Any = "C") -> Any:
        """`numpy.reshape`, to a tuple or to as many lengths."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, order=order)

    def transpose(self, *axes: Any) -> Any:
        """`numpy.transpose`, by a tuple or by as many axes; reversed, if none is given."""
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def astype(
        self, dtype: Any, order: Any = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
    ) -> Any:
        """`numpy.ndarray.astype`."""
        if not copy and self.dtype == dtype:
            return self
        return self.recorder.record(cast, self, np.dtype(dtype), casting)

    def conj(self) -> Any:
        """`numpy.conj`; of real numbers the array itself."""
        return np.conj(self) if self.dtype.kind == "c" else self

    conjugate = conj

    def clip(self, min: Any = None, max: Any = None, **others: Any) -> Any:
        """`numpy.clip`."""
        return np.clip(self, min, max, **others)

    def flatten(self, order: Any = "C") -> Any:
        """Return a copy with one axis."""
        return np.ravel(self.copy(), order)

    def __round__(self, ndigits: int | None = None) -> Any:
        """Round a scalar to decimals; without ``ndigits`` it would become a Python integer, which is refused."""
        if ndigits is None or not isinstance(self.node.value, np.generic):
            return self.__int__()
        return np.round(self, ndigits)

    def __getattr__(self, name: str) -> Any:
        """Find the method that is a NumPy function of the array."""
        if name not in METHODS:
            # An array has it: hasattr(x, "flags") is true.
            is_an_arrays = hasattr(np.ndarray, name) and not name.startswith("__")
            raise (JitError if is_an_arrays else AttributeError)(
                f"{user_line()}: an array in a compiled function has no {name!r}{OTHERWISE.get(name, '')}"
            )
        if name == "copy" and isinstance(value_of(self), np.generic):  # a number stays one
            return lambda order="C": self
        function = getattr(np, name)
        return lambda *args, **kwargs: function(self, *args, **kwargs)


def in_use() -> JitError:
    """Return the error of a write that a view in use may or may not see."""
    return JitError(
        f"{user_line()}: an array is written to while a view is in use that NumPy may have copied (one of axes "
        "joined to one, say), or is such a view itself; write to a copy, x.copy()"
    )


def untaped(x: Any) -> Any:
    """Return the array of a tensor that has no gradient here; anything else unchanged."""
    return x.data if type(x) is Tensor else x
