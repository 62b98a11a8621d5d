"""What a function's code names: the globals and attributes that its instructions read and set."""

from __future__ import annotations

import dis
from functools import lru_cache
from itertools import chain
from types import CodeType

FUNCTIONS = 2**13
"""The size of the caches, in functions: the search for what one function reads may visit all of them."""


@lru_cache
def steps_in(code: CodeType) -> list[list[tuple[str, str]]]:
    """Return the instructions of a function's code, and of each nested function's: their names and arguments."""
    own = [(each.opname, str(each.argval)) for each in dis.get_instructions(code)]
    inner = [steps_in(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return [own, *chain.from_iterable(inner)]


@lru_cache(maxsize=FUNCTIONS)
def attributes_in(code: CodeType, whole: bool = False) -> frozenset[str]:
    """Return the names of the attributes read in a function's code, nested functions included.

    With ``whole``, leave out names of which only `METADATA` is read, such as ``X`` in ``self.X.shape``.
    """
    found: set[str] = set()
    for steps in steps_in(code):
        for (step, name), (following, attribute) in zip(steps, [*steps[1:], ("", "")], strict=True):
            if step in READS_ATTRIBUTE:
                is_metadata = following in READS_ATTRIBUTE and attribute in METADATA
                found |= set() if whole and is_metadata else {name}
            elif step == "MATCH_CLASS":  # which reads what a pattern names
                found.add("__dict__")
            elif step == "IMPORT_FROM" and not whole:
                found.add(name)
    return frozenset(found)


@lru_cache(maxsize=FUNCTIONS)
def chains_in(code: CodeType) -> frozenset[tuple[str, ...]]:
    """Return the attributes of globals, and of their attributes, that a function's code reads: a.b.c as a tuple.

    A global of which it does not read an attribute, ``f(a)``, is a tuple of one.
    """
    found: set[tuple[str, ...]] = set()
    for steps in steps_in(code):
        names: tuple[str, ...] = ()
        for step, name in steps:
            if names and step in READS_ATTRIBUTE:
                names = (*names, name)
                found.add(names)
                continue
            found |= {names} if len(names) == 1 else set()
            names = (name,) if step in READS_GLOBAL else ()
    return frozenset(found)


@lru_cache(maxsize=FUNCTIONS)
def compared_in(code: CodeType) -> frozenset[str]:
    """Return the names close before ``is`` in a function's code, nested functions included; not before ``is None``."""
    found: set[str] = set()
    for steps in steps_in(code):
        for i, (step, _) in enumerate(steps):
            if step == "IS_OP" and steps[i - 1][0] != "LOAD_CONST":
                found.update(name for _, name in steps[max(i - 6, 0) : i])
    return frozenset(found)


STORES = tuple(f"{how}_{what}" for how in ("STORE", "DELETE") for what in ("ATTR", "GLOBAL", "DEREF"))
"""Instructions that set a variable or an attribute."""
STORES_ITEMS = ("STORE_SUBSCR", "DELETE_SUBSCR")
CHANGES = {"update", "setdefault", "pop", "popitem", "clear", "__setitem__", "__delitem__"}
"""Methods that set and delete entries of dicts."""
METADATA = {"shape", "ndim", "size", "dtype", "itemsize", "nbytes"}
"""Attributes of an array that do not depend on its entries."""
READS_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD", "LOAD_SUPER_ATTR", "LOAD_SUPER_METHOD"}
DYNAMIC = {"getattr", "hasattr", "vars", "dir", "operator", "attrgetter", "methodcaller", "copy", "deepcopy"}
DYNAMIC |= {"dataclasses", "asdict", "astuple", "fields", "replace", "setattr", "delattr"}
"""Globals that read or set attributes without naming them in the code."""
READS_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME")


@lru_cache(maxsize=FUNCTIONS)
def names_in(code: CodeType, kinds: tuple[str, ...] = READS_GLOBAL) -> list[str]:
    """Return the names in a function's code, nested functions included, that instructions of these kinds have."""
    return sorted({name for steps in steps_in(code) for step, name in steps if step in kinds})
