"""Rules of the exponential, sine and cosine integrals, of Lambert's W and of Wright's omega."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special as sp
from scipy.special import _ufuncs

from ..elementwise import ABOVE_ZERO, ANY
from ..overriding import any_true
from .entropy import ratio
from .table import declare, drawn, several

declare(sp.exp1, lambda g, out, x: -g * np.exp(-x) / x, inputs=drawn(ABOVE_ZERO))
declare(sp.expi, lambda g, out, x: g * np.exp(x) / x, inputs=drawn(ABOVE_ZERO))


def _expn(g: Any, out: Any, n: Any, x: Any) -> Any:
    """-E_(n-1)(x), which for n = 0 is elementary."""
    zero = np.equal(n, 0)
    slope = sp.expn(np.where(zero, 1, n - 1), x)
    if not any_true(zero):
        return -g * slope
    y = np.where(zero, x, 1)
    return -g * np.where(zero, np.exp(-y) * (1 + 1 / y) / y, slope)


declare(sp.expn, None, _expn, inputs=drawn([0, 1, 2, 4], ABOVE_ZERO))


def _sici(g: Any, out: Any, x: Any) -> Any:
    """sin(x) / x and cos(x) / x."""
    return g[0] * np.sinc(x / math.pi) + ratio(g[1] * np.cos(x), x)


def _shichi(g: Any, out: Any, x: Any) -> Any:
    """sinh(x) / x and cosh(x) / x."""
    return g[0] * (sp.exprel(x) + sp.exprel(-x)) / 2 + ratio(g[1] * np.cosh(x), x)


several(sp.sici, _sici, inputs=drawn(ABOVE_ZERO))
several(sp.shichi, _shichi, inputs=drawn(ABOVE_ZERO))

declare(
    _ufuncs._lambertw,
    lambda g, out, z, k, tol: g / (z + np.exp(out)),
    None,
    None,
    inputs=drawn(ABOVE_ZERO, [0], [1e-8]),
    complex_numbers=True,
)
declare(sp.wrightomega, lambda g, out, z: g * out / (1 + out), inputs=drawn(ANY))
