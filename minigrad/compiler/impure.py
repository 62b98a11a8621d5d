"""What a pure function does not do: draw from generators that are no arguments, and change what it reads."""

from __future__ import annotations

import random
from types import FunctionType
from typing import Any

import numpy as np

from .free_variables import attributes_in, names_in
from .signature import Outside
from .where import JitError


class Impurities:
    """Looks, after each run of a function, at what it has changed, of which it reads from outside.

    Another thread may change it, too: what has changed in both of two runs is taken to be the function's doing.
    """

    def __init__(self, name: str, outside: Outside) -> None:
        self.name, self.outside = name, outside
        self.states = _states(outside)
        self.runs = 0

    def refuse(self) -> None:
        """Refuse, after the second run, a function that has drawn random numbers, or has changed something again.

        Raises
        ------
        JitError
            That names it.
        """
        self.runs += 1
        if self.runs == 2:
            for which, state in _states(self.outside).items():
                if self.states.get(which, state) != state:
                    raise JitError(
                        f"jit: {self.name} draws from {which}, which is no argument: a compiled function would "
                        "draw once and for all; give a numpy.random.Generator as an argument"
                    )
            if self.outside.changed():
                raise JitError(
                    f"jit: {self.name} changes {self.outside.what_changed()}: each call would be compiled anew; return "
                    "the new value, and give the old one as an argument"
                )
        self.outside = self.outside.now()


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
    if isinstance(getattr(f, "__self__", None), (random.Random, np.random.RandomState)):
        return True
    f = getattr(f, "__func__", getattr(f, "__wrapped__", f))
    return isinstance(f, FunctionType) and "random" in attributes_in(f.__code__).union(names_in(f.__code__))
