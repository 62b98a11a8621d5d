"""Entries picked by positions: beyond the ends, along no axis, and those that NumPy refuses."""

import numpy as np
import pytest
from derivatives import check_rule

import minigrad as mg

X = np.arange(6.0).reshape(2, 3) / 4 - 0.6


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("mode", ["wrap", "clip"])
def test_positions_beyond_the_ends(mode, axis):
    check_rule(lambda x: np.take(x, [-9, -1, 0, 1, 7], axis=axis, mode=mode), X)
    check_rule(lambda x, y, z: np.choose([[-4, 5, 1], [0, 2, -1]], [x, y, z], mode=mode), X, 2 * X, 3 * X)


def test_booleans_are_positions():
    check_rule(lambda x: np.take(x, np.array([True, False, True]), axis=1), X)


def test_lines_along_no_axis():
    check_rule(lambda x: np.take_along_axis(x, np.array([4, 0, 0]), axis=None), X)


def test_positions_that_are_no_integers_are_refused():
    with pytest.raises((TypeError, IndexError)):
        np.take(mg.tensor(X, requires_grad=True), [0.5])


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_a_number_is_taken_along_an_axis_that_it_does_not_have(axis):
    check_rule(lambda x: np.take(x, [0, 0], axis=axis), np.array(2.0))
