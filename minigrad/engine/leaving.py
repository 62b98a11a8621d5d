"""Where a tensor is about to leave the tape unnoticed: who asks for an array, and what to write instead."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import numpy as np

from ..rules.facts import facts
from ..rules.lookup import rules_of
from ..rules.table import full_name
from .recording import TapeError

AS_AN_OPTION = "no backward rule for a tensor as an option; detach it"
EXPLICITLY = "leave the tape explicitly: t.numpy(), t.detach(), t.item()"
JOINED = (
    "fill a tensor instead of an array (a = mg.tensor(a); a[i] = t), join tensors by np.stack or np.concatenate, "
    "write t for np.asarray(t), X @ t for X.dot(t)"
)
INSTEAD_OF_AN_ARRAY = f"{JOINED}, or {EXPLICITLY}"
OTHERWISE = {
    "zero_grad": "; write t.grad = None",
    "strides": "; how its entries lie in memory may change; for windows write "
    + facts(np.lib.stride_tricks.as_strided).instead,
    "unsqueeze": "; write np.expand_dims(t, axis), or t[:, None]",
    "permute": "; write t.transpose(axes)",
    "requires_grad_": "; write mg.tensor(data, requires_grad=True)",
}
OTHERWISE |= {name: f"; write mg.{name}(t)" for name in ("relu", "sigmoid", "gelu", "elu", "leaky_relu")}
"""What to write instead of attributes that arrays, or the tensors of others, have and tensors not."""
OF_SCIPY = {
    "scipy.stats": "it with scipy.special's functions, which take tensors (ndtr for norm.cdf, gammaln), and NumPy's",
    "scipy": "it with NumPy's functions (np.linalg, np.fft, np.convolve), or give it a backward rule, mg.rule",
}
"""What to write instead of functions of SciPy's of which nothing else is known, by what their module begins with."""
LIBRARIES = ("numpy", "scipy", "minigrad")


def who_asks() -> tuple[str, str]:
    """Return where a tensor is being turned into an array, by which library function; and what to write instead."""
    frame, name, known = asked_by(sys._getframe(2))
    instead = f"write {known}, or {EXPLICITLY}" if known else INSTEAD_OF_AN_ARRAY
    return f"{name}at {frame.f_code.co_filename}:{frame.f_lineno}", instead


def refuse_option(tensor: Any = None) -> None:
    """Refuse a tensor that is an option of the library function that asks for its values, or what was computed of one.

    Raises
    ------
    TapeError
        If NumPy's function has rules: operands that are tensors never reach it.
    """
    frame, name = sys._getframe(2), ""
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in LIBRARIES:
        called, known = frame.f_code.co_name, frame.f_locals
        if frame.f_globals["__name__"] == "minigrad.engine.dispatch":
            function: Any = known.get("function")
            options = [x for x in (*known.get("args", ()), *known.get("kwargs", {}).values()) if x is tensor]
        else:
            function = frame.f_globals.get(called, getattr(np, called, None))
            options = [x for x in known.values() if getattr(x, "requires_grad", False) is True]
        if options and rules_of(function) is not None:
            name = function.__name__
        frame = frame.f_back
    if name:
        raise TapeError(f"{name}: {AS_AN_OPTION}")


def asked_by(frame: FrameType) -> tuple[FrameType, str, str]:
    """Return the innermost frame of the program, the library function that it called, and its replacement."""
    name = known = ""
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in LIBRARIES:
        called, module = frame.f_code.co_name, frame.f_globals["__name__"]
        if module != "minigrad.engine.arguments":  # a decorator's
            if called.startswith("__") and "self" in frame.f_locals:  # of a class, as np.vectorize(f)(t)
                called = type(frame.f_locals["self"]).__name__
            function = getattr(np, called, frame.f_globals.get(called))
            called, given = f"{module}.{called}", frame.f_locals
            asked = given.get("function", given.get("ufunc"))
            if module == "minigrad.engine.dispatch" and asked is not None:
                called = full_name(asked)
            name = "" if module.startswith("minigrad.compiler") else f"{called}, called "
            known = facts(function).instead if rules_of(function) is None else ""
        frame = frame.f_back
    return (
        frame,
        name,
        known or next((text for of, text in OF_SCIPY.items() if name.startswith(f"{of}.")), ""),
    )


def stacklevel_of_program() -> int:
    """Return the ``stacklevel`` of a warning that the caller gives about the program's own statement."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in LIBRARIES:
        frame, level = frame.f_back, level + 1
    return level


def parts_are_read() -> TapeError:
    """Return the error of an assignment to the real or the imaginary part alone."""
    return TapeError(
        "z.real = x and z.imag = y are not recorded; write z = x + 1j * z.imag, z = z.real + 1j * y, or both at once, "
        "z[...] = x + 1j * y"
    )


def held_by_others(ufunc: Any) -> TapeError:
    """Return the error of a plain array that would become a tensor in place."""
    return TapeError(
        f"{full_name(ufunc)}: a tensor that requires a gradient cannot be written into a plain array, which others may "
        f"hold; write a = np.{ufunc.__name__}(a, t), or make a tensor of the array, a = mg.tensor(a)"
    )


def written_to(function: Any) -> TapeError:
    """Return the error of a function that would write a tensor into a plain array."""
    refuse_option()
    write = f"np.{function.__name__}.at(a, index, t)" if isinstance(function, np.ufunc) else "a[index] = t"
    known = asked_by(sys._getframe(1))[2] or f"{write}, with a tensor of the array, a = mg.tensor(a)"
    return TapeError(
        f"{full_name(function)}: a tensor that requires a gradient cannot be written into a plain array, which others "
        f"may hold; write {known}"
    )
