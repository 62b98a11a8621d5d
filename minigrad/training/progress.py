"""The progress of a training: a log on stdout, and an optional progress bar on stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any


class Log:
    """A log, and a progress bar below it.

    Parameters
    ----------
    verbose : bool
        Whether lines are written.
    progress : bool or None
        Whether there is a bar, as of `progress_bar`.
    """

    def __init__(self, verbose: bool, progress: bool | None) -> None:
        self._verbose, self._progress = verbose, progress
        self._bar: Any = None  # while it is shown

    @contextlib.contextmanager
    def bar(self, total: int | None) -> Iterator[None]:
        """Show the bar, for a total of steps."""
        try:
            with progress_bar(self._progress, total) as self._bar:
                yield
        finally:
            self._bar = None

    def write(self, line: str) -> None:
        """Write a line."""
        if self._verbose:
            (print if self._bar is None else self._bar.write)(line)

    def step(self, loss: float, train_acc: float, val_acc: float) -> None:
        """Move the bar by a step, and show the last numbers."""
        if self._bar is not None:
            self._bar.set_postfix_str(
                f"loss {loss:.4f}, train acc {train_acc:.3f}, val acc {val_acc:.3f}", refresh=False
            )
            self._bar.update()


def progress_bar(show: bool | None, total: int | None, unit: str = "it") -> AbstractContextManager[Any]:
    """Return tqdm's bar, or a context of None where none is shown; None shows it when stderr is a terminal.

    Then tqdm is not called at all: it has a lock that forked processes share, and one that is killed while it holds
    it, a worker for instance, would stop all others.
    """
    if show is None:
        show = sys.stderr is not None and sys.stderr.isatty()
    if not show:
        return nullcontext()
    from tqdm import tqdm

    bar: AbstractContextManager[Any] = tqdm(total=total, unit=unit)
    return bar
