"""Preprocessing: images, or their patches, as few uncorrelated features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engine.arguments import names_itself
from .engine.scalars import as_int, as_real

__all__ = ["Whitening", "patch_whitening", "pca_whitened", "pca_whitening"]

ROWS = 2000
"""How many examples are in memory as float64 at once."""


@dataclass(frozen=True)
class Whitening:
    """An affine map of examples to their whitened principal components; made by `pca_whitening`.

    Called with examples of shape (N, d_1, …, d_k), it returns their components, (N, K), in the examples' dtype: so it
    can follow an augmentation of the images.

    Attributes
    ----------
    mean : ndarray of shape (D,), float64
        The mean of the examples that defined it, D = d_1 ⋯ d_k.
    projection : ndarray of shape (D, K), float64
        The directions, each divided by the standard deviation along it.
    """

    mean: NDArray[np.float64]
    projection: NDArray[np.float64]

    @names_itself
    def __call__(self, X: NDArray[Any]) -> NDArray[Any]:
        """Return the components of examples.

        Raises
        ------
        TypeError, ValueError
            If X is not made of real floats, or of examples of D entries.
        """
        rows = _rows("Whitening", "X", X)
        if rows.shape[1] != len(self.mean):
            raise ValueError(
                f"Whitening: an example of X has {rows.shape[1]} entries; expected {len(self.mean)}"
            )
        mean, projection = (each.astype(rows.dtype) for each in (self.mean, self.projection))
        components: NDArray[Any] = (rows - mean) @ projection
        return components


@names_itself
def pca_whitening(X: NDArray[Any], n_components: int, eps: float = 0.0) -> Whitening:
    """Return the map of examples to their first principal components, of variance 1 each on X.

    Parameters
    ----------
    X : ndarray of shape (N, d_1, …, d_k)
        The examples that define it, floats.
    n_components : int
        K, at least 1 and at most D = d_1 ⋯ d_k.
    eps : float
        Added to each variance, in units of the mean variance of the D entries: directions of little variance, which
        hold more noise, are then made smaller than the others.

    Raises
    ------
    TypeError, ValueError
        If X is not made of real floats, or varies in fewer directions; or if a number is not as above.

    Notes
    -----
    With the eigenvalues and -vectors of the covariance matrix C = U diag(λ) Uᵀ of X, the components of x are
    (x - mean) U / √(λ + eps trace(C) / D) (CS231n, *Neural networks 2*, section "PCA and whitening"). Computed in
    float64.
    """
    rows = _rows("pca_whitening", "X", X)
    mean, directions, variances, total = _principal("pca_whitening", "X", rows, n_components)
    eps = as_real("pca_whitening: eps", eps, "[0, inf)")
    return Whitening(mean, directions / np.sqrt(variances + eps * total / rows.shape[1]))


@names_itself
def patch_whitening(
    X: NDArray[Any], size: int, n_components: int, eps: float = 0.0
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the filters and biases of a convolution that whitens the patches of images.

    Parameters
    ----------
    X : ndarray of shape (N, C, H, W)
        The images whose patches define it, side by side, floats; a few thousand suffice.
    size : int
        The height and width of a patch.
    n_components : int
        K, at most C size².
    eps : float
        As in `pca_whitening`.

    Returns
    -------
    w : ndarray of shape (K, C, size, size)
        The first layer of a net, to be held fixed: ``conv_forward(X, w, b, conv_param)``.
    b : ndarray of shape (K,)

    Raises
    ------
    TypeError, ValueError
        As `pca_whitening`, of patches for examples.
    """
    X = np.asarray(X)
    if X.ndim != 4 or not isinstance(size, (int, np.integer)) or not 1 <= size <= min(X.shape[2:]):
        raise ValueError(
            f"patch_whitening: X has shape {X.shape}, the patches {size!r}; expected (N, C, H, W), no smaller"
        )
    patches = np.lib.stride_tricks.sliding_window_view(X, (size, size), axis=(2, 3))  # type: ignore[call-overload,unused-ignore]  # NumPy's stubs differ by version
    patches = patches[:, :, ::size, ::size].transpose(0, 2, 3, 1, 4, 5).reshape(-1, X.shape[1] * size * size)
    whitening = pca_whitening(patches, n_components, eps)
    w = whitening.projection.T.reshape(n_components, X.shape[1], size, size)
    return w.astype(X.dtype), (-whitening.mean @ whitening.projection).astype(X.dtype)


@names_itself
def pca_whitened(
    data: Mapping[str, NDArray[Any]], n_components: int, unit_variance: bool = False
) -> dict[str, NDArray[Any]]:
    """Replace examples by their whitened principal components, which the training part defines.

    A component is an example's distance from the mean, in standard deviations, along a direction of largest
    variance of the training part. Unless `unit_variance`, all are scaled by one number that keeps the mean squared norm
    of the centred training examples, so that learning rates and regularization strengths carry over.

    Parameters
    ----------
    data : mapping
        ``X_train`` of shape (N, d_1, …, d_k), floats, and any other parts ``X_…`` of such examples; other entries
        (labels) are passed through.
    n_components : int
        K, at least 1 and at most D = d_1 ⋯ d_k.
    unit_variance : bool
        Whether each component of the training part has variance 1, the mean over N examples; scikit-learn's
        ``PCA(whiten=True)`` divides by N - 1.

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
    of x are s (x - mean) U / √λ, where s² = trace(C) / K, or 1 (CS231n, *Neural networks 2*, section "PCA and
    whitening"). Computed in float64.
    """
    parts = {name: _rows("pca_whitened", name, X) for name, X in data.items() if name.startswith("X_")}
    if "X_train" not in parts:
        raise ValueError("pca_whitened: data has no 'X_train', which defines the components")
    train = parts["X_train"]
    for name, X in parts.items():
        if X.shape[1] != train.shape[1]:
            raise ValueError(
                f"pca_whitened: an example of {name} has {X.shape[1]} entries, but one of X_train {train.shape[1]}"
            )
    mean, directions, variances, total = _principal("pca_whitened", "X_train", train, n_components)
    projection = (1.0 if unit_variance else np.sqrt(total / n_components)) * directions / np.sqrt(variances)
    whitened = {
        name: np.concatenate([(x - mean) @ projection for x in _batches(X)] or [np.zeros((0, n_components))])
        for name, X in parts.items()
    }
    return {name: whitened[name].astype(X.dtype) if name in parts else X for name, X in data.items()}


def _principal(
    function: str, name: str, X: NDArray[Any], n_components: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Return the mean of the rows of X, their principal directions, the variances there, and the total variance."""
    n_components = as_int(f"{function}: n_components", n_components)
    if not 1 <= n_components <= X.shape[1]:
        raise ValueError(
            f"{function}: n_components is {n_components}, but an example has {X.shape[1]} entries; "
            f"expected 1 to {X.shape[1]}"
        )
    if len(X) == 0:
        raise ValueError(f"{function}: {name} is empty")
    mean = X.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((X.shape[1], X.shape[1]))
    for x in _batches(X):
        x -= mean
        covariance += x.T @ x
    covariance /= len(X)
    if not np.isfinite(covariance).all():
        raise ValueError(f"{function}: {name} holds values that are NaN, infinite or too large")
    variances, directions = np.linalg.eigh(covariance)
    variances, directions = variances[::-1], directions[:, ::-1]
    rounding = max(np.finfo(np.float64).eps, float(np.finfo(X.dtype).eps) ** 2)  # of a variance, by its size
    rank = int(np.count_nonzero(variances > variances[0] * len(variances) * rounding))
    if n_components > rank:
        raise ValueError(
            f"{function}: n_components is {n_components}, but {name} varies in {rank} directions; "
            f"expected {rank} at most"
        )
    return mean, directions[:, :n_components], variances[:n_components], float(np.trace(covariance))


def _rows(function: str, name: str, X: NDArray[Any]) -> NDArray[Any]:
    """Return X with each example as a row."""
    X = np.asarray(X)
    if X.ndim < 2 or X.dtype.kind != "f":
        raise TypeError(
            f"{function}: {name} has shape {X.shape} and dtype {X.dtype}; expected floats of shape (N, …)"
        )
    return X.reshape(len(X), int(np.prod(X.shape[1:])))


def _batches(X: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """Yield chunks of the rows of X, as float64 copies."""
    for start in range(0, len(X), ROWS):
        yield X[start : start + ROWS].astype(np.float64)
