"""Another shape than the input's: an axis is not summed over, or too many are; transposed; not reshaped."""

from __future__ import annotations

from collections.abc import Iterator

from ...engine.recording import Array
from ..evidence import Evidence, axes_of, equal


def sum_missing(e: Evidence) -> Iterator[str]:
    """Not summed over some axes, or of axes of length 1 too many."""
    for axes in _summed(e.got, e.right):
        named = " and ".join(map(str, axes))
        if all(e.got.shape[axis] == 1 for axis in axes):
            yield f"an axis too many: axis {named} has length 1 (keepdims, or a missing reshape)"
        yield f"sum over axis {named} missing"


def summed_too_much(e: Evidence) -> Iterator[str]:
    """Summed over axes of the input."""
    for axes in _summed(e.right, e.got):
        yield f"summed over axis {' and '.join(map(str, axes))}, which the input has"


def _summed(x: Array, total: Array) -> Iterator[tuple[int, ...]]:
    """Yield the axes over which x sums to a total."""
    for axes in axes_of(x.ndim):
        if any(equal(x.sum(axis=axes, keepdims=keepdims), total) for keepdims in (False, True)):
            yield axes


def not_reshaped(e: Evidence) -> Iterator[str]:
    """The right numbers in another shape."""
    if e.got.size == e.right.size and equal(e.got.reshape(e.right.shape), e.right):
        yield f"not reshaped: its numbers are right, and x.reshape({e.right.shape}) makes it so"
