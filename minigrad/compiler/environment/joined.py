"""Lists that NumPy's functions are given, and the brackets of ``np.r_`` and ``np.c_``: joined by recorded calls.

NumPy makes arrays of lists before what is in them has a say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...engine.calls import any_requires_grad, bare
from ...engine.recording import TapeError
from ...rules.metadata import as_joined, promoted
from ..tracing.numpy_calls import has_traced
from ..where import PlainArray, forget_refusals, refused_so_far


def is_computed(x: Any) -> bool:
    """Tell whether there are arrays in nested arguments that are computed."""
    return has_traced(bare(x)) or any_requires_grad(x)


def joined(x: list[Any] | tuple[Any, ...]) -> Any:
    """Return an array of nested lists; arrays of the lists in one, if these are of several shapes."""
    parts = list(map(as_joined, x))
    return np.stack(parts) if len({part.shape for part in parts}) == 1 else parts


class Joining:
    """What stands in the place of a NumPy function: it joins lists of computed arrays."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function; with the lists joined, if it needs the values of what is in them."""
        count = refused_so_far()
        try:
            return self.function(*args, **kwargs)
        except (PlainArray, TapeError):
            given = [*args, *kwargs.values()]
            operands = [joined(x) if type(x) in (list, tuple) and is_computed(x) else x for x in given]
            if all(new is old for new, old in zip(operands, given, strict=True)):
                raise
        forget_refusals(count)
        return self.function(*operands[: len(args)], **dict(zip(kwargs, operands[len(args) :], strict=True)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)

    def __eq__(self, other: object) -> bool:
        return other is self or other is self.function

    def __hash__(self) -> int:
        return hash(self.function)


class Concatenating:
    """What stands in the place of ``np.r_`` or ``np.c_``: it concatenates arrays, some of which are computed."""

    __slots__ = ("axis", "numpys")

    def __init__(self, numpys: Any, axis: int) -> None:
        self.numpys, self.axis = numpys, axis

    def __getitem__(self, key: Any) -> Any:
        parts = key if type(key) is tuple else (key,)
        if not is_computed(parts) or any(type(x) is str for x in parts):
            return self.numpys[key]
        parts = tuple(self.numpys[x] if type(x) is slice else x for x in parts)
        dtype = promoted(*parts)
        arrays = [self.as_part(as_joined(x)).astype(dtype, copy=False) for x in parts]
        return np.concatenate(arrays, self.axis)

    def as_part(self, x: Any) -> Any:
        """Return an array of at least one axis; for columns of two, one axis being the first."""
        x = np.atleast_1d(x)
        return x[:, np.newaxis] if self.axis < 0 and x.ndim == 1 else x


NAMESPACES = (np, np.linalg, np.fft)
"""NumPy, and the modules in it whose functions are given arrays."""
JOINED: dict[int, Any] = {
    id(x): Joining(x)
    for namespace in NAMESPACES
    for x in vars(namespace).values()
    if callable(x)
    and not isinstance(x, type)
    and x is not np.fromiter  # whose errors end in the program's line
}
JOINED |= {id(np.r_): Concatenating(np.r_, 0), id(np.c_): Concatenating(np.c_, -1)}
"""What stands in the places of NumPy's functions, by their ``id``."""
