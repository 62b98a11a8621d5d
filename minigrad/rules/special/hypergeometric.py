"""Rules of the hypergeometric functions, with respect to their last operand, and of elliptic integrals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special as sp

from ..elementwise import ABOVE_ZERO, ANY
from .table import declare, drawn

PARAMETERS = [0.5, 1.5, 2.0]
BELOW_1 = (-2.0, 0.9)

declare(sp.hyp0f1, None, lambda g, out, v, z: g * sp.hyp0f1(v + 1, z) / v, inputs=drawn(PARAMETERS, ANY))
declare(
    sp.hyp1f1,
    None,
    None,
    lambda g, out, a, b, x: g * sp.hyp1f1(a + 1, b + 1, x) * (a / b),
    inputs=drawn(PARAMETERS, PARAMETERS, ANY),
)
declare(
    sp.hyp2f1,
    None,
    None,
    None,
    lambda g, out, a, b, c, z: g * sp.hyp2f1(a + 1, b + 1, c + 1, z) * (a * b / c),
    inputs=drawn(PARAMETERS, PARAMETERS, PARAMETERS, (-0.5, 0.5)),
)
declare(
    sp.hyperu,
    None,
    None,
    lambda g, out, a, b, x: -g * a * sp.hyperu(a + 1, b + 1, x),
    inputs=drawn(PARAMETERS, PARAMETERS, ABOVE_ZERO),
)
declare(sp.spence, lambda g, out, z: -g * sp.hyp2f1(1.0, 1.0, 2.0, 1 - z), inputs=drawn((0.3, 1.8)))

# -- complete elliptic integrals: K and E of the parameter m ---------------------------------------------------------


def _parted(m: Any) -> tuple[Any, Any, Any]:
    """Tell where m is small, and return m there, and elsewhere; 0 and 1 for the others."""
    near = np.less(np.abs(m), 0.5)
    return near, np.where(near, m, 0), np.where(near, 0.5, m)


def _first_kind(m: Any, m1: Any) -> Any:
    """Return dK/dm; near m = 0, where the closed form cancels, a hypergeometric function."""
    near, u, v = _parted(m)
    v1 = np.where(near, 0.5, m1)
    far = (sp.ellipe(v) - v1 * sp.ellipkm1(v1)) / (2 * v * v1)
    return np.where(near, (math.pi / 8) * sp.hyp2f1(1.5, 1.5, 2.0, u), far)


def _second_kind(m: Any) -> Any:
    """Return dE/dm = (E - K) / 2m; near m = 0, where the two cancel, a hypergeometric function."""
    near, u, v = _parted(m)
    far = (sp.ellipe(v) - sp.ellipk(v)) / (2 * v)
    return np.where(near, (-math.pi / 8) * sp.hyp2f1(0.5, 1.5, 2.0, u), far)


declare(sp.ellipk, lambda g, out, m: g * _first_kind(m, 1 - m), inputs=drawn(BELOW_1))
declare(sp.ellipkm1, lambda g, out, p: -g * _first_kind(1 - p, p), inputs=drawn((0.1, 3.0)))
declare(sp.ellipe, lambda g, out, m: g * _second_kind(m), inputs=drawn(BELOW_1))
declare(
    sp.ellipkinc,
    lambda g, out, phi, m: g / np.sqrt(1 - m * np.sin(phi) ** 2),
    None,
    inputs=drawn(ANY, [-1.5, 0.0, 0.7]),
)
declare(
    sp.ellipeinc,
    lambda g, out, phi, m: g * np.sqrt(1 - m * np.sin(phi) ** 2),
    None,
    inputs=drawn(ANY, [-1.5, 0.0, 0.7]),
)
