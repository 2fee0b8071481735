"""array.array, and lists as a whole: items read and written in place, slices, methods."""

import pytest
from harness import OVERFLOW, RANGE

# Each function is called until the engine has compiled it by itself, with the classes it met, and entered that: what
# calls leave behind must not depend on their number.
HEAT = """
import array, sys, time
import probe
def heat(f, make):
    end = time.monotonic() + 20
    while True:
        f(*make())
        entries = probe.STOOP.info(f).entries if probe.under_stoop() else 1
        if entries > 0 or time.monotonic() > end:
            probe.ENTRIES[f.__qualname__] = entries
            break
"""


def entered(run, name):
    """Premise: a region of the function was compiled while the program ran, and entered."""
    assert run.entries.get(name, 0) > 0, run.functions
    return run


def test_items_are_read_and_written_in_place(both_loop):
    run = both_loop(f"""
        {indented(HEAT)}
        def f(a, b, n):
            total = 0.0
            for k in range(n):
                a[k] = a[k] * 0.5 + b[k]  # body
                a[-1 - k] += k
                total += a[k] - b[-1]
            return total

        def make():
            return array.array("d", [1.5] * 4000), array.array("i", range(4000)), 4000

        heat(f, make)
        a, b, n = make()
        total = f(a, b, n)
        print(total, a[0], a[-1], sum(a), sum(b), len(a), a.itemsize, b.typecode)
    """)
    entered(run, "f")


@pytest.mark.parametrize("code", "bBhHiIlqLQ")
def test_each_typecode_keeps_its_range(both_loop, code):
    both_loop(f"""
        {indented(HEAT)}
        def fill(a, start, step, n):
            for k in range(n):
                a[k % 8] = start + step * (k % 50)  # store
            return a[0] + a[7]

        def add(a, n):
            total = 0
            for k in range(n):
                total += a[k & 7]
            return total

        a = array.array({code!r}, bytes(8 * array.array({code!r}).itemsize))
        bits = 8 * a.itemsize
        heat(fill, lambda: (a[:], 3, 1, 3000))
        heat(add, lambda: (a, 3000))
        low, high = (0, 2**bits - 1) if {code!r}.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        for start, step in ((low, 1), (high, -1), (high - 30, 1), (low + 30, -1), (True, 0), (-1, 0)):
            try:
                print(fill(a, start, step, 50))
            except OverflowError as e:
                print(e, e.__traceback__.tb_next.tb_lineno)
            print(a, add(a, 8), add(a, 1000))
    """)


def test_a_value_that_does_not_fit_raises_at_its_line(both_loop):
    run = both_loop(f"""
        {indented(HEAT)}
        def f(a, n, add):
            for k in range(n):
                a[k & 3] = k + add  # store
            return a

        a = array.array("i", [0] * 4)
        heat(f, lambda: (a, 3000, 0))
        for add in (2**31 - 3, -(2**31) - 1, 2**62, 2**70):
            try:
                f(a, 8, add)
            except OverflowError as e:
                print(e, e.__traceback__.tb_next.tb_lineno, a)
        try:
            f(a, 8, 0.5)
        except TypeError as e:
            print(e)
    """)
    entered(run, "f").assert_left("f", "store", OVERFLOW)


def test_positions_out_of_range_raise(both_loop):
    run = both_loop(f"""
        {indented(HEAT)}
        def f(a, n, at):
            total = 0.0
            for k in range(n):
                total += a[k + at]  # here
                a[k + at] = total
            return total

        heat(f, lambda: (array.array("d", [1.0] * 3000), 3000, 0))
        for at in (0, -10, -11, 3, 10, 2**63 - 2, -(2**63), 2**70):
            a = array.array("d", range(10))
            try:
                print(f(a, 10, at))
            except IndexError as e:
                print(e, e.__traceback__.tb_next.tb_lineno)
            print(a)
    """)
    entered(run, "f").assert_left("f", "here", RANGE)


def test_floats_of_four_bytes_are_rounded(both_loop):
    run = both_loop(f"""
        {indented(HEAT)}
        def f(a, x, n):
            for k in range(n):
                a[k & 7] = x  # store
                x = a[k & 7] * 1.1
            return x

        a = array.array("f", [0.0] * 8)
        heat(f, lambda: (a, 1.0, 3000))
        for x in (0.1, -0.0, 1e300, -1e300, 1e-50, float("nan"), float("inf"), 16777217.0, 5, True, 2**60):
            print(f(a, x, 9), list(a))
    """)
    entered(run, "f")


def test_arrays_that_change_their_size_while_a_loop_runs(both_loop):
    run = both_loop(f"""
        {indented(HEAT)}
        def grow(a, n):
            total = 0
            for k in range(n):
                total += a[k]
                a.append(k)
                a[-1] = k * 2
                total += len(a) + a[-1]
            return total

        def shrink(a):
            total = 0
            try:
                for k in range(len(a)):
                    total += a[k]
                    if k % 2:
                        a.pop()
            except IndexError as e:
                return total, k, str(e)

        heat(grow, lambda: (array.array("i", range(3000)), 3000))
        heat(shrink, lambda: (array.array("d", range(3000)),))
        print(grow(array.array("i", range(10)), 10), grow(array.array("d", range(10)), 10))
        print(shrink(array.array("d", range(10))), shrink(array.array("i", range(10))))
    """)
    entered(run, "grow")


def test_exported_arrays_are_shared_and_keep_their_size(both_loop):
    run = both_loop(f"""
        {indented(HEAT)}
        def f(a, view, n):
            total = 0
            for k in range(n):
                a[k] = k  # store
                view[k] = view[k] + 1
                total += a[k]
            return total

        a = array.array("l", [0] * 3000)
        view = memoryview(a)
        heat(f, lambda: (a, view, 3000))
        print(f(a, view, 3000), a[-1])
        try:
            a.append(1)
        except BufferError as e:
            print(e)
        view.release()
        a.append(1)
        print(len(a))
    """)
    entered(run, "f")


def test_subclasses_and_other_typecodes_take_the_slow_way(both_loop):
    run = both_loop(f"""
        {indented(HEAT)}
        class Odd(array.array):
            def __getitem__(self, k):
                return "odd", k
            def __setitem__(self, k, v):
                seen.append((k, v))

        class Plain(array.array):
            pass

        def f(a, n):
            last = None
            for k in range(n):
                last = a[k]
                a[k] = k
            return last

        seen = []
        heat(f, lambda: (array.array("d", [1.0] * 3000), 3000))
        for a in (Odd("d", [1.0] * 5), Plain("d", [1.0] * 5), array.array("i", [7] * 5), array.array("f", [0.5] * 5),
                  array.array("Q", [7] * 5), array.array("w" if sys.version_info >= (3, 13) else "u", "hello"), [1] * 5,
                  bytearray(5), {{k: k for k in range(5)}}, array.array("d", [2.5] * 5)):
            try:
                print(f(a, 5), list(a) if type(a) is not Odd else seen)
            except TypeError as e:
                print(e)
    """)
    entered(run, "f")


def test_arrays_die_when_their_last_name_goes(both_loop):
    run = both_loop(f"""
        {indented(HEAT)}
        import weakref

        def f(n):
            a = array.array("d", [1.0] * 8)
            total = 0.0
            for k in range(n):
                total += a[k & 7]
                if k % 1000 == 999:
                    r = weakref.ref(a, lambda _: dead.append(total))
                    a = array.array("d", [k] * 8)
            return total

        dead = []
        heat(f, lambda: (5000,))
        dead.clear()
        print(f(5000), dead)
    """)
    entered(run, "f")


@pytest.mark.parametrize(
    "value", ["list(range(9))", "bytearray(range(9))", "array.array('i', range(9))", "Sub(range(9))"]
)
def test_a_list_s_start_is_reversed_in_place(both_loop, value):
    run = both_loop(f"""
        {indented(HEAT)}
        class Sub(list):
            def __setitem__(self, k, v):
                calls.append((k, v))
                list.__setitem__(self, k, v)

        def f(a, n):
            flips = 0
            for k in range(n):
                k %= 9
                a[:k + 1] = a[k::-1]  # flip
                flips += a[0] == k
            return flips, a

        def at(a, k, n=3):
            for _ in range(n):
                a[:k + 1] = a[k::-1]
            return a

        calls = []
        heat(f, lambda: (list(range(9)), 3000))
        heat(at, lambda: (list(range(9)), 4, 3000))
        print(f({value}, 300))
        print(f({value}, 9))
        for k in (-1, -2, -9, -10, 0, 8, 9, 100, True, 2**70):
            try:
                print(k, at({value}, k))
            except (TypeError, ValueError) as e:
                print(k, type(e))
        try:
            print(at({value}, 1.5))
        except TypeError as e:
            print(e)
        one = object()
        twice = [one, [], one]
        print(at(twice, 1)[1] is one, twice[2] is one, sys.getrefcount(one), len(calls))
    """)
    entered(run, "f")


def test_flips_count_references(both_loop):
    run = both_loop(f"""
        {indented(HEAT)}
        def f(perm, n):
            seen = 0
            for r in range(n):
                k = r % len(perm)
                perm[:k + 1] = perm[k::-1]
                part = perm[:]
                part[k] = None
                seen += len(part) + len(perm[k:]) + len(perm[:-k])
            return seen

        things = [object() for _ in range(7)]
        counts = [sys.getrefcount(x) for x in things]
        heat(f, lambda: (things[:], 3000))
        print(counts == [sys.getrefcount(x) for x in things], f(things[:], 5))
    """)
    entered(run, "f")


def test_slices_of_lists(both_loop):
    run = both_loop(f"""
        {indented(HEAT)}
        def f(a, i, j, n):
            for _ in range(n):
                x, y, z = a[i:j], a[i:], a[:j]  # slices
            return x, y, z, a[:]

        heat(f, lambda: ([1, 2, 3], 0, 2, 3000))
        bounds = (0, 1, -1, 3, -3, 4, -4, 2**63 - 1, -(2**63), 2**70, -(2**70), True)
        for i in bounds:
            for j in bounds:
                print(i, j, f([1, 2, 3], i, j, 2))
        print(f([1, 2], None, None, 2), f("text", 1, 3, 2), f((1, 2, 3), 1, None, 2))
        try:
            f([1], 0.5, 1, 1)
        except TypeError as e:
            print(e)
    """)
    entered(run, "f")


def test_methods_of_lists_work_in_place(both_loop):
    run = both_loop(f"""
        {indented(HEAT)}
        def f(a, n):
            push, take, put = a.append, a.pop, a.insert
            sizes = set()
            for k in range(n):
                push(k)
                put(k % 5 - 7, take(0))
                if k % 3:
                    a.insert(1, a.pop())
                    sizes.add(take(-2))
                else:
                    a.append(len(a))
                if k % 100 == 0:
                    sizes.add(sys.getsizeof(a))
            return sorted(sizes)[-5:], len(a)

        heat(f, lambda: (list(range(20)), 3000))
        a = list(range(20))
        print(f(a, 300), a[:10], sys.getsizeof(a))
    """)
    entered(run, "f")


def test_methods_of_lists_raise_where_they_stand(both_loop):
    run = both_loop(f"""
        {indented(HEAT)}
        class Stack(list):
            def pop(self, *at):
                return "mine"

        def f(a, n, at):
            take = a.pop
            total = []
            for k in range(n):
                total.append(take(at))  # take
                if len(total) < 3000 and k % 2:
                    a.append(k)
            return total

        heat(f, lambda: (list(range(5000)), 2000, 0))
        for a, n, at in (([1, 2, 3], 9, 0), ([1, 2], 4, -2), ([], 1, 0), ([1], 1, 5), (Stack([1, 2]), 2, 0),
                         ({{0: "zero"}}, 1, 0), ([1], 1, "x"), (bytearray(b"abc"), 2, 1),
                         ([1, 2], 1, True), ([1, 2], 1, 2**70)):
            try:
                print(f(a, n, at), a)
            except (IndexError, TypeError, KeyError, OverflowError) as e:
                print(type(e), e, e.__traceback__.tb_next.tb_lineno, a)
    """)
    entered(run, "f")


def indented(text):
    """Text for the inside of an indented program."""
    return text.strip().replace("\n", "\n        ")
