"""The rules of SciPy's special functions, which are ufuncs and so can be called on tensors.

They are in a table of their own, ``SPECIAL``, which is imported when a tensor first meets one of them.
"""

from . import bessel, distributions, entropy, error_function, gamma, hypergeometric, integrals  # noqa: F401
from .table import SPECIAL

__all__ = ["SPECIAL"]
