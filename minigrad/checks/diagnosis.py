"""Diagnosis of a wrong gradient: hypotheses, each tried on the returned gradient and the right one.

A diagnosis is a hint. It names the usual cause of a pattern of wrong numbers, or says that no known pattern fits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np

from ..engine.recording import Array
from .evidence import Evidence, Hypothesis, equal
from .misplaced import BEFORE, MISPLACED
from .structure import STRUCTURES

UNKNOWN = "not known: none of the usual mistakes fits"


def diagnose(evidence: Evidence) -> str:
    """Return the first mistake that explains the wrong entries, in words; ``UNKNOWN`` if none does."""
    if np.isnan(evidence.right).any():
        return "not looked for: too large for all of the right gradient to be known without the tape"
    of_shape = evidence.got.shape == evidence.right.shape
    with np.errstate(all="ignore"):
        if of_shape and equal(evidence.got, evidence.right):  # which all hypotheses would explain
            return _precision(evidence) or UNKNOWN
        for hypothesis in OF_VALUES if of_shape else OF_SHAPES:
            found = hypothesis(evidence)
            if found is not None:
                return found
    return UNKNOWN


# -- hypotheses: of values ---------------------------------------------------------------------------------------


def _zero_or_nan(e: Evidence) -> str | None:
    if not np.all(np.isfinite(e.got)):
        return "it holds NaN or infinity: a division by 0, a logarithm of 0 or an exponential that overflowed"
    if not np.any(e.got):
        return "it is 0 everywhere: nothing was assigned to it, or a mask took all"
    return None


def _flat(e: Evidence) -> str | None:
    if np.any(e.right):
        return None
    return (
        "mask ignored: the right gradient is 0 everywhere. If the forward goes in steps (np.round, a comparison), a "
        "straight-through estimator is checked with the forward that it stands for"
    )


def _sign(e: Evidence) -> str | None:
    return "sign: it is the negative of the right gradient" if equal(-e.got, e.right) else None


def _other_order(e: Evidence) -> str | None:
    for name, other in e.others.items():
        if equal(e.got, other):
            order = "" if name in e.fit else "gradients returned in another order: "
            return f"{order}it is the gradient of {name}" + (", whose own is right" if name in e.fit else "")
    return None


def _factor(e: Evidence) -> str | None:
    """One factor everywhere, and its likely meaning."""
    largest = np.unravel_index(int(np.argmax(np.abs(e.right))), e.right.shape)
    factor = float(e.got[largest] / e.right[largest])
    if not (np.isfinite(factor) and equal(e.got, factor * e.right)) or abs(factor - 1) < 1e-4:
        return None
    meanings = dict.fromkeys(m for value, m in _meanings(e) if np.isclose(abs(factor), value, rtol=1e-5))
    sign = "minus " if factor < 0 else ""
    named = "".join(f" = {sign}{meaning}" for meaning in list(meanings)[:3])
    if not meanings and (told := _as_count(abs(factor))):
        named = f" = {sign}{told}"
    alone = np.count_nonzero(np.abs(e.right) > 1e-9 * np.abs(e.right[largest])) == 1
    if alone and not meanings:
        return None  # any number is a multiple of a single other
    return f"off by a constant factor {factor:.6g}{named}"


def _as_count(factor: float) -> str:
    """Write a factor as a fraction or the square root of one, if it is that of small numbers; else nothing."""
    for value, told in ((factor, "{}"), (factor**2, "the square root of {}")):
        fraction = Fraction(value).limit_denominator(64)
        if 0 < fraction.numerator <= 64 and np.isclose(float(fraction), value, rtol=1e-9):
            return told.format(fraction)
    return ""


def _meanings(e: Evidence) -> Iterator[tuple[float, str]]:
    """Factors that gradients are often off by, and their meanings."""
    for name, number in e.numbers.items():
        for value, meaning in ((number, name), (1 - number, f"(1 - {name})")):
            if value not in (0.0, 1.0, -1.0):
                yield value, f"{meaning}: a factor too many, or a division missing"
                yield 1 / value, f"1 / {meaning}: a division too many, or a factor missing"
                yield value**2, f"{meaning} squared: multiplied for divided"
    yield 2.0, "2: added twice, or a factor 1/2 missing"
    degree = float(np.vdot(e.right, e.input)), float(np.vdot(e.arrays.get("the output", e.dout), e.dout))
    if np.isclose(*degree, rtol=1e-6):  # Euler: f(a x) = a f(x), as of a mask
        yield 0.5, "1/2: a factor of the forward forgotten, as dropout's 1 / p"
    else:
        yield 0.5, "1/2: a square's factor 2 missing"
    lengths = [
        (n, axis, name) for name, x in {"dout": e.dout, **e.arrays}.items() for axis, n in enumerate(x.shape)
    ]
    for n, axis, name in lengths:
        if n > 1:
            batch = (
                "N: mean over the batch"
                if axis == 0
                else f"the length of axis {axis} of {name}: mean over it"
            )
            yield n, f"{batch} missing"
            yield 1 / n, f"1/{batch} for a sum, or twice" if axis == 0 else f"1 / {batch} for a sum, or twice"
    for count in range(2, e.dout.ndim + 1):
        for axes in itertools.combinations(range(e.dout.ndim), count):
            product = float(np.prod([e.dout.shape[axis] for axis in axes]))
            yield (
                1 / product,
                f"1 / the lengths of axes {', '.join(map(str, axes))} of dout: a mean for a sum",
            )
            yield product, f"the lengths of axes {', '.join(map(str, axes))} of dout: a sum for a mean"
    for n, axis, name in lengths:
        if n > 2:
            yield n / (n - 1), "n / (n - 1): divided by n - 1 for n"
            yield (n - 1) / n, "(n - 1) / n: divided by n for n - 1"
            yield n**0.5, f"the square root of the length of axis {axis} of {name}"
            yield n**-0.5, f"1 / the square root of the length of axis {axis} of {name}"


def _along_axes(e: Evidence) -> str | None:
    """The right numbers in the wrong places."""
    if e.right.ndim > 1 and e.right.shape == e.got.T.shape and equal(e.got.T, e.right):
        return "transposed: it is the transpose of the right gradient"
    for a, b in itertools.combinations(range(e.right.ndim), 2):
        if e.right.shape[a] == e.right.shape[b] and equal(np.swapaxes(e.got, a, b), e.right):
            return f"transposed: axes {a} and {b} are swapped"
    for axis, n in enumerate(e.right.shape):
        if n > 1 and equal(np.flip(e.got, axis), e.right):
            return f"reversed along axis {axis}"
        for by in (1, -1) if n > 2 else ():
            kept = slice(1, None) if by == 1 else slice(None, -1)
            inner = (slice(None),) * axis + (kept,)
            if equal(e.got[inner], np.roll(e.right, by, axis)[inner]):
                return f"shifted by one along axis {axis}: an index is off by one"
    for count in range(2, e.right.ndim + 1):
        for axes in itertools.combinations(range(e.right.ndim), count):
            if equal(np.flip(e.got, axes), e.right):
                which = "all axes" if count == e.right.ndim else f"axes {' and '.join(map(str, axes))}"
                return f"reversed along {which}: a kernel that is flipped, or is to be"
    if e.right.size > 1 and equal(e.got, e.right.ravel(order="F").reshape(e.right.shape)):
        return "reshaped in another order of the axes (transposed and reshaped)"
    return None


def _wrong_axis(e: Evidence) -> str | None:
    """Summed over all but one axis of the output, in place of the right one."""
    if e.terms is None:
        return None
    for axis in range(e.dout.ndim):
        rest = tuple(i for i in range(e.terms.ndim) if i != axis)
        if equal(e.got, e.terms.sum(axis=rest)):
            return f"sum over the wrong axis: dout's axis {axis} is kept, which is to be summed over"
    return None


def _terms(e: Evidence) -> str | None:
    """Wrong sums, found from the contribution of each entry of the output."""
    if e.terms is None or not e.dout.ndim or not e.terms.size:
        return None
    dout = e.dout.reshape(e.dout.shape + (1,) * (e.terms.ndim - e.dout.ndim))
    if equal(e.got, np.sum(e.terms / np.where(dout == 0, 1, dout), axis=tuple(range(e.dout.ndim)))):
        return "dout is not used: it is the gradient for a dout of ones"
    out, own = e.dout.ndim, e.terms.ndim - e.dout.ndim
    for axis in range(out):
        if out > 1 or own > 1:
            for place in (0, -1):
                if equal(e.got, np.take(e.terms, place, axis).sum(axis=tuple(range(out - 1)))):
                    which = "first" if place == 0 else "last"
                    return f"sum over axis {axis} missing: only its {which} entry counts"
    if e.dout.size > 1:
        for axes in range(out):  # a loop over the last axes; over the first ones the sum is right
            summed = e.terms.sum(axis=tuple(range(axes))).reshape(-1, e.right.size)
            last = len(summed) - 1 - np.argmax(summed[::-1] != 0, axis=0)
            first = np.argmax(summed != 0, axis=0)
            for places, which in ((last, "last"), (first, "first")):
                picked = np.take_along_axis(summed, places[None], axis=0)[0].reshape(e.right.shape)
                if equal(e.got, picked):
                    return f"= in place of +=: of all terms that add up only the {which} one counts"
        for axes in range(out):
            summed = e.terms.sum(axis=tuple(range(out - axes, out))).reshape(-1, e.right.size)
            if _one_counts(summed, e):
                return "of the terms that add up only one counts: = in place of +=, or a loop that leaves out some"
        count = np.maximum(np.count_nonzero(e.terms, axis=tuple(range(out))), 1)
        if equal(e.got, e.right / count):
            return "a mean in place of a sum: divided by the number of terms that add up"
    return None


def _one_counts(terms: Array, e: Evidence) -> bool:
    """Tell whether each wrong entry is one of its terms, or 0, written over the others; at least two are one."""
    got, right = e.got.reshape(1, -1), e.right.reshape(1, -1)
    is_one = (np.abs(terms - got) <= 1e-5 * np.abs(right).max()) & (terms != 0)
    several = np.count_nonzero(terms, axis=0) > 1
    one, wrong = is_one.any(axis=0), e.wrong.ravel()
    explained = one | (got[0] == 0)
    return bool(explained[wrong].all() and np.count_nonzero(one & several & wrong) > 1)


def _where(e: Evidence) -> str | None:
    """Wrong only where a mask, computed from an array of the gradient's shape, is true."""
    if e.wrong.size < 2:
        return None
    extra = np.all(e.right[e.wrong] == 0)
    if np.any(e.got) and not np.any((e.got != 0) & (e.right != 0)):
        return "mask inverted: it is 0 where the right gradient is not, and not 0 where that is 0"
    if np.all(e.wrong):
        return None
    for name, array in e.arrays.items():
        if array.shape == e.wrong.shape:
            for condition, told in (
                (array == 0, "== 0"),
                (array < 0, "< 0"),
                (array <= 0, "<= 0"),
                (array > 0, "> 0"),
            ):
                if np.array_equal(e.wrong, condition & (e.wrong | (e.right != 0) | extra)) and np.any(
                    e.wrong
                ):
                    hint = "mask ignored: " if extra else ""
                    return f"{hint}wrong only where {name} {told}"
        if array.dtype.kind in "iu" and array.ndim == 1 and e.wrong.ndim == 2 and len(array) == len(e.wrong):
            at_label = np.arange(e.wrong.shape[1]) == array[:, None]
            if not np.any(e.wrong & ~at_label):
                return f"wrong only at column {name}: that of the correct class"
            if not np.any(e.wrong & at_label):
                return f"wrong only beside column {name}: at the classes that are not correct"
    if extra:
        return "mask ignored: wrong only where the right gradient is 0"
    if not np.any(e.got[e.wrong]):
        return (
            "a mask too many, or a loop that leaves out some: wrong only where it is 0, which the right "
            "gradient is not"
        )
    if np.count_nonzero(e.wrong) == 1:
        return "wrong at one entry alone: not a wrong formula, but a wrong index or an assignment"
    return None


def _term_missing(e: Evidence) -> str | None:
    """The error is constant along an axis, or proportional to an array."""
    residual = e.got - e.right
    for name, array in e.arrays.items():
        if array.shape == residual.shape and array.dtype.kind == "f" and residual.size > 2:
            factor = float(np.vdot(array, residual) / np.vdot(array, array))
            if equal(factor * array, residual):
                return f"wrong by {factor:.6g} times {name}: the term of a penalty or of a square, missing or twice"
    for axis, n in enumerate(residual.shape):
        if n > 1 and equal(np.broadcast_to(residual.mean(axis, keepdims=True), residual.shape), residual):
            return (
                f"one term missing: wrong by something constant along axis {axis} (a mean's contribution, or that of "
                "a maximum or a sum)"
            )
    for name, array in e.arrays.items():
        if array.shape != residual.shape or array.dtype.kind != "f":
            continue
        for axis, n in enumerate(residual.shape):
            share = np.sum(array * residual, axis, keepdims=True) / np.sum(array * array, axis, keepdims=True)
            if n > 1 and equal(share * array, residual):
                return f"one term missing: along axis {axis} wrong in proportion to {name} (a sum's contribution)"
            centred = array - array.mean(axis, keepdims=True)
            rest = residual - residual.mean(axis, keepdims=True)
            share = np.sum(centred * rest, axis, keepdims=True) / np.sum(centred**2, axis, keepdims=True)
            if n > 2 and equal(share * centred, residual):
                return (
                    f"one term missing: along axis {axis} wrong in proportion to {name} less its mean (a variance's "
                    "contribution)"
                )
            if n > 3 and equal(share * centred + (residual - rest), residual):
                return (
                    f"terms missing: along axis {axis} wrong by a constant and a multiple of {name} (a mean's "
                    "contribution and a variance's)"
                )
    return None


def _times_an_array(e: Evidence) -> str | None:
    """A factor that is an array."""
    for name, array in {"dout": e.dout, **e.arrays}.items():
        if array.dtype.kind != "f":
            continue
        try:
            if np.broadcast_shapes(array.shape, e.right.shape) != e.right.shape or array.size < 2:
                continue
        except ValueError:
            continue
        for got, right, told in (
            (e.got, e.right * array, f"a factor {name} too many"),
            (e.got * array, e.right, f"a factor {name} missing"),
            (e.got * array, e.right / array, f"two factors {name} missing"),
            (e.got, e.right * array**2, f"two factors {name} too many"),
            (e.got, -e.right * array, f"a factor -{name} too many"),
            (-e.got * array, e.right, f"a factor -{name} missing"),
        ):
            if equal(got, right):
                return f"{told}, entry by entry"
    return None


def _softmax(e: Evidence) -> str | None:
    """The Jacobian of a softmax: of its diagonal alone, or with another axis."""
    p = e.arrays.get("the output")
    if p is None or p.shape != e.right.shape or e.dout.shape != p.shape:
        return None
    if equal(e.got, e.dout * p * (1 - p)):
        return "the softmax's Jacobian reduced to its diagonal, a(1 - a): all entries of a row depend on each other"
    for a, b in itertools.permutations(range(p.ndim), 2):
        for outer, inner in ((p, e.dout * p), (np.exp(p), e.dout)):
            sums = [outer * inner.sum(axis=axis, keepdims=True) for axis in (a, b)]
            if equal(e.got - e.right, sums[1] - sums[0]):
                return f"an inner sum over the wrong axis: over axis {a}, where axis {b} is meant"
    if equal(e.got - e.right, (np.exp(p) - p) * e.dout.sum(axis=-1, keepdims=True)):
        return "the logarithm of p where p is meant: the output where its exponential is"
    return None


def _products(e: Evidence) -> str | None:
    """A product with a matrix in place of its transpose, or one of two products missing."""
    if e.right.ndim != 2 or e.dout.ndim != 2:
        return None
    for name, array in e.arrays.items():
        if array.ndim != 2 or array.dtype.kind != "f":
            continue
        if (
            array.shape == (e.dout.shape[1],) * 2
            and equal(e.got, e.dout @ array)
            and equal(e.right, e.dout @ array.T)
        ):
            return f"a product with {name} where its transpose is meant"
        for told, left in (("dout", e.dout), ("dout^T", e.dout.T)):
            if left.shape[1] == array.shape[0] and equal(e.right - e.got, left @ array):
                return f"one term missing: the product of {told} and {name}"
    return None


def _precision(e: Evidence) -> str | None:
    if np.count_nonzero(e.wrong) < e.wrong.size / 2:
        return None
    error = float(np.max(np.abs(e.got - e.right)) / np.max(np.abs(e.right)))
    if not 0 < error < 3e-3:
        return None
    inside = "float32 somewhere inside, " if error > 1e-9 else ""
    return f"correct to ~{error:.0e} only: {inside}a rounded constant, or an epsilon left out"


def _at_some_places(e: Evidence) -> str | None:
    """A mistake at some places along an axis alone, as of one gate of several."""
    for axis, n in enumerate(e.right.shape):
        places = np.flatnonzero(np.moveaxis(e.wrong, axis, 0).reshape(n, -1).any(axis=1))
        if not 0 < len(places) < n or len(places) * (e.right.size // n) < 2:
            continue

        def some(x: Array, axis: int = axis - e.right.ndim, places: Array = places) -> Array:
            return np.take(x, places, axis)

        part = replace(
            e,
            got=some(e.got),
            right=some(e.right),
            wrong=some(e.wrong),
            input=some(e.input),
            others={},
            arrays={
                name: some(x)
                for name, x in e.arrays.items()
                if x.shape == e.right.shape and name != "the output"  # it has dout's places, not these
            },
            numbers={},
            terms=None if e.terms is None else some(e.terms),
        )
        found = next((told for each in OF_VALUES[:-1] if (told := each(part)) is not None), None)
        if found is not None:
            return f"along axis {axis} at {', '.join(map(str, places))} alone: {found}"
    return None


OF_VALUES: tuple[Hypothesis, ...] = (
    _zero_or_nan,
    _flat,
    _sign,
    _other_order,
    _precision,
    _factor,
    *BEFORE,
    _softmax,
    _products,
    _along_axes,
    _wrong_axis,
    _terms,
    _where,
    _term_missing,
    _times_an_array,
    *STRUCTURES,
    *MISPLACED,
    _at_some_places,
)


# -- hypotheses: of shapes ---------------------------------------------------------------------------------------


def _summed(x: Array, total: Array) -> tuple[int, ...]:
    """Return the axes over which x sums to a total; empty if there are none."""
    for count in range(1, x.ndim + 1):
        for axes in itertools.combinations(range(x.ndim), count):
            if any(equal(x.sum(axis=axes, keepdims=keepdims), total) for keepdims in (False, True)):
                return axes
    return ()


def _sum_missing(e: Evidence) -> str | None:
    axes = _summed(e.got, e.right)
    named = " and ".join(map(str, axes))
    if axes and all(e.got.shape[axis] == 1 for axis in axes):
        return f"an axis too many: axis {named} has length 1 (keepdims, or a missing reshape)"
    return f"sum over axis {named} missing" if axes else None


def _summed_too_much(e: Evidence) -> str | None:
    axes = _summed(e.right, e.got)
    return f"summed over axis {' and '.join(map(str, axes))}, which the input has" if axes else None


def _other_shape(e: Evidence) -> str | None:
    if equal(e.got.T, e.right):
        return "transposed: it is the transpose of the right gradient"
    for a, b in itertools.combinations(range(e.got.ndim), 2):
        if equal(np.swapaxes(e.got, a, b), e.right):
            return f"transposed: axes {a} and {b} are swapped"
    if e.got.size == e.right.size and equal(e.got.reshape(e.right.shape), e.right):
        return f"not reshaped: its numbers are right, and x.reshape({e.right.shape}) makes it so"
    return None


OF_SHAPES: tuple[Hypothesis, ...] = (_other_order, _sum_missing, _other_shape, _wrong_axis, _summed_too_much)


# -- where it is wrong -------------------------------------------------------------------------------------------


ROWS, COLUMNS = 8, 32
"""The size of the largest picture, in marks."""


def picture(wrong: Array) -> str:
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
