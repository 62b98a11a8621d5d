"""`jit`: a function of arrays, compiled to the straight line of NumPy calls that it makes."""

from __future__ import annotations

import dis
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial, update_wrapper
from types import CodeType, FunctionType, MethodType, ModuleType, NoneType
from typing import Any, NamedTuple

import numpy as np

from .capture import JitError, Traced, TracedGenerator
from .layers import Layer
from .program import Program, name_of
from .tape import recording
from .tensor import Tensor
from .watch import Anomaly

MAXSIZE = 32
"""How many signatures of a function are kept compiled."""


class CacheInfo(NamedTuple):
    """How often a signature was known, how often it was compiled, and how many are kept and may be."""

    hits: int
    misses: int
    maxsize: int
    currsize: int


class Inlined(Exception):
    """An argument is a tensor, or is being captured: the function is part of a larger computation."""


def jit(f: Callable[..., Any] | None = None, *, donate_argnums: int | tuple[int, ...] = ()) -> Any:
    """Compile a function of arrays to the NumPy calls it makes, into memory that is kept.

    The first call with a signature (how the arguments are nested, the arrays' shapes and dtypes, the values of
    all other arguments) runs the function on stand-ins that record NumPy's calls, the backward pass of `grad`
    and `value_and_grad` included. What is recorded is simplified, given buffers, and written as Python source.
    Later calls run that. A function whose arguments are tensors, or which is called in one that is compiled, is
    part of that computation and is not compiled on its own; in `detect_anomaly` it runs as it is written.

    Parameters
    ----------
    f
        A function of arrays, numbers, random generators, and nested dicts, lists and tuples of them, that
        depends on nothing else, does nothing else, and returns arrays, nested as they may be.
        An array that it writes to is written to. Numbers, strings, functions and the like are options: a new
        value is a new signature. So is what it, and a function that it calls by a name or is given, reads from
        outside by a name of its own: a number, string or tuple of them by its value, anything else (a function, a
        class, a list) by which object it is. What is in that object (an entry, an attribute; a module's functions)
        is taken once, and so is what a function reads that is found in it. Arrays must be arguments. While it is
        captured they are arrays to isinstance, but not to ``type(x) is np.ndarray``.
    donate_argnums
        The positions of arguments whose arrays may be written over, and handed back as results.

    Returns
    -------
    Jitted
        To be called as f. What it returns is the caller's own.

    Raises
    ------
    JitError
        When first called, at a line whose outcome depends on the values of arrays (``if loss > 3``,
        ``float(x)``, ``np.asarray(x)``), on random numbers that are no argument, or on an array from outside.

    Examples
    --------
    >>> @mg.jit(donate_argnums=0)
    ... def step(params, X, y):
    ...     loss, grads = mg.value_and_grad(objective)(params, X, y)
    ...     return loss, {name: params[name] - lr * grads[name] for name in params}
    """
    positions = donate_argnums if isinstance(donate_argnums, tuple) else (donate_argnums,)
    if not all(type(position) is int and position >= 0 for position in positions):
        raise TypeError(
            f"jit: donate_argnums is {donate_argnums!r}; expected a position, 0 or more, or a tuple of them"
        )
    if f is None:
        return lambda f: Jitted(f, positions)
    if not callable(f):
        raise TypeError(f"jit: got {f!r}; expected a function of arrays")
    return Jitted(f, positions)


class Jitted:
    """A compiled function; made by `jit`.

    Attributes
    ----------
    source : str
        The Python source that the last call ran.
    tape : Tape
        The calls in it; ``print`` it.
    buffers : int
        The memory that it keeps between calls, in bytes.
    """

    def __init__(self, f: Callable[..., Any], donated: tuple[int, ...]) -> None:
        update_wrapper(self, f)
        self.function = f
        self.donated = donated
        self.programs: OrderedDict[Any, Program] = OrderedDict()
        self.free: list[tuple[Any, Any, Any]] | None = None  # where, by which name, and what it was
        self.free_key: tuple[Any, ...] = ()
        self.last: Program | None = None
        self.hits = self.misses = 0

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function; compile it first, if the signature is new."""
        leaves: list[Any] = []
        key: list[Any] = []
        try:
            flatten(args, leaves, key)
            if kwargs:
                key.append("keywords")
                flatten((kwargs,), leaves, key)
        except Inlined:
            return self.function(*args, **kwargs)
        if type(recording.get()) is Anomaly:
            return self.function(*args, **kwargs)
        try:
            for namespace, name, before in self.free or ():
                if (namespace.cell_contents if name is None else namespace.get(name)) is not before:
                    self._read_free_variables()
                    break
        except ValueError:  # a cell that is empty
            self._read_free_variables()
        key += self.free_key
        signature = tuple(key)
        program = self.programs.get(signature)
        if program is None:
            return self._compile(args, kwargs, leaves, signature)
        self.hits += 1
        if program is not self.last:
            self.programs.move_to_end(signature)
            self.last = program
        if program.overwritten:
            refuse_overlap(leaves, program.overwritten)
        with program.lock:
            return program.run(*leaves)

    def _compile(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], leaves: list[Any], signature: tuple[Any, ...]
    ) -> Any:
        """Compile the function for a new signature; return the result that capturing it gave."""
        if self.free is None:
            self._read_free_variables()
            signature += self.free_key
        if any(position >= len(args) + len(kwargs) for position in self.donated):
            raise TypeError(
                f"jit: donate_argnums is {self.donated}, but {name_of(self.function)} was called with "
                f"{len(args) + len(kwargs)} arguments"
            )
        program = Program(self.function, args, kwargs, self.donated)
        refuse_overlap(leaves, program.overwritten)
        result = program.first(leaves)
        self.programs[signature] = self.last = program
        self.misses += 1
        if len(self.programs) > MAXSIZE:
            self.programs.popitem(last=False)
        return result

    def _read_free_variables(self) -> None:
        """Take what the function reads from outside into the signature."""
        self.free = [(*place, outside(*place)) for place in free_variables(self.function)]
        self.free_key = tuple([taken(value) for _, _, value in self.free])

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Bind a method, as functions do."""
        return self if instance is None else lambda *args, **kwargs: self(instance, *args, **kwargs)

    def _program(self) -> Program:
        if self.last is None:
            raise AttributeError(
                f"jit: {name_of(self.function)} was not called yet; it is compiled when it is"
            )
        return self.last

    @property
    def source(self) -> str:
        """The Python source that the last call ran."""
        return self._program().source

    @property
    def tape(self) -> Any:
        """The calls that the last call made, as a `minigrad.printed.Tape`."""
        return self._program().tape()

    @property
    def buffers(self) -> int:
        """The memory that the last call's program keeps between calls, in bytes."""
        return self._program().buffers

    def cache_info(self) -> CacheInfo:
        """Return how often a signature was known and how often it was not, and how many are kept."""
        return CacheInfo(self.hits, self.misses, MAXSIZE, len(self.programs))


# Signatures


def flatten(items: Iterable[Any], leaves: list[Any], key: list[Any]) -> None:
    """Append the arrays of nested arguments to the leaves, and what a program depends on to the key."""
    for x in items:
        kind = type(x)
        if kind is np.ndarray:
            leaves.append(x)
            key.append(x.shape)
            key.append(x.dtype)
        elif kind is dict or isinstance(x, dict):
            key.append((kind, *x))
            flatten(x.values(), leaves, key)
        elif isinstance(x, (tuple, list)):
            key.append((kind, len(x)))
            flatten(x, leaves, key)
        elif kind is Tensor or kind is Traced or kind is TracedGenerator:
            raise Inlined
        elif isinstance(x, (np.generic, np.random.Generator)):
            leaves.append(x)
            key.append(kind)
        elif isinstance(x, np.ndarray):
            raise TypeError(f"jit: an argument is a {kind.__name__}; expected a plain array: np.asarray(…)")
        else:
            key.append(option(x))


def option(x: Any) -> Any:
    """Return what tells one value of an option from another; -0.0 from 0.0, and 1 from 1.0, too."""
    kind = type(x)
    if kind not in NUMBERS:
        if kind.__hash__ is BY_IDENTITY or kind is MethodType:
            return fixed(x) or function_option(x)
        try:
            hash(x)
        except TypeError:
            raise JitError(
                f"jit: an argument is a {kind.__name__}, neither an array nor an option that can be hashed; "
                "give arrays in dicts, lists and tuples"
            ) from None
        if isinstance(x, frozenset):
            return kind, frozenset(map(option, x))
    return (kind, x) if x else (kind, x, str(x))


NUMBERS = frozenset({int, float, bool, str})
BY_IDENTITY: Any = object.__hash__


def function_option(f: Any) -> tuple[Any, ...]:
    """Return what tells a function, or anything else that is called, from another: it, and what it reads."""
    return type(f), f, *[taken(outside(*place)) for place in free_variables(f)]


@lru_cache
def fixed(f: Any) -> tuple[Any, ...] | None:
    """Return what tells a function that reads nothing from outside, which it never will, from another.

    Raises
    ------
    JitError
        If it is no function.
    """
    if f is None or f is Ellipsis:
        return type(f), f
    if type(f) is MethodType:
        option(f.__self__)
    if not callable(f) or has_attributes(type(f)):
        raise JitError(
            f"jit: an argument is a {type(f).__name__}, an object that may change without being another; give the "
            "arrays and numbers that are needed of it"
        )
    return (type(f), f) if next(free_variables(f), None) is None else None


def has_attributes(kind: Any) -> bool:
    """Tell whether a class's instances are called by a method of a person's own, with what they hold."""
    return isinstance(kind.__call__, FunctionType) and not is_ours(kind.__module__)


class Same:
    """What is equal to itself alone, and kept."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return type(other) is Same and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def taken(x: Any) -> Any:
    """Return what tells one value read from outside from another: by value if it cannot change, else by identity."""
    if isinstance(x, tuple):
        return type(x), *map(taken, x)
    return option(x) if isinstance(x, (int, float, complex, str, bytes, np.generic, NoneType)) else Same(x)


def is_ours(module: str) -> bool:
    """Tell whether a module's names are never bound anew."""
    return module.split(".")[0] in ("minigrad", "numpy")


def free_variables(f: Any) -> Iterator[tuple[Any, Any]]:
    """Find where a function, and those it calls by a name, read from outside: a namespace and a name, or a cell."""
    waiting: list[Any] = [f]
    seen: set[Any] = set()
    while waiting:
        f = waiting.pop()
        if id(f) in seen:
            continue
        seen.add(id(f))
        if not isinstance(f, FunctionType):
            waiting += functions_of(f)
            continue
        waiting += [*(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values()]
        ours = is_ours(f.__globals__.get("__name__", ""))
        found: list[tuple[str, Any, Any]] = [
            (name, cell, None) for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True)
        ]
        if not ours:
            found += [(name, f.__globals__, name) for name in names_in(f.__code__) if name in f.__globals__]
        for called, namespace, name in found:
            value = outside(namespace, name)
            waiting.append(value)
            if ours or isinstance(value, ModuleType) or (id(namespace), name) in seen:
                continue
            seen.add((id(namespace), name))
            if isinstance(value, np.ndarray):
                raise JitError(
                    f"jit: {f.__name__} reads the array {called}, of shape {value.shape}, from outside; make it an "
                    "argument, or a change to it would not be seen"
                )
            yield namespace, name


def functions_of(f: Any) -> list[Any]:
    """Return the functions that something is made of which can be called."""
    if isinstance(f, Jitted):
        return [f.function]
    if isinstance(f, Layer):
        return [f.forward, f.backward]
    if isinstance(f, MethodType):
        return [f.__func__]
    if isinstance(f, partial):
        return [f.func, *f.args, *f.keywords.values()]
    kind: Any = type(f)
    return [kind.__call__] if has_attributes(kind) else []


@lru_cache
def names_in(code: CodeType) -> list[str]:
    """Return the global names in a function's code, and in that of the functions defined in it."""
    names = {
        str(each.argval) for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.update(names_in(constant))
    return sorted(names)


def outside(namespace: Any, name: Any) -> Any:
    """Read a free variable: an entry of the globals, or a cell."""
    if name is not None:
        return namespace.get(name)
    try:
        return namespace.cell_contents
    except ValueError:  # not set yet
        return None


def refuse_overlap(leaves: list[Any], overwritten: list[int]) -> None:
    """Refuse to write over an array of which another argument is a part.

    Raises
    ------
    ValueError
        If memory that will be written over is read-only, or belongs to two arguments, or to two entries of one.
    """
    alone = len(set(map(id, leaves))) == len(leaves)
    for x in leaves:
        if type(x) is np.ndarray and x.base is not None:
            alone = False
    for i in overwritten:
        if not leaves[i].flags.writeable:
            raise ValueError(
                f"jit: an array of shape {leaves[i].shape} is to be written over, but is read-only; give a copy"
            )
    if alone:
        return
    for i in overwritten:
        if overlaps_itself(leaves[i]):
            raise ValueError(
                f"jit: an array of shape {leaves[i].shape} and strides {leaves[i].strides} is to be written over, but "
                "has entries that share their memory; give a copy"
            )
        for j, other in enumerate(leaves):
            if j != i and isinstance(other, np.ndarray) and np.may_share_memory(leaves[i], other):
                raise ValueError(
                    f"jit: an array of shape {leaves[i].shape} is to be written over, but shares its memory with "
                    f"another argument, of shape {other.shape}; give a copy of one"
                )


def overlaps_itself(x: np.ndarray[Any, Any]) -> bool:
    """Tell whether an array may have two entries in one place, as a broadcast one or a sliding window has."""
    extent = x.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(x.strides, x.shape, strict=True) if n > 1):
        if stride < extent:
            return True
        extent += stride * (length - 1)
    return False
