"""The evidence of a diagnosis: one wrong gradient, the right one, and the call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.recording import Array
from .vectors import largest


@dataclass(frozen=True)
class Evidence:
    """One wrong gradient, and the call that it belongs to.

    Parameters
    ----------
    got, right : ndarray
        The gradient that was returned, and the right one; of another shape, if the shape is wrong.
    wrong : ndarray of bools
        Which of the entries are wrong; all, if the shape is.
    input : ndarray
        The input that the gradient belongs to.
    others : dict
        The right gradients of the other inputs, by name.
    fit : frozenset
        The names of the inputs whose returned gradients are right.
    arrays : dict
        The array inputs and the outputs, by name.
    numbers : dict
        The options that are numbers, by name.
    dout : ndarray
        The gradient of the output.
    terms : ndarray, of the axes of dout and then those of input, optional
        The contribution of each entry of the output to each entry of the right gradient.
    outputs : tuple of int
        The sizes of the outputs; of several, dout and the output are one vector.
    """

    got: Array
    right: Array
    wrong: Array
    input: Array
    dout: Array
    others: dict[str, Array] = field(default_factory=dict)
    fit: frozenset[str] = frozenset()
    arrays: dict[str, Array] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    terms: Array | None = None
    outputs: tuple[int, ...] = ()


def equal(x: Any, y: Any) -> bool:
    """Tell whether two arrays are equal up to a reference's errors; arrays of zeros never are."""
    x, y = np.asarray(x), np.asarray(y)
    size = largest(y)
    return x.shape == y.shape and 0 < size < np.inf and bool(np.all(np.abs(x - y) <= 1e-5 * size))


Hypothesis = Callable[[Evidence], "str | None"]
