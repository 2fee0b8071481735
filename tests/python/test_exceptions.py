"""Exceptions: handlers, finally, tracebacks, chaining: as in plain CPython, to the line."""
# ruff: noqa: E501 (lines of the programs under test)


def test_a_handler_inside_the_hot_loop(both):
    run = both("""
        import sys
        from probe import hot

        def f(values, n):
            out = []
            for i in range(n):
                try:
                    out.append(values[i] // (i - 3))
                except ZeroDivisionError as e:
                    out.append((str(e), e.__traceback__.tb_lineno, sys.exc_info()[0].__name__))
                except (IndexError, KeyError) as e:
                    out.append(repr(e))
                else:
                    out.append("else")
                finally:
                    out.append(sys.exc_info()[0])
            try:
                e
            except UnboundLocalError as error:
                out.append(str(error))
            return out, sys.exc_info()

        hot(f, [1, 2, 3], 3)
        print(f([9] * 6, 8))
        print(f({0: 1, 1: 2, 3: 4}, 6))
    """)
    run.assert_compiled("f")


def test_a_handler_outside_the_hot_loop(both):
    run = both("""
        import traceback
        from probe import hot

        def inner(values, n):
            total = 0
            for i in range(n):
                total += values[i]
            return total

        def f(values, n):
            try:
                return inner(values, n)
            except IndexError:
                return traceback.format_exc()
            finally:
                print("finally")

        hot(inner, [1, 2, 3], 3)
        hot(f, [1, 2, 3], 3)
        print(f([1, 2], 3))
        print(f([1, None], 2) if False else f([1, 2], 2))
        try:
            f([1, None], 2)
        except TypeError:
            print(traceback.format_exc())
    """)
    run.assert_compiled("inner", "f")


def test_uncaught_tracebacks_are_equal_to_the_letter(both):
    run = both(
        """
        from probe import hot

        class Thing:
            def __init__(self, v):
                self.v = v
            def use(self, n):
                return (self.v +
                        sum(self.v for _ in range(n)) /
                        (n - 5))

        def middle(t, n):
            for i in range(n):
                r = t.use(
                    i)
            return r

        def outer(n):
            t = Thing(3)
            return [middle(t, n) for _ in (1,)][0]

        hot(Thing.use, Thing(1), 3)
        hot(middle, Thing(1), 3)
        hot(outer, 3)
        print(outer(4))
        print(outer(9))
    """,
        status=1,
    )
    assert "ZeroDivisionError" in run.stoop.stderr


def test_every_raising_instruction_names_its_line(both):
    run = both("""
        import traceback
        from probe import hot

        class C:
            __slots__ = ()

        cases = {
            "add": lambda a, b: a + b,
            "inplace": lambda a, b: [a := a, a.__iadd__(b)],
            "negate": lambda a, b: -a,
            "less": lambda a, b: a < b,
            "item": lambda a, b: a[b],
            "attribute": lambda a, b: a.missing,
            "call": lambda a, b: a(b),
            "iterate": lambda a, b: [x for x in a],
            "unpack": lambda a, b: [(x, y) for x, y in (a,)],
            "contains": lambda a, b: b in a,
            "format": lambda a, b: f"{a:{b}}",
            "slice": lambda a, b: a[b:b],
            "star": lambda a, b: print(*a),
            "keywords": lambda a, b: dict(**a),
            "global": lambda a, b: missing_name,
            "truth": lambda a, b: not a,
            "mapping": lambda a, b: {a: b},
        }
        class NoTruth:
            def __bool__(self):
                raise ValueError("no truth")
        good = {"item": ([1], 0), "attribute": (type("X", (), {"missing": 1})(), 0), "call": (abs, 1), "iterate": ([1], 0),
                "unpack": ((1, 2), 0), "contains": ([1], 1), "slice": ([1], 0), "star": ([], 0), "keywords": ({}, 0),
                "inplace": ([], [])}
        bad = {"add": (1, "x"), "inplace": ([], 3), "negate": ("x", 0), "less": (1, "x"), "item": (1, 0), "attribute": (C(), 0),
               "call": (3, 1), "iterate": (3, 0), "unpack": (3, 0), "contains": (3, 1), "format": (1, "zz"), "slice": (3, 0),
               "star": (3, 0), "keywords": (3, 0), "global": (1, 1), "truth": (NoTruth(), 0), "mapping": ([], 0)}
        missing_name = 1
        for name, f in cases.items():
            if name != "global":
                hot(f, *good.get(name, (1, 2)))
        f = cases["global"]
        hot(f, 1, 2)
        del missing_name
        for name, f in cases.items():
            for again in range(2):
                try:
                    print(name, f(*bad[name]))
                except Exception:
                    print(name, traceback.format_exc())
    """)
    assert run.answers["<lambda>"] is None


def test_unbound_locals(both):
    run = both("""
        import traceback
        from probe import hot

        def f(n, drop):
            x = 1
            total = 0
            for i in range(n):
                if i == drop:
                    del x
                try:
                    total += x  # use
                except UnboundLocalError as e:
                    print(i, e, e.__traceback__.tb_lineno)
                    x = 5
            del i
            try:
                print(i)
            except UnboundLocalError:
                print(traceback.format_exc())
            return total, x

        hot(f, 5, -1)
        print(f(20, 7))
    """)
    run.assert_compiled("f")


def test_finally_and_return_and_break(both):
    run = both("""
        from probe import hot

        def f(n):
            out = []
            for i in range(n):
                try:
                    if i % 5 == 1:
                        continue
                    if i % 5 == 2:
                        raise KeyError(i)
                    if i == 13:
                        break
                    out.append(i)
                except KeyError as e:
                    out.append(e.args)
                    try:
                        raise ValueError(i) from e
                    except ValueError as v:
                        out.append((repr(v), repr(v.__cause__), repr(v.__context__)))
                finally:
                    out.append("f")
            return out

        def g(n):
            for i in range(n):
                try:
                    if i == 3:
                        return "try", i
                finally:
                    if i == 3:
                        return "finally", i

        def h(n):
            while True:
                try:
                    n -= 1
                    1 / n
                except ZeroDivisionError:
                    break
                finally:
                    n -= 1
            return n

        hot(f, 6)
        hot(g, 2)
        hot(h, 5)
        print(f(20), g(9), h(21))
    """)
    run.assert_compiled("f", "g", "h")


def test_with_blocks(both):
    run = both("""
        import contextlib
        from probe import hot

        class W:
            def __init__(self, swallow):
                self.swallow = swallow
            def __enter__(self):
                return self
            def __exit__(self, kind, value, tb):
                log.append((kind and kind.__name__, str(value), tb and tb.tb_lineno))
                return self.swallow

        log = []

        def f(n, swallow):
            total = 0
            for i in range(n):
                with W(swallow) as w, contextlib.suppress(KeyError):
                    if i % 4 == 1:
                        raise KeyError(i)
                    total += 10 // (i - 6)
                    if i == 9:
                        break
                    if i == 4:
                        continue
                total += 1
            return total

        hot(f, 5, True)
        log.clear()
        print(f(20, True), log)
        log.clear()
        try:
            f(20, False)
        except ZeroDivisionError as e:
            print(e, e.__traceback__.tb_next.tb_lineno, log)
    """)
    run.assert_compiled("f")


def test_chaining_and_reraising(both):
    run = both("""
        import traceback
        from probe import hot

        def low(n):
            return 1 // n

        def f(n):
            out = 0
            for i in range(n, -2, -1):
                try:
                    try:
                        out += low(i)
                    except ZeroDivisionError as e:
                        if n % 2:
                            raise
                        raise RuntimeError("wrapped", i) from e
                    finally:
                        out += 1
                except ArithmeticError as e:
                    e.add_note("a note")
                    out += 100
                    last = e
            return out, last

        hot(low, 3)
        hot(f, 5)
        r = f(5)
        print(r[0]); traceback.print_exception(r[1])
        import sys
        try:
            f(4)
        except RuntimeError:
            print(traceback.format_exc())
        print(sys.exc_info())
    """)
    run.assert_compiled("low", "f")


def test_exception_groups(both):
    run = both("""
        import traceback
        from probe import hot

        def f(n):
            out = []
            for i in range(n):
                try:
                    if i % 3 == 0:
                        raise ExceptionGroup("g", [ValueError(i), TypeError(i)])
                    if i % 3 == 1:
                        raise ValueError(i)
                except* ValueError as g:
                    out.append(("v", g.exceptions))
                except* TypeError as g:
                    out.append(("t", g.exceptions))
            return out

        for _ in range(3): f(4)
        from probe import compiled
        compiled(f)
        print(f(9))
    """)
    assert "f" in run.answers


def test_stop_iteration_and_custom_iterators(both):
    run = both("""
        from probe import hot

        class It:
            def __init__(self, n, error=None):
                self.n, self.error = n, error
            def __iter__(self):
                return self
            def __next__(self):
                self.n -= 1
                if self.n < 0:
                    raise self.error or StopIteration
                return self.n

        def f(it):
            total = []
            for v in it:
                total.append(v)
            return total

        hot(f, It(3))
        print(f(It(10)), f([1, 2]), f("ab"))
        try:
            f(It(5, ValueError("mid")))
        except ValueError as e:
            print(e, e.__traceback__.tb_next.tb_lineno, e.__traceback__.tb_next.tb_next.tb_lineno)
        try:
            f(7)
        except TypeError as e:
            print(e)
    """)
    run.assert_compiled("f")


def test_asserts_and_exits(both):
    run = both(
        """
        import sys, traceback
        from probe import hot

        def f(n, bad):
            for i in range(n):
                assert i != bad, ("bad", i)
            if bad == -5:
                sys.exit(7)
            return n

        hot(f, 5, -1)
        try:
            f(9, 6)
        except AssertionError:
            print(traceback.format_exc())
        f(3, -5)
    """,
        status=7,
    )
    run.assert_compiled("f")


def test_an_exception_s_traceback_holds_the_frame_s_locals(both):
    run = both("""
        from probe import hot

        def f(n, bad):
            x, y = 0, 0.5
            for i in range(n):
                x += i
                y *= 1.5
                z = 1 // (i - bad)
            return x

        hot(f, 5, -1)
        try:
            f(10, 6)
        except ZeroDivisionError as e:
            tb = e.__traceback__.tb_next
            print(tb.tb_frame.f_locals, tb.tb_lineno, tb.tb_frame.f_lineno, tb.tb_frame.f_code.co_name, tb.tb_lasti > 0)
    """)
    run.assert_compiled("f")


def test_exceptions_keep_the_outer_one_as_context_across_compiled_frames(both):
    run = both("""
        import sys
        from probe import hot

        def g(n):
            seen = sys.exc_info()[1]
            for i in range(n):
                try:
                    [][i]
                except IndexError as e:
                    context = e.__context__
            return repr(seen), repr(context), repr(sys.exc_info()[1])

        hot(g, 3)
        try:
            raise KeyError("outer")
        except KeyError:
            print(g(4))
        print(g(2))
    """)
    run.assert_compiled("g")
