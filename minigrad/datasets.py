"""Data sets: CIFAR-10 from its own files, and small handwritten digits that come with the package.

CIFAR-10
    60,000 colour images of 32x32 pixels in 10 classes, 50,000 of them for training. A. Krizhevsky, *Learning
    Multiple Layers of Features from Tiny Images*, 2009, https://www.cs.toronto.edu/~kriz/cifar.html. Read
    from ``cifar-10-batches-py``, the "python version", which `download_cifar10` fetches.

Digits
    1,797 grey images of 8x8 pixels in 10 classes, the test part of *Optical Recognition of Handwritten
    Digits*, E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository,
    https://doi.org/10.24432/C50P49, licence CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). Stored
    in ``data/digits.npz`` as unsigned bytes, otherwise unchanged.
"""

import os
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from .cifar10_files import (
    TEST_FILES,
    TRAINING_FILES,
    Images,
    Labels,
    cifar10_folder,
    download_cifar10,
    read_batches,
)
from .engine.arguments import names_itself
from .engine.scalars import as_int

__all__ = ["cifar10_folder", "download_cifar10", "get_CIFAR10_data", "get_cifar10_data", "load_digits"]


@names_itself
def get_cifar10_data(
    root: str | os.PathLike[str] | None = None,
    num_training: int = 49000,
    num_validation: int = 1000,
    num_test: int = 1000,
    subtract_mean: bool = True,
    dtype: npt.DTypeLike = np.float64,
) -> dict[str, npt.NDArray[Any]]:
    """Read CIFAR-10, split and centred as in the course CS231n.

    Only the files that hold the images asked for are read.

    Parameters
    ----------
    root
        Folder ``cifar-10-batches-py`` or its parent; see `cifar10_folder` for the default.
    num_training
        The first `num_training` training images are the training part, at least 1.
    num_validation
        The `num_validation` training images that follow them are the validation part.
    num_test
        The first `num_test` test images are the test part.
    subtract_mean
        Subtract the mean image of the training part from all three parts.
    dtype
        Floating dtype of the images. The mean is taken and subtracted in float64, then rounded to `dtype`.

    Returns
    -------
    dict
        ``X_train``, ``X_val`` and ``X_test``: images of shape (N, 3, 32, 32) and type `dtype`, with pixels in
        0 to 255 before the mean is subtracted; ``y_train``, ``y_val`` and ``y_test``: classes 0 to 9 of
        shape (N,), int64.

    Raises
    ------
    FileNotFoundError
        If the data set is not there.
    TypeError
        If a count is not an integer, or `dtype` is not a floating dtype.
    ValueError
        If a count is too small or larger than the data set, or a file is not a CIFAR-10 batch.
    """
    dtype = _floating(dtype)
    num_training = as_int("num_training", num_training, least=1)
    num_validation = as_int("num_validation", num_validation, least=0)
    num_test = as_int("num_test", num_test, least=0)
    folder = cifar10_folder(root)
    test = read_batches(folder, TEST_FILES, num_test, "num_test")
    images, labels = read_batches(
        folder, TRAINING_FILES, num_training + num_validation, "num_training + num_validation"
    )
    return _centred(
        train=(images[:num_training], labels[:num_training]),
        val=(images[num_training:], labels[num_training:]),
        test=test,
        subtract_mean=subtract_mean,
        dtype=dtype,
    )


get_CIFAR10_data = get_cifar10_data  # the course's spelling


@names_itself
def load_digits(dtype: npt.DTypeLike = np.float64, num_training: int = 1297) -> dict[str, npt.NDArray[Any]]:
    """Load the 8x8 handwritten digits that come with the package.

    The images are shuffled once and for all, as they come writer by writer: the last 250 are the test part,
    the 250 before them the validation part, the first `num_training` the training part. The 13 writers are
    thus in all three parts.

    Parameters
    ----------
    dtype
        Floating dtype of the images. The mean is taken and subtracted in float64, then rounded to `dtype`.
    num_training
        Number of training images, 1 to 1297.

    Returns
    -------
    dict
        ``X_train``, ``X_val`` and ``X_test``: images of shape (N, 1, 8, 8) and type `dtype`, with pixels
        scaled to 0 to 1 and the mean image of the training part subtracted; ``y_train``, ``y_val`` and
        ``y_test``: digits 0 to 9 of shape (N,), int64.

    Raises
    ------
    TypeError
        If `num_training` is not an integer, or `dtype` is not a floating dtype.
    ValueError
        If `num_training` is not in 1 to 1297.
    """
    dtype = _floating(dtype)
    num_training = as_int("num_training", num_training, least=1)
    if num_training > 1297:
        raise ValueError(f"num_training = {num_training}, but the digits have 1297 training images")
    images, labels = _read_digits()
    train, val, test = np.split(np.random.RandomState(0).permutation(1797), [1297, 1547])
    train = train[:num_training]
    return _centred(
        train=(images[train], labels[train]),
        val=(images[val], labels[val]),
        test=(images[test], labels[test]),
        subtract_mean=True,
        dtype=dtype,
    )


def _read_digits() -> tuple[Images, Labels]:
    """Return all 1,797 images, (1797, 1, 8, 8) from 0 to 1, and labels."""
    path = resources.files("minigrad") / "data" / "digits.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as digits:
            images = digits["images"][:, np.newaxis] / 16.0  # pixels are counts from 0 to 16
            labels = digits["labels"].astype(np.int64)
        if images.shape != (1797, 1, 8, 8) or labels.shape != (1797,):
            raise ValueError(f"it has images of shape {images.shape} and labels of shape {labels.shape}")
    except Exception as error:  # a damaged archive can raise nearly anything
        raise ValueError(
            f"{path} is missing or damaged ({type(error).__name__}: {error}). It comes with the package: "
            "reinstall minigrad"
        ) from error
    return images, labels


def _floating(dtype: npt.DTypeLike) -> np.dtype[Any]:
    floating = np.dtype(dtype)
    if not np.issubdtype(floating, np.floating):
        raise TypeError(f"dtype = {floating}, but images are floating: give float32 or float64")
    return floating


def _centred(
    *,
    train: tuple[Images, Labels],
    val: tuple[Images, Labels],
    test: tuple[Images, Labels],
    subtract_mean: bool,
    dtype: np.dtype[Any],
) -> dict[str, npt.NDArray[Any]]:
    """Subtract the mean training image, with no array in between: 49,000 float64 images take 1.2 GB."""
    mean = train[0].mean(axis=0) if subtract_mean else np.zeros(train[0].shape[1:])
    data: dict[str, npt.NDArray[Any]] = {}
    for part, (images, labels) in {"train": train, "val": val, "test": test}.items():
        data[f"X_{part}"] = np.subtract(images, mean, out=np.empty(images.shape, dtype))
        data[f"y_{part}"] = labels
    return data
