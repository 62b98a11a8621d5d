"""Derivatives as functions: of arrays, and of nested dicts, lists and tuples of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any

import numpy as np

from .rules.elementwise import POSITIVE
from .tape import RECORD, Call, next_number, recording, tracing, walk_back
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
        targets: list[Call] = []
        inputs = list(args)
        for position in positions:
            if not -len(args) <= position < len(args):
                raise TypeError(f"grad: argnums has {position}, but f was called with {len(args)} arguments")
            inputs[position] = _map(partial(_input, position, targets), args[position])
        depth = tracing.get()
        nested = depth > 0 or any([parents[0] is not None for _, _, _, parents, _, _ in targets])
        inside, mode = tracing.set(depth + 1), recording.set(recording.get() or RECORD)
        try:
            result = f(*inputs, **kwargs)
            gradients = iter(_gradients(result, targets, nested))
        finally:
            tracing.reset(inside)
            recording.reset(mode)
        trees = tuple([_map(lambda _: next(gradients), args[position]) for position in positions])
        value = result if nested or not isinstance(result, Tensor) else result.data[()]
        return value, trees if several else trees[0]

    return both


def _input(position: int, targets: list[Call], leaf: Any) -> Tensor:
    """Make the tensor that f gets: a call's result, so that f may write to it; the walk ends at the call."""
    parent = None
    if isinstance(leaf, Tensor):
        parent = (leaf._call or leaf) if leaf.requires_grad else None
        leaf = leaf.data
    data = np.asarray(leaf)
    if data.dtype.kind != "f":
        raise TypeError(
            f"grad: argument {position} holds dtype {data.dtype}, which has no gradient; give real floats, or "
            "leave the argument out of argnums"
        )
    target: Call = (next_number(), POSITIVE, [data], [parent], NO_OPTIONS, data)
    targets.append(target)
    return Tensor(data, True, target)


def _gradients(result: Any, targets: list[Call], nested: bool) -> list[Any]:
    """Walk back from a result of one entry to the targets; zeros, where it does not depend on one."""
    value = result.data if isinstance(result, Tensor) else result
    if not isinstance(value, (np.ndarray, np.generic, float, int)):
        raise TypeError(f"grad: f returned {type(result).__name__}; expected a tensor with one entry")
    if np.size(value) != 1:
        raise ValueError(
            f"grad: f returned shape {np.shape(value)}; expected one entry: reduce it, as by .sum()"
        )
    found: dict[int, Any] = {}
    if isinstance(result, Tensor) and result._call is not None and targets:
        numbers = {target[0] for target in targets}
        found = walk_back(result._call, np.ones_like(value), numbers, lift if nested else None)
    gradients = [found[n][1] if n in found else np.zeros_like(data) for n, _, _, _, _, data in targets]
    return [Tensor(g) if nested and not isinstance(g, Tensor) else g for g in gradients]


def _map(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to each leaf of nested dicts, lists and tuples."""
    if type(tree) is np.ndarray:
        return function(tree)
    if isinstance(tree, dict):
        return {key: _map(function, tree[key]) for key in tree}
    if isinstance(tree, (list, tuple)):
        mapped = [_map(function, each) for each in tree]
        return type(tree)(*mapped) if hasattr(tree, "_fields") else type(tree)(mapped)
    return function(tree)
