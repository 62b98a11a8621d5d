"""What a captured function may not do to its arguments and its results: compiled, it does as it is written."""

import copy
import dataclasses
import gc
import math
import weakref
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache, partial
from queue import Queue
from typing import NamedTuple

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import minigrad as mg
from minigrad.engine.containers import leaves_of as leaves
from minigrad.engine.containers import map_tree


def copies(tree):
    return map_tree(lambda _, x: np.array(x) if isinstance(x, np.ndarray) else x, None, tree)


def agree(f, *inputs, **options):
    """Compare three calls of a compiled function, with different numbers, with the function itself.

    The arguments are afterwards what it makes of them, and what it gave earlier is the caller's, who writes to it.
    """
    step, earlier = mg.jit(f, **options), []
    for call in range(3):
        given = [
            x * x.dtype.type(call + 1) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x
            for x in inputs
        ]
        given, plain = copies(given), copies(given)
        got, want = step(*given), f(*plain)
        for x, y in zip(leaves([got, given]), leaves([want, plain]), strict=True):
            assert type(x) is type(y)
            np.testing.assert_allclose(x, y, rtol=1e-12)
        earlier += [(x, x.copy()) for x in leaves(got) if isinstance(x, np.ndarray)]
        for x, y in earlier:
            np.testing.assert_array_equal(x, y)
            x[...] = y[...] = -99.0
        for x, y in zip(leaves(given), leaves(plain), strict=True):
            np.testing.assert_array_equal(x, y)
    return step


# Parts at an index that is computed


def best_row(w, scores):
    row = w[np.argmax(scores)]
    return row * 2 + 1


def a_row_and_what_follows(x, i):
    y = x * 2
    row = y[i]
    z = y + 1
    return row * z


def a_row_by_scores_that_are_written_over(x):
    scores = x[:, 0] * 1.5
    y = x * 2
    row = y[np.argmax(scores)]
    z = np.exp(scores) - 20
    return row + z.sum()


def a_row_by_a_number_made_of_scores(x):
    scores = x[:, 0] * 1.5
    y = x * 2
    row = y[np.argmax(scores) - 1, :1]
    z = np.exp(scores) - 20
    return row + z.sum()


X = np.array([[1.0, 2.0], [-3.0, 0.5]])


@pytest.mark.parametrize(
    ("f", "inputs"),
    [
        (best_row, (X, np.array([1.0, 0.0]))),
        (mg.grad(lambda w: (w[np.argmax(w.data[:, 0])] ** 2).sum()), (X,)),
        (lambda x: (x * 2)[np.argmax(x[:, 0])], (X,)),
        (a_row_and_what_follows, (X, np.int64(0))),
        (lambda x, i: x[i], (X, np.int64(1))),
        (lambda x, i: x[i, :1], (X, np.int64(1))),
        (lambda x, i: x[i, ..., None], (X, np.array(1))),
        (lambda x, i: x[:, i][i] * 1, (X, np.int64(1))),
        (mg.grad(lambda w, i: (w[i] ** 3).sum() * w[i, i]), (X, np.int64(1))),
        (a_row_by_scores_that_are_written_over, (X,)),
        (a_row_by_a_number_made_of_scores, (X,)),
    ],
)
def test_a_part_at_a_computed_index(f, inputs):
    agree(f, *inputs)


# Writes to parts, and with parts in use


def added_to_rows(x):
    y = x * 2
    first, y[1] = y[0], 5
    y[0] += 1
    y[:, 1:] *= x[:, :1]
    for row in y:
        row -= row.mean()
    kept = y[1]
    kept[0] = 7
    y *= 2
    return y, first * 1, kept


def added_to_an_argument(x):
    row = x[1]
    x[0] += row
    row[...] = 3
    return row * x[0]


def changed_by_a_part_of_no_axes(x):
    v = x[0, 0, ...]
    v += 1
    return x * 1


def written_by_a_tensor(x):
    def loss(w):
        t = mg.tensor(x * 1)
        t[0] = w[1]
        return (t * x).sum()

    return mg.grad(loss)(x)


@pytest.mark.parametrize(
    "f",
    [
        added_to_rows,
        added_to_an_argument,
        changed_by_a_part_of_no_axes,
        written_by_a_tensor,
        lambda x: x[mg.tensor(np.array([1, 0]))] * 2,
        lambda x: x.trace() * x,
    ],
)
def test_parts_that_are_written_to_are_as_in_numpy(f):
    agree(f, X.copy())


@pytest.mark.parametrize("i", [np.int64(1), np.array(1)])
def test_a_constant_gradient_is_read_at_an_index_that_is_an_argument(i):
    def loss(t, u, i):
        t = t * 1
        t[i] = u[0]
        return t.sum()

    agree(mg.grad(loss, (0, 1)), X[0], X[1], i)


def test_many_writes_in_a_row_take_no_longer_each():
    def f(x):
        for i in range(len(x)):
            x[i] += 1
        return x

    step = mg.jit(f)
    np.testing.assert_array_equal(step(np.zeros((300, 2))), np.ones((300, 2)))


@pytest.mark.parametrize(
    ("f", "instead"),
    [
        (lambda x: np.arange(2)[np.argmax(x, axis=1)], r"mg\.tensor"),
        (lambda x: np.asanyarray([x.mean(), x.sum()]), r"np\.stack"),
        (lambda x: mg.grad(lambda x: float(f"{x.sum():.3f}") * x[0, 0])(x), "format it outside"),
        (lambda x: math.exp(x.sum()), r"np\.exp\(x\) in place of math\.exp"),
        (lambda x: np.r_["0,2", x, [1.0, 2.0]], r"np\.concatenate"),
        (lambda x: max(x.sum(), 1.0), r"np\.maximum"),
        (lambda x: np.arange(2.0).__setitem__(0, x.sum()), "keep the array"),
        (lambda x: f"{x.sum():.3f}", "format it outside"),
        (lambda x: np.add.at(np.arange(2.0), [0, 1], x[0]), "np.zeros_like"),
    ],
)
def test_what_needs_values_says_what_to_write(f, instead):
    with pytest.raises(mg.JitError, match=instead):
        mg.jit(f)(X)


def test_generator_functions_are_refused():
    def f(x):
        yield x

    with pytest.raises(TypeError, match="f is a generator function"):
        mg.jit(f)


# Numbers cannot be changed; arrays and views of them can


def running_totals(x, y):
    data = (x * x).sum()
    loss = data
    loss += y.sum()
    found = []
    for row in x:
        loss += row.sum()
        found.append(loss)
    s = x[0, 0]
    t = s
    s *= 2
    s -= y
    return loss, data, found, s, t


def counted(x, t):
    before = t
    t += 1
    t <<= 1
    return x * t, before, t


@pytest.mark.parametrize(
    ("f", "inputs"),
    [(running_totals, (X, np.ones(3))), (counted, (X, np.int64(1))), (counted, (X.astype(int), np.array(1)))],
)
def test_augmented_assignment_makes_a_new_number(f, inputs):
    agree(f, *inputs)


def test_an_index_that_is_changed_after_its_use_in_a_gradient():
    def loss(w, i):
        k = i + 0
        p = w[k]
        q = w[k, :1]
        k += 1
        return (p * p).sum() + q.sum()

    agree(mg.grad(loss), X, np.array([0]))


def _then_written(view):
    def f(x):
        y = x * 2
        d = view(y)
        y[...] = 0
        return d * 1

    return f


@pytest.mark.parametrize(
    "f",
    [
        *map(
            _then_written,
            [
                lambda y: y.reshape(-1),
                lambda y: y.T.ravel()[:1],
                lambda y: y[0].ravel(),  # a copy, if y lies in Fortran's order
                lambda y: np.ravel(y[::2, 0], order="F"),
                lambda y: np.diagonal(a=y),
                lambda y: np.split(ary=y, indices_or_sections=2)[0],
                lambda y: np.rot90(m=y),
                lambda y: np.broadcast_arrays(np.ones(1), y)[1],
            ],
        ),
    ],
)
def test_views_are_not_written_to_unseen(f):
    with pytest.raises(mg.JitError, match=r"test_capture\.py.*a view"):
        mg.jit(f)(X)


VIEWS = {
    "part": lambda y: y[1:],
    "backwards": lambda y: y[..., ::-2],
    "row": lambda y: y[-1] if y.ndim > 1 else y,
    "transposed": lambda y: y.T,
    "swapped": lambda y: np.swapaxes(y, 0, -1),
    "flipped": lambda y: np.flip(y, -1),
    "axis": lambda y: np.expand_dims(y, 1),
    "squeezed": lambda y: np.squeeze(y),
    "split": lambda y: np.reshape(y, (*y.shape[:-1], -1, 1 + (y.shape[-1] % 2 == 0))),
    "in Fortran's order": lambda y: np.reshape(y, (2, -1), order="F") if y.size % 2 == 0 == y.ndim - 1 else y,
}

WRITES = {
    "whole": lambda y: y.__setitem__(..., 3.0),
    "part": lambda y: y.__setitem__(slice(1, None), y[:1] * 2),
    "augmented": lambda y: y.__imul__(0.5),
    "out": lambda y: np.add(y, 1.0, out=y),
}


@hypothesis.given(
    st.lists(st.sampled_from(sorted(VIEWS)), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(sorted(WRITES))), min_size=1, max_size=3),
    st.sampled_from([(4, 6), (6,), (2, 3, 4)]),
    st.booleans(),
)
def test_views_of_views_are_read_again_and_written_through(names, writes, shape, is_argument):
    def f(x):
        arrays = [x if is_argument else x * 2]
        for name in names:
            arrays.append(VIEWS[name](arrays[-1]))
        for place, kind in writes:
            WRITES[kind](arrays[min(place, len(names))])
        return [y * 1 for y in arrays]

    compiled = mg.jit(f)
    for start in (0.0, 1.0):
        x = np.arange(start, start + np.prod(shape)).reshape(shape)
        changed, expected = x.copy(), x.copy()
        for got, want in zip(compiled(changed), f(expected), strict=True):
            np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(changed, expected)


def test_a_new_array_of_one_axis_is_viewed_in_one_line():
    def f(x):
        y = x[:, 0] * 2
        line = y.ravel()
        line[0], y[1] = 7, 8
        return y, line

    for got, want in zip(mg.jit(f)(X), f(X), strict=True):
        np.testing.assert_array_equal(got, want)


def spectral(x):
    total = x * 0
    for _ in range(2):
        total += np.real(np.fft.ifft(np.fft.fft(total + x) * 1j))
        smooth = np.fft.ifft(np.fft.fft(total, axis=0), axis=0).real
        smooth[1:] *= 3
        every = smooth[::2]
        every[:, 0] = 1
        total = smooth
    return total, every


def flattened(x):
    products = np.ravel(np.outer(x, x))
    products[2:] -= 1
    return products


@pytest.mark.parametrize("f", [spectral, flattened])
def test_what_views_an_array_that_nothing_else_holds_is_written_to(f):
    compiled = mg.jit(f)
    for x in (X, X[::-1] * 2):
        for got, want in zip(compiled(x), f(x), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "parts",
    [
        lambda z: (np.real(z), z),
        lambda z: (np.real(z), np.imag(z)),
        lambda z: (z.real[0], z.real[1]),
    ],
)
def test_one_of_several_views_that_are_not_read_again_is_not_written_to(parts):
    def f(x):
        first, second = parts(np.fft.fft(x))
        first *= 2
        return first, second * 1

    with pytest.raises(mg.JitError, match="a view is in use"):
        mg.jit(f)(X)


def test_an_array_is_written_to_while_what_was_read_of_it_has_another_shape():
    """Stockham's FFT: a variable of the loop still views the array that is filled again."""

    def fft(x, radix=2, stages=3):
        y = x.copy()
        i, j = np.mgrid[:radix, :radix]
        matrix = np.exp(-2j * np.pi * i * j / radix)
        for stage in range(stages):
            left = radix**stage
            seen = np.reshape(y, (left, radix, -1))
            permuted = np.transpose(seen, (1, 0, 2))
            angles = np.arange(radix)[:, None] * np.arange(left)[None]
            twiddle = np.exp(-2j * np.pi * angles / (left * radix))
            y[:] = np.reshape(matrix @ np.reshape(permuted * twiddle[..., None], (radix, -1)), -1)
        return y

    x = np.arange(8.0) ** 2 + 1j
    compiled = mg.jit(fft)
    for signal in (x, x[::-1].copy()):
        np.testing.assert_allclose(compiled(signal), np.fft.fft(signal), rtol=1e-12, atol=1e-12)


# Shapes that depend on values


@pytest.mark.parametrize(
    ("f", "instead"),
    [
        (lambda x, n, m: x[m].max(), r"np\.where\(mask, x, 0\)"),
        (lambda x, n, m: x.__setitem__(m, np.sort(x[m])), r"np\.where\(mask, x, 0\)"),
        (lambda x, n, m: mg.grad(lambda x: np.prod(x[m] ** 2))(x), "mask"),
        (lambda x, n, m: x[:, m[0]] * 2, "mask"),
        (lambda x, n, m: x[m[0, 0]] * 2, "mask"),
        (lambda x, n, m: (x[:n] * 2).sum(), "an option"),
        (lambda x, n, m: x[0, : np.argmax(x) + 1].mean(), "an option"),
        (lambda x, n, m: x.reshape(n, -1).mean(axis=1), "an option"),
        (lambda x, n, m: np.sum(x, n), "an option"),
        (lambda x, n, m: x.sum(axis=n), "an option"),
        (lambda x, n, m: np.add.reduce(x, axis=n), "an option"),
        (lambda x, n, m: x.cumsum(axis=n).mean(), "an option"),
        (lambda x, n, m: np.mean(x, axis=(n,)), "an option"),
        (lambda x, n, m: np.repeat(x, [n, 1], axis=0).mean(), "an option"),
        (lambda x, n, m: np.repeat(x, n).mean(), "an option"),
        (lambda x, n, m: np.tile(x, n).mean(), "an option"),
        (lambda x, n, m: np.pad(x, n).mean(), "an option"),
        (lambda x, n, m: np.split(x, [n])[0].mean(), "an option"),
        (lambda x, n, m: np.histogram(x, n)[0].mean(), "an option"),
        (lambda x, n, m: np.mean([2.0] * (n + 1)) * x, "an option"),
        (lambda x, n, m: np.unique(x).mean(), r"np\.where"),
        (lambda x, n, m: np.nonzero(m)[0].mean(), r"np\.where"),
        (lambda x, n, m: np.where(m)[0].mean(), r"np\.where"),
        (lambda x, n, m: np.flatnonzero(m).mean(), r"np\.where"),
        (lambda x, n, m: np.compress(m[0], x, axis=0).mean(), r"np\.where"),
        (lambda x, n, m: np.extract(m, x).mean(), r"np\.where"),
    ],
)
def test_shapes_that_depend_on_values_are_refused(f, instead):
    with pytest.raises(mg.JitError, match=rf"test_capture\.py:\d+: .*depends on them.*{instead}"):
        mg.jit(f)(X, np.int64(1), X > 0)


@pytest.mark.parametrize(
    "f",
    [
        lambda rng, n: rng.random(n),
        lambda rng, n: rng.normal(size=(2, n)),
        lambda rng, n: rng.uniform(-1, 1, n),
        lambda rng, n: rng.permutation(n),
    ],
)
def test_sizes_of_draws_that_depend_on_values_are_refused(f):
    with pytest.raises(mg.JitError, match=r"test_capture\.py:\d+: .*depends on them"):
        mg.jit(f)(np.random.default_rng(0), np.int64(3))


@pytest.mark.parametrize("differentiated", [False, True])
def test_what_is_advised_in_the_place_of_masks_gives_the_same(differentiated):
    def by_masks(x, m):
        y = x * 1.0
        y[m] *= 2
        return np.sum(y[m] ** 2) + np.sum(y)

    def selected(x, m):
        y = np.where(m, x * 2, x)
        return np.sum(np.where(m, y, 0) ** 2) + np.sum(y)

    change = mg.grad if differentiated else (lambda f: f)
    for m in (X > 0, X > 9, X < 9):
        np.testing.assert_array_equal(mg.jit(change(selected))(X, m), change(by_masks)(X, m))


def written_by_a_mask_and_a_slice(x, n, m):
    x[m] = -1
    y = x * 2
    y[:n] = 5
    np.add.at(y, m, 1)
    return y


@pytest.mark.parametrize(
    "f",
    [
        written_by_a_mask_and_a_slice,
        lambda x, n, m: x[n + np.arange(1)] * np.where(m, x, 0),
        lambda x, n, m: np.digitize(x, np.cumsum(np.abs(x[0]))),
        lambda x, n, m: np.take(x, n, axis=0) + x[np.array([True, False])] * x[[1, n]],
    ],
)
def test_where_values_change_no_shape(f):
    step = agree(f, X, np.int64(1), X > 0)
    for n, mask in [(0, X < 0), (1, X < 9)]:
        np.testing.assert_array_equal(step(X.copy(), np.int64(n), mask), f(X.copy(), np.int64(n), mask))


def test_draws_whose_parameters_are_arrays_of_integers():
    def f(rng, n):
        return rng.integers(0, n, size=3), rng.integers(0, n), rng.permutation(n + np.arange(3))

    step, one, other = mg.jit(f), np.random.default_rng(1), np.random.default_rng(1)
    for n in (3, 5, 2):
        for x, y in zip(step(one, np.int64(n)), f(other, np.int64(n)), strict=True):
            np.testing.assert_array_equal(x, y)


# Options of NumPy's functions


@pytest.mark.parametrize(
    "f",
    [
        lambda x: [x.ravel("F"), np.ravel(x, order="F"), x.flatten("F"), np.ravel(x[:0])],
        lambda x: [np.reshape(x, (4, 1), order="F"), x.reshape(1, -1, order="F"), np.reshape(x.T, 4, "F")],
        lambda x: [np.full_like(x, 1.0, shape=(2,)) * 2, np.zeros_like(x, shape=3), np.ones_like(x, int)],
        lambda x: [np.transpose(x, (-1, 0)), np.transpose(x), x.transpose(1, 0), x.sum().T * 2],
        lambda x: [np.sum(x, 0, None, None, True), np.mean(x, 0, None, None, True)],
        lambda x: np.sum(x, axis=0, out=np.zeros_like(x[0])),
        lambda x: np.add(x[0], 1, out=np.zeros_like(x)),
        lambda x: [x.clip(0) * 2, x.clip(max=1), np.clip(x, None, 0.5), x.clip(-1, 1)],
        lambda x: round(x.sum(), 2) + round(x[0, 0], 1),
        lambda x: [np.linalg.svd(x).S, *np.linalg.eigh(x @ x.T)],
        lambda x: np.linalg.slogdet(x @ x.T).logabsdet * np.linalg.qr(x).R,
        lambda x: np.linalg.slogdet(x @ x.T),
    ],
)
def test_options(f):
    agree(f, X)


@pytest.mark.parametrize(
    ("f", "error"),
    [
        (lambda x: np.transpose(x, (0, 3)), "out of bounds"),
        (lambda x: np.sum(x, axis=0, out=x), "does not fit"),
        (lambda x: np.add.reduce(x, axis=0, out=np.zeros_like(x)), "does not fit"),
    ],
)
def test_what_numpy_refuses_is_refused(f, error):
    with pytest.raises(ValueError):
        f(X.copy())
    with pytest.raises(ValueError, match=error):
        mg.jit(f)(X)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.ravel(x, order="K"),
        lambda x: np.sum(x, axis=0, out=np.zeros_like(x[0], np.float32)),
        lambda x: np.copy(x, "C", True),
        lambda x: np.nan_to_num(x, copy=False),
        lambda x: round(x.sum()),
    ],
)
def test_what_is_not_captured_is_refused(f):
    with pytest.raises(mg.JitError, match=r"test_capture\.py:\d+: "):
        mg.jit(f)(X.copy())


# What is read from outside


def scope(**names):
    """Functions in a module of their own, whose names can be bound anew."""
    exec(
        "def f(x): return act(x) * betas[1] * rate\n"
        "def act(x): return ufunc(x) + rate\n"
        "def other(x): return x - rate\n"
        "def call(x, u): return u(x)\n"
        "def default(x, u=act): return u(x)",
        names,
    )
    return names


NAMES = {"ufunc": np.sin, "betas": (0.9, 0.99), "rate": 1}


@pytest.mark.parametrize("made", [lambda f: f, partial, lambda f: mg.jit(f), lambda f: partial(partial(f))])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("act", lambda x: x * 3),
        ("act", "other"),
        ("act", np.cos),
        ("ufunc", np.cos),
        ("ufunc", mg.sigmoid),
        ("betas", (0.9, 0.5)),
        ("betas", (1, 1.0)),
        ("betas", [3, 4]),
        ("rate", 1j),
        ("rate", 1.0),
        ("rate", np.float32(0.1)),
    ],
)
def test_a_name_bound_anew_is_seen(made, name, value):
    names = scope(**NAMES)
    step = mg.jit(made(names["f"]))
    for _ in range(2):
        for new in (names[name], names.get(value, value) if isinstance(value, str) else value):
            names[name] = new
            for _ in range(2):
                got, want = step(X), names["f"](X)
                assert got.dtype == want.dtype
                np.testing.assert_allclose(got, want, rtol=1e-15)
    assert step.cache_info().misses == 2


class Model:
    """What holds numbers that change: in attributes, a slot, a dict, a list, a tuple, and an object inside."""

    __slots__ = ("__dict__", "slot")

    def __init__(self):
        self.rate, self.slot, self.config, self.several = 1.0, 1.0, {"rate": 1.0}, [1.0, ({"rate": 1.0},)]
        self.inner = type("Inner", (), {})()
        self.inner.rate = 1.0

    def step(self, x):
        inside = self.several[1][0]["rate"] * self.inner.rate
        return x * self.rate * self.slot * self.config["rate"] * self.several[0] * inside

    def __call__(self, x):
        return self.step(x)

    def changes(self):
        yield lambda: setattr(self, "rate", 0.5)
        yield lambda: setattr(self, "slot", 0.25)
        yield lambda: self.config.update(rate=2.0)
        yield lambda: self.several.__setitem__(0, 3.0)
        yield lambda: self.several[1][0].update(rate=5.0)
        yield lambda: setattr(self.inner, "rate", 7.0)
        yield lambda: setattr(self, "inner", type("Other", (), {"rate": 11.0})())


@pytest.mark.parametrize(
    "made", [lambda m: m.step, lambda m: m, lambda m: lambda x: m.step(x), lambda m: partial(m.step)]
)
def test_changes_in_an_object_from_outside_are_seen(made):
    model = Model()
    step = mg.jit(made(model))
    for change in [lambda: None, *model.changes()]:
        change()
        for _ in range(2):
            np.testing.assert_allclose(step(X), model.step(X), rtol=1e-14)
    assert step.cache_info().misses == 8


def test_entries_added_to_what_is_read_from_outside_are_seen_and_many_are_refused():
    rates, several = {"a": 2.0}, [3.0]
    step = mg.jit(lambda x: x * sum(rates.values()) * sum(several))
    for n in range(3):
        np.testing.assert_allclose(step(X), X * sum(rates.values()) * sum(several), rtol=1e-14)
        rates[str(n)] = 1.0 + n
        np.testing.assert_allclose(step(X), X * sum(rates.values()) * sum(several), rtol=1e-14)
        several.append(2.0)
    several += [1.0] * 500
    misses = [step(X) is not None and step.cache_info().misses for _ in range(3)]
    assert len(set(misses)) == 1
    several += [1.0] * 500
    with pytest.raises(mg.JitError, match="a list of 1,004 entries is read from outside"):
        step(X)


def test_a_name_that_is_bound_later_is_seen():
    names = scope(**NAMES)
    exec("def late(x): return helper(x)\ndef f(x, wanted): return helper(x) if wanted else x", names)
    step, given = mg.jit(names["f"]), mg.jit(names["call"])
    step(X, False)
    with pytest.raises(NameError):
        given(X, names["late"])
    for factor in (2, 3):
        names["helper"] = lambda x, factor=factor: x * factor
        for _ in range(2):
            np.testing.assert_array_equal(step(X, True), X * factor)
            np.testing.assert_array_equal(given(X, names["late"]), X * factor)
            np.testing.assert_array_equal(step(X, False), X)
    names["weights"] = np.ones(2)
    exec("def helper(x): return x * (weights * 2)", names)
    np.testing.assert_array_equal(step(X, True), X * 2)


def test_a_name_that_a_new_function_reads_is_seen():
    names = scope(**NAMES)
    step = mg.jit(names["call"])
    follow = mg.jit(names["f"])
    follow(X)
    names["act"] = names["other"]
    for rate in (1, 2, 3):
        names["rate"] = rate
        np.testing.assert_allclose(follow(X), names["f"](X), rtol=1e-14)
        for given in (
            names["other"],
            partial(names["other"]),
            mg.jit(names["other"]),
            mg.grad(lambda x: names["other"](x).sum()),
        ):
            np.testing.assert_array_equal(step(X, given), given(X))


def test_what_a_function_given_as_an_option_reads_is_seen():
    factor = 2

    def closed(x):
        return x * factor

    layer = mg.layer(lambda x: (x * factor, None), lambda dout, cache: dout * factor)
    names = scope(**NAMES)
    step, default = mg.jit(names["call"]), mg.jit(names["default"])
    for factor in (2, 3, 2.0):
        names["rate"] = factor
        np.testing.assert_array_equal(default(X), names["default"](X))
        for given in (closed, layer, names["act"], partial(names["call"], u=closed)):
            for _ in range(2):
                np.testing.assert_array_equal(step(X, given), given(X))
    assert step.cache_info().misses == 12


def test_arrays_and_attributes_read_by_a_function_given_as_an_option_are_refused():
    weights = np.ones(2)

    class Scaled:
        by = 2.0

        def __call__(self, x):
            return x * self.by

        def method(self, x):
            return x * self.by

    step = mg.jit(lambda x, u: u(x))
    with pytest.raises(mg.JitError, match="comes from outside of the function"):
        step(X, lambda x: x * weights)
    for given in (Scaled(), Scaled().method):
        with pytest.raises(mg.JitError, match="a Scaled, an object that may change"):
            step(X, given)


def test_a_function_that_is_compiled_in_another_reads_its_arrays():
    step = mg.jit(lambda s: mg.jit(lambda y: y * s)(np.ones(2)))
    for s in (2.0, 3.0):
        np.testing.assert_array_equal(step(np.float64(s)), [s, s])


def test_generators_inside_a_compiled_function_called_by_another():
    draw = mg.jit(lambda rng, x: x + rng.normal(size=2))
    step, one, other = (
        mg.jit(lambda x, rng: draw(rng, x) * 2),
        np.random.default_rng(1),
        np.random.default_rng(1),
    )
    for _ in range(3):
        np.testing.assert_array_equal(step(X, one), (X + other.normal(size=2)) * 2)


# What arrays are taken for


@pytest.mark.parametrize(
    "f",
    [
        lambda x, s: [x * 2 if isinstance(x, np.ndarray) else x, s * 3 if isinstance(s, np.ndarray) else s],
        lambda x, s: [x + 2 if isinstance(s, float) else x, x * 2 if isinstance(x, float) else x],
        lambda x, s: [x * 2 if np.isscalar(s) else x, x * 3 if np.isscalar(x) else x],
        lambda x, s: x * 2 if isinstance(x.sum(), np.floating) and not isinstance(x[0], float) else x,
    ],
)
def test_isinstance(f):
    agree(f, X, np.float64(2))


def test_copies():
    def f(params):
        other, x = copy.deepcopy(params), copy.copy(params["x"])
        other["x"] += 1
        other["n"] += 1
        x *= 3
        return other, params["x"] * 2, x

    agree(f, {"x": X.copy(), "n": np.float64(2)})


def test_a_change_under_no_grad_is_found_as_it_is_when_not_compiled():
    def loss(w):
        t = w * 2
        u = (t * t).sum()
        with mg.no_grad():
            t += 1
        return u

    for f in (mg.grad(loss), mg.jit(mg.grad(loss))):
        with pytest.raises(RuntimeError, match="changed in place"):
            f(X)


# Results


def a_constant_and_its_use(x):
    c = np.arange(2.0)
    return x + c, c, {"part": c[1:], "other": np.ones((2, 1)) * 2}


def a_tensor_of_a_part(x):
    return mg.tensor(x, requires_grad=True)[np.array([0, 1, 1])]


def test_arrays_made_inside_are_results():
    agree(a_constant_and_its_use, X)
    step = mg.jit(a_tensor_of_a_part)
    for factor in (1, 2, 3):
        np.testing.assert_array_equal(step(factor * X), factor * X[[0, 1, 1]])


OUTSIDE = {"w": np.ones(2)}


LARGE_OUTSIDE = {"w": np.ones(200_000)}


def the_outsides_part(x):
    w = LARGE_OUTSIDE["w"]
    return x * w[-2:] if float(w[0]) else x


def the_outside_in_another_shape(x):
    w = LARGE_OUTSIDE["w"]
    return x * w.reshape(-1, 2)[:2] if float(w[0]) else x


@pytest.mark.parametrize("f", [the_outsides_part, the_outside_in_another_shape])
def test_a_part_of_a_large_array_whose_values_are_read_is_refused_with_the_line(f):
    line = f.__code__.co_firstlineno + 2
    with pytest.raises(mg.JitError, match=rf"test_capture\.py:{line}: .* comes from outside"):
        mg.jit(f)(X)


def test_an_array_from_outside_whose_memory_nobody_can_write_to_is_a_constant():
    table = lru_cache(lambda n: np.frombuffer(bytes(range(n)), np.uint8))
    step = mg.jit(lambda x: x * table(len(x)))
    for x in (np.ones(3), np.full(3, 2.0), np.ones(4)):
        np.testing.assert_array_equal(step(x), x * np.arange(len(x)))


def test_windows_of_an_argument_are_the_callers_own_from_the_first_call_on():
    step = mg.jit(lambda x: np.lib.stride_tricks.sliding_window_view(x, 2))
    for _ in range(2):
        x = np.arange(3.0)
        windows = step(x)
        x[...] = -1
        np.testing.assert_array_equal(windows, [[0, 1], [1, 2]])


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.split(x, 2)[0] * 2,
        lambda x: np.broadcast_arrays(x, x[0])[0] * 2,
        lambda x: np.meshgrid(x[0], x[1])[1] * 2,
        lambda x: (x, x.T, np.linalg.eigh(x)[0]),
    ],
)
def test_arguments_are_not_kept(f):
    step, x = mg.jit(f), np.eye(2)
    for _ in range(2):
        step(x)
    kept = weakref.ref(x)
    del x
    gc.collect()
    assert kept() is None


class Result:
    def __init__(self, loss):
        self.loss = loss


@pytest.mark.parametrize("kind", [Result, dataclasses.make_dataclass("Result", ["loss"])])
def test_an_object_that_has_arrays_is_no_result(kind):
    with pytest.raises(mg.JitError, match="a Result is returned, which has arrays; return them nested in"):
        mg.jit(lambda x: {"both": kind(x * 2)})(X)


KEPT = Queue()  # whose changes the compiler does not follow


def keeps_a_constant(x):
    steps = np.arange(2.0)
    KEPT.put(steps)
    return x + steps


def test_a_constant_that_something_else_holds_is_copied():
    step = mg.jit(keeps_a_constant)
    for _ in range(2):
        np.testing.assert_array_equal(step(X), X + np.arange(2))
        for kept in KEPT.queue:
            kept[...] = np.nan
    np.testing.assert_array_equal(step(X), X + np.arange(2))
    KEPT.queue.clear()


def changes_a_constant(x):
    steps = np.arange(2.0)
    y = x + steps
    steps += 1
    return y + steps


def test_a_constant_that_is_changed_after_its_use_is_refused():
    with pytest.raises(mg.JitError, match="was changed after its use"):
        mg.jit(changes_a_constant)(X)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x, rng: (x + rng.normal(size=2), rng), "a random generator is returned"),
        (lambda x, rng: x + copy.deepcopy(rng).normal(size=2), r"test_capture\.py.*deepcopy of a random"),
    ],
)
def test_results_and_functions_that_are_refused(f, message):
    with pytest.raises(mg.JitError, match=message):
        mg.jit(f)(X, np.random.default_rng(0))


def factor_of(x):
    try:
        return np.linalg.cholesky(x)
    except np.linalg.LinAlgError:
        return np.linalg.cholesky(x + 10 * np.eye(2))


def test_an_error_of_linalg_may_be_caught_in_any_call():
    step, good = mg.jit(factor_of), np.eye(2)
    for x in (X, good, X, good, good):
        np.testing.assert_array_equal(step(x), factor_of(x))


def test_another_error_that_is_caught_is_refused_with_the_line():
    def added(x, y):
        try:
            return x + y
        except ValueError:
            return x

    line = added.__code__.co_firstlineno + 2
    with pytest.raises(mg.JitError, match=rf"test_capture\.py:{line}: add raised ValueError, which the"):
        mg.jit(added)(np.ones(2), np.ones(3))


def number_or_0(x):
    try:
        return x * float(x[0, 0])
    except TypeError:
        return x * 0


def doubled_if_positive(x):
    with suppress(Exception):
        if x[0, 0] > 0:
            x = 2 * x
    return x


def doubled_at(x):
    with suppress(Exception):
        np.multiply.at(x, [0], 2.0)
    return x * 1


def another_error(x):
    try:
        return np.arange(3) * x.item(0)
    except TypeError:
        raise RuntimeError("no number") from None


def with_entries(x):
    return x * (2 if hasattr(x, "strides") else 3)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (number_or_0, r"float\(\) needs the values"),
        (doubled_if_positive, "a condition"),
        (doubled_at, r"np\.multiply\.at is not captured"),
        (another_error, r"item\(\) needs the values"),
        (with_entries, "has no 'strides'"),
    ],
)
def test_a_refusal_is_an_error_although_the_function_catches_it(f, message):
    with pytest.raises(mg.JitError, match=message):
        mg.jit(f)(X)


@pytest.mark.parametrize("options", [{}, {"where": True}, {"where": np.array(True)}])
def test_a_number_is_not_written_to(options):
    def f(x):
        total = x.sum()
        return np.negative(total, out=total, **options)

    for g in (f, mg.jit(f)):
        with pytest.raises(TypeError, match=r"ArrayType|item assignment"):
            g(X)


@pytest.mark.parametrize(
    "x", [np.array(True), np.array([True]), np.True_, np.int8(3), np.array(0.3), np.exp(1j * np.arange(50))]
)
def test_squares_are_of_the_dtype_and_the_entries_that_numpys_are(x):
    for f in (
        lambda x: x**2,
        lambda x: np.power(x, 2),
        lambda x: np.where(x != 0, x, 0) + np.where(x != 0, 0, x * 2),
    ):
        with np.errstate(all="ignore"):
            got, want = mg.jit(f)(x), f(x)
        np.testing.assert_array_equal(got, want)
        assert (type(got), got.dtype) == (type(want), want.dtype)


def test_what_is_no_attribute_of_an_array_may_be_asked_for():
    step = mg.jit(lambda x: x * (2 if hasattr(x, "requires_grad") else 3))
    np.testing.assert_array_equal(step(X), 3 * X)


def test_an_argument_may_be_called_self():
    def f(x, **others):
        return x * others["self"] + others["function"]

    np.testing.assert_array_equal(mg.jit(f)(X, self=X, function=2), X * X + 2)


def test_sets_of_numbers_that_are_equal_are_other_options():
    step = mg.jit(lambda x, option: (x * 2, option))
    for entry in (1, 1.0, True, (1,), (1.0,), ((0.0,), 1), ((-0.0,), 1)):
        option = frozenset({entry})
        for _ in range(2):
            assert repr(step(X, option)[1]) == repr(option)


def test_complex_numbers_on_either_side_of_a_cut_are_other_options():
    above, below = complex(-1, 0.0), complex(-1, -0.0)
    factor = None
    given, read = mg.jit(lambda x, by: np.sqrt(x * by)), mg.jit(lambda x: np.sqrt(x * factor))
    for factor in (above, below, above, np.complex64(above), np.complex64(below)):
        for step in (partial(given, by=factor), read):
            np.testing.assert_array_equal(step(np.ones(2)), np.sqrt(np.ones(2) * factor))


def test_an_argument_to_be_donated_must_be_one():
    step = mg.jit(lambda x: x * 2, donate_argnums=(0, 1))
    for _ in range(2):
        with pytest.raises(TypeError, match=r"donate_argnums is \(0, 1\), but <lambda> was called with 1"):
            step(X.copy())


# In-place programs that are differentiated


def bias_added_in_place(x, w, b):
    out = x @ w
    out += b
    out *= 2.0
    return (out**2).sum()


def accumulated_in_a_plain_array(x, w, b):
    total = np.zeros(2)
    count = np.zeros(())
    for i in range(3):
        total += x[i, :2] * b
        count += b[0]
    return (total * count).sum()


def written_at_computed_places(x, w, b):
    t = x * 1.0
    rows = np.argsort(x[:, 0])
    t[np.minimum(rows, 1)] = x * b[0]  # one row twice: the last stays
    t[np.argmax(x[:, 1])] = b[1]
    t[rows[:2], rows[1:]] = b
    return (t * t).sum()


def written_where_a_mask_says(x, w, b):
    t = x * 1.0
    t[x > 1.0] = 0.0
    t[x < 0.5] = b[1]
    return (t * t * x).sum()


@pytest.mark.parametrize(
    ("f", "argnums"),
    [
        *[(bias_added_in_place, argnums) for argnums in (0, 1, 2, (0, 2), (0, 1, 2))],
        *[(accumulated_in_a_plain_array, argnums) for argnums in (0, 2, (0, 2))],
        *[(written_at_computed_places, argnums) for argnums in (0, (0, 2))],
        *[(written_where_a_mask_says, argnums) for argnums in (0, (0, 2))],
    ],
)
def test_in_place_programs_are_compiled_as_they_run(f, argnums):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(3, 3)), rng.normal(size=(3, 2)), rng.normal(size=2)
    agree(mg.value_and_grad(f, argnums), *inputs)
    agree(f, *inputs)


def _held(x, w, b):
    out = x @ w
    kept = [out]
    out += b
    return (kept[0] ** 2).sum()


def _helped(x, w, b):
    def add(p, v):
        p += v

    out = x @ w
    add(out, b)
    return (out**2).sum()


def _part(x, w, b):
    out = x @ w
    out[0] += b
    return (out**2).sum()


@pytest.mark.parametrize("f", [_held, _helped, _part])
def test_a_write_into_a_plain_array_that_others_hold_is_refused_in_the_same_words(f):
    inputs = np.ones((3, 3)), np.ones((3, 2)), np.ones(2)
    for differentiate in (mg.grad(f, 2), mg.jit(mg.grad(f, 2))):
        with pytest.raises(mg.TapeError, match=r"cannot be written into a plain array.*a = mg\.tensor\(a\)"):
            differentiate(*inputs)
    agree(f, *inputs)


def _plain_out(x):
    room = np.zeros(3)
    np.add(room, x, out=room)
    return room * x


def _plain_alias(x):
    room = np.zeros(3)
    kept = [room]
    room += x
    return kept[0] * x


def _plain_rows(x):
    room = np.zeros((2, 3))
    for row in room:
        row += x
    return room


def _plain_helper(x):
    def add(p, v):
        p += v

    room = np.zeros(3)
    add(room, x)
    return room


@pytest.mark.parametrize("f", [_plain_out, _plain_alias, _plain_rows, _plain_helper])
def test_a_write_into_an_array_made_inside_is_never_lost(f):
    agree(f, np.ones(3))


class Holder:
    """Arrays in attributes, a tuple, a dict, a list and a slot, which a function reads for numbers alone."""

    __slots__ = ("__dict__", "slot")

    def __init__(self):
        self.scale, self.slot, self.several = np.ones(2), np.ones(2), (np.ones(2), [np.ones(2)])
        self.config, self.large, self.tensor = {"w": np.ones(2)}, np.ones((100, 100)), mg.tensor(np.ones(2))

    def step(self, x):
        numbers = self.scale.mean() * self.slot[0] * self.several[0].sum() * float(self.several[1][0][1])
        return x * numbers * np.sqrt(self.config["w"])[0] * self.large.max() * self.tensor.data[0]

    def arrays(self):
        return [
            self.scale,
            self.slot,
            self.several[0],
            self.several[1][0],
            self.config["w"],
            self.large,
            self.tensor.data,
        ]


@pytest.mark.parametrize("made", [lambda m: m.step, lambda m: lambda x: m.step(x)])
@pytest.mark.filterwarnings("ignore:jit. .* was compiled 5 times")
def test_changes_in_place_of_arrays_in_an_object_are_seen(made):
    holder = Holder()
    step = mg.jit(made(holder))
    for array in [np.zeros(1), *holder.arrays()]:
        array += 3
        for _ in range(2):
            np.testing.assert_allclose(step(X), holder.step(X), rtol=1e-14)
    assert step.cache_info().misses == 4  # once for each whose values are asked for
    holder.large -= 3
    step(X)
    holder.several[1][0][1] -= 3
    step(X)
    holder.several[1][0][1] += 3
    step(X)
    assert step.cache_info().misses == 5


def test_arrays_of_an_object_that_are_arguments_or_asked_for_their_shape_may_change():
    class Trainer:
        def __init__(self):
            self.params, self.X = {"w": np.ones(3)}, np.ones((4, 3))
            self.gradient = mg.jit(mg.grad(self.loss))

        def loss(self, params=None):
            params = self.params if params is None else params
            return sum(np.sum(params[name] ** 2) for name in self.params) / self.X.shape[0]

    trainer = Trainer()
    for _ in range(4):
        w = trainer.params["w"]
        np.testing.assert_allclose(trainer.gradient(trainer.params)["w"], w / 2)
        w += 1
        trainer.X += 1
    assert trainer.gradient.cache_info().misses == 1


def test_it_warns_of_an_array_outside_that_changes_often():
    kept = {"w": np.ones(2)}
    f = mg.jit(lambda x: x * float(kept["w"].sum()))
    for _ in range(4):
        f(X)
        kept["w"] += 1
    with pytest.warns(UserWarning, match=r"for as many values of an array of shape \(2,\) that it reads"):
        f(X)


def test_globals_of_the_programs_modules_are_followed(tmp_path, monkeypatch):
    (tmp_path / "config_of_a_test.py").write_text(
        "rate = 2.0\nclass inner:\n    k = 3.0\ndef scaled(x):\n    return x * rate\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import config_of_a_test as config

    namespace = {"config": config}
    exec("def g(x): return x * config.inner.k + config.scaled(x) * config.rate", namespace)
    g = mg.jit(namespace["g"])
    for rate, k in ((2.0, 3.0), (5.0, 3.0), (5.0, 7.0)):
        config.rate, config.inner.k = rate, k
        np.testing.assert_allclose(g(X), X * k + X * rate * rate)
    assert g.cache_info().misses == 3


class Normalized:
    """A running mean that is read and rebound, and counted; what it computes depends on the count."""

    def __init__(self):
        self.mean, self.count = np.zeros(2), 0

    def loss(self, w, x):
        self.mean = 0.9 * self.mean + 0.1 * x.mean(axis=0)
        self.count += 1
        return np.sum((x - w) ** 2) if self.count else np.sum(w)


def test_what_is_refused_leaves_attributes_as_they_were():
    net = Normalized()
    args = np.ones(2), np.ones((3, 2))
    net.loss(*args)
    with pytest.raises(mg.JitError, match="loss changes count, which it reads"):
        mg.jit(net.loss)(*args)
    np.testing.assert_allclose(net.mean, 0.1)
    assert net.count == 1


def test_what_is_refused_leaves_lists_and_dicts_as_they_were():
    kept, known = [np.zeros(2)], {"a": 1.0}

    def f(x):
        kept[0] = kept[0] + x
        known["h"] = x * known["a"]
        return np.sum(x) + np.random.default_rng().random()

    with pytest.raises(mg.JitError):
        mg.jit(f)(np.ones(2))
    assert known == {"a": 1.0}
    np.testing.assert_array_equal(kept, [np.zeros(2)])


def test_an_attribute_that_the_function_sets_before_it_reads_it_may_be_set_by_others():
    class Net:
        w = None

        def forward(self, x):
            return np.tanh(x @ self.w)

    net = Net()

    def loss(w, x):
        net.w = w
        return np.sum(net.forward(x))

    f = mg.jit(mg.value_and_grad(loss))
    for i in range(4):
        w, x = np.full((3, 2), 0.1 * i), np.ones((4, 3))
        np.testing.assert_allclose(loss(w, x), f(w, x)[0])
    assert f.cache_info().misses == 1


SETTINGS = {"keep": 1.0}


class Scaled:
    """What its constructor reads from outside is read in each call."""

    def __init__(self, w):
        self.w, self.scale = w, SETTINGS["keep"]

    def __call__(self, x):
        return np.sum(np.tanh(x @ self.w) * self.scale)


def test_what_a_constructor_reads_is_followed():
    f = mg.jit(lambda w, x: Scaled(w)(x))
    w, x = np.ones((2, 2)), np.ones((3, 2))
    for keep in (1.0, 0.5, 1.0):
        SETTINGS["keep"] = keep
        np.testing.assert_allclose(f(w, x), Scaled(w)(x))
    assert f.cache_info().misses == 2


LAST = 0


def test_numbers_that_a_function_sets_are_set_in_each_call():
    class Meter:
        n = 0

        def loss(self, x):
            global LAST
            self.n = LAST = len(x)
            return np.sum(x)

    meter = Meter()
    f = mg.jit(meter.loss)
    for n in (3, 2, 3, 2, 2, 3):
        f(np.ones(n))
        assert (meter.n, LAST) == (n, n)
    assert f.cache_info().misses == 2


def test_what_is_built_in_the_first_call_is_built_again_where_it_was_dropped():
    class Net:
        built, sizes = False, None

        def step(self, x):
            if not self.built:
                self.built, self.sizes = True, [len(x)]
            return x * self.sizes[0]

    net = Net()
    f = mg.jit(net.step)
    for _ in range(2):
        np.testing.assert_array_equal(f(X), X * len(X))
        assert net.built and net.sizes == [len(X)]
        net.built, net.sizes = False, None


def test_what_is_read_from_outside_may_be_in_itself():
    around = {"rate": 2.0, "list": [1.0]}
    around["self"], around["list"] = around, [around]
    f = mg.jit(lambda x: x * around["self"]["rate"] * around["list"][0]["rate"])
    for rate in (2.0, 3.0):
        around["rate"] = rate
        np.testing.assert_array_equal(f(X), X * rate * rate)


def test_modules_in_attributes_and_variables_are_followed(tmp_path, monkeypatch):
    (tmp_path / "rates_of_a_test.py").write_text("rate = 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    import rates_of_a_test as rates

    class Holder:
        def __init__(self, rates):
            self.rates = rates

        def step(self, x):
            return x * self.rates.rate

    def importing(x):
        import rates_of_a_test

        return x * rates_of_a_test.rate

    def importing_the_number(x):
        from rates_of_a_test import rate

        return x * rate

    for f in (Holder(rates).step, lambda x: x * rates.rate, importing, importing_the_number):
        g = mg.jit(f)
        for rate in (1.0, 2.0):
            rates.rate = rate
            np.testing.assert_array_equal(g(X), X * rate)


def test_it_warns_of_a_number_outside_that_changes_often():
    class Trainer:
        rate = 1.0

        def step(self, x):
            return x * self.rate

    trainer = Trainer()
    f = mg.jit(trainer.step)
    for i in range(4):
        trainer.rate = 1.0 + i
        f(X)
    trainer.rate = 7.0
    with pytest.warns(UserWarning, match="for as many values of rate that it reads from outside"):
        f(X)


class Module:
    """A container whose children are its arrays."""

    def __init__(self, w):
        self.w, self.name = w, "fc"


def test_a_container_that_finds_its_arrays_by_their_type_is_returned_with_arrays():
    def rebuild(module, new):
        made = Module(module.w)
        vars(made).update(new)
        return made

    mg.register_container(
        Module, lambda m: {k: v for k, v in vars(m).items() if isinstance(v, np.ndarray)}, rebuild
    )
    gradient = mg.grad(lambda m: np.sum(m.w**2))
    for f in (gradient, mg.jit(gradient)):
        found = f(Module(np.ones(3)))
        np.testing.assert_array_equal(found.w, [2, 2, 2])
        assert type(found.w) is np.ndarray and found.name == "fc"


def test_an_attribute_that_one_mode_alone_sets_is_read_in_the_other():
    class Net:
        scale = 1.0

        def step(self, x, training):
            if training:
                self.scale = x * 2
                return x
            return x * self.scale

    net = Net()
    f = mg.jit(net.step)
    f(X, True)
    for scale in (2.0, 3.0):
        net.scale = scale
        np.testing.assert_array_equal(f(X, False), X * scale)


def test_a_number_that_is_kept_in_an_attribute_may_be_read_again():
    class Net:
        largest = None

        def step(self, x):
            self.largest = x.max()
            return x / self.largest

    net = Net()
    np.testing.assert_array_equal(mg.jit(net.step)(X), X / X.max())


RATE = {"rate": 1.0}


class Point(NamedTuple):
    """A tuple with names, and a method."""

    x: np.ndarray

    def scaled(self):
        return self.x * RATE["rate"]


@mg.register_container
@dataclasses.dataclass
class Line:
    """A registered container with a method."""

    x: np.ndarray

    def scaled(self):
        return self.x * RATE["rate"]


class Points(list):
    """A list of one's own, with a method."""

    factor = 1.0

    def scaled(self):
        return self[0] * RATE["rate"] * self.factor


@pytest.mark.parametrize("kind", [Point, Line, lambda x: Points([x])], ids=["tuple", "dataclass", "list"])
def test_what_the_methods_of_an_argument_read_is_followed(kind):
    f = mg.jit(lambda p: p.scaled())
    for rate in (1.0, 2.0, 1.0):
        RATE["rate"] = rate
        np.testing.assert_array_equal(f(kind(X)), X * rate)
    assert f.cache_info().misses == 2


def test_a_tensor_of_constants_is_added_to_in_place():
    """Of values that have no gradient, and compiled."""

    def summed(x, index):
        a = mg.tensor(np.zeros(4))
        np.add.at(a, index, x)
        return np.sum(a**2)

    x, index = np.array([1.0, 2.0, 3.0]), np.array([0, 1, 1])
    for f in (summed, mg.jit(summed)):
        assert f(x, index) == 26
        assert f(x, index * 0) == 36
    for f in (mg.grad(summed), mg.jit(mg.grad(summed))):
        np.testing.assert_array_equal(f(x, index), [2, 10, 10])


def test_objects_live_in_memory_of_their_own():
    """The buffers of a compiled function are raw memory, in which there may be no references to objects."""
    w, objects = np.arange(4.0).reshape(2, 2), np.array([[Fraction(1, 3), 2], [0.5, Fraction(5, 7)]])

    def f(w, x):
        c = np.zeros_like(x)
        c[0] = x[1] * w[0]
        c += np.maximum(x, 1)
        np.add.at(c, [0, 0], 1)
        return np.mean((x - w) ** 2, axis=0), c, x @ x, w.astype(object) * 2, np.where(x > 1, x, w)

    compiled = mg.jit(f)
    for _ in range(20):
        for got, want in zip(compiled(w, objects), f(w, objects), strict=True):
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(got, want)


def test_add_at_returns_nothing():
    def f(x):
        sums = np.zeros_like(x)
        return np.add.at(sums, [0, 0], 1.0), sums

    assert mg.jit(f)(np.ones(2))[0] is None
