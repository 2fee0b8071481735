"""What comes while compiled code runs: exceptions from outside, other interpreters, a recursion limit that moves."""

import textwrap

import pytest

LOOPS = textwrap.dedent("""
    from probe import hot

    class P:
        def __init__(self, x):
            self.x = x

        def inc(self):
            self.x = self.x + 1 if self.x < 1000 else 0
            return self

        @property
        def twice(self):
            return self.x * 2

    def add(a, b):
        return a + b

    def counting():
        n = 0
        while True:
            n += 1

    def calling():
        n = 0
        while True:
            for i in range(1000):
                n = add(n, i) & 0xFFFF

    def methods():
        p = P(1)
        while True:
            q = p.inc().x + p.twice

    def handling():
        while True:
            try:
                raise KeyError(1)
            except KeyError:
                pass

    def items():
        d = {}
        seen = [0] * 100
        while True:
            for k, v in enumerate(seen):
                seen[k] = v + 1 if v < 1000 else 0
                d[k] = d.get(k, 0) + 1

    def endless():
        i = 0
        try:
            while True:
                i += 1
                yield i
        finally:
            closed.append(i > 0)

    def consuming():
        t = 0
        for x in endless():
            t += x

    def callback():
        while True:
            sorted([3, 1, 2], key=lambda v: -v)

    closed = []
    KINDS = [counting, calling, methods, handling, items, consuming, callback]
""")


def test_a_signal_interrupts_hot_loops_of_all_kinds(both_loop):
    run = both_loop(
        LOOPS
        + textwrap.dedent("""
        import gc, signal, traceback

        signal.signal(signal.SIGALRM, signal.default_int_handler)
        for f in KINDS:
            for turn in range(2):
                signal.setitimer(signal.ITIMER_REAL, 0.4)
                try:
                    f()
                except KeyboardInterrupt as e:
                    found = traceback.extract_tb(e.__traceback__)
                    print(f.__name__, found[0].name, found[1].name, all(x.lineno for x in found))
                gc.collect()
        print(closed)
        """)
    )
    for name in ("counting", "calling", "items"):
        assert run.regions(name), run.functions


def test_an_asynchronous_exception_ends_threads(both_loop):
    run = both_loop(
        LOOPS
        + textwrap.dedent("""
        import ctypes, threading, time

        class Stop(BaseException):
            pass

        def work(f):
            try:
                f()
            except Stop as e:
                out.append((f.__name__, e.__traceback__.tb_next.tb_frame.f_code.co_name))

        out = []
        for f in KINDS:
            t = threading.Thread(target=work, args=(f,))
            t.start()
            time.sleep(0.2)
            number = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(t.ident), ctypes.py_object(Stop))
            t.join(20)
            out.append((number, t.is_alive()))
        print(out)
        """)
    )
    for name in ("counting", "calling", "items"):
        assert run.regions(name), run.functions


def test_other_interpreters_come_and_go(both_loop):
    run = both_loop("""
        import textwrap, threading
        from probe import hot

        try:
            import _interpreters as interpreters
            create, execute, destroy = interpreters.create, interpreters.exec, interpreters.destroy
        except ImportError:
            import _xxsubinterpreters as interpreters
            create = lambda: interpreters.create(isolated=False)
            execute, destroy = interpreters.run_string, interpreters.destroy

        TEXT = '''
        def work(n):
            t = 0
            for i in range(n):
                t += i * i % 7
            return t

        class A:
            def __init__(self, x):
                self.x = x

            def more(self):
                return self.x + 1

        d = {}
        for i in range(100_000):
            d[i % 10] = d.get(i % 10, 0) + i
        assert (work(200_000), sum(A(i).more() for i in range(50_000)), d[3]) == (399999, 1250025000, 499980000)
        '''
        TEXT = textwrap.dedent(TEXT)

        def work(n):
            t = 0
            for i in range(n):
                t += i * i % 7
            return t

        def one():
            number = create()
            problem = execute(number, TEXT)
            if problem:
                print(problem)
            destroy(number)

        print(work(3_000_000))
        for _ in range(2):
            one()
            print(work(200_000))
        threads = [threading.Thread(target=one) for _ in range(3)]
        for t in threads:
            t.start()
        print(work(3_000_000))
        for t in threads:
            t.join()
        print(work(200_000))
    """)
    run.assert_loop("work")


def test_the_recursion_limit_moves(both):
    run = both("""
        import sys
        from probe import hot

        def depth(n):
            return 0 if n == 0 else 1 + depth(n - 1)

        def here(n):
            return 0 if n == 0 else 1 + there(n - 1)

        def there(n):
            return 0 if n == 0 else 1 + here(n - 1)

        class A:
            def __init__(self, n):
                self.inner = A(n - 1) if n else None

            def depth(self):
                return 1 + (self.inner.depth() if self.inner else 0)

        def lower(n):
            if n:
                return lower(n - 1)
            sys.setrecursionlimit(130)
            try:
                depth(500)
            except RecursionError as e:
                return str(e)

        hot(depth, 50)
        hot(here, 50)
        hot(there, 50)
        hot(A.depth, A(20))
        hot(lower, 20)
        for limit in (1000, 300, 150, 900, 400):
            sys.setrecursionlimit(limit)
            out = []
            for f in (depth, here, lambda n: A(n // 3).depth()):
                for n in range(limit - 12, limit + 3):
                    try:
                        f(n)
                        out.append(1)
                    except RecursionError:
                        out.append(0)
            print(limit, out)
            try:
                depth(10**6)
            except RecursionError as e:
                count, at = 0, e.__traceback__
                while at:
                    count, at = count + 1, at.tb_next
                print(count, e)
        sys.setrecursionlimit(1000)
        print(lower(60))
    """)
    assert run.regions("depth") and run.regions("here"), run.functions


def test_deep_recursion_through_c(both):
    """Compiled calls take machine stack and no unit of C recursion: the interpreter must not think that all is left."""
    pytest.importorskip("_testcapi")
    run = both("""
        import sys, _testcapi
        from probe import hot

        def f(n):
            if n:
                _testcapi.pyobject_vectorcall(f, (n - 1,), ())

        hot(f, 5)
        sys.setrecursionlimit(100_000)
        for n in (100, 90_000, 90_000):
            try:
                f(n)
                print("done")
            except RecursionError as e:
                print(str(e)[:32])
    """)
    run.assert_compiled("f")
