"""Facts about functions, beside their rules, in one place: the engine, the compiler and the census read them here."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from types import FunctionType
from typing import Any, Literal, NamedTuple

import numpy as np

Memory = Literal["view", "out", "new", ""]


class Facts(NamedTuple):
    """Facts about one function.

    Attributes
    ----------
    constant
        Why its float results carry no gradient.
    discrete
        Why its results cannot carry one: indices, booleans, shapes.
    no_gradient
        Why it has no rule.
    instead
        The replacement that the error message suggests.
    in_place
        Whether it writes into its first argument.
    memory
        What its result may alias: ``"view"``, the first operand; ``"out"``, only the argument ``out``; ``"new"``,
        nothing; by default any operand.
    shape_from_values
        Whether its result's shape depends on values.
    complex_numbers
        Whether its rules hold for complex numbers.
    of_complex_numbers
        For a function that is constant of real numbers alone: what it is of complex ones, a function with a rule.
    metadata
        Whether it reads shape and dtype only.
    checks
        Whether it validates its input, and so must be called even if its result is unused.
    whole
        For a function of minigrad's that is traced as one call, or one given a rule: the function to call.
    made
        The number of one given a rule, by ``MADE``; 0 for others.
    """

    constant: str = ""
    discrete: str = ""
    no_gradient: str = ""
    instead: str = ""
    in_place: bool = False
    memory: Memory = ""
    shape_from_values: bool = False
    complex_numbers: bool = False
    of_complex_numbers: Callable[..., Any] | None = None
    metadata: bool = False
    checks: bool = False
    whole: Callable[..., Any] | None = None
    made: int = 0


FACTS: dict[Any, Facts] = {}
"""The facts, keyed by the function that users call."""
UNKNOWN = Facts()
MADE = count(1)
"""Counts functions given a rule and traces of programs: of two, the one with the smaller number was there first."""


def facts(function: Any) -> Facts:
    """Return the facts about a function; one that a user has made keeps its own."""
    known = FACTS.get(function)
    if known is None and type(function) is FunctionType:
        return getattr(function, "facts", UNKNOWN)
    return UNKNOWN if known is None else known


def state(*functions: Any, **known: Any) -> None:
    """Set attributes of `Facts` for functions; the others keep their values."""
    alone = Facts(**known)
    for function in functions:
        FACTS[function] = FACTS[function]._replace(**known) if function in FACTS else alone


def named(names: str, module: Any = np) -> list[Any]:
    """Return the functions of these names that exist in this version of NumPy."""
    return [getattr(module, name) for name in names.split() if hasattr(module, name)]


_METHODS = """
all any argmax argmin argpartition argsort conj conjugate copy cumprod cumsum diagonal dot max mean min nonzero prod
ravel repeat round searchsorted squeeze std sum swapaxes take trace var
"""
METHODS = frozenset(_METHODS.split())
"""The methods of an array that are NumPy's functions of the same name."""
