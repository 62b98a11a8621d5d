"""The command line: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import (
    calls,
    chain,
    chart,
    compare,
    grid,
    growth,
    layers,
    memory,
    peers,
    recurrent,
    rewrites,
    start,
    steps,
)
from .measure import measure
from .report import limit_threads, machine, table, write_json

GROUPS = {
    "steps": steps.cases,
    "chain": chain.cases,
    "layers": layers.cases,
    "recurrent": recurrent.cases,
    "import": start.cases,
    "growth": growth.cases,
    "rewrites": rewrites.cases,
}
"""What is timed, by name."""

QUICK = ["steps", "chain", "import"]
COMMANDS = {"calls": calls.main, "grid": grid.main, "compare": compare.main, "chart": chart.main}

EPILOG = """\
groups:
  steps    the training step of several nets
  chain    one small operation of a thousand, forward and backward
  recurrent
           the gradients of a vanilla RNN and an LSTM
  layers   convolution, batch normalization, and the step of a net with both normalization and dropout
  import   the import, and the first step
  growth   one operation, example, hidden unit, the more there are
  rewrites the compiled step without each rewrite of the compiler in turn
  memory   what a contestant holds, and what a step allocates
  all      all of these
other commands, each with its own --help:
  calls    what a call on tensors adds to NumPy's, for every function with a rule
  grid     the race of the course's grid search against the sweep
  compare  whether the ratios of a run are worse than those of another
  chart    a picture of a run
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure groups of cases, print each case's table as it is done, and write the figures where asked to."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] and argv[0] in COMMANDS:
        return COMMANDS[argv[0]](argv[1:])
    options = parse(argv)
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit_threads(threads)
    peers.limit_threads(threads)
    for name, reason in peers.missing().items():
        print(f"{name} takes no part: {reason}")
    report = {**machine(), "peers": peers.libraries(), "figures": [], "memory": []}
    for group in options.groups:
        if group == "memory":
            for figures in memory.figures():
                report["memory"].append(figures)
                print(memory.table(figures), end="\n\n", flush=True)
            continue
        for case in GROUPS[group]():
            report["figures"].append(measure(case, options.seconds))
            print(table(report["figures"][-1]), end="\n\n", flush=True)
    if options.json:
        write_json(options.json, report)
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options; stop if they are not as they must be."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=main.__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"what to measure: {' '.join(QUICK)} by default"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="to spend on each case; 10 by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and the machine here")
    options = parser.parse_args(argv)
    known = [*GROUPS, "memory"]
    options.groups = known if options.groups == ["all"] else options.groups or QUICK
    for group in options.groups:
        if group not in known:
            parser.error(f"{group!r} is no group; expected {', '.join(known)} or all")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
