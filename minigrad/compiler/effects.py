"""Effects: what a traced function draws, and what it sets outside, which each call of the compiled one sets, too."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Sequence
from inspect import getattr_static
from threading import get_ident
from types import BuiltinMethodType, FrameType, FunctionType, MethodType
from typing import Any, NamedTuple

import numpy as np

from .free_variables import LIBRARIES, Search
from .instructions import attributes_in, names_in
from .outside import Outside
from .places import DELETED, PARTS, Saved, holds_results, is_set, made_of, place_of, put, read
from .where import JitError, OtherCalls


class Effect(NamedTuple):
    """A place outside that the function sets, and its value: what it computed, or what is the same in each call."""

    namespace: Any
    name: Any
    value: Any


class Effects:
    """Compares what a function reads and sets outside before its first run, between its two runs and after them.

    Where another thread runs the program's code, that may have changed what the function does not set.

    Attributes
    ----------
    kept : list of Effect
        Where the function leaves what it computes.
    fixed : list of Effect
        What else it sets: numbers, strings, lists of them and alike, the same in each call.
    written : dict
        By place, the namespaces of those of them that it does not read before it sets them.
    are_its_own : bool
        Whether all changes are the function's.
    """

    def __init__(self, name: str, outside: Outside, leaves: Sequence[Any]) -> None:
        self.name, self.before, self.between, self.leaves = name, outside, outside, leaves
        self.states = _states(outside)
        self.search = Search(outside.function, outside.written, outside.classes)
        self.saved = Saved(list(self.search), self.search.objects, self.search.arrays)
        self.kept: list[Effect] = []
        self.fixed: list[Effect] = []
        self.written: dict[tuple[int, Any], Any] = {}
        self.are_its_own = True

    def after_the_first_run(self) -> None:
        """Take note of what the function has set in its first run."""
        if array := self.before.changed_array():
            raise self.changed(array)
        self.between = self.before.now(self.leaves)
        found = [each for each in changes(self.before, self.between) if self.search.sets(each.name)]
        self.kept = [each for each in found if holds_results(each.value)]
        self.fixed = [each for each in found if not holds_results(each.value)]

    def left(self) -> list[Any]:
        """Return what is now where the function leaves what it computes."""
        return [
            [*namespace.of()] if name in PARTS else read(namespace, name) for namespace, name, _ in self.kept
        ]

    def compare(self, again: Callable[[], None]) -> None:
        """Run the function again, and compare what it sets; everything outside is put back then.

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
        except OtherCalls:
            self.refuse_changes()
            for each in self.kept:
                if self.reads(again, [each]):
                    raise self.changed(each.name) from None
            raise
        self.refuse_draws()
        self.refuse_changes()
        both = [*self.kept, *self.fixed]
        for places in [both, self.kept] if self.kept and self.fixed else [both] if both else []:
            if not self.reads(again, places):
                self.written = written_in(places)
                break
        else:
            if self.kept:
                read = [each for each in self.kept if self.reads(again, [each])]
                raise self.changed((read or self.kept)[0].name)
        self.put_back()

    def refuse_draws(self) -> None:
        """Refuse a function that has drawn random numbers."""
        for which, state in _states(self.between.now(self.leaves)).items():
            if self.states.get(which, state) != state and not others_run():
                raise JitError(
                    f"jit: {self.name} draws from {which}, which is no argument: a compiled function would draw once "
                    "and for all; give a numpy.random.Generator as an argument"
                )

    def refuse_changes(self) -> None:
        """Refuse a function that has changed again what it changed in its first run."""
        now, others = self.between.now(self.leaves), others_run()
        if array := self.between.changed_array():
            raise self.changed(array, ANEW)
        before = {place_of(namespace, name): value for namespace, name, value in self.between.values}
        for namespace, name, value in changes(self.between, now):
            old = before.get(place_of(namespace, name), DELETED)
            if holds_results(value) or (name not in PARTS and made_of(old) == made_of(value)):
                continue
            if not (others and not self.search.sets(name)):
                raise self.changed(name, ANEW)
            self.are_its_own = False

    def reads(self, again: Callable[[], None], places: Sequence[Effect]) -> bool:
        """Tell whether the function reads these places before it sets them, or may do so.

        It is run with everything else put back to what it was, and something else in them.
        """
        self.put_back()
        for namespace, name, _ in places:
            if name in PARTS:
                put(namespace, name, [] if len(namespace.of()) else [object()])
            elif is_set(namespace, name):
                put(namespace, name, object() if read(namespace, name) is None else None)
        try:
            again()
        except Exception:
            return True
        now = {
            place_of(namespace, name): made_of(value)
            for namespace, name, value in changes(self.before, self.before.now(self.leaves))
            if not holds_results(value)
        }
        return any(now.get(place_of(*each[:2]), DELETED) != made_of(each.value) for each in self.fixed)

    def put_back(self) -> None:
        """Put everything outside back to what it was."""
        self.saved.put_back(self.search.sets)

    def changed(self, name: Any, why: str = "") -> JitError:
        """Return the error of a function that changes what it reads."""
        if isinstance(name, str):
            what = f"{name}, which it reads"
        elif name is None:
            what = "a variable of an enclosing function that it reads"
        else:
            what = "a set or a deque that it reads" if name is repr else "a list that it reads"
        return JitError(
            f"jit: {self.name} changes {what}{why}; return the new value, and give the old one as an argument"
        )


ANEW = ": each call would be compiled anew"


def written_in(places: Iterable[Effect]) -> dict[tuple[int, Any], Any]:
    """Return places by what identifies them, the entries of lists that are set as a whole, too."""
    found = {}
    for namespace, name, value in places:
        found[place_of(namespace, name)] = namespace
        if name in PARTS:
            found |= {place_of(namespace, i): namespace for i in range(max(len(value), len(namespace.of())))}
    return found


def changes(old: Outside, new: Outside) -> list[Effect]:
    """Return the places that have another value in a new snapshot, in what was there in the old one.

    Where the length of a list has changed, or what is in a set or a deque, it is one place.
    """
    before = {place_of(namespace, name): value for namespace, name, value in old.values}
    names = {place_of(namespace, None)[0]: set(known) for namespace, known in old.names}
    known = {place for place, _ in before} | names.keys()
    found: list[Effect] = []
    whole: set[int] = set()
    for namespace, name, value in new.values:
        of, _ = place = place_of(namespace, name)
        if of not in known or of in whole or before.get(place, DELETED) is value:
            continue
        if name in PARTS:
            whole.add(of)
            found.append(Effect(namespace, name, [*namespace.of()]))
        elif place in before or name not in names.get(of, (name,)):
            found.append(Effect(namespace, name, value))
    for namespace, now in new.names:
        gone = names.get(place_of(namespace, None)[0], set()) - set(now)
        found += [Effect(namespace, name, DELETED) for name in gone]
    return found


def others_run() -> bool:
    """Tell whether another thread is in the program's own code: no library's, as a notebook's threads are."""
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


def _states(outside: Outside) -> dict[str, Any]:
    """Return the states of the random generators that a function may draw from, by what they are called."""
    found: dict[str, Any] = {}
    for _, name, value in outside.values:
        if isinstance(value, np.random.Generator):
            found[f"the random generator {name}"] = str(value.bit_generator.state)
        elif isinstance(value, (np.random.RandomState, random.Random)):
            found[f"the random generator {name}"] = _state_of(value)
    functions = [outside.function, *[value for _, _, value in outside.values]]
    if any(_is_random(each) for each in functions):
        found["Python's random generator"] = random.getstate()
        found["NumPy's random generator"] = _state_of(np.random)
    return found


def _state_of(generator: Any) -> Any:
    """Return the state of a generator of the old kinds."""
    if isinstance(generator, random.Random):
        return generator.getstate()
    state = generator.get_state(legacy=False)
    return str(state["bit_generator"]), state["state"]["pos"], state["state"]["key"].tobytes()


def _is_random(f: Any) -> bool:
    """Tell whether a function reads something called random, or is a method of a generator, as `random.choice` is."""
    if isinstance(f, (BuiltinMethodType, MethodType)):
        if isinstance(f.__self__, (random.Random, np.random.RandomState)):
            return True
        f = getattr(f, "__func__", f)
    f = getattr_static(f, "__wrapped__", f)
    return isinstance(f, FunctionType) and "random" in attributes_in(f.__code__).union(names_in(f.__code__))
