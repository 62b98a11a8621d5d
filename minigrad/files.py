"""Files: written atomically, alone or as a set; leftovers of a killed writer are removed.

A file is written in a scratch folder beside its destination, synced to disk, and renamed. The scratch folder is
locked while its writer lives, so that the next writer can tell an abandoned one and remove it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be removed
    fcntl = None  # type: ignore[assignment]

SCRATCH = ".minigrad-"
"""Prefix of the names of scratch folders."""
PREPARED, CLEARED = ".minigrad.prepared", ".minigrad.cleared"
"""A complete new set of files; the same, after the old set was removed."""
A_DAY = 86_400.0


def replace(path: Path, content: bytes) -> None:
    """Write a file atomically, and sync it to disk."""
    with scratch(path.parent) as room:
        written = room / "content"
        _write_synced(written, content)
        os.replace(written, path)
    _sync_folder(path.parent)


def write(path: Path, content: bytes) -> None:
    """Write a file atomically; an error names it."""
    with told(path):
        replace(path, content)


def publish(folder: Path, files: Mapping[str, bytes], names: Sequence[str]) -> None:
    """Replace a set of files: at no moment does the folder hold files of two sets.

    The new set is on disk, complete, before a file of the old one is touched. A writer that is killed after that
    leaves the rest of the move to `finish`.

    Parameters
    ----------
    folder : path
        The folder; it must be there.
    files : mapping
        The contents by name.
    names : sequence of str
        All names that a set may have; those that this one lacks are removed.

    Raises
    ------
    OSError
        When a file cannot be written; the old set is then as it was.
    """
    with _locked(folder):
        _finish(folder, names)
        for name in names:
            if (folder / name).is_dir():
                raise OSError(
                    errno.EISDIR,
                    "a folder is in the place of a file; it cannot be written",
                    str(folder / name),
                )
        with scratch(folder) as room:
            prepared = room / "set"
            prepared.mkdir()
            for name, content in files.items():
                with told(folder / name):
                    _write_synced(prepared / name, content)
            with told(folder):
                _sync_folder(prepared)
                os.rename(prepared, folder / PREPARED)
        _finish(folder, names)


def finish(folder: Path, names: Sequence[str]) -> None:
    """Complete a `publish` whose process was killed between its first and its last rename."""
    with _locked(folder):
        _finish(folder, names)


def _finish(folder: Path, names: Sequence[str]) -> None:
    prepared, cleared = folder / PREPARED, folder / CLEARED
    with told(folder):
        if prepared.is_dir():
            for name in names:
                (folder / name).unlink(missing_ok=True)
            _sync_folder(folder)
            os.rename(prepared, cleared)
        if cleared.is_dir():
            for path in cleared.iterdir():
                os.replace(path, folder / path.name)
            cleared.rmdir()
            _sync_folder(folder)


@contextlib.contextmanager
def scratch(parent: Path) -> Iterator[Path]:
    """Make an empty scratch folder for the context; remove those of killed processes."""
    _remove_abandoned(parent)
    while True:
        room = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=parent))
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(FileNotFoundError):
                stack.enter_context(_locked(room))
            if not room.is_dir():  # taken for abandoned before it was locked
                continue
            try:
                yield room
            finally:
                shutil.rmtree(room, ignore_errors=True)
            return


def pack(
    arrays: Mapping[str, NDArray[Any]], text_name: str, text: bytes | str, comment: bytes = b""
) -> bytes:
    """Return the contents of an .npz file of arrays and one text."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(text_name, text)
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
        archive.comment = comment
    return content.getvalue()


def unpack(content: bytes, text_name: str) -> tuple[dict[str, NDArray[Any]], bytes]:
    """Return the arrays and the text of a file that `pack` wrote.

    What is damaged can raise nearly any exception. No code is run; members take no more memory than the content.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("a member is compressed")
        if sum(member.file_size for member in members) > len(content):
            raise ValueError("its members overlap")
        arrays = {}
        for member in members:
            if member.filename != text_name:
                with archive.open(member) as file:
                    array = np.lib.format.read_array(file, allow_pickle=False)
                arrays[member.filename.removesuffix(".npy")] = array
        return arrays, archive.read(text_name)


def fingerprint(array: NDArray[Any]) -> str:
    """Return an array's dtype, shape, and a digest of its content."""
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return f"{array.dtype} {array.shape} {hashlib.sha256(content.data).hexdigest()[:16]}"


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Add the file's name to an OSError."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}; it cannot be written", str(path)) from error


@contextlib.contextmanager
def _locked(folder: Path, wait: bool = True) -> Iterator[None]:
    """Lock a folder against other threads and processes; the lock also ends with this process.

    Raises BlockingIOError when it is locked and this is not to wait. File systems without locks lock nothing.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise
        except OSError:
            if not wait:
                raise BlockingIOError(errno.EAGAIN, "it cannot be locked", str(folder)) from None
        yield
    finally:
        os.close(descriptor)


def _remove_abandoned(parent: Path) -> None:
    with contextlib.suppress(OSError):
        for room in parent.glob(SCRATCH + "*"):
            with contextlib.suppress(OSError), _locked(room, wait=False):
                if fcntl is not None or time.time() - room.stat().st_mtime > A_DAY:
                    shutil.rmtree(room, ignore_errors=True)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk, where the system can."""
    if fcntl is None:
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
