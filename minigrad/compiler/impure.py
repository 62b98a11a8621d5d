"""Purity checks: random generators that are no arguments, and outside values that a traced function changes."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from inspect import getattr_static
from threading import get_ident
from types import BuiltinMethodType, FrameType, FunctionType, MethodType
from typing import Any

import numpy as np

from ..engine.arrays import STAND_INS
from ..engine.tensor import Tensor
from .free_variables import LIBRARIES, attributes_in, names_in, place_of
from .signature import PLAIN, Outside
from .where import JitError


class Impurities:
    """Compares what a function reads from outside before and after its second run.

    What it keeps of its own results there, a layer's cache say, it may read again. Where another thread runs the
    program's code, that may have made the changes.
    """

    def __init__(self, name: str, outside: Outside, leaves: Sequence[Any]) -> None:
        self.name, self.before, self.between, self.leaves = name, outside, outside, leaves
        self.states = _states(outside)

    def after_the_first_run(self) -> None:
        """Take note of what the function reads after its first run, in which it may compute what it keeps."""
        self.between = self.before.now(self.leaves)

    def kept_results(self) -> list[tuple[Any, Any, Any]]:
        """Return where the function has put what it computed: namespaces, names, and what was there."""
        return [
            (namespace, name, before)
            for namespace, name, before in self.before.values
            if name is not None and next(results_in(namespace.get(name)), None) is not None
        ]

    def effects(self, now: Outside) -> list[tuple[Any, Any, Any]]:
        """Return what the function has set: numbers, strings and alike, each with its namespace and name.

        Empty, if it has set or deleted anything else but its results.
        """
        before = {place_of(namespace, name): value for namespace, name, value in self.before.values}
        found = []
        for namespace, name, value in now.values:
            if (
                before.pop(place_of(namespace, name), now) is value
                or next(results_in(value), None) is not None
            ):
                continue
            if not (isinstance(namespace, dict) and type(value) in PLAIN):
                return []
            found.append((namespace, name, value))
        return [] if before else found

    def put_back(self) -> str:
        """Put back what was where the function has put its results; return the name of one such place."""
        places = self.kept_results()
        for namespace, name, before in places:
            if isinstance(namespace, dict):
                namespace[name] = before
            elif isinstance(name, str):
                setattr(namespace.of(), name, before)
            elif isinstance(name, int):
                namespace.of()[name] = before
        for namespace, names in self.before.names:
            for name in (
                [each for each in namespace if each not in names] if isinstance(namespace, dict) else ()
            ):
                if next(results_in(namespace[name]), None) is not None:
                    del namespace[name]
        return next((str(name) for _, name, _ in places), "")

    def after_the_second_run(self) -> Outside | None:
        """Return the snapshot after both runs; None where another thread may have changed it.

        Raises
        ------
        JitError
            If it has drawn random numbers, or has changed numbers that it reads in its second run, too.
        """
        now = self.between.now(self.leaves)
        if others_run():
            return now if now.key == self.before.key else None
        for which, state in _states(now).items():
            if self.states.get(which, state) != state:
                raise JitError(
                    f"jit: {self.name} draws from {which}, which is no argument: a compiled function would draw once "
                    "and for all; give a numpy.random.Generator as an argument"
                )
        if changed := self.between.changed_value():
            raise JitError(
                f"jit: {self.name} changes {changed}: each call would be compiled anew; return the new value, and give "
                "the old one as an argument"
            )
        return now


def results_in(x: Any) -> Iterator[Any]:
    """Yield the stand-ins, and tensors of them, in nested tuples, lists and dicts, which may be in themselves."""
    waiting, seen = [x], set()
    while waiting:
        each = waiting.pop()
        if type(each) in STAND_INS or (type(each) is Tensor and type(each.data) in STAND_INS):
            yield each
        elif isinstance(each, (dict, tuple, list)) and id(each) not in seen:
            seen.add(id(each))
            waiting += each.values() if isinstance(each, dict) else each


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
