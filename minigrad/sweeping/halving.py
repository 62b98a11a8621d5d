"""Successive halving: every setting gets a few epochs, and the better part of them more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ..engine.arguments import names_itself
from ..engine.scalars import as_int, as_real, is_int
from .folder import SweepFolder
from .results import Results
from .search_space import Setting, key_of, without_epochs
from .trials import SweepResult, Trial


@dataclass(frozen=True)
class Halving:
    """Successive halving of a sweep's settings.

    K. Jamieson, A. Talwalkar, *Non-stochastic Best Arm Identification and Hyperparameter Optimization*, 2016.

    Parameters
    ----------
    rungs : sequence of int
        The epochs of each rung, increasing: all settings are trained with the first as ``num_epochs``, the better part
        of them with the second, and so on. A longer training starts anew.
    keep : float
        The part of a rung's settings that goes on, in (0, 1], rounded up; but none that diverged or raised an error.

    Raises
    ------
    ValueError
        When an argument is not as above.
    """

    rungs: Sequence[int]
    keep: float = 1 / 3

    @names_itself
    def __post_init__(self) -> None:
        if not isinstance(self.rungs, list | tuple) or not self.rungs:
            raise ValueError(f"rungs must be a sequence of ints, got {self.rungs!r}")
        rungs = tuple([as_int(f"rungs[{i}]", rung, least=1) for i, rung in enumerate(self.rungs)])
        if any(b <= a for a, b in pairwise(rungs)):
            raise ValueError(f"rungs must increase, got {rungs!r}")
        object.__setattr__(self, "rungs", rungs)
        object.__setattr__(self, "keep", as_real("keep", self.keep, "(0, 1]"))

    def kept(self, n: int) -> int:
        """Return how many of n settings go on."""
        return math.ceil(round(self.keep * n, 9))  # 0.07 * 100 is a little more than 7


def read_halving(halving: Any, settings: list[Setting]) -> tuple[Halving, list[Setting]]:
    """Return a halving, and the settings for all its rungs; a number's rungs end at the settings' num_epochs.

    Raises
    ------
    TypeError, ValueError
        Unless it is a Halving of settings without num_epochs, or an int >= 2 and they have all the same.
    """
    epochs = {setting.get("num_epochs") for setting in settings}
    if isinstance(halving, Halving):
        if epochs != {None}:
            raise ValueError("halving's rungs are the num_epochs to train with; leave these out of the grid")
    elif not is_int(halving) or halving < 2:
        raise TypeError(f"halving must be a Halving, or an int >= 2, got {halving!r}")
    else:
        longest, *others = epochs
        if longest is None or others:
            raise ValueError(
                f"halving={halving} divides the num_epochs of the settings; give all the same, or Halving(rungs)"
            )
        powers = (halving**k for k in range(longest.bit_length()))
        halving = Halving(sorted({longest // power for power in powers} - {0}), 1 / halving)
    configs = {without_epochs(setting): setting for setting in settings}.values()
    return halving, [setting | {"num_epochs": rung} for setting in configs for rung in halving.rungs]


class HalvedResults(Results):
    """The trainings of a halved sweep so far: a rung is trained when the one before is complete."""

    def __init__(self, halving: Halving, settings: list[Setting], folder: SweepFolder) -> None:
        self.halving = halving
        super().__init__(settings, folder)
        count = self.count // len(halving.rungs)
        self.count = 0
        for _ in halving.rungs:
            self.count += count
            count = halving.kept(count)

    def missing(self, of: Setting | None = None) -> list[Setting]:
        """Find the settings to train next, all of a rung; after one of them, those of the next rung if it is the last.

        On the way, fill in the known trials.
        """
        alive = [setting for setting in self.settings if setting["num_epochs"] == self.halving.rungs[0]]
        for rung in self.halving.rungs:
            alive = [setting | {"num_epochs": rung} for setting in alive]
            missing = [setting for setting in alive if key_of(setting) not in self.trained]
            for key in set(map(key_of, alive)) & self.trained.keys():
                self.trials[key] = self.trained[key]
            if missing:
                return [] if of is not None and of["num_epochs"] == rung else missing
            alive = self._best_of(alive)
        return []

    def ranked(self) -> SweepResult:
        """Return the trials, which tell whether they went on to the next rung."""
        return SweepResult(
            [replace(trial, promoted=self._promoted(trial)) for trial in super().ranked().trials]
        )

    def _best_of(self, settings: list[Setting]) -> list[Setting]:
        """Return the better part of a rung, in the order of the grid."""
        finished = [key for key in map(key_of, settings) if self.trials[key].status == "finished"]
        best = set(sorted(finished, key=self.rank)[: self.halving.kept(len(settings))])
        return [setting for setting in settings if key_of(setting) in best]

    def _promoted(self, trial: Trial) -> bool | None:
        rungs = self.halving.rungs
        following = dict(pairwise(rungs)).get(trial.setting["num_epochs"])
        if following is None:
            return None
        return key_of(trial.setting | {"num_epochs": following}) in self.trials
