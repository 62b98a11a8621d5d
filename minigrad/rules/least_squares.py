"""Rules of numpy.linalg.pinv and lstsq, which need no inverse."""

from __future__ import annotations

from typing import Any

import numpy as np

from .conjugates import adjoint, conj, real
from .decompositions import definite, of_triangle
from .linalg import tall_or_wide, transposed
from .overriding import whole
from .table import OPS, Arguments, Composite, Draw, declare


def _through(g: Any, p: Any, a: Any, left: bool = True, right: bool = True) -> Any:
    """Golub & Pereyra (1973), equation 4.12; it holds while the rank stays.

    Of full rank a p is the identity, or p a: then ``left`` or ``right`` is rounding alone, and left out.
    """
    toward = -adjoint(p) @ g @ adjoint(p)
    if left:
        toward = toward + (np.eye(a.shape[-2], dtype=a.dtype) - a @ p) @ adjoint(g) @ p @ adjoint(p)
    if right:
        toward = toward + adjoint(p) @ p @ adjoint(g) @ (np.eye(a.shape[-1], dtype=a.dtype) - p @ a)
    return toward


def _pinv(
    g: Any, out: Any, a: Any, rcond: Any = None, hermitian: bool = False, rtol: Any = np._NoValue
) -> Any:
    """Of a Hermitian matrix one triangle is read: the other has 0."""
    if hermitian:
        below = np.tril(a, -1)
        a = np.where(np.eye(a.shape[-1], dtype=bool), real(a), below + adjoint(below))
    toward = _through(conj(g), out, a)
    cutoff = rtol if rcond is None else rcond
    if cutoff is not None and cutoff is not np._NoValue:
        toward = toward + _of_dropped(transposed(g), a, cutoff)
    return conj(of_triangle(toward) if hermitian else toward)


def _of_dropped(g: Any, a: Any, cutoff: Any) -> Any:
    """Return what singular values below the cutoff add, which are dropped and not 0.

    From Daleckii & Krein (1965): for a pair of a singular value s that is kept and one, r s, that is dropped, the
    divided differences of 1 / s, less the 1 / s^2 that there are where r = 0.
    """
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    kept = s > np.expand_dims(cutoff, -1) * np.max(s, axis=-1, keepdims=True, initial=0)
    apart = np.not_equal(np.expand_dims(kept, -1), np.expand_dims(kept, -2))
    rows, columns = np.expand_dims(s, -1), np.expand_dims(s, -2)
    large, small = np.maximum(rows, columns), np.minimum(rows, columns)
    large = np.where(apart, large, small + 1)
    ratio = small / large
    weight = np.where(apart, ratio / ((large - small) * (large + small)), 0)
    inner = weight * (adjoint(u) @ g @ adjoint(vh))
    return u @ (ratio * inner + adjoint(inner)) @ vh


def _pinv_inputs(draw: Draw) -> Arguments:
    """Draw matrices whose singular values are well apart, of which a cutoff of 0.5 drops some."""
    hermitian = draw.choice([False, True])
    x = definite(draw) if hermitian else tall_or_wide(draw)
    if hermitian and draw.choice([False, True]):
        x = (x * np.where(np.arange(x.shape[-1]) % 2, -1, 1)).astype(x.dtype)
    cuts = [{}, {"rcond": 0.5}, {"rtol": 0.5}, {"rtol": None}, {"rcond": np.full(x.shape[:-2], 0.5).tolist()}]
    scale = x.dtype.type(draw.choice([1.0, 0.25]))
    return (x * scale,), {"hermitian": hermitian, **draw.choice(cuts)}


declare(np.linalg.pinv, _pinv, inputs=_pinv_inputs, memory="new")


@whole(memory="new")
def least_squares(a: Any, b: Any, rcond: Any = None) -> Any:
    """Return the solution that `numpy.linalg.lstsq` finds; refuse a rank that moves with the last bit."""
    solution, _, rank, _ = np.linalg.lstsq(a, b, rcond=rcond)
    if rank < min(a.shape):
        raise np.linalg.LinAlgError(
            f"numpy.linalg.lstsq: a of shape {a.shape} has rank {rank} with rcond={rcond}, where the solution has no "
            "gradient, or another; write pinv(a, rcond) @ b, or add a multiple of the identity to a^T a, and solve"
        )
    return solution


def _columns(x: Any) -> Any:
    return np.expand_dims(x, -1) if x.ndim == 1 else x


def _lstsq_inputs(draw: Draw) -> Arguments:
    m, n = draw.integer(1, 3), draw.integer(1, 3)
    a = (draw.array((m, n), -0.4, 0.4) + np.eye(m, n) * (1.0 + 2.0 * np.arange(n))).astype(
        draw.array(()).dtype
    )
    return (a, draw.array((m, *draw.choice([(), (2,)])))), {"rcond": draw.choice([None, -1, 1e-3])}


def _lstsq_a(g: Any, out: Any, a: Any, b: Any, rcond: Any = None) -> Any:
    """The gradient of a pseudoinverse that is multiplied with b; the rank is full."""
    of_pinv = conj(_columns(g) @ transposed(_columns(b)))
    rows, columns = a.shape
    return conj(_through(of_pinv, np.linalg.pinv(a), a, left=rows > columns, right=rows < columns))


declare(
    least_squares,
    _lstsq_a,
    lambda g, out, a, b, rcond=None: transposed(np.linalg.pinv(a)) @ g,
    inputs=_lstsq_inputs,
)


def _lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """The solution, the sums of squares left, the rank, the singular values; a has full rank."""
    solution = least_squares(a, b, rcond=rcond)
    left = np.sum(np.square(np.abs(_columns(b - a @ solution))), axis=0)
    m, n = a.shape
    a = a if a.dtype == solution.dtype else a.astype(solution.dtype)
    return solution, left if m > n else left[:0], min(m, n), np.linalg.svd(a, compute_uv=False)


def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """Return all results of `numpy.linalg.lstsq` that are of floats."""
    solution, left, _, values = np.linalg.lstsq(a, b, rcond=rcond)
    return [solution, left, values]


OPS[np.linalg.lstsq] = Composite(lstsq, _lstsq, _lstsq_inputs)
