"""Mistakes of place: outputs exchanged, dout in another order, a Jacobian not transposed, right numbers elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from ..engine.recording import Array
from .evidence import Evidence, Hypothesis, equal

LISTED = 8
"""The most numbers of an order, or factors, that are listed."""


def _listed(numbers: Array) -> str:
    """Write the first numbers of a list."""
    told = ", ".join(f"{x:.6g}" for x in numbers[:LISTED])
    return told + (", …" if len(numbers) > LISTED else "")


def _jacobian(e: Evidence) -> Array | None:
    """Return the derivative of each entry of the output by each of the input; None where it is not known."""
    if e.terms is None or not e.terms.size or np.any(e.dout == 0):
        return None
    return e.terms / e.dout.reshape(e.dout.shape + (1,) * e.right.ndim)


def _of_outputs(e: Evidence) -> str | None:
    """Of several outputs the dout of one is not used, or that of another."""
    jacobian = _jacobian(e)
    if jacobian is None or len(e.outputs) < 2:
        return None
    ends = np.cumsum([0, *e.outputs])
    places = [slice(start, stop) for start, stop in itertools.pairwise(ends)]
    for k, place in enumerate(places):
        if equal(e.got, e.right - e.terms[place].sum(axis=0)):  # type: ignore[index]
            return f"the dout of output {k} is not used"
    for i, j in itertools.combinations(range(len(places)), 2):
        if e.outputs[i] == e.outputs[j]:
            dout = e.dout.copy()
            dout[places[i]], dout[places[j]] = e.dout[places[j]], e.dout[places[i]]
            if equal(e.got, np.tensordot(dout, jacobian, 1)):
                return f"the douts of outputs {i} and {j} are exchanged"
    return None


def _read_otherwise(x: Array) -> Iterator[Array]:
    """Yield an array as it is after a reshape where its axes are to be permuted, or the other way round."""
    for order in itertools.permutations(range(x.ndim)):
        if order != tuple(range(x.ndim)):
            yield np.transpose(x, order).reshape(x.shape)
            yield np.transpose(x.reshape([x.shape[axis] for axis in order]), np.argsort(order))


def _order_of_dout(e: Evidence) -> str | None:
    """``dout`` reshaped where its axes are to be permuted."""
    jacobian = _jacobian(e)
    if jacobian is None or not 2 <= e.dout.ndim <= 4:
        return None
    for dout in _read_otherwise(e.dout):
        if equal(e.got, np.tensordot(dout, jacobian, dout.ndim)):
            return (
                "dout read in another order: a reshape in place of a transpose, or the axes in another order"
            )
    return None


def _not_transposed(e: Evidence) -> str | None:
    """The Jacobian where its transpose is meant: of all entries, or along one axis."""
    jacobian = _jacobian(e)
    if jacobian is None or not e.dout.ndim or not e.right.ndim:
        return None
    out = e.dout.ndim
    if e.dout.shape == e.right.shape and equal(e.got, np.tensordot(jacobian, e.dout, out)):
        return (
            "the Jacobian where its transpose is meant: of a rotation its inverse, of a matrix its transpose"
        )
    for a, b in itertools.product(range(out), range(e.right.ndim)):
        if e.dout.shape[a] == e.right.shape[b] > 1:
            swapped = np.swapaxes(jacobian, a, out + b)
            if equal(e.got, np.tensordot(e.dout, swapped, out)):
                return f"a matrix where its transpose is meant, along axis {b}"
    return None


def _elsewhere(e: Evidence) -> str | None:
    """The right numbers in other places."""
    if e.right.size < 3 or not equal(np.sort(e.got, axis=None), np.sort(e.right, axis=None)):
        return None
    for axis, n in enumerate(e.right.shape):
        got, right = [np.moveaxis(x, axis, 0).reshape(n, -1) for x in (e.got, e.right)]
        near = np.abs(got[:, None] - right[None]).max(axis=2) <= 1e-5 * np.abs(right).max()
        order = near.argmax(axis=1)
        if n > 1 and near.any(axis=1).all() and len(set(order)) == n:
            return f"in another order along axis {axis}: the right gradient's {_listed(order)}"
    return "the right numbers in other places: a reshape, a transpose or an index in another order"


def _factors(e: Evidence) -> str | None:
    """Another factor for each place along one axis, as by the lengths of sequences."""
    for axis, n in enumerate(e.right.shape):
        got, right = [np.moveaxis(x, axis, 0).reshape(n, -1) for x in (e.got, e.right)]
        if n < 2 or right.shape[1] < 2:
            continue
        squares = (right**2).sum(axis=1)
        factors = np.where(squares > 0, (got * right).sum(axis=1) / np.where(squares > 0, squares, 1), 0.0)
        # Where a factor is 1, the others are looked at alone.
        if np.all(np.abs(factors - 1) > 1e-4) and equal(factors[:, None] * right, got):
            return f"off by a factor for each place along axis {axis}: {_listed(factors)}"
    return None


BEFORE: tuple[Hypothesis, ...] = (_of_outputs,)
"""To be tried before those of sums over the output's entries, which may fit, too."""
MISPLACED: tuple[Hypothesis, ...] = (_order_of_dout, _not_transposed, _elsewhere, _factors)
