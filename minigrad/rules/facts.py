"""What is known of a function beside its rule, stated once: the engine, the compiler and the census read it here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

Memory = Literal["view", "out", "new", ""]


@dataclass(frozen=True)
class Facts:
    """What is known of one function.

    Attributes
    ----------
    constant
        Why its float results carry no gradient.
    discrete
        What its results are that could carry none: indices, booleans, shapes.
    no_gradient
        Why it has no rule and gets none.
    instead
        What to write in its place.
    in_place
        Whether it writes into its first argument.
    memory
        Where its result lies: ``"view"`` of the first operand; ``"out"``, wherever the argument ``out`` says;
        ``"new"`` memory; or, by default, perhaps any operand's.
    shape_from_values
        Whether its result's shape depends on values.
    complex_numbers
        Whether its rules hold for complex numbers.
    metadata
        Whether it reads no more than shape and dtype.
    checks
        Whether it refuses bad input, so that it is called even where nothing needs its result.
    whole
        For a function of ours that is captured as one call: the function that is called.
    """

    constant: str = ""
    discrete: str = ""
    no_gradient: str = ""
    instead: str = ""
    in_place: bool = False
    memory: Memory = ""
    shape_from_values: bool = False
    complex_numbers: bool = False
    metadata: bool = False
    checks: bool = False
    whole: Callable[..., Any] | None = None


FACTS: dict[Any, Facts] = {}
"""What is known, by the function a person calls."""
UNKNOWN = Facts()


def facts(function: Any) -> Facts:
    """Return what is known of a function."""
    return FACTS.get(function, UNKNOWN)


def state(*functions: Any, **known: Any) -> None:
    """Enter attributes of `Facts` for functions; what was stated of them before stays."""
    for function in functions:
        FACTS[function] = replace(facts(function), **known)


def named(names: str, module: Any = np) -> list[Any]:
    """Return the functions of these names that this version of NumPy has."""
    return [getattr(module, name) for name in names.split() if hasattr(module, name)]


_METHODS = """
all any argmax argmin argpartition argsort conj conjugate copy cumprod cumsum diagonal dot max mean min nonzero prod
ravel repeat round searchsorted squeeze std sum swapaxes take trace var
"""
METHODS = frozenset(_METHODS.split())
"""The methods of an array that are NumPy's functions of the same name."""
