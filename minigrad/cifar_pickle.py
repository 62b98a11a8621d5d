"""A reader of CIFAR-10's pickles that cannot execute code.

A batch is a dict with byte strings, ints, lists and one array of uint8. The opcodes that write these are admitted,
by Python 2 as in the original files or by Python 3, with NumPy 1 or 2; any other is refused. Time and memory
are bounded: lengths by the rest of the file, opcodes and containers by a maximum, and only keys, which are bytes, are
hashed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .engine.arguments import names_itself

MAX_BYTES = 2**26
"""A batch of 10,000 images has 31 MB."""
MAX_OPCODES = 200_000
"""The original files have 30,108, those of Python 3 up to 90,152."""
MAX_CONTAINERS = 100
"""How many dicts, lists and tuples a file may make; the original ones make 9, those of Python 3 up to 17."""

_MARK = object()
_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",  # written with NumPy 2
    ("numpy", "ndarray"): "type",  # only an argument of _reconstruct
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",  # bytes in protocol 2, written with Python 3
}


class _Global(str):
    """A stand-in for a function or a class that a batch names."""


class _UInt8:
    """A pickled ``numpy.dtype``: uint8, with whatever byte order and flags."""


class _Array:
    """A pickled array; `values` is there once its state has been read."""

    values: npt.NDArray[np.uint8] | None = None


@names_itself
def read_pickle(content: bytes) -> Any:
    """Return the dict, list, bytes, int, or array of uint8 of a pickle.

    Raises
    ------
    ValueError
        When the pickle holds anything else, is cut off, or is damaged.
    """
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has {len(content)} bytes, where a batch has at most {MAX_BYTES}")
    try:
        return _unwrapped(_Machine(content).run())
    except (IndexError, KeyError, struct.error) as error:
        raise ValueError(f"the pickle is cut off or damaged ({type(error).__name__}: {error})") from error


class _Machine:
    """The part of the pickle machine that a batch needs: a stack, a memo and a position in the file."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.containers = 0
        self.encoded = 0  # bytes, in all

    def run(self) -> Any:
        """Return the value that the file ends with."""
        for _ in range(MAX_OPCODES):
            opcode = self.take(1)
            if opcode == b".":
                return self.pop()
            if opcode not in _OPCODES:
                raise ValueError(f"it has the opcode {opcode!r}, which no batch has")
            _OPCODES[opcode](self)
        raise ValueError(f"it has more than {MAX_OPCODES} opcodes, which no batch has")

    # What it is made of

    def take(self, length: int) -> bytes:
        """Return the next bytes of the file."""
        return self.content[self.span(length)]

    def text(self, length: int) -> str:
        """Return the next bytes of the file, which are UTF-8."""
        return str(memoryview(self.content)[self.span(length)], "utf-8")

    def span(self, length: int) -> slice:
        """Return the place of the next bytes of the file, and go past them."""
        start, self.place = self.place, self.place + length
        if length < 0 or self.place > len(self.content):
            raise ValueError(
                f"{length} bytes are announced at {start}, where {len(self.content) - start} are left"
            )
        return slice(start, self.place)

    def number(self, form: str) -> int:
        """Return the number of a format, as in `struct`, that comes next."""
        number: int = struct.unpack(form, self.take(struct.calcsize(form)))[0]
        return number

    def line(self) -> str:
        """Return the rest of the line, which is short."""
        end = self.content.find(b"\n", self.place, self.place + 100)
        if end < 0:
            raise ValueError(f"the line at {self.place} has no end")
        text = self.take(end - self.place).decode()
        self.place = end + 1
        return text

    def remember(self, place: int, value: Any) -> None:
        """Put a value into the memo."""
        if place > len(self.content):
            raise ValueError(f"the memo has a place {place}, in a file of {len(self.content)} bytes")
        self.memo[place] = value

    def pop(self) -> Any:
        """Return the value on top of the stack, and forget it."""
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a value is missing")
        return value

    def pops(self, count: int) -> list[Any]:
        """Return the values on top of the stack, the last one last, and forget them."""
        return [self.pop() for _ in range(count)][::-1]

    def push(self, container: Any) -> None:
        """Put a new container on the stack."""
        self.containers += 1
        if self.containers > MAX_CONTAINERS:
            raise ValueError(f"it has more than {MAX_CONTAINERS} dicts, lists and tuples, which no batch has")
        self.stack.append(container)

    def since_mark(self) -> list[Any]:
        """Return the values above the last mark, and forget them."""
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise ValueError("a mark is missing")
        values = self.stack[place + 1 :]
        del self.stack[place:]
        return values

    def extend(self, values: list[Any]) -> None:
        """Append values to the list on top of the stack."""
        if type(self.stack[-1]) is not list:
            raise ValueError(f"values are appended to a {type(self.stack[-1]).__name__}")
        self.stack[-1].extend(values)

    def update(self, items: list[Any]) -> None:
        """Put keys and values, in turn, into the dict on top of the stack."""
        keys = items[::2]
        if type(self.stack[-1]) is not dict or not all(type(key) in (bytes, str) for key in keys):
            raise ValueError("it has keys that are no strings, or no dict for them")
        self.stack[-1].update(zip(keys, items[1::2], strict=True))

    # What it may call

    def name(self, module: Any, name: Any) -> None:
        """Push a function of the few that a batch names; none is imported."""
        if not (isinstance(module, str) and isinstance(name, str)) or (module, name) not in _GLOBALS:
            raise ValueError(f"it names {_short(module)}.{_short(name)}, which no CIFAR-10 batch does")
        self.stack.append(_Global(_GLOBALS[module, name]))

    def call(self, function: Any, arguments: Any) -> None:
        """Push the stand-in for a call's result."""
        self.stack.append(self.result(function, arguments))

    def result(self, function: Any, arguments: Any) -> Any:
        """Return the stand-in for a call's result."""
        if type(function) is not _Global or type(arguments) is not tuple:
            raise ValueError("it calls something that is not a function")
        if function == "array":
            return _Array()
        if function == "dtype" and arguments:
            if arguments[0] not in ("u1", b"u1"):
                raise ValueError(f"expected an array of uint8, found dtype {_short(arguments[0])!r}")
            return _UInt8()
        if function == "encode" and len(arguments) == 2 and type(arguments[0]) is str:
            self.encoded += len(arguments[0])
            if arguments[1] != "latin1" or self.encoded > min(len(self.content), MAX_BYTES // 2):
                raise ValueError("it encodes text otherwise than a batch does")
            return arguments[0].encode("latin1")
        raise ValueError(f"it calls {function} with other arguments than a batch does")

    def build(self, state: Any, value: Any) -> None:
        """Give an array its values; a dtype's state says nothing that matters to uint8."""
        if type(value) is _Array:
            value.values = _array(state)
        elif type(value) is not _UInt8:
            raise ValueError(f"it changes a {type(value).__name__}")


_OPCODES: dict[bytes, Callable[[_Machine], object]] = {
    b"\x80": lambda m: m.take(1),  # the protocol
    b"\x95": lambda m: m.take(8),  # the length of a frame
    # values: numbers by their format in the file, bytes and texts by that of their length
    b"N": lambda m: m.stack.append(None),
    b"\x88": lambda m: m.stack.append(True),
    b"\x89": lambda m: m.stack.append(False),
    b"K": lambda m: m.stack.append(m.number("<B")),
    b"M": lambda m: m.stack.append(m.number("<H")),
    b"J": lambda m: m.stack.append(m.number("<i")),
    b"U": lambda m: m.stack.append(m.take(m.number("<B"))),
    b"T": lambda m: m.stack.append(m.take(m.number("<i"))),
    b"C": lambda m: m.stack.append(m.take(m.number("<B"))),
    b"B": lambda m: m.stack.append(m.take(m.number("<I"))),
    b"X": lambda m: m.stack.append(m.text(m.number("<I"))),
    b"\x8c": lambda m: m.stack.append(m.text(m.number("<B"))),
    # the memo
    b"q": lambda m: m.remember(m.number("<B"), m.stack[-1]),
    b"r": lambda m: m.remember(m.number("<I"), m.stack[-1]),
    b"\x94": lambda m: m.remember(len(m.memo), m.stack[-1]),
    b"h": lambda m: m.stack.append(m.memo[m.number("<B")]),
    b"j": lambda m: m.stack.append(m.memo[m.number("<I")]),
    # containers
    b"(": lambda m: m.stack.append(_MARK),
    b")": lambda m: m.push(()),
    b"\x85": lambda m: m.push(tuple(m.pops(1))),
    b"\x86": lambda m: m.push(tuple(m.pops(2))),
    b"\x87": lambda m: m.push(tuple(m.pops(3))),
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"]": lambda m: m.push([]),
    b"a": lambda m: m.extend(m.pops(1)),
    b"e": lambda m: m.extend(m.since_mark()),
    b"}": lambda m: m.push({}),
    b"s": lambda m: m.update(m.pops(2)),
    b"u": lambda m: m.update(m.since_mark()),
    # functions
    b"c": lambda m: m.name(m.line(), m.line()),
    b"\x93": lambda m: m.name(*m.pops(2)),
    b"R": lambda m: m.call(*m.pops(2)),
    b"b": lambda m: m.build(m.pop(), m.stack[-1]),
}
"""What each opcode does to the machine; b"." ends the file."""


def _short(value: Any) -> Any:
    """Return the first letters of a name; a type's name for anything else."""
    return value[:40] if isinstance(value, (str, bytes)) else type(value).__name__


def _array(state: Any) -> npt.NDArray[np.uint8]:
    if type(state) is not tuple or len(state) != 5:
        raise ValueError("an array's state has other parts")
    _, shape, dtype, fortran_order, values = state
    if type(dtype) is not _UInt8 or type(values) is not bytes or type(shape) is not tuple:
        raise ValueError("an array's shape, dtype or values are of another type")
    if len(shape) > 4 or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("an array's shape is not up to 4 lengths")
    if math.prod(shape) != len(values):
        raise ValueError(f"expected an array of {len(values)} bytes, found the shape {shape}")
    return np.frombuffer(values, np.uint8).reshape(shape, order="F" if fortran_order else "C")


def _unwrapped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unwrapped(each) if type(each) is _Array else each for key, each in value.items()}
    return value.values if type(value) is _Array else value
