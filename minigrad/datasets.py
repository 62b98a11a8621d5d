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

import contextlib
import gzip
import os
import tarfile
import zlib
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from .cifar_pickle import MAX_BYTES, read_pickle
from .engine.arguments import names_itself
from .engine.scalars import as_int
from .extras import extra, installing
from .files import scratch, told

__all__ = ["cifar10_folder", "download_cifar10", "get_CIFAR10_data", "get_cifar10_data", "load_digits"]

Images = npt.NDArray[Any]
Labels = npt.NDArray[np.int64]

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CIFAR10_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"

_FOLDER = "cifar-10-batches-py"
_TRAINING_FILES = [f"data_batch_{i}" for i in range(1, 6)]
_TEST_FILES = ["test_batch"]


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
    test = _read_batches(folder, _TEST_FILES, num_test, "num_test")
    images, labels = _read_batches(
        folder, _TRAINING_FILES, num_training + num_validation, "num_training + num_validation"
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


@names_itself
def cifar10_folder(root: str | os.PathLike[str] | None = None) -> Path:
    """Find the folder ``cifar-10-batches-py``.

    Parameters
    ----------
    root
        The folder itself or its parent. By default what the environment variable ``CIFAR10_DIR`` names; if it
        is not set, the cache folder ``$XDG_CACHE_HOME/minigrad``, usually ``~/.cache/minigrad``.

    Returns
    -------
    Path
        The folder, with ``data_batch_1`` to ``data_batch_5`` and ``test_batch`` in it.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or a file is missing from it.
    """
    place, named_by = _place(root)
    for folder in (place, place / _FOLDER):
        if not _missing(folder):
            return folder
    inner = place / _FOLDER
    folder = inner if os.path.isdir(inner) else place
    lacks = ", ".join(_missing(folder))
    found = f"{folder} lacks {lacks}" if os.path.isdir(folder) else f"there is no folder {place}"
    raise FileNotFoundError(
        f"no CIFAR-10 data set at {place} (from {named_by}): {found}. "
        "Either fetch it with minigrad.datasets.download_cifar10(), which needs the extra "
        f'"data" ({installing("data")}), '
        f"or put the folder {_FOLDER} (the python version, from {CIFAR10_URL}) somewhere and name it or its "
        "parent as root, as the environment variable CIFAR10_DIR, or with --data-dir."
    )


@names_itself
def download_cifar10(
    root: str | os.PathLike[str] | None = None, url: str = CIFAR10_URL, known_hash: str = CIFAR10_SHA256
) -> Path:
    """Download CIFAR-10 (170 MB) and unpack it, unless it is already there.

    The folder appears complete or not at all. Needs pooch: ``pip install "minigrad-numpy[data]"``.

    Parameters
    ----------
    root
        Where `cifar10_folder` shall find the data set; same default.
    url
        Address of ``cifar-10-python.tar.gz``.
    known_hash
        SHA-256 of that file, in hexadecimal.

    Returns
    -------
    Path
        The folder ``cifar-10-batches-py``.

    Raises
    ------
    FileExistsError
        If the folder is there but a file is missing from it.
    ImportError
        If pooch is not installed.
    OSError
        If the file cannot be downloaded or the folder cannot be written.
    ValueError
        If the file has another hash, is not a tar archive, is not the data set, or has members that do not
        belong in one: links, devices, paths that lead out of the folder.
    """
    place, _ = _place(root)
    folder = place if place.name == _FOLDER or not _missing(place) else place / _FOLDER
    if not _missing(folder):
        return folder
    if os.path.lexists(folder):
        lacks = ", ".join(_missing(folder))
        raise FileExistsError(f"{folder} is there, but lacks {lacks}: move it away, then download again")
    with extra("data", "download_cifar10 needs pooch"):
        import pooch
    with told(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            folder.lstat()  # fails here, and not after the download, where no such name can be
    with scratch(folder.parent) as temporary:
        try:
            archive = pooch.retrieve(
                url, known_hash, "cifar-10-python.tar.gz", str(temporary), progressbar=True
            )
        except OSError as error:  # among them all errors of requests
            raise OSError(f"{url} could not be downloaded: {error} (into {folder.parent})") from error
        with told(folder):
            unpacked = _unpacked(archive, temporary / "unpacked", url)
            try:
                os.replace(unpacked, folder)
            except OSError:
                if _missing(folder):  # it was not another download that got there first
                    raise
    return folder


def _place(root: str | os.PathLike[str] | None) -> tuple[Path, str]:
    """Return the folder where CIFAR-10 is looked for, and the setting that names it."""
    if root is not None:
        return Path(root).expanduser(), "root"
    if named := os.environ.get("CIFAR10_DIR"):
        return Path(named).expanduser(), "the environment variable CIFAR10_DIR"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "minigrad"), "the cache folder"


def _missing(folder: Path) -> list[str]:
    return [name for name in _TRAINING_FILES + _TEST_FILES if not os.path.isfile(folder / name)]


def _unpacked(archive: str, folder: Path, url: str) -> Path:
    """Unpack an archive into a folder; return the data set in it."""
    try:
        _unpack(archive, folder)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{url} is not a complete tar archive: {error}") from error
    if missing := _missing(folder / _FOLDER):
        raise ValueError(f"{url} is not CIFAR-10, python version: {_FOLDER} lacks {', '.join(missing)}")
    return folder / _FOLDER


def _unpack(archive: str, folder: Path) -> None:
    """Unpack an archive of plain files and folders; refuse any other before the first is written."""
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
                raise tarfile.TarError(f"member {member.name!r} is not a plain file or folder inside of it")
        tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Pythons before 3.10.12 have none
        tar.extractall(folder)


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


def _read_batches(folder: Path, names: list[str], count: int, asked_by: str) -> tuple[Images, Labels]:
    """Read the first `count` images, (count, 3, 32, 32) uint8, and labels, (count,) int64."""
    images, labels, read = [np.empty((0, 3072), np.uint8)], [np.empty(0, np.int64)], 0
    for name in names:
        if read >= count:
            break
        batch_images, batch_labels = _read_batch(folder / name)
        images.append(batch_images)
        labels.append(batch_labels)
        read += len(batch_labels)
    if read < count:
        raise ValueError(f"{asked_by} = {count}, but {', '.join(names)} in {folder} hold {read} images")
    return np.concatenate(images)[:count].reshape(count, 3, 32, 32), np.concatenate(labels)[:count]


def _read_batch(path: Path) -> tuple[npt.NDArray[np.uint8], Labels]:
    """Read one file: a pickled dict with images, (n, 3072) uint8, and a list of n labels, 0 to 9."""
    content = path.read_bytes() if path.stat().st_size <= MAX_BYTES else bytes(MAX_BYTES + 1)
    try:
        batch = read_pickle(content)
        if not isinstance(batch, dict) or not {b"data", b"labels"} <= batch.keys():
            raise ValueError("expected a dict with the keys b'data' and b'labels'")
        images, labels = batch[b"data"], batch[b"labels"]
        if not isinstance(images, np.ndarray):
            raise ValueError(f"expected an array of images, found a {type(images).__name__}")
        if images.ndim != 2 or images.shape[1] != 3072:
            raise ValueError(f"expected images of shape (n, 3072), found {images.shape}")
        if not isinstance(labels, list) or len(labels) != len(images):
            raise ValueError(f"expected a list of {len(images)} labels, one for each image")
        if not all(type(label) is int and 0 <= label <= 9 for label in labels):
            raise ValueError("expected labels that are integers from 0 to 9")
    except ValueError as error:
        raise ValueError(
            f"{path} is not a CIFAR-10 batch, or is damaged ({error}). Replace it by the original file"
        ) from error
    return images, np.array(labels, dtype=np.int64)
