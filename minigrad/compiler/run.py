"""One run of a function on stand-ins for the arrays in its arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..engine.arguments import own_cause, raise_instead
from ..engine.containers import entries_of, map_tree
from .environment.rebinding import Containers, Entry
from .ir import Node
from .tracing.trace import Trace
from .tracing.traced import Traced
from .where import refusals_raised


def is_leaf(x: Any) -> bool:
    """Tell whether an argument is an input of the program, not a static option."""
    return isinstance(x, (np.ndarray, np.generic, np.random.Generator))


def named_leaves(name: str, x: Any) -> Iterator[tuple[str, Any]]:
    """Return the arrays in an argument, each with a name for the source: the nearest key or attribute."""
    for key, each in (entries_of(x) or {}).items():
        yield from named_leaves(key if isinstance(key, str) else f"{name}_{key}", each)
    if is_leaf(x):
        yield name, x


def enter(trace: Trace, names: Sequence[str], arguments: Sequence[Any]) -> list[list[Node]]:
    """Make the inputs of a trace, and return those of each argument."""
    return [
        [trace.input(leaf, hint) for hint, leaf in named_leaves(name, x)]
        for name, x in zip(names, arguments, strict=True)
    ]


def last_inputs(trace: Trace, arrays: dict[str, Any]) -> dict[str, list[Node]]:
    """Return the inputs of the fetched arrays, which come last, by name."""
    leaves = {name: [leaf for _, leaf in named_leaves("", x)] for name, x in arrays.items()}
    inputs = iter(trace.inputs[len(trace.inputs) - sum(map(len, leaves.values())) :])
    return {name: [next(inputs) for _ in each] for name, each in leaves.items()}


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
    with refusals_raised():
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
