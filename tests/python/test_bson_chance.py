"""Documents, schemas and policies by chance: what `to_ndarray` and `to_arrow` make of them, against plain Python.

A longer run: FUZZ_SECONDS=600 python -m pytest tests/python/test_bson_chance.py
"""

import os
import random
import struct
import time

import bson
import bson_reference as reference
import numpy as np
import pytest
from bson import Decimal128
from bson.codec_options import CodecOptions, DatetimeConversion
from bson_reference import Array, Leaf

import stoop.bson as sb

NAMES = ["a", "b", "c", "d", "e", "k", "x", "a name of its own", "ä", "longer", "twelve bytes"]
WORDS = ["", "a", "cash", "grüße", "\U0001f98a", "seven b", "a longer text, more than sixteen", "end\0", "日本語"]
OBJECTS = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)


def doubles(rng):
    return rng.choice(
        [0.0, -0.0, 1.0, 1.5, -7.0, 255.0, 65536.0, 2.0**31, 2.0**53, 2.0**63, 1e300, 0.1, np.nan, np.inf]
    )


def integers(rng, bits):
    return rng.choice([0, 1, -1, rng.randrange(-300, 300), rng.randrange(-(2 ** (bits - 1)), 2 ** (bits - 1))])


def text(rng):
    return as_text(rng.choice(WORDS).encode())


def as_text(raw):
    return struct.pack("<i", len(raw) + 1) + raw + b"\0"


def binary(rng):
    subtype, size = rng.choice([(0, 5), (0, 16), (4, 16), (4, 16), (3, 16), (0, rng.randrange(20)), (2, 5), (128, 5)])
    raw = rng.randbytes(size)
    if subtype == 2:
        raw = struct.pack("<i", size) + raw
    return struct.pack("<iB", len(raw), subtype) + raw


def date(rng):
    step = rng.choice([1, 1000, 60_000, 86_400_000])
    return struct.pack("<q", rng.choice([rng.randrange(-(2**44), 2**44) // step * step, 0, -(2**62)]))


def decimal128(rng):
    return Decimal128(
        rng.choice(["1.25", "-7", "0", "1E+400", "NaN", "-Infinity", "0.1", "12345678901234567890.5"])
    ).bid


# BSON types: how a value of each is made.
VALUES = {
    1: lambda rng: struct.pack("<d", doubles(rng)),
    2: text,
    5: binary,
    6: lambda rng: b"",
    7: lambda rng: rng.randbytes(12),
    8: lambda rng: bytes([rng.random() < 0.5]),
    9: date,
    10: lambda rng: b"",
    11: lambda rng: b"a.*\0i\0",
    13: text,
    14: text,
    16: lambda rng: struct.pack("<i", integers(rng, 32)),
    17: lambda rng: rng.randbytes(8),
    18: lambda rng: struct.pack("<q", integers(rng, 64)),
    19: decimal128,
    255: lambda rng: b"",
    127: lambda rng: b"",
}
# dtypes of leaves, what `types` says of them, and the types they are made for.
LEAVES = [
    *((code, None, [1, 16, 18]) for code in ("f8", "f8", "f4", "i8", "i4", "i4", "i2", "i1", "u8", "u4", "u2", "u1")),
    ("?", None, [8]),
    *((f"M8[{unit}]", None, [9]) for unit in ("ms", "ms", "us", "ns", "s", "m", "h", "D")),
    ("V12", None, [7]),
    ("S12", "objectid", [7]),
    ("S24", "objectid", [7]),
    *((code, None, [2]) for code in ("U4", "U9", "U40", "S4", "S12", "S40", "S9")),
    ("S5", None, [2, 5]),
    ("V5", None, [5]),
    ("V5", "binary(128)", [5]),
    ("V16", "uuid", [5]),
    ("V16", "decimal128", [19]),
    ("u8", "timestamp", [17]),
    ("O", None, [*VALUES]),
]


def element(kind, name, value):
    return bytes([kind]) + name.encode() + b"\0" + value


def whole(elements):
    body = b"".join(elements)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def any_value(rng, depth=0):
    """(type, bytes) of any kind."""
    kind = rng.choice([*VALUES, 3, 4])
    if kind in VALUES:
        return kind, VALUES[kind](rng)
    inner = [any_value(rng, depth + 1) for _ in range(rng.randrange(3))] if depth < 2 else []
    names = map(str, range(9)) if kind == 4 else rng.sample(NAMES, len(inner))
    return kind, whole([element(k, name, value) for name, (k, value) in zip(names, inner)])


class Shape:
    """How a schema's documents mostly look: one run may be tidy, the next without any order."""

    def __init__(self, rng):
        self.odd = rng.choice([0, 0, 0.02, 0.15])
        self.missing = rng.choice([0, 0, 0.05, 0.3])
        self.null = rng.choice([0, 0.05, 0.2])
        self.shuffled = rng.choice([False, False, True])
        self.twice = rng.choice([0, 0, 0.1])
        self.more = rng.random() < 0.4


def value_of(rng, node, shape):
    """(type, bytes) of a value for a node of the schema, mostly one that it takes."""
    if rng.random() < shape.odd:
        # Whoever reads the last of two sees that the first is no text, too.
        if hasattr(node, "kinds") and not shape.twice and rng.random() < 0.2:
            return 2, as_text(rng.choice([b"\xff", b"ab\xc3", b"\xed\xa0\x80"]))
        return any_value(rng)
    if rng.random() < shape.null:
        return 10, b""
    if isinstance(node, dict):
        return 3, document(rng, node, shape)
    if isinstance(node, list):
        return 4, whole([element(*_named(str(i), value_of(rng, node[0], shape))) for i in range(rng.randrange(4))])
    if isinstance(node, Array):
        count = node.shape[0] if rng.random() >= shape.odd else rng.randrange(4)
        item = Array(node.item, node.shape[1:]) if len(node.shape) > 1 else node.item
        return 4, whole([element(*_named(str(i), value_of(rng, item, shape))) for i in range(count)])
    kind = rng.choice(node.kinds) if rng.random() < 0.3 else node.kinds[0]
    return kind, VALUES[kind](rng)


def _named(name, value):
    return value[0], name, value[1]


def document(rng, schema, shape):
    names = [name for name in schema if rng.random() >= shape.missing]
    elements = [element(*_named(name, value_of(rng, schema[name], shape))) for name in names]
    for name in names:
        if rng.random() < shape.twice:
            elements.append(element(*_named(name, value_of(rng, schema[name], shape))))
    if shape.more:
        elements.insert(rng.randrange(len(elements) + 1), element(*_named("of no interest", any_value(rng))))
    if shape.shuffled:
        rng.shuffle(elements)
    return whole(elements)


def schema_by_chance(rng, depth=0):
    schema = {}
    for name in rng.sample(NAMES, rng.randrange(1, 6)):
        chance = rng.random()
        if depth < 2 and chance < 0.15:
            schema[name] = schema_by_chance(rng, depth + 1)
        elif chance < 0.25:
            item = schema_by_chance(rng, 2) if depth < 2 and rng.random() < 0.4 else leaf(rng, "O")
            inner = _leaves(item) if isinstance(item, dict) else [item]
            if any(one.dtype.kind == "O" for one in inner):
                item = leaf(rng, "O")
            schema[name] = Array(item, rng.choice([(1,), (3,), (2, 2)]))
        else:
            schema[name] = leaf(rng)
    return schema


def _leaves(schema):
    return [
        one
        for node in schema.values()
        for one in (_leaves(node) if isinstance(node, dict) else [getattr(node, "item", node)])
        if isinstance(one, Leaf)
    ] + [one for node in schema.values() if isinstance(getattr(node, "item", None), dict) for one in _leaves(node.item)]


def leaf(rng, without=""):
    while True:
        code, named, kinds = rng.choice(LEAVES)
        if code not in without:
            made = Leaf(code, named)
            made.kinds = kinds
            return made


def as_fields(rng, schema, above=()):
    """The schema as a list of fields of a dtype, its types, and {path: keys} of its leaves and arrays."""
    fields, types, keys = [], {}, {}
    for name, node in schema.items():
        path = (*above, name)
        if isinstance(node, dict):
            inner, inner_types, inner_keys = as_fields(rng, node, path)
            # Dots stand for documents as nested dtypes do.
            if rng.random() < 0.3:
                fields += [(f"{name}.{field[0]}", *field[1:]) for field in inner]
                keys.update({p: (f"{name}.{k[0]}", *k[1:]) for p, k in inner_keys.items()})
            else:
                fields.append((name, inner))
                keys.update({p: (name, *k) for p, k in inner_keys.items()})
            types.update({f"{name}.{key}": value for key, value in inner_types.items()})
            continue
        keys[path] = (name,)
        item = node.item if isinstance(node, Array) else node
        if isinstance(item, Leaf) and item.named:
            types[name] = item.named
        if isinstance(item, dict):
            dtype, inner_types, _ = as_fields(_Nested, item)
            types.update({f"{name}.{key}": value for key, value in inner_types.items()})
        else:
            dtype = item.dtype
        fields.append((name, dtype, node.shape) if isinstance(node, Array) else (name, dtype))
    return fields, types, keys


class _Nested:
    """In arrays of documents no name has dots."""

    @staticmethod
    def random():
        return 1.0


def paths_in(schema, above=()):
    """The paths of all fields, those of the documents in arrays among them."""
    for name, node in schema.items():
        inner = getattr(node, "item", node)
        if isinstance(inner, dict):
            yield from paths_in(inner, (*above, name))
        if not isinstance(node, dict):
            yield (*above, name)


def policies_by_chance(rng, paths):
    choices = {
        "missing": ("error", "fill", "mask", "mask"),
        "null": ("error", "fill", "mask", "mask"),
        "convert": ("exact", "exact", "lossy", "strict"),
        "overflow": ("error", "truncate"),
        "length": ("error", "pad"),
        "utf8": ("error", "replace"),
    }
    given = {}
    for name, allowed in choices.items():
        chance = rng.random()
        if chance < 0.6:
            given[name] = rng.choice(allowed)
        elif chance < 0.8:
            given[name] = {".".join(path): rng.choice(allowed) for path in rng.sample(paths, min(len(paths), 2))}
            given[name]["*"] = rng.choice(allowed)
    return given


def expected(schema, documents, policies):
    """(The cells of good documents, {number of a bad one: the path of what is wrong first found})."""
    good, bad = [], {}
    for number, raw in enumerate(documents):
        try:
            good.append(reference.row(schema, reference.decode(raw), policies))
        except reference.Bad as error:
            bad[number] = error.args[0]
    return good, bad


def same_cell(node, found, mask, wanted):
    """Whether an item of an array, with its mask, is what the reference says."""
    if isinstance(node, Array):
        size = node.shape[0] * (node.shape[1] if len(node.shape) > 1 else 1)
        found = found.reshape(size)
        mask = mask.reshape(size) if mask is not None else None
        inner = node.item
        check = same_cell if isinstance(inner, Leaf) else same_row
        parts = [(found[i : i + 1], mask if mask is None else mask[i : i + 1], wanted[i]) for i in range(size)]
        return all(check(inner, *part) for part in parts)
    value, is_masked = wanted
    if mask is not None and bool(np.ravel(mask)[0]) != is_masked:
        return False
    if is_masked:
        return mask is not None
    if node.dtype.kind == "O":
        return same_object(np.ravel(found)[0], value)
    raw = np.ravel(found)[:1].tobytes()
    if node.dtype.kind == "f" and raw != value:
        return bool(np.isnan(np.frombuffer(raw, node.dtype)[0]) and np.isnan(np.frombuffer(value, node.dtype)[0]))
    return raw == value


def same_object(found, wanted):
    if wanted is None:
        return found is None
    kind, raw = wanted
    if kind == reference.STRING:
        return found == raw[4:-1].decode(errors="replace")
    again = bson.decode(whole([element(kind, "v", raw)]), OBJECTS)["v"]
    return type(found) is type(again) and (found == again or found != found and again != again)


def same_row(schema, found, mask, wanted, keys=None):
    """Whether an array of one row is what the reference says; what is not is shown."""
    for path, cell in wanted.items():
        node, column, masks = schema, found, mask
        for name in path:
            node = node[name]
        for key in keys[path] if keys else path:
            column = column[key]
            masks = masks[key] if masks is not None else None
        assert same_cell(node, column, masks, cell), (path, column, masks, cell)
    return True


def rounds(seed, many):
    """Sources of chance: so many, or as many as there is time for."""
    end = time.monotonic() + float(os.environ.get("FUZZ_SECONDS", 0)) / 4
    number = 0
    while number < many or time.monotonic() < end:
        yield f"{seed} {number}", random.Random(f"{seed} {number}")
        number += 1


def documents_by_chance(rng, schema):
    documents = []
    while len(documents) < 40:
        shape = Shape(rng)
        some = [document(rng, schema, shape) for _ in range(rng.choice([1, 8, 40]))]
        documents += some * rng.choice([1, 1, 6])
    return documents


@pytest.mark.parametrize("seed", range(4))
def test_rows(seed):
    for name, rng in rounds(f"rows {seed}", 60):
        schema = schema_by_chance(rng)
        documents = documents_by_chance(rng, schema)
        dtype, types, keys = as_fields(rng, schema)
        given = policies_by_chance(rng, [*paths_in(schema)])
        good, bad = expected(schema, documents, reference.Policies(given))
        array, errors = sb.to_ndarray(b"".join(documents), dtype, types=types, on_error="collect", **given)
        told = {error.document: error for error in errors}
        for number in told.keys() ^ bad.keys():
            raise AssertionError((name, given, dtype, documents[number], told.get(number), bad.get(number)))
        assert len(array) == len(good), name
        is_masked = isinstance(array, np.ma.MaskedArray)
        for number, wanted in enumerate(good):
            one = array[number : number + 1]
            same_row(schema, *((one.data, one.mask) if is_masked else (one, None)), wanted, keys)
        if not array.dtype.hasobject:
            other_ways(rng, documents, dtype, array, errors, {"types": types, **given})


def other_ways(rng, documents, dtype, array, errors, options):
    """The same documents from an iterator, in small arrays, and up to the first that is bad."""

    def memory(*arrays):
        return [b"".join(np.ascontiguousarray(part(a)).tobytes() for a in arrays) for part in (np.ma.getdata, masks)]

    def masks(one):
        return one.mask if isinstance(one, np.ma.MaskedArray) else np.zeros(0)

    wanted = memory(array)
    parts = [*sb.iter_ndarrays(iter(documents), dtype, rows=rng.randrange(1, 50), on_error="collect", **options)]
    assert memory(*[part for part, _ in parts]) == wanted
    assert [str(error) for _, some in parts for error in some] == [str(error) for error in errors]
    assert memory(sb.to_ndarray(iter(documents), dtype, on_error="skip", **options)) == wanted
    try:
        whole = sb.to_ndarray(b"".join(documents), dtype, **options)
        assert not errors
    except sb.BSONDecodeError as error:
        assert str(error) == str(errors[0])
        whole = error.partial
        assert len(whole) == error.document
    assert memory(whole) == memory(array[: len(whole)])


COLUMNS = [
    *((name, name, [1, 16, 18]) for name in ("float64", "float64", "float32", "int64", "int32", "int16", "int8")),
    *((name, name, [1, 16, 18]) for name in ("uint64", "uint32", "uint16", "uint8")),
    ("bool", "?", [8]),
    *((f"datetime[{unit}]", f"M8[{unit}]", [9]) for unit in ("ms", "ms", "us", "ns", "s")),
    ("objectid", "V12", [7]),
    ("string", None, [2]),
    ("string", None, [2]),
    ("binary", None, [5]),
    ("uuid", "V16", [5]),
    ("decimal128", "V16", [19]),
    ("timestamp", "u8", [17]),
    ("raw", None, [*VALUES]),
]


def columns_by_chance(rng, depth=0):
    """A tree of columns, lists and documents, as `to_arrow` takes it and as the reference does."""
    given, schema = {}, {}
    for name in rng.sample(NAMES, rng.randrange(1, 5)):
        given[name], schema[name] = column_by_chance(rng, depth)
    return given, schema


def column_by_chance(rng, depth):
    chance = rng.random()
    if depth < 3 and chance < 0.15:
        return columns_by_chance(rng, depth + 1)
    if depth < 3 and chance < 0.3:
        given, node = column_by_chance(rng, depth + 1)
        return [given], [node]
    name, dtype, kinds = rng.choice(COLUMNS)
    column = reference.Column(name, dtype, name if name in ("uuid", "decimal128", "timestamp") else None)
    column.kinds = kinds
    return name, column


def dotted_by_chance(rng, given, schema):
    """The same schema, by paths: some documents at the top are dots in names."""
    types, nodes = {}, {}
    for name, node in schema.items():
        if isinstance(node, dict) and rng.random() < 0.4:
            inner_types, inner_nodes = dotted_by_chance(rng, given[name], node)
            types.update({f"{name}.{key}": type_ for key, type_ in inner_types.items()})
            nodes.update({(name, *path): inner for path, inner in inner_nodes.items()})
        else:
            types[name] = given[name]
            nodes[(name,)] = node
    return types, nodes


def dates_in(schema, above=()):
    """The paths of dates: there is nothing that stands for them unless one says so."""
    for name, node in schema.items():
        path = (*above, name)
        is_list = isinstance(node, list)
        while isinstance(node, list):
            node = node[0]
        if isinstance(node, dict):
            yield from dates_in(node, path)
        elif not is_list and node.dtype is not None and node.dtype.kind == "M":
            yield ".".join(path)


def plain(array):
    """An Arrow array as Python objects; times as numbers, which have no range to leave."""
    import pyarrow as pa

    type_ = array.type
    if pa.types.is_timestamp(type_):
        return array.cast(pa.int64()).to_pylist()
    if pa.types.is_list(type_):
        values, offsets = plain(array.values), array.offsets.to_pylist()
        return [values[a:b] if ok else None for a, b, ok in zip(offsets, offsets[1:], array.is_valid().to_pylist())]
    if pa.types.is_struct(type_):
        names = [field.name for field in type_]
        inner = [plain(array.field(number)) for number in range(len(names))]
        rows = [dict(zip(names, row)) for row in zip(*inner)]
        return [row if ok else None for row, ok in zip(rows, array.is_valid().to_pylist())]
    return array.to_pylist()


def same(found, wanted):
    if isinstance(wanted, dict):
        return found is not None and found.keys() == wanted.keys() and all(same(found[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list):
        return found is not None and len(found) == len(wanted) and all(map(same, found, wanted))
    return found == wanted and type(found) is type(wanted) or found != found and wanted != wanted


def test_inferred_schemas_hold_what_they_were_inferred_from():
    for name, rng in rounds("inferred", 100):
        _, schema = columns_by_chance(rng)
        shape = Shape(rng)
        shape.twice = 0
        documents = [document(rng, schema, shape) for _ in range(30)]
        raw = b"".join(documents)
        try:
            bson.decode_all(raw, OBJECTS)
        except bson.errors.InvalidBSON:
            continue
        found = sb.infer_schema(raw, None)
        assert str(found), name
        assert len(sb.to_arrow(raw, found)) == len(documents)
        assert len(found) == 0 or len(sb.to_ndarray(raw, found, missing="mask", null="mask")) == len(documents)


@pytest.mark.parametrize("seed", range(4))
def test_columns(seed):
    pytest.importorskip("pyarrow")
    for name, rng in rounds(f"columns {seed}", 60):
        tree, schema = columns_by_chance(rng)
        documents = documents_by_chance(rng, schema)
        types, nodes = dotted_by_chance(rng, tree, schema)
        given = policies_by_chance(rng, [*nodes])
        for policy in ("overflow", "length"):
            given.pop(policy, None)
        given.setdefault("missing", "mask")
        fill = dict.fromkeys(dates_in(schema), np.datetime64(0, "ms"))
        table, errors = sb.to_arrow(b"".join(documents), types, on_error="collect", fill=fill, **given)
        good, bad = [], {}
        for number, raw in enumerate(documents):
            try:
                good.append(reference.columns(nodes, reference.decode(raw), reference.Policies(given)))
            except reference.Bad as error:
                bad[number] = error.args[0]
        told = {error.document: error for error in errors}
        for number in told.keys() ^ bad.keys():
            raise AssertionError((name, given, types, documents[number], told.get(number), bad.get(number)))
        arrow = table.to_pyarrow()
        arrow.validate(full=True)
        assert len(arrow) == len(good)
        for path in nodes:
            values = [value for chunk in arrow[".".join(path)].chunks for value in plain(chunk)]
            for number, (found, row) in enumerate(zip(values, good)):
                assert same(found, row[path]), (name, given, types, path, number, found, row[path])
