"""Solver: the training loop of the course, for any model with parameters and a loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol, SupportsFloat, overload

import numpy as np
from numpy.typing import NDArray

from minigrad import optim


class Model(Protocol):
    """What a `Solver` trains."""

    @property
    def params(self) -> dict[str, NDArray[Any]]:
        """The parameters by name; the solver updates them."""

    @overload
    def loss(self, X: NDArray[Any], y: None = None) -> NDArray[Any]: ...

    @overload
    def loss(self, X: NDArray[Any], y: NDArray[Any]) -> tuple[SupportsFloat, dict[str, NDArray[Any]]]: ...

    def loss(self, X: NDArray[Any], y: NDArray[Any] | None = None) -> Any:
        """Return the scores (N, C) of X; given labels y (N,), the loss and every parameter's gradient."""


class Solver:
    """Train a classifier on random minibatches and keep the parameters that do best on validation.

    The interface and the log are those of the Solver in Stanford's CS231n.

    Parameters
    ----------
    model : Model
        An object with ``params``, a dict from names to arrays, and ``loss(X, y=None)``, which returns scores
        without labels and ``(loss, grads)`` with them. Its parameters are updated in place.
    data : mapping
        ``X_train`` (N, d_1, ..., d_k), ``y_train`` (N,), ``X_val`` and ``y_val`` alike; labels are integers.
    update_rule : str or callable
        The name of a rule in `minigrad.optim`, or a function ``rule(w, dw, config) -> (w, config)``.
    optim_config : dict, optional
        The rule's settings, such as ``{"learning_rate": 1e-3}``; each parameter gets a copy.
    lr_decay : float
        Every learning rate is multiplied by this at the end of each epoch.
    batch_size : int
        Examples in a minibatch, drawn from the training set with replacement.
    num_epochs : int
        Epochs one call of `train` makes, each of ``max(N // batch_size, 1)`` iterations.
    print_every : int
        Iterations between two logged losses; none is logged when it is 0 or negative.
    verbose : bool
        Whether to write the log, to stdout.
    num_train_samples, num_val_samples : int or None
        How many examples to measure an accuracy on, drawn anew each time; None means all.
    seed : int, optional
        Seed of the minibatches and of those draws, which are two independent streams. The same seed gives the
        same numbers, whatever is logged or shown. None seeds from the operating system.
    progress : bool, optional
        Whether to show a progress bar, on stderr; None shows it when stderr is a terminal.
    on_divergence : {"raise", "stop"}
        What `train` does when the loss or a score is NaN or infinite: raise FloatingPointError, or end
        quietly. Both set `diverged`.

    Attributes
    ----------
    epoch : int
        Epochs completed.
    loss_history : list of float
        The loss of each iteration's minibatch, before its update.
    train_acc_history, val_acc_history : list of float
        The accuracies after the first iteration, and then after each epoch: entry k is epoch k's.
    best_val_acc : float
        The best entry of val_acc_history; -inf while it is empty.
    best_params : dict
        Copies of the parameters that reached it.
    diverged : int or None
        The iteration, counted from 1 as in the log, at which the last call of `train` diverged.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.
    """

    def __init__(
        self,
        model: Model,
        data: Mapping[str, NDArray[Any]],
        update_rule: str | optim.Rule = "sgd",
        optim_config: optim.Config | None = None,
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
    ) -> None:
        _check_model(model)
        for split in ("train", "val"):
            _check_split(data, split)
        _check_positive_int("batch_size", batch_size)
        _check_positive_int("num_epochs", num_epochs)
        _check_number_of_samples("num_train_samples", num_train_samples)
        _check_number_of_samples("num_val_samples", num_val_samples)
        if not isinstance(print_every, int | np.integer):
            raise TypeError(f"print_every must be an int, got {print_every!r}; 0 logs no losses")
        if not (math.isfinite(lr_decay) and lr_decay > 0):
            raise ValueError(f"lr_decay must be finite and > 0, got {lr_decay!r}; 1 keeps the learning rate")
        if not isinstance(optim_config, dict | None):
            raise TypeError(f"optim_config must be a dict of the rule's settings, got {optim_config!r}")
        if on_divergence not in ("raise", "stop"):
            raise ValueError(f"on_divergence must be 'raise' or 'stop', got {on_divergence!r}")

        self.model = model
        self.X_train, self.y_train = np.asarray(data["X_train"]), np.asarray(data["y_train"])
        self.X_val, self.y_val = np.asarray(data["X_val"]), np.asarray(data["y_val"])
        self.update_rule = optim.find_rule(update_rule)
        self.optim_configs = {name: dict(optim_config or {}) for name in model.params}
        self.lr_decay = lr_decay
        self.batch_size = batch_size
        self.num_epochs = num_epochs
        self.print_every = print_every
        self.verbose = verbose
        self.num_train_samples = num_train_samples
        self.num_val_samples = num_val_samples
        self.progress = progress
        self.on_divergence = on_divergence

        self.epoch = 0
        self.loss_history: list[float] = []
        self.train_acc_history: list[float] = []
        self.val_acc_history: list[float] = []
        self.best_val_acc = -math.inf
        self.best_params: dict[str, NDArray[Any]] = {}
        self.diverged: int | None = None
        self._minibatches = np.random.default_rng(seed)
        (self._samples,) = self._minibatches.spawn(1)

    def train(self) -> None:
        """Train for ``num_epochs`` epochs; called again, for as many more.

        However it ends, by an error or an interrupt too, the model's parameters are then the best ones on
        validation so far. (When it fails before the first accuracy is measured, they are left as they are.)

        Raises
        ------
        FloatingPointError
            When the loss or a score is NaN or infinite, and ``on_divergence`` is ``"raise"``. The gradient of
            such a loss is not applied.
        """
        from tqdm import tqdm

        iterations_per_epoch = max(len(self.X_train) // self.batch_size, 1)
        first = len(self.loss_history)
        last = first + self.num_epochs * iterations_per_epoch
        last_epoch = self.epoch + self.num_epochs
        hide_bar = None if self.progress is None else not self.progress  # None: tqdm asks the terminal
        self.diverged = None
        try:
            with tqdm(total=last - first, disable=hide_bar) as bar:
                for t in range(first, last):
                    loss = self._step(f"iteration {t + 1} / {last}")
                    if self.print_every > 0 and t % self.print_every == 0:
                        self._log(f"(Iteration {t + 1} / {last}) loss: {loss:f}")
                    if not self.val_acc_history:
                        self._measure(last_epoch)
                    if (t + 1 - first) % iterations_per_epoch == 0:
                        self.epoch += 1
                        self._decay_learning_rates()
                        self._measure(last_epoch)
                    self._show(bar)
        except FloatingPointError:
            self.diverged = t + 1
            if self.on_divergence == "raise":
                raise
        finally:
            for name, best in self.best_params.items():
                self.model.params[name][...] = best

    def check_accuracy(
        self, X: NDArray[Any], y: NDArray[Any], num_samples: int | None = None, batch_size: int = 100
    ) -> float:
        """Return the fraction of examples to whose label the model gives the highest score.

        Parameters
        ----------
        X : ndarray of shape (N, d_1, ..., d_k)
            The examples.
        y : ndarray of shape (N,), integer
            Their labels.
        num_samples : int or None
            Measure on this many of them, drawn at random without replacement, if there are more.
        batch_size : int
            How many are given to the model at once.

        Returns
        -------
        float
            Between 0 and 1.

        Raises
        ------
        FloatingPointError
            When an example's highest score is NaN or infinite: then there is no telling which one it is.
        TypeError, ValueError
            When an argument is not as above, or the model's scores are not of shape (examples, classes).
        """
        _check_examples("X", X, "y", y)
        _check_number_of_samples("num_samples", num_samples)
        _check_positive_int("batch_size", batch_size)
        X, y = np.asarray(X), np.asarray(y)
        rows = None
        if num_samples is not None and num_samples < len(X):
            rows = self._samples.choice(len(X), num_samples, replace=False)
        total = len(X) if rows is None else len(rows)
        correct = 0
        for start in range(0, total, batch_size):
            stop = start + batch_size
            batch = slice(start, stop) if rows is None else rows[start:stop]
            correct += int(np.count_nonzero(self._predict(X[batch]) == y[batch]))
        return correct / total

    def _predict(self, X: NDArray[Any]) -> NDArray[np.intp]:
        scores = np.asarray(self.model.loss(X))
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
        predictions: NDArray[np.intp] = scores.argmax(axis=1)
        return predictions

    def _step(self, where: str) -> float:
        """Update the parameters on one minibatch; return its loss before the update."""
        rows = self._minibatches.integers(len(self.X_train), size=self.batch_size)
        result = self.model.loss(self.X_train[rows], self.y_train[rows])
        if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping)):
            raise TypeError(
                f"model.loss(X, y) returned {type(result).__name__}; it must return (loss, grads), grads a dict "
                "from the names of the parameters to their gradients"
            )
        loss_value, grads = result
        loss = float(loss_value)
        if not math.isfinite(loss):
            learning_rate = next(iter(self.optim_configs.values())).get("learning_rate", "the rule's default")
            raise FloatingPointError(
                f"the loss is {loss} at {where} (learning rate: {learning_rate}); "
                "its gradient was not applied. Try a lower learning rate, a smaller weight_scale or "
                "less regularization, and look for NaN and unscaled values in the data"
            )
        params = self.model.params
        _check_gradients(params, grads)
        for name, w in params.items():
            params[name], self.optim_configs[name] = self.update_rule(
                w, grads[name], self.optim_configs[name]
            )
        self.loss_history.append(loss)
        return loss

    def _measure(self, last_epoch: int) -> None:
        """Measure, record and log both accuracies; keep the parameters if they are the best so far."""
        train_acc = self.check_accuracy(self.X_train, self.y_train, self.num_train_samples)
        val_acc = self.check_accuracy(self.X_val, self.y_val, self.num_val_samples)
        self.train_acc_history.append(train_acc)
        self.val_acc_history.append(val_acc)
        if val_acc > self.best_val_acc:
            self.best_val_acc = val_acc
            self.best_params = {name: w.copy() for name, w in self.model.params.items()}
        self._log(f"(Epoch {self.epoch} / {last_epoch}) train acc: {train_acc:f}; val_acc: {val_acc:f}")

    def _decay_learning_rates(self) -> None:
        if self.lr_decay == 1:
            return
        for name, config in self.optim_configs.items():
            if "learning_rate" not in config:
                raise ValueError(
                    f"lr_decay is {self.lr_decay}, but the config of {name!r} has no 'learning_rate'; "
                    "pass one in optim_config, or lr_decay=1"
                )
            config["learning_rate"] *= self.lr_decay

    def _show(self, bar: Any) -> None:
        if bar.disable:
            return
        loss, train_acc, val_acc = self.loss_history[-1], self.train_acc_history[-1], self.val_acc_history[-1]
        bar.set_postfix_str(
            f"loss {loss:.4f}, train acc {train_acc:.3f}, val acc {val_acc:.3f}", refresh=False
        )
        bar.update()

    def _log(self, line: str) -> None:
        from tqdm import tqdm

        if self.verbose:
            tqdm.write(line)


def _check_model(model: Model) -> None:
    params = getattr(model, "params", None)
    if not isinstance(params, dict) or not params:
        raise TypeError(f"{type(model).__name__}.params must be a dict from names to arrays, got {params!r}")
    for name, w in params.items():
        if not isinstance(w, np.ndarray):
            raise TypeError(f"model.params[{name!r}] must be a NumPy array, got {type(w).__name__}")
    if not callable(getattr(model, "loss", None)):
        raise TypeError(f"{type(model).__name__} must have a method loss(X, y=None)")


def _check_split(data: Mapping[str, NDArray[Any]], split: str) -> None:
    X, y = f"X_{split}", f"y_{split}"
    for key in (X, y):
        if key not in data:
            raise ValueError(f"data has no {key!r}; it must have X_train, y_train, X_val and y_val")
    _check_examples(X, data[X], y, data[y])


def _check_examples(X_name: str, X: NDArray[Any], y_name: str, y: NDArray[Any]) -> None:
    X_shape, labels = np.shape(X), np.asarray(y)
    if labels.ndim != 1 or X_shape[:1] != labels.shape:
        raise ValueError(
            f"{X_name} must have shape (N, ...) and {y_name} (N,), of one N; got {X_shape} and {labels.shape}"
        )
    if len(labels) == 0:
        raise ValueError(f"{X_name} is empty; at least one example is needed")
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"{y_name} must hold integer labels, got {labels.dtype}; convert it with astype(int)")


def _check_positive_int(name: str, value: object) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be an int >= 1, got {value!r}")


def _check_number_of_samples(name: str, value: int | None) -> None:
    if value is not None:
        _check_positive_int(name, value)


def _check_gradients(params: Mapping[str, NDArray[Any]], grads: Mapping[str, NDArray[Any]]) -> None:
    for name, w in params.items():
        if name not in grads:
            raise ValueError(
                f"model.loss(X, y) returned no gradient for parameter {name!r}, only {sorted(grads)}"
            )
        dw = np.asarray(grads[name])
        if (dw.shape, dw.dtype) != (w.shape, w.dtype):
            raise ValueError(
                f"the gradient of {name!r} is {dw.dtype} of shape {dw.shape}; "
                f"it must be like its parameter, {w.dtype} of shape {w.shape}"
            )
