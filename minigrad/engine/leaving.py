"""Leaving the tape: methods that return values, and errors where a tensor would leave it unnoticed.

The errors tell who asks for an array, and what to write instead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np

from ..rules.facts import facts
from ..rules.lookup import rules_of
from ..rules.table import full_name
from .arrays import is_number
from .calls import Variable, bare, parent_of
from .recording import Array, TapeError, differentiated, recording
from .statements import is_stored
from .walk import depends_on

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
"""What to write instead of attributes that arrays, or other libraries' tensors, have and tensors have not."""
OF_SCIPY = {
    "scipy.stats": "it with scipy.special's functions, which take tensors (ndtr for norm.cdf, gammaln), and NumPy's",
    "scipy": "it with NumPy's functions (np.linalg, np.fft, np.convolve), or give it a backward rule, mg.rule",
}
"""What to write instead of SciPy functions about which nothing else is known, by a prefix of their module."""
DECORATORS = {"minigrad.engine.arguments", "minigrad.compiler.environment.joined"}
"""The modules that call functions for the program."""
BRACKETS = {"RClass": "r_", "CClass": "c_"}
"""The names of what NumPy's classes are used by."""
LIBRARIES = ("numpy", "scipy", "minigrad")


def who_asks() -> tuple[str, str]:
    """Return where a tensor is being turned into an array, by which library function; and what to write instead."""
    frame, name, known = asked_by(sys._getframe(2))
    instead = f"write {known}, or {EXPLICITLY}" if known else INSTEAD_OF_AN_ARRAY
    return f"{name}at {frame.f_code.co_filename}:{frame.f_lineno}", instead


def refuse_option(tensor: Any = None) -> None:
    """Refuse a tensor that is an option, or computed from one, of the library function that asks for its values.

    Raises
    ------
    TapeError
        If NumPy's function has rules: operands that are tensors never reach it.
    """
    name = ""
    for frame in _of_libraries(sys._getframe(2)):
        called, known = frame.f_code.co_name, frame.f_locals
        if frame.f_globals["__name__"] == "minigrad.engine.dispatch":
            function: Any = known.get("function")
            options = [x for x in (*known.get("args", ()), *known.get("kwargs", {}).values()) if x is tensor]
        else:
            function = frame.f_globals.get(called, getattr(np, called, None))
            options = [x for x in known.values() if getattr(x, "requires_grad", False) is True]
        if options and rules_of(function) is not None:
            name = function.__name__
    if name:
        raise TapeError(f"{name}: {AS_AN_OPTION}")


def asked_by(frame: FrameType) -> tuple[FrameType, str, str]:
    """Return the innermost frame of the program, the library function that it called, and its replacement."""
    name = known = ""
    program = frame
    for inner in _of_libraries(frame):
        called, module = inner.f_code.co_name, inner.f_globals["__name__"]
        if module not in DECORATORS:
            if called.startswith("__") and "self" in inner.f_locals:  # of a class, as np.vectorize(f)(t)
                called = type(inner.f_locals["self"]).__name__
                called = BRACKETS.get(called, called)
            function = getattr(np, called, inner.f_globals.get(called))
            called, given = f"{module}.{called}", inner.f_locals
            asked = given.get("function", given.get("ufunc"))
            if module == "minigrad.engine.dispatch" and asked is not None:
                called = full_name(asked)
            elif module.startswith("scipy."):
                called = decorated_by(inner) or called
            name = "" if module.startswith("minigrad.compiler") else f"{called}, called "
            known = facts(function).instead if rules_of(function) is None else ""
        program = inner.f_back or inner
    return program, name, known or instead_of_scipy(name)


def instead_of_scipy(name: str) -> str:
    """Return what to write instead of SciPy's function of this full name: NumPy's of the same name, if there is one."""
    for of, namespace in (("scipy.linalg", np.linalg), ("scipy.fft", np.fft)):
        own = name.removesuffix(", called ").rpartition(".")[2]
        if name.startswith(f"{of}.") and hasattr(namespace, own):
            text = f"{namespace.__name__}.{own}".replace("numpy", "np")
            return f"{text}, of which the factor is lower" if own == "cholesky" else text
    return next((text for of, text in OF_SCIPY.items() if name.startswith(f"{of}.")), "")


def decorated_by(frame: FrameType) -> str | None:
    """Return the name of the function that a decorator's wrapper calls, or a backend of SciPy's; None of any other."""
    if frame.f_code.co_name in frame.f_globals or "self" in frame.f_locals:
        return None
    names = (*frame.f_code.co_freevars, "method")
    given = [x for x in map(frame.f_locals.get, names) if callable(x)]
    wrapped = [x for x in given if hasattr(x, "__name__") and getattr(x, "__module__", None)]
    return f"{wrapped[0].__module__}.{wrapped[0].__name__}" if wrapped else None


def stacklevel_of_program() -> int:
    """Return the ``stacklevel`` of a warning that the caller gives about the program's own statement."""
    return 1 + sum(1 for _ in _of_libraries(sys._getframe(1)))


def _of_libraries(frame: FrameType) -> Iterator[FrameType]:
    """Yield the frames of NumPy's, SciPy's and this package's functions, from this one on outwards."""
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] in LIBRARIES:
        yield frame
        frame = frame.f_back


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


def would_be_cut_off(x: Variable) -> bool:
    """Tell whether a plain array of a tensor's values would miss its gradient."""
    return x.requires_grad and recording.get() is not None and parent_of(x) is not None


class OffTheTape(Variable):
    """The methods of a tensor that return its values off the tape: explicitly, or not at all."""

    __slots__ = ()

    def item(self, *index: Any) -> Any:
        """Return the one entry, or that at an index, as a Python number, off the tape."""
        return bare(self).item(*index)

    def numpy(self) -> Array:
        """Return the values as an array, off the tape: ``data`` itself."""
        return bare(self)  # type: ignore[no-any-return]  # the array of a tensor

    def tolist(self) -> Any:
        """Return the values as nested lists of Python numbers, off the tape; not inside `grad`."""
        self._refuse_inside_grad("tolist()", "iterate over the tensor")
        return bare(self).tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if would_be_cut_off(self):
            refuse_option(self)
            where, instead = who_asks()
            raise TapeError(
                f"{where}: a tensor that requires a gradient became a plain array, which would cut it off from the "
                f"tape; {instead}"
            )
        array = bare(self)
        return np.array(array, dtype=dtype) if copy or is_number(array) else np.asarray(array, dtype=dtype)

    def _number(self, kind: str) -> Any:
        if would_be_cut_off(self):
            refuse_option(self)
            if is_stored():
                raise TapeError(
                    "array[i] = t (or array.fill, np.fromiter) would cut the tensor t, which requires a gradient, off "
                    f"from the tape; {INSTEAD_OF_AN_ARRAY}"
                )
            self._refuse_inside_grad(f"{kind}()", "keep the tensor (np.exp(t) in place of math.exp(t))")
        return bare(self) if self.data.ndim == 0 else self.item()

    def _refuse_inside_grad(self, what: str, instead: str) -> None:
        """Refuse to leave the tape where what this tensor depends on is being differentiated."""
        if not self.requires_grad or recording.get() is None or self._call is None or not differentiated:
            return
        if depends_on(self._call, differentiated):
            raise TapeError(
                f"{what} of a tensor inside grad would cut it off from the tape; {instead}, or {EXPLICITLY}"
            )

    def __float__(self) -> float:
        return float(self._number("float"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def __complex__(self) -> complex:
        return complex(self._number("complex"))

    def __bool__(self) -> bool:
        return bool(bare(self))

    def __index__(self) -> int:
        return bare(self).__index__()  # type: ignore[no-any-return]  # an array's
