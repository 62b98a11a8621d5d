"""A tiny CIFAR-10 in its own format: six files of `PER_FILE` images each."""

import struct

import numpy as np

FILES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
PER_FILE = 6


def python2_pickle(value, module="numpy.core.multiarray"):
    """Pickle as Python 2 did in protocol 2, with strings of bytes."""

    def write(value):
        if isinstance(value, dict):
            return b"}(" + b"".join(write(key) + write(item) for key, item in value.items()) + b"u"
        if isinstance(value, list):
            return b"](" + b"".join(map(write, value)) + b"e"
        if isinstance(value, tuple):
            return b"(" + b"".join(map(write, value)) + b"t"
        if isinstance(value, bytes):
            return b"T" + struct.pack("<i", len(value)) + value
        if isinstance(value, bool) or value is None:
            return {None: b"N", False: b"\x89", True: b"\x88"}[value]
        if isinstance(value, int):
            return b"J" + struct.pack("<i", value)
        reconstruct = (
            f"c{module}\n_reconstruct\n".encode() + b"(cnumpy\nndarray\n" + write((0,)) + b"U\x01btR"
        )
        dtype = b"cnumpy\ndtype\n" + write((value.dtype.str[1:].encode(), 0, 1)) + b"R"
        dtype += write((3, b"|", None, None, None, -1, -1, 0)) + b"b"
        fortran_order = not value.flags.c_contiguous
        order = "F" if fortran_order else "C"
        state = write(1) + write(value.shape) + dtype + write(fortran_order) + write(value.tobytes(order))
        return reconstruct + b"(" + state + b"tb"

    return b"\x80\x02" + write(value) + b"."


def make_batch(seed, n=PER_FILE):
    random = np.random.RandomState(seed)
    return {
        b"batch_label": b"a batch",
        b"labels": random.randint(10, size=n).tolist(),
        b"data": random.randint(256, size=(n, 3072)).astype(np.uint8),
        b"filenames": [b"a.png"] * n,
    }


BATCHES = [make_batch(seed) for seed in range(6)]


def write_cifar10(parent):
    """Write the folder cifar-10-batches-py into a parent; return it."""
    folder = parent / "cifar-10-batches-py"
    folder.mkdir()
    for name, batch in zip(FILES, BATCHES, strict=True):
        (folder / name).write_bytes(python2_pickle(batch))
    return folder
