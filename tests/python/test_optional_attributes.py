"""`getattr` with a default and `hasattr` in compiled code, and equality of anything with anything."""
# ruff: noqa: E501 (lines of the programs under test)


def test_attributes_that_may_be_missing(both):
    run = both("""
        import types
        from probe import hot

        class Plain: pass
        class Slots:
            __slots__ = ("there", "unset")
        class Hook:
            def __getattr__(self, name):
                print("asked for", name)
                if name == "there":
                    return "hooked"
                if name == "bad":
                    raise ValueError(name)
                raise AttributeError(name)
        class Own:
            def __getattribute__(self, name):
                if name == "there":
                    return "own"
                return object.__getattribute__(self, name)
        class Prop:
            @property
            def there(self):
                raise AttributeError("inner")
            @property
            def bad(self):
                raise KeyError("inner")
        class Sub(dict): pass
        class Meta(type):
            there = "of the metaclass"
        class Made(metaclass=Meta): pass
        class Method:
            def there(self): return 1

        def get(o):
            return getattr(o, "there", None)
        def has(o):
            if hasattr(o, "there"):
                return "has"
            return "lacks"
        def bad(o):
            return getattr(o, "bad", "default"), hasattr(o, "bad")

        full = Plain()
        full.there = 5
        late = Plain()
        late.other = 1
        hot(get, full)
        hot(has, full)
        hot(bad, full)
        slots = Slots()
        module = types.ModuleType("m")
        sub = Sub()
        objects = [full, Plain(), late, slots, Hook(), Own(), Prop(), sub, Made, Plain, 5, "text", None, [], module, get, hot]
        for _ in range(2):
            for o in objects:
                print(type(o).__name__, get(o), has(o))
            late.there = "late"
            slots.there = sub.there = module.there = 7
        for o in (full, Hook(), Prop(), 5):
            try:
                print(bad(o))
            except (ValueError, KeyError) as e:
                print(type(e).__name__, e)
        # A class whose instances have had no such attribute so far.
        class Grows: pass
        a, b = Grows(), Grows()
        print(get(a), has(a))
        b.there = 1
        print(get(a), get(b), has(a), has(b))
        a.__dict__["there"] = "by its dict"
        print(get(a), has(a))
        Grows.there = "of the class"
        print(get(Grows()), has(Grows()))
        del Grows.there
        print(get(Grows()), has(Grows()), get(Method()) is not None)
        many = Grows()
        for k in range(40):
            setattr(many, f"a{k}", k)
        print(get(many))
        many.there = 3
        print(get(many))
    """)
    run.assert_compiled("get", "has", "bad")


def test_equality_of_anything(both):
    run = both("""
        import enum, fractions
        from probe import hot

        class Plain: pass
        class Eq:
            def __eq__(self, other):
                print("eq", type(other).__name__)
                return NotImplemented if other == 1 else "yes"
        class Kind(enum.Enum):
            A = 1
            B = 2
        class Text(str):
            def __eq__(self, other): return "text"
            __hash__ = str.__hash__
        class Wrong:
            def __eq__(self, other): raise RuntimeError("no")
            def __ne__(self, other): raise RuntimeError("not")

        def equal(a, b):
            return a == b
        def tested(a, b):
            if a == b:
                return 1
            if a != b:
                return 2
            return 3

        nan = float("nan")
        plain = Plain()
        values = [None, True, 0, 1, 1.0, nan, 1 << 70, 1 << 70, "a", "b", Text("a"), b"a", b"b", (1, 2), (1, 2.0), (nan,), (Eq(),), plain, Plain(),
                  Eq(), Kind.A, Kind.B, fractions.Fraction(1), [1], [1], {1: 2}, {1}, frozenset({1}), 1j, bytearray(b"a"), range(1), Wrong(), Wrong]
        hot(equal, None, "a")
        hot(tested, None, "a")
        for a in values:
            for b in values:
                try:
                    print(equal(a, b), tested(a, b))
                except RuntimeError as e:
                    print(e)
    """)
    run.assert_compiled("equal", "tested")
