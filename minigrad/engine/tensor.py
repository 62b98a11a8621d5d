"""Tensor: an ndarray that writes down the NumPy calls made on it."""

from __future__ import annotations

import dis
import operator
import sys
from collections.abc import Callable, Iterator
from copy import copy
from functools import wraps
from types import FrameType
from typing import Any

import numpy as np

from ..rules.elementwise import (
    ABSOLUTE,
    ADD,
    DIVIDE,
    MULTIPLY,
    NEGATIVE,
    POSITIVE,
    POWER,
    REMAINDER,
    SQUARE,
    SUBTRACT,
    astype,
)
from ..rules.facts import facts
from ..rules.indexing import GETITEM, SETITEM
from ..rules.linalg import MATMUL
from ..rules.table import OPS, Composite, Op
from ..rules.ufunc_methods import METHODS
from .arguments import BARE, array_of, explained
from .arrays import ARRAYS, STAND_INS, as_array
from .arrays import ARRAYS_AND_NUMBERS as PLAIN
from .recording import Array, Call, Parent, TapeError, differentiated, next_number, recording
from .walk import depends_on, views_another, walk_back
from .watch import wrote

NO_OPTIONS: dict[str, Any] = {}
INSTEAD_OF_AN_ARRAY = (
    "fill a tensor instead of an array (a = mg.tensor(a); a[i] = t), join tensors by np.stack, or leave the tape "
    "in so many words: t.numpy(), t.detach(), t.item()"
)
STORE_SUBSCR = dis.opmap["STORE_SUBSCR"]


def _is_stored_by(frame: FrameType) -> bool:
    """Tell whether a frame is at ``array[i] = t``: NumPy then asks t for a float, as ``float(t)`` does."""
    return frame.f_code.co_code[frame.f_lasti] == STORE_SUBSCR


def _operators(op: Any) -> tuple[Callable[[Any, Any], Tensor], Callable[[Any, Any], Tensor]]:
    """Make the method of a binary operator, and its reflection."""
    return (lambda self, other: _binary(op, self, other)), (lambda self, other: _binary(op, other, self))


def _plain(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Make the method of an operator that gives plain booleans or integers, with no gradient."""
    return lambda self, other: compare(self.data, _bare(other))


def _augmented(ufunc: Any) -> Callable[[Any, Any], Tensor]:
    """Make the method of an augmented assignment: in place under no_grad; recorded, a new value elsewhere."""

    def method(self: Tensor, other: Any) -> Tensor:
        if recording.get() is None:
            ufunc(self.data, _bare(other), out=self.data)
            wrote(self.data)
        else:
            self._become(_like_out(ufunc(self, other), self.data))
        return self

    return method


def _method(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Make the method that is a NumPy function of the tensor, with its name and its documentation."""

    @wraps(function)
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return _call(function, (self, *args), kwargs)

    return method


class Tensor:
    """An ndarray with a gradient, and the call that made it. Make one with `tensor`.

    NumPy's functions and Python's operators work on tensors as on arrays, with NumPy's shapes, broadcasting,
    dtypes and errors. Comparisons give plain boolean arrays.

    Attributes
    ----------
    data : ndarray
        The values.
    grad : ndarray or None
        On a leaf, what `backward` has summed up so far; of ``data``'s shape and dtype. None elsewhere.
    requires_grad : bool
        Whether gradients reach this tensor: a leaf made so, or the result of a call on one.
    """

    __slots__ = ("__weakref__", "_call", "data", "grad", "requires_grad")

    data: Array
    grad: Array | None
    requires_grad: bool
    _call: Call | None

    def __init__(self, data: Array, requires_grad: bool = False, call: Call | None = None) -> None:
        self.data = data
        self.requires_grad = requires_grad
        self.grad = None
        self._call = call

    # -- what an array has ---------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        shape: tuple[int, ...] = self.data.shape
        return shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the entries."""
        return self.data.dtype

    @property
    def T(self) -> Tensor:
        """The tensor with its axes in reverse."""
        return self.transpose()

    @property
    def mT(self) -> Tensor:
        """The matrices transposed."""
        return self.swapaxes(-1, -2)

    @property
    def real(self) -> Any:
        """The real part."""
        return _call(np.real, (self,), {})

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return _call(np.imag, (self,), {})

    def item(self) -> Any:
        """Return the one entry as a Python number, off the tape."""
        return self.data.item()

    def numpy(self) -> Array:
        """Return the values as an array, off the tape: ``data`` itself."""
        return self.data

    def detach(self) -> Tensor:
        """Return a constant tensor of the same ``data``, off the tape."""
        return Tensor(self.data)

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers, off the tape."""
        return self.data.tolist()

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    def __repr__(self) -> str:
        text = np.array2string(self.data, separator=", ", prefix="tensor(")
        if self.data.dtype not in (np.float64, np.int64, np.bool_):
            text += f", dtype={self.data.dtype}"
        if self._call is not None:
            text += f", op={self._call[1].name}"
        elif self.requires_grad:
            text += ", requires_grad=True"
        return f"tensor({text})"

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if self.ndim else format(self.data.item(), spec)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the numbers: a leaf stays a leaf, a result becomes a constant, since a tape is not stored."""
        return _restore, (self.data, self.requires_grad and self._call is None, self.grad)

    def __copy__(self) -> Tensor:
        return self.copy() if self._call is not None else _restore(self.data, self.requires_grad, self.grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """Copy a leaf with its gradient; a result's copy stays on the tape."""
        if self._call is not None:
            return self.copy()
        return _restore(self.data.copy(), self.requires_grad, None if self.grad is None else self.grad.copy())

    # -- leaving the tape: explicitly, or not at all -------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if self.requires_grad and recording.get() is not None:
            raise TapeError(
                "a tensor that requires a gradient became a plain array, which would cut it off from the tape; "
                f"{INSTEAD_OF_AN_ARRAY}"
            )
        return np.array(self.data, dtype=dtype) if copy else np.asarray(self.data, dtype=dtype)

    def _number(self, kind: str) -> Any:
        if self.requires_grad and recording.get() is not None:
            if self._call is not None and differentiated and depends_on(self._call, differentiated):
                raise TapeError(
                    f"{kind}() of a tensor inside grad would cut it off from the tape; keep the tensor, or leave "
                    f"the tape in so many words: t.item(). If this was array[i] = t: {INSTEAD_OF_AN_ARRAY}"
                )
            if _is_stored_by(sys._getframe(2)):
                raise TapeError(
                    "array[i] = t would cut the tensor t, which requires a gradient, off from the tape; "
                    f"{INSTEAD_OF_AN_ARRAY}"
                )
        return self.data if self.ndim == 0 else self.item()

    def __float__(self) -> float:
        return float(self._number("float"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def __complex__(self) -> complex:
        return complex(self._number("complex"))

    def __bool__(self) -> bool:
        return bool(self.data)

    def __index__(self) -> int:
        return self.data.__index__()

    # -- operators -----------------------------------------------------------------------------------------

    __hash__ = object.__hash__

    __eq__ = _plain(operator.eq)
    __ne__ = _plain(operator.ne)
    __lt__ = _plain(operator.lt)
    __le__ = _plain(operator.le)
    __gt__ = _plain(operator.gt)
    __ge__ = _plain(operator.ge)
    __and__ = __rand__ = _plain(operator.and_)
    __or__ = __ror__ = _plain(operator.or_)
    __xor__ = __rxor__ = _plain(operator.xor)

    __add__, __radd__ = _operators(ADD)
    __sub__, __rsub__ = _operators(SUBTRACT)
    __mul__, __rmul__ = _operators(MULTIPLY)
    __truediv__, __rtruediv__ = _operators(DIVIDE)
    __mod__, __rmod__ = _operators(REMAINDER)
    __matmul__, __rmatmul__ = _operators(MATMUL)
    _power, __rpow__ = _operators(POWER)

    def __pow__(self, other: Any) -> Tensor:
        if type(other) is int and other == 2:
            return apply(SQUARE, self)
        return self._power(other)

    def __floordiv__(self, other: Any) -> Any:
        return np.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return np.floor_divide(other, self)

    def __divmod__(self, other: Any) -> tuple[Any, Tensor]:
        return self // other, self % other

    def __invert__(self) -> Any:
        return ~self.data

    def __neg__(self) -> Tensor:
        return apply(NEGATIVE, self)

    def __pos__(self) -> Tensor:
        return apply(POSITIVE, self)

    def __abs__(self) -> Tensor:
        return apply(ABSOLUTE, self)

    # -- writing: recorded, a tensor gets a new value, and whoever read the old one keeps it ----------------

    def __getitem__(self, index: Any) -> Tensor:
        return apply(GETITEM, self, index=_kept(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        index = _kept(index)
        if (mode := recording.get()) is None:
            self.data[index] = _bare(value)
            wrote(self.data)
            return
        if views_another(self.data) and not self._is_argument():
            raise TapeError(
                "in-place change of a view: recorded, it would not reach the tensor that is viewed; write to that "
                "one, t[0, 1] = value in place of t[0][1] = value, or change a copy, t[0].copy()"
            )
        written = apply(SETITEM, self, value, index=index)
        if written._call is not None:
            # The rules read no values of the two whole arrays: a loop that fills an array keeps one, not all.
            number, op, (old, new_part), parents, options, new = written._call
            written._call = call = (number, op, [_outline(old), new_part], parents, options, _outline(new))
            if mode.watches:
                mode.called(call)
        self._become(written)

    def _become(self, value: Tensor) -> None:
        if self._call is None and self.requires_grad:
            raise RuntimeError(
                "in-place change of a leaf that requires a gradient; to update a parameter use `with mg.no_grad():`, "
                "to compute with a changed value change a copy, t.copy()"
            )
        if value.requires_grad and value.dtype.kind != "f":
            raise TypeError(f"a tensor of dtype {self.dtype} cannot hold values that require a gradient")
        self.data, self._call, self.requires_grad = value.data, value._call, value.requires_grad

    def _is_argument(self) -> bool:
        """Tell whether this is what `grad` made of an argument: its call hands an array on as it is."""
        return self._call is not None and self._call[5] is self._call[2][0]

    __iadd__ = _augmented(np.add)
    __isub__ = _augmented(np.subtract)
    __imul__ = _augmented(np.multiply)
    __itruediv__ = _augmented(np.divide)
    __ifloordiv__ = _augmented(np.floor_divide)
    __imod__ = _augmented(np.remainder)
    __ipow__ = _augmented(np.power)
    __imatmul__ = _augmented(np.matmul)

    # -- NumPy's protocols ---------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if out is not None:
            return _call_into(out, ufunc, method, inputs, kwargs)
        if method == "__call__":
            op = None if kwargs else OPS.get(ufunc)
            return apply(op, *inputs) if type(op) is Op else _call(ufunc, inputs, kwargs)
        if recording.get() is not None and any_requires_grad((inputs, kwargs)):
            if method in METHODS and ufunc in OPS:
                return METHODS[method](ufunc, *inputs, **kwargs)
            raise _no_rule(ufunc, method)
        if method == "at":
            wrote(_bare(inputs[0]))
        return _tensors(getattr(ufunc, method)(*_bare(inputs), **_bare(kwargs)), False)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _call(function, args, kwargs)

    sum, mean, prod = _method(np.sum), _method(np.mean), _method(np.prod)
    max, min = _method(np.max), _method(np.min)
    var, std = _method(np.var), _method(np.std)
    cumsum, dot, copy = _method(np.cumsum), _method(np.dot), _method(np.copy)
    ravel, squeeze, swapaxes = _method(np.ravel), _method(np.squeeze), _method(np.swapaxes)
    cumprod, repeat, take = _method(np.cumprod), _method(np.repeat), _method(np.take)
    diagonal, trace, round = _method(np.diagonal), _method(np.trace), _method(np.round)
    conj, conjugate = _method(np.conj), _method(np.conjugate)
    argmax: Callable[..., Any] = _method(np.argmax)
    argmin: Callable[..., Any] = _method(np.argmin)
    argsort: Callable[..., Any] = _method(np.argsort)
    argpartition: Callable[..., Any] = _method(np.argpartition)
    nonzero: Callable[..., Any] = _method(np.nonzero)
    searchsorted: Callable[..., Any] = _method(np.searchsorted)
    any: Callable[..., Any] = _method(np.any)
    all: Callable[..., Any] = _method(np.all)

    _clip, _reshape, _transpose = _method(np.clip), _method(np.reshape), _method(np.transpose)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """`numpy.clip`."""
        return self._clip(min, max)

    def reshape(self, *shape: Any) -> Tensor:
        """`numpy.reshape`, to a tuple or to as many lengths."""
        return self._reshape(shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Tensor:
        """`numpy.transpose`, by a tuple or by as many axes; reversed, if none is given."""
        return self._transpose(axes[0] if len(axes) == 1 else axes or None)

    def compress(self, condition: Any, axis: int | None = None) -> Any:
        """`numpy.compress`: the entries where the condition holds."""
        return np.compress(condition, self, axis=axis)

    def flatten(self) -> Tensor:
        """Return a copy with one axis."""
        return self.copy().ravel()

    def astype(self, dtype: Any, casting: Any = "unsafe", copy: bool = True) -> Any:
        """`numpy.ndarray.astype`; a constant, where the dtype is of integers or booleans."""
        if not copy and self.dtype == dtype:
            return self
        if np.dtype(dtype).kind in "iub":
            return Tensor(self.data.astype(dtype, casting=casting))
        return astype(self, np.dtype(dtype), casting)

    # -- the backward pass ---------------------------------------------------------------------------------

    def backward(self, gradient: Any = None) -> None:
        """Add the gradient of this tensor with respect to every leaf behind it to the leaf's ``grad``.

        Parameters
        ----------
        gradient
            The gradient of whatever is differentiated with respect to this tensor, of its shape. It may be
            left out for a tensor of one entry: 1.

        Raises
        ------
        RuntimeError
            If no leaf requires a gradient, or data was changed in place since the forward pass.
        ValueError
            If ``gradient`` is missing where the tensor has not one entry, or has another shape.
        """
        if not self.requires_grad:
            raise RuntimeError(
                "backward: nothing behind this tensor requires a gradient; make a leaf with "
                "mg.tensor(data, requires_grad=True), outside of no_grad"
            )
        g = _seed(self, gradient)
        if self._call is None:
            gradients, leaves = {0: g.copy()}, {0: self}
        else:
            gradients, leaves = walk_back(self._call, g)
        for key, leaf in leaves.items():
            g = gradients[key]
            leaf.grad = g if leaf.grad is None else as_array(leaf.grad + g)


def tensor(data: Any, requires_grad: bool = False, dtype: Any = None) -> Tensor:
    """Make a tensor that holds a copy of data: a leaf.

    Parameters
    ----------
    data : array_like
        Real numbers, of any shape. A list of tensors on the tape is joined by `numpy.stack`: a result, not a leaf.
    requires_grad : bool
        Whether `Tensor.backward` shall compute its gradient; floats only.
    dtype : optional
        The dtype wanted; data's own, if none is given.

    Raises
    ------
    TypeError
        If data is not numeric, an integer or boolean tensor is to require a gradient, or data is a tensor on
        the tape.
    """
    if isinstance(data, (list, tuple)) and any_requires_grad(data):
        stacked: Any = np.stack([each if type(each) is Tensor else tensor(each) for each in data])
        return stacked if dtype is None else stacked.astype(dtype)  # type: ignore[no-any-return]
    array: Any = data.astype(dtype or data.dtype) if type(data) in STAND_INS else np.array(data, dtype=dtype)
    if array.dtype.kind not in "fiubc":
        raise TypeError(f"tensor: data has dtype {array.dtype}; expected numbers or booleans")
    if requires_grad and array.dtype.kind != "f":
        raise TypeError(
            f"tensor: data has dtype {array.dtype}, which cannot require a gradient; give real floats, as by "
            "dtype=np.float64"
        )
    return Tensor(array, bool(requires_grad))


def lift(array: Array, parent: Parent) -> Tensor:
    """Return the tensor of an array that came from parent: a call, or a leaf."""
    if isinstance(parent, Tensor):
        return parent
    result = _new(Tensor)
    result.data = array
    result.grad = None
    result.requires_grad = True
    result._call = parent
    return result


def apply(op: Any, /, *operands: Any, **options: Any) -> Tensor:
    """Call an op, or a layer, on tensors and arrays; record it where an operand requires a gradient.

    The result is a tensor, if an operand is one.

    Raises
    ------
    TypeError
        If an option is a tensor.
    """
    args: list[Any] = []
    parents: list[Parent] = []
    tensors = needed = False
    plain = PLAIN if op.rules is not None else ARRAYS
    for x in operands:
        if type(x) is Tensor:
            tensors = True
            args.append(x.data)
            if x.requires_grad:
                needed = True
                parents.append(x._call or x)
                continue
        else:
            args.append(
                array_of(x, op.name, f"input {len(args)}")
                if type(x) not in plain and isinstance(x, ARRAY_LIKE)
                else x
            )
        parents.append(None)
    for name in options:
        if type(options[name]) is Tensor:
            raise TypeError(f"{op.name}: {name} is a tensor; give it by its position, as an input")
    try:
        out = op.forward(*args, **options) if options else op.forward(*args)
        if op.rules is None and op.checked is not None and out[0].dtype.kind != "f":
            out = op.checked(*args, **options)
    except BARE as error:
        told = (
            explained(error, op.name, [(f"input {i}", x) for i, x in enumerate(args)])
            if op.rules is None
            else None
        )
        if told is None:
            raise
        raise told from error
    if op.rules is None:  # a layer
        if not op.tested and (type(out) is not tuple or len(out) != 2):
            raise TypeError(f"{op.name}: the forward returned {type(out).__name__}; expected (out, cache)")
        out, options["cache"] = out
        if not tensors:
            return out  # type: ignore[no-any-return]
    if type(out) is not np.ndarray:
        out = as_array(out)
    result = _new(Tensor)
    result.data = out
    result.grad = None
    if needed and (mode := recording.get()) is not None:
        result.requires_grad = True
        result._call = call = (next_number(), op, args, parents, options, out)
        if mode.watches:
            mode.called(call)
    else:
        result.requires_grad = False
        result._call = None
    return result


def _binary(op: Any, x: Any, y: Any) -> Tensor:
    """Do as `apply` does, for an op of two operands, one of them a tensor, and no options: the fast path."""
    x_parent: Parent = None
    y_parent: Parent = None
    if type(x) is Tensor:
        if x.requires_grad:
            x_parent = x._call or x
        x = x.data
    elif type(x) not in PLAIN:
        x = np.asarray(x)
    if type(y) is Tensor:
        if y.requires_grad:
            y_parent = y._call or y
        y = y.data
    elif type(y) not in PLAIN:
        y = np.asarray(y)
    out = op.forward(x, y)
    if type(out) is not np.ndarray:
        out = as_array(out)
    result = _new(Tensor)
    result.data = out
    result.grad = None
    if (x_parent is None and y_parent is None) or (mode := recording.get()) is None:
        result.requires_grad = False
        result._call = None
    else:
        result.requires_grad = True
        result._call = call = (next_number(), op, (x, y), (x_parent, y_parent), NO_OPTIONS, out)
        if mode.watches:
            mode.called(call)
    return result


ARRAY_LIKE = (np.ndarray, np.generic, list, tuple, range, float, int, bool, complex)
_new = Tensor.__new__

MAY_HOLD_TENSORS = (Tensor, dict, list, tuple)


def _call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call any NumPy function, some of whose arguments are tensors."""
    op = OPS.get(function)
    if "out" in kwargs and kwargs["out"] is None:
        kwargs = {name: value for name, value in kwargs.items() if name != "out"}
    if recording.get() is None or not any_requires_grad((args, kwargs)):
        written = kwargs.get("out", args[0] if facts(function).in_place else None)
        if written is not None:
            wrote(_bare(written))
        return _tensors(
            function(*_bare(args), **_bare(kwargs)), op is not None or bool(facts(function).constant)
        )
    if isinstance(op, Composite):
        return op(*args, **kwargs)
    if op is not None:
        operands, options = op.bind(*args, **kwargs)
        if any_requires_grad(options):
            raise TapeError(f"numpy.{op.name}: no backward rule for a tensor as an option; detach it")
        return apply(op, *operands, **_bare(options))
    if "out" not in kwargs and not facts(function).in_place:
        out = function(*_bare(args), **_bare(kwargs))
        if facts(function).constant:
            return _tensors(out, True)
        if not _has_numbers(out):
            return out
    raise _no_rule(function)


def _no_rule(function: Any, method: str = "") -> TapeError:
    known = facts(function)
    name = f"{getattr(function, '__module__', None) or 'numpy'}.{function.__name__}{method and '.'}{method}"
    why = f" ({known.no_gradient})" if known.no_gradient else ""
    instead = f"write {known.instead}" if known.instead else "write it with functions that have one"
    return TapeError(
        f"{name} has no backward rule{why}; {instead}, wrap a hand-derived pair as mg.layer(forward, backward), or "
        "leave the tape explicitly: t.detach(), t.numpy()"
    )


def _call_into(
    out: tuple[Any, ...], ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call a ufunc with ``out``: NumPy's way where no gradient is needed; recorded, for ``array += tensor``."""
    if recording.get() is None or not any_requires_grad((inputs, out, kwargs)):
        getattr(ufunc, method)(*_bare(inputs), out=_bare(out), **_bare(kwargs))
        for array in _bare(out):
            if array is not None:
                wrote(array)
        return out[0] if len(out) == 1 else out
    if method == "__call__" and out[0] is inputs[0] and type(out[0]) is np.ndarray:
        return _like_out(ufunc(*inputs, **kwargs), out[0])
    raise TapeError(
        f"numpy.{ufunc.__name__}: out= would cut the result off from the tape; write t = np.{ufunc.__name__}(...)"
    )


def _like_out(value: Any, out: Array) -> Any:
    """Return a value as NumPy would have put it into ``out``: of its dtype, if that may be, and its shape."""
    if value.shape != out.shape:
        raise ValueError(
            f"in-place change: a result of shape {value.shape} does not fit into shape {out.shape}"
        )
    if not np.can_cast(value.dtype, out.dtype, "same_kind"):
        raise TypeError(
            f"in-place change: a result of dtype {value.dtype} does not fit into dtype {out.dtype}"
        )
    return value if value.dtype == out.dtype else value.astype(out.dtype)


def _bare(x: Any) -> Any:
    """Return arguments with each tensor's array in its place, however nested."""
    if type(x) is Tensor:
        return x.data
    if type(x) in (tuple, list):
        return type(x)([_bare(each) for each in x])
    if type(x) is dict:
        return {key: _bare(each) for key, each in x.items()}
    return x


def _kept(index: Any) -> Any:
    """Return an index as the tape may keep it: of tensors the arrays, and of arrays copies."""
    if type(index) is tuple:
        return tuple([_kept(each) for each in index])
    index = _bare(index)
    if type(index) in STAND_INS:
        return copy(index)
    return np.array(index) if isinstance(index, np.ndarray) else index


def any_requires_grad(x: Any) -> bool:
    """Tell whether a tensor among nested arguments requires a gradient."""
    if type(x) is Tensor:
        return x.requires_grad
    if isinstance(x, dict):
        x = x.values()
    elif not isinstance(x, (tuple, list)):
        return False
    for each in x:
        if type(each) not in PLAIN and isinstance(each, MAY_HOLD_TENSORS) and any_requires_grad(each):
            return True
    return False


def _has_numbers(x: Any) -> bool:
    """Tell whether a result has entries that could have had a gradient: floats, or objects."""
    if isinstance(x, (tuple, list)):
        return any(_has_numbers(each) for each in x)
    return isinstance(x, (np.ndarray, np.generic, float, complex)) and as_array(x).dtype.kind in "fcO"


def _tensors(x: Any, all_arrays: bool) -> Any:
    """Make constant tensors of float arrays, or of all arrays, in a function's result."""
    if type(x) in (tuple, list):
        return type(x)([_tensors(each, all_arrays) for each in x])
    if isinstance(x, (np.ndarray, np.generic)) and (all_arrays or x.dtype.kind == "f"):
        return Tensor(as_array(x))
    return x


def _outline(array: Array) -> Array:
    """Return an array of the same shape and dtype that takes no memory."""
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)


def _restore(data: Array, requires_grad: bool, grad: Array | None) -> Tensor:
    leaf = Tensor(data, requires_grad)
    leaf.grad = grad
    return leaf


def _seed(result: Tensor, gradient: Any) -> Array:
    """Check the gradient that a backward pass starts from; 1, if none is given for one entry."""
    if gradient is None:
        if result.size != 1:
            raise ValueError(
                f"backward: the tensor has shape {result.shape}, not one entry; reduce it (t.sum()) or give "
                "the gradient of your result with respect to it, backward(gradient)"
            )
        return np.ones(result.shape, result.dtype)
    g: Array = as_array(gradient)
    if g.shape != result.shape:
        raise ValueError(f"backward: the gradient has shape {g.shape}; the tensor's is {result.shape}")
    return g.astype(result.dtype, casting="same_kind", copy=False)
