"""Validation of an update rule's arguments, before anything is changed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engine.arrays import STAND_INS
from ..engine.scalars import as_real, is_int
from ..engine.tensor import Tensor

Config = dict[str, Any]
DECAYS = {"momentum", "decay_rate", "beta1", "beta2"}
"""Settings that weigh a moving average."""


def check_setting(rule: str, name: str, value: Any) -> None:
    """Refuse a setting that is no number in its range; of a traced one, the dtype alone is known."""
    if hasattr(value, "dtype"):
        if value.shape != () or value.dtype.kind not in "fiu":
            raise ValueError(
                f"{rule}: {name} is an array of shape {value.shape} and dtype {value.dtype}; expected one real number"
            )
        if type(value) in STAND_INS:
            return
        value = value.item()
    as_real(f"{rule}: {name}", value, "[0, 1)" if name in DECAYS else "[0, inf)")


def check_pair(rule: str, w: Any, dw: Any) -> None:
    """Refuse a parameter and a gradient that are not arrays of floats of one shape."""
    for name, x in (("the parameter w", w), ("the gradient dw", dw)):
        if not hasattr(x, "dtype") or x.dtype.kind not in "fc":
            raise TypeError(f"{rule}: {name} is {described(x)}; expected an array of floats")
    if dw.shape != w.shape:
        raise ValueError(
            f"{rule}: the gradient dw has shape {dw.shape}, the parameter w has {w.shape}; they must agree"
        )
    if dw.dtype.kind == "c" and w.dtype.kind != "c":
        raise TypeError(
            f"{rule}: the gradient dw has dtype {dw.dtype}, the parameter w has {w.dtype}; take its real part"
        )


def check_in_place(rule: str, w: NDArray[Any], dw: NDArray[Any]) -> None:
    """Refuse a parameter that cannot be overwritten, and a gradient that is no array."""
    if not isinstance(w, np.ndarray):
        raise TypeError(f"{rule}: the parameter w is a {type(w).__name__}; expected a NumPy array of floats")
    if not isinstance(dw, np.ndarray | np.generic):  # NumPy's arithmetic turns 0-d arrays into scalars
        raise TypeError(f"{rule}: the gradient dw is a {type(dw).__name__}; expected a NumPy array of floats")
    check_pair(rule, w, dw)
    if type(w) not in STAND_INS and not w.flags.writeable:
        raise ValueError(
            f"{rule}: the parameter w is read-only and is updated in place; pass a writable array, such as w.copy()"
        )


def steps_made(rule: str, t: Any) -> Any:
    """Return the number of steps made, the state ``t``, in a dtype that does not overflow."""
    is_array = hasattr(t, "dtype") and t.dtype.kind in "iu" and t.shape == ()
    if not (is_int(t) or is_array) or (type(t) not in STAND_INS and t < 0):
        raise ValueError(f"{rule}: t is {t!r}; expected the number of steps made, an integer >= 0")
    return t.astype(np.int64) if is_array else t


def state_of(rule: str, name: str, config: Config, w: NDArray[Any]) -> Any:
    """Return an entry of a rule's state from a config; the initial one where it is missing."""
    if name == "t":
        t = steps_made(rule, config.get("t", 0))
        return t if type(t) in STAND_INS else int(t)
    value = array_of_dtype(config[name], w.dtype) if config.get(name) is not None else np.zeros_like(w)
    check_state(rule, name, value, w)
    return value


def array_of_dtype(x: Any, dtype: np.dtype[Any]) -> Any:
    """Return an array, of the state or a number that NumPy's arithmetic made of one, in a dtype."""
    return x.astype(dtype, copy=False) if type(x) in STAND_INS else np.asarray(x, dtype)


def check_state(rule: str, name: str, value: Any, w: Any) -> None:
    """Refuse an entry of the state of another shape than its parameter's."""
    if np.shape(value) != w.shape:
        raise ValueError(
            f"{rule}: {name} has shape {np.shape(value)}, the parameter w has {w.shape}; they must agree"
        )


def refuse_leaves(rule: str, kind: str, leaves: list[Any]) -> None:
    """Refuse leaves of a tape: the step would be recorded, and with it all steps before.

    Inside `grad`, whose arguments are no leaves, a step may be differentiated.
    """
    if any(isinstance(x, Tensor) and x.requires_grad and x._call is None for x in leaves):
        or_grad = ", or the parameter's .grad" if kind == "a gradient" else ""
        raise TypeError(
            f"{rule}: {kind} is a leaf of the tape, and the step would be recorded; give its array, .data{or_grad}"
        )


def described(x: Any) -> str:
    """Describe an object that is no array of floats."""
    return f"an array of {x.dtype}" if hasattr(x, "dtype") else repr(x)
