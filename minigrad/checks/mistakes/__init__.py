"""Hypotheses about a wrong gradient, one file a kind of mistake: each returns it in words, or None if it is another."""
