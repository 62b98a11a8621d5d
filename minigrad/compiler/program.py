"""A compiled program: one signature of a function, traced, rewritten, planned and emitted as source."""

from __future__ import annotations

import gc
import operator
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock
from time import sleep
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..engine.arguments import argument_names
from ..engine.recording import TapeError
from ..pictures.tape import Tape
from ..rules.metadata import outline
from . import locks
from .emitting.memory import Plan
from .emitting.source import SourceWriter
from .environment.effects import Effects, others_run
from .environment.fetched import KEYWORD, NONE, Fetched, fetched_of
from .environment.made import recorded_by, refuse_left
from .environment.outside import LARGE, Outside
from .environment.places import DELETED, PlaceKey, place_of, put
from .environment.rebinding import Entry, rebind, refuse_also_outside, replaced
from .environment.results import LeftArrays, from_outside, nodes_of
from .environment.values import fresh_copy
from .ir import Node, Nodes, mapped, name_of
from .rewriting.order import checks_first
from .rewriting.rewrites import simplify
from .rewriting.stores import read_late
from .run import Run, enter, last_inputs, named_leaves, run
from .tracing.constants import own_constants, refuse_changed_constants
from .tracing.trace import Trace
from .where import AsWritten, Changed, JitError, NeedsValues, OtherCalls, PlainArray

MOST_ERRORS = 10
"""The number of attempts to compile a function, each with fewer fetched arrays, after which none is fetched.

After half of them only arrays of floats are."""
COMPUTED: Any = object()
"""Stands for a value that is set outside, and computed in each call."""
THREADS = (
    "; or call it first while no other thread is in Python code, such as a loader's: then what is "
    "outside is read and set in each call"
)


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
        of_arguments = enter(trace, [*argument_names(f, len(args)), *kwargs], [*args, *kwargs.values()])
        tree, found, writes = self._trace(trace, effects, name_of(f), called, args, kwargs)
        self._note(effects)
        own_constants(trace)
        given = [node for position in donated if position < len(args) for node in of_arguments[position]]
        over = {node for node in given if isinstance(node.value, np.ndarray)}
        wanted = [node for node in found if type(node) is Node]
        nodes, results = simplify(trace.nodes, [*wanted, *writes.values()])
        nodes, results = read_late(checks_first(nodes, bool(over)), results)
        finals = dict(zip(writes, results[len(wanted) :], strict=True))
        used = {id(x) for node in nodes for x in node.operands} | set(map(id, [*results, *finals]))
        fetched = last_inputs(trace, kwargs[KEYWORD])
        self.not_read = [name for name, inputs in fetched.items() if used.isdisjoint(map(id, inputs))]
        plan = Plan(trace.inputs, nodes, results, over, finals)
        writer = SourceWriter(plan, trace.inputs, name_of(f))
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
        self.nodes = nodes
        self.names = {id(x): writer.names[x] for x in trace.inputs}
        trace.over = True  # the last stand-ins release nothing of what is forgotten here
        forget_values(nodes)

    def _trace(
        self,
        trace: Trace,
        effects: Effects,
        name: str,
        called: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[Any, list[Any], dict[Node, Node]]:
        """Run the function twice; return its result, the nodes in it, and the final value of each modified input."""

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
        refuse_left(name, [first.result, first.values, *[each.value for each in effects.found]])
        refuse_changed_outside(
            name, self.rebound, self.fetched.in_places({each.place for each in effects.found})
        )
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
        return tree, found, writes

    def _note(self, effects: Effects) -> None:
        """Note what each call sets outside and in its arguments."""
        counters, kept = {*self.fetched.counters.values()}, {each.place for each in effects.kept}
        self.found = [
            (
                each.namespace,
                each.name,
                each.place in counters,
                COMPUTED if each.place in kept else each.value,
            )
            for each in effects.found
        ]
        self.gives_effects = bool(kept or self.rebound)
        self.unread = effects.unread
        self.from_outside = {id(x) for x in (*effects.search.arrays, *effects.search.objects)}
        self.has_effects = bool(self.found or self.rebound)
        places = [each.place for each in effects.found]
        self.sets_only_unread = bool(places) and self.unread.keys() >= set(places)
        self.may_be_kept = effects.are_its_own  # in the cache

    @property
    def left_out(self) -> dict[PlaceKey, Any]:
        """The outside places that snapshots leave out: the function fetches them, or does not read them."""
        return self.unread | self.fetched.left_out

    def apply_effects(self, outcome: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Apply the function's writes to outside state and to its arguments; return its result."""
        with locks.compiling:
            if self.rebound:
                kwargs = {**kwargs, KEYWORD: self.fetched.containers()}  # before others are in their places
            result, values, left = outcome if self.gives_effects else (outcome, (), ())
            computed = iter(left)
            for namespace, name, is_counter, fixed in self.found:  # in the order of the keys of a dict
                if fixed is not COMPUTED:
                    value = fresh_copy(fixed, self.from_outside)
                else:
                    value = next(computed)
                    value = value.item() if is_counter and isinstance(value, np.generic) else value
                if type(namespace) is dict and value is not DELETED:
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
            op = SimpleNamespace(name=name_of(node.function))
            parents = [calls.get(x, x if id(x) in self.names else None) for x in node.operands]
            operands = [x.value for x in node.operands]
            calls[node] = i, op, operands, parents, node.kwargs, node.value
        return Tape(list(calls.values()), self.names)


def compiled_fetching(
    compiled: Callable[..., Compiled], outside: Outside, errors: list[Exception]
) -> Compiled:
    """Compile a function that fetches as many outside values as possible; append the errors of failed attempts."""
    tried: set[PlaceKey] = set()
    is_alone = not others_run()
    fetched = fetched_of(outside.values) if is_alone else NONE
    while True:
        try:
            program = compiled_filling(compiled, fetched)
            break
        except AsWritten:
            raise
        except Exception as error:  # it may need their values, as of indices, or as keys
            errors.append(error)
            changed = error.places if is_alone and isinstance(error, Changed) else []
            changed = [place for place in changed if place_of(*place) not in tried]
            tried.update(place_of(*place) for place in changed)
            if changed:
                fetched = fetched.with_changed(changed, outside.values)
            elif fetched.places:
                many = len(errors) > MOST_ERRORS // 2
                fetched = fetched.fewer(error, many) if len(errors) < MOST_ERRORS else NONE
            elif isinstance(error, JitError):
                raise error_of(errors, not is_alone and bool(fetched_of(outside.values).places)) from None
            else:
                raise
    if not program.not_read:
        return program
    try:
        return compiled_filling(compiled, fetched.without(program.not_read))
    except JitError:  # they are moved to other places
        return program


def compiled_filling(compiled: Callable[..., Compiled], fetched: Fetched) -> Compiled:
    """Compile a function; record the arrays that it makes, too, if it writes what it computes into a plain one."""
    with suppress(PlainArray, TapeError):
        return compiled(fetched)
    return compiled(fetched, fills=True)


def error_of(errors: Sequence[Exception], due_to_threads: bool) -> Exception:
    """Return the error to raise: the first that is not due to what has been fetched, or has not."""
    last = next((each for each in reversed(errors) if not isinstance(each, PlainArray)), errors[-1])
    first = next((each for each in errors if not isinstance(each, NeedsValues)), last)
    return JitError(f"{first}{THREADS}") if due_to_threads and isinstance(first, JitError) else first


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


def refuse_changed_outside(name: str, rebound: list[Entry], replaced: set[str]) -> None:
    """Refuse to set entries of a dict or a list that is fetched as a whole, unless all places of it get another."""
    for each in rebound:
        if each.path[:2] == (1, KEYWORD) and each.path[2] not in replaced:
            raise JitError(
                f"jit: {name} both replaces a dict or a list of arrays outside and sets its entries; do one of them"
            )


def refuse_leaks(trace: Trace, name: str) -> None:
    """Refuse a function that leaves an array where the search for outside state does not find it."""
    for wait in (lambda: None, gc.collect, lambda: sleep(0.01)):  # circles of tapes; a profiler's thread
        wait()
        if not any(node.stand_ins for node in trace.nodes):
            return
    raise JitError(
        f"jit: {name} leaves an array that it computes where it is not followed, in a queue, a cache or an attribute "
        "of a function, say; return it instead"
    )


def forget_values(nodes: Nodes) -> None:
    """Release the traced values of a program, and what rewriting has discarded."""
    for node in nodes:
        for x in (node, *node.operands):
            x.value = mapped(forgotten, x.value)
            x.readers, x.key = [], None  # which lead to nodes that rewriting discarded, with values
            x.stores = None


def forgotten(x: Any) -> Any:
    """Return a zero-stride array of the same shape and dtype, so that the traced values are freed."""
    x = x.value if type(x) is Node else x
    return outline(x.shape, x.dtype) if isinstance(x, np.ndarray) else x


def refuse_other_numbers(trace: Trace, counters: set[Node]) -> None:
    """Refuse to replace Python numbers by NumPy's where that may change a dtype, or overflow.

    Python numbers adapt to the dtypes of arrays, and Python integers do not overflow.
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
"""Functions of integers that may overflow soon, even if one operand is a constant."""
ALIKE = np.dtype(np.float64).char + np.dtype(np.int64).char + np.dtype(np.complex128).char + "?"
"""The dtypes to which NumPy's and Python's numbers promote alike."""
