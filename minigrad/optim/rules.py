"""The update rules: each a step, declared once for both forms."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..rules.conjugates import conj
from .rule import of_dtype, update_rule

__all__ = ["adagrad", "adam", "adamw", "nesterov_momentum", "rmsprop", "sgd", "sgd_momentum"]


@update_rule(learning_rate=1e-2)
def sgd(w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Stochastic gradient descent: ``w -= learning_rate * dw``."""
    return -settings["learning_rate"] * dw, state


@update_rule("velocity", learning_rate=1e-2, momentum=0.9)
def sgd_momentum(w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Gradient descent with momentum: ``velocity = momentum * velocity - learning_rate * dw``; ``w += velocity``.

    Polyak: "Some methods of speeding up the convergence of iteration methods", 1964.
    """
    velocity = settings["momentum"] * state["velocity"] - settings["learning_rate"] * dw
    return velocity, {"velocity": velocity}


@update_rule("velocity", learning_rate=1e-2, momentum=0.9)
def nesterov_momentum(w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Momentum with the gradient at the lookahead point.

    Written for the parameters looked ahead, as in the notes of CS231n: the step is
    ``momentum * velocity - learning_rate * dw`` with the new velocity. Nesterov: "A method of solving a convex
    programming problem with convergence rate O(1/k²)", 1983.
    """
    move = settings["learning_rate"] * dw
    velocity = settings["momentum"] * state["velocity"] - move
    return settings["momentum"] * velocity - move, {"velocity": velocity}


@update_rule("cache", learning_rate=1e-2, epsilon=1e-8)
def adagrad(w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Steps over the root of the sum of squared gradients: ``w -= learning_rate * dw / (sqrt(cache) + epsilon)``.

    Duchi, Hazan, Singer: "Adaptive subgradient methods for online learning and stochastic optimization", 2011.
    """
    cache = state["cache"] + dw * conj(dw)
    return -settings["learning_rate"] * dw / (np.sqrt(cache) + _epsilon(settings, w)), {"cache": cache}


@update_rule("cache", learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8)
def rmsprop(w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]) -> Any:
    """As `adagrad`, with a moving average of the squared gradients, of ``decay_rate``, in place of their sum.

    Tieleman, Hinton: "Lecture 6.5, rmsprop", Coursera, 2012.
    """
    decay = settings["decay_rate"]
    cache = decay * state["cache"] + (1 - decay) * dw * conj(dw)
    return -settings["learning_rate"] * dw / (np.sqrt(cache) + _epsilon(settings, w)), {"cache": cache}


@update_rule("m", "v", "t", learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8)
def adam(w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Moving averages of the gradient, ``m``, over the root of that of its square, ``v``; bias-corrected by ``t``.

    ``t`` is raised before it is used. Kingma, Ba: "Adam: a method for stochastic optimization", 2015.
    """
    beta1, beta2, t = settings["beta1"], settings["beta2"], state["t"] + 1
    m = beta1 * state["m"] + (1 - beta1) * dw
    v = beta2 * state["v"] + (1 - beta2) * dw * conj(dw)
    m_scale, v_scale = (of_dtype(1 / (1 - beta**t), w.dtype) for beta in (beta1, beta2))
    step = -settings["learning_rate"] * m_scale * m / (np.sqrt(v_scale * v) + _epsilon(settings, w))
    return step, {"m": m, "v": v, "t": t}


@update_rule("m", "v", "t", learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=1e-2)
def adamw(w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]) -> Any:
    """`adam`, and apart from it ``w -= learning_rate * weight_decay * w``.

    Loshchilov, Hutter: "Decoupled weight decay regularization", 2019.
    """
    step, state = adam.step(w, dw, state, settings)
    return step - settings["learning_rate"] * settings["weight_decay"] * w, state


def _epsilon(settings: dict[str, Any], w: Any) -> Any:
    """Return epsilon, in float16 no smaller than its smallest normal number: 1e-8 would be 0."""
    epsilon = settings["epsilon"]
    return epsilon if w.dtype.itemsize > 2 else np.maximum(epsilon, np.finfo(w.dtype).tiny)
