"""The model that a Solver trains, and one call of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, SupportsFloat, overload

import numpy as np
from numpy.typing import NDArray

from ..engine.leaving import stacklevel_of_program
from .arguments import check_takes_weights
from .batches import Batch
from .returned import as_number


class Model(Protocol):
    """What a `minigrad.solver.Solver` trains.

    Further state (running means, a generator for dropout) belongs in an attribute ``state``: a dict of arrays,
    numbers and generators, nested or not. It is saved with the parameters, the best ones and those in a
    checkpoint. Attributes named as parameters of the constructor that are numbers, strings, None or tuples of them
    are settings, such as the strength of a penalty: a checkpoint is of a model with the same. To train with sample
    weights, ``loss`` takes them as the keyword ``sample_weights`` (N,) too.
    """

    @property
    def params(self) -> dict[str, NDArray[Any]]:
        """The parameters by name; the solver updates them."""

    @overload
    def loss(self, X: NDArray[Any], y: None = None) -> NDArray[Any]: ...

    @overload
    def loss(self, X: NDArray[Any], y: NDArray[Any]) -> tuple[SupportsFloat, dict[str, NDArray[Any]]]: ...

    def loss(self, X: NDArray[Any], y: NDArray[Any] | None = None) -> Any:
        """Return the scores (N, C) of X; given labels y (N,), the loss and every parameter's gradient."""


def loss_and_gradients(model: Any, batch: Batch) -> tuple[float, Mapping[str, NDArray[Any]]]:
    """Return a model's loss of a minibatch, and the gradients by parameter."""
    options = {}
    if batch.weights is not None:
        check_takes_weights(model)
        options["sample_weights"] = batch.weights
    result = model.loss(batch.X, batch.y, **options)
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping)):
        given = type(result).__name__
        if isinstance(result, tuple):
            given = f"({', '.join(type(each).__name__ for each in result)})"
        raise TypeError(
            f"model.loss(X, y) returned {given}; it must return (loss, grads), grads a dict from the names of the "
            "parameters to their gradients"
        )
    return as_number(result[0], "the loss that model.loss(X, y) returned"), result[1]


def warn_left_out(model: Any, names: list[str], before: str, after: str) -> None:
    """Warn that attributes of a model are not in its ``state``."""
    left_out = ", ".join(f"{type(model).__name__}.{name}" for name in names)
    warnings.warn(
        f"{before} {left_out}, {after}. Put it into an attribute state, a dict, as in "
        f"self.state = {{{names[0]!r}: self.{names[0]}}}",
        stacklevel=stacklevel_of_program(),
    )


def left_out_of_state(model: Any, generators: bool = True) -> list[str]:
    """Return the names of a model's attributes that hold running means or generators which are not in its ``state``."""
    state = list(_within(getattr(model, "state", {})))
    kept = {id(x) for x in state}

    def is_left_out(x: Any) -> bool:
        if isinstance(x, dict) and "running_mean" in x:
            return not {id(x), id(x["running_mean"])} & kept
        return generators and isinstance(x, np.random.Generator | np.random.RandomState) and id(x) not in kept

    return [
        name
        for name, value in getattr(model, "__dict__", {}).items()
        if name not in ("params", "state") and any(map(is_left_out, _within(value)))
    ]


def _within(value: Any) -> Iterator[Any]:
    """Yield a value and, if it is a container, its contents at any depth."""
    found, seen = [value], set()
    while found:
        each = found.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        if isinstance(each, dict):
            found.extend(each.values())
        elif isinstance(each, list | tuple):
            found.extend(each)
