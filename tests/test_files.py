"""Files are written whole or not at all, whoever is killed, and nothing is left behind."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import minigrad
from minigrad import files

NAMES = ("a", "b", "c")
OLD = {name: b"old " + name.encode() for name in "abc"}
NEW = {name: b"new " + name.encode() for name in "ab"}

PUBLISH = """
import os, sys
from pathlib import Path
from minigrad import files

def ending(call):
    def ended(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
        return call(*args, **kwargs)
    return ended

status = None
left = 0
while status != 0:
    folder = Path(sys.argv[1], str(left))
    folder.mkdir()
    files.publish(folder, {name: b"old " + name.encode() for name in "abc"}, "abc")
    process = os.fork()
    if process == 0:
        for name in ("rename", "replace", "unlink", "fsync", "mkdir", "rmdir", "open"):
            setattr(os, name, ending(getattr(os, name)))
        files.publish(folder, {"a": b"new a", "b": b"new b"}, "abc")
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert status in (0, -9), status
    left += 1
"""


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def run(program, *args):
    environment = os.environ | {"PYTHONPATH": str(Path(minigrad.__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-c", program, *map(str, args)], env=environment)


def test_a_set_is_replaced_whole(tmp_path):
    files.publish(tmp_path, OLD, NAMES)
    (tmp_path / "mine").write_bytes(b"mine")
    files.publish(tmp_path, NEW, NAMES)
    assert contents(tmp_path) == NEW | {"mine": b"mine"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "mine"]


def test_wherever_the_writer_is_killed_the_files_are_of_one_set_and_one_is_whole(tmp_path):
    """One writer is killed at its first call of the system, the next at its second, until one is through."""
    assert run(PUBLISH, tmp_path).wait() == 0
    folders = sorted(tmp_path.iterdir(), key=lambda folder: int(folder.name))
    assert len(folders) > 12
    for folder in folders:
        found = contents(folder)
        assert found.items() <= OLD.items() or found.items() <= NEW.items()
        files.finish(folder, NAMES)
        assert contents(folder) in (OLD, NEW)
        files.publish(folder, NEW, NAMES)  # removes what the killed one left
        assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]
    assert contents(folders[-1]) == NEW


@pytest.mark.parametrize("calls", range(8))
def test_a_disk_that_is_full_leaves_the_old_set(tmp_path, monkeypatch, calls):
    files.publish(tmp_path, OLD, NAMES)
    fsync, left = os.fsync, iter(range(calls))

    def full(descriptor):
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        try:
            files.publish(tmp_path, NEW, NAMES)
        except OSError as error:
            assert error.errno == 28
            assert str(tmp_path) in error.filename
    found = contents(tmp_path)
    assert found.items() <= OLD.items() or found.items() <= NEW.items()
    files.finish(tmp_path, NAMES)
    assert contents(tmp_path) in (OLD, NEW)


def test_threads_that_write_one_file_never_publish_a_torn_one(tmp_path):
    path, torn, done = tmp_path / "file", [], threading.Event()
    sizes = [1, 1000, 100_000, 400_000]
    whole = {bytes([number]) * size for number, size in enumerate(sizes)}
    files.replace(path, b"\0")

    def write(content):
        for _ in range(15):
            files.replace(path, content)

    def read():
        while not done.is_set():
            if (content := path.read_bytes()) not in whole:
                torn.append(len(content))

    writers = [threading.Thread(target=write, args=(content,)) for content in whole]
    reader = threading.Thread(target=read)
    for thread in [reader, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert torn == []
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_has_is_kept(tmp_path):
    program = """
import sys, time
from pathlib import Path
from minigrad.files import scratch
with scratch(Path(sys.argv[1])) as room:
    (room / "part").write_bytes(b"half")
    time.sleep(600)
"""
    process = run(program, tmp_path)
    while not list(tmp_path.glob("*/part")):
        assert process.poll() is None
    files.write(tmp_path / "file", b"1")
    assert len(list(tmp_path.glob("*/part"))) == 1
    process.kill()
    process.wait()
    files.write(tmp_path / "file", b"2")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "none" / "file", tmp_path / ("n" * 300)):
        with pytest.raises(OSError, match="cannot be written") as told:
            files.write(path, b"")
        assert told.value.filename == str(path)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_an_error_in_a_scratch_folder_is_the_callers(tmp_path):
    with pytest.raises(FileNotFoundError, match="mine"), files.scratch(tmp_path):
        raise FileNotFoundError("mine")
    assert list(tmp_path.iterdir()) == []
