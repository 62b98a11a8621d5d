"""NumPy's functions that write into a tensor: the value and the gradient are those of the same program on arrays."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_ownership import DIFFERENTIATIONS, X, differences

import minigrad as mg
from minigrad.gradient_check import check_grads


def out_of_two(x):
    y = np.exp(x / 6.0)
    np.multiply(y, 2.0, out=y)
    np.sin(y, out=y)
    np.add(x, y, out=y)
    return (y * y).sum()


def out_by_position(x):
    y = x * 1.0
    np.subtract(y, x[0], y)
    np.square(y, y)
    return (y * x).sum()


def out_of_a_constant(x):
    y = mg.tensor(np.zeros((2, 3), np.float32)) if type(x) is not np.ndarray else np.zeros((2, 3), np.float32)
    np.multiply(x, x, out=y)
    assert y.dtype == np.float32
    return (y * x).sum()


def added_at(x):
    y = x * x
    index = np.array([0, 1, 1])
    np.add.at(y, index, x[1])
    np.add.at(y, (0, index), 3.0)
    np.add.at(y, (slice(None), [2, 2]), x[:, :1] * x[0, 0])
    index[...] = 0
    return (y * y).sum()


def copied(x):
    y, z = x * 1.0, x * 2.0
    np.copyto(y, z[0] * x[1, 1])
    np.copyto(z, x[1], where=np.array([True, False, True]))
    return (y * z).sum()


def diagonal(x):
    y = x[:, :2] * 1.0
    np.fill_diagonal(y, x[0, 2])
    z = x * 3.0
    np.fill_diagonal(z, x[:, 1])
    return (y**3).sum() + (z * z * x).sum()


def counted_at(x):
    y = x * 1.0
    np.add.at(y, (0, [0] * 200), np.int8(1))
    np.add.at(y, (1, [1, 1]), True)
    np.add.at(y, (1, [2, 2, 2]), np.float16(1000.5))
    np.subtract.at(y, (0, [1, 1]), np.uint8(200))
    return (y * x).sum()


PROGRAMS = [out_of_two, out_by_position, out_of_a_constant, added_at, copied, diagonal, counted_at]


@pytest.mark.parametrize("f", PROGRAMS)
def test_what_is_written_has_numpys_value_and_its_gradient(f):
    value, gradient = mg.value_and_grad(f)(X)
    np.testing.assert_allclose(value, f(X), rtol=1e-6)
    rtol = 1e-6 if f is not out_of_a_constant else 1e-2  # float32
    np.testing.assert_allclose(gradient, differences(f, X, 1e-5 if rtol < 1e-3 else 1e-2), rtol=rtol)


@pytest.mark.parametrize("f", PROGRAMS)
def test_compiled(f):
    np.testing.assert_allclose(mg.jit(mg.grad(f))(X), mg.grad(f)(X), rtol=1e-12)
    if f not in (out_of_a_constant, added_at):  # which write to an array that they make themselves
        np.testing.assert_allclose(mg.jit(f)(X), f(X), rtol=1e-12)


def test_a_constant_written_over_a_result():
    t = mg.tensor([1.0, 2.0], requires_grad=True)
    y = t * 2.0
    before = y * y
    np.add(np.ones(2), 1.0, out=y)
    (before + y * t).sum().backward()
    np.testing.assert_array_equal(t.grad, 8 * t.data + 2)


@DIFFERENTIATIONS
@pytest.mark.parametrize("through", ["view", "stale"])
def test_a_view_is_not_written_to_unseen(differentiate, through):
    def f(x):
        y = x * 2.0
        row = y[0]
        np.exp(x[0], out=row) if through == "view" else np.exp(x, out=y)
        return (y * y).sum() + (row * row).sum()

    with pytest.raises((mg.TapeError, RuntimeError), match="view"):
        differentiate(f)(X)


def test_what_does_not_fit_changes_nothing():
    t = mg.tensor([1.0, 2.0], requires_grad=True)
    y = t * 1.0
    for write in (
        lambda: np.add(np.ones((2, 2)), t, out=y),
        lambda: np.exp(t * 1j, out=y),
        lambda: np.multiply(t, 2.0, out=t),
        lambda: np.add.at(y, [5], t[0]),
        lambda: np.copyto(y, np.ones(3) * t[0]),
        lambda: np.fill_diagonal(y, t[0]),
        lambda: np.modf(t, out=(y, mg.tensor(np.zeros(3)))),
        lambda: np.modf(t, out=(y, np.zeros(2))),
    ):
        with pytest.raises((TypeError, ValueError, RuntimeError, IndexError)):
            write()
    np.testing.assert_array_equal(y.data, [1, 2])
    y.sum().backward()
    np.testing.assert_array_equal(t.grad, 1)


def safe_quotient(a, b):
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)


def safe_logarithm(a, b):
    return np.log(a * b, out=np.full_like(a, -7.0), where=a * b > 0)


def reciprocal(a, b):
    return np.divide(1.0, a, out=b * 2, where=a > 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("f", [safe_quotient, safe_logarithm, reciprocal], ids=lambda f: f.__name__)
def test_a_ufunc_with_out_and_where_is_called_there_alone(f, dtype):
    """The usual way to divide by what may be 0: no warning, and no gradient where it is."""
    a, b = np.array([1.0, -2.0, 3.0, 0.0], dtype), np.array([2.0, 0.0, -4.0, 0.0], dtype)
    want = f(a, b)
    got = mg.jit(f)(a, b)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, want)

    def total(a, b):
        return np.sum(f(a, b) ** 2)

    for compiled in (lambda f: f, mg.jit):
        value, gradients = compiled(mg.value_and_grad(total, (0, 1)))(a, b)
        assert value == total(a, b)
        for g in gradients:
            assert g.dtype == dtype and np.isfinite(g).all()
    check_grads(f, np.array([1.5, -2.0, 3.0]), np.array([2.0, 5.0, 4.0]), order=2)


def test_where_without_out_is_refused_with_what_to_write():
    with pytest.raises(TypeError, match=r"no backward rule with 'where'; write np\.where"):
        mg.grad(lambda x: np.sum(np.log(x, where=x > 0)))(np.ones(2))
    with pytest.raises(mg.JitError, match=r"is captured only with out=np\.zeros_like\(x\); use np\.where"):
        mg.jit(lambda x: np.log(x, where=x > 0))(np.ones(2))
    with pytest.raises(mg.TapeError, match=r"write t = np\.log\(\.\.\.\), with out=np\.zeros_like\(t\)"):
        mg.grad(lambda x: np.sum(np.log(x, where=x > 0, out=np.zeros(2))))(np.ones(2))


def functions_with_out(x):
    u = x * 2
    np.clip(u, -1, 5, out=u)
    sums, product = np.zeros_like(x), np.zeros_like(x)
    np.cumsum(u, axis=1, out=sums)
    np.dot(np.ones((2, 2)), sums, out=product)
    return np.sum(np.sin(product) * x) + np.sum(np.max(sums, axis=0, out=np.zeros_like(x[0])))


@DIFFERENTIATIONS
def test_functions_that_are_no_ufuncs_write_into_tensors_too(differentiate):
    np.testing.assert_allclose(
        differentiate(functions_with_out)(X), differences(functions_with_out, X), atol=1e-6
    )
    with pytest.raises(TypeError, match="cumsum"):
        mg.grad(lambda x: np.sum(np.cumsum(x, out=np.zeros(6))))(X)
    with pytest.raises(ValueError, match=r"shape \(6,\) does not fit into shape \(4,\)"):
        mg.grad(lambda x: np.sum(np.cumsum(x, out=mg.tensor(np.zeros(4)))))(X)


@pytest.mark.parametrize("compiled", [lambda f: f, mg.jit], ids=["eager", "jit"])
def test_where_masks_operands_of_no_axes_and_keeps_their_dtype(compiled):
    def normalized(x):
        size = np.sum(x**2)
        return np.sum(np.divide(x, size, out=np.zeros_like(x), where=size != 0))

    np.testing.assert_array_equal(compiled(mg.grad(normalized))(np.zeros(3, np.float32)), [0, 0, 0])

    def inverted(x):
        positive = x > 0
        return np.invert(positive, out=np.zeros_like(positive), where=x < 2)

    x = np.arange(3.0)
    np.testing.assert_array_equal(compiled(inverted)(x), inverted(x))


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        (lambda x, out: np.add.reduce(x, axis=1, out=out), (2,)),
        (lambda x, out: np.maximum.reduce(x, out=(out,)), (3,)),
        (lambda x, out: np.add.accumulate(x, axis=1, out=out), (2, 3)),
        (lambda x, out: np.multiply.reduceat(x, [0, 1], axis=1, out=out), (2, 2)),
        (lambda x, out: np.multiply.outer(x, x[0], out=out), (2, 3, 3)),
        (lambda x, out: np.modf(x, out=(out, None))[0], (2, 3)),
        (lambda x, out: np.divmod(x, 2.0, out=(None, out))[1], (2, 3)),
    ],
)
def test_methods_of_ufuncs_and_ufuncs_of_several_results_write_into_tensors(call, shape):
    x = np.array([[0.25, 1.5, -0.75], [2.25, 0.5, 1.25]])

    def into(x):
        out = mg.tensor(np.zeros(shape))
        assert call(x, out) is out
        return np.sum(out * np.cos(np.arange(out.size)).reshape(shape))

    want = np.sum(call(x, np.zeros(shape)) * np.cos(np.arange(np.prod(shape))).reshape(shape))
    np.testing.assert_allclose(into(mg.tensor(x, requires_grad=True)).item(), want)
    check_grads(into, x)


def test_a_tensor_into_which_results_do_not_fit_keeps_its_value():
    t = mg.tensor(np.ones((2, 3)), requires_grad=True)
    fraction, whole = mg.tensor(np.full((2, 3), 5.0)), mg.tensor(np.zeros(4))
    with pytest.raises(ValueError, match="does not fit into shape"):
        np.modf(t, out=(fraction, whole))
    np.testing.assert_array_equal(fraction.data, np.full((2, 3), 5.0))
    with pytest.raises(TypeError, match=r"numpy\.add\.reduce: out= would cut .* np\.add\.reduce"):
        np.add.reduce(t, out=np.zeros(3))


def put(a, v, draw):
    places = draw(st.lists(st.integers(-a.size, a.size - 1), max_size=5)) if a.size else []
    mode = draw(st.sampled_from(["raise", "wrap", "clip"]))
    places = [3 * i for i in places] if mode != "raise" else places
    writes = [lambda b, v: np.put(b, places, v, mode), lambda b, v: b.put(places, v, mode)]
    return draw(st.sampled_from(writes)), ()


def masked(a, v, draw):
    mask = np.array(draw(st.lists(st.booleans(), min_size=a.size, max_size=a.size)), bool).reshape(a.shape)
    writes = [np.putmask, lambda b, mask, v: np.copyto(b, np.sum(v), where=mask), np.place]
    write = draw(st.sampled_from(writes if v.size else writes[:2]))
    return lambda b, v, mask: write(b, mask, v), (mask,)


def along_an_axis(a, v, draw):
    axis = draw(st.sampled_from([None, *range(-a.ndim, a.ndim)]))
    length = a.size if axis is None else a.shape[axis]
    shape = [3] if axis is None else [2 if i == axis % a.ndim else n for i, n in enumerate(a.shape)]
    places = np.arange(np.prod(shape, dtype=int)).reshape(shape) % max(length, 1)
    return lambda b, v, places: np.put_along_axis(b, places, np.sum(v), axis), (places,)


def flat(a, v, draw):
    index = draw(st.sampled_from([0, -1, slice(None, None, 2), slice(1, None), [0, -1]]))

    def write(b, v):
        b.flat[index] = v

    def write_all(b, v):
        b.flat = v

    return draw(st.sampled_from([write, write_all])), ()


def in_order(a, v, draw):
    axis = draw(st.integers(-a.ndim, a.ndim - 1)) if a.ndim else -1
    writes = [lambda b, v: b.sort(axis), lambda b, v: b.partition(0, axis), lambda b, v: b.fill(2)]
    return draw(st.sampled_from(writes)), ()


def at(a, v, draw):
    ufunc = draw(st.sampled_from([np.add, np.subtract]))
    return lambda b, v: ufunc.at(b, [0, -1, 0], np.sum(v)), ()


WRITTEN = st.sampled_from([put, masked, along_an_axis, flat, in_order, at])
SHAPES = st.sampled_from([(), (1,), (4,), (0,), (2, 3), (3, 1, 2), (2, 0)])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@given(WRITTEN, SHAPES, st.sampled_from([(), (1,), (2,), (5,), (0,), (2, 2)]), st.data())
def test_whatever_writes_does_as_numpys(dtype, kind, shape, of_values, data):
    a = (np.arange(np.prod(shape, dtype=int)) * 7 % 11 / 3).astype(dtype).reshape(shape)
    v = (np.arange(np.prod(of_values, dtype=int)) + 20.5).astype(dtype).reshape(of_values)
    write, others = kind(a, v, data.draw)

    def written(a, v, *others):
        b = np.copy(a)
        write(b, v, *others)
        return b

    try:
        want = written(a, v, *others)
    except (IndexError, ValueError, TypeError, ZeroDivisionError) as error:
        for compiled in (lambda f: f, mg.jit):
            with pytest.raises((type(error), mg.JitError, TypeError, ValueError)):
                compiled(lambda *args: np.sum(written(*args)))(mg.tensor(a, requires_grad=True), v, *others)
        return
    leaf = mg.tensor(a, requires_grad=True)
    for got in (written(leaf, mg.tensor(v, requires_grad=True), *others), mg.jit(written)(a, v, *others)):
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(
            got.data if isinstance(got, mg.Tensor) else got, want, rtol=4 * np.finfo(dtype).eps
        )
    np.testing.assert_array_equal(leaf.data, a)
    if dtype is np.float64:
        weights = np.cos(np.arange(a.size)).reshape(shape)
        check_grads(lambda a, v: np.sum(written(a, v, *others) * weights) + np.sum(v), a, v)


def by_flat_index(b):
    for i, x in enumerate(b.flat):
        b.flat[i] = 2 * x + b.flat[i - 1]


LISTS = {
    "put": lambda b: np.put(b, [0, 1], [b[1] * 2, 5.0]),
    "put, at numbers that are computed": lambda b: np.put(b, [b.argmax(), b.argmin()], [7.0, b[1]]),
    "put, at booleans": lambda b: np.put(b, [True, True, True], b * 2),
    "putmask": lambda b: np.putmask(b, [True, False, True], [b[1] * 2, 5.0, 6.0]),
    "place": lambda b: np.place(b, [True, False, True], [b[1] * 2, 5.0]),
    "put_along_axis": lambda b: np.put_along_axis(b, np.array([0, 1]), [b[1] * 2, 5.0], 0),
    "put_along_axis of all": lambda b: np.put_along_axis(b, np.array([0, 1]), [b[1] * 2, 5.0], None),
    "flat": lambda b: b.flat.__setitem__([0, 2], [b[1] * 2, b[0]]),
    "flat, where a number is": lambda b: b.flat.__setitem__(b > 1, 0.5),
    "flat, read while it is written": by_flat_index,
    "sort": lambda b: b.sort(order=None, stable=True),
}


@pytest.mark.parametrize("write", LISTS.values(), ids=LISTS)
def test_lists_of_tensors_are_written_as_lists_of_numbers_are(write):
    def f(x):
        b = x * 1.5
        write(b)
        return np.sum(b * [1.0, 2.0, 4.0])

    x = np.array([3.0, 0.5, 2.0])
    for transformed in (f, mg.jit(f), lambda x: mg.value_and_grad(f)(x)[0]):
        np.testing.assert_allclose(transformed(x), f(x), rtol=1e-15)
    check_grads(f, x)
    np.testing.assert_allclose(mg.jit(mg.grad(f))(x), mg.grad(f)(x), rtol=1e-15)


@pytest.mark.parametrize("change", [operator.iadd, lambda a, x: a.__iadd__(x)], ids=["operator", "method"])
@pytest.mark.parametrize("differentiate", [mg.grad, lambda f: mg.jit(mg.grad(f))], ids=["tape", "jit"])
def test_a_call_that_changes_an_array_in_place_is_no_assignment(change, differentiate):
    """Its result may be left: the array would stay as it was."""

    def f(x, a):
        b = a * 2
        change(b, x)
        return np.sum(b * b)

    with pytest.raises(mg.TapeError, match="cannot be written into a plain array"):
        differentiate(f)(np.arange(3.0), np.ones(3))
