"""Hypothesis strategies and one-line properties, for tests of gradients in a suite of your own.

It needs Hypothesis: ``pip install "minigrad-numpy[testing]"``.
"""

try:
    import hypothesis  # noqa: F401
except ImportError as error:
    raise ImportError(
        'minigrad.testing needs hypothesis, the extra "testing": pip install "minigrad-numpy[testing]", or '
        'pip install -e ".[testing]" in a checkout'
    ) from error

from .arrays import (
    LAYOUTS,
    HypothesisDraw,
    array_code,
    arrays_for,
    calls,
    labels,
    laid_out,
    layers_inputs,
    scores,
)
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
