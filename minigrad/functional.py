"""Derivatives as functions: of arrays, and of nested dicts, lists and tuples of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any

import numpy as np

from .rules.elementwise import POSITIVE
from .tape import RECORD, next_number, recording, tracing, walk_back
from .tensor import NO_OPTIONS, Tensor, lift


def grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """Return the function that computes the gradient of a scalar function.

    Parameters
    ----------
    f
        A function of arrays, or of nested dicts, lists and tuples of them, whose result has one entry. It is
        called with tensors in the place of the arguments to differentiate for.
    argnums
        The position of the argument to differentiate for, or several.

    Returns
    -------
    callable
        Takes the arguments of f. Returns the gradient for the argument at ``argnums``: plain arrays, each of
        its operand's shape and dtype, nested as the argument is; or a tuple of such, for several. Inside
        another ``grad``, or for tensors that require a gradient, it returns tensors on the tape, so that
        ``grad(grad(f))`` is the second derivative.

    Raises
    ------
    TypeError
        If an argument to differentiate for is not made of real floats, or f returns no number.
    ValueError
        If the result of f has not one entry.
    """
    both = value_and_grad(f, argnums)

    @wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return gradient


def value_and_grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """Return the function that computes ``(f(*args), gradient)``; see `grad`."""
    several = isinstance(argnums, tuple)
    positions: tuple[int, ...] = argnums if isinstance(argnums, tuple) else (argnums,)

    @wraps(f)
    def both(*args: Any, **kwargs: Any) -> Any:
        targets: list[Tensor] = []
        inputs = list(args)
        for position in positions:
            if not -len(args) <= position < len(args):
                raise TypeError(f"grad: argnums has {position}, but f was called with {len(args)} arguments")
            inputs[position] = _map(partial(_input, position, targets), args[position])
        nested = tracing.get() > 0 or any(isinstance(x, Tensor) and x.requires_grad for x in _leaves(args))
        inside, mode = tracing.set(tracing.get() + 1), recording.set(recording.get() or RECORD)
        try:
            result = f(*inputs, **kwargs)
            g = _gradients(result, targets, nested)
        finally:
            tracing.reset(inside)
            recording.reset(mode)
        found = iter(g)
        gradients = tuple([_map(lambda _: next(found), inputs[position]) for position in positions])
        value = result if nested or not isinstance(result, Tensor) else result.data[()]
        return value, gradients if several else gradients[0]

    return both


def _input(position: int, targets: list[Tensor], leaf: Any) -> Tensor:
    """Make the tensor that f gets: a call of its own, so that f may write to it and the walk may end at it."""
    outer = leaf if isinstance(leaf, Tensor) else None
    data = outer.data if outer is not None else np.asarray(leaf)
    if data.dtype.kind != "f":
        raise TypeError(
            f"grad: argument {position} holds dtype {data.dtype}, which has no gradient; give real floats, or "
            "leave the argument out of argnums"
        )
    parent = None if outer is None or not outer.requires_grad else outer._call or outer
    target = Tensor(data, True, (next_number(), POSITIVE, [data], [parent], NO_OPTIONS, data))
    targets.append(target)
    return Tensor(data, True, target._call)


def _gradients(result: Any, targets: list[Tensor], nested: bool) -> list[Any]:
    """Walk back from a result of one entry to the targets; zeros, where it does not depend on one."""
    if not isinstance(result, (Tensor, np.ndarray, np.generic, float, int)):
        raise TypeError(f"grad: f returned {type(result).__name__}; expected a tensor with one entry")
    if np.size(result) != 1:
        raise ValueError(
            f"grad: f returned shape {np.shape(result)}; expected one entry: reduce it, as by .sum()"
        )
    numbers = [target._call[0] for target in targets if target._call is not None]
    found = {}
    if isinstance(result, Tensor) and result._call is not None:
        g = np.ones(result.shape, result.dtype)
        found = walk_back(result._call, g, set(numbers), lift if nested else None)
    gradients = []
    for number, target in zip(numbers, targets, strict=True):
        _, g = found.get(number, (None, None))
        gradients.append(np.zeros(target.shape, target.dtype) if g is None else g)
    return [Tensor(g) if nested and not isinstance(g, Tensor) else g for g in gradients]


def _map(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to each leaf of nested dicts, lists and tuples."""
    if isinstance(tree, dict):
        return {key: _map(function, tree[key]) for key in tree}
    if isinstance(tree, (list, tuple)):
        mapped = [_map(function, each) for each in tree]
        return type(tree)(*mapped) if hasattr(tree, "_fields") else type(tree)(mapped)
    return function(tree)


def _leaves(tree: Any) -> Iterator[Any]:
    """Yield the leaves of nested dicts, lists and tuples."""
    if isinstance(tree, (dict, list, tuple)):
        for each in tree.values() if isinstance(tree, dict) else tree:
            yield from _leaves(each)
    else:
        yield tree
