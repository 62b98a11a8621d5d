"""What a layer must obey besides correct numbers: no mutation, no hidden state, any memory layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ..engine.recording import Array
from .layer_call import LayerCall
from .vectors import largest
from .ways import ULPS

Broken = Iterator[tuple[str, str]]  # the contract broken, and the likely mistake


def broken_contracts(call: LayerCall, per_example: Sequence[int]) -> Broken:
    """Yield the contracts a layer breaks, with the likely mistakes; compute its gradients."""
    inputs = call.copied()
    outs, cache = call.run(inputs)
    if changed := list(_changed_inputs(call, inputs)):
        yield from changed
        return
    if not _same(outs, call.outs):
        yield (
            "the forward gave two results for one input, so there is nothing to compare; seed what is random in it, "
            "or give the random numbers as an input",
            "it draws random numbers, or keeps something from one call to the next",
        )
        return
    upstream, held = call.douts(call.dout), _arrays_in(cache)
    before = [x.copy() for x in held]
    call.returned = [None if g is None else np.array(g) for g in call.raw(upstream, cache)]
    call.gradients = call.fitted(call.returned)
    if not _same(upstream, call.douts(call.dout)):
        yield "the backward changed its dout; it must not modify it", "mutates its dout"
    changed = list(_changed_inputs(call, inputs))
    yield from changed
    kept = _same(held, before)
    if not kept and not changed:
        yield "the backward changed its cache, which another backward may need", "mutates its cache"
    if call.count > len(call.inputs):
        yield (
            f"the backward returned {call.count} gradients for {len(call.inputs)} inputs; it must return one for each, "
            "in order",
            "a gradient too many, or the gradients of something else",
        )
    yield from _other_dtypes(call)
    if kept and not changed:
        yield from _not_repeated(call, cache)
        yield from _not_its_own_memory(call, outs, cache)
        yield from _not_linear(call, cache)
        yield from _not_in_any_memory(call)
        yield from _not_row_by_row(call, per_example)


def _same(xs: Sequence[Any], ys: Sequence[Any]) -> bool:
    """Tell whether arrays equal others, entry by entry; NaN equals NaN."""
    pairs = zip(map(np.asarray, xs), ys, strict=True)
    return all(np.array_equal(x, y, equal_nan=x.dtype.kind in "fc") for x, y in pairs)


def _changed_inputs(call: LayerCall, inputs: Sequence[Any]) -> Broken:
    for i in call.floats:
        if not _same([inputs[i]], [call.inputs[i]]):
            yield f"the layer changed its input {i}; it must not modify it", f"mutates its input {i}"


def _arrays_in(cache: Any) -> list[Array]:
    """Return the arrays in a cache: itself, or within tuples, lists and dicts."""
    if isinstance(cache, np.ndarray):
        return [cache]
    if isinstance(cache, dict):
        cache = list(cache.values())
    return [x for each in cache for x in _arrays_in(each)] if isinstance(cache, (tuple, list)) else []


def _other_dtypes(call: LayerCall) -> Broken:
    wider = {out.dtype for out in call.outs} - {call.inputs[i].dtype for i in call.floats}
    for i, g in zip(call.floats, call.returned, strict=True):
        dtype = call.inputs[i].dtype
        if g is not None and g.dtype != dtype:
            forward = f", of the forward too: a number such as np.sqrt(2) makes {g.dtype} of it"
            yield (
                f"backward returned a gradient of dtype {g.dtype} for input {i} of dtype {dtype}",
                f"{g.dtype} somewhere inside{forward if g.dtype in wider else ''}",
            )


def _alike(
    call: LayerCall,
    xs: Sequence[Array],
    ys: Sequence[Array],
    scale: float = 1.0,
    off: Callable[[], Sequence[Array]] | None = None,
) -> bool:
    """Tell whether two gradients are equal up to rounding and, where sums overflow, up to their order.

    If not, cancellation inside is measured and allowed for: by `LayerCall.off`, unless they are something else.
    """
    if all(_near(call, x, y, 0.0, scale) for x, y in zip(xs, ys, strict=True)):
        return True
    offs = [float(np.max(each, initial=0.0)) for each in (call.off if off is None else off())]
    return all(_near(call, x, y, each, scale) for x, y, each in zip(xs, ys, offs, strict=True))


def _near(call: LayerCall, x: Array, y: Array, off: float, scale: float) -> bool:
    least = 4 * largest(call.dout)
    size = float(np.max(np.abs(y), initial=least, where=np.isfinite(y)))
    overflows = size > np.finfo(np.float64).max * call.eps or not np.isfinite(y).all()
    with np.errstate(invalid="ignore", over="ignore"):
        lost = overflows & ~(np.isfinite(x) & np.isfinite(y))
        near = np.abs(x - y) <= scale * ULPS * max(call.eps * size, off)
        return bool(np.all(near | (x == y) | lost))


def _not_repeated(call: LayerCall, cache: Any) -> Broken:
    """Call the backward again, and once more after a forward of other inputs."""
    if not _alike(call, call.backward(call.douts(call.dout), cache), call.gradients):
        yield (
            "a second backward with the same cache gives another gradient",
            "keeps something from call to call",
        )
        return
    for other in (_others, np.negative):
        with np.errstate(all="ignore"), suppress(ArithmeticError, ValueError):  # outside of what it takes
            call.forward([other(call.inputs[i]) for i in call.floats])
        if not _alike(call, call.backward(call.douts(call.dout), cache), call.gradients):
            yield (
                "after a forward with other inputs the same cache gives another gradient",
                "reads a stale cache: what the last forward left, not the cache it is given",
            )
            return


def _others(x: Array) -> Array:
    """Return other entries in the place of x's, of the same sizes: in reverse, and moved a little."""
    moved = 0.5 * np.cos(np.arange(x.size)).reshape(x.shape)
    return np.asarray(np.flip(x) + moved.astype(x.dtype), x.dtype)


def _not_its_own_memory(call: LayerCall, outs: Sequence[Array], cache: Any) -> Broken:
    """Check that later calls do not overwrite earlier results: the output, the gradients."""
    if not _same(outs, call.outs):
        yield (
            "a forward with other inputs changed the output of the call before; return a new array in each call",
            "fills the same array in each call",
        )
    first = [g for g in call.raw(call.douts(call.dout), cache) if isinstance(g, np.ndarray)]
    before = [g.copy() for g in first]
    call.raw(call.douts(call.dout + 1), cache)
    if not _same(first, before):
        yield (
            "a second backward changed the gradients that the first returned; return new arrays in each call",
            "fills the same array in each call",
        )


def _not_linear(call: LayerCall, cache: Any) -> Broken:
    """Check that the backward is linear in dout."""
    other = np.roll(call.dout, 1)[::-1]
    one = call.gradients
    two, reverse, both = [
        call.backward(call.douts(dout), cache) for dout in (other, -2 * call.dout, call.dout + other)
    ]
    if not (
        _alike(call, reverse, [-2 * g for g in one])
        and _alike(call, both, [a + b for a, b in zip(one, two, strict=True)], 4)
    ):
        yield (
            "the gradients are not linear in dout: backward(-2 dout) is not -2 backward(dout), or that of a sum no sum",
            "dout is not used in each term, or used twice in one",
        )


def _not_in_any_memory(call: LayerCall) -> Broken:
    """Call the layer on read-only and on strided inputs and dout."""
    for what, lay in (("read-only", _read_only), ("strided", _strided)):
        try:
            outs, cache = call.run([lay(x) if isinstance(x, np.ndarray) else x for x in call.inputs])
            gradients = call.backward([lay(d) for d in call.douts(call.dout)], cache)
        except Exception as error:
            yield (
                f"it fails for {what} arrays: {type(error).__name__}: {error}",
                f"does not take {what} arrays",
            )
            continue
        outputs = [np.asarray(out, np.float64) for out in outs]
        expected = [np.asarray(out, np.float64) for out in call.outs]
        if not all(np.isfinite(out).all() for out in (*outputs, *expected)):
            continue  # the result of an overflow depends on the order of the sums
        if not (
            _alike(call, outputs, expected, off=lambda: call.outs_off)
            and _alike(call, gradients, call.gradients)
        ):
            yield f"{what} arrays give another gradient", f"does not take {what} arrays"


def _read_only(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


def _strided(x: Array) -> Array:
    """Return x as every other entry of a larger array, with its axes in reversed order in memory."""
    if not x.ndim:
        return x
    larger = np.zeros([2 * n for n in x.shape[::-1]], x.dtype).T
    view = larger[(slice(None, None, 2),) * x.ndim]
    view[...] = x
    return view


def _not_row_by_row(call: LayerCall, per_example: Sequence[int]) -> Broken:
    """Call the layer on single rows of a batch."""
    for row in range(len(call.inputs[per_example[0]]) if per_example else 0):
        at = slice(row, row + 1)
        _, cache = call.run([x[at] if i in per_example else x for i, x in enumerate(call.inputs)])
        single = call.raw([d[at] for d in call.douts(call.dout)], cache)
        for k, (i, alone, batch) in enumerate(zip(call.floats, single, call.gradients, strict=True)):
            if i in per_example and not _alike(
                call,
                [np.asarray(alone)],
                [batch[at]],
                off=lambda k=k: [call.off[k]],  # type: ignore[misc]  # a default is bound
            ):
                yield (
                    f"row {row} of input {i} has another gradient in the batch than alone",
                    "examples are mixed: an axis of the batch where one of the features is meant, or a mean over it",
                )
                return
