"""Quantiles by every method, with weights, along any axes: NumPy's values, and their gradients."""

import numpy as np
import pytest
from derivatives import check_call, check_rule

import minigrad as mg

X = np.random.default_rng(0).permutation(24).reshape(2, 3, 4) / 7
WEIGHTS = np.arange(1.0, 25.0).reshape(2, 3, 4)
METHODS = [
    *["linear", "lower", "higher", "nearest", "midpoint", "hazen", "weibull", "median_unbiased"],
    *["inverted_cdf", "averaged_inverted_cdf", "closest_observation", "interpolated_inverted_cdf"],
]


@pytest.mark.parametrize("method", METHODS)
def test_methods(method):
    check_rule(lambda x: np.quantile(x, [0.2, 0.7], axis=1, method=method), X)
    check_rule(lambda x: np.percentile(x, 35, axis=(0, 2), method=method, keepdims=True), X)


SEVERAL_AXES = [] if np.__version__.startswith("2.0.") else [((0, 2), WEIGHTS)]
"""NumPy 2.0 itself weighs other entries there."""


@pytest.mark.parametrize(
    ("axis", "weights"), [(1, WEIGHTS), (1, [1.0, 2.0, 3.0]), *SEVERAL_AXES, (None, WEIGHTS)]
)
def test_weights(axis, weights):
    check_rule(lambda x: np.quantile(x, [0.1, 0.6], axis=axis, method="inverted_cdf", weights=weights), X)
    if np.shape(weights) == X.shape:  # nanquantile takes no other
        check_rule(lambda x: np.nanquantile(x, 0.3, axis=axis, method="inverted_cdf", weights=weights), X)


def test_nan_has_no_part():
    x = X.copy()
    x[0, 0, 0] = np.nan
    found = mg.grad(lambda x: np.sum(np.nanquantile(x, 0.3, axis=1)))(x)
    expected = mg.grad(lambda x: np.sum(np.quantile(x, 0.3, axis=1)))(X)
    expected[0, :, 0] = [0, *mg.grad(lambda x: np.quantile(x, 0.3))(X[0, 1:, 0])]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_axes_in_a_list():
    for f in (np.median, np.nanmedian, lambda x, axis: np.quantile(x, 0.3, axis=axis)):
        for axis in ([0, 1], [2], [0, -1]):
            check_call(lambda x, f=f, axis=tuple(axis): f(x, axis=list(axis)), X)
