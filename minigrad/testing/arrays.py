"""Strategies for arrays: shapes that fit together, memory layouts, dtypes; and arrays as code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ..rules.table import Call, Draw

LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.T.copy().T,
    "sliced": lambda x: np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x,
    "reversed": lambda x: x[..., ::-1].copy()[..., ::-1] if x.ndim else x,
    "read-only": lambda x: _read_only(x),
}
"""The ways one array may lie in memory."""


def laid_out(x: Any, layout: str) -> Any:
    """Return an array of the same entries that lies in memory in another way, one of `LAYOUTS`."""
    return LAYOUTS[layout](np.array(x))


def array_code(x: Any) -> str:
    """Return an array as code that can be pasted: entries, dtype, and how it lies in memory."""
    if x.size:
        with np.printoptions(
            nanstr="np.nan", infstr="np.inf", floatmode="unique", threshold=x.size, sign="-"
        ):
            entries = " ".join(np.array2string(x, separator=", ").split()).replace("[ ", "[")
        code = f'np.array({entries}, dtype="{x.dtype}")'
    else:
        code = f'np.zeros({x.shape}, dtype="{x.dtype}")'
    return code if (layout := _layout(x)) == "contiguous" else f'laid_out({code}, "{layout}")'


def _layout(x: Any) -> str:
    if not x.flags.writeable:
        return "read-only"
    if x.flags.c_contiguous:
        return "contiguous"
    if x.flags.f_contiguous:
        return "transposed"
    return "reversed" if min(x.strides) < 0 else "sliced"


SPACING = 0.01


def _read_only(x: Any) -> Any:
    x.flags.writeable = False
    return x


class HypothesisDraw:
    """Draws what an op's ``inputs`` ask for; see `minigrad.rules.table.Draw`.

    Entries are distinct and stay clear of 0 and of each other, in one array and across the arrays of a call:
    differences of a small step meet no kink.
    """

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any], dtype: Any = np.float64) -> None:
        self._draw = draw
        self.dtype = dtype
        self._arrays = 0

    def array(self, shape: tuple[int, ...] | None = None, low: float = -2.0, high: float = 2.0) -> Any:
        """Return a float array of some memory layout with entries in [low, high]."""
        shape = self.shape() if shape is None else shape
        self._arrays += 1
        offset = SPACING * (0.5 + 0.31 * self._arrays) % SPACING
        places = int((high - low) / SPACING)
        chosen = np.random.default_rng(self.integer(0, 2**16)).permutation(places)
        x = np.asarray(np.round(low + offset + SPACING * np.resize(chosen, shape), 4), self.dtype)
        return LAYOUTS[self.choice(list(LAYOUTS))](x)

    def shape(self, min_ndim: int = 0, max_ndim: int = 3, min_side: int = 0) -> tuple[int, ...]:
        """Return any shape; empty ones too, unless ``min_side`` forbids them."""
        return tuple(
            self._draw(hnp.array_shapes(min_dims=min_ndim, max_dims=max_ndim, min_side=min_side, max_side=3))
        )

    def broadcastable(self, count: int) -> list[tuple[int, ...]]:
        """Return ``count`` shapes that broadcast together."""
        shapes = hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, min_side=0, max_side=3)
        return list(self._draw(shapes).input_shapes)

    def integer(self, low: int, high: int) -> int:
        """Return an integer in [low, high]."""
        return int(self._draw(st.integers(low, high)))

    def choice(self, values: Sequence[Any]) -> Any:
        """Return one of ``values``."""
        return values[self.integer(0, len(values) - 1)]


def calls(inputs: Callable[[Draw], Call], dtype: Any = np.float64) -> st.SearchStrategy[Call]:
    """Return a strategy for the ``(args, kwargs)`` that an op or a layer is tested with.

    Parameters
    ----------
    inputs
        What the op or the layer was declared with.
    dtype
        The dtype of the float arrays.
    """

    @st.composite
    def drawn(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Call:
        return inputs(HypothesisDraw(draw, dtype))

    return drawn()
