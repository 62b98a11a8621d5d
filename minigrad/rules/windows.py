"""The windows of a batch of images, for convolution and pooling; and windows added up to images, its adjoint.

In memory the examples come last: what an offset in a kernel reads for all examples lies in long runs, and the windows
are the columns of a matrix without being moved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .table import Arguments, Draw, declare, whole

Pair = tuple[int, int]
EXAMPLES_AT_ONCE = 8
COLUMNS_AT_ONCE = 100


def windows_along(shape: tuple[int, ...], kernel: Pair, stride: int, pad: int) -> Pair:
    """Return how many windows there are along the height and the width of images of a shape."""
    height, width = shape[-2:]
    return (height + 2 * pad - kernel[0]) // stride + 1, (width + 2 * pad - kernel[1]) // stride + 1


def _offsets(out: Pair, kernel: Pair, stride: int) -> Iterator[tuple[int, slice, slice]]:
    """Yield the offsets in a kernel: their number, and the rows and columns that they meet, window by window."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = slice(i, i + stride * (out[0] - 1) + 1, stride)
            yield i * kernel[1] + j, rows, slice(j, j + stride * (out[1] - 1) + 1, stride)


@whole()
def examples_last(x: Any) -> Any:
    """Return images, (N, C, H, W), as a contiguous array of shape (C, H, W, N); a view, where they lie so already."""
    last = x.transpose(1, 2, 3, 0)
    if last.flags.c_contiguous:
        return last
    out = np.empty(last.shape, x.dtype)
    _fill_examples_last(out, x)
    return out


def _fill_examples_last(out: Any, x: Any) -> None:
    """Write images into an array of shape (C, H, W, N), a few examples at a time, whose rows stay in the cache."""
    step = EXAMPLES_AT_ONCE if x.strides[0] > x.strides[-1] else max(len(x), 1)
    for n in range(0, len(x), step):
        out[..., n : n + step] = x[n : n + step].transpose(1, 2, 3, 0)


@whole(memory="new")
def windows(x: Any, kernel: Pair, stride: int, pad: int = 0) -> Any:
    """Return the windows of images, offset by offset.

    Parameters
    ----------
    x : ndarray of shape (N, C, H, W)
    kernel : (kh, kw)
    stride : int
    pad : int
        The zeros on each side of an image.

    Returns
    -------
    ndarray of shape (kh kw, C, H', W', N)
        A copy; H' and W' are the numbers of windows.
    """
    n, channels, height, width = x.shape
    if pad:
        padded = np.zeros((channels, height + 2 * pad, width + 2 * pad, n), x.dtype)
        _fill_examples_last(padded[:, pad : pad + height, pad : pad + width], x)
    else:
        padded = examples_last(x)
    out = windows_along(x.shape, kernel, stride, pad)
    parts = np.empty((kernel[0] * kernel[1], channels, *out, n), x.dtype)
    for k, rows, columns in _offsets(out, kernel, stride):
        parts[k] = padded[:, rows, columns]
    return parts


@whole(memory="new")
def add_windows(parts: Any, shape: tuple[int, ...], kernel: Pair, stride: int, pad: int = 0) -> Any:
    """Return images of a shape in which each entry is the sum of those that `windows` copies it to."""
    n, channels, height, width = shape
    padded = np.zeros((channels, height + 2 * pad, width + 2 * pad, n), parts.dtype)
    for k, rows, columns in _offsets(windows_along(shape, kernel, stride, pad), kernel, stride):
        padded[:, rows, columns] += parts[k]
    return padded[:, pad : pad + height, pad : pad + width].transpose(3, 0, 1, 2)


@whole(memory="new")
def add_windows_of_product(
    w: Any, rows: Any, shape: tuple[int, ...], kernel: Pair, stride: int, pad: int = 0
) -> Any:
    """Return `add_windows` of ``w.T @ rows``, of which no more than a few offsets are in memory at a time.

    Parameters
    ----------
    w : ndarray of shape (F, kh kw C)
    rows : ndarray of shape (F, H' W' N)
    shape, kernel, stride, pad
        As in `add_windows`.
    """
    n, channels, height, width = shape
    out, offsets = windows_along(shape, kernel, stride, pad), kernel[0] * kernel[1]
    padded = np.zeros((channels, height + 2 * pad, width + 2 * pad, n), np.result_type(w, rows))
    step = max(COLUMNS_AT_ONCE // max(channels, 1), 1)
    for k, down, across in _offsets(out, kernel, stride):
        if k % step == 0:
            product = w[:, k * channels : (k + step) * channels].T @ rows
            parts = product.reshape(min(step, offsets - k), channels, *out, n)
        padded[:, down, across] += parts[k % step]
    return padded[:, pad : pad + height, pad : pad + width].transpose(3, 0, 1, 2)


def _geometry(draw: Draw) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Draw the shape of images, and options of `windows` that fit them."""
    kernel, pad = (draw.integer(1, 2), draw.integer(1, 3)), draw.integer(0, 2)
    sides = [draw.integer(max(1, k - 2 * pad), 4) for k in kernel]
    shape = (draw.integer(0, 2), draw.integer(1, 2), *sides)
    return shape, {"kernel": kernel, "stride": draw.integer(1, 2), "pad": pad}


def _windows_inputs(draw: Draw) -> Arguments:
    shape, options = _geometry(draw)
    return (draw.array(shape),), options


def _add_windows_inputs(draw: Draw) -> Arguments:
    shape, options = _geometry(draw)
    kernel = options["kernel"]
    parts = (kernel[0] * kernel[1], shape[1], *windows_along(shape, **options), shape[0])
    return (draw.array(parts),), {"shape": shape, **options}


def _product_inputs(draw: Draw) -> Arguments:
    (parts,), options = _add_windows_inputs(draw)
    filters = draw.integer(0, 2)
    w = draw.array((filters, parts.shape[0] * parts.shape[1]))
    return (w, draw.array((filters, math.prod(parts.shape[2:])))), options


def _images(draw: Draw) -> Arguments:
    return (draw.array(_geometry(draw)[0]),), {}


declare(examples_last, lambda g, out, x: g.transpose(3, 0, 1, 2), inputs=_images)
declare(
    windows,
    lambda g, out, x, kernel, stride, pad=0: add_windows(g, x.shape, kernel, stride, pad),
    inputs=_windows_inputs,
)
declare(
    add_windows,
    lambda g, out, parts, shape, kernel, stride, pad=0: windows(g, kernel, stride, pad),
    inputs=_add_windows_inputs,
)
declare(
    add_windows_of_product,
    lambda g, out, w, rows, shape, kernel, stride, pad=0: (
        rows @ windows(g, kernel, stride, pad).reshape(w.shape[1], rows.shape[1]).T
    ),
    lambda g, out, w, rows, shape, kernel, stride, pad=0: (
        w @ windows(g, kernel, stride, pad).reshape(w.shape[1], rows.shape[1])
    ),
    inputs=_product_inputs,
)
