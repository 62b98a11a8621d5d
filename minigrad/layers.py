"""Hand-derived layers in the course's form, and how any such pair becomes an op of the tape.

``forward(*inputs) -> (out, cache)`` and ``backward(dout, cache) -> gradients``, in the order of the inputs. Both
are NumPy, and so run on arrays, as in the course, and on tensors, where the tape's gradient of the forward
is the reference for the backward. The layers and their derivations are those of the course notes of CS231n
(Li, Karpathy, Johnson: "Convolutional Neural Networks for Visual Recognition", backpropagation and linear
classification).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .capture import Traced, as_array
from .rules.table import Call, Draw, check
from .tape import Array
from .tensor import apply


class Layer:
    """A hand-derived forward and backward as one op of the tape; made by `layer`."""

    rules = None
    """An op of the table has a rule for each operand; a layer finds all gradients at once."""

    def __init__(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        name: str,
        inputs: Callable[[Draw], Call] | None,
    ) -> None:
        self.forward = forward
        self.backward = backward
        self.name = name
        self.inputs = inputs
        self.tested = inputs is not None
        self.takes_needs = "needs" in inspect.signature(backward).parameters
        self.__name__ = self.__qualname__ = name
        self.__doc__ = forward.__doc__

    __call__: Callable[..., Any] = apply

    def cache_on_tape(self, operands: Sequence[Any], options: dict[str, Any], out: Any) -> Any:
        """Return the cache as tensors: for a higher derivative the forward runs again, through the tape.

        Raises
        ------
        RuntimeError
            If it gives another result than the first time.
        """
        again, cache = self.forward(*operands, **{name: x for name, x in options.items() if name != "cache"})
        before = out.data
        if type(before) is not Traced and not np.allclose(
            getattr(again, "data", again), before, equal_nan=True
        ):
            raise RuntimeError(
                f"{self.name}: for a higher derivative the forward ran again, and gave another result; draw "
                "random numbers outside of the layer, and give them to it as an input"
            )
        return cache

    def careful_backward(
        self, dout: Any, cache: Any, needs: Sequence[bool], operands: Sequence[Any]
    ) -> list[Any]:
        """Call the backward of a layer that no test has been through: it may write into its dout, for one thing.

        Raises
        ------
        ValueError
            If it misses a gradient, or returns one of another shape than its input's.
        """
        given = self.backward(dout.copy(), cache, *([needs] if self.takes_needs else []))
        gradients = list(given) if isinstance(given, (tuple, list)) else [given]
        gradients += [None] * (len(operands) - len(gradients))
        for i, (need, operand) in enumerate(zip(needs, operands, strict=True)):
            if not need:
                continue
            if gradients[i] is None:
                raise ValueError(
                    f"{self.name}: backward returned no gradient for input {i}, which requires one"
                )
            if np.shape(gradients[i]) != operand.shape:
                raise ValueError(
                    f"{self.name}: backward returned shape {np.shape(gradients[i])} as the gradient of input {i}, "
                    f"whose shape is {operand.shape}"
                )
            if not hasattr(gradients[i], "dtype"):
                gradients[i] = as_array(gradients[i])
        return gradients

    def __repr__(self) -> str:
        return f"Layer({self.name})"


LAYERS: dict[str, Layer] = {}
"""The layers that say how to draw their inputs: the property tests and the benchmark find them here."""


def layer(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *,
    name: str | None = None,
    inputs: Callable[[Draw], Call] | None = None,
) -> Layer:
    """Turn a hand-derived pair into an op of the tape.

    Parameters
    ----------
    forward
        ``forward(*inputs, **options) -> (out, cache)``, in NumPy.
    backward
        ``backward(dout, cache) -> gradients``: one for each input, in order, each of its input's shape; a
        single array, if there is one input; inputs at the end that have none (labels) may be left out. If it
        takes ``needs``, it is told which are wanted, a bool for each input, and may return None for others.
    name
        What the printed tape calls it; the forward's name without ``_forward``, if none is given.
    inputs
        Draws ``(inputs, options)`` for the property tests, and so enrols the layer in them.

    Returns
    -------
    Layer
        To be called as ``op(*inputs, **options)``. On tensors it is one call of the tape; on arrays, the forward.

    Raises
    ------
    ValueError
        In the backward pass, if ``backward`` misses a gradient or returns one of another shape.
    """
    if not (callable(forward) and callable(backward)):
        raise TypeError(
            f"layer: got {forward!r} and {backward!r}; expected two functions, forward and backward"
        )
    called = name or getattr(forward, "__name__", type(forward).__name__).removesuffix("_forward")
    made = Layer(forward, backward, called, inputs)
    if inputs is not None:
        LAYERS[made.name] = made
    return made


ALL = (True, True, True)


def affine_forward(x: Array, w: Array, b: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    """Compute ``x_rows @ w + b``, where each example of x is flattened into a row.

    Parameters
    ----------
    x : ndarray of shape (N, d_1, …, d_k)
    w : ndarray of shape (D, M), D = d_1 ⋯ d_k
    b : ndarray of shape (M,)

    Returns
    -------
    out : ndarray of shape (N, M)
    cache : (x, w, b)

    Raises
    ------
    ValueError
        If the shapes do not fit together.
    """
    rows = _rows(x)
    if w.ndim != 2 or rows.shape[1] != w.shape[0]:
        raise ValueError(
            f"affine: x flattens to {rows.shape} but w has shape {w.shape}; w's first axis must be {rows.shape[1]}"
        )
    if b.shape != w.shape[1:]:
        raise ValueError(
            f"affine: b has shape {b.shape} but w has shape {w.shape}; b's must be {w.shape[1:]}"
        )
    out = rows @ w
    if b.dtype == out.dtype:
        out += b
    else:
        out = out + b
    return out, (x, w, b)


def affine_backward(
    dout: Array, cache: tuple[Array, Array, Array], needs: Sequence[bool] = ALL
) -> tuple[Array | None, Array | None, Array | None]:
    """Compute the gradients of `affine_forward`: ``dout w^T``, ``x_rows^T dout`` and the sum of dout's rows.

    Parameters
    ----------
    dout : ndarray of shape (N, M)
    cache : (x, w, b)
    needs : three bools
        Which of the gradients are wanted; None stands for the others.

    Returns
    -------
    dx, dw, db : ndarrays of the shapes of x, w and b
    """
    x, w, _ = cache
    dx = (dout @ w.T).reshape(x.shape) if needs[0] else None
    dw = _rows(x).T @ dout if needs[1] else None
    db = dout.sum(axis=0) if needs[2] else None
    return dx, dw, db


def _rows(x: Array) -> Array:
    """Flatten each example into a row, in an empty batch too."""
    return x if x.ndim == 2 else x.reshape(x.shape[0], int(np.prod(x.shape[1:])))


def relu_forward(x: Array) -> tuple[Array, Array]:
    """Compute max(x, 0), entry by entry.

    Parameters
    ----------
    x : ndarray of any shape

    Returns
    -------
    out : ndarray of x's shape and dtype
    cache : out
        What is positive in the output was so in the input.
    """
    out = np.maximum(x, x.dtype.type(0))
    return out, out


def relu_backward(dout: Array, cache: Array) -> Array:
    """Compute the gradient of `relu_forward`: dout where x > 0, and 0 elsewhere; relu'(0) = 0.

    Parameters
    ----------
    dout : ndarray of any shape
    cache : ndarray of the same shape
        The output of `relu_forward`; its input serves as well.

    Returns
    -------
    dx : ndarray of the same shape
    """
    return dout * (cache > 0)


def affine_relu_forward(x: Array, w: Array, b: Array) -> tuple[Array, tuple[Any, Any]]:
    """Compute `affine_forward`, then `relu_forward`; shapes as there. The cache is the pair of theirs."""
    a, affine_cache = affine_forward(x, w, b)
    out, relu_cache = relu_forward(a)
    return out, (affine_cache, relu_cache)


def affine_relu_backward(
    dout: Array, cache: tuple[Any, Any], needs: Sequence[bool] = ALL
) -> tuple[Array | None, Array | None, Array | None]:
    """Compute the gradients of `affine_relu_forward`: dx, dw, db, as `affine_backward` does."""
    affine_cache, relu_cache = cache
    return affine_backward(relu_backward(dout, relu_cache), affine_cache, needs)


UNSIGNED = {np.dtype(f"i{size}"): np.dtype(f"u{size}") for size in (1, 2, 4, 8)}
"""The unsigned integers of signed ones' sizes: a negative label is a large one there."""


@check
def _checked_labels(y: Any, shape: tuple[int, ...], loss: str) -> Array:
    """Return y as integer labels, one a row of scores of this shape, or say which is none."""
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
    return labels


def softmax_loss(x: Array, y: Array) -> tuple[Any, Array]:
    """Compute the mean cross-entropy of softmax(x) and its gradient, at scores of any size.

    Parameters
    ----------
    x : ndarray of shape (N, C)
        Scores; x[i, j] is that of class j for example i.
    y : ndarray of N integers in [0, C)
        Labels.

    Returns
    -------
    loss : scalar
        The mean over i of -log softmax(x[i])[y[i]].
    dx : ndarray of shape (N, C)
        Its gradient: (softmax(x) - onehot(y)) / N.

    Raises
    ------
    ValueError
        If y is not N integers in [0, C); the message has the value and its index.
    """
    y = _checked_labels(y, x.shape, "softmax_loss")
    n = len(y)
    correct = np.arange(n), y
    shifted = x - x.max(axis=1, keepdims=True)
    exps = np.exp(shifted)
    sums = exps.sum(axis=1, keepdims=True)
    loss = np.mean(np.log(sums[:, 0]) - shifted[correct])
    dx = exps / (n * sums)
    dx[correct] -= 1 / n
    return loss, dx


def svm_loss(x: Array, y: Array) -> tuple[Any, Array]:
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
    margins = np.maximum(x - x[correct][:, None] + 1, 0)
    margins[correct] = 0
    dx = (margins > 0).astype(x.dtype)
    dx[correct] = -dx.sum(axis=1)
    return margins.sum(axis=1).mean(), dx / n


def loss_backward(dout: Array, dx: Array) -> Array:
    """Compute the gradient of a loss that found its own, dx: dout dx; dx itself, where dout is the number 1."""
    # By its type: what is captured is no number yet, whatever isinstance says.
    return dx if issubclass(type(dout), np.floating) and dout == 1 else dout * dx


def _affine_inputs(draw: Draw) -> Call:
    example = draw.shape(min_ndim=1, max_ndim=3)
    m = draw.integer(0, 3)
    return (
        draw.array((draw.integer(0, 3), *example)),
        draw.array((int(np.prod(example)), m)),
        draw.array((m,)),
    ), {}


def _loss_inputs(draw: Draw) -> Call:
    n, classes = draw.integer(1, 4), draw.integer(1, 4)
    return (draw.array((n, classes)), np.array([draw.integer(0, classes - 1) for _ in range(n)])), {}


def l2_regularized_forward(
    loss: Any, *weights: Array, reg: float
) -> tuple[Any, tuple[float, tuple[Array, ...]]]:
    """Add the L2 penalty to a loss: reg / 2 times the sum of the squares of all weights.

    Parameters
    ----------
    loss : scalar
    *weights : ndarrays of any shape
    reg : float
        The strength of the regularization.

    Returns
    -------
    out : scalar
    cache : (reg, weights)

    Raises
    ------
    ValueError
        If the loss has axes.
    """
    if loss.shape != ():
        raise ValueError(f"l2_regularized: the loss has shape {loss.shape}; expected a number, as by .sum()")
    squares = loss.dtype.type(0)
    for w in weights:
        squares = squares + np.vdot(w, w)
    # [()] makes a number of the loss: numbers add up faster than arrays of no axes.
    return loss[()] + loss.dtype.type(reg / 2) * squares, (reg, weights)


def l2_regularized_backward(dout: Any, cache: tuple[float, tuple[Array, ...]]) -> tuple[Any, ...]:
    """Compute the gradients of `l2_regularized_forward`: dout for the loss, reg dout w for each w."""
    reg, weights = cache
    scale = dout.dtype.type(reg) * dout
    return (dout, *[scale * w for w in weights])


affine = layer(affine_forward, affine_backward, inputs=_affine_inputs)
relu = layer(relu_forward, relu_backward, inputs=lambda draw: ((draw.array(),), {}))
affine_relu = layer(affine_relu_forward, affine_relu_backward, inputs=_affine_inputs)
softmax_cross_entropy = layer(softmax_loss, loss_backward, name="softmax_cross_entropy", inputs=_loss_inputs)
multiclass_hinge = layer(svm_loss, loss_backward, name="multiclass_hinge", inputs=_loss_inputs)
l2_regularized = layer(
    l2_regularized_forward,
    l2_regularized_backward,
    inputs=lambda draw: ((draw.array(()), draw.array(), draw.array()), {"reg": 0.7}),
)
