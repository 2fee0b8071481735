"""Ints of several digits: operators on them stay in compiled code, with Python's results."""
# ruff: noqa: E501 (the list of calls)

import textwrap

import pytest

FUNCTIONS = """
from probe import hot, warm

def fnv(n):
    h = 0xCBF29CE484222325
    for i in range(n):
        h = ((h ^ (i & 255)) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h

def xorshift(n, x=88172645463325252):
    for i in range(n):
        x ^= (x << 13) & 0xFFFFFFFFFFFFFFFF
        x ^= x >> 7
        x ^= (x << 17) & 0xFFFFFFFFFFFFFFFF
    return x

class Random:
    def __init__(self, state):
        self.state = state
    def next(self):
        self.state = (6364136223846793005 * self.state + 1442695040888963407) & (2**64 - 1)
        return self.state >> 33

def congruential(n):
    r, total = Random(1), 0
    for i in range(n):
        total += r.next()
    return total, r.state

def power(n, base=3, m=2**61 - 1):
    result = 1
    for i in range(n):
        if i & 1:
            result = result * base % m
        base = base * base % m
    return result, base

def half_masked(n):
    s, seen = 1, 0
    for i in range(n):
        s = (s * 4294967291 * 4294967279 + i) & 0xFFFFFFFF
        seen ^= s
    return s, seen

def fibonacci(n):
    a, b = 0, 1
    for i in range(n):
        a, b = b, a + b
    return a, b, -a, a > b, a < b, a == b, bool(a)

def collatz(n):
    c, steps = 2**66 + n, 0
    while c != 1:
        c = c * 3 + 1 if c & 1 else c >> 1
        steps += 1
    return steps

def steps_of(c):
    steps = 0
    while c != 1:
        c = c * 3 + 1 if c & 1 else c >> 1
        steps += 1
    return steps

def digits(n):
    k, total = 7**n, 0
    while k:
        k, d = k // 10, k % 10
        total += d
    return total

def signs(n):
    out, k = [], -1
    for i in range(n):
        k = k * 3
        out.append((k // 7, k % 7, k // -(2**40), k % -(2**40), k >> 3, k & 0xFF, k | 1, k ^ (1 << 70), ~k, abs(k), min(k, 5)))
    return out
"""

CALLS = ["fnv(3000)", "xorshift(3000)", "congruential(3000)", "power(3000)", "half_masked(3000)", "fibonacci(90)", "fibonacci(300)", "collatz(5)", "digits(30)", "digits(90)", "signs(40)", "signs(200)"]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_results_are_pythons(both_loop, call):
    """The function is called until it has settled: what was guessed to fit a register is compiled as what it is."""
    name, n = call.rstrip(")").split("(")
    run = both_loop(
        FUNCTIONS
        + textwrap.dedent(f"""
        warm({name}, {n})
        for i in range(60):
            result = {call}
        print(result)
        print({name}(3), {name}(60))
    """)
    )
    states = {(f["state"], f["reason"]) for f in run.rows(name)}
    assert states == {("compiled", None)}, states


def test_arguments_are_found_wide_soon(both_loop, tmp_path):
    """What does not fit a register at a loop's entry is given up at the operator that wanted it there."""
    run = both_loop(
        FUNCTIONS
        + textwrap.dedent("""
        warm(steps_of, 2**66)
        print([steps_of(2**66 + i) for i in range(400)], steps_of(27))
    """),
        journal=str(tmp_path / "journal"),
    )
    assert {(f["state"], f["reason"]) for f in run.rows("steps_of")} == {("compiled", None)}
    voided = [w for w in (tmp_path / "journal").read_text().splitlines() if "steps_of" in w and ": void after" in w]
    assert 1 <= len(voided) <= 6, voided


def test_what_python_raises_is_raised(both_loop):
    both_loop(
        FUNCTIONS
        + textwrap.dedent("""
        def f(a, b, out):
            for x in a:
                for y in b:
                    try:
                        out.append((x * y, x // y, x % y, x << y, x >> y))
                    except (ZeroDivisionError, ValueError, OverflowError) as e:
                        out.append(str(e))
            return out

        plain = [2**64 + k for k in range(50)]
        warm(f, plain, [3, 5, 40], [])
        for b in ([0], [-1], [3], [2**40 - 1, 0, -(2**33)], [127, 128, 500]):
            if max(b) < 1000 or b == [0]:
                print(f(plain[:3] + [0, -1, 2**119, -(2**126), 2**127 - 1, 2**200], b, []))
        def g(a, b):
            out = []
            for x in a:
                out.append((x * b, x + b, x - b, x & b, x < b, x == b))
            return out
        warm(g, plain, 2**65 + 1)
        for b in (1.5, True, 2**130, -(2**126), 0):
            try:
                print(g(plain[:2] + [-(2**126), 2**126, True], b))
            except TypeError as e:
                print(e)
    """)
    )
