"""Side effects of a traced function: writes to outside state, repeated in every call; random draws, refused."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from threading import get_ident
from types import FrameType
from typing import Any, NamedTuple

from ..where import Begins, Changed, JitError, OtherCalls
from .free_variables import Search
from .generators import generators_of, set_state, state_of
from .origin import LIBRARIES
from .outside import Outside
from .places import (
    CELL,
    DELETED,
    KEYS,
    OTHER,
    WHOLE,
    Contents,
    PlaceKey,
    Saved,
    is_set,
    place_of,
    put,
    value_in,
)
from .values import Unread, has_arrays, has_results, nested_alike, structural_key


class Effect(NamedTuple):
    """A write to outside state: the place, and the value, which holds arrays of the call or is a constant."""

    namespace: Any
    name: Any
    value: Any

    @property
    def place(self) -> PlaceKey:
        """The place's key."""
        return place_of(self.namespace, self.name)


class Effects:
    """Compares what a function reads and sets outside before its first run, between its two runs and after them.

    While another thread runs user code, changes to names that this function never sets are attributed to that thread.

    Attributes
    ----------
    found : list of Effect
        The places that it sets, in their order: those in the next two.
    kept : list of Effect
        The places that receive arrays computed in the call.
    fixed : list of Effect
        The places that receive constants: numbers, strings, lists of them.
    unread : dict
        The namespace of each place that snapshots may leave out: it is set before it is read, or never read.
    are_its_own : bool
        Whether every change seen is this function's; if not, the program is not cached.
    """

    def __init__(
        self, name: str, outside: Outside, leaves: Sequence[Any], others: dict[PlaceKey, Any]
    ) -> None:
        self.name, self.before, self.between, self.leaves = name, outside, outside, leaves
        self.generators = [(which, each, state_of(each)) for which, each in generators_of(outside).items()]
        self.search = Search(outside.function, outside.unread, outside.classes, outside.stores)
        places = [*self.search]
        self.saved = Saved(places, self.search.objects, self.search.arrays)
        read_too = {place_of(*place) for place in Search(outside.function, (), outside.classes)}
        self.others = [
            Effect(namespace, name, None)
            for namespace, name in places
            if name is not KEYS
            and not (type(namespace) is Contents and not isinstance(name, str))  # an entry of a list, or all
            and (
                place_of(namespace, name) in others
                or (place_of(namespace, name) not in read_too and self.search.sets(name))
            )
        ]
        self.known = set(map(id, self.search.objects))
        self.found: list[Effect] = []
        self.kept: list[Effect] = []
        self.fixed: list[Effect] = []
        self.unread: dict[PlaceKey, Any] = {}
        self.are_its_own = True

    def after_the_first_run(self) -> None:
        """Record the places that the function has set in its first run."""
        if array := self.saved.changed_array():
            raise self.changed(array)
        self.between = self.before.now(self.leaves)
        self.found = [each for each in changes(self.before, self.between) if self.may_set(each.name)]
        self.kept = [each for each in self.found if self.is_result(each.value)]
        self.fixed = [each for each in self.found if not self.is_result(each.value)]

    def is_result(self, value: Any) -> bool:
        """Tell whether a value holds arrays that the function computes."""
        return has_results(value, self.known)

    def may_set(self, name: Any) -> bool:
        """Tell whether a change to this name can be the function's own rather than another thread's."""
        return self.search.sets(name) or not others_run()

    def left(self) -> list[Any]:
        """Return the current values of the places that receive computed arrays."""
        return [now(each).value for each in self.kept]

    def compare(self, again: Callable[[], None]) -> None:
        """Run the function again, and compare what it sets; restore everything outside.

        Parameters
        ----------
        again
            Runs it, and raises `OtherCalls` unless it makes the same calls.

        Raises
        ------
        JitError
            If it draws random numbers, or changes what it reads.
        """
        try:
            again()
        except Exception as error:
            if self.found and (isinstance(error, OtherCalls) or not isinstance(error, JitError)):
                self.refuse_draws()
                self.put_back()
                again()  # what fails with nothing changed is not due to what it sets
                self.refuse_reads(again, self.found)
            raise
        self.refuse_draws()
        self.refuse_changes()
        both = self.found, self.kept
        free = next((places for places in both if places and not self.reads(again, places)), [])
        if not free:
            self.refuse_reads(again, self.found if self.kept else self.made_anew())
            if self.kept:
                raise self.changed_or_made(self.kept)
        known = places_of(self.found)
        only_set = self.set_unread(again, [each for each in self.others if each.place not in known])
        self.unread = places_of([*free, *only_set])
        only_set = [each for each in only_set if type(each.value) is not Unread]
        self.fixed += only_set
        self.found += only_set
        self.put_back()

    def set_unread(self, again: Callable[[], None], places: Sequence[Effect]) -> list[Effect]:
        """Return those of the places that the function does not read before it sets them, with what it sets."""
        if not places:
            return []
        if not self.reads(again, places):
            return [*map(now, places)]
        return [found for each in places if len(places) > 1 for found in self.set_unread(again, [each])]

    def refuse_reads(self, again: Callable[[], None], places: Sequence[Effect]) -> None:
        """Refuse a function that reads one of these places before it sets it."""
        if read := [each for each in places if self.reads(again, [each])]:
            raise self.changed_or_made(read) from None

    def made_anew(self) -> list[Effect]:
        """Return the places whose list or dict the function replaces by another one."""
        before = self.before.by_place()
        return [
            each
            for each in self.fixed
            if type(each.value) in (list, dict)
            and each.name not in WHOLE
            and type(before.get(each.place)) is type(each.value)
        ]

    def refuse_draws(self) -> None:
        """Refuse a function that has drawn random numbers."""
        for which in self.drawn_from():
            if not others_run():
                raise JitError(
                    f"jit: {self.name} draws from {which}, which is no argument: a compiled function would draw once "
                    "and for all; give a numpy.random.Generator as an argument"
                )

    def drawn_from(self) -> dict[str, tuple[Any, Any]]:
        """Return the random generators that are not in the states they were in, by name, with these."""
        return {
            which: (each, before)
            for which, each, before in self.generators
            if structural_key(state_of(each)) != structural_key(before)
        }

    def refuse_changes(self) -> None:
        """Refuse a function whose second run changes the places that the first has set."""
        after = self.between.now(self.leaves)
        before = self.between.by_place()
        for namespace, name, value in changes(self.between, after):
            old = before.get(place_of(namespace, name), DELETED)
            if self.is_result(value) or (name not in WHOLE and structural_key(old) == structural_key(value)):
                continue
            if self.may_set(name):
                raise self.changed_or_made([Effect(namespace, name, value)], ANEW)
            self.are_its_own = False

    def reads(self, again: Callable[[], None], places: Sequence[Effect]) -> bool:
        """Tell whether the function may read these places before it sets them.

        Run it with sentinels in these places, and the rest as it was. None exposes tests such as ``x is None``;
        `Unread` raises whenever it is used, and must not have been copied to another place.
        """
        for instead in (None, Unread):
            self.put_back()
            made = {}
            try:
                for namespace, name, _ in places:
                    made[place_of(namespace, name)] = value = instead and instead()
                    if name in WHOLE:
                        put(namespace, name, [] if len(namespace.of()) or instead is None else [value])
                    elif instead is not None or is_set(namespace, name):
                        put(namespace, name, value)
                again()
            except Exception:
                return True
            if any(structural_key(now(each).value) != structural_key(each.value) for each in self.fixed):
                return True
            for place, value in (*map(placed, (*self.found, *self.others)), *self.saved.now()):
                if type(value) is Unread and value is not made.get(place):  # moved there
                    return True
        return False

    def put_back(self) -> None:
        """Put everything outside back to what it was."""
        self.saved.put_back(self.may_set)
        for each, before in self.drawn_from().values():
            if not others_run():
                set_state(each, before)

    def forget(self) -> None:
        """Release all values that were seen outside, stand-ins among them."""
        self.between = self.before
        self.found = self.kept = self.fixed = []

    def changed_or_made(self, read: Sequence[Effect], why: str = "") -> JitError:
        """Return the error of a function that changes these places, which it reads, or initializes arrays in them."""
        before = self.before.by_place()
        old = [self.saved.as_it_was(before.get(each.place)) for each in read]
        is_new = [
            each.name not in WHOLE
            and (self.is_result(each.value) or has_arrays(each.value))
            and not has_arrays(value)
            for each, value in zip(read, old, strict=True)
        ]
        for each, value, is_made in zip(read, old, is_new, strict=True):
            if not is_made and not (value is None or (type(value) is bool and any(is_new))):
                places = [
                    (each.namespace, each.name)
                    for each, value in zip(read, old, strict=True)
                    if each.name not in WHOLE and may_be_fetched(value, each.value)
                ]
                return self.changed(each.name, why, places, AS_ARRAY if type(value) in (int, float) else "")
        return Begins(f"jit: {self.name} sets {read[0].name}, which it reads, for the first time")

    def changed(
        self, name: Any, why: str = "", places: Sequence[tuple[Any, Any]] = (), instead: str = ""
    ) -> JitError:
        """Return the error of a function that changes what it reads, with advice."""
        if isinstance(name, str):
            what = f"{name}, which it reads"
        elif name is CELL:
            what = "a variable of an enclosing function that it reads"
        else:
            what = "a set or a deque that it reads" if name is OTHER else "a list that it reads"
        return Changed(
            f"jit: {self.name} changes {what}{why}; return the new value, and give the old one as an argument{instead}",
            [*places],
        )


def may_be_fetched(old: Any, new: Any) -> bool:
    """Tell whether a changed place can be fetched: a Python number, or arrays of the same structure as before."""
    if type(old) in (int, float):
        return type(new) is type(old)
    return isinstance(old, (dict, list, tuple)) and nested_alike(old, new)


AS_ARRAY = ", or keep it in an array, np.zeros((), np.float32)"
ANEW = ": every call would be compiled anew"


def now(place: Effect) -> Effect:
    """Return the current value of a place; a list of the items where the place is a whole container."""
    namespace, name, _ = place
    if name in WHOLE:
        return Effect(namespace, name, [*namespace.of()])
    return Effect(namespace, name, value_in(namespace, name))


def placed(place: Effect) -> tuple[PlaceKey, Any]:
    """Return the key and the current value of a place."""
    return place.place, now(place).value


def places_of(effects: Iterable[Effect]) -> dict[PlaceKey, Any]:
    """Map each place to its namespace; a list that is replaced as a whole contributes all its entries."""
    found = {}
    for namespace, name, value in effects:
        found[place_of(namespace, name)] = namespace
        if name in WHOLE:
            found |= {
                place_of(namespace, i): namespace for i in range(max(len(value or ()), len(namespace.of())))
            }
    return found


def changes(old: Outside, new: Outside) -> list[Effect]:
    """Return the places that differ between two snapshots, in namespaces that both have.

    A list whose length changed, and a set or deque that changed, count as one place.
    """
    before = old.by_place()
    names = {place_of(namespace, KEYS)[0]: set(known) for namespace, known in old.names}
    known = {place for place, _ in before} | names.keys()
    found: list[Effect] = []
    whole: set[int] = set()
    for namespace, name, value in new.values:
        of, _ = place = place_of(namespace, name)
        if of not in known or of in whole or before.get(place, DELETED) is value:
            continue
        if name in WHOLE:
            whole.add(of)
            found.append(Effect(namespace, name, [*namespace.of()]))
        elif place in before or name not in names.get(of, (name,)):
            found.append(Effect(namespace, name, value))
    for namespace, present in new.names:
        gone = names.get(place_of(namespace, KEYS)[0], set()) - set(present)
        found += [Effect(namespace, name, DELETED) for name in gone]
    return found


def others_run() -> bool:
    """Tell whether another thread runs user code; idle threads of libraries, such as a notebook's, do not count."""
    frames = sys._current_frames()
    del frames[get_ident()]  # of this function, which would hold itself
    for innermost in frames.values():
        frame: FrameType | None = innermost
        while frame is not None:
            name = frame.f_code.co_filename
            if not name.startswith(("<", *LIBRARIES)):
                return True
            frame = frame.f_back
    return False
