"""Activations: leaky relu, ELU and GELU. The logistic function is `minigrad.sigmoid`, the tanh `numpy.tanh`."""

from __future__ import annotations

import numpy as np

from ..engine.arguments import takes_arrays
from ..engine.layer import layer
from ..engine.recording import Array

ROOT_2_BY_PI = float(np.sqrt(2 / np.pi))


@takes_arrays
def leaky_relu_forward(x: Array, slope: float = 0.01) -> tuple[Array, tuple[Array, float]]:
    """Compute x where it is positive, slope x elsewhere; any shape. The cache is (x, slope).

    Maas, Hannun, Ng: "Rectifier nonlinearities improve neural network acoustic models", 2013.
    """
    return np.where(x > 0, x, slope * x), (x, slope)


@takes_arrays
def leaky_relu_backward(dout: Array, cache: tuple[Array, float]) -> Array:
    """Compute the gradient of `leaky_relu_forward`; at 0 the slope."""
    x, slope = cache
    return np.where(x > 0, dout, slope * dout)


@takes_arrays
def elu_forward(x: Array, alpha: float = 1.0) -> tuple[Array, tuple[Array, Array, float]]:
    """Compute x where it is positive, alpha (exp(x) - 1) elsewhere; any shape. The cache is (x, out, alpha).

    Clevert, Unterthiner, Hochreiter: "Fast and accurate deep network learning by exponential linear units", 2016.
    """
    positive = x > 0
    # Not np.minimum(x, 0), which has half a derivative at 0.
    out = np.where(positive, x, alpha * np.expm1(np.where(positive, 0, x)))
    return out, (x, out, alpha)


@takes_arrays
def elu_backward(dout: Array, cache: tuple[Array, Array, float]) -> Array:
    """Compute the gradient of `elu_forward`: 1 where x > 0, out + alpha elsewhere; at 0 it is alpha."""
    x, out, alpha = cache
    return np.where(x > 0, dout, dout * (out + alpha))


@takes_arrays
def gelu_forward(x: Array) -> tuple[Array, tuple[Array, Array]]:
    """Compute x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))); any shape. The cache is (x, the tanh).

    The tanh form of x Φ(x), which differs from it by less than 5e-4: Hendrycks, Gimpel: "Gaussian error linear
    units", 2016.
    """
    t = np.tanh(ROOT_2_BY_PI * (x + 0.044715 * x * x * x))
    return 0.5 * x * (1 + t), (x, t)


@takes_arrays
def gelu_backward(dout: Array, cache: tuple[Array, Array]) -> Array:
    """Compute the gradient of `gelu_forward`."""
    x, t = cache
    near = ROOT_2_BY_PI * x * (1 - t * t)  # 0 where the tanh is flat: first, as x^2 may overflow there
    dx: Array = 0.5 * dout * (1 + t + near + 3 * 0.044715 * near * x * x)
    return dx


leaky_relu = layer(leaky_relu_forward, leaky_relu_backward, inputs=lambda draw: ((draw.array(),), {}))
elu = layer(
    elu_forward, elu_backward, inputs=lambda draw: ((draw.array(),), {"alpha": draw.choice([1.0, 0.5])})
)
gelu = layer(gelu_forward, gelu_backward, inputs=lambda draw: ((draw.array(),), {}))
