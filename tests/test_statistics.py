"""Averages and covariances by every option: NumPy's values, and their gradients."""

import numpy as np
import pytest
from derivatives import check_call, check_rule

import minigrad as mg

X = np.random.default_rng(0).permutation(12).reshape(3, 4) / 5
CUBE = np.random.default_rng(1).permutation(24).reshape(2, 3, 4) / 7


def as_numpys(f, *args):
    """Compare values and dtypes alone."""
    for got, want in zip(f(*[mg.tensor(x, requires_grad=True) for x in args]), f(*args), strict=True):
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        np.testing.assert_allclose(mg.stop_gradient(got), want, rtol=1e-14)


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (2, 0), (0, 1, 2)], ids=str)
def test_averages(axis):
    shape = CUBE.shape if axis is None else tuple(np.take(CUBE.shape, axis).ravel().tolist())
    weights = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
    for w in (None, weights, 2 + CUBE):
        for keepdims in (False, True):
            as_numpys(lambda x, w=w, k=keepdims: np.average(x, axis, w, returned=True, keepdims=k), CUBE)
        check_rule(lambda x, w=w: np.average(x, axis, w), CUBE)
    check_rule(lambda x, w: np.average(x, axis, w), CUBE, weights)


def test_averages_of_integers_and_lists():
    w = np.array([1.0, 2.0, 0.5])
    check_rule(lambda w: np.average([1, 2, 4], weights=w), w)
    check_rule(lambda x: np.average(x, weights=[1, 2, 3]), w)
    as_numpys(lambda w: [np.average(np.array([1, 2, 4]), weights=w)], w.astype(np.float32))
    as_numpys(lambda x: [np.average(x, weights=np.array([1, 2, 3]))], w.astype(np.float32))


def test_weights_that_do_not_fit_are_refused():
    x = mg.tensor(X, requires_grad=True)
    with pytest.raises(TypeError, match=r"weights have shape \(3,\)"):
        np.average(x, weights=np.ones(3))
    with pytest.raises(ValueError, match=r"weights have shape \(3,\)"):
        np.average(x, axis=1, weights=np.ones(3))


F, A = [1, 2, 3, 2], [0.5, 1.0, 1.5, 0.75]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": True},
        {"ddof": 0},
        {"ddof": 2},
        {"fweights": F},
        {"aweights": A},
        {"aweights": A, "ddof": 0},
        {"aweights": A, "ddof": 2},
        {"fweights": F, "aweights": A},
        {"fweights": [0, 2, 3, 2], "aweights": [0.0, 1.0, 1.5, 0.75]},
    ],
    ids=str,
)
def test_covariances(options):
    check_rule(lambda x: np.cov(x, **options), X)
    check_rule(lambda x, y: np.cov(x, y, **options), X[0], X[1:])
    check_rule(lambda x, y: np.cov(x, y, rowvar=False, **options), X.T, X[:1].T)


def test_one_observation():
    check_rule(lambda x: np.cov(x, rowvar=False, bias=True), X[:1])
    check_rule(lambda x, y: np.cov(x, y, rowvar=False), X[0], X[1:2])


@pytest.mark.parametrize("f", [np.cov, np.corrcoef])
def test_variables_and_dtypes(f):
    check_rule(f, X)
    check_rule(lambda x: f(x, rowvar=False), X)
    check_rule(f, X[0])
    check_rule(lambda x: f(x, [1.0, -1.0, 2.0, 0.5]), X[0])
    check_rule(lambda x: f([1.0, -1.0, 2.0, 0.5], x), X)
    narrow = X.astype(np.float32)
    as_numpys(lambda x: [f(x), f(x, x)], narrow)
    as_numpys(lambda x: [f(x, dtype=np.float64), f(x.astype(np.float64), dtype=np.float64)], narrow)
    if f is np.cov:
        assert f(mg.tensor(X, requires_grad=True), dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fweights": [1, 2]}, "expected .4,., one an observation"),
        ({"fweights": [1, 2, 3, -1]}, "negative entries, or fractions"),
        ({"fweights": [1, 2, 3, 0.5]}, "negative entries, or fractions"),
        ({"aweights": [1, 2, 3, -0.5]}, "negative entries"),
        ({"ddof": 0.5}, "ddof is 0.5; expected an integer"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        np.cov(mg.tensor(X, requires_grad=True), **options)
    with pytest.raises(ValueError, match="an operand has 3 axes"):
        np.cov(mg.tensor(CUBE, requires_grad=True))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "options", [{"ddof": 6}, {"ddof": 6, "aweights": A}, {"ddof": 9, "fweights": F}], ids=str
)
def test_fewer_observations_than_degrees_of_freedom(options):
    with np.errstate(all="ignore"):
        got, want = np.cov(mg.tensor(X, requires_grad=True), **options), np.cov(X, **options)
    np.testing.assert_array_equal(got.numpy(), want)


@pytest.mark.parametrize(
    "dtypes", [(np.int8, np.float32), (np.float32, np.float32), (np.float32, np.int8)], ids=str
)
def test_dtypes_of_averages(dtypes):
    a, w = (np.array([1, 2, 4]).astype(dtype) for dtype in dtypes)
    of_float = 0 if dtypes[0] == np.float32 else 1
    moving = (a, w)[of_float]
    as_numpys(lambda x: [np.average(x, weights=w) if of_float == 0 else np.average(a, weights=x)], moving)


def test_correlations_are_not_beyond_1():
    for seed in range(20):
        x = np.random.default_rng(seed).standard_normal(4)
        out = np.corrcoef(mg.tensor(np.stack([x, 3 * x, -x]), requires_grad=True))
        assert np.max(np.abs(out.data)) <= 1


@pytest.mark.parametrize("dtype", [float, complex])
def test_correlations_are_clipped_as_numpys(dtype):
    rng = np.random.default_rng(0)
    for _ in range(200):
        line = rng.standard_normal(4).astype(dtype)
        rows = np.outer([1, -1, 3], line) if dtype is float else np.outer([1, -1, 3, 1j, -1j, 2j], line)
        found = np.corrcoef(mg.tensor(rows, requires_grad=True)).data
        np.testing.assert_allclose(found, np.corrcoef(rows), rtol=1e-14, atol=1e-15)
        assert max(np.abs(found.real).max(), np.abs(found.imag).max()) <= 1


@pytest.mark.parametrize(
    "weights", [[[1.0, 1.0], [0.0, 0.0]], [[1.0, -1.0], [2.0, 3.0]], [[0.5, 1.0], [1.0, 2.0]]]
)
def test_weights_that_sum_to_zero_are_refused(weights):
    check_call(lambda x: np.average(x, axis=1, weights=weights), X[:2, :2])
    check_call(lambda x, w: np.average(x, axis=1, weights=w), X[:2, :2], np.array(weights))
