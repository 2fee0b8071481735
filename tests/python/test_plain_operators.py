"""Truth, concatenation and operators whose operands' classes are guessed: where the guess is wrong, CPython's answer."""
# ruff: noqa: E501 (lines of the programs under test)

import harness


def test_a_seen_class_is_asked_for_again(both):
    """Concatenation and repetition of what used to be strs, tuples or lists."""
    run = both("""
        from probe import hot

        class Adds:
            def __add__(self, other):
                return 77
            def __mul__(self, other):
                return 78
            __and__ = __radd__ = __mul__

        def add(a, b):
            c = a + b  # add
            return c == "xy", len(c)
        def repeat(a, n):
            return len(a * n)  # repeat
        def both_true(a, b):
            return (a == 1) & (b == 1)

        for f, args in [(add, ("x", "y")), (repeat, ("x", 3)), (both_true, (1, 1))]:
            hot(f, *args)
        def show(f, *args):
            try:
                print(f.__name__, f(*args))
            except TypeError as e:
                print(f.__name__, "TypeError", e)
        for pair in [("x", "y"), (1.5, 2.5), ((1,), (2,)), ([1], [2, 3]), (b"a", b"b"), (Adds(), 1), ("x", 1), ("x", Adds())]:
            show(add, *pair)
        for pair in [("ab", 2), ([1], 3), ((1, 2), -1), (2.0, 3), ("ab", True), (Adds(), 2), ("ab", 1.0)]:
            show(repeat, *pair)
        print(both_true(1, 2), both_true(1, 1), both_true(True, 1.0))
    """)
    run.assert_compiled("add", "repeat", "both_true")
    run.assert_left("add", "add", harness.TYPE)


def test_truth_of_anything(both):
    run = both("""
        import collections
        from probe import hot

        class Plain: pass
        class Empty:
            def __len__(self): return 0
        class Says:
            def __init__(self, truth): self.truth = truth
            def __bool__(self):
                print("asked")
                return self.truth
        class Items(list): pass
        class Named(dict):
            def __len__(self): return 5
        class Wrong:
            def __bool__(self): return 1

        def truth(x):
            if x:
                return "yes"
            return "no"
        def both_of(x, y):
            return not x, x and y, x or y

        hot(truth, None)
        hot(truth, Plain())
        hot(truth, None)
        hot(both_of, None, Plain())
        values = [None, True, False, 0, 1, 1 << 80, 0.0, -0.0, 2.5, "", "a", b"", b"a", bytearray(), [], [0], (), (0,), {}, {1: 1}, set(), {1},
                  frozenset(), Empty(), Says(True), Says(False), Items(), Items([1]), Named(), collections.deque(), collections.OrderedDict(),
                  range(0), range(2), 0j, 1j, truth, Plain, collections.Counter(), memoryview(b""), {}.keys(), {1: 1}.items()]
        for v in values:
            print(type(v).__name__, truth(v), type(both_of(v, 1)[1]).__name__)
        p = Plain()
        print(truth(p))
        Plain.__len__ = lambda self: 0
        print(truth(p))
        Plain.__bool__ = lambda self: True
        print(truth(p))
        for f in (truth, lambda x: both_of(x, 1)):
            try:
                f(Wrong())
            except TypeError as e:
                print(e)
    """)
    run.assert_compiled("truth", "both_of")


def test_operators_that_the_interpreter_does_not_specialise(both):
    run = both("""
        from probe import hot

        class Bits:
            def __init__(self, n): self.n = n
            def __and__(self, other): return ("and", other)
            def __rshift__(self, other): return ("shift", other)
            def __mod__(self, other): return ("mod", other)
            def __le__(self, other): return [other]
            def __gt__(self, other): return ""

        def bits(o):
            x = o.value
            return x & 255, x >> 3, x % 7, x // 7, x | 1, x ^ 5  # bits
        def large(o):
            x = o.value
            if -0x80000000 <= x <= 0x7fffffff:  # large
                return "fits"
            return "large"
        def order(o):
            return 3 < o.value, o.value >= 10

        class O: pass
        o = O()
        o.value = 1234
        hot(bits, o)
        hot(large, o)
        hot(order, o)
        def show(f, value):
            o.value = value
            try:
                print(f.__name__, f(o))
            except TypeError as e:
                print(f.__name__, e)
        for value in [0, -1, 5, True, 2**31, -2**31 - 1, 2**64, -2**200, 1.5, float("nan"), "a", {1, 2}, Bits(3), None, 3]:
            for f in (bits, large, order):
                show(f, value)
    """)
    run.assert_compiled("bits", "large", "order")


def test_methods_that_instances_hold(both):
    """`self.write(…)` where `write` is an instance's attribute, and methods of objects whose dict is made when wanted."""
    run = both("""
        import io
        from probe import hot

        class Writer:
            def __init__(self):
                self.out = []
                self.write = self.out.append
            def put(self, x):
                self.write(x)  # put
                return len(self.out)

        def tell(f):
            f.write(b"abc")
            return f.tell()

        w = Writer()
        hot(w.put, 1)
        hot(tell, io.BytesIO())
        print(w.put(2))
        v = Writer()
        v.write = print
        print(v.put("printed"))
        Writer.write = property(lambda self: (lambda x: print("property", x)))
        print(w.put(3), v.put(4))
        del Writer.write
        del v.write
        try:
            v.put(5)
        except AttributeError as e:
            print(e)

        f = io.BytesIO()
        print(tell(f))
        f.tell = lambda: "mine"
        print(tell(f), tell(io.BytesIO()))
        class Sub(io.BytesIO):
            def tell(self):
                return "sub"
        print(tell(Sub()))
        f.close()
        try:
            tell(f)
        except ValueError as e:
            print(e)
    """)
    run.assert_compiled("put", "tell")


def test_instances_of_some_classes(both):
    run = both("""
        from probe import hot

        class A: pass
        class B(A): pass
        class Liar:
            __class__ = A
        KINDS = (int, A)

        def is_one(x):
            return isinstance(x, KINDS)  # kinds
        def chosen(x):
            if isinstance(x, KINDS):
                return 1
            return 0

        hot(is_one, 1)
        hot(chosen, 1)
        for x in [1, True, 1.5, A(), B(), Liar(), A, None, "a", int]:
            print(is_one(x), chosen(x))
        KINDS = (str, (bytes, float))
        for x in [1, "a", b"", 1.5]:
            print(is_one(x))
        KINDS = (str, 5)
        for x in ["a", 1]:
            try:
                print(is_one(x))
            except TypeError as e:
                print(e)
    """)
    run.assert_compiled("is_one", "chosen")
