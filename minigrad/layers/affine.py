"""The affine layer, the relu, and one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import unwrap
from typing import Any

import numpy as np

from ..engine.arguments import takes_arrays
from ..engine.layer import layer
from ..engine.recording import Array
from ..rules.choosing import as_row
from ..rules.table import Arguments, Draw

ALL = (True, True, True)


@takes_arrays
def affine_forward(x: Array, w: Array, b: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    """Compute ``x_rows @ w + b``, where each example of x is flattened into a row.

    Parameters
    ----------
    x : ndarray of shape (N, d_1, …, d_k)
    w : ndarray of shape (D, M), D = d_1 ⋯ d_k
    b : ndarray of shape (M,)

    Returns
    -------
    out : ndarray of shape (N, M)
    cache : (x, w, b)

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    rows = _rows(x)
    if w.ndim != 2 or rows.shape[1] != w.shape[0]:
        raise ValueError(
            f"affine: x flattens to {rows.shape} but w has shape {w.shape}; w's first axis must be {rows.shape[1]}"
        )
    if b.shape != w.shape[1:]:
        raise ValueError(
            f"affine: b has shape {b.shape} but w has shape {w.shape}; b's must be {w.shape[1:]}"
        )
    out = np.dot(rows, w)
    if b.dtype == out.dtype:
        out += b
    else:
        out = out + b
    return out, (x, w, b)


@takes_arrays
def affine_backward(
    dout: Array, cache: tuple[Array, Array, Array], needs: Sequence[bool] = ALL
) -> tuple[Array | None, Array | None, Array | None]:
    """Compute the gradients of `affine_forward`: ``dout w^T``, ``x_rows^T dout`` and the sum of dout's rows.

    Parameters
    ----------
    dout : ndarray of shape (N, M)
    cache : (x, w, b)
    needs : three bools
        Which of the gradients are wanted; None stands for the others.

    Returns
    -------
    dx, dw, db : ndarrays of the shapes of x, w and b
    """
    x, w, _ = cache
    dx = np.dot(dout, w.T).reshape(x.shape) if needs[0] else None
    dw = np.dot(_rows(x).T, dout) if needs[1] else None
    db = np.add.reduce(dout, axis=0) if needs[2] else None
    return dx, dw, db


def _rows(x: Array) -> Array:
    """Flatten each example into a row, in an empty batch too."""
    if not x.ndim:
        raise ValueError("affine: x has shape (); expected (N, d_1, …, d_k), an example in each row")
    return x if x.ndim == 2 else x.reshape(x.shape[0], int(np.prod(x.shape[1:])))


@takes_arrays
def relu_forward(x: Array) -> tuple[Array, Array]:
    """Compute max(x, 0), entry by entry.

    Parameters
    ----------
    x : ndarray of any shape

    Returns
    -------
    out : ndarray of x's shape and dtype
    cache : out
        What is positive in the output was so in the input.
    """
    out = np.maximum(x, as_row(0.0, x))
    return out, out


@takes_arrays
def relu_backward(dout: Array, cache: Array) -> Array:
    """Compute the gradient of `relu_forward`: dout where x > 0, and 0 elsewhere; relu'(0) = 0.

    By a product, which is several times faster than to select: where dout is infinite and the unit is dead, dx is
    NaN, and not 0; ``np.where(x > 0, x, 0)`` selects.

    Parameters
    ----------
    dout : ndarray of any shape
    cache : ndarray of the same shape
        The output of `relu_forward`; its input serves as well.

    Returns
    -------
    dx : ndarray of the same shape
    """
    dx: Array = dout * (cache > 0).astype(dout.dtype)
    return dx


# Called with arrays: without the checks of `takes_arrays`.
_affine_forward, _affine_backward = unwrap(affine_forward), unwrap(affine_backward)
_relu_forward, _relu_backward = unwrap(relu_forward), unwrap(relu_backward)


@takes_arrays
def affine_relu_forward(x: Array, w: Array, b: Array) -> tuple[Array, tuple[Any, Any]]:
    """Compute `affine_forward`, then `relu_forward`; shapes as there. The cache is the pair of theirs."""
    a, affine_cache = _affine_forward(x, w, b)
    out, relu_cache = _relu_forward(a)
    return out, (affine_cache, relu_cache)


@takes_arrays
def affine_relu_backward(
    dout: Array, cache: tuple[Any, Any], needs: Sequence[bool] = ALL
) -> tuple[Array | None, Array | None, Array | None]:
    """Compute the gradients of `affine_relu_forward`: dx, dw, db, as `affine_backward` does."""
    affine_cache, relu_cache = cache
    dx, dw, db = _affine_backward(_relu_backward(dout, relu_cache), affine_cache, needs)
    return dx, dw, db


def _affine_inputs(draw: Draw) -> Arguments:
    example = draw.shape(min_ndim=1, max_ndim=3)
    m = draw.integer(0, 3)
    return (
        draw.array((draw.integer(0, 3), *example)),
        draw.array((int(np.prod(example)), m)),
        draw.array((m,)),
    ), {}


affine = layer(affine_forward, affine_backward, inputs=_affine_inputs)
relu = layer(relu_forward, relu_backward, inputs=lambda draw: ((draw.array(),), {}))
affine_relu = layer(affine_relu_forward, affine_relu_backward, inputs=_affine_inputs)
