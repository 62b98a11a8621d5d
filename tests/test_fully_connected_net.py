"""The net of any depth: the first losses that the course publishes, gradients, training."""

import numpy as np
import pytest

from minigrad.datasets import load_digits
from minigrad.gradient_check import eval_numerical_gradient, rel_error
from minigrad.solver import Solver
from models.fully_connected_net import FullyConnectedNet

BACKENDS = pytest.mark.parametrize("backend", ["jit", "tape"])
SHAPE = {"input_dim": 15, "num_classes": 10, "dtype": np.float64}


class CourseDraws:
    """A generator that draws as the course's notebook does: from NumPy's global stream, seeded at each call."""

    def random(self, shape, dtype):
        np.random.seed(123)
        return np.random.rand(*shape)


def course_net(**options):
    """A net whose weights are drawn from NumPy's global stream, as in the course."""
    net = FullyConnectedNet([20, 30], **SHAPE, **options)
    for name, w in net.params.items():
        if name.startswith("W"):
            net.params[name] = 5e-2 * np.random.randn(*w.shape)
    return net


def published_batch():
    np.random.seed(231)
    return np.random.randn(2, 15), np.random.randint(10, size=(2,))


@BACKENDS
@pytest.mark.parametrize(
    ("normalization", "losses"),
    [
        (None, (2.300479089768492, 7.052114776533016)),
        ("batchnorm", (2.2611955101340957, 6.996533220108303)),
    ],
)
def test_first_losses_of_the_notebook(backend, normalization, losses):
    X, y = published_batch()
    for reg, published in zip((0, 3.14), losses, strict=True):
        net = course_net(normalization=normalization, reg=reg, backend=backend)
        assert net.loss(X, y)[0] == pytest.approx(published, rel=1e-12)


def test_first_losses_of_the_notebook_with_dropout():
    X, y = published_batch()
    for ratio, published in ((1, 2.300479089768492), (0.75, 2.302371489704412), (0.5, 2.3042759220785896)):
        net = course_net(dropout_keep_ratio=ratio, backend="tape")
        net.dropout_param["rng"] = CourseDraws()
        assert net.loss(X, y)[0] == pytest.approx(published, rel=1e-12)


@BACKENDS
@pytest.mark.parametrize("normalization", [None, "batchnorm", "layernorm"])
@pytest.mark.parametrize("keep", [1.0, 0.5])
def test_gradients_are_those_of_differences(backend, normalization, keep):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((5, 15)), rng.integers(10, size=5)
    net = FullyConnectedNet(
        [6, 5],
        **SHAPE,
        normalization=normalization,
        dropout_keep_ratio=keep,
        reg=0.3,
        seed=1,
        backend=backend,
    )
    net.dropout_param["seed"] = 0
    _, grads = net.loss(X, y)
    assert grads.keys() == net.params.keys()
    for name in ("W1", "W3", "b2", *["gamma1", "beta2"] * bool(normalization)):
        numeric = eval_numerical_gradient(lambda _: net.loss(X, y)[0], net.params[name], verbose=False)
        np.testing.assert_allclose(grads[name], numeric, rtol=1e-5, atol=1e-8)


@BACKENDS
def test_float32_stays_float32_and_a_seed_makes_the_same_net(backend):
    X, y = np.random.default_rng(0).standard_normal((4, 15), np.float32), np.array([0, 1, 2, 3])
    options = {"input_dim": 15, "normalization": "batchnorm", "dropout_keep_ratio": 0.5, "backend": backend}
    one, same, other = (FullyConnectedNet([6], **options, seed=seed) for seed in (0, 0, 1))
    loss, grads = one.loss(X, y)
    assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}
    assert same.loss(X, y)[0] == loss
    assert other.loss(X, y)[0] != loss
    assert one.loss(X).dtype == np.float32
    np.testing.assert_array_equal(one.loss(X), one.loss(X))  # no dropout in test mode


def test_he_is_the_default():
    net = FullyConnectedNet([400], input_dim=200, seed=0)
    assert net.params["W1"].std() == pytest.approx(np.sqrt(2 / 200), rel=0.02)
    assert FullyConnectedNet([400], weight_scale=1e-2, seed=0).params["W1"].std() == pytest.approx(
        1e-2, rel=0.02
    )


@pytest.mark.parametrize("update_rule", ["adam", "sgd_momentum"])
def test_it_learns_the_digits(update_rule):
    net = FullyConnectedNet([50, 50], input_dim=64, normalization="batchnorm", dropout_keep_ratio=0.8, seed=0)
    solver = Solver(
        net,
        load_digits(dtype=np.float32),
        update_rule=update_rule,
        optim_config={"learning_rate": {"adam": 1e-2, "sgd_momentum": 0.1}[update_rule]},
        num_epochs=5,
        verbose=False,
        progress=False,
        seed=0,
    )
    solver.train()
    assert solver.best_val_acc > 0.95
    assert solver.check_accuracy(solver.X_val, solver.y_val) == solver.best_val_acc  # running means too


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"normalization is 'batch'; expected one of \(None, 'batchnorm'"):
        FullyConnectedNet([5], normalization="batch")
    with pytest.raises(ValueError, match=r"dropout_keep_ratio is 0; expected \(0, 1\]"):
        FullyConnectedNet([5], dropout_keep_ratio=0)


def test_the_gradients_of_the_notebook():
    X, y = published_batch()
    net = course_net(reg=3.14, backend="tape")
    _, grads = net.loss(X, y)
    for name in net.params:
        numeric = eval_numerical_gradient(lambda _: net.loss(X, y)[0], net.params[name], verbose=False)
        assert rel_error(numeric, grads[name]) < 1e-6
