"""Globals and builtins: no check while they stand, right at once when they change."""


def test_a_global_rebound_in_mid_loop_by_the_loop(both):
    run = both("""
        from probe import hot

        k = 1

        def f(n):
            global k
            out = []
            for i in range(n):
                if i == 10:
                    k = 100
                if i == 15:
                    k = "s"
                out.append(k)
            k = 1
            return out

        hot(f, 5)
        print(f(20), f(20))
    """)
    run.assert_compiled("f")


def test_a_global_rebound_by_a_callee_and_by_globals(both):
    run = both("""
        from probe import hot

        k = 1

        def change(i):
            global k
            if i == 10:
                k = 2.5
            elif i == 20:
                globals()["k"] = 7
            elif i == 30:
                exec("k = 9")
            elif i == 35:
                vars(__import__("__main__")).update(k=11)

        def f(n):
            total = []
            for i in range(n):
                change(i)
                total.append(k + 1)
            return total

        hot(f, 5)
        print(f(40))
        k = 1
        print(f(12))
    """)
    run.assert_compiled("f")


def test_a_global_deleted_and_made_again(both):
    run = both("""
        from probe import hot

        k = 1

        def f(n):
            global k
            out = []
            for i in range(n):
                if i == 6:
                    del k
                if i == 9:
                    k = 5
                try:
                    out.append(k)
                except NameError as e:
                    out.append((str(e), e.name))
            return out

        hot(f, 5)
        print(f(12))
    """)
    run.assert_compiled("f")


def test_a_builtin_shadowed_late(both):
    run = both("""
        from probe import hot

        def change(i):
            global len, abs
            if i == 8:
                len = lambda v: 100
            if i == 12:
                del len
            if i == 14:
                globals()["abs"] = str

        def f(values, n):
            out = []
            for i in range(n):
                change(i)
                out.append((len(values), abs(-i)))
            return out

        hot(f, [1, 2], 5)
        print(f([1, 2, 3], 17))
    """)
    run.assert_compiled("f")


def test_builtins_patched(both):
    run = both("""
        import builtins
        from probe import hot

        real = builtins.len, builtins.range, builtins.isinstance

        def change(i):
            if i == 8:
                builtins.len = lambda v: 100
            if i == 12:
                builtins.len = real[0]
                builtins.isinstance = lambda *a: "patched"
            if i == 14:
                builtins.fresh = 5

        def f(values, n):
            out = []
            for i in range(n):
                change(i)
                try:
                    out.append((len(values), isinstance(i, int), fresh))
                except NameError as e:
                    out.append(str(e))
            return out

        hot(f, [1, 2], 5)
        print(f([1, 2, 3], 17))
        builtins.isinstance = real[2]
    """)
    run.assert_compiled("f")


def test_range_replaced(both):
    run = both("""
        from probe import hot

        def f(n):
            return [i for i in range(n)]

        def g(n):
            t = 0
            for i in range(n):
                t += i
            return t

        hot(f, 3)
        hot(g, 3)
        print(f(5), g(5))
        real = range
        range = lambda n: real(n * 2)
        print(f(5), g(5))
        del range
        print(f(5), g(5))
    """)
    run.assert_compiled("f", "g")


def test_module_attributes(both):
    run = both("""
        import math, types
        from probe import hot

        m = types.ModuleType("m")
        m.k = 3

        def f(n):
            total = 0
            for i in range(n):
                if i == 7:
                    m.k = 2.5
                if i == 9:
                    math.sqrt = lambda v: -1
                total += m.k + math.sqrt(16) + math.pi
            return total

        real = math.sqrt
        hot(f, 5)
        print(f(12))
        math.sqrt = real
        del m.k
        try:
            f(3)
        except AttributeError as e:
            print(e)
    """)
    run.assert_compiled("f")


def test_a_function_global_replaced_in_mid_loop(both):
    run = both("""
        from probe import hot

        def g(i):
            return i

        def replacement(i):
            return -i

        def f(n):
            global g
            out = []
            for i in range(n):
                if i == 6:
                    g = replacement
                if i == 9:
                    g = abs
                out.append(g(i))
            return out

        first = g
        hot(g, 1)
        hot(f, 5)
        print(f(12))
        g = first
        print(f(4))
    """)
    run.assert_compiled("f", "g")


def test_globals_of_another_kind_and_missing_builtins(both):
    run = both("""
        from probe import hot

        class Space(dict):
            def __missing__(self, key):
                return 42

        text = "def f(n):\\n    t = 0\\n    for i in range(n):\\n        t += k\\n    return t\\n"
        space = {"k": 2}
        exec(text, space)
        f = space["f"]
        hot(f, 3)
        print(f(10))
        space["k"] = 0.5
        print(f(10))
        space["__builtins__"] = {"range": lambda n: [1, 2]}
        print(f(10))
        odd = Space(range=range)
        exec(text, odd)
        print(odd["f"](4))
        import types
        g = types.FunctionType(f.__code__, {"k": 7, "__builtins__": {"range": range}})
        print(g(3), f(3))
    """)
    assert run.answers["f"] is None


def test_functions_of_another_module_keep_their_own_globals_in_place(both):
    run = both(
        """
        import types
        from probe import hot

        other = types.ModuleType("other")
        exec(
            "COUNT = 0\\n"
            "def count(k):\\n  global COUNT\\n  COUNT = COUNT + k\\n  return COUNT\\n"
            "def fresh():\\n  return lambda: COUNT\\n"
            "def late(k):\\n  return LATE + k\\n",
            other.__dict__,
        )
        count, fresh, late = other.count, other.fresh, other.late
        COUNT = LATE = "mine"
        other.LATE = 5

        def f(n):
            out = []
            for i in range(n):
                out.append(count(i))
                out.append(fresh())
                out.append(late(i))
                if i == 5:
                    other.LATE = 7
            return out

        hot(f, 4)
        print([x() if callable(x) else x for x in f(9)], COUNT)
    """
    )
    run.assert_compiled("f")
