"""Gradient checks: independent ways to a gradient, compared; and a diagnosis where they disagree.

``python -m minigrad.gradient_check`` checks every rule and layer of the package, and prints how exact each is.
"""

from .checks.check import check_grads, check_layer
from .checks.numerical_gradient import eval_numerical_gradient, eval_numerical_gradient_array, rel_error
from .checks.report import GradientMismatch, Report
from .checks.slopes import Slopes
from .checks.ways import Way

__all__ = [
    "GradientMismatch",
    "Report",
    "Slopes",
    "Way",
    "check_grads",
    "check_layer",
    "eval_numerical_gradient",
    "eval_numerical_gradient_array",
    "rel_error",
]

if __name__ == "__main__":
    from .checks.proof import main

    main()
