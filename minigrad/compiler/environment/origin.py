"""The origin of a module or a class: the program's own, which may change, or a library's."""

from __future__ import annotations

import sys
import sysconfig
from functools import lru_cache, partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
"""The folders of installed modules."""


def is_users(module: ModuleType) -> bool:
    """Tell whether a module is of the program's own, whose globals may change: no library."""
    file = getattr(module, "__file__", None) or ""
    name = module.__name__
    return not (is_ours(name) or is_standard(name.partition(".")[0]) or file.startswith(LIBRARIES))


def is_standard(module: str) -> bool:
    """Tell whether a module is the standard library's; a program may have one of the same name, such as ``queue``.

    What is made by ``exec`` in a namespace without ``__name__`` says that it is of ``builtins``.
    """
    if module not in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is None or file.startswith(LIBRARIES)


def is_ours(module: str) -> bool:
    """Tell whether a module is minigrad's or NumPy's."""
    return module.split(".")[0] in ("minigrad", "numpy")


def has_constant_globals(f: FunctionType) -> bool:
    """Tell whether the globals of a function's module are taken to be constant."""
    module = f.__globals__.get("__name__", "")
    return is_ours(module) or module.split(".")[0] == "scipy"


def is_library_class(kind: Any) -> bool:
    """Tell whether a class is minigrad's, NumPy's, the standard library's or made in C."""
    module = kind.__module__
    if not kind.__flags__ & HEAP_TYPE:
        return True
    return module != "builtins" and (is_ours(module) or is_standard(module))


def has_state(x: Any) -> bool:
    """Tell whether an object of a user's class has mutable attributes."""
    kind: Any = type(x)
    if isinstance(x, (type, ModuleType, FunctionType, MethodType, partial, np.ndarray, np.generic)):
        return False
    if f"{kind.__module__}.{kind.__name__}" in NAMESPACES:
        return True
    return not is_library_class(kind) and (hasattr(x, "__dict__") or bool(slots_of(kind)))


NAMESPACES = {"argparse.Namespace", "types.SimpleNamespace", "_thread._local"}
NAMESPACES |= {f"collections.{name}" for name in ("ChainMap", "UserDict", "UserList")}
"""Classes of the standard library whose instances are no more than their attributes."""
HEAP_TYPE = 1 << 9
"""The type flag of classes defined in Python."""


@lru_cache
def slots_of(kind: Any) -> tuple[str, ...]:
    """Return the slots of a class and its bases."""
    found: list[str] = []
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        found += [slots] if isinstance(slots, str) else slots
    return tuple(name for name in found if not name.startswith("__"))
