"""What a mask selects, ``x[mask]``: an array whose length is not known while a function is compiled.

Elementwise functions compute it at all entries of the mask, those that are not selected included; these are seen by
nobody: written back, ``x[mask] = f(x[mask])``, or summed, only what is selected counts.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ...engine.arrays import NUMBERS, stands_in
from ...engine.in_place import fit_in_place
from ...engine.tensor import Tensor
from ...rules.choosing import exponent, fraction, mantissa
from ...rules.elementwise import astype, direction, sigmoid
from ...rules.indexing import getitem, scatter, setitem
from ...rules.overriding import any_true
from ..ir import Node, mapped
from ..where import OURS
from .refused import shape_error

MASK = (
    "elementwise functions of it are written back, x[mask] = f(x[mask]), or summed, np.sum(x[mask]), np.mean(x[mask]); "
    "for anything else choose by np.where(mask, x, 0)"
)
CALM: set[Any] = {np.positive, np.negative, np.absolute, np.sign, np.add, np.subtract, np.multiply}
CALM |= {np.maximum, np.minimum, np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal}
CALM.update((np.where, np.clip, np.copy, np.real, np.imag, np.zeros_like, np.ones_like, np.full_like, astype))
"""Functions that compute each entry by itself, and warn of no finite one, but for overflow."""
ELEMENTWISE = CALM | {direction, sigmoid, fraction, mantissa, exponent}
"""Functions that compute each entry by itself; so do ufuncs."""


def select(a: Any, index: Any) -> Selected:
    """Return ``a[mask]``."""
    mask = copy(_mask_of(index))  # which may be written to
    if mask.shape != a.shape[: mask.ndim] or not mask.ndim:
        raise refused()
    return Selected(a if type(a) is np.ndarray else copy(a), mask)


def write_selected(a: Any, value: Selected, index: Any) -> Any:
    """Return a copy of a where the entries that the same mask selects are replaced by a value."""
    if not value.is_of(_mask_of(index)) or value.whole.ndim != a.ndim:
        raise refused()
    whole = value.whole if value.dtype == a.dtype else astype(value.whole, a.dtype)
    return np.where(value.chosen, np.broadcast_to(whole, a.shape), a)


def scattered(part: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Return zeros of this shape with a part at the entries that its mask selects."""
    if type(part) is not Selected or not part.is_of(_mask_of(index)) or part.whole.shape != shape:
        raise refused()
    return np.where(part.chosen, part.whole, part.dtype.type(0))


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
    """The number of entries that a mask selects, or a multiple: unknown, but floats are divided by it."""

    def __init__(self, mask: Any, times: int = 1) -> None:
        self.mask = mask
        self.times = times

    def __eq__(self, other: object) -> bool:
        if type(other) is Length and is_same(self.mask.node, other.mask.node) and self.times == other.times:
            return True
        if type(other) is int and sys._getframe(1).f_code.co_filename.startswith(OURS):
            return False  # the tape asks whether an operand was broadcast
        raise refused()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __rmul__(self, other: Any) -> Any:
        return Length(self.mask, self.times * other) if type(other) is int else super().__rmul__(other)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        floats = [x.dtype for x in inputs if getattr(x, "dtype", self.dtype).kind in "fc"]
        if method != "__call__" or kwargs or len(floats) != 1:
            raise refused()
        real = np.empty(0, floats[0]).real.dtype  # a Python number takes on the dtype of an array
        return ufunc(*[astype(np.sum(x.mask) * x.times, real) if type(x) is Length else x for x in inputs])

    def fitted(self, g: Any, shape: tuple[Any, ...]) -> Selected:
        """Return the gradient g of a sum for each of the entries that were added up."""
        if type(g) is Selected or (g.ndim and (g.ndim != len(shape) or g.shape[0] != 1)):
            raise refused()
        one = (1,) * self.mask.ndim
        whole = np.broadcast_to(np.reshape(g, (*one, *g.shape[1:])), (*self.mask.shape, *shape[1:]))
        return Selected(whole, self.mask)

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
        An array with its entries; those that are not selected are arbitrary.
    mask
        Which are selected, of the first axes' shape.
    is_filled
        Whether those elsewhere are like one that is selected.
    """

    __slots__ = ("__weakref__", "is_filled", "mask", "whole")
    base = None

    def __init__(self, whole: Any, mask: Any, is_filled: bool = False) -> None:
        self.whole = whole
        self.mask = mask
        self.is_filled = is_filled

    @property  # type: ignore[misc]  # to isinstance it is an array
    def __class__(self) -> Any:
        """The class that isinstance sees."""
        return np.ndarray

    def __copy__(self) -> Selected:
        return Selected(self.whole, self.mask, self.is_filled)

    def __deepcopy__(self, memo: dict[int, Any]) -> Selected:
        return copy(self)

    def __repr__(self) -> str:
        return f"Selected(ndim={self.ndim}, dtype={self.dtype})"

    @property
    def chosen(self) -> Any:
        """The mask, with as many axes as the whole."""
        return np.reshape(self.mask, (*self.mask.shape, *(1,) * (self.ndim - 1)))

    @property
    def shape(self) -> tuple[Any, ...]:
        """The length of each axis; that of the first is not known."""
        return Length(self.mask), *self.whole.shape[self.mask.ndim :]

    @property
    def size(self) -> Any:
        """The number of entries."""
        return Length(self.mask, math.prod(self.shape[1:]))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        ndim: int = self.whole.ndim - self.mask.ndim + 1
        return ndim

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
        return self.__copy__()

    def sum(self, axis: Any = None, *, keepdims: bool = False, **others: Any) -> Any:
        """`numpy.sum`, over all axes or the first."""
        over_all = self._is_of_all(axis)
        if not (over_all or axis in (0, (0,))) or others:
            raise refused()
        axes = None if over_all else tuple(range(self.mask.ndim))
        total = np.add.reduce(np.where(self.chosen, self.whole, 0), axis=axes)
        if not keepdims:
            return total
        return np.reshape(total, (1,) * self.ndim if over_all else (1, *self.shape[1:]))

    def mean(self, axis: Any = None, **others: Any) -> Any:
        """`numpy.mean`, over all axes or the first."""
        if self.dtype.kind not in "fc" or self.dtype.itemsize == 2:
            raise refused()
        return self.sum(axis, **others) / (self.size if self._is_of_all(axis) else self.shape[0])

    def _is_of_all(self, axis: Any) -> bool:
        """Tell whether an axis, or several, are all that there are."""
        axes = axis if isinstance(axis, (tuple, list)) else (axis,)
        return axis is None or sorted(each % self.ndim for each in axes) == list(range(self.ndim))

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
                result = fit_in_place(self._elementwise(ufunc, inputs, {}), self)
                self.whole, self.is_filled = result.whole, result.is_filled
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
            return getattr(self, function.__name__)
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
        """Call a function of entries of this mask, and of what is the same for each."""
        given = [x for x in (*args, *kwargs.values()) if type(x) is Selected]
        others = [x for x in (*args, *kwargs.values()) if type(x) is not Selected]
        if not all(self.is_of(x.mask) and x.ndim == self.ndim for x in given):
            raise refused()
        if any(np.ndim(x) > self.ndim or (np.ndim(x) == self.ndim and x.shape[0] != 1) for x in others):
            raise refused()
        if function not in CALM:
            for x in given:
                x._fill()
        options = {name: self._aligned(x) for name, x in kwargs.items()}
        whole = function(*map(self._aligned, args), **options)
        is_filled = all(x.is_filled for x in given)
        if isinstance(whole, tuple):
            return tuple(Selected(each, self.mask, is_filled) for each in whole)
        return Selected(whole, self.mask, is_filled)

    def _aligned(self, x: Any) -> Any:
        """Return an argument such that it is broadcast against a whole."""
        return _whole_of(x) if np.ndim(x) < self.ndim or type(x) is Selected else np.reshape(x, x.shape[1:])

    def _fill(self) -> None:
        """Put the first entry that is selected where none is, so that a function warns of no entries but these."""
        if self.whole.size and not self.is_filled:
            first = np.argmax(self.mask)
            filler = getitem(np.reshape(self.whole, (-1, *self.shape[1:])), first)
            filler = np.where(np.ravel(self.mask)[first], filler, self.dtype.type(1))
            self.whole = np.where(self.chosen, self.whole, filler)
        self.is_filled = True


def _whole_of(x: Any) -> Any:
    return x.whole if type(x) is Selected else x
