"""What a command line writes: settings, histories, parameters and pictures, by file name."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.files import finish, publish
from minigrad.solver import Solver
from minigrad.vis import plot_history, show_net_weights

from .console import PROGRAM, stop
from .registry import running

PICTURES: dict[str, Callable[[Solver, Any], Any]] = {
    "curves.png": lambda solver, figure: plot_history(solver, figure.subplots(2)),
    "weights.png": lambda solver, figure: show_net_weights(solver.model, figure.subplots()),
}
OUTPUTS = ("history.json", "history.csv", "params.npz", *PICTURES)


def check_folder(folder: Path, outputs: Sequence[str] = OUTPUTS, program: str = PROGRAM) -> None:
    """Make the folder, if missing; stop if no file can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        finish(folder, outputs)  # of a run that was killed while it wrote
    except OSError as error:
        reason = f"no file can be written ({error.strerror}); name another folder"
        stop(2, f"--out is {folder}, where {reason}", program)


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that decide the training."""
    settings = vars(args) | {"data_dir": args.data_dir and str(args.data_dir)}
    return {name: value for name, value in settings.items() if name not in ("print_every", "quiet", "out")}


def histories(settings: dict[str, Any], solver: Solver, test_accuracy: float | None) -> dict[str, bytes]:
    """Return the settings, the losses and the accuracies, as JSON and as a table."""
    history = {
        "settings": settings,
        "loss_history": solver.loss_history,
        "train_acc_history": solver.train_acc_history,
        "val_acc_history": solver.val_acc_history,
        "best_val_acc": solver.best_val_acc if solver.val_acc_history else None,
        "test_accuracy": test_accuracy,
    }
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(rows(solver))
    return {
        "history.json": json.dumps(history, indent=1, allow_nan=False).encode() + b"\n",
        "history.csv": table.getvalue().encode(),
    }


def rows(solver: Solver) -> Iterator[tuple[Any, ...]]:
    """Yield a table with a row for each iteration and accuracies where they were measured.

    An iteration's epoch is how many are complete after it; an epoch's first row has its accuracies. Where the first
    iteration is a whole epoch, it has a row of epoch 0 before.
    """
    yield "iteration", "epoch", "loss", "train_acc", "val_acc"
    accuracies = list(zip(solver.train_acc_history, solver.val_acc_history, strict=True))
    iterations_per_epoch = max(len(solver.X_train) // solver.batch_size, 1)
    for iteration, loss in enumerate(solver.loss_history, start=1):
        epoch = iteration // iterations_per_epoch
        is_measured = iteration == 1 or iteration % iterations_per_epoch == 0
        for each in (0, 1) if iteration == epoch == 1 else (epoch,):
            of_epoch = accuracies[each] if is_measured and each < len(accuracies) else ("", "")
            yield iteration, each, loss, *of_epoch


def parameters(model: Any) -> dict[str, bytes]:
    """Return the parameters, and batch normalization's running means and variances, as an archive of arrays."""
    file = io.BytesIO()
    np.savez(file, **model.params, **{name: param[key] for name, param, key in running(model)})
    return {"params.npz": file.getvalue()}


def pictures(solver: Solver, outputs: Sequence[str] = OUTPUTS, program: str = PROGRAM) -> dict[str, bytes]:
    """Return the learning curves and the first layer's weights, if they are among the outputs.

    Without matplotlib, none, and a hint is printed.
    """
    names = [name for name in PICTURES if name in outputs]
    try:
        from matplotlib.figure import Figure
    except ImportError:
        needs = "needs" if len(names) == 1 else "need"
        print(f'{program}: {", ".join(names)} {needs} matplotlib: pip install -e ".[plot]"', file=sys.stderr)
        return {}
    files = {}
    for name in names:
        figure = Figure(figsize=(8, 8), layout="constrained")
        PICTURES[name](solver, figure)
        files[name] = png(figure)
    return files


def png(figure: Any) -> bytes:
    """Return a figure as PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def write(
    folder: Path, files: dict[str, bytes], outputs: Sequence[str] = OUTPUTS, program: str = PROGRAM
) -> None:
    """Replace the files of an earlier run, all at once; stop if that fails."""
    try:
        publish(folder, files, outputs)
    except OSError as error:
        stop(1, f"{error.filename} cannot be written ({os.strerror(error.errno or 0)})", program)
