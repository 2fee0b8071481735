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
    `projection` says otherwise. With an asynchronous collection the answer is to be awaited.
    """
    is_async = _check(collection, "find_raw_batches")
    decoding = _take(options)
    plan = _plan(dtype, decoding)
    if projection == "auto":
        projection = _projection(plan)
    if isinstance(options.get("sort"), dict):
        options["sort"] = list(options["sort"].items())
    cursor = collection.find_raw_batches({} if filter is None else filter, projection, **options)
    return _read_async(cursor, plan, decoding) if is_async else _read(cursor, plan, decoding)


def aggregate(collection, pipeline, dtype=None, **options):
    """Run an aggregation and decode its answer into a structured array.

    `options` as for `find`; those that are not ours go to `collection.aggregate_raw_batches`.
    """
    is_async = _check(collection, "aggregate_raw_batches")
    decoding = _take(options)
    plan = _plan(dtype, decoding)
    options = {{"batch_size": "batchSize"}.get(name, name): value for name, value in options.items()}
    cursor = collection.aggregate_raw_batches(pipeline, **options)
    return _read_async(cursor, plan, decoding) if is_async else _read(cursor, plan, decoding)


def insert(collection, array, *, batch=10_000, ordered=True, types=None, paths=None, nulls="omit", **options):
    """Insert the rows of a structured array, or of Arrow columns, as documents; how many went in.

    Rows go in `batch` at a time. A failure is PyMongo's own exception, with a note that
    says how many rows were inserted before its batch. `types`, `paths` and `nulls` are as for `from_ndarray`
    and `from_arrow`; `options` go to `insert_many`. With an asynchronous collection the answer is to be awaited.
    """
    is_async = _check(collection, "insert_many")
    if batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch!r}")
    batches = _batches(array, batch, types, paths, nulls)
    options["ordered"] = ordered
    if is_async:
        return _insert_async(collection, batches, options)
    done = 0
    for documents in batches:
        try:
            collection.insert_many(documents, **options)
        except Exception as error:
            _say_how_far(error, done, documents)
            raise
        done += len(documents)
    return done


async def _insert_async(collection, batches, options):
    import asyncio

    done = 0
    # Made in a thread: other tasks go on meanwhile.
    while documents := await asyncio.to_thread(next, batches, None):
        try:
            await collection.insert_many(documents, **options)
        except Exception as error:
            _say_how_far(error, done, documents)
            raise
        done += len(documents)
    return done


def _batches(array, batch, types, paths, nulls):
    """Rows as lists of raw documents, so many rows each."""
    from stoop.bson._from_arrow import as_table, documents, is_arrow
    from stoop.bson._write import from_ndarray

    try:
        from bson.raw_bson import RawBSONDocument
    except ImportError:
        raise ImportError("inserting needs PyMongo: pip install 'stoop[bson]'") from None
    if is_arrow(array):
        pieces = documents(as_table(array), types, paths, nulls, batch)
    elif nulls != "omit":
        raise TypeError("nulls is for Arrow columns; masked items of arrays are left out")
    else:
        firsts = range(0, len(array), batch)
        pieces = (from_ndarray(array[first : first + batch], types=types, paths=paths) for first in firsts)

    def lists():
        for raw in pieces:
            offsets = _stoop.bson.split(raw)
            yield [RawBSONDocument(raw[a:b]) for a, b in zip(offsets, offsets[1:])]

    return lists()


def _say_how_far(error, done, documents):
    error.add_note(f"stoop.bson.insert: {done:,} rows were inserted before this batch of {len(documents):,}")


def _check(collection, method):
    """Whether a collection is asynchronous."""
    # A collection answers any attribute, with a sub-collection of that name: only a real method will do.
    if getattr(type(collection), method, None) is None:
        raise TypeError(f"expected a PyMongo collection, not {type(collection).__name__!r}")
    kind = type(collection)
    if kind.__module__.partition(".")[0] == "motor":
        raise TypeError("Motor's collections are not supported; PyMongo's AsyncMongoClient has ones that are")
    return kind.__name__.startswith("Async")


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


async def _read_async(cursor, plan, decoding):
    """The same of an asynchronous cursor: a thread decodes, this loop fetches, other tasks go on."""
    import asyncio
    import inspect

    if inspect.isawaitable(cursor):
        cursor = await cursor
    loop = asyncio.get_running_loop()

    async def fetch():
        return await anext(cursor, None)

    def batches():
        coming = asyncio.run_coroutine_threadsafe(fetch(), loop)
        try:
            while (batch := coming.result()) is not None:
                # The next one is on its way while this one is decoded.
                coming = asyncio.run_coroutine_threadsafe(fetch(), loop)
                yield batch
        finally:
            coming.cancel()

    def work():
        with open_source(batches()) as source:
            return read(plan, source, decoding.get("on_error", "raise"), decoding.get("threads"))

    try:
        return await asyncio.to_thread(work)
    finally:
        await cursor.close()


__all__ = ["aggregate", "find", "insert"]
