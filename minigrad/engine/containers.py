"""Nested arguments and results: dicts, lists, tuples, and classes that are registered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from numbers import Number
from typing import Any

import numpy as np

from .arguments import names_itself
from .arrays import TOO_DEEP


def rebuilt(tree: Any, items: list[Any]) -> Any:
    """Return a tuple, named or not, or a list of the tree's own type, with other items."""
    return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)


def plain_sequence(like: Any, items: Iterable[Any]) -> Any:
    """Return items in a plain list or tuple, as which NumPy takes one of a subclass."""
    return list(items) if isinstance(like, list) else tuple(items)


def map_tree(function: Callable[[Any, Any], Any], shared: Any, tree: Any) -> Any:
    """Apply ``function(shared, leaf)`` to each leaf of nested dicts, lists, tuples and registered containers."""
    try:
        if isinstance(tree, dict):
            mapped = {
                key: function(shared, each) if type(each) is np.ndarray else map_tree(function, shared, each)
                for key, each in tree.items()
            }
            return mapped if type(tree) is dict else like(tree, mapped)
        if isinstance(tree, (list, tuple)):
            return rebuilt(tree, [map_tree(function, shared, each) for each in tree])
        if type(tree) in CONTAINERS:
            return with_children(tree, map_tree(function, shared, children_of(tree)))
        return function(shared, tree)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def leaves_of(tree: Any) -> list[Any]:
    """Return the leaves of nested containers, in order."""
    leaves: list[Any] = []
    map_tree(list.append, leaves, tree)
    return leaves


def rebuilt_of(tree: Any, leaves: Iterable[Any]) -> Any:
    """Return nested containers like the tree's, with other leaves."""
    return map_tree(next, iter(leaves), tree)


def leaves_like(tree: Any, other: Any, what: str) -> list[Any]:
    """Return the leaves of nested containers in the order of a tree's: those of dicts by their keys.

    Raises
    ------
    ValueError
        If other is not nested as the tree is; ``what`` names it in the message.
    """
    inside, other_inside = inside_of(tree), inside_of(other)
    if isinstance(inside, dict) and isinstance(other_inside, dict):
        if inside.keys() != other_inside.keys():
            raise ValueError(f"{what} has the keys {[*other_inside]}; expected {[*inside]}")
        return [leaf for key in inside for leaf in leaves_like(inside[key], other_inside[key], what)]
    if isinstance(inside, (list, tuple)) and isinstance(other_inside, (list, tuple)):
        if len(inside) != len(other_inside):
            raise ValueError(f"{what} has {len(other_inside)} entries; expected {len(inside)}")
        pairs = zip(inside, other_inside, strict=True)
        return [leaf for part, other_part in pairs for leaf in leaves_like(part, other_part, what)]
    if isinstance(inside, (dict, list, tuple)) or isinstance(other_inside, (dict, list, tuple)):
        raise ValueError(f"{what} is a {type(other).__name__}; expected a {type(tree).__name__}")
    return [other]


def inside_of(x: Any) -> Any:
    """Return the children of a registered container; anything else unchanged."""
    return children_of(x) if type(x) in CONTAINERS else x


BUILT_IN = (np.ndarray, np.generic, Number, str, bytes, type(None), dict, list, tuple)
"""Classes whose instances are leaves, or containers that need not be registered."""

CONTAINERS: dict[type, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {}
"""Registered containers: how to read their children, and how to make a copy with others."""


def children_of(x: Any) -> Any:
    """Return the children of a registered container, in a dict, list or tuple."""
    return CONTAINERS[type(x)][0](x)


def with_children(x: Any, new: Any) -> Any:
    """Return a registered container like x with other children."""
    return CONTAINERS[type(x)][1](x, new)


def entries_of(x: Any) -> dict[Any, Any] | None:
    """Return the entries of a container, by key or index, in a new dict; None for a leaf."""
    inside = inside_of(x)
    if isinstance(inside, dict):
        return dict(inside)
    if isinstance(inside, (list, tuple)):
        return dict(enumerate(inside))
    return None if inside is x else {0: inside}


@names_itself
def register_container(
    kind: type,
    children: Callable[[Any], Any] | None = None,
    rebuild: Callable[[Any, Any], Any] | None = None,
) -> type:
    """Let instances of a class be nested arguments and results, as dicts, lists and tuples are.

    Parameters
    ----------
    kind : type
        The class; instances of its subclasses are not included. Without the two functions it must be a dataclass,
        whose fields are its children.
    children : callable, optional
        ``children(x)`` returns the children of an instance in a dict, list or tuple: arrays, or containers of them.
    rebuild : callable, optional
        ``rebuild(x, new)`` returns an instance like x with other children, nested as ``children(x)`` is.

    Returns
    -------
    type
        The class: so it decorates a dataclass, ``@mg.register_container`` above ``@dataclass``.

    Raises
    ------
    TypeError
        If ``kind`` is no class, or no dataclass and the functions are missing; or if it is a class of arrays or
        numbers, or of dicts, lists and tuples.
    """
    if not isinstance(kind, type):
        raise TypeError(f"register_container: got {kind!r}; expected a class")
    if issubclass(kind, BUILT_IN):
        raise TypeError(
            f"register_container: {kind.__name__} is a class of arrays, numbers, texts, dicts, lists or tuples, which "
            "are known; expected another class"
        )
    if children is None or rebuild is None:
        if not hasattr(kind, "__dataclass_fields__"):
            raise TypeError(
                f"register_container: {kind.__name__} is no dataclass; give children(x) and rebuild(x, new), too"
            )
        children, rebuild = _fields_of, with_attributes
    CONTAINERS[kind] = children, rebuild
    return kind


def _fields_of(x: Any) -> dict[str, Any]:
    from dataclasses import fields  # here, so that importing stays fast

    return {field.name: getattr(x, field.name) for field in fields(x)}


def with_attributes(x: Any, new: dict[str, Any]) -> Any:
    """Return a copy of an object with other values of attributes; of a frozen dataclass, too."""
    made = copy(x)
    for name, value in new.items():
        object.__setattr__(made, name, value)
    return made


def like(tree: dict[Any, Any], mapped: dict[Any, Any]) -> dict[Any, Any]:
    """Return a dict of the tree's own kind, with other values."""
    made = copy(tree)
    for key, value in mapped.items():
        made[key] = value
    return made
