"""A compiled program: one signature of a function, traced, rewritten, planned and emitted as source."""

from __future__ import annotations

import gc
import operator
from collections import Counter, deque
from collections.abc import Callable, Iterator
from sys import getrefcount
from threading import Lock
from time import sleep
from types import FunctionType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..engine.arguments import argument_names, own_cause, raise_instead
from ..engine.containers import CONTAINERS, children_of, like, map_tree, rebuilt
from ..engine.ownership import BASE_HELD_ONCE
from ..engine.tensor import Tensor
from ..pictures.tape import Tape
from ..rules.metadata import outline
from . import locks
from .effects import Effects
from .fetched import KEYWORD, Fetched
from .ir import CONSTANT, Node, mapped
from .made import recorded_by
from .memory import Plan
from .order import checks_first
from .origin import has_state
from .outside import LARGE, Outside
from .places import PlaceKey, put
from .rebinding import Containers, Entry, rebind, refuse_also_outside, replaced
from .rewrites import simplify
from .source import Contained, LeftOutside, ObjectWithArrays, PassedThrough, SourceWriter
from .stores import read_late
from .trace import Trace, TracedGenerator, fingerprint
from .traced import Traced
from .values import attribute_values, fresh_copy, has_results, with_attributes
from .where import JitError, NeedsValues, OtherCalls


class Compiled:
    """A function, compiled for one signature: ``run(*leaves)``.

    With ``fills``, the arrays that the function makes by a shape are recorded: it writes what it computes into them.

    Raises
    ------
    JitError
        If the function does what a compiled one cannot.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        donated: tuple[int, ...],
        outside: Outside,
        leaves: list[Any],
        others: dict[PlaceKey, Any],
        fetched: Fetched,
        fills: bool = False,
    ) -> None:
        self.fetched = fetched
        arrays = fetched.arrays() or {}
        inside = [leaf for _, leaf in named_leaves("", arrays)]
        trace = Trace()
        trace.compared = {id(x) for x, _ in outside.arrays if x.size <= LARGE}
        effects = Effects(name_of(f), outside, [*leaves, *inside], others)
        try:
            called = recorded_by(trace if fills else None, outside, fetched.around(f))
            self._compile(trace, effects, f, called, args, {**kwargs, KEYWORD: arrays}, donated)
            effects.forget()
            refuse_leaks(trace, name_of(f))
        except BaseException as error:
            effects.put_back()
            if isinstance(error, NeedsValues) and error.node is not None:
                used = inputs_of(error.node)
                error.names.update(
                    name for name, nodes in last_inputs(trace, arrays).items() if not used.isdisjoint(nodes)
                )
            raise
        finally:
            trace.over = True

    def _compile(
        self,
        trace: Trace,
        effects: Effects,
        f: Callable[..., Any],
        called: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        donated: tuple[int, ...],
    ) -> None:
        hints: list[str] = []
        spans: list[range] = []  # of each argument, which inputs are in it
        names = [*argument_names(f, len(args)), *kwargs]
        name = name_of(f)
        for argument, x in zip(names, [*args, *kwargs.values()], strict=True):
            before = len(hints)
            for hint, leaf in named_leaves(argument, x):
                trace.input(leaf, hint)
                hints.append(hint)
            spans.append(range(before, len(hints)))

        def outcome_of(one: Run) -> Any:
            if one.rebound or effects.kept:
                places = LeftArrays(trace, one.inputs)
                values = replaced(one.values, lambda part: from_outside(part, effects.known))
                return one.result, values, places.left(effects.left(), effects.known)
            return one.result

        first = run(called, name, args, kwargs, trace)
        refuse_changed_constants(trace)
        if self.fetched.counters:
            leaves = last_inputs(trace, kwargs[KEYWORD])
            refuse_other_numbers(trace, {node for each in self.fetched.counters for node in leaves[each]})
        effects.after_the_first_run()
        self.rebound, writes = first.rebound, first.writes
        changed = {each.place for each in (*effects.kept, *effects.fixed)}
        refuse_changed_outside(name, self.rebound, self.fetched.in_places(changed))
        refuse_also_outside(name, self.rebound, (args, kwargs), effects.search.objects)
        found: list[Any] = []
        tree = nodes_of(trace, found, outcome_of(first))
        del first  # whose tensors hold what their tapes hold

        def again() -> None:
            trace.again = iter([node for node in trace.nodes if node.function is not operator.getitem])
            another = run(called, name, args, kwargs, trace)
            second: list[Any] = []
            nodes_of(trace, second, outcome_of(another))
            is_same = next(trace.again, None) is None and trace.same(second, found)
            if not is_same or another.rebound != self.rebound:
                raise OtherCalls(f"jit: run twice on the same arguments, {name} made different calls")

        effects.compare(again)
        counters = {*self.fetched.counters.values()}
        self.kept = [(each.namespace, each.name, each.place in counters) for each in effects.kept]
        self.fixed, self.unread = effects.fixed, effects.unread
        self.from_outside = {id(x) for x in (*effects.search.arrays, *effects.search.objects)}
        self.has_effects = bool(self.kept or self.fixed or self.rebound)
        places = [each.place for each in (*effects.kept, *effects.fixed)]
        self.sets_only_unread = bool(places) and self.unread.keys() >= set(places)
        self.may_be_kept = effects.are_its_own  # in the cache
        own_constants(trace)
        given = [trace.inputs[i] for position in donated if position < len(args) for i in spans[position]]
        over = {node for node in given if isinstance(node.value, np.ndarray)}
        wanted = [node for node in found if type(node) is Node]
        nodes, results = simplify(trace.nodes, [*wanted, *writes.values()])
        nodes, results = read_late(checks_first(nodes, bool(over)), results)
        finals = dict(zip(writes, results[len(wanted) :], strict=True))
        used = {id(x) for node in nodes for x in node.operands} | set(map(id, [*results, *finals]))
        self.not_read = [
            name
            for name, inputs in last_inputs(trace, kwargs[KEYWORD]).items()
            if used.isdisjoint(map(id, inputs))
        ]
        plan = Plan(trace.inputs, nodes, results, over, finals)
        writer = SourceWriter(plan, list(zip(trace.inputs, hints, strict=True)), name)
        new = dict(zip(map(id, wanted), results, strict=False))
        self.source, self.run = writer.finish(tree, new, finals)
        self.lock = Lock()
        locks.holders.add(self)
        self.overwritten = [i for i, node in enumerate(trace.inputs) if node in over or node in finals]
        self.changes_arguments = bool(self.overwritten) or any(
            isinstance(node.value, np.random.Generator) for node in trace.inputs
        )
        self.apart = [i for i, node in enumerate(trace.inputs) if node in trace.apart]
        self.contiguous = [i for i, node in enumerate(trace.inputs) if node in trace.contiguous]
        self.leaves_of = self.fetched.reader(args, kwargs, [*self.overwritten, *self.apart], self.contiguous)
        self.buffers = sum(block.nbytes for block in plan.blocks)
        self.nodes, self.names = (
            nodes,
            {id(x): name for x, name in zip(trace.inputs, writer.parameters, strict=True)},
        )
        trace.over = True  # the last stand-ins release nothing of what is forgotten here
        for node in nodes:
            for x in (node, *node.operands):
                x.value = mapped(forgotten, x.value)
                x.readers, x.key = [], None  # which lead to nodes that rewriting discarded, with values
                x.stores = None

    @property
    def left_out(self) -> dict[PlaceKey, Any]:
        """The places outside that a snapshot leaves out, which the function does not read or fetches."""
        return self.unread | self.fetched.left_out

    def apply_effects(self, outcome: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Apply the function's writes to outside state and to its arguments; return its result."""
        with locks.compiling:
            if self.rebound:
                kwargs = {**kwargs, KEYWORD: self.fetched.containers()}  # before others are in their places
            for namespace, name, value in self.fixed:
                put(namespace, name, fresh_copy(value, self.from_outside))
            if not (self.kept or self.rebound):
                return outcome
            result, values, left = outcome
            for (namespace, name, is_counter), value in zip(self.kept, left, strict=True):
                value = value.item() if is_counter and isinstance(value, np.generic) else value
                if type(namespace) is dict:
                    namespace[name] = value
                else:
                    put(namespace, name, value)
        if self.rebound:
            rebind((args, kwargs), self.rebound, values)
        return result

    def tape(self) -> Tape:
        """Return the calls, as a tape that can be printed and drawn."""
        calls: dict[Node, Any] = {}
        for i, node in enumerate(self.nodes):
            parents = [calls.get(x, x if id(x) in self.names else None) for x in node.operands]
            operands = [x.value for x in node.operands]
            calls[node] = (
                i,
                SimpleNamespace(name=name_of(node.function)),
                operands,
                parents,
                node.kwargs,
                node.value,
            )
        return Tape(list(calls.values()), self.names)


def last_inputs(trace: Trace, arrays: dict[str, Any]) -> dict[str, list[Node]]:
    """Return the inputs of arrays that are the last arguments, by name."""
    leaves = {name: [leaf for _, leaf in named_leaves("", x)] for name, x in arrays.items()}
    inputs = iter(trace.inputs[len(trace.inputs) - sum(map(len, leaves.values())) :])
    return {name: [next(inputs) for _ in each] for name, each in leaves.items()}


def inputs_of(node: Node) -> set[Node]:
    """Return the inputs that a node is computed from."""
    found: set[Node] = set()
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += each.operands
    return {each for each in found if each.function is None}


def name_of(f: Callable[..., Any]) -> str:
    """Return a function's name."""
    return getattr(f, "__name__", type(f).__name__)


def is_leaf(x: Any) -> bool:
    """Tell whether an argument is an input of the program, not a static option."""
    return isinstance(x, (np.ndarray, np.generic, np.random.Generator))


def named_leaves(name: str, x: Any) -> Iterator[tuple[str, Any]]:
    """Return the arrays in an argument, each with a name for the source: the nearest key or attribute."""
    if isinstance(x, dict):
        for key, each in x.items():
            yield from named_leaves(key if isinstance(key, str) else f"{name}_{key}", each)
    elif isinstance(x, (tuple, list)):
        for i, each in enumerate(x):
            yield from named_leaves(f"{name}_{i}", each)
    elif type(x) in CONTAINERS:
        yield from named_leaves(name, children_of(x))
    elif is_leaf(x):
        yield name, x


class Run(NamedTuple):
    """The outcome of one traced run.

    Attributes
    ----------
    result
        What it returned.
    writes
        The final value of each modified input.
    rebound, values
        The entries of arguments that it set or deleted, and their values.
    inputs
        The input of each argument's stand-in, by the ``id`` of this.
    made
        The stand-ins.
    """

    result: Any
    writes: dict[Node, Node]
    rebound: list[Entry]
    values: list[Any]
    inputs: dict[int, Node]
    made: list[Any]


def run(f: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any], trace: Trace) -> Run:
    """Trace a function, which errors call by a name, on stand-ins."""
    inputs = iter(trace.inputs)
    made: list[Any] = []
    given, options = map_tree(stand_in, (trace, inputs, made), (args, kwargs))
    containers = Containers((given, options))
    try:
        result = f(*given, **options)
    except ValueError as error:
        raise_instead(own_cause(error), error)
    rebound, values = containers.rebound(name, (args, kwargs))
    pairs = [*zip(trace.inputs, made, strict=True)]
    writes = {node: x.node for node, x in pairs if type(x) is Traced and x.node is not node}
    return Run(result, writes, rebound, values, {id(x): node for node, x in pairs}, made)


def stand_in(shared: Any, leaf: Any) -> Any:
    """Return the stand-in for a leaf."""
    trace, inputs, made = shared
    if not is_leaf(leaf):
        return leaf
    made.append(trace.stand_in(next(inputs)))
    return made[-1]


class LeftArrays:
    """What a function stores outside: arguments themselves, and one object for each array, dict and list it makes."""

    def __init__(self, trace: Trace, inputs: dict[int, Node]) -> None:
        self.trace, self.inputs = trace, inputs
        self.numbers: dict[int, int] = {}  # by the ``id`` of a stand-in

    def left(self, tree: Any, known: set[int]) -> Any:
        """Return a stored value; arrays in it, and objects that hold arrays, are wrapped."""
        x = tree.data if type(tree) is Tensor else tree
        if type(x) is Traced:
            given = x.node if x.node in self.trace.inputs else self.inputs.get(id(x))
            if given is not None:
                return PassedThrough(given)
            return self.one(x, x)
        itself = from_outside(x, known)
        if itself is not None:
            return itself
        if isinstance(x, dict):
            return self.one(x, like(x, {key: self.left(each, known) for key, each in x.items()}))
        if isinstance(x, list):
            return self.one(x, rebuilt(x, [self.left(each, known) for each in x]))
        if isinstance(x, tuple):
            return rebuilt(x, [self.left(each, known) for each in x])
        if type(x) not in CONTAINERS and has_state(x) and has_results(x, known):
            held = {name: each for name, each in attribute_values(x).items() if has_results(each, known)}
            empty = with_attributes(x, dict.fromkeys(held))
            wrapped = {name: self.left(each, known | {id(x)}) for name, each in held.items()}
            return ObjectWithArrays(empty, wrapped)
        return x

    def one(self, x: Any, wrapped: Any) -> LeftOutside:
        """Return what is wrapped, with the number of an object."""
        return LeftOutside(wrapped, self.numbers.setdefault(id(x), len(self.numbers)))


def from_outside(x: Any, known: set[int]) -> PassedThrough | None:
    """Return a dict or a list itself, if it is one from outside, whose ``id`` is known; its arrays are set there."""
    return PassedThrough(x) if isinstance(x, (dict, list)) and id(x) in known else None


def refuse_changed_outside(name: str, rebound: list[Entry], replaced: set[str]) -> None:
    """Refuse to set entries of a dict or a list that is fetched as a whole, unless all places of it get another."""
    for each in rebound:
        if each.path[:2] == (1, KEYWORD) and each.path[2] not in replaced:
            raise JitError(
                f"jit: {name} both replaces a dict or a list of arrays outside and sets its entries; do one of them"
            )


def refuse_leaks(trace: Trace, name: str) -> None:
    """Refuse a function that leaves an array where it is not found, and so is not set in each call."""
    for wait in (lambda: None, gc.collect, lambda: sleep(0.01)):  # circles of tapes; a profiler's thread
        wait()
        if not any(node.stand_ins for node in trace.nodes):
            return
    raise JitError(
        f"jit: {name} leaves an array that it computes where it is not followed, in a queue, a cache or an attribute "
        "of a function, say; return it instead"
    )


def nodes_of(trace: Trace, found: list[Any], tree: Any) -> Any:
    """Return a result with nodes in the places of arrays, and append these to ``found``.

    Of a registered container, which may have arrays alone, `Contained` takes the place.
    """
    if type(tree) is PassedThrough:
        found += [tree.item] if type(tree.item) is Node else []
        return tree
    if type(tree) is LeftOutside:
        return LeftOutside(nodes_of(trace, found, tree.node), tree.number)
    if type(tree) is ObjectWithArrays:
        return ObjectWithArrays(tree.empty, nodes_of(trace, found, tree.attributes))
    if type(tree) in CONTAINERS:
        empty = map_tree(lambda _, leaf: None, None, tree)
        return Contained(empty, nodes_of(trace, found, children_of(tree)))
    if isinstance(tree, dict):
        mapped = {key: nodes_of(trace, found, each) for key, each in tree.items()}
        return mapped if type(tree) is dict else like(tree, mapped)
    if isinstance(tree, (list, tuple)):
        return rebuilt(tree, [nodes_of(trace, found, each) for each in tree])
    return result_node(trace, found, tree)


def result_node(trace: Trace, found: list[Any], leaf: Any) -> Any:
    """Return the node of an array in a result; anything else unchanged."""
    if type(leaf) is TracedGenerator:
        raise JitError(
            "jit: a random generator is returned, which the caller has already; leave it out of the result"
        )
    if isinstance(leaf, (Iterator, set, deque, bytearray)):
        raise JitError(f"jit: a {type(leaf).__name__} is returned; return a list, tuple or dict of arrays")
    if isinstance(leaf, FunctionType) and leaf.__closure__:
        raise JitError(
            f"jit: a function is returned, {leaf.__name__}, which was made in the call and may read its arrays; "
            "return the arrays"
        )
    if any(isinstance(x, (Traced, Tensor)) for x in getattr(leaf, "__dict__", {}).values()):
        raise JitError(
            f"jit: a {type(leaf).__name__} is returned, which has arrays; return them nested in dicts, lists and tuples"
        )
    leaf = trace.node_of(leaf.data if type(leaf) is Tensor else leaf)
    found.append(leaf)
    return leaf


def forgotten(x: Any) -> Any:
    """Return a zero-stride array of the same shape and dtype, so that the traced values are freed."""
    x = x.value if type(x) is Node else x
    return outline(x.shape, x.dtype) if isinstance(x, np.ndarray) else x


def refuse_changed_constants(trace: Trace) -> None:
    """Refuse arrays that the function made, passed to a recorded call, and modified afterwards."""
    for node, before in trace.constants.values():
        if fingerprint(node.value) != before:
            raise JitError(
                f"jit: an array of shape {node.shape} was changed after its use; write x = x + 1 in place of x += 1, "
                "or the change would not be seen"
            )


def refuse_other_numbers(trace: Trace, counters: set[Node]) -> None:
    """Refuse to compute with numbers of Python's as numbers of NumPy's where this gives another dtype, or may overflow.

    Python's numbers take on the dtypes of arrays, and its integers have no end.
    """
    for node in (*trace.inputs, *trace.nodes):
        dtype = getattr(node.value, "dtype", None)
        if dtype is not None and dtype.char not in ALIKE:
            raise JitError(f"jit: a number from outside changes, and there are arrays of {dtype}")
        if node.function is None or dtype is None or dtype.kind != "i" or node.shape:
            continue
        both = all(type(x) is Node for x in node.args)
        if (node.function in GROWS or both) and inputs_of(node) <= counters:
            raise JitError("jit: an integer from outside changes, and may grow fast")


GROWS = (np.multiply, np.power, np.left_shift)
"""Functions of integers that may overflow soon, with a constant too."""
ALIKE = np.dtype(np.float64).char + np.dtype(np.int64).char + np.dtype(np.complex128).char + "?"
"""The dtypes for which NumPy's numbers and Python's give the same ones."""


def own_constants(trace: Trace) -> None:
    """Copy the constants that something else holds and may modify."""
    held = Counter(id(memory_of(node)) for node, _ in trace.constants.values())
    for node, _ in trace.constants.values():
        if getrefcount(memory_of(node)) > held[id(memory_of(node))] + BASE_HELD_ONCE - 1:
            node.value = node.value.copy()
        node.name = CONSTANT


def memory_of(node: Node) -> Any:
    """Return the array that owns the memory of a node's value; the value itself, if it is no array."""
    memory = node.value
    while getattr(memory, "base", None) is not None:
        memory = memory.base
    return memory
