"""Calls between functions, compiled and not: frames, depth, exceptions, the ends of functions and objects."""


def test_recursion_ends_at_the_same_depth(both):
    run = both("""
        import sys
        from probe import hot, compiled

        def down(n):
            return 0 if n == 0 else 1 + down(n - 1)

        def never(n):
            return never(n + 1)

        def depth():
            try:
                never(0)
            except RecursionError as e:
                n, t = 0, e.__traceback__
                while t:
                    n, t = n + 1, t.tb_next
                return n, str(e)

        hot(down, 20)
        compiled(never)
        print(down(900), depth(), depth())
        sys.setrecursionlimit(60000)
        print(down(50000))
        sys.setrecursionlimit(3000)
        print(depth())
    """)
    run.assert_compiled("down")


def test_small_machine_stacks(both):
    run = both("""
        import threading
        from probe import hot

        def down(n):
            return 0 if n == 0 else 1 + down(n - 1)

        hot(down, 20)
        threading.stack_size(128 * 1024)
        out = []
        for _ in range(3):
            t = threading.Thread(target=lambda: out.append(down(850)))
            t.start()
            t.join()
        print(out)
    """)
    run.assert_compiled("down")


def test_frames_kept_after_the_return(both):
    run = both("""
        import gc
        import sys
        from probe import hot

        kept = []

        def keep(a, b):
            c = a + b
            kept.append(sys._getframe())
            return c

        def calls(n):
            r = 0
            for i in range(n):
                r += keep(i, 2)
            return r

        hot(keep, 1, 2)
        hot(calls, 3)
        kept.clear()
        print(calls(4), keep(7, 8))
        gc.collect()
        for f in kept:
            print(f.f_lineno, f.f_locals, f.f_code.co_name, f.f_back.f_code.co_name)
    """)
    run.assert_compiled("keep", "calls")


def test_exceptions_pass_through_compiled_callers(both):
    run = both("""
        import traceback
        from probe import hot

        def boom(x):
            if x > 3:
                raise ValueError(x)
            return x

        def passer(n):
            return boom(n) + 1

        def catcher(n):
            out = []
            for i in range(n):
                try:
                    out.append(passer(i))
                except ValueError as e:
                    out.append((e.args, e.__traceback__.tb_next.tb_next.tb_lineno))
            return out

        hot(boom, 1)
        hot(passer, 1)
        hot(catcher, 6)
        print(catcher(8))
        try:
            passer(9)
        except ValueError:
            print(traceback.format_exc())
    """)
    run.assert_compiled("boom", "passer", "catcher")


def test_generators_and_coroutines_as_callers(both):
    run = both("""
        from probe import hot

        def square(x):
            return x * x

        def items(n):
            for i in range(n):
                yield square(i)

        async def total(n):
            s = 0
            for i in range(n):
                s += square(i)
            return s

        hot(square, 3)
        print(list(items(10)), sum(square(i) for i in range(20)))
        try:
            total(100).send(None)
        except StopIteration as e:
            print(e.value)
    """)
    run.assert_compiled("square")


def test_finalisers_see_the_caller(both):
    run = both("""
        import sys
        from probe import hot

        log = []

        class Loud:
            def __init__(self, n):
                self.n = n

            def __del__(self):
                f = sys._getframe(1)
                log.append((self.n, f.f_code.co_name, f.f_lineno))

        def owns(n):
            a = Loud(n)
            b = Loud(n + 1)
            return n

        def calls(n):
            for i in range(n):
                owns(i * 10)

        hot(owns, 1)
        hot(calls, 2)
        log.clear()
        calls(4)
        print(log)
    """)
    run.assert_compiled("owns", "calls")


def test_a_function_that_goes_away_while_it_runs(both):
    run = both("""
        import gc
        import weakref
        from probe import STOOP, under_stoop

        TEXT = '''
        def last(n):
            global last
            if n == 0:
                del last
                import gc
                gc.collect()
                return 1
            return 1 + last(n - 1)
        '''

        def once():
            import textwrap
            space = {}
            exec(textwrap.dedent(TEXT), space)
            space["last"](1)
            exec(textwrap.dedent(TEXT), space)
            f = space["last"]
            if under_stoop():
                assert STOOP.compile(f) is None
            gone = weakref.ref(f)
            del f
            print(space["last"](3))
            del space
            gc.collect()
            return gone

        for _ in range(5):
            once()
    """)
    assert run.output.split() == ["4"] * 5


def test_callees_change(both):
    run = both("""
        from probe import hot, compiled

        def one(x):
            return "one", x

        def two(x):
            return "two", x

        def optional(a, b=10):
            return a + b

        def calls(x):
            return one(x), optional(x), optional(x, 1)

        hot(one, 1)
        hot(optional, 1)
        hot(calls, 1)
        print(calls(1))
        optional.__defaults__ = (77,)
        print(calls(2))
        one.__code__ = two.__code__
        print(calls(3))
        compiled(one)
        compiled(calls)
        print(calls(4))
        one = two
        print(calls(5))
    """)
    run.assert_compiled("optional")


def test_methods_of_several_classes(both):
    run = both("""
        from probe import hot

        class A:
            def __init__(self):
                self.x = 1
            def m(self, n):
                return "A", n

        class B(A):
            def m(self, n):
                return "B", n

        class Slots:
            __slots__ = ("x",)
            def __init__(self):
                self.x = "slot"
            def m(self, n):
                return "Slots", n

        class Property:
            @property
            def x(self):
                return "property"
            @staticmethod
            def m(n):
                return "static", n

        class Dynamic:
            def __getattr__(self, name):
                if name == "x":
                    return "dynamic"
                return lambda *a: (name, *a)

        def use(o):
            return o.x, o.m(1)

        def set_x(o, v):
            o.x = v
            return o.x

        kinds = [A, B, Slots, Property, Dynamic]
        for k in kinds:
            use(k())
        hot(use, A())
        hot(set_x, A(), 1)
        for _ in range(100):
            r = [use(k()) for k in kinds]
            s = [set_x(k(), 5) for k in (A, B, Slots)]
        print(r, s)
        a = A()
        a.m = lambda n: ("instance", n)
        print(use(a), use(A()))
        del a.m
        print(use(a))
        A.m = lambda self, n: ("new", n)
        print(use(a), use(B()))
        A.x = property(lambda self: "now a property")
        print(use(a))
        del A.x
        names = a.__dict__
        print(set_x(a, 7), names)
        del a.x
        try:
            use(a)
        except AttributeError as e:
            print(e)
        print(set_x(a, 8), names)
    """)
    run.assert_compiled("use", "set_x")
