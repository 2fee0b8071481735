"""Ints and floats that take turns: operators stay in compiled code, with Python's results."""

import textwrap

import pytest
from harness import both as run_both

SHAPES = """
import sys, traceback
from probe import hot, warm

class V:
    def __init__(self, x, y):
        self.x = x
        self.y = y
    def dot(self, o):
        return self.x * o.x + self.y * o.y
    def less(self, o):
        return self.x < o.x
    def ratio(self, k):
        return self.x / k

"""


def program(body):
    """A program over the class above."""
    return SHAPES + textwrap.dedent(body)


def test_attributes_of_both_kinds(both_loop):
    run = both_loop(
        program("""
        def f(vs, n):
            t = 0
            c = 0
            for i in range(n):
                v = vs[i % len(vs)]
                t = t + v.dot(vs[0])
                if v.less(vs[1]):
                    c += 1
                t = t - v.ratio(2)
            return t, c

        vs = [V(1, 2.5), V(1.5, 2), V(3, 4), V(0.5, 0.25), V(0, -0.0), V(True, 2)]
        hot(f, vs, 600)
        warm(f, vs, 600)
        print(f(vs, 60))
        big = [V(2**70, 2.5), V(1.5, 2**53 + 1), V(2**62, 2**62), V(float("nan"), 1), V(-(2**63), 3)]
        for n in (5, 50):
            print(f(big, n))
        for bad in (None, "x", [1], 1j):
            try:
                print(f(vs[:2] + [V(bad, 1)] + vs[2:], 20))
            except TypeError:
                traceback.print_exc(file=sys.stdout)
        try:
            print(f([V(1, 2), V(2.0, 1), V(0, 1)], 20))
        except ZeroDivisionError as e:
            print(e)
    """)
    )
    run.assert_compiled("f")


def test_results_are_pythons(both_loop):
    run = both_loop(
        program("""
        def f(a, b):
            r = []
            for i in range(len(a)):
                x, y = a[i], b[i]
                r.append((x + y, x - y, x * y))
                r.append((x < y, x <= y, x > y, x >= y, x == y, x != y))
            return r

        def g(a, b):
            r = []
            for i in range(len(a)):
                r.append(a[i] / b[i])
            return r

        warm(f, [1, 2.0, 3, 4.5] * 500, [1.5, 2, 3, 4.5] * 500)
        warm(g, [1, 2.0, 3, 4.5] * 500, [1.5, 2, 3, 4.5] * 500)
        nan, inf = float("nan"), float("inf")
        values = [0, -0.0, 1, -1.5, 2**53, 2.0**53, 2**53 + 1, 2**62, 2**63, -(2**63), 10**400]
        values += [1e308, nan, inf, -inf, 257, -6]
        for k in range(len(values)):
            a = (values + values)[k : k + 4]
            for j in range(len(values)):
                b = (values + values)[j : j + 4]
                for h in (f, g):
                    try:
                        print(h(a, b))
                    except Exception as e:
                        print(type(e).__name__, e)
    """),
    )
    assert run.regions("g")


def test_an_unknown_number_beside_an_int_is_not_taken_for_a_float(both):
    run = both("""
        from probe import compiled

        def minus(x):
            return x - 1

        def half(x):
            return x / 2

        def power(x):
            return x ** 2

        def divide(x, n):
            return x / (n | 1)

        # Compiled before the interpreter has specialised anything.
        for f in (minus, half, power):
            f(4)
            compiled(f)
            print([f(x) for x in (2, 2.5, True, 10**30, -3)])
        divide(3, 5)
        compiled(divide)
        print([divide(x, n) for x in (3, 3.0, 7) for n in (4, 2**60, 2**53, 10**18 + 4)])
    """)
    assert set(run.answers.values()) == {None}


@pytest.mark.parametrize("seed", [2, 5])
def test_operators_that_are_not_computed_in_place(tmp_path, seed):
    """`//` and `%` where ints, floats and truth values come in turns."""
    run = run_both(
        tmp_path,
        f"""
        import random

        import probe

        class P:
            def __init__(self, v):
                self.v = v

        def f(a, b, ps):
            r = 0
            for q in range(3):
                r = [(((z // (p.v or 1)) // (p.v or 1)) % 7) for p in ps for z, u in zip(a, b)]
            return r

        def value():
            r = R.random()
            return R.randrange(12) if r < 0.7 else R.random() * 10 if r < 0.9 else True

        R = random.Random({seed})
        for n in range(400):
            odd = n > 60 and R.random() < 0.4
            v = value if odd else (lambda: R.randrange(12))
            a = [v() for _ in range(R.randrange(9))]
            b = [v() for _ in range(R.randrange(9))]
            print(f(a, b, [P(v()) for _ in range(R.randrange(6))]))
        """,
        threshold=1,
    )
    assert run.regions("f")
