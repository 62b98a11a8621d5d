import json
import sys
from functools import partial

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import cases, measure, report

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
        "µs              median        25 %        75 %     × floor",
        "floor             2.00        1.50        3.00        1.00",
        "tape              3.00        2.50        5.50        2.00",
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
