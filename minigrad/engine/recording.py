"""Recording: what a call on the tape is, and whether and how calls are recorded."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import wraps
from itertools import count
from typing import Any, TypeAlias, TypeVar, cast

from .arrays import Array as Array
from .suspension import leaks_to_caller

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
        """Observe a call; called only if ``watches``."""


next_number = count(1).__next__
"""Numbers calls and writes, in the order they happen."""
RECORD = Recording()
recording: ContextVar[Recording | None] = ContextVar("recording", default=RECORD)
"""How calls are recorded in this thread; None: not at all."""


_before: ContextVar[Any] = ContextVar("_before", default=())
"""The blocks of a `Mode` that this thread is in: how the innermost one is left, and the others, nested."""
recomputing: ContextVar[bool] = ContextVar("recomputing", default=False)
"""Whether a forward runs again in this thread, for a backward pass: state was updated when it ran first."""

differentiated: set[int] = set()
"""The calls, by number, that stand for arguments of functions being differentiated now, in any thread."""


Function = TypeVar("Function", bound=Callable[..., Any])


class Mode:
    """A context manager and decorator that sets how calls are recorded; subclasses say how.

    One may be entered by several threads and tasks at once: what was before is of each one's own.
    """

    def mode(self) -> Recording | None:
        """Return how calls are recorded inside."""
        raise NotImplementedError

    def __enter__(self) -> None:
        """Enter the block.

        Raises
        ------
        RuntimeError
            In a generator that yields inside of it, whose caller would be in the mode too.
        """
        if leaks_to_caller():
            name = type(self).__name__
            raise RuntimeError(
                f"{name}: this generator yields inside of `with mg.{name}():`, where its caller would be in that mode "
                "too; yield after the block, or decorate a context manager with contextlib.contextmanager"
            )
        _before.set((recording.set(self.mode()), _before.get()))

    def __exit__(self, *error: object) -> None:
        if not _before.get():
            raise RuntimeError(
                f"{type(self).__name__}: the block is left in another context than it was entered in"
            )
        token, before = _before.get()
        recording.reset(token)
        _before.set(before)

    def __call__(self, function: Function) -> Function:
        """Return a function whose calls are recorded so.

        Raises
        ------
        TypeError
            If it is a generator function or a coroutine function, whose body runs after the call has returned.
        """
        name = type(self).__name__
        for kind, is_one in RUN_LATER.items():
            if is_one(function):
                raise TypeError(
                    f"{name}: {function.__name__} is {kind}, whose body runs after the call has returned; write "
                    f"`with mg.{name}():` in its body, around statements without yield"
                )

        @wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with type(self)():
                return function(*args, **kwargs)

        return cast(Function, inside)


RUN_LATER = {
    "a generator function": inspect.isgeneratorfunction,
    "a coroutine function": inspect.iscoroutinefunction,
    "an asynchronous generator function": inspect.isasyncgenfunction,
}
"""Functions whose body does not run when they are called."""


class no_grad(Mode):
    """Record nothing inside: results are constants, and tensors may be updated in place.

    A context manager and a decorator; per thread.

    Raises
    ------
    RuntimeError
        In a generator that yields inside the block: recording would be off for its caller, too. One that is run
        by ``contextlib.contextmanager`` may.
    """

    def mode(self) -> None:
        """Return how calls are recorded inside: not at all."""
