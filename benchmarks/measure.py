"""One interleaved run: every contestant in turn, in an order drawn anew each round, and the figures of it."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter, perf_counter_ns, process_time_ns
from typing import Any

import numpy as np

Step = Callable[[], Any]
"""A function to be timed: without arguments, its result ignored."""

LEAST_ROUNDS = 5
LEAST_SAMPLE = 5_000_000
"""Nanoseconds; faster steps are repeated within a sample."""


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
    in_children
        Whether the work is done by other processes, so that this one's processor time says nothing.
    """

    name: str
    steps: Mapping[str, Step]
    against: tuple[str, ...]
    operations: int = 1
    in_children: bool = False


def measure(case: Case, seconds: float) -> dict[str, Any]:
    """Time a case's steps for about so many seconds, and for `LEAST_ROUNDS` rounds at least.

    Returns
    -------
    dict
        The case, the number of rounds and, by contestant: the median and the quartiles of its times, in
        microseconds an operation; of its processor time, which counts all threads, the median; and its ratio to
        each of those it is compared with: the median and the quartiles over the rounds of the ratio of
        the two within a round.
    """
    samples = {name: times / (1000 * case.operations) for name, times in run(case, seconds).items()}
    contestants = {}
    for name, (wall, processor) in samples.items():
        contestants[name] = {
            **spread(wall),
            "processor": None if case.in_children else float(np.median(processor)),
            "ratios": {other: spread(wall / samples[other][0]) for other in case.against},
        }
    rounds = len(next(iter(samples.values()))[0])
    return {"case": case.name, "operations": case.operations, "rounds": rounds, "contestants": contestants}


def spread(values: np.ndarray) -> dict[str, Any]:
    """Return the median and the quartiles."""
    low, median, high = np.percentile(values, [25, 50, 75]).tolist()
    return {"median": median, "quartiles": [low, high]}


def run(case: Case, seconds: float) -> dict[str, np.ndarray]:
    """Return the nanoseconds each step took, a sample a round: by the clock, and of processor time."""
    rng = np.random.default_rng(0)
    repeats = {name: warm_up(step) for name, step in case.steps.items()}
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in case.steps}
    end = perf_counter() + seconds
    rounds = 0
    while rounds < LEAST_ROUNDS or perf_counter() < end:
        gc.collect()
        for name in rng.permutation(list(case.steps)).tolist():
            samples[name].append(sample(case.steps[name], repeats[name]))
        rounds += 1
    return {name: np.array(times).T for name, times in samples.items()}


def warm_up(step: Step) -> int:
    """Call a step a few times, a slow one twice; return how often a sample must repeat it."""
    times = [clocked(step, 1)[0] for _ in range(2)]
    while len(times) < 5 and sum(times) < 1e9:
        times.append(clocked(step, 1)[0])
    return math.ceil(LEAST_SAMPLE / min(times))


def sample(step: Step, repeats: int) -> tuple[float, float]:
    """Time a step after one untimed call, which warms caches that another contestant left cold."""
    step()
    return clocked(step, repeats)


def clocked(step: Step, repeats: int) -> tuple[float, float]:
    """Return the nanoseconds a step takes by the clock and of processor time, the means over so many calls in a row."""
    processor, start = process_time_ns(), perf_counter_ns()
    for _ in range(repeats):
        step()
    return (perf_counter_ns() - start) / repeats, (process_time_ns() - processor) / repeats


def check_same(results: Iterable[tuple[str, np.ndarray]], tolerance: float) -> None:
    """Compare arrays by the name of who computed them.

    Raises
    ------
    ArithmeticError
        If an entry is further from the first one's than ``tolerance`` times the largest.
    """
    (first, expected), *others = results
    for name, found in others:
        if not np.max(np.abs(found - expected)) <= tolerance * np.max(np.abs(expected)):
            raise ArithmeticError(f"{name} and {first} disagree, by more than {tolerance:g}")
