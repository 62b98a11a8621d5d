"""minigrad: an autograd tensor micro-framework in NumPy. The tape is a NumPy program."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .engine.checkpoint import checkpoint
from .engine.containers import register_container
from .engine.derivatives import grad, value_and_grad
from .engine.jacobians import hessian, hvp, jacobian, jvp, vjp
from .engine.layer import layer
from .engine.recording import TapeError, no_grad
from .engine.tensor import Tensor, tensor
from .engine.transformations import elementwise_grad, flatten, per_example_grads, stop_gradient
from .engine.watch import detect_anomaly
from .rules.custom import rule
from .rules.elementwise import sigmoid
from .rules.softmax import log_softmax, logsumexp, softmax

if TYPE_CHECKING:
    from .compiler.jit import jit
    from .compiler.where import JitError
    from .layers import (
        affine,
        affine_bn_relu,
        affine_ln_relu,
        affine_relu,
        avg_pool,
        batchnorm,
        conv,
        conv_bn_relu,
        conv_relu,
        conv_relu_pool,
        dropout,
        elu,
        gelu,
        groupnorm,
        l1,
        l2_regularized,
        layernorm,
        leaky_relu,
        max_pool,
        mse,
        multiclass_hinge,
        relu,
        softmax_cross_entropy,
        spatial_batchnorm,
        spatial_groupnorm,
    )
    from .pictures.tape import draw_tape, tape

__all__ = [
    "JitError",
    "TapeError",
    "Tensor",
    "affine",
    "affine_bn_relu",
    "affine_ln_relu",
    "affine_relu",
    "avg_pool",
    "batchnorm",
    "checkpoint",
    "conv",
    "conv_bn_relu",
    "conv_relu",
    "conv_relu_pool",
    "detect_anomaly",
    "draw_tape",
    "dropout",
    "elementwise_grad",
    "elu",
    "flatten",
    "gelu",
    "grad",
    "groupnorm",
    "hessian",
    "hvp",
    "jacobian",
    "jit",
    "jvp",
    "l1",
    "l2_regularized",
    "layer",
    "layernorm",
    "leaky_relu",
    "log_softmax",
    "logsumexp",
    "max_pool",
    "mse",
    "multiclass_hinge",
    "no_grad",
    "per_example_grads",
    "register_container",
    "relu",
    "rule",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
    "spatial_batchnorm",
    "spatial_groupnorm",
    "stop_gradient",
    "tape",
    "tensor",
    "value_and_grad",
    "vjp",
]
__version__ = "0.1.0"

_LAZY = {
    "JitError": "compiler.where",
    "draw_tape": "pictures.tape",
    "jit": "compiler.jit",
    "tape": "pictures.tape",
}
"""Names that are imported on first use, and their modules where these are not `layers`."""


_MODULES = {
    "datasets",
    "gradient_check",
    "layers",
    "optim",
    "preprocess",
    "solver",
    "sweep",
    "testing",
    "training",
    "vis",
}
"""The modules that ``minigrad.optim`` and alike name without an import statement."""


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module("." + _LAZY.get(name, "layers"), __name__)
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    """Return the names, those that are imported lazily among them."""
    return sorted({*globals(), *__all__, *_MODULES})
