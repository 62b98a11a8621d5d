"""Rules of the gamma and beta functions, their logarithms, their incomplete forms and zeta."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special as sp
from scipy.special import _ufuncs

from ..elementwise import ABOVE_ZERO
from ..facts import state
from .table import declare, drawn

INSIDE = (0.05, 0.95)
ORDERS = [0.5, 1.0, 2.5]


def trigamma(x: Any) -> Any:
    """Return the derivative of digamma: polygamma(1, x)."""
    return sp.zeta(2.0, x)


declare(sp.gamma, lambda g, out, x: g * out * sp.psi(x), inputs=drawn((0.3, 4.0)))
declare(sp.gammaln, lambda g, out, x: g * sp.psi(x), inputs=drawn((0.3, 4.0)))
declare(sp.loggamma, lambda g, out, x: g * sp.psi(x), inputs=drawn((0.3, 4.0)))
declare(sp.psi, lambda g, out, x: g * trigamma(x), inputs=drawn((0.3, 4.0)))


def _rgamma(g: Any, out: Any, x: Any) -> Any:
    """-digamma(x) / gamma(x); left of 1/2 by reflection, as digamma has poles where the product has none."""
    left = np.less(x, 0.5)
    u, v = np.where(left, x, 0), np.where(left, 1, x)
    turned = sp.gamma(1 - u) * (np.cos(np.pi * u) - np.sin(np.pi * u) / np.pi * sp.psi(1 - u))
    return g * np.where(left, turned, -sp.psi(v) * sp.rgamma(v))


declare(sp.rgamma, _rgamma, inputs=drawn((-2.0, 4.0)))
declare(
    sp.beta,
    lambda g, out, a, b: g * out * (sp.psi(a) - sp.psi(a + b)),
    lambda g, out, a, b: g * out * (sp.psi(b) - sp.psi(a + b)),
    inputs=drawn(ABOVE_ZERO, ABOVE_ZERO),
)
declare(
    sp.betaln,
    lambda g, out, a, b: g * (sp.psi(a) - sp.psi(a + b)),
    lambda g, out, a, b: g * (sp.psi(b) - sp.psi(a + b)),
    inputs=drawn(ABOVE_ZERO, ABOVE_ZERO),
)
declare(
    sp.poch,
    lambda g, out, z, m: g * out * (sp.psi(z + m) - sp.psi(z)),
    lambda g, out, z, m: g * out * sp.psi(z + m),
    inputs=drawn(ABOVE_ZERO, ABOVE_ZERO),
)
declare(
    sp.binom,
    lambda g, out, n, k: g * out * (sp.psi(n + 1) - sp.psi(n - k + 1)),
    lambda g, out, n, k: g * out * (sp.psi(n - k + 1) - sp.psi(k + 1)),
    inputs=drawn((3.0, 5.0), (0.3, 2.0)),
)

# -- incomplete: a density is the derivative -------------------------------------------------------------------------


def gamma_density(a: Any, x: Any) -> Any:
    """Return x^(a-1) exp(-x) / gamma(a)."""
    return np.exp(sp.xlogy(a - 1, x) - x - sp.gammaln(a))


def beta_density(a: Any, b: Any, x: Any) -> Any:
    """Return x^(a-1) (1 - x)^(b-1) / beta(a, b)."""
    return np.exp(sp.xlogy(a - 1, x) + sp.xlog1py(b - 1, -x) - sp.betaln(a, b))


declare(sp.gammainc, None, lambda g, out, a, x: g * gamma_density(a, x), inputs=drawn(ORDERS, ABOVE_ZERO))
declare(sp.gammaincc, None, lambda g, out, a, x: -g * gamma_density(a, x), inputs=drawn(ORDERS, ABOVE_ZERO))
declare(sp.gammaincinv, None, lambda g, out, a, y: g / gamma_density(a, out), inputs=drawn(ORDERS, INSIDE))
declare(sp.gammainccinv, None, lambda g, out, a, y: -g / gamma_density(a, out), inputs=drawn(ORDERS, INSIDE))
declare(
    sp.betainc,
    None,
    None,
    lambda g, out, a, b, x: g * beta_density(a, b, x),
    inputs=drawn(ORDERS, ORDERS, INSIDE),
)
declare(
    sp.betaincc,
    None,
    None,
    lambda g, out, a, b, x: -g * beta_density(a, b, x),
    inputs=drawn(ORDERS, ORDERS, INSIDE),
)
declare(
    sp.betaincinv,
    None,
    None,
    lambda g, out, a, b, y: g / beta_density(a, b, out),
    inputs=drawn(ORDERS, ORDERS, INSIDE),
)
declare(
    sp.betainccinv,
    None,
    None,
    lambda g, out, a, b, y: -g / beta_density(a, b, out),
    inputs=drawn(ORDERS, ORDERS, INSIDE),
)

# -- zeta: the function called is one of Python's, which calls these ufuncs -------------------------------------------

declare(
    _ufuncs._zeta,
    None,
    lambda g, out, x, q: -g * x * sp.zeta(x + 1, q),
    inputs=drawn([2.0, 3.0, 2.5], ABOVE_ZERO),
)

state(sp.gammasgn, sp.round, constant="piecewise constant")
state(
    _ufuncs._riemann_zeta,
    sp.zetac,
    no_gradient="its derivative is no function that SciPy has",
    instead="scipy.special.zeta(x, q), for the derivative with respect to q",
)
state(
    sp.polygamma,
    instead="(-1.0) ** (n + 1) * scipy.special.gamma(n + 1) * scipy.special.zeta(n + 1, t), with n = 1, 2, ...",
)
state(
    sp.multigammaln,
    instead="d * (d - 1) / 4 * np.log(np.pi) + np.sum(gammaln(t[..., None] - np.arange(d) / 2), -1)",
)
state(sp.comb, instead="scipy.special.binom(t, k)")
state(sp.factorial, instead="scipy.special.gamma(t + 1)")
