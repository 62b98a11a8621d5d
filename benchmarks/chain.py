"""A chain of small operations, forward and backward: the cost of one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import minigrad as mg

from . import peers
from .measure import Case, check_same

LENGTH = 1000


def cases() -> Iterator[Case]:
    """Make the case."""
    yield chain(LENGTH, OWN | {name: make for name, make in PEERS.items() if name in peers.present()})


def chain(length: int, makes: dict[str, Callable[[int], Callable[[], Any]]]) -> Case:
    """Let each multiply four numbers by 1.0001 so often and find the gradient of their sum; check that all agree."""
    steps = {name: make(length) for name, make in makes.items()}
    check_same(((name, np.asarray(step())) for name, step in steps.items()), 1e-10)
    return Case(f"one op of a chain of {length:,}, forward and backward", steps, ("floor",), length)


def floor(length: int) -> Callable[[], Any]:
    """Make NumPy's calls alone: a multiplication forward, and one backward."""

    def step() -> np.ndarray:
        y, g = np.ones(4), np.ones(4)
        for _ in range(length):
            y = y * 1.0001
        for _ in range(length):
            g = g * 1.0001
        return g

    return step


def powers(length: int) -> Callable[[Any], Any]:
    """Return the function to differentiate, of anything with operators."""

    def f(x: Any, factor: Any = 1.0001) -> Any:
        for _ in range(length):
            x = x * factor
        return x.sum()

    return f


def tape(length: int) -> Callable[[], Any]:
    """Make the eager tape's."""
    f = powers(length)

    def step() -> Any:
        x = mg.tensor(np.ones(4), requires_grad=True)
        f(x).backward()
        return x.grad

    return step


def jit(length: int) -> Callable[[], Any]:
    """Make the captured one: of the value too, and of the factor as an argument, or all would be a constant."""
    value_and_gradient = mg.jit(mg.value_and_grad(powers(length)))
    x, factor = np.ones(4), np.full(4, 1.0001)
    return lambda: value_and_gradient(x, factor)[1]


def torch(length: int) -> Callable[[], Any]:
    """Make torch's, eager."""
    import torch

    f = powers(length)

    def step() -> Any:
        x = torch.ones(4, dtype=torch.float64, requires_grad=True)
        f(x).backward()
        return x.grad

    return step


def autograd(length: int) -> Callable[[], Any]:
    """Make that of HIPS autograd."""
    from autograd import grad
    from autograd import numpy as anp

    def f(x: Any) -> Any:
        for _ in range(length):
            x = x * 1.0001
        return anp.sum(x)

    gradient, x = grad(f), np.ones(4)
    return lambda: gradient(x)


def mygrad(length: int) -> Callable[[], Any]:
    """Make MyGrad's, its memory guard off."""
    import mygrad

    mygrad.turn_memory_guarding_off()
    f = powers(length)

    def step() -> Any:
        x = mygrad.tensor(np.ones(4))
        f(x).backward()
        return x.grad

    return step


OWN = {"floor": floor, "tape": tape, "jit": jit}
PEERS = {"torch": torch, "autograd": autograd, "mygrad": mygrad}
