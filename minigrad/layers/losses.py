"""Losses: cross-entropy of the softmax and multiclass hinge, of scores and labels; mean square and absolute errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..engine.arguments import takes_arrays
from ..engine.arrays import refuse_foreign
from ..engine.layer import layer
from ..engine.recording import Array
from ..rules.reductions import narrowed, widened
from ..rules.table import Arguments, Draw, whole

UNSIGNED = {np.dtype(f"i{size}"): np.dtype(f"u{size}") for size in (1, 2, 4, 8)}
"""The unsigned integers of signed ones' sizes: a negative label is a large one there."""


@whole(checks=True)
def _checked_labels(y: Any, shape: tuple[int, ...], loss: str) -> Array:
    """Return y as integer labels, one for each row of scores of this shape; an error names the first invalid one."""
    if len(shape) != 2:
        raise ValueError(f"{loss}: the scores have shape {shape}; expected (N, C)")
    if type(y) is not np.ndarray:
        refuse_foreign(y, loss)
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
    return labels


@takes_arrays
def softmax_loss(x: Array, y: Any, *, label_smoothing: float = 0.0) -> tuple[Any, Array]:
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

    Returns
    -------
    loss : scalar
        The mean over i of -sum_j t[i, j] log softmax(x[i])[j], with the targets t = (1 - s) onehot(y) + s / C.
    dx : ndarray of shape (N, C)
        Its gradient: (softmax(x) - t) / N.

    Raises
    ------
    ValueError
        If y is not N integers in [0, C), the message has the value and its index; or s is not in [0, 1).
    """
    y = _checked_labels(y, x.shape, "softmax_loss")
    if not isinstance(label_smoothing, (float, int, np.floating)) or not 0 <= label_smoothing < 1:
        raise ValueError(f"softmax_loss: label_smoothing is {label_smoothing!r}; expected a number in [0, 1)")
    s, n = float(label_smoothing), len(y)
    correct = np.arange(n), y
    scores = widened(x)
    shifted = scores - scores.max(axis=1, keepdims=True)
    exps = np.exp(shifted)
    sums = exps.sum(axis=1, keepdims=True)
    logs, picked = np.log(sums[:, 0]), shifted[correct]
    if s:
        picked = (1 - s) * picked + s * shifted.mean(axis=1)
    loss = (logs - picked).sum() / n
    dx = exps / (n * sums)
    if s:
        dx -= s / x.size
    dx[correct] -= (1 - s) / n
    return narrowed(loss, x), narrowed(dx, x)


@takes_arrays
def svm_loss(x: Array, y: Any) -> tuple[Any, Array]:
    """Compute the mean multiclass hinge loss (Weston and Watkins 1999, margin 1) and its gradient.

    Parameters
    ----------
    x : ndarray of shape (N, C)
        Scores; x[i, j] is that of class j for example i.
    y : ndarray of N integers in [0, C)
        Labels.

    Returns
    -------
    loss : scalar
        The mean over i of the sum over j != y[i] of max(0, x[i, j] - x[i, y[i]] + 1).
    dx : ndarray of shape (N, C)
        Its gradient; a margin of exactly 0 has the subgradient 0.

    Raises
    ------
    ValueError
        If y is not N integers in [0, C); the message has the value and its index.
    """
    y = _checked_labels(y, x.shape, "svm_loss")
    n = len(y)
    correct = np.arange(n), y
    scores = widened(x)
    margins = np.maximum(scores - scores[correct][:, None] + 1, 0)
    margins[correct] = 0
    dx = (margins > 0).astype(scores.dtype)
    dx[correct] = -dx.sum(axis=1)
    return narrowed(margins.sum(axis=1).mean(), x), narrowed(dx / n, x)


@takes_arrays
def loss_backward(dout: Array, dx: Array) -> Array:
    """Compute the gradient of a loss whose forward computed dx: dout dx, or dx itself if dout is the number 1."""
    # By its type: what is captured is no number yet, whatever isinstance says.
    return dx if issubclass(type(dout), np.floating) and dout == 1 else dout * dx


def _loss_inputs(draw: Draw) -> Arguments:
    n, classes = draw.integer(1, 4), draw.integer(1, 4)
    return (draw.array((n, classes)), np.array([draw.integer(0, classes - 1) for _ in range(n)])), {}


def _softmax_inputs(draw: Draw) -> Arguments:
    return _loss_inputs(draw)[0], {"label_smoothing": draw.choice([0.0, 0.3])}


softmax_cross_entropy = layer(
    softmax_loss, loss_backward, name="softmax_cross_entropy", inputs=_softmax_inputs
)
multiclass_hinge = layer(svm_loss, loss_backward, name="multiclass_hinge", inputs=_loss_inputs)


def _residuals(loss: str, x: Array, y: Array) -> Array:
    """Return x - y, of arrays of one shape; a mean over what broadcasts is seldom meant."""
    if x.shape != y.shape:
        raise ValueError(
            f"{loss}: x has shape {x.shape} but y {y.shape}; they must agree, as by y.reshape(x.shape)"
        )
    if x.size == 0:
        raise ValueError(f"{loss}: x has shape {x.shape}; the mean over no entries is not defined")
    return x - y


@takes_arrays
def mse_forward(x: Array, y: Array) -> tuple[Any, Array]:
    """Compute the mean of (x - y)^2 over all entries; x and y are arrays of one shape.

    Returns
    -------
    loss : scalar
    dx : ndarray of x's shape
        Its gradient for x, 2 (x - y) / size; for y it is -dx.

    Raises
    ------
    ValueError
        If the shapes differ, or there are no entries.
    """
    residuals = widened(_residuals("mse", x, y))
    dx = residuals * residuals.dtype.type(2 / x.size)
    return narrowed(np.mean(np.square(residuals)), x), narrowed(dx, x)


@takes_arrays
def l1_forward(x: Array, y: Array) -> tuple[Any, Array]:
    r"""Compute the mean of \|x - y\| over all entries; x and y are arrays of one shape.

    Returns
    -------
    loss : scalar
    dx : ndarray of x's shape
        Its gradient for x, sign(x - y) / size, 0 where x = y; for y it is -dx.

    Raises
    ------
    ValueError
        If the shapes differ, or there are no entries.
    """
    residuals = widened(_residuals("l1", x, y))
    dx = np.sign(residuals) * residuals.dtype.type(1 / x.size)
    return narrowed(np.mean(np.abs(residuals)), x), narrowed(dx, x)


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
    return (draw.array(shape), draw.array(shape)), {}


mse = layer(mse_forward, mse_backward, inputs=_pair_inputs)
l1 = layer(l1_forward, l1_backward, inputs=_pair_inputs)
