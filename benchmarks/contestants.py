"""The training step in NumPy, from its floor to the best a person can write, and in minigrad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.layers import (
    affine_backward,
    affine_forward,
    affine_relu_backward,
    affine_relu_forward,
    softmax_loss,
    svm_loss,
)
from models import hand_written, two_layer_net

from .problem import Contestant, Make, Problem


def floor(problem: Problem) -> Contestant:
    """Make the matrix products no step can do without, into arrays made beforehand; nothing else.

    For two layers they are five: X W1, h W2, hᵀ ds, ds W2ᵀ and Xᵀ dh.
    """
    weights = [problem.params[name] for name in problem.weights]
    gradients = [np.empty_like(w) for w in weights]
    layers = [problem.X, *(np.empty((len(problem.X), w.shape[1]), w.dtype) for w in weights)]
    back = [None, *(np.ones_like(layer) for layer in layers[1:])]

    def step() -> None:
        for i, w in enumerate(weights):
            np.matmul(layers[i], w, out=layers[i + 1])
        for i in reversed(range(len(weights))):
            np.matmul(layers[i].T, back[i + 1], out=gradients[i])
            if i > 0:
                np.matmul(back[i + 1], weights[i].T, out=back[i])

    return Contestant(step, None)


# By hand


def hand(problem: Problem) -> Contestant:
    """Make the step of the course's notebook: hand-derived layers, called one by one."""
    params = problem.copy_params()
    loss_and_gradients = _two_layers(problem, params) if problem.depth == 2 else _layers(problem, params)
    return Contestant(_plain_sgd(loss_and_gradients, params, problem.learning_rate), lambda: params)


def _plain_sgd(
    loss_and_gradients: Callable[[], tuple[Any, dict[str, Any]]],
    params: dict[str, np.ndarray],
    learning_rate: float,
) -> Callable[[], Any]:
    def step() -> Any:
        loss, gradients = loss_and_gradients()
        for name, w in params.items():
            w -= learning_rate * gradients[name]
        return loss

    return step


def _two_layers(problem: Problem, params: dict[str, np.ndarray]) -> Callable[[], Any]:
    net = hand_written.TwoLayerNet(1, 1, reg=problem.reg, loss=problem.loss)
    net.params = params
    return lambda: net.loss(problem.X, problem.y)


def _layers(problem: Problem, params: dict[str, np.ndarray]) -> Callable[[], Any]:
    """Make the step of the course's fully connected net, of any depth."""
    data_loss = {"softmax": softmax_loss, "svm": svm_loss}[problem.loss]
    depth, reg = problem.depth, problem.reg

    def loss_and_gradients() -> tuple[Any, dict[str, Any]]:
        out, caches, gradients = problem.X, {}, {}
        for i in range(1, depth):
            out, caches[i] = affine_relu_forward(out, params[f"W{i}"], params[f"b{i}"])
        scores, caches[depth] = affine_forward(out, params[f"W{depth}"], params[f"b{depth}"])
        loss, dout = data_loss(scores, problem.y)
        for i in range(depth, 0, -1):
            w = params[f"W{i}"]
            loss += 0.5 * reg * np.sum(w * w)
            backward = affine_backward if i == depth else affine_relu_backward
            dout, dw, gradients[f"b{i}"] = backward(dout, caches[i])
            gradients[f"W{i}"] = dw + reg * w
        return loss, gradients

    return loss_and_gradients


# By hand, every buffer made beforehand


def preallocated(problem: Problem) -> Contestant:
    """Make the step as well as a person can write it in NumPy: no new array, everything in place.

    The gradient of the images is left out, relu's mask is its output's sign, and the penalty's gradient is a shorter
    weight: w - lr (dw + reg w) = (1 - lr reg) w - lr dw.
    """
    X, y, rate = problem.X, problem.y, problem.learning_rate
    params = problem.copy_params()
    weights = [params[name] for name in problem.weights]
    biases = [params[name.replace("W", "b")] for name in problem.weights]
    outs = [np.empty((len(y), w.shape[1]), w.dtype) for w in weights]
    inputs = [X, *outs[:-1]]
    masks = [np.empty_like(out) for out in outs]
    douts = [*(np.empty_like(out) for out in outs[:-1]), outs[-1]]
    dweights, dbiases = [np.empty_like(w) for w in weights], [np.empty_like(b) for b in biases]
    loss_into_scores = {"softmax": _softmax_in_place, "svm": _svm_in_place}[problem.loss](outs[-1], y)
    last, half_reg, shrink = problem.depth - 1, problem.reg / 2, 1 - rate * problem.reg
    forward = list(zip(inputs, weights, biases, outs, strict=True))
    backward = list(
        zip(
            range(last, -1, -1),
            [x.T for x in reversed(inputs)],
            [w.T for w in reversed(weights)],
            reversed(dweights),
            reversed(dbiases),
            strict=True,
        )
    )
    update = list(zip(weights, dweights, biases, dbiases, strict=True))

    def step() -> Any:
        for x, w, b, out in forward:
            np.dot(x, w, out=out)
            np.add(out, b, out=out)
            if out is not outs[-1]:
                np.maximum(out, 0, out=out)
        loss = loss_into_scores()
        for w in weights:
            loss += half_reg * np.vdot(w, w)
        for i, x_t, w_t, dw, db in backward:
            dout = douts[i]
            if i < last:
                np.sign(outs[i], out=masks[i])
                np.multiply(dout, masks[i], out=dout)
            np.dot(x_t, dout, out=dw)
            np.add.reduce(dout, axis=0, out=db)
            if i > 0:
                np.dot(dout, w_t, out=douts[i - 1])
        for w, dw, b, db in update:
            np.multiply(w, shrink, out=w)
            np.multiply(dw, rate, out=dw)
            np.subtract(w, dw, out=w)
            np.multiply(db, rate, out=db)
            np.subtract(b, db, out=b)
        return loss

    return Contestant(step, lambda: params)


def _softmax_in_place(scores: np.ndarray, y: np.ndarray) -> Callable[[], Any]:
    """Make the function that replaces the scores by their gradient, and returns the loss."""
    n, classes = scores.shape
    flat, starts, correct = scores.reshape(-1), np.arange(n) * classes, np.empty(n, int)
    column, picked = np.empty((n, 1), scores.dtype), np.empty(n, scores.dtype)

    def loss() -> Any:
        np.add(starts, y, out=correct)
        np.maximum.reduce(scores, axis=1, keepdims=True, out=column)
        np.subtract(scores, column, out=scores)
        flat.take(correct, out=picked, mode="clip")
        np.exp(scores, out=scores)
        np.add.reduce(scores, axis=1, keepdims=True, out=column)
        total = -np.add.reduce(picked)
        np.multiply(column, n, out=column)
        np.divide(scores, column, out=scores)
        np.divide(column, n, out=column)
        np.log(column, out=column)
        total += np.add.reduce(column, axis=None)
        flat[correct] -= 1 / n
        return total / n

    return loss


def _svm_in_place(scores: np.ndarray, y: np.ndarray) -> Callable[[], Any]:
    """Make the function that replaces the scores by their gradient, and returns the loss."""
    n, classes = scores.shape
    flat, starts, correct = scores.reshape(-1), np.arange(n) * classes, np.empty(n, int)
    picked = np.empty(n, scores.dtype)
    column = picked.reshape(n, 1)

    def loss() -> Any:
        np.add(starts, y, out=correct)
        flat.take(correct, out=picked, mode="clip")
        np.subtract(picked, 1, out=picked)
        np.subtract(scores, column, out=scores)
        np.maximum(scores, 0, out=scores)
        flat[correct] = 0
        total = np.add.reduce(scores, axis=None) / n
        np.sign(scores, out=scores)
        np.multiply(scores, 1 / n, out=scores)
        np.add.reduce(scores, axis=1, out=picked)
        np.negative(picked, out=picked)
        flat[correct] = picked
        return total

    return loss


# minigrad


def objective(problem: Problem) -> Callable[..., Any]:
    """Return the loss of the parameters and a batch, as a user of minigrad declares it."""
    data_loss = {"softmax": mg.softmax_cross_entropy, "svm": mg.multiclass_hinge}[problem.loss]
    depth, reg = problem.depth, problem.reg
    if depth == 2:
        return lambda params, X, y: two_layer_net.objective(params, X, y, reg, data_loss)

    def loss(params: dict[str, Any], X: Any, y: Any) -> Any:
        out = X
        for i in range(1, depth):
            out = mg.affine_relu(out, params[f"W{i}"], params[f"b{i}"])
        scores = mg.affine(out, params[f"W{depth}"], params[f"b{depth}"])
        weights = [params[name] for name in problem.weights]
        return mg.l2_regularized(data_loss(scores, y), *weights, reg=reg)

    return loss


def plain_objective(problem: Problem) -> Callable[..., Any]:
    """Return the same loss as a user writes it in NumPy alone."""
    n, depth, reg = len(problem.y), problem.depth, problem.reg

    def softmax(scores: Any, y: Any) -> Any:
        shifted = scores - np.max(scores, axis=1, keepdims=True)
        logs = shifted - np.log(np.sum(np.exp(shifted), axis=1, keepdims=True))
        return -np.mean(logs[np.arange(n), y])

    def svm(scores: Any, y: Any) -> Any:
        margins = np.maximum(scores - scores[np.arange(n), y][:, None] + 1, 0)
        return np.sum(margins) / n - 1

    data_loss = {"softmax": softmax, "svm": svm}[problem.loss]

    def loss(params: dict[str, Any], X: Any, y: Any) -> Any:
        out = X
        for i in range(1, depth):
            out = np.maximum(out @ params[f"W{i}"] + params[f"b{i}"], 0)
        scores = out @ params[f"W{depth}"] + params[f"b{depth}"]
        return data_loss(scores, y) + 0.5 * reg * sum(np.sum(params[name] ** 2) for name in problem.weights)

    return loss


def tape(problem: Problem) -> Contestant:
    """Make the step whose gradients the tape finds; a plain update in NumPy."""
    return _with_plain_update(problem, mg.value_and_grad(objective(problem)))


def jit_gradients(problem: Problem) -> Contestant:
    """Make the step whose loss and gradients are captured; a plain update in NumPy."""
    return _with_plain_update(problem, mg.jit(mg.value_and_grad(objective(problem))))


def _with_plain_update(problem: Problem, loss_and_gradients: Callable[..., Any]) -> Contestant:
    params = problem.copy_params()
    step = _plain_sgd(lambda: loss_and_gradients(params, problem.X, problem.y), params, problem.learning_rate)
    return Contestant(step, lambda: params)


def jit_step(problem: Problem) -> Contestant:
    """Make the whole step captured, its parameters overwritten."""
    return _captured(problem, objective(problem))


def jit_plain(problem: Problem) -> Contestant:
    """Make the whole step captured, of the loss in plain NumPy."""
    return _captured(problem, plain_objective(problem))


def _captured(problem: Problem, loss: Callable[..., Any]) -> Contestant:
    loss_and_gradients, rate = mg.value_and_grad(loss), problem.learning_rate

    @mg.jit(donate_argnums=0)
    def new(params: dict[str, Any], X: Any, y: Any) -> Any:
        loss, gradients = loss_and_gradients(params, X, y)
        return loss, {name: params[name] - rate * gradients[name] for name in params}

    params = problem.copy_params()

    def step() -> Any:
        nonlocal params
        loss, params = new(params, problem.X, problem.y)
        return loss

    return Contestant(step, lambda: params)


CONTESTANTS: dict[str, Make] = {
    "floor": floor,
    "hand": hand,
    "preallocated": preallocated,
    "tape": tape,
    "jit gradients": jit_gradients,
    "jit step": jit_step,
    "jit plain": jit_plain,
}
