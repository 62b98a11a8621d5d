"""Rules of the products of vectors and matrices: matmul, dot, inner, outer, kron, cross, and their kin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from operator import index
from typing import Any

import numpy as np

from . import metadata
from .conjugates import conj
from .contractions import tensordot_a, tensordot_b
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
    """G y^T for matrices; of two by `numpy.dot`, which has less overhead than `numpy.matmul`."""
    if x1.ndim == x2.ndim == 2:
        return np.dot(g, x2.T)
    if x2.ndim == 1:
        return (g if x1.ndim == 1 else np.expand_dims(g, -1)) * x2
    if x1.ndim == 1:
        return (np.expand_dims(g, -2) @ x2.mT)[..., 0, :]
    return _dense(g) @ x2.mT


def _matmul_right(g: Any, out: Any, x1: Any, x2: Any) -> Any:
    """x^T g for matrices; for a stack of x against one matrix, one product of all its rows."""
    if x1.ndim == x2.ndim == 2:
        return np.dot(x1.T, g)
    if x1.ndim == 1:
        return x1 * g if x2.ndim == 1 else np.expand_dims(x1, -1) * np.expand_dims(g, -2)
    if x2.ndim == 1:
        return (x1.mT @ np.expand_dims(g, -1))[..., 0]
    if x1.ndim > 2 and x2.ndim == 2:
        rows = math.prod(x1.shape[:-1])
        x1, g = np.reshape(x1, (rows, x1.shape[-1])), np.reshape(g, (rows, g.shape[-1]))
    return x1.mT @ _dense(g)


MATMUL = declare(np.matmul, _matmul_left, _matmul_right, inputs=_matmul_inputs)


def _dot_inputs(draw: Draw) -> Arguments:
    n, k, m = (draw.integer(0, 3) for _ in range(3))
    a_shape = draw.choice([(), (k,), (n, k), (2, n, k)])
    return (draw.array(a_shape), draw.array(draw.choice([(), (k,), (k, m), (2, k, m)]))), {}


def _dot_left(g: Any, out: Any, a: Any, b: Any) -> Any:
    """Contract g with b: the case of scalars, of matrices, or of b with more axes, as in `numpy.dot`."""
    if metadata.ndim(a) == 0 or metadata.ndim(b) == 0:
        return g * b
    return _matmul_left(g, out, a, b) if b.ndim <= 2 else tensordot_a(g, out, a, b, (-1, -2))


def _dot_right(g: Any, out: Any, a: Any, b: Any) -> Any:
    """Contract g with a: the case of scalars, of matrices, or of b with more axes."""
    if metadata.ndim(a) == 0 or metadata.ndim(b) == 0:
        return g * a
    return _matmul_right(g, out, a, b) if b.ndim <= 2 else tensordot_b(g, out, a, b, (-1, -2))


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


def _multiplies(a: Any, b: Any) -> bool:
    """Tell whether an inner product has no axes but those of one operand, or none at all."""
    return bool(max(metadata.ndim(a), metadata.ndim(b)) < 2 or min(metadata.ndim(a), metadata.ndim(b)) == 0)


def _inner_left(g: Any, out: Any, a: Any, b: Any) -> Any:
    """Contract g with b over the axes that b gave to the result."""
    if _multiplies(a, b):
        return g * b
    return g @ b if metadata.ndim(b) == 2 else tensordot_a(g, out, a, b, (-1, -1))


def _inner_right(g: Any, out: Any, a: Any, b: Any) -> Any:
    """Contract g with a over the axes that a gave to the result."""
    if _multiplies(a, b):
        return g * a
    return np.swapaxes(g, 0, 1) @ a if a.ndim == b.ndim == 2 else tensordot_b(g, out, a, b, (-1, -1))


declare(
    np.inner,
    _inner_left,
    _inner_right,
    inputs=_two(
        ((2, 3), (4, 3)),
        ((3,), (2, 1, 3)),
        ((3,), (3,)),
        ((), (2,)),
        ((2, 0), (3, 0)),
        ((2, 1, 3), (3,)),
        ((2, 3), ()),
        ((2,), ()),
    ),
    memory="new",
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
    x_shape, y_shape, options = draw.choice(
        [
            ((2, 3), (3,), {}),
            ((3, 2), (2, 3), {"axisa": 0, "axisc": 0}),
            ((3, 2), (3, 1), {"axis": 0}),
        ]
    )
    return (draw.array(x_shape), draw.array(y_shape)), options


def _cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """Refuse vectors of the plane, whose product has no axis for its entry."""
    lengths = [x.shape[end if axis is None else axis] for x, end in ((a, axisa), (b, axisb))]
    if lengths != [3, 3]:
        raise ValueError(
            f"numpy.cross: got vectors of {lengths[0]} and {lengths[1]} entries; with a gradient it takes 3: append "
            "a 0 to a vector of the plane"
        )
    return np.cross(a, b, axisa, axisb, axisc, axis)


def _from_end(axis: int, x: Any) -> int:
    """Return an axis of x counted from the end, where it stays when broadcasting adds leading axes."""
    return int(axis) - x.ndim if axis >= 0 else int(axis)


def _cross_gradients(
    needs: Sequence[bool],
    g: Any,
    out: Any,
    a: Any,
    b: Any,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: int | None = None,
) -> list[Any]:
    """B x g and g x a: the triple product g (a x b) is a (b x g), and b (g x a)."""
    if axis is not None:
        axisa = axisb = axisc = axis
    return [
        np.cross(b, g, axisb, axisc, _from_end(axisa, a)) if needs[0] else None,
        np.cross(g, a, axisc, axisa, _from_end(axisb, b)) if needs[1] else None,
    ]


declare(np.cross, together=_cross_gradients, arity=2, forward=_cross, inputs=_cross_inputs, memory="new")


# -- products of matrices ------------------------------------------------------------------------------------------


def _chain_inputs(draw: Draw) -> Arguments:
    sides = [draw.integer(1, 4) for _ in range(draw.integer(3, 5))]
    shapes = list(pairwise(sides))
    if draw.choice([False, True]):
        shapes[0] = shapes[0][1:]  # type: ignore[assignment]
    return ([draw.array(shape) for shape in shapes],), {}


@compose(np.linalg.multi_dot, inputs=_chain_inputs)
def _multi_dot(arrays: Sequence[Any]) -> Any:
    if len(arrays) < 2:
        raise ValueError(f"numpy.linalg.multi_dot: got {len(arrays)} array; expected at least two")

    def product(tree: Any) -> Any:
        return np.matmul(*map(product, tree)) if isinstance(tree, tuple) else arrays[tree]

    return product(_fewest_multiplications([metadata.shape(a) for a in arrays]))


def _fewest_multiplications(shapes: Sequence[tuple[int, ...]]) -> Any:
    """Return the pairs of pairs in which to multiply (Cormen et al., Introduction to Algorithms, 15.2)."""
    sides = [1 if len(shapes[0]) == 1 else shapes[0][0], *(shape[0] for shape in shapes[1:])]
    sides.append(1 if len(shapes[-1]) == 1 else shapes[-1][1])
    best: dict[tuple[int, int], tuple[int, Any]] = {(i, i): (0, i) for i in range(len(shapes))}
    for span in range(1, len(shapes)):
        for i in range(len(shapes) - span):
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
    return best[0, len(shapes) - 1][1]


def _power_inputs(draw: Draw) -> Arguments:
    n = draw.integer(1, 3)
    x = draw.array(draw.choice([(n, n), (2, n, n)]), -0.5, 0.5) + 2 * np.eye(n)
    return (x.astype(draw.array(()).dtype), draw.integer(-3, 6)), {}


@compose(np.linalg.matrix_power, inputs=_power_inputs)
def _matrix_power(a: Any, n: Any) -> Any:
    """By repeated squaring."""
    np.linalg.matrix_power(
        metadata.outline(a.shape), 1 if hasattr(n, "__index__") else n
    )  # raises what NumPy raises
    n = index(n)
    if n == 0:
        ones = np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape) + 0 * a
        return ones if ones.dtype == a.dtype else ones.astype(a.dtype)
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


def _scaled(g: Any, x: Any, axis: int, like: Any) -> Any:
    """Return g x, a factor for each vector of x along its axis, with the axis where ``like`` has it."""
    scaled = np.expand_dims(g, -1) * (x if axis == -1 else np.moveaxis(x, axis, -1))
    return scaled if axis == -1 else np.moveaxis(scaled, -1, _from_end(axis, like))


declare(
    np.vecdot,
    lambda g, out, x1, x2, axis=-1: conj(_scaled(g, x2, axis, x1)),
    lambda g, out, x1, x2, axis=-1: _scaled(g, conj(x1), axis, x2),
    inputs=lambda draw: draw.choice(
        [
            ((draw.array((2, 3)), draw.array((3,))), {}),
            ((draw.array((3,)), draw.array((2, 1, 3))), {"axis": -1}),
            ((draw.array((2, 0)), draw.array((2, 0))), {}),
            ((draw.array((3, 1, 2)), draw.array((3, 2))), {"axis": 0}),
            ((draw.array((3, 1)), draw.array((2, 3, 2))), {"axis": -2}),
        ]
    ),
)


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


if hasattr(np, "matvec"):  # since NumPy 2.2
    declare(
        np.matvec,
        lambda g, out, x1, x2: np.expand_dims(g, -1) * np.expand_dims(x2, -2),
        lambda g, out, x1, x2: np.matvec(x1.mT, g),
        inputs=_two(((2, 3), (3,)), ((2, 3), (4, 3)), ((2, 1, 2, 0), (0,))),
    )
    declare(
        np.vecmat,
        lambda g, out, x1, x2: conj(np.matvec(x2, g)),
        lambda g, out, x1, x2: np.expand_dims(conj(x1), -1) * np.expand_dims(g, -2),
        inputs=_two(((3,), (3, 2)), ((4, 3), (3, 2)), ((0,), (2, 0, 2))),
    )
