"""The ways to one gradient: what each found, and how the tape finds it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.derivatives import as_input, recorded
from ..engine.recording import Array, Call
from ..engine.tensor import Tensor
from ..engine.walk import walk_back
from .vectors import parts, split

ULPS = 64
"""Tolerance of a gradient entry, in ulps of the largest sum it comes from."""


@dataclass(frozen=True)
class Way:
    """One way to the gradients: an array for each input, NaN where it was not found, and its own error there."""

    name: str
    arrays: Sequence[Array]
    errors: Sequence[Any]

    @property
    def exact(self) -> bool:
        """Whether rounding is its only error."""
        return self.name != "finite differences"

    def known(self, k: int) -> Any:
        """Tell which entries of the gradient of input k were found."""
        return np.isfinite(self.errors[k]) & ~np.isnan(self.arrays[k])


def on_tape(f: Callable[..., Any], arrays: Sequence[Array]) -> tuple[dict[int, Call], Sequence[Any]]:
    """Call f on tensors; return the calls that stand for its arguments, and its results."""
    targets: dict[int, Call] = {}
    inputs = [as_input(targets, x) for x in arrays]
    return targets, parts(recorded(f, inputs, {}, targets))  # in which float(t) is refused


def tape_gradients(f: Callable[..., Any], given: Sequence[Array]) -> list[Array]:
    """Return the gradients of f that the tape finds, given the arrays and, last, dout."""
    *arrays, dout = given
    return walked_back(*on_tape(f, arrays), arrays, dout)


def walked_back(
    targets: dict[int, Call], outs: Sequence[Any], arrays: Sequence[Array], dout: Array
) -> list[Array]:
    """Run the backward pass from results on the tape, with no extra call between that could be wrong too."""
    gradients: dict[int, Any] = {number: np.zeros(x.shape) for number, x in zip(targets, arrays, strict=True)}
    for out, weights in zip(outs, split(dout, [np.shape(out) for out in outs]), strict=True):
        if isinstance(out, Tensor) and out._call is not None:
            for number, g in walk_back(out._call, weights, targets)[0].items():
                if number in targets:
                    gradients[number] = gradients[number] + g
    return list(gradients.values())
