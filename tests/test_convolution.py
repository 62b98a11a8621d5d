"""Convolution: the numbers of the course's notebook, a definition in loops, bad input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad.gradient_check import eval_numerical_gradient_array, rel_error
from minigrad.layers import (
    conv,
    conv_backward,
    conv_forward,
    conv_forward_fast,
    conv_forward_naive,
    conv_relu_backward,
    conv_relu_forward,
    conv_relu_pool_backward,
    conv_relu_pool_forward,
)
from minigrad.testing import layers_inputs


def by_definition(x, w, b, stride, pad):
    """Each entry of the output as the course defines it."""
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    rows, cols = ((side - k) // stride + 1 for side, k in zip(padded.shape[2:], w.shape[2:], strict=True))
    out = np.zeros((len(x), len(w), rows, cols))
    for n, f, i, j in np.ndindex(out.shape):
        window = padded[n, :, stride * i : stride * i + w.shape[2], stride * j : stride * j + w.shape[3]]
        out[n, f, i, j] = np.sum(window * w[f]) + b[f]
    return out


@given(layers_inputs(conv))
def test_conv_is_what_it_is_by_definition(call):
    inputs, options = call
    found, _ = conv_forward(*inputs, **options)
    np.testing.assert_allclose(found, by_definition(*inputs, **options["conv_param"]), rtol=1e-12, atol=1e-12)


def test_conv_forward_of_the_notebook():
    x = np.linspace(-0.1, 0.5, num=96).reshape(2, 3, 4, 4)
    w = np.linspace(-0.2, 0.3, num=144).reshape(3, 3, 4, 4)
    b = np.linspace(-0.1, 0.2, num=3)
    correct = [
        [
            [[-0.08759809, -0.10987781], [-0.18387192, -0.2109216]],
            [[0.21027089, 0.21661097], [0.22847626, 0.23004637]],
            [[0.50813986, 0.54309974], [0.64082444, 0.67101435]],
        ],
        [
            [[-0.98053589, -1.03143541], [-1.19128892, -1.24695841]],
            [[0.69108355, 0.66880383], [0.59480972, 0.56776003]],
            [[2.36270298, 2.36904306], [2.38090835, 2.38247847]],
        ],
    ]
    for forward in (conv_forward, conv_forward_naive, conv_forward_fast):
        out, _ = forward(x, w, b, {"stride": 2, "pad": 1})
        assert rel_error(out, np.array(correct)) < 2.3e-8


@pytest.mark.parametrize(
    ("forward", "backward", "x_shape", "f", "out_shape", "options", "tolerances"),
    [
        (conv_forward, conv_backward, (4, 3, 5, 5), 2, (4, 2, 5, 5), (), (1e-7, 1e-9, 1e-9)),
        (conv_relu_forward, conv_relu_backward, (2, 3, 8, 8), 3, (2, 3, 8, 8), (), (1e-7, 1e-8, 1e-8)),
        (
            conv_relu_pool_forward,
            conv_relu_pool_backward,
            (2, 3, 16, 16),
            3,
            (2, 3, 8, 8),
            ({"pool_height": 2, "pool_width": 2, "stride": 2},),
            (1e-7, 1e-7, 1e-8),
        ),
    ],
)
def test_gradients_of_the_notebook(forward, backward, x_shape, f, out_shape, options, tolerances):
    np.random.seed(231)
    x, w, b = np.random.randn(*x_shape), np.random.randn(f, 3, 3, 3), np.random.randn(f)
    dout = np.random.randn(*out_shape)
    options = ({"stride": 1, "pad": 1}, *options)
    _, cache = forward(x, w, b, *options)
    numeric = (
        eval_numerical_gradient_array(lambda x: forward(x, w, b, *options)[0], x, dout),
        eval_numerical_gradient_array(lambda w: forward(x, w, b, *options)[0], w, dout),
        eval_numerical_gradient_array(lambda b: forward(x, w, b, *options)[0], b, dout),
    )
    for ours, theirs, tolerance in zip(backward(dout, cache), numeric, tolerances, strict=True):
        assert rel_error(theirs, ours) < tolerance


def test_the_backward_skips_what_is_not_needed():
    _, cache = conv_forward(np.ones((2, 3, 4, 4)), np.ones((5, 3, 3, 3)), np.ones(5), {})
    dx, dw, db = conv_backward(np.ones((2, 5, 2, 2)), cache, needs=(False, True, False))
    assert dx is None
    assert db is None
    assert dw.shape == (5, 3, 3, 3)


@given(st.integers(1, 3), st.integers(0, 2))
def test_float32_stays_float32_for_any_stride_and_pad(stride, pad):
    x, w = np.ones((2, 3, 5, 6), np.float32), np.ones((2, 3, 3, 2), np.float32)
    out, cache = conv_forward(x, w, np.ones(2, np.float32), {"stride": stride, "pad": pad})
    assert out.dtype == np.float32
    assert {each.dtype for each in conv_backward(out, cache)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv_param": {"stride": -1}}, "stride must be an int >= 1, got -1"),
        ({"conv_param": {"stride": 0}}, "stride must be an int >= 1, got 0"),
        ({"conv_param": {"stride": 1.5}}, "stride must be an int >= 1, got 1.5"),
        ({"conv_param": {"pad": -1}}, "pad must be an int >= 0, got -1"),
        ({"w": np.ones((2, 3, 5, 3))}, "windows of 5 by 3 do not fit into images of 4 by 4$"),
        (
            {"w": np.ones((2, 3, 3, 7)), "conv_param": {"pad": 1}},
            "windows of 3 by 7 do not fit into images of 6 by 6, 1 of padding on each side included",
        ),
        (
            {"w": np.ones((2, 4, 3, 3))},
            r"x has shape \(1, 3, 4, 4\) but w \(2, 4, 3, 3\); w's second axis must be 3",
        ),
        ({"w": np.ones((3, 3, 3))}, r"w has shape \(3, 3, 3\); expected \(F, C, kh, kw\)"),
        ({"x": np.ones((3, 4, 4))}, r"x has shape \(3, 4, 4\); expected \(N, C, H, W\)"),
        ({"b": np.ones(3)}, r"b has shape \(3,\) but w \(2, 3, 3, 3\); b's must be \(2,\)"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    given = {"x": np.ones((1, 3, 4, 4)), "w": np.ones((2, 3, 3, 3)), "b": np.ones(2), "conv_param": {}}
    with pytest.raises((TypeError, ValueError), match=message):
        conv_forward(**given | changes)
