"""The user's place in the code during tracing: the line for an error, the variable's name for a value."""

from __future__ import annotations

import dis
import os.path
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from functools import lru_cache
from itertools import pairwise
from types import CodeType, FrameType
from typing import Any

import numpy as np

refusals: ContextVar[list[JitError] | None] = ContextVar("refusals", default=None)
"""The errors made in the run of a function that is being traced; None outside of one."""


class JitError(TypeError):
    """Raised for what a compiled function cannot do; the message has the line, and what to write instead."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        made = refusals.get()
        if made is not None:
            made.append(self)


@contextmanager
def refusals_raised() -> Iterator[None]:
    """Raise a `JitError` of this block where the function has caught it, or NumPy has replaced it by another error.

    As it is written, the function would not come to its handler.
    """
    made: list[JitError] = []
    token = refusals.set(made)
    try:
        yield
        if made:
            raise made[0]
    except JitError:
        raise
    except Exception as error:
        if made:
            error.__cause__ = error.__context__ = None  # or they would be in a circle
            raise made[0].with_traceback(error.__traceback__) from None
        raise
    finally:
        refusals.reset(token)
        made.clear()  # it is in a circle with the frames that an error comes from


def refused_so_far() -> int:
    """Return how many errors have been made in the run."""
    return len(refusals.get() or ())


def forget_refusals(count: int) -> None:
    """Forget the errors but for so many, the first: those of an attempt that minigrad itself makes, and caught."""
    del (refusals.get() or [])[count:]


class OtherCalls(JitError):
    """Raised where a function, run twice on the same arguments, makes different calls."""


class NeedsValues(JitError):
    """Raised where a function needs the values of an array, which are not known while it is compiled.

    ``node`` is the array's, and ``names`` are those of the fetched arrays that it is computed from.
    """

    def __init__(self, message: str, node: Any = None) -> None:
        super().__init__(message)
        self.node = node
        self.names: set[str] = set()


class PlainArray(NeedsValues):
    """Raised where an array is written into a plain one, or looked up in it, which the function may have made."""


class Changed(JitError):
    """Raised where a function changes what it reads outside.

    ``places`` are those that can be fetched instead: of Python numbers, and of nested arrays.
    """

    def __init__(self, message: str, places: list[tuple[Any, Any]]) -> None:
        super().__init__(message)
        self.places = places


class AsWritten(JitError):
    """Raised where a call has to run the function as it is written."""


class Caught(AsWritten):
    """Raised where a function has caught an error of `numpy.linalg`."""


class Begins(AsWritten):
    """Raised where a call initializes the state that it reads: ``if self.velocity is None: …``."""


OURS = os.path.dirname(os.path.dirname(__file__))
NUMPY = os.path.dirname(np.__file__)
SCIPY = os.path.join(os.path.dirname(NUMPY), "scipy")
ENGINE = (NUMPY, *(os.path.join(OURS, name) for name in ("compiler", "engine", "rules")))
"""Code whose variable names are not used for values: minigrad's own but the layers', and NumPy's."""


def frame_outside(folders: tuple[str, ...]) -> FrameType | None:
    """Return the innermost frame outside the given folders and files."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(folders):
        frame = frame.f_back
    return frame


def user_line() -> str:
    """Return the file and line of the user's code that is running."""
    frame = frame_outside((OURS, NUMPY, SCIPY, deepcopy.__code__.co_filename))
    return "jit" if frame is None else f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def assigned_name() -> str:
    """Return the variable that the running call's result is assigned to; empty if there is none."""
    frame = frame_outside(ENGINE)
    return "" if frame is None else _assignments(frame.f_code).get(frame.f_lasti, "")


@lru_cache
def _assignments(code: CodeType) -> dict[int, str]:
    """Map the offsets of calls in a function's bytecode to the variables their results are stored in."""
    instructions = list(dis.get_instructions(code))
    at = {instruction.offset: instruction for instruction in instructions}
    found = {}
    for before, after in pairwise(instructions):
        stored = at[after.argval] if after.opname == "JUMP_FORWARD" else after
        if stored.opname.startswith("STORE_") and stored.opname not in (
            "STORE_SUBSCR",
            "STORE_SLICE",
            "STORE_ATTR",
        ):
            name = stored.argval[0] if isinstance(stored.argval, tuple) else stored.argval
            found.update(
                dict.fromkeys(range(before.offset, after.offset, 2), str(name))
            )  # its caches included
    return found
