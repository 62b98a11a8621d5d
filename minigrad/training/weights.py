"""The parameters of a model in training: the last ones, the best ones, and their moving average."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checkpoint import restored

Params = dict[str, NDArray[Any]]


class Weights:
    """The parts of a model that change in training: ``params`` and, if it has one, ``state``.

    Parameters
    ----------
    model : Model
        The model; its arrays are written to.
    decay : float or None
        Decay of the exponential moving average of the parameters; None for no average.

    Attributes
    ----------
    best : dict
        Copies of the parameters that were the best so far.
    best_state : dict
        A copy of the model's state with them.
    """

    def __init__(self, model: Any, decay: float | None) -> None:
        self._model, self._decay = model, decay
        self._averages = None if decay is None else copies(model.params)
        self.best: Params = {}
        self.best_state: dict[str, Any] = {}
        self._left: Params | None = None  # the model's, as a training or `restore` left them
        self._left_state: dict[str, Any] = {}
        self._last: tuple[Params, dict[str, Any]] | None = None  # while the model has the best ones

    def updated(self) -> None:
        """Update the average after a step."""
        if self._averages is not None and self._decay is not None:
            for name, mean in self._averages.items():
                mean += (1 - self._decay) * (self._model.params[name] - mean)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the average into the model, if there is one."""
        if self._averages is None:
            yield
            return
        params = copies(self._model.params)
        try:
            self._fill(self._averages)
            yield
        finally:
            self._fill(params)

    def keep_as_best(self) -> None:
        """Keep copies of the model's arrays as the best."""
        self.best, self.best_state = copies(self._model.params), self._copied_state()

    def begin(self) -> None:
        """Put the last parameters and state back into the model, all but what was changed meanwhile.

        If parameters were changed, they all stay, and the average begins anew.
        """
        last, self._last = self._last, None
        left = self._left
        if left is None or not all(
            name in left and np.array_equal(w, left[name]) for name, w in self._model.params.items()
        ):
            self._averages = None if self._decay is None else copies(self._model.params)
        elif last is not None:
            params, last_state = last
            self._fill(params)
            state = getattr(self._model, "state", {})
            restored(state, unless_changed(state, self._left_state, last_state))

    def end(self, diverged: bool) -> None:
        """Put the best parameters into the model; keep the last ones, unless they have diverged."""
        last = copies(self._model.params), self._copied_state()
        self._left, self._left_state = (self.best, self.best_state) if self.best else last
        if self.best:
            self._fill(self.best, self.best_state)
        if diverged:
            self._left = None
        else:
            self._last = last

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {
            "params": self._model.params,
            "state": getattr(self._model, "state", {}),
            "averages": self._averages,
            "best": self.best,
            "best_state": self.best_state,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Restore the state of the same model's weights from a checkpoint."""
        self._fill(saved["params"], saved["state"])
        self._averages, self.best, self.best_state = saved["averages"], saved["best"], saved["best_state"]
        self._left, self._last = saved["params"], None

    def _copied_state(self) -> dict[str, Any]:
        state: dict[str, Any] = copy.deepcopy(getattr(self._model, "state", {}))
        return state

    def _fill(self, params: Params, state: dict[str, Any] | None = None) -> None:
        for name, w in params.items():
            self._model.params[name][...] = w
        if state is not None:
            restored(getattr(self._model, "state", None), copy.deepcopy(state))


def copies(params: Mapping[str, NDArray[Any]]) -> Params:
    """Return copies of the arrays."""
    return {name: w.copy() for name, w in params.items()}


_ABSENT = object()


def unless_changed(now: Any, left: Any, last: Any) -> Any:
    """Return ``last`` where ``now`` still equals ``left``, the value after training; else ``now``, a user's edit.

    Containers of one kind are compared entry by entry; keys that were added or deleted since stay so.
    """
    each = now, left, last
    if all(isinstance(x, dict) for x in each):
        kept = {name: unless_changed(*(x.get(name, _ABSENT) for x in each)) for name in now | last}
        return {name: x for name, x in kept.items() if x is not _ABSENT}
    for kind in (list, tuple):
        if all(isinstance(x, kind) and len(x) == len(now) for x in each):
            return kind(map(unless_changed, *each))
    return last if same(now, left) else now


def same(a: Any, b: Any) -> bool:
    """Tell whether two values are equal, NaN to NaN; objects of a class without an equality are taken for equal."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.random.Generator) and isinstance(b, np.random.Generator):
        return same(a.bit_generator.state, b.bit_generator.state)
    if isinstance(a, np.random.RandomState) and isinstance(b, np.random.RandomState):
        return same(a.get_state(), b.get_state())
    if a is b or (type(a) is type(b) and type(a).__eq__ is object.__eq__):  # type: ignore[comparison-overlap]
        return True
    is_alike = (np.shape(a), getattr(a, "dtype", None)) == (np.shape(b), getattr(b, "dtype", None))
    return is_alike and bool(np.all((a == b) | ((a != a) & (b != b))))
