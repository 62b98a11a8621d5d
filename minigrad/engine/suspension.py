"""Detects generators that are suspended inside a ``with`` block, whose mode would leak to their caller."""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType

CONTEXT_MANAGERS = ("contextlib", "_pytest")
"""Packages that run generators as context managers, which are meant to set a mode for their caller."""


def leaks_to_caller() -> bool:
    """Tell whether the generator that is at ``with …:`` yields inside of the block.

    To be called in the method ``__enter__``.
    """
    frame = sys._getframe(2)
    code = frame.f_code
    if not code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR) or frame.f_back is None:
        return False
    if frame.f_back.f_globals.get("__name__", "").partition(".")[0] in CONTEXT_MANAGERS:
        return False
    return _yields(code, frame.f_lasti)


@lru_cache(maxsize=1024)
def _yields(code: CodeType, entered: int) -> bool:
    """Tell whether there is a yield in the block whose ``__enter__`` is called by the instruction at an offset."""
    block = _block(code, entered)
    asynchronous = bool(code.co_flags & inspect.CO_ASYNC_GENERATOR)
    previous = ""
    for each in dis.get_instructions(code):
        if any(start <= each.offset < end for start, end in block):
            if sys.version_info < (3, 11):
                suspends = each.opname == "YIELD_VALUE" or (each.opname == "YIELD_FROM" and not asynchronous)
            else:  # an await is a YIELD_VALUE as well
                suspends = each.opname == "YIELD_VALUE" and (not asynchronous or "ASYNC_GEN_WRAP" in previous)
            if suspends:
                return True
        previous = each.opname + each.argrepr
    return False


def _block(code: CodeType, entered: int) -> list[tuple[int, int]]:
    """Return the ranges of instructions that make up a ``with`` block."""
    if sys.version_info < (3, 11):
        setup = next(each for each in dis.get_instructions(code) if each.offset == entered)
        return [(entered, setup.argval)]
    ranges = [each for each in _protected(code) if each[0] > entered]
    handlers = {ranges[0][2]} if ranges else set()  # of the block itself, and those that it protects in turn
    for _ in ranges:
        inside = [(start, end) for start, end, handler in ranges if handler in handlers]
        handlers |= {h for _, _, h in ranges if any(start <= h < end for start, end in inside)}
    return [(start, end) for start, end, handler in ranges if handler in handlers]


def _protected(code: CodeType) -> Iterator[tuple[int, int, int]]:
    """Read the exception table of Python 3.11 and later: where each range starts, ends, and is handled."""
    numbers = iter(code.co_exceptiontable)

    def number() -> int:
        byte = next(numbers)
        value = byte & 63
        while byte & 64:
            byte = next(numbers)
            value = value << 6 | byte & 63
        return value

    while True:
        try:
            start = 2 * number()
        except StopIteration:
            return
        length, target, _ = 2 * number(), 2 * number(), number()
        yield start, start + length, target
