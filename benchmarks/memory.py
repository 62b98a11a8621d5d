"""Memory: each contestant in a process of its own, in excess of the process with the data alone.

Linux only, for its record of a process's peak memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import peers
from .contestants import CONTESTANTS
from .problem import make_problem
from .report import columns

ROOT = Path(__file__).parents[1]
NETS = [(200, (3072, 100), 200), (4, (8, 8), 10_000)]
"""Batch, widths, and how many steps are taken."""

ELSEWHERE = ("torch", "jax", "tinygrad")
"""Whose arrays `tracemalloc` does not see."""


def figures() -> Iterator[dict[str, Any]]:
    """Measure every contestant on every net.

    Yields
    ------
    dict
        ``case`` and, by contestant, bytes: ``peak``, the most it held at once, of the process's memory;
        ``growth``, by how much that memory grew in the last nine tenths of the steps; and ``step``, the most that
        one step of a warm contestant held above what it found, of Python's and NumPy's memory, or None where
        the arrays are not theirs.

    Raises
    ------
    OSError
        Elsewhere than on Linux.
    """
    if sys.platform != "linux":
        raise OSError("the memory of a process is read as Linux gives it; leave out the group memory")
    for n, dims, steps in NETS:
        found = {name: in_a_process(name, n, dims, steps) for name in CONTESTANTS | peers.present()}
        name = f"memory, N={n}, {'-'.join(map(str, dims))}-10, float32, {steps:,} steps"
        yield {"case": name, "contestants": found}


def in_a_process(name: str, n: int, dims: tuple[int, ...], steps: int) -> dict[str, Any]:
    """Measure a contestant in a fresh process."""
    arguments = [name, *map(str, (n, steps, *dims))]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def held(name: str, n: int, dims: tuple[int, ...], steps: int) -> dict[str, Any]:
    """Measure a contestant in this process, after its library is loaded."""
    make = (CONTESTANTS | peers.PEERS)[name]
    make(make_problem(2, (2, 2), "float32")).step()
    problem = make_problem(n, dims, "float32")
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on
    step = make(problem).step
    for _ in range(steps // 10):
        step()
    warm = status("VmRSS")
    for _ in range(steps - steps // 10):
        step()
    return {
        "peak": status("VmHWM") - before,
        "growth": status("VmRSS") - warm,
        "step": None if name in ELSEWHERE else allocated(step),
    }


def status(which: str) -> int:
    """Return a size from this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(which + ":"))
    return 1024 * int(line.split()[1])


def allocated(step: Any) -> int:
    """Return the peak of the bytes that a step allocates, as `tracemalloc` sees them."""
    tracemalloc.start()
    try:
        step()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        step()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def table(figures: dict[str, Any]) -> str:
    """Return the figures of one net, a contestant a line."""
    rows = [
        [
            name,
            *(
                "" if bytes is None else f"{bytes / 1024:,.0f}"
                for bytes in (row["peak"], row["growth"], row["step"])
            ),
        ]
        for name, row in figures["contestants"].items()
    ]
    return f"{figures['case']}\n" + columns([["KiB", "peak", "growth", "a step"], *rows])


if __name__ == "__main__":
    name, n, steps, *dims = sys.argv[1:]
    print(json.dumps(held(name, int(n), tuple(map(int, dims)), int(steps))))
