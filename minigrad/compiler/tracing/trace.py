"""Tracing: run a function on stand-ins, and record every NumPy call that it makes.

The record is in static single assignment form: a write makes a new node, and earlier readers keep the old one. The
function is run twice, and must make the same calls.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from copy import deepcopy
from types import FunctionType
from typing import Any

import numpy as np

from ...engine.arrays import refuse_foreign
from ...engine.containers import rebuilt
from ...engine.ownership import views_another
from ...engine.watch import fingerprint
from ...rules.facts import MADE, facts
from ..ir import Draws, Node, found_in, mapped, name_of, part
from ..where import Caught, JitError, OtherCalls, assigned_name, user_line
from .numpy_calls import OPTION, has_traced, value_of
from .refused import leaked, shape_error
from .traced import Traced


class TracedGenerator:
    """The stand-in for a random generator: draws are recorded."""

    def __init__(self, trace: Trace, node: Node) -> None:
        self._traced = Traced(trace, node)

    def __getattr__(self, name: str) -> Any:
        if name in ("bit_generator", "shuffle", "spawn") or name.startswith("_"):
            raise JitError(
                f"{user_line()}: {name.strip('_')} of a random generator is not captured; draw arrays"
            )
        return lambda *args, **kwargs: self._drawn(name, args, kwargs)

    def _drawn(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        drawn = self._traced.recorder.record(Draws(name), self._traced, *args, **kwargs)
        given = list(found_in(args, Traced))
        if has_traced(kwargs.get("size")):
            raise shape_error(f"{name} with the size", OPTION)
        integers = "size" not in kwargs and any(x.dtype.kind in "iu" for x in given)
        if integers and drawn.shape != np.broadcast_shapes(*[x.shape for x in given]):
            raise shape_error(
                f"{name} with what may be the size", "name the size, size=(…), of Python numbers"
            )
        return drawn


SMALL = 4096
"""The size, in bytes, of the largest values that are kept while a function is traced."""


class Trace:
    """The nodes of one run, in order.

    A second run must make the same calls; otherwise the function depends on more than its arguments (random
    numbers, the time, state that it modifies).
    """

    def __init__(self) -> None:
        self.begun = next(MADE)
        self.nodes: list[Node] = []
        self.inputs: list[Node] = []
        self.apart: set[Node] = set()  # those among them that may share memory with no other
        self.contiguous: set[Node] = set()  # those whose entries lie in order, in C's
        self.constants: dict[int, tuple[Node, int | None]] = {}  # with their checksums
        self.viewed: dict[Node, int | None] = {}  # what a result views, where that depends on the layout
        self.again: Iterator[Node] | None = None
        self.over = False
        self.memory = np.empty(0, np.uint8)  # of dropped values
        self.compared: set[int] = set()  # the outside arrays compared in each call, by ``id``
        self.error = ""  # the last error of a recorded call, with its line
        self.is_of_linalg = False

    def input(self, value: Any, name: str) -> Node:
        """Make the node of an argument."""
        held = deepcopy(value) if isinstance(value, np.random.Generator) else unwritable(value)
        node = Node(None, (), {}, held, name)
        self.inputs.append(node)
        return node

    def stand_in(self, node: Node) -> Traced | TracedGenerator:
        """Return the stand-in for an argument."""
        kind = TracedGenerator if isinstance(node.value, np.random.Generator) else Traced
        return kind(self, node)

    def record(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function and record it; return its result as traced arrays."""
        if self.over:
            raise leaked()
        nodes = mapped(self.node_of, args)
        options = {name: mapped(self.node_of, x) for name, x in kwargs.items()}
        if self.again is not None:
            return self._traced(self._recorded(function, nodes, options))
        given = {name: mapped(value_of, x) for name, x in kwargs.items()}
        value = self._called(function, mapped(value_of, args), given)
        node = Node(function, nodes, options, value, assigned_name())
        if isinstance(value, (tuple, list)):
            items = [Node(operator.getitem, (node, i), {}, unwritable(x)) for i, x in enumerate(value)]
            node.value = rebuilt(value, items)
            self.nodes += [node, *items]
        elif isinstance(value, (np.ndarray, np.generic)):
            node.value = unwritable(value)
            self.nodes.append(node)
        else:
            raise JitError(
                f"{user_line()}: {name_of(function)} of an array gives a {type(value).__name__}, which would be frozen "
                "at its value in this call; use a function that gives an array"
            )
        return self._traced(node)

    def _recorded(self, function: Any, nodes: Any, options: dict[str, Any]) -> Node:
        """Return the node of the first run's call; refuse a call that is another one."""
        assert self.again is not None
        node = next(self.again, None)
        if (
            node is not None
            and node.function == function
            and self.same((nodes, options), (node.args, node.kwargs))
        ):
            return node
        if next(found_in((nodes, tuple(options.values())), FunctionType), None) is not None:
            raise JitError(
                f"{user_line()}: {name_of(function)} is given a function made in this one, which is not captured; "
                "write it as NumPy's calls on whole arrays (np.where, np.select)"
            )
        if self.error:
            raise (Caught if self.is_of_linalg else JitError)(
                f"{self.error}, which the function caught; a compiled one cannot choose by it"
            )
        raise OtherCalls(
            f"{user_line()}: run twice on the same arguments, the function made different calls here; give "
            "what it depends on (random numbers, a counter, the time) as an argument, a random generator too; "
            "write np.zeros for np.empty, which holds what was in memory"
        )

    def _called(self, function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Call a function on values; keep the error that it raises, in case that the program catches it."""
        try:
            return function(*args, **kwargs)
        except Exception as error:
            self.is_of_linalg = isinstance(error, np.linalg.LinAlgError)
            self.error = f"{user_line()}: {name_of(function)} raised {type(error).__name__}"
            if not isinstance(error, ValueError) or "read-only" not in str(error):
                raise
            raise JitError(
                f"{user_line()}: {name_of(function)} writes into its argument, which is not captured; write "
                "x[index] = value, or x[...] = value"
            ) from None

    def release(self, node: Node) -> None:
        """Free a large value that no stand-in refers to; copy a small slice, so that its large base can be freed.

        A placeholder of the same layout, in shared memory, takes its place: the entries are not read again.
        """
        value, f = node.value, node.function
        if self.over or type(value) is not np.ndarray or min(value.strides, default=0) < 0:
            return
        if value.dtype.hasobject:
            return
        if f is part and isinstance(value.base, np.ndarray) and 8 * value.nbytes <= value.base.nbytes:
            node.value = unwritable(value.copy("K"))
        elif (
            not node.stand_ins
            and value.nbytes > SMALL
            and (isinstance(f, np.ufunc) or facts(f).memory in ("new", "out"))
            and not views_another(value)
        ):
            if self.memory.nbytes < value.nbytes:
                self.memory = np.zeros(value.nbytes, np.uint8)
            strides = np.empty_like(value).strides
            node.value = unwritable(np.ndarray(value.shape, value.dtype, self.memory.data, strides=strides))

    def _traced(self, node: Node) -> Any:
        if isinstance(node.value, (tuple, list)):
            return rebuilt(node.value, [Traced(self, item) for item in node.value])
        return Traced(self, node)

    def node_of(self, x: Any) -> Any:
        """Return an argument as the record has it: the node of an array, anything else unchanged."""
        if type(x) is Traced:
            if x.recorder is not self and x.node not in self.inputs:
                raise leaked()
            return x.node
        if not isinstance(x, np.ndarray) or self.again is not None:
            return x
        if id(x) not in self.constants:
            refuse_foreign(x, "jit")
            self.constants[id(x)] = Node(None, (), {}, x), fingerprint(x)
        return self.constants[id(x)][0]

    def same(self, x: Any, recorded: Any) -> bool:
        """Tell whether an argument equals the recorded one.

        Raises
        ------
        JitError
            If it is an outside array, not made in this run, that is not compared in each call.
        """
        if isinstance(x, (tuple, list)):
            return type(recorded) is type(x) and len(x) == len(recorded) and all(map(self.same, x, recorded))
        if isinstance(x, dict):
            return x.keys() == recorded.keys() and all(self.same(x[name], recorded[name]) for name in x)
        if isinstance(x, slice):
            return isinstance(recorded, slice) and self.same(
                (x.start, x.stop, x.step), (recorded.start, recorded.stop, recorded.step)
            )
        if isinstance(x, np.ndarray):
            value = recorded.value if type(recorded) is Node else None
            if not isinstance(value, np.ndarray) or type(value) is not type(x):
                return False
            if np.may_share_memory(x, value) and not self.is_known(x):  # what it makes itself, it made anew
                raise JitError(
                    f"{user_line()}: an array of shape {x.shape} comes from outside of the function; make it an "
                    "argument, or a change to it would not be seen"
                )
            if (value.shape, value.dtype) != (x.shape, x.dtype):
                return False
            if x.dtype.char in "gG":  # whose bytes are not all of the number
                return np.array_equal(x, value, equal_nan=True)
            return bool(value.tobytes() == x.tobytes())
        return x is recorded or (type(x) is type(recorded) and bool(x == recorded or x != x))

    def is_known(self, x: Any) -> bool:
        """Tell whether a change to an array from outside is seen: it is compared in each call, or never changes."""
        while isinstance(x, np.ndarray):
            if id(x) in self.compared:
                return True
            x = x.base
        return type(x) is bytes


def unwritable(value: Any) -> Any:
    """Return a read-only view of an array: a write into it would not be recorded."""
    if isinstance(value, np.ndarray):
        value = value.view(np.ndarray)
        value.flags.writeable = False
    return value
