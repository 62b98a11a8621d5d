"""Shape, number of axes and of entries, read from an operand: NumPy's functions would ask it to dispatch."""

from __future__ import annotations

from typing import Any

import numpy as np


def shape(x: Any) -> tuple[int, ...]:
    """Return the shape of an array or tensor, of a number, or of nested lists."""
    found: tuple[int, ...] = x.shape if hasattr(x, "shape") else np.shape(x)
    return found


def ndim(x: Any) -> int:
    """Return the number of axes."""
    return len(shape(x))


def size(x: Any) -> int:
    """Return the number of entries."""
    found: int = x.size if hasattr(x, "size") else np.size(x)
    return found


def outline(shape: tuple[int, ...]) -> Any:
    """Return an array of this shape that takes no memory: for the shape of what a function makes of it."""
    return np.ndarray(shape, np.int8, b"\0", 0, (0,) * len(shape))
