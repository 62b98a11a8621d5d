"""Arrays that a traced function uses and does not compute: constants of the program."""

from __future__ import annotations

from collections import Counter
from sys import getrefcount
from typing import Any

from ...engine.ownership import BASE_HELD_ONCE
from ...engine.watch import fingerprint
from ..ir import CONSTANT, Node
from ..where import JitError
from .trace import Trace


def refuse_changed_constants(trace: Trace) -> None:
    """Refuse arrays that the function made, passed to a recorded call, and modified afterwards."""
    for node, before in trace.constants.values():
        if fingerprint(node.value) != before:
            raise JitError(
                f"jit: an array of shape {node.shape} was changed after its use; write x = x + 1 in place of x += 1, "
                "or the change would not be seen"
            )


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
