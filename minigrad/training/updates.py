"""An update of all parameters by a rule, and its learning rates."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiler.jit import JitError, Jitted, jit
from ..engine.scalars import as_real, entry
from ..optim.rule import CourseRule, UpdateRule
from ..optim.validation import Config, check_setting
from .checkpoint import restored
from .returned import check_updated
from .schedules import Schedule

Params = dict[str, NDArray[Any]]
Grads = Mapping[str, NDArray[Any]]
Configs = dict[str, Config]


class OneByOne:
    """An update of one parameter after the other, in place, by a function that gets a config for each.

    Parameters
    ----------
    rule : callable
        ``rule(w, dw, config) -> (w, config)``.
    config : dict
        Each parameter's, before the first step.
    params : dict of ndarrays
        The parameters.

    Attributes
    ----------
    configs : dict
        The configs, by parameter.
    """

    def __init__(self, rule: CourseRule, config: Config, params: Params) -> None:
        self._rule = rule
        self._tied = share_memory(params)
        self._initial = copy.deepcopy(config)
        self.configs: Configs = {name: copy.deepcopy(config) for name in params}

    def __call__(self, params: Params, grads: Grads) -> None:
        """Update the parameters; a result that is unfit is refused before any is taken over.

        Those that share memory add up their steps, so that each is taken over at once.
        """
        grads = apart(grads, params)
        for group in [{name: w} for name, w in params.items()] if self._tied else [params]:
            results = {
                name: check_updated(self._rule, name, w, self._rule(w, grads[name], self.configs[name]))
                for name, w in group.items()
            }
            for name, (w, config) in results.items():
                self.configs[name] = config
                if params[name].flags.writeable:
                    params[name][...] = w
                else:
                    params[name] = w

    def begin_anew(self, params: Params) -> None:
        """Reset the configs, but for the learning rates."""
        for name, config in self.configs.items():
            rate = {"learning_rate": config["learning_rate"]} if "learning_rate" in config else {}
            self.configs[name] = copy.deepcopy(self._initial) | rate

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"configs": self.configs}

    def restore(self, saved: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.configs = saved["configs"]


class AtOnce:
    """An update of all parameters at once, by a rule of `minigrad.optim`: compiled.

    Views of other arrays, and the parameters of a rule that `jit` cannot compile, are updated by the rule as it is
    written.

    Parameters
    ----------
    rule : UpdateRule
        The rule.
    config : dict
        Its settings.
    params : dict of ndarrays
        The parameters, which share no memory; they are updated in place.

    Attributes
    ----------
    configs : dict
        The settings, under one name.
    """

    def __init__(self, rule: UpdateRule, config: Config, params: Params) -> None:
        self._rule = rule
        self._state = rule.init(params)
        self._can_be_compiled = True
        numbers = {name: entry(value) for name, value in config.items()}  # which can be hashed; arrays cannot
        self.configs: Configs = {"all parameters": rule.settings | numbers}

    def __call__(self, params: Params, grads: Grads) -> None:
        """Update the parameters."""
        rate, others = self._settings()
        step = compiled(self._rule, tuple(others.items()))
        arguments = apart(grads, params), self._state, params, rate
        is_own = all(w.base is None for w in params.values())
        try:
            new, self._state = (step if is_own and self._can_be_compiled else step.function)(*arguments)
        except JitError:  # nothing has been written
            self._can_be_compiled = False
            new, self._state = step.function(*arguments)
        for name, w in params.items():
            if new[name] is not w:
                w[...] = new[name]

    def _settings(self) -> tuple[Config, Config]:
        """Return the learning rate, as an array, which may change without compiling anew, and the other settings."""
        (settings,) = self.configs.values()
        if "learning_rate" not in settings:
            return {}, settings
        others = dict(settings)
        rate = others.pop("learning_rate")
        check_setting(self._rule.__name__, "learning_rate", rate)
        return {"learning_rate": np.float64(rate)}, others

    def begin_anew(self, params: Params) -> None:
        """Reset the state; the settings stay."""
        self._state = self._rule.init(params)

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"configs": self.configs, "state": self._state}

    def restore(self, saved: dict[str, Any]) -> None:
        """Restore the state from a checkpoint."""
        self.configs = saved["configs"]
        self._state = restored(self._state, saved["state"])


@lru_cache(maxsize=32)
def compiled(rule: UpdateRule, settings: tuple[tuple[str, float], ...]) -> Jitted:
    """Return a rule's pure update with settings, compiled once for all trainings of this process."""

    def step(grads: Params, state: dict[str, Any], params: Params, rate: Config) -> Any:
        return rule.update(grads, state, params, **rate, **dict(settings))

    return jit(step, donate_argnums=(1, 2))  # type: ignore[no-any-return]  # of a function


def apart(grads: Grads, params: Params) -> Params:
    """Return the parameters' gradients, copied where they may share memory with a parameter."""
    written = {id(owner(w)) for w in params.values()}
    return {
        name: dw.copy() if id(owner(dw)) in written else dw
        for name, dw in ((name, grads[name]) for name in params)
    }


def owner(x: NDArray[Any]) -> Any:
    """Return the array that owns an array's memory."""
    return x if x.base is None else x.base


def share_memory(params: Params) -> bool:
    """Tell whether two parameters may share memory."""
    return any(np.may_share_memory(*pair) for pair in combinations(params.values(), 2))


def updating(rule: CourseRule, config: Config, params: Params) -> OneByOne | AtOnce:
    """Return the update of parameters by a rule; one by one where they share memory, so that their steps add up."""
    if isinstance(rule, UpdateRule) and not share_memory(params):
        return AtOnce(rule, config, params)
    return OneByOne(rule, config, params)


def follow(schedule: Schedule, step: int, configs: Configs) -> None:
    """Set the learning rates to a schedule's."""
    rate = as_real(f"the learning rate of lr_schedule({step})", schedule(step), "[0, inf)")
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
    for config in configs.values():  # not in place: it may be an array of another's
        config["learning_rate"] = config["learning_rate"] * factor


def learning_rate(configs: Configs, default: Any = None) -> Any:
    """Return the first parameter's learning rate, or a default where it has the rule's."""
    return next(iter(configs.values())).get("learning_rate", default)
