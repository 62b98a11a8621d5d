"""Compiled functions against the same functions as they are written; what is refused; and each rewrite."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.functional import map_tree
from minigrad.layers import LAYERS
from minigrad.rules import OPS
from minigrad.testing import LAYOUTS, calls, laid_out, programs

DTYPES = (np.float64, np.float32)
PROGRAMS = settings(max_examples=40)


def leaves(tree):
    """The arrays of a nested result, in order."""
    found = []
    map_tree(lambda leaf, _: found.append(leaf), tree, None)
    return found


def precision(arrays):
    """The machine epsilon of the coarsest of the arrays."""
    return max((np.finfo(x.dtype).eps for x in arrays if x.dtype.kind == "f"), default=0.0)


def assert_agree(got, want, inputs):
    """The same types, shapes and dtypes; the same numbers, but for the order of the arithmetic."""
    got, want = leaves(got), leaves(want)
    assert len(got) == len(want)
    sizes = [np.max(np.abs(x), initial=0.0, where=np.isfinite(x)) for x in want]
    n = max([np.size(x) for x in (*want, *inputs)], default=1)
    allowed = 2 * precision([*inputs, *map(np.asarray, want)]) * np.sqrt(max(n, 1)) * max([1.0, *sizes]) * 8
    for x, y in zip(got, want, strict=True):
        assert (type(x), np.shape(x), np.asarray(x).dtype) == (type(y), np.shape(y), np.asarray(y).dtype)
        np.testing.assert_allclose(x, y, rtol=0, atol=allowed)


def copies(tree):
    return map_tree(lambda x, _: np.array(x) if isinstance(x, np.ndarray) else x, tree, None)


def check(f, inputs, **options):
    """Compare three calls of a compiled function, with different numbers, with the function itself."""
    step = mg.jit(f, **options)
    for factor in (1.0, 0.7, -0.4):
        values = [np.array(x * x.dtype.type(factor)) if x.dtype.kind == "f" else x for x in inputs]
        given = copies(values) if options or factor != 1 else list(inputs)
        got, want = step(*given), f(*copies(values))
        assert_agree(got, want, values)
        if not options:
            for x, y in zip(given, values, strict=True):
                np.testing.assert_array_equal(x, y)
        if factor == 1:
            first, kept = got, copies(got)
    for x, y in zip(leaves(first), leaves(kept), strict=True):
        np.testing.assert_array_equal(x, y)
    assert step.cache_info()[:2] == (2, 1)
    return step


# Drawn programs


@PROGRAMS
@given(programs(outputs="arrays", dtypes=DTYPES, min_side=0))
def test_a_program_and_compiled_it_agree(program):
    check(program.function, program.inputs)


def differentiated(program):
    return mg.value_and_grad(program.function, tuple(range(len(program.inputs))))


@PROGRAMS
@given(programs(dtypes=DTYPES))
def test_a_programs_gradients_and_compiled_they_agree(program):
    check(differentiated(program), program.inputs)


@PROGRAMS
@given(programs(dtypes=DTYPES))
def test_a_step_that_may_write_over_its_parameters(program):
    def step(*parameters):
        loss, gradients = differentiated(program)(*parameters)
        return loss, [x - 0.1 * (g + 0.5 * x) for x, g in zip(parameters, gradients, strict=True)]

    check(step, program.inputs, donate_argnums=tuple(range(len(program.inputs))))


@PROGRAMS
@given(programs(dtypes=DTYPES))
def test_a_step_that_writes_to_its_parameters(program):
    def step(*parameters):
        loss, gradients = differentiated(program)(*parameters)
        for x, g in zip(parameters, gradients, strict=True):
            x -= 0.1 * (g + 0.5 * x)
        return loss

    compiled = mg.jit(step)
    plain, other = copies(list(program.inputs)), copies(list(program.inputs))
    for _ in range(3):
        loss, again = step(*plain), compiled(*other)
        assert_agree([again, other], [loss, plain], program.inputs)


@given(programs(dtypes=DTYPES), st.sampled_from(sorted(LAYOUTS)))
def test_how_arrays_lie_in_memory_changes_nothing(program, layout):
    f = differentiated(program)
    compiled = mg.jit(f)
    for factor in (1.0, 0.5):
        plain = [np.array(x * x.dtype.type(factor), order="C") for x in program.inputs]
        compiled(*plain)
        laid = [laid_out(x, layout) for x in plain]
        assert_agree(compiled(*laid), f(*plain), plain)


# Layers and rules


def of_its_arrays(function, args, kwargs):
    """A call as a function of all its arrays alone; and those arrays."""
    arrays = []

    def place(leaf, _):
        if isinstance(leaf, np.ndarray):
            arrays.append(leaf)
            return len(arrays) - 1, "array"
        return leaf

    def given(tree, values):
        if isinstance(tree, tuple) and len(tree) == 2 and tree[1] == "array" and type(tree[0]) is int:
            return values[tree[0]]
        return type(tree)([given(x, values) for x in tree]) if isinstance(tree, (tuple, list)) else tree

    placed = map_tree(place, args, None)
    return lambda *values: function(*given(placed, values), **kwargs), arrays


def check_with_gradients(f, arrays):
    check(f, arrays)
    floats = tuple(i for i, x in enumerate(arrays) if x.dtype.kind == "f")

    def total(*arrays):
        out = f(*arrays)
        return sum(np.sum(np.sin(x)) for x in (out if isinstance(out, (tuple, list)) else [out]))

    check(mg.value_and_grad(total, floats), arrays)


@pytest.mark.parametrize("layer", LAYERS.values(), ids=lambda layer: layer.name)
@settings(max_examples=8)
@given(st.data())
def test_layers(layer, data):
    args, kwargs = data.draw(calls(layer.inputs, data.draw(st.sampled_from(DTYPES))))
    check_with_gradients(*of_its_arrays(layer, args, kwargs))


@pytest.mark.parametrize("op", sorted(set(OPS.values()), key=lambda op: op.name), ids=lambda op: op.name)
@settings(max_examples=6)
@given(st.data())
@np.errstate(all="ignore")
def test_rules(op, data):
    args, kwargs = data.draw(calls(op.inputs))
    check_with_gradients(*of_its_arrays(op.function, args, kwargs))


# What once gave a wrong number


def test_a_part_changed_of_an_array_that_is_handed_out():
    def f(x):
        x = x.copy()
        x[[0, 0, 1]] += 1
        return x

    check(f, [np.arange(12.0).reshape(4, 3)])


def test_what_was_read_of_an_argument_before_it_was_written_to():
    def f(x):
        old = x * 1
        x -= 0.1 * x
        return old, x * 3

    step = mg.jit(f)
    for factor in (1, 2, 3):
        x = factor * np.ones(3)
        np.testing.assert_array_equal(step(x)[0], factor * np.ones(3))


@pytest.mark.parametrize(
    "f", [lambda x: (x * 1e-200) * 1e-200 * 1e300, lambda x: 1e300 * (1e300 * x * 1e-300)]
)
def test_factors_that_would_overflow_are_not_combined(f):
    step = mg.jit(f)
    for _ in range(2):
        with np.errstate(over="ignore", under="ignore"):
            np.testing.assert_array_equal(step(np.ones(3)), f(np.ones(3)))
