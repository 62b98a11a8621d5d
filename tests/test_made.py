"""Arrays that a compiled function makes by a shape, and writes what it computes into."""

import threading
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import fft, zeros
from numpy.linalg import norm

import minigrad as mg
from minigrad import JitError

X = np.linspace(-1, 1, 12).reshape(4, 3)
LABELS = np.array([2, 0, 1, 2])
MAKERS = np.zeros, np.ones, np.empty, np.full, np.eye, np.identity, np.array, np.asarray, np.zeros_like


def one_hot(x, labels):
    made = np.zeros((len(labels), 3))
    made[np.arange(len(labels)), labels] = 1
    return made - np.eye(3)[labels] + np.identity(3, np.float32)[labels]


def recurrent(x, labels):
    states = np.empty((len(x) + 1, 3), dtype="f")
    states[-1] = np.zeros(3)
    for t in range(len(x)):
        states[t] = np.tanh(x[t] + states[t - 1] * 0.5)
    return states[:-1]


def columns(x, labels):
    padded, made = np.pad(x, 1), zeros((2, 2, 5, 4))
    for i in range(2):
        for j in range(2):
            made[i, j] = padded[i : i + 5, j : j + 4]
    image = np.zeros((6, 5), order="F")
    for i in range(2):
        for j in range(2):
            image[i : i + 5, j : j + 4] += made[i, j]
    return made.reshape(4, 20), image[1:-1, 1:-1]


def scattered(x, labels):
    sums, counts = np.full((3, 3), 0.5), np.zeros(3, int)
    np.add.at(sums, labels, x)
    np.add.at(counts, labels, 1)
    return sums, counts


def written(x, labels):
    a, b, c = np.ones(3), np.zeros(3), np.full((2, 3), x[0, 0])
    np.multiply(x[0], 2, out=a)
    b += x[1]
    b[:] += 1
    c[1, 1] = x[2, 2]
    np.copyto(b, x[3], where=x[3] > 0.8)
    np.add.reduce(x, axis=0, out=c[0])
    return a, b, c


def masked(x, labels):
    made = np.ones_like(np.tril(np.ones((4, 4))))
    scores = x @ x.T
    scores[np.tril(np.ones((4, 4))) == 0] = -np.inf
    made[0] = np.exp(scores)[0]
    return made, scores, np.zeros(2, object).shape


def rounded(x, labels):
    integers, numbers, few = np.zeros(3, int), np.zeros(2, complex), np.ones(3, np.uint8)
    integers[0], integers[1:] = 3 * x[0, 1], 7.5 * x[2, 1:]
    numbers[1] = 1j * x[0, 0]
    few[1] = 10 * abs(x[1, 1])
    few += 250
    return integers, numbers, few, np.full(3, 2) * x[0]


def joined(x, labels):
    copied, itself, number = np.array(x), np.asarray(x), np.asarray(x.mean())
    copied[0] = 0
    number += 1
    rows = np.array([[row.sum(), row.max(), 1] for row in x]), np.array([x[0], x[1]], dtype=np.float32)
    return (
        copied,
        itself,
        x * 1,
        number,
        *rows,
        np.array((x[0, 0].astype("f"), 2.0)),
        np.array([2**53 + 1, x[0, 0]], dtype=int),
        np.asarray(x[0, 0], "f"),
    )


def marked(x, labels):
    seen, made = np.zeros(4, bool), np.eye(3)
    for i in range(4):
        seen[i] = x[i, 0] > 0
    np.fill_diagonal(made, x[0, :0])  # writes nothing
    return seen, np.where(seen, 1.0, x[:, 1]), made


def listed(x, labels):
    rows = [row * 2 for row in x]
    number = x[0, 1].astype("f")
    return (
        np.max([row.max() for row in rows]),
        np.exp((rows[0], [1.0, 2.0, x[0, 0]])),
        np.where(x[:, 0] > 0, [row[1] for row in rows], 0),
        np.abs(np.linalg.inv([[2.0, number], [0, 4.0]])),
        norm([x[0, 0], 0.0]),
        fft.fft(a=[number, 1.0]).real,
        np.add.reduce(np.transpose(rows)[0][:2]),
        np.concatenate([[x[0, 0]], [x[1, 1], number]]),
        np.argmax([row.max() for row in rows]),
    )


def joined_by_brackets(x, labels):
    number = x[0, 0].astype("f")
    return (
        np.r_[x[0], 1.0, 2:4, [x[1, 1], 3]],
        np.r_[number, 1.0],
        np.r_[number],
        np.r_[x, x[:1]],
        np.r_["0,2", [1, 2]],
        np.c_[x, labels],
        np.c_[x[0], [1, 2, 3], x[1:3].T],
        np.c_[number, 1],
        np.c_[0:4, x[:, 0]],
    )


FUNCTIONS = [
    one_hot,
    recurrent,
    columns,
    scattered,
    masked,
    written,
    rounded,
    joined,
    marked,
    listed,
    joined_by_brackets,
]


@pytest.mark.parametrize("f", FUNCTIONS)
def test_a_function_that_fills_the_arrays_that_it_makes_is_compiled(f):
    step = mg.jit(f)
    for scale in (1.0, -2.0, 0.5):
        labels = (LABELS + int(abs(scale))) % 3
        for got, want in zip(step(X * scale, labels), f(X * scale, labels), strict=True):
            np.testing.assert_array_equal(got, want)
            assert np.asarray(got).dtype == np.asarray(want).dtype
    assert step.cache_info().misses == 1
    assert all(getattr(np, each.__name__) is each for each in MAKERS) and zeros is np.zeros


@given(
    st.lists(st.tuples(st.sampled_from(["=", "+=", "*="]), st.integers(0, 3), st.integers(0, 2)), max_size=8)
)
def test_what_is_written_in_any_order_is_as_written(writes):
    def f(x):
        made = np.zeros((4, 3))
        for operator, i, j in writes:
            if operator == "=":
                made[i, j] = x[j, i % 3]
            elif operator == "+=":
                made[:, j] += x[:, i % 3]
            else:
                made[i] *= x[j]
        return made * x

    step = mg.jit(f)
    for x in (X, X + 1):
        np.testing.assert_allclose(step(x), f(x), rtol=1e-14)


class Recurrent:
    def __init__(self):
        self.states = None

    def forward(self, x):
        self.states = np.zeros((len(x), 3))
        for t in range(len(x)):
            self.states[t] = x[t] + self.states[t - 1]
        return self.states[-1]


def test_one_that_is_kept_is_set_in_each_call():
    one, other = Recurrent(), Recurrent()
    step = mg.jit(one.forward)
    for x in (X, X * 2, X * 3):
        np.testing.assert_array_equal(step(x), other.forward(x))
        np.testing.assert_array_equal(one.states, other.states)


def test_numpy_may_be_imported_in_a_function_around():
    import numpy

    def f(x):
        made = numpy.zeros(3)
        made[0] = x[0, 0]
        return made

    np.testing.assert_array_equal(mg.jit(f)(X), f(X))


def test_a_program_may_add_to_numpy(monkeypatch):
    monkeypatch.setattr(np, "number_of_old", float, raising=False)

    def f(x):
        made = np.zeros(3, np.number_of_old)
        made[0] = x[0, 0]
        return made

    np.testing.assert_array_equal(mg.jit(f)(X), f(X))


def test_numpys_own_code_makes_arrays():
    def f(x, rng):
        drawn, made = np.random.default_rng(0).random(2), np.zeros(2)
        made[0] = x[0, 0]
        return made + np.pad(drawn, 1)[1:3] + rng.random(x.shape[1] - 1)

    got, want = (g(X, np.random.default_rng(1)) for g in (mg.jit(f), f))
    np.testing.assert_array_equal(got, want)


def test_functions_compiled_inside_make_their_own():
    inner = mg.jit(lambda n: np.zeros(2) + n)

    def f(x):
        made = np.zeros(3)
        made[0] = x[0, 0]
        made[1:] = inner(2.0)
        return made

    np.testing.assert_array_equal(mg.jit(f)(X), f(X))


def test_values_of_other_arrays_are_read_where_none_is_filled():
    def f(x):
        return x * next(i for i in np.eye(3)[1] if i > 0)

    np.testing.assert_array_equal(mg.jit(f)(X), X)


def test_what_cannot_be_is_refused_and_numpy_left_as_it_was():
    def f(x):
        made = np.zeros(3)
        made[0] = x[0, 0]
        if made[0] > 1:
            return x
        return made

    def fails(x):
        made = np.zeros(3)
        made[0] = x[0, 0]
        raise RuntimeError("asked for")

    for _ in range(2):
        with pytest.raises(JitError, match="a condition"):
            mg.jit(f)(X)
        with pytest.raises(RuntimeError, match="asked for"):
            mg.jit(fails)(X)
        assert all(getattr(np, each.__name__) is each for each in MAKERS)


@pytest.mark.parametrize(("item", "dtype"), [(300, np.uint8), (1e300, int), (1j, float)])
def test_a_number_that_does_not_fit_is_refused(item, dtype):
    def f(x):
        return np.array([x[0, 0], item], dtype)

    for g in (f, mg.jit(f)):
        with pytest.raises((OverflowError, TypeError), match=r"out of bounds|too large|not 'complex'"):
            g(X)


def test_no_array_of_objects_holds_what_is_not_known():
    with pytest.raises(JitError, match=r"test_made\.py.*dtype object"):
        mg.jit(lambda x: np.array([x[0, 0], None], dtype=object))(X)


def leaves_numpy(state, x):
    made = state.make(3)
    made[0], state.xp = x[0, 0], np
    return made


def replaces_its_maker(state, x):
    made = state.make(3)
    made[0], state.make = x[0, 0], np.ones
    return made


def returns_a_function(state, x):
    made = state.make(3)
    made[0] = x[0, 0]
    return {"made": made, "by": [np.zeros]}


def sets_another(state, x):
    made = state.make(3)
    made[0], state.make = x[0, 0], state.other
    return made


@pytest.mark.parametrize("f", [leaves_numpy, replaces_its_maker, returns_a_function])
def test_what_records_is_not_left_outside(f):
    state = SimpleNamespace(make=np.zeros, xp=None, other=None)
    with pytest.raises(JitError, match="returns NumPy, or a function of it"):
        mg.jit(lambda x: f(state, x))(X)
    assert state.make is np.zeros and state.xp is None


def test_another_function_is_set_in_the_place_of_one_that_makes_arrays():
    def other(n):
        return np.zeros(n)

    one, two = (SimpleNamespace(make=np.zeros, xp=None, other=other) for _ in range(2))
    step = mg.jit(lambda x: sets_another(one, x))
    for x in (X, X * 2):
        np.testing.assert_array_equal(step(x), sets_another(two, x))
        assert one.make is other


def test_a_function_with_a_cache_keeps_arrays():
    @lru_cache
    def positions(n):
        table = np.eye(n)
        return table, tuple(map(int, table.argmax(axis=1)))

    def f(x, what):
        made = np.zeros(3)
        made[0] = x[0, 0]
        return made[list(positions(3)[1])] if what == "numbers" else positions(3)[0] @ made

    np.testing.assert_array_equal(mg.jit(f)(X, "numbers"), f(X, "numbers"))
    positions.cache_clear()
    with pytest.raises(JitError, match="comes from outside"):
        mg.jit(f)(X, "array")
    np.testing.assert_array_equal(f(X, "array"), f(X, "numbers"))


def test_other_threads_make_arrays():
    def f(x):
        made, found = np.zeros(3), []
        made[0] = x[0, 0]
        thread = threading.Thread(target=lambda: found.append(np.zeros(3)))
        thread.start()
        thread.join()
        return made, type(found[0]) is np.ndarray

    assert mg.jit(f)(X)[1]


def filled_states(w, x):
    states = np.zeros((5, 3))
    for t in range(4):
        states[t + 1] = np.tanh(w * states[t] + x[t])
    return np.sum(states**2)


def filled_like_another(w, x):
    states, last = np.empty_like(x), np.zeros_like(x[0])
    for t in range(4):
        states[t] = last
        last[...] = np.tanh(w * last + x[t])
    return np.sum(states**2) + np.sum(last**2)


def filled_by_lists(w, x):
    a, b = np.eye(3), np.array([w[0], 2.0, w[1]])
    a[0, 1] = w[2]
    a[1] += np.full(3, w[0], np.float64) * np.asarray([x[0, 0], 0.0, w[1]])
    np.add.at(b, [0, 0], w[:2])
    kept = np.zeros(2, int)
    kept[1] = 2
    return np.sum(np.linalg.solve(a, b)[kept])


def stacked_states(w, x):
    states = [np.zeros(3)]
    for t in range(4):
        states.append(np.tanh(w * states[t] + x[t]))
    return np.sum(np.stack(states) ** 2)


def in_one_expression(w, x):
    row = np.outer(np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])) * w[2]
    full = np.stack([w[0] * x[0, 0], 0 * w[0], w[0] * w[1]])
    b = np.stack([w[0] + w[0] + w[1], 0 * w[0] + 2.0, w[1]])
    second = np.array([[0.0], [1.0], [0.0]])
    return np.sum(np.linalg.solve(np.eye(3) + row + second * full, b)[np.array([0, 2])])


def with_a_pattern(w, x):
    signs, made, factors = np.ones(3), np.zeros(3), 1j * np.arange(3.0)
    signs[1::2] = -1
    made[:] = w
    factors *= signs
    return np.sum(np.abs(made + factors) ** 2)


def as_one_array(w, x):
    return np.sum(np.abs(w + np.array([0, -1j, 2j])) ** 2)


def of_lists(w, x):
    return np.mean([np.sum(w * row) ** 2 for row in x]) + np.sum(np.c_[x, w[:1] * np.r_[x[0], w[0]]] ** 2)


def of_arrays(w, x):
    joined = np.concatenate([x[0], w[:1]])
    return np.mean((x @ w) ** 2) + np.sum(x**2) + np.sum((w[0] * joined) ** 2)


@pytest.mark.parametrize(
    ("f", "g"),
    [
        (filled_states, stacked_states),
        (filled_like_another, stacked_states),
        (filled_by_lists, in_one_expression),
        (with_a_pattern, as_one_array),
        (of_lists, of_arrays),
    ],
)
@pytest.mark.parametrize("derivative", [mg.value_and_grad, mg.grad, mg.hessian])
def test_what_is_filled_has_a_gradient_in_a_compiled_function(f, g, derivative):
    step = mg.jit(derivative(f))
    for w in (np.array([0.5, 1.5, -1.0]), np.array([2.0, 1.0, 0.3])):
        got, want = step(w, X), derivative(g)(w, X)
        np.testing.assert_allclose(got[-1], want[-1], rtol=1e-10, atol=1e-12)
    assert step.cache_info().misses == 1


def test_the_error_of_a_plain_array_in_a_gradient_is_the_tapes():
    def f(x):
        made = np.arange(3.0)
        made[0] = x[0]
        return np.sum(made)

    def of_a_tensor(x):
        made = np.zeros(3)
        made[0] = mg.tensor(x, requires_grad=True)[0]
        return np.sum(made)

    for step in (mg.grad(f), mg.jit(mg.grad(f)), mg.jit(of_a_tensor)):
        with pytest.raises(mg.TapeError, match=r"array\[i\] = t"):
            step(np.ones(2))


def test_the_error_is_that_of_what_no_array_that_is_filled_explains():
    def f(x):
        return np.sum(np.geomspace(np.array([x[0], 1.0])[0], 2.0, 3))

    with pytest.raises(mg.TapeError, match="geomspace has no backward rule"):
        mg.jit(mg.grad(f))(np.ones(2))
    with pytest.raises(mg.TapeError, match="became a plain array"):
        mg.grad(f)(np.ones(2))


def test_an_array_that_others_hold_is_not_multiplied_in_place_by_one_that_is_made():
    def f(x):
        signs, made, factors = np.ones(3), np.zeros(3), np.arange(3.0)
        signs[1], made[:], kept = -1, x, factors
        factors *= signs
        return np.sum(made * kept)

    with pytest.raises(mg.TapeError, match="which others may hold"):
        mg.jit(mg.grad(f))(np.ones(3))


def test_lists_that_are_refused_are_so_by_the_function():
    def f(x):
        return np.r_["0,2", x, [1.0, 2.0]]

    def g(x):
        return np.asfortranarray([x[0], 1.0])

    def h(x):
        made = np.zeros(2)
        made[0] = x[0]
        return np.asarray_chkfinite(made)

    for each in (f, g):
        with pytest.raises(JitError, match=r"np\.asarray"):
            mg.jit(each)(np.ones(2))
    with pytest.raises(JitError, match=r"write join tensors by"):
        mg.jit(h)(np.ones(2))


DERIVATIVES = {np.tanh: lambda y: 1 - y**2, np.exp: lambda y: y}


def test_functions_are_themselves_where_a_program_asks():
    def f(x, function=np.tanh):
        made = np.zeros(6)
        made[0] = np.sum([x[0], x[1]])
        made[1] = function is np.tanh
        made[2] = np.tanh is not function
        made[3] = function == np.tanh and np.tanh == function
        made[4] = DERIVATIVES[np.exp](np.exp(x[0]))
        made[5] = np.multiply.reduce(x) if np.exp != function else 0.0
        return made

    np.testing.assert_allclose(mg.jit(f)(np.array([0.5, 2.0])), f(np.array([0.5, 2.0])), rtol=1e-14)
