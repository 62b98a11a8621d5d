"""The figures as a table, and where they come from."""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def table(figures: dict[str, Any]) -> str:
    """Return the figures of one case, as `measure.measure` gives them, a contestant a line."""
    contestants = figures["contestants"]
    against = next(iter(contestants.values()))["ratios"]
    header = ["µs", "median", "25 %", "75 %", "processor", *(f"× {other}" for other in against)]
    rows = [
        [
            name,
            *(f"{time:,.2f}" for time in (row["median"], *row["quartiles"])),
            "" if row["processor"] is None else f"{row['processor']:,.2f}",
            *(f"{ratio['median']:.2f}" for ratio in row["ratios"].values()),
        ]
        for name, row in contestants.items()
    ]
    return f"{figures['case']} ({figures['rounds']} rounds)\n" + columns([header, *rows])


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as lines: the first column to the left, the others to the right."""
    first, *others = (max(12, *map(len, column)) + 1 for column in zip(*rows, strict=True))
    lines = (
        f"{cell:<{first}}" + "".join(f"{cell:>{width}}" for cell, width in zip(rest, others, strict=True))
        for cell, *rest in rows
    )
    return "\n".join(lines)


def write_json(path: Path, report: dict[str, Any]) -> None:
    """Write a report to a file."""
    path.write_text(json.dumps(report, indent=2) + "\n")


def machine() -> dict[str, Any]:
    """Return the machine that the figures are of: the processor, Python, NumPy and its BLAS."""
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": blas(),
    }


def blas() -> list[dict[str, Any]]:
    """Return each BLAS in use: its name and version and, where threadpoolctl is installed, its threads."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return [{"name": built["name"], "version": built["version"]}]
    return [
        {"name": pool["internal_api"], "version": pool["version"], "threads": pool["num_threads"]}
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]


def limit_threads(count: int) -> None:
    """Set the number of threads of every BLAS in this process, if threadpoolctl is installed."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(count)
