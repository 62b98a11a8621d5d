"""Every layer with drawn inputs, found through the registry; and the numbers that the course publishes."""

import math
import re
import weakref

import numpy as np
import pytest
from derivatives import curvature, differentiated, flat
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg
from minigrad import layers
from minigrad.engine.arguments import takes_arrays
from minigrad.gradient_check import (
    check_grads,
    check_layer,
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    rel_error,
)
from minigrad.layers import (
    LAYERS,
    affine_backward,
    affine_forward,
    affine_relu_backward,
    affine_relu_forward,
    l1_forward,
    mse_forward,
    relu_backward,
    relu_forward,
    softmax_loss,
    svm_loss,
)
from minigrad.testing import LAYOUTS, calls, laid_out

EVERY_LAYER = pytest.mark.parametrize("layer", LAYERS.values(), ids=lambda layer: layer.name)
LOSSES = pytest.mark.parametrize("loss", [softmax_loss, svm_loss])


@EVERY_LAYER
@given(st.data())
def test_hand_derived_tape_and_differences_agree(layer, data):
    inputs, options = data.draw(calls(layer.inputs))
    report = check_layer(layer, *inputs, **options)
    assert report.ways[:3] == ("hand-derived", "tape", "finite differences")


@EVERY_LAYER
@given(st.data())
def test_as_one_node_it_has_first_and_second_derivatives(layer, data):
    inputs, options = data.draw(calls(layer.inputs))
    floats = [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]

    def f(*moving):
        full = list(inputs)
        for i, x in zip(floats, moving, strict=True):
            full[i] = x
        return layer(*full, **options)

    check_grads(f, *(inputs[i] for i in floats), order=2)


def both_passes(layer, inputs, options, dout=None):
    """The output; and the gradients for dout, or for weights that are all different, in a list."""
    out, cache = layer.forward(*inputs, **options)
    if dout is None:
        dout = np.asarray(np.cos(np.arange(np.size(out))).reshape(np.shape(out)), out.dtype)
    gradients = layer.backward(dout if dout.ndim else dout[()], cache)
    return out, list(gradients) if isinstance(gradients, tuple) else [gradients]


@EVERY_LAYER
@given(st.data())
def test_float32_stays_float32_is_right_to_its_precision_and_nothing_is_changed(layer, data):
    inputs, options = data.draw(calls(layer.inputs, np.float32))
    before = [x.copy() for x in inputs]
    out, gradients = both_passes(layer, inputs, options)
    exact = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in inputs]
    exact_out, exact_gradients = both_passes(layer, exact, options)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, exact_out, rtol=1e-5, atol=1e-5)
    for x, kept, g, reference in zip(inputs, before, gradients, exact_gradients, strict=False):
        assert (g.shape, g.dtype) == (x.shape, np.float32)
        np.testing.assert_allclose(g, reference, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(x, kept)


@EVERY_LAYER
@given(st.data())
def test_how_arrays_lie_in_memory_changes_nothing(layer, data):
    """That of the inputs, read-only ones too, and that of dout; and the backward may be called again."""
    inputs, options = data.draw(calls(layer.inputs))
    plain = [np.array(x, order="C") for x in inputs]
    out, gradients = both_passes(layer, plain, options)
    dout = np.asarray(np.cos(np.arange(np.size(out))).reshape(np.shape(out)))
    for layout in LAYOUTS:
        laid = [laid_out(x, layout) for x in inputs]
        again, others = both_passes(layer, laid, options, laid_out(dout, layout))
        np.testing.assert_allclose(again, out, rtol=1e-12, atol=1e-12)
        for got, want in zip(others, gradients, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@EVERY_LAYER
@given(st.data())
def test_the_backward_is_linear_and_can_be_called_again(layer, data):
    inputs, options = data.draw(calls(layer.inputs))
    out, cache = layer.forward(*inputs, **options)
    rng = np.random.default_rng(0)
    one, other = (np.asarray(rng.standard_normal(np.shape(out)))[()] for _ in range(2))

    def gradients(dout):
        kept = dout.copy()
        found = layer.backward(dout, cache)
        np.testing.assert_array_equal(dout, kept)
        return list(found) if isinstance(found, tuple) else [found]

    first, second = gradients(one), gradients(other)
    for g, h, total, again in zip(first, second, gradients(one + 2 * other), gradients(one), strict=True):
        np.testing.assert_allclose(total, g + 2 * h, rtol=1e-10, atol=1e-10)
        np.testing.assert_array_equal(again, g)


@EVERY_LAYER
@given(st.data())
def test_compiled_it_is_what_it_is_as_written(layer, data):
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))
    inputs, options = data.draw(calls(layer.inputs, dtype))
    floats = [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    for derivative in (differentiated, curvature):

        def of_all(options, *inputs, derivative=derivative):
            def f(*moving):
                full = list(inputs)
                for i, x in zip(floats, moving, strict=True):
                    full[i] = x
                return layer(*full, **options)

            return derivative(f, len(floats))(*(inputs[i] for i in floats))

        expected, compiled = flat(of_all(options, *inputs)), mg.jit(of_all)
        for _ in range(2):
            for got, want in zip(flat(compiled(options, *inputs)), expected, strict=True):
                assert (np.shape(got), np.asarray(got).dtype) == (np.shape(want), np.asarray(want).dtype)
                np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


@EVERY_LAYER
@given(st.data())
def test_on_arrays_it_is_its_forward(layer, data):
    inputs, options = data.draw(calls(layer.inputs))
    out = layer(*inputs, **options)
    assert not isinstance(out, mg.Tensor)
    np.testing.assert_array_equal(out, layer.forward(*inputs, **options)[0])


def test_backward_skips_what_is_not_needed():
    x, w, b = np.ones((2, 3)), np.ones((3, 4)), np.ones(4)
    _, cache = affine_forward(x, w, b)
    dx, dw, db = affine_backward(np.ones((2, 4)), cache, needs=(False, True, False))
    assert dx is None
    assert db is None
    assert dw.shape == w.shape


# -- what the course's notebook prints -----------------------------------------------------------------------


def test_affine_forward_of_the_notebook():
    x = np.linspace(-0.1, 0.5, num=240).reshape(2, 4, 5, 6)
    w = np.linspace(-0.2, 0.3, num=360).reshape(120, 3)
    b = np.linspace(-0.3, 0.1, num=3)
    out, cache = affine_forward(x, w, b)
    correct = np.array([[1.49834967, 1.70660132, 1.91485297], [3.25553199, 3.5141327, 3.77273342]])
    assert rel_error(out, correct) < 1e-9
    assert all(a is b for a, b in zip(cache, (x, w, b), strict=True))


def test_relu_forward_of_the_notebook():
    out, _ = relu_forward(np.linspace(-0.5, 0.5, num=12).reshape(3, 4))
    correct = [[0, 0, 0, 0], [0, 0, 0.04545455, 0.13636364], [0.22727273, 0.31818182, 0.40909091, 0.5]]
    assert rel_error(out, np.array(correct)) < 5.1e-8


@pytest.mark.parametrize(
    ("forward", "backward", "x_shape", "d", "m"),
    [
        (affine_forward, affine_backward, (10, 2, 3), 6, 5),
        (affine_relu_forward, affine_relu_backward, (2, 3, 4), 12, 10),
    ],
)
def test_affine_gradients_of_the_notebook(forward, backward, x_shape, d, m):
    np.random.seed(231)
    x, w, b = np.random.randn(*x_shape), np.random.randn(d, m), np.random.randn(m)
    dout = np.random.randn(x_shape[0], m)
    _, cache = forward(x, w, b)
    numeric = (
        eval_numerical_gradient_array(lambda x: forward(x, w, b)[0], x, dout),
        eval_numerical_gradient_array(lambda w: forward(x, w, b)[0], w, dout),
        eval_numerical_gradient_array(lambda b: forward(x, w, b)[0], b, dout),
    )
    for ours, theirs in zip(backward(dout, cache), numeric, strict=True):
        assert rel_error(theirs, ours) <= 1e-9


@pytest.mark.parametrize("shape", [(5000,), (70, 64), (64, 7, 4, 4), (2, 3000), (64, 64, 1)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_relu_of_large_arrays(dtype, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    x.flat[:3] = np.nan, np.inf, -np.inf
    for each in (x, x[::-1], x.T):
        out, _ = relu_forward(each)
        assert out.dtype == dtype
        np.testing.assert_array_equal(out, np.maximum(each, 0))


def test_relu_gradient_of_the_notebook():
    np.random.seed(231)
    x = np.random.randn(10, 10)
    dout = np.random.randn(*x.shape)
    numeric = eval_numerical_gradient_array(lambda x: relu_forward(x)[0], x, dout)
    assert rel_error(numeric, relu_backward(dout, relu_forward(x)[1])) <= 1e-11
    np.testing.assert_array_equal(relu_backward(dout, x), relu_backward(dout, relu_forward(x)[1]))


def test_losses_of_the_notebook():
    np.random.seed(231)
    x = 0.001 * np.random.randn(50, 10)
    y = np.random.randint(10, size=50)
    for loss, published, error in (
        (svm_loss, 8.999602749096233, 1e-8),
        (softmax_loss, 2.302545844500738, 1e-7),
    ):
        value, dx = loss(x, y)
        assert abs(value - published) < 1e-9
        assert (
            rel_error(eval_numerical_gradient(lambda x, loss=loss: loss(x, y)[0], x, verbose=False), dx)
            < error
        )


# -- subgradients, huge scores, bad input --------------------------------------------------------------------


def test_subgradients():
    assert relu_backward(np.ones(1), relu_forward(np.zeros(1))[1]) == 0
    assert relu_backward(np.ones(1), np.zeros(1)) == 0
    _, dx = svm_loss(np.array([[1.0, 0.0]]), np.array([0]))
    np.testing.assert_array_equal(dx, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e4, -1e4, 1e30])
def test_softmax_loss_of_huge_scores(dtype, scale):
    x = np.array([[scale, 0, 0], [0, scale, -scale]], dtype)
    y = np.array([0, 2])
    loss, dx = softmax_loss(x, y)
    assert np.isfinite(loss)
    assert np.isfinite(dx).all()
    assert dx.dtype == dtype
    top = x.max(axis=1)
    assert loss == pytest.approx(
        (top - x[[0, 1], y] + np.log((x == top[:, None]).sum(axis=1))).mean(), rel=1e-6
    )


@given(data=st.data(), s=st.floats(0, 0.99))
def test_label_smoothing_spreads_a_part_of_each_target_over_all_classes(data, s):
    n, classes = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    x = data.draw(hnp.arrays(np.float64, (n, classes), elements=st.floats(-30, 30)))
    y = data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, classes - 1)))
    targets = (1 - s) * np.eye(classes)[y] + s / classes
    softmax = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    loss, dx = softmax_loss(x, y, label_smoothing=s)
    assert loss == pytest.approx(-(targets * np.log(softmax)).sum(axis=1).mean(), abs=1e-12)
    np.testing.assert_allclose(dx, (softmax - targets) / n, atol=1e-14)


@pytest.mark.parametrize("s", [-0.1, 1, np.nan, "0.1", None])
def test_label_smoothing_out_of_range_is_refused(s):
    with pytest.raises(ValueError, match=r"label_smoothing is .*; expected a number in \[0, 1\)"):
        softmax_loss(np.zeros((1, 2)), np.array([0]), label_smoothing=s)


WEIGHTED = pytest.mark.parametrize("loss", [softmax_loss, svm_loss, mse_forward, l1_forward])


def drawn_pair(data, loss):
    """Return inputs of a loss; their examples are rows."""
    n, columns = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 3)))
    x, y = (data.draw(hnp.arrays(np.float64, (n, columns), elements=st.floats(-9, 9))) for _ in range(2))
    if loss in (softmax_loss, svm_loss):
        y = data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, columns - 1)))
    return x, y


@WEIGHTED
@given(
    data=st.data(), scale=st.sampled_from([1, 0.3, 1e300]), dtype=st.sampled_from([np.float32, np.float64])
)
def test_an_example_of_weight_k_counts_as_k_examples(loss, data, scale, dtype):
    x, y = drawn_pair(data, loss)
    x, y = x.astype(dtype), y.astype(dtype if y.ndim == 2 else int)
    counts = data.draw(hnp.arrays(np.int64, len(x), elements=st.integers(0, 4)).filter(np.any))
    weighted, dx = loss(x, y, sample_weights=counts * np.float64(scale))
    repeated, dxs = loss(np.repeat(x, counts, axis=0), np.repeat(y, counts, axis=0))
    example = np.repeat(np.arange(len(x)), counts)
    expected = np.array([dxs[example == i].sum(axis=0) for i in range(len(x))])
    tolerance = 64 * float(np.finfo(dtype).eps)
    assert weighted == pytest.approx(repeated, rel=tolerance, abs=tolerance)
    np.testing.assert_allclose(dx, expected, rtol=tolerance, atol=tolerance)
    assert dx.dtype == weighted.dtype == x.dtype


@WEIGHTED
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), r"float64 of shape \(3,\); expected a real number for each of the 2 examples"),
        (np.ones((2, 1)), r"shape \(2, 1\)"),
        (np.ones(2, complex), "complex128"),
        ([1, -1], r"sample_weights\[1\] is -1; expected a finite number >= 0"),
        ([np.nan, 1], r"sample_weights\[0\] is nan"),
        ([1, np.inf], r"sample_weights\[1\] is inf"),
        ([0, 0], "all sample_weights are 0"),
    ],
)
def test_unfit_sample_weights_are_refused(loss, weights, message):
    y = np.array([0, 1]) if loss in (softmax_loss, svm_loss) else np.ones((2, 2))
    with pytest.raises(ValueError, match=message):
        loss(np.zeros((2, 2)), y, sample_weights=weights)


def test_a_number_has_no_examples_to_weigh():
    with pytest.raises(ValueError, match="mse: x is a number"):
        mg.mse(1.0, 2.0, sample_weights=[1.0])


@LOSSES
@given(data=st.data())
def test_losses_leave_their_input_alone(loss, data):
    n, classes = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    x = data.draw(hnp.arrays(np.float64, (n, classes), elements=st.floats(-1e4, 1e4)))
    y = data.draw(hnp.arrays(np.int64, n, elements=st.integers(0, classes - 1)))
    kept = x.copy(), y.copy()
    x.flags.writeable = y.flags.writeable = False
    loss(x, y)
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(y, kept[1])


@LOSSES
@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 3, 1], r"y\[1\] = 3 .*\[0, 3\)"),
        ([0, 1, -1], r"y\[2\] = -1 "),
        ([0, 1], r"shape \(2,\).*3 rows"),
        ([[0, 1, 2]], r"shape \(1, 3\)"),
        ([0.0, 1.0, 2.0], "dtype float64"),
        ([True, False, True], "dtype bool"),
    ],
)
def test_bad_labels_are_refused(loss, y, message):
    with pytest.raises(ValueError, match=message):
        loss(np.zeros((3, 3)), np.array(y))


@LOSSES
def test_scores_that_are_no_matrix_are_refused(loss):
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        loss(np.zeros(3), np.array([0]))
    with pytest.raises(ValueError, match="no examples"):
        loss(np.zeros((0, 3)), np.array([], int))


def test_affine_names_the_shapes_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"x flattens to \(32, 3072\) but w has shape \(3000, 100\).*must be 3072"
    ):
        affine_forward(np.zeros((32, 3, 32, 32)), np.zeros((3000, 100)), np.zeros(100))
    with pytest.raises(ValueError, match=r"b has shape \(3,\) but w has shape \(2, 4\); b's must be \(4,\)"):
        affine_forward(np.zeros((1, 2)), np.zeros((2, 4)), np.zeros(3))


# -- a layer of one's own ------------------------------------------------------------------------------------


def leaky_forward(x, slope=0.1):
    return np.where(x > 0, x, slope * x), (x, slope)


def leaky_backward(dout, cache):
    x, slope = cache
    return dout * np.where(x > 0, 1, slope)


def test_a_layer_of_ones_own():
    leaky = mg.layer(leaky_forward, leaky_backward)
    check_layer(leaky, np.array([-1.0, 2.0]), slope=0.3)
    x = mg.tensor([-1.0, 2.0], requires_grad=True)
    leaky(x, slope=0.5).sum().backward()
    np.testing.assert_array_equal(x.grad, [0.5, 1.0])
    assert "leaky" in str(mg.tape(leaky(x)))
    assert "leaky" not in LAYERS


def test_a_backward_of_another_shape_is_refused():
    forgetful = mg.layer(affine_forward, lambda dout, cache: (dout @ cache[1].T, cache[0].T @ dout, dout))
    b = mg.tensor(np.zeros(4), requires_grad=True)
    out = forgetful(np.ones((2, 3)), np.ones((3, 4)), b)
    with pytest.raises(ValueError, match=r"shape \(2, 4\) as the gradient of input 2, whose shape is \(4,\)"):
        out.sum().backward()
    missing = mg.layer(affine_forward, lambda dout, cache: (dout @ cache[1].T,), name="missing")
    with pytest.raises(ValueError, match="missing: backward returned no gradient for input 2"):
        missing(np.ones((2, 3)), np.ones((3, 4)), b).sum().backward()


def test_what_is_no_layer_is_refused():
    with pytest.raises(TypeError, match="forward returned ndarray; expected \\(out, cache\\)"):
        mg.layer(lambda x: x * 2, lambda d, c: d, name="forgetful")(mg.tensor([1.0, 2.0], requires_grad=True))
    with pytest.raises(TypeError, match="expected two functions"):
        mg.layer(1, 2)
    with pytest.raises(TypeError, match="expected a function"):
        mg.grad(3)
    with pytest.raises(TypeError, match="result is int; expected a tensor"):
        mg.tape(3)


def test_the_penalty_is_added_to_a_number():
    with pytest.raises(ValueError, match=r"l2_regularized: the loss has shape \(3,\); expected a number"):
        mg.l2_regularized(mg.tensor(np.ones(3)), np.ones(3), reg=1.0)


def test_means_of_errors():
    x, y = np.array([1.0, 2.0, 4.0]), np.array([1.0, 0.0, 5.0])
    assert mg.mse(x, y) == pytest.approx(5 / 3)
    assert mg.l1(x, y) == pytest.approx(1.0)
    np.testing.assert_array_equal(mg.grad(mg.l1)(x, y), [0, 1 / 3, -1 / 3])
    for loss, name in ((mg.mse, "mse"), (mg.l1, "l1")):
        with pytest.raises(ValueError, match=rf"{name}: x has shape \(3,\) but y \(3, 1\); they must agree"):
            loss(x, y[:, None])
        with pytest.raises(ValueError, match=f"{name}: .*mean over no entries"):
            loss(x[:0], y[:0])


def test_gelu_where_its_cube_overflows():
    x = np.array([1e300, -1e300, 1e160, -1e160, 0.0])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(mg.grad(lambda x: np.sum(mg.gelu(x)))(x), [1, 0, 1, 0, 0.5])


@pytest.mark.parametrize("reg", [np.ones(2), 1j, "a", None, True, np.complex128(1)])
def test_l2_regularized_takes_a_real_number(reg):
    with pytest.raises((TypeError, ValueError), match=r"l2_regularized: reg .*; expected a (real )?number"):
        mg.l2_regularized(np.float64(1), np.ones(2), reg=reg)


@pytest.mark.parametrize("reg", [1, 1.0, np.float32(1), np.int8(1), np.array(1.0)])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_penalty_of_any_real_number(reg, compiled):
    f = mg.value_and_grad(lambda w, reg: mg.l2_regularized(np.sum(w), w, reg=reg))
    loss, dw = (mg.jit(f) if compiled else f)(np.array([1.0, 2.0]), reg)
    assert loss == 5.5
    np.testing.assert_array_equal(dw, [2, 3])


@given(
    loss=st.sampled_from([mg.softmax_cross_entropy, mg.multiclass_hinge, mg.mse, mg.l1]),
    shape=st.sampled_from([(1, 1), (3, 4), (100, 1000), (1, 70_000), (70_000, 2)]),
    compiled=st.booleans(),
)
@settings(max_examples=10)
def test_losses_of_float16_count_beyond_its_range(loss, shape, compiled):
    x = (np.arange(shape[0] * shape[1]) % 5 / 4).astype(np.float16).reshape(shape)
    y = np.zeros_like(x) if loss in (mg.mse, mg.l1) else np.argmax(x, axis=1)
    f = mg.value_and_grad(loss)
    value, dx = (mg.jit(f) if compiled else f)(x, y)
    exact, expected = f(x.astype(float), y.astype(float) if y.dtype.kind == "f" else y)
    assert value.dtype == dx.dtype == np.float16
    np.testing.assert_allclose(value, exact, rtol=1e-3)
    np.testing.assert_allclose(dx.astype(float), expected, rtol=1e-3, atol=6e-8)


@given(
    loss=st.sampled_from([mg.softmax_cross_entropy, mg.multiclass_hinge]),
    factor=st.sampled_from([0.0, 1.0, 2.0]),
)
def test_the_gradient_of_a_multiple_of_a_loss_is_that_multiple(loss, factor):
    x, y = np.array([[0.3, -0.2, 0.9]]), np.array([1])
    gradient = mg.grad(lambda x: factor * loss(x, y))(x)
    np.testing.assert_array_equal(gradient, factor * mg.grad(loss)(x, y))


def test_a_backward_may_return_a_list():
    product = mg.layer(lambda x, y: (x * y, (x, y)), lambda dout, cache: [dout * cache[1], dout * cache[0]])
    for enrolled in (False, True):
        product.tested = enrolled
        t, u = (mg.tensor(np.array(x), requires_grad=True) for x in ([1.0, 2.0], [3.0, 4.0]))
        product(t, u).backward(np.ones(2))
        np.testing.assert_array_equal([t.grad, u.grad], [[3, 4], [1, 2]])


def test_a_forward_that_returns_a_list_is_refused():
    def halves(x: "Array") -> object:  # noqa: F821  # read by its text
        return [x[:1], x[1:]], None

    for forward in (halves, takes_arrays(halves)):
        op = mg.layer(forward, lambda dout, cache: dout)
        for x in (np.ones(2), mg.tensor(np.ones(2), requires_grad=True)):
            with pytest.raises(
                TypeError, match="halves: the forward returned a list as its output; expected an arr"
            ):
                op(x)


def test_gelu_is_near_x_times_the_normal_distribution():
    x = np.linspace(-6, 6, 101)
    phi = 0.5 * (1 + np.array([math.erf(each / math.sqrt(2)) for each in x]))
    np.testing.assert_allclose(mg.gelu(x), x * phi, atol=5e-4)


@EVERY_LAYER
@given(st.data())
def test_lists_and_integers_are_taken_as_numpy_takes_them(layer, data):
    inputs, options = data.draw(calls(layer.inputs))
    lists = [x.tolist() if x.dtype.kind == "f" and x.size else x for x in inputs]
    forward = layer.checked or layer.forward
    out, _ = forward(*lists, **options)
    np.testing.assert_allclose(out, layer.forward(*inputs, **options)[0], rtol=1e-12)


def writes_into_its_input(x):
    np.maximum(x, 0, out=x)
    return x, x


def first_of_twice(x):
    x[0] = 2 * x[1]
    return x


@pytest.mark.parametrize(
    "op",
    [
        mg.layer(writes_into_its_input, lambda dout, x: dout * (x > 0)),
        mg.checkpoint(first_of_twice),
        mg.rule(first_of_twice, lambda g, out, x: g),
    ],
    ids=["layer", "checkpoint", "rule"],
)
def test_a_forward_that_writes_into_its_input_is_refused(op):
    def f(x):
        a = x * 1
        return np.sum(op(a) ** 2) + np.sum(a**3)

    with pytest.raises(ValueError, match="read-only"):
        mg.grad(f)(np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("error", [KeyError("k"), ZeroDivisionError("z"), np.linalg.LinAlgError("singular")])
def test_an_error_in_a_persons_forward_keeps_its_type_and_no_frame_keeps_the_arguments(error):
    def fails(x):
        raise error

    x = mg.tensor(np.ones(3), requires_grad=True)
    kept = weakref.ref(x)
    with pytest.raises(type(error), match=error.args[0]) as raised:
        mg.checkpoint(fails)(x)
    del raised, x
    error.__traceback__ = None
    assert kept() is None


def test_a_pullback_has_the_arguments_of_its_call():
    w = np.array([1.0, 2.0, 3.0])
    _, pullback = mg.vjp(lambda w: w * w, w)
    w -= 0.5
    np.testing.assert_array_equal(pullback(np.ones(3))[0], [2, 4, 6])


def test_the_result_of_a_layer_that_returns_its_input_may_be_written_to_and_is_another():
    same = mg.layer(lambda x: (x, None), lambda dout, cache: dout)
    x = mg.tensor(np.array([1.0, 2.0]))
    out = same(x).numpy()
    out -= 1
    np.testing.assert_array_equal(out, [0, 1])


def test_a_compiled_forward_that_writes_into_its_input_is_refused():
    op = mg.layer(writes_into_its_input, lambda dout, x: dout * (x > 0))
    with pytest.raises(ValueError, match="read-only"):
        mg.jit(mg.grad(lambda x: np.sum(op(x * 1) * x)))(np.ones(3))


MODE = {"mode": "train"}
UNFIT_PARAMETERS = [
    (
        "conv",
        {"stride": 2, "padding": 1},
        r"conv: conv_param has the unknown key 'padding'; .* 'pad', 'stride'; .*'pad'",
    ),
    ("conv_relu", MODE, "conv: conv_param has the unknown key 'mode'; expected keys are 'pad', 'stride'$"),
    (
        "max_pool",
        {"pool_h": 2},
        "max_pool: pool_param has the unknown key 'pool_h'; .*did you mean 'pool_height'",
    ),
    ("avg_pool", {"pad": 0}, "avg_pool: pool_param has the unknown key 'pad'"),
    (
        "dropout",
        {"p": 0.5, "mode": "train", "generator": None},
        "dropout_param has the unknown key 'generator'",
    ),
    (
        "batchnorm",
        MODE | {"momentun": 0.5},
        "batchnorm: bn_param has the unknown key .* did you mean 'momentum'",
    ),
    ("batchnorm", MODE | {"momentum": 2.0}, r"bn_param\['momentum'\] must be in \[0, 1\], got 2\.0"),
    ("batchnorm", MODE | {"momentum": "0.9"}, r"bn_param\['momentum'\] must be a number, got '0\.9'"),
    (
        "spatial_batchnorm",
        MODE | {"eps": -1.0},
        r"batchnorm: bn_param\['eps'\] must be in \[0, inf\), got -1\.0",
    ),
    ("layernorm", MODE | {"epsilon": 1e-3}, "layernorm: ln_param has the unknown key 'epsilon'"),
    ("layernorm", {"eps": math.nan}, r"ln_param\['eps'\] must be in \[0, inf\), got nan"),
    ("layernorm", {"eps": np.ones(2)}, r"ln_param\['eps'\] must be a number, got"),
    ("groupnorm", {"running_mean": 0.0}, "groupnorm: gn_param has the unknown key 'running_mean'"),
    ("spatial_groupnorm", {"eps": None}, r"groupnorm: gn_param\['eps'\] must be a number, got None"),
]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("layer", "param", "message"), UNFIT_PARAMETERS, ids=range(len(UNFIT_PARAMETERS)))
@given(st.data())
def test_unknown_and_unfit_parameters_are_refused(layer, param, message, compiled, data):
    layer = LAYERS[layer]
    inputs, options = data.draw(calls(layer.inputs))
    name = next(each for each in options if each.endswith("_param"))
    with pytest.raises((TypeError, ValueError), match=message):
        (mg.jit(layer.forward) if compiled else layer)(*inputs, **options | {name: param})


@pytest.mark.parametrize("compiled", [False, True])
def test_normalizations_may_share_a_dict_and_numbers_may_be_arrays_of_no_axes(compiled):
    rng = np.random.default_rng(0)
    x, gamma, beta = rng.standard_normal((4, 2)), np.ones(2), np.zeros(2)
    for name in ("layernorm", "groupnorm", "batchnorm"):
        layer = mg.jit(LAYERS[name].forward) if compiled else LAYERS[name].forward
        groups = (1,) if name == "groupnorm" else ()
        expected, _ = LAYERS[name].forward(x, gamma, beta, *groups, {"mode": "train", "eps": 0.25})
        for eps in (np.float64(0.25), np.array(0.25)):
            out = layer(x, gamma, beta, *groups, {"mode": "train", "eps": eps})[0]
            np.testing.assert_allclose(out, expected, rtol=1e-12)


IMAGES, PER_CHANNEL = np.ones((2, 4, 5, 5)), np.ones(4)
TRAIN = {"mode": "train"}


@pytest.mark.parametrize(
    ("forward", "backward", "args"),
    [
        (layers.conv_forward, layers.conv_backward, (IMAGES, np.ones((3, 4, 3, 3)), np.ones(3), {"pad": 1})),
        (layers.max_pool_forward, layers.max_pool_backward, (IMAGES, {})),
        (layers.avg_pool_forward, layers.avg_pool_backward, (IMAGES, {})),
        (layers.batchnorm_forward, layers.batchnorm_backward, (IMAGES, PER_CHANNEL, PER_CHANNEL, TRAIN)),
        (layers.batchnorm_forward, layers.batchnorm_backward_alt, (IMAGES, PER_CHANNEL, PER_CHANNEL, TRAIN)),
        (
            layers.layernorm_forward,
            layers.layernorm_backward,
            (np.ones((2, 4)), PER_CHANNEL, PER_CHANNEL, {}),
        ),
        (layers.groupnorm_forward, layers.groupnorm_backward, (IMAGES, PER_CHANNEL, PER_CHANNEL, 2, {})),
    ],
)
def test_the_gradient_of_another_output_is_refused(forward, backward, args):
    out, cache = forward(*args)
    backward(np.ones(out.shape), cache)
    for axis in range(out.ndim):
        for side in (1, out.shape[axis] + 1):  # the first would be broadcast
            shape = (*out.shape[:axis], side, *out.shape[axis + 1 :])
            expected = re.escape(
                f"dout has shape {shape}, but the output whose cache this is has {out.shape}"
            )
            with pytest.raises(ValueError, match=rf"^{backward.__name__}: {expected}"):
                backward(np.ones(shape), cache)
