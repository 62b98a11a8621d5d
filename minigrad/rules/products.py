"""Rules of the products: matmul, dot, inner, outer, kron, cross, tensordot, einsum, and their kin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from string import ascii_letters, ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np

from . import metadata
from .conjugates import conj
from .table import OPS, Arguments, Draw, compose, declare


def _matmul_inputs(draw: Draw) -> Arguments:
    n, k, m = (draw.integer(0, 3) for _ in range(3))
    x_batch, y_batch = draw.choice([((2,), ()), ((), (2,)), ((2, 1), (3,)), ((2, 3), (1, 3)), ((0,), (1,))])
    x_shape = draw.choice([(k,), (n, k), (*x_batch, n, k)])
    y_shape = draw.choice([(k,), (k, m), (*y_batch, k, m)])
    return (draw.array(x_shape), draw.array(y_shape)), {}


def _dense(g: Any) -> Any:
    """Copy a broadcast view, for which matmul would not call the BLAS."""
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


def _dot_left(g: Any, out: Any, a: Any, b: Any) -> Any:
    """Contract g with b: the case of scalars, of matrices, or of b with more axes, as in `numpy.dot`."""
    if metadata.ndim(a) == 0 or metadata.ndim(b) == 0:
        return g * b
    return _matmul_left(g, out, a, b) if b.ndim <= 2 else _tensordot_a(g, out, a, b, (-1, -2))


def _dot_right(g: Any, out: Any, a: Any, b: Any) -> Any:
    """Contract g with a, as `_dot_left` does with b."""
    if metadata.ndim(a) == 0 or metadata.ndim(b) == 0:
        return g * a
    return _matmul_right(g, out, a, b) if b.ndim <= 2 else _tensordot_b(g, out, a, b, (-1, -2))


declare(np.dot, _dot_left, _dot_right, inputs=_dot_inputs, memory="out")


def _two(*pairs: tuple[tuple[int, ...], tuple[int, ...]], **options: Any) -> Any:
    """Draw two operands of one of these pairs of shapes."""

    def inputs(draw: Draw) -> Arguments:
        x_shape, y_shape = draw.choice(pairs)
        return (draw.array(x_shape), draw.array(y_shape)), options

    return inputs


declare(
    np.vdot,
    lambda g, out, a, b: np.reshape(conj(g * b), a.shape),
    lambda g, out, a, b: np.reshape(g * conj(a), b.shape),
    inputs=_two(((2, 3), (6,)), ((2, 3), (2, 3)), ((0,), (0,)), ((), ())),
    memory="new",
)


def _inner_left(g: Any, out: Any, a: Any, b: Any) -> Any:
    """Contract g with b over the axes that b gave to the result."""
    if metadata.ndim(b) < 2 and metadata.ndim(a) < 2:
        return g * b
    return g @ b if metadata.ndim(b) == 2 else _tensordot_a(g, out, a, b, (-1, -1))


def _inner_right(g: Any, out: Any, a: Any, b: Any) -> Any:
    """Contract g with a over the axes that a gave to the result."""
    if metadata.ndim(a) < 2 and metadata.ndim(b) < 2:
        return g * a
    return np.swapaxes(g, 0, 1) @ a if a.ndim == b.ndim == 2 else _tensordot_b(g, out, a, b, (-1, -1))


declare(
    np.inner,
    _inner_left,
    _inner_right,
    inputs=_two(
        ((2, 3), (4, 3)), ((3,), (2, 1, 3)), ((3,), (3,)), ((), (2,)), ((2, 0), (3, 0)), ((2, 1, 3), (3,))
    ),
)


declare(
    np.outer,
    lambda g, out, a, b: np.reshape(g @ np.ravel(b), a.shape),
    lambda g, out, a, b: np.reshape(np.ravel(a) @ g, b.shape),
    inputs=lambda draw: ((draw.array(), draw.array()), {}),
    memory="new",
)


@compose(np.kron, inputs=_two(((2, 3), (3, 2)), ((3,), (2, 1, 2)), ((2, 0), (3,)), ((), (2, 2))))
def _kron(a: Any, b: Any) -> Any:
    """The product of every two entries, b's axes within a's."""
    ndim = max(metadata.ndim(a), metadata.ndim(b))
    a_shape, b_shape = ((1,) * (ndim - metadata.ndim(x)) + metadata.shape(x) for x in (a, b))
    a = np.reshape(a, [n for side in a_shape for n in (side, 1)])
    b = np.reshape(b, [n for side in b_shape for n in (1, side)])
    return np.reshape(a * b, tuple([m * n for m, n in zip(a_shape, b_shape, strict=True)]))


def _cross_inputs(draw: Draw) -> Arguments:
    call: Arguments = draw.choice(
        [
            ((draw.array((2, 3)), draw.array((3,))), {}),
            ((draw.array((3, 2)), draw.array((2, 3))), {"axisa": 0, "axisc": 0}),
            ((draw.array((3, 2)), draw.array((3, 1))), {"axis": 0}),
        ]
    )
    return call


@compose(np.cross, inputs=_cross_inputs)
def _cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ValueError(
            f"numpy.cross: got vectors of {a.shape[-1]} and {b.shape[-1]} entries; with a gradient it takes 3: "
            "append a 0 to a vector of the plane"
        )
    product = np.roll(a, -1, -1) * np.roll(b, -2, -1) - np.roll(a, -2, -1) * np.roll(b, -1, -1)
    return np.moveaxis(product, -1, axisc)


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
    """Return the axes of a and of b that tensordot sums over."""
    if metadata.ndim(axes) == 0:
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


def _einsum_call(*args: Any, optimize: Any = False, **others: Any) -> Arguments:
    """Return the operands, and the subscripts as a string, also for the form ``a, [0, 1], b, [1, 2]``."""
    others = {name: value for name, value in others.items() if value not in (None, "K", "safe")}
    if others:
        raise TypeError(
            f"numpy.einsum: no backward rule with {', '.join(others)}; it knows subscripts, operands and optimize"
        )
    if args and isinstance(args[0], str):
        return args[1:], {"subscripts": args[0], "optimize": optimize}
    subscripts = ",".join(map(_written, args[1::2]))
    operands = args[:-1:2] if len(args) % 2 else args[::2]
    if len(args) % 2:
        subscripts += f"->{_written(args[-1])}"
    return operands, {"subscripts": subscripts, "optimize": optimize}


def _written(axes: Sequence[Any]) -> str:
    """Write a list of axes as letters that sort in the same order."""
    return "".join(
        ["..." if axis is Ellipsis else (ascii_uppercase + ascii_lowercase)[axis] for axis in axes]
    )


BLAS_PAYS = 2**12
"""The number of scalar products from which a contraction of two operands is faster as a matmul."""


def _contract(lefts: list[str], target: str, operands: list[Any]) -> Any:
    """Evaluate an einsum; two large operands by matmul, which uses the BLAS with batch axes, too."""
    sides: dict[str, int] = {}
    for labels, x in zip(lefts, operands, strict=True):
        for label, side in zip(labels, x.shape, strict=True):
            if sides.setdefault(label, side) != side:  # one is broadcast
                sides[label] = 0
    plain = len(operands) == 2 and all(len(set(labels)) == len(labels) for labels in lefts)
    if plain and math.prod(sides.values()) >= BLAS_PAYS:
        return _as_matmul(lefts, target, operands, sides)
    subscripts = f"{','.join(lefts)}->{target}"
    return np.einsum(subscripts, *operands, optimize=len(operands) > 2)


def _as_matmul(lefts: list[str], target: str, operands: list[Any], sides: dict[str, int]) -> Any:
    """Contract two operands as a stack of matrix products."""
    x_has, y_has = lefts
    batch = [c for c in x_has if c in y_has and c in target]
    summed = [c for c in x_has if c in y_has and c not in target]
    x_kept = [c for c in x_has if c not in y_has and c in target]
    y_kept = [c for c in y_has if c not in x_has and c in target]

    def stacked(x: Any, has: str, rows: list[str], columns: list[str]) -> Any:
        order = [*batch, *rows, *columns]
        alone = tuple([i for i, c in enumerate(has) if c not in order])
        if alone:
            x, has = np.sum(x, axis=alone), "".join([c for c in has if c in order])
        x = np.transpose(x, tuple([has.index(c) for c in order]))
        return np.reshape(x, (*map(sides.__getitem__, batch), _length(rows, sides), _length(columns, sides)))

    product = np.matmul(
        stacked(operands[0], x_has, x_kept, summed), stacked(operands[1], y_has, summed, y_kept)
    )
    has = [*batch, *x_kept, *y_kept]
    product = np.reshape(product, tuple([sides[c] for c in has]))
    return np.transpose(product, tuple([has.index(c) for c in target]))


def _length(labels: list[str], sides: dict[str, int]) -> int:
    return math.prod([sides[c] for c in labels])


def _einsum(
    needs: Sequence[Any], g: Any, out: Any, *operands: Any, subscripts: str, optimize: Any = False
) -> list[Any]:
    """Contract g with the other operands, for each that needs a gradient."""
    return [_einsum_operand(i, g, operands, subscripts) if need else None for i, need in enumerate(needs)]


def _einsum_operand(index: int, g: Any, operands: Sequence[Any], subscripts: str) -> Any:
    """Contract g with the other operands, to the labels of the one in question.

    A label that only this operand has was summed away: ones bring it back. A label twice in this operand read
    a diagonal: an identity matrix puts the gradient there.
    """
    terms, right = _labels(subscripts, [metadata.shape(operand) for operand in operands])
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
    return _contract([right, *(t for t, _ in others)], target, [g, *(o for _, o in others)])


declare(
    np.einsum,
    together=_einsum,
    bind=_einsum_call,
    forward=lambda *operands, subscripts, optimize: np.einsum(subscripts, *operands, optimize=optimize),
    inputs=_einsum_inputs,
)


# -- products of matrices ------------------------------------------------------------------------------------------


def _chain_inputs(draw: Draw) -> Arguments:
    sides = [draw.integer(1, 4) for _ in range(draw.integer(3, 5))]
    shapes = list(pairwise(sides))
    if draw.choice([False, True]):
        shapes[0] = shapes[0][1:]  # type: ignore[assignment]
    return ([draw.array(shape) for shape in shapes],), {}


@compose(np.linalg.multi_dot, inputs=_chain_inputs)
def _multi_dot(arrays: Sequence[Any]) -> Any:
    """In the order of the fewest multiplications (Cormen et al., Introduction to Algorithms, 15.2)."""
    if len(arrays) < 2:
        raise ValueError(f"numpy.linalg.multi_dot: got {len(arrays)} array; expected at least two")
    shapes = [metadata.shape(a) for a in arrays]
    sides = [1 if len(shapes[0]) == 1 else shapes[0][0], *(shape[0] for shape in shapes[1:])]
    sides.append(1 if len(shapes[-1]) == 1 else shapes[-1][1])
    best: dict[tuple[int, int], tuple[int, Any]] = {(i, i): (0, i) for i in range(len(arrays))}
    for span in range(1, len(arrays)):
        for i in range(len(arrays) - span):
            j = i + span
            best[i, j] = min(
                [
                    (
                        best[i, k][0] + best[k + 1, j][0] + sides[i] * sides[k + 1] * sides[j + 1],
                        (best[i, k][1], best[k + 1, j][1]),
                    )
                    for k in range(i, j)
                ],
                key=lambda each: each[0],
            )

    def product(tree: Any) -> Any:
        return np.matmul(*map(product, tree)) if isinstance(tree, tuple) else arrays[tree]

    return product(best[0, len(arrays) - 1][1])


def _power_inputs(draw: Draw) -> Arguments:
    n = draw.integer(1, 3)
    x = draw.array(draw.choice([(n, n), (2, n, n)]), -0.5, 0.5) + 2 * np.eye(n)
    return (x.astype(draw.array(()).dtype), draw.integer(-3, 6)), {}


@compose(np.linalg.matrix_power, inputs=_power_inputs)
def _matrix_power(a: Any, n: int) -> Any:
    """By repeated squaring."""
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape) + 0 * a
    square, power = (np.linalg.inv(a) if n < 0 else a), None
    n = abs(n)
    while True:
        n, odd = divmod(n, 2)
        if odd:
            power = square if power is None else np.matmul(power, square)
        if n == 0:
            return power
        square = np.matmul(square, square)


# -- the array API's names, and NumPy 2.2's -------------------------------------------------------------------------


@compose(np.vecdot, inputs=_two(((2, 3), (3,)), ((3,), (2, 1, 3)), ((2, 0), (2, 0))))
def _vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
    """Sum conj(x1) x2 along an axis."""
    x1, x2 = np.moveaxis(x1, axis, -1), np.moveaxis(x2, axis, -1)
    return np.matmul(np.expand_dims(conj(x1), -2), np.expand_dims(x2, -1))[..., 0, 0]


OPS[np.linalg.vecdot] = OPS[np.vecdot]
OPS[np.linalg.matmul], OPS[np.linalg.tensordot] = OPS[np.matmul], OPS[np.tensordot]


@compose(np.linalg.outer, inputs=_two(((2,), (3,)), ((0,), (2,))))
def _vector_outer(x1: Any, x2: Any) -> Any:
    if metadata.ndim(x1) != 1 or metadata.ndim(x2) != 1:
        raise ValueError(
            f"numpy.linalg.outer: got shapes {metadata.shape(x1)} and {metadata.shape(x2)}; expected two vectors"
        )
    return np.outer(x1, x2)


@compose(np.linalg.cross, inputs=_two(((2, 3), (3,)), ((3,), (3,))))
def _vector_cross(x1: Any, x2: Any, axis: int = -1) -> Any:
    return np.cross(x1, x2, axis=axis)


def _diagonal_inputs(draw: Draw) -> Arguments:
    return (draw.array((*draw.shape(max_ndim=1), 3, draw.integer(1, 4))),), {"offset": draw.integer(-2, 3)}


@compose(np.linalg.diagonal, inputs=_diagonal_inputs)
def _diagonal(x: Any, offset: int = 0) -> Any:
    offset = int(offset)  # which may be unsigned
    rows = np.arange(max(-offset, 0), max(min(x.shape[-2], x.shape[-1] - offset), max(-offset, 0)))
    return x[..., rows, rows + offset]


@compose(np.linalg.trace, inputs=_diagonal_inputs)
def _trace(x: Any, offset: int = 0) -> Any:
    return np.sum(np.linalg.diagonal(x, offset=offset), axis=-1)


@compose(np.linalg.matrix_transpose, inputs=lambda draw: ((draw.array((*draw.shape(max_ndim=1), 2, 3)),), {}))
def _matrix_transpose(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


if hasattr(np, "matvec"):

    @compose(np.matvec, inputs=_two(((2, 3), (3,)), ((2, 3), (4, 3)), ((2, 1, 2, 0), (0,))))
    def _matvec(x1: Any, x2: Any) -> Any:
        return np.matmul(x1, np.expand_dims(x2, -1))[..., 0]

    @compose(np.vecmat, inputs=_two(((3,), (3, 2)), ((4, 3), (3, 2)), ((0,), (2, 0, 2))))
    def _vecmat(x1: Any, x2: Any) -> Any:
        """The vector is conjugated."""
        return np.matmul(np.expand_dims(conj(x1), -2), x2)[..., 0, :]
