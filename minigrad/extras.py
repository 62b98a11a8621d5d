"""Packages that are imported where they are needed, and the error where one is missing: it names the extra."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def extra(name: str, needed: str) -> Iterator[None]:
    """Import in this block what is ``needed``, such as "drawing needs matplotlib", of the extra of this name.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(f'{needed}, the extra "{name}": {installing(name)}') from error


def installing(name: str) -> str:
    """Return the command that installs an extra."""
    return f'pip install "minigrad-numpy[{name}]", or pip install -e ".[{name}]" in a checkout'
