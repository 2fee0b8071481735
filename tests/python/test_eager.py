"""`threshold=1`: what is compiled, and when, does not depend on time."""

import json

from harness import python

PROGRAM = """
import stoop

def f(x):
    return x + 1

class C:
    def method(self):
        return 1

def outer():
    def inner(y):
        return y * 2
    return inner

def loops(n):
    total = 0
    for i in range(n):
        total += i
    return total

def generator(n):
    for i in range(n):
        yield i

@stoop.never
def never():
    return 1

states = []
# No loop: that would be compiled itself, with these functions in place.
f(1), C().method(), outer()(1), never()
states.append([stoop.info(g).state for g in (f, C.method, never)])
f(1), C().method(), outer()(1), never()
states.append([stoop.info(g).state for g in (f, C.method, never)])
f(1), C().method(), outer()(1), never()
states.append([stoop.info(g).state for g in (f, C.method, never)])
f(1), C().method(), outer()(1), never()
states.append([stoop.info(g).state for g in (f, C.method, never)])
first = loops(4)
looped = stoop.info(loops)
list(generator(5))
module = [r for x in stoop.stats().functions if x.name == "<module>" for r in x.regions]
inner = [x for x in stoop.stats().functions if x.name.endswith("inner")]
import json
print(json.dumps([
    states, first, [[r.kind, r.entries] for r in looped.regions], inner[0].state,
    [r.kind for r in stoop.info(generator).regions], len(module) > 0,
]))
"""


def test_functions_at_their_third_call_and_loops_in_their_third_iteration(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    answers = [python(str(program), STOOP="1", STOOP_THRESHOLD="1") for _ in range(3)]
    assert all(a.returncode == 0 and not a.stderr for a in answers), answers
    assert len({a.stdout for a in answers}) == 1, answers
    states, first, regions, inner, generator, module = json.loads(answers[0].stdout)
    compiled = [[s == "compiled" for s in row] for row in states]
    assert compiled == [[False, False, False], [False, False, False], [True, True, False], [True, True, False]], states
    assert first == 6
    assert regions == [["loop", 1]]
    assert inner == "compiled"
    assert generator == ["resume"]
    assert module


def test_call_sites_that_were_specialised_before(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("""
def f(x):
    return x + 1

def call(n):
    for k in range(n):
        f(k)

call(2)
import stoop
call(50)
print([(r.kind, r.entries > 0) for r in stoop.info(call).regions], stoop.info(f).state)
stoop.disable()
call(3)
def late():
    return 5
late(), late(), late(), late()
stoop.enable(threshold=1)
late(), late(), late(), late()
print(stoop.info(late).state, stoop.info(late).entries)
""")
    done = python(str(program), STOOP="1", STOOP_THRESHOLD="1")
    assert (done.stdout, done.stderr) == ("[('loop', True)] compiled\ncompiled 2\n", ""), done


def test_without_functions_and_without_loops(tmp_path):
    program = tmp_path / "program.py"
    program.write_text("""
import stoop
def f(n):
    t = 0
    for i in range(n):
        t += i
    return t
for k in range(9):
    f(9)
print(sorted({r.kind for r in stoop.info(f).regions}))
""")
    kinds = [
        python(str(program), STOOP="1", STOOP_THRESHOLD="1", **more).stdout.strip()
        for more in ({}, {"STOOP_FUNCTIONS": "0"}, {"STOOP_OSR": "0"})
    ]
    assert kinds == ["['function', 'loop']", "['loop']", "['function']"]
