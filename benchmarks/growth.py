"""Growth: the cost of one operation, example or hidden unit as their number grows; it should stay flat."""

from __future__ import annotations

from collections.abc import Iterator

from . import chain
from .contestants import CONTESTANTS
from .measure import Case
from .problem import check_agreement, make_problem

OPS = [10**2, 10**3, 10**4, 10**5, 10**6]
BATCHES = [10, 100, 1000, 10_000]
HIDDEN = [10, 40, 100, 400, 1000, 4000]
LONGEST_CAPTURE = 10**4
"""Operations in the longest chain that is captured: each becomes a line of source."""


def cases() -> Iterator[Case]:
    """Make the cases one after the other, so that one at a time is in memory."""
    for length in OPS:
        makes = dict(chain.OWN)
        if length > LONGEST_CAPTURE:
            makes.pop("jit", None)
        yield chain.chain(length, makes)
    for n in BATCHES:
        yield step(f"one example of N={n}, 3072-100-10", n, 100, n)
    for hidden_dim in HIDDEN:
        yield step(
            f"one hidden unit of {hidden_dim}, N=200, 3072-{hidden_dim}-10", 200, hidden_dim, hidden_dim
        )


def step(name: str, n: int, hidden_dim: int, units: int) -> Case:
    """Make a training step in float32, whose times are given for one of its units."""
    problem = make_problem(n, (3072, hidden_dim), "float32")
    contestants = {name: make(problem) for name, make in CONTESTANTS.items()}
    check_agreement(problem, contestants)
    steps = {name: contestant.step for name, contestant in contestants.items()}
    return Case(f"{name}, float32", steps, ("floor",), units)
