"""Whether a right gradient is ever called wrong: every rule and layer at kinks, in float32, at tiny and huge values.

python -m tests.false_alarms            15 drawn inputs for each rule, layer and kind: more than 10,000 cases
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from minigrad.checks.proof import of_arrays
from minigrad.gradient_check import check_grads, check_layer
from minigrad.layers import LAYERS, Layer
from minigrad.rules import OPS
from minigrad.rules.facts import facts
from minigrad.testing import HypothesisDraw

FIXED_SHAPES = {op for op in OPS.values() if not facts(op.function).shape_from_values}
ENTRIES = [*sorted(FIXED_SHAPES, key=lambda op: op.name), *LAYERS.values()]
SCALES = [1e-300, 1e-155, 1e-8, 1e4, 1e30, 1e100, 1e155, 1e300]
KINDS = ["plain", "kinks", "float32", *map(str, SCALES)]
"""Entries as drawn; many exactly 0 and 1, and equal; float32; and all floats times a scale."""

LOST = {("corrcoef", "1e-155"), ("lstsq", "1e-08")}
LOST |= {(name, str(each)) for name in ("least_squares", "lstsq") for each in SCALES[:2]}
LOST |= {(name, str(each)) for name in ("fraction", "modf") for each in SCALES[4:]}
"""Where a value is lost: covariances that NumPy divides by are denormal or 0; large floats are all integers; the
gradient of a solution of least squares overflows, and its residual is rounding alone."""


def alarms(entry: Any, kind: str, cases: int) -> list[str]:
    """Check so many drawn inputs; return what was found wrong, which should be nothing."""
    found: list[str] = []
    if (entry.name, kind) in LOST:
        return found
    dtype = np.float32 if kind == "float32" else np.float64
    kinks = (0.0, 1.0) if kind == "kinks" else ()
    scale = float(kind) if kind not in KINDS[:3] else 1.0

    def scaled(x: Any) -> Any:
        if isinstance(x, list):
            return [scaled(each) for each in x]
        return (
            np.asarray(x * scale) if isinstance(x, np.ndarray) and x.dtype.kind == "f" and scale != 1 else x
        )

    @settings(
        max_examples=cases,
        phases=[Phase.generate],
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def check(data: Any) -> None:
        args, options = entry.inputs(HypothesisDraw(data.draw, dtype, kinks=kinks))
        args = tuple(map(scaled, args))
        with np.errstate(all="ignore"):  # values may overflow: the check must cope
            if isinstance(entry, Layer):
                report = check_layer(entry, *args, raise_on_error=False, **options)
            else:
                f, arrays = of_arrays(entry.function, args, options)
                report = check_grads(f, *arrays, raise_on_error=False)
        # At another scale an input may be out of the function's domain.
        if any("of its result are NaN" not in problem for problem in report.problems):
            found.append(f"{entry.name}, {kind}: {report}")

    check()
    return found


def main() -> int:
    """Print every false alarm, and how many there were in how many cases; return that many."""
    parser = argparse.ArgumentParser(prog="tests.false_alarms", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--cases", type=int, default=15, help="for each entry and kind (default: %(default)s)"
    )
    cases = parser.parse_args().cases
    found = [alarm for entry in ENTRIES for kind in KINDS for alarm in alarms(entry, kind, cases)]
    print(*found, sep="\n\n")
    print(f"{len(found)} false alarms in {len(ENTRIES) * len(KINDS) * cases} cases")
    return len(found)


if __name__ == "__main__":
    sys.exit(bool(main()))
