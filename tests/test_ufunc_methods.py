"""The methods of ufuncs: values NumPy's, gradients those of differences, on the tape and compiled."""

import numpy as np
import pytest
from derivatives import check_call, flat

import minigrad as mg
from minigrad.gradient_check import check_grads

X = np.array([[0.6, 1.7, 0.9], [1.4, 0.7, 1.1]])
Y = np.array([0.8, 1.3])

CALLS = {
    f"{ufunc.__name__}.{name}": (ufunc, name, args, options)
    for ufunc in (
        *(np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.logaddexp, np.logaddexp2),
        *(np.subtract, np.divide, np.power, np.hypot),
    )
    for name, args, options in [
        ("reduce", (X,), {}),
        ("accumulate", (X,), {"axis": 1}),
        ("outer", (X, Y), {}),
        ("reduceat", (X, [0, 2, 1]), {"axis": 1}),
        ("reduceat", (X, [1]), {"axis": 0}),
        ("reduceat", (X, []), {"axis": 1}),
    ]
}


@pytest.mark.parametrize("name", CALLS)
def test_they_are_numpys_and_have_gradients(name):
    ufunc, method, args, options = CALLS[name]

    def f(*arrays):
        return getattr(ufunc, method)(*arrays, *args[len(arrays) :], **options)

    arrays = [x for x in args if isinstance(x, np.ndarray)]
    out = f(*[mg.tensor(x, requires_grad=True) for x in arrays])
    assert out.requires_grad
    np.testing.assert_allclose(out.numpy(), f(*arrays), rtol=1e-15)
    check_grads(f, *arrays, order=2)
    gradient = mg.grad(lambda *xs: np.sum(f(*xs) ** 2), tuple(range(len(arrays))))
    for got, want in zip(flat(mg.jit(gradient)(*arrays)), flat(gradient(*arrays)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_options_of_a_reduction():
    t, mask = mg.tensor(X, requires_grad=True), X > 1
    cases = [
        np.add.reduce(t, axis=None, where=mask, initial=2.0),
        np.multiply.reduce(t, axis=(0, 1), keepdims=True),
        np.maximum.reduce(t, axis=-1, initial=1.5, where=mask),
        np.subtract.reduce(t, axis=1, keepdims=True),
        np.logaddexp.reduce(t, axis=None, keepdims=True),
        np.logaddexp2.reduce(t, axis=(0, 1)),
    ]
    expected = [
        np.add.reduce(X, axis=None, where=mask, initial=2.0),
        np.multiply.reduce(X, axis=(0, 1), keepdims=True),
        np.maximum.reduce(X, axis=-1, initial=1.5, where=mask),
        np.subtract.reduce(X, axis=1, keepdims=True),
        np.logaddexp.reduce(X, axis=None, keepdims=True),
        np.logaddexp2.reduce(X, axis=(0, 1)),
    ]
    for got, want in zip(cases, expected, strict=True):
        assert got.shape == want.shape
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-15)


@pytest.mark.parametrize("ufunc", [np.logaddexp, np.maximum, np.hypot])
@pytest.mark.parametrize("method", ["reduce", "accumulate"])
def test_long_lines_are_no_more_calls_than_short_ones(ufunc, method):
    def calls(n):
        step = mg.jit(mg.grad(lambda x: np.sum(getattr(ufunc, method)(x))))
        step(np.linspace(1.0, 2.0, n))
        return len(step.source.splitlines())

    assert calls(200) == calls(3)


def test_sums_of_parts_are_one_call_however_many():
    def calls(n):
        step = mg.jit(mg.grad(lambda x: np.sum(np.add.reduceat(x, range(1, n, 2)) ** 2)))
        step(np.linspace(1.0, 2.0, n))
        return len(step.source.splitlines())

    assert calls(90) == calls(7)


def test_accumulations_of_no_and_of_one_entry():
    for x in (np.ones((2, 0)), np.full((2, 1), 3.0)):
        gradient = mg.grad(lambda x: np.sum(np.hypot.accumulate(x, axis=1)))(x)
        np.testing.assert_array_equal(gradient, np.ones(x.shape))


def test_reductions_of_infinities():
    """Entries of inf share equally; what weighs nothing gets nothing."""
    inf = np.inf
    x = np.array([[-inf, inf, 1.0], [-inf, inf, -inf]])
    for ufunc in (np.logaddexp, np.logaddexp2):

        def gradient(x, ufunc=ufunc):
            return mg.vjp(ufunc.reduce, x)[1](np.ones(3))[0]

        for way in (gradient, mg.jit(gradient)):
            np.testing.assert_array_equal(way(x), [[0, 0.5, 1], [0, 0.5, 0]])


def test_what_is_not_covered_is_refused_by_name():
    t = mg.tensor(X, requires_grad=True)
    with pytest.raises(TypeError, match=r"numpy\.hypot\.reduce: no backward rule but for one axis"):
        np.hypot.reduce(t, axis=(0, 1))
    with pytest.raises(TypeError, match=r"numpy\.logaddexp\.reduce: no backward rule with where"):
        np.logaddexp.reduce(t, where=X > 1)
    with pytest.raises(TypeError, match=r"numpy\.subtract\.accumulate: no backward rule with dtype"):
        np.subtract.accumulate(t, dtype=np.float32)
    with pytest.raises(mg.TapeError, match=r"multiply\.at"):
        np.multiply.at(t, [0], 1.0)


@pytest.mark.parametrize("ufunc", [np.multiply, np.add, np.subtract, np.power, np.maximum])
@pytest.mark.parametrize("other", [2.0, 2, True, np.float32(2), np.float64(2), np.int8(2), [1, 2]])
def test_outer_makes_an_array_of_a_number(ufunc, other):
    x = np.array([0.5, 1.5], np.float32)
    check_call(lambda x: ufunc.outer(x, other), x)
    check_call(lambda x: ufunc.outer(other, x), x)


@pytest.mark.parametrize("ufunc", [np.add, np.multiply, np.subtract, np.hypot])
@pytest.mark.parametrize("axis", [None, 0, -1, 1, 2, (0,), (0, 1), 1.0])
def test_axes_of_accumulate_are_those_that_numpy_takes(ufunc, axis):
    for x in (X, X[0], X[0, 0]):
        check_call(lambda x: ufunc.accumulate(x, axis=axis), np.array(x))


@pytest.mark.parametrize(
    "ufunc", [np.add, np.maximum, np.subtract, np.divide, np.hypot, np.logaddexp, np.logaddexp2]
)
@pytest.mark.parametrize("axis", [0, -1, 1, 2, (0,), (), None])
def test_reductions_of_no_entries_and_of_numbers(ufunc, axis):
    for shape in ((), (0, 2), (2, 0), (1,)):
        for keepdims in (False, True):
            x = np.full(shape, 0.5)
            check_call(lambda x, keepdims=keepdims: ufunc.reduce(x, axis=axis, keepdims=keepdims), x)


def test_a_dtype_that_an_array_has_makes_no_difference():
    for ufunc in (np.maximum, np.fmax, np.subtract, np.logaddexp):
        check_call(lambda x, ufunc=ufunc: ufunc.reduce(x, dtype="f8"), X)


@pytest.mark.parametrize("axis", [0, (), (0,)])
@pytest.mark.parametrize("x", [np.array([-1.5]), np.array([[-1.5, 2.0]])], ids=["one", "a row"])
def test_the_hypotenuse_of_one_entry_has_no_sign(x, axis):
    for options in ({}, {"keepdims": True}):
        value, pull = mg.vjp(lambda x, options=options: np.hypot.reduce(x, axis, **options), x)
        np.testing.assert_array_equal(value, np.hypot.reduce(x, axis, **options))
        np.testing.assert_allclose(pull(np.ones_like(value))[0], np.sign(x))
    parts = mg.vjp(lambda x: np.hypot.reduceat(x, [0]), x)[0]
    np.testing.assert_array_equal(parts, np.hypot.reduceat(x, [0]))
