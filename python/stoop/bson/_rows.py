"""Documents into structured arrays."""

import operator
import warnings

import numpy as np

from stoop import _stoop
from stoop.bson import _dtypes, _policies
from stoop.bson._errors import BSONDecodeError
from stoop.bson._objects import to_objects
from stoop.bson._sources import GZIP_MAGIC, PIECE, SourceFailed, StreamInterrupted, open_source

# Bytes of rows below which an array grows by half, not by what is needed.
SPARE = 4 << 20

# How gzip's bytes begin: the mark, and its one method.
GZIP = GZIP_MAGIC + b"\x08"

# Compiled plans by dtype and policies, for callers who decode a few documents at a time.
_plans = {}
_PLANS = 64


class Plan:
    """What a dtype and policies come to: the decoder's schema and what is done around it."""

    def __init__(self, dtype, policies, types, paths):
        self.dtype = dtype = _dtypes.as_dtype(dtype)
        self.fields = _dtypes.fields(dtype, policies, types, paths)
        self.mask_dtype = None
        if any(map(_is_masked, self.fields)):
            self.mask_dtype = np.ma.make_mask_descr(dtype)
            self.fields = _dtypes.fields(dtype, policies, types, paths, self.mask_dtype)
        keys = [leaf.keys for leaf in _dtypes.leaves(dtype, paths or {})]
        # Decoders that nobody uses just now. Taking one is a pop, so that threads never share one.
        self.spare = []
        self.objects = [(keys[i], i) for i, field in enumerate(self.fields) if field[1] == "object"]

    def decoder(self, on_error="raise", threads=None):
        return _stoop.bson.Decoder(
            self.fields,
            layout="rows",
            itemsize=self.dtype.itemsize,
            mask_itemsize=self.mask_dtype.itemsize if self.mask_dtype is not None else 0,
            on_error=on_error,
            threads=_policies.threads(threads),
        )

    def wrap(self, array, mask):
        """The array as the caller gets it."""
        return array if mask is None else np.ma.MaskedArray(array, mask=mask, copy=False, keep_mask=False)


def _is_masked(field):
    """Whether a field, or one of the documents in an array of them, may be masked."""
    _, kind, _, policy = field
    inside = kind[1][1] if isinstance(kind, tuple) and isinstance(kind[1], tuple) else ()
    return "mask" in (policy["missing"], policy["null"]) or any(map(_is_masked, inside))


class Reading:
    """The decoding of one source: counts, bad documents, and the rows so far."""

    def __init__(self, plan, source, on_error, threads):
        self.plan = plan
        self.source = source
        self.on_error = on_error
        self.decoder = plan.decoder(on_error, threads)
        self.documents = 0
        self.bytes = 0
        self.errors = []

    def into(self, piece, number, array, mask):
        """Decode a piece into the start of `array`; the rows filled."""
        # Documents count for room; a tail that is none (number None) is refused by the decoder.
        try:
            rows, errors = self.decoder.decode_into(piece, array, mask, document=self.documents, offset=self.bytes)
        except BSONDecodeError as error:
            self.explain(error, piece)
            error.partial_rows = error.document - self.documents
            raise
        if self.plan.objects:
            self._place_objects(array)
        self.note(errors)
        self.documents += number or 0
        self.bytes += len(piece)
        return rows

    def whole(self, growing):
        """Decode all of a source in memory: the decoder says how many rows it needs room for."""
        try:
            growing.rows = self.decoder.decode_all(self.source.buffer, growing.all_room)
        except BSONDecodeError as error:
            self.explain(error, self.source.buffer)
            # Nothing is left out before the first error: a document a row.
            growing.rows = error.document
            raise

    def explain(self, error, piece):
        """Say where a bad document is, and what it may be."""
        if self.source.name:
            error.add_note(f"in {self.source.name}")
        if error.offset == 0 and bytes(memoryview(piece)[:3]) == GZIP:
            error.add_note("these bytes look like gzip; give the path of the file, or gzip.open(path)")

    def _warn_of_end(self, piece):
        """Bad documents are left out silently, as was asked for; all that follows one without a length is not."""
        try:
            _stoop.bson.count(piece)
        except BSONDecodeError as error:
            where = f"{self.source.name}: " if self.source.name else ""
            warnings.warn(
                f"{where}nothing can be read from document {self.documents:,} (byte {self.bytes:,}) on: "
                f"expected {error.expected}, found {error.found}",
                RuntimeWarning,
                stacklevel=5,
            )

    def _place_objects(self, array):
        objects = self.decoder.take_objects()
        for key, index in self.plan.objects:
            column = array
            for name in key:
                column = column[name]
            # One by one: NumPy would look into sequences for further dimensions.
            for row, value in enumerate(to_objects(objects[index])):
                column[row] = value

    def note(self, errors):
        """Keep the bad documents of a piece, as exceptions."""
        for document, offset, path, expected, found, message in errors:
            self.errors.append(BSONDecodeError(message, document, offset, path, expected, found))

    def pieces(self):
        """The source's pieces; its own failure becomes a StreamInterrupted that says how far it came."""
        try:
            for piece, number in self.source.pieces():
                if number is None and self.on_error == "skip":
                    self._warn_of_end(piece)
                yield piece, number
        except SourceFailed as failure:
            error = failure.raised(
                self.source.name, self.documents, self.bytes, "; what was decoded is in this exception's `partial`"
            )
            raise error from error.__cause__


class _Growing:
    """An array that takes rows piece by piece. Large ones move by remapping pages, not by copying."""

    def __init__(self, plan, room):
        self.plan = plan
        self.rows = 0
        self._allocate(room)

    def room(self, number):
        """Views of the next `number` rows."""
        needed = self.rows + number
        if needed > len(self.array):
            # Many small pieces may not cost a copy each; large arrays grow by just what is needed.
            spare = needed // 2 if needed * self.plan.dtype.itemsize < SPARE else 0
            self._resize(needed + spare)
        mask = self.mask[self.rows : needed] if self.mask is not None else None
        return self.array[self.rows : needed], mask

    def all_room(self, rows):
        """The array and its mask, with room for so many rows."""
        if self.array.size:
            self._resize(rows)
        else:
            self._allocate(rows)
        return self.array, self.mask

    def _allocate(self, rows):
        self.array = np.empty(rows, self.plan.dtype)
        self.mask = np.zeros(rows, self.plan.mask_dtype) if self.plan.mask_dtype is not None else None

    def _resize(self, rows):
        # No view that `room` gave is used after the next call: the check of references would see them all the same.
        self.array.resize(rows, refcheck=False)
        if self.mask is not None:
            self.mask.resize(rows, refcheck=False)

    def result(self):
        over = len(self.array) - self.rows
        if 0 < over <= len(self.array) // 32:
            # Rows that nobody has touched take no memory, and giving them back may cost the allocator a larger piece
            # that the next array could have had.
            self.array = self.array[: self.rows]
            self.mask = self.mask[: self.rows] if self.mask is not None else None
        elif over:
            self._resize(self.rows)
        return self.plan.wrap(self.array, self.mask)


def plan_for(dtype, missing, null, convert, overflow, length, utf8, fill, types, paths):
    """The plan for a dtype, from the cache where everything about it can be a key."""
    if hasattr(dtype, "_types"):
        types = {**dtype._types(), **(types or {})}
        paths = {**dtype._paths(), **(paths or {})}
        dtype = dtype.dtype()
    simple = fill is None and types is None and paths is None
    key = (dtype, missing, null, convert, overflow, length, utf8)
    if simple:
        try:
            return _plans[key]
        except KeyError:
            pass
        except TypeError:
            simple = False
    plan = Plan(dtype, _policies.Policies(missing, null, convert, overflow, length, utf8, fill), types, paths)
    if simple and isinstance(dtype, np.dtype):
        if len(_plans) >= _PLANS:
            _plans.clear()
        if not plan.objects:
            plan.spare.append(plan.decoder())
        _plans[key] = plan
    return plan


def to_ndarray(
    source,
    dtype,
    *,
    missing="error",
    null=None,
    convert="exact",
    overflow="error",
    length="error",
    utf8="error",
    fill=None,
    types=None,
    paths=None,
    on_error="raise",
    threads=None,
):
    """Decode a source into a structured array (a masked one where a policy says "mask").

    `dtype` is a structured dtype, or the answer of `infer_schema`. `missing`,
    `null`, `convert`, `overflow`, `length` and `utf8` are policies for all fields, or dictionaries by
    path; `fill` maps paths to values. `types` says what a field holds where its
    dtype leaves that open; `paths` maps field names to paths in the documents.
    With `on_error="skip"` bad documents are left out, with "collect" the answer is
    the pair (array, list of BSONDecodeError).
    """
    plan = plan_for(dtype, missing, null, convert, overflow, length, utf8, fill, types, paths)
    if type(source) is bytes and plan.spare and on_error == "raise" and threads is None:
        # A few documents at a time: no work but the decoder's. Whatever is wrong is found again, and told, below.
        array = _at_once(plan, source)
        if array is not None:
            return array
    with open_source(source) as opened:
        return read(plan, opened, on_error, threads)


def _at_once(plan, source):
    """The rows of a small source that is in order; None of any other."""
    if len(source) > PIECE:
        return None
    try:
        decoder = plan.spare.pop()
    except IndexError:
        return None
    try:
        first = int.from_bytes(source[:4], "little")
        if first > 4 and len(source) % first == 0:
            # Documents of one length, it seems: then nobody has to walk along them to count.
            number = len(source) // first
        else:
            number = _stoop.bson.count(source)[0]
        array = np.empty(number, plan.dtype)
        mask = np.zeros(number, plan.mask_dtype) if plan.mask_dtype is not None else None
        rows, _ = decoder.decode_into(source, array, mask)
        return plan.wrap(array, mask) if rows == number else None
    except ValueError:
        # A bad document, or no room for the documents there are.
        return None
    finally:
        plan.spare.append(decoder)


def read(plan, source, on_error="raise", threads=None):
    """Decode an open source with a plan."""
    _policies.check_on_error(on_error)
    reading = Reading(plan, source, on_error, threads)
    at_once = source.buffer is not None and on_error == "raise" and not plan.objects and plan.dtype.itemsize > 0
    # What is left out by and by is counted first: room for all rows at once, and no array that grows.
    total = 0 if source.buffer is None or at_once else sum(number or 0 for _, number in source.slices())
    growing = _Growing(plan, total)
    try:
        if at_once:
            reading.whole(growing)
            return growing.result()
        for piece, number in reading.pieces():
            array, mask = growing.room(number or 0)
            growing.rows += reading.into(piece, number, array, mask)
    except BSONDecodeError as error:
        growing.rows += getattr(error, "partial_rows", 0)
        error.partial = growing.result()
        raise
    except StreamInterrupted as error:
        error.partial = growing.result()
        raise
    result = growing.result()
    return (result, reading.errors) if on_error == "collect" else result


def iter_ndarrays(
    source,
    dtype,
    rows=1_000_000,
    *,
    missing="error",
    null=None,
    convert="exact",
    overflow="error",
    length="error",
    utf8="error",
    fill=None,
    types=None,
    paths=None,
    on_error="raise",
    threads=None,
):
    """Decode a source of any size, `rows` rows at a time (the last array is shorter).

    As `to_ndarray` otherwise; with `on_error="collect"` each item is a pair
    (array, list of BSONDecodeError).
    """
    rows = operator.index(rows)
    if rows < 1:
        raise ValueError(f"rows must be at least 1, not {rows!r}")
    _policies.check_on_error(on_error)
    plan = plan_for(dtype, missing, null, convert, overflow, length, utf8, fill, types, paths)
    return _iterate(plan, open_source(source), rows, on_error, threads)


def _iterate(plan, opened, rows, on_error, threads):
    with opened as source:
        for growing, errors in _full(plan, source, rows, on_error, threads):
            result = growing.result()
            yield (result, errors) if on_error == "collect" else result


def _full(plan, source, rows, on_error, threads):
    """Arrays of `rows` rows, and the errors met since the last one."""
    reading = Reading(plan, source, on_error, threads)
    room = min(rows, 1 << 16)
    growing = _Growing(plan, room)
    try:
        for piece, number in reading.pieces():
            for part, count in _parts(piece, number, rows):
                array, mask = growing.room(count or 0)
                growing.rows += reading.into(part, count, array, mask)
                while growing.rows >= rows:
                    full, growing = _cut(plan, growing, rows)
                    yield full, reading.errors
                    reading.errors = []
    except (BSONDecodeError, StreamInterrupted) as error:
        growing.rows += getattr(error, "partial_rows", 0)
        error.partial = growing.result()
        raise
    if growing.rows or reading.errors:
        yield growing, reading.errors


def _parts(piece, number, rows):
    """A piece in parts of about `rows` documents, so that no array is much longer than asked for."""
    if number is None or number <= 2 * rows:
        yield piece, number
        return
    offsets = _stoop.bson.split(piece)
    view = memoryview(piece)
    for first in range(0, number, rows):
        last = min(first + rows, number)
        yield view[offsets[first] : offsets[last]], last - first


def _cut(plan, growing, rows):
    """The first `rows` rows, and what is over as the start of the next array."""
    over = growing.rows - rows
    following = _Growing(plan, over)
    following.rows = over
    following.array[:] = growing.array[rows : growing.rows]
    if following.mask is not None:
        following.mask[:] = growing.mask[rows : growing.rows]
    growing.rows = rows
    return growing, following
