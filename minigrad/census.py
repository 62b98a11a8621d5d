"""A census of NumPy's public functions and their gradients: ``python -m minigrad.census``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from .engine.tensor import Tensor
from .engine.writing import AT, WRITERS, Writable
from .rules.facts import Facts, facts
from .rules.table import OPS, Composite
from .rules.ufunc_methods import METHODS
from .rules.without_gradient import ARRAYS_ALONE

NAMESPACES = {"numpy": np, "numpy.linalg": np.linalg, "numpy.fft": np.fft}
"""The modules that are walked, by name."""
UFUNC_METHODS = ("reduce", "accumulate", "reduceat", "outer", "at")
KINDS = {
    "rule": "has a backward rule",
    "composed": "is recorded as calls that have one",
    "constant": "its result has no gradient",
    "in place": "writes into an argument",
    "none": "has no rule and gets none",
    "unknown": "not in the table",
}
"""What a function may be."""
COMPOSED = ("T", "mT", "flatten", "astype", "compress")
"""Attributes and methods of tensors that are recorded as calls with other names."""
RECORDED = "writes into its first argument, which is to be a tensor"


class Row(NamedTuple):
    """One function: its full name, its kind (one of `KINDS`), why it is of that kind, and what to write instead."""

    name: str
    kind: str
    why: str = ""
    instead: str = ""


def row(name: str, function: Any, known: Facts) -> Row:
    """Classify a function by its rule, or else by what is known of it."""
    if function is not None and function in OPS:
        return Row(name, "composed" if isinstance(OPS[function], Composite) else "rule")
    if function in WRITERS:
        return Row(name, "composed", RECORDED)
    if known.in_place:
        return Row(name, "in place", "writes into its first argument", known.instead)
    if known.constant or known.discrete:
        return Row(name, "constant", known.constant or known.discrete, known.instead)
    if known.no_gradient:
        return Row(name, "none", known.no_gradient, known.instead)
    return Row(name, "unknown", "", known.instead)


def functions(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Find the public functions and ufuncs of a module, by name."""
    for name in sorted(dir(module)):
        found = getattr(module, name) if not name.startswith("_") else None
        if callable(found) and not isinstance(found, (type, ModuleType)):
            yield name, found


def ufunc_rows(name: str, ufunc: np.ufunc) -> Iterator[Row]:
    """Classify the methods that a ufunc has."""
    itself = row(name, ufunc, facts(ufunc))
    for method in UFUNC_METHODS:
        if method == "at" and ufunc in AT:
            yield Row(f"{name}.at", "composed", RECORDED)
        elif method == "at":
            yield Row(f"{name}.at", "in place", "writes into its first argument", "t[index] += value")
        elif ufunc.nin == 2 and ufunc.nout == 1 and ufunc.signature is None:
            if itself.kind in ("rule", "composed") and method in METHODS:
                yield Row(f"{name}.{method}", "composed")
            else:
                yield itself._replace(name=f"{name}.{method}")


def array_rows() -> Iterator[Row]:
    """Classify the attributes and methods of an array: as the tensor has them, or why it has not."""
    for name in dir(np.ndarray):
        if name.startswith("_"):
            continue
        full, own = f"numpy.ndarray.{name}", getattr(Tensor, name, None)
        if name in ARRAYS_ALONE or own is None:
            yield row(full, None, ARRAYS_ALONE.get(name, Facts()))
            continue
        function = getattr(own, "__wrapped__", None) or getattr(np, name, None)
        known = facts(function)
        if function is None or function not in OPS:
            known = (
                known
                if known != Facts()
                else known._replace(discrete="leaves the tape, or reads shape and dtype")
            )
        if name in COMPOSED or hasattr(Writable, name):
            yield Row(full, "composed")
        else:
            yield row(full, function, known)


def census() -> list[Row]:
    """Return a row for each public function, ufunc and method of NumPy, of `numpy.linalg` and `numpy.fft`."""
    rows = []
    for module, namespace in NAMESPACES.items():
        for name, found in functions(namespace):
            rows.append(row(f"{module}.{name}", found, facts(found)))
            if isinstance(found, np.ufunc):
                rows += ufunc_rows(f"{module}.{name}", found)
    return [*rows, *array_rows()]


def counts(rows: list[Row]) -> dict[str, int]:
    """Count the rows of each kind."""
    found = Counter(each.kind for each in rows)
    return {kind: found[kind] for kind in KINDS if found[kind]}


def main() -> None:
    """Print the census, and how many functions are of each kind."""
    rows = census()
    for each in rows:
        instead = f"; instead: {each.instead}" if each.instead else ""
        print(f"{each.name:36} {each.kind:9} {each.why}{instead}".rstrip())
    print()
    for kind, count in counts(rows).items():
        print(f"{count:5} {kind:9} {KINDS[kind]}")


if __name__ == "__main__":
    main()
