"""Run programs one after another in this process, each in a fresh namespace, and write what they print.

Started by `run.py`: reads a task as JSON from standard input, writes a line of JSON a program to the file
the task names. Output that is not from programs goes to standard error.
"""

import faulthandler
import gc
import io
import json
import linecache
import os
import re
import sys
import traceback
import types
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


class Counts:
    """What was compiled, for the premise that anything was."""

    def __init__(self):
        self.asked = 0
        self.compiled = 0
        self.refused = {}
        self.exits = 0
        self.regions = 0


def compiler(stoop, counts):
    """The programs' `__hot__`: compile these functions now."""
    if stoop is None:
        return lambda *functions: None

    def hot(*functions):
        for f in functions:
            if not isinstance(f, types.FunctionType):
                continue  # A class without its own method, or a cache around a function.
            counts.asked += 1
            try:
                answer = stoop.compile(f)
            except stoop.CompileError as e:
                answer = str(e)
            if answer is None or answer is True:
                counts.compiled += 1
            else:
                counts.refused[str(answer)] = counts.refused.get(str(answer), 0) + 1

    return hot


def run(text, name, hot):
    """One program's output."""
    output = io.StringIO()
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
    namespace = {"__name__": "program", "__hot__": hot}
    before = sys.stdout
    sys.stdout = output
    try:
        exec(compile(text, name, "exec", dont_inherit=True), namespace)
    except BaseException as e:
        trace = e.__traceback__.tb_next  # Without this function's own frame.
        print("".join(traceback.format_exception(type(e), e, trace)))
        del e, trace
    finally:
        namespace.clear()
        gc.collect()
        sys.stdout = before
        linecache.cache.pop(name, None)
    return re.sub(r" at 0x[0-9a-f]+", " at 0x", output.getvalue())  # Addresses differ from process to process.


def main():
    task = json.load(sys.stdin)
    faulthandler.enable()
    warnings.simplefilter("ignore")
    gc.disable()
    limit_memory()
    stoop = None
    if task["options"] is not None:
        import stoop

        stoop.enable(**task["options"])
    import generate

    counts = Counts()
    hot = compiler(stoop, counts)
    with open(task["out"], "w", encoding="utf-8") as out:
        for item in task["programs"]:
            text = item if isinstance(item, str) else generate.generate(item, task["kind"])
            name = "program.py" if isinstance(item, str) else f"program-{item}.py"
            out.write(json.dumps(["start", item if isinstance(item, int) else -1]) + "\n")
            out.flush()
            faulthandler.dump_traceback_later(task["timeout"], exit=True)
            printed = run(text, name, hot)
            faulthandler.cancel_dump_traceback_later()
            out.write(json.dumps(["output", printed]) + "\n")
            out.flush()
        if stoop is not None:
            counts.regions = stoop.stats().counters.get("regions_compiled", 0)
            counts.exits = sum(n for name, n in stoop.stats().counters.items() if name.startswith("exit_"))
        out.write(json.dumps(["end", vars(counts)]) + "\n")


def limit_memory():
    """A generated program that eats memory must hurt itself only."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))


if __name__ == "__main__":
    main()
