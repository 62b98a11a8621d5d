"""The files of CIFAR-10: found, downloaded, and read without unpickling anything but arrays."""

import contextlib
import gzip
import os
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from .cifar_pickle import MAX_BYTES, read_pickle
from .engine.arguments import names_itself
from .extras import extra, installing
from .files import scratch, told

Images = npt.NDArray[Any]
Labels = npt.NDArray[np.int64]

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CIFAR10_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"

_FOLDER = "cifar-10-batches-py"
TRAINING_FILES = [f"data_batch_{i}" for i in range(1, 6)]
TEST_FILES = ["test_batch"]


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
    return [name for name in TRAINING_FILES + TEST_FILES if not os.path.isfile(folder / name)]


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


def read_batches(folder: Path, names: list[str], count: int, asked_by: str) -> tuple[Images, Labels]:
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
