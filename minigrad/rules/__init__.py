"""The rules: one file a family of NumPy functions, all entered into one table.

A rule is ``rule(g, out, *operands, **options)``, a pure function written in NumPy that stands beside the
function it belongs to. Declaring it is all it takes: tensors, the property tests and the printed tape find
it through the table.
"""

from . import (  # noqa: F401  # each enters its rules
    by_parts,
    choosing,
    complex_numbers,
    conjugates,
    contractions,
    cumulative,
    custom,
    decompositions,
    diagonals,
    differences,
    eig,
    elementwise,
    emath,
    fft,
    indexing,
    interpolation,
    least_squares,
    linalg,
    nan,
    picking,
    polynomials,
    products,
    ranges,
    reductions,
    row_sums,
    shaping,
    sliding,
    softmax,
    sorting,
    stacking,
    statistics,
    trigonometry,
    ufunc_methods,
    windows,
    without_gradient,
)
from .facts import FACTS, Facts, facts
from .table import OPS, Composite, Op

__all__ = ["FACTS", "OPS", "Composite", "Facts", "Op", "facts"]
