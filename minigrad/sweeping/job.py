"""One training of a sweep, wherever it runs: in this process, or in a worker that maps the data into memory."""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing
import os
import shutil
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..files import told
from .search_space import Setting
from .trials import Arrays, Trial

Train: TypeAlias = Callable[[Setting, Arrays, int], Mapping[str, Any]]
Stored: TypeAlias = tuple[str, tuple[str, ...], str]
"""The folder of the arrays, their names, and their fingerprints."""
DATA_FOLDER = ".sweep-data"
"""The data's place in the sweep's folder while it runs."""


def train_setting(train: Train, arrays: Arrays, setting: Setting, seed: int) -> Any:
    """Return train's record, or a Trial with its error."""
    try:
        return train(json.loads(json.dumps(setting)), dict(arrays), seed)
    except FloatingPointError:
        return Trial(setting, "diverged", error=traceback.format_exc())
    except KeyboardInterrupt:
        raise
    except BaseException:  # SystemExit, CancelledError and their like end one setting, and not the sweep
        return Trial(setting, "error", error=traceback.format_exc())


@contextlib.contextmanager
def stored(arrays: Arrays, folder: Path, fingerprints: Mapping[str, str]) -> Iterator[Stored]:
    """Write the data to the folder from which workers map it."""
    place = folder / DATA_FOLDER
    try:
        with told(place):
            place.mkdir()
            for number, array in enumerate(arrays.values()):
                np.save(place / f"{number}.npy", array)
        yield str(place.resolve()), tuple(arrays), json.dumps(fingerprints)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def train_in_worker(train: Train, data: Stored, sweeping: int, setting: Setting, seed: int) -> Any:
    """Return train's record as `train_setting` does, with one BLAS thread; ``sweeping`` is the sweep's process."""
    end_with(sweeping)
    with one_blas_thread():
        return train_setting(train, _open(*data), setting, seed)


@functools.cache
def end_with(sweeping: int) -> None:
    """End this process when its parent, if that is the one that sweeps, is killed.

    Otherwise an orphaned worker would train on, and then wait for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid == sweeping:
        born_of = os.getppid()

        def wait() -> None:
            # is_alive alone stays true while a sibling has the pipe
            while parent.is_alive() and os.getppid() == born_of:
                parent.join(1)
            os._exit(1)

        threading.Thread(target=wait, daemon=True).start()


@functools.lru_cache(maxsize=1)
def _open(place: str, names: tuple[str, ...], fingerprints: str) -> Arrays:
    """Map the data into memory, once in a process; the fingerprints detect other data at the same place."""
    files = (np.load(Path(place, f"{number}.npy"), mmap_mode="r") for number in range(len(names)))
    return {name: file.view(np.ndarray) for name, file in zip(names, files, strict=True)}


def one_blas_thread() -> Any:
    """Return a context in which BLAS has one thread."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")
