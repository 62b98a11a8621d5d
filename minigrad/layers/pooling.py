"""Pooling of images: the maximum, or the mean, of each window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..engine.arguments import takes_arrays
from ..engine.layer import layer
from ..engine.recording import Array
from ..rules.table import Arguments, Draw
from ..rules.windows import add_windows, windows, windows_along
from .convolution import check_windows, checked_steps, draw_images
from .parameters import check_dout, check_keys

Param = Mapping[str, Any]
_KEYS = frozenset({"pool_height", "pool_width", "stride"})


@takes_arrays
def max_pool_forward(x: Array, pool_param: Param) -> tuple[Array, Any]:
    """Take the maximum of each window of each channel.

    Parameters
    ----------
    x : ndarray of shape (N, C, H, W)
    pool_param : dict
        ``pool_height``, ``pool_width`` and ``stride``, the step from window to window; each is 2 by default.

    Returns
    -------
    out : ndarray of shape (N, C, H', W')
        H' = 1 + (H - pool_height) // stride, W' alike.
    cache : tuple

    Raises
    ------
    ValueError
        If the windows do not fit, a number is not positive, or ``pool_param`` has other keys.
    """
    geometry = _checked("max_pool", x, pool_param)
    parts = windows(x, *geometry)
    out = parts.max(axis=0)
    return out.transpose(3, 0, 1, 2), (x.shape, parts, out, geometry)


@takes_arrays
def max_pool_backward(dout: Array, cache: Any) -> Array:
    """Compute the gradient of `max_pool_forward`, of x's shape: entries that tie for a maximum share it equally."""
    shape, parts, out, geometry = cache
    _check_dout("max_pool_backward", dout, shape, *geometry)
    wins = np.equal(parts, out)
    share = dout.transpose(1, 2, 3, 0) / wins.sum(axis=0, dtype=dout.dtype)
    dx: Array = add_windows(wins * share, shape, *geometry)
    return dx


@takes_arrays
def avg_pool_forward(x: Array, pool_param: Param) -> tuple[Array, Any]:
    """Take the mean of each window of each channel; parameters, shapes and errors as of `max_pool_forward`."""
    geometry = _checked("avg_pool", x, pool_param)
    parts = windows(x, *geometry)
    return parts.mean(axis=0).transpose(3, 0, 1, 2), (x.shape, len(parts), geometry)


@takes_arrays
def avg_pool_backward(dout: Array, cache: Any) -> Array:
    """Compute the gradient of `avg_pool_forward`, of x's shape."""
    shape, count, geometry = cache
    _check_dout("avg_pool_backward", dout, shape, *geometry)
    share = dout.transpose(1, 2, 3, 0) / count
    dx: Array = add_windows(np.broadcast_to(share, (count, *share.shape)), shape, *geometry)
    return dx


max_pool_forward_naive = max_pool_forward_fast = max_pool_forward
max_pool_backward_naive = max_pool_backward_fast = max_pool_backward


def _checked(name: str, x: Array, pool_param: Param) -> tuple[tuple[int, int], int]:
    """Return the window and the stride; raise ValueError if they do not fit."""
    check_keys(f"{name}: pool_param", pool_param, _KEYS)
    names = [("pool_height", 2, 1), ("pool_width", 2, 1), ("stride", 2, 1)]
    height, width, stride = checked_steps(name, pool_param, names)
    check_windows(name, x.shape, (height, width))
    return (height, width), stride


def _check_dout(name: str, dout: Array, shape: tuple[int, ...], window: tuple[int, int], stride: int) -> None:
    """Refuse an output's gradient of another shape than that of the pooled images of a shape."""
    check_dout(name, dout, (*shape[:2], *windows_along(shape, window, stride, pad=0)))


def _pool_inputs(draw: Draw) -> Arguments:
    kernel = draw.integer(1, 2), draw.integer(1, 3)
    sizes = {"pool_height": kernel[0], "pool_width": kernel[1], "stride": draw.integer(1, 2)}
    return (draw_images(draw, kernel),), {"pool_param": sizes}


max_pool = layer(max_pool_forward, max_pool_backward, inputs=_pool_inputs)
avg_pool = layer(avg_pool_forward, avg_pool_backward, linear=True, inputs=_pool_inputs)
