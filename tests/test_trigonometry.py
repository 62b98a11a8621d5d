"""sinc near 0, where its derivative is a series, and far from it."""

import numpy as np
from derivatives import check_rule

import minigrad as mg


def test_sinc_near_0():
    check_rule(np.sinc, np.array([0.0, 1e-9, -1e-3, 0.05, -0.09, 0.0954, 0.0956, 0.1, -0.2, 1.5]))


def test_sinc_of_large_numbers():
    with np.errstate(all="raise"):
        assert mg.grad(np.sinc)(1e40) == 0 or abs(mg.grad(np.sinc)(1e40)) < 1e-39
