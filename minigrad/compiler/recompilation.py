"""Warnings of a function that is compiled again and again, or not at all, with what to write instead."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from .environment.outside import Outside
from .environment.signature import differing_number, flatten, numbers
from .where import Begins

VALUES = 5
"""The number of values of one number to compile for, after which a warning is given."""
MOST_BEGINNINGS = 10
"""The number of consecutive calls that initialize their own state, after which a warning is given."""


class Recompilation:
    """Counts why a function has been compiled anew.

    Attributes
    ----------
    beginnings
        The number of calls that initialized their state, since the function was last compiled.
    changes
        How often each outside value has made it compile anew.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.beginnings = 0
        self.changes: Counter[Any] = Counter()

    def warn_of_a_number(
        self, signature: tuple[Any, ...], others: Sequence[tuple[Any, ...]], named: Sequence[tuple[str, Any]]
    ) -> None:
        """Warn when a signature differs from several earlier ones in the value of one number alone.

        ``named`` are the arguments, by name.
        """
        counts = Counter(differing_number(signature, other) for other in others)
        for i, (name, value) in enumerate(each for pair in named for each in numbers(*pair)):
            if counts[i] == VALUES - 1:
                dtype = "int64" if type(value) is int else float_dtype([x for _, x in named])
                warnings.warn(
                    f"jit: {self.name} was compiled {VALUES} times, for as many values of {name}; if it "
                    f"changes often, give np.{dtype}({name}), whose value is no part of the signature",
                    stacklevel=5,
                )

    def warn_of_a_beginning(self, error: Exception) -> None:
        """Warn when call after call initializes its state, and so runs uncompiled."""
        self.beginnings += isinstance(error, Begins)
        if isinstance(error, Begins) and self.beginnings == MOST_BEGINNINGS:
            warnings.warn(f"{error}, in each of {MOST_BEGINNINGS} calls: it is not compiled", stacklevel=4)

    def warn_of_a_change(self, before: Outside | None) -> None:
        """Warn when an array or a number that the function reads from outside has changed several times."""
        if before is None:
            return
        what, place = before.changed_array(), before.changed_number()
        if not what and place is not None:
            what = place[1] if isinstance(place[1], str) else "a number"
        key = what, place and id(place[0])
        self.changes[key] += 1
        if what and self.changes[key] == VALUES - 1:
            warnings.warn(
                f"jit: {self.name} was compiled {VALUES} times, for as many values of {what} that it "
                "reads from outside; make it an argument",
                stacklevel=5,
            )


def float_dtype(arguments: Sequence[Any]) -> str:
    """Return the name of the dtype that the floats among the arrays in arguments are promoted to."""
    leaves: list[Any] = []
    flatten(arguments, leaves, [])
    dtypes = [x.dtype for x in leaves if hasattr(x, "dtype") and x.dtype.kind == "f"]
    return np.result_type(*dtypes).name if dtypes else "float64"
