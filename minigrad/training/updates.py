"""An update of all parameters, each by the rule and a config of its own; their learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from .. import optim
from .arguments import check_gradients, check_learning_rate
from .schedules import Schedule

Configs = dict[str, optim.Config]


def update(
    rule: optim.CourseRule,
    params: dict[str, NDArray[Any]],
    grads: Mapping[str, NDArray[Any]],
    configs: Configs,
) -> None:
    """Update every parameter, after all gradients were checked."""
    check_gradients(params, grads)
    for name, w in params.items():
        params[name], configs[name] = rule(w, grads[name], configs[name])


def follow(schedule: Schedule, step: int, configs: Configs) -> None:
    """Set the learning rates to a schedule's."""
    rate = check_learning_rate(schedule(step), step)
    for config in configs.values():
        config["learning_rate"] = rate


def decay(configs: Configs, factor: float) -> None:
    """Multiply the learning rates by ``lr_decay``."""
    if factor == 1:
        return
    for name, config in configs.items():
        if "learning_rate" not in config:
            raise ValueError(
                f"lr_decay is {factor}, but the config of {name!r} has no 'learning_rate'; "
                "pass one in optim_config, or lr_decay=1"
            )
        config["learning_rate"] *= factor


def learning_rate(configs: Configs, default: Any = None) -> Any:
    """Return the first parameter's learning rate, or a default where it has the rule's."""
    return next(iter(configs.values())).get("learning_rate", default)
