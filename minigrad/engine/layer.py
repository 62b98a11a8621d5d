"""How a hand-derived pair, ``forward -> (out, cache)`` and ``backward(dout, cache)``, becomes one op of the tape."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np

from ..rules.metadata import read_only
from ..rules.table import Arguments, Draw
from .arguments import BARE, array_of, explained, names_itself, parameters_of, raise_instead
from .arrays import ARRAY_LIKE, ARRAYS, as_array, has_stand_ins, refuse_foreign
from .calls import apart, bare, record, refuse_tensors, unwrap
from .containers import rebuilt
from .in_place import as_kept, never_changes
from .pickling import PickledByName
from .recording import TapeError, recomputing
from .tensor import Tensor

REAL = np.dtype(float)


class Layer(PickledByName):
    """A hand-derived forward and backward as one op of the tape; made by `layer`."""

    complex_numbers = False
    add = None

    def __init__(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        name: str,
        inputs: Callable[[Draw], Arguments] | None,
        linear: bool = False,
    ) -> None:
        # What takes array-likes by itself (`takes_arrays`) is called without that: an op's operands are arrays.
        self.checked = forward if hasattr(forward, "takes_arrays") else None
        self.forward = forward if self.checked is None else inspect.unwrap(forward)
        self.backward = inspect.unwrap(backward) if hasattr(backward, "takes_arrays") else backward
        self.name = name
        self.inputs = inputs
        self.linear = linear
        self.tested = inputs is not None
        self.writes = not self.tested
        """A backward that no property test has been through may write into its dout."""
        self.__name__ = self.__qualname__ = name
        self.__doc__ = forward.__doc__
        self.__module__ = getattr(forward, "__module__", __name__)

    @cached_property
    def takes_needs(self) -> bool:
        """Whether the backward is told which gradients are wanted."""
        return any(each.name == "needs" for each in parameters_of(self.backward))

    def __call__(self, *operands: Any, **options: Any) -> Any:
        """Call the layer: on tensors, one call of the tape; on arrays alone, the forward."""
        args, parents = unwrap(self, operands, ARRAYS, _input)
        given = args
        if not self.tested and any(type(x) is Tensor for x in operands):
            given = [read_only(x) for x in args]
        if options:
            refuse_tensors(self, options)
            if not all(map(never_changes, options.values())):
                options = {name: as_kept(x) for name, x in options.items()}
        try:
            returned = self.forward(*given, **options) if options else self.forward(*given)
            if self.checked is not None and getattr(returned[0], "dtype", REAL).kind != "f":
                returned = self.checked(*args, **options)
        except BARE as error:
            if not (self.tested or isinstance(error, (TypeError, ValueError))):
                raise
            raise_instead(self._explained(error, args), error)
        if type(returned) is not tuple or len(returned) != 2:
            raise TypeError(
                f"{self.name}: the forward returned {type(returned).__name__}; expected (out, cache)"
            )
        out, options["cache"] = returned
        if given is not args:
            options["cache"] = _with_inputs(
                options["cache"], {id(x): y for x, y in zip(given, args, strict=True)}
            )
        if type(out) is not np.ndarray and isinstance(out, (list, tuple)):
            raise TypeError(
                f"{self.name}: the forward returned a {type(out).__name__} as its output; expected an array, as by "
                "np.stack or np.concatenate"
            )
        for x in operands:
            if type(x) is Tensor:
                for array in given:
                    if out is array:
                        out = apart(out, given)
                return record(self, args, parents, options, out if self.tested else _writable(out))
        return out

    def _explained(self, error: Exception, args: Sequence[Any]) -> Exception | None:
        """Return an error of the forward that says what it was called with; None for one that does so already."""
        told = explained(error, self.name, [(f"input {i}", x) for i, x in enumerate(args)])
        if told is not None and any(each in str(error) for each in ("read-only", "not writ")):
            return type(told)(f"{told}; if the forward writes into an input, let it write into a copy")
        return told

    def gradients(
        self, g: Any, out: Any, operands: Sequence[Any], options: dict[str, Any], needs: Sequence[Any]
    ) -> Sequence[Any]:
        """Return the gradient of each input as the backward gives it, to be `fitted`; None where there is none."""
        cache = options["cache"] if type(out) is not Tensor else self.cache_on_tape(operands, options, out)
        if self.takes_needs:
            given = self.backward(g, cache, [need is not None for need in needs])
        else:
            given = self.backward(g, cache)
        found = given if isinstance(given, (tuple, list)) else placed(given, operands)
        missing = len(needs) - len(found)
        if missing:
            found = (*found, *(None,) * missing) if missing > 0 else found[: len(needs)]
        return found

    def fitted(self, dx: Any, i: int, x: Any) -> Any:
        """Return the gradient of input i, which is x, as an array of its dtype.

        Raises
        ------
        ValueError
            If there is none, or it has another shape than x.
        """
        if dx is None:
            raise ValueError(f"{self.name}: backward returned no gradient for input {i}, which requires one")
        if not hasattr(dx, "dtype"):
            dx = as_array(dx)
        if dx.shape != x.shape:
            raise ValueError(
                f"{self.name}: backward returned shape {dx.shape} as the gradient of input {i}, whose shape is "
                f"{x.shape}"
            )
        return dx if dx.dtype == x.dtype else dx.astype(x.dtype, casting="same_kind")

    def cache_on_tape(self, operands: Sequence[Any], options: dict[str, Any], out: Any) -> Any:
        """Return the cache as tensors: for a higher derivative the forward runs again, through the tape.

        Where it calls what has no rule, the cache may hold inputs, options and the output: tensors take their place.

        Raises
        ------
        RuntimeError
            If it gives another result than the first time.
        TapeError
            If it calls what has no rule, and the cache holds numbers that it computed.
        """
        if self.linear:
            return options["cache"]
        parameters = {name: x for name, x in options.items() if name != "cache"}
        try:
            result, cache = again(self.forward, *operands, **parameters)
        except TapeError as error:
            defaults = [each.default for each in parameters_of(self.forward)]
            numbers = [x for x in (*parameters.values(), *defaults) if not isinstance(x, (dict, list, tuple))]
            tensors = {id(getattr(x, "data", x)): x for x in (*numbers, *operands, out)}
            try:
                return _lifted(options["cache"], tensors)
            except TapeError as unknown:
                raise TapeError(
                    f"{self.name}: no higher derivative: {unknown}, and the forward cannot run on tensors, since "
                    f"{error}. Keep nothing in the cache but inputs, options and the output, or give the function a "
                    "rule, mg.rule"
                ) from error
        if not is_again(result, out):
            raise RuntimeError(
                f"{self.name}: for a higher derivative the forward ran again, and gave another result; draw "
                "random numbers outside of the layer, and pass them as an input"
            )
        return cache

    def __repr__(self) -> str:
        return f"Layer({self.name})"


def _with_inputs(cache: Any, inputs: dict[int, Any]) -> Any:
    """Return a cache with the inputs themselves in the places of what the forward was given for them, by ``id``."""
    if id(cache) in inputs:
        return inputs[id(cache)]
    if isinstance(cache, (tuple, list)):
        return rebuilt(cache, [_with_inputs(each, inputs) for each in cache])
    if type(cache) is dict:
        return {key: _with_inputs(each, inputs) for key, each in cache.items()}
    return cache


def _writable(out: Any) -> Any:
    """Return a result that may be written to where it is a view of an input, which the forward was not to change."""
    if type(out) is np.ndarray and not out.flags.writeable:
        with suppress(ValueError):  # the input itself is read-only
            out.flags.writeable = True
    return out


def placed(gradient: Any, inputs: Sequence[Any]) -> Sequence[Any]:
    """Return a backward's only gradient with None before it: it is that of the only input of floats, or the first's."""
    if getattr(inputs[0], "dtype", REAL).kind in "fc":
        return (gradient,)
    floats = [i for i, x in enumerate(inputs) if hasattr(x, "dtype") and x.dtype.kind in "fc"]
    return [*[None] * floats[0], gradient] if len(floats) == 1 else (gradient,)


def _lifted(cache: Any, known: dict[int, Any]) -> Any:
    """Return a cache with the tensors of arrays that are known, by ``id``, in their places; refuse other numbers."""
    if id(cache) in known:
        return known[id(cache)]
    if isinstance(cache, (tuple, list)):
        return type(cache)([_lifted(each, known) for each in cache])
    if type(cache) is dict:
        return {key: _lifted(each, known) for key, each in cache.items()}
    if cache is None or isinstance(cache, (int, str, bytes, np.integer, np.bool_)):
        return cache
    if isinstance(cache, np.ndarray) and cache.dtype.kind in "iub":
        return cache
    what = (
        f"an array of shape {cache.shape}" if isinstance(cache, np.ndarray) else f"a {type(cache).__name__}"
    )
    raise TapeError(f"its cache holds {what} that may depend on the inputs")


def again(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a forward once more, for a backward pass: layers leave their state, such as running means, as it is."""
    token = recomputing.set(True)
    try:
        return f(*args, **kwargs)
    finally:
        recomputing.reset(token)


def is_again(result: Any, before: Any) -> bool:
    """Tell whether two runs of a function gave the same result; while it is compiled, that is not known."""
    result, before = bare(result), bare(before)
    if has_stand_ins((result, before)):
        return True
    size = float(np.max(np.abs(before), initial=0.0, where=np.isfinite(before)))
    return np.shape(result) == np.shape(before) and np.allclose(
        result, before, rtol=1e-5, atol=1e-8 * size, equal_nan=True
    )


def _input(x: Any, name: str) -> Any:
    """Convert array-likes; pass Python's integers and other objects through; refuse foreign arrays."""
    if type(x) in (int, bool):
        return x
    if isinstance(x, ARRAY_LIKE) or hasattr(type(x), "__array__"):
        return array_of(x, name, "an input")
    refuse_foreign(x, name)
    return x


LAYERS: dict[str, Layer] = {}
"""The layers that say how to draw their inputs: the property tests and the benchmark find them here."""


@names_itself
def layer(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    *,
    name: str | None = None,
    inputs: Callable[[Draw], Arguments] | None = None,
    linear: bool = False,
) -> Layer:
    """Turn a hand-derived pair into an op of the tape.

    Parameters
    ----------
    forward
        ``forward(*inputs, **options) -> (out, cache)``, in NumPy.
    backward
        ``backward(dout, cache) -> gradients``: one for each input, in order, each of its input's shape; a
        single array, if there is one input, or one of floats; inputs at the end that have none (labels) may be left
        out, and None stands for those before. If it
        takes ``needs``, it is told which are wanted, a bool for each input, and may return None for others.
    name
        What the printed tape calls it; the forward's name without ``_forward``, if none is given.
    inputs
        Draws ``(inputs, options)`` for the property tests, and so enrols the layer in them.
    linear
        Whether the forward is linear in its inputs: then the cache has none of them in it, and higher derivatives
        use it as it is, random numbers included.

    Returns
    -------
    Layer
        To be called as ``op(*inputs, **options)``. On tensors it is one call of the tape; on arrays, the forward.

    Raises
    ------
    ValueError
        In the backward pass, if ``backward`` misses a gradient or returns one of another shape.
    """
    if not (callable(forward) and callable(backward)):
        raise TypeError(
            f"layer: got {forward!r} and {backward!r}; expected two functions, forward and backward"
        )
    called = name or getattr(forward, "__name__", type(forward).__name__).removesuffix("_forward")
    made = Layer(forward, backward, called, inputs, linear)
    if inputs is not None:
        LAYERS[made.name] = made
    return made
