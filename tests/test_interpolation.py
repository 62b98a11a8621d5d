"""Values and gradients of interpolation: lists, one node, the ends."""

import numpy as np
import pytest
from derivatives import check_call, check_rule

import minigrad as mg
from minigrad.gradient_check import check_grads


def test_complex_values_are_refused_and_their_parts_are_not():
    fp = np.array([1 + 1j, 2, 3j])
    with pytest.raises(
        TypeError, match=r"^numpy\.interp: no backward rule for complex numbers; interpolate their parts"
    ):
        mg.grad(lambda x: np.sum(np.abs(np.interp(x, [0, 1, 2], fp))))(np.array([0.5, 1.5]))

    def by_parts(x, re, im):
        fp = re + 1j * im
        return np.abs(np.interp(x, [0.0, 1, 2], np.real(fp)) + 1j * np.interp(x, [0.0, 1, 2], np.imag(fp)))

    check_grads(by_parts, np.array([0.5, 1.5]), fp.real, fp.imag)


def test_nodes_that_are_lists():
    check_rule(lambda x: np.interp(x, [0.0, 1.0, 3.0], [1.0, 2.0, 4.0]), np.array([0.5, 2.0]))


def test_one_node_is_the_value_everywhere():
    check_rule(lambda x, fp: np.interp(x, [1.0], fp), np.array([0.5, 1.5]), np.array([3.0]))
    check_rule(lambda xp, fp: np.interp(0.5, xp, fp), np.array([0.0, 2.0]), np.array([3.0, 5.0]))
    check_rule(lambda fp: np.interp([0.5, 1.0, 1.5], [1.0], fp, 7.0, 8.0), np.array([3.0]))


def test_at_the_first_and_at_the_last_node_the_value_is_theirs():
    x, xp, fp = np.array([0.0, 2.0]), [0.0, 1.0, 2.0], np.array([1.0, 3.0, 7.0])
    check_rule(lambda fp: np.interp(x, xp, fp, -5.0, 9.0), fp)
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(np.interp(x, xp, fp, -5.0, 9.0)))(x[:1]), [2])
    np.testing.assert_array_equal(mg.grad(lambda x: np.sum(np.interp(x, xp, fp)))(x[:1]), [2])


@pytest.mark.parametrize("period", [0, 0.0, 5.0, -2.5])
def test_periods_and_nodes_are_those_that_numpy_takes(period):
    x, xp = np.array([0.25, 1.5]), np.array([0.0, 1.0, 1.75])
    for nodes, values in ((xp, xp**2), (xp[None], xp), (xp, xp[:2])):
        check_call(lambda x, xp, fp: np.interp(x, xp, fp, period=period), x, nodes, values)
