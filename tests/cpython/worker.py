"""Run one of CPython's test files and write each test's outcome as a line of JSON.

Started by `run.py` in a process of its own: `worker.py FILE OUT plain|stoop warm|cold OPTIONS [TEST ...]`.
A line `["start", id]` before each test lets the parent name the test that crashed the process.

`warm` runs the tests twice and records the second time. Under Stoop every function that the first time entered
is compiled in between, with the interpreter's feedback: nearly all the tests' code, and the library's, is then
machine code.
"""

import faulthandler
import gc
import json
import os
import sys
import tempfile
import time
import types
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


class Recorder(unittest.TestResult):
    """Writes outcomes as they come, so that a crash loses nothing."""

    def __init__(self, out):
        super().__init__()
        self.out = out
        self.began = {}

    def put(self, test, outcome, detail=""):
        self.out.write(json.dumps([outcome, str(test.id()), detail]) + "\n")

    def startTest(self, test):
        super().startTest(test)
        self.began[test.id()] = time.perf_counter()
        self.put(test, "start")
        self.out.flush()

    def stopTest(self, test):
        super().stopTest(test)
        if test.id() in self.began:  # A test of a skipped class stops without starting.
            self.put(test, "time", f"{time.perf_counter() - self.began.pop(test.id()):.3f}")

    def trouble(self, test, outcome, err):
        self.put(test, outcome, self._exc_info_to_string(err, test)[-4000:])

    def addSuccess(self, test):
        self.put(test, "ok")

    def addError(self, test, err):
        self.trouble(test, "error", err)

    def addFailure(self, test, err):
        self.trouble(test, "fail", err)

    def addSkip(self, test, reason):
        self.put(test, "skip", reason)

    def addExpectedFailure(self, test, err):
        self.put(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        self.put(test, "unexpected success")

    def addSubTest(self, test, subtest, err):
        if err is not None:
            kind = "fail" if issubclass(err[0], test.failureException) else "error"
            self.trouble(subtest, kind, err)


def tests_of(suite):
    """The test cases of a suite, flattened, in order."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_of(item)
        else:
            yield item


def without_exclusions(suite, file):
    """The same suite, without excluded tests. Suites keep their nesting: class fixtures depend on it."""
    import table

    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    kept = []
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            kept.append(without_exclusions(item, file))
        elif table.excluded(file, item.id(), version) is None:
            kept.append(item)
    return type(suite)(kept)


def only(suite, wanted):
    """The tests of a suite whose id ends with one of `wanted`."""
    kept = [only(x, wanted) if isinstance(x, unittest.TestSuite) else x for x in suite]
    return type(suite)(
        x for x in kept if isinstance(x, unittest.TestSuite) or any(x.id().endswith(w) for w in wanted)
    )


class Entered:
    """The code objects that run while this is on."""

    TOOL = 3

    def __init__(self):
        self.codes = set()

    def __enter__(self):
        monitoring = sys.monitoring
        monitoring.use_tool_id(self.TOOL, "entered")
        monitoring.register_callback(self.TOOL, monitoring.events.PY_START, self.start)
        monitoring.set_events(self.TOOL, monitoring.events.PY_START)
        return self

    def start(self, code, offset):
        self.codes.add(code)
        return sys.monitoring.DISABLE

    def __exit__(self, *exception):
        sys.monitoring.set_events(self.TOOL, 0)
        sys.monitoring.register_callback(self.TOOL, sys.monitoring.events.PY_START, None)
        sys.monitoring.free_tool_id(self.TOOL)


def compile_all(stoop, codes):
    """Compile every function of these code objects; how many were compiled, and how many were not."""
    compiled = refused = 0
    for f in gc.get_objects():
        if type(f) is types.FunctionType and f.__code__ in codes:
            codes.discard(f.__code__)
            if stoop.compile(f) is None:
                compiled += 1
            else:
                refused += 1
    return compiled, refused


def warm_up(suite, stoop):
    """Run the tests for nothing, then compile what they ran."""
    with Entered() as entered:
        suite.run(unittest.TestResult())
    if stoop is None:
        return None
    return compile_all(stoop, entered.codes)


def load(file, wanted):
    """A fresh suite of a file's tests."""
    suite = without_exclusions(unittest.defaultTestLoader.loadTestsFromName(f"test.{file}"), file)
    return only(suite, wanted) if wanted else suite


def main():
    file, out_path, mode, how, options = sys.argv[1:6]
    wanted = sys.argv[6:]
    del sys.argv[1:]
    faulthandler.enable()
    out = open(out_path, "w", encoding="utf-8", errors="backslashreplace")
    stoop = None
    if mode == "stoop":
        import stoop

        stoop.enable(**json.loads(options))
    from test import support

    support.use_resources = []
    support.verbose = False
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        try:
            if how == "warm":
                compiled = warm_up(load(file, wanted), stoop)
                out.write(json.dumps(["compiled", "", compiled]) + "\n")
            load(file, wanted).run(Recorder(out))
        finally:
            os.chdir(HERE)
    if stoop is not None:
        out.write(json.dumps(["stats", "", str(stoop.stats())]) + "\n")
    out.write(json.dumps(["end", "", ""]) + "\n")
    out.close()


if __name__ == "__main__":
    main()
