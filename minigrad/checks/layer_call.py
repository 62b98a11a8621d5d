"""A layer called with some inputs, whatever form it and they are written in: on lists of arrays of floats."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..engine.layer import Layer
from ..engine.layer import layer as make_layer
from ..engine.recording import Array
from ..engine.tensor import ARRAY_LIKE
from .numerical_gradient import flat, roundoff, split


def as_layer(layer: Any, inputs: Sequence[Any], options: dict[str, Any]) -> Layer:
    """Return a layer, or the layer of a pair, or that of a loss which finds its own gradient."""
    if isinstance(layer, Layer):
        return layer
    if isinstance(layer, (tuple, list)) and len(layer) == 2 and all(callable(each) for each in layer):
        return make_layer(*layer)
    if callable(layer):
        result = layer(*copy.deepcopy(inputs), **copy.deepcopy(options))
        if isinstance(result, tuple) and len(result) == 2 and np.ndim(result[0]) == 0:
            return make_layer(layer, _loss_backward)
    raise TypeError(
        f"check_layer: got {getattr(layer, '__name__', repr(layer))}; expected a layer made by mg.layer, or a pair "
        "(forward, backward), or a loss f(x, y) -> (loss, dx); a function alone is checked by check_grads"
    )


def _loss_backward(dout: Any, gradients: Any) -> Any:
    """Return the gradients of a loss that found its own: one, or one for each input."""
    if isinstance(gradients, (tuple, list)):
        return tuple(None if g is None else dout * g for g in gradients)
    return dout * gradients


def as_arrays(name: str, inputs: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Return inputs, numbers and lists as arrays, and which of them hold floats, and so are differentiated."""
    arrays = [np.asarray(x) if isinstance(x, ARRAY_LIKE) else x for x in inputs]
    floats = [i for i, x in enumerate(arrays) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
    if not floats:
        raise TypeError(
            f"{name}: no input holds floats, so there is no gradient to check; give x.astype(float)"
        )
    return arrays, floats


class LayerCall:
    """A layer at some inputs, of which those at the places ``floats`` are differentiated; ``dout`` is drawn."""

    def __init__(self, layer: Layer, inputs: Sequence[Any], options: dict[str, Any], seed: int) -> None:
        self.layer, self.name, self.options = layer, layer.name, options
        self.inputs, self.floats = as_arrays(self.name, inputs)
        dtypes = [np.dtype(float), *[self.inputs[i].dtype for i in self.floats]]
        self.eps = max(float(np.finfo(dtype).eps) for dtype in dtypes)
        self.outs, _ = self.run(self.copied())
        self.shapes = [out.shape for out in self.outs]
        dout = np.asarray(np.random.default_rng(seed).standard_normal(flat(self.outs).shape))
        self.dout = flat(self.douts(dout)).astype(np.float64)
        self.returned: list[Any] = []
        self.gradients: list[Array] = []

    @cached_property
    def off(self) -> list[Array]:
        """The rounding errors of the gradients, as measured in the inputs' own dtypes."""
        return self.measured(lambda outs, cache, dout: self.backward(self.douts(dout), cache))

    @cached_property
    def outs_off(self) -> list[Array]:
        """Those of the outputs."""
        return self.measured(lambda outs, cache, dout: [np.asarray(out, np.float64) for out in outs])

    def measured(self, result: Callable[[list[Any], Any, Array], list[Array]]) -> list[Array]:
        """Measure the rounding errors of what follows from the outputs, the cache and dout."""

        def run(arrays: Sequence[Array]) -> list[Array]:
            *moving, dout = arrays
            return result(*self.forward(moving), dout)

        return roundoff(run, [*[self.inputs[i] for i in self.floats], self.dout], self.eps)

    def names(self) -> list[str]:
        """Return what the forward calls its inputs."""
        try:
            known = list(inspect.signature(self.layer.forward).parameters.values())
        except ValueError:
            known = []
        named = [
            each.name for each in known if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        ]
        return [named[i] if i < len(named) else f"input {i}" for i in range(len(self.inputs))]

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
        """Call the forward, with its own copy of any dict it may write into; return its outputs, and the cache."""
        own = [copy.deepcopy(x) if isinstance(x, dict) else x for x in inputs]
        returned = self.layer.forward(*own, **copy.deepcopy(self.options))
        if not (isinstance(returned, (tuple, list)) and len(returned) > 1):
            raise TypeError(
                f"{self.name}: the forward returned {type(returned).__name__}; expected (out, cache)"
            )
        *outs, cache = returned
        self.as_tuple = len(outs) == 1 and isinstance(outs[0], (tuple, list))
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
        """Call the backward; return what it returns for the inputs that are floats, None where nothing."""
        given = [d if d.ndim else d[()] for d in douts]
        gradients = self.layer.backward(*([tuple(given)] if self.as_tuple else given), cache)
        gradients = list(gradients) if isinstance(gradients, (tuple, list)) else [gradients]
        return [gradients[i] if i < len(gradients) else None for i in self.floats]

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
