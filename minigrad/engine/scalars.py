"""Numbers as arguments: conversion to Python's, ranges, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_int(x: object) -> bool:
    """Tell whether x is an integer, Python's or NumPy's, but no bool."""
    return isinstance(x, (int, np.integer)) and not isinstance(x, bool)


def is_real(x: object) -> bool:
    """Tell whether x is a real number, Python's or NumPy's, but no bool."""
    return is_int(x) or isinstance(x, (float, np.floating))


def as_int(name: str, value: Any, least: int | None = None) -> int:
    """Convert to a Python int, which does not overflow.

    Raises
    ------
    TypeError
        If it is no integer, nor a 0-d array of one.
    ValueError
        If it is below ``least``.
    """
    value = entry(value)
    expected = "an int" if least is None else f"an int >= {least}"
    if not is_int(value):
        raise TypeError(f"{name} must be {expected}, got {value!r}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be {expected}, got {value!r}")
    return int(value)


def as_real(name: str, value: Any, interval: str = "(-inf, inf)") -> float:
    """Convert a real number to a Python float, which does not widen arrays.

    Parameters
    ----------
    interval : str
        The range, as mathematicians write it: ``"[0, 1)"`` has 0 in it, and not 1.

    Raises
    ------
    TypeError
        If it is no number, nor a 0-d array of one.
    ValueError
        If it is not in the interval; NaN is in none.
    """
    value = entry(value)
    if not is_real(value):
        raise TypeError(f"{name} must be a number, got {value!r}")
    low, high = map(float, interval[1:-1].split(","))
    above = low <= value if interval[0] == "[" else low < value
    below = value <= high if interval[-1] == "]" else value < high
    if not (above and below):
        bounds = "finite" if interval == "(-inf, inf)" else f"in {interval}"
        raise ValueError(f"{name} must be {bounds}, got {value!r}")
    return float(value)


def entry(x: Any) -> Any:
    """Return the number in a 0-d array; anything else unchanged."""
    return x[()] if isinstance(x, np.ndarray) and x.shape == () else x
