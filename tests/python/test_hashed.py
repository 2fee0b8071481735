"""Dicts, sets and membership in place; whatever would run Python code is left to the interpreter."""
# ruff: noqa: E501 (lines of the programs under test)


def test_dict_items(both):
    run = both("""
        from probe import hot

        def get(d, keys):
            out = []
            for k in keys:
                out.append(d[k])
            return out

        def put(d, keys):
            for k in keys:
                d[k] = k
            return d

        def count(words):
            d = {}
            for w in words:
                if w in d:
                    d[w] += 1
                else:
                    d[w] = 1
            return d

        def either(d, keys):
            return [d.get(k) for k in keys], [d.get(k, 7) for k in keys]

        d = {"a": 1, "b": 2}
        hot(get, d, ["a", "b"])
        hot(put, {}, ["a", "b"])
        words = ["a", "b", "a"] * 5
        hot(count, words)
        hot(either, d, ["a", "z"])
        print(get(d, ["b", "a", "".join(["", "a"])]), either(d, ["b", "x"]))
        general = {1: "int", 2.5: "float", (1, "x"): "tuple", None: "none", b"a": "bytes", "a": "str", -1: "minus", 2**70: "big", frozenset([1]): "set", int: "class", get: "function"}
        keys = [1, True, 1.0, 2.5, (1, "x"), (1.0, "".join("x")), None, "a", -1, -2 + 1, 2**70, 2.0**70, frozenset([1]), int, get]
        print(get(general, keys), either(general, keys + [3, "q", (1, "y"), 1e300, ()]))
        print(put({1: 1}, [1, True, 1.0, "x", (1, 2), (1, 2), -1, 2**70]))
        big = {i: str(i) for i in range(-3000, 3000, 7)}
        print(get(big, list(big)) == list(big.values()), either(big, range(-30, 30)))
        for i in range(-3000, 3000, 14):
            del big[i]
        print(either(big, range(-30, 30)), list(put(big, range(-9, 9)).items())[-12:])
        texts = {f"key{i}": i for i in range(70000)}
        print(either(texts, [f"key{i}" for i in range(0, 70500, 997)]))
        print(count("the quick brown the lazy the dog dog".split()), count([]), count(range(5)))
        for bad in ([[1]], [{}], ["zz"], [(1, [2])]):
            for f in (get, put, count):
                try:
                    print(f({"a": 1}, bad) if f is not count else f(bad))
                except (KeyError, TypeError) as e:
                    print(f.__name__, type(e).__name__, e)
        class D(dict):
            def __missing__(self, k):
                return ("missing", k)
            def __setitem__(self, k, v):
                print("set", k)
        print(get(D(a=1), ["a", "q"]), put(D(), ["a"]))
        print(get([5, 6, 7], [0, 1, -1]))
    """)
    run.assert_compiled("get", "put", "count", "either")


def test_keys_with_methods_of_their_own(both):
    run = both("""
        from probe import hot

        log = []
        class Key:
            def __init__(self, n):
                self.n = n
            def __hash__(self):
                log.append(("hash", self.n))
                return self.n
            def __eq__(self, other):
                log.append(("eq", self.n, getattr(other, "n", other)))
                return self.n == getattr(other, "n", other)
        class Plain:
            pass

        def get(d, k):
            return d[k], k in d, d.get(k)
        def put(d, k, v):
            d[k] = v
        def add(s, k):
            s.add(k)
            return len(s), k in s
        def among(t, k):
            return k in t

        p = Plain()
        hot(get, {p: 1}, p)
        hot(put, {}, p, 1)
        hot(add, set(), p)
        hot(among, (1, 2, 3), 3)
        hot(among, [1, 2, 3], 3)
        d = {1: "one", Key(2): "two", p: "plain"}
        for k in (1, 2, Key(1), Key(2), p):
            print(get(d, k), log)
            log.clear()
        for k in (1, Key(1), 2, Key(2), Key(3)):
            put(d, k, "new")
            print(list(d.values()), log)
            log.clear()
        s = {1, Key(2)}
        for k in (1, Key(1), 2, Key(2), Key(3), 3):
            print(add(s, k), log)
            log.clear()
        for t in ((1, Key(2), "x"), [Key(1), 2], (), [None]):
            for k in (1, 2, Key(2), "x", None):
                print(among(t, k), log)
                log.clear()
        class Evil(int):
            def __eq__(self, other):
                log.append("evil")
                return True
            __hash__ = int.__hash__
        print(among((5, 6), Evil(1)), among((Evil(1),), 5), get({5: 1}, 5), log)
        for bad in ([], {}, (1, [])):
            for f, c in ((get, {1: 1}), (add, {1})):
                try:
                    print(f(c, bad))
                except TypeError as e:
                    print(e)
            try:
                put({}, bad, 1)
            except TypeError as e:
                print(e)
    """)
    run.assert_compiled("get", "put", "add", "among")


def test_what_a_dict_lets_go(both):
    both("""
        import sys
        from probe import hot

        class Loud:
            def __init__(self, name):
                self.name = name
            def __del__(self):
                print("gone", self.name, seen)

        seen = 0
        def put(d, k, v):
            global seen
            seen = 1
            d[k] = v
            seen = 2
            return len(d)

        hot(put, {}, "a", 1)
        d = {"a": Loud("first")}
        print(put(d, "a", 1), d)
        d["b"] = Loud("second")
        print(put(d, "b", Loud("third")))
        print(put(d, "b", None))
        v = object()
        before = sys.getrefcount(v)
        for i in range(100):
            put(d, i, v)
        d.clear()
        print(sys.getrefcount(v) - before)

        def swap(d, new):
            old = d["k"]
            d["k"] = new
            return old.name
        for i in range(12):
            d = {"k": Loud(str(i))}
            print(swap(d, Loud("new")), swap(d, Loud("newer")))
            if i == 6:
                hot(swap, d, Loud("hot"))
    """).assert_compiled("put")


def test_dicts_of_instances_and_modules(both):
    run = both("""
        from probe import hot

        class C:
            def __init__(self):
                self.a = 1
                self.b = 2
        def look(d, o):
            x = d["a"]
            o.a = x + 1
            y = d["a"]
            d["b"] = 10
            return x, y, o.b, len(d), "c" in d

        o = C()
        hot(look, o.__dict__, o)
        for _ in range(4):
            print(look(o.__dict__, o), o.__dict__)
        p = C()
        p.c = 3
        print(look(p.__dict__, p), look({"a": 5}, o))
        X = 1
        def word():
            return X
        def set_word(g, v):
            g["X"] = v
            return word()
        hot(word)
        hot(set_word, globals(), 2)
        print(set_word(globals(), 3), set_word(globals(), 4), word())
    """)
    run.assert_compiled("look", "set_word")


def test_subclasses_of_dict(both):
    run = both("""
        from collections import Counter, OrderedDict, defaultdict
        from probe import hot

        def get(d, k):
            return d[k]
        def count(d, words):
            for w in words:
                d[w] += 1
            return sorted(d.items())
        class Own(dict):
            def __getitem__(self, k):
                return ("own", k)
        class Missing(dict):
            def __missing__(self, k):
                return ("missing", k)
        hot(get, defaultdict(list), "a")
        hot(count, defaultdict(int), ["a"])
        d = defaultdict(list, b=1)
        print(get(d, "b"), get(d, "c"), d, get(Own(a=1), "a"), get(Missing(a=1), "a"), get(Missing(), "a"))
        print(get(Counter("aab"), "a"), get(Counter(), "z"), get(OrderedDict(x=1), "x"), get({1: 2}, 1.0))
        print(count(defaultdict(int), "the the a".split()), count(Counter(), [1, 2, 1.0, True]), count(OrderedDict(a=1), "aa"))
        for bad in (defaultdict(None), OrderedDict(), Own):
            try:
                print(get(bad, "q"))
            except (KeyError, TypeError) as e:
                print(type(e).__name__, e)
    """)
    run.assert_compiled("get", "count")


def test_sets(both):
    run = both("""
        from probe import hot

        def unique(items):
            seen = set()
            n = 0
            for i in items:
                if i not in seen:
                    seen.add(i)
                    n += 1
            return n, len(seen), bool(seen), sorted(seen, key=str)
        FROZEN = frozenset(["x", "y", 3])
        def frozen(i):
            return i in FROZEN, i in {"a", "b"}, i in ("a", 1), i not in ["q"]
        def method(items):
            s = set()
            add = s.add
            for i in items:
                add(i)
            return len(s)

        hot(unique, [1, 2, 1])
        hot(frozen, "x")
        hot(method, [1, 2, 1])
        print(unique([1, True, 1.0, "a", None, (1, 2), (1, 2), -1, -2, 2**64, 2.0**64]))
        print(unique(range(5000))[:2], unique([i * 64 for i in range(500)])[:2], unique([]))
        print([frozen(i) for i in ("x", "y", 3, 3.0, "a", 1, True, "q", None, 1.5)])
        print(method([1, "1", 1.0, 2]), method(range(100)))
        for bad in ([[]], [{}]):
            for f in (unique, method):
                try:
                    print(f(bad))
                except TypeError as e:
                    print(e)
        try:
            frozen([])
        except TypeError as e:
            print(e)
    """)
    run.assert_compiled("unique", "frozen", "method")


def test_misses_are_given_up(both):
    """A key that is missing again and again is the interpreter's affair no longer."""
    run = both("""
        from probe import hot

        def total(d, keys):
            t = 0
            for k in keys:
                try:
                    t += d[k]
                except KeyError as e:
                    t += e.args[0]
            return t
        d = {i: 1 for i in range(0, 100, 2)}
        hot(total, d, range(0, 10, 2))
        print([total(d, range(n)) for n in (10, 100, 1000, 30)])
        for _ in range(300):
            total(d, range(100))
        print(total(d, range(100)))
    """)
    run.assert_compiled("total")


def test_classes_of_objects(both):
    run = both("""
        from probe import hot

        class A: pass
        class B(A): pass
        class Other:
            __class__ = A
        class Asks:
            @property
            def __class__(self):
                print("asked")
                return B
        class Gets:
            def __getattribute__(self, name):
                print("get", name)
                return object.__getattribute__(self, name)
        class Meta(type):
            def __instancecheck__(self, other):
                print("check")
                return True
        class M(metaclass=Meta): pass

        def which(x):
            return isinstance(x, A), isinstance(x, B), isinstance(x, int), isinstance(x, M), type(x)
        def several(x):
            return isinstance(x, (A, int)), isinstance(x, (str, list, M)), isinstance(x, (B, str)), isinstance(x, ())
        hot(several, A())
        for x in (A(), B(), 1, True, "x", [], None, A, M()):
            print(several(x))
        for x in (Other(), Asks(), Gets()):
            print(several(x))
        hot(which, A())
        for x in (A(), B(), 1, True, "x", None, A, int, M(), M):
            print(which(x))
        for x in (Other(), Asks(), Gets()):
            print(which(x)[:3])
        dispatch = {int: "i", str: "s", A: "a"}
        def kind(x):
            return dispatch.get(type(x), "?")
        hot(kind, 1)
        print([kind(x) for x in (1, "a", A(), B(), 1.5, True)])
        b = B()
        b.__class__ = A
        print(which(b), kind(b))
    """)
    run.assert_compiled("which", "several", "kind")
