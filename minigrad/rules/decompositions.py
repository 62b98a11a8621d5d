"""Rules of the decompositions: cholesky, eigh, svd, qr.

What NumPy returns as several arrays is one call on the tape, whose result has them side by side; the arrays are parts
of it. Vectors are differentiated as far as they are determined: up to a sign, or, if complex, a phase, which no
function that has a gradient may depend on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .conjugates import adjoint, conj, real
from .linalg import named, tall_or_wide, transposed
from .overriding import whole
from .table import Arguments, Draw, compose, declare


def of_triangle(g: Any, upper: bool = False) -> Any:
    """Move the gradient of a Hermitian matrix to the triangle that NumPy reads; the other triangle has 0."""
    below, diagonal = _below_and_on_diagonal(g.shape[-1])
    both = g + adjoint(g)
    return np.where(below.T if upper else below, both, np.where(diagonal, both / 2, 0))


def _below_and_on_diagonal(n: int) -> tuple[Any, Any]:
    """Return where a matrix of n rows is below its diagonal, and where on it."""
    columns = np.arange(n)
    rows = columns.reshape(n, 1)
    return rows > columns, rows == columns


def definite(draw: Draw) -> Any:
    """Draw matrices whose lower triangle is that of a positive definite one with eigenvalues well apart."""
    n = draw.integer(1, 3)
    x = draw.array((*draw.choice([(), (), (2,), (0,), (1, 2)]), n, n), -0.4, 0.4)
    return (x + np.diag(1.0 + 2.0 * np.arange(n))).astype(x.dtype)


def _cholesky(g: Any, out: Any, a: Any, upper: bool = False) -> Any:
    """Murray (2016), Differentiation of the Cholesky decomposition. Of a, one triangle is read: the other has 0."""
    low, g = (adjoint(out), adjoint(conj(g))) if upper else (out, conj(g))
    n = a.shape[-1]
    half = np.tri(n, dtype=low.dtype) - np.eye(n, dtype=low.dtype) / 2
    inner = half * (adjoint(low) @ g)
    inner = (inner + adjoint(inner)) / 2
    high = adjoint(low)
    return conj(of_triangle(np.linalg.solve(high, adjoint(np.linalg.solve(high, inner))), upper))


declare(
    np.linalg.cholesky,
    _cholesky,
    inputs=lambda draw: ((definite(draw),), {"upper": draw.choice([False, True])}),
    memory="new",
)


def over_gaps(m: Any, gaps: Any, values: Any) -> Any:
    """Return m / gaps with a zero diagonal; 0 / 0 counts as 0, and a gap as 0 that is the values' rounding alone."""
    rounding = (
        values.shape[-1] * float(np.finfo(values.dtype).eps) * np.max(np.abs(values), axis=-1, initial=0)
    )
    gaps = np.where(np.less_equal(np.abs(gaps), rounding[..., None, None]), 0, gaps)
    idle = np.eye(m.shape[-1], dtype=bool) | (np.equal(gaps, 0) & np.equal(m, 0))
    return np.where(idle, 0, m / np.where(idle, 1, gaps))


def differences(w: Any) -> Any:
    """Return w_j - w_i."""
    return w[..., None, :] - w[..., None]


@whole(memory="new")
def eigenpairs(a: Any, UPLO: Any = "L") -> Any:
    """Return the eigenvalues of Hermitian matrices, and below each its eigenvector, a column."""
    w, v = np.linalg.eigh(a, UPLO)
    return np.concatenate([w[..., None, :].astype(v.dtype), v], axis=-2)


def _eigenpairs(g: Any, out: Any, a: Any, UPLO: Any = "L") -> Any:
    """V (diag(dw) + (v^H dv) / (w_j - w_i)) v^H.

    Of equal eigenvalues only functions that do not tell them apart have a gradient, as their sum has. A vector's is
    infinite, with NumPy's warning. Of a, one triangle is read: the other has 0.
    """
    w, v, dw, dv = real(out[..., 0, :]), out[..., 1:, :], real(g[..., 0, :]), conj(g[..., 1:, :])
    inner = over_gaps(adjoint(v) @ dv, differences(w), w)
    return conj(of_triangle((v * dw[..., None, :] + v @ inner) @ adjoint(v), UPLO.upper() == "U"))


def _triangle(draw: Draw) -> Arguments:
    return (definite(draw),), {"UPLO": draw.choice(["L", "U"])}


declare(eigenpairs, _eigenpairs, inputs=_triangle)


@compose(np.linalg.eigh, inputs=_triangle)
def _eigh(a: Any, UPLO: Any = "L") -> Any:
    pairs = eigenpairs(a, UPLO=UPLO)
    return named(np.linalg.eigh)(real(pairs[..., 0, :]), pairs[..., 1:, :])


def _eigvalsh(g: Any, out: Any, a: Any, UPLO: Any = "L") -> Any:
    """V diag(dw) v^H; the vectors are computed here."""
    v = np.linalg.eigh(a, UPLO)[1]
    return conj(of_triangle((v * g[..., None, :]) @ adjoint(v), UPLO.upper() == "U"))


declare(np.linalg.eigvalsh, _eigvalsh, inputs=_triangle, memory="new")


# -- singular values -----------------------------------------------------------------------------------------------


@whole(memory="new")
def singular_triples(a: Any, full_matrices: bool = False) -> Any:
    """Return a column a singular value: the left vector, the value, and the conjugate of the right vector.

    With ``full_matrices`` there are more columns, for the vectors of a basis without a singular value.
    """
    parts = np.linalg.svd(a, full_matrices=full_matrices)
    u, s, v = parts.U, parts.S[..., None, :].astype(a.dtype), parts.Vh.swapaxes(-1, -2)
    count = max(u.shape[-1], v.shape[-1])
    idle = [np.zeros((*x.shape[:-1], count - x.shape[-1]), x.dtype) for x in (u, s, v)]
    return np.concatenate(
        [np.concatenate(pair, axis=-1) for pair in zip((u, s, v), idle, strict=True)], axis=-2
    )


def _parts(x: Any, m: int, n: int) -> tuple[Any, Any, Any]:
    return x[..., :m, :m], real(x[..., m, : min(m, n)]), transposed(x[..., m + 1 :, :n])


@whole(checks=True)
def whatever_the_basis(inner: Any, size: Any) -> np.bool_:
    """Refuse the gradient of a loss that depends on which vectors complete a basis: inner is then not Hermitian."""
    apart = np.max(np.abs(inner - np.conj(np.swapaxes(inner, -1, -2))), initial=0)
    if apart > np.finfo(inner.dtype).eps ** 0.5 * np.max(np.abs(size), initial=0):
        raise ValueError(
            "numpy.linalg.svd: the loss depends on which vectors complete the basis; these have no gradient: let it "
            "depend on the space they span alone, u[:, k:] @ u[:, k:].T, or write full_matrices=False"
        )
    return np.bool_(True)


def _without_rest(u: Any, du: Any, k: int) -> tuple[Any, Any]:
    """Return the first k vectors, and what the gradient of the others, which turn against them, adds to theirs."""
    if u.shape[-1] == k:
        return u, du
    u, rest, du, drest = u[..., :k], u[..., k:], du[..., :k], du[..., k:]
    whatever_the_basis(adjoint(rest) @ drest, drest)
    return u, du - rest @ adjoint(drest) @ u


def _singular_triples(g: Any, out: Any, a: Any, full_matrices: bool = False) -> Any:
    """Wan & Zhang (2019), Automatic differentiation for complex valued SVD.

    Vectors without a singular value turn with the others: only the space they span has a gradient. Of equal singular
    values, and of zeros, only functions that do not tell them apart have a gradient; a vector's is
    infinite, with NumPy's warning.
    """
    m, n = a.shape[-2:]
    u, s, vh = _parts(out, m, n)
    du, ds, dvh = _parts(conj(g), m, n)
    u, du = _without_rest(u, du, min(m, n))
    vh, dvh = map(adjoint, _without_rest(adjoint(vh), adjoint(dvh), min(m, n)))
    values, s, below = s, s[..., None, :], s[..., None]
    gaps, both = s - below, s + below  # not their product, which would underflow
    both = np.where(np.equal(both, 0), 1, both)
    of_u, of_v = adjoint(u) @ du, vh @ adjoint(dvh)
    antisymmetric = of_u - adjoint(of_u), of_v - adjoint(of_v)
    of_u_over, of_v_over = [over_gaps(each, gaps, values) for each in antisymmetric]
    inner = of_u_over * (s / both) + of_v_over * (below / both)
    if a.dtype.kind == "c":  # the phase that u and v share
        inner = inner + np.eye(u.shape[-1]) * (1j * np.imag(of_u) / s)
    total = (u * ds[..., None, :] + u @ inner) @ vh
    if m > n:
        total = total + ((du - u @ of_u) / s) @ vh
    if n > m:
        total = total + (u / s) @ (dvh - adjoint(of_v) @ vh)
    return conj(total)


declare(singular_triples, _singular_triples, inputs=lambda draw: ((tall_or_wide(draw),), {}))


@whole(memory="new")
def singular_values(a: Any) -> Any:
    """Return the singular values, the largest first."""
    return np.linalg.svd(a, compute_uv=False)


def _singular_values(g: Any, out: Any, a: Any) -> Any:
    """U diag(ds) v^H; the vectors are computed here."""
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    return conj((u * g[..., None, :]) @ vh)


declare(singular_values, _singular_values, inputs=lambda draw: ((tall_or_wide(draw),), {}))


def _svd_inputs(draw: Draw) -> Arguments:
    hermitian = draw.choice([False, False, True])
    x = definite(draw) if hermitian else tall_or_wide(draw)
    if hermitian and draw.choice([False, True]):
        x = (x * np.where(np.arange(x.shape[-1]) % 2, -1, 1)).astype(x.dtype)
    full = x.shape[-1] == x.shape[-2] and draw.choice([False, True])
    return (x,), {"full_matrices": full, "compute_uv": draw.choice([True, False]), "hermitian": hermitian}


@compose(np.linalg.svd, inputs=_svd_inputs)
def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    if hermitian:
        return _of_hermitian(a, compute_uv)
    if not compute_uv:
        return singular_values(a)
    full = full_matrices and a.shape[-1] != a.shape[-2]
    return named(np.linalg.svd)(*_parts(singular_triples(a, full_matrices=full), *a.shape[-2:]))


def _of_hermitian(a: Any, compute_uv: bool) -> Any:
    """The singular values are the eigenvalues' sizes, the largest first; the right vectors have their signs."""
    if not compute_uv:
        return np.sort(np.abs(np.linalg.eigvalsh(a)))[..., ::-1]
    w, u = np.linalg.eigh(a)
    order = np.argsort(np.abs(w))[..., ::-1]
    w, u = np.take_along_axis(w, order, axis=-1), np.take_along_axis(u, order[..., None, :], axis=-1)
    return named(np.linalg.svd)(u, np.abs(w), adjoint(u * np.copysign(1.0, w)[..., None, :]))


@compose(np.linalg.svdvals, inputs=lambda draw: ((tall_or_wide(draw),), {}))
def _svdvals(x: Any) -> Any:
    return singular_values(x)


# -- orthogonal and triangular ---------------------------------------------------------------------------------------


@whole(memory="new")
def orthogonal_triangular(a: Any) -> Any:
    """Return q of a tall matrix, and below it the transpose of r."""
    q, r = np.linalg.qr(a)
    return np.concatenate([q, r.swapaxes(-1, -2)], axis=-2)


def _orthogonal_triangular(g: Any, out: Any, a: Any) -> Any:
    """Walter, Lehmann & Lamour (2012), On evaluating higher-order derivatives of the QR decomposition.

    Columns that depend on each other raise LinAlgError.
    """
    m, n = a.shape[-2:]
    q, r = out[..., :m, :], transposed(out[..., m:, :])
    dq, dr = conj(g[..., :m, :]), transposed(conj(g[..., m:, :]))
    inner = r @ adjoint(dr) - adjoint(dq) @ q
    below, diagonal = _below_and_on_diagonal(n)
    low = np.where(below, inner, 0)
    inner = low + adjoint(low) + np.where(diagonal, real(inner), 0)
    return conj(adjoint(np.linalg.solve(r, adjoint(dq + q @ inner))))


def _tall(draw: Draw) -> Arguments:
    x = tall_or_wide(draw)
    return (x if x.shape[-2] >= x.shape[-1] else np.array(transposed(x)),), {}


declare(orthogonal_triangular, _orthogonal_triangular, inputs=_tall)


def _qr_inputs(draw: Draw) -> Arguments:
    return (tall_or_wide(draw),), {"mode": draw.choice(["reduced", "r"])}


@compose(np.linalg.qr, inputs=_qr_inputs)
def _qr(a: Any, mode: str = "reduced") -> Any:
    """Of a wide matrix, the first columns give q, and the rest is q^H times the others."""
    m, n = a.shape[-2:]
    if mode not in ("reduced", "r") and not (mode == "complete" and m <= n):
        raise TypeError(
            f"numpy.linalg.qr: no backward rule with mode={mode!r} for shape {a.shape}; write mode='reduced'"
        )
    both = orthogonal_triangular(a[..., :m] if m < n else a)
    q, r = both[..., :m, :], transposed(both[..., m:, :])
    if m < n:
        r = np.concatenate([r, adjoint(q) @ a[..., m:]], axis=-1)
    return r if mode == "r" else named(np.linalg.qr)(q, r)
