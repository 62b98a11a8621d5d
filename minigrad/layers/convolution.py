"""Convolution of images: one product of matrices, with the windows of the images as columns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..engine.arguments import takes_arrays
from ..engine.layer import layer
from ..engine.recording import Array
from ..engine.scalars import as_int
from ..rules.table import Arguments, Draw
from ..rules.windows import (
    add_windows_of_product,
    examples_last,
    product_with_windows,
    rows_with_windows,
    windows_along,
)
from .affine import ALL
from .parameters import check_dout, check_keys

Param = Mapping[str, Any]
_KEYS = frozenset({"stride", "pad"})


@takes_arrays
def conv_forward(x: Array, w: Array, b: Array, conv_param: Param) -> tuple[Array, Any]:
    """Slide each filter over each image: out[n, f] at a place is the sum of w[f] times the window there, plus b[f].

    Parameters
    ----------
    x : ndarray of shape (N, C, H, W)
    w : ndarray of shape (F, C, kh, kw)
    b : ndarray of shape (F,)
    conv_param : dict
        ``stride``, the step from window to window, 1 by default; ``pad``, the zeros on each side of an image, 0 by
        default.

    Returns
    -------
    out : ndarray of shape (N, F, H', W')
        H' = 1 + (H + 2 pad - kh) // stride, W' alike. In memory the examples come last.
    cache : tuple

    Raises
    ------
    ValueError
        If the shapes do not fit, the stride is not positive, the pad negative, or ``conv_param`` has other keys.
    """
    kernel, stride, pad = _checked(x, w, b, conv_param)
    out = product_with_windows(_rows(w), x, kernel, stride, pad)
    if b.dtype == out.dtype:
        out += b[:, None]
    else:
        out = out + b[:, None]
    images = out.reshape(len(w), *windows_along(x.shape, kernel, stride, pad), len(x)).transpose(3, 0, 1, 2)
    return images, (x, w, (kernel, stride, pad))


@takes_arrays
def conv_backward(
    dout: Array, cache: Any, needs: Sequence[bool] = ALL
) -> tuple[Array | None, Array | None, Array | None]:
    """Compute the gradients of `conv_forward`.

    Parameters
    ----------
    dout : ndarray of shape (N, F, H', W')
    cache : tuple
    needs : three bools
        Which of the gradients are wanted; None stands for the others.

    Returns
    -------
    dx, dw, db : ndarrays of the shapes of x, w and b
    """
    x, w, geometry = cache
    filters, channels, *kernel = w.shape
    check_dout("conv_backward", dout, (len(x), filters, *windows_along(x.shape, *geometry)))
    rows = examples_last(dout).reshape(filters, math.prod(dout.shape[2:]) * len(dout))
    dx = dw = None
    if needs[0]:
        dx = add_windows_of_product(_rows(w), rows, x.shape, *geometry)
    if needs[1]:
        dw = rows_with_windows(rows, x, *geometry).reshape(filters, *kernel, channels).transpose(0, 3, 1, 2)
    return dx, dw, rows.sum(axis=1) if needs[2] else None


def _rows(w: Array) -> Array:
    """Return each filter as a row, in the order of the columns' entries: the offsets in the kernel, then channels."""
    return w.transpose(0, 2, 3, 1).reshape(len(w), -1)


conv_forward_naive = conv_forward_fast = conv_forward
conv_backward_naive = conv_backward_fast = conv_backward


def checked_steps(layer: str, param: Param, names: Sequence[tuple[str, int, int]]) -> list[int]:
    """Return integers of a dict, by names with defaults and minima; an error names an invalid one."""
    return [as_int(f"{layer}: {name}", param.get(name, default), least) for name, default, least in names]


def check_windows(layer: str, shape: tuple[int, ...], kernel: tuple[int, int], pad: int = 0) -> None:
    """Refuse arrays other than batches of images, and images smaller than a window."""
    if len(shape) != 4:
        raise ValueError(f"{layer}: x has shape {shape}; expected (N, C, H, W)")
    height, width = shape[2] + 2 * pad, shape[3] + 2 * pad
    if min(kernel) < 1 or kernel[0] > height or kernel[1] > width:
        raise ValueError(
            f"{layer}: windows of {kernel[0]} by {kernel[1]} do not fit into images of {height} by {width}"
            + (f", {pad} of padding on each side included" if pad else "")
        )


def _checked(x: Array, w: Array, b: Array, conv_param: Param) -> tuple[tuple[int, int], int, int]:
    check_keys("conv: conv_param", conv_param, _KEYS)
    stride, pad = checked_steps("conv", conv_param, [("stride", 1, 1), ("pad", 0, 0)])
    if w.ndim != 4:
        raise ValueError(f"conv: w has shape {w.shape}; expected (F, C, kh, kw)")
    check_windows("conv", x.shape, w.shape[2:], pad)
    if x.shape[1] != w.shape[1]:
        raise ValueError(f"conv: x has shape {x.shape} but w {w.shape}; w's second axis must be {x.shape[1]}")
    if b.shape != w.shape[:1]:
        raise ValueError(f"conv: b has shape {b.shape} but w {w.shape}; b's must be {w.shape[:1]}")
    return w.shape[2:], stride, pad


def draw_images(draw: Draw, kernel: tuple[int, int], pad: int = 0) -> Any:
    """Draw images into which a kernel fits."""
    sides = [draw.integer(max(1, k - 2 * pad), 4) for k in kernel]
    return draw.array((draw.integer(1, 2), draw.integer(1, 2), *sides))


def _conv_inputs(draw: Draw) -> Arguments:
    kernel, pad, filters = (draw.integer(1, 2), draw.integer(1, 3)), draw.integer(0, 1), draw.integer(1, 2)
    x = draw_images(draw, kernel, pad)
    w = draw.array((filters, x.shape[1], *kernel))
    return (x, w, draw.array((filters,))), {"conv_param": {"stride": draw.integer(1, 2), "pad": pad}}


conv = layer(conv_forward, conv_backward, inputs=_conv_inputs)
