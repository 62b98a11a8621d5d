"""Shape, ndim and size of an operand, without the dispatch that NumPy's functions go through."""

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
    """Return a zero-stride array of this shape, which takes no memory: to find out the shape of a function's result."""
    return np.ndarray(shape, np.int8, b"\0", 0, (0,) * len(shape))
