"""The overhead of a call on tensors, for every function with a rule, in multiples of that of ``x + y``."""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.rules.table import OPS, full_name

from .measure import Case, Step, run
from .report import columns, machine, write_json

SIDE = 4
FORWARD = ("x + y", "x + y on tensors", "numpy", "tensors")
Call = tuple[tuple[Any, ...], dict[str, Any]]


class Plain:
    """Draws an op's operands and options: arrays of 4 × 4 where it takes any shape, and the first choice."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def array(self, shape: tuple[int, ...] | None = None, low: float = -2.0, high: float = 2.0) -> np.ndarray:
        """Return an array of this shape, or of 4 × 4."""
        return self.rng.uniform(low, high, self.shape() if shape is None else shape)

    def shape(self, min_ndim: int = 0, max_ndim: int = 3, min_side: int = 0) -> tuple[int, ...]:
        """Return 4 × 4, with more or fewer axes where the bounds demand it."""
        return (SIDE,) * min(max(2, min_ndim), max_ndim)

    def broadcastable(self, count: int) -> list[tuple[int, ...]]:
        """Return shapes of 4 × 4."""
        return [self.shape()] * count

    def integer(self, low: int, high: int) -> int:
        """Return 4, or the bound that is nearest to it."""
        return min(max(SIDE, low), high)

    def choice(self, values: Sequence[Any]) -> Any:
        """Return the first value."""
        return values[0]


MATRICES = dict.fromkeys((np.matmul, np.dot, np.outer), ((SIDE, SIDE),) * 2)
"""Functions whose own inputs begin with other shapes."""


def call_of(function: Callable[..., Any]) -> Call:
    """Return the operands of a function, and the options that are no defaults."""
    draw = Plain()
    if function in MATRICES:
        return tuple(draw.array(shape) for shape in MATRICES[function]), {}
    args, options = OPS[function].inputs(draw)  # type: ignore[misc]  # those without are not timed
    return args, {name: x for name, x in options.items() if x is not None and x is not False}


def on(make: Callable[[np.ndarray], Any], leaves: list[Any], x: Any) -> Any:
    """Return arguments with a leaf made of each array of floats, however nested in lists."""
    if isinstance(x, (list, tuple)):
        return type(x)([on(make, leaves, each) for each in x])
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        return x
    leaves.append(make(x))
    return leaves[-1]


def first(result: Any) -> Any:
    """Return the first of several results."""
    return first(result[0]) if isinstance(result, (tuple, list)) else result


def backward_step(call: Callable[[], Any], leaves: list[Any], ones: Callable[[Any], Any]) -> Step:
    """Make the step that calls, and finds the gradient of the sum of the (first) result."""
    gradient = ones(first(call()))

    def step() -> list[Any]:
        for leaf in leaves:
            leaf.grad = None
        first(call()).backward(gradient)
        return [leaf.grad for leaf in leaves]

    return step


def steps(function: Callable[..., Any]) -> dict[str, Step]:
    """Make a function's steps: forward on arrays and on tensors, and forward and backward, torch's too."""
    (args, options), x = call_of(function), Plain().array()
    function = OPS[function].function  # the one that the inputs are for, of several with one rule
    leaf, leaves = mg.tensor(x, requires_grad=True), []
    tensors = on(lambda array: mg.tensor(array, requires_grad=True), leaves, args)

    def on_tensors() -> Any:
        return function(*tensors, **options)

    made: dict[str, Step] = {
        "x + y": lambda: x + x,
        "x + y on tensors": lambda: leaf + leaf,
        "numpy": lambda: function(*args, **options),
        "tensors": on_tensors,
    }
    if getattr(first(on_tensors()), "requires_grad", False):
        made["and backward"] = backward_step(on_tensors, leaves, lambda out: np.ones(out.shape, out.dtype))
        torch = torch_step(function, args, options, made["and backward"])
        made |= {} if torch is None else {"torch": torch}
    return made


def torch_step(function: Callable[..., Any], args: Any, options: Any, ours: Step) -> Step | None:
    """Make eager torch's step, if torch is installed and has a function of that name with the same gradients."""
    try:
        import torch
    except ImportError:
        return None
    home: Any = torch
    for part in full_name(function).split(".")[1:]:
        home = getattr(home, part, None)
    leaves: list[Any] = []
    tensors = on(lambda array: torch.tensor(array, requires_grad=True), leaves, args)
    try:
        step = backward_step(lambda: home(*tensors, **options), leaves, torch.ones_like)
        same = all(np.allclose(a, b) for a, b in zip(step(), ours(), strict=True))
    except Exception:  # it has none, or one with other arguments
        return None
    return step if same else None


def figures(function: Callable[..., Any], seconds: float) -> dict[str, Any]:
    """Time a function: its overhead on tensors, in multiples of that of ``x + y``, and the medians in microseconds."""
    made = steps(function)
    times = {name: each[0] / 1000 for name, each in run(Case("", made, ()), seconds).items()}
    unit, zero, plain, tensors = (times[name] for name in (FORWARD[1], *FORWARD[::2], FORWARD[3]))
    medians = {name: float(np.median(each)) for name, each in times.items()}
    ratio = times["and backward"] / times["torch"] if "torch" in times else [math.nan]
    return {
        "function": full_name(function),
        "added": float(np.median((tensors - plain) / (unit - zero))),
        "medians": medians,
        "torch": float(np.median(ratio)),
    }


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Return the figures as lines, the largest overhead first."""
    cells = [["µs", "numpy", "tensors", "added, × x + y", "and backward", "torch", "× torch"]]
    for row in sorted(rows, key=lambda row: -row["added"]):
        known = [row["medians"].get(name, math.nan) for name in ("numpy", "tensors", "and backward", "torch")]
        numbers = [*known[:2], row["added"], *known[2:], row["torch"]]
        cells.append([row["function"], *("" if math.isnan(x) else f"{x:.2f}" for x in numbers)])
    yield columns(cells)


def main(argv: Sequence[str]) -> int:
    """Time a call of every function with a rule, and print the overhead of recording it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks calls", description=main.__doc__)
    parser.add_argument("functions", nargs="*", metavar="NAME", help="names such as np.sum; all by default")
    parser.add_argument("--seconds", type=float, default=0.2, help="to spend on each; 0.2 by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures and the machine here")
    options = parser.parse_args(argv)
    names = {full_name(f).replace("numpy.", "np."): f for f, op in OPS.items() if op.inputs}
    unknown = [name for name in options.functions if name not in names]
    if unknown:
        parser.error(f"{unknown[0]!r} has no rule; expected names such as np.sum, np.linalg.norm")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        rows = [figures(names[name], options.seconds) for name in options.functions or names]
    print(*table(rows), sep="\n")
    if options.json:
        write_json(options.json, {**machine(), "figures": rows})
    return 0
