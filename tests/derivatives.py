"""What the proofs of rules and of layers have in common: a function's derivatives, to be compared."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.gradient_check import check_grads
from minigrad.rules.facts import facts


def flat(tree):
    """The leaves of nested tuples and lists."""
    return [leaf for each in tree for leaf in flat(each)] if isinstance(tree, (tuple, list)) else [tree]


def parts(outs):
    """A call's results, one or several."""
    return outs if isinstance(outs, (list, tuple)) else [outs]


def weighted(f):
    """The sum of all entries of f's result, each with another weight: a function to differentiate."""

    def total(*xs):
        outs = f(*xs)
        return sum(
            np.sum(out * np.cos(np.arange(out.size, dtype=out.dtype)).reshape(out.shape))
            for out in parts(outs)
        )

    return total


def differentiated(f, count):
    """The value of `weighted`, and its gradients for all arrays."""
    return mg.value_and_grad(weighted(f), tuple(range(count)))


def curvature(f, count):
    """The gradients of the sum of the first gradients' entries."""
    first = differentiated(f, count)
    return mg.grad(lambda *xs: sum(np.sum(np.sin(g)) for g in first(*xs)[1]), tuple(range(count)))


def check_rule(f, *arrays):
    """Compare a call's values on tensors with those on arrays, NumPy's, and its gradients with differences."""
    got = parts(f(*[mg.tensor(x, requires_grad=True) for x in arrays]))
    for ours, numpys in zip(got, parts(f(*arrays)), strict=True):
        assert (ours.shape, ours.dtype) == (np.shape(numpys), numpys.dtype)
        np.testing.assert_allclose(mg.stop_gradient(ours), numpys, rtol=1e-14, atol=1e-14)
    check_grads(f, *arrays, order=2)


def check_call(f, *arrays):
    """Compare a call on tensors, and compiled with its gradient, with that on arrays: value and dtype, or the error."""
    step = mg.jit(mg.value_and_grad(weighted(f), tuple(range(len(arrays)))))
    with np.errstate(all="ignore"):
        try:
            numpys = f(*arrays)
        except Exception as error:
            with pytest.raises(type(error)):
                f(*[mg.tensor(x, requires_grad=True) for x in arrays])
            with pytest.raises(type(error)):
                step(*arrays)
            return
        for ours, other in zip(
            parts(f(*[mg.tensor(x, requires_grad=True) for x in arrays])), parts(numpys), strict=True
        ):
            assert (ours.shape, ours.dtype) == (np.shape(other), other.dtype)
            assert ours.requires_grad
            np.testing.assert_allclose(mg.stop_gradient(ours), other, rtol=1e-6)
        total = weighted(f)(*arrays)
        rtol = 4e-3 if getattr(total, "dtype", None) == np.float16 else 1e-6
        np.testing.assert_allclose(step(*arrays)[0], total, rtol=rtol)


def compiles(op):
    """Whether jit takes a call whatever the values of its arrays are."""
    return not facts(op.function).shape_from_values
