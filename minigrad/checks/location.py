"""The location of a mismatch: the worst entry, with each way's value, and a map of all that are wrong."""

from __future__ import annotations

import numpy as np

from ..engine.recording import Array
from .comparison import Comparison
from .ways import ULPS

ROWS, COLUMNS = 8, 32
"""The size of the largest map, in marks."""


def located(compared: Comparison, k: int, wrong: Array) -> str:
    """Name the worst entry of input k's gradient, with each way's value, and draw where it is wrong."""
    index = _worst(compared, k, wrong)
    numbers = [(way, float(way.arrays[k][index])) for way in (compared.checked, *compared.ways)]
    values = [
        f"{way.name} {repr(x) if way.exact else f'{x:.8g}'}"
        for way, x in numbers
        if way is compared.checked or not np.isnan(x)
    ]
    error, allowed, against = _furthest(compared, k, index)
    lines = [
        f"{compared.name}: the gradient of input {compared.places[k]} is wrong at index {index}: {', '.join(values)}; "
        f"relative error {error:.3g}{against}, where {allowed:.1g} is allowed"
    ]
    slopes = compared.slopes[k]
    if slopes.parted[index]:
        left, right = slopes.left[index], slopes.right[index]
        lines.append(f"a kink: the slope to the left is {left:.6g}, that to the right {right:.6g}")
    lines += [compared.together[k]] if compared.together[k] else []
    return "\n".join([*lines, _map(wrong)])


def _worst(compared: Comparison, k: int, wrong: Array) -> tuple[int, ...]:
    """Return the index of the entry that is furthest from the right one, and take differences there."""
    apart = np.abs(compared.checked.arrays[k] - compared.right(k))
    apart = np.where(wrong, np.nan_to_num(apart, nan=np.inf), -1.0)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(apart)), apart.shape))
    if np.isnan(compared.slopes[k].value[index]):
        compared.look_at(k, [index])
    return index


def _furthest(compared: Comparison, k: int, index: tuple[int, ...]) -> tuple[float, float, str]:
    """Return the relative error of an entry, its tolerance, and the way that it disagrees with.

    The exact ways come first; the first of them is meant where none is named.
    """
    ours = float(compared.checked.arrays[k][index])
    found: list[tuple[float, float, str]] = []
    for way in sorted(compared.ways, key=lambda way: not way.exact):
        other = float(way.arrays[k][index])
        if not np.isnan(other):
            own = float(np.broadcast_to(way.errors[k], compared.arrays[k].shape)[index])
            size = max(abs(ours), abs(other), 1e-300)
            allowed = (ULPS * compared.allowed[k][index] + own) / size
            found.append((abs(ours - other) / size, allowed, f" against {way.name}" if found else ""))
    return next((each for each in found if not each[0] <= each[1]), found[0])


def _map(wrong: Array) -> str:
    """Draw a map of a wrong gradient: x for a wrong entry, a point for a right one; the first axis runs downwards.

    A large one is drawn in blocks, and a block is wrong if one of its entries is.
    """
    count = int(np.count_nonzero(wrong))
    if count == wrong.size:
        return "wrong: all" if count > 1 else "wrong: its one entry"
    flat = wrong.reshape(wrong.shape[0], -1) if wrong.ndim > 1 else wrong.reshape(1, -1)
    told = [f"{count} of {wrong.size} entries"]
    if wrong.ndim > 1:
        for axis, name in ((0, "row"), (1, "column")):
            some = np.flatnonzero(flat.any(axis=1 - axis))
            if len(some) < flat.shape[axis]:
                named = ", ".join(map(str, some[:5])) + (", …" if len(some) > 5 else "")
                told.append(f"{name}{'s' if len(some) > 1 else ''} {named} of {flat.shape[axis]}")
    high, wide = -(-flat.shape[0] // ROWS), -(-flat.shape[1] // COLUMNS)
    padded = np.pad(flat, ((0, -flat.shape[0] % high), (0, -flat.shape[1] % wide)))
    shape = padded.shape[0] // high, high, padded.shape[1] // wide, wide
    blocks = np.asarray(padded.reshape(shape).any(axis=(1, 3)))
    scale = f" (a mark is {high} by {wide} entries)" if high * wide > 1 else ""
    lines = ["".join("x" if mark else "." for mark in row) for row in blocks]
    return "\n".join([f"wrong: {'; '.join(told)}{scale}", *lines])
