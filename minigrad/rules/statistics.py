"""Averages, variances and covariances."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import metadata
from .conjugates import adjoint, conj, real
from .overriding import any_true, whole
from .reductions import axes_of, count_of, keep, narrowed, per_entry, where_chosen, widened
from .table import Arguments, Draw, compose, declare


def _average_inputs(draw: Draw) -> Arguments:
    x = draw.array(draw.shape(min_ndim=1, min_side=1))
    axis = draw.choice([None, *range(-x.ndim, x.ndim)])
    shapes = [x.shape] if axis is None else [x.shape, (x.shape[axis],)]
    weights = draw.choice([None, draw.array(draw.choice(shapes), 0.5, 2.0)])
    return (x, axis, weights), {"keepdims": draw.choice([False, True])}


@whole(checks=True)
def none_is_zero(scale: Any) -> np.bool_:
    """Refuse weights that sum to zero, as NumPy does."""
    if np.any(np.equal(scale, 0)):
        raise ZeroDivisionError("numpy.average: weights sum to zero; expected sums that are not 0")
    return np.bool_(True)


@compose(np.average, inputs=_average_inputs)
def _average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    """The weights are operands, too."""
    a = metadata.as_operand(a)
    if weights is None:
        mean = np.mean(a, axis=axis, keepdims=keepdims)
        return (mean, np.full(mean.shape, a.size / mean.size, mean.dtype)) if returned else mean
    weights = metadata.as_operand(weights)
    axes = axes_of(a, axis)
    if weights.shape != a.shape:
        if axis is None or weights.shape != tuple(a.shape[i] for i in axes):
            raise (TypeError if axis is None else ValueError)(
                f"numpy.average: weights have shape {weights.shape} and a {a.shape}; expected the same, or with an "
                "axis the lengths of that"
            )
        weights = np.transpose(weights, tuple(int(i) for i in np.argsort(axes)))
        weights = np.reshape(weights, [n if i in axes else 1 for i, n in enumerate(a.shape)])
        weights = np.broadcast_to(weights, a.shape)
    integer = [np.dtype(float)] if a.dtype.kind in "biu" else []
    weights = weights.astype(np.result_type(a.dtype, weights.dtype, *integer))  # as NumPy
    scale = np.sum(weights, axis=axis, keepdims=keepdims)
    none_is_zero(scale)
    mean = np.sum(a * weights, axis=axis, keepdims=keepdims) / scale
    return (mean, scale) if returned else mean


ONE_ROW_TURNS = np.cov([[1.0, 2.0]], rowvar=False, bias=True).ndim == 2
"""Whether with ``rowvar=False`` one row is one observation, too: so in newer NumPys."""


def _table_inputs(draw: Draw) -> Arguments:
    """Draw three or four observations of some variables, and of some more, or of one variable alone."""
    m, k, n = draw.integer(1, 3), draw.integer(1, 2), draw.integer(3, 4)
    rowvar, *shapes = draw.choice([(True, (m, n), (k, n)), (False, (n, m), (n, k)), (True, (n,), (n,))])
    operands = tuple(draw.array(shape) for shape in shapes[: draw.integer(1, 2)])
    return operands, {"rowvar": rowvar}


def _cov_inputs(draw: Draw) -> Arguments:
    operands, options = _table_inputs(draw)
    n = operands[0].shape[-1 if options["rowvar"] else 0]
    options |= draw.choice([{}, {"bias": True}, {"ddof": 0}, {"aweights": [0.5, 1.0, 1.5, 0.75][:n]}])
    return operands, {**options, **draw.choice([{}, {"fweights": [1, 2, 3, 2][:n]}])}


def _cov_call(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Arguments:
    """Return one array of all variables, the weights of observations, and what a sum of products is divided by."""
    x = _variables(m, rowvar, ONE_ROW_TURNS)
    if y is not None:
        x = np.concatenate([x, _variables(y, rowvar, False)], axis=0)
    dtype = np.dtype(np.result_type(x.dtype, np.float64) if dtype is None else dtype)
    x = x if x.dtype == dtype else x.astype(dtype)
    ddof = (0 if bias else 1) if ddof is None else ddof
    if ddof != int(ddof):
        raise ValueError(f"numpy.cov: ddof is {ddof}; expected an integer")
    w = _weights(x.shape[1], fweights, aweights)
    count = x.shape[1] if w is None else np.sum(w)
    lost = ddof if aweights is None else ddof * np.sum(w * np.asarray(aweights)) / count
    return (x,), {"w": w, "freedom": max(float(count - lost), 0.0)}


def _centred(x: Any, w: Any) -> tuple[Any, Any]:
    """Return each variable less its mean; and this times the weights of the observations."""
    if w is None:
        x = x - np.mean(x, axis=1, keepdims=True)
        return x, x
    x = x - np.sum(x * w, axis=1, keepdims=True) / np.sum(w)
    return x, x * w


def _covariance(x: Any, w: Any, freedom: float) -> Any:
    x, weighted = _centred(x, w)
    return np.squeeze(np.matmul(x, np.transpose(conj(weighted))) / freedom)


def _cov(g: Any, out: Any, x: Any, w: Any, freedom: float) -> Any:
    """What an entry moves the means by cancels."""
    _, weighted = _centred(x, w)
    g = np.reshape(g, (len(x), len(x))) / freedom
    return (g + adjoint(g)) @ conj(weighted)


declare(np.cov, _cov, bind=_cov_call, forward=_covariance, inputs=_cov_inputs, memory="new")


def _weights(n: int, fweights: Any, aweights: Any) -> Any:
    """Return the product of the weights of n observations, those of frequency and those of importance; or None."""
    w = None
    for name, each in (("fweights", fweights), ("aweights", aweights)):
        if each is None:
            continue
        each = np.asarray(each, dtype=np.float64)
        if each.shape != (n,):
            raise ValueError(f"numpy.cov: {name} has shape {each.shape}; expected ({n},), one an observation")
        if np.any(each < 0) or (name == "fweights" and np.any(each != np.rint(each))):
            raise ValueError(
                f"numpy.cov: {name} has negative entries, or fractions; expected fweights as counts, and aweights "
                "not below 0"
            )
        w = each if w is None else w * each
    return w


def _variables(x: Any, rowvar: bool, one_row_turns: bool) -> Any:
    """Return an array of one row for each variable."""
    x = metadata.as_operand(x)
    if x.ndim > 2:
        raise ValueError(f"numpy.cov: an operand has {x.ndim} axes; expected 2 at most")
    if x.ndim < 2:
        return np.reshape(x, (1, -1))
    return x if rowvar or (x.shape[0] == 1 and not one_row_turns) else np.transpose(x)


def _correlations(c: Any) -> Any:
    if c.ndim == 0:
        return c / c
    deviations = np.sqrt(real(np.diagonal(c)))
    found = c / np.expand_dims(deviations, -1) / deviations
    if c.dtype.kind == "c":
        return np.clip(np.real(found), -1, 1) + 1j * np.clip(np.imag(found), -1, 1)
    return np.clip(found, -1, 1)


def _corrcoef(g: Any, out: Any, c: Any) -> Any:
    """Each is a covariance over two deviations, which are the roots of variances."""
    if c.ndim == 0:
        return np.zeros_like(c)
    variances = real(np.diagonal(c))
    deviations, weighted = np.sqrt(variances), g * out
    of_roots = np.sum(weighted, axis=0) + np.sum(weighted, axis=1)
    return g / np.expand_dims(deviations, -1) / deviations - np.diag(of_roots / (2 * variances))


declare(
    np.corrcoef,
    _corrcoef,
    bind=lambda x, y=None, rowvar=True, *, dtype=None: ((np.cov(x, y, rowvar, dtype=dtype),), {}),
    forward=_correlations,
    inputs=_table_inputs,
    memory="new",
)


def spread_inputs(draw: Draw) -> Arguments:
    """Draw at least three entries an average, so that ddof = 1 leaves some."""
    x = draw.array((draw.integer(3, 4), draw.integer(3, 4)))
    options: dict[str, Any] = {
        "axis": draw.choice([None, 0, -1, (0, 1)]),
        "ddof": draw.choice([0, 1, np.uint8(1)]),
        "keepdims": draw.choice([False, True]),
    }
    if draw.choice([False, False, True]):
        options["where"] = (np.add.outer(*map(np.arange, x.shape)) % 3 != 1).tolist()
    return (x,), options


def _freedom(a: Any, axis: Any, where: Any, ddof: Any, correction: Any) -> Any:
    """Return n - ddof, or 0: what the sum of squares is divided by."""
    freedom = count_of(a, axis, where) - float(ddof if correction is None else correction)
    return max(freedom, 0.0) if where is True else np.maximum(freedom, 0.0)


def _deviation(a: Any, axis: Any, where: Any, mean: Any) -> Any:
    """Return a - mean, 0 for the entries that ``where`` leaves out."""
    if where is True:
        return a - (np.mean(a, axis=axis, keepdims=True) if mean is None else mean)
    a = np.where(where, a, 0)
    return a - (np.mean(a, axis=axis, keepdims=True, where=where) if mean is None else mean)


def var(
    g: Any,
    out: Any,
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """2 (a - mean)^* / (n - ddof): what a moves the mean by cancels. A ``mean`` that is given is a constant."""
    scale = 2 * per_entry(keep(g, axis, keepdims), _freedom(a, axis, where, ddof, correction))
    return where_chosen(scale * conj(_deviation(a, axis, where, mean)), where)


def std(
    g: Any,
    out: Any,
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """(a - mean)^* / ((n - ddof) std); at std = 0 the subgradient 0. Of float16 in float32: its squares overflow."""
    wide, freedom = widened(a), _freedom(a, axis, where, ddof, correction)
    deviation = _deviation(wide, axis, where, mean)
    if wide is a:
        spread = keep(out, axis, keepdims)
    else:
        squares = where_chosen(np.square(deviation), where)
        spread = np.sqrt(np.sum(squares, axis=axis, keepdims=True) / freedom)
    spread = np.where(np.equal(spread, 0), spread.dtype.type(1), spread)
    return where_chosen(per_entry(keep(g, axis, keepdims), freedom) / spread * conj(deviation), where)


def _about(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    where: Any = True,
    *,
    mean: Any,
    correction: Any = None,
) -> Any:
    """Return the variance about a mean that is a tensor, as NumPy computes it."""
    a = metadata.as_operand(a)
    deviation = _deviation(a, axis, where, mean)
    squares = widened(real(deviation * conj(deviation)))
    total = np.sum(squares, axis=axis, dtype=dtype, keepdims=keepdims, where=where)
    freedom = _freedom(a, axis, where, ddof, correction)
    out = total / (freedom if where is True else np.reshape(freedom, total.shape))
    return narrowed(out, a) if dtype is None else out


def _root_about(a: Any, axis: Any = None, **options: Any) -> Any:
    """Return the root of `_about`; where it is 0, so is the gradient."""
    variance = _about(a, axis, **options)
    zero = np.equal(variance, 0)
    if not any_true(zero):
        return np.sqrt(variance)
    return np.where(zero, 0, np.sqrt(np.where(zero, 1, variance)))[()]


declare(np.var, var, of_tensors={"mean": _about}, inputs=spread_inputs, memory="new")
declare(np.std, std, of_tensors={"mean": _root_about}, inputs=spread_inputs, memory="new")
