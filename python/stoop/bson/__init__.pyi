import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Literal, Protocol, overload

import numpy as np
from numpy.typing import DTypeLike

from stoop.bson._errors import BSONDecodeError as BSONDecodeError

__all__: list[str]

class _HasRaw(Protocol):
    @property
    def raw(self) -> bytes: ...

class _ArrowSchema(Protocol):
    def __arrow_c_schema__(self) -> object: ...

type Raw = bytes | bytearray | memoryview | _HasRaw
type Source = Raw | str | os.PathLike[str] | BinaryIO | Iterable[Raw]

type OnMissing = Literal["error", "fill", "mask"]
type Convert = Literal["exact", "lossy", "strict"]
type Overflow = Literal["error", "truncate"]
type Length = Literal["error", "pad"]
type Utf8 = Literal["error", "replace"]
type PerField[T] = T | Mapping[str, T]
type Path = str | Sequence[str]
type Array = np.ndarray[tuple[int], np.dtype[np.void]]
"""One-dimensional, of a structured dtype; a `numpy.ma.MaskedArray` where a policy says "mask"."""
type ArrowTypes = Mapping[str, Any]

class StreamInterrupted(RuntimeError):
    documents: int
    bytes: int
    partial: Any
    """What was decoded before: an array, or a `Table`."""

class Table:
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __len__(self) -> int: ...
    @property
    def num_rows(self) -> int: ...
    @property
    def batches(self) -> list[Any]: ...
    def to_pyarrow(self) -> Any: ...
    def to_pandas(self, **options: Any) -> Any: ...
    def to_polars(self) -> Any: ...

class Field:
    path: tuple[str, ...]
    types: dict[str, int]
    """How many values there are of each BSON type."""
    present: int
    """In how many documents it is there."""
    missing: float
    """The share of documents without it."""
    widest: int | None
    """Characters of the longest string, or bytes of the longest binary."""

class Schema:
    documents: int
    fields: tuple[Field, ...]
    def __getitem__(self, path: str) -> Field: ...
    def __iter__(self) -> Iterator[Field]: ...
    def __len__(self) -> int: ...
    def dtype(self) -> np.dtype[np.void]: ...
    def arrow(self) -> dict[str, Any]: ...

@overload
def to_ndarray(
    source: Source,
    dtype: DTypeLike | Schema,
    *,
    missing: PerField[OnMissing] = "error",
    null: PerField[OnMissing] | None = None,
    convert: PerField[Convert] = "exact",
    overflow: PerField[Overflow] = "error",
    length: PerField[Length] = "error",
    utf8: PerField[Utf8] = "error",
    fill: Mapping[str, Any] | None = None,
    types: Mapping[str, str] | None = None,
    paths: Mapping[str, Path] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    threads: int | None = None,
) -> Array: ...
@overload
def to_ndarray(
    source: Source,
    dtype: DTypeLike | Schema,
    *,
    missing: PerField[OnMissing] = "error",
    null: PerField[OnMissing] | None = None,
    convert: PerField[Convert] = "exact",
    overflow: PerField[Overflow] = "error",
    length: PerField[Length] = "error",
    utf8: PerField[Utf8] = "error",
    fill: Mapping[str, Any] | None = None,
    types: Mapping[str, str] | None = None,
    paths: Mapping[str, Path] | None = None,
    on_error: Literal["collect"],
    threads: int | None = None,
) -> tuple[Array, list[BSONDecodeError]]: ...
@overload
def iter_ndarrays(
    source: Source,
    dtype: DTypeLike | Schema,
    rows: int = 1_000_000,
    *,
    missing: PerField[OnMissing] = "error",
    null: PerField[OnMissing] | None = None,
    convert: PerField[Convert] = "exact",
    overflow: PerField[Overflow] = "error",
    length: PerField[Length] = "error",
    utf8: PerField[Utf8] = "error",
    fill: Mapping[str, Any] | None = None,
    types: Mapping[str, str] | None = None,
    paths: Mapping[str, Path] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    threads: int | None = None,
) -> Iterator[Array]: ...
@overload
def iter_ndarrays(
    source: Source,
    dtype: DTypeLike | Schema,
    rows: int = 1_000_000,
    *,
    missing: PerField[OnMissing] = "error",
    null: PerField[OnMissing] | None = None,
    convert: PerField[Convert] = "exact",
    overflow: PerField[Overflow] = "error",
    length: PerField[Length] = "error",
    utf8: PerField[Utf8] = "error",
    fill: Mapping[str, Any] | None = None,
    types: Mapping[str, str] | None = None,
    paths: Mapping[str, Path] | None = None,
    on_error: Literal["collect"],
    threads: int | None = None,
) -> Iterator[tuple[Array, list[BSONDecodeError]]]: ...
@overload
def to_arrow(
    source: Source,
    schema: ArrowTypes | DTypeLike | _ArrowSchema | Schema | None = None,
    *,
    missing: PerField[OnMissing] = "mask",
    null: PerField[OnMissing] | None = None,
    convert: PerField[Convert] = "exact",
    utf8: PerField[Utf8] = "error",
    fill: Mapping[str, Any] | None = None,
    on_error: Literal["raise", "skip"] = "raise",
    threads: int | None = None,
) -> Table: ...
@overload
def to_arrow(
    source: Source,
    schema: ArrowTypes | DTypeLike | _ArrowSchema | Schema | None = None,
    *,
    missing: PerField[OnMissing] = "mask",
    null: PerField[OnMissing] | None = None,
    convert: PerField[Convert] = "exact",
    utf8: PerField[Utf8] = "error",
    fill: Mapping[str, Any] | None = None,
    on_error: Literal["collect"],
    threads: int | None = None,
) -> tuple[Table, list[BSONDecodeError]]: ...
def infer_schema(source: Source, sample: int | None = 10_000) -> Schema: ...
def from_ndarray(
    array: np.ndarray[Any, Any],
    *,
    types: Mapping[str, str] | None = None,
    paths: Mapping[str, Path] | None = None,
) -> bytes: ...
def from_arrow(
    table: Any,
    *,
    types: Mapping[str, Any] | Schema | None = None,
    paths: Mapping[str, Path] | None = None,
    nulls: Literal["omit", "keep"] = "omit",
) -> bytes: ...
def find(
    collection: Any,
    filter: Mapping[str, Any] | None = None,
    dtype: DTypeLike | Schema | None = None,
    *,
    projection: Any = "auto",
    **options: Any,
) -> Any: ...
def aggregate(
    collection: Any,
    pipeline: Sequence[Mapping[str, Any]],
    dtype: DTypeLike | Schema | None = None,
    **options: Any,
) -> Any: ...
def insert(
    collection: Any,
    array: Any,
    *,
    batch: int = 10_000,
    ordered: bool = True,
    types: Mapping[str, Any] | None = None,
    paths: Mapping[str, Path] | None = None,
    nulls: Literal["omit", "keep"] = "omit",
    **options: Any,
) -> Any: ...
