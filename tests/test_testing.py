"""What a user's own suite is given: random programs, arrays, properties."""

import textwrap

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.gradient_check import check_grads
from minigrad.testing import LAYOUTS, array_code, laid_out, programs

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
    found = find(programs(), lambda program: piece in program.source, settings=ONCE)
    assert found.source.count("\n") <= 6, found


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
