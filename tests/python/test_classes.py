"""Attributes and methods of objects of several classes at one place, and everything that breaks what is assumed."""

import textwrap

START = """
from probe import compiled, hot, under_stoop
import gc

def settle(f, *args_of):
    hot(f, *args_of[0])
    for _ in range(12):
        for _ in range(70):
            for args in args_of:
                f(*args)
        if under_stoop():
            compiled(f)
    for args in args_of:
        f(*args)

"""


def program(body):
    """A program after what all of them begin with: `settle` lets a function meet every class, and compiles it anew."""
    return START + textwrap.dedent(body)


FAMILY = """
class Base:
    def __init__(self, x):
        self.x = x
        self.log = 0
    def inherited(self, n):
        return self.x + n
    def kind(self):
        return 0

class A(Base):
    def kind(self):
        return self.x

class B(Base):
    def kind(self):
        return self.x * 2

class C(Base):
    def __init__(self, x):
        self.more = -x
        Base.__init__(self, x)
    def kind(self):
        return self.more

class S:
    __slots__ = ("x", "log")
    def __init__(self, x):
        self.x = x
        self.log = 0
    def kind(self):
        return self.x - 100
    def inherited(self, n):
        return (self.x, n)

"""


def test_loads_of_several_classes(both):
    run = both(
        program(
            FAMILY
            + """
def load(o):
    return o.x

settle(load, (A(1),), (B(2.5),), (C("c"[:0] or 3),), (S(4),))
print([load(o) for o in (A(10), B(2.5), C(30), S("s"), A(None))])
class Other:
    x = 7
print(load(Other()), load(A(3)))
class Dynamic:
    def __getattr__(self, name):
        return name * 2
print(load(Dynamic()))
try:
    load(object())
except AttributeError as e:
    print(e)
"""
        )
    )
    run.assert_compiled("load")


def test_loads_stay_inside(both):
    run = both(
        program(
            FAMILY
            + """
def load(o):
    return o.x

settle(load, (A(1),), (B(2.5),), (C(3),), (S(4),))
print(sum(load(o) for o in [A(10), B(2.5), C(30), S(5)] * 50))
"""
        )
    )
    run.assert_compiled("load").assert_stayed("load")


def test_classes_met_at_one_attribute_are_expected_at_the_others(both):
    run = both(
        program(
            FAMILY
            + """
def total(o):
    t = o.x
    if t:
        t += o.kind()
    o.log = t
    return t + o.log

hot(total, A(1))
# The first attribute fails, and only that one: it is the first to look at the object. The second one may once.
for _ in range(2):
    for _ in range(70):
        for o in (A(1), B(2), C(3)):
            total(o)
    if under_stoop():
        compiled(total)
print(sum(total(o) for o in [A(10), B(20), C(30)] * 50))
"""
        )
    )
    run.assert_compiled("total").assert_stayed("total")


def test_an_attribute_that_only_some_classes_have(both):
    run = both(
        program(
            FAMILY
            + """
def some(o):
    t = o.x
    if t > 0:
        return t + o.more
    return t

settle(some, (A(-1),), (B(-2),), (C(3),))
print([some(o) for o in [A(-10), B(-20), C(30)] * 3])
try:
    some(A(1))
except AttributeError as e:
    print(e)
B.more = 5
print(some(B(2)), some(C(4)), some(A(-3)))
"""
        )
    )
    run.assert_compiled("some")


def test_stores_of_several_classes(both):
    run = both(
        program(
            FAMILY
            + """
def store(o, v):
    o.log = v
    o.x += 1
    return o.log

settle(store, (A(1), 1), (B(2), 2.5), (C(3), "x"), (S(4), None))
objects = [A(10), B(20), C(30), S(40)]
for o in objects * 20:
    store(o, [o.x])
print([(o.x, o.log) for o in objects])
"""
        )
    )
    run.assert_compiled("store").assert_stayed("store")


def test_a_store_drops_what_was_there(both):
    run = both(
        program(
            FAMILY
            + """
class Loud:
    def __init__(self, n):
        self.n = n
    def __del__(self):
        print("gone", self.n)

def store(o, v):
    o.log = v

settle(store, (A(1), 1), (C(3), 2), (S(4), 3))
for o in (A(1), C(2), S(3)):
    store(o, Loud(o.x))
    store(o, None)
    print("stored")
"""
        )
    )
    run.assert_compiled("store")


def test_methods_of_several_classes(both):
    run = both(
        program(
            FAMILY
            + """
def calls(o):
    return o.kind(), o.inherited(o.x)

settle(calls, (A(1),), (B(2),), (C(3),), (S(4),))
print([calls(o) for o in [A(10), B(20), C(30), S(40), A(2**70)]])
"""
        )
    )
    run.assert_compiled("calls")


def test_methods_stay_inside(both):
    run = both(
        program(
            FAMILY
            + """
def calls(o, n):
    return o.kind() + o.inherited(n)

settle(calls, (A(1), 1), (B(2), 1), (C(3), 1))
print([calls(o, 5) for o in [A(10), B(20), C(30)] * 20])
"""
        )
    )
    run.assert_compiled("calls").assert_stayed("calls")


def test_a_method_replaced(both):
    run = both(
        program(
            FAMILY
            + """
def calls(o):
    return o.kind()

settle(calls, (A(1),), (B(2),), (C(3),))
print(calls(A(1)), calls(B(2)), calls(C(3)))
B.kind = lambda self: "new"
print(calls(A(1)), calls(B(2)), calls(C(3)))
del C.kind
print(calls(A(1)), calls(B(2)), calls(C(3)))
Base.kind = lambda self: "base"
print(calls(A(1)), calls(B(2)), calls(C(3)))
A.kind.__code__ = (lambda self: "code").__code__
print(calls(A(1)), calls(B(2)), calls(C(3)))
"""
        )
    )
    run.assert_compiled("calls")


def test_a_class_assigned(both):
    run = both(
        program(
            FAMILY
            + """
def calls(o):
    return o.kind(), o.x

settle(calls, (A(1),), (B(2),), (C(3),))
o = A(7)
print(calls(o))
o.__class__ = B
print(calls(o))
o.__class__ = Base
print(calls(o))
"""
        )
    )
    run.assert_compiled("calls")


def test_an_instance_hides_a_method(both):
    run = both(
        program(
            FAMILY
            + """
def calls(o):
    return o.kind()

settle(calls, (A(1),), (B(2),), (C(3),))
o = B(5)
print(calls(o))
o.kind = lambda: "hidden"
print(calls(o), calls(B(6)), calls(A(1)))
del o.kind
print(calls(o))
o.__dict__["kind"] = lambda: "in the dict"
print(calls(o), calls(C(9)))
"""
        )
    )
    run.assert_compiled("calls")


def test_arguments_change_the_class(both):
    run = both(
        program(
            FAMILY
            + """
def change(o, to):
    if to is not None:
        o.__class__ = to
    return 1

class A2(A):
    def inherited(self, n):
        return "A2", n

class B2(B):
    def inherited(self, n):
        return self.x, n

def calls(o, to):
    return o.inherited(change(o, to))

settle(calls, (A2(1), None), (B2(2), None), (C(3), None))
print(calls(A2(4), B2), calls(B2(5), A2), calls(A2(4), Base))
def spoil(o, to):
    if to:
        B2.inherited = to
    return 2
change.__code__ = spoil.__code__
print(calls(B2(5), lambda self, n: "spoilt"), calls(B2(6), None))
"""
        )
    )
    run.assert_compiled("calls")


def test_a_slot_deleted(both):
    run = both(
        program(
            FAMILY
            + """
def load(o):
    return o.x

settle(load, (A(1),), (S(4),))
s, a = S(1), A(2)
del s.x
del a.x
for o in (s, a):
    try:
        print(load(o))
    except AttributeError as e:
        print(e)
s.x = a.x = 5
print(load(s), load(a))
"""
        )
    )
    run.assert_compiled("load")


def test_properties(both):
    run = both(
        program("""
class P:
    def __init__(self, v):
        self._v = v
    @property
    def v(self):
        return self._v
    @property
    def bad(self):
        return 1 // self._v

class Q(P):
    pass

def load(o):
    return o.v

def raises(o):
    return o.bad

settle(load, (P(1),), (Q(2),))
settle(raises, (P(1),), (Q(2),))
print(load(P(5)), load(Q(6)), load(P(2**80)))
import traceback
try:
    raises(Q(0))
except ZeroDivisionError:
    print([(f.name, f.line) for f in traceback.extract_tb(__import__("sys").exc_info()[2])])
Q.v = 12
print(load(P(5)), load(Q(6)))
P.v = property(lambda self: "other")
print(load(P(5)), load(Q(6)))
del P.v
p = P(3)
p.v = "plain"
print(load(p))
""")
    )
    run.assert_compiled("load", "raises")


def test_recursion_over_classes(both):
    run = both(
        program("""
class Number:
    def __init__(self, v):
        self.v = v
    def value(self):
        return self.v

class Add:
    def __init__(self, a, b):
        self.a, self.b = a, b
    def value(self):
        return self.a.value() + self.b.value()

class Multiply:
    def __init__(self, a, b):
        self.a, self.b = a, b
    def value(self):
        return self.a.value() * self.b.value()

def tree(depth):
    if depth == 0:
        return Number(depth + 2)
    return (Add if depth % 2 else Multiply)(tree(depth - 1), tree(depth - 1))

def total(t):
    return t.value()

settle(Add.value, (tree(3),), (tree(3),))
settle(Multiply.value, (tree(2),), (tree(4),))
settle(total, (tree(1),), (tree(2),), (tree(0),))
print([total(tree(n)) for n in range(6)])
def deep(n):
    t = Number(1)
    for _ in range(n):
        t = Add(t, Number(1))
    return t
print(total(deep(100)))
try:
    total(deep(100000))
except RecursionError as e:
    print(e)
""")
    )
    run.assert_compiled("total")


def test_classes_are_not_kept(both):
    run = both(
        program("""
import weakref

def load(o):
    return o.x

def make(n):
    class K:
        def __init__(self):
            self.x = n
    return K

kinds = [make(n) for n in range(3)]
settle(load, *[(k(),) for k in kinds])
print(load(kinds[1]()))
refs = [weakref.ref(k) for k in kinds]
del kinds
gc.collect()
print([r() is None for r in refs])
""")
    )
    run.assert_compiled("load")


def test_too_many_classes(both):
    run = both(
        program("""
def load(o):
    return o.x, o.get()

kinds = []
for n in range(9):
    class K:
        def __init__(self, x):
            self.x = x
        def get(self):
            return self.x
    kinds.append(K)
settle(load, *[(k(n),) for n, k in enumerate(kinds)])
print([load(k(n)) for n, k in enumerate(kinds)])
""")
    )
    run.assert_compiled("load")


def test_attributes_of_classes(both):
    run = both(
        program("""
class Strength:
    limit = 3
    def __init__(self, n):
        self.n = n
    @classmethod
    def stronger(cls, a, b):
        return cls.__name__, a.n > b.n
    @staticmethod
    def static(a, b=2):
        return a * b
    def plain(self):
        return self.n

class Sub(Strength):
    pass

def use(a, b):
    return Strength.limit, Sub.stronger(a, b), Strength.stronger(b, a), Sub.static(4), Strength.plain(a)

settle(use, (Strength(1), Strength(2)), (Sub(3), Sub(2)))
a, b = Strength(1), Sub(5)
print(use(a, b))
Strength.limit = 10
print(use(a, b))
Sub.stronger = classmethod(lambda cls, a, b: (cls, "new") and "new")
print(use(a, b))
Strength.static = staticmethod(lambda a: -a)
print(use(a, b))
Sub.limit = "sub"
class Meta(type):
    limit = property(lambda cls: "from the metaclass")
class M(metaclass=Meta):
    limit = 5
def meta():
    return M.limit
hot(meta)
print(meta())
del Strength.limit
try:
    use(a, b)
except AttributeError as e:
    print(e)
""")
    )
    run.assert_compiled("use", "meta")


def test_defaults_and_names(both):
    run = both(
        program("""
def callee(a, b=2, c="c"):
    return a, b, c

def calls(x):
    return callee(x), callee(x, 5), callee(x, c=x), callee(c=1, a=x), callee(b=x, a=0)

class K:
    def method(self, a, b=1):
        return self.v + a + b
    def __init__(self):
        self.v = 1

def methods(k):
    return k.method(1), k.method(1, b=2), k.method(b=1, a=2), k.method(3, 4)

settle(calls, (1,), (2,))
settle(methods, (K(),), (K(),))
print(calls(3), methods(K()))
callee.__defaults__ = (20, "d")
print(calls(3))
callee.__defaults__ = None
try:
    calls(3)
except TypeError as e:
    print(e)
callee.__defaults__ = (0, 1, 2)
callee.__code__ = (lambda b, a, c: (c, b, a)).__code__
print(calls(9))
def wrong(x):
    return callee(x, z=1)
def twice(x):
    return callee(x, c=x)
for f in (wrong, twice):
    for n in range(3):
        try:
            f(1)
        except TypeError as e:
            print(e)
    compiled(f)
    try:
        f(1)
    except TypeError as e:
        print(e)
K.method.__defaults__ = (100,)
print(methods(K()))
""")
    )
    run.assert_compiled("calls", "methods")


DICTS = """
class D:
    def __init__(self, n):
        self.n = n
        self.__dict__["extra"] = n + 1
        self.__dict__.update((f"a{k}", k) for k in range(40))
    def method(self, k):
        return self.n + k
    def change(self, v):
        self.n = v
        self.extra = v
        return self.n, self.extra

def load(o):
    return o.n, o.a7, o.method(1)

def change(o, v):
    o.n = v
    o.extra = (v, v)
    return o.change(v)

"""


def test_objects_with_dicts_of_their_own(both):
    run = both(
        program(
            DICTS
            + """
settle(load, (D(1),), (D(2),))
settle(change, (D(1), 2), (D(2), 3.5))
o = D(5)
print(load(o), change(o, 7), load(o))
o.method = lambda k: "hidden"
print(load(o))
del o.method
print(load(o))
del o.a7
try:
    load(o)
except AttributeError as e:
    print(e)
D.a7 = "of the class"
print(load(o), load(D(6)))
o.__dict__ = {"a7": 1, "n": 2}
print(load(o))
o.__dict__ = {1: 2, "a7": 1, "n": 3}
print(load(o), change(o, 5))
o.__dict__.clear()
try:
    load(o)
except AttributeError as e:
    print(e)
D.n = property(lambda self: "property", lambda self, v: print("set", v))
print(D(0).__dict__.get("n"))
o = D(1)
o.__dict__["n"] = "not seen"
D.method = lambda self, k: k
print(load(o), change(o, 9))
"""
        )
    )
    run.assert_compiled("load", "change")


def test_objects_with_dicts_stay_inside(both):
    run = both(
        program(
            DICTS
            + """
settle(load, (D(1),), (D(2),))
settle(change, (D(1), 2), (D(2), 3))
objects = [D(n) for n in range(5)]
print([load(o) for o in objects * 10], [change(o, 3) for o in objects])
"""
        )
    )
    run.assert_compiled("load", "change").assert_stayed("load")


def test_a_watched_global_that_keeps_changing(both):
    run = both("""
        from probe import compiled, hot

        count = 0
        other = 5

        def bump():
            global count
            count += 1
            return count

        def read():
            return count, other

        hot(read)
        hot(bump)
        for n in range(300):
            bump()
            assert read() == (count, other)
        compiled(read)
        other = 6
        print(read(), bump(), read())
        globals().update(other=7, count=10)
        print(read(), bump(), read())
    """)
    assert run.output
