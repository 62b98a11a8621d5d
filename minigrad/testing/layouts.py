"""Memory layouts of arrays, and arrays as code that can be pasted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..engine.arguments import names_itself


def _read_only(x: Any) -> Any:
    x.flags.writeable = False
    return x


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.T.copy().T,
    "sliced": lambda x: np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x,
    "reversed": lambda x: x[..., ::-1].copy()[..., ::-1] if x.ndim else x,
    "read-only": _read_only,
}
"""Memory layouts of an array."""


@names_itself
def laid_out(x: Any, layout: str) -> Any:
    """Return an equal array of another memory layout, one of `LAYOUTS`."""
    return LAYOUTS[layout](np.array(x))


@names_itself
def array_code(x: Any) -> str:
    """Return an array as code that can be pasted: entries, dtype, and memory layout."""
    if x.size:
        with np.printoptions(
            nanstr="np.nan", infstr="np.inf", floatmode="unique", threshold=x.size, sign="-"
        ):
            entries = re.sub(r"\s+", " ", np.array2string(x, separator=", "))
            entries = re.sub(r"(?<=\[) | (?=[\],])", "", entries)
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


def imports_for(arrays: Iterable[str], other: str) -> list[str]:
    """Return the imports of arrays as code, and another one."""
    needed = ["from minigrad.testing import laid_out"] if any("laid_out" in each for each in arrays) else []
    return ["import numpy as np", other, *needed]
