"""Rules of numpy.linalg.eig and eigvals: eigenvalues of matrices that need not be Hermitian, and their eigenvectors.

The eigenvalues of a matrix must be distinct; those of a symmetric one that are not are for eigh. NumPy's vectors have
length 1, and their largest entry is real. That is what is differentiated; but which entry is the largest may change,
and the sign is free: the loss should not change when a vector is multiplied by a number of size 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .conjugates import adjoint, conj, real
from .decompositions import differences, over_gaps
from .linalg import named
from .overriding import any_true, whole
from .table import Arguments, Draw, compose, declare

ALWAYS_COMPLEX = np.linalg.eigvals(np.eye(1)).dtype.kind == "c"
"""Whether eigenvalues are complex where all are real, too: so since NumPy 2.5."""


def _as_complex(x: Any) -> Any:
    return x.astype(np.result_type(x.dtype, np.complex64))


@whole(memory="new")
def general_eigenpairs(a: Any) -> Any:
    """Return the eigenvalues of matrices, and below each its eigenvector, a column; complex, if they are real, too."""
    w, v = np.linalg.eig(a)
    return _as_complex(np.concatenate([w[..., None, :], v], axis=-2))


@whole(memory="new")
def general_eigenvalues(a: Any) -> Any:
    """Return the eigenvalues of matrices; complex, if they are real, too."""
    return _as_complex(np.linalg.eigvals(a))


@whole(memory="new")
def made_real(v: Any) -> Any:
    """Return which entry of each column was made real: the largest of those that are."""
    size = np.abs(v) * np.equal(v.imag, 0)
    return np.equal(np.arange(v.shape[-1])[:, None], np.argmax(size, axis=-2)[..., None, :])


@whole(memory="new")
def places_in(w: Any, others: Any) -> Any:
    """Return where each eigenvalue is among the others, which are the same but for rounding and their order."""
    apart = np.abs(w[..., :, None] - others[..., None, :])
    places = np.zeros(w.shape, np.intp)
    for i in range(w.shape[-1]):
        places[..., i] = np.argmin(apart[..., i, :], axis=-1)
        np.put_along_axis(apart, places[..., None, i : i + 1], np.inf, axis=-1)
    return places


def _general_eigenpairs(g: Any, out: Any, a: Any) -> Any:
    """v^-H (diag(dw) + (v^H dv) / (w_j - w_i)^*) v^H, for a dv that leaves each vector's length and phase as they are.

    Boeddeker et al. (2017), On the computation of complex-valued gradients. Of equal eigenvalues a
    vector's gradient is infinite, with NumPy's warning; where there is no basis of eigenvectors the gradient grows
    without bounds, or solve raises LinAlgError.
    """
    if not a.size:
        return np.zeros_like(a)
    w, v, dw, dv = out[..., 0, :], out[..., 1:, :], conj(g[..., 0, :]), conj(g[..., 1:, :])
    along = np.sum(conj(v) * dv, axis=-2, keepdims=True)
    fixed = made_real(v)
    phase = np.where(fixed, -1j * np.imag(along) / np.where(fixed, conj(v), 1), 0)
    inner = over_gaps(adjoint(v) @ (dv - v * np.real(along) + phase), conj(differences(w)), w)
    inner = np.where(np.eye(v.shape[-1], dtype=bool), np.expand_dims(dw, -2), inner)
    return conj(np.linalg.solve(adjoint(v), inner @ adjoint(v)))


def _general_eigenvalues(g: Any, out: Any, a: Any) -> Any:
    """v^-H diag(dw) v^H; the vectors are computed here."""
    pairs = general_eigenpairs(a)
    order = np.expand_dims(places_in(out, pairs[..., 0, :]), -2)
    v = np.take_along_axis(pairs[..., 1:, :], order, axis=-1)
    return conj(np.linalg.solve(adjoint(v), np.expand_dims(conj(g), -1) * adjoint(v)))


def _distinct(draw: Draw) -> Arguments:
    """Draw matrices of distinct eigenvalues: real ones with a pair of conjugates, and complex ones."""
    n = draw.integer(2, 3)
    x = draw.array((*draw.choice([(), (), (2,), (0,), (1, 2)]), n, n), -0.3, 0.3)
    if draw.choice([False, True]):
        pair = np.array([[1.0, -2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 4.0]])[:n, :n]
        return ((x + pair).astype(x.dtype),), {}
    shift = np.diag([1.0, -1.0 + 2.0j, 3.0])[:n, :n]
    return ((x + 1j * draw.array(x.shape, -0.3, 0.3) + shift).astype(np.result_type(x.dtype, 1j)),), {}


declare(general_eigenpairs, _general_eigenpairs, inputs=_distinct)
declare(general_eigenvalues, _general_eigenvalues, inputs=_distinct)


def _are_real(w: Any, a: Any) -> bool:
    """Tell whether NumPy returns eigenvalues as real numbers; captured by jit they are complex."""
    return not (ALWAYS_COMPLEX or a.dtype.kind == "c" or any_true(np.not_equal(np.imag(w), 0)))


@compose(np.linalg.eig, inputs=_distinct)
def eig(a: Any) -> Any:
    """Return eigenvalues and eigenvectors as calls of the tape; dtypes as NumPy's."""
    pairs = general_eigenpairs(a)
    if _are_real(pairs[..., 0, :], a):
        pairs = real(pairs)
    return named(np.linalg.eig)(pairs[..., 0, :], pairs[..., 1:, :])


@compose(np.linalg.eigvals, inputs=_distinct)
def eigvals(a: Any) -> Any:
    """Return eigenvalues as calls of the tape; their dtype as NumPy's."""
    w = general_eigenvalues(a)
    return real(w) if _are_real(w, a) else w
