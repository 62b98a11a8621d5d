"""A term of the formula missing: a mean's, a variance's, a penalty's, an inner sum's, one of two products'."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from ...engine.recording import Array
from ..evidence import Evidence, axes_of, equal


def multiple(e: Evidence) -> Iterator[str]:
    """The error is a multiple of an array."""
    residual = e.got - e.right
    for name, x in e.alike.items() if residual.size > 2 else ():
        factor = float(np.vdot(x, residual) / np.vdot(x, x))
        if equal(factor * x, residual):
            yield f"wrong by {factor:.6g} times {name}: the term of a penalty or of a square, missing or twice"


def along_an_axis(e: Evidence) -> Iterator[str]:
    """The error is constant along an axis, or in proportion to an array, or to one less its mean."""
    residual = e.got - e.right
    for axis, n in enumerate(residual.shape):
        if n > 1 and equal(np.broadcast_to(residual.mean(axis, keepdims=True), residual.shape), residual):
            yield (
                f"one term missing: wrong by something constant along axis {axis} (a mean's contribution, or that of "
                "a maximum or a sum)"
            )
    for (name, x), (axis, n) in itertools.product(e.alike.items(), enumerate(residual.shape)):
        share = np.sum(x * residual, axis, keepdims=True) / np.sum(x * x, axis, keepdims=True)
        if n > 1 and equal(share * x, residual):
            yield f"one term missing: along axis {axis} wrong in proportion to {name} (a sum's contribution)"
        mean, of_variance = _fitted(x, residual, axis)
        if n > 2 and equal(of_variance, residual):
            yield VARIANCE.format(f"along axis {axis}", name)
        if n > 3 and equal(mean + of_variance, residual):
            yield MEAN_AND_VARIANCE.format(f"along axis {axis}", name)


VARIANCE = "one term missing: {} wrong in proportion to {} less its mean (a variance's contribution)"
MEAN_AND_VARIANCE = (
    "terms missing: {} wrong by a constant and a multiple of {} (a mean's contribution and a variance's)"
)


def _fitted(x: Array, residual: Array, axis: int) -> tuple[Array, Array]:
    """Return the residual's mean along an axis, and the multiple of x less its mean that is nearest to the rest."""
    mean = residual.mean(axis, keepdims=True)
    centred = x - x.mean(axis, keepdims=True)
    share = np.sum(centred * (residual - mean), axis, keepdims=True) / np.sum(centred**2, axis, keepdims=True)
    return mean, share * centred


def along_groups(e: Evidence) -> Iterator[str]:
    """The same, where a mean is over several axes, or over a group of channels."""
    residual = e.got - e.right
    found = None
    for told, rows in _groups(residual):
        rest = rows(residual)
        if equal(np.broadcast_to(rest.mean(axis=1, keepdims=True), rest.shape), rest):
            yield f"one term missing: {told} wrong by something constant (a mean's contribution)"
        for name, x in e.alike.items():
            mean, of_variance = _fitted(rows(x), rest, 1)
            if equal(of_variance, rest):
                yield VARIANCE.format(told, name)
            if not found and rest.shape[1] > 3 and equal(mean + of_variance, rest):
                found = MEAN_AND_VARIANCE.format(told, name)
    if found:
        yield found


def _groups(x: Array) -> Iterator[tuple[str, Callable[[Array], Array]]]:
    """Yield what entries may share a mean, and the function that makes rows of them; the longest first."""
    found = []
    for axes in axes_of(x.ndim, 2):
        order = (*[axis for axis in range(x.ndim) if axis not in axes], *axes)
        found.append(
            (math.prod(x.shape[axis] for axis in axes), f"over axes {', '.join(map(str, axes))}", order)
        )
    for groups in range(2, x.shape[1]) if x.ndim > 2 else ():
        if x.shape[1] % groups == 0:
            length = math.prod(x.shape[1:]) // groups
            found.append((length, f"over each of {groups} groups of channels", tuple(range(x.ndim))))
    for length, told, order in sorted(found, key=lambda each: -each[0]):
        if length > 2:
            yield told, lambda y, order=order, length=length: np.transpose(y, order).reshape(-1, length)  # type: ignore[misc]


def product(e: Evidence) -> Iterator[str]:
    """A product with a matrix in place of its transpose, or one of two products."""
    if e.right.ndim != 2 or e.dout.ndim != 2:
        return
    for name, x in e.floats.items():
        if x.ndim != 2:
            continue
        is_square = x.shape == (e.dout.shape[1],) * 2
        if is_square and equal(e.got, e.dout @ x) and equal(e.right, e.dout @ x.T):
            yield f"a product with {name} where its transpose is meant"
        for told, left in (("dout", e.dout), ("dout^T", e.dout.T)):
            if left.shape[1] == x.shape[0] and equal(e.right - e.got, left @ x):
                yield f"one term missing: the product of {told} and {name}"


def softmax(e: Evidence) -> Iterator[str]:
    """The Jacobian of a softmax: of its diagonal alone, or with another axis."""
    p = e.arrays.get("the output")
    if p is None or p.shape != e.right.shape or e.dout.shape != p.shape:
        return
    if equal(e.got, e.dout * p * (1 - p)):
        yield "the softmax's Jacobian reduced to its diagonal, a(1 - a): all entries of a row depend on each other"
    for a, b in itertools.permutations(range(p.ndim), 2):
        for outer, inner in ((p, e.dout * p), (np.exp(p), e.dout)):
            sums = [outer * inner.sum(axis=axis, keepdims=True) for axis in (a, b)]
            if equal(e.got - e.right, sums[1] - sums[0]):
                yield f"an inner sum over the wrong axis: over axis {a}, where axis {b} is meant"
    if equal(e.got - e.right, (np.exp(p) - p) * e.dout.sum(axis=-1, keepdims=True)):
        yield "the logarithm of p where p is meant: the output where its exponential is"
