"""Rules of numpy.fft: the discrete Fourier transforms, with any length, axes and norm.

A transform is linear and its matrix symmetric: the rule of `numpy.fft.fft` is `numpy.fft.fft` with the same norm, and
what the forward cropped or padded with zeros is padded or cropped. Of a real signal the spectrum is Hermitian, and half
of it is stored: an inner frequency stands for two, and frequency 0 (and n / 2, for even n) for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .table import Arguments, Draw, Rule, declare

NORMS = (None, "backward", "ortho", "forward")


def _fitted(x: Any, shape: tuple[int, ...]) -> Any:
    """Crop x, or pad it with zeros, to a shape."""
    if x.shape != shape:
        x = x[tuple([slice(n) for n in shape])]
    if x.shape != shape:
        x = np.pad(x, [(0, n - m) for n, m in zip(shape, x.shape, strict=True)])
    return x


def _weights(g: Any, n: int, axis: int, inner: float) -> Any:
    """Return the weights of the half spectrum of n points: ``inner`` where a frequency stands for two, else 1."""
    weights = np.full(n // 2 + 1, inner, g.dtype.type(0).real.dtype)
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    return np.reshape(weights, [-1 if i == axis % g.ndim else 1 for i in range(g.ndim)])


# -- along one axis --------------------------------------------------------------------------------------------------


def _inputs(draw: Draw, least: int = 1, longest: int = 6) -> Arguments:
    """Draw an array with an axis of at least so many entries, and a length."""
    shape = list(draw.shape(max_ndim=2))
    axis = draw.integer(0, len(shape))
    shape.insert(axis, draw.integer(least, 5))
    x = draw.array(tuple(shape))
    if axis == len(shape) - 1 and draw.choice([False, True]):  # by default the last
        return (x,), {}
    axis -= draw.choice([0, len(shape)])
    return (x,), {
        "n": draw.choice([None, 1, 2, *range(1, longest + 1)]),
        "axis": axis,
        "norm": draw.choice(NORMS),
    }


def _half_inputs(draw: Draw) -> Arguments:
    """Draw half a spectrum: of one entry, a signal would by default have none."""
    return _inputs(draw, 2, 9)


def _from_whole(transform: Callable[..., Any]) -> Rule:
    """Make the rule of a transform of a whole spectrum: the same transform."""

    def rule(g: Any, out: Any, a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
        return _fitted(transform(g, axis=axis, norm=norm), a.shape)

    return rule


def _to_half(back: Callable[..., Any]) -> Rule:
    """Make the rule of a transform to half a spectrum: one back, which counts inner frequencies twice."""

    def rule(g: Any, out: Any, a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
        n = a.shape[axis] if n is None else n
        return _fitted(back(g * _weights(g, n, axis, 0.5), n, axis, norm), a.shape)

    return rule


def _from_half(there: Callable[..., Any]) -> Rule:
    """Make the rule of a transform from half a spectrum: one to half a spectrum."""

    def rule(g: Any, out: Any, a: Any, n: Any = None, axis: int = -1, norm: Any = None) -> Any:
        half = there(g, axis=axis, norm=norm)
        return _fitted(half * _weights(half, out.shape[axis], axis, 2.0), a.shape)

    return rule


_rfft, _irfft = _to_half(np.fft.hfft), _from_half(np.fft.ihfft)

declare(np.fft.fft, _from_whole(np.fft.fft), inputs=_inputs, memory="new")
declare(np.fft.ifft, _from_whole(np.fft.ifft), inputs=_inputs, memory="new")
declare(np.fft.rfft, _rfft, inputs=_inputs, memory="new")
declare(np.fft.irfft, _irfft, inputs=_half_inputs, memory="new")
declare(np.fft.hfft, _from_half(np.fft.rfft), inputs=_half_inputs, memory="new")
declare(np.fft.ihfft, _to_half(np.fft.irfft), inputs=_inputs, memory="new")


# -- along several axes ----------------------------------------------------------------------------------------------


def _several(draw: Draw) -> Arguments:
    """Draw an array, axes in any order, and their lengths."""
    x = draw.array(tuple([draw.integer(2, 3) for _ in range(draw.integer(2, 3))]))
    if draw.choice([False, False, True]):
        return (x,), {}
    count = draw.integer(1, x.ndim)
    axes = draw.choice([range(-count, 0), range(count), range(count)[::-1]])
    s = draw.choice([None, [draw.choice([-1, 2, 3, 4, 5]) for _ in range(count)]])
    return (x,), {"s": s, "axes": tuple(axes), "norm": draw.choice(NORMS)}


def _axes(a: Any, s: Any, axes: Any) -> list[int]:
    """Normalize the axes of a call."""
    if axes is None:
        axes = range(-a.ndim if s is None else -len(s), 0)
    return [int(axis) % a.ndim for axis in axes]


def _each_once(function: Any, default: Any) -> Callable[..., Any]:
    """Make the forward of a transform along several axes; a repeated axis is refused."""

    def forward(a: Any, s: Any = None, axes: Any = default, norm: Any = None) -> Any:
        out = function(a, s, axes, norm)
        counted = _axes(a, s, axes)
        if len(set(counted)) < len(counted):
            raise TypeError(
                f"numpy.fft.{function.__name__}: no backward rule with an axis twice, axes={tuple(axes)}; write a call "
                "for each"
            )
        return out

    return forward


def _from_whole_n(transform: Callable[..., Any], default: Any) -> Rule:
    """Make the rule of a transform of a whole spectrum: the same transform."""

    def rule(g: Any, out: Any, a: Any, s: Any = None, axes: Any = default, norm: Any = None) -> Any:
        return _fitted(transform(g, axes=_axes(a, s, axes), norm=norm), a.shape)

    return rule


def _rfftn(default: Any) -> Rule:
    """Make the rule of what is rfft along the last axis, then fft along the others."""

    def rule(g: Any, out: Any, a: Any, s: Any = None, axes: Any = default, norm: Any = None) -> Any:
        *others, last = _axes(a, s, axes)
        n = None if s is None or s[-1] == -1 else s[-1]
        return _rfft(np.fft.fftn(g, axes=others, norm=norm), out, a, n, last, norm)

    return rule


def _irfftn(default: Any) -> Rule:
    """Make the rule of what is ifft along all axes but the last, then irfft along that."""

    def rule(g: Any, out: Any, a: Any, s: Any = None, axes: Any = default, norm: Any = None) -> Any:
        *others, last = _axes(a, s, axes)
        half = np.fft.ihfft(g, axis=last, norm=norm)
        half = half * _weights(half, out.shape[last], last, 2.0)
        return _fitted(np.fft.ifftn(half, axes=others, norm=norm), a.shape)

    return rule


PLANE = (-2, -1)
for _function, _rule, _default in (
    (np.fft.fftn, _from_whole_n(np.fft.fftn, None), None),
    (np.fft.fft2, _from_whole_n(np.fft.fftn, PLANE), PLANE),
    (np.fft.ifftn, _from_whole_n(np.fft.ifftn, None), None),
    (np.fft.ifft2, _from_whole_n(np.fft.ifftn, PLANE), PLANE),
    (np.fft.rfftn, _rfftn(None), None),
    (np.fft.rfft2, _rfftn(PLANE), PLANE),
    (np.fft.irfftn, _irfftn(None), None),
    (np.fft.irfft2, _irfftn(PLANE), PLANE),
):
    declare(_function, _rule, inputs=_several, forward=_each_once(_function, _default))


# -- the order of frequencies ----------------------------------------------------------------------------------------


def _shifted(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1))
    return (x,), {"axes": draw.choice([None, *range(-x.ndim, x.ndim), tuple(range(x.ndim))])}


declare(
    np.fft.fftshift, lambda g, out, x, axes=None: np.fft.ifftshift(g, axes), inputs=_shifted, memory="new"
)
declare(
    np.fft.ifftshift, lambda g, out, x, axes=None: np.fft.fftshift(g, axes), inputs=_shifted, memory="new"
)
