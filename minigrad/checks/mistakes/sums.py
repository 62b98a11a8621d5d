"""Wrong sums, found from the terms: what each entry of the output contributes to each of the gradient."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...engine.recording import Array
from ..evidence import Evidence, equal


def over_the_wrong_axis(e: Evidence) -> Iterator[str]:
    """Summed over all but one axis of the output, in place of the right one."""
    if e.terms is None:
        return
    for axis in range(e.dout.ndim):
        rest = tuple(i for i in range(e.terms.ndim) if i != axis)
        if equal(e.got, e.terms.sum(axis=rest)):
            yield f"sum over the wrong axis: dout's axis {axis} is kept, which is to be summed over"


def without_dout(e: Evidence) -> Iterator[str]:
    """As for a dout of ones."""
    jacobian = _jacobian(e)
    if jacobian is not None and equal(e.got, jacobian.sum(axis=tuple(range(e.dout.ndim)))):
        yield "dout is not used: it is the gradient for a dout of ones"


def of_one_place(e: Evidence) -> Iterator[str]:
    """The first or the last place along an axis of the output alone."""
    if e.summands is None or (e.dout.ndim < 2 and e.right.ndim < 2):
        return
    for axis in range(e.dout.ndim):
        for place, which in ((0, "first"), (-1, "last")):
            terms = np.take(e.summands, place, axis)
            if equal(e.got, terms.sum(axis=tuple(range(e.dout.ndim - 1)))):
                yield f"sum over axis {axis} missing: only its {which} entry counts"


def assigned(e: Evidence) -> Iterator[str]:
    """One term, written over the others by ``=``: the last or the first that is not 0, or another."""
    if e.summands is None or e.dout.size < 2:
        return
    out = e.dout.ndim
    for axes in range(out):  # a loop over the last axes; over the first ones the sum is right
        terms = e.summands.sum(axis=tuple(range(axes))).reshape(-1, e.right.size)
        last = len(terms) - 1 - np.argmax(terms[::-1] != 0, axis=0)
        first = np.argmax(terms != 0, axis=0)
        for places, which in ((last, "last"), (first, "first")):
            picked = np.take_along_axis(terms, places[None], axis=0)
            if equal(e.got, picked.reshape(e.right.shape)):
                yield f"= in place of +=: of all terms that add up only the {which} one counts"
    for axes in range(out):
        terms = e.summands.sum(axis=tuple(range(out - axes, out))).reshape(-1, e.right.size)
        if _one_counts(terms, e):
            yield "of the terms that add up only one counts: = in place of +=, or a loop that leaves out some"


def _one_counts(terms: Array, e: Evidence) -> bool:
    """Tell whether each wrong entry is one of its terms, or 0, written over the others; at least two are one."""
    got, right = e.got.reshape(1, -1), e.right.reshape(1, -1)
    is_one = (np.abs(terms - got) <= 1e-5 * np.abs(right).max()) & (terms != 0)
    several = np.count_nonzero(terms, axis=0) > 1
    one, wrong = is_one.any(axis=0), e.wrong.ravel()
    explained = one | (got[0] == 0)
    return bool(explained[wrong].all() and np.count_nonzero(one & several & wrong) > 1)


def divided_by_count(e: Evidence) -> Iterator[str]:
    """The mean of the terms that are not 0."""
    if e.summands is None:
        return
    count = np.maximum(np.count_nonzero(e.summands, axis=tuple(range(e.dout.ndim))), 1)
    if equal(e.got, e.right / count):
        yield "a mean in place of a sum: divided by the number of terms that add up"


def taps(e: Evidence) -> Iterator[str]:
    """The taps of a kernel in reverse, or one of them left out: entries of the Jacobian along its diagonals."""
    jacobian = _jacobian(e)
    if e.summands is None or jacobian is None or not e.right.ndim:
        return
    out, rows, columns = e.dout.ndim, e.dout.shape[-1], e.right.shape[-1]
    summed = tuple(range(out))
    for count in range(1, min(out, e.right.ndim, 2) + 1):
        axes = (*range(out - count, out), *range(-count, 0))
        if equal(e.got, (e.along_terms(e.dout) * np.flip(jacobian, axes)).sum(axis=summed)):
            yield "reversed taps: the kernel is flipped, or is to be"
    apart = np.arange(columns) - np.arange(rows)[:, None]
    for offset in np.unique(apart) if rows > 1 and columns > 1 else ():
        tap = (apart == offset).reshape(*[1] * (out - 1), rows, *[1] * (e.right.ndim - 1), columns)
        if equal(e.right - e.got, (e.summands * tap).sum(axis=summed)):
            yield f"a tap missing: what input i + {offset} along the last axis gives to output i"


def _jacobian(e: Evidence) -> Array | None:
    """Return the derivative of each entry of the output by each of the input; 0 where dout is 0."""
    if e.summands is None:
        return None
    return e.summands / e.along_terms(np.where(e.dout == 0, 1, e.dout))
