"""Search space: the settings of a grid, settings drawn at random, and the identity of a setting."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from reprlib import repr as shortened
from typing import Any, TypeAlias

import numpy as np

from ..engine.arguments import names_itself
from ..engine.scalars import as_int, as_real

Setting: TypeAlias = dict[str, Any]
Sampler: TypeAlias = Callable[[np.random.Generator], Any]


def read_grid(grid: Any) -> tuple[list[Setting], dict[str, Any]]:
    """Return the distinct settings, as JSON holds them, and the grid by name (or by number, of a list)."""
    if not isinstance(grid, Mapping | list | tuple):
        raise TypeError(
            f"grid must be a mapping from names to lists of values, or a list of settings; got {grid!r}"
        )
    if len(grid) == 0:
        raise ValueError("grid is empty; give at least one name with a list of values, or one setting")
    if isinstance(grid, Mapping):
        for name, values in grid.items():
            if not isinstance(values, list | tuple | range | np.ndarray):
                raise TypeError(
                    f"grid[{name!r}] must be a list of values, got {values!r}; write [{values!r}]"
                )
            if len(values) == 0:
                raise ValueError(f"grid[{name!r}] is empty; give at least one value, or leave the name out")
        settings = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    else:
        settings = list(grid)
    read = [_read_setting(setting) for setting in settings]
    if isinstance(grid, Mapping):
        shown: dict[str, Any] = {name: [plain(value) for value in values] for name, values in grid.items()}
    else:
        shown = {str(number): setting for number, setting in enumerate(read)}
    return list({key_of(setting): setting for setting in read}.values()), json.loads(json.dumps(shown))


def _read_setting(setting: Any) -> Setting:
    if not isinstance(setting, Mapping) or not setting:
        raise TypeError(f"a setting must be a mapping from names to values, and not empty; got {setting!r}")
    read = {}
    for name, value in setting.items():
        if not isinstance(name, str):
            raise TypeError(f"names in a grid must be str, got {name!r}")
        try:
            read[name] = json.loads(json.dumps(plain(value), allow_nan=False))
            _check_names(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise TypeError(
                f"{name!r} has the value {shortened(value)}, which JSON cannot hold ({error}); give finite numbers, "
                "str, bool, None, or lists and dicts of these"
            ) from error
    as_int("num_epochs", read.get("num_epochs", 1), least=1)
    return read


def _check_names(value: Any) -> None:
    """Raise TypeError if a dict in a value has a key that JSON would make a str of."""
    if isinstance(value, dict):
        for name in value:
            if not isinstance(name, str):
                raise TypeError(f"keys in it must be str, got {name!r}")
    if isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            _check_names(each)


def plain(value: Any) -> Any:
    """Return a NumPy scalar, or an array of no dimension, as Python's, and anything else as it is."""
    scalar = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0)
    return value.item() if scalar else value


def key_of(setting: Setting) -> str:
    """Return the setting's canonical JSON, its identity."""
    return json.dumps(setting, sort_keys=True)


def without_epochs(setting: Setting) -> str:
    """Return the key of a setting without its num_epochs."""
    return key_of({name: value for name, value in setting.items() if name != "num_epochs"})


def seed_of(seed: int, setting: Setting) -> int:
    """Return the seed of a setting, the same for any num_epochs."""
    digest = hashlib.sha256(without_epochs(setting).encode()).digest()
    words = np.random.SeedSequence([seed, int.from_bytes(digest, "little")]).generate_state(1, np.uint64)
    return int(words[0])


# Random search


@names_itself
def choices(n: int, space: Mapping[str, Sampler | Sequence[Any]], seed: int = 0) -> list[Setting]:
    """Draw settings at random.

    Parameters
    ----------
    n : int
        How many; fewer with the same seed are the first of these.
    space : mapping
        For each name, `uniform` or `log_uniform`, or another function from a `numpy.random.Generator` to a
        value; or a list, of which one element is drawn.
    seed : int
        Seed of the draws.

    Returns
    -------
    list of dict
        The settings, for `minigrad.sweep.sweep`.

    Raises
    ------
    TypeError, ValueError
        When an argument is not as above.
    """
    n = as_int("n", n, least=1)
    if not isinstance(space, Mapping) or not space:
        raise TypeError(
            f"space must be a mapping from names to what to draw from, and not empty; got {space!r}"
        )
    for name, values in space.items():
        if not (callable(values) or isinstance(values, list | np.ndarray)):
            raise TypeError(
                f"space[{name!r}] must be uniform(low, high), log_uniform(low, high) or a list, got {values!r}"
            )
        if not callable(values) and len(values) == 0:
            raise ValueError(f"space[{name!r}] is empty; give at least one value")
    as_int("seed", seed, least=0)
    rng = np.random.default_rng(seed)
    return [{name: _draw(values, rng) for name, values in space.items()} for _ in range(n)]


@names_itself
def uniform(low: float, high: float) -> Sampler:
    """Return a sampler of floats, uniform from ``low`` to ``high``; raises ValueError unless low < high."""
    low, high = as_real("low", low), as_real("high", high)
    if not low < high:
        raise ValueError(f"uniform needs low < high, got low={low!r}, high={high!r}")
    return lambda rng: float(rng.uniform(low, high))


@names_itself
def log_uniform(low: float, high: float) -> Sampler:
    """Return a sampler of floats with uniform logarithms; raises ValueError unless 0 < low < high."""
    low, high = as_real("low", low, "(0, inf)"), as_real("high", high, "(0, inf)")
    if not low < high:
        raise ValueError(f"log_uniform needs low < high, got low={low!r}, high={high!r}")
    return lambda rng: min(max(math.exp(rng.uniform(math.log(low), math.log(high))), low), high)


def _draw(values: Sampler | Sequence[Any], rng: np.random.Generator) -> Any:
    return values(rng) if callable(values) else values[int(rng.integers(len(values)))]
