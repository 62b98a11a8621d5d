"""The command line of the two-layer net: read a data set, train, print the accuracies, write the results."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import math
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from minigrad import optim
from minigrad.datasets import get_cifar10_data, load_digits
from minigrad.files import finish, publish
from minigrad.solver import Solver
from minigrad.vis import plot_history, show_net_weights

from . import hand_written, two_layer_net

BACKENDS = {
    "jit": two_layer_net.CompiledTwoLayerNet,
    "tape": two_layer_net.TwoLayerNet,
    "hand": hand_written.TwoLayerNet,
}

DEFAULTS: dict[str, dict[str, Any]] = {
    "digits": {
        "hidden": 100,
        "weight_scale": 0.1,
        "reg": 1e-3,
        "lr": 0.5,
        "lr_decay": 0.95,
        "epochs": 30,
        "batch_size": 50,
    },
    "cifar10": {
        "hidden": 100,
        "weight_scale": 5e-3,
        "reg": 0.5,
        "lr": 1e-3,
        "lr_decay": 0.95,
        "epochs": 5,
        "batch_size": 200,
    },
}
"""The defaults of each data set."""

PICTURES = ("curves.png", "weights.png")
OUTPUTS = ("history.json", "history.csv", "params.npz", *PICTURES)

PROGRAM = "two_layer_net"

EXAMPLES = """\
examples:
  python -m models.two_layer_net
      train on the digits, in a few seconds
  python -m models.two_layer_net --dataset cifar10 --data-dir ~/data --epochs 10 --out runs/cifar10
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
        with terminated_as_interrupted() as terminated:
            return printed(lambda: run(parse(argv)))
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return 143 if terminated() else 130
    except MemoryError as error:
        stop(2, f"not enough memory ({error}); try --dtype float32, fewer --hidden or a smaller --batch-size")


def printed(command: Callable[[], None]) -> int:
    """Run a printing function; return the exit status: 0, or 141 for a broken pipe on stdout.

    Raises
    ------
    SystemExit
        With 1, when stdout cannot be written.
    """
    try:
        try:
            command()
        finally:
            sys.stdout.flush()  # fails here, if it has to, and not when Python exits
    except BrokenPipeError:
        discard_stdout()
        return 141
    except OSError as error:
        discard_stdout()
        stop(1, f"stdout cannot be written ({error.strerror})")
    return 0


@np.errstate(over="ignore", invalid="ignore")  # the solver says when training diverges
def run(args: argparse.Namespace) -> None:
    """Train as the arguments say, print the accuracies of the best parameters and write the results."""
    data = load(args)
    if args.out is not None:
        check_folder(args.out)
    model = BACKENDS[args.backend](
        input_dim=data["X_train"][0].size,
        hidden_dim=args.hidden,
        weight_scale=args.weight_scale,
        reg=args.reg,
        dtype=args.dtype,
        seed=args.seed,
        loss=args.loss,
    )
    solver = Solver(
        model,
        data,
        update_rule=args.update_rule,
        optim_config={"learning_rate": args.lr},
        lr_decay=args.lr_decay,
        batch_size=args.batch_size,
        num_epochs=args.epochs,
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


@contextlib.contextmanager
def terminated_as_interrupted() -> Iterator[Callable[[], bool]]:
    """Treat SIGTERM as Ctrl-C; yield a function that tells whether it came."""
    came = False

    def handle(number: int, frame: Any) -> None:
        nonlocal came
        came = True
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of a background job of a shell script
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGTERM, before)


# The arguments


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Stop with the message."""
        stop(2, message, self.prog)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments, with the data set's defaults filled in."""
    args = make_parser().parse_args(argv)
    if args.lr is None and args.update_rule != "sgd":
        args.lr = optim.update_rules[args.update_rule].settings["learning_rate"]
    for name, default in DEFAULTS[args.dataset].items():
        if getattr(args, name) is None:
            setattr(args, name, default)
    return args


def make_parser() -> Parser:
    """Return the parser of all flags."""
    positive = checked(float, lambda x: 0 < x < math.inf, "a finite number > 0")
    not_negative = checked(float, lambda x: 0 <= x < math.inf, "a finite number >= 0")
    count = checked(int, lambda n: 1 <= n <= 10**9, "an integer from 1 to 1000000000")

    parser = Parser(
        prog=PROGRAM,
        usage="python -m models.two_layer_net [options]",
        description="Train a two-layer net, affine - relu - affine, to classify images; print its accuracy "
        "on validation and test images, with the parameters that did best on validation.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )

    data = parser.add_argument_group("data")
    data.add_argument(
        "--dataset",
        choices=DEFAULTS,
        default="digits",
        help="8x8 handwritten digits, which come with the package, or CIFAR-10 (default: %(default)s)",
    )
    data.add_argument(
        "--data-dir",
        type=FOLDER,
        metavar="DIR",
        help="the folder cifar-10-batches-py or its parent (default: what the environment variable "
        "CIFAR10_DIR names, or else the cache folder)",
    )

    net = parser.add_argument_group("net")
    net.add_argument("--hidden", type=count, metavar="N", help=by_dataset("hidden units", "hidden"))
    net.add_argument(
        "--weight-scale",
        type=positive,
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
        "--reg", type=not_negative, metavar="X", help=by_dataset("strength of the L2 penalty", "reg")
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

    training = parser.add_argument_group("training")
    training.add_argument(
        "--update-rule",
        choices=optim.update_rules,
        default="sgd",
        help="how a gradient moves the parameters (default: %(default)s)",
    )
    training.add_argument(
        "--lr",
        type=positive,
        metavar="X",
        help=by_dataset("learning rate", "lr") + "; of another rule than sgd, its own default",
    )
    training.add_argument(
        "--lr-decay",
        type=positive,
        metavar="X",
        help=by_dataset("factor of the learning rate after each epoch", "lr_decay"),
    )
    training.add_argument("--epochs", type=count, metavar="N", help=by_dataset("epochs", "epochs"))
    training.add_argument(
        "--batch-size", type=count, metavar="N", help=by_dataset("images in a minibatch", "batch_size")
    )
    training.add_argument(
        "--seed",
        type=NATURAL,
        metavar="N",
        default=0,
        help="of the first weights and the minibatches; the same seed gives the same run "
        "(default: %(default)s)",
    )

    output = parser.add_argument_group("output")
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
    return parser


def checked(convert: Callable[[str], Any], accepts: Callable[[Any], bool], expected: str) -> Any:
    """Return an argument type whose error names the value and the expected range."""

    def parse_value(text: str) -> Any:
        try:
            value = convert(text)
            if accepts(value):
                return value
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"got {text!r}, expected {expected}")

    return parse_value


FOLDER = checked(lambda text: Path(text) if text else None, lambda path: path is not None, "a folder")
NATURAL = checked(int, lambda n: n >= 0, "an integer >= 0")


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
    try:
        return get_cifar10_data(args.data_dir, dtype=args.dtype)
    except (OSError, ValueError) as error:
        stop(2, str(error))


def check_folder(folder: Path, outputs: Sequence[str] = OUTPUTS, program: str = PROGRAM) -> None:
    """Make the folder, if missing; stop if no file can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        finish(folder, outputs)  # of a run that was killed while it wrote
    except OSError as error:
        reason = f"no file can be written ({error.strerror}); name another folder"
        stop(2, f"--out is {folder}, where {reason}", program)


# The results: the contents of files, by name


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments that decide what is trained."""
    settings = vars(args) | {"data_dir": args.data_dir and str(args.data_dir)}
    return {name: value for name, value in settings.items() if name not in ("print_every", "quiet", "out")}


def histories(settings: dict[str, Any], solver: Solver, test_accuracy: float | None) -> dict[str, bytes]:
    """Return the settings, the losses and the accuracies, as JSON and as a table."""
    history = {
        "settings": settings,
        "loss_history": solver.loss_history,
        "train_acc_history": solver.train_acc_history,
        "val_acc_history": solver.val_acc_history,
        "best_val_acc": solver.best_val_acc if solver.val_acc_history else None,
        "test_accuracy": test_accuracy,
    }
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(rows(solver))
    return {
        "history.json": json.dumps(history, indent=1, allow_nan=False).encode() + b"\n",
        "history.csv": table.getvalue().encode(),
    }


def rows(solver: Solver) -> Iterator[tuple[Any, ...]]:
    """Yield a table with a row for each iteration and accuracies where they were measured.

    An iteration's epoch is how many are complete after it; an epoch's first row has its accuracies.
    """
    yield "iteration", "epoch", "loss", "train_acc", "val_acc"
    accuracies = list(zip(solver.train_acc_history, solver.val_acc_history, strict=True))
    iterations_per_epoch = max(len(solver.X_train) // solver.batch_size, 1)
    for iteration, loss in enumerate(solver.loss_history, start=1):
        epoch = iteration // iterations_per_epoch
        measured = iteration == 1 or iteration % iterations_per_epoch == 0
        yield (
            iteration,
            epoch,
            loss,
            *(accuracies[epoch] if measured and epoch < len(accuracies) else ("", "")),
        )


def parameters(model: Any) -> dict[str, bytes]:
    """Return the parameters as an archive of arrays."""
    file = io.BytesIO()
    np.savez(file, **model.params)
    return {"params.npz": file.getvalue()}


def pictures(solver: Solver) -> dict[str, bytes]:
    """Return the learning curves and the first layer's weights; none, and a hint, without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print(f'{PROGRAM}: {", ".join(PICTURES)} need matplotlib: pip install -e ".[plot]"', file=sys.stderr)
        return {}
    curves, weights = (Figure(figsize=(8, 8), layout="constrained") for _ in PICTURES)
    plot_history(solver, curves.subplots(2))
    show_net_weights(solver.model, weights.subplots())
    return dict(zip(PICTURES, map(png, (curves, weights)), strict=True))


def png(figure: Any) -> bytes:
    """Return a figure as PNG."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def write(
    folder: Path, files: dict[str, bytes], outputs: Sequence[str] = OUTPUTS, program: str = PROGRAM
) -> None:
    """Replace the files of an earlier run, all at once; stop if that fails."""
    try:
        publish(folder, files, outputs)
    except OSError as error:
        stop(1, f"{error.filename} cannot be written ({os.strerror(error.errno or 0)})", program)


# The end


def stop(status: int, message: str, program: str = PROGRAM) -> NoReturn:
    """Exit after an error, told in one line."""
    line = " ".join(part.strip() for part in message.splitlines())
    print(f"{program}: error: {line}", file=sys.stderr)
    raise SystemExit(status)


def discard_stdout() -> None:
    """Redirect stdout to os.devnull, so that Python's flush at exit cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
