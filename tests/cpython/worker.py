"""Run one of CPython's test files and write each test's outcome as a line of JSON.

Started by `run.py` in a process of its own: `worker.py FILE OUT plain|stoop [options as JSON]`.
A line `["start", id]` before each test lets the parent name the test that crashed the process.
"""

import faulthandler
import json
import os
import sys
import tempfile
import time
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


def main():
    file, out_path, mode, options = sys.argv[1:5]
    wanted = sys.argv[5:]
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
        suite = unittest.defaultTestLoader.loadTestsFromName(f"test.{file}")
        suite = without_exclusions(suite, file)
        if wanted:
            suite = only(suite, wanted)
        try:
            suite.run(Recorder(out))
        finally:
            os.chdir(HERE)
    if stoop is not None:
        out.write(json.dumps(["stats", "", str(stoop.stats())]) + "\n")
    out.write(json.dumps(["end", "", ""]) + "\n")
    out.close()


if __name__ == "__main__":
    main()
