"""Arrays and random generators that a function reads from outside: a compiled one fetches them in each call.

They are implicit arguments. During tracing stand-ins take their places, as they do those of the arguments: so writes
into them are recorded, and an array that replaces another is the one that the next call reads.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ...engine.containers import leaves_of, map_tree
from ...engine.leaving import would_be_cut_off
from ...engine.tensor import Tensor
from ..where import NeedsValues
from .options import PLAIN
from .places import CELL, OTHER, PlaceKey, place_of, put, read, value_in
from .rebinding import containers_in
from .signature import Reading, flatten, reader

Places = list[tuple[Any, Any]]
KEYWORD = "from outside"
"""The keyword by which they are passed; no identifier, so that no parameter has this name."""


class Fetched:
    """The places of outside arrays, by a name for each array, which may be in several places.

    Attributes
    ----------
    counters : dict
        The places of Python numbers, by name; during tracing they are NumPy numbers.
    left_out : dict
        The namespace of each place, by the place's key; snapshots leave these places out.
    together : frozenset
        The sets of places that hold the same array.
    """

    __slots__ = ("counters", "left_out", "places", "together")

    def __init__(self, places: dict[str, Places], counters: Iterable[str] = ()) -> None:
        self.places = places
        self.counters = {name: place_of(*places[name][0]) for name in counters}
        self.left_out: dict[PlaceKey, Any] = {
            place_of(namespace, name): namespace for each in places.values() for namespace, name in each
        }
        self.together = frozenset(frozenset(place_of(*place) for place in each) for each in places.values())

    def arrays(self) -> dict[str, Any] | None:
        """Return the contents of the places; None if places that shared an array no longer do."""
        found = {}
        for name, (first, *others) in self.places.items():
            x = read(*first)
            for other in others:
                if read(*other) is not x:
                    return None
            found[name] = as_numpy(x) if name in self.counters else without_tensors(x)
        return found

    def arrays_apart(self) -> dict[str, Any] | None:
        """Return the contents of the places; None unless the same places share an array as before."""
        found = self.arrays()
        return found if found is not None and len(set(map(id, found.values()))) == len(found) else None

    def in_places(self, changed: Container[PlaceKey]) -> set[str]:
        """Return the names of those all of whose places are among the changed ones."""
        return {
            name for name, each in self.places.items() if all(place_of(*place) in changed for place in each)
        }

    def containers(self) -> dict[str, Any]:
        """Return the dicts, lists and tuples themselves that are in the places now."""
        found = {name: read(*first) for name, (first, *_) in self.places.items()}
        return {name: x for name, x in found.items() if isinstance(x, (dict, list, tuple))}

    def conversion(self, name: str) -> Callable[[Any], Any] | None:
        """Return the function by which `arrays` makes an array of what is in a place now; None, if it is one."""
        if name in self.counters:
            return as_numpy
        value = read(*self.places[name][0])
        return without_tensors if any(type(x) is Tensor for x in leaves_of(value)) else None

    def key(self) -> list[Any]:
        """Return their part of a signature: shapes and dtypes, and the values of what is no array."""
        key: list[Any] = []
        flatten((self.arrays(),), [], key)
        return key

    def without(self, names: Iterable[str]) -> Fetched:
        """Return a copy without these names."""
        left = {name: each for name, each in self.places.items() if name not in names}
        return Fetched(left, self.counters.keys() & left.keys())

    def with_changed(self, changed: Places, values: Iterable[tuple[Any, Any, Any]]) -> Fetched:
        """Return these and the changed places, which hold Python numbers or nested arrays.

        Nested arrays are fetched as a whole, from all places that have them as their value, and no longer one by one.
        """
        values = [*values]
        found, counters = {**self.places}, {*self.counters}
        for place in changed:
            value = read(*place)
            called = new_name(place[1], found)
            if type(value) in (int, float):
                found[called] = [place]
                counters.add(called)
                continue
            inside = {id(x) for _, x in containers_in(value)}
            found = {
                name: [each for each in places if place_of(*each)[0] not in inside]
                for name, places in found.items()
            }
            found[called] = [(namespace, name) for namespace, name, x in values if x is value]
        return Fetched({name: places for name, places in found.items() if places}, counters)

    def fewer(self, error: Exception, others_too: bool) -> Fetched:
        """Return a copy without those whose values are needed.

        These are what the error names; if it names none, all but the arrays of floats, and then everything. With
        ``others_too``, all but the arrays of floats in any case. Attributes of tensors may be needed.
        """
        needed = error.names if isinstance(error, NeedsValues) else set()
        if others_too or not needed:
            arrays = {name: read(*place) for name, (place, *_) in self.places.items()}
            needed |= {name for name, x in arrays.items() if not has_floats(x)}
        return self.without(needed) if needed else NONE

    def around(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Return f with the arrays as one more keyword argument, which are in the places while it runs.

        A dict or a list outside that it returns is returned as it is then, with these.
        """

        def call(*args: Any, **kwargs: Any) -> Any:
            with self.holding(kwargs.pop(KEYWORD)):
                return map_tree(lambda _, x: x, None, f(*args, **kwargs))

        return call

    def reader(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], apart: list[int], contiguous: list[int]
    ) -> Callable[..., Any]:
        """Return the `minigrad.compiler.environment.signature.reader` of a call, which reads these arrays as well."""
        given = {name: x for name, x in kwargs.items() if name != KEYWORD}
        arrays = kwargs[KEYWORD]
        outside = [
            Reading(
                [
                    (partial(read, namespace), key) if key is CELL else (namespace.get, key)
                    for namespace, key in each
                ],
                self.conversion(name),
                arrays[name],
            )
            for name, each in self.places.items()
        ]
        return reader(args, given, apart, outside, contiguous)

    @contextmanager
    def holding(self, arrays: dict[str, Any]) -> Iterator[None]:
        """Put arrays into the places; at the end restore the places that still have them."""
        put_in = [(place, arrays[name]) for name, places in self.places.items() for place in places]
        before = [value_in(*place) for place, _ in put_in]
        try:
            for place, x in put_in:
                put(*place, x)
            yield
        finally:
            for (place, x), value in zip(put_in, before, strict=True):
                if read(*place) is x:
                    put(*place, value)


NONE = Fetched({})


def fetched_of(values: Iterable[tuple[Any, Any, Any]]) -> Fetched:
    """Return the places that hold arrays, of places with their values."""
    names: dict[int, str] = {}
    places: dict[str, Places] = {}
    for namespace, name, value in values:
        if not is_array(value) or name is OTHER:
            continue
        if id(value) not in names:
            names[id(value)] = new_name(name, places)
        places.setdefault(names[id(value)], []).append((namespace, name))
    return Fetched(places)


def new_name(name: Any, known: dict[str, Places]) -> str:
    """Return an unused name for the contents of a place."""
    called = name if isinstance(name, str) and name.isidentifier() else "outside"
    return called if called not in known else f"{called}_{len(known)}"


def without_tensors(x: Any) -> Any:
    """Return nested arrays with the arrays of tensors in place of these, but for those whose gradient would be lost."""
    return map_tree(
        lambda _, leaf: leaf.data if type(leaf) is Tensor and not would_be_cut_off(leaf) else leaf, None, x
    )


def as_numpy(x: Any) -> Any:
    """Convert a Python number to NumPy's, unless it is too large; return anything else unchanged."""
    if type(x) is int and abs(x) < 1 << 62:
        return np.int64(x)
    return np.float64(x) if type(x) is float else x


def is_array(x: Any) -> bool:
    """Tell whether x is an array, a random generator or a NumPy number, or a tuple of such and of plain values.

    A tensor is one, whose gradient nobody asks for any more: state that a gradient's computation left.
    """
    if isinstance(x, tuple):
        return any(map(is_array, x)) and all(type(each) in PLAIN or is_array(each) for each in x)
    return type(x) in (np.ndarray, np.memmap, np.random.Generator, Tensor) or isinstance(
        x, (np.number, np.bool_)
    )


def has_floats(x: Any) -> bool:
    """Tell whether x is an array of floats: those of integers and booleans may be indices and masks."""
    return type(x) in (np.ndarray, np.memmap) and x.dtype.kind in "fc"
