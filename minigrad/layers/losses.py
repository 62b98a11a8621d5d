"""Losses: softmax cross-entropy and multiclass hinge of scores and labels; mean squared and mean absolute error."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.arguments import takes_arrays
from ..engine.arrays import refuse_foreign
from ..engine.layer import layer
from ..engine.recording import Array
from ..rules.overriding import whole
from ..rules.reductions import narrowed, widened
from ..rules.table import Arguments, Draw

UNSIGNED = {np.dtype(f"i{size}"): np.dtype(f"u{size}") for size in (1, 2, 4, 8)}
"""The unsigned integers of signed ones' sizes: a negative label is a large one there."""


@whole(checks=True)
def _checked_labels(y: Any, shape: tuple[int, ...], loss: str) -> Array:
    """Return y as integer labels, one for each row of scores of this shape; an error names the first invalid one."""
    if len(shape) != 2:
        raise ValueError(f"{loss}: the scores have shape {shape}; expected (N, C)")
    labels = np.asarray(y)
    n, classes = shape
    unsigned = UNSIGNED.get(labels.dtype)
    if unsigned and labels.shape == (n,) and n and np.maximum.reduce(labels.view(unsigned)) < classes:
        return labels
    if n == 0 or classes == 0:
        raise ValueError(f"{loss}: the scores have shape {shape}; the mean over no examples is not defined")
    if labels.shape != (n,):
        raise ValueError(
            f"{loss}: y has shape {labels.shape} but there are {n} rows of scores; expected ({n},)"
        )
    if labels.dtype.kind not in "iu":
        raise ValueError(f"{loss}: y has dtype {labels.dtype}; expected integer labels in [0, {classes})")
    if np.minimum.reduce(labels) < 0 or np.maximum.reduce(labels) >= classes:
        i = int(np.argmax((labels < 0) | (labels >= classes)))
        raise ValueError(f"{loss}: y[{i}] = {labels[i]} is no label; expected integers in [0, {classes})")
    return labels.astype(np.intp, copy=False)  # NumPy adds uint64 to integers in floats


def _places(y: Any, shape: tuple[int, ...], loss: str) -> Array:
    """Return the flat index of each label's score, several times as fast as a pair; see `_checked_labels`."""
    if type(y) is not np.ndarray:
        refuse_foreign(y, loss)
    labels = _checked_labels(y, shape, loss)
    places: Array = np.arange(0, shape[0] * shape[1], shape[1]) + labels
    return places


@whole(checks=True)
def _fractions(sample_weights: Any, n: int, dtype: Any, loss: str) -> Array:
    """Return the weights of n examples over their sum, as floats of a dtype; an error names the first invalid one."""
    if type(sample_weights) is not np.ndarray:
        refuse_foreign(sample_weights, loss)
    weights = np.asarray(sample_weights)
    if weights.shape != (n,) or weights.dtype.kind not in "iuf":
        raise ValueError(
            f"{loss}: sample_weights is {weights.dtype} of shape {weights.shape}; expected a real number for each of "
            f"the {n} examples, shape ({n},)"
        )
    weights = weights.astype(np.float64)
    unfit = ~(np.isfinite(weights) & (weights >= 0))
    if unfit.any():
        i = int(np.argmax(unfit))
        raise ValueError(f"{loss}: sample_weights[{i}] is {sample_weights[i]}; expected a finite number >= 0")
    top = weights.max()
    if top == 0:
        raise ValueError(f"{loss}: all sample_weights are 0; their weighted mean is not defined")
    weights /= top  # lest the sum overflow
    fractions: Array = (weights / weights.sum()).astype(dtype)
    return fractions


@takes_arrays
def softmax_loss(
    x: Array, y: Any, *, label_smoothing: float = 0.0, sample_weights: Any = None
) -> tuple[Any, Array]:
    """Compute the mean cross-entropy of softmax(x) and its gradient, at scores of any size.

    Label smoothing: Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016.

    Parameters
    ----------
    x : ndarray of shape (N, C)
        Scores; x[i, j] is that of class j for example i.
    y : ndarray of N integers in [0, C)
        Labels.
    label_smoothing : float
        The part s, in [0, 1), of each target that is spread evenly over all classes.
    sample_weights : ndarray of N numbers >= 0, optional
        The loss is the mean over examples weighted by them, sum_i w[i] loss[i] / sum_i w[i].

    Returns
    -------
    loss : scalar
        The mean over i of -sum_j t[i, j] log softmax(x[i])[j], with the targets t = (1 - s) onehot(y) + s / C.
    dx : ndarray of shape (N, C)
        Its gradient: (softmax(x) - t) / N.

    Raises
    ------
    ValueError
        If y is not N integers in [0, C), the message has the value and its index; or s is not in [0, 1); or the
        weights are not finite numbers >= 0, or all 0.
    """
    places = _places(y, x.shape, "softmax_loss")
    if not isinstance(label_smoothing, (float, int, np.floating)) or not 0 <= label_smoothing < 1:
        raise ValueError(f"softmax_loss: label_smoothing is {label_smoothing!r}; expected a number in [0, 1)")
    s, n = float(label_smoothing), x.shape[0]
    scores = widened(x)
    shifted = scores - np.maximum.reduce(scores, axis=1, keepdims=True)  # in less time than scores.max
    exps = np.exp(shifted)
    sums = np.add.reduce(exps, axis=1, keepdims=True)
    logs, picked = np.log(sums[:, 0]), shifted.ravel()[places]
    if s:
        picked = (1 - s) * picked + s * shifted.mean(axis=1)
    if sample_weights is not None:
        fractions = _fractions(sample_weights, n, scores.real.dtype, "softmax_loss")
        columns = fractions[:, None]
        loss = ((logs - picked) * fractions).sum()
        dx = exps * (columns / sums)
        if s:
            dx -= s / x.shape[1] * columns
        dx = dx.ravel()
        dx[places] -= (1 - s) * fractions
    else:
        loss = np.add.reduce(logs - picked) / n
        dx = (exps / (n * sums)).ravel()
        if s:
            dx -= s / x.size
        dx[places] -= (1 - s) / n
    return narrowed(loss, x), narrowed(dx.reshape(x.shape), x)


@takes_arrays
def svm_loss(x: Array, y: Any, *, sample_weights: Any = None) -> tuple[Any, Array]:
    """Compute the mean multiclass hinge loss (Weston and Watkins 1999, margin 1) and its gradient.

    Parameters
    ----------
    x : ndarray of shape (N, C)
        Scores; x[i, j] is that of class j for example i.
    y : ndarray of N integers in [0, C)
        Labels.
    sample_weights : ndarray of N numbers >= 0, optional
        The loss is the mean over examples weighted by them, sum_i w[i] loss[i] / sum_i w[i].

    Returns
    -------
    loss : scalar
        The mean over i of the sum over j != y[i] of max(0, x[i, j] - x[i, y[i]] + 1).
    dx : ndarray of shape (N, C)
        Its gradient; a margin of exactly 0 has the subgradient 0.

    Raises
    ------
    ValueError
        If y is not N integers in [0, C), the message has the value and its index; or the weights are not finite
        numbers >= 0, or all 0.
    """
    places, n = _places(y, x.shape, "svm_loss"), x.shape[0]
    scores = widened(x)
    margins = np.maximum(scores - scores.ravel()[places][:, None] + 1, 0).ravel()
    margins[places] = 0
    margins = margins.reshape(x.shape)
    dx = (margins > 0).astype(scores.dtype)
    counts = dx.sum(axis=1)
    dx = dx.ravel()
    dx[places] = -counts
    dx = dx.reshape(x.shape)
    if sample_weights is not None:
        fractions = _fractions(sample_weights, n, scores.real.dtype, "svm_loss")
        return narrowed((margins.sum(axis=1) * fractions).sum(), x), narrowed(dx * fractions[:, None], x)
    return narrowed(margins.sum(axis=1).mean(), x), narrowed(dx / n, x)


@takes_arrays
def loss_backward(dout: Array, dx: Array) -> Array:
    """Compute the gradient of a loss whose forward computed dx: dout dx, or dx itself if dout is the number 1."""
    # By its type: what is captured is no number yet, whatever isinstance says.
    return dx if issubclass(type(dout), np.floating) and dout == 1 else dout * dx


def _loss_inputs(draw: Draw) -> Arguments:
    n, classes = draw.integer(1, 4), draw.integer(1, 4)
    labels = np.array([draw.integer(0, classes - 1) for _ in range(n)])
    return (draw.array((n, classes)), labels), _drawn_weights(draw, n)


def _softmax_inputs(draw: Draw) -> Arguments:
    operands, options = _loss_inputs(draw)
    return operands, options | {"label_smoothing": draw.choice([0.0, 0.3])}


def _drawn_weights(draw: Draw, n: int) -> dict[str, Any]:
    weights: dict[str, Any] = draw.choice([{}, {"sample_weights": np.arange(1.0, n + 1)}])
    return weights


softmax_cross_entropy = layer(
    softmax_loss, loss_backward, name="softmax_cross_entropy", inputs=_softmax_inputs
)
multiclass_hinge = layer(svm_loss, loss_backward, name="multiclass_hinge", inputs=_loss_inputs)


def _residuals(loss: str, x: Array, y: Array) -> Array:
    """Return x - y; shapes that differ are refused, as broadcasting is seldom meant."""
    if x.shape != y.shape:
        raise ValueError(
            f"{loss}: x has shape {x.shape} but y {y.shape}; they must agree, as by y.reshape(x.shape)"
        )
    if x.size == 0:
        raise ValueError(f"{loss}: x has shape {x.shape}; the mean over no entries is not defined")
    return x - y


def _entry_weights(loss: str, x: Array, sample_weights: Any, dtype: Any) -> Array:
    """Return the weight of each example's entries in the weighted mean, shaped to broadcast against x."""
    if x.ndim == 0:
        raise ValueError(f"{loss}: x is a number, and has no examples that sample_weights could weigh")
    n = x.shape[0]
    fractions = _fractions(sample_weights, n, dtype, loss)
    weights: Array = np.reshape(fractions, (n,) + (1,) * (x.ndim - 1)) * dtype.type(n / x.size)
    return weights


@takes_arrays
def mse_forward(x: Array, y: Array, *, sample_weights: Any = None) -> tuple[Any, Array]:
    """Compute the mean of (x - y)^2 over all entries; x and y are arrays of one shape.

    Parameters
    ----------
    x, y : ndarrays of one shape
    sample_weights : ndarray of len(x) numbers >= 0, optional
        The loss is the mean over the first axis weighted by them, sum_i w[i] loss[i] / sum_i w[i].

    Returns
    -------
    loss : scalar
    dx : ndarray of x's shape
        Its gradient for x, 2 (x - y) / size unless weighted; for y it is -dx.

    Raises
    ------
    ValueError
        If the shapes differ, or there are no entries; or the weights are not finite numbers >= 0, or all 0.
    """
    residuals = widened(_residuals("mse", x, y))
    if sample_weights is None:
        loss = np.mean(np.square(residuals))
        return narrowed(loss, x), narrowed(residuals * residuals.dtype.type(2 / x.size), x)
    weighted = residuals * _entry_weights("mse", x, sample_weights, residuals.real.dtype)
    return narrowed((weighted * residuals).sum(), x), narrowed(2 * weighted, x)


@takes_arrays
def l1_forward(x: Array, y: Array, *, sample_weights: Any = None) -> tuple[Any, Array]:
    r"""Compute the mean of \|x - y\| over all entries; x and y are arrays of one shape.

    Parameters
    ----------
    x, y : ndarrays of one shape
    sample_weights : ndarray of len(x) numbers >= 0, optional
        The loss is the mean over the first axis weighted by them, sum_i w[i] loss[i] / sum_i w[i].

    Returns
    -------
    loss : scalar
    dx : ndarray of x's shape
        Its gradient for x, sign(x - y) / size unless weighted, 0 where x = y; for y it is -dx.

    Raises
    ------
    ValueError
        If the shapes differ, or there are no entries; or the weights are not finite numbers >= 0, or all 0.
    """
    residuals = widened(_residuals("l1", x, y))
    if sample_weights is None:
        dx = np.sign(residuals) * residuals.dtype.type(1 / x.size)
        return narrowed(np.mean(np.abs(residuals)), x), narrowed(dx, x)
    weights = _entry_weights("l1", x, sample_weights, residuals.real.dtype)
    return narrowed((np.abs(residuals) * weights).sum(), x), narrowed(np.sign(residuals) * weights, x)


@takes_arrays
def mse_backward(dout: Any, dx: Array) -> tuple[Array, Array]:
    """Compute the gradients of `mse_forward`: dout dx for x, and its negative for y."""
    return dout * dx, -dout * dx


@takes_arrays
def l1_backward(dout: Any, dx: Array) -> tuple[Array, Array]:
    """Compute the gradients of `l1_forward`: dout dx for x, and its negative for y."""
    return dout * dx, -dout * dx


def _pair_inputs(draw: Draw) -> Arguments:
    shape = draw.shape(min_side=1)
    return (draw.array(shape), draw.array(shape)), _drawn_weights(draw, shape[0]) if shape else {}


mse = layer(mse_forward, mse_backward, inputs=_pair_inputs)
l1 = layer(l1_forward, l1_backward, inputs=_pair_inputs)
