"""The grid search of the course over the two-layer net: ``python -m models.two_layer_net sweep --help``."""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from typing import Any

from minigrad import optim
from minigrad.preprocess import pca_whitened
from minigrad.solver import Solver
from minigrad.sweep import SweepResult, sweep, train_model

from .command_line import FOLDER, NATURAL, PROGRAM, Parser, checked, load, printed, stop
from .two_layer_net import CompiledTwoLayerNet

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

NAMES = ("hidden_dim", "num_epochs", "learning_rate", "reg", "weight_scale")
"""The names of a setting of `train`; ``update_rule`` is optional, ``"sgd"`` by default."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the grid, print the table and the best setting; return the exit status: 141 when nobody reads on.

    Raises
    ------
    SystemExit
        After ``--help``, with 0; after an error, one line on stderr, with 2 when the arguments, the data or
        the folder are at fault, and with 1 when no setting could be trained.
    """
    args = make_parser().parse_args(argv)
    data = load(args)
    went_on = (args.out / "results.jsonl").exists()
    start = time.perf_counter()
    try:
        if args.pca:
            data = principal_components(args, data)
        result = search(args, data)
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
    """Return the data as so many principal components; stop if there are not as many."""
    try:
        return pca_whitened(data, args.pca)
    except ValueError as error:
        stop(2, str(error).replace("n_components", "--pca"))


def search(args: argparse.Namespace, data: dict[str, Any]) -> SweepResult:
    """Train the grid of the data set, by as many processes as asked for."""
    pool: Any = nullcontext()
    if args.workers > 1:
        pool = ProcessPoolExecutor(args.workers, multiprocessing.get_context("spawn"))
    grid = {**GRIDS[args.dataset], "weight_scale": [WEIGHT_SCALE[args.dataset]]}
    if args.update_rule != "sgd":
        grid |= {"update_rule": [args.update_rule], "learning_rate": learning_rates(args.update_rule)}
    with pool as executor:
        return sweep(train, grid, data, executor, args.out, args.seed)


def learning_rates(rule: str) -> list[float]:
    """Return the learning rates to try with a rule other than sgd: its default, a third of it and three times it."""
    default: float = optim.update_rules[rule].settings["learning_rate"]
    return [default / 3, default, 3 * default]


def train(setting: dict[str, Any], data: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train one setting as the course does: batches of 200, the learning rate 0.95 times as high each epoch.

    Raises
    ------
    ValueError
        When the setting has other names than `NAMES`.
    """
    unknown = [name for name in setting if name not in (*NAMES, "update_rule")]
    missing = [name for name in NAMES if name not in setting]
    if unknown or missing:
        faults = [f"unknown: {unknown}"] * bool(unknown) + [f"missing: {missing}"] * bool(missing)
        raise ValueError(
            f"a setting must have the names {', '.join(NAMES)} and no other; {'; '.join(faults)}"
        )
    net = CompiledTwoLayerNet(
        input_dim=data["X_train"][0].size,
        hidden_dim=setting["hidden_dim"],
        weight_scale=setting["weight_scale"],
        reg=setting["reg"],
        dtype=data["X_train"].dtype,
        seed=seed,
    )
    return train_model(
        net,
        data,
        seed,
        update_rule=setting.get("update_rule", "sgd"),
        optim_config={"learning_rate": setting["learning_rate"]},
        lr_decay=0.95,
        batch_size=min(200, len(data["X_train"])),
        num_epochs=setting["num_epochs"],
    )


def report(result: SweepResult, data: dict[str, Any], took: str) -> None:
    """Print all settings, the best one, its accuracies and the time; stop if there is none."""
    print(result.table())
    try:
        best = result.best
    except ValueError as error:
        stop(1, str(error))
    assert best.params is not None
    net = CompiledTwoLayerNet(data["X_train"][0].size, best.setting["hidden_dim"])
    net.params = best.params
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
        description="Train the two-layer net with every setting of a grid, 81 in all. Settings that\n"
        "differ in the epochs alone are trained once; what is finished is in the folder at\n"
        "once, and the same command, run again, goes on from there.",
        epilog="\n".join(f"the grid of {dataset}:\n{lines(grid)}" for dataset, grid in GRIDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--dataset", choices=GRIDS, default="digits", help="(default: %(default)s)")
    parser.add_argument(
        "--data-dir", type=FOLDER, metavar="DIR", help="the folder cifar-10-batches-py or its parent"
    )
    parser.add_argument(
        "--pca",
        type=checked(int, lambda k: k >= 1, "an integer of at least 1"),
        metavar="K",
        help="train on the K first principal components of the images, whitened, in the place of their pixels",
    )
    parser.add_argument(
        "--update-rule",
        choices=optim.update_rules,
        default="sgd",
        help="of another than sgd, the learning rates tried are its own default, a third and three times that "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--dtype", choices=["float32", "float64"], default="float32", help="(default: %(default)s)"
    )
    parser.add_argument("--seed", type=NATURAL, default=0, metavar="N", help="(default: %(default)s)")
    parser.add_argument(
        "--workers", type=count, default=1, metavar="N", help="processes that train (default: %(default)s)"
    )
    parser.add_argument("--out", type=FOLDER, metavar="DIR", required=True, help="the folder of the results")
    return parser


def lines(grid: dict[str, list[Any]]) -> str:
    """Return a grid as lines, one for each name."""
    return "\n".join(f"  {name:15}{', '.join(map(str, values))}" for name, values in grid.items())
