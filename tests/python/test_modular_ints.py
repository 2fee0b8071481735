"""Arithmetic whose high bits a mask throws away: computed modulo 2**64, with Python's results."""

import random
import textwrap

import pytest

ALL = "0xFFFFFFFFFFFFFFFF"

FORMS = [
    f"(6364136223846793005 * a + b) & {ALL}",
    f"{ALL} & (a - b * 0x9E3779B97F4A7C15)",
    "(a * b + 0xFFFFFFFFFFFF0001) % 2**64",
    "(a * b * 12345678901234567890) % 4096",
    f"((a ^ (a << 13)) * 3 - (b | 5)) & {ALL}",
    f"(((a & {ALL}) >> 33) ^ (a & {ALL})) * 0xFF51AFD7ED558CCD & {ALL}",
    f"((a & {ALL}) ^ ((b & {ALL}) >> 7)) | 1",
    f"((a & {ALL}) >> 63) + ((a & {ALL}) >> 0)",
    f"(a << 70) & {ALL}",
    f"(a * 18446744073709551617 & 0x7FFFFFFFFFFFFFFF) + (b - 2**64 & {ALL})",
    f"(a & 2**64) + (a % -8) + (-1 & {ALL}) + (a * b & -(2**64))",
]

VALUES = [0, 1, -1, 5, -7, 2**30, 2**31 - 1, -(2**60), 2**63 - 1, 2**63, -(2**63), 2**64 - 1, 2**64, 2**64 + 5, -(2**64), 2**90, -(2**90) + 3, 2**127, -(2**127), 2**200 + 11, -(2**200)]  # fmt: skip  # noqa: E501


@pytest.mark.parametrize("form", FORMS)
def test_results_are_pythons(both, form):
    run = both(f"""
        from probe import hot

        def f(a, b):
            return {form}

        hot(f, 2**64 - 59, 2**63 + 29, calls=8)
        for a in {VALUES}:
            for b in {VALUES}:
                print(f(a, b))
        for a, b in ((True, 2**65), (2**65, False), (1.5, 3), ('x', 2), (2, None), ([1], 2)):
            try:
                print(f(a, b))
            except (TypeError, MemoryError, OverflowError) as e:
                print(type(e), e)
    """)
    run.assert_compiled("f")


def test_nothing_leaves(both):
    """Values of any size are computed with in place."""
    run = both(f"""
        from probe import hot

        def splitmix(n, s):
            out = []
            for i in range(n):
                s = (s + 0x9E3779B97F4A7C15) & {ALL}
                z = s
                z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & {ALL}
                z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & {ALL}
                out.append(z ^ (z >> 31))
            return out

        hot(splitmix, 100, 2**70 + 1, calls=6)
        print(splitmix(100, 0)[-3:], splitmix(50, -(2**100))[-3:], splitmix(3, 7))
    """)
    run.assert_compiled("splitmix").assert_stayed("splitmix")


def test_operands_of_other_classes_leave_where_the_first_operator_stands(both):
    """What is computed before a guard fails is computed again, without effects that could be seen twice."""
    run = both(f"""
        from probe import hot

        class Loud(int):
            def __rmul__(self, other):
                seen.append(('rmul', other))
                return 3
            def __add__(self, other):
                seen.append(('add', other))
                return 5
            __radd__ = __add__
            def __and__(self, other):
                seen.append(('and', other))
                return 9

        seen = []

        def f(a, b, c):
            return (a * b * 0x9E3779B97F4A7C15 + c) & {ALL}  # tree

        hot(f, 2**64 - 59, 2**63 + 29, 2**64 - 1, calls=8)
        big = 2**80 + 1
        for arguments in ((big, Loud(7), 5), (big, 7, Loud(5)), (Loud(4), 7, 5), (big, big, big)):
            print(f(*arguments), seen)
            seen.clear()
        for arguments in ((big, 1.5, 2), (big, 2, 1.5), (big, 2, '')):
            try:
                print(f(*arguments))
            except TypeError as e:
                print(e)
    """)
    run.assert_compiled("f").assert_left("f", "tree", "class")


def test_intermediate_results_that_are_kept_are_whole(both):
    run = both(f"""
        from probe import hot

        def f(a, b):
            whole = a * b
            low = (whole + (again := whole - 2**64)) & {ALL}
            return whole, low, again

        hot(f, 2**64 - 59, 2**63 + 29, calls=8)
        print(f(2**64 - 1, 2**64 - 1), f(-3, 2**90), f(0, 0))
    """)
    run.assert_compiled("f")


@pytest.mark.parametrize("exit_", range(1, 9))
def test_exits_among_the_operators(both, exit_):
    """Whatever guard fails, the interpreter goes on as if the tree had not been begun."""
    both(
        f"""
        from probe import warm

        class State:
            def __init__(self, x):
                self.x = x

        def f(n, state, k):
            total = 0
            for i in range(n):
                state.x = (6364136223846793005 * state.x + (i ^ k)) & {ALL}
                x = state.x
                total += (x ^ (x >> 29)) * k % 2**32
            return total, state.x

        warm(f, 20, State(2**64 - 3), 2**63 + 5)
        for i in range(20):
            print(f(5 + i, State(i * 2**60), 2**63 + i))
    """,
        force_exit=exit_,
    )


def by_chance(rng, depth):
    """An expression over a and b."""
    if depth == 0 or rng.random() < 0.15:
        return rng.choice(["a", "b", "3", "255", "0x9E3779B97F4A7C15", "1442695040888963407", "-5", "2**64"])
    if rng.random() < 0.15:
        return f"({by_chance(rng, depth - 1)} {rng.choice(['<<', '>>'])} {rng.choice([0, 1, 7, 33, 63, 64])})"
    operator = rng.choice(["+", "-", "*", "^", "|", "&"])
    inner = f"({by_chance(rng, depth - 1)} {operator} {by_chance(rng, depth - 1)})"
    if rng.random() < 0.35:
        return f"({inner} {rng.choice(['&', '%'])} {rng.choice([ALL, '0x7FFFFFFF', '2**64', '2**32', '1'])})"
    return inner


@pytest.mark.parametrize("seed", range(12))
def test_expressions_by_chance(both, seed):
    rng = random.Random(seed)
    forms = [f"{by_chance(rng, 4)} & {ALL}" for _ in range(6)]
    functions = "\n".join(
        f"def f{k}(n, a, b):\n    for i in range(n):\n        a, b = {form}, a\n    return a, b\n"
        f"hot(f{k}, 5, 2**64 - 59, 2**63 + 29, calls=6)"
        for k, form in enumerate(forms)
    )
    calls = "\n".join(
        f"print([f{k}(n, a, b) for n in (0, 1, 7) for a in {VALUES[::3]} for b in {VALUES[1::4]}])" for k in range(6)
    )
    both("from probe import hot\n" + textwrap.dedent(functions) + "\n" + calls)
