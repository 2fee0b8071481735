"""BSON values as the Python objects that PyMongo makes of them."""

import struct


def to_objects(values):
    """The items of an object column: strings and None as they are, others through PyMongo."""
    decode = None
    result = []
    for value in values:
        if isinstance(value, tuple):
            if decode is None:
                decode = _decoder()
            value = decode(*value)
        result.append(value)
    return result


def _decoder():
    try:
        import bson
        from bson.codec_options import CodecOptions, DatetimeConversion
    except ImportError:
        raise ImportError(
            "object columns of other types than strings need PyMongo: pip install 'stoop[bson]'"
        ) from None

    # Dates that Python's datetime cannot hold become DatetimeMS, not errors.
    options = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)

    def decode(kind, value):
        size = len(value) + 8
        return bson.decode(b"".join((struct.pack("<i", size), bytes((kind,)), b"v\0", value, b"\0")), options)["v"]

    return decode


def to_values(objects):
    """Objects as the encoder takes them: None, or (type byte, value bytes)."""
    try:
        import bson
    except ImportError:
        raise ImportError("writing object columns needs PyMongo: pip install 'stoop[bson]'") from None
    result = []
    for value in objects:
        if value is None:
            result.append(None)
            continue
        raw = bson.encode({"v": value})
        result.append((raw[4], raw[7:-1]))
    return result
