"""One-line property tests: a hand-written gradient on drawn inputs, and a failure as code that can be pasted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ..engine.arguments import argument_names, names_itself
from ..gradient_check import GradientMismatch, check_layer
from .arrays import layers_inputs
from .layouts import array_code, imports_for


@names_itself
def gradient_property(
    forward: Any,
    backward: Callable[..., Any] | None = None,
    *,
    inputs: st.SearchStrategy[Sequence[Any]] | None = None,
    max_examples: int | None = None,
    argnums: int | Sequence[int] | None = None,
    **options: Any,
) -> Callable[..., None]:
    """Return a property test of a hand-written gradient, on inputs drawn from a strategy.

    It is a Hypothesis test, in the profile that is loaded but without a deadline. Where it fails, it shows the
    smallest inputs found, as code that can be pasted into the test file, and what
    `minigrad.gradient_check.check_layer` says of them.

    Parameters
    ----------
    forward, backward
        The pair, ``forward(*inputs, **options) -> (out, cache)`` and ``backward(dout, cache) -> gradients``; or,
        alone, anything else that `check_layer` takes: a layer made by `minigrad.layers.layer`.
    inputs
        A strategy for tuples of inputs, as `minigrad.testing.arrays.arrays_for` makes them, or for the only input. It
        may be left out for a layer that was made with ``inputs=``.
    max_examples
        How many inputs are tried; as many as in the profile that is loaded, if it is left out.
    argnums : int or sequence of int, optional
        Which inputs are differentiated; all that are arrays of floats, if it is left out.
    **options
        Options of the forward.

    Examples
    --------
    In a file ``test_layers.py`` that pytest finds:

    >>> from minigrad.testing import arrays_for, gradient_property
    >>> from mine import affine_forward, affine_backward
    >>> test_affine = gradient_property(
    ...     affine_forward, affine_backward, inputs=arrays_for("n d", "d m", "m", min_side=0)
    ... )

    Raises
    ------
    TypeError
        If inputs is missing, or is no strategy.
    """
    checked = forward if backward is None else (forward, backward)
    if inputs is None:
        drawn = layers_inputs(forward).map(
            lambda call: Example(checked, call[0], {**call[1], **options}, argnums)
        )
    elif isinstance(inputs, st.SearchStrategy):
        drawn = inputs.map(
            lambda xs: Example(checked, xs if isinstance(xs, (tuple, list)) else (xs,), options, argnums)
        )
    else:
        raise TypeError(
            f"gradient_property: inputs is {type(inputs).__name__}; expected a strategy for tuples of inputs, as "
            'arrays_for("n d", "d m")'
        )

    @settings(
        max_examples=max_examples or settings().max_examples,
        deadline=None,
        phases=[phase for phase in Phase if phase is not Phase.explain],
    )
    @given(example=drawn)
    def gradient_is_right(*test_class: Any, example: Example) -> None:  # it may be a method of one
        example.check()

    return gradient_is_right


CLASHING = set(inspect.signature(check_layer).parameters)
"""Keywords that are `check_layer`'s own."""


class Example:
    """A drawn call of `check_layer`, which prints itself as code."""

    def __init__(
        self,
        checked: Any,
        inputs: Sequence[Any],
        options: dict[str, Any],
        argnums: int | Sequence[int] | None,
    ) -> None:
        self.checked = checked
        self.inputs = inputs
        self.options = options
        self.argnums = argnums

    def check(self) -> None:
        """Raise GradientMismatch, if the gradient is wrong."""
        try:
            check_layer(self.checked, *self.inputs, argnums=self.argnums, options=self.options)
        except GradientMismatch as mismatch:
            raise mismatch.with_traceback(None) from None  # hides the check's own frames

    def names(self) -> list[str]:
        """Return the names of the forward's inputs."""
        forward: Any = self.checked[0] if isinstance(self.checked, tuple) else self.checked
        forward = getattr(forward, "forward", forward)
        return argument_names(forward, len(self.inputs))

    def __repr__(self) -> str:
        names = self.names()
        values = [_code(x) for x in self.inputs]
        pair = isinstance(self.checked, tuple)
        layer = f"({', '.join(map(_name, self.checked))})" if pair else _name(self.checked)
        options = [] if self.argnums is None else [f"argnums={self.argnums!r}"]
        if CLASHING.isdisjoint(self.options):
            options += [f"{name}={_code(value)}" for name, value in self.options.items()]
        else:
            given = ", ".join(f"{name!r}: {_code(value)}" for name, value in self.options.items())
            options.append(f"options={{{given}}}")
        imports = imports_for(values, "from minigrad.gradient_check import check_layer")
        arrays = [f"{name} = {value}" for name, value in zip(names, values, strict=True)]
        return "\n".join(["", *imports, *arrays, f"check_layer({', '.join([layer, *names, *options])})", ""])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print itself as code in Hypothesis's report, too."""
        printer.text(repr(self))


def _code(value: Any) -> str:
    return array_code(value) if isinstance(value, np.ndarray) else repr(value)


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", repr(function)))
