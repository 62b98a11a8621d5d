"""Which calls of a compiled function are alike: what is told quickly is told as by taking the whole call down."""

import copy
import enum
import inspect
import logging
import operator
import pickle
import re
import textwrap
import threading
import warnings
from collections import ChainMap, OrderedDict, UserDict, UserList, namedtuple
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.compiler.environment import signature
from minigrad.engine.containers import map_tree

Pair = namedtuple("Pair", "first second")
READ_ONLY = np.ones(2)
READ_ONLY.flags.writeable = False
ENTRIES = [
    lambda: np.ones(2),
    lambda: np.ones(3),
    lambda: np.ones((1, 2)),
    lambda: np.ones(2, np.float32),
    lambda: np.ones(2, ">f8"),
    lambda: np.ones(4)[::2],
    lambda: np.broadcast_to(1.0, 2),
    lambda: READ_ONLY,
    lambda: np.float64(1),
    lambda: np.float32(1),
    lambda: np.random.default_rng(0),
    *[
        lambda x=x: x
        for x in (1, 1.0, True, 0.0, -0.0, "1", None, mg.relu, np.sum, np.float32, frozenset({1}))
    ],
]
"""Makers of arrays and of options, each of a signature of its own or of a memory of its own."""

trees = st.recursive(
    st.sampled_from(ENTRIES).map(lambda make: make()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.builds(Pair, inner, inner),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        st.dictionaries(st.sampled_from("abc"), inner, max_size=2).map(OrderedDict),
    ),
    max_leaves=5,
)
calls = st.tuples(
    st.lists(trees, max_size=3).map(tuple), st.dictionaries(st.sampled_from("ab"), trees, max_size=2)
)


def taken_down(args, kwargs):
    """Return the arrays of a call and its signature, as a list of its parts."""
    leaves, key = [], []
    signature.flatten(args, leaves, key)
    key.append("keywords")
    signature.flatten((kwargs,), leaves, key)
    return leaves, key


def changed(draw, call):
    """Return a call in which one leaf, if it has any, is another."""
    count = []
    map_tree(lambda shared, leaf: count.append(leaf), None, call)
    chosen = draw(st.integers(0, max(len(count) - 1, 0)))
    new = draw(st.sampled_from(ENTRIES))()
    places = iter(range(len(count)))
    return map_tree(lambda shared, leaf: new if next(places) == chosen else leaf, None, call)


def copied(call):
    """Return a call with other arrays, of the same layouts."""
    return map_tree(lambda shared, leaf: leaf.copy() if type(leaf) is np.ndarray else leaf, None, call)


def told(call, other, overwritten):
    """Read another call, and compare with what taking both down tells; return whether it was told to be alike."""
    leaves_of = signature.reader(*call, overwritten)
    got = leaves_of(*other)
    if got is None:
        return False
    (_, key), (leaves, key_of_other) = taken_down(*call), taken_down(*other)
    assert key == key_of_other
    assert list(map(id, got)) == list(map(id, leaves))
    signature.refuse_overlap(leaves, overwritten, [])
    return True


@given(st.data(), calls)
def test_a_call_that_is_told_to_be_alike_is(data, call):
    leaves, _ = taken_down(*call)
    arrays = [i for i, x in enumerate(leaves) if type(x) is np.ndarray]
    overwritten = data.draw(st.lists(st.sampled_from(arrays), unique=True).map(sorted)) if arrays else []
    told(call, call, overwritten)
    told(call, copied(call), overwritten)
    told(call, changed(data.draw, call), overwritten)
    told(call, data.draw(calls), overwritten)


W, X = np.ones(2), np.zeros((3, 2))
USUAL = ({"W": W, "b": np.ones(1)}, X, [np.float64(2), (0.5, "a", None)]), {"loss": mg.softmax_cross_entropy}


def test_the_usual_calls_are_told_to_be_alike():
    assert told(USUAL, USUAL, [0, 1])
    assert told(USUAL, copied(USUAL), [0, 1])
    (params, _, more), kwargs = USUAL
    assert told(USUAL, ((params, np.zeros((5, 2))[1:4], more), kwargs), [0, 1])
    assert told(USUAL, ((params, X[::-1], more), kwargs), [])
    assert told(((), {}), ((), {}), [])


UNLIKE = [
    (((X,), {}), ((X, X), {})),
    (((X,), {}), ((X[:, :1],), {})),
    (((X,), {}), ((X.astype(np.float32),), {})),
    (((X,), {}), ((X.astype(">f8"),), {})),
    (((X,), {}), ((mg.tensor(X),), {})),
    (((X,), {}), ((X.view(np.recarray),), {})),
    (((X,), {}), ((X,), {"a": X})),
    (((X,), {"a": X}), ((X,), {"b": X})),
    ((({"a": X, "b": X},), {}), (({"b": X, "a": X},), {})),
    ((({"a": X},), {}), ((OrderedDict(a=X),), {})),
    ((({1: X},), {}), (({1.0: X},), {})),
    ((({1: X},), {}), (({True: X},), {})),
    ((((X, X),), {}), (([X, X],), {})),
    ((((X, X),), {}), ((Pair(X, X),), {})),
    (((np.float32(1),), {}), ((np.float64(1),), {})),
    (((1,), {}), ((1.0,), {})),
    (((1,), {}), ((True,), {})),
    (((0.0,), {}), ((-0.0,), {})),
    (((mg.relu,), {}), ((mg.affine,), {})),
    (((W,), {}), ((READ_ONLY,), {})),
]


@pytest.mark.parametrize(("call", "other"), UNLIKE)
def test_calls_that_are_not_alike(call, other):
    if type(other[0][0]) in (mg.Tensor, np.recarray):
        assert signature.reader(*call, [])(*other) is None
        return
    assert told(call, call, [])
    told(call, other, [])
    if type(call[0][0]) is np.ndarray:
        assert not told(call, other, [0])


@pytest.mark.parametrize("slots", [False, True])
def test_equal_options_whose_numbers_are_of_other_types_are_not_alike(slots):
    @dataclass(frozen=True, slots=slots)
    class Settings:
        scale: object
        inner: object = None

    @mg.jit
    def f(x, settings):
        return x * settings.scale * (1 if settings.inner is None else settings.inner.scale)

    x = np.ones(2, np.int64)
    for scale in (2, 2.0, True, 2):
        assert f(x, Settings(scale)).dtype == (x * scale).dtype
        assert f(x, Settings(1, Settings(scale))).dtype == (x * scale).dtype
    assert f.cache_info().misses == 6


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


@dataclass(frozen=True)
class Logged:
    scale: float
    log: object = logging.getLogger("of settings")

    @cached_property
    def twice(self):
        return 2 * self.scale


def test_enumerations_and_settings_of_any_kind_are_options():
    f, x = mg.jit(lambda x, option: x * (option.twice if isinstance(option, Logged) else 1)), np.ones(2)
    for option in (Color.RED, Level.LOW, Logged(2.0)):
        for _ in range(2):
            np.testing.assert_array_equal(f(x, option), 4 * x if isinstance(option, Logged) else x)
    assert f.cache_info().misses == 3


def test_slices_are_options():
    f, x = mg.jit(lambda x, part: x[part] * 2), np.arange(6.0)
    for part in (slice(1, 3), slice(1, 3), slice(1, 4), slice(None, None, -1)):
        np.testing.assert_array_equal(f(x, part), x[part] * 2)
    assert f.cache_info().misses == 3


def test_arrays_in_one_memory_are_not_told_to_be_apart():
    w = np.ones(6)
    for shared in (w, w[:], w[::-1].reshape(6), np.asarray(memoryview(w))):
        for both in ((w, shared), (shared, w)):
            assert not told(((w, w.copy()), {}), (both, {}), [0])
            assert told(((w, w.copy()), {}), (both, {}), [])


def test_a_function_that_reads_from_outside_is_not_told_by_what_it_is():
    factor = 2.0

    def scaled(x):
        return x * factor

    step = mg.jit(lambda f, x: f(x))
    for factor in (2.0, 3.0, 2.0):
        for _ in range(2):
            np.testing.assert_array_equal(step(scaled, X + 1), (X + 1) * factor)


BROKEN = [
    ("read", 'f"{name}.shape == {x.shape}",', ""),
    ("read", 'f"{name}.dtype is {self.bound(x.dtype)}",', ""),
    ("read", 'f"type({name}) is ndarray",', ""),
    ("read", 'f"[*{name}] == {self.bound([*x])}"', '"True"'),
    ("read", "if not all(type(key) is str for key in x)", "if False"),
    ("read", 'f"len({name}) == {len(x)}"', '"True"'),
    ("read", 'self.require(f"type({name}) is {self.bound(kind)}")', "self.bound(kind)"),
    ("read", 'if cannot_change(x) else "False"', ""),
    ("read", 'f"{name} is {self.bound(x)}"', 'f"{name} == {self.bound(x)}"'),
    ("keep_apart", 'f"{name}.base is None",', ""),
    ("keep_apart", 'f"{name}.flags.writeable"', '"True"'),
    ("keep_apart", 'f"type({name}m) is ndarray",', ""),
    ("keep_apart", "else {name}.base", "else {name}"),
    ("keep_apart", "== {len(memories)}", "> 0"),
]


@pytest.mark.parametrize(("name", "right", "wrong"), BROKEN)
def test_a_broken_reader_is_caught(name, right, wrong, monkeypatch):
    text = textwrap.dedent(inspect.getsource(getattr(signature.ReaderSource, name)))
    assert text.count(right) >= 1
    namespace = dict(vars(signature))
    exec(text.replace(right, wrong), namespace)
    monkeypatch.setattr(signature.ReaderSource, name, namespace[name])
    with pytest.raises((AssertionError, AttributeError, ValueError, pytest.fail.Exception)):
        test_the_usual_calls_are_told_to_be_alike()
        for call, other in UNLIKE:
            test_calls_that_are_not_alike(call, other)
        test_arrays_in_one_memory_are_not_told_to_be_apart()
        test_a_function_that_reads_from_outside_is_not_told_by_what_it_is()


@pytest.mark.parametrize("place", ["object", "class", "base"])
@pytest.mark.parametrize("form", ["method", "instance", "closure", "class"])
def test_attributes_of_classes_are_seen_to_change(place, form):
    class Base:
        rate = 0.5

        def __call__(self, x):
            return x * self.rate

    class Net(Base):
        pass

    net = Net()
    forms = {
        "method": net.__call__,
        "instance": net,
        "closure": lambda x: x * net.rate,
        "class": lambda x: x * Net.rate,
    }
    if (form, place) == ("class", "object"):
        net = Net  # only its own attributes are read
    f, x = mg.jit(forms[form]), np.ones(1)
    assert f(x) == f(x) == 0.5
    {"object": net, "class": Net, "base": Base}[place].rate = 0.25
    assert f(x) == f(x) == 0.25


def warnings_of(call, *values):
    """The warnings of jit in a call with each of the values, in turn."""
    found = []
    for value in values:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call(value)
        # Others may come from what is collected meanwhile: an unclosed socket of an earlier test.
        found.append([str(each.message) for each in caught if str(each.message).startswith("jit: ")])
    return found


W = np.ones(2, np.float32)


def scaled(w, lr, settings=(), *, t=1):
    return w * lr


@pytest.mark.parametrize(
    ("call", "given"),
    [
        (lambda step, i: step(W, 0.5 + i), "lr; .* np.float32"),
        (lambda step, i: step(W, lr=0.5 + i, settings={"a": 0.1, "b": (2, 0)}), "lr; .* np.float32"),
        (lambda step, i: step(W, 1.0, t=i), "t; .* np.int64"),
        (lambda step, i: step(W, 1.0, {"a": [0, True, np.float64(0)], "b": (2, i)}), "b; .* np.int64"),
        (lambda step, i: step(W, 1.0, {"rate": 0.5 + i, "m": 2}), "rate; .* np.float32"),
        (lambda step, i: step(2, 1.0, [0.5 + i]), "settings; .* np.float64"),
    ],
)
def test_a_number_that_changes_often_is_told_once(call, given):
    step = mg.jit(scaled)
    with np.errstate(all="ignore"):
        told = warnings_of(lambda i: call(step, i), *range(8), *range(8))
    assert [bool(each) for each in told] == [False] * 4 + [True] + [False] * 11
    assert re.match(f"jit: scaled was compiled 5 times, for as many values of {given}[(]", *told[4])


def test_the_line_that_calls_is_told():
    step = mg.jit(scaled)
    with pytest.warns(UserWarning, match="values of lr") as caught:
        for i in range(5):
            step(W, float(i))
    assert caught[0].filename == __file__


def test_numbers_that_change_together_or_seldom_are_not_told():
    step = mg.jit(scaled)
    calls = [
        lambda i: step(W, float(i), (i,)),
        lambda i: step(np.ones(i), 0.5),
        lambda i: step(W, np.float32(i)),
    ]
    for call in calls:
        assert not any(warnings_of(call, *range(1, 8)))
    assert not any(warnings_of(lambda lr: step(W, lr), 0.1, 0.2, 0.3, 0.4, True))
    assert not any(warnings_of(lambda name: step(W, 0.5, {"name": name}), *"abcdefg"))


# What other people's objects do


class Stored:
    """A descriptor that checks what it stores under another name: an example in Python's documentation."""

    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, obj, owner=None):
        return getattr(obj, self.name)

    def __set__(self, obj, value):
        setattr(obj, self.name, value)


class Lazily:
    """A descriptor that computes the value."""

    def __init__(self, f):
        self.f = f

    def __get__(self, obj, owner=None):
        return self.f(obj)


class Descent:
    rate = Stored()

    def __init__(self, rate):
        self.rate, self.scale = rate, 1.0

    @Lazily
    def doubled(self):
        return 2 * self.scale

    @cached_property
    def kept(self):
        return 3 * self.scale

    def step(self, w):
        return w * self.rate * self.doubled

    def of_kept(self, w):
        return w * self.kept


class AttrDict(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


class Answering:
    """Has every attribute."""

    def __init__(self, path=""):
        self.path = path

    def __getattr__(self, name):
        return Answering(f"{self.path}.{name}")


def test_what_descriptors_read_is_followed():
    descent, x = Descent(2.0), np.ones(2)
    step, of_kept = mg.jit(descent.step), mg.jit(descent.of_kept)
    for change in ({}, {"rate": 3.0}, {"scale": 5.0}, {"_rate": 7.0}):
        for name, value in change.items():
            setattr(descent, name, value)
        np.testing.assert_array_equal(step(x), descent.step(x))
    np.testing.assert_array_equal(of_kept(x), [15, 15])
    del descent.kept
    descent.scale = 7.0
    np.testing.assert_array_equal(of_kept(x), [21, 21])


def test_dicts_that_have_their_entries_as_attributes():
    settings, x = AttrDict(rate=2.0, more=AttrDict(scale=3.0)), np.ones(2)
    holder = SimpleNamespace(settings=settings)
    for f in (lambda x: x * settings.rate * settings.more.scale, lambda x: x * holder.settings.more["scale"]):
        compiled = mg.jit(f)
        for scale in (3.0, 4.0):
            settings.more.scale = scale
            np.testing.assert_array_equal(compiled(x), f(x))


def test_an_object_that_has_every_attribute():
    api = Answering()
    np.testing.assert_array_equal(mg.jit(lambda x: x * len(api.a.b.path))(np.ones(1)), [4])


@pytest.mark.parametrize(
    ("outside", "change"),
    [
        (ChainMap({"a": 1.0}, {"b": 2.0}), lambda outside: outside.maps[1].update(b=3.0)),
        (UserDict(b=2.0), lambda outside: outside.update(b=3.0)),
    ],
    ids=["ChainMap", "UserDict"],
)
def test_dicts_of_the_standard_library_are_followed(outside, change):
    compiled = mg.jit(lambda x: x * outside["b"])
    np.testing.assert_array_equal(compiled(np.ones(1)), [2])
    change(outside)
    np.testing.assert_array_equal(compiled(np.ones(1)), [3])


def test_lists_and_maps_that_are_exchanged_whole_are_seen():
    entries, maps = UserList([2.0]), ChainMap({"k": 1.0})
    compiled = mg.jit(lambda x: x * entries[-1] * maps["k"])
    np.testing.assert_array_equal(compiled(np.ones(1)), [2])
    entries.data = [9.0]
    np.testing.assert_array_equal(compiled(np.ones(1)), [9])
    maps.maps.insert(0, {"k": 5.0})
    np.testing.assert_array_equal(compiled(np.ones(1)), [45])


def test_attributes_that_a_getter_reads_are_followed():
    holder, getter = SimpleNamespace(k=2.0), operator.attrgetter("k")
    compiled = mg.jit(lambda x: x * getter(holder))
    for holder.k in (2.0, 3.0):
        np.testing.assert_array_equal(compiled(np.ones(1)), [holder.k])


def test_defaults_that_are_assigned_anew_are_seen():
    def scaled(x, by=2.0, *, plus=1.0):
        return x * by + plus

    compiled = mg.jit(lambda x: scaled(x))
    for defaults, more in [((2.0,), {"plus": 1.0}), ((3.0,), {"plus": 1.0}), ((3.0,), {"plus": 5.0})]:
        scaled.__defaults__, scaled.__kwdefaults__ = defaults, more
        np.testing.assert_array_equal(compiled(np.ones(1)), scaled(np.ones(1)))


class WithCompiled:
    def __init__(self):
        self.scale = 2.0
        self.compiled = mg.jit(self.scaled)

    def scaled(self, x):
        return x * self.scale


@pytest.mark.parametrize("again", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copied_object_has_a_compiled_method_of_its_own(again):
    net = WithCompiled()
    other = again(net)
    other.scale = 5.0
    np.testing.assert_array_equal(other.compiled(np.ones(1)), [5])
    np.testing.assert_array_equal(net.compiled(np.ones(1)), [2])


def test_nan_as_an_option_is_compiled_once():
    compiled = mg.jit(lambda x, k: x * k)
    for _ in range(3):
        assert np.isnan(compiled(np.ones(1), float("nan")))
    assert compiled.cache_info().misses == 1


LEVEL = ContextVar("LEVEL", default=2.0)
WEIGHTS = ContextVar("WEIGHTS")


def test_the_value_of_a_context_variable_is_followed():
    def f(x):
        return x * LEVEL.get() + WEIGHTS.get(0.0)

    def calls():
        compiled, x = mg.jit(f), np.arange(3.0)
        for level in (2.0, 3.0):
            LEVEL.set(level)
            np.testing.assert_array_equal(compiled(x), f(x))
        weights = np.ones(3)
        WEIGHTS.set(weights)
        for value in (1.0, 4.0):
            weights[1] = value
            np.testing.assert_array_equal(compiled(x), f(x))

    copy_context().run(calls)


def test_each_thread_has_attributes_of_its_own():
    local, x = threading.local(), np.arange(3.0)
    local.scale = 2.0
    compiled = mg.jit(lambda x: x * local.scale)
    compiled(x)

    def elsewhere():
        local.scale = 5.0
        return compiled(x)

    with ThreadPoolExecutor(1) as pool:
        np.testing.assert_array_equal(pool.submit(elsewhere).result(), x * 5)
    np.testing.assert_array_equal(compiled(x), x * 2)
    assert compiled.cache_info().misses == 2
