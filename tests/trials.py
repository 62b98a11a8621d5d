"""Killed, hostile, concurrent: whether anything is lost, or wrong.

python -m tests.trials kills            every writer, killed at 100 random moments
python -m tests.trials hostile          1,000 damaged or crafted files for every reader
python -m tests.trials threads          8 threads of 1,000 steps each, against the same steps one after the other

Each says what was tried, what held and what broke. ``tests/test_trials.py`` runs a few of each.
"""

from __future__ import annotations

import argparse
import json
import mmap
import multiprocessing
import os
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count, cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.append(str(Path(__file__).parent))
from cifar_files import FILES, make_batch, python2_pickle
from hostile import READERS, Broken, outcome
from test_solver import OPTIONS, Noisy, make_solver, numbers_of

import minigrad as mg
from minigrad import files
from minigrad.datasets import cifar10_folder, download_cifar10
from minigrad.sweep import sweep
from minigrad.sweeping.folder import SweepFolder
from minigrad.sweeping.trials import Trial
from minigrad.training import checkpoint
from models.outputs import OUTPUTS


def expect(holds: object, what: object) -> None:
    """Raise Broken unless it holds."""
    if not holds:
        raise Broken(what)


# -- kills -------------------------------------------------------------------------------------------------------


def killed(work: Callable[[], object], moment: float | None) -> bool:
    """Do the work in a child, and kill it at the moment, in seconds; tell whether that was before its end."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    if moment is not None:
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    expect(status in (0, -signal.SIGKILL), f"the child failed with status {status}")
    return status != 0


class Writer(NamedTuple):
    """Something written again and again: version 1, 2, …"""

    write: Callable[[Path, int], None]
    read: Callable[[Path], int]
    names: set[str]
    """All that may be in the folder after a version is written."""


def rewritten(writer: Writer, kills: int, rng: np.random.Generator) -> None:
    """Kill the writer of versions; what is read must be the last that was written, or the one after it."""
    done = np.frombuffer(mmap.mmap(-1, 8), np.int64)  # shared with the children
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)

        def write() -> None:
            for version in count(int(done[0]) + 1):
                writer.write(folder, version)
                done[0] = version

        for _ in range(kills):
            killed(write, rng.uniform(0, 0.04))
            version = writer.read(folder)
            expect(
                version in (done[0], done[0] + 1), f"version {version} is read after {done[0]} was written"
            )
            done[0] = version
        for version in range(int(done[0]) + 1, int(done[0]) + 4):  # one of them writes every file
            writer.write(folder, version)
        left = {path.name for path in folder.iterdir()} - writer.names
        expect(not left, f"left behind: {left}")


def content(name: str, version: int) -> bytes:
    """Return what a file holds in a version, of any length up to 300 kB."""
    rng = np.random.default_rng([version, len(name)])
    return f"{version}\n".encode() + rng.bytes(rng.integers(300_000))


def out_names(version: int) -> list[str]:
    """Return the names of the files that a run writes into ``--out``: not all of them have pictures."""
    return list(OUTPUTS[: 5 - 2 * (version % 2)])


def write_out(folder: Path, version: int) -> None:
    """Publish a set of files."""
    files.publish(folder, {name: content(name, version) for name in out_names(version)}, OUTPUTS)


def read_out(folder: Path) -> int:
    """Return the version of which all files are, before and after the move is completed."""

    def versions() -> list[int]:
        found = {name: (folder / name).read_bytes() for name in OUTPUTS if (folder / name).exists()}
        numbers = {name: int(text.partition(b"\n")[0]) for name, text in found.items()}
        expect(all(found[name] == content(name, number) for name, number in numbers.items()), "a torn file")
        return list(numbers.values())

    expect(len(set(versions())) <= 1, "files of two sets")
    files.finish(folder, OUTPUTS)
    found = versions()
    expect(not found or len(found) == len(out_names(found[0])), "a set with a file missing")
    return found[0] if found else 0


def tree(version: int) -> dict[str, Any]:
    """Return what a checkpoint holds in a version."""
    rng = np.random.default_rng(version)
    return {"version": version, "params": {"W": rng.random(version * 37 % 20_000)}, "rng": rng}


def read_checkpoint(folder: Path) -> int:
    """Return the version of the checkpoint."""
    if not (folder / "run.npz").exists():
        return 0
    found = checkpoint.load(folder / "run.npz")
    expected = tree(found["version"])
    expect(np.array_equal(found["params"]["W"], expected["params"]["W"]), "other parameters")
    expect(found["rng"].random() == expected["rng"].random(), "another generator")
    return int(found["version"])


def sweep_folder(folder: Path) -> SweepFolder:
    """Return the folder of a sweep of versions."""
    description = {"seed": 0, "grid": {}, "data": {}}
    return SweepFolder(folder, description, [{"version": version} for version in range(1, 5000)])


def write_result(folder: Path, version: int) -> None:
    """Add a training to a sweep; every third is the best so far."""
    trial = Trial({"version": version}, "finished", version / 5000, {"losses": [0.1] * (version % 500)})
    sweep_folder(folder).add(trial, {"W": np.full(version * 7 % 5000, version)}, is_best=version % 3 == 0)


def read_results(folder: Path) -> int:
    """Return how many trainings there are: all versions up to one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a line cut off is told, and set aside
        found = sweep_folder(folder).read()
    versions = [trial.setting["version"] for trial in found]
    expect(versions == list(range(1, len(versions) + 1)), f"trainings lost or doubled: {versions}")
    best = sweep_folder(folder).read_best() if versions else None
    expected = len(versions) // 3 * 3
    expect((best[0].setting["version"] if best else 0) == expected, "another best")
    expect(best is None or best[1]["W"].tolist() == [expected] * (expected * 7 % 5000), "other parameters")
    return len(versions)


def write_history(folder: Path, version: int) -> None:
    """Write the history of a training."""
    files.write(folder / "history.jsonl", b"".join(b'{"epoch": %d}\n' % epoch for epoch in range(version)))


def read_history(folder: Path) -> int:
    """Return the number of lines in the history of a training."""
    lines = (folder / "history.jsonl").read_text().splitlines() if (folder / "history.jsonl").exists() else []
    expect([json.loads(line)["epoch"] for line in lines] == list(range(len(lines))), "another history")
    return len(lines)


WRITERS = {
    "--out": Writer(write_out, read_out, set(OUTPUTS)),
    "checkpoint": Writer(
        lambda folder, version: checkpoint.save(folder / "run.npz", tree(version)),
        read_checkpoint,
        {"run.npz"},
    ),
    "results.jsonl, best.npz": Writer(
        write_result, read_results, {"grid.json", "results.jsonl", "best.npz", "results.rejected"}
    ),
    "history.jsonl": Writer(write_history, read_history, {"history.jsonl"}),
}


def downloaded(kills: int, rng: np.random.Generator) -> None:
    """Kill the download while it unpacks: there is no data set, or a whole one."""
    import pooch

    batches = {name: python2_pickle(make_batch(seed, 100)) for seed, name in enumerate(FILES)}
    with tempfile.TemporaryDirectory() as place:
        folder, archive = Path(place, "cache"), Path(place, "archive")
        unpacked = Path(place, "whole", "cifar-10-batches-py")
        unpacked.mkdir(parents=True)
        for name, batch in batches.items():
            (unpacked / name).write_bytes(batch)
        file = shutil.make_archive(str(archive), "gztar", unpacked.parent)

        def download() -> None:
            pooch.retrieve = lambda url, known_hash, name, path, **_: shutil.copy(file, path)
            download_cifar10(folder)

        for _ in range(kills):
            killed(download, rng.uniform(0, 0.08))
            try:
                found = cifar10_folder(folder)
            except FileNotFoundError:
                continue
            expect(
                all((found / name).read_bytes() == batch for name, batch in batches.items()), "a torn batch"
            )
            shutil.rmtree(found)
        expect(not killed(download, None), "it was killed by another")
        expect([path.name for path in folder.iterdir()] == ["cifar-10-batches-py"], "left behind")


def trained(kills: int, rng: np.random.Generator) -> None:
    """Kill trainings, and resume each until it ends: the same numbers as those of an undisturbed one, bit for bit."""
    tried = 0
    for options in cycle(OPTIONS):
        expected = make_solver(Noisy(), num_epochs=20, **options)
        expected.train()
        with tempfile.TemporaryDirectory() as place:
            kept = {"checkpoint": Path(place, "run.npz"), "history": Path(place, "history.jsonl")}
            solver = make_solver(Noisy(), num_epochs=20, checkpoint_seconds=1e-9, **kept, **options)

            def resume(solver: Any = solver) -> None:
                if solver.checkpoint.exists():
                    solver.resume()
                solver.train()

            while killed(resume, rng.uniform(0, 0.06)):
                tried += 1
                lines = kept["history"].read_text().splitlines() if kept["history"].exists() else []
                accuracies = [json.loads(line)["val_acc"] for line in lines]
                expect(accuracies == expected.val_acc_history[: len(accuracies)], "another history")
                if tried == kills:
                    break
            resume()
            expect(numbers_of(solver) == numbers_of(expected), "other numbers")
            expect(repr(solver.best_params) == repr(expected.best_params), "other best parameters")
            expect(
                {path.name for path in Path(place).iterdir()} == {"run.npz", "history.jsonl"}, "left behind"
            )
        if tried == kills:
            return


def train_a_little(setting: dict[str, Any], data: Any, seed: int) -> dict[str, Any]:
    """Train a setting of the sweep, for some milliseconds."""
    time.sleep(0.005)
    return {"val_acc": setting["a"] * setting["b"] % 1, "params": {"w": np.full(999, setting["a"])}}


GRID = {"a": [0.1 * i for i in range(6)], "b": [0.3 * i for i in range(5)]}


def swept(kills: int, rng: np.random.Generator, workers: int = 0) -> None:
    """Kill sweeps, and repeat each until it ends: the same table; and no worker is left."""
    data, tried = {"X": np.ones(9)}, 0
    expected = sweep(train_a_little, GRID, data, progress=False)
    while tried < kills:
        with tempfile.TemporaryDirectory() as out:

            def work(out: str = out) -> Any:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of lines cut off; of fork with threads, in Python 3.12
                    if not workers:
                        return sweep(train_a_little, GRID, data, out=out, progress=False)
                    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
                        return sweep(train_a_little, GRID, data, pool, out=out, progress=False)

            while True:
                alive, held = (
                    os.pipe()
                )  # open in the child and its workers, and so until the last of them ends
                was_killed = killed(work, rng.uniform(0, 0.4 if workers else 0.1))
                os.close(held)
                expect(select.select([alive], [], [], 20)[0], "a worker lives on")
                os.close(alive)
                tried += was_killed
                if not was_killed or tried == kills:
                    break
            result = work()
            expect(result.table() == expected.table(), "another table")
            expect(np.array_equal(result.best.params["w"], expected.best.params["w"]), "other parameters")


KILLS: dict[str, Callable[[int, np.random.Generator], None]] = {
    **{
        name: lambda kills, rng, writer=writer: rewritten(writer, kills, rng)
        for name, writer in WRITERS.items()
    },
    "download": downloaded,
    "training": trained,
    "sweep": swept,
    "sweep with workers": lambda kills, rng: swept(kills, rng, workers=2),
}
"""Each is killed so many times."""


# -- threads -----------------------------------------------------------------------------------------------------


def objective(params: dict[str, Any], X: Any, y: Any) -> Any:
    """Return the loss of a small net."""
    hidden = np.tanh(X @ params["W1"] + params["b1"])
    return mg.softmax_cross_entropy(mg.affine(hidden, params["W2"], params["b2"]), y)


def descend(params: dict[str, Any], X: Any, y: Any) -> Any:
    """Return the loss, and the parameters after a step."""
    loss, grads = mg.value_and_grad(objective)(params, X, y)
    return loss, {name: params[name] - 0.1 * grads[name] for name in params}


def descend_by_backward(params: dict[str, Any], X: Any, y: Any) -> Any:
    """Do as `descend`, on tensors and in place."""
    tensors = {name: mg.tensor(w, requires_grad=True) for name, w in params.items()}
    loss = objective(tensors, X, y)
    loss.backward()
    with mg.no_grad():
        for w in tensors.values():
            w -= 0.1 * w.grad
    return loss.item(), {name: w.numpy() for name, w in tensors.items()}


def steps(step: Callable[..., Any], number: int, seed: int) -> Iterator[Any]:
    """Train a net of its own size; yield the losses and then the parameters."""
    rng = np.random.default_rng(seed)
    width = 3 + seed % 4
    shapes = {"W1": (5, width), "b1": width, "W2": (width, 3), "b2": 3}
    params = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    for _ in range(number):
        X, y = rng.standard_normal((7, 5)), rng.integers(3, size=7)
        loss, params = step(params, X, y)
        yield float(loss)
    yield {name: w.tolist() for name, w in params.items()}


def concurrent(make_step: Callable[[], Callable[..., Any]], number: int) -> None:
    """Make the steps in 8 threads at once, and one after the other."""
    shared, found, start = make_step(), {}, threading.Barrier(8)

    def run(seed: int) -> None:
        start.wait()
        found[seed] = list(steps(shared, number, seed))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(8):
        expect(found.get(seed) == list(steps(make_step(), number, seed)), f"thread {seed} has other numbers")


THREADS = {
    "tape": lambda: descend,
    "backward": lambda: descend_by_backward,
    "jit": lambda: mg.jit(descend),
    "jit, parameters donated": lambda: mg.jit(descend, donate_argnums=0),
}
"""Each makes the step of one thread or of all."""


# -- the command line --------------------------------------------------------------------------------------------


def held(name: str, tried: str, trial: Callable[[], Any]) -> bool:
    """Run a trial, and say what became of it."""
    try:
        found = trial()
    except Broken as error:
        print(f"{name}: tried {tried}; broke: {error}", flush=True)
        return False
    counts = "".join(f"; {number} {what}" for what, number in (found or {}).items())
    print(f"{name}: tried {tried}; all held{counts}", flush=True)
    return True


def main() -> int:
    """Run the trials of a kind; return how many broke."""
    parser = argparse.ArgumentParser(prog="tests.trials", description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("kills", "hostile", "threads"))
    parser.add_argument("--number", type=int, help="of each (default: 100 kills, 1000 files, 1000 steps)")
    parser.add_argument("--only", help="the trial of this name")
    parser.add_argument("--seed", type=int, default=0, help="of moments and damage (default: %(default)s)")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    number = args.number or (100 if args.kind == "kills" else 1000)
    trials: dict[str, tuple[str, Callable[[], Any]]] = {}
    if args.kind == "kills":
        trials = {
            name: (f"{number} kills", lambda kill=kill: kill(number, rng)) for name, kill in KILLS.items()
        }
    elif args.kind == "threads":
        trials = {
            name: (f"8 threads of {number} steps", lambda make=make: concurrent(make, number))
            for name, make in THREADS.items()
        }
    else:
        trials = {
            name: (f"{number} files", lambda name=name: outcome(name, number, args.seed)) for name in READERS
        }
    return sum(not held(name, *trial) for name, trial in trials.items() if args.only in (None, name))


if __name__ == "__main__":
    sys.exit(bool(main()))
