"""A process for each setting, so that its death tells which setting killed it."""

from __future__ import annotations

import multiprocessing.connection
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from .search_space import Setting
from .trials import Trial

ATTEMPTS = 2
"""How many processes may die of a setting before it is recorded as an error."""


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
    """Run the job for one setting; send a message when it starts, and then its result."""
    if initializer is not None:
        initializer(*initargs)
    connection.send("started")
    outcome = job(setting, seed)
    try:
        connection.send(outcome)
    except Exception:  # it cannot be pickled
        connection.send(Trial(setting, "error", error=traceback.format_exc()))
