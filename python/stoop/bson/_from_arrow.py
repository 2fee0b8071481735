"""Arrow columns into documents."""

from stoop import _stoop
from stoop.bson._infer import ITEMS
from stoop.bson._spec import kind_of

# Rows turned into documents at a time.
ROWS = 1 << 20

# What PyMongoArrow's own column types hold, by the names of the types.
_EXTENSIONS = {
    "objectid": "objectid",
    "pymongoarrow.objectid": "objectid",
    "pymongoarrow.decimal128": "decimal128",
    "pymongoarrow.binary": "binary",
    "pymongoarrow.code": None,
    "arrow.uuid": "uuid",
}


def from_arrow(table, *, types=None, paths=None, nulls="omit"):
    """Encode the rows of Arrow columns as documents, back to back.

    `table` is whatever has Arrow's C stream or array: a `pyarrow.Table` or `RecordBatch`, a
    polars or pandas frame, the answer of `to_arrow`. Nulls are left out of their documents;
    with `nulls="keep"` they are null. `types` says by path what a column holds where its type
    leaves that open, or is the answer of `infer_schema`. Dots in a column's name follow embedded
    documents, unless `paths` has a tuple.
    """
    return b"".join(documents(as_table(table), types, paths, nulls, ROWS))


def is_arrow(table):
    """Whether something is Arrow columns."""
    return hasattr(table, "__arrow_c_stream__") or hasattr(table, "__arrow_c_array__")


def as_table(table):
    """A pyarrow.Table on the same memory."""
    if not is_arrow(table):
        raise TypeError(f"expected Arrow columns, like a pyarrow.Table, not {type(table).__name__!r}")
    try:
        import pyarrow
    except ImportError:
        raise ImportError("reading Arrow columns needs pyarrow: pip install 'stoop[arrow]'") from None
    if isinstance(table, pyarrow.Table):
        return table
    if hasattr(table, "__arrow_c_stream__"):
        return pyarrow.table(table)
    return pyarrow.Table.from_batches([pyarrow.record_batch(table)])


def documents(table, types=None, paths=None, nulls="omit", rows=ROWS):
    """The rows of a table as documents, at most so many rows at a time."""
    if nulls not in ("omit", "keep"):
        raise ValueError(f'nulls={nulls!r} is neither "omit" nor "keep"')
    types, paths = _of_schema(types, paths) if hasattr(types, "_types") else (dict(types or {}), dict(paths or {}))
    unknown = paths.keys() - set(table.column_names)
    if unknown:
        raise ValueError(_unknown(unknown, table))
    done = 0
    for batch in table.to_batches():
        # Kept as long as its buffers are read.
        arrays = [batch.column(number) for number in range(batch.num_columns)]
        tree, told = {}, _Types(types)
        for name, array in zip(batch.schema.names, arrays):
            path = paths.get(name, name)
            _insert(tree, path.split(".") if isinstance(path, str) else path, array, name)
        columns = _columns(tree, told)
        if types.keys() - told.used:
            raise ValueError(_unknown(types.keys() - told.used, table))
        for first in range(0, batch.num_rows, rows):
            number = min(rows, batch.num_rows - first)
            try:
                yield _stoop.bson.encode_columns(columns, first=first, rows=number, keep_nulls=nulls == "keep")
            except ValueError as error:
                if done:
                    error.add_note(f"rows are counted in a batch that begins with row {done:,}")
                raise
        done += batch.num_rows


class _Types:
    """What a caller says of columns, by path; and which of it was asked for."""

    def __init__(self, types):
        self.types = types
        self.used = set()

    def of(self, path):
        self.used.add(path)
        return self.types.get(path)


def _of_schema(schema, paths):
    """The types and paths of what `infer_schema` answers, as far as Arrow's own types do not say them."""
    types = dict(schema._types())
    # Of an array and its items, the items.
    fields = {".".join(part for part in field.path if part != ITEMS): field for field in schema.fields}

    def walk(spec, above):
        for name, type_ in spec.items():
            path = f"{above}{name}"
            while isinstance(type_, (list, tuple)) and type_:
                type_ = type_[0]
            if isinstance(type_, dict):
                walk(type_, f"{path}.")
            elif type_ in ("raw", "uuid", "timestamp", "decimal128"):
                types.setdefault(path, type_)
            elif type_ == "binary" and len(subtypes := fields[path]._row["subtypes"]) == 1:
                types.setdefault(path, f"binary({subtypes[0]})")

    walk(schema._as_spec(), "")
    return types, {**schema._paths(), **(paths or {})}


def _unknown(names, table):
    return f"no column is called {sorted(names)[0]!r}; there are {', '.join(table.column_names)}"


def _insert(tree, path, array, column):
    """Put a column where its path leads in a tree of documents."""
    *above, last = path
    for name in above:
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise ValueError(f"column {column!r} lies inside another column")
    if last in tree:
        raise ValueError(f"column {column!r} is there twice, or has others inside")
    tree[last] = (array, column)


def _columns(tree, told):
    """The columns of a tree, as the encoder takes them."""
    found = []
    for name, below in tree.items():
        if isinstance(below, dict):
            found.append((name, "document", 0, 0, None, 0, None, None, _columns(below, told)))
        else:
            found.append(_column(name, *below, told))
    return found


def _column(name, array, path, told, known=None):
    import pyarrow as pa
    import pyarrow.types as t

    type_ = array.type
    if isinstance(type_, pa.BaseExtensionType):
        extension = type_.extension_name
        if extension not in _EXTENSIONS:
            raise ValueError(f"column {path!r}: {extension} is no type that becomes BSON; cast it to its storage type")
        return _column(name, array.storage, path, told, _EXTENSIONS[extension])
    if t.is_dictionary(type_):
        return _column(name, array.dictionary_decode(), path, told, known)
    plainer = _plainer(pa, t, type_)
    if plainer is not None:
        return _column(name, array.cast(plainer), path, told, known)
    buffers = array.buffers()
    validity = buffers[0] if array.null_count else None
    if t.is_null(type_):
        told.used.add(path)
        return (name, "null", 0, 0, None, 0, None, None, ())

    def made(form, number=0, size=0, extents=None, values=None, inside=()):
        return (name, form, number, array.offset, validity, size, extents, values, inside)

    if t.is_struct(type_):
        if path in told.types:
            raise ValueError(f"column {path!r}: types says {told.types[path]!r} of a document")
        inner = [type_.field(number).name for number in range(type_.num_fields)]
        inside = [_column(inner[n], array.field(n), f"{path}.{inner[n]}", told) for n in range(len(inner))]
        # These columns begin where the document's do not: its offset is in them already.
        bits = _shifted(pa, array) if validity is not None and array.offset else validity
        return (name, "document", 0, 0, bits, 0, None, None, inside)
    if t.is_list(type_) or t.is_large_list(type_):
        item = [_column("", array.values, path, told)]
        return made("list", 0, 4 if t.is_list(type_) else 8, buffers[1], None, item)
    if t.is_fixed_size_list(type_):
        item = [_column("", array.values, path, told)]
        return made("fixed_list", type_.list_size, 0, None, None, item)
    form, number = _form(t, type_, told.of(path) or known, path)
    if len(buffers) == 3:
        large = t.is_large_string(type_) or t.is_large_binary(type_)
        return made(form, number, 8 if large else 4, buffers[1], buffers[2])
    width = type_.byte_width if t.is_fixed_size_binary(type_) else 0
    return made(form, number, width, None, buffers[1])


def _plainer(pa, t, type_):
    """A type that holds the same and is simpler to read."""
    if t.is_string_view(type_):
        return pa.large_string()
    if t.is_binary_view(type_):
        return pa.large_binary()
    if t.is_float16(type_):
        return pa.float32()
    if t.is_decimal(type_) and not t.is_decimal128(type_) and type_.precision <= 38:
        return pa.decimal128(type_.precision, type_.scale)
    return None


def _shifted(pa, array):
    """The validity of an array that begins inside its buffers, as bits that begin with it."""
    bits = array.is_valid()
    # Two arrays, so that they are copied.
    return pa.concat_arrays([bits, bits[:0]]).buffers()[1]


def _form(t, type_, given, path):
    """How plain values become BSON: the encoder's form, and its number."""
    kind, params = _given(given, path)
    if t.is_integer(type_):
        size = type_.bit_width // 8
        if kind == "timestamp" and t.is_uint64(type_):
            return "timestamp", 8
        return _no(kind, path, type_) or ("uint" if t.is_unsigned_integer(type_) else "int", size)
    if t.is_floating(type_):
        return _no(kind, path, type_) or ("float", type_.bit_width // 8)
    if t.is_boolean(type_):
        return _no(kind, path, type_) or ("bool", 0)
    if t.is_timestamp(type_):
        return _no(kind, path, type_, "datetime") or (type_.unit, 8)
    if t.is_date(type_):
        return _no(kind, path, type_, "datetime") or (("D", 4) if t.is_date32(type_) else ("ms", 8))
    if t.is_decimal(type_) and type_.bit_width == 128:
        return _no(kind, path, type_, "decimal128") or ("scaled", type_.scale)
    if t.is_string(type_) or t.is_large_string(type_):
        return ("hex", 0) if kind == "objectid" else _no(kind, path, type_, "string") or ("text", 0)
    if t.is_binary(type_) or t.is_large_binary(type_) or t.is_fixed_size_binary(type_):
        width = type_.byte_width if t.is_fixed_size_binary(type_) else None
        if kind == "objectid" or (kind is None and width == 12):
            return "objectid", 0
        if kind == "decimal128" and width == 16:
            return "decimal", 0
        if kind == "uuid" and width == 16:
            return "binary", 4
        if kind == "raw":
            return "raw", 0
        # A number in parentheses is a subtype, as it is for rows.
        return _no(kind, path, type_, "binary") or ("binary", params.get("size", 0))
    raise ValueError(f"column {path!r}: {type_} is no type that becomes BSON; cast it to one that is")


def _given(given, path):
    if given is None:
        return None, {}
    return kind_of(given, path, None, ())


def _no(kind, path, type_, *allowed):
    """Refuse what a caller says of a column that cannot be."""
    if kind is not None and kind not in allowed:
        raise ValueError(f"column {path!r}: a column of {type_} cannot become {kind!r}")
