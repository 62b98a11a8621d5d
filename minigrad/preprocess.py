"""Preprocessing: images as few uncorrelated features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["pca_whitened"]

ROWS = 2000
"""How many examples are in memory as float64 at once."""


def pca_whitened(data: Mapping[str, NDArray[Any]], n_components: int) -> dict[str, NDArray[Any]]:
    """Replace examples by their whitened principal components, which the training part defines.

    A component is an example's distance from the mean, in standard deviations, along a direction of largest
    variance of the training part. All are scaled by one number that keeps the mean squared norm of the centred
    training examples, so that learning rates and regularization strengths carry over.

    Parameters
    ----------
    data : mapping
        ``X_train`` of shape (N, d_1, …, d_k), floats, and any other parts ``X_…`` of such examples; other entries
        (labels) are passed through.
    n_components : int
        K, at least 1 and at most D = d_1 ⋯ d_k.

    Returns
    -------
    dict
        As `data`, each ``X_…`` of shape (its N, K) and of its dtype, the component of the largest variance first.

    Raises
    ------
    TypeError, ValueError
        If a part is not made of real floats, or of examples of one size; if `n_components` is not such a number, or
        if the training part varies in fewer directions.

    Notes
    -----
    With the eigenvalues and -vectors of the covariance matrix C = U diag(λ) Uᵀ of the training part, the components
    of x are s (x - mean) U / √λ, where s² = trace(C) / K (CS231n, *Neural networks 2*, section "PCA and
    whitening"). Computed in float64.
    """
    parts = {name: _rows(name, X) for name, X in data.items() if name.startswith("X_")}
    if "X_train" not in parts:
        raise ValueError("pca_whitened: data has no 'X_train', which defines the components")
    train = parts["X_train"]
    for name, X in parts.items():
        if X.shape[1] != train.shape[1]:
            raise ValueError(
                f"pca_whitened: an example of {name} has {X.shape[1]} entries, but one of X_train {train.shape[1]}"
            )
    if isinstance(n_components, bool) or not isinstance(n_components, (int, np.integer)):
        raise TypeError(f"pca_whitened: n_components is {n_components!r}; expected an int")
    if not 1 <= n_components <= train.shape[1]:
        raise ValueError(
            f"pca_whitened: n_components is {n_components}, but an example has {train.shape[1]} entries; "
            f"expected 1 to {train.shape[1]}"
        )
    mean, projection = _whitening(train, n_components)
    whitened = {
        name: np.concatenate([(x - mean) @ projection for x in _batches(X)] or [np.zeros((0, n_components))])
        for name, X in parts.items()
    }
    return {name: whitened[name].astype(X.dtype) if name in parts else X for name, X in data.items()}


def _whitening(X: NDArray[Any], n_components: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of the rows of X, and the matrix that whitens centred rows."""
    if len(X) == 0:
        raise ValueError("pca_whitened: X_train is empty")
    mean = X.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((X.shape[1], X.shape[1]))
    for x in _batches(X):
        x -= mean
        covariance += x.T @ x
    covariance /= len(X)
    if not np.isfinite(covariance).all():
        raise ValueError("pca_whitened: X_train holds values that are NaN, infinite or too large")
    variances, directions = np.linalg.eigh(covariance)
    variances, directions = variances[::-1], directions[:, ::-1]
    rounding = max(np.finfo(np.float64).eps, float(np.finfo(X.dtype).eps) ** 2)  # of a variance, by its size
    rank = int(np.count_nonzero(variances > variances[0] * len(variances) * rounding))
    if n_components > rank:
        raise ValueError(
            f"pca_whitened: n_components is {n_components}, but X_train varies in {rank} directions; "
            f"expected {rank} at most"
        )
    scale = np.sqrt(np.trace(covariance) / n_components)
    return mean, scale * directions[:, :n_components] / np.sqrt(variances[:n_components])


def _rows(name: str, X: NDArray[Any]) -> NDArray[Any]:
    """Return X with each example as a row."""
    X = np.asarray(X)
    if X.ndim < 2 or X.dtype.kind != "f":
        raise TypeError(
            f"pca_whitened: {name} has shape {X.shape} and dtype {X.dtype}; expected floats of shape (N, …)"
        )
    return X.reshape(len(X), int(np.prod(X.shape[1:])))


def _batches(X: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """Yield chunks of the rows of X, as float64 copies."""
    for start in range(0, len(X), ROWS):
        yield X[start : start + ROWS].astype(np.float64)
