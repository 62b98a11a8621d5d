"""Learning-rate schedules: functions of the step, counted from 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from ..engine.arguments import names_itself
from ..engine.scalars import as_int, as_real

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
    learning_rate = as_real("learning_rate", learning_rate, "(0, inf)")
    final = as_real("final", final, "[0, inf)")
    num_steps = as_int("num_steps", num_steps, least=1)

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
    learning_rate = as_real("learning_rate", learning_rate, "(0, inf)")
    factor = as_real("factor", factor, "(0, inf)")
    every = as_int("every", every, least=1)
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
    num_steps = as_int("num_steps", num_steps, least=1)
    whole = schedule if callable(schedule) else as_real("schedule", schedule, "(0, inf)")

    def rate(step: int) -> float:
        full = whole(step) if callable(whole) else whole
        return full * min((step + 1) / num_steps, 1.0)

    return rate
