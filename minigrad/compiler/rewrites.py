"""Rewrites of a captured program into one that computes the same in fewer and cheaper calls.

A program is a list of calls in an order in which they can be computed, and its results. Each rewrite is a function of
one call, which returns what has its value instead, or None; `minigrad.compiler.ir.rewritten` applies them. *Exact* ones
leave every bit as it is; the others change the order of the arithmetic, and so the last bits, or the sign of a zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..rules.facts import facts
from .ir import (
    SCATTER,
    Node,
    Nodes,
    added_at,
    alike,
    cast,
    constant,
    is_constant,
    mapped,
    one_a_row,
    part,
    pick,
    rewritten,
    scalar_of,
    scattered,
    uniform_value,
    written,
)
from .stores import is_zero_at, overwritten, read_as_written
from .sums import combine, without_shift


def simplify(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Return a program that computes the same results.

    Parameters
    ----------
    nodes
        The calls, in order.
    results
        The nodes that are wanted; inputs and constants may be among them.
    """
    for rewrites in PASSES:
        nodes, results = rewritten(nodes, results, rewrites)
    return nodes, results


# Calls that change nothing, or whose value is known


def folded(node: Node) -> Node | None:
    """Compute what depends on constants alone. Exact."""
    if not all(map(is_constant, node.operands)):
        return None

    def value(x: Any) -> Any:
        return x.value if type(x) is Node else x

    kwargs = {name: mapped(value, x) for name, x in node.kwargs.items()}
    return constant(node.function(*mapped(value, node.args), **kwargs))


def unchanged(node: Node) -> Node | None:
    """Take the operand in place of a call that hands it on as it is. Exact."""
    f, args = node.function, node.args
    if f in NEUTRAL and len(args) == 2:
        for side in SIDES[f]:
            other = args[1 - side]
            if type(other) is Node and is_neutral(args[side], f, other) and alike(node, other):
                return other
    x = args[0] if args and type(args[0]) is Node else None
    if x is None or not alike(node, x):
        return None
    if f in (np.copy, np.positive, np.reshape, np.broadcast_to, cast) or (f is part and args[1] == ()):
        return x
    if f is np.transpose and args[1] == tuple(range(node.value.ndim)):
        return x
    return None


NEUTRAL = {np.multiply: 1.0, np.divide: 1.0, np.add: -0.0, np.subtract: 0.0}
"""The neutral element of an operation. Of floats, -0.0 + 0.0 is 0.0: only -0.0 adds nothing."""
SIDES = {np.multiply: (0, 1), np.divide: (1,), np.add: (0, 1), np.subtract: (1,)}
"""On which sides it is one."""


def is_neutral(x: Any, f: Any, other: Node) -> bool:
    """Tell whether an argument is the neutral element of a call with another operand."""
    number = scalar_of(x)
    if number is None or number != NEUTRAL[f]:
        return False
    return (
        np.signbit(number) == np.signbit(NEUTRAL[f]) or other.dtype.kind != "f" or is_no_negative_zero(other)
    )


def is_no_negative_zero(node: Node) -> bool:
    """Tell whether a value is -0.0 nowhere, whatever its operands."""
    f, args = node.function, node.args
    return f in (np.square, np.absolute, np.exp) or (f in (np.multiply, np.vdot) and args[0] is args[1])


def straight(node: Node) -> Node | None:
    """Move entries in one call in place of two. Exact."""
    f, x = node.function, node.args[0] if node.args else None
    if type(x) is not Node or x.function is not f:
        return None
    if f is np.transpose:
        axes = tuple(x.args[1][axis] for axis in node.args[1])
        return Node(f, (x.args[0], axes), {}, node.value, node.name)
    if f is np.reshape:
        return Node(f, (x.args[0], node.args[1]), {}, node.value, node.name)
    return None


def is_by_entries(node: Node) -> bool:
    """Tell whether a call computes each entry of its result from one entry of each operand."""
    f = node.function
    return isinstance(f, np.ufunc) and f.signature is None and f.nout == 1 and not node.kwargs


def small_operands(node: Node) -> Node | None:
    """Compute with a number in place of an array that is filled with it, or with what was broadcast. Exact."""
    if not node.shape or not is_by_entries(node):
        return None
    for i, x in enumerate(node.args):
        if type(x) is not Node or not x.shape:
            continue
        others = [y for y in node.operands if y is not x and y.shape == node.shape and y.dtype == x.dtype]
        number = uniform_value(x) if others else None
        small = constant(number) if number is not None else x
        if others and x.function is np.broadcast_to and type(x.args[0]) is Node:
            small = x.args[0]
        if small is not x:
            return Node(node.function, (*node.args[:i], small, *node.args[i + 1 :]), {}, node.value)
    return None


def axes_kept(node: Node) -> Node | None:
    """Keep or drop the axes of a reduction in the call, in place of reshaping its result. Exact."""
    x = node.args[0] if node.function is np.reshape else None
    if type(x) is not Node or getattr(x.function, "__name__", "") != "reduce" or len(x.args) != 1:
        return None
    if not all(
        reader and reader.function in (part, np.reshape) and reader.shape == node.shape
        for reader in x.readers
    ):
        return None
    if x.kwargs.keys() != {"axis", "keepdims"} or not node.shape:
        return None
    keepdims = not x.kwargs["keepdims"]
    value = x.function(np.broadcast_to(np.int8(0), x.args[0].shape), **{**x.kwargs, "keepdims": keepdims})
    if value.shape != node.shape:
        return None
    return Node(x.function, x.args, {**x.kwargs, "keepdims": keepdims}, node.value)


def new_axis(node: Node) -> Node | None:
    """Take ``x[:, None]``, and its gradient, for a change of shape. Exact."""
    x, index = node.args[:2] if node.function is part else (scattered(node) or (None, ()))[:2]
    parts = index if type(index) is tuple else (index,)
    if type(x) is not Node or not x.shape or not node.shape or not any(each is None for each in parts):
        return None
    if not all(
        each is None or each is Ellipsis or (type(each) is slice and each == slice(None)) for each in parts
    ):
        return None
    return Node(np.reshape, (x, node.shape), {}, node.value)


# Cheaper calls


def squares_to_vdot(node: Node) -> Node | None:
    """Take the sum of all x^2 as the dot product of x with itself, in one pass. Changes the last bits.

    A BLAS adds up one after the other where NumPy adds in pairs: of n entries, up to some √n times as much is lost.
    """
    if node.function != np.add.reduce or node.kwargs != {"axis": None, "keepdims": False}:
        return None
    squares = node.args[0]
    f, args = squares.function, squares.args
    squared = f is np.square or (f is np.multiply and args[0] is args[1])
    if not squared or squares.kwargs or squares.dtype.kind != "f":
        return None
    return Node(np.vdot, (args[0], args[0]), {}, node.value)


def flat_labels(node: Node) -> Node | None:
    """Read and write the scores at ``np.arange(N), labels`` by one flat index, which NumPy does faster. Exact.

    Only labels that were checked are known not to count from the end.
    """
    if node.function not in (pick, written) or type(node.args[0]) is not Node:
        return None
    x, index = node.args[:2]
    labels = one_a_row(index, x.shape)
    if type(labels) is not Node or not facts(labels.function).checks or labels.args[1:2] != (x.shape,):
        return None
    if labels.dtype == np.uint64:
        return None
    n, classes = x.shape
    starts = constant(np.arange(0, n * classes, classes))
    correct = Node(np.add, (starts, labels), {}, starts.value, "correct")
    flat = Node(np.reshape, (x, (n * classes,)), {}, np.reshape(x.value, -1))
    value = node.value if node.function is pick else flat.value
    moved = Node(node.function, (flat, correct, *node.args[2:]), {}, value)
    return moved if node.function is pick else Node(np.reshape, (moved, x.shape), {}, x.value)


def scattered_products(node: Node) -> Node | None:
    """Compute with what is scattered, and scatter the result: what is zero elsewhere stays so.

    Changes the sign of zeros, and leaves zeros where they would be multiplied by infinity or NaN.
    """
    if node.dtype.kind != "f" or node.kwargs or node.function not in (np.negative, np.multiply, np.divide):
        return None
    for i, x in enumerate(node.args[: 1 if node.function is np.divide else 2]):
        found = scattered(x)
        if found is None or not alike(node, x):
            continue
        value, index, shape = found
        others = [read(y, index, shape) for y in node.args if y is not x]
        args = (*others[:i], value, *others[i:])
        if len(args) == len(node.args):
            made = node.function(*(y.value if type(y) is Node else y for y in args))
            return Node(SCATTER, (Node(node.function, args, {}, made), index, shape), {}, node.value)
    return None


def read(x: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Make the call that reads at an index what is broadcast to a shape."""
    if type(x) is not Node or x.shape == ():
        return x
    if x.shape != shape:
        x = Node(np.broadcast_to, (x, shape), {}, np.broadcast_to(x.value, shape))
    value = x.value[mapped(lambda i: i.value if type(i) is Node else i, index)]
    return Node(part if is_basic(index) else pick, (x, index), {}, value)


def is_basic(index: Any) -> bool:
    """Tell whether reading at an index makes a view: it has integers, slices and new axes alone."""
    parts = index if type(index) is tuple else (index,)
    parts = tuple(each.value if type(each) is Node else each for each in parts)
    return all(
        each is None or each is Ellipsis or type(each) in (int, slice) or isinstance(each, np.integer)
        for each in parts
    )


def sums_of_scattered(node: Node) -> Node | None:
    """Add up what is scattered, in place of an array that is zero elsewhere. May change the sign of a zero."""
    if node.function != np.add.reduce or len(node.args) > 1 or not node.kwargs.keys() <= {"axis", "keepdims"}:
        return None
    found = scattered(node.args[0])
    if found is None or node.dtype != found[0].dtype:
        return None
    value, index, shape = found
    axis = node.kwargs.get("axis")
    if node.value.size == 1:
        axes = {"axis": None, "keepdims": False}
        total = (
            Node(np.add.reduce, (value,), axes, np.add.reduce(value.value, axis=None))
            if value.shape
            else value
        )
    elif axis in (1, -1, (1,), (-1,)) and one_a_row(index, shape) is not None:
        total = value
    else:
        return None
    return Node(np.reshape, (total, node.shape), {}, node.value) if node.shape else total


def scattered_onto(node: Node) -> Node | None:
    """Add at an index, in place of adding an array that is zero elsewhere.

    Changes the last bits where the index repeats, and may change the sign of a zero.
    """
    if node.function is not np.add or node.kwargs:
        return None
    for sparse, x in (node.args, node.args[::-1]):
        found = scattered(sparse)
        if not found or len(sparse.readers) > 1 or type(x) is not Node or x.function is None:
            continue
        if not alike(node, x) or not alike(node, sparse):
            continue
        value, index, shape = found
        if not is_basic(index) and one_a_row(index, shape) is None:
            return Node(added_at, (x, index, value), {}, x.value)
        before = read(x, index, shape)
        if not is_zero_at(x, index):
            value = Node(np.add, (before, value), {}, before.value)
        return Node(written, (x, index, value), {}, x.value)
    return None


FEW = 256
"""Up to so many entries np.heaviside, one call, is faster than the three of a loop that the processor vectorizes."""


def half_at_ties(node: Node) -> Node | None:
    """Compute the gradient of ``np.maximum(x, 0)``, which is 1/2 at 0, from the sign of x.

    Exact but for NaN, which stays NaN where the comparisons would make it 0.
    """
    if node.function is not np.where or node.dtype.kind != "f" or len(node.args) != 3:
        return None
    ties, half, wins = node.args
    if not all(type(x) is Node for x in (ties, wins)) or scalar_of(half) != 0.5:
        return None
    if ties.function is not np.equal or wins.function not in (np.greater, np.less):
        return None
    x, bound = wins.args if wins.function is np.greater else wins.args[::-1]
    if (
        type(x) is not Node
        or not alike(node, x)
        or scalar_of(bound) != 0
        or {*ties.operands} != {*wins.operands}
    ):
        return None
    if node.value.size <= FEW:
        return Node(np.heaviside, (x, 0.5), {}, node.value)
    sign = Node(np.sign, (x,), {}, node.value)
    scaled = Node(np.multiply, (sign, 0.5), {}, node.value)
    return Node(np.add, (scaled, 0.5), {}, node.value)


def matrix_products(node: Node) -> Node | None:
    """Multiply matrices and vectors by np.dot: np.matmul asks the same of the BLAS, but takes longer to ask.

    Columns and rows as matrices it multiplies in loops of its own, 3 to 6 times as long. Where neither the rows nor the
    columns of a matrix are contiguous, which np.dot copies first, the last bits may differ; and np.dot does not warn of
    an overflow.
    """
    if node.function is not np.matmul or node.kwargs or node.dtype.char not in "fdFD":
        return None
    if len(node.operands) != 2:
        return None
    x, y = node.operands
    if max(x.value.ndim, y.value.ndim) > 2 or x.dtype != y.dtype or not x.value.size or not y.value.size:
        return None
    return Node(np.dot, node.args, {}, node.value)


TIDY = (
    folded,
    straight,
    unchanged,
    small_operands,
    new_axis,
    axes_kept,
    read_as_written,
    overwritten,
)
PASSES = (
    (*TIDY, half_at_ties, without_shift),
    (combine,),
    (*TIDY, scattered_products, sums_of_scattered),
    (
        *TIDY,
        scattered_products,
        sums_of_scattered,
        scattered_onto,
        flat_labels,
        squares_to_vdot,
        matrix_products,
    ),
)
"""The rewrites, pass by pass."""
EXACT = (*TIDY, flat_labels)
"""The rewrites that leave every bit as it is."""
REWRITES = tuple(dict.fromkeys(rewrite for rewrites in PASSES for rewrite in rewrites))
"""All of them."""
