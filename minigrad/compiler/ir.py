"""The intermediate representation: NumPy calls in static single assignment form, and helpers shared by the rewrites."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..engine.arrays import STAND_INS
from ..engine.containers import rebuilt
from ..rules.facts import facts, state
from ..rules.indexing import add_at, scatter
from ..rules.sliding import windows_added
from .where import NeedsValues, user_line


class Node:
    """One recorded call: ``function(*args, **kwargs)``, where nodes among the arguments stand for their values.

    An input and a constant have no function. ``readers`` is set before each pass of rewrites: the calls that read the
    value, with None for a result.
    """

    __slots__ = (
        "args",
        "function",
        "key",
        "kwargs",
        "name",
        "operands",
        "readers",
        "stand_ins",
        "stores",
        "value",
        "views",
    )

    def __init__(
        self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], value: Any, name: str = ""
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.value = value
        self.name = name
        self.operands: list[Node] = list(found_in((args, tuple(kwargs.values())), Node))
        self.readers: list[Node | None] = []
        self.key: Any = None
        self.stores: Any = None  # by which an array is made, where they have been looked up
        self.stand_ins = self.views = 0  # in use, while a function is traced; the latter as views of another

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        shape: tuple[int, ...] = getattr(self.value, "shape", ())
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the value; object for anything that is not an array."""
        dtype: np.dtype[Any] = getattr(self.value, "dtype", OBJECT)
        return dtype


OBJECT = np.dtype(object)
NESTED = (tuple, list, slice)


def found_in(tree: Any, kind: type) -> Iterator[Any]:
    """Yield the objects of one type in nested tuples, lists and slices."""
    if type(tree) is kind:
        yield tree
    elif isinstance(tree, (tuple, list)):
        for each in tree:
            if type(each) is kind:
                yield each
            elif isinstance(each, NESTED):
                yield from found_in(each, kind)
    elif isinstance(tree, slice):
        yield from found_in((tree.start, tree.stop, tree.step), kind)


def stand_ins_in(tree: Any) -> Iterator[Any]:
    """Yield the stand-ins for arrays in nested tuples, lists and slices."""
    for kind in STAND_INS:
        yield from found_in(tree, kind)


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply a function to the leaves of nested tuples, lists and slices."""
    if isinstance(tree, (tuple, list)):
        items = [mapped(function, each) if isinstance(each, NESTED) else function(each) for each in tree]
        return rebuilt(tree, items)
    if isinstance(tree, slice):
        return slice(*mapped(function, (tree.start, tree.stop, tree.step)))
    return function(tree)


def values_of(tree: Any) -> Any:
    """Return nested arguments with the values in the places of nodes."""
    return mapped(lambda x: x.value if type(x) is Node else x, tree)


def name_of(f: Callable[..., Any]) -> str:
    """Return a function's name."""
    return getattr(f, "__name__", type(f).__name__)


Nodes = list[Node]


class _Name(str):
    """A name that no argument has, whatever it is called: compared by identity."""

    __slots__ = ()


CONSTANT = _Name("constant")
"""The name of constant nodes."""


def constant(value: Any) -> Node:
    """Return a constant node: its value is the same in every call."""
    return Node(None, (), {}, value, CONSTANT)


def is_constant(node: Node) -> bool:
    """Tell whether a node's value is the same in every call."""
    return node.function is None and node.name is CONSTANT


def is_kept(node: Node) -> bool:
    """Tell whether a call has an effect (a check, a random draw) and so is neither merged nor dropped."""
    return facts(node.function).checks or isinstance(node.function, Draws)


def scalar_of(x: Any) -> float | None:
    """Return a constant scalar argument as a Python float; None for anything else."""
    if type(x) is float or (type(x) is int and abs(x) <= 2**53):
        return float(x)
    if type(x) is Node and is_constant(x) and x.value.ndim == 0 and x.dtype.kind == "f":
        x = x.value[()]
    return float(x) if isinstance(x, np.floating) and float(x) == x else None


def alike(node: Node, other: Node) -> bool:
    """Tell whether two values have the same shape and dtype."""
    return node.shape == other.shape and node.dtype == other.dtype


def uniform_value(node: Node) -> Any:
    """Return the fill value of a uniform constant array, as a 0-d array; None if it is not uniform."""
    if not is_constant(node) or not isinstance(node.value, np.ndarray) or not node.value.size:
        return None
    first = node.value[(slice(0, 1),) * node.value.ndim].copy()
    if node.dtype.hasobject or not np.array_equal(node.value, np.broadcast_to(first, node.shape)):
        return None
    for part_of in {"f": (np.positive,), "c": (np.real, np.imag)}.get(node.dtype.kind, ()):
        if np.any(np.signbit(part_of(node.value)) != np.signbit(part_of(first))):
            return None
    return first.reshape(())


def one_a_row(index: Any, shape: tuple[int, ...]) -> Any:
    """Return the columns of an index ``np.arange(n), columns``, which takes one entry of each row; else None."""
    if (
        type(index) is not tuple
        or len(index) != 2
        or len(shape) != 2
        or not all(type(i) is Node for i in index)
    ):
        return None
    rows, columns = index
    if not is_constant(rows) or rows.shape != (shape[0],) or columns.shape != rows.shape:
        return None
    fits = columns.dtype.kind in "iu" and np.array_equal(rows.value, np.arange(shape[0]))
    return columns if fits else None


def renewed(node: Node, new: Mapping[Node, Node]) -> Node:
    """Return a node with operands replaced as mapped; the node itself if none of them is."""
    for x in node.operands:
        if new.get(x, x) is not x:
            break
    else:
        return node

    def renew(x: Any) -> Any:
        return new.get(x, x) if type(x) is Node else x

    kwargs = {name: mapped(renew, x) for name, x in node.kwargs.items()}
    made = Node(node.function, mapped(renew, node.args), kwargs, node.value, node.name)
    made.readers = node.readers
    return made


Rewrite = Callable[[Node], "Node | None"]
"""Takes a call with rewritten operands. Returns its replacement, made of new or existing calls, or None to keep it."""


class Rewriting:
    """A program that is being rewritten: its calls so far, and those and the constants by their keys."""

    def __init__(self, rewrites: Sequence[Rewrite]) -> None:
        self.rewrites = rewrites
        self.entered: dict[Node, None] = {}
        self.known: dict[Any, Node] = {}

    def enter(self, node: Node) -> Node:
        """Append a call, its new operands first; return the node that holds its value."""
        if node.function is None:
            return self.known.setdefault(key_of(node), node) if is_constant(node) else node
        if node in self.entered:
            return node
        for x in node.operands:
            if x not in self.entered:
                node = renewed(node, {x: self.enter(x) for x in node.operands})
                break
        for rewrite in self.rewrites if not is_kept(node) else ():
            made = rewrite(node)
            if made is not None:
                if made.function is not None:
                    made.name = made.name or node.name
                    made.readers = made.readers if made in self.entered else node.readers
                return self.enter(made)
        made = node if is_kept(node) else self.known.setdefault(key_of(node), node)
        if made is not node:
            made.readers = made.readers + node.readers
        self.entered[made] = None
        return made


def rewritten(nodes: Nodes, results: Nodes, rewrites: Sequence[Rewrite]) -> tuple[Nodes, Nodes]:
    """Apply rewrites to every call, operands first, to a fixed point; merge common subexpressions, drop dead calls."""
    for node in nodes:
        node.readers = []
    for node in nodes:
        for x in node.operands:
            x.readers.append(node)
    for node in results:
        node.readers.append(None)
    new: dict[Node, Node] = {}
    program = Rewriting(rewrites)
    for node in nodes:
        new[node] = program.enter(renewed(node, new))
    for node in (*nodes, *program.entered):
        node.readers, node.stores = (
            [],
            None,
        )  # which lead in a circle to nodes that are no longer of the program
    return alive([*program.entered], [new.get(node, node) for node in results])


def alive(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Eliminate dead code: calls that no result depends on, and that no one can have made to see whether they fail."""
    out = _behind(nodes, results)
    dead = [node for node in nodes if node.function in TESTS and node not in out]
    if dead:
        tested = {_tested(node) for node in out if node.function in TESTS}
        out = _behind(nodes, [*results, *(node for node in dead if _tested(node) not in tested)])
    return [node for node in nodes if node in out], results


def _behind(nodes: Nodes, results: Nodes) -> set[Node]:
    """Return the calls that results, and calls that are kept, depend on."""
    needed, found = set(results), set()
    for node in reversed(nodes):
        if node in needed or is_kept(node):
            needed.update(node.operands)
            found.add(node)
    return found


TESTS = {
    np.linalg.cholesky: "positive definite",
    np.linalg.inv: "regular",
    np.linalg.solve: "regular",
}
"""What a matrix is where these functions raise no error: they are called to see whether it is, too."""


def _tested(node: Node) -> tuple[str, Any]:
    """Return what one of ``TESTS`` says, and of which matrix; one is regular if its transpose is."""
    matrix = node.args[0]
    while type(matrix) is Node and matrix.function is np.transpose:
        matrix = matrix.args[0]
    return TESTS[node.function], matrix if type(matrix) is Node else id(matrix)


COMMUTATIVE = (np.add, np.multiply)


def key_of(node: Node) -> Any:
    """Return a hashable key, equal for equal calls and constants; nodes by identity, numbers by value and type."""
    if node.key is None and node.function is None:
        array = np.asarray(node.value)
        contents = id(node.value) if array.dtype.hasobject else array.tobytes()
        node.key = type(node.value), array.dtype, array.shape, contents
    elif node.key is None:
        args = hashable(node.args)
        node.key = (
            node.function,
            frozenset(args) if node.function in COMMUTATIVE and len(node.args) == 2 else args,
            hashable(tuple(node.kwargs.items())) if node.kwargs else (),
        )
    return node.key


def hashable(x: Any) -> Any:
    """Return a key of an argument, equal for equal ones."""
    if isinstance(x, (tuple, list)):
        return (type(x), *[hashable(each) for each in x])
    if isinstance(x, slice):
        return (slice, *map(hashable, (x.start, x.stop, x.step)))
    if isinstance(x, (Node, np.ndarray)):
        return id(x)
    return type(x), str(x)


# The calls that NumPy has no function for. Each is one node, and computes its value from its arguments' values.


def part(a: Any, index: Any) -> Any:
    """Return the view ``a[index]``."""
    return a[index]


def pick(a: Any, index: Any) -> Any:
    """Return the copy ``a[index]``, where the index has arrays."""
    return a[index]


def written(a: Any, index: Any, value: Any) -> Any:
    """Return ``a`` with a value written at an index."""
    out = np.array(a)
    out[index] = value
    return out


def added_at(a: Any, index: Any, value: Any) -> Any:
    """Return ``a`` with a value added at an index; repeated indices accumulate."""
    out = np.array(a)
    add_at(out, index, value)
    return out


def cast(a: Any, dtype: Any, casting: Any = "unsafe") -> Any:
    """Return ``a`` in another dtype."""
    return a.astype(dtype, casting=casting)


state(part, memory="view")
state(pick, written, added_at, cast, memory="new")

SCATTER, WINDOWS_ADDED = facts(scatter).whole, facts(windows_added).whole


def scattered(node: Any) -> tuple[Node, Any, tuple[int, ...]] | None:
    """Return the value, index and shape of a call of `minigrad.rules.indexing.scatter`; None for other calls."""
    if type(node) is not Node or node.function is not SCATTER or len(node.args) != 3:
        return None
    return node.args if type(node.args[0]) is Node else None


class Draws:
    """A method of a random generator, called on the generator."""

    __slots__ = ("__name__",)

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, rng: np.random.Generator, *args: Any, **kwargs: Any) -> Any:
        """Draw an array."""
        drawn = getattr(rng, self.__name__)(*args, **kwargs)
        if isinstance(drawn, (int, float)):
            raise NeedsValues(
                f"{user_line()}: {self.__name__} without a size gives a Python number, which would be frozen at its "
                "value in this call; draw an array of no axes, size=()"
            )
        return drawn

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Draws) and other.__name__ == self.__name__

    def __hash__(self) -> int:
        return hash(self.__name__)
