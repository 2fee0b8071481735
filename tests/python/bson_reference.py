"""Decoding as `docs/bson.md` describes it, slowly and plainly: what the tests by chance compare with.

Values are triples (type byte, value, raw bytes); a document is a dictionary of them, in which the last of several
fields of one name has won. A schema is a tree: `Leaf`, `Array` and dictionaries from names to these.
"""

import decimal
import itertools
import math
import struct

import numpy as np

DOUBLE, STRING, DOCUMENT, ARRAY, BINARY, UNDEFINED, OBJECTID, BOOL, DATE, NULL = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
INT32, TIMESTAMP, INT64, DECIMAL = 16, 17, 18, 19
MILLISECONDS = {"D": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
ABSENT = None, None, None
TICKS = {"us": 1000, "ns": 1_000_000}


class Bad(Exception):
    """A value that the schema does not take."""


class Leaf:
    """A field of one value: its dtype, and what it holds where that is open."""

    def __init__(self, dtype, named=None):
        self.dtype = np.dtype(dtype)
        self.named = named


class Array:
    """A sub-array of leaves or documents."""

    def __init__(self, item, shape):
        self.item = item
        self.shape = shape


def decode(raw):
    """A document as a dictionary."""
    return dict(_elements(raw))


def _elements(raw):
    at = 4
    while raw[at]:
        kind, end = raw[at], raw.index(0, at + 1)
        name, at = raw[at + 1 : end].decode(), end + 1
        size = _size(kind, raw, at)
        value = raw[at : at + size]
        yield name, (kind, _value(kind, value), value)
        at += size


def _size(kind, raw, at):
    fixed = {DOUBLE: 8, UNDEFINED: 0, OBJECTID: 12, BOOL: 1, DATE: 8, NULL: 0, INT32: 4, TIMESTAMP: 8, INT64: 8}
    fixed.update({DECIMAL: 16, 0xFF: 0, 0x7F: 0})
    if kind in fixed:
        return fixed[kind]
    if kind == 0x0B:
        return raw.index(0, raw.index(0, at) + 1) + 1 - at
    length = struct.unpack_from("<i", raw, at)[0]
    return length + {STRING: 4, BINARY: 5, 0x0C: 16, 0x0D: 4, 0x0E: 4}.get(kind, 0)


def _value(kind, raw):
    if kind == DOCUMENT:
        return decode(raw)
    if kind == ARRAY:
        return [value for _, value in _elements(raw)]
    if kind == STRING:
        return raw[4:-1]
    if kind == BINARY:
        return raw[4], raw[9:] if raw[4] == 2 else raw[5:]
    if kind in (DATE, INT32, INT64):
        return int.from_bytes(raw, "little", signed=True)
    if kind == BOOL:
        return raw[0] == 1
    return struct.unpack("<d", raw)[0] if kind == DOUBLE else raw


class Policies:
    """Policies by path, as the functions take them."""

    def __init__(self, given):
        self._given = given

    def of(self, name, path, default):
        given = self._given.get(name)
        if not isinstance(given, dict):
            return default if given is None else given
        for end in range(len(path), 0, -1):
            if ".".join(path[:end]) in given:
                return given[".".join(path[:end])]
        return given.get("*", default)

    def missing(self, path, node=None):
        return self.of("missing", path, "error")

    def null(self, path, node=None):
        if "null" in self._given:
            return self.of("null", path, "error")
        action = self.missing(path)
        # None is an object like others.
        return "fill" if action == "error" and isinstance(node, Leaf) and node.dtype.kind == "O" else action


def row(schema, document, policies, path=()):
    """{path of a leaf: (bytes or object, mask)} of a document; arrays have lists of such pairs."""
    cells = {}
    for name, node in schema.items():
        below = (*path, name)
        found = document.get(name) if document is not None else None
        if isinstance(node, dict):
            kind, value, _ = found or ABSENT
            if kind not in (None, DOCUMENT, NULL, UNDEFINED):
                raise Bad(below)
            if kind in (NULL, UNDEFINED):
                cells.update(_all_absent(node, policies, below, Policies.null))
            else:
                cells.update(row(node, value, policies, below))
        else:
            cells[below] = field(node, found, policies, below)
    return cells


def _all_absent(schema, policies, path, of):
    cells = {}
    for name, node in schema.items():
        below = (*path, name)
        if isinstance(node, dict):
            cells.update(_all_absent(node, policies, below, of))
        else:
            cells[below] = absent(node, policies, below, of(policies, below, node))
    return cells


def field(node, found, policies, path):
    """A leaf or an array of them: (value, mask) or a list of those."""
    if found is None:
        action = policies.missing(path)
        return absent(node, policies, path, action)
    kind, value, raw = found
    is_object = isinstance(node, Leaf) and node.dtype.kind == "O"
    if kind == NULL or kind == UNDEFINED and not is_object:
        return absent(node, policies, path, policies.null(path, node))
    if isinstance(node, Array):
        if kind != ARRAY:
            raise Bad(path)
        return items(node, value, policies, path, node.shape)
    if is_object:
        if kind == STRING:
            _utf8(value, policies, path)
        return (kind, raw), False
    return cell(node, kind, value, policies, path), False


def items(node, values, policies, path, shape):
    """The items of an array, flat."""
    if len(values) > shape[0] or len(values) < shape[0] and policies.of("length", path, "error") == "error":
        raise Bad(path)
    cells = []
    for found in itertools.islice(itertools.chain(values, itertools.repeat(None)), shape[0]):
        if len(shape) > 1:
            if found is None:
                cells += absent(Array(node.item, shape[1:]), policies, path, policies.missing(path))
            elif found[0] in (NULL, UNDEFINED):
                cells += absent(Array(node.item, shape[1:]), policies, path, policies.null(path))
            elif found[0] != ARRAY:
                raise Bad(path)
            else:
                cells += items(node, found[1], policies, path, shape[1:])
        elif isinstance(node.item, dict):
            kind, value, _ = found or ABSENT
            if kind in (NULL, UNDEFINED):
                cells.append(_below(path, _all_absent(node.item, policies, path, Policies.null)))
            elif kind in (None, DOCUMENT):
                cells.append(_below(path, row(node.item, value, policies, path)))
            else:
                raise Bad(path)
        else:
            cells.append(field(node.item, found, policies, path))
    return cells


def _below(path, cells):
    """The cells of an array's document, by their paths in that."""
    return {below[len(path) :]: cell for below, cell in cells.items()}


def absent(node, policies, path, action):
    """What stands for a value that is not there."""
    if action == "error":
        raise Bad(path)
    if isinstance(node, Array):
        count = math.prod(node.shape)
        if isinstance(node.item, dict):
            inner = _below(path, _all_absent(node.item, policies, path, lambda *_: action))
        else:
            inner = absent(node.item, policies, path, action)
        return [inner] * count
    if node.dtype.kind == "O":
        return None, action == "mask"
    value = policies.of("fill", path, None)
    if value is None:
        value = {"f": np.nan, "M": "NaT"}.get(node.dtype.kind)
    item = np.zeros((), node.dtype)
    if value is not None:
        item[()] = value
    return item.tobytes(), action == "mask"


def cell(leaf, kind, value, policies, path):
    """The bytes of a value, or the object."""
    dtype, named = leaf.dtype, leaf.named
    convert = policies.of("convert", path, "exact")
    truncate = policies.of("overflow", path, "error") == "truncate"
    if named == "timestamp":
        return _only(kind == TIMESTAMP, value, path)
    if named == "decimal128":
        return _only(kind == DECIMAL, value, path)
    if named == "uuid":
        return _only(kind == BINARY and value[0] == 4 and len(value[1]) == 16, value, path)[1]
    if named == "objectid" or dtype == "V12":
        _only(kind == OBJECTID, value, path)
        return value.hex().encode() if dtype.itemsize == 24 else value
    if dtype.kind == "V":
        subtype = int(named[7:-1]) if named else None
        size = dtype.itemsize
        _only(kind == BINARY and subtype in (None, value[0]), value, path)
        _only(len(value[1]) == size or truncate and len(value[1]) > size, value, path)
        return value[1][:size]
    if dtype.kind in "US":
        return _text(dtype, kind, value, policies, path, truncate)
    if dtype.kind == "M":
        _only(kind == DATE, value, path)
        unit = np.datetime_data(dtype)[0]
        ticks = value * TICKS[unit] if unit in TICKS else value // MILLISECONDS[unit]
        exact = unit in TICKS or value % MILLISECONDS[unit] == 0
        _only(exact or convert == "lossy", value, path)
        return _only(-(2**63) <= ticks < 2**63, ticks, path).to_bytes(8, "little", signed=True)
    return _number(dtype, kind, value, convert, path)


def _only(good, value, path):
    if not good:
        raise Bad(path)
    return value


def _text(dtype, kind, value, policies, path, truncate):
    is_text = kind == STRING
    _only(is_text or dtype.kind == "S" and kind == BINARY, value, path)
    raw = value if is_text else value[1]
    if is_text:
        raw = _utf8(raw, policies, path)
    _only(raw[-1:] != b"\0", value, path)
    if dtype.kind == "U":
        text = raw.decode()
        room = dtype.itemsize // 4
        _only(len(text) <= room or truncate, value, path)
        return text[:room].encode("utf-32-le").ljust(dtype.itemsize, b"\0")
    room = dtype.itemsize
    _only(len(raw) <= room or truncate, value, path)
    cut = raw[:room]
    if is_text and len(raw) > room:
        cut = cut.decode(errors="ignore").encode()
    return cut.ljust(room, b"\0")


def _utf8(raw, policies, path):
    try:
        raw.decode()
    except UnicodeDecodeError:
        _only(policies.of("utf8", path, "error") == "replace", raw, path)
    return raw.decode(errors="replace").encode()


def _number(dtype, kind, value, convert, path):
    lossy = convert == "lossy"
    natural = {DOUBLE: dtype.kind == "f", BOOL: dtype.kind == "b"}
    natural[INT32] = dtype.kind == "u" or dtype.kind == "i" and dtype.itemsize <= 4
    natural[INT64] = dtype.kind == "u" or dtype == "i8"
    number = kind in (DOUBLE, INT32, INT64)
    taken = natural.get(kind, False)
    taken = taken or number and dtype.kind != "b" and convert != "strict"
    taken = taken or lossy and (number or kind == BOOL or kind == DECIMAL and dtype.kind == "f")
    _only(taken, value, path)
    if kind == DECIMAL:
        value = float(_decimal(value))
    if dtype.kind == "b":
        return _only(value in (0, 1), bytes([value == 1]), path)
    if dtype.kind == "f":
        if dtype.itemsize == 8 or kind in (INT32, INT64):
            exact = int(dtype.type(value)) == value if kind in (INT32, INT64) else True
            return _only(lossy or exact, dtype.type(value), path).tobytes()
        with np.errstate(over="ignore"):
            single = np.float32(value)
        _only(not np.isinf(single) or math.isinf(value), value, path)
        return _only(lossy or math.isnan(value) or float(single) == value, single, path).tobytes()
    if kind == DOUBLE:
        _only(math.isfinite(value), value, path)
        _only(lossy or value.is_integer(), value, path)
    info = np.iinfo(dtype)
    return dtype.type(_only(info.min <= int(value) <= info.max, int(value), path)).tobytes()


def _decimal(raw):
    from bson import Decimal128

    with decimal.localcontext(decimal.Context(prec=60)):
        return Decimal128.from_bid(raw).to_decimal()


class Column:
    """A column of plain values: its type's name, and the dtype of what it holds where there is one."""

    def __init__(self, name, dtype=None, named=None):
        self.name = name
        self.dtype = np.dtype(dtype) if dtype else None
        self.named = named


def columns(schema, document, policies):
    """{path: value} of a document, None for what is null; lists are lists of one node, documents dictionaries."""
    return {path: _at_path(node, document, policies, path, 0) for path, node in schema.items()}


def _at_path(node, document, policies, path, depth):
    found = document.get(path[depth])
    if depth + 1 == len(path) or found is None:
        return column(node, found, policies, path)
    if found[0] in (NULL, UNDEFINED):
        return no_column(node, policies, path, policies.null(path))
    if found[0] != DOCUMENT:
        raise Bad(path)
    return _at_path(node, found[1], policies, path, depth + 1)


def column(node, found, policies, path, is_item=False):
    """A value of a column, of a document in it, or of a list's items."""
    if found is None:
        return no_column(node, policies, path, policies.missing(path))
    kind, value, raw = found
    is_raw = isinstance(node, Column) and node.name == "raw"
    if kind == NULL or kind == UNDEFINED and not is_raw:
        return no_column(node, policies, path, "mask" if is_item else policies.null(path))
    if isinstance(node, list):
        _only(kind == ARRAY, value, path)
        return [column(node[0], item, policies, path, True) for item in value]
    if isinstance(node, dict):
        _only(kind == DOCUMENT, value, path)
        return {name: column(inner, value.get(name), policies, (*path, name)) for name, inner in node.items()}
    if is_raw:
        if kind == STRING:
            # Whoever gets these bytes takes them for BSON: nothing can be replaced in them.
            _utf8(value, Policies({}), path)
        return bytes([kind]) + raw
    if node.name == "string":
        return _utf8(_only(kind == STRING, value, path), policies, path).decode()
    if node.name == "binary":
        return _only(kind == BINARY, value, path)[1]
    stored = cell(node, kind, value, policies, path)
    if node.dtype.kind == "V":
        return stored
    return np.frombuffer(stored, "i8" if node.dtype.kind == "M" else node.dtype)[0].item()


def no_column(node, policies, path, action):
    """What stands for a value that is not there; what a document's policy says holds for all in it."""
    if action == "error":
        raise Bad(path)
    if action == "mask":
        return None
    if isinstance(node, list):
        return []
    if isinstance(node, dict):
        return {name: no_column(inner, policies, (*path, name), action) for name, inner in node.items()}
    if node.name in ("string", "binary", "raw"):
        return "" if node.name == "string" else b""
    if node.dtype.kind == "V":
        return bytes(node.dtype.itemsize)
    return {"f": math.nan, "b": False}.get(node.dtype.kind, 0)
