"""Whitened principal components, of examples and of patches: what defines them, what they keep, what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.datasets import load_digits
from minigrad.layers import conv_forward
from minigrad.preprocess import ROWS, patch_whitening, pca_whitened, pca_whitening


def drawn(seed, shape, dtype=np.float64):
    """Examples whose entries depend on one another, far from 0."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(shape[1:]))
    X = rng.standard_normal((shape[0], size)) @ rng.standard_normal((size, size)) + 5 * rng.standard_normal(
        size
    )
    return X.reshape(shape).astype(dtype)


@given(
    st.integers(0, 99),
    st.integers(1, 3),
    st.sampled_from([(4,), (2, 3)]),
    st.sampled_from([np.float32, np.float64]),
)
def test_components_are_uncorrelated_and_as_far_from_the_mean(seed, n_components, example, dtype):
    X, other = drawn(seed, (40, *example), dtype), drawn(seed + 1, (3, *example), dtype)
    before = X.copy()
    data = {"X_train": X, "X_val": other, "X_test": other[:0], "y_train": np.arange(40)}
    got = pca_whitened(data, n_components)
    assert {name: (x.shape, x.dtype) for name, x in got.items()} == {
        "X_train": ((40, n_components), dtype),
        "X_val": ((3, n_components), dtype),
        "X_test": ((0, n_components), dtype),
        "y_train": ((40,), data["y_train"].dtype),
    }
    np.testing.assert_array_equal(X, before)
    rows = X.reshape(40, -1).astype(np.float64)
    total = np.sum((rows - rows.mean(axis=0)) ** 2)
    Z = got["X_train"].astype(np.float64)
    tolerance = (1e-3 if dtype is np.float32 else 1e-7) * total
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=tolerance)
    np.testing.assert_allclose(Z.T @ Z, np.eye(n_components) * total / n_components, atol=tolerance)
    # One affine map for all parts, along directions of falling variance.
    assert np.array_equal(pca_whitened({**data, "X_val": X[:2]}, n_components)["X_val"], got["X_train"][:2])
    along = np.linalg.svd(rows - rows.mean(axis=0))[2][:n_components]
    cosines = [abs(np.corrcoef(z, d)[0, 1]) for z, d in zip(Z.T, along @ rows.T, strict=True)]
    np.testing.assert_allclose(cosines, 1, atol=1e-3 if dtype is np.float32 else 1e-6)


def test_more_examples_than_are_in_memory_at_once():
    X = drawn(0, (ROWS + 7, 3))
    Z = pca_whitened({"X_train": X}, 3)["X_train"]
    want = np.trace(np.cov(X.T, bias=True)) / 3
    np.testing.assert_allclose(np.cov(Z.T, bias=True), want * np.eye(3), atol=1e-9 * want)


@given(
    st.integers(0, 99),
    st.integers(1, 3),
    st.sampled_from([(4,), (2, 3)]),
    st.sampled_from([np.float32, np.float64]),
)
def test_a_whitening_maps_any_examples_as_those_that_defined_it(seed, n_components, example, dtype):
    X, other = drawn(seed, (40, *example), dtype), drawn(seed + 1, (3, *example), dtype)
    whitening = pca_whitening(X, n_components)
    data = pca_whitened({"X_train": X, "X_val": other}, n_components, unit_variance=True)
    for x, components in ((X, data["X_train"]), (other, data["X_val"])):
        got = whitening(x)
        assert (got.shape, got.dtype) == (components.shape, dtype)
        scale = np.abs(x).max() * np.abs(whitening.projection).max()  # of what rounding is relative to
        np.testing.assert_allclose(got, components, atol=40 * scale * np.finfo(dtype).eps)
    np.testing.assert_allclose(data["X_train"].var(axis=0), 1, rtol=1e-2 if dtype is np.float32 else 1e-6)
    assert whitening(other[:0]).shape == (0, n_components)


@given(st.integers(0, 99), st.floats(0, 3))
def test_eps_is_added_to_the_variances(seed, eps):
    X = drawn(seed, (40, 3))
    variances = np.linalg.eigvalsh(np.cov(X.T, bias=True))[::-1]
    shrunk = variances / (variances + eps * variances.mean())
    np.testing.assert_allclose(pca_whitening(X, 3, eps)(X).var(axis=0), shrunk, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_convolution_whitens_patches(dtype):
    rng = np.random.default_rng(0)
    X = (3 + rng.standard_normal((400, 2, 6, 6)).cumsum(axis=2).cumsum(axis=1)).astype(dtype)
    w, b = patch_whitening(X, 2, 5)
    assert (w.shape, w.dtype, b.shape, b.dtype) == ((5, 2, 2, 2), dtype, (5,), dtype)
    out = conv_forward(X, w, b, {"stride": 2, "pad": 0})[0].transpose(0, 2, 3, 1).reshape(-1, 5)
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-3 if dtype is np.float32 else 1e-10)
    np.testing.assert_allclose(
        np.cov(out.T, bias=True), np.eye(5), atol=1e-3 if dtype is np.float32 else 1e-9
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pca_whitening(np.eye(3), 4), ValueError, "pca_whitening: n_components is 4, .* 1 to 3"),
        (lambda: pca_whitening(np.eye(3), 3), ValueError, "X varies in 2 directions"),
        (
            lambda: pca_whitening(np.ones((3, 2), int), 1),
            TypeError,
            "pca_whitening: X .* int64; expected floats",
        ),
        (lambda: pca_whitening(np.eye(3), 1, -1), ValueError, "eps must be in .0, inf., got -1"),
        (lambda: pca_whitening(np.eye(3), 1, np.nan), ValueError, "eps must be in .0, inf., got nan"),
        (lambda: pca_whitening(np.eye(3), 1, None), TypeError, "eps must be a number, got None"),
        (lambda: pca_whitening(np.eye(3), 1)(np.eye(4)), ValueError, "X has 4 entries; expected 3"),
        (lambda: patch_whitening(np.eye(3), 2, 1), ValueError, r"shape \(3, 3\)"),
        (lambda: patch_whitening(np.ones((1, 1, 3, 3)), 4, 1), ValueError, "the patches 4; .* no smaller"),
        (lambda: patch_whitening(np.ones((1, 1, 3, 3)), 2.0, 1), ValueError, "the patches 2.0"),
        (lambda: patch_whitening(np.ones((2, 1, 3, 3)), 2, 1), ValueError, "varies in 0 directions"),
    ],
)
def test_what_a_whitening_refuses(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("data", "n_components", "error", "message"),
    [
        ({}, 1, ValueError, "no 'X_train'"),
        ({"X_train": np.ones((3, 2), int)}, 1, TypeError, "X_train has shape .* int64; expected floats"),
        ({"X_train": np.ones(3)}, 1, TypeError, r"shape \(3,\)"),
        ({"X_train": np.eye(3), "X_val": np.eye(2)}, 1, ValueError, "X_val has 2 entries, .* X_train 3"),
        ({"X_train": np.eye(3)}, 0, ValueError, "n_components is 0, .* expected 1 to 3"),
        ({"X_train": np.eye(3)}, 4, ValueError, "n_components is 4, .* expected 1 to 3"),
        ({"X_train": np.eye(3)}, 1.0, TypeError, "n_components must be an int, got 1.0"),
        ({"X_train": np.eye(3)}, True, TypeError, "n_components must be an int, got True"),
        ({"X_train": np.eye(3)}, 3, ValueError, "varies in 2 directions; expected 2 at most"),
        ({"X_train": np.ones((5, 3))}, 1, ValueError, "varies in 0 directions"),
        ({"X_train": np.ones((0, 3))}, 1, ValueError, "X_train is empty"),
        ({"X_train": np.full((2, 3), np.nan)}, 1, ValueError, "NaN, infinite or too large"),
    ],
)
def test_what_is_refused(data, n_components, error, message):
    with pytest.raises(error, match=message):
        pca_whitened(data, n_components)


def test_pixels_that_never_change_are_no_direction():
    digits = load_digits(np.float32)
    varying = np.count_nonzero(digits["X_train"].std(axis=0))
    assert pca_whitened(digits, varying)["X_val"].shape == (250, varying)
    with pytest.raises(ValueError, match=f"varies in {varying} directions"):
        pca_whitened(digits, 64)
