"""Every kind of source gives the same rows, whole or in pieces."""

import gzip
import io
import mmap
import os
import subprocess
import sys
import threading

import bson
import numpy as np
import pytest
from bson.raw_bson import RawBSONDocument

import stoop.bson as sb
from stoop.bson import _rows, _sources

DTYPE = np.dtype([("x", "f8"), ("k", "i4"), ("in.k", "i8")])
DOCUMENTS = [{"x": i / 2, "k": i, "in": {"k": -i, "more": "text" * (i % 7)}} for i in range(500)]
RAW = [bson.encode(document) for document in DOCUMENTS]
WHOLE = b"".join(RAW)


def assert_all(array):
    assert array.dtype == DTYPE
    assert array["x"].tolist() == [d["x"] for d in DOCUMENTS]
    assert array["k"].tolist() == [d["k"] for d in DOCUMENTS]
    assert array["in.k"].tolist() == [d["in"]["k"] for d in DOCUMENTS]
    assert array.flags.writeable and array.flags.owndata


def batches(size=7):
    return [b"".join(RAW[i : i + size]) for i in range(0, len(RAW), size)]


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "dump.bson"
    file.write_bytes(WHOLE)
    return file


BUFFERS = {
    "bytes": lambda: WHOLE,
    "bytearray": lambda: bytearray(WHOLE),
    "memoryview": lambda: memoryview(WHOLE),
    "part of a memoryview": lambda: memoryview(b"xx" + WHOLE + b"y")[2:-1],
    "numpy array": lambda: np.frombuffer(WHOLE, "u1"),
    "iterator of documents": lambda: iter(RAW),
    "list of documents": lambda: RAW,
    "generator of batches": lambda: (batch for batch in batches()),
    "raw documents": lambda: [RawBSONDocument(raw) for raw in RAW],
    "memoryviews": lambda: [memoryview(raw) for raw in RAW],
    "file object": lambda: io.BytesIO(WHOLE),
    "batches with empty ones": lambda: [b"", *batches(), b""],
}


@pytest.mark.parametrize("kind", BUFFERS)
def test_sources_in_memory(kind):
    assert_all(sb.to_ndarray(BUFFERS[kind](), DTYPE))


@pytest.mark.parametrize("kind", BUFFERS)
def test_pieces_may_be_small(kind, monkeypatch):
    """Pieces, reads and gathered batches that end anywhere in a document change nothing."""
    monkeypatch.setattr(_sources, "PIECE", 300)
    monkeypatch.setattr(_sources, "READ", 97)
    monkeypatch.setattr(_sources, "GATHER", 150)
    with _sources.open_source(BUFFERS[kind]()) as source:
        assert sum(1 for _ in source.pieces()) > 20
    assert_all(sb.to_ndarray(BUFFERS[kind](), DTYPE))


def test_a_document_longer_than_a_piece(monkeypatch):
    monkeypatch.setattr(_sources, "PIECE", 300)
    monkeypatch.setattr(_sources, "READ", 100)
    long = b"".join([RAW[0], bson.encode({"x": 1.5, "k": 2, "in": {"k": 3}, "text": "y" * 5000}), *RAW[1:]])
    for source in (memoryview(long), io.BytesIO(long)):
        array = sb.to_ndarray(source, DTYPE)
        assert len(array) == len(RAW) + 1 and array[1].tolist() == (1.5, 2, 3)


def test_files(path, tmp_path):
    packed = tmp_path / "dump.bson.gz"
    packed.write_bytes(gzip.compress(WHOLE[:9000]) + gzip.compress(WHOLE[9000:]))
    named_otherwise = tmp_path / "packed"
    named_otherwise.write_bytes(packed.read_bytes())
    for source in (path, str(path), packed, str(named_otherwise)):
        assert_all(sb.to_ndarray(source, DTYPE))
    with open(path, "rb") as file:
        assert_all(sb.to_ndarray(file, DTYPE))
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert_all(sb.to_ndarray(mapped, DTYPE))
    with gzip.open(packed) as file:
        assert_all(sb.to_ndarray(file, DTYPE))


def test_a_pipe_by_path(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(WHOLE,))
    writer.start()
    assert_all(sb.to_ndarray(pipe, DTYPE))
    writer.join()


def test_a_file_object_is_read_from_where_it_stands(path):
    with open(path, "rb") as file:
        file.seek(len(RAW[0]))
        assert len(sb.to_ndarray(file, DTYPE)) == len(RAW) - 1


def test_empty_sources(tmp_path):
    empty = tmp_path / "empty.bson"
    empty.write_bytes(b"")
    packed = tmp_path / "empty.bson.gz"
    packed.write_bytes(gzip.compress(b""))
    for source in (b"", bytearray(), memoryview(b""), empty, packed, io.BytesIO(), [], iter(())):
        array = sb.to_ndarray(source, DTYPE)
        assert array.shape == (0,) and array.dtype == DTYPE
    assert list(sb.iter_ndarrays(b"", DTYPE)) == []


@pytest.mark.parametrize("rows", [1, 3, 100, 499, 500, 501, 10**6])
@pytest.mark.parametrize("kind", ["memoryview", "file object", "generator of batches"])
def test_iter_ndarrays(rows, kind, monkeypatch):
    monkeypatch.setattr(_sources, "PIECE", 4000)
    monkeypatch.setattr(_sources, "READ", 1000)
    arrays = list(sb.iter_ndarrays(BUFFERS[kind](), DTYPE, rows=rows))
    assert [len(array) for array in arrays] == [len(RAW[i : i + rows]) for i in range(0, len(RAW), rows)]
    assert np.concatenate(arrays)["k"].tolist() == list(range(len(RAW)))


def test_iter_ndarrays_reads_no_more_than_it_needs():
    given = []

    def source():
        for batch in batches():
            given.append(batch)
            yield batch

    iterator = sb.iter_ndarrays(source(), DTYPE, rows=10)
    assert not given
    assert len(next(iterator)) == 10


def test_iter_ndarrays_reads_a_file_as_it_goes(path, monkeypatch):
    monkeypatch.setattr(_sources, "PIECE", 4000)
    looked = []
    count = _sources._count
    monkeypatch.setattr(_sources, "_count", lambda piece: looked.append(len(piece)) or count(piece))
    iterator = sb.iter_ndarrays(path, DTYPE, rows=10)
    next(iterator)
    assert len(looked) == 1
    assert sum(len(array) for array in iterator) == len(RAW) - 10 and len(looked) > 5


WRONG = {
    "a dict": (lambda: {"x": 1}, TypeError, "not a dict; bson.encode makes bytes"),
    "a number": (lambda: 5, TypeError, "not 'int'"),
    "dicts": (lambda: [{"x": 1}], TypeError, "gives dictionaries; take find_raw_batches"),
    "numbers": (lambda: [1, 2], TypeError, "gives 'int' where raw documents"),
    "a text file": (lambda: io.StringIO("text"), TypeError, "open it in binary mode"),
    "text": (lambda: "no/such/file.bson", FileNotFoundError, "no/such/file.bson"),
    "strided": (lambda: memoryview(WHOLE)[::2], ValueError, "not contiguous"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_source(kind):
    make, error, text = WRONG[kind]
    with pytest.raises(error, match=text):
        sb.to_ndarray(make(), DTYPE)


def test_an_array_of_objects_is_its_items():
    assert sb.to_ndarray(np.array(RAW, object), DTYPE)["k"].tolist() == list(range(len(RAW)))
    with pytest.raises(TypeError, match="gives 'int' where raw documents") as caught:
        sb.to_ndarray(np.array([1, "a"], object), DTYPE)
    assert type(caught.value) is TypeError


@pytest.mark.parametrize("source", [bytes, io.BytesIO, lambda packed: iter([packed])])
@pytest.mark.parametrize("read", [sb.to_ndarray, sb.to_arrow])
def test_bytes_that_are_gzip(source, read):
    packed = gzip.compress(WHOLE)
    with pytest.raises(sb.BSONDecodeError) as caught:
        read(source(packed), np.dtype(DTYPE))
    assert caught.value.__notes__ == ["these bytes look like gzip; give the path of the file, or gzip.open(path)"]


def test_a_reading_that_is_left_alone_at_the_end(tmp_path):
    """The program ends all the same, though the thread that reads is not done."""
    path = tmp_path / "many.bson.gz"
    path.write_bytes(gzip.compress(WHOLE * 400, 1))
    program = f"""
import stoop.bson as sb
left = sb.iter_ndarrays({str(path)!r}, [("x", "f8")], rows=10)
print(len(next(left)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("10\n", "", 0)


def test_without_further_threads():
    """Where no thread can be started the caller's does all the work."""
    program = """
import resource, sys, numpy as np, bson
import stoop.bson as sb
raw = b"".join(bson.encode({"x": i / 2, **({"s": "x" * (i % 3)} if i % 2 else {})}) for i in range(100_000))
wanted = sb.to_ndarray(raw, [("x", "f8")], threads=1)
# A thread's stack is memory, too.
size = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize")) << 10
resource.setrlimit(resource.RLIMIT_AS, (size + (6 << 20), -1))
import _thread
try:
    _thread.start_new_thread(print, ())
    print("a thread could be started")
except RuntimeError:
    pass
print((sb.to_ndarray(raw, [("x", "f8")], threads=16) == wanted).all())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "True\n", done


def test_signals_are_handled_during_long_work():
    """Handlers run while documents are decoded, and end that when they raise."""
    program = """
import signal, bson, numpy as np
import stoop.bson as sb
raw = b"".join(bson.encode({"x": i, **({"s": "x" * (i % 30)} if i % 3 else {})}) for i in range(10_000)) * 600
dtype = [("x", "f4"), ("s", "U30")]
options = {"missing": "fill", "convert": "lossy"}
calls = []
signal.signal(signal.SIGALRM, lambda *_: calls.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
for threads in (1, 2):
    calls.clear()
    sb.to_ndarray(raw, dtype, threads=threads, **options)
    assert len(calls) >= 2, calls
signal.setitimer(signal.ITIMER_REAL, 0)
def stop(*_):
    raise KeyError("mine")
signal.signal(signal.SIGALRM, stop)
for threads in (1, 2):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        sb.to_ndarray(raw, dtype, threads=threads, **options)
        print("went on")
    except KeyError:
        print("ended")
print(len(sb.to_ndarray(raw, dtype, **options)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "ended\nended\n6000000\n", done


def test_a_truncated_end_keeps_the_rows_before():
    for cut in (1, 3, 4, 10, len(RAW[-1]) - 1):
        damaged = WHOLE[: len(WHOLE) - len(RAW[-1]) + cut]
        for source in (damaged, memoryview(damaged), io.BytesIO(damaged), [damaged]):
            with pytest.raises(sb.BSONDecodeError) as caught:
                sb.to_ndarray(source, DTYPE)
            assert caught.value.document == len(RAW) - 1
            assert caught.value.offset == len(WHOLE) - len(RAW[-1])
            assert len(caught.value.partial) == len(RAW) - 1


def test_errors_count_over_pieces(monkeypatch):
    monkeypatch.setattr(_sources, "PIECE", 1000)
    monkeypatch.setattr(_sources, "READ", 1000)
    bad = bson.encode({"x": "n/a", "k": 1, "in": {"k": 1}})
    damaged = b"".join([*RAW[:300], bad, *RAW[300:]])
    for source in (damaged, io.BytesIO(damaged), [damaged[: len(damaged) // 2], damaged[len(damaged) // 2 :]]):
        with pytest.raises(sb.BSONDecodeError) as caught:
            sb.to_ndarray(source, DTYPE)
        error = caught.value
        offset = sum(map(len, RAW[:300]))
        assert (error.document, error.offset, error.path) == (300, offset, "x")
        assert str(error).startswith(f'document 300 (byte {offset:,}): field "x": expected float64, found string')
        assert error.partial["k"].tolist() == list(range(300))


@pytest.mark.parametrize("size", [300, 5000, 10**9])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", [memoryview, io.BytesIO])
def test_bad_documents_left_out_piece_by_piece(size, threads, kind, monkeypatch):
    """The places of bad rows are used again: nothing of them may stay, in rows or masks."""
    monkeypatch.setattr(_sources, "PIECE", size)
    monkeypatch.setattr(_sources, "READ", size)
    bad = {"a": "bad", "z": 1}
    documents = [bad if i % 10 == 3 or i % 17 == 0 else {"a": i, **({"z": i} if i % 3 else {})} for i in range(2000)]
    raw = b"".join(map(bson.encode, documents))
    good = [document for document in documents if document is not bad]
    options = {"missing": "mask", "on_error": "collect", "threads": threads}
    dtype = [("z", "i4"), ("a", "i4")]
    array, errors = sb.to_ndarray(kind(raw), dtype, **options)
    assert array["a"].tolist() == [d["a"] for d in good]
    assert array["z"].tolist() == [d.get("z") for d in good]
    assert [error.document for error in errors] == [i for i, d in enumerate(documents) if d is bad]
    parts = list(sb.iter_ndarrays(kind(raw), dtype, rows=77, **options))
    assert [z for part, _ in parts for z in part["z"].tolist()] == [d.get("z") for d in good]
    assert sum(len(errors) for _, errors in parts) == len(documents) - len(good)
    assert {len(part) for part, _ in parts[:-1]} == {77}


def test_a_rest_that_cannot_be_read_is_told_even_when_skipping(path):
    path.write_bytes(WHOLE + b"\3\0\0\0" + WHOLE)
    words = rf"{path}: nothing can be read from document 500 \(byte {len(WHOLE):,}\) on: expected valid BSON, found"
    with pytest.warns(RuntimeWarning, match=words) as caught:
        assert_all(sb.to_ndarray(path, DTYPE, on_error="skip"))
    assert caught[0].filename == __file__
    with pytest.warns(RuntimeWarning, match=words):
        assert len(sb.to_arrow(path, {"x": "double"}, on_error="skip")) == 500
    array, errors = sb.to_ndarray(path, DTYPE, on_error="collect")
    assert len(array) == 500 and [error.document for error in errors] == [500]


def test_the_file_is_named(path):
    path.write_bytes(WHOLE + b"\1\2")
    with pytest.raises(sb.BSONDecodeError) as caught:
        sb.to_ndarray(path, DTYPE)
    assert caught.value.__notes__ == [f"in {path}"]


def test_a_length_nobody_can_mean_is_refused_before_memory_is_taken():
    """A stream whose next document claims two gigabytes."""
    taken = []

    class Endless(io.RawIOBase):
        def read(self, size=-1):
            taken.append(size)
            return WHOLE + b"\xff\xff\xff\x7f" if len(taken) == 1 else bytes(size)

        def readable(self):
            return True

    with pytest.raises(sb.BSONDecodeError) as caught:
        sb.to_ndarray(Endless(), DTYPE)
    assert caught.value.document == len(RAW)
    assert len(taken) < 5


def test_an_iterator_that_fails_keeps_what_came():
    def source():
        yield from batches()[:10]
        raise ConnectionError("the line is dead")

    with pytest.raises(sb.StreamInterrupted, match="after 70 documents.*the line is dead") as caught:
        sb.to_ndarray(source(), DTYPE)
    assert isinstance(caught.value.__cause__, ConnectionError)
    assert caught.value.documents == 70
    assert caught.value.partial["k"].tolist() == list(range(70))

    def at_once():
        raise ConnectionError("never there")
        yield b""

    with pytest.raises(ConnectionError, match="never there"):
        sb.to_ndarray(at_once(), DTYPE)


def test_a_damaged_gzip_file(tmp_path):
    packed = tmp_path / "dump.bson.gz"
    packed.write_bytes(gzip.compress(WHOLE * 100)[:-3000])
    with pytest.raises(sb.StreamInterrupted) as caught:
        sb.to_ndarray(packed, DTYPE)
    assert isinstance(caught.value.__cause__, EOFError)
    assert str(packed) in str(caught.value)
    assert 0 < len(caught.value.partial) == caught.value.documents


def test_reader_threads_end(tmp_path, monkeypatch):
    monkeypatch.setattr(_sources, "READ", 1000)
    packed = tmp_path / "dump.bson.gz"
    packed.write_bytes(gzip.compress(WHOLE * 50))

    def readers():
        return [thread for thread in threading.enumerate() if thread.name == "stoop.bson reader"]

    iterator = sb.iter_ndarrays(packed, DTYPE, rows=10)
    next(iterator)
    assert readers()
    iterator.close()
    assert not readers()


def test_nothing_heavy_is_imported():
    """`import stoop` and `import stoop.bson` leave the optional packages alone."""
    import subprocess
    import sys

    program = (
        "import sys, stoop, stoop.bson\n"
        "heavy = {'numpy', 'pyarrow', 'pandas', 'polars', 'pymongo', 'bson', 'duckdb'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "print(set(stoop.bson.__all__) <= set(dir(stoop.bson)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTrue\n"


@pytest.mark.parametrize(
    "package, call, words",
    [
        ("numpy", "sb.to_ndarray(b'', [('x', 'f8')])", "stoop.bson needs NumPy: pip install 'stoop[bson]'"),
        ("bson", "sb.to_ndarray(raw, [('l', 'O')])", "need PyMongo: pip install 'stoop[bson]'"),
        ("pyarrow", "sb.to_arrow(raw, {'x': 'double'}).to_pyarrow()", "needs pyarrow, which is not installed"),
        ("polars", "sb.to_arrow(raw).to_polars()", "needs polars, which is not installed"),
    ],
)
def test_what_is_not_installed_is_said(package, call, words):
    import subprocess
    import sys

    raw = bson.encode({"x": 1.0, "l": [1]})
    program = f"import sys\nsys.modules[{package!r}] = None\nimport stoop.bson as sb\nraw = {raw!r}\n{call}\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: ") and words in done.stderr.splitlines()[-1]


def lopsided(broken=False):
    """Documents whose number nobody guesses: wherever one looks at a few, there are large ones. And how many."""
    large = bson.encode({"x": 0.5, "text": "t" * (40 << 10)})
    small = bson.encode({"x": 1.5})
    block = large + small * ((512 << 10) // len(small))
    number = 1 + (512 << 10) // len(small)
    wrong = bson.encode({"x": "no number"}) if broken else b""
    return block * 8 + wrong, 8 * number


def rooms(monkeypatch):
    """The numbers of rows that room is made for."""
    asked = []
    real = _rows._Growing.all_room

    def counted(self, rows):
        asked.append(rows)
        return real(self, rows)

    monkeypatch.setattr(_rows._Growing, "all_room", counted)
    return asked


@pytest.mark.parametrize("missing", ["error", "mask"])
def test_more_documents_than_was_guessed(monkeypatch, missing):
    asked = rooms(monkeypatch)
    raw, number = lopsided()
    array = sb.to_ndarray(raw, [("x", "f8")], missing=missing, threads=1)
    assert len(asked) == 2 and asked[0] < number and asked[1] == number
    assert len(array) == number and (array["x"] == 0.5).sum() == 8 and (array["x"] == 1.5).sum() == number - 8


def test_an_error_behind_what_was_guessed(monkeypatch):
    asked = rooms(monkeypatch)
    raw, number = lopsided(broken=True)
    with pytest.raises(sb.BSONDecodeError, match='field "x"') as caught:
        sb.to_ndarray(raw, [("x", "f8")], threads=1)
    assert len(asked) == 2
    assert (caught.value.document, caught.value.offset) == (number, len(raw) - len(bson.encode({"x": "no number"})))
    assert len(caught.value.partial) == number


def test_documents_that_seem_to_be_of_one_size(monkeypatch):
    """Cut where they would begin if they were; found out, and cut anew."""
    asked = rooms(monkeypatch)
    even = bson.encode({"x": 1.5})
    odd = bson.encode({"x": 1.5, "y": 1.0})
    # As many bytes as documents of one size would have, and one of those wherever one cuts.
    size = len(even)
    filler = odd * size
    raw = even * 200_003 + filler + even * (299_997 - len(filler) // size)
    assert len(raw) % size == 0
    number = len(sb.to_ndarray(raw, [("x", "f8")], threads=1))
    assert number == 500_000 - len(filler) // size + size
    asked.clear()
    assert len(sb.to_ndarray(raw, [("x", "f8")], threads=2)) == number
    assert asked == [500_000, number]


def test_a_source_that_fails_while_its_schema_is_inferred():
    def failing(documents):
        for k in range(documents):
            yield bson.encode({"x": float(k)})
        raise OSError("dropped")

    for read in (sb.infer_schema, sb.to_arrow):
        with pytest.raises(OSError, match="dropped"):
            read(failing(0))
        with pytest.raises(sb.StreamInterrupted, match="after 3 documents .*dropped") as caught:
            read(failing(3))
        assert isinstance(caught.value.__cause__, OSError)


def test_none_is_no_end_of_an_iterator_or_a_file():
    one = bson.encode({"x": 1.0})
    with pytest.raises(TypeError, match="NoneType"):
        sb.to_ndarray([one, None, one], [("x", "f8")])

    class NotReady(io.BytesIO):
        def read(self, size=-1):
            return super().read(size) or None

    with pytest.raises(sb.StreamInterrupted, match="does not block") as caught:
        sb.to_ndarray(NotReady(one), [("x", "f8")])
    assert len(caught.value.partial) == 1


def test_paths_deeper_than_any_document_are_refused():
    path = ".".join("a" * 20_000)
    with pytest.raises(ValueError, match="20,000 levels deep"):
        sb.to_ndarray(bson.encode({"x": 1.0}), [(path, "f8")], missing="fill")
    with pytest.raises(ValueError, match="20,000 levels deep"):
        sb.to_ndarray(bson.encode({"x": 1.0}), [("q", "f8")], missing="fill", paths={"q": path})
    with pytest.raises(ValueError, match="20,000 levels deep"):
        sb.to_arrow(bson.encode({"x": 1.0}), {path: "double"})


def test_arrays_of_array_dtypes_are_arrays_of_their_items():
    dtype = np.dtype([("m", np.dtype(("f4", (3,))), (2,))])
    rows = sb.to_ndarray(bson.encode({"m": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]}), dtype)
    assert rows["m"].tolist() == [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]
    with pytest.raises(sb.BSONDecodeError):
        sb.to_ndarray(bson.encode({"m": [bson.ObjectId(), bson.ObjectId()]}), dtype)
