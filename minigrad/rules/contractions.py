"""Rules of the contractions: tensordot and einsum, whose gradients are contractions too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from . import metadata
from .table import Arguments, Draw, declare

LOWER = "abcdefghijklmnopqrstuvwxyz"
UPPER = LOWER.upper()


def _tensordot_inputs(draw: Draw) -> Arguments:
    k, m = draw.integer(1, 3), draw.integer(0, 3)
    call: Arguments = draw.choice(
        [
            ((draw.array((m, k, 2)), draw.array((2, k, 3)), ([1, 2], [1, 0])), {}),
            ((draw.array((2, k, m)), draw.array((k, m, 2))), {"axes": 2}),
            ((draw.array((m, k)), draw.array((2, k)), (1, -1)), {}),
            ((draw.array((m,)), draw.array((k,)), 0), {}),
        ]
    )
    return call


def _summed(axes: Any, a: Any, b: Any) -> tuple[list[int], list[int]]:
    """Return the axes of a and of b that tensordot sums over."""
    if metadata.ndim(axes) == 0:
        return list(range(a.ndim - axes, a.ndim)), list(range(axes))
    a_axes, b_axes = (np.atleast_1d(one).tolist() for one in axes)
    return [axis % a.ndim for axis in a_axes], [axis % b.ndim for axis in b_axes]


def _tensordot_operand(g: Any, x: Any, x_summed: list[int], other: Any, other_summed: list[int]) -> Any:
    """Contract g, whose last axes are the other's free ones, with the other; then put x's axes in order."""
    free = [axis for axis in range(x.ndim) if axis not in x_summed]
    other_free = [axis for axis in range(other.ndim) if axis not in other_summed]
    ends = list(range(g.ndim - len(other_free), g.ndim))
    product = np.tensordot(g, other, (ends, other_free))
    rest = [x_summed[i] for i in np.argsort(other_summed)]
    return np.transpose(product, tuple(np.argsort([*free, *rest]).tolist()))


def tensordot_a(g: Any, out: Any, a: Any, b: Any, axes: Any = 2) -> Any:
    """Contract g with b over the axes that b gave to the result."""
    a_summed, b_summed = _summed(axes, a, b)
    return _tensordot_operand(g, a, a_summed, b, b_summed)


def tensordot_b(g: Any, out: Any, a: Any, b: Any, axes: Any = 2) -> Any:
    """Contract g with a over the axes that a gave to the result."""
    a_summed, b_summed = _summed(axes, a, b)
    turned = [*range(a.ndim - len(a_summed), g.ndim), *range(a.ndim - len(a_summed))]
    return _tensordot_operand(np.transpose(g, turned), b, b_summed, a, a_summed)


declare(np.tensordot, tensordot_a, tensordot_b, inputs=_tensordot_inputs, memory="new")


def _einsum_inputs(draw: Draw) -> Arguments:
    i, j, k = (draw.integer(1, 3) for _ in range(3))
    subscripts, *shapes = draw.choice(
        [
            ("ij,jk->ik", (i, j), (j, k)),
            ("ij,jk", (i, j), (j, k)),
            ("ba", (i, j)),
            ("ij->", (i, j)),
            ("ii->i", (i, i)),
            ("iij,j->j", (i, i, j), (j,)),
            ("ij,ij,j->i", (i, j), (i, j), (j,)),
            ("...i,...i->...", (j, i), (k, 1, i)),
            ("...i,...i->...", (j, 1, i), (1, k, i)),
            ("...ij,jk", (2, i, j), (j, k)),
            ("ij,kj->", (i, j), (k, j)),
            ("j,kj->", (j,), (k, j)),
            (",i->i", (), (i,)),
            ("...ab, b...", (2, i, j), (j, 1)),
            ("...ij,jk->...ik", (i, j), (j, k)),
        ]
    )
    arrays = [draw.array(shape) for shape in shapes]
    options = draw.choice([{}, {"optimize": True}])
    if draw.choice([True, False]):
        return (subscripts, *arrays), options
    offset = ord("a") - draw.choice([0, 20])

    def axes(term: str) -> tuple[Any, ...]:
        """Write labels as the axes that einsum takes in their place."""
        return tuple(Ellipsis if c == "." else ord(c) - offset for c in term.replace("...", "."))

    left, arrow, right = subscripts.replace(" ", "").partition("->")
    pairs = zip(arrays, map(axes, left.split(",")), strict=True)
    listed = tuple(each for pair in pairs for each in pair)
    return (*listed, axes(right)) if arrow else listed, options


def einsum_labels(subscripts: str, shapes: list[tuple[int, ...]]) -> tuple[list[str], str]:
    """Write each operand's and the output's labels out, without ``...`` and with ``->``."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow:
        once = sorted({c for c in left if c.isalpha() and left.count(c) == 1})
        right = ("..." if "..." in left else "") + "".join(once)
    spare = [c for c in LOWER + UPPER if c not in subscripts]
    ranks = [len(shape) - len(term.replace("...", "")) for term, shape in zip(terms, shapes, strict=True)]
    batch = "".join(
        spare[: max(rank for rank, term in zip([*ranks, 0], [*terms, "..."], strict=True) if "..." in term)]
    )
    terms = [term.replace("...", batch[len(batch) - rank :]) for term, rank in zip(terms, ranks, strict=True)]
    return terms, right.replace("...", batch)


def einsum_call(*args: Any, optimize: Any = False, **others: Any) -> Arguments:
    """Return the operands, and the subscripts as a string, also for the form ``a, [0, 1], b, [1, 2]``."""
    others = {
        name: value
        for name, value in others.items()
        if value is not None and not (isinstance(value, str) and value in ("K", "safe"))
    }
    if others:
        raise TypeError(
            f"numpy.einsum: no backward rule with {', '.join(others)}; it knows subscripts, operands and optimize"
        )
    if args and isinstance(args[0], str):
        return args[1:], {"subscripts": args[0], "optimize": optimize} if optimize else {
            "subscripts": args[0]
        }
    subscripts = ",".join(map(_written, args[1::2]))
    if len(args) % 2:
        subscripts += f"->{_written(args[-1])}"
    return args[:-1:2], {"subscripts": subscripts, "optimize": optimize}


def _written(axes: Sequence[Any]) -> str:
    """Write a list of axes as letters that sort in the same order."""
    return "".join(["..." if axis is Ellipsis else (UPPER + LOWER)[axis] for axis in axes])


BLAS_PAYS = 2**12
"""The number of scalar products from which a contraction of two operands is faster as a matmul."""


def contracted(lefts: list[str], target: str, operands: list[Any]) -> Any:
    """Evaluate an einsum: two operands at a time, in the order that `numpy.einsum_path` finds."""
    for places in contraction_path(lefts, target, operands):
        chosen, given = [lefts[i] for i in places], [operands[i] for i in places]
        lefts = [labels for i, labels in enumerate(lefts) if i not in places]
        operands = [x for i, x in enumerate(operands) if i not in places]
        kept = target if not lefts else "".join(dict.fromkeys("".join(chosen)))
        kept = "".join([c for c in kept if c in target or any(c in labels for labels in lefts)])
        lefts, operands = [*lefts, kept], [*operands, _contract_at_once(chosen, kept, given)]
    return operands[0]


def contraction_path(lefts: Sequence[str], target: str, operands: Sequence[Any]) -> list[tuple[int, ...]]:
    """Return which operands to contract, step by step; the result of each comes last."""
    return _path(f"{','.join(lefts)}->{target}", tuple([metadata.shape(x) for x in operands]))


@lru_cache(maxsize=1024)
def _path(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> list[tuple[int, ...]]:
    if len(shapes) <= 2:
        return [tuple(range(len(shapes)))]
    path: list[tuple[int, ...]] = np.einsum_path(subscripts, *map(metadata.outline, shapes))[0][1:]
    return path


def is_product(lefts: Sequence[str], target: str, operands: Sequence[Any]) -> bool:
    """Tell whether an einsum is one of two operands that is faster as a matmul: not so products entry by entry."""
    if len(operands) != 2 or math.prod(_sides(lefts, operands).values()) < BLAS_PAYS:
        return False
    common, kept = set(lefts[0]) & set(lefts[1]), set(target)
    batch = common & kept
    by_matrices = all(kept & set(labels) - batch for labels in lefts)  # and not, in a stack, by vectors
    return batch != common and (not batch or by_matrices)


def _sides(lefts: Sequence[str], operands: Sequence[Any]) -> dict[str, int]:
    """Return the length of each label's axes; 0, where matmul cannot have it: twice in one operand, or broadcast."""
    sides: dict[str, int] = {}
    for labels, x in zip(lefts, operands, strict=True):
        for label, side in zip(labels, metadata.shape(x), strict=True):
            if sides.setdefault(label, side) != side or labels.count(label) > 1:
                sides[label] = 0
    return sides


def _contract_at_once(lefts: list[str], target: str, operands: list[Any]) -> Any:
    """Evaluate an einsum; of two large operands by matmul, which uses the BLAS with batch axes, too."""
    if is_product(lefts, target, operands):
        return _as_matmul(lefts, target, operands, _sides(lefts, operands))
    return np.einsum(f"{','.join(lefts)}->{target}", *operands)


def _as_matmul(lefts: list[str], target: str, operands: list[Any], sides: dict[str, int]) -> Any:
    """Contract two operands as a stack of matrix products."""
    x_has, y_has = lefts
    batch = [c for c in x_has if c in y_has and c in target]
    summed = [c for c in x_has if c in y_has and c not in target]
    x_kept = [c for c in x_has if c not in y_has and c in target]
    y_kept = [c for c in y_has if c not in x_has and c in target]

    def stacked(x: Any, has: str, rows: list[str], columns: list[str]) -> Any:
        order = [*batch, *rows, *columns]
        alone = tuple([i for i, c in enumerate(has) if c not in order])
        if alone:
            x, has = np.sum(x, axis=alone), "".join([c for c in has if c in order])
        x = np.transpose(x, tuple([has.index(c) for c in order]))
        return np.reshape(x, (*map(sides.__getitem__, batch), _length(rows, sides), _length(columns, sides)))

    product = np.matmul(
        stacked(operands[0], x_has, x_kept, summed), stacked(operands[1], y_has, summed, y_kept)
    )
    has = [*batch, *x_kept, *y_kept]
    product = np.reshape(product, tuple([sides[c] for c in has]))
    return np.transpose(product, tuple([has.index(c) for c in target]))


def _length(labels: list[str], sides: dict[str, int]) -> int:
    return math.prod([sides[c] for c in labels])


def _einsum(
    needs: Sequence[Any], g: Any, out: Any, *operands: Any, subscripts: str, optimize: Any = False
) -> list[Any]:
    """Contract g with the other operands, for each that needs a gradient."""
    terms, right = einsum_labels(subscripts, [metadata.shape(operand) for operand in operands])
    return [_einsum_operand(i, g, operands, terms, right) if need else None for i, need in enumerate(needs)]


def _einsum_operand(index: int, g: Any, operands: Sequence[Any], terms: list[str], right: str) -> Any:
    """Contract g with the other operands, to the labels of the one in question.

    A label that only this operand has was summed away: ones bring it back. A label twice in this operand read
    a diagonal: an identity matrix puts the gradient there.
    """
    shape, term = operands[index].shape, terms[index]
    others = [(t, o) for i, (t, o) in enumerate(zip(terms, operands, strict=True)) if i != index]
    used = "".join(terms)  # which the output's labels are of
    spare = [c for c in LOWER + UPPER if c not in used]
    target, known = "", right + "".join(t for t, _ in others)
    for label, side in zip(term, shape, strict=True):
        if label in target:
            fresh = spare.pop()
            others.append((label + fresh, np.eye(side, dtype=g.dtype)))
            target += fresh
        else:
            target += label
            if label not in known:
                others.append((label, np.ones(side, g.dtype)))
    return contracted([right, *(t for t, _ in others)], target, [g, *(o for _, o in others)])


declare(
    np.einsum,
    together=_einsum,
    bind=einsum_call,
    forward=lambda *operands, subscripts, optimize=False: np.einsum(subscripts, *operands, optimize=optimize),
    inputs=_einsum_inputs,
)
