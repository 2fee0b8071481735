"""Arrow columns into documents."""

import datetime
import decimal
import re

import bson
import pytest
from bson import Binary, Decimal128

import stoop.bson as sb

pa = pytest.importorskip("pyarrow")

UTC = datetime.UTC


def back(table, **options):
    return bson.decode_all(sb.from_arrow(table, **options), bson.CodecOptions(tz_aware=True))


def column(values, type_=None):
    return pa.table({"v": pa.array(values, type_)})


NOW = datetime.datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)
ID = bson.ObjectId("0123456789abcdef01234567")

PLAIN = [
    ([1, -2, None], pa.int8(), None),
    ([1, 65_535, None], pa.uint16(), None),
    ([2**31, -(2**63), None], pa.int64(), None),
    ([0, 2**63 - 1], pa.uint64(), None),
    ([1.5, -0.25, None], pa.float32(), None),
    ([0.1, float("inf"), None], pa.float64(), None),
    ([1.5, None], pa.float16(), None),
    ([True, False, None, True], pa.bool_(), None),
    (["a", "", "h\u00e9llo \u65e5\u672c", None, "long " * 40], pa.string(), None),
    (["a", "", "h\u00e9llo", None], pa.large_string(), None),
    (["a", "longer than twelve bytes", None], pa.string_view(), None),
    (["p", "q", "p", None], pa.dictionary(pa.int8(), pa.string()), None),
    ([b"", b"\0\xff", None], pa.binary(), None),
    ([b"", b"\0\xff", None], pa.large_binary(), None),
    ([b"123", None], pa.binary(3), None),
    ([NOW, None], pa.timestamp("ms", "UTC"), None),
    ([NOW, None], pa.timestamp("ns", "UTC"), None),
    ([NOW.replace(microsecond=0), None], pa.timestamp("s"), None),
    ([None, None], pa.null(), None),
    ([[1, None, 3], [], None], pa.list_(pa.int32()), None),
    ([[["a"], None], []], pa.large_list(pa.list_(pa.string())), None),
    ([[1.0, 2.0], None, [3.0, None]], pa.list_(pa.float64(), 2), None),
    ([ID.binary, None], pa.binary(12), [ID, None]),
    ([decimal.Decimal("1.25"), decimal.Decimal("-300.00"), None], pa.decimal128(20, 2), ["1.25", "-300.00", None]),
    ([decimal.Decimal("1.5")], pa.decimal256(30, 1), ["1.5"]),
    ([datetime.date(2024, 2, 29), None], pa.date32(), [datetime.datetime(2024, 2, 29, tzinfo=UTC), None]),
]


def plain(value):
    return str(value) if isinstance(value, bson.Decimal128) else value


@pytest.mark.parametrize(("values", "type_", "expected"), PLAIN, ids=[str(type_) for _, type_, _ in PLAIN])
def test_types(values, type_, expected):
    expected = values if expected is None else expected
    if type_ == pa.timestamp("s"):
        values = [value and value.replace(tzinfo=None) for value in values]
    table = column(values, type_)
    kept = [plain(document["v"]) for document in back(table, nulls="keep")]
    assert kept == expected
    omitted = back(table)
    assert [plain(document["v"]) for document in omitted if "v" in document] == [v for v in expected if v is not None]
    assert len(omitted) == len(values)
    # Slices begin inside their buffers.
    for first in range(len(values)):
        assert back(table.slice(first, 2)) == omitted[first : first + 2]


def nested():
    inner = pa.struct([("x", pa.int32()), ("tags", pa.list_(pa.string()))])
    values = [{"a": 1, "in": {"x": 1, "tags": ["p", None]}}, None, {"a": None, "in": None}, {"a": 2, "in": {"x": None}}]
    lists = [[{"x": 1}, None], None, [], [{"x": None, "tags": []}]]
    return pa.table(
        {"d": pa.array(values, pa.struct([("a", pa.int8()), ("in", inner)])), "l": pa.array(lists, pa.list_(inner))}
    )


def test_documents():
    expected = [
        {"d": {"a": 1, "in": {"x": 1, "tags": ["p", None]}}, "l": [{"x": 1}, None]},
        {},
        {"d": {}, "l": []},
        {"d": {"a": 2, "in": {}}, "l": [{"tags": []}]},
    ]
    assert back(nested()) == expected
    for first in range(4):
        for number in range(1, 5 - first):
            assert back(nested().slice(first, number)) == expected[first : first + number]
    both = pa.concat_tables([nested(), nested().slice(2)])
    assert back(both) == expected + expected[2:]


def test_kept_nulls_of_documents():
    assert back(nested(), nulls="keep")[1:3] == [{"d": None, "l": None}, {"d": {"a": None, "in": None}, "l": []}]


def test_there_and_back():
    documents = [
        {"_id": bson.ObjectId(), "x": i / 8, "n": i, "s": "t" * (i % 7), "in": {"k": [i, None], "b": bool(i % 2)}}
        for i in range(300)
    ]
    raw = b"".join(map(bson.encode, documents))
    assert sb.from_arrow(sb.to_arrow(raw)) == raw
    assert sb.from_arrow(sb.to_arrow(raw).to_pyarrow().to_batches()[0]) == raw


def test_there_and_back_by_the_schema_that_was_inferred():
    """Mixed types, subtypes and kinds that Arrow has no types for, also inside documents and lists."""
    documents = [
        {
            "_id": bson.ObjectId(),
            "u": bson.Binary(bytes(16), 4),
            "d": bson.Decimal128("1.5"),
            "t": bson.Timestamp(4, i),
            "in": {"u": bson.Binary(bytes(range(16)), 4), "m": [i, "x"][i % 2]},
            "l": [bson.ObjectId(), None],
            "ts": [bson.Timestamp(1, 2)],
            "ds": [{"u": bson.Binary(bytes(16), 4)}],
            "m": ["s", 1.5, {"x": 1}][i % 3],
            "b": bson.Binary(b"abc", 128),
        }
        for i in range(6)
    ]
    raw = b"".join(map(bson.encode, documents))
    schema = sb.infer_schema(raw)
    assert sb.from_arrow(sb.to_arrow(raw, schema), types=schema) == raw


def test_names_with_dots():
    table = pa.table({"a.x": [1], "b": [2], "a.y": [3]})
    assert back(table) == [{"a": {"x": 1, "y": 3}, "b": 2}]
    assert back(table, paths={"a.x": ("a.x",), "b": "c.d"}) == [{"a.x": 1, "c": {"d": 2}, "a": {"y": 3}}]
    with pytest.raises(ValueError, match="lies inside another column"):
        sb.from_arrow(pa.table({"a": [1], "a.x": [1]}))
    with pytest.raises(ValueError, match="has others inside"):
        sb.from_arrow(pa.table({"a.x": [1], "a": [1]}))


def test_what_types_say():
    sixteen = pa.array([bytes(range(16))], pa.binary(16))
    table = pa.table(
        {"u": sixteen, "d": sixteen, "b": sixteen, "t": pa.array([5 << 32 | 7], pa.uint64()), "h": [str(ID)]}
    )
    types = {"u": "uuid", "d": "decimal128", "b": "binary(128)", "t": "timestamp", "h": "objectid"}
    (found,) = back(table, types=types)
    assert found["u"] == bson.Binary(bytes(range(16)), 4)
    assert found["d"].bid == bytes(range(16))
    assert found["b"] == bson.Binary(bytes(range(16)), 128)
    assert found["t"] == bson.Timestamp(5, 7)
    assert found["h"] == ID
    raw = sb.to_arrow(bson.encode({"v": {"x": 1}}) + bson.encode({"v": "s"}), {"v": "raw"})
    assert back(raw, types={"v": "raw"}) == [{"v": {"x": 1}}, {"v": "s"}]
    with pytest.raises(ValueError, match="cannot become 'uuid'"):
        sb.from_arrow(column([1]), types={"v": "uuid"})
    with pytest.raises(ValueError, match="no column is called 'w'; there are v"):
        sb.from_arrow(column([1]), types={"w": "uuid"})
    with pytest.raises(ValueError, match="no column is called 'w'; there are v"):
        sb.from_arrow(column([1]), paths={"w": "x"})
    inner = column([{"u": bytes(16)}], pa.struct([("u", pa.binary(16))]))
    assert back(inner, types={"v.u": "uuid"}) == [{"v": {"u": bson.Binary(bytes(16), 4)}}]
    with pytest.raises(ValueError, match="no column is called 'v.w'"):
        sb.from_arrow(inner, types={"v.w": "uuid"})
    with pytest.raises(ValueError, match="types says 'raw' of a document"):
        sb.from_arrow(inner, types={"v": "raw"})


@pytest.mark.parametrize(
    ("values", "type_", "options", "message"),
    [
        ([1, 2**63], pa.uint64(), {}, 'row 1: field "v": 9223372036854775808 is too large for BSON\'s int64'),
        ([NOW.replace(microsecond=1)], pa.timestamp("us", "UTC"), {}, "cannot hold exactly"),
        ([10**35 + 1], pa.decimal128(38, 0), {}, "more than 34 digits"),
        (["xyz"], pa.string(), {"types": {"v": "objectid"}}, "no ObjectId of 24"),
        ([b"\x01"], pa.binary(), {"types": {"v": "raw"}}, "no BSON value"),
        ([datetime.time(1)], pa.time32("s"), {}, "time32.* is no type that becomes BSON"),
        ([[("a", 1)]], pa.map_(pa.string(), pa.int8()), {}, "map.* is no type that becomes BSON"),
    ],
)
def test_what_bson_cannot_hold(values, type_, options, message):
    with pytest.raises(ValueError, match=message):
        sb.from_arrow(column(values, type_), **options)


def test_errors_name_the_place():
    table = pa.table({"l": pa.array([[], [{"x": 1}, {"x": 2**64 - 1}]], pa.list_(pa.struct([("x", pa.uint64())])))})
    with pytest.raises(ValueError, match=re.escape('row 1: field "l.1.x": 18446744073709551615 is too large')):
        sb.from_arrow(table)


def test_what_is_no_table():
    with pytest.raises(TypeError, match="expected Arrow columns, like a pyarrow.Table, not 'dict'"):
        sb.from_arrow({"x": [1]})
    with pytest.raises(ValueError, match="neither"):
        sb.from_arrow(column([1]), nulls="drop")
    assert sb.from_arrow(column([], pa.int8())) == b""


def test_buffers_that_are_too_short():
    """The encoder trusts no buffer: what pyarrow would never make is an error, not a read past the end."""
    from stoop import _stoop

    def encode(*given, rows=3):
        return _stoop.bson.encode_columns([given], first=0, rows=rows)

    inside = ("", "int", 4, 0, None, 0, None, b"1234", ())
    for given in [
        ("v", "int", 8, 0, None, 0, None, b"12345678", ()),
        ("v", "int", 8, 1 << 40, None, 0, None, b"12345678", ()),
        ("v", "bool", 0, 0, b"", 0, None, b"\xff", ()),
        ("v", "text", 0, 0, None, 4, b"\0\0\0\0\x09\0\0\0", b"abc", ()),
        ("v", "text", 0, 0, None, 8, b"\xff" * 32, b"abc", ()),
        ("v", "list", 0, 0, None, 4, b"\0\0\0\0\x09\0\0\0", None, (inside,)),
        ("v", "list", 0, 0, None, 8, b"\0" * 8 + b"\xff" * 24, None, (inside,)),
        ("v", "fixed_list", 2**31 - 1, 0, None, 0, None, None, (inside,)),
        ("v", "scaled", 2, 0, None, 0, None, b"\0" * 17, ()),
        ("v", "list", 0, 0, None, 4, b"\0" * 64, None, ()),
    ]:
        with pytest.raises(ValueError, match="fewer values|without items"):
            encode(*given)
    for given in [
        ("v", "int", 3, 0, None, 0, None, b"", ()),
        ("v\0", "int", 4, 0, None, 0, None, b"", ()),
        ("v", "int", 4, 1 << 60, None, 0, None, b"", ()),
        ("v", "complex", 4, 0, None, 0, None, b"", ()),
    ]:
        with pytest.raises(ValueError, match="field|form"):
            encode(*given)


def test_types_inside_arrays_come_back_as_they_were_inferred():
    documents = [
        {"a": [{"d": Decimal128("NaN"), "b": Binary(b"q", 128)}], "e": [Decimal128("NaN")], "f": [Binary(b"xyz", 5)]},
        {"a": [], "e": [Decimal128("1.5")], "f": [Binary(b"x", 5)]},
    ]
    raw = b"".join(map(bson.encode, documents))
    back = bson.decode_all(sb.from_arrow(sb.to_arrow(raw), types=sb.infer_schema(raw)))
    # As text: NaN is not equal to itself.
    assert list(map(repr, back)) == list(map(repr, documents))
