"""The L2 penalty of the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.arguments import takes_arrays
from ..engine.layer import layer
from ..engine.recording import Array


@takes_arrays
def l2_regularized_forward(
    loss: Array, *weights: Array, reg: float
) -> tuple[Any, tuple[float, tuple[Array, ...]]]:
    """Add the L2 penalty to a loss: reg / 2 times the sum of the squares of all weights.

    Parameters
    ----------
    loss : scalar
    *weights : ndarrays of any shape
    reg : float
        The strength of the regularization.

    Returns
    -------
    out : scalar
    cache : (reg, weights)

    Raises
    ------
    ValueError
        If the loss has axes.
    """
    if loss.shape != ():
        raise ValueError(f"l2_regularized: the loss has shape {loss.shape}; expected a number, as by .sum()")
    squares = loss.dtype.type(0)
    for w in weights:
        squares = squares + np.vdot(w, w)
    # [()] makes a number of the loss: numbers add up faster than arrays of no axes.
    return loss[()] + loss.dtype.type(reg / 2) * squares, (reg, weights)


@takes_arrays
def l2_regularized_backward(dout: Array, cache: tuple[float, tuple[Array, ...]]) -> tuple[Any, ...]:
    """Compute the gradients of `l2_regularized_forward`: dout for the loss, reg dout w for each w."""
    reg, weights = cache
    scale = dout.dtype.type(reg) * dout
    return (dout, *[scale * w for w in weights])


l2_regularized = layer(
    l2_regularized_forward,
    l2_regularized_backward,
    inputs=lambda draw: ((draw.array(()), draw.array(), draw.array()), {"reg": 0.7}),
)
