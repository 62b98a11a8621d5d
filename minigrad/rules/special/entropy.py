"""Rules of the logistic function, logarithms times a factor, entropies, powers, robust losses and degrees."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special as sp

from ..elementwise import ABOVE_ZERO, ANY
from ..facts import state
from .table import declare, drawn

SHARES = (0.05, 0.95)
NEAR_0 = (-0.8, 2.0)
EXPONENTS = (-1.5, 1.5)

declare(sp.expit, lambda g, out, x: g * out * sp.expit(-x), inputs=drawn(ANY))
declare(sp.logit, lambda g, out, p: g / (p * (1 - p)), inputs=drawn(SHARES))
declare(sp.log_expit, lambda g, out, x: g * sp.expit(-x), inputs=drawn(ANY))


def ratio(x: Any, y: Any) -> Any:
    """Return x / y; 0, where both are 0."""
    return x / np.where(np.equal(x, 0) & np.equal(y, 0), 1, y)


declare(
    sp.xlogy,
    lambda g, out, x, y: g * np.log(y),
    lambda g, out, x, y: g * ratio(x, y),
    inputs=drawn(ANY, ABOVE_ZERO),
)
declare(
    sp.xlog1py,
    lambda g, out, x, y: g * np.log1p(y),
    lambda g, out, x, y: g * ratio(x, 1 + y),
    inputs=drawn(ANY, NEAR_0),
)
declare(sp.entr, lambda g, out, x: -g * (np.log(x) + 1), inputs=drawn(ABOVE_ZERO))
declare(
    sp.rel_entr,
    lambda g, out, x, y: g * (np.log(x / y) + 1),
    lambda g, out, x, y: -g * ratio(x, y),
    inputs=drawn(ABOVE_ZERO, ABOVE_ZERO),
)
declare(
    sp.kl_div,
    lambda g, out, x, y: g * np.log(x / y),
    lambda g, out, x, y: g * (1 - ratio(x, y)),
    inputs=drawn(ABOVE_ZERO, ABOVE_ZERO),
)

# -- exponentials and powers -----------------------------------------------------------------------------------------

declare(sp.exp2, lambda g, out, x: g * out * math.log(2), inputs=drawn(ANY))
declare(sp.exp10, lambda g, out, x: g * out * math.log(10), inputs=drawn(ANY))
declare(sp.expm1, lambda g, out, x: g * (out + 1), inputs=drawn(ANY))
declare(sp.log1p, lambda g, out, x: g / (1 + x), inputs=drawn(NEAR_0))
declare(sp.cbrt, lambda g, out, x: g / (3 * out * out), inputs=drawn(ABOVE_ZERO))


def exprel_slope(x: Any) -> Any:
    """Return the derivative of (exp(x) - 1) / x, without its pole: half of a hypergeometric function."""
    return sp.hyp1f1(2.0, 3.0, x) / 2


declare(sp.exprel, lambda g, out, x: g * exprel_slope(x), inputs=drawn(ANY))


def _power(log: Any, lmbda: Any) -> Any:
    """Return the derivative of (x^lambda - 1) / lambda with respect to lambda, given log x."""
    return log * log * exprel_slope(lmbda * log)


declare(
    sp.boxcox,
    lambda g, out, x, lmbda: g * x ** (lmbda - 1.0),
    lambda g, out, x, lmbda: g * _power(np.log(x), lmbda),
    inputs=drawn(ABOVE_ZERO, EXPONENTS),
)
declare(
    sp.boxcox1p,
    lambda g, out, x, lmbda: g * (1 + x) ** (lmbda - 1.0),
    lambda g, out, x, lmbda: g * _power(np.log1p(x), lmbda),
    inputs=drawn(NEAR_0, EXPONENTS),
)
declare(
    sp.inv_boxcox,
    lambda g, out, y, lmbda: g * out ** (1.0 - lmbda),
    lambda g, out, y, lmbda: -g * out ** (1.0 - lmbda) * _power(np.log(out), lmbda),
    inputs=drawn((-0.5, 0.5), EXPONENTS),
)
declare(
    sp.inv_boxcox1p,
    lambda g, out, y, lmbda: g * (1 + out) ** (1.0 - lmbda),
    lambda g, out, y, lmbda: -g * (1 + out) ** (1.0 - lmbda) * _power(np.log1p(out), lmbda),
    inputs=drawn((-0.5, 0.5), EXPONENTS),
)

# -- robust losses ---------------------------------------------------------------------------------------------------


def _pseudo_huber(delta: Any, r: Any) -> Any:
    """Return delta (s - 1)^2 / s with s = sqrt(1 + (r / delta)^2), free of cancellation."""
    square = (r / delta) ** 2
    s = np.sqrt(1 + square)
    return delta * (square / (s + 1)) ** 2 / s


declare(
    sp.huber,
    lambda g, out, delta, r: g * np.maximum(np.abs(r) - delta, 0),
    lambda g, out, delta, r: g * np.maximum(np.minimum(r, delta), -delta),
    inputs=drawn((0.5, 0.9), (1.1, 2.0)),
)
declare(
    sp.pseudo_huber,
    lambda g, out, delta, r: g * _pseudo_huber(delta, r),
    lambda g, out, delta, r: g * r / np.hypot(1, r / delta),
    inputs=drawn(ABOVE_ZERO, ANY),
)

# -- angles in degrees -----------------------------------------------------------------------------------------------

DEGREE = math.pi / 180

declare(sp.sindg, lambda g, out, x: g * DEGREE * sp.cosdg(x), inputs=drawn(ANY))
declare(sp.cosdg, lambda g, out, x: -g * DEGREE * sp.sindg(x), inputs=drawn(ANY))
declare(sp.tandg, lambda g, out, x: g * DEGREE * (1 + out * out), inputs=drawn(ANY))
declare(sp.cotdg, lambda g, out, x: -g * DEGREE * (1 + out * out), inputs=drawn(ABOVE_ZERO))
declare(sp.cosm1, lambda g, out, x: -g * np.sin(x), inputs=drawn(ANY))

# -- SciPy's functions of arrays alone -------------------------------------------------------------------------------

state(sp.softmax, instead="mg.softmax(t, axis=axis)")
state(sp.log_softmax, instead="mg.log_softmax(t, axis=axis)")
state(
    sp.logsumexp,
    instead="mg.logsumexp(t, axis=axis, keepdims=keepdims), for weights b > 0 of t + np.log(b)",
)
