"""The arguments of public functions: array-likes become arrays, and errors name the function."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from opcode import opmap
from types import CodeType
from typing import Any, NoReturn, TypeVar, cast

import numpy as np

from .arrays import as_array, refuse_foreign

Function = TypeVar("Function", bound=Callable[..., Any])
FLOATS = {np.ndarray, np.float64, np.float32}
"""Types that are taken without conversion, if their dtype is floating."""
NAMES: set[str] = set()
"""Function names that error messages start with."""
BARE = (
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    KeyError,
    ZeroDivisionError,
    OverflowError,
    UnboundLocalError,
    RecursionError,
)
"""Built-in exceptions that a wrong argument can cause."""
RAISE = opmap["RAISE_VARARGS"]
"""The instruction of a raise statement."""


def takes_arrays(function: Function) -> Function:
    """Let a function take array-likes, as NumPy's do, and name it in every error.

    Parameters annotated ``Array`` arrive as arrays of real floats; lists, numbers and integers are converted, to the
    dtype that NumPy promotes the arguments to, or float64. Other parameters are left as they are. Errors that the
    function raises in its own name, as ``affine: …``, pass.

    Raises
    ------
    TypeError, ValueError
        In a call: if such an argument is no array of real numbers, or if the call failed within.
    """
    code: CodeType = function.__code__  # read by hand: a signature takes long to make
    names, more = code.co_varnames[: code.co_argcount], code.co_argcount + code.co_kwonlyargcount
    rest = code.co_varnames[more] if code.co_flags & inspect.CO_VARARGS else None
    arrays = {name for name, each in function.__annotations__.items() if each == "Array"}
    checked = [name in arrays for name in names]
    count = None if rest in arrays else max((i + 1 for i, each in enumerate(checked) if each), default=0)
    called = function.__name__.removesuffix("_forward")
    NAMES.update((called, function.__name__))

    def named(args: Iterable[Any]) -> list[tuple[str, Any]]:
        return [
            (names[i] if i < len(names) else f"{rest or 'argument'}[{i - len(names)}]", x)
            for i, x in enumerate(args)
        ]

    def converted(args: Iterable[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        full = [*named(args), *kwargs.items()]
        for i, (name, x) in enumerate(full):
            if name.partition("[")[0] in arrays:
                full[i] = name, _real(x, called, name)
        taken = [x for name, x in full if name.partition("[")[0] in arrays]
        common = np.result_type(*[x.dtype for x in taken]) if taken else np.dtype(float)
        dtype = common if common.kind in "fc" else np.dtype(float)
        values = [
            x.astype(dtype) if name.partition("[")[0] in arrays and x.dtype.kind in "iub" else x
            for name, x in full
        ]
        positional = len(full) - len(kwargs)
        return values[:positional], dict(zip(kwargs, values[positional:], strict=True))

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            for x in args[:count]:
                if type(x) not in FLOATS or x.dtype.kind != "f":
                    full, options = converted(args, kwargs)
                    return function(*full, **options)
            if kwargs and not arrays.isdisjoint(kwargs):
                full, options = converted(args, kwargs)
                return function(*full, **options)
            return function(*args, **kwargs)
        except BARE as error:
            raise_instead(explained(error, called, [*named(args), *kwargs.items()]), error)

    wrapper.takes_arrays = True  # type: ignore[attr-defined]  # an attribute of the function's own
    return cast(Function, wrapper)


def parameters_of(f: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return a function's parameters; none where it has no signature, as some of NumPy's."""
    try:
        return list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return []


def positional_names(f: Callable[..., Any]) -> list[str]:
    """Return the names of the parameters that may be given by position."""
    return [each.name for each in parameters_of(f) if each.kind <= each.POSITIONAL_OR_KEYWORD]


def argument_names(f: Callable[..., Any], count: int, other: str = "x") -> list[str]:
    """Return the names of the first ``count`` positional arguments; those without a name are numbered."""
    names = positional_names(f)
    return [names[i] if i < len(names) else f"{other}{i}" for i in range(count)]


def names_itself(function: Function) -> Function:
    """Let a function name itself in every error that a wrong argument leads to.

    The package's own errors are prefixed with the function's name; those raised by Python and NumPy become TypeError or
    ValueError, and list the arguments. Errors raised by a user's functions, which it calls, pass unchanged.
    """
    called = function.__qualname__.partition(".__")[0]  # a class is called by its own name
    NAMES.add(called)

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except BARE as error:
            names = list(inspect.signature(function).parameters)
            given = [(names[min(i, len(names) - 1)], x) for i, x in enumerate(args)]
            raise_instead(_of_ours(error, called, [*given, *kwargs.items()]), error)

    return cast(Function, wrapper)


def _of_ours(error: Exception, called: str, given: Iterable[tuple[str, Any]]) -> Exception | None:
    """Translate an error into one that names the called function; None if it is a user's own, or names one already."""
    frame = error.__traceback__ and error.__traceback__.tb_next
    if (
        frame is None or type(error) not in BARE
    ):  # it was called with other arguments than it has; or it is NumPy's
        return None if frame is None else explained(error, called, given)
    while True:
        module = frame.tb_frame.f_globals.get("__name__", "").partition(".")[0]
        if module not in ("minigrad", "numpy") and module not in sys.stdlib_module_names:
            return None
        if frame.tb_next is None:
            break
        frame = frame.tb_next
    is_check = module == "minigrad" and frame.tb_frame.f_code.co_code[frame.tb_lasti] == RAISE
    if not (is_check and type(error) in (TypeError, ValueError)):
        return explained(error, called, given)
    return None if str(error).partition(":")[0] in NAMES else type(error)(f"{called}: {error}")


def explained(error: Exception, called: str, given: Iterable[tuple[str, Any]]) -> Exception | None:
    """Return an error that names the function and its arguments; None if this one does so already."""
    if (own := own_cause(error)) is not None:
        return own
    bare = type(error) in BARE or type(error).__module__.partition(".")[0] == "numpy"
    if not bare or str(error).partition(":")[0] in NAMES:
        return None
    told = ", ".join(f"{name} {_told(x)}" for name, x in given)
    kind = ValueError if isinstance(error, ValueError) else TypeError
    kind = np.linalg.LinAlgError if isinstance(error, np.linalg.LinAlgError) else kind
    return kind(f"{called}: {error}; called with {told or 'no arguments'}")


def own_cause(error: Exception) -> TypeError | None:
    """Return the package's error that NumPy replaced by "setting an array element with a sequence", if any."""
    cause = error.__cause__ or error.__context__
    if not (isinstance(cause, TypeError) and str(error).startswith("setting an array element")):
        return None
    return cause if type(cause).__module__.partition(".")[0] == "minigrad" else None


def raise_instead(told: Exception | None, error: Exception) -> NoReturn:
    """Raise ``told``, or the error itself; no frame keeps a reference to them, and so the arguments alive.

    What was raised below NumPy's error is told with its traceback, which ends in the program's statement.
    """
    try:
        if told is None:
            raise error
        if told is error.__cause__ or told is error.__context__:
            error.__cause__ = error.__context__ = None  # or they would be in a circle
            raise told.with_traceback(error.__traceback__) from None
        raise told from error
    finally:
        del told, error


def _real(x: Any, called: str, name: str) -> Any:
    """Convert to an array of real numbers; an object with NumPy's protocols, such as a tensor, passes through."""
    if isinstance(x, np.ndarray) or not hasattr(type(x), "__array_function__"):
        x = x if isinstance(x, np.generic) else array_of(x, called, name)
    if x.dtype.kind not in "fciub":  # complex ones are those of the complex step
        what = "None" if x.shape == () and x.dtype == object and x.item() is None else f"of dtype {x.dtype}"
        raise TypeError(f"{called}: {name} is {what}; expected an array of real floats")
    return x


def array_of(x: Any, called: str, name: str) -> Any:
    """Return `numpy.asarray` of an argument; name it where it is none, as a ragged list; refuse foreign ones."""
    refuse_foreign(x, called)
    try:
        return as_array(x)
    except ValueError as error:
        raise ValueError(f"{called}: {name} is no array: {error}") from error


def check_callable(called: str, f: Any) -> None:
    """Refuse what is no function."""
    if not callable(f):
        raise TypeError(f"{called}: got {f!r}; expected a function of arrays")


def _told(x: Any) -> str:
    """Describe an argument: by its dtype and shape, or its type."""
    if hasattr(x, "dtype") and hasattr(x, "shape"):
        return f"{x.dtype}{list(x.shape)}"
    return "None" if x is None else f"of type {type(x).__name__}"
