"""Which of CPython's own test files run under Stoop, and what is left out of them.

One row a file, one row an exclusion. A row without a reason is refused by `run.py`.
"""

from typing import NamedTuple


class File(NamedTuple):
    """One of CPython's test files."""

    name: str
    quick: bool
    """Whether `--quick` (CI) runs it."""


class Exclusion(NamedTuple):
    """A test that is run neither plainly nor under Stoop."""

    file: str
    test: str
    """End of the test's id: `Class.method`, or `Class`."""
    versions: tuple[str, ...]
    """Python versions concerned, such as `3.13`; empty: all."""
    reason: str


FILES = [
    File("test_generators", True),
    File("test_exceptions", True),
    File("test_coroutines", True),
    File("test_asyncgen", True),
    File("test_contextlib", True),
    File("test_dict", True),
    File("test_list", True),
    File("test_itertools", False),
    File("test_gc", True),
    File("test_traceback", True),
    File("test_threading", False),
    File("test_with", True),
    File("test_sort", True),
    File("test_builtin", True),
    File("test_functools", True),
    File("test_re", True),
    File("test_fractions", True),
    File("test_random", True),
    File("test_heapq", True),
    File("test_collections", True),
    File("test_tokenize", False),
    File("test_set", False),
    File("test_long", False),
    File("test_float", True),
    File("test_pickle", False),
    File("test_sys_settrace", True),
    File("test_sys_setprofile", True),
]

EXCLUSIONS: list[Exclusion] = []


def excluded(file: str, test_id: str, version: str) -> str | None:
    """Why a test is left out, or None."""
    for row in EXCLUSIONS:
        if row.file != file or (row.versions and version not in row.versions):
            continue
        if test_id.endswith("." + row.test) or f".{row.test}." in test_id:
            return row.reason
    return None
