"""The locks of compiled functions, and new ones in a forked child."""

from __future__ import annotations

import os
from threading import Lock, RLock
from typing import Any
from weakref import WeakSet

compiling = RLock()
"""Serializes tracing and writes to outside state, so that no thread sees either half done."""
holders: WeakSet[Any] = WeakSet()
"""The programs; each has a ``lock``, which is held while it runs."""


def _renew() -> None:
    """Replace the locks in a forked child: a thread that held one in the parent does not exist there."""
    global compiling
    compiling = RLock()
    for program in holders:
        program.lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
