"""The Bessel function I0 of small and of large numbers; powers by a number."""

import math

import numpy as np
import pytest
from derivatives import check_call, check_rule

import minigrad as mg
from minigrad.rules.elementwise import KEEPS_DTYPE


def bessel_i1(x):
    """I1 by its power series, whose terms are of one sign."""
    k = np.arange(1200)
    factorials = np.array([math.lgamma(i + 1) + math.lgamma(i + 2) for i in k])
    return np.sign(x) * np.sum(np.exp((2 * k + 1) * np.log(abs(x) / 2) - factorials))


@pytest.mark.parametrize("x", [0.5, -3.0, 12.0, 29.9, -31.0, 100.0, 700.0])
def test_the_derivative_of_i0_is_i1(x):
    np.testing.assert_allclose(mg.grad(np.i0)(x), bessel_i1(x), rtol=4e-13)


def test_the_second_derivative_of_i0():
    check_rule(np.i0, np.array([0.5, -3.0, 12.0, 29.9]))
    check_rule(lambda x: np.i0(x) / 1e20, np.array([31.0, -45.0, 60.0]))


def test_of_an_exponent_that_is_known_nothing_is_compared():
    """0 ** 0 is looked for where the exponent may be 0."""
    step = mg.jit(mg.value_and_grad(lambda x: np.sum(x**3 + x**0.5)))
    step(np.ones(3))
    assert not any(call in step.source for call in ("equal", "where"))


def test_a_power_of_zero_has_no_gradient_anywhere():
    x = np.array([np.nan, 0.0, 1.0, np.inf])
    for exponent in (0, 0.0):
        np.testing.assert_array_equal(
            mg.grad(lambda x, exponent=exponent: np.sum(x**exponent))(x), np.zeros(4)
        )


def test_the_inverse_of_infinite_complex_numbers_is_numpys():
    z = np.array([complex(np.inf, 0), 1j])
    np.testing.assert_array_equal((mg.tensor(z, requires_grad=True) ** -1).numpy(), z**-1)
    np.testing.assert_array_equal(mg.jit(lambda z: z**-1)(z), z**-1)


@pytest.mark.parametrize("exponent", [-2, -1, 0, 1, 2, 3, 4, -1.0, 0.5, 1.0, 2.0, 3.0, 2.5])
def test_powers_by_a_number_are_numpys(exponent):
    x = np.array([0.5, 1.5, 3.0])
    np.testing.assert_array_equal(mg.tensor(x) ** exponent, x**exponent)
    np.testing.assert_array_equal(mg.jit(lambda x: x**exponent)(x), x**exponent)
    slope = exponent * x ** (exponent - 1.0)
    for made in (mg.grad, lambda f: mg.jit(mg.grad(f))):
        np.testing.assert_allclose(made(lambda x: np.sum(x**exponent))(x), slope, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "F", "i2", "u1"])
@pytest.mark.parametrize("exponent", [-1, 0, 0.5, 1, 2, 3])
def test_powers_by_numpys_numbers_have_numpys_dtype(dtype, exponent):
    x = np.array([3, 2], dtype)
    kinds = [np.int64, np.int8] if isinstance(exponent, int) else []
    for kind in (*kinds, np.float64, np.array):
        number = kind(exponent)
        if x.dtype.kind in "iu" and exponent < 0:
            continue
        want, got = x**number, mg.tensor(x) ** number
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got.numpy(), want)
        if kind is not np.array:
            if x.dtype.kind in "fF":
                check_call(lambda x, number=number: np.real(x**number), x)
            compiled = mg.jit(lambda x, number=number: x**number)(x)
            assert compiled.dtype == want.dtype
            np.testing.assert_array_equal(compiled, want)


@pytest.mark.parametrize("exponent", [np.float64(2), np.array(3.0), np.array([2.0, 3.0])])
def test_a_power_by_an_argument_has_numpys_dtype_or_is_refused(exponent):
    """In NumPy 2.0 the dtype depends on the value of a number."""
    x = np.array([3, 2], np.float32)
    try:
        got = mg.jit(lambda x, exponent: x**exponent)(x, exponent)
    except mg.JitError as error:
        assert exponent.ndim == 0 and KEEPS_DTYPE and "needs the values" in str(error)
        return
    assert got.dtype == (x**exponent).dtype
    np.testing.assert_allclose(got, x**exponent, rtol=1e-6)


HUGE = 10**30
"""Larger than NumPy's integers."""


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "f",
    [
        *[lambda x: HUGE**x, lambda x: x * HUGE, lambda x: np.float_power(HUGE, x), lambda x: x % HUGE],
        *[lambda x: np.fmax(x, HUGE), lambda x: np.fmin(HUGE, x), lambda x: np.maximum(x, HUGE)],
        *[lambda x: np.logaddexp(x, HUGE), lambda x: np.logaddexp2(HUGE, x), lambda x: np.arctan2(x, HUGE)],
    ],
)
def test_integers_that_are_too_large_for_numpys(f, dtype):
    check_call(f, np.array([0.3, 1.1], dtype))


def test_options_of_ufuncs_that_have_no_effect():
    x = np.array([0.25, 1.5])
    for options in (
        {"dtype": np.float64},
        {"subok": False},
        {"casting": "same_kind"},
        {"order": "K"},
        {"where": True},
    ):
        check_call(lambda x, options=options: np.exp(x, **options), x)
        check_call(lambda x, options=options: np.multiply(x, 2, **options), x)
    t = mg.tensor(x, requires_grad=True)
    for options in ({"dtype": np.float32}, {"casting": "safe"}, {"order": "F"}):
        with pytest.raises(TypeError, match=f"numpy.exp: no backward rule with '{next(iter(options))}'"):
            np.exp(t, **options)
