"""Tracing: every NumPy call on stand-ins for arrays is written down."""
