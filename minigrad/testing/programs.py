"""Random tape programs: straight lines of NumPy calls on drawn arrays, as Python source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg

from ..engine.arguments import names_itself
from ..engine.recording import Array
from .arrays import HypothesisDraw
from .layouts import array_code, imports_for
from .statements import write_statement
from .writer import Writer

GO_ON = 99
"""The odds of another statement after each."""


@dataclass(frozen=True, eq=False, repr=False)
class Program:
    """A function as Python source, and inputs for it; its ``repr`` is both, as code that can be pasted.

    Attributes
    ----------
    source : str
        The definition of a function called ``program``, which needs ``np`` and ``mg``.
    inputs : tuple of ndarrays
        The drawn inputs. Any others of these shapes and dtypes do; with entries of absolute value up to 2 nothing
        overflows. Only the drawn ones are known to be away from kinks.
    """

    source: str
    inputs: tuple[Array, ...]
    function: Callable[..., Any] = field(init=False)

    def __post_init__(self) -> None:
        namespace: dict[str, Any] = {"np": np, "mg": mg}
        exec(compile(self.source, "<program>", "exec"), namespace)
        object.__setattr__(self, "function", namespace["program"])

    def __call__(self, *arrays: Any) -> Any:
        """Return the result for arrays, or tensors."""
        return self.function(*arrays)

    def __repr__(self) -> str:
        names = [f"x{i}" for i in range(len(self.inputs))]
        arrays = [f"{name} = {array_code(x)}" for name, x in zip(names, self.inputs, strict=True)]
        call = f"result = program({', '.join(names)})"
        imports = imports_for(arrays, "import minigrad as mg")
        return "\n".join(["", *imports, "", self.source, *arrays, call, ""])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print itself as code in Hypothesis's report, too."""
        printer.text(repr(self))


@names_itself
def programs(
    *,
    outputs: str = "scalar",
    max_lines: int = 10,
    dtypes: Sequence[Any] = (np.float64,),
    min_side: int = 1,
) -> st.SearchStrategy[Program]:
    """Return a strategy for random programs that run on NumPy, on the tape and under every transformation.

    Their values are used more than once or never, and written in place; there are views, broadcasting,
    reductions, products, joins, layers, constants and one expression twice.

    Parameters
    ----------
    outputs : {"scalar", "arrays"}
        The result of a program: a number, to be differentiated; or an array, a tuple, a list or a dict of arrays.
    max_lines : int
        The maximum number of statements; some write several lines.
    dtypes
        The float dtypes from which each input's is drawn.
    min_side : int
        0: axes may be empty.

    Examples
    --------
    >>> from hypothesis import given
    >>> import minigrad as mg
    >>> from minigrad.gradient_check import check_grads
    >>> from minigrad.testing import programs
    >>> @given(programs())
    ... def test_gradients(program):
    ...     check_grads(program, *program.inputs)
    """
    if outputs not in ("scalar", "arrays"):
        raise ValueError(f"programs: outputs is {outputs!r}; expected 'scalar' or 'arrays'")

    @st.composite
    def drawn(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Program:
        writer = Writer(HypothesisDraw(draw), list(dtypes), min_side)
        writer.input(writer.draw.shape(writer.draw.choice([0, 1, 2, 2]), 3, min_side))
        write_statement(writer)
        statements = 1
        while statements < max_lines and writer.draw.integer(0, GO_ON):
            write_statement(writer)
            statements += 1
        return Program(writer.source(outputs), tuple(writer.inputs.values()))

    return drawn()
