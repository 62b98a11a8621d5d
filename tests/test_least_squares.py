"""Pseudoinverses and least squares beyond what the registry tests: cutoffs, Hermitian matrices, a rank that is lost."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import check_grads

RNG = np.random.default_rng(0)
SPREAD = np.diag([5.0, 3.0, 0.4]) + 0.1 * RNG.standard_normal((3, 3))
"""Its singular values are about 5, 3 and 0.4."""


def of_parts(f):
    """A function of a complex matrix, as one of its real and its imaginary part."""
    return lambda x, y: f(x + 1j * y)


@pytest.mark.parametrize("shape", [(3, 3), (3, 2), (2, 3)])
def test_a_cutoff_that_drops_singular_values_has_the_gradient_of_differences(shape):
    a = SPREAD[: shape[0], -shape[1] :]
    options = [{"rcond": 0.3}, {"rtol": 0.3}, {"rcond": np.float64(1e-3)}]
    for option in options:
        check_grads(lambda a, option=option: np.linalg.pinv(a, **option), a, order=2)
    imaginary = 0.1 * RNG.standard_normal(shape)
    check_grads(of_parts(lambda a: np.abs(np.linalg.pinv(a, rcond=0.3) + 1)), a, imaginary, order=2)


def test_cutoffs_of_a_stack():
    a = np.stack([SPREAD, SPREAD])
    cut = np.array([0.3, 1e-3])
    assert np.linalg.matrix_rank(np.linalg.pinv(a, rcond=cut)).tolist() == [2, 3]
    check_grads(lambda a: np.linalg.pinv(a, rcond=cut), a, order=2)


def test_a_matrix_of_equal_singular_values_has_a_gradient():
    turned = np.linalg.qr(RNG.standard_normal((3, 3)))[0]
    check_grads(lambda a: np.linalg.pinv(a, rcond=0.1), turned)


def test_of_a_hermitian_matrix_one_triangle_is_read():
    a = SPREAD - 4 * np.eye(3)
    check_grads(lambda a: np.linalg.pinv(a, hermitian=True), a, order=2)
    check_grads(
        of_parts(lambda a: np.abs(np.linalg.pinv(a, hermitian=True) + 1)),
        a,
        0.3 * a * RNG.standard_normal(3),
        order=2,
    )
    got = mg.grad(lambda a: np.sum(np.linalg.pinv(a, hermitian=True)))(a)
    assert not got[np.triu_indices(3, 1)].any()


def test_least_squares_by_a_cutoff():
    b = RNG.standard_normal(3)
    for got, want in zip(
        mg.grad(lambda a, b: np.sum(np.linalg.lstsq(a, b, rcond=0.01)[0] ** 2), (0, 1))(SPREAD, b),
        mg.grad(lambda a, b: np.sum(np.linalg.solve(a, b) ** 2), (0, 1))(SPREAD, b),
        strict=True,
    ):
        np.testing.assert_allclose(got, want, rtol=1e-11, atol=1e-13)
    with pytest.raises(np.linalg.LinAlgError, match=r"rank 2 with rcond=0.3.*write pinv\(a, rcond\) @ b"):
        mg.grad(lambda a: np.sum(np.linalg.lstsq(a, b, rcond=0.3)[0]))(SPREAD)
    solution = np.linalg.lstsq(SPREAD, b, rcond=0.3)[0]
    np.testing.assert_allclose(np.linalg.pinv(SPREAD, 0.3) @ b, solution, rtol=1e-12)


def test_a_singular_value_at_the_cutoff_is_dropped():
    """As by NumPy: what is kept is above it."""
    a = np.array([[1.0, 0.0], [0.0, 0.5]])
    at, above = (
        mg.grad(lambda a, r=r: np.sum(np.linalg.pinv(a, r) * [[1.0, 2.0], [3.0, 4.0]]))(a) for r in (0.5, 0.6)
    )
    np.testing.assert_array_equal(at, above)
    assert not np.array_equal(
        at, mg.grad(lambda a: np.sum(np.linalg.pinv(a, 0.4) * [[1.0, 2.0], [3.0, 4.0]]))(a)
    )


def test_the_cutoff_is_relative_to_the_largest_singular_value():
    def gradient(scale):
        a = scale * np.array([[1.0, 0.2], [0.1, 0.3]])
        return mg.grad(lambda a: np.linalg.pinv(a, 0.1)[0, 1])(a) * scale**2

    np.testing.assert_allclose(gradient(0.25), gradient(1.0), rtol=1e-12)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3)], ids=str)
def test_least_squares_return_the_rank(shape):
    a = np.eye(*shape) + 0.1
    assert np.linalg.lstsq(mg.tensor(a, requires_grad=True), np.ones(shape[0]))[2] == 2


def test_a_decomposition_that_rounds_the_imaginary_part_is_no_false_alarm():
    """Where an entry below the diagonal is tiny the complex step is off by a thousand ulps."""
    a = [
        [1.1380213071334955, -0.243914081234556, 0.06215031401428739],
        [0.08179134110370062, 3.369938474499505, -0.3421877875760986],
        [-2.174107310520812e-05, 0.19527798342611857, 4.741781392379727],
    ]
    b = [-0.4477330728619231, -1.7484180061801147, 0.903523455103107]
    check_grads(lambda a, b: np.linalg.lstsq(a, b)[0], np.array(a), np.array(b))
