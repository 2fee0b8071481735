"""What compiled code names is let go with the code, though both hold each other."""
# ruff: noqa: E501 (lines of the programs under test)

import pytest

PROGRAMS = {
    "a class and its function": """
        class C:
            def __init__(self, x):
                self.x = x
            def m(self, k):
                t = 0
                for i in range(4):
                    t += self.x * k + i
                return t
        def f(n):
            return sum([C(i).m(2) for i in range(n)])
    """,
    "a generator expression": """
        class C:
            def __init__(self, x):
                self.x = x
        def f(n):
            return sum(C(i).x for i in range(n))
    """,
    "functions that call each other": """
        class C:
            def m(self):
                return f
        def even(n):
            return n <= 0 or odd(n - 1)
        def odd(n):
            return n > 0 and even(n - 1)
        def f(n):
            return [even(i) + odd(i) for i in range(n) if C().m()]
    """,
    "closures that are gone": """
        class C:
            def __init__(self, x):
                self.x = x
        def make(k):
            def g(n):
                t = 0
                for i in range(n):
                    t += C(i).x + k
                return t
            return g
        def f(n):
            return sum([make(i)(5) for i in range(n)])
    """,
    "a lambda and an instance": """
        class C:
            def m(self, k):
                return k + 1
        c = C()
        def f(n):
            return sum(map(lambda k: c.m(k), range(n)))
    """,
    "a generator": """
        class C:
            def __init__(self, x):
                self.x = x
            def __iter__(self):
                for i in range(self.x):
                    yield C(i).x
        def f(n):
            t = 0
            for x in C(n):
                t += x
            return t
    """,
}


@pytest.mark.parametrize("what", PROGRAMS)
def test_code_that_nobody_can_reach_goes(both_early, what):
    both_early(f"""
        import gc, textwrap, weakref
        import probe

        def compiled():
            return {{x.name for x in probe.STOOP.stats().functions if x.regions and x.filename == "made.py"}}

        code = compile(textwrap.dedent({PROGRAMS[what]!r}), "made.py", "exec")
        gone = []
        for turn in range(4):
            names = {{}}
            exec(code, names)
            for _ in range(6):
                result = names["f"](20)
            gone += [weakref.ref(names["C"]), weakref.ref(names["f"])]
            assert not probe.under_stoop() or "f" in compiled()  # what is to go is there
            del names
        gc.collect()
        print(result, [r() for r in gone])
    """)


def test_what_lives_is_kept(both_early):
    both_early("""
        import gc
        import probe

        class C:
            def __init__(self, x):
                self.x = x

        def make(k):
            def g(n):
                return C(n).x + k
            return g

        def f(n):
            return sum(g(i) for g in (make(1), make(2)) for i in range(n))

        kept = make(3)
        for turn in range(30):
            print(f(10), kept(turn))
            gc.collect()
            if turn == 20:
                assert not probe.under_stoop() or probe.STOOP.info(kept).regions
                C = type("C", (C,), {})
                del make
                make = lambda k: kept
    """)


def test_garbage_whose_finaliser_calls_it(both_early):
    both_early("""
        import gc
        import probe

        def build():
            class C:
                def __init__(self, x):
                    self.x = x
                def __del__(self):
                    made.append(f(3))
            def f(n):
                t = 0
                for i in range(n):
                    t += n * 2 + step(i)
                return t
            def step(i):
                return i if C else f(0)
            c = C(1)
            c.me = c, f
            return f

        made = []
        for turn in range(6):
            f = build()
            for k in range(5):
                f(k)
            del f
            gc.collect()
        print(made)
    """)


def test_a_long_function_with_many_variables_is_compiled_in_time(both):
    run = both("""
        from probe import hot

        def long(lines):
            names = {}
            body = "".join(f"        v{k} = s + {k}\\n" for k in range(lines))
            exec(f"def f(s):\\n    while s < 100:\\n        s = s + 1\\n{body}    return v0 + v{lines - 1}\\n", names)
            return names["f"]

        # Half a second where registers are given out in one pass, minutes otherwise.
        f = long(400)
        hot(f, 90)
        print(f(99), f(99.5))
    """)
    run.assert_compiled("f")


def test_a_function_whose_exits_would_be_endless_is_refused(both):
    both("""
        import probe

        names = {}
        body = "".join(f"        v{k} = s + {k}\\n" for k in range(1500))
        exec(f"def f(s):\\n    while s < 100:\\n        s = s + 1\\n{body}    return v0 + v1499\\n", names)
        f = names["f"]
        print(f(97), f(98), f(99.5))
        if probe.under_stoop():
            assert "too large" in str(probe.STOOP.compile(f)), probe.STOOP.info(f)
        print(f(98))
    """)


def test_programs_that_ask_who_holds_what_see_no_regions(both):
    run = both("""
        import gc, inspect, sys
        from probe import hot

        class C:
            def __init__(self, x):
                self.x = x
            def m(self):
                return helper(self.x)

        def helper(n):
            return n + 1

        def f(n):
            t = 0
            for i in range(n):
                t += C(i).m()
            return t

        hot(f, 10)
        for o in (helper, helper.__code__, C.m, C.m.__code__, C):
            print(sorted(type(r).__name__ for r in gc.get_referrers(o)))
        print(sorted(str(type(r)) for r in gc.get_referents(f)), len(gc.get_referents(f, helper)), gc.get_referents(), gc.get_referents(5))
        for bad in (lambda: gc.get_referrers(x=1), lambda: gc.get_referents(x=1)):
            try:
                bad()
            except TypeError as e:
                print(e)
        sys.addaudithook(lambda name, args: gc.collect() if name.startswith("gc.get_ref") else None)
        print(len(gc.get_referrers(helper)), f(20))
    """)
    run.assert_compiled("f")
