"""Arrays and generators that a compiled function reads from outside are fetched in each call, as if they were given."""

import copy
import ctypes
import threading
import types
from typing import NamedTuple

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
        with pytest.raises(JitError, match="or call it first while no other thread is in Python code"):
            mg.jit(net.in_place)(np.ones((1, 3)))
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
    if dtype is np.float32:  # of which a number of NumPy's makes float64
        with pytest.raises(
            JitError, match=r"changes t, which it reads.* or keep it in an array, np\.zeros\(\(\)"
        ):
            mg.jit(Adam(np.ones(3, dtype), 0).step)(dw)


def follow(make, calls):
    """Call a function of some state and the compiled one, and compare results, the state and which places are one."""
    (one, f), (other, g) = make(), make()
    compiled = mg.jit(g)
    for each in calls:
        if callable(each):
            each(one)
            each(other)
            continue
        np.testing.assert_array_equal(compiled(each), f(each))
        places = [[*vars(net).values(), *getattr(net, "h", ())] for net in (one, other)]
        pictures = [
            [next(i for i, y in enumerate(every) if y is x) for x in every if type(x) is np.ndarray]
            for every in places
        ]
        assert pictures[0] == pictures[1]
        for x, y in zip(*places, strict=True):
            np.testing.assert_equal(y, x)
            assert type(y) is type(x)
    return compiled.cache_info().misses


X = np.arange(3.0)


def test_a_program_knows_which_places_have_one_array():
    def make():
        net = types.SimpleNamespace(h=[np.ones(3), None, np.full(3, 5.0)])
        net.h[1] = net.h[0]

        def f(x):
            net.h[0] += 1.0
            return net.h[1] * 10 + net.h[2] + np.sum(x)

        return net, f

    def first(net):
        net.h[1] = net.h[0]

    def last(net):
        net.h[1] = net.h[2]

    assert follow(make, [X, last, np.arange(4.0), first, np.arange(4.0), X, last, X, first, X]) == 4


def test_places_may_have_one_array_later():
    def make():
        net = types.SimpleNamespace(w=np.ones(3), b=np.zeros(3))

        def f(x):
            net.w += x
            return net.w + np.sum(net.b)

        return net, f

    def one(net):
        net.b = net.w

    def two(net):
        net.b = np.ones(3)

    assert follow(make, [X, two, X, one, X, two, X, one, X]) == 2


@pytest.mark.parametrize("first", [lambda: [None] * 3, lambda: [np.zeros(3)] * 3])
def test_what_moves_from_place_to_place_moves_in_each_call(first):
    def make():
        net = types.SimpleNamespace(w=np.ones(3), h=first())

        def f(x):
            net.h[2] = net.h[1]
            net.h[1] = net.h[0]
            net.h[0] = net.w
            net.w = net.w + x
            return x

        return net, f

    assert follow(make, [X] * 6) <= 3


def test_an_array_that_is_left_in_several_places_is_one():
    def make():
        net = types.SimpleNamespace(w=np.ones(3), a=np.zeros(3), b=None, c=None, h=[])

        def f(x):
            net.a = net.w
            net.w -= x
            net.b = net.c = x * net.w
            net.h = [net.b, net.b.copy(), net.w]
            return np.sum(net.a)

        return net, f

    def change(net):
        net.a += 1
        net.c += 1

    assert follow(make, [X, change, X, X, change, X]) == 1


def test_state_is_made_in_a_call_that_runs_as_written():
    def make():
        net = types.SimpleNamespace(velocity=None, mean=0, table={}, total=0.0, is_made=False, decay=0.5)
        rng = np.random.default_rng(0)

        def f(x):
            if not net.is_made:
                net.w, net.is_made = rng.normal(size=3) * x, True
            if net.velocity is None:
                net.velocity = np.zeros_like(x)
            for key in "ab":
                if key not in net.table:
                    net.table[key] = x * 2
                net.table[key] = net.table[key] + net.w
            net.velocity = 0.9 * net.velocity + x
            net.mean = 0.5 * net.mean + 0.5 * x
            net.total += np.sum(x)
            net.decay = np.sqrt(net.decay)
            return net.decay * net.velocity + net.mean + net.total + net.table["a"] + rng.random(3)

        return net, f

    assert follow(make, [X] * 5) == 1


def test_what_each_call_would_make_anew_is_refused():
    net = types.SimpleNamespace(t=0, velocity=None, losses=[])

    def counts(x):
        net.t += 1
        net.velocity = x if net.velocity is None else net.velocity + x
        return x / net.t if net.t % 3 else x

    def appends(x):
        net.losses.append(np.sum(x))
        return x

    for f in (counts, appends):
        with pytest.raises(JitError, match="changes"):
            mg.jit(f)(X)
    assert net.velocity is None


def test_numbers_of_numpy_are_fetched_unless_their_values_are_needed():
    def make():
        net = types.SimpleNamespace(
            w=np.ones(3), seen=np.int64(0), rate=np.float64(0.5), k=np.int64(2), limit=np.float64(1)
        )

        def f(x):
            net.seen = net.seen + len(x)
            net.w = net.w - net.rate * x
            if net.limit < 0.5:
                net.w = 2 * net.w
            return net.w + np.ones((net.k + 1, 3)) + net.seen

        return net, f

    def less(net):
        net.rate = net.rate * 0.5

    def limit(net):
        net.limit = net.limit * 0.25

    assert follow(make, [X, X, less, X, limit, X, less, X]) == 2


def test_a_number_of_numpy_may_be_a_key():
    net = types.SimpleNamespace(w=np.ones(3), k=np.int64(2), table={2: 1.0, 0: 5.0})
    step = mg.jit(lambda x: x * net.table[net.k])
    for net.k in (np.int64(2), np.int64(0)):
        np.testing.assert_array_equal(step(X), X * net.table[net.k])


def test_what_fails_draws_nothing():
    rng = np.random.default_rng(0)

    def draws(x):
        return x * np.random.rand(3)

    def fails(x):
        rng.random(3)
        raise KeyError("no")

    np.random.seed(0)
    for f, error in ((draws, JitError), (fails, KeyError)):
        with pytest.raises(error):
            mg.jit(f)(X)
    assert np.random.rand() == np.random.RandomState(0).rand()
    assert rng.random() == np.random.default_rng(0).random()


COUNT = 0


def test_counters_count():
    def make():
        net = types.SimpleNamespace(t=0, rate=0.5, m=[0, 0], v=None, t_2=0, last=None)
        calls = 0

        def f(x):
            global COUNT
            nonlocal calls
            COUNT += 1
            calls += 1
            net.t += 1
            net.rate *= 0.9
            if net.v is None:
                net.v = np.zeros_like(x)
            net.v = 0.9 * net.v + 0.1 * x
            for i in range(2):
                net.m[i] = 0.9 * net.m[i] + 0.1 * (x + i)
            net.last = net.v / (1 - 0.9**net.t) * net.rate
            return x * calls + net.last + net.m[1]

        return net, f

    def back(net):
        net.t = 0

    assert follow(make, [X, X, X, back, X, X]) == 1
    assert COUNT == 10


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.complex64])
def test_counters_are_refused_where_numpy_would_compute_otherwise(dtype):
    net = types.SimpleNamespace(t=1)

    def f(x):
        net.t += 1
        return x * net.t

    with pytest.raises(JitError, match="changes t"):
        mg.jit(f)(X.astype(dtype))
    assert net.t == 1

    def power(x):
        net.t += 1
        return x * 2**net.t

    with pytest.raises(JitError, match="changes t"):
        mg.jit(power)(X)
    net.t = True
    with pytest.raises(JitError, match="changes t"):
        mg.jit(f)(X)
    assert net.t is True


@pytest.mark.parametrize("first", [1 << 70, (1 << 62) - 2])
def test_counters_have_no_end(first):
    net, step = types.SimpleNamespace(t=first), None

    def f(x):
        net.t += 1
        return x * (net.t - first)

    step = mg.jit(f)
    for i in range(1, 5):
        np.testing.assert_array_equal(step(X), X * i)
        assert net.t == first + i


def test_state_that_changes_its_shape_and_dtype_is_compiled_for_each():
    def make():
        net = types.SimpleNamespace(w=np.ones(3), pair=(np.ones(3), 3.0))

        def f(x):
            net.w = np.concatenate([net.w, x]).astype(np.float32)
            net.pair = net.pair[0] * x, net.pair[1] + 1
            return np.mean(net.w) + net.pair[0] * net.pair[1]

        return net, f

    assert follow(make, [X] * 4) == 4


def test_an_array_outside_that_is_left_in_another_place_is_itself():
    def make():
        net = types.SimpleNamespace(w=np.ones(3), best=None, h=[np.zeros(3)] * 2)

        def f(x):
            net.best = net.w
            return x + net.h[1]

        return net, f

    def other(net):
        net.h[1] = np.ones(3)

    def change(net):
        net.w = net.w * 2

    assert follow(make, [X, other, X, change, X, X]) <= 4


def test_dicts_and_lists_of_arrays_may_be_replaced_as_a_whole():
    def make():
        params = {"w": np.ones(3), "layers": [(np.zeros(3), 2.0), (np.ones(3), 3.0)]}
        net = types.SimpleNamespace(params=params, same=params, h=[np.zeros(3), np.ones(3)], last=None)

        def loss(params, x):
            return np.sum((params["w"] * x + sum(b * k for b, k in params["layers"])) ** 2)

        def f(x):
            grads = mg.grad(lambda w: loss({**net.params, "w": w}, x))(net.params["w"])
            layers = [(b * 0.5 + x, k) for b, k in net.params["layers"]]
            net.last = net.params["w"]
            net.params = {"w": net.params["w"] - 0.01 * grads, "layers": layers}
            net.h = [*net.h[1:], net.params["w"]]
            return net.same["w"] + net.h[0]

        return net, f

    def again(net):
        net.same = net.params

    def change(net):
        net.params["w"] += 1.0
        net.params["layers"][0] = (np.ones(3), 2.0)

    assert follow(make, [X, X, change, X, X, X, again, X, X]) <= 4


def test_a_list_that_grows_is_refused():
    net = types.SimpleNamespace(h=[np.zeros(3)])

    def grows(x):
        net.h = [*net.h, x * net.h[0]]
        return x

    before = [net.h, net.h[0]]
    with pytest.raises(JitError, match="changes h, which it reads"):
        mg.jit(grows)(X)
    assert [*map(id, before)] == [*map(id, (net.h, net.h[0]))]


def test_a_dict_may_be_both_set_and_replaced_and_others_that_hold_it_see_that():
    one, other = (types.SimpleNamespace(d={"w": np.ones(3), "b": np.ones(3)}) for _ in range(2))

    def f(net, x):
        net.d["w"] = x * net.d["w"]
        net.d = {name: w * 2 for name, w in net.d.items()}
        return x

    step = mg.jit(lambda x: f(one, x))
    for x in (np.ones(3), np.arange(3.0), np.ones(3)):
        held, others = one.d, other.d
        same([step(x), *one.d.values(), *held.values()], [f(other, x), *other.d.values(), *others.values()])
    assert step.cache_info().misses == 1


@pytest.mark.parametrize(
    "change", [lambda t, s: (t * 1000, s), lambda t, s: (t << 3, s), lambda t, s: (t + t, s)]
)
def test_integers_that_grow_fast_are_refused(change):
    net = types.SimpleNamespace(t=1, s=1)

    def f(x):
        net.t, net.s = change(net.t, net.s)
        return x + net.t

    with pytest.raises(JitError, match="changes"):
        mg.jit(f)(X)
    assert (net.t, net.s) == (1, 1)


class Params(NamedTuple):
    w: np.ndarray
    b: np.ndarray


def test_named_tuples_are_fetched():
    def make():
        net = types.SimpleNamespace(
            params=Params(np.ones(3), np.zeros(3)), fixed=Params(np.ones(3), np.zeros(3))
        )

        def f(x):
            net.params = net.params._replace(w=net.params.w - x)
            net.fixed.b[0] += 1
            return net.params.w + net.params.b + net.fixed.w + net.fixed.b

        return net, f

    def change(net):
        net.fixed.w[...] += 1
        net.fixed = Params(net.fixed.w * 2, net.fixed.b)

    assert follow(make, [X, X, change, X, X]) == 1


def test_what_begins_anew_in_each_call_is_warned_of():
    net = types.SimpleNamespace(h=None)

    def f(x):
        net.h = x if net.h is None else net.h + x
        return 2 * net.h

    step = mg.jit(f)
    with pytest.warns(UserWarning, match="f sets h, which it reads, for the first time, in each of 10 calls"):
        for _ in range(10):
            net.h = None
            np.testing.assert_array_equal(step(X), 2 * X)
    np.testing.assert_array_equal(step(X), 4 * X)
    assert step.cache_info().misses == 1


def test_a_dict_that_is_left_in_several_places_is_one():
    net = types.SimpleNamespace(w=np.ones(3))

    def f(x):
        net.d = {"w": net.w, "h": [x * 2]}
        net.e = net.d
        net.h = net.e["h"]
        return x

    step = mg.jit(f)
    for _ in range(3):
        step(X)
        assert net.e is net.d
        assert net.d["h"] is net.h
        assert net.d["w"] is net.w


def test_many_integers_whose_values_are_needed_do_not_keep_state_from_being_fetched():
    def make():
        net = types.SimpleNamespace(w=np.ones(3), k=[np.array(i) for i in range(30)])

        def f(x):
            net.w = net.w * 0.5 + x
            return sum(net.w[int(i) % 3] for i in net.k)

        return net, f

    assert follow(make, [X] * 3) == 1


def test_an_error_of_the_function_is_that_of_the_function_as_written():
    net = types.SimpleNamespace(k=np.int64(2), w=np.ones(3), table={2: 0.0})

    def f(x):
        return x * net.w / (1 / net.table[net.k])

    with pytest.raises(ZeroDivisionError):
        mg.jit(f)(X)


def test_a_list_that_is_replaced_by_an_equal_one_is_not_compiled_anew():
    def make():
        net = types.SimpleNamespace(layers=[], names=["a"], h=[])

        def f(x):
            net.layers = [w * 0.5 for w in net.layers]
            net.names = [name for name in net.names if name]
            return x * len(net.names)

        return net, f

    assert follow(make, [X] * 4) == 1


class Layer:
    """A layer that keeps its gradients in a list, and hands the list out."""

    def __init__(self):
        self.grads, self.more, self.cache = [np.zeros(2)], {"b": (np.zeros(2), 3.0)}, None

    def filled(self, x):
        self.grads[0][...] = x
        self.more["b"] = 2 * x, 3.0

    def returned(self, x, kept):
        self.filled(x)
        return self.grads, {"more": self.more}

    def read(self, x, kept):
        return self.grads, x

    def left(self, x, kept):
        self.cache = self.grads, [x + 1, self.more]
        self.filled(x)

    def set_in_an_argument(self, x, kept):
        kept["alone"], kept["beside"] = self.grads, [x + 1, self.more]
        self.filled(x)


@pytest.mark.parametrize("method", ["returned", "read", "left", "set_in_an_argument"])
def test_a_list_outside_that_is_handed_out_has_the_arrays_of_each_call(method):
    one, other = Layer(), Layer()
    step = mg.jit(getattr(one, method))
    for x in (np.ones(2), np.full(2, 2.0), np.full(2, 3.0)):
        kept, others = {}, {}
        given, expected = step(x, kept), getattr(other, method)(x, others)
        for a, b in [(given, expected), (one.cache, other.cache), (kept, others), (one.grads, other.grads)]:
            assert repr(a) == repr(b)
        one.grads[0] += 1
        other.grads[0] += 1
    assert step.cache_info().misses == 1


class Normalized:
    """A layer with running statistics, which a computation of gradients leaves as tensors."""

    def __init__(self):
        self.mean, self.state, self.sums = None, (np.zeros(2), np.ones(2)), {"a": np.zeros(2)}

    def loss(self, w, x):
        if self.mean is None:
            self.mean = np.zeros(2)
        h, c = self.state
        y = x * w + h
        self.mean = 0.9 * self.mean + 0.1 * y
        self.state = y, c + h
        self.sums = {"a": self.sums["a"] + y}
        return np.sum((y - self.mean) ** 2 + c)


@pytest.mark.parametrize("eager", [(), (0,), (1, 2), (0, 3)])
def test_tensors_that_a_gradient_left_as_state_are_arrays(eager):
    one, other = Normalized(), Normalized()
    written = mg.value_and_grad(one.loss)
    step = mg.jit(written)
    for i in range(6):
        w, x = np.array([1.0, i]), np.array([0.5, 2.0])
        value, slope = (written if i in eager else step)(w, x)
        expected = mg.value_and_grad(other.loss)(w, x)
        same(
            [value, slope, one.mean, *one.state, one.sums["a"]],
            [*expected, other.mean, *other.state, other.sums["a"]],
        )
    assert step.cache_info().misses <= 2 and step.cache_info().hits >= 2


def test_what_reads_a_tensor_on_the_tape_from_outside_is_part_of_its_computation():
    x = np.array([1.0, 2.0, 3.0])

    def gradient(wrapped):
        return mg.grad(lambda w: np.sum(wrapped(lambda x: w * x**2)(x) ** 2) + np.sum(w))(np.ones(3))

    np.testing.assert_allclose(gradient(mg.jit), gradient(lambda f: f))
    np.testing.assert_allclose(mg.jit(lambda: gradient(mg.jit))(), gradient(lambda f: f))

    leaf = mg.tensor(np.ones(3), requires_grad=True)
    step = mg.jit(lambda x: np.sum(leaf * x))
    with mg.no_grad():
        assert step(x) == step(x) == 6.0
    for _ in range(2):
        step(x).backward()
    np.testing.assert_array_equal(leaf.grad, 2 * x)
    assert step.cache_info().currsize == 1


def test_a_memory_map_outside_is_an_array(tmp_path):
    mapped = np.memmap(tmp_path / "data", dtype=np.float64, mode="w+", shape=(3, 2))
    mapped[...] = np.arange(6.0).reshape(3, 2)
    net = types.SimpleNamespace(data=mapped)

    def f(x):
        net.data[0] += 1
        return np.sum(net.data @ x), net.data[1] * 2

    compiled, x = mg.jit(f), np.array([1.0, -2.0])
    for _ in range(3):
        before = mapped.copy()
        expected = f(x)
        written = mapped.copy()
        mapped[...] = before
        for got, want in zip(compiled(x), expected, strict=True):
            np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(mapped, written)
        assert type(net.data) is np.memmap
        mapped[2] *= 1.5
    assert compiled.cache_info().misses == 1
    needed = mg.jit(lambda x: x * mapped if float(mapped[0, 0]) > 0 else x)
    np.testing.assert_array_equal(needed(x), x * mapped)
    mapped[0, 0] = -1
    np.testing.assert_array_equal(needed(x), x)


class Own(np.ndarray):
    """A user's array."""


@pytest.mark.parametrize("kind", [Own, np.matrix, np.ma.MaskedArray])
def test_subclasses_of_arrays_outside_are_refused_as_operands(kind):
    x = np.ones((2, 2)).view(kind)
    with pytest.raises(TypeError, match=rf"{kind.__name__}, which does not compute as arrays do"):
        mg.jit(lambda w: np.sum(w * x))(np.ones((2, 2)))


class Interface:
    """What gives NumPy the memory of an array."""

    def __init__(self, x):
        self.kept, self.__array_interface__ = [x], x.__array_interface__


@pytest.mark.parametrize("with_gradient", [False, True])
@pytest.mark.parametrize(
    "of", [memoryview, Interface, lambda x: (ctypes.c_double * 3).from_buffer(x)], ids=["view", "own", "C"]
)
def test_changes_in_memory_that_is_no_array_are_seen(of, with_gradient):
    memory = np.arange(3.0)
    outside = of(memory)

    def f(x):
        return np.sum(outside) * np.sum(x)

    f = mg.value_and_grad(f) if with_gradient else f
    compiled = mg.jit(f)
    for value in (1.0, 5.0):
        memory[1] = value
        np.testing.assert_equal(compiled(X), f(X))


class Inputs:
    """A layer that appends its inputs to a list for the backward pass, which empties it."""

    def __init__(self):
        self.inputs, self.sums, self.w, self.alias = [], {"n": np.zeros(3)}, np.ones(3), None

    def replaced(self, x):
        self.inputs.append(x * self.w)
        self.inputs.append(x)
        self.sums["n"] = self.sums["n"] + x
        total = self.inputs[0] + self.inputs[1] + self.sums["n"]
        self.w = self.w - 0.1 * total
        self.inputs, self.sums = [], {"n": total}
        return total


def test_a_list_that_is_filled_and_then_replaced_is_fetched():
    one, other = Inputs(), Inputs()
    step = mg.jit(one.replaced)
    for x in (np.ones(3), np.arange(3.0), np.ones(3)):
        held, others = one.inputs, other.inputs
        np.testing.assert_allclose(step(x), other.replaced(x), rtol=1e-12)
        same([one.w, one.sums["n"], *held], [other.w, other.sums["n"], *others])
        assert one.inputs == []
    assert step.cache_info().misses == 1
    one.alias = one.inputs
    with pytest.raises(JitError, match="changes a list that it reads"):
        mg.jit(lambda x: (one.alias, one.replaced(x))[1])(x)
    assert one.inputs is one.alias == []


def test_the_error_is_the_one_of_what_is_fetched():
    net = types.SimpleNamespace(w=np.ones(3))

    def f(x):
        net.w[:2] *= x[:2]
        n = np.sum(net.w)
        net.w /= n if n > 0 else 1.0
        return x

    with pytest.raises(JitError, match=r"a condition .* needs the values"):
        mg.jit(f)(np.ones(3))
    np.testing.assert_array_equal(net.w, np.ones(3))
