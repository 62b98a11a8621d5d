"""Layers that often follow one another, as one pair: affine and convolution with normalization, relu and pooling."""

from __future__ import annotations

from typing import Any

from ..engine.arguments import takes_arrays
from ..engine.layer import layer
from ..engine.recording import Array
from ..rules.table import Arguments, Draw
from .affine import affine_backward, affine_forward, relu_backward, relu_forward
from .convolution import conv_backward, conv_forward
from .normalization import (
    batchnorm_backward_alt,
    batchnorm_forward,
    layernorm_backward,
    layernorm_forward,
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
)
from .pooling import max_pool_backward, max_pool_forward

Cache = tuple[Any, ...]
Param = dict[str, Any]


@takes_arrays
def affine_bn_relu_forward(
    x: Array, w: Array, b: Array, gamma: Array, beta: Array, bn_param: Param
) -> tuple[Array, Cache]:
    """Compute `affine_forward`, `batchnorm_forward`, `relu_forward`. The cache has theirs."""
    a, affine_cache = affine_forward(x, w, b)
    n, norm_cache = batchnorm_forward(a, gamma, beta, bn_param)
    out, relu_cache = relu_forward(n)
    return out, (affine_cache, norm_cache, relu_cache)


@takes_arrays
def affine_bn_relu_backward(dout: Array, cache: Cache) -> Cache:
    """Compute the gradients of `affine_bn_relu_forward`: dx, dw, db, dgamma, dbeta."""
    affine_cache, norm_cache, relu_cache = cache
    da, dgamma, dbeta = batchnorm_backward_alt(relu_backward(dout, relu_cache), norm_cache)
    return (*affine_backward(da, affine_cache), dgamma, dbeta)


@takes_arrays
def affine_ln_relu_forward(
    x: Array, w: Array, b: Array, gamma: Array, beta: Array, ln_param: Param
) -> tuple[Array, Cache]:
    """Compute `affine_forward`, `layernorm_forward`, `relu_forward`. The cache has theirs."""
    a, affine_cache = affine_forward(x, w, b)
    n, norm_cache = layernorm_forward(a, gamma, beta, ln_param)
    out, relu_cache = relu_forward(n)
    return out, (affine_cache, norm_cache, relu_cache)


@takes_arrays
def affine_ln_relu_backward(dout: Array, cache: Cache) -> Cache:
    """Compute the gradients of `affine_ln_relu_forward`: dx, dw, db, dgamma, dbeta."""
    affine_cache, norm_cache, relu_cache = cache
    da, dgamma, dbeta = layernorm_backward(relu_backward(dout, relu_cache), norm_cache)
    return (*affine_backward(da, affine_cache), dgamma, dbeta)


@takes_arrays
def conv_relu_forward(x: Array, w: Array, b: Array, conv_param: Param) -> tuple[Array, Cache]:
    """Compute `conv_forward`, then `relu_forward`. The cache has theirs."""
    a, conv_cache = conv_forward(x, w, b, conv_param)
    out, relu_cache = relu_forward(a)
    return out, (conv_cache, relu_cache)


@takes_arrays
def conv_relu_backward(dout: Array, cache: Cache) -> Cache:
    """Compute the gradients of `conv_relu_forward`: dx, dw, db."""
    conv_cache, relu_cache = cache
    return conv_backward(relu_backward(dout, relu_cache), conv_cache)


@takes_arrays
def conv_bn_relu_forward(
    x: Array, w: Array, b: Array, gamma: Array, beta: Array, conv_param: Param, bn_param: Param
) -> tuple[Array, Cache]:
    """Compute `conv_forward`, `spatial_batchnorm_forward`, `relu_forward`. The cache has theirs."""
    a, conv_cache = conv_forward(x, w, b, conv_param)
    n, norm_cache = spatial_batchnorm_forward(a, gamma, beta, bn_param)
    out, relu_cache = relu_forward(n)
    return out, (conv_cache, norm_cache, relu_cache)


@takes_arrays
def conv_bn_relu_backward(dout: Array, cache: Cache) -> Cache:
    """Compute the gradients of `conv_bn_relu_forward`: dx, dw, db, dgamma, dbeta."""
    conv_cache, norm_cache, relu_cache = cache
    da, dgamma, dbeta = spatial_batchnorm_backward(relu_backward(dout, relu_cache), norm_cache)
    return (*conv_backward(da, conv_cache), dgamma, dbeta)


@takes_arrays
def conv_relu_pool_forward(
    x: Array, w: Array, b: Array, conv_param: Param, pool_param: Param
) -> tuple[Array, Cache]:
    """Compute `conv_forward`, `relu_forward`, `max_pool_forward`. The cache has theirs."""
    a, conv_cache = conv_forward(x, w, b, conv_param)
    s, relu_cache = relu_forward(a)
    out, pool_cache = max_pool_forward(s, pool_param)
    return out, (conv_cache, relu_cache, pool_cache)


@takes_arrays
def conv_relu_pool_backward(dout: Array, cache: Cache) -> Cache:
    """Compute the gradients of `conv_relu_pool_forward`: dx, dw, db."""
    conv_cache, relu_cache, pool_cache = cache
    return conv_backward(relu_backward(max_pool_backward(dout, pool_cache), relu_cache), conv_cache)


def _affine_inputs(draw: Draw, param: Param) -> Arguments:
    n, d, m = draw.integer(2, 4), draw.integer(1, 3), draw.integer(1, 3)
    return tuple(draw.array(shape) for shape in ((n, d), (d, m), (m,), (m,), (m,))), param


def _conv_inputs(draw: Draw, parameters: int, param: Param) -> Arguments:
    channels, filters = draw.integer(1, 2), draw.integer(1, 2)
    arrays = [draw.array((draw.integer(1, 2), channels, 3, 4)), draw.array((filters, channels, 3, 3))]
    options = {"conv_param": {"stride": 1, "pad": 1}, **param}
    return (*arrays, *[draw.array((filters,)) for _ in range(parameters)]), options


def _train() -> Param:
    return {"bn_param": {"mode": "train", "eps": 0.3}}


affine_bn_relu = layer(
    affine_bn_relu_forward, affine_bn_relu_backward, inputs=lambda draw: _affine_inputs(draw, _train())
)
affine_ln_relu = layer(
    affine_ln_relu_forward,
    affine_ln_relu_backward,
    inputs=lambda draw: _affine_inputs(draw, {"ln_param": {"eps": 0.3}}),
)
conv_relu = layer(conv_relu_forward, conv_relu_backward, inputs=lambda draw: _conv_inputs(draw, 1, {}))
conv_bn_relu = layer(
    conv_bn_relu_forward, conv_bn_relu_backward, inputs=lambda draw: _conv_inputs(draw, 3, _train())
)
conv_relu_pool = layer(
    conv_relu_pool_forward,
    conv_relu_pool_backward,
    inputs=lambda draw: _conv_inputs(draw, 1, {"pool_param": {}}),
)
