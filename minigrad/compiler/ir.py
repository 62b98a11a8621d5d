"""The program that a compiled function is: calls, in static single assignment, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..engine.arrays import STAND_INS, rebuilt
from ..rules.facts import facts, state
from .where import JitError, user_line


class Node:
    """One recorded call: ``function(*args, **kwargs)``, nodes among the arguments standing for their values.

    An input and a constant have no function.
    """

    __slots__ = ("args", "function", "kwargs", "name", "operands", "value")

    def __init__(
        self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any, name: str = ""
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.value = value
        self.name = name
        self.operands: list[Node] = list(found_in((args, tuple(kwargs.values())), Node))

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


def stand_ins_in(tree: Any) -> Iterator[Any]:
    """Find what stands in for arrays in nested tuples, lists and slices."""
    for kind in STAND_INS:
        yield from found_in(tree, kind)


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to the leaves of nested tuples, lists and slices."""
    if isinstance(tree, (tuple, list)):
        return rebuilt(tree, [mapped(function, each) for each in tree])
    if isinstance(tree, slice):
        return slice(*mapped(function, (tree.start, tree.stop, tree.step)))
    return function(tree)


Nodes = list[Node]
CONSTANT = "constant"
"""The name of a node whose value is the same in every call."""


def constant(value: Any) -> Node:
    """Make the node of a value that is the same in every call."""
    return Node(None, (), {}, value, CONSTANT)


def is_constant(node: Node) -> bool:
    """Tell whether a node's value is the same in every call."""
    return node.function is None and node.name == CONSTANT


def is_kept(node: Node) -> bool:
    """Tell whether a call is neither merged with another nor dropped: it checks, or draws random numbers."""
    return facts(node.function).checks or isinstance(node.function, Draws)


def scalar_of(x: Any) -> float | None:
    """Return the number that an argument is in every call, if it is one of Python's floats."""
    if type(x) in (int, float):
        return float(x)
    if type(x) is Node and is_constant(x) and x.value.ndim == 0 and x.dtype.kind == "f":
        x = x.value[()]
    return float(x) if isinstance(x, np.floating) and float(x) == x else None


def renewed(node: Node, new: Mapping[Node, Node]) -> Node:
    """Return a node with others in place of its operands; itself, if there are none for them."""
    if not any(x in new and new[x] is not x for x in node.operands):
        return node

    def renew(x: Any) -> Any:
        return new.get(x, x) if type(x) is Node else x

    kwargs = {name: mapped(renew, x) for name, x in node.kwargs.items()}
    return Node(node.function, mapped(renew, node.args), kwargs, node.value, node.name)


Rule = Callable[[Node, Node, dict[Node, Node]], "Iterable[Node] | None"]
"""Takes a call, the call with its new operands, and what has become of all calls before; returns the calls that take
its place, the last with its value (or enters another in the dict), or None to keep it."""


def rewritten(nodes: Nodes, results: Nodes, rule: Rule) -> tuple[Nodes, Nodes]:
    """Put other calls in the place of those that a rule has some for."""
    new: dict[Node, Node] = {}
    out: Nodes = []
    for node in nodes:
        made = renewed(node, new)
        calls = [*(rule(node, made, new) or (made,))]
        new.setdefault(node, calls[-1])
        out += [call for call in calls if call.function]
    return list(dict.fromkeys(out)), [new.get(node, node) for node in results]


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


state(part, memory="view")
state(pick, written, added_at, cast, spread, memory="new")


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
