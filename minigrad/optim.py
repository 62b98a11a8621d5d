"""Update rules: one step of a parameter along its gradient.

Every rule has the form used in Stanford's CS231n, ``rule(w, dw, config=None) -> (w, config)``: it gets a
parameter, its gradient, and a dict with the rule's settings (and, for rules that have one, its state), and
returns the parameter and the dict for the next step. A rule is one function, entered in `rules` by its name.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Config = dict[str, Any]
Rule = Callable[[NDArray[Any], NDArray[Any], Config | None], tuple[NDArray[Any], Config]]


def sgd(w: NDArray[Any], dw: NDArray[Any], config: Config | None = None) -> tuple[NDArray[Any], Config]:
    """Plain stochastic gradient descent, ``w -= learning_rate * dw``, in place.

    Parameters
    ----------
    w : ndarray of any shape, floating
        The parameter; it is overwritten.
    dw : ndarray of w's shape and dtype
        The gradient of the loss with respect to `w`.
    config : dict, optional
        ``learning_rate``, a finite number >= 0; 1e-2 is filled in when it is missing.

    Returns
    -------
    w : ndarray
        The array that was passed in, updated; its dtype does not change.
    config : dict
        The dict that was passed in, or a new one.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above; nothing has been changed then.
    """
    config = {} if config is None else config
    if not isinstance(config, dict):
        raise TypeError(f'sgd: config is {config!r}; expected a dict, such as {{"learning_rate": 1e-2}}')
    learning_rate = config.get("learning_rate", 1e-2)
    _check_step(w, dw)
    _check_learning_rate(learning_rate)
    _check_keys(config, known={"learning_rate"})
    config.setdefault("learning_rate", learning_rate)
    w -= float(learning_rate) * dw  # a Python float: it never widens float32
    return w, config


rules: dict[str, Rule] = {"sgd": sgd}
"""The update rules by their names."""


def find_rule(rule: str | Rule) -> Rule:
    """Return the update rule of this name; a function is returned as it is.

    Raises
    ------
    ValueError
        When no rule has this name.
    TypeError
        When `rule` is neither a name nor a function.
    """
    if callable(rule):
        return rule
    if not isinstance(rule, str):
        raise TypeError(f"an update rule is a name or a function, got {rule!r}")
    if rule not in rules:
        raise ValueError(
            f"no update rule is named {rule!r}; known: {', '.join(sorted(rules))}. "
            "A function rule(w, dw, config) -> (w, config) can be given instead of a name."
        )
    return rules[rule]


def _check_step(w: NDArray[Any], dw: NDArray[Any]) -> None:
    if not isinstance(w, np.ndarray):
        raise TypeError(f"w must be a NumPy array, got {type(w).__name__}")
    if not isinstance(dw, np.ndarray | np.generic):  # NumPy's arithmetic turns 0-d arrays into scalars
        raise TypeError(f"dw must be a NumPy array, got {type(dw).__name__}")
    if not np.issubdtype(w.dtype, np.floating):
        raise TypeError(f"w must have a floating dtype, got {w.dtype}; convert it with w.astype(float)")
    if not w.flags.writeable:
        raise ValueError("w is read-only and is updated in place; pass a writable array, such as w.copy()")
    if dw.shape != w.shape:
        raise ValueError(
            f"the gradient dw has shape {dw.shape}, the parameter w has {w.shape}; they must agree"
        )
    if dw.dtype != w.dtype:
        raise TypeError(
            f"the gradient dw has dtype {dw.dtype}, the parameter w has {w.dtype}; "
            "they must agree: convert one of them with astype"
        )


def _check_learning_rate(learning_rate: object) -> None:
    if not isinstance(learning_rate, float | int | np.floating | np.integer):
        raise TypeError(f"learning_rate must be a number, got {learning_rate!r}")
    if not (math.isfinite(learning_rate) and learning_rate >= 0):
        raise ValueError(f"learning_rate must be finite and >= 0, got {learning_rate!r}")


def _check_keys(config: Config, known: set[str]) -> None:
    if unknown := config.keys() - known:
        raise ValueError(f"the rule does not know {sorted(unknown)} in its config; it knows {sorted(known)}")
