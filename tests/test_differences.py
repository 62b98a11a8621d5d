"""Differences beyond what the registry tests: what is refused."""

import numpy as np
import pytest

import minigrad as mg


@pytest.mark.parametrize(
    ("spacings", "message"),
    [
        (([0.0, 1.0],), r"a spacing has shape \(2,\); expected a number, or 3 coordinates for axis 0"),
        ((np.ones((3, 3)),), r"a spacing has shape \(3, 3\)"),
        ((1.0, 2.0), "2 spacings for 1 axes"),
    ],
)
def test_spacings_that_do_not_fit_are_refused(spacings, message):
    with pytest.raises((TypeError, ValueError), match=rf"numpy\.gradient: {message}"):
        np.gradient(mg.tensor([1.0, 2.0, 4.0], requires_grad=True), *spacings)
