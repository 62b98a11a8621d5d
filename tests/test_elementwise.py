"""The Bessel function I0 of small and of large numbers."""

import numpy as np
from derivatives import check_rule


def test_the_derivative_of_i0():
    check_rule(np.i0, np.array([0.5, -3.0, 12.0, 29.9]))
    check_rule(lambda x: np.i0(x) / 1e20, np.array([31.0, -45.0, 60.0]))
