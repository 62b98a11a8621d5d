"""Diagnosis of a wrong gradient: hypotheses, each tried on the returned gradient and the right one.

A diagnosis is a hint. It names the usual cause of a pattern of wrong numbers, or says that no known pattern fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..engine.recording import Array
from .evidence import Evidence, Hypothesis, equal, rows_along
from .mistakes import factors, masks, places, shapes, sums, terms

UNKNOWN = "not known: none of the usual mistakes fits"


def diagnose(evidence: Evidence) -> str:
    """Return the first mistake that explains the wrong entries, in words; ``UNKNOWN`` if none does."""
    if np.isnan(evidence.right).any():
        return "not looked for: too large for all of the right gradient to be known without the tape"
    with np.errstate(all="ignore"):
        if evidence.got.shape != evidence.right.shape:
            hypotheses = OF_SHAPES
        elif equal(evidence.got, evidence.right):  # which all hypotheses would explain
            hypotheses = (precision,)
        else:
            hypotheses = (*OF_VALUES, at_some_places)
        return next(_found(hypotheses, evidence), UNKNOWN)


def _found(hypotheses: Sequence[Hypothesis], evidence: Evidence) -> Iterator[str]:
    return (told for each in hypotheses for told in each(evidence))


def zero_or_nan(e: Evidence) -> Iterator[str]:
    """No numbers at all."""
    if not np.all(np.isfinite(e.got)):
        yield "it holds NaN or infinity: a division by 0, a logarithm of 0 or an exponential that overflowed"
    if not np.any(e.got):
        yield "it is 0 everywhere: nothing was assigned to it, or a mask took all"


def precision(e: Evidence) -> Iterator[str]:
    """The right numbers to a few digits."""
    if np.count_nonzero(e.wrong) < e.wrong.size / 2:
        return
    error = float(np.max(np.abs(e.got - e.right)) / np.max(np.abs(e.right)))
    if not 0 < error < 3e-3:
        return
    inside = "float32 somewhere inside, " if error > 1e-9 else ""
    yield f"correct to ~{error:.0e} only: {inside}a rounded constant, or an epsilon left out"


OF_VALUES: tuple[Hypothesis, ...] = (
    zero_or_nan,
    masks.flat,
    factors.sign,
    places.another_input,
    precision,
    factors.number,
    places.outputs,  # before sums over the output's entries, which may fit, too
    terms.softmax,
    terms.product,
    places.transposed,
    places.along_axes,
    sums.over_the_wrong_axis,
    sums.without_dout,
    sums.of_one_place,
    sums.assigned,
    sums.divided_by_count,
    masks.inverted,
    masks.array,
    masks.zeros,
    masks.entry,
    terms.multiple,
    terms.along_an_axis,
    factors.array,
    factors.channel,
    masks.of_dout,
    sums.taps,
    terms.along_groups,
    places.order_of_dout,
    places.jacobian_transposed,
    places.in_another_order,
    factors.place,
)
"""Of a gradient of the right shape; the likelier first, and those that leave less to chance."""

OF_SHAPES: tuple[Hypothesis, ...] = (
    places.another_input,
    shapes.sum_missing,
    places.transposed,
    shapes.not_reshaped,
    sums.over_the_wrong_axis,
    shapes.summed_too_much,
)
"""Of a gradient of another shape."""


def at_some_places(e: Evidence) -> Iterator[str]:
    """A mistake at some places along an axis alone, as of one gate of several."""
    for axis, n in enumerate(e.right.shape):
        wrong = np.flatnonzero(rows_along(e.wrong, axis).any(axis=1))
        if not 0 < len(wrong) < n or len(wrong) * (e.right.size // n) < 2:
            continue
        for told in _found(OF_VALUES, _part(e, wrong, axis - e.right.ndim)):
            yield f"along axis {axis} at {', '.join(map(str, wrong))} alone: {told}"


def _part(e: Evidence, places: Array, axis: int) -> Evidence:
    """Return the evidence at some places along an axis, counted from the last."""

    def some(x: Array) -> Array:
        return np.take(x, places, axis)

    return replace(
        e,
        got=some(e.got),
        right=some(e.right),
        wrong=some(e.wrong),
        input=some(e.input),
        others={},
        arrays={
            name: some(x)
            for name, x in e.arrays.items()
            if x.shape == e.right.shape and name != "the output"  # it has dout's places, not these
        },
        numbers={},
        terms=None if e.terms is None else some(e.terms),
    )
