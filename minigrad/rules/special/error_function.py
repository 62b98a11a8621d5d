"""Rules of the error function and its kin, of the normal distribution and of Fresnel's integrals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special as sp

from ..elementwise import ANY
from .table import declare, drawn, several

INSIDE = (-0.9, 0.9)
PROBABILITIES = (0.05, 0.95)
ROOT_PI = math.sqrt(math.pi)
ROOT_2 = math.sqrt(2)

declare(sp.erf, lambda g, out, x: g * (2 / ROOT_PI) * np.exp(-x * x), inputs=drawn(ANY), complex_numbers=True)
declare(
    sp.erfc, lambda g, out, x: -g * (2 / ROOT_PI) * np.exp(-x * x), inputs=drawn(ANY), complex_numbers=True
)
declare(sp.erfi, lambda g, out, x: g * (2 / ROOT_PI) * np.exp(x * x), inputs=drawn(ANY), complex_numbers=True)
declare(sp.erfinv, lambda g, out, y: g * (ROOT_PI / 2) * np.exp(out * out), inputs=drawn(INSIDE))
declare(sp.erfcinv, lambda g, out, y: -g * (ROOT_PI / 2) * np.exp(out * out), inputs=drawn((0.1, 1.9)))

FAR = 16.0
"""Where the asymptotic series is exact to float64."""


def _far(y: Any) -> Any:
    """Return the sum of (2n - 1)!! y^n over n = 1, 2, ..., for abs(y) <= 1 / (2 FAR^2)."""
    total: Any = 1
    for odd in range(21, 1, -2):
        total = 1 + odd * y * total
    return y * total


def _erfcx(g: Any, out: Any, x: Any) -> Any:
    """2 x erfcx(x) - 2 / sqrt(pi); for large x, where the two cancel, by the asymptotic series."""
    far = np.greater(x, FAR)
    y = -0.5 / np.where(far, x, FAR) ** 2
    return g * np.where(far, (2 / ROOT_PI) * _far(y), 2 * x * out - 2 / ROOT_PI)


def _dawsn(g: Any, out: Any, x: Any) -> Any:
    """1 - 2 x dawsn(x); for large abs(x), where the two cancel, by the asymptotic series."""
    far = np.greater(np.abs(x), FAR)
    y = 0.5 / np.where(far, x, FAR) ** 2
    return g * np.where(far, -_far(y), 1 - 2 * x * out)


def _wofz(g: Any, out: Any, z: Any) -> Any:
    """2i / sqrt(pi) - 2 z wofz(z); far above the real axis, where the two cancel, by the asymptotic series."""
    far = np.greater(np.abs(z), FAR) & np.greater_equal(np.imag(z), 0)
    y = 0.5 / np.where(far, z, FAR) ** 2
    return g * np.where(far, (-2j / ROOT_PI) * _far(y), 2j / ROOT_PI - 2 * z * out)


declare(sp.erfcx, _erfcx, inputs=drawn(ANY))
declare(sp.dawsn, _dawsn, inputs=drawn(ANY))
declare(sp.wofz, _wofz, inputs=drawn(ANY), complex_numbers=True)

# -- the normal distribution -----------------------------------------------------------------------------------------


def normal_density(x: Any) -> Any:
    """Return exp(-x^2 / 2) / sqrt(2 pi)."""
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _hazard(x: Any) -> Any:
    """Return the normal density over its distribution function, exact in both tails."""
    right = np.greater(x, 0)
    p, n = np.where(right, x, 0), np.where(right, 0, x)
    return np.where(right, normal_density(p) / sp.ndtr(p), math.sqrt(2 / math.pi) / sp.erfcx(-n / ROOT_2))


declare(sp.ndtr, lambda g, out, x: g * normal_density(x), inputs=drawn(ANY))
declare(sp.ndtri, lambda g, out, y: g / normal_density(out), inputs=drawn(PROBABILITIES))
declare(sp.log_ndtr, lambda g, out, x: g * _hazard(x), inputs=drawn(ANY))
declare(sp.ndtri_exp, lambda g, out, y: g / _hazard(out), inputs=drawn((-3.0, -0.1)))
declare(
    sp.owens_t,
    lambda g, out, h, a: g * (-0.5 * normal_density(h) * sp.erf(a * h / ROOT_2)),
    lambda g, out, h, a: g * np.exp(-0.5 * h * h * (1 + a * a)) / (2 * math.pi * (1 + a * a)),
    inputs=drawn(ANY, ANY),
)


def _fresnel(g: Any, out: Any, x: Any) -> Any:
    """sin(pi x^2 / 2) and cos(pi x^2 / 2)."""
    angle = (math.pi / 2) * x * x
    return g[0] * np.sin(angle) + g[1] * np.cos(angle)


several(sp.fresnel, _fresnel, inputs=drawn(ANY))
