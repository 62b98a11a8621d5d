"""Trials: the outcomes of a sweep's settings, ranked, and as a table."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..engine.scalars import as_int, as_real
from ..files import write
from .search_space import Setting, plain

Arrays: TypeAlias = dict[str, NDArray[Any]]
STATUSES = ("finished", "diverged", "error")
"""The possible outcomes, best first."""


@dataclass(frozen=True)
class Trial:
    """The outcome of one setting.

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
    promoted : bool or None
        In a sweep with ``halving``, whether it went on to the next rung; None at the last one, and without halving.
    params : dict of ndarrays or None
        The parameters; only those of the best trial are kept.
    can_be_cut : bool
        Whether its first epochs are those of a shorter run, as ``train`` says.
    """

    setting: Setting
    status: Literal["finished", "diverged", "error"]
    val_acc: float | None = None
    history: dict[str, list[Any]] = field(default_factory=dict)
    diverged_at_epoch: int | None = None
    error: str | None = None
    read_off: int | None = None
    promoted: bool | None = None
    params: Arrays | None = None
    can_be_cut: bool = True


class SweepResult:
    """The trials of a sweep.

    Attributes
    ----------
    trials : list of Trial
        One for each setting, or with halving for each that was trained, best first: by validation accuracy, then those
        that diverged, then those that raised an error; equal ones in the order of the grid.
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
        halved = any(trial.promoted is not None for trial in self.trials)
        rows = [
            [
                *(trial.setting.get(name) for name in names),
                trial.val_acc,
                trial.status,
                *([trial.promoted] if halved else []),
                trial.diverged_at_epoch,
                None if trial.read_off is None else f"num_epochs={trial.read_off}",
                trial.error and trial.error.rstrip().splitlines()[-1],
            ]
            for trial in self.trials
        ]
        promoted = ["promoted"] if halved else []
        return Table([*names, "val_acc", "status", *promoted, "diverged_at_epoch", "from", "error"], rows)


@dataclass(frozen=True)
class Table:
    """Rows under named columns; None for a missing entry. ``str(table)`` aligns them.

    The column ``from`` names the longer run that a setting was read off; ``promoted``, after successive halving, says
    whether a setting went on to more epochs.
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
        write(Path(path), text.getvalue().encode())

    def to_dataframe(self) -> Any:
        """Return a pandas DataFrame; raises ImportError if pandas is not installed."""
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise ImportError("to_dataframe needs pandas: pip install pandas") from error
        return DataFrame(self.rows, columns=self.columns)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


# Reading what train returned


def read_record(setting: Setting, record: Any) -> tuple[Trial, Arrays]:
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
        history = read_history(record.get("history") or {})
    except (TypeError, ValueError) as error:
        raise TypeError(f"{where} a history that is not a dict of lists of numbers: {error}") from error
    can_be_cut = record.get("can_be_cut", True)
    if not isinstance(can_be_cut, bool):
        raise TypeError(f"{where} can_be_cut={can_be_cut!r}; it must be True or False")
    trial = Trial(setting, "finished", history=history, can_be_cut=can_be_cut)
    epoch = record.get("diverged_at_epoch")
    if epoch is not None:
        epoch = as_int(f"{where} a diverged_at_epoch that", epoch, least=1)
        return replace(trial, status="diverged", diverged_at_epoch=epoch), params
    val_acc = as_real(f"{where} a val_acc that", plain(record["val_acc"]))
    return replace(trial, val_acc=val_acc), params


def read_history(history: Any) -> dict[str, list[Any]]:
    """Return a history as JSON holds it; raise TypeError or ValueError unless it is a dict of lists of numbers."""
    if not isinstance(history, Mapping):
        raise TypeError(f"got {history!r}")
    for name, values in history.items():
        if not isinstance(name, str) or not isinstance(values, list | tuple | np.ndarray):
            raise TypeError(f"{name!r} is {values!r}")
    read = {name: [plain(value) for value in values] for name, values in history.items()}
    for name, values in read.items():
        if not all(isinstance(value, int | float) for value in values):
            raise TypeError(f"{name!r} is {values!r}")
    return read


def read_off(source: Trial, setting: Setting) -> Trial | None:
    """Return the trial of a setting with fewer epochs, if the longer one's history tells it."""
    curve = source.history.get("val_acc_history")
    if curve is None or not source.can_be_cut:
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
