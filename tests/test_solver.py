import contextlib
import copy
import io
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.optim import sgd
from minigrad.optim.rule import find_rule
from minigrad.solver import Solver
from minigrad.sweep import sweep
from minigrad.training import cosine, shift
from minigrad.training.weights import same, unless_changed


class SoftmaxRegression:
    """Scores X W + b, softmax loss; the gradients are written by hand."""

    def __init__(self, num_features=4, num_classes=3, dtype=np.float64, seed=0):
        rng = np.random.default_rng(seed)
        self.params = {
            "W": (0.1 * rng.standard_normal((num_features, num_classes))).astype(dtype),
            "b": np.zeros(num_classes, dtype),
        }

    def loss(self, X, y=None):
        scores = X @ self.params["W"] + self.params["b"]
        if y is None:
            return scores
        rows = np.arange(len(X))
        shifted = scores - scores.max(axis=1, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        dscores = np.exp(log_probabilities)
        dscores[rows, y] -= 1
        dscores /= len(X)
        return -log_probabilities[rows, y].mean(), {"W": X.T @ dscores, "b": dscores.sum(axis=0)}


class Careless(SoftmaxRegression):
    """Writes to its examples."""

    def loss(self, X, y=None):
        X -= 1
        return super().loss(X, y)


class Scripted(SoftmaxRegression):
    """Its losses are the given ones, one after another; an exception among them is raised."""

    def __init__(self, losses, **options):
        super().__init__(**options)
        self.losses = iter(losses)

    def loss(self, X, y=None):
        result = super().loss(X, y)
        if y is None:
            return result
        loss = next(self.losses)
        if isinstance(loss, BaseException):
            raise loss
        return loss, result[1]


def noise(X, rng):
    return X + 0.1 * rng.standard_normal(X.shape).astype(X.dtype)


def momentum(w, dw, config):
    config["velocity"] = (
        0.9 * config.get("velocity", np.zeros_like(w)) - config.get("learning_rate", 0.1) * dw
    )
    config["t"] = config.get("t", np.int64(0)) + 1
    w += config["velocity"]
    return w, config


class Noisy(SoftmaxRegression):
    """It has state: a generator, that of dropout say, and a running mean; it can be interrupted in a step."""

    def __init__(self, interrupt_at=0, **options):
        super().__init__(**options)
        self.state = {"rng": np.random.default_rng(5), "mean": np.zeros(4), "history": [{"steps": 0}]}
        self.interrupt_at, self.steps = [interrupt_at], 0  # in a list: it is no setting of the model

    def loss(self, X, y=None):
        if y is None:
            return super().loss(X - self.state["mean"])
        self.steps += 1
        if self.steps in self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        self.state["mean"] += 0.1 * (X.mean(axis=0) - self.state["mean"])
        self.state["history"][0]["steps"] += 1
        return super().loss(X + self.state["rng"].standard_normal(X.shape), y)


def streamed(rng):
    """Yield the minibatches of an epoch."""
    data = make_data()
    for rows in rng.permutation(30).reshape(3, 10):
        yield data["X_train"][rows], data["y_train"][rows] + rng.integers(1)


OPTIONS = [
    {"num_train_samples": 7},
    {"lr_decay": 0.5, "optim_config": {"learning_rate": 0.5}, "replacement": False},
    {"augment": noise, "update_rule": momentum, "average": 0.8},
    {"augment": noise, "lr_schedule": cosine(0.5, 9), "update_rule": momentum, "replacement": False},
    {"update_rule": "adamw", "lr_decay": 0.5, "optim_config": {"learning_rate": 0.1}, "average": 0.8},
    {"batches": streamed},
    {"batches": streamed, "augment": noise, "update_rule": "adam", "lr_schedule": cosine(0.1, 9)},
    {"patience": 2, "batch_size": 7, "num_val_samples": 9, "optim_config": {"learning_rate": 5.0}},
]


def make_data(num_train=30, num_val=20, num_features=4, num_classes=3, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((num_train + num_val, num_features)).astype(dtype)
    y = (X @ rng.standard_normal((num_features, num_classes))).argmax(axis=1)
    return {
        "X_train": X[:num_train],
        "y_train": y[:num_train],
        "X_val": X[num_train:],
        "y_val": y[num_train:],
    }


def make_solver(model=None, data=None, **options):
    options = {"seed": 0, "verbose": False, "progress": False, "num_epochs": 3, "batch_size": 10} | options
    return Solver(
        SoftmaxRegression() if model is None else model, make_data() if data is None else data, **options
    )


def copy_of(params):
    return {name: w.copy() for name, w in params.items()}


def assert_same(params, expected):
    assert params.keys() == expected.keys()
    for name in params:
        np.testing.assert_array_equal(params[name], expected[name])


def numbers_of(solver):
    return (
        solver.loss_history,
        solver.train_acc_history,
        solver.val_acc_history,
        {name: w.tolist() for name, w in solver.model.params.items()},
    )


# The training loop


@settings(max_examples=30, deadline=None)
@given(
    num_train=st.integers(1, 40),
    batch_size=st.integers(1, 50),
    num_epochs=st.integers(1, 4),
    learning_rate=st.floats(0, 1),
    lr_decay=st.floats(0.1, 1.5),
    seed=st.integers(0, 2**32),
)
def test_train_is_minibatch_gradient_descent(
    num_train, batch_size, num_epochs, learning_rate, lr_decay, seed
):
    data = make_data(num_train)
    solver = make_solver(
        data=data,
        optim_config={"learning_rate": learning_rate},
        lr_decay=lr_decay,
        batch_size=batch_size,
        num_epochs=num_epochs,
        seed=seed,
    )
    solver.train()

    model, rng, losses, snapshots = SoftmaxRegression(), np.random.default_rng(seed), [], []

    def accuracy(split):
        return np.mean(model.loss(data["X_" + split]).argmax(axis=1) == data["y_" + split])

    for epoch in range(num_epochs):
        for _ in range(max(num_train // batch_size, 1)):
            rows = rng.integers(num_train, size=batch_size)
            loss, grads = model.loss(data["X_train"][rows], data["y_train"][rows])
            losses.append(loss)
            for name in model.params:
                model.params[name] = model.params[name] - learning_rate * grads[name]
            if len(losses) == 1:
                snapshots.append((accuracy("train"), accuracy("val"), copy_of(model.params)))
        learning_rate *= lr_decay
        snapshots.append((accuracy("train"), accuracy("val"), copy_of(model.params)))
        assert epoch + 2 == len(snapshots)

    train_accs, val_accs, _ = zip(*snapshots, strict=True)
    best = max(snapshots, key=lambda snapshot: snapshot[1])
    assert solver.loss_history == losses
    assert solver.train_acc_history == pytest.approx(train_accs)
    assert solver.val_acc_history == pytest.approx(val_accs)
    assert solver.best_val_acc == pytest.approx(best[1])
    assert_same(solver.model.params, best[2])


@settings(max_examples=20, deadline=None)
@given(num_train=st.integers(1, 40), batch_size=st.integers(1, 50), num_epochs=st.integers(1, 4))
def test_histories_have_a_loss_an_iteration_and_an_accuracy_an_epoch(num_train, batch_size, num_epochs):
    solver = make_solver(data=make_data(num_train), batch_size=batch_size, num_epochs=num_epochs)
    solver.train()
    assert solver.epoch == num_epochs
    assert len(solver.loss_history) == num_epochs * max(num_train // batch_size, 1)
    assert len(solver.train_acc_history) == len(solver.val_acc_history) == num_epochs + 1
    for value in solver.loss_history + solver.train_acc_history + solver.val_acc_history:
        assert type(value) is float


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    verbose=st.booleans(),
    print_every=st.integers(-1, 5),
    progress=st.booleans(),
)
def test_one_seed_gives_the_same_numbers_whatever_is_shown(seed, verbose, print_every, progress):
    options = {"seed": seed, "num_train_samples": 7, "num_val_samples": 5}
    quiet = make_solver(**options)
    quiet.train()
    shown = make_solver(verbose=verbose, print_every=print_every, progress=progress, **options)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        shown.train()
    assert numbers_of(shown) == numbers_of(quiet)


@settings(deadline=None)
@given(num_train_samples=st.none() | st.integers(1, 40))
def test_measuring_accuracy_does_not_disturb_the_minibatches(num_train_samples):
    reference, solver = make_solver(), make_solver(num_train_samples=num_train_samples)
    reference.train()
    solver.check_accuracy(solver.X_val, solver.y_val, num_samples=3)
    solver.train()
    assert solver.loss_history == reference.loss_history
    assert solver.val_acc_history == reference.val_acc_history


def test_other_seeds_give_other_minibatches_and_no_seed_fresh_ones():
    solvers = [make_solver(seed=seed) for seed in (0, 1, None, None)]
    for solver in solvers:
        solver.train()
    for one, other in itertools.combinations(solvers, 2):
        assert one.loss_history != other.loss_history


def test_numpys_global_generator_is_left_alone():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    make_solver(num_train_samples=3, seed=None).train()
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_training_learns():
    solver = make_solver(optim_config={"learning_rate": 1.0}, num_epochs=50)
    solver.train()
    assert solver.best_val_acc > 0.8
    assert solver.loss_history[-1] < 0.5 * solver.loss_history[0]


def test_every_parameters_learning_rate_decays_after_each_epoch():
    rates = []

    def rule(w, dw, config):
        rates.append(config["learning_rate"])
        return w, config

    solver = make_solver(update_rule=rule, optim_config={"learning_rate": 1.0}, lr_decay=0.5)
    solver.train()
    per_epoch = 3 * 2  # iterations, parameters
    assert rates == [1.0] * per_epoch + [0.5] * per_epoch + [0.25] * per_epoch
    assert [config["learning_rate"] for config in solver._update.configs.values()] == [0.125] * 2


def test_optim_config_is_not_changed_and_each_parameter_of_a_function_has_a_copy():
    config, seen = {"learning_rate": 0.5}, []

    def rule(w, dw, config):
        seen.append(config)
        return w, config

    for each in ("adam", rule):
        make_solver(update_rule=each, optim_config=config, lr_decay=0.5).train()
        assert config == {"learning_rate": 0.5}
    assert seen[0] is not seen[1]
    rates = {"learning_rate": np.array([0.5]), "slots": [0]}
    make_solver(update_rule=rule, optim_config=rates, lr_decay=0.5).train()
    assert rates == {"learning_rate": np.array([0.5]), "slots": [0]}
    assert seen[-1]["slots"] is not seen[-2]["slots"]
    assert seen[-1]["learning_rate"] == 0.5**4


def test_decay_leaves_an_array_of_learning_rates_alone():
    rate = np.array(0.5)

    def rule(w, dw, config):
        config["learning_rate"] = rate
        return w, config

    make_solver(update_rule=rule, lr_decay=0.5).train()
    assert rate == 0.5


def test_a_rule_may_return_new_arrays_and_keep_state():
    def rule(w, dw, config):
        steps = config.get("steps", 0) + 1
        return w - 0.01 * dw, {"steps": steps}

    reference, solver = make_solver(), make_solver(update_rule=rule)
    reference.train()
    solver.train()
    assert solver.loss_history == pytest.approx(reference.loss_history)
    assert [config["steps"] for config in solver._update.configs.values()] == [9, 9]


def test_float32_stays_float32():
    solver = make_solver(SoftmaxRegression(dtype=np.float32), make_data(dtype=np.float32), lr_decay=0.9)
    solver.train()
    for params in (solver.model.params, solver.best_params):
        assert {w.dtype for w in params.values()} == {np.dtype(np.float32)}


def test_read_only_data_are_enough():
    data = make_data()
    for array in data.values():
        array.flags.writeable = False
    make_solver(data=data).train()


# The best parameters


@settings(max_examples=20, deadline=None)
@given(learning_rate=st.floats(0, 100), seed=st.integers(0, 100))
def test_the_model_ends_with_the_parameters_best_on_validation(learning_rate, seed):
    solver = make_solver(optim_config={"learning_rate": learning_rate}, seed=seed)
    solver.train()
    assert solver.best_val_acc == max(solver.val_acc_history)
    assert solver.check_accuracy(solver.X_val, solver.y_val) == solver.best_val_acc
    assert_same(solver.model.params, solver.best_params)


def test_best_params_are_copies_and_the_models_arrays_stay_its_own():
    solver = make_solver()
    arrays = dict(solver.model.params)
    solver.train()
    for name, w in solver.model.params.items():
        assert w is arrays[name]
        assert not np.shares_memory(w, solver.best_params[name])


def test_of_equally_good_parameters_the_first_are_kept():
    data = make_data()
    solver = make_solver(data=data, metric=lambda outputs, y: 0.0)
    before = copy_of(solver.model.params)
    rows = np.random.default_rng(0).integers(30, size=10)
    _, grads = solver.model.loss(data["X_train"][rows], data["y_train"][rows])
    solver.train()
    assert solver.best_val_acc == 0
    assert_same(solver.model.params, {name: before[name] - 1e-2 * grads[name] for name in before})


def test_parameters_changed_between_two_calls_are_where_the_second_starts():
    seen = []
    solver = make_solver(update_rule=lambda w, dw, config: (seen.append(w.copy()), (w, config))[1])
    solver.train()
    for w in solver.model.params.values():
        w[...] = 1.0
    seen.clear()
    solver.train()
    np.testing.assert_array_equal(seen[0], np.ones((4, 3)))


def test_state_changed_between_two_calls_stays_so():
    class Falling(Noisy):
        def loss(self, X, y=None):
            seen.append(
                {"p": self.state.get("p"), "mean": self.state["mean"].copy(), **self.state["history"][0]}
            )
            return super().loss(X, y)

    model, seen = Falling(), []
    model.state |= {"p": 0.5, "layers": [{"q": np.ones(2)}, ({"r": 1},)], "unused": math.nan}
    solver = make_solver(model, num_epochs=2, metric=lambda outputs, y: -model.state["history"][0]["steps"])
    solver.train()
    assert model.state["history"][0]["steps"] == 1  # the best are the first ones
    last = seen[-1]
    model.state["p"] = 0.9
    model.state["added"] = 3
    model.state["layers"][0]["q"][0] = 7
    model.state["layers"][1][0]["r"] = 2
    del model.state["unused"]
    seen.clear()
    solver.train(1)
    assert seen[0]["p"] == 0.9 and seen[0]["steps"] == last["steps"]
    np.testing.assert_array_equal(seen[0]["mean"], last["mean"])
    model.state["rng"] = np.random.default_rng(3)
    solver.train(1)
    assert model.state["rng"].bit_generator.state != Noisy().state["rng"].bit_generator.state


VALUES = st.recursive(
    st.none()
    | st.integers(0, 2)
    | st.sampled_from([0.5, math.nan, "train", "test"])
    | st.integers(0, 2).map(np.random.default_rng)
    | st.integers(0, 2).map(lambda n: np.full(n, math.nan)),
    lambda values: st.lists(values, max_size=2) | st.dictionaries(st.sampled_from("ab"), values),
    max_leaves=4,
)


@given(now=VALUES, left=VALUES, last=VALUES)
def test_a_value_is_the_last_unless_it_was_changed(now, left, last):
    assert same(unless_changed(left, copy.deepcopy(left), last), last)
    if not isinstance(now, dict | list) and not same(now, left):
        assert unless_changed(now, left, last) is now


@settings(max_examples=20, deadline=None)
@given(epochs=st.lists(st.integers(1, 3), min_size=1, max_size=4), options=st.sampled_from(OPTIONS))
def test_training_again_goes_on_from_where_it_stood(epochs, options):
    once, again = (make_solver(Noisy(), **options) for _ in range(2))
    once.train(sum(epochs))
    for number in epochs:
        again.train(number)
        if again._stopped():  # by patience, as the other; after that a call would go on
            break
    assert again.epoch == once.epoch
    assert numbers_of(again) == numbers_of(once)
    assert_same(again.best_params, once.best_params)


@settings(max_examples=30, deadline=None)
@given(
    call=st.integers(1, 9 + 4 * 2),
    error=st.sampled_from([KeyboardInterrupt, RuntimeError]),
    options=st.data(),
)
def test_a_call_that_failed_in_a_step_or_a_measurement_is_completed_by_the_next(call, error, options):
    options = options.draw(st.sampled_from([*OPTIONS[:7], {"lr_decay": 0.5, "batch_size": 30}]))
    options = options | {"optim_config": {"learning_rate": 0.1}, "num_train_samples": 7}
    expected, solver = make_solver(Noisy(), **options), make_solver(Noisy(), **options)
    expected.train()
    loss, calls = solver.model.loss, itertools.count(1)

    def failing(X, y=None):
        if next(calls) == call:
            raise error
        return loss(X, y)

    solver.model.loss = failing
    with contextlib.suppress(error):
        solver.train()
    if solver.epoch < 3:  # it has as many calls
        solver.train()
    assert (solver.epoch, numbers_of(solver)) == (expected.epoch, numbers_of(expected))
    assert solver._update.configs.keys() == expected._update.configs.keys()
    for name, config in expected._update.configs.items():
        assert solver._update.configs[name]["learning_rate"] == config["learning_rate"]


def test_a_records_learning_rate_is_that_of_its_epoch(tmp_path):
    options = {"lr_decay": 0.5, "optim_config": {"learning_rate": 0.5}, "history": tmp_path / "log"}
    make_solver(**options).train()
    records = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [record["learning_rate"] for record in records] == [0.5, 0.5, 0.25, 0.125]


@settings(max_examples=20, deadline=None)
@given(step=st.integers(1, 8), options=st.sampled_from(OPTIONS[:-1]))
def test_an_interrupted_call_is_completed_by_the_next(step, options):
    expected = make_solver(Noisy(), **options)
    expected.train()
    solver = make_solver(Noisy(interrupt_at=step), **options)
    with pytest.raises(KeyboardInterrupt, match=rf"after iteration {step}( / 9)?; train\(\) goes on$"):
        solver.train()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert (len(solver.loss_history), solver.epoch) == (step, step // 3)
    assert_same(solver.model.params, solver.best_params)
    solver.train()
    assert numbers_of(solver) == numbers_of(expected)


def test_a_second_interrupt_ends_the_step():
    model = Noisy(interrupt_at=2)
    loss = model.loss

    def twice(X, y=None):
        result = loss(X, y)
        if model.steps == 2 and y is not None:
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("not interrupted")
        return result

    model.loss = twice
    solver = make_solver(model)
    with pytest.raises(KeyboardInterrupt):
        solver.train()
    assert len(solver.loss_history) == 1


# Accuracy


@settings(max_examples=30, deadline=None)
@given(num_examples=st.integers(1, 50), batch_size=st.integers(1, 60), seed=st.integers(0, 100))
def test_accuracy_is_the_fraction_of_right_predictions(num_examples, batch_size, seed):
    data, solver = make_data(num_examples, seed=seed), make_solver()
    expected = np.mean(solver.model.loss(data["X_train"]).argmax(axis=1) == data["y_train"])
    accuracy = solver.check_accuracy(data["X_train"], data["y_train"], batch_size=batch_size)
    assert type(accuracy) is float
    assert accuracy == pytest.approx(expected)


@settings(deadline=None)
@given(num_samples=st.integers(1, 40), batch_size=st.integers(1, 40))
def test_accuracy_is_measured_on_so_many_different_examples(num_samples, batch_size):
    X, y = np.arange(30), np.arange(30) % 2
    solver, batches = make_solver(), []

    def loss(X):
        batches.append(X)
        return np.stack([X % 2 == 0, X % 2 == 1], axis=1).astype(float)  # right about every example

    solver.model.loss = loss
    assert solver.check_accuracy(X, y, num_samples, batch_size) == 1
    seen = np.concatenate(batches)
    assert len(set(seen.tolist())) == len(seen) == min(num_samples, 30)
    assert max(map(len, batches)) <= batch_size


def test_samples_are_drawn_anew_from_all_examples():
    X, y = np.arange(30), np.zeros(30, int)
    solver, seen = make_solver(), set()
    solver.model.loss = lambda X: (seen.update(X.tolist()), np.zeros((len(X), 2)))[1]
    for _ in range(50):
        solver.check_accuracy(X, y, num_samples=5)
    assert seen == set(range(30))


@pytest.mark.parametrize(("num_samples", "examples"), [((7, 5), 7 + 5), ((None, None), 30 + 20)])
def test_training_measures_on_the_asked_numbers_of_samples(num_samples, examples):
    model, predicted = SoftmaxRegression(), []
    loss = model.loss

    def counting_loss(X, y=None):
        if y is None:
            predicted.append(len(X))
        return loss(X, y)

    model.loss = counting_loss
    make_solver(model, num_train_samples=num_samples[0], num_val_samples=num_samples[1]).train()
    assert sum(predicted) == 4 * examples


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_accuracy_is_not_measured_on_scores_that_are_not_finite(bad):
    solver = make_solver()
    solver.model.params["b"][1] = bad
    with pytest.raises(FloatingPointError, match="scores are NaN or infinite"):
        solver.check_accuracy(solver.X_val, solver.y_val)


def test_a_score_of_minus_infinity_rules_a_class_out():
    solver = make_solver()
    solver.model.params["b"][:] = [0, -math.inf, -math.inf]
    assert solver.check_accuracy(solver.X_val, np.zeros(20, int)) == 1


@pytest.mark.parametrize("shape", [(20,), (1, 3), (20, 3, 1)])
def test_accuracy_refuses_scores_of_another_shape(shape):
    solver = make_solver()
    solver.model.loss = lambda X: np.zeros(shape)
    with pytest.raises(ValueError, match=r"\(20, classes\).*got shape"):
        solver.check_accuracy(solver.X_val, solver.y_val)


@pytest.mark.parametrize("label", [-1, 3, 255])
@pytest.mark.parametrize("num_samples", [None, 15])
def test_labels_of_no_class_are_named(label, num_samples):
    X, y = np.zeros((20, 4)), np.zeros(20, int)
    y[17] = label
    solver = make_solver(data=make_data() | {"X_val": X, "y_val": y})
    message = rf"the label y\[17\] is {label}, .* 3 classes; labels must be from 0 to 2"
    with pytest.raises(ValueError, match=message):
        for _ in range(50):  # until that one is drawn
            solver.check_accuracy(X, y, num_samples, batch_size=7)
    with pytest.raises(ValueError, match=message):
        solver.train()


# The log and the bar


PUBLISHED_LOG = """\
(Iteration 1 / 1225) loss: 2.303097
(Epoch 0 / 5) train acc: 0.118000; val_acc: 0.116000
(Iteration 101 / 1225) loss: 2.255838
(Iteration 201 / 1225) loss: 2.190178
(Epoch 1 / 5) train acc: 0.245000; val_acc: 0.254000
(Iteration 301 / 1225) loss: 2.141584
(Iteration 401 / 1225) loss: 2.040423
(Epoch 2 / 5) train acc: 0.314000; val_acc: 0.303000
(Iteration 501 / 1225) loss: 1.939235
(Iteration 601 / 1225) loss: 1.857858
(Iteration 701 / 1225) loss: 1.851033
(Epoch 3 / 5) train acc: 0.302000; val_acc: 0.336000
(Iteration 801 / 1225) loss: 1.832768
(Iteration 901 / 1225) loss: 1.822979
(Epoch 4 / 5) train acc: 0.366000; val_acc: 0.357000
(Iteration 1001 / 1225) loss: 1.796848
(Iteration 1101 / 1225) loss: 1.849404
(Iteration 1201 / 1225) loss: 1.792433
(Epoch 5 / 5) train acc: 0.337000; val_acc: 0.375000
"""


class Published:
    """A model with the losses and accuracies of a published run; every label is 0."""

    def __init__(self):
        lines = [line.replace(";", "").split() for line in PUBLISHED_LOG.splitlines()]
        self.params = {"W": np.zeros(1)}
        self.losses = {int(words[1]): float(words[-1]) for words in lines if words[0] == "(Iteration"}
        accuracies = [float(word) for words in lines if words[0] == "(Epoch" for word in (words[6], words[8])]
        self.right = iter(
            np.concatenate([np.arange(1000) < round(1000 * accuracy) for accuracy in accuracies])
        )
        self.iteration = 0

    def loss(self, X, y=None):
        if y is None:
            right = np.array(list(itertools.islice(self.right, len(X))))
            return np.stack([right, ~right], axis=1).astype(float)
        self.iteration += 1
        return self.losses.get(self.iteration, 0.0), {"W": np.zeros(1)}


def test_the_log_is_the_courses_to_the_letter(capsys):
    data = {
        "X_train": np.zeros((49000, 1)),
        "y_train": np.zeros(49000, int),
        "X_val": np.zeros((1000, 1)),
        "y_val": np.zeros(1000, int),
    }
    Solver(Published(), data, lr_decay=0.95, num_epochs=5, batch_size=200, print_every=100).train()
    assert capsys.readouterr().out == PUBLISHED_LOG


@pytest.mark.parametrize("print_every", [0, -1])
def test_no_losses_are_logged_when_print_every_is_not_positive(capsys, print_every):
    make_solver(verbose=True, print_every=print_every).train()
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["(Epoch"] * 4


def test_nothing_is_written_when_not_verbose(capsys):
    make_solver(print_every=1, progress=None).train()
    assert capsys.readouterr() == ("", "")


def test_the_bar_counts_a_measurement_that_is_made_again(capsys):
    measures = iter([False, False, False, True])
    solver = make_solver(
        progress=True, batch_size=30, metric=lambda outputs, y: 1 / (not next(measures, False))
    )
    with pytest.raises(ZeroDivisionError):
        solver.train()
    capsys.readouterr()
    solver.train()
    assert "3/3 " in capsys.readouterr().err


def test_training_again_goes_on_counting_in_the_log(capsys):
    solver = make_solver(verbose=True, print_every=3)
    solver.train()
    capsys.readouterr()
    solver.train()
    places = [line.split(")")[0] for line in capsys.readouterr().out.splitlines()]
    iterations, epochs = (10, 13, 16), (4, 5, 6)
    expected = zip(iterations, epochs, strict=True)
    assert places == [line for i, e in expected for line in (f"(Iteration {i} / 18", f"(Epoch {e} / 6")]


def test_the_bar_goes_to_stderr_and_the_log_to_stdout(capsys):
    quiet = make_solver(verbose=True)
    quiet.train()
    log, no_bar = capsys.readouterr()
    solver = make_solver(verbose=True, progress=True)
    solver.train()
    out, bar = capsys.readouterr()
    assert no_bar == ""
    assert out == log
    last = bar.rstrip().rsplit("\r", 1)[-1]
    assert "9/9" in last
    assert f"loss {solver.loss_history[-1]:.4f}" in last
    assert f"train acc {solver.train_acc_history[-1]:.3f}" in last
    assert f"val acc {solver.val_acc_history[-1]:.3f}" in last


@pytest.mark.parametrize("terminal", [True, False])
def test_by_default_the_bar_is_shown_on_a_terminal_only(monkeypatch, terminal):
    stderr = io.StringIO()
    stderr.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stderr)
    make_solver(progress=None).train()
    assert ("9/9" in stderr.getvalue()) == terminal


# Divergence


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32(math.nan)])
def test_a_loss_that_is_not_finite_stops_training_before_its_gradient_is_applied(bad):
    updates = []
    solver = make_solver(
        Scripted([1.0, 2.0, 3.0, 4.0, bad]),
        update_rule=lambda w, dw, config: (updates.append(w), sgd(w, dw, config))[1],
        optim_config={"learning_rate": 0.5},
    )
    with pytest.raises(
        FloatingPointError, match=r"loss is -?(nan|inf) at iteration 5 / 9.*rate: 0.5.*weight_scale"
    ):
        solver.train()
    assert solver.diverged == 5
    assert solver.loss_history == [1.0, 2.0, 3.0, 4.0]
    assert len(updates) == 4 * 2
    assert_same(solver.model.params, solver.best_params)


def test_on_divergence_stop_ends_with_the_best_so_far():
    solver = make_solver(Scripted([1.0, 2.0, 3.0, 4.0, math.nan]), on_divergence="stop")
    solver.train()
    assert solver.diverged == 5
    assert solver.epoch == 1
    assert len(solver.val_acc_history) == 2
    assert_same(solver.model.params, solver.best_params)
    assert solver.check_accuracy(solver.X_val, solver.y_val) == solver.best_val_acc


def test_divergence_in_the_first_iteration_changes_nothing():
    solver = make_solver(Scripted([math.nan]), on_divergence="stop")
    before = copy_of(solver.model.params)
    solver.train()
    assert solver.diverged == 1
    assert (solver.loss_history, solver.val_acc_history, solver.best_params) == ([], [], {})
    assert solver.best_val_acc == -math.inf
    assert_same(solver.model.params, before)


@pytest.mark.parametrize("on_divergence", ["raise", "stop"])
def test_parameters_that_give_no_finite_scores_are_divergence_too(on_divergence):
    def rule(w, dw, config):
        config["steps"] = config.get("steps", 0) + 1
        w[...] = math.nan if config["steps"] == 9 else w - dw
        return w, config

    solver = make_solver(update_rule=rule, on_divergence=on_divergence)
    expected = contextlib.nullcontext() if on_divergence == "stop" else pytest.raises(FloatingPointError)
    with expected:
        solver.train()
    assert solver.diverged == 9
    assert len(solver.val_acc_history) == 3
    assert_same(solver.model.params, solver.best_params)


def test_training_can_go_on_after_divergence():
    solver = make_solver(Scripted([1.0] * 4 + [math.nan] + [1.0] * 9), on_divergence="stop")
    solver.train()
    solver.train()
    assert solver.diverged is None
    assert solver.epoch == 4
    assert len(solver.loss_history) == 12
    assert len(solver.val_acc_history) == 5


def test_the_minibatch_that_diverged_is_not_used_again():
    model, seen = Scripted([1.0] * 4 + [math.nan] + [1.0] * 9), []
    loss = model.loss
    model.loss = lambda X, y=None: (y is None or seen.append(X), loss(X, y))[1]
    solver = make_solver(model, on_divergence="stop")
    solver.train()
    solver.train()
    assert len({X.tobytes() for X in seen}) == len(seen)


@pytest.mark.parametrize("rule", ["sgd_momentum", "adam", momentum])
@pytest.mark.parametrize("on_divergence", ["stop", "raise"])
def test_after_divergence_the_rules_state_begins_anew(rule, on_divergence):
    def made(losses):
        return make_solver(
            Scripted(losses),
            update_rule=rule,
            on_divergence=on_divergence,
            optim_config={"learning_rate": 0.5},
            lr_decay=0.5,
            num_epochs=2,
            metric=lambda outputs, y: 0.0,  # the first are the best
        )

    solver = made([1.0] * 5 + [math.nan] + [1.0] * 9)
    with pytest.raises(FloatingPointError) if on_divergence == "raise" else contextlib.nullcontext():
        solver.train()
    assert solver.diverged == 6
    fresh = made([1.0])
    fresh.model.params = copy_of(solver.model.params)
    batch = solver._batches.draw()
    fresh._batches.draw = lambda: batch
    for config in fresh._update.configs.values():
        config["learning_rate"] = 0.25
    fresh._step("")
    solver._weights.begin()
    solver._step("")
    assert_same(solver.model.params, fresh.model.params)
    assert all(config["learning_rate"] == 0.25 for config in solver._update.configs.values())


@pytest.mark.parametrize("diverges_at", [5, 9])
def test_after_divergence_the_best_parameters_are_where_the_next_call_starts(diverges_at):
    seen, steps = [], itertools.count(1)

    def rule(w, dw, config):
        seen.append(w.copy())
        w[...] = math.nan if next(steps) == 2 * diverges_at else w - 0.1 * dw  # there are two parameters
        return w, config

    model = Noisy()
    solver = make_solver(model, update_rule=rule, average=0.8, on_divergence="stop")
    solver.train()
    assert solver.diverged in (diverges_at, diverges_at + 1)
    best, mean = solver.best_params, model.state["mean"].copy()
    seen.clear()
    loss = model.loss

    def watching(X, y=None):
        if y is not None and not seen:
            np.testing.assert_array_equal(model.state["mean"], mean)
        return loss(X, y)

    model.loss = watching
    solver.train()
    assert_same(dict(zip(best, seen, strict=False)), best)
    assert solver.diverged is None
    assert np.isfinite(solver._weights.state()["averages"]["W"]).all()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no")])
def test_an_interrupted_run_leaves_the_best_parameters(error):
    solver = make_solver(Scripted([1.0] * 4 + [error]))
    with pytest.raises(type(error)):
        solver.train()
    assert_same(solver.model.params, solver.best_params)


# Schedules, augmentation, averages, metrics, callbacks


def test_a_schedule_gives_every_steps_learning_rate(tmp_path):
    rates = []

    def rule(w, dw, config):
        rates.append(config["learning_rate"])
        return w, config

    solver = make_solver(update_rule=rule, lr_schedule=lambda step: 1 / (1 + step), history=tmp_path / "log")
    solver.train(1)
    solver.train(2)
    assert rates == [1 / (1 + step) for step in range(9) for _ in range(2)]
    records = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [record["learning_rate"] for record in records] == [1, 1 / 3, 1 / 6, 1 / 9]


@pytest.mark.parametrize(
    ("rate", "error"), [(math.nan, ValueError), (-1.0, ValueError), ("1", TypeError), (None, TypeError)]
)
def test_an_unfit_learning_rate_of_a_schedule_is_refused_before_any_parameter_changes(rate, error):
    solver = make_solver(lr_schedule=lambda step: rate)
    before = copy_of(solver.model.params)
    with pytest.raises(error, match=r"lr_schedule\(0\) must be"):
        solver.train()
    assert_same(solver.model.params, before)


@pytest.mark.parametrize("batch_size", [1, 7, 10, 30, 50])
def test_without_replacement_an_epoch_is_a_permutation(batch_size):
    data, seen = make_data(), []
    data["X_train"][:, 0] = np.arange(30)
    model = SoftmaxRegression()
    loss = model.loss
    model.loss = lambda X, y=None: (seen.extend(X[:, 0].tolist() if y is not None else []), loss(X, y))[1]
    solver = make_solver(model, data, replacement=False, batch_size=batch_size, num_epochs=2)
    solver.train()
    per_epoch = max(30 // batch_size, 1) * min(batch_size, 30)
    first, second = seen[:per_epoch], seen[per_epoch:]
    assert len(set(first)) == len(first) == len(second) == len(set(second))
    assert first != second


def test_augmentation_is_of_the_minibatches_alone_and_the_same_whatever_the_thread_does():
    plain, augmented = make_solver(), make_solver(augment=lambda X, rng: X.copy())
    plain.train()
    augmented.train()
    assert numbers_of(augmented) == numbers_of(plain)
    noisy, again = make_solver(augment=noise), make_solver(augment=noise)
    noisy.train()
    again.train()
    assert noisy.loss_history != plain.loss_history
    assert numbers_of(noisy) == numbers_of(again)


@pytest.mark.parametrize(
    ("augment", "error", "message"),
    [
        (
            lambda X, rng: X[:, :2],
            ValueError,
            r"float64 of shape \(10, 2\) for a minibatch of float64 of shape",
        ),
        (lambda X, rng: X.astype(np.float32), ValueError, "augment returned float32 of shape"),
        (lambda X, rng: None, ValueError, "augment returned object"),
        (lambda X, rng: X / rng, TypeError, "unsupported operand"),
    ],
)
def test_an_augmentation_that_changes_shape_or_dtype_is_refused(augment, error, message):
    with pytest.raises(error, match=message):
        make_solver(augment=augment).train()


def test_patience_ends_training():
    solver = make_solver(num_epochs=9, patience=2, metric=lambda outputs, y: 0.0)
    solver.train()
    assert solver.epoch == 2
    solver.train(1)
    assert solver.epoch == 3
    solver.train(1)
    assert solver.epoch == 4
    solver.train()  # a further call waits as long
    assert solver.epoch == 6


@given(scores=st.lists(st.integers(0, 3), min_size=9, max_size=9), patience=st.integers(1, 3))
def test_calls_that_patience_did_not_end_are_one_call(scores, patience):
    def trained(*calls):
        given = iter(scores)
        one = make_solver(
            num_train_samples=1, patience=patience, metric=lambda outputs, y: next(given) if len(y) > 1 else 0
        )
        for epochs in calls:
            one.train(epochs)
        return one

    first, whole = trained(2), trained(5)
    if whole.epoch > 2:
        assert numbers_of(trained(2, 3)) == numbers_of(whole)
    else:
        assert first.epoch == whole.epoch
        more = trained(2, 3).epoch - first.epoch
        assert min(patience, 3) <= more <= 3


def test_the_average_of_the_parameters_is_measured_and_kept():
    model, means = SoftmaxRegression(), []
    mean = copy_of(model.params)

    def rule(w, dw, config):
        w -= 0.5 * dw
        (name,) = [name for name, each in model.params.items() if each is w]
        mean[name] += (1 - 0.8) * (w - mean[name])
        means.append(copy_of(mean))
        return w, config

    solver = make_solver(model, update_rule=rule, average=0.8)
    solver.train()
    assert any(
        all(np.array_equal(means[2 * step - 1][name], solver.best_params[name]) for name in mean)
        for step in (1, 3, 6, 9)
    )
    assert solver.check_accuracy(solver.X_val, solver.y_val) == solver.best_val_acc


@pytest.mark.parametrize("trained", [0, 1])
def test_the_average_begins_from_parameters_that_were_changed_before_a_call(trained):
    solver = make_solver(average=0.999, optim_config={"learning_rate": 0.0})
    for _ in range(trained):
        solver.train()
    for w in solver.model.params.values():
        w[...] = 1.0
    solver.train()
    for mean in solver._weights.state()["averages"].values():
        np.testing.assert_array_equal(mean, np.ones_like(mean))


class LinearRegression:
    def __init__(self):
        self.params = {"w": np.zeros((4, 2))}

    def loss(self, X, y=None):
        out = X @ self.params["w"]
        if y is None:
            return out
        return ((out - y) ** 2).mean(), {"w": 2 * X.T @ (out - y) / out.size}


def regression_data():
    rng = np.random.default_rng(0)
    X, w = rng.standard_normal((50, 4)), rng.standard_normal((4, 2))
    return {"X_train": X[:30], "y_train": X[:30] @ w, "X_val": X[30:], "y_val": X[30:] @ w}


def test_regression_by_a_metric():
    data = regression_data()
    solver = make_solver(
        LinearRegression(),
        data,
        metric=lambda out, y: -np.mean((out - y) ** 2),
        optim_config={"learning_rate": 0.5},
        num_epochs=40,
        num_train_samples=5,
    )
    solver.train()
    assert -1e-6 < solver.best_val_acc == max(solver.val_acc_history) <= 0
    error = -np.mean((solver.model.loss(data["X_val"]) - data["y_val"]) ** 2)
    assert solver.check_accuracy(data["X_val"], data["y_val"], batch_size=7) == pytest.approx(error)


def test_a_metric_that_is_not_finite_is_divergence():
    solver = make_solver(LinearRegression(), regression_data(), metric=lambda out, y: math.nan)
    with pytest.raises(FloatingPointError, match="the metric is nan on 30 examples"):
        solver.train()
    assert solver.diverged == 1


def test_the_callback_is_called_after_each_epoch_and_may_end_training():
    epochs = []
    solver = make_solver(callback=lambda solver: epochs.append(solver.epoch) or solver.epoch == 2)
    solver.train()
    assert epochs == [1, 2]
    solver.train(1)
    assert epochs == [1, 2, 3]


def test_train_refuses_to_run_within_itself():
    solver = make_solver(callback=lambda solver: solver.train(1))
    with pytest.raises(RuntimeError, match="train is running, and was called again"):
        solver.train()
    solver.callback = None
    solver.train()
    assert solver.epoch == 3


def test_the_history_is_json_lines(tmp_path):
    solver = make_solver(history=tmp_path / "history.jsonl")
    solver.train()
    records = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [0, 1, 2, 3]
    assert [record["iteration"] for record in records] == [1, 3, 6, 9]
    assert [record["val_acc"] for record in records] == solver.val_acc_history
    assert [record["train_acc"] for record in records] == solver.train_acc_history
    assert [record["loss"] for record in records] == [solver.loss_history[i] for i in (0, 2, 5, 8)]


# What is refused


@pytest.mark.parametrize("key", ["X_train", "y_train", "X_val", "y_val"])
def test_missing_data_are_named(key):
    data = make_data()
    del data[key]
    with pytest.raises(ValueError, match=f"no '{key}'"):
        make_solver(data=data)


@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        ("y_train", np.zeros(29, int), ValueError, r"X_train.*y_train.*\(30, 4\) and \(29,\)"),
        (
            "y_val",
            np.zeros((20, 3), int),
            ValueError,
            r"y_val.*\(20, 3\); of one-hot rows, y.argmax\(axis=1\)",
        ),
        ("y_val", np.zeros((20, 1), int), ValueError, r"\(20, 1\); of a column give y.ravel\(\)"),
        ("X_val", np.zeros(()), ValueError, "X_val"),
        ("y_train", np.zeros(30), TypeError, "integer labels, got float64.*for regression give metric="),
        ("y_train", np.zeros(30, bool), TypeError, "integer labels, got bool"),
    ],
)
def test_unfit_data_are_refused(key, value, error, message):
    with pytest.raises(error, match=message):
        make_solver(data=make_data() | {key: value})


@pytest.mark.parametrize("split", ["train", "val"])
def test_empty_data_are_refused(split):
    empty = {f"X_{split}": np.zeros((0, 4)), f"y_{split}": np.zeros(0, int)}
    with pytest.raises(ValueError, match=f"X_{split} is empty"):
        make_solver(data=make_data() | empty)


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("update_rule", "sdg", ValueError),
        ("update_rule", None, TypeError),
        ("optim_config", 0.1, TypeError),
        ("lr_decay", 0.0, ValueError),
        ("lr_decay", -0.5, ValueError),
        ("lr_decay", math.nan, ValueError),
        ("lr_decay", math.inf, ValueError),
        ("batch_size", 0, ValueError),
        ("batch_size", 1.5, TypeError),
        ("batch_size", True, TypeError),
        ("num_epochs", 0, ValueError),
        ("num_epochs", -1, ValueError),
        ("num_epochs", "5", TypeError),
        ("print_every", None, TypeError),
        ("num_train_samples", 0, ValueError),
        ("num_val_samples", -3, ValueError),
        ("on_divergence", "ignore", ValueError),
        ("seed", -1, ValueError),
        ("seed", 1.5, TypeError),
        ("lr_schedule", 0.1, TypeError),
        ("augment", "flip", TypeError),
        ("patience", 0, ValueError),
        ("average", 1.0, ValueError),
        ("average", "0.9", TypeError),
        ("metric", "mse", TypeError),
        ("callback", [], TypeError),
        ("checkpoint", 3, TypeError),
        ("checkpoint", "", TypeError),
        ("checkpoint_seconds", 0, ValueError),
        ("checkpoint_seconds", 5, ValueError),
        ("history", 3, TypeError),
        ("replacement", "no", TypeError),
        ("lr_decay", "0.5", TypeError),
    ],
)
def test_unfit_options_are_refused_with_the_value_given(option, value, error):
    given = "checkpoint_seconds is given" if (option, value) == ("checkpoint_seconds", 5) else repr(value)
    with pytest.raises(error, match=re.escape(given)):
        make_solver(**{option: value})


@pytest.mark.parametrize("option", ["checkpoint", "history"])
def test_a_file_in_a_folder_that_does_not_exist_is_refused_when_the_solver_is_made(tmp_path, option):
    with pytest.raises(
        FileNotFoundError, match=f"{option}: there is no folder '.*nofolder' to write 'S' into"
    ):
        make_solver(**{option: tmp_path / "nofolder" / "S"})
    make_solver(**{option: tmp_path / "S"})


@pytest.mark.parametrize("option", ["checkpoint", "history"])
def test_a_file_that_cannot_be_written_is_refused_when_the_solver_is_made(tmp_path, option, monkeypatch):
    with pytest.raises(IsADirectoryError, match=f"{option}: '.*' is a folder"):
        make_solver(**{option: tmp_path})
    monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (tmp_path, os.W_OK))
    with pytest.raises(PermissionError, match=f"{option}: nothing may be written into the folder"):
        make_solver(**{option: tmp_path / "run"})


def test_a_schedule_and_a_decay_are_refused_together():
    with pytest.raises(ValueError, match=r"lr_schedule and lr_decay=0\.5 are both given"):
        make_solver(lr_schedule=lambda step: 0.1, lr_decay=0.5)


@pytest.mark.parametrize("data", [None, 3, tuple(make_data().values())])
def test_data_that_are_no_mapping_are_refused(data):
    with pytest.raises(
        TypeError, match="data must be a mapping with X_train, y_train, X_val and y_val, got "
    ):
        Solver(SoftmaxRegression(), data)


def test_numpy_integers_are_integers():
    make_solver(batch_size=np.int64(10), num_epochs=np.int32(1), num_val_samples=np.int64(5)).train()


class WithoutLoss:
    def __init__(self, params):
        self.params = params


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (object(), "object.params must be a dict"),
        (WithoutLoss([np.ones(1)]), "WithoutLoss.params must be a dict"),
        (WithoutLoss([np.ones(5)]), "got list$"),
        (SoftmaxRegression, r"model is the class SoftmaxRegression; give an object of it"),
        (WithoutLoss({"W": np.ones(1, int)}), r"params\['W'\] has dtype int64; expected floats"),
        (
            WithoutLoss({}),
            "WithoutLoss.params is empty; all parameters must be there when the Solver is made",
        ),
        (WithoutLoss({"W": [1.0]}), r"params\['W'\] must be a NumPy array, got list$"),
        (WithoutLoss({"W": {"b": np.ones(1)}}), "got dict; give one dict of arrays, not nested"),
        (WithoutLoss({"W": mg.tensor(np.ones(1))}), r"got Tensor; give its array, \.data"),
        (WithoutLoss({"W": np.ones(1)}), r"must have a method loss\(X, y=None\)"),
    ],
)
def test_a_model_without_params_or_loss_is_refused(model, message):
    with pytest.raises(TypeError, match=message):
        make_solver(model)


class ReadFrom(SoftmaxRegression):
    """Its params are a property, which makes a dict of the arrays that it keeps."""

    read = staticmethod(lambda w: w)

    @property
    def params(self):
        return {name: self.read(w) for name, w in self.kept.items()}

    @params.setter
    def params(self, params):
        self.kept = params


@pytest.mark.parametrize("read", [np.copy, lambda w: np.lib.stride_tricks.as_strided(w, writeable=False)])
def test_params_that_are_made_anew_are_refused(read):
    model = ReadFrom()
    model.read = read
    with pytest.raises(TypeError, match=r"ReadFrom\.params is made anew .* updates of 'W' would be lost"):
        make_solver(model, update_rule=lambda w, dw, config: (w - 0.1 * dw, config))


def test_params_may_be_a_property_that_gives_the_models_arrays():
    expected, model = make_solver(), ReadFrom()
    model.read = lambda w: w[...]
    expected.train()
    make_solver(model).train()
    assert_same(model.params, expected.model.params)


@pytest.mark.parametrize(
    "change", [lambda params: params.update(c=np.zeros(3)), lambda params: params.pop("b")]
)
def test_parameters_that_come_or_go_in_training_are_refused(change):
    class Late(SoftmaxRegression):
        def loss(self, X, y=None):
            result = super().loss(X, y)
            if y is not None:
                change(self.params)
                change(result[1])
            return result

    with pytest.raises(
        ValueError, match=r"model\.params has .* but it had \['W', 'b'\] when the Solver was made"
    ):
        make_solver(Late(), average=0.9).train()


def test_scores_may_be_a_tensor():
    class OnTheTape(SoftmaxRegression):
        def loss(self, X, y=None):
            result = super().loss(X, y)
            return mg.tensor(result, requires_grad=True) * 1 if y is None else result

    solver, expected = make_solver(OnTheTape()), make_solver()
    solver.train(), expected.train()
    assert solver.val_acc_history == expected.val_acc_history


@pytest.mark.parametrize(
    ("option", "value", "call"),
    [
        ("lr_schedule", cosine, r"lr_schedule\(step\)"),
        ("augment", shift, r"augment\(X, rng\)"),
        ("augment", lambda X: X, r"augment\(X, rng\)"),
        ("metric", lambda outputs: 0.0, r"metric\(outputs, y\)"),
        ("callback", lambda: None, r"callback\(solver\)"),
        ("batches", lambda: [], r"batches\(rng\)"),
    ],
)
def test_a_function_of_other_arguments_is_refused_when_the_solver_is_made(option, value, call):
    with pytest.raises(
        TypeError, match=rf"Solver: {option} is called as {call}, which [a-z_.<>]+ does not take"
    ):
        make_solver(**{option: value})


def test_a_complex_loss_is_refused():
    solver = make_solver()
    solver.model.loss = lambda X, y=None: (1 + 1j, {})
    with pytest.raises(TypeError, match=r"the loss .* is \(1\+1j\); it must be a real number"):
        solver.train()


@pytest.mark.parametrize(
    ("unfit", "message"),
    [
        (lambda grads: grads.pop("b"), "no gradient for parameter 'b'"),
        (lambda grads: grads.update(W3=np.zeros(3)), r"gradients for \['W3'\]; expected .* \['W', 'b'\]"),
        (lambda grads: grads.update(b=np.zeros(4)), r"gradient of 'b'.*\(4,\).*\(3,\)"),
        (lambda grads: grads.update(b=np.zeros(3, int)), "gradient of 'b' is int64.*float64"),
        (lambda grads: grads.update(b=np.zeros(3, complex)), "gradient of 'b' is complex128.*float64"),
    ],
)
def test_unfit_gradients_are_refused_before_any_parameter_changes(unfit, message):
    class Unfit(SoftmaxRegression):
        def loss(self, X, y=None):
            result = super().loss(X, y)
            if y is not None:
                unfit(result[1])
            return result

    solver = make_solver(Unfit())
    before = copy_of(solver.model.params)
    with pytest.raises(ValueError, match=message):
        solver.train()
    assert_same(solver.model.params, before)


@pytest.mark.parametrize("rule", ["sgd_momentum", "adam", lambda w, dw, config: (w - 0.1 * dw, config)])
def test_gradients_of_another_dtype_are_converted_to_the_parameters(rule):
    class Mixed(SoftmaxRegression):
        """Of float32, and somewhere inside is a mask of another dtype."""

        mask = np.float32(1)

        def loss(self, X, y=None):
            result = super().loss(X, y)
            return (
                result if y is None else (result[0], {name: dw * self.mask for name, dw in result[1].items()})
            )

    trained = []
    for mask in (np.float32(1), np.float64(1)):
        solver = make_solver(Mixed(dtype=np.float32), make_data(dtype=np.float32), update_rule=rule)
        solver.model.mask = mask
        solver.train()
        assert {w.dtype for w in solver.model.params.values()} == {np.dtype(np.float32)}
        trained.append(solver.model.params)
    assert_same(*trained)


@pytest.mark.parametrize(
    "config", [{"learning_rate": -1.0}, {"lr": 0.1}, {"learning_rate": "0.1"}, {"learning_rate": math.nan}]
)
def test_an_unfit_optim_config_is_refused_when_the_solver_is_made(config):
    with pytest.raises((ValueError, TypeError), match="learning_rate"):
        make_solver(optim_config=config)


def test_decay_needs_a_learning_rate():
    solver = make_solver(update_rule=lambda w, dw, config: (w, config), lr_decay=0.5)
    with pytest.raises(ValueError, match="no 'learning_rate'"):
        solver.train()


def test_importing_the_solver_does_not_import_tqdm():
    program = "import sys, minigrad.solver; sys.exit('tqdm' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("returned", "told"),
    [(np.float64(1.0), "float64"), ((1.0, [np.zeros(2)]), r"\(float, list\)"), (None, "NoneType")],
)
def test_a_loss_that_returns_something_else_is_told(returned, told):
    class Model:
        params = {"w": np.zeros((2, 2))}  # noqa: RUF012

        def loss(self, X, y=None):
            return X @ self.params["w"] if y is None else returned

    data = {
        "X_train": np.ones((4, 2)),
        "y_train": np.zeros(4, int),
        "X_val": np.ones((2, 2)),
        "y_val": np.zeros(2, int),
    }
    with pytest.raises(TypeError, match=r"it must return \(loss, grads\)"):
        Solver(Model(), data, batch_size=2, num_epochs=1, verbose=False).train()


@pytest.mark.parametrize("loss", [np.ones(3), np.ones(1), [1.0, 2.0], None, "high"])
def test_a_loss_that_is_not_one_number_is_told(loss):
    with pytest.raises(
        TypeError, match=r"the loss that model.loss\(X, y\) returned is .* must be one number"
    ):
        make_solver(Scripted([loss])).train()


@pytest.mark.parametrize("value", [np.zeros(3), np.zeros(1), None])
def test_a_metric_that_is_not_one_number_is_told(value):
    with pytest.raises(TypeError, match=r"the metric is .*; it must be one number"):
        make_solver(metric=lambda outputs, y: value).train()


def test_no_bar_takes_no_lock_of_tqdms(monkeypatch):
    """Forked processes share it: where one is killed that has it, all others would wait for ever."""
    from tqdm import tqdm

    monkeypatch.setattr(tqdm, "get_lock", lambda: pytest.fail("a lock is taken"))
    make_solver(verbose=True).train()
    sweep(lambda setting, data, seed: {"val_acc": 0.5}, {"a": [1]}, {"X": np.ones(1)}, progress=False)


@pytest.mark.parametrize("metric", [None, lambda outputs, y: -np.mean(outputs**2)])
def test_a_model_that_writes_to_its_examples_cannot_change_the_data(metric):
    data = make_data()
    before = {name: x.copy() for name, x in data.items()}
    with pytest.raises(ValueError, match=r"writes to its examples, .* write X = X - 1 in place of X -= 1"):
        make_solver(Careless(), data, metric=metric).train()
    assert_same(data, before)


def test_the_best_state_is_that_of_the_best_parameters():
    solver = make_solver(Noisy())
    assert solver.best_state == {}
    solver.train()
    state = solver.best_state
    np.testing.assert_array_equal(state["mean"], solver.model.state["mean"])
    state["mean"] += 1
    assert not np.array_equal(solver.best_state["mean"], state["mean"])
    assert SoftmaxRegression().params.keys() == make_solver().model.params.keys()
    plain = make_solver()
    plain.train()
    assert plain.best_state == {}


@pytest.mark.parametrize("rule", ["sgd_momentum", "nesterov_momentum", "adamw", "rmsprop"])
def test_settings_may_be_arrays_of_no_axes(rule):
    found = find_rule(rule).settings
    given = [found, {name: np.array(value) for name, value in found.items()}]
    solvers = [make_solver(update_rule=rule, optim_config=config, lr_decay=0.9) for config in given]
    for solver in solvers:
        solver.train()
    assert numbers_of(solvers[0]) == numbers_of(solvers[1])


@pytest.mark.parametrize("options", [{}, {"augment": noise}])
def test_a_copy_of_a_solver_trains_on_as_the_solver_does(options):
    solver = make_solver(Noisy(), update_rule="adam", **options)
    solver.train()
    copied = copy.deepcopy(solver)
    for each in (solver, copied):
        each.train(2)
    assert numbers_of(copied) == numbers_of(solver)
    assert copied.model.params["W"] is not solver.model.params["W"]


def test_a_learning_rate_may_be_an_array_of_no_axes():
    rates = [
        {"optim_config": {"learning_rate": rate}, "lr_schedule": schedule}
        for rate, schedule in ((0.1, None), (np.array(0.1), None), (1.0, lambda step: np.array(0.1)))
    ]
    solvers = [make_solver(**options) for options in rates]
    for solver in solvers:
        solver.train()
    for other in solvers[1:]:
        np.testing.assert_array_equal(solvers[0].loss_history, other.loss_history)
