"""Minibatches of a Solver: sample weights, and streams in the place of a training set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_solver import Noisy, SoftmaxRegression, assert_same, make_data, make_solver, numbers_of, streamed

import minigrad as mg
from models import hand_written, two_layer_net
from models.conv_net import ConvNet, ThreeLayerConvNet
from models.fully_connected_net import FullyConnectedNet

NETS = {
    "jit": lambda: two_layer_net.CompiledTwoLayerNet(16, 5, 3, 0.1, seed=0),
    "tape": lambda: two_layer_net.TwoLayerNet(16, 5, 3, 0.1, seed=0, loss="svm"),
    "hand": lambda: hand_written.TwoLayerNet(16, 5, 3, 0.1, seed=0),
    "deep": lambda: FullyConnectedNet([5, 5], 16, 3, label_smoothing=0.1, dtype=np.float64, seed=0),
    "three-layer": lambda: ThreeLayerConvNet((1, 4, 4), 2, 3, 5, 3, None, dtype=np.float64, seed=0),
    "conv": lambda: ConvNet((1, 4, 4), (2,), 3, dtype=np.float64, seed=0, label_smoothing=0.1),
}


class Weighted(SoftmaxRegression):
    """It takes sample weights, which it records."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def loss(self, X, y=None, sample_weights=None):
        if y is not None:
            self.weights.append(sample_weights)
        return super().loss(X, y)


def minibatches(data, size=10):
    return [(data["X_train"][i : i + size], data["y_train"][i : i + size]) for i in range(0, 30, size)]


def without_training_set(data):
    return {name: array for name, array in data.items() if "train" not in name}


# Sample weights


@pytest.mark.parametrize("net", NETS)
def test_every_models_loss_is_the_mean_weighted_by_them(net):
    rng = np.random.default_rng(0)
    X, y, weights = rng.standard_normal((4, 1, 4, 4)), np.array([0, 2, 1, 1]), np.array([1.0, 2, 3, 4])
    loss, grads = NETS[net]().loss(X, y, sample_weights=weights)
    scaled, same = NETS[net]().loss(X, y, sample_weights=weights / 7)
    plain = NETS[net]().loss(X, y)
    even, unweighted = NETS[net]().loss(X, y, sample_weights=np.full(4, 3))
    assert loss == pytest.approx(scaled)
    assert even == pytest.approx(plain[0])
    assert loss != pytest.approx(even)
    for name, g in grads.items():
        np.testing.assert_allclose(g, same[name], atol=1e-12)
        np.testing.assert_allclose(unweighted[name], plain[1][name], atol=1e-12)


@pytest.mark.parametrize("loss", [mg.softmax_cross_entropy, mg.multiclass_hinge, mg.mse, mg.l1])
def test_weights_are_arguments_of_what_jit_compiles(loss):
    step = mg.jit(mg.value_and_grad(lambda x, y, w: loss(x, y, sample_weights=w)))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 3))
    y = np.array([0, 2, 1, 1]) if loss in (mg.softmax_cross_entropy, mg.multiclass_hinge) else x[::-1].copy()
    for weights in (np.ones(4), np.array([1.0, 0, 3, 2])):
        value, gradient = step(x, y, weights)
        expected, dx = mg.value_and_grad(lambda x, w=weights: loss(x, y, sample_weights=w))(x)
        assert value == pytest.approx(expected)
        np.testing.assert_allclose(gradient, dx, rtol=1e-12, atol=1e-14)
    assert step.cache_info().misses == 1
    with pytest.raises(ValueError, match=r"sample_weights\[1\] is -1"):
        step(x, y, np.array([1.0, -1, 0, 0]))


@pytest.mark.parametrize("replacement", [True, False])
def test_a_minibatch_comes_with_the_weights_of_its_examples(replacement):
    data = make_data()
    data["X_train"][:, 0] = np.arange(30)  # tells the example
    weights = np.arange(30.0) + 1
    model, seen = Weighted(), []
    solver = make_solver(
        model,
        data,
        sample_weights=weights,
        replacement=replacement,
        augment=lambda X, rng: (seen.append(X[:, 0].copy()), X)[1],
    )
    solver.train()
    assert len(model.weights) == 9
    for weighed, examples in zip(model.weights, seen, strict=False):
        np.testing.assert_array_equal(weighed, weights[examples.astype(int)])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(29), r"must be 30 numbers, one for each example; got float64 of shape \(29,\)"),
        (np.ones((30, 1)), r"shape \(30, 1\)"),
        (["heavy"] * 30, "must be 30 numbers"),
        (
            np.where(np.arange(30) == 7, 0.0, 1),
            r"sample_weights\[7\] is 0\.0; weights must be finite and > 0",
        ),
        (np.where(np.arange(30) == 3, np.nan, 1), r"sample_weights\[3\] is nan"),
    ],
)
def test_unfit_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        make_solver(Weighted(), sample_weights=weights)


def test_a_model_whose_loss_takes_no_weights_is_refused():
    with pytest.raises(TypeError, match=r"SoftmaxRegression\.loss takes no sample_weights; define loss"):
        make_solver(sample_weights=np.ones(30))
    batches = [(*batch, np.ones(10)) for batch in minibatches(make_data())]
    with pytest.raises(TypeError, match="takes no sample_weights"):
        make_solver(batches=batches).train()


def test_a_checkpoint_of_other_weights_is_refused(tmp_path):
    file = tmp_path / "run.npz"
    make_solver(Weighted(), sample_weights=np.ones(30), checkpoint=file).train()
    for other in (np.full(30, 2.0), None):
        with pytest.raises(ValueError, match=r"data 'sample_weights': .* there, .* here"):
            make_solver(Weighted(), sample_weights=other).resume(file)


# Streams


@given(num_epochs=st.integers(1, 3), sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_every_pass_over_the_minibatches_is_an_epoch(num_epochs, sizes):
    data = make_data()
    batches = [(data["X_train"][:n], data["y_train"][:n]) for n in sizes]
    solver = make_solver(data=without_training_set(data), batches=batches, lr_decay=0.5,
                         optim_config={"learning_rate": 0.1}, num_epochs=num_epochs)  # fmt: skip
    solver.train()
    model, rate, losses, train_accs = SoftmaxRegression(), 0.1, [], []
    for _ in range(num_epochs):
        for X, y in batches:
            loss, grads = model.loss(X, y)
            losses.append(loss)
            for name in model.params:
                model.params[name] = model.params[name] - rate * grads[name]
            if len(losses) == 1:
                train_accs.append(np.mean(model.loss(X).argmax(axis=1) == y))
        rate *= 0.5
        train_accs.append(np.mean(model.loss(X).argmax(axis=1) == y))  # of the last minibatch
    assert solver.loss_history == losses
    assert solver.train_acc_history == pytest.approx(train_accs)
    assert solver.epoch == num_epochs == len(solver.val_acc_history) - 1


def test_training_accuracies_are_of_the_training_set_if_there_is_one():
    data = make_data()
    solver = make_solver(data=data, batches=minibatches(data))
    solver.train()
    assert solver.check_accuracy(data["X_train"], data["y_train"]) in solver.train_acc_history


def test_a_stream_may_refill_its_arrays():
    data = make_data()

    def refilled(rng):
        X, y = np.empty((10, 4)), np.empty(10, int)
        for X[...], y[...] in minibatches(data):
            yield X, y

    solvers = [make_solver(data=data, batches=each) for each in (refilled, minibatches(data))]
    for solver in solvers:
        solver.train()
    assert numbers_of(solvers[0]) == numbers_of(solvers[1])


def test_a_stream_that_fails_is_read_on_from_the_same_place():
    failing = True

    def stream(rng):
        for i, batch in enumerate(streamed(rng)):
            if failing and i == 2:
                raise OSError("the disk is away")
            yield batch

    expected = make_solver(Noisy(), batches=streamed)
    expected.train()
    for options in ({}, {"augment": lambda X, rng: X}):
        failing, solver = True, make_solver(Noisy(), batches=stream, **options)
        with pytest.raises(OSError, match="the disk is away"):
            solver.train()
        failing = False
        solver.train()
        assert numbers_of(solver) == numbers_of(expected)
        assert_same(solver.best_params, expected.best_params)


def test_a_stream_may_have_weights():
    model = Weighted()
    batches = [(*batch, np.full(10, i + 1)) for i, batch in enumerate(minibatches(make_data()))]
    make_solver(model, batches=batches, num_epochs=2).train()
    assert [weights[0] for weights in model.weights] == [1, 2, 3] * 2


def test_an_iterator_is_one_epoch():
    data = make_data()
    make_solver(data=data, batches=iter(minibatches(data)), num_epochs=1).train()
    solver = make_solver(data=data, batches=iter(minibatches(data)))
    with pytest.raises(
        ValueError, match=r"batches gave none in this epoch; .* give a function batches\(rng\)"
    ):
        solver.train()
    assert solver.epoch == 1
    with pytest.raises(ValueError, match="batches gave none"):
        make_solver(batches=[]).train()


def test_the_log_of_a_stream_has_no_last_iteration(capsys):
    make_solver(batches=minibatches(make_data()), verbose=True, print_every=2, num_epochs=1).train()
    out = capsys.readouterr().out.splitlines()
    assert [line.partition(")")[0] for line in out] == [
        "(Iteration 1", "(Epoch 0 / 1", "(Iteration 3", "(Epoch 1 / 1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (np.zeros((2, 4)), TypeError, r"batches gave ndarray; expected \(X, y\) or"),
        ((np.zeros((2, 4)),), TypeError, "batches gave tuple"),
        ((np.zeros((2, 4)), np.zeros(3, int)), ValueError, r"a minibatch's X .* \(2, 4\) and \(3,\)"),
        ((np.zeros((2, 4)), np.zeros(2)), TypeError, "its y must hold integer labels"),
        ((np.zeros((0, 4)), np.zeros(0, int)), ValueError, "a minibatch's X is empty"),
        ((np.zeros((2, 4)), np.zeros(2, int), [1, -1]), ValueError, r"sample_weights\[1\] is -1"),
    ],
)
def test_unfit_minibatches_are_refused_before_any_parameter_changes(batch, error, message):
    solver = make_solver(batches=[batch])
    with pytest.raises(error, match=message):
        solver.train()
    assert_same(solver.model.params, SoftmaxRegression().params)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batches": 3}, TypeError, "batches must be an iterable of .* got int$"),
        ({"batches": make_data()}, TypeError, "batches must be an iterable of .* got dict$"),
        ({"batches": [], "replacement": False}, ValueError, "batches and replacement=False are both given"),
        ({"batches": [], "sample_weights": np.ones(30)}, ValueError, "batches and sample_weights are both"),
    ],
)
def test_unfit_streams_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        make_solver(Weighted(), **options)


def test_a_half_training_set_is_named():
    data = make_data()
    del data["y_train"]
    with pytest.raises(ValueError, match="data has no 'y_train'"):
        make_solver(data=data, batches=minibatches(make_data()))
