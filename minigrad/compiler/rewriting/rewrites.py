"""Rewrites of a traced program into one that computes the same with fewer and cheaper calls.

A program is a topologically sorted list of calls, and its results. Each rewrite maps one call to its replacement, or
to None; `minigrad.compiler.rewriting.fixed_point.rewritten` applies them. *Exact* rewrites are bit for bit; the others
reorder arithmetic, which changes the last bits, or the sign of a zero.
"""

from __future__ import annotations

from ..ir import Nodes
from .cancelling import without_shift
from .choices import chosen_once, compared_by_rows, half_at_ties, half_of_ties, selected_by_bits
from .elementwise import powers_to_products, softplus
from .fixed_point import rewritten
from .products import matrix_products, products_to_vdot, products_with_vectors
from .reductions import extremes_of_columns, sums_by_dot
from .scatters import scattered_onto, scattered_products, sums_of_scattered
from .shapes import all_of_it, axes_kept, broadcast_last, small_operands, straight
from .signs import signs
from .stores import (
    overwritten,
    read_as_written,
    read_of_read,
    scatter_of_scatter,
    store_into_read,
    stored_back,
)
from .sums import combine
from .trivial import folded, neutral_operand, number_as_float, unchanged


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


TIDY = (
    folded,
    straight,
    neutral_operand,
    unchanged,
    number_as_float,
    small_operands,
    broadcast_last,
    all_of_it,
    axes_kept,
    read_of_read,
    store_into_read,
    scatter_of_scatter,
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
EXACT = (*TIDY, half_of_ties, signs, selected_by_bits)
"""The rewrites that are bit for bit."""
REWRITES = tuple(dict.fromkeys(rewrite for rewrites in PASSES for rewrite in rewrites))
"""All of them."""
