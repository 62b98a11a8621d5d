"""The names in generated source: of values, functions and constants, and the head that defines them."""

from __future__ import annotations

import builtins
import keyword
import sys
import unicodedata
from collections import Counter
from typing import Any

import numpy as np

from ..ir import Node, is_constant
from ..rewriting.patterns import uniform_value
from .memory import is_reduction


class Scope:
    """The names used in the source of a function, and the objects they are bound to.

    Attributes
    ----------
    names : dict
        The name, or the expression, of each node that has one.
    namespace : dict
        What the names are bound to outside of the function; None, where they are its variables.
    header : list of str
        The lines before the function that bind constants.
    """

    def __init__(self) -> None:
        self.names: dict[Node, str] = {}
        self.namespace: dict[str, Any] = {}
        self.header: list[str] = []
        self.imports: set[str] = set()
        self.special: list[str] = []  # what is imported from scipy.special
        self.counts: Counter[str] = Counter()  # how many names were taken of each hint
        self.values: dict[int, str] = {}  # the names of values, by id
        self.numbers: dict[tuple[str, Any], str] = {}
        self.reductions: dict[Any, str] = {}

    def head(self) -> list[str]:
        """Return the lines before the function."""
        imports = [f"from numpy import {', '.join(sorted(self.imports))}"] if self.imports else []
        if self.special:
            imports.append(f"from scipy.special import {', '.join(sorted(self.special))}")
        return imports + self.header

    def unused(self, hint: str) -> str:
        """Reserve an unused name, derived from the one asked for."""
        hint = unicodedata.normalize("NFKC", hint)  # as Python reads names
        base = name = hint if hint.isidentifier() and not keyword.iskeyword(hint) else "t"
        self.counts[base] += 1
        if self.counts[base] > 1:
            name = f"{base}_{self.counts[base]}"
        while name in self.namespace or hasattr(np, name) or hasattr(builtins, name):
            self.counts[base] += 1
            name = f"{base}_{self.counts[base]}"
        self.namespace[name] = None
        return name

    def bound(self, value: Any, hint: str) -> str:
        """Bind a value without a literal to a name."""
        if id(value) not in self.values:
            self.values[id(value)] = name = self.unused(hint)
            self.namespace[name] = value
        return self.values[id(value)]

    def function(self, f: Any) -> str:
        """Return the name of a function; import it if necessary."""
        if is_reduction(f):
            if f not in self.reductions:
                called = self.function(f.__self__)
                self.reductions[f] = name = self.unused(f"{called}_{f.__name__}")
                self.namespace[name] = f
                self.header.append(f"{name} = {called}.{f.__name__}")
            return self.reductions[f]
        name = getattr(f, "__name__", "function")
        if getattr(np, name, None) is f:
            self.namespace[name] = f
            self.imports.add(name)
            return name
        if getattr(sys.modules.get("scipy.special"), name, None) is f and id(f) not in self.values:
            called = self.bound(f, name)
            self.special.append(name if called == name else f"{name} as {called}")
        return self.bound(f, name.lstrip("_"))

    def spelled(self, x: Any) -> str:
        """Return the source of an argument."""
        if type(x) is Node:
            if x in self.names:
                return self.names[x]
            if not is_constant(x):
                raise AssertionError(f"the value of {x.function} is used, but is computed nowhere")
            if x.value.ndim == 1 and x.dtype.kind == "f" and uniform_value(x) == 1:
                return self.ones(len(x.value), x.dtype)
            return self.spelled(x.value) if x.value.ndim == 0 else self.bound(x.value, "constant")
        if isinstance(x, tuple):
            return f"({', '.join(map(self.spelled, x))}{',' if len(x) == 1 else ''})"
        if isinstance(x, list):
            return f"[{', '.join(map(self.spelled, x))}]"
        if isinstance(x, slice):
            return f"slice({', '.join(self.spelled(each) for each in (x.start, x.stop, x.step))})"
        if x is None or x is Ellipsis or type(x) in (int, bool, str) or (type(x) is float and np.isfinite(x)):
            return repr(x) if x is not Ellipsis else "..."
        if isinstance(x, np.floating) and np.isfinite(x) and float(x) == x:
            return f"{self.function(type(x))}({float(x)!r})"
        return self.bound(x, "constant")

    def index(self, x: Any) -> str:
        """Return the source of an index, without brackets."""
        parts = x if type(x) is tuple else (x,)
        shown = []
        for each in parts:
            if isinstance(each, slice):
                ends = ["" if end is None else self.spelled(end) for end in (each.start, each.stop)]
                shown.append(":".join(ends) + ("" if each.step is None else f":{self.spelled(each.step)}"))
            else:
                shown.append(self.spelled(each))
        return ", ".join(shown) + ("," if type(x) is tuple and len(parts) == 1 else "") if parts else "()"

    def ones(self, n: int, dtype: np.dtype[Any]) -> str:
        """Return the name of a vector of ones."""
        key = f"{n} ones", dtype
        if key not in self.numbers:
            self.numbers[key] = name = self.unused(f"ones_{n}")
            self.namespace[name] = np.ones(n, dtype)
            self.function(np.ones)
            self.header.append(f'{name} = ones({n}, "{dtype}")')
        return self.numbers[key]

    def number(self, x: float, dtype: np.dtype[Any]) -> str:
        """Return the name of a scalar as a 0-d array."""
        key = repr(x), dtype  # 0.0 and -0.0 are equal
        if key not in self.numbers:
            text = f"{x:g}".replace("e-", "e_").replace("-", "minus_").replace(".", "_").replace("+", "")
            name = self.numbers[key] = self.unused(f"c{text}" if text[0].isdigit() else text)
            self.namespace[name] = np.array(x, dtype)
            self.function(np.array)
            self.header.append(f'{name} = array({x!r}, "{dtype}")')
        return self.numbers[key]
