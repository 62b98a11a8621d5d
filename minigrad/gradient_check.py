"""Independent ways to one gradient, held against each other: hand-derived, tape, differences, complex step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .functional import grad
from .layers import Layer
from .layers import layer as make_layer
from .tape import Array, TapeError
from .tensor import Tensor, tensor

STEP = 2.0**-13
"""The step of the differences at entries of size 1, extrapolated from two to an error of order STEP⁴."""


class GradientMismatch(AssertionError):
    """Ways to one gradient disagree. The message has the input, the index, each way's value and the error."""


def rel_error(x: Any, y: Any) -> float:
    """Return the largest |x - y| / max(1e-8, |x| + |y|), as the course's notebook defines it; 0, if empty."""
    x, y = np.asarray(x), np.asarray(y)
    return float(np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)), initial=0.0))


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
    """
    _check_nudgeable(x, h)
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        above, below = _values_around(lambda: f(x), x, index, (h, -h))
        gradient[index] = (above.item() - below.item()) / (2 * h)
        if verbose:
            print(index, gradient[index])
    return gradient


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
    """
    _check_nudgeable(x, h)
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        above, below = _values_around(lambda: f(x), x, index, (h, -h))
        gradient[index] = np.sum((above - below) * df) / (2 * h)
    return gradient


def _check_nudgeable(x: Any, h: float) -> None:
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or not x.flags.writeable:
        what = f"dtype {x.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
        raise TypeError(f"numerical gradient: x has {what}; expected a writable array of floats")
    if h < np.finfo(x.dtype).eps ** 0.5:
        warnings.warn(
            f"numerical gradient: a step of {h:g} is lost in the rounding of {x.dtype}; give float64, or a step of "
            f"about {float(np.finfo(x.dtype).eps) ** (1 / 3):.0e}",
            stacklevel=3,
        )


def _values_around(
    f: Callable[[], Any], x: Array, index: tuple[int, ...], steps: Sequence[complex]
) -> list[Array]:
    """Return f() with one entry of x moved by each step in turn; the entry is restored, whatever happens."""
    before = x[index]
    values = []
    try:
        for step in steps:
            x[index] = before + step
            values.append(np.array(f()))
    finally:
        x[index] = before
    return values


@dataclass(frozen=True)
class Gradients:
    """One way to the gradients: a name, and an array for each input."""

    way: str
    arrays: Sequence[Any]


@dataclass(frozen=True)
class Report:
    """What a check compared: the ways, and the largest relative error between the first and the others."""

    ways: tuple[str, ...]
    error: float


def check_layer(layer: Any, *inputs: Any, rtol: float = 1e-6, seed: int = 0, **options: Any) -> Report:
    """Hold a layer's hand-derived gradients against the tape's and against finite differences.

    The check runs in float64 for a random ``dout``; integer inputs (labels) are not differentiated.

    Parameters
    ----------
    layer
        A layer made by ``mg.layer``, or a pair ``(forward, backward)`` in the course's form.
    *inputs
        Arrays, as the forward takes them.
    rtol : float
        How far two ways may be apart, relative to the entry, or to a thousandth of the largest one.
    seed : int
        Seeds ``dout``.
    **options
        Passed on to the forward.

    Returns
    -------
    Report
        The ways compared. The tape is left out where it has no rule for a function of the forward's; the
        complex step, where the forward is not analytic.

    Raises
    ------
    GradientMismatch
        If two ways disagree, or a gradient has not its input's shape; or the layer changes its input.
    """
    checked = layer if isinstance(layer, Layer) else make_layer(*layer)
    arrays = _float64(inputs)
    out, cache = checked.forward(*arrays, **options)
    dout = np.random.default_rng(seed).standard_normal(np.shape(out))
    upstream = dout.copy()
    gradients = checked.backward(upstream if dout.ndim else upstream[()], cache)
    if not np.array_equal(upstream, dout):
        raise GradientMismatch(f"{checked.name}: the backward changed its dout; it must leave it as it is")
    for i, (array, given) in enumerate(zip(arrays, _float64(inputs), strict=True)):
        if not np.array_equal(array, given, equal_nan=array.dtype.kind == "f"):
            raise GradientMismatch(
                f"{checked.name}: the layer changed its input {i}; it must leave it as it is"
            )
    floats = [i for i, x in enumerate(arrays) if x.dtype.kind == "f"]
    hand = list(gradients) if isinstance(gradients, (tuple, list)) else [gradients]
    for i in floats:
        shape = None if i >= len(hand) or hand[i] is None else np.shape(hand[i])
        if shape != arrays[i].shape:
            raise GradientMismatch(
                f"{checked.name}: backward returned a gradient of shape {shape} for input {i} of shape "
                f"{arrays[i].shape}"
            )

    def forward(*moving: Any) -> Any:
        full = list(arrays)
        for i, x in zip(floats, moving, strict=True):
            full[i] = x
        return checked.forward(*full, **options)[0]

    ways = _ways(forward, [arrays[i] for i in floats], dout, without_tape=True)
    return _compare(checked.name, floats, Gradients("hand-derived", [hand[i] for i in floats]), ways, rtol)


def check_grads(
    f: Callable[..., Any], *args: Any, order: int = 1, rtol: float = 1e-6, seed: int = 0
) -> Report:
    """Hold the tape's gradients of a function against differences and, where it is analytic, the complex step.

    Parameters
    ----------
    f
        A function of arrays; its result is an array, a number or a list of them.
    *args
        Arrays; the check runs in float64, and integers are not differentiated.
    order : {1, 2}
        2: the gradient of the gradient too, in a random direction.
    rtol : float
        How far two ways may be apart, relative to the entry, or to a thousandth of the largest one.
    seed : int
        Seeds the weights of the result's entries, and the direction.

    Raises
    ------
    GradientMismatch
        If two ways disagree.
    TapeError
        If the tape has no rule for a function that f calls.
    """
    given = _float64(args)
    floats = [i for i, x in enumerate(given) if x.dtype.kind == "f"]
    arrays = [given[i] for i in floats]

    def moving(*xs: Any) -> Any:
        full = list(given)
        for i, x in zip(floats, xs, strict=True):
            full[i] = x
        return f(*full)

    rng = np.random.default_rng(seed)
    dout = [rng.standard_normal(np.shape(part)) for part in _parts(moving(*arrays))]
    ways = _ways(moving, arrays, dout)
    name = getattr(f, "__name__", type(f).__name__)
    report = _compare(name, floats, ways[0], ways[1:], rtol)
    if order == 1:
        return report
    direction = [rng.standard_normal(x.shape) for x in arrays]
    first = grad(lambda *xs: _weighted(moving(*xs), dout), tuple(range(len(arrays))))
    # The tape's second derivative against differences of its first, which was found right above.
    second = _ways(first, arrays, direction, analytic=False)
    error = _compare(f"gradient of {name}", floats, second[0], second[1:], rtol).error
    return Report(report.ways, max(report.error, error))


def _float64(inputs: Sequence[Any]) -> list[Any]:
    arrays = [np.asarray(x) for x in inputs]
    return [np.array(x, np.float64) if x.dtype.kind == "f" else x for x in arrays]


def _parts(out: Any) -> Sequence[Any]:
    return out if isinstance(out, (list, tuple)) else [out]


def _weighted(out: Any, dout: Any) -> Any:
    total: Any = 0.0
    for part, weights in zip(_parts(out), _parts(dout), strict=True):
        total = total + np.sum(part * weights)
    return total


def _ways(
    f: Callable[..., Any], arrays: list[Any], dout: Any, analytic: bool = True, without_tape: bool = False
) -> list[Gradients]:
    """Find the gradients of sum(f(*arrays) dout) in each way there is; the tape's first, if it has rules."""

    def objective(*xs: Any) -> Any:
        return _weighted(f(*xs), dout)

    differences = Gradients(
        "finite differences", [_differences(objective, arrays, i) for i in range(len(arrays))]
    )
    ways = [differences]
    try:
        ways.insert(0, Gradients("tape", _tape(f, arrays, dout)))
    except TapeError:
        if not without_tape:
            raise
    if analytic:
        ways += _complex_step(objective, arrays, differences)
    return ways


def _tape(f: Callable[..., Any], arrays: list[Any], dout: Any) -> list[Any]:
    """Walk the tape of f backwards from its results, with no call of ours in between that could be wrong too."""
    leaves = [tensor(x, requires_grad=True) for x in arrays]
    try:
        parts = _parts(f(*leaves))
    except ValueError as error:  # which NumPy makes of the TapeError, where it met a tensor itself
        if isinstance(error.__cause__, TapeError):
            raise error.__cause__ from None
        raise
    for part, weights in zip(parts, _parts(dout), strict=True):
        if isinstance(part, Tensor) and part.requires_grad:
            part.backward(weights)
    return [np.zeros(leaf.shape) if leaf.grad is None else leaf.grad for leaf in leaves]


class Slopes(np.ndarray[Any, Any]):
    """Derivatives by central differences, with those to the left and to the right: they part at a kink."""

    left: Array
    right: Array


def _differences(f: Callable[..., Any], arrays: list[Any], which: int) -> Slopes:
    """Differentiate f numerically for one of its arrays."""
    arrays = [np.array(x) for x in arrays]
    x = arrays[which]
    slopes = np.zeros(x.shape).view(Slopes)
    slopes.left, slopes.right = np.zeros(x.shape), np.zeros(x.shape)
    here = float(f(*arrays))
    for index in np.ndindex(x.shape):
        h = STEP * min(max(abs(float(x[index])), 1e-2), 1.0)
        around = _values_around(lambda: f(*arrays), x, index, (h, -h, h / 2, -h / 2))
        up, down, half_up, half_down = (float(value) for value in around)
        slopes[index] = (8 * (half_up - half_down) - (up - down)) / (6 * h)
        slopes.left[index] = (3 * here - 4 * half_down + down) / h
        slopes.right[index] = (4 * half_up - 3 * here - up) / h
    return slopes


def _complex_step(f: Callable[..., Any], arrays: list[Any], differences: Gradients) -> list[Gradients]:
    """Differentiate f by Im f(x + i h) / h (Squire and Trapp 1998), exact where f is analytic.

    Where it disagrees with the differences at large, f is not analytic, and there is no such way.
    """
    moved = [x.astype(complex) for x in arrays]
    gradients = []
    for which, x in enumerate(moved):
        gradient = np.zeros(x.shape)
        for index in np.ndindex(x.shape):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", np.exceptions.ComplexWarning)
                    (value,) = _values_around(lambda: f(*moved), x, index, (1e-30j,))
            except (TypeError, ValueError, np.exceptions.ComplexWarning):
                return []
            gradient[index] = value.imag / 1e-30
        if np.any(_errors(differences.arrays[which], gradient) > 1e-5):
            return []
        gradients.append(gradient)
    return [Gradients("complex step", gradients)]


def _errors(reference: Any, x: Any) -> Array:
    """Return the relative error of each entry, which counts as a thousandth of the largest one at least."""
    reference, x = np.asarray(reference), np.asarray(x)
    size = np.maximum(np.abs(reference), np.abs(x))
    floor = max(1e-3 * float(np.max(size, initial=0.0)), 1e-6)
    errors = np.abs(reference - x) / np.maximum(size, floor)
    return np.asarray(np.where(np.isnan(errors), np.inf, errors))


def _compare(
    name: str, numbers: Sequence[int], first: Gradients, others: Sequence[Gradients], rtol: float
) -> Report:
    """Raise where the first way is further from another one than rtol; at a kink, where it is outside."""
    worst = 0.0
    for k, number in enumerate(numbers):
        ours = np.asarray(first.arrays[k])
        kinks = _at_kink(
            ours, next(way.arrays[k] for way in (first, *others) if isinstance(way.arrays[k], Slopes))
        )
        for other in others:
            errors = np.where(kinks, 0.0, _errors(other.arrays[k], ours))
            if not errors.size:
                continue
            index = tuple(int(i) for i in np.unravel_index(int(np.argmax(errors)), errors.shape))
            worst = max(worst, float(errors[index]))
            if errors[index] > rtol:
                values = [
                    f"{way.way} {float(np.asarray(way.arrays[k])[index])!r}" for way in (first, *others)
                ]
                raise GradientMismatch(
                    f"{name}: the gradient of input {number} is wrong at index {index}: {', '.join(values)}; "
                    f"relative error {errors[index]:.3g}, where {rtol:.3g} is allowed"
                )
    return Report(tuple(way.way for way in (first, *others)), worst)


def _at_kink(ours: Array, slopes: Slopes) -> Any:
    """Tell where the function has a kink, and our value lies between the slopes to its left and right."""
    low, high = np.minimum(slopes.left, slopes.right), np.maximum(slopes.left, slopes.right)
    margin = 1e-5 * np.maximum(1.0, np.abs(high) + np.abs(low))
    return (high - low > 1e-2 * np.maximum(1e-2, np.abs(high) + np.abs(low))) & (
        (low - margin <= ours) & (ours <= high + margin)
    )
