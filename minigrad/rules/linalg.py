"""Rules of the products: matmul, dot, vdot, outer, tensordot, einsum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from string import ascii_letters
from typing import Any

import numpy as np

from .table import Arguments, Draw, compose, declare


def _matmul_inputs(draw: Draw) -> Arguments:
    n, k, m = (draw.integer(0, 3) for _ in range(3))
    x_batch, y_batch = draw.choice([((2,), ()), ((), (2,)), ((2, 1), (3,)), ((2, 3), (1, 3)), ((0,), (1,))])
    x_shape = draw.choice([(k,), (n, k), (*x_batch, n, k)])
    y_shape = draw.choice([(k,), (k, m), (*y_batch, k, m)])
    return (draw.array(x_shape), draw.array(y_shape)), {}


def _dense(g: Any) -> Any:
    """Copy a broadcast view, which would keep matmul from the BLAS."""
    return g.copy() if type(g) is np.ndarray and 0 in g.strides else g


def _matmul_left(g: Any, out: Any, x1: Any, x2: Any) -> Any:
    """G y^T for matrices."""
    if x2.ndim == 1:
        return np.expand_dims(g, -1) * x2
    if x1.ndim == 1:
        return (np.expand_dims(g, -2) @ np.swapaxes(x2, -1, -2))[..., 0, :]
    return _dense(g) @ np.swapaxes(x2, -1, -2)


def _matmul_right(g: Any, out: Any, x1: Any, x2: Any) -> Any:
    """x^T g for matrices; for a stack of x against one matrix, one product of all its rows."""
    if x1.ndim == 1:
        return x1 * g if x2.ndim == 1 else np.expand_dims(x1, -1) * np.expand_dims(g, -2)
    if x2.ndim == 1:
        return (np.swapaxes(x1, -1, -2) @ np.expand_dims(g, -1))[..., 0]
    if x1.ndim > 2 and x2.ndim == 2:
        rows = math.prod(x1.shape[:-1])
        x1, g = np.reshape(x1, (rows, x1.shape[-1])), np.reshape(g, (rows, g.shape[-1]))
    return np.swapaxes(x1, -1, -2) @ _dense(g)


MATMUL = declare(np.matmul, _matmul_left, _matmul_right, inputs=_matmul_inputs)


def _dot_inputs(draw: Draw) -> Arguments:
    n, k, m = (draw.integer(0, 3) for _ in range(3))
    a_shape = draw.choice([(), (k,), (n, k), (2, n, k)])
    return (draw.array(a_shape), draw.array(draw.choice([(), (k,), (k, m), (2, k, m)]))), {}


@compose(np.dot, inputs=_dot_inputs, memory="out")
def _dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return np.multiply(a, b)
    return np.matmul(a, b) if np.ndim(b) <= 2 else np.tensordot(a, b, (-1, -2))


declare(
    np.vdot,
    lambda g, out, a, b: g * np.reshape(b, a.shape),
    lambda g, out, a, b: g * np.reshape(a, b.shape),
    inputs=lambda draw: ((draw.array((2, 3)), draw.array(draw.choice([(6,), (2, 3)]))), {}),
    memory="new",
)


@compose(np.outer, inputs=lambda draw: ((draw.array(), draw.array()), {}), memory="new")
def _outer(a: Any, b: Any) -> Any:
    return np.reshape(a, (np.size(a), 1)) * np.reshape(b, (1, np.size(b)))


def _tensordot_inputs(draw: Draw) -> Arguments:
    k, m = draw.integer(1, 3), draw.integer(0, 3)
    call: Arguments = draw.choice(
        [
            ((draw.array((m, k, 2)), draw.array((2, k, 3)), ([1, 2], [1, 0])), {}),
            ((draw.array((2, k, m)), draw.array((k, m, 2))), {"axes": 2}),
            ((draw.array((m, k)), draw.array((2, k)), (1, -1)), {}),
            ((draw.array((m,)), draw.array((k,)), 0), {}),
        ]
    )
    return call


def _summed(axes: Any, a: Any, b: Any) -> tuple[list[int], list[int]]:
    """Name the axes of a and of b that tensordot sums over."""
    if np.ndim(axes) == 0:
        return list(range(a.ndim - axes, a.ndim)), list(range(axes))
    a_axes, b_axes = (np.atleast_1d(one).tolist() for one in axes)
    return [axis % a.ndim for axis in a_axes], [axis % b.ndim for axis in b_axes]


def _tensordot_operand(g: Any, x: Any, x_summed: list[int], other: Any, other_summed: list[int]) -> Any:
    """Contract g, whose last axes are the other's free ones, with the other; then put x's axes in order."""
    free = [axis for axis in range(x.ndim) if axis not in x_summed]
    other_free = [axis for axis in range(other.ndim) if axis not in other_summed]
    ends = list(range(g.ndim - len(other_free), g.ndim))
    product = np.tensordot(g, other, (ends, other_free))
    rest = [x_summed[i] for i in np.argsort(other_summed)]
    return np.transpose(product, tuple(np.argsort([*free, *rest]).tolist()))


def _tensordot_a(g: Any, out: Any, a: Any, b: Any, axes: Any = 2) -> Any:
    """Contract g with b over the axes that b gave to the result."""
    a_summed, b_summed = _summed(axes, a, b)
    return _tensordot_operand(g, a, a_summed, b, b_summed)


def _tensordot_b(g: Any, out: Any, a: Any, b: Any, axes: Any = 2) -> Any:
    """Contract g with a over the axes that a gave to the result."""
    a_summed, b_summed = _summed(axes, a, b)
    turned = [*range(a.ndim - len(a_summed), g.ndim), *range(a.ndim - len(a_summed))]
    return _tensordot_operand(np.transpose(g, turned), b, b_summed, a, a_summed)


declare(np.tensordot, _tensordot_a, _tensordot_b, inputs=_tensordot_inputs, memory="new")


def _einsum_inputs(draw: Draw) -> Arguments:
    i, j, k = (draw.integer(1, 3) for _ in range(3))
    subscripts, *shapes = draw.choice(
        [
            ("ij,jk->ik", (i, j), (j, k)),
            ("ij,jk", (i, j), (j, k)),
            ("ba", (i, j)),
            ("ij->", (i, j)),
            ("ii->i", (i, i)),
            ("iij,j->j", (i, i, j), (j,)),
            ("ij,ij,j->i", (i, j), (i, j), (j,)),
            ("...i,...i->...", (j, i), (k, 1, i)),
            ("...ij,jk", (2, i, j), (j, k)),
            ("ij,kj->", (i, j), (k, j)),
            (",i->i", (), (i,)),
        ]
    )
    return (subscripts, *(draw.array(shape) for shape in shapes)), {}


def _labels(subscripts: str, shapes: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """Write each operand's and the output's labels out, without ``...`` and with ``->``."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow:
        once = sorted({c for c in left if c.isalpha() and left.count(c) == 1})
        right = ("..." if "..." in left else "") + "".join(once)
    spare = [c for c in ascii_letters if c not in subscripts]
    ranks = [len(shape) - len(term.replace("...", "")) for term, shape in zip(terms, shapes, strict=True)]
    batch = "".join(
        spare[: max(rank for rank, term in zip([*ranks, 0], [*terms, "..."], strict=True) if "..." in term)]
    )
    terms = [term.replace("...", batch[len(batch) - rank :]) for term, rank in zip(terms, ranks, strict=True)]
    return terms, right.replace("...", batch)


def _einsum_call(subscripts: Any, *operands: Any, optimize: Any = False) -> Arguments:
    if not isinstance(subscripts, str):
        raise TypeError(
            "einsum: no backward rule with lists of axes; write the subscripts as a string, 'ij,jk->ik'"
        )
    return operands, {"subscripts": subscripts, "optimize": optimize}


def _einsum(
    needs: Sequence[Any], g: Any, out: Any, *operands: Any, subscripts: str, optimize: Any = False
) -> list[Any]:
    """Contract g with the other operands, to the labels of the one in question."""
    return [
        _einsum_operand(i, g, operands, subscripts, bool(optimize)) if need else None
        for i, need in enumerate(needs)
    ]


def _einsum_operand(index: int, g: Any, operands: Sequence[Any], subscripts: str, optimize: bool) -> Any:
    """Contract g with the other operands, to the labels of the one in question.

    A label that only this operand has was summed away: ones bring it back. A label twice in this operand read
    a diagonal: an identity matrix puts the gradient there.
    """
    terms, right = _labels(subscripts, [np.shape(operand) for operand in operands])
    shape, term = operands[index].shape, terms[index]
    others = [(t, o) for i, (t, o) in enumerate(zip(terms, operands, strict=True)) if i != index]
    spare = [c for c in ascii_letters if all(c not in t for t in [right, *terms])]
    target, known = "", right + "".join(t for t, _ in others)
    for label, side in zip(term, shape, strict=True):
        if label in target:
            fresh = spare.pop()
            others.append((label + fresh, np.eye(side, dtype=g.dtype)))
            target += fresh
        else:
            target += label
            if label not in known:
                others.append((label, np.ones(side, g.dtype)))
    lefts = ",".join([right, *(t for t, _ in others)])
    return np.einsum(f"{lefts}->{target}", g, *(o for _, o in others), optimize=optimize)


declare(
    np.einsum,
    together=_einsum,
    bind=_einsum_call,
    forward=lambda *operands, subscripts, optimize: np.einsum(subscripts, *operands, optimize=optimize),
    inputs=_einsum_inputs,
)
