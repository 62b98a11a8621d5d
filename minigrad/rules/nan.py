"""Rules of the functions that ignore NaN: the gradient of a NaN entry is 0."""

from __future__ import annotations

from functools import wraps
from typing import Any

import numpy as np

from .cumulative import along, cumprod, cumsum
from .reductions import begun_at, cast_reduction, extremum, mean, prod, total
from .statistics import spread_inputs, std, var
from .table import Rule, declare


def _passing_over(rule: Rule, value: int) -> Rule:
    """Derive a nan-reduction's rule from the reduction's: NaN is left out, as by ``where``."""

    @wraps(rule)
    def over(g: Any, out: Any, a: Any, *args: Any, where: Any = True, **options: Any) -> Any:
        valid = np.logical_and(np.logical_not(np.isnan(a)), where)
        return rule(g, out, np.where(valid, a, a.dtype.type(value)), *args, where=valid, **options)

    return over


def _running_over(rule: Rule, value: int) -> Rule:
    """Derive a cumulative nan-function's rule from the function's: NaN counts as the neutral element."""

    def over(g: Any, out: Any, a: Any, axis: Any = None, dtype: Any = None) -> Any:
        valid = np.logical_not(np.isnan(a))
        return np.where(valid, rule(g, out, np.where(valid, a, a.dtype.type(value)), axis, dtype), 0)

    return over


declare(np.nansum, _passing_over(total, 0), inputs=cast_reduction, memory="new")
declare(np.nanmean, _passing_over(mean, 0), inputs=cast_reduction, memory="new")
declare(np.nanprod, _passing_over(prod, 1), inputs=begun_at(-1.5, 0.5), memory="new")
declare(np.nanvar, _passing_over(var, 0), inputs=spread_inputs, memory="new")
declare(np.nanstd, _passing_over(std, 0), inputs=spread_inputs, memory="new")
declare(np.nanmax, extremum, inputs=begun_at(-0.303, 5.0), memory="new")
declare(np.nanmin, extremum, inputs=begun_at(0.303, -5.0), memory="new")
declare(np.nancumsum, _running_over(cumsum, 0), inputs=along, memory="new")
declare(np.nancumprod, _running_over(cumprod, 1), inputs=along, memory="new")
