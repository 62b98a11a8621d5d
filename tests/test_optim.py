import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg
from minigrad import optim
from minigrad.gradient_check import check_grads
from minigrad.optim import sgd

DTYPES = st.sampled_from([np.float32, np.float64])
RATES = st.floats(0, 10)
EVERY_RULE = pytest.mark.parametrize("rule", optim.update_rules.values(), ids=optim.update_rules)


@st.composite
def steps(draw):
    """A parameter and its gradient: one shape, one dtype, finite."""
    dtype = draw(DTYPES)
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    values = st.floats(-1e3, 1e3, width=32)
    return draw(hnp.arrays(dtype, shape, elements=values)), draw(hnp.arrays(dtype, shape, elements=values))


@settings(deadline=None)
@given(steps(), RATES)
def test_sgd_moves_against_the_gradient_by_the_learning_rate(step, rate):
    w, dw = step
    expected = w - np.asarray(rate, w.dtype) * dw
    new_w, _ = sgd(w, dw, {"learning_rate": rate})
    np.testing.assert_allclose(new_w, expected, rtol=1e-6, atol=1e-6)


@EVERY_RULE
@given(steps(), RATES)
def test_a_rule_updates_in_place_and_keeps_dtypes_and_gradient(rule, step, rate):
    w, dw = step
    dtype, gradient, config = w.dtype, dw.copy(), {"learning_rate": rate}
    for _ in range(2):
        new_w, new_config = rule(w, dw, config)
        assert new_w is w
        assert new_w.dtype == dtype
        assert new_config is config
        assert config.keys() == {*rule.settings, *rule.state}
        for name in set(rule.state) - {"t"}:
            assert (type(config[name]), config[name].dtype, config[name].shape) == (
                np.ndarray,
                dtype,
                w.shape,
            )
    np.testing.assert_array_equal(dw, gradient)


@EVERY_RULE
@given(steps())
def test_a_learning_rate_of_zero_changes_nothing(rule, step):
    w, dw = step
    before = w.copy()
    rule(w, dw, {"learning_rate": 0})
    np.testing.assert_array_equal(w, before)


@EVERY_RULE
def test_a_rule_finds_the_minimum_of_a_parabola(rule):
    w, config = np.array([3.0, -2.0]), {"learning_rate": 0.1}
    for _ in range(1000):
        w, config = rule(w, 2 * w, config)
    assert np.abs(w).max() < 0.11  # as rmsprop goes on with steps of the learning rate


@EVERY_RULE
@given(steps(), st.sampled_from([0.0, 1e-3, 0.5]))
def test_both_forms_of_a_rule_agree_and_the_pure_one_changes_nothing(rule, step, rate):
    w, dw = step
    params, grads = {"a": [w, 2 * w], "b": w}, {"a": [dw, 3 * dw], "b": -dw}
    kept = [x.copy() for x in (w, dw)]
    state, moved = rule.init(params), params
    for _ in range(3):
        moved, state = rule.update(grads, state, moved, learning_rate=rate)
    for x, before in zip((w, dw), kept, strict=True):
        np.testing.assert_array_equal(x, before)
    for parameter, slope, found in (
        (w, dw, moved["a"][0]),
        (np.asarray(2 * w), 3 * dw, moved["a"][1]),
        (w, -dw, moved["b"]),
    ):
        expected, config = parameter.copy(), {"learning_rate": rate}
        for _ in range(3):
            expected, config = rule(expected, slope, config)
        assert found.dtype == w.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(parameter).max(initial=1))


@EVERY_RULE
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_compiled_a_whole_step_is_what_it_is_as_written(rule, dtype):
    rng = np.random.default_rng(0)
    params = {"W": rng.standard_normal((4, 3)).astype(dtype), "b": np.zeros(3, dtype)}

    def step(params, state, X, rate):
        loss, grads = mg.value_and_grad(lambda p: np.mean(np.tanh(X @ p["W"] + p["b"]) ** 2))(params)
        params, state = rule.update(grads, state, params, learning_rate=rate)
        return loss, params, state

    compiled = mg.jit(step)
    written, fast = (params, rule.init(params)), (params, rule.init(params))
    for i in range(4):
        X, rate = rng.standard_normal((5, 4)).astype(dtype), np.float32(0.1 / (i + 1))
        _, *written = step(*written, X, rate)
        _, *fast = compiled(*fast, X, rate)
        for name in params:
            assert fast[0][name].dtype == dtype
            np.testing.assert_allclose(fast[0][name], written[0][name], rtol=1e-5, atol=1e-6)
    assert compiled.cache_info().misses == 1


@EVERY_RULE
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_courses_form_is_compiled_too(rule, dtype):
    def step(w, config, X):
        loss, dw = mg.value_and_grad(lambda w: np.mean(np.tanh(X @ w) ** 2))(w)
        rule(w, dw, config)
        return loss

    compiled, rng = mg.jit(step), np.random.default_rng(0)
    written = np.ones((4, 3), dtype), {"learning_rate": 0.1}
    fast = np.ones((4, 3), dtype), {"learning_rate": 0.1}
    for _ in range(5):
        X = rng.standard_normal((5, 4)).astype(dtype)
        step(*written, X), compiled(*fast, X)
        assert fast[0].dtype == dtype
        assert fast[1].keys() == written[1].keys()
        for one, other in zip([fast[0], *fast[1].values()], [written[0], *written[1].values()], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert compiled.cache_info().misses <= 2  # without the state, and with it
    rule(fast[0], fast[0].copy(), fast[1])  # which goes on as it is written


@pytest.mark.parametrize("rule", [optim.sgd_momentum, optim.rmsprop])
def test_so_it_is_of_parameters_outside(rule):
    w, config = np.ones(3), {"learning_rate": 0.1}
    expected = np.ones(3), {"learning_rate": 0.1}

    @mg.jit
    def step(dw):
        rule(w, dw * w, config)

    for i in range(4):
        step(np.full(3, i + 1.0))
        rule(expected[0], (i + 1.0) * expected[0], expected[1])
        np.testing.assert_allclose(w, expected[0], rtol=1e-12)
    assert step.cache_info().hits


def span(low, high):
    return np.linspace(low, high, num=20).reshape(4, 5)


@pytest.mark.parametrize(
    ("name", "config", "published"),
    [
        (
            "sgd_momentum",
            {"learning_rate": 1e-3, "velocity": span(0.6, 0.9)},
            {
                "w": [
                    [0.1406, 0.20738947, 0.27417895, 0.34096842, 0.40775789],
                    [0.47454737, 0.54133684, 0.60812632, 0.67491579, 0.74170526],
                    [0.80849474, 0.87528421, 0.94207368, 1.00886316, 1.07565263],
                    [1.14244211, 1.20923158, 1.27602105, 1.34281053, 1.4096],
                ],
                "velocity": [
                    [0.5406, 0.55475789, 0.56891579, 0.58307368, 0.59723158],
                    [0.61138947, 0.62554737, 0.63970526, 0.65386316, 0.66802105],
                    [0.68217895, 0.69633684, 0.71049474, 0.72465263, 0.73881053],
                    [0.75296842, 0.76712632, 0.78128421, 0.79544211, 0.8096],
                ],
            },
        ),
        (
            "rmsprop",
            {"learning_rate": 1e-2, "cache": span(0.6, 0.9)},
            {
                "w": [
                    [-0.39223849, -0.34037513, -0.28849239, -0.23659121, -0.18467247],
                    [-0.132737, -0.08078555, -0.02881884, 0.02316247, 0.07515774],
                    [0.12716641, 0.17918792, 0.23122175, 0.28326742, 0.33532447],
                    [0.38739248, 0.43947102, 0.49155973, 0.54365823, 0.59576619],
                ],
                "cache": [
                    [0.5976, 0.6126277, 0.6277108, 0.64284931, 0.65804321],
                    [0.67329252, 0.68859723, 0.70395734, 0.71937285, 0.73484377],
                    [0.75037008, 0.7659518, 0.78158892, 0.79728144, 0.81302936],
                    [0.82883269, 0.84469141, 0.86060554, 0.87657507, 0.8926],
                ],
            },
        ),
        (
            "adam",
            {"learning_rate": 1e-2, "m": span(0.6, 0.9), "v": span(0.7, 0.5), "t": 5},
            {
                "w": [
                    [-0.40094747, -0.34836187, -0.29577703, -0.24319299, -0.19060977],
                    [-0.1380274, -0.08544591, -0.03286534, 0.01971428, 0.0722929],
                    [0.1248705, 0.17744702, 0.23002243, 0.28259667, 0.33516969],
                    [0.38774145, 0.44031188, 0.49288093, 0.54544852, 0.59801459],
                ],
                "v": [
                    [0.69966, 0.68908382, 0.67851319, 0.66794809, 0.65738853],
                    [0.64683452, 0.63628604, 0.6257431, 0.61520571, 0.60467385],
                    [0.59414753, 0.58362676, 0.57311152, 0.56260183, 0.55209767],
                    [0.54159906, 0.53110598, 0.52061845, 0.51013645, 0.49966],
                ],
                "m": [
                    [0.48, 0.49947368, 0.51894737, 0.53842105, 0.55789474],
                    [0.57736842, 0.59684211, 0.61631579, 0.63578947, 0.65526316],
                    [0.67473684, 0.69421053, 0.71368421, 0.73315789, 0.75263158],
                    [0.77210526, 0.79157895, 0.81105263, 0.83052632, 0.85],
                ],
            },
        ),
    ],
)
def test_rules_of_the_notebook(name, config, published):
    w, new = optim.update_rules[name](span(-0.4, 0.6), span(-0.6, 0.4), config)
    for each, expected in published.items():
        np.testing.assert_allclose(w if each == "w" else new[each], expected, rtol=0, atol=5.1e-9)
    if name == "adam":
        assert new["t"] == 6


def test_nesterov_adagrad_and_adamw_by_hand():
    config = {"learning_rate": 0.1, "velocity": np.ones(1)}
    w, config = optim.nesterov_momentum(np.array([1.0]), np.array([2.0]), config)
    assert config["velocity"] == pytest.approx([0.9 - 0.2])
    assert w == pytest.approx([1 - 0.9 * 1 + 1.9 * 0.7])  # -momentum v + (1 + momentum) v', as in the notes
    w, config = optim.adagrad(
        np.array([1.0]), np.array([2.0]), {"learning_rate": 0.1, "cache": np.full(1, 5.0)}
    )
    assert config["cache"] == pytest.approx([9.0])
    assert w == pytest.approx([1 - 0.1 * 2 / 3])
    w, _ = optim.adamw(np.array([1.0]), np.array([2.0]), {"learning_rate": 0.1, "weight_decay": 0.5})
    assert w == pytest.approx([1 - 0.1 - 0.1 * 0.5])


@given(steps(), st.floats(1e-3, 10))
def test_a_global_norm_is_clipped_and_the_direction_kept(step, limit):
    w, dw = step
    grads = {"a": [w], "b": dw}
    norm = math.sqrt(np.sum(w.astype(float) ** 2) + np.sum(dw.astype(float) ** 2))
    clipped, found = optim.clip_global_norm(grads, limit)
    assert found == pytest.approx(norm)
    scale = min(1, limit / norm) if norm else 1
    for got, want in ((clipped["a"][0], w), (clipped["b"], dw)):
        assert got.dtype == w.dtype
        np.testing.assert_allclose(got, want * w.dtype.type(scale), rtol=1e-5, atol=1e-30)


def test_a_norm_beyond_float32_is_clipped_too():
    clipped, _ = optim.clip_global_norm([np.array([3e30, 4e30], np.float32)], 1.0)
    np.testing.assert_allclose(clipped[0], [0.6, 0.8], rtol=1e-6)
    with pytest.raises(ValueError, match="max_norm is 0; expected a number above 0"):
        optim.clip_global_norm([np.ones(2)], 0)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("adam", {"beta1": 1.0}, r"beta1 must be in \[0, 1\), got 1.0"),
        ("adam", {"t": -1}, "t is -1; expected the number of steps made"),
        ("adam", {"m": np.ones(2)}, r"m has shape \(2,\), the parameter w has \(3,\)"),
        ("rmsprop", {"epsilon": -1}, "epsilon must be in .0, inf., got -1"),
        (
            "sgd_momentum",
            {"momentun": 0.9},
            "config has the unknown key 'momentun'; .*'momentum', 'velocity'; did you mean",
        ),
    ],
)
def test_a_config_that_does_not_fit_is_refused_before_anything_is_changed(name, config, message):
    w, before = np.ones(3), dict(config)
    with pytest.raises(ValueError, match=message):
        optim.update_rules[name](w, np.ones(3), config)
    np.testing.assert_array_equal(w, np.ones(3))
    assert config.keys() == before.keys()


def test_the_pure_form_refuses_what_does_not_fit():
    params = {"W": np.ones((2, 3))}
    state = optim.adam.init(params)
    with pytest.raises(
        ValueError, match=r"adam: the gradient dw has shape \(3,\), the parameter w has \(2, 3\)"
    ):
        optim.adam.update({"W": np.ones(3)}, state, params)
    with pytest.raises(ValueError, match="adam: grads is a list; expected a dict"):
        optim.adam.update([np.ones(3), np.ones(3)], state, params)
    with pytest.raises(ValueError, match=r"adam: grads has the keys \['W', 'b'\]; expected \['W'\]"):
        optim.adam.update({"W": params["W"], "b": np.ones(3)}, state, params)
    with pytest.raises(ValueError, match=r"adam: the state m has the keys \['b'\]; expected \['W'\]"):
        optim.adam.update(params, state | {"m": {"b": np.ones((2, 3))}}, params)
    with pytest.raises(ValueError, match="adam: \\*\\*settings has the unknown key 'lr'"):
        optim.adam.update(params, state, params, lr=0.1)
    with pytest.raises(ValueError, match="learning_rate must be in"):
        optim.adam.update(params, state, params, learning_rate=math.nan)


ONE = np.ones(1)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (
            lambda: optim.sgd.update(ONE, {}, np.ones(1, int)),
            "the parameter w is an array of int64; expected",
        ),
        (lambda: optim.sgd.update([None], {}, [ONE]), "the gradient dw is None; expected an array of floats"),
        (lambda: optim.sgd.update(ONE, {}, 1.0), "the parameter w is 1.0; expected an array of floats"),
        (
            lambda: optim.sgd.update(1j * ONE, {}, ONE),
            "complex128, the parameter w has float64; take its real",
        ),
        (lambda: optim.sgd_momentum.update(ONE, {"velocity": np.ones(2)}, ONE), r"velocity has shape \(2,\)"),
        (lambda: optim.sgd.update(ONE, {}, ONE, learning_rate=np.ones(2)), r"array of shape \(2,\)"),
        (lambda: optim.sgd.update(ONE, {}, ONE, learning_rate=np.float32(-1)), "must be in .0, inf."),
        (lambda: optim.sgd_momentum.update(ONE, {"velocity": ONE}, ONE, momentum=np.array(1.0)), r"\[0, 1\)"),
        (lambda: optim.adam.update(ONE, {"m": ONE, "v": ONE, "t": -1}, ONE), "t is -1; expected the number"),
        (
            lambda: optim.adam.update(ONE, {"m": ONE, "v": ONE, "t": 1.0}, ONE),
            "t is 1.0; expected the number",
        ),
        (lambda: optim.clip_global_norm([np.array([3, 4])], 1.0), "grads hold an array of int64; expected"),
    ],
)
def test_the_pure_form_refuses_what_would_give_wrong_numbers(update, message):
    with pytest.raises((TypeError, ValueError), match=message):
        update()


def test_the_number_of_steps_does_not_overflow():
    moments = {"m": ONE, "v": ONE}
    _, state = optim.adam.update(ONE, {**moments, "t": np.int8(127)}, ONE)
    assert state["t"] == 128


@pytest.mark.parametrize("name", ["adam", "adamw", "rmsprop", "adagrad"])
def test_a_zero_gradient_in_float16_leaves_the_parameter(name):
    rule, w, dw = optim.update_rules[name], np.ones(2, np.float16), np.array([0.0, 1.0], np.float16)
    options = {"weight_decay": 0.0} if name == "adamw" else {}
    moved, _ = rule.update(dw, rule.init(w), w, **options)
    assert moved[0] == 1
    assert moved[1] < 1
    np.testing.assert_array_equal(rule(w.copy(), dw, dict(options))[0], moved)


def test_an_infinite_norm_measures_alone():
    (g,), norm = optim.clip_global_norm([np.array([3.0, 4.0])], np.inf)
    np.testing.assert_array_equal(g, [3, 4])
    assert norm == 5


@pytest.mark.parametrize("name", optim.update_rules)
def test_parameters_gradients_and_state_are_matched_by_their_keys(name):
    rule = optim.update_rules[name]
    params, grads = {"a": np.ones(2), "b": [np.full(2, 2.0)]}, {"a": np.ones(2), "b": [np.full(2, 5.0)]}
    want = rule.update(grads, rule.update(grads, rule.init(params), params)[1], params)
    turned = dict(reversed(grads.items()))
    state = rule.update(turned, rule.init(params), params)[1]
    state = {key: dict(reversed(x.items())) if isinstance(x, dict) else x for key, x in state.items()}
    got = rule.update(turned, state, params)
    np.testing.assert_array_equal(got[0]["a"], want[0]["a"])
    np.testing.assert_array_equal(got[0]["b"], want[0]["b"])


@settings(deadline=None)
@given(steps(), RATES)
def test_sgd_undoes_itself_with_the_opposite_gradient(step, rate):
    w, dw = (array.astype(np.float64) for array in step)
    before = w.copy()
    sgd(w, dw, {"learning_rate": rate})
    sgd(w, -dw, {"learning_rate": rate})
    np.testing.assert_allclose(w, before, rtol=1e-9, atol=1e-9)


def test_sgd_by_hand():
    w, config = sgd(np.array([1.0, -2.0]), np.array([10.0, 20.0]), {"learning_rate": 0.1})
    np.testing.assert_allclose(w, [0.0, -4.0])
    assert config == {"learning_rate": 0.1}


def test_sgd_default_learning_rate_is_one_hundredth():
    w, config = sgd(np.array([1.0]), np.array([1.0]))
    assert w == pytest.approx([0.99])
    assert config == {"learning_rate": 1e-2}


def test_sgd_fills_in_and_returns_the_config_it_was_given():
    given_config = {}
    _, config = sgd(np.zeros(2), np.ones(2), given_config)
    assert config is given_config
    assert config == {"learning_rate": 1e-2}


@pytest.mark.parametrize("rate", [np.float64(0.5), np.float32(0.5), 1, np.int64(1)])
def test_sgd_keeps_float32_under_any_kind_of_learning_rate(rate):
    w, _ = sgd(np.ones(3, np.float32), np.ones(3, np.float32), {"learning_rate": rate})
    assert w.dtype == np.float32
    np.testing.assert_array_equal(w, np.ones(3) - float(rate))


def test_sgd_updates_a_view_within_its_base():
    base = np.zeros((3, 4))
    sgd(base[:, ::2], np.ones((3, 2)), {"learning_rate": 1.0})
    np.testing.assert_array_equal(base, [[-1, 0, -1, 0]] * 3)


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("w", "dw", "error", "message"),
    [
        (np.ones((2, 3)), np.ones(3), ValueError, r"shape \(3,\).*\(2, 3\)"),
        (np.ones((2, 3)), np.ones((3, 2)), ValueError, "they must agree"),
        (np.ones(3, np.float32), np.ones(3, complex), TypeError, "complex128.*float32; take its real part"),
        (np.ones(3, int), np.ones(3, int), TypeError, "array of int64; expected an array of floats"),
        (read_only(np.ones(3)), np.ones(3), ValueError, "read-only"),
        ([1.0], np.ones(1), TypeError, "w is a list; expected a NumPy array"),
        (np.ones(1), [1.0], TypeError, "dw is a list; expected a NumPy array"),
        (np.float64(1), np.float64(1), TypeError, "w is a float64; expected a NumPy array"),
    ],
)
def test_sgd_refuses_unfit_arrays(w, dw, error, message):
    before, config = np.copy(w), {}
    with pytest.raises(error, match=message):
        sgd(w, dw, config)
    np.testing.assert_array_equal(w, before)
    assert config == {}


@EVERY_RULE
@pytest.mark.parametrize(("kept", "given"), [(np.float32, np.float64), (np.float64, np.float32)])
def test_a_gradient_of_another_dtype_is_converted_to_the_parameters(rule, kept, given):
    rng = np.random.default_rng(0)
    w, dw = rng.standard_normal((2, 3)).astype(kept), rng.standard_normal((2, 3)).astype(given)
    expected, _ = rule(w.copy(), dw.astype(kept), {"learning_rate": 0.1})
    found, config = rule(w, dw, {"learning_rate": 0.1})
    assert found is w and w.dtype == kept
    assert {config[name].dtype for name in rule.state if name != "t"} <= {np.dtype(kept)}
    np.testing.assert_array_equal(w, expected)


@pytest.mark.parametrize(
    ("rate", "error"),
    [
        (-1e-9, ValueError),
        (math.inf, ValueError),
        (math.nan, ValueError),
        ("0.1", TypeError),
        (None, TypeError),
    ],
)
def test_sgd_refuses_a_bad_learning_rate(rate, error):
    w = np.ones(3)
    with pytest.raises(error, match="learning_rate"):
        sgd(w, np.ones(3), {"learning_rate": rate})
    np.testing.assert_array_equal(w, np.ones(3))


def test_sgd_refuses_a_misspelt_setting():
    w, config = np.ones(3), {"lr": 0.5}
    with pytest.raises(ValueError, match=r"'lr'.*'learning_rate'"):
        sgd(w, np.ones(3), config)
    np.testing.assert_array_equal(w, np.ones(3))
    assert config == {"lr": 0.5}


@EVERY_RULE
def test_the_pure_form_refuses_leaves(rule):
    w, t = {"w": np.ones(3)}, {"w": mg.tensor(np.ones(3), requires_grad=True)}
    state = rule.init(w)
    calls = {
        "a parameter": [lambda: rule.init(t), lambda: rule.update(w, state, t)],
        "a gradient": [lambda: rule.update(t, state, w)],
    }
    if rule.state:
        name = rule.state[0]
        calls[f"the state {name}"] = [lambda: rule.update(w, state | {name: t}, w)]
    for kind, each in calls.items():
        for call in each:
            with pytest.raises(TypeError, match=rf"^{rule.__name__}: {kind} is a leaf of the tape, .*\.data"):
                call()
    with pytest.raises(TypeError, match=r"or the parameter's \.grad"):
        rule.update(t, state, w)


@EVERY_RULE
def test_a_few_steps_may_be_differentiated(rule):
    x = np.array([1.0, 2.0, 3.0])

    def loss(params):
        return np.mean((params["w"] * x - 1) ** 2)

    def after(rate, w):
        params, state = {"w": w}, rule.init({"w": w})
        for _ in range(3):
            params, state = rule.update(mg.grad(loss)(params), state, params, learning_rate=rate)
        return loss(params)

    check_grads(after, np.array(0.02), np.array([0.5, 0.2, 0.3]))


def test_rules_are_found_by_name():
    assert optim.find_rule("sgd") is sgd


def test_a_function_is_its_own_rule():
    def rule(w, dw, config=None):
        return w, config

    assert optim.find_rule(rule) is rule


def test_an_unknown_rule_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'sdg'; known: .*sgd"):
        optim.find_rule("sdg")
    with pytest.raises(TypeError, match="name or a function"):
        optim.find_rule(3)


def test_a_config_that_is_no_dict_is_told():
    with pytest.raises(TypeError, match=r"config is 0\.1; expected a dict"):
        optim.sgd(np.zeros(2), np.zeros(2), 0.1)


@pytest.mark.parametrize("rule", optim.update_rules.values(), ids=lambda rule: rule.__name__)
def test_every_refusal_names_its_rule(rule):
    w, state = np.ones(2), rule.state[0] if rule.state else None
    calls = [
        ([1.0], w, {}),
        (w, None, {}),
        (w, np.ones(3), {}),
        (w, np.ones(2, "f4"), {}),
        (w > 0, w > 0, {}),
    ]
    calls += [(w, w, {"learning_rate": bad}) for bad in (-1, "a", math.nan, np.ones(2), True)]
    calls += [(w, w, {"lr": 1}), (w, w, 0.1), (read_only(w), w, {})]
    calls += [(w, w, {state: np.ones(3)})] if state else []
    calls += [(w, w, {"t": -1})] if "t" in rule.state else []
    for args in calls:
        with pytest.raises((TypeError, ValueError), match=rf"^{rule.__name__}: "):
            rule(*args)
    np.testing.assert_array_equal(w, np.ones(2))


@EVERY_RULE
def test_a_parameter_of_no_axes_stays_an_array(rule):
    w = np.array(1.0)
    new, state = rule.update(np.array(0.5), rule.init(w), w, learning_rate=np.array(0.1))
    assert type(new) is np.ndarray and new.shape == ()
    assert rule.update(np.array(0.5), state, new)[0] != new


@EVERY_RULE
@pytest.mark.parametrize("state", [None, {"speed": np.zeros(10_000)}, [np.zeros(10_000)]])
def test_a_state_of_another_rule_is_told_by_its_keys(rule, state):
    if not rule.state:
        state = None
    given = r"a dict of \['speed'\]" if isinstance(state, dict) else type(state).__name__
    with pytest.raises(
        TypeError, match=rf"{rule.__name__}: state is {given}; expected what .*\.init returns"
    ) as told:
        rule.update(np.ones(2), state, np.ones(2))
    assert len(str(told.value)) < 200
