"""An update rule: a step, made into the course's form, in place, and into a pair of pure functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.arguments import NAMES, names_itself
from ..engine.arrays import STAND_INS
from ..engine.containers import leaves_like, leaves_of, map_tree, rebuilt_of
from ..engine.pickling import PickledByName
from ..layers.parameters import check_keys
from .validation import (
    Config,
    array_of_dtype,
    check_in_place,
    check_pair,
    check_setting,
    check_state,
    refuse_leaves,
    state_of,
    steps_made,
)

CourseRule = Callable[[NDArray[Any], NDArray[Any], Config | None], tuple[NDArray[Any], Config]]
Step = Callable[[Any, Any, dict[str, Any], dict[str, Any]], tuple[Any, dict[str, Any]]]


class UpdateRule(PickledByName):
    """An update rule in both forms; made by `update_rule`.

    Parameters
    ----------
    step
        ``step(w, dw, state, settings) -> (step, state)``, pure: the change of the parameter, and the new state.
    settings
        The settings, and their defaults.
    state
        The names of the state's entries: arrays of the parameter's shape, initially 0; but ``t`` is the number of
        steps made.
    """

    def __init__(self, step: Step, settings: dict[str, float], state: tuple[str, ...]) -> None:
        self.step, self.settings, self.state = step, settings, state
        self.__name__ = self.__qualname__ = step.__name__
        self.__module__, self.__doc__ = step.__module__, step.__doc__
        NAMES.add(self.__name__)

    @names_itself
    def __call__(
        self, w: NDArray[Any], dw: NDArray[Any], config: Config | None = None
    ) -> tuple[NDArray[Any], Config]:
        """Update a parameter in place.

        Parameters
        ----------
        w : ndarray of any shape, floating
            The parameter; it is overwritten.
        dw : ndarray of w's shape
            The gradient of the loss with respect to `w`; of another dtype, it is converted to w's.
        config : dict, optional
            The settings and the state; missing entries are filled in.

        Returns
        -------
        w : ndarray
            The array that was passed in, updated; its dtype does not change.
        config : dict
            The dict that was passed in, or a new one.

        Raises
        ------
        TypeError, ValueError
            When an argument is not as above; nothing has been changed then.
        """
        config = {} if config is None else config
        if not isinstance(config, dict):
            raise TypeError(
                f'{self.__name__}: config is {config!r}; expected a dict, such as {{"learning_rate": 1e-2}}'
            )
        check_in_place(self.__name__, w, dw)
        settings = {name: config.get(name, default) for name, default in self.settings.items()}
        for name, value in settings.items():
            check_setting(self.__name__, name, value)
        check_keys(f"{self.__name__}: config", config, {*self.settings, *self.state})
        state = {name: state_of(self.__name__, name, config, w) for name in self.state}
        # Python floats: they never widen float32.
        numbers = {
            name: of_dtype(value, w.dtype) if type(value) in STAND_INS else float(value)
            for name, value in settings.items()
        }
        step, state = self.step(w, of_dtype(dw, w.dtype), state, numbers)
        for name, value in settings.items():
            config.setdefault(name, value)
        count = np.int64 if type(w) in STAND_INS else int  # each new int would compile a step anew
        for name, x in state.items():
            if name != "t":
                config[name] = array_of_dtype(x, w.dtype)
            else:
                config[name] = x if type(x) in STAND_INS else count(x)
        w += step
        return w, config

    @names_itself
    def init(self, params: Any) -> dict[str, Any]:
        """Return the state before the first step, of nested dicts, lists and tuples of parameters."""
        refuse_leaves(self.__name__, "a parameter", leaves_of(params))
        return {
            name: np.int64(0) if name == "t" else map_tree(lambda _, w: np.zeros_like(w), None, params)
            for name in self.state
        }

    @names_itself
    def update(
        self, grads: Any, state: dict[str, Any], params: Any, **settings: Any
    ) -> tuple[Any, dict[str, Any]]:
        """Return the parameters after a step, and the new state; nothing is changed.

        Parameters
        ----------
        grads
            The gradients, nested as the parameters are.
        state
            The state from `init`, or from the step before.
        params
            The parameters.
        **settings
            Settings other than the defaults. One that changes from step to step (a learning rate on a schedule) is
            best given as an array, ``np.float32(learning_rate)``: a compiled step stays the same.

        Raises
        ------
        TypeError, ValueError
            When a setting is unknown or out of its range, gradients or state are nested or shaped otherwise than
            the parameters, or one is a tensor that is a leaf. Dicts are matched by their keys, in any order.
        """
        check_keys(f"{self.__name__}: **settings", settings, set(self.settings))
        for name, value in settings.items():
            check_setting(self.__name__, name, value)
        settings = self.settings | settings
        if not isinstance(state, dict) or any(name not in state for name in self.state):
            given = (
                f"a dict of {sorted(map(str, state))}" if isinstance(state, dict) else type(state).__name__
            )
            raise TypeError(
                f"{self.__name__}: state is {given}; expected what {self.__name__}.init returns, a dict of "
                f"{sorted(self.state)}"
            )
        weights, slopes = leaves_of(params), leaves_like(params, grads, f"{self.__name__}: grads")
        states = {
            name: leaves_like(params, state[name], f"{self.__name__}: the state {name}")
            for name in self.state
            if name != "t"
        }
        of_state = {f"the state {name}": each for name, each in states.items()}
        for kind, leaves in ({"a parameter": weights, "a gradient": slopes} | of_state).items():
            refuse_leaves(self.__name__, kind, leaves)
        counts = {"t": steps_made(self.__name__, state["t"])} if "t" in self.state else {}
        moved = [
            self._moved(w, dw, {name: each[i] for name, each in states.items()} | counts, settings)
            for i, (w, dw) in enumerate(zip(weights, slopes, strict=True))
        ]
        new = {name: rebuilt_of(params, [each[name] for _, each in moved]) for name in states}
        counted = {name: moved[0][1][name] if moved else count for name, count in counts.items()}
        return rebuilt_of(params, [w for w, _ in moved]), new | counted

    def _moved(
        self, w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """Return one parameter after a step, and its new state; both keep its dtype."""
        check_pair(self.__name__, w, dw)
        for name in state.keys() - {"t"}:
            check_state(self.__name__, name, state[name], w)
        own = {name: of_dtype(value, w.dtype) for name, value in settings.items()}
        step, new = self.step(w, dw, state, own)
        moved = of_dtype(w + step, w.dtype)
        if type(w) is np.ndarray and isinstance(moved, np.generic):  # an array of no axes stays one
            moved = np.asarray(moved)
        return moved, {name: x if name == "t" else of_dtype(x, w.dtype) for name, x in new.items()}

    def __repr__(self) -> str:
        return f"UpdateRule({self.__name__})"


update_rules: dict[str, UpdateRule] = {}
"""The update rules by their names."""


@names_itself
def update_rule(*state: str, **settings: float) -> Callable[[Step], UpdateRule]:
    """Make an update rule of a step, and enter it in `update_rules`; the parameters are those of `UpdateRule`."""

    def enter(step: Step) -> UpdateRule:
        made = UpdateRule(step, settings, state)
        update_rules[made.__name__] = made
        return made

    return enter


@names_itself
def find_rule(rule: str | CourseRule) -> CourseRule:
    """Return the update rule of this name; a function is returned as it is.

    Raises
    ------
    ValueError
        When no rule has this name.
    TypeError
        When `rule` is neither a name nor a function.
    """
    if callable(rule):
        return rule
    if not isinstance(rule, str):
        raise TypeError(f"an update rule is a name or a function, got {rule!r}")
    if rule not in update_rules:
        raise ValueError(
            f"no update rule is named {rule!r}; known: {', '.join(sorted(update_rules))}. "
            "A function rule(w, dw, config) -> (w, config) can be given instead of a name."
        )
    return update_rules[rule]


def of_dtype(x: Any, dtype: np.dtype[Any]) -> Any:
    """Return an array or a NumPy number in a dtype; a Python number, which widens none, as it is."""
    return x.astype(dtype, copy=False) if hasattr(x, "astype") else x
