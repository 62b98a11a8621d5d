"""The table of rules: for a NumPy function, how each operand's gradient follows from the output's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial, wraps
from typing import Any, Protocol

import numpy as np

from .facts import state

Rule = Callable[..., Any]
Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Operands and options."""


class Draw(Protocol):
    """The source of the arrays and options an op is tested with: what its ``inputs`` may ask for."""

    def array(self, shape: tuple[int, ...] | None = None, low: float = -2.0, high: float = 2.0) -> Any:
        """Return a float array with entries in [low, high]; of any shape, if none is given."""

    def shape(self, min_ndim: int = 0, max_ndim: int = 3, min_side: int = 0) -> tuple[int, ...]:
        """Return any shape; empty ones too, unless ``min_side`` forbids them."""

    def broadcastable(self, count: int) -> list[tuple[int, ...]]:
        """Return ``count`` shapes that broadcast together."""

    def integer(self, low: int, high: int) -> int:
        """Return an integer in [low, high]."""

    def choice(self, values: Sequence[Any]) -> Any:
        """Return one of ``values``."""


class Op:
    """A differentiable call: its forward and, side by side, the rule of each operand.

    Parameters
    ----------
    function
        What a person calls; the key of the table.
    rules
        ``rule(g, out, *operands, **options)`` for each operand: the operand's gradient, given the gradient
        ``g`` of the output ``out``. Its shape may be any that broadcasts against the operand's and its dtype
        any float: the tape sums, spreads and casts. A rule is pure NumPy: it runs on arrays, and on tensors
        for higher derivatives. What follows ``out`` is named as in NumPy.
    each
        In place of ``rules``, for a call with any number of operands: ``each(index, g, out, *operands,
        **options)``, the gradient of operand ``index``.
    bind
        With ``each``: ``bind(*args, **kwargs) -> (operands, options)``.
    forward
        How the recorded call is computed, where that is not ``function(*operands, **options)``.
    inputs
        Draws ``(operands, options)`` for the property tests.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        rules: Sequence[Rule],
        inputs: Callable[[Draw], Call] | None,
        *,
        each: Rule | None = None,
        bind: Callable[..., Call] | None = None,
        forward: Callable[..., Any] | None = None,
    ) -> None:
        self.function = function
        self.name: str = function.__name__
        self.inputs = inputs
        self.forward = forward or function
        self.rules = rules if each is None else Each(each)
        self.arity = len(rules)
        self.bind = bind or self._bind

    @cached_property
    def known(self) -> list[str]:
        """The parameters that the rules know, operands first; found when asked for, as importing asks for none."""
        return list(inspect.signature(self.rules[0]).parameters)[2:] if self.arity else []

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The parameters of the function, with their defaults."""
        return _defaults(self.function) or dict.fromkeys(self.known)

    def _bind(self, *args: Any, **kwargs: Any) -> Call:
        """Tell operands from options, as NumPy's own signature has them; leave out what says no more than it."""
        names = self.known if isinstance(self.function, np.ufunc) else self.defaults
        given = dict(zip(names, args, strict=False), **kwargs)
        if "newshape" in given:  # as NumPy 1.26 calls the shape of reshape
            given["shape"] = given.pop("newshape")
        for name, value in list(given.items()):
            if name not in self.known:
                if value is not None and value is not self.defaults.get(name):
                    raise refused(self.function, f"with {name!r}", self.known)
                del given[name]
        missing = [name for name in self.known[: self.arity] if name not in given]
        if missing or len(args) > len(self.defaults):
            raise refused(self.function, "for this call", self.known)
        return tuple([given.pop(name) for name in self.known[: self.arity]]), given

    def __repr__(self) -> str:
        return f"Op({self.name})"


def refused(function: Callable[..., Any], what: str, known: Iterable[str]) -> TypeError:
    """Return the error of a call that the rules do not cover."""
    name = f"{getattr(function, '__module__', None) or 'numpy'}.{function.__name__}"
    return TypeError(
        f"{name}: no backward rule {what}; the rule knows {', '.join(known)}: write the call with these, or, where "
        "no gradient is needed, on t.detach()"
    )


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's parameters with their defaults; none, if it does not tell, as some of NumPy's."""
    try:
        return {name: each.default for name, each in inspect.signature(function).parameters.items()}
    except ValueError:
        return {}


class Each:
    """The rules of a call with any number of operands: one function, told which operand is asked for."""

    __slots__ = ("rule",)

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __getitem__(self, index: int) -> Rule:
        return partial(self.rule, index)


class Composite:
    """A call that the tape records as the NumPy calls it is made of."""

    __slots__ = ("forward", "function", "inputs", "name")

    def __init__(
        self, function: Callable[..., Any], forward: Callable[..., Any], inputs: Callable[[Draw], Call]
    ) -> None:
        self.function = function
        self.name: str = function.__name__
        self.forward = forward
        self.inputs = inputs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the calls; an option that they do not know is refused by name."""
        try:
            return self.forward(*args, **kwargs)
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
            reason = str(error).partition("()")[2].strip()
        raise refused(self.function, f"for this call: {reason}", inspect.signature(self.forward).parameters)

    def __repr__(self) -> str:
        return f"Composite({self.name})"


OPS: dict[Callable[..., Any], Op | Composite] = {}
"""Every function with a rule, by the function a person calls."""


def declare(
    function: Callable[..., Any],
    *rules: Rule,
    inputs: Callable[[Draw], Call],
    each: Rule | None = None,
    bind: Callable[..., Call] | None = None,
    forward: Callable[..., Any] | None = None,
    **known: Any,
) -> Op:
    """Enter a function and its rules into the table.

    The parameters are those of `Op`, and attributes of `minigrad.rules.facts.Facts`.
    """
    op = OPS[function] = Op(function, rules, inputs, each=each, bind=bind, forward=forward)
    state(function, **known)
    return op


def compose(
    function: Callable[..., Any], inputs: Callable[[Draw], Call], **known: Any
) -> Callable[[Rule], Rule]:
    """Enter a function as the NumPy calls that the decorated one makes.

    The parameters beside are attributes of `minigrad.rules.facts.Facts`.
    """

    def enter(forward: Rule) -> Rule:
        OPS[function] = Composite(function, forward, inputs)
        state(function, **known)
        return forward

    return enter


ARRAYS_OWN = np.ndarray.__array_function__
"""What arrays and their subclasses that override nothing have: there is nothing to be asked."""


def dispatched(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function of ours be overridden by its arguments, as NumPy's are (NEP 18)."""

    @wraps(function)
    def dispatcher(*args: Any, **kwargs: Any) -> Any:
        for arg in args:
            for x in arg if type(arg) is tuple else (arg,):  # an index may be several
                if getattr(type(x), "__array_function__", ARRAYS_OWN) is not ARRAYS_OWN:
                    return x.__array_function__(dispatcher, (type(x),), args, kwargs)
        return function(*args, **kwargs)

    return dispatcher


def whole(**known: Any) -> Callable[[Rule], Rule]:
    """Do as `dispatched` does, for a function of ours that jit takes as one call; it looks into the others.

    What is known of the function are attributes of `minigrad.rules.facts.Facts`.
    """

    def enter(function: Rule) -> Rule:
        dispatcher = dispatched(function)
        state(dispatcher, whole=function)
        state(function, **known)
        return dispatcher

    return enter


@dispatched
def any_true(mask: Any) -> Any:
    """Tell whether a rule must care for special entries: whether there are any, or, captured by jit, may be."""
    return np.any(mask)
