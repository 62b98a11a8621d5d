"""Damaged and crafted files, for every reader: see ``tests/trials.py``."""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import resource
import shutil
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from cifar_files import BATCHES, python2_pickle, write_cifar10
from test_cifar_pickle import CRAFTED

from minigrad import datasets
from minigrad.cifar_pickle import MAX_BYTES
from minigrad.sweep import sweep
from minigrad.sweeping import folder as sweep_folder
from minigrad.training import checkpoint

MEGABYTES, SECONDS = 200, 2
"""What a reader may take, of memory and of the processor's time, beyond what this process has."""


class Broken(Exception):
    """What was read is neither the old nor the new; an error is not a clear one; a reader took too much."""


Content: TypeAlias = bytes | Callable[[], bytes]
"""What is in a file; a function where it is large."""


class Reader(NamedTuple):
    """What reads a file, and what may become of it."""

    make: Callable[[Path], None]
    """Writes the whole file, and what belongs to it."""
    file: str
    read: Callable[[Path], str]
    """Reads; says whether what it read is right, and how. Otherwise raises an error that names the file."""
    crafted: Callable[[], Mapping[str, Content]]


def npy(array: Any, **options: Any) -> bytes:
    """Return an array as a file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), **options)
    return file.getvalue()


def header(shape: str, dtype: str = "'<f8'") -> bytes:
    """Return an array's file with this shape, and no values."""
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def zipped(members: dict[str, bytes], comment: bytes = b"") -> bytes:
    """Return an archive of files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
        archive.comment = comment
    return file.getvalue()


def bomb(name: str, members: dict[str, bytes], comment: bytes = b"") -> bytes:
    """Return an archive of files, and a compressed one of 300 MB: an array of bytes, or zeros."""
    file = io.BytesIO(zipped(members))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open(name, "w", force_zip64=True) as member:
            member.write(header("(300000000,)", "'|u1'") if name.endswith(".npy") else b"")
            for _ in range(300):
                member.write(bytes(10**6))
        archive.comment = comment
    return file.getvalue()


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return os._exit, (77,)


ARRAYS = {
    "objects": npy(np.array([Evil()]), allow_pickle=True),
    "a header that is cut off": b"\x93NUMPY\x01\x00\xff\xff",
    "no values": header("(3,)"),
    "a petabyte": header("(10**15,)"),
    "a huge shape": header(f"({10**15},)"),
    "a large shape": header("(1000000000,)"),
    "a negative shape": header("(-3,)"),
    "a shape of floats": header("(3.0,)"),
    "a deep header": header("(" * 2000 + ")" * 2000),
    "a long header": header("(1," + "1," * 9000 + ")"),
    "a large dtype": header("(3,)", "'<V2000000000'"),
    "a code in the header": header("__import__('os')._exit(77)"),
}
JSON = {
    "nothing": b"",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep dicts": b'{"a":' * 100_000,
    "a list": b"[]",
    "null": b"null",
    "a number": b"1e999",
    "a long number": b"9" * 10_000,
    "NaN": b"NaN",
    "UTF-16": '{"seed": 0}'.encode("utf-16"),
    "no UTF-8": b'{"seed": "\xff"}',
    "a surrogate": b'{"seed": "\\ud800"}',
    "zeros": bytes(1000),
}

# -- CIFAR-10


def make_cifar10(place: Path) -> None:
    """Write a small data set."""
    write_cifar10(place)


def read_cifar10(place: Path) -> str:
    """Read the first batch. Its pixels have no checksum: changed ones are another batch."""
    data = datasets.get_cifar10_data(place, 6, 0, 0, subtract_mean=False)
    X, y = data["X_train"], data["y_train"]
    if X.shape != (6, 3, 32, 32) or y.shape != (6,) or y.min() < 0 or y.max() > 9:
        raise Broken(f"images of shape {X.shape}, labels {y}")
    right = BATCHES[0][b"data"].reshape(X.shape), BATCHES[0][b"labels"]
    return "undamaged" if np.array_equal(X, right[0]) and y.tolist() == right[1] else "another batch"


def crafted_batches() -> dict[str, Content]:
    """Return small files of all kinds, and large ones."""
    small = {name: b"\x80\x02" + content for name, content in CRAFTED.items()}
    length = MAX_BYTES - 1000
    long = length.to_bytes(4, "little")
    return small | {
        "protocol 0": pickle.dumps(BATCHES[0], 0),
        "protocol 5": pickle.dumps(BATCHES[0], 5),
        "an opcode after all": python2_pickle(BATCHES[0])[:-1] + b"\xff",
        "marks without end": lambda: b"(" * MAX_BYTES,
        "values without end": lambda: b"N" * MAX_BYTES,
        "lists without end": lambda: b"](" + b"N" * (MAX_BYTES - 4) + b"e.",
        "a memo without end": lambda: b"N" + b"\x94" * (MAX_BYTES - 1),
        "a name without end": lambda: b"c" + b"a" * length + b"\n\n.",
        "a text without end": lambda: b"X" + long + b"a" * length + b".",
        "a dtype without end": lambda: b"cnumpy\ndtype\n(T" + long + b"\xff" * length + b"tR.",
        "too large": lambda: bytes(MAX_BYTES + 1),
    }


# -- checkpoints

TREE = {
    "params": {"W": np.arange(50.0)},
    "epoch": 3,
    "rng": np.random.default_rng(0),
    "list": [1, (2.5, None)],
}


def read_checkpoint(place: Path) -> str:
    """Read a checkpoint."""
    tree = checkpoint.load(place / "run.npz")
    expected = TREE | {"rng": TREE["rng"].bit_generator.state}
    tree["rng"] = tree["rng"].bit_generator.state
    if repr(tree) != repr(expected):
        raise Broken(f"other contents: {tree!r}"[:500])
    return "undamaged"


def sealed(content: bytes) -> bytes:
    """Give an archive the digest of a checkpoint."""
    body = content[:-64]
    return body + checkpoint.hashlib.sha256(body).hexdigest().encode()


def crafted_checkpoints() -> dict[str, Content]:
    """Return archives with a right digest."""
    comment, empty = b"0" * 64, b'{"dict": {}}'
    of = {f"tree: {name}": {"tree.json": text} for name, text in JSON.items()}
    of |= {f"array: {name}": {"tree.json": empty, "a.npy": array} for name, array in ARRAYS.items()}
    generators = {
        "os": b'{"bit_generator": "os"}',
        "no state": b'{"bit_generator": "PCG64"}',
        "a state that is no number": b'{"bit_generator": "PCG64", "state": "x"}',
    }
    of |= {
        f"generator: {name}": {"tree.json": b'{"dict": {"a": {"generator": {"dict": ' + text + b"}}}}"}
        for name, text in generators.items()
    }
    of |= {
        f"kind: {text.decode()}": {"tree.json": text}
        for text in (
            b'{"array": "b"}',
            b'{"array": []}',
            b'{"dict": 1}',
            b'{"tuple": 1}',
            b'{"a": 1, "b": 2}',
        )
    }
    of["no tree"] = {}
    found: dict[str, Content] = {
        name: sealed(zipped(members, comment=comment)) for name, members in of.items()
    }
    found["a bomb"] = lambda: sealed(bomb("a.npy", {"tree.json": empty}, comment))
    found["a bomb of text"] = lambda: sealed(bomb("tree.json", {}, comment))
    return found | {
        "nothing": b"",
        "no archive": b"PK",
        "a pickle": pickle.dumps(Evil()),
        "an array": npy([0.0]),
    }


# -- sweeps

GRID = {"a": [1, 2, 3], "b": [0.1, 0.2]}


def product(setting: dict[str, Any], data: Any, seed: int) -> dict[str, Any]:
    """Return the record of a setting, without any training."""
    return {
        "val_acc": setting["a"] * setting["b"],
        "history": {"loss_history": [0.1, 0.2]},
        "params": {"W": np.full(9, setting["a"])},
    }


def swept(place: Path) -> Any:
    """Sweep into a folder, or go on there."""
    return sweep(product, GRID, {"X": np.ones(3)}, out=place / "out", progress=False)


@functools.cache
def undisturbed() -> list[Any]:
    """Return the settings of a sweep, the best first, and their accuracies."""
    result = sweep(product, GRID, {"X": np.ones(3)}, progress=False)
    return [(trial.setting, trial.val_acc) for trial in result.trials]


def read_sweep(place: Path, file: str) -> str:
    """Sweep again: the table is right, whatever had to be trained again; what is damaged is told by the file's name."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        result = swept(place)
    if [(trial.setting, trial.val_acc) for trial in result.trials] != undisturbed():
        raise Broken(f"another table: {result.table()}")
    if not np.array_equal(result.best.params["W"], np.full(9, result.best.setting["a"])):
        raise Broken(f"other parameters: {result.best.params}")
    if told and not any(file in str(warning.message) for warning in told):
        raise Broken(f"a warning that does not name {file}: {told[0].message}")
    return "told, and trained again" if told else "undamaged"


def crafted_lines() -> dict[str, bytes]:
    """Return result lines with a right digest."""
    right = {
        "setting": {"a": 1, "b": 0.1},
        "status": "finished",
        "val_acc": 0.1,
        "history": {},
        "error": None,
    }
    right |= {"diverged_at_epoch": None, "params_sha256": "0" * 16}
    changes = {
        "setting": [None, [], {"a": 7}, {"a": True, "b": 0.1}, {"a": 1.0, "b": 0.1, "c": 1}, "x"],
        "status": ["done", None, "error", "diverged", []],
        "val_acc": ["0.1", True, None, [], float("nan"), float("inf"), {"a": 1}],
        "history": [None, [], 1, {"a": 1}, {"a": {}}, "x"],
        "error": [1, [], {}],
        "diverged_at_epoch": [0, -1, 1.5, "1", True],
        "read_off": [3, "x"],
        "params": [{"W": 1}, 0],
        "unknown": [1],
    }
    of = {
        f"{name}: {value!r}": json.dumps(right | {name: value}).encode()
        for name, values in changes.items()
        for value in values
    }
    for name in right:
        of[f"no {name}"] = json.dumps({key: value for key, value in right.items() if key != name}).encode()
    of |= JSON | {"a long history": json.dumps(right)[:-1].encode() + b', "a": ' + b"[" * 10**5 + b"}"}
    lines = {name: text[:-1] + sweep_folder._seal(text) for name, text in of.items() if text}
    return lines | {"a long line": b"a" * 10**6, "no text": bytes(range(256)), "nothing": b""}


def crafted_grids() -> dict[str, bytes]:
    """Return descriptions of sweeps."""
    parts = [None, 1, [], "x", {}, {"a": {}}, {"a": [1]}]
    of = {
        f"{name}: {part!r}": json.dumps({"seed": 0, "grid": {}, "data": {}} | {name: part}).encode()
        for name in ("seed", "grid", "data")
        for part in parts
    }
    return JSON | of | {"no seed": b'{"grid": {}, "data": {}}', "no grid": b'{"seed": 0, "data": {}}'}


def crafted_best() -> dict[str, Content]:
    """Return archives in the place of the best parameters."""
    of: dict[str, Content] = {
        name: zipped({"W.npy": array, "result.json": b"{}"}) for name, array in ARRAYS.items()
    }
    of |= {f"line: {name}": zipped({"result.json": line}) for name, line in crafted_lines().items()}
    of["a bomb"] = lambda: bomb("W.npy", {"result.json": b"{}"})
    of["another's parameters"] = zipped({"W.npy": npy(np.ones(9)), "result.json": b"{}"})
    return of | {"nothing": b"", "no archive": b"PK", "a pickle": pickle.dumps(Evil())}


# -- digits


def make_digits(place: Path) -> None:
    """Copy the digits."""
    (place / "data").mkdir()
    with resources.as_file(resources.files("minigrad") / "data" / "digits.npz") as file:
        shutil.copy(file, place / "data")


def read_digits(place: Path) -> str:
    """Read the digits from another place."""
    expected = datasets.load_digits()
    files, datasets.resources = datasets.resources, SimpleNamespace(files=lambda _: place)
    try:
        data = datasets.load_digits()
    finally:
        datasets.resources = files
    if not all(np.array_equal(data[name], expected[name]) for name in expected):
        raise Broken("other images")
    return "undamaged"


def crafted_digits() -> dict[str, bytes]:
    """Return archives in the place of the digits."""
    labels = npy(np.zeros(1797))
    of = {
        f"images: {name}": zipped({"images.npy": array, "labels.npy": labels})
        for name, array in ARRAYS.items()
    }
    of |= {
        "no images": zipped({"labels.npy": labels}),
        "text": zipped({"images.npy": npy(np.array(["x"])), "labels.npy": labels}),
        "another shape": zipped({"images.npy": npy(np.zeros((3, 8, 8))), "labels.npy": labels}),
        "a member without a header": zipped({"images.npy": b"x", "labels.npy": labels}),
    }
    return of | {
        "nothing": b"",
        "no archive": b"PK",
        "a pickle": pickle.dumps(Evil()),
        "an array": npy([0.0]),
    }


READERS = {
    "CIFAR-10": Reader(make_cifar10, "cifar-10-batches-py/data_batch_1", read_cifar10, crafted_batches),
    "checkpoint": Reader(
        lambda place: checkpoint.save(place / "run.npz", TREE),
        "run.npz",
        read_checkpoint,
        crafted_checkpoints,
    ),
    "results.jsonl": Reader(
        swept, "out/results.jsonl", lambda place: read_sweep(place, "results.jsonl"), crafted_lines
    ),
    "grid.json": Reader(swept, "out/grid.json", lambda place: read_sweep(place, "grid.json"), crafted_grids),
    "best.npz": Reader(swept, "out/best.npz", lambda place: read_sweep(place, "best.npz"), crafted_best),
    "digits": Reader(make_digits, "data/digits.npz", read_digits, crafted_digits),
}


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """Change some bytes of a file, insert some, repeat some, or cut it off."""
    content = bytearray(whole)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(min(len(content), 500) if rng.random() < 0.5 else len(content)))
        length = int(rng.integers(1, 30))
        kind = rng.integers(6)
        if kind == 0:
            content[place : place + 1] = rng.bytes(1)
        elif kind == 1:
            content[place] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            content[place:place] = rng.bytes(length)
        elif kind == 3:
            del content[place : place + length]
        elif kind == 4:
            content[place : place + length] = content[place : place + length] * 2
        elif place:
            del content[place:]
        if not content:
            break
    return bytes(content)


def in_child(work: Callable[[], str]) -> tuple[int, str, float]:
    """Do the work in a child of limited time; return its status, what it says, and the memory it takes, in MB."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.write(theirs, work().encode(errors="replace")[:2000])
        os._exit(0)
    os.close(theirs)
    said = b"".join(iter(functools.partial(os.read, ours, 4096), b""))
    os.close(ours)
    _, status, used = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), said.decode(), used.ru_maxrss / 1024


def reading(reader: Reader, place: Path) -> str:
    """Read a file that may be damaged."""
    name = Path(reader.file).name
    try:
        return reader.read(place)
    except (ValueError, OSError) as error:
        return "refused" if name in str(error) else f"broke: {name} is not named by {error!r}"
    except BaseException as error:
        return f"broke: {error!r}"


def outcome(name: str, number: int, seed: int) -> Counter[str]:
    """Give a reader so many files; count what becomes of them.

    Raises
    ------
    Broken
        When a file is not read whole nor refused by its name, or takes too long or too much memory.
    """
    reader, rng, found = READERS[name], np.random.default_rng(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        whole.mkdir()
        reader.make(whole)
        content = (whole / reader.file).read_bytes()
        crafted = [*reader.crafted().items()]
        if number < len(crafted):
            crafted = [crafted[i] for i in sorted(rng.choice(len(crafted), number, replace=False))]
        random = [(f"random {i}", damaged(content, rng)) for i in range(number - len(crafted))]
        undisturbed()
        usual = in_child(lambda: "")[2]
        for title, made in [("whole", content), *crafted, *random]:
            place = Path(folder, "place")
            shutil.copytree(whole, place)
            (place / reader.file).write_bytes(made() if callable(made) else made)
            kept = shutil.copy(place / reader.file, Path(folder, "kept"))
            status, said, memory = in_child(functools.partial(reading, reader, place))
            shutil.rmtree(place)
            if status or said.startswith("broke") or memory - usual > MEGABYTES:
                hostile = shutil.move(kept, Path(tempfile.mkdtemp(), "hostile"))
                raise Broken(
                    f"{name}, {title}: status {status}, {said or 'nothing said'}, {memory - usual:.0f} MB; "
                    f"the file is {hostile}"
                )
            if title == "whole" and said != "undamaged":
                raise Broken(f"{name}, whole: {said}")
            found[said] += title != "whole"
    return found
