"""Layers, update rules and compiled functions pickle by name; nets, with all they hold."""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad import optim
from minigrad.engine.layer import LAYERS
from models.conv_net import ConvNet, ThreeLayerConvNet
from models.fully_connected_net import FullyConnectedNet
from models.two_layer_net import CompiledTwoLayerNet, TwoLayerNet

NAMED = [*LAYERS.values(), *optim.update_rules.values()]


@pytest.mark.parametrize("named", NAMED, ids=repr)
def test_what_has_a_name_is_pickled_by_it(named):
    assert pickle.loads(pickle.dumps(named)) is named
    assert copy.deepcopy(named) is named and copy.copy(named) is named


def doubled_forward(x):
    return 2 * x, None


def doubled_backward(dout, cache):
    return 2 * dout


def test_a_layer_without_a_name_of_its_own_is_pickled_with_its_functions():
    layer = mg.layer(doubled_forward, doubled_backward, name="no name of this module")
    again = pickle.loads(pickle.dumps(layer))
    assert again is not layer
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(again(x)))(np.ones(2)), [2, 2])


@pytest.mark.parametrize("backend", ["jit", "tape"])
@pytest.mark.parametrize(
    "make",
    [
        lambda backend: {"jit": CompiledTwoLayerNet, "tape": TwoLayerNet}[backend](48, 4, seed=0),
        lambda backend: FullyConnectedNet(
            [4], 48, dropout_keep_ratio=0.5, normalization="batchnorm", seed=0, backend=backend
        ),
        lambda backend: ThreeLayerConvNet((3, 4, 4), 2, 3, 4, seed=0, backend=backend),
        lambda backend: ConvNet((3, 4, 4), (2,), seed=0, backend=backend),
    ],
    ids=["two layers", "fully connected", "three-layer conv", "conv"],
)
def test_a_net_is_the_same_net_afterwards(make, backend):
    net = make(backend)
    again = pickle.loads(pickle.dumps(net))
    X, y = np.random.default_rng(1).standard_normal((6, 3, 4, 4)).astype(np.float32), np.arange(6)
    for _ in range(2):  # with the generator of its dropout
        loss, grads = net.loss(X, y)
        loss_again, grads_again = again.loss(X, y)
        assert loss == loss_again
        for name in grads:
            np.testing.assert_array_equal(grads[name], grads_again[name])
    np.testing.assert_array_equal(net.loss(X), again.loss(X))


@pytest.mark.parametrize("net", [FullyConnectedNet, ThreeLayerConvNet, ConvNet])
def test_an_unknown_backend_is_refused(net):
    with pytest.raises(ValueError, match="backend is 'jax'; expected 'jit' or 'tape'"):
        net(*([[4]] if net is FullyConnectedNet else []), backend="jax")
