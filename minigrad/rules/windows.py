"""The windows of a batch of images, for convolution and pooling; and windows added up to images, its adjoint.

In memory the examples come last: what an offset in a kernel reads for all examples lies in long runs, and the windows
are the columns of a matrix without being moved.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .overriding import whole
from .table import Arguments, Draw, declare

Pair = tuple[int, int]
EXAMPLES_AT_ONCE = 8
ENTRIES_AT_ONCE = 2**18


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
    return _windows_of(_padded(x, pad), windows_along(x.shape, kernel, stride, pad), kernel, stride)


def _padded(x: Any, pad: int) -> Any:
    """Return images with zeros on each side, examples last."""
    if not pad:
        return examples_last(x)
    n, channels, height, width = x.shape
    padded = np.zeros((channels, height + 2 * pad, width + 2 * pad, n), x.dtype)
    _fill_examples_last(padded[:, pad : pad + height, pad : pad + width], x)
    return padded


def _windows_of(padded: Any, out: Pair, kernel: Pair, stride: int) -> Any:
    """Return the first windows of padded images, as many as are told."""
    parts = np.empty((kernel[0] * kernel[1], len(padded), *out, padded.shape[-1]), padded.dtype)
    for k, rows, columns in _offsets(out, kernel, stride):
        parts[k] = padded[:, rows, columns]
    return parts


def _bands(shape: tuple[int, ...], kernel: Pair, stride: int, pad: int) -> Iterator[tuple[int, Pair, slice]]:
    """Yield windows of images, those of a few rows at a time: the first row, how many of both ways, which columns."""
    n, channels = shape[:2]
    height, width = windows_along(shape, kernel, stride, pad)
    step = max(ENTRIES_AT_ONCE // max(kernel[0] * kernel[1] * channels * width * n, 1), 1)
    for top in range(0, height, step):
        rows = min(step, height - top)
        yield stride * top, (rows, width), slice(top * width * n, (top + rows) * width * n)


def _columns(x: Any, kernel: Pair, stride: int, pad: int) -> Iterator[tuple[slice, Any]]:
    """Yield the windows of images as columns of a matrix, a few at a time, and which columns they are."""
    padded = _padded(x, pad)
    for top, out, band in _bands(x.shape, kernel, stride, pad):
        parts = _windows_of(padded[:, top:], out, kernel, stride)
        yield band, parts.reshape(len(parts) * x.shape[1], band.stop - band.start)


@whole(memory="new")
def product_with_windows(w: Any, x: Any, kernel: Pair, stride: int, pad: int = 0) -> Any:
    """Return ``w @ columns``, the columns those of `windows`, of which a few are in memory at a time.

    Parameters
    ----------
    w : ndarray of shape (F, kh kw C)
    x : ndarray of shape (N, C, H, W)
    kernel, stride, pad
        As in `windows`.

    Returns
    -------
    ndarray of shape (F, H' W' N)
    """
    places = math.prod(windows_along(x.shape, kernel, stride, pad)) * len(x)
    out = np.empty((len(w), places), np.result_type(w, x))
    for band, columns in _columns(x, kernel, stride, pad):
        out[:, band] = w @ columns
    return out


@whole(memory="new")
def rows_with_windows(rows: Any, x: Any, kernel: Pair, stride: int, pad: int = 0) -> Any:
    """Return ``rows @ columns.T``, of shape (F, kh kw C), of rows of shape (F, H' W' N); else as the product above."""
    out = np.zeros((len(rows), kernel[0] * kernel[1] * x.shape[1]), np.result_type(rows, x))
    for band, columns in _columns(x, kernel, stride, pad):
        out += (columns @ rows[:, band].T).T
    return out


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
    """Return `add_windows` of ``w.T @ rows``, of which a few columns are in memory at a time.

    Parameters
    ----------
    w : ndarray of shape (F, kh kw C)
    rows : ndarray of shape (F, H' W' N)
    shape, kernel, stride, pad
        As in `add_windows`.
    """
    n, channels, height, width = shape
    padded = np.zeros((channels, height + 2 * pad, width + 2 * pad, n), np.result_type(w, rows))
    for top, out, band in _bands(shape, kernel, stride, pad):
        parts = (w.T @ rows[:, band]).reshape(kernel[0] * kernel[1], channels, *out, n)
        for k, down, across in _offsets(out, kernel, stride):
            padded[:, top:][:, down, across] += parts[k]
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


def _filters_inputs(draw: Draw) -> Arguments:
    (x,), options = _windows_inputs(draw)
    kernel = options["kernel"]
    return (draw.array((draw.integer(0, 2), kernel[0] * kernel[1] * x.shape[1])), x), options


def _rows_inputs(draw: Draw) -> Arguments:
    (x,), options = _windows_inputs(draw)
    places = math.prod(windows_along(x.shape, **options)) * len(x)
    return (draw.array((draw.integer(0, 2), places)), x), options


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
    lambda g, out, w, rows, shape, kernel, stride, pad=0: rows_with_windows(rows, g, kernel, stride, pad),
    lambda g, out, w, rows, shape, kernel, stride, pad=0: product_with_windows(w, g, kernel, stride, pad),
    inputs=_product_inputs,
)
declare(
    product_with_windows,
    lambda g, out, w, x, kernel, stride, pad=0: rows_with_windows(g, x, kernel, stride, pad),
    lambda g, out, w, x, kernel, stride, pad=0: add_windows_of_product(w, g, x.shape, kernel, stride, pad),
    inputs=_filters_inputs,
)
declare(
    rows_with_windows,
    lambda g, out, rows, x, kernel, stride, pad=0: product_with_windows(g, x, kernel, stride, pad),
    lambda g, out, rows, x, kernel, stride, pad=0: add_windows_of_product(
        g, rows, x.shape, kernel, stride, pad
    ),
    inputs=_rows_inputs,
)
