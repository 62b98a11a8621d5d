"""The expressions of calls in generated source."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..ir import Node, cast, is_constant, part, pick
from ..rewriting.patterns import scalar_of
from .scope import Scope

SIGNS = {np.add: "+", np.subtract: "-", np.multiply: "*", np.divide: "/"}
OPERATORS: dict[Any, str] = {
    **SIGNS,
    np.less: "<",
    np.less_equal: "<=",
    np.greater: ">",
    np.greater_equal: ">=",
    np.equal: "==",
    np.not_equal: "!=",
}
"""On scalars an operator takes a tenth of the time of a ufunc."""
METHODS = (np.reshape, np.transpose)
"""Functions of which the method takes a third of the time."""


def is_arithmetic(node: Node) -> bool:
    """Tell whether a call is arithmetic on scalars, which are immutable, or compares them."""
    numbers = all(isinstance(x.value, np.generic) for x in (node, *node.operands))
    known = node.function in OPERATORS or (node.function is np.negative and node.dtype.kind == "f")
    return known and not node.kwargs and numbers


def takes(f: np.ufunc, dtype: np.dtype[Any]) -> bool:
    """Tell whether a ufunc has a loop with all operands of this dtype, and none for an integer beside them.

    ``ldexp``, for example, has none for floats; SciPy's polynomials compute otherwise where the order is an integer.
    """
    loops = [loop.partition("->")[0] for loop in f.types]
    return dtype.char * f.nin in loops and not any("l" in loop and "d" in loop for loop in loops)


class Expressions(Scope):
    """Writes calls as expressions, whose operands have names or expressions already."""

    def arguments(self, node: Node) -> list[str]:
        """Return the source of a call's arguments, defaults left out."""
        shown = [self.argument(node, x) for x in node.args]
        options = {name: x for name, x in node.kwargs.items() if (name, x) != ("keepdims", False)}
        return shown + [f"{name}={self.spelled(x)}" for name, x in options.items()]

    def argument(self, node: Node, x: Any) -> str:
        """Return the source of one argument of a call.

        A scalar operand becomes a 0-d array of the arrays' dtype, which saves NumPy a conversion in each call.
        """
        number = scalar_of(x)
        if number is None or not np.isfinite(number) or not isinstance(node.function, np.ufunc):
            return self.spelled(x)
        dtypes = {(y.dtype, bool(y.shape)) for y in node.operands if not is_constant(y)}
        dtype = x.dtype if hasattr(x, "dtype") else next(iter(dtypes))[0] if dtypes else None
        if {each for each, _ in dtypes} != {dtype} or dtype is None or dtype.kind != "f":
            return self.spelled(x)
        if not takes(node.function, dtype) or node.dtype not in (dtype, bool):
            return self.spelled(x)
        if (dtype, True) in dtypes and node.shape:
            return self.number(number, dtype)
        return repr(number) if dtype == np.float64 else self.spelled(x)

    def call(self, node: Node) -> str:
        """Return the expression of a call, without ``out``."""
        f, args = node.function, node.args
        if is_arithmetic(node):
            x, *y = self.arguments(node)
            return f"{x} {OPERATORS[f]} {y[0]}" if y else f"-{x}"
        if f in (part, pick):
            return f"{self.spelled(args[0])}[{self.index(args[1])}]"
        if f is operator.getitem:
            return f"{self.spelled(args[0])}[{args[1]}]"
        if f is np.transpose and args[1] == tuple(range(len(args[1])))[::-1]:
            return f"{self.spelled(args[0])}.T"
        if f in METHODS and type(args[0]) is Node and not node.kwargs:
            return f"{self.spelled(args[0])}.{f.__name__}({self.spelled(args[1])})"
        if f is cast and type(args[0]) is Node:
            casting = "" if args[2:] in ((), ("unsafe",)) else f", casting={args[2]!r}"
            return f"{self.spelled(args[0])}.astype({self.spelled(args[1])}{casting})"
        return f"{self.function(f)}({', '.join(self.arguments(node))})"

    def copying(self, x: Any, into: str) -> str:
        """Return the line that copies a value into an existing array."""
        return f"{self.function(np.copyto)}({into}, {self.spelled(x)})"
