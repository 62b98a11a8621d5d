"""``python -m models.two_layer_net sweep``."""

import json
import multiprocessing
import os
import re
import subprocess
import sys
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from test_train import tiny_cifar10
from threadpoolctl import threadpool_limits

from minigrad.datasets import load_digits
from minigrad.sweep import sweep
from models import registry, sweep_command
from models.recipes import RECIPES
from models.two_layer_net import TwoLayerNet

ROOT = Path(__file__).parents[1]
TINY = {"hidden_dim": [5, 8], "num_epochs": [1, 2], "learning_rate": [0.3, 1e9], "reg": [1e-3]}
REPORT = re.compile(
    r"best setting: hidden_dim=(\d), num_epochs=\d, learning_rate=0.3, reg=0.001, weight_scale=0.1\n"
    r"validation accuracy: (0\.\d{4})\ntest accuracy: (0\.\d{4})\n[\d.]+ s, [\d.]+ s a setting\n$"
)


def stored(path):
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(sweep_command.GRIDS, "digits", TINY)


def test_the_grids_are_of_81_settings():
    for grid in sweep_command.GRIDS.values():
        assert np.prod([len(values) for values in grid.values()]) == 81


def test_it_reports_the_best_and_goes_on_where_it_was(tiny, tmp_path, capsys, monkeypatch):
    assert sweep_command.main(["--out", str(tmp_path)]) == 0
    first = capsys.readouterr().out
    hidden, val_acc, test_acc = REPORT.search(first).groups()
    assert first.count(" diverged  ") == 2 * 2
    best = stored(tmp_path / "best.npz")
    data = load_digits(np.float32)
    net = TwoLayerNet(64, int(hidden))
    net.params = {name: best[name] for name in net.params}
    for split, printed in (("val", val_acc), ("test", test_acc)):
        accuracy = np.mean(np.argmax(net.loss(data[f"X_{split}"]), axis=1) == data[f"y_{split}"])
        assert f"{accuracy:.4f}" == printed

    monkeypatch.setattr(registry, "train_model", lambda *args, **kwargs: pytest.fail("trained again"))
    assert sweep_command.main(["--out", str(tmp_path)]) == 0
    again = capsys.readouterr().out
    assert again.splitlines()[:-1] == first.splitlines()[:-1]
    assert again.endswith(f" s, without what was in {tmp_path} before\n")


def test_another_rule_is_swept_around_its_own_learning_rate(tiny, tmp_path, capsys):
    assert sweep_command.main(["--out", str(tmp_path), "--update-rule", "adam"]) == 0
    out = capsys.readouterr().out
    assert "update_rule=adam" in out
    assert sweep_command.learning_rates("adam") == pytest.approx([1e-3 / 3, 1e-3, 3e-3])


def test_a_reader_that_left_is_no_error(tiny, tmp_path, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert sweep_command.main(["--out", str(tmp_path)]) == 141


def test_help_names_the_values_of_the_grids(capsys):
    with pytest.raises(SystemExit) as end:
        sweep_command.main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: python -m models.two_layer_net sweep ")
    for grid in sweep_command.GRIDS.values():
        for name, values in grid.items():
            assert re.search(rf"\b{name} +{', '.join(map(str, values))}\n", shown)


def test_principal_components_in_the_place_of_pixels(tiny, tmp_path, capsys):
    assert sweep_command.main(["--pca", "20", "--out", str(tmp_path)]) == 0
    assert REPORT.search(capsys.readouterr().out)
    assert stored(tmp_path / "best.npz")["W1"].shape[0] == 20
    with pytest.raises(SystemExit):  # the pixels are other data
        sweep_command.main(["--out", str(tmp_path)])
    assert "X_train" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        sweep_command.main(["--pca", "65", "--out", str(tmp_path / "other")])
    assert "--pca is 65" in capsys.readouterr().err


def test_the_net_has_the_same_table_and_parameters_with_every_executor():
    from distributed import Client, LocalCluster

    data = load_digits(np.float32)
    grid = {**TINY, "weight_scale": [0.1]}
    with threadpool_limits(1, user_api="blas"):
        expected = sweep(sweep_command.train, grid, data)
    results = []
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        results.append(sweep(sweep_command.train, grid, data, pool))
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        results.append(sweep(sweep_command.train, grid, data, client))
    assert expected.best.val_acc > 0.3
    for result in results:
        assert result.table() == expected.table()
        assert [trial.history for trial in result.trials] == [trial.history for trial in expected.trials]
        for name, array in expected.best.params.items():
            np.testing.assert_array_equal(result.best.params[name], array, strict=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"momentum": 0.5}, r"two-layer has no setting 'momentum'; it has hidden_dim, weight_scale, reg, "),
        ({"hiden_dim": 5}, r"no setting 'hiden_dim'; it has .*; did you mean hidden_dim\?"),
        ({"learning_rate": None}, "a setting must have a learning_rate"),
        ({"num_epochs": None}, "a setting must have a num_epochs"),
        ({"model": "covn"}, r"no model 'covn'; expected .*; did you mean conv\?"),
        ({"update_rule": "adma"}, "no update rule is named 'adma'"),
    ],
)
def test_a_setting_of_other_names_is_refused_before_anything_is_trained(monkeypatch, change, message):
    monkeypatch.setattr(registry, "train_model", lambda *args, **kwargs: pytest.fail("trained"))
    setting = {
        "hidden_dim": 5,
        "num_epochs": 1,
        "learning_rate": 0.3,
        "reg": 0.0,
        "weight_scale": 0.1,
    } | change
    setting = {name: value for name, value in setting.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        sweep_command.train(setting, load_digits(np.float32), 0)


def refused(capsys, *argv):
    with pytest.raises(SystemExit) as end:
        sweep_command.main([str(arg) for arg in argv])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return end.value.code, err


def test_bad_arguments_are_one_line(tiny, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    for argv, message in (
        ([], "--out"),
        (["--out", ""], "expected a folder"),
        (["--out", tmp_path, "--workers", 0], "got '0', expected an integer from 1 to 1000"),
        (["--out", tmp_path, "--dataset", "mnist"], "invalid choice"),
        (["--out", tmp_path, "--dataset", "cifar10", "--data-dir", tmp_path / "none"], "there is no folder"),
        (["--out", tmp_path, "--data-dir", tmp_path], "--data-dir is for --dataset cifar10"),
        (["--out", file], str(file)),
        (
            ["--out", tmp_path, "--gird", "reg=1"],
            "unrecognized arguments: --gird reg=1; did you mean --grid?",
        ),
        (
            ["--out", tmp_path, "--grid", "reg"],
            "got 'reg', expected a name and values, as learning_rate=1e-3",
        ),
        (["--out", tmp_path, "--grid", "reg=1,,2"], "got 'reg=1,,2', expected a name and values"),
        (["--out", tmp_path, "--grid", "reg=nan"], "got 'reg=nan', expected a name and values"),
        (
            ["--out", tmp_path, "--grid", "rge=1"],
            "--grid: two-layer has no setting 'rge'; it has hidden_dim, weight_scale, reg, ",
        ),
        (["--out", tmp_path, "--grid", "rge=1"], "update_rule; did you mean reg?"),
        (["--out", tmp_path, "--recipe", "deep", "--grid", "epochs=3"], "eps; did you mean num_epochs?"),
        (["--out", tmp_path, "--grid", "reg=1", "--grid", "reg=2"], "--grid gives a name twice: reg, reg"),
        (["--out", tmp_path, "--grid", "update_rule=adma"], "no update rule is named 'adma'"),
        (["--out", tmp_path, "--halving", 1], "got '1', expected an integer of at least 2"),
        (["--out", tmp_path, "--model", "conv", "--pca", 9], "--pca is for nets whose input are vectors"),
        (["--out", tmp_path, "--recipe", "deep", "--model", "conv"], "not allowed with argument"),
        (["--out", tmp_path, "--recipe", "deep", "--pca", 9], "--pca 9 is not for recipes"),
        (
            ["--out", tmp_path, "--recipe", "deep", "--dataset", "digits"],
            "--dataset digits is not for recipes",
        ),
        (["--out", tmp_path, "--recipe", "deep", "--data-dir", tmp_path / "none"], "there is no folder"),
        (
            ["--out", tmp_path, "--recipe", "deep", "--grid", "epochs=3"],
            "--grid: the recipe has no setting 'epochs'; it has mirror, ",
        ),
        (
            ["--out", tmp_path, "--recipe", "deep", "--grid", "mirror=no"],
            "mirror is 'no'; expected a value such as",
        ),
        (
            ["--out", tmp_path, "--recipe", "deep", "--grid", "eps=true"],
            "eps is True; expected a value such as",
        ),
        (["--out", tmp_path, "--scheduler", "tcp://127.0.0.1"], "--scheduler tcp://127.0.0.1: "),
        (["--out", tmp_path, "--scheduler", "x", "--workers", 2], "not allowed with argument"),
    ):
        status, err = refused(capsys, *argv)
        assert status == 2
        assert message in err


def test_a_grid_of_ones_own(tmp_path, capsys):
    flags = "--grid hidden-dim=4,8 --grid learning_rate=0.3,0.03 --grid num_epochs=1 --grid batch_size=100"
    assert sweep_command.main(["--out", str(tmp_path), *flags.split()]) == 0
    out = capsys.readouterr().out
    assert out.count(" finished") == 4
    rest = r"weight_scale=0\.1, reg=0\.001, learning_rate=0\.(3|03), lr_decay=0\.95, num_epochs=1, batch_size=100\n"
    assert re.search(f"best setting: hidden_dim=[48], {rest}", out)


@pytest.mark.parametrize("model", registry.MODELS)
def test_every_model_is_swept_and_its_best_measured(tmp_path, capsys, model):
    settings = {
        "two-layer": {"hidden_dim": "4"},
        "fully-connected": {
            "hidden_dim": "8",
            "normalization": "batchnorm,none",
            "dropout_keep_ratio": "0.8",
        },
        "three-layer-conv": {"hidden_dim": "8", "num_filters": "2", "filter_size": "3"},
        "conv": {"num_filters": "2", "num_stages": "1,2"},
    }[model] | {"num_epochs": "1", "learning_rate": "1e-2", "beta1": "0.8"}
    flags = [f"--grid={name}={values}" for name, values in settings.items()]
    assert (
        sweep_command.main(["--out", str(tmp_path), "--model", model, "--update-rule", "adam", *flags]) == 0
    )
    out = capsys.readouterr().out
    data, best = load_digits(np.float32), stored(tmp_path / "best.npz")
    setting = json.loads(read_result(tmp_path))["setting"]
    net = registry.trained(setting, data["X_train"], dict(best))
    for split, name in (("val", "validation"), ("test", "test")):
        accuracy = np.mean(net.loss(data[f"X_{split}"]).argmax(axis=1) == data[f"y_{split}"])
        assert f"{name} accuracy: {accuracy:.4f}\n" in out


def read_result(folder):
    """Return the line of the best training."""
    with zipfile.ZipFile(folder / "best.npz") as archive:
        return archive.read("result.json")


@pytest.fixture
def tiny_images(monkeypatch):
    monkeypatch.setattr(
        sweep_command,
        "get_cifar10_data",
        lambda root, *numbers, dtype: tiny_cifar10(root, 500, 20, 30, dtype),
    )
    return tiny_cifar10(None, 500, 20, 30, np.float32)


RECIPE = ["--recipe", "two-layer", "--grid", "learning_rate=1e-3,5e-4", "--grid", "num_epochs=1,2"]


def test_a_recipe_is_swept_in_this_process_by_others_and_by_dask(tiny_images, tmp_path, capsys, monkeypatch):
    from distributed import LocalCluster

    def swept(name, *flags):
        """Return the lines but the last, which has the time."""
        assert sweep_command.main([*RECIPE, *flags, "--out", str(tmp_path / name)]) == 0
        return capsys.readouterr().out.splitlines()[:-1]

    with threadpool_limits(1, user_api="blas"):
        here = swept("here")
    assert swept("processes", "--workers", "2") == here
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        assert swept("dask", "--scheduler", cluster.scheduler_address) == here
    assert sum(" finished" in line for line in here) == 4

    best = json.loads(read_result(tmp_path / "here"))
    results = tmp_path / "here" / "results.jsonl"
    lost, *kept = sorted(
        results.read_text().splitlines(keepends=True),
        key=lambda line: json.loads(line)["setting"] == best["setting"],
    )
    results.write_text("".join(kept))
    trainings, train_model = [], registry.train_model

    def counted(*args, **options):
        trainings.append(options["num_epochs"])
        return train_model(*args, **options)

    monkeypatch.setattr(registry, "train_model", counted)
    with threadpool_limits(1, user_api="blas"):
        assert swept("here") == here  # it goes on
    assert trainings == [json.loads(lost)["setting"]["num_epochs"]]

    net = registry.trained(best["setting"], tiny_images["X_train"], stored(tmp_path / "here/best.npz"))
    for part, name in (("val", "validation"), ("test", "test")):
        predicted = net.loss(tiny_images[f"X_{part}"]).argmax(axis=1)
        assert f"{name} accuracy: {np.mean(predicted == tiny_images[f'y_{part}']):.4f}" in here


def test_a_recipe_is_changed_in_any_of_its_settings(tiny_images):
    setting = {"mirror": False, "shift": 0, "num_epochs": 1, "dropout_keep_ratio": 0.5, "n_components": 9}
    recipe = registry.recipe_of({"recipe": "deep", "hidden_dims": [6], **setting})
    assert not recipe.mirror
    assert (recipe.shift, recipe.num_epochs, recipe.learning_rate) == (0, 1, RECIPES["deep"].learning_rate)
    net = recipe.model(tiny_images["X_train"], seed=0).net
    assert net.params["W1"].shape == (9, 6)
    assert net.dropout_param["p"] == 0.5
    assert "gamma1" in net.params
    for each in RECIPES.values():
        assert each.changed(each.choices()).choices() == each.choices()


def test_halving_stops_the_worse_part(tiny, tmp_path, capsys):
    flags = ["--halving", "2", "--grid", "hidden_dim=2,4,8,16", "--grid", "num_epochs=4"]
    assert sweep_command.main(["--out", str(tmp_path), *flags]) == 0
    out = capsys.readouterr().out
    assert (out.count(" True\n"), out.count(" False\n"), out.count(" finished")) == (3, 3, 7)
    assert "num_epochs=4" in out


def test_a_folder_of_another_seed_is_refused(tiny, tmp_path, capsys):
    sweep_command.main(["--out", str(tmp_path)])
    capsys.readouterr()
    status, err = refused(capsys, "--out", tmp_path, "--seed", 1)
    assert status == 2
    assert "seed" in err


def test_where_nothing_can_be_trained_it_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sweep_command.GRIDS, "digits", {**TINY, "learning_rate": [1e9]})
    with pytest.raises(SystemExit) as end:
        sweep_command.main(["--out", str(tmp_path)])
    assert end.value.code == 1
    assert "none of the 4 settings finished" in capsys.readouterr().err


def test_the_process_with_two_workers(tmp_path):
    command = [
        sys.executable,
        "-m",
        "models.two_layer_net",
        "sweep",
        "--workers",
        "2",
        "--out",
        str(tmp_path),
    ]
    end = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.search(r"\ntest accuracy: 0\.9[5-9]\d\d\n", end.stdout)
    assert end.stdout.count("num_epochs=20") >= 54
