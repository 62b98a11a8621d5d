"""Which training a checkpoint is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import fingerprint


class Identity:
    """What a checkpoint and the solver that resumes it must agree in.

    Parameters
    ----------
    model : Model
        The model: its class, and its parameters' shapes and dtypes.
    data : mapping
        The arrays; their fingerprints are computed when they are first needed.
    settings : mapping
        Numbers, dicts of them, and functions, which are known by their names.
    """

    def __init__(self, model: Any, data: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self._model, self._data = model, data
        self._settings = {name: described(value) for name, value in settings.items()}
        self._fingerprints: dict[str, str] | None = None

    def parts(self) -> dict[str, Any]:
        """Return the parts of a checkpoint that must agree."""
        if self._fingerprints is None:
            self._fingerprints = {name: fingerprint(array) for name, array in self._data.items()}
        shapes = {name: f"{w.dtype} {w.shape}" for name, w in self._model.params.items()}
        model = {"class": type(self._model).__name__} | shapes
        return {"model": model, "data": self._fingerprints, "settings": self._settings}


def described(value: Any) -> Any:
    """Return a setting as a checkpoint holds it: numbers of Python's, a function's name or an object's class."""
    if isinstance(value, np.number):
        return value.item()
    if value is None or isinstance(value, bool | int | float | dict):
        return value
    for name in ("__qualname__", "__name__"):
        if isinstance(found := getattr(value, name, None), str):
            return found
    return type(value).__qualname__
