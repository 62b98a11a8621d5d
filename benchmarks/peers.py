"""The same training step in other libraries, each as its own documentation recommends; all are optional.

A peer is a function that makes its contestant, and a line in `PEERS`. The batch is its own kind of array before the
time runs, and a step ends when the loss and the parameters are there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from importlib.metadata import version
from typing import Any

import numpy as np

from .problem import Contestant, Make, Problem, make_problem


def torch(problem: Problem) -> Contestant:
    """Make the step of an eager `torch.nn.Sequential` and the fused SGD, whose weight decay is the penalty."""
    import torch
    from torch import nn
    from torch.nn import functional

    X, y = torch.from_numpy(problem.X), torch.from_numpy(problem.y)
    layers: list[Any] = []
    for name in problem.weights:
        w = problem.params[name]
        linear = nn.Linear(*w.shape, dtype=X.dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(w.T))
            linear.bias.copy_(torch.tensor(problem.params[name.replace("W", "b")]))
        layers += [linear, nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    linears = layers[::2]
    optimizer = torch.optim.SGD(
        [
            {"params": [linear.weight for linear in linears], "weight_decay": problem.reg},
            {"params": [linear.bias for linear in linears]},
        ],
        lr=problem.learning_rate,
        fused=True,
    )

    def svm_loss(scores: Any, y: Any) -> Any:
        return scores.shape[1] * functional.multi_margin_loss(scores, y)  # its mean is over the classes too

    data_loss = {"softmax": functional.cross_entropy, "svm": svm_loss}[problem.loss]

    def step() -> float:
        optimizer.zero_grad()
        loss = data_loss(model(X), y)
        loss.backward()
        with torch.no_grad():
            flat = (linear.weight.view(-1) for linear in linears)
            penalty = problem.reg / 2 * sum(torch.dot(w, w) for w in flat)
        optimizer.step()
        return (loss + penalty).item()

    def params() -> dict[str, np.ndarray]:
        found = {}
        for name, linear in zip(problem.weights, linears, strict=True):
            found[name] = linear.weight.detach().numpy().T
            found[name.replace("W", "b")] = linear.bias.detach().numpy()
        return found

    return Contestant(step, params)


def jax(problem: Problem) -> Contestant:
    """Make the whole step under `jax.jit`, its parameters donated."""
    import jax
    from jax import numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def softmax_loss(scores: Any, y: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], axis=1).mean()

    def svm_loss(scores: Any, y: Any) -> Any:
        correct = jnp.take_along_axis(scores, y[:, None], axis=1)
        return jax.nn.relu(scores - correct + 1).sum(axis=1).mean() - 1  # the correct class has margin 1

    data_loss = {"softmax": softmax_loss, "svm": svm_loss}[problem.loss]

    def objective(params: Any, X: Any, y: Any) -> Any:
        return _objective(problem, params, X, y, jax.nn.relu, data_loss)

    @partial(jax.jit, donate_argnums=0)
    def new(params: Any, X: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(objective)(params, X, y)
        return loss, jax.tree.map(lambda w, dw: w - problem.learning_rate * dw, params, gradients)

    X, y = jnp.asarray(problem.X), jnp.asarray(problem.y)
    params = {name: jnp.array(w) for name, w in problem.params.items()}

    def step() -> Any:
        nonlocal params
        loss, params = jax.block_until_ready(new(params, X, y))
        return loss

    return Contestant(step, lambda: params)


def autograd(problem: Problem) -> Contestant:
    """Make the step with HIPS autograd's `value_and_grad`; a plain update in NumPy."""
    from autograd import numpy as anp
    from autograd import value_and_grad

    X, rows, y = problem.X, np.arange(len(problem.y)), problem.y

    def softmax_loss(scores: Any, y: Any) -> Any:
        shifted = scores - anp.max(scores, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(shifted), axis=1)) - shifted[rows, y])

    def svm_loss(scores: Any, y: Any) -> Any:
        margins = anp.maximum(scores - scores[rows, y][:, None] + 1, 0)
        return anp.mean(anp.sum(margins, axis=1)) - 1  # the correct class has margin 1

    data_loss = {"softmax": softmax_loss, "svm": svm_loss}[problem.loss]

    def objective(params: Any) -> Any:
        return _objective(problem, params, X, y, lambda x: anp.maximum(x, 0), data_loss)

    loss_and_gradients = value_and_grad(objective)
    params = problem.copy_params()

    def step() -> Any:
        loss, gradients = loss_and_gradients(params)
        for name, w in params.items():
            w -= problem.learning_rate * gradients[name]
        return loss

    return Contestant(step, lambda: params)


def mygrad(problem: Problem) -> Contestant:
    """Make the step with MyGrad's layers and losses, its memory guard off; a plain update in NumPy."""
    import mygrad
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import multiclass_hinge, softmax_crossentropy

    mygrad.turn_memory_guarding_off()
    data_loss = {"softmax": softmax_crossentropy, "svm": multiclass_hinge}[problem.loss]
    params = {name: mygrad.tensor(w) for name, w in problem.params.items()}

    def step() -> Any:
        loss = _objective(problem, params, problem.X, problem.y, relu, data_loss)
        loss.backward()
        for w in params.values():
            w.data -= problem.learning_rate * w.grad
        return loss

    return Contestant(step, lambda: {name: w.data for name, w in params.items()})


def tinygrad(problem: Problem) -> Contestant:
    """Make the whole step under tinygrad's `TinyJit`, with its SGD."""
    from tinygrad import Context, Tensor, TinyJit
    from tinygrad.nn.optim import SGD

    X, y = Tensor(problem.X).realize(), Tensor(problem.y).realize()
    params = {name: Tensor(w.copy()).realize() for name, w in problem.params.items()}
    optimizer = SGD(list(params.values()), lr=problem.learning_rate)

    def softmax_loss(scores: Any, y: Any) -> Any:
        return scores.sparse_categorical_crossentropy(y)

    def svm_loss(scores: Any, y: Any) -> Any:
        correct = scores.gather(1, y.reshape(-1, 1))
        return (scores - correct + 1).relu().sum(axis=1).mean() - 1  # the correct class has margin 1

    data_loss = {"softmax": softmax_loss, "svm": svm_loss}[problem.loss]

    @TinyJit
    def new() -> Any:
        optimizer.zero_grad()
        loss = _objective(problem, params, X, y, Tensor.relu, data_loss)
        loss.backward()
        return loss.realize(*optimizer.schedule_step())

    def step() -> float:
        with Context(TRAINING=1):
            return float(new().item())

    return Contestant(step, lambda: {name: w.numpy() for name, w in params.items()})


def _objective(
    problem: Problem,
    params: Any,
    X: Any,
    y: Any,
    relu: Callable[[Any], Any],
    data_loss: Callable[[Any, Any], Any],
) -> Any:
    """Return the loss, where operators do the rest."""
    out = X
    for i in range(1, problem.depth + 1):
        out = out @ params[f"W{i}"] + params[f"b{i}"]
        if i < problem.depth:
            out = relu(out)
    return data_loss(out, y) + problem.reg / 2 * sum((params[name] ** 2).sum() for name in problem.weights)


PEERS: dict[str, Make] = {
    "torch": torch,
    "jax": jax,
    "autograd": autograd,
    "mygrad": mygrad,
    "tinygrad": tinygrad,
}


@lru_cache
def missing() -> dict[str, str]:
    """Return the peers that cannot take part, and why: not installed, or unable to compute here."""
    problem = make_problem(2, (2, 2), "float32")
    found = {}
    for name, make in PEERS.items():
        try:
            make(problem).step()
        except ImportError:
            found[name] = "not installed"
        except Exception as error:  # of many kinds; tinygrad's, for one, without a compiler
            found[name] = str(error)
    return found


def present() -> dict[str, Make]:
    """Return the peers that can take part."""
    return {name: make for name, make in PEERS.items() if name not in missing()}


def limit_threads(count: int) -> None:
    """Set torch's number of threads, if it is installed; XLA has one for each processor that it may use."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(count)


def libraries() -> dict[str, dict[str, Any]]:
    """Return the version of each peer present, and its library of matrix products."""
    found = {name: {"version": version(name), "products": PRODUCTS[name]} for name in present()}
    if "torch" in found:
        import torch

        products = "MKL" if torch.backends.mkl.is_available() else "oneDNN or the BLAS it was built with"
        found["torch"] |= {"products": products, "threads": torch.get_num_threads()}
    return found


PRODUCTS = {
    "torch": "",
    "jax": "XLA, which brings its own (Eigen's or oneDNN's)",
    "autograd": "NumPy's BLAS",
    "mygrad": "NumPy's BLAS",
    "tinygrad": "none: loops that it generates",
}
