"""Regions: the entries that a basic index reads; which overlap, and the index that reads a part of a part."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple


class Region(NamedTuple):
    """What a basic index reads: each axis's range, which axes have an integer, and the least and greatest positions."""

    positions: tuple[range, ...]
    single: tuple[bool, ...]
    ends: tuple[tuple[int, int], ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what is read."""
        return tuple(
            [len(each) for each, alone in zip(self.positions, self.single, strict=True) if not alone]
        )


def region(index: Any, shape: tuple[int, ...]) -> Region | None:
    """Return the region of a basic index; None for other indices."""
    parts: list[Any] = []
    for each in index if type(index) is tuple else (index,):
        if type(each) is slice:
            each = each.start, each.stop, each.step
            if not all(end is None or type(end) is int for end in each):
                return None
        elif type(each) is not int:
            return None
        parts.append(each)
    return _region(tuple(parts), shape) if len(parts) <= len(shape) else None


def without_ellipsis(index: Any, shape: tuple[int, ...]) -> Any:
    """Return an index with slices in the place of an ellipsis."""
    parts = index if type(index) is tuple else (index,)
    places = [i for i, each in enumerate(parts) if each is Ellipsis]
    if not places:
        return index
    at, missing = places[0], len(shape) + 1 - len(parts)
    return (*parts[:at], *[slice(None)] * missing, *parts[at + 1 :])


@lru_cache(maxsize=2**14)
def _region(parts: tuple[Any, ...], shape: tuple[int, ...]) -> Region:
    """Return the region of integers, and of the ends and steps of slices; a loop asks for each often."""
    single = tuple([type(each) is int for each in parts]) + (False,) * (len(shape) - len(parts))
    slices = [slice(each, None) if type(each) is int else slice(*each) for each in parts]
    slices += [slice(None)] * (len(shape) - len(parts))
    ranges = [range(n)[each] for each, n in zip(slices, shape, strict=True)]
    positions = tuple([each[:1] if alone else each for each, alone in zip(ranges, single, strict=True)])
    ends = tuple(
        [(min(each[0], each[-1]), max(each[0], each[-1])) if each else (0, -1) for each in positions]
    )
    return Region(positions, single, ends)


def are_apart(x: Region, y: Region) -> bool:
    """Tell whether two regions are disjoint, by their ends."""
    for (low, high), (least, greatest) in zip(x.ends, y.ends, strict=True):
        if low > greatest or least > high:
            return True
    return False


def composed(first: Any, second: Any, shape: tuple[int, ...]) -> tuple[Any, ...] | None:
    """Return the basic index that reads what the second one reads of what the first one reads."""
    outer = region(first, shape)
    inner = None if outer is None else region(second, outer.shape)
    if outer is None or inner is None:
        return None
    rest = zip(inner.positions, inner.single, strict=True)
    index: list[Any] = []
    for each, alone, n in zip(outer.positions, outer.single, shape, strict=True):
        chosen, single = (range(1), True) if alone else next(rest)
        if single:
            index.append(each[chosen[0]])
        else:
            start, step = each[chosen[0]] if chosen else 0, each.step * chosen.step
            index.append(as_slice(range(start, start + step * len(chosen), step), n))
    return tuple(index)


def as_slice(positions: range, n: int) -> slice:
    """Return the slice of an axis of length n that has these positions."""
    start, stop, step = positions.start, positions.stop, positions.step
    if step > 0:
        return slice(start or None, None if stop >= n else stop, None if step == 1 else step)
    return slice(start, None if stop < 0 else stop, step)


def is_whole(index: Any, shape: tuple[int, ...]) -> bool:
    """Tell whether a basic index reads a whole array, of at least one axis, as it is."""
    at = region(without_ellipsis(index, shape), shape)
    return at is not None and bool(shape) and at.positions == tuple(map(range, shape)) and not any(at.single)
