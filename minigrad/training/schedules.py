"""Learning-rate schedules: functions of the step, counted from 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ..engine.arguments import names_itself

Schedule: TypeAlias = Callable[[int], float]


@names_itself
def cosine(learning_rate: float, num_steps: int, final: float = 0.0) -> Schedule:
    """Return a cosine schedule, from a learning rate at step 0 to another at step ``num_steps``, then constant.

    Parameters
    ----------
    learning_rate : float
        The first learning rate, > 0.
    num_steps : int
        The steps to the last one, at least 1: epochs times iterations an epoch.
    final : float
        The last learning rate, >= 0.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.

    Notes
    -----
    I. Loshchilov, F. Hutter, *SGDR: Stochastic Gradient Descent with Warm Restarts*, 2017, without the restarts.
    """
    learning_rate = _rate("cosine", "learning_rate", learning_rate)
    final = _rate("cosine", "final", final, or_zero=True)
    num_steps = _count("cosine", "num_steps", num_steps)

    def rate(step: int) -> float:
        progress = min(step / num_steps, 1.0)
        return final + (learning_rate - final) * 0.5 * (1 + math.cos(math.pi * progress))

    return rate


@names_itself
def step_decay(learning_rate: float, every: int, factor: float = 0.1) -> Schedule:
    """Return a step schedule, multiplied by ``factor`` after each ``every`` steps.

    Raises
    ------
    TypeError, ValueError
        Unless the learning rate and `factor` are finite numbers > 0, and `every` is an int >= 1.
    """
    learning_rate = _rate("step_decay", "learning_rate", learning_rate)
    factor = _rate("step_decay", "factor", factor)
    every = _count("step_decay", "every", every)
    return lambda step: learning_rate * factor ** (step // every)


@names_itself
def warmup(schedule: Schedule | float, num_steps: int) -> Schedule:
    """Return a schedule, or a constant, with a linear warmup over its first ``num_steps`` steps.

    Step t < num_steps has ``(t + 1) / num_steps`` times its learning rate. The schedule is not shifted.

    Raises
    ------
    TypeError, ValueError
        Unless the schedule is a function of the step or a finite number > 0, and `num_steps` an int >= 1.
    """
    num_steps = _count("warmup", "num_steps", num_steps)
    whole = schedule if callable(schedule) else _rate("warmup", "schedule", schedule)

    def rate(step: int) -> float:
        full = whole(step) if callable(whole) else whole
        return full * min((step + 1) / num_steps, 1.0)

    return rate


def _rate(function: str, name: str, value: object, or_zero: bool = False) -> float:
    """Return a learning rate, or a factor of one, as Python's; refuse what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{function}: {name} must be a number, got {value!r}")
    if not (math.isfinite(value) and (value > 0 or (or_zero and value == 0))):
        raise ValueError(f"{function}: {name} must be finite and {'>=' if or_zero else '>'} 0, got {value!r}")
    return float(value)


def _count(function: str, name: str, value: object) -> int:
    """Return a number of steps as Python's; refuse what is none."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{function}: {name} must be an int, got {value!r}")
    if value < 1:
        raise ValueError(f"{function}: {name} must be at least 1, got {value!r}")
    return int(value)
