"""Gradients by central differences, and their relative error, as the course has them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..engine.arguments import names_itself
from ..engine.arrays import Array, overlaps_itself
from ..engine.leaving import stacklevel_of_program


@names_itself
def rel_error(x: Any, y: Any) -> float:
    """Return the largest ``|x - y| / max(1e-8, |x| + |y|)``, as the course's notebook defines it; 0, if empty.

    Parameters
    ----------
    x, y : array_like of one shape
        Numbers; they are compared in float64 at least, so that integers cannot wrap.

    Raises
    ------
    ValueError
        If the shapes are not the same.
    TypeError
        If they hold no numbers.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.dtype.kind not in "fciub" or y.dtype.kind not in "fciub":
        raise TypeError(f"rel_error: x has dtype {x.dtype}, y has {y.dtype}; expected numbers")
    if x.shape != y.shape:
        raise ValueError(f"rel_error: x has shape {x.shape}, y has {y.shape}; expected the same")
    dtype = np.result_type(x, y, np.float64)
    x, y = x.astype(dtype), y.astype(dtype)
    return float(np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)), initial=0.0))


@names_itself
def eval_numerical_gradient(
    f: Callable[[Array], Any], x: Array, verbose: bool = True, h: float = 1e-5
) -> Array:
    """Return the gradient of a scalar function by central differences, as the course does.

    Parameters
    ----------
    f
        A function of x whose result is one number.
    x : ndarray of floats
        The point; of any shape. It is changed while f runs, and restored exactly, also if f raises.
    verbose : bool
        Whether to print each entry's index and derivative.
    h : float
        The step.

    Returns
    -------
    ndarray of x's shape

    Raises
    ------
    TypeError
        If x is no writable array of floats.
    ValueError
        If h is not positive, entries of x share memory, or f, called twice at x, returns other numbers.
    """
    gradient = np.zeros(np.shape(x))
    for index, above, below in _differences(f, x, h):
        gradient[index] = (above.item() - below.item()) / (2 * h)
        if verbose:
            print(index, gradient[index])
    return gradient


@names_itself
def eval_numerical_gradient_array(f: Callable[[Array], Any], x: Array, df: Any, h: float = 1e-5) -> Array:
    """Return the gradient of sum(f(x) df) by central differences, as the course does.

    Parameters
    ----------
    f
        A function of x whose result is an array.
    x : ndarray of floats
        The point; of any shape. It is changed while f runs, and restored exactly, also if f raises.
    df : ndarray of the shape of f(x), or a number
        The gradient of whatever is differentiated with respect to f(x).
    h : float
        The step.

    Returns
    -------
    ndarray of x's shape

    Raises
    ------
    TypeError
        If x is no writable array of floats.
    ValueError
        If h is not positive, entries of x share memory, f, called twice at x, returns other numbers, or df has not
        the shape of f(x).
    """
    gradient = np.zeros(np.shape(x))
    for index, above, below in _differences(f, x, h):
        if np.ndim(df) and np.shape(df) != above.shape:
            raise ValueError(f"df has shape {np.shape(df)}, but f(x) has {above.shape}")
        gradient[index] = np.sum((above - below) * df) / (2 * h)
    return gradient


def _differences(
    f: Callable[[Array], Any], x: Array, h: float
) -> Iterator[tuple[tuple[int, ...], Array, Array]]:
    """Yield each index of x, and f(x) with that entry moved by h and by -h."""
    _check_nudgeable(x, h)
    _check_repeatable(f, x)
    for index in np.ndindex(x.shape):
        above, below = [with_entry_moved(lambda: _result(f, x), x, index, step) for step in (h, -h)]
        yield index, above, below


def _check_nudgeable(x: Any, h: float) -> None:
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        what = f"has dtype {x.dtype}" if isinstance(x, np.ndarray) else f"is a {type(x).__name__}"
        raise TypeError(f"x {what}; expected a writable array of floats")
    if not x.flags.writeable:
        raise TypeError("x is read-only, and is changed while f runs; give x.copy()")
    if not (isinstance(h, (int, float, np.number)) and h > 0):
        raise ValueError(f"h is {h!r}; expected a step > 0")
    if overlaps_itself(x):
        raise ValueError("entries of x share memory, so none moves alone; give x.copy()")
    if h < np.finfo(x.dtype).eps ** 0.5:
        warnings.warn(
            f"numerical gradient: a step of {h:g} is lost in the rounding of {x.dtype}; give float64, or a step of "
            f"about {float(np.finfo(x.dtype).eps) ** (1 / 3):.0e}",
            stacklevel=stacklevel_of_program(),
        )


def _check_repeatable(f: Callable[[Array], Any], x: Array) -> None:
    """Refuse a function that returns other numbers at the same point: the differences would be those of its noise."""
    if not x.size:
        return
    first, second = _result(f, x), _result(f, x)
    if first.dtype.kind not in "fc" or first.shape != second.shape:
        return
    rounding = 1e3 * float(np.finfo(first.dtype).eps)
    size = float(np.max(np.abs(first), initial=0.0, where=np.isfinite(first)))
    if not np.allclose(first, second, rtol=rounding, atol=rounding * size, equal_nan=True):
        raise ValueError(
            "numerical gradient: f returns other numbers when it is called again at the same x, as dropout does that "
            "draws a new mask; fix what is random, such as by net.dropout_param['seed'] = 0"
        )


def _result(f: Callable[[Array], Any], x: Array) -> Array:
    """Return what f returns, as an array of its own."""
    out = f(x)
    if isinstance(out, tuple):
        raise TypeError(
            f"numerical gradient: f returned a tuple of {len(out)}; expected its output alone, such as "
            "lambda x: affine_forward(x, w, b)[0]"
        )
    return np.array(out)


def with_entry_moved(f: Callable[[], Any], x: Array, index: tuple[int, ...], step: complex) -> Any:
    """Return f() with one entry of x moved by a step; the entry is restored, whatever happens."""
    before = x[index]
    try:
        x[index] = before + step
        return f()
    finally:
        x[index] = before
