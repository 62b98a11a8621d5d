"""The command line: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import grid
from .cases import cases
from .measure import measure
from .report import machine, table, write_json


def main(arguments: list[str] | None = None) -> None:
    """Measure every case, print its table as it is done, and write the figures where asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="to spend on each case; 10 by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and the machine here")
    options = parser.parse_args(arguments)

    report = {**machine(), "figures": []}
    for case in cases():
        report["figures"].append(measure(case, options.seconds))
        print(table(report["figures"][-1]), end="\n\n", flush=True)
    if options.json:
        write_json(options.json, report)


if __name__ == "__main__":
    if sys.argv[1:2] == ["grid"]:
        raise SystemExit(grid.main(sys.argv[2:]))
    main()
