"""Integers: unboxed while they fit, exact always."""

import pytest
from harness import OVERFLOW, TYPE


def test_sum_overflows_to_a_big_integer_at_the_exact_iteration(both):
    run = both("""
        from probe import hot

        def f(n, step):
            x = 0
            for i in range(n):
                x = x + step  # sum
                out.append(x)
            return x

        out = []
        hot(f, 10, 3)
        print(f(30, 2**62 // 10))
        print(f(30, 2**62 // 10), out)
    """)
    run.assert_compiled("f").assert_left("f", "sum", OVERFLOW)


@pytest.mark.parametrize(
    "expression, a, b",
    [
        ("a * b", 3, 2**62),
        ("a - b", -(2**63), 1),
        ("a + b", 2**63 - 1, 1),
        ("a << b", 1, 63),
        ("a ** b", 3, 41),
        ("-a", -(2**63), 0),
        ("abs(a)", -(2**63), 0),
        ("a // b", -(2**63), -1),
    ],
)
def test_each_operation_overflows_to_the_exact_result(both, expression, a, b):
    run = both(f"""
        from probe import hot

        def f(a, b):
            return {expression}  # here

        hot(f, 12, 5)
        print(f(7, 3), f({a}, {b}), f({a}, {b}), type(f({a}, {b})))
    """)
    run.assert_compiled("f")


def test_floor_division_and_remainder_take_the_divisor_s_sign(both):
    run = both("""
        from probe import hot

        def f(a, b):
            return a // b, a % b, divmod(a, b)

        hot(f, 7, 2)
        for a in (7, -7, 0, 2**62, -2**63, 2**63 - 1):
            for b in (1, -1, 2, -2, 3, -3, 2**62, -2**63):
                print(a, b, f(a, b))
    """)
    run.assert_compiled("f")


def test_zero_divisors_raise_at_their_line(both):
    run = both("""
        import traceback
        from probe import hot

        def f(n, zero):
            total = 0
            for i in range(n):
                try:
                    total += i // (i - zero)
                except ZeroDivisionError:
                    print(traceback.format_exc())
                try:
                    total += i % (i - zero)
                except ZeroDivisionError as e:
                    print(i, e, e.__traceback__.tb_lineno)
            return total

        hot(f, 10, -1)
        print(f(10, 4))
    """)
    run.assert_compiled("f")


def test_shifts(both):
    run = both("""
        from probe import hot

        def f(a, n):
            return a << n, a >> n

        hot(f, 3, 4)
        for a in (1, -1, 0, 5, -6, 2**40, -2**62, 2**63, -2**63, 2**100):
            for n in (0, 1, 22, 31, 62, 63, 64, 65, 100):
                print(a, n, f(a, n))
        for n in (-1, -2**63):
            try:
                f(1, n)
            except ValueError as e:
                print(e)
    """)
    run.assert_compiled("f")


def test_powers(both):
    run = both("""
        from probe import hot

        def f(a, n):
            return a ** n

        hot(f, 3, 4)
        for a in (0, 1, -1, 2, -2, 10, 3037000499, -3037000500):
            for n in (0, 1, 2, 3, 62, 63, 64):
                print(a, n, f(a, n))
        print(f(2, -2), f(2, 0.5), f(-8, 2.0))
        try:
            f(0, -1)
        except ZeroDivisionError as e:
            print(e)
    """)
    run.assert_compiled("f")


def test_bitwise_operations(both):
    run = both("""
        from probe import hot

        def f(a, b):
            return a & b, a | b, a ^ b, ~a

        hot(f, 6, 3)
        values = (0, 1, -1, 2**30, -2**30, 2**62, -2**63, 2**63 - 1, 2**63, 2**64, -2**65, True, False)
        for a in values:
            for b in values:
                print(f(a, b))
    """)
    run.assert_compiled("f")


def test_booleans_stay_booleans_and_count_as_integers(both):
    run = both("""
        from probe import hot

        def f(a, b):
            return a + b, a & b, a | b, a ^ b, -a, +a, ~a, a * b, a == b, not a

        hot(f, True, False)
        for a in (True, False, 1, 0):
            for b in (True, False, 3):
                print([(x, type(x).__name__) for x in f(a, b)])

        def count(values):
            n = 0
            for v in values:
                n += v > 2
            return n

        hot(count, [1, 2, 3, 4])
        print(count([1, 5, 9, 0]), count([3.5, 1]), type(count([3])))
    """)
    run.assert_compiled("f", "count")


def test_small_integers_keep_their_identity(both):
    run = both("""
        from probe import hot

        def f(n):
            out = []
            for i in range(n):
                x = i - 5
                out.append(x)
            return out

        hot(f, 10)
        a, b = f(300), f(300)
        print([x is y for x, y in zip(a, b)].index(False))
        print(sum(x is y for x, y in zip(a, b)))
    """)
    run.assert_compiled("f")


def test_an_object_moved_around_stays_the_same_object(both):
    run = both("""
        from probe import hot

        def f(x, n):
            y = x
            for i in range(n):
                z = y
                y = z
            return y

        hot(f, 12345678, 5)
        big, fl = 10**6 + 1, 1.5
        print(f(big, 10) is big, f(fl, 10) is fl, f(2**70, 3))
    """)
    run.assert_compiled("f")


def test_chained_comparisons_and_mixed_comparisons(both):
    run = both("""
        from probe import hot

        def f(a, b, c):
            return a < b < c, a <= b != c, a == b == c, a > b >= c

        hot(f, 1, 2, 3)
        values = (0, 1, -1, 2**53, 2**53 + 1, 2.0**53, 2**63, -2**63, 2.0**63, float("nan"), float("inf"), True)
        for a in values:
            for b in values:
                print(f(a, b, 1), f(0, a, b))
    """)
    run.assert_compiled("f")


def test_an_integer_argument_that_turns_float_leaves_once_with_its_type(both):
    run = both("""
        from probe import hot

        def f(values):
            total = 0
            for v in values:
                total = total + v  # sum
            return total

        hot(f, [1, 2, 3])
        print(f([1, 2, 3, 2.5, 4]), f([1, True, 2**70, -2**70]), f(range(5)))
    """)
    run.assert_compiled("f")
    assert run.exits("f"), "a float among integers must be met by a guard"


def test_a_subclass_of_int_keeps_its_own_addition(both):
    run = both("""
        from probe import hot

        class Odd(int):
            def __add__(self, other):
                return 1000
            __radd__ = __add__

        def f(a, b):
            return a + b  # sum

        hot(f, 1, 2)
        print(f(3, 4), f(Odd(1), 2), f(1, Odd(2)), f(3, 4))
    """)
    run.assert_compiled("f").assert_left("f", "sum", TYPE)


def test_mixed_int_and_float_arithmetic(both):
    run = both("""
        from probe import hot

        def f(a, b):
            return a + b, a - b, a * b, a / b

        hot(f, 3, 0.5)
        for a in (1, -3, 2**53 + 1, 2**62, 2**70, 10**400, True):
            for b in (0.5, -0.25, 1e300):
                try:
                    print(f(a, b), f(b, a))
                except OverflowError as e:
                    print(e)
    """)
    run.assert_compiled("f")


def test_true_division_of_integers_rounds_once(both):
    run = both("""
        from probe import hot

        def f(a, b):
            return a / b

        hot(f, 7, 2)
        for a in (1, 2**53 + 1, 2**62 + 1, 2**63 - 1, -2**63, 10**30, 10**400):
            for b in (3, -7, 2**53 + 1, 2**61 - 1, 10**399):
                try:
                    print(repr(f(a, b)))
                except OverflowError as e:
                    print(e)
    """)
    run.assert_compiled("f")


def test_huge_digits(both):
    run = both("""
        from probe import hot

        def factorial(n):
            r = 1
            for i in range(2, n + 1):
                r *= i  # product
            return r

        hot(factorial, 5)
        print(factorial(20), factorial(21), factorial(60), factorial(20))
    """)
    run.assert_compiled("factorial").assert_left("factorial", "product", OVERFLOW)
