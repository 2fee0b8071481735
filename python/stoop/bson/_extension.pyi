"""The module `stoop._stoop.bson`, which is part of the extension module: there is no file of this name to import.

A field of a schema is (path, kind, parameters, policy). Kinds are names, or
("struct", [field, …]), ("array", kind, shape), ("list", kind).
"""

from collections.abc import Buffer, Callable, Iterable
from typing import Any, Literal, TypedDict

type Kind = str | tuple[Any, ...]
type Field = tuple[tuple[str, ...], Kind, dict[str, Any], dict[str, Any]]
type BadDocument = tuple[int, int, str, str, str, str]
"""Document, offset, path, expected, found, message."""

class ScannedField(TypedDict):
    path: tuple[str, ...]
    """The items of an array have the name "[]"."""
    present: int
    types: dict[str, int]
    characters: tuple[int, int] | None
    end_with_nul: int
    bytes: tuple[int, int] | None
    integers: tuple[int, int] | None
    items: tuple[int, int] | None
    decimals: tuple[int, int] | None
    """Digits before and after the point."""
    fractions: int
    not_finite: int
    subtypes: list[int]

class Batch:
    num_rows: int
    nbytes: int
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

class Stream:
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

class Decoder:
    skipped: int
    def __init__(
        self,
        schema: Iterable[Field],
        *,
        layout: Literal["rows", "columns"] = "rows",
        itemsize: int = 0,
        mask_itemsize: int = 0,
        on_error: Literal["raise", "skip", "collect"] = "raise",
        threads: int = 0,
        validate: bool = False,
    ) -> None: ...
    def decode_into(
        self, buffer: Buffer, out: Buffer, mask: Buffer | None = None, *, document: int = 0, offset: int = 0
    ) -> tuple[int, list[BadDocument]]: ...
    def decode_all(self, buffer: Buffer, room: Callable[[int], tuple[Buffer, Buffer | None]]) -> int: ...
    def take_objects(self) -> dict[int, list[str | tuple[int, bytes] | None]]: ...
    def decode(
        self, buffer: Buffer, *, document: int = 0, offset: int = 0
    ) -> tuple[list[Batch], list[BadDocument]]: ...
    def __arrow_c_schema__(self) -> object: ...

class Scanner:
    documents: int
    def add(self, buffer: Buffer, limit: int | None = None, *, document: int = 0, offset: int = 0) -> int: ...
    def fields(self) -> list[ScannedField]: ...

def count(buffer: Buffer, partial: bool = False) -> tuple[int, int]: ...
def split(buffer: Buffer) -> list[int]: ...
def validate(buffer: Buffer) -> int: ...
def stream(decoder: Decoder, batches: Iterable[Batch]) -> Stream: ...
def encode_columns(columns: Iterable[tuple[Any, ...]], *, first: int, rows: int, keep_nulls: bool = False) -> bytes: ...
def encode(
    schema: Iterable[Field],
    array: Buffer,
    mask: Buffer | None = None,
    *,
    itemsize: int,
    mask_itemsize: int = 0,
    rows: int,
    objects: dict[int, list[tuple[int, bytes] | None]] | None = None,
) -> bytes: ...
