"""A read of an array finds the last store to its index, among any, in a time that does not grow with their number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.compiler.ir import Node, written
from minigrad.compiler.rewriting import regions, stores

SHAPE = (3, 4)
ENDS = st.one_of(st.none(), st.integers(-4, 4))
PARTS = st.one_of(
    st.integers(-3, 2), st.builds(slice, ENDS, ENDS, st.sampled_from([None, 1, 2, -1])), st.just(slice(None))
)
BASIC = st.one_of(PARTS, st.tuples(PARTS), st.tuples(PARTS, PARTS))
INDICES = st.one_of(BASIC, st.just(([0, 1], 2)))


def one_by_one(array, index):
    """Find the last store to an index by a look at every one."""
    wanted = regions.region(index, array.shape)
    while wanted is not None and array.function is written:
        at = regions.region(array.args[1], array.shape)
        if at is None:
            break
        if not regions.are_apart(at, wanted):
            return (array.args[2] if at == wanted else None), array
        array = array.args[0]
    return None if wanted is None else (None, array)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(INDICES, st.integers(0, 12), st.lists(INDICES, max_size=3)), max_size=40))
def test_the_last_store_is_found_among_any(steps):
    arrays = [Node(None, (), {}, np.zeros(SHAPE), "x")]
    for i, (index, back, asked) in enumerate(steps):
        array = arrays[-1 - (back if back < len(arrays) and back > 6 else 0)]  # most often the one before
        arrays.append(Node(written, (array, index, i), {}, array.value))
        for at, each in zip(asked, (arrays[-1], array, arrays[len(arrays) // 2]), strict=False):
            assert stores.stored(each, at) == one_by_one(each, at)
    for array in arrays:
        for index in (0, (1, 2), (slice(None), 1), slice(1, None), (slice(0, 2), slice(1, 3))):
            assert stores.stored(array, index) == one_by_one(array, index)


@settings(max_examples=500, deadline=None)
@given(BASIC, BASIC)
def test_an_index_into_a_part_is_one_into_the_whole(first, second):
    x = np.arange(12).reshape(SHAPE)
    try:
        wanted = x[first][second]
    except IndexError:
        return
    index = regions.composed(first, second, SHAPE)
    np.testing.assert_array_equal(x[index], wanted)
    assert type(x[index]) is type(wanted)
    assert regions.region(first, SHAPE).shape == x[first].shape
    if wanted.shape == SHAPE:
        assert regions.is_whole(index, SHAPE) == np.array_equal(x, wanted)


def test_an_index_with_arrays_is_none_into_the_whole():
    assert regions.composed(([0, 1], 2), 0, SHAPE) is None
    assert regions.composed(slice(2), ([0, 1], 2), SHAPE) is None
    assert not regions.is_whole(([0, 1, 2], slice(None)), SHAPE)
    assert not regions.is_whole((), ())


def running(x):
    y = np.zeros_like(x)
    y[0] = x[0]
    for i in range(1, len(x)):
        y[i] = 0.5 * y[i - 1] + x[i]
    return np.sum(y**2)


def mirrored(x):
    y = x.copy()
    for i in range(len(y)):
        y[i] = y[i] * y[len(y) - 1 - i]
    return np.sum(y)


def smoothed(x):
    u = np.stack([x, 2 * x])
    for _ in range(2):
        for i in range(1, len(x) - 1):
            u[0, i] = (u[0, i - 1] + u[1, i] + u[0, i + 1]) / 3
            u[1, i] += u[0, i]
    return np.sum(u**2)


@pytest.mark.parametrize("f", [running, mirrored, smoothed])
def test_comparisons_of_stores_grow_as_their_number(f, monkeypatch):
    counts = []
    are_apart = regions.are_apart

    def counted(x, y):
        counts[-1] += 1
        return are_apart(x, y)

    monkeypatch.setattr(stores, "are_apart", counted)
    for n in (30, 120):
        counts.append(0)
        step = mg.jit(mg.value_and_grad(f))
        x = np.random.default_rng(n).standard_normal(n)
        value, grad = step(x)
        wanted = mg.value_and_grad(f)(x)
        np.testing.assert_allclose(value, wanted[0], rtol=1e-12)
        np.testing.assert_allclose(grad, wanted[1], rtol=1e-9, atol=1e-12)
    assert counts[1] <= 8 * counts[0] + 100, counts


def by_rows(x):
    a = np.stack([x, x * 2])
    for i in range(2):
        for j in range(len(x)):
            a[i][j] = a[i][j] * 2 + a[1 - i][j]
    return a


def through_views(x):
    inner = np.stack([x] * 4)[1:-1]
    left, right = inner[:, :-1], inner[:, 1:]
    return np.sum((left * right)[::-1][0, 1:] ** 2)


def standardized(x):
    a = np.stack([x, np.sin(x)])
    return np.sum(((a - np.mean(a, axis=0)) / (1 + np.var(a, axis=0))) ** 3)


@pytest.mark.parametrize(
    ("f", "wanted"),
    [
        (by_rows, []),
        (mg.grad(through_views), []),
        (lambda x: np.real(x[:][...]) * np.conj(x), ["multiply(x, x)"]),
        (mg.grad(standardized), []),
    ],
)
def test_parts_of_parts_are_parts(f, wanted):
    for n in (3, 5):
        x = np.random.default_rng(n).standard_normal(n)
        step = mg.jit(f)
        np.testing.assert_allclose(step(x), f(x), rtol=1e-12, atol=1e-14)
        lines = step.source.partition("def ")[2]
        assert "][" not in lines
        assert lines.count("subtract(") <= 1
        assert "copyto(t_" not in lines
        assert all(each in lines for each in wanted)


PLACES = st.sampled_from(["[:3]", "[3:]", "[1:4]", "[::2]", "[::-2]", "[2::-1]"])
PARTS_OF_PARTS = st.one_of(PLACES, st.sampled_from(["[1:][2:]", "[:4][1:]"]))
ENTRIES = st.sampled_from(["[0]", "[1]", "[-1]", "[3]"])
NAMES = st.sampled_from("ab")
STATEMENTS = st.one_of(
    st.builds(
        "{}{} = {}{}.copy()".format, NAMES, PLACES, NAMES, PLACES
    ),  # not all overlaps are told by NumPy
    st.builds(
        "{}{} = np.sin({}{}) * {}{}".format, NAMES, PLACES, NAMES, PARTS_OF_PARTS, NAMES, PARTS_OF_PARTS
    ),
    st.builds("{}{} += {}{}".format, NAMES, PLACES, NAMES, PLACES),
    st.builds("{}{} = {}{} * 2".format, NAMES, PLACES, NAMES, ENTRIES),
    st.builds("{}{} = {}{} - {}{}".format, NAMES, ENTRIES, NAMES, ENTRIES, NAMES, ENTRIES),
    st.builds("{}{} = 0".format, NAMES, st.one_of(PLACES, ENTRIES)),
    st.builds("kept = kept + {}{}".format, NAMES, st.one_of(PLACES, ENTRIES)),
    st.builds("{} = {}.copy()".format, NAMES, NAMES),
    st.builds("{}[...] = {}".format, NAMES, NAMES),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STATEMENTS, min_size=2, max_size=12))
def test_parts_that_are_read_and_written_are_those_of_numpy(statements):
    lines = ["def f(a, b):", "kept = np.zeros(3)", *statements, "return a, b * 1, kept"]
    namespace = {"np": np}
    exec("\n    ".join(lines), namespace)
    f = namespace["f"]

    def loss(x, y):
        return sum([np.sum(each**2 * (i + 1)) for i, each in enumerate(f(x * 1, np.cos(y)))])

    step, gradient = mg.jit(f), mg.jit(mg.grad(loss, (0, 1)))
    for seed in range(2):
        x, y = np.random.default_rng(seed).standard_normal((2, 6))
        for given_ones in ((x, y), (x.copy(), y.copy())):
            np.testing.assert_allclose(
                gradient(*given_ones), mg.grad(loss, (0, 1))(x, y), rtol=1e-9, atol=1e-9
            )
        some, others = (x.copy(), y.copy()), (x.copy(), y.copy())
        for ours, theirs in zip((*step(*some), *some), (*f(*others), *others), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def boundaries(u, v):
    """One step of a flow in a box, whose walls are set after it."""
    u[1:-1, 1:-1] = u[1:-1, 1:-1] - v[1:-1, 1:-1] * (u[1:-1, 2:] - u[1:-1, :-2])
    u[:, -1] = u[:, -2]
    u[0, :] = u[1, :]
    v[1:-1] += u[1:-1]
    v[0, :] = 0
    v[:, 0] = 1


def test_no_array_is_copied_where_numpy_copies_none():
    step = mg.jit(boundaries)
    some, others = np.random.default_rng(0).standard_normal((2, 2, 5, 6))
    ours, theirs = (some.copy(), others.copy()), (some.copy(), others.copy())
    for _ in range(3):
        step(*ours)
        boundaries(*theirs)
        np.testing.assert_array_equal(ours, theirs)
    assert "copyto" not in step.source
    assert "written" not in step.source


def accumulated(x, y):
    total = np.outer(x, x)
    for i in range(3):
        total[i] += y[i] * x
        total[i] += x
    return np.sum(total**2)


def test_the_gradient_of_what_is_added_to_is_left_where_it_is():
    x, y = np.random.default_rng(0).standard_normal((2, 3))
    step = mg.jit(mg.grad(accumulated, (0, 1)))
    np.testing.assert_allclose(step(x, y), mg.grad(accumulated, (0, 1))(x, y), rtol=1e-12)
    assert "] = 0" not in step.source
    assert "written" not in step.source


def test_what_may_fail_is_called_before_an_argument_is_written_over():
    @mg.jit(donate_argnums=0)
    def step(p):
        q = p.copy()
        q[0] = 2
        return q, np.linalg.inv(q[1:])

    step(np.arange(6.0).reshape(3, 2))
    p = np.zeros((3, 2))
    with pytest.raises(np.linalg.LinAlgError):
        step(p)
    np.testing.assert_array_equal(p, 0)
