"""Calls: every convention, late changes, recursion, generators."""
# ruff: noqa: E501 (lines of the programs under test)


def test_calling_conventions(both):
    run = both("""
        from probe import hot

        def plain(a, b):
            return a, b
        def default(a, b=5, c="x"):
            return a, b, c
        def star(a, *rest):
            return a, rest
        def keyword(a, *, k=3, z):
            return a, k, z
        def both(a, /, b, *rest, k=1, **more):
            return a, b, rest, k, more
        def nothing():
            return None
        def only(**more):
            return more

        hot(plain, 1, 2); hot(default, 1); hot(star, 1, 2); hot(keyword, 1, z=2); hot(both, 1, 2)
        hot(nothing); hot(only, a=1)

        def attempt(f, *args, **keywords):
            try:
                return f(*args, **keywords)
            except TypeError as e:
                return str(e)

        for f in (plain, default, star, keyword, both, nothing, only):
            for args in ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)):
                for keywords in ({}, {"b": 7}, {"a": 1}, {"k": 8}, {"z": 9}, {"k": 1, "z": 2}, {"b": 1, "w": 2}):
                    print(f.__name__, args, keywords, attempt(f, *args, **keywords))
        print(plain(b=1, a=2), default(1, c=2), default(*[1, 2]), keyword(z=1, a=2, **{"k": 0}))
    """)
    run.assert_compiled("plain", "default", "star", "keyword", "both", "nothing", "only")


def test_calls_between_compiled_functions(both):
    run = both("""
        from probe import hot

        def add(a, b=10, *, c=1):
            return a + b + c

        def f(n):
            total = 0
            for i in range(n):
                total += add(i) + add(i, 2) + add(i, b=3) + add(a=i, c=5) + add(i, 1, c=2)
            return total

        hot(add, 1)
        hot(f, 5)
        print(f(100))
    """)
    run.assert_compiled("add", "f").assert_stayed("add", "f")


def test_what_compiled_code_calls_is_compiled_as_well(both):
    run = both(
        """
        from probe import hot

        from numbers import Number

        class P:
            def __init__(self):
                self.x = 0

            def step(self, k):
                self.x += k
                # What has a loop is not inlined.
                for _ in "x":
                    is_number = isinstance(k, Number)
                return is_number

        def f(p, n):
            for i in range(n):
                p.step(i)
            return p.x

        p = P()
        hot(f, p, 5)
        for _ in range(300):
            f(p, 2000)
        print(p.x)
    """,
        threshold=50,
        compile_share=100,
        sample_interval_ms=1000,
    )
    run.assert_compiled("f")
    assert [r["entries"] for r in run.regions("P.step") if r["kind"] == "function"], run.functions


def test_defaults_changed_late(both):
    run = both("""
        from probe import hot

        def g(a, b=1, *, c=2):
            return a + b + c

        def f(n):
            out = []
            for i in range(n):
                if i == 5:
                    g.__defaults__ = (100,)
                if i == 8:
                    g.__kwdefaults__ = {"c": 1000}
                if i == 10:
                    g.__kwdefaults__["c"] = 7
                out.append(g(i))
            return out

        hot(g, 1)
        hot(f, 4)
        print(f(12))
        g.__defaults__ = None
        try:
            f(2)
        except TypeError as e:
            print(e)
    """)
    run.assert_compiled("f", "g")


def test_mutable_defaults_are_shared(both):
    run = both("""
        from probe import hot

        def f(x, seen=[]):
            seen.append(x)
            return len(seen), seen is f.__defaults__[0]

        hot(f, 1)
        print(f(1), f(2), f(3))
    """)
    run.assert_compiled("f")


def test_code_replaced_late(both):
    run = both("""
        from probe import hot

        def g(a):
            return a + 1

        def other(a):
            return a * 100

        def f(n):
            out = []
            for i in range(n):
                if i == 6:
                    g.__code__ = other.__code__
                out.append(g(i))
            return out

        hot(g, 1)
        hot(f, 4)
        print(f(10), g(3))
    """)
    run.assert_compiled("f", "g")


def test_a_function_that_replaces_its_own_code(both):
    run = both("""
        from probe import hot

        def other(n):
            return "other"

        def f(n):
            for i in range(n):
                if i == 7:
                    f.__code__ = other.__code__
            return "first", i

        hot(f, 5)
        print(f(9), f(9))
    """)
    run.assert_compiled("f")


def test_closures(both):
    run = both("""
        from probe import hot

        def make(start):
            count = start
            def step(by=1):
                nonlocal count
                count += by
                return count
            def read():
                return count
            return step, read

        step, read = make(0)
        hot(step)
        hot(read)
        def f(n):
            total = 0
            def add(x):
                nonlocal total
                total += x
            for i in range(n):
                add(i)
            return total, [g() for g in [lambda: i for i in range(3)]], (lambda q, r=i: q + r + n)(2)
        hot(f, 5)
        print(step(), step(5), read(), f(50))
        second, see = make(2**63 - 2)
        print(second(), second(), see(), step(0.5), read())
    """)
    run.assert_compiled("step", "read", "f")


def test_an_unbound_free_variable(both):
    run = both("""
        from probe import hot

        def make(bind):
            def f():
                return late
            if bind:
                late = 3
            return f

        f = make(True)
        hot(f)
        print(f())
        g = make(False)
        try:
            g()
        except NameError as e:
            print(repr(e), e.__traceback__.tb_next.tb_lineno)
    """)
    run.assert_compiled("f")


def test_methods_lambdas_static_and_class_methods(both):
    run = both("""
        import functools
        from probe import hot

        class A:
            n = 2
            def __init__(self, x):
                self.x = x
            def get(self, k=1):
                return self.x * k
            @staticmethod
            def twice(v):
                return v + v
            @classmethod
            def make(cls, v):
                return cls(v * cls.n)
            @property
            def double(self):
                return self.x * 2
            def __call__(self, v):
                return self.x + v
            def __getitem__(self, i):
                return self.x * i
            def __len__(self):
                return self.x
            def __eq__(self, other):
                return self.x == other

        class B(A):
            n = 3
            def get(self, k=1):
                return super().get(k) + 1

        square = hot(lambda v: v * v, 3)
        partial = functools.partial(square, 5)

        def f(objects, n):
            total = 0
            for i in range(n):
                for o in objects:
                    total += o.get() + o.get(k=2) + o.twice(3) + o.make(i).x + o.double + o(i) + o[i] + len(o) + (o == i)
                    bound = o.get
                    total += bound(2) + A.get(o, 1) + square(i) + partial()
            return total

        for method in (A.get, B.get, A.twice, A.__init__):
            hot(method, *({"twice": (1,), "__init__": (A(1), 2)}.get(method.__name__, (B(2),))))
        hot(f, [A(1)], 3)
        print(f([A(1), B(2)], 20), f([B(3)], 2))
    """)
    run.assert_compiled("f", "A.get", "B.get", "A.__init__")


def test_recursion(both):
    run = both("""
        from probe import hot

        def fib(n):
            return n if n < 2 else fib(n - 1) + fib(n - 2)

        def ackermann(m, n):
            if m == 0:
                return n + 1
            return ackermann(m - 1, 1 if n == 0 else ackermann(m, n - 1))

        def even(n):
            return True if n == 0 else odd(n - 1)

        def odd(n):
            return False if n == 0 else even(n - 1)

        for f in (fib, even, odd):
            hot(f, 5)
        hot(ackermann, 1, 2)
        print(fib(20), ackermann(2, 20), even(300), odd(301), fib(3.5))
    """)
    run.assert_compiled("fib", "ackermann", "even", "odd")


def test_recursion_errors_come_at_the_same_depth(both):
    run = both("""
        import sys
        from probe import hot

        depth = 0
        def down(n):
            global depth
            depth = n
            return down(n + 1) + 1

        def f(n):
            return 0 if n == 0 else f(n - 1) + 1

        def through_builtin(n):
            global depth
            depth = n
            return max([n], key=lambda v: through_builtin(n + 1))

        hot(f, 5)
        print(f(900))
        for g in (down, through_builtin):
            for again in range(3):
                try:
                    g(0)
                except RecursionError as e:
                    print(g.__name__, depth, e)
                hot(f, 3)
                if again == 0:
                    hot(down, 0, calls=0)
        for n in (980, 990, 994, 995, 996, 997, 998, 999, 1000, 1005):
            try:
                print(n, f(n))
            except RecursionError as e:
                print(n, e)
        sys.setrecursionlimit(300)
        try:
            f(400)
        except RecursionError as e:
            print(e)
        sys.setrecursionlimit(20000)
        print(f(15000))
    """)
    run.assert_compiled("f")


def test_generators(both):
    run = both("""
        from probe import hot

        def counter(n):
            total = 0
            for i in range(n):
                got = yield i
                if got is not None:
                    total += got
            return total

        def outer(n):
            result = yield from counter(n)
            yield result

        def f(n):
            total = 0
            for v in counter(n):
                total += v
            g = outer(3)
            out = [next(g)]
            for k in (1, 2, 3):
                try:
                    out.append(g.send(k))
                except StopIteration as e:
                    out.append(e.value)
            h = counter(5)
            next(h)
            h.close()
            try:
                h = counter(2)
                next(h)
                h.throw(ValueError("in"))
            except ValueError as e:
                out.append(repr(e))
            return total, out, list(x * 2 for x in counter(3))

        hot(f, 5)
        print(f(100))
    """)
    run.assert_compiled("f")


def test_coroutines_and_async_generators(both):
    run = both("""
        import asyncio
        from probe import hot

        def work(n):
            total = 0
            for i in range(n):
                total += i
            return total

        async def ticks(n):
            for i in range(n):
                await asyncio.sleep(0)
                yield work(i)

        async def main():
            out = []
            async for t in ticks(5):
                out.append(t)
            out += await asyncio.gather(*(one(i) for i in range(3)))
            return out

        async def one(i):
            await asyncio.sleep(0)
            return work(i * 10)

        hot(work, 3)
        print(asyncio.run(main()))
    """)
    run.assert_compiled("work")


def test_nested_functions_made_again_and_again(both):
    run = both("""
        from probe import hot, compiled

        def f(n):
            total = 0
            for i in range(n):
                def g(a, b=i, *, c=i + 1):
                    return a + b + c + i
                total += g(1) + g(1, 2) + g(1, c=0)
                h = lambda: g
                assert h() is g
            return total

        hot(f, 5)
        print(f(50))
    """)
    run.assert_compiled("f")


def test_constructors(both):
    run = both("""
        from probe import hot

        class P:
            def __init__(self, x, y=0):
                self.x = x
                self.y = y

        class Q(P):
            pass

        class R:
            def __new__(cls, *args):
                o = super().__new__(cls)
                o.made = args
                return o
            def __init__(self, *args):
                self.seen = args

        class Bad:
            def __init__(self):
                return 3

        def f(n):
            total = 0
            for i in range(n):
                p, q = P(i), Q(i, y=2)
                total += p.x + p.y + q.x + q.y + len(R(1, 2).made) + len(R(3).seen)
            return total

        hot(P.__init__, P(1), 2)
        hot(f, 5)
        print(f(30), vars(P(3)))
        try:
            Bad()
        except TypeError as e:
            print(e)
        P.__init__ = lambda self, x, y=0: self.__dict__.update(x=1, y=1)
        print(f(10))
    """)
    run.assert_compiled("f")


def test_decorated_and_wrapped_functions_keep_their_faces(both):
    run = both("""
        import functools, inspect, pickle, types
        from probe import hot

        @functools.lru_cache
        def cached(n):
            return n * 2

        def f(a, b: int = 3, *c, d=4, **e) -> int:
            "The doc."
            return a + b

        hot(f, 1)
        print(type(f) is types.FunctionType, f.__doc__, f.__name__, f.__annotations__, inspect.signature(f))
        print(f.__defaults__, f.__kwdefaults__, f.__code__.co_varnames, inspect.getsource(f), pickle.loads(pickle.dumps(f)) is f)
        print(cached(3), cached(3), cached.cache_info(), f.__get__(1)(), types.MethodType(f, 5)())
        import dis, io
        out = io.StringIO()
        dis.dis(f, file=out)
        print(out.getvalue())
    """)
    run.assert_compiled("f")
