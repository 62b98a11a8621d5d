"""Checkpoints: a tree of arrays, numbers and generators as one file, written whole and read without running code."""

from __future__ import annotations

import hashlib
import json
import operator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..files import pack, unpack, write
from .identity import differences

BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
_EMPTY_DIGEST = b"0" * 64


def save(path: Path, tree: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all: an .npz file with the tree in ``tree.json``.

    Raises
    ------
    OSError
        When the file cannot be written.
    TypeError
        When the tree holds an object other than arrays, numbers, strings, None, generators, and dicts, lists and
        tuples of them.
    """
    arrays: dict[str, NDArray[Any]] = {}
    description = json.dumps(_encoded(tree, arrays, ""))
    content = pack(arrays, "tree.json", description, comment=_EMPTY_DIGEST)
    body = content[: -len(_EMPTY_DIGEST)]
    write(path, body + hashlib.sha256(body).hexdigest().encode())


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises
    ------
    OSError
        When the file cannot be read.
    ValueError
        When it is not a checkpoint, or is truncated or corrupt.
    """
    content = path.read_bytes()
    try:
        body, digest = content[: -len(_EMPTY_DIGEST)], content[-len(_EMPTY_DIGEST) :]
        if hashlib.sha256(body).hexdigest().encode() != digest:
            raise ValueError("its digest is not that of its content")
        arrays, description = unpack(content, "tree.json")
        tree = _decoded(json.loads(description), arrays)
        if not isinstance(tree, dict):
            raise ValueError("it holds no dict")
    except Exception as error:  # a damaged archive can raise nearly anything
        raise ValueError(
            f"{path} is no checkpoint of a Solver, or is cut off or changed ({type(error).__name__}: {error})"
        ) from error
    return tree


def check(tree: dict[str, Any]) -> None:
    """Raise TypeError unless a checkpoint can hold the tree."""
    _encoded(tree, {}, "")


def refuse_other(path: Path, saved: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raise ValueError, with the differences, when a checkpoint is not of this model, data and settings."""

    def flat(tree: dict[str, Any]) -> dict[str, Any]:
        parts = {part: tree[part] for part in expected if isinstance(tree.get(part), dict)}
        return {f"{part} {name!r}": value for part, values in parts.items() for name, value in values.items()}

    if different := differences(flat(saved), flat(expected)):
        raise ValueError(f"{path} is the checkpoint of another training ({'; '.join(different)})")


def restored(target: Any, saved: Any) -> Any:
    """Return a saved value, restored in place into another's arrays, dicts, lists and generators where they match.

    A tuple is the target's own, where all its items are restored in place.
    """
    if isinstance(target, np.random.Generator) and isinstance(saved, np.random.Generator):
        if type(target.bit_generator) is type(saved.bit_generator):
            target.bit_generator.state = saved.bit_generator.state
            return target
    elif isinstance(target, np.ndarray) and isinstance(saved, np.ndarray):
        if (target.shape, target.dtype) == (saved.shape, saved.dtype) and target.flags.writeable:
            target[...] = saved
            return target
    elif isinstance(target, dict) and isinstance(saved, dict):
        new = {name: restored(target.get(name), each) for name, each in saved.items()}
        target.clear()
        target.update(new)
        return target
    elif isinstance(target, list) and isinstance(saved, list):
        old = [*target, *[None] * len(saved)]
        target[:] = [restored(old[i], each) for i, each in enumerate(saved)]
        return target
    elif isinstance(target, tuple) and isinstance(saved, tuple) and len(target) == len(saved):
        items = [restored(old, each) for old, each in zip(target, saved, strict=True)]
        if all(map(operator.is_, items, target)):
            return target
        return target._make(items) if hasattr(target, "_make") else tuple(items)
    elif isinstance(target, np.random.RandomState) and isinstance(saved, np.random.RandomState):
        target.set_state(saved.get_state())
        return target
    return saved


def _encoded(value: Any, arrays: dict[str, NDArray[Any]], place: str) -> Any:
    """Return a value as JSON holds it; its arrays are collected under the names of their positions."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.random.Generator):
        state = value.bit_generator.state
        return {"generator": _encoded(state, arrays, place)}
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        name = place.lstrip("/")
        while name in arrays:
            name += "_"
        arrays[name] = np.asarray(value)
        return {"array" if isinstance(value, np.ndarray) else "scalar": name}
    if isinstance(value, dict) and all(isinstance(name, str) for name in value):
        return {"dict": {name: _encoded(each, arrays, f"{place}/{name}") for name, each in value.items()}}
    if isinstance(value, list | tuple):
        encoded = [_encoded(each, arrays, f"{place}/{i}") for i, each in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": encoded}
    raise TypeError(
        f"a checkpoint cannot hold the {type(value).__name__} at {place.lstrip('/')}; it holds arrays, numbers, "
        "strings, None, generators, and dicts, lists and tuples of them"
    )


def _decoded(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    if not isinstance(value, dict):
        if isinstance(value, list):
            raise ValueError("a list has no kind")
        return value
    ((kind, content),) = value.items()
    if kind == "dict":
        return {name: _decoded(each, arrays) for name, each in content.items()}
    if kind in ("list", "tuple"):
        values = [_decoded(each, arrays) for each in content]
        return values if kind == "list" else tuple(values)
    if kind == "array":
        return arrays[content]
    if kind == "scalar":
        return arrays[content][()]
    if kind == "generator":
        state = _decoded(content, arrays)
        if state["bit_generator"] not in BIT_GENERATORS:
            raise ValueError(f"a generator is of the kind {state['bit_generator']!r}")
        bit_generator = getattr(np.random, state["bit_generator"])(0)
        bit_generator.state = state
        return np.random.Generator(bit_generator)
    raise ValueError(f"a value is of the kind {kind!r}")
