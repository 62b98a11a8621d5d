"""Arrays and generators that a compiled function reads from outside are fetched in each call, as if they were given."""

import copy
import threading
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.compiler.where import JitError


class Net:
    """A layer as people write one: its weights, momentum, random numbers and what it remembers are its own."""

    def __init__(self):
        self.W, self.b = np.ones((3, 2)), [np.zeros(2), np.ones(2)]
        self.rng, self.momentum, self.hidden = np.random.default_rng(0), {"W": np.zeros((3, 2))}, None
        self.pair = (np.ones(2), 3.0)

    def forward(self, x):
        self.hidden = x @ self.W + self.b[0] * self.pair[0] * self.pair[1]
        return np.tanh(self.hidden) * (self.rng.random(self.hidden.shape) < 0.5)

    def in_place(self, x):
        out = self.forward(x)
        self.momentum["W"] *= 0.9
        self.momentum["W"] += x.T @ out
        self.W -= 0.1 * self.momentum["W"]
        self.b[1][...] = out[0]
        return np.sum(out)

    def rebound(self, x):
        out = self.forward(x)
        self.momentum["W"] = 0.9 * self.momentum["W"] + x.T @ out
        self.W = self.W - 0.1 * self.momentum["W"]
        self.b[0] = self.b[0] + self.b[1]
        return np.sum(out)

    def evaluated(self, x):
        return np.sum(self.W * 2) + np.sum(self.b[1]) + x


def state(net):
    found = [
        net.W,
        *net.b,
        net.momentum["W"],
        np.float64(net.rng.bit_generator.state["state"]["state"] % 997),
    ]
    return found if net.hidden is None else [*found, net.hidden]


def same(one, other):
    for x, y in zip(one, other, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)


@given(st.data())
def test_a_nets_own_state_is_that_of_the_same_calls_as_written(data):
    nets = Net(), Net()
    compiled = {name: mg.jit(getattr(nets[1], name)) for name in ("in_place", "rebound", "evaluated")}
    known = set()
    for _ in range(data.draw(st.integers(2, 6))):
        do = data.draw(st.sampled_from([*compiled, "change", "replace", "reseed"]))
        rows = data.draw(st.integers(1, 2))
        if do in compiled:
            x = np.linspace(-1, 1, 3 * rows).reshape(rows, 3)
            np.testing.assert_allclose(compiled[do](x), getattr(nets[0], do)(x), rtol=1e-12)
            known.add((do, rows))
        for net in nets:
            if do == "change":
                net.W[0] += 0.5
                net.b[1][1] = 2.0
            elif do == "replace":
                net.W, net.momentum["W"] = net.W * 0.5, np.ones((3, 2))
                net.pair = (net.pair[0] * 2, 3.0)
            elif do == "reseed":
                net.rng = np.random.default_rng(rows)
        same(state(nets[1]), state(nets[0]))
    assert sum(each.cache_info().misses for each in compiled.values()) == len(known)


W, LABELS = np.arange(6.0).reshape(3, 2), np.array([1, 0, 1])


def loss_of_globals(x):
    scores = x @ W
    return -np.mean(scores[np.arange(len(LABELS)), LABELS]) + 0.1 * np.sum(W * W)


@pytest.mark.parametrize("transformed", [lambda f: f, mg.grad, lambda f: mg.grad(lambda x: mg.jit(f)(x))])
def test_globals_are_read_in_each_call(monkeypatch, transformed):
    step, x = mg.jit(transformed(loss_of_globals)), np.ones((3, 3))
    monkeypatch.setitem(globals(), "W", W.copy())
    for _ in range(3):
        np.testing.assert_allclose(step(x), transformed(loss_of_globals)(x), rtol=1e-12)
        W[1] += 1.0
        np.testing.assert_allclose(step(x), transformed(loss_of_globals)(x), rtol=1e-12)
        monkeypatch.setitem(globals(), "W", W * 2)
    assert step.cache_info().misses == 1
    monkeypatch.setitem(globals(), "W", W.astype(np.float32)[:, [0, 1]])
    np.testing.assert_allclose(step(x), transformed(loss_of_globals)(x), rtol=1e-6)
    assert step.cache_info().misses == 2
    assert "W" in step.source


def test_numpys_floats_are_too():
    one, other = (
        types.SimpleNamespace(
            w=np.ones(2), mean=np.float64(1), rate=[np.float32(0.5)], best=np.float64(np.inf)
        )
        for _ in range(2)
    )

    def f(net, x):
        net.w -= net.rate[0] * x
        net.mean = 0.9 * net.mean + 0.1 * np.sum(x)
        net.best = np.minimum(net.best, net.mean)
        return net.mean * x

    step = mg.jit(lambda x: f(one, x))
    for x in (np.full(2, 2.0), np.full(2, -3.0), np.ones(2)):
        np.testing.assert_allclose(step(x), f(other, x), rtol=1e-15)
        np.testing.assert_allclose(one.w, other.w, rtol=1e-15)
        assert type(one.mean) is type(other.mean) and type(one.best) is type(other.best)
        np.testing.assert_allclose([one.mean, one.best], [other.mean, other.best], rtol=1e-15)
        for net in (one, other):
            net.rate[0] *= np.float32(0.5)
    assert step.cache_info().misses == 1


@pytest.mark.parametrize(
    "decide", [lambda rate: rate > 1, lambda rate: rate in {np.float64(2)}, lambda rate: f"{rate:.0f}" == "2"]
)
def test_floats_that_decide_are_compared_beside_state_in_arrays(decide):
    one, other = (types.SimpleNamespace(w=np.ones(2), rate=np.float64(1)) for _ in range(2))

    def f(net, x):
        net.w += x if decide(net.rate) else -x
        return net.w * net.rate

    step, x = mg.jit(lambda x: f(one, x)), np.ones(2)
    for rate in (1, 1, 2, 2, 1):
        one.rate = other.rate = np.float64(rate)
        np.testing.assert_array_equal(step(x), f(other, x))
    assert step.cache_info().misses == 2


def test_closures_defaults_keyword_defaults_and_tuples_are_too():
    offset, data, first, second = np.ones(2), (np.arange(2.0), 2.0, "name"), np.full(2, 3.0), np.zeros(2)

    def f(x, w=first, *, b=second):
        return x * w + b - offset * data[0]

    step = mg.jit(lambda x: f(x))
    for _ in range(3):
        np.testing.assert_array_equal(step(np.ones(2)), f(np.ones(2)))
        offset += 1
        data[0][...] += 1
        f.__defaults__[0][...] *= 2
        f.__kwdefaults__["b"][...] -= 1
    assert step.cache_info().misses == 1


def test_places_that_have_one_array_have_one_in_the_program():
    net = types.SimpleNamespace(w=np.ones(2))
    net.same = net.w

    def f(x):
        net.w += x
        return net.same * 2

    step, x = mg.jit(f), np.arange(2.0)
    np.testing.assert_array_equal(step(x), 2 * (1 + x))
    np.testing.assert_array_equal(step(x), 2 * (1 + 2 * x))
    net.same = np.zeros(2)
    np.testing.assert_array_equal(step(x), [0, 0])
    np.testing.assert_array_equal(net.w, 1 + 3 * x)
    net.same = net.w[:]
    with pytest.raises(ValueError, match="shares its memory with another argument"):
        step(x)
    np.testing.assert_array_equal(net.w, 1 + 3 * x)


def test_keywords_and_arrays_outside_are_told_apart():
    w, b, one = np.ones(2), np.zeros(2), np.float64(1)

    @mg.jit
    def f(x, *, y, z=one):
        return (x - 2 * y) * z + 3 * w - 4 * b

    for x in (np.ones(2), np.full(2, 2.0)):
        for _ in range(2):
            np.testing.assert_array_equal(f(x, y=x * 5, z=np.float64(7)), (x - 10 * x) * 7 + 3 * w - 4 * b)
            w += 1
            b += 10
    assert f.cache_info().misses == 1


def test_an_array_outside_may_be_an_argument_as_well():
    w = np.ones(2)

    def read(x):
        return x * w

    def write(x):
        w[...] = w + x
        return x * 2

    np.testing.assert_array_equal(mg.jit(read)(w), [1, 1])
    with pytest.raises(ValueError, match="shares its memory"):
        mg.jit(write)(w)
    np.testing.assert_array_equal(w, [1, 1])


def test_an_array_that_is_read_only_is_not_written_to():
    net = types.SimpleNamespace(w=np.ones(2))
    net.w.flags.writeable = False

    def f(x):
        net.w[0] = 1.0
        return x

    with pytest.raises(ValueError, match="read-only"):
        mg.jit(f)(np.ones(2))


def test_indices_masks_and_numbers_that_are_read_from_arrays_are_compared():
    kept = types.SimpleNamespace(index=np.array([1, 0]), mask=np.array([True, False, True]), scale=np.ones(2))

    def f(x):
        rows = [x[int(i)] for i in kept.index]
        return np.stack(rows), x[kept.mask] * kept.scale, x * float(kept.scale[0])

    step, x = mg.jit(f), np.arange(6.0).reshape(3, 2)
    for change in (
        lambda: None,
        lambda: kept.index.fill(2),
        lambda: kept.mask.fill(True),
        lambda: kept.scale.fill(5),
    ):
        change()
        for _ in range(2):
            same(step(x), f(x))
    assert step.cache_info().misses == 4


def test_what_is_returned_and_left_elsewhere_is_as_written():
    one, other = (types.SimpleNamespace(w=np.ones(2), last=None, log=[0]) for _ in range(2))

    def f(net, x):
        net.last = net.w
        net.w = x * net.w
        net.log[0] = net.last
        return net.last, net.w

    step = mg.jit(lambda x: f(one, x))
    for x in (np.full(2, 2.0), np.full(2, 3.0)):
        same(step(x), f(other, x))
        same([one.w, one.last, one.log[0]], [other.w, other.last, other.log[0]])
        assert one.last is one.log[0]


def test_what_fails_leaves_all_as_it_was():
    net = Net()
    before = copy.deepcopy(net)

    def f(x):
        net.in_place(x)
        net.W = net.W * 2
        raise KeyError("no")

    for _ in range(2):
        with pytest.raises(KeyError):
            mg.jit(f)(np.ones((1, 3)))
        same(state(net), state(before))
        assert type(net.W) is type(net.pair[0]) is np.ndarray


def test_while_another_thread_runs_nothing_stands_in_its_arrays_places():
    net, over, kinds = Net(), threading.Event(), set()

    def watch():
        while not over.is_set():
            kinds.add(type(net.W))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        for x in (1.0, 2.0):
            np.testing.assert_allclose(mg.jit(net.evaluated)(np.float64(x)), 14 + x)
    finally:
        over.set()
        thread.join()
    assert kinds == {np.ndarray}


def test_a_generator_outside_that_cannot_be_fetched_is_refused_as_before():
    rng = np.random.RandomState(0)
    with pytest.raises(JitError, match="a random generator too"):
        mg.jit(lambda x: x * rng.rand(2))(np.ones(2))


class Adam:
    """Adam as people write it, its counter a number or an array."""

    def __init__(self, w, t):
        self.w, self.m, self.v, self.t = w, np.zeros_like(w), np.zeros_like(w), t

    def step(self, dw):
        self.t += 1
        self.m = 0.9 * self.m + 0.1 * dw
        self.v = 0.99 * self.v + 0.01 * dw**2
        self.w -= 0.1 * (self.m / (1 - 0.9**self.t)) / (np.sqrt(self.v / (1 - 0.99**self.t)) + 1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_counter_may_be_an_array(dtype):
    one, other = (Adam(np.ones(3, dtype), np.zeros((), dtype)) for _ in range(2))
    step, dw = mg.jit(one.step), np.arange(3, dtype=dtype)
    for _ in range(4):
        step(dw)
        other.step(dw)
    assert one.w.dtype == one.m.dtype == one.t.dtype == dtype and one.t == 4
    same([one.w, one.m, one.v], [other.w, other.m, other.v])
    assert step.cache_info().misses == 1
    with pytest.raises(
        JitError, match=r"step changes t, which it reads.* keep it in an array, np\.zeros\(\(\), np\."
    ):
        mg.jit(Adam(np.ones(3, dtype), 0).step)(dw)
