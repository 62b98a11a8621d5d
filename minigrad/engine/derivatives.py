"""Derivatives as functions: of arrays, and of nested dicts, lists and tuples of arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..rules.elementwise import POSITIVE
from .arrays import as_array, map_tree
from .recording import RECORD, Call, next_number, recording, tracing
from .tensor import NO_OPTIONS, Tensor, any_requires_grad, lift
from .walk import walk_back


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
    if not callable(f):
        raise TypeError(f"grad: got {f!r}; expected a function of arrays")
    several = isinstance(argnums, tuple)
    positions: tuple[int, ...] = argnums if isinstance(argnums, tuple) else (argnums,)
    if not all(isinstance(position, int) for position in positions):
        raise TypeError(f"grad: argnums is {argnums!r}; expected an integer, or a tuple of them")

    @wraps(f)
    def both(*args: Any, **kwargs: Any) -> Any:
        if several and len({position % len(args) for position in positions if args}) < len(positions):
            raise ValueError(f"grad: argnums {argnums} names an argument twice")
        targets: dict[int, Call] = {}
        inputs = list(args)
        for position in positions:
            if not -len(args) <= position < len(args):
                raise TypeError(f"grad: argnums has {position}, but f was called with {len(args)} arguments")
            inputs[position] = map_tree(_input, targets, args[position])
        depth = tracing.depth
        records = recording.get() is not None
        nested = records and (
            depth > 0 or any_requires_grad(args) or (bool(kwargs) and any_requires_grad(kwargs))
        )
        tracing.depth = depth + 1
        mode = None if records else recording.set(RECORD)
        try:
            result = f(*inputs, **kwargs)
            gradients = _gradients(result, targets, nested)
        finally:
            tracing.depth = depth
            if mode is not None:
                recording.reset(mode)
        each = iter(gradients)
        if several:
            taken: Any = tuple([map_tree(next, each, args[position]) for position in positions])
        else:
            taken = map_tree(next, each, args[positions[0]])
        value = result
        if type(result) is Tensor and not nested:
            value = result.data.copy() if result.data.ndim else result.data[()]
        return value, taken

    return both


def _input(targets: dict[int, Call], leaf: Any) -> Tensor:
    """Make the tensor that f gets: a call's result, so that f may write to it; the walk ends at the call."""
    parent = None
    if type(leaf) is not np.ndarray:
        if type(leaf) is Tensor:
            parent = (leaf._call or leaf) if leaf.requires_grad else None
            leaf = leaf.data
        leaf = as_array(leaf)
    if leaf.dtype.kind != "f":
        raise TypeError(
            f"grad: an argument holds dtype {leaf.dtype}, which has no gradient; give real floats, or leave the "
            "argument out of argnums"
        )
    number = next_number()
    targets[number] = target = number, POSITIVE, (leaf,), (parent,), NO_OPTIONS, leaf
    return lift(leaf, target)


def _gradients(result: Any, targets: dict[int, Call], nested: bool) -> list[Any]:
    """Walk back from a result of one entry to the targets; zeros, where it does not depend on one."""
    if type(result) is Tensor:
        value = result.data
    elif isinstance(result, (np.ndarray, np.generic, float, int)):
        value = as_array(result)
    else:
        raise TypeError(f"grad: f returned {type(result).__name__}; expected a tensor with one entry")
    if value.size != 1:
        raise ValueError(f"grad: f returned shape {value.shape}; expected one entry: reduce it, as by .sum()")
    found: dict[int, Any] = {}
    if type(result) is Tensor and result._call is not None and targets:
        one = np.ones(value.shape, value.dtype) if value.ndim else value.dtype.type(1)
        found, _ = walk_back(result._call, one, targets, lift if nested else None)
    gradients = [found[n] if n in found else np.zeros_like(targets[n][-1]) for n in targets]
    return [g if type(g) is Tensor else Tensor(g) for g in gradients] if nested else gradients
