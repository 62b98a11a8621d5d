"""Validation of results: of a model's loss and gradients, of a metric, of an update rule."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..optim.validation import Config


def check_updated(rule: Any, name: str, w: NDArray[Any], result: Any) -> tuple[NDArray[Any], Config]:
    """Return an update rule's result for a parameter; refuse all but ``(w, config)``, w like the parameter."""
    called = f"the update rule {getattr(rule, '__name__', type(rule).__name__)} returned"
    if not (isinstance(result, tuple | list) and len(result) == 2 and isinstance(result[1], dict)):
        raise TypeError(
            f"{called} {type(result).__name__} for {name!r}; it must return (w, config), config a dict"
        )
    new, config = result
    if not isinstance(new, np.ndarray | np.generic):  # NumPy's arithmetic turns 0-d arrays into scalars
        raise TypeError(
            f"{called} a {type(new).__name__} for {name!r}; it must return the parameter, a NumPy array"
        )
    return _like(new, w, called, f" for {name!r}"), config


def as_number(value: Any, what: str) -> float:
    """Convert a scalar result to a float; raise for anything else."""
    if np.shape(value) != ():
        raise TypeError(
            f"{what} is {type(value).__name__} of shape {np.shape(value)}; it must be one number, such as the mean"
        )
    if np.iscomplexobj(value):  # of which float() drops the imaginary part
        raise TypeError(f"{what} is {value!r}; it must be a real number")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{what} is {value!r}; it must be one number") from None


def check_names(params: Mapping[str, NDArray[Any]], names: Set[str]) -> None:
    """Refuse parameters of other names than before: no rule, average or checkpoint would have them."""
    if params.keys() != names:
        raise ValueError(
            f"after model.loss(X, y) model.params has {sorted(params)}, but it had {sorted(names)} when the Solver was "
            "made; all parameters must be there then"
        )


def checked_gradients(
    params: Mapping[str, NDArray[Any]], grads: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Return the parameters' gradients, each of its parameter's dtype.

    Refuse gradients that are missing, of no parameter, of another shape, or no real floats for real parameters.
    """
    if unknown := grads.keys() - params.keys():
        raise ValueError(
            f"model.loss(X, y) returned gradients for {sorted(map(str, unknown))}; expected one for each of "
            f"model.params, {sorted(params)}"
        )
    checked = {}
    for name, w in params.items():
        if name not in grads:
            raise ValueError(
                f"model.loss(X, y) returned no gradient for parameter {name!r}, only {sorted(grads)}"
            )
        dw = grads[name]
        if not isinstance(dw, np.ndarray | np.generic):  # NumPy's arithmetic turns 0-d arrays into scalars
            raise TypeError(f"the gradient of {name!r} is a {type(dw).__name__}; it must be a NumPy array")
        checked[name] = _like(dw, w, f"the gradient of {name!r} is")
    return checked


def _like(x: Any, w: NDArray[Any], what: str, of: str = "") -> NDArray[Any]:
    """Return an array in a parameter's dtype; refuse another shape, or numbers of another kind.

    Hand-written layers make float64 of float32 here and there: a mask, ``np.zeros(shape)``, a NumPy number.
    """
    if x.shape != w.shape or x.dtype.kind not in "fc" or not np.can_cast(x.dtype, w.dtype, "same_kind"):
        raise ValueError(
            f"{what} {x.dtype} of shape {x.shape}{of}; it must be like the parameter, {w.dtype} of shape {w.shape}"
        )
    return np.asarray(x, w.dtype)
