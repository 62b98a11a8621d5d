"""The random generators that a function may draw from: their states, which differ after a draw."""

from __future__ import annotations

import random
from inspect import getattr_static
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

import numpy as np

from .instructions import attributes_in, names_in
from .outside import Outside


def generator_states(outside: Outside) -> dict[str, Any]:
    """Return the states of the random generators that a function may draw from, by name."""
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
    """Return the state of a legacy generator."""
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
