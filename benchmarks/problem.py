"""The task of every contestant: one training step of a fully connected net."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

CLASSES = 10


class Problem(NamedTuple):
    """One batch, and the net that learns it: affine layers with a relu between any two, a loss, and a penalty.

    Attributes
    ----------
    X : ndarray of shape (N, D)
    y : ndarray of N integers in [0, 10)
    params : dict of ndarrays
        W1 (D, H1), b1 (H1,), W2, b2 and so on: where the step starts. A contestant copies them.
    loss : {"softmax", "svm"}
        The loss of the scores, to which reg / 2 times the sum of the squares of all weights is added.
    reg, learning_rate : float
        The strength of the penalty, and the step of plain SGD on all parameters, which is exact in float32.
    """

    X: np.ndarray
    y: np.ndarray
    params: dict[str, np.ndarray]
    loss: str
    reg: float = 1e-3
    learning_rate: float = 2**-10

    @property
    def depth(self) -> int:
        """The number of affine layers."""
        return len(self.params) // 2

    @property
    def weights(self) -> list[str]:
        """The names of the weights, those of the first layer first."""
        return [f"W{i + 1}" for i in range(self.depth)]

    def copy_params(self) -> dict[str, np.ndarray]:
        """Return copies of the parameters."""
        return {name: w.copy() for name, w in self.params.items()}


class Contestant(NamedTuple):
    """One way to take the training step, again and again on the same batch.

    Attributes
    ----------
    step
        Takes one whole step (loss, gradients, update) and returns the loss before it, when all is done.
    params
        Returns the parameters as they are now, in NumPy, shaped as the problem's; None for a contestant that
        leaves something out, and so has no say in what is right.
    """

    step: Callable[[], Any]
    params: Callable[[], dict[str, np.ndarray]] | None


Make = Callable[[Problem], Contestant]
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}


def make_problem(n: int, dims: tuple[int, ...], dtype: str, loss: str = "softmax") -> Problem:
    """Draw a batch of n normal examples, labels, and the weights of layers dims[0] -> dims[1] -> … -> 10."""
    rng = np.random.default_rng(0)
    widths = (*dims, CLASSES)
    params = {}
    for i, (before, after) in enumerate(pairwise(widths), start=1):
        params[f"W{i}"] = (rng.standard_normal((before, after)) / np.sqrt(before)).astype(dtype)
        params[f"b{i}"] = np.zeros(after, dtype)
    return Problem(
        rng.standard_normal((n, dims[0])).astype(dtype), rng.integers(CLASSES, size=n), params, loss
    )


def check_agreement(problem: Problem, contestants: dict[str, Contestant]) -> None:
    """Take one step with each, and compare their losses and by how much they moved the parameters.

    Raises
    ------
    ArithmeticError
        If a loss or an entry of a gradient is further from the first contestant's than the tolerance of the dtype
        times the largest of the array. (A gradient is seen in the parameter that it moved, and so not
        finer than that is rounded.)
    """
    dtype = problem.X.dtype
    expected: dict[str, Any] = {}
    for name, contestant in contestants.items():
        if contestant.params is None:
            continue
        found = {"the loss": np.asarray(float(contestant.step()))}
        found |= {which: np.asarray(w) - problem.params[which] for which, w in contestant.params().items()}
        if not expected:
            first, expected = name, found
        for what, value in expected.items():
            rounding = 4 * np.finfo(dtype).eps * np.max(np.abs(problem.params.get(what, 0)))
            allowed = TOLERANCE[str(dtype)] * np.max(np.abs(value)) + rounding
            if not np.max(np.abs(found[what] - value)) <= allowed:
                raise ArithmeticError(f"{name} and {first} disagree on {what}")
