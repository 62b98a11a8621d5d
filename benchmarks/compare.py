"""A regression check of two runs: minigrad's ratios to the yardsticks of the same run, not absolute times."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .report import columns

OURS = ("tape", "jit", "minigrad")
"""How the names of minigrad's contestants begin."""

TOLERANCE = 0.1


class Change(NamedTuple):
    """One ratio in both runs, each with its median and its quartiles."""

    case: str
    contestant: str
    against: str
    old: dict[str, Any]
    new: dict[str, Any]

    @property
    def worse(self) -> bool:
        """Whether the median is higher by more than the tolerance, and the quartiles do not overlap."""
        beyond = self.new["median"] > self.old["median"] * (1 + TOLERANCE)
        return beyond and self.new["quartiles"][0] > self.old["quartiles"][1]


def main(argv: Sequence[str] | None = None) -> int:
    """Compare two runs by their ratios; return 1 if one of minigrad's is worse by more than its noise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks compare", description=main.__doc__)
    parser.add_argument("old", type=Path, metavar="OLD.json")
    parser.add_argument("new", type=Path, metavar="NEW.json")
    options = parser.parse_args(argv)
    old, new = (read(path, parser) for path in (options.old, options.new))
    found = list(changes(old, new))
    if not found:
        parser.error(f"{options.old} and {options.new} have no ratio in common")
    print(table(found))
    worse = sum(change.worse for change in found)
    print(f"\n{worse} of {len(found)} ratios worse by more than {TOLERANCE:.0%}, and beyond the quartiles")
    return int(worse > 0)


def read(path: Path, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Read the figures of a run by their case; stop if there are none."""
    try:
        return {
            figures["case"]: figures["contestants"] for figures in json.loads(path.read_text())["figures"]
        }
    except OSError as error:
        parser.error(f"{path} cannot be read ({error.strerror})")
    except (ValueError, KeyError, TypeError):
        parser.error(f"{path} is no file that python -m benchmarks --json wrote")


def changes(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    """Yield each ratio of minigrad's that both runs have."""
    for case, contestants in new.items():
        for name, row in contestants.items():
            before = old.get(case, {}).get(name)
            if before is None or not name.startswith(OURS):
                continue
            for against, ratio in row["ratios"].items():
                if against in before["ratios"]:
                    yield Change(case, name, against, before["ratios"][against], ratio)


def table(found: Sequence[Change]) -> str:
    """Return the changes, one a line, the worst first."""
    ordered = sorted(found, key=lambda change: -change.new["median"] / change.old["median"])
    rows = [
        [
            f"{change.case}: {change.contestant} / {change.against}",
            *(
                f"{ratio['median']:.2f} ({ratio['quartiles'][0]:.2f} to {ratio['quartiles'][1]:.2f})"
                for ratio in (change.old, change.new)
            ),
            f"{change.new['median'] / change.old['median'] - 1:+.0%}",
            "worse" if change.worse else "",
        ]
        for change in ordered
    ]
    return columns([["ratio", "old", "new", "change", ""], *rows])
