"""Attributes: direct access under guards, and everything that breaks the assumption."""

SHAPES = """
from probe import hot

class P:
    def __init__(self, x, y=0):
        self.x = x
        self.y = y
    def move(self, n):
        for i in range(n):
            self.x = self.x + 1  # move
            self.y += self.x
        return self.x, self.y

"""


def program(body):
    """A program over the class above."""
    import textwrap

    return SHAPES + textwrap.dedent(body)


def test_instance_attributes(both):
    run = both(
        program("""
        hot(P.move, P(1), 5)
        print(P(0).move(100), P(0.5).move(10), P(2**62).move(3), P(2**63 - 2).move(5))
        p = P(1)
        a = p.x = 10**10
        p.move(3)
        print(a, p.x, vars(p))
    """)
    )
    run.assert_compiled("P.move")
    assert run.exits("P.move"), "overflow and float must leave"


def test_slots(both):
    run = both("""
        from probe import hot

        class S:
            __slots__ = ("a", "b")

        def f(s, n):
            for i in range(n):
                s.a += 1
                s.b = s.a * 0.5
            return s.a, s.b

        s = S(); s.a = 1; s.b = 2.0
        hot(f, s, 5)
        print(f(s, 50))
        t = S()
        try:
            f(t, 1)
        except AttributeError as e:
            print(e)
        t.a = 3
        print(f(t, 2))
        try:
            s.c = 1
        except AttributeError as e:
            print(e)
        del s.a
        try:
            f(s, 2)
        except AttributeError as e:
            print(e)
    """)
    run.assert_compiled("f")


def test_a_class_changed_in_mid_loop(both):
    run = both("""
        from probe import hot

        class P:
            k = 1
            def get(self):
                return self.k

        def change(i):
            if i == 10:
                P.k = 100
            if i == 20:
                P.get = lambda self: -1
            if i == 30:
                P.k = property(lambda self: 7)
                del P.get
                P.get = lambda self: self.k

        def f(p, n):
            out = []
            for i in range(n):
                change(i)
                out.append(p.get() + p.k)  # use
            return out

        hot(f, P(), 5)
        print(f(P(), 40))
    """)
    run.assert_compiled("f")


def test_a_base_class_changed_in_mid_loop(both):
    run = both("""
        from probe import hot

        class Base:
            def get(self):
                return 1

        class Mixin:
            def get(self):
                return 50

        class P(Base):
            pass

        def f(p, n):
            total = []
            for i in range(n):
                if i == 10:
                    Base.get = lambda self: 2
                if i == 15:
                    P.__bases__ = (Mixin, Base)
                if i == 20:
                    P.get = lambda self: 3
                total.append(p.get())
            return total

        hot(f, P(), 5)
        print(f(P(), 25))
    """)
    run.assert_compiled("f")


def test_class_assignment_in_mid_loop(both):
    run = both(
        program("""
        class Q(P):
            @property
            def y(self):
                return 1000
            @y.setter
            def y(self, v):
                print("set", v)

        def f(p, n):
            out = []
            for i in range(n):
                if i == 6:
                    p.__class__ = Q
                p.y += 1
                out.append((p.x, p.y))
            return out

        hot(f, P(1), 5)
        print(f(P(2), 9))
    """)
    )
    run.assert_compiled("f")


def test_a_property_added_late(both):
    run = both(
        program("""
        def f(p, n):
            total = 0
            for i in range(n):
                if i == 10:
                    P.x = property(lambda self: 5, lambda self, v: print("set", v))
                total += p.x
                p.x = i
            return total

        hot(f, P(1), 5)
        print(f(P(2), 13))
    """)
    )
    run.assert_compiled("f")


def test_the_dict_materialised_late(both):
    run = both(
        program("""
        def f(p, n):
            out = []
            for i in range(n):
                p.x += 1
                if i == 5:
                    d = p.__dict__
                if i == 7:
                    d["x"] = 100
                if i == 8:
                    p.__dict__ = {"x": 500, "y": 1}
                if i == 10:
                    del d["x"]
                out.append(p.x)
            return out, d, vars(p)

        hot(f, P(1), 12)
        print(f(P(1), 12))
        p = P(3)
        d = p.__dict__
        print(p.move(5), d)
    """)
    )
    run.assert_compiled("f")


def test_attributes_deleted_and_added_late(both):
    run = both(
        program("""
        def f(p, n):
            out = []
            for i in range(n):
                try:
                    p.x += 1
                except AttributeError as e:
                    out.append(str(e))
                    p.x = 50
                if i % 4 == 3:
                    del p.x
                if i == 6:
                    p.extra = i
                if i == 9:
                    for k in range(40):
                        setattr(p, f"a{k}", k)
            return out, sorted(vars(p))[:3], list(vars(p))[:4]

        hot(f, P(1), 5)
        print(f(P(1), 14))
    """)
    )
    run.assert_compiled("f")


def test_attributes_in_another_order(both):
    run = both(
        program("""
        def make(x, y):
            p = P.__new__(P)
            p.y = y
            p.x = x
            return p

        hot(P.move, P(1), 5)
        print(make(1, 2).move(5), vars(make(1, 2)), P(3).move(2))
    """)
    )
    run.assert_compiled("P.move")


def test_getattr_setattr_and_descriptors(both):
    run = both("""
        from probe import hot

        class D:
            def __get__(self, o, cls):
                return ("got", o is None)
            def __set__(self, o, v):
                print("set", v)

        class G:
            d = D()
            plain = 3
            def __getattr__(self, name):
                return name
            def __setattr__(self, name, v):
                print("setattr", name, v)
                object.__setattr__(self, name, v)
            def __delattr__(self, name):
                print("delattr", name)

        class All:
            def __getattribute__(self, name):
                return name * 2

        def f(g, n):
            out = []
            for i in range(n):
                out.append((g.d, g.plain, g.zzz))
                g.d = i
                g.w = i
                del g.w
            return out

        def h(o):
            return o.abc

        hot(f, G(), 3)
        hot(h, G())
        print(f(G(), 4), h(G()), h(All()))
    """)
    run.assert_compiled("f", "h")


def test_several_shapes_at_one_place(both):
    run = both(
        program("""
        class A:
            def __init__(self): self.x = 1
        class B:
            x = 2
        class C:
            __slots__ = ("x",)
            def __init__(self): self.x = 3
        class D:
            @property
            def x(self): return 4
        class E:
            def __getattr__(self, name): return 5

        def f(objects):
            total = 0
            for o in objects:
                total = total * 10 + o.x
            return total

        hot(f, [A()] * 5)
        print(f([A(), B(), C(), D(), E(), P(6)] * 4), f([A()] * 8))
        import types, sys
        m = types.ModuleType("m"); m.x = 9
        print(f([A(), m, A()]))
    """)
    )
    run.assert_compiled("f")
    assert run.exits("f")


def test_dataclasses_named_tuples_and_enums(both):
    run = both("""
        import collections, dataclasses, enum
        from probe import hot

        @dataclasses.dataclass
        class V:
            x: float
            y: float = 2.0

        @dataclasses.dataclass(slots=True, frozen=True)
        class W:
            x: int

        N = collections.namedtuple("N", "x y")
        class Colour(enum.Enum):
            RED = 1
            BLUE = 2

        def f(v, w, n, k):
            total = 0.0
            for i in range(k):
                v.x = v.x + n.x * w.x
                total += v.y + n[1] + (Colour.RED is Colour(1)) + Colour.BLUE.value
            return v, total

        hot(f, V(1.0), W(2), N(1, 2), 5)
        print(f(V(1.0), W(2), N(0.5, 2), 50))
        try:
            w = W(1)
            w.x = 3
        except dataclasses.FrozenInstanceError as e:
            print(repr(e))
    """)
    run.assert_compiled("f")


def test_boxes_in_attributes_are_not_reused_when_shared(both):
    run = both("""
        from probe import hot

        class P:
            pass

        def f(p, n):
            kept = []
            for i in range(n):
                p.x = p.x * 1.5
                if i % 3 == 0:
                    kept.append(p.x)
                if i % 5 == 0:
                    p.y = p.x
                p.x += 0.25
            return kept, p.x, p.y

        p = P(); p.x = 1.0; p.y = 0.0
        hot(f, p, 4)
        q = P(); start = 0.125; q.x = start; q.y = 0.0
        print(f(q, 20), start)
    """)
    run.assert_compiled("f")


def test_a_method_and_a_class_attribute_gone_before_compiling(both):
    run = both("""
        from probe import hot, compiled

        class A:
            k = [1, 2]
            def m(self):
                return 1

        def f(o):
            return o.m(), o.k

        for _ in range(20):
            f(A())
        # The interpreter's caches still name both.
        del A.m
        A.k = 5
        compiled(f)
        A.m = lambda self: 2
        print(f(A()), f(A()))
    """)
    assert run.answers["f"] is None


def test_new_attributes_of_objects_without_a_managed_dict(both):
    run = both("""
        import types
        from probe import hot

        def f(o, value):
            o.fresh = value
            return o.fresh

        class E(Exception):
            pass

        hot(f, types.SimpleNamespace(), 1)
        for k in range(50):
            for o in (types.ModuleType("m"), (lambda: 0), E(), types.SimpleNamespace(), type("C", (), {})()):
                assert f(o, k) == k
                f(o, 2.5)
                print(sorted(vars(o).items())[-1])
    """)
    run.assert_compiled("f")


def test_a_class_with_keys_that_are_no_strings(both):
    """Looking a name up in such a class may run code: it is done as often as in plain CPython."""
    run = both("""
        import warnings
        from probe import hot

        warnings.simplefilter("ignore")

        class Base:
            mykey = other = "from Base"

        class Base2:
            mykey = other = "from Base2"

        def f(change):
            class Key:
                def __hash__(self):
                    return hash("mykey")

                def __eq__(self, other):
                    if change:
                        X.__bases__ = (Base2,)
                    seen.append(1)

            seen = []
            X = type("X", (Base,), {Key(): 5})
            return X.mykey, X.other, X().mykey, len(seen)

        hot(f, False)
        print(f(False), f(True))
    """)
    run.assert_compiled("f")


def test_the_class_of_an_operator_s_result_is_not_guessed(both):
    run = both("""
        from probe import hot

        def f(make, n):
            s = make(" a") * n + make(" ")
            return len(s.split()), s.split(make("a"))[:2]

        def text(s):
            return s

        hot(f, text, 10)
        print(f(text, 10), f(str.encode, 10), f(text, 10), f(str.encode, 10))
    """)
    run.assert_compiled("f")


def test_classes_of_class_attributes_that_become_descriptors(both):
    run = both("""
        from probe import hot

        class Turns:
            pass

        class Holder:
            def __init__(self):
                self.x = 1
            x = Turns()
            y = Turns()

        class Slotted:
            __slots__ = ()
            y = Turns()

        class Meta(type):
            pass

        class Other(metaclass=Meta):
            y = Turns()

        def load(o):
            return o.x

        def store(o, v):
            o.x = v

        def of_class(o):
            return o.y

        def constant():
            return Holder.y

        def of_meta():
            return Other.y

        def called(o):
            return o.y()

        def looped(o, n, act):
            out = []
            for i in range(n):
                if i == 5:
                    act()
                out.append((o.x, o.y if i % 2 else Holder.y))
            return [x if isinstance(x, int) else type(x).__name__ for pair in out for x in pair]

        Turns.__call__ = lambda self: "called"
        o, s = Holder(), Slotted()
        hot(load, o)
        hot(store, o, 2)
        hot(of_class, o)
        hot(constant)
        hot(of_meta)
        hot(called, s)
        hot(looped, o, 8, int)

        def show():
            calls = [(load, o), (store, o, 3), (load, o), (of_class, o), (of_class, s), (constant,), (of_meta,)]
            for f, *args in [*calls, (called, s)]:
                try:
                    got = f(*args)
                except (AttributeError, TypeError) as e:
                    got = str(e)
                print(f.__name__, got if isinstance(got, (int, str, type(None))) else type(got).__name__)

        show()
        print(looped(o, 8, lambda: setattr(Turns, "__get__", lambda self, o, t: 20)))
        show()
        Turns.__set__ = lambda self, o, v: print("set", v)
        show()
        del Turns.__get__
        show()
        del Turns.__set__
        show()
        o.__dict__
        show()
        print(looped(o, 8, lambda: setattr(Turns, "__set__", lambda self, o, v: None)))
        print(looped(o, 8, lambda: setattr(Turns, "__get__", lambda self, o, t: 30)))
        show()
    """)
    run.assert_compiled("load", "store", "of_class", "constant", "of_meta", "called", "looped")
