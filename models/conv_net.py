"""Convolutional nets: the course's of three layers, and a deeper one with batch normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import minigrad as mg

from .fully_connected_net import initial
from .objective import backends, checked_backend, objective_of, strength

POOL = {"pool_height": 2, "pool_width": 2, "stride": 2}


def three_layer_scores(params: dict[str, Any], X: Any) -> Any:
    """Return the class scores of images: conv - relu - 2x2 max pool - affine - relu - affine."""
    same = {"stride": 1, "pad": (params["W1"].shape[-1] - 1) // 2}
    hidden = mg.conv_relu_pool(X, params["W1"], params["b1"], same, POOL)
    hidden = mg.affine_relu(hidden, params["W2"], params["b2"])
    return mg.affine(hidden, params["W3"], params["b3"])


def deep_scores(
    params: dict[str, Any], X: Any, bn_params: list[dict[str, Any]], dropout_param: dict[str, Any]
) -> Any:
    """Return the class scores of images: {two of conv - batch norm - relu, then 2x2 max pool} … dropout - affine."""
    for i, bn_param in enumerate(bn_params, 1):
        layer = [params[f"{name}{i}"] for name in ("W", "b", "gamma", "beta")]
        X = mg.conv_bn_relu(X, *layer, {"stride": 1, "pad": 1}, bn_param)
        if i % 2 == 0:
            X = mg.max_pool(X, POOL)
    if dropout_param["p"] < 1:
        X = mg.dropout(X, dropout_param)
    last = len(bn_params) + 1
    return mg.affine(X, params[f"W{last}"], params[f"b{last}"])


three_layer_objective = objective_of(three_layer_scores)
THREE_LAYER_BACKENDS = backends(three_layer_objective)
DEEP_BACKENDS = backends(objective_of(deep_scores))


class ThreeLayerConvNet:
    """conv - relu - 2x2 max pool - affine - relu - affine - softmax, on images of an even height and width.

    Parameters
    ----------
    input_dim : (C, H, W)
        The shape of an image.
    num_filters, filter_size : int
        The filters of the convolution, and their height and width, odd; it keeps the images' size.
    hidden_dim, num_classes : int
    weight_scale : float, optional
        The standard deviation of the first weights; None for He's. Biases start at 0.
    reg : float
        The strength of the penalty, reg / 2 times the sum of squares of all weights.
    dtype : numpy float dtype
        That of the parameters.
    seed : int, optional
        Seeds the first weights.
    backend : {"jit", "tape"}
        Whether loss and gradients are compiled.

    Attributes
    ----------
    params : dict of ndarrays
        W1 (F, C, filter_size, filter_size), b1, W2 (F H/2 W/2, hidden_dim), b2, W3 (hidden_dim, classes), b3.
    """

    def __init__(
        self,
        input_dim: tuple[int, int, int] = (3, 32, 32),
        num_filters: int = 32,
        filter_size: int = 7,
        hidden_dim: int = 100,
        num_classes: int = 10,
        weight_scale: float | None = 1e-3,
        reg: float = 0.0,
        dtype: Any = np.float32,
        seed: int | None = None,
        backend: str = "jit",
    ) -> None:
        channels, height, width = input_dim
        if height % 2 or width % 2 or filter_size % 2 == 0:
            raise ValueError(
                f"ThreeLayerConvNet: images of {height} by {width}, filters of {filter_size}; expected images of an "
                "even height and width, and odd filters"
            )
        rng = np.random.default_rng(seed)
        self.reg = reg
        self._backend = checked_backend(backend)
        shapes = [
            (num_filters, channels, filter_size, filter_size),
            (num_filters * (height // 2) * (width // 2), hidden_dim),
            (hidden_dim, num_classes),
        ]
        self.params: dict[str, np.ndarray] = {}
        for i, (shape, units) in enumerate(
            zip(shapes, (num_filters, hidden_dim, num_classes), strict=True), 1
        ):
            self.params[f"W{i}"] = initial(rng, shape, weight_scale, dtype)
            self.params[f"b{i}"] = np.zeros(units, dtype)

    def loss(
        self, X: np.ndarray, y: np.ndarray | None = None, sample_weights: np.ndarray | None = None
    ) -> Any:
        """Return the scores of X, of shape (N, C, H, W); given labels y, ``(loss, grads)``."""
        if y is None:
            return three_layer_scores(self.params, X)
        return THREE_LAYER_BACKENDS[self._backend](
            self.params, X, y, strength(self.reg), sample_weights=sample_weights
        )


class ConvNet:
    """{conv - batch norm - relu - conv - batch norm - relu - 2x2 max pool} for each stage - dropout - affine - softmax.

    Parameters
    ----------
    input_dim : (C, H, W)
        The shape of an image; each stage halves H and W, which must be even then.
    num_filters : sequence of int
        The filters of each stage's convolutions, which are 3 by 3.
    num_classes : int
    dropout_keep_ratio : float
        The probability to keep a feature, in (0, 1]; 1 leaves dropout out.
    reg : float
        The strength of the penalty, reg / 2 times the sum of squares of all weights.
    label_smoothing : float
        The part of each target that is spread over all classes, in [0, 1).
    dtype : numpy float dtype
        That of the parameters, which start as He recommends; b and beta at 0, gamma at 1.
    seed : int, optional
        Seeds the first weights, and dropout.
    backend : {"jit", "tape"}
        Whether loss and gradients are compiled.

    Attributes
    ----------
    params : dict of ndarrays
        W1, b1, gamma1, beta1, … of the convolutions, and W and b of the affine layer at the end.
    bn_params : list of dict
        What each batch normalization takes, with the running mean and variance, 0 and 1 at first.
    dropout_param : dict
        What dropout takes; put a ``seed`` into it to check gradients.
    reg, label_smoothing, dropout_keep_ratio
        As they were given.
    state : dict
        Both, for the `Solver`: they go with the parameters.
    """

    def __init__(
        self,
        input_dim: tuple[int, int, int] = (3, 32, 32),
        num_filters: Sequence[int] = (32, 64),
        num_classes: int = 10,
        dropout_keep_ratio: float = 1.0,
        reg: float = 0.0,
        label_smoothing: float = 0.0,
        dtype: Any = np.float32,
        seed: int | None = None,
        backend: str = "jit",
    ) -> None:
        channels, height, width = input_dim
        if height % 2 ** len(num_filters) or width % 2 ** len(num_filters):
            raise ValueError(
                f"ConvNet: images of {height} by {width} cannot be halved {len(num_filters)} times; give fewer stages"
            )
        if not 0 < dropout_keep_ratio <= 1:
            raise ValueError(f"ConvNet: dropout_keep_ratio is {dropout_keep_ratio!r}; expected (0, 1]")
        rng = np.random.default_rng(seed)
        self.reg, self.label_smoothing = reg, label_smoothing
        self.dropout_keep_ratio = dropout_keep_ratio
        self._backend = checked_backend(backend)
        self.dropout_param = {"mode": "train", "p": dropout_keep_ratio, "rng": rng.spawn(1)[0]}
        self.bn_params: list[dict[str, Any]] = []
        self.state = {"bn_params": self.bn_params, "dropout_param": self.dropout_param}
        self.params: dict[str, np.ndarray] = {}
        for i, filters in enumerate(np.repeat(num_filters, 2).tolist(), 1):
            self.params[f"W{i}"] = initial(rng, (filters, channels, 3, 3), None, dtype)
            self.params[f"b{i}"] = np.zeros(filters, dtype)
            self.params[f"gamma{i}"], self.params[f"beta{i}"] = (
                np.ones(filters, dtype),
                np.zeros(filters, dtype),
            )
            batch = {"mode": "train", "running_mean": np.zeros(filters), "running_var": np.ones(filters)}
            self.bn_params.append(batch)
            channels = filters
        last, cells = 2 * len(num_filters) + 1, (height * width) // 4 ** len(num_filters)
        self.params[f"W{last}"] = initial(rng, (channels * cells, num_classes), None, dtype)
        self.params[f"b{last}"] = np.zeros(num_classes, dtype)

    def loss(
        self, X: np.ndarray, y: np.ndarray | None = None, sample_weights: np.ndarray | None = None
    ) -> Any:
        """Return the scores of X, (N, C, H, W), in test mode; given labels y, ``(loss, grads)`` in training mode."""
        for param in (*self.bn_params, self.dropout_param):
            param["mode"] = "test" if y is None else "train"
        if y is None:
            return deep_scores(self.params, X, self.bn_params, self.dropout_param)
        state = self.bn_params, self.dropout_param
        return DEEP_BACKENDS[self._backend](
            self.params,
            X,
            y,
            strength(self.reg),
            *state,
            label_smoothing=self.label_smoothing,
            sample_weights=sample_weights,
        )
