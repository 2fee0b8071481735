"""Run CPython's own test files plainly and under Stoop and compare every test's outcome.

    python tests/cpython/run.py [--quick] [--cold] [--python PATH] [FILE ...]

Each file's tests run twice in one process, the second time counts: under Stoop, everything the first time ran
is compiled in between. `--cold` runs them once and leaves it to the sampler what is compiled.

A test whose outcome differs is run again, alone with its file, on both sides: CPython's suite has tests that
depend on time and load. A difference that comes back, and every crash, is a failure.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import time

import table

HERE = os.path.dirname(os.path.abspath(__file__))


class Outcome:
    """What one run of one test file gave."""

    def __init__(self):
        self.tests = collections.Counter()
        self.details = {}
        self.slowest = []
        self.stats = ""
        self.compiled = None
        self.crash = None
        self.seconds = 0.0

    def counts(self):
        """Outcomes and how often."""
        total = collections.Counter()
        for (_, outcome), n in self.tests.items():
            total[outcome] += n
        return ", ".join(f"{n} {o}" for o, n in sorted(total.items()))


def run_file(args, file, mode):
    """Run one test file in a process of its own."""
    result = Outcome()
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "out.jsonl")
        env = {k: v for k, v in os.environ.items() if not k.startswith("STOOP")}
        env["PYTHONHASHSEED"] = "0"
        options = {"threshold": 1, **json.loads(args.options)}
        if mode == "stoop" and args.children:
            env["STOOP"] = "1"
            env.update({f"STOOP_{k.upper()}": str(v) for k, v in options.items()})
        command = [args.python, os.path.join(HERE, "worker.py"), file, out, mode, args.how, json.dumps(options), *args.test]
        began = time.perf_counter()
        try:
            run = subprocess.run(
                command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="backslashreplace", timeout=args.timeout,
            )
            status, tail = run.returncode, (run.stdout + run.stderr)[-3000:]
        except subprocess.TimeoutExpired:
            status, tail = f"no end after {args.timeout} s", ""
        result.seconds = time.perf_counter() - began
        current, ended = None, False
        lines = open(out, encoding="utf-8").read().splitlines() if os.path.exists(out) else []
        for line in lines:
            try:
                outcome, test, detail = json.loads(line)
            except ValueError:
                continue  # The process died in the middle of a line.
            if outcome == "start":
                current = test
            elif outcome == "time":
                result.slowest.append((float(detail), test))
                current = None
            elif outcome == "compiled":
                result.compiled = detail
            elif outcome == "stats":
                result.stats = detail
            elif outcome == "end":
                ended = True
            else:
                result.tests[test, outcome] += 1
                if outcome in ("fail", "error"):
                    result.details[test] = detail
        if not ended or status != 0:
            result.crash = f"exit status {status} in {current or 'no test'}\n{tail}"
        result.slowest.sort(reverse=True)
    return result


def differences(plain, stoop):
    """Tests whose outcomes differ: id → (plainly, under Stoop)."""
    found = {}
    for test in {t for t, _ in plain.tests} | {t for t, _ in stoop.tests}:
        a = sorted((o, n) for (t, o), n in plain.tests.items() if t == test)
        b = sorted((o, n) for (t, o), n in stoop.tests.items() if t == test)
        if a != b:
            found[test] = (a, b)
    return found


def compare(args, file):
    """Run a file both ways; True if all is well."""
    plain = run_file(args, file, "plain")
    if plain.crash:
        print(f"{file}: the plain run itself fails: {plain.crash}")
        return False
    if args.baseline:
        print(f"{file}: {plain.seconds:.1f} s, {plain.counts()}")
        for test, detail in plain.details.items():
            print(f"    {test}: {detail.strip().splitlines()[-1]}")
        for seconds, test in plain.slowest[:3]:
            if seconds > 2:
                print(f"    {seconds:.1f} s {test}")
        return True
    stoop = run_file(args, file, "stoop")
    found = {} if stoop.crash else differences(plain, stoop)
    unsteady = []
    if found:
        again_plain, again = run_file(args, file, "plain"), run_file(args, file, "stoop")
        stoop.crash = again.crash
        repeated = differences(again_plain, again)
        unsteady = sorted(set(found) - set(repeated))
        found = {t: d for t, d in found.items() if t in repeated}
        stoop.details.update(again.details)
    idle = args.how == "warm" and not stoop.crash and not (stoop.compiled and stoop.compiled[0])
    ok = not found and not stoop.crash and not idle
    functions = "" if stoop.compiled is None else f", {stoop.compiled[0]} functions compiled, {stoop.compiled[1]} not"
    times = f"{plain.seconds:.1f} s → {stoop.seconds:.1f} s"
    print(f"{file}: {'same' if ok else 'DIFFERENT'}, {times}{functions}, {plain.counts()}")
    if idle:
        print("    nothing was compiled: the comparison shows nothing")
    if stoop.crash:
        print(f"    crash: {stoop.crash}")
    for test, (a, b) in sorted(found.items()):
        print(f"    {test}: plainly {a}, under Stoop {b}")
        print("        " + stoop.details.get(test, "").strip().replace("\n", "\n        "))
    for test in unsteady:
        print(f"    unsteady (differed once, not again): {test}")
    if args.verbose:
        print(f"    {stoop.stats}")
    return ok


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="test files (default: the whole table)")
    parser.add_argument("--quick", action="store_true", help="only the rows marked quick")
    parser.add_argument("--baseline", action="store_true", help="run plainly only and list what fails")
    parser.add_argument("--cold", dest="how", action="store_const", const="cold", default="warm", help="run once; the sampler compiles")
    parser.add_argument("--python", default=sys.executable, help="the interpreter, with Stoop installed")
    parser.add_argument("--options", default="{}", help="more options for stoop.enable(), as JSON")
    parser.add_argument("--children", action="store_true", help="turn Stoop on in child processes too")
    parser.add_argument("--test", action="append", default=[], help="only tests whose id ends so")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one run of one file")
    parser.add_argument("--verbose", action="store_true", help="print Stoop's statistics after each file")
    args = parser.parse_args()
    if any(not row.reason.strip() for row in table.EXCLUSIONS):
        parser.error("an exclusion has no reason")
    files = args.files or [f.name for f in table.FILES if f.quick or not args.quick]
    began = time.perf_counter()
    bad = []
    for file in files:
        if not compare(args, file):
            bad.append(file)
        sys.stdout.flush()
    for row in table.EXCLUSIONS:
        print(f"excluded: {row.file} {row.test} {' '.join(row.versions)}: {row.reason}")
    print(f"{len(files) - len(bad)} of {len(files)} files as they should be, {time.perf_counter() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
