"""Heaps: `heapq`'s functions compare what is in them without the objects' protocols, as long as that can be told."""
# ruff: noqa: E501 (lines of the programs under test)

import pytest

ITEMS = [
    "[(k * 7919) % 101 for k in range(80)]",
    "[(k * 7919) % 101 / 7 for k in range(80)]",
    "[2**64 - k * 7919 % 11 for k in range(30)] + [-(2**70), 3, 2**63 - 1, -(2**63)]",
    "[((k * 7919) % 13, k, object) for k in range(60)]",
    "[(str((k * 7919) % 13), -k / 3) for k in range(60)] + [('',), (), ('7', 0.5, 1)]",
    "[((1, k % 3), (k % 5,), str(k)) for k in range(40)]",
    "['\\u20ac', 'a', '', 'z' * 3, '\\U0001f600', 'aa'] * 4",
    "[1, 2.5, True, 0, -1.5, False, 2**70, 1e300] * 3",
    "[float('nan'), 1.0, 2.0, -0.0, 0.0, float('-inf')] * 4",
    "[(0.0, float('nan')), (0.0, 1.0), (-0.0, 2.0)] * 4",
    "[Task((k * 7919) % 13, k) for k in range(40)]",
    "[(k % 3, Task((k * 7919) % 13, k)) for k in range(40)]",
    "[[k % 3, k] for k in range(20)]",
]


@pytest.mark.parametrize("items", ITEMS)
def test_order(both, items):
    run = both(f"""
        import heapq
        from probe import hot

        class Task:
            def __init__(self, urgency, n):
                self.urgency = urgency
                self.n = n
            def __lt__(self, other):
                return self.urgency < other.urgency
            def __repr__(self):
                return f"Task({{self.urgency}}, {{self.n}})"

        def f(items, keep):
            heap, out = [], []
            for x in items:
                heapq.heappush(heap, x)
                if len(heap) > keep:
                    out.append(heapq.heappop(heap))
            out.append(list(heap))
            while heap:
                out.append(heapq.heappop(heap))
            return out

        hot(f, [3, 1, 2, 5, 4], 2)
        items = {items}
        for keep in (0, 1, 2, 7, 100):
            print(ascii(f(items, keep)))
    """)
    run.assert_compiled("f")


def test_what_cannot_be_compared(both):
    run = both("""
        import heapq, sys
        from probe import hot

        def f(heap, x):
            heapq.heappush(heap, x)
            return heapq.heappop(heap)

        hot(f, [1, 2, 3], 2)

        class Heap(list):
            pass

        class Odd:
            def __init__(self, heap):
                self.heap = heap
            def __lt__(self, other):
                self.heap.append(1)
                return True
            def __repr__(self):
                return "Odd"

        heap = [1]
        odd = [(1, Odd([])), (2, 3)]
        for a, x in (([1, 2], "a"), ([], 1), ((1, 2), 3), (Heap([2, 3]), 1), ([1, None, 3], 0), ([(1, None), (1, 2)], (1, "x")), (heap, Odd(heap)), (odd, (1, Odd(odd))), ([0.5, float("nan")], 1)):
            try:
                print(f(a, x), a)
            except (TypeError, IndexError, RuntimeError) as e:
                print(type(e).__name__, e, a)
        for call in (lambda: heapq.heappop([]), lambda: heapq.heappop(3), lambda: heapq.heappush([]), lambda: heapq.heappush([], 1, 2)):
            try:
                call()
            except (TypeError, IndexError) as e:
                print(type(e).__name__, e)
        x = (object(), 1)
        a = [x]
        before = sys.getrefcount(x)
        for _ in range(50):
            heapq.heappush(a, (x[0], 1))
            heapq.heappop(a)
        print(sys.getrefcount(x) - before, len(a), heapq.heappush.__name__, heapq.heappop.__doc__ == heapq.heappop.__doc__)
    """)
    run.assert_compiled("f")
