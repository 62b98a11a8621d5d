"""Dropout: the fractions of the course's notebook, its random numbers, bad input."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import check_grads, eval_numerical_gradient_array, rel_error
from minigrad.layers import dropout_backward, dropout_forward


class CourseDraws:
    """A generator that draws as the course does, from NumPy's global stream."""

    def random(self, shape, dtype):
        return np.random.rand(*shape)


@pytest.mark.parametrize(
    ("p", "mean", "dropped"),
    [
        (0.25, 10.014059116977283, 0.749784),
        (0.4, 9.977917658761159, 0.600796),
        (0.7, 9.987811912159428, 0.30074),
    ],
)
def test_dropout_of_the_notebook(p, mean, dropped):
    np.random.seed(231)
    x = np.random.randn(500, 500) + 10
    for earlier in (0.25, 0.4, 0.7):  # one stream for all three
        out, _ = dropout_forward(x, {"mode": "train", "p": earlier, "rng": CourseDraws()})
        if earlier == p:
            break
    assert out.mean() == pytest.approx(mean, rel=1e-13)
    assert (out == 0).mean() == dropped
    out, _ = dropout_forward(x, {"mode": "test", "p": p})
    assert out.mean() == pytest.approx(10.0002078784775, rel=1e-13)
    assert (out != 0).all()


def test_dropout_gradient_of_the_notebook():
    np.random.seed(231)
    x = np.random.randn(10, 10) + 10
    dout = np.random.randn(*x.shape)
    param = {"mode": "train", "p": 0.2, "seed": 123}
    _, cache = dropout_forward(x, param)
    numeric = eval_numerical_gradient_array(lambda x: dropout_forward(x, param)[0], x, dout)
    assert rel_error(numeric, dropout_backward(dout, cache)) < 1e-9


def test_a_seed_draws_the_same_mask_and_a_generator_another():
    x = np.ones((20, 20), np.float32)
    seeded = {"mode": "train", "p": 0.5, "seed": 0}
    first = dropout_forward(x, seeded)[0]
    np.testing.assert_array_equal(first, dropout_forward(x, seeded)[0])
    np.testing.assert_array_equal(first, dropout_forward(x.astype(float), seeded)[0])
    going_on = {"mode": "train", "p": 0.5, "rng": np.random.default_rng(0)}
    np.testing.assert_array_equal(first, dropout_forward(x, going_on)[0])
    assert not np.array_equal(first, dropout_forward(x, going_on)[0])


def test_compiled_a_generator_goes_on_as_it_is_written():
    def f(x, param):
        return np.sum(mg.dropout(x, param) ** 2)

    params = [{"mode": "train", "p": 0.5, "rng": np.random.default_rng(0)} for _ in range(2)]
    step, x = mg.jit(mg.grad(f)), np.arange(1.0, 30.0)
    for _ in range(3):
        np.testing.assert_allclose(step(x, params[0]), mg.grad(f)(x, params[1]), rtol=1e-12)


@pytest.mark.parametrize("transform", [lambda f: f, mg.jit], ids=["tape", "jit"])
def test_a_second_derivative_is_that_of_the_mask_that_was_drawn(transform):
    def f(x, param):
        return np.sum(mg.dropout(x, param) ** 3)

    def slopes(x, param):
        return np.sum(mg.grad(f)(x, param))

    x, param = np.arange(1.0, 30.0), {"mode": "train", "p": 0.5, "rng": np.random.default_rng(0)}
    _, (_, mask) = dropout_forward(x, param | {"rng": np.random.default_rng(0)})
    np.testing.assert_allclose(transform(mg.grad(slopes))(x, param), 6 * x * mask**3)


def test_p_of_one_keeps_all_and_check_grads_agrees():
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(dropout_forward(x, {"mode": "train", "p": 1})[0], x)
    check_grads(lambda x: mg.dropout(x, {"mode": "train", "p": 0.5, "seed": 1}) ** 2, x, order=2)


@pytest.mark.parametrize("p", [0, -0.5, 1.5, np.nan, None, "0.5"])
def test_a_p_that_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match=r"p is .*; expected the probability to keep an entry, in \(0, 1\]"):
        dropout_forward(np.ones(3), {"mode": "train", "p": p})


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="mode is 'eval'; expected 'train' or 'test'"):
        dropout_forward(np.ones(3), {"mode": "eval", "p": 0.5})


@pytest.mark.parametrize("rng", [np.random, np.random.RandomState(0)])
def test_legacy_generators_are_refused_by_name(rng):
    with pytest.raises(
        TypeError, match=r"^dropout: rng is NumPy's legacy generator; expected one of np\.random\."
    ):
        dropout_forward(np.ones(3), {"p": 0.5, "mode": "train", "rng": rng})
