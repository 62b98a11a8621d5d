"""A hostile pickle is an error of one kind, soon, and costs no memory; nothing in it is run."""

import pickle
import pickletools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cifar_files import BATCHES, python2_pickle
from hypothesis import given, settings
from hypothesis import strategies as st

from minigrad.cifar_pickle import MAX_BYTES, read_pickle

WHOLE = [python2_pickle(BATCHES[0]), *(pickle.dumps(BATCHES[0], protocol) for protocol in (2, 3, 4))]
OPCODES = [opcode.code.encode("latin1") for opcode in pickletools.opcodes]
OPERANDS = [b"", b"\x00", b"\xff", b"\xff\xff\xff\x7f", b"\xff" * 8, b"\x01\x00\x00\x00", b"latin1\n", b"1\n"]


@pytest.mark.parametrize("content", WHOLE, ids=["Python 2", "2", "3", "4"])
def test_a_batch_is_read(content):
    batch = read_pickle(content)
    assert batch.keys() == BATCHES[0].keys()
    np.testing.assert_array_equal(batch[b"data"], BATCHES[0][b"data"])
    assert batch[b"labels"] == BATCHES[0][b"labels"]
    assert batch[b"filenames"] == BATCHES[0][b"filenames"]


def read(content):
    """Read what may be anything: a value or a ValueError."""
    try:
        read_pickle(content)
    except ValueError:
        return False
    return True


@settings(max_examples=120)
@given(data=st.data())
def test_a_changed_file_is_read_or_refused(data):
    content = bytearray(data.draw(st.sampled_from(WHOLE)))
    head = st.integers(0, 400) | st.integers(0, len(content) - 1)
    for place in data.draw(st.lists(head, min_size=1, max_size=4)):
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    read(bytes(content))


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from(OPCODES) | st.sampled_from(OPERANDS), max_size=30).map(b"".join)
    | st.binary(max_size=40)
)
def test_anything_is_read_or_refused(content):
    read(b"\x80\x02" + content + b".")


ENCODE = b"c_codecs\nencode\n"
AGAIN = ENCODE + b"(h\x00X\x06\x00\x00\x00latin1tR"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(tR"
UINT8 = b"cnumpy\ndtype\n(U\x02u1tR"
CRAFTED = {
    "memo": b"Nr\xff\xff\xff\x7f.",
    "length": b"T\xff\xff\xff\x7f.",
    "negative length": b"T\xff\xff\xff\xff.",
    "length of a text": b"X\xff\xff\xff\xff.",
    "length of 8 bytes": b"\x8e" + b"\xff" * 8 + b".",
    "frame": b"\x95" + b"\xff" * 8 + b".",
    "bytearray": b"\x96" + b"\xff" * 7 + b"\x7f.",
    "long": b"\x8b\xff\xff\xff\x7f.",
    "digits": b"I" + b"9" * 100_000 + b"\n.",
    "punycode": ENCODE + b"(X\x01\x00\x00\x00aX\x08\x00\x00\x00punycodetR.",
    "encoded again and again": b"X\x00\x01\x00\x00" + b"a" * 256 + b"q\x00" + AGAIN * 90 + b".",
    "tuples": b")" + b"\x85" * 100_000 + b".",
    "a key of tuples": b"})" + b"\x85" * 90 + b"Ns.",
    "a key that doubles": b"})" + b"q\x00h\x00\x86" * 60 + b"Ns.",
    "lists": b"]" * 100_000 + b"a" * 99_999 + b".",
    "dicts": b"}" * 100_000 + b".",
    "a shape of -1": ARRAY + b"(K\x01(J\xff\xff\xff\xfft" + UINT8 + b"\x89U\x01atb.",
    "a shape without end": ARRAY + b"(K\x01(" + b"J\xff\xff\xff\x7f" * 100_000 + b"t" + UINT8 + b"\x89U\x01atb.",
    "a shape of other size": ARRAY + b"(K\x01(K\x02t" + UINT8 + b"\x89U\x01atb.",
    "a shape of bool": ARRAY + b"(K\x01(\x88t" + UINT8 + b"\x89U\x01atb.",
    "no dtype": ARRAY + b"(K\x01(K\x01tN\x89U\x01atb.",
    "marks": b"(" * 100_000 + b".",
    "a mark as a value": b"(q\x00h\x00\x85.",
    "appended to nothing": b"K\x01a.",
    "appended to a number": b"K\x01K\x01a.",
    "items without values": b"}(K\x01u.",
    "an object built": b"\x88}b.",
    "a call of a number": b"K\x01)R.",
    "a global's name": b"K\x01K\x01\x93.",
    "no end": b"N",
    "nothing": b"",
    "no line": b"cnumpy",
    "latin1 beyond": ENCODE + b"(X\x03\x00\x00\x00\xe2\x82\xacX\x06\x00\x00\x00latin1tR.",
    "no UTF-8": b"X\x01\x00\x00\x00\xff.",
    "persistent": b"Pid\n.",
    "extension": b"\x82\x01.",
    "instance": b"(ios\nsystem\n.",
    "object": b"(cos\nsystem\no.",
    "new object": b"cnumpy\nndarray\n)\x81.",
}  # fmt: skip


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_file_is_refused(name):
    assert not read(b"\x80\x02" + CRAFTED[name])


def test_a_file_of_another_size_is_refused():
    with pytest.raises(ValueError, match="where a batch has at most"):
        read_pickle(bytes(MAX_BYTES + 1))


def test_they_cost_no_memory():
    program = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import test_cifar_pickle as t
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for content in t.CRAFTED.values():
    t.read(b"\\x80\\x02" + content)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    end = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(end.stdout) < 50_000  # kilobytes
