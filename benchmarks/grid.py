"""The race: the course's grid search as its notebook runs it, and `minigrad.sweep` over the same grid.

The sweep trains the whole grid, in float32, by processes with one BLAS thread each. The course's loop, in float64,
as NumPy does by default, trains one setting after the other with all of BLAS's threads; unless asked for all
of them, it trains a subset: of every combination of hidden size, learning rate and regularization the first
epochs, which are the same however many follow. The whole of it is then estimated from the seconds
that an epoch takes at each hidden size.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import warnings
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from minigrad.datasets import get_cifar10_data, load_digits
from minigrad.optim import sgd
from minigrad.sweep import SweepResult
from models import hand_written
from models.sweep_command import GRIDS, WEIGHT_SCALE, search

from .report import columns, machine, write_json

SUBSET_EPOCHS = {"digits": 20, "cifar10": 3}
"""Epochs of each training in the subset, by data set."""

BATCH_SIZE = 200
LR_DECAY = 0.95
TRAIN_SAMPLES = 1000


@dataclass(frozen=True)
class Training:
    """One setting's training by the course's loop.

    Attributes
    ----------
    setting : dict
        ``hidden_dim``, ``num_epochs``, ``learning_rate`` and ``reg``.
    seconds : float
        Of the training.
    val_acc_history : list of float
        The validation accuracies after the first iteration, and then after each epoch.
    """

    setting: dict[str, Any]
    seconds: float
    val_acc_history: list[float]


def main(argv: Sequence[str] | None = None) -> int:
    """Race the course's grid search against the sweep, print both, and write the figures where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks grid", description=main.__doc__)
    parser.add_argument("--dataset", choices=GRIDS, default="digits", help="(default: %(default)s)")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="of CIFAR-10, as for the models")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="of the sweep; 2 by default")
    parser.add_argument("--full", action="store_true", help="let the course's loop train all settings")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and the machine here")
    options = parser.parse_args(argv)
    if options.workers < 1:
        parser.error(f"--workers is {options.workers}; expected at least 1")
    try:
        data = load_digits() if options.dataset == "digits" else get_cifar10_data(options.data_dir)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    report = {**machine(), **race(options.dataset, data, options.workers, options.full)}
    print(summary(report))
    if options.json:
        write_json(options.json, report)
    return 0


def race(dataset: str, data: dict[str, np.ndarray], workers: int, full: bool) -> dict[str, Any]:
    """Run both searches over the grid of a data set; return their results and times.

    Parameters
    ----------
    dataset
        Its name, by which the grid is found.
    data
        Its arrays, of float64.
    workers
        How many processes the sweep has; with 1, it runs in this one.
    full
        Whether the course's loop trains every setting, or the subset.

    Returns
    -------
    dict
        ``dataset``, ``workers``, ``full``, ``course`` and ``sweep``; the last two each have ``seconds``, and
        all that they trained; ``course`` has the whole grid's ``estimate`` by hidden size and epochs.
    """
    grid = GRIDS[dataset]
    swept, sweep_seconds = run_sweep(dataset, data, workers)
    subset_epochs = None if full else SUBSET_EPOCHS[dataset]
    trainings = run_course(settings(grid, subset_epochs), data, WEIGHT_SCALE[dataset])
    return {
        "dataset": dataset,
        "workers": workers,
        "full": full,
        "validation_examples": len(data["y_val"]),
        "course": {
            "seconds": sum(training.seconds for training in trainings),
            "estimate": estimate(grid, trainings),
            "trainings": [asdict(training) for training in trainings],
        },
        "sweep": {
            "seconds": sweep_seconds,
            "trials": [
                {
                    "setting": {name: trial.setting[name] for name in grid},
                    "status": trial.status,
                    "val_acc_history": trial.history.get("val_acc_history", []),
                }
                for trial in swept.trials
            ],
        },
    }


def settings(grid: dict[str, list[Any]], subset_epochs: int | None) -> list[dict[str, Any]]:
    """Return the settings for the course's loop: all of the grid or, each with so many epochs, its subset."""
    if subset_epochs is not None:
        grid = {**grid, "num_epochs": [min(subset_epochs, max(grid["num_epochs"]))]}
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def run_sweep(dataset: str, data: dict[str, np.ndarray], workers: int) -> tuple[SweepResult, float]:
    """Sweep the whole grid in float32; return the result and the seconds, the start of the workers included."""
    narrow = {
        name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in data.items()
    }
    arguments = Namespace(
        dataset=dataset, workers=workers, scheduler=None, out=None, seed=0, update_rule="sgd", halving=None
    )
    start = perf_counter()
    result = search(arguments, GRIDS[dataset], narrow)
    return result, perf_counter() - start


def run_course(
    settings: list[dict[str, Any]], data: dict[str, np.ndarray], weight_scale: float
) -> list[Training]:
    """Train the settings one after the other, as the notebook does; print each."""
    trainings = []
    for seed, setting in enumerate(settings):
        net = hand_written.TwoLayerNet(
            input_dim=data["X_train"][0].size,
            hidden_dim=setting["hidden_dim"],
            weight_scale=weight_scale,
            reg=setting["reg"],
            seed=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in the notebook, which goes on when a setting diverges
            start = perf_counter()
            history = train(net, data, setting["learning_rate"], setting["num_epochs"], seed)
            trainings.append(Training(setting, perf_counter() - start, history))
        print(f"{_named(setting)}: {trainings[-1].seconds:.2f} s, {max(history):.3f}", flush=True)
    return trainings


def train(
    net: hand_written.TwoLayerNet,
    data: dict[str, np.ndarray],
    learning_rate: float,
    num_epochs: int,
    seed: int,
) -> list[float]:
    """Train a net as the course's Solver does, to the last epoch; return its validation accuracies.

    Each iteration draws a batch with replacement and updates every parameter; the accuracies, on 1,000
    images of the training part and on all of the validation part, are measured after the first iteration
    and after each epoch; the best parameters are kept.
    """
    rng = np.random.default_rng(seed)
    X, y, X_val, y_val = (data[name] for name in ("X_train", "y_train", "X_val", "y_val"))
    batch_size = min(BATCH_SIZE, len(X))
    iterations_per_epoch = max(len(X) // batch_size, 1)
    configs = {name: {"learning_rate": learning_rate} for name in net.params}
    val_acc_history: list[float] = []
    best_val_acc, best_params = 0.0, dict(net.params)
    for t in range(num_epochs * iterations_per_epoch):
        rows = rng.choice(len(X), batch_size)
        _, grads = net.loss(X[rows], y[rows])
        for name, w in net.params.items():
            net.params[name], configs[name] = sgd(w, grads[name], configs[name])
        epoch_ends = (t + 1) % iterations_per_epoch == 0
        if epoch_ends:
            for config in configs.values():
                config["learning_rate"] *= LR_DECAY
        if epoch_ends or t == 0:
            rows = rng.choice(len(X), min(TRAIN_SAMPLES, len(X)))
            accuracy(net, X[rows], y[rows])
            val_acc_history.append(accuracy(net, X_val, y_val))
            if val_acc_history[-1] > best_val_acc:
                best_val_acc = val_acc_history[-1]
                best_params = {name: w.copy() for name, w in net.params.items()}
    net.params = best_params
    return val_acc_history


def accuracy(net: hand_written.TwoLayerNet, X: np.ndarray, y: np.ndarray, batch_size: int = 100) -> float:
    """Return the net's accuracy, computed in batches."""
    labels = [np.argmax(net.loss(X[i : i + batch_size]), axis=1) for i in range(0, len(X), batch_size)]
    return float(np.mean(np.concatenate(labels) == y))


# The figures


class Both(NamedTuple):
    """A setting that both trained: the highest validation accuracy of each so far, and how the sweep's run ended."""

    setting: dict[str, Any]
    course: float
    sweep: float
    status: str


def estimate(grid: dict[str, list[Any]], trainings: list[Training]) -> list[dict[str, Any]]:
    """Return, by hidden size and epochs, the seconds that the settings of the grid would take the course's loop.

    The seconds of an epoch are those of all trainings of this hidden size, over the number of their epochs.
    """
    alike = len(grid["learning_rate"]) * len(grid["reg"])
    estimates = []
    for hidden_dim in grid["hidden_dim"]:
        same = [training for training in trainings if training.setting["hidden_dim"] == hidden_dim]
        epoch = sum(t.seconds for t in same) / sum(t.setting["num_epochs"] for t in same)
        seconds = {str(epochs): alike * epochs * epoch for epochs in grid["num_epochs"]}
        estimates.append(
            {"hidden_dim": hidden_dim, "trainings": len(same), "epoch": epoch, "seconds": seconds}
        )
    return estimates


def trained_by_both(report: dict[str, Any]) -> list[Both]:
    """Pair what both trained, the course's best first; of the sweep's longest run, the epochs the course's had."""
    trials = sorted(report["sweep"]["trials"], key=lambda trial: trial["setting"]["num_epochs"])
    longest = {_without_epochs(trial["setting"]): trial for trial in trials}
    pairs = []
    for training in report["course"]["trainings"]:
        setting = training["setting"]
        trial = longest[_without_epochs(setting)]
        course, sweep = (
            max(run["val_acc_history"][: setting["num_epochs"] + 1], default=0.0) for run in (training, trial)
        )
        pairs.append(Both(setting, course, sweep, trial["status"]))
    return sorted(pairs, key=lambda pair: -pair.course)


def _without_epochs(setting: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(value for name, value in setting.items() if name != "num_epochs")


def summary(report: dict[str, Any]) -> str:
    """Return the race as text."""
    return "\n\n".join([accuracies(report), times(report), verdict(report)])


def accuracies(report: dict[str, Any]) -> str:
    """Return the highest validation accuracy of each in every setting both trained, and how far they differ."""
    pairs = trained_by_both(report)
    header = [*pairs[0].setting, "course", "sweep", "status"]
    rows = [
        [*map(str, pair.setting.values()), f"{pair.course:.3f}", f"{pair.sweep:.3f}", pair.status]
        for pair in pairs
    ]
    differences = [pair.sweep - pair.course for pair in pairs if pair.status == "finished"]
    p, n = pairs[0].course, report["validation_examples"]
    lines = [
        "The highest validation accuracy up to this epoch, in what both trained:",
        columns([header, *rows]),
        f"one sigma of the difference of two such accuracies near {p:.2f}, on {n} images: "
        f"{math.sqrt(2 * p * (1 - p) / n):.3f}",
    ]
    if differences:
        lines.append(
            f"sweep - course, where it finished: {statistics.mean(differences):+.3f} in the mean, "
            f"{max(differences, key=abs):+.3f} at most"
        )
    return "\n".join(lines)


def times(report: dict[str, Any]) -> str:
    """Return the seconds of the course's loop for the whole grid, by hidden size and epochs."""
    rows = [
        [
            str(size["hidden_dim"]),
            str(size["trainings"]),
            f"{size['epoch']:.3f}",
            *(f"{seconds:.1f}" for seconds in size["seconds"].values()),
            f"{sum(size['seconds'].values()):.1f}",
        ]
        for size in report["course"]["estimate"]
    ]
    epochs = report["course"]["estimate"][0]["seconds"]
    header = ["hidden_dim", "trainings", "s/epoch", *(f"{n} epochs" for n in epochs), "all"]
    return "The course's loop, seconds, for the grid:\n" + columns([header, *rows])


def verdict(report: dict[str, Any]) -> str:
    """Return the time of each, their ratio, and the best setting of each."""
    course, sweep = report["course"], report["sweep"]
    pairs = trained_by_both(report)
    swept = max(pairs, key=lambda pair: pair.sweep)
    best = sweep["trials"][0]
    whole = course["seconds"]
    subset = ""
    if not report["full"]:
        whole = sum(sum(size["seconds"].values()) for size in course["estimate"])
        subset = f", and so an estimated {whole:.1f} s for the whole grid"
    return "\n".join(
        [
            f"course: {course['seconds']:.1f} s for {len(pairs)} trainings{subset}",
            f"sweep:  {sweep['seconds']:.1f} s for the whole grid, with {report['workers']} workers",
            f"ratio:  {whole / sweep['seconds']:.1f}",
            f"best of the course: {_named(pairs[0].setting)}: {pairs[0].course:.3f}",
            f"the sweep's best of these: {_named(swept.setting)}: {swept.sweep:.3f}",
            f"the sweep's best of all: {_named(best['setting'])}: {max(best['val_acc_history'], default=0):.3f}",
        ]
    )


def _named(setting: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in setting.items())
