"""Random tape programs: straight lines of NumPy calls on drawn arrays, as Python source.

A program is written line by line, and each line is run at once on the drawn inputs, so that shape, dtype and kinks
of every value are known. Each has a bound that holds for all inputs of absolute value up to 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from re import findall
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg

from ..engine.arguments import names_itself
from ..engine.recording import Array
from .arrays import HypothesisDraw, array_code

CLEAR = 0.01
"""The least distance of a drawn program's values from its kinks."""

LARGEST = 8.0
"""A value that may exceed this is scaled or squashed."""

MOST_ENTRIES = 100
ATTEMPTS = 4

GO_ON = 99
"""The odds of another statement after each."""


@dataclass(frozen=True, eq=False, repr=False)
class Program:
    """A function as Python source, and inputs for it; its ``repr`` is both, as code that can be pasted.

    Attributes
    ----------
    source : str
        The definition of a function called ``program``, which needs ``np`` and ``mg``.
    inputs : tuple of ndarrays
        The drawn inputs. Any others of these shapes and dtypes do; with entries of absolute value up to 2 nothing
        overflows. Only the drawn ones are known to be away from kinks.
    """

    source: str
    inputs: tuple[Array, ...]
    function: Callable[..., Any] = field(init=False)

    def __post_init__(self) -> None:
        namespace: dict[str, Any] = {"np": np, "mg": mg}
        exec(compile(self.source, "<program>", "exec"), namespace)
        object.__setattr__(self, "function", namespace["program"])

    def __call__(self, *arrays: Any) -> Any:
        """Return the result for arrays, or tensors."""
        return self.function(*arrays)

    def __repr__(self) -> str:
        names = [f"x{i}" for i in range(len(self.inputs))]
        arrays = [f"{name} = {array_code(x)}" for name, x in zip(names, self.inputs, strict=True)]
        imports = ["import numpy as np", "import minigrad as mg"]
        if any("laid_out" in array for array in arrays):
            imports.append("from minigrad.testing import laid_out")
        call = f"result = program({', '.join(names)})"
        return "\n".join(["", *imports, "", self.source, *arrays, call, ""])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print itself as code in Hypothesis's report, too."""
        printer.text(repr(self))


@names_itself
def programs(
    *,
    outputs: str = "scalar",
    max_lines: int = 10,
    dtypes: Sequence[Any] = (np.float64,),
    min_side: int = 1,
) -> st.SearchStrategy[Program]:
    """Return a strategy for random programs that run on NumPy, on the tape and under every transformation.

    Their values are used more than once or never, and written in place; there are views, broadcasting,
    reductions, products, joins, layers, constants and one expression twice.

    Parameters
    ----------
    outputs : {"scalar", "arrays"}
        The result of a program: a number, to be differentiated; or an array, a tuple, a list or a dict of arrays.
    max_lines : int
        The maximum number of statements; some write several lines.
    dtypes
        The float dtypes from which each input's is drawn.
    min_side : int
        0: axes may be empty.

    Examples
    --------
    >>> from hypothesis import given
    >>> import minigrad as mg
    >>> from minigrad.gradient_check import check_grads
    >>> from minigrad.testing import programs
    >>> @given(programs())
    ... def test_gradients(program):
    ...     check_grads(program, *program.inputs)
    """
    if outputs not in ("scalar", "arrays"):
        raise ValueError(f"programs: outputs is {outputs!r}; expected 'scalar' or 'arrays'")

    @st.composite
    def drawn(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Program:
        writer = Writer(HypothesisDraw(draw), list(dtypes), min_side)
        writer.input(writer.draw.shape(writer.draw.choice([0, 1, 2, 2]), 3, min_side))
        writer.statement()
        while writer.statements < max_lines and writer.draw.integer(0, GO_ON):
            writer.statement()
        return writer.finish(outputs)

    return drawn()


class NothingFits(Exception):
    """No existing value fits the statement."""


class Writer:
    """Writes a program, and runs it line by line."""

    def __init__(self, draw: HypothesisDraw, dtypes: list[Any], min_side: int) -> None:
        self.draw = draw
        self.dtypes = dtypes
        self.min_side = min_side
        self.inputs: dict[str, Array] = {}
        self.lines: list[str] = []
        self.expressions: list[tuple[str, float]] = []
        self.values: dict[str, Any] = {}
        self.bounds: dict[str, float] = {}
        self.read: set[str] = set()
        self.statements = 0

    def statement(self) -> None:
        """Write a statement; none if the first few drawn do not fit."""
        self.statements += 1
        for _ in range(ATTEMPTS):
            try:
                return self.draw.choice(STATEMENTS)(self)  # type: ignore[no-any-return]
            except NothingFits:
                pass

    def input(self, shape: tuple[int, ...]) -> str:
        """Add an input, and return its name."""
        name = f"x{len(self.inputs)}"
        self.draw.dtype = self.draw.choice(self.dtypes)
        self.inputs[name] = self.values[name] = self.draw.array(shape)
        self.bounds[name] = 2.0
        return name

    def pick(self, fits: Callable[[Any], bool] = lambda x: True) -> str:
        """Draw one of the values, and return its name."""
        names = [name for name, x in self.values.items() if fits(x)]
        if not names:
            raise NothingFits
        return str(self.draw.choice(names))

    def of_shape(self, shape: tuple[int, ...]) -> str:
        """Draw a value of this shape, or make it an input."""
        names = [name for name, x in self.values.items() if x.shape == shape]
        return str(self.draw.choice([*names, None]) or self.input(shape))

    def fitting(self, x: str) -> str:
        """Draw a value that broadcasts with another one, or an input that does."""
        shape = self.values[x].shape
        names = [name for name, y in self.values.items() if _broadcast(shape, y.shape)]
        if chosen := self.draw.choice([*names, None]):
            return str(chosen)
        cut = shape[self.draw.integer(0, len(shape)) :]
        return self.input(tuple(self.draw.choice([side, 1]) for side in cut))

    def let(self, expression: str, bound: float) -> str:
        """Write ``t = expression``, scaled or squashed if it may be large, and return the name."""
        if bound > LARGEST:
            scale = 2.0 ** -math.ceil(math.log2(bound / 2))
            expression, bound = self.draw.choice(
                [(f"np.tanh({expression})", 1.0), (f"{scale} * ({expression})", bound * scale)]
            )
        value = self.run(expression)
        if value.size > MOST_ENTRIES:
            raise NothingFits
        name = f"t{len(self.values) - len(self.inputs)}"
        self.lines.append(f"{name} = {expression}")
        self.expressions.append((expression, bound))
        self.values[name], self.bounds[name] = value, bound
        return name

    def run(self, expression: str) -> Any:
        """Return an expression's value for the drawn inputs."""
        self.read.update(findall(r"\b[xt]\d+\b", expression))
        return eval(expression, {"np": np, "mg": mg}, self.values)

    def write(self, line: str, target: str, bound: float) -> None:
        """Write a line that changes a value in place."""
        exec(line, {"np": np, "mg": mg}, self.values)
        self.lines.append(line)
        self.read.add(line.split()[-1])
        self.bounds[target] = bound

    def keep_clear(self, expression: str) -> None:
        """Refuse a statement whose kink, a zero of the expression, is near; at an exact zero all is flat."""
        distance = np.abs(self.run(expression))
        if np.any((distance > 0) & (distance < CLEAR)):
            raise NothingFits

    def finish(self, outputs: str) -> Program:
        """Return the program; its result combines most unused values, and one more."""
        written = [name for name in self.values if name not in self.inputs][::-1] or ["x0"]
        unused = [name for name in written[1:] if name not in self.read]
        chosen = [written[0], *(name for name in unused if self.draw.choice([True, True, True, False]))]
        if (one_more := self.draw.choice([None, *self.values])) is not None and one_more not in chosen:
            chosen.append(one_more)
        if outputs == "scalar":
            parts = [self.reduced(name) for name in chosen]
            result = " + ".join(parts)
        else:
            pairs = ", ".join(f'"{name}": {name}' for name in chosen)
            all_of = ", ".join(chosen)
            result = self.draw.choice(
                [chosen[0], f"({all_of}{',' * (len(chosen) == 1)})", f"[{all_of}]", f"{{{pairs}}}"]
            )
        head = f"def program({', '.join(self.inputs)}):"
        source = "\n    ".join([head, *self.lines, f"return {result}"]) + "\n"
        return Program(source, tuple(self.inputs.values()))

    def reduced(self, name: str) -> str:
        """Return an expression that reduces a value to a number."""
        forms = ["np.sum({})", "{}.sum()"]
        if self.values[name].size:
            forms += ["np.mean({})", "{}.mean()"]
        return str(self.draw.choice(forms)).format(name)


# The statements


def _one(w: Writer) -> None:
    x = w.pick()
    b = w.bounds[x]
    expression, bound = w.draw.choice(
        [
            (f"-{x}", b),
            (f"2.5 * {x}", 2.5 * b),
            (f"{x} - 0.5", b + 0.5),
            (f"1.5 - {x} / 3", b + 1.5),
            (f"{x} ** 2", b * b),
            (f"np.square({x})", b * b),
            (f"{x} * {x}", b * b),
            (f"np.tanh({x})", 1.0),
            (f"np.sin({x}) + np.sin({x}) ** 3", 2.0),
            (f"np.exp(np.tanh({x}))", 3.0),
            (f"np.sqrt({x} ** 2 + 0.5)", b + 1),
            (f"np.log(1 + {x} ** 2)", b),
            (f"1 / (1 + {x} ** 2)", 1.0),
            (f"mg.sigmoid({x})", 1.0),
        ]
    )
    w.let(expression, bound)


def _kinked(w: Writer) -> None:
    x = w.pick()
    b = w.bounds[x]
    expression, kinks = w.draw.choice(
        [
            (f"np.maximum({x}, 0)", [f"{x}"]),
            (f"mg.relu({x})", [f"{x}"]),
            (f"np.abs({x})", [f"{x}"]),
            (f"np.where({x} > 0.25, {x}, 0.1 * {x})", [f"{x} - 0.25"]),
            (f"np.minimum({x}, 0.5)", [f"{x} - 0.5"]),
            (f"np.clip({x}, -0.75, 1.0)", [f"{x} + 0.75", f"{x} - 1.0"]),
            (f"({x} > 0) * {x}", [f"{x}"]),
        ]
    )
    for kink in kinks:
        w.keep_clear(kink)
    w.let(expression, b)


def _two(w: Writer) -> None:
    x = w.pick()
    y = w.fitting(x)
    b, c = w.bounds[x], w.bounds[y]
    expression, bound = w.draw.choice(
        [
            (f"{x} + {y}", b + c),
            (f"{x} - {y}", b + c),
            (f"{x} * {y}", b * c),
            (f"{x} / (1 + {y} ** 2)", b),
            (f"np.maximum({x}, {y})", max(b, c)),
            (f"np.where({x} > {y}, {y}, {x})", max(b, c)),
            (f"np.tanh({x} * {y}) + np.tanh({x} * {y})", 2.0),
        ]
    )
    if "max" in expression or ">" in expression:
        w.keep_clear(f"{x} - {y}")
    w.let(expression, bound)


def _reduction(w: Writer) -> None:
    x = w.pick()
    value, b = w.values[x], w.bounds[x]
    names = ["sum"] + ["mean", "max", "min"] * bool(value.size)
    name = w.draw.choice(names)
    axes = [None, *range(-value.ndim, value.ndim)] + [(0, -1)] * (value.ndim > 1)
    axis = w.draw.choice(axes)
    keepdims = f", keepdims={w.draw.choice([True, False])}"
    call = w.draw.choice([f"np.{name}({x}, axis={axis}{keepdims})", f"{x}.{name}(axis={axis}{keepdims})"])
    if name in ("max", "min"):
        w.keep_clear(f"{x} - np.{name}({x}, axis={axis}, keepdims=True)")
    w.let(call, b * max(value.size, 1) if name == "sum" else b)


def _view(w: Writer) -> None:
    x = w.pick(lambda x: x.ndim > 0)
    value = w.values[x]
    shape = value.shape
    forms = [
        f"{x}.T",
        f"np.transpose({x})",
        f"{x}.reshape({shape[::-1]})",
        f"np.ravel({x})",
        f"{x}[1:]",
        f"{x}[::-1]",
        f"{x}[..., ::2]",
        f"{x}[..., None]",
        f"np.expand_dims({x}, 0)",
        f"np.swapaxes({x}, 0, -1)",
        f"np.broadcast_to({x}, {(2, *shape)})",
    ]
    if shape[0]:
        forms += [f"{x}[0]", f"{x}[-1]", f"{x}[[0, -1, 0]]"]
    w.let(w.draw.choice(forms), w.bounds[x])


def _join(w: Writer) -> None:
    x = w.pick(lambda x: x.ndim > 0)
    shape = w.values[x].shape
    y = w.of_shape(shape)
    axis = w.draw.integer(-len(shape), len(shape) - 1)
    name = w.draw.choice(["concatenate", "stack"])
    w.let(f"np.{name}([{x}, {y}], axis={axis})", max(w.bounds[x], w.bounds[y]))


def _product(w: Writer) -> None:
    x = w.pick(lambda x: x.ndim > 0)
    k = w.values[x].shape[-1]
    y = w.of_shape(w.draw.choice([(k,), (k, 1), (k, 2), (k, 3)]))
    w.let(f"{x} @ {y}", max(k, 1) * w.bounds[x] * w.bounds[y])


def _in_place(w: Writer) -> None:
    """Change a copy in place, so that no view is written through; earlier readers keep their values."""
    x = w.pick()
    shape = w.values[x].shape
    copy = w.let(w.draw.choice([f"np.copy({x})", f"{x} * 1"]), w.bounds[x])
    if w.draw.choice([False, True]):
        w.let(f"np.tanh({copy}) * {copy}", w.bounds[copy])
    if not isinstance(w.values[copy], np.ndarray):  # a NumPy scalar cannot be written to
        raise NothingFits
    targets = [f"{copy}[...]"] + [f"{copy}[:1]", f"{copy}[1:]", f"{copy}[..., -1:]"] * bool(shape)
    target = w.draw.choice(targets)
    if w.draw.choice([True, False]):
        y = w.of_shape(w.draw.choice([shape, ()]))
        w.write(f"{copy} {w.draw.choice(['+=', '-='])} {y}", copy, w.bounds[copy] + w.bounds[y])
    else:
        y = w.of_shape(w.draw.choice([w.run(target).shape, ()]))
        w.write(f"{target} = {y}", copy, max(w.bounds[copy], w.bounds[y]))


def _constant(w: Writer) -> None:
    x = w.pick(lambda x: x.ndim > 0)
    row = f"np.linspace(-1, 1, {w.values[x].shape[-1]}, dtype={x}.dtype)"
    w.let(w.draw.choice([f"{x} * {row}", f"{row} - {x}"]), w.bounds[x] + 1)


def _again(w: Writer) -> None:
    if not w.expressions:
        raise NothingFits
    w.let(*w.draw.choice(w.expressions))


def _layer(w: Writer) -> None:
    x = w.pick(lambda x: x.ndim > 1)
    d, m = math.prod(w.values[x].shape[1:]), w.draw.integer(1, 3)
    weights, b = w.of_shape((d, m)), w.of_shape((m,))
    bound = max(d, 1) * w.bounds[x] * w.bounds[weights] + w.bounds[b]
    if w.draw.choice([True, False]):
        w.let(f"mg.affine({x}, {weights}, {b})", bound)
    else:
        w.keep_clear(f"mg.affine({x}, {weights}, {b})")
        w.let(f"mg.affine_relu({x}, {weights}, {b})", bound)


def _softmax(w: Writer) -> None:
    x = w.pick(lambda x: x.ndim > 0 and x.size > 0)
    log_n = math.log(w.values[x].shape[-1])
    forms = [(f"mg.softmax({x})", 1.0)]
    forms += [(f"mg.{name}({x})", 2 * w.bounds[x] + log_n) for name in ("log_softmax", "logsumexp")]
    w.let(*w.draw.choice(forms))


def _loss(w: Writer) -> None:
    x = w.pick(lambda x: x.ndim == 2 and x.size > 0)
    n, classes = w.values[x].shape
    labels = [w.draw.integer(0, classes - 1) for _ in range(n)]
    loss = w.let(f"mg.softmax_cross_entropy({x}, np.array({labels}))", 2 * w.bounds[x] + math.log(classes))
    y = w.pick()
    penalty = w.bounds[y] ** 2 * max(w.values[y].size, 1) / 20
    w.let(f"mg.l2_regularized({loss}, {y}, reg=0.1)", w.bounds[loss] + penalty)


STATEMENTS = (
    _one,
    _two,
    _view,
    _reduction,
    _kinked,
    _product,
    _in_place,
    _join,
    _constant,
    _again,
    _softmax,
    _layer,
    _loss,
)


def _broadcast(*shapes: tuple[int, ...]) -> bool:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True
