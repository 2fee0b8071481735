"""Which of pyperformance's scripts there are, which are left out and why, which speed is wanted."""

import importlib.util
import tomllib
from dataclasses import dataclass
from pathlib import Path

# The scripts run by default: no third-party package but the pinned few.
CORE = """
    nbody spectral_norm fannkuch scimark float chaos barnes_hut
    richards richards_super deltablue raytrace hexiom nqueens go pyflate crypto_pyaes
    meteor_contest generators async_generators coroutines comprehensions unpack_sequence
    pickle_pure_python unpickle_pure_python json_dumps json_loads logging
    deepcopy regex_compile regex_v8 pidigits telco mdp pprint bpe_tokeniser
    typing_runtime_protocols async_tree tomli_loads sqlite_synth xml_etree pathlib
    gc_traversal python_startup
""".split()

# Left out, whatever is asked for. One row, one reason.
EXCLUDED = {
    "2to3": "times a separate process that needs lib2to3, which Python 3.13 no longer has",
    "asyncio_tcp": "talks to a server over a socket",
    "asyncio_tcp_ssl": "talks to a server over a socket",
    "asyncio_websockets": "talks to a server over a socket",
    "concurrent_imap": "times the start of worker processes",
    "dask": "starts a scheduler and workers that talk over sockets",
    "fastapi": "talks to a server over a socket",
    "hg_startup": "switched off in pyperformance itself; needs Mercurial",
    "tornado_http": "talks to a server over a socket",
}

# The warm ratio over CPython that Stoop is meant to reach at least, by benchmark.
WANTED = {
    "nbody": 5,
    "spectral_norm": 6,
    "fannkuch": 4,
    "scimark_sor": 8,
    "scimark_lu": 8,
    "scimark_fft": 6,
    "scimark_sparse_mat_mult": 6,
    "scimark_monte_carlo": 2,
    "float": 2,
    "chaos": 2,
    "barnes_hut": 2,
}
WANTED_OTHERWISE = 0.97
WANTED_FIRST_CALL = 0.9


@dataclass(frozen=True)
class Script:
    """One row of pyperformance's manifest: a script with its command-line options."""

    name: str
    path: Path
    options: tuple[str, ...]


def folder():
    """The folder of pyperformance's benchmarks, or None when it is not installed."""
    spec = importlib.util.find_spec("pyperformance")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "data-files" / "benchmarks"


def read_manifest(where):
    """All scripts that pyperformance lists, by name, and those of `CORE` that it brings unlisted."""
    scripts = {}
    for line in (where / "MANIFEST").read_text().splitlines():
        fields = line.split()
        if line.startswith("#") or len(fields) != 2 or not fields[1].startswith("<local"):
            continue
        name, place = fields
        if place == "<local>":
            home, settings = where / f"bm_{name}", "pyproject.toml"
        else:
            home, settings = where / f"bm_{place[7:-1]}", f"bm_{name}.toml"
        table = tomllib.loads((home / settings).read_text()).get("tool", {})
        options = table.get("pyperformance", {}).get("extra_opts", [])
        scripts[name] = Script(name, home / "run_benchmark.py", tuple(options))
    # Scripts that are there and that the list forgets.
    for home in sorted(where.glob("bm_*")):
        name = home.name.removeprefix("bm_")
        if name in CORE and name not in scripts and (home / "run_benchmark.py").exists():
            scripts[name] = Script(name, home / "run_benchmark.py", ())
    return scripts


def wanted(benchmark):
    """The warm ratio that `benchmark` is meant to reach."""
    return WANTED.get(benchmark, WANTED_OTHERWISE)
