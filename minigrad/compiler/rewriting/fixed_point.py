"""A pass of rewrites over a program, to a fixed point; equal calls are merged, and dead ones dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..ir import Node, Nodes, is_constant, is_kept, mapped

Rewrite = Callable[[Node], "Node | None"]
"""Takes a call with rewritten operands. Returns its replacement, made of new or existing calls, or None to keep it."""


def on(*functions: Any) -> Callable[[Rewrite], Rewrite]:
    """Let a rewrite be tried on calls of these functions alone."""

    def enter(rewrite: Rewrite) -> Rewrite:
        vars(rewrite)["functions"] = functions
        return rewrite

    return enter


def rewritten(nodes: Nodes, results: Nodes, rewrites: Sequence[Rewrite]) -> tuple[Nodes, Nodes]:
    """Apply rewrites to every call, operands first, to a fixed point; merge common subexpressions, drop dead calls."""
    find_readers(nodes, results)
    new: dict[Node, Node] = {}
    program = Rewriting(rewrites)
    for node in nodes:
        new[node] = program.enter(renewed(node, new))
    for node in (*nodes, *program.entered):  # they lead in circles to nodes that are no longer of the program
        node.readers, node.stores = [], None
    return alive([*program.entered], [new.get(node, node) for node in results])


class Rewriting:
    """A program that is being rewritten.

    Attributes
    ----------
    entered
        The calls so far, in order.
    known
        These, and the constants, by their keys.
    tried
        The rewrites that are tried on calls of a function.
    """

    def __init__(self, rewrites: Sequence[Rewrite]) -> None:
        self.rewrites = rewrites
        self.entered: dict[Node, None] = {}
        self.known: dict[Any, Node] = {}
        self.tried: dict[Any, list[Rewrite]] = {}

    def enter(self, node: Node) -> Node:
        """Append a call, its new operands first; return the node that holds its value."""
        if node.function is None:
            return self.known.setdefault(key_of(node), node) if is_constant(node) else node
        if node in self.entered:
            return node
        node = renewed(node, {x: self.enter(x) for x in node.operands})
        if node.function not in self.tried:
            self.tried[node.function] = [] if is_kept(node) else of_function(node.function, self.rewrites)
        for rewrite in self.tried[node.function]:
            made = rewrite(node)
            if made is not None:
                if made.function is not None:
                    made.name = made.name or node.name
                    made.readers = made.readers if made in self.entered else node.readers
                return self.enter(made)
        made = node if is_kept(node) else self.known.setdefault(key_of(node), node)
        if made is not node:
            made.readers = made.readers + node.readers
        self.entered[made] = None
        return made


def of_function(f: Any, rewrites: Sequence[Rewrite]) -> list[Rewrite]:
    """Return the rewrites that are tried on calls of a function."""
    return [each for each in rewrites if f in getattr(each, "functions", (f,))]


def find_readers(nodes: Nodes, results: Nodes) -> None:
    """Set the readers of each call's value."""
    for node in nodes:
        node.readers = []
    for node in nodes:
        for x in node.operands:
            x.readers.append(node)
    for node in results:
        node.readers.append(None)


def alive(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Eliminate dead code: calls that no result depends on, and that no one can have made to see whether they fail."""
    out = _behind(nodes, results)
    dead = [node for node in nodes if node.function in TESTS and node not in out]
    if dead:
        tested = {_tested(node) for node in out if node.function in TESTS}
        out = _behind(nodes, [*results, *(node for node in dead if _tested(node) not in tested)])
    return [node for node in nodes if node in out], results


def _behind(nodes: Nodes, results: Nodes) -> set[Node]:
    """Return the calls that results, and calls that are kept, depend on."""
    needed, found = set(results), set()
    for node in reversed(nodes):
        if node in needed or is_kept(node):
            needed.update(node.operands)
            found.add(node)
    return found


TESTS = {
    np.linalg.cholesky: "positive definite",
    np.linalg.inv: "regular",
    np.linalg.solve: "regular",
}
"""What a matrix is where these functions raise no error: they are called to see whether it is, too."""


def _tested(node: Node) -> tuple[str, Any]:
    """Return what one of ``TESTS`` says, and of which matrix; one is regular if its transpose is."""
    matrix = node.args[0]
    while type(matrix) is Node and matrix.function is np.transpose:
        matrix = matrix.args[0]
    return TESTS[node.function], matrix if type(matrix) is Node else id(matrix)


def renewed(node: Node, new: Mapping[Node, Node]) -> Node:
    """Return a node with operands replaced as mapped; the node itself if none of them is."""
    if all(new.get(x, x) is x for x in node.operands):
        return node

    def renew(x: Any) -> Any:
        return new.get(x, x) if type(x) is Node else x

    kwargs = {name: mapped(renew, x) for name, x in node.kwargs.items()}
    made = Node(node.function, mapped(renew, node.args), kwargs, node.value, node.name)
    made.readers = node.readers
    return made


COMMUTATIVE = (np.add, np.multiply)


def key_of(node: Node) -> Any:
    """Return a hashable key, equal for equal calls and constants; nodes by identity, numbers by value and type."""
    if node.key is None and node.function is None:
        array = np.asarray(node.value)
        contents = id(node.value) if array.dtype.hasobject else array.tobytes()
        node.key = type(node.value), array.dtype, array.shape, contents
    elif node.key is None:
        args = hashable(node.args)
        node.key = (
            node.function,
            frozenset(args) if node.function in COMMUTATIVE and len(node.args) == 2 else args,
            hashable(tuple(node.kwargs.items())) if node.kwargs else (),
        )
    return node.key


def hashable(x: Any) -> Any:
    """Return a key of an argument, equal for equal ones."""
    if isinstance(x, (tuple, list)):
        return (type(x), *[hashable(each) for each in x])
    if isinstance(x, slice):
        return (slice, *map(hashable, (x.start, x.stop, x.step)))
    if isinstance(x, (Node, np.ndarray)):
        return id(x)
    return type(x), str(x)
