"""Floats: the same bits, signs and special values."""

from harness import TYPE

VALUES = (
    "(0.0, -0.0, 1.0, -1.5, 5e-324, 1.7976931348623157e308, -1e308, 0.1, float('inf'), float('-inf'), float('nan'))"
)


def test_arithmetic_over_special_values(both):
    run = both(f"""
        import struct
        from probe import hot

        def bits(x):
            return struct.pack(">d", x).hex() if x == x else "nan"

        def f(a, b):
            return a + b, a - b, a * b, -a, abs(a)

        hot(f, 1.5, 2.5)
        for a in {VALUES}:
            for b in {VALUES}:
                print([bits(x) for x in f(a, b)])
    """)
    run.assert_compiled("f").assert_stayed("f")


def test_division_floor_division_and_remainder(both):
    run = both(f"""
        from probe import hot

        def divide(a, b):
            return a / b

        def floor(a, b):
            return a // b

        def remainder(a, b):
            return a % b

        for f in (divide, floor, remainder):
            hot(f, 7.5, 2.5)
            for a in {VALUES}:
                for b in {VALUES}:
                    try:
                        print(repr(f(a, b)))
                    except ZeroDivisionError as e:
                        print(e)
    """)
    run.assert_compiled("divide", "floor", "remainder")


def test_powers(both):
    run = both(f"""
        from probe import hot

        def f(a, b):
            return a ** b

        hot(f, 2.5, 3.0)
        for a in {VALUES}:
            for b in {VALUES} + (2.0, -3.0, 0.5, 2, -1):
                try:
                    print(repr(f(a, b)))
                except (ZeroDivisionError, OverflowError) as e:
                    print(e)
    """)
    run.assert_compiled("f")


def test_comparisons_with_nan(both):
    run = both(f"""
        from probe import hot

        def f(a, b):
            return a < b, a <= b, a == b, a != b, a > b, a >= b, not a, bool(b)

        def g(a, b):
            if a < b:
                return "less"
            elif a == b:
                return "equal"
            while not a > b:
                return "unordered"
            return "greater"

        hot(f, 1.0, 2.0)
        hot(g, 1.0, 2.0)
        for a in {VALUES}:
            for b in {VALUES}:
                print(f(a, b), g(a, b))
    """)
    run.assert_compiled("f", "g")


def test_the_same_nan_object_is_found_by_identity(both):
    run = both("""
        from probe import hot

        def f(x, n):
            out = []
            for i in range(n):
                y = x * 1.0
                out.append(y)
            return x in [x], out[0] in out, out[0] == out[0], out.count(out[0])

        hot(f, 1.0, 3)
        print(f(float("nan"), 4))
    """)
    run.assert_compiled("f")


def test_a_long_accumulation_has_the_same_bits(both):
    run = both("""
        from probe import hot

        def f(n):
            s, t = 0.0, 1.0
            for i in range(1, n):
                s += 1.0 / i * t
                t = -t * 0.9999999
            return s, t

        hot(f, 50)
        print(f(100000))
    """)
    run.assert_compiled("f").assert_stayed("f")


def test_boxes_are_never_changed_under_somebody_s_feet(both):
    run = both("""
        from probe import hot

        def f(values, n):
            kept = []
            x = values[0]
            for i in range(n):
                x = x + 0.5
                values[0] = x
                if i % 3 == 0:
                    kept.append(values[0])
                values[1] = values[1] * 1.5
                y = values[1]
                values[1] = values[1] + 1.0
                if i % 4 == 0:
                    kept.append(y)
            return kept, x

        hot(f, [1.0, 2.0], 5)
        shared = 3.25
        values = [shared, shared]
        print(f(values, 12), values, shared)
    """)
    run.assert_compiled("f")


def test_constants_survive_in_place_reuse(both):
    run = both("""
        from probe import hot

        class P:
            pass

        def f(p, values, n):
            for i in range(n):
                p.x = 1.5
                p.x += i
                values[0] = 2.5
                values[0] *= 2.0
            return 1.5, 2.5, p.x, values[0]

        p = P()
        p.x = 0.0
        hot(f, p, [0.0], 5)
        print(f(p, [0.0], 5), f(p, [0.0], 6))
    """)
    run.assert_compiled("f")


def test_a_float_variable_that_turns_int_leaves(both):
    run = both("""
        from probe import hot

        def f(values):
            total = 0.0
            for v in values:
                total = total + v  # sum
            return total

        hot(f, [1.0, 2.0])
        print(f([1.0, 2, 3.5, 2**70, True]), f([1.0, 10**25]))
    """)
    run.assert_compiled("f").assert_left("f", "sum", TYPE)


def test_conversions(both):
    run = both("""
        import math
        from probe import hot

        def f(x):
            return int(x), round(x), math.floor(x), float(x), str(x), f"{x:.3f}", math.sqrt(abs(x)), bool(x)

        hot(f, 2.5)
        for x in (0.0, -0.0, 0.5, 1.5, 2.5, -2.5, 1e15 + 0.5, 2.0**53, 2.0**63, -2.0**63, 1e22, 1e300, 7, 2**70):
            print(f(x))
        for x in (float("inf"), float("nan")):
            try:
                f(x)
            except (OverflowError, ValueError) as e:
                print(e)
    """)
    run.assert_compiled("f")


def test_min_max_and_sums(both):
    run = both("""
        from probe import hot

        def f(a, b):
            return min(a, b), max(a, b), sum([a, b], 0.0), min(a, b) is a

        hot(f, 1.0, 2.0)
        for a in (0.0, -0.0, float("nan"), 1.5):
            for b in (0.0, -0.0, float("nan"), 2):
                print(f(a, b))
    """)
    run.assert_compiled("f")
