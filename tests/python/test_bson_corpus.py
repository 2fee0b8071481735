"""The BSON corpus, MongoDB's own test cases for drivers: every valid case, and every decode error.

They come with PyMongo's source package, which is fetched from PyPI once.
"""

import json
import subprocess
import sys
import tarfile
from importlib.metadata import version

import bson
import numpy as np
import pytest
from bson.codec_options import CodecOptions, DatetimeConversion

import stoop.bson as sb
from stoop import _stoop

# Types that PyMongo reads as others (undefined as null, symbols as text, DBPointers as DBRefs).
# Dates beyond Python's are read as numbers, by us and here.
OPTIONS = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
CHANGED_BY_PYMONGO = ("undefined", "symbol", "dbPointer")


@pytest.fixture(scope="module")
def corpus(request):
    """The corpus files by name, as Python values."""
    wanted = f"pymongo-{version('pymongo')}.tar.gz"
    folder = request.config.cache.mkdir("pymongo-source")
    archive = folder / wanted
    if not archive.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-binary", "pymongo", "--dest", str(folder), f"pymongo=={version('pymongo')}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if not archive.exists():
            unreachable = ("No matching distribution", "ConnectionError", "NewConnectionError", "Temporary failure")
            if any(words in done.stderr for words in unreachable):
                pytest.skip(f"no network: PyMongo's source package could not be fetched ({done.stderr.strip()[-200:]})")
            raise RuntimeError(f"fetching {wanted} failed:\n{done.stderr}")
    found = {}
    with tarfile.open(archive) as files:
        for member in files:
            if "/test/bson_corpus/" in member.name and member.name.endswith(".json"):
                found[member.name.rpartition("/")[2]] = json.load(files.extractfile(member))
    assert len(found) > 25
    return found


def valid_cases(corpus):
    """(name, bytes) of every valid case, in each of its encodings."""
    for name, file in corpus.items():
        for case in file.get("valid", []):
            for encoding in ("canonical_bson", "degenerate_bson", "converted_bson"):
                if encoding in case:
                    yield f"{name}: {case['description']} ({encoding})", bytes.fromhex(case[encoding])


def error_cases(corpus):
    for name, file in corpus.items():
        for case in file.get("decodeErrors", []):
            yield f"{name}: {case['description']}", bytes.fromhex(case["bson"])


def as_objects(raw, keys):
    """A document's fields read into object columns."""
    dtype = np.dtype([(f"f{i}", "O") for i in range(len(keys))])
    return sb.to_ndarray(raw, dtype, paths={f"f{i}": (key,) for i, key in enumerate(keys)})


def test_every_valid_case_is_valid(corpus):
    cases = list(valid_cases(corpus))
    assert len(cases) > 700
    for name, raw in cases:
        assert _stoop.bson.count(raw) == (1, len(raw)), name
        _stoop.bson.validate(raw)


def test_every_valid_case_as_objects(corpus):
    """Object columns hold what PyMongo makes of the same bytes, and encode to what it encodes them to."""
    seen = 0
    for name, raw in valid_cases(corpus):
        document = bson.decode(raw, OPTIONS)
        keys = list(document)
        if not keys:
            continue
        row = as_objects(raw, keys)
        for i, key in enumerate(keys):
            assert bson.encode({"v": row[f"f{i}"][0]}) == bson.encode({"v": document[key]}), name
        back = sb.from_ndarray(row, paths={f"f{i}": (key,) for i, key in enumerate(keys)})
        assert back == bson.encode(document), name
        seen += 1
    assert seen > 700


def test_every_valid_case_as_raw_columns(corpus):
    """A raw column has the bytes of a value exactly: put together they are the document again."""
    seen = 0
    for name, raw in valid_cases(corpus):
        schema = sb.infer_schema(raw)
        names = [field.path[0] for field in schema if len(field.path) == 1]
        if not names or any("." in name for name in names):
            continue
        table = sb.to_arrow(raw, dict.fromkeys(names, "raw")).to_pyarrow()
        (row,) = table.to_pylist()
        # Null in a column is null, or missing; here nothing is missing.
        values = {n: b"\x0a" if row[n] is None else row[n] for n in names}
        elements = b"".join(values[n][:1] + n.encode() + b"\0" + values[n][1:] for n in names)
        assert (len(elements) + 5).to_bytes(4, "little") + elements + b"\0" == raw, name
        seen += 1
    assert seen > 700


def test_every_valid_case_as_inferred(corpus):
    """The inferred schema reads what it was inferred from: as columns, and as rows that write the same document."""
    for name, raw in valid_cases(corpus):
        schema = sb.infer_schema(raw)
        if not len(schema) or any("." in field.path[0] for field in schema):
            continue
        assert sb.to_arrow(raw, schema).to_pyarrow().num_rows == 1, name
        if any("" in field.path for field in schema):
            # NumPy has no fields without a name.
            continue
        array = sb.to_ndarray(raw, schema, missing="mask")
        back = sb.from_ndarray(array, types=schema)
        kinds = {kind for field in schema for kind in field.types}
        if not kinds & {"null", *CHANGED_BY_PYMONGO} and "converted" not in name:
            assert (
                bson.decode(back, OPTIONS) == bson.decode(raw, OPTIONS)
                or "NaN" in name
                or "nan" in str(bson.decode(raw, OPTIONS))
            ), name


def test_every_decode_error_is_an_error(corpus):
    cases = list(error_cases(corpus))
    assert len(cases) > 50
    for name, raw in cases:
        with pytest.raises(sb.BSONDecodeError):
            _stoop.bson.validate(raw)
            pytest.fail(f"{name}: no error")


def test_decode_errors_are_errors_or_skipped_everywhere(corpus):
    """Reading never fails otherwise than by our own exception, and a field that is read is checked in depth."""
    for name, raw in error_cases(corpus):
        for read in (
            lambda raw=raw: sb.infer_schema(raw),
            lambda raw=raw: sb.to_arrow(raw),
            lambda raw=raw: sb.to_ndarray(raw, [("x", "f8")], missing="fill"),
            lambda raw=raw: sb.to_arrow(raw, {"a": "string", "d.x": "double"}),
        ):
            try:
                read()
            except sb.BSONDecodeError as error:
                assert error.document == 0 or "extra" in name.lower() or error.offset > 0, name


def test_every_decode_error_of_a_value_is_an_error_of_its_column(corpus):
    """What is read is checked in depth: as an object, and as raw bytes."""
    seen = 0
    for name, raw in error_cases(corpus):
        if len(raw) < 5 or int.from_bytes(raw[:4], "little", signed=True) != len(raw) or raw[-1] or 0 not in raw[5:]:
            # No document at all: nothing can be read from it.
            continue
        key = raw[5 : raw.index(0, 5)].decode()
        for read in (
            lambda raw=raw, key=key: as_objects(raw, [key]),
            lambda raw=raw, key=key: sb.to_arrow(raw, {key: "raw"}),
        ):
            with pytest.raises(sb.BSONDecodeError):
                read()
                pytest.fail(f"{name}: no error")
        seen += 1
    assert seen > 30


def test_bad_documents_can_be_left_out(corpus):
    """Among good documents, each bad one that has a length of its own is left out, and is listed."""
    good = bson.encode({"a": "good"})
    for name, raw in error_cases(corpus):
        if len(raw) < 5 or int.from_bytes(raw[:4], "little", signed=True) != len(raw) or raw[-1]:
            continue
        array, errors = sb.to_ndarray(good + raw + good, [("a", "O")], on_error="collect")
        assert len(array) + len(errors) == 3, name
        assert [error.document for error in errors] in ([], [1]), name
        assert (array["a"][0], array["a"][-1]) == ("good", "good"), name
