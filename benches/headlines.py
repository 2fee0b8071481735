"""The two headline figures: instructions for one integer addition, and the cost of a start."""

import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import common

PROGRAM = Path(__file__).with_name("instructions.py")
ADDITIONS = 20
ITERATIONS = 2_000
STARTS = 20

PEAK = "import sys; print([l.split()[1] for l in open('/proc/self/status') if l[:6] == 'VmHWM:'][0])"


class Unmeasured(Exception):
    """A figure that could not be taken, and why."""


def count_instructions(command, extra, additions, iterations):
    """How many instructions callgrind sees the counted program execute, and what that says."""
    done = subprocess.run(
        [
            "valgrind",
            "--tool=callgrind",
            f"--callgrind-out-file={os.devnull}",
            *command,
            str(PROGRAM),
            str(additions),
            str(iterations),
        ],
        env=common.environment(extra),
        capture_output=True,
        text=True,
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise Unmeasured(f"the program failed under valgrind: {last}")
    return int(found.group(1)), done.stdout.strip()


def instructions_per_addition(command, extra):
    """Instructions retired for one more integer addition in a hot loop, and a remark.

    Four runs, a difference of differences: what is the same for k and 2k
    additions (the loop itself) falls out, and so does all that does not grow
    with the number of iterations (start, compiling).
    """
    if shutil.which("valgrind") is None:
        raise Unmeasured("valgrind is not installed")
    slopes = []
    for additions in (ADDITIONS, 2 * ADDITIONS):
        few, _ = count_instructions(command, extra, additions, ITERATIONS)
        many, remark = count_instructions(command, extra, additions, 11 * ITERATIONS)
        slopes.append((many - few) / (10 * ITERATIONS))
    return (slopes[1] - slopes[0]) / ADDITIONS, remark


def one_start(command, extra, code):
    """Start `command -c code` once: seconds, and what it printed."""
    begin = time.perf_counter()
    done = subprocess.run(
        [*command, "-c", code],
        env=common.environment(extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    took = time.perf_counter() - begin
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise Unmeasured(f"the process failed: {last}")
    return took, done.stdout


def starts(peers, rounds=STARTS):
    """Time `-c pass` under each peer in turn; seconds and peak memory in MB of each.

    Memory is asked from the process itself (the kernel's high-water mark of its
    own memory): what `wait4` reports starts at the size of the parent.
    """
    times = {name: [] for name in peers}
    peaks = {}
    for number in range(rounds):
        order = list(peers) if number % 2 == 0 else list(peers)[::-1]
        for name in order:
            command, extra = peers[name]
            times[name].append(one_start(command, extra, "pass")[0])
    for name, (command, extra) in peers.items():
        try:
            peaks[name] = min(int(one_start(command, extra, PEAK)[1]) for _ in range(3)) / 1024
        except (Unmeasured, ValueError):
            peaks[name] = None
    return {
        name: {
            "shortest": min(times[name]),
            "median": statistics.median(times[name]),
            "peak_mb": peaks[name],
        }
        for name in peers
    }


def report(peers):
    """Measure both figures, print them, and return them for the JSON file."""
    result = {"additions": {}, "start": {}}
    print("\nMachine instructions for one hot integer addition in a loop (callgrind):")
    for name, (command, extra) in peers.items():
        # valgrind has to start the interpreter itself, not a script that starts it.
        if name == "Stoop":
            command, extra = [sys.executable], {**extra, "STOOP": "1"}
        try:
            figure, remark = instructions_per_addition(command, extra)
        except Unmeasured as why:
            result["additions"][name] = None
            print(f"  {name:8} skipped: {why}")
        else:
            result["additions"][name] = figure
            print(f"  {name:8} {figure:6.1f}  {remark}".rstrip())

    print(f"\nProcess start, `-c pass` (shortest and median of {STARTS}, peak memory):")
    try:
        result["start"] = starts(peers)
    except Unmeasured as why:
        print(f"  skipped: {why}")
        return result
    base = result["start"]["CPython"]
    for name, row in result["start"].items():
        line = f"  {name:8} {row['shortest'] * 1e3:7.2f} ms  {row['median'] * 1e3:7.2f} ms"
        if row["peak_mb"] is not None:
            line += f"  {row['peak_mb']:6.1f} MB"
        if name != "CPython":
            line += f"   over CPython: {(row['shortest'] - base['shortest']) * 1e3:+.2f} ms"
            if row["peak_mb"] is not None and base["peak_mb"] is not None:
                line += f", {row['peak_mb'] - base['peak_mb']:+.1f} MB"
        print(line)
    return result
