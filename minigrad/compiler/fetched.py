"""Arrays and random generators that a function reads from outside: a compiled one fetches them in each call.

They are arguments that nobody passes. While the function is traced, stand-ins are in their places, as in those of its
arguments; so what is written into them is written in each call, and another array in a place is the one that is read.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ..engine.containers import leaves_of, map_tree
from ..engine.tensor import Tensor, would_be_cut_off
from .options import PLAIN
from .places import CELL, PlaceKey, place_of, put, read, value_in
from .signature import Reading, flatten, reader
from .where import NeedsValues

Places = list[tuple[Any, Any]]
KEYWORD = "from outside"
"""The keyword of the arrays, which nobody can give."""


class Fetched:
    """The places of arrays outside, by the name of each array; several, where they have the same one.

    Attributes
    ----------
    counters : dict
        The places of Python's numbers, which are numbers of NumPy's while the function runs, by the name of each.
    left_out : dict
        The namespace of each place, by what identifies it: a snapshot of what is outside leaves them out.
    together : frozenset
        Which places have one array.
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
        """Return what is in the places now; None, if those that had the same array do not have the same any more."""
        found = {}
        for name, (first, *others) in self.places.items():
            x = read(*first)
            for other in others:
                if read(*other) is not x:
                    return None
            found[name] = as_numpy(x) if name in self.counters else without_tensors(x)
        return found

    def arrays_apart(self) -> dict[str, Any] | None:
        """Return what is in the places now; None, if the places that have one array are not those they were."""
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
        """Return what a signature has of them: shapes and dtypes, and the values of what is no array."""
        key: list[Any] = []
        flatten((self.arrays(),), [], key)
        return key

    def without(self, names: Iterable[str]) -> Fetched:
        """Return the others."""
        left = {name: each for name, each in self.places.items() if name not in names}
        return Fetched(left, self.counters.keys() & left.keys())

    def with_changed(self, changed: Places, values: Iterable[tuple[Any, Any, Any]]) -> Fetched:
        """Return these and other places, of places with their values: of Python's numbers, and of nested arrays.

        Nested arrays are fetched as a whole, wherever they are, and not one by one as well.
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
            inside = set(map(id, containers_in(value)))
            found = {
                name: [each for each in places if place_of(*each)[0] not in inside]
                for name, places in found.items()
            }
            found[called] = [(namespace, name) for namespace, name, x in values if x is value]
        return Fetched({name: places for name, places in found.items() if places}, counters)

    def fewer(self, error: Exception, others_too: bool) -> Fetched:
        """Return those whose values are not needed, as an error tells, or else the arrays of floats, but for tensors,
        whose attributes may be read; or none.

        With ``others_too``, values of all that are no arrays of floats may be needed.
        """
        needed = error.names if isinstance(error, NeedsValues) else set()
        if others_too or not needed:
            needed |= {name for name, (place, *_) in self.places.items() if not has_floats(read(*place))}
        return self.without(needed) if needed else NONE

    def around(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that takes the arrays as its last keyword, and calls f with these outside.

        A dict or a list outside that it returns is returned as it is then, with these.
        """

        def call(*args: Any, **kwargs: Any) -> Any:
            with self.holding(kwargs.pop(KEYWORD)):
                return map_tree(lambda _, x: x, None, f(*args, **kwargs))

        return call

    def reader(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], apart: list[int], contiguous: list[int]
    ) -> Callable[..., Any]:
        """Return the `minigrad.compiler.signature.reader` of a call, which reads the arrays itself."""
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
        """Put arrays into the places, and back what was there, unless something else is there by then."""
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
    """Return the places, of places with their values, that have arrays."""
    names: dict[int, str] = {}
    places: dict[str, Places] = {}
    for namespace, name, value in values:
        if not is_array(value):
            continue
        if id(value) not in names:
            names[id(value)] = new_name(name, places)
        places.setdefault(names[id(value)], []).append((namespace, name))
    return Fetched(places)


def containers_in(x: Any) -> Iterator[Any]:
    """Yield the dicts, lists and tuples in nested ones, and these."""
    if isinstance(x, (dict, list, tuple)):
        yield x
        for each in x.values() if isinstance(x, dict) else x:
            yield from containers_in(each)


def new_name(name: Any, known: dict[str, Places]) -> str:
    """Return a name for what is in a place, other than those that are known."""
    called = name if isinstance(name, str) and name.isidentifier() else "outside"
    return called if called not in known else f"{called}_{len(known)}"


def without_tensors(x: Any) -> Any:
    """Return nested arrays with the arrays of tensors in place of these, but for those whose gradient would be lost."""
    return map_tree(
        lambda _, leaf: leaf.data if type(leaf) is Tensor and not would_be_cut_off(leaf) else leaf, None, x
    )


def as_numpy(x: Any) -> Any:
    """Return a number of Python's as one of NumPy's, if it has it."""
    if type(x) is int and abs(x) < 1 << 62:
        return np.int64(x)
    return np.float64(x) if type(x) is float else x


def is_array(x: Any) -> bool:
    """Tell whether x is an array, a random generator or a number of NumPy's, or a tuple of these and Python's.

    A tensor is one, whose gradient nobody asks for any more: state that a gradient's computation left.
    """
    if isinstance(x, tuple):
        return any(map(is_array, x)) and all(type(each) in PLAIN or is_array(each) for each in x)
    return type(x) in (np.ndarray, np.random.Generator, Tensor) or isinstance(x, (np.number, np.bool_))


def has_floats(x: Any) -> bool:
    """Tell whether x is an array of floats: those of integers and booleans may stand for indices and masks."""
    return type(x) is np.ndarray and x.dtype.kind in "fc"
