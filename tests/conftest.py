"""Shared by all Python tests."""

import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "python"))

import harness  # noqa: E402


@pytest.fixture
def both(tmp_path):
    """Run a program plainly and under Stoop and compare."""
    return partial(harness.both, tmp_path)


@pytest.fixture
def both_loop(tmp_path):
    """The same for programs whose running loops are to be taken over."""
    return partial(harness.both_loop, tmp_path)


@pytest.fixture
def both_early(tmp_path):
    """The same at the third turn of a loop, whatever time the machine has for the sampler."""
    return partial(harness.both_early, tmp_path)


@pytest.fixture
def early(tmp_path):
    """`both_early` for programs that need no `hot`: what they import from `probe` is nothing."""
    return lambda text: harness.both_early(tmp_path, "import probe\n" + textwrap.dedent(text))
