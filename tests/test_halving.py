"""Successive halving: which settings go on, on any executor, and again after it was stopped."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sweep import DATA, GRID, assert_same, files, lines, pool, train_softmax

from minigrad.sweep import Halving, sweep

CONFIGS = {name: values for name, values in GRID.items() if name != "num_epochs"}


def train_scripted(setting, data, seed):
    """The accuracy of so many epochs, as the setting says; None for divergence."""
    if "calls" in setting:
        with open(setting["calls"], "a") as file:
            print(setting["curve"], setting["num_epochs"], file=file)
    accuracy = setting["curve"][setting["num_epochs"] - 1]
    if accuracy is None:
        raise FloatingPointError("the loss is nan")
    return {"val_acc": accuracy}


def without_origin(result):
    return [replace(trial, params=None, read_off=None, promoted=None) for trial in result.trials]


def epochs_of(result):
    """Return the trained epochs of each curve."""
    found = {}
    for trial in result.trials:
        found.setdefault(str(trial.setting["curve"]), set()).add(trial.setting["num_epochs"])
    return found


def test_that_keeps_all_is_the_full_sweep():
    halved = sweep(train_softmax, CONFIGS, DATA, halving=Halving((1, 2, 5), keep=1))
    full = sweep(train_softmax, CONFIGS | {"num_epochs": [1, 2, 5]}, DATA)
    assert without_origin(halved) == without_origin(full)
    for name, w in full.best.params.items():
        assert (halved.best.params[name] == w).all()


def test_it_is_a_part_of_the_full_sweep_on_every_executor(tmp_path):
    from distributed import Client, LocalCluster

    halving = Halving((1, 2, 5), keep=0.5)
    expected = sweep(train_softmax, CONFIGS, DATA, halving=halving)
    full = sweep(train_softmax, CONFIGS | {"num_epochs": [1, 2, 5]}, DATA)
    assert all(trial in without_origin(full) for trial in without_origin(expected))
    assert [trial.promoted for trial in expected.trials].count(True) == 3 + 2
    assert [trial.promoted for trial in expected.trials].count(None) == 2
    assert len(expected.trials) == 6 + 3 + 2
    with pool() as executor:
        assert_same(sweep(train_softmax, CONFIGS, DATA, executor, tmp_path, halving=halving), expected)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        assert_same(sweep(train_softmax, CONFIGS, DATA, client, halving=halving), expected)
    assert files(tmp_path) == ["best.npz", "grid.json", "results.jsonl"]
    assert_same(sweep(train_softmax, CONFIGS, DATA, out=tmp_path, halving=halving), expected)
    assert len(lines(tmp_path)) == 11


ACCURACIES = st.lists(st.none() | st.integers(0, 5), min_size=4, max_size=4)


@settings(max_examples=30, deadline=None)
@given(
    curves=st.lists(ACCURACIES, min_size=1, max_size=6, unique_by=str),
    rungs=st.lists(st.integers(1, 4), min_size=1, unique=True).map(sorted),
    keep=st.sampled_from([0.01, 1 / 3, 0.5, 0.7, 1]),
)
def test_the_better_part_of_each_rung_goes_on(curves, rungs, keep):
    result = sweep(train_scripted, {"curve": curves}, DATA, halving=Halving(rungs, keep))
    expected, alive = {str(curve): set() for curve in curves}, curves
    for rung in rungs:
        for curve in alive:
            expected[str(curve)].add(rung)
        finished = [curve for curve in alive if curve[rung - 1] is not None]
        best = sorted(finished, key=lambda curve: -curve[rung - 1])[: math.ceil(len(alive) * keep - 1e-9)]
        alive = [curve for curve in curves if curve in best]
    assert epochs_of(result) == expected
    for trial in result.trials:
        longest = max(expected[str(trial.setting["curve"])])
        went_on = trial.setting["num_epochs"] < longest
        assert trial.promoted is (None if trial.setting["num_epochs"] == rungs[-1] else went_on)
    accuracies = [trial.val_acc for trial in result.trials if trial.val_acc is not None]
    assert accuracies == sorted(accuracies, reverse=True)


@pytest.mark.parametrize("stopped_at", range(1, 10))
def test_stopped_at_any_training_it_goes_on_where_it_was(tmp_path, stopped_at):
    calls = tmp_path / "calls"
    curves = [[1, 5, 1], [2, 0, 0], [3, 3, 3], [0, 9, 9], [4, 2, None]]
    grid, halving = {"curve": curves, "calls": [str(calls)]}, Halving((1, 2, 3), keep=0.5)

    def train(setting, data, seed):
        record = train_scripted(setting, data, seed)
        if len(calls.read_text().splitlines()) == stopped_at:
            raise KeyboardInterrupt
        return record

    with pytest.raises(KeyboardInterrupt):
        sweep(train, grid, DATA, out=tmp_path / "out", halving=halving)
    result = sweep(train_scripted, grid, DATA, out=tmp_path / "out", halving=halving)
    again = calls.read_text().splitlines()
    assert len(again) == len(set(again)) + 1 == 11  # the stopped one again
    undisturbed = sweep(train_scripted, grid, DATA, halving=halving)
    assert str(result.table()) == str(undisturbed.table())


@pytest.mark.parametrize(
    ("halving", "epochs", "rungs"),
    [(3, 9, (1, 3, 9)), (3, 5, (1, 5)), (2, 10, (1, 2, 5, 10)), (3, 1, (1,)), (10, 3, (3,))],
)
def test_a_number_divides_the_epochs(halving, epochs, rungs):
    grid = {"curve": [[i] * 10 for i in range(4)], "num_epochs": [epochs]}
    result = sweep(train_scripted, grid, DATA, halving=halving)
    by_rungs = sweep(train_scripted, {"curve": grid["curve"]}, DATA, halving=Halving(rungs, 1 / halving))
    assert without_origin(result) == without_origin(by_rungs)


def test_where_all_diverge_nothing_goes_on():
    result = sweep(train_scripted, {"curve": [[None], [None, 1]]}, DATA, halving=Halving((1, 2), 1))
    assert [trial.status for trial in result.trials] == ["diverged"] * 2
    with pytest.raises(ValueError, match="none of the 2 settings finished"):
        _ = result.best


def test_the_table_tells_what_went_on():
    result = sweep(train_scripted, {"curve": [[1, 2], [0, 3]]}, DATA, halving=Halving((1, 2), 0.5))
    assert str(result.table()).splitlines() == [
        "curve   num_epochs  val_acc  status    promoted  diverged_at_epoch  from  error",
        "[1, 2]  2           2        finished",
        "[1, 2]  1           1        finished  True",
        "[0, 3]  1           0        finished  False",
    ]


def test_the_bar_counts_the_trainings(capsys):
    grid = {"curve": [[i] * 9 for i in range(9)]}
    sweep(train_scripted, grid, DATA, halving=Halving((1, 3, 9)), progress=True)
    assert "13/13" in capsys.readouterr().err


def test_the_folder_of_another_halving_is_refused(tmp_path):
    grid = {"curve": [[1, 2], [0, 3]]}
    sweep(train_scripted, grid, DATA, out=tmp_path, halving=Halving((1, 2), 0.5))
    others = (Halving((1, 2), 1), grid), (None, grid | {"num_epochs": [1]})
    for other, same in others:
        with pytest.raises(FileExistsError, match=r"halving: {'rungs': \[1, 2\], 'keep': 0\.5} there"):
            sweep(train_scripted, same, DATA, out=tmp_path, halving=other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((),), "rungs must be a sequence of ints, got ()"),
        (((0, 1),), "rungs[0] must be an int >= 1, got 0"),
        ((3,), "rungs must be a sequence of ints, got 3"),
        (((1, 1.5),), "rungs[1] must be an int >= 1, got 1.5"),
        (((3, 1),), "rungs must increase, got (3, 1)"),
        (((1, 3), 0), "keep must be in (0, 1], got 0"),
        (((1, 3), 1.5), "keep must be"),
        (((1, 3), math.nan), "keep must be"),
        (((1, 3), "all"), "keep must be"),
    ],
)
def test_bad_rungs_are_refused(arguments, message):
    with pytest.raises((TypeError, ValueError)) as error:
        Halving(*arguments)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("grid", "halving", "error", "message"),
    [
        ({"a": [1], "num_epochs": [3]}, Halving((1, 3)), ValueError, "leave these out of the grid"),
        ({"a": [1], "num_epochs": [3, 9]}, 3, ValueError, "halving=3 divides the num_epochs of the settings"),
        ({"a": [1]}, 3, ValueError, r"give all the same, or Halving\(rungs\)"),
        ({"a": [1]}, 1, TypeError, "halving must be a Halving, or an int >= 2, got 1"),
        ({"a": [1]}, True, TypeError, "got True"),
        ({"a": [1]}, "3", TypeError, "got '3'"),
    ],
)
def test_bad_halvings_are_refused_before_anything_is_written(tmp_path, grid, halving, error, message):
    with pytest.raises(error, match=message):
        sweep(train_scripted, grid, DATA, out=tmp_path / "out", halving=halving)
    assert not Path(tmp_path, "out").exists()


def test_a_warning_is_of_the_statement_that_sweeps(tmp_path):
    halving = Halving((1, 2))
    sweep(train_softmax, CONFIGS, DATA, out=tmp_path, halving=halving)
    with (tmp_path / "results.jsonl").open("ab") as file:
        file.write(b"damaged\n")
    (tmp_path / "best.npz").unlink()
    with pytest.warns(RuntimeWarning) as told:
        sweep(train_softmax, CONFIGS, DATA, out=tmp_path, halving=halving)
    assert [each.filename for each in told] == [__file__] * 2
