"""Rules of the Bessel and Airy functions.

With respect to the order none is known in closed form. The derivative is half of the neighbours' difference or sum,
which has no pole at 0, unlike the forms with a quotient (Abramowitz & Stegun 1964, 9.1.27, 9.6.26).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special as sp

from ..elementwise import ABOVE_ZERO, ANY
from .table import declare, drawn, several

ORDERS = [0, 1, 2, 0.5, 2.5]
WHOLE = [0, 1, 3]


def slope(f: Any, v: Any, z: Any, sign: int) -> Any:
    """Return half of f(v - 1, z) plus or minus f(v + 1, z)."""
    return (f(v - 1, z) + sign * f(v + 1, z)) / 2


declare(sp.j0, lambda g, out, x: -g * sp.j1(x), inputs=drawn(ANY))
declare(sp.j1, lambda g, out, x: g * (sp.j0(x) - sp.jv(2.0, x)) / 2, inputs=drawn(ANY))
declare(sp.jv, None, lambda g, out, v, z: g * slope(sp.jv, v, z, -1), inputs=drawn(ORDERS, ABOVE_ZERO))
declare(sp.jve, None, lambda g, out, v, z: g * slope(sp.jve, v, z, -1), inputs=drawn(ORDERS, ABOVE_ZERO))
declare(sp.y0, lambda g, out, x: -g * sp.y1(x), inputs=drawn(ABOVE_ZERO))
declare(sp.y1, lambda g, out, x: g * (sp.y0(x) - sp.yv(2.0, x)) / 2, inputs=drawn(ABOVE_ZERO))
declare(sp.yn, None, lambda g, out, n, x: g * slope(sp.yn, n, x, -1), inputs=drawn(WHOLE, ABOVE_ZERO))
declare(sp.yv, None, lambda g, out, v, z: g * slope(sp.yv, v, z, -1), inputs=drawn(ORDERS, ABOVE_ZERO))
declare(sp.yve, None, lambda g, out, v, z: g * slope(sp.yve, v, z, -1), inputs=drawn(ORDERS, ABOVE_ZERO))

declare(sp.i0, lambda g, out, x: g * sp.i1(x), inputs=drawn(ANY))
declare(sp.i1, lambda g, out, x: g * (sp.i0(x) + sp.iv(2.0, x)) / 2, inputs=drawn(ANY))
declare(sp.iv, None, lambda g, out, v, z: g * slope(sp.iv, v, z, 1), inputs=drawn(ORDERS, ABOVE_ZERO))
declare(sp.k0, lambda g, out, x: -g * sp.k1(x), inputs=drawn(ABOVE_ZERO))
declare(sp.k1, lambda g, out, x: -g * (sp.k0(x) + sp.kv(2.0, x)) / 2, inputs=drawn(ABOVE_ZERO))
declare(sp.kn, None, lambda g, out, n, x: -g * slope(sp.kn, n, x, 1), inputs=drawn(WHOLE, ABOVE_ZERO))
declare(sp.kv, None, lambda g, out, v, z: -g * slope(sp.kv, v, z, 1), inputs=drawn(ORDERS, ABOVE_ZERO))

# -- scaled by exp(-abs(x)), which has a kink at 0, and by exp(x) ------------------------------------------------------

declare(sp.i0e, lambda g, out, x: g * (sp.i1e(x) - np.sign(x) * out), inputs=drawn(ANY))
declare(
    sp.i1e,
    lambda g, out, x: g * ((sp.i0e(x) + sp.ive(2.0, x)) / 2 - np.sign(x) * out),
    inputs=drawn(ANY),
)
declare(
    sp.ive,
    None,
    lambda g, out, v, z: g * (slope(sp.ive, v, z, 1) - np.sign(z) * out),
    inputs=drawn(ORDERS, ABOVE_ZERO),
)
declare(sp.k0e, lambda g, out, x: g * (out - sp.k1e(x)), inputs=drawn(ABOVE_ZERO))
declare(sp.k1e, lambda g, out, x: g * (out - (sp.k0e(x) + sp.kve(2.0, x)) / 2), inputs=drawn(ABOVE_ZERO))
declare(
    sp.kve, None, lambda g, out, v, z: g * (out - slope(sp.kve, v, z, 1)), inputs=drawn(ORDERS, ABOVE_ZERO)
)


def _airy(g: Any, out: Any, x: Any) -> Any:
    """Ai', x Ai, Bi' and x Bi."""
    return g[0] * out[1] + g[1] * x * out[0] + g[2] * out[3] + g[3] * x * out[2]


several(sp.airy, _airy, inputs=drawn(ANY))
