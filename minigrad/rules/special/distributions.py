"""Rules of distribution functions, with respect to where they are evaluated and to scales: the densities."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special as sp

from ..elementwise import ABOVE_ZERO, ANY
from .gamma import INSIDE, ORDERS, beta_density, gamma_density
from .table import declare, drawn


def student_density(df: Any, t: Any) -> Any:
    """Return the density of Student's t of df degrees of freedom."""
    return np.exp(-0.5 * (df + 1) * np.log1p(t * t / df)) / (np.sqrt(df) * sp.beta(0.5, df / 2))


def chi_square_density(v: Any, x: Any) -> Any:
    """Return the density of the sum of v squares of normal variables."""
    return gamma_density(v / 2, x / 2) / 2


def f_density(dfn: Any, dfd: Any, x: Any) -> Any:
    """Return the density of Fisher's F of dfn and dfd degrees of freedom."""
    whole = dfn * x + dfd
    return beta_density(dfn / 2, dfd / 2, dfn * x / whole) * (dfn / whole) * (dfd / whole)


declare(sp.stdtr, None, lambda g, out, df, t: g * student_density(df, t), inputs=drawn(ORDERS, ANY))
declare(sp.stdtrit, None, lambda g, out, df, p: g / student_density(df, out), inputs=drawn(ORDERS, INSIDE))
declare(sp.chdtr, None, lambda g, out, v, x: g * chi_square_density(v, x), inputs=drawn(ORDERS, ABOVE_ZERO))
declare(sp.chdtrc, None, lambda g, out, v, x: -g * chi_square_density(v, x), inputs=drawn(ORDERS, ABOVE_ZERO))
declare(sp.chdtri, None, lambda g, out, v, p: -g / chi_square_density(v, out), inputs=drawn(ORDERS, INSIDE))
declare(
    sp.fdtr,
    None,
    None,
    lambda g, out, dfn, dfd, x: g * f_density(dfn, dfd, x),
    inputs=drawn(ORDERS, ORDERS, ABOVE_ZERO),
)
declare(
    sp.fdtrc,
    None,
    None,
    lambda g, out, dfn, dfd, x: -g * f_density(dfn, dfd, x),
    inputs=drawn(ORDERS, ORDERS, ABOVE_ZERO),
)
declare(
    sp.gdtr,
    lambda g, out, a, b, x: g * x * gamma_density(b, a * x),
    None,
    lambda g, out, a, b, x: g * a * gamma_density(b, a * x),
    inputs=drawn(ABOVE_ZERO, ORDERS, ABOVE_ZERO),
)
declare(
    sp.gdtrc,
    lambda g, out, a, b, x: -g * x * gamma_density(b, a * x),
    None,
    lambda g, out, a, b, x: -g * a * gamma_density(b, a * x),
    inputs=drawn(ABOVE_ZERO, ORDERS, ABOVE_ZERO),
)
declare(
    sp.pdtr,
    None,
    lambda g, out, k, m: -g * gamma_density(np.floor(k) + 1, m),
    inputs=drawn([0, 1, 4], ABOVE_ZERO),
)
declare(
    sp.pdtrc,
    None,
    lambda g, out, k, m: g * gamma_density(np.floor(k) + 1, m),
    inputs=drawn([0, 1, 4], ABOVE_ZERO),
)
