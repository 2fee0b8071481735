"""Loops over lists, tuples, strs and bytes, numbered and side by side, whose iterators are never made."""
# ruff: noqa: E501 (lines of the programs under test)

import pytest
from harness import TYPE

HEADS = ["x in a", "i, x in enumerate(a)", "x, y in zip(a, b)", "x, y, z in zip(a, b, c)", "(x,) in zip(a)", "p in enumerate(a)", "p in zip(b, a)", "x in t", "x, y in zip(t, a)", "i, x in enumerate(t)", "x in s", "i, x in enumerate(s)", "i, x in enumerate(s, 3)", "i, x in enumerate(a, 1)", "x, y, z in zip(s, w, a)", "x in w", "x in d", "p in zip(d, a)"]  # fmt: skip


@pytest.mark.parametrize("head", HEADS)
def test_leaving_in_the_middle(both, head):
    """The iterator that an exit makes stands where the compiled loop stood, with the numbers that come next."""
    run = both(f"""
        from probe import hot

        def f(a, b, c, odd):
            t = (7, 8, 9, 10, 11)
            s, w, d = strings
            out = []
            n = 0
            for {head}:
                n += 1
                out.append(({", ".join(w for w in ("i", "x", "y", "z", "p") if w in head.split(" in ")[0])},))
                odd[n] + 1  # middle
            else:
                out.append("else")
            return out

        a, b, c = [1, 2, 3, 4, 5], [1.5, 2.5, 3.5, 4.5], list("abcdef")
        strings = "spams", "s\\u20acp\\U0001f600m", b"eggs!"
        plain = [0] * 9
        hot(f, a, b, c, plain)
        for at in range(1, 6):
            odd = list(plain)
            odd[at] = 0.5
            print(f(a, b, c, odd))
        print(f([], [], [], plain), f(a, [], c, plain))
    """)
    run.assert_compiled("f")
    run.assert_left("f", "middle", TYPE)


@pytest.mark.parametrize("head", ["x in a", "i, x in enumerate(a)", "x, y in zip(a, a)", "x, y in zip(a, b)"])
@pytest.mark.parametrize(
    "change", ["a.append(len(a))", "a.pop()", "a.clear()", "a[:] = [9] * 20", "del a[0]", "a.insert(0, 5)"]
)
def test_lists_that_change_meanwhile(both, head, change):
    run = both(f"""
        from probe import hot

        def f(a, b, at):
            n = total = 0
            for {head}:
                total += x
                if n == at:
                    {change}
                n += 1
                if n > 30:
                    break
            return n, total, a

        hot(f, [1, 2, 3, 4, 5], list(range(50)), 99)
        for at in range(5):
            print(f([1, 2, 3, 4, 5], list(range(50)), at))
    """)
    run.assert_compiled("f")


def test_other_things_to_loop_over(both):
    """What is neither an exact list nor a tuple is looped over as ever."""
    run = both("""
        from probe import hot

        class L(list):
            def __iter__(self):
                return iter([7, 7])

        class M(list):
            pass

        def plain(a):
            return [x for x in a]

        def numbered(a):
            out = []
            for i, x in enumerate(a):
                out.append((i, x))
            return out

        def together(a, b):
            out = []
            for x, y in zip(a, b):
                out.append((x, y))
            return out

        def start(a):
            out = []
            for i, x in enumerate(a, 3):
                out.append((i, x))
            for i, x in enumerate(start=2, iterable=a):
                out.append((i, x))
            for x, y in zip(a, a, strict=True):
                out.append((x, y))
            return out

        for f in (plain, numbered, start):
            hot(f, [1, 2])
        hot(together, [1, 2], [3, 4])
        for it in (lambda: L([1]), lambda: M([1, 2]), lambda: "ab", lambda: {1: 2, 3: 4}, lambda: iter([1, 2]), lambda: (x for x in "xy"), lambda: range(3), lambda: (5, 6), lambda: [1, 2]):
            print(plain(it()), numbered(it()), together(it(), [1, 2, 3]), together([1, 2, 3], it()))
        for bad in (1, None, [1, [2]]):
            for f in (plain, numbered):
                try:
                    print(f(bad))
                except TypeError as e:
                    print(e, e.__traceback__.tb_next.tb_lineno)
    """)
    run.assert_compiled("plain", "numbered", "together", "start")


def test_who_holds_the_sequence(both):
    """The loop holds one reference until it ends, as an iterator would; then items die, in order."""
    run = both("""
        import sys
        from probe import hot

        class D:
            def __init__(self, n): self.n = n
            def __del__(self): print("del", self.n)

        def f(make, stop):
            for x in make():
                if x.n == stop:
                    break
                print(x.n)
            print("after")
            x = None
            print("end")

        def g(make):
            for i, x in enumerate(make()):
                print(i, x.n)
            print("after")

        def h(a):
            counts = []
            for x, y in zip(a, a):
                counts.append(sys.getrefcount(a))
            return counts, sys.getrefcount(a)

        def r(make):
            for x in make():
                if x.n == 1:
                    return "returned"

        def e(make):
            for x, y in zip(make(), make()):
                print(x.n, y.m)

        make = lambda: [D(0), D(1), D(2)]
        hot(f, make, 9)
        hot(g, make)
        hot(h, [1, 2])
        hot(r, make)
        for stop in range(4):
            f(make, stop)
        g(make)
        print(h([1, 2, 3]), r(make))
        try:
            e(make)
        except AttributeError as x:
            print(x)
    """)
    run.assert_compiled("f", "g", "h", "r")


def test_taking_over_a_running_loop(both_early):
    run = both_early("""
        import probe

        def f(a):
            total = 0
            for k in range(40):
                for x in a:  # loop
                    total += x
            return total

        def held(a):
            it = iter(a)
            n = 0
            for x in it:
                n += 1
                if not x % 1000:
                    next(it, None)
            return n, x

        print(f(list(range(300_000))))
        print(held(list(range(1_000_000))), held(tuple(range(1_000_000))))
        print(f(tuple(range(100_000))))
    """)
    run.assert_loop("f", "loop")


def test_nests_of_walks_and_exceptions(both):
    run = both("""
        from probe import hot

        def f(rows, bad):
            out = []
            for i, row in enumerate(rows):
                try:
                    for j, (x, y) in enumerate(zip(row, reversed(row))):
                        out.append(i * j + x // (y - bad))
                except ZeroDivisionError:
                    out.append((i, j, x, y))
                    continue
                for di in (-1, 0, 1):
                    out.append(row[di])
            return out

        rows = [[3, 1, 4], [1, 5, 9], [2, 6, 5]]
        hot(f, rows, 100)
        for bad in (0, 1, 4, 5, 9, 3):
            print(f(rows, bad))

        def g(rows):
            return [[x * k for x in row] for k, row in enumerate(rows)], {k: [i for i, _ in enumerate(v)] for k, v in zip("abc", rows)}

        hot(g, rows)
        print(g(rows))
    """)
    run.assert_compiled("f", "g")


def test_a_string_appended_to_itself(both):
    run = both("""
        from probe import hot

        def f(n):
            s = "-".join(["hello", "xyz"])
            for _ in range(n):
                s += s
            return len(s), s[-3:]

        hot(f, 4)
        print(f(9))
    """)
    run.assert_compiled("f")


def test_an_inner_loop_taken_over_goes_on_with_the_outer_one(both_early):
    """Iterations that begin in compiled code are the same as the one that was found under way."""
    run = both_early(
        """
        import probe
        class Row(list):
            pass
        def total(rows):
            t = 0
            for row in rows:
                for x in row:  # inner
                    t += x
            return t
        def lists():
            return total([[1, 2, 3, k] for k in range(500)])
        def derived(rows):
            t = 0
            for row in rows:
                for x in row:  # derived
                    t += x
            return t
        print(lists(), derived([Row((1, 2, 3, k)) for k in range(500)]))
    """
    )
    run.assert_loop("total", "inner").assert_loop("derived", "derived")
    assert not [x for f in ("total", "derived") for x in run.exits(f) if x[2] > 5], (
        run.exits("total"),
        run.exits("derived"),
    )
