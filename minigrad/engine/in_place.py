"""Changes of a tensor in place: recorded, it gets a new value, and whoever read the old one keeps it."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from sys import getrefcount
from typing import Any

import numpy as np

from ..rules.elementwise import POSITIVE
from ..rules.indexing import SETITEM, setitem, with_arrays
from ..rules.metadata import outline
from .arrays import STAND_INS, as_array, has_no_items, has_stand_ins, is_number, takes_over
from .calls import Variable, any_requires_grad, bare, filled, parent_of, record, unwrap, variable
from .containers import plain_sequence
from .ownership import is_shared, owns_data, share_memory, views_another
from .recording import TapeError, recording
from .statements import is_stored_back, refuse_shuffle
from .watch import replaced, rewritten, views_replaced, wrote


def augmented(ufunc: Any) -> Callable[[Any, Any], Any]:
    """Make the method of an augmented assignment: in place under no_grad; elsewhere recorded, with a new value.

    Numbers are immutable, as NumPy's are: there it returns a new one.
    """

    def method(self: Any, other: Any) -> Any:
        if is_number(self.data):
            return NotImplemented if takes_over(other) else ufunc(self, other)
        if recording.get() is None:
            ufunc(self.data, bare(other), out=self.data)
            wrote(self.data)
        else:
            if self.data.base is not None and not is_stored_back(getrefcount(self)):
                refuse_view(self)
            _refuse_change(self, self.requires_grad or any_requires_grad(other))
            become(self, ufunc(self, other))
        return self

    return method


def set_part(self: Any, index: Any, value: Any) -> None:
    """Assign ``self[index] = value``, recorded."""
    if is_number(self.data):
        raise has_no_items(self.data)
    index = as_kept(with_arrays(index))
    if isinstance(value, Variable) and value.data.base is not None:
        refuse_shuffle()
    if recording.get() is None:
        self.data[index] = bare(value)
        wrote(self.data)
        return
    if self.data.base is not None:
        refuse_view(self)
    _refuse_change(self, self.requires_grad or any_requires_grad(value))
    in_place = owns_data(self)  # no call and no view has the array: a loop that fills it need not copy it
    shared = not in_place and is_shared(self, self._call)
    (part,), (parent,) = unwrap(SETITEM, (value,))
    old, parents = self.data, (parent_of(self) if self.requires_grad else None, parent)
    if in_place and not has_stand_ins((part, index)):
        old[index] = part
        new = old
    else:
        new = setitem(old, part, index)
    # The gradient needs only their shapes, so the tape keeps outlines.
    if type(part) is np.ndarray and parents[1] is None and not replaced:
        part = outline(part.shape, part.dtype)
    written = record(
        SETITEM,
        [outline(old.shape, old.dtype), part],
        parents,
        {"index": index},
        outline(new.shape, new.dtype),
    )
    viewed = shared and new is not old
    if viewed or replaced:
        rewritten(old, new, index, viewed)
    self.data, self._call, self.requires_grad = new, written._call, written.requires_grad
    if type(new) is np.ndarray and id(new) not in filled:
        filled[id(new)] = new


def become(self: Any, value: Any) -> None:
    """Take a result in place, recorded: cast to this tensor's shape and dtype."""
    value = value if isinstance(value, Variable) else variable(as_array(value))
    _refuse_change(self, value.requires_grad)
    value = fit_in_place(value, self.data)
    own = 0 if value._call is None else sum([x is self.data for x in value._call[2]])
    viewed = is_shared(self, self._call, own)  # by more than the call just made
    new = np.copy(value.data) if is_number(value.data) else value.data  # an array of no axes stays one
    if viewed or replaced:
        rewritten(self.data, new, ..., viewed)
    self.data, self._call, self.requires_grad = new, value._call, value.requires_grad


def fit_in_place(value: Any, out: Any) -> Any:
    """Cast a value to the dtype of ``out``; raise unless its shape fits and the cast is same-kind."""
    if value.shape != out.shape:
        raise ValueError(
            f"in-place change: a result of shape {value.shape} does not fit into shape {out.shape}"
        )
    if not np.can_cast(value.dtype, out.dtype, "same_kind"):
        raise TypeError(
            f"in-place change: a result of dtype {value.dtype} does not fit into dtype {out.dtype}"
        )
    return value if value.dtype == out.dtype else value.astype(out.dtype)


def refuse_view(self: Any) -> None:
    """Refuse a recorded change of a view that would not be seen in the tensor that is viewed."""
    viewing = views_another(self.data, self._call) or views_replaced(self.data)
    if viewing and not _is_argument(self):
        raise TapeError(
            "in-place change of a view: recorded, it would not reach the tensor that is viewed; write to that "
            "one, t[0, 1] = value in place of t[0][1] = value and t[i] += a in place of row += a, or make a new "
            "one, row = row + a"
        )


def _refuse_change(self: Any, requires_grad: bool) -> None:
    """Refuse a recorded change in place of a leaf, or of shared memory; and one that would give integers a gradient."""
    if self._call is None and self.requires_grad:
        raise RuntimeError(
            "in-place change of a leaf that requires a gradient; to update a parameter use `with mg.no_grad():`, "
            "to compute with a changed value change a copy, t.copy()"
        )
    if requires_grad and self.dtype.kind not in "fc":
        raise TypeError(f"a tensor of dtype {self.dtype} cannot hold values that require a gradient")
    if _is_argument(self):
        _refuse_shared(self)


def _refuse_shared(self: Any) -> None:
    """Refuse a recorded change of an argument of `grad` that would not be seen in another that shares its memory."""
    if type(self.data) in STAND_INS:
        self.data.has_its_own_memory()
    own, known, call = [self.data], [], self._call
    # An argument of an inner `grad` is one of an outer one.
    while type(call) is tuple and call[1] is POSITIVE:
        number, _, _, (call,), options, _ = call
        if hasattr(options, "originals"):
            own += [options.originals[number]] if number in options.originals else []
            known.append((number, *options.arguments()))
    for number, arrays, tensors in known:
        given = [x.data for x in tensors if x._call is None or x._call[0] < number]  # not put there by f
        if sum(any(share_memory(x, y) for y in own) for x in given + arrays.near(own)) > 1:
            raise TapeError(
                "in-place change of an argument that shares its memory with another: recorded, it would not reach the "
                "other; give a copy of one, or make a new array, x = x + a in place of x += a"
            )


def _is_argument(self: Any) -> bool:
    """Tell whether this tensor wraps an argument of `grad`."""
    return self._call is not None and self._call[1] is POSITIVE and self._call[5] is self._call[2][0]


NEVER_CHANGE = frozenset({int, bool, float, type(None)})
"""Types of options that the tape keeps as they are."""
PLAIN_PARTS = NEVER_CHANGE | {slice, type(...)}


def never_changes(x: Any) -> bool:
    """Tell whether an option is one that the tape keeps as it is, or a tuple of such: a shape, axes."""
    return type(x) in NEVER_CHANGE or (type(x) is tuple and NEVER_CHANGE.issuperset(map(type, x)))


def as_kept(index: Any) -> Any:
    """Return an index, or an option, as the tape may keep it: arrays for tensors, and copies of arrays and lists.

    A dict stays what it is: a layer keeps its state in it.
    """
    if type(index) in PLAIN_PARTS or type(index) is dict:
        return index
    if isinstance(index, (tuple, list)):
        return plain_sequence(index, map(as_kept, index))
    index = bare(index)
    if type(index) in STAND_INS:
        return copy(index)
    if isinstance(index, np.generic):  # which does not change
        return index
    return np.array(index) if hasattr(type(index), "__array__") else index
