"""stoop.bson against PyMongoArrow and PyMongo, as ratios within one run.

Usage: python benches/bson_run.py [--only TEXT] [--documents N] [--rounds N] [--quick] [--clock cpu]

The peers take turns on the same bytes in memory, and the shortest time of each
counts. One core, except where two are asked for. Printed are times as fast as
each peer; results go to `benches/out/bson.json`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import common

# PyMongoArrow's wheel is built against another minor version of pyarrow, and says so class by class.
warnings.filterwarnings("ignore", message=".*size changed, may indicate binary incompatibility")

import bson  # noqa: E402
import bson_data  # noqa: E402
import numpy as np  # noqa: E402
import pymongoarrow  # noqa: E402
from bson.codec_options import DEFAULT_CODEC_OPTIONS  # noqa: E402
from pymongoarrow.context import PyMongoArrowContext  # noqa: E402
from pymongoarrow.schema import Schema  # noqa: E402

import stoop.bson as sb  # noqa: E402

HERE = Path(__file__).resolve().parent
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

# Aims of the figures that are not in bson_data.
WANTED_CORES = 1.7
WANTED_RATE = 1e9
WANTED_SMALL = 2.0
WANTED_CALL = 10e-6
WANTED_MEMORY = 16 << 20

SMALL = (1, 10, 100)


def pymongoarrow_way(schema, raw):
    """What PyMongoArrow's own find_arrow_all does with a batch."""
    context = PyMongoArrowContext(schema, DEFAULT_CODEC_OPTIONS)
    context.process_bson_stream(raw)
    return context.finish()


def dictionary_way(case):
    """bson.decode_all, and an array of the dictionaries' values."""
    paths = [(name, inner) for name, inner in _leaves(case.dtype)]
    dtype = [(".".join(path), inner) for path, inner in paths]
    missing = bool(case.options)

    def take(document, path):
        for part in path:
            document = document.get(part) if missing else document[part]
        if isinstance(document, bson.ObjectId):
            return document.binary
        return 0 if document is None else document

    def run():
        return np.array([tuple([take(d, path) for path, _ in paths]) for d in bson.decode_all(case.raw)], dtype)

    return run


def _leaves(dtype, above=()):
    for name in dtype.names:
        inner = dtype[name]
        if inner.names:
            yield from _leaves(inner, (*above, name))
        else:
            yield (*above, name), inner


def shortest(ways, rounds, clock):
    """The shortest time of each of several functions, which take turns."""
    times = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else list(ways)[::-1]:
            start = clock()
            ways[name]()
            times[name].append(clock() - start)
    return {name: min(values) for name, values in times.items()}


def run_case(case, rounds, clock):
    schema = Schema(case.schema)
    ways = {
        "stoop": lambda: sb.to_ndarray(case.raw, case.dtype, threads=1, **case.options),
        "PyMongoArrow": lambda: pymongoarrow_way(schema, case.raw),
        "dictionaries": dictionary_way(case),
    }
    check(case, ways)
    slow = ways.pop("dictionaries")
    times = shortest(ways, rounds, clock)
    # Ten times as slow or more: fewer rounds do.
    times.update(shortest({"dictionaries": slow}, max(1, rounds // 3), clock))
    return {
        "name": case.name,
        "documents": case.documents,
        "bytes": len(case.raw),
        "seconds": times,
        "rate": len(case.raw) / times["stoop"],
        "over_pymongoarrow": times["PyMongoArrow"] / times["stoop"],
        "over_dictionaries": times["dictionaries"] / times["stoop"],
        "wanted": case.wanted,
        "wanted_dictionaries": case.wanted_dicts,
    }


def check(case, ways):
    """The peers read the same: a fast wrong answer has no speed."""
    ours, theirs, plain = ways["stoop"](), ways["PyMongoArrow"](), ways["dictionaries"]()
    column = ours
    for name in case.path:
        column = column[name]
    arrow = theirs[case.path[0]].combine_chunks()
    for name in case.path[1:]:
        arrow = arrow.field(name)
    left = np.ma.filled(column, 0.0) if isinstance(column, np.ma.MaskedArray) else column
    assert np.array_equal(left, np.asarray(arrow.fill_null(0.0))), case.name
    assert np.array_equal(left, plain[".".join(case.path)]), case.name


def run_cores(case, rounds):
    """One core against two, on the wall clock."""
    ways = {
        str(threads): lambda threads=threads: sb.to_ndarray(case.raw, case.dtype, threads=threads) for threads in (1, 2)
    }
    times = shortest(ways, 2 * rounds, time.perf_counter)
    copies = shortest({str(threads): copying(case.raw, threads) for threads in (1, 2)}, 2 * rounds, time.perf_counter)
    return {
        "seconds": times,
        "ratio": times["1"] / times["2"],
        "copying": copies,
        "ratio_of_copying": copies["1"] / copies["2"],
        "bytes": len(case.raw),
        "wanted": WANTED_CORES,
        "cores": os.cpu_count(),
    }


def copying(raw, threads):
    """Copies the documents into fresh memory: what this machine's memory allows, whatever the decoder does."""
    source = np.frombuffer(raw, np.uint8)
    cuts = [len(source) * n // threads for n in range(threads + 1)]

    def run():
        target = np.empty_like(source)
        parts = [(target[a:b], source[a:b]) for a, b in zip(cuts, cuts[1:])]
        others = [threading.Thread(target=np.copyto, args=part) for part in parts[1:]]
        for other in others:
            other.start()
        np.copyto(*parts[0])
        for other in others:
            other.join()

    return run


def run_small(case, rounds, clock):
    """One to a hundred documents a call."""
    schema = Schema(case.schema)
    ends = [0]
    while len(ends) <= max(SMALL):
        ends.append(ends[-1] + int.from_bytes(case.raw[ends[-1] : ends[-1] + 4], "little"))
    rows = []
    for number in SMALL:
        raw = case.raw[: ends[number]]
        calls = 2000 // number + 100

        def many(way, calls=calls):
            def run():
                for _ in range(calls):
                    way()

            return run

        ways = {
            "stoop": many(lambda raw=raw: sb.to_ndarray(raw, case.dtype)),
            "PyMongoArrow": many(lambda raw=raw: pymongoarrow_way(schema, raw)),
        }
        times = {name: value / calls for name, value in shortest(ways, rounds, clock).items()}
        rows.append({"documents": number, "seconds": times, "ratio": times["PyMongoArrow"] / times["stoop"]})
    return rows


PEAK = """
import numpy as np
import stoop.bson as sb
def peak():
    # Not getrusage: its peak begins with that of the process that started this one.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
dtype = np.dtype({dtype!r})
sb.to_ndarray(b"", dtype)
sb.to_ndarray({first!r}, dtype)
before = peak()
{work}
print(peak() - before, size)
"""


def run_memory(case):
    """Peak memory beyond that of the imports, against input and output."""
    path = HERE / "out" / "memory.bson"
    path.write_bytes(case.raw)
    first = case.raw[: int.from_bytes(case.raw[:4], "little")]
    works = {
        "bytes in memory": f"raw = open({str(path)!r}, 'rb').read(); size = len(raw)\n"
        "a = sb.to_ndarray(raw, dtype); size += a.nbytes",
        "file by path": f"a = sb.to_ndarray({str(path)!r}, dtype); size = a.nbytes + {len(case.raw)}",
        "file object": f"a = sb.to_ndarray(open({str(path)!r}, 'rb'), dtype); size = a.nbytes",
        "iter_ndarrays": f"size = 0\nfor a in sb.iter_ndarrays(open({str(path)!r}, 'rb'), dtype, rows=10000):\n"
        "    size = max(size, a.nbytes)",
    }
    rows = []
    for name, work in works.items():
        program = PEAK.format(dtype=case.dtype.descr, first=first, work=work)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        peak, size = (int(part) for part in done.stdout.split())
        rows.append({"way": name, "peak": peak, "accounted": size, "over": peak - size})
    path.unlink()
    return rows


def run_sum(case, rounds, clock):
    """BSON-NumPy's other headline: the sum of one field, by what holds the documents."""
    documents = bson.decode_all(case.raw)
    lists = [[d["x"], d["y"], d["k"]] for d in documents]
    array = sb.to_ndarray(case.raw, case.dtype)
    ways = {
        "dictionaries": lambda: sum(d["x"] for d in documents),
        "lists": lambda: sum(row[0] for row in lists),
        "array": lambda: array["x"].sum(),
    }
    return shortest(ways, rounds, clock)


def megabytes(number):
    return f"{number / 1e6:,.1f} MB"


def show(results):
    """The tables of one run."""
    header = ["documents", "number", "size", "Stoop", "GB/s a core", "PyMongoArrow", "wanted", "dictionaries", "wanted"]
    rows = []
    for row in results["cases"]:
        rows.append(
            [
                row["name"],
                f"{row['documents']:,}",
                megabytes(row["bytes"]),
                common.seconds(row["seconds"]["stoop"]),
                f"{row['rate'] / 1e9:.2f}",
                f"x {row['over_pymongoarrow']:.1f}",
                f"x {row['wanted']:g}",
                f"x {row['over_dictionaries']:.1f}",
                f"x {row['wanted_dictionaries']:g}" if row["wanted_dictionaries"] else "",
            ]
        )
    if rows:
        print(common.table(header, rows))
    if results["cores"]:
        cores = results["cores"]
        print(f"\ntwo cores over one: {cores['ratio']:.2f}, wanted {WANTED_CORES:g}")
        rates = [cores["bytes"] / cores["copying"][threads] / 1e9 for threads in ("1", "2")]
        print(f"(copying as many bytes: {rates[0]:.1f} and {rates[1]:.1f} GB/s, {cores['ratio_of_copying']:.2f})")
    if results["small"]:
        print("\n" + common.table(*_small(results["small"])))
    if results["memory"]:
        body = [
            [row["way"], megabytes(row["peak"]), megabytes(row["accounted"]), megabytes(row["over"])]
            for row in results["memory"]
        ]
        header = ["peak memory", "peak", "input and output", "beyond (wanted 16.8 MB)"]
        print("\n" + common.table(header, body))
    if results["sum"]:
        print("\nsumming one field: " + ", ".join(f"{k} {common.seconds(v)}" for k, v in results["sum"].items()))
    for sentence in results["behind"]:
        print(f"behind: {sentence}")


def _small(rows):
    body = [
        [
            str(r["documents"]),
            *[common.seconds(r["seconds"][n]) for n in ("stoop", "PyMongoArrow")],
            f"x {r['ratio']:.1f}",
        ]
        for r in rows
    ]
    return ["documents a call", "Stoop", "PyMongoArrow", "ratio (wanted 2)"], body


def behind(results):
    """Where the aims are not reached."""
    found = []
    for row in results["cases"]:
        for peer, wanted in (("pymongoarrow", row["wanted"]), ("dictionaries", row["wanted_dictionaries"])):
            if wanted and row[f"over_{peer}"] < wanted:
                found.append(f"{row['name']}: x {row[f'over_{peer}']:.1f} over {peer}, wanted {wanted:g}")
    if results["cases"] and results["cases"][0]["rate"] < WANTED_RATE:
        found.append(f"{results['cases'][0]['rate'] / 1e9:.2f} GB/s a core, wanted 1")
    if results["cores"] and results["cores"]["ratio"] < WANTED_CORES:
        cores = results["cores"]
        copies = f"copying has {cores['ratio_of_copying']:.2f}"
        found.append(f"two cores over one: {cores['ratio']:.2f}, wanted {WANTED_CORES:g}; {copies}")
    for row in results["small"] or ():
        if row["ratio"] < WANTED_SMALL or (row["documents"] == 1 and row["seconds"]["stoop"] > WANTED_CALL):
            took = common.seconds(row["seconds"]["stoop"])
            found.append(f"{row['documents']} documents a call: x {row['ratio']:.1f}, {took}")
    for row in results["memory"] or ():
        if row["over"] > WANTED_MEMORY:
            found.append(f"{row['way']}: {megabytes(row['over'])} beyond input and output, wanted 16.8 MB")
    return found


def main():
    parser = argparse.ArgumentParser(description="stoop.bson against PyMongoArrow and PyMongo.")
    parser.add_argument("--only", help="run only the shapes whose name contains this")
    parser.add_argument("--documents", type=int, default=1_000_000, help="small documents a shape (1,000,000)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each peer (7)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the documents, three rounds")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="cpu: processor time, on a busy machine")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="where results are written")
    options = parser.parse_args()
    count, rounds = (options.documents // 10, 3) if options.quick else (options.documents, options.rounds)
    clock = CLOCKS[options.clock]
    options.out.mkdir(parents=True, exist_ok=True)
    (HERE / "out").mkdir(exist_ok=True)

    results = {
        "python": platform.python_version(),
        "pymongoarrow": pymongoarrow.__version__,
        "clock": options.clock,
        "rounds": rounds,
        "cases": [],
        "cores": None,
        "small": None,
        "memory": None,
        "sum": None,
    }
    print(f"CPython {results['python']}, PyMongoArrow {results['pymongoarrow']}; one core, {options.clock} time\n")
    for number, case in enumerate(bson_data.cases(count)):
        if options.only and options.only not in case.name:
            continue
        results["cases"].append(run_case(case, rounds, clock))
        if number == 0 and not options.only:
            results["cores"] = run_cores(case, rounds)
            results["small"] = run_small(case, rounds, clock)
            results["memory"] = run_memory(case)
            results["sum"] = run_sum(case, rounds, clock)
    if not results["cases"]:
        parser.error(f"no shape's name contains {options.only!r}")
    results["behind"] = behind(results)
    show(results)
    (options.out / "bson.json").write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nwritten: {options.out / 'bson.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
