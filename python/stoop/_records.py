"""The records that `stoop.info`, `stoop.stats` and `stoop.options_table` return."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """One option of the engine."""

    name: str
    """As a keyword of `stoop.enable`."""
    default: bool | int | float | str
    unit: str
    """What the number counts; empty where there is nothing to count."""
    help: str

    @property
    def environment_variable(self) -> str:
        """The variable that sets it: `STOOP_` and the name in capitals."""
        return "STOOP_" + self.name.upper()

    @property
    def x_flag(self) -> str:
        """The interpreter flag that sets it, without its value."""
        return "-X stoop-" + self.name.replace("_", "-") + "="


@dataclass(frozen=True, slots=True)
class Exit:
    """A place where compiled code was left for the interpreter."""

    reason: str
    line: int
    count: int


@dataclass(frozen=True, slots=True)
class Region:
    """A piece of a function with machine code of its own."""

    kind: str
    """"function", "loop", or "resume" (a generator or coroutine from where it is resumed)."""
    first_line: int
    last_line: int
    state: str
    """"compiled" or "dropped"."""
    reason: str | None
    """Why it was dropped."""
    compile_seconds: float
    code_bytes: int
    entries: int
    exits: tuple[Exit, ...]
    assumptions: tuple[str, ...]
    """What the machine code takes for granted, guarded or watched."""


@dataclass(frozen=True, slots=True)
class FunctionInfo:
    """What Stoop did to one function."""

    name: str
    filename: str
    line: int
    state: str
    """"interpreted", "compiled", "refused", "dropped" or "never"."""
    reason: str | None
    """Why it was refused or dropped."""
    regions: tuple[Region, ...]

    @property
    def compile_seconds(self) -> float:
        """Time spent compiling all regions."""
        return sum(region.compile_seconds for region in self.regions)

    @property
    def code_bytes(self) -> int:
        """Bytes of machine code in all regions."""
        return sum(region.code_bytes for region in self.regions)

    @property
    def entries(self) -> int:
        """How often any region was entered."""
        return sum(region.entries for region in self.regions)

    @property
    def exits(self) -> tuple[Exit, ...]:
        """The exits of all regions, the most frequent first."""
        exits = [exit for region in self.regions for exit in region.exits]
        return tuple(sorted(exits, key=lambda exit: -exit.count))


@dataclass(frozen=True, slots=True)
class Stats:
    """What Stoop did in this process."""

    enabled: bool
    functions: tuple[FunctionInfo, ...]
    """Each function that was looked at: compiled, refused or dropped."""
    compile_seconds: float
    code_bytes: int
    code_budget: int
    counters: dict[str, int]

    def __str__(self) -> str:
        from stoop import _report

        return _report.table(self)


def function_info(row: dict) -> FunctionInfo:
    """A `FunctionInfo` from the extension module's dictionary."""
    return FunctionInfo(**{**row, "regions": tuple(_region(region) for region in row["regions"])})


def process_stats(row: dict) -> Stats:
    """A `Stats` from the extension module's dictionary."""
    functions = tuple(function_info(function) for function in row["functions"])
    return Stats(**{**row, "functions": functions})


def _region(row: dict) -> Region:
    exits = tuple(Exit(**exit) for exit in row["exits"])
    return Region(**{**row, "exits": exits, "assumptions": tuple(row["assumptions"])})
