"""Methods that are called through `super`: looked up when the code is compiled, guarded by the object's class."""


def assert_in_place(run, outer, *names):
    """Premise: the function is compiled with these in it."""
    run.assert_compiled(outer)
    assumed = [a.split()[1] for r in run.regions(outer) for a in r["assumptions"] if a.startswith("function ")]
    assert set(names) <= set(assumed), assumed


CLASSES = """
    from probe import hot

    class Base:
        def __init__(self, n):
            self.n = n
        def m(self, k):
            return self.n + k

    class Derived(Base):
        def m(self, k):
            return super().m(k) * 2
        def named(self, k):
            return super(Derived, self).m(k) * 3

    def f(o, n):
        s = 0
        for i in range(n):
            s += o.m(i) + o.named(i)
        return s
"""


def test_methods_above_are_translated_in_place(both):
    run = both(
        CLASSES
        + """
    o = Derived(5)
    hot(o.m, 1)
    hot(Derived.named, o, 1)
    print(o.m(7), o.named(8), f(o, 10))
    """
    )
    assert_in_place(run, "Derived.named", "Base.m")
    assert_in_place(run, "Derived.m", "Base.m")
    assert run.exits("Derived.m") == run.exits("Derived.named") == []


def test_a_method_above_that_is_replaced(both):
    run = both(
        CLASSES
        + """
    o = Derived(5)
    hot(o.m, 1)
    hot(Derived.named, o, 1)
    print(o.m(7), o.named(8))
    old = Base.m
    Base.m = lambda self, k: -k
    print(o.m(7), o.named(8))
    Base.m = old
    print(o.m(7), o.named(8))
    del Base.m
    for g in (o.m, o.named):
        try:
            print(g(7))
        except AttributeError as e:
            print(e)
    """
    )
    assert_in_place(run, "Derived.named", "Base.m")


def test_objects_of_other_classes(both):
    run = both(
        CLASSES
        + """
    class Between(Base):
        def m(self, k):
            return 1000 + super().m(k)

    class Diamond(Derived, Between):
        pass

    class Other(Derived):
        pass

    o = Derived(5)
    hot(o.m, 1)
    hot(Derived.named, o, 1)
    for c in (Diamond, Other, Derived):
        for k in range(3):
            print(c.__name__, c(k).m(7), c(k).named(8))
    o.__class__ = Diamond
    print(o.m(7), o.named(8))
    o.__class__ = Derived
    print(o.m(7), o.named(8))
    Derived.__bases__ = (Between,)
    print(o.m(7), o.named(8))
    try:
        Derived.m(3, 4)
    except TypeError as e:
        print(e)
    """
    )
    assert_in_place(run, "Derived.named", "Base.m")
    assert run.exits("Derived.m")


def test_the_class_in_the_closure_is_another(both):
    run = both(
        CLASSES
        + """
    o = Derived(5)
    hot(Derived.m, o, 1)
    print(o.m(7))
    cell = Derived.m.__closure__[0]
    cell.cell_contents = Base
    try:
        o.m(7)
    except AttributeError as e:
        print(e)
    cell.cell_contents = Derived
    print(o.m(7))
    """
    )
    assert_in_place(run, "Derived.m", "Base.m")
    assert run.exits("Derived.m")


def test_what_is_no_plain_method_above(both):
    both("""
        from probe import hot

        class Base:
            x = 3
            @staticmethod
            def s(a):
                return ("s", a)
            @classmethod
            def c(cls, a):
                return (cls.__name__, a)
            @property
            def p(self):
                return lambda a: ("p", a)
            def e(self, a):
                raise ValueError(a)

        class Derived(Base):
            def __init__(self, *args):
                super().__init__(*args)
            def plain(self):
                super().__init__()
                return super().x, super().__class__.__name__, super().__repr__()[:10]
            def s(self, a):
                return super().s(a)
            @classmethod
            def c(cls, a):
                return super().c(a)
            def p(self, a):
                return super().p(a)
            def e(self, a):
                return super().e(a)
            def missing(self):
                return super().missing()

        o = Derived()
        for name, *args in (("plain",), ("s", 1), ("c", 2), ("p", 3)):
            hot(getattr(o, name), *args)
            print(getattr(o, name)(*args))
        import traceback
        for name, *args in (("e", 4), ("missing",), ("__init__", 1)):
            hot(getattr(o, name), *args, raising=(ValueError, AttributeError, TypeError))
            try:
                getattr(o, name)(*args)
            except (ValueError, AttributeError, TypeError):
                traceback.print_exc()
    """)


def test_what_is_no_class_beside_super(both):
    run = both("""
        from probe import hot

        K = 3.5
        L = [1, 2, 3] * 50
        class X:
            def foo(self):
                return 1
        class Y(X):
            pass
        class Meta(type):
            def foo(cls):
                return 2
        class Z(X, metaclass=Meta):
            pass

        def number(o):
            return super(1, o).foo()
        def value(o):
            return super(K, o).foo()
        def items(o):
            return super(L, o).foo()
        def text(o):
            return super("a class", o).foo()
        def fine(o):
            return super(Y, o).foo()
        def meta(o):
            return super(Z, o).foo()
        def captured(c):
            def inner(o):
                return super(c, o).foo()
            return inner

        inner, other = captured(5), captured(Y)
        for f in (number, value, items, text, fine, meta, inner, other):
            hot(f, Y(), raising=(TypeError, AttributeError))
            for o in (1, X(), Y(), Y, "s", None, Z(), Z, Meta):
                try:
                    print(f.__name__, f(o))
                except (TypeError, AttributeError) as e:
                    print(f.__name__, e)
    """)
    run.assert_compiled("number", "value", "items", "text", "fine", "meta", "inner")
