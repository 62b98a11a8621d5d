"""The results of a traced function: what it returns and leaves outside, with nodes in the places of arrays."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from copy import copy
from types import FunctionType
from typing import Any, NamedTuple

from ...engine.containers import (
    CONTAINERS,
    children_of,
    like,
    map_tree,
    rebuilt,
    with_attributes,
    with_children,
)
from ...engine.tensor import Tensor
from ..ir import Node
from ..tracing.trace import Trace, TracedGenerator
from ..tracing.traced import Traced
from ..where import JitError
from .origin import has_state
from .values import attribute_values, has_results


class Assembled(NamedTuple):
    """A container or an object that is made in each call: ``assemble(empty, parts)``.

    ``empty`` is a copy of it without arrays.
    """

    assemble: Callable[[Any, Any], Any]
    empty: Any
    parts: Any


class PassedThrough(NamedTuple):
    """What the function stores outside itself, not a copy: an argument, or a dict or a list from outside."""

    item: Any


class LeftOutside(NamedTuple):
    """An array, a dict or a list that the function stores outside; those with the same number are one object."""

    value: Any
    number: int


class LeftArrays:
    """Wraps what a function stores outside: arguments, and one object for each array, dict and list that it makes.

    Parameters
    ----------
    trace : Trace
    inputs : dict
        The input of each argument's stand-in, by the ``id`` of the stand-in.
    """

    def __init__(self, trace: Trace, inputs: dict[int, Node]) -> None:
        self.trace, self.inputs = trace, inputs
        self.numbers: dict[int, int] = {}  # by the ``id`` of a stand-in

    def left(self, tree: Any, known: set[int]) -> Any:
        """Return a stored value with its arrays, and the objects that hold arrays, wrapped.

        Objects whose ``id`` is known are not copied.
        """
        x = tree.data if type(tree) is Tensor else tree
        if type(x) is Traced:
            given = x.node if x.node in self.trace.inputs else self.inputs.get(id(x))
            return self.one(x, x) if given is None else PassedThrough(given)
        itself = from_outside(x, known)
        if itself is not None:
            return itself
        if isinstance(x, dict):
            return self.one(x, like(x, {key: self.left(each, known) for key, each in x.items()}))
        if isinstance(x, list):
            return self.one(x, rebuilt(x, [self.left(each, known) for each in x]))
        if isinstance(x, tuple):
            return rebuilt(x, [self.left(each, known) for each in x])
        if type(x) not in CONTAINERS and has_state(x) and has_results(x, known):
            held = {name: each for name, each in attribute_values(x).items() if has_results(each, known)}
            empty = with_attributes(x, dict.fromkeys(held))
            parts = {name: self.left(each, known | {id(x)}) for name, each in held.items()}
            return Assembled(with_attributes, empty, parts)
        return x

    def one(self, x: Any, wrapped: Any) -> LeftOutside:
        """Return a wrapped object with its number."""
        return LeftOutside(wrapped, self.numbers.setdefault(id(x), len(self.numbers)))


def from_outside(x: Any, known: set[int]) -> PassedThrough | None:
    """Return a dict or a list itself, if it is one from outside, whose ``id`` is known; its arrays are set there."""
    return PassedThrough(x) if isinstance(x, (dict, list)) and id(x) in known else None


def nodes_of(trace: Trace, found: list[Any], tree: Any) -> Any:
    """Return a result with nodes in the places of arrays, and append these to ``found``."""
    if type(tree) is PassedThrough:
        found += [tree.item] if type(tree.item) is Node else []
        return tree
    if type(tree) is LeftOutside:
        return LeftOutside(nodes_of(trace, found, tree.value), tree.number)
    if type(tree) is Assembled:
        return tree._replace(parts=nodes_of(trace, found, tree.parts))
    if type(tree) in CONTAINERS:
        empty = map_tree(lambda _, leaf: None, None, tree)
        return Assembled(with_children, empty, nodes_of(trace, found, children_of(tree)))
    if isinstance(tree, dict):
        parts = {key: nodes_of(trace, found, each) for key, each in tree.items()}
        if type(tree) is dict:
            return parts
        empty = copy(tree)
        empty.clear()
        return Assembled(like, empty, parts)
    if isinstance(tree, (list, tuple)):
        return rebuilt(tree, [nodes_of(trace, found, each) for each in tree])
    return result_node(trace, found, tree)


def result_node(trace: Trace, found: list[Any], leaf: Any) -> Any:
    """Return the node of an array in a result; anything else unchanged."""
    if type(leaf) is TracedGenerator:
        raise JitError(
            "jit: a random generator is returned, which the caller has already; leave it out of the result"
        )
    if isinstance(leaf, (Iterator, set, deque, bytearray)):
        raise JitError(f"jit: a {type(leaf).__name__} is returned; return a list, tuple or dict of arrays")
    if isinstance(leaf, FunctionType) and leaf.__closure__:
        raise JitError(
            f"jit: a function is returned, {leaf.__name__}, which was made in the call and may read its arrays; "
            "return the arrays"
        )
    if any(isinstance(x, (Traced, Tensor)) for x in getattr(leaf, "__dict__", {}).values()):
        raise JitError(
            f"jit: a {type(leaf).__name__} is returned, which has arrays; return them nested in dicts, lists and tuples"
        )
    leaf = trace.node_of(leaf.data if type(leaf) is Tensor else leaf)
    found.append(leaf)
    return leaf
