"""Update rules: one step of a parameter along its gradient.

A rule is declared once, as a function of arrays that returns the step and the new state, and has two forms. In the
course's, that of Stanford's CS231n, ``rule(w, dw, config=None) -> (w, config)`` updates the parameter in place; the
dict has the rule's settings and its state. As pure functions, ``state = rule.init(params)`` and
``params, state = rule.update(grads, state, params, learning_rate=1e-3)`` take nested parameters and change nothing:
they go into a training step that `minigrad.jit` compiles whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine.arguments import NAMES, names_itself
from .engine.arrays import STAND_INS
from .engine.containers import leaves_like, leaves_of, map_tree, rebuilt_of
from .engine.pickling import PickledByName
from .engine.tensor import Tensor
from .rules.conjugates import conj

__all__ = [
    "UpdateRule",
    "adagrad",
    "adam",
    "adamw",
    "clip_global_norm",
    "find_rule",
    "nesterov_momentum",
    "rmsprop",
    "sgd",
    "sgd_momentum",
    "update_rule",
    "update_rules",
]

Config = dict[str, Any]
CourseRule = Callable[[NDArray[Any], NDArray[Any], Config | None], tuple[NDArray[Any], Config]]
Step = Callable[[Any, Any, dict[str, Any], dict[str, Any]], tuple[Any, dict[str, Any]]]


class UpdateRule(PickledByName):
    """An update rule in both forms; made by `update_rule`.

    Parameters
    ----------
    step
        ``step(w, dw, state, settings) -> (step, state)``: what is added to the parameter, and the new state; pure.
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
        dw : ndarray of w's shape and dtype
            The gradient of the loss with respect to `w`.
        config : dict, optional
            The settings and the state; what is missing is filled in.

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
        _check_step(self.__name__, w, dw)
        settings = {name: config.get(name, default) for name, default in self.settings.items()}
        for name, value in settings.items():
            check_setting(self.__name__, name, value)
        check_keys(self.__name__, config, known={*self.settings, *self.state})
        state = {name: _state(self.__name__, name, config, w) for name in self.state}
        # Python floats: they never widen float32.
        step, state = self.step(w, dw, state, {name: float(value) for name, value in settings.items()})
        for name, value in settings.items():
            config.setdefault(name, value)
        config.update({name: int(x) if name == "t" else np.asarray(x, w.dtype) for name, x in state.items()})
        w += step
        return w, config

    @names_itself
    def init(self, params: Any) -> dict[str, Any]:
        """Return the state before the first step, of nested dicts, lists and tuples of parameters."""
        _refuse_leaves(self.__name__, "a parameter", leaves_of(params))
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
        check_keys(self.__name__, settings, known=set(self.settings))
        for name, value in settings.items():
            _check_setting(self.__name__, name, value)
        settings = self.settings | settings
        if not isinstance(state, dict) or any(name not in state for name in self.state):
            raise TypeError(
                f"{self.__name__}: state is {state!r}; expected what init returns: {{{', '.join(self.state)}}}"
            )
        weights, slopes = leaves_of(params), leaves_like(params, grads, f"{self.__name__}: grads")
        states = {
            name: leaves_like(params, state[name], f"{self.__name__}: the state {name}")
            for name in self.state
            if name != "t"
        }
        of_state = {f"the state {name}": each for name, each in states.items()}
        for kind, leaves in ({"a parameter": weights, "a gradient": slopes} | of_state).items():
            _refuse_leaves(self.__name__, kind, leaves)
        steps: dict[str, list[Any]] = {name: [] for name in states}
        moved, old = [], {name: _steps_made(self.__name__, state[name]) for name in self.state if name == "t"}
        new: dict[str, Any] = {}
        for i, (w, dw) in enumerate(zip(weights, slopes, strict=True)):
            _check_pair(self.__name__, w, dw)
            for name, each in states.items():
                if np.shape(each[i]) != w.shape:
                    raise ValueError(
                        f"{self.__name__}: {name} has shape {np.shape(each[i])}, its parameter {w.shape}; they must "
                        "agree"
                    )
            own = {name: _of_dtype(value, w.dtype) for name, value in settings.items()}
            step, new = self.step(w, dw, old | {name: each[i] for name, each in states.items()}, own)
            new_w = _of_dtype(w + step, w.dtype)
            # An array of no axes stays one.
            became_number = type(w) is np.ndarray and isinstance(new_w, np.generic)
            moved.append(np.asarray(new_w) if became_number else new_w)
            for name, each in steps.items():
                each.append(_of_dtype(new[name], w.dtype))
        result = {name: rebuilt_of(params, each) for name, each in steps.items()}
        return rebuilt_of(params, moved), result | {name: new.get(name, value) for name, value in old.items()}

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


@update_rule(learning_rate=1e-2)
def sgd(w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Stochastic gradient descent: ``w -= learning_rate * dw``."""
    return -settings["learning_rate"] * dw, state


@update_rule("velocity", learning_rate=1e-2, momentum=0.9)
def sgd_momentum(w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Gradient descent with momentum: ``velocity = momentum * velocity - learning_rate * dw``; ``w += velocity``.

    Polyak: "Some methods of speeding up the convergence of iteration methods", 1964.
    """
    velocity = settings["momentum"] * state["velocity"] - settings["learning_rate"] * dw
    return velocity, {"velocity": velocity}


@update_rule("velocity", learning_rate=1e-2, momentum=0.9)
def nesterov_momentum(w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Momentum with the gradient at the lookahead point: ``velocity`` as in `sgd_momentum`, ``w += momentum *
    velocity - …dw``.

    Written for the parameters looked ahead, as in the notes of CS231n: the step is
    ``momentum * velocity - learning_rate * dw`` with the new velocity. Nesterov: "A method of solving a convex
    programming problem with convergence rate O(1/k²)", 1983.
    """
    move = settings["learning_rate"] * dw
    velocity = settings["momentum"] * state["velocity"] - move
    return settings["momentum"] * velocity - move, {"velocity": velocity}


@update_rule("cache", learning_rate=1e-2, epsilon=1e-8)
def adagrad(w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Steps over the root of the sum of squared gradients: ``w -= learning_rate * dw / (sqrt(cache) + epsilon)``.

    Duchi, Hazan, Singer: "Adaptive subgradient methods for online learning and stochastic optimization", 2011.
    """
    cache = state["cache"] + dw * conj(dw)
    return -settings["learning_rate"] * dw / (np.sqrt(cache) + _epsilon(settings, w)), {"cache": cache}


@update_rule("cache", learning_rate=1e-2, decay_rate=0.99, epsilon=1e-8)
def rmsprop(w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]) -> Any:
    """As `adagrad`, with a moving average of the squared gradients, of ``decay_rate``, in place of their sum.

    Tieleman, Hinton: "Lecture 6.5, rmsprop", Coursera, 2012.
    """
    decay = settings["decay_rate"]
    cache = decay * state["cache"] + (1 - decay) * dw * conj(dw)
    return -settings["learning_rate"] * dw / (np.sqrt(cache) + _epsilon(settings, w)), {"cache": cache}


@update_rule("m", "v", "t", learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8)
def adam(w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]) -> Any:
    """Moving averages of the gradient, ``m``, over the root of that of its square, ``v``; bias-corrected by ``t``.

    ``t`` is raised before it is used. Kingma, Ba: "Adam: a method for stochastic optimization", 2015.
    """
    beta1, beta2, t = settings["beta1"], settings["beta2"], state["t"] + 1
    m = beta1 * state["m"] + (1 - beta1) * dw
    v = beta2 * state["v"] + (1 - beta2) * dw * conj(dw)
    m_scale, v_scale = (_of_dtype(1 / (1 - beta**t), w.dtype) for beta in (beta1, beta2))
    step = -settings["learning_rate"] * m_scale * m / (np.sqrt(v_scale * v) + _epsilon(settings, w))
    return step, {"m": m, "v": v, "t": t}


@update_rule("m", "v", "t", learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=1e-2)
def adamw(w: Any, dw: Any, state: dict[str, Any], settings: dict[str, Any]) -> Any:
    """`adam`, and apart from it ``w -= learning_rate * weight_decay * w``.

    Loshchilov, Hutter: "Decoupled weight decay regularization", 2019.
    """
    step, state = adam.step(w, dw, state, settings)
    return step - settings["learning_rate"] * settings["weight_decay"] * w, state


@names_itself
def clip_global_norm(grads: Any, max_norm: float) -> tuple[Any, Any]:
    """Scale nested gradients so that the norm of all together is at most ``max_norm``.

    Pascanu, Mikolov, Bengio: "On the difficulty of training recurrent neural networks", 2013.

    Parameters
    ----------
    grads
        Gradients in nested dicts, lists and tuples; they are not changed.
    max_norm : float
        Above 0; ``numpy.inf`` measures alone.

    Returns
    -------
    grads
        The gradients, each of its dtype.
    norm : number
        The norm that they had.

    Raises
    ------
    ValueError
        If ``max_norm`` is not above 0.
    TypeError
        If a gradient is no array of floats.
    """
    if not max_norm > 0:
        raise ValueError(f"clip_global_norm: max_norm is {max_norm!r}; expected a number above 0")
    leaves = leaves_of(grads)
    for g in leaves:
        if not hasattr(g, "dtype") or g.dtype.kind not in "fc":
            raise TypeError(f"clip_global_norm: grads hold {_told(g)}; expected arrays of floats")
    norm = np.sqrt(sum([np.sum(np.square(_sizes(g).astype(np.float64))) for g in leaves], np.float64(0)))
    if max_norm == math.inf:
        return rebuilt_of(grads, [g * 1 for g in leaves]), norm
    scale = max_norm / np.maximum(norm, max_norm)
    return rebuilt_of(grads, [g * _of_dtype(scale, g.dtype) for g in leaves]), norm


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


def _told(x: Any) -> str:
    """Say what is no array of floats."""
    return f"an array of {x.dtype}" if hasattr(x, "dtype") else repr(x)


def _refuse_leaves(rule: str, kind: str, leaves: list[Any]) -> None:
    """Refuse leaves of a tape: the step would be recorded, and with it all steps before.

    Inside `grad`, whose arguments are no leaves, a step may be differentiated.
    """
    if any(isinstance(x, Tensor) and x.requires_grad and x._call is None for x in leaves):
        or_grad = ", or the parameter's .grad" if kind == "a gradient" else ""
        raise TypeError(
            f"{rule}: {kind} is a leaf of the tape, and the step would be recorded; give its array, .data{or_grad}"
        )


def _check_pair(rule: str, w: Any, dw: Any) -> None:
    """Refuse a parameter and a gradient that are no arrays of floats of one shape."""
    for name, x in (("a parameter", w), ("a gradient", dw)):
        if not hasattr(x, "dtype") or x.dtype.kind not in "fc":
            raise TypeError(f"{rule}: {name} is {_told(x)}; expected an array of floats")
    if dw.shape != w.shape:
        raise ValueError(f"{rule}: a gradient has shape {dw.shape}, its parameter {w.shape}; they must agree")
    if dw.dtype.kind == "c" and w.dtype.kind != "c":
        raise TypeError(
            f"{rule}: a gradient is of {dw.dtype}, its parameter of {w.dtype}; take its real part"
        )


def _check_setting(rule: str, name: str, value: Any) -> None:
    """Do as `check_setting`; of an array, or what stands in for one, look at what is known of it."""
    if not hasattr(value, "dtype"):
        check_setting(rule, name, value)
    elif value.shape != () or value.dtype.kind not in "fiu":
        raise ValueError(
            f"{rule}: {name} is an array of shape {value.shape} and dtype {value.dtype}; expected one real number"
        )
    elif type(value) not in STAND_INS:
        check_setting(rule, name, value.item())


def _steps_made(rule: str, t: Any) -> Any:
    """Return the number of steps made in a dtype that does not overflow."""
    counts = isinstance(t, int) or (hasattr(t, "dtype") and t.dtype.kind in "iu" and t.shape == ())
    if not counts or (type(t) not in STAND_INS and t < 0):
        raise ValueError(f"{rule}: t is {t!r}; expected the number of steps made, an integer >= 0")
    return t if isinstance(t, int) else t.astype(np.int64)


def _epsilon(settings: dict[str, Any], w: Any) -> Any:
    """Return epsilon, in float16 no smaller than its smallest normal number: 1e-8 would be 0."""
    epsilon = settings["epsilon"]
    return epsilon if w.dtype.itemsize > 2 else np.maximum(epsilon, np.finfo(w.dtype).tiny)


def _sizes(x: Any) -> Any:
    """Return the absolute values of complex numbers; real ones as they are."""
    return np.abs(x) if x.dtype.kind == "c" else x


def _of_dtype(x: Any, dtype: np.dtype[Any]) -> Any:
    """Return an array or a NumPy number in a dtype; a Python number, which widens none, as it is."""
    return x.astype(dtype, copy=False) if hasattr(x, "astype") else x


def _state(rule: str, name: str, config: Config, w: NDArray[Any]) -> Any:
    """Return a rule's state from a config; the initial state where it is missing."""
    if name == "t":
        t = config.get("t", 0)
        if not isinstance(t, (int, np.integer)) or t < 0:
            raise ValueError(f"{rule}: t is {t!r}; expected the number of steps made, an integer >= 0")
        return int(t)
    value = np.asarray(config[name], w.dtype) if config.get(name) is not None else np.zeros_like(w)
    if value.shape != w.shape:
        raise ValueError(
            f"{rule}: {name} has shape {value.shape}, the parameter w has {w.shape}; they must agree"
        )
    return value


def _check_step(rule: str, w: NDArray[Any], dw: NDArray[Any]) -> None:
    if not isinstance(w, np.ndarray):
        raise TypeError(f"{rule}: w must be a NumPy array, got {type(w).__name__}")
    if not isinstance(dw, np.ndarray | np.generic):  # NumPy's arithmetic turns 0-d arrays into scalars
        raise TypeError(f"{rule}: dw must be a NumPy array, got {type(dw).__name__}")
    if not np.issubdtype(w.dtype, np.floating):
        raise TypeError(
            f"{rule}: w must have a floating dtype, got {w.dtype}; convert it with w.astype(float)"
        )
    if not w.flags.writeable:
        raise ValueError(
            f"{rule}: w is read-only and is updated in place; pass a writable array, such as w.copy()"
        )
    if dw.shape != w.shape:
        raise ValueError(
            f"{rule}: the gradient dw has shape {dw.shape}, the parameter w has {w.shape}; they must agree"
        )
    if dw.dtype != w.dtype:
        raise TypeError(
            f"{rule}: the gradient dw has dtype {dw.dtype}, the parameter w has {w.dtype}; "
            "they must agree: convert one of them with astype"
        )


def check_setting(rule: str, name: str, value: object) -> None:
    """Refuse a setting that is no finite number >= 0; what weighs an average is below 1."""
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    if isinstance(value, bool) or not isinstance(value, float | int | np.floating | np.integer):
        raise TypeError(f"{rule}: {name} must be a number, got {value!r}")
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{rule}: {name} must be finite and >= 0, got {value!r}")
    if name in ("momentum", "decay_rate", "beta1", "beta2") and value >= 1:
        raise ValueError(f"{rule}: {name} must be in [0, 1), got {value!r}")


def check_keys(rule: str, config: Config, known: set[str]) -> None:
    """Refuse names that are none of a rule's."""
    if unknown := config.keys() - known:
        raise ValueError(
            f"{rule}: the rule does not know {sorted(unknown)} in its config; it knows {sorted(known)}"
        )
