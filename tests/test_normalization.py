"""Batch, layer and group normalization: the numbers of the course's notebook, running statistics, bad input."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import eval_numerical_gradient_array, rel_error
from minigrad.layers import (
    batchnorm_backward,
    batchnorm_backward_alt,
    batchnorm_forward,
    groupnorm_backward,
    groupnorm_forward,
    layernorm_backward,
    layernorm_forward,
    spatial_batchnorm_backward,
    spatial_batchnorm_forward,
    spatial_groupnorm_backward,
    spatial_groupnorm_forward,
)


def hidden(n=200, d1=50, d2=60, d3=3):
    """The scores of a random two-layer net on random data."""
    np.random.seed(231)
    X, W1, W2 = np.random.randn(n, d1), np.random.randn(d1, d2), np.random.randn(d2, d3)
    return np.maximum(0, X.dot(W1)).dot(W2)


def assert_statistics(a, axis, means, stds):
    np.testing.assert_allclose(a.mean(axis=axis), means, atol=5e-9)
    np.testing.assert_allclose(a.std(axis=axis), stds, atol=5e-9)


def test_batchnorm_of_the_notebook_in_training():
    a = hidden()
    assert_statistics(a, 0, [-2.3814598, -13.18038246, 1.91780462], [27.18502186, 34.21455511, 37.68611762])
    normalized, _ = batchnorm_forward(a, np.ones(3), np.zeros(3), {"mode": "train"})
    assert_statistics(normalized, 0, 0, [0.99999999, 1.0, 1.0])
    gamma, beta = np.array([1.0, 2.0, 3.0]), np.array([11.0, 12.0, 13.0])
    moved, _ = batchnorm_forward(a, gamma, beta, {"mode": "train"})
    assert_statistics(moved, 0, [11, 12, 13], [0.99999999, 1.99999999, 2.99999999])


def test_batchnorm_of_the_notebook_with_running_statistics():
    np.random.seed(231)
    W1, W2 = np.random.randn(50, 60), np.random.randn(60, 3)
    param = {"mode": "train"}

    def forward():
        a = np.maximum(0, np.random.randn(200, 50).dot(W1)).dot(W2)
        return batchnorm_forward(a, np.ones(3), np.zeros(3), param)[0]

    for _ in range(50):
        forward()
    param["mode"] = "test"
    means, stds = [-0.03927354, -0.04349152, -0.10452688], [1.01531428, 1.01238373, 0.97819988]
    assert_statistics(forward(), 0, means, stds)


def gradients_of_the_notebook(forward, backward, x, shape, *options, tolerance=1e-7):
    gamma, beta, dout = np.random.randn(*shape), np.random.randn(*shape), np.random.randn(*x.shape)
    _, cache = forward(x, gamma, beta, *options)
    numeric = (
        eval_numerical_gradient_array(lambda x: forward(x, gamma, beta, *options)[0], x, dout),
        eval_numerical_gradient_array(lambda gamma: forward(x, gamma, beta, *options)[0], gamma, dout),
        eval_numerical_gradient_array(lambda beta: forward(x, gamma, beta, *options)[0], beta, dout),
    )
    errors = [rel_error(a, b) for a, b in zip(numeric, backward(dout, cache), strict=True)]
    assert errors[0] < tolerance
    assert max(errors[1:]) < 1e-10


@pytest.mark.parametrize("backward", [batchnorm_backward, batchnorm_backward_alt])
def test_batchnorm_gradients_of_the_notebook(backward):
    np.random.seed(231)
    x = 5 * np.random.randn(4, 5) + 12
    gradients_of_the_notebook(batchnorm_forward, backward, x, (5,), {"mode": "train"}, tolerance=1e-8)


@pytest.mark.parametrize("mode", ["train", "test"])
def test_batchnorms_two_backwards_agree(mode):
    np.random.seed(231)
    x = 5 * np.random.randn(100, 500) + 120
    gamma, beta, dout = np.random.randn(500), np.random.randn(500), np.random.randn(100, 500)
    param = {"mode": "train"}
    batchnorm_forward(x, gamma, beta, param)
    _, cache = batchnorm_forward(x, gamma, beta, param | {"mode": mode})
    for stepwise, simplified in zip(
        batchnorm_backward(dout, cache), batchnorm_backward_alt(dout, cache), strict=True
    ):
        assert rel_error(stepwise, simplified) < 1e-9


def test_layernorm_of_the_notebook():
    a = hidden(n=4)
    assert_statistics(
        a,
        1,
        [-59.06673243, -47.60782686, -43.31137368, -26.40991744],
        [10.07429373, 28.39478981, 35.28360729, 4.01831507],
    )
    normalized, _ = layernorm_forward(a, np.ones(3), np.zeros(3), {})
    assert_statistics(normalized, 1, 0, [0.99999995, 0.99999999, 1.0, 0.99999969])
    moved, _ = layernorm_forward(a, np.full(3, 3.0), np.full(3, 5.0), {})
    assert_statistics(moved, 1, 5, [2.99999985, 2.99999998, 2.99999999, 2.99999907])
    np.random.seed(231)
    x = 5 * np.random.randn(4, 5) + 12
    gradients_of_the_notebook(layernorm_forward, layernorm_backward, x, (5,), {}, tolerance=1e-8)


def test_spatial_batchnorm_of_the_notebook_in_training():
    np.random.seed(231)
    x = 4 * np.random.randn(2, 3, 4, 5) + 10
    axes = (0, 2, 3)
    assert_statistics(x, axes, [9.33463814, 8.90909116, 9.11056338], [3.61447857, 3.19347686, 3.5168142])
    normalized, _ = spatial_batchnorm_forward(x, np.ones(3), np.zeros(3), {"mode": "train"})
    assert_statistics(normalized, axes, 0, [0.99999962, 0.99999951, 0.9999996])
    gamma, beta = np.array([3, 4, 5]), np.array([6, 7, 8])  # integers, as there
    moved, _ = spatial_batchnorm_forward(x, gamma, beta, {"mode": "train"})
    assert_statistics(moved, axes, [6, 7, 8], [2.99999885, 3.99999804, 4.99999798])
    np.random.seed(231)
    x = 5 * np.random.randn(2, 3, 4, 5) + 12
    gradients_of_the_notebook(
        spatial_batchnorm_forward, spatial_batchnorm_backward, x, (3,), {"mode": "train"}, tolerance=1e-6
    )


def test_spatial_batchnorm_of_the_notebook_with_running_statistics():
    np.random.seed(231)
    param = {"mode": "train"}

    def forward():
        x = 2.3 * np.random.randn(10, 4, 11, 12) + 13
        return spatial_batchnorm_forward(x, np.ones(4), np.zeros(4), param)[0]

    for _ in range(50):
        forward()
    param["mode"] = "test"
    means = [-0.08034406, 0.07562881, 0.05716371, 0.04378383]
    assert_statistics(forward(), (0, 2, 3), means, [0.96718744, 1.0299714, 1.02887624, 1.00585577])


def test_spatial_groupnorm_of_the_notebook():
    np.random.seed(231)
    x = 4 * np.random.randn(2, 6, 4, 5) + 10
    assert_statistics(
        x.reshape(4, -1),
        1,
        [9.72505327, 8.51114185, 8.9147544, 9.43448077],
        [3.67070958, 3.09892597, 4.27043622, 3.97521327],
    )
    out, _ = spatial_groupnorm_forward(x, np.ones((1, 6, 1, 1)), np.zeros((1, 6, 1, 1)), 2, {})
    assert_statistics(out.reshape(4, -1), 1, 0, [0.99999963, 0.99999948, 0.99999973, 0.99999968])
    np.random.seed(231)
    x = 5 * np.random.randn(2, 6, 4, 5) + 12
    gradients_of_the_notebook(
        spatial_groupnorm_forward, spatial_groupnorm_backward, x, (1, 6, 1, 1), 2, {}, tolerance=1e-6
    )


# -- running statistics --------------------------------------------------------------------------------------


def running(dtype=np.float64):
    return {"mode": "train", "running_mean": np.zeros(3, dtype), "running_var": np.ones(3, dtype)}


def test_running_statistics_are_updated_in_place_and_once_a_call():
    x = np.random.default_rng(0).standard_normal((6, 3))
    param = running() | {"momentum": 0.75}
    mean, var = param["running_mean"], param["running_var"]
    t = mg.tensor(x, requires_grad=True)
    mg.batchnorm(t, np.ones(3), np.zeros(3), param).sum().backward()
    assert param["running_mean"] is mean
    np.testing.assert_allclose(mean, 0.25 * x.mean(axis=0))
    np.testing.assert_allclose(var, 0.75 + 0.25 * x.var(axis=0))


def test_a_second_derivative_does_not_count_the_batch_again():
    x = np.random.default_rng(0).standard_normal((6, 3))
    param = running()

    def total(x, gamma):
        return np.sum(mg.batchnorm(x, gamma, np.zeros(3), param) ** 3)

    def slope(gamma):
        return np.sum(mg.grad(total, 1)(x, gamma) ** 2)

    mg.grad(slope)(np.ones(3))
    np.testing.assert_allclose(param["running_mean"], 0.1 * x.mean(axis=0))


def test_compiled_the_running_statistics_are_those_as_written():
    rng = np.random.default_rng(0)

    def objective(gamma, x, param):
        return np.sum(mg.batchnorm(x, gamma, np.zeros(3), param) ** 2)

    step, written, compiled = mg.jit(mg.value_and_grad(objective)), running(), running()
    for _ in range(4):
        x = rng.standard_normal((6, 3))
        expected = mg.value_and_grad(objective)(np.ones(3), x, written)
        found = step(np.ones(3), x, compiled)
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-12)
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(compiled[name], written[name], rtol=1e-12)
    assert step.cache_info().misses == 1


def test_float32_data_with_float64_statistics_stays_float32():
    param = running() | {"mode": "test"}
    out, cache = batchnorm_forward(
        np.ones((2, 3), np.float32), np.ones(3, np.float32), np.ones(3, np.float32), param
    )
    assert out.dtype == np.float32
    assert batchnorm_backward(out, cache)[0].dtype == np.float32


# -- bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.ones((1, 3))}, r"a batch of 1 in training mode, whose variance is 0"),
        ({"x": np.ones((0, 3))}, r"a batch of 0 in training mode"),
        ({"x": np.ones(3)}, r"x has shape \(3,\); expected two axes or more"),
        ({"gamma": np.ones(2)}, r"gamma has shape \(2,\); expected \(3,\) for x of shape \(4, 3\)"),
        ({"beta": np.ones((1, 3))}, r"beta has shape \(1, 3\); expected \(3,\)"),
        ({"bn_param": {}}, "mode is None; expected bn_param\\['mode'\\] to be 'train' or 'test'"),
        ({"bn_param": {"mode": "test"}}, "no 'running_mean' to test with; train first"),
        (
            {"bn_param": {"mode": "train", "running_mean": np.zeros(2)}},
            r"running_mean is float64 of shape \(2,\); expected floats of shape \(3,\)",
        ),
        (
            {"bn_param": {"mode": "train", "running_mean": np.zeros(3, int)}},
            r"running_mean is int64 of shape \(3,\)",
        ),
    ],
)
def test_batchnorm_refuses_what_does_not_fit_and_changes_nothing(changes, message):
    given = {"x": np.ones((4, 3)), "gamma": np.ones(3), "beta": np.ones(3), "bn_param": {"mode": "train"}}
    given |= changes
    keys = set(given["bn_param"])
    with pytest.raises(ValueError, match=message):
        batchnorm_forward(**given)
    assert set(given["bn_param"]) == keys


def test_the_others_refuse_what_does_not_fit():
    x = np.ones((2, 6, 4, 5))
    with pytest.raises(ValueError, match=r"layernorm: gamma has shape \(6,\); expected \(5,\)"):
        layernorm_forward(x, np.ones(6), np.ones(5), {})
    with pytest.raises(ValueError, match="groupnorm: G is 4; expected a number of groups that divides the 6"):
        groupnorm_forward(x, np.ones(6), np.ones(6), 4, {})
    with pytest.raises(
        ValueError, match=r"spatial_groupnorm: beta has shape \(6,\); expected \(1, 6, 1, 1\)"
    ):
        spatial_groupnorm_forward(x, np.ones((1, 6, 1, 1)), np.ones(6), 2, {})
    with pytest.raises(ValueError, match=r"spatial_batchnorm: x has shape \(4, 3\); expected \(N, C, H, W\)"):
        spatial_batchnorm_forward(np.ones((4, 3)), np.ones(3), np.ones(3), {"mode": "train"})


def training(count):
    return {"mode": "train", "running_mean": np.zeros(count), "running_var": np.zeros(count)}


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize(
    ("forward", "backward", "shape", "options"),
    [
        (batchnorm_forward, batchnorm_backward, (70_000, 2), lambda: [training(2)]),
        (batchnorm_forward, batchnorm_backward_alt, (70_000, 2), lambda: [training(2)]),
        (spatial_batchnorm_forward, spatial_batchnorm_backward, (2, 2, 200, 200), lambda: [training(2)]),
        (layernorm_forward, layernorm_backward, (2, 70_000), lambda: [{}]),
        (groupnorm_forward, groupnorm_backward, (1, 2, 70_000), lambda: [1, {}]),
        (batchnorm_forward, batchnorm_backward_alt, (4, 3), lambda: [training(3)]),
    ],
)
def test_float16_counts_and_squares_beyond_its_range(forward, backward, shape, options, compiled):
    """More entries than float16 has numbers, and entries whose squares it has not."""

    def both(x, gamma, beta, dout, *options):
        out, cache = forward(x, gamma, beta, *options)
        return out, *backward(dout, cache)

    count = shape[-1] if forward is layernorm_forward else shape[1]
    x = (np.arange(np.prod(shape)) % 7 * 300.0).reshape(shape)
    arrays = x, np.full(count, 0.5), np.full(count, 0.25), 1 + np.arange(x.size).reshape(shape) % 3
    with np.errstate(over="ignore"):  # of dbeta, which is out of range where dx is not
        got = (mg.jit(both) if compiled else both)(*[each.astype(np.float16) for each in arrays], *options())
    expected = both(*[each.astype(float) for each in arrays], *options())
    for each, exact, atol in zip(
        got, expected, (1e-3, 1e-5, 5e-2, 5e-2), strict=True
    ):  # large sums, of dgamma
        assert each.dtype == np.float16
        with np.errstate(over="ignore"):
            np.testing.assert_allclose(each.astype(float), exact.astype(np.float16), rtol=5e-3, atol=atol)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_the_penalty_of_float16(compiled):
    w = np.full((300, 300), 2.0, np.float16)
    f = mg.value_and_grad(lambda loss, w: mg.l2_regularized(loss, w, reg=1e-6), (0, 1))
    loss, (dloss, dw) = (mg.jit(f) if compiled else f)(np.float16(1), w)
    assert loss.dtype == dloss.dtype == dw.dtype == np.float16
    np.testing.assert_allclose([loss, dloss, dw[0, 0]], [1.18, 1.0, 2e-6], rtol=2e-2)


def test_groups_are_given_by_position_as_in_the_course():
    x, ones = np.random.default_rng(0).standard_normal((2, 4, 3, 3)), np.ones(4)
    by_position = mg.value_and_grad(lambda x: np.sum(mg.groupnorm(x, ones, ones, 2, {}) ** 3))(x)
    by_name = mg.value_and_grad(lambda x: np.sum(mg.groupnorm(x, ones, ones, G=2, gn_param={}) ** 3))(x)
    assert by_position[0] == by_name[0]
    np.testing.assert_array_equal(by_position[1], by_name[1])
    np.testing.assert_array_equal(
        mg.groupnorm(x, ones, ones, 2, {}), groupnorm_forward(x, ones, ones, 2, {})[0]
    )


def test_a_state_given_by_keyword_is_the_callers():
    x, state = np.random.default_rng(0).standard_normal((5, 3)), {"mode": "train"}
    mg.grad(lambda x: np.sum(mg.batchnorm(x, np.ones(3), np.zeros(3), bn_param=state) ** 2))(x)
    np.testing.assert_allclose(state["running_mean"], 0.1 * x.mean(axis=0))
