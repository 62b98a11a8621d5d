"""What is known of NumPy's functions that have no rule: why, and what to write instead."""

from __future__ import annotations

from typing import Any

import numpy as np

from .facts import state


def named(names: str, module: Any = np) -> list[Any]:
    """Return the functions of these names that this version of NumPy has."""
    return [getattr(module, name) for name in names.split() if hasattr(module, name)]


# -- constant: float results that carry no gradient ----------------------------------------------------------------

state(*named("sign floor ceil rint trunc floor_divide round around fix"), constant="piecewise constant")
state(*named("zeros_like ones_like empty_like"), constant="new arrays, of an array's shape and dtype")

# -- discrete: results that could carry none -------------------------------------------------------------------------

state(*named("shape ndim size result_type can_cast iscomplexobj isrealobj"), metadata=True)
state(*named("shape ndim size"), constant="reads shape and dtype alone")

# -- what the compiler asks -----------------------------------------------------------------------------------------

state(*named("argmax argmin argsort full sort take"), memory="new")
state(np.cumprod, memory="out")
state(
    *named("argwhere bincount flatnonzero intersect1d nonzero roots setdiff1d setxor1d trim_zeros"),
    *named("union1d unique unique_all unique_counts unique_inverse unique_values"),
    np.linalg.lstsq,
    shape_from_values=True,
)

# -- functions that write into an argument: on arrays their result has no name that the tape could follow -----------

state(*named("copyto put place putmask fill_diagonal put_along_axis"), in_place=True)
