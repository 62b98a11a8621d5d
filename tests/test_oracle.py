"""Random programs, each begun by another function of the table: values are NumPy's, and compiled they are the same."""

import warnings

import numpy as np
import oracle
import pytest

import minigrad as mg
from minigrad.checks.proof import float_places

FUNCTIONS = sorted(oracle.TABLE, key=oracle.path_of)
SHAPED_BY_VALUES = {"lstsq"}  # which alone is not compiled: the shape of what is left depends on the rank


def program(first):
    """Calls of three functions: one, and two that are drawn."""
    rng = np.random.default_rng(first)
    functions = [FUNCTIONS[first], *(FUNCTIONS[i] for i in rng.integers(len(FUNCTIONS), size=2))]
    calls = []
    for function in functions:
        op = oracle.TABLE[function]
        args, kwargs = op.inputs(oracle.RandomDraw(int(rng.integers(2**31))))
        if float_places(args):
            calls.append((op.function, args, kwargs, float_places(args)))
    return calls


@pytest.mark.parametrize("first", range(len(FUNCTIONS)), ids=lambda first: oracle.path_of(FUNCTIONS[first]))
@np.errstate(all="ignore")
def test_values_are_those_of_numpy_and_compiled_all_is_the_same(first):
    calls = program(first)
    xs = oracle.arrays_of(calls)

    def f(xs):
        return oracle.run(calls, xs, np, {})

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not depend on its arguments", UserWarning)
        expected, gradients = mg.value_and_grad(f)(xs)
        value, compiled = mg.jit(mg.value_and_grad(f))(xs)
    np.testing.assert_allclose([expected, value], f(xs), rtol=1e-10, atol=1e-10)
    if not SHAPED_BY_VALUES & {call[0].__name__ for call in calls}:
        np.testing.assert_allclose(mg.jit(f)(xs), expected, rtol=1e-10, atol=1e-10)
    size = max([1.0, *(np.max(np.abs(each), initial=0) for each in gradients)])
    for got, want in zip(compiled, gradients, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-10 * size)
