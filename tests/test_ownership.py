"""Writes through views: they are what NumPy makes of them, or an error, eager and compiled."""

import gc
import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.checks.proof import of_arrays
from minigrad.engine import watch
from minigrad.engine.ownership import Neighbours
from minigrad.rules import OPS
from minigrad.rules.facts import facts
from minigrad.testing import calls


@given(st.data())
def test_neighbours_are_all_that_share_memory(data):
    memory = np.zeros(24), np.zeros((4, 6))

    def draw():
        x = data.draw(st.sampled_from(memory)).reshape(-1)
        start, stop = sorted([data.draw(st.integers(0, 24)) for _ in range(2)])
        return x[start : stop : data.draw(st.integers(1, 5))][:: data.draw(st.sampled_from([1, -1]))]

    arrays, others = ([draw() for _ in range(data.draw(st.integers(0, 6)))] for _ in range(2))
    near = [id(x) for x in Neighbours(arrays).near(others)]
    assert len(set(near)) == len(near)
    assert {id(x) for x in arrays for y in others if np.shares_memory(x, y)} <= set(near)


VIEWS = {
    "row": lambda a: a[0],
    "rows": lambda a: a[1:],
    "transpose": lambda a: a.T,
    "flat": lambda a: a.reshape(-1),
    "column": lambda a: a[:, 1],
    "of a view": lambda a: a.T[1:],
    "of a view of a view": lambda a: a.T[1:].T[0],
    "split": lambda a: np.split(a, 2)[1],
    "copy": lambda a: a[0].copy(),
    "new": lambda a: a[0] * 1.0,
}


def _iadd(v, x):
    v += x[0, 0]
    return v


def _imul(v, x):
    v *= 3.0
    return v


def _isub(v, x):
    v -= v.sum() * x[1, 0]
    return v


def _entry(v, x):
    v[0] = x[0, 1]
    return v


def _all(v, x):
    v[...] = x[0, 2]
    return v


def kept(view, write, x):
    """Something else has the array that is viewed."""
    a = x * 2.0
    v = write(view(a), x)
    return (a * a).sum() + (v * 3.0).sum()


def dropped(view, write, x):
    """Nothing has the array that is viewed, once it is."""
    v = write(view(x * 2.0), x)
    return (v * v).sum()


def view_kept(view, write, x):
    """Something has the view of which another is written to."""
    v = view(x * 2.0)
    w = write(v[:1], x)
    return (v * v).sum() + (w * 3.0).sum()


def of_a_constant(view, write, x):
    """A tensor that is filled through a view."""
    a = mg.tensor(np.ones((2, 3))) if type(x) is not np.ndarray else np.ones((2, 3))
    v = write(view(a), x)
    return (a * a).sum() + (v * 3.0).sum()


X = np.arange(1.0, 7.0).reshape(2, 3)


def differences(f, x, h=1e-5):
    slopes = [
        (f(x + h * e.reshape(x.shape)) - f(x - h * e.reshape(x.shape))) / (2 * h) for e in np.eye(x.size)
    ]
    return np.reshape(slopes, x.shape)


DIFFERENTIATIONS = pytest.mark.parametrize(
    "differentiate", [mg.grad, lambda f: mg.jit(mg.grad(f))], ids=["eager", "jit"]
)
PROGRAMS = list(
    product(VIEWS.values(), [_iadd, _imul, _isub, _entry, _all], [kept, dropped, view_kept, of_a_constant])
)


@DIFFERENTIATIONS
def test_a_write_through_a_view_is_numpys_or_an_error(differentiate):
    for view, write, program in PROGRAMS:

        def f(x, view=view, write=write, program=program):
            return program(view, write, x)

        try:
            got = differentiate(f)(X)
        except mg.TapeError as error:
            assert "in-place change of a view" in str(error)  # of some programs
            assert program is not dropped
        else:
            np.testing.assert_allclose(got, differences(f, X), rtol=1e-6, atol=1e-6)


def _fill(a, v, x):
    a[...] = 3.0


def _fill_view(a, v, x):
    v[...] = 3.0


def _shift(a, v, x):
    a += 1.0


def _shift_view(a, v, x):
    v += 1.0


def _add(a, v, x):
    a += x
    return a


def _set(a, v, x):
    a[0] = x[0]


def _copied(a, v, x):
    np.copyto(a, x)


def test_views_of_an_array_made_inside_that_is_written_to():
    """Compiled, a view of a constant is read as it is then, or refused."""
    answers = set()
    for view, write, before in product(
        VIEWS, [_fill, _fill_view, _shift, _shift_view, _add, _set, _copied], [False, True]
    ):

        def f(x, view=view, write=write, before=before):
            a = np.ones((2, 3))
            v = VIEWS[view](a)
            total = np.sum(v) * x[0, 0] if before else 0.0
            total = total + np.sum(v * x[0, 0]) if before else total
            a = write(a, v, x)
            return total + np.sum(v * x[0, 1]) + (0.0 if a is None else np.sum(a * x))

        step = mg.jit(f)
        try:
            got = [step(X), step(X + 1)]
        except mg.JitError:
            answers.add("refused")
        else:
            answers.add("numpy's")
            np.testing.assert_allclose(got, [f(X), f(X + 1)])
    assert answers == {"refused", "numpy's"}


@DIFFERENTIATIONS
def test_rows_changed_in_a_loop(differentiate):
    """`for row in t: row -= …` would change no tensor but the row's own."""

    def centred(x):
        a = x * 1.0
        for row in a:
            row -= row.mean()
        return (a * a).sum()

    with pytest.raises(mg.TapeError, match=r"t\[i\] \+= a in place of row \+= a"):
        differentiate(centred)(X)


@DIFFERENTIATIONS
def test_parts_changed_in_place_where_they_are_written_back(differentiate):
    """`t[i] += …` reads a view, changes it, and writes it back; an item of a list is a view that stays one."""

    def f(x):
        a = x * 1.0
        for i in range(2):
            a[i] += a[i - 1]
            a[i, 1:] *= a[i - 1, 0]
        return (a * a).sum()

    def rows_of_a_list(x):
        a = x * 1.0
        rows = [a[0], a[1]]
        rows[0] += 1.0
        return (a * a).sum()

    np.testing.assert_allclose(differentiate(f)(X), differences(f, X), rtol=1e-6)
    with pytest.raises(mg.TapeError, match="in-place change of a view"):
        differentiate(rows_of_a_list)(X)


def _write_row(a, x):
    a[1] = x[0]


def _write_column(a, x):
    a[:, 0] = x[1, 1]


def _write_where(a, x):
    a[np.array([False, True])] = 3.0


def _write_at(a, x):
    a[[0, 0], [1, 2]] = x[0, 0]


def _add_to_row(a, x):
    a[0] += x[1]


def _scale(a, x):
    a *= x[0, 1]


PARTS = {**VIEWS, "left": lambda a: a[:, 0], "right": lambda a: a[:, 1:], "last row": lambda a: a[-1]}
WRITES = [_write_row, _write_column, _write_where, _write_at, _add_to_row, _scale]


@DIFFERENTIATIONS
def test_a_view_read_after_a_write_is_numpys_or_an_error(differentiate):
    """What was not written to is read as it was; a view of what was is refused."""
    refused = set()
    for view, write in product(PARTS, WRITES):

        def f(x, view=view, write=write):
            a = x * 2.0
            v = PARTS[view](a)
            before = (v * v).sum()
            write(a, x)
            return before + (v * 3.0 * v).sum() + (a * a).sum()

        try:
            got = differentiate(f)(X)
        except RuntimeError as error:
            assert "is a view of a tensor that was written to" in str(error)
            refused.add((view, write))
        else:
            np.testing.assert_allclose(got, differences(f, X), rtol=1e-6, atol=1e-6)
    assert ("row", _add_to_row) in refused
    assert not refused & {("right", _write_column), ("left", _write_at), ("last row", _add_to_row)}
    assert not {view for view, _ in refused} & {"copy", "new"}


@DIFFERENTIATIONS
def test_views_taken_again_after_the_write(differentiate):
    """A stencil, and rows exchanged: taken once and for all, the views would not follow."""

    def heat(x, views):
        u = x * 1.0
        parts = views(u)
        for _ in range(3):
            left, mid, right = parts if parts is not None else (u[:, :-2], u[:, 1:-1], u[:, 2:])
            u[:, 1:-1] = mid + 0.1 * (left - 2 * mid + right)
        return (u * np.arange(6.0).reshape(2, 3)).sum()

    def exchanged(x, copy):
        a = x * 1.0
        a[0], a[1] = (a[1].copy(), a[0].copy()) if copy else (a[1], a[0])
        return (a * np.arange(6.0).reshape(2, 3)).sum()

    for f in (lambda x: heat(x, lambda u: None), lambda x: exchanged(x, copy=True)):
        np.testing.assert_allclose(differentiate(f)(X), differences(f, X), rtol=1e-6)
    for f in (
        lambda x: heat(x, lambda u: (u[:, :-2], u[:, 1:-1], u[:, 2:])),
        lambda x: exchanged(x, copy=False),
    ):
        with pytest.raises(RuntimeError, match="take the view again after the write"):
            differentiate(f)(X)


TAKEN = [
    "a[0]",
    "a[1:]",
    "a.T",
    "a.reshape(-1)",
    "a[:, 1]",
    "np.squeeze(a)",
    "np.atleast_2d(a)",
    "np.ravel(a)",
    "np.diagonal(a)",
    "np.split(a, [1], axis=1)[1]",
    "v[::-1]",
]
WRITTEN = [
    "a[0] = x[0, 1]",
    "a[1:] *= 2.0",
    "a[:, 0] += s",
    "a[np.eye(3) > 0] = x[2]",
    "a[[0, 2], [1, 1]] *= x[0, 0]",
    "a *= x[1, 1]",
    "a -= 0.5",
    "v += x[0, 0]",
    "v[0] = 2.0",
    "np.copyto(a, x[0, 1])",
    "np.fill_diagonal(a, x[2, 2])",
    "np.add(a, 0.5, out=a)",
    "a = a * x[0, 1]",
    "b = a",
]
READ = ["s = s + np.sum(a * 0.3)", "s = s + np.sum(v ** 2) * 0.1", "s = s + np.sum(b * (v.max() > 0.7))"]
MADE = ["a = x * 1.0", "a = np.copy(x)", "a = np.zeros_like(x)", "a = np.zeros((3, 3)) * x[0, 0]"]


def differentiable(lines):
    source = "\n    ".join(["def f(x):", *lines])
    scope = {"np": np}
    exec(compile(source, "<drawn>", "exec"), scope)
    return scope["f"]


@settings(max_examples=150)
@given(
    st.sampled_from(MADE),
    st.lists(
        st.one_of(
            st.sampled_from(TAKEN).map(lambda view: f"v = {view}"),
            st.sampled_from(WRITTEN),
            st.sampled_from(READ),
        ),
        min_size=2,
        max_size=8,
    ),
)
def test_views_and_writes_in_any_order_are_numpys_or_an_error(made, steps):
    """Recorded, compiled, and compiled without a gradient: no view shows what it would not show in NumPy."""
    f = differentiable([made, "b, v, s = a * 1.0, a[0], 0.0", *steps, *READ, "return s + np.sum(a)"])
    x = np.linspace(0.5, 1.5, 9).reshape(3, 3)[::-1].copy()
    try:
        want = f(x.copy())
    except (ValueError, IndexError):  # shapes that do not fit
        return
    for differentiate in (mg.value_and_grad, lambda f: mg.jit(mg.value_and_grad(f)), None):
        try:
            value, gradient = (mg.jit(f)(x.copy()), None) if differentiate is None else differentiate(f)(x)
        except (RuntimeError, mg.TapeError, mg.JitError) as error:
            assert "view" in str(error)
        else:
            np.testing.assert_allclose(value, want, rtol=1e-9)
            if gradient is not None:
                np.testing.assert_allclose(gradient, differences(f, x, 1e-6), rtol=1e-4, atol=1e-5)


def _kept_sum(x):
    s = np.sum(x)
    before = s
    s += 1.0
    return s * before


def _kept_entry(x):
    best = x[0, 0]
    product = best
    for v in x[0, 1:]:
        product *= v
    return product + best


def _running_sums(x):
    s, sums = np.sum(x * 0.0), []
    for v in x[0]:
        s += v
        sums.append(s)
    return sums[0] * 10 + sums[1] ** 2


def _of_a_constant_sum(x):
    s = np.sum(np.zeros_like(x))
    before = s
    s += np.sum(x)
    return s * (before + 1.0)


def _arrays_of_no_axes_change(x):
    s = np.reshape(np.sum(x, keepdims=True), ())
    s = np.copy(s)
    same = s
    s += 1.0
    return s * same


def _counted(x):
    n = np.sum(x > 2.5)
    before = n
    n += 1
    return np.sum(x) * n * before


@DIFFERENTIATIONS
@pytest.mark.parametrize(
    "f",
    [_kept_sum, _kept_entry, _running_sums, _of_a_constant_sum, _arrays_of_no_axes_change, _counted],
)
def test_numbers_do_not_change_and_arrays_of_no_axes_do(differentiate, f):
    """Of a number `s += 1` makes another, whoever else has it."""
    np.testing.assert_allclose(differentiate(f)(X), differences(f, X), rtol=1e-6)


NUMBERS = [
    "n += x[0, 1]",
    "n *= 2.0",
    "m = n",
    "n -= m",
    "m *= n",
    "k.append(n)",
    "n = x[1, 1] + m",
    "m /= x[2, 2]",
]


@settings(max_examples=60)
@given(
    st.sampled_from(["np.sum(x)", "x[0, 0]", "np.copy(x[0, 0])", "np.max(x)"]),
    st.lists(st.sampled_from(NUMBERS)),
)
def test_numbers_in_any_order_are_numpys(made, steps):
    f = differentiable([f"n = {made}", "m, k = n, [n]", *steps, "return n + 2 * m + 3 * sum(k)"])
    x = np.linspace(0.5, 1.5, 9).reshape(3, 3)
    for differentiate in (mg.value_and_grad, lambda f: mg.jit(mg.value_and_grad(f))):
        value, gradient = differentiate(f)(x)
        np.testing.assert_allclose(value, f(x), rtol=1e-9)
        np.testing.assert_allclose(gradient, differences(f, x, 1e-6), rtol=1e-4, atol=1e-4)


def test_a_number_takes_the_dtype_that_numpy_gives_it():
    t = mg.tensor(np.ones(3, np.float16), requires_grad=True)
    loss = np.mean(t)
    loss += np.float32(1)
    assert loss.dtype == np.float32
    with mg.no_grad():
        total = np.sum(t)
        kept = total
        total += 1.0
    assert (kept.item(), total.item()) == (3.0, 4.0)
    scale = mg.tensor(2.0, requires_grad=True)
    same = scale
    with mg.no_grad():
        scale -= 0.5
    assert same.item() == 1.5
    assert np.asarray(mg.stop_gradient(loss)).flags.writeable


def _second_write(x):
    a = x * 1.0
    v = a[0]
    a[1] = 0.0
    a[0] = 5.0
    return np.sum(v * x[0])


def _written_in_place_then(x):
    a = x * 1.0
    v = a[0]
    a[1] = 0.0
    for i in range(2):
        a[0, i] = 5.0
    return np.sum(v * x[0])


def _written_to_itself(x):
    a = x * 1.0
    v = a[0]
    np.copyto(a, 0.5)
    v[0] = 2.0
    return np.sum(a * x) + np.sum(v)


def _added_to_itself(x):
    a = x * 1.0
    v = a[0]
    a[0] = 0.5
    v += 2.0
    return np.sum(a * x) + np.sum(v)


def _of_constants(x):
    a = np.zeros_like(x)
    v = a[0]
    a[0] = 1.0
    return np.sum((v * 2.0) * x[0])


def _mask(x):
    a = x * 1.0
    v = a[0]
    a[0] = -1.0
    return np.sum(x[0] * (v > 0))


def _number(x):
    a = np.zeros_like(x)
    v = a[0]
    a[0] = -1.0
    return np.sum(x[0]) * float(v[0] * 1.0)


def _argmax(x):
    a = np.zeros_like(x)
    v = a[0]
    a[0, 2] = 1.0
    return x[0, np.argmax(v)] * 2.0


def _as_it_is(x):
    a = x * 1.0
    v = np.squeeze(a)
    a[0] = 5.0
    return np.sum(v * x)


AS_IT_IS = mg.layer(lambda x: (x, None), lambda dout, cache: dout)


def _as_it_is_of_a_layer(x):
    a = x * 1.0
    v = AS_IT_IS(a)
    a[0] = 5.0
    return np.sum(v * x)


def _as_it_is_of_constants(x):
    a = np.zeros_like(x)
    v = np.atleast_2d(a)
    a[0] = 5.0
    return np.sum(v * x)


@DIFFERENTIATIONS
@pytest.mark.parametrize(
    "f",
    [
        _second_write,
        _written_to_itself,
        _added_to_itself,
        _written_in_place_then,
        _of_constants,
        _mask,
        _number,
        _argmax,
        _as_it_is,
        _as_it_is_of_a_layer,
        _as_it_is_of_constants,
    ],
)
def test_a_view_that_does_not_follow_is_read_by_nothing(differentiate, f):
    with pytest.raises(
        (RuntimeError, mg.TapeError, mg.JitError),
        match=r"is a view of a tensor that was written to|in-place change of a view|needs the values",
    ):
        differentiate(f)(X)


@DIFFERENTIATIONS
@pytest.mark.parametrize("through", [lambda f: f, mg.checkpoint], ids=["", "checkpointed"])
def test_what_was_read_before_the_write_has_higher_derivatives(differentiate, through):
    def f(x):
        a = x * 1.0
        v = a[0]
        s = through(lambda row: np.sum(row**3))(v)
        a[0] = 0.0
        return s + np.sum(a**2) + 0.0 * len(v)

    np.testing.assert_allclose(differentiate(f)(X), [[3, 12, 27], [8, 10, 12]])
    second = differentiate(lambda x: np.sum(mg.grad(f)(x) ** 2))
    np.testing.assert_allclose(second(X), [[36, 288, 972], [32, 40, 48]])


def test_replaced_arrays_are_forgotten_with_them():
    gc.collect()
    before = len(watch.replaced)
    t = mg.tensor(np.ones((2, 3)), requires_grad=True) * 1.0
    v = t[0]
    t[0] = 2.0
    assert len(watch.replaced) == before + 1
    del t, v
    assert len(watch.replaced) == before


MAY_VIEW = [
    op
    for op in dict.fromkeys(OPS.values())
    if facts(op.function).memory in ("view", "")
    and not isinstance(op.function, np.ufunc)
    and op.function.__module__.startswith("numpy")
]


def viewed_places(f, arrays):
    """The results of a function that are views of an operand, and which operands."""
    outs = f(*arrays)
    outs = outs if isinstance(outs, (tuple, list)) else [outs]
    pairs = product(enumerate(outs), enumerate(arrays))
    return [(k, i) for (k, out), (i, x) in pairs if np.size(out) and np.may_share_memory(out, x)]


@pytest.mark.parametrize("writes_view", [True, False], ids=["view", "viewed"])
@pytest.mark.parametrize("op", MAY_VIEW, ids=repr)
@pytest.mark.filterwarnings("ignore:Numpy has detected")  # of np.broadcast_arrays
@settings(max_examples=6)
@given(st.data())
def test_whatever_views_an_operand_shows_what_is_written_or_is_refused(op, writes_view, data):
    """And so the other way round, for every function of NumPy's in the table."""
    args, kwargs = data.draw(calls(op.inputs))
    f, arrays = of_arrays(op.function, args, kwargs)
    arrays = [np.array(x) for x in arrays]
    for k, i in viewed_places(f, arrays):

        def program(*xs, k=k, i=i):
            xs = [x * 1.0 for x in xs]
            out = f(*xs)
            out = out[k] if isinstance(out, (tuple, list)) else out
            if writes_view:
                out[...] = 7.0
                return xs[i]
            xs[i][...] = 7.0
            return out

        try:
            want = program(*arrays)
        except (ValueError, TypeError):  # read-only, or a number
            continue
        total = mg.value_and_grad(lambda *xs: np.sum(np.abs(program(*xs))))
        for run, expected in ((mg.jit(program), want), (total, np.sum(np.abs(want))), (mg.jit(total), None)):
            try:
                got = run(*arrays)
            except (mg.TapeError, mg.JitError, RuntimeError) as error:
                assert "view" in str(error)
            except TypeError as error:  # np.broadcast_arrays makes an array of a number
                assert "item assignment" in str(error)
            else:
                got = got if run is not total and expected is not None else got[0]
                np.testing.assert_allclose(got, np.sum(np.abs(want)) if expected is None else expected)


def test_the_parts_of_a_complex_number_are_views():
    def f(x, fill):
        z = np.zeros(2, complex) + 0 * x[0]
        fill(z, x)
        return np.sum(np.abs(z) ** 2)

    def part_by_part(z, x):
        z.real[:] = x
        z.imag[:] = x**2

    def at_once(z, x):
        z[:] = x + 1j * x**2

    x = np.array([1.0, 2.0])
    for compiled in (lambda f: f, mg.jit):
        with pytest.raises(mg.TapeError, match="in-place change of a view"):
            compiled(mg.grad(lambda x: f(x, part_by_part)))(x)
        np.testing.assert_allclose(compiled(mg.grad(lambda x: f(x, at_once)))(x), [6, 36])


def _in_a_product(x):
    w, h = x * 1.0, np.ones((3, 2))
    for _ in range(3):
        h = np.tanh(h @ w)
        w *= 0.9
    return np.sum(h)


def _outer(x):
    u = x[0] * 2
    b = np.outer(u, u)
    u *= 3
    return np.sum(b**2) + np.sum(u)


def _solved(x):
    k = x @ x.T + np.eye(2)
    s = np.linalg.solve(k, x)
    k *= 2
    return np.sum(s) + np.sum(k**3)


def _broyden(x):
    b, v = x * 1.0, x[0]
    s = b @ v
    b += np.outer(s, s) / (1 + s @ v)
    return np.sum(b**2)


@pytest.mark.parametrize("f", [_in_a_product, _outer, _solved, _broyden])
def test_second_derivatives_where_an_operand_is_changed_in_place_afterwards(f):
    """A rule takes views of the operand as it was, which are not stale."""
    x = np.array([[0.5, 0.2], [0.1, 0.9]])
    gradient = mg.grad(f)
    want = np.zeros((2, 2, 2, 2))
    for i in np.ndindex(2, 2):
        moved = np.zeros((2, 2))
        moved[i] = 1e-5
        want[(..., *i)] = (gradient(x + moved) - gradient(x - moved)) / 2e-5
    np.testing.assert_allclose(mg.hessian(f)(x), want, atol=1e-7)
    np.testing.assert_allclose(mg.jit(mg.hessian(f))(x), want, atol=1e-7)
    value, slope = mg.jvp(f, (x,), (np.ones((2, 2)),))
    np.testing.assert_allclose([value, slope], [f(x), gradient(x).sum()])
    np.testing.assert_allclose(mg.checkpoint(f)(x), f(x))


@pytest.mark.parametrize("compiled", [lambda f: f, mg.jit], ids=["eager", "jit"])
def test_numbers_have_no_items_to_assign_to(compiled):
    def f(x):
        s = x.sum()
        s[...] = 7.0
        return s

    for differentiated in (f, mg.grad(f)):
        with pytest.raises(TypeError, match=r"'numpy.float64' object does not support item assignment"):
            compiled(differentiated)(np.ones(2))


def test_the_conjugate_of_real_numbers_is_the_array_itself():
    def f(x):
        a = x * 2
        b = a.conj()
        b[0] = 7.0
        a.conjugate()[1] *= 3.0
        return np.sum(a * x)

    x = np.array([1.0, 2.0, 3.0])
    assert f(x) == 7 + 24 + 18
    for compiled in (lambda f: f, mg.jit):
        value, gradient = compiled(mg.value_and_grad(f))(x)
        assert value == f(x)
        np.testing.assert_allclose(gradient, [7, 24, 12])
    assert mg.jit(f)(x) == f(x)


def test_rows_that_are_filled_from_the_row_before_keep_no_versions_of_the_array():
    def filled(x, weights):
        y = np.zeros_like(x)
        y[0] = x[0]
        for i in range(1, len(x)):
            y[i] = np.tanh(y[i - 1]) * y[i - 1] + y[i - 1] @ weights + x[i]
        return np.sum(y * y)

    x, weights = np.random.default_rng(0).standard_normal((200, 100)) * 0.1, np.eye(100) * 0.3
    tracemalloc.start()
    gradient = mg.grad(filled)(x, weights)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * x.nbytes  # 200 versions would be more
    direction = np.cos(np.arange(x.size)).reshape(x.shape)
    slope = (filled(x + 1e-6 * direction, weights) - filled(x - 1e-6 * direction, weights)) / 2e-6
    np.testing.assert_allclose(np.sum(gradient * direction), slope, rtol=1e-6)
    np.testing.assert_allclose(mg.jit(mg.grad(filled))(x, weights), gradient, rtol=1e-12)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("length", [1000, 2000])
def test_a_loop_over_time_keeps_rows_and_no_versions(length, compiled):
    """While it is traced, too, and however long a row is."""

    def f(start):
        u = mg.tensor(np.zeros((101, length)))
        u[0] = start
        for i in range(100):
            u[i + 1] = np.sin(u[i]) + 0.5 * u[i]
        return np.sum(u[-1] ** 2)

    start = np.linspace(-1, 1, length)
    gradient = mg.jit(mg.grad(f)) if compiled else mg.grad(f)
    tracemalloc.start()
    gradient(start)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12_000_000 + 8 * 101 * start.nbytes  # 100 versions are more than ten times that
    x = start
    factor = np.ones(length)
    for _ in range(100):
        factor = factor * (np.cos(x) + 0.5)
        x = np.sin(x) + 0.5 * x
    np.testing.assert_allclose(gradient(start), 2 * x * factor, rtol=1e-12, atol=1e-300)


def by_a_refilled_array(x):
    work, h = np.zeros(3), x
    for i in range(1, 4):
        work[:] = i
        h = work * h
    return h.sum()


def rows_by_a_refilled_array(x):
    work, u = np.zeros(3), mg.tensor(np.zeros((4, 3)))
    u[0] = x
    for i in range(1, 4):
        work[:] = i
        row = u[i - 1]
        u[i] = work * row + mg.affine(row[None], np.diag(work), work)[0]
    return np.sum(u * u)


def test_small_arrays_that_are_refilled_are_kept_by_value_whatever_views_there_are():
    x, kept = np.array([1.0, -2.0, 0.5]), []

    def beside_a_view(f):
        def both(x):
            t = x * 1.0
            kept.append((t, t[:2]))
            t[0] = 0.0
            return f(x)

        return both

    for f in (by_a_refilled_array, rows_by_a_refilled_array):
        expected = differences(f, x)
        for g in (f, beside_a_view(f)):
            np.testing.assert_allclose(mg.grad(g)(x), expected, rtol=1e-6)


@pytest.mark.parametrize("n", [10, 600])
def test_what_is_joined_is_written_to_compiled(n):
    """Where the joined values are so large that they are dropped while the function is traced, too."""

    def joined(x):
        a = np.concatenate([x * 2.0, x * 3.0])
        b = np.concatenate([a, a])
        b[0] = 1.0
        return b.sum()

    def rows(x):
        a = mg.tensor(np.zeros((3, len(x))))
        a[0] = x
        b = np.pad(np.repeat(np.vstack([a, a]), 2, axis=0), 1)
        b[0, 0] = x[0]
        return np.sum(b * b)

    x = np.linspace(-1, 1, n)
    for f in (joined, rows):
        value, gradient = mg.jit(mg.value_and_grad(f))(x)
        np.testing.assert_allclose(value, f(x))
        np.testing.assert_allclose(gradient, mg.grad(f)(x))


def entry_by_entry(x):
    s = mg.tensor(np.zeros(len(x)))
    s[0] = x[0]
    for i in range(1, len(x)):
        s[i] = s[i - 1] * 0.9 + x[i]
    return s


def edit_distance(x):
    table = mg.tensor(np.zeros((len(x) // 10 + 1, 11)))
    for i in range(len(x) // 10):
        for j in range(10):
            table[i + 1, j + 1] = np.minimum(table[i, j + 1] + x[i], table[i + 1, j] + x[10 * i + j])
    return table


@pytest.mark.parametrize("f", [entry_by_entry, edit_distance])
def test_a_loop_over_entries_keeps_no_versions(f):
    x = np.cos(np.arange(3000.0))
    tracemalloc.start()
    gradient = mg.grad(lambda x: np.sum(f(x)))(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000  # 3,000 versions are 72 MB
    direction = np.sin(np.arange(3000.0))
    slope = (np.sum(f(x + 1e-6 * direction)) - np.sum(f(x - 1e-6 * direction))) / 2e-6
    np.testing.assert_allclose(np.sum(gradient * direction), slope.numpy(), rtol=1e-5)
