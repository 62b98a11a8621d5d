"""minigrad: an autograd tensor micro-framework in NumPy."""

__version__ = "0.1.0"
