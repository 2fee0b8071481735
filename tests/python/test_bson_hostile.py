"""Bytes that nobody should trust: clear errors, bounded memory, no crash."""

import io
import os
import random
import resource
import struct
import subprocess
import sys

import bson
import numpy as np
import pytest

import stoop.bson as sb
from stoop import _stoop

# What "skip" says of bytes that lead nowhere; here most do.
pytestmark = pytest.mark.filterwarnings("ignore:.*nothing can be read from document:RuntimeWarning")

SAMPLE = {
    "_id": bson.ObjectId("0123456789abcdef01234567"),
    "x": 1.5,
    "s": "some text",
    "d": {"k": bson.Int64(5), "e": {"b": True}},
    "l": [1, 2, 3],
    "docs": [{"a": 1}, {"a": 2}],
    "bin": b"abc",
    "u": bson.Binary(bytes(16), 4),
    "dec": bson.Decimal128("1.5"),
    "re": bson.Regex("a", "i"),
    "c": bson.Code("f", {"x": 1}),
}
RAW = bson.encode(SAMPLE)
DTYPE = [
    ("x", "f8"),
    ("s", "U4"),
    ("d", [("k", "i4"), ("e.b", "?")]),
    ("l", "i4", (3,)),
    ("docs", [("a", "i2")], (2,)),
    ("c", "O"),
]
SCHEMA = {
    "x": "double",
    "s": "string",
    "d": {"k": "int64", "e": {"b": "bool"}},
    "l": ["int32"],
    "docs": [{"a": "int32"}],
    "bin": "binary",
    "dec": "decimal128(38, 10)",
    "re": "raw",
    "c": "raw",
}


def nested(levels):
    raw = bson.encode({})
    for _ in range(levels):
        raw = struct.pack("<i", len(raw) + 8) + b"\x03a\0" + raw + b"\0"
    return raw


def ways(raw):
    """Every way to read some bytes."""
    yield lambda: sb.to_ndarray(raw, DTYPE, missing="mask", overflow="truncate")
    yield lambda: sb.to_ndarray(raw, DTYPE, missing="mask", overflow="truncate", on_error="collect")
    yield lambda: sb.to_arrow(raw, SCHEMA)
    yield lambda: sb.to_arrow(io.BytesIO(raw), SCHEMA, on_error="skip")
    yield lambda: sb.to_arrow(raw)
    yield lambda: sb.infer_schema(raw)
    yield lambda: list(sb.iter_ndarrays([raw], [("a", "O")], missing="fill"))
    yield lambda: _stoop.bson.validate(raw)


def test_every_cut_is_an_error_or_shorter():
    raw = RAW * 2
    for end in range(len(raw)):
        for read in ways(raw[:end]):
            try:
                read()
            except sb.BSONDecodeError as error:
                assert error.document <= 1
        if end not in (0, len(RAW)):
            with pytest.raises(sb.BSONDecodeError):
                sb.to_ndarray(raw[:end], [("x", "f8")])


def test_every_byte_changed():
    """Each byte of a document set to values that lengths, types and names dislike."""
    assert all(read() is not None for read in ways(RAW))
    outcomes = set()
    for place in range(len(RAW)):
        for value in (0x00, 0x01, 0x7F, 0x80, 0xFF, RAW[place] ^ 0x10):
            raw = RAW[:place] + bytes([value]) + RAW[place + 1 :] + RAW
            for read in ways(raw):
                try:
                    read()
                    outcomes.add("read")
                except sb.BSONDecodeError:
                    outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_random_damage():
    rng = random.Random(5)
    for _ in range(400):
        raw = bytearray(RAW * 4)
        for _ in range(rng.randrange(1, 6)):
            place = rng.randrange(len(raw))
            if rng.random() < 0.5:
                raw[place] = rng.randrange(256)
            else:
                raw[place : place + 4] = struct.pack("<i", rng.choice([-1, 0, 4, 2**31 - 1, -(2**31), len(raw)]))
        for read in ways(bytes(raw)):
            try:
                read()
            except sb.BSONDecodeError:
                pass


@pytest.mark.parametrize("levels", [150, 250, 10_000])
def test_depth(levels):
    raw = nested(levels)
    for read in (
        lambda: _stoop.bson.validate(raw),
        lambda: sb.infer_schema(raw),
        lambda: sb.to_arrow(raw, {"a": "raw"}),
    ):
        if levels < 200:
            read()
        else:
            with pytest.raises(sb.BSONDecodeError, match="nested .* 200"):
                read()
    # What is not asked for is skipped, however deep.
    assert sb.to_ndarray(raw + RAW, [("x", "f8")], missing="fill")["x"][1] == 1.5


def test_deep_columns_are_refused_or_read():
    schema = "int32"
    for _ in range(5000):
        schema = {"a": schema}
    with pytest.raises((ValueError, RecursionError)):
        sb.to_arrow(RAW, schema)


def test_a_document_of_16_megabytes():
    raw = bson.encode({"x": 1.0, "text": "y" * (16 << 20), "k": 2})
    for source in (raw, io.BytesIO(raw * 2), [raw]):
        array = sb.to_ndarray(source, [("x", "f8"), ("k", "i4")])
        assert set(array.tolist()) == {(1.0, 2)}
    assert sb.to_arrow(raw, {"text": "string"}).to_pyarrow()["text"][0].as_py() == "y" * (16 << 20)


def test_a_file_of_three_gigabytes(tmp_path):
    """Sparse: two documents in front of a hole, which is no document."""
    path = tmp_path / "huge.bson"
    with open(path, "wb") as file:
        file.write(RAW * 2)
        file.truncate(3 << 30)
    with pytest.raises(sb.BSONDecodeError) as caught:
        sb.to_ndarray(path, [("x", "f8")])
    assert (caught.value.document, caught.value.offset) == (2, 2 * len(RAW))
    array, errors = sb.to_ndarray(path, [("x", "f8")], on_error="collect")
    assert len(array) == 2 and len(errors) == 1
    # A document that claims all of the rest, and has a NUL at its end.
    with open(path, "r+b") as file:
        file.seek(2 * len(RAW))
        file.write(struct.pack("<i", 2**31 - 1))
    with pytest.raises(sb.BSONDecodeError) as caught:
        sb.to_ndarray(path, [("x", "f8")])
    assert caught.value.document == 2


MEMORY = """
import resource, sys, time
import numpy as np
import stoop.bson as sb
dtype = np.dtype([("x", "f8"), ("k", "i4")])
sb.to_ndarray(b"", dtype)
for _ in sb.iter_ndarrays(sys.argv[1], dtype, rows=1000): break
def resident():
    # The memory of this process just now, pages of mapped files among it.
    with open("/proc/self/status") as status:
        return max(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024
before = resident()
most, rows = 0, 0
for array in sb.iter_ndarrays(sys.argv[1], dtype, rows=50_000):
    rows += len(array)
    most = max(most, resident())
print(rows, most - before)
"""


def test_memory_stays_bounded(tmp_path):
    """Reading a file of 320 MB in parts takes a piece of it and a few megabytes."""
    document = bson.encode({"x": 1.0, "text": "y" * 1000, "k": 2})
    path = tmp_path / "large.bson"
    count = 320_000_000 // len(document)
    with open(path, "wb") as file:
        for _ in range(100):
            file.write(document * (count // 100))
    done = subprocess.run([sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True)
    rows, peak = map(int, done.stdout.split())
    assert rows == count // 100 * 100
    assert peak < (32 << 20) + (16 << 20), f"{peak:,} bytes"


def test_large_lists_do_not_ask_for_memory_by_their_claims():
    """Lengths in the bytes never decide how much memory is taken."""
    limit = resource.getrlimit(resource.RLIMIT_AS)
    raw = bytearray(bson.encode({"l": [1.0] * 10, "s": "text", "b": b"bytes"}))
    place = raw.index(b"\x04l\0") + 3
    raw[place : place + 4] = struct.pack("<i", 2**31 - 1)
    program = f"""
import resource, stoop.bson as sb
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, {limit[1]}))
for schema in ({{"l": ["double"]}}, {{"l": "raw"}}, None):
    try:
        sb.to_arrow({bytes(raw)!r}, schema)
    except sb.BSONDecodeError as error:
        print("refused")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ))
    assert done.stdout == "refused\n" * 3, done.stderr


def test_a_buffer_that_changes_meanwhile():
    """Another thread writes into the bytes while they are decoded: any answer will do, a crash will not."""
    import threading

    raw = bytearray(RAW * 3000)
    stop = threading.Event()

    def scribble():
        rng = random.Random(1)
        while not stop.is_set():
            raw[rng.randrange(len(raw))] = rng.randrange(256)

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        for _ in range(30):
            try:
                sb.to_ndarray(raw, [("x", "f8"), ("s", "U9")], missing="mask", overflow="truncate")
            except (sb.BSONDecodeError, ValueError):
                pass
    finally:
        stop.set()
        thread.join()


def test_results_own_their_memory():
    raw = bytearray(RAW * 10)
    array = sb.to_ndarray(raw, [("x", "f8"), ("s", "S9")])
    raw[:] = bytes(len(raw))
    assert array["s"].tolist() == [b"some text"] * 10 and np.all(array["x"] == 1.5)
