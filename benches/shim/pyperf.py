"""A stand-in for `pyperf` that times a benchmark inside its own process.

pyperformance's scripts import `pyperf`, create a `Runner` and hand it functions
to time. `benches/run.py` starts such a script, unmodified, with this module
first on the path; BENCH_… variables say what to do and where to write it.

    BENCH_MODE     "list" to name the benchmarks, "time" to time one, "settle" to
                   time call after call of it for BENCH_WARMUP seconds
    BENCH_NAME     the benchmark to time; the script's others are skipped
    BENCH_RESULT   the JSON file to write
    BENCH_FIRST    how many calls "the first call" takes together
    BENCH_WARMUP   seconds to keep running before values count
    BENCH_VALUES   how many values to take then
    BENCH_CLOCK    "cpu" to count processor time, else time on the wall
    BENCH_LEAST    seconds a value should last at least (repeating inside it)

It has to run on every Python that is compared, so it is written for an old one.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time

# Processor time of all threads, for machines that are busy with other things too.
BY_PROCESSOR = os.environ.get("BENCH_CLOCK") == "cpu"
perf_counter = time.process_time if BY_PROCESSOR else time.perf_counter

# However slow one call is, a process stops taking values after this many seconds.
LONGEST = 30.0


def python_implementation():
    return platform.python_implementation().lower()


class Runner:
    def __init__(self, add_cmdline_args=None, **_sizes):
        self.metadata = {}
        self.argparser = argparse.ArgumentParser()
        self.args = None
        self.mode = os.environ["BENCH_MODE"]

    def parse_args(self, args=None):
        if self.args is None:
            self.args = self.argparser.parse_args(args)
        return self.args

    def bench_func(self, name, func, *args, **options):
        def time_func(loops):
            rounds = range(loops)
            start = perf_counter()
            for _ in rounds:
                func(*args)
            return perf_counter() - start

        self._bench(name, time_func, options)

    def bench_time_func(self, name, time_func, *args, **options):
        self._bench(name, lambda loops: time_func(loops, *args), options)

    def bench_async_func(self, name, func, *args, **options):
        import asyncio

        new_loop = options.get("loop_factory") or asyncio.new_event_loop

        def time_func(loops):
            async def main():
                rounds = range(loops)
                start = perf_counter()
                for _ in rounds:
                    await func(*args)
                return perf_counter() - start

            loop = new_loop()
            asyncio.set_event_loop(loop)
            try:
                return loop.run_until_complete(main())
            finally:
                asyncio.set_event_loop(None)
                loop.close()

        self._bench(name, time_func, options)

    def bench_command(self, name, command):
        def time_func(loops):
            rounds = range(loops)
            start = children_time()
            for _ in rounds:
                subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            return children_time() - start

        self._bench(name, time_func, {})

    def _bench(self, name, time_func, options):
        self.parse_args()
        if self.mode == "list":
            write({"name": name})
        elif name == os.environ["BENCH_NAME"]:
            if self.mode == "settle":
                write({"name": name, "calls": settle(time_func, float(os.environ["BENCH_WARMUP"]))})
                return
            inner_loops = options.get("inner_loops") or 1
            result = measure(time_func)
            for key in ("first", "warm"):
                result[key] /= inner_loops
            result["values"] = [value / inner_loops for value in result["values"]]
            result["name"] = name
            write(result)


def children_time():
    """The clock for commands: what they used, or the time on the wall."""
    if not BY_PROCESSOR:
        return perf_counter()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def settle(time_func, seconds):
    """When each piece of running ended, and how long one call took in it.

    In seconds of a machine that does nothing else: what others do to it meanwhile shows in the time that a piece of C
    code takes between the pieces, and is taken out.
    """
    names = [str(k) for k in range(50000)]
    pieces = []
    for _ in range(10):
        start = perf_counter()
        sum(map(hash, map(len, names)))
        pieces.append(perf_counter() - start)
    usual = before = min(pieces)
    calls, loops, now = [], 1, 0.0
    while now < seconds:
        took = time_func(loops)
        start = perf_counter()
        sum(map(hash, map(len, names)))
        after = perf_counter() - start
        took *= 2 * usual / (before + after)
        before = after
        now += took
        calls.append((now, took / loops, usual))
        # Long enough to time, and never so long that a change cannot be placed.
        loops = max(1, min(loops * 4, int(loops * 0.02 / max(took, 1e-9))))
    return calls


def measure(time_func):
    """Time the first call, then the shortest of several values after warming up."""
    first_calls = int(os.environ["BENCH_FIRST"])
    began = time.perf_counter()
    first = time_func(first_calls)
    warm_for = float(os.environ["BENCH_WARMUP"])
    least = float(os.environ["BENCH_LEAST"])
    wanted = int(os.environ["BENCH_VALUES"])

    loops = first_calls
    took = first
    while time.perf_counter() - began < warm_for or took < least:
        # Code may become faster while it warms up, so the number of loops may grow
        # at each step; it never shrinks.
        if took < least:
            loops = max(loops * 2, min(loops * 16, int(loops * least / max(took, 1e-9))))
        took = time_func(loops)
        if time.perf_counter() - began > LONGEST:
            break

    values = []
    while len(values) < wanted and (not values or time.perf_counter() - began < LONGEST):
        values.append(time_func(loops) / loops)
    return {
        "first": first / first_calls,
        "first_calls": first_calls,
        "warm": min(values),
        "values": values,
        "loops": loops,
        "peak_kib": peak_memory(),
    }


def peak_memory():
    """The most memory this process had resident, in KiB, where Linux tells."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return None


def write(result):
    with open(os.environ["BENCH_RESULT"], "a") as out:
        out.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    sys.exit("this module stands in for pyperf; start benches/run.py instead")
