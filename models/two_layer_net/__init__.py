"""The two-layer net of the course, written declaratively on tensors."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

import minigrad as mg

from ..objective import strength


def scores(params: dict[str, Any], X: Any) -> Any:
    """Return the class scores of X, of shape (N, C)."""
    hidden = mg.affine_relu(X, params["W1"], params["b1"])
    return mg.affine(hidden, params["W2"], params["b2"])


def objective(
    params: dict[str, Any], X: Any, y: Any, reg: float, data_loss: Any, sample_weights: Any = None
) -> Any:
    """Return the loss of X with labels y, the penalty of the weights included."""
    loss = data_loss(scores(params, X), y, sample_weights=sample_weights)
    return mg.l2_regularized(loss, params["W1"], params["W2"], reg=reg)


loss_and_grads = mg.value_and_grad(objective)


class TwoLayerNet:
    """affine - relu - affine - loss, with L2 regularization of the weights.

    Parameters
    ----------
    input_dim, hidden_dim, num_classes : int
        D, H and C.
    weight_scale : float
        The standard deviation of the first weights; biases start at 0.
    reg : float
        The strength of the penalty reg / 2 (|W1|² + |W2|²).
    dtype : numpy float dtype
        That of the parameters.
    seed : int, optional
        Seeds the first weights.
    loss : {"softmax", "svm"}
        The loss of the scores.

    Attributes
    ----------
    params : dict of ndarrays
        W1 (D, H), b1 (H,), W2 (H, C), b2 (C,).
    reg, loss_name
        As they were given.
    """

    losses: ClassVar[dict[str, Any]] = {"softmax": mg.softmax_cross_entropy, "svm": mg.multiclass_hinge}
    loss_and_grads = staticmethod(loss_and_grads)

    def __init__(
        self,
        input_dim: int = 3 * 32 * 32,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float = 1e-3,
        reg: float = 0.0,
        dtype: Any = np.float64,
        seed: int | None = None,
        loss: str = "softmax",
    ) -> None:
        if loss not in self.losses:
            raise ValueError(f"TwoLayerNet: loss is {loss!r}; expected one of {', '.join(self.losses)}")
        rng = np.random.default_rng(seed)
        self.reg, self.loss_name = reg, loss
        self.data_loss = self.losses[loss]
        self.params = {
            "W1": (weight_scale * rng.standard_normal((input_dim, hidden_dim))).astype(dtype),
            "b1": np.zeros(hidden_dim, dtype),
            "W2": (weight_scale * rng.standard_normal((hidden_dim, num_classes))).astype(dtype),
            "b2": np.zeros(num_classes, dtype),
        }

    def loss(
        self, X: np.ndarray, y: np.ndarray | None = None, sample_weights: np.ndarray | None = None
    ) -> Any:
        """Return the scores of X; given labels y, ``(loss, grads)``, grads a dict like ``params``.

        Parameters
        ----------
        X : ndarray of shape (N, d_1, …, d_k)
        y : ndarray of N integers in [0, C), optional
        sample_weights : ndarray of N numbers >= 0, optional
            The loss is the mean over examples weighted by them.
        """
        if y is None:
            return scores(self.params, X)
        return self.loss_and_grads(self.params, X, y, strength(self.reg), self.data_loss, sample_weights)


class CompiledTwoLayerNet(TwoLayerNet):
    """The same net, its loss and gradients compiled."""

    loss_and_grads = staticmethod(mg.jit(loss_and_grads))
