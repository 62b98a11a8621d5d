"""Products with the Jacobian, whole Jacobians, Hessians: made of gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..rules.conjugates import conj
from .arguments import check_callable, names_itself
from .arrays import as_array
from .calls import SMALL
from .containers import leaves_like, leaves_of, map_tree, rebuilt_of
from .derivatives import Options, argument, grad, pulled_back, recorded, released
from .recording import Call
from .tensor import Tensor


@names_itself
def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """Return ``f(*primals)``, and the function that multiplies a vector by the Jacobian from the left: reverse mode.

    Parameters
    ----------
    f
        A function of arrays, or of nested containers of them, that returns such.
    *primals
        Its arguments, each made of real floats; f is differentiated for all of them.

    Returns
    -------
    value
        ``f(*primals)``: plain arrays; as in `grad`, tensors on the tape where other tensors that require a gradient
        are behind it.
    pullback : callable
        ``pullback(cotangent)`` returns a tuple of gradients, one for each argument: those of the sum of
        ``cotangent * value``; of complex numbers, of the real part of ``conj(cotangent) * value``. The cotangent is
        nested and shaped as the value is. It may be called many times.

    Raises
    ------
    ValueError
        If a cotangent is nested or shaped otherwise than the value.

    Examples
    --------
    >>> value, pullback = mg.vjp(lambda x: x**2, np.array([1.0, 2.0]))
    >>> pullback(np.array([1.0, 10.0]))
    (array([ 2., 40.]),)
    """
    result, pull, targets = _vjp(f, primals, "vjp: a cotangent")
    return map_tree(released, targets, result), pull


def _vjp(
    f: Callable[..., Any], primals: tuple[Any, ...], given: str, *others: Any
) -> tuple[Any, Callable[[Any], tuple[Any, ...]], dict[int, Call]]:
    """Return the recorded value, the pullback and the targets; ``given`` names the cotangent in errors.

    f may read the ``others`` as well.
    """
    targets: dict[int, Call] = {}
    options = Options(primals, others)
    inputs = [map_tree(_kept_input, (targets, options), x) for x in primals]
    try:
        result = recorded(f, inputs, {}, targets)
    finally:
        options.let_go()
    outs = leaves_of(result)

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        call, g = _seed(outs, leaves_like(result, cotangent, given), given)
        gradients, _ = pulled_back(call, g, targets)
        return rebuilt_of(primals, gradients)  # type: ignore[no-any-return]

    return result, pullback, targets


def _kept_input(shared: tuple[dict[int, Call], Options], leaf: Any) -> Tensor:
    """Make the tensor that f gets; small arrays are copied, as they may change before the pullback is called."""
    if not (type(leaf) is np.ndarray and leaf.size <= SMALL):
        return argument(shared, leaf)
    made = argument(shared, leaf.copy("K"))
    targets, options = shared
    options.originals[next(reversed(targets))] = leaf
    return made


def _seed(outs: list[Any], cotangents: list[Any], given: str) -> tuple[Call | None, Any]:
    """Return the call to walk back from and the gradient of its result: of one array, or of a weighted sum."""
    pairs = []
    for out, g in zip(outs, cotangents, strict=True):
        g = g if type(g) is Tensor else as_array(g)
        if g.shape != np.shape(out):
            raise ValueError(f"{given} has shape {g.shape}; expected {np.shape(out)}")
        if type(out) is Tensor and out._call is not None:
            pairs.append((out, g.astype(out.dtype, casting="same_kind", copy=False)))
    if len(pairs) == 1:
        return pairs[0][0]._call, pairs[0][1]
    with np.errstate(all="ignore"):  # the sum's value is never read
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

    Returns
    -------
    value, derivative
        Plain arrays; as in `grad`, tensors on the tape where other tensors that require a gradient are behind them.

    Raises
    ------
    TypeError
        If primals or tangents are no tuple, or not as many.
    ValueError
        If a tangent is nested or shaped otherwise than its primal.

    Examples
    --------
    >>> mg.jvp(np.sin, (0.0,), (2.0,))
    (np.float64(0.0), np.float64(2.0))
    """
    _check_tuples("jvp", primals, tangents)
    if len(primals) != len(tangents):
        raise TypeError(f"jvp: got {len(primals)} primals and {len(tangents)} tangents; expected as many")
    value, push = _pushed(*_vjp(f, tuple(primals), "jvp: the value"))
    return value, push(tuple(tangents))


def _check_tuples(called: str, primals: Any, tangents: Any) -> None:
    for name, each in (("primals", primals), ("tangents", tangents)):
        if not isinstance(each, (tuple, list)):
            raise TypeError(
                f"{called}: {name} is a {type(each).__name__}; expected a tuple, as for one argument x: (x,)"
            )


def _pushed(
    result: Any, pull: Callable[[Any], tuple[Any, ...]], targets: dict[int, Call]
) -> tuple[Any, Callable[[tuple[Any, ...]], Any]]:
    """Record the pass back; return the value, and the function that multiplies by the Jacobian from the right."""
    zeros = map_tree(_zeros, None, result)
    _, push, of_pull = _vjp(pull, (zeros,), "jvp: a tangent")

    def along(tangents: tuple[Any, ...]) -> Any:
        (tangent,) = push(tangents)
        return map_tree(released, targets | of_pull, tangent)

    return map_tree(released, targets, result), along


def _zeros(_: Any, x: Any) -> Any:
    """Return zeros of the shape and dtype of a result; of floats where it is of integers, which have no tangent."""
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
    check_callable("jacobian", f)

    @wraps(f)
    def whole(*args: Any, **kwargs: Any) -> Any:
        if not -len(args) <= argnums < len(args):
            raise TypeError(f"jacobian: argnums has {argnums}, but f was called with {len(args)} arguments")
        x, others = args[argnums], [each for i, each in enumerate(args) if i != argnums % len(args)]

        def of_one(moving: Any) -> Any:
            inputs = list(args)
            inputs[argnums] = moving
            return f(*inputs, **kwargs)

        recorded_once = result, pull, _ = _vjp(of_one, (x,), "jacobian: a row", others, kwargs)
        shape, dtype = _form_of(result)
        leaves = leaves_of(x)
        entries = sum(math.prod(np.shape(leaf)) for leaf in leaves)
        if entries < math.prod(shape) or dtype.kind == "c":
            return _columns(_pushed(*recorded_once)[1], x, leaves, shape)
        return _rows(pull, x, leaves, shape, dtype)

    return whole


def _form_of(result: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and dtype of a function's result; refuse all but one array of floats."""
    if isinstance(result, (dict, list, tuple)):
        raise TypeError(
            f"jacobian: f returned a {type(result).__name__}; expected one array (for a Hessian make one vector of "
            "nested arguments, mg.flatten)"
        )
    if result is None:
        raise TypeError("jacobian: f returned None; expected one array")
    dtype = result.dtype if type(result) is Tensor else np.result_type(result)
    if dtype.kind not in "fc" and type(result) is not int:
        raise TypeError(f"jacobian: f returned dtype {dtype}, which has no gradient; expected floats")
    return np.shape(result), dtype


def _rows(
    pull: Callable[[Any], tuple[Any, ...]], x: Any, leaves: list[Any], shape: tuple[int, ...], dtype: Any
) -> Any:
    """Compute a Jacobian row by row, in reverse mode."""
    rows = [leaves_of(pull(basis)[0]) for basis in _basis(shape, dtype)]
    blocks = [_joined([row[i] for row in rows], (*shape, *np.shape(leaf))) for i, leaf in enumerate(leaves)]
    return rebuilt_of(x, blocks)


def _joined(rows: list[Any], shape: tuple[int, ...]) -> Any:
    """Return the rows as one array of the shape."""
    if not rows:
        return np.zeros(shape)
    found = np.stack(rows) if len(rows) > 1 else rows[0]
    return found if found.shape == shape else np.reshape(found, shape)


def _columns(
    push: Callable[[tuple[Any, ...]], Any], x: Any, leaves: list[Any], shape: tuple[int, ...]
) -> Any:
    """Compute a Jacobian column by column, in forward mode."""
    dtypes = [leaf.dtype if type(leaf) is Tensor else as_array(leaf).dtype for leaf in leaves]
    zeros = [np.zeros(np.shape(leaf), dtype) for leaf, dtype in zip(leaves, dtypes, strict=True)]
    blocks = []
    for i, zero in enumerate(zeros):
        directions = [[*zeros[:i], basis, *zeros[i + 1 :]] for basis in _basis(zero.shape, zero.dtype)]
        columns = [push((rebuilt_of(x, each),)) for each in directions]
        block = np.stack(columns, axis=-1) if columns else np.zeros((*shape, 0), zero.dtype)
        blocks.append(np.reshape(block, (*shape, *zero.shape)))
    return rebuilt_of(x, blocks)


def _basis(shape: tuple[int, ...], dtype: Any) -> list[Any]:
    """Return the arrays of a shape that are 1 in one entry and 0 elsewhere."""
    size = math.prod(shape)
    return [np.reshape(row, shape) for row in np.eye(size, dtype=dtype)]


@names_itself
def hessian(f: Callable[..., Any], argnums: int = 0) -> Callable[..., Any]:
    """Return the function that computes the matrix of second derivatives of a scalar function, or of each of several.

    Its shape is the argument's twice, one array alone, after the result's, if that has more than one entry. `hvp`
    multiplies by the matrix of a scalar function at the cost of two gradients.

    Examples
    --------
    >>> mg.hessian(lambda x: np.prod(x))(np.array([2.0, 3.0]))
    array([[0., 1.],
           [1., 0.]])
    """
    slopes = jacobian(f, argnums)

    @wraps(f)
    def first(*args: Any, **kwargs: Any) -> Any:
        found, x = slopes(*args, **kwargs), args[argnums]
        if isinstance(found, (dict, list, tuple)):
            return found  # which `jacobian` refuses
        before = found.shape[: found.ndim - np.ndim(x)]
        return np.reshape(found, np.shape(x)) if before and math.prod(before) == 1 else found

    return jacobian(first, argnums)


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
    _check_tuples("hvp", primals, tangents)
    if len(primals) < 1 or len(tangents) != 1:
        raise TypeError(
            f"hvp: got {len(primals)} primals and {len(tangents)} tangents; expected the arguments, and one vector, "
            "for the first of them"
        )
    (vector,) = tangents
    first, *others = primals
    return jvp(lambda x: grad(f)(x, *others), (first,), (vector,))[1]
