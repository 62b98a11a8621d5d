"""Pickling by name, as functions are pickled."""

from __future__ import annotations

import sys
from typing import Any


def global_name(x: Any) -> str:
    """Return the qualified name under which an object is found in its module; none if it is not there."""
    name: str = getattr(x, "__qualname__", "")
    found: Any = sys.modules.get(x.__module__)
    for part in name.split("."):
        found = getattr(found, part, None)
    return name if found is x else ""


class PickledByName:
    """A base for objects with a name that pickle, and are copied, as functions do: by their names, if they have one."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        return global_name(self) or super().__reduce_ex__(protocol)
