"""The report of a check: how far the ways are apart, where a gradient is wrong, and a diagnosis."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.recording import Array
from .comparison import Comparison
from .diagnosis import UNKNOWN, diagnose
from .evidence import Evidence
from .vectors import flat, parts

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
    worst, ulps, kinks, told, found = 0.0, 0.0, 0, [], []
    lost = np.flatnonzero(np.isnan(compared.here))
    if lost.size:
        problem = (
            f"{compared.name}: {lost.size} of the {compared.here.size} entries of its result are NaN, the first at "
            f"flat index {lost[0]}: there is no gradient to compare"
        )
        broken = [*broken, (problem, "give inputs at which the result is a number")]
    wrongs = compared.wrongs()
    fit = [
        returned[k] is not None and np.shape(returned[k]) == x.shape and not wrongs[k].any()
        for k, x in enumerate(compared.arrays)
    ]
    for k, wrong in enumerate(wrongs):
        got, shape = returned[k], compared.arrays[k].shape
        if got is None or np.shape(got) != shape:
            what = "no gradient" if got is None else f"a gradient of shape {np.shape(got)}"
            told.append(
                f"{compared.name}: backward returned {what} for input {compared.places[k]} of shape {shape}"
            )
        else:
            error, units = compared.errors(k)
            worst, ulps = max(worst, error), max(ulps, units)
            kinks += int(np.count_nonzero(compared.on_kink(k)))
            if not wrong.any():
                continue
            told.append(compared.told(k, wrong))
        if compared.together[k]:
            hint = "equal entries each get too much or too little; share the gradient, or give one of them all of it"
        else:
            hint = (
                "missing, or None"
                if got is None
                else diagnose(_evidence(compared, k, got, wrong, known, fit))
            )
        found.append(f"{compared.names[k]}: {hint}")
    named = [hint for hint in found if not hint.endswith(UNKNOWN)]
    named += dict.fromkeys(hint for _, hint in broken)
    return Report(
        (compared.given.name, *[way.name for way in compared.ways]),
        worst,
        ulps,
        kinks,
        compared.surely() + _untried(compared),
        (*told, *[problem for problem, _ in broken]),
        "; ".join(named or found),
    )


def _untried(compared: Comparison) -> str:
    """Say whose gradient is untested: 0 everywhere, as behind a relu that lets nothing through, or lost in rounding."""
    zero: list[str] = []
    lost: list[str] = []
    for k, name in enumerate(compared.names):
        if compared.arrays[k].size and not compared.tested(k):
            ours, right = compared.given.arrays[k], np.nan_to_num(compared.right(k))
            (lost if np.any(ours) or np.any(right) else zero).append(name)
    told = [
        f"; the gradient of {', '.join(names)} is {what}, and says little: give other inputs"
        for names, what in ((zero, "0 everywhere"), (lost, "lost in rounding, or infinite"))
        if names
    ]
    return "".join(told)


def _evidence(
    compared: Comparison, k: int, got: Any, wrong: Array, known: dict[str, Any], fit: list[bool]
) -> Evidence:
    """Collect the evidence for a diagnosis."""
    x, slopes = compared.arrays[k], compared.slopes[k]
    outs = parts(compared.f(*compared.arrays))
    out = np.asarray(outs[0]) if len(outs) == 1 else flat(outs)
    terms = None
    if compared.all and len(slopes.terms) == x.size and x.size:
        columns = [slopes.terms[index] for index in np.ndindex(x.shape)]
        terms = np.stack(columns, axis=-1).reshape(out.shape + x.shape)
    arrays = dict(_among(known, lambda x: isinstance(x, np.ndarray)))
    return Evidence(
        got=np.asarray(got, np.float64),
        right=compared.right(k),
        wrong=wrong,
        input=x,
        dout=compared.dout.reshape(out.shape),
        others={name: compared.right(j) for j, name in enumerate(compared.names) if j != k},
        fit=frozenset(itertools.compress(compared.names, fit)),
        arrays={**arrays, "the output": out},
        numbers={name: float(x) for name, x in _among(known, _is_number)},
        terms=terms,
        outputs=tuple(np.size(each) for each in outs),
    )


def _among(options: dict[str, Any], is_one: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """Yield the options of some types, by name; those in dicts, too."""
    for name, option in options.items():
        if isinstance(option, dict):
            yield from _among(option, is_one)
        elif is_one(option):
            yield str(name), option


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float, np.number)) and not isinstance(x, bool)
