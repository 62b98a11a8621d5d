"""Rule of piecewise linear interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .indexing import getitem, scatter
from .metadata import as_operand, outline
from .table import Arguments, Draw, declare


def _interp_inputs(draw: Draw) -> Arguments:
    n = draw.integer(2, 4)
    xp = np.asarray(np.sort(draw.array((n,)), axis=0))
    options = draw.choice([{}, {"left": 0.5}, {"right": -0.5}, {"period": 5.0}, {"period": -2.5}])
    return (draw.array(low=-3.0, high=3.0), xp, draw.array((n,))), options


def _doubles(*arrays: Any) -> list[Any]:
    """Return arrays of float64, which np.interp computes with."""
    operands = [as_operand(x, float) for x in arrays]
    if any(x.dtype.kind == "c" for x in operands):
        raise TypeError(
            "numpy.interp: no backward rule for complex numbers; interpolate their parts, np.interp(x, xp, np.real(fp))"
            " + 1j * np.interp(x, xp, np.imag(fp))"
        )
    return [x.astype(np.float64, casting="same_kind", copy=False) for x in operands]


def _interp_call(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Arguments:
    """Sort the nodes of a period, and go on by one node on each side."""
    if period is None:
        return (x, xp, fp), {"left": left, "right": right}
    x, xp, fp = _doubles(x, xp, fp)
    np.interp(0.0, outline(xp.shape), outline(fp.shape), period=period)  # raises what NumPy raises
    period = abs(float(period))
    x, xp = x % period, xp % period
    order = np.argsort(xp)
    xp, fp = getitem(xp, (order,)), getitem(fp, (order,))
    xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
    return (x, xp, np.concatenate([fp[-1:], fp, fp[:1]])), {}


def _interp(
    needs: Sequence[Any], g: Any, out: Any, x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None
) -> list[Any]:
    """Between two nodes both have a share; at a node the slope for x is that to its right."""
    x, xp, fp = _doubles(x, xp, fp)
    last = len(xp) - 1
    found = np.searchsorted(xp, x, side="right") - 1
    inside = np.logical_and(np.greater_equal(found, 0), np.less(found, last))
    start = np.maximum(found, 0)
    end = np.minimum(start + 1, last)
    before = getitem(xp, (start,))
    width = np.where(inside, getitem(xp, (end,)) - before, 1)
    share = np.where(inside, (x - before) / width, 0)

    def to_nodes(g: Any) -> Any:
        return scatter((1 - share) * g, (start,), xp.shape) + scatter(share * g, (end,), xp.shape)

    of_x = g * np.where(inside, (getitem(fp, (end,)) - getitem(fp, (start,))) / width, 0)
    if left is not None:
        g = np.where(np.less(found, 0), 0, g)
    if right is not None:
        g = np.where(np.greater(x, xp[-1]), 0, g)
    return [of_x, -to_nodes(of_x) if needs[1] else None, to_nodes(g) if needs[2] else None]


declare(
    np.interp,
    together=_interp,
    bind=_interp_call,
    forward=lambda x, xp, fp, **ends: np.interp(*_doubles(x, xp, fp), **ends),
    inputs=_interp_inputs,
    memory="new",
)
