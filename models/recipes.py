"""Recipes: settings with which a net trains well on CIFAR-10, each declared once; `models.train` runs them.

Each was tuned on validation images; the page "Recipes" of the reference has what its ingredients brought.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.layers import conv_forward
from minigrad.preprocess import patch_whitening, pca_whitening
from minigrad.solver import Model, Solver
from minigrad.training import chain, cosine, flip, shift, warmup

from .conv_net import ConvNet
from .fully_connected_net import FullyConnectedNet

Features = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Recipe:
    """The settings of a training.

    Attributes
    ----------
    summary : str
        The net, in a line.
    net : callable
        ``net(shape, seed) -> Model``, for features of a shape.
    features : callable
        ``features(X_train) -> function`` from images to the net's input.
    shift : int
        The pixels by which a training image is shifted at most; it is mirrored half of the time, too.
    batch_size, num_epochs : int
    update_rule : str
    learning_rate : float
        The largest: it rises over the first epoch, and falls to 0 along a cosine.
    weight_decay : float
        The strength of `adamw`'s decay.
    average : float
        Decay of the moving average of the parameters.
    """

    summary: str
    net: Callable[[tuple[int, ...], int], Model]
    features: Callable[[NDArray[Any]], Features]
    shift: int
    batch_size: int
    num_epochs: int
    learning_rate: float
    weight_decay: float
    average: float
    update_rule: str = "adamw"

    def settings(self) -> dict[str, Any]:
        """Return the settings as numbers and names, for a file."""
        return {name: value for name, value in asdict(self).items() if not callable(value)}

    def solver(self, data: dict[str, NDArray[Any]], seed: int, **options: Any) -> Solver:
        """Return what trains a new net on images, ``X_train`` of shape (N, 3, H, W) and so on; options as of Solver."""
        features = self.features(data["X_train"])
        net = self.net(features(data["X_train"][:1]).shape[1:], seed)
        steps = max(len(data["X_train"]) // self.batch_size, 1)
        return Solver(
            OnFeatures(net, features),
            data,
            update_rule=self.update_rule,
            optim_config={"learning_rate": self.learning_rate, "weight_decay": self.weight_decay},
            lr_schedule=warmup(cosine(self.learning_rate, steps * self.num_epochs), steps),
            batch_size=self.batch_size,
            num_epochs=self.num_epochs,
            replacement=False,
            augment=chain(flip(), shift(self.shift)) if self.shift else flip(),
            average=self.average,
            seed=seed,
            **options,
        )


class OnFeatures:
    """A net whose input are features of images; its scores are the mean over views of an image.

    Parameters
    ----------
    net : Model
    features : callable
        From images (N, C, H, W) to the net's input.

    Attributes
    ----------
    params, state
        The net's.
    views : callable
        From images to an iterable of views of them; of the image alone at first.
    """

    def __init__(self, net: Any, features: Features) -> None:
        self.net, self.features = net, features
        self.params, self.state = net.params, net.state
        self.views: Callable[[NDArray[Any]], Iterator[NDArray[Any]]] = as_it_is

    def loss(self, X: NDArray[Any], y: NDArray[Any] | None = None) -> Any:
        """Return the scores of images X; given labels y, ``(loss, grads)``."""
        if y is not None:
            return self.net.loss(self.features(X), y)
        return np.mean([self.net.loss(self.features(view)) for view in self.views(X)], axis=0)


def as_it_is(X: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the images."""
    yield X


def mirrored_and_shifted(X: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the images, and mirrored, as they are and shifted by a pixel each way: 18 views in all."""
    height, width = X.shape[2:]
    padded = np.pad(X, [(0, 0), (0, 0), (1, 1), (1, 1)])
    for images in (padded, padded[..., ::-1]):
        for i in range(3):
            for j in range(3):
                yield images[:, :, i : i + height, j : j + width]


def whitened_patches(X_train: NDArray[Any], size: int, n_components: int) -> Features:
    """Return a fixed first layer: a convolution of stride 2 that whitens patches."""
    w, b = patch_whitening(X_train[:2000], size, n_components, eps=1e-2)
    param = {"stride": 2, "pad": (size - 2) // 2}
    return lambda X: conv_forward(X, w, b, param)[0]


RECIPES = {
    "two-layer": Recipe(
        summary="200 whitened principal components - affine 4096 - relu - dropout - affine",
        features=partial(pca_whitening, n_components=200),
        net=lambda shape, seed: FullyConnectedNet(
            [4096], *shape, dropout_keep_ratio=0.5, label_smoothing=0.1, seed=seed
        ),
        shift=1,
        batch_size=250,
        num_epochs=20,
        learning_rate=8e-3,
        weight_decay=0.05,
        average=0.99,
    ),
    "deep": Recipe(
        summary="300 whitened principal components - {affine 2048 - batch norm - relu - dropout} x 3 - affine",
        features=partial(pca_whitening, n_components=300),
        net=lambda shape, seed: FullyConnectedNet(
            [2048] * 3,
            *shape,
            normalization="batchnorm",
            dropout_keep_ratio=0.7,
            label_smoothing=0.1,
            seed=seed,
        ),
        shift=2,
        batch_size=500,
        num_epochs=40,
        learning_rate=3e-3,
        weight_decay=0.05,
        average=0.99,
    ),
    "conv": Recipe(
        summary="24 whitened patches - {conv - batch norm - relu, twice, then max pool} of 32, 64, 128 - affine",
        features=partial(whitened_patches, size=4, n_components=24),
        net=lambda shape, seed: ConvNet(shape, [32, 64, 128], label_smoothing=0.1, seed=seed),
        shift=2,
        batch_size=250,
        num_epochs=12,
        learning_rate=5e-3,
        weight_decay=0.05,
        average=0.99,
    ),
}
