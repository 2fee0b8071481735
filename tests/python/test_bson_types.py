"""Dtypes, conversions and policies: what fits is exact, and what does not is an error that says so."""

import concurrent.futures
import datetime
import decimal
import pickle
import uuid

import bson
import numpy as np
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

import stoop.bson as sb


def encode(*documents):
    return b"".join(map(bson.encode, documents))


def read(value, dtype, **options):
    """One value, through a column of a dtype."""
    return sb.to_ndarray(encode({"v": value}), [("v", *(dtype if isinstance(dtype, tuple) else (dtype,)))], **options)[
        "v"
    ][0]


IDENTITY = ObjectId("0123456789abcdef01234567")
UUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
WHEN = datetime.datetime(2024, 2, 29, 12, 30, 15, 250000)

# (what is in the document, dtype, what is read, further options)
EXACT = [
    (1.5, "f8", 1.5, {}),
    (-0.0, "f8", 0.0, {}),
    (float("inf"), "f4", np.inf, {}),
    (1.5, "f4", 1.5, {}),
    (7, "f8", 7.0, {}),
    (Int64(2**53), "f8", 2.0**53, {}),
    (7, "i8", 7, {}),
    (Int64(7), "i4", 7, {}),
    (7.0, "i4", 7, {}),
    (-128, "i1", -128, {}),
    (255, "u1", 255, {}),
    (Int64(2**63 - 1), "u8", 2**63 - 1, {}),
    (-1.0, "i2", -1, {}),
    (True, "?", True, {}),
    (False, "?", False, {}),
    (WHEN, "M8[ms]", np.datetime64("2024-02-29T12:30:15.250"), {}),
    (WHEN, "M8[us]", np.datetime64("2024-02-29T12:30:15.250000"), {}),
    (WHEN, "M8[ns]", np.datetime64("2024-02-29T12:30:15.250000000"), {}),
    (datetime.datetime(1960, 1, 1), "M8[D]", np.datetime64("1960-01-01"), {}),
    (datetime.datetime(1960, 1, 1, 5), "M8[h]", np.datetime64("1960-01-01T05"), {}),
    ("text", "U4", "text", {}),
    ("grüße", "U8", "grüße", {}),
    ("\U0001f98a", "U1", "\U0001f98a", {}),
    ("", "U3", "", {}),
    ("grüße", "S7", "grüße".encode(), {}),
    (IDENTITY, "V12", IDENTITY.binary, {}),
    (IDENTITY, "S12", IDENTITY.binary, {"types": {"v": "objectid"}}),
    (IDENTITY, "S24", str(IDENTITY).encode(), {"types": {"v": "objectid"}}),
    (Binary.from_uuid(UUID), "V16", UUID.bytes, {"types": {"v": "uuid"}}),
    (b"\x00\x01\x00", "V3", b"\x00\x01\x00", {}),
    (Decimal128("1.5"), "V16", Decimal128("1.5").bid, {"types": {"v": "decimal128"}}),
    (Timestamp(5, 9), "u8", 5 << 32 | 9, {"types": {"v": "timestamp"}}),
    ([1.0, 2.0, 3.0], ("f8", (3,)), [1.0, 2.0, 3.0], {}),
    ([[1, 2], [3, 4], [5, 6]], ("i4", (3, 2)), [[1, 2], [3, 4], [5, 6]], {}),
    ([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], ([("a", "i4"), ("b", "U1")], (2,)), [(1, "x"), (2, "y")], {}),
]


@pytest.mark.parametrize("value, dtype, wanted, options", EXACT, ids=lambda x: str(x)[:30])
def test_exact_values(value, dtype, wanted, options):
    got = read(value, dtype, **options)
    if isinstance(got, np.void) and got.dtype.names is None:
        got = got.tobytes()
    elif isinstance(got, np.ndarray):
        got = got.tolist()
    assert got == wanted


OBJECTS = [
    "text", 1.5, 3, Int64(2**40), True, None, IDENTITY, Binary(b"x", 128), Regex("a.b", "i"), Code("f()"),
    Code("f(x)", {"x": 1}), Timestamp(1, 2), Decimal128("1E+3"), MinKey(), MaxKey(), [1, "two", [3]],
    {"a": {"b": [None]}}, DBRef("c", 1), datetime.datetime(2024, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize("value", OBJECTS, ids=repr)
def test_objects_are_what_pymongo_makes(value):
    raw = encode({"v": value})
    array = sb.to_ndarray(raw, [("v", "O")])
    assert array["v"][0] == bson.decode(raw)["v"]
    assert type(array["v"][0]) is type(bson.decode(raw)["v"])
    assert sb.from_ndarray(array) == raw


# (value, dtype, words of the error, what lossy makes of it or None where that is an error too)
REFUSED = [
    (1.9, "i4", "double 1.9", 1),
    (-1.9, "i4", "double -1.9", -1),
    (2**31, "i4", "int64 2147483648", None),
    (-1, "u1", "int32 -1", None),
    (256, "u1", "int32 256", None),
    (300, "i1", "int32 300", None),
    (1e300, "i8", "double 1e300", None),
    (1e300, "f4", "double 1e300", None),
    (float("nan"), "i8", "double NaN", None),
    (float("inf"), "i4", "double inf", None),
    (0.1, "f4", "double 0.1", np.float32(0.1)),
    (Int64(2**53 + 1), "f8", "int64 9007199254740993", 2.0**53),
    (2**24 + 1, "f4", "int32 16777217", 2.0**24),
    (True, "i4", "bool true", 1),
    (1, "?", "int32 1", True),
    ("1", "i4", 'string "1"', None),
    ("n/a", "f8", 'string "n/a"', None),
    (1.0, "U5", "double 1.0", None),
    (WHEN, "M8[s]", "date", np.datetime64("2024-02-29T12:30:15")),
    (WHEN, "M8[D]", "date", np.datetime64("2024-02-29")),
    (WHEN, "i8", "date", None),
    (IDENTITY, "S12", "objectId", None),
    ("x", "V12", 'string "x"', None),
    (b"12", "V3", "binary of 2 bytes", None),
    ({"a": 1}, "f8", "document", None),
    ([1.0, 2.0], ("f8", (3,)), "2 items", None),
    ([1.0, 2.0, 3.0, 4.0], ("f8", (3,)), "4 items", None),
    (1.0, ("f8", (3,)), "double 1.0", None),
    (Regex("a"), "U5", "regex", None),
    (Code("a"), "U5", "javascript", None),
    (MinKey(), "f8", "minKey", None),
    (MaxKey(), "i4", "maxKey", None),
]


@pytest.mark.parametrize("value, dtype, words, lossy", REFUSED, ids=lambda x: str(x)[:30])
def test_what_does_not_fit_is_an_error(value, dtype, words, lossy):
    with pytest.raises(sb.BSONDecodeError) as caught:
        read(value, dtype)
    assert words in str(caught.value), str(caught.value)
    assert caught.value.path.startswith("v") and str(caught.value).startswith('document 0 (byte 0): field "v')
    if lossy is None:
        with pytest.raises(sb.BSONDecodeError):
            read(value, dtype, convert="lossy")
    else:
        assert read(value, dtype, convert="lossy") == lossy


@pytest.mark.parametrize("value, dtype", [(1, "i8"), (1, "f8"), (1.0, "i4"), (Int64(1), "i4"), (Int64(1), "f8")])
def test_strict_takes_the_natural_type_alone(value, dtype):
    assert read(value, dtype) == 1
    with pytest.raises(sb.BSONDecodeError):
        read(value, dtype, convert="strict")


def test_strict_takes_natural_types():
    for value, dtype in ((1.0, "f8"), (1, "i4"), (Int64(1), "i8"), (True, "?")):
        assert read(value, dtype, convert="strict") == 1


def test_strings_that_do_not_fit():
    for dtype in ("U3", "S3"):
        with pytest.raises(sb.BSONDecodeError, match='found string "four"'):
            read("four", dtype)
    assert read("four", "U3", overflow="truncate") == "fou"
    assert read("four", "S3", overflow="truncate") == b"fou"
    # A character is cut off whole.
    assert read("aäö", "S3", overflow="truncate") == "aä".encode()
    assert read("aäö", "S2", overflow="truncate") == b"a"


def test_arrays_that_are_shorter():
    raw = encode({"l": [1, 2, 3]}, {"l": [4]}, {"l": []})
    dtype = [("l", "i4", (3,))]
    with pytest.raises(sb.BSONDecodeError, match='document 1 .*"l"'):
        sb.to_ndarray(raw, dtype, missing="mask")
    array = sb.to_ndarray(raw, dtype, missing="mask", length="pad")
    assert array["l"].tolist() == [[1, 2, 3], [4, None, None], [None, None, None]]
    array = sb.to_ndarray(raw, dtype, missing="fill", length={"l": "pad"}, fill={"l": -1})
    assert array["l"].tolist() == [[1, 2, 3], [4, -1, -1], [-1, -1, -1]]
    with pytest.raises(sb.BSONDecodeError, match="4 items"):
        sb.to_ndarray(encode({"l": [1, 2, 3, 4]}), dtype, missing="fill", length="pad")


def test_bytes_that_are_no_utf8():
    raw = encode({"s": "one"}, {"s": "twoX"}).replace(b"X", b"\xff")
    for dtype, wanted in (("U4", "two\ufffd"), ("S6", b"two\xef\xbf\xbd"), ("O", "two\ufffd")):
        with pytest.raises(sb.BSONDecodeError, match='document 1 .*"s".* UTF-8'):
            sb.to_ndarray(raw, [("s", dtype)])
        assert sb.to_ndarray(raw, [("s", dtype)], utf8="replace")["s"][1] == wanted
    with pytest.raises(sb.BSONDecodeError, match="UTF-8"):
        sb.to_arrow(raw, {"s": "string"})
    assert sb.to_arrow(raw, {"s": "string"}, utf8="replace").to_pyarrow()["s"].to_pylist() == ["one", "two\ufffd"]
    listed = encode({"l": ["X"], "d": {"s": "X"}}).replace(b"X", b"\xff")
    table = sb.to_arrow(listed, {"l": ["string"], "d": {"s": "string"}}, utf8="replace").to_pyarrow()
    assert table.to_pylist() == [{"l": ["\ufffd"], "d": {"s": "\ufffd"}}]


def test_every_document_error_of_the_specification_reads_as_promised():
    documents = [{"fare": {"total": 1.0}}] * 18_233
    raw = encode(*documents, {"fare": {"total": "n/a"}})
    with pytest.raises(sb.BSONDecodeError) as caught:
        sb.to_ndarray(raw, [("fare.total", "f8")])
    offset = len(encode(documents[0])) * 18_233
    text = f'document 18,233 (byte {offset:,}): field "fare.total": expected float64, found string "n/a"'
    assert str(caught.value) == text
    error = caught.value
    assert (error.document, error.offset, error.path) == (18_233, offset, "fare.total")
    assert (error.expected, error.found) == ("float64", 'string "n/a"')


SOME = encode({"a": 1, "b": {"x": 1.5, "s": "one"}}, {"a": None, "b": {"x": None, "s": "two"}}, {"b": {}}, {})
DTYPE = np.dtype([("a", "i4"), ("b", [("x", "f8"), ("s", "U3")])])


def test_missing_and_null_are_errors_by_default():
    with pytest.raises(sb.BSONDecodeError, match='document 1 .*"a": expected int32, found null'):
        sb.to_ndarray(SOME, DTYPE)
    with pytest.raises(sb.BSONDecodeError, match='document 2 .*"a": expected int32, found no such field'):
        sb.to_ndarray(SOME, DTYPE, null="fill")
    with pytest.raises(sb.BSONDecodeError, match="document 1 .*null"):
        sb.to_ndarray(SOME, DTYPE, missing="fill", null="error")


def test_missing_objects_are_errors_but_null_is_none():
    assert sb.to_ndarray(encode({"o": None}), [("o", "O")])["o"][0] is None
    with pytest.raises(sb.BSONDecodeError, match="no such field"):
        sb.to_ndarray(encode({"x": None}), [("o", "O")])
    with pytest.raises(sb.BSONDecodeError, match="null"):
        sb.to_ndarray(encode({"o": None}), [("o", "O")], null="error")
    masked = sb.to_ndarray(encode({"o": None}, {"o": "x"}, {}), [("o", "O")], missing="mask")
    assert masked["o"].mask.tolist() == [True, False, True]


def test_fill():
    array = sb.to_ndarray(SOME, DTYPE, missing="fill")
    assert array["a"].tolist() == [1, 0, 0, 0]
    assert np.isnan(array["b"]["x"]).tolist() == [False, True, True, True]
    assert array["b"]["s"].tolist() == ["one", "two", "", ""]
    array = sb.to_ndarray(SOME, DTYPE, missing="fill", fill={"a": -1, "b.s": "???", "b.x": 9.5})
    assert array["a"].tolist() == [1, -1, -1, -1]
    assert array["b"]["x"].tolist() == [1.5, 9.5, 9.5, 9.5]
    assert array["b"]["s"].tolist() == ["one", "two", "???", "???"]
    times = sb.to_ndarray(encode({"t": WHEN}, {}), [("t", "M8[ms]")], missing="fill")
    assert np.isnat(times["t"]).tolist() == [False, True]
    times = sb.to_ndarray(encode({}), [("t", "M8[D]")], missing="fill", fill={"t": "1999-12-31"})
    assert times["t"][0] == np.datetime64("1999-12-31")


def test_mask():
    array = sb.to_ndarray(SOME, DTYPE, missing="mask")
    assert isinstance(array, np.ma.MaskedArray)
    assert array["a"].mask.tolist() == [False, True, True, True]
    assert array["b"]["x"].mask.tolist() == [False, True, True, True]
    assert array["b"]["s"].mask.tolist() == [False, False, True, True]
    assert array["a"].tolist() == [1, None, None, None]
    assert array["b"]["x"].sum() == 1.5
    # Writable, both.
    array["a"][1] = 5
    assert array["a"].tolist() == [1, 5, None, None]


def test_policies_by_path():
    array = sb.to_ndarray(SOME, DTYPE, missing={"a": "fill", "b": "mask"}, fill={"a": 7})
    assert array["a"].tolist() == [1, 7, 7, 7]
    assert array["b"]["x"].mask.tolist() == [False, True, True, True]
    with pytest.raises(sb.BSONDecodeError, match='"b.s": expected string'):
        sb.to_ndarray(SOME, DTYPE, missing={"b.s": "error", "*": "fill"})
    array = sb.to_ndarray(SOME, DTYPE, missing="mask", null={"a": "fill", "*": "mask"}, fill={"a": 3})
    assert array["a"].tolist() == [1, 3, None, None]


def test_masks_of_arrays():
    raw = encode({"l": [1, 2], "d": [{"x": 1}, {"x": 2}]}, {"l": [None, 4], "d": [{"x": 3}, {}]}, {})
    array = sb.to_ndarray(raw, [("l", "i4", (2,)), ("d", [("x", "i4")], (2,))], missing="mask")
    assert array["l"].mask.tolist() == [[False, False], [True, False], [True, True]]
    assert array["d"]["x"].mask.tolist() == [[False, False], [False, True], [True, True]]
    assert array["l"].tolist() == [[1, 2], [None, 4], [None, None]]


def test_bad_documents_left_out():
    raw = encode(*({"a": "bad" if i % 10 == 3 else i, "s": "x" * (i % 3)} for i in range(1000)))
    good = [i for i in range(1000) if i % 10 != 3]
    dtype = [("a", "i4"), ("o", "O")]
    skipped = sb.to_ndarray(raw, [("a", "i4")], on_error="skip")
    assert skipped["a"].tolist() == good
    array, errors = sb.to_ndarray(raw, dtype, paths={"o": "s"}, on_error="collect")
    assert array["a"].tolist() == good
    assert array["o"].tolist() == ["x" * (i % 3) for i in good]
    assert [error.document for error in errors] == list(range(3, 1000, 10))
    assert all(isinstance(error, sb.BSONDecodeError) and error.path == "a" for error in errors)
    masked, errors = sb.to_ndarray(raw, [("a", "i4"), ("z", "f8")], missing="mask", on_error="collect")
    assert masked["a"].tolist() == good and masked["z"].mask.all() and len(errors) == 100


def test_duplicate_keys_the_last_wins():
    elements = b"\x10a\x00\x01\x00\x00\x00\x10b\x00\x05\x00\x00\x00\x10a\x00\x02\x00\x00\x00"
    raw = (len(elements) + 5).to_bytes(4, "little") + elements + b"\x00"
    assert bson.decode(raw) == {"a": 2, "b": 5}
    for count in (1, 5):
        array = sb.to_ndarray(raw * count, [("a", "i4"), ("b", "i4")])
        assert array.tolist() == [(2, 5)] * count


def test_an_earlier_value_of_a_key_may_be_wrong():
    raw = b"\x02x\0\x04\0\0\0n/a\0" + b"\x01x\0" + np.float64(1.5).tobytes()
    raw = (len(raw) + 5).to_bytes(4, "little") + raw + b"\0"
    assert bson.decode(raw) == {"x": 1.5}
    assert sb.to_ndarray(raw, [("x", "f8")])["x"].tolist() == [1.5]
    assert sb.to_arrow(raw, {"x": "double"}).to_pyarrow()["x"].to_pylist() == [1.5]


def test_documents_in_arrays_have_policies_and_types_of_their_own():
    stops = [("at", "f8"), ("who", "V16")]
    raw = encode({"at": 1.5, "stops": [{"at": 1, "who": Binary.from_uuid(UUID)}, {"who": None}]})
    options = {"types": {"stops.who": "uuid"}, "missing": {"stops.at": "fill"}, "null": {"stops.who": "mask"}}
    array = sb.to_ndarray(raw, [("at", "f8"), ("stops", stops, (2,))], fill={"stops.at": -1.0}, **options)
    assert array["stops"]["at"].tolist() == [[1.0, -1.0]]
    assert array["stops"]["who"].mask.tolist() == [[False, True]]
    assert bytes(array["stops"]["who"].data[0, 0]) == UUID.bytes
    # What is said of the array holds for what is in it, too; what is said of another field of the same name does not.
    dtype = [("at", "f8"), ("stops", stops[:1], (2,))]
    array = sb.to_ndarray(raw, dtype, missing={"stops": "mask"})
    assert array["stops"]["at"].tolist() == [[1.0, None]]
    with pytest.raises(sb.BSONDecodeError, match=r'field "stops.1.at": expected float64, found no such field'):
        sb.to_ndarray(raw, dtype, missing={"at": "mask"})
    with pytest.raises(ValueError, match="paths names 'stops.at', which is no field"):
        sb.to_ndarray(raw, dtype, paths={"stops.at": "x"})


def test_a_field_that_was_null_before_it_had_values():
    """In bulk, where values of one type are copied as they are, and others are not."""
    names = [f"x{i}" for i in range(9)]
    rng = np.random.default_rng(21)
    documents = []
    for number in range(3000):
        kept = [name for name in names if rng.random() < 0.75]
        documents.append({name: 7 if rng.random() < 0.7 and number >= 300 else None for name in kept})
    array = sb.to_ndarray(encode(*documents), [(name, "f8") for name in names], missing="mask")
    for name in names:
        assert array[name].tolist() == [document.get(name) for document in documents]


def test_field_order_may_change():
    orders = ("abc", "cab", "bca", "acb", "cba", "bac")
    documents = [{name: (ord(name) - 96) * 1000 + i for name in orders[i % 6]} for i in range(600)]
    array = sb.to_ndarray(encode(*documents), [("a", "i4"), ("b", "i8"), ("c", "f8")])
    assert array["a"].tolist() == [1000 + i for i in range(600)]
    assert array["b"].tolist() == [2000 + i for i in range(600)]
    assert array["c"].tolist() == [3000 + i for i in range(600)]


@pytest.mark.parametrize("lengths", [(5, 5, 5), (3, 5, 1), (5, 3, 1), (5, 3, 4, 8), (1, 9), (9, 1, 5)])
def test_lengths_that_add_up_otherwise(lengths):
    """The length of all is a multiple of the first's, now by the number of documents and now not."""
    raw = encode(*({"x": i, "s": "t" * length} for i, length in enumerate(lengths)))
    dtype = np.dtype([("x", "i4")])
    for source in (raw, raw + encode({"x": 7}) * 3):
        wanted = [d["x"] for d in bson.decode_all(source)]
        assert sb.to_ndarray(source, dtype)["x"].tolist() == wanted
        assert sb.to_ndarray(source, dtype, missing="mask")["x"].tolist() == wanted


def test_dotted_and_nested_and_renamed_fields_are_the_same():
    raw = encode({"a": {"b": {"c": 5}}})
    assert sb.to_ndarray(raw, [("a.b.c", "i4")])["a.b.c"][0] == 5
    assert sb.to_ndarray(raw, [("a", [("b.c", "i4")])])["a"]["b.c"][0] == 5
    assert sb.to_ndarray(raw, [("a", [("b", [("c", "i4")])])])["a"]["b"]["c"][0] == 5
    assert sb.to_ndarray(raw, [("z", "i4")], paths={"z": "a.b.c"})["z"][0] == 5
    assert sb.to_ndarray(encode({"a.b": 6}), [("z", "i4")], paths={"z": ("a.b",)})["z"][0] == 6
    assert sb.to_ndarray(encode({"q": {"c": 7}}), [("a", [("c", "i4")])], paths={"a": "q"})["a"]["c"][0] == 7


def test_dtypes_with_gaps_and_any_order():
    dtype = np.dtype({"names": ["x", "k"], "formats": ["f8", "i2"], "offsets": [16, 3], "itemsize": 40})
    raw = encode(*({"x": i / 2, "k": i} for i in range(50)))
    array = sb.to_ndarray(raw, dtype)
    assert array.dtype == dtype and array["x"].tolist() == [i / 2 for i in range(50)]
    assert array["k"].tolist() == list(range(50))
    aligned = np.dtype([("k", "i1"), ("x", "f8")], align=True)
    assert sb.to_ndarray(raw, aligned)["x"].tolist() == [i / 2 for i in range(50)]


BAD_ARGUMENTS = [
    (("f8",), {}, "must name the fields"),
    (([("x", ">f8")],), {}, "foreign byte order"),
    (([("x", "U")],), {}, "say how many characters"),
    (([("x", "c16")],), {}, "complex128 is not supported"),
    (([("x", "m8[s]")],), {}, "timedelta64"),
    (([("x", "M8")],), {}, "not supported; use datetime64"),
    (([("x", "M8[Y]")],), {}, "not supported; use datetime64"),
    (([("x", "V16")],), {}, "may be a UUID or a decimal128; say types="),
    (([("x", "O", (2,))],), {}, "sub-array of objects"),
    (([("x", "f8")],), {"types": {"y": "uuid"}}, "types names 'y', which is no field"),
    (([("x", "f8")],), {"types": {"x": "uuid"}}, "float64 cannot hold uuid; V16 or S16 can"),
    (([("x", "f8")],), {"types": {"x": "what"}}, "types says 'what'; known are objectid"),
    (([("x", "f8")],), {"paths": {"y": "z"}}, "paths names 'y'"),
    (([("x", "f8")],), {"missing": "ignore"}, "missing must be one of 'error', 'fill', 'mask', not 'ignore'"),
    (([("x", "f8")],), {"missing": {"x": "ignore"}}, "missing of 'x' must be one of"),
    (([("fare", "f8")],), {"missing": {"fair": "mask"}}, "names 'fair', which is no field.*did you mean 'fare'"),
    (([("x", "f8")],), {"fill": {"y": 1}}, "fill names 'y'"),
    (([("x", "i4")],), {"fill": {"x": 1.5}}, "fill value 1.5 is no int32"),
    (([("x", "i1")],), {"fill": {"x": 1000}}, "fill value 1000 is no int8"),
    (([("x", "U2")],), {"fill": {"x": "abc"}}, "does not fit"),
    (([("x", "f8")],), {"convert": "loose"}, "convert must be one of"),
    (([("x", "f8")],), {"overflow": "wrap"}, "overflow must be one of"),
    (([("x", "f8")],), {"on_error": "ignore"}, "on_error must be one of"),
    (([("a", "f8"), ("a.b", "f8")],), {}, "a"),
]


@pytest.mark.parametrize("arguments, options, words", BAD_ARGUMENTS, ids=[words for *_, words in BAD_ARGUMENTS])
def test_arguments_that_make_no_sense(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        sb.to_ndarray(encode({"x": 1.0}), *arguments, **options)


@pytest.mark.parametrize("path", [(), ("a",)])
def test_names_with_nul(path):
    """No document can have them, and none is written with them."""
    dtype = [("x\0y", "f8")]
    for name in path:
        dtype = [(name, dtype)]
    with pytest.raises(ValueError, match="names in BSON have no NUL"):
        sb.to_ndarray(b"", dtype)
    with pytest.raises(ValueError, match="names in BSON have no NUL"):
        sb.from_ndarray(np.zeros(1, dtype))
    with pytest.raises(ValueError, match="names in BSON have no NUL"):
        sb.to_arrow(b"", {"x\0y": "double"} if not path else {"a": {"x\0y": "double"}})


def test_a_dtype_may_be_a_dictionary():
    raw = encode({"x": 1.5, "d": {"k": 2}})
    assert sb.to_ndarray(raw, {"x": "f8", "d": [("k", "i4")]}).tolist() == [(1.5, (2,))]


def test_fields_on_top_of_each_other():
    dtype = np.dtype({"names": ["x", "k"], "formats": ["f8", "i4"], "offsets": [0, 4]})
    with pytest.raises(ValueError, match="field 'k' lies on top of 'x' in the dtype"):
        sb.to_ndarray(b"", dtype)


def test_errors_may_be_sent_elsewhere():
    raw = encode({"x": 1.5}, {"x": "n/a"})
    with pytest.raises(sb.BSONDecodeError) as caught:
        sb.to_ndarray(raw, [("x", "f8")])
    assert caught.value.partial.tolist() == [(1.5,)]
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.document, again.path, again.partial) == (str(caught.value), 1, "x", None)
    assert sb.to_ndarray(raw, [("x", "f8")], on_error="collect")[1][0].partial is None


def test_numbers_of_threads_and_rows():
    raw = encode({"x": 1.5}) * 100_000
    assert len(sb.to_ndarray(raw, [("x", "f8")], threads=10**9)) == 100_000
    with pytest.raises(ValueError, match="threads must be at least 1, or None for one a core, not -1"):
        sb.to_ndarray(raw, [("x", "f8")], threads=-1)
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        sb.iter_ndarrays(raw, [("x", "f8")], rows=2.5)


def test_iter_ndarrays_wants_rows():
    with pytest.raises(ValueError, match="rows must be at least 1, not 0"):
        sb.iter_ndarrays(b"", [("x", "f8")], rows=0)


def test_results_do_not_depend_on_threads():
    documents = [
        {"x": i / 4, "s": "t" * (i % 9), "o": "o" * (i % 5), **({"k": i} if i % 3 else {})} for i in range(50_000)
    ]
    raw = encode(*documents)
    dtype = [("x", "f8"), ("s", "U8"), ("k", "i4"), ("o", "O")]
    arrays = [sb.to_ndarray(raw, dtype, missing="mask", threads=n) for n in (1, 2, 3)]
    assert len(raw) > 1 << 20
    for array in arrays:
        for name in ("x", "s", "k", "o"):
            assert array[name].tolist() == [d.get(name) for d in documents]
    with pytest.raises(sb.BSONDecodeError) as first:
        sb.to_ndarray(raw, [("k", "i4")], threads=1)
    with pytest.raises(sb.BSONDecodeError) as second:
        sb.to_ndarray(raw, [("k", "i4")], threads=2)
    assert str(first.value) == str(second.value) and first.value.document == 0


def test_python_threads_may_decode_at_the_same_time():
    """The same dtype, so the same plan, in several threads at once."""
    raw = encode(*({"x": i / 4, "k": i} for i in range(20_000)))
    dtype = np.dtype([("x", "f8"), ("k", "i4")])
    wanted = sb.to_ndarray(raw, dtype)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for array in pool.map(lambda _: sb.to_ndarray(raw, dtype), range(100)):
            assert (array == wanted).all()


def test_round_trip():
    rng = np.random.default_rng(1)
    inner = [("s", "S5"), ("b", "?"), ("l", "f4", (2, 3))]
    dtype = np.dtype(
        [("i", "i1"), ("u", "u4"), ("f", "f8"), ("t", "M8[s]"), ("d", inner), ("n", "U4"), ("r", inner, (2,))]
    )
    array = np.zeros(500, dtype)
    array["i"] = rng.integers(-128, 128, 500)
    array["u"] = rng.integers(0, 2**32, 500)
    array["f"] = rng.normal(size=500)
    array["t"] = rng.integers(-(10**9), 10**9, 500).astype("M8[s]")
    array["d"]["s"] = rng.choice([b"", b"one", "üß".encode()], 500)
    array["d"]["l"] = rng.normal(size=(500, 2, 3))
    array["n"] = rng.choice(["", "a", "äöü", "\U0001f98a"], 500)
    array["r"]["b"] = rng.random((500, 2)) < 0.5
    array["r"]["l"] = rng.normal(size=(500, 2, 2, 3))
    raw = sb.from_ndarray(array)
    assert (sb.to_ndarray(raw, dtype) == array).all()
    first = bson.decode_all(raw)[0]
    assert list(first) == ["i", "u", "f", "t", "d", "n", "r"]
    assert first["i"] == array["i"][0] and first["u"] == array["u"][0]
    assert first["d"]["l"] == array["d"]["l"][0].tolist() and len(first["r"]) == 2
    # Rows that do not lie next to each other are as good.
    assert sb.from_ndarray(array[::2]) == b"".join(bson.encode(d) for d in bson.decode_all(raw)[::2])


def test_what_cannot_be_written():
    for value, dtype, words in (
        (2**63, "u8", 'row 0: field "v": 9223372036854775808 is too large for BSON\'s int64'),
        (np.datetime64("2024-01-01T00:00:00.000001"), "M8[us]", "cannot hold exactly"),
        (b"\xff", "S1", "no UTF-8 text"),
    ):
        with pytest.raises(ValueError, match=words):
            sb.from_ndarray(np.array([(value,)], [("v", dtype)]))
    with pytest.raises(ValueError, match="must name the fields"):
        sb.from_ndarray(np.zeros(3))
    with pytest.raises(ValueError, match="2 dimensions"):
        sb.from_ndarray(np.zeros((2, 2), [("x", "f8")]))


def test_written_masks_and_nat():
    array = sb.to_ndarray(SOME, DTYPE, missing="mask")
    assert bson.decode_all(sb.from_ndarray(array)) == [
        {"a": 1, "b": {"x": 1.5, "s": "one"}},
        {"b": {"s": "two"}},
        {"b": {}},
        {"b": {}},
    ]
    nat = np.array([(np.datetime64("NaT"),)], [("t", "M8[s]")])
    assert bson.decode(sb.from_ndarray(nat)) == {"t": None}


def test_decimals_as_objects_are_exact():
    array = sb.to_ndarray(encode({"v": Decimal128("0.10")}), [("v", "O")])
    assert array["v"][0].to_decimal() == decimal.Decimal("0.10")
