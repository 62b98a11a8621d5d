"""Views of the tape: ``print(mg.tape(loss))``, ``mg.draw_tape(loss)``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import numpy as np

from ..engine.arguments import names_itself
from ..engine.recording import Call, Parent
from ..engine.tensor import Tensor
from ..engine.walk import ancestors
from ..engine.watch import check_unwritten
from .drawing import LIMIT, Drawing, constant_box, draw, leaf_box, said, too_long


@names_itself
def draw_tape(result: Tensor, gradients: bool = False, **leaves: Tensor) -> Drawing:
    """Draw the calls behind a tensor: ``mg.draw_tape(loss, W=W, b=b).save("loss.svg")``.

    Parameters
    ----------
    result : Tensor
        The tensor whose making is to be seen.
    gradients : bool
        Whether each box also shows the norm of the gradient of ``result`` with respect to it. The tape is walked
        back once; no leaf's ``grad`` is touched.
    **leaves : Tensor
        Names for leaves; others are called leaf0, leaf1, … in the order of their use.

    Returns
    -------
    Drawing
        A box for each call: its number and op, as ``print(mg.tape(...))`` has them, its options, the shape and
        the dtype of its result. Rounded boxes are leaves, dashed ones constants. Arrows go from operands to
        calls, which they enter in the order of the operands.

    Raises
    ------
    ValueError
        If there are more than 500 boxes; if gradients are asked for and there are none, or ``result`` has not
        one entry.
    RuntimeError
        If gradients are asked for and data was changed in place since the forward pass.
    """
    if not isinstance(result, Tensor):
        raise TypeError(f"draw_tape: result is a {type(result).__name__}; expected a tensor")
    taped = tape(result, **leaves)
    if len(taped) > LIMIT:
        raise too_long(len(taped))
    norms = gradient_norms(result, taped.calls) if gradients else {}
    if taped.calls:
        return draw(taped, norms)
    if not result.requires_grad:
        return Drawing([constant_box(result.data)], [])
    return Drawing([leaf_box(taped.names.get(id(result), "leaf0"), result, norms)], [])


def gradient_norms(result: Tensor, calls: Sequence[Call]) -> dict[int, float]:
    """Return the norm of each gradient: one backward step a call, with a leaf in place of each parent."""
    if result.size != 1 or not result.requires_grad:
        raise ValueError(
            f"draw_tape: gradients of a tensor of shape {result.shape} with requires_grad="
            f"{result.requires_grad}; expected one entry that requires a gradient: reduce it (t.sum()), or leave "
            "gradients out"
        )
    waiting: dict[int, Any] = {calls[-1][0] if calls else -id(result): np.ones(result.shape, result.dtype)}
    norms = {}
    for call in reversed(calls):
        check_unwritten(call)
        number, op, operands, parents, options, out = call
        g = waiting.pop(number)
        norms[number] = _norm(g)
        found = op.gradients(g.copy(), out, operands, options, parents)
        for i, parent in enumerate(parents):
            if parent is not None:
                key = parent[0] if type(parent) is tuple else -id(parent)
                dx = op.fitted(found[i], i, operands[i])
                waiting[key] = waiting[key] + dx if key in waiting else dx
    return norms | {key: _norm(g) for key, g in waiting.items()}


def _norm(g: Any) -> float:
    return float(np.linalg.norm(np.asarray(g, np.float64)))


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
        """Return the picture for a notebook; None for a tape without calls, or too long to be drawn."""
        from .drawing import draw

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


@names_itself
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
