"""Reductions: counts beyond a dtype's range, infinities, axes of no name, options refused."""

import inspect

import numpy as np
import pytest
from derivatives import check_call, check_rule
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.gradient_check import check_grads
from minigrad.rules import OPS
from minigrad.rules.reductions import narrowed, widened

MANY = 70_000


def metadata_of(f):
    try:
        return inspect.signature(f)
    except ValueError:
        return None


HALVES = np.tile([0.5, -0.5], MANY // 2)
REDUCTIONS = [np.sum, np.mean, np.max, np.min, np.prod, np.var, np.std, np.median, np.ptp]


# -- a count never takes the data's dtype ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (np.mean, np.ones(MANY), 1 / MANY),
        (lambda x: np.mean(x, where=x > 0), np.ones(MANY), 1 / MANY),
        (np.max, np.ones(MANY), 1 / MANY),
        (np.min, np.ones(MANY), 1 / MANY),
        (np.std, HALVES, 2 * HALVES / MANY),
        (
            lambda x: 100 * np.var(x),
            HALVES,
            200 * HALVES / MANY,
        ),
        (lambda x: 30_000 * np.std(x), HALVES, 60_000 * HALVES / MANY),
        (lambda x: 40_000 * np.var(x), HALVES, 80_000 * HALVES / MANY),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_float16_counts_beyond_its_range(f, x, expected, compiled):
    gradient = mg.grad(f)
    g = (mg.jit(gradient) if compiled else gradient)(x.astype(np.float16))
    assert g.dtype == np.float16
    np.testing.assert_allclose(g.astype(float), np.broadcast_to(expected, x.shape), rtol=3e-2, atol=1e-7)


# -- infinities --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [np.max, np.min])
@pytest.mark.parametrize("compiled", [False, True])
def test_an_infinite_gradient_reaches_the_extremum_alone(f, compiled):
    gradient = mg.grad(lambda x: f(x) * np.inf)
    x = np.array([1.0, 1.0, 1.0])
    x[1] = 2.0 if f is np.max else 0.5
    np.testing.assert_array_equal((mg.jit(gradient) if compiled else gradient)(x), [0, np.inf, 0])


def test_the_extremum_of_nan_has_no_number_as_its_gradient():
    assert np.isnan(mg.grad(np.max)(np.array([1.0, np.nan]))).all()


# -- axes of no name ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [f for f in REDUCTIONS if f not in (np.median, np.ptp)])
@given(st.sampled_from([(), (2,), (2, 3)]))
def test_over_no_axes_each_entry_is_its_own_result(f, shape):
    x = np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)
    each = 0 if f in (np.var, np.std) else 1
    np.testing.assert_array_equal(mg.grad(lambda a: np.sum(f(a, axis=())))(x), np.full(shape, each))


@pytest.mark.parametrize("f", [np.sum, np.prod, np.max, np.min])
def test_a_number_has_an_axis_0_as_numpy_has_it(f):
    for axis in (0, -1):
        assert mg.grad(lambda a, axis=axis: f(a, axis=axis) * 3)(np.array(2.0)) == 3


BESIDE = {
    np.take: (0,),
    np.repeat: (2,),
    np.quantile: (0.3,),
    np.percentile: (30.0,),
    np.roll: (1,),
    np.split: (1,),
}
WITH_AXIS = [
    f for f in OPS if not isinstance(f, np.ufunc) and "axis" in getattr(metadata_of(f), "parameters", ())
]


@pytest.mark.parametrize("f", WITH_AXIS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("axis", [0, -1, 1, None, ()])
@pytest.mark.filterwarnings("ignore")
def test_a_number_along_an_axis_is_as_numpy_has_it(f, axis):
    x = np.array(1.5)
    try:
        want = f(x, *BESIDE.get(f, ()), axis=axis)
    except (TypeError, ValueError, IndexError):
        return
    got = f(mg.tensor(x, requires_grad=True), *BESIDE.get(f, ()), axis=axis)
    for y, z in zip(
        *(each if isinstance(each, (tuple, list)) else [each] for each in (got, want)), strict=True
    ):
        np.testing.assert_array_equal(mg.stop_gradient(y), z)
    if want is not None and np.size(want):
        check_grads(lambda x: f(x, *BESIDE.get(f, ()), axis=axis), x)


# -- arrays of other kinds, and options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: np.take(t, [0], out=np.zeros((1, 2))), "take: no backward rule .*'out'"),
        (lambda t: np.ptp(t, out=np.zeros(())), "ptp: no backward rule .*'out'"),
        (lambda t: np.median(t, overwrite_input=True), "median: no backward rule with 'overwrite_input'"),
        (lambda t: np.sort(t, order="x"), "sort: no backward rule with 'order'"),
    ],
)
def test_options_without_a_rule_are_refused_by_name(call, message):
    with pytest.raises(TypeError, match=message):
        call(mg.tensor(np.eye(2), requires_grad=True))


def test_calls_that_return_several():
    x, w = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 1.0])
    mean, scale = np.average(mg.tensor(x, requires_grad=True), weights=w, returned=True)
    assert (mean.item(), scale.item()) == (2.25, 4.0)
    rows, columns = np.gradient(mg.tensor(np.outer(x, w), requires_grad=True))
    expected = np.gradient(np.outer(x, w))
    np.testing.assert_allclose(rows.numpy(), expected[0])
    np.testing.assert_allclose(columns.numpy(), expected[1])


def test_interpolation_beyond_the_nodes_and_periodic():
    xp, fp = np.array([0.0, 1.0, 3.0]), np.array([1.0, 2.0, -1.0])
    x = np.array([-0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 3.5])
    slopes = mg.grad(lambda x: np.sum(np.interp(x, xp, fp)))(x)
    np.testing.assert_allclose(slopes, [0, 1, 1, -1.5, -1.5, 0, 0])
    t = mg.tensor(x, requires_grad=True)
    for options in ({}, {"left": 5.0, "right": 6.0}, {"period": 4.0}, {"period": -2.5}):
        np.testing.assert_allclose(np.interp(t, xp, fp, **options).numpy(), np.interp(x, xp, fp, **options))
    np.testing.assert_array_equal(np.interp(t, [1.0], [2.0]).numpy(), np.interp(x, [1.0], [2.0]))
    values = mg.grad(lambda f: np.sum(np.interp([0.5, 2.0], xp, f)))(fp)
    np.testing.assert_allclose(values, [0.5, 1.0, 0.5])


def test_nan_in_a_quantile_stays_nan():
    x = np.array([[1.0, np.nan, 2.0], [1.0, 2.0, 4.0]])
    g = mg.grad(lambda a: np.sum(np.median(a, axis=1)))(x)
    assert np.isnan(g[0]).any()
    np.testing.assert_array_equal(g[1], [0, 1, 0])


@pytest.mark.parametrize("axis", [0, -1, (), None])
@pytest.mark.parametrize("f", [np.sum, np.max, np.min, np.prod])
def test_a_number_has_an_axis_to_reduce(f, axis):
    got = mg.value_and_grad(lambda x: f(x, axis=axis) * 3)(1.5)
    assert got == (4.5, 3)


@pytest.mark.parametrize("f", [np.max, np.min])
@pytest.mark.parametrize(
    "options", [{}, {"axis": 1}, {"axis": 0, "where": [[True], [False], [True]]}], ids=str
)
def test_what_an_extremum_begins_at_has_an_equal_share(f, options):
    x = np.array([[1.0, 2.0, 2.0], [5.0, 5.0, 5.0], [2.0, 1.0, 2.0]])
    initial = 5.0 if f is np.max else 1.0
    found = mg.grad(lambda x: np.sum(f(x, initial=initial, **options)))(x)
    hit = (x == initial) & options.get("where", True)
    ties = np.sum(hit, axis=options.get("axis"), keepdims=True) + 1
    np.testing.assert_array_equal(found, hit / ties)


def test_means_of_nothing_along_an_axis_of_some():
    check_rule(lambda x: np.mean(x, axis=0), np.ones((3, 0)))


@pytest.mark.parametrize("axis", [(0, 2), (-1, 0), (1,), -2, -3], ids=str)
@pytest.mark.parametrize("f", REDUCTIONS, ids=lambda f: f.__name__)
def test_reductions_along_any_axes_of_three(f, axis):
    x = np.random.default_rng(0).permutation(24).reshape(2, 3, 4) / 10 - 0.85
    check_rule(lambda x: f(x, axis=axis), x)


@pytest.mark.parametrize("f", [np.max, np.min])
@pytest.mark.parametrize("other", [5.0, np.nan])
def test_an_infinite_gradient_of_one_line_leaves_the_others_as_they_are(f, other):
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    t = mg.tensor(x if f is np.max else -x, requires_grad=True)
    f(t, axis=1).backward(np.array([np.inf, other]))
    np.testing.assert_array_equal(t.grad, [[0, np.inf], [0 * other, other]])


def test_a_mean_of_more_than_float32_counts_is_numpys():
    x = np.broadcast_to(np.float32(0.1), (2**24 + 1,))
    assert np.mean(mg.tensor(x, requires_grad=True)).data == np.mean(x)


@pytest.mark.parametrize("function", [np.sum, np.mean, np.max, np.prod, np.var, np.std, np.nanmean])
@pytest.mark.parametrize("axis", [None, 0, -1, 1, ()])
def test_axes_of_a_number_are_those_that_numpy_takes(function, axis):
    check_call(lambda x: function(x, axis=axis), np.array(1.5))
    call = mg.jit(lambda x: function(x, axis=axis))
    try:
        want = function(np.array(1.5), axis=axis)
    except np.exceptions.AxisError:
        with pytest.raises(np.exceptions.AxisError):
            call(np.array(1.5))
    else:
        assert call(np.array(1.5)) == want


@pytest.mark.parametrize(
    ("dtype", "wide"),
    [(np.float16, np.float32), (np.int8, np.float64), (bool, np.float64), (np.longdouble, np.longdouble)],
)
def test_what_sums_are_computed_in(dtype, wide):
    assert widened(np.ones(2, dtype)).dtype == wide
    assert narrowed(widened(np.ones(2, dtype)), np.ones(2, dtype)).dtype == (
        dtype if dtype is np.float16 else wide
    )
