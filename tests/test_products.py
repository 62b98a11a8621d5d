"""Products of operands of every number of axes that NumPy takes: its values, and their gradients."""

from itertools import product

import numpy as np
import pytest
from derivatives import check_call, check_rule

import minigrad as mg

OF_ROWS = [(3,), (2, 3), (2, 2, 3), (2, 1, 2, 3)]
OF_COLUMNS = [(3,), (3, 2), (2, 3, 2), (2, 3, 1)]


def drawn(*shapes):
    rng = np.random.default_rng(0)
    return [rng.uniform(0.2, 1.0, shape) for shape in shapes]


@pytest.mark.parametrize(("x", "y"), [*product(OF_ROWS, OF_COLUMNS)], ids=str)
def test_matmul(x, y):
    check_rule(np.matmul, *drawn(x, y))


@pytest.mark.parametrize(("x", "y"), [*product([(), *OF_ROWS[:3]], [(), *OF_COLUMNS[:3]])], ids=str)
def test_dot(x, y):
    check_rule(np.dot, *drawn(x, y))


@pytest.mark.parametrize(("x", "y"), [*product([(), *OF_ROWS[:3]], [(), *OF_ROWS[:3]])], ids=str)
def test_inner(x, y):
    check_rule(np.inner, *drawn(x, y))


@pytest.mark.parametrize(
    ("x", "y", "options"),
    [
        ((3,), (3,), {}),
        ((2, 3), (3,), {}),
        ((3,), (2, 2, 3), {}),
        ((3, 2), (2, 3), {"axisa": 0, "axisc": 0}),
        ((2, 3), (3, 2), {"axisb": 0, "axisc": -2}),
        ((3, 1, 2), (3, 2), {"axisa": 0, "axisb": 0}),
        ((3, 2), (2, 3, 2), {"axis": -2}),
        ((2, 3, 2), (2, 3, 2), {"axis": 1}),
    ],
    ids=str,
)
def test_cross(x, y, options):
    check_rule(lambda x, y: np.cross(x, y, **options), *drawn(x, y))


@pytest.mark.parametrize("shape", [(2, 2), (2, 1, 2, 2)])
@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 3, 6])
def test_matrix_power(shape, n):
    x = drawn(shape)[0] + 2 * np.eye(2)
    check_rule(lambda x: np.linalg.matrix_power(x, n), x)


def test_the_power_0_of_zeros():
    check_rule(lambda x: np.linalg.matrix_power(x, 0), np.zeros((2, 2)))


@pytest.mark.parametrize("axis", [0, 1, -1, -2])
def test_vecdot(axis):
    x, y = drawn((3, 3, 2), (3, 3, 2))
    check_rule(lambda x, y: np.vecdot(x, y, axis=axis), x, y)
    if axis < 0:
        check_rule(lambda x, y: np.vecdot(x, y, axis=axis), x, y[0])


@pytest.mark.parametrize("offset", range(-4, 5))
@pytest.mark.parametrize("shape", [(3, 2), (2, 2, 3)])
def test_diagonals_of_stacks(shape, offset):
    check_rule(lambda x: np.linalg.diagonal(x, offset=offset), *drawn(shape))
    check_rule(lambda x: np.linalg.trace(x, offset=offset), *drawn(shape))


def test_operands_that_do_not_fit_are_refused():
    x = mg.tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(ValueError, match="got vectors of 3 and 2 entries"):
        np.cross(x, np.ones(2))
    with pytest.raises(ValueError, match="got 1 array; expected at least two"):
        np.linalg.multi_dot([x])


@pytest.mark.parametrize("n", [0.5, 2.0, 2.5, "2", np.int64(2), True, 0, 1, 2, -1])
@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (3,), (), (2, 2, 3)])
def test_the_powers_of_matrices_that_numpy_refuses(shape, n):
    check_call(
        lambda x: np.linalg.matrix_power(x, n),
        drawn(shape)[0] + np.eye(*shape) if len(shape) == 2 else drawn(shape)[0],
    )


def test_a_matrix_to_the_zeroth_power_keeps_the_byte_order():
    x = np.eye(2).astype(">f8")
    assert (
        np.linalg.matrix_power(mg.tensor(x, requires_grad=True), 0).dtype
        == np.linalg.matrix_power(x, 0).dtype
    )
