"""MongoDB's documents to arrays: BSON decoded straight into NumPy and Arrow columns.

`to_ndarray`, `to_arrow`, `iter_ndarrays` and `infer_schema` read BSON from bytes, files and
iterators; `find` and `aggregate` query a PyMongo collection; `from_ndarray`, `from_arrow` and
`insert` are the way back. The decoder runs in Rust, without the global lock, on all cores.
"""

# NumPy, pyarrow and PyMongo are imported by the functions that need them.

import importlib

from stoop.bson._errors import BSONDecodeError

_HOMES = {
    "Schema": "_infer",
    "StreamInterrupted": "_sources",
    "Table": "_columns",
    "aggregate": "_mongo",
    "find": "_mongo",
    "from_arrow": "_from_arrow",
    "from_ndarray": "_write",
    "infer_schema": "_infer",
    "insert": "_mongo",
    "iter_ndarrays": "_rows",
    "to_arrow": "_columns",
    "to_ndarray": "_rows",
}

__all__ = ["BSONDecodeError", *_HOMES]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name == "numpy":
            raise ImportError("stoop.bson needs NumPy: pip install 'stoop[bson]'") from error
        raise
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
