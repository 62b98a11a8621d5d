"""Tensor: an ndarray that writes down the NumPy calls made on it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from copy import copy
from functools import wraps
from sys import getrefcount
from typing import TYPE_CHECKING, Any

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
from ..rules.indexing import GETITEM, SETITEM, setitem
from ..rules.products import MATMUL
from ..rules.shaping import TRANSPOSE
from .arguments import names_itself
from .arrays import STAND_INS, as_array, held, is_number, refuse_foreign
from .calls import Variable, any_requires_grad, apply, bare, binary, record, results_are, unwrap, variable
from .dispatch import Dispatched, call, fit_in_place
from .leaving import EXPLICITLY, INSTEAD_OF_AN_ARRAY, is_stored, is_stored_back, who_asks
from .ownership import is_shared, owns_data, views_another
from .recording import Array, TapeError, differentiated, recording
from .sharing import shared
from .walk import depends_on, walk_back
from .watch import replaced, rewritten, views_replaced, wrote


def _operators(op: Any) -> tuple[Callable[[Any, Any], Tensor], Callable[[Any, Any], Tensor]]:
    """Make the method of a binary operator, and its reflection."""
    return (lambda self, other: binary(op, self, other)), (lambda self, other: binary(op, other, self))


def _plain(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Make the method of an operator that returns plain booleans or integers, which have no gradient."""
    return lambda self, other: compare(bare(self), bare(other))


def _augmented(ufunc: Any) -> Callable[[Any, Any], Tensor]:
    """Make the method of an augmented assignment: in place under no_grad; elsewhere recorded, with a new value.

    Of a number, which NumPy cannot change, it makes another.
    """

    def method(self: Tensor, other: Any) -> Tensor:
        if is_number(self.data):
            return ufunc(self, other)  # type: ignore[no-any-return]
        if recording.get() is None:
            ufunc(self.data, bare(other), out=self.data)
            wrote(self.data)
        else:
            if self.data.base is not None and not is_stored_back(getrefcount(self)):
                self._refuse_view()
            self._may_become(self.requires_grad or any_requires_grad(other))
            self._become(ufunc(self, other))
        return self

    return method


def _method(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Make the method that is a NumPy function of the tensor, with its name and its documentation."""

    @wraps(function)
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return call(function, (self, *args), kwargs)

    return method


@results_are
class Tensor(Variable, Dispatched):
    """An ndarray with a gradient, and the call that made it. Make one with `tensor`.

    NumPy's functions and Python's operators work on tensors as on arrays, with NumPy's shapes, broadcasting,
    dtypes and errors. Comparisons give plain boolean arrays.

    Attributes
    ----------
    data : ndarray
        The values.
    grad : ndarray or None
        On a leaf, the sum of the gradients that `backward` has found, of ``data``'s shape and dtype; set it to
        None to start anew. None elsewhere.
    requires_grad : bool
        Whether gradients reach this tensor: a leaf made so, or the result of a call on one.
    """

    __slots__ = ()

    @property
    def grad(self) -> Any:  # an array or None; declared so, an update could not be written without a cast
        """On a leaf, the sum of the gradients that `backward` has found; None elsewhere, and before."""
        return self._grad

    @grad.setter
    def grad(self, gradient: Any) -> None:
        if gradient is not None:
            refuse_foreign(gradient, "grad")
            gradient = as_array(bare(gradient))
            if gradient.shape != self.shape:
                raise ValueError(f"grad: got shape {gradient.shape}; the tensor's is {self.shape}")
            gradient = gradient.astype(self.dtype, casting="same_kind", copy=False)
        self._grad = gradient

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
        return apply(TRANSPOSE, (self,))  # type: ignore[no-any-return]

    @property
    def mT(self) -> Tensor:
        """The matrices transposed."""
        return self.swapaxes(-1, -2)

    @property
    def real(self) -> Any:
        """The real part."""
        return call(np.real, (self,), {})

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return call(np.imag, (self,), {})

    def item(self) -> Any:
        """Return the one entry as a Python number, off the tape."""
        return bare(self).item()

    def numpy(self) -> Array:
        """Return the values as an array, off the tape: ``data`` itself."""
        return bare(self)  # type: ignore[no-any-return]

    def detach(self) -> Tensor:
        """Return a constant tensor of the same ``data``, off the tape."""
        return variable(self.data)  # type: ignore[no-any-return]

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers, off the tape."""
        return bare(self).tolist()

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    if not TYPE_CHECKING:  # to type checkers, what is not defined is an error

        def __getattr__(self, name: str) -> None:
            """Say what to write instead of an attribute that there is not."""
            instead = ""
            if callable(getattr(np, name, None)):
                instead = f"; write np.{name}(t)"
            elif hasattr(np.ndarray, name):
                instead = f"; the array, off the tape, has it: t.numpy().{name}"
            raise AttributeError(f"a tensor has no {name!r}{instead}", name=name, obj=self)

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
        return format(self.data, spec)

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
            where, instead = who_asks()
            raise TapeError(
                f"{where}: a tensor that requires a gradient became a plain array, which would cut it off from the "
                f"tape; {instead}"
            )
        array = bare(self)
        return np.array(array, dtype=dtype) if copy or is_number(array) else np.asarray(array, dtype=dtype)

    def _number(self, kind: str) -> Any:
        if self.requires_grad and recording.get() is not None:
            if is_stored():
                raise TapeError(
                    "array[i] = t (or array.fill, np.fromiter) would cut the tensor t, which requires a gradient, off "
                    f"from the tape; {INSTEAD_OF_AN_ARRAY}"
                )
            if self._call is not None and differentiated and depends_on(self._call, differentiated):
                raise TapeError(
                    f"{kind}() of a tensor inside grad would cut it off from the tape; keep the tensor (np.exp(t) in "
                    f"place of math.exp(t)), or {EXPLICITLY}"
                )
        return bare(self) if self.ndim == 0 else self.item()

    def __float__(self) -> float:
        return float(self._number("float"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def __complex__(self) -> complex:
        return complex(self._number("complex"))

    def __bool__(self) -> bool:
        return bool(bare(self))

    def __index__(self) -> int:
        return bare(self).__index__()  # type: ignore[no-any-return]

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
            return apply(SQUARE, (self,))  # type: ignore[no-any-return]
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
        return apply(NEGATIVE, (self,))  # type: ignore[no-any-return]

    def __pos__(self) -> Tensor:
        return apply(POSITIVE, (self,))  # type: ignore[no-any-return]

    def __abs__(self) -> Tensor:
        return apply(ABSOLUTE, (self,))  # type: ignore[no-any-return]

    # -- writing: recorded, a tensor gets a new value, and whoever read the old one keeps it ----------------

    def __getitem__(self, index: Any) -> Tensor:
        return apply(GETITEM, (self,), {"index": _kept(index)})  # type: ignore[no-any-return]

    def __setitem__(self, index: Any, value: Any) -> None:
        index = _kept(index)
        if recording.get() is None:
            self.data[index] = bare(value)
            wrote(self.data)
            return
        if self.data.base is not None:
            self._refuse_view()
        self._may_become(self.requires_grad or any_requires_grad(value))
        in_place = owns_data(
            self
        )  # no call and no view has this array: a loop that fills it need not copy it
        shared = not in_place and is_shared(self, self._call)
        (old, part), parents = unwrap(SETITEM, (self, value))
        if in_place and not _has_stand_ins((part, index)):
            old[index] = part
            new = old
        else:
            new = setitem(old, part, index)
        # The gradient depends on no value of the two whole arrays: the tape keeps their shapes alone.
        written = record(SETITEM, [_outline(old), part], parents, {"index": index}, _outline(new))
        viewed = shared and new is not old
        if viewed or replaced:
            rewritten(old, new, index, viewed)
        self.data, self._call, self.requires_grad = new, written._call, written.requires_grad

    def _become(self, value: Any) -> None:
        """Take a result in place, recorded: cast to this tensor's shape and dtype."""
        value = value if type(value) is Tensor else variable(as_array(value))
        self._may_become(value.requires_grad)
        value = fit_in_place(value, self.data)
        own = 0 if value._call is None else sum([x is self.data for x in value._call[2]])
        viewed = is_shared(self, self._call, own)  # by more than the call just made
        new = np.copy(value.data) if is_number(value.data) else value.data  # an array of no axes stays one
        if viewed or replaced:
            rewritten(self.data, new, ..., viewed)
        self.data, self._call, self.requires_grad = new, value._call, value.requires_grad

    def _refuse_view(self) -> None:
        """Refuse a recorded change of a view that would not be seen in the tensor that is viewed."""
        viewing = views_another(self.data, self._call) or views_replaced(self.data)
        if viewing and not self._is_argument():
            raise TapeError(
                "in-place change of a view: recorded, it would not reach the tensor that is viewed; write to that "
                "one, t[0, 1] = value in place of t[0][1] = value and t[i] += a in place of row += a, or make a new "
                "one, row = row + a"
            )

    def _may_become(self, requires_grad: bool) -> None:
        """Refuse a recorded change in place of a leaf, and one that would give integers a gradient."""
        if self._call is None and self.requires_grad:
            raise RuntimeError(
                "in-place change of a leaf that requires a gradient; to update a parameter use `with mg.no_grad():`, "
                "to compute with a changed value change a copy, t.copy()"
            )
        if requires_grad and self.dtype.kind not in "fc":
            raise TypeError(f"a tensor of dtype {self.dtype} cannot hold values that require a gradient")

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

    # -- methods that are NumPy's functions -----------------------------------------------------------------

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

    def reshape(self, *shape: Any, order: Any = "C") -> Tensor:
        """`numpy.reshape`, to a tuple or to as many lengths."""
        given = shape[0] if len(shape) == 1 else shape
        return self._reshape(given) if order == "C" else self._reshape(given, order=order)

    def transpose(self, *axes: Any) -> Tensor:
        """`numpy.transpose`, by a tuple or by as many axes; reversed, if none is given."""
        return self._transpose(axes[0] if len(axes) == 1 else axes or None)

    def compress(self, condition: Any, axis: int | None = None) -> Any:
        """`numpy.compress`: the entries where the condition holds."""
        return np.compress(condition, self, axis=axis)

    def flatten(self, order: Any = "C") -> Tensor:
        """Return a copy with one axis."""
        return self.copy().ravel(order)

    def astype(self, dtype: Any, casting: Any = "unsafe", copy: bool = True) -> Any:
        """`numpy.ndarray.astype`; a constant, where the dtype is of integers or booleans."""
        if not copy and self.dtype == dtype:
            return self
        if np.dtype(dtype).kind in "iub":
            value = self.data.astype(dtype, casting=casting)
            return variable(held(value[()]) if is_number(self.data) else value)
        return astype(self, np.dtype(dtype), casting)

    # -- the backward pass ---------------------------------------------------------------------------------

    def backward(self, gradient: Any = None) -> None:
        """Add the gradient of this tensor with respect to every leaf behind it to the leaf's ``grad``.

        Threads may do so at once, with leaves in common: every gradient is added, in the order in which the
        threads come, and so the sum is rounded in that order. For sums of the same bits, use `grad` in each thread,
        and add in one. A free-threaded Python is not supported.

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
        with shared():
            for key, leaf in leaves.items():
                g = gradients[key]
                leaf._grad = g if leaf._grad is None else as_array(leaf._grad + g)


@names_itself
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
    if type(data) is not np.ndarray:
        refuse_foreign(data, "tensor")
    array: Any = data.astype(dtype or data.dtype) if type(data) in STAND_INS else np.array(data, dtype=dtype)
    if array.dtype.kind not in "fiubc":
        raise TypeError(f"tensor: data has dtype {array.dtype}; expected numbers or booleans")
    if requires_grad and array.dtype.kind not in "fc":
        raise TypeError(
            f"tensor: data has dtype {array.dtype}, which cannot require a gradient; give real floats, as by "
            "dtype=np.float64"
        )
    return variable(array, bool(requires_grad))  # type: ignore[no-any-return]


def _kept(index: Any) -> Any:
    """Return an index as the tape may keep it: arrays for tensors, and copies of arrays."""
    if type(index) is int or type(index) is slice:
        return index
    if type(index) is tuple:
        return tuple([_kept(each) for each in index])
    index = bare(index)
    if type(index) in STAND_INS:
        return copy(index)
    return np.array(index) if hasattr(type(index), "__array__") else index


def _has_stand_ins(x: Any) -> bool:
    """Tell whether there is a stand-in for an array in nested tuples."""
    return any(map(_has_stand_ins, x)) if type(x) is tuple else type(x) in STAND_INS


def _outline(array: Array) -> Array:
    """Return an array of the same shape and dtype that takes no memory."""
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)


def _restore(data: Array, requires_grad: bool, grad: Array | None) -> Tensor:
    leaf: Tensor = variable(data, requires_grad)
    leaf.grad = grad
    return leaf


def _seed(result: Tensor, gradient: Any) -> Array:
    """Check the gradient that a backward pass starts from; 1, if none is given for one entry."""
    if gradient is None:
        if result.dtype.kind == "c":
            raise TypeError(
                f"backward: the tensor is of {result.dtype}, and only a real number has a gradient; take its "
                "np.abs, np.real or np.imag, or give the gradient of your result with respect to it, backward(gradient)"
            )
        if result.size != 1:
            raise ValueError(
                f"backward: the tensor has shape {result.shape}, not one entry; reduce it (t.sum()) or give "
                "the gradient of your result with respect to it, backward(gradient)"
            )
        return np.ones(result.shape, result.dtype)
    refuse_foreign(gradient, "backward")
    g: Array = as_array(gradient)
    if g.shape != result.shape:
        raise ValueError(f"backward: the gradient has shape {g.shape}; the tensor's is {result.shape}")
    return g.astype(result.dtype, casting="same_kind", copy=False)
