"""The trainings of a sweep so far: which setting is next, which is read off a longer run, and their ranks."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from ..engine.leaving import stacklevel_of_program
from ..training.progress import progress_bar
from .folder import SweepFolder
from .search_space import Setting, key_of, seed_of, without_epochs
from .trials import STATUSES, SweepResult, Trial, read_off, read_record
from .workers import ThisProcess, Workers


def train_all(trainer: ThisProcess | Workers, seed: int, results: Results, progress: bool | None) -> None:
    """Train the missing settings, until none is missing."""
    with progress_bar(progress, results.count, "setting") as bar:
        results.show(bar)
        to_do = results.missing()
        running = 0
        while to_do or running:
            for setting in to_do:
                trainer.submit(setting, seed_of(seed, setting))
            running += len(to_do)
            setting, outcome = trainer.next()
            running -= 1
            results.add(setting, outcome)
            results.show(bar)
            to_do = results.missing(setting)


class Results:
    """The trainings so far, and the trials that follow from them."""

    def __init__(self, settings: list[Setting], folder: SweepFolder) -> None:
        self.folder = folder
        self.settings = settings
        self.count = len(settings)
        self.order = {key_of(setting): number for number, setting in enumerate(settings)}
        self.chains: dict[str, list[Setting]] = {}
        for setting in sorted(settings, key=lambda setting: -setting.get("num_epochs", 1)):
            self.chains.setdefault(without_epochs(setting), []).append(setting)
        self.trained = {key_of(trial.setting): trial for trial in folder.read()}
        self.trials: dict[str, Trial] = {}
        self.missing()
        self._check_best()

    def missing(self, of: Setting | None = None) -> list[Setting]:
        """Find the settings to train next, one a chain, in all chains or in that of one setting.

        On the way, fill in the known trials.
        """
        found = []
        for chain in self.chains.values() if of is None else [self.chains[without_epochs(of)]]:
            source, waiting = None, False
            for setting in chain:
                key = key_of(setting)
                if key in self.trained:
                    self.trials[key] = source = self.trained[key]
                elif waiting:
                    continue
                elif source is not None and (read := read_off(source, setting)) is not None:
                    self.trials[key] = read
                else:
                    found.append(setting)
                    waiting = True
        return found

    def rank(self, key: str) -> tuple[int, float, int]:
        """Return a sort key, smallest for the best trial."""
        trial = self.trials[key]
        return STATUSES.index(trial.status), -(trial.val_acc or 0.0), self.order[key]

    def best(self) -> Trial | None:
        """Return the best trial that finished, if there is one."""
        best = self.trials[min(self.trials, key=self.rank)] if self.trials else None
        return best if best is not None and best.status == "finished" else None

    def add(self, setting: Setting, outcome: Any) -> None:
        """Add a training, and keep it on disk."""
        trial, params = (outcome, {}) if isinstance(outcome, Trial) else read_record(setting, outcome)
        self.trained[key_of(setting)] = trial
        self.missing(setting)
        best = self.best()
        is_best = best is not None and self._source(best) == key_of(setting)
        self.folder.add(trial, params, is_best)

    def ranked(self) -> SweepResult:
        """Return the trials, best first, the best one with its parameters."""
        ranked = [self.trials[key] for key in sorted(self.trials, key=self.rank)]
        saved, best = self.folder.read_best(), self.best()
        if saved is not None and best is not None and key_of(saved[0].setting) == self._source(best):
            ranked[0] = replace(best, params=saved[1])
        return SweepResult(ranked)

    def show(self, bar: Any) -> None:
        """Show how many settings are known, and the best accuracy."""
        if bar is None:
            return
        if (best := self.best()) is not None:
            bar.set_postfix_str(f"best val acc {best.val_acc:.4f}", refresh=False)
        bar.update(len(self.trials) - bar.n)

    def _source(self, trial: Trial) -> str:
        """Return the key of the training that a trial comes from."""
        longer = {} if trial.read_off is None else {"num_epochs": trial.read_off}
        return key_of(trial.setting | longer)

    def _check_best(self) -> None:
        """Forget the best training, if its parameters are lost; then it is missing."""
        saved, best = self.folder.read_best(), self.best()
        if best is None or (saved is not None and key_of(saved[0].setting) == self._source(best)):
            return
        warnings.warn(
            f"{self.folder.best_file} is missing, damaged or of another setting: {best.setting} is trained again",
            RuntimeWarning,
            stacklevel=stacklevel_of_program(),
        )
        del self.trained[self._source(best)]
        self.trials.clear()
        self.missing()
