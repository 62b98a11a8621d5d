"""Every rule in the table, found through the table alone."""

import importlib

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.gradient_check import GradientMismatch, check_grads
from minigrad.rules import OPS, Op
from minigrad.testing import calls

EVERY_OP = pytest.mark.parametrize(
    "op", sorted(set(OPS.values()), key=lambda op: op.name), ids=lambda op: op.name
)


def float_arrays(args):
    """Where the float arrays are among the arguments of a call: (position,) or (position, place in a list)."""
    places = []
    for i, arg in enumerate(args):
        if isinstance(arg, list) and all(isinstance(each, np.ndarray) for each in arg):
            places += [(i, j) for j in range(len(arg))]
        elif isinstance(arg, np.ndarray) and arg.dtype.kind == "f":
            places.append((i,))
    return places


def get(args, place):
    return args[place[0]] if len(place) == 1 else args[place[0]][place[1]]


def as_function(op, args, kwargs):
    """The call as a function of its float arrays alone, and those arrays."""
    places = float_arrays(args)

    def f(*arrays):
        full = [list(arg) if isinstance(arg, list) else arg for arg in args]
        for place, array in zip(places, arrays, strict=True):
            if len(place) == 1:
                full[place[0]] = array
            else:
                full[place[0]][place[1]] = array
        return op.function(*full, **kwargs)

    f.__name__ = op.name
    return f, [get(args, place) for place in places]


@EVERY_OP
@given(st.data())
def test_gradient_is_that_of_differences_and_so_is_the_second(op, data):
    args, kwargs = data.draw(calls(op.inputs))
    f, arrays = as_function(op, args, kwargs)
    check_grads(f, *arrays, order=2)


@EVERY_OP
@given(st.data())
def test_value_is_numpys_and_nothing_is_changed(op, data):
    args, kwargs = data.draw(calls(op.inputs))
    f, arrays = as_function(op, args, kwargs)
    before = [x.copy() for x in arrays]
    expected = f(*arrays)
    leaves = [mg.tensor(x, requires_grad=True) for x in arrays]
    out = f(*leaves)
    outs, expecteds = (x if isinstance(x, list) else [x] for x in (out, expected))
    for got, want in zip(outs, expecteds, strict=True):
        assert (got.shape, got.dtype) == (np.shape(want), want.dtype)
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-14, atol=1e-14)
        got.backward(np.ones(got.shape))
    for x, kept, leaf in zip(arrays, before, leaves, strict=True):
        np.testing.assert_array_equal(x, kept)
        np.testing.assert_array_equal(leaf.data, kept)


@EVERY_OP
@given(st.data())
def test_float32_stays_float32(op, data):
    args, kwargs = data.draw(calls(op.inputs, np.float32))
    f, arrays = as_function(op, args, kwargs)

    def objective(f, *xs):
        outs = f(*xs)
        return sum(np.sum(out) for out in (outs if isinstance(outs, list) else [outs]))

    everyone = tuple(range(len(arrays)))
    single = mg.grad(lambda *xs: objective(f, *xs), everyone)(*arrays)
    doubles = [x.astype(np.float64) for x in arrays]
    double = mg.grad(lambda *xs: objective(f, *xs), everyone)(*doubles)
    for x, g, reference in zip(arrays, single, double, strict=True):
        assert g.dtype == np.float32
        assert g.shape == x.shape
        scale = max(1.0, float(np.max(np.abs(reference), initial=0)))
        np.testing.assert_allclose(g, reference, rtol=1e-3, atol=1e-4 * scale)


@EVERY_OP
@given(st.data())
def test_nothing_is_computed_for_operands_that_need_no_gradient(op, data):
    """With one leaf among constants the gradient is the same, and the tape asks for no other."""
    args, kwargs = data.draw(calls(op.inputs))
    f, arrays = as_function(op, args, kwargs)
    which = data.draw(st.integers(0, len(arrays) - 1))
    mixed = [mg.tensor(x, requires_grad=i == which) for i, x in enumerate(arrays)]
    every = [mg.tensor(x, requires_grad=True) for x in arrays]
    for leaves in (mixed, every):
        outs = f(*leaves)
        for out in outs if isinstance(outs, list) else [outs]:
            if out.requires_grad:
                out.backward(np.cos(np.arange(out.size)).reshape(out.shape))
    assert [leaf.grad is None for i, leaf in enumerate(mixed) if i != which] == [True] * (len(mixed) - 1)
    if every[which].grad is not None:
        np.testing.assert_array_equal(mixed[which].grad, every[which].grad)


# -- these tests can fail ----------------------------------------------------------------------------------------

BREAKS = {
    "sign": lambda g: -g,
    "factor": lambda g: 2 * g,
    "constant": lambda g: g + 1e-4,
}


def is_caught(op):
    """Whether the property above fails for an op as it now is."""

    @settings(phases=[Phase.generate], max_examples=50, database=None)
    @given(calls(op.inputs))
    def gradient_is_right(call):
        f, arrays = as_function(op, *call)
        check_grads(f, *arrays)

    try:
        gradient_is_right()
    except GradientMismatch:
        return True
    return False


@pytest.mark.parametrize("break_it", BREAKS.values(), ids=BREAKS)
@pytest.mark.parametrize(
    "op", sorted({op for op in OPS.values() if isinstance(op, Op)}, key=lambda op: op.name), ids=repr
)
def test_a_broken_rule_is_caught(op, break_it, monkeypatch):
    rules = op.rules
    for i in range(max(op.arity, 1)):
        asked = []

        class Broken:
            def __getitem__(self, j, i=i, asked=asked):
                rule = rules[j]
                if i != j:
                    return rule
                asked.append(1)
                return lambda *args, **kwargs: break_it(rule(*args, **kwargs))

        monkeypatch.setattr(op, "rules", Broken())
        caught = is_caught(op)
        assert caught == bool(asked)


@pytest.mark.parametrize("op", [op for op in OPS.values() if isinstance(op, Op) and op.arity == 2], ids=repr)
def test_a_missing_unbroadcast_is_caught(op, monkeypatch):
    def cut(g, shape):
        """Keep the first of the entries that belong together, instead of their sum."""
        g = np.asarray(g[(0,) * (g.ndim - len(shape))] if 0 not in g.shape else np.zeros(shape))
        return np.broadcast_to(g[tuple(slice(n) for n in shape)], shape)

    fits = []
    monkeypatch.setattr(
        importlib.import_module("minigrad.tape"), "_fit", lambda g, shape: fits.append(1) or cut(g, shape)
    )
    caught = is_caught(op)
    assert caught == bool(fits)
