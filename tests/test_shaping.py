"""Turns and shifts of every kind: NumPy's values, and their gradients."""

import numpy as np
import pytest
from derivatives import check_rule

X = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize("k", range(-5, 6))
@pytest.mark.parametrize("axes", [(0, 1), (1, 0), (2, 0), (-1, 1)])
def test_quarter_turns(k, axes):
    check_rule(lambda x: np.rot90(x, k, axes), X)


@pytest.mark.parametrize(
    ("shift", "axis"),
    [
        (3, None),
        (-2, 1),
        (np.uint8(1), 2),
        ((1, -2), (0, 2)),
        ((1, 2), 1),
        (2, (0, 1)),
        (np.array([1, 2]), (2, 2)),
    ],
    ids=str,
)
def test_shifts(shift, axis):
    if np.__version__.startswith("2.0."):  # which negates unsigned shifts
        shift = np.asarray(shift, int).tolist()
    check_rule(lambda x: np.roll(x, shift, axis), X)
