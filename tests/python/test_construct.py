"""Making instances in compiled code, and everything that could show that it was done another way."""

import textwrap

SHAPES = """
import sys, traceback
from probe import hot

class V:
    def __init__(self, x, y, z=0.5):
        self.x = x
        self.y = y
        self.z = z

class S:
    __slots__ = ("a", "b")
    def __init__(self, a, b):
        self.a = a
        self.b = b

"""


def program(body):
    """A program over the classes above."""
    return SHAPES + textwrap.dedent(body)


def test_instances_are_the_same(both):
    run = both(
        program("""
        def make(n):
            out = []
            for i in range(n):
                out.append(V(i, i * 0.5))
                out.append(V(i * 1.5, i, None))
                out.append(S(i, [i]))
            return out

        hot(make, 40)
        for o in make(5):
            if type(o) is S:
                print(o.a, o.b, sys.getrefcount(o.b), hasattr(o, "__dict__"))
            else:
                print(o.__dict__, list(vars(o)), sys.getrefcount(o.x))
        o = make(1)[0]
        o.w = 4
        del o.y
        o.y = 3
        print(vars(o))
    """)
    )
    run.assert_compiled("make").assert_stayed("make")


def test_references_balance(both):
    run = both(
        program("""
        def make(k, n):
            for i in range(n):
                v = V(k, k)
            return v

        key = object()
        hot(make, key, 40)
        before = sys.getrefcount(key), sys.getrefcount(V)
        for _ in range(20):
            make(key, 50)
        after = sys.getrefcount(key), sys.getrefcount(V)
        print(after[0] - before[0], after[1] - before[1])
    """)
    )
    run.assert_compiled("make").assert_stayed("make")


def test_init_replaced_and_new_added(both):
    run = both(
        program("""
        def make(x):
            return vars(V(x, 2))

        hot(make, 1)
        print(make(1))
        def other(self, x, y, z=7):
            self.z, self.y, self.x = z, y, x
        old, V.__init__ = V.__init__, other
        print(make(1))
        V.__init__ = old
        print(make(2))
        V.__new__ = staticmethod(lambda cls, *a: print("new", a) or object.__new__(cls))
        print(make(3))
        V.__new__ = staticmethod(lambda cls, *a: S(*a))
        try:
            make(3)
        except TypeError as e:
            print(e)
        del V.__new__
        try:
            print(make(4))
        except TypeError as e:
            print(e)
    """)
    )
    run.assert_compiled("make")
    assert run.exits("make"), "a changed class must leave"


def test_defaults_replaced(both):
    run = both(
        program("""
        def make(x):
            return V(x, 2).z

        hot(make, 1)
        print(make(1))
        V.__init__.__defaults__ = (9,)
        print(make(1))
        V.__init__.__defaults__ = None
        try:
            make(1)
        except TypeError as e:
            print(e)
        V.__init__.__code__ = (lambda self, x, y, z=3: setattr(self, "z", 11)).__code__
        V.__init__.__defaults__ = (4,)
        print(make(1))
    """)
    )
    run.assert_compiled("make")


def test_metaclass(both):
    run = both(
        program("""
        class Meta(type):
            def __call__(cls, *a):
                print("call", a)
                return super().__call__(*a)

        class M(metaclass=Meta):
            def __init__(self, x):
                self.x = x

        class Late(type):
            pass

        def make(x):
            return M(x).x, V(x, x).x

        hot(make, 1)
        print(make(3))
        try:
            V.__class__ = Late
        except TypeError as e:
            print(e)
        Meta.__call__ = lambda cls, *a: V(*a, 5)
        print(make(4))
    """)
    )
    run.assert_compiled("make")


def test_setattr_and_descriptors_added_late(both):
    run = both(
        program("""
        def make(x):
            v = V(x, 2)
            return vars(v)

        hot(make, 1)
        print(make(1))
        V.__setattr__ = lambda self, k, v: (print("set", k), object.__setattr__(self, k, v))[0]
        print(make(1))
        del V.__setattr__
        V.y = property(lambda self: 1, lambda self, v: print("property", v))
        print(make(1))
        del V.y
        print(make(1))
    """)
    )
    run.assert_compiled("make")


def test_exception_in_init(both):
    run = both(
        program("""
        class Checked:
            def __init__(self, x):
                self.x = x
                self.y = 10 // x  # divide
                if x == 77:
                    raise KeyError(x)
            def __del__(self):
                print("del", vars(self))

        def make(x):
            return Checked(x)  # call

        def outer(x):
            try:
                return make(x).y
            except Exception:
                traceback.print_exc(file=sys.stdout)
                return None

        hot(make, 5)
        for x in (5, 0, 77, 3, 1.5, 0.0):
            print(outer(x))
    """)
    )
    run.assert_compiled("make")


def test_init_must_return_none(both):
    run = both(
        program("""
        class R:
            def __init__(self, r):
                self.r = 1
                return r

        class Call:
            def __init__(self, r):
                self.r = str(r)
                return r

        def make(r):
            return R(r)

        def make_call(r):
            return Call(r)

        hot(make, None)
        hot(make_call, None)
        for f in (make, make_call):
            for r in (None, 5, 5.5, [1]):
                try:
                    print(type(f(r)).__name__)
                except TypeError:
                    traceback.print_exc(file=sys.stdout)
    """)
    )
    run.assert_compiled("make", "make_call")


def test_frames_seen_from_init(both):
    run = both(
        program("""
        class Looks:
            def __init__(self, x):
                self.x = x
                f = sys._getframe()
                self.names = [f.f_code.co_name, f.f_back.f_code.co_name, f.f_back.f_lineno, sorted(f.f_locals)]
                if x < 0:
                    raise ValueError(x)

        def make(x):
            a = 1
            return Looks(x).names

        hot(make, 5)
        print(make(3))
        try:
            make(-1)
        except ValueError:
            traceback.print_exc(file=sys.stdout)
    """)
    )
    run.assert_compiled("make")


def test_left_inside_init(both):
    run = both(
        program("""
        class W:
            def __init__(self, a, b):
                self.first = a
                self.sum = a + b
                self.last = self.sum * 2

        def make(a, b):
            k = [a]
            return W(a, b), k

        hot(make, 1, 2)
        for a, b in ((1, 2), (1.5, 2), ("x", "y"), (2**62, 2**62), ([], [1])):
            w, k = make(a, b)
            print(vars(w), k)
        try:
            make(1, None)
        except TypeError:
            traceback.print_exc(file=sys.stdout)
    """)
    )
    run.assert_compiled("make")
    assert sum(n for _, _, n in run.exits("make")) >= 4, "each other class must leave"


def test_subclasses_and_inherited_init(both):
    run = both(
        program("""
        class Base:
            def __init__(self, x):
                self.x = x

        class Child(Base):
            def __init__(self, x, y):
                super().__init__(x)
                self.y = y

        class Heir(Base):
            pass

        class Bare:
            pass

        def make(n):
            out = []
            for i in range(n):
                c, h, b = Child(i, 2), Heir(i), Bare()
                b.extra = i
                out.append((c.x, c.y, h.x, b.extra, type(c), type(h), type(b)))
            return out

        hot(make, 20)
        print(make(3))
        Base.__init__ = lambda self, x: setattr(self, "x", -x)
        print(make(3))
        Bare.__init__ = lambda self: setattr(self, "z", 1)
        try:
            Bare(1)
        except TypeError as e:
            print(e)
        print(make(1))
    """)
    )
    run.assert_compiled("make")


def test_wrong_arguments(both):
    run = both(
        program("""
        class Bare:
            pass

        def f(k):
            if k == 0: return V(1)
            if k == 1: return V(1, 2, 3, 4)
            if k == 2: return V(x=1, y=2)
            if k == 3: return V(1, y=3, z=4)
            if k == 4: return V(1, 2, w=4)
            if k == 5: return Bare(1)
            if k == 6: return Bare(a=1)
            return V(*(1, 2))

        for k in range(9):
            try:
                f(k)
            except TypeError:
                pass
        hot(f, 2)
        for k in range(9):
            try:
                print(vars(f(k)))
            except TypeError as e:
                print(e)
    """)
    )
    run.assert_compiled("f")


def test_finalisers_weak_references_and_collections(both):
    run = both(
        program("""
        import gc, weakref

        class D:
            def __init__(self, x):
                self.x = x
            def __del__(self):
                log.append(("del", self.x))

        class C:
            def __init__(self, other):
                self.me = self
                self.other = other
                self.items = [1, 2]

        log = []
        def make(n):
            for i in range(n):
                d = D(i)
                d = weakref.ref(D(-i), lambda r: log.append("gone"))
                D(i * 10)
            return len(log)

        def cycles(n):
            for i in range(n):
                c = C(C(i))
            return c.other.other

        hot(make, 3)
        hot(cycles, 3)
        del log[:]
        print(make(4), log)
        gc.set_threshold(10, 2, 2)
        print(cycles(2000))
        c = C(1)
        print(gc.is_tracked(c), gc.collect() >= 0)
        gc.set_threshold(1, 1, 1)
        print(cycles(500))
    """)
    )
    run.assert_compiled("make", "cycles")


def test_dict_first(both):
    run = both(
        program("""
        class L:
            def __init__(self, x):
                d = self.__dict__
                self.x = x
                d["y"] = 2
                self.z = 3

        class B:
            pass

        def fill(b, x):
            b.one = x
            b.two = x
            return b

        def make(x):
            return vars(L(x))

        hot(make, 1)
        hot(fill, B(), 1)
        print(make(5))
        b = B()
        d = b.__dict__
        fill(b, 4)
        print(d, len(d), b.__dict__ is d)
        b = B(); b.two = 0
        print(list(vars(fill(b, 3)).items()))
        b = B(); b.__dict__ = {"two": 7}
        print(list(vars(fill(b, 3)).items()))
        b = B()
        for k in range(40):
            setattr(b, f"name{k}", k)
        print(len(vars(fill(b, 3))), list(vars(b))[-2:])
        b = B(); fill(b, 1.5); fill(b, 2.5)
        del b.one
        fill(b, 3.5)
        print(vars(b))
    """)
    )
    run.assert_compiled("make", "fill")


def test_numbers_in_attributes(both):
    run = both(
        program("""
        class A:
            __slots__ = ("f", "i")
            def __init__(self, f, i):
                self.f = f * 2.0
                self.i = i + 1000

        class B:
            def __init__(self, f, i):
                self.f = f * 2.0
                self.i = i + 1000

        def work(o, n):
            for k in range(n):
                o.f = o.f * 1.5
                o.i = o.i + 3
            return o.f, o.i

        def make(cls, k):
            return A(k * 0.5, k) if cls is A else B(k * 0.5, k)

        for cls in (A, B):
            hot(make, cls, 3)
            o = make(cls, 3)
            f, i = o.f, o.i
            hot(work, o, 3)
            o = make(cls, 4)
            f, i = o.f, o.i
            print(work(o, 30), f, i, sys.getrefcount(o.f))
            p = make(cls, 4)
            p.f = o.f
            work(p, 2)
            print(o.f == p.f)
            del o.f
            try:
                work(o, 1)
            except AttributeError as e:
                print(e)
    """)
    )
    run.assert_compiled("make", "work")


def test_finalisers_of_instances_that_nobody_looks_at(both):
    run = both("""
        from probe import hot

        n = 0

        class Plain:
            pass

        class Gone:
            def __del__(self):
                global n
                n += 1

        class Inherits(Gone):
            pass

        def f(k):
            for _ in range(k):
                Gone()
                Inherits()
                Plain()

        hot(f, 5)
        before = n
        f(1000)
        print(n - before)
        Plain.__del__ = Gone.__del__
        f(1000)
        print(n - before)
    """)
    run.assert_compiled("f")
