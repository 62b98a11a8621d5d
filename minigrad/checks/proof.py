"""Every rule and layer of the package, checked on drawn inputs: ``python -m minigrad.gradient_check``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..engine.layer import LAYERS, Layer
from ..rules.table import OPS, Composite, Op
from .check import check_grads, check_layer
from .report import Report
from .vectors import parts

CASES = 20
"""How many inputs each rule and layer is checked on."""


class RandomDraw:
    """Draws arrays and options for the ``inputs`` of an op or a layer; see `minigrad.rules.table.Draw`."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def array(self, shape: tuple[int, ...] | None = None, low: float = -2.0, high: float = 2.0) -> Any:
        """Return a float64 array with entries in [low, high]; of any shape by default."""
        return np.asarray(self.rng.uniform(low, high, self.shape() if shape is None else shape))

    def shape(self, min_ndim: int = 0, max_ndim: int = 3, min_side: int = 0) -> tuple[int, ...]:
        """Return any shape with sides up to 4; empty ones too, unless ``min_side`` forbids them."""
        return tuple([self.integer(min_side, 4) for _ in range(self.integer(min_ndim, max_ndim))])

    def broadcastable(self, count: int) -> list[tuple[int, ...]]:
        """Return ``count`` shapes that broadcast together."""
        whole = self.shape()
        tails = [whole[self.integer(0, len(whole)) :] for _ in range(count)]
        return [tuple([self.choice([side, side, 1]) for side in tail]) for tail in tails]

    def integer(self, low: int, high: int) -> int:
        """Return an integer in [low, high]."""
        return int(self.rng.integers(low, high + 1))

    def choice(self, values: Sequence[Any]) -> Any:
        """Return one of ``values``."""
        return values[self.integer(0, len(values) - 1)]


def check_entry(entry: Op | Composite | Layer, seed: int) -> Report:
    """Check an op, to second order, or a layer, on the inputs that a seed draws.

    Raises
    ------
    GradientMismatch
        If ways to a gradient disagree.
    """
    assert entry.inputs is not None
    args, options = entry.inputs(RandomDraw(seed))
    if isinstance(entry, Layer):
        return check_layer(entry, *args, **options)
    f, arrays = of_arrays(entry.function, args, options)
    return check_grads(f, *arrays, order=2)


def float_places(args: Sequence[Any]) -> list[tuple[int, int]]:
    """Return the positions of the float arrays among the arguments of a call: of the argument, and within a list."""
    return [
        (i, j)
        for i, arg in enumerate(args)
        for j, x in enumerate(arg if isinstance(arg, list) else [arg])
        if isinstance(x, np.ndarray) and x.dtype.kind in "fc"
    ]


def of_arrays(
    function: Callable[..., Any],
    args: Sequence[Any],
    options: dict[str, Any],
    places: Sequence[tuple[int, int]] | None = None,
) -> tuple[Callable[..., Any], list[Any]]:
    """Return a call as a function of its arrays at some places, those of floats by default; and those arrays.

    A complex array is two, its real and its imaginary part; and so is then a complex result.
    """
    places = float_places(args) if places is None else places
    found = [args[i][j] if isinstance(args[i], list) else args[i] for i, j in places]
    split = any(map(_is_complex, found))

    def f(*arrays: Any) -> Any:
        full = [list(arg) if isinstance(arg, list) else arg for arg in args]
        left = iter(arrays)
        for (i, j), given in zip(places, found, strict=True):
            x = next(left)
            if given.dtype.kind == "c":
                x = x + 1j * next(left)
            if isinstance(args[i], list):
                full[i][j] = x
            else:
                full[i] = x
        out = function(*full, **options)
        nonlocal split
        if not any(map(_is_complex, arrays)):  # as in the complex step
            split = split or any(map(_is_complex, parts(out)))
        return [part for each in parts(out) for part in _real_parts(each)] if split else out

    f.__name__ = function.__name__
    return f, [part for x in found for part in _real_parts(x)]


def _is_complex(x: Any) -> bool:
    return bool(np.result_type(getattr(x, "dtype", float)).kind == "c")


def _real_parts(x: Any) -> list[Any]:
    return [np.real(x), np.imag(x)] if _is_complex(x) else [x]


def main() -> None:
    """Print a line for each rule and layer: the cases drawn, the worst error in ulps, and the ways compared."""
    print(f"{'op':24} {'cases':>5} {'ulps':>8}  ways")
    ops = {op for op in OPS.values() if op.inputs is not None}
    entries: list[Any] = [*sorted(ops, key=lambda op: op.name), *LAYERS.values()]
    for entry in entries:
        reports = [check_entry(entry, seed) for seed in range(CASES)]
        worst = max(report.ulps for report in reports)
        ways = max((report.ways for report in reports), key=len)
        print(f"{entry.name:24} {len(reports):5} {worst:8.3g}  {', '.join(ways)}")
