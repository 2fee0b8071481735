"""Run the example programs under plain CPython and under Stoop, and compare.

Usage: python examples/run.py [--runs N] [NAME ...]

Every program is run by both, in turn. Its time is the shortest of its runs,
start of the process included; its output and exit status must be the same to
the byte. A table is printed, and `results.json` and `chart.svg` are written to
`examples/out/`. The exit status is 1 if any answer differed.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "benches"))

import chart  # noqa: E402
import common  # noqa: E402

PROGRAMS = [
    "nbody",
    "spectral_norm",
    "fannkuch",
    "mandelbrot",
    "event_simulation",
    "json_parser",
    "word_count",
    "bytecode_vm",
    "matmul",
    "sudoku",
]


class Answer:
    """What one run of a program said, and how long it took."""

    def __init__(self, output, status, errors, elapsed):
        self.output = output
        self.status = status
        self.errors = errors
        self.elapsed = elapsed


def run(command, extra, timeout):
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            env=common.environment(extra),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as late:
        return Answer(late.stdout or b"", f"none after {timeout:g} s", late.stderr or b"", float(timeout))
    return Answer(done.stdout, done.returncode, done.stderr, time.perf_counter() - start)


def difference(plain, stoop):
    """Say how two answers differ, or return None."""
    if plain.status != stoop.status:
        tail = stoop.errors.decode(errors="replace").strip().splitlines()[-3:]
        return "\n    ".join([f"exit status {stoop.status}, CPython's is {plain.status}", *tail])
    if plain.output != stoop.output:
        ours = stoop.output.decode(errors="replace").splitlines()
        theirs = plain.output.decode(errors="replace").splitlines()
        for line, (a, b) in enumerate(zip(theirs, ours), 1):
            if a != b:
                return f"line {line} of the output is {b!r}, CPython's is {a!r}"
        return f"{len(ours)} lines of output, CPython's has {len(theirs)}"
    return None


def measure(name, runs, stoop, extra, timeout):
    """Run one program `runs` times under each, alternating, and sum up."""
    program = str(HERE / f"{name}.py")
    times = {"cpython": [], "stoop": []}
    why = None
    for number in range(runs):
        answers = {}
        order = ["cpython", "stoop"] if number % 2 == 0 else ["stoop", "cpython"]
        for who in order:
            if who == "cpython":
                answers[who] = run([sys.executable, program], {}, timeout)
            else:
                answers[who] = run([*stoop, program], extra, timeout)
            times[who].append(answers[who].elapsed)
        if answers["cpython"].status != 0:
            raise SystemExit(f"{name} fails under plain CPython:\n{answers['cpython'].errors.decode()}")
        why = why or difference(answers["cpython"], answers["stoop"])
    plain, ours = min(times["cpython"]), min(times["stoop"])
    return {
        "name": name,
        "cpython": plain,
        "stoop": ours,
        "ratio": plain / ours,
        "same": why is None,
        "difference": why,
        "cpython_runs": times["cpython"],
        "stoop_runs": times["stoop"],
    }


def main():
    parser = argparse.ArgumentParser(description="Run the examples under CPython and Stoop and compare them.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="run only these programs")
    parser.add_argument("--runs", type=int, default=3, help="runs of each program under each (default 3)")
    parser.add_argument("--stoop-command", help="the command that runs Python under Stoop")
    parser.add_argument("--timeout", type=float, default=120, help="seconds a run may take (default 120)")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="folder for results.json and chart.svg")
    parser.add_argument("--list", action="store_true", help="name the programs and stop")
    options = parser.parse_args()
    if options.list:
        print("\n".join(PROGRAMS))
        return 0
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    names = [name.removesuffix(".py") for name in options.names] or PROGRAMS
    for name in names:
        if name not in PROGRAMS:
            parser.error(f"no example is called {name!r}; there are {', '.join(PROGRAMS)}")

    stoop, extra = common.stoop_command(options.stoop_command)
    version = platform.python_version()
    print(f"CPython {version}; the shortest of {options.runs} alternating runs\n", flush=True)
    line = "{:18} {:>10} {:>10} {:>14} {:>12}".format
    print(line("program", "CPython", "Stoop", "times as fast", "same answer"), flush=True)
    results = []
    for name in names:
        result = measure(name, options.runs, stoop, extra, options.timeout)
        results.append(result)
        print(
            line(
                name,
                f"{result['cpython']:.3f} s",
                f"{result['stoop']:.3f} s",
                common.ratio(result["ratio"]),
                "yes" if result["same"] else "NO",
            ),
            flush=True,
        )
        if not result["same"]:
            print(f"    {result['difference']}", flush=True)

    # The speed of a wrong answer says nothing.
    right = [result for result in results if result["same"]]
    mean = common.geometric_mean(result["ratio"] for result in right)
    slowest = min(right, key=lambda result: result["ratio"], default=None)
    if right:
        print(f"\ngeometric mean {mean:.2f}, slowest {slowest['name']} {slowest['ratio']:.2f}")
    if len(right) < len(results):
        wrong = ", ".join(result["name"] for result in results if not result["same"])
        print(f"{len(results) - len(right)} of {len(results)} gave another answer: {wrong}")

    options.out.mkdir(parents=True, exist_ok=True)
    summary = {
        "python": version,
        "runs": options.runs,
        "geometric_mean": mean,
        "slowest": slowest and slowest["name"],
        "slowest_ratio": slowest and slowest["ratio"],
        "all_same": len(right) == len(results),
        "results": results,
    }
    (options.out / "results.json").write_text(json.dumps(summary, indent=1) + "\n")
    drawing = chart.bar_chart(
        "Example programs under Stoop",
        f"Shortest of {options.runs} alternating runs each, start of the process included. "
        f"CPython {version}. Geometric mean {common.ratio(mean)}.",
        "times as fast as plain CPython (dashed line: the same speed)",
        ["Stoop"],
        [(result["name"], [result["ratio"] if result["same"] else None]) for result in results],
    )
    (options.out / "chart.svg").write_text(drawing)
    print(f"written: {options.out / 'results.json'}, {options.out / 'chart.svg'}")
    return 0 if summary["all_same"] else 1


if __name__ == "__main__":
    sys.exit(main())
