"""Hypothesis strategies for tests of gradients, in a suite of your own (needs the extra ``test``)."""

try:
    import hypothesis  # noqa: F401
except ImportError as error:
    raise ImportError(
        'minigrad.testing needs hypothesis, the extra "test": pip install "minigrad-numpy[test]", or '
        'pip install -e ".[test]" in a checkout'
    ) from error

from .arrays import LAYOUTS, HypothesisDraw, array_code, calls, laid_out
from .programs import Program, programs

__all__ = ["LAYOUTS", "HypothesisDraw", "Program", "array_code", "calls", "laid_out", "programs"]
