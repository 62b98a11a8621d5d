"""A mask forgotten, inverted, or one too many: wrong at some entries alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...engine.recording import Array
from ..evidence import Evidence, axes_of, equal


def flat(e: Evidence) -> Iterator[str]:
    """A right gradient of 0 everywhere."""
    if not np.any(e.right):
        yield (
            "mask ignored: the right gradient is 0 everywhere. If the forward goes in steps (np.round, a comparison), "
            "a straight-through estimator is checked with the forward that it stands for"
        )


def inverted(e: Evidence) -> Iterator[str]:
    """0 where it should not be, and only there."""
    if e.wrong.size > 1 and np.any(e.got) and not np.any((e.got != 0) & (e.right != 0)):
        yield "mask inverted: it is 0 where the right gradient is not, and not 0 where that is 0"


def array(e: Evidence) -> Iterator[str]:
    """Wrong where an array of the gradient's shape meets a condition, or at the labels' columns, or beside them."""
    for name, x in e.arrays.items() if not np.all(e.wrong) else ():
        yield from _condition(e, name, x)
        yield from _labels(e, name, x)


def _condition(e: Evidence, name: str, x: Array) -> Iterator[str]:
    if x.shape != e.wrong.shape or not np.any(e.wrong):
        return
    extra = np.all(e.right[e.wrong] == 0)
    conditions = {"== 0": x == 0, "< 0": x < 0, "<= 0": x <= 0, "> 0": x > 0}
    for told, condition in conditions.items():
        if np.array_equal(e.wrong, condition & (e.wrong | (e.right != 0) | extra)):
            yield f"{'mask ignored: ' if extra else ''}wrong only where {name} {told}"


def _labels(e: Evidence, name: str, x: Array) -> Iterator[str]:
    if x.dtype.kind not in "iu" or x.ndim != 1 or e.wrong.ndim != 2 or len(x) != len(e.wrong):
        return
    at_label = np.arange(e.wrong.shape[1]) == x[:, None]
    if not np.any(e.wrong & ~at_label):
        yield f"wrong only at column {name}: that of the correct class"
    if not np.any(e.wrong & at_label):
        yield f"wrong only beside column {name}: at the classes that are not correct"


def zeros(e: Evidence) -> Iterator[str]:
    """Wrong where one of the gradients is 0."""
    if np.all(e.wrong):
        return
    if np.all(e.right[e.wrong] == 0):
        yield "mask ignored: wrong only where the right gradient is 0"
    if not np.any(e.got[e.wrong]):
        yield (
            "a mask too many, or a loop that leaves out some: wrong only where it is 0, which the right "
            "gradient is not"
        )


def entry(e: Evidence) -> Iterator[str]:
    """Wrong at one of several entries."""
    if e.wrong.size > 1 and np.count_nonzero(e.wrong) == 1:
        yield "wrong at one entry alone: not a wrong formula, but a wrong index or an assignment"


def of_dout(e: Evidence) -> Iterator[str]:
    """``dout`` used without the output's mask."""
    out = e.arrays.get("the output")
    if out is None or out.shape != e.dout.shape or out.ndim < 1:
        return
    masked = e.dout * (out > 0)
    if not np.any(masked != e.dout):
        return
    told = "a mask forgotten: dout where dout times (the output > 0) is meant"
    for axes in axes_of(out.ndim):
        if equal(e.right, masked.sum(axis=axes)) and equal(e.got, e.dout.sum(axis=axes)):
            yield told
    for x in e.floats.values() if out.ndim == 2 else ():
        for factor in (x, x.T) if x.ndim == 2 else ():
            if _is_product(masked, factor, e.right) and _is_product(e.dout, factor, e.got):
                yield told


def _is_product(x: Array, factor: Array, product: Array) -> bool:
    """Tell whether a product of two matrices, in one order or the other, is this one."""
    return (x.shape[1] == len(factor) and equal(product, x @ factor)) or (
        factor.shape[1] == len(x) and equal(product, factor @ x)
    )
