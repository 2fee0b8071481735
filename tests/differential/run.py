"""Run generated programs plainly and under Stoop and compare what they print, byte for byte.

    python tests/differential/run.py --count 300 [--seed 1] [--kind modules] [--python PATH] [--thorough]

Every batch runs plainly, compiled, with exits forced at a few guards, and with one pass turned off; `--thorough`
forces each of the first `--guards` guards and turns off each pass in turn. A program that differs is written to
`--keep`, with its seed and mode, and made smaller while it still differs.
"""

import argparse
import collections
import difflib
import json
import os
import re
import subprocess
import sys
import tempfile
import time

import shrink

HERE = os.path.dirname(os.path.abspath(__file__))


class Batch:
    """What one process made of its programs."""

    def __init__(self, outputs, counts, crash):
        self.outputs = outputs
        self.counts = counts
        self.crash = crash


def execute(args, programs, options):
    """Run programs (seeds or texts) in one process; a crash shortens the outputs."""
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "out.jsonl")
        task = {"programs": programs, "kind": args.kind, "options": options, "out": out, "timeout": args.timeout}
        env = {k: v for k, v in os.environ.items() if not k.startswith("STOOP")}
        env["PYTHONHASHSEED"] = "0"
        env["PYTHONMALLOC"] = "debug"  # Freed memory is overwritten, so that using it shows.
        run = subprocess.run(
            [args.python, os.path.join(HERE, "worker.py")], input=json.dumps(task), env=env, capture_output=True,
            text=True, errors="backslashreplace",
        )
        outputs, counts = [], None
        for line in open(out, encoding="utf-8").read().splitlines() if os.path.exists(out) else []:
            try:
                kind, value = json.loads(line)
            except ValueError:
                continue  # The process died in the middle of a line.
            if kind == "output":
                outputs.append(value)
            elif kind == "end":
                counts = value
        crash = None if counts is not None else f"exit status {run.returncode}\n{run.stderr[-3000:]}"
        return Batch(outputs, counts, crash)


def nothing():
    """Counts of no run."""
    return {"asked": 0, "compiled": 0, "exits": 0, "regions": 0, "refused": collections.Counter()}


def execute_all(args, programs, options):
    """Like `execute`, but goes on after a crash with the program behind; crashed programs yield the crash as output."""
    outputs, totals = [], nothing()
    while len(outputs) < len(programs):
        batch = execute(args, programs[len(outputs):], options)
        outputs += batch.outputs
        if batch.counts:
            totals["asked"] += batch.counts["asked"]
            totals["compiled"] += batch.counts["compiled"]
            totals["exits"] += batch.counts["exits"]
            totals["regions"] += batch.counts["regions"]
            totals["refused"].update(batch.counts["refused"])
        if batch.crash:
            if len(outputs) < len(programs):
                outputs.append("CRASH " + batch.crash)
    return outputs, totals


def differing(args, texts, options):
    """For each program: whether its plain and its compiled output differ."""
    quick = argparse.Namespace(**{**vars(args), "timeout": min(args.timeout, 2)})  # A piece less may mean no end.
    plain, _ = execute_all(quick, texts, None)
    compiled, _ = execute_all(quick, texts, options)
    return [a != b and not a.startswith("CRASH") for a, b in zip(plain, compiled)]


def pass_names():
    """The passes that can be turned off, from the ordered table itself."""
    table = os.path.join(HERE, "..", "..", "crates", "stoop_passes", "src", "pipeline.rs")
    with open(table, encoding="utf-8") as f:
        text = f.read()
    needed = re.search(r"const ALWAYS: [^=]*= &\[(.*?)\];", text, re.DOTALL)[1]
    names = dict.fromkeys(re.findall(r'^ *name: "(\w+)"', text, re.MULTILINE))
    return [n for n in names if f'"{n}"' not in needed]


def modes(args, number, passes):
    """Options of the runs of batch `number`."""
    base = {"threshold": 1, **json.loads(args.options)}
    yield "compiled", base
    if args.thorough:
        forced, off = range(1, args.guards + 1), passes
    else:
        forced = [1 + (number * 7 + k * 13) % args.guards for k in range(args.forced)]
        off = [passes[number % len(passes)]] if passes else []
    for n in forced:
        yield f"exit forced at guard {n}", {**base, "force_exit": n}
    for name in off:
        yield f"without {name}", {**base, "passes_off": name}


# --- the run -----------------------------------------------------------------------------------


def report(args, seed, mode, options, plain, compiled):
    """Print a difference, keep the program, shrink it."""
    import generate

    text = generate.generate(seed, args.kind)
    os.makedirs(args.keep, exist_ok=True)
    path = os.path.join(args.keep, f"{args.kind}-{seed}.py")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"# {args.kind}, seed {seed}, {mode}, options {json.dumps(options)}\n__hot__ = globals().get('__hot__', lambda *f: None)\n{text}")
    print(f"DIFFERENT: {args.kind}, seed {seed}, {mode}; written to {path}")
    if compiled.startswith("CRASH"):
        print("    " + compiled.replace("\n", "\n    "))
    else:
        diff = difflib.unified_diff(plain.splitlines(), compiled.splitlines(), "plain", "compiled", lineterm="", n=1)
        print("    " + "\n    ".join(list(diff)[:20]))
    if args.shrink_seconds > 0:
        small = shrink.shrink(text, lambda texts: differing(args, texts, options), args.shrink_seconds)
        if small is None:
            print("    alone it does not differ: an earlier program of the batch matters")
        else:
            with open(path.replace(".py", "-small.py"), "w", encoding="utf-8") as f:
                f.write(small)
            print("    smaller:\n        " + small.replace("\n", "\n        "))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", default="both", choices=["both", "functions", "modules"], help="where programs are hot; both: a quarter are modules")
    parser.add_argument("--count", type=int, default=300, help="programs")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first program; the others follow")
    parser.add_argument("--python", default=sys.executable, help="the interpreter, with Stoop installed")
    parser.add_argument("--batch", type=int, default=50, help="programs a process")
    parser.add_argument("--thorough", action="store_true", help="every guard number and every pass, for every batch")
    parser.add_argument("--guards", type=int, default=40, help="guard numbers to force, from 1")
    parser.add_argument("--forced", type=int, default=2, help="guard numbers a batch, when not thorough")
    parser.add_argument("--options", default="{}", help="more options for stoop.enable(), as JSON")
    parser.add_argument("--timeout", type=float, default=30, help="seconds for one program")
    parser.add_argument("--keep", default=os.path.join(tempfile.gettempdir(), "stoop-differential"), help="where differing programs go")
    parser.add_argument("--shrink-seconds", type=float, default=60, help="time for making one program smaller; 0: do not")
    parser.add_argument("--most", type=int, default=5, help="stop after so many differences")
    parser.add_argument("--jobs", type=int, default=1, help="accepted for uniformity; batches run one after another")
    parser.add_argument("--plain-only", action="store_true", help="check the generator: run plainly, twice")
    args = parser.parse_args()
    sys.path.insert(0, HERE)
    passes = pass_names()
    assert passes, "the table of passes was not understood"
    counts = {"functions": args.count, "modules": args.count}
    if args.kind == "both":
        counts = {"functions": args.count - args.count // 4, "modules": args.count // 4}
    kinds = [args.kind] if args.kind != "both" else list(counts)
    good = [compare(argparse.Namespace(**{**vars(args), "kind": kind, "count": counts[kind]}), passes) for kind in kinds]
    return 0 if all(good) else 1


def compare(args, passes):
    """Run the programs of one kind in all modes; whether all is well."""
    began, different, runs = time.perf_counter(), [], 0
    totals, exits, forced_exits = nothing(), 0, 0
    seeds = range(args.seed, args.seed + args.count)
    for number, start in enumerate(range(0, args.count, args.batch)):
        programs = list(seeds[start:start + args.batch])
        plain, _ = execute_all(args, programs, None)
        if any(p.startswith("CRASH") for p in plain):
            sys.exit("a plain run fails: " + next(p for p in plain if p.startswith("CRASH")))
        rows = [("plain again", None)] if args.plain_only else modes(args, number, passes)
        for mode, options in rows:
            compiled, counts = execute_all(args, programs, options)
            runs += len(programs)
            for key in totals:
                totals[key] += counts[key]
            if mode == "compiled":
                exits = counts["exits"]
            elif mode.startswith("exit forced"):
                forced_exits += max(counts["exits"] - exits, 0)
            for seed, a, b in zip(programs, plain, compiled):
                if a != b:
                    different.append(seed)
                    if len(different) <= args.most:
                        report(args, seed, mode, options, a, b)
            if len(different) >= args.most:
                break
        if len(different) >= args.most:
            print("too many differences: stopping")
            break
    print(
        f"{args.kind}: {runs} runs of {args.count} programs compared, {len(different)} differ; compiled {totals['compiled']} of "
        f"{totals['asked']} functions and {totals['regions']} regions; {time.perf_counter() - began:.0f} s"
    )
    for reason, n in totals["refused"].most_common(12):
        print(f"    {n} not compiled: {reason}")
    if not args.plain_only and totals["compiled"] == 0 or (args.kind == "modules" and not args.plain_only and totals["regions"] == 0):
        print("nothing was compiled: the comparison shows nothing")
        return False
    if not args.plain_only and args.forced > 0 and forced_exits == 0:
        print("forcing exits forced none: option force_exit does nothing")
        return False
    return not different


if __name__ == "__main__":
    sys.exit(main())
