"""Handlers in compiled code: what is caught, seen meanwhile, and left afterwards."""
# ruff: noqa: E501 (lines of the programs under test)

import pytest


def test_caught_by_class_in_a_loop(both):
    run = both("""
        from probe import hot

        def f(d, keys):
            n = 0
            for k in keys:
                try:
                    n += d[k]
                except KeyError:
                    n -= 1
            return n

        hot(f, {1: 10}, [1, 2, 1, 3])
        print(f({1: 10}, [1, 2, 1, 3] * 50), f({}, []))
    """)
    run.assert_compiled("f").assert_stayed("f")


def test_bound_nested_and_chained(both):
    run = both("""
        import sys
        from probe import hot

        class Own(Exception):
            pass

        def f(values):
            out = []
            for i, v in enumerate(values):
                try:
                    try:
                        out.append(10 // v)
                        if v == 3:
                            raise Own("three")
                        if v == 4:
                            continue
                        if v == 5:
                            break
                    except ZeroDivisionError as e:
                        out.append((str(e), e.__traceback__.tb_lineno, e.__traceback__.tb_next, sys.exc_info()[1] is e))
                        raise LookupError("while handling")
                    except (TypeError, Own) as e:
                        out.append((repr(e), sys.exception() is e))
                    else:
                        out.append("else")
                except LookupError as e:
                    out.append((repr(e), repr(e.__context__), e.__traceback__.tb_lineno, e.__context__.__traceback__.tb_lineno))
                except:
                    out.append("bare")
                out.append(sys.exc_info())
            try:
                e
            except NameError as error:
                out.append(str(error))
            return out

        hot(f, [1, 0, 3, None, 5])
        for line in f([1, 0, 2, 3, 4, None, 0, 2, 5, 7]) + f([]):
            print(line)
    """)
    run.assert_compiled("f")


def test_not_in_charge(both):
    run = both("""
        import traceback
        from probe import hot

        def f(d, k):
            try:
                return d[k]
            except IndexError:
                return "index"
            except KeyError as e:
                return e.args

        hot(f, {}, 1)
        hot(f, [], 1)
        print(f([], 5), f({}, 6), f((7,), 0))
        for d in (None, 5):
            try:
                f(d, 1)
            except TypeError:
                print(traceback.format_exc())
    """)
    run.assert_compiled("f")


def test_what_callees_see_of_it(both):
    run = both("""
        import sys
        from probe import hot

        def look():
            frame = sys._getframe(1)
            return repr(sys.exception()), sorted(frame.f_locals.items(), key=str), frame.f_lineno

        def call():
            return repr(sys.exception())

        def f(d, k):
            total = 1.5
            for i in range(3):
                try:
                    total += d[k]
                except KeyError:
                    total += 0.25
                    print(call(), look())
                    total += i
            return total, call()

        hot(f, {}, "k")
        print(f({}, "x"), f({"y": 2.0}, "y"))
        try:
            raise ValueError("outer")
        except ValueError:
            print(f({}, "x"))
    """)
    run.assert_compiled("f")


def test_locals_written_through_the_traceback(both):
    # On 3.12 nothing is written; from 3.13 on the handler's own variable changes under it.
    run = both("""
        import sys
        from probe import hot

        change = False

        def spy():
            if change:
                sys.exception().__traceback__.tb_frame.f_locals["x"] = 7.5

        def f(d):
            x = 1.0
            for i in range(4):
                try:
                    x += d[i]
                except KeyError:
                    spy()
                    x = x * 2.0
                x += 0.5
            return x

        hot(f, {})
        print(f({}))
        change = True
        print(f({}), f({0: 1.0, 1: 2.0, 2: 0.0, 3: 1.0}))
    """)
    run.assert_compiled("f")


def test_kept_exceptions_show_the_last_values(both):
    run = both("""
        from probe import hot

        kept = []

        def f(d, n):
            x = 0.0
            for i in range(n):
                try:
                    x += d[i]
                except KeyError as e:
                    kept.append(e)
                x += 1.25
            y = x * 2.0
            return y

        hot(f, {}, 2)
        kept.clear()
        print(f({1: 2.0}, 3))
        for e in kept:
            print(repr(e), e.__traceback__.tb_lineno, sorted(e.__traceback__.tb_frame.f_locals.items(), key=str), e.__traceback__.tb_next)
    """)
    run.assert_compiled("f")


def test_operands_are_dropped_in_order(both):
    run = both("""
        import sys
        from probe import hot

        class T:
            def __init__(self, name):
                self.name = name
            def __del__(self):
                print("gone", self.name, repr(sys.exception()))
            def __add__(self, other):
                raise ArithmeticError("add")

        def boom():
            raise LookupError("boom")

        def f(n):
            for i in range(n):
                try:
                    [T("a"), T("b"), boom()]
                except LookupError:
                    print("handler")
                try:
                    T("c") + T("d")
                except ArithmeticError as e:
                    t = T("e")
                    del t  # drop
                print("after")

        hot(f, 2)
        f(3)
    """)
    # Nowhere else: what ends there runs code.
    run.assert_compiled("f").assert_left("f", "drop")
    assert len(run.exits("f")) == 1


def test_a_handler_that_gets_hot(both):
    run = both(
        """
        import time
        from probe import hot

        def f(d, k):
            try:
                return d[k]
            except KeyError:
                return -1

        hot(f, {1: 2}, 1)
        total = 0
        for k in range(2000):
            total += f({1: 2}, k % 2)
            if k % 50 == 0:
                time.sleep(0.01)
        print(total)
        """
    )
    run.assert_compiled("f")
    # The interpreter handled the first ones; then the handler was compiled too.
    assert sum(n for _, _, n in run.exits("f")) < 900, run.exits("f")
    assert len(run.regions("f")) >= 1


def test_inside_generators_and_other_handlers(both):
    run = both("""
        import sys
        from probe import hot

        def g(n):
            for i in range(n):
                try:
                    if i % 2:
                        raise ValueError(i)
                except ValueError as e:
                    yield repr(e), repr(e.__context__), repr(sys.exception())
                yield repr(sys.exception())

        def f(n):
            out = []
            for i in range(n):
                try:
                    raise KeyError(i)
                except KeyError as e:
                    out.append(list(g(i)))
                    out.append(repr(sys.exception()))
            return out

        hot(f, 3)
        print(f(4), sys.exception())
        try:
            raise OSError("outer")
        except OSError:
            print(f(3), sys.exception())
    """)
    run.assert_compiled("f")


def test_catching_what_is_no_exception_class(both):
    run = both("""
        import traceback
        from probe import hot

        def f(d, kind):
            try:
                return d["k"]
            except kind:
                return "caught"

        hot(f, {}, KeyError)
        print(f({}, LookupError), f({}, (OSError, (KeyError))))
        for kind in (5, (KeyError, 5), "text", int):
            try:
                print(f({}, kind))
            except TypeError:
                print(traceback.format_exc())
    """)
    run.assert_compiled("f")


def test_nothing_is_leaked(both):
    run = both("""
        import gc, sys
        from probe import hot

        class Own(Exception):
            alive = 0
            def __init__(self):
                Own.alive += 1
            def __del__(self):
                Own.alive -= 1

        def raiser(i):
            if i % 3 == 0:
                raise Own()
            return i

        def f(n):
            total = 0
            for i in range(n):
                try:
                    total += raiser(i)
                except Own as e:
                    total -= 1
            return total

        hot(f, 9)
        print(f(1000), Own.alive)
        counts = []
        for _ in range(3):
            f(1000)
            gc.collect()
            counts.append(len(gc.get_objects()))
        print(counts[2] - counts[1], Own.alive, sys.getrefcount(Own) < 40)
    """)
    run.assert_compiled("f").assert_stayed("f")


@pytest.mark.parametrize("kind", ["settrace", "setprofile"])
def test_a_tracer_switched_on_in_a_handler(both, kind):
    run = both(f"""
        import sys
        from probe import hot

        events = []

        def tracer(frame, event, arg):
            if frame.f_code.co_name in ("f", "callee"):
                events.append((frame.f_code.co_name, event, frame.f_lineno))
            return tracer

        on = False

        def callee():
            if on:
                sys.{kind}(tracer)
                sys._getframe(1).f_trace = tracer

        def f(d):
            n = 0
            for i in range(3):
                try:
                    n += d[i]
                except KeyError:
                    callee()
                    n += 1
            return n

        hot(f, {{}})
        on = True
        print(f({{1: 1}}))
        sys.{kind}(None)
        for e in events:
            print(e)
    """)
    run.assert_compiled("f")


def test_exception_classes_that_make_something_else(both):
    run = both("""
        from probe import hot

        class Nothing(BaseException):
            @classmethod
            def __new__(*args, **kwargs):
                return None

        def raised():
            raise Nothing

        def cause(of):
            raise IndexError from of

        hot(raised, raising=TypeError)
        hot(cause, KeyError, raising=IndexError)
        for f, *args in ((raised,), (cause, KeyError), (cause, KeyError(1)), (cause, None), (cause, 5), (cause, Nothing)):
            try:
                f(*args)
            except (TypeError, IndexError) as e:
                print(type(e).__name__, e, repr(e.__cause__), repr(e.__context__), e.__suppress_context__)
    """)
    run.assert_compiled("raised", "cause")
