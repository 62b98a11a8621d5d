"""The loss of a net, by its scores; loss and gradients on either backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg


def objective_of(scores: Callable[..., Any]) -> Callable[..., Any]:
    """Return the loss of a net as a function of its parameters, the penalty of its weights included.

    Parameters
    ----------
    scores : callable
        ``scores(params, X, *state)`` returns the class scores; the weights in ``params`` are named W….

    Returns
    -------
    callable
        ``objective(params, X, y, reg, *state, label_smoothing=0.0, sample_weights=None)``.
    """

    def objective(
        params: dict[str, Any],
        X: Any,
        y: Any,
        reg: Any,
        *state: Any,
        label_smoothing: float = 0.0,
        sample_weights: Any = None,
    ) -> Any:
        loss = mg.softmax_cross_entropy(
            scores(params, X, *state), y, label_smoothing=label_smoothing, sample_weights=sample_weights
        )
        return mg.l2_regularized(loss, *[w for name, w in params.items() if name.startswith("W")], reg=reg)

    return objective


def backends(objective: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Return the function to ``(loss, grads)``: ``"tape"`` records its calls, ``"jit"`` is compiled."""
    loss_and_grads = mg.value_and_grad(objective)
    return {"tape": loss_and_grads, "jit": mg.jit(loss_and_grads)}


def strength(reg: Any) -> Any:
    """Return a penalty's strength as `minigrad.jit` takes it without compiling anew for each; 0 stays a constant."""
    return np.float64(reg) if isinstance(reg, float) and reg else reg


def checked_backend(backend: str) -> str:
    """Return the name of a backend; refuse any other.

    A net keeps the name, not the function: so it can be pickled.
    """
    if backend not in ("tape", "jit"):
        raise ValueError(f"backend is {backend!r}; expected 'jit' or 'tape'")
    return backend
