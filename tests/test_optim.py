import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigrad import optim
from minigrad.optim import sgd

DTYPES = st.sampled_from([np.float32, np.float64])
RATES = st.floats(0, 10)


@st.composite
def steps(draw):
    """A parameter and its gradient: one shape, one dtype, finite."""
    dtype = draw(DTYPES)
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    values = st.floats(-1e3, 1e3, width=32)
    return draw(hnp.arrays(dtype, shape, elements=values)), draw(hnp.arrays(dtype, shape, elements=values))


@settings(deadline=None)
@given(steps(), RATES)
def test_sgd_moves_against_the_gradient_by_the_learning_rate(step, rate):
    w, dw = step
    expected = w - np.asarray(rate, w.dtype) * dw
    new_w, _ = sgd(w, dw, {"learning_rate": rate})
    np.testing.assert_allclose(new_w, expected, rtol=1e-6, atol=1e-6)


@settings(deadline=None)
@given(steps(), RATES)
def test_sgd_updates_in_place_and_keeps_dtype_and_gradient(step, rate):
    w, dw = step
    dtype, gradient = w.dtype, dw.copy()
    new_w, _ = sgd(w, dw, {"learning_rate": rate})
    assert new_w is w
    assert new_w.dtype == dtype
    np.testing.assert_array_equal(dw, gradient)


@settings(deadline=None)
@given(steps())
def test_sgd_with_learning_rate_zero_changes_nothing(step):
    w, dw = step
    before = w.copy()
    sgd(w, dw, {"learning_rate": 0})
    np.testing.assert_array_equal(w, before)


@settings(deadline=None)
@given(steps(), RATES)
def test_sgd_undoes_itself_with_the_opposite_gradient(step, rate):
    w, dw = (array.astype(np.float64) for array in step)
    before = w.copy()
    sgd(w, dw, {"learning_rate": rate})
    sgd(w, -dw, {"learning_rate": rate})
    np.testing.assert_allclose(w, before, rtol=1e-9, atol=1e-9)


def test_sgd_by_hand():
    w, config = sgd(np.array([1.0, -2.0]), np.array([10.0, 20.0]), {"learning_rate": 0.1})
    np.testing.assert_allclose(w, [0.0, -4.0])
    assert config == {"learning_rate": 0.1}


def test_sgd_default_learning_rate_is_one_hundredth():
    w, config = sgd(np.array([1.0]), np.array([1.0]))
    assert w == pytest.approx([0.99])
    assert config == {"learning_rate": 1e-2}


def test_sgd_fills_in_and_returns_the_config_it_was_given():
    given_config = {}
    _, config = sgd(np.zeros(2), np.ones(2), given_config)
    assert config is given_config
    assert config == {"learning_rate": 1e-2}


@pytest.mark.parametrize("rate", [np.float64(0.5), np.float32(0.5), 1, np.int64(1)])
def test_sgd_keeps_float32_under_any_kind_of_learning_rate(rate):
    w, _ = sgd(np.ones(3, np.float32), np.ones(3, np.float32), {"learning_rate": rate})
    assert w.dtype == np.float32
    np.testing.assert_array_equal(w, np.ones(3) - float(rate))


def test_sgd_updates_a_view_within_its_base():
    base = np.zeros((3, 4))
    sgd(base[:, ::2], np.ones((3, 2)), {"learning_rate": 1.0})
    np.testing.assert_array_equal(base, [[-1, 0, -1, 0]] * 3)


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("w", "dw", "error", "message"),
    [
        (np.ones((2, 3)), np.ones(3), ValueError, r"shape \(3,\).*\(2, 3\)"),
        (np.ones((2, 3)), np.ones((3, 2)), ValueError, "they must agree"),
        (np.ones(3, np.float32), np.ones(3), TypeError, "float64.*float32"),
        (np.ones(3), np.ones(3, np.float32), TypeError, "float32.*float64"),
        (np.ones(3, int), np.ones(3, int), TypeError, "floating"),
        (np.ones(3, complex), np.ones(3, complex), TypeError, "floating"),
        (read_only(np.ones(3)), np.ones(3), ValueError, "read-only"),
        ([1.0], np.ones(1), TypeError, "w must be a NumPy array, got list"),
        (np.ones(1), [1.0], TypeError, "dw must be a NumPy array, got list"),
        (np.float64(1), np.float64(1), TypeError, "w must be a NumPy array"),
    ],
)
def test_sgd_refuses_unfit_arrays(w, dw, error, message):
    before, config = np.copy(w), {}
    with pytest.raises(error, match=message):
        sgd(w, dw, config)
    np.testing.assert_array_equal(w, before)
    assert config == {}


@pytest.mark.parametrize(
    ("rate", "error"),
    [
        (-1e-9, ValueError),
        (math.inf, ValueError),
        (math.nan, ValueError),
        ("0.1", TypeError),
        (None, TypeError),
    ],
)
def test_sgd_refuses_a_bad_learning_rate(rate, error):
    w = np.ones(3)
    with pytest.raises(error, match="learning_rate"):
        sgd(w, np.ones(3), {"learning_rate": rate})
    np.testing.assert_array_equal(w, np.ones(3))


def test_sgd_refuses_a_misspelt_setting():
    w, config = np.ones(3), {"lr": 0.5}
    with pytest.raises(ValueError, match=r"'lr'.*'learning_rate'"):
        sgd(w, np.ones(3), config)
    np.testing.assert_array_equal(w, np.ones(3))
    assert config == {"lr": 0.5}


def test_rules_are_found_by_name():
    assert optim.find_rule("sgd") is sgd


def test_a_function_is_its_own_rule():
    def rule(w, dw, config=None):
        return w, config

    assert optim.find_rule(rule) is rule


def test_an_unknown_rule_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'sdg'; known: .*sgd"):
        optim.find_rule("sdg")
    with pytest.raises(TypeError, match="name or a function"):
        optim.find_rule(3)


def test_a_config_that_is_no_dict_is_told():
    with pytest.raises(TypeError, match=r"config is 0\.1; expected a dict"):
        optim.sgd(np.zeros(2), np.zeros(2), 0.1)
