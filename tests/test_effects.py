"""What a compiled function reads and sets outside: the same as if it were not compiled."""

import copy
import gc
import sys
import threading
import time
import tracemalloc
import types
import weakref
from collections import deque
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from functools import partialmethod
from operator import setitem

import numpy as np
import pytest

import minigrad as mg
from minigrad import JitError

CALLS = [np.full(n, value) for n, value in ((3, 1.0), (3, 2.0), (2, -1.0), (3, 0.5), (2, 4.0), (2, -3.0))]


def plain(x):
    """Return what an object holds, arrays as lists, to be compared."""
    if isinstance(x, np.ndarray):
        return x.dtype, x.tolist()
    if isinstance(x, dict):
        return {key: plain(each) for key, each in x.items()}
    if isinstance(x, (list, tuple, deque)):
        return type(x), [plain(each) for each in x]
    if isinstance(x, (Base, Record, Point, types.SimpleNamespace)):
        return type(x), plain(vars(x))
    return x


@dataclass(frozen=True)
class Point:
    x: object
    shape: object


class Base:
    """The state of a net."""

    count = 0

    def __init__(self):
        self.n, self.x, self.cache, self.shape, self.stats, self.log = 0, None, (), None, {"n": 0}, [0, 0]
        self.recent, self.flag, self.inner = deque(maxlen=2), False, types.SimpleNamespace(norm=None)

    def helper(self, x):
        return x * 2


class Leaves(Base):
    """Arrays that it computes, and its arguments."""

    def f(self, x):
        self.x, self.cache = x, (x * 2, len(x), {"mask": x > 0})
        self.inner.norm, self.made = np.sqrt(np.sum(x * x)), [x + 1]
        return self.helper(x).sum()


class ReadsWhatItLeft(Base):
    def forward(self, x):
        self.x, self.cache = x, (np.tanh(x), x > 0)
        return np.sum(self.cache[0])

    def f(self, x):
        out = self.forward(x)
        return out, self.x * self.cache[1]


class SetsNumbers(Base):
    """Also where it calls another method, of a class that has a class attribute."""

    def f(self, x):
        self.n, self.shape, self.flag, self.fresh = len(x), x.shape, x.ndim == 1, np.int64(x.size)
        self.stats = {"n": len(x)}
        self.log[1] = len(x)
        return self.helper(x)


class SetsWhole(Base):
    def f(self, x):
        self.log.clear()
        self.log.append(len(x))
        self.log.extend([x * 2, 1.0])
        self.recent.clear()
        self.recent.append(len(x))
        return x


class SetsTheClass(Base):
    def f(self, x):
        type(self).count = len(x)
        self.n = len(x)
        return x * type(self).count


class HasAProperty(Base):
    @property
    def rate(self):
        return self.n

    @rate.setter
    def rate(self, value):
        self.n, self.flag = value, True

    def f(self, x):
        self.rate = len(x)
        return x


class Deletes(Base):
    def f(self, x):
        self.temporary = x * 2
        out = self.temporary + 1
        del self.temporary
        return out


class Record:
    def __init__(self, x, size):
        self.x, self.size, self.mask = x, size, x > 0


class HoldsRecords(Base):
    """Objects of its own classes, made in each call."""

    def f(self, x):
        self.cache = Record(x * 2, len(x)), types.SimpleNamespace(total=np.sum(x))
        self.last = Point(x + 1, x.shape)
        return x


class SetsEntries(Base):
    """By operators and functions, not statements."""

    def f(self, x):
        self.stats |= {"b": x * 2, "n": len(x)}
        setitem(self.stats, "c", x + 1)
        self.__dict__["d"] = x.sum()
        return x


class Empties(Base):
    def f(self, x):
        self.stats.clear()
        self.stats["h"] = x * 2
        self.stats.pop("old", None)
        return x


class OneBranch(Base):
    """What the other branch sets changes between the calls."""

    def f(self, x):
        if len(x) == 3:
            self.x = x > 0.5
            return x * self.x
        return x


@pytest.mark.parametrize("kind", Base.__subclasses__())
def test_what_a_function_leaves_outside_is_there_after_each_call(kind):
    one, other = kind(), kind()
    compiled = mg.jit(other.f)
    for i, x in enumerate(CALLS):
        want, got = one.f(x), compiled(x)
        assert plain(got) == plain(want)
        assert plain(other) == plain(one)
        if i == 3:  # as it is written, in between
            for each in (one, other):
                each.f(np.ones(5))
    assert compiled.cache_info().misses <= 4


def test_an_argument_that_is_left_outside_is_itself():
    net = Leaves()
    compiled = mg.jit(net.f)
    for x in CALLS:
        compiled(x)
        assert net.x is x
    copy.deepcopy(net)


def test_what_is_set_in_between_does_not_compile_anew():
    net = Leaves()
    compiled = mg.jit(net.f)
    for _ in range(5):
        compiled(CALLS[0])
        net.x = net.made = None
    assert compiled.cache_info().misses <= 2


def test_globals_and_variables_of_enclosing_functions_keep_results():
    kept = None

    def f(x):
        global LAST
        nonlocal kept
        LAST, kept = x.sum(), x * 2
        return x

    compiled = mg.jit(f)
    for x in CALLS:
        compiled(x)
        np.testing.assert_array_equal(kept, x * 2)
        assert x.sum() == LAST


class Mode(Enum):
    train = 0
    test = 1


@dataclass(frozen=True)
class Config:
    step: int = 0


class Changes:
    """State that each call makes of the state before."""

    def __init__(self):
        self.t, self.decay, self.shapes, self.l = 0, np.ones(2), (), []
        self.config, self.fraction, self.mode, self.losses = Config(), Fraction(0), Mode.train, []
        self.queue, self.front, self.n, self.z, self.d = [1, 2, 3, 4], [1, 2], np.zeros(1), 0j, {"a": 1}
        self.names, self.recent = set(), deque([1])

    def counter(self, x):
        self.t += 1
        return x if self.t % 2 else -x

    def sequence(self, x):
        self.shapes += (x.shape,)
        return x

    def new_list(self, x):
        self.l = [*self.l, 1]
        return x

    def new_dict(self, x):
        self.d = {**self.d, f"a{len(self.d)}": 1}
        return x

    def frozen(self, x):
        self.config = replace(self.config, step=self.config.step + 1)
        return x

    def number(self, x):
        self.fraction += Fraction(1, 2)
        return x

    def complex_number(self, x):
        self.z += 1j
        return x

    def member(self, x):
        self.mode = Mode.test if self.mode is Mode.train else Mode.train
        return x

    def appended(self, x):
        self.losses.append(x.sum())
        return x

    def popped(self, x):
        self.queue.pop()
        return x

    def inserted(self, x):
        self.front.insert(0, x.sum())
        return x

    def added(self, x):
        self.names.add(len(self.names))
        return x

    def in_a_deque(self, x):
        self.recent.append(x.sum())
        return x


@pytest.mark.parametrize(
    "name", [name for name, f in vars(Changes).items() if type(f) is types.FunctionType][1:]
)
@pytest.mark.parametrize("warmed_up", [False, True])
def test_state_that_depends_on_itself_is_refused_and_left_as_it_was(name, warmed_up):
    state, untouched = Changes(), Changes()
    if warmed_up:
        for each in (state, untouched):
            getattr(each, name)(np.ones(3))
    with pytest.raises(JitError, match="changes"):
        mg.jit(getattr(state, name))(np.ones(3))
    assert plain(vars(state)) == plain(vars(untouched))


def set_to_what_it_was(net, x):
    net.mode, net.h = "eval", 2 * x


def once(net, x):
    if not net.built:
        net.rate, net.built = 0.1, True


def a_new_list(net, x):
    if net.log is None:
        net.log = []


@pytest.mark.parametrize("f", [set_to_what_it_was, once, a_new_list])
def test_what_is_set_is_set_again_where_others_have_changed_it(f):
    nets = [types.SimpleNamespace(mode="eval", built=False, rate=None, log=None) for _ in range(2)]
    one, other = nets
    compiled = mg.jit(lambda x: f(other, x) or x)
    for x in CALLS:
        f(one, x)
        compiled(x)
        assert plain(other) == plain(one)
        for net in nets:
            net.mode, net.rate = "train", 0.01
            if net.log is not None:
                net.log.append(1)
                net.log = None


def test_new_keys_of_a_dict_are_in_their_order():
    logs = {}

    def f(x):
        logs["loss"], logs["epoch"], logs["max"] = x.sum(), 3, x.max()

    step = mg.jit(f)
    for x in CALLS[:2]:
        logs.clear()
        step(x)
        assert [*logs.items()] == [("loss", x.sum()), ("epoch", 3), ("max", x.max())]


def test_what_is_set_to_what_it_is_already_is_set_in_each_call():
    state = types.SimpleNamespace(done=True, scale=1.0)

    def f(x, first):
        state.done = True
        if first:
            state.scale = 2.0
        return state.scale * x

    step = mg.jit(f)
    for first in (True, False, False):
        step(CALLS[0], first)
    state.done = False  # by another, after scale, which is known to be set by one call, was read by the next
    step(CALLS[0], False)
    assert state.done is True


@pytest.mark.parametrize("key", [tuple, list, None, len, repr, 1.5, frozenset({1})])
def test_a_dict_may_have_any_keys(key):
    table = {key: 2.0, "h": 0}

    def read(x):
        return x * table[key]

    def written(x):
        table[key], table["h"] = 3.0, 2 * x
        return x

    compiled = mg.jit(read)
    for table[key] in (2.0, 5.0):
        np.testing.assert_array_equal(compiled(np.ones(2)), [table[key]] * 2)
    mg.jit(written)(np.ones(2))
    assert plain(table) == plain({key: 3.0, "h": np.array([2.0, 2.0])})


def test_an_error_leaves_no_array_outside():
    def f(x):
        Changes.last = 2 * x
        raise ValueError("a bad batch")

    with pytest.raises(ValueError, match="a bad batch"):
        mg.jit(f)(np.ones(2))
    assert not hasattr(Changes, "last")


class Shared:
    @mg.jit
    def forward(self, x):
        self.h = x * 2
        return self.h + 1


def test_threads_share_a_method_that_leaves_something():
    shared, errors = Shared(), []

    def work(value):
        for i in range(60):
            try:
                np.testing.assert_array_equal(shared.forward(np.full(3 + i // 4, value)), 2 * value + 1)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(float(k),)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_refusal_names_what_is_wrong_and_not_what_is_set():
    net = Changes()

    def f(x):
        net.h = x
        return net.h * time.perf_counter()

    with pytest.raises(JitError, match="different calls here"):
        mg.jit(f)(np.ones(2))


@pytest.mark.parametrize("size", [3, 200_001])
def test_one_entry_of_a_large_array_whose_values_are_read_is_not_changed(size):
    net = types.SimpleNamespace(work=np.zeros(size))

    def f(x):
        net.work[1] += 1
        return x * float(net.work[0])

    for _ in range(2):
        with pytest.raises(JitError, match="changes an array of shape"):
            mg.jit(f)(np.ones(2))
        assert not net.work.any()


def made_once(net, x):
    if not hasattr(net, "scale"):
        net.scale = 3.0
    return x * net.scale


def made_by_an_error(net, x):
    try:
        return x * net.scale
    except AttributeError:
        net.scale = 3.0
        return x * net.scale


def made_by_default(net, x):
    return x * vars(net).setdefault("scale", 3.0)


def made_if_false(net, x):
    net.scale = getattr(net, "scale", 0) or 3.0
    return x * net.scale


@pytest.mark.parametrize("f", [made_once, made_by_an_error, made_by_default, made_if_false])
def test_what_is_made_if_it_is_not_there_may_be_set_by_others(f):
    net = types.SimpleNamespace()
    compiled = mg.jit(lambda x: f(net, x))
    np.testing.assert_array_equal(compiled(np.ones(2)), [3, 3])
    for net.scale in (7.0, 5.0, 3.0, 7.0):
        np.testing.assert_array_equal(compiled(np.ones(2)), [net.scale] * 2)


def test_a_compiled_function_holds_nothing_that_it_left_outside():
    net = types.SimpleNamespace()

    def f(x):
        net.h, net.part = x * 2, x[1:]
        return x.sum()

    compiled, x = mg.jit(f), np.ones(500_000)
    tracemalloc.start()
    for _ in range(3):
        compiled(x)
    del net.h, net.part
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < x.nbytes


def test_a_large_first_call_leaves_no_values():
    step = mg.jit(lambda g, state, p: mg.optim.adam.update(g, state, p), donate_argnums=(1, 2))
    p, g = np.ones((300, 1000)), np.ones((300, 1000))
    tracemalloc.start()
    state = mg.optim.adam.init(p)
    p, state = step(g, state, p)
    del p, state
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < step.buffers + 1_000_000


def test_a_counter_is_refused_while_another_thread_runs():
    over, state = threading.Event(), types.SimpleNamespace(t=0)

    def wait():
        while not over.is_set():
            pass

    def count(x):
        state.t += 1
        return x / state.t

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        with pytest.raises(JitError, match="changes t"):
            mg.jit(count)(np.ones(3))
    finally:
        over.set()
        thread.join()
    assert state.t == 0


ITERATOR = iter(range(9))


def test_an_iterator_outside_is_refused():
    with pytest.raises(JitError, match="a range_iterator is read from outside"):
        mg.jit(lambda x: x * next(ITERATOR))(np.ones(2))


CONFIG = types.ModuleType("configuration")
CONFIG.lr = CONFIG.step = 2.0


def scaled(config, x):
    return x * config.lr


def by_another_name(x):
    config = CONFIG
    return x * config.lr


def in_a_loop(x):
    for config in (CONFIG,):
        x = x * config.lr
    return x


@pytest.mark.parametrize("f", [lambda x: scaled(CONFIG, x), by_another_name, in_a_loop])
def test_numbers_of_a_module_that_is_a_value_are_followed(f):
    compiled = mg.jit(f)
    for CONFIG.lr in (2.0, 5.0, 2.0):
        np.testing.assert_array_equal(compiled(np.ones(1)), [CONFIG.lr])


def test_numbers_that_a_function_sets_in_a_module_are_set_in_each_call():
    def f(x):
        CONFIG.step = len(x)
        return x

    compiled = mg.jit(f)
    for x in CALLS:
        CONFIG.step = 0
        compiled(x)
        assert CONFIG.step == len(x)


class Rated:
    k = 2.0

    @classmethod
    @mg.jit
    def of_the_class(cls, x):
        return x * cls.k

    def through_the_type(self, x):
        return x * type(self).k

    def scaled(self, x, m):
        return x * m * self.k

    in_part = partialmethod(scaled, m=1)


class Shadowing(Rated):
    k = 1.0

    def through_super(self, x):
        return x * super().k


class Child:
    def __init__(self, parent, reference):
        self.parent, self.reference = parent, reference

    def f(self, x):
        return x * (self.parent() if self.reference is weakref.ref else self.parent).k


def rated():
    shadowed, in_part, parent = Rated(), Rated(), Rated()
    shadowed.k = 1.0
    of_a_class = mg.jit(lambda c, x: x * c.k)
    yield "argument", lambda x: of_a_class(Rated, x)
    yield "classmethod", Rated.of_the_class
    yield "type", mg.jit(shadowed.through_the_type)
    yield "super", mg.jit(Shadowing().through_super)
    yield "partialmethod", mg.jit(lambda x: in_part.in_part(x))
    for reference in (weakref.ref, weakref.proxy):
        yield reference.__name__, mg.jit(Child(reference(parent), reference).f)


def test_attributes_of_classes_are_followed():
    for name, f in rated():
        for Rated.k in (2.0, 5.0, 2.0):
            np.testing.assert_array_equal(f(np.ones(1)), [Rated.k], err_msg=name)


def test_a_dict_that_is_argument_and_outside_is_not_changed():
    class Net:
        def __init__(self):
            self.p = {"w": np.ones(1), "n": 3}

        def f(self, p, x):
            p["n"] = 7
            return p["w"] * x * self.p["n"]

    net = Net()
    with pytest.raises(JitError, match="read from outside, too"):
        mg.jit(net.f)(net.p, np.ones(1))
    assert net.p["n"] == 3


def test_bound_methods_of_lists_are_followed():
    log = []
    append = log.append
    with pytest.raises(JitError, match="changes a list"):
        mg.jit(lambda x: append(len(x)) or x)(np.ones(2))
    assert log == []
    assert sys.getrefcount(log) < 9
