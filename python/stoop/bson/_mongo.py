"""PyMongo collections: queries whose batches are decoded while the next is on its way, and inserts."""

from stoop import _stoop
from stoop.bson import _policies
from stoop.bson._rows import plan_for, read
from stoop.bson._sources import open_source

# What decides about the answer, not about the query.
_POLICIES = {
    "missing": "error",
    "null": None,
    "convert": "exact",
    "overflow": "error",
    "length": "error",
    "utf8": "error",
}
_DECODING = (*_POLICIES, "fill", "types", "paths", "on_error", "threads")


def find(collection, filter=None, dtype=None, *, projection="auto", **options):
    """Run a query and decode its answer into a structured array.

    `options` are those of `to_ndarray` (missing, null, convert, overflow, length, utf8, fill,
    types, paths, on_error, threads); all others (sort, limit, skip, batch_size, hint, session, …) go to
    `collection.find_raw_batches`. Only the fields of the dtype are asked for, unless
    `projection` says otherwise.
    """
    _check(collection, "find_raw_batches")
    decoding = _take(options)
    plan = _plan(dtype, decoding)
    if projection == "auto":
        projection = _projection(plan)
    if isinstance(options.get("sort"), dict):
        options["sort"] = list(options["sort"].items())
    cursor = collection.find_raw_batches({} if filter is None else filter, projection, **options)
    return _read(cursor, plan, decoding)


def aggregate(collection, pipeline, dtype=None, **options):
    """Run an aggregation and decode its answer into a structured array.

    `options` as for `find`; those that are not ours go to `collection.aggregate_raw_batches`.
    """
    _check(collection, "aggregate_raw_batches")
    decoding = _take(options)
    plan = _plan(dtype, decoding)
    options = {{"batch_size": "batchSize"}.get(name, name): value for name, value in options.items()}
    cursor = collection.aggregate_raw_batches(pipeline, **options)
    return _read(cursor, plan, decoding)


def insert(collection, array, *, batch=10_000, ordered=True, types=None, paths=None, **options):
    """Insert the rows of an array as documents; how many went in.

    Rows go in `batch` at a time. A failure is PyMongo's own exception, with a note that
    says how many rows were inserted before its batch. `options` go to `insert_many`.
    """
    from stoop.bson._write import from_ndarray

    _check(collection, "insert_many")
    if batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch!r}")
    try:
        from bson.raw_bson import RawBSONDocument
    except ImportError:
        raise ImportError("inserting needs PyMongo: pip install 'stoop[bson]'") from None
    done = 0
    for first in range(0, len(array), batch):
        raw = from_ndarray(array[first : first + batch], types=types, paths=paths)
        offsets = _stoop.bson.split(raw)
        documents = [RawBSONDocument(raw[a:b]) for a, b in zip(offsets, offsets[1:])]
        try:
            collection.insert_many(documents, ordered=ordered, **options)
        except Exception as error:
            error.add_note(f"stoop.bson.insert: {done:,} rows were inserted before this batch of {len(documents):,}")
            raise
        done += len(documents)
    return done


def _check(collection, method):
    import inspect

    # A collection answers any attribute, with a sub-collection of that name: only a real method will do.
    found = getattr(type(collection), method, None)
    if found is None:
        raise TypeError(f"expected a PyMongo collection, not {type(collection).__name__!r}")
    if inspect.iscoroutinefunction(found) or type(collection).__name__.startswith("Async"):
        raise TypeError("PyMongo's asynchronous collections are not supported; use MongoClient, in a thread")


def _take(options):
    return {name: options.pop(name) for name in _DECODING if name in options}


def _plan(dtype, decoding):
    if dtype is None:
        raise TypeError("say what to read: a structured dtype, like [('x', 'f8'), ('k', 'i4')]")
    _policies.check_on_error(decoding.get("on_error", "raise"))
    policies = [decoding.get(name, default) for name, default in _POLICIES.items()]
    return plan_for(dtype, *policies, decoding.get("fill"), decoding.get("types"), decoding.get("paths"))


def _projection(plan):
    """The fields of the plan, for the server to send no others; None where names cannot say it."""
    paths = {field[0] for field in plan.fields}
    if any(not part or "." in part or part.startswith("$") for path in paths for part in path):
        return None
    names = {".".join(path): 1 for path in sorted(paths)}
    # A server refuses a field beside one inside it.
    for name in list(names):
        if any(name.startswith(other + ".") for other in names):
            del names[name]
    if not any(path[0] == "_id" for path in paths):
        names["_id"] = 0
    return names


def _read(cursor, plan, decoding):
    try:
        with open_source(cursor) as source:
            return read(plan, source, decoding.get("on_error", "raise"), decoding.get("threads"))
    finally:
        cursor.close()


__all__ = ["aggregate", "find", "insert"]
