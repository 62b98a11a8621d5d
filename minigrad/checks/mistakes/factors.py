"""A factor too many or missing: a number, an array, or a number for each place along an axis."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from ...engine.recording import Array
from ..evidence import Evidence, axes_of, equal, rows_along

LISTED = 8
"""The most numbers of a list that are written."""


def sign(e: Evidence) -> Iterator[str]:
    """The negative."""
    if equal(-e.got, e.right):
        yield "sign: it is the negative of the right gradient"


# -- one number --------------------------------------------------------------------------------------------------


def number(e: Evidence) -> Iterator[str]:
    """One factor everywhere, and its likely meaning."""
    largest = np.unravel_index(int(np.argmax(np.abs(e.right))), e.right.shape)
    factor = float(e.got[largest] / e.right[largest])
    if not (np.isfinite(factor) and equal(e.got, factor * e.right)) or abs(factor - 1) < 1e-4:
        return
    meanings = dict.fromkeys(m for value, m in _meanings(e) if np.isclose(abs(factor), value, rtol=1e-5))
    alone = np.count_nonzero(np.abs(e.right) > 1e-9 * np.abs(e.right[largest])) == 1
    if alone and not meanings:
        return  # any number is a multiple of a single other
    sign = "minus " if factor < 0 else ""
    named = list(meanings)[:3] or _as_fraction(abs(factor))
    yield f"off by a constant factor {factor:.6g}" + "".join(f" = {sign}{each}" for each in named)


def _as_fraction(factor: float) -> list[str]:
    """Write a factor as a fraction of small numbers, or the square root of one, if it is one."""
    for value, told in ((factor, "{}"), (factor**2, "the square root of {}")):
        fraction = Fraction(value).limit_denominator(64)
        if 0 < fraction.numerator <= 64 and np.isclose(float(fraction), value, rtol=1e-9):
            return [told.format(fraction)]
    return []


def _meanings(e: Evidence) -> Iterator[tuple[float, str]]:
    """Factors that gradients are often off by, and their meanings."""
    yield from _of_options(e)
    yield 2.0, "2: added twice, or a factor 1/2 missing"
    degree = float(np.vdot(e.right, e.input)), float(np.vdot(e.arrays.get("the output", e.dout), e.dout))
    if np.isclose(*degree, rtol=1e-6):  # Euler: f(a x) = a f(x), as of a mask
        yield 0.5, "1/2: a factor of the forward forgotten, as dropout's 1 / p"
    else:
        yield 0.5, "1/2: a square's factor 2 missing"
    yield from _of_means(e)
    for n, _, place in _lengths(e):
        if n > 2:
            yield n / (n - 1), "n / (n - 1): divided by n - 1 for n"
            yield (n - 1) / n, "(n - 1) / n: divided by n for n - 1"
            yield n**0.5, f"the square root of the {place}"
            yield n**-0.5, f"1 / the square root of the {place}"


def _of_options(e: Evidence) -> Iterator[tuple[float, str]]:
    for name, option in e.numbers.items():
        for value, meaning in ((option, name), (1 - option, f"(1 - {name})")):
            if value not in (0.0, 1.0, -1.0):
                yield value, f"{meaning}: a factor too many, or a division missing"
                yield 1 / value, f"1 / {meaning}: a division too many, or a factor missing"
                yield value**2, f"{meaning} squared: multiplied for divided"


def _of_means(e: Evidence) -> Iterator[tuple[float, str]]:
    for n, axis, place in _lengths(e):
        if n > 1 and axis == 0:
            yield n, "N: mean over the batch missing"
            yield 1 / n, "1/N: mean over the batch for a sum, or twice"
        elif n > 1:
            yield n, f"the {place}: mean over it missing"
            yield 1 / n, f"1 / the {place}: mean over it for a sum, or twice"
    for axes in axes_of(e.dout.ndim, 2):
        product = float(np.prod([e.dout.shape[axis] for axis in axes]))
        lengths = f"the lengths of axes {', '.join(map(str, axes))} of dout"
        yield 1 / product, f"1 / {lengths}: a mean for a sum"
        yield product, f"{lengths}: a sum for a mean"


def _lengths(e: Evidence) -> Iterator[tuple[int, int, str]]:
    for name, x in {"dout": e.dout, **e.arrays}.items():
        for axis, n in enumerate(x.shape):
            yield n, axis, f"length of axis {axis} of {name}"


# -- an array ----------------------------------------------------------------------------------------------------


def array(e: Evidence) -> Iterator[str]:
    """An array that broadcasts to the gradient."""
    for name, x in {"dout": e.dout, **e.floats}.items():
        if x.size < 2 or not _broadcasts(x.shape, e.right.shape):
            continue
        for got, right, told in (
            (e.got, e.right * x, f"a factor {name} too many"),
            (e.got * x, e.right, f"a factor {name} missing"),
            (e.got * x, e.right / x, f"two factors {name} missing"),
            (e.got, e.right * x**2, f"two factors {name} too many"),
            (e.got, -e.right * x, f"a factor -{name} too many"),
            (-e.got * x, e.right, f"a factor -{name} missing"),
        ):
            if equal(got, right):
                yield f"{told}, entry by entry"


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    return len(shape) <= len(to) and all(
        n in (1, m) for n, m in zip(reversed(shape), reversed(to), strict=False)
    )


def channel(e: Evidence) -> Iterator[str]:
    """A vector along an axis that is not the last, as gamma along the channels of images."""
    for name, x in e.floats.items():
        if x.ndim != 1 or x.size < 2:
            continue
        for axis, length in enumerate(e.right.shape[:-1]):
            if length != x.size:
                continue
            factor = x.reshape(-1, *[1] * (e.right.ndim - axis - 1))
            if equal(e.got, e.right * factor):
                yield f"a factor {name} too many, along axis {axis}"
            if equal(e.got * factor, e.right):
                yield f"a factor {name} missing, along axis {axis}"


def place(e: Evidence) -> Iterator[str]:
    """Another number for each place along one axis, as by the lengths of sequences."""
    for axis, n in enumerate(e.right.shape):
        got, right = rows_along(e.got, axis), rows_along(e.right, axis)
        if n < 2 or right.shape[1] < 2:
            continue
        squares = (right**2).sum(axis=1)
        factors = np.where(squares > 0, (got * right).sum(axis=1) / np.where(squares > 0, squares, 1), 0.0)
        # Where a factor is 1, the others are looked at alone.
        if np.all(np.abs(factors - 1) > 1e-4) and equal(factors[:, None] * right, got):
            yield f"off by a factor for each place along axis {axis}: {listed(factors)}"


def listed(numbers: Array) -> str:
    """Write the first numbers of a list."""
    told = ", ".join(f"{x:.6g}" for x in numbers[:LISTED])
    return told + (", …" if len(numbers) > LISTED else "")
