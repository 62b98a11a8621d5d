"""What a mask selects in a compiled function: written back, or summed."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import JitError

X = np.linspace(-2, 3, 12).reshape(3, 4)
VALUES = {
    "an exponential": lambda x, m, w: np.exp(-x[m]),
    "a product": lambda x, m, w: x[m] * w,
    "a power": lambda x, m, w: x[m] ** 2,
    "a root": lambda x, m, w: np.abs(x[m]) ** 0.5,
    "a choice": lambda x, m, w: np.where(x[m] > 1, x[m], w * x[m]),
    "a bound": lambda x, m, w: np.maximum(np.clip(x[m], -1, 1), w),
    "another dtype": lambda x, m, w: x[m].astype(np.float32) + w,
    "two results": lambda x, m, w: np.add(*np.modf(x[m])),
    "a mean": lambda x, m, w: x[m] - np.mean(x[m]),
    "a sum over the number": lambda x, m, w: x[m] * (np.sum(w * x[m]) / x[m].size),
    "less its mean": lambda x, m, w: x[m] - np.mean(x[m], axis=0, keepdims=True),
    "a sum over the first axis": lambda x, m, w: w * x[m] + x[m].sum(axis=0),
    "in place": lambda x, m, w: scaled_in_place(x[m], w),
}
MASKS = {
    "those above": lambda x: x > 0,
    "the others": lambda x: ~(x > 0),
    "two conditions": lambda x: (x > -1) & (np.abs(x) < 1.5),
    "rows": lambda x: x[:, 0] > -1,
    "no rows": lambda x: x[:, 1] > 100,
    "none": lambda x: x > 100,
    "all": lambda x: x < 100,
}
WRITES = {
    "written": lambda z, m, v: z.__setitem__(m, v),
    "added": lambda z, m, v: z.__setitem__(m, z[m] + v),
    "by a tuple": lambda z, m, v: z.__setitem__((m,), v),
}


def scaled_in_place(part, w):
    alias = part
    part *= 2
    part -= w
    return alias


def sigmoid(x):
    """The course's, which neither end overflows."""
    pos_mask = x >= 0
    neg_mask = x < 0
    z = np.zeros_like(x)
    z[pos_mask] = np.exp(-x[pos_mask])
    z[neg_mask] = np.exp(x[neg_mask])
    top = np.ones_like(x)
    top[neg_mask] = z[neg_mask]
    return top / (1 + z)


def leaky(x):
    y = x.copy()
    y[y < 0] *= 0.1
    return y


def close(result, expected):
    assert result.dtype == expected.dtype
    tolerance = 1e-4 if result.dtype == np.float32 else 1e-11
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("value", VALUES)
@given(st.data())
def test_entries_are_computed_and_written_back_as_numpy_does(value, data):
    mask = MASKS[data.draw(st.sampled_from(sorted(MASKS)))]
    write = WRITES[data.draw(st.sampled_from(sorted(WRITES)))]
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))

    def f(x, w):
        m, z = mask(x), x * 0.5
        write(z, m, VALUES[value](x, m, w))
        return np.sum(z * x) + np.sum(z[m] ** 3) / z[m].size

    x, w = X.astype(dtype), dtype(0.7)
    compiled, derivative = mg.jit(f), mg.jit(mg.grad(f, (0, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the mean of no entries
        for given_x in (x, -x, x[::-1]):
            close(compiled(given_x, w), f(given_x, w))
            for each, expected in zip(derivative(given_x, w), mg.grad(f, (0, 1))(given_x, w), strict=True):
                close(each, expected)


def test_the_sigmoid_of_the_course_does_not_overflow_when_compiled():
    x = np.array([-1e4, -2.0, 0.0, 3.0, 1e4])
    with np.errstate(over="raise", invalid="raise"):
        close(mg.jit(sigmoid)(x), sigmoid(x))
        close(mg.jit(mg.grad(lambda x: sigmoid(x).sum()))(x), sigmoid(x) * (1 - sigmoid(x)))


@pytest.mark.parametrize("f", [sigmoid, leaky])
def test_second_derivatives(f):
    def second(x):
        return mg.grad(lambda x: np.sum(mg.grad(lambda x: np.sum(f(x) ** 3))(x) ** 2))(x)

    close(mg.jit(second)(X), second(X))


def test_a_part_is_a_copy():
    def f(x):
        mask, y = x > 0, x.copy()
        part = y[mask]
        y[0, 0] = 5.0
        part *= 2
        y[mask] = part
        return y

    close(mg.jit(f)(X), f(X))


def test_entries_of_integers_and_of_complex_numbers():
    def integers(x):
        y = (x * 10).astype(int)
        y[y > 3] = y[y > 3] * 2
        return y

    def complex_numbers(x):
        z = x * (1 + 2j)
        z[x > 0] = np.conj(z[x > 0]) * 1j
        return z

    for f in (integers, complex_numbers):
        close(mg.jit(f)(X), f(X))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_means_of_clusters(dtype):
    def spread(x, labels):
        parts = [x[labels == k] for k in range(3)]
        return sum(np.sum((part - part.mean(axis=0)) ** 2) for part in parts)

    x, labels = X.T.astype(dtype), np.array([0, 2, 1, 0])
    compiled = mg.jit(mg.value_and_grad(spread))
    for each in (labels, labels[::-1]):
        value, gradient = compiled(x, each)
        expected, expected_gradient = mg.value_and_grad(spread)(x, each)
        close(value, expected)
        close(gradient, expected_gradient)


def rewritten_mask(x):
    mask = x > 0
    part = x[mask]
    mask[0, 3] = True
    y = x.copy()
    y[mask] = part
    return y


NEEDING_THE_LENGTH = {
    "returned": lambda x: x[x > 0],
    "two masks": lambda x: np.sum(x[x > 0] + x[x < 0]),
    "joined": lambda x: np.concatenate([x[x > 0], x[0]]),
    "an entry": lambda x: x[x > 0][0],
    "sorted": lambda x: np.sort(x[x > 0]),
    "the largest": lambda x: np.max(x[x > 0]),
    "a product": lambda x: x[x > 0] @ x[x > 0],
    "an array": lambda x: np.sum(x[x > 0] + np.arange(3)),
    "as many axes": lambda x: np.sum(x[x[:, 0] > 0] + np.ones((2, 4))),
    "the length": lambda x: len(x[x > 0]),
    "a shape": lambda x: np.zeros(x[x > 0].shape),
    "the degrees of freedom": lambda x: x[x > 0].size - 1,
    "a comparison": lambda x: x[x > 0].shape == (3,),
    "a loop": lambda x: list(x[x > 0]),
    "another axis": lambda x: np.sum(x[x[:, 0] > 0], axis=1),
    "a new axis": lambda x: x * x[x > 0].reshape(-1, 1),
    "a dtype": lambda x: x[x > 0].sum(dtype=np.float32),
    "a method": lambda x: x[x > 0].cumsum(),
    "another mask": rewritten_mask,
    "an index beside the mask": lambda x: np.sum(x[x[:, 0] > 0, 1]),
}


@pytest.mark.parametrize("f", NEEDING_THE_LENGTH.values(), ids=NEEDING_THE_LENGTH)
def test_what_needs_the_length_is_refused(f):
    with pytest.raises(JitError, match=r"reading by a mask.*np\.where\(mask, x, 0\)"):
        mg.jit(f)(X)


def test_a_part_keeps_its_shape_in_place():
    def f(x):
        part = x[:, :1][x[:, 0] > -1]
        part += np.ones(3)
        return np.sum(part)

    for each in (f, mg.jit(f)):
        with pytest.raises(ValueError, match="shape"):
            each(X)
