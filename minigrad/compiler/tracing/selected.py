"""What a mask selects, ``x[mask]``: an array whose length is not known while a function is compiled.

Elementwise functions compute it at all entries of the mask, those that are not selected included; these are seen by
nobody: written back, ``x[mask] = f(x[mask])``, or summed, only what is selected counts.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ...engine.arrays import NUMBERS, stands_in
from ...engine.tensor import Tensor
from ...rules.choosing import exponent, fraction, mantissa
from ...rules.elementwise import astype, direction, sigmoid
from ...rules.indexing import getitem, scatter, setitem
from ...rules.table import any_true
from ..ir import Node, mapped
from .refused import shape_error

MASK = (
    "elementwise functions of it are written back, x[mask] = f(x[mask]), or summed, np.sum(x[mask]), np.mean(x[mask]); "
    "for anything else choose by np.where(mask, x, 0)"
)
ELEMENTWISE = {np.where, np.clip, np.copy, np.real, np.imag, np.zeros_like, np.ones_like, np.full_like}
ELEMENTWISE |= {astype, direction, sigmoid, fraction, mantissa, exponent}
"""Functions that compute each entry by itself, and are no ufuncs."""


def select(a: Any, index: Any) -> Selected:
    """Return ``a[mask]``.

    In the places that are not selected stands the first entry that is: a function that is computed there, too, warns of
    nothing that it would not warn of anyway.
    """
    mask = copy(_mask_of(index))  # which may be written to
    if mask.shape != a.shape or not mask.ndim:
        raise refused()
    if not mask.size:
        return Selected(np.copy(a), mask)
    first = np.argmax(mask)
    filler = np.where(np.ravel(mask)[first], getitem(np.ravel(a), first), a.dtype.type(1))
    return Selected(np.where(mask, a, filler), mask)


def write_selected(a: Any, value: Selected, index: Any) -> Any:
    """Return a copy of a where the entries that the same mask selects are replaced by a value."""
    if not value.is_of(_mask_of(index)) or a.shape != value.mask.shape:
        raise refused()
    whole = value.whole if value.dtype == a.dtype else astype(value.whole, a.dtype)
    return np.where(value.mask, whole, a)


def scattered(part: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros of this shape with a part at the entries that its mask selects."""
    if type(part) is not Selected or not part.is_of(_mask_of(index)) or part.mask.shape != shape:
        raise refused()
    return np.where(part.mask, part.whole, part.dtype.type(0))


def _mask_of(index: Any) -> Any:
    """Return the mask that is an index; refuse an index that is more than one mask."""
    mask = index[0] if type(index) is tuple and len(index) == 1 else index
    if type(mask) is tuple:
        raise refused()
    return mask


def refused() -> Exception:
    """Return the error of a use for which the length would have to be known."""
    return shape_error("reading by a mask", MASK)


def is_same(x: Any, y: Any) -> bool:
    """Tell whether two arguments of recorded calls are equal for certain: made by the same calls of the same values."""
    if type(x) is not Node or type(y) is not Node:
        if isinstance(x, (tuple, list)):
            return type(y) is type(x) and len(x) == len(y) and all(map(is_same, x, y))
        return x is y or (type(x) is type(y) and isinstance(x, NUMBERS) and repr(x) == repr(y))
    if x is y:
        return True
    is_ufunc = isinstance(x.function, np.ufunc) and x.function is y.function
    return is_ufunc and is_same(x.args, y.args) and not (x.kwargs or y.kwargs)


class Length(NDArrayOperatorsMixin):
    """The number of entries that a mask selects: unknown, but floats are divided by it, and it is equal to itself."""

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def __eq__(self, other: object) -> bool:
        if type(other) is Length and is_same(self.mask.node, other.mask.node):
            return True
        raise refused()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        floats = [x.dtype for x in inputs if getattr(x, "dtype", self.dtype).kind in "fc"]
        if method != "__call__" or kwargs or len(floats) != 1:
            raise refused()
        real = np.empty(0, floats[0]).real.dtype  # a Python number takes on the dtype of an array
        return ufunc(*[astype(np.sum(x.mask), real) if type(x) is Length else x for x in inputs])

    def spread(self, g: Any) -> Selected:
        """Return g, a number, for each entry."""
        return Selected(np.broadcast_to(g, self.mask.shape), self.mask)

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise refused()

    dtype = np.dtype(np.intp)
    __hash__ = __bool__ = __int__ = __float__ = __index__ = __array_function__ = __format__ = _refuse


def _augmented(ufunc: Any) -> Callable[[Selected, Any], Selected]:
    """Make the method of an augmented assignment."""

    def method(self: Selected, other: Any) -> Selected:
        return ufunc(self, other, out=(self,))  # type: ignore[no-any-return]

    return method


@stands_in
class Selected(NDArrayOperatorsMixin):
    """The stand-in for what a mask selects of an array.

    Attributes
    ----------
    whole
        An array of the mask's shape with its entries; those elsewhere are arbitrary.
    mask
        Which are selected.
    """

    __slots__ = ("__weakref__", "mask", "whole")
    base = None

    def __init__(self, whole: Any, mask: Any) -> None:
        self.whole = whole
        self.mask = mask

    @property  # type: ignore[misc]  # to isinstance it is an array
    def __class__(self) -> Any:
        """The class that isinstance sees."""
        return np.ndarray

    def __copy__(self) -> Selected:
        return Selected(self.whole, self.mask)

    def __deepcopy__(self, memo: dict[int, Any]) -> Selected:
        return Selected(self.whole, self.mask)

    @property
    def shape(self) -> tuple[Any, ...]:
        """The length of the only axis."""
        return (self.size,)

    @property
    def size(self) -> Any:
        """The number of entries."""
        return Length(self.mask)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the entries."""
        dtype: np.dtype[Any] = self.whole.dtype
        return dtype

    @property
    def is_replayed(self) -> bool:
        """Whether the function runs again, and makes the calls that it has made."""
        replayed: bool = self.whole.is_replayed
        return replayed

    @property
    def owner(self) -> Selected:
        """The array whose memory this one views: it is a copy."""
        return self

    def astype(self, dtype: Any, casting: Any = "unsafe", copy: bool = True) -> Any:
        """`numpy.ndarray.astype`."""
        return astype(self, np.dtype(dtype), casting)

    def copy(self, order: Any = "C") -> Selected:
        """`numpy.ndarray.copy`."""
        return Selected(self.whole, self.mask)

    def sum(self, axis: Any = None, *, keepdims: bool = False, **others: Any) -> Any:
        """`numpy.sum`."""
        if axis not in (None, 0, -1) or keepdims or others:
            raise refused()
        return np.add.reduce(np.where(self.mask, self.whole, 0), axis=None)

    def mean(self, axis: Any = None, **others: Any) -> Any:
        """`numpy.mean`."""
        if self.dtype.kind not in "fc" or self.dtype.itemsize == 2:
            raise refused()
        return self.sum(axis, **others) / self.size

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name) if name.startswith("_") else refused()

    def is_of(self, mask: Any) -> bool:
        """Tell whether a mask is for certain that which selects these entries."""
        return is_same(getattr(mask, "node", None), self.mask.node)

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise refused()

    __len__ = __iter__ = __bool__ = __int__ = __float__ = __complex__ = __index__ = _refuse
    __array__ = __getitem__ = __setitem__ = __contains__ = __format__ = _refuse

    def __pow__(self, other: Any) -> Any:
        return NotImplemented if type(other) is Tensor else self._elementwise(operator.pow, (self, other), {})

    __iadd__ = _augmented(np.add)
    __isub__ = _augmented(np.subtract)
    __imul__ = _augmented(np.multiply)
    __itruediv__ = _augmented(np.divide)
    __imod__ = _augmented(np.remainder)
    __ipow__ = _augmented(np.power)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if Tensor in map(type, inputs):
            return NotImplemented
        if method == "reduce" and ufunc is np.add and out is None:
            return self.sum(**kwargs)
        if method == "__call__" and not kwargs and ufunc.signature is None:
            if out is None:
                return self._elementwise(ufunc, inputs, {})
            if out[0] is self:
                self.whole = self._cast(self._elementwise(ufunc, inputs, {}))
                return self
        raise refused()

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if Tensor in types:
            return NotImplemented
        if function in ELEMENTWISE:
            return self._elementwise(function, args, kwargs)
        if function in (np.sum, np.mean) and args[0] is self:
            return (self.sum if function is np.sum else self.mean)(*args[1:], **kwargs)
        if function in (np.shape, np.ndim, np.size):
            return {np.shape: self.shape, np.ndim: 1, np.size: self.size}[function]
        if function in (np.result_type, np.can_cast, np.iscomplexobj, np.isrealobj):
            return function(*mapped(_whole_of, args), **kwargs)
        if function is any_true:
            return True
        if function is setitem and type(args[1]) is Selected:
            return write_selected(*args, **kwargs)
        if function is scatter:
            return scattered(*args, **kwargs)
        raise refused()

    def _elementwise(self, function: Any, args: Any, kwargs: Any) -> Any:
        """Call a function of entries of this mask, and of numbers."""
        for x in (*args, *kwargs.values()):
            if type(x) is not Selected and np.ndim(x):
                raise refused()
            if type(x) is Selected and not self.is_of(x.mask):
                raise refused()
        whole = function(*map(_whole_of, args), **{name: _whole_of(x) for name, x in kwargs.items()})
        if isinstance(whole, tuple):
            return tuple(Selected(each, self.mask) for each in whole)
        return Selected(whole, self.mask)

    def _cast(self, other: Selected) -> Any:
        """Return the entries of a result in this array's dtype, as they are written into it."""
        if not np.can_cast(other.dtype, self.dtype, "same_kind"):
            raise TypeError(f"cannot write {other.dtype} into an array of {self.dtype}")
        return other.whole if other.dtype == self.dtype else astype(other.whole, self.dtype)


def _whole_of(x: Any) -> Any:
    return x.whole if type(x) is Selected else x
