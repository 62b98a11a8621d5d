"""The identity of a training, by which a Solver knows its checkpoint."""

from __future__ import annotations

import contextlib
import dis
import inspect
import math
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import fingerprint

DECISIVE = (
    "update_rule",
    "optim_config",
    "lr_decay",
    "batch_size",
    "num_train_samples",
    "num_val_samples",
    "lr_schedule",
    "replacement",
    "augment",
    "average",
    "metric",
    "batches",
)
"""The arguments of a Solver that decide its numbers."""


class Identity:
    """A training's model, data and settings: a checkpoint is resumed by a solver with the same.

    Parameters
    ----------
    model : Model
        The model: its class, its parameters' shapes and dtypes, and its constructor arguments: attributes of their
        names (``loss_name`` for ``loss``, too) that are numbers, strings, None or tuples of them. Models among its
        attributes, likewise.
    data : mapping
        The arrays, known by their fingerprints.
    arguments : mapping
        The Solver's, of which the ``DECISIVE`` ones count.
    """

    def __init__(self, model: Any, data: Mapping[str, NDArray[Any]], arguments: Mapping[str, Any]) -> None:
        self._model, self._data = model, data
        self._settings = {name: arguments[name] for name in DECISIVE}
        self._parts: dict[str, Any] = {}

    def parts(self) -> dict[str, Any]:
        """Return the parts of a checkpoint that must agree; computed lazily, as data take long to hash."""
        if not self._parts:
            shapes = {name: f"{w.dtype} {w.shape}" for name, w in self._model.params.items()}
            self._parts = {
                "model": _settings_of(self._model) | shapes,
                "data": {name: fingerprint(array) for name, array in self._data.items()},
                "settings": {name: described(value) for name, value in self._settings.items()},
            }
        return self._parts


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Write the entries in which two descriptions differ."""
    absent = "nothing"
    return [
        f"{name}: {there.get(name, absent)} there, {here.get(name, absent)} here"
        for name in {**there, **here}
        if there.get(name, absent) != here.get(name, absent)
    ]


def described(value: Any, within: tuple[Any, ...] = ()) -> Any:
    """Return a value as a checkpoint holds it: the same for equal ones.

    An array is known by its fingerprint; a function by its name, defaults, closure cells and constants; any other
    object by its class and constructor arguments. ``within`` are the functions and objects around: arrays in them,
    perhaps work arrays, are known by their shapes and dtypes.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and math.isnan(value):
        return "nan"  # which equals itself
    for plain in (bool, int, float, str):
        if isinstance(value, plain):
            return plain(value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        on_disk = isinstance(value, np.memmap)  # it may be larger than the memory
        return f"{value.dtype} {value.shape}" if on_disk or within else fingerprint(value)
    if isinstance(value, dict):
        return {str(name): described(each, within) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return tuple(described(each, within) for each in value)
    name = name_of(value)
    if value is None or any(value is each for each in within):
        return value if value is None else name
    made_of = ", ".join(
        f"{each}={described(part, (*within, value))!r}" for each, part in _made_of(value).items()
    )
    return f"{name}({made_of})" if made_of else name


def name_of(value: Any) -> str:
    """Return a function's name, or an object's class."""
    for name in ("__qualname__", "__name__"):
        if isinstance(found := getattr(value, name, None), str):
            return found
    return type(value).__qualname__


def _made_of(f: Any) -> dict[str, Any]:
    """Return a function's defaults, closure cells and constants, a partial's parts, or an object's arguments.

    Variables that a function assigns to, and lists, dicts and sets, change from call to call: they are left out.
    """
    if isinstance(f, partial):
        return {"func": f.func} | {str(i): each for i, each in enumerate(f.args)} | f.keywords
    if isinstance(f, MethodType):
        return _constructor_arguments(f.__self__) | _made_of(f.__func__)
    if not isinstance(f, FunctionType):
        return {} if hasattr(f, "__qualname__") else _constructor_arguments(f)
    code, defaults, assigned = f.__code__, f.__defaults__ or (), _assigned_in(f.__code__)
    names = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
    found = dict(zip(names, defaults, strict=True)) | (f.__kwdefaults__ or {})
    for name, cell in zip(code.co_freevars, f.__closure__ or (), strict=True):
        if name not in assigned:
            with contextlib.suppress(ValueError):  # it is not bound yet
                found[name] = cell.cell_contents
    found = {name: each for name, each in found.items() if not isinstance(each, list | dict | set)}
    # A function of minigrad is known by its name and cells.
    is_ours = str(f.__module__).partition(".")[0] == __name__.partition(".")[0]
    constants = () if is_ours else tuple(_constants_in(code))
    return found | {"its constants": constants} if constants else found


def _constants_in(code: CodeType) -> Iterator[Any]:
    """Yield the numbers and strings that code loads, functions in it included; docstrings are not loaded."""
    for each in dis.get_instructions(code):
        value = each.argval
        if isinstance(value, CodeType):
            yield from _constants_in(value)
        elif each.opcode in dis.hasconst or each.opname == "LOAD_SMALL_INT":  # the latter in Python 3.14
            if isinstance(value, frozenset):  # of ``step in {3, 5}``
                value = tuple(sorted(value, key=repr))
            elif isinstance(value, slice):
                value = value.start, value.stop, value.step
            if value is not None and _is_plain(value):
                yield value


def _assigned_in(code: CodeType) -> set[Any]:
    """Return the variables of enclosing functions that code assigns to, functions in it included."""
    found = {each.argval for each in dis.get_instructions(code) if each.opname == "STORE_DEREF"}
    return found.union(*[_assigned_in(each) for each in code.co_consts if isinstance(each, CodeType)])


def _settings_of(model: Any, within: tuple[Any, ...] = ()) -> dict[str, Any]:
    """Return a model's class and constructor arguments, and those of models among its attributes."""
    found = {"class": type(model).__name__}
    found |= {name: described(value) for name, value in _constructor_arguments(model).items()}
    within = (*within, model)
    for name, value in getattr(model, "__dict__", {}).items():
        if isinstance(getattr(value, "params", None), dict) and not any(value is each for each in within):
            found |= {f"{name}.{each}": part for each, part in _settings_of(value, within).items()}
    return found


def _constructor_arguments(x: Any) -> dict[str, Any]:
    """Return an object's constructor arguments: plain attributes that are named as parameters of its class."""
    parameters: Collection[str] = ()
    with contextlib.suppress(ValueError):  # a class made in C
        parameters = inspect.signature(type(x)).parameters
    return {
        name: value
        for name, value in getattr(x, "__dict__", {}).items()
        if _is_plain(value)
        and not {name, name.lstrip("_"), name.removesuffix("_name")}.isdisjoint(parameters)
    }


def _is_plain(value: Any) -> bool:
    """Tell whether a value is a number, a string, None or a tuple of them."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str | np.generic)
