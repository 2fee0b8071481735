"""Loops whose reads were moved out of them, or whose range counts in a register: whoever looks finds the truth."""
# ruff: noqa: E501 (lines of the programs under test)

import pytest
from harness import TYPE


@pytest.mark.parametrize(
    ("setting", "waits", "change"),
    [
        ("a = []", "len(a) < 3", "a.extend('xyz')"),
        ("a = [0, 0]", "a[1] == 0", "a[1] = 1"),
        ("a = [0]", "a[0] == 0", "a[:] = [7] * 10_000"),
        ("a = A()", "a.flag == 0", "a.flag = 1"),
        ("a = A()", "a.flag == 0", "a.__dict__ = {'flag': 1}"),
        ("a = A()", "a.flag == 0", "A.flag = property(lambda self: 1)"),
        ("a = S()", "a.flag == 0", "a.flag = 1"),
        ("a = array('q', [0])", "a[0] == 0", "a[0] = 1"),
        ("a = array('q', [0])", "a[0] == 0", "a.extend(range(10_000)); a[0] = 1"),
        ("a = array('d', [0.0])", "len(a) == 1", "a.append(1.0)"),
    ],
)
@pytest.mark.parametrize("who", ["thread", "signal"])
def test_waiting_for_a_change(both, setting, waits, change, who):
    """Nothing in the loop changes what it reads: somebody else does, while the eval breaker is served."""
    run = both(f"""
        import signal, threading, time
        from array import array
        from probe import hot

        class A:
            def __init__(self): self.flag = 0

        class S:
            __slots__ = ("flag",)
            def __init__(self): self.flag = 0

        {setting}

        def wait(a, turns):
            n = 0
            while {waits}:
                n += 1
                if n > turns:
                    return "turns"
            return "seen"

        def change():
            {change}

        hot(wait, a, 2000)
        if {who!r} == "thread":
            t = threading.Timer(0.1, change)
            t.start()
            print(wait(a, 10**12))
            t.join()
        else:
            signal.signal(signal.SIGALRM, lambda *_: change())
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            print(wait(a, 10**12))
    """)
    run.assert_compiled("wait")
    assert run.output == "seen\n"


def test_nests_see_changes_too(both):
    """What left the outer loop must be read anew after a poll of the inner one."""
    run = both("""
        import threading
        from probe import hot

        def wait(rows, stop, turns):
            n = 0
            while n < turns:
                for i in range(3):
                    for j in range(2):
                        if rows[i][j] != 1 or len(stop) > 1 or stop[0]:
                            return i, j, len(rows[i])
                        n += 1
            return "turns"

        rows, stop = [[1, 1] for _ in range(3)], [0]
        hot(wait, rows, stop, 2000)

        def change():
            rows[2] = [1, 5, 6]

        t = threading.Timer(0.1, change)
        t.start()
        print(wait(rows, stop, 10**12))
        t.join()
    """)
    run.assert_compiled("wait")
    assert run.output == "(2, 1, 3)\n"


def test_garbage_collection_changes_what_a_loop_reads(both):
    run = both("""
        import gc
        from probe import hot

        def f(a, turns):
            n = 0
            for i in range(turns):
                x = [i]
                x.append(x)
                n += len(a) + a[0]
                if len(a) > 1:
                    return "seen"
            return "turns"

        a = [1]
        hot(f, a, 500)

        def collected(phase, info):
            if phase == "stop" and len(a) == 1:
                a.append(2)

        gc.collect()
        gc.callbacks.append(collected)
        print(f(a, 10**9))
    """)
    run.assert_compiled("f")
    assert run.output == "seen\n"


def test_keyboard_interrupt_inside_a_loop(both):
    """The handler raises where the loop polls; locals are those of that turn."""
    run = both("""
        import signal
        from probe import hot

        def f(rows, turns):
            n = 0
            i = -1
            try:
                for i in range(turns):
                    for x in range(1, 3):
                        n += rows[0] * x
            except KeyboardInterrupt:
                return 0 < n <= 3 * (i + 1), 0 < i < turns - 1, x in (1, 2)
            return "turns"

        def g(rows, turns):
            n = 0
            for i in range(turns):
                n += rows[0]
            return n

        hot(f, [1], 2000)
        hot(g, [1], 2000)
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        print(f([1], 10**10))
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            g([1], 10**10)
        except KeyboardInterrupt as e:
            frame = e.__traceback__.tb_next.tb_frame
            print(frame.f_locals["n"] - frame.f_locals["i"] in (0, 1), e.__traceback__.tb_next.tb_lineno - g.__code__.co_firstlineno in (2, 3))
    """)
    run.assert_compiled("f", "g")


@pytest.mark.parametrize(
    "head", ["n", "2, n", "n, 0, -1", "n - 1, -1, -1", "-n, n, 3", "0, n, step", "n, -n, -step", "k, n", "n, k, -1"]
)
def test_leaving_in_the_middle_of_a_range(both, head):
    """The iterator that the exit makes stands where the compiled loop stood."""
    run = both(f"""
        from probe import hot

        def f(values, n, step, k):
            out = []
            total = 0
            for i in range({head}):
                total += values[i]  # middle
                for j in range(i, i + 2):
                    out.append(j)
            else:
                out.append("else")
            return total, i, out

        values = [1] * 40
        hot(f, values, 20, 3, 1)
        for at in (1, 2, 3, 12, 15, 17):
            odd = list(values)
            odd[at] = odd[at - 40] = 0.5
            print(f(odd, 20, 3, 1))
        print(f(values, 20, 3, 1))
    """)
    run.assert_compiled("f")
    run.assert_left("f", "middle", TYPE)


def test_long_ranges(both):
    """Ranges that CPython's plain iterator cannot count, left in the middle."""
    run = both("""
        from probe import hot

        def f(start, stop, values):
            n = 0
            for i in range(start, stop):
                n += values[n]
                if n > 5:
                    break
            return i, n

        hot(f, 0, 100, [1] * 9)
        print(f(-2**63, 2**63 - 1, [1] * 9))
        try:
            print(f(-2**63, 2**63 - 1, [1, 1, "x"]))
        except TypeError as e:
            print(e)
        print(f(2**63 - 3, 2**63 - 1, [1] * 9), f(-2**63, -2**63 + 2, [1] * 9))
    """)
    run.assert_compiled("f")


def test_a_range_iterator_with_another_owner(both_loop):
    """A running loop over an iterator that the program holds as well."""
    run = both_loop("""
        import probe

        def f(n):
            it = iter(range(n))
            seen = 0
            for i in it:  # loop
                seen += 1
                if i % 1000 == 0:
                    next(it, None)
            return seen, i

        print(f(3_000_000))

        def g(n):
            s = 0
            for i in range(n):
                for j in range(3):
                    s += i ^ j
            return s

        print(g(500_000))
    """)
    run.assert_loop("f", "loop")
    run.assert_loop("g")


def test_breaking_out_and_returning_from_ranges(both):
    run = both("""
        from probe import hot

        def f(n, stop):
            for i in range(n):
                for j in range(n, 0, -1):
                    if i * j == stop:
                        return i, j
                    if j < i:
                        break
                else:
                    continue
            return None

        hot(f, 20, 77)
        print([f(20, k) for k in range(0, 200, 7)])
    """)
    run.assert_compiled("f")
