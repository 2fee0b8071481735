"""`len` and `in` of what an attribute or item most likely is: a list, told by an example and guarded."""

BOARD = """
    from probe import snapshot

    class Board:
        def __init__(self, rows):
            self.rows = rows
        def is_single(self, i):
            return len(self.rows[i]) == 1
        def has(self, i, v):
            return v in self.rows[i]

    def singles(board, n):
        found = 0
        for i in range(n):
            if board.is_single(i):
                found += 1
            if board.has(i, 2):
                found += 10
        return found

    b = Board([[1], [1, 2], [3], []])
    for _ in range(10):
        r = singles(b, 4)
    print(r)
"""


def in_place(run):
    return {a.split()[1] for r in run.regions("singles") for a in r["assumptions"] if a.startswith("function ")}


def test_lists_of_lists_are_asked_in_place(both_early):
    run = both_early(BOARD + "    snapshot()\n")
    assert run.output == "12\n"
    assert {"Board.is_single", "Board.has"} <= in_place(run)
    assert all("RETURN_VALUE" in reason for reason, _, _ in run.exits("singles"))


def test_other_containers_and_odd_items_later(both_early):
    run = both_early(
        BOARD
        + """
    snapshot()
    class Odd:
        def __eq__(self, other):
            print("asked", other)
            return other == 2
        def __repr__(self):
            return "Odd"
        __hash__ = None
    class Sized:
        def __len__(self):
            return 1
        def __contains__(self, v):
            return v == 2
    class Rows(list):
        def __len__(self):
            return 1
        def __contains__(self, v):
            return "yes"
    nan = float("nan")
    rows = [(2,), {2: 3}, {2}, "2", Sized(), [Odd()], [nan], [2.0], [True, 2], Rows([5, 6]), range(3), 5]
    for row in rows:
        b.rows = [[1], row]
        for v in (2, nan, 1, "2", Odd()):
            for m in (b.is_single, lambda i: b.has(i, v), lambda i: singles(b, i + 1)):
                try:
                    print(m(1))
                except TypeError as e:
                    print(type(e).__name__, e)
    try:
        b.has(7, 1)
    except IndexError as e:
        print(e)
    """
    )
    assert run.exits("singles") + run.exits("is_single") + run.exits("has")


def test_looking_through_a_list_runs_its_items_comparisons_in_order(both):
    run = both("""
        from probe import hot

        def inside(v, items):
            return v in items

        hot(inside, 1, [1, 2])
        hot(inside, 1, (1, 2))
        seen = []
        class Item:
            def __init__(self, n):
                self.n = n
            def __eq__(self, other):
                seen.append((self.n, other if isinstance(other, int) else other.n))
                items.clear()
                return False
        items = [1, 2, Item(3), 4]
        print(inside(4, items), seen, items)
        items = [1, "x", 2.5, None, (1, 2), 10**30]
        print([inside(v, items) for v in (1, 1.0, True, "x", "y", None, (1, 2), (1, 2.0), 10**30, 2.5, [1])])
        class Raises:
            def __eq__(self, other):
                raise ValueError("no")
        try:
            inside(3, [1, Raises()])
        except ValueError as e:
            print(e)
    """)
    run.assert_compiled("inside")


def test_ways_that_meet_drop_what_they_took(both):
    run = both("""
        import gc, sys
        from probe import hot

        class Node:
            def __init__(self, value):
                self.value = value

        class Link:
            def __init__(self, a, b, first):
                self.a, self.b, self.first = a, b, first
            def end(self):
                return self.a if self.first else self.b
            def value(self):
                return self.end().value

        def total(links):
            s = 0
            for link in links:
                s += link.value()
            return s

        nodes = [Node(k) for k in range(5)]
        links = [Link(nodes[k], nodes[k - 1], k % 2 == 0) for k in range(5)]
        hot(total, links)
        before = [sys.getrefcount(n) for n in nodes]
        print([total(links) for _ in range(50)][-1])
        print([sys.getrefcount(n) for n in nodes] == before)
        class Other:
            @property
            def value(self):
                links.clear()
                gc.collect()
                return 7
        links[2].a = Other()
        print(total(links), links)
    """)
    run.assert_compiled("total")
