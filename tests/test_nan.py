"""The nan-functions: NaN has no part in the result, and its gradient is 0."""

import numpy as np
import pytest
from hypothesis import given

import minigrad as mg
from minigrad.testing import arrays_for

PAIRS = {
    "sum": (np.nansum, np.sum),
    "mean": (np.nanmean, np.mean),
    "prod": (np.nanprod, np.prod),
    "var": (np.nanvar, np.var),
    "std": (np.nanstd, np.std),
    "max": (np.nanmax, np.max),
    "min": (np.nanmin, np.min),
    "median": (np.nanmedian, np.median),
    "quantile": (lambda x: np.nanquantile(x, 0.3), lambda x: np.quantile(x, 0.3)),
    "percentile": (lambda x: np.nanpercentile(x, 80), lambda x: np.percentile(x, 80)),
}


@pytest.mark.parametrize("name", PAIRS)
@given(arrays_for("n k", min_side=2))
def test_the_gradient_is_that_of_the_entries_that_are_numbers(name, arrays):
    over, plain = PAIRS[name]
    (x,) = arrays
    x = np.array(x)
    x[0, 0] = x[-1, 1] = np.nan
    valid = ~np.isnan(x)
    numbers = x[valid]

    def twice(f):
        return mg.grad(lambda a: np.sum(np.sin(mg.grad(lambda b: f(b) ** 2)(a))))

    for derivative in (mg.grad, twice):
        expected = np.zeros(x.shape)
        expected[valid] = derivative(plain)(numbers)
        np.testing.assert_allclose(derivative(over)(x), expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(mg.jit(derivative(over))(x), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("over", "plain", "value"), [(np.nancumsum, np.cumsum, 0.0), (np.nancumprod, np.cumprod, 1.0)]
)
def test_running_ones(over, plain, value):
    x, weights = np.array([1.5, np.nan, 0.0, 2.0]), np.arange(1.0, 5.0)
    expected = mg.grad(lambda a: np.sum(weights * plain(a)))(np.where(np.isnan(x), value, x))
    expected[1] = 0
    np.testing.assert_allclose(mg.grad(lambda a: np.sum(weights * over(a)))(x), expected, rtol=1e-14)


def test_where_all_are_nan_the_extremum_is_nan_and_so_is_the_gradient():
    x = np.array([[np.nan, np.nan], [1.0, 2.0]])
    with pytest.warns(RuntimeWarning):
        g = mg.grad(lambda a: np.sum(np.nanmax(a, axis=1)))(x)
    np.testing.assert_array_equal(g, [[np.nan, np.nan], [0, 1]])
