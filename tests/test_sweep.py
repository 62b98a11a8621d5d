import argparse
import asyncio
import csv
import errno
import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

import minigrad as mg
from minigrad import files as files_module
from minigrad.sweep import choices, log_uniform, sweep, train_model, uniform
from minigrad.training import cosine

# What is trained: at the top of the module, for the workers to find


class SoftmaxRegression:
    def __init__(self, num_features, num_classes, reg, seed):
        rng = np.random.default_rng(seed)
        self.params = {"W": rng.standard_normal((num_features, num_classes)), "b": np.zeros(num_classes)}
        self.reg = reg

    def loss(self, X, y=None):
        if y is None:
            return X @ self.params["W"] + self.params["b"]
        return mg.value_and_grad(self.objective)(self.params, X, y)

    def objective(self, params, X, y):
        loss = mg.softmax_cross_entropy(mg.affine(X, params["W"], params["b"]), y)
        return mg.l2_regularized(loss, params["W"], reg=self.reg)


def train_softmax(setting, data, seed):
    model = SoftmaxRegression(data["X_train"].shape[1], 3, setting["reg"], seed)
    return train_model(
        model,
        data,
        seed,
        batch_size=10,
        num_epochs=setting["num_epochs"],
        optim_config={"learning_rate": setting["learning_rate"]},
    )


def train_product(setting, data, seed):
    """a b, without any training; or the error that the setting asks for."""
    if "calls" in setting:
        with open(setting["calls"], "a") as file:
            print(setting["a"], setting["b"], file=file)
    if setting["b"] == "diverge":
        raise FloatingPointError("the loss is nan")
    if setting["b"] == "raise":
        raise ZeroDivisionError("no such b")
    return {"val_acc": setting["a"] * setting["b"], "params": {"ab": np.array([setting["a"], setting["b"]])}}


def train_by_seed(setting, data, seed):
    return {"val_acc": 0.5, "history": {"seed": [seed]}}


def train_and_kill_the_worker(setting, data, seed):
    """a b; but some settings kill the process, each a number of times. Each call is told to a file."""
    number = sum(1 for call in calls_of(setting) if call[:2] == [setting["a"], setting["b"]])
    with open(setting["calls"], "a") as file:
        print(json.dumps([setting["a"], setting["b"], os.getpid()]), file=file)
    if number < setting["deaths"].get(str(setting["a"]), 0):
        os.kill(os.getpid(), signal.SIGKILL)
    return train_product({"a": setting["a"], "b": setting["b"]}, data, seed)


def train_beside_another(setting, data, seed):
    """a, as soon as two processes train."""
    Path(setting["folder"], str(setting["a"])).touch()
    until = time.monotonic() + 60
    while len(list(Path(setting["folder"]).iterdir())) < 2:
        assert time.monotonic() < until
        time.sleep(0.01)
    return {"val_acc": setting["a"]}


def calls_of(setting):
    file = Path(setting["calls"])
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def train_and_kill_one_worker(setting, data, seed):
    if setting["a"] == 2 and not Path(setting["killed"]).exists():
        Path(setting["killed"]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"val_acc": setting["a"] / 10}


def train_and_kill_the_sweep(setting, data, seed):
    if setting["a"] == 2 and setting["b"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return train_product(setting, data, seed)


def train_to_tell_of_workers(setting, data, seed):
    threads = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
    mapped = [isinstance(array.base, np.memmap) for array in data.values()]
    writable = [array.flags.writeable for array in data.values()]
    return {"val_acc": 0, "history": {"threads": threads, "mapped": mapped, "writable": writable}}


# Helpers


def make_data(num_train=40, num_val=30, num_features=5):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((num_train + num_val, num_features))
    y = (X @ rng.standard_normal((num_features, 3)) + rng.standard_normal((len(X), 3))).argmax(axis=1)
    return {
        "X_train": X[:num_train],
        "y_train": y[:num_train],
        "X_val": X[num_train:].T.copy().T,
        "y_val": y[num_train:],
    }


DATA = make_data()
GRID = {"learning_rate": [1e-3, 0.1, 1.0], "reg": [0.0, 0.1], "num_epochs": [1, 2, 5]}
PRODUCTS = {"a": [1, 2, 3], "b": [1, 2, 3, 4]}


def pool():
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


def without_params(result):
    return [replace(trial, params=None) for trial in result.trials]


def assert_same(result, expected):
    assert result.table() == expected.table()
    assert str(result.table()) == str(expected.table())
    assert without_params(result) == without_params(expected)
    assert result.best.params.keys() == expected.best.params.keys()
    for name, array in expected.best.params.items():
        np.testing.assert_array_equal(result.best.params[name], array, strict=True)


def files(folder):
    return sorted(path.name for path in Path(folder).iterdir() if path.name != ".lock")


def resealed(line, change):
    """Change a line of results.jsonl, and its digest with it."""
    kept = json.loads(line) | change
    del kept["sha256"]
    content = json.dumps(kept).encode()
    return content[:-1] + f', "sha256": "{hashlib.sha256(content).hexdigest()[:16]}"}}\n'.encode()


def lines(folder):
    return Path(folder, "results.jsonl").read_bytes().splitlines(keepends=True)


# Executors


def test_every_executor_gives_the_same_table(tmp_path):
    from distributed import Client, LocalCluster

    expected = sweep(train_softmax, GRID, DATA)
    assert_same(sweep(train_softmax, GRID, DATA, out=tmp_path / "serial"), expected)
    with pool() as executor:
        assert_same(sweep(train_softmax, GRID, DATA, executor, tmp_path / "pool"), expected)
        assert_same(sweep(train_softmax, GRID, DATA, executor), expected)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        assert_same(sweep(train_softmax, GRID, DATA, client, tmp_path / "dask"), expected)
        assert_same(sweep(train_softmax, GRID, DATA, client), expected)
    for folder in ("serial", "pool", "dask"):
        assert files(tmp_path / folder) == ["best.npz", "grid.json", "results.jsonl"]


def test_workers_map_the_data_and_have_one_blas_thread():
    with pool() as executor:
        result = sweep(train_to_tell_of_workers, {"a": [1, 2]}, DATA, executor)
    for trial in result.trials:
        assert trial.error is None
        assert set(trial.history["threads"]) == {1}
        assert all(trial.history["mapped"]) and not any(trial.history["writable"])


def test_workers_that_are_threads_leave_blas_its_threads():
    before = [pool["num_threads"] for pool in threadpool_info()]
    with ThreadPoolExecutor(3) as executor:
        result = sweep(train_to_tell_of_workers, {"a": list(range(12))}, DATA, executor)
    assert all(set(trial.history["threads"]) == {1} for trial in result.trials)
    assert [pool["num_threads"] for pool in threadpool_info()] == before


def test_this_process_gets_read_only_data_and_the_callers_stay_writable():
    trial = sweep(train_to_tell_of_workers, {"a": [1]}, DATA).best
    assert not any(trial.history["writable"])
    assert all(array.flags.writeable for array in DATA.values())


@pytest.mark.parametrize("deaths", [{"2": 1}, {"1": 1, "3": 1}, {"2": 9, "3": 9}], ids=str)
def test_after_a_worker_was_killed_the_sweeps_own_processes_go_on(tmp_path, deaths):
    """Whoever kills two processes alone has failed; all others are trained, none of them in this process."""
    products = {"a": [1, 2, 3], "b": [1, 2]}
    grid = products | {"calls": [str(tmp_path / "calls")], "deaths": [deaths]}
    with pool() as executor:
        with pytest.warns(RuntimeWarning, match="lost a worker or a result.*the sweep's own") as told:
            result = sweep(train_and_kill_the_worker, grid, DATA, executor, tmp_path / "out")
        assert [warning.filename for warning in told] == [__file__]
        calls = calls_of({"calls": tmp_path / "calls"})
        (tmp_path / "calls").write_text("")
        again = sweep(train_and_kill_the_worker, grid, DATA, executor, tmp_path / "out")
    assert again.table() == result.table() and not (tmp_path / "calls").read_text()
    assert os.getpid() not in {process for _, _, process in calls}

    fatal = {int(a) for a, number in deaths.items() if number > 1}
    expected = [t for t in sweep(train_product, products, DATA).trials if t.setting["a"] not in fatal]
    finished = [trial for trial in result.trials if trial.status == "finished"]
    assert [(t.setting["a"], t.setting["b"], t.val_acc) for t in finished] == [
        (t.setting["a"], t.setting["b"], t.val_acc) for t in expected
    ]
    np.testing.assert_array_equal(result.best.params["ab"], [expected[0].setting["a"], 2])
    for trial in result.trials[len(finished) :]:
        assert trial.status == "error" and trial.setting["a"] in fatal
        assert "a process that trained this setting alone died, 2 times" in trial.error
        same = [call for call in calls if call[:2] == [trial.setting["a"], trial.setting["b"]]]
        assert len(same) in (2, 3)  # 3, if it ran in the pool that broke, too


def test_for_a_pool_that_broke_before_as_many_processes_train_at_once(tmp_path):
    with pool() as executor:
        assert executor.submit(os._exit, 1).exception() is not None
        with pytest.warns(RuntimeWarning, match="BrokenProcessPool"):
            result = sweep(train_beside_another, {"a": [1, 2], "folder": [str(tmp_path)]}, DATA, executor)
    assert [trial.val_acc for trial in result.trials] == [2, 1]


def test_a_pool_whose_processes_die_before_they_train_is_refused(tmp_path):
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(2, context, initializer=os._exit, initargs=(1,)) as executor,
        pytest.warns(RuntimeWarning, match="the sweep's own"),
        pytest.raises(ChildProcessError, match=r"dies before it trains anything.*the pool's initializer"),
    ):
        sweep(train_product, PRODUCTS, DATA, executor, tmp_path)
    assert files(tmp_path) == ["grid.json"]


def test_what_a_killed_worker_of_dask_lost_is_run_again(tmp_path):
    from distributed import Client, LocalCluster

    grid = {"a": [1, 2, 3, 4, 5], "killed": [str(tmp_path / "killed")]}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        result = sweep(train_and_kill_one_worker, grid, DATA, client, tmp_path / "out")
    assert (tmp_path / "killed").exists()
    assert result.table() == sweep(train_and_kill_one_worker, grid, DATA).table()
    assert len(lines(tmp_path / "out")) == 5


class Client:
    """Like Dask's, but only the first call is ever made."""

    def __init__(self):
        self.futures = []

    def submit(self, fn, *args, pure=True):
        assert not pure
        future = Future()
        if not self.futures:
            future.set_result(fn(*args))
        self.futures.append(future)
        return future


def test_what_runs_elsewhere_is_cancelled_after_an_error(tmp_path):
    client = Client()
    with pytest.raises(TypeError, match="must return a dict with 'val_acc'"):
        sweep(train_nothing, PRODUCTS, DATA, client, tmp_path)
    assert [future.cancelled() for future in client.futures] == [False] + [True] * 11
    assert files(tmp_path) == ["grid.json"]


def train_nothing(setting, data, seed):
    return {}


def test_a_worker_that_is_given_other_data_at_the_same_place_opens_it(tmp_path):
    other = DATA | {"y_val": (DATA["y_val"] + 1) % 3}
    grid = {name: values[-1:] for name, values in GRID.items()}
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        for data in (DATA, other):
            result = sweep(train_softmax, grid, data, executor, tmp_path / "out")
            assert_same(result, sweep(train_softmax, grid, data))
            (tmp_path / "out").rename(tmp_path / f"before{data is other}")


# Settings and seeds


def test_a_settings_seed_follows_from_it_and_the_sweeps_seed():
    def seeds(grid, seed=0):
        result = sweep(train_by_seed, grid, DATA, seed=seed)
        return {
            json.dumps(trial.setting, sort_keys=True): trial.history["seed"][0] for trial in result.trials
        }

    some = seeds({"b": [2, 1], "a": [0.1]})
    assert len(set(some.values())) == 2
    assert some == seeds([{"a": 0.1, "b": 1}, {"b": 2, "a": 0.1}])
    assert set(some.values()).isdisjoint(seeds({"b": [2, 1], "a": [0.1]}, seed=1).values())
    assert len(set(seeds({"a": [1], "num_epochs": [1, 2, 3]}).values())) == 1
    assert seeds({"a": np.array([1, 2])}) == seeds({"a": [1, 2]})


def test_a_setting_given_twice_is_trained_once():
    assert len(sweep(train_by_seed, [{"a": 1}, {"a": 2}, {"a": 1}], DATA).trials) == 2


def test_trials_are_ranked_by_accuracy_and_then_in_the_order_of_the_grid():
    result = sweep(train_product, {"a": [1, 2, 3], "b": ["raise", 2, "diverge", 3]}, DATA)
    ranked = [(trial.setting["a"], trial.setting["b"], trial.val_acc) for trial in result.trials]
    assert ranked[:6] == [(3, 3, 9.0), (2, 3, 6.0), (3, 2, 6.0), (2, 2, 4.0), (1, 3, 3.0), (1, 2, 2.0)]
    assert [trial.status for trial in result.trials[6:]] == ["diverged"] * 3 + ["error"] * 3
    np.testing.assert_array_equal(result.best.params["ab"], [3, 3])
    assert all(trial.params is None for trial in result.trials[1:])


@pytest.mark.parametrize("executor", [None, pool])
def test_errors_are_recorded_with_their_tracebacks(executor):
    grid = {"a": [1], "b": ["raise", "diverge"]}
    if executor is None:
        result = sweep(train_product, grid, DATA)
    else:
        with executor() as workers:
            result = sweep(train_product, grid, DATA, workers)
    diverged, raised = result.trials
    assert raised.error.startswith("Traceback") and raised.error.endswith("ZeroDivisionError: no such b\n")
    assert "in train_product" in raised.error
    assert diverged.error.endswith("FloatingPointError: the loss is nan\n")
    assert "ZeroDivisionError: no such b" in str(result.table())
    with pytest.raises(ValueError, match="none of the 2 settings finished"):
        _ = result.best


def train_to_an_end(setting, data, seed):
    if setting["a"] == "exit":
        sys.exit(3)
    if setting["a"] == "arguments":
        argparse.ArgumentParser().parse_args(["--none"])
    if setting["a"] == "cancel":
        raise asyncio.CancelledError("no more")
    if setting["a"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"val_acc": 1}


@pytest.mark.parametrize("executor", [None, pool, lambda: ThreadPoolExecutor(2)])
def test_what_ends_a_process_ends_one_setting(executor):
    grid = {"a": ["exit", "arguments", "cancel", "go on"]}
    with nullcontext() if executor is None else executor() as workers:
        result = sweep(train_to_an_end, grid, DATA, workers)
    best, *others = result.trials
    assert (best.setting["a"], best.status) == ("go on", "finished")
    assert [trial.error.splitlines()[-1] for trial in others] == [
        "SystemExit: 3",
        "SystemExit: 2",
        "asyncio.exceptions.CancelledError: no more",
    ]


def test_an_interrupt_ends_the_sweep():
    def train(setting, data, seed):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(train, {"a": [1]}, DATA)


def test_a_setting_that_kills_workers_of_dask_is_its_own_error():
    import dask
    from distributed import Client, LocalCluster

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as client,
        pytest.warns(RuntimeWarning, match="KilledWorker.*the sweep's own"),
    ):
        result = sweep(train_to_an_end, {"a": ["kill", "go on"]}, DATA, client)
    assert [trial.status for trial in result.trials] == ["finished", "error"]
    assert "a process that trained this setting alone died, 2 times" in result.trials[1].error


def test_a_value_may_be_an_array_of_no_dimension():
    result = sweep(train_product, {"a": [np.array(0.5)], "b": [np.float32(2)]}, DATA)
    assert result.best.setting == {"a": 0.5, "b": 2.0}


# num_epochs


@pytest.mark.parametrize("num_epochs", [[1, 2, 5], [5, 1, 2]])
def test_shorter_runs_read_off_equal_those_trained(tmp_path, num_epochs):
    grid = {"learning_rate": [1e-3, 0.1, 1.0, 1e10], "reg": [0.1, 1.0], "num_epochs": num_epochs}
    read_off = sweep(train_softmax, grid, DATA, out=tmp_path)
    for epochs in num_epochs:
        trained = sweep(train_softmax, grid | {"num_epochs": [epochs]}, DATA)
        same = [trial for trial in read_off.trials if trial.setting["num_epochs"] == epochs]
        assert [replace(trial, params=None, read_off=None) for trial in same] == without_params(trained)
    statuses = {(trial.setting["num_epochs"], trial.status) for trial in read_off.trials}
    assert (5, "diverged") in statuses and (5, "finished") in statuses
    assert (1, "diverged") not in statuses
    assert {trial.read_off for trial in read_off.trials} >= {None, 5}
    assert "num_epochs=5" in str(read_off.table())
    best = read_off.best
    trained = sweep(train_softmax, [best.setting], DATA).best
    for name, array in trained.params.items():
        np.testing.assert_array_equal(best.params[name], array)


def test_what_diverges_late_leaves_the_shorter_runs_finished():
    grid = {"learning_rate": [20.0], "reg": [0.2], "num_epochs": list(range(1, 101))}
    result = sweep(train_softmax, grid, DATA)
    (last,) = [trial for trial in result.trials if trial.setting["num_epochs"] == 100]
    assert last.status == "diverged" and 1 < last.diverged_at_epoch < 100
    assert len(last.history["val_acc_history"]) == last.diverged_at_epoch
    for trial in result.trials:
        diverged = trial.setting["num_epochs"] >= last.diverged_at_epoch
        assert trial.status == ("diverged" if diverged else "finished")
        assert trial.read_off in (None, 100, last.diverged_at_epoch - 1)
    assert result.best.params.keys() == {"W", "b"}


@pytest.mark.parametrize(
    "history", [{}, {"val_acc_history": [0.1, 0.2]}, {"val_acc_history": [0.1] * 4}], ids=str
)
def test_what_no_history_tells_is_trained(history):
    def train(setting, data, seed):
        return {"val_acc": setting["num_epochs"] / 10, "history": history}

    result = sweep(train, {"num_epochs": [1, 2, 3]}, DATA)
    assert [trial.val_acc for trial in result.trials] == [0.3, 0.2, 0.1]
    assert all(trial.read_off is None for trial in result.trials)


def train_with_a_schedule(setting, data, seed):
    steps = setting["num_epochs"] * 3
    rate = cosine(1.0, steps) if setting["falls"] else None
    model = SoftmaxRegression(data["X_train"].shape[1], 3, 0.1, seed)
    return train_model(model, data, seed, batch_size=10, lr_schedule=rate, num_epochs=setting["num_epochs"])


def test_a_run_with_a_schedule_is_not_cut(tmp_path):
    grid = {"falls": [True, False], "num_epochs": [1, 2, 5]}
    for _ in range(2):  # the second is read from the folder
        result = sweep(train_with_a_schedule, grid, DATA, out=tmp_path)
        for trial in result.trials:
            assert trial.read_off == (
                None if trial.setting["falls"] or trial.setting["num_epochs"] == 5 else 5
            )
            assert trial.can_be_cut != trial.setting["falls"]
            (alone,) = sweep(train_with_a_schedule, [trial.setting], DATA).trials
            assert trial.history == alone.history


def test_whether_a_run_can_be_cut_is_true_or_false():
    with pytest.raises(TypeError, match=r"train returned, .* can_be_cut='no'; it must be True or False"):
        sweep(lambda *_: {"val_acc": 0.5, "can_be_cut": "no"}, {"num_epochs": [1, 2]}, DATA)


# The folder


def test_a_killed_sweep_goes_on_where_it_was(tmp_path):
    out, calls = tmp_path / "out", tmp_path / "calls"
    grid = PRODUCTS | {"calls": [str(calls)]}
    program = (
        "import test_sweep as t, sys, json; from minigrad.sweep import sweep; "
        "sweep(t.train_and_kill_the_sweep, json.loads(sys.argv[1]), t.DATA, out=sys.argv[2])"
    )
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(mg.__file__).parents[1])])
    ended = subprocess.run(
        [sys.executable, "-c", program, json.dumps(grid), str(out)], env=os.environ | {"PYTHONPATH": path}
    )
    assert ended.returncode == -signal.SIGKILL
    before = calls.read_text().splitlines()
    assert len(before) == 6 and len(lines(out)) == 6
    result = sweep(train_product, grid, DATA, out=out)
    after = calls.read_text().splitlines()
    assert len(after) == len(set(after)) == 12
    assert_same(result, sweep(train_product, grid, DATA))


def train_and_kill_the_parent(setting, data, seed):
    if setting["a"] == 2 and setting["b"] == 3:
        while not Path(setting["calls"]).with_name("out").joinpath("results.jsonl").exists():
            time.sleep(0.01)
        os.kill(os.getppid(), signal.SIGKILL)
    return train_product(setting, data, seed)


def test_a_killed_sweep_with_workers_goes_on_where_it_was(tmp_path):
    out, calls = tmp_path / "out", tmp_path / "calls"
    grid = PRODUCTS | {"calls": [str(calls)]}
    program = (
        "import test_sweep as t, sys, json; from minigrad.sweep import sweep\n"
        "if __name__ == '__main__':\n"
        "    executor = t.ProcessPoolExecutor(2, mp_context=t.multiprocessing.get_context('fork'))\n"
        "    sweep(t.train_and_kill_the_parent, json.loads(sys.argv[1]), t.DATA, executor, sys.argv[2])"
    )
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(mg.__file__).parents[1])])
    sweeping = subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(grid), str(out)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # the workers complain of their parent
    )
    assert sweeping.wait() == -signal.SIGKILL
    sweeping.communicate(timeout=30)  # the pipe is closed when the workers, which have it too, have ended
    finished = {json.dumps(json.loads(line)["setting"]) for line in lines(out)}
    assert 0 < len(finished) < 12
    calls.write_text("")
    result = sweep(train_product, grid, DATA, out=out)
    missing = 12 - len(finished)
    assert len(calls.read_text().splitlines()) in (
        missing,
        missing - 1,
    )  # best.npz is written before the line
    assert_same(result, sweep(train_product, grid, DATA))


def train_for_ever(setting, data, seed):
    Path(setting["folder"], str(setting["a"])).touch()
    time.sleep(600)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_idle_workers_end_with_a_killed_sweep_too(tmp_path, method):
    program = (
        "import test_sweep as t, sys; from minigrad.sweep import sweep\n"
        "if __name__ == '__main__':\n"
        "    context = t.multiprocessing.get_context(sys.argv[2])\n"
        "    executor = t.ProcessPoolExecutor(4, mp_context=context)\n"
        "    sweep(t.train_for_ever, {'a': [1, 2], 'folder': [sys.argv[1]]}, t.DATA, executor)"
    )
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(mg.__file__).parents[1])])
    sweeping = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), method],
        env=os.environ | {"PYTHONPATH": path, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    while not ((tmp_path / "1").exists() and (tmp_path / "2").exists()):
        assert sweeping.poll() is None
        time.sleep(0.01)
    sweeping.kill()
    sweeping.communicate(timeout=30)  # the workers, too, have the pipe: all have ended when it is closed


def test_two_sweeps_into_one_folder_are_refused(tmp_path):
    out, program = (
        tmp_path / "out",
        "import sys, test_sweep as t; t.sweep(t.train_product, t.PRODUCTS, t.DATA, out=sys.argv[1])",
    )
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(mg.__file__).parents[1])])

    def train(setting, data, seed):
        other = subprocess.run(
            [sys.executable, "-c", program, str(out)],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        said.append(other.stderr)
        return {"val_acc": 0.5}

    said = []
    sweep(train, {"a": [1]}, DATA, out=out)
    assert len(said) == 1
    assert "BlockingIOError" in said[0] and "another process is sweeping into out" in said[0]
    sweep(train, {"a": [1]}, DATA, out=out)


def test_a_finished_sweep_trains_nothing_again(tmp_path):
    expected = sweep(train_softmax, GRID, DATA, out=tmp_path)
    with pool() as executor:
        assert_same(sweep(fail, GRID, DATA, executor, tmp_path), expected)


def fail(setting, data, seed):
    raise AssertionError("called")


@given(
    cut=st.integers(0, 2000), garbage=st.sampled_from([b"", b"\xff\x00", b"{}\n", b"null\n", b'{"a": 1}\n'])
)
def test_damaged_lines_are_set_aside_and_their_settings_trained_again(tmp_path_factory, cut, garbage):
    out = tmp_path_factory.mktemp("out")
    expected = sweep(train_product, PRODUCTS, DATA, out=out)
    whole = (out / "results.jsonl").read_bytes()
    cut = min(cut, len(whole))
    (out / "results.jsonl").write_bytes(whole[:cut] + garbage)
    damaged = bool(garbage) or (cut > 0 and whole[cut - 1 : cut] != b"\n")
    if damaged:
        with pytest.warns(RuntimeWarning, match=r"now in results\.rejected") as told:
            result = sweep(train_product, PRODUCTS, DATA, out=out)
        assert [warning.filename for warning in told] == [__file__]
    else:
        result = sweep(train_product, PRODUCTS, DATA, out=out)
    assert_same(result, expected)
    assert (out / "results.rejected").exists() == damaged
    assert sorted(lines(out)) == sorted(whole.splitlines(keepends=True))


@pytest.mark.parametrize(
    "change",
    [
        {"status": "done"},
        {"val_acc": None},
        {"val_acc": float("nan")},
        {"setting": {"a": 9, "b": 9}},
        {"history": {"loss": "low"}},
        {"history": []},
        {"diverged_at_epoch": "2"},
        {"diverged_at_epoch": 2},
        {"setting": [1]},
        {"setting": {"a": [[]] * 3, "b": 1}},
        {"read_off": 3},
        {"error": 1},
        {"can_be_cut": 1},
        {"more": 1},
    ],
    ids=str,
)
def test_lines_of_another_form_are_set_aside(tmp_path, change):
    expected = sweep(train_product, PRODUCTS, DATA, out=tmp_path)
    first, *others = lines(tmp_path)
    changed = resealed(first, change)
    (tmp_path / "results.jsonl").write_bytes(b"".join([changed, *others]))
    with pytest.warns(RuntimeWarning, match="1 damaged line"):
        assert_same(sweep(train_product, PRODUCTS, DATA, out=tmp_path), expected)
    assert (tmp_path / "results.rejected").read_bytes() == changed


@given(data=st.data())
def test_a_changed_byte_of_a_line_is_noticed(tmp_path_factory, data):
    out = tmp_path_factory.mktemp("out")
    expected = sweep(train_product, PRODUCTS, DATA, out=out)
    whole = (out / "results.jsonl").read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[place]))
    (out / "results.jsonl").write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
    with pytest.warns(RuntimeWarning, match=r"damaged line\(s\), now in"):
        assert_same(sweep(train_product, PRODUCTS, DATA, out=out), expected)


def test_lines_nested_beyond_reason_are_set_aside(tmp_path):
    expected = sweep(train_product, PRODUCTS, DATA, out=tmp_path)
    content = b'{"setting": ' + b"[" * 100_000 + b"]" * 100_000 + b', "params_sha256": ""}'
    seal = f', "sha256": "{hashlib.sha256(content).hexdigest()[:16]}"}}\n'.encode()
    with open(tmp_path / "results.jsonl", "ab") as file:
        file.write(content[:-1] + seal)
    with pytest.warns(RuntimeWarning, match="1 damaged line"):
        assert_same(sweep(train_product, PRODUCTS, DATA, out=tmp_path), expected)
    (tmp_path / "grid.json").write_bytes(b"[" * 100_000)
    with pytest.raises(ValueError, match=r"grid\.json is damaged \(RecursionError"):
        sweep(train_product, PRODUCTS, DATA, out=tmp_path)


@pytest.mark.parametrize("content", [b"[]", b"1", b'{"seed": 0}', b'{"grid": 1, "data": 2}', b"\xff"])
def test_a_damaged_grid_is_named(tmp_path, content):
    sweep(train_product, PRODUCTS, DATA, out=tmp_path)
    (tmp_path / "grid.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"grid\.json is damaged"):
        sweep(train_product, PRODUCTS, DATA, out=tmp_path)


def test_other_parameters_than_those_of_the_line_are_not_believed(tmp_path):
    grid = PRODUCTS | {"calls": [str(tmp_path / "calls")]}
    expected = sweep(train_product, grid, DATA, out=tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out" / "best.npz") as archive:
        line = archive.read("result.json")
    (tmp_path / "calls").unlink()
    with zipfile.ZipFile(tmp_path / "out" / "best.npz", "w") as archive:
        with archive.open("ab.npy", "w") as member:
            np.lib.format.write_array(member, np.array([4, 3]))
        archive.writestr("result.json", line)
    with pytest.warns(RuntimeWarning, match=r"best\.npz is missing, damaged or of another setting"):
        assert_same(sweep(train_product, grid, DATA, out=tmp_path / "out"), expected)
    assert (tmp_path / "calls").read_text() == "3 4\n"


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-30])])
def test_lost_parameters_are_trained_again(tmp_path, damage):
    grid = PRODUCTS | {"calls": [str(tmp_path / "calls")]}
    expected = sweep(train_product, grid, DATA, out=tmp_path / "out")
    (tmp_path / "calls").unlink()
    damage(tmp_path / "out" / "best.npz")
    with pytest.warns(RuntimeWarning, match=r"best\.npz is missing, damaged") as told:
        assert_same(sweep(train_product, grid, DATA, out=tmp_path / "out"), expected)
    assert [warning.filename for warning in told] == [__file__]
    assert (tmp_path / "calls").read_text() == "3 4\n"


def test_a_best_that_was_saved_without_its_line_is_not_trained_again(tmp_path):
    grid = PRODUCTS | {"calls": [str(tmp_path / "calls")]}
    expected = sweep(train_product, grid, DATA, out=tmp_path / "out")
    whole = lines(tmp_path / "out")
    (tmp_path / "out" / "results.jsonl").write_bytes(b"".join(whole[:-1]))
    (tmp_path / "calls").unlink()
    (tmp_path / "out" / ".sweep-data").mkdir()  # left by a killed sweep too
    assert_same(sweep(train_product, grid, DATA, out=tmp_path / "out"), expected)
    assert files(tmp_path / "out") == ["best.npz", "grid.json", "results.jsonl"]
    assert not (tmp_path / "calls").exists() and lines(tmp_path / "out") == whole


def test_a_best_shorter_run_keeps_its_parameters_when_the_longer_ones_line_is_damaged(tmp_path):
    grid = {"num_epochs": list(range(1, 101)), "learning_rate": [20.0, 1e-3], "reg": [0.2]}
    expected = sweep(train_softmax, grid, DATA, out=tmp_path)
    assert expected.best.setting["learning_rate"] == 20
    (damaged,) = [line for line in lines(tmp_path) if b'"diverged"' in line]
    (kept,) = [line for line in lines(tmp_path) if b'"learning_rate": 20.0' in line and line != damaged]
    (tmp_path / "results.jsonl").write_bytes(damaged[:-9] + b"\n" + kept)
    with pytest.warns(RuntimeWarning, match="1 damaged line"):
        assert_same(sweep(train_softmax, grid, DATA, out=tmp_path), expected)
    assert len(lines(tmp_path)) == 3


def test_best_npz_holds_the_parameters_under_their_names(tmp_path):
    def train(setting, data, seed):
        return {"val_acc": 1, "params": {"file": np.eye(2), "result.json": np.ones(1), "a/b": np.zeros(3)}}

    result = sweep(train, {"a": [1]}, DATA, out=tmp_path)
    assert result.best.params.keys() == {"file", "result.json", "a/b"}
    np.testing.assert_array_equal(result.best.params["file"], np.eye(2))


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"grid": PRODUCTS | {"a": [1, 2]}}, r"grid\['a'\]: \[1, 2, 3\] there, \[1, 2\] here"),
        ({"grid": PRODUCTS | {"c": [0]}}, r"grid\['c'\]: nothing there, \[0\] here"),
        ({"grid": [{"a": 1, "b": 1}]}, r"grid\['0'\]: nothing there"),
        ({"seed": 1}, "seed: 0 there, 1 here"),
        ({"data": DATA | {"y_val": 1 - DATA["y_val"]}}, r"data\['y_val'\]: int64 \(30,\)"),
    ],
)
def test_the_folder_of_another_sweep_is_refused(tmp_path, change, difference):
    sweep(train_product, PRODUCTS, DATA, out=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FileExistsError, match=difference):
        sweep(train_product, **({"grid": PRODUCTS, "data": DATA, "out": tmp_path} | change))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_understood_is_refused(tmp_path):
    (tmp_path / "results.jsonl").touch()
    with pytest.raises(FileExistsError, match=r"no grid\.json"):
        sweep(train_product, PRODUCTS, DATA, out=tmp_path)
    (tmp_path / "grid.json").write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        sweep(train_product, PRODUCTS, DATA, out=tmp_path)
    with pytest.raises(NotADirectoryError, match=r"out must be a folder.*grid\.json"):
        sweep(train_product, PRODUCTS, DATA, out=tmp_path / "grid.json")


@pytest.mark.parametrize("writes_before", range(8))
def test_a_full_disk_is_told_and_leaves_whole_files(tmp_path, monkeypatch, writes_before):
    fsync, left = os.fsync, iter(range(writes_before))

    def full(descriptor):
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        patch.setattr(files_module, "_sync_folder", lambda folder: None)
        with pytest.raises(OSError, match=r"No space left on device; it cannot be written.*out") as told:
            sweep(train_product, PRODUCTS, DATA, out=tmp_path / "out")
    assert told.value.errno == errno.ENOSPC
    assert set(files(tmp_path / "out")) <= {"best.npz", "grid.json", "results.jsonl"}
    if writes_before >= 2:  # the grid's file; then, for each of these settings, the best one's and a line
        assert len(lines(tmp_path / "out")) == (writes_before - 1) // 2
    assert_same(
        sweep(train_product, PRODUCTS, DATA, out=tmp_path / "out"), sweep(train_product, PRODUCTS, DATA)
    )


def test_a_line_that_does_not_fit_on_the_disk_is_taken_back(tmp_path):
    program = (
        "import resource, test_sweep as t, sys; from minigrad.sweep import sweep; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); "
        "sweep(t.train_product, t.PRODUCTS, t.DATA, out=sys.argv[1])"
    )
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(mg.__file__).parents[1])])
    ended = subprocess.run(
        [sys.executable, "-B", "-c", program, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert ended.returncode == 1 and "results.jsonl" in ended.stderr.splitlines()[-1]
    assert len(lines(tmp_path)) > 2 and all(line.endswith(b"}\n") for line in lines(tmp_path))
    assert_same(sweep(train_product, PRODUCTS, DATA, out=tmp_path), sweep(train_product, PRODUCTS, DATA))


# Bad input


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"grid": {}}, ValueError, "grid is empty"),
        ({"grid": []}, ValueError, "grid is empty"),
        ({"grid": "a"}, TypeError, "grid must be a mapping"),
        ({"grid": {"a": []}}, ValueError, r"grid\['a'\] is empty"),
        ({"grid": {"a": 1}}, TypeError, r"grid\['a'\] must be a list of values, got 1"),
        ({"grid": {"a": "xyz"}}, TypeError, r"grid\['a'\] must be a list"),
        ({"grid": {"a": [{1}]}}, TypeError, r"'a' has the value \{1\}, which JSON cannot hold"),
        ({"grid": {"a": [float("nan")]}}, TypeError, "'a' has the value nan"),
        ({"grid": {"a": [{0: 1.0, 1: 10.0}]}}, TypeError, r"'a' has the value \{0: 1.0.*keys in it.*got 0"),
        ({"grid": [{"a": [1, ({"b": {None: 1}},)]}]}, TypeError, "keys in it must be str, got None"),
        ({"grid": {"a": [nested(5000)]}}, TypeError, "'a' has the value .*which JSON cannot hold"),
        ({"grid": {1: [1]}}, TypeError, "names in a grid must be str, got 1"),
        ({"grid": [1]}, TypeError, "a setting must be a mapping"),
        ({"grid": [{}]}, TypeError, "a setting must be a mapping"),
        ({"grid": {"num_epochs": [0]}}, ValueError, "num_epochs must be an int >= 1, got 0"),
        ({"grid": {"num_epochs": [True]}}, TypeError, "num_epochs must be an int >= 1"),
        ({"grid": {"num_epochs": [1.5]}}, TypeError, "num_epochs must be an int >= 1"),
        ({"data": {}}, TypeError, "data must be a mapping"),
        ({"data": [1]}, TypeError, "data must be a mapping.*got list"),
        ({"data": {"X": [1]}}, TypeError, r"data\['X'\] must be an array of numbers, got list"),
        ({"data": {"X": np.array([None])}}, TypeError, r"data\['X'\].*got object"),
        ({"train": 1}, TypeError, "train must be a function"),
        ({"seed": -1}, ValueError, "seed must be an int >= 0, got -1"),
        ({"seed": 1.0}, TypeError, "seed must be an int >= 0"),
        ({"executor": 2}, TypeError, "executor must have submit"),
        (
            {"executor": SimpleNamespace(submit=fail), "train": lambda s, d, n: {}},
            TypeError,
            "train cannot be sent",
        ),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(tmp_path, change, error, message):
    arguments = {"train": train_product, "grid": PRODUCTS, "data": DATA, "out": tmp_path / "out"} | change
    with pytest.raises(error, match=message):
        sweep(**arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (None, r"train returned, for {'a': 1}, None; it must return a dict with 'val_acc'"),
        ({"accuracy": 1}, "must return a dict with 'val_acc'"),
        ({"val_acc": "0.5"}, "val_acc that must be a number, got '0.5'"),
        ({"val_acc": float("nan")}, "val_acc that must be finite, got nan"),
        ({"val_acc": True}, "val_acc that must be a number, got True"),
        ({"val_acc": 1, "history": [1]}, "a history that is not a dict of lists of numbers"),
        ({"val_acc": 1, "history": {"loss": "low"}}, "a history that is not"),
        ({"val_acc": 1, "history": {"loss": ["low"]}}, "a history that is not"),
        ({"val_acc": 1, "params": {"W": [1.0]}}, r"params\['W'\] of type list"),
        ({"val_acc": 1, "diverged_at_epoch": 0}, "diverged_at_epoch that must be an int >= 1, got 0"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path, record, message):
    with pytest.raises((TypeError, ValueError), match=message):
        sweep(lambda setting, data, seed: record, {"a": [1]}, DATA, out=tmp_path)
    assert files(tmp_path) == ["grid.json"]


def test_an_executor_needs_threadpoolctl(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[sweep\]"'):
        sweep(train_product, PRODUCTS, DATA, SimpleNamespace(submit=fail))
    assert sweep(train_product, PRODUCTS, DATA).best.val_acc == 12


# The table and the bar


def test_table_as_text_and_csv(tmp_path):
    table = sweep(train_product, {"a": [0.1, 3], "b": [1 / 3, "diverge"]}, DATA).table()
    assert table.columns == ["a", "b", "val_acc", "status", "diverged_at_epoch", "from", "error"]
    header, first, *_ = str(table).splitlines()
    assert header.split() == table.columns and first.split() == ["3", "0.333333", "1", "finished"]
    table.to_csv(tmp_path / "table.csv")
    with open(tmp_path / "table.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [table.columns, *([("" if v is None else str(v)) for v in row] for row in table.rows)]
    with pytest.raises(OSError, match="nowhere"):
        table.to_csv(tmp_path / "nowhere" / "table.csv")


def test_table_as_data_frame(monkeypatch):
    table = sweep(train_product, {"a": [1], "b": [2]}, DATA).table()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        table.to_dataframe()
    frame = SimpleNamespace(DataFrame=lambda rows, columns: (rows, columns))
    monkeypatch.setitem(sys.modules, "pandas", frame)
    assert table.to_dataframe() == (table.rows, table.columns)


def test_the_bar_shows_the_best_so_far(capsys):
    sweep(train_product, PRODUCTS, DATA, progress=True)
    assert "12/12" in (shown := capsys.readouterr().err) and "best val acc 12.0000" in shown
    sweep(train_product, PRODUCTS, DATA)
    assert capsys.readouterr() == ("", "")


# Random search


@given(
    low=st.floats(1e-8, 1e3), ratio=st.floats(1.001, 1e6), seed=st.integers(0, 2**32), n=st.integers(1, 20)
)
def test_choices_are_in_their_ranges_and_fewer_are_the_first(low, ratio, seed, n):
    space = {"a": log_uniform(low, low * ratio), "b": uniform(-low, low), "c": ["x", "y"]}
    settings = choices(20, space, seed)
    for setting in settings:
        assert list(setting) == ["a", "b", "c"] and [type(value) for value in setting.values()] == [
            float,
            float,
            str,
        ]
        assert low <= setting["a"] <= low * ratio and -low <= setting["b"] <= low and setting["c"] in "xy"
    assert choices(n, space, seed) == settings[:n]


def test_choices_have_their_distributions():
    settings = choices(
        4000, {"a": log_uniform(1e-6, 1e2), "b": uniform(-1, 3), "c": [1, 2, 4], "d": lambda rng: 7}
    )
    quartiles = [0.25, 0.5, 0.75]
    np.testing.assert_allclose(
        np.quantile([np.log10(s["a"]) for s in settings], quartiles), [-4, -2, 0], atol=0.3
    )
    np.testing.assert_allclose(np.quantile([s["b"] for s in settings], quartiles), [0, 1, 2], atol=0.15)
    counts = np.unique([s["c"] for s in settings], return_counts=True)[1]
    np.testing.assert_allclose(counts / 4000, 1 / 3, atol=0.03)
    assert all(s["d"] == 7 for s in settings)


def test_choices_are_swept():
    settings = choices(6, {"a": uniform(0, 1), "b": [2]}, seed=3)
    result = sweep(train_product, settings, DATA)
    assert result.best.val_acc == max(2 * setting["a"] for setting in settings)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: choices(0, {"a": [1]}), ValueError, "n must be an int >= 1, got 0"),
        (lambda: choices(2, {}), TypeError, "space must be a mapping"),
        (lambda: choices(2, {"a": []}), ValueError, r"space\['a'\] is empty"),
        (
            lambda: choices(2, {"a": ("uniform", 0, 1)}),
            TypeError,
            r"space\['a'\] must be uniform\(low, high\)",
        ),
        (lambda: uniform(1, 1), ValueError, "uniform needs low < high, got low=1"),
        (lambda: uniform(0, float("inf")), ValueError, "high must be finite, got inf"),
        (lambda: log_uniform(0, 1), ValueError, "log_uniform: low must be in .0, inf., got 0"),
    ],
)
def test_bad_spaces_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
