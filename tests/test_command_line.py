"""The command line trains, prints and writes what it says, and tells every mistake in one line."""

import csv
import functools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cifar_files import FILES, write_cifar10

from minigrad import optim
from minigrad.datasets import load_digits
from minigrad.solver import Solver
from minigrad.training.progress import Log
from models import command_line, outputs, registry
from models.two_layer_net import TwoLayerNet

ROOT = Path(__file__).parent.parent
COMMAND = [sys.executable, "-W", "error", "-m", "models.two_layer_net"]
ACCURACIES = re.compile(r"validation accuracy: (\d\.\d{4})\ntest accuracy: (\d\.\d{4})\n")
SHORT = ["--epochs", "2"]


@pytest.fixture
def run(capsys):
    """Run the command line in this process; return its status, stdout and stderr."""

    def run(*argv):
        try:
            status = command_line.main([str(arg) for arg in argv])
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def accuracies(run):
    """Run quietly; return the two accuracies, as they are printed."""

    def accuracies(*argv):
        status, out, err = run("--quiet", *argv)
        assert (status, err) == (0, "")
        return ACCURACIES.fullmatch(out).groups()

    return accuracies


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """Make a tiny CIFAR-10, and let the splits be as tiny; return its parent folder."""
    tiny = functools.partial(command_line.get_cifar10_data, num_training=20, num_validation=10, num_test=6)
    monkeypatch.setattr(command_line, "get_cifar10_data", tiny)
    write_cifar10(tmp_path)
    return tmp_path


def assert_refused(result, message, status=2):
    """Nothing is printed, but for one line on stderr."""
    assert result[:2] == (status, "")
    assert re.fullmatch(rf"two_layer_net: error: .*{message}.*\n", result[2])


# Training


def test_the_defaults_learn_the_digits():
    end = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, check=True)
    log, validation, test = re.fullmatch(r"(?s)(.*)" + ACCURACIES.pattern, end.stdout).groups()
    assert log.startswith("(Iteration 1 / 750) loss: 2.3")
    assert "(Epoch 30 / 30) train acc: " in log
    assert float(validation) >= 0.95
    assert float(test) >= 0.96


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_defaults_do_not_depend_on_luck(accuracies, seed):
    assert float(accuracies("--seed", seed)[1]) >= 0.96


@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_all_backends_reach_the_same_accuracies(accuracies, loss):
    jit, tape, hand = (
        accuracies("--loss", loss, "--epochs", 8, "--backend", name) for name in ("jit", "tape", "hand")
    )
    assert jit == tape == hand
    assert float(tape[1]) >= 0.9


@pytest.mark.parametrize(("name", "backend"), command_line.BACKENDS.items())
def test_the_backend_is_the_one_asked_for(run, monkeypatch, name, backend):
    def loss(self, X, y=None):
        raise FloatingPointError(repr(type(self)))

    monkeypatch.setattr(backend, "loss", loss)
    assert repr(backend) in run("--backend", name)[2]


def test_the_same_seed_gives_the_same_run_to_the_bit(run, tmp_path):
    results = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        result = run(*SHORT, "--seed", 7, "--print-every", 1, "--out", folder)
        results.append((result, {path.name: path.read_bytes() for path in folder.iterdir()}))
    assert results[0] == results[1]
    assert results[0][0] != run(*SHORT, "--seed", 8, "--print-every", 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_images_and_parameters_have_the_dtype_asked_for(run, tmp_path, monkeypatch, dtype):
    dtypes = set()
    loss = TwoLayerNet.loss
    monkeypatch.setattr(TwoLayerNet, "loss", lambda net, X, y=None: (dtypes.add(X.dtype), loss(net, X, y))[1])
    assert run("--dtype", dtype, "--epochs", 8, "--out", tmp_path)[0] == 0
    with np.load(tmp_path / "params.npz") as params:
        assert {str(d) for d in dtypes} == {str(params[name].dtype) for name in params.files} == {dtype}
    assert json.loads((tmp_path / "history.json").read_text())["test_accuracy"] >= 0.9


def test_flags_reach_the_net_and_the_solver(run, monkeypatch):
    nets, solvers = [], []

    def spy(seen, made):
        return lambda *args, **kwargs: seen.append(kwargs) or made(*args, **kwargs)

    monkeypatch.setitem(command_line.BACKENDS, "jit", spy(nets, TwoLayerNet))
    monkeypatch.setattr(command_line, "Solver", spy(solvers, Solver))
    flags = (
        "--hidden 5 --weight-scale .2 --reg .03 --dtype float32 --seed 4 --loss svm --lr .06 --lr-decay .7"
    )
    flags += " --batch-size 80 --epochs 2 --print-every 9"
    status, out, _ = run(*flags.split())
    assert status == 0
    assert nets == [
        {
            "input_dim": 64,
            "hidden_dim": 5,
            "weight_scale": 0.2,
            "reg": 0.03,
            "dtype": "float32",
            "seed": 4,
            "loss": "svm",
        }
    ]
    assert solvers == [
        {
            "update_rule": "sgd",
            "optim_config": {"learning_rate": 0.06},
            "lr_decay": 0.7,
            "batch_size": 80,
            "num_epochs": 2,
            "print_every": 9,
            "verbose": True,
            "seed": 4,
            "progress": None,
        }
    ]
    logged = [int(i) for i in re.findall(r"\(Iteration (\d+) / 32\)", out)]
    assert logged == [1, 10, 19, 28]


@pytest.mark.parametrize("rule", optim.update_rules)
def test_every_update_rule_is_a_choice_with_its_own_learning_rate(run, rule):
    status, out, _ = run(*SHORT, "--update-rule", rule, "--quiet")
    assert status == 0
    assert float(re.search(r"validation accuracy: (0\.\d+)", out)[1]) > 0.2
    args = command_line.parse(["--update-rule", rule])
    assert args.learning_rate == (
        0.5 if rule == "sgd" else optim.update_rules[rule].settings["learning_rate"]
    )
    assert command_line.parse(["--update-rule", rule, "--lr", "3"]).learning_rate == 3


@pytest.mark.parametrize("model", registry.MODELS)
@pytest.mark.parametrize("backend", ["jit", "tape"])
def test_every_model_is_a_choice(run, tmp_path, model, backend):
    flags = (
        f"--model {model} --backend {backend} --num-epochs 1 --update-rule adam --dtype float32 --reg 1e-4"
    )
    result = run(*flags.split(), "--batch-size", 200, "--quiet", "--out", tmp_path)
    printed = ACCURACIES.fullmatch(result[1]).groups()
    data = load_digits(np.float32)
    with np.load(tmp_path / "params.npz") as params:
        net = registry.trained({"model": model}, data["X_train"], dict(params))
    for split, accuracy in zip(("val", "test"), printed, strict=True):
        right = np.mean(net.loss(data[f"X_{split}"]).argmax(axis=1) == data[f"y_{split}"])
        assert f"{right:.4f}" == accuracy
    assert (tmp_path / "weights.png").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--model conv --hidden 5", "--model conv has no --hidden-dim"),
        ("--model conv --backend hand", "--loss softmax --backend hand is for --model two-layer"),
        ("--model fully-connected --loss svm", "--loss svm --backend jit is for --model two-layer"),
    ],
)
def test_what_a_model_does_not_have_is_refused(run, flags, message):
    assert_refused(run(*flags.split()), message)


def test_no_loss_is_logged_if_none_is_wanted(run):
    _, out, _ = run(*SHORT, "--print-every", 0)
    assert "Iteration" not in out
    assert out.count("(Epoch ") == 3


def test_quiet_prints_two_lines():
    end = subprocess.run([*COMMAND, "--quiet"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ACCURACIES.fullmatch(end.stdout)
    assert end.stderr == ""


def test_quiet_hides_the_bar_on_a_terminal_too(accuracies, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    accuracies(*SHORT)


@pytest.mark.parametrize("backend", ["jit", "tape", "hand"])
@pytest.mark.parametrize("name", ["", "cifar-10-batches-py"])
def test_cifar10_is_read_from_the_folder_or_its_parent(accuracies, cifar10, backend, name):
    flags = ["--dataset", "cifar10", "--hidden", 8, "--backend", backend]
    validation, test = accuracies(*flags, "--data-dir", cifar10 / name)
    assert float(validation) in [k / 10 for k in range(11)]
    assert float(test) in [round(k / 6, 4) for k in range(7)]


def test_cifar10_is_found_by_the_environment(accuracies, cifar10, monkeypatch):
    monkeypatch.setenv("CIFAR10_DIR", str(cifar10))
    accuracies("--dataset", "cifar10", "--hidden", 8)


def test_each_data_set_has_its_defaults():
    for dataset, defaults in command_line.DEFAULTS.items():
        args = vars(command_line.parse(["--dataset", dataset]))
        assert args.items() >= defaults.items()
        args = vars(command_line.parse(["--dataset", dataset, "--hidden", "7", "--reg", "0"]))
        assert args.items() >= (defaults | {"hidden_dim": 7, "reg": 0}).items()


# Results


def test_the_history_is_strict_json(run, tmp_path):
    _, out, err = run(*SHORT, "--out", tmp_path / "new" / "folder")
    assert err == ""
    history = json.loads(
        (tmp_path / "new" / "folder" / "history.json").read_text(), parse_constant=pytest.fail
    )
    assert history["settings"] == {
        "dataset": "digits",
        "data_dir": None,
        "model": "two-layer",
        "loss": "softmax",
        "dtype": "float64",
        "backend": "jit",
        "update_rule": "sgd",
        "seed": 0,
        **command_line.DEFAULTS["digits"],
        "num_epochs": 2,
    }
    assert len(history["loss_history"]) == 50
    assert len(history["train_acc_history"]) == len(history["val_acc_history"]) == 3
    assert history["best_val_acc"] == max(history["val_acc_history"])
    printed = ACCURACIES.search(out).groups()
    assert printed == (f"{history['best_val_acc']:.4f}", f"{history['test_accuracy']:.4f}")


@pytest.mark.parametrize(
    ("batch_size", "iterations", "epochs", "measured"),
    [
        (432, [1, 2, 3, 4, 5, 6], [0, 0, 1, 1, 1, 2], [0, None, 1, None, None, 2]),
        (5000, [1, 1, 2], [0, 1, 2], [0, 1, 2]),
    ],
)
def test_the_table_has_a_row_for_each_iteration(run, tmp_path, batch_size, iterations, epochs, measured):
    run(*SHORT, "--batch-size", batch_size, "--out", tmp_path)  # of 1297 images
    history = json.loads((tmp_path / "history.json").read_text())
    with (tmp_path / "history.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["iteration", "epoch", "loss", "train_acc", "val_acc"]
    assert [int(row["iteration"]) for row in table] == iterations
    assert [int(row["epoch"]) for row in table] == epochs
    assert [float(row["loss"]) for row in table] == [history["loss_history"][i - 1] for i in iterations]
    for split in ("train_acc", "val_acc"):
        accuracies = history[f"{split}_history"]
        assert [float(row[split]) if row[split] else None for row in table] == [
            None if epoch is None else accuracies[epoch] for epoch in measured
        ]


def test_a_batch_may_be_larger_than_the_training_set():
    setting = {"num_epochs": 1, "learning_rate": 0.1, "batch_size": 500}
    assert registry.training(setting, num_train=100)["batch_size"] == 500


def test_the_parameters_are_those_that_did_best(run, tmp_path):
    run(*SHORT, "--lr-decay", 100, "--out", tmp_path)  # the second epoch is too fast to be the best
    history = json.loads((tmp_path / "history.json").read_text())
    assert history["val_acc_history"][-1] < history["best_val_acc"]
    net, data = TwoLayerNet(64), load_digits()
    with np.load(tmp_path / "params.npz", allow_pickle=False) as params:
        assert list(params) == ["W1", "b1", "W2", "b2"]
        net.params = dict(params)
    for split, expected in {"val": history["best_val_acc"], "test": history["test_accuracy"]}.items():
        assert np.mean(net.loss(data[f"X_{split}"]).argmax(axis=1) == data[f"y_{split}"]) == expected


@pytest.mark.parametrize("dataset", ["digits", "cifar10"])
def test_the_pictures_are_drawn(run, tmp_path, cifar10, dataset):
    flags = ["--data-dir", cifar10] if dataset == "cifar10" else []
    status, _, err = run(*SHORT, "--dataset", dataset, *flags, "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(outputs.OUTPUTS)
    for name in outputs.PICTURES:
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named(run, tmp_path, monkeypatch):
    assert run(*SHORT, "--out", tmp_path)[0] == 0
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    status, out, err = run(*SHORT, "--quiet", "--out", tmp_path)
    assert status == 0
    assert ACCURACIES.fullmatch(out)
    assert err == 'two_layer_net: curves.png, weights.png need matplotlib: pip install -e ".[plot]"\n'
    # those of the first run, which were of other parameters for all we know, are gone
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "history.json", "params.npz"]


def test_without_out_nothing_is_written_and_matplotlib_is_not_imported(tmp_path):
    code = "import sys; from models.command_line import main; main(['--epochs', '1']); "
    code += "assert 'matplotlib' not in sys.modules"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True
    )
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_replaced_is_named(run, tmp_path):
    (tmp_path / "params.npz").mkdir()
    status, out, err = run(*SHORT, "--quiet", "--out", tmp_path)
    assert status == 1
    assert ACCURACIES.fullmatch(out)
    assert re.fullmatch(rf"two_layer_net: error: {tmp_path}/params.npz cannot be written \(.*\)\n", err)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_a_killed_run_left_is_completed_first(run, tmp_path):
    assert run(*SHORT, "--seed", 1, "--out", tmp_path)[0] == 0
    (tmp_path / ".minigrad.cleared").mkdir()
    (tmp_path / "params.npz").rename(tmp_path / ".minigrad.cleared" / "params.npz")
    outputs.check_folder(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(outputs.OUTPUTS)


# Mistakes


@pytest.mark.parametrize(
    ("flag", "values", "expected"),
    [
        *((flag, ["-1", "0", "nan", "inf", "1e999", "x", ""], "a finite number > 0")
          for flag in ("--lr", "--lr-decay", "--weight-scale")),
        ("--reg", ["-0.1", "nan", "inf", "x"], "a finite number >= 0"),
        *((flag, ["0", "-1", "1.5", "1e3", "nan", "x", "9" * 5000], "an integer from 1 to 1000000000")
          for flag in ("--hidden", "--epochs", "--batch-size")),
        *((flag, ["-1", "1.5", "x"], "an integer >= 0") for flag in ("--seed", "--print-every")),
        *((flag, [""], "a folder") for flag in ("--out", "--data-dir")),
    ],
)  # fmt: skip
def test_a_wrong_number_is_refused(run, flag, values, expected):
    for value in values:
        assert_refused(run(f"{flag}={value}"), f"argument .*{flag}: got '{value}', expected {expected}")


@pytest.mark.parametrize("flag", ["--dataset", "--dtype", "--backend", "--loss"])
def test_an_unknown_choice_is_refused(run, flag):
    assert_refused(run(flag, "other"), f"argument {flag}: invalid choice: 'other' ")


@pytest.mark.parametrize("argv", [["--lr"], ["--verbose"], ["--hid", "5"], ["digits"], ["a\nb"]])
def test_unknown_arguments_are_refused(run, argv):
    assert_refused(run(*argv), "")


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        ("--leraning-rate=3", "--learning-rate"),
        ("--epoch", "--epochs"),
        ("--hiden", "--hidden"),
        ("--sed", "--seed"),
    ],
)
def test_the_flag_that_was_meant_is_told(run, mistyped, meant):
    assert_refused(run(mistyped, "3"), rf"unrecognized arguments: {mistyped} 3; did you mean {meant}\?")


def test_no_flag_is_meant_for_its_dashes_alone(run):
    assert_refused(run("--pca", "3"), r"unrecognized arguments: --pca 3$")


@pytest.mark.parametrize(
    ("short", "long"),
    [("--lr", "--learning-rate"), ("--epochs", "--num-epochs"), ("--hidden", "--hidden-dim")],
)
def test_the_short_flags_are_aliases(short, long):
    assert command_line.parse([short, "3"]) == command_line.parse([long, "3"])


def test_a_mistake_is_one_line_of_the_process_too():
    end = subprocess.run([*COMMAND, "--lr", "-1"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert_refused(
        (end.returncode, end.stdout, end.stderr),
        "--learning-rate/--lr: got '-1', expected a finite number > 0",
    )


def test_a_folder_of_digits_is_refused(run, tmp_path):
    assert_refused(run("--data-dir", tmp_path), "--data-dir is for --dataset cifar10; the digits come with")


def test_a_missing_folder_is_refused(run, tmp_path):
    folder = tmp_path / "none"
    result = run("--dataset", "cifar10", "--data-dir", folder, "--out", tmp_path / "out")
    assert_refused(result, f"no CIFAR-10 data set at {folder} .*there is no folder {folder}.* --data-dir")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_refused(run, cifar10):
    (cifar10 / "cifar-10-batches-py" / "test_batch").unlink()
    assert_refused(run("--dataset", "cifar10", "--data-dir", cifar10), "lacks test_batch")


@pytest.mark.parametrize("content", [b"", b"<html>\n404\n</html>", b"\x80\x02cos\nsystem\n."])
def test_corrupt_data_are_refused(run, cifar10, content):
    (cifar10 / "cifar-10-batches-py" / FILES[0]).write_bytes(content)
    assert_refused(run("--dataset", "cifar10", "--data-dir", cifar10), "data_batch_1 is not a CIFAR-10 batch")


def test_too_few_images_are_refused(run, tmp_path):
    write_cifar10(tmp_path)
    assert_refused(
        run("--dataset", "cifar10", "--data-dir", tmp_path), "num_test = 1000, but .* hold 6 images"
    )


@pytest.mark.parametrize("place", ["file", "file/below", "n" * 300])
def test_a_folder_for_results_that_cannot_be_is_refused_before_training(run, tmp_path, monkeypatch, place):
    monkeypatch.setattr(Solver, "train", pytest.fail)
    (tmp_path / "file").write_text("mine")
    assert_refused(run("--out", tmp_path / place), f"--out is .*{place}, where no file can be written")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_one_may_not_write_to_is_refused_before_training(run, tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr(Solver, "train", pytest.fail)
    monkeypatch.setattr(outputs.tempfile, "TemporaryFile", refuse)  # root may write everywhere
    assert_refused(run("--out", tmp_path), r"where no file can be written \(Permission denied\)")


def test_too_large_a_net_is_refused(run, monkeypatch):
    def refuse(**_):
        raise MemoryError("Unable to allocate 477. GiB")

    monkeypatch.setitem(command_line.BACKENDS, "jit", refuse)
    assert_refused(run(), r"not enough memory \(Unable to allocate 477. GiB\); try --dtype float32")


@pytest.mark.parametrize("backend", ["jit", "tape", "hand"])
@pytest.mark.parametrize("loss", ["softmax", "svm"])
@pytest.mark.parametrize(
    "flags", ["--lr 1e9", "--lr 1e300", "--lr 1e300 --dtype float32", "--weight-scale 1e300 --dtype float32"]
)
def test_divergence_is_one_line(run, tmp_path, flags, loss, backend):
    result = run(*flags.split(), "--quiet", "--loss", loss, "--backend", backend, "--out", tmp_path)
    assert_refused(result, "training diverged: .*lower learning rate", status=1)
    history = json.loads((tmp_path / "history.json").read_text(), parse_constant=pytest.fail)
    accuracies = history["val_acc_history"]
    assert history["best_val_acc"] == (max(accuracies) if accuracies else None)
    assert history["test_accuracy"] is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "history.json"]
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 1 + len(history["loss_history"])


def test_an_interrupt_is_one_line(run, monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Solver, "train", interrupt)
    assert run() == (130, "", "two_layer_net: interrupted\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("iterations", [1, 40])
def test_an_interrupt_leaves_the_history_and_the_best_so_far(
    run, tmp_path, monkeypatch, number, status, iterations
):
    step = Solver._step

    def interrupted_step(solver, where):
        step(solver, where)
        if len(solver.loss_history) == iterations:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Solver, "_step", interrupted_step)
    before = signal.getsignal(number)
    end = run("--print-every", 0, "--out", tmp_path)
    assert (end[0], end[2]) == (status, "two_layer_net: interrupted\n")
    assert signal.getsignal(number) is before
    history = json.loads((tmp_path / "history.json").read_text())
    assert len(history["loss_history"]) == iterations
    assert history["test_accuracy"] is None
    data, net = load_digits(), TwoLayerNet(64)
    with np.load(tmp_path / "params.npz") as params:
        net.params = dict(params)
    assert np.mean(net.loss(data["X_val"]).argmax(axis=1) == data["y_val"]) == history["best_val_acc"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "history.json", "params.npz"]


def test_where_an_interrupt_is_ignored_termination_is_not(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Log, "write", lambda log, line: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert run("--print-every", 0, "--out", tmp_path)[0] == 143
    finally:
        signal.signal(signal.SIGINT, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "history.json", "params.npz"]


@pytest.mark.parametrize("argv", [SHORT, ["--help"], ["--lr", "0"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_left_is_no_error(argv, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    end = subprocess.run(
        [*COMMAND, *argv], cwd=ROOT, env=environment, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert b"Traceback" not in end.stderr
    assert b"Exception" not in end.stderr
    if argv == SHORT:
        assert (end.returncode, end.stderr) == (141, b"")


# Help


def test_help_names_every_flag_and_default(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    flags = "dataset data-dir model hidden-dim learning-rate lr-decay reg num-epochs batch-size weight-scale dtype seed"
    for flag in [*flags.split(), "backend", "loss", "print-every", "quiet", "out"]:
        assert re.search(rf"^  --{flag}\b", out, re.MULTILINE), flag
    for name in command_line.DEFAULTS["digits"]:
        defaults = {dataset: values[name] for dataset, values in command_line.DEFAULTS.items()}
        assert f"(default: {defaults['digits']} for digits, {defaults['cifar10']} for cifar10)" in out, name
    assert out.count("\n  python -m models.two_layer_net") == 3
