"""The report of a check: how far the ways are apart, what is wrong, and how surely that would have been found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.recording import Array
from .comparison import SAMPLED, Comparison
from .diagnosis import UNKNOWN, diagnose
from .evidence import evidence_of
from .location import located

LOST = 1e-2
"""The relative error from which a right gradient says little."""


class GradientMismatch(AssertionError):
    """Ways to one gradient disagree, or a layer breaks its contracts.

    The message has the input, the index, each way's value, where the gradient is wrong, and a diagnosis.
    """


@dataclass(frozen=True)
class Report:
    """What a check found.

    Parameters
    ----------
    ways : tuple of str
        The ways compared, the one that is checked first.
    error : float
        The largest relative error between the first and the others; at a kink there is none.
    ulps : float
        The largest error against the exact ways (the tape, the complex step), in ulps of the largest sum the entry
        comes from.
    kinks : int
        How many entries lie on a kink: there any value between the slopes to the left and to the right is right, or, of
        equal entries, between the slopes around, where they differ.
    surely : str
        How surely an error is found.
    problems : tuple of str
        The errors; empty if there are none.
    diagnosis : str
        A hint at the mistake; empty if there is no error.
    """

    ways: tuple[str, ...]
    error: float
    ulps: float = field(default=0.0, repr=False)
    kinks: int = field(default=0, repr=False)
    surely: str = field(default="", repr=False)
    problems: tuple[str, ...] = field(default=(), repr=False)
    diagnosis: str = field(default="", repr=False)

    def __str__(self) -> str:
        if self.problems:
            return "\n".join([*self.problems, f"diagnosis: {self.diagnosis}"])
        kinks = f"; {self.kinks} on a kink" if self.kinks else ""
        lost = (
            "; rounding errors are as large as the gradient: give other inputs" if self.error > LOST else ""
        )
        verdict = "right" if self.error <= 1 else "undecided"
        return f"{verdict}: {', '.join(self.ways)} agree to {self.error:.1e}; {self.surely}{kinks}{lost}"


def verdict(
    compared: Comparison, returned: Sequence[Any], known: dict[str, Any], broken: list[tuple[str, str]]
) -> Report:
    """Compare the ways, and report the errors with a diagnosis.

    ``returned`` are the gradients as the backward returned them; ``known`` are the call's other arrays and
    numbers, by name; ``broken`` are the contracts broken, each with a hint.
    """
    broken = [*broken, *_undefined(compared)]
    wrongs = compared.wrongs()
    inputs = range(len(compared.arrays))
    fit = [k for k in inputs if returned[k] is not None and np.shape(returned[k]) == compared.arrays[k].shape]
    right = [k for k in fit if not wrongs[k].any()]
    errors = [compared.errors(k) for k in fit]
    kinks = sum(int(np.count_nonzero(compared.on_kink(k))) for k in fit)
    problems, found = [], []
    for k in inputs:
        if k not in right:
            problems.append(located(compared, k, wrongs[k]) if k in fit else _unfit(compared, k, returned[k]))
            hint = _hint(compared, k, returned[k], wrongs[k], known, [compared.names[j] for j in right])
            found.append(f"{compared.names[k]}: {hint}")
    named = [hint for hint in found if not hint.endswith(UNKNOWN)]
    named += dict.fromkeys(hint for _, hint in broken)
    return Report(
        (compared.checked.name, *[way.name for way in compared.ways]),
        max([0.0, *[error for error, _ in errors]]),
        max([0.0, *[ulps for _, ulps in errors]]),
        kinks,
        _surely(compared) + _untried(compared),
        (*problems, *[problem for problem, _ in broken]),
        "; ".join(named or found),
    )


def _undefined(compared: Comparison) -> list[tuple[str, str]]:
    """Return the problem that a result is NaN, with a hint, if it is."""
    lost = np.flatnonzero(np.isnan(compared.here))
    if not lost.size:
        return []
    problem = (
        f"{compared.name}: {lost.size} of the {compared.here.size} entries of its result are NaN, the first at "
        f"flat index {lost[0]}: there is no gradient to compare"
    )
    return [(problem, "give inputs at which the result is a number")]


def _unfit(compared: Comparison, k: int, got: Any) -> str:
    """Name a gradient that is missing, or of another shape than its input."""
    what = "no gradient" if got is None else f"a gradient of shape {np.shape(got)}"
    shape = compared.arrays[k].shape
    return f"{compared.name}: backward returned {what} for input {compared.places[k]} of shape {shape}"


def _hint(
    compared: Comparison, k: int, got: Any, wrong: Array, known: dict[str, Any], right: list[str]
) -> str:
    """Return a hint at the mistake in the gradient of an input."""
    if compared.together[k]:
        return (
            "equal entries each get too much or too little; share the gradient, or give one of them all of it"
        )
    if got is None:
        return "missing, or None"
    return diagnose(evidence_of(compared, k, got, wrong, known, right))


def _surely(compared: Comparison) -> str:
    """Say how surely an error is found."""
    if compared.all:
        return "every entry looked at, each way"
    missed = compared.directions.missed_share()
    sampled = f"differences at {SAMPLED} entries of each input"
    if missed < 1:
        sampled += (
            f", and in {compared.directions.tried} random directions: an error of more than {missed:.0e} of the "
            "gradients' norm is missed with probability 1e-6"
        )
    else:
        sampled += " alone, since random directions have kinks: give fewer entries, or others"
    has_tape = any(way.name == "tape" for way in compared.ways)
    return f"every entry looked at by the tape; {sampled}" if has_tape else sampled


def _untried(compared: Comparison) -> str:
    """Name the gradients that are untested: 0 everywhere, as behind a dead relu, or lost in rounding."""
    zero: list[str] = []
    lost: list[str] = []
    for k, name in enumerate(compared.names):
        if compared.arrays[k].size and not compared.tested(k):
            ours, right = compared.checked.arrays[k], np.nan_to_num(compared.right(k))
            (lost if np.any(ours) or np.any(right) else zero).append(name)
    told = [
        f"; the gradient of {', '.join(names)} is {what}, and says little: give other inputs"
        for names, what in ((zero, "0 everywhere"), (lost, "lost in rounding, or infinite"))
        if names
    ]
    return "".join(told)
