"""Instances that compiled code does without: exits make them as they would be."""

import textwrap

SHAPES = """
import gc, sys, traceback, weakref
from probe import warm

class V:
    def __init__(self, x, y):
        self.x = x
        self.y = y
    def __add__(self, o):
        return V(self.x + o.x, self.y + o.y)
    def __mul__(self, k):
        return V(self.x * k, self.y * k)
    def dot(self, o):
        return self.x * o.x + self.y * o.y
    def moved(self, k):
        v = V(self.x, self.y)
        v.x = v.x + k
        v.y = v.y * k  # moved
        return v
    def __repr__(self):
        return f"V({self.x}, {self.y})"

class S:
    __slots__ = ("a", "b")
    def __init__(self, a, b):
        self.a = a
        self.b = b
    def sum(self):
        return self.a + self.b

def show(f, *a):
    try:
        print(f(*a))
    except Exception:
        traceback.print_exc(file=sys.stdout)

"""


def program(body):
    """A program over the classes above."""
    return SHAPES + textwrap.dedent(body)


def test_temporaries(both_loop):
    run = both_loop(
        program("""
        def f(a, b, n):
            s = 0.0
            for i in range(n):
                s = s + (a + b * 2.0).dot(a) + S(i, s).sum() * 0.5
                s = s * 0.5 + a.moved(0.25).dot(b)
            return s

        warm(f, V(1.0, 2.0), V(0.5, 0.25), 2000)
        show(f, V(1.0, 2.0), V(0.5, 0.25), 50)
        show(f, V(1, 2), V(0.5, 0.25), 50)
        show(f, V(1, 2), V(3, 4), 5)
        show(f, V(1.5, 2), V("x", 4), 5)
        show(f, V(1.5, 2), V(2, None), 5)
        show(f, V(1.5, 2.5), V(2.5, [1]), 5)
    """)
    )
    assert run.regions("f")


def test_exits_make_them(both_loop):
    run = both_loop(
        program("""
        class Odd:
            def __init__(self, at):
                self.at = at
            def __mul__(self, k):
                return "odd"
            def __repr__(self):
                return "Odd"
            def __rmul__(self, k):
                return "rodd"
            def __add__(self, k):
                frame = sys._getframe(1)
                self_ = frame.f_locals.get("self", frame.f_locals.get("v"))
                print(sorted(frame.f_locals), frame.f_locals.get("v"), sys.getrefcount(frame.f_locals.get("v")))
                return self

        def f(a, k, n):
            for i in range(n):
                v = a.moved(k)
                t = v.x, v.y
            return t

        def g(a, k, n):
            t = 0
            for i in range(n):
                t = a.moved(k).dot(a.moved(k))
            return t

        for h in (f, g):
            warm(h, V(1.0, 2.0), 0.5, 2000)
            show(h, V(1.0, 2.0), 0.5, 5)
            show(h, V(1.0, 2), 1, 5)
            show(h, V(Odd(0), 2.0), 0.5, 3)
            show(h, V(1.0, Odd(1)), 0.5, 3)
            show(h, V(1.0, 2.0), "k", 3)
            show(h, V(2**70, 2.0), 0.5, 3)
            show(h, V([], ()), 2, 3)
    """)
    )
    assert run.regions("f")


def test_references_balance(both_loop):
    run = both_loop(
        program("""
        def f(k, n):
            for i in range(n):
                v = V(k, k).moved2(i)
            return v.x is k

        def moved2(self, i):
            w = V(self.x, i)
            w.y = self.y
            if i == 3000:
                w.x.missing
            return w
        V.moved2 = moved2

        def temporary(k, n):
            t = 0
            for i in range(n):
                t += V(k, i).second(i)
            return t

        def second(self, i):
            if i % 500 == 499:
                return len(self.x) + self.y
            return self.y
        V.second = second

        key = [1, 2]
        warm(f, key, 2000)
        warm(temporary, key, 2000)
        before = sys.getrefcount(key)
        for _ in range(5):
            print(f(key, 400), temporary(key, 2000))
            show(f, key, 3002)
            show(temporary, 5, 1000)
        gc.collect()
        print(sys.getrefcount(key) - before)

        class D:
            def __del__(self):
                log.append("del")

        log = []
        def drops(n):
            for i in range(n):
                V(D(), i)
                log.append(i)
            return log[-4:]

        warm(drops, 50)
        del log[:]
        print(drops(3), log)
    """)
    )
    assert run.regions("temporary")


def test_forced_exits(both_loop):
    text = program("""
        def f(a, b, n):
            s = 0.0
            for i in range(n):
                c = (a + b * 2.0) * 0.5
                s = s + c.dot(a.moved(0.25) + b) + S(s, 1.0).sum()
            return s, c

        warm(f, V(1.0, 2.0), V(0.5, 0.25), 50)
        for n in range(1, 8):
            show(f, V(1.0, 2.0), V(0.5, 0.25), n)
    """)
    for n in range(1, 40, 6):
        both_loop(text, force_exit=n)
