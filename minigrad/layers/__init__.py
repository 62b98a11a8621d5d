"""Hand-derived layers in the course's form.

``forward(*inputs) -> (out, cache)`` and ``backward(dout, cache) -> gradients``, in the order of the inputs. Both
are NumPy, and so run on arrays, as in the course, and on tensors, where the tape's gradient of the forward
is the reference for the backward. The layers and their derivations are those of the course notes of CS231n
(Li, Karpathy, Johnson: "Convolutional Neural Networks for Visual Recognition", backpropagation and linear
classification).
"""

from ..engine.layer import LAYERS, Layer, layer
from .affine import (
    affine,
    affine_backward,
    affine_forward,
    affine_relu,
    affine_relu_backward,
    affine_relu_forward,
    relu,
    relu_backward,
    relu_forward,
)
from .losses import loss_backward, multiclass_hinge, softmax_cross_entropy, softmax_loss, svm_loss
from .penalty import l2_regularized, l2_regularized_backward, l2_regularized_forward

__all__ = [
    "LAYERS",
    "Layer",
    "affine",
    "affine_backward",
    "affine_forward",
    "affine_relu",
    "affine_relu_backward",
    "affine_relu_forward",
    "l2_regularized",
    "l2_regularized_backward",
    "l2_regularized_forward",
    "layer",
    "loss_backward",
    "multiclass_hinge",
    "relu",
    "relu_backward",
    "relu_forward",
    "softmax_cross_entropy",
    "softmax_loss",
    "svm_loss",
]
