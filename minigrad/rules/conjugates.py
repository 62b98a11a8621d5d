"""Rules of the parts of complex numbers, and the conjugates that other rules use.

In a rule, the gradient g of a complex z = x + iy is ``dL/dx - i dL/dy``, for which ``dL = Re(g dz)``: the rule of a
holomorphic function is g times the derivative, as for real numbers. The tape conjugates what it hands out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .overriding import whole
from .table import Arguments, Draw, declare


def conj(x: Any) -> Any:
    """Return the complex conjugate; real numbers as they are."""
    return np.conj(x) if type(x) is complex or (hasattr(x, "dtype") and x.dtype.kind == "c") else x


def adjoint(x: Any) -> Any:
    """Return the conjugate transpose of each matrix."""
    return conj(x.mT)


def real(x: Any) -> Any:
    """Return the real part; real numbers as they are."""
    return np.real(x) if x.dtype.kind == "c" else x


def complex_inputs(draw: Draw) -> Arguments:
    """Draw one complex operand."""
    x = draw.array(low=-2.0, high=2.0)
    return (np.asarray(x + 1j * draw.array(x.shape)),), {}


declare(np.conj, lambda g, out, x: conj(g), inputs=complex_inputs)
declare(
    np.real,
    lambda g, out, val: g,
    forward=lambda val: np.real(val)[...],  # a view, where NumPy's may be the array itself
    inputs=complex_inputs,
)
declare(
    np.imag,
    lambda g, out, val: np.multiply(g, -1j),
    forward=lambda val: np.imag(val)[...],
    inputs=complex_inputs,
)


@whole(memory="new")
def of_parts(re: Any, im: Any) -> Any:
    """Return complex numbers of two parts; in a sum of them a part that is infinite would make NaN of the other."""
    if re.dtype.kind == "c" or im.dtype.kind == "c":
        raise TypeError("z.real = part and z.imag = part: the part is complex; give np.real of it")
    out = np.empty(np.broadcast_shapes(re.shape, im.shape), np.result_type(re.dtype, im.dtype, np.complex64))
    out.real, out.imag = re, im
    return out


def _parts_inputs(draw: Draw) -> Arguments:
    x = draw.array()
    return (x, draw.array(x.shape)), {}


declare(of_parts, lambda g, out, re, im: g, lambda g, out, re, im: np.multiply(g, 1j), inputs=_parts_inputs)


def _angle(g: Any, out: Any, z: Any, deg: bool = False) -> Any:
    """The imaginary part of dz / z; 0 at 0."""
    zero = np.equal(z, 0)
    turned = np.multiply(g, -1j * (180 / np.pi if deg else 1))
    return np.where(zero, 0, turned / np.where(zero, 1, z))


declare(
    np.angle,
    _angle,
    inputs=lambda draw: (complex_inputs(draw)[0], {"deg": draw.choice([False, True])}),
    memory="new",
)
