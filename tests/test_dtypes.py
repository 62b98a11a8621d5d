"""Options that are NumPy's integers, and operands of narrow dtypes, give what Python's and float64 give."""

import numpy as np
import pytest
from derivatives import differentiated, flat
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.checks.proof import of_arrays
from minigrad.rules import OPS
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
    except (TypeError, ValueError, IndexError, RuntimeWarning):
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
