"""numpy.emath: values and dtypes are NumPy's, in and out of the domains of the real functions, and so are gradients."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import JitError

FUNCTIONS = {
    name: getattr(np.emath, name) for name in ("sqrt", "log", "log2", "log10", "arccos", "arcsin", "arctanh")
} | {
    "power": lambda x: np.emath.power(x, 0.5),
    "power of an integer": lambda x: np.emath.power(x, -2),
    "power to x": lambda x: np.emath.power(-2.0, x),
}
EVERY = pytest.mark.parametrize("f", FUNCTIONS.values(), ids=FUNCTIONS)
INSIDE, OUTSIDE = np.array([0.3, 0.5, 0.7]), np.array([-0.3, -2.0, 1.7])


def loss(f):
    return lambda x: np.sum(0.7 * np.real(f(x)) + 1.3 * np.imag(f(x)))


@EVERY
@pytest.mark.parametrize(
    "x",
    [
        *(
            INSIDE,
            OUTSIDE,
            INSIDE.astype("f"),
            OUTSIDE.astype("f"),
            np.float16(OUTSIDE),
            OUTSIDE[1],
            OUTSIDE + 2j,
        ),
        *(np.array([0.0, 1.0]), np.array([-0.5, 0.5])),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_values_and_dtypes_are_numpys(f, x):
    x = np.asarray(x)
    got, want = f(mg.tensor(x, requires_grad=True)), f(x)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got.numpy(), want)


@EVERY
def test_gradients_are_those_of_differences_and_compiled_the_same(f):
    compiled = mg.jit(mg.grad(loss(f)))
    for x in (INSIDE, OUTSIDE):
        want = [(loss(f)(x + step) - loss(f)(x - step)) / 2e-6 for step in 1e-6 * np.eye(3)]
        np.testing.assert_allclose(mg.grad(loss(f))(x), want, rtol=1e-5)
        np.testing.assert_allclose(compiled(x), want, rtol=1e-5)


@EVERY
def test_compiled_the_results_are_complex_whatever_the_values(f):
    compiled = mg.jit(lambda x: 2 * f(x))
    for x in (INSIDE, OUTSIDE, INSIDE):
        got = compiled(x)
        assert got.dtype == np.complex128
        np.testing.assert_allclose(got, 2 * f(x), rtol=1e-14)
    assert compiled.cache_info().misses == 1


def test_compiled_integers_have_negative_powers():
    x = np.array([2, -4])
    np.testing.assert_allclose(mg.jit(lambda x: np.emath.power(x, -2))(x), np.emath.power(x, -2), rtol=1e-15)


def test_logarithms_to_a_base_are_quotients():
    with pytest.raises(TypeError, match=r"write np\.emath\.log\(x\) / np\.emath\.log\(n\)"):
        mg.grad(lambda x: np.sum(np.abs(np.emath.logn(2, x))))(OUTSIDE)


def test_a_complex_loss_is_refused():
    with pytest.raises(TypeError, match="complex"):
        mg.grad(lambda x: np.sum(np.emath.sqrt(x)))(OUTSIDE)
    with pytest.raises((TypeError, JitError), match="complex"):
        mg.jit(mg.grad(lambda x: np.sum(np.emath.sqrt(x))))(INSIDE)
