"""Entries of arguments that a function sets, adds or deletes: found while it is traced, repeated in each call.

A write into an array is another matter: it is a call in the program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...engine.containers import CONTAINERS, entries_of, inside_of, like, rebuilt
from ..where import JitError

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
        self.before = [(path, x, entries_of(x) or {}) for path, x in containers_in(arguments)]

    def rebound(self, name: str, given: Any) -> tuple[list[Entry], list[Any]]:
        """Return the entries that have changed, and their new values; ``given`` are the arguments of the call itself.

        Raises
        ------
        JitError
            If it is an attribute of a registered container, or if one dict or list is given twice.
        """
        places, values = self._rebound(name)
        known = {id(x): Moved(path) for path, x, _ in self.before}
        values = [replaced(value, lambda part: known.get(id(part))) for value in values]
        alike = Counter(id(x) for _, x in containers_in(given))
        if places and max(alike.values()) > 1:
            raise JitError(
                f"jit: {name} changes its arguments, in which one dict or list is given twice; give a copy of it"
            )
        return places, values

    def _rebound(self, name: str) -> tuple[list[Entry], list[Any]]:
        found: list[Entry] = []
        values: list[Any] = []
        for path, x, before in self.before:
            after = entries_of(x) or {}
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


def refuse_also_outside(name: str, places: Sequence[Entry], given: Any, outside: Iterable[Any]) -> None:
    """Refuse to change a dict or a list in the arguments that the function may read from outside as well."""
    known = set(map(id, outside))
    if places and any(id(x) in known for _, x in containers_in(given)):
        raise JitError(
            f"jit: {name} changes a dict or a list in its arguments that it may read from outside, too; give a copy of "
            "it, or read the argument alone"
        )


def containers_in(x: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the dicts, lists and registered containers in nested arguments, each with its path."""
    entries = entries_of(x)
    if entries is not None and not isinstance(x, tuple):
        yield path, x
    for key, each in (entries or {}).items():
        yield from containers_in(each, (*path, key))


def rebind(arguments: Any, places: Sequence[Entry], values: Sequence[Any]) -> None:
    """Set and delete entries of a call's arguments."""
    containers = [at(arguments, place.path) for place in places]  # before one of them is replaced
    found = [
        replaced(value, lambda x: at(arguments, x.path) if type(x) is Moved else None) for value in values
    ]
    for x, place, value in zip(containers, places, found, strict=True):
        if place.is_deleted:
            del x[place.key]
        else:
            x[place.key] = value


def at(x: Any, path: Path) -> Any:
    """Return the container that a path leads to."""
    for key in path:
        x = inside_of(x)[key]
    return x


@dataclass(frozen=True)
class Moved:
    """Stands for a dict or a list that a function puts into another place of its arguments."""

    path: Path


def replaced(value: Any, find: Callable[[Any], Any]) -> Any:
    """Return nested dicts, lists and tuples with ``find(part)`` in the place of each part for which it is not None.

    A dict, a list or a tuple with no such part is returned itself.
    """
    other = find(value)
    if other is not None:
        return other
    entries = entries_of(value) if isinstance(value, (dict, list, tuple)) else None
    if not entries:
        return value
    parts = {key: replaced(each, find) for key, each in entries.items()}
    if all(parts[key] is each for key, each in entries.items()):
        return value
    return like(value, parts) if isinstance(value, dict) else rebuilt(value, [*parts.values()])
