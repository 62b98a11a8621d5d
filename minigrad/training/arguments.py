"""Validation of a Solver's arguments and of its model's gradients, before anything is changed."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.scalars import as_int, as_real
from ..optim.rule import CourseRule, UpdateRule
from ..optim.validation import Config, check_keys


def check_model(model: Any) -> None:
    """Refuse a model without parameters or a loss."""
    params = getattr(model, "params", None)
    if not isinstance(params, dict) or not params:
        raise TypeError(f"{type(model).__name__}.params must be a dict from names to arrays, got {params!r}")
    again = model.params
    for name, w in params.items():
        if not isinstance(w, np.ndarray):
            raise TypeError(f"model.params[{name!r}] must be a NumPy array, got {type(w).__name__}")
        is_kept = again is params if not w.flags.writeable else np.may_share_memory(w, again[name])
        if w.size and not is_kept:
            raise TypeError(
                f"{type(model).__name__}.params is made anew whenever it is read, so that updates of {name!r} would be "
                "lost; it must hold the arrays that the model computes with"
            )
    if not callable(getattr(model, "loss", None)):
        raise TypeError(f"{type(model).__name__} must have a method loss(X, y=None)")


def check_data(data: Any, is_labels: bool, is_streamed: bool = False) -> None:
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
        raise ValueError(
            f"{X_name} must have shape (N, ...) and {y_name} {expected}, of one N; "
            f"got {X_shape} and {targets.shape}"
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
    """Refuse batches that are neither iterable nor a function, and what they leave without an effect."""
    if not (isinstance(batches, Iterable) or callable(batches)) or isinstance(batches, str | Mapping):
        raise TypeError(
            f"batches must be an iterable of (X, y) or a function batches(rng) that returns one, got {batches!r}"
        )
    if sample_weights is not None:
        raise ValueError("batches and sample_weights are both given; let batches give (X, y, sample_weights)")
    if not replacement:
        raise ValueError("batches and replacement=False are both given; batches alone decide what is drawn")


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options of the Solver that its docstring does not allow."""
    for name, value in options.items():
        if name not in _MAY_BE_NONE or value is not None:
            _CHECKS[name](name, value)
    if options["lr_schedule"] is not None and options["lr_decay"] != 1:
        raise ValueError(
            f"lr_schedule and lr_decay={options['lr_decay']!r} are both given; the schedule alone decides"
        )
    if options["checkpoint_seconds"] is not None and options["checkpoint"] is None:
        raise ValueError("checkpoint_seconds is given, but no checkpoint, which names the file")


def _check_count(name: str, value: object) -> None:
    as_int(name, value, least=1)


def _check_natural(name: str, value: object) -> None:
    as_int(name, value, least=0)


def _check_bool(name: str, value: object) -> None:
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")


def _check_callable(name: str, value: object) -> None:
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {value!r}")


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


def _check_positive(name: str, value: object) -> None:
    as_real(name, value, "(0, inf)")


def _check_fraction(name: str, value: object) -> None:
    as_real(name, value, "(0, 1)")


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
    "seed": _check_natural,
    "on_divergence": _check_on_divergence,
    "lr_schedule": _check_callable,
    "replacement": _check_bool,
    "augment": _check_callable,
    "patience": _check_count,
    "average": _check_fraction,
    "metric": _check_callable,
    "callback": _check_callable,
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
        check_keys(rule.__name__, config or {}, known=set(rule.settings))
        for name, w in params.items():
            if not w.flags.writeable:
                raise ValueError(
                    f"model.params[{name!r}] is read-only and is updated in place; give it as a copy, w.copy()"
                )
        for dtype in {w.dtype for w in params.values()}:
            rule(np.ones(1, dtype), np.ones(1, dtype), dict(config or {}))


def check_updated(rule: Any, name: str, w: NDArray[Any], result: Any) -> tuple[NDArray[Any], Config]:
    """Return what an update rule returned for a parameter; refuse all but ``(w, config)``, w like the parameter."""
    called = f"the update rule {getattr(rule, '__name__', type(rule).__name__)} returned"
    if not (isinstance(result, tuple | list) and len(result) == 2 and isinstance(result[1], dict)):
        raise TypeError(
            f"{called} {type(result).__name__} for {name!r}; it must return (w, config), config a dict"
        )
    new, config = result
    if not isinstance(new, np.ndarray | np.generic):  # NumPy's arithmetic turns 0-d arrays into scalars
        raise TypeError(
            f"{called} a {type(new).__name__} for {name!r}; it must return the parameter, a NumPy array"
        )
    return _like(new, w, f"{called} %s for {name!r}; it must be like the parameter"), config


def as_number(value: Any, what: str) -> float:
    """Convert a scalar result to a float; raise for anything else."""
    if np.shape(value) != ():
        raise TypeError(
            f"{what} is {type(value).__name__} of shape {np.shape(value)}; it must be one number, such as the mean"
        )
    if np.iscomplexobj(value):  # of which float() drops the imaginary part
        raise TypeError(f"{what} is {value!r}; it must be a real number")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{what} is {value!r}; it must be one number") from None


def checked_gradients(
    params: Mapping[str, NDArray[Any]], grads: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Return the parameters' gradients, each of its parameter's dtype.

    Refuse gradients that are missing, of no parameter, of another shape, or no real floats for real parameters.
    """
    if unknown := grads.keys() - params.keys():
        raise ValueError(
            f"model.loss(X, y) returned gradients for {sorted(map(str, unknown))}; expected one for each of "
            f"model.params, {sorted(params)}"
        )
    checked = {}
    for name, w in params.items():
        if name not in grads:
            raise ValueError(
                f"model.loss(X, y) returned no gradient for parameter {name!r}, only {sorted(grads)}"
            )
        dw = grads[name]
        if not isinstance(dw, np.ndarray | np.generic):  # NumPy's arithmetic turns 0-d arrays into scalars
            raise TypeError(f"the gradient of {name!r} is a {type(dw).__name__}; it must be a NumPy array")
        checked[name] = _like(dw, w, f"the gradient of {name!r} is %s; it must be like its parameter")
    return checked


def _like(x: Any, w: NDArray[Any], otherwise: str) -> NDArray[Any]:
    """Return an array in a parameter's dtype; refuse another shape, or numbers of another kind.

    Hand-written layers make float64 of float32 here and there: a mask, ``np.zeros(shape)``, a NumPy number.
    """
    if x.shape != w.shape or x.dtype.kind not in "fc" or not np.can_cast(x.dtype, w.dtype, "same_kind"):
        raise ValueError(f"{otherwise % f'{x.dtype} of shape {x.shape}'}, {w.dtype} of shape {w.shape}")
    return np.asarray(x, w.dtype)
