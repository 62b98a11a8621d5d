"""Tensor: an ndarray that writes down the NumPy calls made on it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from ..rules.elementwise import (
    ABSOLUTE,
    ADD,
    ASTYPE,
    DIVIDE,
    MULTIPLY,
    NEGATIVE,
    POSITIVE,
    POWER,
    REMAINDER,
    SUBTRACT,
    scalar_power,
)
from ..rules.facts import facts
from ..rules.indexing import GETITEM, with_arrays
from ..rules.products import MATMUL
from ..rules.shaping import MATRIX_TRANSPOSE, TRANSPOSE
from ..rules.sliding import SLIDING
from ..rules.table import OPS
from . import calls
from .arguments import names_itself
from .arrays import STAND_INS, as_array, has_stand_ins, held, is_number, refuse_foreign
from .calls import (
    any_requires_grad,
    bare,
    binary,
    part_of_windows,
    results_are,
    without_values,
)
from .dispatch import Dispatched, call
from .in_place import as_kept, augmented, set_part
from .leaving import OTHERWISE, OffTheTape
from .recording import Array, TapeError, recording
from .sharing import shared
from .walk import walk_back
from .writing import Writable, put_imag, put_real

# Their results are tensors, as `results_are` registers them.
apply: Callable[..., Tensor] = calls.apply
variable: Callable[..., Tensor] = calls.variable


def _operators(op: Any) -> tuple[Callable[[Any, Any], Tensor], Callable[[Any, Any], Tensor]]:
    """Make the method of a binary operator, and its reflection."""
    call = binary(op)
    return call, (lambda self, other: call(other, self))


def _plain(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Make the method of an operator that returns plain booleans or integers, which have no gradient."""
    return lambda self, other: compare(bare(self), bare(other))


def _method(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Make the method that is a NumPy function of the tensor, with its name and its documentation."""

    @wraps(function)
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return call(function, (self, *args), kwargs)

    return method


@results_are
class Tensor(OffTheTape, Dispatched, Writable):
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

    @shape.setter
    def shape(self, shape: Any) -> None:
        raise AttributeError(
            "a tensor keeps its shape; write t = t.reshape(shape) in place of t.shape = shape"
        )

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
    def itemsize(self) -> int:
        """The size of an entry, in bytes."""
        return self.data.itemsize

    @property
    def nbytes(self) -> int:
        """The size of all entries, in bytes."""
        return self.data.nbytes

    @property
    def T(self) -> Tensor:
        """The tensor with its axes in reverse."""
        return apply(TRANSPOSE, (self,))

    @property
    def mT(self) -> Tensor:
        """The matrices transposed."""
        return apply(MATRIX_TRANSPOSE, (self,))

    @property
    def real(self) -> Any:
        """The real part."""
        return call(np.real, (self,), {})

    @real.setter
    def real(self, part: Any) -> None:
        put_real(self, part)

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return call(np.imag, (self,), {})

    @imag.setter
    def imag(self, part: Any) -> None:
        put_imag(self, part)

    def detach(self) -> Tensor:
        """Return a constant tensor of the same ``data``, off the tape."""
        return variable(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    if not TYPE_CHECKING:  # to type checkers, what is not defined is an error

        def __getattr__(self, name: str) -> None:
            """Raise AttributeError, and say what to write instead."""
            instead, function = OTHERWISE.get(name, ""), getattr(np, name, None)
            if callable(function):
                instead = f"; write {facts(function).instead or f'np.{name}(t)'}"
            elif not instead and hasattr(np.ndarray, name):
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
        """Pickle the numbers: a leaf stays a leaf, a result becomes a constant, since a tape is not stored.

        Not inside `grad`.
        """
        self._refuse_inside_grad("pickle", "keep the tensor itself, copy.copy(t) for a copy")
        return _restore, (self.data, self.requires_grad and self._call is None, self.grad)

    def __copy__(self) -> Tensor:
        return self.copy() if self._call is not None else _restore(self.data, self.requires_grad, self.grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """Copy a leaf with its gradient; a result's copy stays on the tape."""
        if self._call is not None:
            return self.copy()
        return _restore(self.data.copy(), self.requires_grad, None if self.grad is None else self.grad.copy())

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
        function = scalar_power(self.data, other)
        if function is None:
            return self._power(other)
        return apply(OPS[function], (self,)) if function in OPS else function(self)

    def __floordiv__(self, other: Any) -> Any:
        return np.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return np.floor_divide(other, self)

    def __divmod__(self, other: Any) -> tuple[Any, Tensor]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Any, Tensor]:
        return other // self, other % self

    def __round__(self, ndigits: int | None = None) -> Any:
        """Round a number to decimals, to a constant; without ``ndigits`` to a Python integer."""
        return int(self.round()) if ndigits is None else self.round(ndigits)

    def __invert__(self) -> Any:
        return ~self.data

    def __neg__(self) -> Tensor:
        return apply(NEGATIVE, (self,))

    def __pos__(self) -> Tensor:
        return apply(POSITIVE, (self,))

    def __abs__(self) -> Tensor:
        return apply(ABSOLUTE, (self,))

    # -- writing: recorded, a tensor gets a new value, and whoever read the old one keeps it ----------------

    def __getitem__(self, index: Any) -> Tensor:
        part: Tensor = without_values(apply(GETITEM, (self,), {"index": as_kept(with_arrays(index))}))
        of_windows = self._call is not None and self._call[1] is SLIDING
        return part_of_windows(part) if of_windows else part

    __setitem__ = set_part
    __iadd__ = augmented(np.add)
    __isub__ = augmented(np.subtract)
    __imul__ = augmented(np.multiply)
    __itruediv__ = augmented(np.divide)
    __ifloordiv__ = augmented(np.floor_divide)
    __imod__ = augmented(np.remainder)
    __ipow__ = augmented(np.power)
    __imatmul__ = augmented(np.matmul)

    def copy(self, order: Any = "C") -> Tensor:
        """`numpy.ndarray.copy`; a number stays one."""
        if is_number(self.data):
            return self[()]
        made: Tensor = self._copy() if order == "C" else self._copy(order)
        return made

    # -- methods that are NumPy's functions -----------------------------------------------------------------

    sum, mean, prod = _method(np.sum), _method(np.mean), _method(np.prod)
    max, min = _method(np.max), _method(np.min)
    var, std = _method(np.var), _method(np.std)
    cumsum, dot = _method(np.cumsum), _method(np.dot)
    ravel, squeeze, swapaxes = _method(np.ravel), _method(np.squeeze), _method(np.swapaxes)
    cumprod, repeat, take = _method(np.cumprod), _method(np.repeat), _method(np.take)
    diagonal, trace, round = _method(np.diagonal), _method(np.trace), _method(np.round)
    argmax: Callable[..., Any] = _method(np.argmax)
    argmin: Callable[..., Any] = _method(np.argmin)
    argsort: Callable[..., Any] = _method(np.argsort)
    argpartition: Callable[..., Any] = _method(np.argpartition)
    nonzero: Callable[..., Any] = _method(np.nonzero)
    searchsorted: Callable[..., Any] = _method(np.searchsorted)
    any: Callable[..., Any] = _method(np.any)
    all: Callable[..., Any] = _method(np.all)

    _clip, _copy, _conj = _method(np.clip), _method(np.copy), _method(np.conj)
    _reshape, _transpose = _method(np.reshape), _method(np.transpose)

    def conj(self) -> Tensor:
        """`numpy.conj`; of real numbers the tensor itself, as `numpy.ndarray.conj`."""
        return self._conj() if self.dtype.kind == "c" else self

    conjugate = conj

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

    def astype(
        self, dtype: Any, order: Any = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
    ) -> Any:
        """`numpy.ndarray.astype`; a constant, where the dtype is of integers or booleans.

        ``order`` and ``subok`` are accepted for compatibility, and have no effect.
        """
        if order not in ("C", "F", "A", "K"):
            raise ValueError(f"astype: order is {order!r}; expected 'C', 'F', 'A' or 'K'")
        if not copy and self.dtype == dtype:
            return self
        dtype = np.dtype(dtype)
        if dtype.kind in "iub":
            value = self.data.astype(dtype, casting=casting)
            return variable(held(value[()]) if is_number(self.data) else value)
        made = apply(ASTYPE, (self,), {"dtype": dtype, "casting": casting})
        return made[()] if is_number(self.data) else made

    # -- the backward pass ---------------------------------------------------------------------------------

    def backward(self, gradient: Any = None) -> None:
        """Add the gradient of this tensor with respect to every leaf behind it to the leaf's ``grad``.

        Threads may do so at once, with leaves in common: every gradient is added, in the order in which the threads
        arrive, which decides the rounding. For reproducible sums, use `grad` in each thread and add the results in
        one. Free-threaded Python is not supported.

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
        g = _starting_gradient(self, gradient)
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
    if isinstance(data, (list, tuple)):
        if any_requires_grad(data):
            stacked: Any = np.stack([each if type(each) is Tensor else tensor(each) for each in data])
            made: Tensor = stacked if dtype is None else stacked.astype(dtype)
            return made
        if has_stand_ins(bare(data)):
            data = np.stack([tensor(each).data for each in data])
    if type(data) is Tensor:
        if data.requires_grad and recording.get() is not None:
            raise TapeError(
                "tensor: data is a tensor that requires a gradient; use it as it is, or, as a constant, t.detach()"
            )
        data = data.data
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
    return variable(array, bool(requires_grad))


def _restore(data: Array, requires_grad: bool, grad: Array | None) -> Tensor:
    leaf: Tensor = variable(data, requires_grad)
    leaf.grad = grad
    return leaf


def _starting_gradient(result: Tensor, gradient: Any) -> Array:
    """Return the gradient that a backward pass starts from, checked; 1 by default, for a tensor of one entry."""
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
