"""What a user's own suite is given: random programs, arrays, properties."""

import re
import textwrap
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.gradient_check import GradientMismatch, check_grads
from minigrad.testing import (
    LAYOUTS,
    array_code,
    arrays_for,
    gradient_property,
    labels,
    laid_out,
    layers_inputs,
    programs,
    scores,
)

FLOATS = (np.float64, np.float32)
ONCE = settings(database=None, max_examples=2000, phases=[Phase.generate, Phase.shrink], derandomize=True)
ANY_PROGRAM = programs(dtypes=FLOATS, min_side=0)


def arrays_in(result):
    """The arrays or tensors of a program's result."""
    if isinstance(result, dict):
        return list(result.values())
    return list(result) if isinstance(result, (list, tuple)) else [result]


def run_code(code):
    names = {}
    exec(code, names)
    return names


# -- programs ------------------------------------------------------------------------------------------------


@given(programs(outputs="arrays", dtypes=FLOATS, min_side=0))
def test_a_program_gives_the_same_on_arrays_and_on_tensors(program):
    kept = [x.copy() for x in program.inputs]
    expected = program(*program.inputs)
    got = program(*[mg.tensor(x, requires_grad=True) for x in program.inputs])
    assert type(got) is type(expected) or isinstance(got, mg.Tensor)
    for t, x in zip(arrays_in(got), arrays_in(expected), strict=True):
        assert (t.shape, t.dtype) == (x.shape, x.dtype)
        np.testing.assert_allclose(t.data, x, rtol=1e-5, atol=1e-6)
        assert np.isfinite(x).all()
    for x, before in zip(program.inputs, kept, strict=True):
        np.testing.assert_array_equal(x, before)


@given(ANY_PROGRAM, st.data())
def test_a_programs_values_stay_small_for_other_inputs(program, data):
    seed = data.draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    others = [rng.uniform(-2, 2, x.shape).astype(x.dtype) for x in program.inputs]
    assert abs(program(*others)) < 1e4


@given(programs(min_side=0))
def test_a_programs_gradient_is_that_of_differences(program):
    check_grads(program, *program.inputs)


@given(ANY_PROGRAM)
def test_a_program_can_be_pasted(program):
    again = run_code(repr(program))["result"]
    assert again == program(*program.inputs)


@pytest.mark.parametrize(
    "piece", ["+=", "] = ", "@", ".T", "np.max", "mg.affine(", "broadcast_to", "np.where"]
)
def test_programs_have_what_a_transformation_may_break(piece):
    found = find(programs(), lambda program: piece in program.source, settings=ONCE, random=Random(0))
    assert found.source.count("\n") <= 8, found


def test_a_failing_programs_report_is_its_code():
    @settings(ONCE)
    @given(programs(dtypes=FLOATS))
    def no_tanh(program):
        assert "tanh" not in program.source

    with pytest.raises(AssertionError) as failure:
        no_tanh()
    report = "\n".join(failure.value.__notes__)
    code = report.partition("program=")[2].rpartition(",\n)")[0]
    assert run_code(textwrap.dedent(code))["result"] is not None


def test_an_unknown_kind_of_outputs_is_refused():
    with pytest.raises(ValueError, match="outputs is 'list'; expected 'scalar' or 'arrays'"):
        programs(outputs="list")


# -- arrays as code ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, bool])
@pytest.mark.parametrize("shape", [(), (0, 3), (3,), (2, 3), (1, 2, 3)])
def test_an_array_as_code_is_the_array(layout, dtype, shape):
    x = laid_out(np.sin(np.arange(np.prod(shape, dtype=int))).reshape(shape).astype(dtype), layout)
    again = eval(array_code(x), {"np": np, "laid_out": laid_out})
    np.testing.assert_array_equal(again, x)
    assert (again.dtype, again.shape) == (x.dtype, x.shape)
    assert (again.strides, again.flags.writeable) == (x.strides, x.flags.writeable)


def test_an_array_of_nan_and_infinities_as_code():
    x = np.array([np.nan, np.inf, -np.inf, 1e-300])
    np.testing.assert_array_equal(eval(array_code(x), {"np": np}), x)


# -- strategies for arrays -----------------------------------------------------------------------------------


@given(st.data(), st.sampled_from(FLOATS), st.integers(0, 2))
def test_shapes_fit_together(data, dtype, min_side):
    x, w, b, three, number = data.draw(
        arrays_for("n d", "d m", "m", "m 3", "", dtype=dtype, min_side=min_side, max_side=5)
    )
    assert x.shape[1:] == w.shape[:1]
    assert w.shape[1:] == b.shape
    assert three.shape == (*b.shape, 3)
    assert number.shape == ()
    assert all(min_side <= side <= 5 for each in (x, w, b) for side in each.shape)
    assert {each.dtype for each in (x, w, b, three, number)} == {np.dtype(dtype)}


@given(arrays_for("... n k", "... k m", "...", min_side=0))
def test_leading_axes_broadcast(arrays):
    x, y, z = arrays
    assert (x @ y).shape[:-2] == np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    np.broadcast_shapes(x.shape[:-2], y.shape[:-2], z.shape)


@pytest.mark.parametrize(
    "wanted",
    [
        lambda x, y: x.shape == () != y.shape,
        lambda x, y: x.size == 0 and y.size == 0,
        lambda x, y: 1 in x.shape and x.ndim == y.ndim and x.shape != y.shape,
        lambda x, y: y.ndim > x.ndim > 0,
        lambda x, y: y.ndim == 3,
        lambda x, y: x.strides and min(x.strides) < 0,
        lambda x, y: x.flags.f_contiguous and not x.flags.c_contiguous,
        lambda x, y: not (x.flags.c_contiguous or x.flags.f_contiguous),
        lambda x, y: not x.flags.writeable,
    ],
    ids=["0-d", "empty", "size-1", "missing axes", "3-d", "reversed", "transposed", "strided", "read-only"],
)
def test_every_kind_of_array_is_drawn(wanted):
    find(
        arrays_for("...", "...", min_side=0), lambda arrays: wanted(*arrays), settings=ONCE, random=Random(0)
    )


@given(arrays_for("n d", "...", "d", low=-1.0, high=3.0))
def test_without_kinks_no_two_entries_are_near_each_other_or_zero(arrays):
    entries = np.sort(np.concatenate([np.ravel(x) for x in arrays]))
    assert np.all((entries >= -1) & (entries <= 3))
    assert np.all(np.diff(entries) > 1e-3)
    assert np.all(np.abs(entries) >= 1e-3)


def test_kinks_are_met_and_ties_are():
    found = find(
        arrays_for("3 3", kinks=(0.0, 1.0)),
        lambda arrays: (
            (arrays[0] == 0).sum() > 1 and (arrays[0] == 1).any() and (np.abs(arrays[0]) > 1).any()
        ),
        settings=ONCE,
        random=Random(0),
    )
    assert found[0].shape == (3, 3)


@given(scores(max_n=5, max_classes=6), scores(kinks=(0.0, 1.0), dtype=np.float32))
def test_scores_suit_a_loss_and_stay_away_from_the_hinges_kink(smooth, kinked):
    for x, y in (smooth, kinked):
        assert (x.ndim, y.shape) == (2, x.shape[:1])
        assert y.dtype.kind == "i"
        assert np.isfinite(mg.multiclass_hinge(x, y))
    assert kinked[0].dtype == np.float32
    x, y = smooth
    assert np.all(np.abs(x - x[np.arange(len(y)), y][:, None] + 1) > 1e-3)


@given(st.integers(0, 5), st.integers(1, 4), st.data())
def test_labels(n, classes, data):
    y = data.draw(labels(n, classes))
    assert (y.shape, y.dtype) == ((n,), np.int64)
    assert np.all((y >= 0) & (y < classes))


def test_descriptions_that_are_none_are_refused():
    for shapes, options, message in (
        ((), {}, "no shape is given"),
        (("n, d",), {}, "'n,' in the shape 'n, d' is no axis"),
        (("n ...",), {}, "'...' in the shape 'n ...' is no axis"),
        (("n",), {"layouts": ["fortran"]}, "layout 'fortran' is none of contiguous, transposed"),
        (("n",), {"min_side": 3, "max_side": 2}, "min_side 3, max_side 2"),
        (("n",), {"low": 1.0, "high": 1.0}, "low 1.0, high 1.0"),
    ):
        with pytest.raises(ValueError, match="arrays_for: ") as refusal:
            arrays_for(*shapes, **options)
        assert message in str(refusal.value)
    with pytest.raises(ValueError, match="n is 3, classes 0"):
        labels(3, 0)


# -- one-line properties -------------------------------------------------------------------------------------


def scale_forward(x, w, power=1):
    return x * w**power, (x, w, power)


def scale_backward(dout, cache):
    x, w, power = cache
    return dout * w**power, (dout * x * power * w ** (power - 1)).sum(axis=0)


def scale_backward_without_power(dout, cache):
    x, w, power = cache
    return dout * w**power, (dout * x * w ** (power - 1)).sum(axis=0)


INPUTS = arrays_for("n d", "d")

test_scale = gradient_property(scale_forward, scale_backward, inputs=INPUTS)
test_scale_squared = gradient_property(scale_forward, scale_backward, inputs=INPUTS, power=2)
test_scale_as_a_layer = gradient_property(mg.layer(scale_forward, scale_backward), inputs=INPUTS)
test_softmax_cross_entropy = gradient_property(mg.softmax_cross_entropy, inputs=scores())
test_hinge_at_its_kinks = gradient_property(mg.multiclass_hinge, inputs=scores(kinks=(0.0, 1.0)))
test_affine_as_it_says_itself = gradient_property(mg.affine)


class TestInAClass:
    test_scale = gradient_property(scale_forward, scale_backward, inputs=INPUTS)
    test_constant = gradient_property(
        scale_forward, lambda dout, cache: scale_backward(dout, cache)[0], inputs=INPUTS, argnums=0
    )


def test_a_wrong_gradient_fails_with_the_smallest_inputs_as_code():
    wrong = gradient_property(scale_forward, scale_backward_without_power, inputs=INPUTS, power=2)
    with pytest.raises(GradientMismatch, match="gradient of input 1") as failure:
        wrong()
    report = "\n".join(failure.value.__notes__)
    code = report.partition("example=")[2].rpartition(",\n)")[0]
    assert "check_layer((scale_forward, scale_backward_without_power), x, w, power=2)" in code
    names = {
        "scale_forward": scale_forward,
        "scale_backward_without_power": scale_backward_without_power,
    }
    with pytest.raises(GradientMismatch, match="gradient of input 1"):
        exec(textwrap.dedent(code), names)
    assert names["x"].shape == (1, 1)


@pytest.mark.parametrize(
    ("right", "bug", "wrong_input"),
    [
        ("da.sum(axis=0)", "da.mean(axis=0)", 2),
        ("x.T @ da", "x.T @ dout", 1),
        ("da @ w.T", "-da @ w.T", 0),
        ("1 - out**2", "1 + out**2", 0),
    ],
)
def test_readmes_test_file_passes_and_finds_what_is_planted(right, bug, wrong_input):
    """In a fresh environment, with the wheel alone, ``.ci/run`` does the same."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n([^`]*?gradient_property\([^`]*)^```$", readme, re.MULTILINE)
    run_code(code)["test_dense"]()
    assert right in code
    with pytest.raises(
        GradientMismatch, match=f"dense: the gradient of input {wrong_input} is wrong"
    ) as failure:
        run_code(code.replace(right, bug))["test_dense"]()
    report = "\n".join(failure.value.__notes__)
    assert "check_layer((dense_forward, dense_backward), x, w, b)" in report


def test_the_only_input_needs_no_tuple():
    only = arrays_for("n d").map(lambda arrays: arrays[0])
    gradient_property(lambda x: (np.square(x), x), lambda dout, x: 2 * dout * x, inputs=only)()


def test_inputs_that_are_none_are_refused():
    with pytest.raises(TypeError, match="inputs is tuple; expected a strategy"):
        gradient_property(scale_forward, scale_backward, inputs=(np.ones(3), np.ones(3)))
    with pytest.raises(TypeError, match="does not say how its inputs are drawn"):
        gradient_property(scale_forward, scale_backward)
    with pytest.raises(TypeError, match="does not say how its inputs are drawn"):
        layers_inputs(mg.layer(scale_forward, scale_backward))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_side": "a"}, r"min_side must be an int >= 0, got 'a'"),
        ({"min_side": None}, "min_side must be an int >= 0, got None"),
        ({"max_side": -1}, "max_side must be an int >= 0, got -1"),
        ({"min_side": 5}, "min_side 5, max_side 4"),
        ({"dtype": "S1"}, "dtype is .S1.; expected one of floats"),
        ({"dtype": int}, "dtype is <class 'int'>; expected one of floats"),
        ({"kinks": "a"}, "kinks has 'a'; expected numbers"),
        ({"low": None}, "low has None; expected numbers"),
    ],
)
def test_options_that_are_none_are_refused_when_the_strategy_is_made(options, message):
    with pytest.raises((TypeError, ValueError), match=f"^arrays_for: {message}"):
        arrays_for("n", **options)


@pytest.mark.parametrize("shape", [3, None, ["n d"], ("n", "d")])
def test_a_shape_that_is_no_text(shape):
    with pytest.raises(
        TypeError, match=r'arrays_for: got .* as a shape; expected the names of its axes, as "n d"'
    ):
        arrays_for(shape)
