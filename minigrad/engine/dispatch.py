"""NumPy's functions called on tensors: which call of the tape each is, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..rules.elementwise import astype
from ..rules.facts import facts
from ..rules.lookup import known, rules_of
from ..rules.overriding import overrides
from ..rules.table import OPS, Composite, Op, full_name
from ..rules.ufunc_methods import METHODS
from .arrays import ARRAYS, ForeignError, foreign, has_stand_ins, is_foreign, refuse_foreign
from .calls import any_requires_grad, apart, apply, bare, binary, constants
from .in_place import NEVER_CHANGE, as_kept, fit_in_place, never_changes
from .leaving import AS_AN_OPTION, EXPLICITLY, held_by_others, written_to
from .recording import TapeError, recording
from .statements import rebinds
from .watch import wrote
from .writing import AT, WRITERS, called_where, change_at, write_into


class Dispatched:
    """NumPy's protocols for its functions and ufuncs, called on tensors."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is not None:
            return _call_into(out, ufunc, method, inputs, kwargs)
        if method == "__call__":
            op = None if kwargs else OPS.get(ufunc)
            try:
                if type(op) is not Op:
                    return call(ufunc, inputs, kwargs)
                out = binary(op)(*inputs) if len(inputs) == 2 else NotImplemented
                return apply(op, inputs) if out is NotImplemented else out
            except ForeignError:
                if any(map(_overrides_ufuncs, inputs)):
                    return NotImplemented  # so that NumPy asks the other
                raise
        recorded = recording.get() is not None
        needed = recorded and any_requires_grad(inputs, kwargs)
        if (
            method == "at"
            and ufunc in AT
            and isinstance(inputs[0], Dispatched)
            and (needed or (recorded and has_stand_ins(bare(inputs))))
        ):
            return change_at(ufunc, *inputs)
        if needed:
            if method == "at" and ufunc in AT and type(inputs[0]) is np.ndarray:
                raise written_to(ufunc)
            if method in METHODS and rules_of(ufunc) is not None:
                return METHODS[method](ufunc, *inputs, **kwargs)
            raise _no_rule(ufunc, method)
        if method == "at":
            wrote(bare(inputs[0]))
        return constants(getattr(ufunc, method)(*bare(inputs), **bare(kwargs)), False)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        for kind in types if len(types) > 1 else ():
            if kind is not type(self) and kind not in ARRAYS:
                if overrides(kind):
                    return NotImplemented  # so that NumPy asks the other
                raise foreign(kind, full_name(function))
        return call(function, args, kwargs)


def _overrides_ufuncs(x: Any) -> bool:
    """Tell whether an operand overrides ``__array_ufunc__``; a subclass of arrays that inherits theirs does not."""
    inherited = np.ndarray.__array_ufunc__
    return is_foreign(x) and getattr(type(x), "__array_ufunc__", inherited) is not inherited


def call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call any NumPy function, some of whose arguments are tensors."""
    if recording.get() is None or not any_requires_grad(*args, kwargs):
        return _call_on_constants(function, args, kwargs)
    if "out" in kwargs:
        others = {name: value for name, value in kwargs.items() if name != "out"}
        if isinstance(kwargs["out"], Dispatched):
            return write_into(kwargs["out"], call(function, args, others))
        if kwargs["out"] is None:
            kwargs = others
    op = rules_of(function)
    if type(op) is Op:
        operands, options = op.bind(args, kwargs)
        if options and not all(map(never_changes, options.values())):
            if options.get("dtype") is not None and _gives_integers(op, operands, options["dtype"]):
                return _call_on_constants(function, args, kwargs)
            if not all(map(_has_no_tensors, options.values())):
                tensors = [name for name, value in options.items() if any_requires_grad(value)]
                if len(tensors) == 1 and tensors[0] in op.of_tensors:
                    return op.of_tensors[tensors[0]](*operands, **options)
                options = _off_tape(op, options)
            options = {name: as_kept(value) for name, value in options.items()}
        return apply(op, operands, options)
    if isinstance(op, Composite):
        return op(*args, **kwargs)
    if function in WRITERS and isinstance(args[0], Dispatched):
        return WRITERS[function](*args, **kwargs)
    of_complex = facts(function).of_complex_numbers
    if of_complex is not None and np.iscomplexobj(args[0]):
        return call(of_complex, args, kwargs)
    if "out" not in kwargs and not facts(function).in_place:
        out = function(*bare(args), **bare(kwargs))
        if facts(function).constant and not (
            function is np.full_like and any_requires_grad(*args[1:], kwargs)
        ):
            return constants(out, True)
        if not _has_numbers(out):
            return out
    if facts(function).in_place and type(args[0]) is np.ndarray:
        raise written_to(function)
    raise _no_rule(function)


def _gives_integers(op: Op, operands: Iterable[Any], dtype: Any) -> bool:
    """Tell whether ``dtype=`` makes integers of floats, which have no gradient.

    Raises
    ------
    TypeError
        If it makes floats of complex numbers: NumPy warns, and drops their imaginary parts.
    """
    if op.function is astype:
        return False
    dtype = np.dtype(dtype)
    if dtype.kind == "f" and any(getattr(x, "dtype", dtype).kind == "c" for x in operands):
        raise TypeError(
            f"{full_name(op.function)}: dtype is {dtype}, which would drop the imaginary parts of complex numbers; "
            "give it np.real of them"
        )
    return dtype.kind in "iub"


def _off_tape(op: Op, options: dict[str, Any]) -> dict[str, Any]:
    """Return options with each tensor's array in its place; refuse one that requires a gradient, and foreign ones."""
    for each in options.values():
        refuse_foreign(each, op.name)
    if any_requires_grad(options):
        raise TapeError(f"{op.name}: {AS_AN_OPTION}")
    return {name: bare(value) for name, value in options.items()}


NO_TENSORS = NEVER_CHANGE | {str, np.ndarray}


def _has_no_tensors(x: Any) -> bool:
    """Tell whether x is a plain option: a number, a string, None, an array, or a tuple or list of such."""
    return type(x) in NO_TENSORS or (type(x) in (tuple, list) and all(map(_has_no_tensors, x)))


def _call_on_constants(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function as NumPy does, where no gradient is needed; note which array it writes into."""
    written = kwargs.get("out", args[0] if facts(function).in_place else None)
    if written is not None:
        wrote(bare(written))
    given = bare(args)
    out = apart(function(*given, **bare(kwargs)), given)
    return constants(out, known(function) is not None or bool(facts(function).constant))


def _call_into(
    out: tuple[Any, ...], ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a ufunc with ``out``: as NumPy does, where no gradient is needed; recorded, for ``array += tensor``."""
    into_array = (
        method == "__call__" and len(inputs) == 2 and out[0] is inputs[0] and type(out[0]) is np.ndarray
    )
    is_recorded = recording.get() is not None and any_requires_grad(*inputs, *out, kwargs)
    if not is_recorded and not (into_array and has_stand_ins(bare(inputs))):
        getattr(ufunc, method)(*bare(inputs), out=bare(out), **bare(kwargs))
        for array in bare(out):
            if array is not None:
                wrote(array)
        return out[0] if len(out) == 1 else out
    if into_array:
        if rebinds(out):
            value = ufunc(*inputs, **kwargs)
            return fit_in_place(value if out[0].ndim else np.copy(value), out[0])
        raise held_by_others(ufunc)
    if method == "__call__" and len(out) == 1 and isinstance(out[0], Dispatched):
        where = bare(kwargs.pop("where", True))
        return write_into(out[0], called_where(ufunc, inputs, out[0], where, **kwargs))
    plainly = method != "__call__" or kwargs.get("where", True) is True
    if plainly and all(each is None or isinstance(each, Dispatched) for each in out):
        return _written(out, getattr(ufunc, method)(*inputs, **kwargs))
    method = "" if method == "__call__" else f".{method}"
    raise TapeError(
        f"{full_name(ufunc)}{method}: out= would cut the result off from the tape; write "
        f"t = np.{ufunc.__name__}{method}(...)" + (", with out=np.zeros_like(t)" if "where" in kwargs else "")
    )


def _written(out: tuple[Any, ...], results: Any) -> Any:
    """Write results into the tensors of ``out``; return what the call returns, the results themselves for None."""
    pairs = list(zip(out, results if len(out) > 1 else (results,), strict=True))
    for each, value in pairs:
        if each is not None:
            fit_in_place(value, each)  # raises, before anything is changed
    written = [value if each is None else write_into(each, value) for each, value in pairs]
    return written[0] if len(out) == 1 else tuple(written)


def _no_rule(function: Any, method: str = "") -> TapeError:
    known = facts(function)
    name = f"{full_name(function)}{method and '.'}{method}"
    why = f" ({known.no_gradient})" if known.no_gradient else ""
    instead = f"write {known.instead}" if known.instead else "write it with functions that have one"
    return TapeError(
        f"{name} has no backward rule{why}; {instead}, wrap a hand-derived pair as mg.layer(forward, backward), or "
        f"{EXPLICITLY}"
    )


def _has_numbers(x: Any) -> bool:
    """Tell whether a result has entries that could have had a gradient: floats, or objects."""
    if isinstance(x, (tuple, list)):
        return any(_has_numbers(each) for each in x)
    return isinstance(x, (np.ndarray, np.generic, float, complex)) and np.result_type(x).kind in "fcO"
