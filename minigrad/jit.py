"""`jit`: a function of arrays, compiled to the straight line of NumPy calls that it makes."""

from __future__ import annotations

import dis
import inspect
import operator
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import update_wrapper
from sys import getrefcount
from threading import Lock
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from .capture import JitError, Node, Trace, Traced, TracedGenerator, fingerprint, same
from .functional import map_tree
from .printed import Tape
from .simplify import CONSTANT, is_constant, simplify
from .source import Plan, Writer
from .tape import ALONE_BELOW, recording
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
        An array that it writes to is written to. Numbers, strings and the like are options: a new value is
        a new signature. So are those that it reads from outside by a name of their own; what it reads from
        outside otherwise (an entry of a list, an attribute) is taken once. Arrays must be arguments.
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

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
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
        for namespace, name, before in self.free or ():
            if (outside(namespace, name) if name is None else namespace.get(name)) is not before:
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
            self.free = [(namespace, name, None) for namespace, name in free_variables(self.function)]
            self._read_free_variables()
            signature += self.free_key
        program = Program(self.function, args, kwargs, self.donated)
        refuse_overlap(leaves, program.overwritten)
        result = program.first(leaves)
        self.programs[signature] = self.last = program
        self.misses += 1
        if len(self.programs) > MAXSIZE:
            self.programs.popitem(last=False)
        return result

    def _read_free_variables(self) -> None:
        """Take the numbers that the function reads from outside into the signature."""
        self.free = [(namespace, name, outside(namespace, name)) for namespace, name, _ in self.free or ()]
        self.free_key = tuple([option(value) for _, _, value in self.free])

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
        """The calls that the last call made, as a `Tape`."""
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
        elif kind is Tensor or kind is Traced:
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
    try:
        hash(x)
    except TypeError:
        raise JitError(
            f"jit: an argument is a {type(x).__name__}, neither an array nor an option that can be hashed; "
            "give arrays in dicts, lists and tuples"
        ) from None
    by_identity: Any = object.__hash__
    if type(x).__hash__ is by_identity and not (callable(x) or x is None or x is Ellipsis):
        raise JitError(
            f"jit: an argument is a {type(x).__name__}, an object that may change without being another; give the "
            "arrays and numbers that are needed of it"
        )
    return (type(x), x) if x else (type(x), x, str(x))


def free_variables(f: Any) -> Iterator[tuple[Any, Any]]:
    """Find the names by which a function, and those it calls by name, read from outside."""
    waiting, seen = [f], set()
    while waiting:
        f = waiting.pop()
        f = getattr(f, "__func__", f)
        if id(f) in seen:
            continue
        seen.add(id(f))
        if isinstance(f, Jitted):
            waiting.append(f.function)
        if not isinstance(f, FunctionType):
            continue
        ours = f.__module__ is not None and f.__module__.split(".")[0] in ("minigrad", "numpy")
        found: list[tuple[Any, Any]] = [(cell, None) for cell in f.__closure__ or ()]
        if not ours:
            found += [(f.__globals__, name) for name in sorted(names_in(f.__code__)) if name in f.__globals__]
        for namespace, name in found:
            value = outside(namespace, name)
            if isinstance(value, (FunctionType, Jitted)) or inspect.ismethod(value):
                waiting.append(value)
            elif not ours and isinstance(value, np.ndarray):
                called = name or f.__code__.co_freevars[[c for c, _ in found].index(namespace)]
                raise JitError(
                    f"jit: {f.__name__} reads the array {called}, of shape {value.shape}, from outside; make it an "
                    "argument, or a change to it would not be seen"
                )
            elif not ours and isinstance(value, (int, float, str, np.generic, type(None))):
                yield namespace, name


def names_in(code: CodeType) -> set[str]:
    """Return the global names in a function's code, and in that of the functions defined in it."""
    names = {
        str(each.argval) for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= names_in(constant)
    return names


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
        If memory that will be written over is read-only, or belongs to two arguments.
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
        for j, other in enumerate(leaves):
            if j != i and isinstance(other, np.ndarray) and np.may_share_memory(leaves[i], other):
                raise ValueError(
                    f"jit: an array of shape {leaves[i].shape} is to be written over, but shares its memory with "
                    f"another argument, of shape {other.shape}; give a copy of one"
                )


# Programs

LEAVES = (np.ndarray, np.generic, np.random.Generator)


class Program:
    """A function, compiled for one signature: ``run(*leaves)``.

    Raises
    ------
    JitError
        If the function does what a compiled one cannot.
    """

    def __init__(
        self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], donated: tuple[int, ...]
    ) -> None:
        trace = Trace()
        hints: list[str] = []
        spans: list[range] = []  # of each argument, which inputs are in it
        for name, x in zip([*parameter_names(f, args), *kwargs], [*args, *kwargs.values()], strict=True):
            before = len(hints)
            for hint, leaf in named_leaves(name, x):
                trace.input(leaf, hint)
                hints.append(hint)
            spans.append(range(before, len(hints)))
        result, writes = run(f, args, kwargs, trace)
        trace.again = iter([node for node in trace.nodes if node.function is not operator.getitem])
        again, _ = run(f, args, kwargs, trace)
        found: list[Any] = []
        tree = map_tree(result_node, found, result)
        second: list[Any] = []
        map_tree(result_node, second, again)
        if next(trace.again, None) is not None or not same([constant_value(x) for x in second], found):
            raise JitError(f"jit: run twice on the same arguments, {name_of(f)} made different calls")
        refuse_what_is_held_outside(trace)
        over = {trace.inputs[i] for position in donated if position < len(args) for i in spans[position]}
        wanted = [node for node in found if type(node) is Node]
        nodes, results = simplify(trace.nodes, [*wanted, *writes.values()])
        finals = dict(zip(writes, results[len(wanted) :], strict=True))
        plan = Plan(trace.inputs, nodes, results, over, finals)
        writer = Writer(plan, list(zip(trace.inputs, hints, strict=True)), name_of(f))
        new = dict(zip(map(id, wanted), results, strict=False))
        self.source, self.run = writer.finish(tree, new, finals)
        others = [*trace.inputs, *(node for node, _ in trace.constants.values())]
        self.captured: Any = tree, writes, {id(memory_of(node)) for node in others}
        self.lock = Lock()
        self.overwritten = [i for i, node in enumerate(trace.inputs) if node in over or node in finals]
        self.overwritten_by_itself = [trace.inputs.index(node) for node in writes]
        self.buffers = sum(block.nbytes for block in plan.blocks)
        self.nodes, self.names = (
            nodes,
            {id(x): name for x, name in zip(trace.inputs, writer.parameters, strict=True)},
        )

    def first(self, leaves: list[Any]) -> Any:
        """Return the result that capturing gave, and forget it; run, if there were random numbers in it."""
        tree, writes, held = self.captured
        del self.captured
        if any(isinstance(leaf, np.random.Generator) for leaf in leaves):
            result = self.run(*leaves)
        else:
            result = map_tree(handed_over, held, tree)
            for place, final in zip(self.overwritten_by_itself, writes.values(), strict=True):
                leaves[place][...] = final.value
        for node in self.nodes:
            for x in (node, *node.operands()):
                if isinstance(x.value, np.ndarray):
                    x.value = np.broadcast_to(x.dtype.type(0), x.shape)
        return result

    def tape(self) -> Tape:
        """Return the calls, as a tape that can be printed and drawn."""
        calls: dict[Node, Any] = {}
        for i, node in enumerate(self.nodes):
            parents = [calls.get(x, x if id(x) in self.names else None) for x in node.operands()]
            operands = [x.value for x in node.operands()]
            calls[node] = (
                i,
                SimpleNamespace(name=name_of(node.function)),
                operands,
                parents,
                node.kwargs,
                node.value,
            )
        return Tape(list(calls.values()), self.names)


def name_of(f: Callable[..., Any]) -> str:
    """Return a function's name."""
    return getattr(f, "__name__", type(f).__name__)


def parameter_names(f: Callable[..., Any], args: tuple[Any, ...]) -> list[str]:
    """Return the names of a function's positional parameters, as far as it tells."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [
        each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    return [names[i] if i < len(names) else f"x{i}" for i in range(len(args))]


def named_leaves(name: str, x: Any) -> Iterator[tuple[str, Any]]:
    """Find the arrays in an argument, each with the nearest name to it."""
    if isinstance(x, dict):
        for key, each in x.items():
            yield from named_leaves(key if isinstance(key, str) else f"{name}_{key}", each)
    elif isinstance(x, (tuple, list)):
        for i, each in enumerate(x):
            yield from named_leaves(f"{name}_{i}", each)
    elif isinstance(x, LEAVES):
        yield name, x


def run(
    f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], trace: Trace
) -> tuple[Any, dict[Node, Node]]:
    """Run a function on stand-ins; return its result, and what is to be written into which input."""
    inputs = iter(trace.inputs)
    made: list[Any] = []
    given, options = map_tree(stand_in, (trace, inputs, made), (args, kwargs))
    result = f(*given, **options)
    left: list[Any] = []
    map_tree(list.append, left, (given, options))
    if [id(x) for x in left if isinstance(x, (Traced, TracedGenerator))] != [id(x) for x in made]:
        raise JitError(
            f"jit: {name_of(f)} puts another array into an argument; return it, or write into the array, x[...] = …"
        )
    pairs = zip(trace.inputs, made, strict=True)
    return result, {node: x.node for node, x in pairs if type(x) is Traced and x.node is not node}


def stand_in(shared: Any, leaf: Any) -> Any:
    """Return what the function gets for a leaf."""
    trace, inputs, made = shared
    if not isinstance(leaf, LEAVES):
        return leaf
    made.append(trace.stand_in(next(inputs)))
    return made[-1]


def result_node(found: list[Any], leaf: Any) -> Any:
    """Return the node of an array in a result; anything else as it is."""
    leaf = leaf.data if type(leaf) is Tensor else leaf
    if type(leaf) is Traced:
        leaf = leaf.node
    elif isinstance(leaf, np.ndarray):
        leaf = Node(None, (), {}, leaf, CONSTANT)
    found.append(leaf)
    return leaf


def handed_over(held: set[int], leaf: Any) -> Any:
    """Return the array of a node in a result: its own, if nothing else is in its memory; else a copy."""
    if type(leaf) is not Node:
        return leaf
    value, memory = leaf.value, memory_of(leaf)
    others = leaf.function is None or not isinstance(value, np.ndarray) or id(memory) in held
    if others or (value.shape, value.strides, value.dtype) != (memory.shape, memory.strides, memory.dtype):
        return value.copy()
    held.add(id(memory))
    return memory


def constant_value(x: Any) -> Any:
    """Return the value of a constant's node; anything else as it is."""
    return x.value if type(x) is Node and is_constant(x) else x


def refuse_what_is_held_outside(trace: Trace) -> None:
    """Refuse constants that something else holds, and may change; and those that the function changed itself."""
    held = Counter(id(memory_of(node)) for node, _ in trace.constants.values())
    for node, before in trace.constants.values():
        alone = getrefcount(memory_of(node)) <= held[id(memory_of(node))] + ALONE_BELOW - 1
        if not alone or fingerprint(node.value) != before:
            raise JitError(
                f"jit: an array of shape {node.shape} comes from outside of the function, or was changed after "
                "its use; make it an argument, or a change to it would not be seen"
            )
        node.name = CONSTANT


def memory_of(node: Node) -> Any:
    """Return the array that owns the memory of a node's value; the value itself, if it is no array."""
    base = getattr(node.value, "base", None)
    return node.value if base is None else base
