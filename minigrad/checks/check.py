"""Gradient checks: independent ways to a gradient, compared; and a diagnosis where they disagree.

A layer's hand-derived gradients, or the tape's of a function, are compared with the tape's, differences and the
complex step, up to rounding. A layer's other contracts are checked, too. ``python -m minigrad.gradient_check``
checks every rule and layer of the package, and prints how exact each is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..engine.arguments import names_itself, parameters_of
from ..engine.containers import CONTAINERS, entries_of, map_tree
from ..engine.derivatives import grad
from ..engine.layer import Layer
from ..engine.recording import Array
from ..engine.scalars import as_int
from .comparison import Comparison
from .contracts import broken_contracts
from .layer_call import LayerCall, as_arrays, as_layer
from .report import GradientMismatch, Report, verdict
from .rounding import roundoff
from .vectors import EPS, largest, own_random, parts, split
from .ways import Way, tape_gradients


@names_itself
def check_layer(
    layer: Any,
    *inputs: Any,
    argnums: int | Sequence[int] | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
    raise_on_error: bool = True,
    per_example: Sequence[int] = (),
    **keywords: Any,
) -> Report:
    """Compare a layer's hand-derived gradients with the tape's and with finite differences.

    If a float input is float32, the layer's own gradients are computed in float32, and the references in float64.
    A layer's contracts are checked, too: it changes neither its inputs nor dout nor the cache; its gradients have
    their inputs' shapes and dtypes; a second backward gives the same, also after another forward; so do read-only
    and strided arrays; and the gradients are linear in dout.

    Parameters
    ----------
    layer
        A layer made by ``mg.layer``; a pair ``(forward, backward)`` in the course's form, with one output, a tuple of
        them, or several before the cache, or the two one after the other; or a loss, ``f(x, y) -> (loss, dx)``.
    *inputs
        Arrays, as the forward takes them. Python numbers, dicts and random generators stay what they are; each call
        gets its own copy of the latter two.
    argnums : int or sequence of int, optional
        Which inputs are differentiated; by default all arrays of floats, or the first, of a loss that returns one
        gradient.
    options : dict, optional
        Keywords of the forward, such as one whose name `check_layer` uses itself: ``options={"seed": 3}``.
    seed : int, optional
        Seed of ``dout``; 0 by default.
    raise_on_error : bool
        False: what is wrong is returned in the report.
    per_example : sequence of int
        Which inputs hold one example in each row, if each row of the output depends on its own row alone: then single
        rows must give the same gradients as the batch.
    **keywords
        Passed on to the forward.

    Returns
    -------
    Report
        The ways compared. The tape is left out where it has no rule for a function of the forward's; the
        complex step, where the forward is not analytic.

    Raises
    ------
    GradientMismatch
        If two ways disagree, a gradient's shape is not its input's, or the layer breaks a contract.
    TypeError
        If layer is not one of the above, if no input holds real floats, or if a keyword may be meant for the forward or
        for `check_layer`.
    """
    if inputs and callable(layer) and callable(inputs[0]) and not isinstance(layer, Layer):
        layer, inputs = (layer, inputs[0]), inputs[1:]
    draw = 0 if seed is None else as_int("seed", seed, least=0)
    ours = {"argnums": argnums, "seed": seed, "per_example": per_example or None}
    if options is None:
        _check_no_clash(layer, {name for name, x in ours.items() if x is not None})
    given = {**(options or {}), **keywords}
    made, first_alone = as_layer(layer, inputs, given)
    if first_alone and argnums is None:
        argnums = as_arrays(made.name, inputs, numbers=False)[1][0]
    call = LayerCall(made, inputs, given, draw, argnums)
    broken = [(f"{call.name}: {problem}", hint) for problem, hint in broken_contracts(call, per_example)]
    return _done(_check_call(call, broken), raise_on_error)


def _check_call(call: LayerCall, broken: list[tuple[str, str]]) -> Report:
    """Compare a layer's gradients with the other ways; ``broken`` are its broken contracts."""
    if not call.gradients:
        problems = tuple(problem for problem, _ in broken)
        return Report(("hand-derived",), np.nan, problems=problems, diagnosis=broken[0][1])
    names = call.names()
    comparison = Comparison(
        call.name,
        [names[i] for i in call.floats],
        call.floats,
        lambda *xs: call.forward(xs)[0],
        [np.array(call.inputs[i], np.float64) for i in call.floats],
        call.dout,
        Way("hand-derived", call.gradients, []),
        lambda xs: call.backward(split(xs[-1], call.shapes), call.forward(xs[:-1])[1]),
        call.eps,
        call.off,
    )
    known = {**_defaults(call.layer.forward), **call.options, **dict(zip(names, call.inputs, strict=True))}
    return verdict(comparison, call.returned, known, broken)


def _defaults(forward: Any) -> dict[str, Any]:
    """Return the defaults of a forward's options."""
    return {each.name: each.default for each in parameters_of(forward) if each.default is not each.empty}


def _check_no_clash(layer: Any, ours: set[str]) -> None:
    """Refuse a keyword of `check_layer` that is one of the forward's, too."""
    forward = layer[0] if isinstance(layer, (tuple, list)) and layer else getattr(layer, "forward", layer)
    for name in sorted(ours & {each.name for each in parameters_of(forward)}):
        raise TypeError(
            f"check_layer: {name} is a keyword of check_layer and of the forward; give the forward's in "
            f"options={{{name!r}: ...}}, or options={{}} if it is not meant"
        )


def _done(report: Report, raise_on_error: bool) -> Report:
    if report.problems and raise_on_error:
        raise GradientMismatch(str(report))
    return report


@names_itself
def check_grads(
    f: Callable[..., Any], *args: Any, order: int = 1, seed: int = 0, raise_on_error: bool = True
) -> Report:
    """Compare the tape's gradients of a function with differences and, where it is analytic, the complex step.

    Parameters
    ----------
    f
        A function of arrays, or of nested dicts, lists and tuples of them; it returns such, or a number.
    *args
        Its arguments; the check runs in float64, and integers are not differentiated.
    order : {1, 2}
        2: the gradient of the gradient too, in a random direction.
    seed : int
        Seed of the weights of the result's entries, and of the direction.
    raise_on_error : bool
        False: what is wrong is returned in the report.

    Raises
    ------
    GradientMismatch
        If two ways disagree.
    TapeError
        If the tape has no rule for a function that f calls.
    """
    as_int("seed", seed, least=0)
    if order not in (1, 2):
        raise ValueError(f"check_grads: order is {order!r}; expected 1 or 2")
    name = getattr(f, "__name__", type(f).__name__)
    labels, leaves = _leaves_of(args)
    given, floats = as_arrays(name, leaves)
    places = [labels[i] for i in floats]
    arrays = [np.array(given[i], np.float64) for i in floats]

    def moving(*xs: Any) -> Any:
        full = list(given)
        for i, x in zip(floats, xs, strict=True):
            full[i] = x
        each = iter(full)
        out = f(*[map_tree(next, each, x) if _is_nested(x) else next(each) for x in args])
        return _leaves_of((out,))[1] if _is_nested(out) else out

    rng = own_random(8, seed)
    shapes = [np.shape(out) for out in parts(moving(*arrays))]
    dout = np.asarray(rng.standard_normal(sum(int(np.prod(shape)) for shape in shapes)))
    report = _check_tape(name, places, moving, arrays, dout)
    if order == 2 and not report.problems:
        first = grad(lambda *xs: _weighted(moving(*xs), split(dout, shapes)), tuple(range(len(arrays))))
        direction: Array = rng.standard_normal(sum(x.size for x in arrays))
        # The tape's second derivative against differences of its first, which was found right above.
        second = _check_tape(f"gradient of {name}", places, first, arrays, direction, analytic=False)
        report = replace(second, ways=report.ways, error=max(report.error, second.error), ulps=report.ulps)
    return _done(report, raise_on_error)


def _is_nested(x: Any) -> bool:
    """Tell whether an argument or a result is a container of arrays; a list of numbers is an array."""
    if isinstance(x, (list, tuple)):
        return any(hasattr(each, "dtype") or _is_nested(each) for each in x)
    return isinstance(x, dict) or type(x) in CONTAINERS


def _leaves_of(args: Sequence[Any]) -> tuple[list[str], list[Any]]:
    """Return the leaves of nested arguments in order, each with its place: ``0``, ``1['w']``."""
    labels: list[str] = []
    leaves: list[Any] = []

    def visit(label: str, x: Any) -> None:
        if not _is_nested(x):
            labels.append(label)
            leaves.append(x)
            return
        for key, each in (entries_of(x) or {}).items():
            visit(f"{label}[{key!r}]", each)

    for i, x in enumerate(args):
        visit(str(i), x)
    return labels, leaves


def _check_tape(
    name: str,
    places: Sequence[str],
    f: Callable[..., Any],
    arrays: list[Array],
    dout: Array,
    analytic: bool = True,
) -> Report:
    """Compare the tape's gradients of a function of float arrays with the other ways."""
    names, gradients = [f"input {i}" for i in places], partial(tape_gradients, f)
    comparison = Comparison(
        name,
        names,
        places,
        f,
        arrays,
        dout,
        Way("tape", gradients([*arrays, dout]), []),
        gradients,
        EPS,
        roundoff(gradients, [*arrays, dout], EPS, largest(dout)),
        analytic,
    )
    return verdict(comparison, comparison.checked.arrays, dict(zip(names, arrays, strict=True)), [])


def _weighted(out: Any, dout: Sequence[Array]) -> Any:
    total: Any = 0.0
    for part, weights in zip(parts(out), dout, strict=True):
        total = total + np.sum(part * weights)
    return total
