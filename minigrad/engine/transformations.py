"""Transformations of functions that are made of gradients: products with the Jacobian, whole Jacobians, Hessians."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..rules.conjugates import conj, real
from .arguments import names_itself
from .arrays import as_array
from .calls import any_requires_grad
from .containers import map_tree
from .derivatives import as_input, grad, plain, pulled_back, recorded
from .recording import Call, recording
from .tensor import Tensor


@names_itself
def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Call f, and return what multiplies a vector by its Jacobian from the left: reverse mode.

    Parameters
    ----------
    f
        A function of arrays, or of nested containers of them, that returns such.
    *primals
        Its arguments, each made of real floats; f is differentiated for all of them.

    Returns
    -------
    value
        ``f(*primals)``, in plain arrays.
    pullback : callable
        ``pullback(cotangent)`` returns a tuple of gradients, one for each argument: those of the sum of
        ``cotangent * value``; of complex numbers, of the real part of ``conj(cotangent) * value``. The cotangent is
        nested and shaped as the value is. It may be called many times.

    Raises
    ------
    ValueError
        If a cotangent has another shape than the value.

    Examples
    --------
    >>> value, pullback = mg.vjp(lambda x: x**2, np.array([1.0, 2.0]))
    >>> pullback(np.array([1.0, 10.0]))
    (array([ 2., 40.]),)
    """
    result, pull = _vjp(f, primals)
    return map_tree(plain, None, result), pull


def _vjp(f: Callable[..., Any], primals: tuple[Any, ...]) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Do as `vjp` does, but return the value on the tape."""
    targets: dict[int, Call] = {}
    inputs = [map_tree(as_input, targets, x) for x in primals]
    result = recorded(f, inputs, {}, targets)
    outs: list[Any] = []
    map_tree(list.append, outs, result)

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        given: list[Any] = []
        map_tree(list.append, given, cotangent)
        if len(given) != len(outs):
            raise ValueError(f"vjp: the cotangent has {len(given)} arrays, the value {len(outs)}")
        call, g = _seed(outs, given)
        gradients, _ = pulled_back(call, g, targets)
        each = iter(gradients)
        return tuple([map_tree(next, each, x) for x in primals])

    return result, pullback


def _seed(outs: list[Any], cotangents: list[Any]) -> tuple[Call | None, Any]:
    """Return the call to walk back from and the gradient of its result: of one array, or of a weighted sum."""
    pairs = []
    for out, g in zip(outs, cotangents, strict=True):
        g = g if type(g) is Tensor else as_array(g)
        if g.shape != np.shape(out):
            raise ValueError(f"vjp: a cotangent has shape {g.shape}; the value has shape {np.shape(out)}")
        if type(out) is Tensor and out._call is not None:
            pairs.append((out, g.astype(out.dtype, casting="same_kind", copy=False)))
    if len(pairs) == 1:
        return pairs[0][0]._call, pairs[0][1]
    with np.errstate(all="ignore"):  # of what the sum is, nobody reads
        total = recorded(lambda: sum(np.sum(out * conj(g)) for out, g in pairs), (), {}, ())
    return (total._call, np.ones((), total.dtype)) if pairs else (None, None)


@names_itself
def jvp(f: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return ``f(*primals)`` and the derivative of f along the tangents: forward mode.

    The product with the Jacobian from the left is linear in its vector, and its own pullback multiplies from the
    right: two passes of reverse mode (Townsend 2017, "A new trick for calculating Jacobian vector products").
    Under `jit` the first pass is dead code, and dropped.

    Parameters
    ----------
    f
        A function of arrays, or of nested containers of them, that returns such.
    primals, tangents : tuples
        The arguments, and the direction: nested, shaped and typed as the arguments are.

    Examples
    --------
    >>> mg.jvp(np.sin, (0.0,), (2.0,))
    (np.float64(0.0), np.float64(2.0))
    """
    if len(primals) != len(tangents):
        raise TypeError(f"jvp: got {len(primals)} primals and {len(tangents)} tangents; expected as many")
    result, push = _jvp(f, primals)
    return map_tree(plain, None, result), push(tuple(tangents))


def _jvp(f: Callable[..., Any], primals: tuple[Any, ...]) -> tuple[Any, Callable[[tuple[Any, ...]], Any]]:
    """Record f and the pass back once; return the value, and what multiplies by the Jacobian from the right."""
    result, pull = _vjp(f, primals)
    zeros = map_tree(_zeros, None, result)
    _, push = _vjp(pull, (zeros,))
    nested = any_requires_grad(primals) and recording.get() is not None

    def along(tangents: tuple[Any, ...]) -> Any:
        (tangent,) = push(tangents)
        return tangent if nested or any_requires_grad(tangents) else map_tree(plain, None, tangent)

    return result, along


def _zeros(_: Any, x: Any) -> Any:
    """Return zeros of the shape and dtype of a result; floats for integers, which do not move."""
    zeros = np.zeros_like(x.data if type(x) is Tensor else x)  # traced, if x is
    return zeros if zeros.dtype.kind in "fc" else np.zeros(zeros.shape)


@names_itself
def jacobian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return the function that computes the Jacobian of f for one argument.

    Row by row in reverse mode, or column by column in forward mode, whichever are fewer.

    Parameters
    ----------
    f
        A function whose result is one array.
    argnums : int
        The position of the argument, an array or nested arrays.

    Returns
    -------
    callable
        Takes the arguments of f. For each array of the argument an array of shape ``result.shape + array.shape``.
        Of a complex result it has the derivatives along real steps: the complex derivatives, where f has them.

    Examples
    --------
    >>> mg.jacobian(lambda x: np.array([[1.0, 2.0], [3.0, 4.0]]) @ x)(np.zeros(2))
    array([[1., 2.],
           [3., 4.]])
    """
    if type(argnums) is not int:
        raise TypeError(f"jacobian: argnums is {argnums!r}; expected an integer")

    _check_callable("jacobian", f)

    @wraps(f)
    def whole(*args: Any, **kwargs: Any) -> Any:
        if not -len(args) <= argnums < len(args):
            raise TypeError(f"jacobian: argnums has {argnums}, but f was called with {len(args)} arguments")
        x = args[argnums]

        def of_one(moving: Any) -> Any:
            inputs = list(args)
            inputs[argnums] = moving
            return f(*inputs, **kwargs)

        result, pull = _vjp(of_one, (x,))
        if isinstance(result, (dict, list, tuple)):
            raise TypeError(
                f"jacobian: f returned a {type(result).__name__}; expected one array (for a Hessian make one vector of "
                "nested arguments, mg.flatten)"
            )
        shape, dtype = np.shape(result), result.dtype if type(result) is Tensor else np.result_type(result)
        leaves: list[Any] = []
        map_tree(list.append, leaves, x)
        entries = sum(math.prod(np.shape(leaf)) for leaf in leaves)
        if entries < math.prod(shape) or dtype.kind == "c":
            return _columns(of_one, x, leaves, shape)
        rows = [pull(basis)[0] for basis in _basis(shape, dtype)]
        every: list[list[Any]] = []
        for row in rows:
            each: list[Any] = []
            map_tree(list.append, each, row)
            every.append(each)
        stacked = iter(
            [
                np.reshape(np.stack([row[i] for row in every]), (*shape, *np.shape(leaf)))
                if every
                else np.zeros((*shape, *np.shape(leaf)))
                for i, leaf in enumerate(leaves)
            ]
        )
        return map_tree(next, stacked, x)

    return whole


def _columns(f: Callable[..., Any], x: Any, leaves: list[Any], shape: tuple[int, ...]) -> Any:
    """Compute a Jacobian column by column, in forward mode."""
    _, push = _jvp(f, (x,))
    dtypes = [leaf.dtype if type(leaf) is Tensor else as_array(leaf).dtype for leaf in leaves]
    zeros = [np.zeros(np.shape(leaf), dtype) for leaf, dtype in zip(leaves, dtypes, strict=True)]
    blocks = []
    for i, zero in enumerate(zeros):
        directions = [[*zeros[:i], basis, *zeros[i + 1 :]] for basis in _basis(zero.shape, zero.dtype)]
        columns = [push((map_tree(next, iter(each), x),)) for each in directions]
        block = np.stack(columns, axis=-1) if columns else np.zeros((*shape, 0), zero.dtype)
        blocks.append(np.reshape(block, (*shape, *zero.shape)))
    return map_tree(next, iter(blocks), x)


def _basis(shape: tuple[int, ...], dtype: Any) -> list[Any]:
    """Return the arrays of a shape that are 1 in one entry and 0 elsewhere."""
    size = math.prod(shape)
    return [np.reshape(row, shape) for row in np.eye(size, dtype=dtype)]


@names_itself
def hessian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return the function that computes the matrix of second derivatives of a scalar function.

    Its shape is the argument's twice, one array alone; `hvp` multiplies by it at the cost of two gradients.

    Examples
    --------
    >>> mg.hessian(lambda x: np.prod(x))(np.array([2.0, 3.0]))
    array([[0., 1.],
           [1., 0.]])
    """
    return jacobian(grad(f, argnums), argnums)


@names_itself
def hvp(f: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """Return the product of the Hessian of a scalar function, for its first argument, with a vector.

    Parameters
    ----------
    f
        A function whose result has one entry.
    primals : tuple
        Its arguments.
    tangents : tuple of one
        The vector, nested and shaped as the first argument.

    Examples
    --------
    >>> mg.hvp(lambda x: np.sum(x**3), (np.array([1.0, 2.0]),), (np.array([1.0, 1.0]),))
    array([ 6., 12.])
    """
    if len(primals) < 1 or len(tangents) != 1:
        raise TypeError(
            f"hvp: got {len(primals)} primals and {len(tangents)} tangents; expected the arguments, and one vector, "
            "for the first of them"
        )
    (vector,) = tangents
    first, *others = primals
    return jvp(lambda x: grad(f)(x, *others), (first,), (vector,))[1]


@names_itself
def elementwise_grad(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return the derivative of a function that acts entry by entry; of its result's sum, in general.

    Examples
    --------
    >>> mg.elementwise_grad(np.tanh)(np.zeros(3))
    array([1., 1., 1.])
    """
    _check_callable("elementwise_grad", f)
    return grad(lambda *args, **kwargs: np.sum(f(*args, **kwargs)), argnums)


def _check_callable(called: str, f: Any) -> None:
    if not callable(f):
        raise TypeError(f"{called}: got {f!r}; expected a function of arrays")


@names_itself
def per_example_grads(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return the function that computes the gradient of a loss for each example of a batch by itself.

    Parameters
    ----------
    f
        ``f(params, *batch) -> loss``, for a batch of any size: each array of ``batch`` has the examples along its
        first axis.
    argnums : int
        The position of the argument to differentiate for; all others are the batch.

    Returns
    -------
    callable
        Takes the arguments of f; returns the gradients, the examples along a new first axis. It runs f once an
        example, on a batch of one.
    """
    gradient = grad(f, argnums)

    @wraps(f)
    def each(*args: Any) -> Any:
        batch = [x for i, x in enumerate(args) if i != argnums % len(args)]
        counts = {len(x) for x in batch}
        if len(counts) != 1 or counts == {0}:
            raise ValueError(
                f"per_example_grads: the batch has {sorted(counts)} examples; expected one count, >= 1"
            )
        found: list[list[Any]] = []
        for i in range(counts.pop()):
            one = [x if j == argnums % len(args) else x[i : i + 1] for j, x in enumerate(args)]
            leaves: list[Any] = []
            map_tree(list.append, leaves, gradient(*one))
            found.append(leaves)
        stacked = iter([np.stack(column) for column in zip(*found, strict=True)])
        return map_tree(next, stacked, args[argnums])

    return each


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
    ValueError
        If ``unflatten`` is given a vector of another length.

    Examples
    --------
    >>> vector, unflatten = mg.flatten({"w": np.ones((2, 2)), "b": np.zeros(1)})
    >>> unflatten(vector)["w"].shape
    (2, 2)
    """
    leaves: list[Any] = []
    map_tree(list.append, leaves, tree)
    leaves = [leaf if type(leaf) is Tensor else as_array(leaf) for leaf in leaves]
    shapes = [leaf.shape for leaf in leaves]
    dtypes = [leaf.dtype for leaf in leaves]
    ends = np.cumsum([math.prod(shape) for shape in shapes]).tolist()
    length = ends[-1] if ends else 0
    vector = np.concatenate([np.ravel(leaf) for leaf in leaves]) if leaves else np.zeros(0)

    def unflatten(vector: Any) -> Any:
        vector = vector if type(vector) is Tensor else as_array(vector)
        if vector.shape != (length,):
            raise ValueError(f"flatten: the vector has shape {vector.shape}; expected ({length},)")
        parts = zip([0, *ends], ends, shapes, dtypes, strict=False)
        each = iter(
            [
                np.reshape(vector[start:end] if dtype.kind == "c" else real(vector[start:end]), shape).astype(
                    dtype, copy=False
                )
                for start, end, shape, dtype in parts
            ]
        )
        return map_tree(next, each, tree)

    return vector, unflatten
