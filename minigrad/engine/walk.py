"""The calls behind a result, and how they are walked back.

A call's number is higher than its parents': walking numbers downwards is a topological order, and needs no recursion.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from .arrays import STAND_INS
from .calls import COMPLEX
from .ownership import owns_value
from .recording import Array, Call, Leaf, Parent, differentiated, recording
from .watch import Anomaly, as_read, check_unwritten, last_write, replaced


def ancestors(call: Call, targets: Collection[int] = ()) -> tuple[dict[int, Call], bool]:
    """Return the calls behind a call, itself included, by number.

    With targets, in increasing order, only those through which a gradient reaches one, the targets themselves left out;
    and whether there are other parents, behind which no target is.
    """
    if call[0] in targets:
        return {}, False
    first = next(iter(targets), 0)
    found = {call[0]: call}
    waiting = [call]
    others = False  # whether there are parents that no target is behind
    while waiting:
        for parent in waiting.pop()[3]:
            if type(parent) is tuple:
                number = parent[0]
                if number in found or number in targets:
                    continue
                if number >= first:
                    found[number] = parent
                    waiting.append(parent)
                else:
                    others = True
            elif parent is not None:
                others = True
    if not targets or (not others and differentiated.isdisjoint(found)):
        return found, False
    leading = set(targets)
    for number in sorted(found):
        for parent in found[number][3]:
            if type(parent) is tuple and parent[0] in leading:
                leading.add(number)
                break
    return {number: found[number] for number in found if number in leading}, True


def depends_on(call: Call, numbers: Collection[int]) -> bool:
    """Tell whether one of the calls of these numbers is behind a call, or is the call itself."""
    seen = {call[0]}
    waiting = [call]
    while waiting:
        number, _, _, parents, _, _ = waiting.pop()
        if number in numbers:
            return True
        for parent in parents:
            if type(parent) is tuple and parent[0] not in seen:
                seen.add(parent[0])
                waiting.append(parent)
    return False


def walk_back(
    call: Call,
    g: Any,
    targets: Collection[int] = (),
    lift: Callable[[Array, Parent], Any] | None = None,
    behind: tuple[dict[int, Call], bool] | None = None,
) -> tuple[dict[int, Any], dict[int, Leaf]]:
    """Walk a tape backwards from a call whose result has the gradient g.

    Parameters
    ----------
    targets
        The numbers of the calls whose gradients are wanted, in increasing order; none: those of the leaves are.
    lift
        Makes a tensor of an array and its parent. When given, the rules run on tensors, which record them.
    behind
        What `ancestors` returned for the call and the targets, where that is known.

    Returns
    -------
    gradients : dict
        Those that there are, each in an array of its own: the targets' by number, the leaves' by minus ``id``.
    leaves : dict
        The leaves, by minus ``id``.
    """
    calls, others = ancestors(call, targets) if behind is None else behind
    gradients = {call[0]: np.conj(g) if g.dtype.kind == "c" else g}  # as `rules.complex_numbers` says
    del g  # so that the dict alone holds it
    leaves = _walk(calls, gradients, calls.keys() | targets if others and targets else None, lift)
    for key in gradients:
        if gradients[key].dtype in COMPLEX:
            gradients[key] = np.conj(gradients[key])
        if not owns_value(gradients, key):
            g = gradients[key]
            gradients[key] = g.copy() if type(g) is np.ndarray else np.copy(g)  # of a number an array, too
    return gradients, leaves


def _owned(gradients: dict[int, Any], parent: Parent) -> int:
    """Return the key of an operand's gradient so far, if it may be written to; 0, if there is none."""
    key = 0 if parent is None else parent[0] if type(parent) is tuple else -id(parent)
    return key if key in gradients and owns_value(gradients, key) else 0


def _walk(
    calls: dict[int, Call],
    gradients: dict[int, Any],
    wanted: Collection[int] | None,
    lift: Callable[[Array, Parent], Any] | None,
) -> dict[int, Leaf]:
    """Replace the gradients of calls' results by those of their operands, the last call first.

    Where ``wanted`` is given, no gradients but those of the calls of these numbers are computed.
    """
    mode = recording.get()
    anomaly = mode if isinstance(mode, Anomaly) else None
    written = last_write()
    leaves: dict[int, Leaf] = {}
    for number in sorted(calls, reverse=True):  # only later calls use a result: its gradient is complete
        _, op, operands, parents, options, out = call = calls[number]
        if number < written:
            check_unwritten(call)
        if op.writes and not owns_value(gradients, number):
            gradients[number] = gradients[number].copy()
        g = gradients.pop(number)
        if wanted is not None:
            parents = [p if type(p) is tuple and p[0] in wanted else None for p in parents]
        if op.add is not None and lift is None and anomaly is None and type(g) not in STAND_INS:
            key = _owned(gradients, parents[0])
            if key:
                op.add(gradients[key], g, **options)
                continue
        if lift is not None:
            if replaced:
                operands, out = [as_read(x) for x in operands], as_read(out)
            operands = [x if p is None else lift(x, p) for x, p in zip(operands, call[3], strict=True)]
            out = lift(out, call)
        if anomaly is None:
            found = op.gradients(g, out, operands, options, parents)
        else:
            found = anomaly.gradients(call, g, out, operands, parents)
        for i, parent in enumerate(parents):
            if parent is None:
                continue
            if type(parent) is tuple:
                key = parent[0]
            else:
                key = -id(parent)
                leaves[key] = parent
            dx, x = found[i], operands[i]
            if getattr(dx, "dtype", None) is not x.dtype or dx.shape != x.shape:
                dx = op.fitted(dx, i, x)
            if key not in gradients:
                gradients[key] = dx
                continue
            if type(dx) is np.ndarray and owns_value(gradients, key):
                gradients[key] += dx
            else:  # others may hold it: the other operand of an addition, whose gradient is the same array; a cache
                gradients[key] = gradients[key] + dx
            if anomaly is not None:
                anomaly.added(call, gradients[key], dx)
    return leaves
