"""What several test files are given."""

import textwrap

import harness
import pytest


@pytest.fixture
def both(tmp_path):
    """`harness.both_early` for programs that need no `hot`."""
    return lambda text: harness.both_early(tmp_path, "import probe\n" + textwrap.dedent(text))
