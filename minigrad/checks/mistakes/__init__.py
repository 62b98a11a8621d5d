"""Usual mistakes, one file a kind: each is a function that looks at the evidence, and yields in words what it finds.

The diagnosis has them in the order in which they are tried.
"""
