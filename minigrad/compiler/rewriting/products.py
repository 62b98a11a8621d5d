"""Rewrites of products of arrays: by the BLAS, where it is faster."""

from __future__ import annotations

import numpy as np

from ..ir import Node
from .fixed_point import on
from .patterns import alike


@on(np.add.reduce)
def products_to_vdot(node: Node) -> Node | None:
    """Turn np.sum(x * y) and np.sum(x ** 2) into a dot product, one pass. Changes the last bits.

    A BLAS accumulates sequentially where NumPy sums pairwise: for n entries the error may be some √n times as large.
    """
    if node.kwargs != {"axis": None, "keepdims": False}:
        return None
    product = node.args[0]
    factors = product.args * 2 if product.function is np.square else product.args
    if product.function not in (np.square, np.multiply) or product.kwargs or product.dtype.kind != "f":
        return None
    if not all(type(x) is Node and alike(x, product) for x in factors):
        return None
    return Node(np.vdot, factors, {}, node.value)


@on(np.matmul)
def matrix_products(node: Node) -> Node | None:
    """Multiply matrices and vectors by np.dot, whose overhead is smaller than np.matmul's.

    For a column times a row np.matmul does not call the BLAS, and takes 3 to 6 times as long. Where a matrix has no
    contiguous axis np.dot copies it first, and the last bits may differ; np.dot does not warn of an overflow.
    """
    if node.kwargs or node.dtype.char not in "fdFD" or len(node.operands) != 2:
        return None
    x, y = node.operands
    if max(x.value.ndim, y.value.ndim) > 2 or x.dtype != y.dtype or not x.value.size or not y.value.size:
        return None
    return Node(np.dot, node.args, {}, node.value)


@on(np.reshape)
def products_with_vectors(node: Node) -> Node | None:
    """Multiply a matrix by a vector, in place of a matrix of one column or row whose product is a vector again.

    Changes the last bits.
    """
    product = node.args[0]
    if type(product) is not Node or product.function not in (np.dot, np.matmul) or len(node.shape) != 1:
        return None
    if product.kwargs or product.value.ndim != 2 or any(reader is not node for reader in product.readers[1:]):
        return None
    for side in (0, 1):
        x = product.args[side]
        if type(x) is not Node or x.function is not np.reshape or x.shape[side] != 1:
            continue
        vector = x.args[0]
        if type(vector) is Node and vector.value.ndim == 1 and product.shape[side] == 1:
            args = (vector, product.args[1]) if side == 0 else (product.args[0], vector)
            return Node(product.function, args, {}, node.value)
    return None
