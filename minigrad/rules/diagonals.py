"""Rules of the functions that read and make diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from .overriding import whole
from .table import Arguments, Draw, declare


@whole(memory="new")
def on_diagonal(d: Any, shape: tuple[int, ...], offset: int, axis1: int, axis2: int) -> Any:
    """Return zeros of this shape with d on a diagonal, d's last axis along it."""
    out = np.zeros(shape, d.dtype)
    diagonal = np.diagonal(out, offset, axis1, axis2)
    diagonal.setflags(write=True)  # a view, which NumPy makes read-only
    diagonal[...] = d
    return out


def _diagonal_inputs(draw: Draw) -> Arguments:
    x = draw.array((draw.integer(0, 3), draw.integer(1, 3), draw.integer(0, 3))[: draw.integer(2, 3)])
    axis1, axis2 = draw.choice([(0, 1), (x.ndim - 1, 0), (-1, -2)])
    return (x,), {"offset": draw.choice([0, 1, -1, 2]), "axis1": axis1, "axis2": axis2}


def _on_diagonal_inputs(draw: Draw) -> Arguments:
    (x,), options = _diagonal_inputs(draw)
    return (draw.array(np.diagonal(x, **options).shape), x.shape, *options.values()), {}


declare(
    np.diagonal,
    lambda g, out, a, offset=0, axis1=0, axis2=1: on_diagonal(g, a.shape, offset, axis1, axis2),
    inputs=_diagonal_inputs,
)
declare(
    on_diagonal,
    lambda g, out, d, shape, offset, axis1, axis2: np.diagonal(g, offset, axis1, axis2),
    inputs=_on_diagonal_inputs,
)


declare(
    np.trace,
    lambda g, out, a, offset=0, axis1=0, axis2=1: on_diagonal(g[..., None], a.shape, offset, axis1, axis2),
    inputs=_diagonal_inputs,
    memory="new",
)


def _matrices_and_offset(draw: Draw) -> Arguments:
    return (draw.array((*draw.shape(max_ndim=1), 3, draw.integer(1, 4))),), {"offset": draw.integer(-2, 3)}


declare(
    np.linalg.diagonal,
    lambda g, out, x, offset=0: on_diagonal(g, x.shape, offset, -2, -1),
    forward=lambda x, offset=0: np.diagonal(x, offset, -2, -1),
    inputs=_matrices_and_offset,
)
declare(
    np.linalg.trace,
    lambda g, out, x, offset=0: on_diagonal(g[..., None], x.shape, offset, -2, -1),
    forward=lambda x, offset=0: np.trace(x, offset, -2, -1),
    inputs=_matrices_and_offset,
    memory="new",
)


def _diag(g: Any, out: Any, v: Any, k: int = 0) -> Any:
    """Of a matrix, its diagonal was read; of a line, a matrix was made that has it there."""
    return np.diagonal(g, k) if v.ndim == 1 else on_diagonal(g, v.shape, k, 0, 1)


declare(
    np.diag,
    _diag,
    inputs=lambda draw: ((draw.array(draw.choice([(2,), (2, 3)])), draw.integer(-1, 1)), {}),
)
declare(
    np.diagflat,
    lambda g, out, v, k=0: np.reshape(np.diagonal(g, k), v.shape),
    inputs=lambda draw: ((draw.array(), draw.integer(-1, 1)), {}),
    memory="new",
)


def _triangle_inputs(draw: Draw) -> Arguments:
    return (draw.array(draw.shape(min_ndim=1)), draw.integer(-1, 1)), {}


declare(np.tril, lambda g, out, m, k=0: np.tril(g, k), inputs=_triangle_inputs, memory="new")
declare(np.triu, lambda g, out, m, k=0: np.triu(g, k), inputs=_triangle_inputs, memory="new")
