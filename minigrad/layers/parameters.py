"""Arguments of layers and update rules: a dict of parameters, its keys and numbers; the gradient of an output."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Set
from typing import Any

from ..engine.arrays import STAND_INS
from ..engine.scalars import as_real


def check_keys(name: str, param: Mapping[str, Any], known: Set[str]) -> None:
    """Refuse a dict with keys that are not known; ``name`` is the function's and the dict's."""
    if param.keys() <= known:
        return
    unknown = next(key for key in param if key not in known)
    begun = [key for key in known if key.startswith(str(unknown))]
    near = begun or difflib.get_close_matches(str(unknown), known, n=1)
    raise ValueError(
        f"{name} has the unknown key {unknown!r}; expected keys are {', '.join(map(repr, sorted(known)))}"
        + (f"; did you mean {near[0]!r}?" if near else "")
    )


def check_number(name: str, param: Mapping[str, Any], key: str, interval: str) -> None:
    """Refuse a value that is no number in an interval, as of `as_real`; of a traced one, the dtype alone is known."""
    if key not in param:
        return
    value = param[key]
    if type(value) not in STAND_INS:
        as_real(f"{name}[{key!r}]", value, interval)
    elif value.shape != () or value.dtype.kind not in "fiu":
        raise TypeError(f"{name}[{key!r}] must be a number, got {value.dtype} of shape {value.shape}")


def check_dout(name: str, dout: Any, shape: tuple[int, ...]) -> None:
    """Refuse an output's gradient of another shape than the output's, as with the cache of another layer."""
    if dout.shape != shape:
        raise ValueError(
            f"{name}: dout has shape {dout.shape}, but the output whose cache this is has {shape}"
        )
