"""What each ingredient of a recipe brings: ``python -m models.ablation --recipe NAME`` trains without one at a time.

The accuracies are of validation images; the test images are not read.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minigrad.datasets import get_cifar10_data
from minigrad.preprocess import pca_whitening

from .console import add_data_dir
from .recipes import RECIPES, Features, Recipe, whitened_patches


def main(argv: Sequence[str] | None = None) -> None:
    """Print a line for each ingredient: the validation accuracy without it, of the images and over their views."""
    parser = argparse.ArgumentParser(
        prog="ablation", usage="python -m models.ablation --recipe NAME [options]"
    )
    parser.add_argument("--recipe", choices=RECIPES, required=True)
    add_data_dir(parser)
    parser.add_argument("--num-train", type=int, default=45000, metavar="N")
    parser.add_argument("--num-val", type=int, default=5000, metavar="N")
    parser.add_argument(
        "--num-epochs", "--epochs", type=int, metavar="N", help="epochs, other than the recipe's"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    args = parser.parse_args(argv)
    data = get_cifar10_data(args.data_dir, args.num_train, args.num_val, 0, dtype=np.float32)
    recipe = RECIPES[args.recipe]
    if args.num_epochs is not None:
        recipe = recipe.changed({"num_epochs": args.num_epochs})
    for without, changed in ablations(recipe):
        start = time.process_time()
        solver = changed.solver(data, args.seed, print_every=0, verbose=False, progress=False)
        solver.train()
        solver.model.views = changed.views  # type: ignore[attr-defined]  # it is an OnFeatures
        over_views = solver.check_accuracy(data["X_val"], data["y_val"])
        seconds = time.process_time() - start
        print(f"{without:22}{solver.best_val_acc:.4f}  {over_views:.4f}  {seconds:.0f} s of CPU", flush=True)


def ablations(recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    """Yield a recipe as it is, and without one ingredient at a time."""
    yield "nothing left out", recipe
    yield "mirror images", recipe.changed({"mirror": False})
    yield "shifts", recipe.changed({"shift": 0})
    yield "weight decay", recipe.changed({"weight_decay": 0.0})
    options = {
        "dropout": ("dropout_keep_ratio", 1.0),
        "label smoothing": ("label_smoothing", 0.0),
        "batch norm": ("normalization", None),
    }
    for without, (option, value) in options.items():
        if option in recipe.options:
            yield without, recipe.changed({option: value})
    if recipe.features.func is pca_whitening:
        yield "principal components", dataclasses.replace(recipe, features=partial(standardized))
    if recipe.features.func is whitened_patches:
        yield "whitened patches", dataclasses.replace(recipe, features=partial(standardized_blocks))


def standardized(X_train: NDArray[Any]) -> Features:
    """Return the function that standardizes pixels by the training images, and makes a row of each image."""
    mean, deviation = X_train.mean(axis=0), X_train.std(axis=0)
    return lambda X: ((X - mean) / deviation).reshape(len(X), -1)


def standardized_blocks(X_train: NDArray[Any]) -> Features:
    """Return the function that standardizes pixels, and makes channels of one pixel of each 2 by 2 block."""
    mean, deviation = X_train.mean(axis=0), X_train.std(axis=0)

    def features(X: NDArray[Any]) -> NDArray[Any]:
        N, C, H, W = X.shape
        blocks = ((X - mean) / deviation).reshape(N, C, H // 2, 2, W // 2, 2)
        return blocks.transpose(0, 1, 3, 5, 2, 4).reshape(N, 4 * C, H // 2, W // 2)

    return features


if __name__ == "__main__":
    main()
