"""The convolutional nets: first losses, gradients, training."""

import numpy as np
import pytest

from minigrad.datasets import load_digits
from minigrad.gradient_check import eval_numerical_gradient
from minigrad.solver import Solver
from models.conv_net import ConvNet, ThreeLayerConvNet

BACKENDS = pytest.mark.parametrize("backend", ["jit", "tape"])


def as_images(data):
    return {name: x.reshape(-1, 1, 8, 8) if name.startswith("X") else x for name, x in data.items()}


@BACKENDS
def test_first_loss_is_that_of_guessing(backend):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2, 3, 32, 32)), rng.integers(10, size=2)
    net = ThreeLayerConvNet(dtype=np.float64, seed=0, backend=backend)
    assert net.loss(X, y)[0] == pytest.approx(np.log(10), abs=1e-3)
    net.reg = 0.5
    assert net.loss(X, y)[0] == pytest.approx(2.508, abs=2e-3)


@BACKENDS
@pytest.mark.parametrize("Net", [ThreeLayerConvNet, ConvNet])
def test_gradients_are_those_of_differences(Net, backend):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((2, 2, 4, 4)), rng.integers(3, size=2)
    options = {"input_dim": (2, 4, 4), "num_classes": 3, "reg": 0.1, "dtype": np.float64, "seed": 0}
    if Net is ThreeLayerConvNet:
        net = Net(num_filters=3, filter_size=3, hidden_dim=7, weight_scale=0.3, backend=backend, **options)
    else:
        net = Net(num_filters=[2, 3], dropout_keep_ratio=0.5, backend=backend, **options)
        net.dropout_param["seed"] = 0
    _, grads = net.loss(X, y)
    assert grads.keys() == net.params.keys()
    for name, g in grads.items():
        numeric = eval_numerical_gradient(lambda _: net.loss(X, y)[0], net.params[name], verbose=False)
        np.testing.assert_allclose(g, numeric, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    "net",
    [
        ThreeLayerConvNet((1, 8, 8), num_filters=8, filter_size=3, hidden_dim=50, weight_scale=None, seed=0),
        ConvNet((1, 8, 8), num_filters=[8], seed=0),
    ],
)
def test_they_learn_the_digits(net):
    solver = Solver(
        net,
        as_images(load_digits(dtype=np.float32)),
        update_rule="adam",
        optim_config={"learning_rate": 5e-3},
        num_epochs=8,
        verbose=False,
        progress=False,
        seed=0,
    )
    solver.train()
    assert {w.dtype for w in net.params.values()} == {np.dtype(np.float32)}
    assert solver.best_val_acc > 0.95
    assert solver.check_accuracy(solver.X_val, solver.y_val) == solver.best_val_acc  # running means too


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="images of 7 by 8, filters of 7; expected images of an even"):
        ThreeLayerConvNet((3, 7, 8))
    with pytest.raises(ValueError, match="images of 4 by 4 cannot be halved 3 times"):
        ConvNet((3, 4, 4), num_filters=[8, 8, 8])
