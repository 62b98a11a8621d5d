"""Entries of arguments that a function sets, adds or deletes: found while it is traced, made anew in each call.

A write into an array is another matter: it is a call in the program, and `memory` has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..engine.containers import CONTAINERS, children_of
from .where import JitError

Path = tuple[Any, ...]
"""The keys that lead from the arguments to a dict or list in them."""


class Entry(NamedTuple):
    """A place in an argument: a key of a dict, an index of a list or the rest of it, and whether it is deleted."""

    path: Path
    key: Any
    is_deleted: bool = False


class Containers:
    """The dicts and lists in arguments, and their entries before a function runs."""

    def __init__(self, arguments: Any) -> None:
        self.before = [(path, x, entries(x)) for path, x in containers_in(arguments)]

    def rebound(self, name: str) -> tuple[list[Entry], list[Any]]:
        """Return the entries that are others now, and their values.

        Raises
        ------
        JitError
            If it is an attribute of a registered container.
        """
        found: list[Entry] = []
        values: list[Any] = []
        for path, x, before in self.before:
            after = entries(x)
            if len(after) == len(before) and all(
                key in before and before[key] is value for key, value in after.items()
            ):
                continue
            if type(x) in CONTAINERS:
                raise JitError(
                    f"jit: {name} sets an attribute of a {type(x).__name__}, its argument; return a new one instead"
                )
            if isinstance(x, list):
                first = next((i for i in after if before.get(i, x) is not after[i]), len(after))
                found.append(Entry(path, slice(first, None)))
                values.append(x[first:])
                continue
            for key in before.keys() - after.keys():
                found.append(Entry(path, key, is_deleted=True))
                values.append(None)
            for key, value in after.items():
                if key not in before or before[key] is not value:
                    found.append(Entry(path, key))
                    values.append(value)
        return found, values


def containers_in(x: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the dicts, lists and registered containers in nested arguments, each with its path."""
    inside = children_of(x) if type(x) in CONTAINERS else x
    if inside is not x or isinstance(x, (dict, list)):
        yield path, x
    if isinstance(inside, (dict, list, tuple)):
        for key, each in entries(inside).items():
            yield from containers_in(each, (*path, key))


def entries(x: Any) -> dict[Any, Any]:
    """Return the entries of a container by key or index."""
    inside = children_of(x) if type(x) in CONTAINERS else x
    return dict(inside) if isinstance(inside, dict) else dict(enumerate(inside))


def rebind(arguments: Any, places: Sequence[Entry], values: Sequence[Any]) -> None:
    """Set and delete entries of a call's arguments."""
    for place, value in zip(places, values, strict=True):
        x = arguments
        for key in place.path:
            x = (children_of(x) if type(x) in CONTAINERS else x)[key]
        if place.is_deleted:
            del x[place.key]
        else:
            x[place.key] = value
