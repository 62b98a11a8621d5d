"""The random generators that a function may draw from: their states, which differ after a draw."""

from __future__ import annotations

import random
from inspect import getattr_static
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any

import numpy as np

from .instructions import attributes_in, names_in
from .outside import Outside


def generators_of(outside: Outside) -> dict[str, Any]:
    """Return the random generators that a function may draw from, by name; modules, for those of functions in them."""
    found: dict[str, Any] = {
        f"the random generator {name}": value
        for _, name, value in outside.values
        if isinstance(value, (np.random.Generator, np.random.RandomState, random.Random))
    }
    functions = [outside.function, *[value for _, _, value in outside.values]]
    if any(_is_random(each) for each in functions):
        found |= {"Python's random generator": random, "NumPy's random generator": np.random}
    return found


def state_of(generator: Any) -> Any:
    """Return the state of a generator."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.getstate() if hasattr(generator, "getstate") else generator.get_state(legacy=False)


def set_state(generator: Any, state: Any) -> None:
    """Set the state of a generator."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        (generator.setstate if hasattr(generator, "setstate") else generator.set_state)(state)


def _is_random(f: Any) -> bool:
    """Tell whether a function reads something called random, or is a method of a generator, as `random.choice` is."""
    if isinstance(f, (BuiltinMethodType, MethodType)):
        if isinstance(f.__self__, (random.Random, np.random.RandomState)):
            return True
        f = getattr(f, "__func__", f)
    f = getattr_static(f, "__wrapped__", f)
    return isinstance(f, FunctionType) and "random" in attributes_in(f.__code__).union(names_in(f.__code__))
