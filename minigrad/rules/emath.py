"""Rules of numpy.emath: functions whose results are complex where those of real numbers would be NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .elementwise import ABOVE_ZERO, ANY, within
from .metadata import as_operand
from .overriding import any_true
from .table import compose

COMPOSED: dict[Callable[..., Any], Callable[..., Any]] = {}
"""The calls that each function makes; captured by jit its results are complex, whatever the values."""
TO_SINGLE = "fbhBH"
"""The dtypes of which NumPy makes complex64."""


def _complex_if(x: Any, is_outside: Callable[[Any], Any]) -> Any:
    """Return x, of complex numbers if one of it is outside of a real function's domain."""
    x = as_operand(x)
    if x.dtype.kind == "c" or not any_true(is_outside(x)):
        return x
    return x.astype(np.complex64 if x.dtype.char in TO_SINGLE else np.complex128)


def _below_zero(x: Any) -> Any:
    return np.less(x, 0)


def _beyond_one(x: Any) -> Any:
    return np.greater(np.abs(x), 1)


def _of_one(name: str, is_outside: Callable[[Any], Any], domain: tuple[float, float]) -> None:
    """Enter a function of one operand, as NumPy's of that name."""
    function = getattr(np, name)

    def forward(x: Any) -> Any:
        return function(_complex_if(x, is_outside))

    function_of_all = getattr(np.emath, name)
    COMPOSED[function_of_all] = compose(function_of_all, inputs=within(domain))(forward)


for _name in ("sqrt", "log", "log2", "log10"):
    _of_one(_name, _below_zero, ABOVE_ZERO)
for _name in ("arccos", "arcsin", "arctanh"):
    _of_one(_name, _beyond_one, (-0.9, 0.9))


@compose(np.emath.power, inputs=within(ABOVE_ZERO, ANY))
def _power(x: Any, p: Any) -> Any:
    return np.power(_complex_if(x, _below_zero), as_operand(p))


COMPOSED[np.emath.power] = _power
