"""What happens while it is being found out whether a function's code pays."""

import json
import os
import subprocess
import sys

# Each function gets compiled by being hot; then, while its calls are timed, one call lasts.
PROGRAM = """
import json, time, stoop

SOURCE = '''
def f(n):
    t = 0
    for i in range(n):
        t += i & 3
    return t
'''

def one(more):
    names = {}
    exec(SOURCE, names)
    f = names["f"]
    start = time.process_time()
    while time.process_time() - start < 10:
        f(100)
        regions = stoop.info(f).regions
        if regions and regions[0].entries > 0:
            break
    for _ in range(more):
        f(100)
    # The lot has it interpreted, or compiled.
    before = stoop.info(f).regions[0].entries
    start = time.process_time()
    f(12_000_000)
    took = time.process_time() - start
    regions = stoop.info(f).regions
    entered = [r.entries for r in regions if r.kind == "function"] == [before + 1]
    return entered, [r.kind for r in regions if r.entries > 0], took

print(json.dumps([one(k) for k in range(8)]))
"""


def test_a_call_that_lasts_is_taken_over_whatever_the_lot_says(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STOOP")}
    done = subprocess.run(
        [sys.executable, str(program)], env={**environment, "STOOP": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    calls = json.loads(done.stdout)
    interpreted = [(kinds, took) for entered, kinds, took in calls if not entered]
    assert interpreted, calls
    assert all("loop" in kinds for kinds, took in interpreted), calls


# A function so small that it would not pay for the interpreter's loop to be left for it.
CALLBACKS = """
import json, time, stoop

def key(x):
    return x * x - 3 * x + 7

numbers = list(range(200))
plain = [x * x - 3 * x + 7 for x in numbers]
start = time.process_time()
entries = 0
while time.process_time() - start < 15 and entries < 20_000:
    for _ in range(20):
        assert list(map(key, numbers)) == plain
        assert max(numbers, key=key) == 199
    regions = stoop.info(key).regions
    entries = regions[0].entries if regions else 0
print(json.dumps(entries))
"""


def test_what_c_code_calls_is_entered_though_it_is_small(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(CALLBACKS)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STOOP")}
    done = subprocess.run(
        [sys.executable, str(program)], env={**environment, "STOOP": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) >= 20_000, done.stdout


# The key that is missing every third time is looked up in a function that is compiled in place; that ends each pass.
GUESSES_WRONG = """
import stoop

def get(d, k):
    try:
        return d[k]
    except KeyError:
        return 1

def run(n):
    d, t = {0: 1, 1: 2}, 0
    for i in range(n):
        t += get(d, i % 3)
        t = (t * 3 + i) & 1023
        t = (t * 5 + i) & 1023
        t = (t * 7 + i) & 1023
    return t

print(run(4_000_000), [r.kind for r in stoop.info(run).regions if r.entries > 0])
"""


def test_a_loop_is_not_judged_by_what_it_guessed_wrong(tmp_path):
    program, journal = tmp_path / "program.py", tmp_path / "journal"
    program.write_text(GUESSES_WRONG)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("STOOP")}
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**environment, "STOOP": "1", "STOOP_JOURNAL": str(journal)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=2)[2] for line in journal.read_text().splitlines()]
    assert any(line.startswith("run loop") and "void after" in line for line in lines), lines
    assert not any(line.startswith("run loop") and "dropped" in line for line in lines), lines
    assert done.stdout.split(maxsplit=1)[1].strip() == "['loop']", done.stdout
