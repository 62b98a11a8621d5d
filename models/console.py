"""What every command line here does: parse flags, print, tell errors in one line, end on signals."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

PROGRAM = "two_layer_net"


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does; to an unknown flag, tell the one that it is nearest to."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flags = (argument.partition("=")[0] for argument in unknown if argument.startswith("--"))
            self.error(
                f"unrecognized arguments: {' '.join(unknown)}"
                + meant(next(flags, ""), self._option_string_actions)
            )
        return parsed

    def error(self, message: str) -> NoReturn:
        """Stop with the message."""
        stop(2, message, self.prog)


def meant(given: str, names: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the one it is nearest to, if any is near."""
    known = {name.lstrip("-"): name for name in names}
    near = difflib.get_close_matches(given.lstrip("-"), known, n=1)
    return f"; did you mean {known[near[0]]}?" if near else ""


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


def add_data_dir(parser: Any) -> None:
    """Add the flag ``--data-dir`` to a parser, or to a group of its flags."""
    parser.add_argument(
        "--data-dir",
        type=FOLDER,
        metavar="DIR",
        help="the folder cifar-10-batches-py or its parent (default: what the environment variable "
        "CIFAR10_DIR names, or else the cache folder)",
    )


def completed(command: Callable[[], None], program: str = PROGRAM) -> int:
    """Run a printing function that a signal may end; return the exit status: as `printed`, or 130 or 143.

    143 is for SIGTERM, 130 for any other interrupt.
    """
    try:
        with terminated_as_interrupted() as terminated:
            return printed(command)
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return 143 if terminated() else 130


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


def stop(status: int, message: str, program: str = PROGRAM) -> NoReturn:
    """Exit after an error, told in one line."""
    line = " ".join(part.strip() for part in message.splitlines())
    print(f"{program}: error: {line}", file=sys.stderr)
    raise SystemExit(status)


@contextlib.contextmanager
def refusing(saying: str = "", program: str = PROGRAM) -> Iterator[None]:
    """Stop, with the message, at an error that what was asked for leads to."""
    try:
        yield
    except (OSError, ValueError) as error:
        stop(2, f"{saying}{error}", program)


def discard_stdout() -> None:
    """Redirect stdout to os.devnull, so that Python's flush at exit cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
