import json
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import __main__ as command
from benchmarks import (
    calls,
    chain,
    chart,
    compare,
    grid,
    growth,
    layers,
    measure,
    memory,
    peers,
    recurrent,
    report,
    rewrites,
    start,
    steps,
)
from benchmarks.contestants import CONTESTANTS, hand, jit_plain, objective, preallocated
from benchmarks.problem import Contestant, check_agreement, make_problem
from minigrad.compiler.rewriting import rewrites as compiler_rewrites
from minigrad.datasets import load_digits
from minigrad.gradient_check import eval_numerical_gradient
from minigrad.rules.table import OPS
from minigrad.solver import Solver
from models import hand_written
from models.sweep_command import GRIDS

TINY = (4, (8, 8))
DTYPES = ["float32", "float64"]
WITH_PARAMETERS = [name for name in CONTESTANTS if name != "floor"]


@pytest.fixture
def no_peers(monkeypatch):
    monkeypatch.setattr(peers, "PEERS", {})
    monkeypatch.setattr(chain, "PEERS", {})
    peers.missing.cache_clear()
    yield
    peers.missing.cache_clear()


# The training step


@given(
    n=st.integers(1, 6),
    dims=st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple),
    dtype=st.sampled_from(DTYPES),
    loss=st.sampled_from(["softmax", "svm"]),
)
def test_all_contestants_take_the_same_step(n, dims, dtype, loss):
    problem = make_problem(n, dims, dtype, loss)
    made = {name: make(problem) for name, make in CONTESTANTS.items()}
    if len(dims) > 2:  # behind units that are all 0, np.maximum has ties, whose gradient it shares
        del made["jit plain"]
    check_agreement(problem, made)
    for name, contestant in made.items():
        if contestant.params is None:
            continue
        assert {w.dtype for w in contestant.params().values()} == {np.dtype(dtype)}
        assert contestant.params().keys() == problem.params.keys(), name
    assert problem.params["W1"].tobytes() == make_problem(n, dims, dtype, loss).params["W1"].tobytes()


@pytest.mark.parametrize("name", WITH_PARAMETERS)
@pytest.mark.parametrize("loss", ["softmax", "svm"])
def test_a_contestant_learns_and_stays_with_the_hand_written_one(name, loss):
    problem = make_problem(*TINY, "float64", loss)._replace(learning_rate=0.1)
    by_hand, contestant = hand(problem), CONTESTANTS[name](problem)
    losses = [(float(by_hand.step()), float(contestant.step())) for _ in range(20)]
    assert np.allclose(*np.transpose(losses), rtol=1e-9, atol=0)
    assert losses[-1][1] < 0.8 * losses[0][1]


def test_the_hand_written_step_moves_by_the_numerical_gradient():
    problem = make_problem(3, (4, 3, 3), "float64", "svm")
    loss = objective(problem)
    contestant, params = hand(problem), problem.copy_params()
    before = float(contestant.step())
    assert before == pytest.approx(float(loss(problem.params, problem.X, problem.y)))
    numerical = eval_numerical_gradient(lambda _: float(loss(params, problem.X, problem.y)), params["W2"])
    moved = problem.params["W2"] - contestant.params()["W2"]
    assert np.allclose(moved, problem.learning_rate * numerical, atol=1e-9)


@pytest.mark.parametrize("wrong", [1 + 1e-8, np.nan])
@pytest.mark.parametrize("what", ["W1", "b2", "the loss"])
def test_a_contestant_with_another_gradient_or_loss_is_refused(monkeypatch, no_peers, wrong, what):
    def liar(problem):
        step, params = hand(problem)
        factors = {name: wrong if name == what else 1 for name in problem.params}

        def moved():
            return {
                name: problem.params[name] + factors[name] * (w - problem.params[name])
                for name, w in params().items()
            }

        return Contestant(lambda: step() * (wrong if what == "the loss" else 1), moved)

    monkeypatch.setitem(CONTESTANTS, "liar", liar)
    with pytest.raises(ArithmeticError, match=f"liar and hand disagree on {what}"):
        steps.training_step(*TINY, "float64")


def test_a_preallocated_step_allocates_no_array_of_the_nets_size():
    problem = make_problem(200, (400, 200), "float64")
    buffers = 70_000  # NumPy's own, where it adds the bias to every row
    assert memory.allocated(preallocated(problem).step) < buffers < 200 * 200 * 8
    assert memory.allocated(hand(problem).step) > 400 * 100 * 8


def test_the_cases_of_the_step_are_compared_with_the_yardsticks(no_peers):
    case = steps.training_step(4, (8, 8, 8), "float32", "svm")
    assert case.name == "step, N=4, 8-8-8-10, svm, float32"
    assert list(case.steps) == list(CONTESTANTS)
    assert set(case.against) < set(case.steps)


# Peers


def test_every_peer_that_is_installed_takes_the_same_step():
    for loss in ("softmax", "svm"):
        for dtype in DTYPES:
            problem = make_problem(4, (8, 8, 8), dtype, loss)
            made = {name: make(problem) for name, make in peers.present().items()}
            check_agreement(problem, {"hand": hand(problem), **made})


def test_a_peer_that_cannot_take_part_is_told_with_the_reason(monkeypatch, no_peers):
    def absent(problem):
        raise ImportError

    def unable(problem):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(peers, "PEERS", {"absent": absent, "unable": unable, "able": hand})
    assert peers.missing() == {"absent": "not installed", "unable": "no compiler"}
    assert peers.present() == {"able": hand}


# The chain, growth and the start


def test_everyone_in_the_chain_finds_its_gradient():
    case = chain.chain(
        5, chain.OWN | {name: chain.PEERS[name] for name in chain.PEERS.keys() & peers.present()}
    )
    assert case.operations == 5
    for step in case.steps.values():
        assert np.allclose(step(), 1.0001**5, rtol=1e-14)


def test_another_gradient_of_the_chain_is_refused():
    with pytest.raises(ArithmeticError, match="liar and floor disagree"):
        chain.chain(5, {"floor": chain.floor, "liar": lambda length: lambda: np.full(4, 1.0001**4)})


def test_growth_is_given_for_one_operation_example_and_unit(monkeypatch):
    monkeypatch.setattr(growth, "OPS", [2, 4])
    monkeypatch.setattr(growth, "LONGEST_CAPTURE", 3)
    monkeypatch.setattr(growth, "BATCHES", [3])
    monkeypatch.setattr(growth, "HIDDEN", [5])
    two, four, batch, hidden = growth.cases()
    assert [case.operations for case in (two, four, batch, hidden)] == [2, 4, 3, 5]
    assert list(two.steps) == list(chain.OWN)
    assert "jit" not in four.steps
    assert list(batch.steps) == list(hidden.steps) == list(CONTESTANTS)


def test_the_imports_and_the_first_steps_succeed(no_peers):
    imports, first = start.cases()
    assert all(step().returncode == 0 for step in imports.steps.values())
    assert list(imports.steps) == ["numpy", "minigrad"]
    assert set(first.steps) == {name for name in CONTESTANTS if name.startswith(("tape", "jit"))}
    assert all(np.isfinite(float(step())) for step in first.steps.values())


# Measuring


def test_contestants_take_one_turn_a_round_in_orders_that_differ(monkeypatch):
    monkeypatch.setattr(measure, "warm_up", lambda step: 1)
    called = []
    case = measure.Case("a case", {name: partial(called.append, name) for name in "ABC"}, ())
    samples = measure.run(case, seconds=0)
    turns = ["".join(called[i : i + 6 : 2]) for i in range(0, len(called), 6)]  # a call before each sample
    assert len(turns) == measure.LEAST_ROUNDS
    assert {"".join(sorted(turn)) for turn in turns} == {"ABC"}
    assert len(set(turns)) > 1
    assert {name: times.shape for name, times in samples.items()} == dict.fromkeys(
        "ABC", (2, measure.LEAST_ROUNDS)
    )


def test_fast_steps_are_repeated_within_a_sample():
    assert measure.warm_up(lambda: None) > 100


def test_figures_are_per_operation_and_ratios_within_rounds(monkeypatch):
    times = {
        "floor": np.array([[1e6, 2e6, 4e6], [1e6, 1e6, 1e6]]),
        "tape": np.array([[3e6, 2e6, 8e6], [6e6, 4e6, 5e6]]),
    }
    monkeypatch.setattr(measure, "run", lambda case, seconds: times)
    case = measure.Case("a case", dict.fromkeys(times, lambda: None), ("floor",), operations=1000)
    ratio = {"median": 2.0, "quartiles": [1.5, 2.5]}
    tape = {"median": 3.0, "quartiles": [2.5, 5.5], "processor": 5.0, "ratios": {"floor": ratio}}
    figures = measure.measure(case, seconds=0)
    assert figures["rounds"] == 3
    assert figures["contestants"]["tape"] == tape
    assert report.table(figures).splitlines() == [
        "a case (3 rounds)",
        "µs                  median         25 %         75 %    processor      × floor",
        "floor                 2.00         1.50         3.00         1.00         1.00",
        "tape                  3.00         2.50         5.50         5.00         2.00",
    ]


def test_memory_is_counted_while_a_step_holds_it():
    kept = []
    assert 80_000 <= memory.allocated(lambda: np.ones(10_000).sum()) < 90_000
    assert 80_000 <= memory.allocated(lambda: kept.append(np.ones(10_000))) < 90_000


def test_memory_is_measured_in_a_process_of_its_own():
    found = memory.in_a_process("hand", 50, (400, 100), 20)
    assert found["peak"] > 0
    assert found["step"] > 400 * 100 * 4
    text = memory.table(
        {"case": "a case", "contestants": {"hand": found | {"step": 2048}, "other": found | {"step": None}}}
    )
    assert text.splitlines()[2].split()[-1] == "2"
    assert len(text.splitlines()[3].split()) == 3


# Calls


def test_a_call_of_every_function_with_a_rule_can_be_timed(monkeypatch):
    for function in OPS:
        if OPS[function].inputs is None:  # a rule of one's own
            continue
        steps = calls.steps(function)
        assert list(steps)[:4] == ["x + y", "x + y on tensors", "numpy", "tensors"]
        for ours, theirs in [("x + y on tensors", "x + y"), ("tensors", "numpy")]:
            expected = calls.first(steps[theirs]())
            found = calls.first(steps[ours]())
            np.testing.assert_allclose(getattr(found, "data", found), expected, 1e-10)
    assert calls.call_of(np.multiply)[0][0].shape == calls.call_of(np.dot)[0][1].shape == (4, 4)


def test_what_a_call_adds_is_in_multiples_of_what_an_addition_adds(monkeypatch, capsys):
    times = {"x + y": 1.0, "x + y on tensors": 2.0, "numpy": 5.0, "tensors": 8.0, "and backward": 20.0}
    times = {name: np.full((2, 3), 1000 * time) for name, time in times.items()}
    monkeypatch.setattr(calls, "run", lambda case, seconds: times)
    assert calls.figures(np.sum, 0)["added"] == 3
    assert command.main(["calls", "np.sum", "np.exp"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["µs", "numpy", "tensors"]
    assert [line.split() for line in lines] == [
        [f"numpy.{name}", "5.00", "8.00", "3.00", "20.00"] for name in ("sum", "exp")
    ]
    with pytest.raises(SystemExit, match="2"):
        command.main(["calls", "np.sumo"])
    assert "'np.sumo' has no rule" in capsys.readouterr().err


# Recurrent nets and rewrites


def test_recurrent_nets_agree_with_their_backward_passes_by_hand(monkeypatch):
    monkeypatch.setattr(recurrent, "STEPS", 4)
    for case in recurrent.cases():
        assert list(case.steps) == ["hand", "tape", "jit"]
    monkeypatch.setattr(recurrent, "rnn_by_hand", lambda params, *data: (0.0, [2 * p for p in params]))
    with pytest.raises(ArithmeticError, match="disagree"):
        next(recurrent.cases())


def test_layers_agree_before_they_are_timed(monkeypatch, no_peers):
    monkeypatch.setattr(layers, "CONVOLUTIONS", [((2, 3, 4, 4), (2, 3, 3, 3))])
    monkeypatch.setattr(layers, "SIZES", (5, 5))
    monkeypatch.setattr(layers, "BATCH", 4)
    assert [list(case.steps) for case in layers.cases()] == [
        ["floor", "minigrad"],
        ["minigrad", "jit"],
        ["minigrad", "jit"],
        ["minigrad", "jit"],
        ["jit"],
    ]
    with pytest.raises(ArithmeticError, match="other and one disagree"):
        layers.case("wrong", {"one": lambda: [np.ones(3)], "other": lambda: [np.zeros(3)]})


def test_every_rewrite_is_left_out_once(monkeypatch):
    before = compiler_rewrites.PASSES
    sources = []
    make = partial(rewrites.net, jit_plain, (4, 8, 8))
    monkeypatch.setattr(
        rewrites, "made_and_called", lambda make: sources.append(compiler_rewrites.PASSES) or make
    )
    case = rewrites.case("tiny", make)
    assert len(case.steps) == 1 + len(compiler_rewrites.REWRITES) + len(rewrites.PATHS)
    left_out = [set(sum(map(tuple, before), ())) - set(sum(map(tuple, passes), ())) for passes in sources]
    assert left_out[0] == set()
    assert left_out[1:] == [{rewrite} for rewrite in compiler_rewrites.REWRITES] + [set()] * len(
        rewrites.PATHS
    )
    assert compiler_rewrites.PASSES is before


# The command


def test_the_command_prints_tables_and_writes_json(monkeypatch, capsys, tmp_path, no_peers):
    monkeypatch.setattr(measure, "LEAST_SAMPLE", 100_000)
    monkeypatch.setattr(peers, "PEERS", {"able": hand, "absent": __import__})
    monkeypatch.setattr(peers, "libraries", dict)
    groups = {
        "steps": lambda: [steps.training_step(*TINY, "float32")],
        "chain": lambda: [chain.chain(5, chain.OWN)],
    }
    monkeypatch.setattr(command, "GROUPS", groups)
    monkeypatch.setattr(memory, "figures", lambda: [])
    path = tmp_path / "figures.json"
    assert command.main(["steps", "chain", "memory", "--seconds", "0", "--json", str(path)]) == 0

    written = json.loads(path.read_text())
    assert written["numpy"] == np.__version__
    assert written["date"] and written["processors"] and written["blas"]
    step, chained = written["figures"]
    assert list(step["contestants"]) == [*CONTESTANTS, "able"]
    assert list(chained["contestants"]) == list(chain.OWN)
    for figures in (step, chained):
        assert figures["rounds"] >= measure.LEAST_ROUNDS
        for row in figures["contestants"].values():
            assert 0 < row["quartiles"][0] <= row["median"] <= row["quartiles"][1]
            assert all(ratio["median"] > 0 for ratio in row["ratios"].values())
    first, *tables = capsys.readouterr().out.split("\n", 1)
    assert first.startswith("absent takes no part: ")
    assert tables == ["\n\n".join([report.table(step), report.table(chained), ""])]


def test_groups_that_are_none_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["stepps"])
    assert "'stepps' is no group; expected steps, chain" in capsys.readouterr().err
    assert command.parse(["all"]).groups == [*command.GROUPS, "memory"]
    assert command.parse([]).groups == command.QUICK


def test_blas_is_named_without_threadpoolctl(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    (found,) = report.blas()
    assert set(found) == {"name", "version"}


# Comparing and drawing runs


def run_with(path, ratio, quartiles, name="tape"):
    row = {"median": 1.0, "ratios": {"floor": {"median": ratio, "quartiles": quartiles}}}
    path.write_text(json.dumps({"figures": [{"case": "a case", "contestants": {name: row}}]}))
    return str(path)


@pytest.mark.parametrize(
    ("ratio", "quartiles", "worse"),
    [
        (1.5, [1.4, 1.6], True),
        (1.5, [1.05, 1.9], False),  # within the noise of the two
        (1.09, [1.08, 1.1], False),  # by less than the tolerance
        (0.5, [0.4, 0.6], False),
    ],
)
def test_a_ratio_is_worse_beyond_the_tolerance_and_the_quartiles(capsys, tmp_path, ratio, quartiles, worse):
    old = run_with(tmp_path / "old.json", 1.0, [0.95, 1.06])
    new = run_with(tmp_path / "new.json", ratio, quartiles)
    assert compare.main([old, new]) == int(worse)
    printed = capsys.readouterr().out
    assert "a case: tape / floor" in printed
    assert f"\n{int(worse)} of 1 ratios worse" in printed


def test_runs_that_cannot_be_compared_are_refused(capsys, tmp_path):
    ours, theirs = run_with(tmp_path / "1", 1, [1, 1]), run_with(tmp_path / "2", 1, [1, 1], name="torch")
    (tmp_path / "3").write_text("[]")
    for other, message in [
        (theirs, "no ratio in common"),
        (str(tmp_path / "3"), "no file that"),
        ("none", "read"),
    ]:
        with pytest.raises(SystemExit, match="2"):
            compare.main([ours, other])
        assert message in capsys.readouterr().err


def test_the_chart_shows_every_contestant_of_every_size(tmp_path):
    def ratio(median):
        return {"ratios": {"hand": {"median": median, "quartiles": [median, median]}}}

    contestants = {"floor": ratio(0.3), "hand": ratio(1.0), "tape": ratio(0.64), "slow": ratio(12.34)}
    figures = [
        {"case": f"step, N={n}, {d}-{h}-10, softmax, float32", "contestants": contestants}
        for n, d, h in steps.SIZES
    ]
    path = tmp_path / "figures.json"
    path.write_text(json.dumps({"figures": figures}))
    assert chart.main([str(path), "--out", str(tmp_path / "chart.svg")]) == 0
    drawn = (tmp_path / "chart.svg").read_text()
    for text in ["floor", "tape", "slow", "0.64", "12.34", "200 × 3072, 500 hidden", "4 × 8, 8 hidden"]:
        assert f">{text}<" in drawn


def test_a_chart_without_steps_is_refused(capsys, tmp_path):
    with pytest.raises(SystemExit, match="2"):
        chart.main([run_with(tmp_path / "1", 1, [1, 1])])
    assert "no training step" in capsys.readouterr().err


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
