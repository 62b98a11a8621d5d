"""Averages, variances and covariances by every option: NumPy's values, and their gradients."""

import numpy as np
import pytest
from derivatives import check_call, check_rule
from hypothesis import given
from hypothesis import strategies as st

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


SQUARES = [
    np.std,
    lambda x: np.std(x, ddof=1, where=x != 50),
    lambda x: np.std(x.reshape(2, 2), axis=1, keepdims=True),
    np.nanstd,
    np.linalg.norm,
    lambda x: np.linalg.norm(x, 3),
    lambda x: np.linalg.norm(x.reshape(2, 2), axis=0),
    lambda x: np.linalg.norm(x.reshape(2, 2)),
    np.linalg.vector_norm,
]


@pytest.mark.parametrize("f", SQUARES)
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.filterwarnings("ignore:overflow")
@given(st.permutations([300.0, -200.0, 100.0, 50.0]), st.sampled_from([1.0, 2**-8, 2**-16, 2**7]))
def test_float16_whose_squares_overflow(f, compiled, entries, scale):
    """NumPy's value is inf, and it warns; the gradient is that of the number that it would have been."""
    x = np.array(entries) * scale
    gradient = mg.grad(lambda x: np.sum(f(x)))
    g = (mg.jit(gradient) if compiled else gradient)(x.astype(np.float16))
    assert g.dtype == np.float16
    np.testing.assert_allclose(g.astype(float), gradient(x), rtol=2e-2, atol=1e-3)


@given(
    st.sampled_from([np.uint8, np.int8, np.uint16, np.int64, np.uint64]),
    st.integers(0, 2),
    st.sampled_from([np.var, np.std]),
)
def test_an_option_counts_as_the_number_that_it_is(dtype, ddof, f):
    x = np.linspace(0.0, 3.0, 300) ** 2
    want = mg.grad(lambda a: f(a, ddof=ddof))(x)
    np.testing.assert_array_equal(mg.grad(lambda a: f(a, ddof=dtype(ddof)))(x), want)


TABLE = np.arange(12.0).reshape(3, 4) % 5 + np.arange(12.0).reshape(3, 4) / 7
MASK = TABLE % 3 < 2
MEAN = np.mean(TABLE, axis=1, keepdims=True) + 0.25


@pytest.mark.parametrize("f", [np.var, np.std])
@pytest.mark.parametrize(
    "options",
    [
        {"correction": 1},
        {"axis": 1, "mean": MEAN},
        {"axis": 1, "mean": MEAN, "where": MASK, "ddof": 1},
        {"axis": 0, "where": MASK, "correction": 0.5},
        {"axis": (0, 1), "where": MASK, "keepdims": True},
    ],
    ids=str,
)
def test_variances_by_every_option(f, options):
    check_rule(lambda x: f(x, **options), TABLE)


@pytest.mark.parametrize("f", [np.var, np.std])
@pytest.mark.parametrize("entry", [np.inf, np.nan])
def test_an_entry_that_is_left_out_is_in_no_derivative(f, entry):
    x, where = np.array([1.0, 2.0, 4.0, entry]), [True, True, True, False]

    def derivatives(**options):
        first = mg.grad(lambda x: f(x, **options))
        return first, mg.grad(lambda x: np.sum(np.sin(first(x))))

    for got, want in zip(derivatives(where=where), derivatives(), strict=True):
        np.testing.assert_allclose(got(x), [*want(x[:3]), 0], rtol=1e-13)


@pytest.mark.parametrize("function", [np.var, np.std])
@pytest.mark.parametrize(
    "options",
    [
        *[
            {},
            {"axis": 0},
            {"axis": 1, "ddof": 1},
            {"axis": (0, 1), "keepdims": True},
            {"axis": 0, "correction": 1},
        ],
        *[{"axis": 1, "where": [[True, False, True, True]]}, {"where": [[True], [False], [True]], "ddof": 1}],
        {"axis": 0, "where": [[True], [False], [True]], "keepdims": True, "dtype": np.float64},
    ],
)
def test_a_mean_that_is_a_tensor_has_a_gradient(function, options):
    x = np.cos(np.arange(12.0)).reshape(3, 4)
    of_mean = {name: each for name, each in options.items() if name in ("axis", "where")}

    def about_its_own(x):
        return function(x, mean=np.mean(x, keepdims=True, **of_mean), **options)

    check_rule(about_its_own, x)
    check_rule(lambda x, m: function(x, mean=m, **options), x, np.mean(x, keepdims=True, **of_mean) + 0.25)
    check_rule(lambda m: function(x, mean=m, **options), np.mean(x, keepdims=True, **of_mean) + 0.25)
    for made in (mg.grad, lambda f: mg.jit(mg.grad(f))):
        got = made(lambda x: np.sum(about_its_own(x)))(x)
        np.testing.assert_allclose(got, mg.grad(lambda x: np.sum(function(x, **options)))(x), atol=1e-14)


@pytest.mark.parametrize("function", [np.var, np.std])
@pytest.mark.parametrize("dtype", ["f2", "f4", "F"])
def test_a_mean_that_is_a_tensor_of_another_dtype(function, dtype):
    x = np.array([[1.5, 2.0, -0.5], [0.25, 1.0, 4.0]], dtype)
    check_call(lambda x, m: function(x, axis=0, mean=m), x, np.mean(x, axis=0, keepdims=True))


def test_a_deviation_of_zero_about_a_mean_has_the_subgradient_zero():
    f = lambda x: np.std(x, mean=np.mean(x, keepdims=True))  # noqa: E731
    for made in (mg.grad, lambda f: mg.jit(mg.grad(f))):
        np.testing.assert_array_equal(made(f)(np.full(3, 2.0)), np.zeros(3))
    assert mg.value_and_grad(f)(np.full(3, 2.0))[0] == 0
