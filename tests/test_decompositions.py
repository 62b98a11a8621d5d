"""Decompositions and pseudoinverses beyond what the registry tests: whole bases, cutoffs, Hermitian matrices."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import check_grads

RNG = np.random.default_rng(0)
TALL = RNG.standard_normal((4, 2))
SPREAD = np.diag([5.0, 3.0, 0.4])[:, :3] + 0.1 * RNG.standard_normal((3, 3))
"""Its singular values are about 5, 3 and 0.4."""


def of_parts(f):
    """A function of a complex matrix, as one of its real and its imaginary part."""
    return lambda x, y: f(x + 1j * y)


# -- svd -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [TALL, TALL.T, np.stack([TALL, 2 * TALL + 1])], ids=["tall", "wide", "stacked"])
def test_a_whole_basis_is_numpys(a):
    for got, want in zip(np.linalg.svd(mg.tensor(a, requires_grad=True)), np.linalg.svd(a), strict=True):
        np.testing.assert_array_equal(got.data, want)


@pytest.mark.parametrize("a", [TALL, TALL.T], ids=["tall", "wide"])
def test_the_space_that_completes_a_basis_has_a_gradient(a):
    def projectors(a):
        u, s, vh = np.linalg.svd(a)
        k = min(a.shape)
        rest = u[:, k:], np.conj(np.swapaxes(vh[k:], 0, 1))
        return [np.abs(x @ np.conj(np.swapaxes(x, 0, 1)) + 0.3 * (i + s[0])) for i, x in enumerate(rest)]

    check_grads(projectors, a, order=2)
    check_grads(of_parts(projectors), a, 0.3 * RNG.standard_normal(a.shape), order=2)
    gradient = mg.grad(lambda a: np.sum(projectors(a)[0][0]) + np.sum(projectors(a)[1][0]))
    np.testing.assert_allclose(mg.jit(gradient)(a), gradient(a), rtol=1e-10)


@pytest.mark.parametrize("a", [TALL, TALL.T], ids=["tall", "wide"])
@pytest.mark.parametrize("how", [lambda f: f, mg.jit], ids=["eager", "jit"])
def test_a_loss_that_depends_on_the_vectors_of_that_space_is_refused(a, how):
    def loss(a):
        u, _, vh = np.linalg.svd(a)
        return np.sum(u[0]) + np.sum(vh[0]) + np.sum(vh[-1]) + np.sum(u[:, -1])

    with pytest.raises(
        ValueError, match=r"numpy\.linalg\.svd: the loss depends on which vectors complete the basis"
    ):
        how(mg.grad(loss))(a)


def test_of_a_hermitian_matrix_values_are_numpys():
    a = SPREAD + SPREAD.T - 5 * np.eye(3)
    t = mg.tensor(a, requires_grad=True)
    for got, want in zip(np.linalg.svd(t, hermitian=True), np.linalg.svd(a, hermitian=True), strict=True):
        np.testing.assert_array_equal(got.data, want)
    got = np.linalg.svd(t, hermitian=True, compute_uv=False)
    np.testing.assert_array_equal(got.data, np.linalg.svd(a, hermitian=True, compute_uv=False))


# -- pseudoinverses --------------------------------------------------------------------------------------------------


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
        of_parts(lambda a: np.abs(np.linalg.pinv(a, hermitian=True) + 1)), a, 0.3 * TALL[:3, :1] * a, order=2
    )
    got = mg.grad(lambda a: np.sum(np.linalg.pinv(a, hermitian=True)))(a)
    assert not got[np.triu_indices(3, 1)].any()


def test_least_squares_by_a_cutoff():
    b = RNG.standard_normal(3)
    check_grads(lambda a, b: np.linalg.lstsq(a, b, rcond=0.01)[0], SPREAD, b, order=2)
    with pytest.raises(np.linalg.LinAlgError, match=r"rank 2 with rcond=0.3.*write pinv\(a, rcond\) @ b"):
        mg.grad(lambda a: np.sum(np.linalg.lstsq(a, b, rcond=0.3)[0]))(SPREAD)
    solution = np.linalg.lstsq(SPREAD, b, rcond=0.3)[0]
    np.testing.assert_allclose(np.linalg.pinv(SPREAD, 0.3) @ b, solution, rtol=1e-12)
