"""Gradients of a result's entries, or of each example; constants; and nested arrays as one vector."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..rules.conjugates import real
from .arguments import check_callable, names_itself
from .arrays import as_array
from .containers import leaves_of, map_tree, rebuilt_of
from .derivatives import grad
from .tensor import Tensor


@names_itself
def elementwise_grad(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return the derivative of a function that acts entry by entry; of its result's sum, in general.

    Examples
    --------
    >>> mg.elementwise_grad(np.tanh)(np.zeros(3))
    array([1., 1., 1.])
    """
    check_callable("elementwise_grad", f)
    return grad(lambda *args, **kwargs: np.sum(f(*args, **kwargs)), argnums)


@names_itself
def per_example_grads(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return the function that computes the gradient of a loss for each example of a batch by itself.

    Parameters
    ----------
    f
        ``f(params, *batch) -> loss``, for a batch of any size: each array of ``batch``, nested or not, has the
        examples along its first axis.
    argnums : int
        The position of the argument to differentiate for; all others are the batch.

    Returns
    -------
    callable
        Takes the arguments of f; returns the gradients, the examples along a new first axis. It runs f once an
        example, on a batch of one; arguments by keyword are the same for all examples.

    Raises
    ------
    TypeError
        If an argument of the batch is a number.
    ValueError
        If the arrays of the batch have not one length, or there are no examples.
    """
    gradient = grad(f, argnums)

    @wraps(f)
    def each(*args: Any, **kwargs: Any) -> Any:
        batch = leaves_of([x for i, x in enumerate(args) if i != argnums % len(args)])
        for x in batch:
            if not np.shape(x):
                raise TypeError(
                    f"per_example_grads: the batch holds {x!r}, not an array of examples; what all examples share is "
                    "given by keyword"
                )
        counts = {len(x) for x in batch}
        if len(counts) != 1 or counts == {0}:
            raise ValueError(
                f"per_example_grads: the batch has {sorted(counts)} examples; expected one count, >= 1"
            )
        found: list[list[Any]] = []
        for i in range(counts.pop()):
            one = [x if j == argnums % len(args) else map_tree(_example, i, x) for j, x in enumerate(args)]
            found.append(leaves_of(gradient(*one, **kwargs)))
        return rebuilt_of(args[argnums], [np.stack(column) for column in zip(*found, strict=True)])

    return each


def _example(i: int, x: Any) -> Any:
    """Return a batch of one example."""
    return x[i : i + 1]


@names_itself
def stop_gradient(x: Any) -> Any:
    """Return x as a constant, for derivatives of any order: each tensor in it detached; arrays as they are."""
    return map_tree(lambda _, leaf: leaf.detach() if type(leaf) is Tensor else leaf, None, x)


@names_itself
def flatten(tree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return the arrays of a nested container as one vector, and the function that undoes it.

    For functions that take vectors alone, such as ``scipy.optimize.minimize``.

    Returns
    -------
    vector : ndarray of one axis
        All entries, in the order of the container; of the dtype that all arrays promote to.
    unflatten : callable
        Takes a vector of that length, an array or a tensor; returns a container of the same structure, shapes and
        dtypes.

    Raises
    ------
    TypeError
        If an array is not of floats.
    ValueError
        If ``unflatten`` is given a vector of another length.

    Examples
    --------
    >>> vector, unflatten = mg.flatten({"w": np.ones((2, 2)), "b": np.zeros(1)})
    >>> unflatten(vector)["w"].shape
    (2, 2)
    """
    leaves = [leaf if type(leaf) is Tensor else as_array(leaf) for leaf in leaves_of(tree)]
    for leaf in leaves:
        if leaf.dtype.kind not in "fc":
            raise TypeError(f"flatten: an array is of {leaf.dtype}; expected floats, as to differentiate for")
    forms = [(leaf.shape, leaf.dtype) for leaf in leaves]
    length = sum(math.prod(shape) for shape, _ in forms)
    vector = np.concatenate([np.ravel(leaf) for leaf in leaves]) if leaves else np.zeros(0)

    def unflatten(vector: Any) -> Any:
        vector = vector if type(vector) is Tensor else as_array(vector)
        if vector.shape != (length,):
            raise ValueError(f"flatten: the vector has shape {vector.shape}; expected ({length},)")
        arrays, start = [], 0
        for shape, dtype in forms:
            part = vector[start : start + math.prod(shape)]
            part = part if dtype.kind == "c" else real(part)
            arrays.append(np.reshape(part, shape).astype(dtype, copy=False))
            start += math.prod(shape)
        return rebuilt_of(tree, arrays)

    return vector, unflatten
