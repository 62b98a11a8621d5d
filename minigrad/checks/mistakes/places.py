"""The right numbers in other places: another input's, transposed, reversed, shifted; or dout's, or the Jacobian's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from ...engine.recording import Array
from ..evidence import Evidence, axes_of, equal, rows_along
from .factors import listed


def another_input(e: Evidence) -> Iterator[str]:
    """The gradient of another input."""
    for name, other in e.others.items():
        if equal(e.got, other):
            order = "" if name in e.fit else "gradients returned in another order: "
            yield f"{order}it is the gradient of {name}" + (", whose own is right" if name in e.fit else "")


def transposed(e: Evidence) -> Iterator[str]:
    """The transpose, or two axes swapped."""
    if e.got.ndim > 1 and equal(e.got.T, e.right):
        yield "transposed: it is the transpose of the right gradient"
    for a, b in itertools.combinations(range(e.got.ndim), 2):
        if equal(np.swapaxes(e.got, a, b), e.right):
            yield f"transposed: axes {a} and {b} are swapped"


def along_axes(e: Evidence) -> Iterator[str]:
    """Reversed or shifted along an axis, reversed along several, or read along them in another order."""
    for axis, n in enumerate(e.right.shape):
        if n > 1 and equal(np.flip(e.got, axis), e.right):
            yield f"reversed along axis {axis}"
        for by in (1, -1) if n > 2 else ():
            kept = slice(1, None) if by == 1 else slice(None, -1)
            inner = (slice(None),) * axis + (kept,)
            if equal(e.got[inner], np.roll(e.right, by, axis)[inner]):
                yield f"shifted by one along axis {axis}: an index is off by one"

    for axes in axes_of(e.right.ndim, 2):
        if equal(np.flip(e.got, axes), e.right):
            which = "all axes" if len(axes) == e.right.ndim else f"axes {' and '.join(map(str, axes))}"
            yield f"reversed along {which}: a kernel that is flipped, or is to be"
    if e.right.size > 1 and equal(e.got, e.right.ravel(order="F").reshape(e.right.shape)):
        yield "reshaped in another order of the axes (transposed and reshaped)"


def in_another_order(e: Evidence) -> Iterator[str]:
    """In another order along an axis, or of all entries."""
    if e.right.size < 3 or not equal(np.sort(e.got, axis=None), np.sort(e.right, axis=None)):
        return
    for axis, n in enumerate(e.right.shape):
        got, right = rows_along(e.got, axis), rows_along(e.right, axis)
        near = np.abs(got[:, None] - right[None]).max(axis=2) <= 1e-5 * np.abs(right).max()
        order = near.argmax(axis=1)
        if n > 1 and near.any(axis=1).all() and len(set(order)) == n:
            yield f"in another order along axis {axis}: the right gradient's {listed(order)}"
    yield "the right numbers in other places: a reshape, a transpose or an index in another order"


# -- of dout and of the Jacobian ---------------------------------------------------------------------------------


def _jacobian(e: Evidence) -> Array | None:
    """Return the derivative of each entry of the output by each of the input; None where it is not known."""
    if e.terms is None or not e.terms.size or np.any(e.dout == 0):
        return None
    return e.terms / e.along_terms(e.dout)


def outputs(e: Evidence) -> Iterator[str]:
    """Of several outputs the dout of one is not used, or that of another."""
    jacobian = _jacobian(e)
    if jacobian is None or len(e.outputs) < 2:
        return
    ends = np.cumsum([0, *e.outputs])
    places = [slice(start, stop) for start, stop in itertools.pairwise(ends)]
    for k, place in enumerate(places):
        if equal(e.got, e.right - np.tensordot(e.dout[place], jacobian[place], 1)):
            yield f"the dout of output {k} is not used"
    for i, j in itertools.combinations(range(len(places)), 2):
        if e.outputs[i] == e.outputs[j]:
            dout = e.dout.copy()
            dout[places[i]], dout[places[j]] = e.dout[places[j]], e.dout[places[i]]
            if equal(e.got, np.tensordot(dout, jacobian, 1)):
                yield f"the douts of outputs {i} and {j} are exchanged"


def order_of_dout(e: Evidence) -> Iterator[str]:
    """``dout`` reshaped where its axes are to be permuted."""
    jacobian = _jacobian(e)
    if jacobian is None or not 2 <= e.dout.ndim <= 4:
        return
    for dout in _read_otherwise(e.dout):
        if equal(e.got, np.tensordot(dout, jacobian, dout.ndim)):
            yield (
                "dout read in another order: a reshape in place of a transpose, or the axes in another order"
            )


def _read_otherwise(x: Array) -> Iterator[Array]:
    """Yield an array as it is after a reshape where its axes are to be permuted, or the other way round."""
    for order in itertools.permutations(range(x.ndim)):
        if order != tuple(range(x.ndim)):
            yield np.transpose(x, order).reshape(x.shape)
            yield np.transpose(x.reshape([x.shape[axis] for axis in order]), np.argsort(order))


def jacobian_transposed(e: Evidence) -> Iterator[str]:
    """The Jacobian where its transpose is meant: of all entries, or along one axis."""
    jacobian = _jacobian(e)
    if jacobian is None or not e.dout.ndim or not e.right.ndim:
        return
    out = e.dout.ndim
    if e.dout.shape == e.right.shape and equal(e.got, np.tensordot(jacobian, e.dout, out)):
        yield (
            "the Jacobian where its transpose is meant: of a rotation its inverse, of a matrix its transpose"
        )
    for a, b in itertools.product(range(out), range(e.right.ndim)):
        if e.dout.shape[a] == e.right.shape[b] > 1:
            swapped = np.swapaxes(jacobian, a, out + b)
            if equal(e.got, np.tensordot(e.dout, swapped, out)):
                yield f"a matrix where its transpose is meant, along axis {b}"
