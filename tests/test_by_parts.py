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
    derivative = mg.grad(lambda x: np.sum(f(x) ** 2))
    compiled, compiled_derivative = mg.jit(f), mg.jit(derivative)
    for x in (X, -X, np.abs(X)):
        np.testing.assert_allclose(compiled(x), f(x), rtol=1e-14)
        np.testing.assert_allclose(compiled_derivative(x), derivative(x), rtol=1e-14)
    with pytest.raises(mg.JitError, match=r"by a mask .* np\.where\(mask, x, 0\)"):
        mg.jit(lambda x: np.piecewise(x, [x > 0], [np.cumsum, 0.0]))(X)


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


def test_a_line_may_give_a_list_of_numbers():
    for f in (lambda line: [line[0] * line[1], 2], lambda line: [[line.sum(), 1], [line[0], line[-1]]]):
        check_rule(lambda x, f=f: np.apply_along_axis(f, 1, x), X)
        np.testing.assert_array_equal(
            mg.jit(lambda x, f=f: np.apply_along_axis(f, 1, x))(X), np.apply_along_axis(f, 1, X)
        )


def test_a_line_may_give_nothing():
    for x in (X, X.T):
        got, want = (
            np.apply_along_axis(lambda line: [], 1, a) for a in (mg.tensor(x, requires_grad=True), x)
        )
        assert got.shape == want.shape


@pytest.mark.parametrize(
    "f",
    [
        lambda line: line if line[0] < 1 else line[0],
        lambda line: line[0] if line[0] < 1 else 2,
        lambda line: 0 if line[0] < 1 else line.sum(),  # into integers
        lambda line: line.astype(np.float32) if line[0] < 1 else line,
    ],
)
def test_what_the_lines_after_the_first_give_is_written_as_numpy_writes_it(f):
    got, want = (np.apply_along_axis(f, 1, x) for x in (mg.tensor(X, requires_grad=True), np.copy(X)))
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(mg.stop_gradient(got), want)


def test_apply_over_axes_keeps_the_number_of_axes():
    check_rule(lambda x: np.apply_over_axes(np.sum, x * x, [0, -1]), X)
    check_rule(lambda x: np.apply_over_axes(lambda a, axis: a * (1.0 + axis), x, [0, -1]), X)
    with pytest.raises(ValueError, match="returned 0 axes; expected 2 or one less"):
        np.apply_over_axes(lambda a, axis: a[0, 0], mg.tensor(X, requires_grad=True), 0)
