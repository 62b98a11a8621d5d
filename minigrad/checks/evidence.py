"""The evidence of a diagnosis: one wrong gradient, the right one, and the call."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.recording import Array
from .comparison import Comparison
from .vectors import flat, largest, parts


@dataclass(frozen=True)
class Evidence:
    """One wrong gradient, and the call that it belongs to.

    Parameters
    ----------
    got, right : ndarray
        The gradient that was returned, and the right one; of another shape, if the shape is wrong.
    wrong : ndarray of bools
        Which of the entries are wrong; all, if the shape is.
    input : ndarray
        The input that the gradient belongs to.
    others : dict
        The right gradients of the other inputs, by name.
    fit : frozenset
        The names of the inputs whose returned gradients are right.
    arrays : dict
        The array inputs and the outputs, by name.
    numbers : dict
        The options that are numbers, by name.
    dout : ndarray
        The gradient of the output.
    terms : ndarray, of the axes of dout and then those of input, optional
        The contribution of each entry of the output to each entry of the right gradient.
    outputs : tuple of int
        The sizes of the outputs; of several, dout and the output are one vector.
    """

    got: Array
    right: Array
    wrong: Array
    input: Array
    dout: Array
    others: dict[str, Array] = field(default_factory=dict)
    fit: frozenset[str] = frozenset()
    arrays: dict[str, Array] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    terms: Array | None = None
    outputs: tuple[int, ...] = ()

    @property
    def floats(self) -> dict[str, Array]:
        """The arrays of floats, by name."""
        return {name: x for name, x in self.arrays.items() if x.dtype.kind == "f"}

    @property
    def alike(self) -> dict[str, Array]:
        """The arrays of floats of the right gradient's shape, by name."""
        return {name: x for name, x in self.floats.items() if x.shape == self.right.shape}

    @property
    def summands(self) -> Array | None:
        """The terms, where they are known and the output has axes to sum over."""
        return self.terms if self.terms is not None and self.terms.size and self.dout.ndim else None

    def along_terms(self, x: Array) -> Array:
        """Return an array of dout's shape so that it broadcasts along the terms."""
        return x.reshape(x.shape + (1,) * self.right.ndim)


def evidence_of(
    compared: Comparison, k: int, got: Any, wrong: Array, known: dict[str, Any], fit: Iterable[str]
) -> Evidence:
    """Collect the evidence against the gradient of input k."""
    x, slopes = compared.arrays[k], compared.slopes[k]
    outs = parts(compared.f(*compared.arrays))
    out = np.asarray(outs[0]) if len(outs) == 1 else flat(outs)
    terms = None
    if compared.all and len(slopes.terms) == x.size and x.size:
        columns = [slopes.terms[index] for index in np.ndindex(x.shape)]
        terms = np.stack(columns, axis=-1).reshape(out.shape + x.shape)
    arrays = dict(_among(known, lambda x: isinstance(x, np.ndarray)))
    return Evidence(
        got=np.asarray(got, np.float64),
        right=compared.right(k),
        wrong=wrong,
        input=x,
        dout=compared.dout.reshape(out.shape),
        others={name: compared.right(j) for j, name in enumerate(compared.names) if j != k},
        fit=frozenset(fit),
        arrays={**arrays, "the output": out},
        numbers={name: float(x) for name, x in _among(known, _is_number)},
        terms=terms,
        outputs=tuple(np.size(each) for each in outs),
    )


def _among(options: dict[str, Any], is_one: Callable[[Any], bool]) -> Iterator[tuple[str, Any]]:
    """Yield the options of some types, by name; those in dicts, too."""
    for name, option in options.items():
        if isinstance(option, dict):
            yield from _among(option, is_one)
        elif is_one(option):
            yield str(name), option


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float, np.number)) and not isinstance(x, bool)


def axes_of(ndim: int, least: int = 1) -> Iterator[tuple[int, ...]]:
    """Yield the sets of at least ``least`` of an array's axes, the smallest first."""
    for count in range(least, ndim + 1):
        yield from itertools.combinations(range(ndim), count)


def rows_along(x: Array, axis: int) -> Array:
    """Return a matrix whose rows are the places along an axis."""
    return np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)


def equal(x: Any, y: Any) -> bool:
    """Tell whether two arrays are equal up to a reference's errors; arrays of zeros never are."""
    x, y = np.asarray(x), np.asarray(y)
    size = largest(y)
    return x.shape == y.shape and 0 < size < np.inf and bool(np.all(np.abs(x - y) <= 1e-5 * size))


Hypothesis = Callable[[Evidence], Iterator[str]]
"""Yields in words what would explain the wrong gradient, if anything does; the first counts."""
