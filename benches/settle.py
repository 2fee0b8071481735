"""How soon a program reaches its speed: a benchmark's calls, one after another, plain and under Stoop.

Usage: python benches/settle.py [--seconds S] [--rounds N] [--clock wall] [--journal FOLDER] NAME…

NAME is one of pyperformance's (`run.py --list`), or a Python file that defines `run()`. Printed is how many times as
fast as plain CPython it was in each span of the program's own time, and when it had reached nine tenths of the last
span's speed for good. With --journal Stoop writes FOLDER/NAME-ROUND.journal (option `journal`), and without it where
each figure comes from can only be guessed.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import run
import scripts

# Ends of the spans, in seconds; --seconds adds the last.
SPANS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16]

WRAPPER = """
import pyperf, sys
sys.path.insert(0, {folder!r})
from {module} import run
runner = pyperf.Runner()
runner.bench_func({name!r}, run)
"""


def arguments():
    parser = argparse.ArgumentParser(description="How soon programs reach their speed.")
    parser.add_argument("names", nargs="+", metavar="NAME")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=1, help="processes under Stoop")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="cpu")
    parser.add_argument("--journal", type=Path, metavar="FOLDER", help="have Stoop write journals there")
    parser.add_argument("--stoop-command", help="the command that runs Python under Stoop")
    return parser.parse_args()


def find(name, folder):
    """The script and the benchmark in it of a name, or of a file of one's own."""
    if name.endswith(".py"):
        path = Path(name).resolve()
        script = Path(folder) / f"{path.stem}_settles.py"
        script.write_text(WRAPPER.format(folder=str(path.parent), module=path.stem, name=path.stem))
        return scripts.Script(path.stem, script, ()), path.stem
    every = scripts.read_manifest(scripts.folder())
    homes = [s for s in every if name == s or name.startswith(s + "_")]
    if not homes:
        raise SystemExit(f"no benchmark is called {name!r}; run.py --list names them")
    return every[max(homes, key=len)], name


def calls(peer, script, benchmark, options, seconds):
    pace = run.Pace(rounds=1, warmup=seconds, values=1, least=0, timeout=20 * seconds + 60, clock=options.clock)
    found = run.run_script(peer, script, "settle", pace, benchmark)[0]["calls"]
    # In units of the standard piece of work: processes may run on processors of different speeds.
    return [(end, call / usual) for end, call, usual in found]


def by_span(found, spans):
    """Seconds a call took in each span: the time of the pieces that ended in it, over their calls; or None."""
    times = [[0.0, 0.0] for _ in spans]
    before = 0.0
    for end, call in found:
        at = next((k for k, span in enumerate(spans) if end <= span), len(spans) - 1)
        times[at][0] += end - before
        times[at][1] += (end - before) / call
        before = end
    return [time / count if count else None for time, count in times]


def settled(found, last):
    """When nine tenths of the last span's speed had been reached: from there on the median of any ten pieces has it."""
    slow = [statistics.median(call for _, call in found[k : k + 10]) * 0.9 > last for k in range(len(found))]
    late = [end for (end, _), is_slow in zip(found[:-9], slow, strict=False) if is_slow]
    return late[-1] if late else 0.0


def main():
    options = arguments()
    plain, stoop = run.find_peers(argparse.Namespace(stoop_command=options.stoop_command, no_pypy=True)).values()
    spans = [s for s in SPANS if s < options.seconds] + [options.seconds]
    print(" ".join(["".ljust(24), *(f"{f'-{s:g} s':>7}" for s in spans), "  90 % at"]))
    with tempfile.TemporaryDirectory(prefix="stoop-settle-") as folder:
        for name in options.names:
            script, benchmark = find(name, folder)
            if benchmark == script.name:
                names = [e["name"] for e in run.run_script(plain, script, "list", run.QUICK)]
                benchmark = benchmark if benchmark in names else names[0]
            usual = statistics.median(call for _, call in calls(plain, script, benchmark, options, options.seconds / 4))
            for number in range(options.rounds):
                command, variables = stoop
                if options.journal:
                    options.journal.mkdir(parents=True, exist_ok=True)
                    path = (options.journal / f"{script.name}-{number}.journal").resolve()
                    path.unlink(missing_ok=True)
                    variables = {**variables, "STOOP_JOURNAL": str(path)}
                found = calls((command, variables), script, benchmark, options, options.seconds)
                taken = by_span(found, spans)
                cells = [f"{usual / t:7.2f}" if t else "      -" for t in taken]
                print(" ".join([script.name.ljust(24), *cells, f"{settled(found, taken[-1]):7.2f} s"]), flush=True)


if __name__ == "__main__":
    main()
