"""Mistakes that have a layer's structure: the taps of a convolution, groups of channels, masks, channel factors."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ..engine.recording import Array
from .evidence import Evidence, Hypothesis, equal


def _channel_factor(e: Evidence) -> str | None:
    """A factor that belongs to an axis which is not the last, as gamma to the channels of images."""
    for name, array in e.arrays.items():
        if array.dtype.kind != "f" or array.ndim != 1 or array.size < 2:
            continue
        for axis, length in enumerate(e.right.shape[:-1]):
            if length != array.size:
                continue
            factor = array.reshape(-1, *[1] * (e.right.ndim - axis - 1))
            for got, right, told in (
                (e.got, e.right * factor, "too many"),
                (e.got * factor, e.right, "missing"),
            ):
                if equal(got, right):
                    return f"a factor {name} {told}, along axis {axis}"
    return None


def _taps(e: Evidence) -> str | None:
    """The taps of a kernel in reverse, or one of them left out: entries of the Jacobian along its diagonals."""
    if e.terms is None or not e.dout.ndim or not e.right.ndim or not e.terms.size:
        return None
    out = e.dout.ndim
    summed = tuple(range(out))
    dout = e.dout.reshape(e.dout.shape + (1,) * e.right.ndim)
    jacobian = e.terms / np.where(dout == 0, 1, dout)
    for count in range(1, min(out, e.right.ndim, 2) + 1):
        axes = (*range(out - count, out), *range(-count, 0))
        if equal(e.got, (dout * np.flip(jacobian, axes)).sum(axis=summed)):
            return "reversed taps: the kernel is flipped, or is to be"
    rows, columns = e.dout.shape[-1], e.right.shape[-1]
    apart = np.arange(columns) - np.arange(rows)[:, None]
    for offset in np.unique(apart) if rows > 1 and columns > 1 else ():
        tap = (apart == offset).reshape(*[1] * (out - 1), rows, *[1] * (e.right.ndim - 1), columns)
        if equal(e.right - e.got, (e.terms * tap).sum(axis=summed)):
            return f"a tap missing: what input i + {offset} along the last axis gives to output i"
    return None


def _views(x: Array) -> list[tuple[str, Any]]:
    """Sets of entries that may share a mean, as rows, the longest first: along several axes, in groups of channels."""
    found = []
    for count in range(2, x.ndim + 1):
        for axes in itertools.combinations(range(x.ndim), count):
            order = (*[axis for axis in range(x.ndim) if axis not in axes], *axes)
            length = math.prod(x.shape[axis] for axis in axes)
            found.append((length, f"over axes {', '.join(map(str, axes))}", order))
    for groups in range(2, x.shape[1]) if x.ndim > 2 else ():
        if x.shape[1] % groups == 0:
            length = math.prod(x.shape[1:]) // groups
            found.append((length, f"over each of {groups} groups of channels", tuple(range(x.ndim))))
    found.sort(key=lambda each: -each[0])
    return [
        (told, lambda y, order=order, length=length: np.transpose(y, order).reshape(-1, length))
        for length, told, order in found
        if length > 2
    ]


def _group_terms(e: Evidence) -> str | None:
    """A mean's or a variance's term, where the mean is over several axes, or over a group of channels."""
    residual = e.got - e.right
    arrays = [(n, x) for n, x in e.arrays.items() if x.shape == residual.shape and x.dtype.kind == "f"]
    found = ""
    for told, rows in _views(residual):
        rest = rows(residual)
        mean = rest.mean(axis=1, keepdims=True)
        if equal(np.broadcast_to(mean, rest.shape), rest):
            return f"one term missing: {told} wrong by something constant (a mean's contribution)"
        for name, array in arrays:
            centred = rows(array) - rows(array).mean(axis=1, keepdims=True)
            share = np.sum(centred * (rest - mean), 1, keepdims=True) / np.sum(centred**2, 1, keepdims=True)
            if equal(share * centred, rest):
                what = f"{told} wrong in proportion to {name} less its mean"
                return f"one term missing: {what} (a variance's contribution)"
            if not found and rest.shape[1] > 3 and equal(share * centred + mean, rest):
                what = f"{told} wrong by a constant and a multiple of {name}"
                found = f"terms missing: {what} (a mean's contribution and a variance's)"
    return found or None


def _mask_of_dout(e: Evidence) -> str | None:
    """``dout`` used without the output's mask."""
    out = e.arrays.get("the output")
    if out is None or out.shape != e.dout.shape or out.ndim < 1:
        return None
    masked = e.dout * (out > 0)
    if not np.any(masked != e.dout):
        return None
    for axes in (axes for n in range(1, out.ndim + 1) for axes in itertools.combinations(range(out.ndim), n)):
        if equal(e.right, masked.sum(axis=axes)) and equal(e.got, e.dout.sum(axis=axes)):
            return "a mask forgotten: dout where dout times (the output > 0) is meant"
    for array in e.arrays.values() if out.ndim == 2 else ():
        if array.ndim != 2 or array.dtype.kind != "f":
            continue
        for factor in (array, array.T):
            right, got = _either_product(masked, factor, e.right), _either_product(e.dout, factor, e.got)
            if right and got:
                return "a mask forgotten: dout where dout times (the output > 0) is meant"
    return None


def _either_product(x: Array, factor: Array, product: Array) -> bool:
    """Tell whether a product of two matrices, in one order or the other, is this one."""
    return (x.shape[1] == len(factor) and equal(product, x @ factor)) or (
        factor.shape[1] == len(x) and equal(product, factor @ x)
    )


STRUCTURES: tuple[Hypothesis, ...] = (_channel_factor, _mask_of_dout, _taps, _group_terms)
