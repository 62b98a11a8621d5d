"""A fully connected net of any depth, with normalization and dropout as in the course's second assignment."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

import minigrad as mg

from .objective import backends, checked_backend, objective_of, strength

NORMALIZATIONS = (None, "batchnorm", "layernorm")


def scores(
    params: dict[str, Any], X: Any, norm_params: list[dict[str, Any]], dropout_param: dict[str, Any]
) -> Any:
    """Return the class scores of X, of shape (N, C): {affine - normalization - relu - dropout} … affine."""
    depth = sum(name.startswith("W") for name in params)
    for i in range(1, depth):
        X = mg.affine(X, params[f"W{i}"], params[f"b{i}"])
        if f"gamma{i}" in params:
            normalized = mg.batchnorm if "mode" in norm_params[i - 1] else mg.layernorm
            X = normalized(X, params[f"gamma{i}"], params[f"beta{i}"], norm_params[i - 1])
        X = mg.relu(X)
        if dropout_param["p"] < 1:
            X = mg.dropout(X, dropout_param)
    return mg.affine(X, params[f"W{depth}"], params[f"b{depth}"])


BACKENDS = backends(objective_of(scores))


def initial(rng: Any, shape: tuple[int, ...], weight_scale: float | None, dtype: Any) -> np.ndarray:
    """Draw weights of a standard deviation, or of He's, sqrt(2 / inputs of a unit).

    He, Zhang, Ren, Sun: "Delving deep into rectifiers", 2015.
    """
    inputs = shape[0] if len(shape) == 2 else int(np.prod(shape[1:]))
    scale = np.sqrt(2 / inputs) if weight_scale is None else weight_scale
    return (scale * rng.standard_normal(shape)).astype(dtype)


class FullyConnectedNet:
    """{affine - normalization - relu - dropout} as often as there are hidden layers - affine - softmax.

    Parameters
    ----------
    hidden_dims : sequence of int
        The units of each hidden layer.
    input_dim, num_classes : int
        D and C.
    dropout_keep_ratio : float
        The probability to keep a unit, in (0, 1]; 1 leaves dropout out.
    normalization : {None, "batchnorm", "layernorm"}
        What comes before each relu.
    reg : float
        The strength of the penalty, reg / 2 times the sum of squares of all weights (not of b, gamma and beta).
    label_smoothing : float
        The part of each target that is spread over all classes, in [0, 1).
    weight_scale : float, optional
        The standard deviation of the first weights; by default He's, sqrt(2 / inputs of a unit). b and beta start at 0,
        gamma at 1.
    dtype : numpy float dtype
        That of the parameters.
    seed : int, optional
        Seeds the first weights, and dropout.
    backend : {"jit", "tape"}
        Whether loss and gradients are compiled.

    Attributes
    ----------
    params : dict of ndarrays
        W1, b1, …, and gamma1, beta1, … where there is normalization.
    norm_params : list of dict
        What each normalization takes; of batch normalization with the running mean and variance, 0 and 1 at first.
    dropout_param : dict
        What dropout takes; put a ``seed`` into it to check gradients.
    reg, label_smoothing, normalization, dropout_keep_ratio
        As they were given.
    state : dict
        Both, for the `Solver`: they go with the parameters.
    """

    def __init__(
        self,
        hidden_dims: Sequence[int],
        input_dim: int = 3 * 32 * 32,
        num_classes: int = 10,
        dropout_keep_ratio: float = 1.0,
        normalization: str | None = None,
        reg: float = 0.0,
        label_smoothing: float = 0.0,
        weight_scale: float | None = None,
        dtype: Any = np.float32,
        seed: int | None = None,
        backend: str = "jit",
    ) -> None:
        if normalization not in NORMALIZATIONS:
            raise ValueError(
                f"FullyConnectedNet: normalization is {normalization!r}; expected one of {NORMALIZATIONS}"
            )
        if not 0 < dropout_keep_ratio <= 1:
            raise ValueError(
                f"FullyConnectedNet: dropout_keep_ratio is {dropout_keep_ratio!r}; expected (0, 1]"
            )
        rng = np.random.default_rng(seed)
        self.reg, self.label_smoothing = reg, label_smoothing
        self.normalization, self.dropout_keep_ratio = normalization, dropout_keep_ratio
        self._backend = checked_backend(backend)
        self.dropout_param = {"mode": "train", "p": dropout_keep_ratio, "rng": rng.spawn(1)[0]}
        self.norm_params: list[dict[str, Any]] = []
        self.state = {"norm_params": self.norm_params, "dropout_param": self.dropout_param}
        self.params: dict[str, np.ndarray] = {}
        dims = [input_dim, *hidden_dims, num_classes]
        for i, (inputs, units) in enumerate(pairwise(dims), 1):
            self.params[f"W{i}"] = initial(rng, (inputs, units), weight_scale, dtype)
            self.params[f"b{i}"] = np.zeros(units, dtype)
            if normalization and i <= len(hidden_dims):
                self.params[f"gamma{i}"], self.params[f"beta{i}"] = (
                    np.ones(units, dtype),
                    np.zeros(units, dtype),
                )
                batch = {"mode": "train", "running_mean": np.zeros(units), "running_var": np.ones(units)}
                self.norm_params.append(batch if normalization == "batchnorm" else {})

    def loss(
        self, X: np.ndarray, y: np.ndarray | None = None, sample_weights: np.ndarray | None = None
    ) -> Any:
        """Return the scores of X, in test mode; given labels y, ``(loss, grads)`` in training mode.

        Parameters
        ----------
        X : ndarray of shape (N, d_1, …, d_k)
        y : ndarray of N integers in [0, C), optional
        """
        mode = "test" if y is None else "train"
        for param in (*self.norm_params, self.dropout_param):
            if "mode" in param:
                param["mode"] = mode
        if y is None:
            return scores(self.params, X, self.norm_params, self.dropout_param)
        state = self.norm_params, self.dropout_param
        return BACKENDS[self._backend](
            self.params,
            X,
            y,
            strength(self.reg),
            *state,
            label_smoothing=self.label_smoothing,
            sample_weights=sample_weights,
        )
