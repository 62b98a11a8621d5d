"""The training step: forward, backward and update, of several nets."""

from __future__ import annotations

from collections.abc import Iterator

from . import peers
from .contestants import CONTESTANTS
from .measure import Case
from .problem import check_agreement, make_problem

SIZES = [(200, 3072, 50), (200, 3072, 100), (200, 3072, 500), (4, 8, 8)]


def cases() -> Iterator[Case]:
    """Make the cases one after the other, so that one at a time is in memory."""
    for n, input_dim, hidden_dim in SIZES:
        for dtype in ("float32", "float64"):
            yield training_step(n, (input_dim, hidden_dim), dtype)
    for dtype in ("float32", "float64"):
        yield training_step(200, (3072, 100), dtype, "svm")
    for dtype in ("float32", "float64"):
        yield training_step(200, (3072, 100, 100, 100, 100), dtype)


def training_step(n: int, dims: tuple[int, ...], dtype: str, loss: str = "softmax") -> Case:
    """Let every contestant take the step from the same parameters; check that all agree before they are timed."""
    problem = make_problem(n, dims, dtype, loss)
    makes = CONTESTANTS | peers.present()
    contestants = {name: make(problem) for name, make in makes.items()}
    check_agreement(problem, contestants)
    name = f"step, N={n}, {'-'.join(map(str, dims))}-10, {loss}, {dtype}"
    steps = {name: contestant.step for name, contestant in contestants.items()}
    return Case(name, steps, ("floor", "hand", "preallocated"))
