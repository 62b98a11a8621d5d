"""The command line of the nets: read a data set, train, print the accuracies, write the results."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad import optim
from minigrad.datasets import get_cifar10_data, load_digits
from minigrad.solver import Solver

from . import hand_written, two_layer_net
from .console import FOLDER, NATURAL, PROGRAM, Parser, add_data_dir, checked, completed, refusing, stop
from .outputs import check_folder, histories, parameters, pictures, settings_of, write
from .registry import MODELS, settings_of_net

BACKENDS = {
    "jit": two_layer_net.CompiledTwoLayerNet,
    "tape": two_layer_net.TwoLayerNet,
    "hand": hand_written.TwoLayerNet,
}

DEFAULTS: dict[str, dict[str, Any]] = {
    "digits": {
        "hidden_dim": 100,
        "weight_scale": 0.1,
        "reg": 1e-3,
        "learning_rate": 0.5,
        "lr_decay": 0.95,
        "num_epochs": 30,
        "batch_size": 50,
    },
    "cifar10": {
        "hidden_dim": 100,
        "weight_scale": 5e-3,
        "reg": 0.5,
        "learning_rate": 1e-3,
        "lr_decay": 0.95,
        "num_epochs": 5,
        "batch_size": 200,
    },
}
"""The defaults of each data set."""

OF_NETS = ("hidden_dim", "weight_scale", "reg")
"""The settings here that are a net's own."""

POSITIVE = checked(float, lambda x: 0 < x < math.inf, "a finite number > 0")
NOT_NEGATIVE = checked(float, lambda x: 0 <= x < math.inf, "a finite number >= 0")
COUNT = checked(int, lambda n: 1 <= n <= 10**9, "an integer from 1 to 1000000000")

EXAMPLES = """\
examples:
  python -m models.two_layer_net
      train on the digits, in a few seconds
  python -m models.two_layer_net --dataset cifar10 --data-dir ~/data --num-epochs 10 --out runs/cifar10
      train on CIFAR-10 and keep the results
  python -m models.two_layer_net sweep --workers 2 --out runs/grid
      train with every setting of a grid: another command, with its own --help
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit status: 0; 130 when interrupted, 143 by SIGTERM; 141 when nobody reads the output any more.

    Raises
    ------
    SystemExit
        After ``--help``, with 0; after an error, one line on stderr, with 2 when the arguments or the data
        are at fault, and with 1 when the training diverged or the results cannot be written.
    """
    try:
        return completed(lambda: run(parse(argv)))
    except MemoryError as error:
        stop(
            2,
            f"not enough memory ({error}); try --dtype float32, a lower --hidden-dim or a smaller --batch-size",
        )


@np.errstate(over="ignore", invalid="ignore")  # the solver says when training diverges
def run(args: argparse.Namespace) -> None:
    """Train as the arguments say, print the accuracies of the best parameters and write the results."""
    data = load(args)
    if args.out is not None:
        check_folder(args.out)
    model = make_net(args, data["X_train"].shape[1:])
    solver = Solver(
        model,
        data,
        update_rule=args.update_rule,
        optim_config={"learning_rate": args.learning_rate},
        lr_decay=args.lr_decay,
        batch_size=args.batch_size,
        num_epochs=args.num_epochs,
        print_every=args.print_every,
        verbose=not args.quiet,
        seed=args.seed,
        progress=False if args.quiet else None,
    )
    try:
        solver.train()
    except KeyboardInterrupt:
        if args.out is not None:
            best = parameters(model) if solver.val_acc_history else {}
            write(args.out, histories(settings_of(args), solver, test_accuracy=None) | best)
        raise
    except FloatingPointError as error:
        if args.out is not None:
            write(args.out, histories(settings_of(args), solver, test_accuracy=None))
        stop(1, f"training diverged: {error}")

    test_accuracy = solver.check_accuracy(data["X_test"], data["y_test"])
    print(f"validation accuracy: {solver.best_val_acc:.4f}")
    print(f"test accuracy: {test_accuracy:.4f}")
    if args.out is not None:
        write(
            args.out,
            histories(settings_of(args), solver, test_accuracy) | parameters(model) | pictures(solver),
        )


def make_net(args: argparse.Namespace, shape: tuple[int, ...]) -> Any:
    """Return the net that the arguments ask for, for images of a shape."""
    common = {"dtype": args.dtype, "seed": args.seed}
    if args.model != "two-layer":
        given = {name: getattr(args, name) for name in OF_NETS if getattr(args, name) is not None}
        return MODELS[args.model](shape, backend=args.backend, **common, **given)
    return BACKENDS[args.backend](
        input_dim=math.prod(shape),
        hidden_dim=args.hidden_dim,
        weight_scale=args.weight_scale,
        reg=args.reg,
        loss=args.loss,
        **common,
    )


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments, with the data set's defaults filled in; a net other than the two-layer net has its own."""
    args = make_parser().parse_args(argv)
    if args.model != "two-layer":
        if args.loss != "softmax" or args.backend == "hand":
            stop(2, f"--loss {args.loss} --backend {args.backend} is for --model two-layer")
        for name in OF_NETS:
            if getattr(args, name) is not None and name not in settings_of_net(args.model):
                stop(2, f"--model {args.model} has no --{name.replace('_', '-')}")
    if args.learning_rate is None and args.update_rule != "sgd":
        args.learning_rate = optim.update_rules[args.update_rule].settings["learning_rate"]
    for name, default in DEFAULTS[args.dataset].items():
        if getattr(args, name) is None and (args.model == "two-layer" or name not in OF_NETS):
            setattr(args, name, default)
    return args


def make_parser() -> Parser:
    """Return the parser of all flags."""
    parser = Parser(
        prog=PROGRAM,
        usage="python -m models.two_layer_net [options]",
        description="Train a net, by default affine - relu - affine, to classify images; print its accuracy "
        "on validation and test images, with the parameters that did best on validation.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_data(parser.add_argument_group("data"))
    add_net(parser.add_argument_group("net"))
    add_training(parser.add_argument_group("training"))
    add_output(parser.add_argument_group("output"))
    return parser


def add_data(data: Any) -> None:
    """Add the flags of the data set."""
    data.add_argument(
        "--dataset",
        choices=DEFAULTS,
        default="digits",
        help="8x8 handwritten digits, which come with the package, or CIFAR-10 (default: %(default)s)",
    )
    add_data_dir(data)


def add_net(net: Any) -> None:
    """Add the flags of the net."""
    net.add_argument(
        "--model",
        choices=MODELS,
        default="two-layer",
        help="the net (default: %(default)s); the others have their own defaults for hidden units, weights and "
        "penalty, and `sweep` can set their other options",
    )
    net.add_argument(
        "--hidden-dim", "--hidden", type=COUNT, metavar="N", help=by_dataset("hidden units", "hidden_dim")
    )
    net.add_argument(
        "--weight-scale",
        type=POSITIVE,
        metavar="X",
        help=by_dataset("standard deviation of the first weights", "weight_scale"),
    )
    net.add_argument(
        "--loss",
        choices=two_layer_net.TwoLayerNet.losses,
        default="softmax",
        help="cross-entropy of the softmax, or multiclass hinge (default: %(default)s)",
    )
    net.add_argument(
        "--reg", type=NOT_NEGATIVE, metavar="X", help=by_dataset("strength of the L2 penalty", "reg")
    )
    net.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        default="float64",
        help="of the images and the parameters (default: %(default)s)",
    )
    net.add_argument(
        "--backend",
        choices=BACKENDS,
        default="jit",
        help="gradients from a compiled tape, a tape, or written by hand (default: %(default)s)",
    )


def add_training(training: Any) -> None:
    """Add the flags of the training."""
    training.add_argument(
        "--update-rule",
        choices=optim.update_rules,
        default="sgd",
        help="how a gradient moves the parameters (default: %(default)s)",
    )
    training.add_argument(
        "--learning-rate",
        "--lr",
        type=POSITIVE,
        metavar="X",
        help=by_dataset("learning rate", "learning_rate") + "; a rule other than sgd has its own default",
    )
    training.add_argument(
        "--lr-decay",
        type=POSITIVE,
        metavar="X",
        help=by_dataset("factor of the learning rate after each epoch", "lr_decay"),
    )
    training.add_argument(
        "--num-epochs", "--epochs", type=COUNT, metavar="N", help=by_dataset("epochs", "num_epochs")
    )
    training.add_argument(
        "--batch-size", type=COUNT, metavar="N", help=by_dataset("images in a minibatch", "batch_size")
    )
    training.add_argument(
        "--seed",
        type=NATURAL,
        metavar="N",
        default=0,
        help="of the first weights and the minibatches; the same seed gives the same run "
        "(default: %(default)s)",
    )


def add_output(output: Any) -> None:
    """Add the flags of the log and the results."""
    output.add_argument(
        "--print-every",
        type=NATURAL,
        metavar="N",
        default=100,
        help="iterations from one logged loss to the next; 0 logs none (default: %(default)s)",
    )
    output.add_argument("--quiet", action="store_true", help="print the two accuracies only")
    output.add_argument(
        "--out",
        type=FOLDER,
        metavar="DIR",
        help="write history.json, history.csv and params.npz there and, if matplotlib is installed, curves.png "
        "and weights.png; those of an earlier run are replaced. "
        "Interrupted, it writes the history and the best parameters so far",
    )


def by_dataset(text: str, name: str) -> str:
    """Return a help text with the default of each data set."""
    defaults = ", ".join(f"{values[name]} for {dataset}" for dataset, values in DEFAULTS.items())
    return f"{text} (default: {defaults})"


def load(args: argparse.Namespace) -> dict[str, Any]:
    """Return the data set; stop if it cannot be read."""
    if args.data_dir is not None and args.dataset != "cifar10":
        stop(2, f"--data-dir is for --dataset cifar10; the {args.dataset} come with the package")
    if args.dataset == "digits":
        return load_digits(args.dtype)
    with refusing():
        return get_cifar10_data(args.data_dir, dtype=args.dtype)
