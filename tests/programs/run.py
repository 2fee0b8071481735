"""Run real programs plainly and under Stoop, and compare what they print, write and find.

    python tests/programs/run.py [--quick] [--mode default] [NAME ...]

Each program runs plainly, with `threshold=1` (everything is compiled at once) and with the defaults. Of test suites
the outcome of every test is compared, of other programs what they print and the files they write. Processor times
stand side by side; they are not judged.
"""

import argparse
import glob
import hashlib
import os
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree

import table

HERE = os.path.dirname(os.path.abspath(__file__))
MODES = {"plain": None, "threshold 1": {"STOOP_THRESHOLD": "1"}, "default": {}}


def sources(args, row):
    """The folder of the row's unpacked source distribution."""
    if not row.sdist:
        return ""
    wanted = re.split("[=<>]", row.packages[0])[0].replace("-", "_")
    pattern = re.compile(re.escape(wanted).replace("_", "[-_.]") + r"-\d.*\.tar\.gz$", re.IGNORECASE)
    os.makedirs(args.sources, exist_ok=True)
    found = [f for f in os.listdir(args.sources) if pattern.match(f)]
    if not found:
        subprocess.run([args.python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:", "--dest", args.sources, row.packages[0]], check=True)
        found = [f for f in os.listdir(args.sources) if pattern.match(f)]
    folder = os.path.join(args.sources, found[0].removesuffix(".tar.gz"))
    if not os.path.isdir(folder):
        with tarfile.open(os.path.join(args.sources, found[0])) as archive:
            archive.extractall(args.sources, filter="data")
    return folder


def install(args, rows):
    """The packages of all rows; those with a compiled form as pure Python."""
    packages = dict.fromkeys(["pytest", *(p for row in rows for p in row.packages)])
    command = [args.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-binary", "mypy,black", *packages]
    subprocess.run(command, check=True)


def outcomes(path):
    """Test id → outcome, from pytest's report."""
    found = {}
    for case in ElementTree.parse(path).iter("testcase"):
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        name = f"{case.get('classname')}::{case.get('name')}"
        while name in found:
            name += "+"
        found[name] = kinds[0] if kinds else "passed"
    return found


def digests(folder):
    """File → digest of what is in it."""
    files = sorted(f for f in glob.glob(os.path.join(folder, "**"), recursive=True) if os.path.isfile(f))
    return {f"file {os.path.relpath(f, folder)}": hashlib.sha256(open(f, "rb").read()).hexdigest()[:16] for f in files}


def same_names(text, scratch):
    """Output without what differs from run to run: folders, addresses, times."""
    text = text.replace(scratch, "SCRATCH")
    text = re.sub(r"0x[0-9a-f]{6,}", "0x", text)
    return re.sub(r"\d+\.\d+ ?s(econds)?\b", "TIME", text)


def execute(args, row, source, mode):
    """One run: what it found, and processor time."""
    with tempfile.TemporaryDirectory() as scratch:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("STOOP", "PYTEST"))}
        env.update(PYTHONHASHSEED="0", PYTHONPATH=HERE, PYTHONDONTWRITEBYTECODE="1", COLUMNS="100", TMPDIR=scratch, HOME=scratch)
        if MODES[mode] is not None:
            env.update(STOOP="1", **MODES[mode])
        site = subprocess.check_output([args.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True).strip()
        out = os.path.join(scratch, "out")
        os.mkdir(out)
        fill = lambda words: [w.format(src=source, out=out, site=site, here=HERE) for w in words]
        report = os.path.join(scratch, "report.xml")
        if row.tests:
            command = ["-m", "pytest", "-q", "-x" if args.first else "-q", "-p", "no:cacheprovider", "-p", "quiet", f"--junitxml={report}", f"--basetemp={scratch}/tmp", *fill(row.tests)]
        else:
            command = fill(row.command)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        try:
            run = subprocess.run(
                [args.python, *command], env=env, cwd=source or scratch, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="backslashreplace", timeout=args.timeout,
            )
        except subprocess.TimeoutExpired:
            return {"end": f"none after {args.timeout} s"}, 0.0, ""
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found = {"exit status": str(run.returncode)}
        if row.tests:
            found.update(outcomes(report) if os.path.exists(report) else {"report": "none"})
        else:
            found.update(digests(out))
            lines = same_names(run.stdout + run.stderr, scratch).splitlines()
            found.update({f"line {n}": line for n, line in enumerate(lines, 1)})
        return found, seconds, (run.stdout + run.stderr)[-6000:]


def compare(args, row):
    """Run a program in all modes; True if it gives the same."""
    source = sources(args, row)
    plain, seconds, tail = execute(args, row, source, "plain")
    if (plain["exit status"] not in ("0", "1") if row.tests else plain["exit status"] != "0") or len(plain) < 2:
        print(f"{row.name}: the plain run itself fails: {plain.get('exit status')}\n{tail}")
        return False
    failed = sum(v in ("failure", "error") for v in plain.values())
    texts, good, tails = [f"plain {seconds:.1f} s"], True, []
    for mode in args.mode:
        found, cpu, tail = execute(args, row, source, mode)
        different = {k: (plain.get(k), found.get(k)) for k in plain | found if plain.get(k) != found.get(k) and k not in row.unsteady}
        if different:
            again, _, _ = execute(args, row, source, mode)
            plain_again, _, _ = execute(args, row, source, "plain")
            different = {k: (plain_again.get(k), again.get(k)) for k in different if plain_again.get(k) != again.get(k)}
        texts.append(f"{mode} {cpu:.1f} s ({seconds / cpu if cpu else 0:.2f})")
        if different:
            good = False
            tails.append(f"    {mode}: {len(different)} differ")
            tails += [f"        {k}: {a} → {b}" for k, (a, b) in list(different.items())[:10]]
            tails.append("        " + tail[-args.tail:].replace("\n", "\n        "))
    what = f"{len(plain) - 1} {'tests' if row.tests else 'lines and files'}" + (f", {failed} of them fail plainly" if failed else "")
    print(f"{row.name}: {'same' if good else 'DIFFERENT'}; {what}; " + ", ".join(texts))
    for t in tails:
        print(t)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="programs (default: the whole table)")
    parser.add_argument("--quick", action="store_true", help="only the rows marked quick")
    parser.add_argument("--mode", action="append", default=[], choices=[m for m in MODES if m != "plain"], help="how to run under Stoop (default: each way)")
    parser.add_argument("--python", default=sys.executable, help="the interpreter, with Stoop installed")
    parser.add_argument("--sources", default=os.path.join(sys.prefix, "programs"), help="where source distributions are unpacked")
    parser.add_argument("--no-install", action="store_true", help="the packages are there")
    parser.add_argument("--first", action="store_true", help="stop a suite at its first failure")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds for one run")
    parser.add_argument("--tail", type=int, default=2000, help="characters of a differing run's output to show")
    args = parser.parse_args()
    args.mode = args.mode or ["threshold 1", "default"]
    rows = [r for r in table.ROWS if (r.name in args.names if args.names else r.quick or not args.quick)]
    if unknown := set(args.names) - {r.name for r in rows}:
        parser.error(f"no program is called {', '.join(sorted(unknown))}")
    if not args.no_install:
        install(args, rows)
    bad = []
    for row in rows:
        if not compare(args, row):
            bad.append(row.name)
        sys.stdout.flush()
    print(f"{len(rows) - len(bad)} of {len(rows)} programs give the same" + (f"; not: {', '.join(bad)}" if bad else ""))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
