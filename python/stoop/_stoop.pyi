"""The extension module. Its dictionaries become the records of `_records`."""

from types import FunctionType
from typing import TypedDict

from stoop.bson import _extension

__version__: str

bson = _extension

Value = bool | int | float | str

class OptionRow(TypedDict):
    name: str
    default: Value
    unit: str
    help: str

class ExitRow(TypedDict):
    reason: str
    line: int
    count: int

class RegionRow(TypedDict):
    kind: str
    """"function" or "loop"."""
    first_line: int
    last_line: int
    state: str
    """"compiled" or "dropped"."""
    reason: str | None
    compile_seconds: float
    code_bytes: int
    entries: int
    exits: list[ExitRow]
    assumptions: list[str]

class FunctionRow(TypedDict):
    name: str
    filename: str
    line: int
    state: str
    """"interpreted", "compiled", "refused", "dropped" or "never"."""
    reason: str | None
    """Why it was refused or dropped."""
    regions: list[RegionRow]

class StatsRow(TypedDict):
    enabled: bool
    functions: list[FunctionRow]
    """Each function that was looked at: compiled, refused or dropped."""
    compile_seconds: float
    code_bytes: int
    code_budget: int
    counters: dict[str, int]

def enable(options: dict[str, Value]) -> None: ...
def disable() -> None: ...
def is_enabled() -> bool: ...
def options() -> dict[str, Value]: ...
def options_table() -> list[OptionRow]: ...
def compile(function: FunctionType) -> str | None: ...
def never(function: FunctionType) -> None: ...
def info(function: FunctionType) -> FunctionRow: ...
def stats() -> StatsRow: ...
def dis(function: FunctionType, stage: str) -> str: ...
def dump_native(function: FunctionType, path: str) -> None: ...
