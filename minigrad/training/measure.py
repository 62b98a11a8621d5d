"""Evaluation: accuracy, or a metric of a model's outputs, in batches."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, SupportsFloat, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engine.tensor import Tensor
from .returned import as_number

Metric: TypeAlias = Callable[[NDArray[Any], NDArray[Any]], SupportsFloat]
Rows: TypeAlias = "NDArray[np.intp] | None"


def accuracy(model: Any, X: NDArray[Any], y: NDArray[Any], rows: Rows, batch_size: int) -> float:
    """Return the accuracy on all or some rows: the fraction of examples whose label has the highest score."""
    right = 0
    for part in _parts(X, rows, batch_size):
        scores = _scores(model, X[part])
        _check_labels(y, part, scores.shape[1])
        right += int(np.count_nonzero(scores.argmax(axis=1) == y[part]))
    return right / (len(X) if rows is None else len(rows))


def measured(
    metric: Metric, model: Any, X: NDArray[Any], y: NDArray[Any], rows: Rows, batch_size: int
) -> float:
    """Return a metric of the model's outputs and the targets, of all or some rows.

    Raises
    ------
    FloatingPointError
        When it is NaN or infinite.
    TypeError
        When it is not one number.
    """
    parts = _parts(X, rows, batch_size)
    outputs = np.concatenate([_outputs(model, X[part]) for part in parts])
    value = as_number(metric(outputs, y if rows is None else y[rows]), "the metric")
    if not math.isfinite(value):
        raise FloatingPointError(
            f"the metric is {value} on {len(outputs)} examples: the parameters have diverged (try a lower "
            "learning rate), or the targets hold such values"
        )
    return value


@contextlib.contextmanager
def undone_on_error(rng: np.random.Generator) -> Iterator[None]:
    """Put a generator back to where it stood, if the block fails."""
    state = rng.bit_generator.state
    try:
        yield
    except BaseException:
        rng.bit_generator.state = state
        raise


def _parts(X: NDArray[Any], rows: Rows, batch_size: int) -> list[Any]:
    """Return the indices of each batch."""
    starts = range(0, len(X) if rows is None else len(rows), batch_size)
    return [slice(i, i + batch_size) if rows is None else rows[i : i + batch_size] for i in starts]


def _outputs(model: Any, X: NDArray[Any]) -> NDArray[Any]:
    """Return a model's outputs of examples, which it is not to change: they are the data's own memory."""
    view = X.view()
    view.flags.writeable = False
    try:
        outputs = model.loss(view)
        return np.asarray(outputs.data if isinstance(outputs, Tensor) else outputs)
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise ValueError(
            f"model.loss(X) writes to its examples, which would change the data ({error}); write X = X - 1 in place of "
            "X -= 1"
        ) from error


def _scores(model: Any, X: NDArray[Any]) -> NDArray[Any]:
    scores = _outputs(model, X)
    if scores.ndim != 2 or len(scores) != len(X):
        raise ValueError(
            f"model.loss(X) must return scores of shape ({len(X)}, classes) for these {len(X)} examples, "
            f"got shape {scores.shape}"
        )
    if not np.isfinite(scores.max(axis=1)).all():
        raise FloatingPointError(
            "the model's scores are NaN or infinite, so it predicts nothing: "
            "its parameters have diverged (try a lower learning rate) or the examples hold such values"
        )
    return scores


def _check_labels(y: NDArray[Any], part: Any, classes: int) -> None:
    """Refuse labels of a part of the examples that are none of the classes."""
    unfit = (y[part] < 0) | (y[part] >= classes)
    if unfit.any():
        i = int(np.arange(len(y))[part][np.argmax(unfit)])
        raise ValueError(
            f"the label y[{i}] is {y[i]}, but the model gives scores of {classes} classes; "
            f"labels must be from 0 to {classes - 1}"
        )
