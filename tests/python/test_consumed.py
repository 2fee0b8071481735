"""Generator expressions that run in place of the builtin that consumes them."""
# ruff: noqa: E501 (lines of the programs under test)

import pytest
from harness import OVERFLOW, TYPE, both_early
from harness import both as run_both

CALLS = [
    "sum(x * y for x, y in zip(a, b))",
    "sum(x for x in a)",
    "sum(x / 4 for x in a)",
    "sum(1 for x in a if x > 2)",
    "sum(x > 2 for x in a)",
    "sum(b[i] * k for i in range(len(a)))",
    "sum(x * y for x in a for y in b if x != y)",
    "sum(i * x for i, x in enumerate(a, 3))",
    "sum(p.v for p in ps)",
    "sum(m[i][k] for i in range(3))",
    "any(x > k for x in a)",
    "any(p.v == k for p in ps)",
    "all(a[i] <= a[i + 1] for i in range(len(a) - 1))",
    "all(c in 'spam' for c in s)",
    "any(x for x in a)",
    "all(x for x in a)",
    "any(s.startswith(c) for c in ('x', s[:1]))",
    "max(x * 3 for x in a)",
    "min(x for x in a)",
    "max(p.v for p in ps)",
    "min(len(c) + x for c, x in zip(s, a))",
    "max(x / 2 for x in a)",
    "max(c for c in s)",
    "min((x for x in a if x != k))",
    "max((x, i) for i, x in enumerate(a))",
    "tuple(x + 1 for x in a)",
    "tuple(p.v for p in ps if p.v)",
    "sorted(set(x * 2 for x in b), key=repr)",
    "set(c for c in s if c != 'p')",
    "set((x, y) for x in a for y in b) == set()",
    "','.join(str(x) for x in a)",
    "s.join(c for c in s if c > 'a')",
    "','.join(p.name for p in ps)",
    "dict((x, x) for x in a)",
    "list(x for x in a)",
    "(sorted(-x for x in a), s)",
    "sorted((x * 2, i) for i, x in enumerate(b))",
    "dict((k + i, x) for i, x in enumerate(a))",
    "dict((c, x) for c, x in zip(s, a))",
    "sum(v for v in d.values())",
    "sum(x * y for x, y in d.items())",
    "any(x == 3 for x in d)",
    "max(len(x) for x in names)",
    "','.join(f'{x}={y}' for x, y in d.items())",
    "tuple(x for x in d.items())",
]


@pytest.mark.parametrize("call", CALLS)
def test_results(both, call):
    """With items of the classes met before, and of others; with none at all."""
    run = both(f"""
        from probe import hot

        class P:
            def __init__(self, v):
                self.v = v
                self.name = v if v == 3.5 else str(v)

        m = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
        names = {"spam", "ham", "eggs"}

        def f(a, b, ps, s, k):
            d = dict(zip(a, b))
            r = {call}
            return r, a, b

        def args(a, b, k=2):
            return a, b, [P(x) for x in a], "maps", k

        hot(f, *args([1, 2, 3, 4], [5, 6, 7, 8]))
        cases = [
            ([1, 2, 3, 4], [5, 6, 7, 8]), ([], []), ([1], [2]), ([0, 0, 0], [1, 1, 1]), ([4, 3, 2], [1, 2, 3, 4]),
            ([1.5, 2.5, 1e100, -1e100, 1e-3], [0.5, 1.0, 1.0, 1.0, 1.0]), ([True, False, True], [1, 1, 1]),
            ([2**62, 2**62, 2**62], [1, 1, 2]), ([1, 2.5, 3], [1, 2, 3]), ([0.1] * 10, [1.0] * 10),
            ([2**70, 1], [1, 1]), ([float("inf"), 1.0], [1.0, 1.0]), ([float("nan")], [1]), ([-0.0], [1.0]),
            ([1, "x"], [1, 2]), ([None], [1]), ([1, 2, 3j], [1, 2, 3]),
        ]
        for a, b in cases:
            for k in (2, 3.5):
                try:
                    print(repr(f(*args(a, b, k))))
                except Exception as e:
                    print(type(e).__name__, e, e.__traceback__.tb_next.tb_lineno)
    """)
    run.assert_compiled("f")


@pytest.fixture
def both(tmp_path):
    return lambda text, **options: run_both(tmp_path, text, **options)


def test_no_generator_is_made(both):
    """The premise of all the others: calls are neither left nor make an object."""
    run = both("""
        import gc
        import types

        from probe import hot

        class Look:
            def __init__(self, v):
                self.v = v

        def f(a):
            return sum(x.v for x in a), any(x.v > 50 for x in a), all(x.v < 50 for x in a)

        a = [Look(k) for k in range(40)]
        hot(f, a)
        for _ in range(100):
            r = f(a)
        print(r)
    """)
    run.assert_compiled("f")
    run.assert_stayed("f")
    assert not [r for r in run.regions("f.<locals>.<genexpr>") if r["entries"] > 0]


@pytest.mark.parametrize("guard", range(1, 130, 3))
def test_each_guard_left(both, guard):
    """Wherever machine code is left, the expression goes on just there, and the builtin with what it has."""
    run = both(
        """
        from probe import hot

        class P:
            def __init__(self, v):
                self.v = v

        def f(a, b, ps, k):
            t = [len(a)]
            t.append(sum(x * y for x, y in zip(a, b)))
            t.append(sum(y + k for y in b if y < 3))
            t.append(any(p.v > k for p in ps))
            t.append(all(a[i] * k < 100 for i in range(len(a))))
            t.append(max(x * y for x, y in zip(a, b)) if a else None)
            t.append(min(p.v for p in ps) if ps else None)
            t.append(tuple(x + k for x in a))
            t.append(sorted(set(x % k for x in a)))
            t.append(",".join(str(x) for x in a))
            t.append(sorted(-x for x in a))
            t.append(dict((x, y) for x, y in zip(a, b)))
            t.append(list(x for x in a if x > k))
            d = dict(zip(a, b))
            t.append(sum(x * y for x, y in d.items()))
            t.append(any(x == k for x in d))
            return t

        a, b = list(range(8)), [0.1 * k for k in range(8)]
        ps = [P(k) for k in range(6)]
        hot(f, a, b, ps, 3)
        for k in (1, 3, 7, 50):
            print(f(a, b, ps, k), f(a[:3], b, ps, k), f(a, b, [], k))
        """,
        force_exit=guard,
    )
    run.assert_compiled("f")


def test_where_sums_change_their_kind(both):
    """Ints that grow too large, floats after ints, and what is neither: with CPython's rounding."""
    run = both("""
        from fractions import Fraction

        from probe import hot

        class I(int):
            pass

        def f(a):
            return sum(x for x in a)  # ints

        def g(a):
            return sum(x * 1.0 for x in a)  # floats

        def h(a, b):
            return sum(x * y for x, y in zip(a, b))

        hot(f, [1, 2])
        hot(g, [1.0, 2.0])
        hot(h, [1.0, 2.0], [1.0, 2.0])
        big = 2**62
        for a in ([big, big, -big, 0.1, 0.1, 0.1], [big, 2, 0.1, 0.1, 0.1], [2**40, 0.1, 0.1, 0.1], [True, 0.1, 0.1, 0.1],
                  [I(3), 0.1, 0.1, 0.1], [1, Fraction(1, 3), 0.1, 0.1], [2**64, -(2**64), 0.1, 0.1, 0.1],
                  [0.1, 0.2, 2**53, 0.3, 1], [1e308, 1e308, -1e308], [0.1, Fraction(1, 7), 0.1, 0.1]):
            print(repr(f(a)), repr(sum(a)), repr(sum(x for x in a)))
            try:
                print(repr(g(a)))
            except OverflowError as e:
                print(e)
        one = [0.1, 1e16, -1e16, 0.3, 1e-9] * 7
        print(repr(h(one, one)), repr(h([3] * 5, one)), repr(h(one, [3] * 50)), repr(h([1], [1])))
    """)
    run.assert_compiled("f", "g", "h")
    run.assert_left("f", "ints", OVERFLOW)


def test_exceptions(both):
    """Tracebacks have the expression's frame, and StopIteration becomes RuntimeError."""
    run = both("""
        import traceback

        from probe import hot

        class P:
            def __init__(self, v):
                self.v = v

        def div(a, k):
            return sum(x // k for x in a)

        def attribute(a):
            return any(p.v > 5 for p in a)

        def index(a, n):
            try:
                return all(a[i] for i in range(n))
            except IndexError as e:
                return repr(e), e.__traceback__.tb_next.tb_frame.f_code.co_name, e.__traceback__.tb_next.tb_lineno

        def stop(a, it):
            return sum(x if x else next(it) for x in a)

        def unset(a):
            if not a:
                k = 1
            return sum(x + k for x in a)

        hot(div, [1, 2], 3)
        hot(attribute, [P(1)])
        hot(index, [1, 2], 2)
        hot(stop, [1, 2], iter(()))
        def show(f, *args):
            try:
                print(f(*args))
            except Exception:
                traceback.print_exc()
                print(traceback.format_exc())
        show(div, [1, 2], 0)
        show(div, [1, None], 1)
        show(attribute, [P(1), 3, P(9)])
        show(attribute, [P(1), P("x")])
        show(index, [1, 2], 3)
        show(index, [1, 2], 2.5)
        show(stop, [1, 0], iter([4]))
        show(stop, [1, 0], iter(()))
        show(unset, [1])
        print("-")
    """)
    run.assert_compiled("div", "attribute", "index", "stop")


def test_iterators_half_consumed(both):
    """What `any` and `all` leave behind in an iterator that somebody else has."""
    run = both("""
        from probe import hot

        def f(it, k):
            return any(x > k for x in it), all(x > k for x in it), sum(1 for x in it), next(it, "end")

        hot(f, iter([1, 2, 3]), 1)
        for k in range(6):
            it = iter([0, 1, 2, 3, 4, 5, 1, 2])
            print(f(it, k), list(it))
            print(f(iter(range(k, 9)), k))
            print(f((y for y in (1, 5, 2)), k))
    """)
    run.assert_compiled("f")


@pytest.mark.parametrize("change", ["a.append(1)", "a.pop()", "a.clear()", "a.insert(0, 3)", "del a[1:3]"])
def test_lists_that_change_meanwhile(both, change):
    """A finaliser changes the list in the middle; the expression sees that."""
    run = both(f"""
        from probe import hot

        class D:
            def __init__(self, v):
                self.v = v

            def __del__(self):
                if self.v == 2 and armed and len(a) > 1:
                    {change}

        def f(ds, a):
            return sum(ds.pop().v + x for x in a)

        armed = False
        a = [0, 1, 2, 3, 4, 5]
        hot(f, [D(k) for k in range(40)], a)
        armed = True
        for k in range(3):
            a[:] = [0, 1, 2, 3, 4, 5]
            try:
                print(f([D(n % 4) for n in range(40)], a), a)
            except Exception as e:
                print(repr(e), a)
    """)
    run.assert_compiled("f")


def test_references(both):
    """Nothing is kept, and nothing let go too early, however the expression ends."""
    run = both("""
        import gc
        import sys
        import weakref

        from probe import hot

        class P:
            def __init__(self, v):
                self.v = v

        def f(a, k):
            return any(p.v == k for p in a), sum(p.v for p in a), all(p.v != k for p in a)

        a = [P(n) for n in range(10)]
        hot(f, a, 3)
        b = [P(n) for n in range(10)]
        for k in (3, 99, 0, 9):
            for _ in range(50):
                f(b, k)
        for odd in (None, "x", 1.5, 2**70, 2**62):
            b[5].v = odd
            for _ in range(20):
                try:
                    f(b, 77)
                except TypeError:
                    pass
            print(sys.getrefcount(b), [sys.getrefcount(p) for p in b], sys.getrefcount(f.__code__))
        w = [weakref.ref(p) for p in b]
        del b
        print([r() for r in w], gc.collect() >= 0)
    """)
    run.assert_compiled("f")


def test_cells(both):
    """Variables that the expression shares with its function, and that somebody changes meanwhile."""
    run = both("""
        from probe import hot

        def f(a, change):
            k = 1
            def set(v):
                nonlocal k
                k = v
                return 0
            r = sum(x * k for x in a)
            set(5)
            return r, sum(x * k for x in a), sum(x * k + (set(x) if change else 0) for x in a), k

        hot(f, [1, 2, 3], False)
        print(f([1, 2, 3], False), f([1, 2, 3], True), f([1.5, 2], False), f([], True))
    """)
    run.assert_compiled("f")


def test_who_looks(both):
    """Where Python code looks at the expression's frame, it is there."""
    run = both("""
        import sys

        from probe import hot

        def names():
            f, out = sys._getframe(1), []
            while f is not None:
                out.append((f.f_code.co_name, f.f_lineno))
                f = f.f_back
            return out

        class Odd:
            def __gt__(self, other):
                print(names(), sorted(sys._getframe(1).f_locals))
                return True

            def __bool__(self):
                print(names())
                return False

        def f(a):
            return any(x > 5 for x in a), any(x for x in a)

        hot(f, [1, 2, 3])
        print(f([1, 2, 3]), f([1, Odd(), 3]), f([0, Odd()]))
    """)
    run.assert_compiled("f")


def test_signals(both):
    """A signal handler runs in the middle of a long expression, and may raise."""
    run = both(
        """
        import signal
        import time

        from probe import hot

        seen = 0

        def handler(number, frame):
            global seen
            seen += 1
            if seen == 5:
                raise KeyError("enough")

        def f(n):
            return sum(i & 3 for i in range(n))

        def g(n):
            return any(i < 0 for i in range(n) if i & 1)

        hot(f, 10)
        hot(g, 10)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        for work in (f, g):
            seen = 0
            try:
                while True:
                    work(3_000_000)
            except KeyError as e:
                print(e)
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(f(1000), g(1000))
        """,
        timeout=120,
    )
    run.assert_compiled("f", "g")


def test_recursion(both):
    """Near the recursion limit, where the interpreter has no room for the expression."""
    run = both("""
        import sys

        from probe import hot

        def f(n, a):
            if n:
                return f(n - 1, a)
            return sum(x for x in a) + sum(x * 0.5 for x in a)

        hot(f, 0, [1, 2])
        sys.setrecursionlimit(200)
        for n in range(150, 210):
            try:
                f(n, [1, 2])
            except RecursionError as e:
                print("limit", e)
                break
        print(f(3, [1, 2]), f(3, [1, 2.5]))
    """)
    run.assert_compiled("f")


def test_builtins_replaced(both):
    run = both("""
        import builtins

        from probe import hot

        def f(a):
            return sum(x for x in a), any(x > 2 for x in a)

        hot(f, [1, 2, 3])
        print(f([1, 2, 3]))
        kept = builtins.sum
        builtins.sum = list
        print(f([1, 2, 3]))
        builtins.sum = kept
        any = lambda g: type(g).__name__
        print(f([1, 2, 3]))
    """)
    run.assert_compiled("f")


def test_other_classes_of_items(both):
    """Items of a class that was not met before leave; the rest is added as CPython does."""
    run = both("""
        from probe import hot

        def f(a):
            return sum(x for x in a)  # item

        hot(f, [1, 2, 3])
        print(f([1, 2, 3]), repr(f([1, 0.25, 3])), repr(f([0.1] * 10)), f([True, 2]))
    """)
    run.assert_compiled("f")
    run.assert_left("f", "item", TYPE)


def test_modules_own_code(tmp_path):
    """Variables of the module are read where the loop that stores them has them."""
    run = both_early(
        tmp_path,
        """
        import probe

        class P:
            def __init__(self, v):
                self.v = v

        a, ps, out = [1, 2, 3, 4], [P(k) for k in range(5)], []
        k = 0
        for n in range(4000):
            k = k + 1 & 7
            t = sum(x * k for x in a) + max(p.v + k for p in ps)
            if any(x == k for x in a):
                out.append((k, t, tuple(x + k for x in a)))
            if n % 900 == 7:
                a[1] = a[1] * 0.5
        print(len(out), out[:5], out[-5:], a)
        probe.snapshot()
        """,
    )
    run.assert_loop("<module>")


def test_empty(both):
    """`max` and `min` of nothing raise; the others have an answer."""
    run = both("""
        from probe import hot

        def f(a):
            return max(x for x in a)

        def g(a):
            return min(x * 2.0 for x in a)

        def h(a):
            return tuple(x for x in a), set(x for x in a), "".join(x for x in a), sum(x for x in a), sum(x / 2 for x in a)

        hot(f, [1])
        hot(g, [1.0])
        hot(h, [])
        for k in range(200):
            for e in f, g:
                try:
                    e([])
                except ValueError as error:
                    text = str(error)
        print(text, f([3, 5]), g([3.0, 5.0]), h([]))
    """)
    run.assert_compiled("f", "g", "h")


def test_which_one_is_chosen(both):
    """Of equals the first; nan stays where it comes first; ints and floats mixed."""
    run = both("""
        from probe import hot

        def f(a):
            return max(x for x in a), min(x for x in a)

        def g(a):
            return max(x * 1.0 for x in a), min(x * 1.0 for x in a)

        hot(f, [1, 2])
        hot(g, [1.0, 2.0])
        nan = float("nan")
        for a in ([1, 1.0, True], [1.0, 1], [nan, 1.0], [1.0, nan], [0.0, -0.0], [-0.0, 0.0], [2**80, 1], [3, 2.5, 2**70],
                  [True, False], [float("inf"), -1]):
            print(f(a), g(a) if 2**80 not in a else None)
        print(f("spam"), f([(1, 2), (1, 3)]), f(["b", "a"]), f([[2], [1]]))
        try:
            f([1, "x"])
        except TypeError as e:
            print(e)
    """)
    run.assert_compiled("f", "g")


@pytest.mark.parametrize(
    "build",
    [
        "list(x for x in a)",
        "sorted(x for x in a)",
        "tuple(x for x in a)",
        "set(x for x in a)",
        "dict((x, x) for x in a)",
    ],
)
def test_sizes(both, build):
    """Containers are as large as CPython makes them, made in place or at an exit."""
    run = both(f"""
        import sys

        from probe import hot

        def f(a):
            return {build}

        hot(f, [3, 1, 2])
        print([sys.getsizeof(f(list(range(n)))) for n in range(40)])
        print([sys.getsizeof(f(list(range(n)) + [0.5])) for n in range(40)])
        print([sys.getsizeof(f(iter(range(n)))) for n in range(40)])
    """)
    run.assert_compiled("f")


def test_dicts_iterated_over(both):
    """A dict that changes, one that ends with its iterator, and iterators of other classes."""
    run = both("""
        import weakref

        from probe import hot

        class D:
            def __init__(self, log):
                self.log = log

            def __del__(self):
                self.log.append("end")

            def __len__(self):
                return 3

        def f(d):
            return sum(v for v in d.values()), any(k == 7 for k in d), max(len(x) for x in d.items())

        def g(d, n):
            return sum(d.pop(n) if k == n else v for k, v in d.items())

        def h(log):
            return sum(len(v) for v in {1: D(log), 2: D(log)}.values()), list(log)

        def i(x):
            return sum(v for v in x)

        hot(f, {1: 2, 3: 4})
        hot(g, {1: 2, 3: 4}, 9)
        hot(h, [])
        hot(i, {1: 2}.keys())
        print(f({1: 2.5, 7: 3}), f(dict.fromkeys(range(100), 2)))
        for n in (1, 3, 2):
            try:
                print(g({1: 2, 2: 3, 3: 4}, n))
            except RuntimeError as e:
                print(e)
        print(h([]), i({5, 6}), i(frozenset((1, 2))), i(x for x in (1, 2)), i(map(int, "123")), i({1: 2}.values()))
    """)
    run.assert_compiled("f", "g", "h", "i")


def test_bools_and_floats_are_counted(both):
    """What is yielded is told by the instruction before, or by what came once."""
    run = both("""
        from probe import hot

        class P:
            def __init__(self, v):
                self.v = v

        def f(a, s):
            return sum(x > 2 for x in a), sum(x in a for x in a), sum(c.isdigit() for c in s)

        def g(ps):
            return sum(p.v for p in ps), max(p.v for p in ps)

        a, s, ps = [1, 2, 3, 4], "a1b2", [P(k / 2) for k in range(9)]
        hot(f, a, s)
        hot(g, ps)
        for _ in range(500):
            r = f(a, s), g(ps)
        print(r)
    """)
    run.assert_compiled("f", "g")
    for name in "f", "g":
        left = sum(n for r in run.regions(name) for _, _, n in r["exits"])
        assert left < 100, run.exits(name)
    assert not [
        r for r in run.regions("f.<locals>.<genexpr>") + run.regions("g.<locals>.<genexpr>") if r["entries"] > 0
    ]
