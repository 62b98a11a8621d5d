"""Pictures of training: images in a grid, first-layer weights, learning curves, the settings of a sweep.

Drawing needs matplotlib, which is imported when something is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .engine.arguments import names_itself
from .extras import extra
from .sweeping.axis import places, plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .preprocess import Whitening
    from .sweep import SweepResult, Trial


__all__ = ["History", "Network", "plot_history", "plot_sweep", "show_net_weights", "visualize_grid"]


class History(Protocol):
    """The argument of `plot_history`, such as a `minigrad.solver.Solver`."""

    @property
    def loss_history(self) -> Sequence[float]:
        """The loss of every iteration."""

    @property
    def train_acc_history(self) -> Sequence[float]:
        """The training accuracy of every epoch."""

    @property
    def val_acc_history(self) -> Sequence[float]:
        """The validation accuracy of every epoch."""


class Network(Protocol):
    """The argument of `show_net_weights`."""

    @property
    def params(self) -> dict[str, NDArray[Any]]:
        """The parameters by name; ``W1`` is the first layer's weights."""


@names_itself
def visualize_grid(Xs: NDArray[Any], ubound: float = 255.0, padding: int = 1) -> NDArray[np.float64]:
    """Lay images out in a square grid, each scaled to [0, ubound] by its own minimum and maximum.

    Parameters
    ----------
    Xs : ndarray of shape (N, H, W, C)
        The images; they fill the grid row by row.
    ubound : float
        What each image's maximum becomes; its minimum becomes 0, and so does an image of one value.
    padding : int
        Pixels of zeros between neighbouring images.

    Returns
    -------
    ndarray of shape (side * (H + padding) - padding, side * (W + padding) - padding, C), float64
        Where ``side = ceil(sqrt(N))``; places without an image are zero.

    Raises
    ------
    ValueError
        When Xs is not four-dimensional, has its channels first, is empty or holds NaN or infinity, or padding is
        negative.
    """
    Xs = np.asarray(Xs, dtype=np.float64)
    if Xs.ndim != 4 or Xs.size == 0:
        raise ValueError(f"Xs must be a non-empty array of shape (N, H, W, C), got shape {Xs.shape}")
    if Xs.shape[1] in (1, 3, 4) and Xs.shape[3] not in (1, 3, 4):
        raise ValueError(
            f"Xs has shape {Xs.shape}, which looks like (N, C, H, W); expected (N, H, W, C): "
            "give Xs.transpose(0, 2, 3, 1)"
        )
    if not np.isfinite(Xs).all():
        raise ValueError("Xs holds NaN or infinity; such images cannot be scaled")
    if padding < 0:
        raise ValueError(f"padding must be >= 0, got {padding}")
    N, H, W, C = Xs.shape
    side = math.isqrt(N - 1) + 1
    low, high = Xs.min(axis=(1, 2, 3), keepdims=True), Xs.max(axis=(1, 2, 3), keepdims=True)
    tiles = np.zeros((side * side, H + padding, W + padding, C))
    tiles[:N, :H, :W] = ubound * ((Xs - low) / np.where(high > low, high - low, 1))
    grid = tiles.reshape(side, side, H + padding, W + padding, C).swapaxes(1, 2)
    height, width = side * (H + padding), side * (W + padding)
    return grid.reshape(height, width, C)[: height - padding, : width - padding]


@names_itself
def show_net_weights(net: Network, ax: Axes | None = None, whitening: Whitening | None = None) -> Axes:
    """Draw the first layer's weights, those of each hidden unit or filter as the image that it responds to.

    Parameters
    ----------
    net : object with a dict ``params``
        ``net.params["W1"]`` has shape (D, units). A D of 3 * side * side, such as CIFAR-10's 3 * 32 * 32, is
        drawn in colour, channels first; a D of side * side, such as 8 * 8 digits, in grey. Or it has shape
        (filters, C, height, width), as of a convolution, with 3 channels for colour or 1 for grey.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    whitening : Whitening, optional
        Of a net on principal components, the map of `minigrad.preprocess.pca_whitening` from images to them: drawn are
        the weights of the pixels, ``whitening.projection @ W1``. (`minigrad.preprocess.pca_whitened` scales all
        components by one number, which changes no picture.)

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        When W1 has another shape, or a weight is NaN or infinite.
    ImportError
        When matplotlib is missing.
    """
    if "W1" not in net.params:
        raise ValueError(f"show_net_weights draws net.params['W1'], but there is only {sorted(net.params)}")
    W1 = net.params["W1"]
    if whitening is not None:
        W1 = _of_pixels(W1, whitening)
    images, padding = (_filters_as_images(W1), 1) if np.ndim(W1) == 4 else (_as_images(W1), 3)
    grid = visualize_grid(images, padding=padding).astype(np.uint8)
    if ax is None:
        (ax,) = _new_axes(1)
    ax.imshow(grid, cmap="gray", vmin=0, vmax=255)
    ax.axis("off")
    return ax


@names_itself
def plot_history(solver: History, axes: Sequence[Axes] | None = None) -> tuple[Axes, Axes]:
    """Plot the loss of every iteration above the accuracies of every epoch, or the values of the solver's metric.

    Parameters
    ----------
    solver : object with ``loss_history``, ``train_acc_history`` and ``val_acc_history``
        Such as a trained `minigrad.solver.Solver`. With a ``metric`` that is not None, these are its values.
    axes : two matplotlib Axes, optional
        Where to plot; a new figure by default.

    Returns
    -------
    tuple of two matplotlib Axes
        The loss's and the accuracies'.

    Raises
    ------
    ImportError
        When matplotlib is missing.
    """
    loss_axes, accuracy_axes = _new_axes(2) if axes is None else axes

    loss_axes.plot(solver.loss_history, "o", markersize=2)
    loss_axes.set(title="Training loss", xlabel="Iteration")

    accuracy_axes.plot(solver.train_acc_history, "-o", label="train")
    accuracy_axes.plot(solver.val_acc_history, "-o", label="val")
    if getattr(solver, "metric", None) is None:
        accuracy_axes.axhline(0.5, color="black", linestyle="--")
        accuracy_axes.set(title="Accuracy")
    else:
        accuracy_axes.set(title="Metric")
    accuracy_axes.set(xlabel="Epoch")
    accuracy_axes.locator_params(axis="x", integer=True)
    accuracy_axes.legend(loc="lower right")
    return loss_axes, accuracy_axes


@names_itself
def plot_sweep(result: SweepResult, axes: Sequence[Axes] | None = None) -> list[Axes]:
    """Plot the validation accuracy of every setting over each name that was varied, side by side.

    A setting is a dot in every panel, the best one a star; those that diverged or raised an error are crosses
    below the others.

    Parameters
    ----------
    result : SweepResult
        What `minigrad.sweep.sweep` returned.
    axes : as many matplotlib Axes as names that have more than one value, optional
        Where to plot; a new figure by default.

    Returns
    -------
    list of matplotlib Axes
        One for each name that has more than one value; if none has, one for the first name.

    Raises
    ------
    ImportError
        When matplotlib is missing.
    """
    varied = _varied(result.trials)
    finished = [trial for trial in result.trials if trial.val_acc is not None]
    lost = [trial for trial in result.trials if trial.val_acc is None]
    accuracies = [float(trial.val_acc or 0.0) for trial in finished]
    low, high = min(accuracies, default=0.0), max(accuracies, default=1.0)
    span = (high - low) or 0.1
    below = low - 0.15 * span
    # without the ends of the colour map, which are hard to see on black and on white
    colours: dict[str, Any] = {"cmap": "viridis", "vmin": low - 0.5 * span, "vmax": high + 0.1 * span}
    panels = list(axes if axes is not None else _new_axes(len(varied), side_by_side=True))
    for ax, name in zip(panels, varied, strict=True):
        place = places(ax, name, result.trials)
        ax.scatter([place(t) for t in finished], accuracies, c=accuracies, **colours, s=24, alpha=0.9)
        ax.scatter([place(t) for t in lost], [below] * len(lost), marker="x", color="tab:red", s=24)
        if finished:
            ax.plot(place(finished[0]), accuracies[0], "*", color="tab:orange", markersize=15, zorder=3)
        ax.set(xlabel=plain_text(name), ylim=(low - (0.35 if lost else 0.1) * span, high + 0.1 * span))
        ax.grid(alpha=0.3)
    panels[0].set(ylabel="validation accuracy")
    if lost:
        panels[0].annotate(
            "diverged or failed",
            (0.03, below),
            (0, -6),  # points below the crosses
            ("axes fraction", "data"),
            "offset points",
            color="tab:red",
            verticalalignment="top",
        )
    return panels


def _varied(trials: Sequence[Trial]) -> list[str]:
    """Return the names of more than one value; if there are none, the first."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.setting))
    varied = [name for name in names if len({repr(trial.setting.get(name)) for trial in trials}) > 1]
    return varied or names[:1]


def _of_pixels(W1: NDArray[Any], whitening: Whitening) -> NDArray[Any]:
    """Return the weights of pixels that weights of components amount to."""
    components = whitening.projection.shape[1]
    if np.ndim(W1) != 2 or len(W1) != components:
        raise ValueError(
            f"W1 has shape {np.shape(W1)}, but whitening gives {components} components; expected ({components}, units)"
        )
    weights: NDArray[Any] = whitening.projection @ W1
    return weights


def _as_images(W1: NDArray[Any]) -> NDArray[Any]:
    """Turn the columns of W1, (D, units), into images (units, side, side, channels)."""
    if np.ndim(W1) != 2:
        raise ValueError(f"W1 must have shape (D, units) or (filters, C, height, width), got {np.shape(W1)}")
    D, units = W1.shape
    for channels in (3, 1):
        side = math.isqrt(D // channels)
        if channels * side * side == D:
            return W1.reshape(channels, side, side, units).transpose(3, 1, 2, 0)
    raise ValueError(
        f"W1 has {D} rows, which make no square image: expected 3 * side * side for colour, "
        "such as 3072 = 3 * 32 * 32, or side * side for grey, such as 64 = 8 * 8; of principal components give "
        "whitening=, the map that makes them"
    )


def _filters_as_images(W1: NDArray[Any]) -> NDArray[Any]:
    """Turn the filters of a convolution, (filters, C, height, width), into images, channels last."""
    if W1.shape[1] not in (1, 3):
        raise ValueError(
            f"W1 has shape {W1.shape}, and {W1.shape[1]} channels are no image: expected 3 for colour, or 1 for grey"
        )
    return W1.transpose(0, 2, 3, 1)


def _new_axes(count: int, side_by_side: bool = False) -> Sequence[Axes]:
    """Return the axes of a new figure, one below the other; or side by side, with one vertical axis."""
    with extra("plot", "drawing needs matplotlib"):
        import matplotlib.pyplot as plt
    if side_by_side:
        size = (max(3.0 * count, 4.0), 4.0)
        _, axes = plt.subplots(1, count, figsize=size, layout="constrained", squeeze=False, sharey=True)
    else:
        _, axes = plt.subplots(count, layout="constrained", squeeze=False)
    return list(axes.flat)
