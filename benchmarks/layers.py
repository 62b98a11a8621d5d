"""Layers forward and backward, and a step of a net made of them, against the bare matrix products and torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import layers, optim
from models import fully_connected_net

from . import peers
from .measure import Case, check_same

CONVOLUTIONS = [((50, 32, 16, 16), (64, 32, 3, 3)), ((100, 3, 32, 32), (32, 3, 3, 3))]
"""The shapes of images and filters; stride 1, and pad 1, which keeps the images' size."""
SIZES = (100, 100, 100, 100)
"""Units of the net's hidden layers; the images are of CIFAR-10's size."""
BATCH = 100

Step = Callable[[], Any]


def cases() -> Iterator[Case]:
    """Make the cases one after the other."""
    for images, filters in CONVOLUTIONS:
        yield convolution(images, filters)
    yield batchnorm_relu((BATCH, 100))
    yield batchnorm_relu((1000, 500))
    yield batchnorm_relu((50, 32, 16, 16))
    yield net_step()


def case(name: str, steps: dict[str, Step], floor: str = "") -> Case:
    """Make a case of steps that compute the same, against the floor, if there is one, and torch, if it is there."""
    others = {who: step for who, step in steps.items() if who != floor}
    check_same([(who, np.concatenate([np.ravel(g) for g in step()])) for who, step in others.items()], 1e-3)
    against = [who for who in (floor, "torch") if who in steps]
    return Case(name, steps, tuple(against or others))


def has_torch() -> bool:
    """Tell whether torch takes part."""
    return "torch" in peers.present()


def random(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Draw float32 arrays."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape, np.float32) for shape in shapes]


# Convolution


def convolution(images: tuple[int, ...], filters: tuple[int, ...]) -> Case:
    """Make the case of a convolution, forward and backward, all gradients.

    The gradient of its output lies in memory as the output does, in each library: as a next layer hands it over.
    """
    n, _, height, width = images
    x, w, b, dout = random(images, filters, filters[:1], (n, filters[0], height, width))
    param = {"stride": 1, "pad": 1}
    own = np.empty_like(layers.conv_forward(x, w, b, param)[0])
    own[...] = dout

    def minigrad() -> Any:
        _, cache = layers.conv_forward(x, w, b, param)
        return layers.conv_backward(own, cache)

    steps: dict[str, Step] = {"floor": products(x, w), "minigrad": minigrad}
    if has_torch():
        steps["torch"] = torch_step(lambda f, x, w, b: f.conv2d(x, w, b, padding=1), [x, w, b], dout)
    return case(f"conv {images} with {filters}, forward and backward, float32", steps, "floor")


def products(x: np.ndarray, w: np.ndarray) -> Step:
    """Make the floor of a convolution: its three products of matrices, and one copy of the columns."""
    taps, places = int(np.prod(w.shape[1:])), len(x) * x.shape[2] * x.shape[3]
    rows, columns, dout = random((len(w), taps), (taps, places), (len(w), places))
    copied, out = np.empty_like(columns), np.empty_like(dout)
    dcolumns, drows = np.empty_like(columns), np.empty_like(rows)

    def step() -> None:
        np.copyto(copied, columns)
        np.dot(rows, columns, out=out)
        np.dot(dout, columns.T, out=drows)
        np.dot(rows.T, dout, out=dcolumns)

    return step


def torch_step(function: Callable[..., Any], arrays: list[np.ndarray], dout: np.ndarray) -> Step:
    """Make a step of eager torch: a function of `torch.nn.functional` and tensors, forward and backward."""
    import torch
    from torch.nn import functional

    tensors = [torch.tensor(x, requires_grad=True) for x in arrays]
    gradient = torch.tensor(dout)
    return lambda: [g.numpy() for g in torch.autograd.grad(function(functional, *tensors), tensors, gradient)]


# Batch normalization and relu


def batchnorm_relu(shape: tuple[int, ...]) -> Case:
    """Make the case of a batch normalization in training and a relu, forward and backward."""
    x, gamma, beta, dout = random(shape, shape[1:2], shape[1:2], shape)
    ones = np.ones(shape[1], np.float32)
    param = {"mode": "train", "running_mean": 0 * ones, "running_var": ones}

    def minigrad() -> Any:
        normalized, norm_cache = layers.batchnorm_forward(x, gamma, beta, param)
        _, relu_cache = layers.relu_forward(normalized)
        return layers.batchnorm_backward_alt(layers.relu_backward(dout, relu_cache), norm_cache)

    def total(x: Any, gamma: Any, beta: Any, dout: Any, param: Any) -> Any:
        return np.sum(mg.relu(mg.batchnorm(x, gamma, beta, param)) * dout)

    compiled = mg.jit(mg.value_and_grad(total, (0, 1, 2)))
    steps: dict[str, Step] = {
        "minigrad": minigrad,
        "jit": lambda: compiled(x, gamma, beta, dout, param)[1],
    }
    if has_torch():
        import torch

        mean, var = torch.zeros(shape[1]), torch.ones(shape[1])
        steps["torch"] = torch_step(
            lambda f, x, gamma, beta: f.relu(f.batch_norm(x, mean, var, gamma, beta, training=True)),
            [x, gamma, beta],
            dout,
        )
    return case(f"batch norm and relu of {shape}, forward and backward, float32", steps)


# A net


def net_step() -> Case:
    """Make the case of a whole step: batch norm, dropout, Adam."""
    (X,) = random((BATCH, 3072))
    y = np.random.default_rng(1).integers(10, size=BATCH)
    steps: dict[str, Step] = {"jit": jit_step(X, y)}
    if has_torch():
        steps["torch"] = torch_net(X, y)
    title = f"step of a net {'-'.join(map(str, SIZES))} with batch norm, dropout and Adam, float32"
    return Case(title, steps, ("torch",) if has_torch() else ("jit",))


def jit_step(X: np.ndarray, y: np.ndarray) -> Step:
    """Make the compiled step; parameters and Adam's averages are written over."""
    net = fully_connected_net.FullyConnectedNet(
        SIZES, dropout_keep_ratio=0.5, normalization="batchnorm", seed=0
    )
    params, state = net.params, optim.adam.init(net.params)

    @mg.jit(donate_argnums=(0, 1))
    def new(params: Any, state: Any, X: Any, y: Any, *others: Any) -> Any:
        loss, grads = fully_connected_net.BACKENDS["tape"](params, X, y, 0.0, *others)
        return loss, *optim.adam.update(grads, state, params, learning_rate=1e-3)

    def step() -> Any:
        nonlocal params, state
        loss, params, state = new(params, state, X, y, net.norm_params, net.dropout_param)
        return loss

    return step


def torch_net(X: np.ndarray, y: np.ndarray) -> Step:
    """Make eager torch's step, with its fused Adam."""
    import torch
    from torch import nn

    sizes = [3072, *SIZES]
    stack: list[Any] = []
    for inputs, units in pairwise(sizes):
        stack += [nn.Linear(inputs, units), nn.BatchNorm1d(units), nn.ReLU(), nn.Dropout(0.5)]
    model = nn.Sequential(*stack, nn.Linear(SIZES[-1], 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    images, labels = torch.from_numpy(X), torch.from_numpy(y)

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step
