"""Transformations of random programs, and of functions with known derivatives."""

import gc
import operator
import tracemalloc
import warnings
import weakref
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given

import minigrad as mg
from minigrad.gradient_check import check_grads
from minigrad.testing import arrays_for, programs

A = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])


def wide(x):
    return np.sin(np.stack([x[0], x[1], x[0] * x[1]])) * x[0]


def narrow(x):
    return np.stack([np.sum(x**2), np.prod(x)])


def differences(f, x, h=1e-6):
    """The Jacobian of f by central differences."""
    columns = [(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(x.size).reshape(-1, *x.shape)]
    return np.stack(columns, axis=-1).reshape(*np.shape(f(x)), *x.shape)


@pytest.mark.parametrize(("f", "n"), [(wide, 2), (narrow, 3)], ids=["columns", "rows"])
def test_the_jacobian_is_that_of_differences_in_either_mode(f, n):
    x = np.linspace(0.5, 1.5, n)
    expected = differences(f, x)
    np.testing.assert_allclose(mg.jacobian(f)(x), expected, atol=1e-8)
    np.testing.assert_allclose(mg.jit(mg.jacobian(f))(x), expected, atol=1e-8)
    v, u = np.linspace(1, 2, n), np.linspace(-1, 3, len(expected))
    value, tangent = mg.jvp(f, (x,), (v,))
    np.testing.assert_array_equal(value, f(x))
    np.testing.assert_allclose(tangent, expected @ v, atol=1e-8)
    value, pullback = mg.vjp(f, x)
    np.testing.assert_array_equal(value, f(x))
    np.testing.assert_allclose(pullback(u)[0], u @ expected, atol=1e-8)
    np.testing.assert_allclose(pullback(2 * u)[0], 2 * u @ expected, atol=1e-8)
    assert type(tangent) is type(value) is np.ndarray


@pytest.mark.parametrize(
    "f", [np.square, mg.softmax, mg.checkpoint(np.square)], ids=["square", "softmax", "checkpoint"]
)
def test_a_pullback_from_outside_brings_nothing_else_onto_the_tape(f):
    """It is linear in its cotangent, and nobody can differentiate for the arguments of its function any more."""
    x, v = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0])
    _, pullback = mg.vjp(f, x)
    expected = differences(f, x)
    value, gradient = mg.value_and_grad(lambda u: np.sum(pullback(u)[0]))(v)
    np.testing.assert_allclose(gradient, expected.sum(axis=1), atol=1e-8)
    jacobian = mg.jacobian(lambda u: pullback(u)[0])(v)
    np.testing.assert_allclose(jacobian, expected.T, atol=1e-8)
    derivative = mg.jvp(lambda u: pullback(u)[0] * u, (v,), (v,))
    assert {type(each) for each in (value, gradient, jacobian, *derivative)} == {np.float64, np.ndarray}


@given(programs())
def test_forward_and_reverse_mode_are_each_others_transpose(program):
    """<u, J v> = <J^T u, v>, for random programs."""
    rng = np.random.default_rng(0)
    inputs = program.inputs
    value, pullback = mg.vjp(program, *inputs)
    u = rng.standard_normal(np.shape(value)).astype(value.dtype)
    v = tuple(rng.standard_normal(x.shape).astype(x.dtype) for x in inputs)
    _, tangent = mg.jvp(program, inputs, v)
    left = np.vdot(u, tangent)
    terms = [np.vdot(g, w) for g, w in zip(pullback(u), v, strict=True)]
    size = max([1.0, abs(left), *map(abs, terms)])
    tolerance = 1e-9 if all(x.dtype == np.float64 for x in (*inputs, value)) else 1e-3
    assert abs(left - sum(terms)) <= tolerance * size


def test_nested_containers_in_and_out():
    def f(p):
        return {"a": p["w"] @ p["w"], "b": [2 * p["w"]]}

    w, v = A[:2], np.array([[0.0, 1.0], [1.0, 0.0]])
    value, tangent = mg.jvp(f, ({"w": w},), ({"w": v},))
    np.testing.assert_array_equal(value["b"][0], 2 * w)
    np.testing.assert_allclose(tangent["a"], v @ w + w @ v)
    np.testing.assert_allclose(tangent["b"][0], 2 * v)
    _, pullback = mg.vjp(f, {"w": w})
    (g,) = pullback({"a": v, "b": [v]})
    np.testing.assert_allclose(g["w"], v @ w.T + w.T @ v + 2 * v)
    jacobian = mg.jacobian(lambda p, x: x @ p["w"] + p["b"])({"w": w, "b": np.zeros(2)}, A)
    assert (jacobian["w"].shape, jacobian["b"].shape) == ((3, 2, 2, 2), (3, 2, 2))
    with pytest.raises(ValueError, match=r"vjp: a cotangent has shape \(3,\); expected \(2, 2\)"):
        pullback({"a": np.ones(3), "b": [v]})
    with pytest.raises(ValueError, match="vjp: a cotangent has 0 entries; expected 1"):
        pullback({"a": v, "b": []})
    with pytest.raises(ValueError, match="vjp: a cotangent is a list; expected a dict"):
        pullback([v, [v]])
    with pytest.raises(ValueError, match=r"jvp: a tangent has the keys \['v'\]; expected \['w'\]"):
        mg.jvp(f, ({"w": w},), ({"v": v},))
    with pytest.raises(ValueError, match=r"jvp: a tangent has shape \(1,\); expected \(2, 2\)"):
        mg.jvp(f, ({"w": w},), ({"w": np.ones(1)},))
    with pytest.raises(TypeError, match="got 1 primals and 2 tangents"):
        mg.jvp(f, (w,), (w, w))
    for transformation in (mg.jvp, mg.hvp):
        with pytest.raises(TypeError, match="primals is a ndarray; expected a tuple"):
            transformation(np.sum, w, w)


def test_dicts_are_matched_by_their_keys():
    p, v = {"a": 2.0, "b": 3.0}, {"b": 0.0, "a": 1.0}
    assert mg.jvp(lambda p: p["a"] * p["b"], (p,), (v,))[1] == 3
    hv = mg.hvp(lambda p: p["a"] ** 3 + p["b"] ** 2, (p,), (v,))
    assert hv == {"a": 12, "b": 0}
    _, pullback = mg.vjp(lambda x: {"a": x * 2, "b": x * 3}, 1.0)
    assert pullback(v) == (2,)


def test_hessians():
    x = np.array([0.3, -0.4])

    def f(x):
        return np.sum(np.sin(A @ x) ** 2) + np.prod(x)

    expected = A.T @ np.diag(2 * np.cos(2 * A @ x)) @ A + np.array([[0.0, 1.0], [1.0, 0.0]])
    v = np.array([1.0, 2.0])
    np.testing.assert_allclose(mg.hessian(f)(x), expected, rtol=1e-12)
    np.testing.assert_allclose(mg.hvp(f, (x,), (v,)), expected @ v, rtol=1e-12)
    np.testing.assert_allclose(mg.jvp(mg.grad(f), (x,), (v,))[1], expected @ v, rtol=1e-12)
    third = mg.jacobian(mg.hessian(lambda x: np.sum(x**4)))(x)
    np.testing.assert_allclose(third[0, 0, 0], 24 * x[0])


@pytest.mark.parametrize("wrapped", [lambda f: f, mg.jit])
def test_hessians_of_several_results(wrapped):
    x = np.array([0.3, -0.4])
    for f in (lambda x: np.outer(x, np.sin(x)), lambda x: A @ x**3):
        found = wrapped(mg.hessian(f))(x)
        assert found.shape == (*f(x).shape, 2, 2)
        for i in np.ndindex(f(x).shape):
            np.testing.assert_allclose(found[i], mg.hessian(lambda x, i=i, f=f: f(x)[i])(x), rtol=1e-12)
    assert mg.hessian(lambda x: np.prod(x)[None])(x).shape == (2, 2)
    assert mg.hessian(lambda x: np.sum(x) * np.ones(3))(np.zeros(0)).shape == (3, 0, 0)


def test_jacobians_of_what_has_no_gradient_are_refused():
    """As by `mg.grad`: a forgotten return would be zeros."""
    for of in (mg.jacobian, mg.hessian):
        with pytest.raises(TypeError, match="f returned None; expected one array"):
            of(lambda x: None)(np.ones(2))
        with pytest.raises(TypeError, match="f returned dtype int64, which has no gradient"):
            of(lambda x: np.argmax(x))(np.ones(2))


def test_hvp_takes_one_vector():
    x = np.ones(2)
    with pytest.raises(
        TypeError, match="hvp: got 2 primals and 2 tangents; expected the arguments, and one vector"
    ):
        mg.hvp(lambda x, y: np.sum(x * y), (x, x), (x, x))


def test_an_outer_gradient_goes_through_every_transformation():
    x = np.array([0.5, 2.0])
    ones = np.ones(2)
    for derivative in (
        lambda x: np.sum(mg.jvp(np.sin, (x,), (ones,))[1]),
        lambda x: np.sum(mg.vjp(np.sin, x)[1](ones)[0]),
        lambda x: np.sum(mg.jacobian(np.sin)(x)),
        lambda x: np.sum(mg.elementwise_grad(np.sin)(x)),
        lambda x: np.sum(mg.hvp(lambda y: np.sum(-np.cos(y)), (x,), (ones,))),
    ):
        np.testing.assert_allclose(mg.grad(derivative)(x), -np.sin(x), rtol=1e-12)


def of_the_jvp_of_a_net(w):
    """A value and its derivative along the input, of a net whose weights are read from outside."""
    u, slope = mg.jvp(lambda s: np.tanh(s * w), (np.ones(4),), (np.full(4, 2.0),))
    return (u + slope) ** 2


READING = {
    "value of jvp": of_the_jvp_of_a_net,
    "value of jvp at it": lambda w: mg.jvp(np.sin, (w,), (np.ones(4),))[0],
    "jvp": lambda w: mg.jvp(lambda v: v * w * w, (np.ones(4),), (np.ones(4),))[1],
    "value of vjp": lambda w: mg.vjp(lambda v: np.sin(v * w), np.ones(4))[0],
    "value of vjp at it": lambda w: mg.vjp(np.sin, w)[0],
    "pullback": lambda w: mg.vjp(lambda v: np.sin(v * w), np.ones(4))[1](np.ones(4))[0],
    "hvp": lambda w: mg.hvp(lambda v: (v**3 * w * w).sum(), (np.ones(4),), (np.ones(4),)),
    "hvp of two": lambda w: mg.hvp(lambda v, u: (v**3 * u * u).sum(), (np.ones(4), w), (np.ones(4),)),
    "columns": lambda w: mg.jacobian(lambda s: np.outer(w, w) * s**2)(2.0),
    "columns of two": lambda w: mg.jacobian(lambda s, u: np.outer(u, u) * s**2)(2.0, w),
    "rows": lambda w: mg.jacobian(lambda s: np.sum((s * w) ** 2))(np.ones(4)),
    "hessian": lambda w: mg.hessian(lambda s: np.sum((s * w) ** 3))(np.ones(4)),
    "aux": lambda w: mg.grad(lambda v: ((v * v).sum(), [v * w, w]), has_aux=True)(np.ones(4))[1][0],
    "aux of two": lambda w: mg.value_and_grad(lambda v, u: (v**2, u * 3), has_aux=True)(1.0, w)[0][1],
    "value": lambda w: mg.value_and_grad(lambda v: np.sum(v * w))(np.ones(4))[0],
    "elementwise_grad": lambda w: mg.elementwise_grad(lambda s: np.tanh(s * w))(np.ones(4)),
    "per_example_grads": lambda w: mg.per_example_grads(lambda p, x: np.sum((x * w * p) ** 2))(
        2.0, np.eye(4)
    ),
}
"""Functions of a parameter that an inner transformation, of another variable, reads from outside."""


@pytest.mark.parametrize("name", READING)
def test_what_an_inner_transformation_reads_has_its_gradient(name):
    def f(w):
        return np.sum(READING[name](w)) + np.sum(w**2)

    w = np.array([0.1, -0.2, 0.6, 0.3])
    want = differences(f, w)
    np.testing.assert_allclose(mg.grad(f)(w), want, rtol=1e-6)
    np.testing.assert_allclose(mg.jit(mg.grad(f))(w), want, rtol=1e-6)
    leaf = mg.tensor(w, requires_grad=True)
    f(leaf).backward()
    np.testing.assert_allclose(leaf.grad, want, rtol=1e-6)
    assert isinstance(READING[name](w), (np.ndarray, np.generic))


def test_an_outer_gradient_goes_through_the_vectors_too():
    x = np.array([0.5, 2.0])
    push = mg.grad(lambda v: np.sum(mg.jvp(np.sin, (x,), (v,))[1]))
    pull = mg.grad(lambda u: np.sum(mg.vjp(np.sin, x)[1](u)[0]))
    np.testing.assert_allclose(push(np.ones(2)), np.cos(x))
    np.testing.assert_allclose(pull(np.ones(2)), np.cos(x))


def test_stop_gradient_holds_in_every_order():
    f = mg.grad(lambda x: x * mg.stop_gradient(x) ** 2)
    assert f(3.0) == 9
    assert mg.grad(lambda x: mg.grad(lambda y: y**3)(mg.stop_gradient(x)) * x)(2.0) == 12
    nested = mg.stop_gradient({"a": [mg.tensor(2.0, requires_grad=True)], "b": 3})
    assert not nested["a"][0].requires_grad
    assert nested["b"] == 3


@given(arrays_for("n d", "d", "2"))
def test_flatten_is_undone(arrays):
    tree = {"w": arrays[0], "rest": (arrays[1], [arrays[2].astype(np.float32)])}
    vector, unflatten = mg.flatten(tree)
    assert vector.ndim == 1
    again = unflatten(vector)
    np.testing.assert_array_equal(again["w"], tree["w"])
    np.testing.assert_array_equal(again["rest"][1][0], tree["rest"][1][0], strict=True)
    gradient = mg.grad(lambda v: np.sum(unflatten(v)["w"] ** 2))(vector)
    np.testing.assert_allclose(unflatten(gradient)["w"], 2 * arrays[0])
    with pytest.raises(ValueError, match=r"the vector has shape .*; expected"):
        unflatten(np.zeros(len(vector) + 1))


@pytest.mark.parametrize("leaf", [None, "W", 3, np.arange(3)], ids=str)
def test_flatten_takes_floats(leaf):
    with pytest.raises(TypeError, match=r"flatten: an array is of .*; expected floats"):
        mg.flatten({"w": np.ones(2), "other": leaf})


def test_gradients_of_each_example():
    def loss(p, x, y):
        return np.sum((np.tanh(x @ p["w"]) - y) ** 2)

    p, y = {"w": np.array([0.5, -0.2])}, np.array([1.0, 0.0, 2.0])
    each = mg.per_example_grads(loss)(p, A, y)["w"]
    assert each.shape == (3, 2)
    np.testing.assert_allclose(each.sum(axis=0), mg.grad(loss)(p, A, y)["w"])
    np.testing.assert_allclose(each[1], mg.grad(loss)(p, A[1:2], y[1:2])["w"])
    with pytest.raises(ValueError, match=r"the batch has \[2, 3\] examples"):
        mg.per_example_grads(loss)(p, A, y[:2])
    with pytest.raises(TypeError, match=r"the batch holds 0.5, not an array of examples; .* by keyword"):
        mg.per_example_grads(loss)(p, A, 0.5)


def test_gradients_of_each_example_of_a_nested_batch():
    def loss(p, batch, scale=1.0):
        return scale * np.sum((np.tanh(batch["x"] @ p) - batch["more"][0]) ** 2)

    p, batch = np.array([0.5, -0.2]), {"x": A, "more": (np.array([1.0, 0.0, 2.0]),)}
    each = mg.per_example_grads(loss)(p, batch, scale=2.0)
    assert each.shape == (3, 2)
    np.testing.assert_allclose(each.sum(axis=0), 2 * mg.grad(loss)(p, batch))


# -- checkpoint ------------------------------------------------------------------------------------------------


def block(p, x):
    for _ in range(20):
        x = np.tanh(x @ p["w"] + p["b"])
    return x


P = {"w": np.array([[0.5, 0.2], [-0.3, 0.8]]), "b": np.array([0.1, -0.1])}


def test_checkpointed_gradients_are_the_same_to_second_order():
    def loss(f, p, x):
        return np.sum(f(p, x) ** 2)

    plain, saving = partial(loss, block), partial(loss, mg.checkpoint(block))
    want, got = mg.grad(plain)(P, A), mg.grad(saving)(P, A)
    for name in P:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-12)
    np.testing.assert_allclose(
        mg.hessian(lambda x: saving(P, x))(A), mg.hessian(lambda x: plain(P, x))(A), rtol=1e-9
    )
    compiled = mg.jit(mg.grad(saving))
    for _ in range(2):
        np.testing.assert_allclose(compiled(P, A)["w"], want["w"], rtol=1e-12)


def test_checkpoint_keeps_less_memory():
    x = np.ones((2000, 2))

    def peak(f):
        tracemalloc.start()
        mg.grad(lambda p: np.sum(f(p, f(p, f(p, f(p, x))))))(P)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(mg.checkpoint(block)) < 0.5 * peak(block)


def test_checkpoint_refuses_a_tensor_that_is_no_argument():
    w = mg.tensor(np.ones(2), requires_grad=True)
    with pytest.raises(mg.TapeError, match="depends on a tensor that is none of its arguments"):
        mg.grad(lambda x: mg.checkpoint(lambda x: x * w)(x).sum())(np.ones(2))
    with pytest.raises(mg.TapeError, match="depends on a tensor that is none of its arguments"):
        mg.checkpoint(lambda x: x * w)(np.ones(2))
    with pytest.raises(TypeError, match="a tensor that requires a gradient by keyword; give it by position"):
        mg.checkpoint(lambda x, w: x * w)(np.ones(2), w=w)
    with mg.no_grad():
        np.testing.assert_array_equal(mg.checkpoint(lambda x: x * w)(np.ones(2)), [1, 1])


def test_checkpoint_refuses_another_result_of_the_second_run():
    drawing = {"mode": "train", "p": 0.5, "rng": np.random.default_rng(0)}
    dropped = mg.checkpoint(lambda x: mg.dropout(x, drawing))
    with pytest.raises(RuntimeError, match="ran again, and gave another result; draw random numbers outside"):
        mg.grad(lambda x: np.sum(dropped(x)))(1e-9 * np.ones(64))


def test_checkpoint_of_constants_and_options():
    power = mg.checkpoint(lambda x, n: x**n)
    np.testing.assert_array_equal(power(np.array([1.0, 2.0]), n=3), [1, 8])
    np.testing.assert_array_equal(mg.grad(lambda x: power(x, n=3).sum())(np.array([1.0, 2.0])), [3, 12])


# -- containers of one's own, rules of one's own ------------------------------------------------------------------


@mg.register_container
@dataclass(frozen=True)
class Layer:
    w: np.ndarray
    b: np.ndarray


def test_a_dataclass_as_parameters():
    net = Layer(P["w"], P["b"])
    g = mg.grad(lambda net: np.sum(np.tanh(A @ net.w + net.b) ** 2))(net)
    want = mg.grad(lambda p: np.sum(np.tanh(A @ p["w"] + p["b"]) ** 2))(P)
    assert type(g) is Layer
    np.testing.assert_array_equal(g.w, want["w"])
    np.testing.assert_array_equal(g.b, want["b"])
    vector, unflatten = mg.flatten(net)
    assert vector.shape == (6,)
    assert type(unflatten(vector)) is Layer


def test_a_dataclass_compiled():
    def step(net, x):
        g = mg.grad(lambda net: np.sum(np.tanh(x @ net.w + net.b) ** 2))(net)
        return Layer(net.w - 0.1 * g.w, net.b - 0.1 * g.b), [net.b * 2]

    net, compiled = Layer(P["w"], P["b"]), mg.jit(step)
    (expected, (double,)), other = step(net, A), Layer(2 * P["w"], P["b"])
    for _ in range(3):
        got, (twice,) = compiled(net, A)
        assert type(got) is Layer
        np.testing.assert_allclose(got.w, expected.w, rtol=1e-12)
        np.testing.assert_allclose(got.b, expected.b, rtol=1e-12)
        np.testing.assert_array_equal(twice, double)
        np.testing.assert_allclose(compiled(other, A)[0].w, step(other, A)[0].w, rtol=1e-12)
    assert compiled.cache_info().misses == 1
    assert compiled(Layer(P["w"][:, :1], P["b"][:1]), A)[0].w.shape == (2, 1)
    assert compiled.cache_info().misses == 2


def test_a_class_with_functions_of_its_own():
    class Pair:
        def __init__(self, left, right):
            self.left, self.right = left, right

    mg.register_container(Pair, lambda p: (p.left, p.right), lambda p, new: Pair(*new))
    g = mg.grad(lambda p: p.left * p.right)(Pair(2.0, 5.0))
    assert (g.left, g.right) == (5, 2)
    with pytest.raises(TypeError, match="Other is no dataclass"):
        mg.register_container(type("Other", (), {}))
    for kind in (int, np.ndarray, np.float64, dict, type(None)):
        with pytest.raises(TypeError, match="which are known"):
            mg.register_container(kind, lambda x: [x], lambda x, new: new[0])
    with pytest.raises(TypeError, match="expected a class"):
        mg.register_container(3)


def test_a_rule_of_ones_own():
    def softplus(x, k=1.0):
        return np.logaddexp(k * x, 0)

    ruled = mg.rule(softplus, lambda g, out, x, k=1.0: g * k * mg.sigmoid(k * x))
    x = np.array([0.3, -1.0])
    check_grads(lambda x: ruled(x, k=2.0), x, order=2)
    np.testing.assert_array_equal(ruled(x), softplus(x))
    compiled = mg.jit(mg.grad(lambda x: np.sum(ruled(x, k=2.0))))
    for _ in range(2):
        np.testing.assert_allclose(compiled(x), 2 / (1 + np.exp(-2 * x)))
    wrong = mg.rule(softplus, lambda g, out, x: g * x)
    with pytest.raises(AssertionError):
        check_grads(wrong, x)
    with pytest.raises(TypeError, match="expected one function for each operand"):
        mg.rule(softplus)
    with pytest.raises(TypeError, match="expected a function of arrays"):
        mg.rule(3, softplus)


def compiled_code(x):
    """Stand for SciPy's functions and others that need the entries of an array."""
    return np.array([np.array(each) ** 3 for each in np.asarray(x).tolist()])


def test_a_rule_of_compiled_code_is_one_call_to_jit():
    slope = mg.rule(
        lambda g, x: np.asarray(g) * 3 * np.asarray(x) ** 2,
        lambda gg, out, g, x: 3 * gg * x**2,
        lambda gg, out, g, x: 6 * gg * g * x,
    )
    cube = mg.rule(compiled_code, lambda g, out, x: slope(g, x))
    total = mg.rule(lambda x: float(np.sum(np.asarray(x))), lambda g, out, x: g * np.ones_like(x))

    def f(x):
        return total(cube(x) * x)

    x = np.array([0.5, -2.0])
    for own, expected in (
        (f, lambda x: np.sum(x**4)),
        (mg.grad(f), lambda x: 4 * x**3),
        (lambda x: mg.hvp(f, (x,), (x,)), lambda x: 12 * x**3),
    ):
        compiled = mg.jit(own)
        for each in (x, 3 * x):
            np.testing.assert_allclose(compiled(each), expected(each))


def test_a_rule_is_what_functions_of_scipy_are_given():
    for called in (mg.grad, mg.jit):
        with pytest.raises(TypeError, match="or give it a backward rule"):
            called(lambda x: np.sum(scipy.linalg.expm(x)))(np.eye(2))


def test_a_rule_made_in_a_compiled_function():
    """Each run makes another, of which no call could be compared with that of the run before."""

    def f(x):
        power = len(x)
        ruled = mg.rule(lambda x: np.power(x, power), lambda g, out, x: g * power * x ** (power - 1))
        return np.sum(ruled(x))

    def with_what_is_computed(x):
        y = np.exp(x)
        return mg.rule(lambda x: x * y, lambda g, out, x: g * y)(x)

    x = np.array([0.5, -2.0, 3.0])
    np.testing.assert_allclose(mg.jit(with_what_is_computed)(x), x * np.exp(x))
    with pytest.raises(mg.JitError, match="or give compiled_code its rule outside of the compiled function"):
        mg.jit(lambda x: mg.rule(compiled_code, lambda g, out, x: g)(x))(x)
    np.testing.assert_allclose(mg.jit(f)(x), np.sum(x**3))
    np.testing.assert_allclose(mg.jit(mg.grad(f))(x), 3 * x**2)


def test_a_view_by_a_rule_is_not_written_to():
    """As it is, it would be written to as a copy, and the array that is viewed stay as it was."""
    same = mg.rule(lambda x: x, lambda g, out, x: g)

    def f(x):
        y = same(x)
        y[0] = 5.0
        return np.sum(x)

    with pytest.raises(ValueError, match="read-only"):
        mg.jit(f)(np.ones(2))


def test_a_rule_of_numpy_is_traced_into():
    """So what it reads outside is read in each call, and its calls are among those that are rewritten."""
    scale = np.ones(2)
    scaled = mg.rule(lambda x: np.exp(x) * scale, lambda g, out, x: g * out)
    for own in (lambda x: np.sum(scaled(x)), mg.grad(lambda x: np.sum(scaled(x)))):
        compiled = mg.jit(own)
        for i in range(3):
            scale[:] = i
            np.testing.assert_allclose(compiled(scale + 1), own(scale + 1))
        assert compiled.cache_info().misses == 1
        assert "exp(" in compiled.source


@pytest.mark.parametrize(
    "product",
    [lambda a, b: a * b, lambda *factors: factors[0] * factors[1], operator.mul, np.vectorize(operator.mul)],
)
def test_operands_of_a_rule_are_known_by_position(product):
    """Where the function has none of the names by which the rules call them."""
    ruled = mg.rule(product, lambda g, out, x, y: g * y, lambda g, out, x, y: g * x)
    x, y = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    for found in (
        mg.grad(lambda x, y: np.sum(ruled(x, y)), (0, 1)),
        mg.jit(mg.grad(lambda x, y: np.sum(ruled(x, y)), (0, 1))),
    ):
        np.testing.assert_array_equal(found(x, y), [y, x])
    with pytest.raises(TypeError, match="for this call; the rule knows x, y"):
        mg.grad(lambda x: np.sum(ruled(x)))(x)


def test_a_function_with_a_rule_returns_one_array():
    """Several of one shape would be one array on tensors, and several on arrays."""

    def both(x):
        return x, 2 * x

    ruled = mg.rule(both, lambda g, out, x: g)
    with pytest.raises(TypeError, match=r"^both: returned a tuple; expected one array"):
        mg.grad(lambda x: np.sum(ruled(x)[1]))(np.ones(2))
    with pytest.raises(TypeError, match="returned a NoneType"):
        mg.grad(mg.rule(lambda x: None, lambda g, out, x: g))(1.0)


def test_results_beside_one_another():
    """Integers do not move, the numbers of one result are not mixed with another's, and nested Hessians are refused."""
    x = np.array([1.0, 3.0, 2.0])
    value, moved = mg.jvp(lambda x: (np.argmax(x), x * 2), (x,), (x,))
    compiled = mg.jit(lambda x: mg.jvp(lambda x: (np.argmax(x), x * 2), (x,), (x,)))(x)
    np.testing.assert_array_equal(compiled[1][1], 2 * x)
    assert value[0] == 1
    assert moved[0] == 0.0
    np.testing.assert_array_equal(moved[1], 2 * x)
    half = x.astype(np.float16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (g,) = mg.vjp(lambda x: (x * 20000, x), half)[1]((half, half))
    np.testing.assert_array_equal(g, half * 20001)
    with pytest.raises(TypeError, match=r"^jacobian: f returned a list; expected one array .*mg\.flatten"):
        mg.hessian(lambda p: np.sum(p[0] * p[1]))([x, x])


def test_a_rule_may_give_a_number_but_nothing_that_is_no_array():
    def floor(x):
        return np.floor(x)

    x = np.array([0.3, -1.0])
    flat = mg.rule(floor, lambda g, out, x: 0.0)
    for gradient in (mg.grad(lambda x: np.sum(flat(x))), mg.jit(mg.grad(lambda x: np.sum(flat(x))))):
        np.testing.assert_array_equal(gradient(x), np.zeros(2))
    for nothing in (None, (x,), [x]):
        wrong = mg.rule(floor, lambda g, out, x, nothing=nothing: nothing)
        with pytest.raises(
            TypeError, match=r"^floor: the rule of operand 0 gave a \w+; expected the gradient"
        ):
            mg.grad(lambda x, wrong=wrong: np.sum(wrong(x)))(x)


def test_a_rule_that_is_dropped_goes_with_all_it_holds():
    def used():
        big = np.ones(10)
        rule = mg.rule(lambda x: np.abs(x), lambda g, out, x: g * np.sign(x) + 0 * big[0])
        np.testing.assert_array_equal(mg.grad(lambda x: np.sum(rule(x)))(np.array([-1.0, 2.0])), [-1, 1])
        return weakref.ref(big)

    known = used()
    gc.collect()
    assert known() is None
