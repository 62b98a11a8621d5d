"""Recording: what a call on the tape is, and whether and how calls are recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"
Leaf: TypeAlias = Any
"""A tensor that requires a gradient and that no call made; the engine below tensors does not look into it."""
Parent: TypeAlias = "Call | Leaf | None"
"""Where an operand came from: the call that made it, a leaf that requires a gradient, or neither."""
Call: TypeAlias = tuple[int, Any, Sequence[Any], Sequence[Any], dict[str, Any], Any]


class TapeError(TypeError):
    """A call that the tape cannot follow: a function without a rule, or one that would cut a tensor off."""


class Recording:
    """Whether calls are recorded; one that watches them as well is a `minigrad.engine.watch.Anomaly`."""

    __slots__ = ()
    watches = False

    def called(self, call: Call) -> None:
        """Take note of a call, where ``watches``."""


next_number = count(1).__next__
"""Numbers calls and writes, in the order they happen."""
RECORD = Recording()
recording: ContextVar[Recording | None] = ContextVar("recording", default=RECORD)
"""How calls are recorded in this thread; None: not at all."""


differentiated: set[int] = set()
"""The calls, by number, that stand for arguments of functions being differentiated now, in any thread."""


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside: results are constants, and tensors may be updated in place.

    A context manager and a decorator; per thread.
    """
    before = recording.set(None)
    try:
        yield
    finally:
        recording.reset(before)
