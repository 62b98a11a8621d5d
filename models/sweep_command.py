"""Sweeps of nets over grids, the course's by default: ``python -m models.two_layer_net sweep --help``."""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np

from minigrad import optim
from minigrad.datasets import get_cifar10_data
from minigrad.preprocess import pca_whitened
from minigrad.solver import Solver
from minigrad.sweep import SweepResult, sweep

from .command_line import DEFAULTS, load
from .console import FOLDER, NATURAL, PROGRAM, Parser, add_data_dir, checked, printed, refusing, stop
from .recipes import RECIPES
from .registry import MODELS, TRAINING, check_names, settings_of_net, train, trained

GRIDS: dict[str, dict[str, list[Any]]] = {
    "digits": {
        "hidden_dim": [25, 50, 100],
        "num_epochs": [5, 10, 20],
        "learning_rate": [0.1, 0.3, 1.0],
        "reg": [1e-4, 1e-3, 1e-2],
    },
    "cifar10": {
        "hidden_dim": [100, 250, 500],
        "num_epochs": [5, 9, 15],
        "learning_rate": [1e-2, 5e-2, 1e-3],
        "reg": [0.5, 0.7, 0.9],
    },
}
"""The course's 81 settings for CIFAR-10, and as many that suit the digits."""

WEIGHT_SCALE = {"digits": 0.1, "cifar10": 1e-3}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the grid, print the table and the best setting; return the exit status: 141 when nobody reads on.

    Raises
    ------
    SystemExit
        After ``--help``, with 0; after an error, one line on stderr, with 2 when the arguments, the data or
        the folder are at fault, and with 1 when no setting could be trained.
    """
    args = make_parser().parse_args(argv)
    args.dataset = args.dataset or ("cifar10" if args.recipe else "digits")
    grid = grid_of(args)
    data = images(args) if args.recipe else load(args)
    went_on = (args.out / "results.jsonl").exists()
    start = time.perf_counter()
    try:
        if args.pca:
            data = principal_components(args, data)
        result = search(args, grid, data)
    except KeyboardInterrupt:
        stop(130, f"interrupted; the same command goes on with what is left, from {args.out}")
    except (OSError, ValueError) as error:
        stop(2, " ".join(str(error).split()))
    seconds = time.perf_counter() - start
    of_all = (
        f"without what was in {args.out} before"
        if went_on
        else f"{seconds / len(result.trials):.2f} s a setting"
    )
    took = f"{seconds:.1f} s, {of_all}"
    return printed(lambda: report(result, data, took))


def principal_components(args: argparse.Namespace, data: dict[str, Any]) -> dict[str, Any]:
    """Return the data's first principal components; stop if there are not as many."""
    try:
        return pca_whitened(data, args.pca)
    except ValueError as error:
        stop(2, str(error).replace("n_components", "--pca"))


def images(args: argparse.Namespace) -> dict[str, Any]:
    """Return CIFAR-10 as the recipes take it; stop if it cannot be read."""
    with refusing():
        return get_cifar10_data(args.data_dir, 45000, 5000, 5000, dtype=np.float32)


def grid_of(args: argparse.Namespace) -> dict[str, list[Any]]:
    """Return the grid that the arguments ask for; stop if it has a name that the model or the recipe does not.

    Without ``--grid`` it is the course's. With it, what has no values there has the data set's default, if that is for
    this model. A recipe's has the names given alone.
    """
    if args.pca and args.model.endswith("conv"):
        stop(2, f"--pca is for nets whose input are vectors; --model {args.model} convolves images")
    given = dict(args.grid)
    if len(given) < len(args.grid):
        stop(2, f"--grid gives a name twice: {', '.join(name for name, _ in args.grid)}")
    if args.recipe:
        return grid_of_recipe(args, given)
    if not given and args.model == "two-layer":
        grid = {**GRIDS[args.dataset], "weight_scale": [WEIGHT_SCALE[args.dataset]]}
        if args.update_rule != "sgd":
            grid["learning_rate"] = learning_rates(args.update_rule)
    else:
        of_net = settings_of_net(args.model) if args.model == "two-layer" else ["hidden_dim"]
        known = {*TRAINING, *set(of_net).intersection(settings_of_net(args.model))}
        grid = {name: [value] for name, value in DEFAULTS[args.dataset].items() if name in known}
        if args.update_rule != "sgd":
            grid["learning_rate"] = [optim.update_rules[args.update_rule].settings["learning_rate"]]
    if args.update_rule != "sgd":
        grid["update_rule"] = [args.update_rule]
    grid |= given
    if args.halving is not None:
        grid["num_epochs"] = [max(grid["num_epochs"])]
    with refusing("--grid: "):
        check_names(grid, args.model, grid.get("update_rule", ["sgd"]))
    return grid if args.model == "two-layer" else {"model": [args.model], **grid}


def grid_of_recipe(args: argparse.Namespace, given: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return a recipe's grid; stop at a value or a flag that a recipe does not take."""
    for flag, none in (("dataset", "cifar10"), ("pca", None), ("halving", None), ("update_rule", "sgd")):
        if (value := getattr(args, flag)) != none:
            stop(
                2,
                f"--{flag.replace('_', '-')} {value} is not for recipes, which are for CIFAR-10 and have their own",
            )
    with refusing("--grid: "):
        for name, values in given.items():
            for value in values:
                RECIPES[args.recipe].changed({name: value})
    return {"recipe": [args.recipe], **given}


def search(args: argparse.Namespace, grid: dict[str, list[Any]], data: dict[str, Any]) -> SweepResult:
    """Train the grid, by as many processes as asked for, or by the workers of a Dask scheduler."""
    pool: Any = nullcontext()
    if args.scheduler:
        pool = client(args.scheduler)
    elif args.workers > 1:
        pool = ProcessPoolExecutor(args.workers, multiprocessing.get_context("spawn"))
    with pool as executor:
        return sweep(train, grid, data, executor, args.out, args.seed, halving=args.halving)


def client(address: str) -> Any:
    """Return a client of the Dask scheduler at an address; stop if there is none."""
    try:
        from distributed import Client
    except ImportError:
        stop(2, '--scheduler needs Dask: pip install -e ".[dask]"')
    with refusing(f"--scheduler {address}: "):
        return Client(address)


def learning_rates(rule: str) -> list[float]:
    """Return the learning rates to try with a rule other than sgd: its default, a third of it and three times it."""
    default: float = optim.update_rules[rule].settings["learning_rate"]
    return [default / 3, default, 3 * default]


def report(result: SweepResult, data: dict[str, Any], took: str) -> None:
    """Print all settings, the best one, its accuracies and the time; stop if there is none."""
    print(result.table())
    try:
        best = result.best
    except ValueError as error:
        stop(1, str(error))
    assert best.params is not None
    net = trained(best.setting, data["X_train"], best.params)
    test_accuracy = Solver(net, data).check_accuracy(data["X_test"], data["y_test"])
    print()
    print("best setting:", ", ".join(f"{name}={value}" for name, value in best.setting.items()))
    print(f"validation accuracy: {best.val_acc:.4f}")
    print(f"test accuracy: {test_accuracy:.4f}")
    print(took)


def make_parser() -> Parser:
    """Return the parser of all flags."""
    count = checked(int, lambda n: 1 <= n <= 1000, "an integer from 1 to 1000")
    parser = Parser(
        prog=PROGRAM,
        usage="python -m models.two_layer_net sweep --out DIR [options]",
        description="Train a net with every setting of a grid, by default the two-layer net with 81. Settings\n"
        "that differ in the epochs alone are trained once; what is finished is in the folder\n"
        "at once, and the same command, run again, goes on from there.",
        epilog="\n".join(f"the grid of {dataset}:\n{lines(grid)}" for dataset, grid in GRIDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--dataset", choices=GRIDS, help="(default: digits; of recipes, cifar10)")
    add_data_dir(parser)
    parser.add_argument(
        "--pca",
        type=checked(int, lambda k: k >= 1, "an integer of at least 1"),
        metavar="K",
        help="train on the K first principal components of the images, whitened, in the place of their pixels",
    )
    trained = parser.add_mutually_exclusive_group()
    trained.add_argument("--model", choices=MODELS, default="two-layer", help="(default: %(default)s)")
    trained.add_argument(
        "--recipe",
        choices=RECIPES,
        help="in the place of a model: train by a recipe, changed as --grid says. Names of "
        + "; of ".join(f"{name}: {', '.join(recipe.choices())}" for name, recipe in RECIPES.items()),
    )
    parser.add_argument(
        "--grid",
        type=values_of,
        action="append",
        default=[],
        metavar="NAME=X,Y",
        help="the values of a setting, as hidden_dim=100,250; give the flag once for each name. "
        "It replaces the whole grid below. Names for every net: "
        f"{', '.join(TRAINING)}, and the settings of the update rule. Each net's own: "
        + "; ".join(f"{model}: {', '.join(settings_of_net(model))}" for model in MODELS),
    )
    parser.add_argument(
        "--halving",
        type=checked(int, lambda n: n >= 2, "an integer of at least 2"),
        metavar="N",
        help="successive halving: the best N-th of the settings goes on from each rung, to N times as many epochs, up "
        "to the largest num_epochs of the grid",
    )
    parser.add_argument(
        "--update-rule",
        choices=optim.update_rules,
        default="sgd",
        help="with a rule other than sgd, the learning rates tried are its own default, a third and three times that "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--dtype", choices=["float32", "float64"], default="float32", help="(default: %(default)s)"
    )
    parser.add_argument("--seed", type=NATURAL, default=0, metavar="N", help="(default: %(default)s)")
    workers = parser.add_mutually_exclusive_group()
    workers.add_argument(
        "--workers", type=count, default=1, metavar="N", help="processes that train (default: %(default)s)"
    )
    workers.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="train on the workers of a Dask scheduler, as tcp://HOST:8786, which see --out under the same path",
    )
    parser.add_argument("--out", type=FOLDER, metavar="DIR", required=True, help="the folder of the results")
    return parser


def values_of(text: str) -> tuple[str, list[Any]]:
    """Return the name and the values of ``name=value,value``."""
    name, equals, values = text.partition("=")
    read = [value_of(value.strip()) for value in values.split(",")]
    if (
        not equals
        or not name.strip()
        or any(value in ("", math.inf, -math.inf) or value != value for value in read)
    ):
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected a name and values, as learning_rate=1e-3,5e-4"
        )
    return name.strip().replace("-", "_"), read


def value_of(text: str) -> Any:
    """Return a value as an int or a float if it is one, None for ``none``, a truth value, and else the text."""
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            pass
    return {"none": None, "true": True, "false": False}.get(text, text)


def lines(grid: dict[str, list[Any]]) -> str:
    """Return a grid as lines, one for each name."""
    return "\n".join(f"  {name:15}{', '.join(map(str, values))}" for name, values in grid.items())
