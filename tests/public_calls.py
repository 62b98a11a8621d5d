"""A right call of every public function beside the layers, for tests/test_api.py."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import minigrad as mg
from minigrad import cifar_pickle, datasets, gradient_check, optim, preprocess, solver, testing, training, vis
from minigrad import sweep as sweeps

X, v = np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0])
IMAGES, EXAMPLES = np.random.default_rng(0).random((9, 1, 4, 4)), np.random.default_rng(0).random((9, 3))
FOLDER = tempfile.TemporaryDirectory()
PLACE = Path(FOLDER.name)


class Net:
    """A softmax regression, which does not know what it computes."""

    def __init__(self):
        self.params = {"W": np.ones((4, 3))}

    def loss(self, X, y=None):
        scores = X @ self.params["W"]
        return scores if y is None else (1.0, {"W": X.T @ (scores - np.eye(3)[y])})


def data():
    rng = np.random.default_rng(0)
    parts = {"X_train": (20, 4), "X_val": (8, 4)}
    made = {name: rng.random(shape) for name, shape in parts.items()}
    return made | {"y_train": rng.integers(3, size=20), "y_val": rng.integers(3, size=8)}


def squared(x):
    return np.sum(x**2)


def half(x):
    return x / 2


def product(x, w):
    return x * w, (x, w)


def product_backward(dout, cache):
    return dout * cache[1], dout * cache[0]


def leaf():
    return mg.tensor(X, requires_grad=True)


def train(setting, data, seed):
    return {"val_acc": 0.5}


PAIR = product, product_backward
SOLVER = {
    "update_rule": "sgd",
    "optim_config": {"learning_rate": 0.1},
    "lr_decay": 1.0,
    "batch_size": 5,
    "num_epochs": 1,
    "print_every": 0,
    "verbose": False,
    "num_train_samples": 5,
    "num_val_samples": 5,
    "seed": 0,
    "progress": False,
    "on_divergence": "raise",
    "replacement": True,
    "augment": None,
    "patience": 1,
    "average": 0.5,
    "metric": None,
    "callback": None,
    "history": None,
}


def make_solver(**options):
    return solver.Solver(**{"model": Net(), "data": data()} | SOLVER | options)


def trained(made):
    made.train()


def on_images(augment):
    augment(IMAGES, np.random.default_rng(0))


def plotted(f):
    """Call a plot, and forget its figure."""

    def call(**given):
        import matplotlib.pyplot as plt

        try:
            f(**given)
        finally:
            plt.close("all")

    return call


RESULT = sweeps.SweepResult(
    [sweeps.Trial({"a": 1}, "finished", 0.5), sweeps.Trial({"a": 2}, "finished", 0.3)]
)
HISTORY = SimpleNamespace(loss_history=[1.0], train_acc_history=[0.1], val_acc_history=[0.2])
FILTERS = SimpleNamespace(params={"W1": np.ones((4, 3))})
part = functools.partial

CALLS = {
    "tensor": (mg.tensor, lambda: {"data": X, "requires_grad": True, "dtype": float}, None),
    "grad": (mg.grad, lambda: {"f": squared, "argnums": 0, "has_aux": False}, lambda g: g(X)),
    "grad()": (mg.grad(squared), lambda: [X], None),
    "value_and_grad": (
        mg.value_and_grad,
        lambda: {"f": squared, "argnums": 0, "has_aux": False},
        lambda g: g(X),
    ),
    "elementwise_grad": (mg.elementwise_grad, lambda: {"f": np.tanh, "argnums": 0}, lambda g: g(X)),
    "jacobian": (mg.jacobian, lambda: {"f": np.square, "argnums": 0}, lambda g: g(v)),
    "jacobian()": (mg.jacobian(np.square), lambda: [v], None),
    "hessian": (mg.hessian, lambda: {"f": squared, "argnums": 0}, lambda g: g(v)),
    "hvp": (mg.hvp, lambda: {"f": squared, "primals": (v,), "tangents": (v,)}, None),
    "jvp": (mg.jvp, lambda: {"f": np.square, "primals": (v,), "tangents": (v,)}, None),
    "vjp": (mg.vjp, lambda: [np.square, v], lambda made: made[1](v)),
    "vjp()": (mg.vjp(np.square, v)[1], lambda: [v], None),
    "per_example_grads": (
        mg.per_example_grads,
        lambda: {"f": lambda p, x: np.sum(p * x), "argnums": 0},
        lambda g: g(v, X[:, :2]),
    ),
    "per_example_grads()": (mg.per_example_grads(lambda p, x: np.sum(p * x)), lambda: [v, X[:, :2]], None),
    "flatten": (mg.flatten, lambda: {"tree": {"a": v, "b": X}}, lambda made: made[1](np.zeros(8))),
    "flatten()": (mg.flatten({"a": v, "b": X})[1], lambda: [np.zeros(8)], None),
    "stop_gradient": (mg.stop_gradient, lambda: [X], None),
    "checkpoint": (mg.checkpoint, lambda: [np.tanh], lambda f: f(X)),
    "checkpoint()": (mg.checkpoint(np.tanh), lambda: [X], None),
    "jit": (mg.jit, lambda: {"f": np.tanh, "donate_argnums": ()}, lambda f: f(X.copy())),
    "jit()": (mg.jit(lambda x: x * 2), lambda: [X], None),
    "layer": (
        mg.layer,
        lambda: {"forward": product, "backward": product_backward, "name": "mine", "linear": False},
        lambda f: f(X, X),
    ),
    "rule": (mg.rule, lambda: [half, lambda g, out, x: g / 2], lambda f: f(X)),
    "register_container": (
        mg.register_container,
        lambda: {"kind": type("C", (), {}), "children": lambda x: (), "rebuild": lambda x, new: x},
        None,
    ),
    "tape": (mg.tape, lambda: {"result": squared(leaf()), "W": leaf()}, str),
    "draw_tape": (mg.draw_tape, lambda: {"result": squared(leaf()), "gradients": False, "W": leaf()}, str),
    "sigmoid": (mg.sigmoid, lambda: {"x": X}, None),
    "softmax": (mg.softmax, lambda: {"x": X, "axis": -1}, None),
    "log_softmax": (mg.log_softmax, lambda: {"x": X, "axis": -1}, None),
    "logsumexp": (mg.logsumexp, lambda: {"x": X, "axis": -1, "keepdims": False}, None),
    "no_grad": (mg.no_grad(), lambda: [leaf], None),
    "detect_anomaly": (mg.detect_anomaly(), lambda: [leaf], None),
    "Tensor.backward": (lambda gradient: squared(leaf()).backward(gradient), lambda: [1.0], None),
    "clip_global_norm": (optim.clip_global_norm, lambda: {"grads": {"W": X}, "max_norm": 1.0}, None),
    "find_rule": (optim.find_rule, lambda: {"rule": "sgd"}, None),
    "check_grads": (lambda f: gradient_check.check_grads(f, v), lambda: [squared], None),
    "check_grads, args": (part(gradient_check.check_grads, squared), lambda: [v], None),
    "check_grads, options": (
        part(gradient_check.check_grads, squared, v),
        lambda: {"order": 1, "seed": 0, "raise_on_error": True},
        None,
    ),
    "check_layer": (gradient_check.check_layer, lambda: [PAIR, X, X], None),
    "check_layer, options": (
        part(gradient_check.check_layer, PAIR, X, X),
        lambda: {"argnums": (0,), "options": {}, "seed": 0, "raise_on_error": True, "per_example": (0, 1)},
        None,
    ),
    "eval_numerical_gradient": (
        gradient_check.eval_numerical_gradient,
        lambda: {"f": squared, "x": X.copy(), "verbose": False, "h": 1e-5},
        None,
    ),
    "eval_numerical_gradient_array": (
        gradient_check.eval_numerical_gradient_array,
        lambda: {"f": np.square, "x": X.copy(), "df": X, "h": 1e-5},
        None,
    ),
    "rel_error": (gradient_check.rel_error, lambda: {"x": X, "y": X}, None),
    "array_code": (testing.array_code, lambda: {"x": X}, None),
    "laid_out": (testing.laid_out, lambda: {"x": X, "layout": "sliced"}, None),
    "labels": (testing.labels, lambda: {"n": 3, "classes": 3}, None),
    "scores": (
        testing.scores,
        lambda: {"max_n": 3, "max_classes": 3, "dtype": float, "kinks": ()},
        None,
    ),
    "calls": (testing.calls, lambda: {"inputs": mg.relu.inputs, "dtype": float}, None),
    "layers_inputs": (testing.layers_inputs, lambda: {"layer": mg.relu, "dtype": float}, None),
    "arrays_for": (testing.arrays_for, lambda: ["n d"], None),
    "arrays_for, options": (
        part(testing.arrays_for, "n"),
        lambda: {
            "dtype": float,
            "low": -2.0,
            "high": 2.0,
            "kinks": (),
            "layouts": ("sliced",),
            "min_side": 1,
            "max_side": 2,
        },
        None,
    ),
    "programs": (
        testing.programs,
        lambda: {"outputs": "scalar", "max_lines": 2, "dtypes": (float,), "min_side": 1},
        None,
    ),
    "gradient_property": (
        testing.gradient_property,
        lambda: {"forward": product, "backward": product_backward, "inputs": testing.arrays_for("n", "n")},
        None,
    ),
    "get_cifar10_data": (
        datasets.get_cifar10_data,
        lambda: {
            "root": str(PLACE),
            "num_training": 6,
            "num_validation": 1,
            "num_test": 1,
            "subtract_mean": True,
            "dtype": float,
        },
        None,
    ),
    "cifar10_folder": (datasets.cifar10_folder, lambda: {"root": str(PLACE)}, None),
    "load_digits": (datasets.load_digits, lambda: {"dtype": float, "num_training": 9}, None),
    "read_pickle": (cifar_pickle.read_pickle, lambda: [b"}."], None),
    "pca_whitening": (
        preprocess.pca_whitening,
        lambda: {"X": EXAMPLES, "n_components": 2, "eps": 0.0},
        lambda whitening: whitening(np.ones((2, 3))),
    ),
    "Whitening": (preprocess.pca_whitening(EXAMPLES, 2), lambda: [np.ones((2, 3))], None),
    "patch_whitening": (
        preprocess.patch_whitening,
        lambda: {"X": IMAGES, "size": 2, "n_components": 2, "eps": 0.0},
        None,
    ),
    "pca_whitened": (
        preprocess.pca_whitened,
        lambda: {"data": data(), "n_components": 2, "unit_variance": False},
        None,
    ),
    "pca_whitened, data": (
        lambda **parts: preprocess.pca_whitened(parts, 2),
        lambda: {name: x for name, x in data().items() if name[0] == "X"},
        None,
    ),
    "Solver": (make_solver, lambda: {"model": Net(), "data": data(), **SOLVER}, trained),
    "Solver, schedule": (make_solver, lambda: {"lr_schedule": lambda t: 0.1}, trained),
    "Solver, checkpoint": (
        make_solver,
        lambda: {"checkpoint": str(PLACE / "run.npz"), "checkpoint_seconds": 1.0},
        None,
    ),
    "Solver, data": (lambda **parts: make_solver(data=parts), data, trained),
    "Solver, settings": (
        lambda **config: make_solver(optim_config=config),
        lambda: {"learning_rate": 0.1},
        trained,
    ),
    "Solver.train": (lambda num_epochs: make_solver().train(num_epochs), lambda: [1], None),
    "Solver.check_accuracy": (
        lambda **given: make_solver().check_accuracy(**given),
        lambda: {"X": data()["X_val"], "y": data()["y_val"], "num_samples": 3, "batch_size": 2},
        None,
    ),
    "train_model": (sweeps.train_model, lambda: {"model": Net(), "data": data(), "seed": 0}, None),
    "sweep": (
        sweeps.sweep,
        lambda: {
            "train": train,
            "grid": {"a": [1]},
            "data": data(),
            "executor": None,
            "seed": 0,
            "progress": False,
        },
        None,
    ),
    "Halving": (sweeps.Halving, lambda: {"rungs": [1, 2], "keep": 0.5}, None),
    "choices": (sweeps.choices, lambda: {"n": 2, "space": {"a": [1, 2]}, "seed": 0}, None),
    "uniform": (
        sweeps.uniform,
        lambda: {"low": 0.0, "high": 1.0},
        lambda draw: draw(np.random.default_rng(0)),
    ),
    "log_uniform": (
        sweeps.log_uniform,
        lambda: {"low": 0.1, "high": 1.0},
        lambda draw: draw(np.random.default_rng(0)),
    ),
    "visualize_grid": (
        vis.visualize_grid,
        lambda: {"Xs": np.ones((4, 3, 3, 1)), "ubound": 255.0, "padding": 1},
        None,
    ),
    "plot_history": (plotted(vis.plot_history), lambda: {"solver": HISTORY, "axes": None}, None),
    "plot_sweep": (plotted(vis.plot_sweep), lambda: {"result": RESULT, "axes": None}, None),
    "show_net_weights": (plotted(vis.show_net_weights), lambda: {"net": FILTERS, "ax": None}, None),
    "show_net_weights, W1": (
        plotted(lambda **params: vis.show_net_weights(SimpleNamespace(params=params))),
        lambda: {"W1": np.ones((4, 3))},
        None,
    ),
    "cosine": (
        training.cosine,
        lambda: {"learning_rate": 0.1, "num_steps": 3, "final": 0.0},
        lambda rate: rate(0),
    ),
    "step_decay": (
        training.step_decay,
        lambda: {"learning_rate": 0.1, "every": 3, "factor": 0.1},
        lambda rate: rate(0),
    ),
    "warmup": (training.warmup, lambda: {"schedule": 0.1, "num_steps": 3}, lambda rate: rate(0)),
    "flip": (training.flip, lambda: {"p": 0.5}, on_images),
    "shift": (training.shift, lambda: {"pixels": 2}, on_images),
    "cutout": (training.cutout, lambda: {"size": 2}, on_images),
    "chain": (training.chain, lambda: [training.flip(0.5)], on_images),
    "flip()": (training.flip(0.5), lambda: [IMAGES, np.random.default_rng(0)], None),
    "shift()": (training.shift(1), lambda: [IMAGES, np.random.default_rng(0)], None),
    "cutout()": (training.cutout(2), lambda: [IMAGES, np.random.default_rng(0)], None),
}
"""By name: what is called, its right arguments, and what is done with its result."""

for name, rule in optim.update_rules.items():
    given = {"grads": {"W": X}, "params": {"W": X}, "learning_rate": 0.1}
    CALLS[name] = rule, lambda r=rule: {"w": np.ones(2), "dw": np.ones(2), "config": {**r.settings}}, None
    CALLS[f"{name}, settings"] = (
        lambda r=rule, **config: r(np.ones(2), np.ones(2), config),
        lambda r=rule: (
            {**r.settings} | {x: y for x, y in r(np.ones(2), np.ones(2))[1].items() if x in r.state}
        ),
        None,
    )
    CALLS[f"{name}.init"] = rule.init, lambda: {"params": {"W": X}}, None
    CALLS[f"{name}.update"] = (
        rule.update,
        lambda r=rule, given=given: given | {"state": r.init({"W": X})},
        None,
    )

NOT_CALLED = {
    "get_CIFAR10_data": "get_cifar10_data, in the course's spelling",
    "download_cifar10": "it is called as cifar10_folder is, first",
    "update_rule, UpdateRule": "their arguments are code",
    "Program, HypothesisDraw": "made by programs, and by arrays_for",
    "Slopes, Way, Report, GradientMismatch": "they are returned or raised",
    "Trial, SweepResult, Table": "they are returned",
    "Tensor": "made by tensor",
    "JitError, TapeError": "they are raised",
    "Model, Metric, Executor, History, Network": "protocols",
}
"""Public names without a call of their own, and why."""
