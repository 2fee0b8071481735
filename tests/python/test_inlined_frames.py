"""Inlined functions that run Python code: they have frames while anybody can look."""
# ruff: noqa: E501 (lines of the programs under test)

import pytest


def assert_inlined(run, outer, *names):
    """Premise: the function is compiled with these in it."""
    run.assert_compiled(outer)
    assumed = [a for r in run.regions(outer) for a in r["assumptions"]]
    for name in names:
        assert any(a.startswith("function ") and a.split()[1].endswith(name) for a in assumed), (name, assumed)


def test_who_looks_sees_the_frames_of_inlined_functions(both):
    run = both("""
        import sys
        from probe import hot

        def look(see):
            if not see:
                return None
            f, out = sys._getframe(1), []
            while f is not None:
                names = {k: v for k, v in f.f_locals.items() if isinstance(v, (int, float, str, tuple))} if f.f_code.co_name != "<module>" else {}
                out.append((f.f_code.co_name, f.f_lineno, names))
                f = f.f_back
            return out

        LOOK = [look]

        def inner(a, x):
            b = a + 1
            t = (a, b)
            y = x * 2.0
            r = LOOK[0](a == 7)
            return r or b + t[0] + y

        def middle(a, x):
            s = "m"
            return inner(a, x + 1.0)

        def f(n):
            out = []
            x = 0.5
            for i in range(n):
                x = x + 0.25
                out.append(middle(i, x))
            return out

        hot(f, 6)
        for row in f(10):
            print(row)
    """)
    assert_inlined(run, "f", "inner", "middle")


def test_a_traceback_has_the_lines_of_inlined_functions(both):
    run = both("""
        import traceback
        from probe import hot

        BAD = []

        def check(v):
            if v in BAD:
                raise ValueError(v)
            return v

        CHECK = [check]

        def inner(v):
            return CHECK[0](v) + 1

        def middle(v):
            w = inner(v)
            return w

        def f(n):
            total = 0
            for i in range(n):
                total += middle(i)
            return total

        def g(n):
            total = 0
            for i in range(n):
                try:
                    total += middle(i)
                except ValueError as e:
                    total += 1000
                    names = [t.name for t in traceback.extract_tb(e.__traceback__)]
            return total, names

        hot(f, 6)
        BAD.append(1)
        hot(g, 6)
        BAD[:] = [3]
        print(g(8))
        try:
            f(8)
        except ValueError:
            traceback.print_exc(limit=5)
    """)
    assert_inlined(run, "f", "inner", "middle")
    run.assert_compiled("g")


def test_an_inlined_function_s_own_handler(both):
    run = both("""
        from probe import hot

        class Bad:
            def __init__(self, bad):
                self.bad = bad
            def __len__(self):
                if self.bad:
                    raise KeyError("bad")
                return 3

        def size(x):
            try:
                return len(x)
            except KeyError as e:
                return repr(e)

        def f(objects):
            out = []
            for o in objects:
                out.append(size(o))
            return out

        good = [Bad(False) for _ in range(6)]
        hot(f, good)
        print(f(good), f([*good, Bad(True), *good]))
    """)
    assert_inlined(run, "f", "size")


def test_a_frame_that_is_kept_stays_the_same(both):
    run = both("""
        import sys
        from probe import hot

        KEPT = []

        def keep(k):
            if k:
                KEPT.append(sys._getframe(1))

        KEEP = [keep]

        def inner(a, last):
            b = a * 2
            KEEP[0](last)
            c = b + 1
            KEEP[0](last)
            return c

        def f(n):
            s = 0
            for i in range(n):
                s += inner(i, i == n - 2)
            return s

        hot(f, 1)
        print(f(6))
        print(len(KEPT), KEPT[-1] is KEPT[-2], KEPT[-1].f_locals, KEPT[-1].f_lineno, KEPT[-1].f_back.f_code.co_name)
    """)
    assert_inlined(run, "f", "inner")


@pytest.mark.parametrize("where", [1, 2])
def test_locals_written_from_a_callee(both, where):
    run = both(f"""
        import sys
        from probe import hot

        class Noisy:
            def __init__(self, n):
                self.n = n
            def __del__(self):
                print("gone", self.n)

        def poke(x):
            if x.n == 5 and sys.version_info >= (3, 13):
                sys._getframe({where}).f_locals["x"] = Noisy(99)
                print("poked")

        POKE = [poke]

        def inner(x):
            POKE[0](x)
            return x.n

        def f(n):
            s = 0
            for i in range(n):
                x = Noisy(i)
                s += inner(x)
            return s

        hot(f, 3)
        print(f(8))
    """)
    assert_inlined(run, "f", "inner")


@pytest.mark.parametrize("tool", ["trace", "profile", "monitor"])
def test_a_tool_switched_on_inside_an_inlined_function(both, tool):
    run = both(f"""
        import sys
        from probe import hot

        EVENTS = []

        def tracer(frame, event, arg):
            EVENTS.append((frame.f_code.co_name, event, frame.f_lineno))
            return tracer

        def profiler(frame, event, arg):
            EVENTS.append((frame.f_code.co_name, event, frame.f_lineno))

        def act(i):
            if i != 4:
                return
            if "{tool}" == "trace":
                sys.settrace(tracer)
                sys._getframe(1).f_trace = tracer
                sys._getframe(2).f_trace = tracer
            elif "{tool}" == "profile":
                sys.setprofile(profiler)
            else:
                M = sys.monitoring
                M.use_tool_id(2, "test")
                for e in (M.events.LINE, M.events.PY_RETURN, M.events.PY_START):
                    M.register_callback(2, e, lambda code, *rest: EVENTS.append((code.co_name, *rest)))
                M.set_events(2, M.events.LINE | M.events.PY_RETURN | M.events.PY_START)

        def off():
            sys.settrace(None)
            sys.setprofile(None)
            if "{tool}" == "monitor":
                sys.monitoring.set_events(2, 0)

        ACT = [act]

        def inner(i):
            ACT[0](i)
            j = i + 1
            return j

        def f(n):
            s = 0
            for i in range(n):
                s += inner(i)
            return s

        hot(f, 3)
        print(f(7))
        off()
        for e in EVENTS:
            print(e)
    """)
    assert_inlined(run, "f", "inner")


def test_a_method_replaced_while_it_is_inlined(both):
    run = both("""
        from probe import hot

        class A:
            def step(self, i):
                r = HOOK[0](i)
                return r + self.more(i)
            def more(self, i):
                return 1

        class B:
            def step(self, i):
                return -1
            def more(self, i):
                return 7

        def hook(i):
            if i == 5:
                A.more = lambda self, i: 100
            if i == 7:
                a.__class__ = B
            return i

        HOOK = [hook]
        a = A()

        def f(n):
            out = []
            for i in range(n):
                out.append(a.step(i))
            return out

        hot(f, 4)
        print(f(10))
    """)
    assert_inlined(run, "f", "A.step")


def test_deep_recursion(both):
    run = both("""
        import sys
        from probe import hot

        DEPTH = 0

        def down(n):
            global DEPTH
            DEPTH = n
            if n == 0:
                return 0
            return up(n - 1) + 1

        def up(n):
            global DEPTH
            DEPTH = n
            if n == 0:
                return 0
            return down(n - 1) + 1

        def fib(n):
            if n < 2:
                return n
            return fib(n - 1) + fib(n - 2)

        hot(down, 20)
        hot(up, 20)
        hot(fib, 12)
        print(down(600), fib(15))
        for limit in (300, 301, 302, 303, 450):
            sys.setrecursionlimit(limit)
            for g in (down, up):
                try:
                    g(10_000)
                except RecursionError as e:
                    print(limit, g.__name__, 10_000 - DEPTH, e)
        sys.setrecursionlimit(1000)
        print(down(600), up(601))
    """)
    run.assert_compiled("down", "up", "fib")


def test_frames_cross_chunks_of_the_data_stack(both):
    run = both("""
        from probe import hot

        def deep(n, depth):
            a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = n
            if depth:
                return deep(n, depth - 1) + LEAF[0](a0 + a7)
            return f(n)

        LEAF = [lambda x: x]

        def inner(a, b):
            c = a + b
            return LEAF[0](c) + b

        def f(n):
            s = 0
            for i in range(n):
                s += inner(i, n)
            return s

        hot(f, 5)
        print([deep(6, d) for d in range(0, 300, 3)])
    """)
    assert_inlined(run, "f", "inner")


def test_an_init_that_runs_python_code(both):
    run = both("""
        import sys
        from probe import hot

        class Base:
            def __init__(self, x):
                self.x = VALUE[0](x)

        class P(Base):
            def __init__(self, x, y):
                super().__init__(x)
                self.y = VALUE[0](y)

            def total(self):
                return self.x + self.y

        def value(v):
            if v == 6:
                f = sys._getframe(1)
                print(f.f_code.co_qualname, sorted(f.f_locals), type(f.f_locals["self"]).__name__, vars(f.f_locals["self"]))
            if v == 9:
                raise ValueError(v)
            return v

        VALUE = [value]

        def f(n):
            s = 0
            for i in range(n):
                s += P(i, i + 1).total()
            return s

        hot(f, 4)
        print(f(8))
        try:
            f(12)
        except ValueError as e:
            tb = e.__traceback__
            while tb:
                print(tb.tb_frame.f_code.co_name, tb.tb_lineno)
                tb = tb.tb_next
    """)
    run.assert_compiled("f")


def test_operators_and_subscripts_that_run_python_code(both):
    run = both("""
        import sys
        from probe import hot

        class V:
            def __init__(self, x):
                self.x = x
            def __add__(self, o):
                return V(NUM[0](self.x + o.x))
            def __getitem__(self, k):
                return NUM[0](self.x + k)
            def __eq__(self, o):
                return NUM[0](self.x) == o.x
            def __lt__(self, o):
                return NUM[0](self.x) < o.x

        def num(x):
            if x > 30:
                return [sys._getframe(k).f_code.co_name for k in range(3)] and x
            return x

        NUM = [num]

        def f(n):
            v = V(0)
            out = 0
            for i in range(n):
                v = v + V(i)
                out += v[i] + (v == V(3)) + (v < V(100))
            return out, v.x

        hot(f, 5)
        print(f(30))
    """)
    run.assert_compiled("f")


def test_globals_of_the_inlined_function_s_module(both):
    run = both(
        """
        import sys, types
        from probe import hot

        other = types.ModuleType("other")
        exec(
            "COUNT = 0\\n"
            "def count(k):\\n  global COUNT\\n  COUNT = COUNT + k\\n  return COUNT\\n"
            "def fresh(k):\\n  return lambda: COUNT + k\\n"
            "def late(k):\\n  return LATE + k\\n",
            other.__dict__,
        )
        count, fresh, late = other.count, other.fresh, other.late
        COUNT = "mine"
        LATE = "mine"
        other.LATE = 5

        def f(n):
            out = []
            for i in range(n):
                out.append(count(i))
                out.append(fresh(i)())
                out.append(late(i))
                if i == 5:
                    other.LATE = 7
            return out

        hot(f, 4)
        print(f(9), COUNT)
    """
    )
    run.assert_compiled("f")


def test_finalisers_and_reference_counts_around_pushed_frames(both):
    run = both("""
        import gc, sys, weakref
        from probe import hot

        class D:
            def __del__(self):
                GONE.append(sys._getframe(0).f_code.co_name)

        GONE = []
        COUNTS = []

        def see(x):
            COUNTS.append(len(GONE))
            gc.collect() if len(COUNTS) % 50 == 0 else None

        SEE = [see]

        def inner(x, k):
            y = D()
            SEE[0](x)
            x = k
            SEE[0](x)
            return y

        def f(n):
            for i in range(n):
                d = D()
                inner(d, i)
                del d
                SEE[0](i)

        hot(f, 4)
        f(100)
        print(len(GONE), COUNTS[-12:])
    """)
    run.assert_compiled("f")


def test_c_functions_that_run_no_python_raise_in_inlined_functions(both):
    run = both("""
        import traceback
        from probe import hot

        def has_surrogates(s):
            try:
                s.encode()
                return False
            except UnicodeEncodeError:
                return True

        def place(s, part):
            return s.index(part)

        def around(s, part):
            return place(s, part) + 1

        class Text:
            def __init__(self, s):
                self.n = s.index("a")
            def __add__(self, other):
                return other.index("b")

        def caught(s):
            return has_surrogates(s)

        def uncaught(s):
            return around(s, "a")

        def made(s):
            return Text(s).n

        def added(t, s):
            return t + s

        def looped(texts):
            out = []
            for s in texts:
                try:
                    out.append(around(s, "a"))
                except ValueError as e:
                    out.append(len(traceback.extract_tb(e.__traceback__)))
                out.append(has_surrogates(s))
            return out

        def shown(f, *args):
            try:
                print(f(*args))
            except ValueError:
                traceback.print_exc()

        t = Text("a")
        hot(caught, "abc")
        hot(uncaught, "abc")
        hot(made, "abc")
        hot(added, t, "abc")
        hot(looped, ["abc", "cba"])
        for s in ("abc", "xyz", "\\udce1", "b"):
            shown(caught, s)
            shown(uncaught, s)
            shown(made, s)
            shown(added, t, s)
        print(looped(["abc", "xyz", "\\udce1a", "\\udce1"] * 3))
    """)
    run.assert_compiled("caught", "uncaught", "made", "added", "looped")
    assert any("raised" in reason for reason, _, _ in run.exits("caught")), run.exits("caught")
    assert any("raised" in reason for reason, _, _ in run.exits("uncaught")), run.exits("uncaught")
