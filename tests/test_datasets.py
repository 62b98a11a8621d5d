"""CIFAR-10 is read, refused and downloaded as the course and the file format say; the digits come whole."""

import errno
import hashlib
import http.server
import io
import os
import pickle
import sys
import tarfile
import threading

import numpy as np
import pytest
from cifar_files import BATCHES, FILES, PER_FILE, python2_pickle, write_cifar10
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from minigrad import datasets
from minigrad.datasets import cifar10_folder, download_cifar10, get_cifar10_data, load_digits

IMAGES = np.concatenate([batch[b"data"] for batch in BATCHES]).reshape(-1, 3, 32, 32)
LABELS = np.concatenate([batch[b"labels"] for batch in BATCHES])
TRAINING = 5 * PER_FILE


@pytest.fixture
def folder(tmp_path):
    return write_cifar10(tmp_path)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory, monkeypatch):
    """Keep the tests away from the user's own data."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.delenv("CIFAR10_DIR", raising=False)
    return cache / "minigrad"


# The split


def test_the_course_s_preprocessing_is_followed_to_the_bit(folder):
    data = get_cifar10_data(folder, num_training=20, num_validation=7, num_test=4)
    # as cs231n/data_utils.py does: images last, floats, mean of the training part, transposed at the end
    X = IMAGES.transpose(0, 2, 3, 1).astype("float")
    X_train, X_val, X_test = X[:20], X[20:27], X[TRAINING : TRAINING + 4]
    mean = np.mean(X_train, axis=0)
    assert list(data) == ["X_train", "y_train", "X_val", "y_val", "X_test", "y_test"]
    for part, expected in {"train": X_train, "val": X_val, "test": X_test}.items():
        assert_array_equal(data[f"X_{part}"], (expected - mean).transpose(0, 3, 1, 2))
        assert data[f"X_{part}"].dtype == np.float64
        assert data[f"X_{part}"].flags.c_contiguous
        assert data[f"y_{part}"].dtype == np.int64
    assert_array_equal(data["y_train"], LABELS[:20])
    assert_array_equal(data["y_val"], LABELS[20:27])
    assert_array_equal(data["y_test"], LABELS[TRAINING : TRAINING + 4])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    counts=st.tuples(st.integers(1, 20), st.integers(0, 10), st.integers(0, PER_FILE)),
    dtype=st.sampled_from([np.float16, "float32", np.float64, ">f8"]),
)
def test_any_split_is_cut_from_the_files_in_order(folder, counts, dtype):
    n, v, t = counts
    data = get_cifar10_data(folder, n, v, t, subtract_mean=False, dtype=dtype)
    assert_array_equal(data["X_train"], IMAGES[:n])
    assert_array_equal(data["X_val"], IMAGES[n : n + v])
    assert_array_equal(data["X_test"], IMAGES[TRAINING : TRAINING + t])
    assert_array_equal(np.concatenate([data["y_train"], data["y_val"]]), LABELS[: n + v])
    assert {data[key].dtype for key in data if key.startswith("X")} == {np.dtype(dtype)}


def test_float32_is_the_rounded_float64(folder):
    double = get_cifar10_data(folder, 20, 5, 5)
    single = get_cifar10_data(folder, 20, 5, 5, dtype=np.float32)
    for key in double:
        assert_array_equal(single[key], double[key].astype(single[key].dtype))
    assert single["X_train"].dtype == np.float32


def test_only_the_files_needed_are_read(folder):
    for name in FILES[2:]:
        (folder / name).write_bytes(b"not read")
    data = get_cifar10_data(folder, num_training=PER_FILE, num_validation=PER_FILE, num_test=0)
    assert data["X_val"].shape == (PER_FILE, 3, 32, 32)
    assert data["X_test"].shape == (0, 3, 32, 32)
    assert data["y_test"].shape == (0,)


def test_the_course_s_spelling():
    assert datasets.get_CIFAR10_data is get_cifar10_data


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_training": 0}, ValueError, "num_training must be an int >= 1, got 0"),
        ({"num_validation": -1}, ValueError, "num_validation must be an int >= 0, got -1"),
        ({"num_test": 2.0}, TypeError, "num_test must be an int >= 0, got 2.0"),
        ({"num_training": True}, TypeError, "num_training must be an int >= 1, got True"),
        ({"num_training": 30, "num_validation": 1}, ValueError, "= 31, but data_batch_1.* hold 30 images"),
        ({"num_training": np.int8(100), "num_validation": np.int8(100)}, ValueError, "= 200, but"),
        ({"num_test": 7}, ValueError, "num_test = 7, but test_batch in .* hold 6 images"),
        ({"dtype": np.int64}, TypeError, "dtype = int64"),
        ({"dtype": complex}, TypeError, "dtype = complex128"),
    ],
)
def test_bad_arguments_are_refused(folder, arguments, error, message):
    with pytest.raises(error, match=message):
        get_cifar10_data(folder, **({"num_training": 20, "num_validation": 5, "num_test": 5} | arguments))


def test_counts_may_be_small_numpy_integers(folder):
    data = get_cifar10_data(folder, np.int8(20), np.int8(5), np.uint8(5))
    assert len(data["X_train"]) == 20


# Where it is found


def test_root_is_the_folder_or_its_parent(folder):
    assert cifar10_folder(folder) == folder
    assert cifar10_folder(str(folder.parent)) == folder


@pytest.mark.parametrize("parent", [False, True])
def test_the_environment_variable_names_the_folder_or_its_parent(folder, monkeypatch, parent):
    monkeypatch.setenv("CIFAR10_DIR", str(folder.parent if parent else folder))
    assert cifar10_folder() == folder
    assert len(get_cifar10_data(None, 20, 5, 5)["X_train"]) == 20


def test_the_cache_folder_is_the_last_resort(folder, elsewhere):
    elsewhere.mkdir()
    folder.rename(elsewhere / folder.name)
    assert cifar10_folder() == elsewhere / folder.name


def test_the_cache_folder_without_xdg(folder, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    cache = folder.parent / ".cache" / "minigrad"
    cache.mkdir(parents=True)
    folder.rename(cache / folder.name)
    assert cifar10_folder() == cache / folder.name


def test_a_missing_data_set_is_explained(tmp_path, elsewhere, monkeypatch):
    with pytest.raises(FileNotFoundError) as error:
        get_cifar10_data()
    for part in [str(elsewhere), "download_cifar10()", '".[data]"', "root", "CIFAR10_DIR", "--data-dir"]:
        assert part in str(error.value)
    monkeypatch.setenv("CIFAR10_DIR", str(tmp_path / "named"))
    with pytest.raises(FileNotFoundError, match=r"named \(from the environment variable CIFAR10_DIR\)"):
        get_cifar10_data()
    with pytest.raises(FileNotFoundError, match=r"given \(from root\)"):
        get_cifar10_data(tmp_path / "given")


def test_a_named_place_is_not_replaced_by_another(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("CIFAR10_DIR", str(folder))
    with pytest.raises(FileNotFoundError):
        get_cifar10_data(tmp_path / "elsewhere")


def test_an_incomplete_folder_is_named(folder):
    (folder / "data_batch_3").unlink()
    with pytest.raises(FileNotFoundError, match="lacks data_batch_3"):
        get_cifar10_data(folder)


# What a file may hold


def read_first(folder, content):
    (folder / FILES[0]).write_bytes(content)
    return get_cifar10_data(folder, PER_FILE, 0, 0, subtract_mean=False)


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_arrays_of_numpy_1_and_2_are_read(folder, module):
    data = read_first(folder, python2_pickle(BATCHES[0], module))
    assert_array_equal(data["X_train"], IMAGES[:PER_FILE])


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_batches_written_by_python_3_are_read(folder, protocol):
    data = read_first(folder, pickle.dumps(BATCHES[0], protocol=protocol))
    assert_array_equal(data["X_train"], IMAGES[:PER_FILE])
    assert_array_equal(data["y_train"], LABELS[:PER_FILE])


def test_fortran_order_is_read(folder):
    data = read_first(folder, python2_pickle(BATCHES[0] | {b"data": np.asfortranarray(BATCHES[0][b"data"])}))
    assert_array_equal(data["X_train"], IMAGES[:PER_FILE])


class Call:
    """Pickles as a call, which loading carries out."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (os.system, ["touch evil"]),
        (eval, ["open('evil', 'w')"]),
        (np.memmap, ["evil", np.uint8, "w+", 0, 1]),
    ],
)
def test_a_foreign_global_is_refused_before_it_is_called(folder, monkeypatch, function, arguments, protocol):
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match=rf"data_batch_1 .* names \w+\.{function.__name__}"):
        read_first(folder, pickle.dumps(Call(function, *arguments), protocol))
    assert sorted(path.name for path in folder.iterdir()) == FILES


def test_a_foreign_global_is_not_even_imported(folder, tmp_path, monkeypatch):
    (tmp_path / "evil_module.py").write_text("function = print")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"evil_module\.function"):
        read_first(folder, b"\x80\x02cevil_module\nfunction\n(tR.")
    assert "evil_module" not in sys.modules


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(pickle.dumps({b"data": np.array([[1]], dtype=object)}, 2), id="objects"),
        pytest.param(pickle.dumps(BATCHES[0] | {b"filenames": np.array([{}])}, 2), id="objects elsewhere"),
        pytest.param(pickle.dumps({b"data": np.zeros(1, "u1,O")}, 2), id="objects in records"),
        # an object dtype whose flags claim that its bytes are plain: NumPy would take them for pointers
        pytest.param(
            b"\x80\x02" + RECONSTRUCT + b"(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x01tcnumpy\ndtype\n"
            b"(U\x02O8K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08AAAAAAAAtb.",
            id="forged flags",
        ),
        pytest.param(b"\x80\x02" + RECONSTRUCT + b"(N}U\x0c__setstate__NstbN.", id="state of a constructor"),
        pytest.param(b"\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.", id="call of ndarray"),
        pytest.param(b"\x80\x02" + RECONSTRUCT + b"(tRU\x04spamb.", id="no state"),
    ],
)
def test_the_admitted_constructors_are_of_no_other_use(folder, content):
    with pytest.raises(ValueError, match="data_batch_1 is not a CIFAR-10 batch"):
        read_first(folder, content)
    data = read_first(folder, python2_pickle(BATCHES[0]))  # and none of them is changed
    assert_array_equal(data["X_train"], IMAGES[:PER_FILE])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({b"data": np.zeros((PER_FILE, 3071), np.uint8)}, r"found \(6, 3071\)"),
        ({b"data": np.zeros((PER_FILE, 3, 32, 32), np.uint8)}, r"found \(6, 3, 32, 32\)"),
        ({b"data": np.zeros((PER_FILE, 3072), np.int8)}, "uint8, found dtype b'i1'"),
        ({b"data": np.zeros((PER_FILE, 3072))}, "uint8, found dtype b'f8'"),
        ({b"data": [0]}, "found a list"),
        ({b"labels": [0] * (PER_FILE + 1)}, "list of 6 labels"),
        ({b"labels": np.zeros(PER_FILE, np.uint8)}, "list of 6 labels"),
        ({b"labels": [0, 1, 2, 3, 4, 10]}, "from 0 to 9"),
        ({b"labels": [0, 1, 2, 3, 4, -1]}, "from 0 to 9"),
        ({b"labels": [0, 1, 2, 3, 4, True]}, "from 0 to 9"),
        ({b"labels": [0, 1, 2, 3, 4, b"5"]}, "from 0 to 9"),
    ],
)
def test_wrong_contents_are_refused(folder, change, message):
    with pytest.raises(ValueError, match=f"data_batch_1 is not a CIFAR-10 batch.*{message}"):
        read_first(folder, python2_pickle(BATCHES[0] | change))


@pytest.mark.parametrize(
    "content", [b"", b"<html>404</html>", b"\x1f\x8b\x08", pickle.dumps([1], 2), pickle.dumps({"data": 1}, 2)]
)
def test_what_is_no_batch_is_refused(folder, content):
    with pytest.raises(ValueError, match="data_batch_1 is not a CIFAR-10 batch"):
        read_first(folder, content)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(data=st.data())
def test_a_truncated_batch_is_refused(folder, data):
    whole = python2_pickle(BATCHES[0])
    length = data.draw(st.integers(0, 300) | st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError, match="data_batch_1 is not a CIFAR-10 batch, or is damaged"):
        read_first(folder, whole[:length])


# Download


def make_archive(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def member(name, content=b"", **attributes):
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, content


MEMBERS = [
    member("cifar-10-batches-py", type=tarfile.DIRTYPE, mode=0o755),
    *(
        member(f"cifar-10-batches-py/{name}", python2_pickle(batch))
        for name, batch in zip(FILES, BATCHES, strict=True)
    ),
]


class Server(http.server.ThreadingHTTPServer):
    body = b""
    promised = 0
    requests = 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        self.send_response(200 if self.server.body else 404)
        self.send_header("Content-Length", str(self.server.promised))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(monkeypatch):
    """Serve bytes on the loopback; return their address and SHA-256."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def serve(body, promised=None):
            server.body, server.promised = body, len(body) if promised is None else promised
            address = f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz"
            return {"url": address, "known_hash": hashlib.sha256(body).hexdigest()}

        serve.server = server
        yield serve
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("by", ["cache", "parent", "folder", "environment"])
def test_a_download_is_found_afterwards(serve, tmp_path, elsewhere, monkeypatch, by):
    root = {"parent": tmp_path / "new" / "parent", "folder": tmp_path / "new" / "cifar-10-batches-py"}.get(by)
    if by == "environment":
        monkeypatch.setenv("CIFAR10_DIR", str(tmp_path / "named"))
    source = serve(make_archive(MEMBERS))
    folder = download_cifar10(root, **source)
    assert folder == cifar10_folder(root)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["cifar-10-batches-py"]
    assert (folder.parent == elsewhere) == (by == "cache")
    assert_array_equal(get_cifar10_data(root, 20, 5, 5, subtract_mean=False)["X_train"], IMAGES[:20])
    assert download_cifar10(root, **source) == folder
    assert serve.server.requests == 1


def test_what_is_there_is_not_downloaded_again(folder, serve):
    assert download_cifar10(folder, **serve(b"")) == folder
    assert download_cifar10(folder.parent, **serve(b"")) == folder
    assert serve.server.requests == 0


def test_an_incomplete_folder_is_left_alone(folder, serve):
    (folder / "test_batch").unlink()
    with pytest.raises(FileExistsError, match="lacks test_batch: move it away"):
        download_cifar10(folder, **serve(make_archive(MEMBERS)))
    assert serve.server.requests == 0
    assert sorted(path.name for path in folder.iterdir()) == FILES[:-1]


def refuse(serve, root, error, message, body, promised=None, **changes):
    """Nothing remains of a download that fails, beside it or outside."""
    with pytest.raises(error, match=message):
        download_cifar10(root / "data", **(serve(body, promised) | changes))
    assert [path.name for path in root.rglob("*")] == ["data"]


def test_a_wrong_hash_is_refused(serve, tmp_path):
    refuse(serve, tmp_path, ValueError, "hash", make_archive(MEMBERS), known_hash="0" * 64)


def test_a_cut_connection_is_refused(serve, tmp_path):
    archive = make_archive(MEMBERS)
    refuse(serve, tmp_path, OSError, "could not be downloaded", archive, promised=len(archive) + 1000)


def test_a_missing_page_is_refused(serve, tmp_path):
    refuse(serve, tmp_path, OSError, "could not be downloaded: 404", b"")


def test_an_unreachable_server_is_refused(serve, tmp_path):
    refuse(serve, tmp_path, OSError, "could not be downloaded", b"", url="http://127.0.0.1:1/")


@pytest.mark.parametrize(
    "body",
    [b"<html>moved</html>", b"\x1f\x8b\x08broken", make_archive(MEMBERS)[:5000]],
    ids=["html", "gz", "cut"],
)
def test_what_is_no_archive_is_refused(serve, tmp_path, body):
    refuse(serve, tmp_path, ValueError, "is not a complete tar archive", body)


@pytest.mark.parametrize("old_python", [False, True])
@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("../evil", {}),
        ("cifar-10-batches-py/../../../evil", {}),
        ("{absolute}/evil", {}),
        ("cifar-10-batches-py/link", {"type": tarfile.SYMTYPE, "linkname": "../../evil"}),
        ("cifar-10-batches-py/link", {"type": tarfile.SYMTYPE, "linkname": "test_batch"}),
        ("cifar-10-batches-py/link", {"type": tarfile.LNKTYPE, "linkname": "cifar-10-batches-py/test_batch"}),
        ("cifar-10-batches-py/device", {"type": tarfile.CHRTYPE}),
        ("cifar-10-batches-py/pipe", {"type": tarfile.FIFOTYPE}),
    ],
)
def test_an_archive_that_reaches_outside_is_refused(
    serve, tmp_path, monkeypatch, name, attributes, old_python
):
    if old_python:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    name = name.format(absolute=tmp_path)
    archive = make_archive([*MEMBERS, member(name, **attributes)])
    refuse(serve, tmp_path, ValueError, f"member '{name}' is not a plain file or folder", archive)


def test_an_archive_of_something_else_is_refused(serve, tmp_path):
    refuse(serve, tmp_path, ValueError, "lacks test_batch", make_archive(MEMBERS[:-1]))


def test_of_two_downloads_at_once_both_return_the_folder(serve, tmp_path, monkeypatch):
    replace, source = os.replace, serve(make_archive(MEMBERS))

    def late(there, folder):
        monkeypatch.setattr(os, "replace", replace)
        download_cifar10(tmp_path, **source)
        replace(there, folder)

    monkeypatch.setattr(os, "replace", late)
    assert download_cifar10(tmp_path, **source) == tmp_path / "cifar-10-batches-py"
    assert serve.server.requests == 2
    assert sorted(path.name for path in (tmp_path / "cifar-10-batches-py").iterdir()) == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-batches-py"]


def test_what_a_killed_download_left_is_removed(serve, tmp_path):
    (tmp_path / ".minigrad-killed").mkdir()
    (tmp_path / ".minigrad-killed" / "cifar-10-python.tar.gz").write_bytes(b"half")
    download_cifar10(tmp_path, **serve(make_archive(MEMBERS)))
    assert [path.name for path in tmp_path.iterdir()] == ["cifar-10-batches-py"]


def test_a_disk_that_is_full_while_unpacking_is_told_with_the_folder(serve, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tarfile.TarFile, "extractall", full)
    with pytest.raises(OSError, match="No space left on device; it cannot be written") as told:
        download_cifar10(tmp_path, **serve(make_archive(MEMBERS)))
    assert told.value.filename == str(tmp_path / "cifar-10-batches-py")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("root", ["file", "file/below", "n" * 300, "n" * 300 + "/cifar-10-batches-py"])
def test_a_place_where_no_folder_can_be_is_told_before_the_download(serve, tmp_path, root):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="it cannot be written") as told:
        download_cifar10(tmp_path / root, **serve(make_archive(MEMBERS)))
    assert told.value.filename.startswith(str(tmp_path / root))
    with pytest.raises(FileNotFoundError, match="no CIFAR-10 data set at"):
        cifar10_folder(tmp_path / root)
    assert serve.server.requests == 0
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_pooch_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[data\]"'):
        download_cifar10(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


# Digits


def test_the_digits_come_whole():
    data = load_digits()
    shapes = {key: value.shape for key, value in data.items()}
    assert shapes == {
        "X_train": (1297, 1, 8, 8),
        "y_train": (1297,),
        "X_val": (250, 1, 8, 8),
        "y_val": (250,),
        "X_test": (250, 1, 8, 8),
        "y_test": (250,),
    }
    labels = np.concatenate([data["y_train"], data["y_val"], data["y_test"]])
    assert labels.dtype == np.int64
    # class counts of the test part in the documentation of the set
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    images = np.concatenate([data["X_train"], data["X_val"], data["X_test"]])
    np.testing.assert_allclose(data["X_train"].mean(axis=0), 0, atol=1e-15)
    corner = images[:, 0, 3, 3] - images[:, 0, 3, 3].min()  # a pixel that takes all values from 0 to 16
    np.testing.assert_allclose(np.unique(np.round(corner, 12)), np.arange(17) / 16)


@pytest.mark.parametrize("content", [None, b"", b"PK", b"\x93NUMPY"])
def test_damaged_digits_are_named(tmp_path, monkeypatch, content):
    (tmp_path / "data").mkdir()
    if content is not None:
        (tmp_path / "data" / "digits.npz").write_bytes(content)
    monkeypatch.setattr(datasets.resources, "files", lambda _: tmp_path)
    with pytest.raises(ValueError, match=r"digits\.npz is missing or damaged .* reinstall minigrad"):
        load_digits()


def test_the_digits_are_always_the_same():
    data = load_digits()
    assert data["y_train"][:8].tolist() == [2, 8, 2, 6, 6, 7, 1, 9]
    assert data["y_test"][:8].tolist() == [1, 0, 5, 6, 6, 8, 0, 7]


def test_all_classes_are_in_all_parts():
    data = load_digits()
    for part in ("train", "val", "test"):
        assert np.bincount(data[f"y_{part}"], minlength=10).min() > 10


def test_the_digits_can_be_told_apart():
    """Images and labels belong together: the nearest training image names the digit."""
    data = load_digits()
    train, test = (data[key].reshape(-1, 64) for key in ("X_train", "X_test"))
    distances = (test**2).sum(1)[:, None] - 2 * test @ train.T + (train**2).sum(1)
    assert (data["y_train"][distances.argmin(1)] == data["y_test"]).mean() > 0.97


def test_fewer_training_digits_leave_the_other_parts():
    whole, few = load_digits(), load_digits(dtype=np.float32, num_training=50)
    assert_array_equal(few["y_train"], whole["y_train"][:50])
    assert_array_equal(few["y_test"], whole["y_test"])
    assert few["X_train"].dtype == few["X_test"].dtype == np.float32
    np.testing.assert_allclose(few["X_train"].mean(axis=0), 0, atol=1e-6)
    shift = whole["X_train"][:50].mean(axis=0)
    np.testing.assert_allclose(few["X_val"], whole["X_val"] - shift, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_training": 1298}, ValueError, "1297 training images"),
        ({"num_training": 0}, ValueError, "must be an int >= 1"),
        ({"num_training": 1.5}, TypeError, "num_training must be an int >= 1, got 1.5"),
        ({"dtype": np.uint8}, TypeError, "dtype = uint8"),
    ],
)
def test_bad_arguments_for_digits_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        load_digits(**arguments)


def test_the_digits_name_their_source_and_licence():
    path = os.path.join(os.path.dirname(datasets.__file__), "data", "digits.npz")
    with np.load(path, allow_pickle=False) as digits:
        assert {name: (digits[name].dtype.kind, digits[name].shape) for name in digits.files} == {
            "images": ("u", (1797, 8, 8)),
            "labels": ("u", (1797,)),
            "source": ("U", ()),
        }
        assert "Alpaydin" in str(digits["source"])
        assert "CC BY 4.0" in str(digits["source"])
