"""Running sums and products of nothing, and where an axis has to be given."""

import numpy as np
import pytest
from derivatives import check_call, check_rule

import minigrad as mg

RUNNING = [np.cumsum, np.cumprod, np.nancumsum, np.nancumprod]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("running", RUNNING, ids=lambda f: f.__name__)
def test_of_no_entries(running, shape):
    for axis in (None, *range(len(shape))):
        check_rule(lambda x, axis=axis: running(x, axis=axis), np.zeros(shape))


def test_of_several_axes_one_is_to_be_given():
    for name in {"cumulative_sum", "cumulative_prod"} & set(dir(np)):  # since NumPy 2.1
        with pytest.raises(ValueError, match="x has 2 axes; give the axis along which to go"):
            getattr(np, name)(mg.tensor(np.ones((2, 2)), requires_grad=True))


@pytest.mark.parametrize("axis", [0, (0,), (1,), (0, 1), 2, None])
def test_axes_are_those_that_numpy_takes(axis):
    for name in {"cumulative_sum", "cumulative_prod"} & set(dir(np)):  # since NumPy 2.1
        running = getattr(np, name)
        for x in (np.arange(1.0, 7.0).reshape(2, 3), np.arange(1.0, 4.0)):
            check_call(lambda x, running=running: running(x, axis=axis), x)
