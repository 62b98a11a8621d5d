"""Augmentation: random changes of a minibatch of images that leave their labels right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engine.arguments import names_itself
from ..engine.scalars import as_int

Augment: TypeAlias = Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]


@names_itself
def flip(p: float = 0.5) -> Augment:
    """Return an augmentation that mirrors each image, left to right, with probability ``p``.

    Raises
    ------
    ValueError
        Unless p is between 0 and 1.
    """
    if not isinstance(p, int | float | np.integer | np.floating) or not 0 <= p <= 1:
        raise ValueError(f"flip: p must be between 0 and 1, got {p!r}")
    p = float(p)

    def augment(X: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        _check_images("flip", X, rng)
        mirrored = rng.random(len(X)) < p
        out = np.array(X)
        out[mirrored] = out[mirrored][..., ::-1]
        return out

    return augment


@names_itself
def shift(pixels: int) -> Augment:
    """Return an augmentation that shifts each image by up to ``pixels`` along both axes; zeros come in.

    Raises
    ------
    TypeError, ValueError
        Unless `pixels` is an int >= 1.
    """
    pixels = as_int("pixels", pixels, least=1)

    def augment(X: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        n, _, height, width = _check_images("shift", X, rng)
        padded = np.pad(X, [(0, 0), (0, 0), (pixels, pixels), (pixels, pixels)])
        down, right = rng.integers(2 * pixels + 1, size=(2, n))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))  # type: ignore[call-overload,unused-ignore]  # NumPy's stubs differ by version
        shifted: NDArray[Any] = windows[np.arange(n), :, down, right]
        return shifted

    return augment


@names_itself
def cutout(size: int) -> Augment:
    """Return an augmentation that sets a square of ``size`` by ``size`` pixels, centred anywhere, to zero.

    T. DeVries, G. W. Taylor, *Improved Regularization of Convolutional Neural Networks with Cutout*, 2017.

    Raises
    ------
    TypeError, ValueError
        Unless `size` is an int >= 1.
    """
    size = as_int("size", size, least=1)

    def augment(X: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        n, _, height, width = _check_images("cutout", X, rng)

        def hidden(length: int) -> NDArray[np.bool_]:
            first = rng.integers(length, size=n)[:, None] - size // 2
            place = np.arange(length)
            return (first <= place) & (place < first + size)

        rows, columns = hidden(height), hidden(width)
        square = rows[:, None, :, None] & columns[:, None, None, :]
        return np.where(square, X.dtype.type(0), X)

    return augment


@names_itself
def chain(*augmentations: Augment) -> Augment:
    """Return an augmentation that makes several, one after the other.

    Raises
    ------
    TypeError
        Unless all are functions.
    """
    for each in augmentations:
        if not callable(each):
            raise TypeError(f"chain: expected functions augment(X, rng) -> X, got {each!r}")

    def augment(X: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        for each in augmentations:
            X = each(X, rng)
        return X

    return augment


def _check_images(name: str, X: Any, rng: Any) -> tuple[int, int, int, int]:
    if not isinstance(X, np.ndarray) or not isinstance(rng, np.random.Generator):
        given = f"{type(X).__name__} and {type(rng).__name__}"
        raise TypeError(f"{name}: got {given}; expected an array of images and a numpy.random.Generator")
    if X.ndim != 4:
        raise ValueError(f"{name}: X has shape {X.shape}; expected images (N, C, H, W)")
    n, channels, height, width = X.shape
    if channels == height > 3 and width in (1, 3):  # square ones, of so many channels
        raise ValueError(
            f"{name}: X has shape {X.shape}, as of images (N, H, W, C); expected images (N, C, H, W): write "
            "X.transpose(0, 3, 1, 2)"
        )
    return n, channels, height, width
