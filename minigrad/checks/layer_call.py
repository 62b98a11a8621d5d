"""Adapts every accepted form of a layer to one: lists of float arrays in, lists of arrays out."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..engine.arguments import argument_names
from ..engine.arrays import ARRAY_LIKE
from ..engine.layer import Layer, placed
from ..engine.layer import layer as make_layer
from ..engine.recording import Array
from .rounding import roundoff
from .vectors import flat, largest, own_random, split

EXPECTED = (
    "expected a layer made by mg.layer, or a pair (forward, backward), or a loss f(x, y) -> (loss, dx); a function "
    "alone is checked by check_grads"
)

AROUND = (
    "A layer that keeps its cache in self is checked by two functions around it: forward(x, w) makes one of these "
    "weights and returns (layer.forward(x), layer), backward(dout, layer) returns the gradients of x and w"
)


def as_layer(layer: Any, inputs: Sequence[Any], options: dict[str, Any]) -> tuple[Layer, bool]:
    """Return a layer as it is, or the layer of a pair or of a loss that computes its own gradient.

    And whether it is a loss with one gradient, that of its first input.
    """
    if isinstance(layer, Layer):
        return layer, False
    if isinstance(layer, (tuple, list)) and len(layer) == 2 and all(callable(each) for each in layer):
        return make_layer(*layer), False
    name = getattr(layer, "__name__", None) or f"an object of {type(layer).__name__}"
    if hasattr(layer, "forward") and hasattr(layer, "backward"):
        raise TypeError(
            f"check_layer: got {name}, whose forward and backward are methods; {EXPECTED}. {AROUND}"
        )
    if callable(layer) and not isinstance(layer, type):
        result = layer(*map(own_copy, inputs), **copy.deepcopy(options))
        if isinstance(result, tuple) and len(result) == 2 and np.ndim(result[0]) == 0:
            return make_layer(layer, _loss_backward), not isinstance(result[1], (tuple, list))
    raise TypeError(f"check_layer: got {name}; {EXPECTED}")


def _loss_backward(dout: Any, gradients: Any) -> Any:
    """Return the gradients that a loss computed itself: one, or one for each input."""
    if isinstance(gradients, (tuple, list)):
        return tuple(None if g is None else dout * g for g in gradients)
    return dout * gradients


def own_copy(x: Any) -> Any:
    """Copy the mutable arguments of a call: dicts, random generators, arrays."""
    return copy.deepcopy(x) if isinstance(x, (dict, np.ndarray, *GENERATORS)) else x


GENERATORS = (np.random.Generator, np.random.RandomState)


def as_arrays(
    name: str, inputs: Sequence[Any], argnums: int | Sequence[int] | None = None, numbers: bool = True
) -> tuple[list[Any], list[int]]:
    """Return the inputs, lists as arrays, and the positions differentiated: arrays of floats, or ``argnums``.

    Python numbers become arrays if ``numbers`` is true, and where they are differentiated.

    Raises
    ------
    TypeError
        If there is nothing to differentiate, or an input to be differentiated is not an array of floats.
    ValueError
        If argnums is not a position of an input.
    """
    chosen = None if argnums is None else [argnums] if isinstance(argnums, int) else list(argnums)
    for i in chosen or ():
        if not isinstance(i, int) or not -len(inputs) <= i < len(inputs):
            raise ValueError(f"{name}: argnums has {i!r}; expected positions of the {len(inputs)} inputs")
    chosen = None if chosen is None else sorted({i % len(inputs) for i in chosen})
    arrays = []
    for i, x in enumerate(inputs):
        kept = type(x) in (bool, int, float) and not numbers and i not in (chosen or ())
        arrays.append(np.asarray(x) if isinstance(x, ARRAY_LIKE) and not kept else x)
    floats = [i for i, x in enumerate(arrays) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
    for i in chosen or ():
        if i not in floats:
            raise TypeError(f"{name}: argnums has {i}, but input {i} holds no floats; give x.astype(float)")
    if not (floats if chosen is None else chosen):
        raise TypeError(
            f"{name}: no input holds real floats, so there is no gradient to check; give x.astype(float), a number as "
            "np.array(x), or the real and imaginary parts of complex numbers"
        )
    return arrays, floats if chosen is None else chosen


def _told(x: Any) -> str:
    """Describe an object that is no array."""
    return "None" if x is None else f"a {type(x).__name__}"


class LayerCall:
    """A layer at some inputs, of which those at the places ``floats`` are differentiated; ``dout`` is drawn."""

    def __init__(
        self,
        layer: Layer,
        inputs: Sequence[Any],
        options: dict[str, Any],
        seed: int,
        argnums: int | Sequence[int] | None,
    ) -> None:
        self.layer, self.name, self.options = layer, layer.name, options
        self.inputs, self.floats = as_arrays(self.name, inputs, argnums, numbers=False)
        dtypes = [np.dtype(float), *[self.inputs[i].dtype for i in self.floats]]
        self.eps = max(float(np.finfo(dtype).eps) for dtype in dtypes)
        self.outs = [out.copy() for out in self.run(self.copied())[0]]
        self.shapes = [out.shape for out in self.outs]
        dout = np.asarray(own_random(7, seed).standard_normal(flat(self.outs).shape))
        self.dout = flat(self.douts(dout)).astype(np.float64)
        self.returned: list[Any] = []
        self.count = 0
        self.gradients: list[Array] = []

    @cached_property
    def off(self) -> list[Array]:
        """The rounding errors of the gradients, as measured in the inputs' own dtypes."""
        least = largest(self.dout)
        return self.measured(lambda outs, cache, dout: self.backward(self.douts(dout), cache), least)

    @cached_property
    def outs_off(self) -> list[Array]:
        """The rounding errors of the outputs."""
        return self.measured(lambda outs, cache, dout: [np.asarray(out, np.float64) for out in outs])

    def measured(
        self, result: Callable[[list[Any], Any, Array], list[Array]], least: float = np.inf
    ) -> list[Array]:
        """Measure the rounding errors of functions of the outputs, the cache and dout."""

        def run(arrays: Sequence[Array]) -> list[Array]:
            *moving, dout = arrays
            return result(*self.forward(moving), dout)

        return roundoff(run, [*[self.inputs[i] for i in self.floats], self.dout], self.eps, least)

    def names(self) -> list[str]:
        """Return the names of the forward's inputs."""
        return argument_names(self.layer.forward, len(self.inputs), "input ")

    def full(self, moving: Sequence[Any]) -> list[Any]:
        """Return all inputs, with other arrays of floats."""
        inputs = list(self.inputs)
        for i, x in zip(self.floats, moving, strict=True):
            inputs[i] = x.copy() if type(x) is np.ndarray else x
        return inputs

    def copied(self) -> list[Any]:
        """Return all inputs, with copies of the arrays of floats."""
        return self.full([self.inputs[i] for i in self.floats])

    def run(self, inputs: Sequence[Any]) -> tuple[list[Any], Any]:
        """Call the forward, with its own copy of dicts and generators; return its outputs, and the cache."""
        own = [copy.deepcopy(x) if isinstance(x, (dict, *GENERATORS)) else x for x in inputs]
        returned = self.layer.forward(*own, **copy.deepcopy(self.options))
        if not (isinstance(returned, tuple) and len(returned) > 1):
            kept = inspect.ismethod(self.layer.forward)
            raise TypeError(
                f"{self.name}: the forward returned {type(returned).__name__}; expected (out, cache)"
                + (f". {AROUND}" if kept else "")
            )
        *outs, cache = returned
        for out in outs:
            if out is None or isinstance(out, (list, dict)):
                raise TypeError(
                    f"{self.name}: the forward returned {_told(out)} as its output; expected an array, or several"
                )
        self.as_tuple = len(outs) == 1 and isinstance(outs[0], tuple)
        outs = list(outs[0]) if self.as_tuple else outs
        return [out if hasattr(out, "dtype") else np.asarray(out) for out in outs], cache

    def forward(self, moving: Sequence[Any]) -> tuple[list[Any], Any]:
        """Call the forward on arrays, or tensors, in place of the inputs that are floats."""
        return self.run(self.full(moving))

    def douts(self, vector: Array) -> list[Array]:
        """Return a vector of all outputs' gradients as one array for each, of its shape and dtype."""
        parts = split(vector, self.shapes)
        return [d.astype(out.dtype) for d, out in zip(parts, self.outs, strict=True)]

    def raw(self, douts: Sequence[Any], cache: Any) -> list[Any]:
        """Call the backward; return its results for the differentiated inputs, None for missing ones."""
        given = [d if d.ndim else d[()] for d in douts]
        needs = [[i in self.floats for i in range(len(self.inputs))]] if self.layer.takes_needs else []
        arguments = [*([tuple(given)] if self.as_tuple else given), cache, *needs]
        self.check_takes(arguments)
        gradients = self.layer.backward(*arguments)
        if isinstance(gradients, dict):
            raise TypeError(
                f"{self.name}: the backward returned a dict; expected the gradients as a tuple, one for each input, in "
                "order"
            )
        gradients = list(
            gradients if isinstance(gradients, (tuple, list)) else placed(gradients, self.inputs)
        )
        self.count = len(gradients)
        return [gradients[i] if i < len(gradients) else None for i in self.floats]

    def check_takes(self, arguments: Sequence[Any]) -> None:
        """Refuse a backward that takes another number of arguments than it is called with."""
        try:
            signature = inspect.signature(self.layer.backward)
        except (TypeError, ValueError):  # one that is not written in Python
            return
        try:
            signature.bind(*arguments)
        except TypeError as error:
            several = (
                f"{len(self.outs)} outputs" if len(self.outs) > 1 and not self.as_tuple else "its output"
            )
            raise TypeError(
                f"{self.name}: the forward returned {several} and the cache, so the backward is called with "
                f"{len(arguments)} arguments, a dout for each output and the cache; but it has {signature}. A cache of "
                "several values is a tuple: return out, (x, w)"
            ) from error

    def backward(self, douts: Sequence[Any], cache: Any) -> list[Array]:
        """Call the backward; return its gradients in float64, NaN for one that has not its input's shape."""
        return self.fitted(self.raw(douts, cache))

    def fitted(self, gradients: Sequence[Any]) -> list[Array]:
        """Return gradients as arrays in float64, NaN for one that has not its input's shape."""
        fitted = []
        for i, g in zip(self.floats, gradients, strict=True):
            right = g is not None and np.shape(g) == self.inputs[i].shape
            fitted.append(np.asarray(g, np.float64) if right else np.full(self.inputs[i].shape, np.nan))
        return fitted
