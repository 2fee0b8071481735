"""What a caller may give as the schema of columns, as the decoder takes it."""

import re

from stoop.bson import _policies

# The names of types, the ways of Arrow, NumPy and MongoDB to say them, and the decoder's kinds.
NAMES = {
    "f64": ("float64", "double", "f8"),
    "f32": ("float32", "float", "f4"),
    "i64": ("int64", "long", "i8"),
    "i32": ("int32", "int", "i4"),
    "i16": ("int16", "i2"),
    "i8": ("int8", "i1"),
    "u64": ("uint64", "u8"),
    "u32": ("uint32", "u4"),
    "u16": ("uint16", "u2"),
    "u8": ("uint8", "u1"),
    "bool": ("boolean",),
    "datetime": ("date", "date64", "datetime64"),
    "string": ("str", "utf8"),
    "large_string": ("large_utf8",),
    "binary": ("bytes", "bindata"),
    "large_binary": (),
    "objectid": ("object_id",),
    "uuid": (),
    "decimal128": ("decimal",),
    "timestamp": (),
    "raw": ("any",),
    "null": (),
}
KINDS = {alias: kind for kind, aliases in NAMES.items() for alias in (kind, *aliases)}
# Names that the decoder's own short ones would hide: in Arrow and here, i8 is eight bits.
KINDS.update(i8="i8", u8="u8")

PYTHON = {float: "f64", int: "i64", bool: "bool", str: "string", bytes: "binary"}
UNITS = ("s", "ms", "us", "ns")

_PARAMETERS = re.compile(r"(\w+)\s*[\[(]\s*([^\])]*?)\s*[\])]$")


def fields(schema, policies):
    """The decoder's fields for a schema."""
    spec = as_spec(schema)
    if not spec and not hasattr(schema, "_as_spec"):
        raise ValueError("the schema names no field")
    found = [_field(name, _path(spec, name), type_, policies, ()) for name, type_ in spec.items()]
    policies.check_all_used([path for path, *_ in found])
    return found


def _path(spec, name):
    """The path that a name in a dictionary of types stands for."""
    return (name,) if name in getattr(spec, "exact", ()) else tuple(name.split("."))


def as_spec(schema):
    """A dictionary from names to types, out of anything that says as much."""
    if isinstance(schema, dict):
        return schema
    if hasattr(schema, "_as_spec"):
        return schema._as_spec()
    if type(schema).__module__.partition(".")[0] == "pyarrow" and hasattr(schema, "names"):
        return {name: schema.field(name).type for name in schema.names}
    if hasattr(schema, "__arrow_c_schema__"):
        import pyarrow

        return as_spec(pyarrow.schema(schema))
    import numpy as np

    dtype = np.dtype(schema)
    if dtype.names is None:
        raise ValueError(
            f"a schema is a dictionary from paths to types, a structured dtype or a pyarrow.Schema, not {schema!r}"
        )
    return {name: dtype.fields[name][0] for name in dtype.names}


def inferred(source):
    """(The schema of all documents of an open source, a source that can be read again.)"""
    from stoop.bson._infer import scan_source
    from stoop.bson._sources import Source

    if source.buffer is None:
        # All of it is looked at before the first column is made, so it has to be kept.
        pieces = [bytes(piece) for piece, _ in source.told_pieces()]
        source = Source(name=source.name, buffer=b"".join(pieces))
    return scan_source(source, None), source


def _field(name, path, type_, policies, above):
    _policies.check_path(above + path)
    kind, params = kind_of(type_, name, policies, above + path)
    policy = policies.of(above + path)
    del policy["overflow"], policy["length"]
    _say_utf8(kind, params, policy.pop("utf8"))
    given, value = policies.fill(above + path)
    if given:
        policy["fill"] = _fill_bytes(value, kind, params, name)
    elif "fill" in (policy["missing"], policy["null"]):
        default = _fill_bytes(None, kind, params, name)
        if default is not None:
            policy["fill"] = default
    _say_policy(kind, policy)
    return path, kind, {"name": name, **params}, policy


def _say_utf8(kind, params, utf8):
    """Tell a field, and the items of its lists, what to do with bytes that are no UTF-8."""
    params["utf8"] = utf8
    if isinstance(kind, tuple) and kind[0] == "list":
        params["item"] = dict(params["item"])
        _say_utf8(kind[1], params["item"], utf8)


def _say_policy(kind, policy):
    """Tell the items of a list, and of lists in it, what is done with their values; null ones are null."""
    if isinstance(kind, tuple) and kind[0] == "list":
        policy["item"] = {**policy, "missing": "mask", "null": "mask"}
        policy["item"].pop("fill", None)
        _say_policy(kind[1], policy["item"])


def kind_of(type_, name, policies, path):
    """(kind, parameters) of a type as the caller gave it."""
    if isinstance(type_, dict):
        if not type_:
            raise ValueError(f"field {name!r}: a document of no fields; name those to read")
        return ("struct", [_field(n, _path(type_, n), t, policies, path) for n, t in type_.items()]), {}
    if isinstance(type_, (list, tuple)):
        if len(type_) != 1:
            raise ValueError(f"field {name!r}: a list is written [item type], with one type; found {type_!r}")
        kind, params = kind_of(type_[0], name, policies, path)
        return ("list", kind), {"item": params}
    if isinstance(type_, type) and type_ in PYTHON:
        return _named(PYTHON[type_], None, name)
    if isinstance(type_, str):
        return _from_text(type_, name)
    module = type(type_).__module__.partition(".")[0]
    if module == "pyarrow":
        return _from_pyarrow(type_, name, policies, path)
    import datetime
    import decimal
    import uuid

    if type_ in (datetime.datetime, uuid.UUID, decimal.Decimal):
        return _named({"datetime": "datetime", "UUID": "uuid", "Decimal": "decimal128"}[type_.__name__], None, name)
    return _from_dtype(type_, name, policies, path)


def _from_text(text, name):
    match = _PARAMETERS.match(text.strip())
    word, parameters = (match[1], match[2]) if match else (text.strip(), None)
    kind = KINDS.get(word.lower())
    if word == "timestamp" and parameters:
        kind = "datetime"
    if kind is None and match is not None or text[:1] in "<=|":
        # A dtype as text, like M8[ms].
        return _from_dtype(text, name, None, None)
    if kind is None:
        known = ", ".join(sorted(NAMES))
        raise ValueError(f"field {name!r}: no type is called {text!r}; there are {known}, lists [type] and documents")
    return _named(kind, parameters, name)


def _named(kind, parameters, name):
    parts = [part.strip() for part in parameters.split(",")] if parameters else []
    if kind == "datetime":
        unit = parts[0] if parts else "ms"
        if unit not in UNITS or len(parts) > 2:
            raise ValueError(
                f"field {name!r}: the unit of a datetime column is one of {', '.join(UNITS)}, not {unit!r}"
            )
        zone = {"tz": parts[1].removeprefix("tz=")} if len(parts) == 2 else {}
        if zone and zone["tz"] not in ("", "UTC"):
            raise ValueError(f"field {name!r}: BSON datetimes are UTC; convert after reading")
        return "datetime", {"unit": unit, **zone}
    if kind == "decimal128" and parts:
        try:
            precision, scale = (int(part) for part in parts)
        except ValueError:
            raise ValueError(f"field {name!r}: write decimal128(precision, scale), like decimal128(38, 10)") from None
        return kind, {"precision": precision, "scale": scale}
    if kind == "large_binary":
        return "binary", {"large": True}
    if kind == "binary" and parts:
        return kind, {"size": int(parts[0])}
    if parts:
        raise ValueError(f"field {name!r}: {kind} takes no parameters")
    if kind in ("string", "large_string"):
        return "string", {"form": "arrow", "large": kind == "large_string"}
    return kind, {}


def _from_pyarrow(type_, name, policies, path):
    import pyarrow.types as t

    if t.is_struct(type_):
        inner = {type_.field(i).name: type_.field(i).type for i in range(type_.num_fields)}
        return kind_of(inner, name, policies, path)
    if t.is_list(type_) or t.is_large_list(type_) or t.is_fixed_size_list(type_):
        kind, params = kind_of([type_.value_type], name, policies, path)
        return kind, {**params, "large": t.is_large_list(type_)}
    if t.is_decimal(type_):
        return "decimal128", {"precision": type_.precision, "scale": type_.scale}
    if t.is_timestamp(type_):
        if type_.tz not in (None, "UTC"):
            raise ValueError(f"field {name!r}: BSON datetimes are UTC, not {type_.tz}; convert after reading")
        return "datetime", {"unit": type_.unit, **({"tz": ""} if type_.tz is None else {})}
    if t.is_fixed_size_binary(type_):
        # MongoDB's own sizes: an ObjectId has 12 bytes.
        return ("objectid", {}) if type_.byte_width == 12 else ("binary", {"size": type_.byte_width})
    return _from_text(str(type_), name)


def _from_dtype(type_, name, policies, path):
    import numpy as np

    try:
        dtype = np.dtype(type_)
    except TypeError:
        raise ValueError(f"field {name!r}: {type_!r} is no type of a column") from None
    if dtype.names is not None:
        inner = {n: dtype.fields[n][0] for n in dtype.names}
        return kind_of(inner, name, policies, path)
    if dtype.shape:
        return kind_of([dtype.base], name, policies, path)
    from stoop.bson._dtypes import kind_of as dtype_kind

    if dtype.kind in "SUO":
        return "string", {"form": "arrow"}
    kind, params = dtype_kind(dtype, None, repr(name))
    if kind == "datetime" and params["unit"] not in UNITS:
        params = {"unit": "s"}
    return kind, params


def _fill_bytes(value, kind, params, name):
    """A value to fill with, as it lies in memory."""
    if isinstance(kind, tuple):
        if value is None:
            return None
        raise ValueError(f"field {name!r}: lists and documents cannot be filled; they can be null")
    import numpy as np

    from stoop.bson._dtypes import NUMBERS

    codes = {inner: code for code, inner in NUMBERS.items()}
    if kind in codes:
        item = np.zeros((), codes[kind])
        if value is None and item.dtype.kind == "f":
            value = np.nan
    elif kind == "datetime":
        item = np.zeros((), f"M8[{params['unit']}]")
        if value is None:
            raise ValueError(f"field {name!r}: say what to fill datetimes with: fill={{{name!r}: …}}")
    elif kind == "timestamp":
        item = np.zeros((), "u8")
    else:
        if value is None:
            return b""
        return value.encode() if isinstance(value, str) else bytes(value)
    if value is not None:
        try:
            item[()] = value
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"field {name!r}: cannot fill with {value!r}: {error}") from None
    return item.tobytes()
