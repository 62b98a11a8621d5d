"""One call of the tape: operands unwrapped, the op's forward called, the result wrapped and recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from functools import cache
from operator import attrgetter
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ..rules.metadata import as_joined, outline
from ..rules.sliding import WINDOWS_AT
from .arrays import ARRAYS_AND_NUMBERS as PLAIN
from .arrays import KNOWN, STAND_INS, TOO_DEEP, held, plain_array, takes_over
from .containers import plain_sequence, rebuilt
from .recording import RECORD, Array, Call, Parent, TapeError, next_number, recording
from .watch import check_current, last_write, replaced, views_replaced

READ = SimpleNamespace(name="a tensor that is read")
NO_OPTIONS: dict[str, Any] = {}
DTYPE = attrgetter("dtype")
PARTS = "give it np.real, np.imag or np.abs of them"
SMALL = 1024
"""The most entries of an array that is no tensor for which the tape keeps a copy: it may change after the call."""
COMPLEX = {np.dtype(order + code) for code in "FDG" for order in "<>"}


class Variable:
    """An array on the tape: its values, its gradient, and the call that made it.

    `Tensor` gives it NumPy's interface, and registers itself as what results are.
    """

    __slots__ = ("__weakref__", "_call", "_grad", "data", "requires_grad")

    data: Array
    requires_grad: bool
    _grad: Array | None
    _call: Call | None


Tensor: Any = Variable


def results_are(kind: Any) -> Any:
    """Register the class of which results are."""
    global Tensor
    Tensor = kind
    KNOWN.add(kind)
    return kind


def apply(op: Any, operands: Sequence[Any], options: dict[str, Any] = NO_OPTIONS) -> Any:
    """Call an op on tensors and arrays, and return a tensor; recorded, if an operand requires a gradient."""
    args: Sequence[Any]
    parents: Sequence[Parent]
    if len(operands) == 1 and type(operands[0]) is Tensor:  # the loop of `unwrap`, unrolled
        x = operands[0]
        parent = x._call or x if x.requires_grad else None
        if type(parent) is tuple and parent[0] < finished:
            parent = parent_of(x)
        args, parents = (x.data,), (parent,)
    else:
        args, parents = unwrap(op, operands)
    out = op.forward(*args, **options) if options else op.forward(*args)
    if type(args) is list:
        by_value(args, parents)
    elif args[0].base is not None and getattr(out, "base", out) is None:
        args = (of_its_own(args[0]),)
    return record(op, args, parents, options, out)


@cache
def binary(op: Any) -> Callable[[Any, Any], Any]:
    """Return the function that does as `apply` does for a binary operator.

    It returns ``NotImplemented``, if the operator is that of the other operand. The loop of `unwrap`, and what `record`
    does most often, are written out: a small array's addition takes no longer than a few lines of Python.
    """
    forward, real_alone = op.forward, not op.complex_numbers
    mode = recording.get

    def call(x: Any, y: Any) -> Any:
        x_parent = y_parent = None
        if type(x) is Tensor:
            if x.requires_grad:
                x_parent = x._call
                if x_parent is None:
                    x_parent = x
                elif x_parent[0] < finished:
                    x_parent = parent_of(x)
            x = x.data
        elif type(x) not in PLAIN:
            if any_requires_grad(x):
                return call(joined(x), y)
            x = plain_array(x, op.name)
        if type(y) is Tensor:
            if y.requires_grad:
                y_parent = y._call
                if y_parent is None:
                    y_parent = y
                elif y_parent[0] < finished:
                    y_parent = parent_of(y)
            y = y.data
        elif type(y) not in PLAIN:
            if takes_over(y):
                return NotImplemented
            if any_requires_grad(y):
                return call(lift(x, x_parent) if x_parent is not None else x, joined(y))
            y = plain_array(y, op.name)
        out = forward(x, y)
        if x_parent is not None and x.base is not None:
            x = of_its_own(x)
        if y_parent is not None and y.base is not None:
            y = of_its_own(y)
        if (x_parent is None) != (y_parent is None):  # as `by_value` does
            if type(x) is type(y) is np.ndarray and not replaced:
                if y_parent is None:
                    y = y.copy("K") if y.size <= SMALL else y
                elif x.size <= SMALL:
                    x = x.copy("K")
            elif not (type(x) in NUMBERS or type(y) in NUMBERS):
                args = [x, y]
                by_value(args, (x_parent, y_parent))
                x, y = args
        if (
            type(out) is not np.ndarray
            or (x_parent is None and y_parent is None)
            or replaced
            or real_alone
            or mode() is not RECORD
        ):
            return record(op, (x, y), (x_parent, y_parent), NO_OPTIONS, out)
        result = Tensor()
        result.data = out
        result._grad = None
        result.requires_grad = True
        result._call = (next_number(), op, (x, y), (x_parent, y_parent), NO_OPTIONS, out)
        return result

    return call


def unwrap(
    op: Any, operands: Sequence[Any], plain: set[type] = PLAIN, otherwise: Callable[..., Any] = plain_array
) -> tuple[list[Any], list[Parent]]:
    """Return the operands as arrays and numbers, and where each came from; None for constants."""
    args: list[Any] = []
    parents: list[Parent] = []
    for x in operands:
        if type(x) in SEQUENCES:
            x = joined(x)
        if type(x) is Tensor:
            args.append(x.data)
            parent = x._call or x if x.requires_grad else None
            if type(parent) is tuple and parent[0] < finished:
                parent = parent_of(x)
            parents.append(parent)
        else:
            args.append(x if type(x) in plain else otherwise(x, op.name))
            parents.append(None)
    return args, parents


finished = 0
"""Calls numbered below this were recorded before the last outermost `grad` finished."""
_alive: set[int] = set()
"""Cache: the numbers of such calls that still lead to a leaf, or to an argument of a running `grad`."""


def finish() -> None:
    """Note that no function is being differentiated: tensors that are left of one are constants from now on."""
    global finished
    finished = next_number()
    _alive.clear()


def parent_of(x: Any) -> Parent:
    """Return the call or leaf a tensor came from; None, and cut its tape, if only finished gradients lead to it.

    Otherwise state kept between calls, such as a running mean, would keep every earlier tape alive.
    """
    call = x._call
    if call is None:
        return x
    if call[0] < finished and not _is_alive(call):
        x._call, x.requires_grad = None, False
        return None
    return call


def _is_alive(call: Call) -> bool:
    """Tell whether a call leads to a leaf, or to an argument of a function whose gradient is not complete."""
    if call[0] in _alive:
        return True
    waiting, seen = [call], {call[0]}
    while waiting:
        _, _, _, parents, options, _ = waiting.pop()
        is_argument = True
        for parent in parents:
            if parent is None:
                continue
            is_argument = False
            if type(parent) is not tuple:
                break
            if parent[0] not in seen:
                seen.add(parent[0])
                waiting.append(parent)
        else:
            if not is_argument or getattr(options, "is_over", False):
                continue
        _alive.add(call[0])
        return True
    return False


NUMBERS = PLAIN - {np.ndarray}


filled: WeakValueDictionary[int, Array] = WeakValueDictionary()
"""By ``id``, the arrays of which parts were written, recorded: others probably will be."""


def of_its_own(x: Any) -> Any:
    """Copy a small view of a larger array, so that the tape does not keep that array alive and unwritable."""
    base = x.base
    if replaced and views_replaced(x):  # `check_current` is to see it
        return x
    if type(base) is not np.ndarray:
        return copy(x) if type(x) in STAND_INS else x
    is_small = x.size <= SMALL < base.size or (8 * x.size <= base.size and id(base) in filled)
    return x.copy("K") if is_small else x


def by_value(args: list[Any], parents: Sequence[Parent]) -> None:
    """Replace small operands that are not tensors by copies, so that later writes do not reach the tape.

    See `of_its_own`, too. While a function is compiled, what stands in for arrays is copied, at no cost; other arrays
    stay what they are, so that those from outside are recognized. Where no gradient is needed, nothing is copied.
    """
    for parent in parents:
        if parent is not None:
            break
    else:
        return
    for i, parent in enumerate(parents):
        x = args[i]
        if parent is not None:
            if x.base is not None:
                args[i] = of_its_own(x)
        elif replaced and getattr(x, "base", None) is not None and views_replaced(x):
            continue  # `check_current` is to see it
        elif type(x) is np.ndarray:
            if x.size <= SMALL and STAND_INS.isdisjoint(map(type, args)):
                args[i] = x.copy("K")
        elif type(x) in STAND_INS:
            args[i] = copy(x)


def record(op: Any, args: Sequence[Any], parents: Sequence[Parent], options: dict[str, Any], out: Any) -> Any:
    """Return a call's result as a tensor; on the tape, if an operand requires a gradient."""
    if replaced:
        check_current(op, args)
    if type(out) is not np.ndarray:
        out = held(out)
    for parent in parents:
        if parent is not None and (mode := recording.get()) is not None:
            if not op.complex_numbers:
                _refuse_complex(op, args, out)
            result = Tensor()  # as `lift` makes it
            result.data = out
            result._grad = None
            result.requires_grad = True
            result._call = (next_number(), op, args, parents, options, out)
            if mode.watches:
                mode.called(result._call)
            return result
    return variable(out)


def without_values(part: Any) -> Any:
    """Return a part of an array; of a large one, its call keeps the shapes alone: no call holds the array then."""
    if part._call is None or recording.get() is not RECORD:
        return part
    number, op, (whole,), parents, options, out = part._call
    large = whole if part.data.base is None else part.data.base  # of which it is a copy, or a view
    is_alike = type(out) is type(large)  # and not what a mask selects, whose length is not known
    if (type(large) is np.ndarray or (type(large) in STAND_INS and is_alike)) and large.size > SMALL:
        shapes = (outline(whole.shape, whole.dtype),), outline(out.shape, out.dtype)
        part._call = number, op, shapes[0], parents, options, shapes[1]
    return part


def part_of_windows(part: Any) -> Any:
    """Fuse an index into ``sliding_window_view``: the recorded call takes the original array, and the index.

    The gradient of all windows, which may be many times as large as that of the part, is then never made.
    """
    if part._call is None or recording.get() is not RECORD:
        return part
    number, _, _, ((since, _, args, parents, options, _),), index, out = part._call
    if since > last_write():
        part._call = number, WINDOWS_AT, args, parents, {**index, **options}, out
    return part


def variable(data: Array, requires_grad: bool = False) -> Any:
    """Return a tensor that no call made: a leaf, or a constant."""
    made = Tensor()
    made.data = data
    made.requires_grad = requires_grad
    made._grad = made._call = None
    return made


def lift(array: Array, parent: Parent) -> Any:
    """Return the tensor of an array that came from parent: a call, or a leaf."""
    if type(parent) is not tuple:
        return parent
    result = Tensor()
    result.data = array
    result._grad = None
    result.requires_grad = True
    result._call = parent
    return result


def _refuse_complex(op: Any, args: Sequence[Any], out: Any) -> None:
    """Refuse complex operands, or a complex result, of an op whose rules are of real numbers."""
    try:
        dtypes = {out.dtype, *map(DTYPE, args)}
    except AttributeError:  # of one of Python's numbers
        dtypes = {out.dtype, *[x.dtype for x in args if hasattr(x, "dtype")]}
    if not COMPLEX.isdisjoint(dtypes):
        raise TapeError(f"{op.name}: no backward rule for complex numbers; {PARTS}")


def refuse_tensors(op: Any, options: dict[str, Any]) -> None:
    """Refuse a tensor that is passed by keyword, where it would be cut off from the tape."""
    for name, x in options.items():
        if type(x) is Tensor:
            raise TypeError(f"{op.name}: {name} is a tensor; pass it by position, as an operand")


SEQUENCES = {list, tuple}


def joined(x: Any) -> Any:
    """Return tensors in a list, however nested, as one tensor, as NumPy makes an array of numbers; recorded.

    What needs no gradient is returned as it is.
    """
    if type(x) not in SEQUENCES or not any_requires_grad(x):
        return x
    try:
        return as_joined(x)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def any_requires_grad(*trees: Any) -> bool:
    """Tell whether a tensor among nested arguments requires a gradient."""
    for x in trees:
        kind = type(x)
        if kind is Tensor:
            if x.requires_grad:
                return True
        elif kind in PLAIN:
            continue
        try:
            if isinstance(x, dict):
                if any_requires_grad(*x.values()):
                    return True
            elif isinstance(x, (tuple, list)) and any_requires_grad(*x):
                return True
        except RecursionError:
            raise ValueError(TOO_DEEP) from None
    return False


def bare(x: Any) -> Any:
    """Return arguments with each tensor's array in its place, however nested."""
    kind = type(x)
    if kind is Tensor:
        if replaced:
            check_current(READ, (x.data,))
        return x.data
    try:
        if isinstance(x, (tuple, list)):
            return plain_sequence(x, map(bare, x))
        if kind is dict:
            return {key: bare(each) for key, each in x.items()}
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    return x


def apart(out: Any, given: Sequence[Any]) -> Any:
    """Replace results that are an operand itself by a view: no two tensors share an array object."""
    if isinstance(out, (tuple, list)):
        return rebuilt(out, [apart(each, given) for each in out])
    for x in given:
        if out is x and isinstance(x, np.ndarray):
            return x[...]
    return out


def constants(x: Any, all_arrays: bool) -> Any:
    """Make constant tensors of float arrays, or of all arrays, in a function's result; subclasses stay."""
    if isinstance(x, (tuple, list)):
        return rebuilt(x, [constants(each, all_arrays) for each in x])
    if (type(x) in PLAIN or isinstance(x, np.generic)) and hasattr(x, "dtype"):
        return variable(held(x)) if all_arrays or x.dtype.kind in "fc" else x
    return x
