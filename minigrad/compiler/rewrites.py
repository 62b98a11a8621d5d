"""Rewrites of a captured program into one that computes the same in fewer and cheaper calls.

A program is a list of nodes in an order in which they can be computed, and its results. Each rewrite says what
it does to the numbers: *exact* ones leave every bit as it is (but for the sign of a zero); the others change
the order of the arithmetic, and so the last bits.
"""

from __future__ import annotations

from collections import ChainMap, Counter
from typing import Any

import numpy as np

from ..rules.facts import facts
from .ir import (
    Node,
    Nodes,
    cast,
    constant,
    is_constant,
    is_kept,
    mapped,
    part,
    pick,
    renewed,
    rewritten,
    scalar_of,
    spread,
    written,
)


def simplify(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Return a program that computes the same results.

    Parameters
    ----------
    nodes
        The calls, in order.
    results
        The nodes that are wanted; inputs and constants may be among them.
    """
    for rewrite in REWRITES:
        nodes, results = rewrite(nodes, results)
    return nodes, results


def clean(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Compute what depends on constants alone; drop calls that change nothing; merge equal calls. Exact."""
    known: dict[Any, Node] = {}

    def rule(node: Node, made: Node, new: dict[Node, Node]) -> Nodes | None:
        if is_kept(made):
            return None
        made = straight(made)
        same = unchanged(made)
        if same is not None and same.function is not None:
            same.name = same.name or made.name
        made = folded(made) or same or made
        key = (made.function, _key(made.args), _key(tuple(made.kwargs.items())))
        return [known.setdefault(key, made) if made.function else made]

    return rewritten(nodes, results, rule)


def folded(node: Node) -> Node | None:
    """Return the constant that a call on constants is. Exact."""
    if all(map(is_constant, node.operands)):

        def value(x: Any) -> Any:
            return x.value if type(x) is Node else x

        kwargs = {name: mapped(value, x) for name, x in node.kwargs.items()}
        return constant(node.function(*mapped(value, node.args), **kwargs))
    return None


def _key(x: Any) -> Any:
    """Return what is equal for equal arguments: by identity for nodes and constants, by type for numbers."""
    if isinstance(x, (tuple, list)):
        return (type(x), *[_key(each) for each in x])
    if isinstance(x, slice):
        return (slice, x.start, x.stop, x.step)
    if isinstance(x, (Node, np.ndarray)):
        return id(x)
    return type(x), str(x)


def unchanged(node: Node) -> Node | None:
    """Return the operand that a call hands on as it is, if it does. Exact."""
    f, args = node.function, node.args
    x = args[0] if args and type(args[0]) is Node else None
    if f in ADDING_NOTHING and len(args) == 2:
        neutral, sides = ADDING_NOTHING[f]
        for side in sides:
            other = args[1 - side]
            if type(other) is Node and scalar_of(args[side]) == neutral and _alike(node, other):
                return other
    if x is None or not _alike(node, x):
        return None
    if f in (np.copy, np.positive, np.reshape, np.broadcast_to, cast) or (f is part and args[1] == ()):
        return x
    if f is np.transpose and args[1] == tuple(range(node.value.ndim)):
        return x
    return None


ADDING_NOTHING = {np.multiply: (1, (0, 1)), np.divide: (1, (1,)), np.add: (0, (0, 1)), np.subtract: (0, (1,))}
"""The neutral element of an operation, and on which sides it is one."""


def straight(node: Node) -> Node:
    """Return one call in place of two that move entries one after the other. Exact."""
    f, x = node.function, node.args[0] if node.args else None
    if type(x) is not Node or x.function is not f:
        return node
    if f is np.transpose:
        return Node(
            f, (x.args[0], tuple(x.args[1][axis] for axis in node.args[1])), {}, node.value, node.name
        )
    if f is np.reshape:
        return Node(f, (x.args[0], node.args[1]), {}, node.value, node.name)
    return node


def _alike(node: Node, other: Node) -> bool:
    return node.shape == other.shape and node.dtype == other.dtype


# Sums of scaled arrays


def scaling(node: Node) -> tuple[float, Node] | None:
    """Return c and x of a call that is c x, of x's shape and dtype."""
    args = node.args
    if node.dtype.kind != "f" or node.dtype.itemsize > 8 or node.kwargs:  # factors are Python's floats
        return None
    if node.function is np.negative:
        return -1.0, args[0]
    if node.function is np.multiply:
        for c, x in (args, args[::-1]):
            number = scalar_of(c)
            if number is not None and type(x) is Node and not is_constant(x) and _alike(node, x):
                return number, x
    return None


def moderate(c: float, dtype: np.dtype[Any]) -> bool:
    """Tell whether a factor, a small part of the dtype's range, may be multiplied by earlier than it is."""
    largest = 2.0 ** min(64, np.finfo(dtype).maxexp // 4)
    return 1 / largest <= abs(c) <= largest


def is_sum(node: Node) -> bool:
    """Tell whether a call adds or subtracts two arrays of its own shape and dtype."""
    return (
        node.function in (np.add, np.subtract)
        and node.dtype.kind == "f"
        and not node.kwargs
        and all(type(x) is Node and _alike(node, x) for x in node.args)
    )


def scaled_by(c: float, x: Node) -> Node:
    """Make the node of c x."""
    return Node(np.multiply, (x, c if x.shape else x.dtype.type(c)), {}, x.value[()])


def combine(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Add a sum of scaled arrays up in as few passes as there are different arrays.

    The update of a weight, W - lr (reg W + dW), becomes (1 - lr reg) W - lr dW. Changes the last bits (and has
    infinity where inf - inf would be NaN); done only where it saves a call, and never where terms would cancel.
    """
    uses = Counter(x for node in nodes for x in node.operands)
    uses.update(results)
    linear = {node for node in nodes if scaling(node) or is_sum(node)}
    inner = {x for node in linear for x in node.operands if x in linear and uses[x] == 1}
    outer = linear - inner

    def rule(node: Node, made: Node, new: dict[Node, Node]) -> Nodes | None:
        if node not in outer:
            return None
        calls, found = _terms(node, inner)
        factors = [c for c, _ in found.values()]
        fewer = sum(abs(c) != 1 for c in factors) + len(found) - 1 + all(c == -1 for c in factors)
        cancels = any(abs(c) < magnitude / 2 for c, magnitude in found.values())
        if fewer >= calls or cancels or not all(moderate(c, node.dtype) for c in factors):
            return None
        added = _added_up([(new.get(x, x), c) for x, (c, _) in found.items()])
        added[-1].name = added[-1].name or node.name
        return added

    return rewritten(nodes, results, rule)


def _terms(root: Node, inner: set[Node]) -> tuple[int, dict[Node, tuple[float, float]]]:
    """Return in how many calls a sum is computed, and of each term its factor and the sum of its factors' sizes."""
    calls = 0
    found: dict[Node, tuple[float, float]] = {}
    waiting = [(root, 1.0)]
    while waiting:
        node, factor = waiting.pop()
        if node is not root and node not in inner:
            c, magnitude = found.get(node, (0.0, 0.0))
            found[node] = c + factor, magnitude + abs(factor)
            continue
        calls += 1
        scaled = scaling(node)
        if scaled:
            waiting.append((scaled[1], factor * scaled[0]))
        else:
            x, y = node.args
            waiting += [(y, factor if node.function is np.add else -factor), (x, factor)]
    return calls, found


def _added_up(terms: list[tuple[Node, float]]) -> Nodes:
    """Make the calls of a sum of scaled arrays, from the first positive term on; the last is the sum."""
    (x, c), *others = sorted(terms, key=lambda term: (term[1] < 0, term[1] == -1))
    made = [x if c == 1 else scaled_by(c, x)]
    for x, c in others:
        total = made[-1]
        if abs(c) != 1:
            x = scaled_by(abs(c), x)
            made.append(x)
        made.append(Node(np.add if c > 0 else np.subtract, (total, x), {}, x.value[()]))
    return made


def push_scales(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Scale early what is to be scaled late, where early means smaller, or once instead of many times.

    lr (X^T dH) becomes X^T (lr dH), and so on back to the scores' gradient, which is scaled once for all the
    parameters. Changes the last bits.
    """
    scaled = filter(None, map(scaling, nodes))
    factors = {c for c, x in scaled if x.function is not None and moderate(c, x.dtype)}
    for c in sorted(factors - {-1.0}):
        nodes, results = _push(c, nodes, results)
    return nodes, results


def _push(c: float, nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Push one factor as far back as it goes, if that is cheaper."""
    scales = {
        node: found[1]
        for node in nodes
        if (found := scaling(node)) and found[0] == c and moderate(c, node.dtype)
    }
    wanted = set(scales.values())  # those whose scaled value is wanted
    plain = set(results)  # those whose own value is
    through: dict[Node, tuple[Node, ...]] = {}  # what to scale, of those scaled by way of their operands
    for node in reversed(nodes):
        if node in scales:
            continue
        operands = node.operands
        chosen = _linear_in(node, c, wanted) if node in wanted and node not in plain else None
        if chosen is not None and all(x.dtype == node.dtype for x in chosen):
            through[node] = chosen
            wanted.update(chosen)
            plain.update(x for x in operands if x not in chosen)
        else:
            plain.update(operands)
    sources = wanted - set(through)  # those to scale themselves
    if sum(x.value.size + CALL for x in sources) >= sum(x.value.size + CALL for x in scales.values()):
        return nodes, results
    scaled: dict[Node, Node] = {x: scaled_by(c, x) for x in sources if x.function is None}
    first = list(scaled.values())

    def rule(node: Node, made: Node, new: dict[Node, Node]) -> Nodes | None:
        if node in through:
            calls = _scaled_through(node, c, {x: scaled[x] for x in through[node]}, new)
            scaled[node] = calls[-1]
            return calls
        calls = [scaled[scales[node]]] if node in scales else [made]
        new[node] = calls[-1]
        if node in sources:
            scaled[node] = scaled_by(c, new[node])
            calls.append(scaled[node])
        return calls

    nodes, results = rewritten(nodes, results, rule)
    return first + nodes, results


CALL = 1000
"""What a call costs, in entries of an array."""


def _linear_in(node: Node, c: float, wanted: set[Node]) -> tuple[Node, ...] | None:
    """Return the operands to scale by c so that a call's result is; of two those scaled anyway, or the smaller."""
    f, operands = node.function, node.operands
    if node.dtype.kind != "f" or any(x.dtype != node.dtype for x in operands if x.dtype.kind == "f"):
        return None
    if not node.kwargs.keys() <= ({"axis", "keepdims"} if f == np.add.reduce else set()):
        return None
    if f in (np.add, np.subtract):
        numbers = [number for x in node.args if (number := scalar_of(x)) is not None]
        arrays = tuple(x for x in operands if not is_constant(x))
        fits = len(set(arrays)) + len(numbers) == 2 and all(moderate(x, node.dtype) for x in numbers)
        return arrays if fits else None
    if f in (np.matmul, np.multiply) and len(set(operands)) == 2:
        floats = [x for x in operands if x.dtype.kind == "f" and not is_constant(x)]
        return (min(floats, key=lambda x: (x not in wanted, x.value.size)),) if floats else None
    if f is np.divide and (divisor := _scaled_divisor(node)) and moderate(divisor[0] / c, node.dtype):
        return ()
    if f is written and type(node.args[2]) is Node and len({node.args[0], node.args[2]}) == 2:
        return node.args[0], node.args[2]
    if f == np.add.reduce or f in (np.transpose, np.reshape, np.broadcast_to, part, pick, np.divide):
        return (operands[0],) if type(node.args[0]) is Node and operands.count(operands[0]) == 1 else None
    return None


def _scaled_divisor(node: Node) -> tuple[float, Node] | None:
    """Return k and d of a call that divides by k d."""
    divisor = node.args[1]
    return scaling(divisor) if type(divisor) is Node else None


def _scaled_through(node: Node, c: float, scaled: dict[Node, Node], new: dict[Node, Node]) -> Nodes:
    """Make the calls that compute c times a call's result from operands that are scaled already."""
    if node.function is np.divide and not scaled and (found := _scaled_divisor(node)):
        k, d = found
        divisor = scaled_by(k / c, new.get(d, d))
        return [divisor, renewed(node, ChainMap({node.args[1]: divisor}, new))]
    made = renewed(node, ChainMap(scaled, new))
    if node.function in (np.add, np.subtract):
        made.args = tuple(x if (number := scalar_of(x)) is None else c * number for x in made.args)
    return [made]


def squares_to_vdot(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Take the sum of all x^2 as the dot product of x with itself, in one pass. Changes the last bits.

    A BLAS adds up one after the other where NumPy adds in pairs: of n entries, up to some √n times as much is lost.
    """

    def rule(node: Node, made: Node, new: dict[Node, Node]) -> Nodes | None:
        if made.function != np.add.reduce or made.kwargs != {"axis": None, "keepdims": False}:
            return None
        squares = made.args[0]
        f, args = squares.function, squares.args
        squared = f is np.square or (f is np.multiply and args[0] is args[1])
        if not squared or squares.kwargs or squares.dtype.kind != "f":
            return None
        return [Node(np.vdot, (args[0], args[0]), {}, made.value, made.name)]

    return rewritten(nodes, results, rule)


def flat_labels(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Read and write the scores at ``np.arange(N), labels`` by one flat index, which NumPy does faster. Exact.

    Only labels that were checked are known not to count from the end.
    """
    known: dict[Node, Node] = {}

    def rule(node: Node, made: Node, new: dict[Node, Node]) -> Nodes | None:
        labels = _labels_of(made) if made.function in (pick, written) else None
        if labels is None:
            return None
        x = made.args[0]
        if labels not in known:
            n, classes = x.shape
            starts = constant(np.arange(0, n * classes, classes))
            known[labels] = Node(np.add, (starts, labels), {}, starts.value, "correct")
        flat = Node(np.reshape, (x, (x.value.size,)), {}, np.reshape(x.value, -1))
        value = made.value if made.function is pick else flat.value
        moved = Node(made.function, (flat, known[labels], *made.args[2:]), {}, value, made.name)
        calls = [known[labels], flat, moved]
        if made.function is written:
            calls.append(Node(np.reshape, (moved, x.shape), {}, np.reshape(flat.value, x.shape)))
        return calls

    return rewritten(nodes, results, rule)


def _labels_of(node: Node) -> Node | None:
    """Return the checked labels by which a call indexes every row of its scores, if it does."""
    x, index = node.args[:2]
    if (
        type(x) is not Node
        or type(index) is not tuple
        or len(index) != 2
        or not all(type(i) is Node for i in index)
    ):
        return None
    rows, labels = index
    checked = facts(labels.function).checks and labels.args[1:2] == (x.shape,) and labels.dtype != np.uint64
    if checked and is_constant(rows) and np.array_equal(rows.value, np.arange(x.shape[0])):
        return labels  # type: ignore[no-any-return]
    return None


def alive(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Drop the calls that no result needs. Exact."""
    needed = set(results)
    out: Nodes = []
    for node in reversed(nodes):
        if node in needed or is_kept(node):
            needed.update(node.operands)
            out.append(node)
    return out[::-1], results


COMPARISONS = frozenset({np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal})


def float_masks(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Compute a mask that only floats are multiplied by as floats, which saves a conversion in memory. Exact."""
    used: dict[Node, set[Any]] = {node: {None} for node in results}
    for node in nodes:
        for x in node.operands:
            used.setdefault(x, set()).add((node.function, node.dtype, node.shape))
    for node in nodes:
        ways = used.get(node, set())
        if node.function in COMPARISONS and node.shape and len({way and way[:2] for way in ways}) == 1:
            way = ways.pop()
            if way is not None and way[0] is np.multiply and way[1].kind == "f":
                node.value = np.empty_like(node.value, way[1])
    return nodes, results


def broadcast_first(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Broadcast the small operand of a large call, a bias or a column, into an array of its own first. Exact.

    NumPy adds arrays of one shape as they are, but broadcasts through a buffer that it allocates in each call.
    """

    def rule(node: Node, made: Node, new: dict[Node, Node]) -> Nodes | None:
        f, calls = made.function, []
        by_entries = isinstance(f, np.ufunc) and f.signature is None and f.nout == 1 and not made.kwargs
        if by_entries and made.value.size > np.getbufsize() and any(_alike(made, x) for x in made.operands):
            for x in made.operands:
                if x.shape not in ((), made.shape) and x.dtype == made.dtype:
                    calls.append(Node(spread, (x, made.shape), {}, made.value, f"{x.name}_rows"))
                    made = renewed(made, {x: calls[-1]})
        return [*calls, made]

    return rewritten(nodes, results, rule)


def matrix_products(nodes: Nodes, results: Nodes) -> tuple[Nodes, Nodes]:
    """Multiply matrices by np.dot: np.matmul asks the same of the BLAS, but takes longer to ask.

    Where neither the rows nor the columns of a matrix are contiguous, which np.dot copies first, the last bits may
    differ; and np.dot does not warn of an overflow.
    """

    def rule(node: Node, made: Node, new: dict[Node, Node]) -> Nodes | None:
        if made.function is not np.matmul or made.kwargs or made.dtype.char not in "fdFD":
            return None
        x, y = made.operands if all(type(x) is Node for x in made.args) else (made, made)
        if not (x.value.ndim == y.value.ndim == 2 and x.dtype == y.dtype and min(x.shape + y.shape) > 1):
            return None
        return [Node(np.dot, made.args, {}, made.value, made.name)]

    return rewritten(nodes, results, rule)


EXACT = (clean, flat_labels, alive, float_masks, broadcast_first)
"""The rewrites that leave every bit as it is."""
REWRITES = (
    clean,
    combine,
    push_scales,
    flat_labels,
    clean,
    squares_to_vdot,
    alive,
    float_masks,
    broadcast_first,
    matrix_products,
)
"""All, in the order in which they are made."""
