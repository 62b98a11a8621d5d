"""Pooling: the numbers of the course's notebook, ties, bad input."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import eval_numerical_gradient_array, rel_error
from minigrad.layers import avg_pool_forward, max_pool_backward, max_pool_forward

TWO = {"pool_height": 2, "pool_width": 2, "stride": 2}


def test_max_pool_of_the_notebook():
    x = np.linspace(-0.3, 0.4, num=96).reshape(2, 3, 4, 4)
    out, _ = max_pool_forward(x, TWO)
    correct = [
        [
            [[-0.26315789, -0.24842105], [-0.20421053, -0.18947368]],
            [[-0.14526316, -0.13052632], [-0.08631579, -0.07157895]],
            [[-0.02736842, -0.01263158], [0.03157895, 0.04631579]],
        ],
        [
            [[0.09052632, 0.10526316], [0.14947368, 0.16421053]],
            [[0.20842105, 0.22315789], [0.26736842, 0.28210526]],
            [[0.32631579, 0.34105263], [0.38526316, 0.4]],
        ],
    ]
    assert rel_error(out, np.array(correct)) < 4.2e-8


def test_max_pool_gradient_of_the_notebook():
    np.random.seed(231)
    x, dout = np.random.randn(3, 2, 8, 8), np.random.randn(3, 2, 4, 4)
    numeric = eval_numerical_gradient_array(lambda x: max_pool_forward(x, TWO)[0], x, dout)
    assert rel_error(numeric, max_pool_backward(dout, max_pool_forward(x, TWO)[1])) < 1e-10


def test_entries_that_tie_share_the_gradient_as_on_the_tape():
    x = np.array([[[[1.0, 1.0, 0.0, 2.0], [1.0, 0.0, 2.0, 0.0]]]])
    dx = max_pool_backward(np.array([[[[3.0, 4.0]]]]), max_pool_forward(x, TWO)[1])
    np.testing.assert_array_equal(dx, [[[[1, 1, 0, 2], [1, 0, 2, 0]]]])
    t = mg.tensor(x, requires_grad=True)
    (max_pool_forward(t, TWO)[0] * np.array([3.0, 4.0])).sum().backward()
    np.testing.assert_array_equal(t.grad, dx)


def test_avg_pool_is_the_mean_of_each_window():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 6))
    out, _ = avg_pool_forward(x, {"pool_height": 2, "pool_width": 3, "stride": 1})
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 3), axis=(2, 3))
    np.testing.assert_allclose(out, windows.mean(axis=(-1, -2)))


@pytest.mark.parametrize("forward", [max_pool_forward, avg_pool_forward])
@pytest.mark.parametrize(
    ("x", "param", "message"),
    [
        (np.ones((1, 1, 4, 4)), {"stride": -2}, "stride must be an int >= 1, got -2"),
        (np.ones((1, 1, 4, 4)), {"pool_height": 0}, "pool_height must be an int >= 1, got 0"),
        (np.ones((1, 1, 4, 4)), {"pool_width": 5}, "windows of 2 by 5 do not fit into images of 4 by 4"),
        (np.ones((4, 4)), {}, r"x has shape \(4, 4\); expected \(N, C, H, W\)"),
    ],
)
def test_what_does_not_fit_is_refused(forward, x, param, message):
    with pytest.raises((TypeError, ValueError), match=message):
        forward(x, param)
