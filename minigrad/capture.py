"""Capture: run a function of arrays once, and write down every NumPy call it makes.

`Traced` stands in for an array. It has the array's values, so that a function runs on it as it would on the
array, and it records the calls: those of the function itself, and, where the function differentiates
(`grad`, `Tensor.backward`), those of the backward pass, since rules and layers are NumPy. The record is in
static single assignment: writing into an array makes a new node, and whoever read the old one keeps it.
"""

from __future__ import annotations

import dis
import inspect
import math
import operator
import os.path
import sys
import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from functools import lru_cache
from itertools import pairwise
from types import CodeType, FrameType, FunctionType
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .rules.elementwise import astype
from .rules.indexing import getitem, setitem
from .rules.table import WHOLE, any_true


class JitError(TypeError):
    """What a compiled function cannot do: the message names the line, and what to write instead."""


class Node:
    """One recorded call: ``function(*args, **kwargs)``, nodes among the arguments standing for their values.

    An input and a constant have no function.
    """

    __slots__ = ("args", "function", "kwargs", "name", "value")

    def __init__(
        self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any, name: str = ""
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.value = value
        self.name = name

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        shape: tuple[int, ...] = getattr(self.value, "shape", ())
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the value; that of objects, for what is no array."""
        dtype: np.dtype[Any] = getattr(self.value, "dtype", OBJECT)
        return dtype

    def operands(self) -> list[Node]:
        """Return the nodes among the arguments, in order."""
        return list(found_in((self.args, tuple(self.kwargs.values())), Node))


OBJECT = np.dtype(object)


def found_in(tree: Any, kind: type) -> Iterator[Any]:
    """Find what is of a type, nodes or traced arrays, in nested tuples, lists and slices."""
    if type(tree) is kind:
        yield tree
    elif isinstance(tree, (tuple, list)):
        for each in tree:
            yield from found_in(each, kind)
    elif isinstance(tree, slice):
        yield from found_in((tree.start, tree.stop, tree.step), kind)


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to the leaves of nested tuples, lists and slices."""
    if isinstance(tree, (tuple, list)):
        return rebuilt(tree, [mapped(function, each) for each in tree])
    if isinstance(tree, slice):
        return slice(*mapped(function, (tree.start, tree.stop, tree.step)))
    return function(tree)


def rebuilt(tree: Any, items: list[Any]) -> Any:
    """Return a tuple, named or not, or a list of the tree's own type, with other items."""
    return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)


# The calls that NumPy has no function for. Each is one node, and computes its value from its arguments' values.


def part(a: Any, index: Any) -> Any:
    """Return the view ``a[index]``."""
    return a[index]


def pick(a: Any, index: Any) -> Any:
    """Return the copy ``a[index]``, where the index has arrays."""
    return a[index]


def written(a: Any, index: Any, value: Any) -> Any:
    """Return ``a`` with a value written at an index."""
    out = np.array(a)
    out[index] = value
    return out


def added_at(a: Any, index: Any, value: Any) -> Any:
    """Return ``a`` with a value added at an index, as often as the index has it."""
    out = np.array(a)
    np.add.at(out, index, value)
    return out


def cast(a: Any, dtype: Any, casting: Any = "unsafe") -> Any:
    """Return ``a`` in another dtype."""
    return a.astype(dtype, casting=casting)


def spread(a: Any, shape: tuple[int, ...]) -> Any:
    """Return a copy of ``a``, broadcast to a shape."""
    return np.array(np.broadcast_to(a, shape))


class Draws:
    """A method of a random generator, called on the generator."""

    __slots__ = ("__name__",)

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, rng: np.random.Generator, *args: Any, **kwargs: Any) -> Any:
        """Draw an array."""
        drawn = getattr(rng, self.__name__)(*args, **kwargs)
        if isinstance(drawn, (int, float)):
            raise JitError(
                f"{user_line()}: {self.__name__} without a size gives a Python number, which would be frozen at its "
                "value in this call; draw an array of no axes, size=()"
            )
        return drawn

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Draws) and other.__name__ == self.__name__

    def __hash__(self) -> int:
        return hash(self.__name__)


class TracedGenerator:
    """A random generator in a function that is being captured: what is drawn is recorded."""

    def __init__(self, trace: Trace, node: Node) -> None:
        self._traced = Traced(trace, node)

    def __getattr__(self, name: str) -> Any:
        if name in ("bit_generator", "shuffle", "spawn") or name.startswith("_"):
            raise JitError(
                f"{user_line()}: {name.strip('_')} of a random generator is not captured; draw arrays"
            )
        return lambda *args, **kwargs: self._drawn(name, args, kwargs)

    def _drawn(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        drawn = self._traced.trace.record(Draws(name), self._traced, *args, **kwargs)
        given = list(found_in(args, Traced))
        if _has_traced(kwargs.get("size")):
            raise _shape_error(f"{name} with the size", OPTION)
        integers = "size" not in kwargs and any(x.dtype.kind in "iu" for x in given)
        if integers and drawn.shape != np.broadcast_shapes(*[x.shape for x in given]):
            raise _shape_error(
                f"{name} with what may be the size", "name the size, size=(…), of Python numbers"
            )
        return drawn


class Trace:
    """The nodes of one run, in order.

    A run can be gone through again: it then must make the same calls, or it depends on more than its arguments
    (random numbers, the time, something that it changes itself).
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.inputs: list[Node] = []
        self.constants: dict[int, tuple[Node, int]] = {}
        self.again: Iterator[Node] | None = None
        self.error = ""  # what the last call that failed raised, and where

    def input(self, value: Any, name: str) -> Node:
        """Make the node of an argument."""
        node = Node(
            None,
            (),
            {},
            deepcopy(value) if isinstance(value, np.random.Generator) else unwritable(value),
            name,
        )
        self.inputs.append(node)
        return node

    def stand_in(self, node: Node) -> Traced | TracedGenerator:
        """Make what the function gets for an argument."""
        return (
            TracedGenerator(self, node) if isinstance(node.value, np.random.Generator) else Traced(self, node)
        )

    def record(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function; return its result as traced arrays."""
        nodes = mapped(self.node_of, args)
        options = {name: mapped(self.node_of, x) for name, x in kwargs.items()}
        if self.again is not None:
            node = next(self.again, None)
            if (
                node is None
                or node.function != function
                or not same((nodes, options), (node.args, node.kwargs))
            ):
                if next(found_in((nodes, tuple(options.values())), FunctionType), None) is not None:
                    raise JitError(
                        f"{user_line()}: {function.__name__} is given a function made in this one, which is not "
                        "captured; write it as NumPy's calls on whole arrays (np.where, np.select)"
                    )
                if self.error:
                    raise JitError(
                        f"{self.error}, which the function caught; a compiled one cannot choose by it"
                    )
                raise JitError(
                    f"{user_line()}: run twice on the same arguments, the function made different calls here; give "
                    "what it depends on (random numbers, a counter, the time) as an argument, a random generator too"
                )
            return self._traced(node)
        try:
            value = function(*mapped(_value, args), **{name: mapped(_value, x) for name, x in kwargs.items()})
        except Exception as error:
            self.error = (
                f"{user_line()}: {getattr(function, '__name__', function)} raised {type(error).__name__}"
            )
            if not isinstance(error, ValueError) or "read-only" not in str(error):
                raise
            raise JitError(
                f"{user_line()}: {getattr(function, '__name__', function)} writes into an array it is given, which is "
                "not captured; write x[index] = value, or x[...] = value"
            ) from None
        node = Node(function, nodes, options, value, assigned_name())
        if isinstance(value, (tuple, list)):
            items = [Node(operator.getitem, (node, i), {}, unwritable(x)) for i, x in enumerate(value)]
            node.value = rebuilt(value, items)
            self.nodes += [node, *items]
            return self._traced(node)
        if not isinstance(value, (np.ndarray, np.generic)):
            raise JitError(
                f"{user_line()}: {getattr(function, '__name__', function)} of an array gives a {type(value).__name__}, "
                "which would be frozen at its value in this call; use a function that gives an array"
            )
        node.value = unwritable(value)
        self.nodes.append(node)
        return Traced(self, node)

    def _traced(self, node: Node) -> Any:
        if isinstance(node.value, (tuple, list)):
            return rebuilt(node.value, [Traced(self, item) for item in node.value])
        return Traced(self, node)

    def node_of(self, x: Any) -> Any:
        """Return what stands for an argument in the record: the node of an array, anything else as it is."""
        if type(x) is Traced:
            if x.trace is not self and x.node not in self.inputs:
                raise JitError(
                    f"{user_line()}: an array was kept from another call of a compiled function; return it there"
                )
            return x.node
        if not isinstance(x, np.ndarray) or self.again is not None:
            return x
        if id(x) not in self.constants:
            self.constants[id(x)] = Node(None, (), {}, x), fingerprint(x)
        return self.constants[id(x)][0]


def same(x: Any, recorded: Any) -> bool:
    """Tell whether an argument is what it was when the call was recorded.

    Raises
    ------
    JitError
        If it is an array that was there before.
    """
    if isinstance(x, (tuple, list)):
        return type(recorded) is type(x) and len(x) == len(recorded) and all(map(same, x, recorded))
    if isinstance(x, dict):
        return x.keys() == recorded.keys() and all(same(x[name], recorded[name]) for name in x)
    if isinstance(x, slice):
        return isinstance(recorded, slice) and same(
            (x.start, x.stop, x.step), (recorded.start, recorded.stop, recorded.step)
        )
    if isinstance(x, np.ndarray):
        value = recorded.value if type(recorded) is Node else None
        if type(value) is not np.ndarray:
            return False
        if np.may_share_memory(x, value):  # what the function makes itself, it made anew
            raise JitError(
                f"{user_line()}: an array of shape {x.shape} comes from outside of the function; make it an argument, "
                "or a change to it would not be seen"
            )
        return (value.shape, value.dtype) == (x.shape, x.dtype) and value.tobytes() == x.tobytes()
    return x is recorded or (type(x) is type(recorded) and bool(x == recorded or x != x))


def unwritable(value: Any) -> Any:
    """Return a view of an array that no call can write to unseen."""
    if isinstance(value, np.ndarray):
        value = value.view()
        value.flags.writeable = False
    return value


def fingerprint(array: Any) -> int:
    """Return a number that tells whether an array's contents have changed."""
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def as_array(x: Any) -> Any:
    """Return `numpy.asarray` of x; an array that is captured as it is."""
    return x if type(x) is Traced else np.asarray(x)


def _value(x: Any) -> Any:
    return x.node.value if type(x) is Traced else x


def _refuse(what: str, instead: str) -> Callable[..., Any]:
    """Make the method of something that would need the value of an array while the function is captured."""

    def method(self: Traced, *args: Any, **kwargs: Any) -> Any:
        raise JitError(
            f"{user_line()}: {what} needs the values of an array of shape {self.shape}, which the compiled function "
            f"has not yet; {instead}"
        )

    return method


def _augmented(ufunc: Any) -> Callable[[Traced, Any], Any]:
    """Make the method of an augmented assignment."""

    def method(self: Traced, other: Any) -> Any:
        if isinstance(self.node.value, np.generic):
            return ufunc(self, other)
        return ufunc(self, other, out=(self,))

    return method


def _has_traced(tree: Any) -> bool:
    return next(found_in(tree, Traced), None) is not None


def _shape_error(what: str, instead: str) -> JitError:
    return JitError(
        f"{user_line()}: {what} from the values of an array gives an array whose shape depends on them, which a "
        f"compiled function cannot; {instead}"
    )


def _refuse_shapes(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse a call of a NumPy function the shape of whose result depends on the values of arrays."""
    if function in OF_VALUES or (function is np.where and len(args) + len(kwargs) == 1):
        raise _shape_error(
            f"{function.__name__}, computed",
            "choose by np.where(condition, a, b), multiply by a mask, or call it outside",
        )
    given: Iterable[tuple[str, Any]] = kwargs.items()
    if len(args) > 1:
        given = [*zip(_parameters(function), args, strict=False), *given]
    for name, x in given:
        if name in SHAPING and any(name != "bins" or not each.ndim for each in found_in(x, Traced)):
            raise _shape_error(f"{function.__name__} with {name}", OPTION)


@lru_cache
def _parameters(function: Any) -> tuple[str, ...]:
    """Return the names of a function's parameters; none, if it does not tell, as some of NumPy 1.26's."""
    try:
        return tuple(inspect.signature(function).parameters)
    except ValueError:
        return ()


BRANCH = "choose by np.where(condition, a, b), or give what decides as a Python number, an option of the call"
OPTION = "give it as a Python number, an option of the call"
MASK = "choose by np.where(mask, a, b), or multiply by the mask"
NUMBER = "keep the array: NumPy computes with it as with a number"
ARRAY = "keep the array, and call NumPy's functions on it"


class Traced(NDArrayOperatorsMixin):
    """An array in a function that is being captured: NumPy's calls on it are recorded."""

    __slots__ = ("__weakref__", "base", "node", "trace", "views")

    def __init__(self, trace: Trace, node: Node, base: Traced | None = None) -> None:
        self.trace = trace
        self.node = node
        self.base = base
        self.views: list[weakref.ref[Traced]] = []
        if base is not None:
            base.views.append(weakref.ref(self))

    @property
    def owner(self) -> Traced:
        """The array whose memory this one views, or this one."""
        return self if self.base is None else self.base

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """What isinstance takes it for: an array, or one of NumPy's numbers."""
        return type(self.node.value)

    def __copy__(self) -> Traced:
        return Traced(self.trace, self.node)

    def __deepcopy__(self, memo: dict[int, Any]) -> Traced:
        return Traced(self.trace, self.node)

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
    def strides(self) -> tuple[int, ...]:
        """The strides of the array that was captured."""
        strides: tuple[int, ...] = self.node.value.strides
        return strides

    @property
    def T(self) -> Any:
        """The array with its axes in reverse."""
        return self.transpose()

    def __len__(self) -> int:
        return len(self.node.value)

    def __iter__(self) -> Iterator[Traced]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Traced(shape={self.shape}, dtype={self.dtype})"

    __hash__ = object.__hash__

    __bool__ = _refuse("a condition (if, while, and, or, not)", BRANCH)
    __float__ = _refuse("float()", NUMBER)
    __int__ = _refuse("int()", NUMBER)
    __complex__ = _refuse("complex()", NUMBER)
    __index__ = _refuse(
        "an index, or range()", "index by the array, or give the number as an option of the call"
    )
    __array__ = _refuse("np.asarray(), or a plain array that is to hold it,", ARRAY)
    __contains__ = _refuse("in", BRANCH)
    item = _refuse("item()", NUMBER)
    tolist = _refuse("tolist()", NUMBER)

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
        trace = self.trace
        if not ABOVE.isdisjoint(map(type, inputs)):
            return NotImplemented
        if "where" in kwargs:
            raise JitError(f"{user_line()}: {ufunc.__name__} with where= is not captured; use np.where")
        if _has_traced(kwargs.get("axis")):
            raise _shape_error(f"{ufunc.__name__}.{method} with axis", OPTION)
        lists = ufunc is np.multiply and {list, tuple} & set(map(type, inputs))
        if lists and any(isinstance(_value(x), np.integer) for x in inputs):
            raise _shape_error("a list repeated", OPTION)
        if method == "at":
            if ufunc is not np.add or type(inputs[0]) is not Traced:
                raise JitError(
                    f"{user_line()}: {ufunc.__name__}.at is captured for np.add.at(array, …) alone"
                )
            return inputs[0].become(trace.record(added_at, *inputs))
        if out is not None and (len(out) != 1 or type(out[0]) is not Traced):
            raise JitError(
                f"{user_line()}: {ufunc.__name__} with out= writes into an array made outside of NumPy's calls; "
                "use the result, or start from np.zeros_like(x)"
            )
        squared = ufunc is np.power and method == "__call__" and type(inputs[1]) is int and inputs[1] == 2
        if squared and isinstance(_value(inputs[0]), np.ndarray):  # of a scalar, NumPy 1.26 makes a float64
            ufunc, inputs = np.square, inputs[:1]  # as array ** 2
        result = trace.record(ufunc if method == "__call__" else getattr(ufunc, method), *inputs, **kwargs)
        if out is None:
            return result
        return out[0].become(result) if method == "__call__" else _put(ufunc.__name__, result, out[0])

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if not ABOVE.isdisjoint(types):
            return NotImplemented
        out = kwargs.pop("out", None)
        _refuse_shapes(function, args, kwargs)
        if function in CALLS:
            try:
                result = CALLS[function](self.trace, *args, **kwargs)
            except TypeError as error:
                if type(error) is TypeError and error.__traceback__ and error.__traceback__.tb_next is None:
                    raise JitError(
                        f"{user_line()}: {function.__name__} is not captured so: {error}"
                    ) from None
                raise
        elif function in SHAPES:
            return function(*mapped(_value, args), **kwargs)
        elif function in WHOLE:
            result = self.trace.record(WHOLE[function], *args, **kwargs)
        elif getattr(function, "__module__", "").startswith("minigrad."):
            result = function.__wrapped__(*args, **kwargs)
        else:
            result = _perhaps_a_view(self.trace, function, *args, **kwargs)
        if out is None:
            return result
        return _put(function.__name__, result, out)

    # -- reading and writing parts -----------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> Any:
        return _read(self.trace, self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.become(self.trace.record(written, self, index, value))

    def become(self, value: Traced) -> Traced:
        """Take the value of another in place: of this one's shape, cast to its dtype."""
        if self.base is not None or any(view() is not None for view in self.views):
            raise JitError(
                f"{user_line()}: an array is written to of which a view is in use, or which is a view itself; write "
                "x[i] = x[i] + 1 in place of x[i] += 1, or to a copy, x.copy()"
            )
        if value.dtype != self.dtype:
            if not np.can_cast(value.dtype, self.dtype, "same_kind"):
                raise TypeError(f"{user_line()}: cannot write {value.dtype} into an array of {self.dtype}")
            value = self.trace.record(cast, value, self.dtype)
        if value.shape != self.shape:
            value = self.trace.record(np.copy, np.broadcast_to(value, self.shape))
        if isinstance(self.node.value, np.ndarray) and not isinstance(value.node.value, np.ndarray):
            value = self.trace.record(np.copy, value)  # an array of no axes stays one
        self.node = value.node
        return self

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
        return self.trace.record(cast, self, np.dtype(dtype), casting)

    def clip(self, min: Any = None, max: Any = None, **others: Any) -> Any:
        """`numpy.clip`."""
        return np.clip(self, min, max, **others)

    def flatten(self, order: Any = "C") -> Any:
        """Return a copy with one axis."""
        return np.ravel(self.copy(), order)

    def __round__(self, ndigits: int | None = None) -> Any:
        """Round a number to decimals, as NumPy's numbers do; to none, they become Python's."""
        if ndigits is None or not isinstance(self.node.value, np.generic):
            return self.__int__()
        return np.round(self, ndigits)

    def fill(self, value: Any) -> None:
        """Write a value into every entry."""
        self[...] = value

    def __getattr__(self, name: str) -> Any:
        """Find the method that is a NumPy function of the array."""
        if name not in METHODS:
            raise AttributeError(f"{user_line()}: an array that is captured has no {name!r}")
        function = getattr(np, name)
        return lambda *args, **kwargs: function(self, *args, **kwargs)


ABOVE: set[type] = set()
"""Types that hold arrays, traced ones too, and to which NumPy's calls go first: tensors."""
METHODS = frozenset(
    {"all", "any", "argmax", "argmin", "argsort", "copy", "cumprod", "cumsum", "diagonal", "dot"}
)
METHODS |= {
    "max",
    "mean",
    "min",
    "prod",
    "ravel",
    "repeat",
    "round",
    "squeeze",
    "std",
    "sum",
    "swapaxes",
    "take",
    "trace",
}
METHODS |= {"var"}
SHAPING = frozenset({"axes", "axis", "axis1", "axis2", "bins", "destination", "indices_or_sections", "k"})
SHAPING |= {
    "M",
    "N",
    "minlength",
    "n",
    "new_shape",
    "newshape",
    "num",
    "obj",
    "offset",
    "pad_width",
    "repeats",
}
SHAPING |= {"reps", "s", "shape", "source", "window_shape"}
"""Parameters of NumPy's functions on whose values the result's shape depends."""
OF_VALUES = frozenset({np.argwhere, np.bincount, np.compress, np.extract, np.flatnonzero, np.intersect1d})
OF_VALUES |= {
    np.linalg.lstsq,
    np.nonzero,
    np.roots,
    np.setdiff1d,
    np.setxor1d,
    np.trim_zeros,
    np.union1d,
    np.unique,
}
OF_VALUES |= {getattr(np, f"unique_{name}", np.unique) for name in ("all", "counts", "inverse", "values")}
"""Functions the shape of whose result depends on values."""
SHAPES = frozenset({np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.iscomplexobj, np.isrealobj})
"""Functions that read no more than shape and dtype, which a compiled function knows."""


def _put(name: str, result: Any, out: Any) -> Traced:
    """Put a result into an array, as NumPy does but for its ufuncs, which broadcast and cast it."""
    if type(out) is not Traced or out.dtype != result.dtype:
        raise JitError(
            f"{user_line()}: {name} with out= writes into an array made outside, or of another dtype than "
            f"{result.dtype}; use the result"
        )
    if out.shape != result.shape:
        raise ValueError(
            f"{user_line()}: {name} of shape {result.shape} does not fit into out of shape {out.shape}"
        )
    return out.become(result)


def _has_arrays(index: Any) -> bool:
    """Tell whether reading at an index makes a copy; at a NumPy integer it is a view, as at Python's."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(_value(each), (np.ndarray, list, tuple, range, bool, np.bool_)) for each in parts)


def _read(trace: Trace, a: Any, index: Any) -> Any:
    """Record the reading of a part."""
    if any(x.dtype == bool for x in found_in(index, Traced)):
        raise _shape_error("reading by a mask", MASK)
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(each, slice) and _has_traced(each) for each in parts):
        raise _shape_error(
            "a slice", f"{OPTION}, or index by an array of a shape that is known, start + np.arange(3)"
        )
    return trace.record(pick, a, index) if _has_arrays(index) else _view(trace, part, a, index)


def _view(trace: Trace, function: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Record a call that views its array, if it does."""
    result = trace.record(function, x, *args, **kwargs)
    if type(x) is Traced and isinstance(_value(x), np.ndarray) and isinstance(_value(result), np.ndarray):
        return Traced(trace, result.node, x.owner)
    return result


def _perhaps_a_view(trace: Trace, function: Any, *args: Any, **kwargs: Any) -> Any:
    """Record a call of which we do not know whether its results view an argument."""
    results = trace.record(function, *args, **kwargs)
    several = isinstance(results, (tuple, list))
    given = list(found_in((args, tuple(kwargs.values())), Traced))
    found = []
    for result in results if several else [results]:
        bases = [x for x in given if np.may_share_memory(_value(x), _value(result))]
        found.append(Traced(trace, result.node, bases[0].owner) if bases else result)
    return rebuilt(results, found) if several else found[0]


def _reduction(ufunc: Any, function: Any) -> Callable[..., Any]:
    """Record a NumPy function that is a ufunc's reduction as that, and with options of its own as it is."""

    def call(trace: Trace, a: Any, axis: Any = None, *more: Any, **others: Any) -> Any:
        if more or others.keys() - {"keepdims"}:
            return trace.record(function, a, axis, *more, **others)
        return trace.record(ufunc.reduce, a, axis=axis, keepdims=bool(others.get("keepdims", False)))

    return call


def _mean(trace: Trace, a: Any, axis: Any = None, *more: Any, **others: Any) -> Any:
    """Record a mean as a sum and a division, which is what NumPy does."""
    if more or others.keys() - {"keepdims"} or a.dtype.kind != "f" or a.dtype.itemsize < 4:
        return trace.record(np.mean, a, axis, *more, **others)
    total = trace.record(np.add.reduce, a, axis=axis, keepdims=bool(others.get("keepdims", False)))
    count = a.size // total.size if total.size else max(a.size, 1)
    return trace.record(np.divide, total, a.dtype.type(count))


def _reshape(
    trace: Trace, a: Any, shape: Any = None, order: Any = "C", *, newshape: Any = None, copy: Any = None
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


def _ravel(trace: Trace, a: Any, order: Any = "C") -> Any:
    return _reshape(trace, a, -1 if a.size else 0, order)


def _rearranged(function: Any) -> Callable[..., Any]:
    """Record a permutation of axes as np.transpose."""

    def call(trace: Trace, a: Any, *args: Any, **kwargs: Any) -> Any:
        axes = np.arange(a.ndim)
        lengths = np.broadcast_to(np.int8(0), tuple(axes + 1))
        order = [n - 1 for n in function(lengths, *args, **kwargs).shape]
        return _view(trace, np.transpose, a, tuple(order))

    return call


def _reshaped(function: Any) -> Callable[..., Any]:
    """Record a change of shape alone as np.reshape."""

    def call(trace: Trace, a: Any, *args: Any, **kwargs: Any) -> Any:
        shape = function(np.broadcast_to(np.int8(0), a.shape), *args, **kwargs).shape
        return _reshape(trace, a, shape)

    return call


def _full_like(
    trace: Trace,
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: Any = "K",
    subok: bool = True,
    shape: Any = None,
    device: Any = None,
) -> Any:
    return trace.record(np.full, np.shape(a) if shape is None else shape, fill_value, dtype=dtype or a.dtype)


def _filled(value: int) -> Callable[..., Any]:
    return lambda trace, a, *args, **kwargs: _full_like(trace, a, value, *args, **kwargs)


CALLS: dict[Any, Callable[..., Any]] = {
    np.sum: _reduction(np.add, np.sum),
    np.prod: _reduction(np.multiply, np.prod),
    np.max: _reduction(np.maximum, np.max),
    np.amax: _reduction(np.maximum, np.max),
    np.min: _reduction(np.minimum, np.min),
    np.amin: _reduction(np.minimum, np.min),
    np.mean: _mean,
    np.reshape: _reshape,
    np.transpose: _rearranged(np.transpose),
    np.swapaxes: _rearranged(np.swapaxes),
    np.moveaxis: _rearranged(np.moveaxis),
    np.ravel: _ravel,
    np.expand_dims: _reshaped(np.expand_dims),
    np.squeeze: _reshaped(np.squeeze),
    np.broadcast_to: lambda trace, array, shape: _view(trace, np.broadcast_to, array, shape),
    np.copy: lambda trace, a, order="K": trace.record(np.copy, a),
    np.flip: lambda trace, m, axis=None: _view(trace, np.flip, m, axis),
    np.zeros_like: _filled(0),
    np.ones_like: _filled(1),
    np.empty_like: _filled(0),
    np.full_like: _full_like,
    getitem: _read,
    setitem: lambda trace, a, value, index: trace.record(written, a, index, value),
    astype: lambda trace, x, dtype, casting="unsafe": trace.record(cast, x, np.dtype(dtype), casting),
    any_true: lambda trace, mask: True,
}
"""How NumPy's functions are recorded, where not as they are called."""


# Where in a person's code


OURS = os.path.dirname(__file__)
NUMPY = os.path.dirname(np.__file__)


ENGINE = (
    NUMPY,
    *(os.path.join(OURS, name) for name in ("capture.py", "functional.py", "rules", "tape.py", "tensor.py")),
)
"""Code whose own variables do not say what a value is: all that is ours but the layers."""


def frame_outside(folders: tuple[str, ...]) -> FrameType | None:
    """Return the innermost frame whose code is in none of the folders or files."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(folders):
        frame = frame.f_back
    return frame


def user_line() -> str:
    """Return the file and line of a person's code that is being run."""
    frame = frame_outside((OURS, NUMPY, deepcopy.__code__.co_filename))
    return "jit" if frame is None else f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def assigned_name() -> str:
    """Return the name of the variable that the result of the call being run is assigned to; or nothing."""
    frame = frame_outside(ENGINE)
    return "" if frame is None else _assignments(frame.f_code).get(frame.f_lasti, "")


@lru_cache
def _assignments(code: CodeType) -> dict[int, str]:
    """Return which variable the result of the instruction at an offset is stored to, right after it."""
    instructions = list(dis.get_instructions(code))
    at = {instruction.offset: instruction for instruction in instructions}
    found = {}
    for before, after in pairwise(instructions):
        stored = at[after.argval] if after.opname == "JUMP_FORWARD" else after
        if stored.opname.startswith("STORE_") and stored.opname not in ("STORE_SUBSCR", "STORE_ATTR"):
            name = stored.argval[0] if isinstance(stored.argval, tuple) else stored.argval
            found.update(
                dict.fromkeys(range(before.offset, after.offset, 2), str(name))
            )  # its caches included
    return found
