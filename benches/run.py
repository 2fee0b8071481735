"""Benchmarks: pyperformance's own scripts under CPython, Stoop and PyPy, as ratios.

Usage: python benches/run.py [--list] [--only NAME,…] [--scripts core|all] [--quick]

Every measurement is a fresh process that runs one script, unmodified, with a
stand-in for `pyperf` (see `shim/pyperf.py`); the peers take turns. Two figures
a benchmark: the first call in a process (median over the processes), and warm
(the shortest value of all processes after a time to warm up). Where one call
is too short to time, "the first call" is as many as take CPython 20 ms. Printed
are ratios over CPython: 2.00 is twice as fast. Results go to `benches/out/`.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import chart
import common
import headlines
import scripts

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Pace:
    """How long to measure: processes a peer, seconds of warm-up, values, seconds a value."""

    rounds: int
    warmup: float
    values: int
    least: float
    timeout: float
    first_calls: int = 1
    clock: str = "wall"


# How much of CPython's time the first call is made to last, where one call is shorter.
FIRST_CALL = 0.02

FULL = Pace(rounds=3, warmup=2.0, values=8, least=0.05, timeout=300)
QUICK = Pace(rounds=1, warmup=0.7, values=4, least=0.02, timeout=120)


class Failed(Exception):
    """A script that did not run, with the last line it wrote."""


def run_script(peer, script, mode, pace, benchmark=""):
    """Run one script in a process of its own; what its stand-in runner wrote."""
    command, extra = peer
    with tempfile.TemporaryDirectory(prefix="stoop-bench-") as folder:
        path = os.pathsep.join(filter(None, [str(HERE / "shim"), os.environ.get("PYTHONPATH")]))
        settings = {
            "PYTHONPATH": path,
            "PYTHONDONTWRITEBYTECODE": "1",
            "BENCH_MODE": mode,
            "BENCH_NAME": benchmark,
            "BENCH_RESULT": os.path.join(folder, "result"),
            "BENCH_FIRST": str(pace.first_calls),
            "BENCH_CLOCK": pace.clock,
            "BENCH_WARMUP": str(pace.warmup),
            "BENCH_VALUES": str(pace.values),
            "BENCH_LEAST": str(pace.least),
        }
        try:
            done = subprocess.run(
                [*command, str(script.path), *script.options],
                env=common.environment({**extra, **settings}),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=pace.timeout,
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"took longer than {pace.timeout:g} s") from None
        if done.returncode != 0:
            lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
            raise Failed(f"exit status {done.returncode}: {lines[-1]}")
        try:
            text = Path(settings["BENCH_RESULT"]).read_text()
        except FileNotFoundError:
            raise Failed(f"offers no benchmark {benchmark}".rstrip()) from None
        return [json.loads(line) for line in text.splitlines()]


def first_calls(peer, script, benchmark, pace):
    """How many calls of a benchmark take CPython about as long as a first call should."""
    short = replace(pace, warmup=0.1, values=1, least=0.0)
    (run,) = run_script(peer, script, "time", short, benchmark)
    return max(1, round(FIRST_CALL / run["warm"]))


def measure(peers, script, benchmark, pace):
    """Time one benchmark under all peers in turn: a row for the table and the JSON file."""
    runs = {name: [] for name in peers}
    failures = {}
    try:
        pace = replace(pace, first_calls=first_calls(peers["CPython"], script, benchmark, pace))
    except Failed as why:
        failures["CPython"] = str(why)
        peers = {}
    for number in range(pace.rounds):
        order = list(peers) if number % 2 == 0 else list(peers)[::-1]
        for name in order:
            if name in failures:
                continue
            try:
                runs[name] += run_script(peers[name], script, "time", pace, benchmark)
            except Failed as why:
                failures[name] = str(why)
    row = {
        "benchmark": benchmark,
        "script": script.name,
        "first_calls": pace.first_calls,
        "failures": failures,
    }
    for name in peers:
        if name in failures:
            row[name] = None
            continue
        row[name] = {
            "warm": min(run["warm"] for run in runs[name]),
            "first": statistics.median(run["first"] for run in runs[name]),
            "spread": max(run["warm"] for run in runs[name]) / min(run["warm"] for run in runs[name]) - 1,
            "peak_kib": max((run["peak_kib"] or 0 for run in runs[name]), default=0) or None,
            "runs": runs[name],
        }
    for name in peers:
        if name != "CPython" and row[name] and row["CPython"]:
            row[name]["warm_ratio"] = row["CPython"]["warm"] / row[name]["warm"]
            row[name]["first_ratio"] = row["CPython"]["first"] / row[name]["first"]
    return row


def select(every, options):
    """The scripts to run, and the names of single benchmarks asked for (or None)."""
    if options.only:
        names = [name for part in options.only for name in part.split(",") if name]
        chosen = {}
        single = set()
        for name in names:
            if name in scripts.EXCLUDED:
                raise SystemExit(f"{name} is left out: {scripts.EXCLUDED[name]}")
            homes = [s for s in every if name == s or name.startswith(s + "_")]
            if not homes:
                raise SystemExit(f"no benchmark is called {name!r}; --list names them")
            home = max(homes, key=len)
            chosen[home] = every[home]
            single.add(name)
        return list(chosen.values()), single
    wanted = scripts.CORE if options.scripts == "core" else every
    return [every[n] for n in wanted if n in every and n not in scripts.EXCLUDED], None


def asked_for(benchmark, script, single):
    """Whether --only names this benchmark, or its whole script."""
    return single is None or script.name in single or benchmark in single


def print_list(every):
    for name in sorted(every.keys() | scripts.EXCLUDED.keys()):
        if name in scripts.EXCLUDED:
            print(f"{name:32} left out: {scripts.EXCLUDED[name]}")
        else:
            print(f"{name:32} {'core' if name in scripts.CORE else ''}".rstrip())


def cells(row, peers):
    """The printed line of one benchmark."""
    plain = row["CPython"]
    line = [row["benchmark"], common.seconds(plain and plain["warm"])]
    for name in peers:
        if name != "CPython":
            figures = row[name] or {}
            line.append(common.ratio(figures.get("warm_ratio")))
            line.append(common.ratio(figures.get("first_ratio")))
    line.append(f"{scripts.wanted(row['benchmark']):g}")
    return line


def summarise(rows, name, key):
    """Geometric mean and slowest of one peer's ratios."""
    ratios = [(row[name][key], row["benchmark"]) for row in rows if row[name] and key in row[name]]
    if not ratios:
        return None
    slowest, where = min(ratios)
    mean = common.geometric_mean(ratio for ratio, _ in ratios)
    return {"mean": mean, "slowest": slowest, "slowest_benchmark": where, "count": len(ratios)}


def behind(rows):
    """Sentences on the benchmarks where Stoop does not reach what is wanted of it."""
    found = []
    for row in rows:
        figures = row["Stoop"]
        if not figures:
            continue
        name = row["benchmark"]
        if figures["warm_ratio"] < scripts.wanted(name):
            sentence = f"{name}: warm {figures['warm_ratio']:.2f}, wanted {scripts.wanted(name):g}"
            if spread := row["CPython"]["spread"]:
                sentence += f" (CPython's own processes differ by {spread:.1%})"
            found.append(sentence)
        if figures["first_ratio"] < scripts.WANTED_FIRST_CALL:
            found.append(f"{name}: first call {figures['first_ratio']:.2f}, wanted {scripts.WANTED_FIRST_CALL:g}")
    return found


def arguments():
    parser = argparse.ArgumentParser(description="pyperformance's scripts under CPython, Stoop and PyPy.")
    parser.add_argument("--list", action="store_true", help="name the scripts and stop")
    parser.add_argument("--only", action="append", metavar="NAME,…", help="run only these")
    parser.add_argument("--scripts", choices=["core", "all"], default="core", help="which to run (default core)")
    parser.add_argument("--quick", action="store_true", help="one short process a benchmark and peer")
    parser.add_argument("--rounds", type=int, help="processes a benchmark and peer")
    parser.add_argument("--warmup", type=float, help="seconds of warm-up in each process")
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="count time on the wall (default), or processor time, on a busy machine",
    )
    parser.add_argument("--stoop-command", help="the command that runs Python under Stoop")
    parser.add_argument("--no-pypy", action="store_true", help="leave PyPy out")
    parser.add_argument(
        "--headlines",
        choices=["yes", "no", "only"],
        default="yes",
        help="the figures on one addition and on the start: also, not, or nothing else",
    )
    parser.add_argument("--out", type=Path, default=HERE / "out", help="where results are written")
    return parser.parse_args()


def find_peers(options):
    """The commands compared, by name, each with the variables it needs."""
    peers = {
        "CPython": ([sys.executable], {}),
        "Stoop": common.stoop_command(options.stoop_command),
    }
    pypy = None if options.no_pypy else common.find_pypy()
    if pypy:
        peers["PyPy"] = ([pypy], {})
    elif not options.no_pypy:
        print("PyPy is left out: there is no pypy3 on the path.")
    return peers


def run_all(peers, chosen, single, pace):
    """Measure what was chosen, printing each line as it comes; the rows, and what was skipped."""
    header = ["benchmark", "CPython"]
    for name in peers:
        if name != "CPython":
            header += [f"{name} warm", "first call"]
    header.append("wanted")
    widths = [26, *[max(11, len(title)) for title in header[1:]]]

    def show(line):
        aligned = [line[0].ljust(widths[0])]
        aligned += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join(aligned), flush=True)

    show(header)
    rows, skipped = [], {}
    for script in chosen:
        try:
            names = [entry["name"] for entry in run_script(peers["CPython"], script, "list", pace)]
        except Failed as why:
            skipped[script.name] = str(why)
            continue
        for benchmark in names:
            title = script.name if len(names) == 1 else benchmark
            if not asked_for(title, script, single):
                continue
            row = measure(peers, script, benchmark, pace)
            row["benchmark"] = title
            if "CPython" in row["failures"]:
                skipped[title] = row["failures"]["CPython"]
                continue
            rows.append(row)
            show(cells(row, peers))
    return rows, skipped


def main():
    options = arguments()
    where = scripts.folder()
    if where is None and options.headlines != "only":
        print(
            f"pyperformance is not installed here:\n  {sys.executable} -m pip install -r benches/requirements.txt",
            file=sys.stderr,
        )
        return 2
    if options.list:
        print_list(scripts.read_manifest(where))
        return 0

    pace = QUICK if options.quick else FULL
    pace = replace(pace, clock=options.clock)
    if options.rounds:
        pace = replace(pace, rounds=options.rounds)
    if options.warmup is not None:
        pace = replace(pace, warmup=options.warmup)
    peers = find_peers(options)
    version = platform.python_version()
    print(f"CPython {version}; ratios over it, 2.00 is twice as fast\n", flush=True)

    rows, skipped, summary = [], {}, {}
    if options.headlines != "only":
        chosen, single = select(scripts.read_manifest(where), options)
        rows, skipped = run_all(peers, chosen, single, pace)
        print()
        for name in list(peers)[1:]:
            summary[name] = {key: summarise(rows, name, f"{key}_ratio") for key in ("warm", "first")}
            for key, title in (("warm", "warm"), ("first", "first call")):
                if figures := summary[name][key]:
                    print(
                        f"{name:6} {title:10} geometric mean {figures['mean']:.2f} of "
                        f"{figures['count']}, slowest {figures['slowest_benchmark']} "
                        f"{figures['slowest']:.2f}"
                    )
        for title, reason in skipped.items():
            print(f"skipped {title}: {reason}")
        for row in rows:
            for name, reason in row["failures"].items():
                print(f"{row['benchmark']} fails under {name}: {reason}")
        for sentence in behind(rows):
            print(f"behind: {sentence}")

    figures = None
    if options.headlines == "only" or (options.headlines == "yes" and not options.only):
        figures = headlines.report({k: v for k, v in peers.items() if k != "PyPy"})

    options.out.mkdir(parents=True, exist_ok=True)
    result = {
        "python": version,
        "clock": pace.clock,
        "rounds": pace.rounds,
        "warmup_seconds": pace.warmup,
        "summary": summary,
        "benchmarks": rows,
        "skipped": skipped,
        "excluded": scripts.EXCLUDED,
        "behind": behind(rows),
        "headlines": figures,
    }
    (options.out / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    if rows:
        draw(options.out, rows, peers, summary, version)
    print(f"\nwritten: {options.out / 'results.json'}" + (" and two charts" if rows else ""))
    # A benchmark that CPython can run and Stoop cannot is an error of ours.
    return 1 if any("Stoop" in row["failures"] for row in rows) else 0


def draw(out, rows, peers, summary, version):
    """Write one chart for the warm ratios and one for those of the first call."""
    others = list(peers)[1:]
    for key, title in (("warm", "Warm"), ("first", "First call")):
        means = ", ".join(f"{name} {summary[name][key]['mean']:.2f}" for name in others if summary[name][key])
        text = chart.bar_chart(
            f"{title}: pyperformance's scripts",
            f"CPython {version} is 1. Geometric means: {means}.",
            "times as fast as plain CPython (dashed line: the same speed; a cut bar goes on to its figure)",
            others,
            [(row["benchmark"], [(row[name] or {}).get(f"{key}_ratio") for name in others]) for row in rows],
        )
        (out / f"{key}.svg").write_text(text)


if __name__ == "__main__":
    sys.exit(main())
