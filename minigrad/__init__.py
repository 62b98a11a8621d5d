"""minigrad: an autograd tensor micro-framework in NumPy. The tape is a NumPy program."""

from .compiler.jit import jit
from .compiler.where import JitError
from .engine.arrays import register_container
from .engine.derivatives import grad, value_and_grad
from .engine.recording import TapeError, no_grad
from .engine.tensor import Tensor, tensor
from .engine.transformations import (
    checkpoint,
    elementwise_grad,
    flatten,
    hessian,
    hvp,
    jacobian,
    jvp,
    per_example_grads,
    stop_gradient,
    vjp,
)
from .engine.watch import detect_anomaly
from .layers import affine, affine_relu, l2_regularized, layer, multiclass_hinge, relu, softmax_cross_entropy
from .pictures.tape import draw_tape, tape
from .rules.custom import rule
from .rules.elementwise import sigmoid
from .rules.reductions import log_softmax, logsumexp, softmax

__all__ = [
    "JitError",
    "TapeError",
    "Tensor",
    "affine",
    "affine_relu",
    "checkpoint",
    "detect_anomaly",
    "draw_tape",
    "elementwise_grad",
    "flatten",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jit",
    "jvp",
    "l2_regularized",
    "layer",
    "log_softmax",
    "logsumexp",
    "multiclass_hinge",
    "no_grad",
    "per_example_grads",
    "register_container",
    "relu",
    "rule",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
    "stop_gradient",
    "tape",
    "tensor",
    "value_and_grad",
    "vjp",
]
__version__ = "0.1.0"
