import json
import sys
from functools import partial

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import cases, grid, measure, report
from minigrad.datasets import load_digits
from minigrad.solver import Solver
from models import hand_written
from models.sweep_command import GRIDS

TINY = (4, 8, 8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_contestant_trains_on_the_same_problem(dtype):
    case = cases.training_step(*TINY, dtype)
    assert list(case.steps) == list(cases.CONTESTANTS)
    hand, tape = case.steps["hand"](), case.steps["tape"]()
    assert set(hand) == set(tape) == {"loss", "W1", "b1", "W2", "b2"}
    for gradients in (hand, tape):
        assert all(array.dtype == dtype for what, array in gradients.items() if what != "loss")


def test_a_step_updates_the_parameters_so_that_the_loss_falls():
    step = cases.training_step(*TINY, "float64").steps["hand"]
    assert step()["loss"] > step()["loss"]


@pytest.mark.parametrize("wrong", [1 + 1e-8, np.nan])
def test_a_contestant_with_another_gradient_is_refused(monkeypatch, wrong):
    def liar(batch):
        step = cases.hand(batch)
        return lambda: {what: array * wrong if what == "W1" else array for what, array in step().items()}

    monkeypatch.setitem(cases.CONTESTANTS, "liar", liar)
    with pytest.raises(ArithmeticError, match="liar and hand disagree on W1"):
        cases.training_step(*TINY, "float64")


def test_the_floor_computes_what_its_contestants_must():
    chain = cases.chain(5)
    gradients = [step()["gradient"] for step in chain.steps.values()]
    assert all(np.allclose(g, 1.001**5, rtol=1e-14) for g in gradients)
    assert chain.operations == 5


def test_the_imports_succeed():
    start = cases.start()
    assert all(step().returncode == 0 for step in start.steps.values())


def test_contestants_take_turns_and_the_first_one_rotates(monkeypatch):
    monkeypatch.setattr(measure, "warm_up", lambda step: 1)
    called = []
    samples = measure.run({name: partial(called.append, name) for name in "ABC"}, seconds=0)
    assert "".join(called[:12]) == "ABCBCACABABC"
    assert {name: len(times) for name, times in samples.items()} == dict.fromkeys("ABC", measure.LEAST_ROUNDS)


def test_fast_steps_are_repeated_within_a_sample():
    assert measure.warm_up(lambda: None) > 100


def test_figures_are_per_operation_and_ratios_within_rounds(monkeypatch):
    times = {"floor": np.array([1e6, 2e6, 4e6]), "tape": np.array([3e6, 2e6, 8e6])}
    monkeypatch.setattr(measure, "run", lambda steps, seconds: times)
    case = measure.Case("a case", dict.fromkeys(times, lambda: None), ("floor",), operations=1000)
    tape = {"median": 3.0, "quartiles": [2.5, 5.5], "ratios": {"floor": 2.0}}
    figures = measure.measure(case, seconds=0)
    assert figures["rounds"] == 3
    assert figures["contestants"]["tape"] == tape
    assert report.table(figures).splitlines() == [
        "a case (3 rounds)",
        "µs                  median         25 %         75 %      × floor",
        "floor                 2.00         1.50         3.00         1.00",
        "tape                  3.00         2.50         5.50         2.00",
    ]


def test_the_command_prints_tables_and_writes_json(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(measure, "LEAST_SAMPLE", 100_000)
    monkeypatch.setattr(command, "cases", lambda: [cases.training_step(*TINY, "float32"), cases.chain(5)])
    path = tmp_path / "figures.json"
    command.main(["--seconds", "0", "--json", str(path)])

    written = json.loads(path.read_text())
    assert written["numpy"] == np.__version__
    assert written["date"] and written["processors"] and written["blas"]
    step, chain = written["figures"]
    assert list(step["contestants"]) == list(cases.CONTESTANTS)
    assert list(chain["contestants"]) == ["floor", "tape"]
    for figures in (step, chain):
        assert figures["rounds"] >= measure.LEAST_ROUNDS
        for row in figures["contestants"].values():
            assert 0 < row["quartiles"][0] <= row["median"] <= row["quartiles"][1]
            assert all(ratio > 0 for ratio in row["ratios"].values())

    printed = capsys.readouterr().out
    assert printed == "\n\n".join([report.table(step), report.table(chain), ""])


def test_blas_is_named_without_threadpoolctl(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    (found,) = report.blas()
    assert set(found) == {"name", "version"}


# The race

TINY_GRID = {"hidden_dim": [3, 4], "num_epochs": [1, 2], "learning_rate": [0.5, 1e8], "reg": [1e-3]}


def test_the_subset_has_nine_settings_of_each_hidden_size_and_the_whole_has_all():
    for name, epochs in grid.SUBSET_EPOCHS.items():
        subset = grid.settings(GRIDS[name], epochs)
        for hidden_dim in GRIDS[name]["hidden_dim"]:
            same = [setting for setting in subset if setting["hidden_dim"] == hidden_dim]
            assert len({(setting["learning_rate"], setting["reg"]) for setting in same}) == len(same) == 9
        assert {setting["num_epochs"] for setting in subset} == {epochs}
        assert len(grid.settings(GRIDS[name], None)) == 81


def test_the_courses_loop_learns_as_the_solver_does():
    data = load_digits()
    nets = [hand_written.TwoLayerNet(64, 20, weight_scale=0.1, reg=1e-3, seed=0) for _ in range(2)]
    history = grid.train(nets[0], data, learning_rate=0.5, num_epochs=20, seed=0)
    options = {"lr_decay": 0.95, "batch_size": 200, "num_epochs": 20, "seed": 0}
    solver = Solver(
        nets[1], data, optim_config={"learning_rate": 0.5}, verbose=False, progress=False, **options
    )
    solver.train()
    assert len(history) == len(solver.val_acc_history) == 21
    assert max(history) > 0.85
    assert abs(max(history) - solver.best_val_acc) < 0.05
    assert grid.accuracy(nets[0], data["X_val"], data["y_val"]) == max(
        history
    )  # the best parameters are kept


def test_the_courses_loop_decays_the_learning_rate_once_an_epoch(monkeypatch):
    rates = []

    def sgd(w, dw, config):
        rates.append(config["learning_rate"])
        return w, config

    monkeypatch.setattr(grid, "sgd", sgd)
    net = hand_written.TwoLayerNet(64, 3, seed=0)
    grid.train(net, load_digits(), learning_rate=1.0, num_epochs=3, seed=0)
    iterations, parameters = 6, 4
    assert rates == pytest.approx(np.repeat([1, 0.95, 0.95**2], iterations * parameters))


@pytest.mark.parametrize("full", [False, True])
def test_the_race_has_both_sides_whole(monkeypatch, capsys, tmp_path, full):
    monkeypatch.setitem(GRIDS, "digits", TINY_GRID)
    path = tmp_path / "race.json"
    status = grid.main(["--workers", "1", "--json", str(path), *(["--full"] if full else [])])
    written = json.loads(path.read_text())
    trainings, trials = written["course"]["trainings"], written["sweep"]["trials"]
    assert status == 0
    assert len(trials) == 8
    assert [training["setting"]["num_epochs"] for training in trainings] == (
        [1, 1, 2, 2, 1, 1, 2, 2] if full else [2, 2, 2, 2]
    )
    for training in trainings:  # to the end, though half of them diverge
        assert len(training["val_acc_history"]) == training["setting"]["num_epochs"] + 1
    assert {trial["status"] for trial in trials} == {"finished", "diverged"}
    assert written["course"]["seconds"] == sum(training["seconds"] for training in trainings)
    printed = capsys.readouterr().out
    assert printed.endswith(grid.summary(written) + "\n")
    assert ("estimated" in printed) == (not full)


def test_the_whole_grids_time_is_epochs_times_the_seconds_of_one():
    trained = [
        grid.Training({"hidden_dim": 3, "num_epochs": 2, "learning_rate": 0.5, "reg": 1e-3}, 3.0, []),
        grid.Training({"hidden_dim": 3, "num_epochs": 2, "learning_rate": 1e8, "reg": 1e-3}, 5.0, []),
        grid.Training({"hidden_dim": 4, "num_epochs": 2, "learning_rate": 0.5, "reg": 1e-3}, 20.0, []),
    ]
    assert grid.estimate(TINY_GRID, trained) == [
        {"hidden_dim": 3, "trainings": 2, "epoch": 2.0, "seconds": {"1": 4.0, "2": 8.0}},
        {"hidden_dim": 4, "trainings": 1, "epoch": 10.0, "seconds": {"1": 20.0, "2": 40.0}},
    ]


def race_of(course, sweep):
    setting = {"hidden_dim": 3, "learning_rate": 0.5}
    return {
        "full": False,
        "workers": 2,
        "validation_examples": 50,
        "course": {
            "seconds": 6.0,
            "estimate": [{"hidden_dim": 3, "trainings": 1, "epoch": 6.0, "seconds": {"1": 6.0, "4": 24.0}}],
            "trainings": [
                {"setting": {**setting, "num_epochs": 1}, "seconds": 6.0, "val_acc_history": course}
            ],
        },
        "sweep": {
            "seconds": 2.0,
            "trials": [
                {
                    "setting": {**setting, "num_epochs": n},
                    "status": "finished",
                    "val_acc_history": sweep[: n + 1],
                }
                for n in (4, 1)
            ],
        },
    }


def test_accuracies_are_compared_up_to_the_epoch_both_reached():
    report = race_of(course=[0.1, 0.5], sweep=[0.6, 0.4, 0.9, 0.8, 0.7])
    ((setting, course, sweep, status),) = grid.trained_by_both(report)
    assert (setting["num_epochs"], course, sweep, status) == (1, 0.5, 0.6, "finished")
    assert "0.100" in grid.accuracies(report).splitlines()[-2]  # sqrt(2 * 0.5 * 0.5 / 50)
    assert grid.accuracies(report).endswith("+0.100 in the mean, +0.100 at most")


def test_the_ratio_is_that_of_the_whole_grids():
    text = grid.verdict(race_of(course=[0.1, 0.5], sweep=[0.6, 0.4, 0.9, 0.8, 0.7]))
    assert "an estimated 30.0 s for the whole grid" in text
    assert "ratio:  15.0" in text
    assert text.endswith("the sweep's best of all: hidden_dim=3, learning_rate=0.5, num_epochs=4: 0.900")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "0"], "--workers is 0"),
        (["--dataset", "cifar10", "--data-dir", "none"], "no folder none"),
    ],
)
def test_a_race_that_cannot_be_run_is_refused_in_a_line(capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        grid.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
