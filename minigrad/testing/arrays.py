"""Strategies for arrays: shapes that fit together, memory layouts, dtypes, kinks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ..engine.arguments import names_itself
from ..engine.recording import Array
from ..engine.scalars import as_int
from ..layers import Layer
from ..rules.table import Arguments, Draw
from .layouts import LAYOUTS

SPACING = 0.016
"""Spacing of the entries of one array. No two differ by nearly 1, where a hinge has its kink."""

KINKED = 0.3
"""The fraction of entries at a kink, if kinks are asked for."""

Drawing = Callable[[st.SearchStrategy[Any]], Any]


class HypothesisDraw:
    """Draws arrays and options for an op's ``inputs``; see `minigrad.rules.table.Draw`.

    Entries are distinct and stay clear of 0 and of each other, in one array and across the arrays of a call:
    differences of a small step meet no kink.
    """

    def __init__(
        self,
        draw: Drawing,
        dtype: Any = np.float64,
        layouts: Sequence[str] = tuple(LAYOUTS),
        kinks: Sequence[float] = (),
    ) -> None:
        self.dtype = dtype
        self._draw = draw
        self._layouts = layouts
        self._kinks = kinks
        self._arrays = 0
        self._drawn = 0

    def array(self, shape: tuple[int, ...] | None = None, low: float = -2.0, high: float = 2.0) -> Any:
        """Return a float array of any memory layout with entries in [low, high]."""
        shape = self.shape() if shape is None else shape
        rng = np.random.default_rng(self.integer(0, 255))
        places = low + SPACING * (_between(self._arrays) + np.arange(int((high - low) / SPACING)))
        places = places[np.abs(places) > SPACING / 16]
        self._arrays += 1
        x = np.asarray(np.resize(rng.permutation(np.round(places, 6)), shape), self.dtype)
        if self._kinks:
            at_kink = rng.random(shape) < KINKED
            x = np.asarray(np.where(at_kink, rng.choice(self._kinks, shape), x), self.dtype)
        return LAYOUTS[self.choice(self._layouts)](x)

    def shape(
        self, min_ndim: int = 0, max_ndim: int = 3, min_side: int = 0, max_side: int = 3
    ) -> tuple[int, ...]:
        """Return any shape; empty ones too, unless ``min_side`` forbids them."""
        least = self._least_side(min_side, max_side)
        return tuple([self.integer(least, max_side) for _ in range(self.integer(min_ndim, max_ndim))])

    def broadcastable(self, count: int, min_side: int = 0, max_side: int = 3) -> list[tuple[int, ...]]:
        """Return ``count`` shapes that broadcast together."""
        whole = self.shape(min_side=min_side, max_side=max_side)
        tails = [whole[self.integer(0, len(whole)) :] for _ in range(count)]
        return [tuple([self.choice([side, side, 1]) for side in tail]) for tail in tails]

    def _least_side(self, min_side: int, max_side: int) -> int:
        """Return a lower bound of a shape's axes: often 2, lest most shapes have at most one entry."""
        least: int = self.choice([1, 2, 2, 0])
        return min(max(min_side, least), max_side)

    def integer(self, low: int, high: int) -> int:
        """Return an integer in [low, high].

        No two are drawn from equal strategies: of such, Hypothesis would use most examples to put one's value in
        the other's place.
        """
        self._drawn += 1
        start = 1000 * self._drawn
        return int(self._draw(st.sampled_from(range(start, start + high - low + 1)))) - start + low

    def choice(self, values: Sequence[Any]) -> Any:
        """Return one of ``values``."""
        return values[self.integer(0, len(values) - 1)]


def _between(number: int) -> float:
    """Return 0, 1/2, 1/4, 3/4, 1/8, …: the fraction of a spacing that the arrays of a call are shifted by."""
    bits = f"{number:b}"
    return int(bits[::-1], 2) * 0.5 ** len(bits)


@names_itself
def calls(inputs: Callable[[Draw], Arguments], dtype: Any = np.float64) -> st.SearchStrategy[Arguments]:
    """Return a strategy for the ``(args, kwargs)`` of an op's or a layer's tests.

    Parameters
    ----------
    inputs
        The ``inputs`` that the op or the layer was declared with.
    dtype
        The dtype of the float arrays.
    """

    @st.composite
    def drawn(draw: Drawing) -> Arguments:
        return inputs(HypothesisDraw(draw, dtype))

    return drawn()


@names_itself
def layers_inputs(layer: Layer, dtype: Any = np.float64) -> st.SearchStrategy[Arguments]:
    """Return a strategy for the ``(inputs, options)`` of a layer that was made with ``inputs=``.

    Examples
    --------
    >>> import minigrad as mg
    >>> from hypothesis import given
    >>> @given(layers_inputs(mg.affine))
    ... def test_affine_of_nothing_but_its_bias(call):
    ...     (x, w, b), options = call
    ...     assert np.array_equal(mg.affine(0 * x, w, b), np.broadcast_to(b, (len(x), len(b))))

    Raises
    ------
    TypeError
        If the layer was declared without ``inputs``.
    """
    if not isinstance(layer, Layer) or layer.inputs is None:
        raise TypeError(
            f"layers_inputs: {layer!r} does not say how its inputs are drawn; expected a layer made by "
            "mg.layer(forward, backward, inputs=...), or describe them by arrays_for(...)"
        )
    return calls(layer.inputs, dtype)


@names_itself
def arrays_for(
    *shapes: str,
    dtype: Any = np.float64,
    low: float = -2.0,
    high: float = 2.0,
    kinks: Sequence[float] = (),
    layouts: Sequence[str] = tuple(LAYOUTS),
    min_side: int = 1,
    max_side: int = 4,
) -> st.SearchStrategy[tuple[Array, ...]]:
    """Return a strategy for tuples of float arrays whose shapes fit together.

    Parameters
    ----------
    *shapes
        The axes of each array, by name: ``"n d", "d m", "m"`` for an affine layer. A name has one length in one
        example; a number is a length; ``""`` is the shape of a number. ``...`` in front stands for any axes,
        which broadcast together with those of the other arrays: they may be missing, or of length 1.
    dtype
        The dtype of the entries.
    low, high
        The entries' range.
    kinks
        Values that some entries take exactly, as 0 for a relu; so there are ties, too. By default all entries of
        all arrays are distinct, and away from 0: differences of a small step meet no kink.
    layouts
        Memory layouts of the arrays: names in `minigrad.testing.layouts.LAYOUTS`.
    min_side, max_side
        The least and the greatest length of an axis; 0 for empty arrays, too.

    Examples
    --------
    >>> from hypothesis import given
    >>> from minigrad.testing import arrays_for
    >>> @given(arrays_for("... n k", "... k m"))
    ... def test_my_product(arrays):
    ...     x, y = arrays
    ...     assert np.allclose(my_product(x, y), x @ y)

    Raises
    ------
    ValueError
        If a shape, a layout or a range is invalid.
    """
    for shape in shapes:
        if not isinstance(shape, str):
            raise TypeError(f'arrays_for: got {shape!r} as a shape; expected the names of its axes, as "n d"')
    axes = [shape.split() for shape in shapes]
    if np.dtype(dtype).kind != "f":
        raise TypeError(f"arrays_for: dtype is {dtype!r}; expected one of floats")
    for name, x in (("low", low), ("high", high), *[("kinks", kink) for kink in kinks]):
        if not isinstance(x, (int, float, np.number)):
            raise TypeError(f"arrays_for: {name} has {x!r}; expected numbers")
    _check_arrays_for(axes, low, high, layouts, min_side, max_side)

    @st.composite
    def drawn(draw: Drawing) -> tuple[Array, ...]:
        source = HypothesisDraw(draw, dtype, layouts, kinks)
        names = dict.fromkeys(name for each in axes for name in each if name.isidentifier())
        lengths = {name: source.integer(min_side, max_side) for name in names}
        open_ended = [each[:1] == ["..."] for each in axes]
        leading = iter(source.broadcastable(sum(open_ended), min_side, max_side) if any(open_ended) else [])
        arrays = []
        for each, is_open in zip(axes, open_ended, strict=True):
            sides = [lengths[name] if name in lengths else int(name) for name in each[is_open:]]
            arrays.append(source.array((*(next(leading) if is_open else ()), *sides), low, high))
        return tuple(arrays)

    return drawn()


def _check_arrays_for(
    axes: list[list[str]], low: float, high: float, layouts: Sequence[str], min_side: int, max_side: int
) -> None:
    if not axes:
        raise ValueError('arrays_for: no shape is given; expected one for each array, as "n d"')
    for each in axes:
        for place, name in enumerate(each):
            if not (name.isidentifier() or name.isdecimal() or (name == "..." and place == 0)):
                raise ValueError(
                    f"arrays_for: {name!r} in the shape {' '.join(each)!r} is no axis; expected names and numbers "
                    'with spaces between, as "n d" or "... n 3"'
                )
    for layout in layouts:
        if layout not in LAYOUTS:
            raise ValueError(f"arrays_for: layout {layout!r} is none of {', '.join(LAYOUTS)}")
    as_int("min_side", min_side, least=0)
    as_int("max_side", max_side, least=0)
    if min_side > max_side:
        raise ValueError(f"arrays_for: min_side {min_side}, max_side {max_side}; expected 0 <= min <= max")
    if not high - low > 2 * SPACING:
        raise ValueError(f"arrays_for: low {low}, high {high}; expected a range of more than {2 * SPACING}")


@names_itself
def labels(n: int, classes: int) -> st.SearchStrategy[Array]:
    """Return a strategy for n labels: an array of integers in [0, classes), of shape (n,).

    Examples
    --------
    >>> labels(3, 10).example()  # doctest: +SKIP
    array([0, 7, 0])
    """
    if n < 0 or classes < 1:
        raise ValueError(f"labels: n is {n}, classes {classes}; expected n >= 0 and classes >= 1")
    return hnp.arrays(np.int64, n, elements=st.integers(0, classes - 1))


@names_itself
def scores(
    max_n: int = 4, max_classes: int = 4, *, dtype: Any = np.float64, kinks: Sequence[float] = ()
) -> st.SearchStrategy[tuple[Array, Array]]:
    """Return a strategy for the input of a loss: scores of shape (N, C), N and C at least 1, and N labels.

    Parameters
    ----------
    max_n, max_classes
        The greatest N and C.
    dtype
        The dtype of the scores.
    kinks
        Values that some scores take exactly: ``(0.0, 1.0)`` puts hinges at margin 0, and has ties. If there are
        none, no two scores are equal, and no hinge of margin 1 is near its kink.

    Examples
    --------
    >>> from hypothesis import given
    >>> from minigrad.testing import scores
    >>> @given(scores())
    ... def test_my_loss_falls_with_the_right_score(example):
    ...     x, y = example
    ...     _, dx = my_loss(x, y)
    ...     assert np.all(dx[np.arange(len(y)), y] <= 0)
    """

    @st.composite
    def drawn(draw: Drawing) -> tuple[Array, Array]:
        source = HypothesisDraw(draw, dtype, kinks=kinks)
        n, classes = source.integer(1, max_n), source.integer(1, max_classes)
        return source.array((n, classes)), draw(labels(n, classes))

    return drawn()
