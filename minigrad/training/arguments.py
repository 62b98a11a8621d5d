"""Validation of a Solver's arguments, before anything is changed."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.scalars import as_int, as_real
from ..engine.tensor import Tensor
from ..layers.parameters import check_keys
from ..optim.rule import CourseRule, UpdateRule, find_rule
from ..optim.validation import Config
from .identity import name_of


def check_arguments(arguments: Mapping[str, Any]) -> CourseRule:
    """Refuse arguments of a Solver that its docstring does not allow; return the update rule."""
    model, data, batches, weights = (
        arguments[name] for name in ("model", "data", "batches", "sample_weights")
    )
    check_model(model)
    check_data(data, is_labels=arguments["metric"] is None, is_streamed=batches is not None)
    check_options(arguments)
    if batches is not None:
        check_stream(batches, arguments["replacement"], weights)
    if weights is not None:
        check_weights(weights, len(data["X_train"]))
        check_takes_weights(model)
    rule = find_rule(arguments["update_rule"])
    check_config(rule, arguments["optim_config"], model.params)
    return rule


def check_model(model: Any) -> None:
    """Refuse a model without parameters or a loss, or whose parameters or state are made anew at each read."""
    if isinstance(model, type):
        raise TypeError(f"model is the class {model.__name__}; give an object of it, as {model.__name__}(…)")
    called = type(model).__name__
    params = getattr(model, "params", None)
    if not isinstance(params, dict):
        raise TypeError(f"{called}.params must be a dict from names to arrays, got {type(params).__name__}")
    if not params:
        raise TypeError(f"{called}.params is empty; all parameters must be there when the Solver is made")
    _check_params(called, params, again=model.params)
    state, again = getattr(model, "state", None), getattr(model, "state", None)
    if state is not again and (lost := _not_kept(state, again, f"{called}.state")):
        raise TypeError(
            f"{lost} is made anew whenever {called}.state is read, so that what `resume` restores there would be lost; "
            "let the attribute be a dict that the model keeps, and reads itself"
        )
    if not callable(getattr(model, "loss", None)):
        raise TypeError(f"{called} must have a method loss(X, y=None)")


def _check_params(called: str, params: dict[str, Any], again: dict[str, Any]) -> None:
    """Refuse parameters, read twice, that are no arrays of floats, or that are made anew."""
    for name, w in params.items():
        if not isinstance(w, np.ndarray):
            hint = {dict: "; give one dict of arrays, not nested", Tensor: "; give its array, .data"}
            raise TypeError(
                f"model.params[{name!r}] must be a NumPy array, got {type(w).__name__}{hint.get(type(w), '')}"
            )
        if w.dtype.kind not in "fc":
            raise TypeError(
                f"model.params[{name!r}] has dtype {w.dtype}; expected floats, as by astype(float)"
            )
        is_kept = again is params if not w.flags.writeable else np.may_share_memory(w, again[name])
        if w.size and not is_kept:
            raise TypeError(
                f"{called}.params is made anew whenever it is read, so that updates of {name!r} would be "
                "lost; it must hold the arrays that the model computes with"
            )


def _not_kept(first: Any, again: Any, place: str) -> str | None:
    """Return the place in a state, read twice, to which nothing can be restored; None if there is none.

    Arrays are restored in their memory, dicts, lists and generators in the object.
    """
    if first is again and isinstance(first, dict | list | np.random.Generator | np.random.RandomState):
        return None
    if type(first) is not type(again):
        return place
    if isinstance(first, np.ndarray):
        is_kept = first.flags.writeable and np.may_share_memory(first, again)
        return None if is_kept or first.size == 0 else place
    if isinstance(first, list | tuple):
        first, again = (dict(enumerate(each)) for each in (first, again))
    if not isinstance(first, dict):
        return place
    found = (_not_kept(each, again.get(name), f"{place}[{name!r}]") for name, each in first.items())
    return next((lost for lost in found if lost), None)


def check_data(data: Any, is_labels: bool, is_streamed: bool) -> None:
    """Refuse data without a training or a validation part, or with examples and targets that do not fit.

    Where the minibatches are streamed, the training part may be missing.
    """
    if not isinstance(data, Mapping):
        raise TypeError(
            f"data must be a mapping with X_train, y_train, X_val and y_val, got {type(data).__name__}"
        )
    for split in ("train", "val"):
        X, y = f"X_{split}", f"y_{split}"
        if is_streamed and split == "train" and X not in data and y not in data:
            continue
        for key in (X, y):
            if key not in data:
                raise ValueError(f"data has no {key!r}; it must have X_train, y_train, X_val and y_val")
        check_examples(X, data[X], y, data[y], is_labels)


def check_examples(X_name: str, X: Any, y_name: str, y: Any, is_labels: bool) -> None:
    """Refuse examples and targets of different numbers, none at all, and labels that are not integers."""
    X_shape, targets = np.shape(X), np.asarray(y)
    if X_shape[:1] != targets.shape[:1] or targets.ndim == 0 or (is_labels and targets.ndim != 1):
        expected = "(N,)" if is_labels else "(N, ...)"
        hint = ""
        if is_labels and targets.ndim == 2 and len(targets):
            hint = (
                "; of a column give y.ravel()"
                if targets.shape[1] == 1
                else "; of one-hot rows, y.argmax(axis=1)"
            )
        raise ValueError(
            f"{X_name} must have shape (N, ...) and {y_name} {expected}, of one N; "
            f"got {X_shape} and {targets.shape}{hint}"
        )
    if len(targets) == 0:
        raise ValueError(f"{X_name} is empty; at least one example is needed")
    if is_labels and not np.issubdtype(targets.dtype, np.integer):
        raise TypeError(
            f"{y_name} must hold integer labels, got {targets.dtype}; if these are classes, convert them with "
            "astype(int); for regression give metric=, a function of the model's outputs and the targets"
        )


def check_weights(sample_weights: Any, n: int) -> None:
    """Refuse anything but n finite weights > 0."""
    weights = np.asarray(sample_weights)
    if weights.shape != (n,) or weights.dtype.kind not in "iuf":
        raise ValueError(
            f"sample_weights must be {n} numbers, one for each example; got {weights.dtype} of shape {weights.shape}"
        )
    unfit = ~(np.isfinite(weights) & (weights > 0))
    if unfit.any():
        i = int(np.argmax(unfit))
        raise ValueError(
            f"sample_weights[{i}] is {weights[i]}; weights must be finite and > 0; drop examples of weight 0"
        )


def check_takes_weights(model: Any) -> None:
    """Refuse a model whose loss takes no sample weights."""
    parameters = inspect.signature(model.loss).parameters
    if "sample_weights" not in parameters and not any(
        each.kind is each.VAR_KEYWORD for each in parameters.values()
    ):
        raise TypeError(
            f"{type(model).__name__}.loss takes no sample_weights; define loss(X, y=None, sample_weights=None), "
            "whose loss is the mean weighted by them"
        )


def check_stream(batches: Any, replacement: bool, sample_weights: Any) -> None:
    """Refuse batches that are neither iterable nor a function, and options that have no effect beside them."""
    if not (isinstance(batches, Iterable) or callable(batches)) or isinstance(batches, str | Mapping):
        raise TypeError(
            "batches must be an iterable of (X, y) or a function batches(rng) that returns one, got "
            f"{type(batches).__name__}"
        )
    if not isinstance(batches, Iterable):
        _takes("rng")("batches", batches)
    if sample_weights is not None:
        raise ValueError("batches and sample_weights are both given; let batches give (X, y, sample_weights)")
    if not replacement:
        raise ValueError("batches and replacement=False are both given; batches alone decide what is drawn")


def check_options(arguments: Mapping[str, Any]) -> None:
    """Refuse options, among the arguments of the Solver, that its docstring does not allow."""
    for name, check in _CHECKS.items():
        if name not in _MAY_BE_NONE or arguments[name] is not None:
            check(name, arguments[name])
    if arguments["lr_schedule"] is not None and arguments["lr_decay"] != 1:
        raise ValueError(
            f"lr_schedule and lr_decay={arguments['lr_decay']!r} are both given; the schedule alone decides"
        )
    if arguments["checkpoint_seconds"] is not None and arguments["checkpoint"] is None:
        raise ValueError("checkpoint_seconds is given, but no checkpoint, which names the file")


_check_count = partial(as_int, least=1)
_check_positive = partial(as_real, interval="(0, inf)")


def _check_bool(name: str, value: object) -> None:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")


def _takes(*arguments: str) -> Callable[[str, object], None]:
    """Return a check that an option is a function of these arguments."""

    def check(name: str, value: object) -> None:
        if not callable(value):
            raise TypeError(f"{name} must be a function, got {value!r}")
        try:
            parameters = inspect.signature(value)
        except ValueError:  # a function made in C
            return
        try:
            parameters.bind(*arguments)
        except TypeError as error:
            raise TypeError(
                f"{name} is called as {name}({', '.join(arguments)}), which {name_of(value)} does not take: {error}"
            ) from None

    return check


def _check_path(name: str, value: object) -> None:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise TypeError(f"{name} must be a path, got {value!r}")
    path = Path(value)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"{name}: there is no folder {str(path.parent)!r} to write {path.name!r} into"
        )
    if path.is_dir():
        raise IsADirectoryError(f"{name}: {str(path)!r} is a folder; give the path of a file")
    if not os.access(path.parent, os.W_OK):  # now, not after the first epoch
        raise PermissionError(f"{name}: nothing may be written into the folder {str(path.parent)!r}")


def _check_on_divergence(name: str, value: object) -> None:
    if not isinstance(value, str) or value not in ("raise", "stop"):
        raise ValueError(f"{name} must be 'raise' or 'stop', got {value!r}")


_CHECKS: dict[str, Callable[[str, Any], object]] = {
    "lr_decay": _check_positive,
    "batch_size": _check_count,
    "num_epochs": _check_count,
    "print_every": as_int,
    "num_train_samples": _check_count,
    "num_val_samples": _check_count,
    "seed": partial(as_int, least=0),
    "on_divergence": _check_on_divergence,
    "lr_schedule": _takes("step"),
    "replacement": _check_bool,
    "augment": _takes("X", "rng"),
    "patience": _check_count,
    "average": partial(as_real, interval="(0, 1)"),
    "metric": _takes("outputs", "y"),
    "callback": _takes("solver"),
    "checkpoint": _check_path,
    "checkpoint_seconds": _check_positive,
    "history": _check_path,
}
_MAY_BE_NONE = _CHECKS.keys() - {
    "lr_decay",
    "batch_size",
    "num_epochs",
    "print_every",
    "on_divergence",
    "replacement",
}


def check_config(rule: CourseRule, config: Config | None, params: Mapping[str, NDArray[Any]]) -> None:
    """Refuse settings that the update rule does not take, by a step of one number; functions are not tried."""
    if not isinstance(config, dict | None):
        raise TypeError(f"optim_config must be a dict of the rule's settings, got {config!r}")
    if isinstance(rule, UpdateRule):
        check_keys(f"{rule.__name__}: optim_config", config or {}, set(rule.settings))
        for name, w in params.items():
            if not w.flags.writeable:
                raise ValueError(
                    f"model.params[{name!r}] is read-only and is updated in place; give it as a copy, w.copy()"
                )
        for dtype in {w.dtype for w in params.values()}:
            rule(np.ones(1, dtype), np.ones(1, dtype), dict(config or {}))
