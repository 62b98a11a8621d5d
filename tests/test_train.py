"""Every recipe trains, from the command line, and keeps what it says; what its parts compute."""

import csv
import dataclasses
import json
import re

import numpy as np
import pytest

from models import ablation, train
from models.recipes import RECIPES, OnFeatures, mirrored_and_shifted, whitened_patches

SIDE = 16
PRINTED = re.compile(
    r"validation accuracy: (\d\.\d{4})\ntest accuracy: (\d\.\d{4})\nminutes: \d+\.\d, of CPU time \d+\.\d\n"
)


def images(rng, n):
    """Images of ten classes, which a patch tells apart, in noise."""
    y = np.arange(n) % 10
    X = rng.standard_normal((n, 3, SIDE, SIDE))
    X[np.arange(n), y % 3, 6 : 6 + 3] += 4 * (1 + y % 4)[:, None, None] - 10
    return (30 * X).astype(np.float32), y


def tiny_cifar10(root, num_training, num_validation, num_test, dtype):
    if root is not None:
        raise FileNotFoundError(f"CIFAR-10 is not in {root}")
    rng = np.random.default_rng(0)
    data = {}
    for part, n in (("train", num_training), ("val", num_validation), ("test", num_test)):
        data[f"X_{part}"], data[f"y_{part}"] = images(rng, n)
    return data


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command line on tiny images; return its status, stdout and stderr."""
    monkeypatch.setattr(train, "get_cifar10_data", tiny_cifar10)

    def run(*argv):
        numbers = ["--num-train", "500", "--num-val", "20", "--num-test", "30"]
        try:
            status = train.main([*numbers, *map(str, argv)])
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return run


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains_and_keeps_its_results(run, tmp_path, name):
    status, out, err = run("--recipe", name, "--epochs", 1, "--quiet", "--out", tmp_path)
    assert (status, err) == (0, "")
    validation, test = map(float, PRINTED.fullmatch(out).groups())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(train.OUTPUTS)
    history = json.loads((tmp_path / "history.json").read_text())
    settings = history["settings"]
    assert settings | {"recipe": name, "num_epochs": 1, "seed": 0, "num_train": 500} == settings
    assert settings["learning_rate"] == RECIPES[name].learning_rate
    assert history["test_accuracy"] == pytest.approx(test, abs=1e-4)
    assert 0 <= validation <= 1
    assert len(history["loss_history"]) == 500 // RECIPES[name].batch_size
    with (tmp_path / "history.csv").open() as file:
        assert len(list(csv.reader(file))) == 1 + len(history["loss_history"])
    with np.load(tmp_path / "params.npz") as params:
        dtypes = {w.dtype for name, w in params.items() if not name.startswith("running_")}
        assert dtypes == {np.dtype(np.float32)}
        normalized = any(name.startswith("gamma") for name in params)
        assert normalized == any(name.startswith("running_var") for name in params)


def test_a_seed_gives_the_same_run_and_another_another(run):
    accuracies = [
        run("--recipe", "two-layer", "--epochs", 2, "--quiet", "--seed", seed)[1].split("minutes")[0]
        for seed in (3, 3, 4)
    ]
    assert accuracies[0] == accuracies[1] != accuracies[2]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--recipe", "three-layer"], "invalid choice: 'three-layer'"),
        ([], "required: --recipe"),
        (["--recipe", "conv", "--epochs", "0"], "got '0', expected an integer of at least 1"),
        (["--recipe", "conv", "--data-dir", "nowhere"], "CIFAR-10 is not in nowhere"),
        (["--recipe", "two-layer", "--num-train", "100"], "X varies in 99 directions"),
        (["--recipe", "conv", "--out", "/dev/null/x"], "no file can be written"),
    ],
)
def test_mistakes_are_told_in_one_line(run, flags, message):
    status, out, err = run(*flags)
    assert (status, out) == (2, "")
    assert re.fullmatch(rf"train: error: .*{re.escape(message)}.*\n", err)


def test_a_training_that_diverges_is_told_in_one_line(run, monkeypatch):
    diverging = dataclasses.replace(RECIPES["conv"], learning_rate=1e30)
    monkeypatch.setitem(RECIPES, "conv", diverging)
    status, _, err = run("--recipe", "conv", "--epochs", 3, "--quiet")
    assert status == 1
    assert re.fullmatch(r"train: error: training diverged: .*\n", err)


def test_interrupted_it_keeps_what_there_is(run, tmp_path, monkeypatch):
    solver_train = train.Solver.train

    def interrupted(solver):
        solver_train(solver, 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(train.Solver, "train", interrupted)
    command = ["--recipe", "conv", "--epochs", 3, "--quiet", "--out", tmp_path]
    assert run(*command) == (130, "", "train: interrupted\n")
    history = json.loads((tmp_path / "history.json").read_text())
    assert (history["test_accuracy"], len(history["loss_history"])) == (None, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "history.json", "params.npz"]


class Sums:
    """A net whose score is the sum of its input."""

    params, state = {}, {}

    def loss(self, X, y=None):
        return X.sum(axis=(1, 2, 3))[:, None]


def test_scores_are_the_mean_over_views():
    X, _ = images(np.random.default_rng(0), 3)
    model = OnFeatures(Sums(), lambda X: X[..., :1])
    np.testing.assert_allclose(model.loss(X)[:, 0], X[..., 0].sum(axis=(1, 2)), rtol=1e-4)
    model.views = lambda X: iter([X, X[..., ::-1]])
    both = X[..., 0].sum(axis=(1, 2)) + X[..., -1].sum(axis=(1, 2))
    np.testing.assert_allclose(model.loss(X)[:, 0], both / 2, rtol=1e-4)


def test_the_views_are_the_image_and_its_mirror_image_shifted_by_a_pixel():
    X, _ = images(np.random.default_rng(0), 2)
    views = list(mirrored_and_shifted(X))
    assert len(views) == 18
    assert {view.shape for view in views} == {X.shape}
    for image, found in ((X, views[4]), (X[..., ::-1], views[13])):
        np.testing.assert_array_equal(image, found)
    np.testing.assert_array_equal(views[0][..., 1:, 1:], X[..., :-1, :-1])
    np.testing.assert_array_equal(views[8][..., :-1, :-1], X[..., 1:, 1:])
    assert not views[0][..., 0, :].any()


def test_patches_are_whitened():
    noise = np.random.default_rng(0).standard_normal((200, 3, SIDE, SIDE))
    X = 7 + noise + np.roll(noise, 1, axis=3) + np.roll(noise, 1, axis=1)
    out = whitened_patches(X, 4, 10)(X)
    assert out.shape == (200, 10, SIDE // 2, SIDE // 2)
    within = out[..., 1:-1, 1:-1].transpose(0, 2, 3, 1).reshape(-1, 10)
    np.testing.assert_allclose(np.corrcoef(within.T), np.eye(10), atol=0.1)


def test_an_ablation_leaves_out_one_ingredient_at_a_time(monkeypatch, capsys):
    monkeypatch.setattr(ablation, "get_cifar10_data", tiny_cifar10)
    small = RECIPES["deep"].options | {"hidden_dims": [8], "dropout_keep_ratio": 0.7}
    monkeypatch.setitem(RECIPES, "deep", dataclasses.replace(RECIPES["deep"], options=small))
    ablation.main(["--recipe", "deep", "--num-train", "500", "--num-val", "20", "--epochs", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [re.split(r"  +", line)[0] for line in lines] == [
        "nothing left out",
        "mirror images",
        "shifts",
        "weight decay",
        "dropout",
        "label smoothing",
        "batch norm",
        "principal components",
    ]
    for line in lines:
        assert re.fullmatch(r".*0\.\d{4}  0\.\d{4}  \d+ s of CPU", line)


def test_an_ablation_of_patches_has_blocks_of_standardized_pixels():
    names = dict(ablation.ablations(RECIPES["conv"]))
    assert "principal components" not in names
    X = 3 + 5 * np.random.default_rng(0).standard_normal((200, 3, 4, 6))
    out = names["whitened patches"].features(X)(X)
    assert out.shape == (200, 12, 2, 3)
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=0), 1)
    whole = ((X - X.mean(axis=0)) / X.std(axis=0))[:, 1]
    np.testing.assert_allclose(out[:, 4:8, 1, 2].reshape(-1, 2, 2), whole[:, 2:, 4:])
