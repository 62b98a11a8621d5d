"""The recipes' command line: ``python -m models.train --help``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.datasets import get_cifar10_data
from minigrad.solver import Solver

from .console import FOLDER, NATURAL, Parser, add_data_dir, checked, completed, refusing, stop
from .outputs import check_folder, histories, parameters, pictures, settings_of, write
from .recipes import RECIPES, Recipe

PROGRAM = "train"
OUTPUTS = ("history.json", "history.csv", "params.npz", "curves.png")


def main(argv: Sequence[str] | None = None) -> int:
    """Train by a recipe, print the accuracies and the time, write the results; return the exit status.

    It is 0; 130 when interrupted, 143 by SIGTERM; 141 when nobody reads the output any more.

    Raises
    ------
    SystemExit
        After ``--help``, with 0; after an error, one line on stderr, with 2 when the arguments or the data are at
        fault, and with 1 when the training diverged or the results cannot be written.
    """
    args = make_parser().parse_args(argv)
    recipe = RECIPES[args.recipe]
    if args.num_epochs is not None:
        recipe = recipe.changed({"num_epochs": args.num_epochs})
    return completed(lambda: run(args, recipe), PROGRAM)


@np.errstate(over="ignore", invalid="ignore")  # the solver says when training diverges
def run(args: argparse.Namespace, recipe: Recipe) -> None:
    """Train, measure the best parameters on the test images once, and write the results."""
    if args.out is not None:
        check_folder(args.out, OUTPUTS, PROGRAM)
    start, cpu_start = time.perf_counter(), time.process_time()
    with refusing(program=PROGRAM):
        data = get_cifar10_data(args.data_dir, args.num_train, args.num_val, args.num_test, dtype=np.float32)
        solver = recipe.solver(
            data, args.seed, print_every=0, verbose=not args.quiet, progress=False if args.quiet else None
        )
    try:
        solver.train()
    except KeyboardInterrupt:
        write_results(args, recipe, solver, test_accuracy=None)
        raise
    except FloatingPointError as error:
        write_results(args, recipe, solver, test_accuracy=None)
        stop(1, f"training diverged: {error}", PROGRAM)
    accuracies = measured(solver, recipe, data)
    minutes, cpu = (time.perf_counter() - start) / 60, (time.process_time() - cpu_start) / 60
    print(f"validation accuracy: {accuracies['validation']:.4f}")
    print(f"test accuracy: {accuracies['test']:.4f}")
    print(f"minutes: {minutes:.1f}, of CPU time {cpu:.1f}")
    write_results(args, recipe, solver, accuracies["test"])


def write_results(
    args: argparse.Namespace, recipe: Recipe, solver: Solver, test_accuracy: float | None
) -> None:
    """Write the settings, the histories, the best parameters and, of a training that was completed, its curves."""
    if args.out is None:
        return
    files = histories(settings_of(args) | recipe.settings(), solver, test_accuracy)
    if solver.val_acc_history:
        files |= parameters(solver.model)
    if test_accuracy is not None:
        files |= pictures(solver, OUTPUTS, PROGRAM)
    write(args.out, files, OUTPUTS, PROGRAM)


def measured(solver: Solver, recipe: Recipe, data: dict[str, Any]) -> dict[str, float]:
    """Return the accuracies of the best parameters, over the recipe's views of each image."""
    solver.model.views = recipe.views  # type: ignore[attr-defined]  # it is an OnFeatures
    return {
        name: solver.check_accuracy(data[f"X_{part}"], data[f"y_{part}"])
        for name, part in (("validation", "val"), ("test", "test"))
    }


def make_parser() -> Parser:
    """Return the parser of all flags."""
    count = checked(int, lambda n: n >= 1, "an integer of at least 1")
    parser = Parser(
        prog=PROGRAM,
        usage="python -m models.train --recipe NAME [options]",
        description="Train a net on CIFAR-10 by a recipe, in 3 to 12 minutes of CPU time; print its\n"
        "accuracy on validation and test images, with the parameters that did best on validation.",
        epilog="\n\n".join(f"{name}: {lines(recipe)}" for name, recipe in RECIPES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--recipe", choices=RECIPES, required=True, help="see below")
    add_data_dir(parser)
    parts = (("train", "training", 45000), ("val", "validation", 5000), ("test", "test", 5000))
    for name, part, number in parts:
        parser.add_argument(
            f"--num-{name}",
            type=count,
            metavar="N",
            default=number,
            help=f"{part} images (default: %(default)s)",
        )
    parser.add_argument(
        "--num-epochs", "--epochs", type=count, metavar="N", help="epochs, other than the recipe's"
    )
    parser.add_argument(
        "--seed",
        type=NATURAL,
        default=0,
        metavar="N",
        help="of the first weights, the minibatches and their augmentation; the same seed gives the same run "
        "(default: %(default)s)",
    )
    parser.add_argument("--quiet", action="store_true", help="print the accuracies and the minutes only")
    parser.add_argument(
        "--out",
        type=FOLDER,
        metavar="DIR",
        help="write history.json with the settings, history.csv, params.npz and, if matplotlib is installed, "
        "curves.png there; those of an earlier run are replaced. Interrupted, it writes the history and the best "
        "parameters so far",
    )
    return parser


def lines(recipe: Recipe) -> str:
    """Return a recipe's settings as lines."""
    return "".join(f"\n  {name:15}{value}" for name, value in recipe.settings().items())


if __name__ == "__main__":
    raise SystemExit(main())
