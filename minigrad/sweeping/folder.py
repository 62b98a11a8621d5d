"""The folder of a sweep: its description, its finished trainings, the parameters of the best."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..engine.leaving import stacklevel_of_program
from ..files import fingerprint, pack, told, unpack, write
from ..training.identity import differences
from .search_space import Setting, key_of
from .trials import STATUSES, Arrays, Trial, read_history


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Make the folder, and lock it against other processes; the lock also ends with the process."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "out must be a folder, but is a file", str(folder))
    with told(folder):
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


class SweepFolder:
    """The trainings of a sweep on disk: ``grid.json``, ``results.jsonl``, ``best.npz``.

    Parameters
    ----------
    path : path
        The folder; it must be there.
    description : dict
        ``seed``, ``grid`` and ``data`` of the sweep, and ``halving`` if there is any, as JSON holds them.
    settings : iterable of dict
        All settings of the sweep.

    Raises
    ------
    FileExistsError
        When the folder holds another sweep.
    OSError, ValueError
        When a file cannot be written, or ``grid.json`` is damaged.
    """

    def __init__(self, path: Path, description: dict[str, Any], settings: Iterable[Setting]) -> None:
        self.path = path
        self.lines, self.best_file = path / "results.jsonl", path / "best.npz"
        self._keys = {key_of(setting) for setting in settings}
        grid_file = path / "grid.json"
        if grid_file.exists():
            _check_same(grid_file, description)
        elif self.lines.exists():
            raise FileExistsError(
                errno.EEXIST,
                "there are results, but no grid.json says of what; name another out",
                str(self.lines),
            )
        else:
            write(grid_file, json.dumps(description, indent=1).encode() + b"\n")

    def add(self, trial: Trial, params: Arrays, is_best: bool) -> None:
        """Add a training; if it is the best, first its parameters, whose file holds its line, too."""
        line = _line(trial, params)
        if is_best:
            write(self.best_file, pack(params, "result.json", line))
        self._append(line)

    def read(self) -> list[Trial]:
        """Return the trainings so far; set damaged lines aside."""
        trials = self._read_lines() if self.lines.exists() else []
        saved = self._read_best_file()
        if saved is not None and key_of(saved[0].setting) not in {key_of(trial.setting) for trial in trials}:
            # the sweep was stopped before it wrote this line
            self._append(saved[2])
            trials.append(saved[0])
        return trials

    def read_best(self) -> tuple[Trial, Arrays] | None:
        """Return the training and the parameters of best.npz, if it is there, whole, and has a line of its own."""
        saved = self._read_best_file()
        if saved is None or saved[2] not in self.lines.read_bytes().splitlines(keepends=True):
            return None
        return saved[:2]

    def _read_best_file(self) -> tuple[Trial, Arrays, bytes] | None:
        try:
            params, line = unpack(self.best_file.read_bytes(), "result.json")
            if _unsealed(line)["params_sha256"] != _digest(params):
                return None
            return self._read_line(line), params, line
        except Exception:  # a damaged archive can raise nearly anything
            return None

    def _read_lines(self) -> list[Trial]:
        trials, kept, rejected = [], [], []
        for line in self.lines.read_bytes().splitlines(keepends=True):
            try:
                trial = self._read_line(line)
            except (ValueError, TypeError, RecursionError):
                rejected.append(line)
            else:
                trials.append(trial)
                kept.append(line)
        if rejected:
            aside = self.path / "results.rejected"
            earlier = aside.read_bytes() if aside.exists() else b""
            write(aside, earlier + b"".join(line.rstrip(b"\n") + b"\n" for line in rejected))
            write(self.lines, b"".join(kept))
            warnings.warn(
                f"{self.lines} had {len(rejected)} damaged line(s), now in {aside.name}; "
                "their settings are trained again",
                RuntimeWarning,
                stacklevel=stacklevel_of_program(),
            )
        return trials

    def _read_line(self, line: bytes) -> Trial:
        """Return the training of a line; raise ValueError, TypeError or RecursionError if the line is damaged."""
        kept = _unsealed(line)
        del kept["params_sha256"]
        trial = Trial(**kept)
        if not isinstance(trial.setting, dict) or key_of(trial.setting) not in self._keys:
            raise ValueError("the setting is not of the grid")
        derived = (trial.read_off, trial.promoted, trial.params)
        is_of_types = isinstance(trial.error, str | None) and isinstance(trial.can_be_cut, bool)
        if derived != (None, None, None) or not is_of_types:
            raise TypeError("a value is of another type")
        epoch = trial.diverged_at_epoch
        if epoch is not None and (type(epoch) is not int or epoch < 1 or trial.status != "diverged"):
            raise ValueError("the epoch is no epoch")
        finished = isinstance(trial.val_acc, float) and math.isfinite(trial.val_acc)
        if trial.status not in STATUSES or finished != (trial.status == "finished"):
            raise ValueError("the status and the accuracy do not fit")
        read_history(trial.history)
        return trial

    def _append(self, line: bytes) -> None:
        """Append a line and sync it to disk; on failure the file is unchanged."""
        with told(self.lines), self.lines.open("ab", buffering=0) as file:
            size, rest = file.tell(), memoryview(line)
            try:
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise


def _check_same(grid_file: Path, description: dict[str, Any]) -> None:
    """Refuse the folder of another sweep, and name the differences."""
    try:
        old, new = _flat(json.loads(grid_file.read_bytes())), _flat(description)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise ValueError(
            f"{grid_file} is damaged ({type(error).__name__}: {error}); name another out, or remove this one"
        ) from error
    if different := differences(old, new):
        raise FileExistsError(
            errno.EEXIST,
            f"out holds another sweep ({'; '.join(different)}); name another out",
            str(grid_file),
        )


def _flat(description: dict[str, Any]) -> dict[str, Any]:
    parts = {
        f"{part}[{name!r}]": value for part in ("grid", "data") for name, value in description[part].items()
    }
    halving = {name: value for name, value in description.items() if name == "halving"}
    return {"seed": description["seed"]} | halving | parts


def _line(trial: Trial, params: Arrays) -> bytes:
    """Return a training as a line of JSON, with the digest of its parameters, and the line's own."""
    kept = {
        name: value for name, value in asdict(trial).items() if name not in ("read_off", "promoted", "params")
    }
    kept["params_sha256"] = _digest(params)
    content = json.dumps(kept).encode()
    return content[:-1] + _seal(content)


def _unsealed(line: bytes) -> dict[str, Any]:
    """Return the contents of a line; raise ValueError unless its last entry is the digest of the others."""
    length = len(_seal(b""))
    content = line[:-length] + b"}"
    if line[-length:] != _seal(content):
        raise ValueError("the line is cut off or changed")
    kept = json.loads(content)
    if not isinstance(kept, dict) or "params_sha256" not in kept:
        raise ValueError("the line is of another form")
    return kept


def _seal(content: bytes) -> bytes:
    return f', "sha256": "{hashlib.sha256(content).hexdigest()[:16]}"}}\n'.encode()


def _digest(params: Arrays) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(params.items()):
        digest.update(f"{name} {fingerprint(array)}\n".encode())
    return digest.hexdigest()[:16]
