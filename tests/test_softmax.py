"""Softmax and its kin: quotients of exponentials that do not overflow, in the limit at infinities."""

import numpy as np
import pytest
from derivatives import check_rule
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg

SOFT = [mg.softmax, mg.log_softmax, mg.logsumexp]


@pytest.mark.parametrize("f", SOFT)
@given(
    st.sampled_from([np.uint8, np.int8, np.uint16, np.int32, np.bool_]),
    st.lists(st.integers(0, 100), min_size=1, max_size=5),
)
def test_integers_are_scores_as_floats_are(f, dtype, entries):
    scores = np.array(entries).astype(dtype)
    out = f(scores)
    assert out.dtype == np.float64
    np.testing.assert_array_equal(out, f(scores.astype(np.float64)))
    np.testing.assert_array_equal(f(scores.tolist()), out)


def test_softmax_of_bytes():
    np.testing.assert_allclose(mg.softmax(np.array([0, 255], np.uint8)), [np.exp(-255.0), 1], rtol=1e-14)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([-np.inf, -np.inf], [0, 0]),
        ([-np.inf, 1.0], [0, 1]),
        ([np.inf, 1.0], [1, 0]),
        ([np.inf, -np.inf, np.inf], [0.5, 0, 0.5]),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_logsumexp_at_infinities_has_the_limit_of_softmax(x, expected, compiled):
    gradient = mg.grad(mg.logsumexp)
    with np.errstate(invalid="raise", divide="ignore"):
        g = (mg.jit(gradient) if compiled else gradient)(np.array(x))
    np.testing.assert_array_equal(g, expected)


@pytest.mark.parametrize("f", [*SOFT, mg.sigmoid])
def test_arrays_on_disk(f, tmp_path):
    np.save(tmp_path / "x.npy", np.arange(3.0))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(f(mapped), f(np.arange(3.0)))


@pytest.mark.parametrize("f", [mg.softmax, mg.log_softmax, mg.logsumexp])
def test_float16_is_what_the_wide_one_is_rounded(f):
    x = np.array([0.5, -1.0, 2.0], np.float16)
    np.testing.assert_allclose(f(x), f(x.astype(np.float64)), rtol=1e-3)
    got, want = (
        mg.grad(lambda x: np.sum(f(x) * np.array([1, 2, 3], x.dtype)))(each) for each in (x, x.astype(float))
    )
    np.testing.assert_allclose(got, want, atol=2e-3)


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)], ids=str)
@pytest.mark.parametrize("scale", [1.0, -1.0, 1e3, 1e-3])
def test_softmax_and_its_kin_are_quotients_of_exponentials(axis, scale):
    """Of scores whose exponentials overflow those less the largest, which give the same quotients."""
    x = scale * np.array([[0.5, -1.5, 2.0], [0.25, 1.0, -0.75]])
    top = np.max(x, axis=axis, keepdims=True)
    total = np.sum(np.exp(x - top), axis=axis, keepdims=True)
    np.testing.assert_allclose(mg.softmax(x, axis=axis), np.exp(x - top) / total, rtol=1e-14)
    np.testing.assert_allclose(mg.log_softmax(x, axis=axis), x - top - np.log(total), rtol=1e-14, atol=1e-14)
    for keepdims in (False, True):
        np.testing.assert_allclose(
            mg.logsumexp(x, axis=axis, keepdims=keepdims),
            np.log(total) + top if keepdims else np.squeeze(np.log(total) + top, axis),
            rtol=1e-14,
        )


def test_a_line_without_infinities_beside_one_that_has_some():
    x = np.array([[np.inf, 1.0], [1.0, 2.0]])
    got = mg.grad(lambda x: np.sum(mg.logsumexp(x, axis=1)))(x)
    np.testing.assert_allclose(got, [[1, 0], mg.softmax(x[1])], rtol=1e-14)


@pytest.mark.parametrize("f", SOFT)
def test_floats_wider_than_float64_stay_what_they_are(f):
    x = np.array([0.5, 1.5], np.longdouble)
    assert f(x).dtype == np.longdouble


@pytest.mark.parametrize("axis", [(0, 2), (-1, 0), (1,), -2, -3], ids=str)
@pytest.mark.parametrize("f", SOFT, ids=lambda f: f.__name__)
def test_along_any_axes_of_three(f, axis):
    x = np.random.default_rng(0).permutation(24).reshape(2, 3, 4) / 10 - 0.85
    check_rule(lambda x: f(x, axis=axis), x)


@pytest.mark.parametrize("f", [mg.logsumexp, lambda x: mg.softmax(x)[0] * 1000])
@pytest.mark.parametrize("compiled", [False, True])
def test_float16_counts_beyond_its_range(f, compiled):
    gradient, x = mg.grad(f), np.ones(70_000)
    g = (mg.jit(gradient) if compiled else gradient)(x.astype(np.float16))
    assert g.dtype == np.float16
    np.testing.assert_allclose(g.astype(float), gradient(x), rtol=3e-2, atol=1e-7)
