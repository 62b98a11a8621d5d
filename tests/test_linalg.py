"""Norms and condition numbers of every order, along any axes: NumPy's values, and their gradients."""

import numpy as np
import pytest
from derivatives import check_call, check_rule

import minigrad as mg

CUBE = np.random.default_rng(0).permutation(12).reshape(2, 2, 3) / 4 - 1.3
MATRIX = CUBE[0]
OF_VECTORS = [None, 0, 1, 2, 3, 2.5, -1, np.inf, -np.inf]
OF_MATRICES = [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("ord", OF_VECTORS, ids=str)
def test_norms_of_vectors(ord, keepdims):
    check_rule(lambda x: np.linalg.norm(x, ord, keepdims=keepdims), MATRIX[0])
    for axis in (0, -1, (1,)):
        check_rule(lambda x, axis=axis: np.linalg.norm(x, ord, axis, keepdims), MATRIX)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("ord", OF_MATRICES, ids=str)
def test_norms_of_matrices(ord, keepdims):
    check_rule(lambda x: np.linalg.norm(x, ord, keepdims=keepdims), MATRIX)
    for axis in ((0, 1), (-1, 0), (1, -1)):
        check_rule(lambda x, axis=axis: np.linalg.norm(x, ord, axis, keepdims), CUBE)


def test_a_norm_of_more_than_two_axes():
    check_rule(np.linalg.norm, CUBE)
    with pytest.raises(ValueError, match="dimensions"):
        np.linalg.norm(mg.tensor(CUBE, requires_grad=True), 1)


@pytest.mark.parametrize("ord", [0, 1, 2, 3, np.inf, -np.inf], ids=str)
@pytest.mark.parametrize("axis", [None, 1, (0, 2), (1, 0)], ids=str)
def test_vector_norms(ord, axis):
    for keepdims in (False, True):
        check_rule(lambda x, k=keepdims: np.linalg.vector_norm(x, axis=axis, ord=ord, keepdims=k), CUBE)


@pytest.mark.parametrize(
    ("a", "b"),
    [((2, 2), (2,)), ((2, 2), (2, 3)), ((3, 2, 2), (2,)), ((3, 2, 2), (2, 1)), ((3, 1, 2, 2), (2, 2, 1))],
    ids=str,
)
def test_solve(a, b):
    rng = np.random.default_rng(0)
    check_rule(np.linalg.solve, rng.uniform(0, 1, a) + 2 * np.eye(2), rng.uniform(0, 1, b))


@pytest.mark.parametrize("p", [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf], ids=str)
def test_condition_numbers(p):
    check_rule(lambda x: np.linalg.cond(x, p), CUBE[..., :2])


def test_the_smallest_condition_number_of_a_singular_matrix_is_0():
    assert np.linalg.cond(mg.tensor(np.diag([1.0, 0.0]), requires_grad=True), -2).item() == 0


@pytest.mark.parametrize("ord", [2, 3, 2.5])
@pytest.mark.parametrize("axis", [None, 1])
def test_the_gradient_of_a_norm_at_zeros_and_ones(ord, axis):
    """At an entry 0 it is 0, and so it is where all are."""

    def f(x):
        return np.sum(np.linalg.norm(x, ord, axis))

    for x in (np.zeros(4), np.array([0.0, 1.0, -1.0, 2.0])):
        if axis is not None:
            x = np.stack([x, np.ones(4)])
        size = np.abs(x) / np.maximum(np.linalg.norm(x, ord, axis, keepdims=True), 1e-300)
        np.testing.assert_allclose(mg.grad(f)(x), np.sign(x) * size ** (ord - 1), rtol=1e-14)


@pytest.mark.parametrize("ord", [2, 3])
@pytest.mark.parametrize("axis", [None, 1])
def test_the_gradient_of_a_norm_of_float16_is_there_where_its_powers_overflow(ord, axis):
    x = np.array([300, 400, 0, -500], np.float16)
    x = x if axis is None else np.stack([x, x])

    def f(x):
        return np.linalg.norm(x, ord, axis)

    def gradient(x):
        out = f(x)
        return mg.vjp(f, x)[1](np.ones(np.shape(out), out.dtype))

    with np.errstate(over="ignore"):
        got = gradient(x)
    np.testing.assert_allclose(got, gradient(x.astype(float)), rtol=2e-3)


def test_the_norm_of_order_0_counts_and_has_the_gradient_0():
    x = np.array([0.0, 1.0, -2.0, 0.0])
    assert np.linalg.norm(mg.tensor(x, requires_grad=True), 0).data == 2
    np.testing.assert_array_equal(mg.grad(lambda x: np.linalg.norm(x, 0) + np.sum(0 * x))(x), 0)


def test_the_norm_of_order_1_has_the_signs_of_infinite_entries_too():
    x = np.array([np.inf, -1.0, 0.0])
    np.testing.assert_array_equal(mg.grad(lambda x: np.linalg.norm(x, 1))(x), [1, -1, 0])


@pytest.mark.parametrize("ord", OF_MATRICES, ids=str)
def test_norms_of_three_rows(ord):
    check_rule(
        lambda x: np.linalg.norm(x, ord), np.random.default_rng(2).permutation(12).reshape(3, 4) / 4 - 1.3
    )


SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])


@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, np.inf, -np.inf, "fro"])
@pytest.mark.parametrize(
    "x",
    [
        SINGULAR,
        np.zeros((2, 2)),
        SINGULAR.astype(np.float32),
        np.stack([SINGULAR, np.eye(2), np.zeros((2, 2))]),
        np.stack([SINGULAR, [[1.0, np.nan], [0.0, 1.0]]]),
        *map(np.zeros, [(0, 0), (0, 2), (2, 0)]),
        np.ones(3),
        np.ones((2, 3)),
    ],
    ids=lambda x: str(x.shape),
)
def test_the_condition_of_matrices_without_an_inverse(p, x):
    with np.errstate(all="ignore"):
        try:
            want = np.linalg.cond(x, p)
        except np.linalg.LinAlgError:
            with pytest.raises(np.linalg.LinAlgError):
                np.linalg.cond(mg.tensor(x, requires_grad=True), p)
            return
        got = np.linalg.cond(mg.tensor(x, requires_grad=True), p)
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        large = want > 1e6  # by rounding alone
        np.testing.assert_array_equal(got.numpy()[large] > 1e6, True)
        np.testing.assert_allclose(got.numpy()[~large], want[~large], rtol=1e-6, atol=1e-6)
        assert np.array_equal(np.isinf(got.numpy()), np.isinf(want))


def test_a_singular_matrix_of_a_stack_leaves_the_others_their_gradient():
    f = lambda x: np.sum(np.linalg.cond(x, 1) * [0.0, 1.0])  # noqa: E731
    x = np.stack([SINGULAR, [[2.0, 0.5], [0.25, 1.0]]])
    for gradient in (mg.grad(f), mg.jit(mg.grad(f))):
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(gradient(x)[1], mg.grad(lambda x: np.linalg.cond(x, 1))(x[1]))


@pytest.mark.parametrize("shape", [(0,), (0, 2), (2, 0), (0, 0)])
@pytest.mark.parametrize("ord", [*OF_VECTORS, "fro", "nuc", -2])
def test_norms_of_no_entries(ord, shape):
    check_call(lambda x: np.linalg.norm(x, ord), np.zeros(shape))
    check_call(lambda x: np.linalg.norm(x, ord, axis=-1, keepdims=True), np.zeros(shape))
    check_call(lambda x: np.linalg.vector_norm(x, ord=ord), np.zeros(shape, np.float32))
    check_call(lambda x: np.linalg.matrix_norm(x, ord=ord, keepdims=True), np.zeros((3, *shape)))


@pytest.mark.parametrize("axis", [(0, 1), (0, 1, 2), (0, 0), 5, (), (-3, 0), (1,)])
def test_axes_of_norms_are_those_that_numpy_takes(axis):
    for x in (MATRIX, MATRIX[0], CUBE):
        check_call(lambda x: np.linalg.norm(x, axis=axis), x)
        check_call(np.linalg.matrix_norm, x)
