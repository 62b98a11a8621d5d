"""Independent ways to one gradient, held against each other: hand-derived, tape, differences, complex step."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .functional import grad
from .layers import Layer
from .layers import layer as make_layer
from .tape import Array, TapeError
from .tensor import ARRAY_LIKE, Tensor, tensor

STEP = 2.0**-13
"""The step of the differences at entries of size 1, extrapolated from two to an error of order STEP⁴."""


ROUNDINGS = 64
"""How many units in the last place a value of the function may be wrong, before a difference is an error."""


class GradientMismatch(AssertionError):
    """Ways to one gradient disagree. The message has the input, the index, each way's value and the error."""


def rel_error(x: Any, y: Any) -> float:
    """Return the largest ``|x - y| / max(1e-8, |x| + |y|)``, as the course's notebook defines it; 0, if empty."""
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
    ValueError
        If h is not positive.
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
    ValueError
        If h is not positive, or df has not the shape of f(x).
    """
    _check_nudgeable(x, h)
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        above, below = _values_around(lambda: f(x), x, index, (h, -h))
        if np.ndim(df) and np.shape(df) != above.shape:
            raise ValueError(f"numerical gradient: df has shape {np.shape(df)}, but f(x) has {above.shape}")
        gradient[index] = np.sum((above - below) * df) / (2 * h)
    return gradient


def _check_nudgeable(x: Any, h: float) -> None:
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or not x.flags.writeable:
        what = f"dtype {x.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
        raise TypeError(f"numerical gradient: x has {what}; expected a writable array of floats")
    if not h > 0:
        raise ValueError(f"numerical gradient: h is {h}; expected a step > 0")
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
    checked = _as_layer(layer)
    arrays = _float64(inputs)
    floats = _float_places(checked.name, arrays)

    def run(*xs: Any) -> Any:
        """Call the forward, with its own copy of any dict it may write into."""
        own = [copy.deepcopy(x) if isinstance(x, dict) else x for x in xs]
        return checked.forward(*own, **copy.deepcopy(options))

    def check_unchanged() -> None:
        for i in floats:
            if not np.array_equal(arrays[i], np.asarray(inputs[i], np.float64), equal_nan=True):
                raise GradientMismatch(
                    f"{checked.name}: the layer changed its input {i}; it must leave it as it is"
                )

    out, cache = run(*arrays)
    check_unchanged()
    if not np.array_equal(run(*arrays)[0], out, equal_nan=True):
        raise GradientMismatch(
            f"{checked.name}: the forward gave two results for one input, so there is nothing to compare; seed "
            "what is random in it, or give the random numbers as an input"
        )
    dout = np.random.default_rng(seed).standard_normal(np.shape(out))
    upstream = dout.copy()
    gradients = checked.backward(upstream if dout.ndim else upstream[()], cache)
    if not np.array_equal(upstream, dout):
        raise GradientMismatch(f"{checked.name}: the backward changed its dout; it must leave it as it is")
    check_unchanged()
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
        return run(*full)[0]

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
    if order not in (1, 2):
        raise ValueError(f"check_grads: order is {order!r}; expected 1 or 2")
    name = getattr(f, "__name__", type(f).__name__)
    given = _float64(args)
    floats = _float_places(name, given)
    arrays = [given[i] for i in floats]

    def moving(*xs: Any) -> Any:
        full = list(given)
        for i, x in zip(floats, xs, strict=True):
            full[i] = x
        return f(*full)

    rng = np.random.default_rng(seed)
    dout = [rng.standard_normal(np.shape(part)) for part in _parts(moving(*arrays))]
    ways = _ways(moving, arrays, dout)
    report = _compare(name, floats, ways[0], ways[1:], rtol)
    if order == 1:
        return report
    direction = [rng.standard_normal(x.shape) for x in arrays]
    first = grad(lambda *xs: _weighted(moving(*xs), dout), tuple(range(len(arrays))))
    # The tape's second derivative against differences of its first, which was found right above.
    second = _ways(first, arrays, direction, analytic=False)
    error = _compare(f"gradient of {name}", floats, second[0], second[1:], rtol).error
    return Report(report.ways, max(report.error, error))


def _as_layer(layer: Any) -> Layer:
    """Return a layer, or the layer of a pair."""
    if isinstance(layer, Layer):
        return layer
    if isinstance(layer, (tuple, list)) and len(layer) == 2 and all(callable(each) for each in layer):
        return make_layer(*layer)
    raise TypeError(
        f"check_layer: got {getattr(layer, '__name__', repr(layer))}; expected a layer made by mg.layer, or a pair "
        "(forward, backward); a function alone is checked by check_grads"
    )


def _float64(inputs: Sequence[Any]) -> list[Any]:
    """Return what a check runs on: arrays, floats among them as copies in float64, and anything else as it is."""
    arrays = [np.asarray(x) if isinstance(x, ARRAY_LIKE) else x for x in inputs]
    return [np.array(x, np.float64) if getattr(x, "dtype", np.dtype(bool)).kind == "f" else x for x in arrays]


def _float_places(name: str, arrays: Sequence[Any]) -> list[int]:
    """Return which of the inputs hold floats, and so are differentiated."""
    places = [i for i, x in enumerate(arrays) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
    if not places:
        raise TypeError(
            f"{name}: no input holds floats, so there is no gradient to check; give x.astype(float)"
        )
    return places


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
    """Derivatives by central differences, with the size of their rounding errors.

    And with the derivatives to the left and to the right, which part at a kink.
    """

    left: Array
    right: Array
    noise: Array


def _differences(f: Callable[..., Any], arrays: list[Any], which: int) -> Slopes:
    """Differentiate f numerically for one of its arrays."""
    arrays = [np.array(x) for x in arrays]
    x = arrays[which]
    slopes = np.zeros(x.shape).view(Slopes)
    slopes.left, slopes.right, slopes.noise = (np.zeros(x.shape) for _ in range(3))
    here = float(f(*arrays))
    for index in np.ndindex(x.shape):
        h = STEP * min(max(abs(float(x[index])), 1e-2), 1.0)
        around = _values_around(lambda: f(*arrays), x, index, (h, -h, h / 2, -h / 2))
        up, down, half_up, half_down = (float(value) for value in around)
        slopes[index] = (8 * (half_up - half_down) - (up - down)) / (6 * h)
        slopes.noise[index] = ROUNDINGS * np.finfo(float).eps * max(abs(up), abs(down), abs(here)) / h
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
        if np.any(_errors(gradient, differences.arrays[which]) > 1e-5):
            return []
        gradients.append(gradient)
    return [Gradients("complex step", gradients)]


def _errors(x: Any, reference: Any) -> Array:
    """Return the relative error of each entry, which counts as a thousandth of the largest one at least."""
    noise = reference.noise if isinstance(reference, Slopes) else 0.0
    x, reference = np.asarray(x), np.asarray(reference)
    size = np.maximum(np.abs(reference), np.abs(x))
    floor = max(1e-3 * float(np.max(size, initial=0.0)), 1e-6)
    errors = np.maximum(np.abs(reference - x) - noise, 0.0) / np.maximum(size, floor)
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
            errors = np.where(kinks, 0.0, _errors(ours, other.arrays[k]))
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
