"""Diagonals along any two axes of arrays of any number of axes: NumPy's values, and their gradients."""

import numpy as np
import pytest
from derivatives import check_rule

X = np.arange(48.0).reshape(2, 3, 2, 4) / 7


@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (2, 3), (-1, 1), (0, -2)])
@pytest.mark.parametrize("offset", [-2, -1, 0, 1, 3])
def test_diagonals(offset, axes):
    check_rule(lambda x: np.diagonal(x, offset, *axes), X)
    check_rule(lambda x: np.trace(x, offset, *axes), X)


@pytest.mark.parametrize("offset", [-2, 0, 1])
def test_matrices_of_a_diagonal(offset):
    check_rule(lambda x: np.diag(x, offset), X[0, 0, 0])
    check_rule(lambda x: np.diag(x, offset), X[0, :, 0])
    check_rule(lambda x: np.diagflat(x, offset), X[0, 0])
