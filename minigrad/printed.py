"""The tape as a table: ``print(mg.tape(loss))``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np

from .tape import Call, Parent, ancestors
from .tensor import Tensor

INSIDE = ("cache", "starts")
"""Options of the tape's own, which a printed tape leaves out."""
UNSAID = (("axis", None), ("keepdims", False))
"""Options at NumPy's default, which a printed tape leaves out."""


class Tape:
    """The calls behind a tensor, oldest first; ``print`` it to see them, one a line."""

    def __init__(self, calls: list[Call], names: dict[int, str]) -> None:
        self.calls = calls
        self.names = names

    def __len__(self) -> int:
        return len(self.calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self.calls)

    def __str__(self) -> str:
        places = {call[0]: f"%{i}" for i, call in enumerate(self.calls)}
        rows = [("", "op", "operands", "shape", "dtype")]
        for number, op, operands, parents, options, out in self.calls:
            shown = [self._show(x, p, places) for x, p in zip(operands, parents, strict=True)]
            shown += said(options)
            rows.append((places[number], op.name, ", ".join(shown), str(out.shape), str(out.dtype)))
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    __repr__ = __str__

    def _repr_svg_(self) -> str | None:
        """Return the picture that a notebook shows; None for a tape without calls, or too long to be drawn."""
        from .drawn import draw

        try:
            return draw(self).svg if self.calls else None
        except ValueError:
            return None

    def _show(self, operand: Any, parent: Parent, places: dict[int, str]) -> str:
        if isinstance(parent, tuple):
            return places[parent[0]]
        if parent is not None:
            return self.names[id(parent)]
        if isinstance(operand, np.ndarray) and operand.size != 1:
            return f"{operand.dtype}{list(operand.shape)}"
        return str(operand)


def said(options: dict[str, Any]) -> list[str]:
    """Return the options of a call as they are printed: those that say something."""
    return [
        f"{name}={value!r}"
        for name, value in options.items()
        if name not in INSIDE and (name, value) not in UNSAID
    ]


def tape(result: Tensor, **leaves: Tensor) -> Tape:
    """Return the calls behind a tensor, oldest first: ``print(mg.tape(loss, W=W, b=b))``.

    Parameters
    ----------
    result : Tensor
        The tensor whose making is to be seen.
    **leaves : Tensor
        Names for leaves; others are called leaf0, leaf1, … in the order of their use.

    Returns
    -------
    Tape
        One line a call: its number, the op, its operands (``%3`` is the result of call 3; a leaf's name; the
        value or the dtype and shape of a constant) and options, the shape and the dtype of its result.
    """
    for name, leaf in {"result": result, **leaves}.items():
        if not isinstance(leaf, Tensor):
            raise TypeError(f"tape: {name} is {type(leaf).__name__}; expected a tensor")
    calls = [] if result._call is None else [call for _, call in sorted(ancestors(result._call)[0].items())]
    names = {id(leaf): name for name, leaf in leaves.items()}
    unused = (name for name in map("leaf{}".format, count()) if name not in leaves)
    for call in calls:
        for parent in call[3]:
            if isinstance(parent, Tensor) and id(parent) not in names:
                names[id(parent)] = next(unused)
    return Tape(calls, names)
