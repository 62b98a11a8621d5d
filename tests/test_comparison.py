"""How exact a check is, and that it raises no false alarm: at kinks, at any scale, where differences say nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.gradient_check import (
    GradientMismatch,
    check_grads,
    check_layer,
    eval_numerical_gradient,
    rel_error,
)
from minigrad.layers import affine_backward, affine_forward, relu_forward, softmax_loss

PAIR = tuple(np.random.default_rng(0).standard_normal((2, 3, 4)))
AFFINE = [np.random.default_rng(0).standard_normal(shape) for shape in ((4, 2, 3), (6, 5), 5)]


def test_a_relative_error_of_1e_6_in_one_entry_is_caught():
    """The course's difference alone cannot tell it: where the gradient is small, the right one is further off."""
    rng = np.random.default_rng(0)
    x, y = 5 * rng.standard_normal((6, 5)), rng.integers(5, size=6)
    right = softmax_loss(x, y)[1]
    numeric = eval_numerical_gradient(lambda x: softmax_loss(x, y)[0], x, verbose=False)
    place = np.unravel_index(np.argmin(abs(np.log(abs(right) / 1e-6))), x.shape)
    assert rel_error(numeric[place], right[place]) > 1e-6

    def wrong(x, y):
        loss, dx = softmax_loss(x, y)
        dx[place] *= 1 + 1e-6
        return loss, dx

    check_layer(softmax_loss, x, y)
    index = ", ".join(map(str, place))
    with pytest.raises(GradientMismatch, match=rf"input 0 is wrong at index \({index}\)"):
        check_layer(wrong, x, y)


@given(st.integers(0, 23))
def test_so_it_is_wherever_it_is(place):
    def backward(dout, cache):
        dx, dw, db = affine_backward(dout, cache)
        dx.flat[place] *= 1 + 1e-6
        return dx, dw, db

    with pytest.raises(GradientMismatch, match="gradient of input 0"):
        check_layer((affine_forward, backward), *AFFINE)


def without_a_rule(x):
    """Refuse tensors, as a function without a rule does."""
    if isinstance(x, mg.Tensor):
        raise mg.TapeError("no backward rule")
    return x


def cube_without_a_rule(x):
    x = without_a_rule(x)
    return np.cbrt(x) ** 2, x


@pytest.mark.parametrize("error", [1e-6, -1e-6])
def test_it_is_caught_without_the_tape_too(error):
    x = np.linspace(0.5, 2, 7)

    def backward(dout, x):
        dx = dout * 2 / 3 / np.cbrt(x)
        dx[3] *= 1 + error
        return dx

    report = check_layer((cube_without_a_rule, backward), x, raise_on_error=False)
    assert "tape" not in report.ways
    assert "wrong at index (3,)" in report.problems[0]
    check_layer((cube_without_a_rule, lambda dout, x: dout * 2 / 3 / np.cbrt(x)), x)


def test_float32_is_held_against_float64_to_its_own_precision():
    x, w = (each.astype(np.float32) for each in PAIR)

    def slightly_wrong(dout, cache):
        x, w = cache
        return dout * w, dout * x * np.float32(1 + 2e-4)

    with pytest.raises(GradientMismatch, match="gradient of input 1"):
        check_layer((lambda x, w: (x * w, (x, w)), slightly_wrong), x, w)
    big = np.random.default_rng(0).standard_normal((3, 20, 30)).astype(np.float32)
    check_layer(mg.affine, big[0], big[1].T.copy(), big[2][0, :20].copy())
    check_layer(mg.softmax_cross_entropy, 30 * big[0], np.arange(20))


def test_large_inputs_with_the_tape_and_in_random_directions():
    """One wrong element of 12,000; the size of the course's own layer is too large for a test."""
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((20, 300)), rng.standard_normal((300, 40)), rng.standard_normal(40)

    def wrong(dout, cache):
        dx, dw, db = affine_backward(dout, cache)
        dw[123, 4] *= 1 + 1e-6
        return dx, dw, db

    def without_a_tape(x, w, b):
        return affine_forward(without_a_rule(x), w, b)

    assert "every entry looked at by the tape" in check_layer(mg.affine, x, w, b).surely
    report = check_layer((without_a_tape, affine_backward), x, w, b)
    assert "tape" not in report.ways
    assert "is missed with probability 1e-6" in report.surely
    for forward in (affine_forward, without_a_tape):
        with pytest.raises(GradientMismatch, match=r"input 1 is wrong at index \(123, 4\)"):
            check_layer((forward, wrong), x, w, b)
    check_layer(mg.affine_relu, x, w, b)


KINKS = {
    "relu": (mg.relu, np.array([0.0, -0.0, 1.0, -1.0])),
    "max": (np.max, np.array([1.0, 2.0, 2.0])),
    "min": (np.min, np.array([1.0, 1.0, 2.0])),
    "maximum": (np.maximum, np.array([1.0, 2.0]), np.array([1.0, 3.0])),
    "abs": (np.abs, np.array([0.0, -1.0])),
    "clip": (lambda x: np.clip(x, -1, 1), np.array([-1.0, 0.0, 1.0])),
}


@pytest.mark.parametrize("name", KINKS)
def test_a_kink_is_counted_and_not_failed(name):
    f, *arrays = KINKS[name]
    assert check_grads(f, *arrays).kinks >= 1


def test_a_kink_is_no_mismatch_but_a_wrong_slope_there_is():
    x = np.array([-1.0, 0.0, 2.0])
    check_layer(mg.relu, x)
    check_layer((relu_forward, lambda dout, out: dout * (out >= 0) * np.where(x < 0, 0, 1)), x)
    with pytest.raises(GradientMismatch, match=r"index \(1,\)"):
        check_layer((relu_forward, lambda dout, out: dout * (out > 0) - 0.5 * dout * (x == 0)), x)


def test_the_hinge_at_margin_0():
    x = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 1.0]])
    assert check_layer(mg.multiclass_hinge, x, np.array([0, 1])).kinks > 0


def test_the_kinks_of_large_inputs_are_no_mismatch_but_wrong_slopes_there_are():
    """Few entries are chosen beforehand; differences are taken where the tape's slope is another, too."""
    x = np.random.default_rng(0).standard_normal((50, 40)).round(1)
    kinks = np.count_nonzero(x == 0)
    assert kinks > 50
    assert check_layer(mg.relu, x).kinks == kinks
    assert check_layer((relu_forward, lambda dout, out: np.where(x >= 0, dout, 0)), x).kinks == kinks
    with pytest.raises(GradientMismatch, match="wrong at index"):
        check_layer((relu_forward, lambda dout, out: np.where(x == 0, 1.5, x > 0) * dout), x)


TIED = {
    "sort": (np.sort, [1.0, 1.0, 1.0, 2.0]),
    "partition": (lambda x: np.partition(x, 2), [1.0, 1.0, 1.0, 1.0, 0.0]),
    "median": (np.median, [1.0, 1.0, 1.0, 1.0]),
    "running maximum": (np.maximum.accumulate, [1.0, 1.0, 1.0, 1.0, 0.0]),
    "range": (np.ptp, [1.0, 1.0, 1.0]),
    "sorted, then squared": (lambda x: np.sort(x)[::2] ** 2, [[2.0, 2.0, 2.0], [0.0, 0.0, 0.0]]),
    "zeros": (lambda x: np.sort(np.maximum(x, 0)), [0.0, -1.0, 0.0, 0.0]),
}


@pytest.mark.parametrize("name", TIED)
def test_three_equal_entries_have_any_gradient_around(name):
    f, x = TIED[name]
    assert check_grads(f, np.array(x)).kinks >= 2


def test_a_sort_may_order_equal_entries_as_it_likes():
    def forward(x, kind):
        order = np.argsort(x, kind="stable") if kind == "first" else np.lexsort((-np.arange(x.size), x))
        return x[order], order

    def backward(dout, order):
        dx = np.empty_like(dout)
        dx[order] = dout
        return dx

    for kind in ("first", "last"):
        check_layer((forward, backward), np.array([1.0, 2.0, 1.0, 1.0]), kind)
    with pytest.raises(GradientMismatch, match="wrong at index"):
        check_layer((forward, lambda dout, order: dout), np.array([1.0, 2.0, 1.0, 1.0]), "first")


def test_a_sort_of_many_equal_entries():
    def forward(x):
        order = np.argsort(x, 1, kind="stable")
        return np.take_along_axis(x, order, 1), order

    def backward(dout, order):
        dx = np.empty_like(dout)
        np.put_along_axis(dx, order, dout, 1)
        return dx

    def wrong_at_the_end(dout, order):
        dx = backward(dout, order)
        dx[-1] *= 50
        return dx

    rng = np.random.default_rng(3)
    for x in (
        np.repeat(rng.standard_normal((100, 1)), 3, axis=1),
        rng.integers(0, 3, (40, 5)).astype(float),
        np.zeros((30, 4)),
    ):
        check_layer((forward, backward), x)
        with pytest.raises(GradientMismatch, match="wrong at index"):
            check_layer((forward, wrong_at_the_end), x)


@pytest.mark.parametrize("images", [3, 30])
def test_equal_maxima_of_windows(images):
    """Of large inputs differences are taken in random directions."""
    x = np.maximum(np.random.default_rng(0).standard_normal((images, 2, 4, 4)), 0)

    def forward(x):
        windows = x.reshape(images, 2, 2, 2, 2, 2)
        out = windows.max(axis=(3, 5), keepdims=True)
        return out[:, :, :, 0, :, 0], windows == out

    def backward(dout, ties, share=True):
        dx = ties * dout[:, :, :, None, :, None]
        if share:
            dx = dx / ties.sum(axis=(3, 5), keepdims=True)
        return dx.reshape(x.shape)

    check_layer((forward, backward), x)
    with pytest.raises(GradientMismatch, match="wrong at index"):
        check_layer((forward, lambda dout, ties: backward(dout, ties, share=False)), x)


@pytest.mark.parametrize("others", [[], [2.0], [2.0, 2.0]])
def test_equal_maxima_have_gradients_of_the_right_sum(others):
    x = np.array([2.0, 1.0, 2.0, *others])

    def check(share):
        check_layer((lambda x: (x.max(), x), lambda dout, x: dout * share((x == x.max()).astype(float))), x)

    check(lambda is_max: is_max / is_max.sum())
    check(lambda is_max: is_max * (np.cumsum(is_max) == 1))
    for wrong in (lambda is_max: is_max, lambda is_max: is_max / 4.5):
        with pytest.raises(GradientMismatch, match="moved together, their slope is"):
            check(wrong)


def test_so_have_those_of_two_inputs():
    x = np.array([1.0, 2.0])
    with pytest.raises(GradientMismatch, match="diagnosis: x: equal entries"):
        check_layer(
            (
                lambda x, y: (np.maximum(x, y), (x, y)),
                lambda dout, xy: (dout * (xy[0] >= xy[1]), dout * (xy[1] >= xy[0])),
            ),
            x,
            x[::-1] * [1, 2],
        )


@pytest.mark.parametrize("error", [1e-6, 1.0])
def test_equal_entries_of_a_smooth_function_have_one_gradient(error):
    factors = 3 + 3 * error * (np.arange(4) == 2)
    with pytest.raises(GradientMismatch, match=r"wrong at index \(2,\)"):
        check_layer((lambda x: ((x**3).sum(), x), lambda dout, x: dout * factors * x**2), np.full(4, 0.5))


@pytest.mark.parametrize("x", [[-1.0, -2.0], [-1.0, 2.0]])
def test_where_the_result_is_nan_there_is_nothing_to_compare(x):
    with np.errstate(invalid="ignore"):
        for check in (
            lambda x: check_grads(np.sqrt, x),
            lambda x: check_layer((lambda x: (np.log(x), x), lambda dout, x: dout / x), x),
        ):
            with pytest.raises(
                GradientMismatch, match="entries of its result are NaN, the first at flat index 0"
            ):
                check(np.array(x))


@pytest.mark.parametrize("x", [[0.3, 2.0], [1.7, -0.01], [5.0, 1e-3], [0.0, 2.0]])
def test_no_false_alarm_where_values_go_in_steps(x):
    """Those of (x + 1e6) - 1e6 are 1e-10 high: an ulp beside, most entries have the same."""
    check_grads(lambda x: (x + 1e6) - 1e6, np.array(x))
    with pytest.raises(GradientMismatch):
        check_layer((lambda x: ((x + 1e6) - 1e6, None), lambda dout, _: dout * 1.001), np.array(x))


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7, -1e-4, -1e-6])
def test_beside_a_kink_the_derivative_is_still_that_of_its_side(distance):
    x = np.array([distance, 1.0])
    check_layer(mg.relu, x)
    with pytest.raises(GradientMismatch):
        check_layer((lambda x: (np.maximum(np.cbrt(x) ** 3, 0.0), x), lambda d, x: d * (x <= 0)), x)


def test_no_false_alarm_near_the_edge_of_a_domain_nor_at_large_entries():
    check_grads(np.log, np.array([1e-3, 1.0]))
    check_grads(np.sqrt, np.array([1e-4, 4.0]))
    check_grads(np.sin, np.array([1e5, 0.0]))
    check_grads(lambda x, i: x[i] ** 2, np.array([1.0, 2.0]), np.array([1, 1]))


def test_no_false_alarm_where_the_differences_drown_in_rounding():
    np.random.seed(231)
    check_layer(mg.affine, np.random.rand(4, 60), 1e-3 * np.random.randn(60, 5), np.random.randn(5))
    for _ in range(5):
        check_layer(mg.softmax_cross_entropy, 10 * np.random.randn(20, 10), np.random.randint(10, size=20))
    check_layer(mg.affine, 1e4 * np.random.randn(3, 4), np.random.randn(4, 2), np.random.randn(2))


@pytest.mark.parametrize(
    ("f", "x"),
    [(np.sin, 1e30), (np.tan, 1e100), (np.square, 1e150), (np.log, 1e-300), (np.log, 0.0), (np.exp, 700.0)],
)
def test_no_false_alarm_where_differences_say_nothing(f, x):
    with np.errstate(all="ignore"):
        check_grads(f, np.array([x, x / 2]))


@pytest.mark.parametrize("f", [np.std, np.var, np.tanh])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e4])
def test_no_false_alarm_at_any_scale(f, scale):
    check_grads(f, scale * PAIR[0])


@pytest.mark.parametrize("seed", range(3))
def test_no_false_alarm_where_rounding_hides_what_an_entry_does(seed):
    """Of 1 + v - exp(v), v near 1e-8, a small step mostly changes nothing."""

    def forward(v):
        return (1 + v - np.exp(v)).sum(), v

    v = np.random.default_rng(seed).standard_normal(6)
    check_layer(forward, lambda dout, v: -dout * np.expm1(v), 1e-8 * v)
    with pytest.raises(GradientMismatch):
        check_layer(forward, lambda dout, v: -dout * np.expm1(v + 1e-6), v)


def test_no_false_alarm_where_a_layer_is_more_exact_than_the_tape():
    """The tape finds y - z as the difference of 2 (x - z) and 2 (x - y), where x is large."""

    def forward(x, y, z):
        return np.sum((x - y) ** 2 - (x - z) ** 2), (x, y, z)

    def backward(dout, cache):
        x, y, z = cache
        return 2 * dout * (z - y), 2 * dout * (y - x), 2 * dout * (x - z)

    check_layer(forward, backward, np.array([1e8, 1e7]), np.array([1.3, 1e-7]), np.array([0.7, 1e-3]))


def sigmoid(x, w, b):
    s = 1 / (1 + np.exp(-(x @ w + b)))
    return s, (x, w, s)


def sigmoid_back(dout, cache):
    x, w, s = cache
    dz = dout * s * (1 - s)
    return dz @ w.T, x.T @ dz, dz.sum(axis=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("z", [4.0, 8.0, 12.0, 15.0])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e3, 1e6])
def test_no_false_alarm_where_a_sigmoid_saturates(dtype, z, size):
    """1 - s keeps few digits, s near 1; the inputs an ulp beside give the same s."""
    for seed in range(3):
        x, w = np.random.default_rng(seed).uniform(0.5, 1.0, (2, 1, 1)) * [[[size]], [[1 / size]]]
        inputs = [each.astype(dtype) for each in (x, w * z, np.zeros(1))]
        check_layer(sigmoid, sigmoid_back, *inputs)
        with pytest.raises(GradientMismatch):
            check_layer(
                sigmoid,
                lambda dout, cache: [1.5 * each for each in sigmoid_back(dout, cache)],
                *inputs,
            )


def test_nor_where_one_direction_does_not_show_it():
    z, w = 10.499173697094378, 168316.11231227627

    def forward(x, w):
        s = 1 / (1 + np.exp(-x * w))
        return s, (x, w, s)

    def backward(dout, cache):
        x, w, s = cache
        dz = dout * s * (1 - s)
        return dz * w, dz * x

    check_layer(forward, backward, np.array([z / w]), np.array([w]))


@pytest.mark.parametrize(
    ("w", "a", "c", "z"),
    [(3.0, 7e8, 3e6, 1.6273756556210053), (2e8, 3088.4, 16680.0, -3.63), (0.75, 7e4, 6e5, -2.46)],
)
def test_no_false_alarm_where_a_part_bends_within_a_step(w, a, c, z):
    """The slope to the left is not that to the right, and yet there is no kink."""

    def forward(w):
        t = np.tanh(c * w + (z - c * w_0))
        return a * w + t, t

    w_0 = w
    check_layer(forward, lambda dout, t: dout * (a + c * (1 - t**2)), np.array([w]))


# -- where much cancels inside -------------------------------------------------------------------------------------


def normalization(axis, squares=False):
    """Batch norm (axis 0) and layer norm (axis 1); ``squares``: its variance is the mean of squares less a square."""

    def forward(x, gamma, beta):
        mean = x.mean(axis=axis, keepdims=True)
        variance = (
            (x * x).mean(axis=axis, keepdims=True) - mean * mean
            if squares
            else x.var(axis=axis, keepdims=True)
        )
        sigma = np.sqrt(variance + 1e-5)
        normal = (x - mean) / sigma
        return gamma * normal + beta, (normal, sigma, gamma)

    def backward(dout, cache):
        normal, sigma, gamma = cache
        g = dout * gamma
        means = [each.mean(axis=axis, keepdims=True) for each in (g, g * normal)]
        return (g - means[0] - normal * means[1]) / sigma, (dout * normal).sum(axis=0), dout.sum(axis=0)

    return forward, backward


def normalizations_inputs(mean, seed, dtype=np.float64):
    rng = np.random.default_rng(100 + seed)
    return [
        each.astype(dtype)
        for each in (mean + rng.normal(size=(20, 5)), rng.normal(size=5), rng.normal(size=5))
    ]


@pytest.mark.parametrize("mean", [0, 100, 300, 1e3, 1e4])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("axis", [0, 1], ids=["batch norm", "layer norm"])
def test_no_false_alarm_where_the_forward_cancels(mean, dtype, axis):
    for seed in range(3):
        check_layer(normalization(axis), *normalizations_inputs(mean, seed, dtype))


@pytest.mark.parametrize("mean", [1, 100, 1e3])
def test_nor_where_it_cancels_more_than_its_inputs_tell(mean):
    """E[x²] - E[x]² is off by (mean / std)² ulps, where x itself is told from its mean to mean / std."""
    check_layer(normalization(0, squares=True), *normalizations_inputs(mean, 0))


@pytest.mark.parametrize("mean", [0, 1e3, 1e4])
def test_an_error_of_3e_6_is_still_found_there(mean):
    forward, backward = normalization(0)

    def wrong(dout, cache):
        dx, dgamma, dbeta = backward(dout, cache)
        dx[3, 2] *= 1 + 3e-6
        return dx, dgamma, dbeta

    with pytest.raises(GradientMismatch, match=r"input 0 is wrong at index \(3, 2\)"):
        check_layer((forward, wrong), *normalizations_inputs(mean, 0))


def test_what_is_said_is_the_error_that_is_too_large():
    """The tape has the layer's own mistake; the complex step has not."""

    def forward(x):
        return x * (x.data if isinstance(x, mg.Tensor) else x), x

    with pytest.raises(GradientMismatch, match=r"relative error 0\.5 against complex step, where"):
        check_layer((forward, lambda dout, x: dout * x), np.array([1.0, 2.0]))


@pytest.mark.parametrize("tiny", [5e-324, 1e-310, 2e-308])
def test_denormal_entries(tiny):
    check_grads(np.tanh, np.array([tiny, -tiny]))
    check_grads(np.tanh, np.array([tiny, 1.0]))
    check_layer(mg.affine, np.full((2, 3), tiny), np.full((3, 2), tiny), np.zeros(2))
