"""Every rule in the table, found through the table alone."""

import importlib
import operator

import numpy as np
import pytest
from derivatives import compiles, curvature, differentiated, flat, parts
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.checks.proof import float_places, of_arrays
from minigrad.gradient_check import GradientMismatch, check_grads
from minigrad.rules import OPS, Op
from minigrad.rules.facts import facts
from minigrad.rules.indexing import getitem, setitem
from minigrad.testing import LAYOUTS, arrays_for, calls, laid_out

EVERY_OP = pytest.mark.parametrize(
    "op", sorted(set(OPS.values()), key=lambda op: op.name), ids=lambda op: op.name
)


FEWER = settings(max_examples=settings().max_examples // 3)
FEWEST = settings(max_examples=settings().max_examples // 6)


def as_function(op, args, kwargs, places=None):
    """The call as a function of its float arrays alone, and those arrays."""
    return of_arrays(op.function, args, kwargs, places)


def differentiable(outs):
    """Those of a call's results, one or several, that gradients go back from."""
    return [x for x in parts(outs) if isinstance(x, mg.Tensor) and x.requires_grad]


@EVERY_OP
@FEWER
@given(st.data())
def test_gradient_is_that_of_differences_and_so_is_the_second(op, data):
    args, kwargs = data.draw(calls(op.inputs))
    f, arrays = as_function(op, args, kwargs)
    check_grads(f, *arrays, order=2)


@EVERY_OP
@FEWER
@given(st.data())
def test_value_is_numpys_and_nothing_is_changed(op, data):
    args, kwargs = data.draw(calls(op.inputs))
    f, arrays = as_function(op, args, kwargs)
    before = [x.copy() for x in arrays]
    expected = f(*arrays)
    leaves = [mg.tensor(x, requires_grad=True) for x in arrays]
    out = f(*leaves)
    assert isinstance(out, (tuple, list)) == isinstance(expected, (tuple, list))
    outs, expecteds = parts(out), parts(expected)
    for got, want in zip(outs, expecteds, strict=True):
        assert (got.shape, got.dtype) == (np.shape(want), want.dtype)
        with mg.no_grad():
            np.testing.assert_allclose(np.asarray(got), want, rtol=1e-14, atol=1e-14)
    for got in differentiable(outs):
        got.backward(np.ones(got.shape))
    for x, kept, leaf in zip(arrays, before, leaves, strict=True):
        np.testing.assert_array_equal(x, kept)
        np.testing.assert_array_equal(leaf.data, kept)


@EVERY_OP
@FEWER
@given(st.data())
def test_float32_stays_float32_and_is_right_to_its_precision(op, data):
    args, kwargs = data.draw(calls(op.inputs, np.float32))
    f, arrays = as_function(op, args, kwargs)
    both = differentiated(f, len(arrays))
    value, single = both(*arrays)
    exact, double = both(*[x.astype(np.float64) for x in arrays])
    assert value == pytest.approx(exact, rel=1e-5, abs=1e-5)
    for x, g, reference in zip(arrays, single, double, strict=True):
        assert g.dtype == np.float32
        assert g.shape == x.shape
        scale = max(1.0, float(np.max(np.abs(reference), initial=0)))
        np.testing.assert_allclose(g, reference, rtol=1e-5, atol=1e-5 * scale)


@EVERY_OP
@FEWER
@given(st.data())
def test_how_arrays_lie_in_memory_changes_nothing(op, data):
    """That of the operands, and that of the gradient that comes in."""
    args, kwargs = data.draw(calls(op.inputs))
    f, arrays = as_function(op, args, kwargs)
    plain = [np.array(x, order="C") for x in arrays]
    for derivative in (differentiated(f, len(arrays)), curvature(f, len(arrays))):
        for got, want in zip(flat(derivative(*arrays)), flat(derivative(*plain)), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
    gradients = []
    for layout in LAYOUTS:
        leaves = [mg.tensor(x, requires_grad=True) for x in plain]
        outs = f(*leaves)
        for out in differentiable(outs):
            out.backward(laid_out(np.cos(np.arange(out.size)).reshape(out.shape), layout))
        gradients.append([leaf.grad for leaf in leaves])
    for others in gradients[1:]:
        for got, want in zip(others, gradients[0], strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


NEW = [op for op in OPS.values() if facts(op.function).memory == "new"]


@pytest.mark.parametrize("new", NEW, ids=repr)
@settings(max_examples=100)
@given(st.data())
def test_what_is_stated_to_be_new_is_no_view_of_an_operand(new, data):
    """And so is not read-only, as an operand may be."""
    args, kwargs = data.draw(calls(new.inputs))
    f, arrays = as_function(new, args, kwargs)
    for x in arrays:
        x.flags.writeable = False
    for out in parts(f(*arrays)):
        assert (
            not isinstance(out, np.ndarray)
            or not out.size
            or (out.flags.writeable and memory_of(out) not in map(memory_of, arrays))
        )


def memory_of(x):
    """The identity of the array that x is a view of."""
    while isinstance(x.base, np.ndarray):
        x = x.base
    return id(x)


def without_arrays(index):
    """An index or an option with lists in the place of arrays: compiled, arrays are arguments, and these are none."""
    if isinstance(index, tuple):
        return tuple(without_arrays(part) for part in index)
    return index.tolist() if isinstance(index, np.ndarray) else index


def hessian_times_itself(f, _):
    """The product of the Hessian with the first operand: forward mode of reverse mode."""

    def product(*xs):
        outs = differentiable(f(*xs))
        return sum(np.sum(np.cos(np.abs(out))) for out in outs) if outs else np.sum(xs[0])

    return lambda *xs: mg.hvp(product, xs, (xs[0],))


def of_the_last(f, n):
    """The gradient of the last operand alone: beside the tensor stand arrays that are traced."""

    def scalar(*xs):
        outs = differentiable(f(*xs))
        return sum(np.sum(np.cos(np.abs(out))) for out in outs) if outs else np.sum(xs[-1])

    return mg.grad(scalar, argnums=n - 1)


def of_computed(f, n):
    """The gradients where the operands are results of other calls, which have buffers once compiled."""
    return differentiated(lambda *xs: f(*[np.abs(x) * np.sign(x) for x in xs]), n)


@pytest.mark.parametrize(
    "op", sorted(filter(compiles, set(OPS.values())), key=lambda op: op.name), ids=lambda op: op.name
)
@FEWEST
@given(st.data())
def test_compiled_it_is_what_it_is_as_written(op, data):
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))
    args, kwargs = data.draw(calls(op.inputs, dtype))
    if "index" in getattr(op, "known", []):
        at = op.known.index("index")
        args = (*args[:at], without_arrays(args[at]), *args[at + 1 :])
    kwargs = {name: without_arrays(x) for name, x in kwargs.items()}
    arrays = [i for i, arg in enumerate(args) if isinstance(arg, (np.ndarray, list))]
    places = float_places(args)
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    for derivative in (differentiated, of_computed, curvature, hessian_times_itself, of_the_last):

        def derived(*moving, derivative=derivative):
            full = list(args)
            for i, arg in zip(arrays, moving, strict=True):
                full[i] = arg
            f, floats = as_function(op, full, kwargs, places)
            return derivative(f, len(floats))(*floats)

        moving = [args[i] for i in arrays]
        expected, compiled = flat(derived(*moving)), mg.jit(derived)
        for _ in range(2):
            for got, want in zip(flat(compiled(*moving)), expected, strict=True):
                assert (np.shape(got), np.asarray(got).dtype) == (np.shape(want), np.asarray(want).dtype)
                np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


@EVERY_OP
@FEWEST
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
        for out in differentiable(outs):
            out.backward(np.cos(np.arange(out.size)).reshape(out.shape))
    assert [leaf.grad is None for i, leaf in enumerate(mixed) if i != which] == [True] * (len(mixed) - 1)
    if every[which].grad is not None:
        np.testing.assert_array_equal(mixed[which].grad, every[which].grad)


# -- the tensor's own methods and operators: found on the class, with the inputs of the op that each records -----


def recorded_by(call, count):
    """The op that a call on tensors records last; None, if it records none."""
    try:
        out = call(*[mg.tensor([[1.5]], requires_grad=True) for _ in range(count)])
    except (TypeError, IndexError):
        return None
    return out._call[1] if isinstance(out, mg.Tensor) and out._call is not None else None


def as_method(name):
    if name == "transpose":  # whose axes have no name
        return lambda x, axes: x.transpose(axes)
    return lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)


def reflected(name, plain):
    """The operator as its second operand's class has it."""
    return lambda x, y: getattr(y, name)(x) if isinstance(y, mg.Tensor) else plain(x, y)


def on_a_copy(change):
    """What changes its first argument, as a function that returns what it was changed to."""

    def changed(x, *others):
        copy = np.positive(x)
        out = change(copy, *others)
        return copy if out is None else out

    return changed


def card():
    """By name: what is called, on arrays and on tensors, and the op whose inputs it is given."""
    found = {
        "__getitem__": (operator.getitem, OPS[getitem]),
        "__setitem__": (on_a_copy(lambda a, value, index: operator.setitem(a, index, value)), OPS[setitem]),
    }
    for name in vars(mg.Tensor):
        op = OPS.get(getattr(getattr(mg.Tensor, name), "__wrapped__", None))
        if op is not None:
            found[name.strip("_")] = as_method(name.strip("_")), op
        elif name.startswith("__"):
            call = getattr(operator, name, None)
            if call is None and name.startswith("__r"):
                plain = getattr(operator, f"__{name[3:]}", None)
                call = plain and reflected(name, plain)
            elif name.startswith("__i"):
                call = call and on_a_copy(call)
            op = call and (recorded_by(call, 1) or recorded_by(call, 2))
            if op:
                found[name] = call, op
    return found


CARD = card()
SQUARE = arrays_for("... n k", "k k", min_side=0).map(lambda arrays: (arrays, {}))


def test_the_card_is_whole():
    """What NumPy's arrays have for numbers, and what the class has, is on it."""
    signs = "add sub mul truediv mod matmul pow"
    operators = {f"__{kind}{name}__" for name in signs.split() for kind in ("", "r", "i")}
    assert operators | {"__neg__", "__pos__", "__abs__"} <= CARD.keys()
    assert {
        "sum",
        "mean",
        "max",
        "std",
        "dot",
        "cumsum",
        "ravel",
        "swapaxes",
        "reshape",
        "clip",
    } <= CARD.keys()


@pytest.mark.parametrize("name", sorted(CARD))
@FEWER
@given(st.data())
def test_the_tensors_own_methods_and_operators(name, data):
    call, op = CARD[name]
    args, kwargs = data.draw(SQUARE if name == "__imatmul__" else calls(op.inputs))
    if name.startswith("__i") and name != "__imatmul__":  # the result must fit into the first operand
        args = (np.array(np.broadcast_arrays(*args)[0]), args[1])
    places = float_places(args)
    f, arrays = of_arrays(call, args, kwargs, places)
    kept = [x.copy() for x in arrays]
    expected, got = parts(f(*arrays)), parts(f(*[mg.tensor(x, requires_grad=True) for x in arrays]))
    for ours, numpys in zip(got, expected, strict=True):
        assert (ours.shape, ours.dtype) == (np.shape(numpys), numpys.dtype)
        np.testing.assert_allclose(ours.data, numpys, rtol=1e-14, atol=1e-14)
    for x, before in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(x, before)
    check_grads(f, *arrays, order=2)


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
    gradients = op.gradients
    for i in range(max(op.arity, 1)):
        asked = []

        def broken(g, out, operands, options, needs, i=i, asked=asked):
            found = gradients(g, out, operands, options, needs)
            if needs[i] is not None:
                right, found[i] = found[i], break_it(found[i])
                asked.append(1) if np.any(found[i] != right) else None  # of 0 a sign makes no difference
            return found

        monkeypatch.setattr(op, "gradients", broken)
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
        importlib.import_module("minigrad.rules.table"),
        "fitted",
        lambda g, shape: fits.append(1) or cut(g, shape),
    )
    caught = is_caught(op)
    assert caught == bool(fits)


def test_a_gradient_of_another_shape_is_refused():
    """Neither cropped nor read beyond its end."""
    for size in (2, 4):
        double = mg.rule(lambda x: 2 * x, lambda g, out, x, size=size: np.full(size, 2.0))
        with pytest.raises(ValueError, match="broadcast"):
            mg.grad(lambda x, double=double: np.sum(double(x)))(np.ones(3))
