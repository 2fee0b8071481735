"""Loops: every kind, taken over while running and compiled from the start."""
# ruff: noqa: E501 (lines of the programs under test)

import pytest
from harness import RANGE


@pytest.mark.parametrize(
    "head",
    [
        "range(n)",
        "range(3, n)",
        "range(n, 0, -1)",
        "range(-n, n, 3)",
        "range(n, n)",
        "range(2**63 - 5, 2**63 + 5)",
        "range(-2**63, -2**63 + 4)",
        "range(0, 2**65, 2**61)",
        "list(range(n))",
        "tuple(range(n))",
        "iter([5, 6, 7])",
        "enumerate('abc')",
        "zip([1, 2], [3, 4])",
        "reversed([1, 2, 3])",
        "{1: 2, 3: 4}",
        "{1: 2}.items()",
        "'text'",
        "(x * x for x in range(n))",
        "map(abs, [-1, 2])",
        "b'xyz'",
        "[]",
        "range(True, 5)",
    ],
)
def test_iterables(both, head):
    run = both(f"""
        from probe import hot

        def f(n):
            out = []
            for i in {head}:
                out.append(i)
            else:
                out.append("else")
            return out

        hot(f, 5)
        print(f(7), f(0), f(300)[-3:])
    """)
    run.assert_compiled("f")


def test_the_loop_variable_after_the_loop(both):
    run = both("""
        from probe import hot

        def f(n):
            for i in range(n):
                pass
            return i

        hot(f, 5)
        print(f(9))
        try:
            f(0)
        except UnboundLocalError as e:
            print(e, e.__traceback__.tb_next.tb_lineno)
    """)
    run.assert_compiled("f")


def test_break_continue_else_and_nesting(both):
    run = both("""
        from probe import hot

        def f(n, stop):
            out = []
            for i in range(n):
                if i % 2:
                    continue
                for j in range(i, n):
                    if (i * j) % 7 == 3:
                        break
                    if j == stop:
                        return out, "returned"
                else:
                    out.append((i, "full"))
                    continue
                out.append((i, j))
                k = 0
                while True:
                    k += 1
                    if k > i:
                        break
                    if k % 3 == 0:
                        continue
                    out.append(k)
                else:
                    out.append("never")
            else:
                out.append("end")
            return out

        hot(f, 8, -1)
        print(f(12, -1), f(12, 9), f(0, 0), f(1, 0))
    """)
    run.assert_compiled("f")


def test_while_loops(both):
    run = both("""
        from probe import hot

        def collatz(n):
            steps = 0
            while n != 1:
                if n % 2:
                    n = 3 * n + 1
                else:
                    n //= 2
                steps += 1
            else:
                steps = -steps
            return steps

        def nested(n):
            total = i = 0
            while i < n and total < 1000:
                j = i
                while j:
                    j -= 1
                    total += j
                i += 1
            return i, total

        hot(collatz, 27)
        hot(nested, 5)
        print(collatz(97), collatz(1), collatz(837799), nested(30), nested(0))
    """)
    run.assert_compiled("collatz", "nested").assert_stayed("collatz", "nested")


def test_a_list_changed_while_it_is_iterated(both):
    run = both("""
        from probe import hot

        def grow(values):
            seen = []
            for v in values:
                seen.append(v)
                if v < 6:
                    values.append(v + 2)
                if v == 4:
                    del values[0]
                if v == 5 and len(values) < 12:
                    values.insert(0, 9)
            return seen

        def shrink(values):
            seen = []
            for v in values:
                seen.append(v)
                values.remove(v)
            return seen

        def clear(values):
            seen = []
            for v in values:
                seen.append(v)
                if v == 2:
                    values.clear()
            values.append(7)
            return seen

        hot(grow, [1, 2])
        hot(shrink, [1, 2, 3])
        hot(clear, [1])
        print(grow([1, 2, 3]), shrink(list(range(9))), clear([1, 2, 3]), clear([1]))
    """)
    run.assert_compiled("grow", "shrink", "clear")


def test_an_exhausted_list_iterator_stays_exhausted(both):
    run = both("""
        from probe import hot

        def f(values, it):
            n = 0
            for v in it:
                n += v
            values.append(100)
            for v in it:
                n += v
            return n

        hot(f, *(lambda l: (l, iter(l)))([1, 2]))
        values = [1, 2, 3]
        print(f(values, iter(values)), values)
    """)
    run.assert_compiled("f")


def test_indexing(both):
    run = both("""
        from probe import hot

        def get(values, i):
            return values[i]  # get

        def put(values, i, v):
            values[i] = v
            return values

        hot(get, [1, 2, 3], 1)
        hot(put, [1, 2, 3], 1, 5)
        for i in (0, 2, -1, -3, 3, -4, 2**62, 2**63, -2**63, -2**64, True, "x", None, 1.0):
            try:
                print(i, get([1, 2, 3], i))
            except (IndexError, TypeError) as e:
                print(repr(e))
            try:
                print(i, put([1, 2, 3], i, 9))
            except (IndexError, TypeError) as e:
                print(repr(e))
        print(get((7, 8), -1), get("abc", 1), get({5: 6}, 5), get(range(9), 3), get(b"xy", 0), get([1, 2, 3], slice(1, 3)))
    """)
    run.assert_compiled("get", "put")
    assert run.exits("get")


def test_an_index_out_of_range_raises_at_its_line(both):
    run = both("""
        import traceback
        from probe import hot

        def f(values, n):
            total = 0
            for i in range(n):
                total += (values[i]  # item
                          * 2)
            return total

        hot(f, [1, 2, 3], 3)
        try:
            f([1, 2, 3], 4)
        except IndexError:
            print(traceback.format_exc())
    """)
    run.assert_compiled("f")


def test_negative_and_wrapping_indexes_in_loops(both):
    run = both("""
        from probe import hot

        def f(values, n):
            for i in range(-n, n):
                values[i] = values[i - 1] + values[-i]
            return values

        hot(f, [1] * 20, 5)
        print(f(list(range(12)), 8))
    """)
    run.assert_compiled("f")


def test_list_methods_and_slices_in_loops(both):
    run = both("""
        from probe import hot

        def f(n):
            a = []
            for i in range(n):
                a.append(i * 7 % 11)
                if i % 3 == 0:
                    a.insert(1, i)
                if i % 4 == 1:
                    a[1:2] = [i, -i]
                if i % 5 == 4:
                    del a[::3]
                a += [i]
                if len(a) > 12:
                    a.pop()
                    a.sort()
                    a.reverse()
            return a, a[2:5], a[::-2], a * 2 == a + a

        hot(f, 9)
        print(f(60))
    """)
    run.assert_compiled("f")


def test_swaps_and_tuples(both):
    run = both("""
        from probe import hot

        def permutations(n):
            p = list(range(n))
            count = 0
            a, b, c = 1, 2, 3
            for k in range(200):
                i, j = k % n, (k * 7 + 3) % n
                p[i], p[j] = p[j], p[i]
                p[:3] = p[2::-1]
                a, b, c = c, a, b
                (a, *rest), d = (b, c, a), count
                count += p[0] * a - d
            return p, a, b, c, rest, count

        hot(permutations, 5)
        print(permutations(7))
    """)
    run.assert_compiled("permutations")


def test_unpacking_errors(both):
    run = both("""
        from probe import hot

        def f(pairs):
            total = 0
            for a, b in pairs:
                total += a * b
            return total

        hot(f, [(1, 2), (3, 4)])
        print(f([[1, 2], (3, 4), "ab" and (5, 6)]))
        for bad in ([(1, 2), (1, 2, 3)], [(1, 2), (1,)], [(1, 2), 3], [(1, 2), None]):
            try:
                f(bad)
            except (ValueError, TypeError) as e:
                print(repr(e))
    """)
    run.assert_compiled("f")


def test_comprehensions(both):
    run = both("""
        from probe import hot

        def f(n):
            a = [i * i for i in range(n) if i % 2]
            b = {i: i + 1 for i in range(n)}
            c = {i % 3 for i in a}
            d = [[i * j for j in range(i)] for i in range(4)]
            e = sum(x for x in a)
            i = "kept"
            g = [(lambda: i)() for i in range(3)]
            return a, b, c, d, e, i, g, [y := k for k in range(3)], y

        hot(f, 8)
        print(f(11))
    """)
    run.assert_compiled("f")


def test_types_that_change_late_in_a_loop(both):
    run = both("""
        from probe import hot

        def f(n, when, what):
            x = 1
            out = []
            for i in range(n):
                if i == when:
                    x = what
                try:
                    x = x + 1  # sum
                except TypeError as e:
                    out.append((i, str(e)))
                    x = 0
            return x, out

        hot(f, 20, -1, 0)
        for what in (1.5, 2**70, None, "a", True, [], 1j):
            for when in (0, 1, 30, 59):
                print(what, when, f(60, when, what))
    """)
    run.assert_compiled("f")
    assert any(line == run.line("sum") for _, line, _ in run.exits("f"))


def test_a_running_loop_is_taken_over(both_loop):
    run = both_loop("""
        import probe

        def f(n):
            total = 0
            for i in range(n):  # loop
                total += i * i & 1023
            return total

        print(f(12_000_000))
    """)
    run.assert_loop("f")


def test_a_module_s_running_loop_is_taken_over(both_loop):
    run = both_loop("""
        import probe

        total = 0.0
        for i in range(8_000_000):
            total += i * 0.5
            if i == 7_900_000:
                marker = total
        print(total, marker, i)
        probe.snapshot()
        print(sorted(k for k in globals() if not k.startswith("__")))
    """)
    run.assert_loop("<module>")


def test_a_loop_in_a_frame_that_was_looked_at_before_is_taken_over(both_loop):
    run = both_loop("""
        import sys
        import probe

        sys._getframe()  # as logging and warnings do: the frame's object stays, but nobody else holds it
        total = 0
        for i in range(8_000_000):
            total += i & 7
        probe.snapshot()
        print(total)
    """)
    run.assert_loop("<module>")


def test_a_running_while_loop_with_nested_loops_is_taken_over(both_early):
    run = both_early("""
        import probe

        def f(n):
            a = [0] * 100
            k = 0
            while k < n:
                for i in range(100):
                    for j in (1, 2, 3):
                        a[i] += j * k
                k += 1
            return a[0], a[99], i, j, k

        print(f(4000))
    """)
    run.assert_loop("f")


def test_a_loop_taken_over_inside_try_and_with(both_early):
    run = both_early("""
        import contextlib
        import traceback
        import probe

        @contextlib.contextmanager
        def manager():
            print("enter")
            try:
                yield 5
            finally:
                print("exit")

        def f(n, bad):
            total = 0
            try:
                with manager() as m:
                    for i in range(n):
                        total += m
                        if i == bad:
                            total += None
            except TypeError:
                print(traceback.format_exc())
                return total
            finally:
                print("finally", i)

        print(f(1_000_000, 999_990))
    """)
    run.assert_loop("f")


def test_a_loop_taken_over_in_a_generator_and_in_a_class_body(both_early):
    run = both_early("""
        import probe

        def squares(n):
            total = 0
            for i in range(n):
                total += i * i
                if i % 100_000 == 0:
                    yield total
            yield total

        print(list(squares(1_000_000)))

        class Body:
            total = 0
            for i in range(500_000):
                total += i & 7
            found = total
            probe.snapshot()

        print(Body.total, Body.i, Body.found)
    """)
    assert any(r["kind"] == "loop" and r["entries"] for f in run.functions for r in f["regions"]), run.functions


def test_a_comprehension_s_loop_is_taken_over(both_early):
    run = both_early("""
        import probe

        def f(n, rounds):
            for r in range(rounds):
                a = [x * 2 for x in range(n)]
                b = {y: y for y in a}
                x = len(a)
            p = [[i & 255] for i in range(n)]
            for q in p:
                pass
            return a[-1], len(b), x, q

        for _ in range(5):
            print(f(40_000, 4))
    """)
    run.assert_loop("f")


def test_a_loop_run_by_exec_and_runpy(both_early, tmp_path):
    (tmp_path / "other.py").write_text("x = 0\nfor i in range(600_000):\n    x += i % 3\nprint(x, i, __name__)\n")
    run = both_early(f"""
        import runpy
        import probe

        space = {{"probe": probe}}
        exec("t = 0\\nfor i in range(600_000):\\n    t += i\\nprint(t); probe.snapshot()", space)
        local = {{"probe": probe}}
        exec("t = 0\\nfor i in range(600_000):\\n    t += i\\nprint(t); probe.snapshot()", space, local)
        print(space["t"], local["t"], space["i"])
        print(sorted(runpy.run_path({str(tmp_path / "other.py")!r}, run_name="other"))[-2:])
    """)
    assert any(r["kind"] == "loop" and r["entries"] for f in run.functions for r in f["regions"]), run.functions


def test_range_guard_reason(both):
    run = both("""
        from probe import hot

        def f(values, i):
            return values[i]  # item

        hot(f, [1, 2, 3], 1)
        try:
            f([1], 5)
        except IndexError as e:
            print(e)
    """)
    run.assert_compiled("f").assert_left("f", "item", RANGE)


def test_a_branch_that_alternates_is_not_taken_for_one_that_never_ran(both):
    run = both("""
        from probe import hot

        def f(n):
            total = 0
            for i in range(n):
                if i % 2:
                    total += 3
                else:
                    total -= 1
            return total

        hot(f, 9)
        hot(f, 10)
        print(f(1000), f(1001))
    """)
    run.assert_compiled("f")
    run.assert_stayed("f")


def test_unpacking_lists_and_tuples(both):
    """What is unpacked is a tuple first, then lists as well: none of them is copied, and anything else still works."""
    run = both("""
        from probe import hot

        class Loud:
            def __init__(self, name):
                self.name = name

            def __del__(self):
                print("gone", self.name)

        def f(seq, n):
            a = b = c = None
            for k in range(n):
                a, b, c = seq
                a, c, b = seq
                c, b, a = seq
            return a, b, c

        def swaps(seq, n):
            a = b = Loud("local")
            for k in range(n):
                a, b = seq
                b, a = seq
                if k == 3:
                    seq[0] = k
                if k == 7:
                    seq[1] = Loud("second")
            return a, b

        hot(f, (1, 2.5, 3), 10)
        for _ in range(60):
            for seq in ((1, 2, 3), [4, 5, 6], ["x", None, 7.5], [True, 2**70, -1]):
                out = f(seq, 20)
            assert out == (-1, 2**70, True), out
        print(f((4, 5, 6), 3), f([4, 5, 6], 3), f("abc", 3), f({1: 2, 3: 4, 5: 6}, 2), f(iter([7, 8, 9]), 0))
        for bad in ((1, 2), [1, 2], [1, 2, 3, 4], 5, "ab", iter([7, 8, 9])):
            try:
                print(f(bad, 2))
            except (ValueError, TypeError) as e:
                print(repr(e))
        hot(swaps, [1, 2], 10)
        for _ in range(20):
            print([type(x).__name__ for x in swaps([1, Loud("first")], 12)])
    """)
    run.assert_compiled("f", "swaps")
    assert not [x for x in run.exits("f")[-4:] if x[2] > 100], run.exits("f")


def test_a_loop_that_what_is_known_cuts_off(both):
    # What is known of `n` in the copy of the first turn leaves a loop in the code that nothing enters.
    run = both("""
        from probe import hot

        def digits(last):
            total = 0
            for i in range(0, last, 37):
                n = i
                while n:
                    n, digit = divmod(n, 10)
                    total += digit
            return total

        hot(digits, 600)
        print([digits(600) for _ in range(8)])
    """)
    run.assert_compiled("digits")
