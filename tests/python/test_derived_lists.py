"""Classes that derive from `list`: made, measured, iterated over, appended to and popped as lists are."""

import pytest

QUEUE = """
    from probe import hot, snapshot

    class Queue(list):
        pass

    def drain(start, n):
        todo = Queue()
        todo.append(start)
        seen = 0
        while len(todo):
            k = todo.pop(0)
            seen += k
            if k < n:
                todo.append(k + 1)
        return seen

    def walk(queue):
        s = 0
        for x in queue:
            s += x
        return s, len(queue)
"""


def test_a_queue_is_made_and_used_in_place(both_early):
    run = both_early(
        QUEUE
        + """
    for _ in range(200):  # Long enough for what was compiled without examples to be made anew.
        r = drain(1, 50), walk(Queue([1, 2, 3]))
    snapshot()
    print(r)
    """
    )
    for name in ("drain", "walk"):
        assert run.regions(name), name
        reasons = run.exits(name)
        assert all("RETURN" in row[0] for row in reasons), reasons


CHANGES = {
    "__len__": "lambda self: 7 if list.__len__(self) > 2 else 0",
    "__iter__": "lambda self: iter((10, 20))",
    "append": "lambda self, x: (print('append', x), list.append(self, x))[1]",
    "pop": "lambda self, at=-1: (print('pop', at), list.pop(self, at))[1]",
    "__init__": "lambda self, *a: (print('init', a), list.__init__(self, *a))[0]",
    "__new__": "staticmethod(lambda cls, *a: (print('new', cls), list.__new__(cls, *a))[1])",
    "__del__": "lambda self: print('gone', list.__len__(self))",
    "__getitem__": "lambda self, k: 1000",
    "__bool__": "lambda self: False",
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_method_that_comes_later(both_early, name):
    run = both_early(
        QUEUE
        + f"""
    for _ in range(10):
        r = drain(1, 10), walk(Queue([1, 2, 3]))
    snapshot()
    print(r)
    Queue.{name} = {CHANGES[name]}
    print(drain(1, 3), walk(Queue([1, 2, 3])))
    del Queue.{name}
    print(drain(1, 3), walk(Queue([1, 2, 3])))
    """
    )
    assert run.regions("drain")
    assert run.regions("walk")


def test_other_classes_and_changes_while_it_loops(both_early):
    run = both_early(
        QUEUE
        + """
    class Other(list):
        __slots__ = ("a",)
    class Late(list):
        def __len__(self):
            return 99
        def __iter__(self):
            yield from (5, 6)

    for _ in range(10):
        walk(Queue([1, 2, 3]))
    snapshot()
    for q in (Other([4]), Late([1]), [7, 8], (9,), {1: 2}, "", range(4), Queue("")):
        print(type(q).__name__, walk(q))

    def grow(queue, n):
        s = 0
        for x in queue:
            s += x
            if x < n:
                queue.append(x + 1)
            elif x == n:
                del queue[-1:]
        return s, list(queue), type(queue).__name__
    for _ in range(10):
        r = grow(Queue([1]), 6)
    print(r)
    print(grow(Queue([2]), 4), grow([2], 4))

    def switch(queue, change):
        out = []
        for x in queue:
            out.append(x)
            if x == 2:
                change()
        return out
    for _ in range(10):
        switch(Queue([1, 2, 3]), lambda: None)
    def change():
        Queue.__iter__ = lambda self: iter("no")
        Queue.__len__ = lambda self: 0
    print(switch(Queue([1, 2, 3, 4]), change))
    del Queue.__iter__, Queue.__len__
    q = Queue([1, 2, 3, 4])
    def become():
        q.__class__ = Late2
    class Late2(list):
        def __iter__(self):
            return iter(())
    print(switch(q, become), walk(q))

    import sys
    def traced():
        sys.settrace(lambda *a: None)
    print(switch(Queue([1, 2, 3, 4]), traced))
    sys.settrace(None)
    """
    )
    assert run.regions("walk")
    assert run.regions("switch")


def test_attributes_and_initialisers_of_derived_lists(both_early):
    run = both_early("""
        import gc, weakref
        from probe import snapshot

        class Stack(list):
            def __init__(self, name):
                self.name = name
                self.most = 0
            def push(self, x):
                self.append(x)
                if len(self) > self.most:
                    self.most = len(self)

        def fill(n):
            s = Stack("s")
            for k in range(n):
                s.push(k)
            s.pop()
            return s

        for _ in range(10):
            s = fill(5)
        snapshot()
        print(s, s.name, s.most, s.__dict__, type(s).__name__, gc.is_tracked(s))
        r = weakref.ref(s)
        s.append(s)
        del s
        gc.collect()
        print(r())
        class Bad(list):
            def __init__(self):
                return 5
        def bad():
            return Bad()
        for _ in range(5):
            try:
                bad()
            except TypeError as e:
                print(e)
        def wrong():
            return Stack()
        for _ in range(5):
            try:
                wrong()
            except TypeError as e:
                print(e)
        class Empty(list):
            pass
        def pop():
            return Empty().pop()
        def made(n):
            return [Empty() for _ in range(n)]
        for _ in range(5):
            print(made(2), type(made(1)[0]).__name__)
            try:
                pop()
            except IndexError as e:
                print(e)
    """)
    assert run.regions("fill")
