"""A BSON file into a file of another format, piece by piece: `stoop bson convert`."""

import json
import os
import shutil
import tempfile
import zipfile

FORMATS = {
    ".parquet": "Parquet",
    ".arrow": "Arrow IPC",
    ".feather": "Arrow IPC",
    ".npy": "a NumPy structured array",
    ".npz": "NumPy, an array a column",
    ".csv": "CSV",
}


class CannotConvert(ValueError):
    """A column that the format cannot hold, or an output nobody knows how to write."""


def convert(source, output, spec, policies, widths, where=None, drop=(), on_error="raise", threads=None, progress=None):
    """Convert an open source; (rows written, documents read, bad documents).

    `spec` are the columns to read; those of `drop` are for the condition only. The
    output appears under its name when it is whole.
    """
    from stoop.bson._columns import iter_batches

    ending = os.path.splitext(output)[1].lower()
    writer = None
    rows, bad, documents = 0, [], 0
    partial = output + ".part"
    try:
        for table, errors in iter_batches(source, spec, policies, on_error, threads):
            bad += errors
            documents += len(table) + len(errors)
            columns = table.to_pyarrow()
            if where is not None:
                columns = columns.filter(where.expression(columns.schema))
            if drop:
                columns = columns.drop_columns(list(drop))
            if writer is None:
                writer = _WRITERS[ending](partial, columns.schema, widths)
            writer.write(columns)
            rows += len(columns)
            if progress is not None:
                progress.at(source.read, documents)
        if writer is None:
            raise CannotConvert("there are no documents to convert")
        writer.close()
        os.replace(partial, output)
    finally:
        if writer is not None:
            writer.abandon()
        if os.path.exists(partial):
            os.remove(partial)
    return rows, documents, bad


class _Parquet:
    def __init__(self, path, schema, widths):
        import pyarrow.parquet

        self._writer = pyarrow.parquet.ParquetWriter(path, schema)

    def write(self, table):
        self._writer.write_table(table)

    def close(self):
        self._writer.close()

    def abandon(self):
        self._writer.close()


class _Arrow(_Parquet):
    def __init__(self, path, schema, widths):
        import pyarrow

        self._writer = pyarrow.ipc.new_file(path, schema)


class _Csv(_Parquet):
    """CSV: documents become columns with dotted names, bytes hexadecimal."""

    def __init__(self, path, schema, widths):
        import pyarrow.csv

        self._schema = _flat(schema.empty_table(), "CSV").schema
        self._texts = [i for i, field in enumerate(self._schema) if _is_bytes(field.type)]
        shown = self._schema
        for i in self._texts:
            shown = shown.set(i, pyarrow.field(self._schema.names[i], pyarrow.string()))
        self._shown = shown
        self._writer = pyarrow.csv.CSVWriter(path, shown)

    def write(self, table):
        import pyarrow

        table = _flat(table, "CSV")
        for i in self._texts:
            text = [None if v is None else v.hex() for v in table.column(i).to_pylist()]
            table = table.set_column(i, self._shown.field(i), pyarrow.chunked_array([pyarrow.array(text, "string")]))
        self._writer.write_table(table)


class _Npy:
    """A .npy file that grows: the header is written again, with the number of rows, at the end."""

    def __init__(self, path, schema, widths):
        import numpy as np

        flat = _flat(schema.empty_table(), "a NumPy array")
        self._dtype = np.dtype([(field.name, _dtype(field, widths)) for field in flat.schema])
        self._file = _open_npy(path, self._dtype)
        self._rows = 0

    def write(self, table):
        import numpy as np

        table = _flat(table, "a NumPy array")
        rows = np.empty(len(table), self._dtype)
        for name in self._dtype.names:
            rows[name] = _values(table.column(name), self._dtype[name], name)
        self._file.write(rows.tobytes())
        self._rows += len(table)

    def close(self):
        _close_npy(self._file, self._dtype, self._rows)

    def abandon(self):
        self._file.close()


class _Npz:
    """A .npz file: each column grows in a file of its own, and all are packed together at the end."""

    def __init__(self, path, schema, widths):
        import numpy as np

        self._path = path
        flat = _flat(schema.empty_table(), "NumPy arrays").schema
        self._folder = tempfile.mkdtemp(prefix="stoop-bson-", dir=os.path.dirname(os.path.abspath(path)))
        self._columns = []
        for number, field in enumerate(flat):
            dtype = np.dtype(_dtype(field, widths))
            part = os.path.join(self._folder, str(number))
            self._columns.append((field.name, dtype, part, _open_npy(part, dtype)))
        self._rows = 0

    def write(self, table):
        table = _flat(table, "NumPy arrays")
        for name, dtype, _, file in self._columns:
            file.write(_values(table.column(name), dtype, name).astype(dtype).tobytes())
        self._rows += len(table)

    def close(self):
        with zipfile.ZipFile(self._path, "w", zipfile.ZIP_STORED) as packed:
            for name, dtype, part, file in self._columns:
                _close_npy(file, dtype, self._rows)
                packed.write(part, name + ".npy")

    def abandon(self):
        for *_, file in self._columns:
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)


_WRITERS = {".parquet": _Parquet, ".arrow": _Arrow, ".feather": _Arrow, ".csv": _Csv, ".npy": _Npy, ".npz": _Npz}


def _flat(table, what):
    """The table with its documents taken apart; an error for what has no place in a plain column."""
    import pyarrow.types as t

    while any(t.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    for field in table.schema:
        if t.is_list(field.type) or t.is_large_list(field.type):
            raise CannotConvert(
                f"column {field.name!r} holds lists, for which {what} has no place; "
                "leave it out with --select, or write .parquet or .arrow"
            )
    return table


def _is_bytes(kind):
    import pyarrow.types as t

    return t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind)


def _dtype(field, widths):
    """The dtype of an Arrow column."""
    import pyarrow.types as t

    kind = field.type
    if t.is_string(kind) or t.is_large_string(kind):
        return f"U{max(widths.get(field.name) or 1, 1)}"
    if t.is_fixed_size_binary(kind):
        return f"V{kind.byte_width}"
    if t.is_timestamp(kind):
        return f"M8[{kind.unit}]"
    if t.is_integer(kind) or t.is_floating(kind) or t.is_boolean(kind):
        return kind.to_pandas_dtype()
    raise CannotConvert(
        f"column {field.name!r} is {kind}, for which NumPy has no plain type; "
        "leave it out with --select, or write .parquet or .arrow"
    )


def _values(column, dtype, name):
    """A column's values in NumPy; nulls become NaN or NaT, and are an error in other types."""
    import numpy as np

    if column.null_count:
        if dtype.kind not in "fM":
            raise CannotConvert(
                f"column {name!r} has {column.null_count:,} values that are missing or null, and {dtype} has no word "
                f"for that: say what to write, --fill {name}=…, or write .parquet"
            )
        if dtype.kind == "f":
            column = column.fill_null(np.nan)
    if dtype.kind == "V":
        return np.frombuffer(b"".join(column.to_pylist()), dtype)
    if dtype.kind == "U":
        values = np.array(column.to_pylist() or [], dtype=object)
        longest = max(map(len, values), default=0)
        if longest * 4 > dtype.itemsize:
            raise CannotConvert(
                f"column {name!r} has a string of {longest} characters, where the first documents had at most "
                f"{dtype.itemsize // 4}: leave out --sample, so that all documents are looked at first"
            )
        return values.astype(dtype)
    return column.to_numpy()


def _open_npy(path, dtype):
    file = open(path, "w+b")  # noqa: SIM115
    _header(file, dtype, 0)
    return file


def _close_npy(file, dtype, rows):
    end = file.tell()
    file.seek(0)
    # NumPy leaves room in a header for the longest number of rows, so the new one is as long.
    _header(file, dtype, rows)
    file.seek(end)
    file.close()


def _header(file, dtype, rows):
    import numpy as np

    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (rows,)}
    np.lib.format.write_array_header_2_0(file, described)


def fill_values(given):
    """`name=value,…` as a dictionary: numbers and true/false as JSON has them, anything else text."""
    result = {}
    for part in given:
        name, sign, text = part.partition("=")
        if not sign or not name:
            raise ValueError(f"--fill {part!r}: write NAME=VALUE")
        try:
            result[name] = json.loads(text)
        except ValueError:
            result[name] = text
    return result
