"""Workers: where the trainings of a sweep run, and how the data gets there."""

from __future__ import annotations

import contextlib
import functools
import json
import multiprocessing.connection
import os
import pickle
import queue
import shutil
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from inspect import signature
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from ..engine.leaving import stacklevel_of_program
from ..files import told
from .search_space import Setting
from .trials import Arrays, Trial

Train: TypeAlias = Callable[[Setting, Arrays, int], Mapping[str, Any]]
Stored: TypeAlias = tuple[str, tuple[str, ...], str]
"""The folder of the arrays, their names, and their fingerprints."""
DATA_FOLDER = ".sweep-data"
"""The data's place in the sweep's folder while it runs."""
ATTEMPTS = 2
"""After so many dedicated processes have died of a setting, it is recorded as an error."""


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
    try:
        import threadpoolctl  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'sweep with an executor needs threadpoolctl, the extra "sweep": pip install "minigrad-numpy[sweep]", or '
            'pip install -e ".[sweep]" in a checkout'
        ) from error


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
        self._job = functools.partial(_train_in_worker, train, data, os.getpid())
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


class OwnProcesses:
    """Trains each setting in a process of its own, so that a process's death identifies the setting.

    Parameters
    ----------
    size : int
        How many processes run at once.
    context : multiprocessing context
        How they are started.
    work : tuple
        An initializer or None, its arguments, and the function to run: ``job(setting, seed)``.
    """

    def __init__(self, size: int, context: Any, work: tuple[Any, tuple[Any, ...], Any]) -> None:
        self._size, self._context, self._work = size, context, work
        self._waiting: deque[tuple[Setting, int, int]] = deque()
        self._running: dict[Any, _Run] = {}

    def submit(self, setting: Setting, seed: int, deaths: int = 0) -> None:
        """Train the setting as soon as a process may start."""
        self._waiting.append((setting, seed, deaths))

    @property
    def busy(self) -> bool:
        """Whether anything runs or waits."""
        return bool(self._waiting or self._running)

    def next(self) -> tuple[Setting, Any]:
        """Wait for a setting; return it and its record, or a Trial that tells how it failed.

        Raises
        ------
        ChildProcessError
            When a process dies before it trains.
        """
        while True:
            while self._waiting and len(self._running) < self._size:
                self._start(*self._waiting.popleft())
            connection = multiprocessing.connection.wait(list(self._running))[0]
            run = self._running[connection]
            try:
                outcome = run.connection.recv()
            except (EOFError, OSError):
                self._end(run)
                if not run.started:
                    raise _not_started(run) from None
                if run.deaths + 1 == ATTEMPTS:
                    return run.setting, _killer(run)
                self.submit(run.setting, run.seed, run.deaths + 1)
            else:
                if run.started:
                    self._end(run)
                    return run.setting, outcome
                run.started = True

    def close(self) -> None:
        """End the running processes."""
        for run in list(self._running.values()):
            run.process.terminate()
            self._end(run)

    def _start(self, setting: Setting, seed: int, deaths: int) -> None:
        connection, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_work, args=(sender, *self._work, setting, seed))
        process.start()
        sender.close()  # now the process has the only one, and when it dies, the connection ends
        self._running[connection] = _Run(process, connection, setting, seed, deaths)

    def _end(self, run: _Run) -> None:
        del self._running[run.connection]
        run.process.join()
        run.connection.close()


@dataclass
class _Run:
    process: Any
    connection: Connection
    setting: Setting
    seed: int
    deaths: int
    started: bool = False


def _not_started(run: _Run) -> ChildProcessError:
    return ChildProcessError(
        "the executor lost a worker, and a new process dies before it trains anything (exit code "
        f"{run.process.exitcode}); look at what it printed, at the pool's initializer, and whether "
        "the program sweeps below if __name__ == '__main__' only"
    )


def _killer(run: _Run) -> Trial:
    error = (
        f"ChildProcessError: a process that trained this setting alone died, {ATTEMPTS} times (exit code "
        f"{run.process.exitcode}): it was killed, ran out of memory, or crashed in compiled code"
    )
    return Trial(run.setting, "error", error=error)


def _work(
    connection: Connection,
    initializer: Callable[..., Any] | None,
    initargs: tuple[Any, ...],
    job: Callable[[Setting, int], Any],
    setting: Setting,
    seed: int,
) -> None:
    """Run the job for one setting; say when it starts, and send what it returns."""
    if initializer is not None:
        initializer(*initargs)
    connection.send("started")
    outcome = job(setting, seed)
    try:
        connection.send(outcome)
    except Exception:  # it cannot be pickled
        connection.send(Trial(setting, "error", error=traceback.format_exc()))


def _train_in_worker(train: Train, data: Stored, sweeping: int, setting: Setting, seed: int) -> Any:
    _end_with(sweeping)
    with one_blas_thread():
        return train_setting(train, _open(*data), setting, seed)


def _initialize(sweeping: int, initializer: Callable[..., Any] | None, initargs: tuple[Any, ...]) -> None:
    """Start a worker of a pool: watch the sweeping process, then run the pool's own initializer."""
    _end_with(sweeping)
    if initializer is not None:
        initializer(*initargs)


@functools.cache
def _end_with(sweeping: int) -> None:
    """End this process when its parent, if that is the one that sweeps, is killed.

    Otherwise an orphaned worker would train on, and then wait for ever.
    """
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid == sweeping:
        born_of = os.getppid()

        def wait() -> None:
            while (
                parent.is_alive() and os.getppid() == born_of
            ):  # the first fails while a sibling has the pipe
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
