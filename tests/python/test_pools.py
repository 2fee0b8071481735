"""Numbers that compiled code drops and makes anew out of what it dropped."""


def test_values_of_all_sizes(both):
    run = both("""
        from probe import hot

        def steps(values, factor):
            out = []
            for v in values:
                w = v * factor
                x = w + 1
                out.append((w, x, v - w))
            return out

        ints = [0, 1, -1, 255, 256, 257, -5, -6, 1 << 29, (1 << 30) - 1, 1 << 30, -(1 << 30), (1 << 59) + 5,
                -(1 << 60) + 1, 1 << 60, -(1 << 60), (1 << 62) - 1]
        hot(steps, ints, 1)
        for _ in range(3):
            for factor in (1, -1, 0):
                print(steps(ints, factor))
        print(steps([1 << 62], 4), steps([1.5, -0.0, float("inf")], 1), steps([3, 1.5], 2.5))
    """)
    run.assert_compiled("steps")


def test_nobody_sees_a_number_change(both):
    """Numbers that are still referred to keep their values while others come and go."""
    run = both("""
        from probe import hot

        def churn(n, seed):
            kept = []
            x = seed
            for i in range(n):
                x = (x * 1103515245 + 12345) % 2147483648
                y = x * 0.5
                if i % 7 == 0:
                    kept.append(x)
                    kept.append(y)
                    kept.append(x * 3)
            return kept

        hot(churn, 10, 1)
        first = churn(2000, 42)
        copy = list(map(repr, first))
        churn(5000, 7)
        print(list(map(repr, first)) == copy, len(set(map(id, first))) == len(first), sum(first) % 1000003)
        del first
        print(churn(20, 3))
    """)
    run.assert_compiled("churn")


def test_memory_that_is_traced(both):
    """Numbers made out of kept memory are known to tracemalloc, and what is kept stays little."""
    run = both("""
        import sys, tracemalloc
        from probe import hot

        def make(n):
            out = []
            for i in range(n):
                out.append(i * 1000003 + 7)
            return out
        hot(make, 10)
        make(1000)
        tracemalloc.start()
        held = make(500)
        traced = sum(tracemalloc.get_object_traceback(x) is not None for x in held)
        tracemalloc.stop()
        print(traced)
        before = sys.getallocatedblocks()
        for _ in range(20):
            make(1000)
        print(abs(sys.getallocatedblocks() - before) < 300)
    """)
    run.assert_compiled("make")
