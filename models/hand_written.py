"""The two-layer net from hand-derived layers, as the course has people write it: the baseline."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from minigrad.layers import (
    affine_backward,
    affine_forward,
    affine_relu_backward,
    affine_relu_forward,
    softmax_loss,
    svm_loss,
)

from . import two_layer_net


class TwoLayerNet(two_layer_net.TwoLayerNet):
    """The same net, with its backward pass written out."""

    losses: ClassVar[dict[str, Any]] = {"softmax": softmax_loss, "svm": svm_loss}

    def loss(
        self, X: np.ndarray, y: np.ndarray | None = None, sample_weights: np.ndarray | None = None
    ) -> Any:
        """Return the scores of X; given labels y, ``(loss, grads)``, grads a dict like ``params``."""
        W1, b1, W2, b2 = (self.params[name] for name in ("W1", "b1", "W2", "b2"))
        hidden, hidden_cache = affine_relu_forward(X, W1, b1)
        scores, scores_cache = affine_forward(hidden, W2, b2)
        if y is None:
            return scores

        loss, dscores = self.data_loss(scores, y, sample_weights=sample_weights)
        loss += 0.5 * self.reg * (np.sum(W1 * W1) + np.sum(W2 * W2))

        dhidden, dW2, db2 = affine_backward(dscores, scores_cache)
        _, dW1, db1 = affine_relu_backward(dhidden, hidden_cache)
        return loss, {"W1": dW1 + self.reg * W1, "b1": db1, "W2": dW2 + self.reg * W2, "b2": db2}
