"""What is measured.

A contestant in the training step is a function of the batch that makes its step, and a line in `CONTESTANTS`; a
case is a function that makes its contestants, and a line in `cases`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad.optim import sgd
from models import hand_written, two_layer_net

from .measure import Case, Step, check_agreement

ROOT = Path(__file__).parents[1]
CLASSES = 10
REG = 0.5
CONFIG = {"learning_rate": 1e-3}
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}


class Batch(NamedTuple):
    """One batch of examples, and the size of the net that is to learn it."""

    X: np.ndarray
    y: np.ndarray
    hidden_dim: int


def floor(batch: Batch) -> Step:
    """Make the five matrix products no step can do without, into arrays made beforehand."""
    X, y, hidden_dim = batch
    W1 = np.ones((X.shape[1], hidden_dim), X.dtype)
    W2 = np.ones((hidden_dim, CLASSES), X.dtype)
    dW1, dW2 = np.empty_like(W1), np.empty_like(W2)
    hidden, dhidden = np.empty((2, len(y), hidden_dim), X.dtype)
    scores = np.empty((len(y), CLASSES), X.dtype)

    def step() -> None:
        np.matmul(X, W1, out=hidden)
        np.matmul(hidden, W2, out=scores)  # which stand in for their own gradient
        np.matmul(hidden.T, scores, out=dW2)
        np.matmul(scores, W2.T, out=dhidden)
        np.matmul(X.T, dhidden, out=dW1)

    return step


def hand(batch: Batch) -> Step:
    """Make the step of the course's notebook: hand-derived layers, called one by one."""
    return train(hand_written.TwoLayerNet, batch)


def tape(batch: Batch) -> Step:
    """Make the step of the declarative net, differentiated by the tape."""
    return train(two_layer_net.TwoLayerNet, batch)


def train(net: type[two_layer_net.TwoLayerNet], batch: Batch) -> Step:
    """Make the step of a net: loss, gradients, and an update of every parameter."""
    X, y, hidden_dim = batch
    model = net(X.shape[1], hidden_dim, CLASSES, reg=REG, dtype=X.dtype, seed=0)

    def step() -> dict[str, Any]:
        loss, grads = model.loss(X, y)
        for name, w in model.params.items():
            sgd(w, grads[name], CONFIG)
        return {"loss": loss, **grads}

    return step


CONTESTANTS: dict[str, Callable[[Batch], Step]] = {"floor": floor, "hand": hand, "tape": tape}


def training_step(n: int, input_dim: int, hidden_dim: int, dtype: str) -> Case:
    """One step of plain SGD on the two-layer net; all contestants start from the same parameters."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, input_dim)).astype(dtype)
    batch = Batch(X, rng.integers(CLASSES, size=n), hidden_dim)
    steps = {name: make(batch) for name, make in CONTESTANTS.items()}
    check_agreement(steps, TOLERANCE[dtype])
    return Case(f"training step, N={n} D={input_dim} H={hidden_dim} {dtype}", steps, ("hand", "floor"))


def chain(length: int) -> Case:
    """One small multiplication, forward and backward, in a chain of many; the floor is NumPy's calls alone."""

    def floor() -> dict[str, np.ndarray]:
        y, g = np.ones(4), np.ones(4)
        for _ in range(length):
            y = y * 1.001
        for _ in range(length):
            g = g * 1.001
        return {"gradient": g}

    def tape() -> dict[str, Any]:
        x = y = mg.tensor(np.ones(4), requires_grad=True)
        for _ in range(length):
            y = y * 1.001
        y.sum().backward()
        return {"gradient": x.grad}

    steps = {"floor": floor, "tape": tape}
    check_agreement(steps, TOLERANCE["float64"])
    return Case(f"one op of a chain of {length:,}, forward and backward", steps, ("floor",), length)


def start() -> Case:
    """A fresh interpreter that imports minigrad, compiled as after its first import, and one with NumPy alone."""
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}

    def importing(module: str) -> Step:
        command = [sys.executable, "-c", f"import {module}"]
        return partial(subprocess.run, command, cwd=ROOT, env=env, check=True)

    return Case("import, in a fresh process", {m: importing(m) for m in ("numpy", "minigrad")}, ("numpy",))


def cases() -> Iterator[Case]:
    """Make the cases one after the other, so that one at a time is in memory."""
    for size in [(200, 3072, 50), (200, 3072, 100), (200, 3072, 500), (4, 8, 8)]:
        for dtype in ("float32", "float64"):
            yield training_step(*size, dtype)
    yield chain(1000)
    yield start()
