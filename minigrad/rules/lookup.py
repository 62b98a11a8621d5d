"""Where the rules of a function are found; SciPy's are imported when the first of its functions is asked for."""

from __future__ import annotations

import sys
from typing import Any

from .table import OPS, Composite, Op


def rules_of(function: Any) -> Op | Composite | None:
    """Return what the table has for a function; None, if it has nothing."""
    op = OPS.get(function)
    if op is None and "scipy.special" in sys.modules:
        from .special import SPECIAL

        op = SPECIAL.get(function)
    return op
