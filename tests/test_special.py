"""SciPy's special functions: every rule in their table, found through the table alone; their tails; what is refused."""

import math
import subprocess
import sys

import numpy as np
import pytest
from derivatives import curvature, differentiated, flat, parts
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import fft, linalg, signal, stats
from scipy import special as sp

import minigrad as mg
from minigrad.checks.proof import of_arrays
from minigrad.gradient_check import GradientMismatch, check_grads
from minigrad.rules import OPS, Op
from minigrad.rules.special import SPECIAL
from minigrad.rules.table import full_name
from minigrad.testing import calls

EVERY_OP = pytest.mark.parametrize(
    "op", sorted(SPECIAL.values(), key=lambda op: (op.name, type(op).__name__)), ids=repr
)
FEW = settings(max_examples=3)


def as_function(op, args):
    """The call as a function of its float arrays alone, and those arrays."""
    return of_arrays(op.function, args, {})


@EVERY_OP
@FEW
@given(st.data())
def test_gradient_is_that_of_differences_and_so_is_the_second(op, data):
    args, _ = data.draw(calls(op.inputs))
    f, arrays = as_function(op, args)
    check_grads(f, *arrays, order=2)


@EVERY_OP
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
@settings(max_examples=1)
@given(st.data())
def test_value_and_dtype_are_scipys_for_every_shape(op, dtype, data):
    args, _ = data.draw(calls(op.inputs, dtype))
    for shape in [(), (0,), (2, 1), (1, 3)]:
        some = [np.resize(x, shape) if isinstance(x, np.ndarray) else x for x in args]
        f, arrays = as_function(op, some)
        leaves = [mg.tensor(x, requires_grad=True) for x in arrays]
        for got, want in zip(parts(f(*leaves)), parts(f(*arrays)), strict=True):
            assert (got.shape, got.dtype) == (np.shape(want), want.dtype)
            np.testing.assert_array_equal(got.data, want)
        grads, exact = (
            differentiated(f, len(arrays))(*[x.astype(kind) for x in arrays])[1]
            for kind in (dtype, np.float64)
        )
        tolerance = 64 * float(np.finfo(dtype).eps)
        for x, g, reference in zip(arrays, grads, exact, strict=True):
            assert (g.shape, g.dtype) == (x.shape, dtype)
            scale = max(1.0, float(np.max(np.abs(reference), initial=0)))
            np.testing.assert_allclose(g, reference, rtol=tolerance, atol=tolerance * scale)


@EVERY_OP
@settings(max_examples=2)
@given(st.data())
def test_compiled_it_is_what_it_is_as_written(op, data):
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))
    args, _ = data.draw(calls(op.inputs, dtype))
    f, arrays = as_function(op, args)
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    for derivative in (differentiated, curvature):
        derived = derivative(f, len(arrays))
        compiled, expected = mg.jit(derived), flat(derived(*arrays))
        for got, want in zip(flat(compiled(*arrays)), expected, strict=True):
            assert (np.shape(got), np.asarray(got).dtype) == (np.shape(want), np.asarray(want).dtype)
            np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


@EVERY_OP
@settings(max_examples=1)
@given(st.data())
def test_a_broken_rule_is_caught(op, data):
    """Each operand's in turn, off by a constant."""
    args, _ = data.draw(calls(op.inputs))
    some = [np.resize(x, (2,)) if isinstance(x, np.ndarray) else x for x in args]
    f, arrays = as_function(op, some)
    broken = op if isinstance(op, Op) else next(each for each in SPECIAL.values() if each.name == op.name)
    right = broken.gradients
    for i in [i for i, x in enumerate(some) if isinstance(x, np.ndarray)]:

        def wrong(g, out, operands, options, needs, i=i):
            found = right(g, out, operands, options, needs)
            return [
                x + 1e-4 if j == i and need is not None else x
                for j, (x, need) in enumerate(zip(found, needs, strict=True))
            ]

        broken.gradients = wrong
        try:
            with pytest.raises(GradientMismatch):
                check_grads(f, *arrays)
        finally:
            del broken.gradients


# -- where a formula as in the books would lose digits or have a pole --------------------------------------------------


@pytest.mark.parametrize(
    ("f", "x", "first", "second"),
    [
        (sp.erfcx, 1e4, -(1e-8 - 1.5e-16) / math.sqrt(math.pi), 2e-12 / math.sqrt(math.pi)),
        (sp.erfcx, 16.0, None, None),
        (sp.dawsn, 1e4, -(0.5e-8 + 0.75e-16), 1e-12),
        (sp.dawsn, -16.0, None, None),
        (sp.log_ndtr, -1e4, 1e4 + 1e-4, -1 + 1e-8),
        (sp.log_ndtr, 40.0, 0.0, 0.0),
        (sp.log_ndtr, 0.0, 2 / math.sqrt(2 * math.pi), -2 / math.pi),
        (sp.expit, 40.0, math.exp(-40), -math.exp(-40)),
        (sp.exprel, 0.0, 1 / 2, 1 / 3),
        (sp.exprel, 1e-13, 1 / 2, 1 / 3),
        (sp.ellipk, 0.0, math.pi / 8, 9 * math.pi / 64),
        (sp.ellipkm1, 1.0, -math.pi / 8, 9 * math.pi / 64),
        (sp.ellipe, 0.0, -math.pi / 8, -3 * math.pi / 64),
        (sp.spence, 1.0, -1.0, 1 / 2),
        (sp.rgamma, -3.0, -6.0, None),
        (sp.rgamma, 0.0, 1.0, 2 * np.euler_gamma),
        (sp.j1, 0.0, 1 / 2, 0.0),
        (sp.i1, 0.0, 1 / 2, 0.0),
        (lambda x: sp.boxcox(3.0, x), 0.0, math.log(3) ** 2 / 2, math.log(3) ** 3 / 3),
        (lambda x: sp.huber(1.0, x), 0.5, 0.5, 1.0),
        (lambda x: sp.pseudo_huber(x, 1e-7), 1.0, 0.25e-28, None),
        (lambda x: sp.xlogy(x, 0.5), 0.0, -math.log(2), 0.0),
        (lambda y: sp.xlogy(0.0, y), 0.0, 0.0, None),
        (lambda y: sp.kl_div(0.0, y), 0.0, 1.0, None),
        (lambda x: sp.shichi(x)[0], 1e-8, 1.0, 1e-8 / 3),
        (lambda x: sp.shichi(x)[0], 0.0, 1.0, 0.0),
        (lambda x: sp.sici(x)[0], 0.0, 1.0, 0.0),
    ],
)
def test_tails_and_poles(f, x, first, second):
    slope = mg.grad(f)
    if first is None:  # where two forms meet
        at = np.array([x * (1 - 1e-14), x, x * (1 + 1e-14)])
        for derivative in (mg.elementwise_grad(f), mg.elementwise_grad(mg.elementwise_grad(f))):
            np.testing.assert_allclose(derivative(at), derivative(at)[1], rtol=1e-9)
        return
    np.testing.assert_allclose(slope(x), first, rtol=1e-12, atol=1e-300)
    if second is not None:
        np.testing.assert_allclose(mg.grad(slope)(x), second, rtol=1e-6, atol=1e-15)


def test_a_kink_has_the_subgradient_0():
    assert mg.grad(sp.i0e)(0.0) == 0
    assert mg.grad(lambda r: sp.huber(1.0, r))(0.0) == 0


SEVERAL = [
    f for f, op in SPECIAL.items() if isinstance(f, np.ufunc) and f.nin > 1 and f.__name__ != "_lambertw"
]


@pytest.mark.parametrize("ufunc", SEVERAL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float32], ids=lambda dtype: dtype.__name__)
def test_other_operands_of_any_dtype(ufunc, dtype):
    """Narrow and unsigned integers wrap when one is subtracted, and their logarithms are float16."""
    x, others = np.array([0.25, 0.5, 0.75]), np.array([1, 2, 3], dtype)
    for i, rule in enumerate(SPECIAL[ufunc].rules):
        if not (rule.__doc__ or "").startswith("No gradient"):
            slopes = []
            for y in (others, others.astype(np.float64)):

                def f(x, y=y, i=i):
                    return np.sum(ufunc(*[x if j == i else y for j in range(ufunc.nin)]))

                with np.errstate(all="ignore"):
                    slopes.append(mg.grad(f)(x))
            np.testing.assert_allclose(*slopes, rtol=1e-6 if dtype is np.float32 else 1e-12)


# -- refused by name ---------------------------------------------------------------------------------------------------

WITHOUT = [
    (function, i)
    for function, op in SPECIAL.items()
    if isinstance(op, Op)
    for i, rule in enumerate(op.rules)
    if (rule.__doc__ or "").startswith("No gradient")
]


@pytest.mark.parametrize(("function", "i"), WITHOUT, ids=lambda x: getattr(x, "__name__", None))
def test_an_operand_without_a_derivative_is_refused_by_name(function, i):
    op = SPECIAL[function]
    operands = [mg.tensor(0.5, requires_grad=j == i) for j in range(function.nin)]
    with pytest.raises(
        TypeError, match=rf"scipy\.special.*{function.__name__}: no gradient .* {op.known[i]}[:;]"
    ):
        function(*operands)


def test_a_function_without_a_rule_says_so_and_computes_where_no_gradient_is_needed():
    t = mg.tensor([0.5, 1.5], requires_grad=True)
    with pytest.raises(TypeError, match=r"scipy\.special\.agm has no backward rule"):
        sp.agm(t, 1.0)
    np.testing.assert_array_equal(sp.agm(t.detach(), 1.0).numpy(), sp.agm([0.5, 1.5], 1.0))
    with pytest.raises(TypeError, match=r"_riemann_zeta has no backward rule.*with respect to q"):
        sp.zeta(t)
    with pytest.raises(TypeError, match=r"scipy\.special\.jv: no backward rule with dtype"):
        sp.jv(1, t, dtype=np.float64)
    assert not sp.gammasgn(t).requires_grad


@pytest.mark.parametrize(
    ("f", "instead", "expected"),
    [
        (lambda t: sp.softmax(t, axis=0), lambda t: mg.softmax(t, axis=0), None),
        (lambda t: sp.log_softmax(t, axis=0), lambda t: mg.log_softmax(t, axis=0), None),
        (lambda t: sp.logsumexp(t, axis=None), lambda t: mg.logsumexp(t, axis=None), None),
        (lambda t: sp.logsumexp(t, b=2.0), lambda t: mg.logsumexp(t + np.log(2.0), axis=None), None),
        (
            lambda t: sp.polygamma(2, t),
            lambda t: (-1.0) ** (2 + 1) * sp.gamma(2 + 1) * sp.zeta(2 + 1, t),
            None,
        ),
        (
            lambda t: sp.multigammaln(t, 2),
            lambda t: 2 * 1 / 4 * np.log(np.pi) + np.sum(sp.gammaln(t[..., None] - np.arange(2) / 2), -1),
            None,
        ),
        (lambda t: sp.factorial(t, exact=False), lambda t: sp.gamma(t + 1), lambda x: sp.gamma(x + 1)),
    ],
)
def test_functions_of_arrays_alone_name_what_to_write(f, instead, expected):
    x = np.array([2.5, 3.5, 4.5])
    with pytest.raises(TypeError, match=r"scipy\.special\.\w+\.\w+, called at .*; write "):
        f(mg.tensor(x, requires_grad=True))
    np.testing.assert_allclose(instead(x), (expected or f)(x), rtol=1e-12)
    check_grads(instead, x, order=2)


# -- where the rules come from -----------------------------------------------------------------------------------------


def test_scipy_is_imported_by_no_one_else_and_the_rules_when_they_are_needed():
    code = """
import sys
import minigrad as mg
assert not [name for name in sys.modules if name.startswith("scipy")]
from scipy import fft, linalg, signal, stats
from scipy import special as sp
t = mg.tensor([0.5], requires_grad=True)
t * t, sp.erf(t.detach()), mg.jit(sp.erf)(t.data)
assert "minigrad.rules.special" not in sys.modules
sp.erf(t).sum().backward()
assert "minigrad.rules.special" in sys.modules and t.grad[0] > 0
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_rule_of_ones_own_comes_first(monkeypatch):
    before = mg.grad(sp.erf)(0.5)
    monkeypatch.setitem(OPS, sp.erf, None)  # undone at the end
    mg.rule(sp.erf, lambda g, out, x: 3 * g)
    assert mg.grad(sp.erf)(0.5) == 3 != before


def test_the_tables_have_nothing_in_common():
    assert not OPS.keys() & SPECIAL.keys()
    for function, op in SPECIAL.items():
        if isinstance(function, np.ufunc):
            assert full_name(function).startswith("scipy.special.")
            assert op.function is function


def test_methods_of_ufuncs_with_two_operands():
    x, y = np.array([0.5, 1.5]), np.array([1.0, 2.0, 3.0])
    check_grads(lambda x, y: sp.xlogy.outer(x, y), x, y, order=2)


def test_the_source_of_a_compiled_function_imports_them_by_name():
    @mg.jit
    def f(x):
        return np.expm1(x) + sp.expm1(x) + sp.gammaln(x)

    x = np.array([0.5, 1.5])
    np.testing.assert_allclose(f(x), 2 * np.expm1(x) + sp.gammaln(x), rtol=1e-15)
    assert "from scipy.special import expm1 as expm1_2, gammaln" in f.source
    assert "expm1_2(x" in f.source


def test_compiled_an_integer_beside_an_array_stays_one():
    """SciPy's polynomials compute otherwise for a float."""
    x = np.linspace(-0.9, 0.9, 7)
    np.testing.assert_array_equal(mg.jit(lambda x: sp.eval_legendre(9, x))(x), sp.eval_legendre(9, x))


@pytest.mark.parametrize(
    "call",
    [
        lambda t: linalg.solve_triangular(t, np.ones(2)),
        lambda t: linalg.expm(t),
        lambda t: fft.dct(t),
        lambda t: stats.norm.logpdf(t),
        lambda t: signal.convolve(t, t),
    ],
)
def test_functions_of_scipys_other_modules_say_what_to_write(call):
    for f in (mg.grad(lambda t: np.sum(np.abs(call(t)))), mg.jit(call)):
        with pytest.raises(TypeError, match=r"write it with (NumPy's functions|scipy\.special's)"):
            f(np.eye(2))


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda t: linalg.inv(t), r"write np\.linalg\.inv"),
        (lambda t: linalg.cholesky(t), r"write np\.linalg\.cholesky, of which the factor is lower"),
        (lambda t: fft.fft2(t), r"write np\.fft\.fft2"),
    ],
)
def test_functions_that_numpy_has_too_are_named(call, instead):
    for f in (mg.grad(lambda t: np.sum(np.abs(call(t)))), mg.jit(call)):
        with pytest.raises(TypeError, match=instead):
            f(np.eye(2))


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda t: linalg.cho_factor(t), "cho_factor"),
        (lambda t: linalg.eigh(t), "eigh"),
        (lambda t: linalg.solve_triangular(t, np.ones(2)), "solve_triangular"),
        (lambda t: fft.dct(t), "dct"),
    ],
)
def test_a_decorated_function_of_scipys_is_called_by_its_own_name(function, name):
    with pytest.raises(TypeError, match=rf"^scipy\.[a-z_.]*\.{name}, called at .*test_special\.py"):
        mg.grad(lambda t: np.sum(function(t)))(np.eye(2))


@pytest.mark.parametrize(
    "function", [sp.wofz, sp.erf, sp.erfc, sp.erfi], ids=lambda function: function.__name__
)
def test_error_functions_of_complex_numbers(function):
    def f(z):
        return 0.7 * np.real(function(z)) + 1.3 * np.imag(function(z))

    far = [20 + 0.1j, -30 + 5j, 20 - 0.1j, 3 - 18j] if function is sp.wofz else []
    for z in np.array([0.4 + 0.3j, -2 + 1.5j, -0.5 - 0.3j, 2 - 1.5j, 1 + 0j, *far]):
        slopes = [(f(z + step) - f(z - step)) / 2e-5 for step in (1e-5, 1e-5j)]
        for derivative in (mg.grad(f), mg.jit(mg.grad(f))):
            got = derivative(np.array(z))
            np.testing.assert_allclose([got.real, got.imag], slopes, rtol=1e-5, atol=1e-9 * abs(function(z)))


def test_a_line_shape_is_differentiated():
    def voigt(x, sigma, gamma):
        w = sp.wofz((x + 1j * gamma) / (sigma * np.sqrt(2)))
        return np.sum(np.real(w)) / (sigma * np.sqrt(2 * np.pi))

    x = np.linspace(-3, 3, 7)
    assert float(voigt(x, 0.3, 0.2)) == pytest.approx(np.sum(sp.voigt_profile(x, 0.3, 0.2)))
    check_grads(voigt, x, np.array(0.3), np.array(0.2), order=2)
