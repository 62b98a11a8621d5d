"""Calls that need the values of an array, unknown while a function is compiled: refused, with what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..where import JitError, NeedsValues, user_line

BRANCH = (
    "choose by np.where(condition, a, b), np.maximum(a, b) for max(a, b), or give what decides as a Python number, an "
    "option of the call"
)
NUMBER = "keep the array: NumPy computes with it as with a number, np.exp(x) in place of math.exp(x)"
ARRAY = (
    "keep the array, and call NumPy's functions on it: x for np.asarray(x), np.stack([…]) for np.array([…]), "
    "mg.tensor(table)[i] for table[i], y[:, None] == np.arange(C) for a one-hot matrix, np.zeros_like(x) for an "
    "array to write into, np.concatenate for np.r_"
)
FILLED = (
    "fill an array made of the arguments, np.zeros_like(x) or np.zeros(shape) + 0 * x[0], or join by np.stack"
)
KEY = "collect in a list, look up in an array, or give the number as an option of the call"
FORMATTED = "return the number, and format it outside"


def leaked() -> JitError:
    """Return the error of an array that has outlived its trace, in a list or an attribute, say."""
    return JitError(
        f"{user_line()}: this array leaked out of an earlier call of a compiled function, where it stands for an "
        "argument or a result, and has no values; return it from that call instead"
    )


def needs_values(what: str, instead: str, error: type[NeedsValues] = NeedsValues) -> Callable[..., Any]:
    """Return a method that raises an error: it would need the values of an array during tracing."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.recorder.over:
            raise leaked()
        raise error(
            f"{user_line()}: {what} needs the values of an array of shape {self.shape}, which are not known while the "
            f"function is compiled; {instead}",
            self.node,
        )

    return method


def shape_error(what: str, instead: str) -> JitError:
    """Return the error of a shape that depends on values."""
    return NeedsValues(
        f"{user_line()}: {what} from the values of an array gives an array whose shape depends on them, which is not "
        f"possible in a compiled function; {instead}"
    )
