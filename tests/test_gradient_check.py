import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg
from minigrad.gradient_check import (
    GradientMismatch,
    check_grads,
    check_layer,
    eval_numerical_gradient,
    eval_numerical_gradient_array,
    rel_error,
)
from minigrad.layers import affine_backward, affine_forward, relu_forward, softmax_loss

FLOATS = st.floats(-1e3, 1e3)


def affine_inputs():
    rng = np.random.default_rng(0)
    return rng.standard_normal((4, 2, 3)), rng.standard_normal((6, 5)), rng.standard_normal(5)


@given(
    hnp.arrays(np.float64, hnp.array_shapes(min_dims=0, min_side=0, max_dims=2, max_side=3), elements=FLOATS)
)
def test_numerical_gradient_of_a_quadratic(x):
    kept = x.copy()
    gradient = eval_numerical_gradient(lambda x: (x * x).sum(), x, verbose=False)
    np.testing.assert_allclose(gradient, 2 * kept, rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(x, kept)
    df = np.cos(np.arange(x.size)).reshape(x.shape)
    gradient = eval_numerical_gradient_array(lambda x: 3 * x, x, df)
    np.testing.assert_allclose(gradient, 3 * df, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(x, kept)


def test_verbose_prints_each_entry(capsys):
    eval_numerical_gradient(lambda x: 2 * x.sum(), np.zeros((1, 2)))
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["(0,", "0)"],
        ["(0,", "1)"],
    ]


@pytest.mark.parametrize(
    "evaluate", [eval_numerical_gradient, lambda f, x: eval_numerical_gradient_array(f, x, 1.0)]
)
def test_x_is_restored_exactly_when_f_raises(evaluate):
    x = np.array([0.1, 0.7])
    kept = x.copy()

    def f(x):
        if x[1] != kept[1]:
            raise KeyError("no")
        return x.sum()

    try:
        evaluate(f, x)
    except KeyError:
        np.testing.assert_array_equal(x, kept)
    else:
        pytest.fail("f did not raise")
    np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("x", [np.array([1, 2]), [1.0, 2.0], np.broadcast_to(1.0, 3)])
def test_what_cannot_be_nudged_is_refused(x):
    with pytest.raises(TypeError, match="expected a writable array of floats"):
        eval_numerical_gradient(lambda x: 0.0, x)


def test_rel_error():
    assert rel_error(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0
    assert rel_error(np.array([1.0, 3.0]), np.array([1.0, 1.0])) == 0.5
    assert rel_error(np.zeros(2), np.full(2, 1e-9)) == pytest.approx(0.1)
    assert rel_error(np.zeros((0, 2)), np.zeros((0, 2))) == 0


def test_a_right_layer_passes_in_all_ways():
    report = check_layer((affine_forward, affine_backward), *affine_inputs())
    assert report.ways == ("hand-derived", "tape", "finite differences", "complex step")
    assert report.error < 1e-8


@pytest.mark.parametrize(
    ("wrong", "number"),
    [
        (lambda dx, dw, db: (-dx, dw, db), 0),
        (lambda dx, dw, db: (dx, dw / 4, db), 1),
        (lambda dx, dw, db: (dx, dw, db * (1 + 1e-5)), 2),
        (lambda dx, dw, db: (dx[::-1], dw, db), 0),
    ],
)
def test_a_wrong_gradient_is_named(wrong, number):
    def backward(dout, cache):
        return wrong(*affine_backward(dout, cache))

    with pytest.raises(GradientMismatch) as error:
        check_layer((affine_forward, backward), *affine_inputs())
    message = str(error.value)
    assert f"input {number} is wrong at index (" in message
    assert all(way in message for way in ("hand-derived", "tape", "finite differences", "relative error"))


def test_one_wrong_element_is_found_at_its_index():
    def backward(dout, cache):
        dx, dw, db = affine_backward(dout, cache)
        dw[3, 2] += 1e-3
        return dx, dw, db

    with pytest.raises(GradientMismatch, match=r"input 1 is wrong at index \(3, 2\)"):
        check_layer((affine_forward, backward), *affine_inputs())


def test_wrong_shapes_missing_gradients_and_nan_are_mismatches():
    for db in (lambda dout: dout, lambda dout: None, lambda dout: np.full(5, np.nan)):

        def backward(dout, cache, db=db):
            return (*affine_backward(dout, cache)[:2], db(dout))

        with pytest.raises(GradientMismatch, match="input 2"):
            check_layer((affine_forward, backward), *affine_inputs())


def test_a_layer_that_changes_its_input_is_refused():
    def forward(x):
        x *= 2
        return x.copy(), None

    with pytest.raises(GradientMismatch, match="changed its input 0"):
        check_layer((forward, lambda dout, cache: 2 * dout), np.ones(3))


def test_a_kink_is_no_mismatch_but_a_wrong_slope_there_is():
    x = np.array([-1.0, 0.0, 2.0])
    check_layer(mg.relu, x)
    check_layer((relu_forward, lambda dout, out: dout * (out >= 0) * np.where(x < 0, 0, 1)), x)
    with pytest.raises(GradientMismatch, match=r"index \(1,\)"):
        check_layer((relu_forward, lambda dout, out: dout * (out > 0) - 0.5 * dout * (x == 0)), x)


def test_without_a_rule_the_tape_is_left_out():
    def forward(x):
        return np.cbrt(x), x

    report = check_layer((forward, lambda dout, x: dout / (3 * np.cbrt(x) ** 2)), np.array([0.3, 1.0]))
    assert "tape" not in report.ways


def test_a_forward_that_fills_an_array_goes_on_without_the_tape():
    """The naive convolution of the course, out[i] = sum(window * w)."""

    def forward(x, w):
        out = np.zeros(len(x) - len(w) + 1)
        for i in range(len(out)):
            out[i] = np.sum(x[i : i + len(w)] * w)
        return out, (x, w)

    def backward(dout, cache):
        x, w = cache
        dx, dw = np.zeros_like(x), np.zeros_like(w)
        for i, d in enumerate(dout):
            dx[i : i + len(w)] += d * w
            dw += d * x[i : i + len(w)]
        return dx, dw

    x, w = np.random.default_rng(0).standard_normal((2, 3))
    assert "tape" not in check_layer((forward, backward), x, w[:2]).ways
    with pytest.raises(mg.TapeError, match=r"mg.tensor\(a\)"):
        check_grads(lambda x, w: forward(x, w)[0], x, w[:2])


def test_a_backward_that_changes_its_dout_is_refused():
    def backward(dout, out):
        dout[out == 0] = 0
        return dout

    with pytest.raises(GradientMismatch, match="changed its dout"):
        check_layer((relu_forward, backward), np.array([-1.0, 2.0]))


def test_no_false_alarm_near_the_edge_of_a_domain_nor_at_large_entries():
    check_grads(np.log, np.array([1e-3, 1.0]))
    check_grads(np.sqrt, np.array([1e-4, 4.0]))
    check_grads(np.sin, np.array([1e5, 0.0]))
    check_grads(lambda x, i: x[i] ** 2, np.array([1.0, 2.0]), np.array([1, 1]))


def test_a_step_lost_in_rounding_is_told():
    with pytest.warns(UserWarning, match=r"a step of 1e-05 is lost in the rounding of float32"):
        eval_numerical_gradient(lambda x: (x * x).sum(), np.ones(2, np.float32), verbose=False)


def test_check_grads_needs_the_tape():
    with pytest.raises(mg.TapeError, match=r"numpy\.sort has no backward rule"):
        check_grads(np.sort, np.array([2.0, 1.0]))


def test_no_false_alarm_where_the_differences_drown_in_rounding():
    np.random.seed(231)
    check_layer(mg.affine, np.random.rand(4, 60), 1e-3 * np.random.randn(60, 5), np.random.randn(5))
    for _ in range(5):
        check_layer(mg.softmax_cross_entropy, 10 * np.random.randn(20, 10), np.random.randint(10, size=20))
    check_layer(mg.affine, 1e4 * np.random.randn(3, 4), np.random.randn(4, 2), np.random.randn(2))


def test_the_courses_dicts_of_parameters():
    """They may be given by position or by name, and are not changed."""

    def forward(x, param):
        param["calls"] = param.get("calls", 0) + 1
        return x * param["scale"], param["scale"]

    param = {"scale": 3.0}
    for args, options in (((param,), {}), ((), {"param": param})):
        check_layer((forward, lambda dout, scale: dout * scale), np.ones(3), *args, **options)
    assert param == {"scale": 3.0}
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    mg.layer(forward, lambda dout, scale: dout * scale)(x, {"scale": 2.0}).sum().backward()
    np.testing.assert_array_equal(x.grad, 2)


def test_what_cannot_be_checked_is_told():
    with pytest.raises(TypeError, match="no input holds floats"):
        check_layer((lambda x: (x, x), lambda d, c: 7 * d), np.array([1, 2]))
    with pytest.raises(TypeError, match="no input holds floats"):
        check_grads(np.sum, np.arange(3))
    with pytest.raises(TypeError, match="got sigmoid; expected a layer made by"):
        check_layer(mg.sigmoid, np.ones(2))
    with pytest.raises(ValueError, match="order is 3"):
        check_grads(np.sin, np.ones(2), order=3)
    rng = np.random.default_rng(0)
    with pytest.raises(GradientMismatch, match="two results for one input"):
        check_layer((lambda x: (x * rng.random(3), x), lambda d, c: d), np.ones(3))
    with pytest.raises(ValueError, match=r"df has shape \(3, 1\), but f\(x\) has \(3,\)"):
        eval_numerical_gradient_array(lambda x: x, np.ones(3), np.ones((3, 1)))
    with pytest.raises(ValueError, match="expected a step > 0"):
        eval_numerical_gradient(lambda x: x.sum(), np.ones(3), h=0)


def test_check_grads_sees_second_derivatives():
    assert (
        check_grads(lambda x, y: np.sin(x) * y**3, np.array([0.3, 0.5]), np.array(1.2), order=2).error < 1e-8
    )
    wrong = mg.layer(
        lambda x: (x**3, x),
        lambda dout, x: dout * 3 * x.data**2 if isinstance(x, mg.Tensor) else dout * 3 * x**2,
    )
    x = np.array([0.3, 0.5])
    check_grads(wrong, x)
    with pytest.raises(GradientMismatch, match="gradient of"):
        check_grads(wrong, x, order=2)


# -- what a layer has to keep ------------------------------------------------------------------------------------


def scaled(x, w):
    return x * w, (x, w)


def scaled_back(dout, cache):
    x, w = cache
    return dout * w, dout * x


def hint(forward, backward, *inputs, **options):
    report = check_layer((forward, backward), *inputs, raise_on_error=False, **options)
    assert report.problems
    assert str(report).endswith(f"diagnosis: {report.diagnosis}")
    return str(report)


PAIR = tuple(np.random.default_rng(0).standard_normal((2, 3, 4)))


def test_a_cache_that_the_backward_changes():
    def forward(x, w):
        return x * w, (x, w, {"state": x + 1})

    def backward(dout, cache):
        cache[2]["state"] += 1
        return scaled_back(dout, cache[:2])

    assert "mutates its cache" in hint(forward, backward, *PAIR)


def test_a_backward_that_keeps_something_from_call_to_call():
    calls = []

    def backward(dout, cache):
        calls.append(1)
        return [g * (1 + (len(calls) == 2)) for g in scaled_back(dout, cache)]

    assert "a second backward with the same cache" in hint(scaled, backward, *PAIR)


def test_a_stale_cache():
    last = []

    def forward(x, w):
        last[:] = [x, w]
        return x * w, None

    assert "reads a stale cache" in hint(forward, lambda dout, cache: scaled_back(dout, last), *PAIR)


def test_dtypes_and_shapes():
    x, w = (each.astype(np.float32) for each in PAIR)
    check_layer((scaled, scaled_back), x, w)
    said = hint(scaled, lambda d, c: [g.astype(np.float64) for g in scaled_back(d, c)], x, w)
    assert "gradient of dtype float64 for input 0 of dtype float32" in said
    assert "of shape (3, 4) for input 0 of shape (4, 3)" in hint(
        lambda x, w: (x.T * w, (x.T, w)), scaled_back, np.ascontiguousarray(x.T), w
    )


def test_float32_is_held_against_float64_to_its_own_precision():
    x, w = (each.astype(np.float32) for each in PAIR)

    def slightly_wrong(dout, cache):
        dx, dw = scaled_back(dout, cache)
        return dx, dw * np.float32(1 + 2e-4)

    with pytest.raises(GradientMismatch, match="gradient of input 1"):
        check_layer((scaled, slightly_wrong), x, w)
    big = np.random.default_rng(0).standard_normal((3, 20, 30)).astype(np.float32)
    check_layer(mg.affine, big[0], big[1].T.copy(), big[2][0, :20].copy())
    check_layer(mg.softmax_cross_entropy, 30 * big[0], np.arange(20))


def test_what_is_not_linear_in_dout():
    assert "not linear in dout" in hint(scaled, lambda d, c: scaled_back(d**2, c), *PAIR)


def test_arrays_that_are_read_only_or_strided():
    def flattening(x, w):
        if not (isinstance(x, mg.Tensor) or x.flags.c_contiguous):
            raise ValueError("not contiguous")
        return x * w, (x, w)

    assert "it fails for strided arrays" in hint(flattening, scaled_back, *PAIR)


def test_single_rows_on_request():
    check_layer(mg.affine, *affine_inputs(), per_example=(0,))

    def centred(x):
        return x - x.mean(axis=0), None

    def backward(dout, _):
        return dout - dout.mean(axis=0)

    check_layer((centred, backward), PAIR[0])
    assert "row 0 of input 0 has another gradient in the batch than alone" in hint(
        centred, backward, PAIR[0], per_example=(0,)
    )


# -- several outputs, losses -------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_tuple", [False, True])
def test_several_outputs(as_tuple):
    def forward(x, w):
        outs = np.sin(x) * w, x.sum(axis=0)
        return (outs, (x, w)) if as_tuple else (*outs, (x, w))

    def gradients(da, db, x, w):
        return da * np.cos(x) * w + db, da * np.sin(x)

    def backward(*args):
        (da, db), cache = (args[0], args[1]) if as_tuple else (args[:2], args[2])
        return gradients(da, db, *cache)

    def without_the_second(*args):
        (da, db), cache = (args[0], args[1]) if as_tuple else (args[:2], args[2])
        return gradients(da, 0 * db, *cache)

    report = check_layer((forward, backward), *PAIR)
    assert "tape" in report.ways
    with pytest.raises(GradientMismatch, match="gradient of input 0"):
        check_layer((forward, without_the_second), *PAIR)


def test_a_loss_finds_its_own_gradient():
    def distance(x, y):
        return np.sum((x - y) ** 2), 2 * (x - y)

    with pytest.raises(GradientMismatch, match="None for input 1"):
        check_layer(distance, *PAIR)
    check_layer(lambda x: distance(x, 1), PAIR[0])
    with pytest.raises(GradientMismatch, match="a square's factor 2"):
        check_layer(lambda x: (np.sum(x**2), x), PAIR[0])


# -- how exact it is ---------------------------------------------------------------------------------------------


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
        check_layer((affine_forward, backward), *affine_inputs())


def cube_without_a_rule(x):
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


def test_the_hinge_at_margin_0():
    x = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 1.0]])
    assert check_layer(mg.multiclass_hinge, x, np.array([0, 1])).kinks > 0


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-7, -1e-4, -1e-6])
def test_beside_a_kink_the_derivative_is_still_that_of_its_side(distance):
    x = np.array([distance, 1.0])
    check_layer(mg.relu, x)
    with pytest.raises(GradientMismatch):
        check_layer((lambda x: (np.maximum(np.cbrt(x) ** 3, 0.0), x), lambda d, x: d * (x <= 0)), x)


def test_large_inputs_with_the_tape_and_in_random_directions():
    """One wrong element of 12,000; the size of the course's own layer is too large for a test."""
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((20, 300)), rng.standard_normal((300, 40)), rng.standard_normal(40)

    def wrong(dout, cache):
        dx, dw, db = affine_backward(dout, cache)
        dw[123, 4] *= 1 + 1e-6
        return dx, dw, db

    def without_a_tape(x, w, b):
        if isinstance(x, mg.Tensor):
            np.sort(x)
        return affine_forward(x, w, b)

    assert "every entry looked at by the tape" in check_layer(mg.affine, x, w, b).surely
    report = check_layer((without_a_tape, affine_backward), x, w, b)
    assert "tape" not in report.ways
    assert "is missed with probability 1e-6" in report.surely
    for forward in (affine_forward, without_a_tape):
        with pytest.raises(GradientMismatch, match=r"input 1 is wrong at index \(123, 4\)"):
            check_layer((forward, wrong), x, w, b)
    check_layer(mg.affine_relu, x, w, b)


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
