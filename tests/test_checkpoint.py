"""A resumed training goes on bit for bit, and what is no checkpoint of it is refused before anything changes."""

import contextlib
import copy
import io
import math
import os
import pickle
import subprocess
import sys
import time
import zipfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_solver import OPTIONS, Noisy, SoftmaxRegression, assert_same, make_data, make_solver, numbers_of

import minigrad
from minigrad import optim
from minigrad.layers import batchnorm_forward
from minigrad.training import chain, checkpoint, cosine, flip, shift
from minigrad.training.identity import described
from minigrad.training.weights import same
from models.fully_connected_net import FullyConnectedNet


class Killed(Exception):
    """In the place of kill -9."""


class Mortal(Noisy):
    def __init__(self, dies_at=0, **options):
        super().__init__(**options)
        self.dies_at = [dies_at]

    def loss(self, X, y=None):
        result = super().loss(X, y)
        if y is not None and self.steps in self.dies_at:
            raise Killed
        return result


@settings(max_examples=20, deadline=None)
@given(step=st.integers(1, 9), between=st.booleans(), options=st.sampled_from(OPTIONS[:-1]))
def test_a_resumed_training_ends_as_an_undisturbed_one(tmp_path_factory, step, between, options):
    file = tmp_path_factory.mktemp("run") / "run.npz"
    expected = make_solver(Mortal(), **options)
    expected.train()
    options = options | {"checkpoint": file, "checkpoint_seconds": 1e-9 if between else None}
    with pytest.raises(Killed):
        make_solver(Mortal(dies_at=step), **options).train()
    solver = make_solver(Mortal(), **options | {"seed": 99})
    if file.exists():
        solver.resume()
        assert len(solver.loss_history) == (step - 1 if between else (step - 1) // 3 * 3)
    else:
        assert step == 1 or (step <= 3 and not between)
        solver = make_solver(Mortal(), **options)
    solver.train()
    assert numbers_of(solver) == numbers_of(expected)
    assert_same(solver.best_params, expected.best_params)
    assert solver.best_val_acc == expected.best_val_acc
    np.testing.assert_array_equal(solver.model.state["mean"], expected.model.state["mean"])
    for one in (solver, expected):
        one.train(2)
    assert numbers_of(solver) == numbers_of(expected)
    resumed = make_solver(Mortal(), **options).resume()
    resumed.train()  # it was complete: nothing is left to do
    assert numbers_of(resumed) == numbers_of(solver)


def test_a_solver_that_failed_in_a_measurement_may_resume(tmp_path):
    expected, model = make_solver(), SoftmaxRegression()
    expected.train()
    loss = model.loss

    def failing(X, y=None):
        if y is None and solver.epoch == 1 and len(solver.loss_history) == 6:
            raise Killed
        return loss(X, y)

    model.loss = failing
    solver = make_solver(model, checkpoint=tmp_path / "run.npz")
    with pytest.raises(Killed):
        solver.train()
    model.loss = loss
    solver.resume().train()
    assert numbers_of(solver) == numbers_of(expected)


def test_a_training_that_the_callback_ended_has_nothing_left_to_do(tmp_path):
    options = {"checkpoint": tmp_path / "run.npz", "callback": lambda solver: solver.epoch == 2}
    ended = make_solver(**options)
    ended.train()
    resumed = make_solver(**options).resume()
    resumed.train()
    assert resumed.epoch == 2 and numbers_of(resumed) == numbers_of(ended)
    resumed.train()  # a new goal
    assert resumed.epoch == 5


@pytest.mark.parametrize("stops_after", [4, None])
def test_resumed_with_more_epochs_it_goes_on_to_them(tmp_path, stops_after):
    expected = make_solver(Mortal(), num_epochs=6)
    expected.train()
    first = make_solver(Mortal(dies_at=stops_after), num_epochs=3, checkpoint=tmp_path / "run.npz")
    with contextlib.suppress(Killed):
        first.train()
    resumed = make_solver(Mortal(), num_epochs=6, checkpoint=tmp_path / "run.npz").resume()
    resumed.train()
    assert resumed.epoch == 6 and numbers_of(resumed) == numbers_of(expected)
    fewer = make_solver(Mortal(), num_epochs=2, checkpoint=tmp_path / "run.npz").resume()
    fewer.train()
    assert fewer.epoch == 6


def test_the_epochs_that_a_call_asked_for_stay(tmp_path):
    first = make_solver(Mortal(dies_at=4), checkpoint=tmp_path / "run.npz")
    with pytest.raises(Killed):
        first.train(2)
    resumed = make_solver(Mortal(), num_epochs=6, checkpoint=tmp_path / "run.npz").resume()
    resumed.train()
    assert resumed.epoch == 2


@pytest.mark.parametrize("rule", optim.update_rules)
def test_the_state_of_every_update_rule_is_kept(tmp_path, rule):
    options = {"update_rule": rule, "optim_config": {"learning_rate": 0.1}, "lr_decay": 0.9}
    expected = make_solver(Mortal(), **options)
    expected.train()
    options |= {"checkpoint": tmp_path / "run.npz"}
    with pytest.raises(Killed):
        make_solver(Mortal(dies_at=5), **options).train()
    solver = make_solver(Mortal(), **options).resume()
    solver.train()
    assert numbers_of(solver) == numbers_of(expected)
    other = next(name for name in optim.update_rules if name != rule)
    with pytest.raises(ValueError, match=f"settings 'update_rule': {rule} there, {other} here"):
        make_solver(Mortal(), **options | {"update_rule": other}).resume()


PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import test_solver as t

file, result, dies_at = sys.argv[2], sys.argv[3], int(sys.argv[4])
model = t.Noisy()
loss = model.loss

def mortal(X, y=None):
    if y is not None and model.state["history"][0]["steps"] == dies_at:
        os.kill(os.getpid(), 9)
    return loss(X, y)

model.loss = mortal
solver = t.make_solver(
    model, checkpoint=file, checkpoint_seconds=1e-9, augment=t.noise, update_rule=t.momentum, average=0.8
)
if os.path.exists(file):
    solver.resume()
solver.train()
np.savez(result, losses=solver.loss_history, **solver.model.params)
"""


def test_killed_at_every_few_steps_it_still_ends_as_an_undisturbed_one(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(minigrad.__file__).parents[1])}

    def run(name, dies_at):
        files = [str(tmp_path / f"{name}.npz"), str(tmp_path / f"{name}-result.npz")]
        command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), *files, str(dies_at)]
        return subprocess.run(command, env=environment).returncode

    assert [run("killed", dies_at) for dies_at in (2, 5, 8, -1)] == [-9, -9, -9, 0]
    assert run("whole", -1) == 0
    with np.load(tmp_path / "killed-result.npz") as killed, np.load(tmp_path / "whole-result.npz") as whole:
        assert_same(dict(killed), dict(whole))
    assert len(list(tmp_path.iterdir())) == 4


def test_an_interrupt_says_how_to_go_on(tmp_path):
    solver = make_solver(Noisy(interrupt_at=2), checkpoint=tmp_path / "run.npz")
    with pytest.raises(KeyboardInterrupt, match=r"after resume\('.*run\.npz'\)$"):
        solver.train()
    assert len(make_solver(Noisy(), checkpoint=tmp_path / "run.npz").resume().loss_history) == 2


# What is refused


def snapshot(solver):
    kept = ("epoch", "loss_history", "val_acc_history", "best_val_acc", "_call", "_records")
    parts = {name: getattr(solver, name) for name in kept} | {
        "weights": solver._weights.state(),
        "update": solver._update.state(),
        "batches": solver._batches.state(),
        "samples": solver._samples,
    }
    return repr(checkpoint._encoded(parts, arrays := {}, "")), {
        name: a.tobytes() for name, a in arrays.items()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    file = tmp_path_factory.mktemp("run") / "run.npz"
    make_solver(Noisy(), checkpoint=file, augment=OPTIONS[2]["augment"]).train()
    return file.read_bytes()


def refused(path, content, match="is no checkpoint of a Solver, or is cut off or changed", **options):
    path.write_bytes(content)
    solver = make_solver(**{"model": Noisy(), "augment": OPTIONS[2]["augment"]} | options)
    before = snapshot(solver)
    with pytest.raises(ValueError, match=match):
        solver.resume(path)
    assert snapshot(solver) == before


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_changed_or_cut_off_checkpoint_is_refused(tmp_path_factory, whole, data):
    path = tmp_path_factory.mktemp("run") / "run.npz"
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.none() | st.integers(0, 255).filter(lambda byte: byte != whole[place]))
    refused(path, whole[:place] + (b"" if byte is None else bytes([byte]) + whole[place + 1 :]))


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def sealed(members):
    """Return a checkpoint with a right digest, whatever is in it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
        archive.comment = b"0" * 64
    body = content.getvalue()[:-64]
    return body + checkpoint.hashlib.sha256(body).hexdigest().encode()


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        pickle.dumps(Evil()),
        npy(np.zeros(3)),
        sealed({}),
        sealed({"tree.json": b"[]"}),
        sealed({"tree.json": b"{}"}),
        sealed({"tree.json": b'{"code": "1"}'}),
        sealed({"tree.json": b'{"array": "0"}'}),
        sealed({"tree.json": b'{"list": []}'}),
        sealed({"tree.json": b"[" * 100_000}),
        sealed({"tree.json": b'{"dict": {"a": {"generator": {"dict": {"bit_generator": "os"}}}}}'}),
        sealed({"tree.json": b'{"dict": {"a": {"generator": {"dict": {"bit_generator": "PCG64"}}}}}'}),
        sealed({"tree.json": b'{"dict": {}}', "a.npy": npy(np.array([Evil()]), allow_pickle=True)}),
        sealed({"tree.json": b'{"dict": {}}', "a.npy": b"\x93NUMPY\x01\x00\xff\xff"}),
    ],
    ids=lambda content: content[:10].hex(),
)
def test_what_is_no_checkpoint_is_refused(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    refused(tmp_path / "run.npz", content)
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"model": Noisy(dtype=np.float32)}, r"model 'W': float64 \(4, 3\) there, float32 \(4, 3\) here"),
        ({"model": Noisy(num_classes=4)}, r"model 'b': float64 \(3,\) there, float64 \(4,\) here"),
        ({"model": SoftmaxRegression()}, "model 'class': Noisy there, SoftmaxRegression here"),
        (
            {"data": make_data(seed=1)},
            r"data 'X_train': float64 \(30, 4\) .* there, float64 \(30, 4\) .* here",
        ),
        ({"data": make_data(num_train=29)}, r"data 'X_train': .* there, float64 \(29, 4\) .* here"),
        ({"update_rule": OPTIONS[2]["update_rule"]}, "settings 'update_rule': sgd there, momentum"),
        ({"batch_size": 9}, "settings 'batch_size': 10 there, 9 here"),
        ({"augment": None}, r"settings 'augment': noise\(its constants=\(0\.1,\)\) there, None here"),
        ({"optim_config": {"learning_rate": 1.0}}, r"settings 'optim_config': \{\} there"),
        ({"average": 0.5}, "settings 'average': None there, 0.5 here"),
    ],
    ids=range(10),
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path, whole, options, difference):
    refused(tmp_path / "run.npz", whole, f"is the checkpoint of another training .*{difference}", **options)


def scaled(rate, X):
    """Return a schedule of one's own, with a default, a cell it assigns to, and one it changes."""
    calls, seen = 0, []

    def schedule(step, factor=rate):
        nonlocal calls
        calls += 1
        seen.append(X)
        return factor

    return schedule


class Penalized(SoftmaxRegression):
    """Has a setting, what it keeps to itself, and what changes while it is used."""

    def __init__(self, reg=0.0, size=None):
        super().__init__()
        self.reg, self._size, self.calls, self.created, self.mode = reg, size, 0, time.time(), "train"

    def loss(self, X, y=None):
        self.calls += 1
        self.mode = "test" if y is None else "train"
        return super().loss(X, y)


def used(model):
    model.loss(np.zeros((2, 4)))
    return model


def inside(model):
    outer = SoftmaxRegression()
    outer.net = model
    return outer


class Falling:
    """A schedule that is an object, and one by its method; it counts."""

    def __init__(self, rate, every=(2, None)):
        self.rate, self._every, self.calls = rate, every, 0

    def __call__(self, step):
        self.calls += 1
        return self.rate

    def at(self, step):
        return self(step)


def called(schedule):
    schedule(0)
    return schedule


def of_steps(X):
    """Return functions of one name, with other constants; the first two have other docstrings alone."""
    if X == 0:

        def schedule(step):
            """Return a rate."""
            return 0.5 if step in {3, 5} else 0.1

        return schedule

    if X == 1:

        def schedule(step):
            """Return another."""
            return 0.5 if step in {5, 3} else 0.1

        return schedule

    def schedule(step):
        """Return another."""
        return 0.5 if step in {3, 6} else 0.1

    return schedule


X = np.arange(3.0)
NETS = {"hidden_dims": [5], "input_dim": 4, "num_classes": 3, "dtype": np.float64, "seed": 0}
DIFFERENT = [
    (
        {"lr_schedule": cosine(0.1, 9)},
        {"lr_schedule": cosine(0.5, 90)},
        r"learning_rate=0\.1, num_steps=9\) there",
    ),
    ({"augment": shift(1)}, {"augment": shift(3)}, r"shift.*pixels=1\) there, .*pixels=3\) here"),
    ({"augment": chain(flip(), shift(1))}, {"augment": chain(flip(0.1), shift(1))}, "p=0.5.* there"),
    ({"lr_schedule": scaled(0.1, X)}, {"lr_schedule": scaled(0.2, X)}, "factor=0.1, X='float64"),
    ({"lr_schedule": scaled(0.1, X)}, {"lr_schedule": scaled(0.1, X[:2])}, "X='float64"),
    ({"metric": partial(max, 1)}, {"metric": partial(max, 2)}, r"partial\(func='max', 0=1\) there"),
    ({"metric": partial(max, key=1)}, {"metric": partial(max, key=2)}, r"key=1\) there"),
    ({"optim_config": {"rate": X}}, {"optim_config": {"rate": X + 1}}, r"'optim_config': \{'rate': 'float64"),
    (
        {"lr_schedule": lambda step: 0.1 + step},
        {"lr_schedule": lambda step: 0.2 + step},
        r"constants=\(0\.1,\)",
    ),
    ({"lr_schedule": lambda step: 1}, {"lr_schedule": lambda step: 2}, r"constants=\(1,\)"),
    (
        {"metric": lambda o, y: (lambda z: z[:2].max() * 3)(o)},
        {"metric": lambda o, y: (lambda z: z[:2].max() * 4)(o)},
        r"constants=\(.*3.*\) there",
    ),
    ({"lr_schedule": of_steps(0)}, {"lr_schedule": of_steps(2)}, r"\(3, 5\).* there"),
    ({"augment": lambda X, rng: X["a"]}, {"augment": lambda X, rng: X["b"]}, r"constants=\('a',\)"),
    (
        {"lr_schedule": Falling(0.1)},
        {"lr_schedule": Falling(0.2)},
        r"Falling\(rate=0\.1, _every=\(2, None\)\)",
    ),
    ({"lr_schedule": Falling(0.1, 2)}, {"lr_schedule": Falling(0.1, 3)}, "_every=2"),
    ({"lr_schedule": Falling(0.1).at}, {"lr_schedule": Falling(0.2).at}, "rate=0.1"),
    ({"lr_schedule": partial(Falling(0.1))}, {"lr_schedule": partial(Falling(0.2))}, "rate=0.1"),
    (
        {"model": Penalized(0.1)},
        {"model": Penalized(0.2)},
        "model 'reg': 0.1 there, 0.2 here",
    ),
    (
        {"model": Penalized(size=(1, None))},
        {"model": Penalized()},
        r"model '_size': \(1, None\) there, None here",
    ),
    (
        {"model": inside(Penalized(0.1))},
        {"model": inside(Penalized(0.2))},
        "model 'net.reg': 0.1 there",
    ),
    (
        {"model": FullyConnectedNet(normalization="batchnorm", **NETS)},
        {"model": FullyConnectedNet(normalization="layernorm", **NETS)},
        "model 'normalization': batchnorm there",
    ),
    (
        {"model": FullyConnectedNet(dropout_keep_ratio=0.5, **NETS)},
        {"model": FullyConnectedNet(dropout_keep_ratio=0.9, **NETS)},
        "model 'dropout_keep_ratio': 0.5 there, 0.9 here",
    ),
]
ALIKE = [
    ({"lr_schedule": cosine(0.1, 9)}, {"lr_schedule": cosine(np.float64(0.1), np.int64(9))}),
    ({"augment": chain(flip(), shift(2))}, {"augment": chain(flip(), shift(2))}),
    ({"lr_schedule": scaled(0.1, X)}, {"lr_schedule": scaled(0.1, np.empty(3))}),  # a work array
    ({"lr_schedule": Falling(0.1)}, {"lr_schedule": called(Falling(np.float64(0.1)))}),
    ({"lr_schedule": Falling(0.1).at}, {"lr_schedule": called(Falling(0.1)).at}),
    ({"lr_schedule": of_steps(0)}, {"lr_schedule": of_steps(1)}),
    ({"model": Penalized(0.1)}, {"model": used(Penalized(np.float64(0.1)))}),
    ({"model": Penalized(math.nan)}, {"model": Penalized(math.nan)}),
    (
        {"optim_config": {"a": 1, "learning_rate": 0.1}},
        {"optim_config": {"learning_rate": np.float64(0.1), "a": 1.0}},
    ),
]


def plain_rule(w, dw, config):
    return w, config


@pytest.mark.parametrize("case", [*DIFFERENT, *ALIKE], ids=range(len(DIFFERENT) + len(ALIKE)))
def test_settings_of_model_and_functions_are_compared(tmp_path, case):
    one, other, *difference = case
    common = {"update_rule": plain_rule, "checkpoint": tmp_path / "run.npz"}
    make_solver(**common | one)._save()
    solver = make_solver(**common | other)
    if not difference:
        solver.resume()
        return
    with pytest.raises(ValueError, match=f"is the checkpoint of another training .*{difference[0]}"):
        solver.resume()


def test_a_function_is_described_alike_after_it_was_called():
    schedule = scaled(0.1, X)
    before = described(schedule)
    schedule(0)
    assert described(schedule) == before


def test_a_function_that_reads_itself_is_described():
    def countdown(n):
        return n and countdown(n - 1)

    name = countdown.__qualname__
    assert described(countdown) == f"{name}(countdown={name!r}, its constants=(1,))"


def test_a_checkpoint_without_all_its_parts_is_refused(tmp_path, whole):
    (tmp_path / "run.npz").write_bytes(whole)
    tree = checkpoint.load(tmp_path / "run.npz")
    del tree["epoch"]
    checkpoint.save(tmp_path / "run.npz", tree)
    refused(tmp_path / "run.npz", (tmp_path / "run.npz").read_bytes(), "that lacks epoch")


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        make_solver().resume(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="no path is given, and the solver has no checkpoint"):
        make_solver().resume()


def test_a_model_whose_state_no_checkpoint_can_hold_is_refused_when_the_solver_is_made(tmp_path):
    model = Noisy()
    model.state["file"] = io.BytesIO()
    with pytest.raises(TypeError, match="cannot hold the BytesIO at weights/state/file"):
        make_solver(model, checkpoint=tmp_path / "run.npz")


@pytest.mark.parametrize("kind", checkpoint.BIT_GENERATORS)
def test_a_generator_goes_on_as_before(tmp_path, kind):
    rng = np.random.Generator(getattr(np.random, kind)(3))
    rng.random(5)
    rng.integers(10, size=3, dtype=np.int8)
    checkpoint.save(tmp_path / "tree", {"rng": rng, "tuple": (1, [None, True, "x", 0.1, np.float32(0.1)])})
    tree = checkpoint.load(tmp_path / "tree")
    assert tree["tuple"] == (1, [None, True, "x", 0.1, np.float32(0.1)])
    assert type(tree["tuple"][1][4]) is np.float32
    other = np.random.Generator(getattr(np.random, kind)(4))
    assert checkpoint.restored(other, tree["rng"]) is other
    np.testing.assert_array_equal(other.random(9), rng.random(9))


class Pair(NamedTuple):
    seen: np.ndarray
    count: int


TREES = st.recursive(
    st.integers(0, 3).map(lambda n: np.full(n, float(n)))
    | st.integers(0, 9)
    | st.integers(0, 9).map(np.random.default_rng)
    | st.integers(0, 9).map(np.random.RandomState),
    lambda trees: (
        st.lists(trees, max_size=3)
        | st.lists(trees, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from("ab"), trees, max_size=2)
        | st.builds(Pair, trees, trees)
    ),
    max_leaves=5,
)


def leaves(tree):
    """Return the arrays and generators in a tree."""
    if isinstance(tree, dict | list | tuple):
        return [leaf for each in (tree.values() if isinstance(tree, dict) else tree) for leaf in leaves(each)]
    return [] if isinstance(tree, int) else [tree]


@given(tree=TREES)
def test_arrays_and_generators_are_restored_in_place_wherever_they_are(tree):
    saved, inside = copy.deepcopy(tree), leaves(tree)
    for leaf in inside:
        if isinstance(leaf, np.ndarray):
            leaf += 1
        else:
            leaf.normal()  # after which a legacy generator keeps another number
    back = checkpoint.restored(tree, copy.deepcopy(saved))
    assert type(back) is type(tree)
    assert same(back, saved)
    assert all(one is other for one, other in zip(leaves(back), inside, strict=True))


class Counting(SoftmaxRegression):
    """Its state is in tuples."""

    def __init__(self):
        super().__init__()
        self.seen = np.zeros(1)
        self.state = {"seen": (self.seen, [Pair(self.seen, 0)])}

    def loss(self, X, y=None):
        if y is not None:
            self.seen += 1
        return super().loss(X, y)


def test_an_array_in_a_tuple_stays_the_models_own(tmp_path):
    make_solver(Counting(), checkpoint=tmp_path / "run.npz", num_epochs=2).train()
    model = Counting()
    make_solver(model, checkpoint=tmp_path / "run.npz").resume().train(1)
    assert model.state["seen"][0] is model.state["seen"][1][0].seen is model.seen
    model = Counting()
    make_solver(model, metric=lambda outputs, y: -float(model.seen[0])).train()
    assert model.seen == 1  # as in the first measurement, the best


class WithBatchNorm(SoftmaxRegression):
    """Normalizes its examples, with running means that it keeps as the course's nets do."""

    def __init__(self):
        super().__init__()
        self.bn_params = [{"mode": "train"}]
        self.unit = np.ones(4), np.zeros(4)

    def loss(self, X, y=None):
        self.bn_params[0]["mode"] = "test" if y is None else "train"
        return super().loss(batchnorm_forward(X, *self.unit, self.bn_params[0])[0], y)


def test_running_means_that_a_checkpoint_would_lack_are_told(tmp_path):
    told = pytest.warns(
        UserWarning, match=r"run.npz does not hold WithBatchNorm.bn_params, which may .*self.state = "
    )
    with told as warned:
        make_solver(WithBatchNorm(), checkpoint=tmp_path / "run.npz", num_epochs=3).train()
    assert [each.filename for each in warned] == [__file__]
    model = WithBatchNorm()
    model.state = {"normalization": model.bn_params}
    make_solver(model, checkpoint=tmp_path / "other.npz").train()  # without a warning
    model = SoftmaxRegression()
    model.itself = [model.params]
    model.itself.append(model.itself)
    make_solver(model, checkpoint=tmp_path / "third.npz").train()


def test_running_means_that_are_not_of_the_best_parameters_are_told():
    def train(model):
        scores = iter([0.0, 0.0, 2.0, 2.0, 1.0, 1.0])  # of training and validation, of epochs 0, 1 and 2
        make_solver(model, metric=lambda outputs, y: next(scores), num_epochs=2).train()

    told = pytest.warns(
        UserWarning,
        match=r"best parameters, of epoch 1, but WithBatchNorm.bn_params, of epoch 2: .*self.state = ",
    )
    with told as warned:
        train(WithBatchNorm())
    assert [each.filename for each in warned] == [__file__]
    model = WithBatchNorm()
    model.state = {"normalization": model.bn_params}
    train(model)  # without a warning


def test_a_state_of_the_running_means_themselves_is_enough(tmp_path):
    class OfArrays(WithBatchNorm):
        def __init__(self):
            super().__init__()
            self.bn_params[0] |= {"running_mean": np.zeros(4), "running_var": np.zeros(4)}

        @property
        def state(self):
            return {name: self.bn_params[0][name] for name in ("running_mean", "running_var")}

    first = make_solver(OfArrays(), checkpoint=tmp_path / "run.npz")
    first.train(1)  # without a warning
    second = make_solver(OfArrays()).resume(tmp_path / "run.npz")
    first.train(1), second.train(1)
    assert same(second.model.bn_params, first.model.bn_params)


class StateOf(SoftmaxRegression):
    """Its state is a property, which makes a dict of what it keeps."""

    def __init__(self, make):
        super().__init__()
        self.kept, self.make = {"mean": np.zeros(4), "rng": np.random.default_rng(0), "steps": [0]}, make

    @property
    def state(self):
        return self.make(self.kept)


@pytest.mark.parametrize(
    ("make", "lost"),
    [
        (lambda kept: kept | {"t": kept["steps"][0]}, r"state\['t'\]"),
        (lambda kept: kept | {"mean": kept["mean"].copy()}, r"state\['mean'\]"),
        (lambda kept: {"all": (kept["mean"], None)}, r"state\['all'\]\[1\]"),
        (lambda kept: {"all": [kept["mean"], copy.deepcopy(kept["rng"])]}, r"state\['all'\]\[1\]"),
    ],
)
def test_a_state_that_is_made_anew_is_refused(make, lost):
    with pytest.raises(TypeError, match=rf"StateOf\.{lost} is made anew whenever"):
        make_solver(StateOf(make))


@pytest.mark.parametrize("make", [dict, lambda kept: {"all": list(kept.values())}])
def test_a_state_may_be_a_property_that_gives_what_the_model_keeps(tmp_path, make):
    trained, resumed = StateOf(make), StateOf(make)
    make_solver(trained, checkpoint=tmp_path / "run.npz").train(1)
    trained.kept["mean"] += 1
    make_solver(trained, checkpoint=tmp_path / "run.npz").train(1)
    make_solver(resumed, checkpoint=tmp_path / "run.npz").resume()
    assert same(make(resumed.kept), make(trained.kept))
