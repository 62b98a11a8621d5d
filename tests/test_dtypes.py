"""Operands of every dtype, and options of NumPy's integers: NumPy's values, and the gradients that float64 gives."""

from itertools import product

import numpy as np
import pytest
from derivatives import compiles, differentiated, flat, parts
from hypothesis import example, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.checks.proof import RandomDraw, float_places, of_arrays
from minigrad.rules import OPS
from minigrad.rules.table import full_name
from minigrad.testing import calls

EVERY_OP = pytest.mark.parametrize(
    "op", sorted(set(OPS.values()), key=lambda op: op.name), ids=lambda op: op.name
)
FEW = settings(max_examples=settings().max_examples // 5)


def narrow(x):
    """The integers among options as the narrowest of NumPy's."""
    if type(x) is int and -128 <= x < 256:
        return np.uint8(x) if x >= 0 else np.int8(x)
    return tuple(map(narrow, x)) if type(x) is tuple else x


def accepted(function, args, kwargs):
    """Whether NumPy takes such a call, and does not warn that an option wraps in its own arithmetic."""
    try:
        function(*args, **kwargs)
    except (TypeError, ValueError, IndexError, OverflowError, RuntimeError, RuntimeWarning):
        return False
    return True


@EVERY_OP
@FEW
@given(st.data())
def test_options_that_are_numpys_integers(op, data):
    args, kwargs = data.draw(calls(op.inputs))
    others = [narrow(x) for x in args], {name: narrow(x) for name, x in kwargs.items()}
    if not accepted(op.function, *others):
        return
    f, arrays = of_arrays(op.function, args, kwargs)
    g, _ = of_arrays(op.function, *others)
    for got, want in zip(
        flat(differentiated(g, len(arrays))(*arrays)),
        flat(differentiated(f, len(arrays))(*arrays)),
        strict=True,
    ):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, np.float32], ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize(
    "ufunc",
    [op for op in OPS if isinstance(op, np.ufunc) and op.nin == 2 and op.signature is None and op.nout == 1],
)
def test_an_operand_of_another_dtype(ufunc, dtype):
    """Entries that wrap when they are negated, squared or lessened by one, where the dtype is narrow."""
    others = np.array([100, 1, 2, 3], dtype)
    x = np.array([1.25, 0.5, 1.5, 2.25])
    for f in (lambda t, y: ufunc(t, y), lambda t, y: ufunc(y, t)):
        if not accepted(f, (x, others), {}):
            continue
        for y in (others, others[1]):
            with np.errstate(all="ignore"):
                exact = y if ufunc is np.ldexp else y.astype(np.float64)
                got = differentiated(lambda t, y=y, f=f: f(t, y), 1)(x)
                want = differentiated(lambda t, y=exact, f=f: f(t, y), 1)(x)
            for a, b in zip(flat(got), flat(want), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-6)


DTYPES = [
    *[np.bool_, np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64, np.uint64],
    *[np.float16, np.float32, np.longdouble],
]
REAL = [op for op in EVERY_OP.args[1] if op.inputs is not None and compiles(op) and op.name != "polyfit"]
"""Not those whose results have other shapes where rounding is another; nor fits at booleans, too few to fit through."""
ROUNDED = {"cond", "corrcoef", "cov", "gradient", "lstsq"}
"""Computed in other steps than NumPy's: the value is NumPy's up to rounding."""
UNORDERED = {"partition", "argpartition"}
"""NumPy's order within the parts depends on the dtype."""


def in_dtype(x, dtype):
    """Numbers like x, of a dtype: of both signs where it has them, and no smaller than it can tell apart."""
    kind = np.dtype(dtype).kind
    if kind == "f":
        return x.astype(dtype)
    if kind == "b":
        return x > 0
    return (np.abs(np.rint(x * 3)) if kind == "u" else np.rint(x * 3)).astype(dtype)


def with_operand(args, place, x):
    i, j = place
    new = [list(arg) if isinstance(arg, list) else arg for arg in args]
    if isinstance(args[i], list):
        new[i][j] = x
    else:
        new[i] = x
    return new


def operand(args, place):
    i, j = place
    return args[i][j] if isinstance(args[i], list) else args[i]


def cases(op):
    """Calls of an op in which one operand is of another dtype, as an array or as one of NumPy's numbers."""
    for seed in range(2):
        args, options = op.inputs(RandomDraw(seed))
        places = float_places(args)
        if any(operand(args, place).dtype.kind == "c" for place in places):
            continue
        for dtype, place in product(DTYPES, places):
            x = in_dtype(operand(args, place), dtype)
            numbers = [x.flat[0]] if x.size and not full_name(op.function).startswith("minigrad") else []
            for other in [x, *numbers]:
                full = with_operand(args, place, other)
                if accepted(op.function, full, options):
                    yield full, options, places, place


@pytest.mark.parametrize("op", REAL, ids=lambda op: op.name)
@pytest.mark.filterwarnings("ignore")
def test_values_are_numpys(op):
    """Of the same dtype, bit for bit."""
    for args, options, places, _ in cases(op):
        given = args
        for place in places:
            x = operand(args, place)
            if isinstance(x, np.ndarray) and x.dtype.kind == "f":
                given = with_operand(given, place, mg.tensor(x, requires_grad=True))
        with np.errstate(all="ignore"):
            for got, want in zip(
                parts(op.function(*given, **options)), parts(op.function(*args, **options)), strict=True
            ):
                got, want = np.asarray(mg.stop_gradient(got)), np.asarray(want)
                assert got.dtype == want.dtype
                if op.name in ROUNDED:
                    dtypes = [got.dtype, *(np.asarray(operand(args, place)).dtype for place in places)]
                    tolerance = 8 * max([2**-52, *(float(np.finfo(d).eps) for d in dtypes if d.kind == "f")])
                    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
                else:
                    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("op", [op for op in REAL if op.name not in UNORDERED], ids=lambda op: op.name)
@pytest.mark.filterwarnings("ignore")
def test_gradients_are_those_of_float64(op):
    """To the precision of the dtype: for the operand itself, where it is of floats, and for the others."""
    for args, options, places, place in cases(op):
        x = operand(args, place)
        exact = with_operand(args, place, np.asarray(x, np.float64)[()])
        eps = float(max(np.finfo(x.dtype).eps, 2**-52)) if x.dtype.kind == "f" else 2**-52
        own = [place] if x.dtype.kind == "f" and isinstance(x, np.ndarray) else []
        for chosen in (own, [each for each in places if each != place]):
            out = op.function(*exact, **options)
            if not chosen or any(np.asarray(part).dtype.kind != "f" for part in parts(out)):
                continue
            f, arrays = of_arrays(op.function, args, options, chosen)
            reference, others = of_arrays(op.function, exact, options, chosen)
            if any(np.asarray(part).dtype.kind != "f" for part in parts(f(*arrays))):
                continue
            with np.errstate(all="ignore"):
                got = flat(differentiated(f, len(arrays))(*arrays)[1])
                want = flat(differentiated(reference, len(others))(*others)[1])
            for g, w, array in zip(got, want, arrays, strict=True):
                assert g.dtype == array.dtype
                size = max(np.max(np.abs(w[np.isfinite(w)]), initial=0), 1)
                np.testing.assert_allclose(g.astype(float), w, rtol=200 * eps, atol=200 * eps * size)


# -- dtype= -----------------------------------------------------------------------------------------------------------


CAST = {
    **{f.__name__: f for f in (np.sum, np.prod, np.cumsum, np.cumprod, np.mean, np.var, np.std)},
    **{f.__name__: f for f in (np.nansum, np.nanprod, np.nancumsum, np.nancumprod, np.nanmean, np.nanvar)},
    "add.reduce": np.add.reduce,
    "multiply.reduce": np.multiply.reduce,
    "add.accumulate": np.add.accumulate,
    "multiply.accumulate": np.multiply.accumulate,
    "the method": lambda x, dtype: x.prod(dtype=dtype),
}


@pytest.mark.parametrize("name", CAST)
@pytest.mark.parametrize("own", [np.float64, np.float32, np.complex128], ids=lambda own: own.__name__)
@pytest.mark.parametrize(
    "dtype",
    [np.float64, np.float32, np.float16, np.complex128, np.int64, np.uint8, np.bool_],
    ids=lambda dtype: dtype.__name__,
)
@pytest.mark.filterwarnings("ignore")
def test_dtype_given_to_a_reduction(name, own, dtype):
    """The value is NumPy's; the gradient is that of the array cast first: of integers, none."""
    f = CAST[name]
    x = np.array([1.5, -2.25, 0.75, 3.5]).astype(own)
    x = x + 0.5j if own is np.complex128 else x
    t = mg.tensor(x, requires_grad=True)
    if own is np.complex128 and np.dtype(dtype).kind == "f":
        with pytest.raises(
            TypeError, match=r"^numpy\.\w+: dtype is float\d+, which would drop the imaginary"
        ):
            f(t, dtype=dtype)
        return
    try:
        want = np.asarray(f(x, dtype=dtype))
    except TypeError:
        with pytest.raises(TypeError):
            f(t, dtype=dtype)
        return
    got = f(t, dtype=dtype)
    np.testing.assert_array_equal(got.numpy(), want, strict=True)
    assert got.requires_grad == (np.dtype(dtype).kind in "fc")
    if got.requires_grad:
        got.backward(np.ones(want.shape, want.dtype))
        u = mg.tensor(x, requires_grad=True)
        exact = f(u, dtype=None)
        exact.backward(np.ones(exact.shape, exact.dtype))
        assert t.grad.dtype == x.dtype
        eps = max(np.finfo(each).eps for each in (own, dtype))
        np.testing.assert_allclose(t.grad, u.grad, rtol=50 * eps, atol=50 * eps)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: np.trace(np.outer(t, t), dtype=np.float32),
        lambda t: np.add(t, t, dtype=np.float32),
        lambda t: np.einsum("i->", t, dtype=np.float32),
        lambda t: np.add.reduceat(t, [0], dtype=np.float32),
    ],
)
def test_dtype_where_no_rule_knows_it(call):
    with pytest.raises(TypeError, match=r"^numpy\.[\w.]+: no backward rule"):
        call(mg.tensor([1.0, 2.0], requires_grad=True))


MIXED = st.sampled_from(["bool", "int8", "uint8", "int16", "int64", "float16", "float32", "float64"])
BOUND = st.one_of(MIXED.map(lambda dtype: np.array([1, 0, 1], dtype)), st.sampled_from([0.1, 1, 2.5, True]))


@example("bool", "float32", 1, 0)
@example("int16", "float32", 2.5, 2)
@given(MIXED, st.sampled_from(["float16", "float32"]), BOUND, st.integers(0, 2))
def test_functions_of_three_promote_them_all_at_once(dtype, of_floats, bound, place):
    """Not two of them first: a bool and 0 make an integer, and that with float32 a float64."""
    operands = [np.array([1, 0, 1], dtype), bound]
    operands.insert(place, np.array([0.5, 1.5, 0.25], of_floats))
    masks = [np.array([True, False, False]), np.array([True, True, False])]
    functions = [np.clip, lambda *xs: np.select(masks, xs[:2], xs[2])]
    for f in functions[: 1 if place == 2 else 2]:  # NumPy does not ask a default that is a tensor
        try:
            expected = f(*operands)
        except (OverflowError, TypeError):
            continue
        given = [*operands]
        given[place] = mg.tensor(operands[place], requires_grad=True)
        got = f(*given).numpy()
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
