"""A few of ``python -m tests.trials``."""

from types import SimpleNamespace

import hostile
import numpy as np
import pytest
import trials


@pytest.mark.parametrize("name", trials.KILLS)
def test_whatever_is_killed_leaves_the_old_or_the_new(name):
    trials.KILLS[name](4, np.random.default_rng(1))


@pytest.mark.parametrize("name", hostile.READERS)
def test_what_is_damaged_is_refused_by_its_name(name):
    found = hostile.outcome(name, 15, seed=1)
    assert sum(found.values()) == 15


@pytest.mark.parametrize("name", trials.THREADS)
def test_threads_get_the_numbers_that_they_get_one_after_the_other(name):
    trials.concurrent(trials.THREADS[name], 30)


def test_a_writer_that_is_not_atomic_is_found():
    torn = trials.Writer(
        lambda folder, version: (folder / "history.jsonl").write_bytes(b'{"epoch": 0}\n' * version * 10**5),
        trials.read_history,
        {"history.jsonl"},
    )
    with pytest.raises((trials.Broken, ValueError)):
        trials.rewritten(torn, 50, np.random.default_rng(0))


def test_a_reader_that_believes_everything_is_found(monkeypatch):
    monkeypatch.setattr(hostile.checkpoint, "unpack", lambda content, name: ({}, b'{"dict": {}}'))
    believing = SimpleNamespace(sha256=lambda body: SimpleNamespace(hexdigest=str))
    monkeypatch.setattr(hostile.checkpoint, "hashlib", believing)
    with pytest.raises(trials.Broken):
        hostile.outcome("checkpoint", 15, seed=1)
