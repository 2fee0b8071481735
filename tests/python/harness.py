"""Run a program plainly and under Stoop, compare what can be seen, and ask what was compiled and left."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

SUPPORT = Path(__file__).resolve().parent / "support"

# Kinds of exits, as patterns over the engine's reasons: the one place that knows their wording.
OVERFLOW = "did not fit in 64"
TYPE = "not of the class"
RANGE = "index was out of range"
UNBOUND = "not set"


class Run:
    """The two runs of a program."""

    def __init__(self, text, plain, stoop, record):
        self.text = text
        self.plain = plain
        self.stoop = stoop
        self.answers = record["answers"]
        self.entries = record["entries"]
        self.functions = record["functions"]

    @property
    def output(self):
        """What both printed."""
        return self.plain.stdout

    def line(self, marker):
        """The line that carries the comment `# marker`."""
        lines = [n for n, line in enumerate(self.text.splitlines(), 1) if line.rstrip().endswith(f"# {marker}")]
        assert len(lines) == 1, f"{len(lines)} lines are marked # {marker}"
        return lines[0]

    def rows(self, name):
        """Stoop's records of the functions of that (qualified) name."""
        return [f for f in self.functions if f["name"] == name or f["name"].endswith("." + name)]

    def regions(self, name):
        """The compiled regions of a function."""
        return [r for f in self.rows(name) for r in f["regions"]]

    def exits(self, name):
        """(reason, line, count) of every exit of a function."""
        return [tuple(x) for r in self.regions(name) for x in r["exits"]]

    def assert_compiled(self, *names):
        """Premise: `hot` compiled these functions, and they were entered."""
        for name in names:
            answers = [a for k, a in self.answers.items() if k == name or k.endswith("." + name)]
            assert answers, f"{name} was never given to hot()"
            assert answers == [None], f"{name} was not compiled: {answers}"
            entries = [n for k, n in self.entries.items() if k == name or k.endswith("." + name)]
            assert entries and min(entries) > 0, f"{name} was not entered: {self.rows(name)}"
        return self

    def assert_loop(self, name, marker=None):
        """Premise: a running loop of the function was taken over."""
        loops = [r for r in self.regions(name) if r["kind"] == "loop" and r["entries"] > 0]
        assert loops, f"no loop of {name} was taken over: {self.functions}"
        if marker is not None:
            assert self.line(marker) in [r["line"] for r in loops], (self.line(marker), loops)
        return self

    def assert_left(self, name, marker, reason=None, count=None):
        """The function was left at the marked line, for that reason, so often."""
        line = self.line(marker)
        found = [(r, n) for r, at, n in self.exits(name) if at == line]
        if reason is not None:
            found = [(r, n) for r, n in found if re.search(reason, r, re.IGNORECASE)]
        assert sum(n for _, n in found) > 0, f"no exit {reason or ''} at line {line}: {self.exits(name)}"
        if count is not None:
            assert sum(n for _, n in found) == count, (found, count)
        return self

    def assert_stayed(self, *names):
        """The functions were never left."""
        for name in names:
            assert sum(n for _, _, n in self.exits(name)) == 0, self.exits(name)
        return self


def environment(**more):
    """This process's environment without Stoop's variables; freed memory is overwritten, so that using it shows."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("STOOP", "PROBE"))}
    return {**clean, "PYTHONPATH": str(SUPPORT), "PYTHONHASHSEED": "0", "PYTHONMALLOC": "debug", **more}


def python(*arguments, timeout=60, **more):
    """Run the interpreter; the finished process."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=timeout,
        errors="backslashreplace",
        stdin=subprocess.DEVNULL,
    )


def both(tmp_path, text, status=0, timeout=60, flags=(), **options):
    """Run a program plainly and under Stoop; the output, errors and exit status must be the same.

    Programs import `hot` from `probe`. Options go to `stoop.enable`.
    """
    text = textwrap.dedent(text).lstrip("\n")
    program = tmp_path / "program.py"
    program.write_text(text, encoding="utf-8")
    out = tmp_path / "probe.json"
    plain = python(*flags, str(program), timeout=timeout)
    assert plain.returncode == status, f"the plain run itself: {plain.returncode}\n{plain.stdout}\n{plain.stderr}"
    # Compiled only when asked for: once, with feedback.
    options = json.dumps({"threshold": 1_000_000, **options})
    stoop = python(*flags, str(program), timeout=timeout, PROBE_OUT=str(out), PROBE_OPTIONS=options)
    assert (stoop.returncode, stoop.stdout, stoop.stderr) == (plain.returncode, plain.stdout, plain.stderr), (
        f"under Stoop {stoop.returncode}:\n{stoop.stdout}{stoop.stderr}\n"
        f"plain {plain.returncode}:\n{plain.stdout}{plain.stderr}"
    )
    record = (
        json.loads(out.read_text(encoding="utf-8")) if out.exists() else {"answers": {}, "entries": {}, "functions": []}
    )
    return Run(text, plain, stoop, record)


def resumptions(run, name):
    """How often machine code was entered where generators of that name go on."""
    return sum(r["entries"] for r in run.regions(name) if r["kind"] == "resume")


def both_loop(tmp_path, text, **options):
    """`both` for programs whose running loops are to be taken over: the sampler looks often."""
    return both(tmp_path, text, **{"threshold": 2, "sample_interval_ms": 1, "compile_share": 100, **options})


def both_early(tmp_path, text, **options):
    """`both_loop` for programs that do not last until a sampler sees them: loops are taken over at their third turn.

    A module's own loop is not: it runs before the engine is switched on.
    """
    return both(tmp_path, text, **{"threshold": 1, **options})
