"""Clipping of gradients by their norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..engine.arguments import names_itself
from ..engine.containers import leaves_of, rebuilt_of
from .rule import of_dtype
from .validation import described


@names_itself
def clip_global_norm(grads: Any, max_norm: float) -> tuple[Any, Any]:
    """Scale nested gradients so that the norm of all together is at most ``max_norm``.

    Pascanu, Mikolov, Bengio: "On the difficulty of training recurrent neural networks", 2013.

    Parameters
    ----------
    grads
        Gradients in nested dicts, lists and tuples; they are not changed.
    max_norm : float
        Above 0; ``numpy.inf`` measures alone.

    Returns
    -------
    grads
        The gradients, each of its dtype.
    norm : number
        The norm that they had.

    Raises
    ------
    ValueError
        If ``max_norm`` is not above 0.
    TypeError
        If a gradient is no array of floats.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_global_norm: max_norm is {max_norm!r}; expected a number above 0")
    leaves = leaves_of(grads)
    for g in leaves:
        if not hasattr(g, "dtype") or g.dtype.kind not in "fc":
            raise TypeError(f"clip_global_norm: grads hold {described(g)}; expected arrays of floats")
    norm = np.sqrt(sum([np.sum(np.square(_sizes(g).astype(np.float64))) for g in leaves], np.float64(0)))
    if max_norm == math.inf:
        return rebuilt_of(grads, [g * 1 for g in leaves]), norm
    scale = max_norm / np.maximum(norm, max_norm)
    return rebuilt_of(grads, [g * of_dtype(scale, g.dtype) for g in leaves]), norm


def _sizes(x: Any) -> Any:
    """Return the absolute values of complex numbers; real ones as they are."""
    return np.abs(x) if x.dtype.kind == "c" else x
