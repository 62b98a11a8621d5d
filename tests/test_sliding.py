"""Sliding windows, at any hop; convolution and correlation of lines of all lengths: values and gradients."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
from derivatives import check_call, check_rule
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.gradient_check import check_grads
from minigrad.rules.sliding import WINDOWS_AT, _apart

sliding_window_view = np.lib.stride_tricks.sliding_window_view


@st.composite
def parts_of_windows(draw):
    """The shape of an array, an index of some of its windows, and the windows' lengths and axes."""
    ndim, longest = draw(st.sampled_from([(1, 40), (2, 10), (3, 5)]))
    shape = tuple(draw(st.lists(st.integers(1, longest), min_size=ndim, max_size=ndim)))
    axes = draw(st.lists(st.integers(-len(shape), len(shape) - 1), min_size=1, max_size=3))
    left = list(shape)
    lengths = []
    for axis in axes:
        lengths.append(draw(st.integers(1, left[axis])))
        left[axis] -= lengths[-1] - 1
    whole = (*left, *lengths)
    index = []
    for n in whole[: draw(st.integers(0, len(whole)))]:
        places, hops = st.integers(-n, n - 1), st.builds(slice, st.none(), st.none(), st.integers(1, 4))
        index.append(draw(st.one_of(hops, st.slices(n), places)))
    if index and draw(st.booleans()):
        index[0] = np.array(draw(st.lists(st.integers(-whole[0], whole[0] - 1), max_size=4)), int)
    if draw(st.booleans()):
        index.insert(draw(st.integers(0, len(index))), None)
    return shape, tuple(index), tuple(lengths), tuple(axes)


@given(parts_of_windows(), st.sampled_from("CF"), st.integers(0, 2**32 - 1))
def test_windows_are_added_where_they_were_read(call, order, seed):
    shape, index, *windows = call
    rng = np.random.default_rng(seed)
    before = rng.integers(-9, 9, shape).astype(float, order=order)
    places = sliding_window_view(np.arange(before.size).reshape(shape), *windows)[index]
    dx = rng.integers(-9, 9, places.shape).astype(float)
    total, expected = before.copy("K"), before.ravel()
    WINDOWS_AT.add(total, dx, index, *windows)
    np.add.at(expected, places, dx)
    np.testing.assert_array_equal(total, expected.reshape(shape))


PARTS = {
    "hop": (np.s_[::3], 4, None),
    "hop longer than the windows": (np.s_[::5], 3, None),
    "short windows, long hop": (np.s_[::9], 20, None),
    "backwards, from one to another": (np.s_[30:2:-3], 10, None),
    "few windows": (np.s_[:6:2], 30, None),
    "dilated": (np.s_[::4, ::2], 8, None),
    "one": (np.s_[3], 4, None),
    "one entry": (np.s_[3, 2], 4, None),
    "array": (np.array([0, 7, 7, 3]), 5, None),
    "mask": (np.arange(36) % 5 == 0, 5, None),
    "patches": (np.s_[::2, ::2], (3, 4), None),
    "the last axis": (np.s_[:, ::3], 4, -1),
    "the first axis": (np.s_[::9], 18, 0),
}
"""An index of windows, their lengths and their axes."""
EVERY_PART = pytest.mark.parametrize(("index", "lengths", "axis"), PARTS.values(), ids=PARTS)


def array_with(lengths, axis, dtype=np.float64):
    """An array that has such windows."""
    shape = (40,) if axis is None and type(lengths) is int else (9, 8) if axis != 0 else (40, 2)
    x = np.cos(np.arange(np.prod(shape))).reshape(shape)
    return (x + 1j * x[::-1]).astype(dtype) if np.dtype(dtype).kind == "c" else x.astype(dtype)


@EVERY_PART
def test_gradients_of_parts_of_windows(index, lengths, axis):
    def f(x):
        return np.sin(sliding_window_view(x * x, lengths, axis)[index])

    x = array_with(lengths, axis)
    check_rule(lambda x: sliding_window_view(x, lengths, axis)[index], x)
    check_grads(f, x, order=2)
    with mg.detect_anomaly():
        check_grads(f, x, order=1)


@EVERY_PART
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_parts_of_windows_compiled(dtype, index, lengths, axis):
    if isinstance(index, np.ndarray):
        index = index.tolist()

    def f(x):
        frames = sliding_window_view(x * x, lengths, axis)[index]
        return np.sum(np.abs(frames * (1 + frames)) ** 2)

    x = array_with(lengths, axis, dtype)
    for derivative in (mg.value_and_grad(f), lambda x: mg.hvp(f, (x,), (x,))):
        compiled, expected = mg.jit(derivative), derivative(x)
        for _ in range(2):
            for got, want in zip(compiled(x), expected, strict=True):
                assert got.dtype == want.dtype
                np.testing.assert_allclose(got, want, rtol=1e4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("index", [np.s_[::256], 100, list(range(0, 19000, 256))], ids=["hop", "one", "list"])
@pytest.mark.parametrize("compiled", [False, True])
def test_memory_is_that_of_the_windows_read(compiled, index):
    def f(x):
        return np.sum(sliding_window_view(x, 512)[index] ** 2)

    x = np.cos(np.arange(20000.0))
    for derivative in (mg.grad(f), lambda x: mg.hvp(f, (x,), (x,))):
        run = mg.jit(derivative) if compiled else derivative
        tracemalloc.start()
        try:
            run(x)
            run(x)
            assert tracemalloc.get_traced_memory()[1] < sliding_window_view(x, 512).nbytes / 10
        finally:
            tracemalloc.stop()


def test_windows_of_what_was_written_to():
    y = mg.tensor(np.ones(6), requires_grad=True) * 2
    windows = sliding_window_view(y, 2)
    with mg.no_grad():
        y[...] = 0
    with pytest.raises(
        RuntimeError, match=r"sliding_window_view: its operand 0, of shape \(6,\), was changed"
    ):
        np.sum(windows[::2]).backward()


def test_an_index_out_of_range_is_found_before_what_is_donated_changes():
    @mg.jit(donate_argnums=0)
    def step(a, x, starts):
        return a * 2, mg.grad(lambda x: np.sum(sliding_window_view(x, 3)[starts]))(x)

    a, x = np.ones(5), np.arange(6.0)
    step(a.copy(), x, np.array([0, 3]))
    with pytest.raises(IndexError):
        step(a, x, np.array([0, 4]))
    np.testing.assert_array_equal(a, np.ones(5))


def test_strides_are_no_windows():
    def f(x):
        return np.sum(np.lib.stride_tricks.as_strided(x, (3, 2), (16, 8)))

    def g(x):
        return np.sum(np.lib.stride_tricks.as_strided(x, (3, 2), (2 * x.strides[0], x.strides[0])))

    for derived in mg.grad(f), mg.grad(g), mg.jit(f), mg.jit(g):
        with pytest.raises(
            (TypeError, AttributeError, RuntimeError),
            match=r"write np.lib.stride_tricks.sliding_window_view\(t, n\)\[::hop\]",
        ):
            derived(np.arange(6.0))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("f", [np.convolve, np.correlate])
def test_lines_of_all_lengths(f, mode):
    for n, m in product(range(1, 6), repeat=2):
        a, v = np.arange(1.0, n + 1), np.arange(m) - 0.25
        out = f(mg.tensor(a, requires_grad=True), v, mode)
        np.testing.assert_allclose(out.data, f(a, v, mode), rtol=1e-14)
    check_rule(lambda a, v: f(a, v, mode), a, v[:2])


@pytest.mark.parametrize("f", [np.convolve, np.correlate])
def test_matrices_are_refused(f):
    for x in (np.ones((2, 2)), np.ones(0)):
        with pytest.raises(ValueError, match="expected one axis, not empty"):
            f(mg.tensor(x, requires_grad=True), np.ones(2))


def test_numbers_are_lines():
    check_rule(np.convolve, np.array(1.5), np.array([1.0, 2.0]))


@pytest.mark.parametrize("function", [np.correlate, np.convolve])
def test_numbers_in_the_place_of_lines(function):
    for one, other in (((), (2,)), ((2,), ()), ((), ())):
        check_call(function, np.full(one, 0.5), np.full(other, 1.5))


def addresses(view):
    places = np.zeros((), int)
    for n, step in zip(view.shape, view.strides, strict=True):
        places = np.add.outer(places, np.arange(n) * step)
    return places


@given(st.data())
def test_parts_make_up_a_view_and_have_no_two_entries_at_one_place(data):
    x = np.zeros(data.draw(st.sampled_from([(40,), (9, 11), (5, 4, 6)])))
    lengths = tuple(data.draw(st.integers(1, n)) for n in x.shape)
    steps = tuple(slice(None, None, data.draw(st.sampled_from([1, 2, 3, 7, 20, -1, -4]))) for _ in x.shape)
    view = sliding_window_view(x, lengths)[steps]
    places, found = addresses(view), np.zeros(view.shape, int)
    for part in _apart(view):
        found[part] += 1
        assert len(np.unique(places[part])) == places[part].size
    np.testing.assert_array_equal(found, 1)


@pytest.mark.parametrize(
    ("n", "hop", "parts"),
    [(400, 100, 4), (400, 101, 4), (400, 99, 5), (400, 400, 1), (400, 500, 1), (8, 1, 8)],
)
def test_windows_are_few_parts(n, hop, parts):
    view = sliding_window_view(np.zeros(20_000), n)[::hop]
    assert len([*_apart(view)]) == parts
