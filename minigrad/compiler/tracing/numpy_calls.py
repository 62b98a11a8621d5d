"""The normal form in which each NumPy call is recorded; calls that cannot be traced are refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from ...engine.arguments import positional_names
from ...engine.arrays import STAND_INS
from ...engine.containers import rebuilt
from ...engine.leaving import asked_by
from ...engine.writing import WRITERS
from ...rules.by_parts import apply_along_axis, apply_over_axes, piecewise
from ...rules.contractions import contracted, contraction_path, einsum_call, einsum_labels, is_product
from ...rules.eig import eig, eigvals
from ...rules.elementwise import astype
from ...rules.emath import COMPOSED
from ...rules.facts import facts
from ...rules.indexing import getitem, setitem
from ...rules.metadata import outline
from ...rules.overriding import any_true
from ...rules.picking import bincount, compress, extract
from ..ir import cast, part, pick, stand_ins_in, written
from ..where import JitError, PlainArray, user_line
from .refused import shape_error
from .selected import select
from .views import Step, splits_axes


def value_of(x: Any) -> Any:
    """Return the value of a stand-in; anything else unchanged."""
    return x.node.value if type(x) in STAND_INS else x


def has_traced(tree: Any) -> bool:
    """Tell whether there is a stand-in in nested arguments."""
    return next(stand_ins_in(tree), None) is not None


def refuse_shapes(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse a call whose result has a shape that depends on values."""
    if facts(function).shape_from_values or (function is np.where and len(args) + len(kwargs) == 1):
        raise shape_error(
            f"{function.__name__}, computed",
            "choose by np.where(condition, a, b), multiply by a mask, or call it outside",
        )
    given: Iterable[tuple[str, Any]] = kwargs.items()
    if len(args) > 1:
        given = [*zip(_positional_names(function), args, strict=False), *given]
    for name, x in given:
        if name in SHAPING and any(name != "bins" or not each.ndim for each in stand_ins_in(x)):
            raise shape_error(f"{function.__name__} with {name}", OPTION)


_positional_names = lru_cache(positional_names)  # of NumPy's functions


def arguments_of(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """Return a call's arguments, the first by position; and its ``out``, None if there is none."""
    names = _positional_names(function)
    if not args and names and names[0] in kwargs:
        args = (kwargs[names[0]],)
        kwargs = {name: x for name, x in kwargs.items() if name != names[0]}
    at = names.index("out") if "out" in names else 2 if function in (np.concatenate, np.dot) else len(args)
    kwargs = {**dict(zip(names[at + 1 :], args[at + 1 :], strict=False)), **kwargs}
    out = kwargs.pop("out", args[at] if len(args) > at else None)
    return args[:at], kwargs, out


OPTION = "give it as a Python number, an option of the call"
_SHAPING = """
M N axes axis axis1 axis2 bins destination indices_or_sections k minlength n new_shape newshape num obj offset
pad_width repeats reps s shape source window_shape
"""
SHAPING = frozenset(_SHAPING.split())
"""Parameters of NumPy's functions on whose values the result's shape depends."""


def _has_arrays(index: Any) -> bool:
    """Tell whether indexing is advanced, and so copies; an integer, NumPy's too, gives a view."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(value_of(each), (np.ndarray, list, tuple, range, bool, np.bool_)) for each in parts)


def read_part(trace: Any, a: Any, index: Any) -> Any:
    """Record ``a[index]``."""
    if any(x.dtype == bool for x in stand_ins_in(index)):
        return select(a, index)
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(each, slice) and has_traced(each) for each in parts):
        raise shape_error(
            "a slice", f"{OPTION}, or index by an array of a shape that is known, start + np.arange(3)"
        )
    return trace.record(pick, a, index) if _has_arrays(index) else _view(trace, part, a, index)


def _view(trace: Any, function: Any, x: Any, argument: Any, in_order: bool = False) -> Any:
    """Record a call whose result may view its first argument; note the alias if it does.

    Where it is ``in_order``, it views an array whose entries lie in order alone.
    """
    result = trace.record(function, x, argument)
    if (
        type(x) in STAND_INS
        and isinstance(value_of(x), np.ndarray)
        and isinstance(value_of(result), np.ndarray)
    ):
        in_order |= function is np.reshape and not splits_axes(np.shape(x), np.shape(result))
        return result.viewing(x, Step(function, argument, in_order))
    return result


def perhaps_a_view(trace: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
    """Record a call whose results may or may not view an argument, as the traced values of the first run show."""
    results = trace.record(function, *args, **kwargs)
    several = isinstance(results, (tuple, list))
    given = list(stand_ins_in((args, tuple(kwargs.values()))))
    found = []
    for result in results if several else [results]:
        if trace.again is None:
            shared = (i for i, x in enumerate(given) if np.may_share_memory(value_of(x), value_of(result)))
            trace.viewed[result.node] = next(shared, None)
        viewed = trace.viewed[result.node]
        found.append(result if viewed is None else result.viewing(given[viewed]))
    return rebuilt(results, found) if several else found[0]


def _reduction(ufunc: Any, function: Any) -> Callable[..., Any]:
    """Record a function such as np.sum as the ufunc's reduction; as it is where other options are given."""

    def call(trace: Any, a: Any, axis: Any = None, *more: Any, **others: Any) -> Any:
        if more or others.keys() - {"keepdims"}:
            return trace.record(function, a, axis, *more, **others)
        axis, keepdims = _alone(axis), bool(others.get("keepdims", False))
        if keepdims and axis in (0, None) and a.ndim:
            return _axes_kept(trace, a, trace.record(ufunc.reduce, a, axis=axis, keepdims=False))
        return trace.record(ufunc.reduce, a, axis=axis, keepdims=keepdims)

    return call


def _alone(axis: Any) -> Any:
    """Return the axis of a tuple of one."""
    return axis[0] if type(axis) is tuple and len(axis) == 1 else axis


def _axes_kept(trace: Any, a: Any, x: Any) -> Any:
    """Restore the reduced axes, so that reductions with and without ``keepdims`` are one call."""
    return _view(trace, np.reshape, x, (1,) * (a.ndim - x.ndim) + x.shape)


def _mean(trace: Any, a: Any, axis: Any = None, *more: Any, **others: Any) -> Any:
    """Record a mean as a sum and a division, which is what NumPy does."""
    if more or others.keys() - {"keepdims"} or a.dtype.kind != "f" or a.dtype.itemsize < 4 or not a.ndim:
        return trace.record(np.mean, a, axis, *more, **others)
    axis, keepdims = _alone(axis), bool(others.get("keepdims", False))
    if keepdims and axis in (0, None) and a.ndim:
        return _axes_kept(trace, a, _mean(trace, a, axis))
    total = trace.record(np.add.reduce, a, axis=axis, keepdims=keepdims)
    return trace.record(np.divide, total, a.dtype.type(_count(a, total)))


def _count(a: Any, total: Any) -> int:
    """Return how many entries of a were added up to each of a total."""
    return int(a.size // total.size if total.size else max(a.size, 1))


def _variance(trace: Any, a: Any, axis: Any = None, *more: Any, ddof: Any = 0, **others: Any) -> Any:
    """Record a variance as NumPy computes it, the mean of squared deviations; an earlier mean is used again."""
    floats = a.ndim > 0 and a.dtype.kind == "f" and a.dtype.itemsize >= 4
    known = floats and not more and not others.keys() - {"keepdims"}
    if not known or type(ddof) is not int or a.size == 0:
        return trace.record(np.var, a, axis, *more, ddof=ddof, **others)
    deviation = trace.record(np.subtract, a, _mean(trace, a, axis, keepdims=True))
    total = _reduction(np.add, np.sum)(trace, trace.record(np.square, deviation), axis, **others)
    freedom = _count(a, total) - ddof
    if freedom <= 0:  # of which NumPy warns
        return trace.record(np.var, a, axis, ddof=ddof, **others)
    return trace.record(np.divide, total, a.dtype.type(freedom))


def _deviation(trace: Any, a: Any, *args: Any, **others: Any) -> Any:
    """Record a standard deviation as the root of the variance."""
    variance = _variance(trace, a, *args, **others)
    if variance.node.function is np.var:
        return trace.record(np.std, a, *args, **others)
    return trace.record(np.sqrt, variance)


def _reshape(
    trace: Any, a: Any, shape: Any = None, order: Any = "C", *, newshape: Any = None, copy: Any = None
) -> Any:
    """Record a change of shape in C's order; one in Fortran's as C's of the transposes."""
    shape = newshape if shape is None else shape
    if order == "F":
        reverse = tuple(shape)[::-1] if isinstance(shape, (tuple, list)) else shape
        made = np.transpose(_view(trace, np.reshape, np.transpose(a), reverse))
    elif order == "C":
        made = _view(trace, np.reshape, a, shape)
    else:
        raise JitError(
            f"{user_line()}: an order of entries {order!r} depends on how the array lies in memory; give 'C' or 'F'"
        )
    return np.copy(made) if copy else made


def _ravel(trace: Any, a: Any, order: Any = "C") -> Any:
    if order not in ("C", "F"):
        return _reshape(trace, a, -1, order)
    a = np.transpose(a) if order == "F" else a
    return _view(trace, np.reshape, a, (a.size,), in_order=True)


def _rearranged(function: Any) -> Callable[..., Any]:
    """Record a permutation of axes as np.transpose."""

    def call(trace: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
        lengths = outline(tuple(range(1, a.ndim + 1)))
        order = [n - 1 for n in function(lengths, *args, **kwargs).shape]
        return _view(trace, np.transpose, a, tuple(order))

    return call


def _reshaped(function: Any) -> Callable[..., Any]:
    """Record a change of shape alone as np.reshape."""

    def call(trace: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
        shape = function(outline(a.shape), *args, **kwargs).shape
        return _reshape(trace, a, shape)

    return call


def _outer(trace: Any, a: Any, b: Any) -> Any:
    """Record an outer product as a column times a row, which may be fused with other calls."""
    return np.multiply(np.reshape(a, (np.size(a), 1)), np.reshape(b, (1, np.size(b))))


def _einsum(trace: Any, *args: Any, **kwargs: Any) -> Any:
    """Record an einsum of floats as products of two operands at a time, and these as matmuls, where that is faster."""
    if kwargs.keys() <= {"optimize"}:
        operands, options = einsum_call(*args, **kwargs)
        dtypes = {getattr(x, "dtype", None) for x in operands}
        if dtypes <= BLAS_DTYPES and (len(dtypes) == 1 or len(operands) == 2):
            subscripts = options["subscripts"]
            np.einsum(subscripts, *[np.ones((1,) * np.ndim(x)) for x in operands])  # refuses wrong subscripts
            terms, target = einsum_labels(subscripts, [np.shape(x) for x in operands])
            if is_product(terms, target, operands) or len(contraction_path(terms, target, operands)) > 1:
                made = contracted(terms, target, list(operands))
                return made if target else made[()]
    return perhaps_a_view(trace, np.einsum, *args, **kwargs)


BLAS_DTYPES = set(map(np.dtype, "fdFD"))


def _full_like(
    trace: Any,
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: Any = "K",
    subok: bool = True,
    shape: Any = None,
    device: Any = None,
) -> Any:
    return trace.record(np.full, np.shape(a) if shape is None else shape, fill_value, dtype=dtype or a.dtype)


def _bincount(trace: Any, x: Any, weights: Any = None, minlength: Any = 0) -> Any:
    """Sum weights by index; the indices must be known at compile time."""
    if has_traced(x):
        raise shape_error(
            "bincount, computed",
            "write np.add.at(sums, x, weights), with sums = np.zeros_like(weights, shape=n)",
        )
    return bincount(x, weights, minlength)


def _filled(value: int) -> Callable[..., Any]:
    return lambda trace, a, *args, **kwargs: _full_like(trace, a, value, *args, **kwargs)


def _writer(write: Callable[..., None]) -> Callable[..., None]:
    """Record what a function that writes into its first argument does to a stand-in."""

    def call(trace: Any, into: Any, *args: Any, **kwargs: Any) -> None:
        if type(into) not in STAND_INS:
            known = asked_by(sys._getframe(1))[2]
            raise PlainArray(
                f"{user_line()}: a plain array made inside would be written to; "
                f"{f'write {known}' if known else 'start from np.zeros_like(x)'}"
            )
        write(into, *args, **kwargs)

    return call


def _composed(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Record the calls that a function is composed of."""
    return lambda trace, *args: forward(*args)


CALLS: dict[Any, Callable[..., Any]] = {
    np.sum: _reduction(np.add, np.sum),
    np.prod: _reduction(np.multiply, np.prod),
    np.max: _reduction(np.maximum, np.max),
    np.amax: _reduction(np.maximum, np.max),
    np.min: _reduction(np.minimum, np.min),
    np.amin: _reduction(np.minimum, np.min),
    np.mean: _mean,
    np.var: _variance,
    np.std: _deviation,
    np.reshape: _reshape,
    np.transpose: _rearranged(np.transpose),
    np.swapaxes: _rearranged(np.swapaxes),
    np.moveaxis: _rearranged(np.moveaxis),
    np.ravel: _ravel,
    np.expand_dims: _reshaped(np.expand_dims),
    np.squeeze: _reshaped(np.squeeze),
    np.outer: _outer,
    np.einsum: _einsum,
    np.broadcast_to: lambda trace, array, shape: _view(trace, np.broadcast_to, array, shape),
    np.copy: lambda trace, a, order="K": trace.record(np.copy, a),
    np.apply_along_axis: lambda trace, *args, **kwargs: apply_along_axis(*args, **kwargs),
    np.apply_over_axes: lambda trace, *args, **kwargs: apply_over_axes(*args, **kwargs),
    np.compress: lambda trace, *args, **kwargs: compress(*args, **kwargs),
    np.extract: lambda trace, *args, **kwargs: extract(*args, **kwargs),
    np.bincount: _bincount,
    np.piecewise: lambda trace, *args, **kwargs: piecewise(*args, **kwargs),
    np.linalg.eig: lambda trace, a: eig(a),  # of a dtype that does not depend on values
    np.linalg.eigvals: lambda trace, a: eigvals(a),
    np.flip: lambda trace, m, axis=None: _view(trace, np.flip, m, axis),
    np.zeros_like: _filled(0),
    np.ones_like: _filled(1),
    np.empty_like: _filled(0),
    np.full_like: _full_like,
    getitem: read_part,
    setitem: lambda trace, a, value, index: trace.record(written, a, index, value),
    astype: lambda trace, x, dtype, casting="unsafe": trace.record(cast, x, np.dtype(dtype), casting),
    any_true: lambda trace, mask: True,
    **{function: _composed(forward) for function, forward in COMPOSED.items()},
    **{function: _writer(write) for function, write in WRITERS.items()},
}
"""Normal forms of NumPy's functions, where they differ from the call."""
