"""Rewrites of a traced program into one that computes the same with fewer and cheaper calls.

A program is a topologically sorted list of calls, and its results. Each rewrite maps one call to its replacement, or
to None; `minigrad.compiler.ir.rewritten` applies them. *Exact* rewrites are bit for bit; the others reorder arithmetic,
which changes the last bits, or the sign of a zero.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...rules.choosing import as_row, selected
from ...rules.facts import facts
from ...rules.metadata import outline
from ...rules.sliding import sliding_window_view
from ..ir import (
    Node,
    Nodes,
    alike,
    cast,
    constant,
    is_constant,
    one_a_row,
    part,
    pick,
    rewritten,
    scalar_of,
    scattered,
    uniform_value,
    values_of,
    written,
)
from .reductions import extremes_of_columns, reshaped, sums_by_dot
from .scatters import scattered_onto, scattered_products, sums_of_scattered
from .signs import PRODUCTS, signs
from .stores import at_once, is_whole, overwritten, read_as_written, region, stored_back, without_ellipsis
from .sums import combine, without_shift


def simplify(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Return an equivalent, cheaper program.

    Parameters
    ----------
    nodes
        The calls, in order.
    results
        The output nodes; inputs and constants may be among them.
    """
    for rewrites in PASSES:
        nodes, results = rewritten(nodes, results, rewrites)
    return nodes, results


# Calls that change nothing, or whose value is known


def folded(node: Node) -> Node | None:
    """Fold constants: evaluate a call whose operands are all constant. Exact.

    Sliding windows stay a call: a constant is compared by all of its entries, of which they have many times as many.
    """
    if node.function is sliding_window_view or not all(map(is_constant, node.operands)):
        return None
    if isinstance(node.value, (tuple, list)):  # several arrays, which no constant is
        return None
    kwargs = {name: values_of(x) for name, x in node.kwargs.items()}
    return constant(node.function(*values_of(node.args), **kwargs))


def unchanged(node: Node) -> Node | None:
    """Remove a call that returns its operand unchanged. Exact."""
    f, args = node.function, node.args
    if f in NEUTRAL and len(args) == 2:
        for side in SIDES[f]:
            other = args[1 - side]
            if type(other) is Node and is_neutral(args[side], f, other) and alike(node, other):
                return other
    x = args[0] if args and type(args[0]) is Node else None
    if x is None or not alike(node, x):
        return None
    if f in (np.copy, np.positive, np.reshape, np.broadcast_to, cast):
        return x
    if f is part and (args[1] == () or is_whole(args[1], x.shape)):
        return x
    if f in (np.real, np.conjugate) and x.dtype.kind == "f":
        return x
    if f is np.transpose and args[1] == tuple(range(node.value.ndim)):
        return x
    return None


NEUTRAL = {np.multiply: 1.0, np.divide: 1.0, np.add: -0.0, np.subtract: 0.0}
"""Neutral elements. Since -0.0 + 0.0 is 0.0, the neutral element of addition is -0.0."""
SIDES = {np.multiply: (0, 1), np.divide: (1,), np.add: (0, 1), np.subtract: (1,)}
"""The operands that may be neutral: the second only, for subtraction and division."""


def is_neutral(x: Any, f: Any, other: Node) -> bool:
    """Tell whether an argument is the neutral element of a call with another operand.

    Objects have none, and complex numbers neither: their zeros have signs in either part, and a product adds up those
    of the parts.
    """
    number = scalar_of(x)
    if number is None or number != NEUTRAL[f] or other.dtype.kind in "cO":
        return False
    return (
        np.signbit(number) == np.signbit(NEUTRAL[f]) or other.dtype.kind != "f" or is_no_negative_zero(other)
    )


def is_no_negative_zero(node: Node) -> bool:
    """Tell whether a value is -0.0 nowhere, whatever its operands."""
    f, args = node.function, node.args
    return f in (np.square, np.absolute, np.exp) or (f in (np.multiply, np.vdot) and args[0] is args[1])


def straight(node: Node) -> Node | None:
    """Merge two reshapes, or two transposes, into one. Exact."""
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
    """Tell whether a call is elementwise."""
    f = node.function
    return isinstance(f, np.ufunc) and f.signature is None and f.nout == 1 and not node.kwargs


def small_operands(node: Node) -> Node | None:
    """Replace a uniform or broadcast operand of an elementwise call by the scalar or the smaller array. Exact.

    One with leading axes of length 1 is replaced by the array without them, so that equal calls are found to be equal.
    """
    if not node.shape or not is_by_entries(node) or node.function is np.power:
        return None  # np.power of a number as the exponent may be np.sqrt
    for i, x in enumerate(node.args):
        if type(x) is not Node or not x.shape:
            continue
        others = [y for y in node.operands if y is not x and y.shape == node.shape and y.dtype == x.dtype]
        number = uniform_value(x) if others else None
        small = constant(number) if number is not None else x
        if others and (adds_leading_axes(x) or x.function is np.broadcast_to) and type(x.args[0]) is Node:
            small = x.args[0]
        if small is not x:
            return Node(node.function, (*node.args[:i], small, *node.args[i + 1 :]), {}, node.value)
    return None


def broadcast_last(node: Node) -> Node | None:
    """Compute what is broadcast before it is broadcast, as twice a gradient that a sum has spread. Exact."""
    whole = [x for x in node.operands if x.shape]
    if not whole or not is_by_entries(node):
        return None
    if any(x.function is not np.broadcast_to or x.shape != node.shape for x in whole):
        return None
    if len({np.shape(x.args[0]) for x in whole}) > 1 or any(type(x.args[0]) is not Node for x in whole):
        return None
    args = tuple([x.args[0] if any(x is each for each in whole) else x for x in node.args])
    with np.errstate(all="ignore"):
        value = node.function(*values_of(args))
    return Node(np.broadcast_to, (Node(node.function, args, {}, value), node.shape), {}, node.value)


def adds_leading_axes(x: Node) -> bool:
    """Tell whether a value is a reshape to new axes of length 1 before the others, as broadcasting adds them."""
    if x.function is not np.reshape or type(x.args[0]) is not Node:
        return False
    return x.shape == (1,) * (len(x.shape) - len(x.args[0].shape)) + x.args[0].shape


def axes_kept(node: Node) -> Node | None:
    """Fold a reshape of a reduction's result into its ``keepdims``. Exact."""
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
    value = x.function(outline(x.args[0].shape), **{**x.kwargs, "keepdims": keepdims})
    if value.shape != node.shape:
        return None
    return Node(x.function, x.args, {**x.kwargs, "keepdims": keepdims}, node.value)


def new_axis(node: Node) -> Node | None:
    """Turn ``x[:, None]``, and the scatter that is its gradient, into a reshape. Exact."""
    x, index = node.args[:2] if node.function is part else (scattered(node) or (None, ()))[:2]
    parts = index if type(index) is tuple else (index,)
    if type(x) is not Node or not x.shape or not node.shape or not any(each is None for each in parts):
        return None
    if not all(
        each is None or each is Ellipsis or (type(each) is slice and each == slice(None)) for each in parts
    ):
        return None
    return Node(np.reshape, (x, node.shape), {}, node.value)


def all_of_it(node: Node) -> Node | None:
    """Turn a read of all, as ``x[:, 0]`` of one column, and the scatter that is its gradient, into a reshape. Exact."""
    x, index = node.args[:2] if node.function is part else (scattered(node) or (None, ()))[:2]
    if type(x) is not Node or not x.shape or not node.shape or node.value.size != x.value.size:
        return None
    shape = x.shape if node.function is part else node.shape
    at = region(without_ellipsis(index, shape), shape)
    if at is None or any(each.step < 0 for each in at.positions):
        return None
    return reshaped(x, node.shape)


def number_as_float(node: Node) -> Node | None:
    """Write a number among floats as Python's float, so that equal calls are found to be equal. Exact."""
    if node.function not in NUMBERED or node.kwargs or node.dtype.kind != "f" or len(node.operands) > 1:
        return None
    if any(x.dtype != node.dtype for x in node.operands):
        return None
    for i, x in enumerate(node.args):
        number = None if type(x) in (float, Node) else scalar_of(x)
        if number is not None:
            return Node(node.function, (*node.args[:i], number, *node.args[i + 1 :]), {}, node.value)
    return None


NUMBERED = (np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum)
"""Functions to which one and 1.0 are the same among floats."""


# Cheaper calls


def products_to_vdot(node: Node) -> Node | None:
    """Turn np.sum(x * y) and np.sum(x ** 2) into a dot product, one pass. Changes the last bits.

    A BLAS accumulates sequentially where NumPy sums pairwise: for n entries the error may be some √n times as large.
    """
    if node.function != np.add.reduce or node.kwargs != {"axis": None, "keepdims": False}:
        return None
    product = node.args[0]
    factors = product.args * 2 if product.function is np.square else product.args
    if product.function not in (np.square, np.multiply) or product.kwargs or product.dtype.kind != "f":
        return None
    if not all(type(x) is Node and alike(x, product) for x in factors):
        return None
    return Node(np.vdot, factors, {}, node.value)


def powers_to_products(node: Node) -> Node | None:
    """Turn the third and the fourth power into products, ten times as fast. Changes the last bits."""
    if node.function is not np.power or node.kwargs or node.dtype.kind != "f":
        return None
    x, exponent = node.args
    number = scalar_of(exponent)
    if type(x) is not Node or number not in (3, 4) or not alike(node, x):
        return None
    square = Node(np.square, (x,), {}, node.value)
    if number == 3:
        return Node(np.multiply, (square, x), {}, node.value)
    return Node(np.square, (square,), {}, node.value)


def flat_labels(node: Node) -> Node | None:
    """Index the scores at ``np.arange(N), labels`` by one flat index, which NumPy does faster. Exact.

    For checked labels only: others may be negative.
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


FEW = 256
"""Up to this size one call of np.heaviside is faster than three vectorized ones."""
FEW_LOGARITHMS = 64
"""Up to this size one call of np.logaddexp is faster than five vectorized ones."""


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
    if type(x) is not Node or not alike(node, x) or scalar_of(bound) != 0:
        return None
    if not any(y is x and scalar_of(bound) == 0 for y, bound in (ties.args, ties.args[::-1])):
        return None
    if node.value.size <= FEW:
        return Node(np.heaviside, (x, 0.5), {}, node.value)
    sign = Node(np.sign, (x,), {}, node.value)
    scaled = Node(np.multiply, (sign, 0.5), {}, node.value)
    return Node(np.add, (scaled, 0.5), {}, node.value)


def half_of_ties(node: Node) -> Node | None:
    """Compute 1 where one array is larger and 1/2 where both are equal by arithmetic, faster than to select. Exact."""
    if (
        node.function is not np.where
        or node.dtype.kind != "f"
        or len(node.args) != 3
        or node.value.size <= FEW
    ):
        return None
    ties, half, wins = node.args
    if not all(type(x) is Node and x.dtype == bool and x.shape == node.shape for x in (ties, wins)):
        return None
    if scalar_of(half) != 0.5 or ties.function is not np.equal or wins.function not in (np.greater, np.less):
        return None
    if set(map(id, ties.args)) != set(map(id, wins.args)) or ties.kwargs or wins.kwargs:
        return None
    shares = [Node(cast, (x, node.dtype), {}, node.value) for x in (wins, ties)]
    return Node(np.add, (shares[0], Node(np.multiply, (shares[1], 0.5), {}, node.value)), {}, node.value)


def softplus(node: Node) -> Node | None:
    """Compute np.logaddexp of a number by vectorized calls, in a tenth of the time. Changes the last bits.

    They do not warn of NaN, which np.logaddexp does.
    """
    if node.function is not np.logaddexp or node.kwargs or node.dtype.char not in "fd":
        return None
    for x, bound in (node.args, node.args[::-1]):
        number = scalar_of(bound)
        if number is None or not np.isfinite(number) or type(x) is not Node or not alike(node, x):
            continue
        if node.value.size <= FEW_LOGARITHMS:
            return None
        above = x if number == 0 else Node(np.subtract, (x, number), {}, node.value)
        for function in (np.absolute, np.negative, np.exp, np.log1p):
            above = Node(function, (above,), {}, node.value)
        return Node(np.add, (Node(np.maximum, (x, number), {}, node.value), above), {}, node.value)
    return None


def chosen_once(node: Node) -> Node | None:
    """Choose between two gradients, in place of adding up one that is zero where the other is not.

    Changes the sign of zeros, and leaves zeros where they would be multiplied by infinity or NaN.
    """
    if node.function is not np.add or node.kwargs or node.dtype.kind != "f":
        return None
    for x, y in (node.args, node.args[::-1]):
        kept, other = _chosen(x), _factor_chosen(y)
        if kept is None or other is None or not alike(node, x) or not alike(node, y):
            continue
        (mask, side, value), (other_mask, other_side, product) = kept, other
        if mask is other_mask and side != other_side:
            args = (mask, value, product) if side == 0 else (mask, product, value)
            return Node(np.where, args, {}, np.asarray(node.value))  # which is no number
    return None


def _chosen(x: Any) -> tuple[Node, int, Node] | None:
    """Return the mask, the side and the array of a call of `numpy.where` that has zeros on the other side."""
    if type(x) is not Node or x.function is not np.where or len(x.args) != 3 or type(x.args[0]) is not Node:
        return None
    for side, other in ((1, 2), (2, 1)):
        array = x.args[side]
        if scalar_of(x.args[other]) == 0 and type(array) is Node and alike(x, array):
            return x.args[0], side - 1, array
    return None


DEEPEST = 8
"""The factors of factors that are searched."""


def _factor_chosen(x: Any, depth: int = 0) -> tuple[Node, int, Node] | None:
    """Return the mask and the side of a factor that has zeros on the other side, and the product on that side.

    Of numbers up to 1 the factor may be multiplied everywhere, as this does not overflow.
    """
    found = _chosen(x)
    if found is not None:
        return found
    if depth == DEEPEST or type(x) is not Node or x.function not in (*PRODUCTS, np.negative) or x.kwargs:
        return None
    for i, factor in enumerate(x.args[: 1 if x.function is np.divide else 2]):
        found = _factor_chosen(factor, depth + 1) if type(factor) is Node and alike(x, factor) else None
        if found is None:
            continue
        mask, side, product = found
        number = scalar_of(x.args[1 - i]) if x.function is np.multiply else None
        if product is not factor and number is not None and abs(number) <= 1:
            args = (*x.args[:i], product, *x.args[i + 1 :])
            return mask, side, Node(x.function, args, {}, x.value)
        return mask, side, x
    return None


LARGE = 8192
"""The size from which floats are selected by their bits."""


def selected_by_bits(node: Node) -> Node | None:
    """Select between arrays of float32, or an array and a number, by their bits, where the result is large. Exact."""
    if node.function is not np.where or len(node.args) != 3 or node.dtype != np.float32:
        return None
    mask, *sides = node.args
    if node.value.size < LARGE or type(mask) is not Node or mask.dtype != bool:
        return None
    numbers = [None if type(x) is Node and x.shape else scalar_of(x) for x in sides]
    args = [x if number is None else np.float32(number) for x, number in zip(sides, numbers, strict=True)]
    if any(getattr(x, "dtype", None) != np.float32 for x in args):
        return None
    return Node(selected, (mask, *args), {}, node.value)


def compared_by_rows(node: Node) -> Node | None:
    """Compare a large float32 array with a row in place of a number, which NumPy vectorizes.

    May change the sign of a zero.
    """
    if node.function not in (np.maximum, np.minimum) or node.kwargs or node.dtype != np.float32:
        return None
    x, bound = node.args if type(node.args[0]) is Node and node.args[0].shape else node.args[::-1]
    number = scalar_of(bound)
    if number is None or type(x) is not Node or not alike(node, x):
        return None
    row = as_row(number, x.value)
    return None if row is number else Node(node.function, (x, constant(row)), {}, node.value)


def matrix_products(node: Node) -> Node | None:
    """Multiply matrices and vectors by np.dot, whose overhead is smaller than np.matmul's.

    For a column times a row np.matmul does not call the BLAS, and takes 3 to 6 times as long. Where a matrix has no
    contiguous axis np.dot copies it first, and the last bits may differ; np.dot does not warn of an overflow.
    """
    if node.function is not np.matmul or node.kwargs or node.dtype.char not in "fdFD":
        return None
    if len(node.operands) != 2:
        return None
    x, y = node.operands
    if max(x.value.ndim, y.value.ndim) > 2 or x.dtype != y.dtype or not x.value.size or not y.value.size:
        return None
    return Node(np.dot, node.args, {}, node.value)


def products_with_vectors(node: Node) -> Node | None:
    """Multiply a matrix by a vector, in place of a matrix of one column or row whose product is a vector again.

    Changes the last bits.
    """
    product = node.args[0] if node.function is np.reshape else None
    if type(product) is not Node or product.function not in (np.dot, np.matmul) or len(node.shape) != 1:
        return None
    if product.kwargs or product.value.ndim != 2 or any(reader is not node for reader in product.readers[1:]):
        return None
    for side in (0, 1):
        x = product.args[side]
        if type(x) is not Node or x.function is not np.reshape or x.shape[side] != 1:
            continue
        vector = x.args[0]
        if type(vector) is Node and vector.value.ndim == 1 and product.shape[side] == 1:
            args = (vector, product.args[1]) if side == 0 else (product.args[0], vector)
            return Node(product.function, args, {}, node.value)
    return None


TIDY = (
    folded,
    straight,
    unchanged,
    number_as_float,
    small_operands,
    broadcast_last,
    new_axis,
    all_of_it,
    axes_kept,
    at_once,
    read_as_written,
    overwritten,
    stored_back,
)
PASSES = (
    (*TIDY, half_at_ties, half_of_ties, softplus, without_shift),
    (combine,),
    (*TIDY, scattered_products, sums_of_scattered),
    (
        *TIDY,
        scattered_products,
        sums_of_scattered,
        scattered_onto,
        flat_labels,
        powers_to_products,
        products_to_vdot,
        products_with_vectors,
        matrix_products,
        signs,
        chosen_once,
    ),
    (compared_by_rows, selected_by_bits, sums_by_dot, extremes_of_columns),
)
"""The rewrites, pass by pass."""
EXACT = (*TIDY, flat_labels, half_of_ties, signs, selected_by_bits)
"""The rewrites that are bit for bit."""
REWRITES = tuple(dict.fromkeys(rewrite for rewrites in PASSES for rewrite in rewrites))
"""All of them."""
