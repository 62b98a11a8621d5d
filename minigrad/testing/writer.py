"""The writer of a random program: each line is run at once, so that shape, dtype and kinks of every value are known.

Each value has a bound that holds for all inputs of absolute value up to 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from re import findall
from typing import Any

import numpy as np

import minigrad as mg

from ..engine.recording import Array
from .arrays import HypothesisDraw

CLEAR = 0.01
"""The least distance of a drawn program's values from its kinks."""

LARGEST = 8.0
"""A value that may exceed this is scaled or squashed."""

MOST_ENTRIES = 100


class NothingFits(Exception):
    """No existing value fits the statement."""


class Writer:
    """Writes a program, and runs it line by line."""

    def __init__(self, draw: HypothesisDraw, dtypes: list[Any], min_side: int) -> None:
        self.draw = draw
        self.dtypes = dtypes
        self.min_side = min_side
        self.inputs: dict[str, Array] = {}
        self.lines: list[str] = []
        self.expressions: list[tuple[str, float]] = []
        self.values: dict[str, Any] = {}
        self.bounds: dict[str, float] = {}
        self.read: set[str] = set()

    def input(self, shape: tuple[int, ...]) -> str:
        """Add an input, and return its name."""
        name = f"x{len(self.inputs)}"
        self.draw.dtype = self.draw.choice(self.dtypes)
        self.inputs[name] = self.values[name] = self.draw.array(shape)
        self.bounds[name] = 2.0
        return name

    def pick(self, fits: Callable[[Any], bool] = lambda x: True) -> str:
        """Draw one of the values, and return its name."""
        names = [name for name, x in self.values.items() if fits(x)]
        if not names:
            raise NothingFits
        return str(self.draw.choice(names))

    def of_shape(self, shape: tuple[int, ...]) -> str:
        """Draw a value of this shape, or make it an input."""
        names = [name for name, x in self.values.items() if x.shape == shape]
        return str(self.draw.choice([*names, None]) or self.input(shape))

    def fitting(self, x: str) -> str:
        """Draw a value that broadcasts with another one, or an input that does."""
        shape = self.values[x].shape
        names = [name for name, y in self.values.items() if _broadcast(shape, y.shape)]
        if chosen := self.draw.choice([*names, None]):
            return str(chosen)
        cut = shape[self.draw.integer(0, len(shape)) :]
        return self.input(tuple(self.draw.choice([side, 1]) for side in cut))

    def let(self, expression: str, bound: float) -> str:
        """Write ``t = expression``, scaled or squashed if it may be large, and return the name."""
        if bound > LARGEST:
            scale = 2.0 ** -math.ceil(math.log2(bound / 2))
            expression, bound = self.draw.choice(
                [(f"np.tanh({expression})", 1.0), (f"{scale} * ({expression})", bound * scale)]
            )
        value = self.run(expression)
        if value.size > MOST_ENTRIES:
            raise NothingFits
        name = f"t{len(self.values) - len(self.inputs)}"
        self.lines.append(f"{name} = {expression}")
        self.expressions.append((expression, bound))
        self.values[name], self.bounds[name] = value, bound
        return name

    def run(self, expression: str) -> Any:
        """Return an expression's value for the drawn inputs."""
        self.read.update(findall(r"\b[xt]\d+\b", expression))
        return eval(expression, {"np": np, "mg": mg}, self.values)

    def write(self, line: str, target: str, bound: float) -> None:
        """Write a line that changes a value in place."""
        exec(line, {"np": np, "mg": mg}, self.values)
        self.lines.append(line)
        self.read.add(line.split()[-1])
        self.bounds[target] = bound

    def keep_clear(self, expression: str) -> None:
        """Refuse a statement whose kink, a zero of the expression, is near; at an exact zero all is flat."""
        distance = np.abs(self.run(expression))
        if np.any((distance > 0) & (distance < CLEAR)):
            raise NothingFits

    def source(self, outputs: str) -> str:
        """Return the program as source; its result combines most unused values, and one more."""
        written = [name for name in self.values if name not in self.inputs][::-1] or ["x0"]
        unused = [name for name in written[1:] if name not in self.read]
        chosen = [written[0], *(name for name in unused if self.draw.choice([True, True, True, False]))]
        if (one_more := self.draw.choice([None, *self.values])) is not None and one_more not in chosen:
            chosen.append(one_more)
        if outputs == "scalar":
            parts = [self.reduced(name) for name in chosen]
            result = " + ".join(parts)
        else:
            pairs = ", ".join(f'"{name}": {name}' for name in chosen)
            all_of = ", ".join(chosen)
            result = self.draw.choice(
                [chosen[0], f"({all_of}{',' * (len(chosen) == 1)})", f"[{all_of}]", f"{{{pairs}}}"]
            )
        head = f"def program({', '.join(self.inputs)}):"
        return "\n    ".join([head, *self.lines, f"return {result}"]) + "\n"

    def reduced(self, name: str) -> str:
        """Return an expression that reduces a value to a number."""
        forms = ["np.sum({})", "{}.sum()"]
        if self.values[name].size:
            forms += ["np.mean({})", "{}.mean()"]
        return str(self.draw.choice(forms)).format(name)


def _broadcast(*shapes: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True
