"""Instances that compiled code drops and makes anew out of what it dropped."""


def test_fresh_instances_are_empty(both):
    """Nothing of the former instance shows: attributes, their order, dicts, weak references."""
    run = both("""
        import gc, weakref
        from probe import hot

        class P:
            pass

        def make(k):
            p = P()
            if k % 3 == 0:
                p.c = k
            if k % 2 == 0:
                p.a = [k]
            p.b = (k, None)
            if k % 5 == 0:
                p.a = k
            return p

        def churn(n):
            out = []
            for k in range(n):
                p = make(k)
                q = make(k + 1)
                if k % 7 == 1:
                    p.__dict__["d"] = k
                if k % 11 == 2:
                    out.append((weakref.ref(p), p))
                if k % 13 == 3:
                    del p.b
                out.append((k, list(vars(p)), hasattr(p, "a"), getattr(q, "c", "none"), gc.is_tracked(q)))
            return out

        hot(make, 3)
        hot(churn, 30)
        churn(500)
        for row in churn(60):
            if isinstance(row[0], int):
                print(row)
            else:
                print(vars(row[0]()), vars(row[1]))
        p = P()
        print(vars(p), p.__dict__ == {}, sorted(vars(make(30))))
        try:
            P().b
        except AttributeError as e:
            print(e)
    """)
    run.assert_compiled("make")
    run.assert_compiled("churn")


def test_finalisers(both):
    """Of what instances hold, in the order of the attributes; of classes that get one while instances are kept."""
    run = both("""
        from probe import hot

        class Loud:
            def __init__(self, name):
                self.name = name
            def __del__(self):
                log.append(self.name)
                if len(log) < 40:
                    again = Pair(self.name + "'", None)
                    again.left = None

        class Pair:
            def __init__(self, left, right):
                self.left = left
                self.right = right

        log = []

        def drop(n):
            for k in range(n):
                p = Pair(Loud(f"l{k}"), Loud(f"r{k}"))
                p = Pair(k, k + 1000)
                q = Pair(p, [p])
            return len(log)

        hot(drop, 4)
        log.clear()
        print(drop(20), log)
        Pair.__del__ = lambda self: log.append("pair")
        log.clear()
        print(drop(3), log)
        del Pair.__del__
        log.clear()
        print(drop(3), log)
    """)
    run.assert_compiled("drop")


def test_classes_end(both):
    """What is kept keeps no class alive, and is not given to another one."""
    run = both("""
        import gc, weakref
        from probe import hot

        def use(cls, n):
            s = 0
            for k in range(n):
                o = cls()
                o.x = k
                o.y = k + 1
                s += o.x * o.y
            return s

        class Base:
            __slots__ = ("x",)

        class Mixed(Base):
            pass

        gone = []
        def program():
            for number in range(150):
                cls = type(f"C{number}", (), {"z": number})
                print(use(cls, 20), end=" ")
                gone.append(weakref.ref(cls))
            print(use(Mixed, 30))
        hot(use, Base.__subclasses__()[0], 10)
        program()
        gc.collect()
        print(sum(w() is not None for w in gone))
    """)
    run.assert_compiled("use")


def test_deep_and_wide(both):
    """A long chain is dropped without using up the machine stack; the collector finds cycles among new instances."""
    run = both("""
        import gc, sys
        from probe import hot

        class Node:
            def __init__(self, next):
                self.next = next

        def chain(n):
            head = None
            for _ in range(n):
                head = Node(head)
            return head

        def cycles(n):
            for _ in range(n):
                a = Node(None)
                b = Node(a)
                a.next = b
            return n

        hot(chain, 20)
        hot(cycles, 20)
        for n in (10, 100, 200_000):
            head = chain(n)
            head = None
        head = chain(50)
        count = 0
        while head is not None:
            head = head.next
            count += 1
        print(count)
        gc.collect()
        cycles(1000)
        before = sum(isinstance(o, Node) for o in gc.get_objects())
        gc.collect()
        after = sum(isinstance(o, Node) for o in gc.get_objects())
        print(before <= 2000, after)
        sizes = sys.getallocatedblocks()
        for _ in range(50):
            chain(1000)
        print(abs(sys.getallocatedblocks() - sizes) < 300)
    """)
    run.assert_compiled("chain")
    run.assert_compiled("cycles")


def test_memory_that_is_traced(both):
    """Instances made out of kept memory are known to tracemalloc."""
    run = both("""
        import tracemalloc
        from probe import hot

        class P:
            def __init__(self, x):
                self.x = x

        def make(n):
            return [P(None) for _ in range(n)]

        hot(make, 10)
        make(1000)
        tracemalloc.start()
        held = make(500)
        print(sum(tracemalloc.get_object_traceback(o) is not None for o in held))
        tracemalloc.stop()
    """)
    run.assert_compiled("make")
