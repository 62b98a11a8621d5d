"""Decompositions beyond what the registry tests: whole bases, Hermitian matrices."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import check_grads

RNG = np.random.default_rng(0)
TALL = RNG.standard_normal((4, 2))
HERMITIAN = np.array([[4.0, 0.2, 0.1], [0.2, -2.0, 0.3], [0.1, 0.3, 1.0]])


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


@pytest.mark.parametrize("a", [TALL, TALL.T, np.tile(TALL, (2, 2, 1, 1))], ids=["tall", "wide", "stacked"])
@pytest.mark.parametrize("how", [lambda f: f, mg.jit], ids=["eager", "jit"])
@pytest.mark.parametrize(("little", "much"), [(1.0, 0.0), (1e-12, 0.0), (1e12, 0.0), (1e-3, 1.0)])
def test_a_loss_that_depends_on_the_vectors_of_that_space_is_refused(a, how, little, much):
    """However small it is, and if it depends on the space still more."""

    def loss(a):
        u, _, vh = np.linalg.svd(a)
        vectors = np.sum(u[..., 0, :]) + np.sum(vh[..., 0, :]) + np.sum(vh[..., -1, :]) + np.sum(u[..., -1])
        spaces = [
            (x @ np.swapaxes(x, -1, -2))[..., 0, 1] for x in (u[..., 2:], np.swapaxes(vh, -1, -2)[..., 2:])
        ]
        return little * vectors + much * sum(map(np.sum, spaces))

    with pytest.raises(
        ValueError, match=r"numpy\.linalg\.svd: the loss depends on which vectors complete the basis"
    ):
        how(mg.grad(loss))(a)


def test_in_a_stack_the_space_has_the_gradient_of_each_matrix():
    def loss(a):
        u, _, _ = np.linalg.svd(a)
        rest = u[..., a.shape[-1] :]
        return np.sum((rest @ np.swapaxes(rest, -1, -2))[..., 0, 1])

    matrices = [TALL, 2 * TALL + 1, TALL - 1]
    each = np.stack([mg.grad(loss)(a) for a in matrices])
    np.testing.assert_allclose(mg.grad(loss)(np.stack(matrices)[None])[0], each, rtol=1e-10)


def test_of_a_singular_hermitian_matrix_the_right_vectors_are_a_basis():
    """In NumPy 2.0 one of them is 0."""
    a = np.diag([2.0, 0.0, -1.0])
    u, s, vh = (x.data for x in np.linalg.svd(mg.tensor(a, requires_grad=True), hermitian=True))
    np.testing.assert_allclose(u * s @ vh, a, atol=1e-15)
    np.testing.assert_allclose(vh @ vh.T, np.eye(3), atol=1e-15)


def test_of_a_hermitian_matrix_values_are_numpys():
    a = HERMITIAN
    t = mg.tensor(a, requires_grad=True)
    for got, want in zip(np.linalg.svd(t, hermitian=True), np.linalg.svd(a, hermitian=True), strict=True):
        np.testing.assert_array_equal(got.data, want)
    got = np.linalg.svd(t, hermitian=True, compute_uv=False)
    np.testing.assert_array_equal(got.data, np.linalg.svd(a, hermitian=True, compute_uv=False))


def test_the_bases_of_no_matrices():
    a = np.zeros((0, 4, 2))
    assert mg.grad(lambda a: np.sum(np.linalg.svd(a)[0]))(a).shape == a.shape


# -- where values are equal ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "of", [lambda a: np.linalg.eigh(a)[0], lambda a: np.linalg.svd(a)[1]], ids=["eigh", "svd"]
)
@pytest.mark.parametrize("size", [1.0, 0.0])
def test_what_does_not_tell_equal_values_apart_has_a_gradient(of, size):
    a = size * np.eye(3)
    np.testing.assert_allclose(mg.grad(lambda a: np.sum(of(a) ** 2))(a), 2 * a, atol=1e-15)


# -- qr ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [TALL[:2], TALL.T], ids=["square", "wide"])
def test_a_complete_basis_of_a_matrix_that_is_not_tall(a):
    check_grads(lambda a: list(np.linalg.qr(a, mode="complete")), a, order=2)


@pytest.mark.parametrize(("mode", "a"), [("complete", TALL), ("raw", TALL), ("raw", TALL.T)])
def test_other_modes_are_refused(mode, a):
    with pytest.raises(TypeError, match=rf"no backward rule with mode='{mode}'"):
        np.linalg.qr(mg.tensor(a, requires_grad=True), mode=mode)


@pytest.mark.parametrize("gap", [0.0, 3e-16])
def test_the_gradient_of_vectors_of_values_that_differ_by_rounding_alone_is_infinite(gap):
    a, weights = np.diag([1.0, 1.0 + gap, 2.0]), np.arange(9.0).reshape(3, 3)

    def of_eigh(a):
        w, v = np.linalg.eigh(a)
        return np.sum((v * w**3) @ v.T * weights)

    def of_svd(a):
        u, s, vh = np.linalg.svd(a)
        return np.sum((u * s**3) @ vh * weights)

    for f in (of_eigh, of_svd):
        with pytest.warns(RuntimeWarning):
            assert not np.isfinite(mg.grad(f)(a)).all()


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_gradients_of_vectors_do_not_depend_on_the_scale(scale):
    a = np.random.default_rng(0).standard_normal((2, 4, 4))
    a += a.mT

    def of_vectors(a):
        return np.sum(np.linalg.eigh(a)[1][..., 0, :] ** 4)

    np.testing.assert_allclose(mg.grad(of_vectors)(scale * a) * scale, mg.grad(of_vectors)(a), rtol=1e-9)
