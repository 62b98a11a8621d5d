"""Sweep: train a model with every setting of a grid, or of a random search, and rank them."""

from __future__ import annotations

import contextlib
import csv
import errno
import functools
import hashlib
import io
import itertools
import json
import math
import os
import pickle
import queue
import shutil
import tempfile
import traceback
import warnings
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import asdict, dataclass, field, replace
from inspect import signature
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from minigrad.solver import Model, Solver

Setting: TypeAlias = dict[str, Any]
Arrays: TypeAlias = dict[str, NDArray[Any]]
Train: TypeAlias = Callable[[Setting, Arrays, int], Mapping[str, Any]]
Draw: TypeAlias = Callable[[np.random.Generator], Any]

STATUSES = ("finished", "diverged", "error")
"""What becomes of a setting, the best first."""

DATA_FOLDER = ".sweep-data"
"""Where workers find the data, in the sweep's folder, as long as it runs."""


class Executor(Protocol):
    """What runs the settings: an executor of concurrent.futures, a client of Dask."""

    def submit(self, fn: Any, /, *args: Any) -> Any:
        """Start ``fn(*args)`` elsewhere and return its future."""


@dataclass(frozen=True)
class Trial:
    """What became of one setting.

    Attributes
    ----------
    setting : dict
        The setting.
    status : {"finished", "diverged", "error"}
        Whether ``train`` returned an accuracy, diverged, or raised another error.
    val_acc : float or None
        Its validation accuracy; None if it did not finish.
    history : dict of lists
        What ``train`` recorded.
    diverged_at_epoch : int or None
        The epoch, counted from 1, in which it diverged, if that is known.
    error : str or None
        The traceback, if ``train`` raised an error.
    read_off : int or None
        The ``num_epochs`` of the longer run that this one was read off; None if it was trained itself.
    params : dict of ndarrays or None
        The parameters; only those of the best trial are kept.
    """

    setting: Setting
    status: Literal["finished", "diverged", "error"]
    val_acc: float | None = None
    history: dict[str, list[Any]] = field(default_factory=dict)
    diverged_at_epoch: int | None = None
    error: str | None = None
    read_off: int | None = None
    params: Arrays | None = None


class SweepResult:
    """The trials of a sweep.

    Attributes
    ----------
    trials : list of Trial
        One for each setting, best first: by validation accuracy, then those that diverged, then those that
        raised an error; equal ones in the order of the grid.
    """

    def __init__(self, trials: list[Trial]) -> None:
        self.trials = trials

    @property
    def best(self) -> Trial:
        """The trial with the highest validation accuracy, with its parameters.

        Raises
        ------
        ValueError
            When no setting finished.
        """
        if self.trials[0].status != "finished":
            raise ValueError(
                f"none of the {len(self.trials)} settings finished, so none is best; "
                "table() says what happened, and trials have the tracebacks"
            )
        return self.trials[0]

    def table(self) -> Table:
        """Return all settings, best first."""
        names = list(dict.fromkeys(name for trial in self.trials for name in trial.setting))
        rows = [
            [
                *(trial.setting.get(name) for name in names),
                trial.val_acc,
                trial.status,
                trial.diverged_at_epoch,
                None if trial.read_off is None else f"num_epochs={trial.read_off}",
                trial.error and trial.error.rstrip().splitlines()[-1],
            ]
            for trial in self.trials
        ]
        return Table([*names, "val_acc", "status", "diverged_at_epoch", "from", "error"], rows)


@dataclass(frozen=True)
class Table:
    """Rows under named columns; None where there is nothing to say. ``str(table)`` aligns them.

    The column ``from`` names the longer run that a setting was read off.
    """

    columns: list[str]
    rows: list[list[Any]]

    def __str__(self) -> str:
        cells = [self.columns, *([_cell(value) for value in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
        return "\n".join(lines)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a CSV file, whole or not at all; raises OSError if it cannot be written."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.columns, *self.rows])
        _write(Path(path), text.getvalue().encode())

    def to_dataframe(self) -> Any:
        """Return a pandas DataFrame; raises ImportError if pandas is not installed."""
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise ImportError("to_dataframe needs pandas: pip install pandas") from error
        return DataFrame(self.rows, columns=self.columns)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def sweep(
    train: Train,
    grid: Mapping[str, Sequence[Any]] | Sequence[Setting],
    data: Mapping[str, NDArray[Any]],
    executor: Executor | None = None,
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> SweepResult:
    """Train with every setting of a grid.

    Parameters
    ----------
    train : callable
        ``train(setting, data, seed) -> record``. It gets a copy of the setting, read-only arrays, and an int.
        The record is a dict with ``val_acc`` and, if there are, ``history`` (a dict of lists), ``params``
        (a dict of arrays) and ``diverged_at_epoch`` (an int, from 1); the last makes ``val_acc`` optional. A
        FloatingPointError says that the setting diverged. With an executor, it must be picklable.
    grid : mapping or list of settings
        The values of each name, a list, for all their combinations; or the settings, as from `choices`.
        Values are what JSON can hold. A setting given twice is trained once.
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
        When a file cannot be written; what is in `out` then stays whole.
    TypeError, ValueError
        When an argument is not as above, or `train` returns something else than a record.

    Notes
    -----
    Settings that differ in ``num_epochs`` alone are trained once, with the largest, and the others are read off
    that run, provided that its history has ``val_acc_history``, whose entry k is the accuracy after epoch k,
    from 0 to ``num_epochs``, and its ``val_acc`` is the highest of them. So a `train` whose first epochs depend
    on how many follow must not name a list so. The accuracy read off is the highest up to that epoch, and lists
    with an entry for each epoch, or as many for each, are cut there. The best trial always has parameters:
    no shorter run is better than the longest, and one that is as good has the same.

    Of a setting whose worker was lost, this process runs the training again, with a warning.
    """
    settings, shown_grid = _read_grid(grid)
    arrays = _read_data(data)
    if not callable(train):
        raise TypeError(f"train must be a function train(setting, data, seed), got {train!r}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be an int >= 0, got {seed!r}")
    if executor is not None:
        _check_executor(executor, train)
    description = {
        "seed": int(seed),
        "grid": shown_grid,
        "data": {name: _fingerprint(array) for name, array in arrays.items()},
    }
    with contextlib.ExitStack() as stack:
        if out is None:
            out = stack.enter_context(tempfile.TemporaryDirectory(prefix="minigrad-sweep-"))
        stack.enter_context(_only_one(Path(out)))
        results = _Results(Path(out), settings, description)
        shutil.rmtree(results.folder / DATA_FOLDER, ignore_errors=True)  # of a sweep that was killed
        submit = None
        if executor is not None and results.missing():
            stack.enter_context(_one_blas_thread())  # as in the workers, which may be threads of this process
            submit = stack.enter_context(_workers(executor, train, arrays, results.folder, description))
        _train_all(train, arrays, int(seed), submit, results, progress)
        return results.ranked()


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
        ``val_acc``, ``history``, ``params`` and, if it diverged, ``diverged_at_epoch``.

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
        "val_acc": solver.best_val_acc,
        "history": {name: getattr(solver, name) for name in names},
        "params": solver.best_params,
    }
    if solver.diverged is not None:
        record["diverged_at_epoch"] = max(len(solver.val_acc_history), 1)
    return record


# Random search


def choices(n: int, space: Mapping[str, Draw | Sequence[Any]], seed: int = 0) -> list[Setting]:
    """Draw settings at random.

    Parameters
    ----------
    n : int
        How many; fewer with the same seed are the first of these.
    space : mapping
        For each name, `uniform` or `log_uniform`, or another function from a `numpy.random.Generator` to a
        value; or a list, of which one element is drawn.
    seed : int
        Of the draws.

    Returns
    -------
    list of dict
        The settings, for `sweep`.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n must be an int >= 1, got {n!r}")
    if not isinstance(space, Mapping) or not space:
        raise TypeError(
            f"space must be a mapping from names to what to draw from, and not empty; got {space!r}"
        )
    for name, values in space.items():
        if not (callable(values) or isinstance(values, list | np.ndarray)):
            raise TypeError(
                f"space[{name!r}] must be uniform(low, high), log_uniform(low, high) or a list, got {values!r}"
            )
        if not callable(values) and len(values) == 0:
            raise ValueError(f"space[{name!r}] is empty; give at least one value")
    rng = np.random.default_rng(seed)
    return [{name: _draw(values, rng) for name, values in space.items()} for _ in range(n)]


def uniform(low: float, high: float) -> Draw:
    """Return what draws floats uniformly from `low` to `high`; raises ValueError unless low < high."""
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"uniform needs finite low < high, got low={low!r}, high={high!r}")
    return lambda rng: float(rng.uniform(low, high))


def log_uniform(low: float, high: float) -> Draw:
    """Return what draws floats, their logarithms uniformly; raises ValueError unless 0 < low < high."""
    if not (0 < low < high < math.inf):
        raise ValueError(f"log_uniform needs finite 0 < low < high, got low={low!r}, high={high!r}")
    return lambda rng: min(max(math.exp(rng.uniform(math.log(low), math.log(high))), low), high)


def _draw(values: Draw | Sequence[Any], rng: np.random.Generator) -> Any:
    return values(rng) if callable(values) else values[int(rng.integers(len(values)))]


# The arguments


def _read_grid(grid: Any) -> tuple[list[Setting], dict[str, Any]]:
    """Return the distinct settings, as JSON holds them, and the grid by name (or by number, of a list)."""
    if not isinstance(grid, Mapping | list | tuple):
        raise TypeError(
            f"grid must be a mapping from names to lists of values, or a list of settings; got {grid!r}"
        )
    if len(grid) == 0:
        raise ValueError("grid is empty; give at least one name with a list of values, or one setting")
    if isinstance(grid, Mapping):
        for name, values in grid.items():
            if not isinstance(values, list | tuple | range | np.ndarray):
                raise TypeError(
                    f"grid[{name!r}] must be a list of values, got {values!r}; write [{values!r}]"
                )
            if len(values) == 0:
                raise ValueError(f"grid[{name!r}] is empty; give at least one value, or leave the name out")
        settings = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    else:
        settings = list(grid)
    read = [_read_setting(setting) for setting in settings]
    if isinstance(grid, Mapping):
        shown: dict[str, Any] = {name: [_plain(value) for value in values] for name, values in grid.items()}
    else:
        shown = {str(number): setting for number, setting in enumerate(read)}
    return list({_key(setting): setting for setting in read}.values()), json.loads(json.dumps(shown))


def _read_setting(setting: Any) -> Setting:
    if not isinstance(setting, Mapping) or not setting:
        raise TypeError(f"a setting must be a mapping from names to values, and not empty; got {setting!r}")
    read = {}
    for name, value in setting.items():
        if not isinstance(name, str):
            raise TypeError(f"names in a grid must be str, got {name!r}")
        try:
            read[name] = json.loads(json.dumps(_plain(value), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{name!r} has the value {value!r}, which JSON cannot hold ({error}); give finite numbers, "
                "str, bool, None, or lists and dicts of these"
            ) from error
    epochs = read.get("num_epochs", 1)
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise ValueError(f"num_epochs must be an int >= 1, got {epochs!r}")
    return read


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _key(setting: Setting) -> str:
    """Return the setting's canonical JSON, which tells one setting from another."""
    return json.dumps(setting, sort_keys=True)


def _chain_key(setting: Setting) -> str:
    return _key({name: value for name, value in setting.items() if name != "num_epochs"})


def _seed(seed: int, setting: Setting) -> int:
    """Return the seed of a setting, the same for any num_epochs."""
    digest = hashlib.sha256(_chain_key(setting).encode()).digest()
    words = np.random.SeedSequence([seed, int.from_bytes(digest, "little")]).generate_state(1, np.uint64)
    return int(words[0])


def _read_data(data: Any) -> Arrays:
    """Return read-only views, in the memory order that a file has."""
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


def _fingerprint(array: NDArray[Any]) -> str:
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return f"{array.dtype} {array.shape} {hashlib.sha256(content.data).hexdigest()[:16]}"


def _check_executor(executor: Any, train: Any) -> None:
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(
            f"executor must have submit, like a concurrent.futures.ProcessPoolExecutor; got {executor!r}"
        )
    try:
        pickle.dumps(train)
    except Exception as error:  # pickle raises AttributeError and TypeError too
        raise TypeError(
            f"train cannot be sent to the executor's workers ({error}); define it at the top of a module"
        ) from error
    try:
        import threadpoolctl  # noqa: F401
    except ImportError as error:
        raise ImportError('sweep with an executor needs threadpoolctl: pip install -e ".[sweep]"') from error


# Training


def _train_all(
    train: Train,
    arrays: Arrays,
    seed: int,
    submit: Callable[[Setting, int], Any] | None,
    results: _Results,
    progress: bool | None,
) -> None:
    """Train what is missing, in the workers if there are any; a setting that they lose, in this process."""
    from tqdm import tqdm

    to_do, here = deque(results.missing()), deque[Setting]()
    running: dict[Any, Setting] = {}
    done: queue.SimpleQueue[Any] = queue.SimpleQueue()
    hide_bar = None if progress is None else not progress  # None: tqdm asks the terminal
    losses: list[Exception] = []

    def lose(setting: Setting, error: Exception) -> None:
        here.append(setting)
        losses.append(error)
        if len(losses) == 1:
            warnings.warn(
                f"the executor lost a worker or a result ({type(error).__name__}: {error}); "
                "what it lost is trained in this process",
                RuntimeWarning,
                stacklevel=4,
            )

    with tqdm(total=len(results.settings), disable=hide_bar, unit="setting") as bar:
        try:
            while to_do or running or here:
                results.show(bar)
                while to_do:
                    setting = to_do.popleft()
                    if submit is None:
                        here.append(setting)
                        continue
                    try:
                        future = submit(setting, _seed(seed, setting))
                    except BrokenExecutor as error:
                        lose(setting, error)
                    else:
                        running[future] = setting
                        future.add_done_callback(done.put)
                if running:
                    future = done.get()
                    setting = running.pop(future)
                    try:
                        outcome = future.result()
                    except Exception as error:  # not one of train's: _outcome returns those
                        lose(setting, error)
                        continue
                else:
                    setting = here.popleft()
                    outcome = _outcome(train, setting, arrays, _seed(seed, setting))
                results.add(setting, outcome)
                to_do.extend(results.missing(setting))
            results.show(bar)
        finally:
            for future in running:
                future.cancel()


def _outcome(train: Train, setting: Setting, arrays: Arrays, seed: int) -> Any:
    """Return train's record, or a Trial that tells how it failed."""
    try:
        return train(json.loads(json.dumps(setting)), dict(arrays), seed)
    except FloatingPointError:
        return Trial(setting, "diverged", error=traceback.format_exc())
    except Exception:
        return Trial(setting, "error", error=traceback.format_exc())


@contextlib.contextmanager
def _workers(
    executor: Any, train: Train, arrays: Arrays, folder: Path, description: dict[str, Any]
) -> Iterator[Callable[[Setting, int], Any]]:
    """Put the data where workers find it; yield what submits a setting with its seed."""
    place = folder / DATA_FOLDER
    # Dask answers a repeated call from memory, unless told that it is not pure
    options = {"pure": False} if "pure" in signature(executor.submit).parameters else {}
    try:
        with _told(place):
            place.mkdir()
            for number, array in enumerate(arrays.values()):
                np.save(place / f"{number}.npy", array)
        stored = str(place.resolve()), tuple(arrays), json.dumps(description["data"])
        yield lambda setting, seed: executor.submit(
            _outcome_in_worker, train, setting, seed, *stored, **options
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _outcome_in_worker(
    train: Train, setting: Setting, seed: int, place: str, names: tuple[str, ...], fingerprints: str
) -> Any:
    with _one_blas_thread():
        return _outcome(train, setting, _open(place, names, fingerprints), seed)


@functools.lru_cache(maxsize=1)
def _open(place: str, names: tuple[str, ...], fingerprints: str) -> Arrays:
    """Map the data into memory, once in a process; the fingerprints tell other data at the same place."""
    files = (np.load(Path(place, f"{number}.npy"), mmap_mode="r") for number in range(len(names)))
    return {name: file.view(np.ndarray) for name, file in zip(names, files, strict=True)}


def _one_blas_thread() -> Any:
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


# The results


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Make the folder, and keep other processes from sweeping into it. The lock goes with the process, too."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "out must be a folder, but is a file", str(folder))
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("ab")
    with file:
        try:
            if os.name == "nt":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
            else:
                import fcntl

                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BlockingIOError(
                errno.EAGAIN,
                "another process is sweeping into out; wait for it, or name another",
                str(folder),
            ) from error
        yield


class _Results:
    """The trainings so far, in memory and in the folder, and the trials that follow from them."""

    def __init__(self, folder: Path, settings: list[Setting], description: dict[str, Any]) -> None:
        self.folder = folder
        self.settings = settings
        self.order = {_key(setting): number for number, setting in enumerate(settings)}
        self.chains: dict[str, list[Setting]] = {}
        for setting in sorted(settings, key=lambda setting: -setting.get("num_epochs", 1)):
            self.chains.setdefault(_chain_key(setting), []).append(setting)
        self.trained: dict[str, Trial] = {}
        self.trials: dict[str, Trial] = {}
        self.lines, self.best_file = folder / "results.jsonl", folder / "best.npz"
        self._open_folder(description)

    def missing(self, of: Setting | None = None) -> list[Setting]:
        """Find what to train next, one setting of a chain, in all chains or in that of one setting.

        On the way, fill in the trials that are known.
        """
        found = []
        for chain in self.chains.values() if of is None else [self.chains[_chain_key(of)]]:
            source, waiting = None, False
            for setting in chain:
                key = _key(setting)
                if key in self.trained:
                    self.trials[key] = source = self.trained[key]
                elif waiting:
                    continue
                elif source is not None and (read := _read_off(source, setting)) is not None:
                    self.trials[key] = read
                else:
                    found.append(setting)
                    waiting = True
        return found

    def rank(self, key: str) -> tuple[int, float, int]:
        """Return what is least for the best trial."""
        trial = self.trials[key]
        return STATUSES.index(trial.status), -(trial.val_acc or 0.0), self.order[key]

    def best(self) -> Trial | None:
        """Return the best trial that finished, if there is one."""
        best = self.trials[min(self.trials, key=self.rank)] if self.trials else None
        return best if best is not None and best.status == "finished" else None

    def add(self, setting: Setting, outcome: Any) -> None:
        """Add a training: first the parameters, if it is the best, which bring its line with them."""
        trial, params = (outcome, {}) if isinstance(outcome, Trial) else _read_record(setting, outcome)
        self.trained[_key(setting)] = trial
        self.missing(setting)
        best, line = self.best(), _line(trial)
        if best is not None and self._source(best) == _key(setting):
            _write(self.best_file, _archive(params, line))
        self._append(line)

    def ranked(self) -> SweepResult:
        """Return the trials, best first, the best one with its parameters."""
        ranked = [self.trials[key] for key in sorted(self.trials, key=self.rank)]
        saved, best = self._read_best(), self.best()
        if saved is not None and best is not None and _key(saved[0].setting) == self._source(best):
            ranked[0] = replace(best, params=saved[1])
        return SweepResult(ranked)

    def show(self, bar: Any) -> None:
        """Show how many settings are known, and the best accuracy."""
        if (best := self.best()) is not None:
            bar.set_postfix_str(f"best val acc {best.val_acc:.4f}", refresh=False)
        bar.update(len(self.trials) - bar.n)

    def _source(self, trial: Trial) -> str:
        """Return the key of the training that a trial comes from."""
        longer = {} if trial.read_off is None else {"num_epochs": trial.read_off}
        return _key(trial.setting | longer)

    def _open_folder(self, description: dict[str, Any]) -> None:
        """Read the folder of a stopped sweep, or begin one."""
        grid_file = self.folder / "grid.json"
        if grid_file.exists():
            _check_same(grid_file, description)
        elif self.lines.exists():
            raise FileExistsError(
                errno.EEXIST,
                "there are results, but no grid.json says of what; name another out",
                str(self.lines),
            )
        else:
            _write(grid_file, json.dumps(description, indent=1).encode() + b"\n")
        if self.lines.exists():
            self._read_lines()
        saved = self._read_best()
        if saved is not None and _key(saved[0].setting) not in self.trained:
            # the sweep was stopped before it wrote this line
            self.trained[_key(saved[0].setting)] = saved[0]
            self._append(_line(saved[0]))
        self.missing()
        best = self.best()
        if best is not None and (saved is None or _key(saved[0].setting) != self._source(best)):
            warnings.warn(
                f"{self.best_file} is missing, damaged or of another setting: {best.setting} is trained again",
                RuntimeWarning,
                stacklevel=4,
            )
            del self.trained[self._source(best)]
            self.trials.clear()
            self.missing()

    def _read_lines(self) -> None:
        """Read the trainings; set aside the lines that are none."""
        kept, rejected = [], []
        for line in self.lines.read_bytes().splitlines(keepends=True):
            try:
                trial = self._read_line(line)
            except (ValueError, TypeError, KeyError):
                rejected.append(line)
            else:
                self.trained[_key(trial.setting)] = trial
                kept.append(line)
        if rejected:
            aside = self.folder / "results.rejected"
            earlier = aside.read_bytes() if aside.exists() else b""
            _write(aside, earlier + b"".join(line.rstrip(b"\n") + b"\n" for line in rejected))
            _write(self.lines, b"".join(kept))
            warnings.warn(
                f"{self.lines} had {len(rejected)} damaged line(s), now in {aside.name}; "
                "their settings are trained again",
                RuntimeWarning,
                stacklevel=5,
            )

    def _read_line(self, line: bytes) -> Trial:
        """Return the training of a line; raise ValueError, TypeError or KeyError if it is none."""
        if not line.endswith(b"\n"):
            raise ValueError("the line is cut off")
        trial = Trial(**json.loads(line))
        if _key(trial.setting) not in self.order:
            raise ValueError("the setting is not of the grid")
        if not isinstance(trial.diverged_at_epoch, int | None) or not isinstance(trial.error, str | None):
            raise TypeError("the epoch or the error is of another type")
        finished = isinstance(trial.val_acc, float) and math.isfinite(trial.val_acc)
        if trial.status not in STATUSES or finished != (trial.status == "finished"):
            raise ValueError("the status and the accuracy do not fit")
        _read_history(trial.history)
        return trial

    def _append(self, line: bytes) -> None:
        """Append a line, on disk when this returns; or nothing, if that fails."""
        with _told(self.lines), self.lines.open("ab", buffering=0) as file:
            size, rest = file.tell(), memoryview(line)
            try:
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise

    def _read_best(self) -> tuple[Trial, Arrays] | None:
        """Return the training and the parameters of best.npz, if it is there and whole."""
        try:
            content = self.best_file.read_bytes()
        except FileNotFoundError:
            return None
        try:
            params, line = _read_archive(content)
            return self._read_line(line), params
        except Exception:  # a damaged archive can raise nearly anything
            return None


def _read_record(setting: Setting, record: Any) -> tuple[Trial, Arrays]:
    """Return train's record as a trial and its parameters."""
    where = f"train returned, for {setting},"
    if not isinstance(record, Mapping) or ("val_acc" not in record and "diverged_at_epoch" not in record):
        raise TypeError(f"{where} {record!r}; it must return a dict with 'val_acc', the validation accuracy")
    params = record.get("params") or {}
    for name, array in params.items():
        if not isinstance(name, str) or not isinstance(array, np.ndarray) or array.dtype.hasobject:
            raise TypeError(
                f"{where} params[{name!r}] of type {type(array).__name__}; it must be a NumPy array"
            )
    try:
        history = _read_history(record.get("history") or {})
    except (TypeError, ValueError) as error:
        raise TypeError(f"{where} a history that is not a dict of lists of numbers: {error}") from error
    epoch = record.get("diverged_at_epoch")
    if epoch is not None:
        if isinstance(epoch, bool) or not isinstance(epoch, int | np.integer) or epoch < 1:
            raise TypeError(f"{where} diverged_at_epoch={epoch!r}; it must be an int >= 1")
        return Trial(setting, "diverged", history=history, diverged_at_epoch=int(epoch)), params
    val_acc = _plain(record["val_acc"])
    if isinstance(val_acc, bool) or not isinstance(val_acc, int | float) or not math.isfinite(val_acc):
        raise TypeError(f"{where} val_acc={val_acc!r}; it must be a finite number")
    return Trial(setting, "finished", float(val_acc), history), params


def _read_history(history: Any) -> dict[str, list[Any]]:
    if not isinstance(history, Mapping):
        raise TypeError(f"got {history!r}")
    for name, values in history.items():
        if not isinstance(name, str) or not isinstance(values, list | tuple | np.ndarray):
            raise TypeError(f"{name!r} is {values!r}")
    read = {name: [_plain(value) for value in values] for name, values in history.items()}
    for name, values in read.items():
        if not all(isinstance(value, int | float) for value in values):
            raise TypeError(f"{name!r} is {values!r}")
    return read


def _read_off(source: Trial, setting: Setting) -> Trial | None:
    """Return the trial of a setting with fewer epochs, if the longer one's history tells it."""
    curve = source.history.get("val_acc_history")
    if curve is None:
        return None
    longer, epochs = source.setting["num_epochs"], setting["num_epochs"]
    if source.diverged_at_epoch is not None and source.diverged_at_epoch <= epochs:
        return replace(source, setting=setting, read_off=longer)
    if source.status != "finished" or len(curve) != longer + 1 or max(curve) != source.val_acc:
        return None
    history = {}
    for name, values in source.history.items():
        if len(values) == longer + 1:
            history[name] = values[: epochs + 1]
        elif len(values) % longer == 0:
            history[name] = values[: len(values) // longer * epochs]
    return Trial(setting, "finished", float(max(history["val_acc_history"])), history, read_off=longer)


def _check_same(grid_file: Path, description: dict[str, Any]) -> None:
    """Refuse the folder of another sweep, and name the differences."""
    try:
        old, new = _flat(json.loads(grid_file.read_bytes())), _flat(description)
    except (ValueError, AttributeError, KeyError) as error:
        raise ValueError(f"{grid_file} is damaged ({error}); name another out, or remove this one") from error
    absent = "nothing"
    different = [
        f"{name}: {old.get(name, absent)} there, {new.get(name, absent)} here"
        for name in old | new
        if old.get(name, absent) != new.get(name, absent)
    ]
    if different:
        raise FileExistsError(
            errno.EEXIST,
            f"out holds another sweep ({'; '.join(different)}); name another out",
            str(grid_file),
        )


def _flat(description: dict[str, Any]) -> dict[str, Any]:
    parts = {
        f"{part}[{name!r}]": value for part in ("grid", "data") for name, value in description[part].items()
    }
    return {"seed": description["seed"]} | parts


# Files


def _line(trial: Trial) -> bytes:
    kept = {name: value for name, value in asdict(trial).items() if name not in ("read_off", "params")}
    return json.dumps(kept).encode() + b"\n"


def _archive(params: Arrays, line: bytes) -> bytes:
    """Return the contents of an .npz file of the parameters, with the training they are of."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in params.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
        archive.writestr("result.json", line)
    return content.getvalue()


def _read_archive(content: bytes) -> tuple[Arrays, bytes]:
    params = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            if name.endswith(".npy"):
                with archive.open(name) as member:
                    params[name.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
        return params, archive.read("result.json")


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    with _told(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say which file it is that cannot be written."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}; it cannot be written", str(path)) from error
