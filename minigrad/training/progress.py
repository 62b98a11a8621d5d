"""A progress bar on stderr, where one is wanted."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any


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
