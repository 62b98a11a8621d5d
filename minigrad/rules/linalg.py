"""Rules of numpy.linalg: inverses, solutions, determinants and norms, of stacks of matrices as NumPy's are."""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from .conjugates import conj, real
from .facts import state
from .metadata import outline
from .overriding import any_true, whole
from .reductions import FLOAT16, keep, to_last, widened
from .table import Arguments, Draw, compose, declare


def transposed(x: Any) -> Any:
    """Swap the last two axes."""
    return x.mT


def regular(draw: Draw, n: int, *batch: int) -> Any:
    """Draw matrices of n rows and columns, well away from singular ones."""
    x = draw.array((*batch, n, n), -0.9, 0.9)
    return (x + 3 * np.eye(n)).astype(x.dtype)


def _regular_inputs(draw: Draw) -> Arguments:
    return (regular(draw, draw.integer(1, 3), *draw.choice([(), (), (2,), (0,), (1, 2)])),), {}


@lru_cache
def named(function: Any) -> Any:
    """Return the named tuple that a function of numpy.linalg returns its results in."""
    return type(function(np.eye(1)))


def _inv(g: Any, out: Any, a: Any) -> Any:
    return -transposed(out) @ g @ transposed(out)


declare(np.linalg.inv, _inv, inputs=_regular_inputs, memory="new")


def _solve_inputs(draw: Draw) -> Arguments:
    n = draw.integer(1, 3)
    batch, b_shape = draw.choice(
        [((), (n,)), ((), (n, 2)), ((2,), (n, 1)), ((2, 1), (3, n, 2)), ((2,), (2, n, 0)), ((2,), (n,))]
    )
    return (regular(draw, n, *batch), draw.array(b_shape)), {}


def _solve_b(g: Any, out: Any, a: Any, b: Any) -> Any:
    """Solve with the transposed matrix; b is a vector if it has one axis."""
    if b.ndim == 1:
        return np.linalg.solve(transposed(a), np.expand_dims(g, -1))[..., 0]
    return np.linalg.solve(transposed(a), g)


def _solve_a(g: Any, out: Any, a: Any, b: Any) -> Any:
    """-b's gradient times x^T."""
    of_b = _solve_b(g, out, a, b)
    if b.ndim == 1:
        return -np.expand_dims(of_b, -1) * np.expand_dims(out, -2)
    return -of_b @ transposed(out)


declare(np.linalg.solve, _solve_a, _solve_b, inputs=_solve_inputs, memory="new")


def _entries(g: Any) -> Any:
    """Give each matrix of a stack its number."""
    return np.expand_dims(g, (-1, -2))


def _det(g: Any, out: Any, a: Any) -> Any:
    """Det a^-T (Jacobi's formula). A singular matrix raises LinAlgError, though its determinant has a gradient."""
    return _entries(g * out) * transposed(np.linalg.inv(a))


declare(np.linalg.det, _det, inputs=_regular_inputs, memory="new")


@whole(memory="new")
def sign_and_log(a: Any) -> Any:
    """Return the determinants' signs and the logarithms of their sizes, one above the other."""
    return np.stack(np.linalg.slogdet(a))


def _sign_and_log(g: Any, out: Any, a: Any) -> Any:
    """a^-T for the logarithm. A sign moves if the matrix is complex: on the unit circle."""
    weight = real(g[1]) + 1j * np.imag(g[0] * out[0]) if a.dtype.kind == "c" else g[1]
    return _entries(weight) * transposed(np.linalg.inv(a))


declare(sign_and_log, _sign_and_log, inputs=_regular_inputs)


@compose(np.linalg.slogdet, inputs=_regular_inputs)
def _slogdet(a: Any) -> Any:
    both = sign_and_log(a)
    return named(np.linalg.slogdet)(both[0], real(both[1]))


def tall_or_wide(draw: Draw) -> Any:
    """Draw matrices of full rank whose singular values are well apart."""
    m, n = draw.integer(1, 3), draw.integer(1, 3)
    batch = draw.choice([(), (), (2,), (1, 2)])
    x = draw.array((*batch, m, n), -0.4, 0.4)
    return (x + np.eye(m, n) * (1.0 + 2.0 * np.arange(n))).astype(x.dtype)


# -- norms -----------------------------------------------------------------------------------------------------------


@whole(memory="new")
def length(x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the norm sum(abs(x) ** ord) ** (1 / ord) over an axis, or of order 2 over several."""
    return np.linalg.norm(x, None if ord == 2 else ord, axis, keepdims)


def _length(g: Any, out: Any, x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> Any:
    """The unit vector, for order 2; where the norm is 0 the subgradient 0, and at an entry 0 its own 0.

    Of float16 in float32: its powers overflow.
    """
    g, out = keep(g, axis, keepdims), keep(out, axis, keepdims)
    if ord == 1 and x.dtype.kind == "f":
        return g * np.sign(x)
    if x.dtype == FLOAT16:
        x = widened(x)
        out = length(x, ord, axis, keepdims=True)
    out = np.where(np.equal(out, 0), 1, out)
    if ord == 2:
        return g * (conj(x) / out)
    size = np.abs(x)
    zero = np.equal(size, 0)
    size = np.where(zero, 1, size)
    return np.where(zero, 0, g * (conj(x) / size) * (size / out) ** (ord - 1))


def _norm_inputs(draw: Draw) -> Arguments:
    """Draw vectors along an axis, matrices along two, the latter not the last ones in some, or all entries."""
    x, options = tall_or_wide(draw), {"keepdims": draw.choice([False, True])}
    vectors, matrices = (
        [None, 0, 1, 2, 3, 2.5, -1, np.inf, -np.inf],
        [None, "fro", "nuc", 1, -1, 2, -2, np.inf],
    )
    kind = draw.choice(["vectors", "matrices", "turned", "all"])
    if kind == "vectors":
        return (x,), {"ord": draw.choice(vectors), "axis": draw.choice([0, -1, (1,)]), **options}
    if kind == "matrices":
        return (x,), {"ord": draw.choice(matrices), "axis": (-2, -1), **options}
    if kind == "turned":
        return (np.moveaxis(x, -1, 0),), {"ord": draw.choice(matrices), "axis": (-1, 0), **options}
    return draw.choice([((x,), options), ((np.ravel(x),), {"ord": draw.choice(vectors), **options})])  # type: ignore[no-any-return]


declare(
    length,
    _length,
    inputs=lambda draw: (
        (draw.array((2, 3)),),
        {"ord": draw.choice([1, 2, 2.5]), "axis": draw.choice([0, -1])},
    ),
)


def _of_vectors(x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
    """The norm along an axis, or along all."""
    if ord == np.inf:
        return np.max(np.abs(x), axis=axis, keepdims=keepdims)
    if ord == -np.inf:
        return np.min(np.abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        return np.sum(np.where(np.equal(x, 0), real(x) * 0, 1), axis=axis, keepdims=keepdims)
    return length(x, ord=2 if ord is None else ord, axis=axis, keepdims=keepdims)


def _of_matrices(x: Any, ord: Any, rows: int, columns: int) -> Any:
    """The norm over two axes."""
    if ord in (None, "fro"):
        return length(x, axis=(rows, columns))
    x = np.moveaxis(x, (rows, columns), (-2, -1))
    if ord in ("nuc", 2, -2):
        values = np.linalg.svd(x, compute_uv=False)
        return np.sum(values, axis=-1) if ord == "nuc" else values[..., 0 if ord == 2 else -1]
    if ord not in (1, -1, np.inf, -np.inf):
        raise ValueError(
            f"numpy.linalg.norm: ord is {ord!r}; of matrices it is None, fro, nuc, ±1, ±2 or ±inf"
        )
    sums = np.sum(np.abs(x), axis=-2 if abs(ord) == 1 else -1)
    return np.max(sums, axis=-1) if ord > 0 else np.min(sums, axis=-1)


@compose(np.linalg.norm, inputs=_norm_inputs)
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if not x.size:
        return np.linalg.norm(outline(x.shape, x.dtype), ord, axis, keepdims) + np.sum(np.abs(x))
    if axis is None:
        if ord is None or x.ndim == 1:
            return _of_vectors(x, ord, None, keepdims)
        if x.ndim != 2:
            raise ValueError("Improper number of dimensions to norm.")
        axis = (0, 1)
    axes = axis if isinstance(axis, tuple) else (int(axis),)
    if not 0 < len(axes) < 3:
        raise ValueError(f"numpy.linalg.norm: axis is {axis}; expected one axis or two")
    axes = normalize_axis_tuple(axes, x.ndim)
    if len(axes) == 1:
        return _of_vectors(x, ord, axes[0], keepdims)
    out = _of_matrices(x, ord, *axes)
    return np.expand_dims(out, axes) if keepdims else out


def _vector_norm_inputs(draw: Draw) -> Arguments:
    axis = draw.choice([None, 1, (0, 2), (0, 1, 2)])
    ord = draw.choice([1, 2, 3, np.inf])
    return (draw.array((2, 1, 3)),), {"axis": axis, "ord": ord, "keepdims": draw.choice([False, True])}


@compose(np.linalg.vector_norm, inputs=_vector_norm_inputs)
def _vector_norm(x: Any, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    if not x.size:
        value = np.linalg.vector_norm(outline(x.shape, x.dtype), axis=axis, keepdims=keepdims, ord=ord)
        return value + np.sum(np.abs(x))
    if axis is None and ord == 2:
        return length(x, keepdims=keepdims)
    if axis is None:
        out = _of_vectors(np.ravel(x), ord, 0, False)
        return np.reshape(out, (1,) * x.ndim) if keepdims else out
    axes = axis if isinstance(axis, tuple) else (axis,)
    if len(axes) == 1:
        return _of_vectors(x, ord, axes[0], keepdims)
    out = _of_vectors(to_last(x, axes), ord, -1, False)
    return np.expand_dims(out, axes) if keepdims else out


@compose(
    np.linalg.matrix_norm,
    inputs=lambda draw: ((draw.array((2, 3, 2)),), {"ord": draw.choice(["fro", 1])}),
)
def _matrix_norm(x: Any, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return np.linalg.norm(x, ord, (-2, -1), keepdims)


def _cond_inputs(draw: Draw) -> Arguments:
    n = draw.integer(2, 3)
    x = draw.array((n, n), -0.4, 0.4)
    return ((x + np.diag(1.0 + 2.0 * np.arange(n))).astype(x.dtype),), {
        "p": draw.choice([None, 2, -2, 1, "fro"])
    }


@whole(memory="new")
def inverses(a: Any) -> Any:
    """Return the inverses of matrices, NaN for those that have none."""
    try:
        return np.linalg.inv(a)
    except np.linalg.LinAlgError:
        return np.full_like(a, np.nan) if a.ndim == 2 else np.stack([inverses(each) for each in a])


declare(inverses, _inv, inputs=_regular_inputs)


@cache
def cond_takes_nan() -> bool:
    """Tell whether this NumPy's cond of NaN is NaN, as in 2.5, whose svd raises LinAlgError."""
    try:
        np.linalg.cond(np.full((1, 1), np.nan))
    except np.linalg.LinAlgError:
        return False
    return True


@compose(np.linalg.cond, inputs=_cond_inputs)
def _cond(x: Any, p: Any = None) -> Any:
    """Of a matrix that has no inverse inf."""
    if 0 in x.shape[-2:]:
        raise np.linalg.LinAlgError(f"numpy.linalg.cond: got an empty matrix, shape {x.shape}")
    with np.errstate(all="ignore"):
        if p in (None, 2, -2):
            try:
                values = np.linalg.svd(x, compute_uv=False)
            except np.linalg.LinAlgError:
                if x.ndim < 2 or not cond_takes_nan():
                    raise
                return np.stack([_cond(each, p) for each in x]) if x.ndim > 2 else np.sum(np.abs(x)) * np.nan
            out = values[..., -1] / values[..., 0] if p == -2 else values[..., 0] / values[..., -1]
        else:
            np.linalg.matrix_power(outline(x.shape), 1)  # raises what NumPy raises
            out = np.linalg.norm(x, p, (-2, -1)) * np.linalg.norm(inverses(x), p, (-2, -1))
    without = np.isnan(out)
    if not any_true(without):
        return out
    without = np.logical_and(without, np.logical_not(np.any(np.isnan(x), axis=(-2, -1))))
    return np.where(without, np.inf, out)[()]


# -- tensors as matrices ---------------------------------------------------------------------------------------------


def _tensorsolve_inputs(draw: Draw) -> Arguments:
    a, b = np.reshape(regular(draw, 6), (2, 3, 6)), draw.array((2, 3))
    return ((a, b), {}) if draw.choice([False, True]) else ((np.moveaxis(a, -1, 0), b), {"axes": (0,)})


@compose(np.linalg.tensorsolve, inputs=_tensorsolve_inputs)
def _tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    if axes is not None:
        a = np.moveaxis(a, axes, range(-len(axes), 0))
    shape = a.shape[b.ndim :]
    return np.reshape(np.linalg.solve(np.reshape(a, (b.size, math.prod(shape))), np.ravel(b)), shape)


@compose(np.linalg.tensorinv, inputs=lambda draw: ((np.reshape(regular(draw, 6), (6, 2, 3)),), {"ind": 1}))
def _tensorinv(a: Any, ind: int = 2) -> Any:
    side = math.prod(a.shape[:ind])
    return np.reshape(np.linalg.inv(np.reshape(a, (side, side))), a.shape[ind:] + a.shape[:ind])


state(np.linalg.matrix_rank, constant="piecewise constant")
