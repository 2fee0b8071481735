"""What Stoop does to programs that have nothing to gain: counted, not timed."""

import json
import os
import subprocess
import sys

import pytest

# Very many functions, each a small part of the program, none of which only computes.
WIDE = """
import json, time, stoop

def looks():
    return stoop.stats().counters.get("samples", 0)

BODY = "    names.append(o.name.upper())\\n    table[o.name] = o\\n    o.left, o.right = o.right, o.left\\n"
functions = []
for number in range(FUNCTIONS):
    space = {}
    source = f"def f{number}(o, names, table):\\n" + BODY * 12 + "    names.clear()\\n"
    exec(compile(source, f"f{number}.py", "exec"), space)
    functions.append(space[f"f{number}"])

class Thing:
    def __init__(self, name):
        self.name, self.left, self.right = name, 1, 2

def run(o, names, table):
    for f in functions:
        f(o, names, table)
        f(o, names, table)

before = looks()
start = time.process_time()
while time.process_time() - start < 2:
    run(Thing("a"), [], {})
after = looks()
compiled = sum(bool(stoop.info(f).regions) for f in functions)
print(json.dumps([compiled, after - before]))
"""

SLEEPING = """
import json, time, stoop

def looks():
    return stoop.stats().counters.get("samples", 0)

before = looks()
time.sleep(0.5)
print(looks() - before)
"""


def under_stoop(program):
    """What a program prints under Stoop with its defaults."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("STOOP")}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**clean, "STOOP": "1"}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_small_parts_of_wide_programs_are_not_compiled():
    compiled, samples = under_stoop(WIDE.replace("FUNCTIONS", "700"))
    # Premise: it was looked at. Most functions that are seen twice are seen so by chance.
    assert samples > 20
    assert compiled <= 3, (compiled, samples)


def test_large_parts_are_compiled():
    compiled, samples = under_stoop(WIDE.replace("FUNCTIONS", "4"))
    assert compiled >= 3, (compiled, samples)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="the sampler takes the GIL")
def test_nothing_is_looked_at_while_nothing_runs():
    assert under_stoop(SLEEPING) <= 2
