"""minigrad: an autograd tensor micro-framework in NumPy. The tape is a NumPy program."""

from .compiler.jit import jit
from .compiler.where import JitError
from .engine.derivatives import grad, value_and_grad
from .engine.recording import TapeError, no_grad
from .engine.tensor import Tensor, tensor
from .engine.watch import detect_anomaly
from .layers import affine, affine_relu, l2_regularized, layer, multiclass_hinge, relu, softmax_cross_entropy
from .pictures.tape import draw_tape, tape
from .rules.elementwise import sigmoid
from .rules.reductions import log_softmax, logsumexp, softmax

__all__ = [
    "JitError",
    "TapeError",
    "Tensor",
    "affine",
    "affine_relu",
    "detect_anomaly",
    "draw_tape",
    "grad",
    "jit",
    "l2_regularized",
    "layer",
    "log_softmax",
    "logsumexp",
    "multiclass_hinge",
    "no_grad",
    "relu",
    "sigmoid",
    "softmax",
    "softmax_cross_entropy",
    "tape",
    "tensor",
    "value_and_grad",
]
__version__ = "0.1.0"
