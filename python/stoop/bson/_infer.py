"""What documents hold: fields, types, widths, and the schema that fits them."""

import difflib
import math

from stoop import _stoop
from stoop.bson._sources import open_source

ITEMS = "[]"
EXACT = 2**53

# Types whose column has a name of its own, where no other type is mixed in.
_SIMPLE = {
    "double": "double",
    "int32": "int32",
    "int64": "int64",
    "bool": "bool",
    "date": "datetime[ms]",
    "string": "string",
    "objectId": "objectid",
    "timestamp": "timestamp",
}
_DTYPES = {
    "double": "f8",
    "int32": "i4",
    "int64": "i8",
    "bool": "?",
    "datetime[ms]": "M8[ms]",
    "objectid": "V12",
    "uuid": "V16",
    "timestamp": "u8",
}


class Names(dict):
    """Types by the names of fields as documents have them: a dot in one of these names leads nowhere.

    Names that are added later are paths, as in any other dictionary.
    """

    def __init__(self, types):
        super().__init__(types)
        self.exact = frozenset(types)


class Field:
    """What was seen of one field."""

    def __init__(self, row, documents):
        self.path = row["path"]
        self.types = row["types"]
        self.present = row["present"]
        self.missing = 1 - self.present / documents if documents else 0.0
        self._row = row
        self.children = []

    @property
    def name(self):
        """The path with dots."""
        return ".".join(self.path)

    @property
    def widest(self):
        """Characters of the longest string, bytes of the longest binary, items of the longest array."""
        for key in ("characters", "bytes", "items"):
            if self._row[key]:
                return self._row[key][1]
        return None

    def type(self):
        """The type of a column that holds all that was seen."""
        kinds = set(self.types) - {"null", "undefined"}
        if not kinds:
            return "null"
        if len(kinds) == 1:
            (kind,) = kinds
            if kind in _SIMPLE:
                return _SIMPLE[kind]
            if kind == "document" and self.children:
                return Names({child.path[-1]: child.type() for child in self.children if child.path[-1] != ITEMS})
            if kind == "array":
                items = [child for child in self.children if child.path[-1] == ITEMS and child.types]
                return [items[0].type() if items else "null"]
            if kind == "binary":
                is_uuid = self._row["subtypes"] == [4] and self._row["bytes"] == (16, 16)
                return "uuid" if is_uuid else "binary"
            if kind == "decimal128":
                before, after = self._row["decimals"] or (1, 0)
                if self._row["not_finite"] or before + after > 38:
                    return "decimal128"
                return f"decimal128(38, {after})"
        elif kinds <= {"int32", "int64"}:
            return "int64"
        elif kinds <= {"double", "int32", "int64"}:
            low, high = self._row["integers"]
            if -EXACT <= low and high <= EXACT:
                return "double"
        return "raw"

    def dtype(self):
        """(The dtype that holds all that was seen, what it holds where the dtype does not say.)"""
        type_ = self.type()
        if isinstance(type_, dict):
            inner = [(child, *child.dtype()) for child in self.children if child.path[-1] != ITEMS]
            types = {}
            for child, _, below in inner:
                types.update({f"{child.path[-1]}.{key}" if key else child.path[-1]: v for key, v in below.items()})
            return [(child.path[-1], *_spread(dtype)) for child, dtype, _ in inner], types
        if isinstance(type_, list):
            low, high = self._row["items"]
            items = [child for child in self.children if child.path[-1] == ITEMS]
            if low == high and items and self.types.keys() == {"array"}:
                dtype, types = items[0].dtype()
                if not _holds_objects(dtype) and not isinstance(dtype, tuple) and not types:
                    return (dtype, (high,)), {}
            return "O", {}
        if type_ == "string" and not self._row["end_with_nul"]:
            return f"U{max(self._row['characters'][1], 1)}", {}
        if type_ in ("double", "int32", "int64", "bool", "datetime[ms]", "objectid", "timestamp", "uuid"):
            return _DTYPES[type_], {"": type_} if type_ in ("uuid", "timestamp") else {}
        if type_ == "binary":
            low, high = self._row["bytes"]
            if low == high > 0 and len(self._row["subtypes"]) == 1:
                return f"V{high}", {"": f"binary({self._row['subtypes'][0]})"}
            return "O", {}
        if type_.startswith("decimal128"):
            return "V16", {"": "decimal128"}
        return "O", {}


def _spread(dtype):
    """A dtype as it stands in a list of fields: the shape of a sub-array is a third item."""
    return dtype if isinstance(dtype, tuple) else (dtype,)


def _holds_objects(dtype):
    return dtype == "O" or isinstance(dtype, list) and any(_holds_objects(inner[1]) for inner in dtype)


class Schema:
    """What a source holds. `print` shows it as a table; `to_ndarray` and `to_arrow` take it as it is."""

    def __init__(self, documents, rows, whole):
        self.documents = documents
        # Whether these were all the documents there are.
        self.whole = whole
        self.fields = tuple(Field(row, documents) for row in rows)
        known = {field.path: field for field in self.fields}
        self._top = []
        for field in self.fields:
            parent = known.get(field.path[:-1])
            (parent.children if parent else self._top).append(field)

    def __iter__(self):
        return iter(self.fields)

    def __len__(self):
        return len(self.fields)

    def __getitem__(self, path):
        for field in self.fields:
            if field.name == path:
                return field
        near = difflib.get_close_matches(path, [field.name for field in self.fields], 1)
        raise KeyError(f"no document has a field {path!r}" + (f"; did you mean {near[0]!r}?" if near else ""))

    def type_of(self, path):
        """The type of a field by its path, as `arrow` has it."""
        try:
            return self[path].type()
        except KeyError as error:
            raise ValueError(error.args[0]) from None

    def arrow(self):
        """The types of columns, for `to_arrow`: a dictionary to change at will."""
        return Names({field.path[0]: field.type() for field in self._top})

    def dtype(self):
        """A structured dtype that holds the documents, for `to_ndarray`."""
        import numpy as np

        return np.dtype([(field.path[0], *_spread(field.dtype()[0])) for field in self._top])

    _as_spec = arrow
    _as_dtype = dtype

    def _types(self):
        """What fields hold, where the dtype leaves that open."""
        found = {}
        for field in self._top:
            for key, type_ in field.dtype()[1].items():
                found[f"{field.path[0]}.{key}" if key else field.path[0]] = type_
        return found

    def _paths(self):
        """The paths of fields whose names have dots, which would be taken for nested ones."""
        return {field.name: field.path for field in self.fields if any("." in part for part in field.path)}

    def widths(self):
        """Characters of the longest string of each field that has any, by dotted path."""
        return {f.name: f._row["characters"][1] for f in self.fields if f._row["characters"]}

    def __str__(self):
        counted = _amount(self.documents, "document")
        lines = [counted if self.whole else f"the first {counted}"]
        if not self.fields:
            return lines[0]
        header = ("path", "types", "missing", "widest")
        rows = [(field.name.replace("." + ITEMS, ITEMS), _types(field), _share(field), _width(field)) for field in self]
        widths = [max(len(row[i]) for row in (header, *rows)) for i in range(4)]
        for row in (header, tuple("-" * width for width in widths), *rows):
            left = [row[i].ljust(widths[i]) for i in (0, 1)]
            lines.append("  ".join([*left, row[2].rjust(widths[2]), row[3].ljust(widths[3])]).rstrip())
        return "\n".join(lines)

    def __repr__(self):
        return f"<stoop.bson.Schema of {len(self.fields)} fields in {self.documents:,} documents>\n{self}"


def _types(field):
    """The types with their shares, the most frequent first."""
    total = sum(field.types.values())
    if len(field.types) == 1:
        return next(iter(field.types), "")
    ordered = sorted(field.types.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {_percent(count / total)}" for name, count in ordered)


def _share(field):
    return _percent(field.missing) if field.missing else ""


def _percent(share):
    """A share for people: what is not nothing is not shown as nothing, nor what is not all as all."""
    if 0 < share < 0.001:
        return "<0.1%"
    if 0.999 < share < 1:
        return ">99.9%"
    text = f"{math.floor(share * 1000 + 0.5) / 10:.1f}%"
    return text.replace(".0%", "%")


def _width(field):
    row = field._row
    if row["characters"]:
        return _amount(row["characters"][1], "character")
    for key in ("bytes", "items"):
        if row[key]:
            low, high = row[key]
            return ("" if low == high else f"{low:,} to ") + _amount(high, key[:-1])
    if row["decimals"]:
        return "{}.{} digits".format(*row["decimals"])
    if row["integers"]:
        low, high = row["integers"]
        return f"{low:,} to {high:,}" if low != high else f"{low:,}"
    return ""


def _amount(number, what):
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def infer_schema(source, sample=10_000):
    """Look at the first `sample` documents of a source (all with None): a `Schema`, which prints as a table.

    An iterator or a file object is read as far as that needs, and not rewound.
    """
    if sample is not None and sample < 1:
        raise ValueError(f"sample must be at least 1, or None for all documents, not {sample!r}")
    with open_source(source) as opened:
        return scan_source(opened, sample)


def scan_source(source, sample, progress=None):
    """The schema of an open source."""
    scanner = _stoop.bson.Scanner()
    done = 0
    whole = True
    for piece, _number in source.told_pieces():
        limit = None if sample is None else sample - scanner.documents
        if limit == 0:
            whole = False
            break
        used = scanner.add(piece, limit, document=scanner.documents, offset=done)
        done += used
        if used < len(piece):
            whole = False
            break
        if progress is not None:
            progress.at(source.read, scanner.documents)
    return Schema(scanner.documents, scanner.fields(), whole)
