"""Operands of other kinds: what has operators of its own is asked, or refused by name; it is never stripped."""

from operator import add, imul, mul, truediv

import numpy as np
import pytest
from scipy import sparse

import minigrad as mg
from minigrad.engine.arrays import ForeignError
from minigrad.gradient_check import check_grads
from minigrad.layers import softmax_loss


class ArrayLike:
    """What has ``__array__`` and no more, as an image or a data set on disk."""

    def __init__(self, numbers):
        self.numbers = np.array(numbers)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.numbers, dtype=dtype)


class Frame(ArrayLike):
    """An array with labels: it has operators."""

    def __add__(self, other):
        return NotImplemented

    __radd__ = __mul__ = __rmul__ = __matmul__ = __rmatmul__ = __add__


class Units(ArrayLike):
    """What NumPy asks before it computes, and whose operators are its own."""

    def __add__(self, other):
        return "units", other

    __radd__ = __mul__ = __rmul__ = __matmul__ = __rmatmul__ = __add__

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return "units", ufunc

    def __array_function__(self, function, types, args, kwargs):
        return "units", function


class Operator(Frame):
    """A linear map: arrays leave the operators to it."""

    __array_ufunc__ = None

    def __rmatmul__(self, other):
        return other * self.numbers


class Prior(Frame):
    """The same by the older protocol."""

    __array_priority__ = 10.0
    __rmatmul__ = Operator.__rmatmul__


class Pair:
    """A pair of numbers, by the operators that a class of one's own has; it is no array-like."""

    def __init__(self, a, b):
        self.a, self.b = a, b

    def __rmul__(self, number):
        return Pair(number * self.a, number * self.b)

    def __radd__(self, number):
        return Pair(number + self.a, number + self.b)

    def __rtruediv__(self, number):
        return Pair(number / self.a, number / self.b)


STRIPPED = {
    "masked": np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0]),
    "matrix": np.ones((1, 3)).view(np.matrix),
    "frame": Frame([1.0, 2.0, 3.0]),
    "sparse matrix": sparse.csr_matrix(np.eye(3)),
    "sparse array": sparse.csr_array(np.eye(3)),
    "units": Units([1.0, 2.0, 3.0]),
}
EACH = pytest.mark.parametrize("x", STRIPPED.values(), ids=STRIPPED)


def leaf():
    return mg.tensor([1.0, 2.0, 3.0], requires_grad=True)


@EACH
def test_nothing_is_stripped(x):
    """By no door by which an array enters."""
    t = leaf()
    for enter in (
        lambda: mg.tensor(x),
        lambda: mg.tensor([x, x]),
        lambda: mg.grad(np.sum)(x),
        lambda: mg.value_and_grad(lambda p: np.sum(p["a"]))({"a": x}),
        lambda: mg.affine(np.ones((2, 3)), x, np.zeros(3)),
        lambda: mg.affine(x, np.ones((3, 2)), np.zeros(2)),
        lambda: mg.affine(t[None], x, np.zeros(3)),
        lambda: mg.relu(x),
        lambda: mg.softmax_cross_entropy(t[None], x),
        lambda: softmax_loss(np.ones((3, 3)), x),
        lambda: np.sum(t, where=x),
        lambda: (t * 1).__setitem__(slice(None), x),
        lambda: setattr(t, "grad", x),
        lambda: (t * 2).backward(x),
        lambda: mg.jvp(np.sin, (x,), (np.ones(3),)),
        lambda: mg.jit(np.sum)(x),
    ):
        with pytest.raises(TypeError):
            enter()
    assert t.grad is None


@EACH
def test_an_operand_is_refused_or_asked(x):
    """A tensor that requires a gradient never becomes an array, in whatever function."""
    t = leaf()
    for call in (
        lambda: t + x,
        lambda: t * x,
        lambda: t @ x,
        lambda: x * t,
        lambda: np.add(t, x),
        lambda: np.maximum(x, t),
        lambda: np.where(t.data > 0, t, x),
        lambda: np.concatenate([t, x]),
        lambda: np.einsum("i,i", t, x),
    ):
        try:
            out = call()
        except TypeError:
            continue
        assert out[0] == "units"


@pytest.mark.parametrize("operator", [add, mul, truediv, imul])
def test_what_is_no_array_like_has_its_own_operators(operator):
    """As NumPy's numbers leave it to them."""

    def f(x):
        made = operator(x[0], Pair(x[1], x[2]))
        return made.a * made.b

    x = np.array([2.0, 3.0, 5.0])
    check_grads(f, x)
    np.testing.assert_allclose(mg.jit(f)(x), f(x))
    np.testing.assert_allclose(mg.jit(mg.grad(f))(x), mg.grad(f)(x))
    with pytest.raises(TypeError, match=r"unsupported operand .* 'Tensor' and '\w*Pair'"):
        leaf() - Pair(1.0, 2.0)


def test_what_numpy_would_ask_is_asked():
    t, units = leaf(), Units([1.0, 2.0, 3.0])
    assert (t + units)[1] is t
    assert np.add(t, units) == ("units", np.add)
    assert np.stack([t, units]) == ("units", np.stack)
    for kind in (Operator, Prior):
        out = t @ kind([1.0, 2.0, 3.0])
        (out * out).sum().backward()
        np.testing.assert_array_equal(t.grad, 2 * t.data * np.array([1.0, 4.0, 9.0]))
        t.grad = None
        with pytest.raises(TypeError):
            np.add(t, kind([1.0, 2.0, 3.0]))


def test_array_likes_are_arrays():
    """As in NumPy: what has ``__array__`` and no operators loses nothing."""
    x, like = np.array([[1.0, -2.0, 3.0]]), ArrayLike([[1.0, -2.0, 3.0]])
    t = leaf()
    for f in (
        lambda y: t * y,
        lambda y: y @ t,
        lambda y: np.where(t.data > 1, t, y),
        lambda y: mg.affine(y, np.ones((3, 2)), np.zeros(2)),
        lambda y: mg.affine(y, np.ones((3, 2)) * t.sum(), np.zeros(2)),
        lambda y: mg.relu(y),
        lambda y: mg.tensor(y),
        lambda y: mg.grad(lambda a: np.sum(a**2))(y),
        lambda y: mg.l2_regularized(t.sum(), y, reg=0.5),
    ):
        got, want = f(like), f(x)
        np.testing.assert_array_equal(getattr(got, "data", got), getattr(want, "data", want))


def test_the_refusal_says_what_to_pass():
    message = r"affine: an operand is a scipy\.sparse.*csr_matrix.*x\.toarray\(\)"
    with pytest.raises(ForeignError, match=message):
        mg.affine(np.ones((2, 3)), STRIPPED["sparse matrix"], np.zeros(3))


@pytest.mark.parametrize("numbers", [[1, 2, 3], [1.5, 2.0, 3.0]])
def test_arrays_of_objects_have_no_gradient(numbers):
    x = np.array(numbers, dtype=object)
    for f in (
        lambda t: t * x,
        lambda t: t @ x,
        lambda t: np.where([True, False, True], t, x),
        lambda t: np.concatenate([t, x]),
        lambda t: np.maximum(t, x),
    ):
        with pytest.raises(TypeError, match="no gradient of operands of dtype object"):
            f(leaf()).sum().backward()
