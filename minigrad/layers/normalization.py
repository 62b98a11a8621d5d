"""Batch, layer and group normalization: (x - mean) / standard deviation, scaled and shifted.

They differ in the axes that share a mean: `batchnorm` takes it over the examples, `layernorm` over the features of an
example, `groupnorm` over groups of an example's channels. float16 inputs are computed in float32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..engine.arguments import takes_arrays
from ..engine.calls import bare
from ..engine.layer import layer
from ..engine.recording import Array, recomputing
from ..rules.reductions import narrowed, widened
from ..rules.row_sums import sums, sums_of_products
from ..rules.table import Arguments, Draw
from .parameters import check_dout, check_keys, check_number

Param = dict[str, Any]
Gradients = tuple[Array, Array, Array]
EPS = 1e-5
_BATCH_KEYS = frozenset({"mode", "eps", "momentum", "running_mean", "running_var"})
_KEYS = frozenset({"eps", "mode"})  # a mode has no effect: the dict may be shared with a batch normalization


def moments(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array, Array, Array]:
    """Return x - mean over axes, 1 / standard deviation, the mean and the variance."""
    count = _count(x, axes)
    mean = sums(x, axes) / count
    centered = x - mean
    var = sums_of_products(centered, centered, axes) / count
    return centered, 1 / np.sqrt(var + eps), mean, var


def normalized(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array]:
    """Return (x - mean) / standard deviation over axes, and 1 / standard deviation."""
    centered, inverse, _, _ = moments(x, axes, eps)
    return centered * inverse, inverse


@takes_arrays
def normalized_backward(dhat: Array, hat: Array, inverse: Array, axes: tuple[int, ...]) -> Array:
    """Return the gradient of `normalized` for x, given that of its first result, hat."""
    count = _count(hat, axes)
    dx: Array = hat * (sums_of_products(hat, dhat, axes) / -count)
    dx += dhat
    dx -= sums(dhat, axes) / count
    dx *= inverse
    return dx


# -- over the examples ---------------------------------------------------------------------------------------


@takes_arrays
def batchnorm_forward(x: Array, gamma: Array, beta: Array, bn_param: Param) -> tuple[Array, Any]:
    """Normalize each feature over the batch, or by its running mean and variance; scale by gamma, shift by beta.

    Ioffe, Szegedy: "Batch normalization: accelerating deep network training by reducing internal covariate shift",
    2015.

    Parameters
    ----------
    x : ndarray of shape (N, D), or (N, D, d_1, …, d_k): then the batch is all but the second axis
    gamma, beta : ndarrays of shape (D,)
    bn_param : dict
        ``mode``: ``"train"`` or ``"test"``. ``eps``, 1e-5 by default, is added to the variance. ``running_mean`` and
        ``running_var`` of shape (D,): training updates them in place,
        ``running = momentum * running + (1 - momentum) * of this batch``, with ``momentum`` 0.9 by default, and makes
        them, beginning at 0, where they are missing. (Under `minigrad.jit` the dict must be an argument.)

    Returns
    -------
    out : ndarray of x's shape
    cache : tuple

    Raises
    ------
    ValueError
        If shapes do not fit, the mode is another, eps is negative, momentum is not in [0, 1], ``bn_param`` has other
        keys, the batch to train on has fewer than two examples, or the running statistics to test with are missing.
    """
    axes = _checked_batch(x, gamma, beta, bn_param)
    gamma_x, beta_x = _along_channels(gamma, x), _along_channels(beta, x)
    wide = widened(x)
    if bn_param["mode"] == "train":
        centered, inverse, mean, var = moments(wide, axes, bn_param.get("eps", EPS))
    else:
        mean, var = (
            _along_channels(bn_param[f"running_{each}"], x).astype(wide.dtype) for each in ("mean", "var")
        )
        inverse = 1 / np.sqrt(var + wide.dtype.type(bn_param.get("eps", EPS)))
        centered = wide - mean
    out = narrowed(_shifted(gamma_x * inverse * centered, beta_x), x, gamma, beta)
    if bn_param["mode"] == "train" and not recomputing.get():
        _update_running(bn_param, mean.reshape(gamma.shape), var.reshape(gamma.shape))
    return out, (bn_param["mode"], axes, centered, inverse, gamma_x)


@takes_arrays
def batchnorm_backward(dout: Array, cache: Any) -> Gradients:
    """Compute the gradients of `batchnorm_forward`, step by step back through mean and variance.

    Parameters
    ----------
    dout : ndarray of x's shape
    cache : tuple

    Returns
    -------
    dx, dgamma, dbeta : ndarrays of the shapes of x, gamma and beta
    """
    mode, axes, centered, inverse, gamma = cache
    check_dout("batchnorm_backward", dout, centered.shape)
    slope, dbeta = _parameter_gradients(dout, centered, axes)
    dgamma = slope * inverse.reshape(-1)
    dhat = widened(dout) * gamma
    if mode == "test":
        return _narrowed(dout, dhat * inverse, dgamma, dbeta)
    count = _count(centered, axes)
    dinverse = sums_of_products(centered, dhat, axes)
    dvar = -0.5 * dinverse * inverse * inverse * inverse
    dcentered = dhat * inverse + 2 / count * centered * dvar
    dmean = -sums(dcentered, axes)
    return _narrowed(dout, dcentered + dmean / count, dgamma, dbeta)


@takes_arrays
def batchnorm_backward_alt(dout: Array, cache: Any) -> Gradients:
    """Compute the gradients of `batchnorm_forward`, simplified on paper. Shapes as there.

    dx = gamma inverse (dout - mean of dout - hat (mean of dout hat)), hat = inverse centered, in place.
    """
    mode, axes, centered, inverse, gamma = cache
    check_dout("batchnorm_backward_alt", dout, centered.shape)
    slope, dbeta = _parameter_gradients(dout, centered, axes)
    dgamma = slope * inverse.reshape(-1)
    if mode == "test":
        return _narrowed(dout, widened(dout) * (gamma * inverse), dgamma, dbeta)
    count = _count(centered, axes)
    dx = centered * (inverse * (dgamma / -count).reshape(inverse.shape))
    dx += dout
    dx -= (dbeta / count).reshape(inverse.shape)
    return _narrowed(dout, _scaled(dx, gamma * inverse), dgamma, dbeta)


@takes_arrays
def spatial_batchnorm_forward(x: Array, gamma: Array, beta: Array, bn_param: Param) -> tuple[Array, Any]:
    """Compute `batchnorm_forward` for each channel of images, x of shape (N, C, H, W); gamma, beta of shape (C,)."""
    _check_images("spatial_batchnorm", x)
    return batchnorm_forward(x, gamma, beta, bn_param)


@takes_arrays
def spatial_batchnorm_backward(dout: Array, cache: Any) -> Gradients:
    """Compute the gradients of `spatial_batchnorm_forward`: dx, dgamma, dbeta."""
    return batchnorm_backward_alt(dout, cache)


# -- over the features of an example -------------------------------------------------------------------------


@takes_arrays
def layernorm_forward(x: Array, gamma: Array, beta: Array, ln_param: Param) -> tuple[Array, Any]:
    """Normalize each example over its features, the last axis; scale by gamma, shift by beta.

    Ba, Kiros, Hinton: "Layer normalization", 2016.

    Parameters
    ----------
    x : ndarray of shape (N, D), or (…, D)
    gamma, beta : ndarrays of shape (D,)
    ln_param : dict
        ``eps``, 1e-5 by default, is added to the variance. A ``mode``, as of batch normalization, is ignored.

    Returns
    -------
    out : ndarray of x's shape
    cache : tuple

    Raises
    ------
    ValueError
        If shapes do not fit, eps is negative, or ``ln_param`` has other keys.
    """
    _check_eps("layernorm: ln_param", ln_param)
    _check_parameters("layernorm", x, gamma, beta, axis=-1)
    hat, inverse = normalized(widened(x), (-1,), ln_param.get("eps", EPS))
    return narrowed(_shifted(gamma * hat, beta), x, gamma, beta), (hat, inverse, gamma)


@takes_arrays
def layernorm_backward(dout: Array, cache: Any) -> Gradients:
    """Compute the gradients of `layernorm_forward`: dx, dgamma, dbeta."""
    hat, inverse, gamma = cache
    check_dout("layernorm_backward", dout, hat.shape)
    dgamma, dbeta = _parameter_gradients(dout, hat, tuple(range(dout.ndim - 1)))
    dx = normalized_backward(widened(dout) * gamma, hat, inverse, (-1,))
    return _narrowed(dout, dx, dgamma, dbeta)


@takes_arrays
def groupnorm_forward(x: Array, gamma: Array, beta: Array, G: int, gn_param: Param) -> tuple[Array, Any]:
    """Normalize each example over each of G groups of its channels; scale by gamma, shift by beta.

    Wu, He: "Group normalization", 2018.

    Parameters
    ----------
    x : ndarray of shape (N, C, d_1, …, d_k)
    gamma, beta : ndarrays of shape (C,)
    G : int
        The number of groups; it divides C.
    gn_param : dict
        ``eps``, 1e-5 by default, is added to the variance. A ``mode``, as of batch normalization, is ignored.

    Returns
    -------
    out : ndarray of x's shape
    cache : tuple

    Raises
    ------
    ValueError
        If shapes do not fit, G does not divide C, eps is negative, or ``gn_param`` has other keys.
    """
    _check_eps("groupnorm: gn_param", gn_param)
    _check_parameters("groupnorm", x, gamma, beta, axis=1)
    channels = x.shape[1]
    if not isinstance(G, (int, np.integer)) or G < 1 or channels % G:
        raise ValueError(
            f"groupnorm: G is {G!r}; expected a number of groups that divides the {channels} channels"
        )
    grouped = x.reshape(len(x), G, channels // G, *x.shape[2:])
    axes = tuple(range(2, grouped.ndim))
    hat, inverse = normalized(widened(grouped), axes, gn_param.get("eps", EPS))
    gamma_x = _along_channels(gamma, x)
    out = _shifted(gamma_x * hat.reshape(x.shape), _along_channels(beta, x))
    return narrowed(out, x, gamma, beta), (axes, hat, inverse, gamma_x)


@takes_arrays
def groupnorm_backward(dout: Array, cache: Any) -> Gradients:
    """Compute the gradients of `groupnorm_forward`: dx, dgamma, dbeta."""
    axes, hat, inverse, gamma = cache
    check_dout("groupnorm_backward", dout, (len(hat), hat.shape[1] * hat.shape[2], *hat.shape[3:]))
    dgamma, dbeta = _parameter_gradients(dout, hat.reshape(dout.shape), (0, *range(2, dout.ndim)))
    dx = normalized_backward((widened(dout) * gamma).reshape(hat.shape), hat, inverse, axes)
    return _narrowed(dout, dx.reshape(dout.shape), dgamma, dbeta)


@takes_arrays
def spatial_groupnorm_forward(
    x: Array, gamma: Array, beta: Array, G: int, gn_param: Param
) -> tuple[Array, Any]:
    """Compute `groupnorm_forward` of images, x of shape (N, C, H, W); gamma and beta have shape (1, C, 1, 1)."""
    _check_images("spatial_groupnorm", x)
    shape = (1, x.shape[1], 1, 1)
    for name, each in (("gamma", gamma), ("beta", beta)):
        if each.shape != shape:
            raise ValueError(f"spatial_groupnorm: {name} has shape {each.shape}; expected {shape}")
    return groupnorm_forward(x, gamma.reshape(-1), beta.reshape(-1), G, gn_param)


@takes_arrays
def spatial_groupnorm_backward(dout: Array, cache: Any) -> Gradients:
    """Compute the gradients of `spatial_groupnorm_forward`: dx, dgamma, dbeta."""
    dx, dgamma, dbeta = groupnorm_backward(dout, cache)
    shape = (1, dout.shape[1], 1, 1)
    return dx, dgamma.reshape(shape), dbeta.reshape(shape)


# -- shared helpers ------------------------------------------------------------------------------------------


def _along_channels(parameter: Array, x: Array) -> Array:
    """Return a parameter of shape (C,) so that it broadcasts along x's second axis."""
    return parameter.reshape(-1, *[1] * (x.ndim - 2))


def _shifted(scaled: Array, beta: Array) -> Array:
    """Return the sum, in place of the first operand where its dtype is that of both."""
    if beta.dtype == scaled.dtype:
        scaled += beta
        return scaled
    return scaled + beta


def _scaled(x: Array, factor: Array) -> Array:
    """Return the product, in place of the first operand where its dtype is that of both."""
    if factor.dtype == x.dtype:
        x *= factor
        return x
    return x * factor


def _count(x: Array, axes: tuple[int, ...]) -> int:
    """Return how many entries share a mean."""
    return math.prod([x.shape[i] for i in axes])


def _parameter_gradients(dout: Array, hat: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return dgamma and dbeta of out = gamma hat + beta, wide, since means are taken of them."""
    dout = widened(dout)
    return sums_of_products(hat, dout, axes).reshape(-1), sums(dout, axes).reshape(-1)


def _narrowed(dout: Array, dx: Array, dgamma: Array, dbeta: Array) -> Gradients:
    """Return gradients computed of the `widened` dout in its own dtype."""
    return narrowed(dx, dout), narrowed(dgamma, dout), narrowed(dbeta, dout)


def _update_running(bn_param: Param, mean: Array, var: Array) -> None:
    """Update the running statistics by those of a batch, in place; they start at 0."""
    momentum = bn_param.get("momentum", 0.9)
    for name, batch in (("running_mean", bare(mean)), ("running_var", bare(var))):
        if name in bn_param:
            bn_param[name] *= momentum
            bn_param[name] += (1 - momentum) * batch
        else:
            bn_param[name] = (1 - momentum) * batch


def _check_images(name: str, x: Array) -> None:
    if x.ndim != 4:
        raise ValueError(f"{name}: x has shape {x.shape}; expected (N, C, H, W)")


def _check_parameters(name: str, x: Array, gamma: Array, beta: Array, axis: int) -> None:
    """Refuse parameters that are not one number for each entry along an axis of x."""
    if x.ndim < 2:
        raise ValueError(f"{name}: x has shape {x.shape}; expected two axes or more")
    for called, each in (("gamma", gamma), ("beta", beta)):
        if each.shape != (x.shape[axis],):
            raise ValueError(
                f"{name}: {called} has shape {each.shape}; expected {(x.shape[axis],)} for x of shape {x.shape}"
            )


def _check_eps(name: str, param: Param, known: frozenset[str] = _KEYS) -> None:
    """Refuse unknown keys, and an eps that is no number >= 0."""
    check_keys(name, param, known)
    check_number(name, param, "eps", "[0, inf)")


def _checked_batch(x: Array, gamma: Array, beta: Array, bn_param: Param) -> tuple[int, ...]:
    """Return the axes of the batch; raise ValueError for shapes or a mode that do not fit."""
    _check_parameters("batchnorm", x, gamma, beta, axis=1)
    _check_eps("batchnorm: bn_param", bn_param, _BATCH_KEYS)
    check_number("batchnorm: bn_param", bn_param, "momentum", "[0, 1]")
    mode = bn_param.get("mode")
    if mode not in ("train", "test"):
        raise ValueError(f"batchnorm: mode is {mode!r}; expected bn_param['mode'] to be 'train' or 'test'")
    count = x.size // max(x.shape[1], 1)
    if mode == "train" and count < 2:
        raise ValueError(
            f"batchnorm: x has shape {x.shape}, a batch of {count} in training mode, whose variance is 0; give two "
            "examples or more, or mode 'test'"
        )
    for key in ("running_mean", "running_var"):
        if key in bn_param:
            if bn_param[key].shape != gamma.shape or bn_param[key].dtype.kind != "f":
                raise ValueError(
                    f"batchnorm: {key} is {bn_param[key].dtype} of shape {bn_param[key].shape}; expected floats of "
                    f"shape {gamma.shape}"
                )
        elif mode == "test":
            raise ValueError(
                f"batchnorm: bn_param has no {key!r} to test with; train first, with the same dict"
            )
    return (0, *range(2, x.ndim))


def _batch(draw: Draw, shape: tuple[int, ...]) -> Arguments:
    channels = shape[1]
    param = {"mode": draw.choice(["train", "test"]), "eps": 0.3}
    if param["mode"] == "test":
        param |= {"running_mean": draw.array((channels,)), "running_var": draw.array((channels,), 0.5, 2.0)}
    return (draw.array(shape), draw.array((channels,)), draw.array((channels,))), {"bn_param": param}


def _spatial(draw: Draw) -> tuple[int, ...]:
    return draw.integer(1, 2), draw.choice([2, 4]), draw.integer(1, 2), draw.integer(2, 3)


def _layernorm_inputs(draw: Draw) -> Arguments:
    d = draw.integer(1, 4)
    x = draw.array((draw.integer(0, 3), d))
    return (x, draw.array((d,)), draw.array((d,))), {"ln_param": {"eps": 0.3}}


def _groupnorm_inputs(draw: Draw, is_spatial: bool = False) -> Arguments:
    shape = _spatial(draw)
    of = (1, shape[1], 1, 1) if is_spatial else (shape[1],)
    return (draw.array(shape), draw.array(of), draw.array(of)), {
        "G": draw.choice([1, 2]),
        "gn_param": {"eps": 0.3},
    }


batchnorm = layer(
    batchnorm_forward,
    batchnorm_backward_alt,
    inputs=lambda draw: _batch(draw, (draw.integer(2, 4), draw.integer(1, 3))),
)
spatial_batchnorm = layer(
    spatial_batchnorm_forward, spatial_batchnorm_backward, inputs=lambda draw: _batch(draw, _spatial(draw))
)
layernorm = layer(layernorm_forward, layernorm_backward, inputs=_layernorm_inputs)
groupnorm = layer(groupnorm_forward, groupnorm_backward, inputs=_groupnorm_inputs)
spatial_groupnorm = layer(
    spatial_groupnorm_forward,
    spatial_groupnorm_backward,
    inputs=lambda draw: _groupnorm_inputs(draw, is_spatial=True),
)
