"""Entries of arguments that a compiled function sets, adds or deletes are those that it does as it is written."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg

KEYS = st.sampled_from("abc")
VALUES = st.sampled_from(["x", "2 * x", "x.sum()", "1", "None", "{'w': x * 3}", "[x, 5]"])
STEPS = st.one_of(
    st.builds("d['{}'] = {}".format, KEYS, VALUES),
    st.builds("d.pop('{}', None)".format, KEYS),
    st.builds("d['inner']['{}'] = {}".format, KEYS, VALUES),
    st.builds("d['l'].append({})".format, VALUES),
    st.builds("d['l'].insert(0, {})".format, VALUES),
    st.builds("d['l'][-1] = {}".format, VALUES),
    st.just("d['l'].pop()"),
    st.just("d['n'] += 1"),
    st.just("d['y'] *= 2"),
    st.just("d['y'] = d['y'] + x"),
    st.just("d.setdefault('rate', 0.5)"),
)


def arguments():
    return {"n": 0, "y": np.ones(2), "l": [np.zeros(2), 3.0], "inner": {}, "a": np.full(2, 7.0)}


def same(x, y):
    if isinstance(x, dict):
        return list(x) == list(y) and all(same(x[key], y[key]) for key in x)
    if isinstance(x, list):
        return len(x) == len(y) and all(map(same, x, y))
    return np.array_equal(x, y) and np.asarray(x).dtype == np.asarray(y).dtype


@given(st.lists(STEPS, min_size=1, max_size=4))
def test_arguments_end_as_they_do_without_jit(steps):
    source = "\n    ".join(["def f(x, d):", *steps, "return x.sum() + np.sum(d['y']) + d['n']"])
    namespace = {"np": np}
    exec(source, namespace)
    f, g = namespace["f"], mg.jit(namespace["f"])
    ours, theirs = arguments(), arguments()
    for i in range(3):
        x = np.array([1.0, 2.0]) + i
        wanted = outcome(f, x, theirs)
        assert outcome(g, x, ours) == wanted
        if wanted != "IndexError":
            assert same(ours, theirs), (ours, theirs)


def outcome(f, *args):
    """The result, or the error of a list that is empty, of which no more is asked."""
    try:
        return float(f(*args))
    except IndexError:
        return "IndexError"


def test_a_layers_running_mean_is_kept_in_the_dict_that_it_is_given():
    def loss(w, x, bn):
        h = x * w
        bn["mean"] = 0.9 * bn.get("mean", np.zeros(2)) + 0.1 * h.mean(axis=0)
        return np.sum(h**2)

    states = {}, {}
    step = mg.jit(mg.value_and_grad(loss))
    for i in range(4):
        args = np.ones(2) * i, np.arange(6.0).reshape(3, 2)
        step(*args, states[0])
        loss(*args, states[1])
        np.testing.assert_allclose(states[0]["mean"], states[1]["mean"], rtol=1e-15)
    assert step.cache_info().misses == 2  # without the entry, and with it


def test_a_counter_in_an_argument_counts():
    def corrected(x, state):
        state["t"] += 1
        return x / (1 - 0.9 ** state["t"])

    state, f = {"t": 0}, mg.jit(corrected)
    for t in range(1, 4):
        np.testing.assert_allclose(f(np.ones(1), state), 1 / (1 - 0.9**t))
        assert state == {"t": t}


@mg.register_container
@dataclass
class Pair:
    """A registered container."""

    first: np.ndarray
    inner: dict


def test_attributes_of_a_container_are_not_set_and_its_dicts_are():
    def fills(p):
        p.inner["sum"] = p.first.sum()
        return p.first

    def sets(p):
        p.first = p.first * 2
        return p.first

    p = Pair(np.ones(3), {})
    mg.jit(fills)(p)
    assert p.inner == {"sum": 3.0}
    with pytest.raises(mg.JitError, match="sets sets an attribute of a Pair, its argument; return a new one"):
        mg.jit(sets)(p)
    assert same(copy.copy(p.first), np.ones(3))


def replaces(d):
    inner = d["a"]
    inner["x"] = inner["x"] * 2
    d["a"] = {"x": inner["x"] * 10}


def inserts(d):
    d["l"].insert(0, {"x": d["a"]["x"] * 0})
    d["l"][1]["x"] = d["l"][1]["x"] * 5


def turns(d):
    d["l"].append(d["l"].pop(0))
    d["l"][0]["n"] = d["a"]["x"].sum()


def pops(d):
    d["l"].pop(0)
    d["l"][0]["x"] = d["a"]["x"] + 1


def moves(d):
    d["before"], d["a"] = d["a"], {"x": d["a"]["x"] + 1}
    d["before"]["seen"] = True


@pytest.mark.parametrize("f", [replaces, inserts, turns, pops, moves])
def test_containers_that_are_replaced_and_moved(f):
    def state():
        return {
            "a": {"x": np.array([1.0, 2.0])},
            "l": [{"x": np.ones(2)}, {"x": np.zeros(2)}, {"x": np.ones(1)}],
        }

    ours, theirs, g = state(), state(), mg.jit(f)
    kept, inside = ours["l"], list(ours["l"])
    for _ in range(2):
        g(ours)
        f(theirs)
        assert same(ours, theirs), (ours, theirs)
    assert ours["l"] is kept and any(each is ours["l"][-1] for each in inside)


def test_a_dict_that_is_given_twice_and_changed_is_refused():
    def f(a, b):
        a["x"] = a["x"] + 1
        return b["x"] * 2

    d = {"x": np.ones(1)}
    with pytest.raises(mg.JitError, match="in which one dict or list is given twice; give a copy"):
        mg.jit(f)(d, d)
    np.testing.assert_array_equal(d["x"], 1)
