"""Recipes: settings with which a net trains well on CIFAR-10, each declared once; `models.train` runs them.

Each was tuned on validation images; the page "Recipes" of the reference has what its ingredients brought.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.layers import conv_forward
from minigrad.preprocess import patch_whitening, pca_whitening
from minigrad.solver import Solver
from minigrad.training import chain, cosine, flip, shift, warmup
from minigrad.training.augmentation import Augment

from .console import meant
from .conv_net import ConvNet
from .fully_connected_net import FullyConnectedNet

Features = Callable[[NDArray[Any]], NDArray[Any]]
Views = Callable[[NDArray[Any]], Iterator[NDArray[Any]]]

OWN = ("mirror", "shift", "batch_size", "num_epochs", "learning_rate", "weight_decay")
"""The settings of a recipe that are numbers."""
FIXED = ("input_dim", "num_classes", "dtype", "seed", "backend")
"""The options of a net that are none of a recipe's settings."""


@dataclass(frozen=True)
class Recipe:
    """The settings of a training.

    Attributes
    ----------
    net : class
        The model, of `models`.
    options : dict
        Its options; ``input_dim`` is that of the features.
    features : callable
        ``features(X_train)`` returns the function from images to the net's input.
    mirror : bool
        Whether training images are mirrored half of the time.
    shift : int
        The pixels by which they are shifted at most; 0 for none.
    views : callable
        From images to the views of them whose scores are averaged at the end.
    batch_size, num_epochs : int
    learning_rate : float
        The largest: it rises over the first epoch, and falls to 0 along a cosine.
    weight_decay : float
    update_rule : str
    """

    net: Callable[..., Any]
    options: dict[str, Any]
    features: partial[Features]
    mirror: bool
    shift: int
    views: Views
    batch_size: int
    num_epochs: int
    learning_rate: float
    weight_decay: float
    update_rule: str = "adamw"

    def settings(self) -> dict[str, Any]:
        """Return the settings as numbers and names, for a file."""
        return {each.name: described(getattr(self, each.name)) for each in fields(self)}

    def choices(self) -> dict[str, Any]:
        """Return the settings that `changed` takes, and their values: the recipe's own, its net's and its features'."""
        options = signature(self.net).parameters.items()
        of_net = {name: each.default for name, each in options if name not in FIXED} | self.options
        own = {name: getattr(self, name) for name in OWN}
        return own | of_net | self.features.keywords

    def changed(self, settings: dict[str, Any]) -> Recipe:
        """Return the recipe with other settings, by the names of `choices`.

        Raises
        ------
        ValueError
            When there is no such setting, or a value is of another kind than the recipe's.
        """
        choices = self.choices()
        own, options, of_features = {}, dict(self.options), {}
        for name, value in settings.items():
            if name not in choices:
                raise ValueError(
                    f"the recipe has no setting {name!r}; it has {', '.join(choices)}{meant(name, choices)}"
                )
            if not is_like(value, choices[name]):
                raise ValueError(
                    f"{name} is {value!r}; expected a value such as the recipe's, {choices[name]!r}"
                )
            if name in OWN:
                own[name] = value
            elif name in self.features.keywords:
                of_features[name] = value
            else:
                options[name] = value
        return replace(self, **own, options=options, features=partial(self.features, **of_features))

    def augment(self) -> Augment:
        """Return the augmentation of the training images."""
        return chain(*([flip()] if self.mirror else []), *([shift(self.shift)] if self.shift else []))

    def model(self, X_train: NDArray[Any], seed: int) -> OnFeatures:
        """Return a new net on the features of images (N, C, H, W)."""
        features = self.features(X_train)
        shape = features(X_train[:1]).shape[1:]
        net = self.net(input_dim=shape if len(shape) > 1 else shape[0], seed=seed, **self.options)
        return OnFeatures(net, features)

    def training(self, num_train: int) -> dict[str, Any]:
        """Return the options of a Solver for a number of training images."""
        steps = max(num_train // self.batch_size, 1)
        return {
            "update_rule": self.update_rule,
            "optim_config": {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay},
            "lr_schedule": warmup(cosine(self.learning_rate, steps * self.num_epochs), steps),
            "batch_size": self.batch_size,
            "num_epochs": self.num_epochs,
            "replacement": False,
            "augment": self.augment(),
        }

    def solver(self, data: dict[str, NDArray[Any]], seed: int, **options: Any) -> Solver:
        """Return a Solver of a new net on images, ``X_train`` of shape (N, C, H, W) and so on; options as of Solver."""
        training = self.training(len(data["X_train"]))
        return Solver(self.model(data["X_train"], seed), data, seed=seed, **training, **options)


def is_like(value: Any, known: Any) -> bool:
    """Tell whether a value is of the kind of another: a truth value, a number, a list, a name; None is of any."""
    if known is None:
        return True
    if isinstance(known, str):
        return value is None or isinstance(value, str)
    if isinstance(known, float):
        return isinstance(value, float | int) and not isinstance(value, bool)
    return type(value) is type(known)


def described(value: Any) -> Any:
    """Return a setting as numbers and names."""
    if isinstance(value, partial):
        return {"function": value.func.__name__, **value.keywords}
    return value.__name__ if callable(value) else value


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
        self.views: Views = as_it_is

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
        net=FullyConnectedNet,
        options={"hidden_dims": [4096], "normalization": "batchnorm", "label_smoothing": 0.1},
        features=partial(pca_whitening, n_components=200, eps=0.02),
        mirror=True,
        shift=1,
        views=mirrored_and_shifted,
        batch_size=250,
        num_epochs=20,
        learning_rate=3e-3,
        weight_decay=0.05,
    ),
    "deep": Recipe(
        net=FullyConnectedNet,
        options={
            "hidden_dims": [2048, 2048],
            "normalization": "batchnorm",
            "label_smoothing": 0.1,
        },
        features=partial(pca_whitening, n_components=300, eps=0.02),
        mirror=True,
        shift=2,
        views=mirrored_and_shifted,
        batch_size=250,
        num_epochs=25,
        learning_rate=3e-3,
        weight_decay=0.05,
    ),
    "conv": Recipe(
        net=ConvNet,
        options={"num_filters": [32, 64, 128], "label_smoothing": 0.1},
        features=partial(whitened_patches, size=4, n_components=24),
        mirror=True,
        shift=2,
        views=mirrored_and_shifted,
        batch_size=250,
        num_epochs=8,
        learning_rate=5e-3,
        weight_decay=0.05,
    ),
}
