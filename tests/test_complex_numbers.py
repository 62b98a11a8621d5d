"""Complex numbers: every rule that takes them, the convention, and what is refused."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import optim
from minigrad.checks.proof import of_arrays
from minigrad.gradient_check import check_grads
from minigrad.rules import OPS, Op
from minigrad.rules.conjugates import of_parts
from minigrad.rules.table import Composite
from minigrad.testing import calls

OF_REAL_NUMBERS = (np.fft.rfft, np.fft.ihfft, np.fft.rfft2, np.fft.rfftn, of_parts)
"""Their results alone are complex, in NumPy too."""
EVERY = sorted({op for op in OPS.values() if isinstance(op, Op)}, key=lambda op: op.name)
TAKES_COMPLEX = [op for op in EVERY if op.complex_numbers and op.function not in OF_REAL_NUMBERS]
REFUSES = [op for op in EVERY if op not in TAKES_COMPLEX]


FEWER = settings(max_examples=settings().max_examples // 3)


def without_phase(function):
    """Vectors of a complex matrix are determined up to a phase: what is left of a result without it."""

    def determined(*args, **kwargs):
        out = function(*args, **kwargs)
        if function.__name__ == "eigenpairs":
            return [np.abs(out), np.real(out[..., 0, :])]
        if function.__name__ == "singular_triples":
            m = args[0].shape[-2]
            u, s, v = out[..., :m, :], out[..., m, :], out[..., m + 1 :, :]
            return [np.abs(u), np.real(s), np.abs(v), u[..., :, :1] * np.swapaxes(v[..., :1], -1, -2)]
        return out

    determined.__name__ = function.__name__
    return determined


def turned(x, draw):
    """An array with an imaginary part that is smaller than the real one."""
    if isinstance(x, list):
        return [turned(each, draw) for each in x]
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        return np.asarray(x + 1j * (np.resize(draw, x.shape) if x.size else x))
    return x


def complex_call(op, data):
    args, kwargs = data.draw(calls(op.inputs))
    parts = np.array(data.draw(st.permutations([-0.31, -0.2, -0.11, 0.07, 0.14, 0.23, 0.33])))
    args = [np.complex128 if x is np.float64 else x for x in args]
    return tuple(turned(x, parts) for x in args), {k: v for k, v in kwargs.items() if k != "dtype"}


@pytest.mark.parametrize("op", TAKES_COMPLEX, ids=repr)
@FEWER
@given(st.data())
def test_of_complex_operands_both_parts_of_the_gradient_are_those_of_differences(op, data):
    args, kwargs = complex_call(op, data)
    f, arrays = of_arrays(without_phase(op.function), args, kwargs)
    check_grads(f, *arrays, order=2)


OF_ONE = [op for op in TAKES_COMPLEX if isinstance(op.function, np.ufunc) and op.function.nin == 1]
PLACES = [complex(x, y) for x in (-2.0, -0.5, 0.4, 3.0) for y in (-1.5, -0.3, 0.2, 3.0)]
ON_AXES = [complex(x, zero) for x in (-2.0, -0.5, 0.5, 2.0) for zero in (0.0, -0.0)]
ON_AXES += [complex(z.imag, z.real) for z in ON_AXES]


@pytest.mark.parametrize("derivative", [mg.grad, lambda f: mg.jit(mg.grad(f))], ids=["tape", "jit"])
@pytest.mark.parametrize("op", OF_ONE, ids=repr)
def test_gradients_are_right_in_every_quadrant_and_on_both_sides_of_a_cut(op, derivative):
    def loss(z):
        w = op.function(z)
        return 0.7 * np.real(w) + 1.3 * np.imag(w)

    gradient = derivative(loss)
    for z in PLACES + ON_AXES:
        slopes = gradient(np.array(z))
        if z.imag == 0 or z in PLACES:
            below, above = loss(np.array([complex(z.real + h, z.imag) for h in (-1e-6, 1e-6)]))
            assert slopes.real == pytest.approx((above - below) / 2e-6, rel=1e-5, abs=1e-8), z
        if z.real == 0 or z in PLACES:
            below, above = loss(np.array([complex(z.real, z.imag + h) for h in (-1e-6, 1e-6)]))
            assert slopes.imag == pytest.approx((above - below) / 2e-6, rel=1e-5, abs=1e-8), z


@pytest.mark.parametrize("op", REFUSES, ids=repr)
@FEWER
@given(st.data())
def test_other_rules_refuse_complex_operands(op, data):
    args, kwargs = complex_call(op, data)
    f, arrays = of_arrays(op.function, args, kwargs)
    if len(arrays) == 0:
        return
    with pytest.raises(TypeError):
        f(*[mg.tensor(x, requires_grad=True) for x in arrays])


def on_tape(x):
    if isinstance(x, list):
        return [on_tape(each) for each in x]
    return mg.tensor(x, requires_grad=True) if isinstance(x, np.ndarray) and x.dtype.kind == "c" else x


def outs(results):
    return results if isinstance(results, (tuple, list)) else [results]


COMPOSED = sorted({op for op in OPS.values() if isinstance(op, Composite)}, key=lambda op: op.name)
UP_TO_A_PHASE = {"eigh", "svd"}


@pytest.mark.parametrize("op", COMPOSED, ids=repr)
@FEWER
@given(st.data())
def test_functions_made_of_others_take_complex_operands_as_numpy_does_or_refuse_them(op, data):
    args, kwargs = complex_call(op, data)
    try:
        want = outs(op.function(*args, **kwargs))
    except (TypeError, np.exceptions.ComplexWarning):
        return
    try:
        got = outs(op.function(*map(on_tape, args), **kwargs))
    except TypeError as error:
        assert "no backward rule for complex numbers" in str(error)
        return
    for x, y in zip(got, want, strict=True):
        assert x.shape == np.shape(y)
        assert x.dtype == y.dtype or op.name == "cond"  # a complex number in NumPy 2.0
        np.testing.assert_allclose(mg.stop_gradient(x), y, rtol=1e-12, atol=1e-12)
    f, arrays = of_arrays(op.function, args, kwargs)
    alike = all(x.dtype == y.dtype for x, y in zip(got, want, strict=True))
    if arrays and alike and op.name not in UP_TO_A_PHASE:
        check_grads(f, *arrays)


def test_the_covariance_of_complex_numbers_is_hermitian():
    z = np.array([[1.0, 2j, 1 + 1j], [0.5, 1.0, -1j]])
    out = np.cov(mg.tensor(z, requires_grad=True))
    np.testing.assert_allclose(out.numpy(), np.cov(z), rtol=1e-15)
    assert out.numpy()[0, 1] == np.conj(out.numpy()[1, 0]) != out.numpy()[1, 0]


# -- the convention ----------------------------------------------------------------------------------------------


def test_the_gradient_is_the_direction_of_steepest_ascent():
    """|z|^2 has 2z, z^2's real part 2 conj(z)."""
    z = np.array([1.0 + 2.0j, -0.5j])
    np.testing.assert_allclose(mg.grad(lambda z: np.sum(np.abs(z) ** 2))(z), 2 * z, rtol=1e-15)
    np.testing.assert_allclose(mg.grad(lambda z: np.sum((z * z).real))(z), 2 * np.conj(z), rtol=1e-15)
    leaf = mg.tensor(z, requires_grad=True)
    for _ in range(200):
        leaf.grad = None
        (np.abs(leaf * 1j - 3.0) ** 2).sum().backward()
        with mg.no_grad():
            leaf -= 0.1 * leaf.grad
    np.testing.assert_allclose(leaf.data, -3j, atol=1e-9)


def test_backward_takes_the_gradient_in_the_same_convention():
    """Of a complex result w, ``backward(dL/dw)`` gives dL/dz."""
    z = mg.tensor([1.0 + 2.0j], requires_grad=True)
    w = z * (2 - 1j)
    w.backward(np.array([1j]))
    np.testing.assert_allclose(z.grad, 1j * (2 + 1j))


def test_a_real_operand_has_the_real_part():
    x = np.array([0.3, -1.2])
    got = mg.grad(lambda x: np.sum(np.abs(np.exp(1j * x) + x) ** 2))(x)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, 2 * np.cos(x) - 2 * x * np.sin(x) + 2 * x, rtol=1e-14)


@pytest.mark.parametrize("kind", [np.complex64, np.complex128])
def test_dtypes_stay(kind):
    z = mg.tensor(np.array([1.0 + 2.0j]), requires_grad=True, dtype=kind)
    loss = np.sum(np.abs(1j * z * 2.0))
    loss.backward()
    assert (loss.dtype, z.grad.dtype) == (np.zeros(1, kind).real.dtype, kind)


def test_at_0_the_subgradients_are_0():
    z = np.zeros(2, complex)
    assert not mg.grad(lambda z: np.sum(np.abs(z)))(z).any()
    assert not mg.grad(lambda z: np.sum(np.angle(z)))(z).any()


def test_a_complex_loss_is_refused():
    z = mg.tensor([1.0 + 2.0j], requires_grad=True)
    with pytest.raises(TypeError, match="only a real number has a gradient"):
        z.sum().backward()
    with pytest.raises(TypeError, match="real float"):
        mg.grad(np.sum)(z.data)


def test_compiled_it_is_the_same():
    z, x = np.array([1.0 + 2.0j, -0.5j]), np.array([0.3, -1.2])

    def both(z, x):
        return mg.grad(lambda z, x: np.sum(np.abs(z @ np.exp(1j * x) * z) ** 2), (0, 1))(z, x)

    compiled = mg.jit(both)
    for _ in range(2):
        for got, want in zip(compiled(z, x), both(z, x), strict=True):
            assert got.dtype == want.dtype
            np.testing.assert_allclose(got, want, rtol=1e-14)


def test_a_rule_of_ones_own_for_complex_numbers():
    """Of a holomorphic function it is that of real numbers; elsewhere conjugates go in and come out."""
    modulus = mg.rule(lambda z: np.abs(z), lambda g, out, z: g * np.conj(z) / out, complex_numbers=True)
    solved = mg.rule(
        lambda a, b: np.linalg.solve(a, b),
        lambda g, out, a, b: -np.outer(solved(a.T, g), out),
        lambda g, out, a, b: solved(a.T, g),
        complex_numbers=True,
    )
    a, b = np.array([[2.0 + 1j, 0.5], [1j, 3.0]]), np.array([1.0 - 2j, 0.3j])
    f, arrays = of_arrays(lambda a, b: modulus(solved(a, b)), (a, b), {})
    check_grads(f, *arrays, order=2)
    for of_reals in (a, a.real):
        ours = mg.grad(lambda a, b: np.sum(modulus(solved(a, b)) ** 3), (0, 1))
        theirs = mg.grad(lambda a, b: np.sum(np.abs(np.linalg.solve(a, b)) ** 3), (0, 1))(of_reals, b)
        for found in (ours(of_reals, b), mg.jit(ours)(of_reals, b)):
            for got, want in zip(found, theirs, strict=True):
                assert got.dtype == want.dtype
                np.testing.assert_allclose(got, want, rtol=1e-13)
    of_real_numbers = mg.rule(lambda z: np.abs(z), lambda g, out, z: g * np.sign(z))
    with pytest.raises(mg.TapeError, match="no backward rule for complex numbers"):
        mg.grad(lambda z: np.sum(of_real_numbers(z)))(b)


def test_the_absolute_value_has_the_gradient_0_at_0():
    z = np.array([0j, 3 + 4j, 1j])
    gradient = mg.grad(lambda z: np.sum(np.abs(z)))(z)
    np.testing.assert_allclose(np.abs(gradient), [0, 1, 1], rtol=1e-15)


def test_derivatives_for_several_arrays_some_of_them_complex():
    """Each by its definition: the pullback of several results, and differences along a direction."""
    rng = np.random.default_rng(0)

    def draw():
        return [rng.standard_normal(3) + 1j * rng.standard_normal(3), rng.standard_normal(3)]

    def several(p):
        z, x = p
        return [np.fft.fft(x) * np.conj(z), z * z * x, x**2]

    def loss(p):
        return sum(np.sum(np.abs(each + 1.5j) ** 3) for each in several(p))

    p, v, step = draw(), draw(), 1e-5
    ahead, behind = ([x + h * dx for x, dx in zip(p, v, strict=True)] for h in (step, -step))
    cotangents = [draw()[0], draw()[0], draw()[1]]
    expected = mg.grad(
        lambda p: sum(
            np.sum(np.real(np.conj(g) * out)) for g, out in zip(cotangents, several(p), strict=True)
        )
    )(p)
    pairs = [
        (mg.vjp(several, p)[1](cotangents)[0], expected),
        *(
            (got, [(b - a) / (2 * step) for a, b in zip(f(behind), f(ahead), strict=True)])
            for got, f in [
                (mg.jvp(several, (p,), (v,))[1], several),
                (mg.hvp(loss, (p,), (v,)), mg.grad(loss)),
                (mg.jit(lambda p, v: mg.hvp(loss, (p,), (v,)))(p, v), mg.grad(loss)),
            ]
        ),
    ]
    for got, want in pairs:
        for each, other in zip(got, want, strict=True):
            np.testing.assert_allclose(each, other, rtol=1e-6)


@pytest.mark.parametrize("rule", optim.update_rules.values(), ids=repr)
def test_update_rules_turn_with_complex_parameters(rule):
    """As steps of real numbers are, those of complex ones on one line through 0 are: the loss does not turn."""
    turn = np.exp(0.7j)
    real, turned = {"w": np.array([1.0, -3.0])}, {"w": np.array([1.0, -3.0]) * turn}
    states = [rule.init(params) for params in (real, turned)]
    for _ in range(5):
        real, states[0] = rule.update({"w": 2 * real["w"]}, states[0], real, learning_rate=0.1)
        turned, states[1] = rule.update({"w": 2 * turned["w"]}, states[1], turned, learning_rate=0.1)
        np.testing.assert_allclose(turned["w"], real["w"] * turn)
    clipped, norm = optim.clip_global_norm(turned, 0.5)
    np.testing.assert_allclose(norm, np.linalg.norm(real["w"]))
    np.testing.assert_allclose(np.linalg.norm(clipped["w"]), min(norm, 0.5))


def test_checkpoints_of_complex_functions():
    z, x = np.array([1 + 2j, -1j, 3.0]), np.array([0.5, 1.0, -2.0])

    def f(z, x):
        return np.conj(z) * z * np.exp(1j * x)

    def loss(f, p):
        return np.sum(np.abs(f(*p) - 1j) ** 3)

    want, got = (partial(loss, each) for each in (f, mg.checkpoint(f)))
    for derivative in (mg.grad, lambda loss: lambda p: mg.hvp(loss, (p,), (p,))):
        for way in (derivative(got), mg.jit(derivative(got))):
            for each, other in zip(way([z, x]), derivative(want)([z, x]), strict=True):
                np.testing.assert_allclose(each, other, rtol=1e-12, strict=True)


def test_real_and_complex_arrays_in_one_vector():
    tree = {"z": np.array([1 + 2j]), "x": np.array([3.0])}
    vector, unflatten = mg.flatten(tree)
    for name, each in unflatten(vector).items():
        np.testing.assert_array_equal(each, tree[name], strict=True)


@pytest.mark.parametrize("copies", [1, 2])
def test_a_jacobian_of_complex_results_is_that_of_small_real_steps(copies):
    """Whichever of its sides is longer; of a holomorphic function the complex derivatives."""
    z, x = np.array([1 + 2j, -1j, 3.0]), np.array([0.5, 1.0, -2.0])

    def f(p):
        return np.concatenate([p[0] * p[0] * p[1]] * copies)

    by_z, by_x = mg.jacobian(f)([z, x])
    np.testing.assert_allclose(by_z, np.concatenate([np.diag(2 * z * x)] * copies))
    np.testing.assert_allclose(by_x, np.concatenate([np.diag(z * z)] * copies))
    np.testing.assert_allclose(mg.jacobian(lambda x: np.exp(1j * x))(x), np.diag(1j * np.exp(1j * x)))
    np.testing.assert_allclose(mg.jacobian(lambda z: np.abs(z) ** 2)(z), np.diag(2 * z))


def test_the_sign_of_a_complex_number_turns_with_it_and_that_of_a_real_one_does_not():
    z = np.array([1 + 2j, -3 + 0.5j, 0.1j])

    def f(z):
        return np.sum(np.abs(np.sign(z) - 0.3) ** 2)

    def by_abs(z):
        return np.sum(np.abs(z / np.abs(z) - 0.3) ** 2)

    expected = mg.grad(by_abs)(z)
    assert np.abs(expected).min() > 0.01
    for found in (mg.grad(f)(z), mg.jit(mg.grad(f))(z)):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(mg.grad(lambda z: np.sum(np.real(np.sign(z))))(np.array([0j, 2.0])), 0)
    x = mg.tensor(np.array([1.0, -2.0, 0.0]), requires_grad=True)
    assert not np.sign(x).requires_grad
    assert np.sign(x, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize("power", [np.power, np.float_power])
@pytest.mark.parametrize("base", [np.array([-1.4, 2.0, -3.0]), np.array([-2, 3, -1]), -2.5])
def test_a_negative_base_of_a_complex_exponent_has_a_complex_logarithm(power, base):
    y = np.array([1 + 2j, -0.3 + 0.5j, 0.2j])

    def f(y):
        return np.sum(np.real(power(base, y)))

    expected = np.conj(power(base, y) * np.log(np.asarray(base, complex)))
    for found in (mg.grad(f)(y), mg.jit(mg.grad(f))(y)):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def with_parts_set(x, p):
    z = x * (1 + 1j)
    before = z * 2
    z.real = p
    z.imag = -z.imag * p
    other = z.copy()
    other.imag, other.real = [1.0, 2.0], 0
    number = x * 1
    number.real = p
    return np.sum(np.abs(z * before + other) ** 2) + np.sum(number * x)


def with_parts_summed(x, p):
    z = p - 1j * x * p
    return np.sum(np.abs(z * (x * (2 + 2j)) + np.array([1j, 2j])) ** 2) + np.sum(p * x)


def test_the_real_and_the_imaginary_part_are_written_to():
    for dtype in (np.float64, np.float32):
        x, p = np.array([1.0, -2.0], dtype), np.array([0.3, 0.6], dtype)
        want = mg.value_and_grad(with_parts_summed, argnums=(0, 1))(x, p)
        gradients = mg.value_and_grad(with_parts_set, argnums=(0, 1))
        for got in (gradients(x, p), mg.jit(gradients)(x, p)):
            np.testing.assert_allclose(got[0], want[0], rtol=1e-5)
            for each, exact in zip(got[1], want[1], strict=True):
                assert each.dtype == dtype
                np.testing.assert_allclose(each, exact, rtol=1e-5)
        np.testing.assert_allclose(mg.jit(with_parts_set)(x, p), with_parts_set(x, p), rtol=1e-5)


def test_a_part_may_be_infinite_and_must_be_real():
    def f(x):
        z = x + 1j
        z.real = x * np.inf
        return z

    for got in (f(mg.tensor(np.ones(2))).numpy(), mg.jit(f)(np.ones(2))):
        np.testing.assert_array_equal(got, np.full(2, complex(np.inf, 1)))
    for z in (mg.tensor(np.ones(2)), mg.tensor(np.ones(2) + 1j)):
        with pytest.raises(TypeError, match=r"no imaginary part|np\.real"):
            z.imag = np.array([1j, 2j])
    leaf = mg.tensor(np.ones(2) + 1j, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf"):
        leaf.imag = 0.0
