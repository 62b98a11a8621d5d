"""The horizontal axis of a plot of a sweep: the values of one setting, as categories or on a scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .trials import Trial

FEW = 12
"""The maximum number of values of a name as categories; more are on a scale, if they are numbers."""


def places(ax: Axes, name: str, trials: Sequence[Trial]) -> Callable[[Trial], float]:
    """Set up the axis, and return a setting's position on it: its number, where there are many, or its category.

    Settings of one category are set side by side.
    """
    values: list[Any] = list({repr(t.setting.get(name)): t.setting.get(name) for t in trials}.values())
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        values.sort()
        # a scale overflows near the ends of what floats hold
        if len(values) > FEW and all(value == 0 or 1e-100 < abs(value) < 1e100 for value in values):
            _set_scale(ax, np.array(values, dtype=np.float64))
            return lambda trial: float(trial.setting[name])
    _label(ax, values)
    beside: dict[int, float] = {}
    for i, value in enumerate(values):
        same = [trial for trial in trials if repr(trial.setting.get(name)) == repr(value)]
        for k, trial in enumerate(same):
            beside[id(trial)] = i + 0.5 * ((k + 0.5) / len(same) - 0.5)
    return lambda trial: beside[id(trial)]


def _set_scale(ax: Axes, values: NDArray[np.float64]) -> None:
    """Set that scale, linear or logarithmic, on which the values, in order, leave the smaller gap.

    Where some are zero or negative, the logarithmic one is linear between the least of the others and zero.
    """
    sizes = np.abs(values[values != 0])
    least = sizes.min()
    orders = np.log10(np.where(values == 0, least, np.abs(values))) - np.log10(least)
    logarithms = np.sign(values) * (1 + orders)
    if sizes.max() < 30 * least or _widest_gap(logarithms) >= _widest_gap(values):
        return
    if values[0] > 0:
        ax.set_xscale("log")
    else:
        ax.set_xscale("symlog", linthresh=least, linscale=1 + orders.max() / 3)  # room for the ticks around 0
        ax.locator_params(axis="x", numticks=6)
        ax.tick_params(axis="x", rotation=90)


def _widest_gap(values: NDArray[np.float64]) -> float:
    return float(np.diff(values).max() / np.ptp(values))


def _label(ax: Axes, values: Sequence[Any]) -> None:
    """Write the values below the axis at 0, 1, ...: upright where they are too long, some where too many."""
    labels = _labels(values)
    room = ax.bbox.width / ax.figure.dpi / len(labels)  # inches
    upright = max(map(len, labels)) * LETTER + 0.1 > room
    step = math.ceil(LINE / room) if upright else 1
    ax.set_xticks(range(0, len(labels), step), labels[::step], rotation=90 if upright else 0)
    ax.set_xlim(-0.5, len(labels) - 0.5)


LETTER, LINE = 0.09, 0.15
"""Width and height of a letter, in inches."""


def _labels(values: Sequence[Any]) -> list[str]:
    """Format each value as shortly as keeps them distinct."""
    for digits in (6, 9, 12, 17):
        labels = [plain_text(_shortened(_written(value, digits))) for value in values]
        if len(set(labels)) == len(labels):
            return labels
    return [f"{label} ({i})" for i, label in enumerate(labels, start=1)]


def _written(value: Any, digits: int) -> str:
    if isinstance(value, float):
        return f"{value:.{digits}g}" if digits < 17 else repr(value)
    if isinstance(value, str) and digits == 6 and value.strip() and value.isprintable():
        return value
    return repr(value)


def _shortened(text: str) -> str:
    return text if len(text) <= 20 else f"{text[:9]}…{text[-9:]}"


def plain_text(text: str) -> str:
    """Keep matplotlib from reading a formula."""
    return text.replace("$", r"\$")
