"""Operators that Python classes define, functions of numbers, and what happens where they do not know what to do."""

import textwrap

SHAPES = """
import sys, traceback
from probe import warm

class V:
    def __init__(self, x, y):
        self.x = x
        self.y = y
    def __add__(self, o):
        return V(self.x + o.x, self.y + o.y)
    def __sub__(self, o):
        if not isinstance(o, V):
            return NotImplemented
        return V(self.x - o.x, self.y - o.y)
    def __mul__(self, k):
        return V(self.x * k, self.y * k)
    __rmul__ = __mul__
    def __eq__(self, o):
        return self.x == o.x and self.y == o.y
    def __lt__(self, o):
        return self.x < o.x
    def __call__(self, a, b=2):
        return self.x * a + self.y * b
    def __repr__(self):
        return f"V({self.x}, {self.y})"

"""


def program(body):
    """A program over the class above."""
    return SHAPES + textwrap.dedent(body)


def inlined(run, name, *methods):
    """Premise: a region of the function has these methods in it."""
    found = {x for r in run.regions(name) for x in r["assumptions"]}
    for m in methods:
        assert f"function {m} unchanged" in found, (name, m, found)


def show(body):
    """A program with a function that prints what a call yields or raises."""
    start = """
        def show(f, *a):
            try:
                print(f(*a))
            except Exception:
                traceback.print_exc(file=sys.stdout)
    """
    return textwrap.dedent(start) + textwrap.dedent(body)


def test_operators_of_one_class(both_loop):
    run = both_loop(
        program("""
        def f(a, b, n):
            for i in range(n):
                a = a + b * 2.0 - b
                a = 0.25 * a
            return a, a == b, a < b, a(1.5), b(2, 3)

        warm(f, V(1.0, 2.0), V(0.5, 0.25), 10000)
        print(f(V(1.0, 2.0), V(0.5, 0.25), 30))
        print(f(V(1, 2), V(0.5, 4), 3))
    """)
    )
    assert run.regions("f")


def test_operators_stay_in_the_code(both_loop):
    run = both_loop(
        program("""
        def f(a, b, n):
            s = 0.0
            for i in range(n):
                c = a + b * 2.0
                if c == a:
                    s += 1.0
                if a < c:
                    s += a(2.0, 3.0)
            return s

        warm(f, V(1.0, 2.0), V(0.5, 0.25), 10000)
        print(f(V(1.0, 2.0), V(0.5, 0.25), 30))
    """)
    )
    inlined(run, "f", "V.__add__", "V.__mul__", "V.__eq__", "V.__lt__", "V.__call__", "V.__init__")
    assert not [x for x in run.exits("f") if "class" in x[0]], run.exits("f")


def test_not_implemented(both_loop):
    run = both_loop(
        program(
            show("""
        class N:
            def __init__(self, x):
                self.x = x
            def __sub__(self, o):
                return self.x
            def __lt__(self, o):
                return self.x
            def __eq__(self, o):
                return self.x
            __isub__ = None

        class R:
            def __rsub__(self, o):
                return "rsub"
            def __gt__(self, o):
                return "gt"
            def __eq__(self, o):
                return "eq"

        def sub(a, b, n=3):
            for _ in range(n):
                c = a - b
            return c

        def lt(a, b, n=3):
            for _ in range(n):
                c = a < b
            return c

        def eq(a, b, n=3):
            for _ in range(n):
                c = a == b
            return c

        def eq_tested(a, b, n=3):
            for _ in range(n):
                c = "yes" if a == b else "no"
            return c

        def isub(a, b):
            a -= b
            return a

        for f in (sub, lt, eq, eq_tested):
            warm(f, N(5), N(6), 10000)
            show(f, N(5), N(6))
            show(f, N(NotImplemented), N(6))
            warm(f, N(5), 7, 10000)
            show(f, N(NotImplemented), 7)
            show(f, N(NotImplemented), 7.5)
            warm(f, N(5), R(), 10000)
            show(f, N(NotImplemented), R())
            show(f, N([]), R())
        show(isub, N(5), 1)

        warm(sub, V(1, 2), V(1, 2), 10000)
        show(sub, V(1, 2), 5)
        show(sub, V(1, 2), N(3))
        show(sub, V(1, 2), R())
        """)
        )
    )
    for f, method in (("sub", "__sub__"), ("lt", "__lt__"), ("eq", "__eq__"), ("eq_tested", "__eq__")):
        inlined(run, f, "N." + method)


def test_reflected_and_subclasses(both_loop):
    run = both_loop(
        program(
            show("""
        class W(V):
            def __radd__(self, o):
                return "radd"
            def __mul__(self, k):
                return "W.mul"
        class X(V):
            pass

        def add(a, b, n=3):
            for _ in range(n):
                c = a + b
            return c

        def mul(a, b, n=3):
            for _ in range(n):
                c = a * b
            return c

        def imul(a, b, n=3):
            for _ in range(n):
                c = a
                c *= b
            return c

        for f in (add, mul, imul):
            warm(f, V(1, 2), V(3, 4), 10000) if f is add else warm(f, V(1, 2), 3, 10000)
            for a, b in ((V(1, 2), W(3, 4)), (V(1, 2), X(3, 4)), (W(1, 2), V(3, 4)), (3, V(1, 2)), (2.5, W(3, 4)),
                         (True, V(1, 2)), ([1], V(1, 2)), (V(1, 2), "s"), (V(1, 2), None)):
                show(f, a, b)
        warm(mul, 2.0, V(1, 2), 10000)
        show(mul, 3.0, V(1.5, 2))
        show(mul, 3.0, W(1.5, 2))
        V.__imul__ = lambda self, k: "imul"
        show(imul, V(1, 2), 3)
        V.__add__ = lambda self, o: "other"
        show(add, V(1, 2), V(1, 2))
        del V.__add__
        show(add, V(1, 2), V(1, 2))
        """)
        )
    )
    inlined(run, "add", "V.__add__")
    inlined(run, "mul", "V.__mul__")
    inlined(run, "imul", "V.__mul__")


def test_exceptions_in_operators(both_loop):
    run = both_loop(
        program(
            show("""
        class E:
            def __init__(self, x):
                self.x = x
            def __truediv__(self, o):
                y = self.x + 1
                return E(y / o.x)
            def __lt__(self, o):
                return self.x // o.x
        def div(a, b, n=3):
            for i in range(n):
                c = a / b
            return c.x

        def less(a, b, n=3):
            for i in range(n):
                if a < b:
                    c = 1
                else:
                    c = 0
            return c

        warm(div, E(1.0), E(2.0), 10000)
        warm(less, E(1), E(2), 10000)
        show(div, E(3.0), E(4.0))
        show(div, E(3.0), E(0.0))
        show(div, E("a"), E(0.0))
        show(less, E(3), E(2))
        show(less, E(3), E(0))
        """)
        )
    )
    inlined(run, "div", "E.__truediv__")
    inlined(run, "less", "E.__lt__")


def test_identity_comparison(both_loop):
    run = both_loop(
        program("""
        class P:
            pass
        class Q(P):
            pass

        def f(a, b, n=3):
            for i in range(n):
                c = a == b, a != b, "t" if a == b else "f"
            return c

        p, q = P(), P()
        warm(f, p, q, 10000)
        print(f(p, p), f(p, q), f(p, Q()), f(p, 3), f(p, V(1, 2)) if False else None)
        P.__eq__ = lambda self, o: "eq"
        print(f(p, q))
        Q.__ne__ = lambda self, o: "ne"
        print(f(p, Q()), f(Q(), p))
    """)
    )
    assert run.regions("f")


def test_calls_of_instances(both_loop):
    run = both_loop(
        program(
            show("""
        def f(g, a, n=3):
            for i in range(n):
                c = g(a) + g(a, 5)
            return c

        warm(f, V(1, 2), 3, 10000)
        show(f, V(1.5, 2), 3)
        show(f, V(1, "x"), 3)
        show(f, lambda a, b=0: a + b, 3)
        show(f, 5, 5)
        V.__call__ = lambda self, *a: len(a)
        show(f, V(1, 2), 3)
        del V.__call__
        show(f, V(1, 2), 3)
        """)
        )
    )
    assert run.regions("f")


def test_functions_of_numbers(both):
    run = both("""
        import math, sys, traceback
        from math import sin
        from probe import hot

        NAMES = "sin cos tan asin acos atan sinh cosh tanh exp log log2 log10 sqrt".split()
        for name in NAMES:
            scope = {"math": math}
            exec(f"def f(x, n):\\n  s = 0.0\\n  for i in range(n):\\n    s = math.{name}(x)\\n  return s", scope)
            f = scope["f"]
            hot(f, 0.5, 3)
            for x in (0.25, 1, 0, -0.0, 1e308, -1e308, 1e-320, float("inf"), float("-inf"), float("nan"), 10**400, True,
                      -3, 2**53 + 1, None, "x"):
                try:
                    print(name, repr(f(x, 2)))
                except Exception as e:
                    print(name, type(e).__name__, e)

        def g(a, b, n):
            r = []
            for i in range(n):
                r.append((min(a, b), max(a, b), max(0, min(255, int(a * 255))), round(a), sin(a), sin(i)))
            return r

        hot(g, 0.5, 0.25, 3)
        nan = float("nan")
        pairs = [(0.5, 1.5), (2.5, -0.0), (0.0, -0.0), (-0.0, 0.0), (nan, 1.0), (1.0, nan)]
        for a, b in pairs + [(3, 4), (4.5, 4), (True, 2), (1e300, 1.0), (-3.5, -4.5)]:
            try:
                print(g(a, b, 1))
            except Exception as e:
                print(type(e).__name__, e)
    """)
    run.assert_compiled("f", "g")
