"""The table of rules of SciPy's special functions: operands with no known derivative, and several results."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from ..elementwise import as_floats
from ..facts import state
from ..overriding import whole
from ..table import Arguments, Composite, Draw, Op, Rule, full_name, refused

SPECIAL: dict[Callable[..., Any], Op | Composite] = {}
"""Every function of `scipy.special` with a rule."""

Inputs = Callable[[Draw], Arguments]


def declare(ufunc: Any, *rules: Rule | None, inputs: Inputs, **known: Any) -> None:
    """Enter a ufunc and a rule for each operand; None, where there is no closed derivative.

    A tensor that requires a gradient is refused there. The parameters beside are attributes of
    `minigrad.rules.facts.Facts`.
    """
    given = next(rule for rule in rules if rule is not None)
    signature = inspect.signature(given)
    inputs.__module__ = given.__module__  # the family, in the reference
    names = list(signature.parameters)[2:]
    made = [
        _on_floats(rule) if rule else _without(name, signature)
        for rule, name in zip(rules, names, strict=True)
    ]
    missing = [i for i, rule in enumerate(rules) if rule is None]

    def bind(*args: Any, **kwargs: Any) -> Arguments:
        if kwargs or len(args) != len(names):
            raise refused(ufunc, f"with {', '.join(kwargs) or f'{len(args)} operands'}", names)
        for i in missing:
            if getattr(args[i], "requires_grad", False):
                raise no_gradient(ufunc, names[i])
        return args, {}

    op = SPECIAL[ufunc] = Op(ufunc, made, inputs, bind=bind)
    op.name = op.name.lstrip("_")
    state(ufunc, **known)


def _on_floats(rule: Rule) -> Rule:
    """Return a rule that is given integers as floats: narrow and unsigned ones wrap, and compute in float16."""

    @wraps(rule)
    def of_floats(g: Any, out: Any, *operands: Any) -> Any:
        return rule(g, out, *map(as_floats, operands))

    return of_floats


def _without(name: str, signature: inspect.Signature) -> Rule:
    """Return a placeholder for the rule of an operand that has none."""

    def rule(g: Any, out: Any, *operands: Any) -> Any:
        raise AssertionError

    rule.__doc__ = f"No gradient with respect to ``{name}``."
    rule.__signature__ = signature  # type: ignore[attr-defined]  # a function may have one
    return rule


def no_gradient(ufunc: Any, name: str) -> TypeError:
    """Return the error of an operand for which there is no rule."""
    return TypeError(
        f"{full_name(ufunc)}: no gradient with respect to {name}: its derivative is no function that SciPy has; give "
        f"{name}.detach(), if it is a constant here, or a rule of your own, mg.rule(f, ...)"
    )


def several(ufunc: Any, rule: Rule, inputs: Inputs) -> None:
    """Enter a ufunc of one operand with several results, and the rule of all: of their gradients, stacked."""

    def stacked(x: Any) -> Any:
        return np.stack(ufunc(x))

    stacked.__name__ = ufunc.__name__
    op = whole(memory="new")(stacked)
    inputs.__module__ = rule.__module__
    SPECIAL[op] = Op(op, [rule], inputs)

    def call(x: Any) -> tuple[Any, ...]:
        results = op(x)
        return tuple([results[i] for i in range(ufunc.nout)])

    SPECIAL[ufunc] = Composite(ufunc, call, inputs)


def drawn(*operands: tuple[float, float] | Sequence[Any]) -> Inputs:
    """Draw an operand for each interval, of shapes that broadcast together; one of the numbers, for each list."""

    def inputs(draw: Draw) -> Arguments:
        shapes = draw.broadcastable(sum(type(each) is tuple for each in operands))
        args = [
            draw.array(shapes.pop(), *each) if isinstance(each, tuple) else draw.choice(each)
            for each in operands
        ]
        return tuple(args), {}

    return inputs
