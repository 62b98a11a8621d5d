"""The order of a program's calls: those that may fail first, before any argument is modified."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...rules.facts import facts
from ..ir import Draws, Node, Nodes, added_at, found_in, is_constant, part, pick, written
from .fixed_point import hashable
from .patterns import SCATTER, WINDOWS_ADDED

INDEXING = {part, pick, written, added_at, SCATTER, WINDOWS_ADDED, np.take, np.take_along_axis}
"""The calls whose second argument is an index."""


def checks_first(nodes: Nodes, donated: bool) -> Nodes:
    """Move checks, and what they depend on, to the front: an error is raised before any argument is modified.

    Where arrays are donated, so are other calls that may fail: those with indices, and numpy.linalg's.
    """
    failing = may_fail(nodes) if donated else set()
    needed: set[Node] = set()
    for node in reversed(nodes):
        if node in needed or node in failing or facts(node.function).checks:
            needed.add(node)
            needed.update(node.operands)
    if any(isinstance(node.function, Draws) for node in needed):  # which stay in their order
        return nodes
    return [node for node in nodes if node in needed] + [node for node in nodes if node not in needed]


def may_fail(nodes: Nodes) -> set[Node]:
    """Return the calls that raise an error for some values: of calls with one index into one shape, the first.

    A view is made where it is read, so that the calls which read one may fail as well.
    """
    failing: set[Node] = set()
    views: set[Node] = set()
    seen: set[Any] = set()
    for node in nodes:
        if not views.isdisjoint(node.operands):
            failing.add(node)
        if getattr(node.function, "__module__", "") == "numpy.linalg":
            failing.add(node)
        elif node.function in INDEXING:
            index = node.args[1:2], *node.kwargs.values()
            into = node.args[2:] if node.function in (SCATTER, WINDOWS_ADDED) else (node.args[0].shape,)
            key = into, hashable(index)
            if key not in seen and not all(map(is_in_range, found_in(index, Node))):
                seen.add(key)
                failing.add(node)
        if node in failing and node.function in (part, np.transpose, np.reshape):
            views.add(node)
    return failing


def is_in_range(index: Node) -> bool:
    """Tell whether an index is constant, a mask, or follows from labels that are checked."""
    if index.function in (np.add, np.multiply):
        return all(map(is_in_range, index.operands))
    return is_constant(index) or index.dtype == bool or facts(index.function).checks
