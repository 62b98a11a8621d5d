"""The benefit of each rewrite and special path of the compiler: every one left out in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.compiler.emitting import memory, source
from minigrad.compiler.rewriting import fixed_point, rewrites

from .contestants import jit_plain, jit_step
from .measure import Case, Step
from .problem import make_problem

PATHS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "merging equal calls": (fixed_point, "key_of", lambda node: id(node)),
    "writing over dead operands": (memory.Plan, "_over_an_operand", lambda self, i, node: None),
    "views made beforehand": (source.SourceWriter, "view_beforehand", lambda self, node: False),
    "expressions": (source.SourceWriter, "inline", lambda self, node: False),
    "x[i] += in one call": (source.SourceWriter, "augmented_writes", lambda self: {}),
    "numbers made arrays": (source.SourceWriter, "argument", lambda self, node, x: self.spelled(x)),
}
"""Special paths of the compiler, by name: a function, and the one that does without."""


def cases() -> Iterator[Case]:
    """Make the cases one after the other: a step with all rewrites, and with each left out."""
    for dims in ((200, 3072, 100), (4, 8, 8)):
        yield case(f"two layers, {dims}", partial(net, jit_step, dims))
        yield case(f"two layers in plain NumPy, {dims}", partial(net, jit_plain, dims))
    yield case("five layers", partial(net, jit_step, (200, 3072, 100, 100, 100, 100)))
    yield case("a recurrent net of 50 steps", recurrent)
    yield case("a chain of small calls", chain)
    yield case("rows changed in place", rows)


def case(name: str, make: Callable[[], Step]) -> Case:
    """Compile a step with all rewrites, and with each left out."""
    steps = {"all": made_and_called(make)}
    for rewrite in rewrites.REWRITES:
        passes = tuple([each for each in group if each is not rewrite] for group in rewrites.PASSES)
        with replaced(rewrites, "PASSES", passes):
            steps[f"without {rewrite.__name__}"] = made_and_called(make)
    for path, (where, function, other) in PATHS.items():
        with replaced(where, function, other):
            steps[f"without {path}"] = made_and_called(make)
    return Case(name, steps, ("all",))


def made_and_called(make: Callable[[], Step]) -> Step:
    """Make a step, and call it once, as compilation is lazy."""
    step = make()
    step()
    return step


@contextmanager
def replaced(where: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute within a context."""
    before = getattr(where, name)
    setattr(where, name, value)
    try:
        yield
    finally:
        setattr(where, name, before)


def net(contestant: Callable[..., Any], dims: tuple[int, ...]) -> Step:
    """Make the training step of a net in float32."""
    step: Step = contestant(make_problem(dims[0], dims[1:], "float32")).step
    return step


def recurrent() -> Step:
    """Make the gradients of a tanh net of 50 steps, its states written to an array."""
    rng = np.random.default_rng(0)
    W, U = (rng.standard_normal((50, 50)) / 10 for _ in range(2))
    x = rng.standard_normal((50, 8, 50))

    def loss(W: Any, U: Any, x: Any) -> Any:
        h = mg.tensor(np.zeros((51, 8, 50)))
        for t in range(50):
            h[t + 1] = np.tanh(x[t] @ U + h[t] @ W)
        return np.sum(h**2)

    step = mg.jit(mg.value_and_grad(loss, (0, 1)))
    return lambda: step(W, U, x)


def chain() -> Step:
    """Make the gradients of 200 small calls."""

    def f(x: Any, y: Any) -> Any:
        for _ in range(50):
            x = np.maximum(x * y + 0.5, 0) - 0.1 * x
        return np.sum(x)

    x, y = np.linspace(-1, 1, 12).reshape(4, 3), np.linspace(0.9, 1.1, 3)
    step = mg.jit(mg.value_and_grad(f, (0, 1)))
    return lambda: step(x, y)


def rows() -> Step:
    """Make the changes of 200 rows in place, one after the other."""

    def f(x: Any) -> Any:
        for i in range(200):
            x[i] *= 0.5
            x[i] += 1
        return x

    step, x = mg.jit(f), np.ones((200, 50))
    return lambda: step(x)
