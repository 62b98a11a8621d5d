"""A snapshot of what a function reads from outside: globals, closure cells, attributes, arrays in objects."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from typing import Any
from zlib import crc32

import numpy as np

from ...engine.arrays import STAND_INS
from ...engine.leaving import would_be_cut_off
from .free_variables import Search
from .options import PLAIN, outside_key
from .places import CELL, KEYS, PlaceKey, place_of, read


class Outside:
    """A snapshot of the globals, closure cells and mutable objects that a function reads.

    Arrays are compared by their entries, unless they are also arguments. ``unread`` lists places to leave out. Methods
    of ``classes``, those of the arguments, are searched too. With ``stores``, places only written to are included.
    """

    __slots__ = (
        "arguments",
        "arrays",
        "classes",
        "compared",
        "function",
        "key",
        "names",
        "numpy",
        "stores",
        "tensors",
        "unread",
        "values",
    )

    def __init__(
        self,
        f: Callable[..., Any],
        leaves: Iterable[Any],
        unread: Container[PlaceKey],
        classes: Iterable[type],
        stores: bool = False,
    ) -> None:
        self.function, self.unread, self.classes, self.stores = f, unread, classes, stores
        search = Search(f, unread, classes, stores)
        found = [(*place, read(*place)) for place in search]
        self.values = [place for place in found if place[1] is not KEYS]
        self.names = [(namespace, names) for namespace, name, names in found if name is KEYS]
        given = set(map(id, leaves))
        self.arguments = [x for x in search.arrays if id(x) in given]
        self.arrays = [(x, array_key(x)) for x in search.arrays if id(x) not in given]
        self.tensors, self.numpy, self.compared = search.tensors, search.numpy, search.compared
        self.key = (*[outside_key(value) for _, _, value in found], *[each for _, each in self.arrays])

    def is_on_a_tape(self) -> bool:
        """Tell whether there are tensors whose gradient would be lost, or stand-ins, of a larger computation."""
        return any(would_be_cut_off(x) or type(x.data) in STAND_INS for x in self.tensors) or any(
            type(value) in STAND_INS for _, _, value in self.values
        )

    def changed(self, leaves: Iterable[Any]) -> bool:
        """Tell whether the snapshot is out of date, in a call with these arrays."""
        if self.tensors and self.is_on_a_tape():
            return True
        if self.arguments and not set(map(id, leaves)).issuperset(map(id, self.arguments)):
            return True
        for x, before in self.arrays:
            if array_key(x) != before:
                return True
        try:
            for namespace, name, before in self.values:
                if (namespace.cell_contents if name is CELL else namespace.get(name)) is not before:
                    return True
            for namespace, names in self.names:
                if tuple(namespace) != names:
                    return True
        except ValueError:  # a cell that is empty
            return True
        return False

    def changed_array(self) -> str:
        """Describe the first array whose entries differ from the snapshot; an empty string if none does."""
        return next((f"an array of shape {x.shape}" for x, kept in self.arrays if array_key(x) != kept), "")

    def changed_number(self) -> tuple[Any, Any] | None:
        """Return the place (namespace, name) of a number or string that differs from the snapshot, or None."""
        for namespace, name, before in self.values:
            value = read(namespace, name)
            plain = [type(x) in PLAIN for x in (before, value)]
            is_equal = all(plain) and outside_key(value) == outside_key(before)
            if value is not before and any(plain) and not is_equal:
                return namespace, name
        return None

    def by_place(self) -> dict[PlaceKey, Any]:
        """Return the values by the keys of their places."""
        return {place_of(namespace, name): value for namespace, name, value in self.values}

    def now(self, leaves: Iterable[Any]) -> Outside:
        """Return the current values."""
        if not self.changed(leaves):
            return self
        return Outside(self.function, leaves, self.unread, self.classes, self.stores)


LARGE = 1 << 16
"""The number of entries of an outside array that are compared in every call; of a larger one, evenly spaced ones."""


def array_key(x: np.ndarray[Any, Any]) -> Any:
    """Return a key by which to compare arrays: shape, dtype, and the bytes of the entries, or a checksum of many."""
    kept = (x if x.size <= LARGE else x.flat[:: -(-x.size // LARGE)]).tobytes()
    return x.shape, x.dtype, kept if len(kept) <= LARGE else crc32(kept)
