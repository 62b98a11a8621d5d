"""The L2 penalty of the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.arguments import takes_arrays
from ..engine.layer import layer
from ..engine.recording import Array
from ..rules.reductions import narrowed, widened


def _strength(reg: Any, dtype: np.dtype[Any]) -> Any:
    """Return a real number in a dtype; refuse anything else."""
    if type(reg) is float:
        return dtype.type(reg)
    if np.shape(reg) != ():
        raise ValueError(f"l2_regularized: reg has shape {np.shape(reg)}; expected a number")
    if (reg if hasattr(reg, "dtype") else np.asarray(reg)).dtype.kind not in "fiu":
        raise TypeError(f"l2_regularized: reg is {reg!r}; expected a real number")
    return reg.astype(dtype) if hasattr(reg, "dtype") else dtype.type(reg)


@takes_arrays
def l2_regularized_forward(
    loss: Array, *weights: Array, reg: float
) -> tuple[Any, tuple[float, tuple[Array, ...]]]:
    """Add the L2 penalty to a loss: reg / 2 times the sum of the squares of all weights.

    Parameters
    ----------
    loss : scalar
    *weights : ndarrays of any shape
    reg : number
        The strength of the regularization, real.

    Returns
    -------
    out : scalar
    cache : (reg, weights)

    Raises
    ------
    ValueError
        If the loss has axes, or ``reg`` has.
    TypeError
        If ``reg`` is no real number.
    """
    if loss.shape != ():
        raise ValueError(f"l2_regularized: the loss has shape {loss.shape}; expected a number, as by .sum()")
    wide = widened(loss)
    half = _strength(reg, wide.dtype) / 2
    squares: Any = 0
    for w in map(widened, weights):
        squares = squares + np.vdot(w, w)
    # [()] makes a number of the loss: numbers add up faster than arrays of no axes.
    return narrowed(wide[()] + half * squares, loss, *weights), (reg, weights)


@takes_arrays
def l2_regularized_backward(dout: Array, cache: tuple[float, tuple[Array, ...]]) -> tuple[Any, ...]:
    """Compute the gradients of `l2_regularized_forward`: dout for the loss, reg dout w for each w."""
    reg, weights = cache
    wide = widened(dout)
    scale = _strength(reg, wide.dtype) * wide
    return (dout, *[narrowed(scale * w, w) for w in weights])


l2_regularized = layer(
    l2_regularized_forward,
    l2_regularized_backward,
    inputs=lambda draw: ((draw.array(()), draw.array(), draw.array()), {"reg": 0.7}),
)
