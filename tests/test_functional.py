import collections
import random
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.engine import in_place
from minigrad.engine.ownership import share_memory


def trees(leaves):
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
            st.lists(inner, max_size=2),
            st.tuples(inner, inner),
        ),
        max_leaves=5,
    )


def flat(tree):
    if isinstance(tree, (dict, list, tuple)):
        return [x for each in (tree.values() if isinstance(tree, dict) else tree) for x in flat(each)]
    return [tree]


def same_structure(a, b):
    if isinstance(a, dict):
        return type(a) is type(b) and list(a) == list(b) and all(same_structure(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same_structure, a, b))
    return isinstance(b, np.ndarray) and np.shape(a) == b.shape


@given(trees(st.sampled_from([1.5, np.ones((2, 3)), np.zeros(0), np.float32(2)])))
def test_the_gradient_has_the_arguments_structure(tree):
    value, gradient = mg.value_and_grad(lambda p, scale: sum((x * x).sum() * scale for x in flat(p)) + 0.0)(
        tree, 3.0
    )
    assert same_structure(tree, gradient)
    for x, g in zip(flat(tree), flat(gradient), strict=True):
        np.testing.assert_allclose(g, 6 * np.asarray(x))
    assert value == pytest.approx(3 * sum(np.sum(np.square(x)) for x in flat(tree)))


def test_named_tuples_and_several_arguments():
    Point = collections.namedtuple("Point", "x y")
    gp, gz = mg.grad(lambda p, k, z: p.x * p.y * k * z, (0, -1))(Point(2.0, 3.0), 2, 5.0)
    assert gp == Point(30, 20)
    assert gz == 12
    assert isinstance(gp, Point)


def test_arguments_are_not_changed_and_gradients_are_ones_own():
    x, y = np.ones(2), np.ones(2)
    gx, gy = mg.grad(lambda x, y: (x + y).sum(), (0, 1))(x, y)
    gx[0] = 7
    assert gy[0] == 1
    identity = mg.grad(lambda x: x)(2.0)
    assert identity == 1


def test_higher_derivatives():
    def f(x):
        return np.sin(x) * x**3

    second, third = mg.grad(mg.grad(f)), mg.grad(mg.grad(mg.grad(f)))
    x = 1.3
    assert mg.grad(f)(x) == pytest.approx(np.cos(x) * x**3 + 3 * x**2 * np.sin(x), rel=1e-14)
    assert second(x) == pytest.approx((6 * x - x**3) * np.sin(x) + 6 * x**2 * np.cos(x), rel=1e-14)
    assert third(x) == pytest.approx((6 - 9 * x**2) * np.sin(x) + (18 * x - x**3) * np.cos(x), rel=1e-13)


def test_no_perturbation_is_confused_with_another():
    assert mg.grad(lambda x: x * mg.grad(lambda y: x + y)(1.0))(2.0) == 1
    assert mg.grad(lambda x: x * mg.grad(lambda y: x * y)(1.0))(2.0) == 4
    assert mg.grad(lambda x: mg.grad(lambda y: mg.grad(lambda z: x * y * z * z)(y))(x))(2.0) == pytest.approx(
        16
    )


def test_a_hessian_vector_product_of_the_net():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((5, 4)), np.array([0, 1, 2, 0, 1])
    W, v = rng.standard_normal((4, 3)), rng.standard_normal((4, 3))

    def loss(W):
        return mg.softmax_cross_entropy(X @ W, y)

    product = mg.grad(lambda W: (mg.grad(loss)(W) * v).sum())(W)
    h = 1e-5
    np.testing.assert_allclose(
        product, (mg.grad(loss)(W + h * v) - mg.grad(loss)(W - h * v)) / (2 * h), atol=1e-9
    )


def test_tensors_that_require_a_gradient_give_gradients_on_the_tape():
    x = mg.tensor(2.0, requires_grad=True)
    value, g = mg.value_and_grad(lambda x: x**3)(x)
    (g * value).backward()
    assert x.grad == 5 * 3 * 2.0**4
    plain = mg.grad(lambda x: x**3)(mg.tensor(2.0))
    assert isinstance(plain, np.ndarray)


def test_an_argument_that_the_result_does_not_depend_on_has_gradient_zero():
    gx, gy = mg.grad(lambda x, y: (x * 2).sum(), (0, 1))(np.ones(2), np.ones((2, 1), np.float32))
    np.testing.assert_array_equal(gx, 2)
    np.testing.assert_array_equal(gy, np.zeros((2, 1), np.float32), strict=True)


@pytest.mark.parametrize(
    "f", [lambda x: 5.0, lambda x: 5, np.sign, lambda x: mg.tensor(1.0, requires_grad=True) * 2]
)
def test_a_result_that_depends_on_no_argument_is_warned_of(f):
    with pytest.warns(UserWarning, match="does not depend on its arguments"):
        gradient = mg.grad(f)(1.0)
    assert np.asarray(getattr(gradient, "data", gradient)) == 0


def test_the_warning_names_the_line_that_asked():
    x = np.ones(2)
    for call in (
        lambda: mg.grad(lambda x: 5.0)(x),
        lambda: mg.jacobian(lambda x: np.sign(x))(x),
        lambda: mg.hvp(np.sum, (x,), (x,)),
        lambda: mg.hessian(np.sum)(x),
        lambda: mg.grad(mg.grad(lambda x: 3 * x))(1.0),
    ):
        with pytest.warns(UserWarning, match="or this is a second derivative and f is linear") as warned:
            call()
        assert {each.filename for each in warned} == {__file__}


def test_an_argument_of_a_class_that_is_not_registered():
    with pytest.raises(TypeError, match=r"holds a Random, .*mg\.register_container\(Random, …\)"):
        mg.grad(lambda p: 0.0)(random.Random(0))


@pytest.mark.parametrize(
    "f", [lambda a: a.sum() > 0, lambda a: np.argmax(a), lambda a: bool(a[0] > 0), lambda a: 1j]
)
def test_a_result_that_is_no_real_float_is_refused(f):
    with pytest.raises(TypeError, match="grad: f returned"):
        mg.grad(f)(np.ones(3))


def test_an_inner_gradient_follows_an_outer_tensor_it_closes_over():
    w = mg.tensor(np.array([1.0, 2.0]), requires_grad=True)
    inner = mg.grad(lambda z: np.sum(z * w))(1.0)
    np.sum(w * inner).backward()
    np.testing.assert_array_equal(w.grad, [6.0, 6.0])  # the gradient of (sum w)^2


def test_an_inner_gradient_in_another_thread_follows_the_outer_argument():
    def outer(x):
        with ThreadPoolExecutor(1) as pool:
            inner = pool.submit(lambda: mg.grad(lambda z: np.sum(z * x * x))(1.0)).result()
        return np.sum(x * inner)

    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(mg.grad(outer)(x), np.sum(x * x) + np.sum(x) * 2 * x)


def test_a_number_taken_in_another_thread_inside_grad_is_refused():
    def f(x):
        with ThreadPoolExecutor(1) as pool:
            return x[1] * pool.submit(lambda: float(x[0])).result()

    with pytest.raises(mg.TapeError, match=r"float\(\) of a tensor inside grad"):
        mg.grad(f)(np.ones(2))
    assert float(mg.tensor(2.0, requires_grad=True) * 3) == 6


def test_an_unrelated_tensor_may_become_a_number_inside_grad():
    leaf = mg.tensor(2.0, requires_grad=True)
    assert mg.grad(lambda x: x * float(leaf * 3))(1.0) == 6


def test_aux_is_handed_out_as_plain_arrays():
    def f(p, x):
        hidden = np.tanh(x @ p["w"])
        return np.sum(hidden**2), {"hidden": hidden, "steps": 3}

    p, x = {"w": np.array([0.5, -1.0])}, np.ones((2, 2))
    (value, aux), gradient = mg.value_and_grad(f, has_aux=True)(p, x)
    assert type(aux["hidden"]) is np.ndarray
    assert aux["steps"] == 3
    np.testing.assert_array_equal(aux["hidden"], np.tanh(x @ p["w"]))
    assert value == np.sum(aux["hidden"] ** 2)
    again, aux = mg.grad(f, has_aux=True)(p, x)
    np.testing.assert_array_equal(again["w"], gradient["w"])
    compiled = mg.jit(mg.value_and_grad(f, has_aux=True))
    for _ in range(2):
        (value, aux), again = compiled(p, x)
        np.testing.assert_allclose(aux["hidden"], np.tanh(x @ p["w"]), rtol=1e-15)
        np.testing.assert_allclose(again["w"], gradient["w"], rtol=1e-14)
    with pytest.raises(TypeError, match=r"expected \(result, aux\)"):
        mg.grad(lambda x: x, has_aux=True)(1.0)


def test_it_works_under_no_grad():
    with mg.no_grad():
        assert mg.grad(lambda x: x * x)(3.0) == 6


def test_mixed_second_derivatives_of_power_where_the_exponent_is_zero():
    assert mg.grad(lambda y: mg.grad(lambda x: x**y)(2.0))(0.0) == pytest.approx(0.5)
    assert mg.grad(lambda x: mg.grad(lambda y: x**y)(0.0))(2.0) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "f", [lambda x: x**3, lambda x: x**-1, lambda x: 2**x, lambda x: np.mean(x * x) * np.float64(3)]
)
def test_second_derivatives_of_float32(f):
    single, double = (mg.grad(mg.grad(f))(dtype(2)) for dtype in (np.float32, np.float64))
    assert single.dtype == np.float32
    assert single == pytest.approx(double, rel=1e-5)


def test_logsumexp_of_large_entries():
    for x in (np.full(3, 1e8, np.float32), np.full(3, 1e15)):
        np.testing.assert_allclose(mg.grad(mg.logsumexp)(x), 1 / 3, rtol=1e-6)
        gx, gy = mg.grad(lambda x, y: np.logaddexp(x, y).sum(), (0, 1))(x, x)
        np.testing.assert_array_equal(gx, 0.5)
        np.testing.assert_array_equal(gy, 0.5)


def test_gradients_on_the_tape_are_ones_own():
    x, y = (mg.tensor(np.ones(2), requires_grad=True) for _ in range(2))
    gx, gy = mg.grad(lambda x, y: (x + y).sum(), (0, 1))(x, y)
    with mg.no_grad():
        gx *= 2
    np.testing.assert_array_equal(gy.numpy(), 1)
    w = mg.tensor(2.0, requires_grad=True)
    penalty = mg.grad(lambda x, w: (w * x * x).sum())(np.array([3.0]), w)
    penalty.sum().backward()
    assert w.grad == 6


def test_dicts_keep_their_kind():
    ordered = collections.OrderedDict(b=1.0, a=2.0)
    gradient = mg.grad(lambda p: p["a"] * p["b"])(ordered)
    assert type(gradient) is collections.OrderedDict
    assert list(gradient.items()) == [("b", 2.0), ("a", 1.0)]


def test_bad_calls():
    with pytest.raises(TypeError, match="an argument holds 3, which"):
        mg.grad(lambda x: x)(3)
    with pytest.raises(TypeError, match=r"an argument holds .relu., .* all else in an argument of its own"):
        mg.grad(lambda p: p["w"] * 1.0)({"w": np.ones(()), "act": "relu"})
    with pytest.raises(TypeError, match="argnums has 0, but f was called with 0 arguments by position"):
        mg.grad(lambda x: x * 1.0)(x=1.0)
    with pytest.raises(TypeError, match="an argument holds True"):
        mg.grad(lambda x, p: x, (0, 1))(3.0, {"a": [True]})
    with pytest.raises(TypeError, match="argnums has 2, but f was called with 1"):
        mg.grad(lambda x: x, 2)(3.0)
    with pytest.raises(ValueError, match="names an argument twice"):
        mg.grad(lambda x, y: x, (1, -1))(3.0, 2.0)
    with pytest.raises(TypeError, match=r"argnums is \[0\]"):
        mg.grad(lambda x: x, [0])
    with pytest.raises(ValueError, match=r"shape \(2,\); expected one entry"):
        mg.grad(lambda x: x)(np.ones(2))
    with pytest.raises(TypeError, match="f returned NoneType"):
        mg.grad(lambda x: None)(1.0)


def test_an_error_in_f_leaves_nothing_behind():
    with pytest.raises(ZeroDivisionError):
        mg.grad(lambda x: 1 / 0)(1.0)
    t = mg.tensor(1.0, requires_grad=True)
    assert float(t * 2) == 2


def test_the_functions_name_and_text_are_kept():
    def cube(x):
        """Cube."""
        return x**3

    assert mg.grad(cube).__name__ == "cube"
    assert mg.value_and_grad(cube).__doc__ == "Cube."


def test_a_dict_that_adds_up_is_filled_anew():
    params = collections.Counter(a=np.ones(2))
    np.testing.assert_array_equal(mg.grad(lambda p: (p["a"] ** 2).sum())(params)["a"], [2, 2])


def test_second_derivatives_go_through_what_was_written_over():
    def f(x):
        y = x * 1
        y[1] = x[0] ** 2
        return np.sum(y**3)

    x = np.array([0.5, 2.0, -1.5])
    diagonal = [6 * x[0] + 30 * x[0] ** 4, 0.0, 6 * x[2]]
    np.testing.assert_allclose(mg.hessian(f)(x), np.diag(diagonal), rtol=1e-12)


@pytest.mark.parametrize("transform", [mg.grad, lambda f: mg.jit(mg.grad(f)), mg.jit])
@pytest.mark.parametrize("method", ["entry", "fill", "fromiter"])
def test_an_entry_of_a_plain_array_does_not_take_a_tensor(transform, method):
    """NumPy's "setting an array element with a sequence" would not say why; the traceback ends where it is."""

    def f(x):
        out = np.arange(2.0)
        if method == "entry":
            out[0] = x[0]
        elif method == "fill":
            out.fill(x[1])
        else:
            out = np.fromiter((each for each in x), float)
        return (out * x).sum()

    with pytest.raises(TypeError, match=r"array\[i\] = [tx] \(or array.fill, np.fromiter\) would") as caught:
        transform(f)(np.ones(2))
    assert caught.traceback[-1].frame.code.raw is f.__code__


def test_errors_of_the_function_keep_their_cause():
    def f(x):
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error

    for transform in (mg.grad, mg.jit):
        with pytest.raises(ValueError, match="second") as raised:
            transform(f)(np.ones(2))
        assert isinstance(raised.value.__cause__, KeyError)


class Pair(NamedTuple):
    """Two arrays."""

    first: Any
    second: Any


class Row(list):
    """A list by another name."""


@pytest.mark.parametrize(
    ("of_two", "built_in"),
    [(Pair, lambda a, b: (a, b)), (lambda a, b: Row([a, b]), lambda a, b: [a, b])],
    ids=["namedtuple", "subclass of list"],
)
def test_what_is_a_sequence_to_numpy_is_one_here(of_two, built_in):
    def joined(x):
        return np.concatenate(of_two(x, 2 * x))

    x, rows = np.array([1.0, 2.0]), np.arange(4.0).reshape(2, 2)
    wanted = np.array([1.0, 2.0, 2.0, 4.0])
    np.testing.assert_array_equal(joined(mg.tensor(x)), wanted)
    with mg.no_grad():
        np.testing.assert_array_equal(joined(mg.tensor(x, requires_grad=True)), wanted)
    np.testing.assert_array_equal(mg.jit(joined)(x), wanted)
    picked = mg.grad(lambda x: x[built_in(0, 1)].sum())(rows)
    for made in (mg.grad, lambda f: mg.jit(mg.grad(f))):
        np.testing.assert_array_equal(made(lambda x: joined(x).sum())(x), [3, 3])
        np.testing.assert_array_equal(made(lambda x: x[of_two(0, 1)].sum())(rows), picked)
        np.testing.assert_array_equal(
            made(lambda x: np.reshape(x, of_two(4, 1)).sum())(rows), np.ones((2, 2))
        )


class Couple(tuple):
    """A tuple that is made of its two items."""

    def __new__(cls, first, second):
        return super().__new__(cls, (first, second))


def test_a_tuple_of_ones_own_class_is_an_index():
    rows = np.arange(4.0).reshape(2, 2)
    for made in (mg.grad, lambda f: mg.jit(mg.grad(f))):
        np.testing.assert_array_equal(made(lambda x: x[Couple(0, 1)])(rows), [[0, 1], [0, 0]])


def test_an_array_that_a_differentiated_function_has_written_to_may_be_used_again():
    def f(x):
        x += 1
        return np.sum(x * x)

    for x in (np.ones(3), np.ones(6).reshape(2, 3)):
        for _ in range(2):
            np.testing.assert_array_equal(mg.grad(f)(x), 2 * (x + 1))
        view = x[:1]
        np.testing.assert_array_equal(mg.grad(mg.checkpoint(lambda q: np.sum(q * q)))(view), 2 * view)


class KeepsAMean:
    mean = 0.0

    def centered(self, x):
        batch = x.mean(axis=0)
        self.mean = 0.9 * self.mean + 0.1 * batch
        return x - batch


class KeepsAState:
    state = np.zeros((8, 3))

    def stepped(self, x):
        self.state = np.tanh(x[:8] + 0.5 * self.state)
        return self.state


@pytest.mark.parametrize("keeps", [KeepsAMean().centered, KeepsAState().stepped])
def test_what_is_left_of_a_complete_gradient_is_a_constant(keeps):
    """A state that a function keeps holds none of the tapes before."""
    X, rng = np.ones((50, 3)), np.random.default_rng(0)
    both = mg.value_and_grad(lambda w: np.sum(keeps(X * w) ** 2))
    tracemalloc.start()
    for i in range(220):
        value, gradient = both(rng.standard_normal(3))
        assert type(value) is np.float64 and type(gradient) is np.ndarray
        if i == 20:
            before, _ = tracemalloc.get_traced_memory()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 20 * X.nbytes
    kept = keeps.__self__
    left = kept.mean if hasattr(kept, "mean") else kept.state
    assert np.asarray(left).dtype == float and not (left + 1).requires_grad


def test_what_is_left_of_an_inner_gradient_belongs_to_the_outer_one():
    left = []

    def inner(y, x):
        left.append(x * y)
        return np.sum(y**3)

    def outer(x):
        slope = mg.grad(inner)(x, x)
        return np.sum(slope * left.pop())  # 3 x^2 (x x)

    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(mg.grad(outer)(x), 12 * x**3)
    np.testing.assert_allclose(mg.grad(lambda x: np.sum(mg.grad(outer)(x)))(x), 36 * x**2)


def test_a_tensor_of_a_leaf_stays_on_its_tape_whatever_gradients_are_taken():
    leaf = mg.tensor([1.0, 2.0], requires_grad=True)
    square = leaf * leaf
    mg.grad(np.sum)(np.ones(2))
    mg.grad(lambda x: np.sum(x * 2.0))(np.ones(2))
    np.sum(square * 3.0).backward()
    np.testing.assert_array_equal(leaf.grad, [6, 12])
    _, pull = mg.vjp(lambda x: x**2, np.ones(2))
    mg.grad(np.sum)(np.ones(2))
    np.testing.assert_array_equal(pull(np.ones(2))[0], [2, 2])


def changed(x, y):
    x[1:] *= 2.0
    return np.sum(x**2) + np.sum(y**3)


PAIRS = {
    "the same": lambda a: (a, a),
    "a view": lambda a: (a, a[1:]),
    "of a view": lambda a: (a[::-1], a),
    "the halves": lambda a: (a[:2], a[2:]),
    "every other": lambda a: (a[::2], a[1::2]),
}


@pytest.mark.parametrize(("x", "y"), [pair(np.arange(1.0, 5.0)) for pair in PAIRS.values()], ids=PAIRS)
def test_a_change_of_an_argument_that_shares_its_memory_is_refused(x, y):
    calls = [
        lambda x, y: mg.grad(changed, (0, 1))(x, y),
        lambda x, y: mg.grad(changed)(x, y),
        lambda x, y: mg.grad(lambda tree: changed(tree["x"], *tree["y"]))({"x": x, "y": [y]}),
        lambda x, y: mg.vjp(changed, x, y)[1](1.0),
        lambda x, y: mg.jacobian(changed)(x, y),
        lambda x, y: mg.hvp(changed, (x, y), (x,)),
        lambda x, y: mg.grad(lambda x, y: np.sum(mg.grad(changed)(x, y)))(x, y),
    ]
    for call in calls:
        if np.shares_memory(x, y):
            with pytest.raises(mg.TapeError, match="shares its memory with another"):
                call(x, y)
        else:
            call(x, y)
        call(x, y.copy())
    mg.grad(lambda x, y: np.sum(x * np.sum(y)), (0, 1))(x, y)  # without a change


def test_arguments_are_compared_with_those_beside_them_in_memory_alone(monkeypatch):
    def change_all(weights):
        for w in weights:
            w *= 2.0
        return sum(np.sum(w) for w in weights)

    counts = []
    for n in (10, 40):
        compared = []
        monkeypatch.setattr(
            in_place, "share_memory", lambda x, y, compared=compared: compared.append(share_memory(x, y))
        )
        for f in (mg.grad(change_all), mg.jit(mg.grad(change_all))):
            f([np.ones(2) for _ in range(n)])
        counts.append(len(compared))
    assert counts[1] <= 4 * counts[0]


def test_a_change_of_an_argument_that_is_kept_in_another_is_no_change_of_shared_memory():
    def loss(x, state):
        state["x"], state["part"] = x, x[:1] * 2.0
        x *= 2.0
        return np.sum(x * state["x"]) + np.sum(state["part"])

    for f in (loss, lambda x, state: np.sum(mg.grad(loss)(x, state) * x)):
        got = mg.grad(f)(np.ones(2), {})
        np.testing.assert_array_equal(got, [10, 8] if f is loss else [18, 16])
