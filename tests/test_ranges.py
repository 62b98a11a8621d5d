"""Numbers at even distances between ends that have a gradient."""

import numpy as np
import pytest
from derivatives import check_rule

import minigrad as mg
from minigrad.rules.table import OPS

START, STOP = np.array([0.5, -1.0]), np.array([2.0, 3.5])


@pytest.mark.parametrize("dtype", [None, np.float32, np.float64])
@pytest.mark.parametrize(
    "ends", [(START, 2.0), (1, STOP), (START.astype(np.float32), 2), (START, STOP[:, None])]
)
def test_values_and_dtypes_are_numpys(ends, dtype):
    tensors = [mg.tensor(x, requires_grad=True) if isinstance(x, np.ndarray) else x for x in ends]
    for options in ({}, {"num": 4, "endpoint": False}, {"num": 1}, {"axis": -1, "num": 7}):
        for f in (np.linspace, np.logspace):
            got, want = f(*tensors, dtype=dtype, **options), f(*ends, dtype=dtype, **options)
            assert (got.dtype, got.shape) == (want.dtype, want.shape)
            np.testing.assert_allclose(mg.stop_gradient(got), want, rtol=1e-6)


def test_the_step_is_returned_and_the_last_number_is_the_end():
    y, step = np.linspace(mg.tensor(START, requires_grad=True), 0.1, 7, retstep=True)
    np.testing.assert_array_equal(y.numpy()[-1], [0.1, 0.1])
    np.testing.assert_array_equal(step.numpy(), np.linspace(START, 0.1, 7, retstep=True)[1])
    assert np.isnan(np.linspace(mg.tensor(START, requires_grad=True), 1, 1, retstep=True)[1])


def test_integers_have_no_gradient():
    y = np.linspace(mg.tensor(START, requires_grad=True), 9.7, 5, dtype=int)
    np.testing.assert_array_equal(y, np.linspace(START, 9.7, 5, dtype=int))
    assert y.dtype == int


def test_a_base_may_have_a_gradient_and_axes():
    check_rule(lambda a, b, base: np.logspace(a, b, 3, base=base), START, STOP, np.array([2.0, 1.5]))
    check_rule(lambda a, base: np.logspace(a, 2.0, 4, base=base, axis=1), START[:1], np.array([[2.0], [1.5]]))


def test_what_numpy_refuses_is_refused():
    t = mg.tensor(START, requires_grad=True)
    with pytest.raises(ValueError, match="non-negative"):
        np.linspace(t, 1.0, -1)
    with pytest.raises(TypeError):
        np.linspace(t, 1.0, 2.5)
    with pytest.raises(TypeError, match=r"geomspace .* np\.exp\(np\.linspace"):
        np.geomspace(t[:1], 1.0, 3)
    assert np.geomspace not in OPS
