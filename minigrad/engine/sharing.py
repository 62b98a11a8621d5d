"""The lock around data that threads share: the gradients of leaves, and the record of writes."""

import os
from threading import RLock

_lock = RLock()  # a finalizer, which may run anywhere, may write too


def shared() -> RLock:
    """Return the lock, one for all threads: hold it for a few operations only."""
    return _lock


def _renew_lock() -> None:
    """Give a forked child a lock that is open, whichever thread of the parent held it."""
    global _lock
    _lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
