"""Solver: the training loop of the course, for any model with parameters and a loss."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .engine.arguments import names_itself
from .engine.scalars import as_int
from .files import write
from .optim.rule import CourseRule
from .optim.validation import Config
from .training import checkpoint as checkpoints
from .training.arguments import check_arguments, check_examples
from .training.augmentation import Augment
from .training.batches import Batch, Batches, Sampled, Stream, Streamed
from .training.identity import Identity
from .training.interrupt import deferred_interrupt
from .training.measure import Metric, accuracy, measured, undone_on_error
from .training.model import Model, left_out_of_state, loss_and_gradients, warn_left_out
from .training.progress import Log
from .training.returned import check_names, checked_gradients
from .training.schedules import Schedule
from .training.updates import decay, follow, learning_rate, updating
from .training.weights import Weights, copies

__all__ = ["Metric", "Model", "Solver"]


class Solver:
    """Train a model on random minibatches and keep the parameters that do best on validation.

    The interface and the log are those of the Solver in Stanford's CS231n.

    Parameters
    ----------
    model : Model
        An object with ``params``, a dict from names to arrays, and ``loss(X, y=None)``, which returns scores
        without labels and ``(loss, grads)`` with them. Its parameters are updated in place.
    data : mapping
        ``X_train`` (N, d_1, ..., d_k), ``y_train`` (N,), ``X_val`` and ``y_val`` alike; labels are integers,
        unless there is a `metric`. With `batches`, the training set may be left out.
    update_rule : str or callable
        The name of a rule in `minigrad.optim`, which updates all parameters at once and is compiled; or a function
        ``rule(w, dw, config) -> (w, config)``.
    optim_config : dict, optional
        The rule's settings, such as ``{"learning_rate": 1e-3}``; a function gets a copy for each parameter.
    lr_decay : float
        Every learning rate is multiplied by this at the end of each epoch.
    batch_size : int
        Examples in a minibatch.
    num_epochs : int
        Epochs one call of `train` makes, each of ``max(N // batch_size, 1)`` iterations, or one pass of `batches`.
    print_every : int
        Iterations between two logged losses; none is logged when it is 0 or negative.
    verbose : bool
        Whether to write the log, to stdout.
    num_train_samples, num_val_samples : int or None
        The number of examples to measure an accuracy on, drawn anew each time; None means all.
    seed : int, optional
        Seed of the minibatches, of those draws and of the augmentation, which are independent streams. The same
        seed gives the same numbers, whatever is logged or shown. None seeds from the operating system.
    progress : bool, optional
        Whether to show a progress bar, on stderr; None shows it when stderr is a terminal.
    on_divergence : {"raise", "stop"}
        Whether `train` raises FloatingPointError or ends quietly when the loss or a score is NaN or infinite. Both
        set `diverged`.
    lr_schedule : callable, optional
        The learning rate of each step, counted from 0: ``lr_schedule(step) -> float``, such as those of
        `minigrad.training`. It replaces `lr_decay` and the config's learning rate.
    replacement : bool
        Whether each minibatch is drawn from all training examples, as in the course. Otherwise an epoch is a
        permutation of them, cut into minibatches; an incomplete last one is dropped.
    augment : callable, optional
        ``augment(X, rng) -> X``, a change of each training minibatch that keeps shape and dtype, such as those of
        `minigrad.training`. It runs in a thread, one minibatch ahead of the step.
    patience : int, optional
        Early stopping: `train` ends after this many epochs without a better validation accuracy. A further call then
        waits for as many more.
    average : float, optional
        Decay of an exponential moving average of the parameters, between 0 and 1, such as 0.999. The average is
        then measured, and kept as `best_params`.
    metric : callable, optional
        ``metric(outputs, y) -> float``, the higher the better, in the place of the accuracy: for regression, say,
        ``lambda outputs, y: -np.mean((outputs - y) ** 2)``, where both have one shape: those of (N, 1) and (N,) would
        make (N, N) differences.
    callback : callable, optional
        ``callback(solver)``, called after each epoch; a true result ends training.
    sample_weights : ndarray of shape (N,), optional
        A weight > 0 of each training example: a minibatch's loss is the mean weighted by them. The model's
        ``loss`` must take ``sample_weights=`` for it. Accuracies are not weighted.
    batches : iterable or callable, optional
        The minibatches, in the place of those drawn from the training set, as of data larger than the memory:
        ``(X, y)`` or ``(X, y, sample_weights)``, each pass an epoch; or ``batches(rng)``, which returns them for an
        epoch and takes its random numbers from ``rng``, so that `resume` continues bit for bit. Training accuracies are
        then of the training set in `data` or, without one, of the last minibatch.
    checkpoint : path, optional
        A file from which `resume` continues bit for bit. It is replaced atomically after each epoch, when training
        ends, and on Ctrl-C.
    checkpoint_seconds : float, optional
        The interval at which it is written between epochs, too.
    history : path, optional
        A file of JSON lines, one for each measured accuracy, replaced as `checkpoint` is.

    Attributes
    ----------
    epoch : int
        Epochs completed.
    loss_history : list of float
        The loss of each iteration's minibatch, before its update.
    train_acc_history, val_acc_history : list of float
        The accuracies, or metrics, after the first iteration, and then after each epoch: entry k is epoch k's.
    best_val_acc : float
        The best entry of val_acc_history; -inf while it is empty.
    diverged : int or None
        The iteration, counted from 1 as in the log, at which the last call of `train` diverged.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.
    OSError
        When the folder of `checkpoint` or `history` does not exist or may not be written into, or one of the two is
        a folder itself.
    """

    @names_itself
    def __init__(
        self,
        model: Model,
        data: Mapping[str, NDArray[Any]],
        update_rule: str | CourseRule = "sgd",
        optim_config: Config | None = None,
        lr_decay: float = 1.0,
        batch_size: int = 100,
        num_epochs: int = 10,
        print_every: int = 10,
        verbose: bool = True,
        num_train_samples: int | None = 1000,
        num_val_samples: int | None = None,
        seed: int | None = None,
        progress: bool | None = None,
        on_divergence: Literal["raise", "stop"] = "raise",
        *,
        lr_schedule: Schedule | None = None,
        replacement: bool = True,
        augment: Augment | None = None,
        patience: int | None = None,
        average: float | None = None,
        metric: Metric | None = None,
        callback: Callable[[Solver], object] | None = None,
        sample_weights: NDArray[Any] | None = None,
        batches: Stream | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_seconds: float | None = None,
        history: str | os.PathLike[str] | None = None,
    ) -> None:
        arguments = dict(locals())
        rule = check_arguments(arguments)
        config = dict(optim_config or {})

        self.model = model
        self._data = {name: np.asarray(data[name]) for name in _DATA if name in data}
        self.X_val, self.y_val = self._data["X_val"], self._data["y_val"]
        self.X_train, self.y_train = self._data.get("X_train"), self._data.get("y_train")
        if sample_weights is not None:
            self._data["sample_weights"] = np.asarray(sample_weights)
        self.lr_decay = lr_decay
        self.batch_size = batch_size
        self.num_epochs = num_epochs
        self.print_every = print_every
        self.num_train_samples = num_train_samples
        self.num_val_samples = num_val_samples
        self.on_divergence = on_divergence
        self.lr_schedule = lr_schedule
        self.patience = patience
        self.average = average
        self.metric = metric
        self.callback = callback
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.checkpoint_seconds = checkpoint_seconds
        self.history = None if history is None else Path(history)

        self.epoch = 0
        self.loss_history: list[float] = []
        self.train_acc_history: list[float] = []
        self.val_acc_history: list[float] = []
        self.best_val_acc = -math.inf
        self.diverged: int | None = None
        self._names = frozenset(model.params)
        self._weights = Weights(model, average)
        self._update = updating(rule, config, model.params)
        self._records: list[dict[str, Any]] = []
        # The call of `train` that has not ended: the epoch at which it began, and how many it makes.
        self._call: tuple[int, int | None] | None = None
        self._ended = False  # by the callback
        self._waits_from = 0  # the epoch from which patience counts
        self._unmeasured: list[int] = []  # epochs whose steps are made; 0 after the very first step
        self._log = Log(verbose, progress)
        minibatches = np.random.default_rng(seed)
        self._samples, augmenting = minibatches.spawn(2)
        source: Sampled | Streamed
        if batches is None:
            source = Sampled(self._data, batch_size, replacement, minibatches)
        else:
            source = Streamed(batches, metric is None, minibatches)
        self._steps = source.steps
        self._batches = Batches(source, augment, augmenting)
        self._batch: Batch
        self._identity = Identity(
            model, self._data, arguments | {"update_rule": rule, "optim_config": config}
        )
        self._applied = True  # the last gradient
        self._told = False  # what the model's state lacks
        self._is_training = False
        if self.checkpoint is not None:
            checkpoints.check(self._state())

    @names_itself
    def train(self, num_epochs: int | None = None) -> None:
        """Train for some epochs; a further call continues for as many more.

        So ``train(5)`` twice is ``train(10)``. A call that was interrupted, or is resumed from a checkpoint, is
        completed by the next.

        However it ends, by an error or an interrupt too, the model's parameters are then the best ones on
        validation so far. (When it fails before the first accuracy is measured, they are left as they are.)
        The next call puts the last ones back, unless the model's have been changed meanwhile, or it diverged: then
        it goes on from the model's, and begins the average anew; after divergence the update rule's state, such as
        velocities, too. What was changed in the model's ``state`` meanwhile stays so.

        Parameters
        ----------
        num_epochs : int, optional
            The number of epochs; by default those left of the last call, or else the solver's.

        Raises
        ------
        FloatingPointError
            When the loss or a score is NaN or infinite, and ``on_divergence`` is ``"raise"``. The gradient of
            such a loss is not applied.
        KeyboardInterrupt
            After Ctrl-C, at the end of the step, so that nothing is lost; at once, when it is pressed again.
        RuntimeError
            When it is called while it runs, as by the callback.
        """
        if self._is_training:
            raise RuntimeError(
                "train is running, and was called again, by the callback or in another thread; to go on longer, call "
                "it with more epochs when it has returned"
            )
        if num_epochs is not None:
            num_epochs = as_int("num_epochs", num_epochs, least=1)
        if num_epochs is not None or self._call is None:
            self._call = self.epoch, num_epochs
            self._ended = False
            if self._stopped():  # by patience
                self._waits_from = self.epoch
        start, count = self._call
        self.diverged = None
        self._weights.begin()
        self._is_training = True
        try:
            self._train_to(start + (count or self.num_epochs))
            self._call = None
            best = self.val_acc_history.index(self.best_val_acc)
            if best != self.epoch:
                self._tell_left_out(
                    left_out_of_state(self.model, generators=False),
                    f"the model has the best parameters, of epoch {best}, but",
                    f"of epoch {self.epoch}: together they were not measured",
                )
        except FloatingPointError:
            self.diverged = len(self.loss_history) + (not self._applied)
            self._batches.used()
            self._update.begin_anew(self.model.params)
            self._call = None
            if self.on_divergence == "raise":
                raise
        finally:
            self._is_training = False
            self._batches.close()
            self._weights.end(diverged=self.diverged is not None)

    @names_itself
    def resume(self, path: str | os.PathLike[str] | None = None) -> Solver:
        """Restore a checkpoint; `train` then continues bit for bit as the solver that wrote it would have.

        Parameters
        ----------
        path : path, optional
            The checkpoint; by default the solver's own. Training goes on to this solver's ``num_epochs``, which may be
            others than when it was written.

        Returns
        -------
        Solver
            This one: ``Solver(model, data, checkpoint="run.npz").resume().train()``.

        Raises
        ------
        OSError
            When the file is missing or cannot be read.
        ValueError
            When it is not a checkpoint, is truncated or corrupt, or is of another model, data set or settings;
            nothing is changed then.
        """
        if path is None and self.checkpoint is None:
            raise ValueError("resume: no path is given, and the solver has no checkpoint")
        file = Path(path) if path is not None else self.checkpoint
        assert file is not None
        saved = checkpoints.load(file)
        checkpoints.refuse_other(file, saved, self._identity.parts())
        missing = [name for name in self._state() if name not in saved]
        if missing:
            raise ValueError(f"{file} is a checkpoint that lacks {', '.join(missing)}")
        self._weights.restore(saved["weights"])
        self._update.restore(saved["update"])
        self._batches.restore(saved["batches"])
        checkpoints.restored(self._samples, saved["samples"])
        for name in _KEPT:
            setattr(self, name, saved[name])
        self._unmeasured = []
        return self

    @property
    def best_params(self) -> dict[str, NDArray[Any]]:
        """Copies of the parameters that reached ``best_val_acc``; empty before the first measurement."""
        return copies(self._weights.best)

    @property
    def best_state(self) -> dict[str, Any]:
        """A copy of the model's ``state`` at ``best_val_acc``, such as running means; empty if it has none."""
        return copy.deepcopy(self._weights.best_state)

    @names_itself
    def check_accuracy(
        self, X: NDArray[Any], y: NDArray[Any], num_samples: int | None = None, batch_size: int = 100
    ) -> float:
        """Return the fraction of examples to whose label the model gives the highest score, or the solver's metric.

        It measures the parameters that the model has: with ``average``, in a callback, the raw ones, whereas
        ``val_acc_history`` has the accuracies of their average.

        Parameters
        ----------
        X : ndarray of shape (N, d_1, ..., d_k)
            The examples.
        y : ndarray of shape (N,), integer
            Their labels; with a metric, their targets (N, ...).
        num_samples : int or None
            Measure on this many of them, drawn at random without replacement, if there are more.
        batch_size : int
            Examples in each call of the model.

        Returns
        -------
        float
            An accuracy is between 0 and 1.

        Raises
        ------
        FloatingPointError
            When an example's highest score is NaN or infinite: then there is no telling which one it is. With a
            metric, when that is.
        TypeError, ValueError
            When an argument is not as above, the model's scores are not of shape (examples, classes), a label is
            none of these classes, or the metric is not one number.
        """
        check_examples("X", X, "y", y, is_labels=self.metric is None)
        if num_samples is not None:
            num_samples = as_int("num_samples", num_samples, least=1)
        batch_size = as_int("batch_size", batch_size, least=1)
        X, y = np.asarray(X), np.asarray(y)
        rows = None
        if num_samples is not None and num_samples < len(X):
            rows = self._samples.choice(len(X), num_samples, replace=False)
        if self.metric is not None:
            return measured(self.metric, self.model, X, y, rows, batch_size)
        return accuracy(self.model, X, y, rows, batch_size)

    # The loop

    def _train_to(self, goal: int) -> None:
        last = None if self._steps is None else goal * self._steps
        of_all = "" if last is None else f" / {last}"
        to_do = None if last is None else last - len(self.loss_history) + bool(self._unmeasured)
        due = self._due()
        with deferred_interrupt() as interrupted, self._log.bar(to_do):
            while self.epoch < goal and not self._stopped():
                epoch = self.epoch
                if not self._unmeasured:  # or a call before this one failed there
                    self._step(of_all)
                while self._unmeasured:
                    self._measure(goal)
                if self.epoch > epoch or time.monotonic() > due or interrupted():
                    self._save()
                    due = self._due()
                self._log.step(self.loss_history[-1], self.train_acc_history[-1], self.val_acc_history[-1])
                if interrupted():
                    raise KeyboardInterrupt(self._how_to_go_on(of_all))

    def _due(self) -> float:
        """Return the time at which a checkpoint between epochs is due."""
        return math.inf if self.checkpoint_seconds is None else time.monotonic() + self.checkpoint_seconds

    def _step(self, of_all: str) -> None:
        """Update the parameters on one minibatch; record and log its loss before the update."""
        t = len(self.loss_history) + 1
        self._applied = False
        self._batch = self._batches.draw()
        loss, grads = loss_and_gradients(self.model, self._batch)
        if self.lr_schedule is not None:
            follow(self.lr_schedule, t - 1, self._update.configs)
        if not math.isfinite(loss):
            rate = learning_rate(self._update.configs, "the rule's default")
            raise FloatingPointError(
                f"the loss is {loss} at iteration {t}{of_all} (learning rate: {rate}); "
                "its gradient was not applied. Try a lower learning rate, a smaller weight_scale or "
                "less regularization, and look for NaN and unscaled values in the data"
            )
        check_names(self.model.params, self._names)
        self._update(self.model.params, checked_gradients(self.model.params, grads))
        self._weights.updated()
        self.loss_history.append(loss)
        is_last = self._batch.is_last if self._steps is None else t % self._steps == 0
        self._unmeasured = [0] * (t == 1) + [self.epoch + 1] * bool(is_last)
        self._batches.used()
        self._applied = True
        if self.print_every > 0 and (t - 1) % self.print_every == 0:
            self._log.write(f"(Iteration {t}{of_all}) loss: {loss:f}")

    def _measure(self, goal: int) -> None:
        """Measure, record and log an epoch's accuracies; keep the parameters if they are the best so far.

        Where it fails, the next call does it: the epoch is not complete before.
        """
        epoch = self._unmeasured[0]
        with self._weights.averaged(), undone_on_error(self._samples):
            X, y = self.X_train, self.y_train
            if X is None or y is None:
                X, y, *_ = self._batch
            train_acc = self.check_accuracy(X, y, self.num_train_samples)
            val_acc = self.check_accuracy(self.X_val, self.y_val, self.num_val_samples)
            if val_acc > self.best_val_acc:
                self._weights.keep_as_best()
                self.best_val_acc = val_acc
        self._record(epoch, train_acc, val_acc)
        self.train_acc_history.append(train_acc)
        self.val_acc_history.append(val_acc)
        self.epoch = epoch
        del self._unmeasured[0]
        if epoch > 0:
            decay(self._update.configs, self.lr_decay)
        if self.history is not None:
            write(self.history, "".join(json.dumps(each) + "\n" for each in self._records).encode())
        self._log.write(f"(Epoch {epoch} / {goal}) train acc: {train_acc:f}; val_acc: {val_acc:f}")
        if epoch > 0 and self.callback is not None:
            self._ended = bool(self.callback(self))

    def _record(self, epoch: int, train_acc: float, val_acc: float) -> None:
        rate = learning_rate(self._update.configs)
        self._records.append(
            {
                "epoch": epoch,
                "iteration": len(self.loss_history),
                "loss": self.loss_history[-1],
                "train_acc": train_acc,
                "val_acc": val_acc,
                "learning_rate": None if rate is None else np.asarray(rate, float).tolist(),
            }
        )

    def _stopped(self) -> bool:
        """Tell whether the callback or patience ended training."""
        if self.patience is None or not self.val_acc_history:
            return self._ended
        since = max(self.val_acc_history.index(self.best_val_acc), self._waits_from)
        return self._ended or len(self.val_acc_history) - 1 - since >= self.patience

    # Checkpoints

    def _state(self) -> dict[str, Any]:
        parts = {
            "weights": self._weights.state(),
            "update": self._update.state(),
            "batches": self._batches.state(),
            "samples": self._samples,
        }
        return self._identity.parts() | parts | {name: getattr(self, name) for name in _KEPT}

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        self._tell_left_out(
            left_out_of_state(self.model),
            f"{self.checkpoint} does not hold",
            "which may change in training: resume() would not continue bit for bit",
        )
        checkpoints.save(self.checkpoint, self._state())

    def _tell_left_out(self, names: list[str], before: str, after: str) -> None:
        """Warn, once, of attributes that are not in the model's ``state``."""
        if names and not self._told:
            self._told = True
            warn_left_out(self.model, names, before, after)

    def _how_to_go_on(self, of_all: str) -> str:
        kept = (
            ""
            if self.checkpoint is None
            else f"; so does a new Solver with the same arguments after resume({str(self.checkpoint)!r})"
        )
        return f"training was interrupted after iteration {len(self.loss_history)}{of_all}; train() goes on{kept}"


_DATA = ("X_train", "y_train", "X_val", "y_val")
_KEPT = (
    "epoch",
    "loss_history",
    "train_acc_history",
    "val_acc_history",
    "best_val_acc",
    "_records",
    "_call",
    "_ended",
    "_waits_from",
)
"""The solver's attributes that a checkpoint holds unchanged."""
