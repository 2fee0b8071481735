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
