"""The calls behind a result, and how they are walked back.

A call's number is higher than its parents': walking numbers downwards is a topological order, and needs no recursion.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from .arrays import as_array
from .recording import Array, Call, Leaf, Parent, differentiated, recording
from .watch import Anomaly, check_unwritten, last_write


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
        number, _, _, parents, _, _ = waiting.pop()
        if number in differentiated and number not in targets:
            others = True
        for parent in parents:
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
    if not (others and targets):
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
    lift: Callable[[Any, Parent], Any] | None = None,
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
    mode = recording.get()
    anomaly = mode if isinstance(mode, Anomaly) else None
    written = last_write()
    gradients = {call[0]: g}
    ours: set[int] = set()  # whose gradient no one else holds, so that it may be added to in place
    leaves: dict[int, Leaf] = {}
    for number in sorted(calls, reverse=True):
        _, op, operands, parents, options, out = call = calls[number]
        g = gradients.pop(number)
        if number < written:
            check_unwritten(call)
        if anomaly is not None:
            anomaly.check(call)
        if lift is not None:
            operands = [x if p is None else lift(x, p) for x, p in zip(operands, parents, strict=True)]
            out = lift(out, call)
        rules = op.rules
        if rules is None:  # a layer, whose gradients come all at once
            cache = options["cache"] if lift is None else op.cache_on_tape(operands, options, out)
            if not targets:
                needs: Sequence[Any] = [p is not None for p in parents]
            elif others:
                needs = [type(p) is tuple and (p[0] in calls or p[0] in targets) for p in parents]
            else:
                needs = parents  # as good as bools: a call is true, None is not
            if not op.tested:
                together = op.careful_backward(g, cache, list(map(bool, needs)), operands)
            else:
                together = op.backward(g, cache, needs) if op.takes_needs else op.backward(g, cache)
                if type(together) is not tuple:
                    together = (together,)
        for i, parent in enumerate(parents):
            if parent is None:
                continue
            if type(parent) is tuple:
                key = parent[0]
                if others and key not in calls and key not in targets:
                    continue
            elif targets:
                continue
            else:
                key = -id(parent)
                leaves[key] = parent
            x = operands[i]
            if rules is None:
                dx = together[i]
            else:
                dx = rules[i](g, out, *operands, **options) if options else rules[i](g, out, *operands)
                if dx.shape != x.shape:
                    dx = _fit(dx, x.shape)
            if dx.dtype is not x.dtype and dx.dtype != x.dtype:
                dx = dx.astype(x.dtype, casting="same_kind")
            if anomaly is not None:
                anomaly.differentiated(call, i, g, dx)
            if key not in gradients:
                if (
                    key not in calls
                    and lift is None
                    and dx.base is None
                    and getrefcount(dx) <= (ALONE if rules else ALONE + 1)
                ):
                    ours.add(key)
                gradients[key] = dx
            elif key in ours and type(dx) is np.ndarray:
                gradients[key] += dx
            else:
                gradients[key] = gradients[key] + dx
                if lift is None:
                    ours.add(key)
    for key, g in gradients.items():
        if key not in ours or type(g) is not np.ndarray:
            gradients[key] = g.copy() if lift is not None else as_array(g.copy())
    return gradients, leaves


def _fit(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum g over the axes along which an operand of this shape was broadcast, or spread it over the shape."""
    lead = g.ndim - len(shape)
    axes = tuple([i for i in range(g.ndim) if i < lead or (shape[i - lead] == 1 and g.shape[i] != 1)])
    if axes:
        g = np.sum(g, axis=axes, keepdims=True)
    if lead > 0:
        g = np.reshape(g, g.shape[lead:])
    return g if g.shape == shape else np.broadcast_to(g, shape)


def _references_of_a_new_array() -> int:
    array = np.empty(0)
    return getrefcount(array)


def _references_of_a_base() -> int:
    view = np.empty(1).reshape(1, 1)
    return getrefcount(view.base)


ALONE = _references_of_a_new_array()
"""The reference count, read as above, of an array that one local variable holds and nothing else."""
ALONE_BELOW = _references_of_a_base()
"""That of an array which only a view of it holds: what some of NumPy's functions return."""


def views_another(array: Array) -> bool:
    """Tell whether an array is a view of one that something else holds too."""
    return array.base is not None and getrefcount(array.base) > ALONE_BELOW
