"""The documents that `bson_run.py` times: made here, the same in every run."""

import random
from dataclasses import dataclass, field
from typing import Any

import bson
import numpy as np
import pyarrow as pa


@dataclass
class Case:
    """One shape of documents: its bytes, and what each peer is told to read."""

    name: str
    raw: bytes
    documents: int
    dtype: list
    wanted: float
    """Times as fast as PyMongoArrow, by the project's own aim."""
    wanted_dicts: float | None = None
    schema: dict[str, Any] = field(default_factory=dict)
    """For PyMongoArrow; empty where it has no way to say it."""
    options: dict[str, Any] = field(default_factory=dict)
    path: tuple = ("x",)
    """The field that the plain Python way takes out of dictionaries, among others."""


def _encode(documents):
    return b"".join(bson.encode(document) for document in documents)


def flat(count, rng):
    documents = ({"_id": bson.ObjectId(), "x": rng.random(), "y": rng.random(), "k": i} for i in range(count))
    dtype = [("_id", "V12"), ("x", "f8"), ("y", "f8"), ("k", "i4")]
    schema = {"_id": bson.ObjectId, "x": pa.float64(), "y": pa.float64(), "k": pa.int32()}
    return Case("_id, x, y, k", _encode(documents), count, dtype, 30, 120, schema)


def doubles(count, rng):
    count //= 5
    names = [f"f{i:02}" for i in range(20)]
    documents = ({name: rng.random() for name in names} for _ in range(count))
    schema = {name: pa.float64() for name in names}
    return Case("20 doubles", _encode(documents), count, [(n, "f8") for n in names], 30, None, schema, path=("f00",))


def nested(count, rng):
    count //= 2
    documents = (
        {"_id": i, "a": {"n": i, "b": {"x": rng.random(), "c": {"y": rng.random(), "z": i}}}} for i in range(count)
    )
    inner = [("y", "f8"), ("z", "i4")]
    dtype = [("_id", "i4"), ("a", [("n", "i4"), ("b", [("x", "f8"), ("c", inner)])])]
    c = pa.struct([("y", pa.float64()), ("z", pa.int32())])
    b = pa.struct([("x", pa.float64()), ("c", c)])
    schema = {"_id": pa.int32(), "a": pa.struct([("n", pa.int32()), ("b", b)])}
    return Case("three deep", _encode(documents), count, dtype, 15, None, schema, path=("a", "b", "x"))


def strings(count, rng):
    count //= 2
    words = ["".join(rng.choices("abcdefghij", k=rng.randrange(4, 16))) for _ in range(500)]
    documents = ({"_id": i, "name": rng.choice(words), "city": rng.choice(words), "x": 1.5} for i in range(count))
    dtype = [("_id", "i4"), ("name", "S16"), ("city", "S16"), ("x", "f8")]
    schema = {"_id": pa.int32(), "name": pa.string(), "city": pa.string(), "x": pa.float64()}
    return Case("strings", _encode(documents), count, dtype, 15, None, schema)


def mixed_order(count, rng):
    count //= 2

    def shuffled(i):
        pairs = [("_id", i), ("x", rng.random()), ("y", rng.random()), ("k", i), ("flag", bool(i % 2))]
        rng.shuffle(pairs)
        return dict(pairs)

    dtype = [("_id", "i4"), ("x", "f8"), ("y", "f8"), ("k", "i4"), ("flag", "?")]
    schema = {"_id": pa.int32(), "x": pa.float64(), "y": pa.float64(), "k": pa.int32(), "flag": pa.bool_()}
    return Case("mixed field orders", _encode(map(shuffled, range(count))), count, dtype, 15, None, schema)


def missing(count, rng):
    count //= 2

    def some(i):
        pairs = [("_id", i), ("x", rng.random()), ("y", rng.random()), ("k", i), ("n", i)]
        return {name: value for name, value in pairs if name == "_id" or rng.random() > 0.3}

    dtype = [("_id", "i4"), ("x", "f8"), ("y", "f8"), ("k", "i4"), ("n", "i4")]
    schema = {"_id": pa.int32(), "x": pa.float64(), "y": pa.float64(), "k": pa.int32(), "n": pa.int32()}
    options = {"missing": "mask"}
    return Case("30 % missing, masks", _encode(map(some, range(count))), count, dtype, 15, None, schema, options)


def few_of_many(count, rng):
    count //= 10
    names = [f"field_{i:02}" for i in range(50)]
    documents = ({n: (rng.random() if i % 2 else "some text") for i, n in enumerate(names)} for _ in range(count))
    dtype = [("field_11", "f8"), ("field_41", "f8")]
    schema = {"field_11": pa.float64(), "field_41": pa.float64()}
    return Case("2 of 50 fields", _encode(documents), count, dtype, 15, None, schema, path=("field_11",))


MAKERS = [flat, doubles, nested, strings, mixed_order, missing, few_of_many]


def cases(count):
    """Every shape, of about `count` documents where they are small."""
    for make in MAKERS:
        case = make(count, random.Random(make.__name__))
        case.dtype = np.dtype(case.dtype)
        yield case
