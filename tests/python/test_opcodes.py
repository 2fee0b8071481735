"""Instructions beside arithmetic, calls and attributes: each compiled, and not left."""
# ruff: noqa: E501 (lines of the programs under test)


def test_functions_made_in_hot_code(both):
    run = both("""
        from probe import hot

        def f(n):
            total = 0
            for i in range(n):
                k = i + 1
                def inner(x, y=i, *, z: int = 2) -> int:
                    "text"
                    return x + y + z + k
                total += inner(1) + (lambda: k)() + inner(1, 2, z=3)
            return total, inner.__name__, inner.__qualname__, inner.__doc__, inner.__defaults__, inner.__kwdefaults__, inner.__annotations__, inner.__module__, inner.__closure__[0].cell_contents

        hot(f, 3)
        print(f(5))
        print(f(70))
    """)
    run.assert_compiled("f").assert_stayed("f")


def test_generator_expressions_made_in_hot_code(both):
    run = both("""
        from probe import hot

        def f(n):
            return [sum(x * k for x in range(3)) for k in range(n)], sorted(range(n), key=lambda v: -v)

        hot(f, 3)
        print(f(5))
    """)
    run.assert_compiled("f").assert_stayed("f")


def test_imports_in_hot_code(both):
    run = both("""
        from probe import hot

        def f(n):
            import os.path as p
            from collections import OrderedDict, deque
            import sys
            return p.basename("a/b"), OrderedDict(a=n), deque([n]), sys.__name__

        def missing(n):
            from os import no_such_thing

        hot(f, 3)
        print(f(5))
        hot(missing, 1, raising=ImportError)
        try:
            missing(1)
        except ImportError as e:
            print(e, e.name, e.__traceback__.tb_next.tb_lineno)
    """)
    run.assert_compiled("f", "missing").assert_stayed("f")


def test_starred_targets(both):
    run = both("""
        from probe import hot

        def f(values):
            a, *b = values
            *c, d = values
            e, *g, h = values
            return a, b, c, d, e, g, h

        class Bad:
            def __iter__(self):
                yield 1
                raise LookupError("gone")

        hot(f, [1, 2, 3])
        print(f([1, 2]), f((1, 2, 3, 4)), f("abcde"), f({1: 2, 3: 4}), f(iter("xyz")) if False else 0)
        for bad in [[1], [], 5, None, Bad()]:
            try:
                f(bad)
            except (ValueError, TypeError, LookupError) as e:
                print(type(e).__name__, e, e.__traceback__.tb_next.tb_lineno)
    """)
    run.assert_compiled("f")


def test_merged_keywords(both):
    run = both("""
        from probe import hot

        def show(*args, **kw):
            return args, kw

        def f(a, b):
            return show(1, *[2], **a, **b), show(**a, c=3), show(x=1, **b)

        class Mapping:
            def keys(self):
                return ["p", "q"]
            def __getitem__(self, k):
                return k * 2

        hot(f, {"i": 1}, {"j": 2})
        print(f({"i": 5}, {"k": 6}))
        print(f(Mapping(), {"k": 6}))
        for a, b in [({"i": 1}, {"i": 2}), (5, {}), ({}, None), ({1: 2}, {}), ({"c": 1}, {}), ({}, {"x": 1})]:
            try:
                print(f(a, b))
            except TypeError as e:
                print(type(e).__name__, e)
    """)
    run.assert_compiled("f")


def test_patterns(both):
    run = both("""
        from collections import deque, OrderedDict
        from probe import hot

        def f(v):
            match v:
                case []:
                    return "empty"
                case [x]:
                    return "one", x
                case [x, y]:
                    return "two", x, y
                case [x, *rest]:
                    return "many", x, rest
                case {}:
                    return "mapping"
                case 5 | 6:
                    return "number"
                case str():
                    return "text"
                case _:
                    return "other"

        values = [[], [1], (1, 2), [1, 2, 3], {}, {1: 2}, 5, "abc", b"ab", deque([1]), OrderedDict(), None, range(2)]
        for v in values:
            hot(f, v)
        for v in values:
            print(f(v))
    """)
    run.assert_compiled("f")


def test_super(both):
    run = both("""
        from probe import hot

        class A:
            tag = "A"
            def f(self, x):
                return ("A", x)
            @property
            def p(self):
                return "p of A"
            @classmethod
            def c(cls):
                return cls.__name__

        class B(A):
            tag = "B"
            def f(self, x):
                return super().f(x + 1), super().tag, super().p, super(B, self).f(x)
            @classmethod
            def c(cls):
                return "B" + super().c()
            def missing(self):
                return super().nothing

        class C(A):
            def f(self, x):
                return "C", super().f(x)

        class D(B, C):
            pass

        hot(B().f, 1)
        hot(B.c)
        hot(B().missing, raising=AttributeError)
        print(B().f(2), D().f(3), B.c(), D.c())
        try:
            B().missing()
        except AttributeError as e:
            print(e)
        A.f = lambda self, x: ("new", x)
        A.tag = "T"
        print(B().f(4), D().f(5))
        try:
            B.f(A(), 1)
        except TypeError as e:
            print(e)
    """)
    run.assert_compiled("f")


def test_raise_and_assert(both):
    run = both("""
        import traceback
        from probe import hot

        class Meta(type):
            def __call__(cls, *args):
                return 5

        class Odd(Exception, metaclass=Meta):
            pass

        def f(what, cause):
            if what is None:
                assert cause, "an assertion"
                return 1
            if cause is not None:
                raise what from cause
            raise what

        hot(f, None, 1)
        hot(f, ValueError, None, raising=ValueError)
        hot(f, ValueError(1), KeyError, raising=ValueError)
        for what, cause in [(ValueError, None), (ValueError("x"), None), (ValueError, KeyError("k")), (ValueError, KeyError),
                            (5, None), (int, None), (Odd, None), (ValueError, 5), (None, 0), (ValueError("y"), False)]:
            try:
                f(what, cause)
            except Exception as e:
                print("".join(traceback.format_exception(e)))
        try:
            try:
                {}["k"]
            except KeyError:
                f(ValueError("second"), None)
        except ValueError as e:
            print(repr(e.__context__), e.__cause__, e.__suppress_context__)
    """)
    run.assert_compiled("f")


def test_context_managers(both):
    run = both("""
        from probe import hot

        log = []

        class M:
            def __init__(self, name, swallow=False):
                self.name, self.swallow = name, swallow
            def __enter__(self):
                log.append("enter " + self.name)
                return self.name
            def __exit__(self, kind, value, tb):
                log.append(("exit " + self.name, kind and kind.__name__, tb and tb.tb_lineno))
                return self.swallow

        class NoExit:
            def __enter__(self):
                log.append("never")

        class Raises(M):
            def __enter__(self):
                raise LookupError("enter")

        def f(a, b, n):
            with a as x, b as y:
                z = 10 // n
                return x, y, z
            return "swallowed"

        hot(f, M("a"), M("b"), 2)
        print(f(M("a"), M("b"), 5))
        for a, b, n in [(M("a"), M("b"), 0), (M("a", True), M("b"), 0), (M("a"), M("b", True), 0), (5, M("b"), 1),
                        (M("a"), NoExit(), 1), (M("a", True), Raises("b"), 1)]:
            try:
                print(f(a, b, n))
            except Exception as e:
                print(type(e).__name__, e)
        print(log)
    """)
    run.assert_compiled("f")


def test_appending_to_a_string(both):
    run = both("""
        import sys
        from probe import hot

        def f(parts, n):
            s = ""
            for i in range(n):
                for p in parts:
                    s += p
                s += "-"
            return s

        def kept(parts):
            s = "x"
            out = []
            for p in parts:
                out.append(s)
                t = s
                s += p
                out.append(t)
            return out, s

        def twice(p):
            s = str(len(p))
            s += (s + p)
            s += s
            return s

        hot(f, ["a", "b"], 3)
        hot(kept, ["a", "b"])
        hot(twice, "a")
        print(f(["ab", "é", "日本"], 4))
        print(kept(["1", "2", "3"]))
        print(twice("abc"))
        try:
            f(["a", 5], 2)
        except TypeError as e:
            print(e)
        class S(str):
            def __radd__(self, other):
                return "radd"
        print(f([S("sub"), "a"], 2))
    """)
    run.assert_compiled("f", "kept", "twice")


def test_appending_stays_linear(both):
    # A copy at each step would move 50 GB.
    run = both(
        """
        from probe import hot

        def f(n):
            s = "start"
            for i in range(n):
                s += "abcde"
            return len(s)

        hot(f, 30)
        print(f(200_000))
    """,
        timeout=20,
    )
    run.assert_compiled("f").assert_stayed("f")


def test_class_patterns(both):
    run = both("""
        from probe import hot

        class Num:
            __match_args__ = ("value",)
            def __init__(self, value):
                self.value = value

        class Add:
            __match_args__ = ("left", "right")
            def __init__(self, left, right):
                self.left, self.right = left, right

        class Odd:
            @property
            def value(self):
                raise KeyError("value")

        def evaluate(node):
            match node:
                case Num(v):
                    return v
                case Add(Num(value=0), right) | Add(right, Num(0)):
                    return evaluate(right)
                case Add(left, right=other):
                    return evaluate(left) + evaluate(other)
                case int(n) | float(n):
                    return -n
                case str():
                    return 1000
                case Odd(value=v):
                    return v
            return None

        tree = Add(Add(Num(1), 2.5), Add(Num(0), Add(3, "s")))
        hot(evaluate, tree)
        hot(evaluate, [])
        print(evaluate(tree), evaluate([]), evaluate(Add(Num(4), Num(0))))

        def show(f, *args):
            try:
                print(f(*args))
            except Exception as e:
                print(type(e).__name__, e)

        show(evaluate, Odd())

        def wrong(x, C):
            match x:
                case C(a, b, c):
                    return a
            return "none"

        def twice(x):
            match x:
                case Num(a, value=b):
                    return a, b

        hot(wrong, 3, str)
        hot(twice, 3)
        for C in (Num, int, 5, list, object):
            show(wrong, Num(1) if C is Num else 3, C)
        show(twice, Num(1))
        Num.__match_args__ = ["value"]
        show(wrong, Num(1), Num)
        Num.__match_args__ = (1, 2, 3)
        show(wrong, Num(1), Num)
    """)
    run.assert_compiled("evaluate", "wrong", "twice")


def test_mapping_patterns_with_keys(both):
    run = both("""
        from probe import hot

        def f(x, key="k"):
            match x:
                case {"a": 1, "b": b}:
                    return "ab", b
                case {"a": a, **rest}:
                    return "a", a, rest
                case {Keys.k: v}:
                    return "k", v
                case {}:
                    return "any"
            return None

        class Keys:
            k = "key"

        def again(x):
            match x:
                case {"a": 1, Keys.k: v}:
                    return v

        hot(f, {"a": 1, "b": 2})
        hot(again, {"a": 1})
        for x in ({"a": 1, "b": 2}, {"a": 2, "c": 3}, {"key": 7}, {}, [], {"a": 1}):
            print(f(x))
        from collections import defaultdict
        d = defaultdict(list, a=5)
        print(f(d), f(defaultdict(list)), len(d))
        Keys.k = "a"
        try:
            again({"a": 1})
        except ValueError as e:
            print(e)
    """)
    run.assert_compiled("f", "again")
    run.assert_stayed("again")


def test_classes_made_in_hot_code(both):
    run = both("""
        import builtins
        from probe import hot

        def make(n, Base=object):
            class Made(Base):
                size = n
                def get(self):
                    return __class__.__name__, self.size
            return Made().get(), Made.__mro__[1] is Base

        hot(make, 3)
        print(make(4), make(5, dict))
        build = builtins.__build_class__
        def traced(*args, **kwargs):
            print("building", args[1:])
            return build(*args, **kwargs)
        builtins.__build_class__ = traced
        print(make(6))
        del builtins.__build_class__
        try:
            make(7)
        except NameError as e:
            print(e)
        builtins.__build_class__ = build
    """)
    run.assert_compiled("make")
    assert not [x for x in run.exits("make") if "LOAD_BUILD_CLASS" in x[0]], run.exits("make")


def test_cells_deleted(both):
    run = both("""
        from probe import hot

        def f(k):
            def read():
                return x
            x = k
            first = read()
            del x
            try:
                read()
            except NameError as e:
                return first, str(e)

        def twice(k):
            x = k
            def read():
                return x
            del x
            if k > 5:
                del x
            return k

        hot(f, 1)
        hot(twice, 1)
        print(f(2), twice(3))
        try:
            twice(6)
        except NameError as e:
            print(e)
    """)
    run.assert_compiled("f", "twice")


def test_closures_made_anew_enter_the_code_of_the_first(both):
    run = both("""
        import probe
        from probe import hot

        def make(k):
            def inner(x):
                t = 0
                for i in range(3):
                    t += x * i + k
                return t
            return inner

        def use(n):
            s = 0
            for j in range(n):
                f = make(j)
                s += f(j) + f(1)
            return s

        use(50)
        first = hot(make(1), 2)
        before = None if probe.STOOP is None else probe.STOOP.info(first).entries
        print(use(200))
        if before is not None:
            assert probe.STOOP.info(first).entries - before == 400, probe.STOOP.info(first).entries - before
            probe.STOOP.never(first)
        print(use(200), make(5)(6))
    """)
    run.assert_compiled("inner")
