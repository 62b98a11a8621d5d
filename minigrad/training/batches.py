"""Minibatches: drawn from a training set or read from a stream, and augmented in a thread during the step before."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .arguments import check_examples, check_weights
from .augmentation import Augment

Stream: TypeAlias = Iterable[tuple[Any, ...]] | Callable[[np.random.Generator], Iterable[tuple[Any, ...]]]
"""Minibatches ``(X, y)`` or ``(X, y, sample_weights)`` of an epoch, or a function that returns them."""


class Batch(NamedTuple):
    """A minibatch, and whether it is the last of its epoch, which a sample of a training set does not tell."""

    X: NDArray[Any]
    y: NDArray[Any]
    weights: NDArray[Any] | None = None
    is_last: bool | None = None


class Sampled:
    """Minibatches of a training set.

    Parameters
    ----------
    data : mapping
        ``X_train``, ``y_train`` and, if there are, ``sample_weights``.
    size : int
        Examples in a minibatch; without `replacement` all the training set's, if it has fewer.
    replacement : bool
        Whether to draw each minibatch from all examples; otherwise each epoch is a permutation of them, cut into
        minibatches; an incomplete last one is dropped.
    rng : numpy.random.Generator
        The generator of the examples.

    Attributes
    ----------
    steps : int
        Minibatches in an epoch.
    """

    def __init__(
        self, data: Mapping[str, NDArray[Any]], size: int, replacement: bool, rng: np.random.Generator
    ) -> None:
        self._X, self._y, self._weights = data["X_train"], data["y_train"], data.get("sample_weights")
        self._size, self._replacement, self._rng = size, replacement, rng
        self.steps = max(len(self._X) // size, 1)
        self._order: NDArray[np.intp] | None = None  # of the rest of the epoch

    def take(self) -> Batch:
        """Return the next minibatch."""
        rows = self._rows()
        return Batch(self._X[rows], self._y[rows], None if self._weights is None else self._weights[rows])

    def state(self) -> dict[str, Any]:
        """Return the state."""
        return {"order": self._order, "rng": self._rng}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self._order, self._rng = state["order"], copy.deepcopy(state["rng"])

    def _rows(self) -> NDArray[np.intp]:
        if self._replacement:
            return self._rng.integers(len(self._X), size=self._size)
        if self._order is None or len(self._order) < min(self._size, len(self._X)):
            self._order = self._rng.permutation(len(self._X))
        rows, self._order = self._order[: self._size], self._order[self._size :]
        return rows


class Streamed:
    """Minibatches of an iterable, whose every pass is an epoch.

    A minibatch is copied as soon as it is there, since the next is read before it is used: only so the last one of
    an epoch is known. A state is the generator's at the beginning of the epoch and the minibatches taken since;
    restored, the epoch begins again and these are skipped.

    Parameters
    ----------
    stream : iterable or callable
        The minibatches of an epoch, or ``stream(rng)``, which returns them.
    is_labels : bool
        Whether targets must be labels.
    rng : numpy.random.Generator
        The generator that a callable gets.
    """

    steps = None
    """The number of minibatches in an epoch is not known."""

    def __init__(self, stream: Stream, is_labels: bool, rng: np.random.Generator) -> None:
        self._stream, self._is_labels, self._rng = stream, is_labels, rng
        self._began = rng  # the generator as it was when the epoch began
        self._epoch: Iterator[Any] = iter(())
        self._next: Batch | None = None
        self._taken = 0

    def take(self) -> Batch:
        """Return the next minibatch; the first of another epoch, if there is none."""
        try:
            if self._next is None:
                self._start()
            batch, self._next = self._next, self._read()
        except BaseException:  # the next call reads on from the same place
            self.restore(self.state())
            raise
        assert batch is not None
        self._taken += 1
        if self._next is None:
            self._taken, self._began = 0, self._rng
        return batch._replace(is_last=self._next is None)

    def state(self) -> dict[str, Any]:
        """Return the state."""
        return {"rng": self._began, "taken": self._taken}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self._began = self._rng = copy.deepcopy(state["rng"])
        self._taken, self._next = state["taken"], None

    def _start(self) -> None:
        """Begin an epoch; skip the minibatches that were taken of it."""
        self._began = copy.deepcopy(self._rng)
        stream = self._stream
        self._epoch = iter(stream if isinstance(stream, Iterable) else stream(self._rng))
        for _ in range(self._taken):
            next(self._epoch, None)
        self._next = self._read()
        if self._next is None:
            raise ValueError(
                f"batches gave {'none' if not self._taken else f'fewer than {self._taken + 1}'} in this epoch; "
                "an iterator is read once, so give a function batches(rng) that returns another for each epoch"
            )

    def _read(self) -> Batch | None:
        for given in self._epoch:
            if not isinstance(given, tuple | list) or len(given) not in (2, 3):
                raise TypeError(
                    f"batches gave {type(given).__name__}; expected (X, y) or (X, y, sample_weights), a tuple"
                )
            X, y, *weights = map(np.array, given)
            check_examples("a minibatch's X", X, "its y", y, self._is_labels)
            if weights:
                check_weights(weights[0], len(X))
            return Batch(X, y, weights[0] if weights else None)
        return None


class Batches:
    """The minibatches of a source, augmented in a background thread.

    Parameters
    ----------
    source : Sampled or Streamed
        Where they come from.
    augment : callable or None
        ``augment(X, rng) -> X``.
    rng : numpy.random.Generator
        The augmentation's generator.
    """

    def __init__(self, source: Sampled | Streamed, augment: Augment | None, rng: np.random.Generator) -> None:
        self._source, self._augment, self._rng = source, augment, rng
        self._pool: Any = None
        self._drawn: Batch | None = None  # until it is used
        self._next: Any = None  # the next minibatch, or a future of it
        self._before_next: dict[str, Any] = {}

    def draw(self) -> Batch:
        """Return the next minibatch; the last one again, unless it was used."""
        if self._drawn is None:
            self._drawn = self._take()
        return self._drawn

    def used(self) -> None:
        """Let `draw` go on to the next minibatch."""
        self._drawn = None

    def _take(self) -> Batch:
        """Take the next minibatch; augmented ones are computed one ahead."""
        if self._augment is None:
            return self._source.take()
        self._next = self._next or self._start()
        try:
            batch: Batch = self._next if isinstance(self._next, Batch) else self._next.result()
        except Exception:
            self._next = None
            raise
        self._next = self._start()
        return batch

    def state(self) -> dict[str, Any]:
        """Return the state of the stream."""
        return self._before_next if self._next is not None else self._state()

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state, from which the stream continues."""
        self.close()
        self._drawn = self._next = None
        self._source.restore(state["source"])
        self._rng = copy.deepcopy(state["augmenting"])

    def close(self) -> None:
        """Wait for the thread, and end it; its minibatch is kept."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
            if not isinstance(self._next, Batch | None) and self._next.exception() is None:
                self._next = self._next.result()  # which can be copied

    def _start(self) -> Any:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(1)
        self._before_next = copy.deepcopy(self._state())
        return self._pool.submit(self._augmented)

    def _state(self) -> dict[str, Any]:
        return {"source": self._source.state(), "augmenting": self._rng}

    def _augmented(self) -> Batch:
        batch = self._source.take()
        assert self._augment is not None
        X = batch.X
        augmented = np.asarray(self._augment(X, self._rng))
        if (augmented.shape, augmented.dtype) != (X.shape, X.dtype):
            raise ValueError(
                f"augment returned {augmented.dtype} of shape {augmented.shape} for a minibatch of {X.dtype} of "
                f"shape {X.shape}; it must keep both"
            )
        return batch._replace(X=augmented)
