"""What calls a Python function for each of many parts of an array."""

import numpy as np
import pytest
from derivatives import check_rule

import minigrad as mg

X = np.array([[0.3, -1.2, 0.8], [1.4, -0.6, 2.1]])


def test_piecewise_takes_numbers_arguments_and_one_condition():
    def f(x):
        return np.piecewise(x, [x > 0], [lambda part, a, power: a * part**power, -2.0], 3.0, power=2)

    check_rule(f, X)
    check_rule(lambda x: np.piecewise(x, [x > 1, x < 0], [np.exp, 1.0, lambda part: part / part.size]), X)
    check_rule(lambda x: np.piecewise(x, [True], [np.exp]), np.array(0.5))
    check_rule(lambda x: np.piecewise(x, x > 0, [np.sin, np.exp]), X[0])
    with pytest.raises(ValueError, match="got 2 conditions and 1 functions"):
        np.piecewise(mg.tensor(X, requires_grad=True), [X > 0, X < 0], [np.exp])
    with pytest.raises(mg.JitError, match=r"piecewise, computed .* np\.select"):
        mg.jit(f)(X)


def test_apply_along_axis_passes_arguments_on_and_puts_what_a_line_gives_in_its_place():
    def powers(line, a, power):
        return np.stack([line[0] ** power, a * line.sum(), line[-1] * line[0]])

    for axis in (0, 1, -1):
        check_rule(lambda x, axis=axis: np.apply_along_axis(powers, axis, x, 2.0, power=3), X)
        step = mg.jit(lambda x, axis=axis: np.apply_along_axis(powers, axis, x, 2.0, power=3))
        want = np.apply_along_axis(powers, axis, X, 2.0, power=3)
        np.testing.assert_allclose(step(X), want, rtol=1e-15)
    t = mg.tensor(X, requires_grad=True)
    with pytest.raises(ValueError, match="has length 0"):
        np.apply_along_axis(np.sum, 0, t[:, :0])
    with pytest.raises(np.exceptions.AxisError):
        np.apply_along_axis(np.sum, 2, t)


def test_apply_over_axes_keeps_the_number_of_axes():
    check_rule(lambda x: np.apply_over_axes(np.sum, x * x, [0, -1]), X)
    check_rule(lambda x: np.apply_over_axes(lambda a, axis: a * (1.0 + axis), x, [0, -1]), X)
    with pytest.raises(ValueError, match="returned 0 axes; expected 2 or one less"):
        np.apply_over_axes(lambda a, axis: a[0, 0], mg.tensor(X, requires_grad=True), 0)
