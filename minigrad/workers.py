"""Workers: where the trainings of a sweep run, and how the data gets there."""

from __future__ import annotations

import contextlib
import functools
import json
import pickle
import shutil
import traceback
from collections.abc import Callable, Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from .files import told
from .search_space import Setting
from .trials import Arrays, Trial

Train: TypeAlias = Callable[[Setting, Arrays, int], Mapping[str, Any]]

DATA_FOLDER = ".sweep-data"
"""Where workers find the data, in the sweep's folder, as long as it runs."""


class Executor(Protocol):
    """What runs the settings: an executor of concurrent.futures, a client of Dask."""

    def submit(self, fn: Any, /, *args: Any) -> Any:
        """Start ``fn(*args)`` elsewhere and return its future."""


def check_executor(executor: Any, train: Any) -> None:
    """Raise TypeError or ImportError unless the executor can run the training."""
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(
            f"executor must have submit, like a concurrent.futures.ProcessPoolExecutor; got {executor!r}"
        )
    try:
        pickle.dumps(train)
    except Exception as error:  # pickle raises AttributeError and TypeError too
        raise TypeError(
            f"train cannot be sent to the executor's workers ({error}); define it at the top of a module"
        ) from error
    try:
        import threadpoolctl  # noqa: F401
    except ImportError as error:
        raise ImportError('sweep with an executor needs threadpoolctl: pip install -e ".[sweep]"') from error


def train_setting(train: Train, setting: Setting, arrays: Arrays, seed: int) -> Any:
    """Return train's record, or a Trial that tells how it failed."""
    try:
        return train(json.loads(json.dumps(setting)), dict(arrays), seed)
    except FloatingPointError:
        return Trial(setting, "diverged", error=traceback.format_exc())
    except Exception:
        return Trial(setting, "error", error=traceback.format_exc())


@contextlib.contextmanager
def workers(
    executor: Any, train: Train, arrays: Arrays, folder: Path, description: dict[str, Any]
) -> Iterator[Callable[[Setting, int], Any]]:
    """Put the data where workers find it; yield what submits a setting with its seed."""
    place = folder / DATA_FOLDER
    # Dask answers a repeated call from memory, unless told that it is not pure
    options = {"pure": False} if "pure" in signature(executor.submit).parameters else {}
    try:
        with told(place):
            place.mkdir()
            for number, array in enumerate(arrays.values()):
                np.save(place / f"{number}.npy", array)
        stored = str(place.resolve()), tuple(arrays), json.dumps(description["data"])
        yield lambda setting, seed: executor.submit(
            _outcome_in_worker, train, setting, seed, *stored, **options
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _outcome_in_worker(
    train: Train, setting: Setting, seed: int, place: str, names: tuple[str, ...], fingerprints: str
) -> Any:
    with one_blas_thread():
        return train_setting(train, setting, _open(place, names, fingerprints), seed)


@functools.lru_cache(maxsize=1)
def _open(place: str, names: tuple[str, ...], fingerprints: str) -> Arrays:
    """Map the data into memory, once in a process; the fingerprints tell other data at the same place."""
    files = (np.load(Path(place, f"{number}.npy"), mmap_mode="r") for number in range(len(names)))
    return {name: file.view(np.ndarray) for name, file in zip(names, files, strict=True)}


def one_blas_thread() -> Any:
    """Return a context in which BLAS has one thread."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")
