"""Where the settings of a sweep are trained: in this process, or in an executor, whose losses are retried."""

from __future__ import annotations

import functools
import multiprocessing
import os
import pickle
import queue
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from inspect import signature
from typing import Any, Protocol

from ..engine.leaving import stacklevel_of_program
from ..extras import extra
from .job import Stored, Train, end_with, train_in_worker, train_setting
from .own_processes import OwnProcesses
from .search_space import Setting
from .trials import Arrays


class Executor(Protocol):
    """An executor of concurrent.futures, or a client of Dask."""

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
    with extra("sweep", "sweep with an executor needs threadpoolctl"):
        import threadpoolctl  # noqa: F401


class ThisProcess:
    """Trains settings one after the other, in this process."""

    def __init__(self, train: Train, arrays: Arrays) -> None:
        self._job = functools.partial(train_setting, train, arrays)
        self._waiting: deque[tuple[Setting, int]] = deque()

    def submit(self, setting: Setting, seed: int) -> None:
        """Train the setting when it is its turn."""
        self._waiting.append((setting, seed))

    def next(self) -> tuple[Setting, Any]:
        """Return a setting and its record, or a Trial that tells how it failed."""
        setting, seed = self._waiting.popleft()
        return setting, self._job(setting, seed)


class Workers:
    """Trains settings in an executor, and retries what it loses: in processes of its own, or here.

    Parameters
    ----------
    executor : Executor
        The executor.
    train : callable
        The function that trains a setting.
    data : Stored
        Where the arrays are.
    here : ThisProcess
        Trains the settings lost in other ways than by the death of a worker.
    """

    def __init__(self, executor: Any, train: Train, data: Stored, here: ThisProcess) -> None:
        self._executor = executor
        self._is_pool = isinstance(executor, ProcessPoolExecutor)
        if self._is_pool:  # its workers watch this process from their start, and not from their first job
            self._initializer = self._executor._initializer, self._executor._initargs
            self._executor._initializer = _initialize
            self._executor._initargs = (os.getpid(), *self._initializer)
        self._job = functools.partial(train_in_worker, train, data, os.getpid())
        self._here = here
        self._own: OwnProcesses | None = None  # in the place of a pool that broke
        self._suspects: OwnProcesses | None = None  # for settings that seem to have killed workers of Dask
        # Dask answers a repeated call from memory, unless told that it is not pure
        self._options = {"pure": False} if "pure" in signature(executor.submit).parameters else {}
        self._running: dict[Any, tuple[Setting, int]] = {}
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._warned = False

    def submit(self, setting: Setting, seed: int) -> None:
        """Train the setting elsewhere."""
        if self._own is not None:
            self._own.submit(setting, seed)
            return
        try:
            future = self._executor.submit(self._job, setting, seed, **self._options)
        except BrokenExecutor as error:
            self._lose(setting, seed, error)
        else:
            self._running[future] = setting, seed
            future.add_done_callback(self._done.put)

    def next(self) -> tuple[Setting, Any]:
        """Wait for a setting; return it and its record, or a Trial that tells how it failed."""
        while self._running:
            future = self._done.get()
            setting, seed = self._running.pop(future)
            try:
                return setting, future.result()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # not one of train's: train_setting returns those
                self._lose(setting, seed, error)
        for own in (self._own, self._suspects):
            if own is not None and own.busy:
                return own.next()
        return self._here.next()

    def close(self) -> None:
        """Cancel the running trainings."""
        if self._is_pool:
            self._executor._initializer, self._executor._initargs = self._initializer
        for future in self._running:
            future.cancel()
        for own in (self._own, self._suspects):
            if own is not None:
                own.close()

    def _lose(self, setting: Setting, seed: int, error: BaseException) -> None:
        killed = type(error).__name__ == "KilledWorker"  # Dask's: several workers died of it, it seems
        if self._is_pool and isinstance(error, BrokenProcessPool):
            pool = self._executor
            work = pool._initializer, pool._initargs, self._job
            self._own = self._own or OwnProcesses(pool._max_workers, pool._mp_context, work)
            self._own.submit(setting, seed)
        elif killed:
            context = multiprocessing.get_context("spawn")
            self._suspects = self._suspects or OwnProcesses(1, context, (None, (), self._job))
            self._suspects.submit(setting, seed)
        else:
            self._here.submit(setting, seed)
        if not self._warned:
            self._warned = True
            own = killed or self._own is not None
            trained_by = "processes of the sweep's own" if own else "this process"
            warnings.warn(
                f"the executor lost a worker or a result ({type(error).__name__}: {error}); "
                f"what it lost is trained by {trained_by}",
                RuntimeWarning,
                stacklevel=stacklevel_of_program(),
            )


def _initialize(sweeping: int, initializer: Callable[..., Any] | None, initargs: tuple[Any, ...]) -> None:
    """Start a worker of a pool: watch the sweeping process, then run the pool's own initializer."""
    end_with(sweeping)
    if initializer is not None:
        initializer(*initargs)
