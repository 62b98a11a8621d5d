"""Where the rules of a function are found; SciPy's are imported when the first of its functions is asked for."""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Any

from .table import OPS, Composite, Op


def known(function: Any) -> Op | Composite | None:
    """Return the rules of a function that are loaded by now, or that `minigrad.rule` gave it."""
    op = OPS.get(function)
    return getattr(function, "op", None) if op is None and type(function) is FunctionType else op


def rules_of(function: Any) -> Op | Composite | None:
    """Return the rules of a function; None if it has none."""
    if function in OPS:  # as of nearly all that are called
        return OPS[function]
    op = known(function)
    if op is None and "scipy.special" in sys.modules:
        from .special import SPECIAL

        op = SPECIAL.get(function)
    return op
