"""The option `journal`: a line for each thing that is done to compiled code."""

import re

from harness import python

PROGRAM = """
import stoop, sys
stoop.enable(threshold=1_000_000, journal=sys.argv[1])

class A:
    def __init__(self):
        self.x = 1

def f(o):
    return o.x + 1

for _ in range(30):
    f(A())
stoop.compile(f)
for _ in range(100):
    f(A())
B = type("B", (A,), {})
for _ in range(100):
    f(B())
stoop.disable()
stoop.enable(threshold=1_000_000, journal="")
f(A())

def g():
    return 1

stoop.compile(g)
"""


def test_lines_tell_what_was_done(tmp_path):
    program, journal = tmp_path / "program.py", tmp_path / "journal"
    program.write_text(PROGRAM)
    done = python(str(program), str(journal))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = journal.read_text().splitlines()
    assert all(re.match(r" *\d+\.\d +\d+\.\d f function 9: \w", line) for line in lines), lines
    told = [line.split(": ", 1)[1] for line in lines]
    # Another class came, and what is done without a journal is not in it.
    assert [t.split()[0] for t in told if t.split()[0] in ("compiled", "void")][:2] == ["compiled", "void"], told
    assert "at line 10 of f" in next(t for t in told if t.startswith("void"))


def test_a_file_that_cannot_be_written_is_done_without(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = python(str(program), str(tmp_path / "missing" / "journal"))
    assert (done.returncode, done.stdout) == (0, "")
    assert re.search("RuntimeWarning: option 'journal': .*missing/journal': No such file", done.stderr), done
    # The option in the environment is told of likewise, before the program runs.
    done = python("-c", "print(3)", STOOP="1", STOOP_JOURNAL=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "3\n")
    assert f"there will be none: '{tmp_path}': Is a directory" in done.stderr, done
