"""From a NumPy dtype to the schema of the decoder.

Nested dtypes are flattened: the decoder wants leaves, each with its path in the
document and its place in the row.
"""

import re

import numpy as np

from stoop.bson import _policies

NUMBERS = {
    "f8": "f64",
    "f4": "f32",
    "i8": "i64",
    "i4": "i32",
    "i2": "i16",
    "i1": "i8",
    "u8": "u64",
    "u4": "u32",
    "u2": "u16",
    "u1": "u8",
    "b1": "bool",
}
UNITS = ("s", "ms", "us", "ns", "m", "h", "D")

# What `types=` may say of a field, and the dtypes that can hold it.
NAMED = {
    "objectid": ("V12", "S12", "S24"),
    "uuid": ("V16", "S16"),
    "decimal128": ("V16", "S16"),
    "binary": ("V", "S"),
    "string": ("U", "S"),
    "timestamp": ("u8",),
    "datetime": ("M8",),
}


def as_dtype(given):
    """A structured dtype in native byte order, or an error that says what to write instead."""
    if hasattr(given, "_as_dtype"):
        given = given._as_dtype()
    if isinstance(given, dict) and not given.keys() & {"names", "formats"}:
        given = [*given.items()]
    dtype = np.dtype(given)
    if dtype.names is None:
        raise ValueError(
            f"the dtype must name the fields to read, like [('x', 'f8'), ('k', 'i4')]; {dtype} has no fields"
        )
    if not dtype.isnative:
        raise ValueError(f"{dtype} has fields in foreign byte order: decode native ones and convert with astype")
    return dtype


class Leaf:
    """One leaf of a dtype: where it lies in documents and in rows."""

    def __init__(self, path, keys, dtype, offset):
        self.path = path
        self.keys = keys
        self.dtype = dtype
        self.offset = offset


def leaves(dtype, paths, parent_path=(), parent_keys=(), base=0):
    """Every leaf of a structured dtype; `paths` renames fields (by dotted name)."""
    found = []
    for name in dtype.names:
        inner, offset = dtype.fields[name][:2]
        keys = (*parent_keys, name)
        renamed = paths.get(".".join(keys))
        if renamed is None:
            path = (*parent_path, *name.split("."))
        else:
            path = tuple(renamed.split(".")) if isinstance(renamed, str) else tuple(renamed)
        if inner.names is not None:
            found += leaves(inner, paths, path, keys, base + offset)
        else:
            found.append(Leaf(path, keys, inner, base + offset))
    return found


def _items(dtype):
    """What a sub-array's items are, and its shape. NumPy keeps arrays of arrays apart where they were made apart."""
    shape = ()
    while dtype.subdtype is not None:
        dtype, dimensions = dtype.subdtype
        shape += dimensions
    return dtype, shape


def fields(dtype, policies, types=None, paths=None, mask_dtype=None):
    """The decoder's schema for a structured dtype.

    `types` says by path what a field holds where its dtype leaves that open
    (V16: a UUID or a decimal?), `mask_dtype` where the masks of its fields lie.
    """
    types = types or {}
    rows = leaves(dtype, dict(paths or {}))
    places = {leaf.keys: leaf for leaf in leaves(mask_dtype, {})} if mask_dtype is not None else {}
    _check_names(rows, types, paths or {})
    _check_overlap(rows)
    schema = [_field(leaf, policies, types, places.get(leaf.keys)) for leaf in rows]
    policies.check_all_used([leaf.path for leaf in rows])
    return schema


def _check_overlap(rows):
    end, before = 0, None
    for leaf in sorted(rows, key=lambda leaf: leaf.offset):
        if leaf.offset < end:
            raise ValueError(f"field {_dotted(leaf)} lies on top of {_dotted(before)} in the dtype")
        end, before = leaf.offset + leaf.dtype.itemsize, leaf


def _check_names(rows, types, paths):
    names = {".".join(leaf.keys) for leaf in rows}
    inside = {".".join(leaf.keys) for leaf in _with_items(rows)}
    # A path leads to a field or to what holds some, but not into the items of an array.
    above = {name[:end] for name in names for end in range(len(name)) if name[end] == "."}
    for argument, given, allowed in (("types", types, inside), ("paths", paths, names | above)):
        for key in given:
            if key not in allowed:
                raise ValueError(
                    f"{argument} names {key!r}, which is no field of the dtype; its fields: {sorted(names)}"
                )


def _with_items(rows):
    """The leaves, and those of the documents in arrays."""
    for leaf in rows:
        yield leaf
        inner = _items(leaf.dtype)[0]
        if inner.names is not None:
            yield from _with_items(leaves(inner, {}, parent_keys=leaf.keys))


def _field(leaf, policies, types, mask, above=()):
    """One field; `mask` is its leaf in the dtype of the masks, `above` the path of the array whose items have it."""
    inner, shape = _items(leaf.dtype)
    full_path = above + leaf.path
    _policies.check_path(full_path)
    policy = policies.of(full_path)
    params = {"offset": leaf.offset, "utf8": policy.pop("utf8")}
    if mask is not None:
        params["mask_offset"] = mask.offset
    if inner.names is not None:
        masks = {}
        if mask is not None:
            params["mask_stride"] = mask.dtype.base.itemsize
            masks = {item.path: item for item in leaves(mask.dtype.base, {})}
        items = []
        for item in leaves(inner, {}, parent_keys=leaf.keys):
            field = _field(item, policies, types, masks.get(item.path), full_path)
            if field[1] == "object":
                raise ValueError(f"field {_dotted(item)}: objects inside a sub-array cannot be decoded")
            items.append(field)
        params["stride"] = inner.itemsize
        return leaf.path, ("array", ("struct", items), shape), params, policy
    kind, more = kind_of(inner, types.get(".".join(leaf.keys)), _dotted(leaf))
    params.update(more)
    if kind == "object":
        if shape:
            raise ValueError(f"field {_dotted(leaf)}: a sub-array of objects cannot be decoded; make it a plain 'O'")
        del params["offset"]
        if policy["null"] == "error" and not policies.null_given:
            # None is an object like others, and what null is in Python.
            policy["null"] = "fill"
    else:
        policy["fill"] = fill_bytes(inner, kind, policies.fill(full_path), _dotted(leaf))
    return leaf.path, ("array", kind, shape) if shape else kind, params, policy


def _dotted(leaf):
    return repr(".".join(leaf.keys))


def kind_of(dtype, named, field):
    """The decoder's kind for a dtype without fields, and its parameters."""
    code = dtype.kind + str(dtype.itemsize)
    subtype = {}
    if named is not None and (match := re.fullmatch(r"binary\((\d+)\)", named)):
        named, subtype = "binary", {"subtype": int(match[1])}
    if named is not None:
        if named not in NAMED:
            raise ValueError(f"field {field}: types says {named!r}; known are {', '.join(NAMED)}")
        if code not in NAMED[named] and dtype.kind not in NAMED[named] and not (named == "datetime" == _long(dtype)):
            raise ValueError(f"field {field}: {dtype} cannot hold {named}; {' or '.join(NAMED[named])} can")
    if dtype.itemsize == 0:
        raise ValueError(f"field {field}: {dtype} has no width; say how many characters, like {dtype.kind}24")
    if dtype.kind == "O":
        return "object", {}
    if dtype.kind == "M":
        unit, count = np.datetime_data(dtype)
        if unit not in UNITS or count != 1:
            raise ValueError(f"field {field}: {dtype} is not supported; use datetime64 with one of {', '.join(UNITS)}")
        return "datetime", {"unit": unit}
    if named in ("uuid", "decimal128", "timestamp"):
        return named, {}
    if named == "objectid" or code == "V12" and named is None:
        return "objectid", {"form": "hex"} if code == "S24" else {}
    if named == "binary":
        return "binary", {"size": dtype.itemsize, **subtype}
    if dtype.kind == "U":
        return "string", {"form": "U", "size": dtype.itemsize // 4}
    if dtype.kind == "S":
        return "string", {"form": "S", "size": dtype.itemsize}
    if code == "V16":
        raise ValueError(
            f"field {field}: V16 may be a UUID or a decimal128; say types={{{field}: 'uuid'}} or 'decimal128'"
        )
    if dtype.kind == "V":
        return "binary", {"size": dtype.itemsize}
    if code in NUMBERS:
        return NUMBERS[code], {}
    raise ValueError(f"field {field}: {dtype} is not supported; use one of {', '.join(NUMBERS)}, M8[ms], U, S, V or O")


def _long(dtype):
    return "datetime" if dtype.kind == "M" else None


def fill_bytes(dtype, kind, given, field):
    """The memory of the value that stands for a missing one: NaN, NaT, zeros, or the caller's."""
    chosen, value = given
    if not chosen:
        if dtype.kind == "f":
            value = np.nan
        elif dtype.kind == "M":
            value = np.datetime64("NaT")
        else:
            return bytes(dtype.itemsize)
    if kind == "string":
        raw = value.encode() if isinstance(value, str) else bytes(value)
        fits = len(value) if dtype.kind == "U" else len(raw)
        room = dtype.itemsize // 4 if dtype.kind == "U" else dtype.itemsize
        if fits > room:
            raise ValueError(f"field {field}: the fill value {value!r} does not fit into {dtype}")
    item = np.zeros((), dtype)
    try:
        item[()] = value
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"field {field}: the fill value {value!r} is no {dtype}: {error}") from None
    if dtype.kind in "iufb" and item[()] != value and value == value:
        raise ValueError(f"field {field}: the fill value {value!r} is no {dtype}")
    return item.tobytes()
