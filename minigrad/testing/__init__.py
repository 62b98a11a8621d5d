"""Hypothesis strategies and one-line properties, for tests of gradients in a suite of your own.

It needs Hypothesis: ``pip install "minigrad-numpy[testing]"``.
"""

from ..extras import extra

with extra("testing", "minigrad.testing needs hypothesis"):
    import hypothesis  # noqa: F401

from .arrays import HypothesisDraw, arrays_for, calls, labels, layers_inputs, scores
from .layouts import LAYOUTS, array_code, laid_out
from .programs import Program, programs
from .properties import gradient_property

__all__ = [
    "LAYOUTS",
    "HypothesisDraw",
    "Program",
    "array_code",
    "arrays_for",
    "calls",
    "gradient_property",
    "labels",
    "laid_out",
    "layers_inputs",
    "programs",
    "scores",
]
