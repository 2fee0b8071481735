"""Arrow columns, read back by pyarrow, pandas, polars and duckdb; and inferred schemas."""

import datetime
import decimal
import io
import uuid

import bson
import numpy as np
import pyarrow as pa
import pytest
from bson import Binary, Code, Decimal128, Int64, ObjectId, Regex, Timestamp

import stoop.bson as sb
from stoop.bson import _sources


def encode(*documents):
    return b"".join(map(bson.encode, documents))


IDENTITY = ObjectId("0123456789abcdef01234567")
UUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
WHEN = datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)
UTC = datetime.UTC

# (value in the document, type of the column, its Arrow type, what Arrow gives back)
TYPES = [
    (1.5, "double", pa.float64(), 1.5),
    (1.5, float, pa.float64(), 1.5),
    (1.5, "float", pa.float32(), 1.5),
    (7, int, pa.int64(), 7),
    (7.0, "int32", pa.int32(), 7),
    (7, "int8", pa.int8(), 7),
    (7, "uint16", pa.uint16(), 7),
    (True, bool, pa.bool_(), True),
    ("grüße", str, pa.string(), "grüße"),
    (b"\x00\x01", bytes, pa.binary(), b"\x00\x01"),
    (WHEN, "datetime", pa.timestamp("ms", "UTC"), WHEN.replace(tzinfo=UTC)),
    (WHEN, "datetime[us]", pa.timestamp("us", "UTC"), WHEN.replace(tzinfo=UTC)),
    (WHEN.replace(microsecond=0), "timestamp[s]", pa.timestamp("s", "UTC"), WHEN.replace(microsecond=0, tzinfo=UTC)),
    (WHEN, pa.timestamp("ms"), pa.timestamp("ms"), WHEN),
    (WHEN, datetime.datetime, pa.timestamp("ms", "UTC"), WHEN.replace(tzinfo=UTC)),
    (WHEN, "M8[ms]", pa.timestamp("ms", "UTC"), WHEN.replace(tzinfo=UTC)),
    (IDENTITY, "objectid", pa.binary(12), IDENTITY.binary),
    (Binary.from_uuid(UUID), "uuid", pa.binary(16), UUID.bytes),
    (Decimal128("1.25"), "decimal128(10, 3)", pa.decimal128(10, 3), decimal.Decimal("1.250")),
    (Decimal128("-9E+3"), pa.decimal128(38, 0), pa.decimal128(38, 0), decimal.Decimal(-9000)),
    (3, "decimal128(10, 2)", pa.decimal128(10, 2), decimal.Decimal("3.00")),
    (Decimal128("1.25"), "decimal128", pa.binary(16), Decimal128("1.25").bid),
    (Timestamp(5, 9), "timestamp", pa.uint64(), 5 << 32 | 9),
    (None, "null", pa.null(), None),
    (Regex("a", "i"), "raw", pa.binary(), b"\x0ba\x00i\x00"),
    ("x", "large_string", pa.large_string(), "x"),
    (b"x", "large_binary", pa.large_binary(), b"x"),
    (["x"], pa.large_list(pa.large_string()), pa.large_list(pa.large_string()), ["x"]),
    ([1, 2], ["int32"], pa.list_(pa.int32()), [1, 2]),
    ([], [float], pa.list_(pa.float64()), []),
    ([[1], [], None], [[int]], pa.list_(pa.list_(pa.int64())), [[1], [], None]),
    ({"a": 1, "b": "x"}, {"a": int, "b": str}, pa.struct([("a", pa.int64()), ("b", pa.string())]), {"a": 1, "b": "x"}),
    ([{"a": 1}, {"a": 2}], [{"a": "int32"}], pa.list_(pa.struct([("a", pa.int32())])), [{"a": 1}, {"a": 2}]),
    ({"a": {"l": ["x"]}}, {"a": {"l": [str]}}, None, {"a": {"l": ["x"]}}),
]


@pytest.mark.parametrize("value, type_, arrow, wanted", TYPES, ids=[f"{t[1]}" for t in TYPES])
def test_types(value, type_, arrow, wanted):
    table = sb.to_arrow(encode({"v": value}, {}), {"v": type_}).to_pyarrow()
    table.validate(full=True)
    if arrow is not None:
        assert table.schema.field("v").type.equals(arrow), table.schema
    assert table["v"].to_pylist() == [wanted, None]


ROWS = [
    {
        "_id": i,
        "x": i / 8,
        "name": ["ann", "bob", "grüße", ""][i % 4],
        "at": datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=i),
        "in": {"k": Int64(i * 10**6), **({"note": "n" * (i % 5)} if i % 3 else {})},
        "tags": ["t"] * (i % 4),
        **({"maybe": i} if i % 2 else {}),
    }
    for i in range(3000)
]
SCHEMA = {
    "_id": "int32",
    "x": "double",
    "name": "string",
    "at": "datetime[ms]",
    "in": {"k": "int64", "note": "string"},
    "tags": ["string"],
    "maybe": "int32",
}
WANTED = [
    {**row, "at": row["at"].replace(tzinfo=UTC), "in": {"note": None, **row["in"]}, "maybe": row.get("maybe")}
    for row in ROWS
]
WANTED = [{**row, "in": {"k": row["in"]["k"], "note": row["in"]["note"]}} for row in WANTED]


@pytest.mark.parametrize("size", [2000, 10**9])
def test_whole_documents(size, monkeypatch):
    """One batch, and many."""
    monkeypatch.setattr(_sources, "PIECE", size)
    table = sb.to_arrow(encode(*ROWS), SCHEMA)
    assert len(table) == table.num_rows == len(ROWS)
    assert (len(table.batches) > 20) == (size == 2000)
    arrow = table.to_pyarrow()
    arrow.validate(full=True)
    assert arrow.to_pylist() == WANTED
    # The stream may be taken again.
    assert pa.table(table).equals(arrow)
    assert pa.schema(table) == arrow.schema
    assert pa.record_batch(table.batches[0]).num_rows == table.batches[0].num_rows


def test_large_columns():
    """Offsets of 64 bits: columns put together may be longer than the 2 GiB that those of 32 bits reach."""
    schema = {"name": "large_string", "tags": pa.large_list(pa.string()), "in": {"note": "large_string"}}
    table = sb.to_arrow(encode(*ROWS), schema).to_pyarrow()
    table.validate(full=True)
    wanted = pa.schema(
        [
            ("name", pa.large_string()),
            ("tags", pa.large_list(pa.field("item", pa.string()))),
            ("in", pa.struct([("note", pa.large_string())])),
        ]
    )
    assert table.schema.equals(wanted)
    assert table["tags"].to_pylist() == [row["tags"] for row in ROWS]
    assert table["in"].to_pylist() == [{"note": row["in"]["note"]} for row in WANTED]
    assert len(sb.to_arrow(b"", schema).to_pyarrow()) == 0
    assert table.equals(sb.to_arrow(encode(*ROWS), wanted).to_pyarrow())


def test_polars():
    import polars

    frame = sb.to_arrow(encode(*ROWS), SCHEMA).to_polars()
    assert frame["x"].sum() == sum(row["x"] for row in ROWS)
    assert frame["tags"].to_list() == [row["tags"] for row in ROWS]
    assert frame["in"].struct.field("note").null_count() == 1000
    assert frame["maybe"].null_count() == 1500
    assert polars.DataFrame(sb.to_arrow(encode(*ROWS), SCHEMA)).equals(frame)


def test_pandas():
    import pandas

    frame = sb.to_arrow(encode(*ROWS), SCHEMA).to_pandas()
    assert frame["name"].tolist() == [row["name"] for row in ROWS]
    assert frame["at"][5] == pandas.Timestamp("2024-01-01T05:00", tz="UTC")
    assert frame["maybe"].isna().sum() == 1500


def test_duckdb():
    import duckdb

    rides = sb.to_arrow(encode(*ROWS), SCHEMA).to_pyarrow()  # noqa: F841
    total, notes, tags = duckdb.sql('select sum(x), count("in".note), sum(len(tags)) from rides').fetchall()[0]
    assert (total, notes, tags) == (sum(r["x"] for r in ROWS), 2000, sum(len(r["tags"]) for r in ROWS))


def test_columns_outlive_what_they_were_made_of():
    raw = bytearray(encode(*ROWS))
    table = sb.to_arrow(raw, SCHEMA)
    arrow = table.to_pyarrow()
    raw[:] = bytes(len(raw))
    del table
    assert arrow.to_pylist() == WANTED


def test_schemas_in_other_words():
    raw = encode(*ROWS)
    wanted = sb.to_arrow(raw, {"x": "double", "in": {"k": "int64"}}).to_pyarrow()
    for schema in (
        pa.schema([("x", pa.float64()), ("in", pa.struct([("k", pa.int64())]))]),
        [("x", "f8"), ("in", [("k", "i8")])],
        np.dtype([("x", "f8"), ("in", [("k", "i8")])]),
        {"x": float, "in": {"k": int}},
        {"x": pa.float64(), "in": np.dtype([("k", "i8")])},
    ):
        assert sb.to_arrow(raw, schema).to_pyarrow().equals(wanted), schema
    dotted = sb.to_arrow(raw, {"in.k": int, "x": float}).to_pyarrow()
    assert dotted.column_names == ["in.k", "x"]
    assert dotted["in.k"].to_pylist() == [row["in"]["k"] for row in ROWS]


def test_every_source():
    raw = encode(*ROWS)
    wanted = sb.to_arrow(raw, SCHEMA).to_pyarrow().combine_chunks()
    for source in (io.BytesIO(raw), [raw[: len(raw)]], (bson.encode(row) for row in ROWS), memoryview(raw)):
        assert sb.to_arrow(source, SCHEMA).to_pyarrow().combine_chunks().equals(wanted)


def test_a_schema_is_made_of_all_documents():
    """A field that only the last document has is a column; no sample hides it."""
    raw = encode(*({"a": i} for i in range(20_000)), {"a": Int64(2**40), "late": "x"})
    for source in (raw, io.BytesIO(raw), [raw]):
        table = sb.to_arrow(source).to_pyarrow()
        assert table.schema.names == ["a", "late"] and table.schema.field("a").type == pa.int64()
        assert table["late"].null_count == 20_000


def test_policies():
    raw = encode({"a": 1}, {"a": None}, {})
    assert sb.to_arrow(raw, {"a": int}).to_pyarrow()["a"].to_pylist() == [1, None, None]
    with pytest.raises(sb.BSONDecodeError, match='document 1 .*"a": expected int64, found null'):
        sb.to_arrow(raw, {"a": int}, missing="error")
    with pytest.raises(sb.BSONDecodeError, match="document 2 .*no such field"):
        sb.to_arrow(raw, {"a": int}, missing="error", null="mask")
    filled = sb.to_arrow(raw, {"a": int}, missing="fill", fill={"a": -5})
    assert filled.to_pyarrow()["a"].to_pylist() == [1, -5, -5]
    text = sb.to_arrow(encode({"s": "x"}, {}), {"s": str}, missing="fill", fill={"s": "none"})
    assert text.to_pyarrow()["s"].to_pylist() == ["x", "none"]
    when = datetime.datetime(2000, 1, 1)
    times = sb.to_arrow(encode({}), {"t": "datetime[us]"}, missing="fill", fill={"t": when})
    assert times.to_pyarrow()["t"].to_pylist() == [when.replace(tzinfo=UTC)]
    with pytest.raises(sb.BSONDecodeError, match="double 1.5"):
        sb.to_arrow(encode({"a": 1.5}), {"a": int})
    assert sb.to_arrow(encode({"a": 1.5}), {"a": int}, convert="lossy").to_pyarrow()["a"].to_pylist() == [1]


def test_policies_of_lists_in_lists():
    raw = encode({"v": [[1, 1.0]]})
    assert sb.to_arrow(raw, {"v": [["int32"]]}).to_pyarrow()["v"].to_pylist() == [[[1, 1]]]
    with pytest.raises(sb.BSONDecodeError, match=r'field "v.0.1": expected int32, found double 1.0'):
        sb.to_arrow(raw, {"v": [["int32"]]}, convert="strict")
    lossy = sb.to_arrow(encode({"v": [[1.5]]}), {"v": [["int32"]]}, convert="lossy")
    assert lossy.to_pyarrow()["v"].to_pylist() == [[[1]]]


def test_bad_documents_left_out():
    raw = encode(*({"a": "bad" if i % 7 == 0 else i, "l": [i]} for i in range(700)))
    table, errors = sb.to_arrow(raw, {"a": int, "l": [int]}, on_error="collect")
    good = [i for i in range(700) if i % 7]
    assert table.to_pyarrow()["a"].to_pylist() == good
    assert table.to_pyarrow()["l"].to_pylist() == [[i] for i in good]
    assert [error.document for error in errors] == list(range(0, 700, 7))
    assert len(sb.to_arrow(raw, {"a": int}, on_error="skip")) == len(good)


def test_an_error_keeps_the_batches_before(monkeypatch):
    monkeypatch.setattr(_sources, "PIECE", 500)
    raw = encode(*({"a": i} for i in range(100)), {"a": "bad"})
    with pytest.raises(sb.BSONDecodeError, match="document 100 ") as caught:
        sb.to_arrow(raw, {"a": int})
    partial = caught.value.partial.to_pyarrow()["a"].to_pylist()
    assert partial and partial == list(range(len(partial)))


def test_empty():
    for table in (sb.to_arrow(b"", SCHEMA), sb.to_arrow([], SCHEMA)):
        assert table.to_pyarrow().num_rows == 0 and table.to_pyarrow().column_names == list(SCHEMA)


BAD = [
    ({"x": "dubble"}, "no type is called 'dubble'"),
    ({"x": [int, str]}, "with one type"),
    ({"x": {}}, "a document of no fields"),
    ({"x": "datetime[D]"}, "the unit of a datetime column"),
    ({"x": "decimal128(a)"}, "write decimal128"),
    ({"x": "decimal128(50, 2)"}, "1 to 38"),
    ({"x": pa.timestamp("ms", "Europe/Berlin")}, "are UTC"),
    ({"x": object()}, "is no type of a column"),
    ({}, "names no field"),
    ("f8", "a schema is a dictionary"),
    ({"a": int, "a.b": int}, "a"),
]


@pytest.mark.parametrize("schema, words", BAD, ids=[words for _, words in BAD])
def test_schemas_that_make_no_sense(schema, words):
    with pytest.raises(ValueError, match=words):
        sb.to_arrow(encode({"x": 1.0}), schema)


def test_infer_schema_prints_a_table():
    raw = encode(
        *(
            {"_id": IDENTITY, "fare": i / 2, "zone": "é" * (i % 5), "in": {"k": i}, "l": [1] * (i % 3)}
            for i in range(999)
        ),
        {"_id": IDENTITY, "fare": "n/a", "u": Binary.from_uuid(UUID)},
    )
    assert str(sb.infer_schema(raw)) == (
        "1,000 documents\n"
        "path  types                      missing  widest\n"
        "----  -------------------------  -------  ------------\n"
        "_id   objectId\n"
        "fare  double 99.9%, string 0.1%           3 characters\n"
        "zone  string                        0.1%  4 characters\n"
        "in    document                      0.1%\n"
        "in.k  int32                         0.1%  0 to 998\n"
        "l     array                         0.1%  0 to 2 items\n"
        "l[]   int32                        33.4%  1\n"
        "u     binary                       99.9%  16 bytes"
    )
    assert str(sb.infer_schema(raw, sample=10)).startswith("the first 10 documents\n")
    assert str(sb.infer_schema(b"")) == "0 documents"
    assert "1,000 documents" in repr(sb.infer_schema(raw))


def test_infer_schema_as_data():
    schema = sb.infer_schema(encode({"a": 1, "b": {"s": "xy"}}, {"a": 2.5}, {"b": {"s": None}}))
    assert schema.documents == 3 and len(schema) == 3
    assert schema["a"].types == {"double": 1, "int32": 1} and schema["a"].present == 2
    assert schema["b.s"].widest == 2 and schema["b.s"].missing == pytest.approx(1 / 3)
    assert [field.name for field in schema] == ["a", "b", "b.s"]
    assert schema.arrow() == {"a": "double", "b": {"s": "string"}}
    assert schema.dtype() == np.dtype([("a", "f8"), ("b", [("s", "U2")])])
    with pytest.raises(KeyError, match="did you mean 'b.s'"):
        schema["b.t"]
    with pytest.raises(ValueError, match="sample must be at least 1"):
        sb.infer_schema(b"", sample=0)


INFERRED = [
    ([1, 2], "int32"),
    ([1, Int64(2)], "int64"),
    ([1, 2.5], "double"),
    ([Int64(2**60), 2.5], "raw"),
    ([1, "x"], "raw"),
    ([None, "x"], "string"),
    ([None], "null"),
    ([Decimal128("1.25"), Decimal128("100")], "decimal128(38, 2)"),
    ([Decimal128("NaN")], "decimal128"),
    ([b"x"], "binary"),
    ([Binary.from_uuid(UUID)], "uuid"),
    ([Regex("x")], "raw"),
    ([Code("x")], "raw"),
    ([[]], ["null"]),
    ([[1, None]], ["int32"]),
    ([[1, "x"]], ["raw"]),
    ([{}], "raw"),
    ([[{"a": 1}, {"b": "x"}]], [{"a": "int32", "b": "string"}]),
]


@pytest.mark.parametrize(
    "values, wanted", INFERRED, ids=[str(wanted) + str(i) for i, (_, wanted) in enumerate(INFERRED)]
)
def test_inferred_types_read_what_they_were_inferred_from(values, wanted):
    raw = encode(*({"v": value} for value in values))
    schema = sb.infer_schema(raw)
    assert schema.arrow() == {"v": wanted}
    table = sb.to_arrow(raw, schema).to_pyarrow()
    table.validate(full=True)
    assert len(table) == len(values)
    sb.to_ndarray(raw, schema, missing="mask")


def test_names_that_are_data_are_refused():
    raw = encode(*({f"user{i}": 1} for i in range(20_000)))
    with pytest.raises(sb.BSONDecodeError, match="at most 10000 different fields, found more"):
        sb.infer_schema(raw, sample=None)
