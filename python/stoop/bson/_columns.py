"""Documents into Arrow columns, handed over through the Arrow C data interface."""

from stoop import _stoop
from stoop.bson import _policies, _spec
from stoop.bson._errors import BSONDecodeError
from stoop.bson._rows import Reading
from stoop.bson._sources import StreamInterrupted, open_source


class Table:
    """Arrow columns. Whatever takes Arrow's C stream takes this.

    `pyarrow.table(t)`, `polars.DataFrame(t)`, `pandas.DataFrame.from_arrow(t)`, `duckdb.sql("from t")` after one of
    these; the methods below are shortcuts. The columns are shared, not copied.
    """

    def __init__(self, decoder, batches):
        self._decoder = decoder
        self._batches = batches

    def __arrow_c_schema__(self):
        return self._decoder.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema=None):
        return _stoop.bson.stream(self._decoder, self._batches).__arrow_c_stream__(requested_schema)

    def __len__(self):
        return sum(batch.num_rows for batch in self._batches)

    @property
    def num_rows(self):
        """How many rows there are in all batches."""
        return len(self)

    @property
    def batches(self):
        """The batches: each has `__arrow_c_array__`."""
        return list(self._batches)

    def to_pyarrow(self):
        """A `pyarrow.Table` on the same memory."""
        return _need("pyarrow").table(self)

    def to_pandas(self, **options):
        """A `pandas.DataFrame`, through pyarrow; options are those of `pyarrow.Table.to_pandas`."""
        _need("pandas")
        return self.to_pyarrow().to_pandas(**options)

    def to_polars(self):
        """A `polars.DataFrame`."""
        return _need("polars").DataFrame(self)

    def __repr__(self):
        return f"<stoop.bson.Table of {len(self):,} rows in {len(self._batches)} batches>"


def _need(name):
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(f"this needs {name}, which is not installed: pip install {name}") from None


def _batch(reading, piece, number):
    """Decode one piece into a batch."""
    try:
        batches, errors = reading.decoder.decode(piece, document=reading.documents, offset=reading.bytes)
    except BSONDecodeError as error:
        reading.explain(error, piece)
        raise
    reading.note(errors)
    reading.documents += number or 0
    reading.bytes += len(piece)
    return batches


class Plan:
    """The decoder's schema for columns."""

    objects = ()

    def __init__(self, fields):
        self.fields = fields

    def decoder(self, on_error="raise", threads=None):
        return _stoop.bson.Decoder(self.fields, layout="columns", on_error=on_error, threads=_policies.threads(threads))


def to_arrow(
    source,
    schema=None,
    *,
    missing="mask",
    null=None,
    convert="exact",
    utf8="error",
    fill=None,
    on_error="raise",
    threads=None,
):
    """Decode a source into Arrow columns: a `Table`.

    `schema` is a dictionary from paths to types (see the documentation's table), a
    structured dtype, a `pyarrow.Schema`, or the answer of `infer_schema`. Left out, it is
    made from all the documents of the source. What is missing or null is null by
    default. With `on_error="collect"` the answer is the pair (table, list of BSONDecodeError).
    """
    _policies.check_on_error(on_error)
    with open_source(source) as opened:
        if schema is None:
            schema, opened = _spec.inferred(opened)
        policies = _policies.Policies(missing, null, convert, utf8=utf8, fill=fill)
        reading = Reading(Plan(_spec.fields(schema, policies)), opened, on_error, threads)
        batches = []
        try:
            for piece, number in reading.pieces():
                batches += _batch(reading, piece, number)
        except (BSONDecodeError, StreamInterrupted) as error:
            error.partial = Table(reading.decoder, batches)
            raise
        table = Table(reading.decoder, batches)
        return (table, reading.errors) if on_error == "collect" else table


def iter_batches(opened, schema, policies, on_error="raise", threads=None):
    """Decode an open source piece by piece: (Table, errors) pairs that share one decoder."""
    reading = Reading(Plan(_spec.fields(schema, policies)), opened, on_error, threads)
    for piece, number in reading.pieces():
        yield Table(reading.decoder, _batch(reading, piece, number)), reading.errors
        reading.errors = []
