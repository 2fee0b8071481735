"""What test programs import: compile a function, and report at the end what became of it.

The same program runs plainly and under Stoop; plainly, all of this does nothing. `harness.both` starts both runs.
"""

import atexit
import contextlib
import json
import os
import sys
import time

STOOP = None
ANSWERS = {}
ENTRIES = {}
KEPT = []
SNAPSHOT = []


def hot(function, *args, calls=3, raising=(), **keywords):
    """Call a function until the interpreter has specialised it, compile it, and call it once more; returns it.

    What it may raise each time is named by `raising`.
    """
    for _ in range(calls):
        with contextlib.suppress(raising):
            function(*args, **keywords)
    compiled(function)
    if calls > 0:
        with contextlib.suppress(raising):
            function(*args, **keywords)
        if STOOP is not None:
            ENTRIES[getattr(function, "__func__", function).__qualname__] = STOOP.info(function).entries
    return function


def compiled(function):
    """Compile a function now; returns it."""
    KEPT.append(function)  # In both runs: reference counts are compared.
    if STOOP is not None:
        plain = getattr(function, "__func__", function)
        ANSWERS[plain.__qualname__] = STOOP.compile(function)
    return function


def warm(function, *args, seconds=2):
    """Call a function until the engine has compiled a part of it by itself, with examples of what it works on.

    Where the engine sees no gain in it, it is compiled without.
    """
    for _ in range(3):
        function(*args)
    if STOOP is not None:
        end = time.process_time() + seconds
        while not STOOP.info(function).regions and time.process_time() < end:
            function(*args)
        if not STOOP.info(function).regions:
            STOOP.compile(function)
        for _ in range(3):
            function(*args)
    snapshot()


def under_stoop():
    """Whether this is the run under Stoop. Programs must not print it."""
    return STOOP is not None


def snapshot():
    """Take down what is known now: the records of a module's or class's body go when it ends."""
    if STOOP is not None:
        SNAPSHOT.extend(row for row in _functions() if row not in SNAPSHOT)


def _functions():
    rows = []
    for f in STOOP.stats().functions:
        regions = [
            {
                "kind": r.kind,
                "assumptions": list(r.assumptions),
                "line": r.first_line,
                "state": r.state,
                "reason": r.reason,
                "entries": r.entries,
                "exits": [[x.reason, x.line, x.count] for x in r.exits],
            }
            for r in f.regions
        ]
        row = {"name": f.name, "filename": f.filename, "line": f.line, "state": f.state, "reason": f.reason}
        rows.append({**row, "regions": regions})
    return rows


def _record():
    functions = _functions()
    functions += [row for row in SNAPSHOT if row not in functions]
    with open(os.environ["PROBE_OUT"], "w", encoding="utf-8") as out:
        json.dump({"answers": ANSWERS, "entries": ENTRIES, "functions": functions}, out)


def _start():
    global STOOP
    if "PROBE_OUT" not in os.environ:
        return
    import stoop

    STOOP = stoop
    if not stoop.is_enabled():
        stoop.enable(**json.loads(os.environ["PROBE_OPTIONS"]))
    process = os.getpid()
    atexit.register(lambda: _record() if os.getpid() == process else None)


_start()
sys.modules.setdefault("probe", sys.modules[__name__])
