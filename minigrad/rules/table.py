"""The table of rules: for each NumPy function, the gradients of its operands given the gradient of its output."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import takewhile
from typing import Any, Protocol

import numpy as np

from .facts import facts, state

Rule = Callable[..., Any]
Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Operands and options."""


class Draw(Protocol):
    """The source of random test arrays and options that an op's ``inputs`` draws from."""

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
        The function that users call; the key of the table.
    rules
        ``rule(g, out, *operands, **options)`` for each operand: the operand's gradient, given the gradient
        ``g`` of the output ``out``. Its shape may be any that broadcasts against the operand's and its dtype
        any float: the tape sums, spreads and casts. A rule is pure NumPy: it runs on arrays, and on tensors
        for higher derivatives. What follows ``out`` is named as in NumPy.
    together
        In place of ``rules``, for a call with any number of operands, or whose gradients share work:
        ``together(needs, g, out, *operands, **options)``, the gradients of all operands in a list. ``needs`` has a
        bool for each, whether its gradient is wanted; elsewhere None may stand for it.
    writes
        Whether ``together`` writes into g: it is then given an array that nothing else holds.
    add
        Adds the gradient of the only operand to an array: ``add(total, g, **options)``; where it is small beside it.
    arity
        With ``together``: the number of operands, if fixed.
    bind
        With ``together``, if the number of operands varies: ``bind(*args, **kwargs) -> (operands, options)``.
    forward
        Computes the recorded call; by default ``function(*operands, **options)``.
    of_tensors
        By the name of an option what makes the call, with operands and options, where that is a tensor that requires
        a gradient; otherwise such a call is refused.
    inputs
        Draws ``(operands, options)`` for the property tests.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        rules: Sequence[Rule],
        inputs: Callable[[Draw], Arguments] | None,
        *,
        together: Callable[..., Sequence[Any]] | None = None,
        writes: bool = False,
        add: Callable[..., None] | None = None,
        arity: int | None = None,
        bind: Callable[..., Arguments] | None = None,
        forward: Callable[..., Any] | None = None,
        of_tensors: dict[str, Callable[..., Any]] | None = None,
    ) -> None:
        self.function = function
        self.name: str = function.__name__
        self.inputs = inputs
        self.forward = forward or function
        self.rules = rules
        self.together = together
        self.writes = writes
        self.add = add
        self.arity = len(rules) if arity is None else arity
        self.own_bind = bind
        self.of_tensors = of_tensors or {}

    def gradients(
        self, g: Any, out: Any, operands: Sequence[Any], options: dict[str, Any], needs: Sequence[Any]
    ) -> list[Any]:
        """Return the gradient of each operand as its rule gives it, to be `fitted`; None where ``needs`` is None."""
        rules = self.rules
        if not options:  # as below, but without stars, which cost as much as a small array's rule
            if len(rules) == 2:
                x, y = operands
                return [
                    None if needs[0] is None else rules[0](g, out, x, y),
                    None if needs[1] is None else rules[1](g, out, x, y),
                ]
            if len(rules) == 1:
                return [rules[0](g, out, operands[0])]
        if self.together is not None:
            return list(self.together([need is not None for need in needs], g, out, *operands, **options))
        return [
            None if need is None else rule(g, out, *operands, **options)
            for rule, need in zip(rules, needs, strict=True)
        ]

    def fitted(self, dx: Any, i: int, x: Any) -> Any:
        """Return the gradient of operand i, which is x, in its shape and dtype."""
        if type(dx) in (int, float, complex):
            dx = np.asarray(dx)
        elif not hasattr(dx, "shape"):
            raise TypeError(
                f"{self.name}: the rule of operand {i} gave a {type(dx).__name__}; expected the gradient, an array"
            )
        if dx.shape != x.shape:
            dx = fitted(dx, x.shape)
        if dx.dtype == x.dtype:
            return dx
        if dx.dtype.kind == "c" and x.dtype.kind != "c":
            dx = np.real(dx)  # of a complex gradient, a real operand has the real part
        if dx.dtype.kind not in "fciub":
            raise TypeError(
                f"{self.name}: no gradient of operands of dtype {dx.dtype}; give plain numbers, as by x.astype(float)"
            )
        return dx.astype(x.dtype, casting="same_kind")

    @cached_property
    def complex_numbers(self) -> bool:
        """Whether the rules hold for complex numbers."""
        return facts(self.function).complex_numbers

    @cached_property
    def known(self) -> list[str]:
        """The parameters that the rules know, operands first; read lazily, so that importing stays fast."""
        if self.together is None:
            return list(inspect.signature(self.rules[0]).parameters)[2:]
        return list(inspect.signature(self.together).parameters)[3:] if self.arity else []

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The parameters of the function, with their defaults; its operands as the rules call them, unless it does."""
        own, operands = _defaults(self.function), self.known[: self.arity]
        if own.keys().isdisjoint(operands):
            own = {**dict.fromkeys(operands), **dict(list(own.items())[self.arity :])}
        return own

    @cached_property
    def positional(self) -> int:
        """The number of the function's leading parameters that agree with the rules' parameters."""
        names = self.known if isinstance(self.function, np.ufunc) else self.defaults
        pairs = zip(names, self.known, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    @cached_property
    def options(self) -> frozenset[str]:
        """The parameters that the rules know beside the operands."""
        return frozenset(self.known[self.arity :])

    @cached_property
    def positional_options(self) -> dict[int, list[str]]:
        """Maps a number of positional arguments to the names of the options among them."""
        return {count: self.known[self.arity : count] for count in range(self.arity, self.positional + 1)}

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """Split a call into operands and options, by NumPy's signature where it says more than the positions."""
        if self.own_bind is not None:
            bound: Arguments = called(self.own_bind, self.function, args, kwargs)
            return bound
        names = self.positional_options.get(len(args))
        if names is not None and (
            not kwargs or (self.options.issuperset(kwargs) and kwargs.keys().isdisjoint(names))
        ):
            if not names:
                return args, kwargs
            if len(names) == 1:
                return args[:-1], {names[0]: args[-1], **kwargs}
            return args[: self.arity], {**dict(zip(names, args[self.arity :], strict=True)), **kwargs}
        return self._bind_by_name(args, kwargs)

    def _bind_by_name(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        """Split a call into operands and options, by NumPy's signature; drop defaults that the rules do not know."""
        names = self.known if isinstance(self.function, np.ufunc) else self.defaults
        for name in list(names)[: len(args)]:
            if name in kwargs:
                raise TypeError(f"{self.name}: got multiple values for argument {name!r}")
        given = dict(zip(names, args, strict=False), **kwargs)
        if "newshape" in given:  # as NumPy 2.0 calls the shape of reshape
            given["shape"] = given.pop("newshape")
        for name, value in list(given.items()):
            if name not in self.known:
                if name == "where" and value is not True and isinstance(self.function, np.ufunc):
                    operands = self.known[: self.arity]
                    raise TypeError(
                        f"{full_name(self.function)}: no backward rule with 'where'; write np.where(where, "
                        f"np.{self.name}({', '.join(operands)}), other), with np.where(where, {operands[-1]}, 1) for "
                        f"{operands[-1]} where it has no value"
                    )
                if (
                    value is not None
                    and value is not self.defaults.get(name)
                    and not self._has_no_effect(name, value, given)
                ):
                    raise refused(self.function, f"with {name!r}", self.known)
                del given[name]
        missing = [name for name in self.known[: self.arity] if name not in given]
        if missing or len(args) > len(self.defaults):
            raise refused(self.function, "for this call", self.known)
        return tuple([given.pop(name) for name in self.known[: self.arity]]), given

    def _has_no_effect(self, name: str, value: Any, given: dict[str, Any]) -> bool:
        """Tell whether an option of a ufunc leaves the call as it is: a default, or a dtype that the operands have."""
        if not isinstance(self.function, np.ufunc):
            return False
        if name == "dtype":
            dtypes = [
                given[operand].dtype
                for operand in self.known[: self.arity]
                if hasattr(given.get(operand), "dtype")
            ]
            return all(dtype == np.dtype(value) for dtype in dtypes)
        return name == "subok" or (name, value) in (("casting", "same_kind"), ("order", "K"), ("where", True))

    def __repr__(self) -> str:
        return f"Op({self.name})"


def called(
    f: Callable[..., Any], function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Call f in the place of a function; refuse arguments that f does not take in that function's name."""
    try:
        return f(*args, **kwargs)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise
        reason = str(error).partition("()")[2].strip()
    raise refused(function, f"for this call: {reason}", inspect.signature(f).parameters)


def refused(function: Callable[..., Any], what: str, known: Iterable[str]) -> TypeError:
    """Return the error of a call that the rules do not cover."""
    return TypeError(
        f"{full_name(function)}: no backward rule {what}; the rule knows {', '.join(known)}: write the call "
        "with these, or, where no gradient is needed, on t.detach()"
    )


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's parameters with their defaults; none where it has no signature, as some of NumPy's."""
    try:
        return {name: each.default for name, each in inspect.signature(function).parameters.items()}
    except ValueError:
        return {}


def full_name(function: Any) -> str:
    """Return a function's qualified name, such as ``numpy.linalg.norm``; a ufunc's module is looked up."""
    module = getattr(function, "__module__", None)
    if isinstance(function, np.ufunc):
        homes = ("numpy", "scipy.special", "scipy.special._ufuncs")
        module = next(
            (m for m in homes if getattr(sys.modules.get(m), function.__name__, None) is function), None
        )
    return f"{module}.{function.__name__}" if module else str(function.__name__)


def fitted(g: Any, shape: tuple[Any, ...]) -> Any:
    """Sum g over the axes along which an operand of this shape was broadcast, or spread it over the shape."""
    if shape and type(shape[0]) is not int:  # the length of what a mask selects, unknown while jit traces
        return shape[0].fitted(g, shape)
    if not g.ndim:
        return spread(g, shape)
    lead = g.ndim - len(shape)
    if lead > 0 and g.shape[lead:] == shape:
        return np.add.reduce(g, axis=0 if lead == 1 else tuple(range(lead)))  # in less time than g.sum
    axes = tuple([i for i in range(g.ndim) if i < lead or (shape[i - lead] == 1 and g.shape[i] != 1)])
    if axes:
        g = np.add.reduce(g, axis=axes, keepdims=True)
    if lead > 0:
        g = g.reshape(g.shape[lead:])
    return g if g.shape == shape else spread(g, shape)


def spread(g: Any, shape: tuple[int, ...]) -> Any:
    """Return a view of g that repeats its entries over a shape; `numpy.broadcast_to` takes ten times as long."""
    if issubclass(type(g), np.generic):  # whatever isinstance says of what is captured
        number: Any = np.ndarray(shape, g.dtype, g, 0, (0,) * len(shape))
        return number
    if type(g) is not np.ndarray or not g.flags.c_contiguous:
        return np.broadcast_to(g, shape)
    lead = len(shape) - g.ndim
    strides = (0,) * lead
    if g.ndim:
        if any(n not in (1, m) for n, m in zip(g.shape, shape[lead:], strict=True)):
            return np.broadcast_to(g, shape)  # raises
        strides += tuple([0 if n == 1 else step for n, step in zip(g.shape, g.strides, strict=True)])
    view: Any = np.ndarray(shape, g.dtype, g, 0, strides)
    view.setflags(write=False)
    return view


class Composite:
    """A function that is recorded as the NumPy calls it is composed of."""

    __slots__ = ("forward", "function", "inputs", "name")

    def __init__(
        self, function: Callable[..., Any], forward: Callable[..., Any], inputs: Callable[[Draw], Arguments]
    ) -> None:
        self.function = function
        self.name: str = function.__name__
        self.forward = forward
        self.inputs = inputs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the calls; an option that they do not know is refused by name."""
        return called(self.forward, self.function, args, kwargs)

    def __repr__(self) -> str:
        return f"Composite({self.name})"


OPS: dict[Callable[..., Any], Op | Composite] = {}
"""Every function with a rule, by the function a person calls."""


def declare(
    function: Callable[..., Any],
    *rules: Rule,
    inputs: Callable[[Draw], Arguments],
    together: Callable[..., Sequence[Any]] | None = None,
    writes: bool = False,
    add: Callable[..., None] | None = None,
    arity: int | None = None,
    bind: Callable[..., Arguments] | None = None,
    forward: Callable[..., Any] | None = None,
    of_tensors: dict[str, Callable[..., Any]] | None = None,
    **known: Any,
) -> Op:
    """Enter a function and its rules into the table.

    The parameters are those of `Op`, and attributes of `minigrad.rules.facts.Facts`.
    """
    op = OPS[function] = Op(
        function,
        rules,
        inputs,
        together=together,
        writes=writes,
        add=add,
        arity=arity,
        bind=bind,
        forward=forward,
        of_tensors=of_tensors,
    )
    state(function, **known)
    return op


def compose(
    function: Callable[..., Any], inputs: Callable[[Draw], Arguments], **known: Any
) -> Callable[[Rule], Rule]:
    """Enter a function as the NumPy calls that the decorated one makes.

    The parameters beside are attributes of `minigrad.rules.facts.Facts`.
    """

    def enter(forward: Rule) -> Rule:
        OPS[function] = Composite(function, forward, inputs)
        state(function, **known)
        return forward

    return enter
