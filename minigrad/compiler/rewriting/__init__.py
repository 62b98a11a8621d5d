"""Rewrites of a traced program: fewer and cheaper calls."""
