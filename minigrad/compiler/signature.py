"""Signatures: which calls of a compiled function may run the same program.

A signature is the structure of the arguments, the shapes and dtypes of their arrays, the values of static options, and
a snapshot of the globals and closure variables that the function reads. `flatten` computes it for any call; `reader`
generates a fast check that a call has the same signature as an earlier one.
"""

from __future__ import annotations

import builtins
import dis
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from types import CodeType, FunctionType, MethodType, ModuleType, NoneType
from typing import Any

import numpy as np

from ..engine.containers import CONTAINERS, children_of
from ..engine.layer import Layer
from ..engine.tensor import Tensor
from .trace import TracedGenerator
from .traced import Traced
from .where import JitError


class Inlined(Exception):
    """Raised where an argument is a tensor or is being traced: the function is inlined into a larger computation."""


def flatten(items: Iterable[Any], leaves: list[Any], key: list[Any]) -> None:
    """Append the arrays of nested arguments to the leaves, and everything static to the key."""
    for x in items:
        kind = type(x)
        if kind is np.ndarray:
            leaves.append(x)
            key.append(x.shape)
            key.append(x.dtype)
        elif kind is dict or isinstance(x, dict):
            key.append((kind, *x, *map(type, x)))  # 1, 1.0 and True are equal
            flatten(x.values(), leaves, key)
        elif isinstance(x, (tuple, list)):
            key.append((kind, len(x)))
            flatten(x, leaves, key)
        elif kind in CONTAINERS:
            key.append(kind)
            flatten((children_of(x),), leaves, key)
        elif kind is Tensor or kind is Traced or kind is TracedGenerator:
            raise Inlined
        elif isinstance(x, (np.generic, np.random.Generator)):
            leaves.append(x)
            key.append(kind)
        elif isinstance(x, np.ndarray):
            if kind is not np.memmap:
                raise TypeError(
                    f"jit: an argument is a {kind.__name__}; expected a plain array: np.asarray(…)"
                )
            flatten((x.view(np.ndarray),), leaves, key)
        else:
            key.append(option(x))


def numbers(names: Iterable[str], items: Iterable[Any]) -> Iterator[tuple[str, int | float]]:
    """Find the Python numbers in nested arguments, in the order of `flatten`, each with the nearest name to it."""
    for name, x in zip(names, items, strict=True):
        if isinstance(x, dict):
            yield from numbers([key if isinstance(key, str) else name for key in x], x.values())
        elif isinstance(x, (tuple, list)):
            yield from numbers([name] * len(x), x)
        elif type(x) in CONTAINERS:
            yield from numbers([name], [children_of(x)])
        elif type(x) in (int, float):
            yield name, x


def differing_number(signature: tuple[Any, ...], other: tuple[Any, ...]) -> int | None:
    """Return which of the numbers in a signature is another in the other, if nothing else is."""
    if len(signature) != len(other):
        return None
    places = [i for i, (a, b) in enumerate(zip(signature, other, strict=True)) if a != b]
    if len(places) != 1 or not (is_number(signature[places[0]]) and is_number(other[places[0]])):
        return None
    return sum(map(is_number, signature[: places[0]]))


def is_number(entry: Any) -> bool:
    """Tell whether an entry of a signature stands for a Python number."""
    return isinstance(entry, tuple) and bool(entry) and entry[0] in (int, float)


def reader(args: tuple[Any, ...], kwargs: dict[str, Any], overwritten: list[int]) -> Callable[..., Any]:
    """Generate the function that extracts the arrays from the arguments of a call with this signature.

    Parameters
    ----------
    args, kwargs
        The arguments of the call.
    overwritten
        The positions, among the arrays, of those that the program overwrites.

    Returns
    -------
    function
        ``f(args, kwargs)`` returns the arrays of another call; None if its signature differs, or may differ, or if an
        array that is overwritten may share memory.
    """
    source = ReaderSource()
    source.read("args", args)
    source.read("kwargs", kwargs)
    source.keep_apart(overwritten)
    exec(compile(source.text(), "<jit signature>", "exec"), source.namespace)
    leaves_of: Callable[..., Any] = source.namespace["leaves_of"]
    return leaves_of


class ReaderSource:
    """The source of a `reader`."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {"ndarray": np.ndarray}
        self.lines: list[str] = []
        self.leaves: list[tuple[str, Any]] = []  # names, and arrays

    def text(self) -> str:
        """Return the source of the whole function."""
        leaves = "".join(f"{name}, " for name, _ in self.leaves)
        return "\n    ".join(["def leaves_of(args, kwargs):", *self.lines, f"return ({leaves})\n"])

    def require(self, *conditions: str) -> None:
        """Emit: return None unless the conditions hold."""
        self.lines.append(f"if not ({' and '.join(conditions)}): return None")

    def bound(self, value: Any) -> str:
        """Bind a value to a new name in the namespace."""
        name = f"v{len(self.namespace)}"
        self.namespace[name] = value
        return name

    def read(self, name: str, x: Any) -> None:
        """Emit the comparison of an argument."""
        x = x.view(np.ndarray) if type(x) is np.memmap else x
        kind = type(x)
        if kind is np.ndarray:
            self.require(
                f"type({name}) is ndarray",
                f"{name}.shape == {x.shape}",
                f"{name}.dtype is {self.bound(x.dtype)}",
            )
            self.leaves.append((name, x))
        elif isinstance(x, (np.generic, np.random.Generator)):
            self.require(f"type({name}) is {self.bound(kind)}")
            self.leaves.append((name, x))
        elif isinstance(x, dict):
            self.require(f"type({name}) is {self.bound(kind)}", f"[*{name}] == {self.bound([*x])}")
            if not all(type(key) is str for key in x):
                self.require(f"[*map(type, {name})] == {self.bound([*map(type, x)])}")
            self.unpack(f"{name}.values()", x.values())
        elif isinstance(x, (tuple, list)):
            self.require(f"type({name}) is {self.bound(kind)}", f"len({name}) == {len(x)}")
            self.unpack(name, x)
        elif kind in CONTAINERS:
            self.require(f"type({name}) is {self.bound(kind)}")
            self.unpack(f"({self.bound(children_of)}({name}),)", [children_of(x)])
        else:
            self.require(f"{name} is {self.bound(x)}" if cannot_change(x) else "False")

    def unpack(self, iterable: str, items: Iterable[Any]) -> None:
        """Emit the comparison of a container's items."""
        named = [(self.bound(None), x) for x in items]
        if named:
            self.lines.append(f"{''.join(f'{name}, ' for name, _ in named)} = {iterable}")
        for name, x in named:
            self.read(name, x)

    def keep_apart(self, overwritten: list[int]) -> None:
        """Emit a quick test that no overwritten array shares memory; if it is not conclusive the slow path decides."""
        if not overwritten:
            return
        over = {self.leaves[i][0] for i in overwritten}
        memories = []
        for name, x in self.leaves:
            if name in over:
                self.require(f"{name}.base is None", f"{name}.flags.writeable")
                memories.append(f"id({name})")
            elif type(x) is np.ndarray:
                self.lines.append(f"{name}m = {name} if {name}.base is None else {name}.base")
                self.require(f"type({name}m) is ndarray", f"{name}m.base is None")
                memories.append(f"id({name}m)")
        self.require(f"len({{{', '.join(memories)}}}) == {len(memories)}")


def cannot_change(x: Any) -> bool:
    """Tell whether an option is immutable: the same object always has the same value."""
    kind = type(x)
    if kind in PLAIN:
        return True
    return kind is not MethodType and kind.__hash__ is BY_IDENTITY and fixed(x) is not None


def option(x: Any) -> Any:
    """Return a hashable key of an option's value; -0.0 differs from 0.0, and 1 from 1.0."""
    kind = type(x)
    if kind not in PLAIN:
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
        if isinstance(x, tuple):  # in a frozenset
            return kind, *map(option, x)
        if isinstance(x, (complex, np.complexfloating)):
            return kind, x, str(x)
    return (kind, x) if x else (kind, x, str(x))


PLAIN = frozenset({int, float, bool, str, NoneType})
BY_IDENTITY: Any = object.__hash__


def function_option(f: Any) -> tuple[Any, ...]:
    """Return the key of a callable option: its identity, and a snapshot of what it reads."""
    return type(f), f, *[taken(read(*place)) for place in free_variables(f)]


@lru_cache
def fixed(f: Any) -> tuple[Any, ...] | None:
    """Return the key of a callable that reads no globals or closure variables; None for one that does.

    Raises
    ------
    JitError
        If it is no function.
    """
    if f is Ellipsis:
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
    """Tell whether instances of a class are called by a Python method, which may read their attributes."""
    return isinstance(kind.__call__, FunctionType) and not is_ours(kind.__module__)


class Same:
    """Compares an object by identity, and keeps it alive."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return type(other) is Same and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


class Outside:
    """A snapshot of the globals, closure cells and mutable objects that a function reads."""

    __slots__ = ("function", "key", "values")

    def __init__(self, f: Callable[..., Any]) -> None:
        self.function = f
        self.values = [(*place, read(*place)) for place in free_variables(f)]
        self.key = tuple([taken(value) for _, _, value in self.values])

    def changed(self) -> bool:
        """Tell whether the snapshot is out of date."""
        try:
            for namespace, name, before in self.values:
                if (namespace.cell_contents if name is None else namespace.get(name)) is not before:
                    return True
        except ValueError:  # a cell that is empty
            return True
        return False

    def now(self) -> Outside:
        """Return the current values."""
        return Outside(self.function) if self.changed() else self


def taken(x: Any) -> Any:
    """Return the key of a value read from outside: by value if immutable, else by identity."""
    if isinstance(x, tuple):
        return type(x), *map(taken, x)
    return option(x) if isinstance(x, (int, float, complex, str, bytes, np.generic, NoneType)) else Same(x)


def is_ours(module: str) -> bool:
    """Tell whether a module's globals are taken to be constant."""
    return module.split(".")[0] in ("minigrad", "numpy")


def free_variables(f: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the free variables of a function and of those it calls by name: globals (namespace, name), and cells.

    A mutable object (a dict, a list, an object with attributes) is a namespace of its own.
    """
    waiting: list[Any] = [f]
    seen: set[Any] = set()
    while waiting:
        f = waiting.pop()
        if id(f) in seen:
            continue
        seen.add(id(f))
        if not isinstance(f, FunctionType):
            waiting += functions_of(f)
            for namespace, name in contents_of(f):
                waiting.append(read(namespace, name))
                yield namespace, name
            continue
        waiting += without_arrays(f, *(f.__defaults__ or ()), *(f.__kwdefaults__ or {}).values())
        ours = is_ours(f.__globals__.get("__name__", ""))
        found: list[tuple[str, Any, Any]] = [
            (name, cell, None) for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True)
        ]
        if not ours:
            found += [
                (name, f.__globals__, name)
                for name in names_in(f.__code__)
                if name in f.__globals__ or not hasattr(builtins, name)  # or is not bound yet
            ]
        for called, namespace, name in found:
            value = read(namespace, name)
            waiting.append(value)
            if ours or isinstance(value, ModuleType) or (id(namespace), name) in seen:
                continue
            seen.add((id(namespace), name))
            if isinstance(value, np.ndarray) or type(value) is Traced:
                raise JitError(
                    f"jit: {f.__name__} reads the array {called}, of shape {value.shape}, from outside; make it an "
                    "argument, or a change to it would not be seen"
                )
            yield namespace, name


MOST_ENTRIES = 1000
"""The most entries of an outside list or dict that are compared in every call."""


class Contents:
    """A dict-like view of a list's entries, or of an object's slots."""

    __slots__ = ("of",)

    def __init__(self, of: Any) -> None:
        self.of = of

    def get(self, name: Any) -> Any:
        """Return an entry or attribute, None if there is none; for the key ``len`` the length."""
        if name is len:
            return sys.intern(str(len(self.of)))
        if isinstance(name, str):
            return getattr(self.of, name, None)
        return self.of[name] if name < len(self.of) else None


def contents_of(x: Any) -> Iterator[tuple[Any, Any]]:
    """Find the mutable parts of an outside object: entries of lists and dicts, attributes, also inside tuples."""
    kind: Any = type(x)
    if isinstance(x, tuple):
        for each in x:
            if not isinstance(each, np.ndarray):
                yield from contents_of(each)
    elif kind in (list, dict) or isinstance(x, (list, dict)):
        if len(x) > MOST_ENTRIES:
            raise JitError(
                f"jit: a {kind.__name__} of {len(x):,} entries is read from outside, too many to look for changes in "
                "every call; make it an argument"
            )
        yield Contents(x), len
        for name in x if isinstance(x, dict) else range(len(x)):
            yield (x if isinstance(x, dict) else Contents(x)), name
    elif has_state(x):
        for name in getattr(x, "__dict__", ()):
            yield x.__dict__, name
        for name in (*slots_of(kind), *class_attributes(kind)):
            yield Contents(x), name
    elif isinstance(x, type) and not is_foreign(x):
        for name in class_attributes(x):
            yield Contents(x), name


def is_foreign(kind: Any) -> bool:
    """Tell whether a class is minigrad's, NumPy's, the standard library's or made in C."""
    module = kind.__module__
    return is_ours(module) or module in sys.stdlib_module_names or not kind.__flags__ & HEAP_TYPE


def class_attributes(kind: Any) -> list[str]:
    """Return the data attributes of a class and its bases: neither methods nor properties."""
    return [
        name
        for base in kind.__mro__
        if not is_foreign(base)
        for name, value in vars(base).items()
        if not name.startswith("__") and not hasattr(value, "__get__")
    ]


def has_state(x: Any) -> bool:
    """Tell whether an object of a user's class has mutable attributes."""
    kind: Any = type(x)
    if isinstance(x, (type, ModuleType, FunctionType, MethodType, partial, np.ndarray, np.generic)):
        return False
    return not is_foreign(kind) and (hasattr(x, "__dict__") or bool(slots_of(kind)))


HEAP_TYPE = 1 << 9
"""The type flag of classes defined in Python."""


@lru_cache
def slots_of(kind: Any) -> tuple[str, ...]:
    """Return the slots of a class and its bases."""
    found: list[str] = []
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        found += [slots] if isinstance(slots, str) else slots
    return tuple(name for name in found if not name.startswith("__"))


def functions_of(f: Any) -> list[Any]:
    """Return the Python functions that calling an object would run: its own, a partial's, ``__call__``'s."""
    if hasattr(f, "__wrapped__") and type(f).__module__ != "numpy":  # compiled, or one with a cache
        return [f.__wrapped__]
    if isinstance(f, Layer):
        return [f.forward, f.backward]
    if isinstance(f, MethodType):
        return [f.__func__, f.__self__]
    if isinstance(f, partial):
        return [f.func, *without_arrays(f.func, *f.args, *f.keywords.values())]
    kind: Any = type(f)
    return [kind.__call__] if has_attributes(kind) else []


def without_arrays(f: Any, *values: Any) -> tuple[Any, ...]:
    """Return values that a function has as defaults or by ``functools.partial``; refuse arrays among them."""
    for x in values:
        if isinstance(x, np.ndarray):
            raise JitError(
                f"jit: {getattr(f, '__name__', f)} has an array of shape {x.shape} from outside, as a default or by "
                "partial; make it an argument, or a change to it would not be seen"
            )
    return values


@lru_cache
def names_in(code: CodeType) -> list[str]:
    """Return the global names used in a function's code, nested functions included."""
    names = {
        str(each.argval) for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.update(names_in(constant))
    return sorted(names)


def read(namespace: Any, name: Any) -> Any:
    """Read a free variable: an entry of the globals, or a cell."""
    if name is not None:
        return namespace.get(name)
    try:
        return namespace.cell_contents
    except ValueError:  # not set yet
        return None


def refuse_overlap(leaves: list[Any], overwritten: list[int]) -> None:
    """Refuse to overwrite an array that shares memory with another argument.

    Raises
    ------
    ValueError
        If memory that will be overwritten is read-only, or is shared by two arguments, or by two entries of one.
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
    """Tell whether entries of an array may share memory, as those of a broadcast array or a sliding window do."""
    if not x.size:
        return False
    extent = x.itemsize
    for stride, length in sorted((abs(s), n) for s, n in zip(x.strides, x.shape, strict=True) if n > 1):
        if stride < extent:
            return True
        extent += stride * (length - 1)
    return False
