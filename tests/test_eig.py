"""Eigenvalues of matrices that need not be Hermitian, beyond what the registry tests: real ones, order, degeneracy."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import check_grads
from minigrad.rules.eig import made_real, places_in

RNG = np.random.default_rng(0)
REAL = np.array([[1.0, 0.3, -0.2], [0.1, 2.0, 0.4], [0.2, -0.1, 4.0]])
"""Its eigenvalues are real."""
TURNING = np.array([[1.0, -2.0], [1.5, 0.5]])
"""Its are conjugates."""


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize(
    "a",
    [REAL, TURNING, TURNING.T, np.stack([REAL, 2 * REAL])],
    ids=["real", "complex", "its last entries real", "stacked"],
)
def test_values_and_dtypes_are_numpys(a, kind):
    a = a.astype(kind)
    t = mg.tensor(a, requires_grad=True, dtype=kind)
    w, v = np.linalg.eig(t)
    for got, want in (
        (w, np.linalg.eig(a)[0]),
        (v, np.linalg.eig(a)[1]),
        (np.linalg.eigvals(t), np.linalg.eigvals(a)),
    ):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got.data, want)
    np.sum(np.square(np.abs(w))).backward()
    assert t.grad.dtype == kind


@pytest.mark.parametrize("a", [REAL, np.stack([REAL, 2 * REAL])], ids=["one", "stacked"])
def test_real_eigenvalues_have_gradients(a):
    check_grads(lambda a: np.real(np.linalg.eigvals(a)), a, order=2)
    check_grads(
        lambda a: np.real(np.linalg.eig(a)[0]) + np.sum(np.square(np.abs(np.linalg.eig(a)[1]))), a, order=2
    )
    check_grads(lambda a: np.abs(np.linalg.eig(a)[1]), a, order=2)


@pytest.mark.parametrize("a", [REAL, TURNING])
def test_compiled_they_are_complex_and_else_the_same(a):
    def loss(a):
        w, v = np.linalg.eig(a)
        return np.sum(np.abs(w) ** 2 * np.abs(v[0])) + np.sum(np.real(np.linalg.eigvals(a)) ** 3)

    for f in (loss, mg.grad(loss)):
        compiled = mg.jit(f)
        for x in (a, a + 0.1, a.T):
            np.testing.assert_allclose(compiled(x), f(x), rtol=1e-10)


def test_a_loss_that_no_phase_changes_has_the_gradient_of_differences():
    """The projector on the first eigenvector, along the others."""

    def projector(a):
        _, v = np.linalg.eig(a)
        return np.abs(v[:, :1] @ np.linalg.inv(v)[:1])

    check_grads(projector, TURNING, order=2)
    check_grads(projector, REAL, order=2)


def test_of_equal_eigenvalues_what_does_not_tell_them_apart_has_a_gradient():
    got = mg.grad(lambda a: np.real(np.sum(np.linalg.eigvals(a) ** 2)))(2 * np.eye(3))
    np.testing.assert_allclose(got, 4 * np.eye(3), atol=1e-12)
    with pytest.warns(RuntimeWarning, match="encountered in"):
        bad = mg.grad(lambda a: np.real(np.linalg.eig(a)[1][0, 1]))(2 * np.eye(3))
    assert not np.isfinite(bad).all()


def test_where_eigenvectors_are_no_basis_the_gradient_is_without_bounds():
    """The eigenvalues of [[0, 1], [x, 0]] are the roots of x, whose slope at 0 is infinite."""
    got = mg.grad(lambda a: np.real(np.linalg.eigvals(a)[0]))(np.array([[0.0, 1.0], [0.0, 0.0]]))
    assert np.abs(got).max() > 1e100


def test_eigenvalues_are_found_among_the_same_in_another_order():
    w = RNG.standard_normal((4, 5)) + 1j * RNG.standard_normal((4, 5))
    order = np.stack([RNG.permutation(5) for _ in range(4)])
    others = np.take_along_axis(w, order, axis=-1) * (1 + 1e-15)
    np.testing.assert_array_equal(
        np.take_along_axis(order, places_in(w, others), axis=-1), np.tile(np.arange(5), (4, 1))
    )
    np.testing.assert_array_equal(np.sort(places_in(np.ones(4), np.ones(4))), np.arange(4))


def test_the_entry_that_is_real_is_found_where_two_are_as_large():
    v = np.array([[1j, 0.6, 0.2], [1.0, 0.8j, 0.9], [0.5j, 0.0, -0.3]]) / 2
    np.testing.assert_array_equal(
        made_real(v), [[False, True, False], [True, False, True], [False, False, False]]
    )


def test_an_entry_0_of_a_vector_is_not_divided_by():
    gradient = mg.grad(lambda a: np.real(np.linalg.eig(a)[1][1, 1]))(np.array([[1.0, 0.5], [0.0, 2.0]]))
    assert np.isfinite(gradient).all()


def test_the_radius_of_a_recurrent_net_is_made_smaller():
    """The largest absolute eigenvalue, by its gradient, of a matrix that stays near where it was."""
    start = RNG.standard_normal((6, 6)) / 2

    def loss(a):
        return np.max(np.abs(np.linalg.eigvals(a))) + 0.1 * np.sum((a - start) ** 2)

    check_grads(loss, start)
    a = start
    for _ in range(100):
        a = a - 0.02 * mg.grad(loss)(a)
    assert loss(a) < loss(start) - 0.1


@pytest.mark.parametrize("shape", [(0, 0), (2, 0, 0)])
def test_of_matrices_without_entries(shape):
    x = np.zeros(shape)
    for f in (lambda x: np.linalg.eig(x)[0], lambda x: np.linalg.eig(x)[1], np.linalg.eigvals):
        assert mg.grad(lambda x, f=f: np.sum(np.real(f(x))))(x).shape == shape
