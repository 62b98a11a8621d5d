"""minigrad: an autograd tensor micro-framework in NumPy. The tape is a NumPy program."""

from .capture import JitError
from .drawn import draw_tape
from .functional import grad, value_and_grad
from .jit import jit
from .layers import affine, affine_relu, l2_regularized, layer, multiclass_hinge, relu, softmax_cross_entropy
from .printed import tape
from .rules.elementwise import sigmoid
from .rules.reductions import log_softmax, logsumexp, softmax
from .tape import TapeError, detect_anomaly, no_grad
from .tensor import Tensor, tensor

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
