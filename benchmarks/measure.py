"""One interleaved run: every contestant in turn, A B C, B C A, C A B, …, and the figures of it."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np

Step = Callable[[], Any]
"""What is timed: it takes nothing; what it returns is checked once and then ignored."""

LEAST_ROUNDS = 15
LEAST_SAMPLE = 5_000_000
"""Nanoseconds; faster steps are repeated within a sample, so that the first call, in cold caches, counts little."""


@dataclass(frozen=True)
class Case:
    """Steps that do the same work, to be timed against one another.

    Parameters
    ----------
    name
        What is measured, in a few words.
    steps
        The contestants, by name.
    against
        The names of those the others are compared with.
    operations
        How many operations a step consists of; times are given for one.
    """

    name: str
    steps: Mapping[str, Step]
    against: tuple[str, ...]
    operations: int = 1


def measure(case: Case, seconds: float) -> dict[str, Any]:
    """Time a case's steps for about so many seconds, and for `LEAST_ROUNDS` rounds at least.

    Returns
    -------
    dict
        The case, the number of rounds and, by contestant: the quartiles of its times, in microseconds an
        operation, and its ratio to each of those it is compared with, the median over the rounds of the
        ratio of the two within a round.
    """
    samples = run(case.steps, seconds)
    microseconds = {name: times / (1000 * case.operations) for name, times in samples.items()}
    contestants = {}
    for name, times in microseconds.items():
        low, median, high = np.percentile(times, [25, 50, 75]).tolist()
        ratios = {other: float(np.median(times / microseconds[other])) for other in case.against}
        contestants[name] = {"median": median, "quartiles": [low, high], "ratios": ratios}
    rounds = len(next(iter(samples.values())))
    return {"case": case.name, "rounds": rounds, "contestants": contestants}


def run(steps: Mapping[str, Step], seconds: float) -> dict[str, np.ndarray]:
    """Return the nanoseconds each step took, a sample a round; who goes first rotates."""
    repeats = {name: warm_up(step) for name, step in steps.items()}
    samples: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    end = perf_counter() + seconds
    while len(samples[order[0]]) < LEAST_ROUNDS or perf_counter() < end:
        gc.collect()
        for name in order:
            samples[name].append(sample(steps[name], repeats[name]))
        order.append(order.pop(0))
    return {name: np.array(times) for name, times in samples.items()}


def warm_up(step: Step) -> int:
    """Call a step a few times; return how often a sample must repeat it."""
    fastest = min(sample(step, 1) for _ in range(5))
    return math.ceil(LEAST_SAMPLE / fastest)


def sample(step: Step, repeats: int) -> float:
    """Return the nanoseconds a step takes, the mean over so many calls in a row."""
    start = perf_counter_ns()
    for _ in range(repeats):
        step()
    return (perf_counter_ns() - start) / repeats


def check_agreement(steps: Mapping[str, Step], tolerance: float) -> None:
    """Call every step once and compare the arrays they return; a step that returns None has no say.

    Raises
    ------
    ArithmeticError
        If an entry is further from the first contestant's than ``tolerance`` times the largest of the array.
    """
    results = {name: result for name, step in steps.items() if (result := step()) is not None}
    first, *others = results
    for other in others:
        for what, expected in results[first].items():
            found = np.asarray(results[other][what])
            if not np.max(np.abs(found - expected)) <= tolerance * np.max(np.abs(expected)):
                raise ArithmeticError(f"{other} and {first} disagree on {what}, by more than {tolerance:g}")
