"""The bar chart of a run: the time of each contestant's training step, in units of the hand-written one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .steps import SIZES

DEFAULT = Path(__file__).parent / "chart.svg"
INK = "#808080"
"""Legible on white and on black."""

OURS, OTHERS = "#2a9d63", "#a8a8a8"
LONGEST = 4.0
"""Longer bars are cut; their labels say how long they are."""


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the training steps of a run, in float32, as an SVG picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks chart", description=main.__doc__)
    parser.add_argument(
        "figures", type=Path, metavar="FIGURES.json", help="written by python -m benchmarks --json"
    )
    parser.add_argument("--out", type=Path, default=DEFAULT, metavar="FILE", help="(default: %(default)s)")
    options = parser.parse_args(argv)
    try:
        panels = steps(json.loads(options.figures.read_text()))
    except OSError as error:
        parser.error(f"{options.figures} cannot be read ({error.strerror})")
    except (ValueError, KeyError, TypeError):
        parser.error(f"{options.figures} is no file that python -m benchmarks --json wrote")
    if not panels:
        parser.error(f"{options.figures} has no training step in float32: run the group steps")
    draw(panels, options.out)
    return 0


def steps(report: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return, by size, each contestant's ratio to the hand-written step."""
    cases = {figures["case"]: figures["contestants"] for figures in report["figures"]}
    panels = {}
    for n, input_dim, hidden_dim in SIZES:
        contestants = cases.get(f"step, N={n}, {input_dim}-{hidden_dim}-10, softmax, float32")
        if contestants is not None:
            panels[f"{n} × {input_dim}, {hidden_dim} hidden"] = {
                name: row["ratios"]["hand"] for name, row in contestants.items()
            }
    return panels


def draw(panels: dict[str, dict[str, dict[str, Any]]], path: Path) -> None:
    """Write the picture, panels side by side; raises ImportError if matplotlib is not installed."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('the chart needs matplotlib: pip install -e ".[bench]"') from error
    names = list(next(iter(panels.values())))
    inks = dict.fromkeys(
        ["text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"], INK
    )
    with matplotlib.rc_context(inks | {"font.size": 9, "svg.hashsalt": "minigrad", "svg.fonttype": "none"}):
        figure = Figure(figsize=(2.4 * len(panels) + 1, 0.26 * len(names) + 0.9), layout="constrained")
        figure.supxlabel(
            "time of a training step, float32; the hand-written one takes 1; longer bars are cut", fontsize=9
        )
        for axes, (title, ratios) in zip(
            figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items(), strict=True
        ):
            draw_panel(axes, title, ratios)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None})


def draw_panel(axes: Any, title: str, ratios: dict[str, dict[str, Any]]) -> None:
    """Draw the bars of one size, with the quartiles as lines, the first at the top."""
    for row, (name, ratio) in enumerate(ratios.items()):
        length = min(ratio["median"], LONGEST)
        axes.barh(row, length, height=0.7, color=OURS if name.startswith(("tape", "jit")) else OTHERS)
        axes.text(
            max(length, min(ratio["quartiles"][1], LONGEST)) + 0.08,
            row,
            f"{ratio['median']:.2f}",
            va="center",
            fontsize=8,
        )
        if ratio["quartiles"][1] <= LONGEST:
            axes.plot(ratio["quartiles"], [row, row], color=INK, linewidth=1.2)
    axes.axvline(1, color=INK, linewidth=0.8, linestyle=":")
    axes.set_title(title, fontsize=9)
    axes.set_yticks(range(len(ratios)), ratios)
    axes.set_xlim(0, LONGEST * 1.2)
    axes.set_xticks([0, 1, 2, 3, 4])
    axes.set_ylim(len(ratios) - 0.5, -0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=2)
