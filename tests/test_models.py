"""The declarative net and the hand-written one, side by side; and what the notebook publishes of them."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import models
from minigrad.gradient_check import check_grads, check_layer, eval_numerical_gradient, rel_error
from minigrad.testing import LAYOUTS, laid_out, scores
from models import conv_net, fully_connected_net, hand_written, two_layer_net

BACKENDS = pytest.mark.parametrize(
    "Net",
    [two_layer_net.CompiledTwoLayerNet, two_layer_net.TwoLayerNet, hand_written.TwoLayerNet],
    ids=["jit", "tape", "hand"],
)


@given(
    st.integers(1, 5),
    st.lists(st.integers(1, 3), min_size=1, max_size=3),
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(0, 2**16),
    st.floats(0, 10),
    st.sampled_from(["softmax", "svm"]),
)
def test_both_nets_have_equal_scores_losses_and_gradients(n, example, hidden, classes, seed, reg, loss):
    d = int(np.prod(example))
    tape, hand = (
        Net(d, hidden, classes, weight_scale=1.0, reg=reg, seed=seed, loss=loss)
        for Net in (two_layer_net.TwoLayerNet, hand_written.TwoLayerNet)
    )
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, *example)), rng.integers(classes, size=n)
    np.testing.assert_allclose(tape.loss(X), hand.loss(X), rtol=1e-12, atol=1e-12)
    (tape_loss, tape_grads), (hand_loss, hand_grads) = tape.loss(X, y), hand.loss(X, y)
    assert tape_loss == pytest.approx(hand_loss, rel=1e-12, abs=1e-12)
    assert tape_grads.keys() == hand_grads.keys() == tape.params.keys()
    for name, g in tape_grads.items():
        assert type(g) is np.ndarray
        np.testing.assert_allclose(g, hand_grads[name], rtol=1e-12, atol=1e-12)


def two_layer_nets():
    """Every two-layer net of the package, found through its modules."""
    for found in pkgutil.iter_modules(models.__path__, "models."):
        for name, model in vars(importlib.import_module(found.name)).items():
            is_one = inspect.isclass(model) and issubclass(model, two_layer_net.TwoLayerNet)
            if is_one and model.__module__ == found.name:
                yield pytest.param(model, id=f"{found.name}.{name}")


EVERY_MODEL = pytest.mark.parametrize("Net", list(two_layer_nets()))


def as_pair(net, X, y):
    """A model's loss and gradients as a layer whose inputs are the parameters."""

    def forward(*params):
        net.params = dict(zip(net.params, params, strict=True))
        loss, grads = net.loss(X, y)
        return loss, [grads[name] for name in net.params]

    return forward, lambda dout, cache: [dout * g for g in cache]


@EVERY_MODEL
@settings(max_examples=settings().max_examples // 2)
@given(scores(max_n=3), st.integers(1, 3), st.integers(1, 3), st.sampled_from(["softmax", "svm"]))
def test_every_models_gradients_are_those_of_the_tape_and_of_differences(Net, example, hidden, classes, loss):
    X, y = example
    net = Net(X.shape[1], hidden, classes, weight_scale=1.0, reg=0.3, seed=0, loss=loss)
    forward, backward = as_pair(net, X, y % classes)
    params = list(net.params.values())
    report = check_layer((forward, backward), *params)
    assert report.ways[:3] == ("hand-derived", "tape", "finite differences")
    check_grads(lambda *params: forward(*params)[0], *params, order=2)


@EVERY_MODEL
@settings(max_examples=settings().max_examples // 2)
@given(scores(max_classes=5), st.integers(1, 4), st.sampled_from(["softmax", "svm"]))
def test_every_model_takes_float32_and_any_memory_layout(Net, example, hidden, loss):
    X, y = example
    net = Net(X.shape[1], hidden, 5, weight_scale=1.0, reg=0.3, seed=0, loss=loss)
    exact, exact_grads = net.loss(np.array(X, order="C"), y)
    params = net.params
    for dtype, rtol in ((np.float64, 1e-12), (np.float32, 1e-4)):
        for layout in LAYOUTS:
            net.params = {name: laid_out(w.astype(dtype), layout) for name, w in params.items()}
            value, grads = net.loss(laid_out(X.astype(dtype), layout), y)
            assert value.dtype == dtype
            assert value == pytest.approx(exact, rel=rtol, abs=rtol)
            for name, g in grads.items():
                assert (g.dtype, g.shape) == (dtype, params[name].shape)
                np.testing.assert_allclose(g, exact_grads[name], rtol=rtol, atol=rtol)


@BACKENDS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_and_seed(Net, dtype):
    net, same, other = (Net(4, 3, 2, dtype=dtype, seed=seed) for seed in (0, 0, 1))
    _, grads = net.loss(np.ones((5, 4), dtype), np.array([0, 1, 1, 0, 1]))
    for name, w in net.params.items():
        assert w.dtype == grads[name].dtype == dtype
        assert w.shape == grads[name].shape
        np.testing.assert_array_equal(w, same.params[name])
    assert not np.array_equal(net.params["W1"], other.params["W1"])
    assert net.loss(np.ones((5, 4), dtype)).dtype == dtype


@BACKENDS
def test_an_unknown_loss_is_refused(Net):
    with pytest.raises(ValueError, match="loss is 'hinge'; expected one of softmax, svm"):
        Net(loss="hinge")


@pytest.fixture
def toy():
    """The notebook's toy net, made by a Net; its data and labels."""

    def make(Net):
        N, D, H, C = 3, 5, 50, 7
        net = Net(D, H, C, weight_scale=1e-3, seed=0)
        assert abs(net.params["W1"].std() - 1e-3) < 1e-4
        assert abs(net.params["W2"].std() - 1e-3) < 1e-4
        assert not net.params["b1"].any()
        assert not net.params["b2"].any()
        net.params["W1"] = np.linspace(-0.7, 0.3, num=D * H).reshape(D, H)
        net.params["b1"] = np.linspace(-0.1, 0.9, num=H)
        net.params["W2"] = np.linspace(-0.3, 0.4, num=H * C).reshape(H, C)
        net.params["b2"] = np.linspace(-0.9, 0.1, num=C)
        return net, np.linspace(-5.5, 4.5, num=N * D).reshape(D, N).T, np.array([0, 5, 1])

    return make


@BACKENDS
def test_scores_and_losses_of_the_notebook(Net, toy):
    net, X, y = toy(Net)
    correct = np.array(
        [
            [11.53165108, 12.2917344, 13.05181771, 13.81190102, 14.57198434, 15.33206765, 16.09215096],
            [12.05769098, 12.74614105, 13.43459113, 14.1230412, 14.81149128, 15.49994135, 16.18839143],
            [12.58373087, 13.20054771, 13.81736455, 14.43418138, 15.05099822, 15.66781506, 16.2846319],
        ]
    )
    assert np.abs(net.loss(X) - correct).sum() < 1e-6
    assert abs(net.loss(X, y)[0] - 3.4702243556) < 1e-10
    net.reg = 1.0
    assert abs(net.loss(X, y)[0] - 26.5948426952) < 1e-10


@BACKENDS
@pytest.mark.parametrize("reg", [0.0, 0.7])
def test_gradients_of_the_notebook(Net, toy, reg):
    net, X, y = toy(Net)
    net.reg = reg
    _, grads = net.loss(X, y)
    for name, g in grads.items():
        numeric = eval_numerical_gradient(lambda _: net.loss(X, y)[0], net.params[name], verbose=False)
        assert rel_error(numeric, g) < 1e-6


@pytest.mark.parametrize(
    ("Net", "settings", "step"),
    [
        (two_layer_net.CompiledTwoLayerNet, {}, two_layer_net.CompiledTwoLayerNet.loss_and_grads),
        (fully_connected_net.FullyConnectedNet, {"hidden_dims": [3]}, fully_connected_net.BACKENDS["jit"]),
        (conv_net.ThreeLayerConvNet, {"filter_size": 3}, conv_net.THREE_LAYER_BACKENDS["jit"]),
        (conv_net.ConvNet, {"num_filters": [2]}, conv_net.DEEP_BACKENDS["jit"]),
    ],
)
def test_another_strength_of_the_penalty_compiles_nothing_anew(Net, settings, step):
    shape = (1, 4, 4) if Net.__module__ == "models.conv_net" else 16
    X, y = np.random.default_rng(0).standard_normal((3, 1, 4, 4)), np.arange(3)
    losses, compiled = [], step.cache_info().misses
    for reg in (0.1, 0.2, 0.3):
        losses.append(Net(input_dim=shape, reg=reg, seed=0, **settings).loss(X, y)[0])
    assert step.cache_info().misses == compiled + 1
    assert losses[0] < losses[1] < losses[2]
