"""Minibatches: their examples, and their augmentation, computed in a thread during the step before."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .augmentation import Augment

Batch = tuple[NDArray[Any], NDArray[Any]]


class Batches:
    """The stream of minibatches of a training set.

    Parameters
    ----------
    X, y : ndarray
        The training set.
    size : int
        Examples in a minibatch; without `replacement` all the training set's, if it has fewer.
    replacement : bool
        Whether to draw each minibatch from all examples; otherwise each epoch is a permutation of them, cut into
        minibatches, and what is left over is dropped.
    augment : callable or None
        ``augment(X, rng) -> X``.
    rows_rng, augment_rng : numpy.random.Generator
        The generators of the examples and of the augmentation.
    """

    def __init__(
        self,
        X: NDArray[Any],
        y: NDArray[Any],
        size: int,
        replacement: bool,
        augment: Augment | None,
        rows_rng: np.random.Generator,
        augment_rng: np.random.Generator,
    ) -> None:
        self._X, self._y, self._size = X, y, size
        self._replacement, self._augment = replacement, augment
        self._rows_rng, self._augment_rng = rows_rng, augment_rng
        self._order: NDArray[np.intp] | None = None  # of the rest of the epoch
        self._pool: Any = None
        self._next: Any = None  # a future of the next minibatch
        self._before_next: dict[str, Any] = {}

    def draw(self) -> Batch:
        """Return the next minibatch; augmented ones are computed one ahead."""
        if self._augment is None:
            return self._make(self._rows())
        batch: Batch = (self._next or self._start()).result()
        self._next = self._start()
        return batch

    def state(self) -> dict[str, Any]:
        """Return the state of the stream."""
        return self._before_next if self._next is not None else self._state()

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state, from which the stream continues."""
        self.close()
        self._next = None
        self._order = state["order"]
        self._rows_rng, self._augment_rng = (copy.deepcopy(state[name]) for name in ("rows", "augmenting"))

    def close(self) -> None:
        """Wait for the thread, and end it; its minibatch is kept."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _start(self) -> Any:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(1)
        self._before_next = copy.deepcopy(self._state())
        return self._pool.submit(self._make, self._rows())

    def _state(self) -> dict[str, Any]:
        return {"order": self._order, "rows": self._rows_rng, "augmenting": self._augment_rng}

    def _rows(self) -> NDArray[np.intp]:
        if self._replacement:
            return self._rows_rng.integers(len(self._X), size=self._size)
        if self._order is None or len(self._order) < min(self._size, len(self._X)):
            self._order = self._rows_rng.permutation(len(self._X))
        rows, self._order = self._order[: self._size], self._order[self._size :]
        return rows

    def _make(self, rows: NDArray[np.intp]) -> Batch:
        X, y = self._X[rows], self._y[rows]
        if self._augment is None:
            return X, y
        augmented = np.asarray(self._augment(X, self._augment_rng))
        if (augmented.shape, augmented.dtype) != (X.shape, X.dtype):
            raise ValueError(
                f"augment returned {augmented.dtype} of shape {augmented.shape} for a minibatch of {X.dtype} of "
                f"shape {X.shape}; it must keep both"
            )
        return augmented, y
