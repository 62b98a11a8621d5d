"""Convolution and correlation of lines of all lengths, in each mode: NumPy's values, and their gradients."""

from itertools import product

import numpy as np
import pytest
from derivatives import check_rule

import minigrad as mg


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("f", [np.convolve, np.correlate])
def test_lines_of_all_lengths(f, mode):
    for n, m in product(range(1, 6), repeat=2):
        a, v = np.arange(1.0, n + 1), np.arange(m) - 0.25
        out = f(mg.tensor(a, requires_grad=True), v, mode)
        np.testing.assert_allclose(out.data, f(a, v, mode), rtol=1e-14)
    check_rule(lambda a, v: f(a, v, mode), a, v[:2])


@pytest.mark.parametrize("f", [np.convolve, np.correlate])
def test_matrices_are_refused(f):
    for x in (np.ones((2, 2)), np.ones(0)):
        with pytest.raises(ValueError, match="expected one axis, not empty"):
            f(mg.tensor(x, requires_grad=True), np.ones(2))


def test_numbers_are_lines():
    check_rule(np.convolve, np.array(1.5), np.array([1.0, 2.0]))
