"""The loss and gradients of recurrent nets in plain NumPy, against the same backpropagation by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import minigrad as mg

from .measure import Case, check_same

STEPS, HIDDEN, VOCABULARY = 25, 100, 65
"""As in min-char-rnn (Karpathy 2015), on the characters of Shakespeare."""
BATCH, FEATURES, STATE = 10, 50, 100
"""The LSTM's examples, inputs and state."""

Gradients = tuple[Any, list[Any]]


def cases() -> Iterator[Case]:
    """Make the cases one after the other."""
    for dtype in ("float32", "float64"):
        yield case("vanilla RNN, as min-char-rnn", rnn_loss, rnn_by_hand, *rnn_inputs(dtype))
        yield case("LSTM, its states written to an array", lstm_loss, lstm_by_hand, *lstm_inputs(dtype))


def case(
    name: str, loss: Callable[..., Any], by_hand: Callable[..., Gradients], params: list[Any], data: list[Any]
) -> Case:
    """Make the case of gradients by the jit, the tape and by hand; check that all agree."""
    compiled, eager = mg.jit(mg.value_and_grad(loss)), mg.value_and_grad(loss)
    steps = {
        "hand": lambda: by_hand(params, *data),
        "tape": lambda: eager(params, *data),
        "jit": lambda: compiled(params, *data),
    }
    dtype = params[0].dtype
    flat = ((who, np.concatenate([g.ravel() for g in step()[1]])) for who, step in steps.items())
    check_same(flat, 1e-3 if dtype == np.float32 else 1e-9)
    return Case(f"{name}, {dtype}", steps, ("hand",))


# The vanilla RNN


def rnn_inputs(dtype: str) -> tuple[list[Any], list[Any]]:
    """Draw weights as min-char-rnn does, a text, and its characters as one-hot columns."""
    rng = np.random.default_rng(0)
    shapes = [(HIDDEN, VOCABULARY), (HIDDEN, HIDDEN), (VOCABULARY, HIDDEN), (HIDDEN, 1), (VOCABULARY, 1)]
    params = [(0.01 * rng.standard_normal(shape)).astype(dtype) for shape in shapes]
    text = rng.integers(VOCABULARY, size=STEPS + 1)
    xs = np.zeros((STEPS, VOCABULARY, 1), dtype)
    xs[np.arange(STEPS), text[:-1]] = 1
    return params, [xs, text[1:], np.zeros((HIDDEN, 1), dtype)]


def rnn_loss(params: list[Any], xs: Any, targets: Any, h: Any) -> Any:
    """Return the cross-entropy of the next characters."""
    Wxh, Whh, Why, bh, by = params
    loss = 0
    for t in range(STEPS):
        h = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, h) + bh)
        y = np.dot(Why, h) + by
        p = np.exp(y) / np.sum(np.exp(y))
        loss = loss - np.log(p[targets[t], 0])
    return loss


def rnn_by_hand(params: list[Any], xs: Any, targets: Any, h: Any) -> Gradients:
    """Return the loss and its gradients, by the backward pass of min-char-rnn."""
    Wxh, Whh, Why, bh, by = params
    hs, ps, loss = {-1: h}, {}, 0.0
    for t in range(STEPS):
        hs[t] = np.tanh(np.dot(Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + bh)
        exps = np.exp(np.dot(Why, hs[t]) + by)
        ps[t] = exps / np.sum(exps)
        loss -= np.log(ps[t][targets[t], 0])
    dWxh, dWhh, dWhy, dbh, dby = map(np.zeros_like, params)
    dh_next = np.zeros_like(h)
    for t in reversed(range(STEPS)):
        dy = np.copy(ps[t])
        dy[targets[t]] -= 1
        dWhy += np.dot(dy, hs[t].T)
        dby += dy
        dh = np.dot(Why.T, dy) + dh_next
        dh_raw = (1 - hs[t] * hs[t]) * dh
        dbh += dh_raw
        dWxh += np.dot(dh_raw, xs[t].T)
        dWhh += np.dot(dh_raw, hs[t - 1].T)
        dh_next = np.dot(Whh.T, dh_raw)
    return loss, [dWxh, dWhh, dWhy, dbh, dby]


# The LSTM


def lstm_inputs(dtype: str) -> tuple[list[Any], list[Any]]:
    """Draw the weights of inputs and state, a bias, a batch of sequences, and the weights of the states in the loss."""
    rng = np.random.default_rng(0)
    shapes = [(FEATURES, 4 * STATE), (STATE, 4 * STATE), (4 * STATE,)]
    params = [(rng.standard_normal(shape) / 10).astype(dtype) for shape in shapes]
    xs = rng.standard_normal((STEPS, BATCH, FEATURES)).astype(dtype)
    return params, [xs, rng.standard_normal((STEPS, BATCH, STATE)).astype(dtype)]


def lstm_loss(params: list[Any], xs: Any, weights: Any) -> Any:
    """Return the weighted sum of all hidden states."""
    Wx, Wh, b = params
    h = mg.tensor(np.zeros((STEPS + 1, BATCH, STATE), xs.dtype))
    c = mg.tensor(np.zeros((STEPS + 1, BATCH, STATE), xs.dtype))
    for t in range(STEPS):
        a = xs[t] @ Wx + h[t] @ Wh + b
        gates = 1 / (1 + np.exp(-a[:, : 3 * STATE]))
        i, f, o = gates[:, :STATE], gates[:, STATE : 2 * STATE], gates[:, 2 * STATE :]
        c[t + 1] = f * c[t] + i * np.tanh(a[:, 3 * STATE :])
        h[t + 1] = o * np.tanh(c[t + 1])
    return np.sum(h[1:] * weights)


def lstm_by_hand(params: list[Any], xs: Any, weights: Any) -> Gradients:
    """Return the loss and its gradients, by a backward pass derived by hand."""
    Wx, Wh, b = params
    h = np.zeros((STEPS + 1, BATCH, STATE), xs.dtype)
    c, squashed = np.zeros_like(h), np.zeros_like(h)
    gates = np.zeros((STEPS, BATCH, 4 * STATE), xs.dtype)
    n = STATE
    for t in range(STEPS):
        a = xs[t] @ Wx + h[t] @ Wh + b
        gates[t, :, : 3 * n] = 1 / (1 + np.exp(-a[:, : 3 * n]))
        gates[t, :, 3 * n :] = np.tanh(a[:, 3 * n :])
        i, f, o, g = (gates[t, :, k * n : (k + 1) * n] for k in range(4))
        c[t + 1] = f * c[t] + i * g
        squashed[t + 1] = np.tanh(c[t + 1])
        h[t + 1] = o * squashed[t + 1]
    dWx, dWh, db = map(np.zeros_like, params)
    dh_next, dc_next = np.zeros_like(h[0]), np.zeros_like(h[0])
    da = np.empty_like(gates[0])
    for t in reversed(range(STEPS)):
        i, f, o, g = (gates[t, :, k * n : (k + 1) * n] for k in range(4))
        dh = weights[t] + dh_next
        dc = dc_next + dh * o * (1 - squashed[t + 1] ** 2)
        da[:, :n] = dc * g * i * (1 - i)
        da[:, n : 2 * n] = dc * c[t] * f * (1 - f)
        da[:, 2 * n : 3 * n] = dh * squashed[t + 1] * o * (1 - o)
        da[:, 3 * n :] = dc * i * (1 - g**2)
        dWx += xs[t].T @ da
        dWh += h[t].T @ da
        db += da.sum(axis=0)
        dh_next, dc_next = da @ Wh.T, dc * f
    return np.sum(h[1:] * weights), [dWx, dWh, db]
