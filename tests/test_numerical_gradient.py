"""Differences as the course takes them; those that a check takes are held to their errors in test_comparison.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigrad.checks.numerical_gradient import (
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    rel_error,
)

FLOATS = st.floats(-1e3, 1e3)


@given(
    hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, min_side=0, max_dims=2, max_side=3), elements=FLOATS)
)
def test_numerical_gradient_of_a_quadratic(x):
    kept = x.copy()
    gradient = eval_numerical_gradient(lambda x: (x * x).sum(), x, verbose=False)
    np.testing.assert_allclose(gradient, 2 * kept, rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(x, kept)
    df = np.cos(np.arange(x.size)).reshape(x.shape)
    gradient = eval_numerical_gradient_array(lambda x: 3 * x, x, df)
    np.testing.assert_allclose(gradient, 3 * df, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(x, kept)


def test_verbose_prints_each_entry(capsys):
    eval_numerical_gradient(lambda x: 2 * x.sum(), np.zeros((1, 2)))
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["(0,", "0)"],
        ["(0,", "1)"],
    ]


EVALUATIONS = [
    lambda f, x: eval_numerical_gradient(f, x, verbose=False),
    lambda f, x: eval_numerical_gradient_array(f, x, 1.0),
]


@pytest.mark.parametrize("evaluate", EVALUATIONS)
def test_a_function_that_draws_anew_at_each_call_is_refused(evaluate):
    rng, x = np.random.default_rng(0), np.ones(3)
    with pytest.raises(ValueError, match=r"returns other numbers when .*dropout_param\['seed'\] = 0"):
        evaluate(lambda x: x.sum() * (1 + 1e-6 * rng.random()), x)
    assert evaluate(lambda x: np.float32(x.sum() * (1 + 1e-8 * rng.random())), x).shape == (
        3,
    )  # its rounding
    assert evaluate(lambda x: x.sum() * np.nan, x).shape == (3,)


@pytest.mark.parametrize("evaluate", EVALUATIONS)
def test_x_is_restored_exactly_when_f_raises(evaluate):
    x = np.array([0.1, 0.7])
    kept = x.copy()

    def f(x):
        if x[1] != kept[1]:
            raise KeyError("no")
        return x.sum()

    try:
        evaluate(f, x)
    except KeyError:
        np.testing.assert_array_equal(x, kept)
    else:
        pytest.fail("f did not raise")
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("x", [np.array([1, 2]), [1.0, 2.0], np.broadcast_to(1.0, 3)])
def test_what_cannot_be_nudged_is_refused(x):
    with pytest.raises(
        TypeError, match=r"expected a writable array of floats|read-only, .* give x\.copy\(\)"
    ):
        eval_numerical_gradient(lambda x: 0.0, x)


def test_another_shape_of_df_and_no_step_are_refused():
    with pytest.raises(ValueError, match=r"df has shape \(3, 1\), but f\(x\) has \(3,\)"):
        eval_numerical_gradient_array(lambda x: x, np.ones(3), np.ones((3, 1)))
    with pytest.raises(ValueError, match="expected a step > 0"):
        eval_numerical_gradient(lambda x: x.sum(), np.ones(3), h=0)


def test_a_step_lost_in_rounding_is_told():
    with pytest.warns(UserWarning, match=r"a step of 1e-05 is lost in the rounding of float32"):
        eval_numerical_gradient(lambda x: (x * x).sum(), np.ones(2, np.float32), verbose=False)


def test_rel_error():
    assert rel_error(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0
    assert rel_error(np.array([1.0, 3.0]), np.array([1.0, 1.0])) == 0.5
    assert rel_error(np.zeros(2), np.full(2, 1e-9)) == pytest.approx(0.1)
    assert rel_error(np.zeros((0, 2)), np.zeros((0, 2))) == 0


def test_rel_error_of_integers_and_of_unequal_shapes():
    assert rel_error(np.uint8(3), np.uint8(5)) == 0.25
    assert rel_error(np.int8(-128), np.int8(-128)) == 0
    with pytest.raises(ValueError, match=r"rel_error: x has shape \(3, 1\), y has \(3,\); expected the same"):
        rel_error(np.zeros((3, 1)), np.zeros(3))
    with pytest.raises(TypeError, match="rel_error: x has dtype object"):
        rel_error(None, 1.0)


def test_entries_that_share_memory_are_refused():
    windows = np.lib.stride_tricks.sliding_window_view(np.arange(6.0), 3, writeable=True)
    with pytest.raises(ValueError, match=r"entries of x share memory.*x\.copy\(\)"):
        eval_numerical_gradient(np.sum, windows)
    with pytest.raises(ValueError, match="entries of x share memory"):
        eval_numerical_gradient_array(
            lambda x: x, np.lib.stride_tricks.as_strided(np.ones(1), (3,), (0,)), 1.0
        )
    for x in (
        np.ones((6, 4))[::2, ::-1],
        np.ones((3, 4)).T,
        np.ones((2, 3, 4)).transpose(1, 0, 2)[:, :, ::3],
    ):
        np.testing.assert_allclose(eval_numerical_gradient(np.sum, x, verbose=False), 1)


def test_a_function_that_returns_its_cache_too_is_told():
    x = np.ones((2, 3))
    with pytest.raises(TypeError, match=r"f returned a tuple of 2; expected its output alone"):
        eval_numerical_gradient_array(lambda x: (x * 2, x), x, np.ones((2, 3)))
    np.testing.assert_array_equal(x, np.ones((2, 3)))
