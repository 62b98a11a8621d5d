"""Sweep: train a model with every setting of a grid, or of a random search, and rank them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine.arguments import names_itself
from .engine.scalars import as_int
from .files import fingerprint
from .solver import Model, Solver
from .sweeping.folder import SweepFolder, only_one
from .sweeping.halving import HalvedResults, Halving, read_halving
from .sweeping.job import DATA_FOLDER, Train, one_blas_thread, stored
from .sweeping.results import Results, train_all
from .sweeping.search_space import Setting, choices, log_uniform, read_grid, uniform
from .sweeping.trials import Arrays, SweepResult, Table, Trial
from .sweeping.workers import Executor, ThisProcess, Workers, check_executor

__all__ = [
    "Executor",
    "Halving",
    "SweepResult",
    "Table",
    "Trial",
    "choices",
    "log_uniform",
    "sweep",
    "train_model",
    "uniform",
]


@names_itself
def sweep(
    train: Train,
    grid: Mapping[str, Any] | Sequence[Setting],
    data: Mapping[str, NDArray[Any]],
    executor: Executor | None = None,
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: bool | None = None,
    halving: Halving | int | None = None,
) -> SweepResult:
    """Train with every setting of a grid.

    Parameters
    ----------
    train : callable
        ``train(setting, data, seed) -> record``. It gets a copy of the setting, read-only arrays, and an int.
        The record is a dict with ``val_acc`` and, if there are, ``history`` (a dict of lists), ``params``
        (a dict of arrays), ``diverged_at_epoch`` (an int, from 1), which makes ``val_acc`` optional, and ``can_be_cut``
        (False where the first epochs depend on how many follow, see Notes). A FloatingPointError says that the
        setting diverged. With an executor, it must be picklable.
    grid : mapping or list of settings
        The values of each name, a list, for all their combinations; or the settings, as from `choices`.
        Values must be representable in JSON. A setting given twice is trained once.
    data : mapping
        Arrays by name.
    executor : Executor, optional
        Runs the settings, each with one BLAS thread; needs the extra ``sweep``. Its workers are processes
        that see `out` or, without it, the folder of temporary files: they map the data from there into
        memory. By default this process runs them, with the threads that BLAS has.
    out : path, optional
        A folder that keeps ``grid.json``, every finished training as a line of ``results.jsonl``, and the
        parameters of the best so far as ``best.npz``. A sweep that was stopped goes on there when it is
        called again with the same grid, data and seed; whether `train` is the same is not checked,
        and a setting that diverged or raised an error has finished too.
    seed : int
        Each setting's own seed follows from this one and the setting, whatever its ``num_epochs``.
    progress : bool, optional
        Whether to show a progress bar, on stderr; None shows it when stderr is a terminal.
    halving : Halving or int, optional
        Successive halving: `Halving` has the epochs of each rung and the part that goes on to the next. An int n is for
        settings of one ``num_epochs`` E: a rung at E, E // n, E // n², …, from each of which the best n-th goes on.

    Returns
    -------
    SweepResult
        The same, whatever the executor and the order in which the settings finish. (Where BLAS rounds
        differently with several threads, run under ``threadpoolctl.threadpool_limits(1)`` to get the
        numbers of an executor in this process.)

    Raises
    ------
    BlockingIOError
        When another process is sweeping into `out`.
    FileExistsError, NotADirectoryError
        When `out` is a file or holds another sweep.
    ImportError
        When an executor is given and threadpoolctl is not installed.
    OSError
        When a file cannot be written, or the executor's pool broke and no process of its kind can be started;
        what is in `out` then stays whole.
    TypeError, ValueError
        When an argument is not as above, or `train` does not return a record.

    Notes
    -----
    Settings that differ in ``num_epochs`` alone are trained once, with the largest, and the others are read off
    that run, provided that its history has ``val_acc_history``, whose entry k is the accuracy after epoch k,
    from 0 to ``num_epochs``, and its ``val_acc`` is the highest of them. So a `train` whose first epochs depend
    on how many follow, as those of a learning rate that falls until the last one, must return ``"can_be_cut": False``;
    `train_model` does with an ``lr_schedule``. The accuracy read off is the highest up to that epoch, and lists
    with an entry for each epoch, or as many for each, are cut there. The best trial always has parameters:
    no shorter run is better than the longest, and one that is as good has the same.

    When a worker of a ``ProcessPoolExecutor`` dies, its pool is broken. Then, with a warning,
    as many processes of the sweep's own, with the pool's context and initializer, train the remaining settings,
    one each; a setting that kills two of them is recorded as an error. So is one that kills workers of Dask,
    after one process of the sweep's own, started by spawn, was tried. A setting that an executor loses in another
    way is trained in this process, with a warning.

    Whatever `train` raises, ``SystemExit`` too, is that setting's error; KeyboardInterrupt alone ends the sweep.
    """
    settings, shown_grid = read_grid(grid)
    arrays = _read_data(data)
    if not callable(train):
        raise TypeError(f"train must be a function train(setting, data, seed), got {train!r}")
    seed = as_int("seed", seed, least=0)
    if executor is not None:
        check_executor(executor, train)
    description: dict[str, Any] = {
        "seed": seed,
        "grid": shown_grid,
        "data": {name: fingerprint(array) for name, array in arrays.items()},
    }
    if halving is not None:
        halving, settings = read_halving(halving, settings)
        description["halving"] = {"rungs": list(halving.rungs), "keep": float(halving.keep)}
    with contextlib.ExitStack() as stack:
        if out is None:
            out = stack.enter_context(tempfile.TemporaryDirectory(prefix="minigrad-sweep-"))
        stack.enter_context(only_one(Path(out)))
        folder = SweepFolder(Path(out), description, settings)
        results = Results(settings, folder) if halving is None else HalvedResults(halving, settings, folder)
        shutil.rmtree(Path(out, DATA_FOLDER), ignore_errors=True)  # of a sweep that was killed
        here = ThisProcess(train, arrays)
        trainer: ThisProcess | Workers = here
        if executor is not None and results.missing():
            stack.enter_context(one_blas_thread())  # as in the workers, which may be threads of this process
            data_there = stack.enter_context(stored(arrays, Path(out), description["data"]))
            trainer = stack.enter_context(contextlib.closing(Workers(executor, train, data_there, here)))
        train_all(trainer, seed, results, progress)
        return results.ranked()


@names_itself
def train_model(model: Model, data: Mapping[str, NDArray[Any]], seed: int, **options: Any) -> dict[str, Any]:
    """Train a model with a `Solver` and return the record that `sweep` expects.

    Parameters
    ----------
    model : Model
        The model; its parameters are updated in place.
    data, seed, **options
        Those of the `Solver`, which is silent unless they say otherwise.

    Returns
    -------
    dict
        ``val_acc``, ``history``, ``params`` and, if it diverged, ``diverged_at_epoch``; with an ``lr_schedule``, which
        may depend on the number of epochs, ``can_be_cut`` is False. The parameters are the best ones, which the model
        has then, too, with its ``state`` at that time; a state that is needed later, such as running means, is added to
        the record by the caller.

    Raises
    ------
    TypeError, ValueError
        As the `Solver` does.
    """
    quiet = {"verbose": False, "progress": False, "print_every": 0}
    solver = Solver(model, data, seed=seed, on_divergence="stop", **quiet | options)
    with np.errstate(over="ignore", invalid="ignore"):  # the solver says when training diverges
        solver.train()
    names = ("loss_history", "train_acc_history", "val_acc_history")
    record = {
        "can_be_cut": options.get("lr_schedule") is None,
        "val_acc": solver.best_val_acc,
        "history": {name: getattr(solver, name) for name in names},
        "params": solver.best_params,
    }
    if solver.diverged is not None:
        record["diverged_at_epoch"] = max(len(solver.val_acc_history), 1)
    return record


def _read_data(data: Any) -> Arrays:
    """Return read-only views, in a file's memory order."""
    if not isinstance(data, Mapping) or not data:
        raise TypeError(
            f"data must be a mapping from names to arrays, and not empty; got {type(data).__name__}"
        )
    arrays = {}
    for name, values in data.items():
        if not isinstance(values, np.ndarray) or values.dtype.hasobject:
            kind = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
            raise TypeError(f"data[{name!r}] must be an array of numbers, got {kind}")
        array = np.asarray(values)
        arrays[name] = (array if array.flags.forc else array.copy()).view()
        arrays[name].flags.writeable = False
    return arrays
