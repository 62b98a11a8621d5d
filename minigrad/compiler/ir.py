"""The intermediate representation: NumPy calls in static single assignment form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..engine.arrays import STAND_INS
from ..engine.containers import rebuilt
from ..rules.facts import facts, state
from ..rules.indexing import add_at
from .where import NeedsValues, user_line


class Node:
    """One recorded call: ``function(*args, **kwargs)``, where nodes among the arguments stand for their values.

    An input and a constant have no function. ``readers`` is set before each pass of rewrites: the calls that read the
    value, with None for a result.
    """

    __slots__ = (
        "args",
        "function",
        "key",
        "kwargs",
        "name",
        "operands",
        "readers",
        "stand_ins",
        "stores",
        "value",
        "views",
    )

    def __init__(
        self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any, name: str = ""
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.value = value
        self.name = name
        self.operands: list[Node] = list(found_in((args, tuple(kwargs.values())), Node))
        self.readers: list[Node | None] = []
        self.key: Any = None
        self.stores: Any = None  # by which an array is made, where they have been looked up
        self.stand_ins = self.views = 0  # in use, while a function is traced; the latter as views of another

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        shape: tuple[int, ...] = getattr(self.value, "shape", ())
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the value; object for anything that is not an array."""
        dtype: np.dtype[Any] = getattr(self.value, "dtype", OBJECT)
        return dtype


OBJECT = np.dtype(object)
NESTED = (tuple, list, slice)


def found_in(tree: Any, kind: type) -> Iterator[Any]:
    """Yield the objects of one type in nested tuples, lists and slices."""
    if type(tree) is kind:
        yield tree
    elif isinstance(tree, (tuple, list)):
        for each in tree:
            if type(each) is kind:
                yield each
            elif isinstance(each, NESTED):
                yield from found_in(each, kind)
    elif isinstance(tree, slice):
        yield from found_in((tree.start, tree.stop, tree.step), kind)


def stand_ins_in(tree: Any) -> Iterator[Any]:
    """Yield the stand-ins for arrays in nested tuples, lists and slices."""
    for kind in STAND_INS:
        yield from found_in(tree, kind)


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to the leaves of nested tuples, lists and slices."""
    if isinstance(tree, (tuple, list)):
        items = [mapped(function, each) if isinstance(each, NESTED) else function(each) for each in tree]
        return rebuilt(tree, items)
    if isinstance(tree, slice):
        return slice(*mapped(function, (tree.start, tree.stop, tree.step)))
    return function(tree)


def values_of(tree: Any) -> Any:
    """Return nested arguments with the values in the places of nodes."""
    return mapped(lambda x: x.value if type(x) is Node else x, tree)


def name_of(f: Callable[..., Any]) -> str:
    """Return a function's name."""
    return getattr(f, "__name__", type(f).__name__)


Nodes = list[Node]


class _Name(str):
    """A name that no argument has, whatever it is called: compared by identity."""

    __slots__ = ()


CONSTANT = _Name("constant")
"""The name of constant nodes."""


def constant(value: Any) -> Node:
    """Return a constant node: its value is the same in every call."""
    return Node(None, (), {}, value, CONSTANT)


def is_constant(node: Node) -> bool:
    """Tell whether a node's value is the same in every call."""
    return node.name is CONSTANT


def is_kept(node: Node) -> bool:
    """Tell whether a call has an effect (a check, a random draw) and so is neither merged nor dropped."""
    return facts(node.function).checks or isinstance(node.function, Draws)


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
    """Return ``a`` with a value added at an index; repeated indices accumulate."""
    out = np.array(a)
    add_at(out, index, value)
    return out


def cast(a: Any, dtype: Any, casting: Any = "unsafe") -> Any:
    """Return ``a`` in another dtype."""
    return a.astype(dtype, casting=casting)


state(part, memory="view")
state(pick, written, added_at, cast, memory="new")


class Draws:
    """A method of a random generator, called on the generator."""

    __slots__ = ("__name__",)

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, rng: np.random.Generator, *args: Any, **kwargs: Any) -> Any:
        """Draw an array."""
        drawn = getattr(rng, self.__name__)(*args, **kwargs)
        if isinstance(drawn, (int, float)):
            raise NeedsValues(
                f"{user_line()}: {self.__name__} without a size gives a Python number, which would be frozen at its "
                "value in this call; draw an array of no axes, size=()"
            )
        return drawn

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Draws) and other.__name__ == self.__name__

    def __hash__(self) -> int:
        return hash(self.__name__)
