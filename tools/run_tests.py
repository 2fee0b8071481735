"""Run the Rust and Python unit tests and close with one line for both.

python tools/run_tests.py [rust] [python] [-- pytest arguments]
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("passed", "failed", "skipped")


def main(arguments):
    """Run the suites asked for; the exit status is 0 when nothing failed."""
    suites, _, pytest_arguments = _split(arguments)
    started = time.monotonic()
    totals = dict.fromkeys(KINDS, 0)
    good = True
    for suite in suites:
        if suite == "rust":
            steps = _rust_steps()
        elif suite == "python":
            steps = [(_pytest_step(pytest_arguments), {}, _count_pytest)]
        else:
            print(f"run_tests: no suite is called {suite!r}", file=sys.stderr)
            return 2
        for command, environment, count in steps:
            status, output = _run(command, environment)
            good = good and status == 0
            for kind, number in count(output).items():
                totals[kind] += number
    good = good and not totals["failed"] and totals["passed"] > 0
    seconds = time.monotonic() - started
    shown = [kind for kind in KINDS if totals[kind] or kind != "skipped"]
    counts = ", ".join(f"{totals[kind]} {kind}" for kind in shown)
    print(f"\n===== {counts} in {seconds:.1f}s: {'ok' if good else 'FAILED'} =====")
    return 0 if good else 1


def _split(arguments):
    if "--" in arguments:
        place = arguments.index("--")
        return arguments[:place], "--", arguments[place + 1 :]
    return arguments, "", []


def _rust_steps():
    """Cargo's commands, with the Python library where test programs find it."""
    environment = _python_library()
    # The extension module has nothing to test that pytest does not.
    scope = ["--locked", "--workspace", "--exclude", "stoop_python"]
    if shutil.which("cargo-nextest"):
        run = ["cargo", "nextest", "run", *scope, "--no-fail-fast", "--no-tests", "pass"]
        documentation = ["cargo", "test", "--quiet", "--doc", *scope]
        return [(run, environment, _count_nextest), (documentation, environment, _count_cargo)]
    return [(["cargo", "test", "--no-fail-fast", *scope], environment, _count_cargo)]


def _python_library():
    """Flags that link test programs against libpython: they are no extension modules."""
    variables = sysconfig.get_config_vars()
    folder = variables["LIBDIR"] if variables.get("Py_ENABLE_SHARED") else variables["LIBPL"]
    library = f"python{sysconfig.get_python_version()}"
    flags = [f"-L{folder}", f"-Wl,--push-state,--as-needed,-l{library},--pop-state"]
    if variables.get("Py_ENABLE_SHARED"):
        flags.append(f"-Wl,-rpath,{folder}")
    else:
        flags += [*variables.get("LIBS", "").split(), *variables.get("SYSLIBS", "").split()]
        flags.append("-Wl,--export-dynamic")
    encoded = "\x1f".join(f"-Clink-arg={flag}" for flag in flags)
    return {"CARGO_ENCODED_RUSTFLAGS": encoded}


def _pytest_step(arguments):
    return [sys.executable, "-m", "pytest", "-q", *(arguments or ["tests/python"])]


def _run(command, environment):
    """Run a command, showing its output as it comes and keeping it."""
    print("$", " ".join(command), flush=True)
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(re.sub(r"\x1b\[[0-9;]*m", "", line))
    return process.wait(), lines


def _count_nextest(lines):
    for line in reversed(lines):
        if line.lstrip().startswith("Summary"):
            return {kind: _number(kind, line) for kind in KINDS}
    return {}


def _count_cargo(lines):
    totals = dict.fromkeys(KINDS, 0)
    for line in lines:
        if line.startswith("test result:"):
            totals["passed"] += _number("passed", line)
            totals["failed"] += _number("failed", line)
            totals["skipped"] += _number("ignored", line)
    return totals


def _count_pytest(lines):
    for line in reversed(lines):
        if re.search(r"\bin [0-9.]+s", line):
            return {
                "passed": _number("passed", line),
                "failed": _number("failed", line) + _number("errors?", line),
                "skipped": _number("skipped", line) + _number("xfailed", line),
            }
    return {}


def _number(word, line):
    found = re.search(rf"(\d+) {word}\b", line)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
